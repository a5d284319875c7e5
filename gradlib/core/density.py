r"""A law that is given by one formula for its density: the user's own, or a family of SymPy without a row.

The score is the derivative of the formula, the quantile and the draws come from :mod:`gradlib.core.formula`. The path
velocity is :math:`-\partial_\theta P_\theta / p_\theta`, in closed form where SymPy knows the distribution function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.symbol import Str
from sympy.stats.crv_types import ContinuousDistributionHandmade
from sympy.stats.drv_types import DiscreteDistributionHandmade

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.formula import Formula, derivative, inverse, piecewise, spread, uniform, weighed
from gradlib.core.law import Law, Sampler, Velocity, inside_support


LOST = 1e-6  # mass that may be missing: a pole at an edge hides 1e-8 of it between two neighbouring numbers


class DensityLaw(Law):
    """A density in one formula."""

    @property
    def name(self) -> str:
        handmade = isinstance(self.distribution, (ContinuousDistributionHandmade, DiscreteDistributionHandmade))
        return "a density of its own" if handmade else super().name

    # --- the formula ------------------------------------------------------------------------

    @property
    def density(self) -> sp.Expr:
        if not isinstance(self.distribution, (ContinuousDistributionHandmade, DiscreteDistributionHandmade)):
            formula = self.distribution.pdf(self.symbol)
            pieces = [piece for piece, _ in formula.args if piece != 0] if isinstance(formula, sp.Piecewise) else []
            return inside_support(formula) if len(pieces) < 2 else formula
        formula = self.distribution.args[0](self.symbol)
        if formula.has(AppliedUndef) or not isinstance(formula, sp.Piecewise):
            return formula
        # SymPy wraps what it is given in its support; a Piecewise of the user's own stays.
        (inner, condition), *others = formula.args
        inside = self.support.as_relational(self.symbol)
        wrapped = len(others) == 1 and others[0][0] == 0 and _comparisons(condition) == _comparisons(inside)
        return inner if wrapped else formula

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
        return piecewise(lambda piece: sp.expand_log(sp.log(piece), force=True), self.density)

    def score(self, theta: sp.Symbol) -> sp.Expr:
        if self.is_abstract:
            return sp.Derivative(sp.log(self.density), theta) if self.density.has(theta) else sp.S.Zero
        if not isinstance(self.density, sp.Piecewise):
            return derivative(self.log_density, theta)
        # SymPy takes a Piecewise apart that stands beside a variable with a Piecewise in its density. So: indicators.
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
            return super().no_path
        if self.is_abstract:
            return (
                f"{self.variable} has an abstract density and no path is known. Write x = g(eps, theta) with a base "
                "variable eps yourself, and differentiate Expectation(F(g(eps, theta))); or use score_function"
            )
        if not isinstance(self.support, sp.Interval):
            return f"the support of {self.variable} has a gap, and its draws cannot move across it. Use score_function"
        return None

    def velocity(self, theta: sp.Symbol) -> sp.Expr:
        if self.no_path:
            raise ValueError(self.no_path)
        below = getattr(self.distribution, "_cdf", lambda x: None)(self.symbol)
        if below is not None:  # SymPy has one for families only whose density is positive inside
            closed = sp.powsimp(-derivative(inside_support(below, (0, 1)), theta) / self.density)
            if not closed.has(sp.nan, sp.Derivative, sp.Subs, sp.meijerg, sp.hyper):
                return closed
        if self.support.has(theta):
            raise UnsoundEstimator(
                f"pathwise: the support of {self.variable} ~ {self.name} moves with {theta}, and its distribution "
                f"function is not known. Write {self.variable} through a variable whose support is fixed"
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
                raise ValueError(
                    f"the density of {self.variable} is negative{place}: {lowest:.6g} at {self.variable} = {where:.6g}"
                )
            if not abs(mass - 1) <= LOST:
                raise ValueError(
                    f"the density of {self.variable} integrates to {mass:.6g}{place}, and not to 1: divide it by its "
                    "integral, or state its support with set="
                )

    def spread(self, numbers: Sequence[float], tails: Sequence[float]) -> list[float]:
        return spread(self._here(numbers), tails)

    def sampler(self, numbers: Sequence[float], at: Mapping[sp.Symbol, float]) -> Sampler:
        return FormulaSampler(str(self.variable), self._here(numbers))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], parameters: Sequence[np.ndarray]) -> np.ndarray:
        u, x = uniform(rng, shape), np.empty(shape)
        parameters = [np.broadcast_to(p, shape) for p in parameters]
        for numbers in _sets(parameters):
            here = np.logical_and.reduce(
                [p == number for p, number in zip(parameters, numbers)] or [np.ones(shape, bool)]
            )
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


def _comparisons(condition) -> set:
    """The relations in a condition, each in one way of writing it."""
    return {relation.canonical for relation in condition.atoms(sp.core.relational.Relational)}


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
