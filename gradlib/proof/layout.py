"""How a chain of equalities is set: one line for each step, with its reason beside it or below it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradlib.core.notation import latex

COLUMN = 58  # characters of a formula that fit beside its number in the page's column


def aligned(sides: Sequence, reasons: Sequence[str]) -> str:
    """The chain as LaTeX: one line for each step, with its reason below where it would be too wide beside it."""
    start, *others = map(latex, sides)
    # A long left side would push every other line to the right.
    lines = [rf"&{start}"] if len(start) > 90 else []
    reasons = list(map(_reason, reasons))
    width = max(map(_width, others)) + (0 if lines else _width(start)) + max(map(_width, reasons))
    for k, (side, reason) in enumerate(zip(others, reasons, strict=True)):
        left = "" if k or lines else start + " "
        beside = f" && {reason}" if reason and width <= COLUMN else ""
        lines.append(rf"{left}&= {side}{beside}")
        if reason and not beside:
            lines.append(rf"&\qquad \text{{(}}{reason}\text{{)}}")
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


_ESCAPED = str.maketrans({"\\": "/", **{c: "\\" + c for c in "{}_%&#"}})


def _reason(reason: str) -> str:
    r"""``by A1, $\nabla$ inside`` as \text{…} with its mathematics outside the text."""
    pieces = []
    for k, piece in enumerate(reason.split("$")):
        if k % 2:
            pieces.append(piece)
        elif piece:
            pieces.append(rf"\text{{{piece.translate(_ESCAPED)}}}")
    return " ".join(pieces)


def _width(tex: str) -> int:
    """About how many characters a formula takes when set; a fraction counts with both its parts."""
    tex = re.sub(r"\\(left|right|limits|quad|qquad|displaystyle)(?![a-zA-Z])|\\[,!;: ]", "", tex)
    tex = re.sub(r"\\(text|operatorname|mathbb|mathcal|mathbf|underset)(?![a-zA-Z])", "", tex)
    return len(re.sub(r"[{}^_&\s]", "", re.sub(r"\\[a-zA-Z]+", "x", tex)))
