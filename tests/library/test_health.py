"""The certificate of an estimate: it raises the alarm where it must, and not where nothing is wrong."""

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.engine.health import TAIL, Extremes, joined, pareto_shape
from gradlib.engine.result import Estimate

mu = sp.Symbol("mu", real=True)
X = st.Normal("X", mu, 1)


def drawn(draw, samples, rng=0):
    return gl.monte_carlo(draw, samples, rng, progress=False)


# --- the tail index ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [-0.5, 0, 0.25, 0.5, 1, 2])
def test_the_shape_of_a_pareto_law_is_found(k):
    """From 300 draws, within five of its asymptotic deviations (1 + k)/√n; it tells k from k + 0.6."""
    u = np.random.default_rng(1).random(300)
    x = np.sort((u**-k - 1) / k if k else -np.log(u))
    assert pareto_shape(x) == pytest.approx(k, abs=5 * (1 + k) / np.sqrt(300) + 0.02)


WELL_BEHAVED = {
    "normal": lambda r, n: r.standard_normal(n), "square": lambda r, n: r.standard_normal(n) ** 2,
    "cube": lambda r, n: r.standard_normal(n) ** 3, "quartic": lambda r, n: r.standard_normal(n) ** 4,
    "uniform": lambda r, n: r.random(n), "wave": lambda r, n: np.cos(5 * r.standard_normal(n)),
    "exponential": lambda r, n: r.exponential(size=n), "laplace": lambda r, n: r.laplace(size=n),
    "exp": lambda r, n: np.exp(r.standard_normal(n) / 2), "relu": lambda r, n: np.maximum(r.standard_normal(n), 0),
    "coin": lambda r, n: r.random(n) < 0.3, "rare": lambda r, n: r.random(n) < 0.15,
    "counts": lambda r, n: r.poisson(3, n), "large": lambda r, n: 1e8 + r.standard_normal(n),
    "score": lambda r, n: (x := r.standard_normal(n)) * np.cos(x), "reward": lambda r, n: np.sign(r.standard_normal(n)),
    "reinforce": lambda r, n: (x := r.standard_normal(n)) * x**2, "logistic": lambda r, n: r.logistic(size=n),
    "gamma": lambda r, n: r.gamma(0.5, size=n), "student": lambda r, n: r.standard_t(9, size=n),
}  # fmt: skip


@pytest.mark.parametrize("name", WELL_BEHAVED)
def test_no_false_alarm(name):
    """20 integrands × 5 sizes × 12 seeds: 1,200 runs without an alarm. (2,000 runs each of twelve integrands at 1,000
    to 30,000 draws: at most 2 of z⁴, none else.)
    """
    alarms = [
        (size, seed)
        for size in (300, 1000, 3000, 10_000, 100_000)
        for seed in range(12)
        if not drawn(WELL_BEHAVED[name], size, seed).health.reliable
    ]
    assert not alarms


@pytest.mark.parametrize(
    "draw, least",
    [
        (lambda r, n: r.standard_cauchy(n), 20),  # k = 1
        (lambda r, n: r.standard_t(2, size=n) ** 2, 20),  # 1
        (lambda r, n: r.pareto(1, n), 20),
        (lambda r, n: -r.pareto(0.8, n), 20),  # 1.25, to the left
        (lambda r, n: r.pareto(1.5, n), 12),  # 0.67
        (lambda r, n: np.exp(4 * r.standard_normal(n)), 20),  # finite, but not with so few draws
    ],
)
def test_power(draw, least):
    """In 20 runs of 10,000 draws; the standard errors there are too small, or nothing at all."""
    alarms = [drawn(draw, 10_000, seed) for seed in range(20)]
    alarms = [estimate for estimate in alarms if not estimate.health.reliable]
    assert len(alarms) >= least
    for estimate in alarms:
        assert f"(k̂ = {estimate.health.tail:.2g}, n = 10,000)" in str(estimate)
        assert str(estimate).startswith("? (") == (not estimate.health.mean) == (estimate.health.tail > 1)
        assert np.isfinite(estimate.value)  # to be had by who asks for it


def test_a_finite_variance_by_the_formula_allows_more():
    """exp(2X) at 1,000 draws looks like k = ½ now and then; the formula says that all is well."""
    J = gl.Expectation(sp.exp(2 * X))
    assert all(gl.estimate(J, {mu: 0}, samples=1000, rng=seed).health.variance for seed in range(3))
    assert not gl.estimate(gl.Expectation(sp.exp(5 * X)), {mu: 0}, samples=10_000, rng=0).health.reliable


# --- too few that count ------------------------------------------------------------------------------------


def test_equal_draws_are_no_evidence():
    rate, p, k = sp.symbols("rate p k", positive=True)
    for J, at in [
        (gl.score_function(gl.Expectation(sp.sqrt(st.Poisson("N", rate) + 1)), rate), {rate: 1e-7}),
        (gl.score_function(gl.Expectation(st.Binomial("N", 10, p)), p), {p: 1e-8}),
        (gl.pathwise(gl.Expectation(st.Gamma("G", k, 1)), k), {k: 1e-10}),
    ]:
        estimate = gl.estimate(J, at, samples=10_000, rng=0)
        assert estimate.health.differing == 0 and not estimate.health.reliable
        assert "± ? (all draws equal: what is rarer than 0.0003 may be missed, n = 10,000)" in str(estimate)


def test_a_constant_is_exact():
    """Where the formula holds no variable there is no error."""
    estimate = gl.estimate(gl.pathwise(gl.Expectation(3 * X), mu), {mu: 1}, samples=100)
    assert estimate.health.reliable and str(estimate) == "3 ± 0 (n = 100)"


@pytest.mark.parametrize("samples", [50, 700, 5000, 2**20])
@pytest.mark.parametrize("hits", [1, 3, 9, 10, 25])
def test_few_draws_that_carry_the_value(samples, hits):
    def draw(rng, n):
        values = np.zeros(n)
        values[:hits] = 1 + rng.random(hits)
        return values

    estimate = gl.monte_carlo(draw, samples, 0, block=samples)
    if hits == 25 and samples == 50:
        return
    assert estimate.health.differing == hits
    assert estimate.health.reliable == (hits >= 10) or "k̂" in estimate.health.reason
    if hits < 10:
        assert f"only {hits} draw" in str(estimate) and "from 0, n = " in str(estimate)


def test_each_component_has_its_own():
    def draw(rng, n):
        return np.stack([rng.standard_normal(n), rng.standard_cauchy(n), np.ones(n)], axis=1)

    estimate = drawn(draw, 10_000)
    assert [h.reliable for h in estimate.health] == [True, False, False]
    assert "component 1: k̂ = " in str(estimate) and "component 2: all draws equal" in str(estimate)
    assert estimate.rounded.count("?") == 2
    assert Estimate(1.0, 0.1, 20).health is None  # a number of one's own: nobody looked


def test_a_comparison_says_it():
    """An estimator whose variance is infinite has no error bar in the table either."""
    theta = sp.Symbol("theta", positive=True)
    table = gl.compare(gl.Expectation(sp.exp(st.Exponential("E", 1) * theta)), theta, {theta: 0.6}, samples=1000)
    row = table["pathwise"]
    assert not row.measured.health.reliable and "± ?" in str(table) and "no error bar: pathwise. infinite" in str(table)
    assert "No error bar" in table._repr_html_()


# --- the largest draws, whoever draws them -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "ties", "falling", "rising", "short"])
def test_the_extremes_are_those_of_all(kind):
    rng = np.random.default_rng(3)
    sizes = [300, 7, 40, 1] if kind == "short" else [40_000, 40_000, 12_345, 40_000]
    rows = [rng.standard_normal(size) for size in sizes]
    if kind == "ties":
        rows = [np.round(row) for row in rows]
    if kind in ("falling", "rising"):
        rows = [row + (3 if kind == "rising" else -3) * i for i, row in enumerate(rows)]
    extremes, found = Extremes(1), ()
    for i, row in enumerate(rows):
        extremes.see(0, row[: len(row) // 2])
        extremes.see(0, row[len(row) // 2 :])
        if i != 1:  # two blocks at once
            found = joined(found, extremes.taken())
    whole = np.sort(np.concatenate(rows))
    ((low, high),) = found
    assert np.array_equal(np.sort(low), whole[:TAIL]) and np.array_equal(np.sort(high), whole[-TAIL:])


def test_it_does_not_depend_on_the_workers():
    from concurrent.futures import ThreadPoolExecutor

    J = gl.score_function(gl.Expectation(sp.exp(X)), [mu])
    found = []
    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as pool:
            found.append(gl.estimate(J, {mu: 0.2}, samples=40 * 2**17, rng=5, executor=pool).health[0])
    assert found[0] == found[1] == found[2] and found[0].tail == found[0].tail


@pytest.mark.parametrize("sampling", ["antithetic", "sobol"])
def test_other_draws_are_looked_at_too(sampling):
    J = gl.Expectation(sp.exp(X))
    assert gl.estimate(J, {mu: 0}, samples=2**14, rng=0, sampling=sampling).health.reliable
    nothing = gl.Expectation(sp.Heaviside(X - 40))
    assert not gl.estimate(nothing, {mu: 0}, samples=2**14, rng=0, sampling=sampling).health.reliable


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e300])
def test_squares_that_are_no_floating_point_numbers_make_no_error_bar(size):
    """Nor an error of 0, nor an infinite one; and the remedy in the message works."""
    c = sp.Symbol("c", positive=True)
    J = gl.Expectation(c * X)
    for estimate in (
        gl.estimate(J, {mu: 1, c: size}, samples=10_000, rng=0),
        drawn(lambda rng, n: size * rng.normal(1, 1, n), 10_000),
    ):
        assert f"too {'small' if size < 1 else 'large'} for floating-point numbers: scale the integrand" in str(
            estimate
        )
        assert estimate.value / size == pytest.approx(1, abs=0.05)  # the mean itself is right
    scaled = gl.estimate(gl.Expectation(c * X / size), {mu: 1, c: size}, samples=10_000, rng=0)
    assert scaled.health.reliable and abs(scaled.z(1)) < 5
