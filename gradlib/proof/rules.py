"""Rules that a step of a derivation may name."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.stats.rv import RandomSymbol

from gradlib.core.variable import law
from gradlib.proof.forms import canonical_symbol
from gradlib.proof.lower import FalseStep, bound_symbols, ends, lower

# Not the catalogue of gradlib.sound, on purpose: a function that one list forgets, the other may know.
JUMPING = (sp.Piecewise, sp.Heaviside, sp.sign, sp.floor, sp.ceiling, sp.frac, sp.Mod)


def _plain_variable(variable, what: str) -> tuple[sp.Symbol, sp.Expr, sp.Expr]:
    """(x, a, b) of a continuous random symbol, or of a tuple given as such."""
    if isinstance(variable, RandomSymbol):
        its = law(variable)
        if its.is_discrete:
            raise ValueError(f"{what} needs a continuous variable, and {variable} is discrete")
        return (its.symbol, *ends(its))
    return tuple(map(sp.sympify, variable))


@dataclass(frozen=True)
class Boundary:
    r"""Integration by parts: :math:`\int_a^b W'(x)\,dx = W(b) - W(a) = 0`.

    The step ``left = right`` holds if the integrands of left - right add up to
    :math:`W'` identically, which is checked. That W is smooth and vanishes at both ends is
    proved where W is concrete, and recorded as an assumption where it is not.

    Args:
        witness: W, the density included, in the random symbol or its plain symbol.
        variable: the random symbol, or ``(x, a, b)``.
    """

    witness: sp.Expr
    variable: object

    def apply(self, prover, difference: sp.Expr) -> sp.Expr:
        x, a, b = _plain_variable(self.variable, "Boundary")
        w = lower(self.witness)
        _refuse_jumps("the boundary witness", w)
        vanishing = not w.atoms(AppliedUndef) and _vanishes_at(w, x, a, "+") and _vanishes_at(w, x, b, "-")
        if not (vanishing and _is_smooth(w, x, a, b)):
            prover.assumed.append("boundary")
        return difference - sp.Integral(sp.Derivative(w, x), (x, a, b))


def _vanishes_at(w: sp.Expr, x: sp.Symbol, end: sp.Expr, side: str) -> bool:
    """True if the limit is 0, False if SymPy cannot say; another limit is an error."""
    try:
        value = sp.limit(w, x, end, side)
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return False
    if value.is_zero is False or value.is_infinite:
        raise FalseStep(f"the boundary witness does not vanish: its limit at {x} -> {end} is {value}")
    return value == 0


def _refuse_jumps(what: str, e: sp.Expr) -> None:
    if e.has(*JUMPING):
        raise FalseStep(f"{what} {e} may jump, and its derivative does not see that")


def _is_smooth(e: sp.Expr, x: sp.Symbol, a: sp.Expr, b: sp.Expr) -> bool:
    """True only if e is, at sight, differentiable in x between a and b."""
    inside = canonical_symbol(0, a, b)
    e, x = e.xreplace({x: inside}), inside
    entire = (sp.Add, sp.Mul, sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.erf)

    def smooth(part) -> bool:
        if part == x or not part.has(x):
            return True
        if isinstance(part, sp.Pow) and x not in part.exp.free_symbols:
            allowed = part.base.is_positive or part.exp.is_Integer and part.exp > 0
        else:
            allowed = isinstance(part, entire) or isinstance(part, (sp.log, sp.Pow)) and part.args[0].is_positive
        return bool(allowed) and all(map(smooth, part.args))

    return smooth(e)


@dataclass(frozen=True)
class Substitution:
    r"""Change of variables :math:`x = g(\varepsilon)`.

    .. math:: \int h(x)\,dx = \int h(g(\varepsilon))\,g'(\varepsilon)\,d\varepsilon

    That g is smooth, increases and maps one range onto the other is proved where SymPy can
    (:math:`g' > 0`, limits at the ends), and recorded as an assumption where not.

    Args:
        variable: the random symbol x that goes, or ``(x, a, b)``.
        map: :math:`g(\varepsilon)`.
        over: the random symbol ε that comes, or ``(eps, a, b)``.
    """

    variable: object
    map: sp.Expr
    over: object

    def apply(self, prover, difference: sp.Expr) -> sp.Expr:
        old, new = _plain_variable(self.variable, "Substitution"), _plain_variable(self.over, "Substitution")
        (x, *range_), (eps, start, end) = old, new
        g = lower(self.map)
        _refuse_jumps(f"the map {x} =", g)
        slope = sp.diff(g, eps)
        if slope.is_negative:
            raise FalseStep(f"the map {x} = {g} decreases: write the substitution with an increasing map")
        increasing = not g.atoms(AppliedUndef) and slope.is_positive and _is_smooth(g, eps, start, end)
        if not (increasing and [sp.limit(g, eps, start, "+"), sp.limit(g, eps, end, "-")] == range_):
            prover.assumed.append("change of variables")

        def replace(integral):
            limits = [tuple(limit) for limit in integral.limits]
            if old not in limits or any(x in e.free_symbols for limit in limits for e in limit[1:]):
                return integral
            if eps != x and integral.has(eps) or (g.free_symbols - {eps}) & bound_symbols(integral.function):
                raise FalseStep(f"the integral over {x} holds a symbol of {x} = {g} already: substitute another one")
            limits[limits.index(old)] = new
            return sp.Integral(integral.function.subs(x, g) * slope, *limits)

        return difference.replace(lambda e: isinstance(e, sp.Integral), replace)


@dataclass(frozen=True)
class Rewrite:
    """Another statement as a rule: its left side is replaced by its right side.

    A definition's name is spelled out everywhere, under derivatives too. Any other
    statement replaces exact occurrences only, and none under a derivative in one of its own
    symbols: a hypothesis might hold at one point only.

    Args:
        label: the statement's label.
        lhs, rhs: its two sides.
        defines: the left side is a declared name, a symbol or a function of symbols.
        supposed: a hypothesis: nothing has checked the statement.
    """

    label: str
    lhs: sp.Expr
    rhs: sp.Expr
    defines: bool = False
    supposed: bool = False

    def apply(self, prover, expression: sp.Expr) -> sp.Expr:
        left, right = lower(self.lhs), lower(self.rhs)
        if isinstance(left, sp.MatrixBase) or isinstance(right, sp.MatrixBase):
            raise ValueError(f"{self.label} is matrix-valued and cannot be used as a rule")
        self._refuse_capture(left, right, expression)
        if self.defines:
            if isinstance(left, sp.Symbol):
                return expression.subs(left, right)
            return expression.replace(left.func, sp.Lambda(left.args, right))

        def walk(e):
            if e == left:
                return right
            if not e.args or isinstance(e, (sp.Derivative, sp.Subs)) and set(e.variables) & left.free_symbols:
                return e
            return e.func(*map(walk, e.args))

        return walk(expression)

    def _refuse_capture(self, left, right, expression) -> None:
        """A symbol that is free in the rule must not become a variable of integration."""
        free = right.free_symbols - left.free_symbols | ({left} if isinstance(left, sp.Symbol) else set())
        taken = free & bound_symbols(expression)
        if self.defines and not isinstance(left, sp.Symbol):
            calls = expression.atoms(left.func)
            taken |= bound_symbols(right) & set().union(*(call.free_symbols for call in calls))
        if taken and expression.has(left.func if self.defines and left.args else left):
            names = ", ".join(sorted(map(str, taken)))
            raise ValueError(
                f"{self.label} as a rule would confuse two meanings of {names}, "
                "free here and integrated over there: rename one"
            )
