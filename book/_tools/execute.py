"""Execute notebooks in parallel, each from its source, and bring them into the one form in which they are stored.

    python -m _tools.execute [NOTEBOOK ...]   re-execute in place; all notebooks of the book by default
    python -m _tools.execute --list           only name them, the longest first

A stored notebook has one form only, so that a difference between two versions of it is a difference in what the reader
sees: `normalise` makes that form, and `check/stored.py` lists the departures from it. Jupyter Book could execute too:
one page after the other, or with jupyter-cache, which takes old outputs where gradlib was edited and not the notebook.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets.config import Config

from _tools.notebooks import ANSI, BOOK, BUILD, ROOT, notebooks, read, write

CELL_TIMEOUT = 120  # seconds; the slowest cell of the book needs a tenth of it
WORKERS = 2  # notebooks executed at a time
SECONDS = BUILD / "seconds.json"  # how long each took when it last ran
SECONDS_OF_A_CELL = 0.5
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class NotebookError(Exception):
    """A cell of a notebook failed; the message names the page, the cell and the traceback."""


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
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            config=Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"}),
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            # A progress bar would be stored with the outputs.
            await client.async_execute(env={**os.environ, "TQDM_DISABLE": "1"})
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            raise failure(path, notebook, client, error) from None
    return normalise(notebook)


def longest_first(paths, record=SECONDS):
    """Those first that took longest when they last ran, so that no processor waits for the other at the end. A notebook
    that has not run here counts by its code cells."""
    known = json.loads(record.read_text("utf8")) if record.exists() else {}

    def expected(path):
        return known.get(path.stem) or sum(cell.cell_type == "code" for cell in read(path).cells) * SECONDS_OF_A_CELL

    return sorted(paths, key=expected, reverse=True)


def remember(seconds, record=SECONDS):
    """Note how long notebooks took, beside what is known of others."""
    known = json.loads(record.read_text("utf8")) if record.exists() else {}
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(known | seconds, indent=1), "utf8")


async def execute_all(paths, done, workers, timeout):
    """Execute `paths`, at most `workers` at a time; call `done(path, notebook)` on each as it ends."""
    free, failures, seconds, began = asyncio.Semaphore(workers), [], {}, time.perf_counter()

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
            seconds[path.stem] = round(time.perf_counter() - start, 1)
            print(f"  {path.stem:<20} {outcome:<7} {seconds[path.stem]:6.1f} s", flush=True)

    await asyncio.gather(*map(run, longest_first(paths)))
    if of_the_book := {path.stem: seconds[path.stem] for path in paths if path.parent == BOOK}:
        remember(of_the_book)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="notebook", help="all notebooks of the book by default")
    parser.add_argument("--list", action="store_true", help="only name them, the longest first")
    given = parser.parse_args()
    paths = [path.resolve() for path in given.paths] or notebooks()
    if given.list:
        return print(*map(os.path.relpath, longest_first(paths)))
    try:
        execute(paths, write)
    except NotebookError as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
