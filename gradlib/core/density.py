r"""A law that is given by one formula for its density: the user's own, or a family of SymPy without a row.

The score is the derivative of the formula. Draws, and the quantile, are SciPy's numerical inversion of the
distribution function (:class:`scipy.stats.sampling.NumericalInversePolynomial`, with an error of 1e-12 in the
quantile's argument); those of a discrete law come from a table of its probabilities. The path velocity is
:math:`-\partial_\theta P_\theta / p_\theta`, in closed form where SymPy knows the distribution function.

Where the mass lies nobody says. It is looked for around the ends of the support, the parameters' values, the kinks
and the maxima of the density, over all scales; what is found must add up to 1, or the law is refused.

Source: Derflinger, Hörmann and Leydold (2010), *Random variate generation by numerical inversion when only the
density is known*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import mpmath as mp
import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.symbol import Str
from sympy.stats.crv_types import ContinuousDistributionHandmade
from sympy.stats.drv_types import DiscreteDistributionHandmade

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.law import Law, Sampler, Velocity, inside_support, tidy

TOLERANCE = 1e-6  # by which the mass may differ from 1: a pole at an edge hides 1e-8 of it between two floating-point numbers
LONGEST = 2**20  # values of a discrete law in its table


class DensityLaw(Law):
    """A density in one formula."""

    # --- the formula ------------------------------------------------------------------------

    @property
    def density(self) -> sp.Expr:
        handmade = isinstance(self.distribution, (ContinuousDistributionHandmade, DiscreteDistributionHandmade))
        formula = self.distribution.args[0](self.symbol) if handmade else self.distribution.pdf(self.symbol)
        if formula.has(AppliedUndef):
            return formula
        pieces = [piece for piece, _ in formula.args if piece != 0] if isinstance(formula, sp.Piecewise) else []
        return inside_support(formula) if len(pieces) < 2 else formula

    @property
    def is_abstract(self) -> bool:
        return self.density.has(AppliedUndef)

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        return tuple(sorted((self.density.free_symbols | self.support.free_symbols) - {self.symbol}, key=str))

    @property
    def support(self) -> sp.Set:
        return self.distribution.set

    @property
    def signed(self) -> sp.Symbol:
        return self.symbol if self.is_abstract else super().signed

    def may_be(self, value: sp.Expr) -> bool:
        return self.is_abstract or super().may_be(value)

    @property
    def log_density(self) -> sp.Expr:
        return _piecewise(lambda piece: sp.expand_log(sp.log(piece), force=True), self.density)

    def score(self, theta: sp.Symbol) -> sp.Expr:
        if self.is_abstract:
            return sp.Derivative(sp.log(self.density), theta) if self.density.has(theta) else sp.S.Zero
        if not isinstance(self.density, sp.Piecewise):
            return derivative(self.log_density, theta)
        # SymPy takes a Piecewise apart that stands beside a variable with a Piecewise in its density: indicators instead.
        total, before = sp.S.Zero, sp.S.One
        for piece, condition in self.density.args:
            here = _indicator(condition)
            total += before * here * (derivative(sp.log(piece), theta) if piece != 0 else 0)
            before *= 1 - here
        return total

    # --- the path ---------------------------------------------------------------------------

    @property
    def no_path(self) -> str | None:
        if self.is_discrete:
            return (
                f"{self.variable} is discrete, and its draws do not move smoothly with the parameter. "
                "Use score_function, or sum over its values (exact)"
            )
        if self.is_abstract:
            return (
                f"{self.variable} has an abstract density and no path is known. Write x = g(eps, theta) with a base "
                "variable eps yourself, and differentiate Expectation(F(g(eps, theta))); or use score_function"
            )
        if self.positive is False:
            return (
                f"the density of {self.variable} vanishes inside its support, so its draws cannot move across the gap. "
                "Use score_function"
            )
        return None

    @property
    def positive(self) -> bool | None:
        """Whether the density is positive on the whole of one interval; ``None`` where SymPy cannot decide."""
        if not isinstance(self.support, sp.Interval):
            return False
        real = {s: sp.Dummy(s.name, real=True, positive=s.is_positive) for s in self.parameters}
        inside = self.density.xreplace({**real, self.symbol: self.signed})
        if inside.is_positive or isinstance(inside, sp.Piecewise) and all(piece.is_positive for piece, _ in inside.args):
            return True
        try:
            zeros = sp.solveset(self.density, self.symbol, self.support.interior)
        except (NotImplementedError, ValueError, TypeError):
            return None
        if zeros is sp.S.EmptySet:
            return True
        return False if isinstance(zeros, (sp.FiniteSet, sp.Interval)) else None

    def velocity(self, theta: sp.Symbol) -> sp.Expr:
        if self.no_path:
            raise ValueError(self.no_path)
        below = getattr(self.distribution, "_cdf", lambda x: None)(self.symbol)
        if below is not None:
            pieces = [piece for piece, _ in below.args if piece not in (0, 1)] if isinstance(below, sp.Piecewise) else [below]
            closed = tidy(-derivative(pieces[0], theta) / self.density) if len(pieces) == 1 else sp.nan
            if not closed.has(sp.nan, sp.Derivative, sp.Subs, sp.meijerg, sp.hyper):
                return closed
        if self.support.has(theta):
            raise UnsoundEstimator(
                f"pathwise: the support of {self.variable} ~ {self.name} moves with {theta}, and its distribution function is "
                f"not known. Write {self.variable} through a variable whose support is fixed"
            )
        # The same formula has the same key, whatever its symbols are called.
        names = [sp.Symbol(f"p{i}", real=True) for i in range(len(self.parameters))]
        formal = {**dict(zip(self.parameters, names)), self.symbol: sp.Symbol("x", real=True)}
        key = sp.srepr(sp.Tuple(self.density.xreplace(formal), self.support.xreplace(formal), *names))
        return Velocity(Str(key), sp.Integer(self.parameters.index(theta)), self.symbol, *self.parameters)

    # --- numbers ----------------------------------------------------------------------------

    def formula(self, values: Mapping[sp.Symbol, sp.Expr]) -> Formula:
        """The formula with numbers for its parameters."""
        lower, upper = (float(end.xreplace(values)) for end in (self.support.inf, self.support.sup))
        return Formula(self.density.xreplace(values), self.symbol, lower, upper, self.is_discrete)

    def _here(self, numbers: Sequence[float]) -> Formula:
        return self.formula({symbol: sp.Float(number, 17) for symbol, number in zip(self.parameters, numbers)})

    def check(self, values: Sequence) -> None:
        if self.is_abstract:
            raise ValueError("an abstract density has no numbers: give the variable a concrete law")
        for numbers in _sets(values):
            shown = ", ".join(f"{symbol} = {number:g}" for symbol, number in zip(self.parameters, numbers))
            mass, lowest, where = weighed(self._here(numbers))
            place = f" at {shown}" if shown else ""
            if lowest < 0:
                raise ValueError(f"the density of {self.variable} is negative{place}: {lowest:.6g} at {self.variable} = {where:.6g}")
            if not abs(mass - 1) <= TOLERANCE:
                raise ValueError(
                    f"the density of {self.variable} integrates to {mass:.6g}{place}, and not to 1: divide it by its integral, "
                    "or state its support with set="
                )

    def spread(self, numbers: Sequence[float], tails: Sequence[float]) -> list[float]:
        edges, masses = panels(self._here(numbers))
        below, above = np.cumsum(masses), np.cumsum(masses[::-1])
        points = {edges[min(int(np.searchsorted(below, u)) + 1, len(edges) - 1)] for u in tails}
        points |= {edges[-1 - min(int(np.searchsorted(above, u)) + 1, len(edges) - 1)] for u in tails}
        return sorted(float(point) for point in points if np.isfinite(point))

    def sampler(self, numbers: Sequence[float], at: Mapping[sp.Symbol, float]) -> Sampler:
        return FormulaSampler(str(self.variable), self._here(numbers))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], parameters: Sequence[np.ndarray]) -> np.ndarray:
        u, x = uniform(rng, shape), np.empty(shape)
        parameters = [np.broadcast_to(p, shape) for p in parameters]
        for numbers in _sets(parameters):
            here = np.logical_and.reduce([p == number for p, number in zip(parameters, numbers)] or [np.ones(shape, bool)])
            x[here] = inverse(self._here(numbers))(u[here])
        return x

    def latex(self, printer) -> str:
        return printer._print(self.density)

    def text(self, printer) -> str:
        return printer._print(self.density)


def _sets(values: Sequence) -> list[tuple[float, ...]]:
    """The different sets of parameters among arrays of them."""
    arrays = np.broadcast_arrays(*values) if len(values) else [np.zeros(1)]
    rows = np.unique(np.stack([np.ravel(a) for a in arrays], axis=1), axis=0)
    return [tuple(row) if len(values) else () for row in rows.astype(float)]


def _indicator(condition) -> sp.Expr:
    """1 where a condition holds and 0 elsewhere, without a Piecewise; on an edge, which has no mass, either."""
    if condition in (sp.true, sp.false):
        return sp.Integer(bool(condition))
    if isinstance(condition, sp.And):
        return sp.Mul(*map(_indicator, condition.args))
    if isinstance(condition, sp.Or):
        return 1 - sp.Mul(*(1 - _indicator(part) for part in condition.args))
    if isinstance(condition, (sp.Ge, sp.Gt, sp.Le, sp.Lt)):
        return sp.Heaviside(condition.gts - condition.lts, 1)
    if isinstance(condition, sp.Eq):
        return sp.S.Zero
    raise ValueError(f"the density is given by the condition {condition}: write it with <, <=, > and >=")


def _piecewise(f: Callable[[sp.Expr], sp.Expr], e: sp.Expr) -> sp.Expr:
    """f of an expression, piece by piece."""
    if not isinstance(e, sp.Piecewise):
        return f(e)
    return sp.Piecewise(*((f(piece) if piece != 0 else sp.S.NegativeInfinity, condition) for piece, condition in e.args))


def derivative(e: sp.Expr, theta: sp.Symbol) -> sp.Expr:
    """∂e/∂θ between its jumps. Every symbol counts as real, or SymPy would differentiate |x| into two parts."""
    real = {s: sp.Dummy(s.name, real=True, positive=s.is_positive) for s in e.free_symbols if not s.is_real}
    slope = sp.diff(e.xreplace(real).replace(sp.S.NegativeInfinity, sp.S.Zero), real.get(theta, theta))
    return tidy(slope.replace(sp.DiracDelta, lambda *args: sp.S.Zero).xreplace({dummy: s for s, dummy in real.items()}))


@dataclass(frozen=True)
class Slope:
    """What a velocity's key stands for: a density and its derivative in one parameter.

    Attributes:
        density, slope: expressions of ``symbol`` and ``parameters``.
        support: the interval.
    """

    density: sp.Expr
    slope: sp.Expr
    support: sp.Interval
    symbol: sp.Symbol
    parameters: tuple[sp.Symbol, ...]

    @classmethod
    def of(cls, key: str, index: int) -> Slope:
        density, support, *names = sp.sympify(key)
        return cls(density, derivative(density, names[index]), support, sp.Symbol("x", real=True), tuple(names))

    def at(self, numbers: Sequence[float]) -> tuple[Formula, sp.Expr]:
        """The density and the derivative with numbers for the parameters."""
        here = {name: sp.Float(float(number), 17) for name, number in zip(self.parameters, numbers)}
        ends = (float(end.xreplace(here)) for end in (self.support.inf, self.support.sup))
        return Formula(self.density.xreplace(here), self.symbol, *ends), self.slope.xreplace(here)


# --- a formula with numbers -------------------------------------------------------------------------


@dataclass(frozen=True)
class Formula:
    """A density (or the probabilities of whole numbers) without parameters.

    Attributes:
        expression: of ``symbol``.
        lower, upper: the ends of the support.
        discrete: whether the values are whole numbers.
    """

    expression: sp.Expr
    symbol: sp.Symbol
    lower: float
    upper: float
    discrete: bool = False

    def compile(self, expression: sp.Expr | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """A function on arrays; what NumPy cannot say (0·∞ far out) mpmath does."""
        x = sp.Dummy("x", real=True)
        e = (self.expression if expression is None else expression).xreplace({self.symbol: x})
        fast, exact = sp.lambdify(x, e, "scipy"), sp.lambdify(x, e, "mpmath")

        def f(t: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                values = np.array(np.broadcast_to(np.asarray(fast(t)), np.shape(t)))
            if np.iscomplexobj(values):
                values = np.where(abs(values.imag) <= 1e-12 * abs(values.real), values.real, np.nan)
            for i in np.flatnonzero(np.isnan(values)):
                values[i] = _exactly(exact, float(t[i]))
            return values.astype(float)

        return f


def _exactly(f: Callable, t: float) -> float:
    try:
        value = f(mp.mpf(t))
        return float(value) if not isinstance(value, mp.mpc) else np.nan
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return 0.0  # a single point, or one beyond the reach of any arithmetic


@lru_cache(maxsize=64)
def landmarks(formula: Formula) -> tuple[float, ...]:
    """Points around which mass may lie: ends, numbers and kinks of the formula, and its maxima."""
    x, found = formula.symbol, {0.0, formula.lower, formula.upper}
    found |= {float(n) * sign for n in formula.expression.atoms(sp.Number) for sign in (1, -1) if n.is_finite}
    for node in formula.expression.atoms(sp.Abs, sp.Heaviside, sp.sign, sp.Max, sp.Min, sp.core.relational.Relational):
        surfaces = [node.args[0] - other for other in node.args[1:] if other.has(x) or node.args[0].has(x)] or [node.args[0]]
        for surface in surfaces:
            try:
                found |= {float(root) for root in sp.solveset(surface, x, sp.S.Reals) if root.is_number}
            except (NotImplementedError, ValueError, TypeError):
                pass
    inside = sorted(point for point in found if np.isfinite(point) and formula.lower <= point <= formula.upper)
    inside = inside or [min(max(0.0, formula.lower), formula.upper)]
    slope = formula.compile(derivative(_piecewise(lambda p: sp.expand_log(sp.log(p), force=True), formula.expression), x))
    grid = _grid(formula, inside, 3)
    with np.errstate(all="ignore"):
        signs = np.sign(slope(grid))
    for i in np.flatnonzero((signs[:-1] > 0) & (signs[1:] < 0)):
        low, high = grid[i], grid[i + 1]
        for _ in range(80):  # a maximum, by bisection
            middle = (low + high) / 2
            low, high = (middle, high) if slope(np.array([middle]))[0] > 0 else (low, middle)
        inside.append((low + high) / 2)
    return tuple(sorted(set(inside)))


def _grid(formula: Formula, centres: Sequence[float], per_decade: int) -> np.ndarray:
    """Points at all distances from the centres, inside the support."""
    steps = 10.0 ** np.linspace(-300, 60, 360 * per_decade + 1)
    points = np.concatenate([[c + side * steps for side in (1, -1)] for c in centres], axis=None)
    points = np.unique(np.concatenate([points, np.asarray(centres, float)]))
    return points[(points > formula.lower) & (points < formula.upper)]


@lru_cache(maxsize=64)
def panels(formula: Formula) -> tuple[np.ndarray, np.ndarray]:
    """Edges of panels in order, and the mass of each (of a discrete law: its values, and their probabilities)."""
    f = formula.compile()
    if formula.discrete:
        values = formula.lower + np.arange(LONGEST)
        values = values[values <= formula.upper]
        return np.append(values, values[-1] + 1), f(values)
    edges = _grid(formula, landmarks(formula), 8)
    ends = [end for end in (formula.lower, formula.upper) if np.isfinite(end)]
    edges = np.unique(np.concatenate([edges, ends]))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:, None] + edges[:-1, None]) / 2
    values = f((half * nodes + middle).ravel()).reshape(len(half), -1)
    with np.errstate(all="ignore"):
        masses = (half * weights * values).sum(axis=1)
    return edges, np.where(np.isfinite(masses), masses, 0.0)


@lru_cache(maxsize=256)
def weighed(formula: Formula) -> tuple[float, float, float]:
    """The mass of a formula; its lowest value, and where that is."""
    edges, masses = panels(formula)
    middle = edges[:-1] if formula.discrete else (edges[1:] + edges[:-1]) / 2
    values = formula.compile()(middle)
    i = int(np.nanargmin(values))
    return float(masses.sum()), float(min(values[i], 0.0)), float(middle[i])


@lru_cache(maxsize=64)
def inverse(formula: Formula) -> Callable[[np.ndarray], np.ndarray]:
    """The quantile function, on arrays of numbers between 0 and 1."""
    edges, masses = panels(formula)
    below = np.cumsum(masses) / masses.sum()
    if formula.discrete:
        if masses.sum() < 1 - 1e-12:
            raise ValueError(
                f"{1 - masses.sum():.2g} of the mass lies beyond {LONGEST:,} values: such a tail cannot be drawn by inversion"
            )
        return lambda u: edges[np.searchsorted(below[:-1], u, side="right")]
    from scipy.stats import sampling  # slow to import, and needed by such laws only

    f, middle = formula.compile(), float(edges[np.searchsorted(below, 0.5)])
    low, high = formula.lower, formula.upper
    # Where the density has a pole at a finite end, its logarithmic distance has a density without one.
    maps = [(lambda t: t, lambda t: 1.0, low, high, middle)]
    if np.isfinite(low):
        maps.append((lambda t: low + np.exp(t), np.exp, -np.inf, np.log(high - low), np.log(middle - low)))
    if np.isfinite(high):
        maps.append((lambda t: high - np.exp(-t), lambda t: np.exp(-t), -np.log(high - low), np.inf, -np.log(high - middle)))
    if np.isfinite(low) and np.isfinite(high):
        share = (middle - low) / (high - low)
        maps.append((
            lambda t: low + (high - low) / (1 + np.exp(-t)), lambda t: (high - low) / (2 + 2 * np.cosh(t)),
            -np.inf, np.inf, np.log(share / (1 - share)),
        ))  # fmt: skip
    reasons = []
    for move, slope, left, right, centre in maps:
        law = type("Law", (), {"pdf": staticmethod(lambda t: float(f(np.array([move(t)]))[0] * slope(t)))})()
        try:
            generator = sampling.NumericalInversePolynomial(law, center=centre, domain=(left, right), u_resolution=1e-12)
        except sampling.UNURANError as error:
            reasons.append(str(error))
            continue
        return lambda u: move(np.asarray(generator.ppf(u)))
    raise ValueError(f"the distribution function of {formula.expression} cannot be inverted numerically: {reasons[0]}")


def uniform(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Uniform numbers that are never 0 or 1."""
    return (rng.integers(2**52, size=shape) + 0.5) * 2.0**-52


@dataclass(frozen=True)
class FormulaSampler(Sampler):
    """Draws by numerical inversion."""

    formula: Formula

    @property
    def key(self) -> Formula:
        return self.formula

    def draw(self, rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
        return self.quantile(uniform(rng, size))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(inverse(self.formula)(u), float)
