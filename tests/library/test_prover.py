"""The symbolic path alone: the numbers would catch much of what it must not let pass."""

import functools

import pytest
import sympy as sp
from sympy.stats import ContinuousRV, Normal, Poisson

import gradlib as gl
from gradlib.core.variable import law
from gradlib.proof import Assumption, Boundary, Definition, Derivation, FalseStep, Substitution
from gradlib.proof.evidence import PROVED
from gradlib.proof.prover import Prover

x, y, e, theta, mu, k, a, b, c = sp.symbols("x y epsilon theta mu k a b c", real=True)
i = sp.Symbol("i", integer=True)
sigma, tau = sp.symbols("sigma tau", positive=True)
p, q, F, h = map(sp.Function, "p q F h".split())
R = (-sp.oo, sp.oo)
X = ContinuousRV(x, p(x, theta), set=sp.S.Reals)
N = Normal("X", mu, sigma)
K = Poisson("K", tau)
E = gl.Expectation
D = sp.Derivative
I = sp.Integral  # noqa: E741

chain = functools.partial(Derivation, "eq-test")  # the label does not matter


def kinds(derivation):
    return [evidence.kind for evidence in derivation.evidence]


def symbolically(left, right, *rules, cross_checked=False):
    return Prover(rules, [law(v) for v in (X, N, K)], cross_checked).equal(left, right)


@pytest.mark.parametrize(
    "left, right, rules",
    [
        (D(sp.Sum(F(i, theta), (i, 0, 3)), theta), sp.Sum(D(F(i, theta), theta), (i, 0, 3)), ()),
        (D(sp.Sum(F(i, theta), (i, 0, sp.oo)), theta), sp.Sum(D(F(i, theta), theta), (i, 0, sp.oo)), ("exchange",)),
        (I(F(theta) * p(x, theta), (x, *R)), F(theta), ("normalised",)),
        (I(D(p(x, theta), theta), (x, *R)), 0, ("exchange", "normalised")),
        (sp.Sum(law(K).density, (law(K).symbol, 0, sp.oo)), 1, ()),
        (I(law(N).density, (law(N).symbol, *R)), 1, ()),
        (I(x**3 * sp.exp(-tau * x), (x, 0, sp.oo)), 6 / tau**4, ()),
        (I(x**2, (x, a, b)), (b**3 - a**3) / 3, ()),
        (E(sp.log(p(X, theta) ** 2)), 2 * E(sp.log(p(X, theta))), ()),
        (
            D(I(F(x, theta), (x, 0, theta**2)), theta),
            2 * theta * F(theta**2, theta) + I(D(F(x, theta), theta), (x, 0, theta**2)),
            ("exchange",),
        ),
        (
            sp.Subs(D(I(F(x * theta), (x, 0, 1)), theta), theta, 2),
            sp.Subs(D(I(F(y * theta), (y, 0, 1)), theta), theta, 2),
            (),
        ),
    ],
    ids=str,
)
def test_what_is_proved(left, right, rules):
    assert symbolically(left, right, *rules)
    assert not symbolically(left, right + sp.Rational(1, 10**6), *rules)


@pytest.mark.parametrize(
    "left, right, rules",
    [
        # an infinite sum, a sum whose limit moves
        (D(sp.Sum(F(i, theta), (i, 0, sp.oo)), theta), sp.Sum(D(F(i, theta), theta), (i, 0, sp.oo)), ()),
        (D(sp.Sum(F(i), (i, 0, theta)), theta), F(theta), ("exchange",)),
        (D(I(F(x, y), (x, 0, theta), (y, 0, theta)), theta), I(F(theta, y), (y, 0, theta)), ("exchange",)),
        # a density's mass needs its name, its range and its kind
        (I(p(x, theta), (x, *R)), 1, ()),
        (I(p(x, theta), (x, 0, sp.oo)), 1, ("normalised",)),
        (I(D(p(x, theta), theta), (x, *R)), 0, ("normalised",)),
        (I(D(p(x, theta), theta), (x, *R)), 0, ("exchange",)),
        (I(D(p(x, theta), x), (x, *R)), 0, ("exchange", "normalised")),
        (I(law(N).density, (law(N).symbol, 0, sp.oo)), 1, ()),
        (I(law(K).density, (law(K).symbol, 0, sp.oo)), 1, ()),
        (I(F(x) * law(N).density.subs(law(N).symbol, x), (x, *R)), F(x), ()),
        # closed forms where the sign of the exponent is not known
        (I(sp.exp(-a * x**2), (x, *R)), sp.sqrt(sp.pi / a), ()),
        (I(sp.exp(-a * x), (x, 0, sp.oo)), 1 / a, ()),
        # no antiderivative is a number, and no inner range may be separated from its variable
        (I(2 * x, x), x**2, ()),
        (I(1, (x, 0, y), (y, 0, 1)), I(2 * y, (x, 0, y), (y, 0, 1)), ()),
        (D(I(x, (x, 0, I(theta * y, (y, 0, 1)))), theta), theta / 4, ("exchange",)),
        # a function's value need not be positive, nor a jump have a slope
        (E(sp.log(F(X) ** 2)), 2 * E(sp.log(F(X))), ()),
        (theta * D(sp.Heaviside(theta), theta), 0, ()),
        (D(E(sp.Heaviside(X - k)), k), 0, ("exchange",)),
        (D(E(sp.Heaviside(X - k)), k), E(D(sp.Heaviside(X - k), k)), ("exchange",)),
    ],
    ids=str,
)
def test_what_is_not_proved(left, right, rules):
    assert not symbolically(left, right, *rules)


def test_a_substitution_says_what_it_assumes():
    for g, assumed in (
        (mu + sigma * e, []),
        (mu + a * e, ["change of variables"]),
        (e**3 - e, ["change of variables"]),
        (e - sp.acot(e), ["change of variables"]),
        (sp.exp(e), ["change of variables"]),
        (h(e), ["change of variables"]),
    ):
        prover = Prover([Substitution((x, *R), g, (e, *R))], [])
        assert prover.equal(I(F(x), (x, *R)), I(F(g) * sp.diff(g, e), (e, *R))) and prover.assumed == assumed
    prover = Prover([Substitution((x, 0, sp.oo), sp.log(e), (e, 1, sp.oo))], [])  # smooth for e > 0 only
    assert prover.equal(I(F(x), (x, 0, sp.oo)), I(F(sp.log(e)) / e, (e, 1, sp.oo))) and prover.assumed == [
        "change of variables"
    ]


def test_a_substitution_leaves_dependent_ranges_alone():
    nested, half = I(F(x), (y, 0, x), (x, 0, 1)), sp.Rational(1, 2)
    assert not symbolically(
        nested, 2 * I(F(2 * e), (y, 0, x), (e, 0, half)), Substitution((x, 0, 1), 2 * e, (e, 0, half))
    )


def test_a_hypothesis_does_not_reach_under_equal_derivatives():
    at_a_point = Assumption("eq-meet", sp.Eq(F(theta), h(theta)), "F and h meet at θ")
    with pytest.raises(FalseStep, match="SymPy cannot show it"):
        chain(D(F(theta), theta), (D(h(theta), theta), "wrong", at_a_point))
    # with an instance that couples F and h everywhere the numbers can say so
    d = chain(D(F(theta), theta), (D(h(theta), theta), "", at_a_point), instances=lambda rng: {F: sp.sin, h: sp.sin})
    assert kinds(d) == [PROVED] and d.assumptions == ("eq-meet",)
    with pytest.raises(FalseStep, match="differ on random instance 1"):
        chain(D(F(theta), theta), (D(h(theta), theta), "", at_a_point), instances=lambda rng: {F: sp.sin, h: sp.cos})
    # a checked equality holds for all values of its symbols, so it may
    checked = Derivation("eq-double", sp.sin(2 * theta), (2 * sp.sin(theta) * sp.cos(theta), ""))
    assert symbolically(D(F(sp.sin(2 * theta)), theta), D(F(2 * sp.sin(theta) * sp.cos(theta)), theta), checked.rule)


@pytest.mark.parametrize(
    "left, right, rule",
    [
        (E(c * X), E(X**2), Definition("eq-r", c, x)),
        (E(F(X) * h(theta)), E(F(X) * X), Definition("eq-r", h(theta), x)),
        (E(h(X)), E(X**2), Definition("eq-r", h(theta), E(theta * X))),
        (E(c * X), E(X**2), Assumption("eq-r", sp.Eq(c, x))),
        (I(x * y * q(x), (x, *R)), I(y**2 * q(y), (y, *R)), Assumption("eq-r", sp.Eq(x, y))),
        (I(x * y * q(x), (x, *R)), I(k**2 * q(k), (k, *R)), Assumption("eq-r", sp.Eq(x, y))),
    ],
    ids=["symbol", "function", "argument", "hypothesis", "bound left side", "renamed left side"],
)
def test_a_rule_does_not_capture_variables_of_integration(left, right, rule):
    with pytest.raises(ValueError, match="confuse two meanings"):
        chain(left, (right, "captured", rule))


def test_a_substitution_does_not_capture_variables():
    Z = Normal("epsilon", 0, 1)
    with pytest.raises(FalseStep, match="holds a symbol of"):
        chain(E(e * F(N)), (E(Z * F(mu + sigma * Z)), "", Substitution(N, mu + sigma * e, Z)))
    nested = I(F(x) * I(h(k) * x, (k, 0, 1)), (x, *R))
    with pytest.raises(FalseStep, match="holds a symbol of"):
        chain(nested, (2 * nested, "", Substitution((x, *R), k + e, (e, *R))))


def test_maps_and_witnesses_that_jump():
    jump = sp.Piecewise((e, e < 0), (e + 1, True))
    with pytest.raises(FalseStep, match="may jump"):
        chain(E(F(N)), (E(F(N)), "", Substitution(N, jump, (e, *R))))
    witness = sp.Piecewise((sp.exp(-y), y > 0), (0, True))
    for w in (witness, sp.Heaviside(y) * sp.exp(-y)):
        with pytest.raises(FalseStep, match="may jump"):
            chain(I(sp.diff(witness, y), (y, *R)), (0, "", Boundary(w, (y, *R))))


def test_a_boundary_is_approached_from_inside():
    w = sp.exp(y) / (1 + sp.exp(1 / y))  # 0 at -oo and, from the right only, at 0
    with pytest.raises(FalseStep, match="does not vanish"):
        chain(I(sp.diff(w, y), (y, -sp.oo, 0)), (0, "", Boundary(w, (y, -sp.oo, 0))))
    w = sp.exp(-y) / (1 + sp.exp(-1 / (y - 1)))  # 0 at oo and, from the left only, at 1
    with pytest.raises(FalseStep, match="does not vanish"):
        chain(I(sp.diff(w, y), (y, 1, sp.oo)), (0, "", Boundary(w, (y, 1, sp.oo))))


def test_smoothness_is_proved_or_assumed():
    limits = (y, *R)
    for w, assumed in ((y * sp.exp(-(y**2)), []), (sp.atan(1 / y), ["boundary"]), (sp.exp(-sp.Abs(y)), ["boundary"])):
        prover = Prover([Boundary(w, limits)], [])
        assert prover.equal(I(sp.Derivative(w, y), limits), 0) and prover.assumed == assumed
    # one jumps at 0, and the numbers do not let it pass
    with pytest.raises(FalseStep):
        chain(I(-1 / (1 + y**2), limits), (0, "", Boundary(sp.atan(1 / y), limits)))


def test_a_moving_jump_is_not_exchanged():
    Z = Normal("X", 0, 1)
    moving = E(sp.Piecewise((1, Z > theta), (0, True)))
    assert not symbolically(D(moving, theta), 0, "exchange")
    fixed = E(theta * sp.Piecewise((1, Z > 0), (0, True)))
    assert symbolically(D(fixed, theta), E(sp.Piecewise((1, Z > 0), (0, True))), "exchange")
