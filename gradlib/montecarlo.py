r"""The engine: an expectation becomes a number with a standard error.

.. math:: \hat J = \frac1n \sum_{i=1}^n F(x_i), \qquad
          \mathrm{se} = \sqrt{\frac{1}{n (n-1)} \sum_{i=1}^n (F(x_i) - \hat J)^2}

Draws come in blocks. Every block has a random stream of its own, spawned from the seed
by the block's index, and the blocks' moments are merged by index: the result does not
depend on the workers, and memory does not grow with n.

The parts: :mod:`gradlib.sampling` draws, :mod:`gradlib.kernels` compiles the integrand,
:mod:`gradlib.moments` averages, :mod:`gradlib.executors` spreads the blocks over workers.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp

from gradlib.binding import Binding, bind
from gradlib.executors import in_order, one_blas_thread
from gradlib.expectation import Expectation
from gradlib.families import BY_NAME, FAMILIES
from gradlib.kernels import Kernel, compile_kernel
from gradlib.moments import Moments, Tree, row_moments
from gradlib.sampling import SCHEMES, SCRAMBLES, Sampler, Source, Streams, sobol_points
from gradlib.workspace import scratch

BLOCK = 2**17  # draws with one random stream
ROWS = 2**15  # draws in a block of the caller's own, which may be wide
TASK = 16  # blocks that a worker takes at a time: a power of two, and enough work to be worth a message
CAP = 10**9  # draws after which a wanted standard error is given up, unless samples= says otherwise


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo estimate: a number and what it is worth.

    Attributes:
        value: the mean over the draws; a float, or an array of shape ``(d,)``.
        stderr: its standard error, of the same shape.
        samples: the number of draws n.
    """

    value: float | np.ndarray
    stderr: float | np.ndarray
    samples: int

    def z(self, truth) -> float | np.ndarray:
        """(value − truth) / stderr: how many standard errors away the truth is.

        Where the standard error is 0 the answer is 0 for equality and infinite otherwise.
        """
        difference = np.asarray(self.value) - np.asarray(truth, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(difference == 0, 0.0, difference / np.asarray(self.stderr))
        return z if z.ndim else float(z)

    def __str__(self) -> str:
        return f"{self._numbers('±')} (n = {self.samples:,})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self._numbers('±')} <small>(n = {self.samples:,})</small>"

    def _numbers(self, sign: str) -> str:
        if np.ndim(self.value) == 0:
            return _with_error(float(self.value), float(self.stderr), sign)
        flat = [_with_error(v, s, sign) for v, s in zip(np.ravel(self.value), np.ravel(self.stderr))]
        return "[" + ", ".join(flat) + "]"


def _with_error(value: float, stderr: float, sign: str) -> str:
    """Both numbers down to the second significant digit of the error: more would be noise."""
    if not math.isfinite(stderr):
        return f"{value:.6g} {sign} {stderr}"
    if not stderr > 0:
        return f"{value:.6g} {sign} 0"
    decimals = 1 - int(np.floor(np.log10(float(f"{stderr:.1e}"))))  # of the rounded error: 0.0999 is 0.10
    if decimals > 12 or decimals < -6:
        return f"{value:.8g} {sign} {stderr:.1e}"
    rounded = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:.{max(decimals, 0)}f} {sign} {round(stderr, decimals):.{max(decimals, 0)}f}"


class Unfinished(RuntimeError):
    """The wanted standard error was not reached.

    Attributes:
        estimate: the :class:`Estimate` from all draws so far.
    """

    estimate: Estimate


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended an average early.

    Attributes:
        estimate: the :class:`Estimate` from the blocks that were complete, in the order of
            their indices; ``None`` if there were none.
    """

    estimate: Estimate | None


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
        An :class:`Estimate`, scalar or of shape ``(d,)`` as J is.

    Raises:
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
    return _run(_integrand([bound], sampling), Plan.of(samples, stderr, sampling), rng, executor, progress, J.is_vector)


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
    return _run(_integrand(sides, sampling), Plan.of(samples, stderr, sampling), rng, executor, progress, J.is_vector)


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
    block = _whole("block", block)
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    return _run(_Draws(draw), Plan.of(samples, stderr, "plain", block), rng, executor, progress, None)


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
        >>> from gradlib.montecarlo import cost
        >>> cost(gl.Expectation(sp.exp(Normal("X", 0, 1))))
        2
    """
    integrand = _integrand([bind(J, at, functions)], "plain")
    return integrand.kernel.operations + len(J.variables)


# --- what is averaged --------------------------------------------------------------------


@dataclass(frozen=True)
class _Integrand:
    """A compiled integrand with its draws; for a difference, at two sets of parameters."""

    kernel: Kernel
    sampler: Sampler
    parameters: tuple[tuple[float, ...], ...]
    paths: tuple[tuple[tuple[str | None, tuple[float, ...]], ...], ...]  # by side, to report x
    functions: Mapping[str, Callable]  # the black boxes, by name
    constant: tuple[bool, ...]

    @property
    def dimension(self) -> int:
        return len(self.paths[0])

    @property
    def rows(self) -> int:
        """How many rows of scratch space :meth:`open` needs."""
        return self.kernel.rows + self.dimension

    def open(self, scratch: np.ndarray) -> Callable[..., Moments]:
        """A function of (stream, size, points)."""
        kernel, sampler = self.kernel, self.sampler
        boxes = {name: _checked(name, f) for name, f in self.functions.items()}
        bound = [kernel.bind(numbers, boxes) for numbers in self.parameters]
        work, buffers = scratch[: kernel.rows], scratch[kernel.rows :]
        means, squares = np.empty(kernel.components), np.empty(kernel.components)

        def average(i, row):
            means[i], squares[i] = row_moments(row)

        def moments(legs, part: slice) -> Moments:
            size = part.stop - part.start
            if len(legs) > 1:
                for i, row in enumerate(combined(legs, part)):
                    average(i, row)
                return Moments(size, means.copy(), squares.copy())
            ((side, draws),) = legs
            scale, run = bound[side]
            run(average, work[:, :size], *(x[part] for x in draws))
            return Moments(size, means * scale, squares * scale**2)

        def combined(legs, part: slice) -> np.ndarray:
            """The components, as rows: averaged over mirror images, subtracted between sides."""
            size = part.stop - part.start
            total = np.zeros((kernel.components, size))
            for side, draws in legs:
                scale, run = bound[side]
                weight = (-1) ** side / (1 + sampler.mirrored) * scale

                def add(i, row):
                    total[i] += weight[i] * row

                run(add, work[:, :size], *(x[part] for x in draws))
            return total

        def bad(legs, part: slice) -> Moments:
            """Moments that say how many draws (or mirror images) are not finite on some side, and which is the first."""
            size = part.stop - part.start
            wrong, first = np.zeros((1 + sampler.mirrored, size), bool), []
            for j, (side, draws) in enumerate(legs):
                here = ~np.isfinite(combined([(side, draws)], part)).all(axis=0)
                wrong[j % (1 + sampler.mirrored)] |= here
                if here.any():
                    first.append((int(np.argmax(here)), side, draws))
            i, side, draws = min(first, key=lambda each: each[0])
            zero = np.zeros(kernel.components)
            return Moments(size, zero, zero, int(wrong.sum()), self.x(draws, part.start + i, side))

        def block(stream, size: int, points=None) -> Moments:
            legs = sampler.draw(stream, buffers[:, :size], points)
            whole = None
            with np.errstate(all="ignore"):  # what is not finite is counted and reported
                for start in range(0, size, kernel.chunk):
                    part = slice(start, min(start + kernel.chunk, size))
                    some = moments(legs, part)
                    if not some.is_finite and not np.isfinite(combined(legs, part)).all():
                        some = bad(legs, part)
                    whole = some if whole is None else whole.merge(some)
            return whole

        return block

    def x(self, draws, i: int, side: int) -> str:
        """The variables in draw i, to be read by a person."""
        values = [draw[i] if family is None else _path(BY_NAME[family])(draw[i], *numbers) for draw, (family, numbers) in zip(draws, self.paths[side])]
        names = [source.name for source in self.sampler.sides[0]]
        return ", ".join(f"{name} = {value:.6g}" for name, value in zip(names, values))


@dataclass(frozen=True)
class _Draws:
    """The caller's own draws."""

    draw: Callable
    constant: tuple[bool, ...] = ()
    rows: int = 0

    @property
    def functions(self) -> Mapping[str, Callable]:
        return {"draw": self.draw}

    def open(self, scratch: np.ndarray) -> Callable[..., Moments]:
        def block(stream, size: int) -> Moments:
            values = np.asarray(self.draw(stream, size))
            if values.ndim == 0 or values.shape[0] != size:
                raise ValueError(f"draw(rng, {size}) must return an array of shape ({size}, ...), got shape {values.shape}")
            if values.dtype.kind not in "biuf":
                raise ValueError(f"draw must return real numbers, got dtype {values.dtype}")
            with np.errstate(all="ignore"):
                values = values.astype(float, copy=False)
                moments = Moments.of_columns(values)
                finite = np.isfinite(values).reshape(size, -1).all(axis=1) if not moments.is_finite else np.array(True)
            if finite.all():
                return moments
            zero = np.zeros(values.shape[1:])
            return Moments(size, zero, zero, int((~finite).sum()), f"draw {int(np.argmin(finite))} of a block")

        return block


def _integrand(sides: list[Binding], sampling: str) -> _Integrand:
    """What an expectation averages, and from which draws."""
    bound = sides[0]
    draws, moved, paths = [], [], []
    for i, each in enumerate(bound.laws):
        if each.family is None or each.family.path is None:
            draws.append(each.symbol)
            paths.append(None)
        else:
            base, path = each.base()
            draws.append(_base_symbol(i, base.set.inf == 0))
            moved.append((each.symbol, path(draws[-1])))
            paths.append(each.name)
    kernel = compile_kernel(tuple(draws), tuple(bound.at), bound.components, tuple(moved))
    sources = tuple(
        tuple(Source.of(law, figures, side.at) for law, figures in zip(side.laws, side.numbers, strict=True)) for side in sides
    )
    return _Integrand(
        kernel,
        Sampler(sources, mirrored=sampling == "antithetic", uniform=sampling == "sobol"),
        tuple(tuple(side.at[symbol] for symbol in bound.at) for side in sides),
        tuple(tuple(zip(paths, side.numbers)) for side in sides),
        bound.functions,
        tuple(c.free_symbols.isdisjoint(each.symbol for each in bound.laws) for c in bound.components),
    )


@lru_cache(maxsize=None)
def _base_symbol(index: int, positive: bool) -> sp.Symbol:
    """The symbol of a base law's draw; the same at each call, so that kernels are found again."""
    return sp.Dummy(f"epsilon{index}", positive=True) if positive else sp.Dummy(f"epsilon{index}", real=True)


def _checked(name: str, f: Callable) -> Callable:
    def box(*arguments):
        size = np.broadcast_shapes(*(np.shape(a) for a in arguments))
        values = np.asarray(f(*map(_read_only, arguments)))
        if values.shape != size:
            raise ValueError(
                f"the black box {name.rstrip('_')} must map arrays of shape {size} to an array of shape {size}, got {values.shape}"
            )
        if values.dtype.kind not in "biuf":
            raise ValueError(f"the black box {name.rstrip('_')} must return real numbers, got dtype {values.dtype}")
        if values.dtype != float or any(np.may_share_memory(values, a) for a in arguments):
            values = np.array(values, float)
        return values

    return box


def _read_only(array) -> np.ndarray:
    """A view that a black box cannot write to: the draws are shared with the rest of the integrand."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@lru_cache(maxsize=None)
def _path(cls: type) -> Callable:
    """The map g of a family, compiled: draws and path derivatives come from the same expression."""
    family = FAMILIES[cls]
    eps, parameters = sp.Symbol("eps"), sp.symbols(f"p:{len(family.parameters)}")
    return sp.lambdify([eps, *parameters], family.path(eps, *parameters), "numpy")


# --- how much, and in which pieces --------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How many draws, and when to stop.

    Attributes:
        most: the most independent units: draws, pairs of draws, or points of each scramble.
        target: the wanted standard error, or ``None`` to take all of them.
        block: units in a block.
        draws: draws in a unit.
        sobol: whether a unit is a point of all scrambles.
    """

    most: int
    target: float | None
    block: int
    draws: int = 1
    sobol: bool = False

    @classmethod
    def of(cls, samples, stderr, sampling: str, block: int = BLOCK) -> Plan:
        if sampling not in SCHEMES:
            raise ValueError(f"sampling must be one of {', '.join(map(repr, SCHEMES))}; got {sampling!r}")
        if samples is None and stderr is None:
            raise TypeError("samples must be given, as in samples=1_000_000, or the standard error to reach, as in stderr=1e-3")
        is_number = isinstance(stderr, numbers.Real) and not isinstance(stderr, (bool, np.bool_))
        if stderr is not None and not (is_number and math.isfinite(stderr) and stderr > 0):
            raise ValueError(f"stderr must be a positive number, got {stderr!r}")
        capped, samples = samples is None or stderr is not None, _count(CAP if samples is None else samples)
        target = None if stderr is None else float(stderr)
        if sampling == "plain":
            return cls(samples, target, block)
        if sampling == "antithetic":
            if samples % 2 or samples < 4:
                raise ValueError(f"antithetic draws come in pairs, and two pairs are needed for a standard error: samples must be even and at least 4, got {samples}")
            return cls(samples // 2, target, block // 2, draws=2)
        points = 2 ** int(math.log2(max(samples // SCRAMBLES, 1)))
        if samples < 2 * SCRAMBLES or not capped and samples != SCRAMBLES * points:
            below, above = SCRAMBLES * max(points, 2), SCRAMBLES * max(2 * points, 2)
            near = f"{below:,} or {above:,}" if below != above else f"{below:,}"
            raise ValueError(f"Sobol' points come in {SCRAMBLES} scrambles of 2, 4, 8, ... points: samples={near}, not {samples:,}")
        return cls(points, target, block, draws=SCRAMBLES, sobol=True)


def _count(samples) -> int:
    samples = _whole("samples", samples)
    if samples < 2:
        raise ValueError(f"samples must be at least 2, or there is no standard error; got {samples}")
    return samples


def _whole(name: str, value) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, got a truth value")
    try:
        return operator.index(value)
    except TypeError:
        hint = f": write {name}={int(value):_}" if isinstance(value, float) and value.is_integer() else ""
        raise TypeError(f"{name} must be a whole number, got {value!r}{hint}") from None


@dataclass(frozen=True)
class _Job:
    """What a worker is given."""

    work: _Integrand | _Draws
    streams: Streams
    plan: Plan
    stopped: Callable[[], bool] = bool  # whether nobody waits for the result any more

    @property
    def functions(self) -> Mapping[str, Callable]:
        return self.work.functions


class _Blocks(_Job):
    """The moments of blocks ``start`` to ``stop``, merged."""

    def __call__(self, start: int, stop: int) -> Tree:
        tree = Tree()
        with scratch(self.work.rows, self.plan.block) as room:
            block = self.work.open(room)
            for i in range(start, stop):
                if self.stopped():
                    raise CancelledError
                size = min(self.plan.block, self.plan.most - i * self.plan.block)
                tree = tree.add(block(self.streams[i], size))
        return tree


class _Scramble(_Job):
    """The moments of points ``start`` to ``stop`` of one scramble."""

    def __call__(self, scramble: int, start: int, stop: int) -> Tree:
        tree = Tree()
        with scratch(self.work.rows, self.plan.block) as room:
            block = self.work.open(room)
            for points in sobol_points(self.work.dimension, self.streams[scramble], start, stop, self.plan.block):
                if self.stopped():
                    raise CancelledError
                tree = tree.add(block(None, len(points), points))
        return tree


def _block_results(job: _Blocks, executor) -> Iterator[tuple[Moments, int, bool]]:
    """(moments so far, draws so far, whether to judge them): judged after every :data:`TASK` blocks and at the end."""
    plan = job.plan
    blocks = -(-plan.most // plan.block)
    # The bits do not depend on the size of a batch: short runs take smaller ones, to have some for every worker.
    batch = TASK if plan.target else min(TASK, 2 ** int(math.log2(max(blocks // 8, 1))))
    tasks = ((i, min(i + batch, blocks)) for i in range(0, blocks, batch))
    results = (job(*task) for task in tasks) if executor is None and blocks == 1 else in_order(executor, job, tasks)
    tree, finished = Tree(), 0
    for result in results:
        tree, finished = tree.extend(result), min(finished + batch, blocks)
        total = tree.total()
        yield total, total.count * plan.draws, finished % TASK == 0 or finished == blocks


def _scramble_results(job: _Scramble, executor) -> Iterator[tuple[Moments, int, bool]]:
    """The same between scrambles; judged each time the points of all of them have doubled."""
    plan = job.plan
    start, stop = 0, min(plan.most, 2**10) if plan.target else plan.most
    trees = [Tree()] * SCRAMBLES
    while True:
        for k, result in enumerate(in_order(executor, job, ((k, start, stop) for k in range(SCRAMBLES)))):
            trees[k] = trees[k].extend(result)
            finished = k + 1 == SCRAMBLES
            if finished or start == 0 and k > 0:
                yield _between([tree.total() for tree in trees[: k + 1]]), (k + 1) * stop, finished
        if stop == plan.most:
            return
        start, stop = stop, 2 * stop


def _between(scrambles: list[Moments]) -> Moments:
    """The moments of the scrambles' means: as many independent units as there are scrambles."""
    means = Moments.of_columns(np.array([each.mean for each in scrambles]))
    # Of a jump all scrambles may hold the same share of the points. The standard error of plain draws, which is
    # larger, then stands in for 0.
    draws = sum(each.count for each in scrambles)
    plain = sum(each.squares for each in scrambles) / (draws - 1) / draws
    squares = np.where(means.squares > 0, means.squares, plain * means.count * (means.count - 1))
    first_bad = next((each.first_bad for each in scrambles if each.bad), "")
    return Moments(means.count, means.mean, squares, sum(each.bad for each in scrambles), first_bad)


def _run(work, plan: Plan, rng, executor, progress, vector: bool | None) -> Estimate:
    """Average ``work`` by ``plan``."""
    job = (_Scramble if plan.sobol else _Blocks)(work, Streams.of(rng), plan)
    results = (_scramble_results if plan.sobol else _block_results)(job, executor)
    moments, draws = None, 0
    with one_blas_thread(), _Progress(progress, plan) as bar, closing(results):
        try:
            for moments, draws, judge in results:
                bar.update(draws, moments)
                if judge and moments.bad:
                    raise FloatingPointError(
                        f"the integrand is not finite in {moments.bad:,} of {draws:,} draws, first at {moments.first_bad}. "
                        "Nothing was averaged: mend the integrand there, or restrict the support"
                    )
                if judge and plan.target and _reached(moments, plan.target, work.constant):
                    return _estimate(moments, draws, vector)
        except KeyboardInterrupt:
            raise _interrupted(moments, draws, vector) from None
    so_far = _estimate(moments, draws, vector)
    if plan.target:
        raise _unfinished(so_far, plan.target)
    return so_far


def _estimate(moments: Moments, draws: int, vector: bool | None) -> Estimate:
    if vector or vector is None and moments.mean.ndim:
        return Estimate(moments.mean, moments.stderr, draws)
    return Estimate(float(moments.mean.item()), float(moments.stderr.item()), draws)


def _reached(moments: Moments, target: float, constant: tuple[bool, ...]) -> bool:
    """Whether every standard error is at most the target; equal draws say nothing about a random component."""
    stderr = moments.stderr
    seen = (stderr > 0) | np.reshape(constant, stderr.shape) if constant else stderr > 0
    return bool((seen & (stderr <= target)).all())


def _unfinished(so_far: Estimate, target: float) -> Unfinished:
    largest = float(np.max(so_far.stderr))
    if largest > target:
        why = f"it is {largest:.2g}; at this rate {so_far.samples * (largest / target) * (largest / target):.1e} draws would be needed"
    else:
        why = "some component had the same value in all draws, which says nothing about its error"
    error = Unfinished(
        f"the standard error {target:g} was not reached in {so_far.samples:,} draws: {why}. "
        "Raise samples=, or lower the variance. The average so far is in this error's .estimate"
    )
    error.estimate = so_far
    return error


def _interrupted(moments: Moments | None, draws: int, vector: bool | None) -> Interrupted:
    usable = moments is not None and not moments.bad and moments.count > 1
    so_far = _estimate(moments, draws, vector) if usable else None
    error = Interrupted(f"interrupted; the average so far, {so_far}, is in this error's .estimate" if usable else "interrupted before anything was averaged")
    error.estimate = so_far
    return error


class _Progress:
    """A bar on standard error for work of more than a second, where somebody can see it."""

    def __init__(self, wanted: bool | None, plan: Plan):
        self.wanted = (sys.stderr.isatty() or "ipykernel" in sys.modules) if wanted is None else bool(wanted)
        self.plan, self.bar, self.start = plan, None, time.monotonic()

    def __enter__(self):
        return self

    def update(self, draws: int, moments: Moments) -> None:
        if not self.wanted or time.monotonic() - self.start < 1:
            return
        if self.bar is None:
            from tqdm import tqdm  # only where there is something to show

            self.bar = tqdm(total=self.plan.most * self.plan.draws, unit=" draws", unit_scale=True)
        if self.plan.target and not moments.bad and moments.count > 1:
            largest = float(np.max(moments.stderr))
            self.bar.set_postfix_str(f"stderr {largest:.1e}", refresh=False)
            if largest > 0:
                ratio = max(largest / self.plan.target, 1)
                self.bar.total = int(min(draws * ratio * ratio, self.plan.most * self.plan.draws))
        self.bar.update(draws - self.bar.n)

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()
