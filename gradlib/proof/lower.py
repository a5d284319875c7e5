"""Every expectation as the integral or sum that it stands for."""

from __future__ import annotations

from collections.abc import Iterable

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
    for law_ in J.laws:
        if law_.symbol in J.integrand.free_symbols:
            raise ValueError(
                f"{J} holds the random variable {law_.variable} and the plain symbol {law_.symbol}, "
                "which prints alike: write the random one"
            )
    body, limits, sums = lower(J.integrand), [], []
    for law_ in J.laws:
        if law_.is_finite:
            # Integrals already inside `body` bind their own variable: `subs` leaves it alone.
            body = sum((body.subs(law_.symbol, value) * weight for value, weight in law_.table.items()), sp.S.Zero)
        else:
            body = body * law_.density
            (sums if law_.is_discrete else limits).append((law_.symbol, *ends(law_)))
    if limits:
        body = sp.Integral(body, *limits)
    return sp.Sum(body, *sums) if sums else body


def ends(law_: Law) -> tuple[sp.Expr, sp.Expr]:
    """The range of integration or summation of a law that is not finite."""
    if law_.is_discrete:
        return {sp.S.Naturals0: sp.S.Zero, sp.S.Naturals: sp.S.One}[law_.support], sp.oo
    return law_.support.start, law_.support.end


def entries(side) -> list:
    """The entries of a matrix; anything else is its own only entry."""
    return list(side) if isinstance(side, sp.MatrixBase) else [side]


def laws_of(expressions: Iterable) -> list[Law]:
    """The laws of all random variables in sight, each once, in a fixed order."""
    variables = set().union(*(sp.sympify(e).atoms(RandomSymbol) for e in expressions))
    return sorted(map(law, variables), key=lambda law_: (str(law_.variable), str(law_.distribution)))


def bound_symbols(e) -> set[sp.Symbol]:
    """The variables of integration and summation."""
    return {limit[0] for integral in e.atoms(sp.Integral, sp.Sum) for limit in integral.limits}


def depth(e) -> int:
    """Nesting depth of integrals."""
    if isinstance(e, (sp.Integral, sp.Sum)):
        return len(e.limits) + depth(e.function)
    return max((depth(a) for a in e.args), default=0)
