"""Every expectation as the integral or sum that it stands for."""

from __future__ import annotations

import random
from collections.abc import Iterable

import mpmath
import sympy as sp
from sympy.stats.rv import RandomSymbol

from gradlib.core.expectation import Expectation
from gradlib.core.law import Law
from gradlib.core.variable import law

EXCHANGE, NORMALISED = "exchange", "normalised"


class FalseStep(ArithmeticError):
    """A step that does not hold, or for which there is no evidence."""


class Undecided(Exception):
    """This way of checking, symbolic or numeric, cannot say anything."""


def lower(expression):
    r"""Every expectation as the integral or sum it stands for, in plain symbols.

    Finite laws are enumerated. Nothing is evaluated, and no integral is differentiated.
    """
    expression = sp.sympify(expression)
    if isinstance(expression, sp.MatrixBase):
        return sp.ImmutableMatrix(expression.applyfunc(lower))
    if isinstance(expression, RandomSymbol):
        return law(expression).symbol
    if isinstance(expression, Expectation):
        return _lower_expectation(expression)
    if not expression.has(Expectation, RandomSymbol):
        return expression
    args = [lower(a) for a in expression.args]
    matrices = [a for a in args if isinstance(a, sp.MatrixBase)]
    if not matrices:
        return expression.func(*args)
    if isinstance(expression, sp.Derivative):
        return args[0].applyfunc(lambda entry: sp.Derivative(entry, *args[1:]))
    if isinstance(expression, sp.Add):
        return sp.ImmutableMatrix(sum(args[1:], args[0]))
    if isinstance(expression, sp.Mul) and len(matrices) == 1:
        return matrices[0] * sp.Mul(*(a for a in args if not isinstance(a, sp.MatrixBase)))
    raise ValueError(f"cannot read the vector-valued expression {expression}")


def _lower_expectation(J: Expectation):
    if J.is_vector:
        return sp.ImmutableMatrix([_lower_expectation(Expectation(f, J.variables)) for f in J.components])
    for each in J.laws:
        if each.symbol in J.integrand.free_symbols:
            raise ValueError(f"{J} holds the random variable {each.variable} and the plain symbol {each.symbol}, which prints alike: write the random one")
    body, limits, sums = lower(J.integrand), [], []
    for each in J.laws:
        if each.is_finite:
            # Integrals already inside `body` bind their own variable: `subs` leaves it alone.
            body = sum((body.subs(each.symbol, value) * weight for value, weight in each.table.items()), sp.S.Zero)
        else:
            body = body * each.density
            (sums if each.is_discrete else limits).append((each.symbol, *_ends(each)))
    if limits:
        body = sp.Integral(body, *limits)
    return sp.Sum(body, *sums) if sums else body


def _ends(each: Law) -> tuple[sp.Expr, sp.Expr]:
    """The range of integration or summation of a law that is not finite."""
    if each.is_discrete:
        return {sp.S.Naturals0: sp.S.Zero, sp.S.Naturals: sp.S.One}[each.support], sp.oo
    return each.support.start, each.support.end


def entries(side) -> list:
    """The entries of a matrix; anything else is its own only entry."""
    return list(side) if isinstance(side, sp.MatrixBase) else [side]


def laws_of(expressions: Iterable) -> list[Law]:
    """The laws of all random variables in sight, each once, in a fixed order."""
    variables = set().union(*(sp.sympify(e).atoms(RandomSymbol) for e in expressions))
    return sorted(map(law, variables), key=lambda each: (str(each.variable), str(each.distribution)))


def bound_symbols(e) -> set[sp.Symbol]:
    """The variables of integration and summation."""
    return {limit[0] for integral in e.atoms(sp.Integral, sp.Sum) for limit in integral.limits}


def in_order(symbols: Iterable[sp.Symbol]) -> list[sp.Symbol]:
    """Symbols in an order that does not depend on the run; namesakes by their assumptions."""
    return sorted(symbols, key=lambda s: (s.name, str(s.assumptions0)))


def draw(symbol: sp.Symbol, rng: random.Random, wide: bool = False) -> mpmath.mpf:
    """A random value in the declared domain of a symbol; coarse, so that it can be printed."""
    if symbol.is_integer:
        low = 1 if symbol.is_positive else 0 if symbol.is_nonnegative else -3
        return mpmath.mpf(rng.randint(low, 12 if wide else 4))
    size = rng.randint(*((1, 80) if wide else (5, 24))) / mpmath.mpf(16)
    return -size if symbol.is_negative or (not symbol.is_nonnegative and rng.random() < 0.5) else size
