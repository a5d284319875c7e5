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
            f"the parameters of {variable} are random themselves: only independent variables are supported. Where it "
            "has a path, write it out: Normal(Y; X, s) is X + s*eps with eps ~ Normal(0, 1)"
        )
    symbol = sp.Symbol(str(variable.symbol), real=True)
    row = FAMILIES.get(type(distribution))
    if row and tuple(distribution.args[len(row.parameters) :]) == row.literals:
        return FamilyLaw(variable, symbol, distribution)
    if isinstance(distribution, SingleFiniteDistribution):
        return TableLaw(variable, symbol, distribution)
    if isinstance(distribution, (SingleContinuousDistribution, SingleDiscreteDistribution)):
        return DensityLaw(variable, symbol, distribution)
    name = name_of(distribution)
    raise NotImplementedError(
        f"{variable} follows {name}, a joint law, which gradlib does not know. {REMEDIES.get(name, OTHERWISE)}"
    )


#: How a joint law is written with independent variables.
REMEDIES = {
    "MultivariateNormal": "Write it as mu + L*eps with independent standard Normals eps",
    "MultivariateLaplace": "Write it as mu + sqrt(W)*L*eps with W ~ Exponential(1) and standard Normals eps",
    "MultivariateT": "Write it as mu + L*eps/sqrt(W/nu) with W ~ ChiSquared(nu) and independent standard Normals eps",
    "MultivariateBeta": "Write it as G_i/(G_1 + ... + G_k) with independent Gamma variables G_i ~ Gamma(alpha_i, 1)",
    "Multinomial": "Write the counts as sums over n independent tables (sympy.stats.FiniteRV), one for each trial",
}
OTHERWISE = "Write it with independent variables"


def named(distribution: sp.Basic, name: str) -> RandomSymbol:
    """A random symbol of this law and name."""
    symbol = sp.Symbol(name, real=True)
    if isinstance(distribution, SingleFiniteDistribution):
        return SingleFinitePSpace(symbol, distribution).value
    if isinstance(distribution, SingleDiscreteDistribution):
        return SingleDiscretePSpace(symbol, distribution).value
    return SingleContinuousPSpace(symbol, distribution).value
