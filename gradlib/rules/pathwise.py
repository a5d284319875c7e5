"""The pathwise estimator (reparameterization)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy as sp
from sympy.stats.crv import SingleContinuousPSpace

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation
from gradlib.core.joint import fresh, taken_names
from gradlib.rules.contract import condition, each_parameter, parameter_derivative, parameters_of, told
from gradlib.sound.jumps import require_continuous, require_continuous_density


def pathwise(
    J: Expectation,
    theta: sp.Symbol | Sequence[sp.Symbol],
    *,
    assume: str | Iterable[str] = (),
    jumps: str = "refuse",
    base: bool = False,
) -> Expectation:
    r"""The pathwise estimator (reparameterization).

    .. math:: \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}_{x \sim p_\theta}\left[\nabla_\theta F_\theta(x)
              + \sum_i \partial_{x_i} F_\theta(x)\, v_{\theta, i}(x_i)\right]

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        assume: names from :data:`gradlib.ASSUMPTIONS` that the caller vouches for, where they cannot be decided:
            ``"continuous"`` for a black box without jumps.
        jumps: ``"ignore"`` differentiates draw by draw all the same, where there is a jump. The mean of that is not
            the gradient; it shows what the jump carries.
        base: write the result over the base variables ε of :func:`reparameterize`
            instead of over x. Both have the same distribution, sample for sample.

    Returns:
        The gradient as an :class:`Expectation`: scalar for one parameter, a column of
        length d for a sequence.

    Raises:
        UnsoundEstimator: if θ moves a discrete variable; if the integrand jumps along
            the path, or is not known to be continuous; if θ is a whole number.
        ValueError: if θ occurs nowhere in J.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.pathwise(gl.Expectation(X**2), [mu, sigma])
        E[[2*X, 2*(-mu + X)*X/sigma]], X ~ Normal(mu, sigma)
        >>> gl.pathwise(gl.Expectation(sp.Heaviside(X)), mu)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.core.errors.UnsoundEstimator: pathwise: the integrand jumps by 1 at X = 0, ...

    References:
        Kingma and Welling (2014), *Auto-encoding variational Bayes*.
        Figurnov, Mohamed and Mnih (2018), *Implicit reparameterization gradients*.
    """
    told("jumps", jumps)

    def rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        moved = [law for law in J.laws if theta in law.free_symbols]
        for law in moved:
            if law.no_path:
                raise UnsoundEstimator(f"pathwise: {law.no_path}")
        with condition("continuous", jumps, assumed):
            for law in moved:
                require_continuous_density("pathwise", law, theta, assumed)
            require_continuous("pathwise", J, theta, moving_x=True, assumed=assumed)
        return along_path(J, theta)

    G = each_parameter(J, theta, assume, rule)
    if not base:
        return G
    # The conditions are stated in x, and hold in ε as well.
    return each_parameter(
        reparameterize(J, theta), theta, (), lambda J, theta, _: along_path(J, theta), keep=set(G.assumptions_made)
    )


def reparameterize(J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol]) -> Expectation:
    r"""Move θ from the distribution into the integrand.

    .. math:: \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}_{\varepsilon \sim q}[F_\theta(g_\theta(\varepsilon))]

    Args:
        J: an expectation.
        theta: a parameter, or a sequence of them.

    Returns:
        The same value as an expectation over base variables whose law is free of θ.

    Raises:
        UnsoundEstimator: if a variable that θ moves is discrete, or has no base law free
            of θ (the shapes of Gamma, Beta and Student t: use :func:`pathwise`, which
            differentiates implicitly).
        ValueError: if θ occurs nowhere in J.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.reparameterize(gl.Expectation(X**2), [mu, sigma])
        E[(mu + sigma*epsilon)**2], epsilon ~ Normal(0, 1)
    """
    thetas = parameters_of(J, theta)
    moved = [law for law in J.laws if law.free_symbols & set(thetas)]
    taken = taken_names(J)
    maps, variables = {}, []
    for law in J.laws:
        if law not in moved:
            variables.append(law.variable)
            continue
        if law.no_path:
            raise UnsoundEstimator(f"pathwise: {law.no_path}")
        distribution, g = law.base() or (law.distribution, lambda eps: eps)
        name = "epsilon" if len(moved) == 1 else f"epsilon_{law.variable}"
        eps = sp.Symbol(fresh(name, taken), real=True)
        if any(sp.sympify(a).free_symbols & set(thetas) for a in distribution.args):
            raise UnsoundEstimator(
                f"reparameterize: {law.variable} ~ {law.name} has no base law free of its shape; "
                "use pathwise(J, theta), which differentiates the distribution function implicitly"
            )
        epsilon = SingleContinuousPSpace(eps, distribution).value
        variables.append(epsilon)
        maps[law.symbol] = g(epsilon)
    integrand = J.to_random(J.plain.subs(maps, simultaneous=True))
    return Expectation(integrand, variables, J.assumptions_made, objective=J.objective)


def along_path(J: Expectation, theta: sp.Symbol) -> sp.Expr:
    """The derivative of the integrand along the path of each draw. Whether its mean is the gradient is not asked."""
    F = J.plain
    moved = [law for law in J.laws if theta in law.free_symbols]
    along = sum((parameter_derivative(F, law.symbol) * law.velocity(theta) for law in moved), sp.S.Zero)
    return along + parameter_derivative(F, theta)
