"""Densities in one formula: the user's own, and every family of sympy.stats without a row."""

import inspect

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from scipy import integrate
from sympy.stats import crv_types, drv_types
from sympy.stats.crv import SingleContinuousDistribution
from sympy.stats.drv import SingleDiscreteDistribution

import gradlib as gl
from gradlib.core.density import DensityLaw
from gradlib.core.families import FAMILIES
from gradlib.core.law import name_of
from gradlib.core.variable import named

x, mu = sp.symbols("x mu", real=True)
s, theta = sp.symbols("s theta", positive=True)

CUBIC = st.ContinuousRV(x, sp.exp(-(sp.Abs(x - mu) ** 3)) / (2 * sp.gamma(sp.Rational(4, 3))))
HALF = st.ContinuousRV(x, sp.sqrt(2 / sp.pi) / s * sp.exp(-(x**2) / (2 * s**2)), set=sp.Interval(0, sp.oo))
FAR = st.ContinuousRV(x, sp.exp(-((x - 5 * mu) ** 2) * 5000) / sp.sqrt(sp.pi / 5000))
POLE = st.ContinuousRV(x, theta * x ** (theta - 1), set=sp.Interval(0, 1))
GAP = st.ContinuousRV(
    x,
    sp.Piecewise((theta, (x >= 0) & (x <= 1)), (1 - theta, (x >= 2) & (x <= 3)), (0, True)),
    set=sp.Union(sp.Interval(0, 1), sp.Interval(2, 3)),
)


def second_moment(m):
    """E x² of the cubic law: m² + Γ(1)/Γ(1/3)."""
    return m**2 + float(1 / sp.gamma(sp.Rational(1, 3)))


@pytest.mark.parametrize(
    "variable, F, parameter, at, value, slope",
    [
        (CUBIC, lambda v: v**2, mu, {mu: 0.7}, second_moment(0.7), 1.4),
        (HALF, lambda v: v, s, {s: 2}, 2 * np.sqrt(2 / np.pi), np.sqrt(2 / np.pi)),
        (FAR, lambda v: v, mu, {mu: 1000}, 5000, 5),
        (POLE, lambda v: v, theta, {theta: 0.25}, 0.2, 0.64),  # θ/(1 + θ), 1/(1 + θ)²
    ],
    ids=["a cube", "half-normal", "far away", "a pole at the edge"],
)
def test_a_density_of_ones_own(variable, F, parameter, at, value, slope):
    J = gl.Expectation(F(variable))
    assert gl.exact(J, at) == pytest.approx(value, rel=1e-9)
    estimates = [(J, value)]
    for rule in (gl.score_function, gl.pathwise):
        G = rule(J, parameter)
        assert gl.exact(G, at) == pytest.approx(slope, rel=1e-8), rule.__name__
        estimates.append((G, slope))
    for G, truth in estimates:
        got = gl.estimate(G, at, samples=40_000, rng=1)
        assert abs(got.z(truth)) < 4.5 or abs(got.value - truth) < 1e-9 * abs(truth)  # no noise, but rounding
        # A bias of 4.5 standard errors would be seen; the score function of the narrow law is noise, and sees little.
        assert got.stderr < 0.05 * max(abs(truth), 1) or variable == FAR
    sobol = gl.estimate(J, at, samples=16 * 2**9, rng=0, sampling="sobol")
    assert abs(sobol.value - value) < 0.02 * max(abs(value), 0.2)


@pytest.mark.parametrize(
    "density, support, at, mean, score",
    [
        (sp.Piecewise((2 * x, (x > 0) & (x < 1)), (0, True)), sp.S.Reals, {}, 2 / 3, None),
        (
            sp.Piecewise((2 * theta * x, x < sp.Rational(1, 2)), (2 - theta / 2, True)),
            sp.Interval(0, 1),
            {theta: 1.2},
            0.625,
            -5 / 48,
        ),
    ],
    ids=["its own support", "two pieces"],
)
def test_a_density_in_pieces(density, support, at, mean, score):
    """∫ x p: 2/3; and θ/12 + (2 − θ/2)·3/8, with the slope 1/12 − 3/16."""
    J = gl.Expectation(st.ContinuousRV(x, density, set=support))
    assert gl.exact(J, at) == pytest.approx(mean, rel=1e-9)
    assert abs(gl.estimate(J, at, samples=20_000, rng=0).z(mean)) < 4.5
    if score is not None:
        S = gl.score_function(J, theta)
        assert gl.exact(S, at) == pytest.approx(score, rel=1e-9)
        assert abs(gl.estimate(S, at, samples=20_000, rng=0).z(score)) < 4.5


def test_draws_follow_the_density():
    """Kolmogorov and Smirnov's distance to the distribution function by quadrature; a shift is seen."""
    law = gl.Expectation(CUBIC).laws[0]
    draws = np.sort(law.sampler((0.7,), {}).draw(np.random.default_rng(0), 20_000))
    density = sp.lambdify(x, law.density.subs(mu, 0.7))
    grid = np.linspace(-2.5, 3.5, 4001)
    below = integrate.cumulative_simpson(density(grid), x=grid, initial=0)
    shares = (np.arange(len(draws)) + 0.5) / len(draws)
    assert np.abs(np.interp(draws, grid, below) - shares).max() < 1.63 / np.sqrt(len(draws))
    assert np.abs(np.interp(draws + 0.05, grid, below) - shares).max() > 1.63 / np.sqrt(len(draws))


@pytest.mark.parametrize(
    "density, support, at, message",
    [
        (sp.exp(-(sp.Abs(x - mu) ** 3)), sp.S.Reals, {mu: 0.7}, "integrates to 1.78596 at mu = 0.7, and not to 1"),
        (mu * x, sp.Interval(0, 1), {mu: 1}, "integrates to 0.5 at mu = 1"),
        (6 * x - 2, sp.Interval(0, 1), {}, "is negative: -2"),
        (1 / (sp.pi * (1 + x**2)) + mu, sp.S.Reals, {mu: 0.1}, "integrates to"),
    ],
    ids=["no constant", "half", "negative", "infinite"],
)
def test_what_is_no_density_is_refused_with_its_integral(density, support, at, message):
    J = gl.Expectation(st.ContinuousRV(x, density, set=support) ** 2)
    for number in (lambda: gl.exact(J, at), lambda: gl.estimate(J, at, samples=10, rng=0)):
        with pytest.raises(ValueError, match=message):
            number()


def test_a_path_does_not_cross_a_gap():
    """E x = θ/2 + 5(1 − θ)/2: the velocities −x/θ and −(3 − x)/(1 − θ) average to −1, and the truth is −2."""
    J = gl.Expectation(GAP)
    assert gl.exact(gl.score_function(J, theta), {theta: 0.3}) == pytest.approx(-2, rel=1e-9)
    assert abs(gl.estimate(gl.score_function(J, theta), {theta: 0.3}, samples=20_000, rng=0).z(-2)) < 4.5
    with pytest.raises(gl.UnsoundEstimator, match="has a gap.*score_function"):
        gl.pathwise(J, theta)


@pytest.mark.parametrize(
    "density, support, at",
    [
        ((x - theta) ** 2 / (theta**2 - theta + sp.Rational(1, 3)), sp.Interval(0, 1), {theta: 0.4}),
        (
            sum(sp.exp(-((x - m) ** 2) / 2) for m in (theta, theta + 20)) / (2 * sp.sqrt(2 * sp.pi)),
            sp.S.Reals,
            {theta: 1},
        ),
    ],
    ids=["touches 0", "two bells far apart"],
)
def test_a_density_that_vanishes_inside_is_refused_on_use(density, support, at):
    P = gl.pathwise(gl.Expectation(st.ContinuousRV(x, density, set=support) ** 2), theta)
    for number in (lambda: gl.exact(P, at), lambda: gl.estimate(P, at, samples=10, rng=0)):
        with pytest.raises(gl.UnsoundEstimator, match="vanishes inside its support"):
            number()


def test_a_jump_of_the_density_that_moves_is_refused():
    """p = ½ + 1[x ≤ θ]/(2θ) on (0, 1), F = x: the gradient is ¼, and the score function has −¼."""
    step = st.ContinuousRV(x, sp.Rational(1, 2) + sp.Heaviside(theta - x) / (2 * theta), set=sp.Interval(0, 1))
    J = gl.Expectation(step)
    for rule in (gl.score_function, gl.pathwise):
        with pytest.raises(gl.UnsoundEstimator, match="the density of x jumps"):
            rule(J, theta)


def test_a_density_that_sympy_cannot_call_positive():
    odd = st.ContinuousRV(
        x, sp.exp(-(x**2) / 2) * (2 + sp.cos(x * s)) / (sp.sqrt(2 * sp.pi) * (2 + sp.exp(-(s**2) / 2)))
    )
    J, at = gl.Expectation(sp.exp(odd / 2)), {s: 1.3}
    truth = (gl.exact(J, {s: 1.301}) - gl.exact(J, {s: 1.299})) / 0.002
    for rule in (gl.score_function, gl.pathwise):
        assert gl.exact(rule(J, s), at) == pytest.approx(truth, rel=1e-5)
        assert abs(gl.estimate(rule(J, s), at, samples=20_000, rng=0).z(truth)) < 4.5


def test_a_wrong_inversion_is_rejected(monkeypatch):
    """What SciPy inverted is compared with the integrated mass: 1 % of it in the wrong place is seen."""
    from gradlib.core import formula

    bell = gl.Expectation(CUBIC).laws[0].formula({mu: sp.Float(0.7)})
    right = formula._smooth_inverse
    formula.inverse.__wrapped__(bell)
    monkeypatch.setattr(formula, "_smooth_inverse", lambda *a: lambda u: right(*a)(np.minimum(u + 0.01, 1 - 1e-12)))
    with pytest.raises(ValueError, match="not inverted well enough"):
        formula.inverse.__wrapped__(bell)


def test_elementwise_on_arrays():
    q = gl.ArrayLaw(CUBIC)
    at = {mu: np.array([-1.0, 0.0, 2.0])}
    draws = q.draw(np.random.default_rng(0), at, size=4000)
    assert draws.shape == (4000, 3)
    assert np.abs(draws.mean(axis=0) - at[mu]).max() < 4.5 * draws.std() / np.sqrt(4000)
    assert np.allclose(q.velocity(draws[:50], at)[mu], 1)


# --- every family of sympy.stats -----------------------------------------------------------------

ARGUMENTS = {  # where (1.3, 2.2, …) do not do
    "Arcsin": (0, 2), "Benini": (1.5, 0.7, 1), "BoundedPareto": (1.5, 1, 4), "ChiNoncentral": (2, 1.1),
    "ExGaussian": (0, 1, 1.5), "FDistribution": (3, 7), "FisherZ": (3, 7), "Gumbel": (1.2, 0.3, True),
    "LogitNormal": (0.3, 0.8), "PowerFunction": (2.5, 0, 2), "QuadraticU": (1, 3), "RaisedCosine": (0.5, 2),
    "Reciprocal": (1, 4), "Trapezoidal": (0, 1, 2, 4), "Triangular": (0, 4, 1), "WignerSemicircle": (2,),
    "FlorySchulz": (0.4,), "Logarithmic": (0.4,), "YuleSimon": (5.0,), "Zeta": (6.0,),
    "Frechet": (1.3, 2.2, 0),  # SymPy's support begins at 0, whatever the third is
}  # fmt: skip

#: Every family without a row, and by which ways the gradient in its first parameter comes: by the score, by the path.
WAYS = {
    "Arcsin": "path", "Benini": "both", "BetaPrime": "both", "BoundedPareto": "both", "Chi": "both", "Dagum": "both",
    "ExGaussian": "both", "ExponentialPower": "both", "FDistribution": "both", "FisherZ": "both", "Gumbel": "both",
    "Frechet": "both",
    "LogLogistic": "both", "LogitNormal": "both", "Levy": "both", "Lomax": "both", "Moyal": "both", "Nakagami": "both",
    "GaussianInverse": "both", "PowerFunction": "both", "ShiftedGompertz": "both",
    "RaisedCosine": "score", "WignerSemicircle": "score",  # the support moves, and SymPy has no distribution function
    "FlorySchulz": "score", "Logarithmic": "score", "YuleSimon": "score",  # discrete
    "QuadraticU": "neither", "Reciprocal": "neither",  # an edge is the parameter
    "Trapezoidal": "neither", "Triangular": "neither",  # the same
    "Zeta": "neither",  # SymPy has no derivative of its constant
    "ChiNoncentral": "neither",  # the same
}  # fmt: skip

SLOW = {"FisherZ", "ExGaussian"}  # for the oracle: SymPy's formulas are long. Their gradients are estimated

#: And those that have no numbers here, with the reason.
WITHOUT_NUMBERS = {
    "BetaNoncentral": "SymPy's density is an infinite sum",
    "Davis": "SymPy's density has a factor in the wrong place: it is negative",
    "Gompertz": "SymPy does not get its logarithm apart in reasonable time",
    "LogCauchy": "the mass beyond 10^60 counts",
    "UniformSum": "SymPy's density is a sum to floor(x)",
    "Hermite": "SymPy does not simplify its probabilities",
    "NegativeBinomial": "SymPy does not simplify its probabilities in reasonable time",
    "Skellam": "its values have no smallest",
}


def without_a_row():
    """SymPy's own univariate families, continuous and discrete, that are no row of the table."""
    for module, base in ((crv_types, SingleContinuousDistribution), (drv_types, SingleDiscreteDistribution)):
        for cls in vars(module).values():
            if inspect.isclass(cls) and issubclass(cls, base) and cls is not base and cls._argnames != ("pdf",):
                if cls not in FAMILIES or FAMILIES[cls].literals:
                    yield name_of(cls), cls


def test_every_family_is_listed():
    assert {name for name, _ in without_a_row()} == set(WAYS) | set(WITHOUT_NUMBERS)


@pytest.mark.parametrize("name", WAYS)
def test_a_family_without_a_row(name):
    """Draws against the oracle; the gradient against differences of the oracle, by each way that is sound."""
    cls = dict(without_a_row())[name]
    arguments = ARGUMENTS.get(name, (1.3, 2.2, 1.7)[: len(cls._argnames)])
    t = sp.Symbol("t", positive=True) if arguments[0] > 0 else sp.Symbol("t", real=True)
    variable = named(cls(t, *map(sp.sympify, arguments[1:])), "X")
    assert isinstance(gl.Expectation(variable).laws[0], DensityLaw)
    J, at = gl.Expectation(sp.exp(-(variable**2) / 4)), {t: float(arguments[0])}
    assert abs(gl.estimate(J, at, samples=4000, rng=0).z(gl.exact(J, at))) < 4.5
    sound = {
        "path": [gl.pathwise],
        "score": [gl.score_function],
        "both": [gl.score_function, gl.pathwise],
        "neither": [],
    }[WAYS[name]]
    h = 1e-4
    slope = (gl.exact(J, {t: at[t] + h}) - gl.exact(J, {t: at[t] - h})) / (2 * h)
    for rule in (gl.score_function, gl.pathwise):
        if rule in sound and name in SLOW:
            assert abs(gl.estimate(rule(J, t), at, samples=20_000, rng=1).z(slope)) < 4.5
        elif rule in sound:
            assert gl.exact(rule(J, t), at) == pytest.approx(slope, rel=1e-4, abs=1e-6)
        else:
            with pytest.raises((gl.UnsoundEstimator, ValueError)):
                gl.exact(rule(J, t), at)


@pytest.mark.parametrize(
    "variable, at, mean",
    [
        (st.Die("X", 6), {}, 3.5),
        (st.DiscreteUniform("X", [1, 2, 6]), {}, 3),
        (st.Hypergeometric("X", 10, 4, 3), {}, 1.2),
        (st.BetaBinomial("X", 4, 2, 3), {}, 1.6),
        (st.Rademacher("X"), {}, 0),
        (st.Bernoulli("X", theta, succ=3, fail=2), {theta: 0.25}, 2.25),
    ],
    ids=["die", "equal", "hypergeometric", "beta-binomial", "sign", "coded"],
)
def test_finite_families_are_tables(variable, at, mean):
    J = gl.Expectation(variable)
    assert gl.exact(J, at) == pytest.approx(mean, abs=1e-12)
    assert abs(gl.estimate(J, at, samples=4000, rng=0).z(mean)) < 4.5
