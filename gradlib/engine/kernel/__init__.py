r"""From a SymPy integrand to NumPy code for a block of draws.

A kernel is one Python function for all components of an integrand. It differs from the output of
``sympy.lambdify`` in what costs time on long arrays:

* what holds no draw is a number and is computed once, not once per draw;
* every operation writes into a buffer that is no longer needed, so nothing is allocated;
* a power with a small whole exponent is a product, a polynomial a Horner scheme;
* a constant factor of a component scales the average, not every draw;
* many sums of the same terms are one matrix product;
* sine and cosine come from the tangent of half the angle.

Before that, what would lose its digits is written otherwise (:mod:`gradlib.core.stable`).

It is text. It travels to another process as it is, so every worker runs the same
operations in the same order.

The steps: ``lower`` turns expressions into instructions,
``schedule`` orders them and gives their arrays places,
``emit`` writes the text.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # and scipy.special with the first kernel that needs it: slow to import
import sympy as sp

from gradlib.core.function import array_functions, spelled
from gradlib.core.stable import stable
from gradlib.engine import implicit
from gradlib.engine.kernel.emit import Emitter
from gradlib.engine.kernel.lower import Program, horner
from gradlib.engine.kernel.schedule import Places, schedule

CACHE = 5 * 2**19  # bytes of draws and scratch space in one chunk
LONGEST, SHORTEST = 2**17, 2**15  # draws in a chunk: with fewer, threads wait for Python's lock more than they compute


@dataclass(frozen=True)
class Kernel:
    """A compiled integrand.

    Attributes:
        source: Python text that defines ``bind(*parameters)``, which returns the factors of
            the components and ``run(sink, work, *draws)``.
        components: their number.
        rows: the number of scratch rows of ``work``.
        chunk: how many draws at a time keep the rows in cache.
        operations: arithmetic operations and function calls for one draw.
        unmapped: functions that the text calls by their names alone: black boxes, and what only SymPy calls so.
    """

    source: str
    components: int
    rows: int
    chunk: int
    operations: int
    unmapped: tuple[str, ...] = ()

    def bind(self, parameters: Sequence[float], functions: Mapping[str, Callable] | None = None):
        """Give the parameters their values.

        Returns:
            ``(scale, run)``. ``run(sink, work, *draws)`` calls ``sink(i, row)`` once for each
            component, which is ``scale[i] * row``; the row is overwritten after that.
        """
        functions = functions or {}
        names = {
            **array_functions([name for name in self.unmapped if name not in functions]),
            "functools": functools, "builtins": builtins, "numpy": np, "scipy": scipy,
            "velocity": implicit.velocity, "real": _real, "on_the_line": _on_the_line, **functions,
        }  # fmt: skip
        exec(_byte_code(self.source), names)
        with np.errstate(all="ignore"):  # 1/0 in a factor is reported with the draws
            return names["bind"](*map(np.float64, parameters))


@lru_cache(maxsize=256)
def _byte_code(source: str):
    return compile(source, "<kernel>", "exec")


def _real(value):
    """What the printed form of an expression with the imaginary unit comes to, if it is real."""
    if np.iscomplexobj(value):
        raise ValueError("the integrand is complex: estimate its real and imaginary parts")
    return value


def _on_the_line(value):
    """The real part of what SciPy computes in the complex plane; no number where it is not real."""
    return np.where(value.imag == 0, value.real, np.nan)


@lru_cache(maxsize=256)
def compile_kernel(
    draws: tuple[sp.Symbol, ...],
    parameters: tuple[sp.Symbol, ...],
    components: tuple[sp.Expr, ...],
    paths: tuple[tuple[sp.Symbol, sp.Expr], ...] = (),
) -> Kernel:
    """Print the kernel of an integrand.

    Args:
        draws: the symbols that stand for arrays.
        parameters: the symbols that stand for numbers.
        components: expressions in both; an undefined function is a call of a black box of
            its name, a :class:`~gradlib.core.law.Velocity` a call into :mod:`gradlib.engine.implicit`.
        paths: what to put for symbols of the components, in ``draws`` and ``parameters``:
            x ↦ μ + σ ε. Terms such as (x − μ)/σ² shorten to ε/σ here.
    """
    # Names that the expressions cannot hold: a user's symbol may be called lambda, None or exp.
    arrays = {symbol: sp.Symbol(f"x{i}", **_signs(symbol)) for i, symbol in enumerate(draws)}
    numbers = {symbol: sp.Symbol(f"p{i}", **_signs(symbol)) for i, symbol in enumerate(parameters)}
    names = arrays | numbers
    moved = {symbol: path.xreplace(names) for symbol, path in paths}
    variables = {*draws, *moved} - {p for _, path in paths for p in path.free_symbols}
    program = Program(arrays.values())
    written = [horner(stable(spelled(c)), variables).xreplace(moved | names) for c in components]
    if any(path.has(sp.exp) or any(p.exp not in (1, -1) for p in path.atoms(sp.Pow)) for path in moved.values()):
        written = list(map(stable, written))  # the logarithm of what is drawn by its logarithm
    roots = program.lower_all(written)
    code = schedule(program, roots)
    places = Places(code)
    text = Emitter(code, places, program.numbers)
    source = text.source(arrays.values(), numbers.values(), roots)
    chunk = LONGEST
    while chunk > SHORTEST and 8 * chunk * (places.rows + len(draws)) > CACHE:
        chunk //= 2
    return Kernel(source, len(roots), places.rows, chunk, text.operations(), text.unmapped)


def _signs(symbol: sp.Symbol) -> dict[str, bool]:
    return {"positive": True} if symbol.is_positive else {"real": True}
