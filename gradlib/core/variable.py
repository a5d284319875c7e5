"""From a SymPy random symbol to its law, and from a distribution to a random symbol."""

from __future__ import annotations

import sympy as sp
from sympy.stats.compound_rv import CompoundDistribution
from sympy.stats.crv import SingleContinuousDistribution, SingleContinuousPSpace
from sympy.stats.drv import SingleDiscreteDistribution, SingleDiscretePSpace
from sympy.stats.frv import SingleFiniteDistribution, SingleFinitePSpace
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.core.density import DensityLaw
from gradlib.core.families import FAMILIES
from gradlib.core.law import FamilyLaw, Law, TableLaw, name_of


def law(variable: RandomSymbol) -> Law:
    """The :class:`~gradlib.core.law.Law` of a SymPy random symbol.

    Raises:
        NotImplementedError: for a joint law, or parameters that are random themselves.
    """
    distribution = getattr(variable.pspace, "distribution", None)
    arguments = [sp.sympify(a) for a in getattr(distribution, "args", ()) if isinstance(a, sp.Expr)]
    if isinstance(distribution, CompoundDistribution) or any(map(random_symbols, arguments)):
        raise NotImplementedError(
            f"the parameters of {variable} are random themselves: only independent variables are supported"
        )
    symbol = sp.Symbol(str(variable.symbol), real=True)
    row = FAMILIES.get(type(distribution))
    if row and tuple(distribution.args[len(row.parameters) :]) == row.literals:
        return FamilyLaw(variable, symbol, distribution)
    if isinstance(distribution, SingleFiniteDistribution):
        return TableLaw(variable, symbol, distribution)
    if isinstance(distribution, (SingleContinuousDistribution, SingleDiscreteDistribution)):
        return DensityLaw(variable, symbol, distribution)
    raise NotImplementedError(
        f"{variable} follows {name_of(distribution)}, a joint law, which gradlib does not know. "
        "Write a joint Gaussian as mu + L*eps with independent standard Normals"
    )


def named(distribution: sp.Basic, name: str) -> RandomSymbol:
    """A random symbol of this law and name."""
    symbol = sp.Symbol(name, real=True)
    if isinstance(distribution, SingleFiniteDistribution):
        return SingleFinitePSpace(symbol, distribution).value
    if isinstance(distribution, SingleDiscreteDistribution):
        return SingleDiscretePSpace(symbol, distribution).value
    return SingleContinuousPSpace(symbol, distribution).value
