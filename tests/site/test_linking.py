"""Links to symbols and to numbered boxes lead where they say, and a symbol without a row is noticed."""

import pytest
from docutils import nodes
from docutils.utils import new_document

import miniature
from _tools import notebooks
from _tools.publish import linking, typesetting

TABLE = r"""# Notation

| Symbol | Meaning |
|:--|:--|
| $p_\theta(x)$ | A density |
| $\mu$, $\sigma$ | Two numbers |
"""


@pytest.mark.parametrize(
    "tex, name",
    [
        (r"p_\theta(x)", "sym-p-theta-x"),
        (r"\mathbb{E}_{x\sim p}[F(x)]", "sym-e-x-sim-p-f-x"),
        (r"F''(x)", "sym-fprimeprime-x"),
        (r"\varphi(x)", "sym-varphi-x"),
        (r"\Phi(x)", "sym-phi-x"),
        (r"\pi_\theta(a\mid s)", "sym-pi-theta-a-mid-s"),
    ],
)
def test_name_of_a_symbol(tex, name):
    assert linking.name(tex) == name


def build(folder, text, table=TABLE):
    page = f"# Page\n\n{text}\n\n```{{toctree}}\nbook/notation\n```\n"
    return miniature.build(
        folder,
        {"index.md": page, "book/notation.md": table},
        ["_tools.publish.linking"],
        nitpicky=True,
        templates_path=[],
    )


def test_a_symbol_leads_to_its_row(tmp_path):
    out, said = build(tmp_path, r"Let [$p_\theta$](#sym-p-theta-x), and [$\sigma$](#sym-sigma).")
    page, table = [(out / name).read_text("utf8") for name in ("index.html", "book/notation.html")]
    assert said == ""
    assert 'class="symbol reference internal" href="book/notation.html#sym-p-theta-x" title="Notation"' in page
    assert 'href="book/notation.html#sym-mu"' in page, "one row holds both"
    assert '<tr class="row-even" id="sym-p-theta-x">' in table and 'id="sym-mu"' in table


@pytest.mark.parametrize(
    "text, table, complaint",
    [("[$q$](#sym-q)", TABLE, "sym-q"), ("", TABLE + r"| $\mu$ | Again |" + "\n", "two rows are named sym-mu")],
)
def test_a_symbol_without_a_row_and_a_row_without_a_name_of_its_own_are_noticed(tmp_path, text, table, complaint):
    assert complaint in build(tmp_path, text, table)[1]


def test_every_symbol_of_the_book_has_a_name_of_its_own():
    rows = [line for line in (notebooks.BOOK / "notation.md").read_text("utf8").splitlines() if line.startswith("| $")]
    first = [linking.name(line.split("$")[1]) for line in rows]
    assert len(first) > 40 and len(set(first)) == len(first)


def test_a_linked_symbol_stays_with_its_punctuation():
    link = nodes.reference("", "", nodes.math("F", "F"), classes=["symbol"])
    paragraph = nodes.paragraph("", "", nodes.Text("let ("), link, nodes.Text("), and"))
    document = new_document("page")
    document += paragraph
    typesetting.Unbroken(document).run()
    assert [node.astext() for node in paragraph] == ["let ", "(F),", " and"]


BOXES = """# Page

````{prf:theorem} A name
:label: thm-a

Said.
````

````{prf:proof}
Shown.
````

````{exercise}
:label: ex-a

Do.
````
"""


def test_theorems_proofs_and_exercises_have_permalinks(tmp_path):
    extensions = ["sphinx_proof", "sphinx_exercise", "_tools.publish.linking"]
    out, said = miniature.build(tmp_path, {"index.md": BOXES}, extensions, numfig=True, templates_path=[])
    page = (out / "index.html").read_text("utf8")
    assert said == ""
    for place in "thm-a", "proof-thm-a", "ex-a":
        assert page.count(f'id="{place}"') == 1 and f'class="headerlink reference internal" href="#{place}"' in page
    assert "proof-content" not in page and "exercise-content" not in page
