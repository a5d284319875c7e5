"""Where an integrand must be cut, and the integral over what is between the cuts.

A kink, a jump or a pole lies where a *surface* is zero: the argument of an absolute value, the difference of two
arguments of a maximum, the base of a power. The variables are integrated one inside the other. A surface is solved for
the innermost of its variables, which cuts that one's range at a place that depends on the others; where two such cuts
meet, the order of the pieces changes, and the ranges outside are cut there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import sympy as sp

from gradlib.core.ball import function_on_balls
from gradlib.core.function import function_of
from gradlib.core.stable import expm1, log1p
from gradlib.oracle.enclosure import Line, Piece


@dataclass(frozen=True)
class Range:
    """One variable's: its ends, where most of its mass is, and where nearly all of it is (quantiles in order)."""

    symbol: sp.Symbol
    lower: sp.Expr
    upper: sp.Expr
    bulk: tuple[float, ...]
    whole: tuple[float, ...]

    @property
    def middle(self) -> float:
        return self.bulk[len(self.bulk) // 2] if self.bulk else 0.0

    @property
    def scale(self) -> float:
        """Half the width of the bulk; of the bulk of a law that lies at its end in double precision, its distance."""
        width = (self.bulk[-1] - self.bulk[0]) / 2 if len(self.bulk) > 1 else 0.0
        return width if 0 < width < math.inf else abs(self.middle) or 1.0


def surfaces_of(expression: sp.Expr) -> list[sp.Expr]:
    """What is zero where the expression may have a kink, a jump or a singularity."""
    found = []
    for node in sp.preorder_traversal(expression):
        if isinstance(node, (sp.Abs, sp.Heaviside, sp.sign, sp.log)):
            found.append(node.args[0])
        elif isinstance(node, (sp.Max, sp.Min)):
            found += [a - b for i, a in enumerate(node.args) for b in node.args[:i]]
        elif isinstance(node, sp.Piecewise):
            found += [r.lhs - r.rhs for _, c in node.args for r in c.atoms(sp.core.relational.Relational)]
        elif (
            isinstance(node, sp.Pow)
            and not node.exp.is_nonnegative
            or isinstance(node, sp.Pow)
            and not node.exp.is_Integer
        ):
            found.append(node.base)
        elif isinstance(node, (sp.floor, sp.ceiling, sp.frac)):
            found.append(sp.sin(sp.pi * node.args[0]))
    return list(dict.fromkeys(surface for surface in found if surface.free_symbols))


def integral_over(ranges: Sequence[Range], integrand: sp.Expr, name: str) -> Line:
    """∫ … ∫ integrand, the first variable outside."""
    # What is zero inside of a logarithm is looked for.
    integrand = _one_exponential(integrand.replace(log1p, lambda e: sp.log(1 + e)))
    centers = {}
    for r in ranges[:0:-1]:
        integrand, centers[r.symbol] = _around_its_center(integrand, r.symbol)
    function_on_balls([r.symbol for r in ranges], integrand)  # what has no meaning on balls is told at once
    cuts, sure = _cuts(ranges, [s for s in surfaces_of(integrand) if any(s.has(r.symbol) for r in ranges)])
    line = _line(list(ranges), integrand, cuts, centers, (), {}, {}, name)
    line.sure = sure
    return line


def _one_exponential(expression: sp.Expr) -> sp.Expr:
    """exp(a) exp(b) as exp(a + b), which neither overflows nor underflows on the way; in the terms of a sum, too."""

    def joined(product: sp.Expr) -> sp.Expr:
        sums = [factor for factor in product.args if factor.is_Add and factor.has(sp.exp)]
        if sums:
            rest = product / sums[0]
            terms = (term * rest for term in sums[0].args)
            return sp.Add(*(joined(term) if needs(term) else term for term in terms))
        powers = [factor for factor in product.args if isinstance(factor, sp.exp)]
        others = [factor for factor in product.args if not isinstance(factor, sp.exp)]
        return sp.Mul(*others, sp.exp(sp.Add(*(power.args[0] for power in powers))))

    def needs(e: sp.Expr) -> bool:
        powers = sum(isinstance(a, sp.exp) for a in e.args) if e.is_Mul else 0
        return powers > 1 or powers == 1 and any(a.is_Add and a.has(sp.exp) for a in e.args)

    return expression.replace(needs, joined)


def _with_signs(expression: sp.Expr, surfaces: list[tuple[sp.Expr, sp.Expr]]) -> sp.Expr:
    """Without the jumps and kinks at surfaces of which a value, and so the sign, is known."""
    known = {}
    for surface, value in surfaces:
        if value.is_real and value != 0:
            known[sp.expand(surface)], known[sp.expand(-surface)] = sp.sign(value), -sp.sign(value)

    def decided(e: sp.Basic) -> sp.Basic:
        kink = isinstance(e, (sp.Heaviside, sp.sign, sp.Abs))
        if not kink and len(e.args) != 2:
            return e
        difference = e.args[0] if kink else e.args[0] - e.args[1]
        sign = known.get(sp.expand(difference))
        if sign is None:
            return e
        if isinstance(e, sp.Abs):
            return sign * e.args[0]
        if isinstance(e, (sp.Max, sp.Min)):
            return e.args[0 if (sign > 0) == isinstance(e, sp.Max) else 1]
        return e.func(sign, *e.args[1:]) if kink else e.func(sign, 0)

    kinds = (sp.Heaviside, sp.sign, sp.Abs, sp.Max, sp.Min, sp.core.relational.Relational)
    return expression.replace(lambda e: isinstance(e, kinds), decided) if known else expression


def _vanishing(expression: sp.Expr, surface: sp.Expr, step: sp.Expr, quotient: sp.Expr) -> sp.Expr:
    """With a surface as the distance from the cut, which is positive, times what is left of it."""
    positive, negative = sp.expand(surface), sp.expand(-surface)

    def decided(e: sp.Basic) -> sp.Basic:
        if not isinstance(e, sp.core.relational.Relational):
            return e.func(quotient, *e.args[1:]) if e.args[0] == surface else e
        difference = sp.expand(e.lhs - e.rhs)
        return e.func(quotient, 0) if difference == positive else e.func(-quotient, 0) if difference == negative else e

    signs = expression.atoms(sp.Heaviside, sp.sign, sp.core.relational.Relational)
    return expression.xreplace({e: decided(e) for e in signs}).xreplace({surface: step * quotient})


def _is_exactly_zero(surface: sp.Expr, x: sp.Symbol, place: sp.Expr) -> bool:
    """Whatever its numbers are: 1 − x^a at 1. What is rounded to zero is not."""
    anything = {number: sp.Dummy(positive=True) for number in surface.atoms(sp.Float)}
    return place.is_Rational and surface.xreplace(anything).xreplace({x: place}).is_zero is True


def _quotient(surface: sp.Expr, x: sp.Symbol, place: sp.Expr, side: int, step: sp.Expr) -> sp.Expr | None:
    """What is left of a surface that is zero at a place when it is divided by the distance from there, if that is known."""
    if surface.is_polynomial(x):
        distance = sp.Dummy()
        exact = sp.expand(surface.xreplace({x: place + side * distance}))
        exact -= exact.as_independent(distance, as_Add=True)[0]
        return sp.expand(exact / distance).xreplace({distance: step})

    def change(e: sp.Expr) -> sp.Expr:
        """What e adds to its value at the place: no digits cancel."""
        if e == x:
            return side * step
        if not e.has(x):
            return sp.S.Zero
        if e.is_Add:
            return sp.Add(*map(change, e.args))
        constant, rest = e.as_independent(x, as_Add=False)
        if e.is_Mul and not rest.is_Mul:
            return constant * change(rest)
        here = e.args[0].xreplace({x: place})
        if isinstance(e, sp.exp):
            return sp.exp(here) * expm1(change(e.args[0]))
        if here.is_zero or not (isinstance(e, sp.log) or e.is_Pow and not e.exp.has(x)):
            raise NotImplementedError
        grows = log1p(change(e.args[0]) / here)
        return grows if isinstance(e, sp.log) else here**e.exp * expm1(e.exp * grows)

    try:
        return change(surface) / step
    except NotImplementedError:
        return None


def _around_its_center(expression: sp.Expr, y: sp.Symbol) -> tuple[sp.Expr, sp.Expr | None]:
    """With −a (y − m)² + c where a polynomial of the second degree stands in an exponential, and the last such m.

    On a wide ball the two say different things: y (m − y/2) may be large, and the square says that it is not.
    """
    center = None

    def squared(e: sp.exp) -> sp.Expr:
        nonlocal center
        a, b, c = sp.Poly(e.args[0], y).all_coeffs()
        center = sp.expand(-b / (2 * a))
        return sp.exp(a * (y - center) ** 2 + sp.expand(c - b**2 / (4 * a)))

    def quadratic(e: sp.Basic) -> bool:
        if not isinstance(e, sp.exp) or not e.has(y) or not e.args[0].is_polynomial(y):
            return False
        p = sp.Poly(e.args[0], y)
        return p.degree() == 2 and p.LC().is_number and bool(p.LC() < 0)

    return expression.replace(quadratic, squared), center


def _cuts(ranges: Sequence[Range], surfaces: list[sp.Expr]) -> tuple[dict[sp.Symbol, list], bool]:
    """For each variable where its range is cut, in terms of those outside, each with the surface that is zero there.

    And whether none can be missing: what is no polynomial or fraction is solved by SymPy, or by looking for changes of
    sign.
    """
    cuts: dict = {}
    sure = True
    for depth in range(len(ranges) - 1, 0, -1):
        r = ranges[depth]
        mine = [s for s in surfaces if s.has(r.symbol)]
        roots = [(root, s) for s in mine for root in _solved(s, r.symbol)]
        sure = sure and all(s.is_polynomial(r.symbol) for _, s in roots)
        cuts[r.symbol] = list({root: (root, s) for root, s in roots}.values())
        ends = [end for end in (r.lower, r.upper) if end.is_finite]
        meeting = cuts[r.symbol] + [(end, None) for end in ends]
        outside = {q.symbol for q in ranges[:depth]}
        surfaces = [s for s in surfaces if not s.has(r.symbol)]
        for i, (a, mine) in enumerate(meeting):
            for b, theirs in meeting[:i]:
                if mine is not theirs and (difference := sp.expand(a - b)).free_symbols & outside:
                    surfaces.append(difference)
            # A root ends where it stops being real, which is where it meets another of its surface.
            surfaces += [p.base for p in a.atoms(sp.Pow) if not p.exp.is_Integer and p.base.free_symbols & outside]
    first = ranges[0]
    quantiles = [mp.mpf(q) for q in first.whole]
    lower, upper = (_mpf(end) for end in (first.lower, first.upper))
    found = {}
    for s in dict.fromkeys(s for s in surfaces if s.has(first.symbol)):
        if len(ranges) > 1:
            s = sp.numer(sp.together(s))  # where the denominator is zero, the fraction has no sign to change
            sure = sure and s.is_polynomial(first.symbol)
        for root in roots_of(s, first.symbol, quantiles):
            if lower < root < upper and not any(abs(root - other) <= 1e-25 * (1 + abs(root)) for other in found):
                found[root] = s
    cuts[first.symbol] = [(sp.Float(root, 50), s) for root, s in found.items()]
    return cuts, sure


def _solved(surface: sp.Expr, y: sp.Symbol) -> list[sp.Expr]:
    """The roots in y in one formula each; none where there is none."""
    if surface.is_polynomial(y) and (degree := sp.degree(surface, y)) <= 2:
        c = sp.Poly(surface, y).all_coeffs()
        if degree == 1:
            return [-c[1] / c[0]]
        root = sp.sqrt(c[1] ** 2 - 4 * c[0] * c[2])
        return [(-c[1] - root) / (2 * c[0]), (-c[1] + root) / (2 * c[0])]
    try:
        found = sp.solve(surface, y, check=False, simplify=False, rational=False)
    except (NotImplementedError, TypeError, ValueError):
        return []
    return [root for root in found if not root.has(sp.Piecewise, sp.Integral, sp.CRootOf)]


def roots_of(surface: sp.Expr, x: sp.Symbol, edges: list[mp.mpf]) -> list[mp.mpf]:
    """The real roots in one variable: all of a polynomial, else those where a sign changes between the edges."""
    if surface.is_polynomial(x):
        with mp.workdps(60):
            return [mp.mpf(r) for r in sp.Poly(surface, x).nroots(n=50, maxsteps=200) if r.is_real]
    f = function_of([x], surface, "mpmath")
    roots = []

    def at(t: mp.mpf) -> mp.mpf | mp.mpc:
        try:
            return mp.mpmathify(f(t))
        except ZeroDivisionError:  # at a pole there is no sign
            return mp.nan

    grid = [a + (b - a) * mp.mpf(j) / 64 for a, b in zip(edges, edges[1:]) for j in range(64)] + [edges[-1]]
    with mp.workdps(60):
        values = [at(t) for t in grid]
        for a, b, fa, fb in zip(grid, grid[1:], values, values[1:]):
            if mp.im(fa) or mp.im(fb) or fa == fb == 0:
                continue
            if fa == 0:
                roots.append(a)
            elif mp.re(fa) * mp.re(fb) < 0:
                roots.append(mp.findroot(lambda t: mp.re(f(t)), (a, b), solver="anderson", verify=False))
    return roots


def _mpf(number: sp.Expr) -> mp.mpf:
    return {sp.oo: mp.inf, -sp.oo: -mp.inf}.get(number) or mp.mpf(number.evalf(60))


def _line(ranges, integrand, cuts, centers, outside: tuple, meaning: dict, sample: dict, name: str) -> Line:
    """The integral over the first of the ranges, of the integral over the others.

    Args:
        outside: the distances from their cuts of the variables outside, of which all depends.
        meaning: these variables in terms of their distances.
        sample: a value of each distance: it says in which order the cuts come, which is the same for all.
    """
    r, *inner = ranges
    x, ends = r.symbol, [end for end in (r.lower, r.upper) if end.is_finite]
    curved_at = lambda end: next((s for s in curved if _is_exactly_zero(s, x, end)), None)  # noqa: E731
    curved = [s for s in surfaces_of(integrand) if ranges == [r] and s.free_symbols == {x} and not s.is_polynomial(x)]
    marks: list[tuple[float, sp.Expr, sp.Expr | None]] = [(float(end), end, curved_at(end)) for end in ends]
    for place, surface in cuts[x]:
        place = place.xreplace(meaning)
        here = complex(place.xreplace(sample).evalf(30))
        inside = float(r.lower) < here.real < float(r.upper) and abs(here.imag) <= 1e-20 * (1 + abs(here))
        if inside and not any(abs(here - other) <= 1e-14 * (1 + abs(here)) for other, *_ in marks):
            marks.append((here.real, place, surface.xreplace(meaning)))
    if not marks:
        center = centers.get(x) or sp.Float(r.middle)
        center = center.xreplace(meaning)
        marks.append((float(center.xreplace(sample).evalf(30)), center, None))
    marks.sort(key=lambda mark: mark[0])
    base = cache(lambda: function_on_balls((*outside, x), integrand))

    def piece(i: int, side: int) -> Piece:
        here, place, surface = marks[i]
        end = None if not 0 <= i + side < len(marks) else marks[i + side]
        width = sp.Float(r.scale) if end is None else side * (end[1] - place) / 2
        moving = bool((place.free_symbols | width.free_symbols) and outside)

        def chart(symbol: sp.Symbol, step: sp.Expr, value: float):
            """The integrand by the distance from the cut: what is zero there is a multiple of it, not a difference."""
            there = integrand.xreplace({x: place + side * step})
            if outside:  # between the cuts a surface that is solved has one sign
                solved = {s: s.xreplace({**meaning, x: place + side * step}) for _, s in cuts[x]}
                number = {**sample, symbol: sp.Float(value, 30)}
                there = _with_signs(there, [(s, s.xreplace(number).evalf(30)) for s in solved.values()])
            if (
                surface is not None
                and (place in ends or surface.is_polynomial(x))
                and (quotient := _quotient(surface, x, place, side, step)) is not None
            ):
                there = _vanishing(there, surface.xreplace({x: place + side * step}), step, quotient)
            there *= step if step != symbol else 1
            if not inner:
                return function_on_balls((*outside, symbol), there)
            return _line(
                inner,
                there,
                cuts,
                centers,
                (*outside, symbol),
                {**meaning, x: place + side * step},
                {**sample, symbol: sp.Float(value)},
                name,
            )

        size = float(abs(complex(width.xreplace(sample).evalf(30))))
        t, v = sp.Dummy("t", positive=True), sp.Dummy("v", real=True)
        where = function_on_balls(outside, place)
        if inner or moving or surface is not None or outside and cuts[x]:
            plain, shared = chart(t, t, size / 2), None
        else:

            def plain(*arguments):
                *balls, distance, an = arguments
                return base()(*balls, where(*balls, an) + side * distance, an)

            def shared(*arguments):
                *balls, log, an = arguments
                distance = log.exp()
                return base()(*balls, where(*balls, an) + side * distance, an) * distance

        def in_log(direction: int, regular: bool):
            if shared is not None and regular and place != 0:
                if direction * side > 0 and r.lower.is_nonnegative and integrand.has(sp.log, sp.Pow):
                    # x = e^v (1 + place e^(−v)): powers and logarithms come apart, which have a cut elsewhere.
                    far = integrand.xreplace({x: sp.exp(v) * (1 + place * sp.exp(-v))}) * sp.exp(v)
                    return function_on_balls((*outside, v), _one_exponential(sp.expand_log(far, force=True)))
                return shared
            return chart(v, sp.exp(v), math.log(size) + direction)

        far = max([side * (q - here) for q in r.whole], default=0.0)
        least = math.log(far / size) if size < far < math.inf else 1.0
        return Piece(
            plain, in_log, function_on_balls(outside, width), end is None, sp.sstr(place, full_prec=False), least
        )

    return Line(
        [
            piece(i, side)
            for i, (here, *_) in enumerate(marks)
            for side in (-1, 1)
            if here != float(r.upper if side > 0 else r.lower)
        ],
        name,
        bool(outside or inner),
    )
