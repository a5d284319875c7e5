"""What the build writes beside the sources, from the outputs of the notebooks there: the page of what has been checked,
and the archive to which the first page links. Both stand in .gitignore.
"""

from pathlib import Path

from _lib import checked
from _tools.notebooks import notebooks
from _tools.publish import bundle

CHECKED = "book/checked"


def write(app):
    source = Path(app.srcdir)
    checked.write_page(notebooks(source), source / f"{CHECKED}.md")
    bundle.pack(source / "book" / f"{bundle.NAME}.zip", bundle.contents(notebooks(source)))


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
