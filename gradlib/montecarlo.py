r"""The engine: an expectation becomes a number with a standard error.

.. math:: \hat J = \frac1n \sum_{i=1}^n F(x_i), \qquad
          \mathrm{se} = \sqrt{\frac{1}{n (n-1)} \sum_{i=1}^n (F(x_i) - \hat J)^2}

Draws come in blocks. Every block has a random stream of its own, spawned from the seed
by the block's index, and the blocks' moments are merged in index order: the result does
not depend on the number of threads, and memory does not grow with n.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from sympy.printing.numpy import SciPyPrinter

from gradlib import implicit
from gradlib.binding import Binding, bind
from gradlib.expectation import Expectation
from gradlib.families import FAMILIES, Law, Velocity

BLOCK = 2**15  # draws: a few arrays of this size stay in a core's cache


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo estimate: a number and what it is worth.

    Attributes:
        value: the mean over the draws; a float, or an array of shape ``(d,)``.
        stderr: its standard error, of the same shape.
        samples: the number of draws n.
    """

    value: float | np.ndarray
    stderr: float | np.ndarray
    samples: int

    def z(self, truth) -> float | np.ndarray:
        """(value − truth) / stderr: how many standard errors away the truth is.

        Where the standard error is 0 the answer is 0 for equality and infinite otherwise.
        """
        difference = np.asarray(self.value) - np.asarray(truth, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(difference == 0, 0.0, difference / np.asarray(self.stderr))
        return z if z.ndim else float(z)

    def __str__(self) -> str:
        return f"{self._numbers('±')} (n = {self.samples:,})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self._numbers('±')} <small>(n = {self.samples:,})</small>"

    def _numbers(self, sign: str) -> str:
        if np.ndim(self.value) == 0:
            return _with_error(float(self.value), float(self.stderr), sign)
        flat = [_with_error(v, s, sign) for v, s in zip(np.ravel(self.value), np.ravel(self.stderr))]
        return "[" + ", ".join(flat) + "]"


def _with_error(value: float, stderr: float, sign: str) -> str:
    """Both numbers down to the second significant digit of the error: more would be noise."""
    if not stderr > 0:
        return f"{value:.6g} {sign} 0"
    decimals = 1 - int(np.floor(np.log10(float(f"{stderr:.1e}"))))  # of the rounded error: 0.0999 is 0.10
    if decimals > 12 or decimals < -6:
        return f"{value:.8g} {sign} {stderr:.1e}"
    rounded = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:.{max(decimals, 0)}f} {sign} {round(stderr, decimals):.{max(decimals, 0)}f}"


def estimate(
    J: Expectation,
    at: Mapping | None = None,
    *,
    samples: int,
    rng=None,
    functions: Mapping | None = None,
) -> Estimate:
    r"""Estimate an expectation by Monte Carlo.

    Args:
        J: an expectation; to estimate a gradient, what an estimator returned.
        at: the value of every parameter, ``{symbol: number}``.
        samples: the number of draws, at least 2.
        rng: a seed (whole number, at least 0), a :class:`numpy.random.Generator`, or
            ``None`` for a fresh seed from the operating system. The same seed gives the
            same bits; a Generator moves on from call to call.
        functions: for each undefined function in the integrand a callable that maps
            arrays of shape ``(m,)`` to an array of shape ``(m,)``; derivatives are given
            under keys such as ``F(x).diff(x)``.

    Returns:
        An :class:`Estimate`, scalar or of shape ``(d,)`` as J is.

    Raises:
        ValueError: for missing, unknown or inadmissible parameters, fewer than 2 samples,
            or a black box that returns a wrong shape.
        TypeError: for a number of samples that is no whole number.
        FloatingPointError: if the integrand is not finite in some draws; the message
            says in how many, and at which x first.
        UnsoundEstimator: if the derivative of a black box is needed and not given.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> J = gl.Expectation(sp.cos(2 * Normal("X", mu, sigma)))
        >>> gl.estimate(gl.pathwise(J, mu), {mu: 0.3, sigma: 1.2}, samples=100_000, rng=0)
        -0.0662 ± 0.0045 (n = 100,000)
        >>> gl.estimate(gl.score_function(J, mu), {mu: 0.3, sigma: 1.2}, samples=100_000, rng=0)
        -0.0634 ± 0.0019 (n = 100,000)

    References:
        Mohamed, Rosca, Figurnov and Mnih (2020), *Monte Carlo gradient estimation in
        machine learning*.
    """
    samples = _count(samples)
    bound = bind(J, at, functions)
    kernel = _compile(bound)
    samplers = [_sampler(each, numbers, bound.at) for each, numbers in zip(bound.laws, bound.numbers, strict=True)]
    parameters = list(bound.at.values())
    names = [str(each.variable) for each in bound.laws]

    def block(stream: np.random.Generator, size: int):
        draws = [draw(stream, size) for draw in samplers]
        values = np.empty((size, len(bound.components)))
        with np.errstate(all="ignore"):  # what is not finite is counted and reported
            for i, component in enumerate(kernel(*draws, *parameters)):
                if np.iscomplexobj(component):
                    raise ValueError(f"the integrand {bound.components[i]} is complex: estimate its real and imaginary parts")
                values[:, i] = component
        return values, lambda i: ", ".join(f"{name} = {x[i]:.6g}" for name, x in zip(names, draws))

    mean, stderr = _average(block, samples, _stream(rng))
    return Estimate(mean, stderr, samples) if J.is_vector else Estimate(float(mean[0]), float(stderr[0]), samples)


def monte_carlo(draw: Callable[[np.random.Generator, int], np.ndarray], samples: int, rng=None) -> Estimate:
    r"""Average any function of random draws: the engine under :func:`estimate`.

    Args:
        draw: ``draw(rng, size)`` returns an array of shape ``(size, ...)`` of independent
            draws whose mean is wanted. It must take all its randomness from ``rng``, and
            may run in several threads at once.
        samples: the number of draws, at least 2.
        rng: as in :func:`estimate`.

    Returns:
        An :class:`Estimate` of shape ``(...)``.

    Raises:
        ValueError: fewer than 2 samples, or a wrong shape from ``draw``.
        FloatingPointError: if values are not finite.

    Examples:
        >>> import gradlib as gl
        >>> gl.monte_carlo(lambda rng, size: rng.random(size), 10_000, rng=0)
        0.4976 ± 0.0029 (n = 10,000)
    """
    samples = _count(samples)
    shapes: set[tuple[int, ...]] = set()

    def block(stream: np.random.Generator, size: int):
        values = np.asarray(draw(stream, size))
        if values.ndim == 0 or values.shape[0] != size:
            raise ValueError(f"draw(rng, {size}) must return an array of shape ({size}, ...), got shape {values.shape}")
        if not (np.issubdtype(values.dtype, np.number) or values.dtype == bool) or np.iscomplexobj(values):
            raise ValueError(f"draw must return real numbers, got dtype {values.dtype}")
        shapes.add(values.shape[1:])
        if len(shapes) > 1:
            raise ValueError(f"draw must return rows of one shape, got {sorted(shapes)}")
        return values.reshape(size, -1).astype(float, copy=False), lambda i: f"draw {i} of a block"

    mean, stderr = _average(block, samples, _stream(rng))
    (shape,) = shapes
    if not shape:
        return Estimate(float(mean[0]), float(stderr[0]), samples)
    return Estimate(mean.reshape(shape), stderr.reshape(shape), samples)


# --- blocks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moments:
    """Count, mean and sum of squared deviations of a set of rows; and what was not finite."""

    count: int
    mean: np.ndarray
    squares: np.ndarray
    bad: int = 0
    first_bad: str = ""

    def merge(self, other: _Moments) -> _Moments:
        """Chan's update: no difference of large numbers, so nothing cancels."""
        count = self.count + other.count
        delta = other.mean - self.mean
        return _Moments(
            count,
            self.mean + delta * (other.count / count),
            self.squares + other.squares + delta**2 * (self.count * other.count / count),
            self.bad + other.bad,
            self.first_bad or other.first_bad,
        )


def _average(block: Callable, samples: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sizes = [BLOCK] * (samples // BLOCK) + ([samples % BLOCK] if samples % BLOCK else [])

    def one(generator: np.random.Generator, size: int) -> _Moments:
        values, where = block(generator, size)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            return _Moments(size, np.zeros(values.shape[1]), np.zeros(values.shape[1]), int((~finite).sum()), where(first))
        mean = values.mean(axis=0)
        return _Moments(size, mean, ((values - mean) ** 2).sum(axis=0))

    total: _Moments | None = None
    workers = os.cpu_count() or 1
    wave = 8 * workers  # blocks in flight: bounds the memory
    if len(sizes) == 1:
        total = one(stream.spawn(1)[0], sizes[0])
    else:
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(sizes), wave):
                part = sizes[start : start + wave]
                for moments in pool.map(one, stream.spawn(len(part)), part):
                    total = moments if total is None else total.merge(moments)
    if total.bad:
        raise FloatingPointError(
            f"the integrand is not finite in {total.bad:,} of {samples:,} draws, first at {total.first_bad}. "
            "Nothing was averaged: mend the integrand there, or restrict the support"
        )
    return total.mean, np.sqrt(total.squares / (samples - 1) / samples)


def _count(samples) -> int:
    if isinstance(samples, (bool, np.bool_)):
        raise TypeError("samples must be a whole number, got a truth value")
    try:
        samples = operator.index(samples)
    except TypeError:
        hint = f": write samples={int(samples):_}" if isinstance(samples, float) and samples.is_integer() else ""
        raise TypeError(f"samples must be a whole number, got {samples!r}{hint}") from None
    if samples < 2:
        raise ValueError(f"samples must be at least 2, or there is no standard error; got {samples}")
    return samples


def _stream(rng) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if rng is not None and rng < 0:
            raise ValueError(f"rng: a seed is a whole number >= 0, got {rng}")
        return np.random.default_rng(rng)
    raise TypeError(f"rng takes a seed, a numpy.random.Generator or None, got {rng!r}")


# --- kernels ----------------------------------------------------------------------------


class _KernelPrinter(SciPyPrinter):
    """SciPy's printer with small integer powers as products: NumPy's ``**`` is slow for 3 and up."""

    def _print_Pow(self, expr, rational=False):
        if expr.exp.is_Integer and 2 <= expr.exp <= 12 and expr.base.is_Symbol:
            return "(" + "*".join([self._print(expr.base)] * int(expr.exp)) + ")"
        return super()._print_Pow(expr, rational)


def _compile(bound: Binding) -> Callable:
    """One kernel for all components: ``kernel(*draws, *parameters)``, a list of arrays."""
    modules: dict[str, Callable] = {name: _checked(name, f) for name, f in bound.functions.items()}

    def call_velocity(node: Velocity) -> sp.Expr:
        name = f"velocity_{node.family}_{node.index}"
        modules[name] = implicit.velocity(node.family, node.index)
        return sp.Function(name)(node.at, *node.parameters)

    components = [
        component.replace(lambda e: isinstance(e, Velocity), call_velocity) for component in bound.components
    ]
    arguments = [each.symbol for each in bound.laws] + list(bound.at)
    if modules:
        return _lambdify(arguments, components, [modules, "scipy", "numpy"])
    return _cached_kernel(tuple(arguments), tuple(components))


@lru_cache(maxsize=256)
def _cached_kernel(arguments: tuple, components: tuple) -> Callable:
    return _lambdify(list(arguments), list(components), ["scipy", "numpy"])


def _lambdify(arguments, components, modules) -> Callable:
    printer = _KernelPrinter({"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True})
    # Dummies instead of the user's names, which may be lambda, None or exp.
    dummies = {argument: sp.Dummy() for argument in arguments}
    components = [component.xreplace(dummies) for component in components]
    return sp.lambdify(list(dummies.values()), components, modules=modules, printer=printer, cse=True)


def _checked(name: str, f: Callable) -> Callable:
    def box(*arguments):
        size = np.broadcast_shapes(*(np.shape(a) for a in arguments))
        values = np.asarray(f(*map(_read_only, arguments)))
        if values.shape != size:
            raise ValueError(
                f"the black box {name.rstrip('_')} must map arrays of shape {size} to an array of shape {size}, got {values.shape}"
            )
        if values.dtype.kind not in "biuf":
            raise ValueError(f"the black box {name.rstrip('_')} must return real numbers, got dtype {values.dtype}")
        return values

    return box


def _read_only(array) -> np.ndarray:
    """A view that a black box cannot write to: the draws are shared with the rest of the integrand."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _sampler(each: Law, numbers: tuple[float, ...], at: Mapping) -> Callable:
    """``draw(rng, size)``: the base law's draws, moved along the path.

    A finite table's values may hold parameters, so it needs ``at`` as well.
    """
    if each.is_finite and each.family is None:
        values = np.array([float(k.xreplace(at)) for k in each.table])
        edges = np.cumsum(numbers)[:-1]
        return lambda rng, size: values[np.searchsorted(edges, rng.random(size), side="right")]
    family = each.family
    if family.path is None:
        return lambda rng, size: np.asarray(family.draw(rng, size, *numbers), float)
    shape = [numbers[i] for i in family.shape]
    path = _path(type(each.distribution))
    return lambda rng, size: path(family.draw(rng, size, *shape), *numbers)


@lru_cache(maxsize=None)
def _path(cls: type) -> Callable:
    """The map g of a family, compiled: draws and path derivatives come from the same expression."""
    family = FAMILIES[cls]
    eps, parameters = sp.Symbol("eps"), sp.symbols(f"p:{len(family.parameters)}")
    return sp.lambdify([eps, *parameters], family.path(eps, *parameters), "numpy")
