"""What a graph says must follow from the expectation that it is read off."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
import sympy as sp
from sympy.stats import Bernoulli, Normal

import gradlib as gl
from _lib import graphs

matplotlib.use("agg")

theta = sp.Symbol("theta", real=True)
X = Normal("x", theta, 1)
OBJECTIVES = {
    "distribution": gl.Expectation(X**2),
    "both": gl.Expectation(theta * X**2),
    "integrand": gl.Expectation(theta * Normal("x", 0, 1) ** 2),
}


@pytest.fixture(params=[(where, rule) for where in OBJECTIVES for rule in ("score", "pathwise")], ids="-".join)
def graph(request):
    where, rule = request.param
    return where, rule, graphs.computational_graph(OBJECTIVES[where], theta, rule)


def test_no_derivative_touches_a_stochastic_node(graph):
    _, _, g = graph
    ends = {name for edge in g.gradient for name in edge}
    assert all(g.nodes[name].kind != "stochastic" for name in ends)


def test_the_derivative_reaches_theta_along_computed_edges(graph):
    where, rule, g = graph
    assert set(g.gradient) <= set(g.edges)
    assert any(start == "theta" for start, _ in g.gradient)


def test_theta_feeds_a_draw_only_under_the_score_function(graph):
    where, rule, g = graph
    fed = [end for start, end in g.edges if start == "theta" and g.nodes[end].kind == "stochastic"]
    assert bool(fed) == (rule == "score" and where != "integrand")


def test_the_direct_term_is_an_edge_from_theta_to_f(graph):
    where, _, g = graph
    assert (("theta", "F") in g.edges) == (where != "distribution")


def test_graphs_refuse_what_has_no_path():
    coin = gl.Expectation(1 + Bernoulli("a", 1 / (1 + sp.exp(theta))))
    assert "log p" in graphs.computational_graph(coin, theta, "score").nodes
    with pytest.raises(gl.UnsoundEstimator):
        graphs.computational_graph(coin, theta, "pathwise")
    with pytest.raises(ValueError, match="'score' or 'pathwise'"):
        graphs.computational_graph(coin, theta, "magic")


def test_two_moved_variables_have_two_base_variables():
    J = gl.Expectation(X * Normal("y", theta, 2))
    g = graphs.computational_graph(J, theta, "pathwise")
    leaves = [name for name, node in g.nodes.items() if node.kind == "stochastic"]
    assert len(leaves) == 2
    assert {(leaf, f"x:{leaf[-1]}") for leaf in leaves} <= set(g.edges)


def test_a_graph_draws():
    graphs.stacked(OBJECTIVES["both"], theta).canvas.draw()
    plt.close("all")
