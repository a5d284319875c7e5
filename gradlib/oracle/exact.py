r"""The oracle: expectations and variances by quadrature and enumeration.

It shares no code path with ``gradlib.engine``, which runs on random draws: an error
would have to be made twice, in two different ways, to go unseen. Kernels are printed
from the density, for :mod:`mpmath` and for NumPy. A tame integrand is integrated in
double precision, and mpmath says at points of every panel whether NumPy and SciPy
compute the integrand right; all else runs in mpmath, one point at a time.

A continuous variable is integrated by tanh-sinh quadrature, split at quantiles (so
that the mass is found wherever it lies) and at the kinks of the integrand. A discrete
variable is summed. Products of functions of different variables are integrated one
variable at a time.

Where an integral diverges, the answer is an error and not a number. Near each end and
each kink the integrand behaves like a power, :math:`|f(t)| \sim t^a`; the exponent is
measured there, and decides.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from itertools import accumulate

import mpmath as mp
import numpy as np
import sympy as sp

from gradlib.core.binding import Binding, bind
from gradlib.core.density import Slope
from gradlib.core.errors import DivergentExpectation, QuadratureError
from gradlib.core.expectation import Expectation
from gradlib.core.families import FAMILIES
from gradlib.core.formula import landmarks, require_no_gap, spread
from gradlib.core.function import function_of
from gradlib.core.law import BY_NAME, Law, Velocity
from gradlib.oracle.line import (
    TOLERANCE,
    _alternating_tail,
    _integral,
    _kinks,
    _mpf,
    _name,
    _oscillating,
    _panels,
    _sum,
)


def exact(J: Expectation, at: Mapping | None = None, *, functions: Mapping | None = None) -> float | np.ndarray:
    r"""The value of an expectation, by quadrature or enumeration.

    .. math:: J = \int F(x)\, p(x)\, dx \quad\text{or}\quad \sum_x F(x)\, p(x)

    Args:
        J: an expectation.
        at: the value of every parameter, ``{symbol: number}``.
        functions: for undefined functions in the integrand, callables on NumPy arrays,
            as in :func:`gradlib.estimate`.

    Returns:
        A float, or an array of shape ``(d,)`` for a vector-valued expectation. The
        relative error of each one-dimensional integral is estimated to be below 1e-11; where two
        variables do not separate, the error is below 1e-8.

    Raises:
        DivergentExpectation: if the integral diverges.
        QuadratureError: if the tolerance is not reached.
        ValueError: for missing, unknown or inadmissible parameters.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal, Cauchy
        >>> mu = sp.Symbol("mu", real=True)
        >>> X = Normal("X", mu, 1)
        >>> round(gl.exact(gl.Expectation(X**2), {mu: 2}), 9)
        5.0
        >>> gl.exact(gl.Expectation(Cauchy("X", 0, 1)))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.core.errors.DivergentExpectation: the expectation of X diverges: ...

    References:
        Takahasi and Mori (1974), *Double exponential formulas for numerical integration*.
    """
    oracle = _Oracle(bind(J, at, functions))
    return _shaped(J, [oracle.mean(component) for component in oracle.components])


def variance(J: Expectation, at: Mapping | None = None, *, functions: Mapping | None = None) -> float | np.ndarray:
    r"""The exact variance of one draw of the integrand.

    .. math:: \operatorname{Var}[F(x)] = \mathbb{E}[(F(x) - \mathbb{E}[F])^2]

    The variance of an average of n independent draws is this, divided by n.

    Args:
        J: an expectation.
        at: the value of every parameter.
        functions: as in :func:`exact`.

    Returns:
        A float, or an array of shape ``(d,)`` with the variance of each component.

    Raises:
        DivergentExpectation: if the variance is infinite.
        QuadratureError: if the tolerance is not reached.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> J = gl.Expectation(Normal("X", mu, 1) ** 2)
        >>> round(gl.variance(gl.score_function(J, mu), {mu: 1}), 9)
        30.0
        >>> round(gl.variance(gl.pathwise(J, mu), {mu: 1}), 9)
        4.0
    """
    oracle = _Oracle(bind(J, at, functions))
    return _shaped(J, [oracle.variance(component, oracle.mean(component)) for component in oracle.components])


def moments(J: Expectation, at: Mapping | None = None) -> tuple[float, float]:
    """Mean and variance of a scalar expectation: infinite where the variance diverges, NaN where nothing is certain."""
    oracle = _Oracle(bind(J, at, None))
    (component,) = oracle.components
    found = [np.nan, np.nan]
    try:
        mean = oracle.mean(component)
        found[0] = float(mean)
        found[1] = float(oracle.variance(component, mean))
    except DivergentExpectation:
        found[1] = np.inf
    except QuadratureError:
        pass
    return found[0], found[1]


def _shaped(J: Expectation, values: list) -> float | np.ndarray:
    numbers = [float(v) for v in values]
    if not np.all(np.isfinite(numbers)):
        raise OverflowError(
            f"the result, {mp.nstr(max(values, key=abs), 5)}, is larger than a floating-point number can be"
        )
    return np.array(numbers) if J.is_vector else numbers[0]


class _Oracle:
    """Expectations of expressions in the plain symbols of one bound expectation."""

    def __init__(self, bound: Binding):
        self.laws = {law.symbol: law for law in bound.laws}
        self.values = {symbol: sp.Float(value, 30) for symbol, value in bound.at.items()}
        self.components = [component.xreplace(self.values) for component in bound.components]
        for component in self.components:
            if component.has(sp.zoo, sp.nan):
                raise FloatingPointError(f"the integrand is not finite at these parameters: it is {component}")
        self.modules = [{"velocity": velocity, **_black_boxes(bound)}, "mpmath"]
        self.has_black_box = bool(bound.functions)
        # A cache of this oracle's own, which goes with it: one on the class would keep every oracle alive.
        self._mean_in = cache(self._mean_in)

    def mean(self, expression: sp.Expr) -> mp.mpf:
        """E[expression], one variable at a time where it factorizes."""
        names = [x for x in self.laws if expression.has(x)]
        if not names:
            return _number(expression)
        if len(names) == 1:
            return self._mean_in(*self._first_copy(names[0], expression))
        # A discrete variable is summed symbolically where its table is finite: the rest then simplifies.
        for x in names:
            if self.laws[x].is_finite:
                table = self._probabilities(x)
                return mp.fsum(probability * self.mean(expression.subs(x, value)) for value, probability in table)
        if _tied(expression, names) > 2:
            return self._nested(names, expression)
        total = mp.mpf(0)
        for term in sp.Add.make_args(sp.expand(expression)):
            groups = _independent_factors(term, names)
            if groups is None:
                return self._nested(names, expression)
            product = mp.mpf(1)
            for x, factor in groups:
                product *= self._mean_in(*self._first_copy(x, factor)) if x is not None else _number(factor)
            total += product
        return total

    def variance(self, component: sp.Expr, mean: mp.mpf) -> mp.mpf:
        """Around the mean, so that no digits cancel."""
        try:
            return self.mean((component - sp.Float(mean, 30)) ** 2)
        except DivergentExpectation as error:
            raise DivergentExpectation(f"the variance is infinite: {error}") from None

    def _first_copy(self, x: sp.Symbol, expression: sp.Expr) -> tuple[sp.Symbol, sp.Expr]:
        """Independent copies have the same means: they are computed once."""
        first = next(y for y, law in self.laws.items() if law.distribution == self.laws[x].distribution)
        return first, expression.xreplace({x: first})

    def _kernel(self, arguments: list[sp.Symbol], expression: sp.Expr) -> Callable:
        return function_of(arguments, expression, self.modules)

    def _arrays(self, names: list[sp.Symbol], integrand: sp.Expr, probe: tuple[float, ...]) -> Callable | None:
        """The integrand on arrays, in double precision. ``None`` where SciPy has no name for it or not at the probe."""
        if self.has_black_box or integrand.has(Velocity):
            return None

        def values(*arrays: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                return f(*arrays) + np.zeros(np.broadcast_shapes(*map(np.shape, arrays)))  # constants too

        try:
            f = function_of(names, integrand, "scipy")
            # Twice the point: what takes one number only does not take arrays.
            return values if np.isfinite(values(*(np.full(2, x) for x in probe))).all() else None
        except (NameError, TypeError, NotImplementedError, ValueError):
            return None

    def _probabilities(self, x: sp.Symbol):
        table = self.laws[x].at(self.values).table
        return [(value, _number(probability)) for value, probability in table.items()]

    def _mean_in(self, x: sp.Symbol, expression: sp.Expr) -> mp.mpf:
        law = self.laws[x]
        f = self._kernel([x], expression)
        if law.is_finite:
            return mp.fsum(probability * f(mp.mpf(value)) for value, probability in self._probabilities(x))
        density = self._kernel([x], law.density.xreplace(self.values))
        if law.is_discrete:
            return _sum(f, density, law, _name(expression))
        quantiles = self._quantiles(law)
        pdf = self._without_far_tail(law, density, quantiles)
        lower, upper = (_mpf(edge.xreplace(self.values)) for edge in (law.support.inf, law.support.sup))
        whole_line = lower == -mp.inf and upper == mp.inf
        if whole_line and expression.has(sp.sin, sp.cos) and _falls_like_a_power(pdf):
            pieces = _oscillating(expression, x)
            if len(pieces) > 1:
                return mp.fsum(self._mean_in(x, piece) for piece, _ in pieces)
            if pieces[0][1] is not None:
                return self._oscillating_mean(law, f, pdf, mp.mpf(pieces[0][1]), _name(expression))
        kinks = _kinks(expression, x, quantiles, lower, upper) + _kinks(
            law.density.xreplace(self.values), x, quantiles, lower, upper
        )
        arrays = self._arrays(
            [x], expression * law.density.xreplace(self.values), (float(quantiles[len(quantiles) // 2]),)
        )
        return _integral(
            lambda t: f(t) * pdf(t), lower, upper, quantiles, kinks, _name(expression), not self.has_black_box, arrays
        )

    def _without_far_tail(self, law: Law, density, quantiles) -> Callable:
        """The density, where its logarithm is not below −10^1000: mpmath chokes on Gumbel's exp(−exp(10^20))."""
        if not law.log_density.has(sp.exp):
            return density
        log_density = self._kernel([law.symbol], law.log_density.xreplace(self.values))
        limit = -(mp.mpf(10) ** 1000)

        def pdf(t):
            far = not quantiles[0] <= t <= quantiles[-1]
            return mp.mpf(0) if far and log_density(t) < limit else density(t)

        return pdf

    def _oscillating_mean(self, law: Law, f, pdf, frequency: mp.mpf, name: str) -> mp.mpf:
        """A single sine or cosine under a density with algebraic tails."""
        low, *_, high = self._quantiles(law, tails=(0.01, 0.5))
        h = lambda t: f(t) * pdf(t)  # noqa: E731
        with mp.workdps(20):
            half_period = mp.pi / abs(frequency)
            body, error = mp.quad(h, mp.linspace(low, high, int((high - low) / half_period / 2) + 8), error=True)
            above, error_above = _alternating_tail(h, high, half_period)
            below, error_below = _alternating_tail(lambda t: h(-t), -low, half_period)
        if error + error_above + error_below > TOLERANCE:
            raise QuadratureError(f"the quadrature of {name} did not reach a relative error of {TOLERANCE:g}")
        return body + above + below

    def _quantiles(self, law: Law, tails=(1e-60, 1e-12, 1e-4, 0.05, 0.5)) -> list[mp.mpf]:
        numbers = [float(sp.sympify(p).xreplace(self.values)) for p in law.parameters]
        return [mp.mpf(q) for q in law.spread(numbers, tails)]

    def _nested(self, names: list[sp.Symbol], expression: sp.Expr) -> mp.mpf:
        """E over several variables that do not separate: the first outside, the rest inside.

        Fixed Gauss–Legendre panels between quantiles; the error is judged against a rule
        with fewer points.
        """
        if len(names) > 2 or any(self.laws[x].is_discrete for x in names):
            outer, *inner = sorted(names, key=lambda x: not self.laws[x].is_discrete)
            if not self.laws[outer].is_discrete:
                raise QuadratureError(
                    f"{_name(expression)} ties {len(names)} continuous variables together: the oracle integrates at "
                    "most two. Write it as a sum of products, or estimate it"
                )
            pdf = self._kernel([outer], self.laws[outer].density.xreplace(self.values))
            return _sum(lambda k: self.mean(expression.subs(outer, int(k))), pdf, self.laws[outer], _name(expression))
        integrand = expression * (self.laws[names[0]].density * self.laws[names[1]].density).xreplace(self.values)
        f = self._arrays(names, integrand, (0.3, 0.4))
        g = self._kernel(names, integrand)
        results = []
        for order in (20, 24):
            (x, wx), (y, wy) = (
                _panels(self._quantiles(self.laws[name], (1e-17, 1e-6, 0.02, 0.5)), order) for name in names
            )
            values = (
                f(x[:, None], y[None, :]) if f else np.array([[float(g(mp.mpf(a), mp.mpf(b))) for b in y] for a in x])
            )
            results.append(mp.mpf(float(wx @ values @ wy)))
        if abs(results[1] - results[0]) > 1e-8 * max(1, abs(results[1])):
            raise QuadratureError(
                f"the two-dimensional quadrature of {_name(expression)} did not converge "
                f"({mp.nstr(results[0], 8)} against {mp.nstr(results[1], 8)}): it may diverge, oscillate or have a kink"
            )
        return results[1]


def _falls_like_a_power(pdf: Callable) -> bool:
    """Whether the density is like a power of x far out: there an oscillating integrand needs a rule of its own."""
    with mp.workdps(20):
        near, far = pdf(mp.mpf(10) ** 10), pdf(mp.mpf(10) ** 12)
        return bool(near and far) and mp.log(far / near) / mp.log(100) > -1000


def _number(expression: sp.Expr) -> mp.mpf:
    """An expression without variables, such as sqrt(2/pi)."""
    return mp.mpf(expression if expression.is_Float or expression.is_Integer else expression.evalf(30))


def _tied(e: sp.Expr, names: list[sp.Symbol]) -> int:
    """How many variables the largest part holds that no expansion can take apart: to expand in vain takes long."""
    if e.is_Add or e.is_Mul or e.is_Pow and e.exp.is_Integer and e.exp > 0:
        return max(_tied(part, names) for part in (e.args[:1] if e.is_Pow else e.args))
    if isinstance(e, sp.exp):
        return max(sum(part.has(x) for x in names) for part in sp.Add.make_args(sp.expand(e.args[0])))
    return sum(e.has(x) for x in names)


def _independent_factors(term: sp.Expr, names: list[sp.Symbol]):
    """[(variable or None, factor)], or ``None`` if a factor ties two variables together."""
    groups: dict = {}
    for factor in sp.Mul.make_args(sp.expand_power_base(sp.powsimp(term, deep=False), force=True)):
        inside = [x for x in names if factor.has(x)]
        if len(inside) > 1:
            return None
        key = inside[0] if inside else None
        groups[key] = groups.get(key, sp.S.One) * factor
    return list(groups.items())


def _black_boxes(bound: Binding) -> dict:
    """Black boxes are NumPy functions: call them on arrays of one element."""

    def box(name: str, f: Callable) -> Callable:
        def call(*arguments):
            values = np.asarray(f(*(np.array([float(a)]) for a in arguments)))
            where = ", ".join(mp.nstr(a, 6) for a in arguments)
            if values.shape != (1,):
                raise ValueError(
                    f"the black box {name.rstrip('_')} must map arrays of shape (1,) to an array of shape (1,), got "
                    f"{values.shape}"
                )
            if values.dtype.kind not in "biuf":
                raise ValueError(f"the black box {name.rstrip('_')} must return real numbers, got dtype {values.dtype}")
            if not np.isfinite(values[0]):
                raise FloatingPointError(f"the black box {name.rstrip('_')} is not finite at {where}")
            return mp.mpf(float(values[0]))

        return call

    return {name: box(name, f) for name, f in bound.functions.items()}


@lru_cache(maxsize=None)
def velocity(family: str, index: int) -> Callable:
    """−∂_θ P(x) / p(x), with mpmath's own distribution function differentiated numerically."""
    if family not in BY_NAME:
        return _velocity_of_formula(family, index)
    cls = BY_NAME[family]
    row = FAMILIES[cls]

    @lru_cache(maxsize=2**14)  # mean and variance share their nodes
    def at(x, *parameters):
        with mp.workdps(40):
            pdf = _pdf(cls)(x, *parameters)
            # On the right the complement keeps its digits; it falls where the distribution function rises.
            right = row.survival is not None and row.cdf(x, *parameters) > 0.5
            mass, sign = (row.survival, 1) if right else (row.cdf, -1)
            slope = mp.diff(
                lambda theta: mass(x, *parameters[:index], theta, *parameters[index + 1 :]), parameters[index]
            )
            return sign * slope / pdf if pdf else mp.mpf(0)

    return at


@lru_cache(maxsize=None)
def _velocity_of_formula(key: str, index: int) -> Callable:
    """∓∫ ∂_θ p / p(x) from the end of the support on x's side, in double precision by QUADPACK's adaptive rule."""
    from scipy.integrate import quad  # slow to import, and needed by such laws only

    family = Slope.of(key, index)

    @lru_cache(maxsize=64)
    def prepared(*parameters):
        formula, slope = family.at(parameters)
        require_no_gap(formula)
        f = formula.compile_scalar(slope)
        middle = spread(formula, (0.5,))[0]

        def integral(low: float, high: float) -> float:
            """By the logarithm of the distance to a finite end, where a pole may be."""
            if not low < high:
                return 0.0
            end, side = (formula.lower, 1) if low < middle else (formula.upper, -1)
            h, a, b = f, low, high
            if np.isfinite(end):
                h = lambda t: f(end + side * math.exp(t)) * math.exp(t)  # noqa: E731
                a, b = sorted(math.log(abs(x - end)) if x != end else -math.inf for x in (low, high))
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # far out nothing is left of the integrand, and the rule says so
                return quad(h, a, b, epsabs=0, epsrel=1e-13, limit=200)[0]

        # Breaks where the mass lies, or an adaptive rule may step over it.
        breaks = {
            *landmarks(formula),
            *spread(formula, (1e-30, 1e-12, 1e-6, 1e-2, 0.2)),
            middle,
            formula.lower,
            formula.upper,
        }
        breaks = sorted(point for point in breaks if formula.lower <= point <= formula.upper)
        parts = [integral(low, high) for low, high in zip(breaks, breaks[1:])]
        below = [0.0, *accumulate(parts)]
        above = [*reversed([*accumulate(reversed(parts))]), 0.0]
        return function_of([formula.symbol], formula.expression, "mpmath"), integral, breaks, below, above, middle

    @lru_cache(maxsize=2**14)  # mean and variance share their nodes
    def at(x, *parameters):
        p, integral, breaks, below, above, middle = prepared(*parameters)
        here = float(x)
        i = min(max(bisect_right(breaks, here) - 1, 0), len(breaks) - 2)
        if here < middle:
            total = -mp.mpf(below[i] + integral(breaks[i], here))
        else:
            total = mp.mpf(above[i + 1] + integral(here, breaks[i + 1]))
        return total / p(x) if total else total

    return at


@lru_cache(maxsize=None)
def _pdf(cls: type):
    arguments = [sp.Dummy(name) for name in cls._argnames]
    x = sp.Dummy("x")
    return function_of([x, *arguments], cls(*arguments).pdf(x), "mpmath")
