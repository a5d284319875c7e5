"""Laws whose draws may be smaller than any number: drawn by their logarithm, and right."""

import mpmath as mp
import numpy as np
import pytest
import scipy.stats
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.core.families import SMALL, _log_gamma, _log_gamma_quantile, _logit_beta, _logit_beta_quantile
from gradlib.engine.implicit import velocity

a, b, c = sp.symbols("a b c", positive=True)
G, B = st.Gamma("G", a, 1), st.Beta("B", a, b)


def within(J, at, samples=200_000, rng=0):
    """The estimate is within five of its errors of the exact value."""
    estimate = gl.estimate(J, at, samples=samples, rng=rng)
    assert abs(estimate.z(gl.exact(J, at))) < 5, (estimate, gl.exact(J, at))
    return estimate


@pytest.mark.parametrize("k", [1e-3, 0.02, 0.09])
def test_the_logarithm_of_a_gamma_variable(k):
    """Its mean is ψ(k), its variance ψ′(k), and its quantiles agree with its draws."""
    draws = _log_gamma(np.random.default_rng(1), 200_000, k)
    mean, variance = float(mp.digamma(k)), float(mp.polygamma(1, k))
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / 200_000)
    assert draws.var() == pytest.approx(variance, rel=0.03)
    u = np.array([1e-30, 1e-3, 0.2, 0.5, 0.9, 0.999])
    below = [float(mp.gammainc(mp.mpf(k), 0, mp.exp(mp.mpf(q)), regularized=True)) for q in _log_gamma_quantile(u, k)]
    assert below == pytest.approx(u, rel=1e-9)
    assert scipy.stats.kstest(draws[:5000], lambda q: np.exp(np.minimum(k * q - scipy.special.gammaln(k + 1), 0)))[
        0
    ] < (0.03 + k)


@pytest.mark.parametrize("p, q", [(0.01, 0.01), (1e-3, 2.0), (3.0, 0.02)])
def test_the_logit_of_a_beta_variable(p, q):
    draws = _logit_beta(np.random.default_rng(1), 200_000, p, q)
    mean, variance = float(mp.digamma(p) - mp.digamma(q)), float(mp.polygamma(1, p) + mp.polygamma(1, q))
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / 200_000)
    u = np.array([1e-3, 0.2, 0.45])
    for v in (u, 1 - u):
        logits = _logit_beta_quantile(v, p, q)
        assert np.isfinite(logits).all() and (np.diff(logits) * np.diff(v) > 0).all()
        share = np.array([(draws < logit).mean() for logit in logits])
        assert share == pytest.approx(v, abs=5e-3)


def test_scores_where_the_draws_underflow():
    """Half of the draws of a Gamma variable of shape 1e-3 are 0 in double precision."""
    for F in (G, sp.log(G), sp.sqrt(G)):
        within(gl.score_function(gl.Expectation(F), a), {a: 1e-3})
    for F in (B, sp.log(B), sp.log(1 - B), B * (1 - B)):
        within(gl.score_function(gl.Expectation(F), a), {a: 0.01, b: 0.01})
    assert gl.estimate(gl.Expectation(sp.log(st.Beta("B", 1e-37, 6.5))), samples=1000, rng=0).value == pytest.approx(
        -1e37, rel=0.2
    )
    within(gl.Expectation(sp.log(st.GammaInverse("I", a, 1))), {a: 1e-3})
    within(gl.Expectation(sp.log(st.ChiSquared("Q", a))), {a: 1e-3})


@pytest.mark.parametrize("sampling, samples", [("antithetic", 200_000), ("sobol", 16 * 2**12)])
def test_by_quantiles_too(sampling, samples):
    for J, at in [(gl.Expectation(sp.log(G)), {a: 1e-3}), (gl.Expectation(sp.log(B)), {a: 0.01, b: 0.02})]:
        estimate = gl.estimate(J, at, samples=samples, rng=3, sampling=sampling)
        assert abs(estimate.z(gl.exact(J, at))) < 6
    moved = gl.difference(gl.Expectation(sp.log(G)), {a: 2e-3}, {a: 1e-3}, samples=200_000, rng=0)
    assert abs(moved.z(float(mp.digamma(2e-3) - mp.digamma(1e-3)))) < 5


def test_logarithms_of_what_overflows():
    m, s = sp.Symbol("m", real=True), sp.Symbol("s", positive=True)
    for F, at, want in [
        (sp.log(st.LogNormal("M", m, s)), {m: 708, s: 1}, 708),
        (sp.log(1 + st.LogNormal("M", m, s)), {m: 2000, s: 1}, 2000),
        (sp.log(st.Weibull("W", 1, s)), {s: 1e-3}, -float(mp.euler) * 1e3),
        (sp.log(st.Pareto("P", 1, s)), {s: 1e-3}, 1e3),
    ]:
        assert abs(gl.estimate(gl.Expectation(F), at, samples=100_000, rng=0).z(want)) < 5


@pytest.mark.parametrize("shape", [1e-3, 0.01, SMALL])
def test_paths_of_small_shapes(shape):
    """v = −∂ₖP/p, where x is far below the smallest number too: there P is x^k/Γ(k + 1)."""
    x = np.array([1e-300, 1e-100, 1e-30])
    want = [-(mp.mpf(t) / shape) * (mp.log(t) - mp.digamma(1 + mp.mpf(shape))) for t in x]
    assert velocity("Gamma", 0)(x, shape, 1.0) == pytest.approx([float(w) for w in want], rel=1e-10)


def test_pathwise_gradients_of_small_shapes():
    """−0.2324 ± 0.0053 and 34.2 ± 2.6 once."""
    J = gl.pathwise(gl.Expectation(st.Beta("B", c, c) ** 2), c)
    estimate = gl.estimate(J, {c: 0.01}, samples=100_000, rng=0)
    assert abs(estimate.z(-0.480584390619)) < 5 and estimate.stderr < 0.02
    assert gl.exact(J, {c: 0.01}) == pytest.approx(-0.480584390619, rel=1e-10)
    estimate = gl.estimate(gl.pathwise(gl.Expectation(B), a), {a: 1e-3, b: 1e-3}, samples=100_000, rng=0)
    assert abs(estimate.z(250)) < 5 and estimate.stderr < 25


def test_a_dirichlet_variable_of_tiny_shapes():
    """Six Gamma variables over their sum: one of them is nearly all of it."""
    X = [st.Gamma(f"G{i}", 2.5e-37 if i == 0 else 0.01, 1) for i in range(6)]
    share = gl.Expectation(X[1] / sp.Add(*X))
    estimate = gl.estimate(share, samples=20_000, rng=0)
    assert abs(estimate.z(0.2)) < 5


def test_a_message_names_the_value():
    J = gl.Expectation(sp.sqrt(G - 10))
    with pytest.raises(FloatingPointError, match=r"first at G = [0-9.e-]+\. Nothing"):
        gl.estimate(J, {a: 0.01}, samples=100, rng=0)
