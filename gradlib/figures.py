"""What the book draws: one style, the exact truth always in it, standard errors always shown.

Figures import both the symbolic and the numeric side; nothing imports figures.
Functions that take an axis draw on it; :func:`show` ends a notebook cell.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.text import Text

from gradlib.comparison import Comparison
from gradlib.estimators import reparameterize
from gradlib.expectation import Expectation, dependence, latex
from gradlib.montecarlo import estimate
from gradlib.oracle import exact, variance

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
    """A finished figure, which a notebook shows as SVG; JupyterLab does so once the cell has run, or the notebook is trusted."""

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


def against_truth(
    axis,
    grid: Sequence[float],
    truth: Callable[[float], float],
    estimates: Mapping[str, Sequence] = (),
    at: Sequence[float] = (),
    colours: Sequence[str] = (SCORE, PATH, THIRD, FOURTH),
    truth_label: str = "exact",
) -> None:
    """Draw an exact curve in grey, and estimates at some points with ± 2 standard errors.

    Args:
        axis: a Matplotlib axis.
        grid: where the exact curve is evaluated.
        truth: the exact value at one point.
        estimates: name ↦ a sequence of :class:`gradlib.Estimate`, one for each point of ``at``.
        at: the points of the estimates.
    """
    axis.plot(grid, [truth(t) for t in grid], color=TRUTH, linewidth=4, solid_capstyle="round", label=truth_label)
    spread = (max(grid) - min(grid)) / 90
    for i, (name, values) in enumerate(dict(estimates).items()):
        colour = colours[i]
        shift = (i - (len(estimates) - 1) / 2) * spread
        axis.errorbar(
            np.asarray(at, float) + shift,
            [e.value for e in values],
            yerr=[2 * e.stderr for e in values],
            fmt=MARKERS[colour],
            color=colour,
            markersize=5.5,
            capsize=2.5,
            linewidth=1.3,
            label=f"{name} (± 2 s.e.)",
        )


def histogram(axis, draws: Mapping[str, np.ndarray], truth: float, bins: Sequence[float], colours=(SCORE, PATH)) -> None:
    """Histograms of per-draw gradients on common bins, with the exact mean as a grey line.

    Draws outside the bins count in the outermost ones, so that no tail disappears.
    """
    for (name, values), colour, line in zip(draws.items(), colours, ("-", "--")):
        clipped = np.clip(values, bins[0], bins[-1])
        axis.hist(clipped, bins=bins, density=True, histtype="stepfilled", color=colour, alpha=0.18)
        axis.hist(clipped, bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, linestyle=line, label=name)
    axis.axvline(truth, color=TRUTH, linewidth=3, label="exact gradient")


def running_means(axis, paths: Mapping[str, np.ndarray], truth: float, colours=(SCORE, PATH)) -> None:
    """Running means of independent draws (rows: repetitions) against their number, on a logarithmic axis."""
    for (name, draws), colour in zip(paths.items(), colours):
        n = np.arange(1, draws.shape[1] + 1)
        keep = np.unique(np.geomspace(10, draws.shape[1], 200).astype(int)) - 1
        means = np.cumsum(draws, axis=1)[:, keep] / n[keep]
        for i, row in enumerate(means):
            axis.plot(n[keep], row, color=colour, linewidth=0.9, alpha=0.75, label=name if i == 0 else None)
    axis.axhline(truth, color=TRUTH, linewidth=3, label="exact", zorder=1)
    axis.set_xscale("log")
    axis.set_xlabel("number of draws $n$")


def signed_density(axis, grid: np.ndarray, density: np.ndarray, derivative: np.ndarray) -> None:
    """A density, and its derivative in the parameter with the signs of its areas marked."""
    axis.plot(grid, density, color=INK, linewidth=2, label=r"$p_\theta(x)$")
    axis.plot(grid, derivative, color=PATH, linewidth=1.6, linestyle="--", label=r"$\nabla_\theta\, p_\theta(x)$")
    for where, colour, hatch in ((derivative > 0, THIRD, "//"), (derivative < 0, PATH, "\\\\")):
        axis.fill_between(grid, derivative, where=where, color=colour, alpha=0.3, linewidth=0)
        axis.fill_between(grid, derivative, where=where, facecolor="none", edgecolor=colour, hatch=hatch, linewidth=0)
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.set_xlabel("$x$")


# --- computational graphs ----------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """``kind`` is parameter, stochastic or deterministic."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Graph:
    """A stochastic computation graph.

    Attributes:
        nodes: name ↦ :class:`Node`.
        edges: pairs (from, to): what is computed, or drawn, from what.
        gradient: the edges along which the derivative travels back, as (from, to) of the
            forward edge.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    gradient: tuple[tuple[str, str], ...]


def computational_graph(J: Expectation, theta: sp.Symbol, rule: str) -> Graph:
    r"""The graph on which an estimator differentiates, read off the expectation itself.

    With the score function a variable that θ moves is a stochastic node: no derivative
    passes through it, so the gradient goes through :math:`\log p_\theta` beside it.
    With the pathwise rule the randomness sits in ε, a leaf, and the gradient goes
    through the deterministic map.

    Args:
        J: an expectation.
        theta: the parameter that is differentiated.
        rule: ``"score"`` or ``"pathwise"``.

    Raises:
        ValueError: for another rule.
        UnsoundEstimator: if there is no path (see :func:`gradlib.reparameterize`).

    References:
        Schulman, Heess, Weber and Abbeel (2015), *Gradient estimation using stochastic
        computation graphs*.
    """
    if rule not in {"score", "pathwise"}:
        raise ValueError(f"rule is 'score' or 'pathwise', got {rule!r}")
    where = dependence(J, theta)
    nodes = {"theta": Node("theta", "parameter", latex(theta))}
    edges, gradient = [], []
    if rule == "pathwise" and where != "integrand":
        base = {v for v in reparameterize(J, theta).variables}
    for each in J.laws:
        name = f"x:{each.symbol}"
        moved = theta in each.free_symbols
        if moved and rule == "pathwise":
            (epsilon,) = base - set(J.variables) if len(base - set(J.variables)) == 1 else {
                e for e in base if str(e.symbol).endswith(f"_{each.variable}")
            }
            noise = f"eps:{epsilon.symbol}"
            _, g = each.base()
            nodes[noise] = Node(noise, "stochastic", latex(sp.Symbol(str(epsilon.symbol))))
            nodes[name] = Node(name, "deterministic", f"{latex(each.symbol)} = {latex(g(sp.Symbol(str(epsilon.symbol))))}")
            edges += [(noise, name), ("theta", name)]
            gradient.append(("theta", name))
        else:
            nodes[name] = Node(name, "stochastic", latex(each.symbol))
            if moved:
                edges.append(("theta", name))
    nodes["F"] = Node("F", "deterministic", f"F = {latex(J.plain)}")
    for each in J.laws:
        if J.plain.has(each.symbol):
            edges.append((f"x:{each.symbol}", "F"))
            if rule == "pathwise" and theta in each.free_symbols:
                gradient.append((f"x:{each.symbol}", "F"))
    if where != "distribution":
        edges.append(("theta", "F"))
        gradient.append(("theta", "F"))
    if rule == "score" and where != "integrand":
        names = ",".join(latex(each.symbol) for each in J.laws if theta in each.free_symbols)
        nodes["log p"] = Node("log p", "deterministic", rf"\log\,p_{{{latex(theta)}}}({names})")
        nodes["surrogate"] = Node("surrogate", "deterministic", r"[F]\cdot\log\,p" if where == "distribution" else r"F + [F]\cdot\log\,p")
        edges += [("theta", "log p"), *((f"x:{e.symbol}", "log p") for e in J.laws if theta in e.free_symbols)]
        edges += [("log p", "surrogate"), ("F", "surrogate")]
        gradient += [("theta", "log p"), ("log p", "surrogate")]
        if where == "both":
            gradient.append(("F", "surrogate"))
    return Graph(nodes, tuple(edges), tuple(gradient))


_PLACES = {  # positions by role, left to right in the direction of computation
    "theta": (0.0, 0.0),
    "eps": (0.0, 1.0),
    "x": (1.25, 1.0),
    "F": (2.7, 1.0),
    "log p": (2.7, 0.0),
    "surrogate": (4.2, 0.5),
}


def draw_graph(axis, graph: Graph) -> None:
    """Draw a graph: circles are stochastic, boxes deterministic, the double ring is the parameter.

    Thin black arrows compute; thick dashed ones carry the derivative back.
    """
    pathwise = any(n.startswith("eps") for n in graph.nodes)
    places, counts = {}, {}
    for name in graph.nodes:
        role = name.split(":")[0]
        x, y = _PLACES[role]
        row = counts.setdefault(role, 0)
        counts[role] += 1
        if pathwise and role == "x" and graph.nodes[name].kind == "deterministic":
            x, y = 1.45, 0.5
        if pathwise and role == "F":
            x, y = 3.35, 0.5
        places[name] = np.array([x, y + 0.75 * row])
    half = {}
    for name, node in graph.nodes.items():
        x, y = places[name]
        text = axis.text(x, y, f"${node.text}$", ha="center", va="center", fontsize=11, zorder=4)
        width = 0.24 if node.kind != "deterministic" else max(0.24, 0.06 * _printed_length(node.text) + 0.1)
        half[name] = (width, 0.24)
        if node.kind == "deterministic":
            axis.add_patch(FancyBboxPatch((x - width, y - 0.2), 2 * width, 0.4, boxstyle="round,pad=0.02,rounding_size=0.04", facecolor=PLAIN, edgecolor=INK, zorder=3))
            half[name] = (width + 0.03, 0.23)
        else:
            axis.add_patch(Circle((x, y), 0.24, facecolor=COOL if node.kind == "stochastic" else SHEET, edgecolor=INK, zorder=3))
            if node.kind == "parameter":
                axis.add_patch(Circle((x, y), 0.2, facecolor=SHEET, edgecolor=INK, zorder=3))
        text.set_zorder(5)
    for start, end in graph.edges:
        _arrow(axis, places[start], places[end], half[start], half[end], INK, "-", 1.2, bend=0.0)
        if (start, end) in graph.gradient:
            # The ways back bend away from each other.
            bend = {("theta", "F"): -0.3 if pathwise else 0.08, ("theta", "log p"): -0.2}.get((start, end), 0.22)
            _arrow(axis, places[end], places[start], half[end], half[start], PATH, (0, (4, 2)), 2.2, bend)
    xs, ys = np.array([places[n] for n in graph.nodes]).T
    axis.set_xlim(xs.min() - 0.5, max(x + half[n][0] for n, (x, _) in places.items()) + 0.25)
    axis.set_ylim(ys.min() - 0.45, ys.max() + 0.4)
    axis.set_aspect("equal")
    axis.axis("off")


def graphs(J: Expectation, theta: sp.Symbol, rules: Sequence[str] = ("score", "pathwise")):
    """The graphs of several rules, one below the other."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(rules), 1, figsize=(6.2, 2.4 * len(rules)), squeeze=False)
    names = {"score": "Score function", "pathwise": "Reparameterization"}
    for axis, rule in zip(axes[:, 0], rules):
        draw_graph(axis, computational_graph(J, theta, rule))
        axis.set_title(names[rule], loc="left", fontsize=11)
    return figure


def _printed_length(text: str) -> int:
    """About how many characters a formula takes when set."""
    return len(re.sub(r"\\left|\\right|\\operatorname|[{}\\^_, ]|(?<=\\)[a-z]+(?=\b)", "", re.sub(r"\\(mu|sigma|theta|epsilon|cdot)", "m", text)))


def _arrow(axis, start, end, half_start, half_end, colour, line, width, bend) -> None:
    def edge_point(centre, other, half):
        direction = other - centre
        scale = min(half[0] / abs(direction[0]) if direction[0] else np.inf, half[1] / abs(direction[1]) if direction[1] else np.inf)
        return centre + direction * min(scale, 0.45)

    axis.add_patch(
        FancyArrowPatch(
            edge_point(start, end, half_start),
            edge_point(end, start, half_end),
            arrowstyle="-|>",
            mutation_scale=13,
            color=colour,
            linestyle=line,
            linewidth=width,
            connectionstyle=f"arc3,rad={bend}",
            zorder=2,
        )
    )


def curve(J: Expectation, symbol: sp.Symbol, at: Mapping | None = None) -> Callable[[float], float]:
    """The exact value of J as a function of one parameter, the others fixed."""
    return lambda value: exact(J, {**(at or {}), symbol: float(value)})


def variances(axis, estimators: Mapping[str, Expectation], symbol: sp.Symbol, grid, marks, at: Mapping, samples: int = 20_000) -> None:
    """Exact variances per draw against one parameter, with measured ones as markers."""
    for (name, S), colour, line in zip(estimators.items(), (SCORE, PATH), ("-", "--")):
        axis.plot(grid, [variance(S, {**at, symbol: float(t)}) for t in grid], color=colour, linewidth=2, linestyle=line, label=f"{name} (exact)")
        measured = [estimate(S, {**at, symbol: float(t)}, samples=samples, rng=i) for i, t in enumerate(marks)]
        axis.plot(marks, [e.stderr**2 * e.samples for e in measured], MARKERS[colour], color=colour, markersize=5, label=f"{name} (measured)")


# --- chapters 1 and 2: objectives as curves, data, and runs of gradient descent ------------


def tangents(axis, grid: Sequence[float], value: Callable, slope: Callable, at: Sequence[float], direction: int = 1, step: float = 1.0) -> None:
    """An exact curve in grey, with arrows along its tangent, the way that gradient ascent or descent goes.

    Args:
        axis: a Matplotlib axis.
        grid: where the curve is drawn.
        value, slope: the curve and its derivative, as functions of an array.
        at: the points from which arrows start.
        direction: 1 to ascend, -1 to descend.
        step: the arrow from t goes ``step`` times the slope to the side.
    """
    axis.plot(grid, value(np.asarray(grid)), color=TRUTH, linewidth=4, solid_capstyle="round", label="exact value")
    for k, t in enumerate(np.asarray(at, float)):
        tip = direction * step * slope(t)
        axis.plot(t, value(t), MARKERS[PATH], color=PATH, markersize=4, label="gradient step" if k == 0 else None)
        axis.annotate("", (t + tip, value(t) + tip * slope(t)), (t, value(t)), arrowprops={"arrowstyle": "-|>", "color": PATH, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0})


def shares(axis, x: np.ndarray, y: np.ndarray, groups: int = 12) -> None:
    """Labels 0 and 1 against a feature: a tick for each example, and the share of ones in groups of equal size."""
    for label, place in ((0, -0.06), (1, 1.06)):
        ticks = np.array([[t, t, np.nan] for t in x[y == label]]).ravel()  # one line, which is lighter than a marker each
        axis.plot(ticks, np.resize([place - 0.02, place + 0.02, np.nan], len(ticks)), color=INK, linewidth=0.5, alpha=0.6)
    for k, rows in enumerate(np.array_split(np.argsort(x, kind="stable"), groups)):
        share, n = y[rows].mean(), len(rows)
        # Wilson's interval: unlike ± 2 standard errors it does not collapse where the share is 0 or 1.
        centre, half = (share + 2 / n) / (1 + 4 / n), 2 * np.sqrt(share * (1 - share) / n + 1 / n**2) / (1 + 4 / n)
        error = np.maximum([[share - centre + half], [centre + half - share]], 0)
        axis.errorbar(x[rows].mean(), share, yerr=error, fmt=MARKERS[SCORE], color=SCORE, markersize=4.5, capsize=2.5, linewidth=1.2, label="share in the data (95 %)" if k == 0 else None)


def runs(axis, steps: Sequence[int], paths: np.ndarray, truth: float, colour: str = SCORE) -> None:
    """Independent runs (rows) against the number of steps, their mean, and the exact limit in grey."""
    axis.axhline(truth, color=TRUTH, linewidth=4, label="optimum", zorder=1)
    for i, row in enumerate(paths):
        axis.plot(steps, row, color=colour, linewidth=0.8, alpha=0.6, label=f"{len(paths)} runs" if i == 0 else None)
    axis.plot(steps, paths.mean(axis=0), color=INK, linewidth=1.6, linestyle="--", label="their mean")
    axis.set_xscale("log")
    axis.set_xlabel("steps")


def mapped_circles(axis, draws: np.ndarray, mean: np.ndarray, L: np.ndarray, form: Callable, radii=(1, 2)) -> None:
    """What x = mean + L ε does to circles, to the unit vectors and to draws of ε.

    The grey lines are exact: where the quadratic form of the density equals radius².

    Args:
        draws: noise, of shape (n, 2).
        form: ``form(x_1, x_2)`` on arrays.
    """
    x = mean + draws @ L.T
    reach = 1.05 * max(np.abs(x - mean).max(), max(radii) * np.abs(L).sum(axis=1).max())
    u, v = np.meshgrid(*(np.linspace(centre - reach, centre + reach, 241) for centre in mean))
    axis.contour(u, v, form(u, v), levels=[r**2 for r in radii], colors=TRUTH, linewidths=4)
    angle = np.linspace(0, 2 * np.pi, 200)
    for r in radii:
        axis.plot(*(mean[:, None] + L @ (r * np.array([np.cos(angle), np.sin(angle)]))), color=INK, linewidth=1.5, linestyle="--")
    axis.plot(*x.T, "o", color=INK, markersize=1.8, alpha=0.45, zorder=1)
    for column in L.T:
        axis.annotate("", mean + column, mean, arrowprops={"arrowstyle": "-|>", "color": PATH, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}, zorder=4)
    axis.set_aspect("equal")


# --- how fast errors fall ------------------------------------------------------------------


def errors(axis, n: Sequence[int], measured: Mapping[str, Sequence[float]], lines: Mapping[str, tuple[float, float]] = {}, exact: Callable | None = None, colours=(SCORE, PATH, THIRD, FOURTH)) -> None:
    """Standard errors against the number of draws, on logarithmic axes.

    Args:
        axis: a Matplotlib axis.
        n: the numbers of draws.
        measured: name ↦ a standard error for each of them.
        lines: name ↦ (c, r), a thin dashed line c nʳ to read slopes off.
        exact: the exact standard error as a function of n, in grey.
    """
    n = np.asarray(n, float)
    if exact is not None:
        axis.plot(n, [exact(k) for k in n], color=TRUTH, linewidth=4, solid_capstyle="round", label="exact")
    for (name, (scale, rate)), style in zip(lines.items(), ("--", ":", "-.")):
        axis.plot(n, scale * n**rate, color=INK, linewidth=1, linestyle=style, label=name)
    for (name, values), colour in zip(measured.items(), colours):
        axis.plot(n, values, MARKERS[colour], color=colour, markersize=5.5, label=name)
    axis.set(xscale="log", yscale="log", xlabel="number of draws $n$")


def z_scores(axis, scores: Mapping[str, Sequence[float]], reach: float = 5, colours=(SCORE, PATH)) -> None:
    """Histograms of z-scores over the density that they have if the standard errors are right, in grey."""
    grid, bins = np.linspace(-reach, reach, 201), np.linspace(-reach, reach, 41)
    axis.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=TRUTH, linewidth=4, label=r"exact, $\mathcal{N}(0, 1)$")
    for (name, values), colour, line in zip(scores.items(), colours, ("-", "--")):
        axis.hist(np.clip(values, -reach, reach), bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, linestyle=line, label=name)
    axis.set(xlabel="$z$", ylabel="density")


def speed_ratios(rows: Sequence[Mapping]):
    """How many times longer the peers took, from the rows of the benchmark: a dot with its range for each case and peer.

    Args:
        rows: with ``title``, ``rule``, ``who``, and ``ratio`` as a dictionary of median, min and max.
    """
    names = {"score": "score function", "pathwise": "pathwise"}
    cases = list(dict.fromkeys((row["title"], row["rule"]) for row in rows))
    peers = list(dict.fromkeys(row["who"] for row in rows))
    figure, (axis,) = panels(height=0.42 * len(cases) + 1.6)
    for k, (peer, colour) in enumerate(zip(peers, (SCORE, PATH, THIRD, FOURTH))):
        found = [row for row in rows if row["who"] == peer]
        places = [cases.index((row["title"], row["rule"])) + 0.22 * (k - (len(peers) - 1) / 2) for row in found]
        median, low, high = ([row["ratio"][key] for row in found] for key in ("median", "min", "max"))
        axis.hlines(places, low, high, color=colour, linewidth=1.5)
        axis.plot(median, places, MARKERS[colour].replace("-", ""), color=colour, markersize=5, linestyle="none", label=peer)
    for place, line in ((1, "-"), (2, "--")):
        axis.axvline(place, color=INK, linewidth=1.2, linestyle=line)
    axis.set_xscale("log")
    ticks = [0.5, 1, 2, 5, 10]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.xaxis.set_minor_formatter(plt.NullFormatter())
    axis.set_yticks(range(len(cases)), [f"{title}, {names[rule]}" for title, rule in cases])
    axis.invert_yaxis()
    axis.set_xlabel("time of the peer / time of gradlib")
    axis.legend(loc="lower center", bbox_to_anchor=(0.3, 1), ncols=len(peers), fontsize=9, frameon=False)
    return figure


def _family_colour(name: str) -> str:
    return SCORE if name.startswith("score function") else PATH if name.startswith("pathwise") else THIRD


def comparison(table: Comparison):
    """A :class:`gradlib.Comparison`: work (variance × cost) of the sound estimators, and measured values against the truth."""
    rows = [row for row in table.sound if np.isfinite(row.work)][::-1]
    figure, (left, right) = panels(2, height=0.42 * len(rows) + 1.4)
    heights = range(len(rows))
    left.barh(heights, [row.work for row in rows], color=[_family_colour(row.name) for row in rows], height=0.6)
    left.set_yticks(heights, [row.name for row in rows])
    if min((row.work for row in rows), default=0) > 0:
        left.set_xscale("log")
    left.set_xlabel("variance × cost")
    right.axvline(table.truth, color=TRUTH)
    for height, row in zip(heights, rows):
        right.errorbar(row.measured.value, height, xerr=2 * row.measured.stderr, fmt="o", color=INK, capsize=3, markersize=4)
    right.set_yticks(heights, [""] * len(rows))
    right.set_xlabel("measured")
    right.set_ylim(left.get_ylim())  # a row on the left is a row on the right
    return figure


# --- who wins where ------------------------------------------------------------------------


def who_wins(axis, x: np.ndarray, y: np.ndarray, differences: Sequence[np.ndarray], places: Sequence[tuple[float, float]], names=("score function", "pathwise")) -> None:
    """A map of the sign of an exact difference of variances, score function minus pathwise.

    Colour, hatching and words say the same. The first difference makes the map and its black
    border; further ones add a dashed border.

    Args:
        x, y: the coordinates of the columns and of the rows.
        differences: arrays of shape (len(y), len(x)).
        places: where the two names stand, in the coordinates of the axis (0 to 1).
    """
    reach = 2 * np.abs(differences[0]).max()
    axis.set_facecolor(WARM)  # one area drawn over the other: half of a drawing's points
    fills = axis.contourf(x, y, differences[0], levels=[-reach, 0], colors=[COOL], hatches=["///"])
    fills.set_edgecolor(HATCH)
    fills.set_linewidth(0)
    for values, line in zip(differences, ("-", "--", ":")):
        axis.contour(x, y, values, levels=[0], colors=INK, linewidths=1.8, linestyles=line)
    for name, (u, v) in zip(names, places):
        axis.text(u, v, name, transform=axis.transAxes, ha="center", va="center", bbox={"facecolor": SHEET, "edgecolor": "none", "pad": 2.5})
    axis.grid(False)


# --- how far from the optimum --------------------------------------------------------------


def gaps(axis, steps: Sequence[int], measured: Mapping[str, np.ndarray], floors: Mapping[str, float] = {}, colours=(SCORE, PATH, THIRD, FOURTH)) -> None:
    """Exact gaps to the optimum: the mean of independent runs ± 2 standard errors, and a band from the lowest to the highest run.

    Args:
        measured: name ↦ an array of shape (runs, steps).
        floors: name ↦ a level, drawn in grey and named beside it.
    """
    for level in floors.values():
        axis.axhline(level, color=TRUTH, linewidth=4, zorder=1)
    for name, level in floors.items():
        axis.annotate(name, (1.02, level), xycoords=axis.get_yaxis_transform(), va="center", fontsize=9, color=INK, annotation_clip=False)
    for (name, values), colour in zip(measured.items(), colours):
        mean, stderr = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
        axis.errorbar(steps, mean, yerr=2 * stderr, fmt=MARKERS[colour] + "-", color=colour, linewidth=1.4, markersize=4, capsize=2, markevery=max(1, len(steps) // 9), errorevery=max(1, len(steps) // 9), label=name)
    axis.set(yscale="log")


# --- measure-valued derivatives --------------------------------------------------------------


def weak_pair(axis, grid: np.ndarray, derivative: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> None:
    """The exact derivative of a density in grey, with c p⁺ above and c p⁻ below the axis."""
    axis.plot(grid, derivative, color=TRUTH, linewidth=4, label="exact derivative")
    axis.plot(grid, plus, color=SCORE, linewidth=1.6, label="$c\\,p^+$")
    axis.plot(grid, -minus, color=PATH, linewidth=1.6, linestyle="--", label="$-c\\,p^-$")
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.set_xlabel("$x$")


_legendre = lru_cache(np.polynomial.legendre.leggauss)


def noise_moments(G: Expectation, symbol: sp.Symbol, grid: Sequence[float], at: Mapping, nodes: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a smooth integrand for every value of one parameter, by Gauss and Legendre's rule in each variable."""
    numbers = {parameter: sp.Float(value, 17) for parameter, value in at.items()}
    axes = []
    for each in G.laws:
        parameters = [float(sp.sympify(q).xreplace(numbers)) for q in each.parameters]
        law = each.family.scipy(*parameters)
        if each.is_discrete:
            values = np.arange(law.support()[0], law.support()[1] + 1)
            axes.append((values, law.pmf(values)))
            continue
        low, high = law.support()
        low, high = (low if np.isfinite(low) else law.ppf(1e-30)), (high if np.isfinite(high) else law.isf(1e-30))
        t, weights = _legendre(80 if each.name == "Uniform" else nodes)
        s, weights = (t + 1) / 2, weights / 2
        if each.name == "Uniform":  # s ↦ s³(10 − 15 s + 6 s²): flat at both ends, where integrands have logarithms
            s, weights = s**3 * (10 - 15 * s + 6 * s**2), weights * 30 * (s * (1 - s)) ** 2
        values = low + (high - low) * s
        axes.append((values, weights * (high - low) * law.pdf(values)))
    f = sp.lambdify([each.symbol for each in G.laws] + [symbol], G.plain.xreplace(numbers), "numpy")
    noise = np.meshgrid(*(values for values, _ in axes), indexing="ij")
    weight = np.prod(np.meshgrid(*(weights for _, weights in axes), indexing="ij"), axis=0)
    means, spreads = [], []
    for value in grid:
        draws = f(*noise, float(value))
        means.append((weight * draws).sum())
        spreads.append((weight * (draws - means[-1]) ** 2).sum())
    return np.array(means), np.array(spreads)


def variance_curves(axis, estimators: Mapping[str, Expectation], symbol: sp.Symbol, grid, marks, at: Mapping, samples: int = 20_000) -> list[float]:
    """Exact variances per draw against one parameter, and measured ones with ± 2 standard errors.

    A measured variance is the mean of the squared deviation from the exact mean, so its standard error is that of a mean.

    Returns:
        The distance of every measured variance from the exact one, in standard errors.
    """
    centre, scores = sp.Symbol("centre", real=True), []
    for i, ((name, G), colour, line) in enumerate(zip(estimators.items(), (SCORE, PATH, THIRD, FOURTH), ("-", "--", "-.", ":"))):
        axis.plot(grid, noise_moments(G, symbol, grid, at)[1], color=colour, linewidth=1.8, linestyle=line, label=name)
        squared = Expectation((G.integrand - centre) ** 2, G.variables)
        means, spreads = noise_moments(G, symbol, marks, at)
        measured = [estimate(squared, {**at, symbol: float(t), centre: float(m)}, samples=samples, rng=i) for t, m in zip(marks, means)]
        errors = [2 * e.stderr for e in measured]
        axis.errorbar(marks, [e.value for e in measured], yerr=errors, fmt=MARKERS[colour], color=colour, markersize=4, capsize=2, linewidth=1)
        scores += [e.z(v) for e, v in zip(measured, spreads) if e.stderr > 0]
    return scores


def variance_panels(cases: Sequence[Mapping[str, Expectation]], symbol: sp.Symbol, grids: Sequence, at: Mapping, titles: Sequence[str], samples: int = 20_000):
    """:func:`variance_curves` in rows of three panels with logarithmic axes: the figure, and all distances in standard errors."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(cases) // 3, 3, figsize=(6.4, 2.3 * (len(cases) // 3) + 0.5), squeeze=False)
    scores = []
    for k, (axis, case, title) in enumerate(zip(axes.flat, cases, titles)):
        grid = np.asarray(grids[k % 3], float)
        scores += variance_curves(axis, case, symbol, grid, grid[5::10], at, samples)
        axis.set_yscale("log")
        axis.set_ylim(bottom=max(axis.get_ylim()[0], axis.get_ylim()[1] / 1e6))  # an exact zero has no logarithm
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=9)
        if k // 3 == len(cases) // 3 - 1:
            axis.set_xlabel(f"${latex(symbol)}$", fontsize=9)
        if k % 3 == 0:
            axis.set_ylabel("variance per draw", fontsize=9)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=9)
    return figure, scores


def decisions(questions: Mapping[str, tuple[tuple[float, float], str]], answers: Mapping[str, tuple[tuple[float, float], str]], arrows: Sequence[tuple[str, str, str]]):
    """A decision diagram: questions in rounded boxes, answers in square ones, arrows numbered in the order given.

    Args:
        questions: name ↦ (centre, text).
        answers: the same, for the leaves.
        arrows: (from, to, label).
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.0, 7.2))
        axis.set_axis_off()
        boxes = {}
        for nodes, style, face in ((questions, "round,pad=0.35", COOL), (answers, "square,pad=0.35", WARM)):
            for name, ((x, y), text) in nodes.items():
                boxes[name] = axis.text(
                    x, y, text, ha="center", va="center", fontsize=10, bbox={"boxstyle": style, "facecolor": face, "edgecolor": INK}
                )
        for number, (start, end, label) in enumerate(arrows, 1):
            arrow = axis.annotate(
                "", boxes[end].get_position(), boxes[start].get_position(),
                arrowprops={"arrowstyle": "-|>", "mutation_scale": 16, "color": INK, "shrinkA": 0, "shrinkB": 3, "patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch()},
            )  # fmt: skip
            arrow.set_zorder(0)
            (x0, y0), (x1, y1) = boxes[start].get_position(), boxes[end].get_position()
            axis.text(
                0.45 * x0 + 0.55 * x1, 0.45 * y0 + 0.55 * y1, f"{number}  {label}", ha="center", va="center", fontsize=9.5,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": SHEET, "edgecolor": "none"},
            )  # fmt: skip
        xs, ys = zip(*(position for position, _ in (*questions.values(), *answers.values())))
        axis.set_xlim(min(xs) - 0.7, max(xs) + 0.7)
        axis.set_ylim(min(ys) - 0.35, max(ys) + 0.35)
    return figure


# --- variational inference -----------------------------------------------------------------


def shortfalls(axis, steps: Sequence[int], gaps: Mapping[str, np.ndarray], colours=(SCORE, PATH)) -> None:
    """What runs still miss to an exact optimum, on logarithmic axes: each run thin, their mean with markers.

    Args:
        gaps: name ↦ an array of shape (steps, runs).
    """
    for (name, values), colour in zip(gaps.items(), colours):
        axis.plot(steps, values, color=colour, linewidth=0.8, alpha=0.6)
        axis.plot(steps, values.mean(axis=1), MARKERS[colour] + "-", color=colour, markersize=4.5, linewidth=1.4, label=name)
    axis.set(xscale="log", yscale="log")


# --- policy gradients -------------------------------------------------------------------------


def growth(axis, exact: Mapping[str, tuple[np.ndarray, np.ndarray]], measured: Mapping[str, tuple[Sequence[int], Sequence]], colours=(SCORE, PATH, THIRD, FOURTH)) -> None:
    """Variances against the horizon: exact curves in grey, and measured ones (``gradlib.Estimate``) with ± 2 standard errors.

    Args:
        exact: name ↦ horizons and values.
        measured: name ↦ horizons and estimates.
    """
    for i, (name, (T, values)) in enumerate(exact.items()):
        axis.plot(T, values, color=TRUTH, linewidth=4, solid_capstyle="round", label="exact" if i == 0 else None)
    for (name, (T, values)), colour in zip(measured.items(), colours):
        axis.errorbar(T, [e.value for e in values], yerr=[2 * e.stderr for e in values], fmt=MARKERS[colour], color=colour, markersize=5.5, capsize=2.5, linewidth=1.2, label=name)
    axis.set(yscale="log", xlabel="horizon $T$")


def componentwise(axis, truth: np.ndarray, estimates: Mapping[str, object], colours=(SCORE, PATH)) -> None:
    """The components of vector-valued estimates (± 2 standard errors) against the exact ones; on the grey line both are equal."""
    ends = [truth.min(), truth.max()]
    axis.plot(ends, ends, color=TRUTH, linewidth=4, solid_capstyle="round", label="equal to the exact gradient")
    for (name, e), colour in zip(estimates.items(), colours):
        axis.errorbar(truth.ravel(), e.value.ravel(), yerr=2 * e.stderr.ravel(), fmt=MARKERS[colour], color=colour, markersize=3.5, linewidth=1, label=name)
    axis.set(xlabel="exact component of the gradient", ylabel="estimate (± 2 s.e.)")


# --- rooms --------------------------------------------------------------------------------------


def rooms(axis, values: np.ndarray, title: str = "") -> None:
    """A number in each room of a square world, in a stronger colour where it is larger."""
    axis.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5), aspect="equal")
    for (row, column), value in np.ndenumerate(values):
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=(SCORE, 0.5 * value / values.max()), edgecolor=GRID))
        axis.text(column, row, f"{value:.1f}" if value < 9.95 else f"{value:.0f}", ha="center", va="center", fontsize=10, color=INK)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
