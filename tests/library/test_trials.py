"""The numeric path: what is tried, what a number cannot say, and the quadrature itself."""

import functools

import mpmath
import pytest
import sympy as sp
from sympy.stats import Cauchy, Exponential, Geometric, Normal

import gradlib as gl
from gradlib.proof import Assumption, Derivation, FalseStep
from gradlib.proof.evidence import NUMERIC, PROVED
from gradlib.proof.lower import Undecided
from gradlib.proof.quadrature import compiled
from gradlib.proof.trials import Instances

x, theta, mu, k, a, b = sp.symbols("x theta mu k a b", real=True)
sigma = sp.Symbol("sigma", positive=True)
F, h = map(sp.Function, "F h".split())
R = (-sp.oo, sp.oo)
N = Normal("X", mu, sigma)
E = gl.Expectation
D = sp.Derivative

chain = functools.partial(Derivation, "eq-test")  # the label does not matter


def kinds(derivation):
    return [evidence.kind for evidence in derivation.evidence]


def test_integrals_that_diverge_have_no_value():
    C = Cauchy("X", 0, 1)
    with pytest.raises(FalseStep, match="converge"):
        chain(E(C), (0, "by symmetry"))
    with pytest.raises(FalseStep):
        chain(E(sp.exp(N**2)), (1, ""))


def test_two_noises_are_no_agreement():
    with pytest.raises(FalseStep, match="shows nothing"):
        chain(E(sp.sinh(N - mu) * sp.Abs(N - mu)), (2 * E(sp.tanh(N - mu)), "both are 0 by symmetry"))


def test_an_unrelated_hypothesis_does_not_switch_the_numbers_off():
    unrelated = Assumption("eq-unrelated", sp.Eq(h(a), 0))
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(E(N), (mu + 1, "", unrelated))
    assert chain(E(N), (mu, "", unrelated)).evidence[0].instances == 3


@pytest.mark.parametrize(
    "tiny", [E(N) / 10**20, E(N) / 10**40, sp.erf(theta) ** 2 / 10**16, D(E(sp.exp(N)), mu) / 10**25], ids=str
)
def test_tiny_is_not_zero(tiny):
    with pytest.raises(FalseStep, match="differ on random instance 1"):
        chain(tiny, (0, ""))


def test_zero_is_zero():
    centred = E(sp.tanh(N - mu))
    for zero in (centred, D(E(sp.tanh(N - mu) + N), mu) - 1, sp.gamma(sigma + 1) - sigma * sp.gamma(sigma)):
        assert chain(zero, (0, "")).kind in (PROVED, NUMERIC)
    assert kinds(chain(centred, (0, "odd"))) == [NUMERIC]


@pytest.mark.parametrize(
    "left, right",
    [
        (sp.Max(theta, 2), 2),
        (sp.Max(E(N), 2), 2),
        (sp.Max(theta, 0) * E(sp.tanh(N)), theta * E(sp.tanh(N))),
        (sp.Abs(a * b), a * b),
        (sp.log(a * b), sp.log(a) + sp.log(b)),
        (sp.Piecewise((5, sp.Eq(theta, 1)), (theta, True)), theta),
    ],
    ids=str,
)
def test_every_branch_is_tried(left, right):
    with pytest.raises(FalseStep, match="differ|every branch"):
        chain(left, (right, "on one branch only"))


def test_branches_settled_by_proof_or_by_instances():
    assert kinds(chain(sp.Max(theta, 5) + E(N), (mu + sp.Max(5, theta), ""))) == [PROVED]
    assert kinds(chain(sp.Max(theta, -theta), (sp.Abs(theta), ""))) == [NUMERIC]


def test_conditions_are_recorded():
    half = E(sp.Heaviside(N - mu + theta)) - E(sp.Heaviside(N - mu))
    d = chain(half, (sp.erf(theta / (sigma * sp.sqrt(2))) / 2, ""), conditions=[theta > 0])
    assert kinds(d) == [NUMERIC] and d.assumptions == ("theta > 0",)
    # what no number was needed for holds without them
    assert chain(E(N), (mu, ""), conditions=[mu > 0]).assumptions == ()
    with pytest.raises(FalseStep, match="every branch"):
        chain(sp.Max(theta, 0), (theta, ""), conditions=[theta > 0])
    with pytest.raises(FalseStep, match="no random parameters"):
        chain(E(sp.tanh(N)), (E(sp.tanh(N) + sp.Heaviside(N) * 0 + sp.tanh(N) ** 3), ""), conditions=[mu > 100])


def test_a_point_mass_has_no_number():
    with pytest.raises(FalseStep, match="point mass"):
        chain(sp.Integral(sp.DiracDelta(x) * sp.exp(-(x**2)), (x, *R)), (0, "almost everywhere"))


def test_sums_reach_beyond_their_jumps():
    K = Geometric("K", sp.Rational(1, 10))
    late = E(sp.Piecewise((1, K > 150), (0, True)))
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(late, (0, "the first seventy terms vanish"))
    assert kinds(chain(late, (sp.Rational(9, 10) ** 150, "the tail"))) == [NUMERIC]


def test_values_stay_where_the_laws_allow():
    T, S = Exponential("T", sigma), Normal("S", 0, a)
    assert kinds(chain(sp.log(T**2), (2 * sp.log(T), "inside the support"))) == [NUMERIC]
    mean = E(sp.tanh(S) ** 2)
    assert kinds(chain(sp.log(a**2) * mean, (2 * sp.log(a) * mean, "a standard deviation is positive"))) == [NUMERIC]


def test_three_nested_integrals_are_left_to_the_proof():
    y, z = sp.symbols("y z", real=True)
    cube = sp.Integral(sp.exp(x * y * z), (x, 0, 1), (y, 0, 1), (z, 0, 1))
    with pytest.raises(FalseStep, match="no concrete instance"):
        chain(cube, (1, "wrong"))


def number(expression):
    return Instances([expression]).number(expression, 0)


@pytest.mark.parametrize(
    "expression",
    [
        sp.Integral(1 / (1 + x**2), x),
        sp.Integral(1 / x, (x, 1, sp.oo)),
        sp.Integral(x / (1 + x**2), (x, *R)),
        sp.Integral(sp.sin(x) / x, (x, 1, sp.oo)),
        sp.Integral(sp.floor(x), (x, 0, 3)),
        sp.Integral(sp.Heaviside(sp.sin(x)), (x, 0, 9)),
        sp.Sum(1 / k**2, (k, 1, sp.oo)),
        sp.Derivative(sp.floor(theta), theta),
    ],
    ids=str,
)
def test_what_has_no_reliable_number_is_undecided(expression):
    with pytest.raises(Undecided):
        number(expression)


@pytest.mark.parametrize(
    "expression, value",
    [
        (sp.Integral(sp.exp(-x), (x, 0, sp.oo)), 1),
        (sp.Integral(sp.exp(x), (x, -sp.oo, 0)), 1),
        (sp.Integral(x**2, (x, 1, 0)), -sp.Rational(1, 3)),
        (sp.Integral(x**2, (x, 1, 1)), 0),
        (sp.Integral(sp.exp(-((x - 30) ** 2)), (x, *R)), sp.sqrt(sp.pi)),
        (sp.Integral(sp.exp(-(x**2)) + sp.exp(-((x - 40) ** 2)), (x, *R)), 2 * sp.sqrt(sp.pi)),
        (sp.Integral(sp.Heaviside(x - 200) * sp.exp(-x + 200), (x, 0, sp.oo)), 1),
        (sp.Integral(sp.Heaviside(x**2 - 2), (x, -2, 3)), 5 - 2 * sp.sqrt(2)),
        (sp.Integral(x * k, (x, 0, k), (k, 0, 1)), sp.Rational(1, 8)),
        (
            sp.Integral(sp.Abs(x - k) * sp.exp(-(x**2) - k**2), (x, *R), (k, *R)),
            sp.sqrt(2 * sp.pi),
        ),  # the inner integral smooths its kink
        (sp.Sum(k, (k, 0, 3)), 6),
        (sp.Sum(sp.Rational(9, 10) ** k, (k, 0, sp.oo)), 10),
        (sp.Sum(sp.Rational(9, 10) ** k * (1 + (-1) ** k) / 2, (k, 0, sp.oo)), sp.Rational(100, 19)),
        (D(sp.Integral(sp.exp(x), (x, 0, theta)), (theta, 2)) / sp.exp(theta), 1),
    ],
    ids=str,
)
def test_quadrature(expression, value):
    with mpmath.workdps(25):
        assert abs(number(expression) - mpmath.mpf(sp.N(value, 25))) < (1e-13 if expression.has(D) else 1e-16)


def test_one_compilation_serves_all_instances_of_a_shape():
    """The numbers that were drawn are arguments of the compiled function, not part of it."""
    integral = sp.Integral(F(x, theta) * sp.exp(-(x**2)), (x, *R))
    trial = Instances([integral])
    values = [trial.number(integral, 0)]
    before = compiled.cache_info().misses
    values += [trial.number(integral, seed) for seed in (1, 2)]
    assert compiled.cache_info().misses == before and len({mpmath.nstr(value, 5) for value in values}) == 3
    for seed, value in enumerate(values):
        case = trial.at(seed)
        spelled_out = integral.replace(F, case.functions[F]).subs(theta, sp.Rational(str(case.values[theta])))
        assert mpmath.almosteq(number(spelled_out), value, 1e-18)
