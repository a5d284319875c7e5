"""Execute, normalise and inspect the book's notebooks.

    python book/_tools/notebooks.py execute [NOTEBOOK ...]   re-execute in place, in the book's reading order
    python book/_tools/notebooks.py check   [NOTEBOOK ...]   say what is wrong with the stored notebooks

A stored notebook has one form only, so that a difference between two versions of it is a difference in
what the reader sees: `normalise` makes that form, `problems` lists the departures from it.
"""

import argparse
import ast
import asyncio
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets.config import Config

from themes import colours

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CELL_TIMEOUT = 120  # seconds; the slowest cell of the book needs a tenth of it
WORKERS = 2         # notebooks executed at a time
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}

# Tags that change how a cell is shown, and the one that announces an error. Any other tag could make the build or
# nbval pass over a cell in silence (skip-execution, nbval-skip, nbval-ignore-output, remove-cell, ...).
TAGS = {"hide-input", "hide-output", "hide-cell", "remove-input", "full-width", "raises-exception"}
SILENCING = re.compile(r"#\s*(NBVAL_(IGNORE_OUTPUT|SKIP)|PYTEST_VALIDATE_IGNORE_OUTPUT)")
FOLDERS = "home|root|Users|tmp|var|usr|opt|work|mnt|private"
MACHINE = re.compile(rf"(?<![\w.])/(?:{FOLDERS})/\w|\b[A-Z]:\\Users\b|\b0x[0-9a-f]{{8,}}\b")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A cell of a notebook failed; the message names the page, the cell and the traceback."""


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


# Execution ------------------------------------------------------------------------------------------------------

def failure(path, notebook, client, error):
    """Say which page and which cell failed, and how."""
    cells = notebook.cells
    running = [i for i, cell in enumerate(cells) if cell.cell_type == "code" and cell.metadata.get("execution")]
    number = running[-1] if running else 0
    where = f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}, cell {number + 1} of {len(cells)}"
    raised = [out for out in cells[number].get("outputs", []) if out.output_type == "error"]
    if isinstance(error, CellTimeoutError):
        why = f"still running after {client.timeout} s"
    elif isinstance(error, DeadKernelError):
        why = "the kernel died"
    else:
        why = ANSI.sub("", "\n".join(raised[-1].traceback)) if raised else str(error)
    source = "\n".join("    " + line for line in cells[number].source.splitlines())
    return NotebookError(f"{where} failed:\n{source}\n{why}")


async def execute_one(path, timeout=CELL_TIMEOUT):
    """Execute one notebook from its source in a kernel of its own; return it normalised."""
    notebook = read(path)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # The kernel talks through socket files in a private folder: two kernels started at once can pick the same port.
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=timeout, kernel_name="python3",
                                config=Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"}),
                                resources={"metadata": {"path": str(path.parent)}})
        try:
            # A progress bar would be stored with the outputs.
            await client.async_execute(env={**os.environ, "TQDM_DISABLE": "1"})
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            raise failure(path, notebook, client, error) from None
    return normalise(notebook)


async def execute_all(paths, done, workers, timeout):
    """Execute `paths`, at most `workers` at a time; call `done(path, notebook)` on each as it ends."""
    free, failures, began = asyncio.Semaphore(workers), [], time.perf_counter()

    async def run(path):
        async with free:
            start = time.perf_counter()
            print(f"  {path.stem:<20} started", flush=True)
            try:
                done(path, await execute_one(path, timeout))
                outcome = "done"
            except NotebookError as error:
                failures.append(str(error))
                outcome = "FAILED"
            print(f"  {path.stem:<20} {outcome:<7} {time.perf_counter() - start:6.1f} s", flush=True)

    await asyncio.gather(*map(run, paths))
    print(f"  {len(paths)} notebooks in {time.perf_counter() - began:.1f} s", flush=True)
    if failures:
        raise NotebookError("\n\n".join(failures))


def execute(paths, done, workers=WORKERS, timeout=CELL_TIMEOUT):
    """Execute notebooks in parallel, each from its source and in its own folder.

    Every notebook runs to its end or to its first error before `NotebookError` tells of all failures at once.
    """
    asyncio.run(execute_all(list(paths), done, workers, timeout))


# Normal form ----------------------------------------------------------------------------------------------------

def merge_streams(outputs):
    """Join neighbouring outputs of one stream: where the kernel cuts them is an accident of timing."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def normalise(notebook):
    """Bring a notebook into the one form in which it is stored; the argument is left alone."""
    notebook = nbformat.from_dict(notebook)
    page = {"myst": notebook.metadata["myst"]} if "myst" in notebook.metadata else {}  # the page's description
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}, **page})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    cells = notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    count, seen = 0, {}
    for cell in cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").splitlines())
        # An id taken from the text survives insertions elsewhere and never depends on who saved the file.
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        kept = {key: cell.metadata[key] for key in ("mystnb", "tags") if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
        cell.pop("attachments", None)
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = merge_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            if output.output_type == "error":  # the full traceback names this machine's folders
                output.traceback = [f"{output.ename}: {output.evalue}"]
    return notebook


# Inspection -----------------------------------------------------------------------------------------------------

def must_print(source):
    """True where the last statement clearly yields an output: a print, or a value that is no bare call."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    if not body or not isinstance(body[-1], ast.Expr):
        return False
    value = body[-1].value
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func)
        return name in {"print", "display"} or name.endswith(".show") or name.endswith("Derivation")
    return True


def alternative_text(cell):
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt")


def printed(output):
    """All that an output says, pictures left out."""
    said = [value for mime, value in output.get("data", {}).items() if not mime.startswith("image/")]
    return "\n".join(map(str, [*said, output.get("text", ""), output.get("evalue", "")]))


def cell_problems(cell):
    """What is wrong with one stored code cell: everything under which nbval would compare nothing and say nothing."""
    outputs = cell.outputs
    if cell.execution_count is None:
        yield "stored unexecuted"
    if any(out.output_type == "error" for out in outputs) and "raises-exception" not in cell.metadata.get("tags", []):
        yield "an error stands in the stored output"
    figures = [out.data for out in outputs if any(mime.startswith("image/") for mime in out.get("data", {}))]
    if figures and not alternative_text(cell):
        yield "the figure has no alternative text (cell metadata mystnb: image: alt)"
    if any("image/svg+xml" not in data for data in figures):
        yield "the figure is no SVG; end the cell in style.show(figure)"
    if strange := [colour for data in figures for colour in colours(data.get("image/svg+xml", ""))]:
        yield f"the figure has colours that style.DARK does not know: {', '.join(strange)}"
    if not outputs and must_print(cell.source):
        yield "the output is missing"
    if cell.source.lstrip()[:1] in {"%", "!"}:
        yield "begins with a magic: where it is unknown the cell passes without being executed"
    if SILENCING.search(cell.source):
        yield "a comment switches nbval off"
    if cell.source.rstrip().endswith(";"):
        yield "ends in a semicolon, which does not silence the cell under nbval; assign the value instead"
    if found := MACHINE.search("\n".join(map(printed, outputs))):
        yield f"an output names this machine: {found.group()}…"


def problems(notebook):
    """All that is wrong with a stored notebook, as sentences that name the cell."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        said = [f"tag {tag!r} is not allowed" for tag in cell.metadata.get("tags", []) if tag not in TAGS]
        if cell.cell_type == "code":
            said += cell_problems(cell)
        found += [f"cell {number}: {sentence}" for sentence in said]
    if nbformat.writes(notebook) != nbformat.writes(normalise(notebook)):
        found.append("not normalised; `make execute` does it")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["execute", "check"])
    parser.add_argument("paths", nargs="*", type=Path, metavar="notebook", help="all notebooks of the book by default")
    given = parser.parse_args()
    paths = [path.resolve() for path in given.paths] or notebooks()
    if given.command == "execute":
        try:
            execute(paths, write)
        except NotebookError as error:
            sys.exit(f"\n{error}")
    else:
        found = [f"{path.name}: {sentence}" for path in paths for sentence in problems(read(path))]
        print("\n".join(found) or f"{len(paths)} notebooks are normalised and executed")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
