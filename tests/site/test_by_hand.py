"""A Jupyter Book like any other: what a person types who knows Jupyter Book, nbval and JupyterLab, not this Makefile.

Nothing here sets PYTHONPATH. The build reads a fresh copy of what git tracks, so that nothing helps that `make` left.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from nbformat.v4 import new_code_cell, new_notebook, new_output

from _lib import ledger
from _tools import notebooks
from _tools.check import stored
from _tools.execute import normalise
from _tools.publish import bundle

BIN = Path(sys.executable).parent
WRITTEN = {"book/checked.md", f"book/{bundle.NAME}.zip"}  # by the build, beside the sources


def clean():
    """The environment of a person who has not called make."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "SITE_ADDRESS"} and "PYTEST" not in name
    }


def copy(folder, *wanted):
    """Copy what git tracks, or the part of it under the wanted paths."""
    for file in notebooks.git("ls-files", "--", *wanted).splitlines():
        if (notebooks.ROOT / file).exists():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(notebooks.ROOT / file, folder / file)


def files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def plain(once, tmp_path_factory):
    """A fresh copy after `jupyter-book build .`: the folder, and what the build said."""

    def build():
        folder = tmp_path_factory.mktemp("fresh")
        copy(folder)
        if (notebooks.ROOT / "node_modules").exists():  # else the build fetches it, as it does for everybody
            (folder / "node_modules").symlink_to(notebooks.ROOT / "node_modules")
        (folder / ".venv").mkdir()
        (folder / ".venv" / "licence.md").write_text("# A page of some package, where people keep their environment\n")
        before = files(folder)
        run = subprocess.run(
            [BIN / "jupyter-book", "build", "."], cwd=folder, env=clean(), capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        written = {file for file in files(folder) - before if not file.startswith(("_build/", "node_modules/"))}
        assert written == WRITTEN
        return json.dumps([str(folder), run.stdout + run.stderr])

    folder, said = json.loads(once("plain build", build).read_text("utf8"))
    return Path(folder), said


def test_the_plain_build_has_nothing_to_complain_of_and_says_what_it_shows(plain):
    assert [line for line in plain[1].splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL): ", line)] == []
    assert plain[1].count("`make book` executes every notebook") == 1


def test_the_plain_build_is_the_whole_book(plain):
    site = plain[0] / "_build" / "html"
    pages = [*notebooks.reading_order(), "genindex", "search", "404"]
    assert [page for page in pages if not (site / f"{page}.html").exists()] == []
    page = (site / "book" / "motivation.html").read_text("utf8")
    assert 'class="katex-html"' in page and 'class="only-dark"' in page and 'id="equation-eq-' in page
    linked = re.findall(r'(?:href|src)="\.\./(_static/[^"?#]+)', page + (site / "book" / "lab.html").read_text("utf8"))
    assert {"_static/katex/katex.css", "_static/uplot/uPlot.iife.min.js", "_static/lab-data.js"} <= set(linked)
    assert [file for file in linked if not (site / file).exists()] == []
    assert len(list((site / "_static" / "katex" / "fonts").glob("*.woff2"))) > 10
    assert list(site.glob(f"_downloads/*/{bundle.NAME}.zip"))
    assert not (site / ".venv").exists()


def test_the_plain_build_shows_the_stored_statements(plain):
    page = (plain[0] / "_build" / "html" / "book" / "checked.html").read_text("utf8")
    labels = {entry.label for entry in ledger.collect(notebooks.notebooks())}
    assert len(labels) > 50
    assert [label for label in labels if not re.search(rf'href="[^"]*#(equation-)?{label}"', page)] == []


# nbval and JupyterLab -------------------------------------------------------------------------------------------


def test_nbval_by_hand(tmp_path):
    """`pytest --nbval book/` compares as `make test` does: elapsed times are replaced, the book's own code is found."""
    copy(tmp_path, "pyproject.toml", "tests/book/nbval_sanitize.cfg", "book/_lib/__init__.py", "book/_lib/style.py")
    source = "from _lib import style\nprint('TRUTH' if style.TRUTH else None, '12 ms (measured)')"
    for name, said in {"right": "TRUTH", "wrong": "another"}.items():
        told = [new_output("stream", text=f"{said} 34 ms (measured)\n")]
        cells = [new_code_cell(source, execution_count=1, outputs=told)]
        notebooks.write(tmp_path / "book" / f"{name}.ipynb", notebook := normalise(new_notebook(cells=cells)))
        assert stored.problems(notebook) == []
    command = [BIN / "pytest", "--nbval", "book/"]
    run = subprocess.run(command, cwd=tmp_path, env=clean(), capture_output=True, text=True)
    assert re.search(r"right.ipynb \.\s.*wrong.ipynb F\s", run.stdout, re.S), run.stdout + run.stderr


def test_a_kernel_of_jupyterlab_finds_the_books_own_code(monkeypatch):
    """The server that JupyterLab runs in `book/` starts the kernel of a notebook in its folder."""
    monkeypatch.delenv("PYTHONPATH", raising=False)

    async def ask():
        manager = AsyncMappingKernelManager(root_dir=str(notebooks.BOOK))
        kernel = await manager.start_kernel(path="motivation.ipynb")
        client = manager.get_kernel(kernel).client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        heard = []
        await client.execute_interactive(
            "from _lib import style; print(style.__file__)",
            timeout=60,
            output_hook=lambda message: heard.append(message["content"]),
        )
        client.stop_channels()
        await manager.shutdown_kernel(kernel, now=True)
        return heard

    assert any(content.get("text") == f"{notebooks.BOOK / '_lib' / 'style.py'}\n" for content in asyncio.run(ask()))
