"""What has no mean is refused before a draw, what has one is not."""

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.core.binding import bind
from gradlib.sound.existence import require_existence

F = sp.Float
A, C, E = st.Normal("A", 0, 1), st.Cauchy("C", 0, 1), st.Exponential("E", 1)


def known(integrand, at=None):
    J = gl.Expectation(integrand)
    return require_existence(J, bind(J, at, None))


def t(nu):
    return st.StudentT("T", nu)


NO_MEAN = [
    C, C**2 * sp.log(1 + C**2), t(2) ** 2, sp.Abs(t(1)), st.Pareto("P", 1, 1), st.Pareto("P", 1, F(0.3)), A**2 * C,
    sp.exp(st.LogNormal("M", 0, 1)), sp.exp(A**2 / 2), sp.exp(sp.Abs(A) ** 3), 1 / A, 1 / (A**2 - 2), sp.exp(E),
    1 / st.Gamma("G", 1, 1), 1 / st.Beta("B", F(0.5), 2), sp.exp(st.Laplace("L", 0, 1)), 2 ** (st.Poisson("N", 1) ** 2),
    st.GammaInverse("I", 1, 1), sp.exp(st.Gumbel("Q", 1, 0)), sp.Piecewise((C, C > 1), (0, True)),
    st.BetaPrime("Y", 1, 1), sp.Abs(st.Cauchy("X", 5, F(1e-9))), sp.exp(sp.exp(A)), C * sp.sin(A) + A, A / C,
]  # fmt: skip
NO_VARIANCE = [
    sp.sqrt(sp.Abs(C)), t(F(1.5)), st.Pareto("P", 1, F(1.001)), st.Pareto("P", 1, 3) ** 2, sp.exp(A**2 / 4),
    sp.Abs(A) ** F(-0.5), 1 / sp.sqrt(sp.Abs(A**2 - 2)), 1 / st.Gamma("G", F(1.5), 1), sp.exp(E / 2),
    sp.Abs(t(3)) ** F(-0.5),
    st.BetaPrime("Y", 1, 2), sp.exp(st.Gumbel("Q", 1, 0) / 2),
]  # fmt: skip
BOTH = [
    A**9, sp.exp(9 * A), sp.exp(A**2 / 5), sp.sin(C), 1 / (1 + C**2), sp.log(1 + C**2), C / (1 + C**2), t(F(2.01)),
    sp.Abs(A) ** F(-0.49), st.LogNormal("M", 0, 30) ** 5, sp.log(st.Beta("B", F(1e-37), F(6.5))), E**30, sp.exp(E / 3),
    1 / st.Gamma("G", F(2.5), 1), st.Weibull("W", 1, F(0.02)) ** 3, 2 ** st.Poisson("N", 1), sp.exp(sp.sin(C)),
    1 / (1 + sp.exp(-A)), sp.log(1 + sp.exp(E)), sp.log(1 - sp.tanh(A) ** 2), st.Pareto("P", 1, 3),
    sp.exp(A) * sp.cos(C),
    st.Beta("B", F(0.01), F(0.01)) ** 2, sp.exp(A) * sp.cos(sp.exp(A)), sp.sqrt(sp.Abs(t(F(1.1)))), sp.atan(C) * A**3,
]  # fmt: skip


@pytest.mark.parametrize("integrand", NO_MEAN, ids=str)
def test_no_mean(integrand):
    """Refused before anything is drawn, by the oracle too."""
    for verb in (lambda J: gl.estimate(J, samples=10), gl.exact):
        with pytest.raises(gl.DivergentExpectation, match="diverges"):
            verb(gl.Expectation(integrand))


@pytest.mark.parametrize("integrand", NO_VARIANCE, ids=str)
def test_no_variance(integrand):
    assert known(integrand).mean and known(integrand).variance is False
    estimate = gl.estimate(gl.Expectation(integrand), samples=1000, rng=0)
    assert not estimate.health.reliable and "± ? (infinite variance, n = 1,000)" in str(estimate)


@pytest.mark.parametrize("integrand", BOTH, ids=str)
def test_both(integrand):
    found = known(integrand)
    assert found.mean and found.variance
    if not integrand.has(sp.log(st.Beta("B", F(1e-37), F(6.5)))):  # whose draws underflow
        gl.estimate(gl.Expectation(integrand), samples=10)


def test_the_parameters_decide():
    nu = sp.Symbol("nu", positive=True)
    J = gl.Expectation(st.StudentT("T", nu) ** 2)
    assert gl.estimate(J, {nu: 5}, samples=1000, rng=0).health.variance
    assert gl.estimate(J, {nu: 3}, samples=1000, rng=0).health.variance is False
    with pytest.raises(gl.DivergentExpectation, match=r"\|t\|\^-1 at infinity"):
        gl.estimate(J, {nu: 2}, samples=1000)


def test_the_objective_comes_first():
    """A gradient of what does not exist: the estimators' own means are finite."""
    mu, g = sp.Symbol("mu", real=True), sp.Symbol("g", positive=True)
    J = gl.Expectation(st.Cauchy("X", mu, g))
    for G in (gl.score_function(J, mu), gl.pathwise(J, mu), gl.score_function(J, mu, baseline=3)):
        assert G.objective == J
        for verb in (lambda G: gl.exact(G, {mu: 0, g: 1}), lambda G: gl.estimate(G, {mu: 0, g: 1}, samples=10)):
            with pytest.raises(gl.DivergentExpectation, match="no gradient of what does not exist"):
                verb(G)
    with pytest.raises(gl.DivergentExpectation, match="the expectation of X diverges"):
        gl.compare(J, mu, {mu: 0, g: 1}, samples=10)
    H = gl.Expectation(sp.log(1 + st.Cauchy("X", mu, g) ** 2))  # and this one exists
    assert gl.exact(gl.score_function(H, mu), {mu: 1, g: 1}) == pytest.approx(0.4, rel=1e-11)


def test_one_dictionary_serves_an_objective_and_its_estimators():
    a, b = sp.symbols("a b", real=True)
    J = gl.Expectation(a * A**2)
    G = gl.pathwise(J, a)
    assert not G.parameters and gl.exact(G, {a: 2}) == pytest.approx(1) == gl.exact(G)
    assert gl.estimate(G, {a: 2}, samples=100, rng=0).value == gl.estimate(G, samples=100, rng=0).value
    for verb in (gl.exact, lambda G, at: gl.estimate(G, at, samples=10)):
        with pytest.raises(ValueError, match="b is no parameter"):
            verb(G, {a: 2, b: 1})


def test_a_black_box_says_nothing_and_is_averaged():
    f = sp.Function("f")
    J = gl.Expectation(f(C))
    assert (
        known(C / (1 + C**2)).mean
        and gl.estimate(J, samples=1000, functions={f: np.tanh}, rng=0).health.variance is None
    )


def test_reading_costs_nothing_where_nothing_has_to_be_read(monkeypatch):
    """Powers under a light law: no number is needed; else one reading for all variables that are alike."""
    from gradlib.sound import existence

    readings = []
    monkeypatch.setattr(existence, "_read", lambda *a: readings.append(a) or existence.Existence())
    mu = sp.Symbol("mu", real=True)
    X = [st.Normal(f"X{i}", mu, 1) for i in range(20)]
    known(sum(sp.exp(x) * x**2 + sp.Max(x, 0) for x in X), {mu: 0.1})
    known(sp.prod(sp.exp(sp.sin(x) / 10) for x in X), {mu: 0.1})
    assert not readings
    known(sum(sp.exp(x**2 / 9) for x in X), {mu: 0.1})
    assert len(readings) == 1
