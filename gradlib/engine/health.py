r"""What an average is worth: its largest draws tell whether its standard error means anything.

Far out most laws fall like a generalised Pareto law, :math:`P(F > t) \sim t^{-1/k}`. From k = ½ on the variance is
infinite, and the standard error estimates nothing; from k = 1 on there is no mean. Where a few draws carry all of the
value, or all are equal, their spread says nothing either.

Sources: Zhang and Stephens (2009), *A new and efficient estimation method for the generalized Pareto distribution*;
Vehtari, Simpson, Gelman, Yao and Gabry (2024), *Pareto smoothed importance sampling*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradlib.sound.existence import Existence

TAIL = 2**9  # of each component so many of the largest and of the smallest draws are kept
LEAST, ENOUGH = 5, 64  # draws that a tail is fitted to, and believed from, at least
FEW = 10  # draws that carry a value: fewer are said
SMALLEST = 1e-290  # a variance below this has lost digits to underflow
CARRIED = 0.3  # the share of the variance that so many draws of a heavy tail carry, and more where there are few draws

Tails = tuple[tuple[np.ndarray, np.ndarray], ...]  # for each component its smallest and its largest draws
_NONE = np.empty(0)


class Extremes:
    """The largest and the smallest numbers of some rows, each of which comes in pieces.

    What lies between bounds that enough numbers have passed before is none of them: few are looked at twice.
    """

    def __init__(self, rows: int):
        self.rows = rows
        self.bounds: list[tuple[float, float] | None] = [None] * rows
        self.before = [(_NONE, _NONE)] * rows
        self.found: list[list[np.ndarray]] = [[] for _ in range(rows)]

    def see(self, i: int, row: np.ndarray, closely: bool = True) -> None:
        """All that may be among them; or, not looked at closely, one on each side."""
        if not closely:
            some = np.array([row.min(), row.max()])
        elif self.bounds[i] is None:
            low, high = _rough_bounds(row)
            some = row[(row <= low) | (row >= high)]
            if min(np.count_nonzero(some <= low), np.count_nonzero(some >= high)) >= TAIL:
                self.bounds[i] = low, high
            else:
                some = row.copy()
        else:
            low, high = self.bounds[i]
            some = row[(row < low) | (row > high)]
        self.found[i].append(some)

    def taken(self) -> Tails:
        """Those seen since the last time that may be among the most extreme of all."""
        return tuple(map(self._taken, range(self.rows)))

    def _taken(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        found = np.concatenate(self.found[i]) if self.found[i] else _NONE
        self.found[i].clear()
        now = lowest(found), highest(found)
        if len(found):
            below, above = self.before[i] = tuple(map(np.concatenate, zip(self.before[i], now)))
            if len(below) >= TAIL:
                below, above = self.before[i] = lowest(below), highest(above)
                self.bounds[i] = below.max(), above.min()
        return now


def _rough_bounds(row: np.ndarray) -> tuple[float, float]:
    """Between which most of a long row lies, from a part of it."""
    if len(row) <= 8 * TAIL:
        return np.inf, -np.inf
    some = row[:: len(row) // (8 * TAIL)]
    rank = 2 * TAIL * len(some) // len(row) + 16
    some = np.partition(some, (rank, len(some) - rank - 1))
    return some[rank], some[-rank - 1]


def lowest(numbers: np.ndarray) -> np.ndarray:
    return numbers.copy() if len(numbers) <= TAIL else np.partition(numbers, TAIL - 1)[:TAIL]


def highest(numbers: np.ndarray) -> np.ndarray:
    return numbers.copy() if len(numbers) <= TAIL else np.partition(numbers, -TAIL)[-TAIL:]


def joined(one: Tails, other: Tails) -> Tails:
    if not one or not other:
        return one or other
    return tuple(
        (lowest(np.concatenate([low, low_too])), highest(np.concatenate([high, high_too])))
        for (low, high), (low_too, high_too) in zip(one, other)
    )


def scaled(tails: Tails, scale: np.ndarray) -> Tails:
    return tuple(
        (factor * low, factor * high) if factor >= 0 else (factor * high, factor * low)
        for (low, high), factor in zip(tails, scale)
    )


@dataclass(frozen=True)
class Health:
    """What speaks for an estimate and against it, of one component.

    Attributes:
        tail: k̂, how heavy the draws' tail is; NaN where there are too few to tell.
        differing: how many draws differ from the commonest value, where nearly all are equal; ``None`` elsewhere.
        variance: whether the variance is finite, where the formula says so; ``None`` where it does not.
        mean: whether a mean is to be expected.
        reason: why the standard error is not to be trusted; empty where it is.
    """

    tail: float
    differing: int | None
    variance: bool | None
    mean: bool
    reason: str

    @property
    def reliable(self) -> bool:
        """Whether the standard error means what it says."""
        return not self.reason


@dataclass(frozen=True)
class Evidence:
    """What a run has seen besides mean and spread.

    Attributes:
        tails: the smallest and the largest draws of each component, of those that were looked at.
        looked: how many these are.
        peaks: some of the largest and smallest of the others.
        mean, variance: of each component.
        constant: for each component, whether its draws are equal by the formula; empty where there is none.
        known: what the formula says of the moments.
    """

    tails: Tails
    looked: int
    peaks: Tails
    mean: np.ndarray
    variance: np.ndarray
    constant: tuple[bool, ...]
    known: Existence

    def healths(self) -> list[Health]:
        constant = self.constant or (False,) * len(self.tails)
        return [
            health(low, high, np.concatenate(peaks), self.looked, float(mean), float(variance), same, self.known)
            for (low, high), peaks, mean, variance, same in zip(
                self.tails,
                self.peaks or [(_NONE,)] * len(self.tails),
                np.ravel(self.mean),
                np.ravel(self.variance),
                constant,
            )
        ]


def health(
    low: np.ndarray,
    high: np.ndarray,
    peaks: np.ndarray,
    count: int,
    mean: float,
    variance: float,
    constant: bool,
    known: Existence,
) -> Health:
    """From the smallest and the largest of ``count`` draws.

    Args:
        constant: whether they are equal by the formula.
        known: what the formula says of the moments.
    """
    if constant:
        return Health(np.nan, None, True, True, "")
    low, high = np.sort(low), np.sort(high)
    differing = _differing(low, high, count)
    tail, enough = _tail_index(low, high, count)
    # Well-behaved integrands, a quartic of a Gaussian among them, cross this line less than once in a thousand times.
    # Of a wave the highest crests may look like a heavy tail, but carry little.
    line = max(0.7 if known.variance else 0.5, 0.2 + 6.5 / np.sqrt(enough)) if enough >= ENOUGH else np.inf
    with np.errstate(over="ignore"):
        largest = np.sort((np.concatenate([low[:FEW], high[-FEW:], peaks]) - mean) ** 2)[-FEW:]
    heavy = tail > line and largest.sum() > (CARRIED + 400 / count) * variance * count
    exists, reason = True, ""
    if differing == 0:
        reason = f"all draws equal: what is rarer than {3 / count:.2g} may be missed"
    elif differing is not None and differing < FEW:
        reason = f"only {differing} {'draws differ' if differing > 1 else 'draw differs'} from {low[len(low) // 2]:.6g}"
    elif known.variance is False:
        reason = "infinite variance"
    elif not SMALLEST < variance < np.inf:
        size = "small" if variance < 1 else "large"
        reason = f"the squares of the draws are too {size} for floating-point numbers: scale the integrand"
    elif heavy:
        reason = f"k̂ = {tail:.2g}"
        exists = bool(known.mean) or tail <= 1
    return Health(tail, differing, known.variance, exists, reason)


def _differing(low: np.ndarray, high: np.ndarray, count: int) -> int | None:
    """How many differ from the value that nearly all have."""
    if count <= len(low):
        values, times = np.unique(low, return_counts=True)
        most = int(times.max())
        return count - most if 2 * most > count else None
    if count < 2 * len(low):
        whole = np.concatenate([low, high[2 * len(low) - count :]])
        return _differing(whole, whole, count)
    common = high[0]
    return int((high != common).sum() + (low != common).sum()) if low[-1] == common else None


def _tail_index(low: np.ndarray, high: np.ndarray, count: int) -> tuple[float, int]:
    """The larger k̂ of the two tails, and how many draws it is fitted to."""
    size = int(min(count / 5, 3 * np.sqrt(count), len(high) - 1))
    fits = []
    for numbers in (high, -low[::-1]) if size >= LEAST else ():
        beyond = numbers[-size:] - numbers[-size - 1]
        beyond = beyond[beyond > 0]
        if len(beyond) >= LEAST and beyond[-1] < np.inf:
            fits.append((pareto_shape(beyond), len(beyond)))
    return max(fits, default=(np.nan, 0))


def pareto_shape(x: np.ndarray) -> float:
    r"""k of a generalised Pareto law, from what is beyond a threshold, in order.

    The mean of the profile likelihood over :math:`\theta` of Zhang and Stephens, and ten more draws' worth of k = ½ so
    that a few draws do not say much.

    Examples:
        >>> import numpy as np
        >>> u = (np.arange(1000) + 0.5) / 1000
        >>> [round(float(pareto_shape(np.sort(u**-k - 1))), 2) for k in (0.25, 1)]
        [0.25, 0.99]
    """
    n = len(x)
    m = 30 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    theta = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(m) + 0.5))) / (3 * quartile)
    theta = theta[theta != 0]
    shape = np.log1p(-theta[:, None] * x).mean(axis=1)
    likelihood = n * (np.log(-theta / shape) - shape - 1)
    weights = np.exp(likelihood - likelihood.max())
    best = (theta * weights).sum() / weights.sum()
    return float((n * np.log1p(-best * x).mean() + 5) / (n + 10))
