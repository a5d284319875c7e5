"""Several variables together: the score of their joint density, independent copies of them, and names for more."""

from __future__ import annotations

import sympy as sp
from sympy.stats.rv import RandomSymbol

from gradlib.core.expectation import Expectation
from gradlib.core.variable import named


def taken_names(J: Expectation) -> set[str]:
    """The names that are taken: of the parameters and of the variables."""
    return {symbol.name for symbol in J.parameters | {law.symbol for law in J.laws}}


def fresh(name: str, taken: set[str]) -> str:
    """This name, or with primes the first one that is free; it is taken then."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def copies(J: Expectation, n: int) -> list[dict[sp.Symbol, RandomSymbol]]:
    """n independent copies of J's variables: maps from the plain symbols to fresh random ones."""
    taken = {s.name for s in J.parameters}
    names = {law.symbol: f"{law.symbol.name}_" for law in J.laws}
    while any(f"{name}{i}" in taken for name in names.values() for i in range(1, n + 1)):
        names = {symbol: f"{name}_" for symbol, name in names.items()}
    return [{law.symbol: named(law.distribution, f"{names[law.symbol]}{i}") for law in J.laws} for i in range(1, n + 1)]


def total_score(J: Expectation, theta: sp.Symbol) -> sp.Expr:
    """The score of the joint density, in plain symbols."""
    return sum((law.score(theta) for law in J.laws if theta in law.free_symbols), sp.S.Zero)
