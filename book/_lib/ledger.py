r"""The ledger: what every displayed equation of the book rests on.

It reads *executed* notebooks, and nothing else. A checked statement
(:mod:`gradlib.proof.statements`) leaves a JSON bundle beside its formula in the cell's output.
From the bundles come a list of all statements, a page of the book with their dependency
graph (:func:`write_page`), and a guard that no display equation stands in the book without
one (:func:`check`).
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from gradlib.proof.statements import ASSUMPTION, CITED, DEFINITION, EVIDENCE_KINDS, INEQUALITY, MIME, MONTE_CARLO, NUMERIC, PROVED, RESTATEMENT


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
        return tuple(dict.fromkeys([*self.uses, *filter(_is_label, self.assumptions)]))


def _is_label(name: str) -> bool:
    return name.startswith(("eq-", "tab-"))


# --- reading notebooks ------------------------------------------------------------------


def _load(notebook) -> dict:
    if isinstance(notebook, dict):
        return notebook
    return json.loads(Path(notebook).read_text(encoding="utf-8"))


def _text(value) -> str:
    """nbformat stores text as a string or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def _outputs(notebook: dict):
    """(cell number from 1, its MIME data) for every rich output."""
    for number, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield number, output["data"]


def _chapter(notebook: dict, fallback: str) -> str:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and (title := re.search(r"^# (.+)$", _text(cell["source"]), re.MULTILINE)):
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
        notebook = _load(path)
        chapter = _chapter(notebook, path.stem)
        for cell, data in _outputs(notebook):
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
            raise LedgerError(f"the label {entry.label} is used twice: in {known[entry.label].page} and in {entry.page}")
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
                raise LedgerError(f"{entry.label} ({entry.page}) is no restatement of {label}: {statement} is not {original.statement}")
    _refuse_cycles(known)


def _refuse_cycles(known: dict[str, Entry]) -> None:
    state: dict[str, int] = {}  # 1: being visited, 2: done

    def visit(label: str, trail: tuple[str, ...]) -> None:
        if state.get(label) == 1:
            raise LedgerError("circular reasoning: " + " rests on ".join([*trail[trail.index(label) :], label]))
        if label not in state:
            state[label] = 1
            for other in known[label].rests_on:
                visit(other, (*trail, label))
            state[label] = 2

    for label in known:
        visit(label, ())


def summary(paths: Iterable) -> dict[str, int]:
    """Number of statements by kind of evidence (every kind, zeros included)."""
    counts = Counter(entry.kind for entry in collect(paths))
    return {kind: counts[kind] for kind in EVIDENCE_KINDS}


# --- no display equation without a bundle -------------------------------------------------

_ENVIRONMENTS = "align|alignat|displaymath|dmath|eqnarray|equation|flalign|gather|math|multline|xalignat"
_DOLLARS = re.compile(r"(?<!\\)\$\$(.*?)(?<!\\)\$\$(?:[ \t]*\(([^)\n]*)\))?", re.DOTALL)
_OTHERS = [
    re.compile(r"(?<!\\)\\\[(.*?)\\\]", re.DOTALL),
    re.compile(rf"\\begin\{{(?:{_ENVIRONMENTS})\*?\}}(.*?)(?:\\end\{{|\Z)", re.DOTALL),
    re.compile(r"^[ \t>*-]*(?:`{3,}|~{3,}|:{3,})[ \t]*\{math\}(.*?)(?:^[ \t]*(?:`{3,}|~{3,}|:{3,})|\Z)", re.DOTALL | re.MULTILINE),
    re.compile(r"(<math\b[^>]*display\s*=\s*[\"']?block.*?)(?:</math>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"(<script\b[^>]*math/tex[^>]*mode=display.*?)(?:</script>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"(\\displaystyle.*?)(?=\$|\Z)", re.DOTALL),
    re.compile(r"(?<!\\)(\$\$.*)", re.DOTALL),  # an unpaired $$
]
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\n]*)\n(.*?)(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"(?<![\\`])(`+)(?!`)((?:(?!\n\s*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Display:
    """A display equation: its body and its label (empty where it has none)."""

    body: str
    label: str


def displays(text: str, *, markdown: bool = True) -> list[Display]:
    """The display equations in a text. Code is none; a ``{math}`` directive is one."""
    if markdown:
        text = _without_code(text)
    found = [Display(body.strip(), (label or "").strip()) for body, label in _DOLLARS.findall(text)]
    text = _DOLLARS.sub(" ", text)
    for pattern in _OTHERS:
        found += [Display(body.strip(), "") for body in pattern.findall(text)]
        text = pattern.sub(" ", text)
    return found


def _without_code(text: str) -> str:
    def fence(match):
        # ```{note} holds Markdown, which is rendered; ```python and ```{code-cell} do not.
        directive = re.match(r"\s*\{([\w:-]+)\}", match[3])
        if directive and directive[1] == "math":
            return f"\n:::{{math}}\n{match[4]}\n:::\n"  # colons, so that it is not taken for inline code
        if directive and directive[1] not in ("code", "code-block", "code-cell", "literalinclude", "sourcecode"):
            return "\n" + _without_code(match[4]) + "\n"
        return "\n"

    return _INLINE_CODE.sub(" ", _FENCE.sub(fence, text))


def displayed(notebook) -> list[tuple[int, Display]]:
    """(cell number, display equation) for all that a notebook shows."""
    notebook = _load(notebook)
    shown = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "markdown":
            shown += [(number, each) for each in displays(_text(cell["source"]))]
    for number, data in _outputs(notebook):
        shown += [(number, each) for each in _shown_by(data)]
    return sorted(shown, key=lambda pair: pair[0])


def _shown_by(data: dict) -> list[Display]:
    found = displays(_text(data.get("text/markdown", "")))
    found += displays(_text(data.get("text/html", "")), markdown=False)
    if "text/latex" in data:  # a page renders any text/latex output as a display equation
        latex = _text(data["text/latex"])
        found += displays(latex, markdown=False) or [Display(latex.strip(), "")]
    return found


def check_notebook(notebook, name: str = "") -> list[str]:
    """What is wrong with the equations of a notebook, one sentence each; empty if nothing.

    Every display equation has to stand in the output of a checked statement, which says
    the same label and the same LaTeX. The bundle of a hand-made output would say
    anything; so code that writes one by hand is a problem too.
    """
    name = name or (Path(notebook).stem if not isinstance(notebook, dict) else "notebook")
    notebook, problems = _load(notebook), []
    for number, cell in enumerate(notebook["cells"], 1):
        where, source = f"{name}, cell {number}", _text(cell["source"])
        if cell["cell_type"] == "markdown":
            problems += [f"{where}: a display equation in Markdown text, {_short(each)}" for each in displays(source)]
        elif cell["cell_type"] == "code":
            for forbidden in ("vnd.gradlib", "_repr_mimebundle_", "raw=True"):
                if forbidden in source:
                    problems.append(f"{where}: the code mentions {forbidden}; only a checked statement may write its bundle")
    for number, data in _outputs(notebook):
        where, bundle, shown = f"{name}, cell {number}", data.get(MIME), _shown_by(data)
        if bundle is None:
            problems += [f"{where}: a display equation without a checked statement, {_short(each)}" for each in shown]
            continue
        expected = [Display(bundle["latex"].strip(), bundle["label"])] if bundle.get("latex") else []
        problems += [f"{where}: the bundle of {bundle['label']} does not match what is displayed, {_short(each)}" for each in shown if each not in expected]
        if len(shown) < len(expected):
            problems.append(f"{where}: the bundle of {bundle['label']} is not displayed")
        elif len(shown) > len(expected) and all(each in expected for each in shown):
            problems.append(f"{where}: {bundle['label']} is displayed {len(shown)} times")
        if "text/html" in data:
            problems.append(f"{where}: HTML beside the equation {bundle['label']} would be shown instead of it")
    return problems


def check_markdown(path) -> list[str]:
    """A page of plain Markdown cannot check anything, so it may display no equation."""
    path = Path(path)
    return [f"{path.name}: a display equation in Markdown text, {_short(each)}" for each in displays(path.read_text(encoding="utf-8"))]


def check(paths: Iterable) -> None:
    """Raise :class:`LedgerError` with every problem of the pages, notebooks and Markdown."""
    paths = list(map(Path, paths))
    problems = [p for path in paths for p in (check_notebook(path) if path.suffix == ".ipynb" else check_markdown(path))]
    if problems:
        raise LedgerError("\n".join(problems))
    validate(collect(paths))


def _short(each: Display) -> str:
    body = " ".join(each.body.split())
    return f"{'labelled ' + each.label if each.label else 'unlabelled'}: {body[:60]}{'…' if len(body) > 60 else ''}"


# --- the page "What has been checked" -----------------------------------------------------

_MEANING = {
    PROVED: "SymPy reduced the difference of the two sides to zero, given the assumptions listed. SymPy is a computer algebra system, not a proof kernel: this is a mechanical check of each step, not a formal proof.",
    NUMERIC: "SymPy could not decide it. Both sides were evaluated by quadrature, to more than ten digits, on random concrete functions, densities and parameters. Quadrature is no proof.",
    INEQUALITY: "The difference equals an expression that is non-negative at sight (a sum of squares, the mean of a square), or its principal minors are non-negative, or SymPy decides its sign.",
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
        LedgerError: see :func:`validate`.
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
        lines += [f"## {here[0].chapter}", "", "| equation | evidence | assumptions | rests on |", "| --- | --- | --- | --- |"]
        for entry in here:
            assumptions = ", ".join(_link(a, known) if _is_label(a) else _cell(a) for a in entry.assumptions)
            rests = ", ".join(_link(label, known) for label in entry.uses)
            title = f" {_cell(entry.title)}" if entry.title and not entry.label.startswith("tab-") else ""
            lines.append(f"| {_link(entry.label, known)}{title} | {_cell(entry.detail)} | {assumptions or '–'} | {rests or '–'} |")
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
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
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
            f'<path class="gl-k{EVIDENCE_KINDS.index(entry.kind)}" transform="translate({x} {y})" d="{_LOOKS[entry.kind][2]}"/>'
            f'<text x="{x + 13}" y="{y + 4}">{escape(words[entry.label])}</text></a>'
        )
    parts += ["</svg>", "</div>", '<ul class="gl-legend" aria-label="Legend">']
    for kind in used:
        parts.append(
            f'<li><svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true"><path class="gl-k{EVIDENCE_KINDS.index(kind)}" '
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
