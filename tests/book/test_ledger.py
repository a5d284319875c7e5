"""The ledger: what it lists, and the equations that it must not let pass."""

import copy
import json

import pytest
import sympy as sp

from _lib import checked, ledger
from _lib.displays import displayed
from _lib.ledger import LedgerError
from gradlib.proof import Assumption, Cited, Definition, Derivation, Restatement, Table
from gradlib.proof.evidence import DEFINITION, PROVED
from gradlib.proof.statements import MIME

a, b, c = sp.symbols("a b c", real=True)
DEF = Definition("eq-def-c", c, a + b, title="The sum")
FIRST = Derivation("eq-square", (a + b) ** 2, (a**2 + 2 * a * b + b**2, "expand"), title="A square", uses=[DEF])
SECOND = Derivation("eq-c-square", c**2, (a**2 + 2 * a * b + b**2, "definition", DEF), uses=[FIRST])


def code(*outputs, source="show()"):
    return {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": [
            {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data} for data in outputs
        ],
    }


def shown(*statements):
    return code(*(json.loads(json.dumps(s._repr_mimebundle_())) for s in statements))


def text(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def notebook(*cells):
    return {
        "cells": [text("# Title\n\nprose with $a = b$ inline"), *cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write(folder, **notebooks):
    paths = []
    for name, content in notebooks.items():
        paths.append(folder / f"{name}.ipynb")
        paths[-1].write_text(json.dumps(content))
    return paths


def test_honest_notebook_passes(tmp_path):
    cited = Cited("eq-dct", r"\lim \int = \int \lim", "dominated convergence", source="folland1999")
    table = Table("tab-summary", ["J", "gradient"], [["one", Restatement("eq-again", FIRST)]], title="Summary")
    nb = notebook(
        shown(DEF), shown(FIRST), shown(SECOND), shown(cited), shown(Restatement("eq-again", FIRST)), shown(table)
    )
    assert ledger.check_notebook(nb) == []
    ledger.check(write(tmp_path, one=nb))
    assert [display.label for _, display in displayed(nb)] == [
        "eq-def-c",
        "eq-square",
        "eq-c-square",
        "eq-dct",
        "eq-again",
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"text/markdown": "$$ 1 = 2 $$ (eq-fake)"},
        {"text/markdown": "$$ 1 = 2 $$"},
        {"text/markdown": "so $$1 = 2$$ inline"},
        {"text/markdown": "\\begin{align} 1 &= 2 \\end{align}"},
        {"text/markdown": "\\begin{equation*}\n1 = 2\n\\end{equation*}"},
        {"text/markdown": "\\begin{gather} 1 = 2 \\end{gather}"},
        {"text/markdown": "\\begin{multline} 1 = 2 \\end{multline}"},
        {"text/markdown": "\\[ 1 = 2 \\]"},
        {"text/markdown": "```{math}\n:label: eq-fake\n1 = 2\n```"},
        {"text/markdown": ":::{math}\n1 = 2\n:::"},
        {"text/markdown": "````{note}\n$$ 1 = 2 $$ (eq-fake)\n````"},
        {"text/markdown": "$\\displaystyle 1 = 2$"},
        {"text/markdown": "$$ 1 = 2"},
        {"text/latex": "$\\displaystyle 1 = 2$"},
        {"text/latex": "$1 = 2$"},
        {"text/html": "<p>$$ 1 = 2 $$</p>"},
        {"text/html": "<p>\\[ 1 = 2 \\]</p>"},
        {"text/html": '<math display="block"><mn>1</mn></math>'},
        {"text/html": "\\begin{align} 1 &= 2 \\end{align}"},
    ],
    ids=lambda data: next(iter(data.values()))[:24],
)
def test_fakes_in_outputs(data, tmp_path):
    nb = notebook(shown(DEF), code({"text/plain": "x", **data}))
    problems = ledger.check_notebook(nb, "ch1")
    assert len(problems) >= 1 and "ch1, cell 3" in problems[0]
    with pytest.raises(LedgerError, match="cell 3"):
        ledger.check(write(tmp_path, ch1=nb))


@pytest.mark.parametrize(
    "source", ["$$\n1 = 2\n$$ (eq-fake)", "$$1=2$$", "\\begin{align}\n1\n\\end{align}", "```{math}\n1\n```", "> $$1$$"]
)
def test_fakes_in_markdown_cells(source, tmp_path):
    assert "cell 2" in ledger.check_notebook(notebook(text(source)))[0]
    page = tmp_path / "page.md"
    page.write_text(f"# T\n\n{source}\n")
    assert "page.md" in ledger.check_markdown(page)[0]


@pytest.mark.parametrize(
    "source",
    [
        "> ```python\n> $$1=2$$\n> ```",
        "`$$ 1 = 2 $$`",
        "``a ` $$1$$``",
        "```python\nx = '$$1=2$$'\n```",
        "~~~\n\\[ 1 \\]\n~~~",
        "costs \\$\\$ 2",
        "$a$ and $b$",
        "\\begin{aligned}",
    ],
)
def test_no_false_alarm(source, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# T\n\n{source}\n")
    assert ledger.check_markdown(page) == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: data[MIME].update(latex="1 = 2"),
        lambda data: data[MIME].update(label="eq-other"),
        lambda data: data.update({"text/markdown": data["text/markdown"].replace("2", "3")}),
        lambda data: data.update({"text/markdown": data["text/markdown"].replace("eq-square", "eq-else")}),
        lambda data: data.update({"text/markdown": data["text/markdown"] + "\n\n$$ 1 = 2 $$ (eq-fake)"}),
        lambda data: data.update({"text/markdown": data["text/markdown"] * 2}),
        lambda data: data.update({"text/markdown": "nothing"}),
        lambda data: data.update({"text/latex": "$$1 = 2$$"}),
        lambda data: data.update({"text/html": "<b>1 = 2</b>"}),
        lambda data: data.pop(MIME),
    ],
)
def test_forged_bundles(forge):
    cell = copy.deepcopy(shown(FIRST))
    forge(cell["outputs"][0]["data"])
    assert ledger.check_notebook(notebook(cell))


@pytest.mark.parametrize(
    "source", [f'display({{"{MIME}": {{}}}}, raw=True)', "x._repr_mimebundle_ = f", "display(d, raw=True)"]
)
def test_hand_made_bundles(source):
    assert "only a checked statement" in ledger.check_notebook(notebook(code(source=source)))[0]


def test_collect_and_summary(tmp_path):
    paths = write(tmp_path, one=notebook(shown(DEF), shown(FIRST)), two=notebook(shown(SECOND)))
    entries = ledger.collect([*paths, tmp_path / "page.md"])
    assert [(e.page, e.chapter, e.cell, e.label, e.kind) for e in entries] == [
        ("one", "Title", 2, "eq-def-c", DEFINITION),
        ("one", "Title", 3, "eq-square", PROVED),
        ("two", "Title", 2, "eq-c-square", PROVED),
    ]
    assert entries[2].uses == ("eq-square", "eq-def-c")
    counts = ledger.summary(paths)
    assert counts[PROVED] == 2 and counts[DEFINITION] == 1 and sum(counts.values()) == 3


def test_labels_must_fit(tmp_path):
    x = Derivation("eq-x", a + a, (2 * a, ""), uses=["eq-y"])
    y = Derivation("eq-y", a + a, (2 * a, ""), uses=["eq-x"])
    supposed = Derivation("eq-z", a + a, (2 * a, ""), given=["eq-nowhere"])
    for statements, words in (
        ([DEF, DEF], "eq-def-c is used twice"),
        ([FIRST], "unknown label eq-def-c"),
        ([supposed], "unknown label eq-nowhere"),
        ([x, y], "circular reasoning: eq-x rests on eq-y rests on eq-x"),
        ([Restatement("eq-r", "eq-gone", a, b)], "unknown label eq-gone"),
        ([DEF, FIRST, Restatement("eq-r", "eq-square", (a + b) ** 2, a**2)], "no restatement of eq-square"),
        (
            [DEF, FIRST, Table("tab-t", ["J"], [[Restatement("eq-r", "eq-square", (a + b) ** 2, a**2)]])],
            "no restatement of eq-square",
        ),
    ):
        paths = write(tmp_path, one=notebook(*map(shown, statements)))
        with pytest.raises(LedgerError, match=words):
            checked.write_page(paths, tmp_path / "checked.md")
        assert not (tmp_path / "checked.md").exists()


def test_unknown_evidence_is_refused(tmp_path):
    for change in ({"kind": "obvious"}, {"evidence": {"kind": "obvious", "detail": ""}}):
        cell = shown(FIRST)
        cell["outputs"][0]["data"][MIME].update(change)
        with pytest.raises(LedgerError, match="unknown evidence"):
            ledger.collect(write(tmp_path, one=notebook(cell)))
    cell = shown(FIRST)
    del cell["outputs"][0]["data"][MIME]["uses"]
    with pytest.raises(LedgerError, match="lacks 'uses'"):
        ledger.collect(write(tmp_path, one=notebook(cell)))


def test_page(tmp_path):
    hypothesis = Assumption("eq-a1", sp.Eq(a, 1), "a is one")
    given = Derivation("eq-given", a * b, (b, "A1", hypothesis))
    table = Table("tab-summary", ["J", "gradient"], [["one", Restatement("eq-again", FIRST)]], title="Summary")
    paths = write(
        tmp_path,
        one=notebook(shown(DEF), shown(FIRST), shown(hypothesis)),
        two=notebook(shown(SECOND), shown(given), shown(table)),
    )
    out = tmp_path / "checked.md"
    checked.write_page(paths, out)
    page = out.read_text()
    assert page.startswith("# What has been checked\n")
    assert "SymPy is a computer algebra system, not a proof kernel" in page
    assert "| {eq}`eq-square` A square | proved symbolically | – | {eq}`eq-def-c` |" in page
    assert "| {eq}`eq-given` | proved symbolically | {eq}`eq-a1` | – |" in page
    assert "{ref}`Summary <tab-summary>`" in page
    svg = page[page.index("<div class") : page.index("</ul>")]
    assert "\n\n" not in svg  # a blank line would end the block of HTML
    assert svg.count("<a href=") == 6 and svg.count('class="edge"') == 5
    assert 'href="one.html#equation-eq-square"' in svg and 'href="two.html#tab-summary"' in svg
    assert ledger.check_markdown(out) == []
    again = out.read_text()
    checked.write_page(paths, out)
    assert out.read_text() == again
