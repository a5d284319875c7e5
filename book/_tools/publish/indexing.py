"""Two ways to look something up: the index, as at the end of a printed book, and the words that the search knows.

The glossary and the role `index` make entries by themselves. Here each chapter's first mention of a glossary term
(role `term`) becomes one too, and the numbers after an entry are those of the chapters.
"""

import re
from urllib.parse import urldefrag

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

PUBLIC = re.compile(r"(.+) \((?:in module|class in) gradlib\)")  # what a reader reaches as gl.name


class Entries(SphinxTransform):
    """Note where a page first mentions a term. Of the library's names keep those that the reader calls."""

    default_priority = 840  # before the index is read from the page

    def apply(self, **_):
        for node in list(self.document.findall(addnodes.index)):
            entries = [(kind, named(value), *rest) for kind, value, *rest in node["entries"]]
            node["entries"] = [entry for entry in entries if entry[1]]
        seen = set()
        for mention in list(self.document.findall(addnodes.pending_xref)):
            term = mention.get("reftarget")
            if mention.get("reftype") == "term" and term not in seen:
                seen.add(term)
                name, place = f"term-use-{len(seen)}", mention.parent.index(mention)
                mention.parent[place:place] = [
                    addnodes.index(entries=[("single", term, name, "", None)]),
                    nodes.target("", "", ids=[name]),
                ]


def named(entry):
    """An entry as the index shows it; None for names of gradlib that are not public."""
    if "gradlib" not in entry:
        return entry
    public = PUBLIC.fullmatch(entry)
    return f"{public[1]} (gradlib)" if public else None


class Contents(SphinxTransform):
    """The index is the last page of the contents. _toc.yml cannot say so: it names sources, and there is none."""

    default_priority = 110  # after the contents of _toc.yml have been inserted

    def apply(self, **_):
        if self.env.docname == self.config.root_doc and self.config.html_use_index:
            for last in list(self.document.findall(addnodes.toctree))[-1:]:
                last["entries"].append(("Index", "genindex"))


def places(links, number, title):
    """The links (main, address) of an entry, one for each page: address, text, and what the text stands for."""
    found = {}
    for main, address in links:
        page = urldefrag(address)[0].removesuffix(".html")
        chapter = number(page)
        if main:
            found[page] = address, "definition", ""
        elif page not in found:
            found[page] = address, chapter or title(page), f"Chapter {chapter}, {title(page)}" if chapter else ""

    def order(place):
        return place[1] != "definition", not place[1].isdigit(), place[1].zfill(3)

    return sorted(found.values(), key=order)


def add_places(app, page, template, context, doctree):
    """Tell the template of the index (book/_templates/genindex.html) where the links lead."""
    if page == "genindex":

        def number(name):
            return ".".join(map(str, app.env.toc_secnumbers.get(name, {}).get("", ())))

        context["places"] = lambda links: places(links, number, lambda name: app.env.titles[name].astext())


# Search -----------------------------------------------------------------------------------------------------------


def without_mathematics(doctree):
    """The page as the search shall know it: nobody looks for `frac` or `mathbb`."""
    doctree = doctree.deepcopy()
    for formula in [*doctree.findall(nodes.math), *doctree.findall(nodes.math_block)]:
        formula.parent.remove(formula)
    return doctree


def clean_search(app):
    if app.builder.format == "html":
        index_page = app.builder.index_page
        app.builder.index_page = lambda page, doctree, title: index_page(page, without_mathematics(doctree), title)


def setup(app):
    app.add_transform(Entries)
    app.add_transform(Contents)
    app.connect("html-page-context", add_places)
    app.connect("builder-inited", clean_search)
    return {"parallel_read_safe": True}
