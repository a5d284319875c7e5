"""Values and black boxes: every wrong one is named before anything is computed."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import mu, sigma

import gradlib as gl

X = st.Normal("X", mu, sigma)
J, AT = gl.Expectation(X**2), {mu: 0.3, sigma: 1.2}
F, H, g = sp.Function("F"), sp.Function("H"), sp.Function("g")
x, y = sp.symbols("x y")
NUMBERS = {
    "estimate": lambda J, at=None, **more: gl.estimate(J, at, samples=10, rng=0, **more).value,
    "exact": lambda J, at=None, **more: gl.exact(J, at, **more),
    "variance": lambda J, at=None, **more: gl.variance(J, at, **more),
}
every = pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)


@every
@pytest.mark.parametrize(
    "at, error, match",
    [
        (None, ValueError, "no value for mu, sigma"),
        ({mu: 0}, ValueError, "no value for sigma"),
        ({**AT, x: 1}, ValueError, "x is no parameter of this expectation; its parameters are: mu, sigma"),
        (
            {mu: 0, sp.Symbol("sigma"): 1},
            ValueError,
            "sigma with no assumptions is not the symbol sigma with assumptions positive=True",
        ),
        (
            {sp.Symbol("mu", integer=True): 0, sigma: 1},
            ValueError,
            "integer=True is not the symbol mu with assumptions real=True",
        ),
        ({"mu": 0, sigma: 1}, TypeError, "keys of at= are SymPy symbols"),
        ({X: 0, sigma: 1}, TypeError, "keys of at= are SymPy symbols"),
        ([mu, sigma], TypeError, "at= takes a dictionary"),
        (5, TypeError, "at= takes a dictionary"),
    ],
)
def test_wrong_symbols(number, at, error, match):
    with pytest.raises(error, match=match):
        number(J, at)


@every
@pytest.mark.parametrize(
    "value, error",
    [("1", TypeError), (None, TypeError), ([1], TypeError), (np.array([1.0]), TypeError), (1j, TypeError),
     (True, TypeError), (sp.I, TypeError), (x, TypeError),
     (float("nan"), ValueError), (float("inf"), ValueError), (sp.oo, ValueError), (sp.nan, ValueError),
     (10**400, ValueError), (-1, ValueError), (0, ValueError)],
)  # fmt: skip
def test_wrong_values(number, value, error):
    with pytest.raises(error, match="sigma"):
        number(J, {mu: 0, sigma: value})


@every
@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int64(2), sp.Integer(2), sp.Float(2), Fraction(2), sp.sqrt(4)]
)
def test_every_kind_of_real_number_is_taken(number, value):
    assert number(J, {mu: 0, sigma: value}) == number(J, {mu: 0, sigma: 2})


@every
@pytest.mark.parametrize("thing", [None, 5, "J", X**2, [J]])
def test_not_an_expectation(number, thing):
    with pytest.raises(TypeError, match="expected an Expectation"):
        number(thing, AT)


def test_an_abstract_density_has_no_numbers():
    variable = st.ContinuousRV(x, sp.Function("p")(x, y), set=sp.Interval(-sp.oo, sp.oo))
    with pytest.raises(ValueError, match="abstract density"):
        gl.exact(gl.Expectation(variable), {y: 1})


# --- black boxes -------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    "functions, error, match",
    [
        (None, ValueError, "holds the undefined function F"),
        ({}, ValueError, "holds the undefined function F"),
        ({F: np.cos, H: np.cos}, ValueError, "functions= names H"),
        ({F: 3}, TypeError, "must be callable"),
        ({"F": np.cos}, TypeError, "keys of functions="),
        ({2 * F(x): np.cos}, TypeError, "keys of functions="),
        ([F], TypeError, "functions= takes a dictionary"),
        ({F: lambda v: 1.0}, ValueError, "black box F must map arrays of shape"),
        ({F: lambda v: np.append(v, 1)}, ValueError, "black box F must map arrays of shape"),
        ({F: lambda v: v[:, None]}, ValueError, "black box F must map arrays of shape"),
        ({F: lambda v: None}, ValueError, "black box F must map arrays of shape"),
        ({F: lambda v: v * 1j}, ValueError, "real numbers"),
        ({F: lambda v: np.full(v.shape, "a")}, ValueError, "real numbers"),
        ({F: lambda v: v * np.nan}, FloatingPointError, "not finite"),
    ],
)
def test_wrong_black_boxes(number, functions, error, match):
    with pytest.raises(error, match=match):
        number(gl.Expectation(F(X)), AT, functions=functions)


def test_a_black_box_cannot_change_the_draws():
    with pytest.raises(ValueError, match="read-only"):
        gl.estimate(gl.Expectation(F(X) + X), AT, functions={F: lambda v: v.__imul__(0)}, samples=10, rng=0)


@every
def test_a_missing_derivative_is_unsound_and_named(number):
    P = gl.pathwise(gl.Expectation(F(X)), mu, assume="continuous")
    with pytest.raises(gl.UnsoundEstimator, match=r"derivative of F.*F\(x\).diff\(x\).*or use score_function"):
        number(P, AT, functions={F: np.cos})


square, slope = (lambda v: v * v), (lambda v: 2 * v)
one = np.ones_like
CALLS = {
    # integrand with black boxes, the boxes and their derivatives, the same written out
    "F(X)": (F(X), {F: square, F(x).diff(x): slope}, X**2),
    "F of an expression": (F(mu**2 + sigma * X), {F: square, F(y).diff(y): slope}, (mu**2 + sigma * X) ** 2),
    "F(X, theta)": (
        F(X, mu) * mu,
        {F: lambda a, m: a * a * m, F(x, y).diff(x): lambda a, m: 2 * a * m, F(x, y).diff(y): lambda a, m: a * a},
        X**2 * mu**2),
    "F(X, X)": (
        F(X, X),
        {F: lambda a, b: a * b * b, F(x, y).diff(x): lambda a, b: b * b, F(x, y).diff(y): lambda a, b: 2 * a * b},
        X**3),
    "F(g(X, theta))": (
        F(g(X, mu)),
        {F: square, F(x).diff(x): slope, g: lambda a, m: a + m**2,
         g(x, y).diff(x): lambda a, m: one(a), g(x, y).diff(y): lambda a, m: 2 * m * one(a)},
        (X + mu**2) ** 2),
    "a product": (
        F(X**2) * H(X),
        {F: square, H: np.cos, F(x).diff(x): slope, H(x).diff(x): lambda v: -np.sin(v)},
        X**4 * sp.cos(X)),
}  # fmt: skip


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("label", CALLS)
def test_black_boxes_and_their_derivatives(label, base):
    """The black box gives what the written-out integrand gives: the same draws, the same numbers."""
    integrand, boxes, plain = CALLS[label]
    G = gl.pathwise(gl.Expectation(integrand), [mu, sigma], base=base, assume="continuous")
    # A function that has been differentiated away may not be given.
    boxes = {key: f for key, f in boxes.items() if isinstance(key, sp.Derivative) or G.has(key)}
    want = gl.estimate(gl.pathwise(gl.Expectation(plain), [mu, sigma], base=base), AT, samples=500, rng=9).value
    assert gl.estimate(G, AT, samples=500, rng=9, functions=boxes).value == pytest.approx(want, rel=1e-9)
