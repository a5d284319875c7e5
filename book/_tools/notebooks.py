"""The book's files: where they are, in which order they are read, and how a notebook is read and written."""

import os
import re
import subprocess
from pathlib import Path

import nbformat
import yaml

BOOK = Path(__file__).resolve().parents[1]
ROOT = BOOK.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def files(node):
    """The pages under a node of `_toc.yml`, in the order in which they are read."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from files(child)


def parts(root=ROOT):
    """The parts of the book: the caption of each, if it has one, and its pages, as `reading_order` names them."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf8"))
    return [(None, [toc["root"]])] + [(part.get("caption"), list(files(part))) for part in toc["parts"]]


def reading_order(root=ROOT):
    """The pages of `_toc.yml`, as paths without suffix relative to `root`, in the order in which they are read."""
    return [page for _, pages in parts(root) for page in pages]


def notebooks(root=ROOT):
    """The notebooks of the book in reading order."""
    return [path for page in reading_order(root) if (path := root / f"{page}.ipynb").is_file()]


def read(path):
    return nbformat.read(path, as_version=4)


def write(path, notebook):
    Path(path).write_text(nbformat.writes(notebook) + "\n", "utf8")


def git(*words, root=ROOT):
    """The answer of a git command about this repository (not about one that happens to lie around it), or None."""
    try:
        found = subprocess.run(
            ["git", *words],
            cwd=root,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(Path(root).resolve().parent)},
        )
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
