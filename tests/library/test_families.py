"""Each family's density, sampler, score and velocity against SciPy and against what defines them."""

import cases
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
import sympy as sp
import sympy.stats as st
from cases import CASES, CONTINUOUS, frozen, mu, p, sigma

import gradlib as gl
from gradlib.core.law import Velocity
from gradlib.core.variable import law
from gradlib.oracle.exact import velocity

POINTS = np.array([0.013, 0.1, 0.3, 0.5, 0.8, 0.97])  # quantiles at which formulas are compared
IN_SCIPY = [name for name in CASES if name != "Table"]


def draws(name, size=20_000):
    return cases.draws(name, np.random.default_rng(7), size)


@pytest.mark.parametrize("name", IN_SCIPY)
def test_density_is_scipys(name):
    c, scipys = CASES[name], frozen(name)
    xs = scipys.ppf(POINTS)
    density = sp.lambdify(c.law.symbol, c.law.density.subs(c.at), "scipy")
    assert density(xs) == pytest.approx(scipys.pdf(xs) if name in CONTINUOUS else scipys.pmf(xs), rel=1e-11)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_sampler_passes_kolmogorov_smirnov(name):
    assert scipy.stats.kstest(draws(name), frozen(name).cdf).pvalue > 1e-3
    # The test can fail: the same draws, shifted by a twentieth of their spread.
    x = draws(name)
    shift = 0.05 * (np.quantile(x, 0.75) - np.quantile(x, 0.25))
    assert scipy.stats.kstest(x + shift, frozen(name).cdf).pvalue < 1e-3


@pytest.mark.parametrize("name", [name for name in CASES if name not in CONTINUOUS])
def test_discrete_sampler_passes_chi_square(name):
    values, counts = np.unique(draws(name), return_counts=True)
    if name == "Table":
        expected = np.array([CASES[name].law.table[sp.nsimplify(v)].subs(CASES[name].at) for v in values], float)
    else:
        expected = frozen(name).pmf(values)
    keep = expected * counts.sum() > 5
    observed = np.append(counts[keep], counts[~keep].sum())
    expected = np.append(expected[keep], 1 - expected[keep].sum()) * counts.sum()
    nonempty = expected > 1e-6
    assert observed[~nonempty].sum() == 0
    assert scipy.stats.chisquare(observed[nonempty], expected[nonempty]).pvalue > 1e-3


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].scored])
def test_score_integrates_to_zero(name):
    c = CASES[name]
    for theta in c.scored:
        score = gl.Expectation(c.law.score(theta).subs(c.law.symbol, c.variable), variables=[c.variable])
        at = {s: v for s, v in c.at.items() if s in score.parameters}
        assert gl.exact(score, at) == pytest.approx(0, abs=1e-9)
        assert gl.variance(score, at) > 1e-4  # and is not zero itself


@pytest.mark.parametrize("name", CONTINUOUS)
def test_velocity_satisfies_the_transport_equation(name):
    """∂_θ p + ∂_x (p v) = 0: the mass that p loses in θ is carried along by v."""
    c = CASES[name]
    x, density = c.law.symbol, c.law.density
    xs = frozen(name).ppf(POINTS)
    for theta in c.parameters:
        v = c.law.velocity(theta)
        if not v.has(Velocity):
            residual = sp.diff(density, theta) + sp.diff(density * v, x)
            size = np.abs(sp.lambdify(x, sp.diff(density * v, x).subs(c.at), "scipy")(xs)).max() + 1e-3
            assert np.abs(sp.lambdify(x, residual.subs(c.at), "scipy")(xs)).max() < 1e-12 * max(size, 1), theta
            wrong = sp.diff(density, theta) + sp.diff(density * v * sp.Rational(1001, 1000), x)
            assert np.abs(sp.lambdify(x, wrong.subs(c.at), "scipy")(xs)).max() > 1e-8 * size  # it can fail
            continue
        (node,) = v.atoms(Velocity)
        scale = v.coeff(node)
        oracle = velocity(node.family, node.index)
        at = {s: mp.mpf(value) for s, value in c.at.items()}
        p_ = sp.lambdify([x, *at], density, "mpmath")
        argument = sp.lambdify([x, *at], [node.at, *node.parameters, scale], "mpmath")

        def flow(t):
            where, *parameters, factor = argument(t, *at.values())
            return p_(t, *at.values()) * factor * oracle(where, *parameters)

        for t in map(mp.mpf, xs[1:-1]):
            with mp.workdps(30):
                gained = mp.diff(lambda value: p_(t, *{**at, theta: value}.values()), at[theta])
                carried = (flow(t + mp.mpf("1e-9")) - flow(t - mp.mpf("1e-9"))) / mp.mpf("2e-9")
                assert abs(gained + carried) < 1e-10 * (1 + abs(carried))


PROMISED = {"bounded": sp.tanh, "powers": lambda x: x**9, "exponentials": lambda x: sp.exp(3 * x)}


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].law.is_finite])
def test_the_moments_that_a_row_promises_exist(name):
    c = CASES[name]
    assert gl.variance(gl.Expectation(PROMISED[c.law.moments](c.variable)), c.at) > 0


def test_a_heavy_row_cannot_promise_powers():
    with pytest.raises(gl.DivergentExpectation):
        gl.variance(gl.Expectation(PROMISED["powers"](CASES["StudentT"].variable)), CASES["StudentT"].at)


def test_the_score_is_derived_from_the_density():
    """Chain rule through an expression for a parameter, and nothing typed by hand."""
    V = law(st.Normal("X", mu**2, sp.exp(sigma)))
    assert sp.simplify(V.score(mu) - sp.diff(sp.log(V.density), mu)) == 0
    assert sp.simplify(V.score(sigma) - sp.diff(sp.log(V.density), sigma)) == 0


@pytest.mark.parametrize(
    "variable, match",
    [
        (st.Normal("X", st.Normal("M", 0, 1), 1), "random themselves"),
        (st.Normal("X", [0, 0], [[1, 0], [0, 1]]), "a joint law.*independent standard Normals"),
    ],
    ids=["hierarchical", "joint"],
)
def test_unknown_laws_are_refused(variable, match):
    with pytest.raises(NotImplementedError, match=match):
        gl.Expectation(variable)


BAD = [
    (st.Normal("X", 0, mu), {mu: 0}, "std of Normal must be positive"),
    (st.Normal("X", 0, mu), {mu: -1}, "std of Normal must be positive"),
    (st.Exponential("X", sigma - 1), {sigma: 0.5}, "rate of Exponential must be positive"),
    (st.Uniform("X", mu, mu + sigma - 1), {mu: 0, sigma: 1}, "left < right"),
    (st.Bernoulli("X", sigma), {sigma: 1.5}, r"must be in \[0, 1\]"),
    (st.Geometric("X", mu), {mu: 0}, "p > 0"),
    (st.Binomial("X", mu, sp.Rational(1, 2)), {mu: 2.5}, "whole number"),
    (st.FiniteRV("X", {0: mu, 1: 1 - mu}), {mu: -0.1}, "non-negative and sum to 1"),
    (st.FiniteRV("X", {0: mu, 1: p}), {mu: 0.3, p: 0.3}, "sum to 1"),
    (st.Normal("X", sp.sqrt(mu), 1), {mu: -1}, "not a real number"),
    (st.Normal("X", 1 / mu, 1), {mu: 0}, "not a real number"),
]


@pytest.mark.parametrize("variable, at, match", BAD, ids=[match for *_, match in BAD])
@pytest.mark.parametrize("number", [gl.exact, gl.variance, lambda J, at: gl.estimate(J, at, samples=5, rng=0)])
def test_parameters_outside_their_domain(variable, at, match, number):
    with pytest.raises(ValueError, match=match):
        number(gl.Expectation(variable), at)
