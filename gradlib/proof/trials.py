"""Equalities between expectations, tried on numbers.

Both sides are evaluated, as they stand, at a few random instances (:mod:`gradlib.proof.instances`) by
quadrature (:mod:`gradlib.proof.quadrature`). That is evidence, not proof. What has no numeric value is
``Undecided`` and counts for nothing.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef

from gradlib.proof.instances import DIGITS, INSTANCES, Instance, instance
from gradlib.proof.lower import Undecided, bound_symbols, depth, entries, laws_of, lower
from gradlib.proof.quadrature import compiled, switches
from gradlib.proof.rules import Rewrite

AGREEMENT = mpmath.mpf("1e-10")  # the relative difference of two numbers that count as equal
NOISE = mpmath.mpf("1e-14")
FURTHER = 16  # instances for sides without an integral, where one costs next to nothing


class Instances:
    """All sides of a chain at the same random instances; each is evaluated once.

    Args:
        sides: scalars or matrices.
        rules: the rules named anywhere in the chain. A definition is spelled out. A hypothesis
            about what the sides mention couples what would be drawn independently: then
            nothing is ``available``, unless ``chosen`` couples it too.
        chosen: ``rng -> {function or symbol: callable or value}``, or ``None``.
        conditions: relations that the parameters satisfy.
    """

    def __init__(
        self, sides: Sequence, rules: Sequence = (), chosen: Callable | None = None, conditions: Sequence = ()
    ):
        rewrites = [r for r in rules if isinstance(r, Rewrite)]
        self.laws = laws_of([*sides, *(e for r in rewrites for e in (r.lhs, r.rhs))])
        self.sides = [lower(side) for side in sides]
        defined = [r for r in rewrites if r.defines]
        for definition in defined * len(defined):  # one may be named in the next
            spell_out = functools.partial(definition.apply, None)
            self.sides = [
                side.applyfunc(spell_out) if isinstance(side, sp.MatrixBase) else spell_out(side) for side in self.sides
            ]
        self.chosen, self.conditions = chosen or (lambda rng: {}), conditions
        mentioned = set().union(*map(_names, self.sides))
        coupled = chosen is None and any(
            r.supposed and mentioned & (_names(lower(r.lhs)) | _names(lower(r.rhs))) for r in rewrites
        )
        self.available = not coupled and all(depth(e) <= 2 for side in self.sides for e in entries(side))
        self.at, self.values = functools.cache(self._at), functools.cache(self._values)

    def _at(self, seed: int) -> Instance:
        flat = [e for side in self.sides for e in entries(side)]
        return instance(flat, self.laws, self.conditions, self.chosen(random.Random(seed)), seed)

    def _values(self, i: int, seed: int) -> list:
        """The entries of side i at one instance."""
        # Nested integrals cost the square: fewer digits, still far more than the ten compared.
        return [self.number(e, seed, DIGITS if depth(self.sides[i]) < 2 else 18) for e in entries(self.sides[i])]

    def number(self, e, seed: int, digits: int = DIGITS, step: int = 4):
        case = self.at(seed)
        if e.has(sp.DiracDelta):
            raise Undecided("a point mass is no function: write its integral")
        e, numbers = case.concrete(_plain_derivatives(e))
        with mpmath.workdps(digits):
            try:
                function = compiled(e, tuple(numbers), mpmath.mpf(10) ** -step)
                return mpmath.mpmathify(function(*numbers.values()))
            except (
                ZeroDivisionError,
                OverflowError,
                TypeError,
                NameError,
                NotImplementedError,
                AttributeError,
            ) as error:
                raise Undecided(f"{type(error).__name__}: {error}") from error

    def describe(self, seed: int) -> str:
        arity = {type(e): len(e.args) for side in self.sides for e in side.atoms(AppliedUndef)}
        return self.at(seed).describe(arity)


def _names(e) -> set:
    """The undefined functions and the free symbols."""
    return e.free_symbols | {type(f) for f in e.atoms(AppliedUndef)}


def _plain_derivatives(e):
    """SymPy's Derivative(F(g(x)), g(x)) with a plain variable, so that g can be filled in."""

    def plain(derivative):
        names = {v: sp.Dummy("y", real=True) for v in derivative.variables if not isinstance(v, sp.Symbol)}
        if not names:
            return derivative
        inner = sp.Derivative(derivative.expr.xreplace(names), *(names.get(v, v) for v in derivative.variables))
        return sp.Subs(inner, list(names.values()), list(names))

    return e.replace(lambda d: isinstance(d, sp.Derivative), plain)


class Disagreement(ArithmeticError):
    """The numbers do not support an equality; the arguments are the reason and the numbers."""


def agreement(instances: Instances, i: int, proved: bool) -> int:
    """The number of instances on which side i agrees with side i + 1.

    Args:
        proved: a proof settles what numbers cannot: two zeros, and branches that no
            instance visits.

    Raises:
        Disagreement: if they differ, or the numbers show nothing.
        Undecided: if there is no number.
    """
    pairs = list(zip(entries(instances.sides[i]), entries(instances.sides[i + 1]), strict=True))
    informative = [proved] * len(pairs)
    for seed in range(INSTANCES):
        for k, (a, b) in enumerate(zip(instances.values(i, seed), instances.values(i + 1, seed), strict=True)):
            # Two numbers that both come out as rounding noise say nothing about each other.
            noise = mpmath.isfinite(a) and mpmath.isfinite(b) and max(abs(a), abs(b)) < NOISE
            if not noise and not _agree(a, b):
                raise _difference(instances, seed, a, b)
            if noise and not informative[k] and any(map(_is_literally_zero, pairs[k])):
                if not all(_shrinks(instances, e, seed, value) for e, value in zip(pairs[k], (a, b))):
                    raise _difference(instances, seed, a, b)
                noise = False
            informative[k] |= not noise
    if not all(informative):
        raise Disagreement(
            "both sides vanish on every random instance, which shows nothing; write 0 for the side that is 0", ""
        )
    if not proved:
        for pair in pairs:
            _try_further(instances, *pair)
    return INSTANCES


def _agree(a, b) -> bool:
    return bool(mpmath.isfinite(a) and mpmath.isfinite(b)) and abs(a - b) <= AGREEMENT * max(abs(a), abs(b))


def _difference(instances: Instances, seed: int, a, b) -> Disagreement:
    numbers = f"left  = {mpmath.nstr(a, 15)}\nright = {mpmath.nstr(b, 15)}\nleft - right = {mpmath.nstr(a - b, 6)}"
    return Disagreement(
        f"the two sides differ on random instance {seed + 1}", f"{numbers}\nat {instances.describe(seed)}"
    )


def _is_literally_zero(e) -> bool:
    return depth(e) == 0 and e.doit() == 0


def _shrinks(instances: Instances, e, seed: int, value) -> bool:
    """Noise shrinks with the precision; a number does not, however small it is."""
    digits = (DIGITS if depth(e) < 2 else 18) + 6
    return abs(instances.number(e, seed, digits, step=5)) <= (abs(value) / 100 if value else mpmath.mpf(10) ** -digits)


def _try_further(instances: Instances, left, right) -> None:
    """More points where they are cheap; and every branch on the parameters has to be tried."""
    seeds = list(range(INSTANCES))
    if depth(left) == depth(right) == 0:
        for seed in range(INSTANCES, INSTANCES + FURTHER):
            try:
                a, b = instances.number(left, seed), instances.number(right, seed)
            except Undecided:  # outside the domain of the two sides
                continue
            if not (mpmath.isfinite(a) or mpmath.isfinite(b)):
                continue
            if not max(abs(a), abs(b)) < NOISE and not _agree(a, b):
                raise _difference(instances, seed, a, b)
            seeds.append(seed)
    for e in (left, right):
        for argument, signs in switches(e).items():
            if not argument.free_symbols & bound_symbols(e) and not signs <= {
                int(mpmath.sign(mpmath.re(instances.number(argument, seed)))) for seed in seeds
            }:
                raise Disagreement(f"no random instance tries every branch in the sign of {argument}", "")
