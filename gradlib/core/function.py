"""A Python function from an expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp


def function_of(
    arguments: Sequence[sp.Symbol], expression: sp.Expr | list[sp.Expr], modules: str | list, **how
) -> Callable:
    """SymPy's ``lambdify``, with its options, under names of our own: a symbol may be called lambda, None or exp.

    ``lambdify`` renames too, at a pass over the expression for each argument.
    """
    own = {argument: sp.Symbol(f"v{i}") for i, argument in enumerate(arguments)}
    renamed = [e.xreplace(own) for e in expression] if isinstance(expression, list) else expression.xreplace(own)
    return sp.lambdify(list(own.values()), renamed, modules, **how)
