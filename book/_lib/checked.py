"""The page "What has been checked": every statement of the ledger, and a map of what rests on what."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from _lib.ledger import Entry, collect, is_label, validate
from gradlib.proof.evidence import (
    ASSUMPTION,
    CITED,
    DEFINITION,
    EVIDENCE_KINDS,
    INEQUALITY,
    MONTE_CARLO,
    NUMERIC,
    PROVED,
    RESTATEMENT,
)

_MEANING = {
    PROVED: "SymPy reduced the difference of the two sides to zero, given the assumptions listed. "
    "SymPy is a computer algebra system, not a proof kernel: this is a mechanical check of each step, "
    "not a formal proof.",
    NUMERIC: "SymPy could not decide it. Both sides were evaluated by quadrature, to more than ten digits, "
    "on random concrete functions, densities and parameters. Quadrature is no proof.",
    INEQUALITY: "The difference equals an expression that is non-negative at sight (a sum of squares, the mean of a "
    "square), or its principal minors are non-negative, or SymPy decides its sign.",
    ASSUMPTION: "A hypothesis. Nothing is checked; statements that need it say so.",
    CITED: "Quoted from the literature, with its source. Nothing is checked here.",
    DEFINITION: "A name is introduced. There is nothing to check.",
    RESTATEMENT: "Shown again in another place; checked to be the same as the original.",
    MONTE_CARLO: "A number, compared with the truth in units of its standard error.",
}

# Shapes and the colours of Okabe and Ito: neither has to be told from the other.
_LOOKS = {
    PROVED: ("#0072b2", "#56b4e9", "M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6Z"),
    NUMERIC: ("#b35900", "#e69f00", "M-5-5H5V5H-5Z"),
    INEQUALITY: ("#00734f", "#2fc79a", "M0-6.5L6 5H-6Z"),
    ASSUMPTION: ("#a3457f", "#e5a3cb", "M0-7L7 0 0 7-7 0Z"),
    CITED: ("#5b4b9a", "#b5a8ee", "M-3.5-6H3.5L7 0 3.5 6H-3.5L-7 0Z"),
    DEFINITION: ("#555555", "#bbbbbb", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"),
    RESTATEMENT: ("#555555", "#bbbbbb", "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0-6 0ZM-3 0A3 3 0 1 1 3 0A3 3 0 1 1-3 0Z"),
    MONTE_CARLO: ("#8a2be2", "#cf9bff", "M0-7L2-2H7L3 1.5 4.5 7 0 3.5-4.5 7-3 1.5-7-2H-2Z"),
}


def write_page(paths: Iterable, out) -> None:
    """Write the page "What has been checked" (MyST Markdown).

    Args:
        paths: executed notebooks in reading order.
        out: the file to write, beside the notebooks.

    Raises:
        LedgerError: see :func:`_lib.ledger.validate`.
    """
    entries, out = collect(paths), Path(out)
    validate(entries)
    counts = Counter(entry.kind for entry in entries)
    known = {entry.label: entry for entry in entries}
    lines = [
        "# What has been checked",
        "",
        "This page is generated from the outputs of the notebooks at every build. It lists every",
        "displayed equation of the book, with the evidence for it, the assumptions it takes and",
        "the equations it rests on. An equation whose check fails cannot be displayed at all;",
        "what a check is worth depends on its kind:",
        "",
        "| evidence | equations | what it means |",
        "| --- | ---: | --- |",
        *(f"| {kind} | {counts[kind]} | {_MEANING[kind]} |" for kind in EVIDENCE_KINDS if counts[kind]),
        f"| together | {len(entries)} | |",
        "",
        "All integrals on display are assumed to exist, and functions without a formula to be",
        "real-valued and as smooth as the derivatives shown.",
        "",
        "## What rests on what",
        "",
        "Each column is a page, each mark a statement; lines lead from a statement to those that",
        "rest on it. Every mark is a link. The box scrolls sideways.",
        "",
        _graph(entries, out),
        "",
    ]
    for page in dict.fromkeys(entry.page for entry in entries):
        here = [entry for entry in entries if entry.page == page]
        lines += [
            f"## {here[0].chapter}",
            "",
            "| equation | evidence | assumptions | rests on |",
            "| --- | --- | --- | --- |",
        ]
        for entry in here:
            assumptions = ", ".join(_link(a, known) if is_label(a) else _cell(a) for a in entry.assumptions)
            rests = ", ".join(_link(label, known) for label in entry.uses)
            title = f" {_cell(entry.title)}" if entry.title and not entry.label.startswith("tab-") else ""
            lines.append(
                f"| {_link(entry.label, known)}{title} | {_cell(entry.detail)} "
                f"| {assumptions or '–'} | {rests or '–'} |"
            )
        lines.append("")
    out.write_text("\n".join(lines), encoding="utf-8")


def _cell(text: str) -> str:
    """Plain text inside a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]<>|$])", r"\\\1", text)


def _link(label: str, known: dict[str, Entry]) -> str:
    if label.startswith("tab-"):
        return f"{{ref}}`{known[label].title or label} <{label}>`"
    return f"{{eq}}`{label}`"


_COLUMN, _ROW, _TOP = 240, 30, 56


def _graph(entries: Sequence[Entry], out: Path) -> str:
    """The dependency graph as inline SVG. One block of HTML: no blank line may end it."""
    pages = list(dict.fromkeys(entry.page for entry in entries))
    words = {entry.label: _clip((entry.title or entry.label).replace("$", ""), 26) for entry in entries}
    place, height = {}, 0
    for column, page in enumerate(pages):
        for row, entry in enumerate(e for e in entries if e.page == page):
            place[entry.label] = (column * _COLUMN + 34, _TOP + row * _ROW)
            height = max(height, _TOP + (row + 1) * _ROW)
    width, height = len(pages) * _COLUMN + 20, height + 10
    parts = [
        '<div class="gl-graph" tabindex="0" role="region" aria-label="Dependency graph of all equations">',
        "<style>",
        ".gl-graph{overflow-x:auto;border:1px solid currentColor;border-radius:.4rem;margin:1rem 0;padding:.3rem}",
        ".gl-graph svg{display:block;font:12px sans-serif}",
        ".gl-graph text{fill:currentColor;paint-order:stroke;stroke:var(--pst-color-background,#fff);stroke-width:4px}",
        ".gl-graph .edge{fill:none;stroke:currentColor;opacity:.35}",
        ".gl-graph a:hover text,.gl-graph a:focus text{text-decoration:underline}",
        ".gl-legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;margin:.5rem 0;padding:0}",
        ".gl-legend svg{vertical-align:middle}",
    ]
    used = [kind for kind in EVIDENCE_KINDS if any(entry.kind == kind for entry in entries)]
    for i, kind in enumerate(EVIDENCE_KINDS):
        light, dark, _ = _LOOKS[kind]
        parts += [f".gl-k{i}{{fill:{light};fill-rule:evenodd}}", f'html[data-theme="dark"] .gl-k{i}{{fill:{dark}}}']
    parts += [
        "</style>",
        # role="img" would hide the links inside from assistive technology.
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="group" '
        'aria-label="Dependency graph: columns are pages, marks are statements, lines lead to what rests on them">',
    ]
    for column, page in enumerate(pages):
        chapter = next(e.chapter for e in entries if e.page == page)
        parts.append(f'<text x="{column * _COLUMN + 20}" y="24" font-weight="bold">{escape(_clip(chapter, 32))}</text>')
    for entry in entries:
        for label in entry.rests_on:
            parts.append(f'<path class="edge" d="{_edge(place[label], place[entry.label], words[label])}"/>')
    for entry in entries:
        x, y = place[entry.label]
        page = os.path.relpath(entry.path.with_suffix(".html"), out.parent).replace(os.sep, "/")
        anchor = entry.label if entry.label.startswith("tab-") else f"equation-{entry.label}"
        name = entry.title or entry.label
        parts.append(
            f'<a href="{escape(page)}#{anchor}"><title>{escape(f"{name} ({entry.label}): {entry.detail}")}</title>'
            f'<path class="gl-k{EVIDENCE_KINDS.index(entry.kind)}" transform="translate({x} {y})" '
            f'd="{_LOOKS[entry.kind][2]}"/>'
            f'<text x="{x + 13}" y="{y + 4}">{escape(words[entry.label])}</text></a>'
        )
    parts += ["</svg>", "</div>", '<ul class="gl-legend" aria-label="Legend">']
    for kind in used:
        parts.append(
            '<li><svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">'
            f'<path class="gl-k{EVIDENCE_KINDS.index(kind)}" '
            f'd="{_LOOKS[kind][2]}"/></svg> {escape(kind)}</li>'
        )
    parts.append("</ul>")
    return "\n".join(parts)


def _edge(start: tuple[int, int], end: tuple[int, int], words: str) -> str:
    (x1, y1), (x2, y2) = start, end
    if x1 == x2:  # within a page: an arc on the left of the column
        bulge = min(26, 8 + abs(y2 - y1) // 12)
        return f"M{x1 - 8} {y1}C{x1 - 8 - bulge} {y1} {x2 - 8 - bulge} {y2} {x2 - 8} {y2}"
    if x2 < x1:
        middle = (x1 + x2) // 2
        return f"M{x1 - 8} {y1}C{middle} {y1} {middle} {y2} {x2 + 8} {y2}"
    x1 += min(18 + 7 * len(words), _COLUMN - 50)  # from behind the words, not through them
    return f"M{x1} {y1}C{x2 - 30} {y1} {x1} {y2} {x2 - 8} {y2}"


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
