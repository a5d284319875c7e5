"""Integrals over one variable or several, enclosed in a ball by Arb.

The range is cut where the integrand may have a kink, a jump or a pole, so that it is analytic on each piece; a cut may
depend on the variables outside. Each half of a piece is described by the distance t from its cut. Where the piece has
no end, or the integrand none at the cut, it is followed in u = log t, in which every power is an exponential: how fast
it falls there says whether the integral exists, and where it may be left off. That last part is measured, not proved;
all else is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from flint import acb, arb, ctx

from gradlib.core.errors import DivergentExpectation, QuadratureError
from gradlib.core.progress import Bar

# Bits to work with, and bits of the result to reach: near a pole that is not at 0 digits are lost on the way.
PRECISIONS = ((80, 48), (200, 88), (400, 160), (800, 88), (800, 320), (3200, 88))
NARROW = 1e-11  # relative
ZERO = 2.0**-80  # of the parts: what lies within this of zero, and may be zero, is zero
ROUGH = 8  # bits, where the size is enough
EVALUATIONS = 200_000  # of one integrand, at most
EFFORT = 1_500_000  # evaluations for one number
OFTEN = 1_000  # evaluations from one look at the clock to the next
LEAST = arb((1, -(10**9)))  # an error of nothing
MANY = 400  # bits, with which what overflows is large and not only unknown
FARTHEST, NEAR = 160, 12  # u = 2^160 is the last place where the decay is looked at; 2^12 within another integral


class TooLong(Exception):
    """The effort is spent."""


class Unclear(Exception):
    """More digits are needed."""


def enclose(value: Callable[[int], tuple[arb, arb]], name: str) -> arb:
    """The ball that ``value`` gives for a number of bits, as many as it needs to be narrow; it gives its parts' size.

    Raises:
        QuadratureError: if no precision is enough.
    """
    best, asked = None, 0
    with _Effort(name):
        for bits, goal in PRECISIONS:
            with ctx.workprec(bits):
                try:
                    found, size = value(goal)
                except Unclear:
                    continue
                except TooLong:
                    break
                if not found.is_finite():
                    continue
                if found.rad() <= NARROW * abs(found.mid()):
                    return found
                if found.contains(0) and found.rad() <= ZERO * size:
                    return arb(0, found.abs_upper())
                if best is not None and goal > asked and found.rad() > best.rad() / 2:  # more digits do not help
                    break
                best, asked = found, goal
    raise QuadratureError(
        f"the quadrature of {name} did not reach a relative error of {NARROW:.1g}"
        + (f" ({best.str(6)})" if best is not None and best.is_finite() else "")
        + ": the integrand oscillates, or loses its digits"
    )


class _Effort(Bar):
    """The evaluations for one number, counted; what takes long shows how many are left before it is given up."""

    now: _Effort | None = None  # Arb calls the integrand through layers that hand nothing on

    def __init__(self, name: str):
        super().__init__(name if len(name) < 40 else "an integral", "evaluations", EFFORT)
        self.look["leave"] = False  # there may be many
        self.spent = 0

    def __enter__(self) -> _Effort:
        self.outer, _Effort.now = _Effort.now, self
        return self

    def __exit__(self, *error) -> None:
        _Effort.now = self.outer
        super().__exit__(*error)

    def count(self) -> None:
        self.spent += 1
        if self.spent % OFTEN == 0:
            self.show(self.spent)
        if self.spent > EFFORT:
            raise TooLong


class Piece:
    """One side of a cut: the distance t from it runs from 0 to a width, or to infinity.

    Args:
        plain: the integrand, of the balls outside and t.
        in_log: makes, for the direction and whether the integrand is analytic at the cut, the integrand of the balls
            outside and log t, times t.
        width: of the balls outside; up to there t is used, if the integrand is analytic at the cut.
        infinite: whether t goes on.
        where: the cut, for messages.
        least: how far log(t/width) has to go at least, where the piece has no end and the integrand is zero at places:
            it may be so where nobody looked.
    """

    def __init__(self, plain: Callable, in_log: Callable, width: Callable, infinite: bool, where: str, least: float):
        self.plain, self.width, self.infinite, self.where, self.least = plain, width, infinite, where, least
        self.in_log = cache(in_log)
        self.regular: bool | None = None


class Line:
    """∫ over one variable, as a function of the balls of the variables outside it.

    Attributes:
        floor: an error that does not matter to who asks.
        goal: how many bits are asked for; few where the size is enough.
        sure: whether every cut is known to be there.
    """

    def __init__(self, pieces: list[Piece], name: str, nested: bool):
        self.pieces, self.name = pieces, name
        self.farthest = NEAR if nested else FARTHEST
        self.floor, self.goal, self.sure = arb(0), 48, True

    def __call__(self, *outside) -> acb:
        """The integral; the last argument says whether it must be analytic in the others."""
        *balls, an = outside
        return self.total(balls, an, self.goal)[0]

    def total(self, balls: Sequence[acb] = (), an: bool = False, goal: int = 48) -> tuple[acb, arb]:
        """The integral to a number of bits, and the size of its parts."""
        # For the values on a wide ball a bound is enough.
        wide = any(ball.rad() > 2.0**-30 * (1 + abs(ball.mid())) for ball in balls)
        bits, evaluations = (4, 200) if wide else (goal, 20_000 if goal <= ROUGH else EVALUATIONS)
        value, size = acb(0), arb(0)
        for piece in self.pieces:
            for part in self.parts(piece, balls, an):
                part, rest = part(bits, size, evaluations)
                value, size = value + part + acb(arb(0, rest)), size + part.abs_upper()
                if not value.is_finite():
                    return value, size
        return value, size

    def parts(self, piece: Piece, balls: Sequence[acb], an: bool):
        """The near part of a piece and its far one, as functions of what is asked of them."""
        width, middle = piece.width(*balls, an), [acb(ball.mid()) for ball in balls]
        at = piece.width(*middle, False)
        f = piece.plain
        if piece.regular is None:
            near = at * acb(arb(2.0**-31, 2.0**-31), arb(0, 2.0**-31))
            piece.regular = _asked(f, ROUGH)(*middle, near, True).is_finite()
        if piece.regular:
            g = lambda s, inner: f(*balls, s * width, an or inner) * width  # noqa: E731
            yield lambda bits, size, limit: (self.integral(f, g, 1, bits, size, limit), 0)
        else:
            yield self.logarithmic(piece, balls, middle, width, at, an, -1)
        if piece.infinite:
            yield self.logarithmic(piece, balls, middle, width, at, an, 1)

    def logarithmic(self, piece: Piece, balls, middle, width, at, an: bool, direction: int) -> Callable:
        """∫ from the width to infinity, or from 0 to the width, in u = ±log(t/width)."""
        f, log_width, begin = piece.in_log(direction, piece.regular), width.log(), at.log()
        g = lambda u, inner: f(*balls, log_width + direction * u, an or inner)  # noqa: E731

        def part(bits: int, size: arb, limit: int) -> tuple[acb, arb]:
            end, rest = reach(
                lambda u, floor: _asked(f, ROUGH, floor)(*middle, begin + direction * u, False),
                direction,
                self.name,
                piece.where if direction < 0 else "infinity",
                bits,
                piece.least if direction > 0 else (bits + 8) * math.log(2),
                self.farthest,
            )
            return self.integral(f, g, end, bits, size, limit), rest

        return part

    def integral(self, f: Callable, g: Callable, end: float, bits: int, size: arb, limit: int) -> acb:
        floor = self.floor + size * arb(2) ** -bits + LEAST
        return _integral(_asked(f, bits, floor / (8 * end)) and g, end, bits, floor, limit)


def _asked(f: Callable, goal: int, floor: arb = arb(0)) -> Callable:
    """An integrand that is an integral itself is told how well it must be known."""
    if isinstance(f, Line):
        f.goal, f.floor = goal, floor
    return f


def _integral(f: Callable, end: float, bits: int, floor: arb, evaluations: int) -> acb:
    """Arb's integral from 0; an error in the integrand comes out as it is."""
    # Pieces wait in a heap: the largest error is mended first, so that a relative error can be reached where the
    # integrand is zero for a while.
    goal = {
        "rel_tol": arb(2) ** -bits,
        "abs_tol": floor,
        "use_heap": True,
        "depth_limit": 10**5,
        "eval_limit": evaluations,
    }
    caught: list[BaseException] = []

    def careful(x, an):
        try:
            _Effort.now.count()
            return f(x, an)
        except BaseException as error:
            caught.append(error)
            raise

    try:
        found = acb.integral(careful, 0, end, **goal)
    except SystemError:
        if not caught:
            raise
    if caught:  # an interruption may be lost on its way through Arb, and the number be wrong
        raise caught[0] from None
    return found


def reach(
    g: Callable[[float, arb], acb],
    direction: int,
    name: str,
    where: str,
    bits: int,
    least: float,
    farthest: int = FARTHEST,
) -> tuple[float, arb]:
    """How far the integral of g over u from 0 has to go, and how large the rest is, judged by its decay.

    g is told besides u of an error that does not matter.

    Raises:
        DivergentExpectation: if g does not fall fast enough for its integral to exist.
        QuadratureError: if that cannot be told.
    """
    drop = (bits + 8) * math.log(2)

    largest, peak = -math.inf, 0.0

    def size(u: float) -> float:
        """The largest of several neighbours: an oscillating factor may vanish at one of them."""
        nonlocal largest, peak
        floor = arb(largest - drop - 8).exp() if largest > -math.inf else arb(0)
        values = {u * (1 + j / 7): g(u * (1 + j / 7), floor) for j in range(3)}
        found = {place: _log_of(value) for place, value in values.items()}
        place = max(found, key=found.get)
        if found[place] > largest:
            if found[place] > largest + 20 and sizes and values[place].rel_accuracy_bits() < 2:
                raise Unclear  # a bound that says nothing
            largest, peak = found[place], place
        return found[place]

    sizes: list[float] = []
    sizes.append(size(0.0))
    u, quiet, power = 1.0, 0, math.nan
    for step in range(farthest):
        try:
            here = size(u)
        except (Unclear, QuadratureError):
            if quiet:  # it overflows where nothing is left of it
                here = -math.inf
            elif step < 4 or farthest == FARTHEST and not (ctx.prec >= MANY and sizes[-3] <= sizes[-2] <= sizes[-1]):
                raise Unclear from None
            else:  # it has grown as far as it can be followed
                break
        if here == math.inf:
            if sizes[-1] < max(1e3, *sizes[:-1]) or farthest == FARTHEST and ctx.prec < MANY:
                raise Unclear
            power = -math.inf
            break
        # g ~ u^(−power) here; of what falls like an exponential the power is as large as u.
        power = (sizes[-1] - here) / math.log(2) if here > -math.inf else math.inf
        sizes.append(here)
        # Within another integral it may be known to the error that does not matter, and have no power then.
        gone = here == -math.inf or here < largest - drop and (power > 1.5 or farthest < FARTHEST)
        quiet = quiet + 1 if gone else 0
        if quiet == 3:
            # Back to where it became negligible; from there on it falls at least like u^(-1.5).
            small, low, high = largest - drop, min(max(peak, u / 8 if u > 4 else 0.0), u / 4), u / 4
            for _ in range(4):
                middle = (low + high) / 2
                low, high = (low, middle) if size(middle) < small else (middle, high)
            if -math.inf in sizes:
                high = max(high, least)
            return high, arb(size(high)).exp() * (2 * high) if size(high) > -math.inf else arb(0)
        u *= 2
    slope = power  # of −log g
    if math.isfinite(power):
        near, far = g(u / 4, arb(0)), g(u / 2, arb(0))
        if farthest == FARTHEST and min(near.rel_accuracy_bits(), far.rel_accuracy_bits()) < 2:
            raise Unclear  # bounds that say nothing
        slope = (_log_of(near) - _log_of(far)) / (u / 4)
    if farthest < FARTHEST and 0.1 < power:
        raise QuadratureError(f"the expectation of {name} converges too slowly to be computed, if it does, at {where}")
    behaviour = f"behaves like |t|^{-direction * slope - 1:.3g}" if abs(slope) < 1000 else "grows faster than any power"
    raise DivergentExpectation(f"the expectation of {name} diverges: times the density it {behaviour} at {where}")


def _log_of(value: acb) -> float:
    """The logarithm of a bound: what is known to few digits only must be small."""
    bound = value.abs_upper()
    if bound.is_nan():
        raise Unclear
    if not bound.is_finite():
        return math.inf
    if bound.is_zero():
        return -math.inf
    found = float(bound.log())
    return found if found > -1e30 else -math.inf
