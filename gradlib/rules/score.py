r"""The estimators: rules from an expectation to an expectation of its gradient.

One rule each covers all three objectives.

.. math::

    \begin{aligned}
    \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
    &= \mathbb{E}_{x \sim p_\theta}[\nabla_\theta F_\theta(x) + F_\theta(x)\, \nabla_\theta \log p_\theta(x)]
    && \text{(score function)} \\
    &= \mathbb{E}_{x \sim p_\theta}[\nabla_\theta F_\theta(x) + F_\theta'(x)\, v_\theta(x)]
    && \text{(pathwise)}
    \end{aligned}

with the path velocity :math:`v_\theta(x) = \partial_\theta g_\theta(\varepsilon)` at
:math:`\varepsilon = g_\theta^{-1}(x)`. Each rule stands beside the condition under
which it is sound; where the condition fails, or cannot be decided, the rule refuses.
"""

from __future__ import annotations

import numbers
from collections import defaultdict
from collections.abc import Iterable, Sequence

import sympy as sp
from sympy.stats.rv import random_symbols

from gradlib.core.expectation import Expectation
from gradlib.core.joint import copies, total_score
from gradlib.rules.contract import (
    assumption_names,
    batch_size,
    condition,
    each_parameter,
    parameter_derivative,
    parameters_of,
    told,
)
from gradlib.sound.jumps import require_continuous, require_continuous_density
from gradlib.sound.support import require_fixed_support


def score_function(
    J: Expectation,
    theta: sp.Symbol | Sequence[sp.Symbol],
    *,
    baseline: sp.Expr | float | Sequence[sp.Expr | float] | str = 0,
    batch: int | None = None,
    assume: str | Iterable[str] = (),
    edges: str = "refuse",
) -> Expectation:
    r"""The score-function estimator (REINFORCE, likelihood ratio).

    .. math:: \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}_{x \sim p_\theta}\left[\nabla_\theta F_\theta(x)
              + (F_\theta(x) - b)\, \nabla_\theta \log p_\theta(x)\right]

    The score has mean zero, so any baseline b that does not depend on the draw leaves the mean
    as it is and changes the variance.

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        baseline: the constant b: a number, an expression in parameters (it is not
            differentiated), or a sequence of d of them, one for each parameter.
            :func:`gradlib.optimal_baseline` gives the best one. Or ``"leave-one-out"``: for each
            draw of a batch the mean of F over the *other* draws.
        batch: with ``"leave-one-out"``, the number n of draws in a batch, at least 2. The result
            is an expectation over n copies of J's variables; one draw of it is a batch, so
            standard errors and variances are those of batches.
        assume: names from :data:`gradlib.ASSUMPTIONS` that the caller vouches for, where they cannot be decided
            (``"continuous"``, ``"fixed support"``). They are recorded in the result.
        edges: ``"ignore"`` leaves out what θ carries across an edge of the support, or a jump, that it moves. The mean
            of that is not the gradient; it shows what the edge carries.

    Returns:
        The gradient as an :class:`Expectation` over the same variables: scalar for one
        parameter, a column of length d for a sequence.

    Raises:
        UnsoundEstimator: if the support moves with θ while (F − b)·p does not vanish at its
            edge; if the integrand jumps where θ moves the jump; if θ is a whole number.
        ValueError: if θ occurs nowhere in J; for a baseline that depends on the draw, or a batch
            without ``"leave-one-out"``, or of fewer than 2 draws.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.score_function(gl.Expectation(sp.cos(2 * X)), mu)
        E[(-mu + X)*cos(2*X)/sigma**2], X ~ Normal(mu, sigma)
        >>> gl.score_function(gl.Expectation(X**2), mu, baseline=5)
        E[(-mu + X)*(X**2 - 5)/sigma**2], X ~ Normal(mu, sigma)
        >>> pairs = gl.score_function(gl.Expectation(X**2), mu, baseline="leave-one-out", batch=2)
        >>> round(gl.exact(pairs, {mu: 1, sigma: 1}), 9), round(gl.variance(pairs, {mu: 1, sigma: 1}), 9)
        (2.0, 14.0)

        The direct term of an objective with θ in both places is not forgotten:

        >>> theta = sp.Symbol("theta", real=True)
        >>> X = Normal("X", theta, 1)
        >>> gl.score_function(gl.Expectation(theta * X**2), theta)
        E[theta*(-theta + X)*X**2 + X**2], X ~ Normal(theta, 1)

    References:
        Glynn (1990), *Likelihood ratio gradient estimation for stochastic systems*.
        Williams (1992), *Simple statistical gradient-following algorithms for
        connectionist reinforcement learning*.
    """
    told("edges", edges)
    if isinstance(baseline, str):
        if baseline != "leave-one-out":
            raise ValueError(f'baseline takes a number, an expression, or "leave-one-out"; got {baseline!r}')
        S = score_function(J, theta, assume=assume, edges=edges)
        return _leave_one_out(S, J, theta, batch_size(batch), assume, edges)
    if batch is not None:
        raise ValueError('batch= belongs to baseline="leave-one-out": a constant baseline needs no batch')
    if not isinstance(baseline, (sp.Expr, numbers.Real)) and isinstance(baseline, Iterable):
        baselines = [_constant_baseline(J, b) for b in baseline]
        if isinstance(theta, sp.Symbol) or len(baselines) != len(theta):
            raise ValueError(
                f"{len(baselines)} baselines for {1 if isinstance(theta, sp.Symbol) else len(theta)} parameters: give "
                "one for each"
            )
        of = dict(zip(theta, baselines))
    else:
        constant = _constant_baseline(J, baseline)
        of = defaultdict(lambda: constant)
    return each_parameter(J, theta, assume, lambda J, theta, assumed: _score_rule(J, theta, assumed, of[theta], edges))


def _constant_baseline(J: Expectation, b) -> sp.Expr:
    try:
        b = sp.sympify(b, strict=True)
    except sp.SympifyError:
        b = None
    if not isinstance(b, sp.Expr) or b.has(sp.nan, sp.oo, -sp.oo, sp.zoo, sp.I):
        raise ValueError(f"a baseline is a finite number or an expression in the parameters, got {b!r}")
    if random_symbols(b) or isinstance(J, Expectation) and b.free_symbols & {law.symbol for law in J.laws}:
        raise ValueError(
            f"the baseline {b} depends on the draw: the score times it need not have mean zero. See control_variate"
        )
    return b


def _leave_one_out(S: Expectation, J: Expectation, theta, n: int, assume, edges: str) -> Expectation:
    """Subtract from each draw's score term the score times the mean of F over the other draws.

    With copies x_1, …, x_n: (1/n) Σ_i [∇F(x_i) + (F(x_i) − (1/(n−1)) Σ_{j≠i} F(x_j)) ∇log p(x_i)].
    """
    thetas, assumed = parameters_of(J, theta), set(S.assumptions_made)
    with condition("fixed support", edges, assumed):
        for parameter in thetas:
            for one in J.laws:  # here the density itself must vanish at a moving edge
                require_fixed_support(sp.S.One, one, parameter, assumption_names(assume))
    each_copy = copies(J, n)
    values = [J.plain.xreplace(copy) for copy in each_copy]

    def component(plain: sp.Expr, theta: sp.Symbol) -> sp.Expr:
        score = total_score(J, theta)
        terms = [
            plain.xreplace(copy) - (sum(values) - values[i]) / (n - 1) * score.xreplace(copy)
            for i, copy in enumerate(each_copy)
        ]
        return sum(terms) / n

    results = [component(S.to_plain(c), parameter) for c, parameter in zip(S.components, thetas)]
    variables = [v for copy in each_copy for v in copy.values()]
    return Expectation(results[0] if isinstance(theta, sp.Symbol) else results, variables, assumed, objective=S)


def _score_rule(J: Expectation, theta: sp.Symbol, assumed: set[str], baseline: sp.Expr, edges: str) -> sp.Expr:
    F = J.plain
    with condition("fixed support", edges, assumed):
        for law in J.laws:
            require_continuous_density("score_function", law, theta, assumed)
            require_fixed_support(F, law, theta, assumed)
            if baseline != 0:
                require_fixed_support(F - baseline, law, theta, assumed)
    with condition("continuous", edges, assumed):
        require_continuous("score_function", J, theta, moving_x=False, assumed=assumed)
    return (F - baseline) * total_score(J, theta) + parameter_derivative(F, theta)


def require_score_of_mean_zero(J: Expectation, theta: sp.Symbol, assumed: Iterable[str] = ()) -> None:
    """E[s] = ∇E[1] = 0 unless an edge moves. That F vanishes there, which the score function wants, is not enough."""
    score_function(J.with_integrand(sp.S.One), theta, assume=assumed)
