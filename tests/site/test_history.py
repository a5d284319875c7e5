"""Dates of pages: those of commits, in UTC; none where git cannot know them."""

import os
import subprocess
import time

import jinja2
import pytest

from _tools import notebooks
from _tools.publish import history
from _tools.publish.history import Change, last_change

DATES = {"first": "2026-01-05T12:00:00+00:00", "second": "2026-03-01T23:30:00-05:00"}


def git(root, *words, date=DATES["first"]):
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in {"NAME": "A", "EMAIL": "a@example.org", "DATE": date}.items()
    }
    return subprocess.run(
        ["git", "-C", root, *words], check=True, capture_output=True, text=True, env={**os.environ, **who}
    ).stdout


@pytest.fixture
def repository(tmp_path):
    """Two pages; the second commit touches one of them."""
    root = tmp_path / "book"
    root.mkdir()
    git(root, "init", "--quiet")
    for commit, pages in {"first": ["a.md", "b.md"], "second": ["b.md"]}.items():
        for page in pages:
            (root / page).write_text(commit)
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", commit, date=DATES[commit])
    return root


def test_the_last_commit_that_touched_a_page(repository, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    first, second = git(repository, "log", "--format=%H", "--reverse").split()
    a, b = last_change(["a.md"], repository), last_change(["b.md"], repository)
    assert (str(a), a.commit, str(b), b.commit) == ("5 January 2026", first, "2 March 2026", second)
    assert last_change(["a.md", "b.md"], repository).commit == second
    assert last_change(["a.md", "none.ipynb"], repository).commit == first
    monkeypatch.undo()
    time.tzset()


def test_nothing_for_what_no_commit_holds(repository):
    (repository / "a.md").write_text("changed since")
    (repository / "new.md").write_text("never committed")
    assert last_change(["a.md"], repository) is None
    assert last_change(["new.md"], repository) is None
    assert last_change(["b.md"], repository)


def test_nothing_in_a_shallow_clone(repository, tmp_path):
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    git(tmp_path, "clone", "--quiet", repository.as_uri(), "full")
    assert last_change(["a.md"], tmp_path / "shallow") is None
    assert last_change(["a.md"], tmp_path / "full")


def test_nothing_without_git(tmp_path, repository, monkeypatch):
    assert last_change(["a.md"], tmp_path) is None
    (repository / "unpacked").mkdir()
    (repository / "unpacked" / "a.md").write_text("an archive inside another repository")
    assert last_change(["a.md"], repository / "unpacked") is None
    monkeypatch.setenv("PATH", "")
    assert last_change(["a.md"], repository) is None


@pytest.mark.parametrize(
    "repository_, address",
    [
        ("https://github.com/a/b", "https://github.com/a/b/commit/1f"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b/-/commit/1f"),
        ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/commits/1f"),
        ("https://code.university.edu/a/b", None),
        (None, None),
    ],
)
def test_address_of_a_commit(repository_, address):
    assert history.commit_address(repository_, "1f") == address


class Config:
    def __init__(self, **options):
        self.html_theme_options = options


def test_the_repository_of_jupyter_book_is_not_the_books():
    elsewhere = "https://github.com/someone/jupyter-book"
    assert history.repository(Config(repository_url=elsewhere)) is None
    assert history.repository(Config(repository_url=elsewhere, use_repository_button=False)) is None
    assert history.repository(Config(repository_url=elsewhere, use_repository_button=True)) == elsewhere


def test_the_foot_of_a_page(repository):
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(notebooks.BOOK / "_templates"))
    foot = templates.get_template("last-updated.html")
    change = last_change(["b.md"], repository)
    assert foot.render().strip() == ""
    assert f"<code>{change.commit[:7]}</code>." in foot.render(change=change, change_day="2026-03-02")
    said = foot.render(change=change, change_day="2026-03-02", change_url="https://github.com/a/b/commit/1f")
    assert '<time datetime="2026-03-02">2 March 2026</time>' in said
    assert 'href="https://github.com/a/b/commit/1f"' in said


def test_what_a_page_shows_beside_its_source_is_there():
    assert set(history.ALSO) <= set(notebooks.reading_order())
    assert [path for paths in history.ALSO.values() for path in paths if not list(notebooks.ROOT.glob(path))] == []


def test_a_change_prints_its_day():
    assert str(Change(history.datetime(2026, 11, 2, tzinfo=history.UTC), "1f")) == "2 November 2026"
