"""One style for every figure of the book: colours, sizes, and how a figure becomes an SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.text import Text

# Okabe and Ito's colours: told apart with any common colour blindness, and by marker besides.
INK, TRUTH = "#222222", "#949494"
SCORE, PATH, THIRD, FOURTH = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
MARKERS = {SCORE: "o", PATH: "s", THIRD: "^", FOURTH: "D", INK: "v"}
SHEET, GRID, FRAME = "#ffffff", "#e4e4e4", "#cccccc"  # the frame of legends is Matplotlib's own
PLAIN, COOL, WARM, HATCH = "#f4f4f4", "#cfe6f5", "#fbe3d1", "#8fb8d4"  # areas behind ink
# What each colour is on a dark page (the book's build writes a dark variant of every figure). The series take the light
# members of the same palette; a sheet is the page itself.
DARK = {
    INK: "#e2e2e2", TRUTH: "#808890", SHEET: "#121212", GRID: "#333333", FRAME: "#4d4d4d",
    SCORE: "#56b4e9", PATH: "#e69f00", THIRD: "#009e73", FOURTH: "#cc79a7",
    PLAIN: "#2a2d31", COOL: "#17384d", WARM: "#47310e", HATCH: "#3f7696",
}  # fmt: skip
STYLE = {
    "figure.facecolor": SHEET,  # a sheet, so that a figure is legible in a dark JupyterLab too
    "savefig.facecolor": SHEET,
    "figure.figsize": (5.4, 3.2),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "svg.fonttype": "path",  # looks the same wherever it is shown; the words are in the alternative text
    "svg.hashsalt": "gradlib",  # the same names of parts in every run
}


def panels(n: int = 1, height: float = 3.2):
    """A figure of n panels in the book's style, side by side."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, n, figsize=(6.2 if n > 1 else 5.4, height), squeeze=False)
    return figure, list(axes[0])


@dataclass(frozen=True)
class Picture:
    """A finished figure, shown as SVG (by JupyterLab: once the cell has run, or the notebook is trusted)."""

    svg: str
    panels: int

    def __repr__(self) -> str:
        return f"Picture with {self.panels} panel{'s' * (self.panels != 1)} (run the cell to see it)"

    def _repr_svg_(self) -> str:
        return self.svg


def show(figure) -> Picture:
    """A figure in the book's style as SVG, to end a notebook cell with. The figure is closed."""
    with plt.rc_context(STYLE):  # acts when text is laid out, not only when it is made
        for text in figure.findobj(Text):
            text.set_math_fontfamily("cm")
            words = re.sub(r"\$(?!\\mathdefault)[^$]+\$", "", text.get_text())  # Matplotlib's own numbers are words
            if words != text.get_text() and not re.search(r"\w", words):
                text.set_fontsize(1.2 * text.get_fontsize())  # Computer Modern is small where it stands alone
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
    plt.close(figure)
    return Picture(_compact(drawn.getvalue()), len(figure.axes))


def _compact(svg: str) -> str:
    """Matplotlib's SVG as one element: no comments, black as ink, lines to a tenth of a point, glyphs to a unit."""

    def rounded(digits: int) -> Callable:
        return lambda part: re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), digits):g}", part[0])

    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.S)
    svg = svg.replace("#000000", INK).replace("<svg ", f'<svg fill="{INK}" ', 1)  # Matplotlib leaves a black fill out
    svg = re.sub(r"\s*\n\s*(?=[^<\s])", " ", svg)  # a path in one line
    svg = re.sub(r'<path id="[^"]*" d="[^"]*" transform="scale', rounded(0), svg)
    svg = re.sub(r'<path d="[^"]*"', rounded(1), svg)
    svg = re.sub(r'translate\([^)]*\)|\b(?:d|x|y|width|height|viewBox)="[^"]*"', rounded(2), svg)
    return re.sub(r"\n\s*", "\n", svg).replace(' "', '"').strip()
