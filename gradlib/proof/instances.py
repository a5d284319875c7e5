r"""Random concrete cases: functions, densities and parameters in place of names.

Undefined functions become smooth ones without symmetry, abstract densities become densities whose
shape depends on every parameter, and symbols get values in their declared domains. Everything is
deterministic: the cases come from fixed seeds.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from gradlib.core.law import Law
from gradlib.proof.lower import Undecided

DIGITS = 25  # to which values are computed
INSTANCES = 3


def by_name(symbols: Iterable[sp.Symbol]) -> list[sp.Symbol]:
    """Symbols in an order that does not depend on the run; namesakes by their assumptions."""
    return sorted(symbols, key=lambda s: (s.name, str(s.assumptions0)))


def draw(symbol: sp.Symbol, rng: random.Random, wide: bool = False) -> mpmath.mpf:
    """A random value in the declared domain of a symbol; coarse, so that it can be printed."""
    if symbol.is_integer:
        low = 1 if symbol.is_positive else 0 if symbol.is_nonnegative else -3
        return mpmath.mpf(rng.randint(low, 12 if wide else 4))
    size = rng.randint(*((1, 80) if wide else (5, 24))) / mpmath.mpf(16)
    return -size if symbol.is_negative or (not symbol.is_nonnegative and rng.random() < 0.5) else size


@dataclass(frozen=True)
class Drawn:
    """A random function: a formula ``(c, x, *parameters)``, and the numbers c that were drawn for it."""

    formula: Callable
    coefficients: tuple[sp.Rational, ...]

    def __call__(self, x, *parameters):
        return self.formula(self.coefficients, x, *parameters)


def random_function(rng: random.Random) -> Drawn:
    """Smooth, of polynomial growth, and with no symmetry that could hide an error."""

    def formula(c, x, *parameters):
        u = sum((sp.Rational(k + 2, 3) * c[k % 6] * t for k, t in enumerate(parameters)), c[4])
        return c[0] + c[1] * x * (1 + u / 3) + c[2] * sp.cos(c[5] * x + u) + c[3] * sp.exp(-((x - u) ** 2) / 3)

    return Drawn(formula, tuple(sp.Rational(rng.choice((-1, 1)) * rng.randint(3, 12), 8) for _ in range(6)))


def random_density(support: sp.Set, rng: random.Random) -> Drawn:
    """A density on the support whose shape depends on every parameter."""
    coefficients = tuple(sp.Rational(rng.choice((-1, 1)) * rng.randint(2, 9), 8) for _ in range(4))
    kind = rng.choice(("normal", "logistic", "mixture"))
    a, b = support.start, support.end

    def normal(x, m, s):
        return sp.exp(-((x - m) ** 2) / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))

    def formula(c, x, *parameters):
        u = sum((sp.Rational(k + 2, 2) * c[k % 4] * t for k, t in enumerate(parameters)), c[3])
        scale = 1 + u**2 / 4
        if a.is_finite and b.is_finite:
            return (1 + sp.tanh(u) * (2 * (x - a) / (b - a) - 1)) / (b - a)
        if a.is_finite or b.is_finite:
            inside = x - a if a.is_finite else b - x
            return (1 + inside / scale) * sp.exp(-inside / scale) / (2 * scale)
        if kind == "logistic":
            return sp.sech((x - u) / (2 * scale)) ** 2 / (4 * scale)
        if kind == "mixture":
            weight = (2 + sp.tanh(u)) / 4
            return weight * normal(x, u, scale) + (1 - weight) * normal(x, c[0] - u, sp.S.One)
        return normal(x, u, scale)

    return Drawn(formula, coefficients)


@dataclass(frozen=True)
class Instance:
    """One concrete case: functions by name, and the symbols' numbers."""

    functions: dict[UndefinedFunction, Callable]
    values: dict[sp.Symbol, mpmath.mpf]

    def concrete(self, e: sp.Expr) -> tuple[sp.Expr, dict[sp.Symbol, mpmath.mpf]]:
        """e with its functions spelled out, and the number of every symbol in it.

        The coefficients that were drawn stay symbols: cases of one shape are compiled once.
        """
        numbers = dict(self.values)
        for f, drawn in self.functions.items():
            if isinstance(drawn, Drawn):
                names = _coefficients(f, len(drawn.coefficients))
                numbers.update((name, mpmath.mpf(c.p) / c.q) for name, c in zip(names, drawn.coefficients))
                drawn = functools.partial(drawn.formula, names)
            e = e.replace(f, drawn)
        return e, numbers

    def describe(self, arity: dict) -> str:
        """Numbers and formulas in words; ``arity`` says how many arguments a function takes."""
        shown = [f"{s} = {mpmath.nstr(v, 6)}" for s, v in self.values.items()]
        for f, formula in self.functions.items():
            names = sp.symbols("x s t u")[: arity.get(f, 1)]
            shown.append(f"{f} = ({', '.join(map(str, names))}) -> {formula(*names)}")
        return "; ".join(shown)


@functools.cache
def _coefficients(f: UndefinedFunction, n: int) -> tuple[sp.Dummy, ...]:
    return tuple(sp.Dummy(f"{f}{k}", real=True) for k in range(n))


def instance(sides: Sequence[sp.Expr], laws: Sequence[Law], conditions: Sequence, chosen: dict, seed: int) -> Instance:
    """A random case of the sides; ``chosen`` fixes some of its functions and numbers.

    Raises:
        Undecided: if no parameters satisfy the laws' domains and the conditions.
    """
    rng = random.Random(seed)
    functions = {f: v for f, v in chosen.items() if isinstance(f, UndefinedFunction)}
    abstract = [law.density for law in laws if law.is_abstract]
    supports = {
        law.density.func: law.support for law in laws if law.is_abstract and isinstance(law.density, AppliedUndef)
    }
    seen = set().union(*(e.atoms(AppliedUndef) for e in (*sides, *abstract)))
    for f in sorted({type(e) for e in seen}, key=str):
        if f not in functions:
            functions[f] = random_density(supports[f], rng) if f in supports else random_function(rng)
    free = set().union(*(e.free_symbols for e in sides))
    bound = {law.symbol for law in laws}
    symbols = by_name(free | set().union(*(law.free_symbols - bound for law in laws)))
    for _ in range(500):
        values = {s: chosen[s] if s in chosen else draw(s, rng, wide=seed >= INSTANCES) for s in symbols}
        exact = {s: sp.Float(v, DIGITS + 10) for s, v in values.items()}
        if _admissible(exact, laws, conditions):
            return Instance(
                functions, {s: mpmath.mpf(exact[s] if isinstance(v, sp.Basic) else v) for s, v in values.items()}
            )
    raise Undecided("no random parameters in the declared domains were found: pass instances= or conditions=")


def _admissible(exact: dict, laws: Sequence[Law], conditions: Sequence) -> bool:
    for law in laws:
        if not law.is_abstract:
            numbers = [sp.sympify(q).subs(exact) for q in law.parameters]
            if all(n.is_number for n in numbers):
                try:
                    law.check(tuple(map(float, numbers)))
                except ValueError:
                    return False
        if law.symbol in exact and not law.is_finite:
            if law.support.subs(exact).contains(exact[law.symbol]) == False:  # noqa: E712 (a SymPy boolean)
                return False
    return all(sp.sympify(c).subs(exact) == True for c in conditions)  # noqa: E712
