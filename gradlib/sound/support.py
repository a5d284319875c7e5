"""Edges of a support that move, and what a moving edge carries."""

from __future__ import annotations

from collections.abc import Collection

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator, brief
from gradlib.core.expectation import Expectation
from gradlib.core.law import Law
from gradlib.sound.jumps import elementary, one_sided_limit, suspects


def require_continuum(J: Expectation, theta: sp.Symbol) -> None:
    """Refuse a parameter that is a whole number."""
    if theta.is_integer or any(count.has(theta) for law in J.laws for count in law.counts):
        raise UnsoundEstimator(
            f"{theta} is a whole number: there is no derivative with respect to it. "
            "Compare two expectations, E at n + 1 minus E at n, instead"
        )


def require_law(law: Law, theta: sp.Symbol) -> None:
    """Refuse a table whose probabilities stop adding up to 1 when θ moves alone: its derivative is that of no law."""
    if law.is_finite and theta in law.free_symbols and not law.counts:
        total = sum(law.table.values())
        if sp.simplify(sp.diff(total, theta)) != 0:
            raise UnsoundEstimator(
                f"the probabilities of {law.variable} add up to {total}, which is not 1 any more when {theta} moves "
                f"alone. Write the last of them as 1 minus the others"
            )


def require_fixed_support(F: sp.Expr, law: Law, theta: sp.Symbol, assumed: Collection[str] = ()) -> None:
    r"""The score function misses the boundary term :math:`F p \,\partial_\theta e` of a moving edge e.

    An assumption covers a term that cannot be found; one that is found is refused all the same.
    """
    if isinstance(law.support, sp.FiniteSet):
        if any(value.has(theta) for value in law.support):
            raise UnsoundEstimator(
                f"score_function: a value that {law.variable} takes depends on {theta}, so the support moves. "
                "Put that value into the integrand instead"
            )
        return
    if not isinstance(law.support, sp.Interval):
        return
    for edge, inwards in ((law.support.inf, 1), (law.support.sup, -1)):
        if not edge.has(theta):
            continue
        term = one_sided_limit(elementary(F * law.density), law.symbol, edge, inwards)
        term = None if term is None else sp.simplify(term)
        if term == 0:
            continue
        moves = f"the support of {law.variable} ~ {law.name} ends at {edge}, which moves with {theta}"
        instead = f"Use pathwise, or write {law.variable} through a variable whose support is fixed"
        if term is not None and not term.has(AppliedUndef):
            raise UnsoundEstimator(
                f"score_function: {moves}, so it would miss the boundary term with F*p = {brief(term)}. {instead}"
            )
        if "fixed support" not in assumed:
            raise UnsoundEstimator(
                f"score_function: {moves}, and whether F*p vanishes there cannot be decided. If you know that it does, "
                f'state it: score_function(J, {theta}, assume="fixed support"). Otherwise: {instead}'
            )


def missing_part(p: sp.Set, q: sp.Set, y: RandomSymbol) -> list[sp.Basic]:
    """What y must satisfy to lie in p, given that it lies in q, which covers p."""
    if p == q:
        return []
    if isinstance(p, sp.FiniteSet):
        return [sp.Or(*(sp.Eq(y, value) for value in p))]
    lower = [] if p.inf == q.inf else [y >= p.inf]
    return lower + ([] if p.sup == q.sup else [y <= p.sup])


def require_inner_value(F: sp.Expr, law: Law, edge: sp.Expr) -> None:
    """A moving edge is itself a draw: F there must be its limit from inside, and not a value that has probability 0."""
    x, F = law.symbol, elementary(F)

    def on_edge(surface: sp.Expr) -> bool:
        there = sp.simplify(surface.subs(x, edge))
        whole = there.atoms(sp.Dummy)  # the surface of floor(a) is a − m with a general whole number m
        return there == 0 or bool(whole) and there.xreplace(dict.fromkeys(whole, sp.S.Zero)).is_integer is True

    if any(surface.has(x) and on_edge(surface) for surface, _ in suspects(F)):
        inside = one_sided_limit(F, x, edge, 1 if edge == law.support.inf else -1)
        if inside is None or sp.simplify(inside - F.subs(x, edge)) != 0:
            raise UnsoundEstimator(
                f"measure_valued: the integrand may jump at {x} = {edge}, an edge of the support that is itself one "
                "of the two draws. Give it there its limit from inside, or use pathwise"
            )
