"""A density with numbers for its parameters: where its mass lies, how much there is, and its quantile.

Where the mass lies nobody says. It is looked for around the ends of the support, the numbers in the formula, its kinks
and its maxima, over all scales. The quantile is SciPy's numerical inversion of the distribution function
(``scipy.stats.sampling``, with an error of 1e-12 in its argument); that of whole
numbers comes from a table of their probabilities.

Source: Derflinger, Hörmann and Leydold (2010), *Random variate generation by numerical inversion when only the
density is known*.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import mpmath as mp
import numpy as np
import sympy as sp

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.function import function_of

GAP = 1e-10  # a density lower than this share of what lies on both sides is a gap
LONGEST = 2**20  # whole numbers in a table of probabilities


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
        """A function on arrays. What NumPy cannot say (0·∞) the logarithm of the density does, or mpmath."""
        x = sp.Dummy("x", real=True)
        e = (self.expression if expression is None else expression).xreplace({self.symbol: x})
        fast, exact = function_of([x], e, "scipy"), function_of([x], e, "mpmath")
        log_density = function_of([x], piecewise(_logarithm, self.expression).xreplace({self.symbol: x}), "scipy")

        def f(t: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                values = np.array(np.broadcast_to(np.asarray(fast(t)), np.shape(t)))
                if np.iscomplexobj(values):
                    values = np.where(abs(values.imag) <= 1e-12 * abs(values.real), values.real, np.nan)
                # A density may be infinite at a pole, a probability nowhere.
                (unsaid,) = np.nonzero(~np.isfinite(values) if self.discrete else np.isnan(values))
                if len(unsaid):
                    nothing = np.broadcast_to(np.real(log_density(t[unsaid])), unsaid.shape) < -745
                    values[unsaid[nothing]] = 0.0
                    for i in unsaid[~nothing]:
                        values[i] = _exactly(exact, float(t[i]))
            return values.astype(float)

        return f

    def compile_scalar(self, expression: sp.Expr | None = None) -> Callable[[float], float]:
        """The same for one number at a time."""
        e = self.expression if expression is None else expression
        fast, careful = function_of([self.symbol], e, "scipy"), self.compile(expression)

        def f(t: float) -> float:
            try:
                with np.errstate(all="ignore"):
                    value = fast(t)
                if np.isreal(value) and np.isfinite(value):
                    return float(value)
            except (ZeroDivisionError, OverflowError):
                pass
            value = float(careful(np.array([t]))[0])
            return value if np.isfinite(value) else 0.0

        return f


def _logarithm(piece: sp.Expr) -> sp.Expr:
    """With loggamma for a binomial coefficient or a factorial, which are infinite where their logarithms are not."""
    factors = piece.rewrite((sp.binomial, sp.factorial, sp.beta), sp.gamma)
    return sp.expand_log(sp.log(factors), force=True).replace(
        lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.gamma), lambda e: sp.loggamma(e.args[0].args[0])
    )


def _exactly(f: Callable, t: float) -> float:
    if abs(t) > 1e6:  # exp(exp(t)) has more digits than there is time
        return 0.0
    try:
        value = f(mp.mpf(t))
        return float(value) if not isinstance(value, mp.mpc) else np.nan
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return 0.0  # a single point, or one beyond the reach of any arithmetic


@lru_cache(maxsize=64)
def kinks(formula: Formula) -> tuple[float, ...]:
    """Where the formula may have a kink or jump, inside the support."""
    x, found = formula.symbol, set()
    for node in formula.expression.atoms(sp.Abs, sp.Heaviside, sp.sign, sp.Max, sp.Min, sp.core.relational.Relational):
        first, *others = (
            node.args if isinstance(node, (sp.Max, sp.Min, sp.core.relational.Relational)) else node.args[:1]
        )
        for surface in [first - other for other in others] or [first]:
            try:
                found |= {float(root) for root in sp.solveset(surface, x, sp.S.Reals) if root.is_number}
            except (NotImplementedError, ValueError, TypeError):
                pass
    return tuple(sorted(point for point in found if formula.lower < point < formula.upper))


@lru_cache(maxsize=64)
def landmarks(formula: Formula) -> tuple[float, ...]:
    """Points around which mass may lie: ends, numbers and kinks of the formula, and its maxima."""
    x, found = formula.symbol, {0.0, formula.lower, formula.upper, *kinks(formula)}
    found |= {float(n) * sign for n in formula.expression.atoms(sp.Number) for sign in (1, -1) if n.is_finite}
    inside = sorted(point for point in found if np.isfinite(point) and formula.lower <= point <= formula.upper)
    inside = inside or [min(max(0.0, formula.lower), formula.upper)]
    slope = formula.compile(
        derivative(piecewise(lambda p: sp.expand_log(sp.log(p), force=True), formula.expression), x)
    )
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
def require_no_gap(formula: Formula) -> None:
    """Refuse a density that (almost) vanishes between two places that have mass: a path cannot cross that."""
    edges, _ = panels(formula)
    with np.errstate(all="ignore"):
        values = formula.compile()(edges[1:-1])
    values[~np.isfinite(values)] = np.nanmax(values[np.isfinite(values)])
    left, right = np.maximum.accumulate(values), np.maximum.accumulate(values[::-1])[::-1]
    empty = values < GAP * np.minimum(left, right)
    if empty.any():
        raise UnsoundEstimator(
            f"pathwise: the density {formula.expression} vanishes inside its support, at {edges[1:-1][empty][0]:.6g}: "
            "its draws cannot move across the gap. Use score_function"
        )


@lru_cache(maxsize=64)
def inverse(formula: Formula) -> Callable[[np.ndarray], np.ndarray]:
    """The quantile function, on arrays of numbers between 0 and 1."""
    edges, masses = panels(formula)
    below = np.cumsum(masses) / masses.sum()
    if formula.discrete:
        if masses.sum() < 1 - 1e-12:
            raise ValueError(
                f"{1 - masses.sum():.2g} of the mass lies beyond {LONGEST:,} values: "
                "such a tail cannot be drawn by inversion"
            )
        return lambda u: edges[np.searchsorted(below[:-1], u, side="right")]
    # One piece between any two kinks: the numerical inversion wants a smooth density.
    ends = [formula.lower, *kinks(formula), formula.upper]
    shares, pieces = [], []
    for low, high in zip(ends, ends[1:]):
        (here,) = np.nonzero((edges[:-1] >= low) & (edges[1:] <= high))
        share = float(masses[here].sum() / masses.sum())
        if share > 1e-14:
            inner = np.cumsum(masses[here]) / masses[here].sum()
            middle = float(
                (edges[here][np.searchsorted(inner, 0.5)] + edges[here + 1][np.searchsorted(inner, 0.5)]) / 2
            )
            shares.append(share)
            pieces.append(_smooth_inverse(formula, low, high, middle))
    steps = np.cumsum(shares)[:-1]
    starts = np.concatenate([[0.0], steps])

    def quantile(u: np.ndarray) -> np.ndarray:
        if len(pieces) == 1:
            return pieces[0](u)
        which, x = np.searchsorted(steps, u, side="right"), np.empty(np.shape(u))
        for k, piece in enumerate(pieces):
            chosen = which == k
            inside = np.clip((u[chosen] - starts[k]) / shares[k], 2.0**-53, 1 - 2.0**-53)
            x[chosen] = piece(inside)
        return x

    # What SciPy inverted, compared with what was integrated here.
    probe = np.linspace(0.005, 0.995, 199)
    found = np.interp(quantile(probe), edges[1:], below)
    at = np.clip(np.searchsorted(edges, quantile(probe)) - 1, 0, len(masses) - 1)
    if np.any(np.abs(found - probe) > masses[at] / masses.sum() + 1e-8):
        raise ValueError(
            f"the distribution function of {formula.expression} was not inverted well enough to draw from it"
        )
    return quantile


def _smooth_inverse(formula: Formula, low: float, high: float, middle: float) -> Callable[[np.ndarray], np.ndarray]:
    """The quantile function of the density between two points, where it has no kink; ``middle`` is about its median."""
    from scipy.stats import sampling  # slow to import, and needed by such laws only

    f, far = formula.compile_scalar(), spread(formula, (1e-15,))
    # The inversion would search for the tails from its centre, step by step; what lies beyond is below its accuracy.
    low, high = low if np.isfinite(low) else far[0], high if np.isfinite(high) else far[-1]
    scale = (far[-1] - far[0]) / 16 or 1.0  # a narrow density far away is moved to 0, or its digits are lost
    maps = [(lambda t: middle + scale * t, lambda t: scale, (low - middle) / scale, (high - middle) / scale, 0.0)]
    # Where the density has a pole at a finite end, its logarithmic distance has a density without one.
    match bool(np.isfinite(formula.lower)), bool(np.isfinite(formula.upper)):
        case True, True:
            share = (middle - low) / (high - low)
            maps.append((
                lambda t: low + (high - low) / (1 + np.exp(-t)), lambda t: (high - low) / (2 + 2 * np.cosh(t)),
                -np.inf, np.inf, np.log(share / (1 - share)),
            ))  # fmt: skip
        case True, False:
            maps.append((lambda t: low + np.exp(t), np.exp, -np.inf, np.log(high - low), np.log(middle - low)))
        case False, True:
            back = -np.log(high - low)
            maps.append((lambda t: high - np.exp(-t), lambda t: np.exp(-t), back, np.inf, -np.log(high - middle)))
    reasons = []
    for move, slope, left, right, centre in maps:
        law = type("Law", (), {"pdf": staticmethod(lambda t: f(float(move(t))) * float(slope(t)))})()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # an inversion that did not reach its accuracy says so
                generator = sampling.NumericalInversePolynomial(
                    law, center=centre, domain=(left, right), u_resolution=1e-12
                )
        except (sampling.UNURANError, RuntimeWarning) as error:
            reasons.append(str(error))
            continue
        return lambda u: move(np.asarray(generator.ppf(u)))
    raise ValueError(f"the distribution function of {formula.expression} cannot be inverted numerically: {reasons[0]}")


def uniform(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Uniform numbers that are never 0 or 1."""
    return (rng.integers(2**52, size=shape) + 0.5) * 2.0**-52


def spread(formula: Formula, tails: Sequence[float]) -> list[float]:
    """The quantiles of the tails on both sides, in order, to the width of a panel."""
    edges, masses = panels(formula)
    below, above = np.cumsum(masses), np.cumsum(masses[::-1])
    points = {edges[min(int(np.searchsorted(below, u)) + 1, len(edges) - 1)] for u in tails}
    points |= {edges[-1 - min(int(np.searchsorted(above, u)) + 1, len(edges) - 1)] for u in tails}
    return sorted(float(point) for point in points if np.isfinite(point))


# --- derivatives of formulas in pieces ---------------------------------------------------------------


def piecewise(f: Callable[[sp.Expr], sp.Expr], e: sp.Expr) -> sp.Expr:
    """f of an expression, piece by piece."""
    if not isinstance(e, sp.Piecewise):
        return f(e)
    return sp.Piecewise(
        *((f(piece) if piece != 0 else sp.S.NegativeInfinity, condition) for piece, condition in e.args)
    )


def derivative(e: sp.Expr, theta: sp.Symbol) -> sp.Expr:
    """∂e/∂θ between its jumps. Every symbol counts as real, or SymPy would take an absolute value apart."""
    real = {s: sp.Dummy(s.name, real=True, positive=s.is_positive) for s in e.free_symbols if not s.is_real}
    slope = sp.diff(e.xreplace(real).replace(sp.S.NegativeInfinity, sp.S.Zero), real.get(theta, theta))
    return slope.replace(sp.DiracDelta, lambda *args: sp.S.Zero).xreplace({dummy: s for s, dummy in real.items()})
