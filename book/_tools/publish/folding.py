"""What checks an equation stands folded under it, and what it rests on beside its number.

A Sphinx extension. In the notebook the code stands whole above what it shows. A page is read for what it says: folded
are the cells that show a checked statement, and those with the tag hide-input, under what they show; and cells of
imports but for the first of a page.
"""

import ast
import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from _lib.displays import load, text_of
from _lib.ledger import collect
from gradlib.proof.evidence import ASSUMPTION, CITED, DEFINITION, INEQUALITY, MONTE_CARLO, NUMERIC, PROVED, RESTATEMENT

EXPLAINED = "book/checking"  # the page that says what the words mean
WORDS = {
    PROVED: "proved",
    INEQUALITY: "proved",
    NUMERIC: "tried",
    ASSUMPTION: "assumed",
    CITED: "cited",
    DEFINITION: "defined",
    RESTATEMENT: "repeated",
    MONTE_CARLO: "measured",
}
UNCHECKED = {ASSUMPTION, CITED, DEFINITION}
_KIND = "kind-of-evidence"


class Fold(nodes.General, nodes.Element):
    """Code that one line opens."""


def visit(self, node):
    self.body.append(f'<details class="how"><summary>{escape(node["line"])}</summary>\n')


def depart(self, node):
    self.body.append("</details>\n")


def line(entry):
    """What a fold says while it is closed."""
    if entry.kind in UNCHECKED:
        return "How this is stated"
    if entry.restates:
        return "How this was checked: compared with the equation that it repeats"
    given = "" if " given " in entry.detail or not entry.assumptions else f", given {', '.join(entry.assumptions)}"
    return f"How this was checked: {entry.detail}{given}"


def only_imports(source):
    """Whether a cell does nothing but import."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # of the shell, or of IPython
        return False
    return bool(body) and all(isinstance(part, (ast.Import, ast.ImportFrom)) for part in body)


def below(cell, said):
    """Move the code of a cell under its output."""
    code = cell.children[0]
    cell.remove(code)
    cell += Fold("", code, line=said)
    cell.attributes.pop("hide_mode", None)  # or myst_nb folds it, above


class Folds(SphinxPostTransform):
    """Move the code below what it shows, into a fold."""

    default_priority = 150  # when the outputs have been chosen
    formats = ("html",)

    def run(self, **_):
        path = Path(self.env.doc2path(self.env.docname))
        if path.suffix != ".ipynb":
            return
        entries = {entry.cell: entry for entry in collect([path])}
        imports = [i for i, cell in enumerate(load(path)["cells"], 1) if only_imports(_code(cell))]
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") != "cell_code" or not cell.children:
                continue
            code, number = cell.children[0], cell["cell_index"] + 1
            if code.get("nb_element") != "cell_code_source":
                continue
            if entry := entries.get(number):
                below(cell, line(entry))
                for equation in cell.findall(nodes.math_block):
                    equation["classes"].append(f"{_KIND}-{WORDS[entry.kind]}")
            elif cell.get("hide_mode") == "input":
                below(cell, "The code of this picture")
            elif number in imports[1:]:
                cell.replace(code, Fold("", code, line="Imports"))


def _code(cell):
    return text_of(cell["source"]) if cell["cell_type"] == "code" else ""


def beside_the_number(html, explained):
    """The kind of evidence under the number of an equation, as a link to what it means."""
    return re.sub(
        rf'(<div class="(?:[^"]* )?){_KIND}-(\w+)((?: [^"]*)?"[^>]*>\s*<span class="eqno">)(.*?)</span>',
        rf'\1\3\4<a class="evidence" href="{explained}#\2">\2</a></span>',
        html,
        flags=re.DOTALL,
    )


def finish(app, exception):
    if exception or app.builder.format != "html":
        return
    for page in sorted(app.env.found_docs):
        path = Path(app.builder.get_outfilename(page))
        html = path.read_text("utf8")
        if _KIND in html:
            path.write_text(beside_the_number(html, app.builder.get_relative_uri(page, EXPLAINED)), "utf8")


def setup(app):
    app.add_node(Fold, html=(visit, depart))
    app.add_post_transform(Folds)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
