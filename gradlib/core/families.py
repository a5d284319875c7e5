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

import numpy as np
import scipy
import sympy as sp
from sympy.stats import crv_types, drv_types, frv_types

from gradlib.core.normals import standard_normal

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


BY_NAME = {cls.__name__.removesuffix("Distribution"): cls for cls in FAMILIES}
