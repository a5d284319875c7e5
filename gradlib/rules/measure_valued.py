r"""Measure-valued estimators: the derivative of a density as a difference of two densities.

.. math:: \partial_\theta p_\theta = c_\theta\,(p^+_\theta - p^-_\theta)
          \quad\Rightarrow\quad
          \partial_\theta \mathbb{E}_{x \sim p_\theta}[F(x)]
          = c_\theta\,\bigl(\mathbb{E}_{p^+_\theta}[F] - \mathbb{E}_{p^-_\theta}[F]\bigr)

Such a pair is a *weak derivative*. It is not unique: the positive and the negative part of
:math:`\partial_\theta p` (the Jordan split) have the smallest c, other pairs are easier to draw from.
F is evaluated and never differentiated, so it may jump.

Source: Pflug (1996), *Optimization of stochastic models*; Heidergott and Vázquez-Abad (2000),
*Measure-valued differentiation for stochastic processes*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import sympy as sp
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation
from gradlib.core.joint import fresh, taken_names
from gradlib.core.law import Law
from gradlib.core.variable import named
from gradlib.rules.contract import each_parameter, parameter_derivative
from gradlib.sound.jumps import require_continuous
from gradlib.sound.support import require_inner_value


def measure_valued(
    J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], *, coupled: bool = False, assume: str | Iterable[str] = ()
) -> Expectation:
    r"""The measure-valued estimator (weak derivative).

    .. math:: \partial_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}\left[\partial_\theta F_\theta(x)
              + c_\theta\,\bigl(F_\theta(x^+) - F_\theta(x^-)\bigr)\right],
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
            not in a row of ``gradlib.core.families.FAMILIES``); if the integrand jumps where θ moves the jump, or
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
    taken = taken_names(J) if isinstance(J, Expectation) else set()
    noise: list[RandomSymbol] = []

    def draw(distribution: sp.Basic, name: str) -> RandomSymbol:
        noise.append(named(distribution, fresh(name, taken)))
        return noise[-1]

    def rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        require_continuous("measure_valued", J, theta, moving_x=False, assumed=assumed)
        total = parameter_derivative(J.plain, theta)
        for law in J.laws:
            if theta not in law.free_symbols:
                continue
            if law.is_abstract:
                raise UnsoundEstimator(
                    f"measure_valued: {law.variable} has an abstract density, and no pair of laws is known whose "
                    "difference is its derivative. Use score_function, or write the density out"
                )
            for i, parameter in enumerate(law.parameters):
                inner = sp.diff(parameter, theta)
                if inner != 0:
                    total += inner * _difference(J, law, i, coupled, draw)
        return total

    return each_parameter(J, theta, assume, rule, noise=noise)


def _difference(J: Expectation, law: Law, i: int, coupled: bool, draw: Callable) -> sp.Expr:
    """c (F(x⁺) − F(x⁻))."""
    pair = law.weak_pair(i)
    x, F = law.symbol, J.plain
    for side in filter(None, (pair.plus, pair.minus)):
        if not side.noise and not law.is_discrete:
            require_inner_value(F, law, side.x())
    if coupled:
        distributions, plus, minus = pair.coupled
        given = [x] if pair.shares_x else []
        given += [
            draw(distribution, f"{x}_noise" + (f"{j}" if j else "")) for j, distribution in enumerate(distributions)
        ]
        draws = plus(*given), minus(*given)
    else:
        draws = tuple(
            x
            if side is None
            else side.x(
                *(
                    draw(distribution, f"{x}_{sign}" + (f"{j}" if j else ""))
                    for j, distribution in enumerate(side.noise)
                )
            )
            for side, sign in ((pair.plus, "plus"), (pair.minus, "minus"))
        )
    high, low = (F.subs(x, draw) for draw in draws)
    return pair.constant * (high - low)
