"""Variance reduction: unchanged means, the oracle's variances, closed forms, biases where due, second derivatives."""

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import mu, numerical, p, q, sigma, z_of_variance

import gradlib as gl
from gradlib.core.joint import copies, total_score
from gradlib.engine.estimate import cost
from gradlib.oracle.exact import moments
from gradlib.rules.biased import relax

theta, m = sp.symbols("theta m", real=True)
rate = sp.Symbol("rate", positive=True)
edge = sp.Symbol("edge", nonnegative=True)  # a probability that may be 0
X, S, W = st.Normal("X", mu, 1), st.Normal("X", mu, sigma), st.Normal("W", 0, 1)
T, B, U = st.Normal("X", theta, 1), st.Bernoulli("B", p), st.Uniform("U", 0, sigma)
TABLE = st.FiniteRV("A", {-1: p, sp.Rational(1, 2): q, 3: 1 - p - q})
F = sp.Function("F")
SQUARE, COS, BOTH = gl.Expectation(X**2), gl.Expectation(sp.cos(S)), gl.Expectation(theta * T**2)
ONE, TWO, THETA = {mu: 1.0}, {mu: 0.4, sigma: 1.2}, {theta: 0.7}
FINITE = gl.Expectation(B * X**2 + B)
ELBO = gl.Expectation(-(S**2) / 2 + (S - mu) ** 2 / (2 * sigma**2) + sp.log(sigma))
score, path = gl.score_function, gl.pathwise


# --- every unbiased rule -----------------------------------------------------------------

UNBIASED = {
    # label: the estimator, parameters, what it must agree with
    "baseline, number": lambda: (score(SQUARE, mu, baseline=5), ONE, score(SQUARE, mu)),
    "baseline, mean": lambda: (score(COS, mu, baseline=gl.exact(COS, TWO)), TWO, path(COS, mu)),
    "baseline, expression": lambda: (score(BOTH, theta, baseline=theta**2 + 1), THETA, path(BOTH, theta)),
    "baseline, optimal": lambda: (
        score(COS, sigma, baseline=gl.optimal_baseline(COS, sigma, TWO)), TWO, path(COS, sigma)),
    "baselines, two": lambda: (score(COS, [mu, sigma], baseline=[0.3, 2 * sigma]), TWO, path(COS, [mu, sigma])),
    "baselines, optimal": lambda: (
        score(COS, [mu, sigma], baseline=gl.optimal_baseline(COS, [mu, sigma], TWO)), TWO, path(COS, [mu, sigma])),
    "leave-one-out, 2": lambda: (score(SQUARE, mu, baseline="leave-one-out", batch=2), ONE, path(SQUARE, mu)),
    "leave-one-out, 3": lambda: (score(SQUARE, mu, baseline="leave-one-out", batch=3), ONE, path(SQUARE, mu)),
    "leave-one-out, both places": lambda: (
        score(BOTH, theta, baseline="leave-one-out", batch=2), THETA, path(BOTH, theta)),
    "leave-one-out, two parameters": lambda: (
        score(COS, [mu, sigma], baseline="leave-one-out", batch=2), TWO, path(COS, [mu, sigma])),
    "leave-one-out, table": lambda: (
        score(gl.Expectation(TABLE**2), p, baseline="leave-one-out", batch=3), {p: 0.2, q: 0.5},
        score(gl.Expectation(TABLE**2), p)),
    "leave-one-out, Poisson": lambda: (
        score(gl.Expectation(st.Poisson("K", sigma)), sigma, baseline="leave-one-out", batch=2), {sigma: 1.7},
        score(gl.Expectation(st.Poisson("K", sigma)), sigma)),
    "control variate, optimal": lambda: (gl.control_variate(score(COS, mu), [S, S**2], at=TWO), TWO, path(COS, mu)),
    "control variate, number": lambda: (gl.control_variate(score(SQUARE, mu), X, 2, mean=mu), ONE, path(SQUARE, mu)),
    "control variate, expression": lambda: (
        gl.control_variate(path(BOTH, theta), T, 3 * theta, mean=theta, at=THETA), THETA, score(BOTH, theta)),
    "control variate, two components": lambda: (
        gl.control_variate(score(COS, [mu, sigma]), S, [1, -0.5], mean=mu), TWO, path(COS, [mu, sigma])),
    "control variate, oracle's mean": lambda: (
        gl.control_variate(path(COS, sigma), sp.sin(S), at=TWO), TWO, score(COS, sigma)),
    **{f"delta method, {k}": lambda k=k: (
        gl.delta_method(COS, [mu, sigma], TWO, order=k), TWO, path(COS, [mu, sigma])) for k in range(5)},
    "delta method, both places": lambda: (
        gl.delta_method(gl.Expectation(theta * sp.exp(T)), theta, THETA), THETA,
        path(gl.Expectation(theta * sp.exp(T)), theta)),
    "delta method, Exponential": lambda: (
        gl.delta_method(gl.Expectation(sp.exp(-st.Exponential("E", rate))), rate, {rate: 1.5}), {rate: 1.5},
        path(gl.Expectation(sp.exp(-st.Exponential("E", rate))), rate)),
    "sum over values": lambda: (gl.rao_blackwell(score(FINITE, p)), {**ONE, p: 0.3}, score(FINITE, p)),
    "sum over values, mu": lambda: (gl.rao_blackwell(path(FINITE, mu), B), {**ONE, p: 0.3}, score(FINITE, mu)),
    "sum over values, table": lambda: (
        gl.rao_blackwell(score(gl.Expectation(TABLE**2 * X), [p, mu])), {**ONE, p: 0.2, q: 0.5},
        score(gl.Expectation(TABLE**2 * X), [p, mu])),
    "sticking the landing": lambda: (gl.sticking_the_landing(ELBO, mu), {mu: 0.5, sigma: 0.8}, score(ELBO, mu)),
    "importance": lambda: (gl.importance(score(SQUARE, mu), {X: st.Normal("Y", 0, 2)}), ONE, path(SQUARE, mu)),
    "importance, wider support": lambda: (
        gl.importance(
            score(gl.Expectation(sp.exp(-st.Exponential("E", rate))), rate),
            {st.Exponential("E", rate): st.Laplace("Y", 0, 1)}),
        {rate: 1.5}, path(gl.Expectation(sp.exp(-st.Exponential("E", rate))), rate)),
    "importance, interval": lambda: (
        gl.importance(gl.Expectation(st.Uniform("V", 0, 1) * theta), {st.Uniform("V", 0, 1): st.Normal("Y", 0, 1)}),
        THETA, gl.Expectation(st.Uniform("V", 0, 1) * theta)),
    "importance, discrete": lambda: (
        gl.importance(score(gl.Expectation(sp.exp(B)), p), {B: st.Poisson("K", 2)}), {p: 0.3},
        score(gl.Expectation(sp.exp(B)), p)),
    "importance, table": lambda: (
        gl.importance(score(gl.Expectation(sp.exp(B)), p), {B: st.FiniteRV("D", {0: 0.25, 1: 0.25, 2: 0.5})}), {p: 0.3},
        score(gl.Expectation(sp.exp(B)), p)),
    "importance, where G is undefined": lambda: (
        gl.importance(gl.Expectation(sp.log(st.Gamma("E", 2, 1))), {st.Gamma("E", 2, 1): st.Laplace("Y", 0, 3)}), {},
        gl.Expectation(sp.log(st.Gamma("E", 2, 1)))),
    "one of two variables": lambda: (
        gl.importance(gl.Expectation(X**2 * W), {W: st.Normal("Y", 1, 2)}), ONE, gl.Expectation(X**2 * W)),
}  # fmt: skip


@pytest.mark.parametrize("label", UNBIASED)
def test_the_mean_is_unchanged_and_the_variance_as_measured(label):
    """Exact mean; |z| < 5 of the measured mean and of the measured variance. 5 standard errors of the mean
    are below 7 % of its size or of 1 (asserted): no bias above that would go unseen by the draws."""
    G, at, other = UNBIASED[label]()
    want = gl.exact(other, {s: v for s, v in at.items() if s in other.parameters})
    at = {s: v for s, v in at.items() if s in G.parameters}
    assert gl.exact(G, at) == pytest.approx(want, rel=1e-8, abs=1e-9)
    got = gl.estimate(G, at, samples=400_000, rng=11)
    assert np.all(np.abs(np.where(np.asarray(got.stderr) > 1e-12, got.z(want), 0)) < 5), got.z(want)
    assert np.all(5 * got.stderr < 0.07 * np.maximum(np.abs(want), 1))
    assert np.all(np.abs(z_of_variance(G, at)) < 5)


FITTED = gl.control_variate(score(gl.Expectation(sp.exp(X / 2)), mu), X - mu, 0, mean=0)


@pytest.mark.parametrize("batch", [6, 8])
def test_cross_fitting_is_unbiased_in_small_batches(batch):
    G = gl.control_variate(FITTED, X - mu, "cross-fitted", mean=0, batch=batch)
    want = gl.exact(FITTED, {mu: 0.3})
    got = gl.estimate(G, {mu: 0.3}, samples=200_000, rng=0)
    assert abs(got.z(want)) < 5
    assert 5 * got.stderr < 0.03 * want  # a relative bias of 3 % would be seen


@pytest.mark.parametrize("batch", [2, 3, 6, 8])
def test_fitting_on_the_same_draws_is_seen_to_be_biased(batch):
    """The bias falls like 1/batch."""
    G = gl.control_variate(FITTED, X - mu, "same draws", mean=0, batch=batch)
    got = gl.estimate(G, {mu: 0.3}, samples=200_000, rng=0)
    want = gl.exact(FITTED, {mu: 0.3})
    assert abs(got.z(want)) > 20
    # To first order −E[h² (G − c h)]/(batch Var h), here far from small: only sign and order are checked.
    assert -2.5 < (got.value - want) * batch < -0.2


def test_cross_fitting_of_two_components():
    G = gl.control_variate(score(COS, [mu, sigma]), S, "cross-fitted", mean=mu, batch=8)
    want = gl.exact(path(COS, [mu, sigma]), TWO)
    assert np.all(np.abs(gl.estimate(G, TWO, samples=100_000, rng=0).z(want)) < 5)


# --- baselines ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
def test_a_self_including_baseline_shrinks_by_1_minus_1_over_n(n):
    """Defect 1. The exact oracle shows the factor, and the z test at these settings rejects it."""
    batch = copies(SQUARE, n)
    values, scores = ([e.xreplace(copy) for copy in batch] for e in (SQUARE.plain, total_score(SQUARE, mu)))
    mean = sum(values) / n
    biased = gl.Expectation(
        sum((v - mean) * s for v, s in zip(values, scores)) / n, [x for copy in batch for x in copy.values()]
    )
    assert gl.exact(biased, ONE) == pytest.approx(2 * (1 - 1 / n), rel=1e-9)
    assert abs(gl.estimate(biased, ONE, samples=400_000, rng=11).z(2.0)) > 50
    right = score(SQUARE, mu, baseline="leave-one-out", batch=n)
    assert gl.exact(right, ONE) == pytest.approx(2, rel=1e-9)
    # A moving average that holds its own batch with weight 1 − decay = 0.1: the factor is 1 − 0.1/n.
    averaged = gl.Expectation(
        sum((v - mean / 10) * s for v, s in zip(values, scores)) / n, [x for copy in batch for x in copy.values()]
    )
    assert gl.exact(averaged, ONE) == pytest.approx(2 * (1 - 0.1 / n), rel=1e-9)


@pytest.mark.parametrize("m_, s_", [(1.0, 1.0), (0.4, 1.3), (-2.0, 0.5)])
def test_closed_forms_of_baselines(m_, s_):
    """F = x²: b* = E[x² s²]/E[s²] = μ² + 3σ².

    Leave-one-out at n = 2 and σ = 1 is ¼·D²·(x₁ + x₂)·D with D = x₁ − x₂ ∼ N(0, 2) independent of the sum: second
    moment ¼ · E D⁴ · E(x₁ + x₂)²/… = ¼ · 12 · (2 + 4μ²), so the variance is 6 + 8μ².
    """
    J, at = gl.Expectation(S**2), {mu: m_, sigma: s_}
    b = gl.optimal_baseline(J, mu, at)
    assert b == pytest.approx(m_**2 + 3 * s_**2, rel=1e-9)
    # E[(x² − b)² s²] − 4μ², from the moments of x: σ⁻² (E x⁴z² − 2b E x²z² + b²) − 4μ²
    fourth = m_**4 + 18 * m_**2 * s_**2 + 15 * s_**4
    want = (fourth - 2 * b * (m_**2 + 3 * s_**2) + b**2) / s_**2 - 4 * m_**2
    assert gl.variance(score(J, mu, baseline=b), at) == pytest.approx(want, rel=1e-9)
    pairs = score(SQUARE, mu, baseline="leave-one-out", batch=2)
    assert gl.variance(pairs, {mu: m_}) == pytest.approx(6 + 8 * m_**2, rel=1e-9)


def test_a_bare_parameter_is_a_baseline():
    assert gl.exact(score(SQUARE, mu, baseline=mu), ONE) == pytest.approx(2)


def test_optimal_baseline_with_theta_in_both_places():
    """E[(x² + θx² s) s]/E[s²] = 2θ + θ(θ² + 3)."""
    assert gl.optimal_baseline(BOTH, theta, THETA) == pytest.approx(5 * 0.7 + 0.7**3, rel=1e-9)


@pytest.mark.parametrize("integrand", [S**2, sp.cos(S), sp.Heaviside(S), S**3 - S], ids=str)
def test_the_optimal_baseline_is_never_worse(integrand):
    J, at = gl.Expectation(integrand), {mu: 1, sigma: 1}
    best = gl.optimal_baseline(J, [mu, sigma], at)
    least = gl.variance(score(J, [mu, sigma], baseline=best), at)
    for b in (0, gl.exact(J, at), list(best + 0.01)):
        assert np.all(least <= gl.variance(score(J, [mu, sigma], baseline=b), at) * (1 + 1e-9))


def test_the_mean_as_baseline_can_raise_the_variance():
    """Defect 4: cos x at μ = σ = 1."""
    J = gl.Expectation(sp.cos(X))
    assert gl.variance(score(J, mu, baseline=gl.exact(J, ONE)), ONE) > 1.2 * gl.variance(score(J, mu), ONE)


def test_a_baseline_where_the_score_has_no_mean_zero():
    """F vanishes at the moving edge, so the score function is sound; a baseline is not."""
    J, at = gl.Expectation(U - sigma), {sigma: 1.3}
    assert gl.exact(score(J, sigma), at) == pytest.approx(-0.5)
    for call in (
        lambda: gl.optimal_baseline(J, sigma, at),
        lambda: score(J, sigma, baseline=1),
        lambda: score(J, sigma, baseline="leave-one-out", batch=2),
        lambda: gl.sticking_the_landing(J, sigma),  # the direct term −1 is σ times the score, and its mean is not 0
    ):
        with pytest.raises(gl.UnsoundEstimator, match="moves with sigma"):
            call()


# --- control variates --------------------------------------------------------------------


def test_closed_forms_of_coefficients():
    """Cov(eˣ, x) = e^½; 3x + x² by least squares on itself; the remaining variance is (1 − ρ²) Var."""
    assert gl.optimal_coefficients(gl.Expectation(sp.exp(W)), W, {}) == pytest.approx([np.exp(0.5)], rel=1e-9)
    assert gl.optimal_coefficients(gl.Expectation(3 * W + W**2), [W, W**2], {}) == pytest.approx([3, 1], rel=1e-9)
    assert gl.optimal_coefficients(gl.Expectation(W**3), [W, W**2], {}) == pytest.approx([3, 0], rel=1e-9, abs=1e-9)
    G = gl.control_variate(gl.Expectation(sp.exp(W)), W, at={})
    assert gl.variance(G, {}) == pytest.approx(np.exp(2) - np.exp(1) - np.exp(1), rel=1e-9)
    assert gl.variance(gl.control_variate(gl.Expectation(sp.exp(W)), W, -1, mean=0), {}) > np.exp(2) - np.exp(
        1
    )  # the wrong sign hurts


def test_coefficients_for_several_components_and_controls():
    G = gl.control_variate(gl.Expectation([W, W**2]), [W, W**2], [[1, 0], [0, 1]], mean=[0, 1])
    assert tuple(G.integrand) == (0, 1)
    optimal = gl.control_variate(gl.Expectation([W, W**2 + W]), [W, W**2], at={})
    assert gl.exact(optimal, {}) == pytest.approx([0, 1], abs=1e-12)
    assert np.all(gl.estimate(optimal, {}, samples=1000, rng=0).stderr < 1e-12)


def test_black_boxes_with_the_oracle():
    G = score(gl.Expectation(F(X)), mu)
    got = gl.control_variate(G, X, at=ONE, functions={F: np.square})
    same = gl.control_variate(score(SQUARE, mu), X, at=ONE)
    assert gl.variance(got, ONE, functions={F: np.square}) == pytest.approx(gl.variance(same, ONE), rel=1e-8)
    assert gl.optimal_baseline(gl.Expectation(F(X)), mu, ONE, functions={F: np.square}) == pytest.approx(4, rel=1e-8)


def test_the_delta_method_of_a_polynomial_is_exact():
    for J, t, at, want in (
        (SQUARE, mu, ONE, 2),
        (gl.Expectation(sigma * S**2), sigma, TWO, 0.4**2 + 3 * 1.2**2),
        (gl.Expectation(2 + 3 * X), mu, ONE, 3),
    ):
        G = gl.delta_method(J, t, at)
        assert gl.exact(G, at) == pytest.approx(want, rel=1e-9)
        assert J.plain.has(t) or gl.variance(G, at) == 0
    assert moments(gl.delta_method(SQUARE, mu, ONE), ONE) == pytest.approx((2, 0))
    with pytest.raises(gl.UnsoundEstimator, match="lower the order"):
        gl.delta_method(gl.Expectation(sp.sqrt(X)), mu, {mu: -1})
    # At a kink some polynomial is as good as another: the mean is unchanged.
    J, at = gl.Expectation(sp.Abs(X - 1)), {mu: 1}
    assert gl.exact(gl.delta_method(J, mu, at, order=1), at) == pytest.approx(gl.exact(path(J, mu), at), abs=1e-9)


def test_the_delta_method_subtracts_the_taylor_polynomial():
    """The mean would be right with any polynomial: the variance tells, against T written by hand."""
    e, at = S - 0.4, TWO
    T2 = sp.cos(0.4) - sp.sin(0.4) * e - sp.cos(0.4) * e**2 / 2
    by_hand = gl.Expectation((sp.cos(S) - T2) * (S - mu) / sigma**2)
    assert gl.variance(gl.delta_method(COS, mu, at), at) == pytest.approx(gl.variance(by_hand, at), rel=1e-9)


# --- sums over values, and what has mean zero --------------------------------------------


@pytest.mark.parametrize("G, at", [
    (score(FINITE, [p, mu]), {**ONE, p: 0.3}), (path(FINITE, mu), {**ONE, p: 0.3}),
    (score(gl.Expectation(sp.cos(X * TABLE)), [p, mu]), {**ONE, p: 0.2, q: 0.5}),
    (gl.measure_valued(FINITE, mu), {**ONE, p: 0.3}), (score(gl.Expectation(st.Binomial("N", 4, p) * B), p), {p: 0.3}),
    (score(gl.Expectation(sp.Heaviside(X + B - 1)), p), {**ONE, p: 0.3}),
], ids=str)  # fmt: skip
def test_summing_never_raises_the_variance(G, at):
    R = gl.rao_blackwell(G)
    here = {s: v for s, v in at.items() if s in R.parameters}
    assert gl.exact(R, here) == pytest.approx(gl.exact(G, at), rel=1e-9, abs=1e-12)
    assert np.all(gl.variance(R, here) <= gl.variance(G, at) * (1 + 1e-12))
    assert not any(law.is_finite and R.integrand.has(law.variable) for law in R.laws)


def test_summing_over_some_variables():
    N = st.Binomial("N", 3, p)
    G = score(gl.Expectation(B * N), p)
    partly = gl.rao_blackwell(G, B)
    assert partly.variables == (N,)
    at = {p: 0.3}
    assert gl.variance(gl.rao_blackwell(G), at) == pytest.approx(0, abs=1e-12) and gl.variance(
        partly, at
    ) < gl.variance(G, at)


@pytest.mark.parametrize("variable, value, want", [
    (st.FiniteRV("A", {0: edge, 1: edge**2, 2: 1 - edge - edge**2}), 0, 1 - np.e**2),
    (st.Binomial("A", 3, edge), 0, 3 * (np.e - 1)), (st.Bernoulli("A", edge), 0, np.e - 1),
    (st.Bernoulli("A", edge), 1, np.e - 1),
], ids=str)  # fmt: skip
def test_values_of_probability_zero_stay_finite(variable, value, want):
    """p·∂ log p is ∂p, which is finite where p is 0 and the score is not."""
    R = gl.rao_blackwell(score(gl.Expectation(sp.exp(variable)), edge))
    assert gl.exact(R, {edge: value} if edge in R.parameters else {}) == pytest.approx(want, rel=1e-9)


def test_a_value_that_is_never_taken_may_be_infinite():
    assert gl.rao_blackwell(gl.Expectation(sp.log(st.FiniteRV("A", {0: 0, 2: 1})))).integrand == sp.log(2)


def test_sticking_the_landing_is_zero_at_the_optimum():
    """With q equal to the posterior, here N(0, 1), nothing is left in any draw."""
    for t in (mu, sigma):
        G = gl.sticking_the_landing(ELBO, t)
        at = {mu: 0, sigma: 1}
        assert gl.variance(G, {s: v for s, v in at.items() if s in G.parameters}) == 0
        got = gl.estimate(G, {s: v for s, v in at.items() if s in G.parameters}, samples=1000, rng=0)
        assert (got.value, got.stderr) == (0, 0)
    assert gl.variance(path(ELBO, mu), {mu: 0, sigma: 1}) == pytest.approx(1)  # the score's


def test_sticking_the_landing_refuses_another_direct_term():
    for J, t in ((BOTH, theta), (SQUARE, mu), (gl.Expectation(theta * W), theta)):
        with pytest.raises(gl.UnsoundEstimator, match="is not a constant times the score.*Use pathwise"):
            gl.sticking_the_landing(J, t)


# --- importance and finite differences ---------------------------------------------------


def test_a_narrow_proposal_has_an_infinite_variance():
    """p²/q with q = N(0, s²) is integrable if and only if s² > 1/2."""
    for s, finite in ((sp.Rational(3, 4), True), (sp.Rational(13, 20), False)):
        G = gl.importance(score(SQUARE, mu), {X: st.Normal("Y", 0, s)})
        assert gl.exact(G, {mu: 0}) == pytest.approx(0, abs=1e-9)
        if finite:
            assert gl.variance(G, {mu: 0}) > gl.variance(score(SQUARE, mu), {mu: 0})
        else:
            with pytest.raises(gl.DivergentExpectation, match="variance is infinite"):
                gl.variance(G, {mu: 0})


def test_the_best_proposal_leaves_no_variance():
    """q ∝ p·G: E eˣ with q = N(1, 1)."""
    G = gl.importance(gl.Expectation(sp.exp(W)), {W: st.Normal("Y", 1, 1)})
    got = gl.estimate(G, {}, samples=1000, rng=0)
    assert got.stderr < 1e-12 and got.value == pytest.approx(gl.exact(G, {}), rel=1e-14) == pytest.approx(np.exp(0.5))


@pytest.mark.parametrize("h", [0.5, 0.1, sp.Rational(1, 100), np.float64(0.2)])
def test_finite_differences_of_a_cubic_are_off_by_the_square_of_the_step(h):
    G = gl.finite_difference(gl.Expectation(S**3), mu, h)
    assert gl.exact(G, TWO) - 3 * (0.4**2 + 1.2**2) == pytest.approx(float(h) ** 2, rel=1e-7)
    G = gl.finite_difference(gl.Expectation(theta**3 * W**2), theta, h)
    assert gl.exact(G, THETA) - 3 * 0.7**2 == pytest.approx(float(h) ** 2, rel=1e-7)


@pytest.mark.parametrize("h", [0.2, 0.05])
def test_finite_differences_of_a_jump(h):
    """One of 2h φ(0) draws jumps, by 1/(2h)."""
    G, at = gl.finite_difference(gl.Expectation(sp.Heaviside(X)), mu, h), {mu: 0}
    share = gl.exact(gl.Expectation(sp.Heaviside(h - W) * sp.Heaviside(W + h)), {})
    assert gl.exact(G, at) == pytest.approx(share / (2 * h), rel=1e-8)
    assert gl.variance(G, at) == pytest.approx(share * (1 - share) / (2 * h) ** 2, rel=1e-8)
    two = gl.finite_difference(gl.Expectation(theta * X), [mu, theta], h)
    assert gl.exact(two, {mu: 0.3, theta: 2}) == pytest.approx([2, 0.3])


# --- relaxations: the bias that the oracle says ------------------------------------------


@pytest.mark.parametrize("t", [0.45, 0.2])
def test_the_bias_of_straight_through(t):
    """F = (b − t)²: 2(p − t) for 1 − 2t; none where F is linear."""
    J, at = gl.Expectation((B - t) ** 2), {p: 0.3}
    G = gl.straight_through(J, p)
    assert gl.exact(score(J, p), at) == pytest.approx(1 - 2 * t)
    assert gl.exact(G, at) == pytest.approx(2 * (0.3 - t))
    got = gl.estimate(G, at, samples=200_000, rng=0)
    assert abs(got.z(2 * (0.3 - t))) < 5 and abs(got.z(1 - 2 * t)) > 50
    linear = gl.Expectation(theta * st.Bernoulli("B", 1 / (1 + sp.exp(-theta))) + theta**2)
    assert gl.exact(gl.straight_through(linear, theta), THETA) == pytest.approx(
        gl.exact(score(linear, theta), THETA), rel=1e-9
    )


@pytest.mark.parametrize("tau", [0.5, 1, sp.Rational(1, 4)])
def test_the_bias_of_gumbel_softmax(tau):
    """Its mean is the derivative of the relaxed objective, which is not that of the original."""
    J, at = gl.Expectation((B - 0.45) ** 2 * theta), {p: 0.3, theta: 2}
    G = gl.gumbel_softmax(J, p, tau)
    want = gl.exact(G, at)
    by_hand = 1 / (1 + sp.exp(-(sp.log(0.3 / 0.7) + st.Logistic("g", 0, 1)) / tau))
    assert gl.exact(relax(J, [p], sp.sympify(tau)), at) == pytest.approx(
        2 * gl.exact(gl.Expectation((by_hand - 0.45) ** 2), {}), rel=1e-9
    )
    assert want == pytest.approx(numerical(relax(J, [p], sp.sympify(tau)), p, at), rel=1e-5)
    truth = gl.exact(score(J, p), at)
    got = gl.estimate(G, at, samples=200_000, rng=0)
    assert abs(got.z(want)) < 5 and abs(got.z(truth)) > 10
    assert np.all(np.abs(z_of_variance(G, at)) < 5)


def test_a_lower_temperature_has_less_bias_and_more_variance():
    J, at = gl.Expectation((B - 0.45) ** 2), {p: 0.3}
    truth = gl.exact(score(J, p), at)
    found = [gl.gumbel_softmax(J, p, tau) for tau in (1, 0.5, 0.25)]
    assert np.all(np.diff([abs(gl.exact(G, at) - truth) for G in found]) < 0)
    assert np.all(np.diff([gl.variance(G, at) for G in found]) > 0)


def test_gumbel_softmax_of_a_table():
    """Three values: against the difference of the relaxed objective with common random numbers, both measured."""
    J, at, h = gl.Expectation(TABLE**2), {p: 0.2, q: 0.5}, 0.02
    G = gl.estimate(gl.gumbel_softmax(J, p, 0.5), at, samples=400_000, rng=0)
    D = gl.difference(relax(J, [p], sp.S.Half), {**at, p: 0.2 + h}, {**at, p: 0.2 - h}, samples=400_000, rng=0)
    assert G.value == pytest.approx(D.value / (2 * h), abs=5 * np.hypot(G.stderr, D.stderr / (2 * h)))
    # Nearly one-hot at a low temperature: the relaxed objective tends to the original one.
    cold = gl.estimate(relax(J, [p], sp.Rational(1, 20)), at, samples=100_000, rng=0)
    assert abs(cold.value - gl.exact(J, at)) < 5 * cold.stderr + 0.05


# --- higher derivatives ------------------------------------------------------------------

SMOOTH = {
    "cos, mu": (COS, mu, TWO),
    "cos, sigma": (COS, sigma, TWO),
    "bounded": (gl.Expectation(sp.exp(-(S**2))), mu, TWO),
    "both": (gl.Expectation(sp.exp(theta * T / 2)), theta, THETA),
    "exponential": (gl.Expectation(sp.exp(-st.Exponential("E", rate))), rate, {rate: 1.5}),
}


@pytest.mark.parametrize("label", SMOOTH)
@pytest.mark.parametrize("outer", [score, path])
@pytest.mark.parametrize("inner", [score, path])
def test_twice_is_the_second_derivative(inner, outer, label):
    J, t, at = SMOOTH[label]
    H = outer(inner(J, t), t)
    want = numerical(J, t, at, orders=2)
    assert gl.exact(H, at) == pytest.approx(want, rel=1e-5)
    assert abs(gl.estimate(H, at, samples=200_000, rng=5).z(gl.exact(H, at))) < 5


@pytest.mark.parametrize("outer", [score, path, gl.measure_valued])
@pytest.mark.parametrize("inner", [score, path, gl.measure_valued])
def test_mixed_derivatives(inner, outer):
    want = np.exp(-0.72) * 1.2 * np.sin(0.4)  # ∂μ∂σ cos μ · exp(−σ²/2)
    assert gl.exact(outer(inner(COS, mu), sigma), TWO) == pytest.approx(want, rel=1e-7)


def test_a_kink_twice():
    """|x|: along the path twice 0, truth 2φ(μ). The score function of the path's result is sound."""
    J, at = gl.Expectation(sp.Abs(X)), {mu: 0.3}
    truth = 2 * np.exp(-0.045) / np.sqrt(2 * np.pi)
    with pytest.raises(gl.UnsoundEstimator, match="jumps by 2 at X = 0"):
        path(path(J, mu), mu)
    for G in (
        score(path(J, mu), mu),
        score(score(J, mu), mu),
        path(score(J, mu), mu),
        gl.measure_valued(path(J, mu), mu),
    ):
        assert gl.exact(G, at) == pytest.approx(truth, rel=1e-8)


def test_the_laplace_score_twice():
    """Its score jumps at x = μ, and the jump moves."""
    L = st.Laplace("L", mu, 1)
    for inner, outer in ((score, score), (score, path), (score, gl.measure_valued)):
        with pytest.raises(gl.UnsoundEstimator, match="jump"):
            outer(inner(gl.Expectation(sp.cos(L)), mu), mu)
    assert gl.exact(score(path(gl.Expectation(sp.cos(L)), mu), mu), {mu: 0.4}) == pytest.approx(
        -np.cos(0.4) / 2, rel=1e-8
    )


# --- cost --------------------------------------------------------------------------------


def test_the_cost_grows_with_what_is_computed():
    assert cost(gl.Expectation(W), {}) == 1  # drawn, and nothing computed
    assert cost(gl.Expectation(sp.exp(W)), {}) == 2
    two = [cost(score(SQUARE, mu, baseline="leave-one-out", batch=n), ONE) for n in (2, 3, 4)]
    assert two == sorted(two) and two[0] > cost(score(SQUARE, mu), ONE) > cost(path(SQUARE, mu), ONE)
    assert cost(gl.Expectation(F(W)), {}, functions={F: np.sin}) >= 2
    with pytest.raises(ValueError, match="no value for mu"):
        cost(SQUARE)


def test_moments_say_what_is_not_there():
    assert moments(SQUARE, ONE) == pytest.approx((2, 6))
    mean, spread = moments(path(gl.Expectation(sp.sqrt(sp.Abs(X))), mu), {mu: 0.5})
    assert np.isfinite(mean) and spread == np.inf
    mean, spread = moments(gl.Expectation(st.Cauchy("C", 0, 1)))
    assert np.isnan(mean) and spread == np.inf


# --- bad input ---------------------------------------------------------------------------

Y, V = st.Normal("Y", 0, 2), st.Normal("V", mu, 1)
PAIR = gl.Expectation(X * V)
VECTOR = gl.Expectation([X, X**2])
cv = gl.control_variate
BAD = [
    *((lambda f=f: f(X**2), TypeError, "build one with gradlib.Expectation") for f in (
        lambda J: cv(J, X, 1, mean=0), lambda J: gl.optimal_coefficients(J, X, ONE),
        lambda J: gl.optimal_baseline(J, mu, ONE), lambda J: gl.delta_method(J, mu, ONE), lambda J: gl.rao_blackwell(J),
        lambda J: gl.sticking_the_landing(J, mu), lambda J: gl.importance(J, {X: Y}),
        lambda J: gl.finite_difference(J, mu, 0.1), lambda J: gl.straight_through(J, mu),
        lambda J: gl.gumbel_softmax(J, mu, 0.1))),
    *((lambda f=f, t=t: f(SQUARE, t), error, message) for f in (
        lambda J, t: gl.optimal_baseline(J, t, ONE), lambda J, t: gl.delta_method(J, t, ONE), gl.sticking_the_landing,
        lambda J, t: gl.finite_difference(J, t, 0.1), gl.straight_through, lambda J, t: gl.gumbel_softmax(J, t, 0.1))
      for t, error, message in (
        (5, TypeError, "must be a SymPy symbol"), ("mu", TypeError, "must be a SymPy symbol"),
        (None, TypeError, "must be a SymPy symbol"), ({mu}, TypeError, "must be a SymPy symbol"),
        ([], ValueError, "give one parameter"), ([mu, mu], ValueError, "different ones"),
        (theta, ValueError, "occurs nowhere"), (sp.Symbol("mu"), ValueError, "Create it once"))),
    *((lambda f=f: f(VECTOR), ValueError, "each component") for f in (
        lambda J: gl.optimal_baseline(J, mu, ONE), lambda J: gl.delta_method(J, mu, ONE),
        lambda J: gl.sticking_the_landing(J, mu), lambda J: gl.finite_difference(J, mu, 0.1),
        lambda J: gl.optimal_coefficients(J, X, ONE))),
    *((lambda f=f, at=at: f(at), error, message) for f in (
        lambda at: gl.optimal_baseline(SQUARE, mu, at), lambda at: gl.delta_method(SQUARE, mu, at),
        lambda at: gl.optimal_coefficients(SQUARE, X, at), lambda at: cv(SQUARE, X, at=at))
      for at, error, message in (
        (None, ValueError, r"give (one in )?(mean=, or )?at=\{symbol: number\}"), ({}, ValueError, "no value for mu"),
        ([1], TypeError, "dictionary"), ({"mu": 1}, TypeError, "use the symbol itself"),
        ({mu: "a"}, TypeError, "real number"), ({mu: np.nan}, ValueError, "finite"),
        ({mu: np.inf}, ValueError, "finite"), ({mu: 1, theta: 2}, ValueError, "no parameter of"))),
    *((lambda b=b: score(SQUARE, mu, baseline=b), ValueError, message) for b, message in (
        (np.nan, "finite number"), (np.inf, "finite number"), ("mean", "leave-one-out"), (None, "finite number"),
        (True, "finite number"), (sp.I, "finite number"), (X, "depends on the draw"),
        (2 * SQUARE.laws[0].symbol, "depends on the draw"), ([1, 2], "give one for each"), ([1], "give one for each"),
        (object(), "finite number"))),
    (lambda: score(COS, [mu, sigma], baseline=[1, 2, 3]), ValueError, "3 baselines for 2 parameters"),
    *((lambda n=n: score(SQUARE, mu, baseline="leave-one-out", batch=n), ValueError, message) for n, message in (
        (None, "give the number of draws"), (1, "at least 2"), (0, "at least 2"), (-2, "at least 2"),
        (2.0, "give the number"), ("3", "give the number"), (True, "give the number"))),
    (lambda: score(SQUARE, mu, baseline=1, batch=4), ValueError, "needs no batch"),
    *((lambda n=n: cv(SQUARE, X, "cross-fitted", mean=mu, batch=n), ValueError, message) for n, message in (
        (None, "give the number"), (4, "at least 6"), (7, "must be even"), (6.0, "give the number"),
        (-6, "at least 6"))),
    (lambda: cv(SQUARE, X, "same draws", mean=mu, batch=1), ValueError, "at least 2"),
    (lambda: cv(SQUARE, [X, X**2], "cross-fitted", mean=[mu, 1], batch=6), ValueError, "takes one control variate"),
    (lambda: cv(SQUARE, X, 1, mean=mu, batch=4), ValueError, "batch= belongs to"),
    (lambda: cv(SQUARE, X, "best", mean=mu), ValueError, "coefficient takes numbers"),
    (lambda: cv(SQUARE, X, mean=mu), ValueError, "give at="),
    (lambda: cv(SQUARE, X, 1), ValueError, "give mean="),
    *((lambda c=c: cv(SQUARE, X, c, mean=mu), error, message) for c, error, message in (
        (np.nan, ValueError, "finite"), (np.inf, ValueError, "finite"), (sp.zoo, ValueError, "finite"),
        (X, ValueError, "depends on the draw"), (SQUARE.laws[0].symbol, ValueError, "depends on the draw"),
        (None, TypeError, "a number or"), (True, TypeError, "a number or"), (object(), TypeError, "a number or"),
        ([1, 2], ValueError, "shape"), ([], ValueError, "shape"))),
    *((lambda v=v: cv(SQUARE, X, 1, mean=v), error, message) for v, error, message in (
        (np.nan, ValueError, "finite"), (X, ValueError, "depends on the draw"), ("mu", TypeError, "a number or"),
        ([1, 2], ValueError, "2 means for 1"), (object(), TypeError, "a number or"))),
    (lambda: cv(SQUARE, X, 1, mean=mu + 0.01, at=ONE), ValueError, "a wrong mean would bias"),
    *((lambda h=h: cv(SQUARE, h, 1, mean=0), error, message) for h, error, message in (
        ("X", TypeError, "a number or"), (np.nan, ValueError, "finite"), (X > 0, TypeError, "a number or"),
        (sp.Matrix([X, X]), TypeError, "a number or"), (SQUARE, TypeError, "a number or"),
        (Y, ValueError, "does not draw"), ([], ValueError, "at least one"))),
    (lambda: gl.optimal_coefficients(SQUARE, [X, 2 * X], ONE), ValueError, "leave it out"),
    (lambda: gl.optimal_coefficients(SQUARE, 3, ONE), ValueError, "do not vary"),
    (lambda: gl.optimal_coefficients(SQUARE, [], ONE), ValueError, "at least one"),
    (lambda: gl.optimal_coefficients(SQUARE, Y, ONE), ValueError, "does not draw"),
    (lambda: gl.optimal_baseline(gl.Expectation(theta * W), theta, THETA), ValueError, "moves no density"),
    *((lambda k=k: gl.delta_method(SQUARE, mu, ONE, order=k), ValueError, "from 0 to 4")
      for k in (-1, 5, 1.5, "2", True, None)),
    (lambda: gl.delta_method(PAIR, mu, ONE), ValueError, "one continuous variable"),
    (lambda: gl.delta_method(gl.Expectation(B), p, {p: 0.3}), ValueError, "one continuous variable"),
    *((lambda v=v: gl.rao_blackwell(FINITE, v), TypeError, "one after the other")
      for v in ([B], "B", FINITE.laws[0].symbol, 3)),
    (lambda: gl.rao_blackwell(FINITE, TABLE), ValueError, "no variable of"),
    (lambda: gl.rao_blackwell(FINITE, X), ValueError, "infinitely many values"),
    (lambda: gl.rao_blackwell(SQUARE), ValueError, "nothing to sum over"),
    (lambda: gl.rao_blackwell(gl.Expectation(st.Binomial("N", sp.Symbol("n", integer=True, positive=True), p))),
     ValueError, "give n a number"),
    *((lambda v=v: gl.importance(SQUARE, v), error, message) for v, error, message in (
        (None, TypeError, "dictionary"), ({}, TypeError, "dictionary"), ([X, Y], TypeError, "dictionary"),
        ({X: 3}, ValueError, "no random variable"), ({X: "Y"}, TypeError, "SymPy expression"),
        ({"X": Y}, ValueError, "no variable of"), ({Y: X}, ValueError, "no variable of"),
        ({X: Y + 1}, ValueError, "must be a random symbol"), ({X: B}, ValueError, "both must be continuous"),
        ({X: st.Exponential("E", 1)}, gl.UnsoundEstimator, "would be lost"),
        ({X: st.Uniform("R", -9, 9)}, gl.UnsoundEstimator, "would be lost"))),
    (lambda: gl.importance(gl.Expectation(B), {B: st.FiniteRV("D", {0: 0.5, 2: 0.5})}),
     gl.UnsoundEstimator, "would be lost"),
    (lambda: gl.importance(PAIR, {X: Y, V: Y}), ValueError, "share a name"),
    *((lambda h=h: gl.finite_difference(SQUARE, mu, h), ValueError, "step must be a positive number")
      for h in (0, -0.1, np.nan, np.inf, "0.1", None, True, sp.Symbol("h", positive=True), 1j)),
    (lambda: gl.finite_difference(gl.Expectation(st.Poisson("K", sigma)), sigma, 0.1), gl.UnsoundEstimator, "discrete"),
    (lambda: gl.straight_through(gl.Expectation(TABLE), p), ValueError, "for Bernoulli variables"),
    (lambda: gl.straight_through(SQUARE, mu), ValueError, "for Bernoulli variables"),
    *((lambda t=t: gl.gumbel_softmax(gl.Expectation(B**2), p, t), error, message) for t, error, message in (
        (0, ValueError, "must be positive"), (-1, ValueError, "must be positive"),
        (sp.I, ValueError, "must be positive"), (np.nan, ValueError, "finite"), (np.inf, ValueError, "finite"),
        ("1", TypeError, "a number or"), (None, TypeError, "a number or"), (object(), TypeError, "a number or"),
        (True, TypeError, "a number or"), (sp.exp(X), ValueError, "depends on the draw"))),
    (lambda: gl.gumbel_softmax(gl.Expectation(st.Poisson("K", sigma)), sigma, 1), ValueError, "finitely many values"),
    (lambda: gl.gumbel_softmax(gl.Expectation(sp.Heaviside(B - sp.S.Half)), p, 1), gl.UnsoundEstimator, "jumps by 1"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, message", BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
