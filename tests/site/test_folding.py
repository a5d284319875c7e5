"""Code that checks an equation stands folded under it; what the equation rests on stands beside its number."""

import json
import os
import subprocess
import sys

import pytest
import sympy as sp
from bs4 import BeautifulSoup

from _tools.notebooks import BOOK
from _tools.publish import folding
from gradlib import proof
from gradlib.proof.evidence import EVIDENCE_KINDS

a, b = sp.symbols("a b", real=True)
SQUARE = proof.Derivation("eq-square", (a + b) ** 2, (a**2 + 2 * a * b + b**2, "expand"))
NAME = proof.Definition("eq-name", b, a**2)
PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "a picture"}}
CONFIGURATION = """
extensions = ["myst_nb", "_tools.publish.folding"]
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [["html", "text/markdown", 0]]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.domains"]
myst_enable_extensions = ["dollarmath"]
numfig = math_numfig = True
"""


def cell(source, shown=None):
    outputs = [{"output_type": "display_data", "metadata": {}, "data": shown._repr_mimebundle_()}] if shown else []
    return {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": outputs, "source": source}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# A page"},
        cell("import first_of_all"),
        cell("square = expand()", SQUARE),
        cell("name = definition()", NAME),
        cell("import second\nfrom a import third"),
        cell("a_reader_would_write(this)"),
        {**cell("draw()"), "metadata": {"tags": ["hide-input"]}, "outputs": [PICTURE]},
        cell("import and_more\nthis()"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": ""}, "language_info": {"name": "python"}}
    for i, one in enumerate(cells):
        one["id"] = str(i)
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    folder = tmp_path_factory.mktemp("folding")
    files = {"conf.py": CONFIGURATION, "index.ipynb": json.dumps(notebook)}
    for name, text in files.items():
        (folder / name).write_text(text, "utf8")
    # In a process of its own: myst_nb can be loaded only once in one.
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", folder, folder / "out"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(BOOK)})
    assert done.stderr == "" and done.returncode == 0
    out = folder / "out"
    return BeautifulSoup((out / "index.html").read_text("utf8"), "html.parser")


def test_the_code_stands_below_what_it_shows(page):
    folds = {fold.summary.get_text(): fold for fold in page.select("details.how")}
    checked, stated, imports, picture = folds
    assert checked == "How this was checked: proved symbolically" and stated == "How this is stated"
    assert imports == "Imports" and picture == "The code of this picture"
    assert "a picture" in folds[picture].find_previous("div", class_="output").get_text()
    proved = folds["How this was checked: proved symbolically"]
    assert "square = expand()" in proved.get_text()
    assert proved.find_previous("div", id="equation-eq-square")
    assert "name = definition()" in folds["How this is stated"].get_text() and "third" in folds["Imports"].get_text()


def test_the_rest_stays_open(page):
    for fold in page.select("details.how"):
        fold.decompose()
    said = page.get_text()
    for open_code in ("import first_of_all", "a_reader_would_write(this)", "import and_more"):
        assert open_code in said
    assert "second" not in said


def test_the_kind_of_evidence_stands_beside_the_number(page):
    words = {link.get_text(): link for link in page.select(".eqno > a.evidence")}
    assert words["proved"]["href"] == "book/checking.html#proved"
    assert words["proved"].find_parent("div", id="equation-eq-square")
    assert words["defined"].find_parent("div", id="equation-eq-name")
    assert "kind-of-evidence" not in str(page)


def test_every_kind_has_a_word_and_every_word_is_explained():
    explained = "".join("".join(c["source"]) for c in json.loads((BOOK / "checking.ipynb").read_text("utf8"))["cells"])
    assert set(folding.WORDS) == set(EVIDENCE_KINDS)
    assert all(f"({word})=" in explained for word in folding.WORDS.values())


@pytest.mark.parametrize(
    "source, found",
    [("import a", True), ("from a import b\nimport c", True), ("", False), ("import a\na()", False), ("%pip x", False)],
)
def test_only_imports(source, found):
    assert folding.only_imports(source) is found
