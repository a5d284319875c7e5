"""What may be compared, and how: like work only, and a ratio within each repetition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Z = 6  # standard errors: a right answer is farther away once in 5 · 10⁸ numbers
SPARE = 1.1  # a clock is not exact: processor time may exceed cores × time by this factor


class UnlikeWork(RuntimeError):
    """A peer did not do the same work, so its time means nothing."""


def check(result: Mapping, who: str, samples: int, threads: int, exact=None, stderr=None) -> None:
    """Refuse a run that is not comparable.

    Args:
        result: a peer's answer.
        who: the peer and the problem, for the message.
        samples: the number of draws asked for.
        threads: the number of threads (of devices) allowed.
        exact: the gradient by quadrature; None if the run estimates nothing.
        stderr: its standard error at this number of draws.

    Raises:
        UnlikeWork: with what is different.
    """
    if result["samples"] != samples:
        raise UnlikeWork(f"{who}: {result['samples']:,} draws instead of {samples:,}")
    if result["threads"] != threads:
        raise UnlikeWork(f"{who}: {result['threads']} threads instead of {threads}")
    if result["busy"] > SPARE * threads:
        raise UnlikeWork(f"{who}: {result['busy']:.1f} cores were busy, {threads} are allowed")
    if set(result["dtypes"]) != {"float64"}:
        raise UnlikeWork(f"{who}: computed in {', '.join(result['dtypes'])} instead of float64")
    if exact is not None:
        _check_gradient(np.asarray(result["value"]), who, np.asarray(exact), np.asarray(stderr))


def _check_gradient(value: np.ndarray, who: str, exact: np.ndarray, stderr: np.ndarray) -> None:
    if value.shape != exact.shape:
        raise UnlikeWork(f"{who}: a gradient of shape {value.shape} instead of {exact.shape}")
    distance = np.abs(value - exact) / stderr
    worst = int(np.nanargmax(distance)) if np.isfinite(distance).any() else 0
    if not np.all(distance < Z):
        raise UnlikeWork(
            f"{who}: wrong gradient, component {worst} is {value[worst]:.6g} where the exact value is "
            f"{exact[worst]:.6g}, {distance[worst]:.1f} standard errors away"
        )


def ratios(times: Sequence[float], base: Sequence[float]) -> list[float]:
    """time / base, repetition by repetition: what slows a machine for a minute slows both."""
    if len(times) != len(base):
        raise ValueError(f"{len(times)} repetitions against {len(base)}")
    return [t / b for t, b in zip(times, base)]


def spread(values: Sequence[float]) -> dict:
    """Median, quartiles and range, with the values that they come from."""
    low, lower, median, upper, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {"median": median, "lower": lower, "upper": upper, "min": low, "max": high, "values": list(values)}
