"""The stored notebooks are fit for comparison: nbval says nothing about a cell that was never executed."""

import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from _tools import notebooks
from _tools.check import stored as checks
from _tools.execute import KERNELSPEC, normalise

STORED = notebooks.notebooks()


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_notebook(path):
    assert checks.problems(notebooks.read(path)) == []


def test_every_notebook_is_in_the_table_of_contents():
    assert STORED
    assert set(STORED) == set(notebooks.BOOK.glob("*.ipynb"))


def test_reading_order(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "root: a\nparts:\n- chapters:\n  - file: z\n    sections:\n    - file: m\n- chapters:\n  - file: b\n"
    )
    assert notebooks.reading_order(tmp_path) == ["a", "z", "m", "b"]


def cell(source, *outputs, count=1, **metadata):
    return new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def stored(*cells):
    """A notebook in normal form."""
    return normalise(new_notebook(cells=list(cells)))


def test_accepts_a_sound_notebook():
    sound = stored(
        new_markdown_cell("# Title"),
        cell("x = 2"),
        cell("print(x)", stream("2\n")),
        cell("x", new_output("execute_result", {"text/plain": "2"}, execution_count=3)),
    )
    assert checks.problems(sound) == []


def figure(svg):
    data = {"image/svg+xml": svg, "text/plain": "Picture with 1 panel (run the cell to see it)"}
    return new_output("execute_result", data, execution_count=2)


FIGURE = figure('<svg fill="#222222"/>')
PIXELS = new_output("display_data", {"image/png": "iVBORw0KGgo="})
DESCRIBED = {"mystnb": {"image": {"alt": "a falling line"}}}
ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


@pytest.mark.parametrize(
    "bad, why",
    [
        (cell("x = 1", count=None), "unexecuted"),
        (cell("raise ValueError('no')", ERROR), "error stands"),
        (cell("print(1)"), "output is missing"),
        (cell("x = 1\nx"), "output is missing"),
        (cell("x = 1\nx + 1"), "output is missing"),
        (cell("proof.Derivation(chain)"), "output is missing"),
        (cell("plt.plot(x)\nplt.show()"), "output is missing"),
        (cell("style.show(figure)", FIGURE), "no alternative text"),
        (cell("style.show(figure)"), "output is missing"),
        (cell("plt.show()", PIXELS, **DESCRIBED), "no SVG"),
        (cell("style.show(figure)", figure('<svg fill="#123456"/>'), **DESCRIBED), "does not know: #123456"),
        (cell("%%timeit\nx = 1"), "magic"),
        (cell("%matplotlib inline"), "magic"),
        (cell("!ls"), "magic"),
        (cell("# NBVAL_IGNORE_OUTPUT\nprint(1)", stream("1\n")), "switches nbval off"),
        (cell("# NBVAL_SKIP\nx = 1"), "switches nbval off"),
        (cell("plt.plot(x);", stream("1\n")), "semicolon"),
        (cell("x = 1", tags=["nbval-skip"]), "'nbval-skip' is not allowed"),
        (cell("x = 1", tags=["nbval-ignore-output"]), "'nbval-ignore-output' is not allowed"),
        (cell("x = 1", tags=["skip-execution"]), "'skip-execution' is not allowed"),
        (cell("x = 1", tags=["remove-cell"]), "'remove-cell' is not allowed"),
        (cell("print(path)", stream("/home/reader/gradlib/expectation.py\n")), "names this machine"),
        (cell("print(path)", stream("read from /Users/reader/data.csv\n")), "names this machine"),
        (
            cell("f", new_output("execute_result", {"text/plain": "<function f at 0x7f0123456789>"})),
            "names this machine",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.source.splitlines()[0],
)
def test_rejects_a_cell(bad, why, tmp_path):
    path = tmp_path / "bad.ipynb"
    notebooks.write(path, stored(cell("x = 0"), bad))
    said = checks.problems(notebooks.read(path))
    assert any(why in sentence and sentence.startswith("cell 2:") for sentence in said), said


def test_accepts_a_described_figure():
    described = cell("style.show(figure)", FIGURE, **DESCRIBED)
    assert checks.problems(stored(described)) == []


def test_accepts_a_map_between_sets():
    text = new_output("execute_result", {"text/markdown": r"$F:\mathbb{R}\to\mathbb{R}$, $F:\Theta$"})
    assert checks.problems(stored(cell("F", text))) == []


def test_accepts_an_announced_error():
    assert checks.problems(stored(cell("raise ValueError('no')", ERROR, tags=["raises-exception"]))) == []


def spoil_counts(notebook):
    notebook.cells[1].execution_count = 7


def spoil_id(notebook):
    notebook.cells[1].id = "0123abcd-saved-by-hand"


def spoil_metadata(notebook):
    notebook.metadata["widgets"] = {}


def spoil_cell_metadata(notebook):
    notebook.cells[1].metadata["execution"] = {"iopub.busy": "now"}


def spoil_streams(notebook):
    notebook.cells[1].outputs.append(stream("again\n"))


def spoil_traceback(notebook):
    full = new_output("error", ename="E", evalue="e", traceback=["File x.py, line 1", "E: e"])
    notebook.cells[1].outputs.append(full)


def spoil_empty_cell(notebook):
    notebook.cells.append(new_code_cell(""))


@pytest.mark.parametrize(
    "spoil",
    [spoil_counts, spoil_id, spoil_metadata, spoil_cell_metadata, spoil_streams, spoil_traceback, spoil_empty_cell],
    ids=lambda f: f.__name__,
)
def test_rejects_what_is_not_normalised(spoil):
    notebook = stored(cell("x = 0"), cell("print(x)", stream("0\n")))
    assert checks.problems(notebook) == []
    spoil(notebook)
    assert any("not normalised" in sentence for sentence in checks.problems(notebook))


def test_normalise():
    raw = new_notebook(
        metadata={
            "kernelspec": {"name": "own", "display_name": "own"},
            "colab": {},
            "myst": {"html_meta": {"description": "What the page says."}},
        },
        cells=[
            new_markdown_cell("# Title  \n"),
            new_code_cell(""),
            cell("x = 1", count=12, tags=["hide-input"], collapsed=True),
            cell(
                "x = 1", stream("a"), stream("b"), stream("c", "stderr"), count=40, mystnb={"image": {"alt": "a line"}}
            ),
        ],
    )
    before = nbformat.writes(raw)
    once = normalise(raw)
    assert nbformat.writes(raw) == before
    assert nbformat.writes(normalise(once)) == nbformat.writes(once)
    nbformat.validate(once)
    assert once.metadata == {
        "kernelspec": KERNELSPEC,
        "language_info": {"name": "python"},
        "myst": {"html_meta": {"description": "What the page says."}},
    }
    assert [c.source for c in once.cells] == ["# Title", "x = 1", "x = 1"]
    assert [c.execution_count for c in once.cells[1:]] == [1, 2]
    assert [out.text for out in once.cells[2].outputs] == ["ab", "c"]
    assert [c.metadata for c in once.cells] == [{}, {"tags": ["hide-input"]}, {"mystnb": {"image": {"alt": "a line"}}}]
    assert len({c.id for c in once.cells}) == 3


def test_ids_survive_an_insertion():
    first, second = cell("x = 1"), cell("y = 2")
    assert stored(first, cell("z = 3"), second).cells[2].id == stored(first, second).cells[1].id


# nbval ----------------------------------------------------------------------------------------------------------


def test_nbval_compares_what_a_figure_is_called_and_not_its_coordinates(tmp_path):
    """The same plugin, options and patterns as in `make test`, on a figure whose last digits moved."""

    draw = (
        "class Picture:\n"
        '    def _repr_svg_(self): return \'<svg fill="none">\\n<path d="M 1.22 0"/>\\n</svg>\'\n'
        "    def __repr__(self): return 'a line'\nPicture()"
    )
    for name, called in {"right": "a line", "wrong": "another line"}.items():
        data = {"image/svg+xml": '<svg fill="none">\n<path d="M 1.23 0"/>\n</svg>', "text/plain": called}
        notebooks.write(
            tmp_path / f"{name}.ipynb", stored(cell(draw, new_output("execute_result", data, execution_count=1)))
        )
    patterns = notebooks.ROOT / "tests" / "book" / "nbval_sanitize.cfg"
    compare = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", patterns]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", *compare, tmp_path]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert re.search(r"right.ipynb \.\s.*wrong.ipynb F\s", run.stdout, re.S), run.stdout + run.stderr
