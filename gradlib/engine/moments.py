r"""Count, mean and spread of many draws, in pieces that can be merged in any number of places.

.. math:: n, \qquad \bar f = \frac1n \sum_i f_i, \qquad Q = \sum_i (f_i - \bar f)^2

Nothing here subtracts large numbers of nearly equal size: a mean of 10⁸ with a variance
of 1 keeps the digits of its standard error.

Source: Chan, Golub and LeVeque (1983), *Algorithms for computing the
sample variance: analysis and recommendations*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradlib.engine.health import Extremes, Tails, joined

_CANCELLATION = 1e-3  # Q below this share of Σ f²: take the deviations from the mean instead


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations; and how many draws were not finite.

    Attributes:
        count: the number of independent draws (or pairs of draws).
        mean: their mean, of the shape of one draw.
        squares: the sums of squared deviations, of the same shape.
        bad: in how many draws something was not finite; the moments are void then.
        first_bad: the first of them, for the message.
        tails: the smallest and the largest draws of each component, of those that were looked at.
        looked: how many these are.
        peaks: one of each side from the pieces that were not looked at.
        plain: the variance of one draw, where what is averaged are means of many.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray
    bad: int = 0
    first_bad: str = ""
    tails: Tails = ()
    looked: int = 0
    peaks: Tails = ()
    plain: np.ndarray | None = None

    def merge(self, other: Moments) -> Moments:
        """Chan's update: the difference of the means is small, so nothing cancels."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"draw must return rows of one shape, got {sorted({self.mean.shape, other.mean.shape})}")
        count = self.count + other.count
        delta = other.mean - self.mean
        return Moments(
            count,
            self.mean + delta * (other.count / count),
            self.squares + other.squares + delta**2 * (self.count * other.count / count),
            self.bad + other.bad,
            self.first_bad or other.first_bad,
            joined(self.tails, other.tails),
            self.looked + other.looked,
            joined(self.peaks, other.peaks),
        )

    @property
    def variance(self) -> np.ndarray:
        """Of one draw."""
        return self.squares / max(self.count - 1, 1) if self.plain is None else self.plain

    @property
    def stderr(self) -> np.ndarray:
        """The standard error of the mean."""
        return np.sqrt(self.squares / (self.count - 1) / self.count)

    @classmethod
    def of_columns(cls, values: np.ndarray, extremes: Extremes | None = None, look: bool = True) -> Moments:
        """The moments of an array of shape (draws, ...) along its first axis."""
        flat = values.reshape(len(values), -1)
        if extremes:
            for i, column in enumerate(flat.T):
                extremes.see(i, column, look)
        if flat.shape[1] == 1:
            mean, squares = (np.array([number]) for number in row_moments(np.ascontiguousarray(flat[:, 0])))
        else:
            deviations = flat - flat[0]
            mean = deviations.mean(axis=0)
            deviations -= mean
            mean += flat[0]
            squares = np.einsum("ij,ij->j", deviations, deviations)
        shape = values.shape[1:]
        moments = cls(len(values), mean.reshape(shape), squares.reshape(shape))
        if not extremes:
            return moments
        found = extremes.taken()
        return replace(moments, tails=found, looked=len(values)) if look else replace(moments, peaks=found)

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.squares).all())  # as the mean is then


def row_moments(row: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations of a contiguous row."""
    n = len(row)
    total, square = float(np.add.reduce(row)), float(np.dot(row, row))
    mean = total / n
    squares = square - total * mean
    if squares > _CANCELLATION * square:
        return mean, squares
    # Deviations from the first value are exactly 0 where all are equal.
    first = row[0]
    deviations = row - first
    mean = np.add.reduce(deviations) / n
    deviations -= mean
    return first + mean, np.dot(deviations, deviations)


class Tree:
    """Moments merged in pairs of equal size, by the index of their blocks.

    Which merges with which depends on the indices alone. So one worker may merge a run of
    2^k blocks that starts at a multiple of 2^k, another the next, and the bits are those
    of a single worker. Trees are immutable: an interruption finds the last whole one.
    """

    def __init__(self, nodes: tuple[tuple[int, Moments], ...] = ()):
        self.nodes = nodes  # (level, moments of 2^level blocks), the levels decreasing

    def add(self, moments: Moments, level: int = 0) -> Tree:
        nodes = list(self.nodes)
        while nodes and nodes[-1][0] == level:
            moments = nodes.pop()[1].merge(moments)
            level += 1
        return Tree((*nodes, (level, moments)))

    def extend(self, other: Tree) -> Tree:
        """Add the blocks that follow."""
        tree = self
        for level, moments in other.nodes:
            tree = tree.add(moments, level)
        return tree

    def total(self) -> Moments:
        *others, (_, total) = self.nodes
        for _, moments in reversed(others):
            total = moments.merge(total)
        return total
