r"""Whether a mean and a variance exist, read from how the integrand and the density behave far out.

.. math:: \mathbb{E}|F(x)| = \int |F(x)|\, p(x)\, dx < \infty

At an end of the support, and at a pole, let u be the logarithm of the distance. There :math:`|F|\, p\, |dx/du|` behaves
like :math:`e^{cu}`, and the mean exists only if that falls. Where it does not exist, no number of draws tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from flint import acb, arb, ctx
from sympy.core.cache import cacheit

from gradlib.core.ball import NoBall, exactly, function_on_balls
from gradlib.core.binding import Binding
from gradlib.core.errors import DivergentExpectation, brief
from gradlib.core.expectation import Expectation
from gradlib.core.families import FAMILIES
from gradlib.core.law import Law
from gradlib.core.variable import law as law_of
from gradlib.core.variable import named


@dataclass(frozen=True)
class Existence:
    """Which moments exist: ``None`` where it cannot be read.

    Attributes:
        mean: whether E|F| is finite.
        variance: whether E F² is.
        reason: what stands against the mean, or else against the variance.
    """

    mean: bool | None = True
    variance: bool | None = True
    reason: str = ""

    def __and__(self, other: Existence) -> Existence:
        worse = min(self, other, key=lambda known: (known.mean is not False, known.variance is not False))
        return Existence(_both(self.mean, other.mean), _both(self.variance, other.variance), worse.reason)


UNREAD = Existence(None, None)


def _both(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if a is None or b is None else True


def require_existence(J: Expectation, bound: Binding) -> Existence:
    """What is known of the moments of J at these parameters.

    Raises:
        DivergentExpectation: if it does not exist, or that of whose gradient it is an estimator does not.
    """
    require_objective(J, bound)
    found = Existence()
    for component in bound.components:
        found &= _existence(bound.laws, bound.at, component, "")
    return found


def require_objective(J: Expectation, bound: Binding) -> None:
    """Refuse the gradient of what does not exist.

    Raises:
        DivergentExpectation: for it.
    """
    objective = J.objective
    if objective is not None and objective.parameters <= bound.given.keys():
        at = {symbol: bound.given[symbol] for symbol in objective.parameters}
        _existence(objective.laws, at, objective.plain, "there is no gradient of what does not exist: ")


def _existence(laws: tuple[Law, ...], at: Mapping[sp.Symbol, float], plain: sp.Expr, why: str) -> Existence:
    found = Existence()
    for law, part, others in _suspects(laws, plain):
        names = law.free_symbols.union(part.free_symbols, *(other.free_symbols for other in others))
        values = tuple((name, at[name]) for name in sorted(names & at.keys(), key=str))
        found &= _read(law, part, others, values)
    if found.mean is False:
        raise DivergentExpectation(f"{why}the expectation of {brief(plain)} diverges: {found.reason}")
    return found


@lru_cache(maxsize=2**10)
def _suspects(laws: tuple[Law, ...], plain: sp.Expr) -> list[tuple[Law, sp.Expr, tuple[Law, ...]]]:
    """What has to be read with numbers: a variable, the part of the integrand that holds it, and its other variables.

    That part is in signed symbols. Of variables that are alike one is enough.
    """
    found = {}
    literals = {
        f: sp.Float(f, 400) for law in laws for f in law.distribution.atoms(sp.Float)
    }  # 1e-37 − 1 loses nothing
    laws = tuple(law.at(literals) for law in laws)
    expression = plain.xreplace({law.symbol: law.signed for law in laws})
    for law in laws:
        x = law.signed
        if not law.is_finite and expression.has(x):
            part = expression.as_independent(x, as_Add=expression.is_Add)[1]
            if _growth(part, x) > _allowed(law):
                others = tuple(other for other in laws if other is not law and part.has(other.signed))
                alike = (law.distribution, part.xreplace({x: _X}), others)
                found.setdefault(alike, (*_in_base(law, part), others))
    return list(found.values())


# --- without numbers: what grows at most like a power has all its moments under most laws ---------------------------

_X = sp.Dummy("x")
BOUNDED, POWERS, EXPONENTIALS, MORE = range(4)
_BOUNDED = (sp.sin, sp.cos, sp.tanh, sp.erf, sp.erfc, sp.atan, sp.acot, sp.sech, sp.sign, sp.Heaviside, sp.frac)
_LIKE_ITS_ARGUMENTS = (sp.Add, sp.Mul, sp.Abs, sp.Max, sp.Min, sp.floor, sp.ceiling, sp.asinh)


def _allowed(law: Law) -> int:
    """What has a mean and a variance whatever the parameters."""
    known = {"bounded": BOUNDED, "powers": POWERS, "exponentials": EXPONENTIALS}[law.moments]
    return max(known, POWERS) if law.support.inf.is_finite and law.support.sup.is_finite else known


@cacheit
def _growth(e: sp.Basic, x: sp.Symbol) -> int:
    """How |e| may grow in x: not at all, like powers of |x| and of |log x|, like exp(c|x|), or more, or unknown."""
    if not e.has(x) or isinstance(e, _BOUNDED):
        return BOUNDED
    if e.is_Symbol:
        return POWERS
    if isinstance(e, sp.exp):
        bounded = e.args[0].is_nonpositive or _growth(e.args[0], x) == BOUNDED
        straight = e.args[0].is_polynomial(x) and sp.degree(e.args[0], x) <= 1
        return BOUNDED if bounded else EXPONENTIALS if straight else MORE
    if isinstance(e, sp.Pow):
        if e.exp.is_number and e.exp.is_positive:
            return _growth(e.base, x)
        return BOUNDED if e.exp.is_number and _away_from_zero(e.base) else MORE
    if isinstance(e, sp.log):  # at a pole or a zero of its argument, too, it is integrable
        return POWERS if _growth(e.args[0], x) <= EXPONENTIALS else MORE
    if isinstance(e, sp.Piecewise):
        return max(_growth(piece, x) for piece, _ in e.args)
    return max(_growth(part, x) for part in e.args) if isinstance(e, _LIKE_ITS_ARGUMENTS) else MORE


def _in_base(law: Law, part: sp.Expr) -> tuple[Law, sp.Expr]:
    """By its base law, where that is much lighter: a LogNormal variable falls like a power for a long way."""
    distribution, path = law.base() or (law.distribution, None)
    lightest = type(distribution) in FAMILIES and FAMILIES[type(distribution)].moments == "exponentials"
    if law.moments == "exponentials" or not lightest:
        return law, part
    base = law_of(named(distribution, "epsilon"))
    return base, part.xreplace({law.signed: path(base.signed)})


def _away_from_zero(base: sp.Expr) -> bool:
    """Whether it is a positive number and parts that are not negative."""
    number, rest = base.as_coeff_Add()
    return bool(number.is_positive and all(part.is_nonnegative for part in sp.Add.make_args(rest)))


# --- with numbers: how it falls --------------------------------------------------------------------------------------

BITS = 600
PLACES = (3, 5, 10, 20, 40, 80, 160, 320, 640, 1280)  # u; the distance is in units of the law's own
NOTHING = 10**6  # exp(−NOTHING) is
CLEAR = 1e-3  # a logarithm that is known less well says nothing
WAVY = 0.05  # slopes between ± WAVY say nothing where an oscillating factor may have been met at its zeros


@lru_cache(maxsize=2**10)
def _read(law: Law, part: sp.Expr, others: tuple[Law, ...], values: tuple) -> Existence:
    at = dict(values)
    if any(law.is_abstract for law in (law, *others)):
        return UNREAD
    with ctx.workprec(BITS):
        try:
            f, p, *ends = _compiled(law, part, others, tuple(at))
            numbers = [acb(float(number)) for number in at.values()]
            elsewhere = [acb(_typical(other, at)) for other in others]
            found, unit = Existence(), _unit(law, at)
            unsure = WAVY if any(wave.has(law.signed) for wave in part.atoms(sp.sin, sp.cos, sp.tan)) else 0.0
            places = [(*end, True) for end in _ends(law, ends, numbers)]
            for place, side, exact in [*places, *((*pole, False) for pole in _poles(law, part, others, at))]:
                found &= _falls(
                    lambda x: (f(x, *elsewhere, *numbers, False), p(x, *numbers, False)),
                    place,
                    exact,
                    side,
                    unit,
                    law.is_discrete,
                    unsure,
                )
            return found
        except NoBall:
            return UNREAD


@lru_cache(maxsize=2**8)
def _compiled(law: Law, part: sp.Expr, others: tuple[Law, ...], names: tuple[sp.Symbol, ...]) -> tuple:
    """Integrand, density and the ends of the support, on balls; an end that is infinite is None."""
    x = law.signed
    return (
        function_on_balls([x, *(other.signed for other in others), *names], part),
        function_on_balls([x, *names], law.density.xreplace({law.symbol: x})),
        *(None if end.is_infinite else function_on_balls(names, end) for end in (law.support.inf, law.support.sup)),
    )


def _typical(law: Law, at: Mapping[sp.Symbol, float]) -> float:
    """A value at which nothing is special."""
    return max(float(k) for k in law.at(at).table) if law.is_finite else _quantiles(law, at, 0.3)[0]


def _unit(law: Law, at: Mapping[sp.Symbol, float]) -> float:
    """How wide it is."""
    quantiles = _quantiles(law, at, 0.1)
    width = max(quantiles) - min(quantiles) if quantiles else 0.0
    return width if 0 < width < math.inf else 1.0


def _quantiles(law: Law, at: Mapping[sp.Symbol, float], tail: float) -> list[float]:
    return _spread(law, tuple(float(sp.sympify(p).xreplace(at)) for p in law.parameters), tail)


@lru_cache(maxsize=2**10)
def _spread(law: Law, numbers: tuple[float, ...], tail: float) -> list[float]:
    with np.errstate(all="ignore"):  # a quantile may be infinite in double precision
        return [float(q) for q in law.spread(list(numbers), (tail, 0.5))]


def _ends(law: Law, ends: Sequence[Callable | None], numbers: list[acb]) -> Iterator[tuple[arb | None, int]]:
    """A place and the side of it on which x lies; no place, and the side on which x goes to infinity."""
    for end, side in zip(ends, (1, -1)):
        if end is None:
            yield None, -side
        elif not law.is_discrete:
            yield end(*numbers, False).real, side


def _poles(
    law: Law, part: sp.Expr, others: tuple[Law, ...], at: Mapping[sp.Symbol, float]
) -> Iterator[tuple[arb, int]]:
    """The roots of what is divided by, where that is a polynomial in x."""
    x = law.signed
    for power in part.atoms(sp.Pow) if not law.is_discrete else ():
        base = power.base.replace(sp.Abs, lambda argument: argument)
        if power.exp.is_nonnegative or not base.has(x) or any(base.has(other.signed) for other in others):
            continue
        polynomial = sp.expand(base.xreplace({name: sp.Float(number, 200) for name, number in at.items()}))
        if polynomial.is_polynomial(x):
            for root in sp.Poly(polynomial.xreplace({x: sp.Dummy()})).nroots(n=180, maxsteps=500):
                if root.is_real and law.may_be(root):
                    yield from ((exactly(root), side) for side in (1, -1))


def _falls(
    both: Callable, place: arb | None, exact: bool, side: int, unit: float, whole: bool, unsure: float
) -> Existence:
    """Whether |F| p dx/du and F² p dx/du fall, in u."""
    known = []  # for the mean and for the square, (u, the logarithm)
    for u in PLACES[:7] if whole else PLACES:  # the factorial of larger numbers takes long
        found = []
        # More bits tell what is near to an end from the end; a pole is not known to more.
        with ctx.workprec(BITS + 2 * u if place is not None and exact else BITS):
            for j in range(3):  # an oscillating factor may vanish at one of them
                v = arb(u * (8 + j)) / 8
                distance = unit * (v.exp() if place is None else (-v).exp())
                x = side * distance + (0 if place is None else place)
                value, density = (_log(number) for number in both(acb(x.mid().floor() if whole else x)))
                if value is not None and density is not None:
                    sizes = value + density + distance.log(), 2 * value + density + distance.log()
                    found.append([(v, arb.neg_inf() if size < -NOTHING else size) for size in sizes])
        if found and all(not log.is_finite() or log.rad() < CLEAR for pair in found for _, log in pair):
            known.append([max(column, key=lambda at: at[1].mid()) for column in zip(*found)])
    if len(known) < 2:
        return UNREAD
    mean, square = (_slope(list(column)) for column in zip(*known))
    power = mean - 1 if place is None else -mean - 1
    behaves = f"behaves like |t|^{round(power, 6) + 0.0:.3g}" if abs(mean) < 1000 else "grows faster than any power"
    where = "infinity" if place is None else f"{float(place):.6g}"
    exists, spread = (slope < 0 or (None if abs(slope) < unsure else False) for slope in (mean, square))
    return Existence(exists, spread, f"times the density it {behaves} at {where}" if exists is False else "")


def _slope(points: list[tuple[arb, arb]]) -> float:
    """c of the logarithm c u + k log u + constant through the last three; just below 0 where c = 0 and k < −1.

    What is left out falls like a power of exp(−u): a c of its size is none.
    """
    (v, before), (u, log) = points[-2:]
    if not log.is_finite() or not before.is_finite():
        return math.inf if log.is_finite() else -math.inf
    if len(points) < 3 or not points[-3][1].is_finite():
        c, k, w = (log - before) / (u - v), arb(0), v
    else:
        w, first = points[-3]
        one, two = (v / w).log(), (u / v).log()
        c = ((log - before) * one - (before - first) * two) / ((u - v) * one - (v - w) * two)
        k = (log - before - c * (u - v)) / two
    if abs(c.mid()) > (-w / 2).exp():
        return float(c)
    return -math.ulp(0) if k < -1 else 0.0


def _log(number: acb) -> arb | None:
    """The logarithm of the size; of what oscillates, of its bound; None where nothing is known."""
    size = abs(number)
    if not size.is_finite():
        return None
    if size.contains(0):
        bound = size.abs_upper()
        return bound.log() if bound.is_zero() or bound.log() < NOTHING else None
    return size.log()
