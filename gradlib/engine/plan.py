"""How many draws, in which pieces, and when to stop."""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass

import numpy as np

from gradlib.engine.sampling import SCHEMES, SCRAMBLES

BLOCK = 2**17  # draws with one random stream
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
        """The plan that a caller's arguments ask for.

        Raises:
            TypeError: for neither samples nor a standard error, and for what is no whole number.
            ValueError: for a scheme that there is not, and for what it cannot draw.
        """
        if sampling not in SCHEMES:
            raise ValueError(f"sampling must be one of {', '.join(map(repr, SCHEMES))}; got {sampling!r}")
        if samples is None and stderr is None:
            raise TypeError(
                "samples must be given, as in samples=1_000_000, or the standard error to reach, as in stderr=1e-3"
            )
        target = None if stderr is None else _standard_error(stderr)
        capped = samples is None or target is not None
        samples = _count(CAP if samples is None else samples)
        if sampling == "antithetic":
            if samples % 2 or samples < 4:
                raise ValueError(
                    "antithetic draws come in pairs, and two pairs are needed for a standard error: "
                    f"samples must be even and at least 4, got {samples}"
                )
            return cls(samples // 2, target, block // 2, draws=2)
        if sampling == "sobol":
            return cls(_points(samples, capped), target, block, draws=SCRAMBLES, sobol=True)
        return cls(samples, target, block)


def whole_number(name: str, value) -> int:
    """The value of an argument as an int; a float such as 1e6 is refused, with the way to write it."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, got a truth value")
    try:
        return operator.index(value)
    except TypeError:
        hint = f": write {name}={int(value):_}" if isinstance(value, float) and value.is_integer() else ""
        raise TypeError(f"{name} must be a whole number, got {value!r}{hint}") from None


def _count(samples) -> int:
    samples = whole_number("samples", samples)
    if samples < 2:
        raise ValueError(f"samples must be at least 2, or there is no standard error; got {samples}")
    return samples


def _standard_error(stderr) -> float:
    is_number = isinstance(stderr, numbers.Real) and not isinstance(stderr, (bool, np.bool_))
    if not (is_number and math.isfinite(stderr) and stderr > 0):
        raise ValueError(f"stderr must be a positive number, got {stderr!r}")
    return float(stderr)


def _points(samples: int, capped: bool) -> int:
    """The points of each scramble: a power of two; where ``samples`` is only a cap, the largest below it."""
    points = 2 ** int(math.log2(max(samples // SCRAMBLES, 1)))
    if samples < 2 * SCRAMBLES or not capped and samples != SCRAMBLES * points:
        below, above = SCRAMBLES * max(points, 2), SCRAMBLES * max(2 * points, 2)
        near = f"{below:,} or {above:,}" if below != above else f"{below:,}"
        raise ValueError(
            f"Sobol' points come in {SCRAMBLES} scrambles of 2, 4, 8, ... points: samples={near}, not {samples:,}"
        )
    return points
