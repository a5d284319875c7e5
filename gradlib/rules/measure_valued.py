r"""Measure-valued estimators: the derivative of a density as a difference of two densities.

.. math:: \partial_\theta p_\theta = c_\theta\,(p^+_\theta - p^-_\theta)
          \quad\Rightarrow\quad
          \partial_\theta \mathbb{E}_{x \sim p_\theta}[F(x)] = c_\theta\,\bigl(\mathbb{E}_{p^+_\theta}[F] - \mathbb{E}_{p^-_\theta}[F]\bigr)

Such a pair is a *weak derivative*. It is not unique: the positive and the negative part of
:math:`\partial_\theta p` (the Jordan split) have the smallest c, other pairs are easier to draw from.
F is evaluated and never differentiated, so it may jump.

Source: Pflug (1996), *Optimization of stochastic models*; Heidergott and Vázquez-Abad (2000),
*Measure-valued differentiation for stochastic processes*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.stats import crv_types, drv_types, frv_types
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation
from gradlib.core.law import Law, named
from gradlib.rules.contract import each_parameter, parameter_derivative
from gradlib.sound.jumps import require_continuous
from gradlib.sound.support import require_inner_value

_C = crv_types


@dataclass(frozen=True)
class Side:
    """How to draw from one of the two densities: a map of independent noise.

    Attributes:
        noise: the SymPy laws of the noise.
        x: the draw, given the noise.
    """

    noise: tuple[sp.Basic, ...]
    x: Callable[..., sp.Expr]


@dataclass(frozen=True)
class Split:
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
    coupled: tuple[tuple[sp.Basic, ...], Callable[..., sp.Expr], Callable[..., sp.Expr]]
    shares_x: bool = False


def _normal(path: Callable[[sp.Expr], sp.Expr]):
    """Mean and standard deviation of x = path(μ + σ z)."""

    def mean(m, s) -> Split:
        weibull = (_C.RayleighDistribution(1),)
        up, down = (lambda w: path(m + s * w)), (lambda w: path(m - s * w))
        return Split(1 / (s * sp.sqrt(2 * sp.pi)), Side(weibull, up), Side(weibull, down), (weibull, up, down))

    def std(m, s) -> Split:
        # p⁺ ∝ z² φ(z): a Maxwell variable with a random sign. Times a uniform variable it is Normal.
        maxwell, sign = _C.MaxwellDistribution(1), frv_types.BernoulliDistribution(sp.S.Half, 1, 0)

        def plus(w, b, *_):
            return path(m + s * (2 * b - 1) * w)

        def minus(w, b, u):
            return path(m + s * (2 * b - 1) * w * u)

        return Split(1 / s, Side((maxwell, sign), plus), None, ((maxwell, sign, _C.UniformDistribution(0, 1)), plus, minus))

    return {0: mean, 1: std}


def _exponential(r) -> Split:
    one = _C.ExponentialDistribution(r)
    return Split(1 / r, None, Side((_C.GammaDistribution(2, 1 / r),), lambda g: g), ((one,), lambda x, e: x, lambda x, e: x + e), True)


def _gamma_scale(k, t) -> Split:
    one = _C.ExponentialDistribution(1 / t)
    return Split(k / t, Side((_C.GammaDistribution(k + 1, t),), lambda g: g), None, ((one,), lambda x, e: x + e, lambda x, e: x), True)


def _weibull_scale(a, b) -> Split:
    """x = a E^(1/b) with a standard exponential E; p⁺ has the sum of two of them."""
    one = _C.ExponentialDistribution(1)
    return Split(
        b / a,
        Side((_C.GammaDistribution(2, 1),), lambda g: a * g ** (1 / b)),
        None,
        ((one,), lambda x, e: a * ((x / a) ** b + e) ** (1 / b), lambda x, e: x),
        True,
    )


def _rayleigh(s) -> Split:
    """x²/(2s²) is a standard exponential."""
    one = _C.ExponentialDistribution(1)
    return Split(
        2 / s,
        Side((_C.GammaDistribution(2, 1),), lambda g: s * sp.sqrt(2 * g)),
        None,
        ((one,), lambda x, e: sp.sqrt(x**2 + 2 * s**2 * e), lambda x, e: x),
        True,
    )


def _laplace_mean(m, b) -> Split:
    one = (_C.ExponentialDistribution(1),)
    up, down = (lambda e: m + b * e), (lambda e: m - b * e)
    return Split(1 / (2 * b), Side(one, up), Side(one, down), (one, up, down))


def _laplace_scale(m, b) -> Split:
    """|x − m|/b is a standard exponential; the sign of x − m stays."""
    one, two, sign = _C.ExponentialDistribution(1), _C.GammaDistribution(2, 1), frv_types.BernoulliDistribution(sp.S.Half, 1, 0)
    return Split(
        1 / b,
        Side((two, sign), lambda g, c: m + b * (2 * c - 1) * g),
        None,
        ((one, one, sign), lambda e, f, c: m + b * (2 * c - 1) * (e + f), lambda e, f, c: m + b * (2 * c - 1) * e),
    )


def _uniform_left(a, b) -> Split:
    return Split(1 / (b - a), None, Side((), lambda: a), ((), lambda x: x, lambda x: a), True)


def _uniform_right(a, b) -> Split:
    return Split(1 / (b - a), Side((), lambda: b), None, ((), lambda x: b, lambda x: x), True)


def _poisson(rate) -> Split:
    return Split(sp.S.One, Side((drv_types.PoissonDistribution(rate),), lambda k: k + 1), None, ((), lambda x: x + 1, lambda x: x), True)


def _bernoulli(p) -> Split:
    return Split(sp.S.One, Side((), lambda: sp.S.One), Side((), lambda: sp.S.Zero), ((), lambda x: sp.S.One, lambda x: sp.S.Zero), True)


def _binomial(n, p) -> Split:
    rest = (frv_types.BinomialDistribution(n - 1, p, 1, 0),)
    return Split(n, Side(rest, lambda k: k + 1), Side(rest, lambda k: k), (rest, lambda k: k + 1, lambda k: k))


#: Family ↦ position of a parameter ↦ its weak derivative, given all parameters.
SPLITS: dict[type, dict[int, Callable[..., Split]]] = {
    _C.NormalDistribution: _normal(lambda z: z),
    _C.LogNormalDistribution: _normal(sp.exp),
    _C.ExponentialDistribution: {0: _exponential},
    _C.GammaDistribution: {1: _gamma_scale},
    _C.WeibullDistribution: {0: _weibull_scale},
    _C.RayleighDistribution: {0: _rayleigh},
    _C.LaplaceDistribution: {0: _laplace_mean, 1: _laplace_scale},
    _C.UniformDistribution: {0: _uniform_left, 1: _uniform_right},
    drv_types.PoissonDistribution: {0: _poisson},
    frv_types.BernoulliDistribution: {0: _bernoulli},
    frv_types.BinomialDistribution: {1: _binomial},
}


def measure_valued(
    J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], *, coupled: bool = False, assume: str | Iterable[str] = ()
) -> Expectation:
    r"""The measure-valued estimator (weak derivative).

    .. math:: \partial_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}\left[\partial_\theta F_\theta(x) + c_\theta\,\bigl(F_\theta(x^+) - F_\theta(x^-)\bigr)\right],
              \qquad \partial_\theta p_\theta = c_\theta\,(p^+_\theta - p^-_\theta)

    with :math:`x^\pm \sim p^\pm_\theta`. One draw costs two evaluations of F for each parameter of
    each variable. All other variables have the same value in both.

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        coupled: draw :math:`x^+` and :math:`x^-` from the same noise. This lowers the variance where
            :math:`F(x^+)` and :math:`F(x^-)` are positively correlated, and raises it where negatively.
        assume: names from :data:`gradlib.ASSUMPTIONS` that the caller vouches for.

    Returns:
        The gradient as an :class:`Expectation` over J's variables and the noise: scalar for one
        parameter, a column of length d for a sequence.

    Raises:
        UnsoundEstimator: for a parameter without a pair to draw from (shapes; laws that are
            not in ``gradlib.rules.measure_valued.SPLITS``); if the integrand jumps where θ moves the jump, or
            on an edge of the support that θ moves.
        ValueError: if θ occurs nowhere in J.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal, Bernoulli
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> J = gl.Expectation(Normal("X", mu, sigma) ** 2)
        >>> G = gl.measure_valued(J, mu)
        >>> round(gl.exact(G, {mu: 1, sigma: 2}), 9)
        2.0
        >>> p = sp.Symbol("p", positive=True)
        >>> gl.measure_valued(gl.Expectation((Bernoulli("B", p) - 3) ** 2), p)
        E[-5], B ~ Bernoulli(p)

    References:
        Pflug (1996), *Optimization of stochastic models*. Mohamed, Rosca, Figurnov and Mnih (2020),
        *Monte Carlo gradient estimation in machine learning*.
    """
    if not isinstance(coupled, bool):
        raise TypeError(f"coupled must be True or False, got {coupled!r}")
    taken = {s.name for s in J.parameters | {each.symbol for each in J.laws}} if isinstance(J, Expectation) else set()
    noise: list[RandomSymbol] = []

    def fresh(distribution: sp.Basic, name: str) -> RandomSymbol:
        while name in taken:
            name += "'"
        taken.add(name)
        noise.append(named(distribution, name))
        return noise[-1]

    def rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        if "continuous" not in assumed:
            require_continuous("measure_valued", J, theta, moving_x=False)
        total = parameter_derivative(J.plain, theta)
        for each in J.laws:
            if theta not in each.free_symbols:
                continue
            for i, parameter in enumerate(each.parameters):
                inner = sp.diff(parameter, theta)
                if inner != 0:
                    total += inner * _difference(J, each, i, coupled, fresh)
        return total

    return each_parameter(J, theta, assume, rule, noise=noise)


def _difference(J: Expectation, each: Law, i: int, coupled: bool, fresh: Callable) -> sp.Expr:
    """c (F(x⁺) − F(x⁻))."""
    split = find_split(each, i)
    x, F = each.symbol, J.plain
    if isinstance(each.distribution, _C.UniformDistribution):
        require_inner_value(F, each, i)
    if coupled:
        laws, plus, minus = split.coupled
        given = [x] if split.shares_x else []
        given += [fresh(law, f"{x}_noise" + (f"{j}" if j else "")) for j, law in enumerate(laws)]
        draws = plus(*given), minus(*given)
    else:
        draws = tuple(
            x if side is None else side.x(*(fresh(law, f"{x}_{sign}" + (f"{j}" if j else "")) for j, law in enumerate(side.noise)))
            for side, sign in ((split.plus, "plus"), (split.minus, "minus"))
        )
    high, low = (F.subs(x, draw) for draw in draws)
    return split.constant * (high - low)


def find_split(each: Law, i: int) -> Split:
    """The weak derivative of a law in its i-th parameter; refused, with the alternative, where none is known."""
    try:
        return SPLITS[type(each.distribution)][i](*each.parameters)
    except KeyError:
        pass
    if each.is_finite and each.family is None:
        raise UnsoundEstimator(
            f"measure_valued: {each.variable} takes finitely many values, and no pair of densities is needed: "
            f"use rao_blackwell(score_function(J, theta), {each.variable}), which sums over them"
        )
    name = each.family.parameters[i][0] if each.family else "its parameters"
    raise UnsoundEstimator(
        f"measure_valued: no pair of densities to draw from is known for the parameter {name} of {each.variable} ~ {each.name}. "
        "Use score_function" + (" or pathwise" if each.family and each.family.path else "")
    )
