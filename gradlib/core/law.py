"""The distribution of one random variable, and all that can be derived from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from sympy.core.symbol import Str
from sympy.stats import drv_types, frv_types
from sympy.stats.crv import SingleContinuousPSpace
from sympy.stats.crv_types import ContinuousDistributionHandmade
from sympy.stats.drv import SingleDiscretePSpace
from sympy.stats.frv import SingleFiniteDistribution, SingleFinitePSpace
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.core.families import BY_NAME, COUNT, DOMAINS, FAMILIES, Family, POSITIVE, PROBABILITY, REAL, _C


class Velocity(sp.Function):
    r"""The path velocity :math:`v_i(x) = -\partial_{\theta_i} P_\theta(x) / p_\theta(x)`.

    An unevaluated node for base laws whose distribution function :math:`P_\theta`
    has no closed-form derivative in :math:`\theta_i` (Gamma, Beta, Student t).
    Arguments: ``(family, i, x, *parameters)``; the engine and the oracle each
    bring their own numerical meaning of it.
    """

    nargs = None

    @property
    def family(self) -> str:
        return str(self.args[0])

    @property
    def index(self) -> int:
        return int(self.args[1])

    @property
    def at(self) -> sp.Expr:
        return self.args[2]

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        return self.args[3:]

    def _eval_derivative(self, symbol):
        raise NotImplementedError(
            "a numerically defined path velocity has no symbolic derivative: differentiate the expectation once only"
        )

    def _latex(self, printer, exp=None):
        family = FAMILIES[BY_NAME[self.family]]
        name = printer._print(sp.Symbol(family.parameters[self.index][0]))
        body = rf"v_{{{name}}}\left({printer._print(self.at)}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"


@dataclass(frozen=True)
class Law:
    """The distribution of one random variable, and all that can be derived from it.

    Attributes:
        variable: SymPy's random symbol.
        symbol: the plain real symbol that stands for it in densities and kernels.
            (Substituting a parameter inside a random symbol would rewrite the symbol
            itself, because its law is among its arguments.)
        distribution: SymPy's distribution.
    """

    variable: RandomSymbol
    symbol: sp.Symbol
    distribution: sp.Basic

    # --- what kind of law it is -------------------------------------------------

    @property
    def family(self) -> Family | None:
        """Its row of the table; ``None`` for a finite table or an abstract density."""
        return FAMILIES.get(type(self.distribution))

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        if self.family:
            return tuple(self.distribution.args[: len(self.family.parameters)])
        if self.is_finite:
            return tuple(self.table.values())
        return ()

    @property
    def is_finite(self) -> bool:
        return isinstance(self.distribution, SingleFiniteDistribution)

    @property
    def is_discrete(self) -> bool:
        return self.is_finite or isinstance(self.distribution, drv_types.SingleDiscreteDistribution)

    @property
    def is_abstract(self) -> bool:
        """True for ``ContinuousRV(x, p(x, theta))`` with p an undefined function."""
        return isinstance(self.distribution, ContinuousDistributionHandmade)

    @property
    def table(self) -> dict[sp.Expr, sp.Expr]:
        """value ↦ probability, for a finite law (a Binomial needs a numeric n)."""
        if isinstance(self.distribution, frv_types.BinomialDistribution) and not self.distribution.args[0].is_Integer:
            raise ValueError(
                f"Binomial with the symbolic n = {self.distribution.args[0]} has no finite table; give n a number"
            )
        return {sp.sympify(k): sp.sympify(v) for k, v in dict(self.distribution.dict).items()}

    @property
    def support(self) -> sp.Set:
        if isinstance(self.distribution, frv_types.BinomialDistribution):
            return sp.Range(0, self.distribution.args[0] + 1) if self.distribution.args[0].is_Integer else sp.S.Naturals0
        if self.is_finite:
            return sp.FiniteSet(*self.table)
        return self.distribution.set

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The parameters' symbols (a finite table's values included)."""
        if self.is_abstract:
            return self.density.free_symbols - {self.symbol}
        symbols = set().union(*(sp.sympify(p).free_symbols for p in self.parameters), set())
        if self.is_finite and not self.family:
            symbols |= set().union(*(k.free_symbols for k in self.table), set())
        return symbols

    # --- derived from the density -----------------------------------------------

    @property
    def density(self) -> sp.Expr:
        """p_θ(x) at :attr:`symbol`, as it is inside the support."""
        x = self.symbol
        if self.is_finite and not self.family:
            return _interpolate(self.table, x)
        if isinstance(self.distribution, frv_types.BernoulliDistribution):
            p = self.parameters[0]
            return p**x * (1 - p) ** (1 - x)
        if isinstance(self.distribution, frv_types.BinomialDistribution):
            n, p = self.parameters
            return sp.binomial(n, x) * p**x * (1 - p) ** (n - x)
        if self.is_abstract:
            return self.distribution.args[0](x)
        return _inside_support(self.distribution.pdf(x))

    @property
    def log_density(self) -> sp.Expr:
        if self.is_finite and not self.family:
            return _interpolate({k: sp.log(v) for k, v in self.table.items()}, self.symbol)
        return sp.expand_log(sp.log(self.density), force=True)

    def score(self, theta: sp.Symbol) -> sp.Expr:
        r""":math:`\partial_\theta \log p_\theta(x)`, derived from the density."""
        if self.is_abstract:
            return sp.Derivative(sp.log(self.density), theta) if self.density.has(theta) else sp.S.Zero
        if self.is_finite and not self.family:
            return _interpolate({k: sp.diff(sp.log(v), theta) for k, v in self.table.items()}, self.symbol)
        x, formal, scores = formal_scores(type(self.distribution), self.distribution.args[len(self.parameters) :])
        return _chain(self, theta, x, formal, scores)

    def velocity(self, theta: sp.Symbol) -> sp.Expr:
        r"""The path velocity :math:`v_\theta(x) = \partial_\theta g_\theta(\varepsilon)` at :math:`\varepsilon = g_\theta^{-1}(x)`.

        It is also :math:`-\partial_\theta P_\theta(x) / p_\theta(x)`, which is how it is
        defined where :math:`g_\theta` has no closed form.
        """
        if self.family is None or self.family.path is None:
            raise ValueError(f"{self.variable} has no path")
        x, formal, velocities = _formal_velocities(type(self.distribution))
        return _chain(self, theta, x, formal, velocities)

    def base(self) -> tuple[sp.Basic, Callable[[sp.Expr], sp.Expr]]:
        """The base law of ε (a SymPy distribution) and the map g."""
        family = self.family
        return family.base(*self.parameters), lambda eps: family.path(eps, *self.parameters)

    # --- numbers ------------------------------------------------------------------

    def check(self, values: tuple[float, ...]) -> None:
        """Raise ``ValueError`` when numeric parameters lie outside their domains."""
        if self.family is None:
            probabilities = np.asarray(values, float)
            if np.any(~(probabilities >= 0)) or abs(probabilities.sum() - 1) > 1e-9:
                raise ValueError(
                    f"the probabilities of {self.variable} are {probabilities.tolist()}: they must be non-negative and sum to 1"
                )
            return
        for (name, domain), value in zip(self.family.parameters, values, strict=True):
            if not DOMAINS[domain](value):
                raise ValueError(f"{self.variable}: the parameter {name} of {self.name} must be {domain}, got {value:g}")
        if isinstance(self.distribution, _C.UniformDistribution) and not values[0] < values[1]:
            raise ValueError(f"{self.variable}: Uniform needs left < right, got [{values[0]:g}, {values[1]:g}]")
        if isinstance(self.distribution, drv_types.GeometricDistribution) and values[0] == 0:
            raise ValueError(f"{self.variable}: Geometric needs p > 0, got 0")

    @property
    def name(self) -> str:
        return type(self.distribution).__name__.removesuffix("Distribution")

    def latex(self, printer) -> str:
        if self.is_abstract:
            return printer._print(self.density.func(*self.density.args)) if self.density.args else str(self.density)
        if self.family:
            return self.family.latex(*map(printer._print, self.parameters))
        return r"\operatorname{Table}"


def law(variable: RandomSymbol) -> Law:
    """The :class:`Law` of a SymPy random symbol.

    Raises:
        NotImplementedError: for a family that gradlib does not know, a joint law, or
            parameters that are random themselves.
    """
    distribution = getattr(variable.pspace, "distribution", None)
    if not (
        type(distribution) in FAMILIES
        or isinstance(distribution, (SingleFiniteDistribution, ContinuousDistributionHandmade))
    ):
        known = ", ".join(sorted(BY_NAME))
        raise NotImplementedError(
            f"{variable} follows {type(distribution).__name__}, which gradlib does not know. Known: {known}, "
            "finite tables, and abstract densities through ContinuousRV. "
            "Write a joint Gaussian as mu + L*eps with independent standard Normals"
        )
    if isinstance(distribution, _C.GumbelDistribution) and distribution.args[2] == True:  # noqa: E712 (a SymPy boolean)
        raise NotImplementedError("the minimum Gumbel is not supported: use the maximum Gumbel of -X")
    if isinstance(distribution, (frv_types.BernoulliDistribution, frv_types.BinomialDistribution)):
        if tuple(distribution.args[-2:]) != (1, 0):
            raise NotImplementedError(f"{variable}: only the values 1 and 0 are supported; use FiniteRV for others")
    if any(random_symbols(sp.sympify(a)) for a in distribution.args if isinstance(a, sp.Expr)):
        raise NotImplementedError(f"the parameters of {variable} are random themselves: only independent variables are supported")
    return Law(variable, sp.Symbol(str(variable.symbol), real=True), distribution)


def named(distribution: sp.Basic, name: str) -> RandomSymbol:
    """A random symbol of this law and name."""
    symbol = sp.Symbol(name, real=True)
    if isinstance(distribution, SingleFiniteDistribution):
        return SingleFinitePSpace(symbol, distribution).value
    if isinstance(distribution, drv_types.SingleDiscreteDistribution):
        return SingleDiscretePSpace(symbol, distribution).value
    return SingleContinuousPSpace(symbol, distribution).value


def _inside_support(pdf: sp.Expr) -> sp.Expr:
    """The density without SymPy's Piecewise wrapping, which says 0 outside the support."""
    if isinstance(pdf, sp.Piecewise):
        return next(branch for branch, _ in pdf.args if branch != 0)
    return pdf


def _interpolate(values: dict[sp.Expr, sp.Expr], x: sp.Symbol) -> sp.Expr:
    """A function on a finite set: linear on two points, a table on more."""
    if len(values) == 2 and all(k.is_number for k in values):
        (a, fa), (b, fb) = values.items()
        return (fa * (b - x) + fb * (x - a)) / (b - a)
    *most, (_, last) = values.items()
    return sp.Piecewise(*((value, sp.Eq(x, k)) for k, value in most), (last, True))


def _chain(law: Law, theta: sp.Symbol, x: sp.Symbol, formal, derivatives) -> sp.Expr:
    """Σ_i (derivative with respect to the i-th formal parameter) · ∂parameter_i/∂θ."""
    to_actual = {x: law.symbol, **dict(zip(formal, law.parameters, strict=True))}
    total = sp.S.Zero
    for parameter, derivative in zip(law.parameters, derivatives, strict=True):
        inner = sp.diff(parameter, theta)
        if inner != 0:
            if derivative is None:
                raise ValueError(f"{law.variable}: no derivative in this parameter")
            total += derivative.subs(to_actual, simultaneous=True) * inner
    return total if theta in formal or total.has(Velocity) else _tidy(total)


def _tidy(expression: sp.Expr) -> sp.Expr:
    """The shorter of an expression and its simplification.

    Logarithms of powers are split again: log(x**k) overflows where k*log(x) does not.
    """
    simple = sp.expand_log(sp.simplify(expression), force=True)
    return min((simple, expression), key=sp.count_ops)


def _formal(cls: type) -> tuple[sp.Symbol, tuple[sp.Symbol, ...]]:
    domains = {REAL: {"real": True}, POSITIVE: {"positive": True}, PROBABILITY: {"positive": True}, COUNT: {"integer": True, "nonnegative": True}}
    formal = tuple(sp.Dummy(name, **domains[domain]) for name, domain in FAMILIES[cls].parameters)
    return sp.Dummy("x", real=True), formal


@lru_cache(maxsize=None)
def formal_scores(cls: type, rest: tuple):
    x, formal = _formal(cls)
    here = Law(None, x, cls(*formal, *rest))
    # Binomial's n is a whole number: there is no derivative with respect to it.
    return x, formal, tuple(
        None if domain == COUNT else _tidy(sp.diff(here.log_density, p))
        for p, (_, domain) in zip(formal, FAMILIES[cls].parameters, strict=True)
    )


@lru_cache(maxsize=None)
def _formal_velocities(cls: type):
    family = FAMILIES[cls]
    x, formal = _formal(cls)
    # ε needs the sign of its own support, or SymPy cannot invert ε^(1/β).
    positive = family.base(*formal).set.inf == 0
    eps = sp.Dummy("epsilon", positive=True) if positive else sp.Dummy("epsilon", real=True)
    inside = sp.Dummy("x", positive=True) if cls is not _C.UniformDistribution and cls(*_defaults(cls, formal)).set.inf != -sp.oo else x
    (inverse,) = sp.solve(family.path(eps, *formal) - inside, eps)
    velocities = []
    for i, parameter in enumerate(formal):
        g = family.path(eps, *formal)
        if i in family.shape:
            name = cls.__name__.removesuffix("Distribution")
            base = family.base(*formal)
            v = Velocity(Str(name), sp.Integer(i), eps, *base.args) * sp.diff(g, eps)
        else:
            v = sp.diff(g, parameter)
        v = v.subs(eps, inverse)
        velocities.append((v if i in family.shape else _tidy(v)).subs(inside, x))
    return x, formal, tuple(velocities)


def _defaults(cls: type, formal):
    """The formal parameters, completed by SymPy's non-parameter arguments."""
    return (*formal, False) if cls is _C.GumbelDistribution else formal
