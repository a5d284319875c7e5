"""How much is drawn, in which pieces, and when to stop."""

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

import numpy as np

from gradlib.core.memory import scratch
from gradlib.engine.executors import in_order, one_blas_thread
from gradlib.engine.integrand import _Draws, _Integrand
from gradlib.engine.moments import Moments, Tree
from gradlib.engine.result import Estimate, Interrupted, Unfinished
from gradlib.engine.sampling import SCHEMES, SCRAMBLES, Streams, sobol_points

BLOCK = 2**17  # draws with one random stream
TASK = 16  # blocks that a worker takes at a time: a power of two, and enough work to be worth a message
CAP = 10**9  # draws after which a wanted standard error is given up, unless samples= says otherwise


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
