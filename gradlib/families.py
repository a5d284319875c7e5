r"""What gradlib knows about each family of distributions, as data.

A density, its support and its parameters belong to :mod:`sympy.stats`.
This table adds the three things SymPy does not have:

* the domain of every parameter, so that a wrong value is refused before any draw;
* a *path*: a map :math:`x = g_\theta(\varepsilon)` from a base law with no
  (or fewer) parameters, from which draws and pathwise derivatives both follow;
* the name of the base law in NumPy (for drawing) and of the family in SciPy
  (for the quantiles that tell the oracle where the mass lies).

No score and no path derivative is written here: :class:`Law` derives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # scipy.stats, slow to import, is loaded at its first use
import sympy as sp
from sympy.core.symbol import Str
from sympy.stats import crv_types, drv_types, frv_types
from sympy.stats.crv import SingleContinuousPSpace
from sympy.stats.crv_types import ContinuousDistributionHandmade
from sympy.stats.drv import SingleDiscretePSpace
from sympy.stats.frv import SingleFiniteDistribution, SingleFinitePSpace
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.normals import standard_normal

REAL, POSITIVE, PROBABILITY, COUNT = "real", "positive", "in [0, 1]", "a whole number >= 0"
DOMAINS: dict[str, Callable] = {  # on numbers and on arrays
    REAL: np.isfinite,
    POSITIVE: lambda value: np.isfinite(value) & (value > 0),
    PROBABILITY: lambda value: (value >= 0) & (value <= 1),
    COUNT: lambda value: (value >= 0) & (np.floor(value) == value),
}


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes:
        parameters: name and domain of each distribution argument, in SymPy's order.
        latex: prints the family, given its printed parameters.
        scipy: the frozen SciPy distribution for numeric parameters.
        draw: ``draw(rng, size, *shape_parameters, out=None)``: draws of the base law, in
            ``out`` where NumPy offers it.
        path: ``path(eps, *parameters)``, the map g; ``None`` for a discrete family,
            which has no path.
        base: the SymPy law of ``eps``, given the parameters.
        shape: positions of the parameters that stay in the base law (Gamma's k).
        quantile: ``quantile(u, *shape_parameters)`` of the base law (of a discrete family
            itself); ``None`` where NumPy draws by search or rejection.
        symmetric: whether the base law is symmetric about 0.
    """

    parameters: tuple[tuple[str, str], ...]
    latex: Callable[..., str]
    scipy: Callable
    draw: Callable
    path: Callable | None = None
    base: Callable | None = None
    shape: tuple[int, ...] = ()
    quantile: Callable | None = None
    symmetric: bool = False


def _named(name: str) -> Callable[..., str]:
    return lambda *parameters: rf"\operatorname{{{name}}}\left({', '.join(parameters)}\right)"


_C = crv_types

FAMILIES: dict[type, Family] = {
    _C.NormalDistribution: Family(
        (("mean", REAL), ("std", POSITIVE)),
        lambda m, s: rf"\mathcal{{N}}\left({m}, {_squared(s)}\right)",
        lambda *parameters: scipy.stats.norm(*parameters),
        standard_normal,
        lambda e, m, s: m + s * e,
        lambda m, s: _C.NormalDistribution(0, 1),
        quantile=lambda u: scipy.special.ndtri(u),
        symmetric=True,
    ),
    _C.LogNormalDistribution: Family(
        (("mean", REAL), ("std", POSITIVE)),
        lambda m, s: rf"\operatorname{{LogNormal}}\left({m}, {_squared(s)}\right)",
        lambda m, s: scipy.stats.lognorm(s, scale=np.exp(m)),
        standard_normal,
        lambda e, m, s: sp.exp(m + s * e),
        lambda m, s: _C.NormalDistribution(0, 1),
        quantile=lambda u: scipy.special.ndtri(u),
        symmetric=True,
    ),
    _C.ExponentialDistribution: Family(
        (("rate", POSITIVE),),
        _named("Exponential"),
        lambda r: scipy.stats.expon(scale=1 / r),
        lambda rng, size, out=None: rng.standard_exponential(size, out=out),
        lambda e, r: e / r,
        lambda r: _C.ExponentialDistribution(1),
        quantile=lambda u: -np.log1p(-u),
    ),
    _C.LaplaceDistribution: Family(
        (("mu", REAL), ("b", POSITIVE)),
        _named("Laplace"),
        lambda *parameters: scipy.stats.laplace(*parameters),
        lambda rng, size, out=None: rng.laplace(size=size),
        lambda e, m, b: m + b * e,
        lambda m, b: _C.LaplaceDistribution(0, 1),
        quantile=lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))),
        symmetric=True,
    ),
    _C.LogisticDistribution: Family(
        (("mu", REAL), ("s", POSITIVE)),
        _named("Logistic"),
        lambda *parameters: scipy.stats.logistic(*parameters),
        lambda rng, size, out=None: rng.logistic(size=size),
        lambda e, m, s: m + s * e,
        lambda m, s: _C.LogisticDistribution(0, 1),
        quantile=lambda u: np.log(u / (1 - u)),
        symmetric=True,
    ),
    _C.GumbelDistribution: Family(
        # SymPy's third argument, `minimum`, chooses the mirrored law and is no parameter.
        (("beta", POSITIVE), ("mu", REAL)),
        _named("Gumbel"),
        lambda b, m: scipy.stats.gumbel_r(m, b),
        lambda rng, size, out=None: rng.gumbel(size=size),
        lambda e, b, m: m + b * e,
        lambda b, m: _C.GumbelDistribution(1, 0, False),
        quantile=lambda u: -np.log(-np.log(u)),
    ),
    _C.WeibullDistribution: Family(
        (("alpha", POSITIVE), ("beta", POSITIVE)),
        _named("Weibull"),
        lambda a, b: scipy.stats.weibull_min(b, scale=a),
        lambda rng, size, out=None: rng.standard_exponential(size, out=out),
        lambda e, a, b: a * e ** (1 / b),
        lambda a, b: _C.ExponentialDistribution(1),
        quantile=lambda u: -np.log1p(-u),
    ),
    _C.GammaDistribution: Family(
        (("k", POSITIVE), ("theta", POSITIVE)),
        _named("Gamma"),
        lambda k, t: scipy.stats.gamma(k, scale=t),
        lambda rng, size, k, out=None: rng.standard_gamma(k, size, out=out),
        lambda e, k, t: t * e,
        lambda k, t: _C.GammaDistribution(k, 1),
        shape=(0,),
        quantile=lambda u, k: scipy.special.gammaincinv(k, u),
    ),
    _C.BetaDistribution: Family(
        (("alpha", POSITIVE), ("beta", POSITIVE)),
        _named("Beta"),
        lambda *parameters: scipy.stats.beta(*parameters),
        lambda rng, size, a, b, out=None: rng.beta(a, b, size),
        lambda e, a, b: e,
        lambda a, b: _C.BetaDistribution(a, b),
        shape=(0, 1),
        quantile=lambda u, a, b: scipy.special.betaincinv(a, b, u),
    ),
    _C.StudentTDistribution: Family(
        (("nu", POSITIVE),),
        _named("Student"),
        lambda *parameters: scipy.stats.t(*parameters),
        lambda rng, size, nu, out=None: rng.standard_t(nu, size),
        lambda e, nu: e,
        lambda nu: _C.StudentTDistribution(nu),
        shape=(0,),
        quantile=lambda u, nu: scipy.special.stdtrit(nu, u),
        symmetric=True,
    ),
    _C.UniformDistribution: Family(
        (("left", REAL), ("right", REAL)),
        _named("Uniform"),
        lambda a, b: scipy.stats.uniform(a, b - a),
        lambda rng, size, out=None: rng.random(size, out=out),
        lambda e, a, b: a + (b - a) * e,
        lambda a, b: _C.UniformDistribution(0, 1),
        quantile=lambda u: u,
    ),
    _C.ParetoDistribution: Family(
        (("xm", POSITIVE), ("alpha", POSITIVE)),
        _named("Pareto"),
        lambda m, a: scipy.stats.pareto(a, scale=m),
        lambda rng, size, out=None: rng.standard_exponential(size, out=out),
        lambda e, m, a: m * sp.exp(e / a),
        lambda m, a: _C.ExponentialDistribution(1),
        quantile=lambda u: -np.log1p(-u),
    ),
    _C.RayleighDistribution: Family(
        (("sigma", POSITIVE),),
        _named("Rayleigh"),
        lambda s: scipy.stats.rayleigh(scale=s),
        lambda rng, size, out=None: rng.rayleigh(size=size),
        lambda e, s: s * e,
        lambda s: _C.RayleighDistribution(1),
        quantile=lambda u: np.sqrt(-2 * np.log1p(-u)),
    ),
    _C.MaxwellDistribution: Family(
        (("a", POSITIVE),),
        _named("Maxwell"),
        lambda a: scipy.stats.maxwell(scale=a),
        lambda rng, size, out=None: np.sqrt(rng.chisquare(3, size)),
        lambda e, a: a * e,
        lambda a: _C.MaxwellDistribution(1),
        quantile=lambda u: np.sqrt(2 * scipy.special.gammaincinv(1.5, u)),
    ),
    _C.CauchyDistribution: Family(
        (("x0", REAL), ("gamma", POSITIVE)),
        _named("Cauchy"),
        lambda *parameters: scipy.stats.cauchy(*parameters),
        lambda rng, size, out=None: rng.standard_cauchy(size),
        lambda e, m, s: m + s * e,
        lambda m, s: _C.CauchyDistribution(0, 1),
        quantile=lambda u: np.where(u < 0.5, -1 / np.tan(np.pi * u), 1 / np.tan(np.pi * (1 - u))),
        symmetric=True,
    ),
    drv_types.PoissonDistribution: Family(
        (("lambda", POSITIVE),),
        _named("Poisson"),
        lambda *parameters: scipy.stats.poisson(*parameters),
        lambda rng, size, rate, out=None: rng.poisson(rate, size),
    ),
    drv_types.GeometricDistribution: Family(
        (("p", PROBABILITY),),
        _named("Geometric"),
        lambda *parameters: scipy.stats.geom(*parameters),
        lambda rng, size, p, out=None: rng.geometric(p, size),
    ),
    frv_types.BernoulliDistribution: Family(
        (("p", PROBABILITY),),
        _named("Bernoulli"),
        lambda *parameters: scipy.stats.bernoulli(*parameters),
        lambda rng, size, p, out=None: rng.random(size) < p,
        quantile=lambda u, p: u < p,
    ),
    frv_types.BinomialDistribution: Family(
        (("n", COUNT), ("p", PROBABILITY)),
        _named("Binomial"),
        lambda *parameters: scipy.stats.binom(*parameters),
        lambda rng, size, n, p, out=None: rng.binomial(int(n), p, size),
    ),
}


def _squared(latex: str) -> str:
    """σ ↦ σ², since the book prints a Gaussian by its variance and SymPy takes σ."""
    if latex == "1":
        return "1"
    return f"{latex}^{{2}}" if latex.isalnum() or latex.startswith("\\") and latex[1:].isalpha() else rf"\left({latex}\right)^{{2}}"


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


BY_NAME = {cls.__name__.removesuffix("Distribution"): cls for cls in FAMILIES}


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
        x, formal, scores = _formal_scores(type(self.distribution), self.distribution.args[len(self.parameters) :])
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
def _formal_scores(cls: type, rest: tuple):
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
