"""Mend in the HTML what no option reaches: attributes that accessibility checkers refuse, a link to no source."""

import re
from pathlib import Path

from _tools.publish.generated import CHECKED

REFUSED = [
    ('<summary aria-label="Toggle hidden content">', "<summary>"),
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
    (' role="doc-biblioentry"', ""),
]


def mended(page, html):
    for refused, attribute in REFUSED:
        html = html.replace(refused, attribute)
    if page == CHECKED:  # nothing to edit: the page is generated
        html = re.sub(r'<li><a href="[^"]*/edit/[^"]*".*?</li>', "", html, flags=re.S)
    return html


def finish(app, exception):
    if not exception and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            html = path.read_text("utf8")
            page = path.relative_to(app.outdir).with_suffix("").as_posix()
            if (better := mended(page, html)) != html:
                path.write_text(better, "utf8")


def setup(app):
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
