"""The blocks of a run, spread over workers, averaged by index, until there are enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from functools import reduce

import numpy as np

from gradlib.core.memory import scratch
from gradlib.engine.executors import in_order, one_blas_thread
from gradlib.engine.health import Evidence, joined
from gradlib.engine.integrand import _Draws, _Integrand
from gradlib.engine.moments import Moments, Tree
from gradlib.engine.plan import Plan
from gradlib.engine.progress import Progress
from gradlib.engine.result import Estimate, Interrupted, Unfinished
from gradlib.engine.sampling import SCRAMBLES, Streams, sobol_points
from gradlib.sound.existence import UNREAD, Existence

ALL, SOME = 4, 16  # blocks whose largest draws are looked at closely: the first few, then one of so many
TASK = 16  # blocks that a worker takes at a time: a power of two, and enough work to be worth a message

SoFar = tuple[Moments, int, bool]  # moments, draws, and whether this is a moment to judge them


def run(
    work: _Integrand | _Draws,
    plan: Plan,
    rng,
    executor,
    progress: bool | None,
    vector: bool | None,
    known: Existence = UNREAD,
) -> Estimate:
    """Average ``work`` by ``plan``.

    Args:
        vector: whether the estimate is an array; ``None`` if it is one where a draw is.
        rng, executor, progress: as in :func:`gradlib.estimate`.
        known: what the formula says of the moments.
    """

    def so_far() -> Estimate:
        evidence = Evidence(
            moments.tails, moments.looked, moments.peaks, moments.mean, moments.variance, work.constant, known
        )
        if vector or vector is None and moments.mean.ndim:
            return Estimate(moments.mean, moments.stderr, draws, evidence)
        return Estimate(float(moments.mean.item()), float(moments.stderr.item()), draws, evidence)

    job = (_Scramble if plan.sobol else _Blocks)(work, Streams.of(rng), plan)
    results = (_scramble_results if plan.sobol else _block_results)(job, executor)
    moments, draws = None, 0
    with one_blas_thread(), Progress(progress, plan) as bar, closing(results):
        try:
            for moments, draws, judge in results:
                bar.update(draws, moments)
                if judge and moments.bad:
                    raise FloatingPointError(
                        f"the integrand is not finite in {moments.bad:,} of {draws:,} draws, first at "
                        f"{moments.first_bad}. Nothing was averaged: mend the integrand there, or restrict the support"
                    )
                if judge and plan.target and _reached(moments, plan.target, work.constant):
                    return so_far()
        except KeyboardInterrupt:
            usable = moments is not None and not moments.bad and moments.count > 1
            raise Interrupted.after(so_far() if usable else None) from None
    if plan.target:
        raise Unfinished.after(so_far(), plan.target)
    return so_far()


def _reached(moments: Moments, target: float, constant: tuple[bool, ...]) -> bool:
    """Whether every standard error is at most the target; equal draws say nothing about a random component."""
    stderr = moments.stderr
    seen = (stderr > 0) | np.reshape(constant, stderr.shape) if constant else stderr > 0
    return bool((seen & (stderr <= target)).all())


# --- blocks of independent draws -------------------------------------------------------------


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
                tree = tree.add(block(self.streams[i], size, look=i < ALL or i % SOME == 0))
        return tree


def _block_results(job: _Blocks, executor) -> Iterator[SoFar]:
    """Judged after every :data:`TASK` blocks and at the end."""
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


# --- scrambles of Sobol' points --------------------------------------------------------------


class _Scramble(_Job):
    """The moments of points ``start`` to ``stop`` of one scramble."""

    def __call__(self, scramble: int, start: int, stop: int) -> Tree:
        tree = Tree()
        with scratch(self.work.rows, self.plan.block) as room:
            block = self.work.open(room)
            for points in sobol_points(self.work.dimension, self.streams[scramble], start, stop, self.plan.block):
                if self.stopped():
                    raise CancelledError
                tree = tree.add(block(None, len(points), points, look=start == 0 and not tree.nodes))
        return tree


def _scramble_results(job: _Scramble, executor) -> Iterator[SoFar]:
    """Judged each time the points of all scrambles have doubled."""
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
    means = Moments.of_columns(np.array([scramble.mean for scramble in scrambles]))
    # Of a jump all scrambles may hold the same share of the points. The standard error of plain draws, which is
    # larger, then stands in for 0.
    draws = sum(scramble.count for scramble in scrambles)
    plain = sum(scramble.squares for scramble in scrambles) / (draws - 1)
    squares = np.where(means.squares > 0, means.squares, plain / draws * means.count * (means.count - 1))
    bad = [scramble for scramble in scrambles if scramble.bad]
    first_bad = bad[0].first_bad if bad else ""
    tails, peaks = (reduce(joined, found) for found in zip(*((s.tails, s.peaks) for s in scrambles)))
    looked = sum(s.looked for s in scrambles)
    return Moments(
        means.count, means.mean, squares, sum(scramble.bad for scramble in bad), first_bad, tails, looked, peaks, plain
    )
