"""Where an integrand may jump, whether it does, and whether a derivative would miss it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import singledispatch

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanFunction

from gradlib.core.errors import UnsoundEstimator, brief
from gradlib.core.expectation import Expectation
from gradlib.core.law import Law, Velocity

# --- the catalogue -------------------------------------------------------------------------------


@singledispatch
def surfaces(node: sp.Basic) -> Iterable[tuple[sp.Expr, str]]:
    """Where a function may misbehave: pairs (surface, kind), with a "jump" or a "pole" where the surface is 0.

    The one catalogue of jumps for all rules. What it does not know is "unknown", and refused. For a function of your
    own: ``surfaces.register(MyFunction, lambda node: [])`` says that it is continuous everywhere.
    """
    return [(node, "unknown")]


def _nowhere(node) -> list:
    return []


#: Functions that are continuous on the whole real line.
_MONOTONE = (sp.exp, sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfc, sp.erfi, sp.Abs, sp.Max, sp.Min)
_WAVES = (sp.sin, sp.cos, sp.cosh, sp.sinc, sp.Si, sp.fresnels, sp.fresnelc, sp.airyai, sp.airybi)
_BUILT = (sp.Add, sp.Mul, sp.Tuple, sp.core.relational.Relational, BooleanFunction, sp.logic.boolalg.BooleanAtom)
for _cls in (*_MONOTONE, *_WAVES, *_BUILT):
    surfaces.register(_cls, _nowhere)

_JUMPS = (sp.Heaviside, sp.sign, sp.floor, sp.ceiling)


@surfaces.register(sp.Piecewise)
def _(node):
    for _, condition in node.args:
        for relation in _relations(condition):
            yield (node, "unknown") if relation is None else (relation.lhs - relation.rhs, "jump")


@surfaces.register(sp.Heaviside)
@surfaces.register(sp.sign)
def _(node):
    return [(node.args[0], "jump")]


@surfaces.register(sp.floor)
@surfaces.register(sp.ceiling)
def _(node):
    # Any whole number is a jump; look at a general one.
    return [(node.args[0] - sp.Dummy("m", integer=True), "jump")]


@surfaces.register(sp.log)
def _(node):
    return [(node.args[0], "pole")]


@surfaces.register(sp.Pow)
def _(node):
    if not node.base.free_symbols:
        return [] if node.base.is_positive else [(node, "unknown")]
    return [] if node.exp.is_nonnegative or node.base.is_positive else [(node.base, "pole")]


@surfaces.register(sp.tan)
@surfaces.register(sp.sec)
def _(node):
    return [(sp.cos(node.args[0]), "pole")]


@surfaces.register(sp.cot)
@surfaces.register(sp.csc)
def _(node):
    return [(sp.sin(node.args[0]), "pole")]


@surfaces.register(sp.gamma)
@surfaces.register(sp.loggamma)
@surfaces.register(sp.polygamma)
def _(node):
    return [] if node.args[-1].is_positive else [(node, "unknown")]


@surfaces.register(sp.besselj)
@surfaces.register(sp.besseli)
def _(node):
    return [] if node.order.is_integer and node.order.is_number else [(node, "unknown")]


def suspects(expression: sp.Basic) -> Iterator[tuple[sp.Expr, str]]:
    """The surfaces of an expression and of all its parts."""
    if not expression.free_symbols or expression.is_Symbol:
        return
    yield from surfaces(expression)
    for part in expression.args:
        yield from suspects(part)


def _relations(condition):
    """The relations that a condition is made of; ``None`` stands for anything else."""
    if isinstance(condition, sp.core.relational.Relational):
        yield condition
    elif isinstance(condition, BooleanFunction):
        for part in condition.args:
            yield from _relations(part)
    elif condition not in (sp.true, sp.false):
        yield None


# --- what is refused -------------------------------------------------------------------------------

_BY_HAND = "Integrate over the jump by hand, or smooth it and measure the bias"


def require_continuous(
    rule: str, J: Expectation, theta: sp.Symbol, moving_x: bool, assumed: Collection[str] = ()
) -> None:
    """Refuse a jump of the integrand that the derivative would miss.

    A jump matters where the derivative moves x across it (pathwise) or moves the jump
    itself (both rules, through the direct term). An assumption covers the places that cannot be decided;
    a jump that is found is refused all the same.
    """
    F = elementary(J.plain.xreplace({law.symbol: law.signed for law in J.laws}))
    variables = {law.signed for law in J.laws}
    undecided: dict[str, str] = {}  # what cannot be told, and what to use instead
    for law in J.laws:
        x = law.signed
        moved = moving_x and theta in law.free_symbols
        if not moved and not F.has(theta):
            continue
        for surface, why in suspects(F):
            if not moved and not surface.has(theta):
                continue
            if not surface.has(x):
                # Another variable's surface is its own business; a jump in θ alone is ours. (A pole in
                # θ alone hides nothing: the derivative is right wherever F is finite.)
                if why == "jump" and surface.has(theta) and not surface.free_symbols & variables:
                    raise UnsoundEstimator(
                        f"{rule}: the integrand may jump in {theta} where {brief(surface)} = 0. {_BY_HAND}"
                    )
                continue
            if why == "unknown" and isinstance(surface, Velocity):
                raise UnsoundEstimator(
                    f"{rule}: the integrand holds the path velocity of {surface.family}, which has no closed form and "
                    "is not differentiated again. For a second derivative take score_function first, then pathwise"
                )
            try:
                if why == "unknown":
                    raise _CannotTell(f"whether {brief(surface)} is continuous cannot be decided")
                for root in _roots(surface, x, law):
                    if moved or root.has(theta):
                        _refuse_jump(rule, F, x, root, theta)
            except _CannotTell as place:
                undecided.setdefault(str(place), _instead(rule, surface, theta))
    _require_decided(rule, theta, undecided, assumed)


def require_continuous_density(rule: str, law: Law, theta: sp.Symbol, assumed: Collection[str] = ()) -> None:
    """Refuse a density that jumps, inside its support, where θ moves the jump: its derivative misses it."""
    density, x = elementary(law.density.xreplace({law.symbol: law.signed})), law.signed
    undecided: dict[str, str] = {}
    for surface, why in suspects(density):
        if surface.has(x) and surface.has(theta) and why == "jump":
            try:
                for root in _roots(surface, x, law):
                    if root.has(theta):
                        _refuse_jump(rule, density, x, root, theta, f"the density of {law.variable}")
            except _CannotTell as place:
                undecided.setdefault(str(place), _instead(rule, surface, theta))
    _require_decided(rule, theta, undecided, assumed)


class _CannotTell(Exception):
    """Whether there is a jump at a place cannot be decided; the text says where."""


def _require_decided(rule: str, theta: sp.Symbol, undecided: dict[str, str], assumed: Collection[str]) -> None:
    """Refuse the places where a jump is neither found nor excluded, unless the caller vouches for all of them."""
    if not undecided or "continuous" in assumed:
        return
    there = "there" if len(undecided) == 1 else "at any of these places"
    raise UnsoundEstimator(
        f"{rule}: {'; '.join(undecided)}. If you know that there is no jump {there}, state it: "
        f'{rule}(J, {theta}, assume="continuous"). Otherwise: {next(iter(undecided.values()))}'
    )


def elementary(F: sp.Expr) -> sp.Expr:
    """frac and Mod, written with floor."""
    return F.replace(lambda e: isinstance(e, (sp.frac, sp.Mod)), lambda e: e.rewrite(sp.floor))


def _instead(rule: str, where: sp.Expr, theta: sp.Symbol) -> str:
    """The score function minds a jump only where θ moves it."""
    if rule == "pathwise" and not where.has(theta):
        return "Use score_function, which does not differentiate the integrand in x"
    return _BY_HAND


def _roots(surface: sp.Expr, x: sp.Symbol, law: Law) -> list[sp.Expr]:
    """Where the surface crosses zero inside the support of x."""
    try:
        roots = _members(sp.solveset(surface, x, domain=sp.S.Reals))
    except (NotImplementedError, ValueError, TypeError):
        roots = None
    if roots is None:
        raise _CannotTell(f"cannot find where {brief(surface)} crosses zero, so a jump there cannot be excluded")
    return list(filter(law.may_be, roots))


def _members(roots: sp.Set) -> list[sp.Expr] | None:
    """The roots, with a general member of each infinite family; ``None`` where they are not given explicitly."""
    if roots is sp.S.EmptySet or isinstance(roots, sp.FiniteSet):
        return list(roots)
    if isinstance(roots, sp.Union):
        parts = [_members(part) for part in roots.args]
        return None if None in parts else sum(parts, [])
    if isinstance(roots, sp.Intersection) and sp.S.Reals in roots.args and len(roots.args) == 2:
        # SymPy keeps "∩ Reals" for symbolic roots; a complex one does no harm.
        return _members(next(part for part in roots.args if part != sp.S.Reals))
    if isinstance(roots, sp.ConditionSet) and isinstance(roots.base_set, sp.FiniteSet):
        return list(roots.base_set)
    if isinstance(roots, sp.ImageSet) and roots.base_sets == (sp.S.Integers,):
        # Two concrete members as well, because SymPy's arithmetic with a general one has
        # a defect: it takes tan(2πm + π/2 + t) for tan(t).
        return [roots.lamda(m) for m in (sp.Integer(0), sp.Integer(1), sp.Dummy("m", integer=True))]
    return None


def one_sided_limit(F: sp.Expr, x: sp.Symbol, root: sp.Expr, direction: int) -> sp.Expr | None:
    """The one-sided limit of F at the root; ``None`` where it cannot be found.

    Every function that jumps is first replaced by its value just beside the root, which
    the sign of the leading term in t decides. SymPy's own limits of Heaviside and floor
    are not reliable enough to rest a proof of continuity on.
    """
    t = sp.Dummy("t", positive=True)
    near = F.subs(x, root + direction * t)
    try:
        near = near.replace(
            lambda e: isinstance(e, (*_JUMPS, sp.Abs, sp.core.relational.Relational)), lambda e: _beside(e, t)
        )
        value = _limit(near, t)
    except (_Undecided, NotImplementedError, ValueError, TypeError, AttributeError):
        return None
    undecided = (sp.Limit, sp.AccumBounds, sp.nan, *_JUMPS, sp.core.relational.Relational)
    # 0**a is 0, 1 or infinite, as a is positive, zero or negative.
    zero_power = any(power.base == 0 for power in value.atoms(sp.Pow))
    return None if value.has(*undecided, t) or zero_power else value


class _Undecided(Exception):
    pass


def _limit(a: sp.Expr, t: sp.Symbol) -> sp.Expr:
    """a(0+), where a is built from functions that do not jump.

    A wave whose phase runs off to infinity, such as x*sin(1/x), has no bounded variation
    even where it has a limit: a function of an infinite argument must be monotone.
    """
    for node in a.atoms(sp.Function):
        if node.has(t) and not isinstance(node, (*_MONOTONE, sp.log)):
            if not all(_limit(part, t).is_finite for part in node.args if part.has(t)):
                raise _Undecided
    value = a.subs(t, 0)
    if value.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.AccumBounds):
        value = sp.limit(a, t, 0, "+")
    return value


def _sign_beside(a: sp.Expr, t: sp.Symbol) -> int:
    """The sign of a(t) for small t > 0."""
    a = sp.expand(a)
    if a == 0:
        return 0
    lead = sp.expand(a.as_leading_term(t)) if a.has(t) else a
    if lead.is_positive:
        return 1
    if lead.is_negative:
        return -1
    raise _Undecided


def _beside(node: sp.Expr, t: sp.Symbol) -> sp.Expr:
    """A function's value just beside the root, where it does not jump."""
    if isinstance(node, sp.core.relational.Relational):
        sign = _sign_beside(node.lhs - node.rhs, t)
        return sp.sympify(bool(node.func(sign, 0)))
    a = node.args[0]
    if isinstance(node, sp.Abs):
        try:
            return _sign_beside(a, t) * a
        except _Undecided:  # continuous all the same
            return node
    if isinstance(node, (sp.Heaviside, sp.sign)):
        return node.func(sp.Integer(_sign_beside(a, t)))
    if isinstance(node, sp.ceiling):
        return -_beside(sp.floor(-a, evaluate=False), t)
    at_root = sp.expand(_limit(a, t))
    if not at_root.is_integer:
        if at_root.is_integer is None or not at_root.is_finite:
            raise _Undecided
        return sp.floor(at_root)
    return at_root if _sign_beside(a - at_root, t) >= 0 else at_root - 1


def _refuse_jump(
    rule: str, F: sp.Expr, x: sp.Symbol, root: sp.Expr, theta: sp.Symbol, what: str = "the integrand"
) -> None:
    where = f"{x} = {brief(root)}".replace("_m", "m") + (", m a whole number" if root.has(sp.Dummy) else "")
    instead = _instead(rule, root, theta)
    right, left = one_sided_limit(F, x, root, 1), one_sided_limit(F, x, root, -1)
    cannot_tell = _CannotTell(f"{what} may jump at {where}, and whether it does cannot be decided")
    if right is None or left is None:
        raise cannot_tell
    if right.has(sp.zoo, sp.oo, -sp.oo) or left.has(sp.zoo, sp.oo, -sp.oo):
        raise UnsoundEstimator(f"{rule}: {what} has a pole at {where}. {instead}")
    jump = sp.simplify(right - left)
    if jump == 0:
        return
    # A value of a black box may be 0, and so may a sum that SymPy does not see through.
    if jump.has(AppliedUndef) or jump.equals(0) is not False:
        raise cannot_tell
    raise UnsoundEstimator(
        f"{rule}: {what} jumps by {brief(jump).replace('_m', 'm')} at {where}, and its derivative, taken draw by "
        f"draw, misses the jump. {instead}"
    )
