"""Compiled kernels against mpmath, over integrands that exercise every rule of the compiler."""

import os
import re
import subprocess
import sys
from functools import lru_cache

import mpmath as mp
import numpy as np
import pytest
import scipy.special
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as some
from sympy.core.symbol import Str

from gradlib.engine import implicit
from gradlib.core.law import Velocity
from gradlib.engine.kernel import LONGEST, SHORTEST, compile_kernel

x, y, z = sp.symbols("x y z", real=True)
u = sp.Symbol("u", positive=True)
a, b = sp.symbols("a b", real=True)
s = sp.Symbol("s", positive=True)
k = sp.Symbol("k", integer=True)
R = sp.Rational
N = 24
AT = {a: 0.7, b: -1.3, s: 0.45}
POINTS = np.random.default_rng(0).standard_normal((3, N))
DRAWS = {x: POINTS[0], y: POINTS[1], z: 0.5 * POINTS[2] + 1, u: np.abs(POINTS[0]) + 0.1}


def run(components, at=AT, draws=DRAWS, functions=None, paths=(), size=N):
    """The components' values, and the kernel. Scratch space starts as NaN: nothing may be read before it is written."""
    kernel = compile_kernel(tuple(draws), tuple(at), tuple(map(sp.sympify, components)), tuple(paths))
    scale, evaluate = kernel.bind(at.values(), functions)
    values, work = {}, np.full((kernel.rows, size), np.nan)
    given = [array[:size].copy() for array in draws.values()]
    with np.errstate(all="ignore"):
        evaluate(lambda i, row: values.setdefault(i, scale[i] * np.array(row, float)), work, *given)
    assert all(np.array_equal(g, array[:size]) for g, array in zip(given, draws.values())), "the draws were overwritten"
    assert sorted(values) == list(range(len(components))) and {v.shape for v in values.values()} == {(size,)}
    return [values[i] for i in range(len(components))], kernel


@lru_cache(maxsize=None)
def known(component):
    return exactly(component, AT, DRAWS)


def truth(component, at=AT, draws=DRAWS):
    """The same in 40 digits, from the same floating-point numbers."""
    return known(sp.sympify(component)) if at is AT and draws is DRAWS else exactly(component, at, draws)


def exactly(component, at, draws):
    safe = {
        symbol: sp.Dummy(real=True, positive=symbol.is_positive) for symbol in (*draws, *at)
    }  # lambdify stumbles over exp
    with mp.workdps(40):
        f = sp.lambdify([*safe.values()], sp.sympify(component).xreplace(safe), "mpmath", cse=True)
        numbers = [mp.mpf(v) for v in at.values()]
        return np.array([float(mp.re(f(*map(mp.mpf, column), *numbers))) for column in zip(*draws.values())])


def error(got, want):
    """Relative to the largest value."""
    assert np.isfinite(want).all()
    return np.abs(got - want).max() / max(np.abs(want).max(), 1e-300)


def agrees(*components, tolerance=1e-12, **how):
    got, kernel = run(components, **how)
    at, draws = how.get("at", AT), how.get("draws", DRAWS)
    for component, values in zip(components, got):
        assert error(values, truth(component, at, draws)) < tolerance, component
    return kernel


def log_sum_exp(centres, variable=x):
    return sp.log(sum(w * sp.exp(-((variable - m) ** 2) / (2 * c**2)) for w, m, c in centres))


MIXTURE = [(R(k, 10), R(2 * k - 5, 3), R(3 + k, 4)) for k in range(1, 6)]
EXPRESSIONS = {
    "constant": sp.Integer(3),
    "zero": sp.Integer(0),
    "parameter": a * b + s,
    "draw": x,
    "scaled draw": -a * x / s,
    "third": R(1, 3) * x + sp.Float(1 / 3) * y,
    "long float": sp.Float("0.1", 40) * x + sp.Float("1e-40", 30),
    "large integers": 10**30 * x + 10**25,
    "affine": a + b * x,
    "common factor": s * x + s * y + s,
    "ratio": (2 * x + 4) / (s * x**2 + s),
    "minus": -x - y,
    "difference of draws": x - y,
    "cubic": x**3 - a * x**2 + 2 * x - 1,
    "Horner of degree 8": sum(R(k + 1, 3) * x**k for k in range(9)),
    "sparse polynomial": x**20 + x + 1,
    "Horner with parameters": sum(a**k * b * x**k for k in range(7)),
    "polynomial in two draws": sp.expand((x + a * y + 1) ** 4),
    "polynomial of a function": sp.expand((sp.sin(x) + 2) ** 4),
    "powers": x**2 + x**7 + (x + a) ** 5,
    "negative powers": u**-1 + u**-2 + u**-5 + (u + s) ** -3,
    "roots": sp.sqrt(u) + u ** R(3, 2) + u ** R(-1, 2) + u ** R(-5, 2),
    "thirds": u ** R(1, 3) + u ** R(-7, 3) + u ** R(2, 5),
    "power with a parameter": u**a + (u + 1) ** (b * u) + s**x,
    "root of a square": sp.sqrt(x**2 * s) + sp.sqrt((x + y) ** 2),
    "quotient of products": x * y * z / ((1 + x**2) * (2 + y**2) * s),
    "quotient of draws": x**2 * sp.exp(y) / u**2 * b,
    "exponential": sp.exp(a * x - x**2 / (2 * s)),
    "logarithm": sp.log(u) + sp.log(a**2 * u + 1) ** 2,
    "circle": sp.sin(x) + sp.cos(x) + sp.sin(2 * x + a) * sp.cos(3 * x),
    "circle, large angles": sp.sin(50 * x) - sp.cos(70 * y + 1),
    "tangent": sp.tan(x / 4) + sp.sec(x / 8) + sp.csc(u / 8) + sp.cot(u / 8),
    "sin squared plus cos squared": sp.sin(x) ** 2 + a * sp.cos(x) ** 2,
    "hyperbolic": sp.sinh(x) + sp.cosh(y) + sp.tanh(x * y) + sp.asinh(x) + sp.coth(u) + sp.sech(x),
    "inverse": sp.asin(sp.tanh(x)) + sp.acos(sp.tanh(y)) + sp.atan(x)
    + sp.atanh(sp.tanh(x) / 2) + sp.acosh(1 + u) + sp.atan2(x, y),
    "kinks": sp.Abs(x) + sp.sign(y) * x + sp.floor(3 * x) + sp.ceiling(y) + sp.Heaviside(z - 1) + sp.Heaviside(x),
    "frac, Mod": sp.frac(x) + sp.Mod(y, R(1, 2)),
    "extremes": sp.Max(x, y) + sp.Min(x, a, z) + sp.Max(x, 0) ** 2,
    "piecewise": sp.Piecewise((x**2, x < -1), (sp.sin(x), (x < 0) | (x > 1)), (a, True)),
    "piecewise of numbers": sp.Piecewise((1, x > a), (0, True)),
    "piecewise with equality": sp.Piecewise((x, sp.Ne(sp.floor(x), 0)), (y, sp.Eq(sp.floor(y), 0)), (1, True)),
    "piecewise on a parameter": sp.Piecewise((x, a > 0), (y, True)) + sp.Piecewise((x, a < 0), (y, True)),
    "nested piecewise": sp.Piecewise((sp.Piecewise((x, y > 0), (-x, True)), x > 0), (sp.exp(x), ~(y > 1)), (y, True)),
    "shared subexpressions": sp.exp(x) / (1 + sp.exp(x)) + sp.log(1 + sp.exp(x)) - 1 / (1 + sp.exp(x)) ** 2,
    "log sum exp": log_sum_exp(MIXTURE),
    "log sum exp of few": log_sum_exp(MIXTURE[:2]),
    "softplus tower": sp.log(1 + sp.exp(sp.log(1 + sp.exp(sp.log(1 + sp.exp(x)))))),
    "error function": sp.erf(x) + sp.erfc(y) + sp.erf(x / s) ** 2,
    "gamma functions": sp.gamma(u) + sp.loggamma(u) + sp.digamma(u) + sp.polygamma(1, u) + sp.beta(u, u + 1),
    "Bessel": sp.besselj(0, x) + sp.besseli(1, y) + sp.besselk(2, u),
    "complex inside": sp.Abs(1 + sp.I * x) + sp.re((x + sp.I * y) ** 2),
    "orthogonal": sp.hermite(5, x) + sp.legendre(4, y) + sp.chebyshevt(6, x / 4),
    "sinc": sp.sinc(x),
    "sum": sp.Sum(x**k / sp.factorial(k), (k, 0, 4)),
    "three draws": sp.exp(-(x**2) - y**2) * z + x * y * z - (x + y + z) ** 2 / s,
    "twelve terms": sum(R(k, 7) * sp.exp(-k * x**2 / 10) for k in range(1, 13)),
    "terms that cancel": ((2 * x + 2) ** 2 - 4 * (x + 1) ** 2 + a) ** 2 * x,
    "nothing left": (2 * x + 2) ** 2 - 4 * (x + 1) ** 2 + a,
    "affine times terms": sum((R(k, 3) + k * x) * sp.exp(-k * x**2) for k in range(1, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name):
    agrees(EXPRESSIONS[name])


def test_all_expressions_in_one_kernel():
    """Buffers pass from one to the other; none is overwritten while it is needed."""
    kernel = agrees(*EXPRESSIONS.values())
    assert kernel.components == len(EXPRESSIONS)
    names = sorted(EXPRESSIONS)
    np.random.default_rng(1).shuffle(names)
    agrees(*(EXPRESSIONS[name] for name in names))


def test_the_comparison_can_fail():
    """An error of 10⁻¹⁰ in one draw, a wrong digit of a constant."""
    want = truth(EXPRESSIONS["shared subexpressions"])
    off = want.copy()
    off[3] += 1e-10 * np.abs(want).max()
    assert error(off, want) > 1e-12
    (got,), _ = run([EXPRESSIONS["third"]])
    assert error(got, truth(sp.Float("0.33333333333") * (x + y))) > 1e-12


@pytest.mark.parametrize(
    "name",
    ["cubic", "log sum exp", "shared subexpressions", "ratio", "three draws", "twelve terms", "affine times terms"],
)
def test_gradients_share_a_kernel(name):
    """The components of a gradient, by the draws and by the parameters that are put in for numbers."""
    F = EXPRESSIONS[name] * sp.cos(a * x) + sp.log(s**2 + x**2) * b
    agrees(*(sp.diff(F, t) for t in (x, a, b, s)), F, sp.Integer(0), a * s)


def test_a_mixture_and_its_gradient_become_matrix_products():
    """Long sums of the same terms, on the path x = μ + σ ε as the engine gives it."""
    m, c = sp.symbols("m:4", real=True), sp.symbols("c:4", positive=True)
    F = log_sum_exp([(R(k + 1, 10), m[k], c[k]) for k in range(4)])
    at = {a: 0.3, s: 1.2, **{t: 0.8 * k - 2 for k, t in enumerate(m)}, **{t: 0.6 + 0.1 * k for k, t in enumerate(c)}}
    draws = {y: POINTS[0]}
    components = [F, *(sp.diff(F, t) for t in (*m, *c)), (x - a) / s**2 * F]
    moved = a + s * y
    got, kernel = run(components, at, draws, paths=[(x, moved)])
    for component, values in zip(components, got):
        assert error(values, truth(component.subs(x, moved), at, draws)) < 1e-12
    assert kernel.source.count("numpy.matmul(") >= 2


def test_paths_shorten_what_they_can():
    """(x − a)/s is ε on the path: no rounding error of x is left in it."""
    at = {a: 1e8, s: 1e-3}
    (got,), _ = run([(x - a) / s], at, {y: POINTS[1]}, paths=[(x, a + s * y)])
    assert error(got, POINTS[1]) < 1e-15


@pytest.mark.parametrize("size", [1, 2, N])
def test_sizes(size):
    (got,), _ = run([EXPRESSIONS["log sum exp"]], size=size)
    assert error(got, truth(EXPRESSIONS["log sum exp"])[:size]) < 1e-12


def test_scratch_rows_may_be_wider_than_the_draws():
    """The engine hands out rows of a longer array."""
    kernel = compile_kernel((x,), (), (EXPRESSIONS["twelve terms"], EXPRESSIONS["softplus tower"]))
    room, got = np.full((kernel.rows, N + 520), np.nan), {}
    scale, evaluate = kernel.bind(())
    evaluate(lambda i, row: got.update({i: row * scale[i]}), room[:, :N], DRAWS[x])
    assert (
        error(got[0], truth(EXPRESSIONS["twelve terms"])) < 1e-12
        and error(got[1], truth(EXPRESSIONS["softplus tower"])) < 1e-12
    )
    assert np.isnan(room[:, N:]).all()


# --- expressions at random ---------------------------------------------------------------

CONSTANTS = [
    sp.Integer(2),
    sp.Integer(-3),
    R(1, 3),
    R(-5, 7),
    sp.Float(0.1),
    sp.pi,
    sp.Integer(1),
    a,
    b,
    s,
    1 / s,
    a * b,
]
TAME = [
    sp.sin, sp.cos, sp.tanh, sp.atan, sp.asinh, sp.Abs, lambda e: sp.exp(-(e**2)), lambda e: 1 / (1 + e**2),
    lambda e: sp.sqrt(1 + e**2), lambda e: sp.log(2 + e**2), lambda e: (1 + e**2) ** R(-3, 2),
    lambda e: (1 + e**2) ** R(1, 3),
]  # fmt: skip
leaves = some.sampled_from([x, y, z, x, *CONSTANTS])


def grow(inner):
    return some.one_of(
        some.lists(inner, min_size=2, max_size=6).map(lambda es: sp.Add(*es)),
        some.lists(inner, min_size=2, max_size=3).map(lambda es: sp.Mul(*es)),
        some.builds(lambda f, e: f(e), some.sampled_from(TAME), inner),
        some.builds(lambda e, n: e**n, inner, some.integers(2, 4)),
        some.builds(lambda e, f, c: sp.Piecewise((e, x > c), (f, True)), inner, inner, some.sampled_from([R(0), a])),
    )


trees = some.recursive(leaves, grow, max_leaves=14)


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(some.lists(trees, min_size=1, max_size=4))
def test_expressions_at_random(components):
    """To 1e-12 of the largest value, or as well as plain lambdify where the expression itself loses digits."""
    got, _ = run(components)
    for component, values in zip(components, got):
        want = truth(component)
        with np.errstate(all="ignore"):
            plain = np.broadcast_to(sp.lambdify([*DRAWS, *AT], component, "numpy")(*DRAWS.values(), *AT.values()), N)
        assert error(values, want) < 1e-12 + 30 * error(plain, want), component


@settings(derandomize=True, max_examples=10, deadline=None, database=None)
@given(some.integers(4, 9), some.integers(1, 5), some.data())
def test_long_sums_at_random(terms, sums, data):
    """Several sums of the same terms, mapped or not, with and without constants, chained."""
    coefficient = some.sampled_from([R(1), R(-1), R(2, 3), sp.Float(1.7), a, b / s, R(0)])
    basis = [sp.exp(-R(k, 5) * x**2) if k % 2 else sp.tanh(k * y) for k in range(1, terms + 1)]
    rows = [sum(data.draw(coefficient) * e for e in basis) + data.draw(coefficient) for _ in range(sums)]
    f = data.draw(some.sampled_from([sp.tanh, sp.atan, lambda e: e, lambda e: e * x]))
    layer = [f(row) for row in rows]
    agrees(*layer, sum((k + 1) * e for k, e in enumerate(layer)) + 1, sum(layer))


# --- names, numbers, calls -----------------------------------------------------------------

NAMES = [
    "lambda", "None", "exp", "numpy", "scipy", "def", "x0", "p0", "c0", "w0", "t1", "s0", "r0", "a b", "__", "run",
    "sink", "work", "bind", "velocity", "real", "σ", r"\theta_{1}",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_symbols_may_have_any_name(name):
    """As a draw, as a parameter, beside namesakes of what the kernel uses itself."""
    odd, other = sp.Symbol(name, real=True), sp.Symbol(f"{name}1", real=True)
    agrees(sp.exp(odd) * x + sp.cos(odd * x), at={odd: 0.3}, draws={x: POINTS[0]})
    agrees(sp.exp(odd * a) / (1 + odd**2) + odd, at={a: 0.3}, draws={odd: POINTS[0]})
    agrees(odd * other + sp.sin(odd) / other, at={other: 0.3}, draws={odd: POINTS[1]})


def test_numbers_keep_all_their_digits():
    kernel = agrees(sp.Float(1 / 3) * x + sp.exp(sp.Float(2 / 7) * y) + R(22, 7) * x * y, tolerance=1e-15 * 4)
    assert "0.3333333333333333" in kernel.source
    (got,), _ = run([sp.Float(0.1) * x])
    assert np.array_equal(got, 0.1 * DRAWS[x])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_huge_and_small_factors(scale):
    agrees(a * x, a * (x + x**2), at={a: scale}, draws={x: POINTS[0]})


def test_factors_cost_nothing_per_draw():
    """A constant factor of a component is a number beside it, and what holds no draw is computed once."""
    kernel = compile_kernel((x,), (a, s), (a**2 / s * sp.exp(s) * x,))
    body = kernel.source.split("def run")[1].split("return")[0]
    assert "numpy." not in body
    scale, _ = kernel.bind((0.7, 0.45))
    assert scale == pytest.approx([0.7**2 / 0.45 * np.exp(0.45)])


def test_black_boxes():
    """With several arguments, with numbers among them, in and out of other functions."""
    F, G = sp.Function("F_"), sp.Function("G_0_1")
    boxes = {"F_": np.sin, "G_0_1": lambda v, w: v * np.exp(w)}
    values, _ = run([F(2 * x + a) ** 2 + sp.exp(F(x)), G(x, y) * x + G(x, a), F(a) * x, F(F(y)), F(x)], functions=boxes)
    wanted = [
        sp.sin(2 * x + a) ** 2 + sp.exp(sp.sin(x)),
        x * sp.exp(y) * x + x * sp.exp(a),
        sp.sin(a) * x,
        sp.sin(sp.sin(y)),
        sp.sin(x),
    ]
    for got, want in zip(values, wanted):
        assert error(got, truth(want)) < 1e-12


def test_a_black_box_is_called_once_for_the_same_arguments():
    calls, F = [], sp.Function("F_")
    run([F(x) + a, F(x) ** 2, sp.exp(F(x)) / F(x)], functions={"F_": lambda v: calls.append(len(v)) or np.cosh(v)})
    assert calls == [N]


@pytest.mark.parametrize(
    "family, index, at, sample", [("Gamma", 0, (2.5, 1.0), u), ("Beta", 1, (2.5, 1.7), u), ("StudentT", 0, (9.5,), x)]
)
def test_velocities(family, index, at, sample):
    """They reach the kernel as nodes, and mean what gradlib.engine.implicit means."""
    symbols = sp.symbols("k0:2", positive=True)[: len(at)]
    draws = {sample: DRAWS[sample] / (4 if family == "Beta" else 1)}
    node = Velocity(Str(family), sp.Integer(index), sample, *symbols)
    (got, wide), _ = run([node, a * node * sp.exp(sample) + 1], at={**dict(zip(symbols, at)), a: 0.7}, draws=draws)
    want = implicit.velocity(family, index)(draws[sample], *at)
    assert error(got, want) < 1e-13
    assert error(wide, 0.7 * want * np.exp(draws[sample]) + 1) < 1e-13


def test_special_functions_are_scipys():
    (got,), _ = run([sp.zeta(u + 1) + sp.erfinv(sp.tanh(x)) + sp.lowergamma(2, u)])
    v = DRAWS[u]
    assert (
        error(got, scipy.special.zeta(v + 1) + scipy.special.erfinv(np.tanh(DRAWS[x])) + scipy.special.gammainc(2, v))
        < 1e-12
    )


def test_what_stays_complex_is_refused():
    for e in (sp.exp(sp.I * x), sp.sqrt(sp.I * u), sp.I * x):
        with pytest.raises(ValueError, match="complex"):
            run([e])


def test_values_that_are_not_finite_stay_so():
    """They are counted later: a kernel may not hide them."""
    draws = {x: np.array([-1.0, 0.0, 1.0, 800.0])}
    for e in (
        sp.log(x),
        sp.sqrt(x),
        1 / x,
        x**-2,
        sp.exp(x),
        x ** R(1, 3),
        sp.log(x) * 0.5 + x,
        sum(sp.exp(k * x) for k in range(1, 7)),
    ):
        (got,), _ = run([e], {}, draws, size=4)
        with np.errstate(all="ignore"):
            want = sp.lambdify([x], e, "numpy")(draws[x])
        assert np.array_equal(np.isfinite(got), np.isfinite(want)), e


# --- the text --------------------------------------------------------------------------------


def test_a_block_is_numpy_calls_only(monkeypatch):
    """As many calls for a hundred thousand draws as for ten: no Python per draw."""
    named = [name for name in EXPRESSIONS if name not in ("sum",)]
    kernel = compile_kernel(tuple(DRAWS), tuple(AT), tuple(EXPRESSIONS[name] for name in named))
    _, evaluate = kernel.bind(AT.values())

    def calls(size):
        draws = [np.resize(array, size) for array in DRAWS.values()]
        work, count = np.empty((kernel.rows, size)), []
        sys.setprofile(lambda frame, event, argument: count.append(event) if event in ("call", "c_call") else None)
        try:
            evaluate(lambda i, row: None, work, *draws)
        finally:
            sys.setprofile(None)
        return len(count)

    with np.errstate(all="ignore"):
        calls(10)
        assert calls(10) == calls(20_000)
    plain = compile_kernel(
        (x, y), (a,), (EXPRESSIONS["cubic"], EXPRESSIONS["affine"].subs(b, a), sp.exp(x) * sp.cos(y) / (1 + x**2))
    )
    lines = plain.source.split("def run")[1].splitlines()[1:-1]
    assert all(re.fullmatch(r"\s+(numpy\.\w+\(.*\)|sink\(\d+, \w+\)|[\w, ]+ = work\[.*\])", line) for line in lines), (
        plain.source
    )


def test_nothing_is_allocated_per_block():
    """Every ufunc writes into a scratch row."""
    kernel = compile_kernel((x, y), (a, s), (EXPRESSIONS["ratio"], sp.exp(a * x) * sp.sin(y), EXPRESSIONS["cubic"]))
    lines = [line for line in kernel.source.splitlines() if re.match(r"\s+numpy\.", line)]
    assert lines and all(re.search(r", (w|r|s)\d+\S*\)$|\.fill\(1\.0\)$", line) for line in lines), kernel.source


def test_chunks_keep_the_rows_in_cache():
    few, many = (
        compile_kernel((x,), (), (x,)),
        compile_kernel((x,), (), tuple(sp.exp(k * x) + sp.cos(k * x) for k in range(1, 30))),
    )
    assert LONGEST == few.chunk > many.chunk >= SHORTEST
    assert all(k.chunk & (k.chunk - 1) == 0 for k in (few, many))


SOURCES = """
import sympy as sp, gradlib as gl
from sympy.stats import Normal, Gamma
from gradlib.core.binding import bind
from gradlib.engine.integrand import _integrand
mu, t = sp.symbols("mu t", real=True)
sigma, k = sp.symbols("sigma k", positive=True)
X, Y, G = Normal("X", mu, sigma), Normal("Y", t, 1), Gamma("G", k, sigma)
F, H = sp.Function("F"), sp.Function("H")
m = sp.symbols("m:5", real=True)
mixture = sp.log(sum(sp.exp(-(X - c) ** 2 / 2) for c in m))
for F_, rule, wrt in [
    (X**3 * Y + sp.exp(X * Y) * t, gl.score_function, [mu, sigma, t]),
    (mixture, gl.pathwise, [mu, sigma, *m]),
    (mixture, gl.score_function, [mu, sigma]),
    (F(X, Y) * H(Y) + F(Y, X), gl.score_function, [mu, t]),
    (sp.cos(G) * X + sp.Piecewise((X, Y > 0), (Y, True)), gl.score_function, [k, mu]),
    (sp.cos(G) * sp.exp(X), gl.pathwise, [k, sigma, mu]),
]:
    J = rule(gl.Expectation(F_), wrt)
    bound = bind(J, {p: 0.3 for p in sorted(J.parameters, key=str)}, {f: abs for f in (F, H) if J.has(f)})
    print(_integrand([bound], "plain").kernel.source)
"""


def test_the_text_does_not_depend_on_the_hash_seed():
    """Two processes with other hash seeds compile the same text: the same bits anywhere."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SOURCES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (worker.communicate(timeout=120)[0] for worker in workers)
    assert first.count("def bind") == 6
    assert first == second
