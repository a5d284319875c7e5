"""Small Sphinx projects, built with the book's own extensions and templates."""

import io

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from _tools.notebooks import BOOK


def build(folder, files, extensions, **config):
    """Write the files and build them; the folder of the pages, and what Sphinx complained of."""
    for name, text in files.items():
        (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src" / name).write_text(text, "utf8")
    said = io.StringIO()
    config = {
        "extensions": ["myst_parser", *extensions],
        "project": "Little Book",
        "html_theme": "basic",
        "language": "en",
        "myst_enable_extensions": ["dollarmath"],
        "templates_path": [str(BOOK / "_templates")],
        **config,
    }
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            folder / "src", None, folder / "out", folder / "doctrees", "html", config, status=None, warning=said
        )
        app.build()
    return folder / "out", said.getvalue()
