"""When each page was last changed, from git. Nothing is said where git cannot know it.

The dates of the files say when they were copied; only the history knows. A shallow clone has no history, an unpacked
archive has no git, and a page with uncommitted changes is not what any commit holds: then the foot has no date.
sphinx-last-updated-by-git was left: it looks where Sphinx reads, and there lie the executed copies; it names no commit,
and dates a page with uncommitted changes by the commit before them.
"""

import functools
import re
from datetime import UTC, datetime
from typing import NamedTuple

from _tools.notebooks import ROOT, git

# What a page shows beside its own source.
ALSO = {
    "book/checked": ["book/*.ipynb", "book/_lib/checked.py", "book/_lib/ledger.py"],
    "book/reference": ["gradlib"],
    "book/bibliography": ["book/references.bib"],
    "book/frameworks": ["tests/book/test_frameworks.py"],
    "book/lab": ["book/_lib/lab.py", "book/_static/lab.js"],
    "book/citing": ["CITATION.cff"],
}
COMMITS = {"github": "commit", "gitlab": "-/commit", "bitbucket": "commits"}  # below a repository's address


class Change(NamedTuple):
    """The last commit that touched a page, and its day in UTC."""

    day: datetime
    commit: str

    def __str__(self):
        return f"{self.day.day} {self.day:%B %Y}"


def complete(root=ROOT):
    """True if git knows the whole history; in a shallow clone every page would seem as young as the clone."""
    return git("rev-parse", "--is-shallow-repository", root=root) == "false"


def sources(page):
    """The files, as git's patterns, that decide what a page says."""
    return [f"{page}.ipynb", f"{page}.md", *ALSO.get(page, [])]


def last_change(paths, root=ROOT):
    """The last commit that touched one of the paths; None where git cannot know, or where they have changed since."""
    if not complete(root) or git("status", "--porcelain", "--", *paths, root=root):
        return None
    found = git("log", "-1", "--format=%ct %H", "--", *paths, root=root)
    return found and Change(datetime.fromtimestamp(int(found.split()[0]), UTC), found.split()[1])


def commit_address(repository, commit):
    """The page of a commit on the host of the repository; None without one."""
    host = re.match(r"https://(\w+)\.", repository or "")
    return f"{repository}/{COMMITS[host[1]]}/{commit}" if host and host[1] in COMMITS else None


def repository(config):
    """The address of the repository as Sphinx was told it; None if there is none (Jupyter Book then names its own)."""
    options = config.html_theme_options
    return options["repository_url"] if options.get("use_repository_button") in (True, "true", "True") else None


@functools.cache
def last_change_of(page):
    return last_change(sources(page))


def add_date(app, page, template, context, doctree):
    """Complete a page's foot; the template is book/_templates/last-updated.html."""
    if doctree is not None and (change := last_change_of(page)):
        context["change"], context["change_day"] = change, f"{change.day:%Y-%m-%d}"
        context["change_url"] = commit_address(repository(app.config), change.commit)


def setup(app):
    app.connect("html-page-context", add_date)
    return {"parallel_read_safe": True}
