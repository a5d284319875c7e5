r"""What gradlib knows about each family of distributions, as data: a family is one row.

A density, its support and its parameters belong to :mod:`sympy.stats`. A row adds what SymPy does not have:

* the domain of every parameter, and the conditions between them, so that a wrong value is refused before any draw;
* a *path*: a map :math:`x = g_\theta(\varepsilon)` from a base law with no (or fewer) parameters, from which
  draws and pathwise derivatives both follow;
* how NumPy draws the base law, its quantile, and the SciPy distribution that tells the oracle where the mass lies;
* the pairs of densities that make up its weak derivatives (:mod:`gradlib.core.weak`).

No score and no path derivative is written here: :class:`gradlib.core.law.Law` derives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import mpmath as mp
import numpy as np
import scipy  # scipy.stats, slow to import, is loaded at its first use
import sympy as sp
from sympy.stats import crv_types as continuous
from sympy.stats import drv_types as discrete
from sympy.stats import frv_types as finite
from sympy.stats.crv import SingleContinuousDistribution
from sympy.stats.crv_types import rv

from gradlib.core import weak
from gradlib.core.normals import standard_normal
from gradlib.core.weak import WeakPair

REAL, POSITIVE, PROBABILITY, COUNT = "real", "positive", "in [0, 1]", "a whole number >= 0"
EXTENDED = "real or infinite"
DOMAINS: dict[str, Callable] = {  # on numbers and on arrays
    REAL: np.isfinite,
    EXTENDED: lambda value: ~np.isnan(value),
    POSITIVE: lambda value: np.isfinite(value) & (value > 0),
    PROBABILITY: lambda value: (value >= 0) & (value <= 1),
    COUNT: lambda value: (value >= 0) & (np.floor(value) == value),
}


@dataclass(frozen=True)
class Small:
    """A base whose draws may be smaller than any number, drawn by a logarithm.

    Attributes:
        when: whether it is so, given the base's parameters.
        back: the draw, given its logarithm: an expression.
        draw: ``draw(rng, size, *parameters)``, the logarithm's draws.
        quantile: ``quantile(u, *parameters)``, its quantiles.
    """

    when: Callable[..., bool]
    back: Callable
    draw: Callable
    quantile: Callable


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes:
        parameters: name and domain of each distribution argument, in SymPy's order.
        latex: prints the family, given its printed parameters.
        scipy: the frozen SciPy distribution for numeric parameters, if there is one: it knows where the mass lies.
        conditions: what must hold between the parameters: (what to tell, a function of all of them).
        literals: SymPy's arguments after the parameters; with others the distribution is not of this family.
        support: the support, given the parameters, where SymPy's ``set`` is not it.
        density: the density at x, given x and the parameters, where SymPy's is not one formula.
        values: the values of a finite family, given the parameters; ``None`` if they are not known.
        path: ``path(eps, *parameters)``, the map g. A continuous family without one is differentiated by its
            distribution function, which SymPy has to know then (``_cdf``).
        base: the SymPy law of ``eps``, given the parameters: a family of this table. A parameter that no map can
            remove (Gamma's k) stands in it.
        draw: ``draw(rng, size, *parameters, out=None)`` of a family that is its own base (with the parameters that
            stand in it), or has none; in ``out`` where NumPy offers it. Without it draws come from the quantile.
        quantile: ``quantile(u, *parameters)`` of the same. Without it that of a continuous law is computed from its
            density, and a discrete one has none: NumPy draws it by search or rejection.
        symmetric: whether this law, as a base, is symmetric about 0.
        cdf: in mpmath, for the oracle: the distribution function, of a family that is its own base and has parameters.
        survival: its complement, where 1 − cdf loses digits on the right.
        weak: position of a parameter ↦ its weak derivative, given all parameters.
        moments: of which functions mean and variance exist whatever the parameters: "bounded" ones, "powers" of x (and
            of its logarithm), or "exponentials" as well. For others it is read from the formula, with numbers.
        small: how its draws are made where they underflow.
    """

    parameters: tuple[tuple[str, str], ...]
    latex: Callable[..., str]
    scipy: Callable | None = None
    conditions: tuple[tuple[str, Callable], ...] = ()
    literals: tuple = ()
    support: Callable[..., sp.Set] | None = None
    density: Callable[..., sp.Expr] | None = None
    values: Callable | None = None
    path: Callable | None = None
    base: Callable | None = None
    draw: Callable | None = None
    quantile: Callable | None = None
    symmetric: bool = False
    cdf: Callable | None = None
    survival: Callable | None = None
    weak: Mapping[int, Callable[..., WeakPair]] = field(default_factory=dict)
    moments: str = "bounded"
    small: Small | None = None


def _named(name: str) -> Callable[..., str]:
    return lambda *parameters: rf"\operatorname{{{name}}}\left({', '.join(parameters)}\right)"


def _squared(latex: str) -> str:
    """σ ↦ σ², since the book prints a Gaussian by its variance and SymPy takes σ."""
    if latex == "1":
        return "1"
    simple = latex.isalnum() or latex.startswith("\\") and latex[1:].isalpha()
    return f"{latex}^{{2}}" if simple else rf"\left({latex}\right)^{{2}}"


class TruncatedNormalDistribution(SingleContinuousDistribution):
    r"""A Normal variable, given that it lies between two edges, of which one may be infinite. SymPy has none.

    .. math:: p(x) = \frac{\varphi((x - \mu)/\sigma)}{\sigma\,(\Phi((b - \mu)/\sigma) - \Phi((a - \mu)/\sigma))},
              \qquad a \le x \le b
    """

    _argnames = ("mean", "std", "left", "right")

    @property
    def set(self):
        return sp.Interval(self.left, self.right)

    def _tail(self, x, side=1):
        r""":math:`2 \Phi(\mp (x - \mu)/\sigma)`, by erfc, which keeps its digits where little is left."""
        if x.is_infinite:
            return 1 - side * sp.sign(x)
        return sp.erfc(side * (x - self.mean) / (sp.sqrt(2) * self.std))

    def _mass(self):
        if self.left.is_infinite:
            return self._tail(self.right, -1)
        return self._tail(self.left) - self._tail(self.right)

    def pdf(self, x):
        bell = sp.exp(-((x - self.mean) ** 2) / (2 * self.std**2)) / (self.std * sp.sqrt(2 * sp.pi))
        return 2 * bell / self._mass()

    def _cdf(self, x):
        if self.left.is_infinite:
            return self._tail(x, -1) / self._mass()
        return 1 - (self._tail(x) - self._tail(self.right)) / self._mass()


def TruncatedNormal(name, mean, std, left=-sp.oo, right=sp.oo):  # noqa: N802 (as SymPy names its variables)
    """A Normal random variable between two edges, as a random symbol of SymPy.

    Args:
        name: its name, or a symbol.
        mean, std: the parameters of the Normal law that is truncated; std > 0.
        left, right: the edges, left < right; either may be infinite.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> mu, a = sp.symbols("mu a", real=True)
        >>> J = gl.Expectation(gl.TruncatedNormal("X", mu, 1, left=a))
        >>> round(gl.exact(J, {mu: 0, a: 0}), 9)  # the half-normal's mean, sqrt(2/pi)
        0.797884561
        >>> round(gl.exact(gl.pathwise(J, a), {mu: 0, a: 0}), 9)  # 2/pi: the edge pushes what lies near it
        0.636619772
    """
    return rv(name, TruncatedNormalDistribution, (mean, std, left, right))


SMALL = 0.1  # a shape, below which draws may underflow: at 0.1 one in 10^31 does


def _log_gamma(rng: np.random.Generator, size: int, k: float) -> np.ndarray:
    """log G for G ~ Gamma(k, 1) is that of Gamma(k + 1, 1) and log U / k."""
    return np.log(rng.standard_gamma(k + 1, size)) - rng.standard_exponential(size) / k


def _log_gamma_quantile(u: np.ndarray, k: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        x = scipy.special.gammaincinv(k, u)
        # Near 0 the distribution function is x^k / Γ(k + 1).
        return np.where(x > 1e-200, np.log(x), (np.log(u) + scipy.special.gammaln(k + 1)) / k)


def _logit_beta(rng: np.random.Generator, size: int, a: float, b: float) -> np.ndarray:
    """log(B/(1 − B)) is the difference of two such logarithms."""
    return _log_gamma(rng, size, a) - _log_gamma(rng, size, b)


def _logit_beta_quantile(u: np.ndarray, a: float, b: float) -> np.ndarray:
    def log_below(u, a, b):
        """log x from the left, where x is small: the distribution function is x^a / (a B(a, b)) there."""
        with np.errstate(divide="ignore"):
            x = scipy.special.betaincinv(a, b, u)
            return np.where(x > 1e-200, np.log(x), (np.log(u) + np.log(a) + scipy.special.betaln(a, b)) / a)

    left, right = log_below(u, a, b), log_below(1 - u, b, a)
    with np.errstate(over="ignore", divide="ignore"):
        return np.where(left < right, left - np.log1p(-np.exp(left)), np.log1p(-np.exp(right)) - right)


FAMILIES: dict[type, Family] = {
    # --- bases: NumPy draws them ---------------------------------------------------------
    continuous.NormalDistribution: Family(
        parameters=(("mean", REAL), ("std", POSITIVE)),
        latex=lambda m, s: rf"\mathcal{{N}}\left({m}, {_squared(s)}\right)",
        scipy=lambda *parameters: scipy.stats.norm(*parameters),
        path=lambda e, m, s: m + s * e,
        base=lambda m, s: continuous.NormalDistribution(0, 1),
        draw=standard_normal,
        quantile=lambda u: scipy.special.ndtri(u),
        symmetric=True,
        weak=weak.normal(lambda z: z),
        moments="exponentials",
    ),
    continuous.ExponentialDistribution: Family(
        parameters=(("rate", POSITIVE),),
        latex=_named("Exponential"),
        scipy=lambda r: scipy.stats.expon(scale=1 / r),
        path=lambda e, r: e / r,
        base=lambda r: continuous.ExponentialDistribution(1),
        draw=lambda rng, size, out=None: rng.standard_exponential(size, out=out),
        quantile=lambda u: -np.log1p(-u),
        weak={0: weak.exponential_rate},
        moments="powers",
    ),
    continuous.LaplaceDistribution: Family(
        parameters=(("mu", REAL), ("b", POSITIVE)),
        latex=_named("Laplace"),
        scipy=lambda *parameters: scipy.stats.laplace(*parameters),
        path=lambda e, m, b: m + b * e,
        base=lambda m, b: continuous.LaplaceDistribution(0, 1),
        draw=lambda rng, size, out=None: rng.laplace(size=size),
        quantile=lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))),
        symmetric=True,
        weak={0: weak.laplace_mean, 1: weak.laplace_scale},
        moments="powers",
    ),
    continuous.LogisticDistribution: Family(
        parameters=(("mu", REAL), ("s", POSITIVE)),
        latex=_named("Logistic"),
        scipy=lambda *parameters: scipy.stats.logistic(*parameters),
        path=lambda e, m, s: m + s * e,
        base=lambda m, s: continuous.LogisticDistribution(0, 1),
        draw=lambda rng, size, out=None: rng.logistic(size=size),
        quantile=lambda u: np.log(u / (1 - u)),
        symmetric=True,
        moments="powers",
    ),
    continuous.GumbelDistribution: Family(
        parameters=(("beta", POSITIVE), ("mu", REAL)),
        literals=(sp.false,),  # SymPy's `minimum` chooses the mirrored law
        latex=_named("Gumbel"),
        scipy=lambda b, m: scipy.stats.gumbel_r(m, b),
        path=lambda e, b, m: m + b * e,
        base=lambda b, m: continuous.GumbelDistribution(1, 0, False),
        draw=lambda rng, size, out=None: rng.gumbel(size=size),
        quantile=lambda u: -np.log(-np.log(u)),
        moments="powers",
    ),
    continuous.GammaDistribution: Family(
        parameters=(("k", POSITIVE), ("theta", POSITIVE)),
        latex=_named("Gamma"),
        scipy=lambda k, t: scipy.stats.gamma(k, scale=t),
        path=lambda e, k, t: t * e,
        base=lambda k, t: continuous.GammaDistribution(k, 1),
        draw=lambda rng, size, k, out=None: rng.standard_gamma(k, size, out=out),
        quantile=lambda u, k: scipy.special.gammaincinv(k, u),
        cdf=lambda x, k, scale: mp.gammainc(k, 0, x / scale, regularized=True),
        weak={1: weak.gamma_scale},
        small=Small(lambda k: k < SMALL, sp.exp, _log_gamma, _log_gamma_quantile),
        moments="powers",
    ),
    continuous.BetaDistribution: Family(
        parameters=(("alpha", POSITIVE), ("beta", POSITIVE)),
        latex=_named("Beta"),
        scipy=lambda *parameters: scipy.stats.beta(*parameters),
        path=lambda e, a, b: e,
        base=lambda a, b: continuous.BetaDistribution(a, b),
        draw=lambda rng, size, a, b, out=None: rng.beta(a, b, size),
        quantile=lambda u, a, b: scipy.special.betaincinv(a, b, u),
        cdf=lambda x, a, b: mp.betainc(a, b, 0, x, regularized=True),
        small=Small(
            lambda a, b: min(a, b) < SMALL, lambda logit: 1 / (1 + sp.exp(-logit)), _logit_beta, _logit_beta_quantile
        ),
        moments="powers",
    ),
    continuous.StudentTDistribution: Family(
        parameters=(("nu", POSITIVE),),
        latex=_named("Student"),
        scipy=lambda *parameters: scipy.stats.t(*parameters),
        path=lambda e, nu: e,
        base=lambda nu: continuous.StudentTDistribution(nu),
        draw=lambda rng, size, nu, out=None: rng.standard_t(nu, size),
        quantile=lambda u, nu: scipy.special.stdtrit(nu, u),
        symmetric=True,
        cdf=lambda x, nu: _student_tail(x, nu) if x <= 0 else 1 - _student_tail(x, nu),
        survival=lambda x, nu: _student_tail(x, nu) if x > 0 else 1 - _student_tail(x, nu),
    ),
    continuous.UniformDistribution: Family(
        parameters=(("left", REAL), ("right", REAL)),
        conditions=(("left < right", lambda a, b: a < b),),
        latex=_named("Uniform"),
        scipy=lambda a, b: scipy.stats.uniform(a, b - a),
        path=lambda e, a, b: a + (b - a) * e,
        base=lambda a, b: continuous.UniformDistribution(0, 1),
        draw=lambda rng, size, out=None: rng.random(size, out=out),
        quantile=lambda u: u,
        weak={0: weak.uniform_left, 1: weak.uniform_right},
        moments="powers",
    ),
    continuous.RayleighDistribution: Family(
        parameters=(("sigma", POSITIVE),),
        latex=_named("Rayleigh"),
        scipy=lambda s: scipy.stats.rayleigh(scale=s),
        path=lambda e, s: s * e,
        base=lambda s: continuous.RayleighDistribution(1),
        draw=lambda rng, size, out=None: rng.rayleigh(size=size),
        quantile=lambda u: np.sqrt(-2 * np.log1p(-u)),
        weak={0: weak.rayleigh_scale},
        moments="exponentials",
    ),
    continuous.MaxwellDistribution: Family(
        parameters=(("a", POSITIVE),),
        latex=_named("Maxwell"),
        scipy=lambda a: scipy.stats.maxwell(scale=a),
        path=lambda e, a: a * e,
        base=lambda a: continuous.MaxwellDistribution(1),
        draw=lambda rng, size, out=None: np.sqrt(rng.chisquare(3, size)),
        quantile=lambda u: np.sqrt(2 * scipy.special.gammaincinv(1.5, u)),
        moments="exponentials",
    ),
    continuous.VonMisesDistribution: Family(
        parameters=(("mu", REAL), ("k", POSITIVE)),
        latex=_named("VonMises"),
        path=lambda e, m, k: e,
        base=lambda m, k: continuous.VonMisesDistribution(m, k),
        draw=lambda rng, size, m, k, out=None: np.mod(rng.vonmises(m, k, size), 2 * np.pi),
        cdf=lambda x, m, k: _von_mises_below(x, m, k),
        moments="powers",
    ),
    continuous.CauchyDistribution: Family(
        parameters=(("x0", REAL), ("gamma", POSITIVE)),
        latex=_named("Cauchy"),
        scipy=lambda *parameters: scipy.stats.cauchy(*parameters),
        path=lambda e, m, s: m + s * e,
        base=lambda m, s: continuous.CauchyDistribution(0, 1),
        draw=lambda rng, size, out=None: rng.standard_cauchy(size),
        quantile=lambda u: np.where(u < 0.5, -1 / np.tan(np.pi * u), 1 / np.tan(np.pi * (1 - u))),
        symmetric=True,
    ),
    # --- maps of a base ----------------------------------------------------------------------
    continuous.LogNormalDistribution: Family(
        parameters=(("mean", REAL), ("std", POSITIVE)),
        latex=lambda m, s: rf"\operatorname{{LogNormal}}\left({m}, {_squared(s)}\right)",
        scipy=lambda m, s: scipy.stats.lognorm(s, scale=np.exp(m)),
        path=lambda e, m, s: sp.exp(m + s * e),
        base=lambda m, s: continuous.NormalDistribution(0, 1),
        weak=weak.normal(sp.exp),
        moments="powers",
    ),
    continuous.WeibullDistribution: Family(
        parameters=(("alpha", POSITIVE), ("beta", POSITIVE)),
        latex=_named("Weibull"),
        scipy=lambda a, b: scipy.stats.weibull_min(b, scale=a),
        path=lambda e, a, b: a * e ** (1 / b),
        base=lambda a, b: continuous.ExponentialDistribution(1),
        weak={0: weak.weibull_scale},
        moments="powers",
    ),
    continuous.ParetoDistribution: Family(
        parameters=(("xm", POSITIVE), ("alpha", POSITIVE)),
        latex=_named("Pareto"),
        scipy=lambda m, a: scipy.stats.pareto(a, scale=m),
        path=lambda e, m, a: m * sp.exp(e / a),
        base=lambda m, a: continuous.ExponentialDistribution(1),
    ),
    continuous.GammaInverseDistribution: Family(
        parameters=(("a", POSITIVE), ("b", POSITIVE)),
        latex=_named("InverseGamma"),
        scipy=lambda a, b: scipy.stats.invgamma(a, scale=b),
        path=lambda e, a, b: b / e,
        base=lambda a, b: continuous.GammaDistribution(a, 1),
    ),
    continuous.ChiSquaredDistribution: Family(
        parameters=(("k", POSITIVE),),
        latex=lambda k: rf"\chi^{{2}}\left({k}\right)",
        scipy=lambda k: scipy.stats.chi2(k),
        path=lambda e, k: 2 * e,
        base=lambda k: continuous.GammaDistribution(k / 2, 1),
        moments="powers",
    ),
    # --- differentiated by their distribution function --------------------------------------
    continuous.KumaraswamyDistribution: Family(
        parameters=(("a", POSITIVE), ("b", POSITIVE)),
        latex=_named("Kumaraswamy"),
        support=lambda a, b: sp.Interval(0, 1),  # SymPy says (0, ∞)
        quantile=lambda u, a, b: (-np.expm1(np.log1p(-u) / b)) ** (1 / a),
        moments="powers",
    ),
    TruncatedNormalDistribution: Family(
        parameters=(("mean", REAL), ("std", POSITIVE), ("left", EXTENDED), ("right", EXTENDED)),
        conditions=(("left < right", lambda m, s, a, b: a < b),),
        latex=_named("TruncatedNormal"),
        scipy=lambda m, s, a, b: scipy.stats.truncnorm((a - m) / s, (b - m) / s, m, s),
        quantile=lambda u, m, s, a, b: scipy.stats.truncnorm.ppf(u, (a - m) / s, (b - m) / s, m, s),
        moments="exponentials",
    ),
    # --- discrete ----------------------------------------------------------------------------
    discrete.PoissonDistribution: Family(
        parameters=(("lambda", POSITIVE),),
        latex=_named("Poisson"),
        scipy=lambda *parameters: scipy.stats.poisson(*parameters),
        draw=lambda rng, size, rate, out=None: rng.poisson(rate, size),
        weak={0: weak.poisson_rate},
        moments="exponentials",
    ),
    discrete.GeometricDistribution: Family(
        parameters=(("p", PROBABILITY),),
        conditions=(("p > 0", lambda p: p > 0),),
        latex=_named("Geometric"),
        scipy=lambda *parameters: scipy.stats.geom(*parameters),
        draw=lambda rng, size, p, out=None: rng.geometric(p, size),
        moments="powers",
    ),
    finite.BernoulliDistribution: Family(
        parameters=(("p", PROBABILITY),),
        literals=(sp.S.One, sp.S.Zero),  # the values of success and failure
        latex=_named("Bernoulli"),
        scipy=lambda *parameters: scipy.stats.bernoulli(*parameters),
        support=lambda p: sp.FiniteSet(0, 1),
        density=lambda x, p: p**x * (1 - p) ** (1 - x),
        values=lambda p: (0, 1),
        draw=lambda rng, size, p, out=None: rng.random(size) < p,
        quantile=lambda u, p: u < p,
        weak={0: weak.bernoulli},
    ),
    finite.BinomialDistribution: Family(
        parameters=(("n", COUNT), ("p", PROBABILITY)),
        literals=(sp.S.One, sp.S.Zero),
        latex=_named("Binomial"),
        scipy=lambda *parameters: scipy.stats.binom(*parameters),
        support=lambda n, p: sp.Range(0, n + 1) if n.is_Integer else sp.S.Naturals0,
        density=lambda x, n, p: sp.binomial(n, x) * p**x * (1 - p) ** (n - x),
        values=lambda n, p: range(int(n) + 1) if n.is_number else None,
        draw=lambda rng, size, n, p, out=None: rng.binomial(np.asarray(n).astype(int), p, size),
        weak={1: weak.binomial},
    ),
}


def _student_tail(x, nu):
    """The mass of Student's t beyond |x|."""
    return mp.betainc(nu / 2, mp.mpf(1) / 2, 0, nu / (nu + x * x), regularized=True) / 2


def _von_mises_below(x, m, k):
    """Von Mises' distribution function on (0, 2π), by its Fourier series."""
    waves = [*reversed(_von_mises_coefficients(k, mp.mp.prec)), 0]  # of j = …, 2, 1, 0
    return x / (2 * mp.pi) + (mp.polyval(waves, mp.expj(x - m)) + mp.polyval(waves, mp.expj(m))).imag / mp.pi


@lru_cache(maxsize=64)
def _von_mises_coefficients(k, precision):
    """I_j(k) / (j I_0(k)) for j = 1, 2, …, until nothing is left at this precision."""
    found, whole = [], mp.besseli(0, k)
    while not found or abs(found[-1]) > mp.mpf(2) ** -(precision + 4):
        j = len(found) + 1
        found.append(mp.besseli(j, k) / (j * whole))
    return found
