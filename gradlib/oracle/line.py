"""Integrals over one variable, and sums over its values."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, count

import mpmath as mp
import numpy as np
import sympy as sp
from flint import acb, arb, ctx
from sympy.simplify.fu import TR8

from gradlib.core.errors import DivergentExpectation, QuadratureError
from gradlib.core.law import Law
from gradlib.oracle.enclosure import Unclear
from gradlib.oracle.region import roots_of, surfaces_of

#: Relative tolerance that every one-dimensional quadrature has to reach.
TOLERANCE = 1e-11


def _mpf(number: sp.Expr) -> mp.mpf:
    """An end of a support, with all the digits that an integral may work with."""
    with mp.workdps(330):
        return {sp.oo: mp.inf, -sp.oo: -mp.inf}.get(number) or mp.mpf(number.evalf(330))


def _panels(edges: list[mp.mpf], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights on each interval between neighbouring edges."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    ends = np.array(edges, float)
    half, middle = np.diff(ends)[:, None] / 2, (ends[1:] + ends[:-1])[:, None] / 2
    return (half * nodes + middle).ravel(), (half * weights).ravel()


def _alternating_tail(h, start: mp.mpf, half_period: mp.mpf, terms: int = 80) -> tuple[mp.mpf, mp.mpf]:
    """∫ h from start to ∞ and an error estimate, where h changes sign every half period.

    The integrals over half periods alternate and vary slowly, so repeated averaging of
    their partial sums (Euler's transformation) converges like 2^(−terms).
    """
    rule = _legendre(20)
    pieces = [mp.fsum(w * h(start + half_period * (j + u)) for u, w in rule) * half_period for j in range(terms)]
    sums = list(accumulate(pieces))
    previous = sums[-1]
    while len(sums) > 1:
        previous = sums[-1]
        sums = [(a + b) / 2 for a, b in zip(sums, sums[1:])]
    return sums[0], abs(sums[0] - previous)


@lru_cache
def _legendre(order: int) -> list[tuple[mp.mpf, mp.mpf]]:
    """Gauss–Legendre nodes and weights on (0, 1), with more digits than NumPy has."""
    with ctx.workprec(160), mp.workprec(160):
        found = (arb.legendre_p_root(order, k, weight=True) for k in range(order))
        return [tuple(mp.mpf(number.str(45, radius=False)) for number in ((u + 1) / 2, w / 2)) for u, w in found]


def _oscillating(expression: sp.Expr, x: sp.Symbol) -> list[tuple[sp.Expr, sp.Expr | None]]:
    """Split into terms with at most one sine or cosine each: [(term, its frequency or None)]."""
    pieces = []
    for term in sp.Add.make_args(sp.expand(TR8(sp.expand(expression)))):
        waves = [wave for wave in term.atoms(sp.sin, sp.cos) if wave.has(x)]
        frequency = waves[0].args[0].diff(x) if len(waves) == 1 else None
        pieces.append((term, frequency if frequency is not None and frequency.is_number else None))
    return pieces


def _integral(h, lower, upper, quantiles, kinks, name: str, check: bool) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """∫ h over the support, where h = f·p, an estimate of its error, and ∫ |h|."""
    seen: dict[mp.mpf, mp.mpf] = {}  # the integrals of h and of |h| share their nodes

    def guarded(t):
        if t not in seen:
            try:
                value = h(t)
            except ZeroDivisionError:  # an integrable singularity, met at the end of a panel
                value = mp.mpf(0)
            if isinstance(value, mp.mpc):
                raise ValueError(f"{name} is not real at {mp.nstr(t, 6)}: restrict the support, or mend the integrand")
            seen[t] = value if mp.isfinite(value) else mp.mpf(0)
        return seen[t]

    points = sorted({lower, *(q for q in (*quantiles, *kinks) if lower < q < upper), upper})
    points = _with_decades(points, quantiles[len(quantiles) // 2])
    digits = 18
    if check:
        middle = len(quantiles) // 2  # the spread of the bulk: far quantiles of a heavy tail say nothing about it
        around = quantiles[max(middle - 1, 0) : middle + 2]
        scale = around[-1] - around[0] or mp.mpf(1)  # double precision may not tell them apart
        ends = [(lower, 1), (upper, -1), *((k, side) for k in kinks for side in (1, -1) if lower < k < upper)]
        digits = max(_digits_needed(h, point, side, scale, quantiles[middle], name) for point, side in ends)
    # Where positive and negative parts cancel, more digits are needed; a value below
    # 10^(−15) of its parts counts as 0.
    for digits in (digits, max(digits, 30), digits + 25):
        seen.clear()
        with mp.workdps(digits):
            value, error = mp.quad(guarded, points, error=True, maxdegree=6 + digits // 20)
            if error <= TOLERANCE * max(abs(value), mp.mpf(10) ** -300):
                # The nodes' values are rounded as well.
                return value, error + 100 * mp.eps * abs(value), abs(value)
            size = mp.quad(lambda t: abs(guarded(t)), points, maxdegree=4)
            if error <= TOLERANCE * size / 10**15:
                return value, error, size
    raise QuadratureError(
        f"the quadrature of {name} did not reach a relative error of {TOLERANCE:g} (estimate {mp.nstr(value, 6)}, "
        f"error {mp.nstr(error, 2)}): the integrand oscillates or decays too slowly"
    )


def _with_decades(points: list[mp.mpf], middle: mp.mpf) -> list[mp.mpf]:
    """In a heavy tail a panel may be so long that the rule does not see where it begins, which is where its mass is."""
    more = []
    for a, b in zip(points, points[1:]):
        near, far = (a, b) if a > max(middle, 0) else (b, a) if b < min(middle, 0) else (1, 1)
        if mp.isfinite(far) and (parts := int(mp.log10(far / near) / 10)):
            more += [near * (far / near) ** (mp.mpf(j) / (parts + 1)) for j in range(1, parts + 1)]
    return sorted([*points, *more])


def _digits_needed(h, point: mp.mpf, side: int, scale: mp.mpf, center: mp.mpf, name: str) -> int:
    """Measure a in |h| ~ t^a, where t is the distance to the point (or |x| at infinity).

    Convergence needs a > −1 at a finite point and a < −1 at infinity. What lies closer to
    a finite point than δ contributes δ^(1+a), and arithmetic of d digits reaches
    δ = 10^(−d): hence the number of digits to work with.
    """
    infinite = mp.isinf(point)

    def size(t):
        # The largest of several neighbours: an oscillating factor may vanish at one of them.
        values = [h(-side * x if infinite else point + side * x) for x in (t * (1 + mp.mpf(j) / 7) for j in range(7))]
        return max(abs(v) for v in values)

    with mp.workdps(60):
        near, far = (mp.mpf(10) ** 20, mp.mpf(10) ** 22) if infinite else (mp.mpf(10) ** -22, mp.mpf(10) ** -24)
        if infinite:
            scale += abs(center)
        try:
            first, second = size(near * scale), size(far * scale)
        except OverflowError:
            raise DivergentExpectation(f"the expectation of {name} diverges: the integrand overflows") from None
        if first == 0 or second == 0:
            return 18
        exponent = (mp.log(second) - mp.log(first)) / (mp.log(far) - mp.log(near))
    margin = -1 - exponent if infinite else exponent + 1
    if not margin > 1e-3:  # with exponent −1 exactly, the integral diverges like a logarithm
        where = "infinity" if infinite else mp.nstr(point, 6)
        behaviour = (
            f"behaves like |t|^{mp.nstr(exponent, 3)}" if abs(exponent) < 1000 else "grows faster than any power"
        )
        raise DivergentExpectation(f"the expectation of {name} diverges: times the density it {behaviour} at {where}")
    digits = int(13 / margin) + 5
    if digits > 300:
        raise QuadratureError(
            f"the expectation of {name} converges too slowly to be computed (|t|^{mp.nstr(exponent, 4)})"
        )
    return max(18, digits)


def _kinks(expression: sp.Expr, x: sp.Symbol, quantiles, lower, upper) -> list[mp.mpf]:
    """Points where the integrand has a kink, a jump or a singularity, found by sign changes."""
    found = (roots_of(surface, x, quantiles) for surface in surfaces_of(expression) if surface.has(x))
    return sorted({root for roots in found for root in roots if lower < root < upper})


def _sum(term: Callable[[acb], arb], law: Law, name: str, beyond: float = 0) -> tuple[arb, arb]:
    """Σ term(k) over an infinite range, until the terms are negligible and shrink geometrically, and Σ |term(k)|.

    Not before the last jump of the integrand, from which on terms that were small may be large.
    """
    # A tail that does not shrink means divergence; the ratio far out decides.
    far = 20_000
    terms = [abs(term(acb(k))) for k in range(far, far + 4)]
    if terms[0].mid() and max(float((b / a).mid()) for a, b in zip(terms, terms[1:])) >= 1 and max(terms) > 1e-30:
        raise DivergentExpectation(f"the expectation of {name} diverges: its terms do not shrink")
    total, size, quiet = arb(0), arb(0), 0
    least = arb(2) ** (-ctx.prec)
    for k in count(int(law.support.inf)):
        here = term(acb(k))
        if not here.is_finite():
            raise Unclear
        total, size = total + here, size + abs(here)
        quiet = quiet + 1 if abs(here) <= least * size else 0
        if quiet == 1 or k <= beyond:
            first = abs(here).abs_upper()
        if quiet >= 30 and k > beyond + 30 and (size > 0 or k > 1000):
            return total + arb(0, 30 * first), size  # the rest falls as these thirty did, or faster
        if k > 200_000:
            raise QuadratureError(f"the sum for {name} has not converged after 200,000 terms")
