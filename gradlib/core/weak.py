r"""Weak derivatives: the derivative of a density as a difference of two densities that can be drawn from.

.. math:: \partial_\theta p_\theta = c_\theta\,(p^+_\theta - p^-_\theta)

Such a pair is not unique: the positive and the negative part of :math:`\partial_\theta p` (the Jordan split)
have the smallest c, other pairs are easier to draw from. A row of ``FAMILIES`` names
the pair of each parameter that has one.

Source: Pflug (1996), *Optimization of stochastic models*; Heidergott and Vázquez-Abad (2000),
*Measure-valued differentiation for stochastic processes*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp
from sympy.stats import crv_types as continuous
from sympy.stats import drv_types as discrete
from sympy.stats import frv_types as finite


@dataclass(frozen=True)
class Side:
    """How to draw from one of the two densities: a map of independent noise.

    Attributes:
        noise: the SymPy laws of the noise; none for a density that is a point.
        x: the draw, given the noise.
    """

    noise: tuple[sp.Basic, ...]
    x: Callable[..., sp.Expr]


@dataclass(frozen=True)
class WeakPair:
    """One weak derivative.

    Attributes:
        constant: c.
        plus: draws of p⁺; ``None`` where p⁺ is the density itself.
        minus: the same for p⁻.
        coupled: ``(noise, plus, minus)``: both draws from the same noise. A map takes the
            variable x first, if ``shares_x``, then the noise.
        shares_x: whether the coupled draws start from the variable itself.
    """

    constant: sp.Expr
    plus: Side | None
    minus: Side | None
    coupled: tuple
    shares_x: bool = False


def normal(path: Callable[[sp.Expr], sp.Expr]) -> dict[int, Callable[..., WeakPair]]:
    """Mean and standard deviation of x = path(μ + σ z)."""

    def mean(m, s) -> WeakPair:
        weibull = (continuous.RayleighDistribution(1),)
        up, down = (lambda w: path(m + s * w)), (lambda w: path(m - s * w))
        return WeakPair(1 / (s * sp.sqrt(2 * sp.pi)), Side(weibull, up), Side(weibull, down), (weibull, up, down))

    def std(m, s) -> WeakPair:
        # p⁺ ∝ z² φ(z): a Maxwell variable with a random sign. Times a uniform variable it is Normal.
        maxwell, sign = continuous.MaxwellDistribution(1), finite.BernoulliDistribution(sp.S.Half, 1, 0)
        uniform = continuous.UniformDistribution(0, 1)

        def plus(w, b, *_):
            return path(m + s * (2 * b - 1) * w)

        def minus(w, b, u):
            return path(m + s * (2 * b - 1) * w * u)

        return WeakPair(1 / s, Side((maxwell, sign), plus), None, ((maxwell, sign, uniform), plus, minus))

    return {0: mean, 1: std}


def exponential_rate(r) -> WeakPair:
    one, two = continuous.ExponentialDistribution(r), continuous.GammaDistribution(2, 1 / r)
    return WeakPair(1 / r, None, Side((two,), lambda g: g), ((one,), lambda x, e: x, lambda x, e: x + e), True)


def gamma_scale(k, t) -> WeakPair:
    one, more = continuous.ExponentialDistribution(1 / t), continuous.GammaDistribution(k + 1, t)
    return WeakPair(k / t, Side((more,), lambda g: g), None, ((one,), lambda x, e: x + e, lambda x, e: x), True)


def weibull_scale(a, b) -> WeakPair:
    """x = a E^(1/b) with a standard exponential E; p⁺ has the sum of two of them."""
    one = continuous.ExponentialDistribution(1)
    return WeakPair(
        b / a,
        Side((continuous.GammaDistribution(2, 1),), lambda g: a * g ** (1 / b)),
        None,
        ((one,), lambda x, e: a * ((x / a) ** b + e) ** (1 / b), lambda x, e: x),
        True,
    )


def rayleigh_scale(s) -> WeakPair:
    """x²/(2s²) is a standard exponential."""
    one = continuous.ExponentialDistribution(1)
    return WeakPair(
        2 / s,
        Side((continuous.GammaDistribution(2, 1),), lambda g: s * sp.sqrt(2 * g)),
        None,
        ((one,), lambda x, e: sp.sqrt(x**2 + 2 * s**2 * e), lambda x, e: x),
        True,
    )


def laplace_mean(m, b) -> WeakPair:
    one = (continuous.ExponentialDistribution(1),)
    up, down = (lambda e: m + b * e), (lambda e: m - b * e)
    return WeakPair(1 / (2 * b), Side(one, up), Side(one, down), (one, up, down))


def laplace_scale(m, b) -> WeakPair:
    """The distance of x from m, divided by b, is a standard exponential; the sign of x − m stays."""
    one, two = continuous.ExponentialDistribution(1), continuous.GammaDistribution(2, 1)
    sign = finite.BernoulliDistribution(sp.S.Half, 1, 0)
    return WeakPair(
        1 / b,
        Side((two, sign), lambda g, c: m + b * (2 * c - 1) * g),
        None,
        ((one, one, sign), lambda e, f, c: m + b * (2 * c - 1) * (e + f), lambda e, f, c: m + b * (2 * c - 1) * e),
    )


def uniform_left(a, b) -> WeakPair:
    return WeakPair(1 / (b - a), None, Side((), lambda: a), ((), lambda x: x, lambda x: a), True)


def uniform_right(a, b) -> WeakPair:
    return WeakPair(1 / (b - a), Side((), lambda: b), None, ((), lambda x: b, lambda x: x), True)


def poisson_rate(rate) -> WeakPair:
    same = (discrete.PoissonDistribution(rate),)
    return WeakPair(sp.S.One, Side(same, lambda k: k + 1), None, ((), lambda x: x + 1, lambda x: x), True)


def bernoulli(p) -> WeakPair:
    one, zero = Side((), lambda: sp.S.One), Side((), lambda: sp.S.Zero)
    return WeakPair(sp.S.One, one, zero, ((), lambda x: sp.S.One, lambda x: sp.S.Zero), True)


def binomial(n, p) -> WeakPair:
    rest = (finite.BinomialDistribution(n - 1, p, 1, 0),)
    return WeakPair(n, Side(rest, lambda k: k + 1), Side(rest, lambda k: k), (rest, lambda k: k + 1, lambda k: k))
