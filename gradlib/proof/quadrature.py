r"""Numbers for expressions with integrals, sums and derivatives of them.

Integrals are computed by double-exponential quadrature,

.. math:: \int f(x)\,dx = \int f(\xi(t))\,\xi'(t)\,dt \approx h \sum_k f(\xi(kh))\,\xi'(kh),

sums term by term, and the derivative of an integral is a difference quotient of the whole
integral, so that nothing is exchanged. What has no numeric value, or does not converge absolutely,
is ``Undecided``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import mpmath
import sympy as sp

from gradlib.core.function import function_of
from gradlib.proof.instances import DIGITS
from gradlib.proof.lower import Undecided, depth


@functools.lru_cache(maxsize=1024)
def compiled(e: sp.Expr, symbols: tuple[sp.Symbol, ...], step: mpmath.mpf) -> Callable:
    """The function of the symbols' values that computes e, to the working precision at the call.

    Args:
        e: an expression without undefined functions.
        symbols: its symbols, in the order of the function's arguments.
        step: of difference quotients.

    Raises:
        Undecided: if an integral in e has no limits, or jumps that cannot be located.
    """
    if isinstance(e, sp.Symbol) and e in symbols:
        k = symbols.index(e)
        return lambda *at: at[k]
    if e.is_Integer or e in (sp.oo, -sp.oo):
        number = int(e) if e.is_Integer else float(e)
        return lambda *at: mpmath.mpf(number)
    if isinstance(e, (sp.Integral, sp.Sum)):
        return _integral(type(e), e.function, e.limits, symbols, step)
    if isinstance(e, sp.Derivative) and depth(e):
        return _derivative(e, symbols, step)
    if tops := _outermost(e):
        names = [sp.Dummy("i") for _ in tops]
        outer = compiled(e.xreplace(dict(zip(tops, names))), (*symbols, *names), step)
        parts = [compiled(top, symbols, step) for top in tops]
        return lambda *at: outer(*at, *(part(*at) for part in parts))
    return function_of(symbols, _almost_everywhere(e), "mpmath", cse=True)


def _derivative(e, symbols, step):
    *front, variable = e.variables
    f = compiled(sp.Derivative(e.expr, *front) if front else e.expr, symbols, step)
    k = symbols.index(variable)

    def value(*at):
        def shifted(n):
            return f(*at[:k], at[k] + n * step, *at[k + 1 :])

        return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * step)

    return value


def _integral(kind, function, limits, symbols, step):
    """The integral over the last (outermost) limit of the integral over the others."""
    *inner, limit = limits
    if len(limit) != 3:
        raise Undecided(f"the integral over {limit[0]} has no limits")
    x, *ends = limit
    ends = [compiled(end, symbols, step) for end in ends]
    breaks = [compiled(root, symbols, step) for root in _breaks(function, x, [i[0] for i in inner])]
    if inner:
        f = _integral(kind, function, inner, (*symbols, x), step)
    else:
        # What does not depend on x is computed once, not at every node.
        body, parts = _hoist(function, x)
        held, f = _all(tuple(parts.values()), symbols, step), compiled(body, (*parts, x), step)
    add_up = _sum if kind is sp.Sum else _quad

    def value(*at):
        fixed = at if inner else held(*at)
        return add_up(lambda t: f(*fixed, t), *(end(*at) for end in ends), [root(*at) for root in breaks])

    return value


def _all(parts, symbols, step):
    """One function for the values of all parts."""
    if any(map(depth, parts)):
        functions = [compiled(part, symbols, step) for part in parts]
        return lambda *at: [f(*at) for f in functions]
    return function_of(symbols, list(map(_almost_everywhere, parts)), "mpmath", cse=True)


def _outermost(e) -> list:
    """The outermost integrals, and derivatives of integrals, each once."""
    if isinstance(e, (sp.Integral, sp.Sum)) or isinstance(e, sp.Derivative) and depth(e):
        return [e]
    return list(dict.fromkeys(top for a in e.args for top in _outermost(a)))


def _almost_everywhere(e):
    """Derivatives carried out; that of a jump is 0 but at one point."""
    if not e.has(sp.Derivative, sp.Subs):
        return e
    return e.doit().replace(sp.DiracDelta, lambda *_: sp.S.Zero)


def _hoist(e, x) -> tuple[sp.Expr, dict]:
    """e with every part that is free of x replaced by a name, and those parts."""
    held: dict = {}

    def walk(part):
        if part == x or part.is_Integer or not isinstance(part, sp.Expr) and x not in part.free_symbols:
            return part
        if x not in part.free_symbols:
            name = sp.Dummy("c")
            held[name] = part
            return name
        if isinstance(part, (sp.Integral, sp.Sum, sp.Derivative, sp.Subs)) or not isinstance(part, sp.Expr):
            held.update({symbol: symbol for symbol in sorted(part.free_symbols - {x}, key=str)})
            return part
        if isinstance(part, (sp.Add, sp.Mul)):
            constant, rest = part.as_independent(x, as_Add=part.is_Add)
            return (
                part.func(walk(constant), *map(walk, part.func.make_args(rest)))
                if rest != part
                else part.func(*map(walk, part.args))
            )
        if isinstance(part, sp.Pow) and part.exp.is_Rational and part.exp.q <= 2:
            return walk(part.base) ** part.exp
        return part.func(*map(walk, part.args))

    if e.has(sp.Derivative, sp.Subs) and not depth(e):
        e = _almost_everywhere(e)
    return walk(e), held


def switches(e) -> dict[sp.Expr, set[int]]:
    """Arguments in whose sign e changes its formula, and the signs that make a difference."""
    arguments = [a.args[0] for a in e.atoms(sp.Heaviside, sp.Abs, sp.sign)]
    arguments += [a.args[0] - other for a in e.atoms(sp.Max, sp.Min) for other in a.args[1:]]
    found = {argument: {-1, 1} for argument in arguments}
    for relation in sorted(e.atoms(sp.core.relational.Relational), key=str):
        exact = isinstance(relation, (sp.Eq, sp.Ne))
        found[relation.lhs - relation.rhs] = {0, 1} if exact else {-1, 1}
    return found


def _breaks(e, x, inner=()) -> list[sp.Expr]:
    """Where e may jump or kink in x: quadrature has to stop there, and no sum before."""
    if any(a.has(x) for a in e.atoms(sp.floor, sp.ceiling)):
        raise Undecided("a staircase cannot be integrated numerically here")
    roots: set = set()
    for argument in switches(e):
        if argument.has(x) and not argument.has(*inner):  # the inner integral smooths its own jumps
            if not argument.is_polynomial(x) or sp.Poly(argument, x).degree() > 2:
                raise Undecided(f"the jumps of a function of {argument} cannot be located")
            roots |= sp.roots(sp.Poly(argument, x)).keys()
    return sorted(roots, key=str)


def _quad(f, a, b, breaks) -> mpmath.mpf:
    inner = sorted({mpmath.re(r) for r in breaks if mpmath.im(r) == 0 and a < mpmath.re(r) < b})
    points = [mpmath.mpf(a), *inner, mpmath.mpf(b)]
    return sum((_segment(f, low, high) for low, high in itertools.pairwise(points)), mpmath.mpf(0))


@functools.lru_cache(maxsize=4096)
def _whole_line(t, precision):
    return mpmath.sinh(t), mpmath.cosh(t)


@functools.lru_cache(maxsize=4096)
def _half_line(t, precision):
    y = mpmath.exp(t - mpmath.exp(-t))
    return y, y * (1 + mpmath.exp(-t))


@functools.lru_cache(maxsize=4096)
def _unit_interval(t, precision):
    u = mpmath.exp(-mpmath.pi * mpmath.sinh(t))
    return 1 / (1 + u), mpmath.pi * mpmath.cosh(t) * u / (1 + u) ** 2


def _nodes(a, b) -> tuple[Callable, mpmath.mpf, mpmath.mpf, int]:
    """The change of variables for a range: t ↦ (y, dy/dt), x = start + direction · y, and how far t goes at least.

    The y are the same for every integral, and remembered for each t and precision.
    """
    if mpmath.isinf(a) and mpmath.isinf(b):
        return _whole_line, mpmath.mpf(0), mpmath.mpf(1), 5
    if mpmath.isinf(a) or mpmath.isinf(b):
        return _half_line, *((b, mpmath.mpf(-1)) if mpmath.isinf(a) else (a, mpmath.mpf(1))), 5
    return _unit_interval, a, b - a, 2


def _segment(f, a, b) -> mpmath.mpf:
    """Double-exponential quadrature: the trapezoidal rule after a change of variables.

    Halving the step squares the error, so two steps that agree to half the digits vouch
    for nearly all of them. The terms have to die out on both sides, which is absolute convergence:
    symmetric nodes would otherwise give the Cauchy law a mean.
    """
    if a == b:
        return mpmath.mpf(0)
    if a > b:
        return -_segment(f, b, a)
    node, start, direction, core = _nodes(a, b)
    stretch, precision = abs(direction), mpmath.mp.prec

    def term(t):
        y, speed = node(t, precision)
        x = start + direction * y
        value = f(x) * speed * stretch if a < x < b else mpmath.mpf(0)
        if not mpmath.isfinite(value):
            raise Undecided("an integral does not converge absolutely")
        return value

    h, total, scale, ends = mpmath.mpf(1) / 8, term(mpmath.mpf(0)), mpmath.mpf(0), []
    for sign in (1, -1):
        quiet = 0
        for k in itertools.count(1):
            value = term(sign * k * h)
            if k * h > 75:
                raise Undecided("an integral does not converge absolutely")
            total, scale = total + value, max(scale, abs(value))
            quiet = quiet + 1 if abs(value) <= mpmath.mpf(10) ** (-2 - mpmath.mp.dps) * scale else 0
            if quiet >= 4 and k * h >= core:
                ends.append(k)
                break
    previous = total * h
    for _ in range(5):
        right, left = ends
        total += sum((term((k + mpmath.mpf(1) / 2) * h) for k in range(-left, right)), mpmath.mpf(0))
        ends, h = [2 * right, 2 * left], h / 2
        value = total * h
        if abs(value - previous) <= mpmath.mpf(10) ** (2 - mpmath.mp.dps // 2) * max(
            abs(value), scale * mpmath.mpf("1e-3")
        ):
            return value
        previous = value
    raise Undecided("a quadrature did not converge")


def _sum(f, low, high, breaks) -> mpmath.mpf:
    """Term by term, until twenty terms in a row do not matter (no extrapolation)."""
    total, quiet, last = mpmath.mpf(0), 0, max([50, *(20 + abs(r) for r in breaks)])
    for k in itertools.count(int(low)):
        if k > high:
            return total
        term = f(mpmath.mpf(k))
        total += term
        quiet = quiet + 1 if abs(term) <= mpmath.mpf(10) ** -DIGITS * abs(total) else 0
        if quiet >= 20 and k > last:
            return total
        if k > 20_000:
            raise Undecided("a series did not converge")
