"""Stochastic computation graphs, read off an expectation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from _lib.style import COOL, INK, PATH, PLAIN, SHEET, STYLE
from gradlib.core.expectation import Expectation, dependence
from gradlib.core.notation import latex
from gradlib.rules.pathwise import reparameterize


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
    for law in J.laws:
        name = f"x:{law.symbol}"
        moved = theta in law.free_symbols
        if moved and rule == "pathwise":
            new = base - set(J.variables)
            (epsilon,) = new if len(new) == 1 else {e for e in base if str(e.symbol).endswith(f"_{law.variable}")}
            noise = f"eps:{epsilon.symbol}"
            _, g = law.base()
            nodes[noise] = Node(noise, "stochastic", latex(sp.Symbol(str(epsilon.symbol))))
            nodes[name] = Node(
                name, "deterministic", f"{latex(law.symbol)} = {latex(g(sp.Symbol(str(epsilon.symbol))))}"
            )
            edges += [(noise, name), ("theta", name)]
            gradient.append(("theta", name))
        else:
            nodes[name] = Node(name, "stochastic", latex(law.symbol))
            if moved:
                edges.append(("theta", name))
    nodes["F"] = Node("F", "deterministic", f"F = {latex(J.plain)}")
    for law in J.laws:
        if J.plain.has(law.symbol):
            edges.append((f"x:{law.symbol}", "F"))
            if rule == "pathwise" and theta in law.free_symbols:
                gradient.append((f"x:{law.symbol}", "F"))
    if where != "distribution":
        edges.append(("theta", "F"))
        gradient.append(("theta", "F"))
    if rule == "score" and where != "integrand":
        names = ",".join(latex(law.symbol) for law in J.laws if theta in law.free_symbols)
        nodes["log p"] = Node("log p", "deterministic", rf"\log\,p_{{{latex(theta)}}}({names})")
        nodes["surrogate"] = Node(
            "surrogate", "deterministic", r"[F]\cdot\log\,p" if where == "distribution" else r"F + [F]\cdot\log\,p"
        )
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
            axis.add_patch(
                FancyBboxPatch(
                    (x - width, y - 0.2),
                    2 * width,
                    0.4,
                    boxstyle="round,pad=0.02,rounding_size=0.04",
                    facecolor=PLAIN,
                    edgecolor=INK,
                    zorder=3,
                )
            )
            half[name] = (width + 0.03, 0.23)
        else:
            axis.add_patch(
                Circle((x, y), 0.24, facecolor=COOL if node.kind == "stochastic" else SHEET, edgecolor=INK, zorder=3)
            )
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


def stacked(J: Expectation, theta: sp.Symbol, rules: Sequence[str] = ("score", "pathwise")):
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
    return len(
        re.sub(
            r"\\left|\\right|\\operatorname|[{}\\^_, ]|(?<=\\)[a-z]+(?=\b)",
            "",
            re.sub(r"\\(mu|sigma|theta|epsilon|cdot)", "m", text),
        )
    )


def _arrow(axis, start, end, half_start, half_end, colour, line, width, bend) -> None:
    def edge_point(centre, other, half):
        direction = other - centre
        scale = min(
            half[0] / abs(direction[0]) if direction[0] else np.inf,
            half[1] / abs(direction[1]) if direction[1] else np.inf,
        )
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
