"""What the book draws: the exact truth always in it, standard errors always shown.

A function that takes an axis draws on it; :func:`style.show` ends a notebook cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from _lib.style import COOL, FOURTH, GRID, HATCH, INK, MARKERS, PATH, SCORE, SHEET, STYLE, THIRD, TRUTH, WARM, panels
from gradlib.compare import Comparison
from gradlib.core.expectation import Expectation
from gradlib.core.notation import latex
from gradlib.engine.estimate import estimate
from gradlib.oracle.exact import exact, variance
from gradlib.rules.contract import parameter_derivative


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


def histogram(
    axis, draws: Mapping[str, np.ndarray], truth: float, bins: Sequence[float], colours=(SCORE, PATH)
) -> None:
    """Histograms of per-draw gradients on common bins, with the exact mean as a grey line.

    Draws outside the bins count in the outermost ones, so that no tail disappears.
    """
    for (name, values), colour, line in zip(draws.items(), colours, ("-", "--")):
        clipped = np.clip(values, bins[0], bins[-1])
        axis.hist(clipped, bins=bins, density=True, histtype="stepfilled", color=colour, alpha=0.18)
        axis.hist(
            clipped, bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, linestyle=line, label=name
        )
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


def curve(J: Expectation, symbol: sp.Symbol, at: Mapping | None = None) -> Callable[[float], float]:
    """The exact value of J as a function of one parameter, the others fixed."""
    return lambda value: exact(J, {**(at or {}), symbol: float(value)})


def variances(
    axis, estimators: Mapping[str, Expectation], symbol: sp.Symbol, grid, marks, at: Mapping, samples: int = 20_000
) -> None:
    """Exact variances per draw against one parameter, with measured ones as markers."""
    for (name, S), colour, line in zip(estimators.items(), (SCORE, PATH), ("-", "--")):
        axis.plot(
            grid,
            [variance(S, {**at, symbol: float(t)}) for t in grid],
            color=colour,
            linewidth=2,
            linestyle=line,
            label=f"{name} (exact)",
        )
        measured = [estimate(S, {**at, symbol: float(t)}, samples=samples, rng=i) for i, t in enumerate(marks)]
        axis.plot(
            marks,
            [e.stderr**2 * e.samples for e in measured],
            MARKERS[colour],
            color=colour,
            markersize=5,
            label=f"{name} (measured)",
        )


def tangents(
    axis,
    grid: Sequence[float],
    value: Callable,
    slope: Callable,
    at: Sequence[float],
    direction: int = 1,
    step: float = 1.0,
) -> None:
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
        axis.annotate(
            "",
            (t + tip, value(t) + tip * slope(t)),
            (t, value(t)),
            arrowprops={"arrowstyle": "-|>", "color": PATH, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0},
        )


def shares(axis, x: np.ndarray, y: np.ndarray, groups: int = 12) -> None:
    """Labels 0 and 1 against a feature: a tick for each example, and the share of ones in groups of equal size."""
    for label, place in ((0, -0.06), (1, 1.06)):
        ticks = np.array(
            [[t, t, np.nan] for t in x[y == label]]
        ).ravel()  # one line, which is lighter than a marker each
        axis.plot(
            ticks, np.resize([place - 0.02, place + 0.02, np.nan], len(ticks)), color=INK, linewidth=0.5, alpha=0.6
        )
    for k, rows in enumerate(np.array_split(np.argsort(x, kind="stable"), groups)):
        share, n = y[rows].mean(), len(rows)
        # Wilson's interval: unlike ± 2 standard errors it does not collapse where the share is 0 or 1.
        centre, half = (share + 2 / n) / (1 + 4 / n), 2 * np.sqrt(share * (1 - share) / n + 1 / n**2) / (1 + 4 / n)
        error = np.maximum([[share - centre + half], [centre + half - share]], 0)
        axis.errorbar(
            x[rows].mean(),
            share,
            yerr=error,
            fmt=MARKERS[SCORE],
            color=SCORE,
            markersize=4.5,
            capsize=2.5,
            linewidth=1.2,
            label="share in the data (95 %)" if k == 0 else None,
        )


def runs(axis, steps: Sequence[int], paths: np.ndarray, truth: float, colour: str = SCORE) -> None:
    """Independent runs (rows) against the number of steps, their mean, and the exact limit in grey."""
    axis.axhline(truth, color=TRUTH, linewidth=4, label="optimum", zorder=1)
    for i, row in enumerate(paths):
        axis.plot(steps, row, color=colour, linewidth=0.8, alpha=0.6, label=f"{len(paths)} runs" if i == 0 else None)
    axis.plot(steps, paths.mean(axis=0), color=INK, linewidth=1.6, linestyle="--", label="their mean")
    axis.set_xscale("log")
    axis.set_xlabel("steps")


def learning(axis, runs: np.ndarray, best: float, colour: str = SCORE, label: str = "") -> None:
    """Runs (rows) against the number of steps: their median, the middle eight tenths of them, the best in grey."""
    last = runs.shape[1]
    steps = np.arange(1, last + 1) if last <= 600 else np.unique(np.geomspace(1, last, 200).astype(int))
    low, median, high = np.quantile(runs[:, steps - 1], [0.1, 0.5, 0.9], axis=0)
    axis.axhline(best, color=TRUTH, linewidth=4, zorder=1)
    axis.fill_between(steps, low, high, color=colour, alpha=0.25, linewidth=0, label=f"{label} 8 of 10 runs".strip())
    axis.plot(steps, median, color=colour, linewidth=1.6, label=f"{label} median".strip())
    axis.set_xlabel("steps")


def places(axis, law: Callable, worth: Callable, turn: float = 0.9) -> None:
    """The law of a draw (shaded) and what it is worth (lines), before and after the knob is turned.

    Args:
        law, worth: of x and the knob: the argument of a standard Gaussian, and the worth.
    """
    grid = np.linspace(-3, 5, 200)
    for knob, line, shade in ((0.0, "-", 0.35), (turn, "--", 0.2)):
        axis.fill_between(grid, 4 * np.exp(-(law(grid, knob) ** 2) / 2), color=SCORE, alpha=shade, linewidth=0)
        axis.plot(grid, worth(grid, knob), line, color=PATH, linewidth=1.8)
    axis.set(ylim=(0, 6), xlabel="$x$", yticks=[])
    axis.grid(False)


def slopes(axis, J: Expectation, theta: sp.Symbol, draws: Sequence[float], at: float) -> None:
    """The integrand of single draws as functions of the parameter, the mean in grey, and all slopes at one place."""
    (x,) = (law.symbol for law in J.laws)
    grid, step = np.linspace(-0.6, 4.6, 200), np.array([-0.35, 0.35])
    value, slope = (sp.lambdify([theta, x], e) for e in (J.plain, sp.diff(J.plain, theta)))
    mean = np.array([exact(J, {theta: float(t)}) for t in grid])
    axis.plot(grid, mean, color=TRUTH, linewidth=4, label="the mean")
    for i, draw in enumerate(draws):
        axis.plot(grid, value(grid, draw), color=INK, linewidth=0.7, label=None if i else "single throws")
        axis.plot(at + step, value(at, draw) + slope(at, draw) * step, color=PATH, linewidth=2)
    here, middle = exact(J, {theta: at}), exact(J.with_integrand(sp.diff(J.plain, theta)), {theta: at})
    axis.plot(at + 2 * step, here + middle * 2 * step, color=SCORE, linewidth=3, label="the mean of the slopes")
    axis.set(xlabel=r"$\theta$", ylabel="cost", ylim=(-0.3, 5.6))
    axis.legend()


def hillside(axis, F: sp.Expr, x: sp.Symbol, people: np.ndarray, step: float) -> None:
    """Draws on the graph of F, each with a step along the slope there; where F jumps, the slope beside the jump."""
    height, slope = (sp.lambdify(x, e, "numpy") for e in (F, parameter_derivative(F, x)))
    grid = np.linspace(-3, 3, 601)
    values = height(grid) + 0 * grid
    axis.plot(grid, values, color=TRUTH, linewidth=3, zorder=1)
    arrow = {"arrowstyle": "-|>", "color": PATH, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    for place in people:
        start = np.array([place, float(height(place))])
        axis.annotate("", start + step * np.array([1, float(slope(place))]), start, arrowprops=arrow)
    axis.plot(people, height(people) + 0 * people, "o", color=INK, markersize=4)
    axis.set(xlabel="$x$", ylabel="$F(x)$", xlim=(-3, 3))


def carried(axis, g: Callable, edges: np.ndarray) -> None:
    """Strips of a standard Gaussian below, and above where an increasing affine map carries them; the mass stays."""
    normal = lambda t: np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    speed, lift = g(1) - g(0), 0.75
    for low, high, shade in zip(edges, edges[1:], np.tile([0.25, 0.5], len(edges))):
        e = np.linspace(low, high, 40)
        axis.fill_between(e, 0, normal(e), color=SCORE, alpha=shade, linewidth=0)
        axis.fill_between(g(e), lift, lift + normal(e) / speed, color=PATH, alpha=shade, linewidth=0)
    for e in edges:
        axis.plot([e, g(e)], [normal(e), lift], color=INK, linewidth=0.8, linestyle="--")
    axis.text(edges[0] - 0.9, 0.08, "$q(\\varepsilon)$", color=INK)
    axis.text(g(edges[0]) - 1.2, lift + 0.08, "$p(x)$", color=INK)
    axis.set(yticks=[], xlim=(-3.2, 3.2))
    axis.grid(False)


def two_arms(axis, prob: float, rewards: Sequence[float], bonuses: Sequence[float]) -> None:
    """What two arms pay against how probable they are: the areas add up to the mean."""
    for arm, (start, width) in enumerate(((0, 1 - prob), (1 - prob, prob))):
        lower = {"width": width, "align": "edge", "edgecolor": INK, "linewidth": 0.8}
        axis.bar(start, rewards[arm], color=SCORE, alpha=0.45, label=None if arm else "reward", **lower)
        axis.bar(
            start, bonuses[arm], bottom=rewards[arm], color=PATH, alpha=0.6, label=None if arm else "bonus", **lower
        )
        axis.text(start + width / 2, 0.08, f"arm {arm}", ha="center", color=INK)
    axis.set(xlabel="probability", ylim=(0, 2.9), xlim=(0, 1), ylabel="what it pays")
    axis.grid(False)


def throws(
    axes, variables: Sequence, aim: Sequence[sp.Symbol], noise: np.ndarray, reward: Callable, length: float = 0.45
) -> None:
    """Draws in the plane with their scores, the scores weighted by the reward, and their mean moving the aim.

    Args:
        axes: three.
        variables: two independent variables, whose means are the symbols ``aim``; the aim is at 0.
        noise: the draws, of shape (n, 2).
        reward: ``reward(x, y)`` on arrays, at most 1.
        length: of an arrow for a score of 1.
    """
    laws = [Expectation(variable).laws[0] for variable in variables]
    score = [sp.lambdify(law.symbol, law.score(a).subs(a, 0)) for law, a in zip(laws, aim)]
    scores = np.column_stack([f(column) for f, column in zip(score, noise.T)])
    earned = reward(*noise.T)
    mean = 6 * (scores * earned[:, None]).mean(axis=0)
    titles = ["the scores", "times the reward", "the mean, and the step"]
    u, levels = np.linspace(-3, 3.4, 81), np.linspace(0, 1, 9)
    shades = [to_rgba(INK, 0.55 * level) for level in levels[:-1]]
    for axis, title in zip(axes, titles):
        axis.contourf(u, u, reward(*np.meshgrid(u, u)), levels=levels, colors=shades)
        axis.set(title=title, aspect="equal", xticks=[], yticks=[])
        axis.plot(*noise.T, "o", color=INK, markersize=2)
        axis.grid(False)
    for axis, weight in zip(axes, (np.ones_like(earned), 2 * earned)):
        arrows = scores * weight[:, None] * length
        axis.quiver(*noise.T, *arrows.T, color=SCORE, angles="xy", scale_units="xy", scale=1, width=0.009)
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.array([np.cos(angle), np.sin(angle)])
    axes[2].plot(*(1.5 * circle), color=INK, linewidth=1, linestyle="--")
    axes[2].plot(*(mean[:, None] + 1.5 * circle), color=PATH, linewidth=1.6)
    arrow = {"arrowstyle": "-|>", "color": PATH, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
    axes[2].annotate("", mean, (0, 0), arrowprops=arrow)


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
        axis.plot(
            *(mean[:, None] + L @ (r * np.array([np.cos(angle), np.sin(angle)]))),
            color=INK,
            linewidth=1.5,
            linestyle="--",
        )
    axis.plot(*x.T, "o", color=INK, markersize=1.8, alpha=0.45, zorder=1)
    for column in L.T:
        axis.annotate(
            "",
            mean + column,
            mean,
            arrowprops={"arrowstyle": "-|>", "color": PATH, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0},
            zorder=4,
        )
    axis.set_aspect("equal")


def errors(
    axis,
    n: Sequence[int],
    measured: Mapping[str, Sequence[float]],
    lines: Mapping[str, tuple[float, float]] = {},
    exact: Callable | None = None,
    colours=(SCORE, PATH, THIRD, FOURTH),
) -> None:
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
    axis.plot(
        grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=TRUTH, linewidth=4, label=r"exact, $\mathcal{N}(0, 1)$"
    )
    for (name, values), colour, line in zip(scores.items(), colours, ("-", "--")):
        axis.hist(
            np.clip(values, -reach, reach),
            bins=bins,
            density=True,
            histtype="step",
            color=colour,
            linewidth=1.6,
            linestyle=line,
            label=name,
        )
    axis.set(xlabel="$z$", ylabel="density")


def speed_ratios(rows: Sequence[Mapping]):
    """How many times longer the peers took in the benchmark: a dot with its range for each case and peer.

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
        axis.plot(
            median, places, MARKERS[colour].replace("-", ""), color=colour, markersize=5, linestyle="none", label=peer
        )
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
    """A :class:`gradlib.Comparison`: work (variance × cost) of the sound rows, and measurements beside the truth."""
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
        right.errorbar(
            row.measured.value, height, xerr=2 * row.measured.stderr, fmt="o", color=INK, capsize=3, markersize=4
        )
    right.set_yticks(heights, [""] * len(rows))
    right.set_xlabel("measured")
    right.set_ylim(left.get_ylim())  # a row on the left is a row on the right
    return figure


def who_wins(
    axis,
    x: np.ndarray,
    y: np.ndarray,
    differences: Sequence[np.ndarray],
    places: Sequence[tuple[float, float]],
    names=("score function", "pathwise"),
) -> None:
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
        axis.text(
            u,
            v,
            name,
            transform=axis.transAxes,
            ha="center",
            va="center",
            bbox={"facecolor": SHEET, "edgecolor": "none", "pad": 2.5},
        )
    axis.grid(False)


def gaps(
    axis,
    steps: Sequence[int],
    measured: Mapping[str, np.ndarray],
    floors: Mapping[str, float] = {},
    colours=(SCORE, PATH, THIRD, FOURTH),
) -> None:
    """Exact gaps to the optimum: the mean of runs ± 2 standard errors, in a band from the lowest to the highest.

    Args:
        measured: name ↦ an array of shape (runs, steps).
        floors: name ↦ a level, drawn in grey and named beside it.
    """
    for level in floors.values():
        axis.axhline(level, color=TRUTH, linewidth=4, zorder=1)
    for name, level in floors.items():
        axis.annotate(
            name,
            (1.02, level),
            xycoords=axis.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=INK,
            annotation_clip=False,
        )
    for (name, values), colour in zip(measured.items(), colours):
        mean, stderr = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
        axis.errorbar(
            steps,
            mean,
            yerr=2 * stderr,
            fmt=MARKERS[colour] + "-",
            color=colour,
            linewidth=1.4,
            markersize=4,
            capsize=2,
            markevery=max(1, len(steps) // 9),
            errorevery=max(1, len(steps) // 9),
            label=name,
        )
    axis.set(yscale="log")


def weak_pair(axis, grid: np.ndarray, derivative: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> None:
    """The exact derivative of a density in grey, with c p⁺ above and c p⁻ below the axis."""
    axis.plot(grid, derivative, color=TRUTH, linewidth=4, label="exact derivative")
    axis.plot(grid, plus, color=SCORE, linewidth=1.6, label="$c\\,p^+$")
    axis.plot(grid, -minus, color=PATH, linewidth=1.6, linestyle="--", label="$-c\\,p^-$")
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.set_xlabel("$x$")


_legendre = lru_cache(np.polynomial.legendre.leggauss)


def noise_moments(
    G: Expectation, symbol: sp.Symbol, grid: Sequence[float], at: Mapping, nodes: int = 320
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a smooth integrand for every value of one parameter, by Gauss–Legendre in each variable."""
    numbers = {parameter: sp.Float(value, 17) for parameter, value in at.items()}
    axes = []
    for law in G.laws:
        if law.is_finite:
            table = {value: p.xreplace(numbers) for value, p in law.table.items()}
            axes.append((np.array(list(table), float), np.array(list(table.values()), float)))
            continue
        low, high = float(law.support.inf), float(law.support.sup)
        bounded = np.isfinite(high - low)
        t, weights = _legendre(80 if bounded else nodes)
        s, weights = (t + 1) / 2, weights / 2
        if bounded:  # s ↦ s³(10 − 15 s + 6 s²): flat at both ends, where integrands have logarithms
            s, weights = s**3 * (10 - 15 * s + 6 * s**2), weights * 30 * (s * (1 - s)) ** 2
        else:
            far = law.spread([float(sp.sympify(q).xreplace(numbers)) for q in law.parameters], (1e-30,))
            low, high = low if np.isfinite(low) else far[0], high if np.isfinite(high) else far[-1]
        density = sp.lambdify(law.symbol, law.density.xreplace(numbers), "scipy")
        values = low + (high - low) * s
        axes.append((values, weights * (high - low) * density(values)))
    f = sp.lambdify([law.symbol for law in G.laws] + [symbol], G.plain.xreplace(numbers), "numpy")
    noise = np.meshgrid(*(values for values, _ in axes), indexing="ij")
    weight = np.prod(np.meshgrid(*(weights for _, weights in axes), indexing="ij"), axis=0)
    means, spreads = [], []
    for value in grid:
        draws = f(*noise, float(value))
        means.append((weight * draws).sum())
        spreads.append((weight * (draws - means[-1]) ** 2).sum())
    return np.array(means), np.array(spreads)


def variance_curves(
    axis, estimators: Mapping[str, Expectation], symbol: sp.Symbol, grid, marks, at: Mapping, samples: int = 20_000
) -> list[float]:
    """Exact variances per draw against one parameter, and measured ones with ± 2 standard errors.

    A measured variance is the mean of the squared deviation from the exact mean: its standard error is that of a mean.

    Returns:
        The distance of every measured variance from the exact one, in standard errors.
    """
    centre, scores = sp.Symbol("centre", real=True), []
    for i, ((name, G), colour, line) in enumerate(
        zip(estimators.items(), (SCORE, PATH, THIRD, FOURTH), ("-", "--", "-.", ":"))
    ):
        axis.plot(grid, noise_moments(G, symbol, grid, at)[1], color=colour, linewidth=1.8, linestyle=line, label=name)
        squared = Expectation((G.integrand - centre) ** 2, G.variables)
        means, spreads = noise_moments(G, symbol, marks, at)
        measured = [
            estimate(squared, {**at, symbol: float(t), centre: float(m)}, samples=samples, rng=i)
            for t, m in zip(marks, means)
        ]
        errors = [2 * e.stderr for e in measured]
        axis.errorbar(
            marks,
            [e.value for e in measured],
            yerr=errors,
            fmt=MARKERS[colour],
            color=colour,
            markersize=4,
            capsize=2,
            linewidth=1,
        )
        scores += [e.z(v) for e, v in zip(measured, spreads) if e.stderr > 0]
    return scores


def variance_panels(
    cases: Sequence[Mapping[str, Expectation]],
    symbol: sp.Symbol,
    grids: Sequence,
    at: Mapping,
    titles: Sequence[str],
    samples: int = 20_000,
):
    """:func:`variance_curves` in rows of three logarithmic panels: the figure, and all distances in standard errors."""
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


def decisions(
    questions: Mapping[str, tuple[tuple[float, float], str]],
    answers: Mapping[str, tuple[tuple[float, float], str]],
    arrows: Sequence[tuple[str, str, str]],
):
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
                    x,
                    y,
                    text,
                    ha="center",
                    va="center",
                    fontsize=10,
                    bbox={"boxstyle": style, "facecolor": face, "edgecolor": INK},
                )
        for number, (start, end, label) in enumerate(arrows, 1):
            arrow = axis.annotate(
                "", boxes[end].get_position(), boxes[start].get_position(),
                arrowprops={
                    "arrowstyle": "-|>", "mutation_scale": 16, "color": INK, "shrinkA": 0, "shrinkB": 3,
                    "patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch(),
                },
            )  # fmt: skip
            arrow.set_zorder(0)
            (x0, y0), (x1, y1) = boxes[start].get_position(), boxes[end].get_position()
            axis.text(
                0.45 * x0 + 0.55 * x1, 0.45 * y0 + 0.55 * y1, f"{number}  {label}",
                ha="center", va="center", fontsize=9.5,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": SHEET, "edgecolor": "none"},
            )  # fmt: skip
        xs, ys = zip(*(position for position, _ in (*questions.values(), *answers.values())))
        axis.set_xlim(min(xs) - 0.7, max(xs) + 0.7)
        axis.set_ylim(min(ys) - 0.35, max(ys) + 0.35)
    return figure


def shortfalls(axis, steps: Sequence[int], gaps: Mapping[str, np.ndarray], colours=(SCORE, PATH)) -> None:
    """What runs still miss to an exact optimum, on logarithmic axes: each run thin, their mean with markers.

    Args:
        gaps: name ↦ an array of shape (steps, runs).
    """
    for (name, values), colour in zip(gaps.items(), colours):
        axis.plot(steps, values, color=colour, linewidth=0.8, alpha=0.6)
        axis.plot(
            steps, values.mean(axis=1), MARKERS[colour] + "-", color=colour, markersize=4.5, linewidth=1.4, label=name
        )
    axis.set(xscale="log", yscale="log")


def growth(
    axis,
    exact: Mapping[str, tuple[np.ndarray, np.ndarray]],
    measured: Mapping[str, tuple[Sequence[int], Sequence]],
    colours=(SCORE, PATH, THIRD, FOURTH),
) -> None:
    """Variances against the horizon: exact in grey, measured ones (``gradlib.Estimate``) with ± 2 standard errors.

    Args:
        exact: name ↦ horizons and values.
        measured: name ↦ horizons and estimates.
    """
    for i, (name, (T, values)) in enumerate(exact.items()):
        axis.plot(T, values, color=TRUTH, linewidth=4, solid_capstyle="round", label="exact" if i == 0 else None)
    for (name, (T, values)), colour in zip(measured.items(), colours):
        axis.errorbar(
            T,
            [e.value for e in values],
            yerr=[2 * e.stderr for e in values],
            fmt=MARKERS[colour],
            color=colour,
            markersize=5.5,
            capsize=2.5,
            linewidth=1.2,
            label=name,
        )
    axis.set(yscale="log", xlabel="horizon $T$")


def componentwise(axis, truth: np.ndarray, estimates: Mapping[str, object], colours=(SCORE, PATH)) -> None:
    """Components of vector-valued estimates (± 2 standard errors) against the exact ones, the diagonal in grey."""
    ends = [truth.min(), truth.max()]
    axis.plot(ends, ends, color=TRUTH, linewidth=4, solid_capstyle="round", label="equal to the exact gradient")
    for (name, e), colour in zip(estimates.items(), colours):
        axis.errorbar(
            truth.ravel(),
            e.value.ravel(),
            yerr=2 * e.stderr.ravel(),
            fmt=MARKERS[colour],
            color=colour,
            markersize=3.5,
            linewidth=1,
            label=name,
        )
    axis.set(xlabel="exact component of the gradient", ylabel="estimate (± 2 s.e.)")


def rooms(axis, values: np.ndarray, title: str = "") -> None:
    """A number in each room of a square world, in a stronger colour where it is larger."""
    axis.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5), aspect="equal")
    for (row, column), value in np.ndenumerate(values):
        axis.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=(SCORE, 0.5 * value / values.max()), edgecolor=GRID)
        )
        axis.text(
            column,
            row,
            f"{value:.1f}" if value < 9.95 else f"{value:.0f}",
            ha="center",
            va="center",
            fontsize=10,
            color=INK,
        )
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
