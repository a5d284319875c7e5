r"""The ledger: what every displayed equation of the book rests on.

It reads *executed* notebooks, and nothing else. A checked statement (:mod:`gradlib.proof.statements`) leaves a JSON
bundle beside its formula in the cell's output. From the bundles come a list of all statements (:func:`collect`), whose
labels have to fit together (:func:`validate`), and a guard that no display equation stands in the book without one
(:func:`check`). :mod:`_lib.checked` writes the list as a page of the book.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from _lib.displays import Display, displays, load, outputs, shown_by, text_of
from gradlib.proof.evidence import EVIDENCE_KINDS
from gradlib.proof.statements import MIME


class LedgerError(ValueError):
    """The statements of the book do not fit together."""


@dataclass(frozen=True)
class Entry:
    """One statement, and where it stands."""

    page: str
    chapter: str
    path: Path
    cell: int
    label: str
    title: str
    kind: str
    detail: str
    latex: str
    statement: str
    assumptions: tuple[str, ...]
    uses: tuple[str, ...]
    restates: str = ""
    cells: tuple[tuple[str, str], ...] = ()  # of a table: (label, the statement shown under it)

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The labels of the statements used, and of the assumptions that have one."""
        return tuple(dict.fromkeys([*self.uses, *filter(is_label, self.assumptions)]))


def is_label(name: str) -> bool:
    return name.startswith(("eq-", "tab-"))


# --- reading notebooks ---


def _chapter(notebook: dict, fallback: str) -> str:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and (title := re.search(r"^# (.+)$", text_of(cell["source"]), re.MULTILINE)):
            return title[1].strip()
    return fallback


def collect(paths: Iterable) -> list[Entry]:
    """All statements of executed notebooks, in the order given and shown.

    Args:
        paths: ``.ipynb`` files in reading order; other files are passed over.

    Raises:
        LedgerError: for a bundle that lacks a field, or names an unknown kind of evidence.
    """
    entries = []
    for path in map(Path, paths):
        if path.suffix != ".ipynb":
            continue
        notebook = load(path)
        chapter = _chapter(notebook, path.stem)
        for cell, data in outputs(notebook):
            if MIME in data:
                entries.append(_entry(data[MIME], path, chapter, cell))
    return entries


def _entry(bundle: dict, path: Path, chapter: str, cell: int) -> Entry:
    try:
        entry = Entry(
            page=path.stem,
            chapter=chapter,
            path=path,
            cell=cell,
            detail=bundle["evidence"]["detail"],
            assumptions=tuple(bundle["assumptions"]),
            uses=tuple(bundle["uses"]),
            restates=bundle.get("restates", ""),
            cells=tuple((c["restates"], c["statement"]) for c in bundle.get("cells", ())),
            **{key: bundle[key] for key in ("label", "title", "kind", "latex", "statement")},
        )
    except KeyError as missing:
        raise LedgerError(f"{path.stem}, cell {cell}: the bundle lacks {missing}") from None
    if entry.kind not in EVIDENCE_KINDS or bundle["evidence"]["kind"] != entry.kind:
        raise LedgerError(f"{path.stem}, cell {cell}: {entry.label} claims the unknown evidence {entry.kind!r}")
    return entry


def validate(entries: Sequence[Entry]) -> None:
    """Raise :class:`LedgerError` for duplicate, unknown or cyclic labels, or a false restatement."""
    known: dict[str, Entry] = {}
    for entry in entries:
        if entry.label in known:
            raise LedgerError(
                f"the label {entry.label} is used twice: in {known[entry.label].page} and in {entry.page}"
            )
        known[entry.label] = entry
    for entry in entries:
        for label in entry.rests_on:
            if label not in known:
                raise LedgerError(f"{entry.label} ({entry.page}) rests on the unknown label {label}")
        shown_again = [*entry.cells, *([(entry.restates, entry.statement)] if entry.restates else [])]
        for label, statement in shown_again:
            original = known.get(label)
            if original is None:
                raise LedgerError(f"{entry.label} ({entry.page}) restates the unknown label {label}")
            if statement.replace(":=", "=") != original.statement.replace(":=", "="):
                raise LedgerError(
                    f"{entry.label} ({entry.page}) is no restatement of {label}: "
                    f"{statement} is not {original.statement}"
                )
    try:
        TopologicalSorter({label: entry.rests_on for label, entry in known.items()}).prepare()
    except CycleError as error:
        raise LedgerError("circular reasoning: " + " rests on ".join(reversed(error.args[1]))) from None


def summary(paths: Iterable) -> dict[str, int]:
    """Number of statements by kind of evidence (every kind, zeros included)."""
    counts = Counter(entry.kind for entry in collect(paths))
    return {kind: counts[kind] for kind in EVIDENCE_KINDS}


# --- no display equation without a bundle ---


def check_notebook(notebook, name: str = "") -> list[str]:
    """What is wrong with the equations of a notebook, one sentence each; empty if nothing.

    Every display equation has to stand in the output of a checked statement, which says
    the same label and the same LaTeX. The bundle of a hand-made output would say
    anything; so code that writes one by hand is a problem too.
    """
    name = name or (Path(notebook).stem if not isinstance(notebook, dict) else "notebook")
    notebook, problems = load(notebook), []
    for number, cell in enumerate(notebook["cells"], 1):
        where, source = f"{name}, cell {number}", text_of(cell["source"])
        if cell["cell_type"] == "markdown":
            problems += [
                f"{where}: a display equation in Markdown text, {_short(display)}" for display in displays(source)
            ]
        elif cell["cell_type"] == "code":
            for forbidden in ("vnd.gradlib", "_repr_mimebundle_", "raw=True"):
                if forbidden in source:
                    problems.append(
                        f"{where}: the code mentions {forbidden}; only a checked statement may write its bundle"
                    )
    for number, data in outputs(notebook):
        where, bundle, shown = f"{name}, cell {number}", data.get(MIME), shown_by(data)
        if bundle is None:
            problems += [
                f"{where}: a display equation without a checked statement, {_short(display)}" for display in shown
            ]
            continue
        expected = [Display(bundle["latex"].strip(), bundle["label"])] if bundle.get("latex") else []
        mismatch = f"{where}: the bundle of {bundle['label']} does not match what is displayed"
        problems += [f"{mismatch}, {_short(display)}" for display in shown if display not in expected]
        if len(shown) < len(expected):
            problems.append(f"{where}: the bundle of {bundle['label']} is not displayed")
        elif len(shown) > len(expected) and all(display in expected for display in shown):
            problems.append(f"{where}: {bundle['label']} is displayed {len(shown)} times")
        if "text/html" in data:
            problems.append(f"{where}: HTML beside the equation {bundle['label']} would be shown instead of it")
    return problems


def check_markdown(path) -> list[str]:
    """A page of plain Markdown cannot check anything, so it may display no equation."""
    path = Path(path)
    return [
        f"{path.name}: a display equation in Markdown text, {_short(display)}"
        for display in displays(path.read_text("utf8"))
    ]


def check(paths: Iterable) -> None:
    """Raise :class:`LedgerError` with every problem of the pages, notebooks and Markdown."""
    paths = list(map(Path, paths))
    problems = [
        p for path in paths for p in (check_notebook(path) if path.suffix == ".ipynb" else check_markdown(path))
    ]
    if problems:
        raise LedgerError("\n".join(problems))
    validate(collect(paths))


def _short(display: Display) -> str:
    body = " ".join(display.body.split())
    name = f"labelled {display.label}" if display.label else "unlabelled"
    return f"{name}: {body[:60]}{'…' if len(body) > 60 else ''}"
