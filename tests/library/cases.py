"""One random variable of each family, with values for its parameters: what the matrix of tests runs over."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.stats
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.core.families import FAMILIES

mu, lo = sp.symbols("mu lo", real=True)
sigma, k, b, hi = sp.symbols("sigma k b hi", positive=True)
p, q = sp.symbols("p q", positive=True)


@dataclass(frozen=True)
class Case:
    variable: sp.Expr
    at: dict
    scored: tuple = ()  # parameters that do not move the support
    moments: float = float("inf")  # E|x|^m is finite for m below this
    exponential: bool = False  # E exp(x/4) and its square are finite

    @property
    def law(self):
        return gl.Expectation(self.variable).laws[0]

    @property
    def parameters(self):
        return list(self.at)

    @property
    def places(self):
        """Where the scored parameters stand among all."""
        return [i for i, parameter in enumerate(self.at) if parameter in self.scored]

    @property
    def has_free_base(self):
        """Whether a base law without parameters is known."""
        return self.law.base() is not None and not self.law.base()[0].free_symbols


def case(variable, at, scored=None, **facts):
    return Case(variable, at, tuple(at if scored is None else scored), **facts)


CASES = {
    "Normal": case(st.Normal("X", mu, sigma), {mu: 0.3, sigma: 1.2}, exponential=True),
    "LogNormal": case(st.LogNormal("X", mu, sigma), {mu: 0.3, sigma: 0.4}),
    "Exponential": case(st.Exponential("X", sigma), {sigma: 1.2}, exponential=True),
    "Laplace": case(st.Laplace("X", mu, sigma), {mu: 0.3, sigma: 1.2}, exponential=True),
    "Logistic": case(st.Logistic("X", mu, sigma), {mu: 0.3, sigma: 1.2}, exponential=True),
    "Gumbel": case(st.Gumbel("X", sigma, mu), {sigma: 1.2, mu: 0.3}, exponential=True),
    "Weibull": case(st.Weibull("X", sigma, k), {sigma: 1.2, k: 2.5}, exponential=True),
    "Gamma": case(st.Gamma("X", k, sigma), {k: 2.5, sigma: 1.2}, exponential=True),
    "Beta": case(st.Beta("X", k, b), {k: 2.5, b: 1.7}, exponential=True),
    "StudentT": case(st.StudentT("X", k), {k: 9.5}, moments=9.5),
    "Uniform": case(st.Uniform("X", lo, hi), {lo: -0.4, hi: 1.7}, scored=(), exponential=True),
    "Pareto": case(st.Pareto("X", sigma, k), {sigma: 1.2, k: 9.5}, scored=(k,), moments=9.5),
    "Kumaraswamy": case(st.Kumaraswamy("X", k, b), {k: 2.5, b: 1.7}, exponential=True),
    "GammaInverse": case(st.GammaInverse("X", k, sigma), {k: 9.5, sigma: 3.2}, moments=9.5),
    "ChiSquared": case(st.ChiSquared("X", k), {k: 2.5}, exponential=True),
    "VonMises": case(st.VonMises("X", mu, k), {mu: 2.3, k: 1.2}, exponential=True),
    "TruncatedNormal": case(
        gl.TruncatedNormal("X", mu, sigma, left=lo),
        {mu: 0.3, sigma: 1.2, lo: -0.4},
        scored=(mu, sigma),
        exponential=True,
    ),
    "Rayleigh": case(st.Rayleigh("X", sigma), {sigma: 1.2}, exponential=True),
    "Maxwell": case(st.Maxwell("X", sigma), {sigma: 1.2}, exponential=True),
    "Cauchy": case(st.Cauchy("X", mu, sigma), {mu: 0.3, sigma: 1.2}, moments=1),
    "Poisson": case(st.Poisson("X", sigma), {sigma: 1.7}, exponential=True),
    "Geometric": case(st.Geometric("X", p), {p: 0.45}, exponential=True),
    "Bernoulli": case(st.Bernoulli("X", p), {p: 0.3}, exponential=True),
    "Binomial": case(st.Binomial("X", 5, p), {p: 0.3}, exponential=True),
    "Table": case(st.FiniteRV("X", {-1: p, sp.Rational(1, 2): q, 3: 1 - p - q}), {p: 0.2, q: 0.5}, exponential=True),
}
assert {type(c.law.distribution) for name, c in CASES.items() if name != "Table"} == set(FAMILIES)

CONTINUOUS = {name: c for name, c in CASES.items() if not c.law.no_path}


def numbers(name):
    c = CASES[name]
    return tuple(float(sp.sympify(parameter).subs(c.at)) for parameter in c.law.parameters)


class Kumaraswamy:
    """What SciPy does not have, from its distribution function 1 − (1 − x^a)^b."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def cdf(self, t):
        return 1 - (1 - np.clip(t, 0, 1) ** self.a) ** self.b

    def ppf(self, u):
        return (1 - (1 - u) ** (1 / self.b)) ** (1 / self.a)

    def pdf(self, t):
        h = 1e-20  # the complex step: exact to rounding
        return (1 - (1 - (t + 1j * h) ** self.a) ** self.b).imag / h


class VonMises:
    """SciPy's is on the whole line; this one is on (0, 2π), as SymPy's."""

    def __init__(self, mu, kappa):
        self.whole = scipy.stats.vonmises(kappa, loc=mu)
        self.pdf = self.whole.pdf

    def cdf(self, t):
        return self.whole.cdf(np.clip(t, 0, 2 * np.pi)) - self.whole.cdf(0.0)

    def ppf(self, u):
        return np.array([scipy.optimize.brentq(lambda t: self.cdf(t) - share, 0, 2 * np.pi) for share in u])


def frozen(name):
    """The law in SciPy, or what stands for it."""
    row = FAMILIES[type(CASES[name].law.distribution)]
    return (row.scipy or {"Kumaraswamy": Kumaraswamy, "VonMises": VonMises}[name])(*numbers(name))


def frozen_base(name):
    """The same for the law that is drawn: the base law, where there is one other than the law itself."""
    base, _ = CASES[name].law.base() or (CASES[name].law.distribution, None)
    if base == CASES[name].law.distribution:
        return frozen(name)
    row = FAMILIES[type(base)]
    return row.scipy(*(float(sp.sympify(a).subs(CASES[name].at)) for a in base.args[: len(row.parameters)]))


INTEGRANDS = {
    "polynomial": lambda x: x**2,
    "cosine": sp.cos,
    "bounded": lambda x: sp.exp(-(x**2)),
    "exponential": lambda x: sp.exp(x / 4),
}


def gradient(name: str, integrand: str, rule) -> gl.Expectation:
    """The gradient in all the parameters that the rule can do."""
    c = CASES[name]
    thetas = c.scored if rule is gl.score_function else c.parameters
    return rule(gl.Expectation(INTEGRANDS[integrand](c.variable)), list(thetas))


def finite_second_moment(name: str, integrand: str, rule) -> bool:
    c = CASES[name]
    if integrand == "exponential":
        return c.exponential
    if name == "Cauchy":  # the path's velocity grows like x, and its second moment diverges
        return integrand == "bounded" or integrand == "cosine" and rule is gl.score_function
    return True


def draws(name, rng, size):
    """Draws of a family's variable: the base law's, moved along the path."""
    law = CASES[name].law
    numbers = tuple(float(sp.sympify(parameter).subs(CASES[name].at)) for parameter in law.parameters)
    sampler = law.sampler(numbers, CASES[name].at)
    return sampler.value(sampler.draw(rng, size))


def z_of_variance(G, at, samples=20_000, seeds=20):
    """n·stderr² against the exact variance, in standard errors: the error of n·stderr² is measured over the seeds."""
    spreads = np.array(
        [np.asarray(gl.estimate(G, at, samples=samples, rng=seed).stderr) ** 2 * samples for seed in range(seeds)]
    )
    error = spreads.std(axis=0, ddof=1) / np.sqrt(seeds)
    difference = spreads.mean(axis=0) - gl.variance(G, at)
    return np.where(np.abs(difference) < 1e-12, 0.0, difference / np.maximum(error, 1e-300))


def numerical(J, t, at, orders=1) -> float:
    """A derivative of the oracle's J by central differences, extrapolated once (Richardson): error O(h⁴)."""

    def slope(h):
        high, low = gl.exact(J, {**at, t: at[t] + h}), gl.exact(J, {**at, t: at[t] - h})
        return (high - low) / (2 * h) if orders == 1 else (high - 2 * gl.exact(J, at) + low) / h**2

    h = 0.005 if orders == 1 else 0.02
    return (4 * slope(h) - slope(2 * h)) / 3
