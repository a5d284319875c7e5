"""How to cite the book, from CITATION.cff alone: the directive `citation` as a sentence or as an entry for BibTeX.

    ```{citation} text        or    ```{citation} bibtex
    ```

An address is added only if it is known: that of the published site, or else of the repository. The year is that of the
commit which is built, unless the file names a day of release. cffconvert was left: it needs jsonschema below 4, Jupyter
one above.
"""

import re

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _tools.notebooks import ROOT, git
from _tools.publish.history import repository

FILE = ROOT / "CITATION.cff"


def read(path=FILE):
    return yaml.safe_load(path.read_text("utf8"))


def authors(record):
    """Their names; a group's name is in braces, which keep it whole in BibTeX."""
    return [
        f"{{{person['name']}}}" if "name" in person else f"{person['family-names']}, {person['given-names']}"
        for person in record["authors"]
    ]


def dated(record, root=ROOT):
    """The year, and the commit if the year is its."""
    if "date-released" in record:
        return str(record["date-released"])[:4], None
    year, commit = (git("log", "-1", "--format=%cs %h", root=root) or " ").split(" ")
    return year[:4] or None, commit or None


def fields(record, address=None, root=ROOT):
    """What BibTeX is told."""
    year, commit = dated(record, root)
    found = {
        "author": " and ".join(authors(record)),
        "title": f"{{{record['title']}}}",
        "version": record.get("version"),
        "year": year,
        "doi": record.get("doi"),
        "url": record.get("url") or address,
        "note": f"Commit {commit}" if commit else None,
    }
    return {name: value for name, value in found.items() if value}


def bibtex(record, **known):
    kind = {"software": "software", "dataset": "dataset"}.get(record["type"], "misc")
    name = re.sub(r"\W+", "-", record["title"].partition(":")[0].lower()).strip("-")
    lines = [f"  {field:<7} = {{{value}}}," for field, value in fields(record, **known).items()]
    return "\n".join([f"@{kind}{{{name},", *lines, "}"])


def sentence(record, **known):
    told = fields(record, **known)
    people = "; ".join(authors(record)).replace("{", "").replace("}", "")
    parts = [people + (f" ({told['year']})" if "year" in told else ""), f"*{record['title']}*"]
    if "version" in told:
        parts.append(f"Version {told['version']}" + (f", commit {told['note'].split()[1]}" if "note" in told else ""))
    parts += [told[name] if name == "url" else f"doi:{told[name]}" for name in ("doi", "url") if name in told]
    return f"{'. '.join(parts)}."


class Citation(SphinxDirective):
    """The directive `citation`."""

    required_arguments = 1
    option_spec = {}

    def run(self):
        self.env.note_dependency(str(FILE))
        address = self.config.html_baseurl or repository(self.config)
        if self.arguments[0] == "text":
            return self.parse_text_to_nodes(sentence(read(), address=address))
        block = nodes.literal_block("", text := bibtex(read(), address=address), language="bibtex")
        block.rawsource = text
        return [block]


def setup(app):
    app.add_directive("citation", Citation)
    return {"parallel_read_safe": True}
