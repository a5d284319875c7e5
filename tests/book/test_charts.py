"""The charts draw what they are given, the exact truth with it."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from sympy.stats import Normal

import gradlib as gl
from _lib import charts, style

matplotlib.use("agg")

theta = sp.Symbol("theta", real=True)
SQUARE = gl.Expectation(Normal("x", theta, 1) ** 2)


def test_every_figure_draws():
    figure, axes = style.panels(2)
    truth = charts.curve(SQUARE, theta)
    estimates = [gl.estimate(SQUARE, {theta: t}, samples=100, rng=0) for t in (0, 1)]
    charts.against_truth(axes[0], [0, 1], truth, {"x": estimates}, [0, 1])
    grey, bars = axes[0].lines[0], axes[0].containers[0]
    assert np.allclose(grey.get_ydata(), [1, 2]), "the exact curve is drawn"
    assert np.allclose(bars.lines[0].get_ydata(), [e.value for e in estimates])
    charts.histogram(axes[1], {"a": np.arange(10.0)}, 4.5, [0, 5, 10])
    charts.running_means(axes[1], {"a": np.ones((2, 100))}, 1.0)
    charts.signed_density(axes[1], np.arange(3.0), np.ones(3), np.array([1.0, 0, -1]))
    figure.canvas.draw()
    plt.close("all")


def test_errors_draw_what_they_are_given():
    figure, (axis,) = style.panels()
    charts.errors(
        axis, [10, 1000], {"measured": [0.3, 0.04]}, {"slow": (1.0, -0.5), "fast": (2.0, -1.0)}, exact=lambda n: n**-0.5
    )
    exact, slow, fast, measured = (line.get_ydata() for line in axis.lines)
    assert np.allclose(exact, slow) and np.allclose(slow, [10**-0.5, 1000**-0.5])
    assert np.allclose(fast, [0.2, 0.002]) and np.allclose(measured, [0.3, 0.04])
    assert axis.get_xscale() == axis.get_yscale() == "log"
    figure.canvas.draw()
    plt.close(figure)


def test_z_scores_stand_over_the_normal_density():
    figure, (axis,) = style.panels()
    charts.z_scores(axis, {"a": np.random.default_rng(0).normal(size=1000), "b": np.array([-99.0, 99.0])})
    (density,) = axis.lines
    assert np.isclose(density.get_ydata().max(), 1 / np.sqrt(2 * np.pi))
    areas = [patch.get_path().vertices for patch in axis.patches]
    assert len(areas) == 2 and areas[1][:, 0].min() >= -5, "what lies outside is drawn at the edge"
    figure.canvas.draw()
    plt.close(figure)


def test_speed_ratios():
    """A dot for each case and peer; the lines at 1 and 2 are there whatever the ratios."""
    spread = {"median": 3.0, "min": 2.0, "max": 5.0}
    rows = [
        {"title": title, "rule": "score", "who": who, "ratio": spread}
        for title in ("cos 2x", "log mixture")
        for who in ("A", "B")
    ]
    (axis,) = charts.speed_ratios(rows).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "cos 2x, score function",
        "log mixture, score function",
    ]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["A", "B"]
    dots = [line for line in axis.lines if line.get_linestyle() == "None"]
    assert [list(line.get_xdata()) for line in dots] == [[3.0, 3.0]] * 2
    assert {line.get_xdata()[0] for line in axis.lines} >= {1, 2}


def test_a_comparison_shows_its_sound_rows():
    table = gl.compare(SQUARE, theta, {theta: 1}, samples=1000)
    figure = charts.comparison(table)
    assert len(figure.axes) == 2
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()][-1] == table.sound[0].name
    plt.close(figure)
