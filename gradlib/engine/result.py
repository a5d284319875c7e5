"""What the engine returns: a number and what it is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gradlib.engine.health import Evidence, Health


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo estimate: a number and what it is worth.

    Whether the standard error means what it says is judged by :attr:`health` from further evidence of the run; of an
    estimate that was put together by hand there is none.

    Attributes:
        value: the mean over the draws; a float, or an array of shape ``(d,)``.
        stderr: its standard error, of the same shape.
        samples: the number of draws n.
    """

    value: float | np.ndarray
    stderr: float | np.ndarray
    samples: int
    evidence: Evidence | None = field(default=None, repr=False)

    @cached_property
    def health(self) -> Health | list[Health] | None:
        """Whether the standard error means what it says; for an array a list, one entry for each component."""
        if self.evidence is None:
            return None
        healths = self.evidence.healths()
        return healths if np.ndim(self.value) else healths[0]

    def z(self, truth) -> float | np.ndarray:
        """(value − truth) / stderr: how many standard errors away the truth is.

        Where the standard error is 0 the answer is 0 for equality and infinite otherwise.
        """
        difference = np.asarray(self.value) - np.asarray(truth, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(difference == 0, 0.0, difference / np.asarray(self.stderr))
        return z if z.ndim else float(z)

    def __str__(self) -> str:
        return f"{self.rounded} ({self._remarks}n = {self.samples:,})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self.rounded} <small>({self._remarks}n = {self.samples:,})</small>"

    @property
    def _remarks(self) -> str:
        """Why there is no error bar."""
        if not isinstance(self.health, list):
            return f"{self.health.reason}, " if self.health and self.health.reason else ""
        return "".join(f"component {i}: {h.reason}, " for i, h in enumerate(self.health) if h.reason)

    @property
    def rounded(self) -> str:
        """Value ± standard error, both down to the second significant digit of the error, since more would be noise.

        A question mark stands for a standard error that means nothing, and for the value of what has no mean.
        """
        if np.ndim(self.value) == 0:
            return _shown(float(self.value), float(self.stderr), self.health)
        healths = self.health or [None] * np.size(self.value)
        return "[" + ", ".join(map(_shown, np.ravel(self.value), np.ravel(self.stderr), healths)) + "]"


def _shown(value: float, stderr: float, health: Health | None) -> str:
    if health is None or health.reliable:
        return with_error(value, stderr)
    return with_error(value, stderr).split(" ± ")[0] + " ± ?" if health.mean else "?"


def with_error(value: float, stderr: float) -> str:
    """``value ± stderr``, as :attr:`Estimate.rounded` prints it."""
    value += 0.0  # turns -0.0 into 0.0
    if not math.isfinite(stderr):
        return f"{value:.6g} ± {stderr}"
    if not stderr > 0:
        return f"{value:.6g} ± 0"
    decimals = 1 - int(np.floor(np.log10(float(f"{stderr:.1e}"))))  # of the rounded error: 0.0999 is 0.10
    if decimals > 12 or decimals < -6:
        return f"{value:.8g} ± {stderr:.1e}"
    rounded = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:.{max(decimals, 0)}f} ± {round(stderr, decimals):.{max(decimals, 0)}f}"


class Unfinished(RuntimeError):
    """The wanted standard error was not reached.

    Attributes:
        estimate: the :class:`Estimate` from all draws so far.
    """

    estimate: Estimate

    @classmethod
    def after(cls, so_far: Estimate, target: float) -> Unfinished:
        """With the number of draws that would do."""
        largest = float(np.max(so_far.stderr))
        if largest > target:
            needed = so_far.samples * (largest / target) * (largest / target)
            why = f"it is {largest:.2g}; at this rate {needed:.1e} draws would be needed"
        else:
            why = "some component had the same value in all draws, which says nothing about its error"
        error = cls(
            f"the standard error {target:g} was not reached in {so_far.samples:,} draws: {why}. "
            "Raise samples=, or lower the variance. The average so far is in this error's .estimate"
        )
        error.estimate = so_far
        return error


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended an average early.

    Attributes:
        estimate: the :class:`Estimate` from the blocks that were complete, in the order of
            their indices; ``None`` if there were none.
    """

    estimate: Estimate | None

    @classmethod
    def after(cls, so_far: Estimate | None) -> Interrupted:
        if so_far is None:
            error = cls("interrupted before anything was averaged")
        else:
            error = cls(f"interrupted; the average so far, {so_far}, is in this error's .estimate")
        error.estimate = so_far
        return error
