r"""The oracle: expectations and variances by quadrature and enumeration, each with a bound of its error.

It shares no code path with ``gradlib.engine``, which runs on random draws: an error would have to be made twice, in two
different ways, to go unseen. One exception: where no number of digits is enough, the expression is tried once more in
the form that ``gradlib.core.stable`` gives it, which the engine uses as well.

A continuous variable is integrated in ball arithmetic (:mod:`gradlib.oracle.enclosure`), variables that do not separate
one inside the other; a discrete variable is summed. Sums and products of functions of different variables are taken
apart first, and a sum of variables whose law is known is one variable (``gradlib/oracle/sums.py``). A number is computed
with more digits until its ball is narrow: where parts cancel, that is seen.

What has no meaning on balls (a black box, a velocity that is itself a numerical derivative) is integrated by tanh-sinh
quadrature in :mod:`mpmath`, whose error is estimated (``gradlib.oracle.line``).

Where an integral diverges, the answer is an error and not a number.
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
from flint import acb, arb, ctx

from gradlib.core.ball import NoBall, exactly, function_on_balls
from gradlib.core.binding import Binding, bind
from gradlib.core.density import Slope
from gradlib.core.errors import DivergentExpectation, QuadratureError, brief
from gradlib.core.expectation import Expectation
from gradlib.core.families import FAMILIES
from gradlib.core.formula import landmarks, require_no_gap, spread
from gradlib.core.function import function_of
from gradlib.core.law import BY_NAME, Law
from gradlib.core.stable import stable
from gradlib.oracle.enclosure import NARROW, Unclear, enclose
from gradlib.oracle.line import TOLERANCE, _alternating_tail, _integral, _kinks, _mpf, _oscillating, _panels, _sum
from gradlib.oracle.region import Range, integral_over
from gradlib.oracle.sums import with_sums
from gradlib.sound.existence import require_existence, require_objective

DIGITS = 400  # of numbers, so that nothing is lost where SymPy computes with them: 1e-37 − 1, say
CANCELS = 2.0**-200  # the size of what is expanded says nothing of the size of the sum
CONSTANT = 2.0**-560  # nor a constant that of a variance: that of an indicator may be as small as its probability
MOST = 20_000  # terms of an expansion, or values of discrete variables that are tied together
WHOLE = (1e-60, 1e-12, 1e-4, 0.05, 0.5)  # tails between whose quantiles nearly all of a law's mass lies


def exact(
    J: Expectation, at: Mapping | None = None, *, functions: Mapping | None = None, error: bool = False
) -> float | np.ndarray | tuple:
    r"""The value of an expectation, by quadrature or enumeration.

    .. math:: J = \int F(x)\, p(x)\, dx \quad\text{or}\quad \sum_x F(x)\, p(x)

    Args:
        J: an expectation.
        at: the value of every parameter, ``{symbol: number}``.
        functions: for undefined functions in the integrand, callables on NumPy arrays,
            as in :func:`gradlib.estimate`.
        error: whether the bound of the error is wanted as well.

    Returns:
        A float, or an array of shape ``(d,)`` for a vector-valued expectation. The relative error is below 1e-11.
        With ``error=True`` a pair: this, and a bound of its error. The bound is proved but for what lies beyond the
        place where the integrand has fallen to nothing, which is judged by how fast it falls; for black boxes and
        numerical velocities it is an estimate.

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
        >>> value, bound = gl.exact(gl.Expectation(X**2), {mu: 2}, error=True)
        >>> abs(value - 5) <= bound < 1e-11
        True
        >>> gl.exact(gl.Expectation(Cauchy("X", 0, 1)))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.core.errors.DivergentExpectation: the expectation of X diverges: ...

    References:
        Johansson (2018), *Numerical integration in arbitrary-precision ball arithmetic*; Takahasi and Mori (1974),
        *Double exponential formulas for numerical integration*.
    """
    oracle = _Oracle(J, bind(J, at, functions))
    found = [oracle.mean(component) for component in oracle.components]
    value = _shaped(J, found)
    # A float is another half unit in the last place away.
    return (value, _shaped(J, [ball.rad() + abs(ball.mid()) * 2.0**-53 for ball in found])) if error else value


def variance(J: Expectation, at: Mapping | None = None, *, functions: Mapping | None = None) -> float | np.ndarray:
    r"""The exact variance of one draw of the integrand.

    .. math:: \operatorname{Var}[F(x)] = \mathbb{E}[(F(x) - \mathbb{E}[F])^2]

    The variance of an average of n independent draws is this, divided by n.

    Args:
        J: an expectation.
        at: the value of every parameter.
        functions: as in :func:`exact`.

    Returns:
        A float, or an array of shape ``(d,)`` with the variance of each component. One below 1e-190 of the squared
        mean counts as 0: it may be a constant's.

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
    oracle = _Oracle(J, bind(J, at, functions))
    return _shaped(J, [oracle.variance(component, oracle.mean(component)) for component in oracle.components])


def moments(J: Expectation, at: Mapping | None = None) -> tuple[float, float]:
    """Mean and variance of a scalar expectation: infinite where the variance diverges, NaN where nothing is certain."""
    oracle = _Oracle(J, bind(J, at, None))
    (component,) = oracle.components
    found = [np.nan, np.nan]
    try:
        mean = oracle.mean(component)
        found[0] = float(mean.mid())
        found[1] = float(oracle.variance(component, mean).mid())
    except DivergentExpectation:
        found[1] = np.inf
    except QuadratureError:
        pass
    return found[0], found[1]


def _shaped(J: Expectation, values: list[arb]) -> float | np.ndarray:
    numbers = [float(value.mid()) for value in values]
    if not np.all(np.isfinite(numbers)):
        largest = values[int(np.argmax(np.abs(numbers)))]
        raise OverflowError(
            f"the result, {largest.str(5, radius=False)}, is larger than a floating-point number can be"
        )
    return np.array(numbers) if J.is_vector else numbers[0]


class _Oracle:
    """Expectations of expressions in the plain symbols of one bound expectation."""

    def __init__(self, J: Expectation, bound: Binding):
        require_objective(J, bound)
        self.require_existence = lambda: require_existence(J, bound)
        literals = {f: sp.Float(f, DIGITS) for e in bound.components for f in e.atoms(sp.Float)}
        literals |= {f: sp.Float(f, DIGITS) for law in bound.laws for f in law.distribution.atoms(sp.Float)}
        self.values = {symbol: sp.Float(value, DIGITS) for symbol, value in bound.at.items()}
        self.laws = {law.symbol: law.at(literals) for law in bound.laws}
        self.components = [component.xreplace(literals | self.values) for component in bound.components]
        for component in self.components:
            if component.has(sp.zoo, sp.nan):
                raise FloatingPointError(f"the integrand is not finite at these parameters: it is {brief(component)}")
        self.modules = [{"velocity": velocity, **_black_boxes(bound)}, "mpmath"]
        self.has_black_box = bool(bound.functions)
        # Caches of this oracle's own, which go with it: one on the class would keep every oracle alive.
        self._of_one = cache(self._of_one)
        self._nested = cache(self._nested)
        self._with_sums = cache(self._with_sums)
        self._line = cache(self._line)
        self._in_points = cache(self._in_points)

    def mean(self, expression: sp.Expr) -> arb:
        """E[expression], in a narrow ball."""
        return self._enclosed(self.ball, expression)

    def _enclosed(self, value: Callable[[sp.Expr, int], tuple[arb, arb]], expression: sp.Expr) -> arb:
        """More digits cure what cancels; where they do not, another form of the expression may."""
        try:
            return enclose(lambda goal: value(expression, goal), brief(expression))
        except QuadratureError:
            self.require_existence()  # it may be that there is nothing to be computed
            if (kept := stable(expression)) == expression:
                raise
        return enclose(lambda goal: value(kept, goal), brief(expression))

    def variance(self, component: sp.Expr, mean: arb) -> arb:
        """Around the mean, so that few digits cancel. Independent terms have independent variances."""
        try:
            groups = self._apart(component, sp.Add)
            if len(groups) > 1:
                return enclose(lambda goal: _total([self._variance(group, goal) for group in groups]), brief(component))
            return self._enclosed(self._variance, component)
        except DivergentExpectation as error:
            raise DivergentExpectation(f"the variance is infinite: {error}") from None

    def _variance(self, component: sp.Expr, goal: int) -> tuple[arb, arb]:
        mean, _ = self.ball(component, goal)
        if len(self._apart(component, sp.Mul)) > 1:
            square, size = self.ball(component**2, goal)
            return square - mean * mean, size * CANCELS  # arb's power of a ball around 0 is not finite
        center = _float(mean)  # near the mean, and a number
        value, size = self.ball((component - center) ** 2, goal)
        rest = mean - exactly(center)
        return value - rest * rest, size + mean * mean * CONSTANT  # what is constant has no size of its own

    def _names(self, expression: sp.Basic) -> list[sp.Symbol]:
        return [x for x in self.laws if expression.has(x)]

    def _apart(self, expression: sp.Expr, kind: type) -> list[sp.Expr]:
        """Terms or factors, put together where they share a variable."""
        groups: list[tuple[set, list]] = []
        for part in kind.make_args(expression):
            names, parts = set(self._names(part)), [part]
            apart = []
            for others, theirs in groups:
                if names & others or not names and not others:
                    names, parts = names | others, theirs + parts
                else:
                    apart.append((others, theirs))
            groups = [*apart, (names, parts)]
        return [kind(*parts) for _, parts in groups]

    def ball(self, expression: sp.Expr, goal: int) -> tuple[arb, arb]:
        """E[expression] at the present precision, and the size of its parts, one variable at a time if it can be."""
        names = self._names(expression)
        if not names:
            found = _number(expression)
            return found, abs(found)
        if len(names) == 1:
            return self._of_one(*self._first_copy(names[0], expression), ctx.prec, goal)
        if len(groups := self._apart(expression, sp.Add)) > 1:
            return _total([self.ball(group, goal) for group in groups])
        if len(groups := self._apart(expression, sp.Mul)) > 1:
            value, size = arb(1), arb(1)
            for group in groups:
                factor, part = self.ball(group, goal)
                value, size = value * factor, size * part
            return value, size
        if (terms := self._separated(expression, names)) is not None:
            try:
                value, size = _total([self._product(term, goal) for term in terms])
                return value, size * CANCELS
            except DivergentExpectation:
                if len(names) > 2:
                    raise
                # the sum may exist where its terms do not
        if (terms := self._with_sums(expression, tuple(names))) is not None:
            return _total([self.ball(term, goal) for term in terms])
        # A discrete variable is summed symbolically where its table is finite: the rest then simplifies.
        finite = [x for x in names if self.laws[x].is_finite]
        if finite:
            if (size := math.prod(len(self.laws[x].at(self.values).table) for x in finite)) > MOST:
                raise QuadratureError(
                    f"{brief(expression)} ties {len(finite)} variables together, which take {size:.2g} values: write it "
                    "as a sum of products, or estimate it"
                )
            return _total(
                [
                    (probability * value, abs(probability) * size)
                    for at, probability in self._probabilities(finite[0])
                    for value, size in [self.ball(expression.subs(finite[0], at), goal)]
                ]
            )
        if expression.is_Add:
            try:
                return _total([self.ball(term, goal) for term in expression.args])
            except DivergentExpectation:
                pass  # the sum may exist where its terms do not
        return self._nested(tuple(names), expression, ctx.prec, goal)

    def _product(self, term: sp.Expr, goal: int) -> tuple[arb, arb]:
        """E of a product of functions of one variable each."""
        parts = [self.ball(group, goal) for group in self._apart(term, sp.Mul)]
        value, size = (math.prod(numbers, start=arb(1)) for numbers in zip(*parts))
        return value, size

    def _separated(self, expression: sp.Expr, names: list[sp.Symbol]) -> list[sp.Expr] | None:
        """Terms that are products of functions of one variable each; ``None`` where there are none, or too many.

        What holds one variable is not taken apart, so that a product of fifty sums stays one term.
        """

        def split(e: sp.Expr) -> list[sp.Expr]:
            if sum(e.has(x) for x in names) < 2:
                return [e]
            if e.is_Add:  # what holds one and the same variable stays together
                alone = {x: sp.Add(*(a for a in e.args if self._names(a) == [x])) for x in names}
                rest = (a for a in e.args if len(self._names(a)) != 1)
                return few(sum(map(split, rest), [part for part in alone.values() if part != 0]))
            if e.is_Mul:
                found = [sp.S.One]
                for factor in sorted(map(split, e.args), key=len):
                    few([None] * (len(found) * len(factor)))
                    found = [a * b for a in found for b in factor]
                return found
            if isinstance(e, sp.exp):
                return [math.prod(map(sp.exp, split_sum(sp.expand(e.args[0]))), start=sp.S.One)]
            if e.is_Pow and e.exp.is_Integer and e.exp > 0:
                parts = split(e.base)
                few([None] * math.comb(len(parts) + int(e.exp) - 1, int(e.exp)))
                stand_ins = sp.symbols(f"a:{len(parts)}", cls=sp.Dummy)
                back = dict(zip(stand_ins, parts))
                return [term.xreplace(back) for term in sp.Add.make_args(sp.expand(sp.Add(*stand_ins) ** e.exp))]
            if e.is_Pow and (apart := sp.expand_power_base(e, force=True)) != e:
                return split(apart)
            raise _Tied

        def split_sum(e: sp.Expr) -> list[sp.Expr]:
            if any(sum(part.has(x) for x in names) > 1 for part in sp.Add.make_args(e)):
                raise _Tied
            return list(sp.Add.make_args(e))

        def few(terms: list) -> list:
            if len(terms) > MOST:
                raise _Tied
            return terms

        try:
            return split(expression)
        except _Tied:
            return None

    def _with_sums(self, expression: sp.Expr, names: tuple[sp.Symbol, ...]) -> list[sp.Expr] | None:
        """Terms with one variable in place of several that they hold in one sum only; ``None`` where there are none."""
        found = with_sums(expression, {x: self.laws[x].at(self.values) for x in names})
        if found is None:
            return None
        self.laws |= {law.symbol: law for _, law in found if law is not None}
        return [term for term, _ in found]

    def _first_copy(self, x: sp.Symbol, expression: sp.Expr) -> tuple[sp.Symbol, sp.Expr]:
        """Independent copies have the same means: they are computed once."""
        first = next(y for y, law in self.laws.items() if law.distribution == self.laws[x].distribution)
        return first, expression.xreplace({x: first})

    def _kernel(self, arguments: list[sp.Symbol], expression: sp.Expr) -> Callable:
        return function_of(arguments, expression, self.modules)

    def _on_balls(self, arguments: list[sp.Symbol], expression: sp.Expr) -> Callable:
        """On real balls; by mpmath, in a ball of no width, where Arb has no meaning of it."""
        try:
            f = function_on_balls(arguments, expression)
            return lambda *x: _real(f(*x, False), expression)
        except NoBall:
            g = self._kernel(arguments, expression)
            return lambda *x: _of_mpmath(g(*(_to_mpmath(a) for a in x)), expression)

    def _probabilities(self, x: sp.Symbol) -> list[tuple[sp.Expr, arb]]:
        table = self.laws[x].at(self.values).table
        return [(value, _number(probability)) for value, probability in table.items()]

    def _density(self, x: sp.Symbol) -> sp.Expr:
        return self.laws[x].density.xreplace(self.values)

    def _of_one(self, x: sp.Symbol, expression: sp.Expr, bits: int, goal: int) -> tuple[arb, arb]:
        """E of a function of one variable; the precision is an argument for the cache."""
        law = self.laws[x]
        if law.is_finite:
            f = self._on_balls([x], expression)
            parts = [probability * f(acb(_number(value))) for value, probability in self._probabilities(x)]
            return sum(parts, arb(0)), sum(map(abs, parts), arb(0))
        if law.is_discrete:
            lower, upper = _mpf(law.support.inf), _mpf(law.support.sup)
            jumps = _kinks(expression, x, self._quantiles(law), lower, upper)
            term = self._on_balls([x], expression * self._density(x))
            return _sum(term, law, brief(expression), float(max(jumps, default=0)))
        if line := self._line((x,), expression):
            value, size = line.total(goal=goal)
            return _real(value, expression), size
        value, error, size = (_of_mpmath(number, expression) for number in self._in_points(x, expression))
        return arb(value, error), size

    def _line(self, names: tuple[sp.Symbol, ...], expression: sp.Expr):
        """The integral in ball arithmetic, for every precision; ``None`` where there is none."""
        if self._needs_waves(names, expression):
            return None
        integrand = sp.Mul(expression, *map(self._density, names))
        try:
            return integral_over([self._range(x) for x in names], integrand, brief(expression))
        except NoBall:
            return None

    def _range(self, x: sp.Symbol) -> Range:
        law = self.laws[x]
        ends = (end.xreplace(self.values) for end in (law.support.inf, law.support.sup))
        bulk, whole = (tuple(float(q) for q in self._quantiles(law, tails)) for tails in ((0.05, 0.5), WHOLE))
        return Range(x, *ends, bulk, whole)

    def _needs_waves(self, names: tuple[sp.Symbol, ...], expression: sp.Expr) -> bool:
        """Whether it oscillates under a density that falls like a power."""
        if len(names) > 1 or not expression.has(sp.sin, sp.cos):
            return False
        (x,) = names
        support = self.laws[x].support
        return support == sp.S.Reals and _falls_like_a_power(self._kernel([x], self._density(x)))

    def _in_points(self, x: sp.Symbol, expression: sp.Expr) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
        """The integral in mpmath, an estimate of its error, and the size of its parts."""
        law = self.laws[x]
        density, f = self._kernel([x], self._density(x)), self._kernel([x], expression)
        if self._needs_waves((x,), expression):
            pieces = _oscillating(expression, x)
            if len(pieces) > 1:
                found = [self._in_points(x, piece) for piece, _ in pieces]
                with mp.workdps(60):  # they may cancel
                    return tuple(mp.fsum(numbers) for numbers in zip(*found))
            if pieces[0][1] is not None:
                return self._oscillating_mean(law, f, density, mp.mpf(pieces[0][1]), brief(expression))
        quantiles = self._quantiles(law)
        pdf = self._without_far_tail(law, density, quantiles)
        lower, upper = (_mpf(edge.xreplace(self.values)) for edge in (law.support.inf, law.support.sup))
        kinks = _kinks(expression, x, quantiles, lower, upper) + _kinks(self._density(x), x, quantiles, lower, upper)
        return _integral(
            lambda t: f(t) * pdf(t), lower, upper, quantiles, kinks, brief(expression), not self.has_black_box
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

    def _oscillating_mean(self, law: Law, f, pdf, frequency: mp.mpf, name: str) -> tuple:
        """A single sine or cosine under a density with algebraic tails."""
        low, middle, high = self._quantiles(law, tails=(0.01, 0.5))
        h = lambda t: f(t) * pdf(t)  # noqa: E731
        with mp.workdps(30):
            half_period = mp.pi / abs(frequency)
            # Out there the density hardly changes within a half period, and nothing is near where it is large.
            far = max(high - middle, middle - low) + 8 * half_period
            low, high = middle - far, middle + far
            scales = self._quantiles(law, tails=[10.0 ** (-k / 2) for k in range(1, 81)])
            waves = mp.linspace(low, high, int(far / half_period) + 2)
            edges = sorted({*waves, *(q for q in scales if low < q < high)})
            body, error = mp.quad(h, edges, error=True, method="gauss-legendre")
            above, error_above = _alternating_tail(h, high, half_period)
            below, error_below = _alternating_tail(lambda t: h(-t), -low, half_period)
            error += error_above + error_below + mp.eps * 100
            if error > TOLERANCE:
                raise QuadratureError(f"the quadrature of {name} did not reach a relative error of {TOLERANCE:g}")
            return body + above + below, error, mp.mpf(1)

    def _quantiles(self, law: Law, tails=WHOLE) -> list[mp.mpf]:
        numbers = [float(sp.sympify(p).xreplace(self.values)) for p in law.parameters]
        with np.errstate(over="ignore"):  # a quantile may be infinite in double precision
            return [mp.mpf(q) for q in law.spread(numbers, tails)]

    def _nested(self, names: tuple[sp.Symbol, ...], expression: sp.Expr, bits: int, goal: int) -> tuple[arb, arb]:
        """E over several variables that do not separate: the first outside, the rest inside.

        The precision is an argument for the cache.
        """
        for x in names:
            if self.laws[x].is_discrete:
                density = self._on_balls([x], self._density(x))

                def term(k: acb) -> arb:
                    return self.ball(expression.subs(x, int(k.real.mid().unique_fmpz())), goal)[0] * density(k)

                return _sum(term, self.laws[x], brief(expression))
        if len(names) > 2:
            raise QuadratureError(
                f"{brief(expression)} ties {len(names)} continuous variables together: the oracle integrates at "
                "most two. Write it as a sum of products, or estimate it"
            )
        if line := self._line(names, expression):
            orders, found = (line, self._line(names[::-1], expression)), []
            for line in orders:
                try:
                    value, size = line.total(goal=goal)
                    found.append((_real(value, expression), size))
                except (Unclear, QuadratureError):  # what is hard inside may be easy outside
                    continue
                if line.sure:
                    return found[-1]
            if not found:
                raise Unclear
            if len(found) < 2 or not abs(found[0][0] - found[1][0]) <= NARROW * found[0][1]:
                raise QuadratureError(
                    f"the integral of {brief(expression)} over {names[0]} and {names[1]} is not the same in both "
                    "orders: a kink or a jump was not found"
                )
            return found[0]
        return self._on_a_grid(names, expression)

    def _on_a_grid(self, names: tuple[sp.Symbol, ...], expression: sp.Expr) -> tuple[arb, arb]:
        """A smooth function of two variables that has no meaning on balls: two rules must agree."""
        g = self._kernel(names, expression * sp.Mul(*map(self._density, names)))
        results = []
        for order, tail in ((20, 1e-17), (28, 1e-40)):
            (x, wx), (y, wy) = (
                _panels(self._quantiles(self.laws[name], (tail, 1e-6, 0.02, 0.5)), order) for name in names
            )
            try:
                values = np.array([[float(g(mp.mpf(a), mp.mpf(b))) for b in y] for a in x])
            except TypeError:
                raise ValueError(_not_real(expression)) from None
            results.append(float(wx @ values @ wy))
        error = abs(results[1] - results[0])
        if not error <= TOLERANCE * abs(results[1]):
            raise QuadratureError(
                f"the two-dimensional quadrature of {brief(expression)} did not converge "
                f"({results[0]:.8g} against {results[1]:.8g}): it may diverge, oscillate or have a kink"
            )
        return arb(results[1], error), arb(abs(results[1]))


def _total(parts: list[tuple[arb, arb]]) -> tuple[arb, arb]:
    return sum((value for value, _ in parts), arb(0)), sum((size for _, size in parts), arb(0))


def _not_real(expression: sp.Expr) -> str:
    if expression.has(sp.I):
        return f"{brief(expression)} is not real at these parameters: the square root of a negative number, say"
    return f"{brief(expression)} is not real everywhere: restrict the support, or mend the integrand"


def _real(value: acb, expression: sp.Expr) -> arb:
    if value.is_finite() and not value.imag.contains(0):
        raise ValueError(_not_real(expression))
    if not value.is_finite():
        raise Unclear
    return value.real


def _of_mpmath(number, expression: sp.Expr) -> arb:
    if isinstance(number, mp.mpc):
        raise ValueError(_not_real(expression))
    number = mp.mpf(number)
    if not mp.isfinite(number):
        raise FloatingPointError(f"{brief(expression)} is not finite")
    return exactly(number)


def _to_mpmath(ball: acb) -> mp.mpf:
    mantissa, exponent = ball.real.mid().man_exp()
    return mp.ldexp(mp.mpf(int(mantissa)), int(exponent))


def _float(value: arb) -> sp.Float:
    """A number near the middle of a ball."""
    mantissa, exponent = value.mid().man_exp()
    return sp.Float(mp.ldexp(mp.mpf(int(mantissa)), int(exponent)), 30)


def _falls_like_a_power(pdf: Callable) -> bool:
    """Whether the density is like a power of x far out: there an oscillating integrand needs a rule of its own."""
    with mp.workdps(20):
        near, far = pdf(mp.mpf(10) ** 10), pdf(mp.mpf(10) ** 12)
        return bool(near and far) and mp.log(far / near) / mp.log(100) > -1000


def _number(expression: sp.Expr) -> arb:
    """An expression without variables, such as sqrt(2/pi)."""
    try:
        return _real(function_on_balls([], sp.sympify(expression))(False), expression)
    except NoBall:
        return exactly(sp.Float(expression.evalf(30), 30))


class _Tied(Exception):
    """No expansion takes it apart, or none that is short."""


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
