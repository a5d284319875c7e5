"""Families on arrays: the same numbers as the scalar estimators, entry by entry."""

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import CASES

import gradlib as gl
from gradlib.arrays import _compiled
from gradlib.core.families import FAMILIES

m, r = sp.symbols("m r", real=True)
k, p, lam = sp.symbols("k p lambda", positive=True)
SHAPE = (4, 3)


def arrays(case, seed=0):
    """Values near the case's own, another one in each entry."""
    rng = np.random.default_rng(seed)
    spread = 0.02 if any("Table" in name for name, c in CASES.items() if c is case) else 0.1
    return {s: v * (1 + spread * rng.random(SHAPE)) for s, v in case.at.items()}


def entry(at, index):
    return {s: float(v[index]) for s, v in at.items()}


@pytest.mark.parametrize("name", CASES)
def test_score_and_density_agree_with_the_law(name):
    """Against SymPy's own evaluation, with mpmath, of the density that the scalar estimators use."""
    case, q = CASES[name], gl.ArrayLaw(CASES[name].variable)
    at = arrays(case)
    x = q.draw(np.random.default_rng(1), at)
    log_density, score = q.log_density(x, at), q.score(x, at)
    assert x.shape == log_density.shape == SHAPE
    for index in [(0, 0), (3, 2)]:
        values = {s: sp.Float(v, 30) for s, v in entry(at, index).items()} | {
            case.law.symbol: sp.Float(float(x[index]), 30)
        }
        assert log_density[index] == pytest.approx(float(case.law.log_density.subs(values).evalf(20)), rel=1e-9)
        for theta in q.parameters:
            expected = float(sp.sympify(case.law.score(theta)).subs(values).evalf(20))
            assert score[theta][index] == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.moments > 4])
def test_draws_have_the_right_mean_in_each_entry(name):
    case, q = CASES[name], gl.ArrayLaw(CASES[name].variable)
    at = arrays(case)
    x = q.draw(np.random.default_rng(2), at, size=20_000)
    J = gl.Expectation(case.variable)
    for index in [(0, 0), (2, 1)]:
        mean, spread = gl.exact(J, entry(at, index)), gl.variance(J, entry(at, index))
        assert abs(x[(slice(None), *index)].mean() - mean) < 5 * np.sqrt(spread / 20_000)
    a, b = x[:, 0, 0], x[:, 0, 1]
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(20_000), "entries are independent"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.law.no_path])
def test_velocity_is_the_derivative_of_the_path(name):
    case, q = CASES[name], gl.ArrayLaw(CASES[name].variable)
    at = arrays(case)
    eps = q.noise(np.random.default_rng(3), at, size=5)
    x = q.path(eps, at)
    for theta, velocity in q.velocity(x, at).items():
        if (q.law.base() or [q.law.distribution])[0].has(theta):
            continue  # implicit: the base law moves; tested against the oracle below
        h = 1e-6
        central = (q.path(eps, at | {theta: at[theta] + h}) - q.path(eps, at | {theta: at[theta] - h})) / (2 * h)
        assert velocity == pytest.approx(central, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", ["Gamma", "Beta", "StudentT"])
def test_implicit_velocity_in_each_entry(name):
    """E[x v] over draws against the exact derivative of E[x²]/2."""
    case, q = CASES[name], gl.ArrayLaw(CASES[name].variable)
    at = {s: v * np.array([1.0, 1.2]) for s, v in case.at.items()}
    x = q.draw(np.random.default_rng(4), at, size=20_000)
    theta = q.parameters[0]
    samples = x * q.velocity(x, at)[theta]
    G = gl.pathwise(gl.Expectation(case.variable**2 / 2), theta)
    for i in range(2):
        here = {s: float(v[i]) for s, v in at.items()}
        assert abs(samples[:, i].mean() - gl.exact(G, here)) < 5 * np.sqrt(gl.variance(G, here) / 20_000)


PAIRS = {
    "Normal mean": (st.Normal("x", m, k), m), "Normal std": (st.Normal("x", m, sp.exp(r)), r),
    "Exponential": (st.Exponential("x", k), k), "Gamma": (st.Gamma("x", 2, k), k), "Poisson": (st.Poisson("x", k), k),
    "Laplace": (st.Laplace("x", m, k), k), "Bernoulli": (st.Bernoulli("x", 1 / (1 + sp.exp(-r))), r),
    "Uniform": (st.Uniform("x", 0, k), k),
}  # fmt: skip


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_weak_derivative_in_each_entry(name, coupled):
    variable, theta = PAIRS[name]
    q = gl.ArrayLaw(variable)
    start = {m: 0.3, r: -0.2, k: 1.1}
    at = {s: start[s] * np.array([1.0, 1.3]) for s in q.parameters}
    c, plus, minus = q.weak_derivative(theta, np.random.default_rng(5), at, 20_000, coupled=coupled)
    samples = c * (plus**2 - minus**2)
    G = gl.measure_valued(gl.Expectation(variable**2), theta, coupled=coupled)
    for i in range(2):
        here = {s: float(v[i]) for s, v in at.items()}
        spread = gl.variance(G, here)
        assert abs(samples[:, i].mean() - gl.exact(G, here)) <= 5 * np.sqrt(spread / 20_000) + 1e-12
        assert samples[:, i].var() == pytest.approx(spread, rel=0.15, abs=1e-12)


def test_common_noise_gives_a_smooth_path():
    q = gl.ArrayLaw(st.Normal("x", m, k))
    eps = q.noise(np.random.default_rng(0), {m: np.zeros(3), k: np.ones(3)}, 10)
    assert q.path(eps, {m: np.ones(3), k: np.ones(3)}) == pytest.approx(eps + 1)


def test_numbers_and_arrays_broadcast():
    q = gl.ArrayLaw(st.Normal("x", m, k))
    x = q.draw(np.random.default_rng(0), {m: np.zeros((2, 1)), k: np.ones(3)}, size=(7,))
    assert x.shape == (7, 2, 3)
    assert all(a.shape == x.shape for a in q.score(x, {m: 0.0, k: np.ones(3)}).values())


def test_a_softmax_policy():
    l = sp.symbols("l0:3", real=True)
    q = gl.ArrayLaw(st.FiniteRV("a", {i: sp.exp(logit) / sum(map(sp.exp, l)) for i, logit in enumerate(l)}))
    logits = np.random.default_rng(0).standard_normal((3, 6))
    at = dict(zip(l, logits))
    actions = q.draw(np.random.default_rng(1), at)
    pi = np.exp(logits) / np.exp(logits).sum(axis=0)
    expected = (actions == np.arange(3)[:, None]) - pi
    assert np.stack(list(q.score(actions, at).values())) == pytest.approx(expected, abs=1e-12)


BAD = {
    "no random symbol": (lambda: gl.ArrayLaw(3), TypeError, "random symbol"),
    "missing": (
        lambda: gl.ArrayLaw(st.Normal("x", m, k)).draw(np.random.default_rng(0), {m: 0.0}),
        ValueError, "no value for k"),
    "unknown": (
        lambda: gl.ArrayLaw(st.Normal("x", m, 1)).draw(np.random.default_rng(0), {m: 0.0, k: 1.0}),
        ValueError, "k is no parameter"),
    "domain": (
        lambda: gl.ArrayLaw(st.Normal("x", m, k)).score(0.0, {m: 0.0, k: np.array([1.0, -1.0])}),
        ValueError, "std of Normal must be positive in every entry"),
    "nan": (lambda: gl.ArrayLaw(st.Normal("x", m, 1)).score(0.0, {m: np.nan}), ValueError, "must be finite"),
    "names": (lambda: gl.ArrayLaw(st.Normal("x", m, 1)).score(0.0, [1.0]), TypeError, "dictionary"),
    "no path": (
        lambda: gl.ArrayLaw(st.Poisson("x", k)).velocity(np.ones(2), {k: 1.0}),
        gl.UnsoundEstimator, "is discrete, and its draws do not move"),
    "probabilities": (
        lambda: gl.ArrayLaw(st.FiniteRV("x", {0: p, 1: 1 - p})).score(np.ones(2), {p: np.array([0.5, 1.5])}),
        ValueError, "non-negative and sum to 1"),
    "two parameters": (
        lambda: gl.ArrayLaw(st.Normal("x", k, k)).weak_derivative(k, np.random.default_rng(0), {k: 1.0}),
        gl.UnsoundEstimator, "enters 2 parameters"),
    "no pair": (
        lambda: gl.ArrayLaw(st.Gamma("x", k, 1)).weak_derivative(k, np.random.default_rng(0), {k: 1.0}),
        gl.UnsoundEstimator, "no pair"),
}  # fmt: skip


@pytest.mark.parametrize("coupled", [False, True])
def test_a_second_weak_derivative_compiles_nothing(coupled):
    """An ascent asks for one in every step."""
    q, at = gl.ArrayLaw(st.Normal("x", m, k)), {m: np.zeros(3), k: np.ones(3)}
    for draw in range(2):
        before = _compiled.cache_info().misses
        for theta in (m, k):
            q.weak_derivative(theta, np.random.default_rng(draw), at, 10, coupled=coupled)
    assert _compiled.cache_info().misses == before


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_the_reason(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_every_family_was_tried():
    assert {type(case.law.distribution) for name, case in CASES.items() if name != "Table"} == set(FAMILIES)
