"""One Sphinx extension: what the pages of the book have beyond those of Jupyter Book. `_config.yml` names it, so that
`jupyter-book build .` makes the same pages from the stored notebooks as `make book` from executed ones.
"""

from pathlib import Path

from sphinx.util import logging

from _tools.notebooks import ROOT

EXTENSIONS = [
    "addresses",  # of the repository and of the site
    "assets",  # what the pages take from npm, and the formulas of the lab
    "generated",  # the page of what has been checked, and the archive of all notebooks
    "typesetting",  # KaTeX
    "themes",  # figures in light and dark
    "folding",  # code that checks, under what it checks
    "mending",  # what accessibility checkers refuse
    "lighten",  # what pages need not carry
    "bundle",  # a button for the archive
    "citation",  # how to cite the book
    "history",  # when a page was last changed
    "indexing",  # the index, and what the search knows
    "linking",  # links to symbols, and to theorems
    "publishing",  # descriptions, and a page for errors; with a public address also previews and a site map
]


def say_what_is_shown(app, exception):
    if not exception and Path(app.srcdir) == ROOT:
        logging.getLogger(__name__).info(
            "The pages show the stored outputs; `make book` executes every notebook and checks what it says."
        )


def setup(app):
    for name in EXTENSIONS:
        app.setup_extension(f"{__name__}.{name}")
    app.connect("build-finished", say_what_is_shown, priority=950)
    return {"parallel_read_safe": True}
