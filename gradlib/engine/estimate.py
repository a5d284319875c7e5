r"""The engine: an expectation becomes a number with a standard error.

.. math:: \hat J = \frac1n \sum_{i=1}^n F(x_i), \qquad
          \mathrm{se} = \sqrt{\frac{1}{n (n-1)} \sum_{i=1}^n (F(x_i) - \hat J)^2}

Draws come in blocks. Every block has a random stream of its own, spawned from the seed
by the block's index, and the blocks' moments are merged by index: the result does not
depend on the workers, and memory does not grow with n.

The parts: :mod:`gradlib.engine.sampling` draws, :mod:`gradlib.engine.kernel` compiles the integrand,
``gradlib.engine.integrand`` puts the two together for a block, :mod:`gradlib.engine.moments` averages,
``gradlib.engine.plan`` says how much, :mod:`gradlib.engine.executors` spreads the blocks over workers,
``gradlib.engine.runner`` runs all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gradlib.core.binding import bind
from gradlib.core.expectation import Expectation
from gradlib.engine.integrand import _Draws, _integrand
from gradlib.engine.plan import Plan, whole_number
from gradlib.engine.result import Estimate
from gradlib.engine.runner import run
from gradlib.sound.existence import require_existence

ROWS = 2**15  # draws in a block of the caller's own, which may be wide


def estimate(
    J: Expectation,
    at: Mapping | None = None,
    *,
    samples: int | None = None,
    stderr: float | None = None,
    rng=None,
    functions: Mapping | None = None,
    sampling: str = "plain",
    executor=None,
    progress: bool | None = None,
) -> Estimate:
    r"""Estimate an expectation by Monte Carlo.

    Args:
        J: an expectation; to estimate a gradient, what an estimator returned.
        at: the value of every parameter, ``{symbol: number}``.
        samples: the number of draws, at least 2. With ``stderr``, the most draws (10⁹ if
            not given).
        stderr: draw until no component's standard error is larger. It is judged after
            every 2²¹ draws, in the order of the blocks. A run that stops when its error
            looks small is slightly too confident: the spread was estimated from the same
            draws. At 2²¹ draws and more this is negligible unless rare events carry
            the variance. Draws that are all equal are no evidence of a small error.
        rng: a seed (whole number, at least 0), a :class:`numpy.random.Generator`, or
            ``None`` for a fresh seed from the operating system. The same seed gives the
            same bits; a Generator moves on from call to call.
        functions: for each undefined function in the integrand a callable that maps
            arrays of shape ``(m,)`` to an array of shape ``(m,)``; derivatives are given
            under keys such as ``F(x).diff(x)``.
        sampling: ``"plain"``; ``"antithetic"`` for pairs of draws that mirror each other
            (``samples`` even; the standard error is taken over pairs; the variance may rise);
            or ``"sobol"`` for randomized quasi-Monte Carlo (``samples`` is 16 times a
            power of two; the standard error comes from 16 independent scrambles, so it is
            itself uncertain by 18 % if their means are about Normal, and by more where
            rare scrambles carry the variance, as for smooth integrands; where all 16 means
            are equal, that of plain draws stands in).
        executor: where the blocks run: ``None`` for threads on all processors, any
            executor with the interface of :mod:`concurrent.futures`, or a function without
            arguments that makes one, which is then closed at the end, and replaced once if
            it breaks. The bits do not depend on it.
        progress: whether to show a progress bar. ``None`` shows one for work of more than
            a second in a terminal or a notebook.

    Returns:
        An :class:`Estimate`, scalar or of shape ``(d,)`` as J is. Where its standard error means nothing (the
        largest draws say that the variance is infinite, all draws are equal, fewer than ten carry the value) it
        prints ``?`` and the reason, which is also in its ``health``.

    Raises:
        DivergentExpectation: if the mean does not exist, as far as the integrand and the density tell; or that of
            whose gradient J is an estimator.
        ValueError: for missing, unknown or inadmissible parameters, fewer than 2 samples,
            a sampling scheme that does not apply, or a black box that returns a wrong shape.
        TypeError: for a number of samples that is no whole number, or a black box that
            cannot travel to another process.
        FloatingPointError: if the integrand is not finite in some draws; the message
            says in how many, and at which x first.
        UnsoundEstimator: if the derivative of a black box is needed and not given.
        Unfinished: if ``samples`` draws do not reach ``stderr``; holds the estimate so far.
        Interrupted: on Ctrl-C; holds the estimate so far.
        RuntimeError: if the executor breaks.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> J = gl.Expectation(sp.cos(2 * Normal("X", mu, sigma)))
        >>> G, at = gl.pathwise(J, mu), {mu: 0.3, sigma: 1.2}
        >>> gl.estimate(G, at, samples=100_000, rng=0)
        -0.0520 ± 0.0045 (n = 100,000)
        >>> gl.estimate(gl.score_function(J, mu), at, samples=100_000, rng=0)
        -0.0665 ± 0.0019 (n = 100,000)
        >>> gl.estimate(G, at, stderr=1e-3, rng=0)
        -0.06493 ± 0.00098 (n = 2,097,152)
        >>> gl.estimate(G, at, samples=16 * 2**13, rng=0, sampling="sobol")
        -0.063437 ± 0.000040 (n = 131,072)

    References:
        Mohamed, Rosca, Figurnov and Mnih (2020), *Monte Carlo gradient estimation in
        machine learning*. Owen (2013), *Monte Carlo theory, methods and examples*.
    """
    bound = bind(J, at, functions)
    plan = Plan.of(samples, stderr, sampling)
    known = require_existence(J, bound)
    return run(_integrand([bound], sampling), plan, rng, executor, progress, J.is_vector, known)


def difference(
    J: Expectation,
    plus: Mapping,
    minus: Mapping,
    *,
    samples: int | None = None,
    stderr: float | None = None,
    rng=None,
    functions: Mapping | None = None,
    sampling: str = "plain",
    executor=None,
    progress: bool | None = None,
) -> Estimate:
    r"""Estimate the difference of an expectation between two parameter values, with common random numbers.

    .. math:: J(\theta_+) - J(\theta_-) \approx \frac1n \sum_{i=1}^n
              \bigl( F_{\theta_+}(g_{\theta_+}(\varepsilon_i)) - F_{\theta_-}(g_{\theta_-}(\varepsilon_i)) \bigr)

    Both sides use the same :math:`\varepsilon_i`, or the same quantile where the base law
    itself holds a parameter that differs. Where F is smooth the two values are close, and the
    standard error shrinks with :math:`\theta_+ - \theta_-`; that of two separate estimates does not.

    Args:
        J: an expectation.
        plus: the values of every parameter on the positive side, ``{symbol: number}``.
        minus: those on the negative side.
        samples, stderr, rng, functions, sampling, executor, progress: as in :func:`estimate`.

    Returns:
        An :class:`Estimate` of :math:`J(\theta_+) - J(\theta_-)`.

    Raises:
        ValueError: also for a variable without a quantile whose parameters differ.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> J = gl.Expectation(sp.cos(2 * Normal("X", mu, 1)))
        >>> gl.difference(J, {mu: 0.31}, {mu: 0.30}, samples=100_000, rng=0)
        -0.001475 ± 0.000044 (n = 100,000)

    References:
        Glasserman and Yao (1992), *Some guidelines and guarantees for common random numbers*.
    """
    sides = [bind(J, plus, functions), bind(J, minus, functions)]
    plan = Plan.of(samples, stderr, sampling)
    for side in sides:
        require_existence(J, side)
    return run(_integrand(sides, sampling), plan, rng, executor, progress, J.is_vector)


def monte_carlo(
    draw: Callable[[np.random.Generator, int], np.ndarray],
    samples: int | None = None,
    rng=None,
    *,
    stderr: float | None = None,
    block: int = ROWS,
    executor=None,
    progress: bool | None = None,
) -> Estimate:
    r"""Average any function of random draws: the engine under :func:`estimate`.

    Args:
        draw: ``draw(rng, size)`` returns an array of shape ``(size, ...)`` of independent
            draws whose mean is wanted. It must take all its randomness from ``rng``, and
            may run in several threads at once.
        samples: the number of draws, at least 2. With ``stderr``, the most draws.
        rng: as in :func:`estimate`.
        stderr: as in :func:`estimate`, judged after every 16 blocks.
        block: how many draws to ask for at a time. Fewer save memory where a draw is large.
            The draws depend on it.
        executor: as in :func:`estimate`.
        progress: as in :func:`estimate`.

    Returns:
        An :class:`Estimate` of shape ``(...)``.

    Raises:
        ValueError: fewer than 2 samples, or a wrong shape from ``draw``.
        FloatingPointError: if values are not finite.
        Unfinished, Interrupted, RuntimeError, TypeError: as in :func:`estimate`.

    Examples:
        >>> import gradlib as gl
        >>> gl.monte_carlo(lambda rng, size: rng.random(size), 10_000, rng=0)
        0.4976 ± 0.0029 (n = 10,000)
    """
    if not callable(draw):
        raise TypeError(f"draw must be a function draw(rng, size), got {draw!r}")
    block = whole_number("block", block)
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    return run(_Draws(draw), Plan.of(samples, stderr, "plain", block), rng, executor, progress, None)


def cost(J: Expectation, at: Mapping | None = None, *, functions: Mapping | None = None) -> int:
    """What one draw costs: operations of the compiled kernel, and one for each variable that is drawn.

    An operation is an addition, a multiplication or the call of a function. It is a plain count, the
    same on every machine; it is not proportional to time.

    Args:
        J: an expectation.
        at: the value of every parameter.
        functions: as in :func:`estimate`; a call of a black box counts as one operation.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> from gradlib.engine.estimate import cost
        >>> cost(gl.Expectation(sp.exp(Normal("X", 0, 1))))
        2
    """
    integrand = _integrand([bind(J, at, functions)], "plain")
    return integrand.kernel.operations + len(J.variables)
