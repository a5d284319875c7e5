"""The archive of the notebooks: always the same bytes, complete, and a notebook of it runs in a fresh folder."""

import asyncio
import os
import re
import zipfile

import pytest
from nbformat.v4 import new_code_cell

from _tools import notebooks
from _tools.execute import NotebookError, execute_one
from _tools.publish import bundle

LOCK = """\
# a comment
aa==1 \\
    --hash=sha256:00
    # via book (pyproject.toml)
bb==2 ; sys_platform == 'win32' \\
    --hash=sha256:11
    # via
    #   aa
    #   cc[extra]
cc==3 \\
    --hash=sha256:22
    # via
    #   dd
d-d==4 \\
    --hash=sha256:33
    # via book (pyproject.toml)
ee==5 \\
    --hash=sha256:44
    # via bb
"""


def test_the_requirements_are_closed():
    text, count = bundle.requirements(LOCK, {"aa"})
    assert re.findall(r"^[\w-]+==", text, re.M) == ["aa==", "bb==", "ee=="] and count == 3
    assert "sys_platform == 'win32'" in text and "--hash=sha256:44" in text and "--hash=sha256:22" not in text


def test_a_package_that_is_not_locked_is_noticed():
    with pytest.raises(SystemExit, match="requirements.txt does not hold zz"):
        bundle.requirements(LOCK, {"aa", "zz"})


def test_readers_get_what_the_notebooks_import_and_no_builder():
    text, _ = bundle.requirements(
        (notebooks.ROOT / "requirements.txt").read_text("utf8"),
        {"sympy", "jupyterlab", "dask", "gymnasium", "matplotlib"},
    )
    names = set(re.findall(r"^([\w.-]+)==", text, re.M))
    assert {"sympy", "mpmath", "jupyterlab", "jupyter-server", "numpy"} <= names
    assert not {"jupyter-book", "sphinx", "pytest", "playwright"} & names


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive of the stored notebooks, and the folder into which it was unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    bundle.pack(folder / "book.zip", bundle.contents(notebooks.notebooks()))
    with zipfile.ZipFile(folder / "book.zip") as packed:
        packed.extractall(folder)
    return folder / "book.zip", folder / bundle.NAME


def test_the_same_bytes_again(archive, tmp_path):
    for path in (copies := [tmp_path / path.name for path in notebooks.notebooks()]):
        path.write_bytes((notebooks.BOOK / path.name).read_bytes())  # of another time
        os.utime(path, (10**9, 10**9))
    bundle.pack(tmp_path / "again.zip", dict(reversed(bundle.contents(copies).items())))
    assert (tmp_path / "again.zip").read_bytes() == archive[0].read_bytes()
    bundle.pack(tmp_path / "other.zip", {**bundle.contents(copies), "LICENSE": b""})
    assert (tmp_path / "other.zip").read_bytes() != archive[0].read_bytes()


def test_it_is_complete(archive):
    _, folder = archive
    assert {path.name for path in notebooks.notebooks()} == {path.name for path in folder.glob("*.ipynb")}
    for code in notebooks.ROOT / "gradlib", notebooks.BOOK / "_lib":
        packed = {path.relative_to(folder / code.name) for path in (folder / code.name).rglob("*") if path.is_file()}
        assert {path.relative_to(code) for path in code.rglob("*.py")} == packed
    assert (folder / "data" / "README.md").exists() and list((folder / "data").glob("*.csv"))


def missing(folder):
    """What the commands of the README name and the folder does not hold."""
    commands = re.findall(r"^    (.+)$", (folder / "README.md").read_text("utf8"), re.M)
    assert len(commands) == 4 and all(".venv" in command for command in commands)
    named = {name for command in commands for name in re.findall(r"[\w-]+\.(?:txt|ipynb)\b", command)}
    return {"requirements.txt", *named} - {path.name for path in folder.iterdir()}


def test_the_commands_of_the_readme_name_what_is_there(archive, tmp_path):
    assert missing(archive[1]) == set()
    (tmp_path / "README.md").write_text((archive[1] / "README.md").read_text("utf8"))
    assert missing(tmp_path) == {"requirements.txt", "index.ipynb"}


def said(cell):
    """The outputs of a cell without pictures, whose last digits differ between processors."""
    return [
        {mime: data for mime, data in output.get("data", output).items() if not mime.startswith("image/")}
        for output in cell.get("outputs", [])
    ]


def run(path):
    """Execute a notebook where it lies: which gradlib and _lib it imported, and whether it said what is stored."""
    notebook = notebooks.read(path)
    stored = [said(cell) for cell in notebook.cells]
    notebook.cells.append(new_code_cell("import gradlib, _lib; print(gradlib.__file__, _lib.__file__)"))
    notebooks.write(path, notebook)
    done = asyncio.run(execute_one(path))
    *cells, last = done.cells
    return last.outputs[0].text.split(), [said(cell) for cell in cells] == stored


def test_a_notebook_runs_in_a_fresh_folder(archive, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    _, folder = archive
    code, as_stored = run(folder / "motivation.ipynb")  # it reads the data too
    assert code == [str(folder / name / "__init__.py") for name in ("gradlib", "_lib")] and as_stored
    (tmp_path / "index.ipynb").write_bytes((notebooks.BOOK / "index.ipynb").read_bytes())
    with pytest.raises(NotebookError, match="No module named '_lib'"):
        run(tmp_path / "index.ipynb")
