r"""Where draws come from: random streams, base laws, and the schemes that arrange draws.

*Plain*: independent draws. *Antithetic*: pairs whose draws mirror each other,
:math:`P(\varepsilon)` and :math:`1 - P(\varepsilon)` in quantiles. *Sobol'*: points that
fill the unit cube evenly, scrambled at random so that each is uniform
(randomized quasi-Monte Carlo). *Common random numbers*: two expectations from the same draws.

The last three send uniform numbers through a quantile function, so they need one. NumPy
draws Poisson, Geometric and Binomial variables by search or rejection: these schemes refuse them.

Source: Owen (2013), *Monte Carlo theory, methods and examples*, chapters 8 and 17.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradlib.core.formula import uniform
from gradlib.core.law import Sampler

SCHEMES = ("plain", "antithetic", "sobol")
SCRAMBLES = 16  # independent scrambles: their spread gives the standard error, good to 18 % if their means are Normal
_BITS = 52  # of a uniform number: half a cell more is exact in double precision, and never 0 or 1


@dataclass(frozen=True)
class Streams:
    """The random streams of a run: one for each block, by the block's index.

    A stream is spawned from the run's seed, never shared, never reused. Any worker can make
    the stream of any block.
    """

    bit_generator: type
    entropy: object
    key: tuple[int, ...]
    pool_size: int

    def __getitem__(self, index: int) -> np.random.Generator:
        seed = np.random.SeedSequence(self.entropy, spawn_key=(*self.key, index), pool_size=self.pool_size)
        return np.random.Generator(self.bit_generator(seed))

    @classmethod
    def of(cls, rng) -> Streams:
        """The streams of a seed, or of the next child of a Generator."""
        if rng is None or isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
            if rng is not None and rng < 0:
                raise ValueError(f"rng: a seed is a whole number >= 0, got {rng}")
            seed, bit_generator = np.random.SeedSequence(rng), np.random.PCG64
        elif isinstance(rng, np.random.Generator):
            if not hasattr(rng.bit_generator.seed_seq, "spawn"):
                raise TypeError(
                    "rng: this Generator's bit generator cannot spawn streams; build it from a seed, as in "
                    "default_rng(0)"
                )
            (seed,), bit_generator = rng.bit_generator.seed_seq.spawn(1), type(rng.bit_generator)
        else:
            raise TypeError(f"rng takes a seed, a numpy.random.Generator or None, got {rng!r}")
        return cls(bit_generator, seed.entropy, tuple(seed.spawn_key), seed.pool_size)


@dataclass(frozen=True)
class Draws:
    """Draws of all variables, for one expectation or for two that share their random numbers.

    Attributes:
        sides: the variables' samplers, once for each expectation.
        mirrored: whether each draw comes with its mirror image.
        uniform: whether the uniform numbers come from outside (Sobol' points).
    """

    sides: tuple[tuple[Sampler, ...], ...]
    mirrored: bool = False
    uniform: bool = False

    def __post_init__(self):
        scheme = "Sobol' points" if self.uniform else "antithetic pairs" if self.mirrored else "common random numbers"
        for samplers in zip(*self.sides):
            if self._by_quantile(samplers) and samplers[0].no_quantile:
                raise ValueError(
                    f"{scheme} do not apply to {samplers[0].name}: {samplers[0].no_quantile}. Use sampling='plain'"
                    + (" and two independent estimates" if len(samplers) > 1 else "")
                )

    def _by_quantile(self, samplers: Sequence[Sampler]) -> bool:
        return self.uniform or samplers[0].key != samplers[-1].key or self.mirrored and not samplers[0].symmetric

    def draw(
        self, rng: np.random.Generator | None, buffers: np.ndarray, points: np.ndarray | None
    ) -> list[tuple[int, list[np.ndarray]]]:
        """Pairs (side, draws of the variables); with mirroring each side comes twice.

        Args:
            rng: the block's stream; unused where there are points.
            buffers: an array of shape (variables, draws) to write to where that is possible.
            points: uniform numbers from outside, of shape (draws, variables).
        """
        columns = [
            self._columns(samplers, rng, buffers[j]) if points is None else self._at(samplers, points[:, j])
            for j, samplers in enumerate(zip(*self.sides))
        ]
        return [
            (side, [column[side][mirror] for column in columns])
            for side in range(len(self.sides)) for mirror in range(1 + self.mirrored)
        ]  # fmt: skip

    def _columns(
        self, samplers: Sequence[Sampler], rng: np.random.Generator, out: np.ndarray
    ) -> list[list[np.ndarray]]:
        """One variable's draws: a list by side of lists by mirror image."""
        if self._by_quantile(samplers):
            return self._at(samplers, uniform(rng, len(out)))
        draws = samplers[0].draw(rng, len(out), out)
        return [[draws, -draws] if self.mirrored else [draws]] * len(samplers)

    def _at(self, samplers: Sequence[Sampler], u: np.ndarray) -> list[list[np.ndarray]]:
        return [[sampler.quantile(v) for v in ((u, 1 - u) if self.mirrored else (u,))] for sampler in samplers]


def sobol_points(dimension: int, rng: np.random.Generator, start: int, stop: int, size: int) -> Iterator[np.ndarray]:
    """Points ``start`` to ``stop`` of a scrambled Sobol' sequence, in arrays of at most ``size`` rows.

    SciPy's points may be 0, where a Normal's quantile is −∞. They are the lower corners
    of the cells of a grid; half a cell more puts them in the middle.
    """
    from scipy.stats import qmc  # slow to import, and needed by this scheme only

    sequence = qmc.Sobol(dimension, scramble=True, bits=_BITS, rng=rng)
    for first in range(0, stop, size):
        points = sequence.random(min(size, stop - first))
        if first + size > start:
            yield points[max(start - first, 0) :] + 2.0 ** -(_BITS + 1)
