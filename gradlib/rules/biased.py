"""Approximations of a gradient that are biased, and say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy as sp
from sympy.stats.crv_types import BetaDistribution, GumbelDistribution, LogisticDistribution
from sympy.stats.rv import RandomSymbol

from gradlib.core.expectation import Expectation
from gradlib.core.joint import fresh, taken_names
from gradlib.core.variable import named
from gradlib.rules.contract import assumption_names, each_parameter, parameter_derivative, parameters_of
from gradlib.rules.pathwise import along_path, reparameterize
from gradlib.rules.variance import _expression
from gradlib.sound.jumps import require_continuous


def finite_difference(J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], step: float) -> Expectation:
    r"""The central difference with common random numbers. **Biased**, by a term of order step².

    .. math:: \frac{F_{\theta+h}(g_{\theta+h}(\varepsilon)) - F_{\theta-h}(g_{\theta-h}(\varepsilon))}{2h}

    The yardstick for black boxes. Where F is smooth the variance stays bounded as h → 0; where F
    jumps it grows like 1/h.

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        step: h > 0.

    Returns:
        An :class:`Expectation` over the base variables.

    Raises:
        ValueError: for a step that is not positive.
        UnsoundEstimator: where θ moves a variable without a base law (:func:`gradlib.difference`
            uses quantiles instead).

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> J = gl.Expectation(Normal("X", mu, 1) ** 3)
        >>> round(gl.exact(gl.finite_difference(J, mu, 0.1), {mu: 0}), 9)
        3.01

    References:
        Glasserman and Yao (1992), *Some guidelines and guarantees for common random numbers*.
    """
    try:
        h = _expression("the step", step)
    except (TypeError, ValueError):
        h = sp.nan
    if isinstance(step, bool) or not (h.is_number and h.is_positive):
        raise ValueError(f"step must be a positive number, got {step!r}")
    moved = [parameter for parameter in parameters_of(J, theta) if any(parameter in law.free_symbols for law in J.laws)]
    base = reparameterize(J, moved) if moved else J

    def rule(base: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        F = base.plain
        return (F.subs(theta, theta + h) - F.subs(theta, theta - h)) / (2 * h)

    return each_parameter(base, theta, (), rule)


def straight_through(J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol]) -> Expectation:
    r"""The straight-through estimator for Bernoulli variables. In general **biased**; exact where F is linear in them.

    .. math:: \mathbb{E}[\nabla_\theta F_\theta(b) + F_\theta'(b)\, \nabla_\theta p_\theta],
              \qquad b \sim \operatorname{Bernoulli}(p_\theta)

    It treats the draw as if it moved with its probability, and needs F between 0 and 1, where no
    draw ever lies.

    Args:
        J: a scalar expectation whose variables that θ moves are Bernoulli.
        theta: a parameter, or a sequence of d parameters.

    Returns:
        An :class:`Expectation` whose mean is in general not the gradient.

    Raises:
        ValueError: if θ moves a variable that is not Bernoulli.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Bernoulli
        >>> p = sp.Symbol("p", positive=True)
        >>> J = gl.Expectation((Bernoulli("B", p) - sp.Rational(45, 100)) ** 2)
        >>> [round(gl.exact(rule(J, p), {p: 0.3}), 9) for rule in (gl.straight_through, gl.score_function)]
        [-0.3, 0.1]

    References:
        Bengio, Léonard and Courville (2013), *Estimating or propagating gradients through
        stochastic neurons for conditional computation*.
    """

    def rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        total = parameter_derivative(J.plain, theta)
        for law in J.laws:
            if theta in law.free_symbols:
                if not law.is_finite or set(law.table) != {0, 1}:
                    raise ValueError(
                        f"straight_through is for Bernoulli variables, and {theta} moves {law.variable} ~ {law.name}"
                    )
                total += parameter_derivative(J.plain, law.symbol) * sp.diff(law.table[sp.S.One], theta)
        return total

    return each_parameter(J, theta, (), rule)


def gumbel_softmax(
    J: Expectation,
    theta: sp.Symbol | Sequence[sp.Symbol],
    temperature: float | sp.Expr,
    *,
    assume: str | Iterable[str] = (),
) -> Expectation:
    r"""The pathwise estimator of a relaxed objective (Concrete distribution). **Biased** for the original one.

    A variable with the values v_1, …, v_K and probabilities π_k is replaced by

    .. math:: x_\tau = \sum_k v_k\, \frac{\exp((\log \pi_k + g_k)/\tau)}{\sum_j \exp((\log \pi_j + g_j)/\tau)},
              \qquad g_k \sim \operatorname{Gumbel}(0, 1)

    which tends to a draw of it as τ → 0. For two values the difference of the two Gumbel
    variables is Logistic, and one draw serves. A low temperature lowers the bias and raises the variance.

    Args:
        J: a scalar expectation; every variable that θ moves takes finitely many values.
        theta: a parameter, or a sequence of d parameters.
        temperature: τ > 0.
        assume: ``"continuous"`` for a black box without jumps between the values.

    Returns:
        An :class:`Expectation` over the noise, whose mean is the gradient of the relaxed objective.

    Raises:
        ValueError: for a temperature that is not positive, or a variable with infinitely many values.
        UnsoundEstimator: where F jumps between the values.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Bernoulli
        >>> p = sp.Symbol("p", positive=True)
        >>> J = gl.Expectation((Bernoulli("B", p) - sp.Rational(45, 100)) ** 2)
        >>> relaxed = gl.gumbel_softmax(J, p, 0.5)
        >>> round(gl.exact(relaxed, {p: 0.3}), 4), round(gl.exact(gl.score_function(J, p), {p: 0.3}), 4)
        (-0.0366, 0.1)

    References:
        Maddison, Mnih and Teh (2017), *The Concrete distribution*. Jang, Gu and Poole (2017),
        *Categorical reparameterization with Gumbel-softmax*.
    """
    tau = _expression("the temperature", temperature, J if isinstance(J, Expectation) else None)
    if not tau.is_positive:
        raise ValueError(f"the temperature must be positive, got {temperature!r}")
    thetas = parameters_of(J, theta)
    relaxed = relax(J, thetas, tau)
    _require_continuous_between(J, thetas, assumption_names(assume))
    # The noise enters through smooth functions only.
    result = each_parameter(relaxed, theta, assume, lambda J, theta, _: along_path(J, theta))
    return Expectation(result.integrand, result.variables, result.assumptions_made, objective=J)


def _require_continuous_between(J: Expectation, thetas: Sequence[sp.Symbol], assumed: set[str]) -> None:
    """Refuse a jump of F where the relaxed variables go: anywhere between the smallest and the largest value."""
    swaps, variables = {}, []
    for law in J.laws:
        if not law.free_symbols & set(thetas):
            swaps[law.symbol] = law.variable
            variables.append(law.variable)
            continue
        low, high = sp.Min(*law.table), sp.Max(*law.table)
        variables.append(
            named(BetaDistribution(1, sp.exp(sum(thetas))), law.symbol.name)
        )  # any law on (0, 1) that θ moves
        swaps[law.symbol] = low + (high - low) * variables[-1]
    between = Expectation(J.plain.xreplace(swaps), variables)
    for theta in thetas:
        require_continuous("gumbel_softmax", between, theta, moving_x=True, assumed=assumed)


def relax(J: Expectation, thetas: Sequence[sp.Symbol], tau: sp.Expr) -> Expectation:
    """J with Gumbel-softmax variables in the place of the finite ones that the parameters move."""
    taken = taken_names(J)
    swaps, variables = {}, []

    def noise(distribution, name: str) -> RandomSymbol:
        variables.append(named(distribution, fresh(name, taken)))
        return variables[-1]

    for law in J.laws:
        if not law.free_symbols & set(thetas):
            variables.append(law.variable)
            continue
        if not law.is_finite:
            raise ValueError(
                f"gumbel_softmax is for variables with finitely many values, and {law.variable} ~ {law.name} is none"
            )
        table = law.table
        if len(table) == 2:
            (v0, p0), (v1, p1) = table.items()
            g = noise(LogisticDistribution(0, 1), f"g_{law.symbol}")
            # tanh cannot overflow, and SymPy leaves it as it is.
            swaps[law.symbol] = v0 + (v1 - v0) * (1 + sp.tanh((sp.log(p1) - sp.log(p0) + g) / (2 * tau))) / 2
        else:
            logits = [
                (sp.log(q) + noise(GumbelDistribution(1, 0, False), f"g_{law.symbol}{k}")) / tau
                for k, q in enumerate(table.values())
            ]
            # Relative to each logit, so that nothing overflows where one of them is large.
            swaps[law.symbol] = sum(
                v / sum(sp.exp(other - logit) for other in logits) for v, logit in zip(table, logits)
            )
    integrand = J.to_random(J.plain.subs(swaps, simultaneous=True))
    return Expectation(integrand, variables, J.assumptions_made, objective=J)
