r"""Links to what has no heading: the symbols of the notation page, and numbered boxes.

Each row of a table on the notation page is a target, named after the mathematics in its first column: `p_\theta(x)` is
`sym-p-theta-x`. Any page links to it by `[$p_\theta$](#sym-p-theta-x)`, which JupyterLab shows as a formula too. A name
without a row stops the build.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

TABLES = "book/notation"
PREFIX = "sym-"


def name(tex):
    """The name of a symbol: its letters and digits, without what only says how they are set."""
    plain = re.sub(r"\\(mathbb|mathcal|mathrm|operatorname|frac|dots|cdots|l?r?vert)(?![A-Za-z])", " ", tex)
    said = plain.replace("'", "prime").lower()  # names of targets have no capitals
    return PREFIX + re.sub(r"[^0-9a-z]+", "-", said).strip("-")


class Rows(SphinxTransform):
    """Make each row of the tables of symbols a target."""

    default_priority = 500

    def apply(self, **_):
        if self.env.docname != TABLES:
            return
        named, labels = {}, self.env.get_domain("std").anonlabels
        for row in self.document.findall(nodes.row):
            for symbol in row[0].findall(nodes.math):
                new = name(symbol.astext())
                if new in named:
                    logging.getLogger(__name__).warning("two rows are named %s", new, location=row)
                row["ids"] = row["ids"] or [new]
                named[new] = row
                labels[new] = TABLES, row["ids"][0]


class Symbols(SphinxPostTransform):
    """A link to a symbol is marked as one, and holds the formula alone, so that its punctuation can stay beside it."""

    default_priority = 30
    formats = ("html",)

    def run(self):
        for link in self.document.findall(nodes.reference):
            if f"#{PREFIX}" in link.get("refuri", "") or link.get("refid", "").startswith(PREFIX):
                link["classes"].append("symbol")
                link["reftitle"] = "Notation"
                if formulas := list(link.findall(nodes.math)):
                    link.children = []
                    link += formulas


class Permalinks(SphinxPostTransform):
    """A link on each numbered box (theorem, exercise) and on each proof, as headings and equations have it: what can be
    cited needs an address. The proofs and the insides of the boxes all have one name on a page; here they lose it."""

    default_priority = 20
    formats = ("html",)

    def run(self):
        theorem = None  # the last one, whose proof is still to come
        for box in list(self.document.findall(nodes.Element)):
            if not {"proof", "exercise"} & set(box.get("classes", [])):
                continue
            for inner in box.findall(nodes.section):
                inner["ids"] = []
            where = next(iter(box.findall(nodes.title)), None)
            if box["ids"] == ["proof"]:
                box["ids"] = [f"proof-{theorem}"] if theorem else []
                where, theorem = box.next_node(nodes.paragraph), None
            elif "proof" in box["classes"]:
                theorem = box["ids"][0]
            if where is not None and box["ids"]:
                where += nodes.reference(
                    "",
                    "#",
                    internal=True,
                    refuri=f"#{box['ids'][0]}",
                    classes=["headerlink"],
                    reftitle="Link to this place",
                )


def setup(app):
    app.add_transform(Rows)
    app.add_post_transform(Symbols)
    app.add_post_transform(Permalinks)
    return {"parallel_read_safe": True}
