"""Which equations a notebook, an output or a text displays.

Whatever a page would set as a display equation counts, written in Markdown, LaTeX or HTML: the ledger refuses those
that no checked statement wrote, so one too many is an error that somebody sees, and one too few a lie that nobody does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

_ENVIRONMENTS = "align|alignat|displaymath|dmath|eqnarray|equation|flalign|gather|math|multline|xalignat"
_DOLLARS = re.compile(r"(?<!\\)\$\$(.*?)(?<!\\)\$\$(?:[ \t]*\(([^)\n]*)\))?", re.DOTALL)
_OTHERS = [
    re.compile(r"(?<!\\)\\\[(.*?)\\\]", re.DOTALL),
    re.compile(rf"\\begin\{{(?:{_ENVIRONMENTS})\*?\}}(.*?)(?:\\end\{{|\Z)", re.DOTALL),
    re.compile(
        r"^[ \t>*-]*(?:`{3,}|~{3,}|:{3,})[ \t]*\{math\}(.*?)(?:^[ \t]*(?:`{3,}|~{3,}|:{3,})|\Z)",
        re.DOTALL | re.MULTILINE,
    ),
    re.compile(r"(<math\b[^>]*display\s*=\s*[\"']?block.*?)(?:</math>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"(<script\b[^>]*math/tex[^>]*mode=display.*?)(?:</script>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"(\\displaystyle.*?)(?=\$|\Z)", re.DOTALL),
    re.compile(r"(?<!\\)(\$\$.*)", re.DOTALL),  # an unpaired $$
]
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
    """The text without code: inline, and in fences. The content of a directive is no code."""
    lines = text.split("\n")
    for token in reversed(MarkdownIt("commonmark").parse(text)):
        if token.type == "fence":
            start, end = token.map
            directive = re.match(r"\s*\{([\w:-]+)\}", token.info)
            if directive and directive[1] == "math":
                lines[start:end] = [":::{math}", token.content, ":::"]  # colons are not taken for inline code
            elif directive and directive[1] not in ("code", "code-block", "code-cell", "literalinclude", "sourcecode"):
                lines[start:end] = ["", _without_code(token.content), ""]  # ```{note} holds Markdown, which is rendered
            else:
                lines[start:end] = [""]
    return _INLINE_CODE.sub(" ", "\n".join(lines))


def shown_by(data: dict) -> list[Display]:
    """The display equations that an output shows, given its data by MIME type."""
    found = displays(text_of(data.get("text/markdown", "")))
    found += displays(text_of(data.get("text/html", "")), markdown=False)
    if "text/latex" in data:  # a page renders any text/latex output as a display equation
        latex = text_of(data["text/latex"])
        found += displays(latex, markdown=False) or [Display(latex.strip(), "")]
    return found


def displayed(notebook) -> list[tuple[int, Display]]:
    """(cell number, display equation) for all that a notebook shows."""
    notebook = load(notebook)
    shown = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "markdown":
            shown += [(number, display) for display in displays(text_of(cell["source"]))]
    for number, data in outputs(notebook):
        shown += [(number, display) for display in shown_by(data)]
    return sorted(shown, key=lambda pair: pair[0])


# --- stored notebooks ---


def load(notebook) -> dict:
    if isinstance(notebook, dict):
        return notebook
    return json.loads(Path(notebook).read_text(encoding="utf-8"))


def text_of(value) -> str:
    """nbformat stores text as a string or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def outputs(notebook: dict):
    """(cell number from 1, its MIME data) for every rich output."""
    for number, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield number, output["data"]
