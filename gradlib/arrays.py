r"""One family, elementwise on arrays: a policy's weights, a mean-field posterior.

What acts on the arrays is compiled from the SymPy density of the variable, from which the estimators of
``gradlib.rules`` are derived as well: there is no second set of formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import sympy as sp
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.function import function_of
from gradlib.core.law import Law
from gradlib.core.variable import law, named
from gradlib.engine import implicit
from gradlib.engine.kernel.emit import KernelPrinter

Arrays = Mapping[sp.Symbol, np.ndarray]


class ArrayLaw:
    r"""A distribution whose parameters are arrays: independent entries, each of the same family.

    Args:
        variable: a SymPy random symbol, whose parameters are expressions in symbols.

    Attributes:
        parameters: the symbols that need arrays.

    Every method takes ``at``, a dictionary from each symbol to a number or an array; these and x
    broadcast against each other by NumPy's rules.

    Raises:
        TypeError: if ``variable`` is no random symbol.
        ValueError: for an abstract density; in the methods for missing or unknown symbols and
            for values outside a parameter's domain.

    Examples:
        A mean-field Gaussian in three dimensions, by the logarithm of its standard deviations:

        >>> import numpy as np, sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> m, r = sp.symbols("m r", real=True)
        >>> q = gl.ArrayLaw(Normal("w", m, sp.exp(r)))
        >>> at = {m: np.array([0.0, 1.0, 2.0]), r: np.zeros(3)}
        >>> w = q.draw(np.random.default_rng(0), at, size=1000)
        >>> w.shape
        (1000, 3)
        >>> {str(symbol): array.shape for symbol, array in q.score(w, at).items()}
        {'m': (1000, 3), 'r': (1000, 3)}
        >>> bool(np.allclose(q.velocity(w, at)[r], w - at[m]))
        True
    """

    def __init__(self, variable: RandomSymbol):
        if not isinstance(variable, RandomSymbol):
            raise TypeError(f"ArrayLaw takes a random symbol of sympy.stats, got {variable!r}")
        self.law = law(variable)
        if self.law.is_abstract:
            raise ValueError("an abstract density has no numbers: give the variable a concrete law")
        self.parameters = tuple(sorted(self.law.free_symbols, key=str))

    def __repr__(self) -> str:
        return f"ArrayLaw({self.law.variable} ~ {self.law.name}; {', '.join(map(str, self.parameters))})"

    # --- draws -------------------------------------------------------------------

    def draw(self, rng: np.random.Generator, at: Arrays, size: int | tuple[int, ...] = ()) -> np.ndarray:
        """Independent draws, of shape ``size`` followed by the shape of the parameters."""
        noise = self._draws(rng, at, size)
        return noise if self.law.base() is None else self.path(noise, at)

    def noise(self, rng: np.random.Generator, at: Arrays, size: int | tuple[int, ...] = ()) -> np.ndarray:
        """Draws ε of the base law, for :meth:`path`; keep them to use them twice (common random numbers)."""
        self._require_path()
        return self._draws(rng, at, size)

    def path(self, eps: np.ndarray, at: Arrays) -> np.ndarray:
        r""":math:`x = g_\theta(\varepsilon)`."""
        self._require_path()
        return self._call("path", eps, at)[0]

    def _draws(self, rng: np.random.Generator, at: Arrays, size) -> np.ndarray:
        values, shape = self._values(at, size)
        return self.law.draw(rng, shape, self._parameter_values(values))

    # --- the density, and what is derived from it ----------------------------------

    def log_density(self, x: np.ndarray, at: Arrays) -> np.ndarray:
        r""":math:`\log p_\theta(x)` of each entry."""
        return self._call("log_density", x, at)[0]

    def score(self, x: np.ndarray, at: Arrays) -> dict[sp.Symbol, np.ndarray]:
        r""":math:`\partial_\theta \log p_\theta(x)` for each parameter θ."""
        return dict(zip(self.parameters, self._call("score", x, at)))

    def velocity(self, x: np.ndarray, at: Arrays) -> dict[sp.Symbol, np.ndarray]:
        r"""The velocity :math:`\partial_\theta g_\theta(\varepsilon)` at :math:`x = g_\theta(\varepsilon)`, for each θ.

        The Jacobian of the path is diagonal: entry i moves with θ_i alone.
        """
        self._require_path()
        return dict(zip(self.parameters, self._call("velocity", x, at)))

    def weak_derivative(
        self,
        theta: sp.Symbol,
        rng: np.random.Generator,
        at: Arrays,
        size: int | tuple[int, ...] = (),
        *,
        coupled: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        r"""Draws of the pair in :math:`\partial_\theta p = c\,(p^+ - p^-)`.

        Returns:
            ``(c, x_plus, x_minus)``. Entry i is for the derivative in θ_i: put x⁺_i, then x⁻_i, in
            the place of x_i, and leave the other entries as they are.

        Raises:
            UnsoundEstimator: as :func:`gradlib.measure_valued`; also where θ enters two
                parameters of the family, whose pairs would have to be added.
        """
        self._require_known(theta)
        touched = [i for i, p in enumerate(self.law.parameters) if p.has(theta)]
        if len(touched) != 1:
            raise UnsoundEstimator(
                f"{theta} enters {len(touched)} parameters of {self.law.name}: draw the pair of each by itself"
            )
        noise, expressions = _pair(self.law, theta, touched[0], coupled)
        shape = self._values(at, size)[1]
        values, x = dict(at), self.law.symbol
        if any(x in side.free_symbols for side in expressions[1:]):
            values[x] = self.draw(rng, at, size)
        for symbol, distribution in noise:
            values[symbol] = _draw_of(distribution, rng, at, shape)
        arrays = _compiled(expressions, tuple(values))(*(np.asarray(value, float) for value in values.values()))
        return tuple(np.broadcast_to(a, shape) for a in arrays)

    # --- inside --------------------------------------------------------------------

    def _require_path(self) -> None:
        if self.law.no_path:
            raise UnsoundEstimator(self.law.no_path)

    def _require_known(self, theta) -> None:
        if theta not in self.parameters:
            raise ValueError(f"{theta} is no parameter of {self!r}")

    def _values(self, at: Arrays, size) -> tuple[list[np.ndarray], tuple[int, ...]]:
        """The arrays of ``at`` in the order of the parameters, checked, and the shape of a draw."""
        if not isinstance(at, Mapping):
            raise TypeError(f"at takes a dictionary {{symbol: array}}, got {type(at).__name__}")
        for symbol in at:
            self._require_known(symbol)
        if missing := [s for s in self.parameters if s not in at]:
            raise ValueError(f"no value for {', '.join(map(str, missing))}: give one in at={{symbol: array}}")
        values = [np.asarray(at[s], float) for s in self.parameters]
        for symbol, value in zip(self.parameters, values):
            if not np.isfinite(value).all():
                raise ValueError(f"the values of {symbol} must be finite")
        self.law.check(self._parameter_values(values))
        size = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
        return values, size + np.broadcast_shapes(*(v.shape for v in values))

    def _parameter_values(self, values: list[np.ndarray]) -> list[np.ndarray]:
        return list(_compiled(tuple(map(sp.sympify, self.law.parameters)), self.parameters)(*values))

    def _call(self, what: str, x, at: Arrays) -> list[np.ndarray]:
        values, _ = self._values(at, ())
        x = np.asarray(x, float)
        shape = np.broadcast_shapes(x.shape, *(v.shape for v in values))
        arrays = _compiled(_expressions(self.law, what, self.parameters), (self.law.symbol, *self.parameters))(
            x, *values
        )
        return [np.broadcast_to(np.asarray(a, float), shape) for a in arrays]


@lru_cache(maxsize=256)
def _expressions(law: Law, what: str, parameters: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    match what:
        case "log_density":
            return (law.log_density,)
        case "score":
            return tuple(sp.sympify(law.score(theta)) for theta in parameters)
        case "velocity":
            return tuple(sp.sympify(law.velocity(theta)) for theta in parameters)
        case "path":
            _, g = law.base() or (None, lambda eps: eps)
            return (g(law.symbol),)  # ε goes by the name of x here
    raise KeyError(what)


@lru_cache(maxsize=256)
def _pair(
    law: Law, theta: sp.Symbol, touched: int, coupled: bool
) -> tuple[tuple[tuple[sp.Symbol, sp.Basic], ...], tuple[sp.Expr, ...]]:
    """The noise of a weak derivative as pairs (symbol, law), and (c, x⁺, x⁻) in it.

    The symbols are the same in every call, or nothing would be found compiled.
    """
    pair, noise = law.weak_pair(touched), []

    def fresh(laws) -> list[sp.Symbol]:
        symbols = [sp.Dummy(real=True) for _ in laws]
        noise.extend(zip(symbols, laws))
        return symbols

    if coupled:
        given = [law.symbol] * pair.shares_x + fresh(pair.coupled[0])
        sides = [pair.coupled[1](*given), pair.coupled[2](*given)]
    else:
        sides = [law.symbol if side is None else side.x(*fresh(side.noise)) for side in (pair.plus, pair.minus)]
    c = pair.constant * sp.diff(law.parameters[touched], theta)
    return tuple(noise), tuple(map(sp.sympify, (c, *sides)))


@lru_cache(maxsize=256)
def _compiled(expressions: tuple[sp.Expr, ...], symbols: tuple[sp.Symbol, ...]) -> Callable:
    """SymPy to NumPy, with common subexpressions computed once."""
    printer = KernelPrinter(qualified=False)
    modules = [{"velocity": _velocity}, "scipy", "numpy"]
    function = function_of(symbols, list(expressions), modules, printer=printer, cse=True)

    def call(*arrays):
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return function(*arrays)

    return call


def _velocity(family: str, index: int) -> Callable:
    """:func:`gradlib.engine.implicit.velocity` takes one set of parameters: once for each that occurs."""
    velocity = implicit.velocity(family, index)

    def elementwise(x, *parameters):
        if not any(map(np.ndim, parameters)):
            return velocity(x, *parameters)
        x, *parameters = np.broadcast_arrays(x, *parameters)
        sets, which = np.unique(np.stack([p.ravel() for p in parameters]), axis=1, return_inverse=True)
        values, flat = np.empty(x.size), x.ravel()
        for i, numbers in enumerate(sets.T):
            values[which == i] = velocity(flat[which == i], *numbers)
        return values.reshape(x.shape)

    return elementwise


def _draw_of(distribution: sp.Basic, rng: np.random.Generator, at: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    """Draws of a law whose parameters are expressions in the symbols of ``at``."""
    noise = _noise(distribution)
    here = {s: np.broadcast_to(at[s], shape) for s in noise.parameters}
    return noise.draw(rng, here, () if here else shape)


@lru_cache(maxsize=256)
def _noise(distribution: sp.Basic) -> ArrayLaw:
    return ArrayLaw(named(distribution, "noise"))
