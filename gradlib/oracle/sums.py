"""A sum of independent variables as one variable, where its law is known.

Sums of Normal, of Gamma (Exponential, chi-squared) and of Poisson variables are such variables again, and the square of
a Normal variable around 0 is a Gamma variable. Where an integrand holds its variables in one sum only, one integral does
for many, and there is no ridge along which the sum is constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp
from sympy.stats import crv_types as continuous
from sympy.stats import drv_types as discrete

from gradlib.core.law import Law
from gradlib.core.variable import law as law_of
from gradlib.core.variable import named


def with_sums(expression: sp.Expr, laws: Mapping[sp.Symbol, Law]) -> list[tuple[sp.Expr, Law | None]] | None:
    """Terms of the expression, with one variable in place of two or more, and its law; ``None`` where there are none.

    The terms' variables are not independent of each other.

    Args:
        expression: of the symbols of some of the laws.
        laws: their parameters are numbers.
    """
    apart = expression.replace(  # of the larger of two nothing but the difference ties them
        lambda e: isinstance(e, (sp.Max, sp.Min)) and len(e.args) == 2 and len(e.free_symbols & laws.keys()) > 1,
        lambda e: e.args[1] + e.func(e.args[0] - e.args[1], 0),
    )
    found = []
    for term in [expression] if apart == expression else sp.Add.make_args(apart):
        one = (term, None) if len(term.free_symbols & laws.keys()) < 2 else _with_one(term, laws)
        if one is None:
            return None
        found.append(one)
    return found


def _with_one(expression: sp.Expr, laws: Mapping[sp.Symbol, Law]) -> tuple[sp.Expr, Law] | None:
    for node in sp.preorder_traversal(expression):
        if not node.is_Add or len(terms := _terms(node, laws)) < 2:
            continue
        z = replace(law_of(named(_law_of_sum(terms, laws), "sum")), symbol=sp.Dummy("sum", real=True))
        first, unit = next(iter(terms.items()))

        def joined(e: sp.Expr) -> sp.Expr:
            own = dict(part.as_coeff_Mul()[::-1] for part in e.args)
            ratio = own.get(first, 0) / unit  # noqa: B023
            if not ratio or any(own.get(term, 0) - ratio * c for term, c in terms.items()):  # noqa: B023
                return e
            return sp.Add(*(c * term for term, c in own.items() if term not in terms), ratio * z.symbol)  # noqa: B023

        found = expression.replace(lambda e: e.is_Add, joined)
        if not found.free_symbols & {x for term in terms for x in term.free_symbols}:
            return found, z
    return None


def _terms(node: sp.Add, laws: Mapping[sp.Symbol, Law]) -> dict[sp.Expr, sp.Expr]:
    """Variables, or their squares, and the coefficients with which their sum has a law: most of those in the node."""
    kinds: dict[tuple, dict] = {}
    for part in node.args:
        c, term = part.as_coeff_Mul()
        x = term.base if term.is_Pow and term.exp == 2 else term
        if x not in laws:
            continue
        match laws[x].distribution:
            case continuous.NormalDistribution() if x == term:
                kind = ("Normal",)
            case discrete.PoissonDistribution() if x == term:
                kind, c = ("Poisson", sp.Float(c, 400)), sp.S.One
            case _ if (gamma := _gamma(term, laws[x].distribution)) is not None:
                kind, c = ("Gamma", sp.Float(c * gamma[1], 400)), abs(c)  # 2 and 2.0 are the same
            case _:
                continue
        kinds.setdefault(kind, {})[term] = c
    return max(kinds.values(), key=len, default={})


def _gamma(term: sp.Expr, distribution: sp.Basic) -> tuple[sp.Expr, sp.Expr] | None:
    """The shape and the scale of a term that is a Gamma variable."""
    match distribution:
        case continuous.NormalDistribution(mean=mean, std=s) if not term.is_Symbol and mean.is_zero:
            return sp.S.Half, 2 * s**2
        case continuous.GammaDistribution(k=k, theta=scale) if term.is_Symbol:
            return k, scale
        case continuous.ExponentialDistribution(rate=rate) if term.is_Symbol:
            return sp.S.One, 1 / rate
        case continuous.ChiSquaredDistribution(k=k) if term.is_Symbol:
            return k / 2, sp.Integer(2)
    return None


def _law_of_sum(terms: Mapping[sp.Expr, sp.Expr], laws: Mapping[sp.Symbol, Law]) -> sp.Basic:
    """Of Σ c x."""
    parts = [(c, term, laws[next(iter(term.free_symbols))].distribution) for term, c in terms.items()]
    c, term, one = parts[0]
    if (gamma := _gamma(term, one)) is not None:
        shape = sp.Add(*(_gamma(term, distribution)[0] for _, term, distribution in parts))
        return continuous.GammaDistribution(shape, c * gamma[1])
    if isinstance(one, discrete.PoissonDistribution):
        return discrete.PoissonDistribution(sp.Add(*(distribution.args[0] for *_, distribution in parts)))
    means, squares = zip(*((c * law.mean, (c * law.std) ** 2) for c, _, law in parts))
    return continuous.NormalDistribution(sp.Add(*means), sp.sqrt(sp.Add(*squares)))
