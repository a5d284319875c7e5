"""Build the book: execute every notebook, run Jupyter Book on the outcome. Any failure ends with a non-zero status.

1. Every notebook runs from its source, never from stored outputs, into `_build/src`, a copy of the book's sources.
   Nothing is cached: a cache keyed by the notebook's text would miss an edit of gradlib and show stale numbers.
2. Jupyter Book reads `_build/src` with execution off, nit-picky, and with every warning an error. All that the pages
   have beyond Jupyter Book's own is the extension `_tools.publish`, which `jupyter-book build .` uses too.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from sphinx.errors import SphinxError

from _tools.execute import NotebookError, execute
from _tools.notebooks import ANSI, BOOK, BUILD, HTML, ROOT, notebooks, write
from _tools.publish import addresses, assets

STAGE = BUILD / "src"
BESIDE = ["_config.yml", "_toc.yml", "tests/book/test_frameworks.py"]  # what Sphinx reads outside book/


@contextlib.contextmanager
def step(text):
    """Announce a stage, and say at its end how long it took."""
    began = time.perf_counter()
    print(f"\n{text}", flush=True)
    try:
        yield
    finally:
        print(f"  took {time.perf_counter() - began:.0f} s", flush=True)


def stage():
    """Copy the sources to a fresh staging tree, executed notebooks in place of stored ones."""
    for stale in (STAGE, HTML, BUILD / ".doctrees", BUILD / "static", BUILD / "jupyter_execute"):
        shutil.rmtree(stale, ignore_errors=True)
    shutil.copytree(
        BOOK,
        STAGE / "book",
        ignore=shutil.ignore_patterns(
            "*.ipynb", ".ipynb_checkpoints", "__pycache__", "_tools", "_lib", "checked.*", "*.zip"
        ),
    )
    for file in BESIDE:
        (STAGE / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, STAGE / file)
    execute(notebooks(), lambda path, notebook: write(STAGE / path.relative_to(ROOT), notebook))


def readable(line):
    """Name the source page, and the cell, where Sphinx names the staged file and 10000 × cell + line."""
    line = ANSI.sub("", line).replace(f"{STAGE}{os.sep}", "")
    return re.sub(r"\.ipynb:(\d+)", lambda m: f".ipynb, cell {int(m[1]) // 10000}, line {int(m[1]) % 10000}", line)


def sphinx():
    """Run Jupyter Book on the staging tree; exit when Sphinx has anything to complain of."""
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        STAGE,
        "--path-output",
        ROOT,
        "-W",
        "-n",
        "--keep-going",
        "-q",
    ]
    said, complaints = [], []
    with subprocess.Popen(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(BOOK)},
    ) as run:
        for line in map(readable, run.stdout):
            said.append(line)
            if re.search(r"(^|: )(WARNING|ERROR|CRITICAL): ", line):
                complaints.append(line)
                print(line, end="", flush=True)
    if run.returncode or complaints:
        print(*([] if complaints else said), sep="", end="")
        sys.exit(f"\nThe book has not been built: Sphinx failed with {len(complaints)} warnings, above.")


def main():
    try:
        addresses.site_address()
        assets.fetch()
        with step("1/2  Executing the notebooks"):
            stage()
    except (NotebookError, SphinxError) as error:
        sys.exit(f"\nThe book has not been built.\n\n{error}")
    with step("2/2  Building the HTML"):
        sphinx()
    page = HTML / "index.html"
    print(f"\nThe book is ready. Open\n  {page}\n  {page.as_uri()}")


if __name__ == "__main__":
    main()
