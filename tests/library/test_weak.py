"""Measure-valued estimators: weak derivatives against the score function, numerical derivatives and Monte Carlo."""

from functools import lru_cache

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import CASES, mu, numerical, p, sigma, z_of_variance

import gradlib as gl
from gradlib.core.families import FAMILIES

x, theta, psi = sp.symbols("x theta psi", real=True)
rate = sp.Symbol("rate", positive=True)
X, U = st.Normal("X", mu, 1), st.Uniform("U", 0, sigma)
F = sp.Function("F")

INTEGRANDS = {
    "cosine": sp.cos,
    "square": lambda x: x**2,
    "exponential": lambda x: sp.exp(x / 4),
    "bounded": lambda x: 1 / (1 + x**2),
    "threshold": lambda x: sp.Heaviside(x - sp.Rational(9, 10), 0),
}
OF_TYPE = {type(c.law.distribution): name for name, c in CASES.items()}
PARAMETERS = {
    (OF_TYPE[cls], i): CASES[OF_TYPE[cls]].law.parameters[i] for cls, row in FAMILIES.items() for i in row.weak
}
MATRIX = [
    pytest.param(name, i, integrand, coupled, id=f"{name}-{i}-{integrand}-{'coupled' if coupled else 'independent'}")
    for name, i in PARAMETERS
    for integrand in INTEGRANDS
    for coupled in (False, True)
    if not (integrand == "exponential" and not CASES[name].exponential)
    and not (integrand == "cosine" and name == "LogNormal")  # the oracle does not integrate a wave in that tail
]


@lru_cache(maxsize=None)
def truth(name: str, i: int, integrand: str) -> float:
    """By the score function; where the support moves, by differences."""
    c = CASES[name]
    J = gl.Expectation(INTEGRANDS[integrand](c.variable))
    if name == "Uniform":
        return numerical(J, PARAMETERS[name, i], c.at)
    return gl.exact(gl.score_function(J, PARAMETERS[name, i]), c.at)


def test_the_matrix_covers_the_table():
    assert {"Normal", "Exponential", "Gamma", "Weibull", "Poisson", "Bernoulli"} <= {name for name, _ in PARAMETERS}
    assert len(PARAMETERS) == sum(len(row.weak) for row in FAMILIES.values())


@pytest.mark.parametrize("name, i, integrand, coupled", MATRIX)
def test_weak_derivatives(name, i, integrand, coupled):
    """The exact mean, without noise; then |z| < 5.

    5 standard errors are below a third of the truth, or of 0.1 where the truth is smaller (asserted): no larger bias
    goes unseen by the draws. What is smaller is for the exact mean.
    """
    G = gl.measure_valued(
        gl.Expectation(INTEGRANDS[integrand](CASES[name].variable)), PARAMETERS[name, i], coupled=coupled
    )
    at = {s: v for s, v in CASES[name].at.items() if s in G.parameters}
    want = truth(name, i, integrand)
    try:
        assert gl.exact(G, at) == pytest.approx(want, rel=1e-7, abs=1e-9)
    except gl.QuadratureError:  # two variables at once with a jump or a root: for the draws alone
        assert coupled and (integrand == "threshold" or name in {"Weibull", "Rayleigh"})
    got = gl.estimate(G, at, samples=200_000, rng=7)
    assert got.value == pytest.approx(want, abs=1e-12) if got.stderr == 0 else abs(got.z(want)) < 5, got.z(want)
    assert 5 * got.stderr < max(abs(want), 0.1) / 3


@pytest.mark.parametrize("name, i", PARAMETERS)
def test_the_measured_variance_is_the_exact_one(name, i):
    G = gl.measure_valued(gl.Expectation(INTEGRANDS["bounded"](CASES[name].variable)), PARAMETERS[name, i])
    at = {s: v for s, v in CASES[name].at.items() if s in G.parameters}
    assert abs(z_of_variance(G, at)) < 5


@pytest.mark.parametrize("name, i", PARAMETERS)
def test_each_constant_and_each_pair_is_the_derivative_of_the_density(name, i):
    """For F = 1 both sides are equal draw by draw, and c is what it is in the documents: c = E|∂ log p|/2 or more."""
    c = CASES[name]
    G = gl.measure_valued(gl.Expectation(sp.S.One, [c.variable]), PARAMETERS[name, i])
    assert G.integrand == 0
    constant = float(sp.sympify(c.law.weak_pair(i).constant).subs(c.at))
    if name != "Uniform":
        score = gl.Expectation(
            sp.Abs(gl.score_function(gl.Expectation(sp.S.One, [c.variable]), PARAMETERS[name, i]).integrand),
            [c.variable],
        )
        smallest = gl.exact(score, {s: v for s, v in c.at.items() if s in score.parameters}) / 2
        assert constant >= smallest * (1 - 1e-9)


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("variable", [
    st.Normal("X", psi**2, sp.exp(psi)), st.Exponential("X", sp.exp(psi)), st.Gamma("X", 2, sp.exp(psi)),
    st.Poisson("X", sp.exp(psi)), st.Bernoulli("X", 1 / (1 + sp.exp(-psi))),
    st.Binomial("X", 4, 1 / (1 + sp.exp(-psi))), st.Laplace("X", psi, 1 + psi**2),
], ids=str)  # fmt: skip
def test_the_chain_rule_through_parameters(variable, coupled):
    J, at = gl.Expectation(sp.exp(-(variable**2))), {psi: 0.4}
    want = gl.exact(gl.score_function(J, psi), at)
    G = gl.measure_valued(J, psi, coupled=coupled)
    if (
        coupled and len([v for v in G.laws if not v.is_discrete]) > 2
    ):  # more variables than the oracle integrates at once
        got = gl.estimate(G, at, samples=1_000_000, rng=3)
        assert abs(got.z(want)) < 5 and 5 * got.stderr < 0.05 * abs(want)
    else:
        assert gl.exact(G, at) == pytest.approx(want, rel=1e-7)


@pytest.mark.parametrize("coupled", [False, True])
def test_moving_edges_and_the_chain_rule(coupled):
    V = st.Uniform("V", theta, theta**2 + 2)
    J, at = gl.Expectation(sp.cos(V)), {theta: 0.7}
    assert gl.exact(gl.measure_valued(J, theta, coupled=coupled), at) == pytest.approx(
        numerical(J, theta, at), rel=1e-7
    )


@pytest.mark.parametrize("coupled", [False, True])
def test_several_variables_with_a_shared_parameter(coupled):
    A, B, D = st.Normal("A", mu, sigma), st.Exponential("B", sigma), st.Poisson("D", sigma)
    J, at = gl.Expectation(mu * A**2 * B * D), {mu: 0.4, sigma: 1.3}
    closed = mu * (mu**2 + sigma**2)  # E B · E D = 1
    want = [float(closed.diff(t).subs(at)) for t in (mu, sigma)]
    G = gl.measure_valued(J, [mu, sigma], coupled=coupled)
    assert gl.exact(G, at) == pytest.approx(want, rel=1e-8)
    assert np.all(np.abs(gl.estimate(G, at, samples=200_000, rng=4).z(want)) < 5)


@pytest.mark.parametrize("coupled", [False, True])
def test_theta_in_both_places(coupled):
    """Defect 2: F = θx², x ∼ N(θ, 1), θ = 0.7: 2.47; 0.98 without the direct term."""
    G = gl.measure_valued(gl.Expectation(theta * st.Normal("X", theta, 1) ** 2), theta, coupled=coupled)
    assert gl.exact(G, {theta: 0.7}) == pytest.approx(2.47, rel=1e-10)
    got = gl.estimate(G, {theta: 0.7}, samples=200_000, rng=1)
    assert abs(got.z(2.47)) < 5 and abs(got.z(0.98)) > 50
    only = gl.measure_valued(gl.Expectation(theta * st.Normal("X", 0, 1) ** 2), theta, coupled=coupled)
    assert gl.exact(only, {}) == pytest.approx(1)


def test_twice_is_the_second_derivative():
    """Noise whose law holds the parameter is differentiated as well."""
    J = gl.Expectation(sp.cos(X))
    assert gl.exact(gl.measure_valued(gl.measure_valued(J, mu), mu), {mu: 0.3}) == pytest.approx(
        -np.cos(0.3) * np.exp(-0.5), rel=1e-9
    )
    J, at = gl.Expectation(sp.exp(-st.Exponential("E", rate))), {rate: 1.5}
    for rule in (gl.score_function, gl.pathwise, gl.measure_valued):
        assert gl.exact(gl.measure_valued(rule(J, rate), rate), at) == pytest.approx(
            -2 / 2.5**3, rel=1e-8
        )  # of r/(1+r)


@pytest.mark.parametrize("d, raises", [(1.5, False), (1.56, True)])
def test_when_coupling_raises_the_variance(d, raises):
    """Defect 4: for (x − k)² and μ it does if |μ − k| > 1.526 σ.

    With Var w = 2 − π/2 of a Rayleigh variable, times c² = 1/2π: 16 d² Var w coupled, 8 d² Var w + 8 independent.
    """
    J, at = gl.Expectation((X - 2) ** 2), {mu: 2 + d}
    independent, coupled = (gl.variance(gl.measure_valued(J, mu, coupled=flag), at) for flag in (False, True))
    w = 2 - np.pi / 2
    assert coupled == pytest.approx(16 * d**2 * w / (2 * np.pi), rel=1e-9)
    assert independent == pytest.approx((8 * d**2 * w + 8) / (2 * np.pi), rel=1e-9)
    assert (coupled > independent) == raises
    assert abs(z_of_variance(gl.measure_valued(J, mu, coupled=True), at)) < 5


def test_names_do_not_collide():
    taken = st.Normal("X_plus", 0, 1)
    G = gl.measure_valued(gl.Expectation(X**2 * taken**2), mu)
    assert len({str(v) for v in G.variables}) == len(G.variables) == 3
    assert gl.exact(G, {mu: 0.7}) == pytest.approx(1.4)
    again = gl.measure_valued(gl.Expectation(X**4), [mu])
    assert again.is_vector and gl.exact(again, {mu: 1}) == pytest.approx([16])


def test_black_boxes_are_only_evaluated():
    G = gl.measure_valued(gl.Expectation(F(X)), mu)
    assert gl.exact(G, {mu: 0.3}, functions={F: np.sin}) == pytest.approx(np.cos(0.3) * np.exp(-0.5), rel=1e-8)


# --- refusals ----------------------------------------------------------------------------

REFUSED = {
    "shape": (st.Gamma("X", rate, 1), rate, "no pair of densities", "score_function or pathwise"),
    "weibull shape": (st.Weibull("X", 1, rate), rate, "parameter beta", "score_function or pathwise"),
    "unknown family": (st.Geometric("X", p), p, "no pair of densities", "Use score_function"),
    "table": (st.FiniteRV("X", {0: p, 2: 1 - p}), p, "finitely many values", "rao_blackwell"),
    "jump in theta": (sp.Heaviside(st.Normal("X", 0, 1) - theta), theta, "jumps by", "Integrate over the jump by hand"),
    "jump in both": (
        sp.Heaviside(st.Normal("X", theta, 1) - theta), theta, "jumps by", "Integrate over the jump by hand"),
    "black box in theta": (F(X, theta), theta, "cannot be decided", 'assume="continuous"'),
    "value at the right edge": (sp.Piecewise((0, U >= sigma), (1, True)), sigma, "may jump at U = sigma", "pathwise"),
    "H(0) at the right edge": (sp.Heaviside(sigma - U, 0), sigma, "may jump at U = sigma", "pathwise"),
    "value at the left edge": (
        sp.Heaviside(st.Uniform("U", theta, 3) - theta, 0), theta, "may jump at U = theta", "pathwise"),
    "floor in theta": (sp.floor(U / sigma), sigma, "jumps by 1 at U = m*sigma", "Integrate over the jump by hand"),
    "value at a fixed edge": (sp.floor(st.Uniform("U", rate - 2, 3) / 3), rate, None, None),
    "pole at the edge": (sp.log(sigma - U), sigma, "may jump at U = sigma", "pathwise"),
    "whole number": (
        st.Binomial("X", sp.Symbol("n", integer=True, positive=True), p), sp.Symbol("n", integer=True, positive=True),
        "whole number", "Compare two"),
}  # fmt: skip


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("label", REFUSED)
def test_refused_with_the_reason_and_the_alternative(label, coupled):
    integrand, parameter, reason, instead = REFUSED[label]
    if reason is None:  # an edge that does not move is no draw
        assert gl.exact(
            gl.measure_valued(gl.Expectation(integrand), parameter, coupled=coupled), {rate: 1.5}
        ) == pytest.approx(numerical(gl.Expectation(integrand), parameter, {rate: 1.5}), rel=1e-6)
        return
    with pytest.raises(gl.UnsoundEstimator) as error:
        gl.measure_valued(gl.Expectation(integrand), parameter, coupled=coupled)
    assert reason in str(error.value) and instead in str(error.value)


@pytest.mark.parametrize(
    "integrand",
    [
        sp.Abs(U - sigma),
        sp.Heaviside(U - sp.Rational(1, 2), 0),
        sp.floor(2 * U),
        U * sp.Heaviside(U - sigma + 1),
        (U - sigma) ** 2,
    ],
    ids=str,
)
def test_what_is_continuous_at_the_edge_passes(integrand):
    J, at = gl.Expectation(integrand), {sigma: 1.3}
    if integrand.has(sp.Heaviside) and gl.Expectation(integrand).plain.has(sigma):
        with pytest.raises(gl.UnsoundEstimator, match="jumps by"):  # in θ, inside
            gl.measure_valued(J, sigma)
        return
    assert gl.exact(gl.measure_valued(J, sigma), at) == pytest.approx(numerical(J, sigma, at), rel=1e-6)


@pytest.mark.parametrize("call, error, message", [
    (lambda: gl.measure_valued(X**2, mu), TypeError, "build one with gradlib.Expectation"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), "mu"), TypeError, "must be a SymPy symbol"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), theta), ValueError, "occurs nowhere"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), []), ValueError, "give one parameter"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), [mu, mu]), ValueError, "different ones"),
    (lambda: gl.measure_valued(gl.Expectation([X, X]), mu), ValueError, "differentiate each component"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), mu, coupled="yes"), TypeError, "coupled must be True or False"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), mu, coupled=1), TypeError, "coupled must be True or False"),
    (lambda: gl.measure_valued(gl.Expectation(X**2), mu, assume="no"), ValueError, "choose from"),
])  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_wrong_constant_is_rejected():
    """The checks can fail: c off by 1 %, the classic √(2π) for √(π/2), a flipped sign."""
    J, at = gl.Expectation(sp.cos(X)), {mu: 0.3}
    G = gl.measure_valued(J, mu)
    want = gl.exact(gl.score_function(J, mu), at)
    for factor in (1.01, 2, -1):
        wrong = G.with_integrand(factor * G.plain)
        assert gl.exact(wrong, at) != pytest.approx(want, rel=1e-7)
        if factor != 1.01:
            assert abs(gl.estimate(wrong, at, samples=200_000, rng=7).z(want)) > 5
