"""What is averaged: a compiled integrand with its draws, or the caller's own draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp

from gradlib.core.binding import Binding
from gradlib.engine.health import Extremes, scaled
from gradlib.engine.kernel import Kernel, compile_kernel
from gradlib.engine.moments import Moments, row_moments
from gradlib.engine.sampling import Draws


@dataclass(frozen=True)
class _Integrand:
    """A compiled integrand with its draws; for a difference, at two sets of parameters."""

    kernel: Kernel
    draws: Draws
    parameters: tuple[tuple[float, ...], ...]
    functions: Mapping[str, Callable]  # the black boxes, by name
    constant: tuple[bool, ...]

    @property
    def dimension(self) -> int:
        return len(self.draws.sides[0])

    @property
    def rows(self) -> int:
        """How many rows of scratch space :meth:`open` needs."""
        return self.kernel.rows + self.dimension

    def open(self, scratch: np.ndarray) -> Callable[..., Moments]:
        """A function of (stream, size, points), and of whether to look at the largest draws."""
        kernel, source = self.kernel, self.draws
        boxes = {name: _checked(name, f) for name, f in self.functions.items()}
        bound = [kernel.bind(numbers, boxes) for numbers in self.parameters]
        work, buffers = scratch[: kernel.rows], scratch[kernel.rows :]
        means, squares = np.empty(kernel.components), np.empty(kernel.components)
        extremes, looking = Extremes(kernel.components), True

        def average(i, row):
            means[i], squares[i] = row_moments(row)
            extremes.see(i, row, looking)

        def block_moments(legs, part: slice) -> Moments:
            size = part.stop - part.start
            if len(legs) > 1:
                for i, row in enumerate(combined(legs, part)):
                    average(i, row)
                return Moments(size, means.copy(), squares.copy(), **tails(size, np.ones_like(means)))
            ((side, draws),) = legs
            scale, run = bound[side]
            run(average, work[:, :size], *(x[part] for x in draws))
            return Moments(size, means * scale, squares * scale**2, **tails(size, scale))

        def tails(size: int, scale: np.ndarray) -> dict:
            found = scaled(extremes.taken(), scale)
            return {"tails": found, "looked": size} if looking else {"peaks": found}

        def combined(legs, part: slice) -> np.ndarray:
            """The components, as rows: averaged over mirror images, subtracted between sides."""
            size = part.stop - part.start
            total = np.zeros((kernel.components, size))
            for side, draws in legs:
                scale, run = bound[side]
                weight = (-1) ** side / (1 + source.mirrored) * scale

                def add(i, row):
                    total[i] += weight[i] * row

                run(add, work[:, :size], *(x[part] for x in draws))
            return total

        def bad(legs, part: slice) -> Moments:
            """Moments that say how many draws (or mirror images) are not finite on some side, and which is first."""
            size = part.stop - part.start
            wrong, first = np.zeros((1 + source.mirrored, size), bool), []
            for j, (side, draws) in enumerate(legs):
                here = ~np.isfinite(combined([(side, draws)], part)).all(axis=0)
                wrong[j % (1 + source.mirrored)] |= here
                if here.any():
                    first.append((int(np.argmax(here)), side, draws))
            i, side, draws = min(first, key=lambda fault: fault[0])
            zero = np.zeros(kernel.components)
            return Moments(size, zero, zero, int(wrong.sum()), self.x(draws, part.start + i, side))

        def block(stream, size: int, points=None, *, look: bool = True) -> Moments:
            nonlocal looking
            looking = look
            legs = source.draw(stream, buffers[:, :size], points)
            whole = None
            with np.errstate(all="ignore"):  # what is not finite is counted and reported
                for start in range(0, size, kernel.chunk):
                    part = slice(start, min(start + kernel.chunk, size))
                    some = block_moments(legs, part)
                    if not some.is_finite and not np.isfinite(combined(legs, part)).all():
                        some = bad(legs, part)
                    whole = some if whole is None else whole.merge(some)
            return whole

        return block

    def x(self, draws, i: int, side: int) -> str:
        """The variables in draw i, to be read by a person."""
        samplers = self.draws.sides[side]
        return ", ".join(f"{sampler.name} = {sampler.value(draw[i]):.6g}" for sampler, draw in zip(samplers, draws))


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
        extremes: list[Extremes] = []  # of as many components as the first draws have

        def block(stream, size: int, *, look: bool = True) -> Moments:
            values = np.asarray(self.draw(stream, size))
            if values.ndim == 0 or values.shape[0] != size:
                raise ValueError(
                    f"draw(rng, {size}) must return an array of shape ({size}, ...), got shape {values.shape}"
                )
            if values.dtype.kind not in "biuf":
                raise ValueError(f"draw must return real numbers, got dtype {values.dtype}")
            with np.errstate(all="ignore"):
                values = values.astype(float, copy=False)
                columns = int(np.prod(values.shape[1:]))
                if not extremes or extremes[0].rows != columns:
                    extremes[:] = [Extremes(columns)]
                moments = Moments.of_columns(values, extremes[0], look)
                finite = np.isfinite(values).reshape(size, -1).all(axis=1) if not moments.is_finite else np.array(True)
            if finite.all():
                return moments
            zero = np.zeros(values.shape[1:])
            return Moments(size, zero, zero, int((~finite).sum()), f"draw {int(np.argmin(finite))} of a block")

        return block


def _integrand(sides: list[Binding], sampling: str) -> _Integrand:
    """What an expectation averages, and from which draws."""
    bound = sides[0]
    draws, moved, columns = [], [], []
    for i, law in enumerate(bound.laws):
        samplers = [side.laws[i].sampler(side.numbers[i], side.at) for side in sides]
        base, path = law.base() or (None, lambda eps: eps)
        small = next((sampler.small for sampler in samplers if sampler.small), None)
        if small:
            draws.append(_base_symbol(i, False))
            moved.append((law.symbol, path(small.back(draws[-1]))))
            samplers = [sampler.by_logarithm() for sampler in samplers]
        elif base is None:
            draws.append(law.symbol)
        else:
            draws.append(_base_symbol(i, base.set.inf == 0))
            moved.append((law.symbol, path(draws[-1])))
        columns.append(samplers)
    kernel = compile_kernel(tuple(draws), tuple(bound.at), bound.components, tuple(moved))
    samplers = tuple(zip(*columns))
    return _Integrand(
        kernel,
        Draws(samplers, mirrored=sampling == "antithetic", uniform=sampling == "sobol"),
        tuple(tuple(side.at[symbol] for symbol in bound.at) for side in sides),
        bound.functions,
        tuple(c.free_symbols.isdisjoint(law.symbol for law in bound.laws) for c in bound.components),
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
                f"the black box {name.rstrip('_')} must map arrays of shape {size} to an array of shape {size}, got "
                f"{values.shape}"
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
