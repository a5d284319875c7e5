r"""Everything that lowers the variance of an estimator, as rules from an expectation to an expectation.

A rule changes what is averaged and not its mean. What it does to the variance is for
:func:`gradlib.variance` to say: none of these rules lowers it always, except summing
(:func:`gradlib.rao_blackwell`) and the optimal coefficients.

Sources: Glasserman (2003), *Monte Carlo methods in financial engineering*, chapter 4; Greensmith, Bartlett and
Baxter (2004), *Variance reduction techniques for gradient estimates in reinforcement learning*.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import sympy as sp
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.core.binding import bind
from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation
from gradlib.core.joint import copies, total_score
from gradlib.core.law import Law
from gradlib.oracle.exact import exact
from gradlib.rules.contract import _require_expectation, batch_size, each_parameter, parameter_derivative
from gradlib.rules.pathwise import pathwise
from gradlib.rules.score import require_score_of_mean_zero, score_function
from gradlib.sound.support import missing_part

MOST_VALUES = 4096  # combinations that are summed over one by one
LONG = 300  # operations of an expression that is not cancelled any more: that takes minutes


def optimal_baseline(
    J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], at: Mapping, *, functions: Mapping | None = None
) -> float | np.ndarray:
    r"""The constant baseline with the smallest variance, from the oracle.

    .. math:: b^* = \frac{\mathbb{E}[G\, s]}{\mathbb{E}[s^2]}, \qquad s = \partial_\theta \log p_\theta(x),
              \quad G = \partial_\theta F_\theta(x) + F_\theta(x)\, s

    The variance of :math:`G - b\,s` is a parabola in b, because s has mean zero; :math:`b^*` is its
    lowest point. It is in general not the mean of F.

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        at: the value of every parameter.
        functions: as in :func:`gradlib.exact`.

    Returns:
        A number, or an array of shape ``(d,)``: the baselines for :func:`gradlib.score_function`.

    Raises:
        UnsoundEstimator, ValueError: as :func:`gradlib.score_function`; also where the score is 0.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> J = gl.Expectation(Normal("X", mu, 1) ** 2)
        >>> b = gl.optimal_baseline(J, mu, {mu: 1})
        >>> round(b, 9)
        4.0
        >>> round(gl.variance(gl.score_function(J, mu, baseline=b), {mu: 1}), 9)
        14.0

    References:
        Weaver and Tao (2001), *The optimal reward baseline for gradient-based reinforcement learning*.
    """
    S = score_function(J, theta)
    thetas = [theta] if isinstance(theta, sp.Symbol) else list(theta)
    best = []
    for G, parameter in zip(S.components, thetas):
        s = total_score(J, parameter)
        if s == 0:
            raise ValueError(f"{parameter} moves no density, so there is no score and no baseline to choose")
        require_score_of_mean_zero(J, parameter)
        best.append(regression(J.with_integrand(J.to_plain(G)), [s], at, functions)[0])
    return float(best[0]) if isinstance(theta, sp.Symbol) else np.array(best)


def control_variate(
    G: Expectation,
    control: sp.Expr | Sequence[sp.Expr],
    coefficient="optimal",
    *,
    mean: sp.Expr | float | Sequence | None = None,
    at: Mapping | None = None,
    batch: int | None = None,
    functions: Mapping | None = None,
) -> Expectation:
    r"""Subtract a multiple of something whose mean is known.

    .. math:: \mathbb{E}[G] = \mathbb{E}[G - c\,(h - \mathbb{E}[h])]

    Args:
        G: an expectation; of several components each has its own coefficients.
        control: the control variate h, an expression in G's random variables, or a sequence of them.
        coefficient: c. A number or an expression in parameters (for several controls a sequence,
            for several components of G a sequence of them); or one of

            * ``"optimal"``: the c of smallest variance, from the oracle (needs ``at``);
            * ``"cross-fitted"``: in a batch of 2m draws, c for the first m is fitted on the last m
              and the other way round. Unbiased, since no draw helps to choose its own c. One control.
            * ``"same draws"``: c is fitted on the batch that it is used on. **Biased**, by a term
              that falls like 1/batch; for comparison. One control.
        mean: E[h], one for each control. Where it is not given, the oracle computes it (needs ``at``).
            Where both are given, they are compared.
        at: the value of every parameter, for the oracle.
        batch: the number of draws in a batch, for the fitted coefficients: even, and at least 6 for
            ``"cross-fitted"`` (with fewer, a fitted c may have an infinite variance).
        functions: as in :func:`gradlib.exact`.

    Returns:
        An :class:`Expectation` with the mean of G (but for ``"same draws"``); over copies of G's
        variables where there is a batch.

    Raises:
        ValueError: for a mean that is not that of h, missing ``at``, a wrong number of coefficients,
            one that depends on the draw or is not finite, or controls of which one is a combination of others.
        TypeError: for what is neither a number nor an expression.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> X = Normal("X", mu, 1)
        >>> G = gl.score_function(gl.Expectation(sp.exp(X)), mu)
        >>> at = {mu: 0}
        >>> controlled = gl.control_variate(G, [X - mu, (X - mu) ** 2], at=at)
        >>> abs(gl.exact(G, at) - gl.exact(controlled, at)) < 1e-9
        True
        >>> round(gl.variance(G, at), 2), round(gl.variance(controlled, at), 2)
        (34.23, 11.12)

    References:
        Lavenberg and Welch (1981), *A perspective on the use of control variables to increase the
        efficiency of Monte Carlo simulations*.
    """
    controls = _controls(G, control)
    means = _means(G, controls, mean, at, functions)
    centred = [h - m for h, m in zip(controls, means)]
    if coefficient in ("cross-fitted", "same draws"):
        return _fitted(G, centred, coefficient, batch)
    if batch is not None:
        raise ValueError('batch= belongs to coefficient="cross-fitted" and "same draws"')
    if isinstance(coefficient, str):
        if coefficient != "optimal":
            raise ValueError(
                f'coefficient takes numbers, "optimal", "cross-fitted" or "same draws"; got {coefficient!r}'
            )
        if at is None:
            raise ValueError('coefficient="optimal" asks the oracle: give at={symbol: number}')
        rows = [regression(G.with_integrand(G.to_plain(g)), centred, at, functions) for g in G.components]
    else:
        rows = _given(G, coefficient, len(controls))
    results = [G.to_plain(g) - sum(c * h for c, h in zip(row, centred)) for g, row in zip(G.components, rows)]
    return G.with_integrand(results if G.is_vector else results[0])


def optimal_coefficients(
    G: Expectation, control: sp.Expr | Sequence[sp.Expr], at: Mapping, *, functions: Mapping | None = None
) -> np.ndarray:
    r"""The coefficients of smallest variance, from the oracle.

    .. math:: c^* = \operatorname{Cov}[h]^{-1} \operatorname{Cov}[h, G]

    Args:
        G: a scalar expectation.
        control: the control variate h, or a sequence of m of them.
        at: the value of every parameter.
        functions: as in :func:`gradlib.exact`.

    Returns:
        An array of shape ``(m,)``.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> X = Normal("X", 0, 1)
        >>> gl.optimal_coefficients(gl.Expectation(3 * X + X**2), X, {}).round(9)
        array([3.])
    """
    controls = _controls(G, control)
    if G.is_vector:
        raise ValueError("optimal_coefficients takes a scalar expectation: ask for each component by itself")
    means = _means(G, controls, None, at, functions)
    return np.array(regression(G, [h - m for h, m in zip(controls, means)], at, functions))


def _controls(G: Expectation, control) -> list[sp.Expr]:
    """The control variates, checked, in plain symbols."""
    _require_expectation(G)
    controls = [
        G.to_plain(_expression("a control variate", h))
        for h in (control if isinstance(control, (list, tuple)) else [control])
    ]
    if not controls:
        raise ValueError("give at least one control variate")
    for h in controls:
        foreign = random_symbols(h)
        if foreign:
            raise ValueError(
                f"the control variate {h} holds {', '.join(map(str, foreign))}, which the expectation does not draw"
            )
    return controls


def _expression(what: str, value, constant_in: Expectation | None = None) -> sp.Expr:
    """A finite number or an expression; with ``constant_in``, one that does not depend on the draw."""
    try:
        result = sp.sympify(value, strict=True)
    except sp.SympifyError:
        result = None
    if not isinstance(result, sp.Expr) or result.is_Matrix or isinstance(result, Expectation):
        raise TypeError(f"{what} is a number or a SymPy expression, got {value!r}")
    if result.has(sp.nan, sp.oo, -sp.oo, sp.zoo):
        raise ValueError(f"{what} must be finite, got {value!r}")
    if constant_in is not None and (
        random_symbols(result) or result.free_symbols & {law.symbol for law in constant_in.laws}
    ):
        raise ValueError(f"{what} may hold parameters only, and {result} depends on the draw: the mean would change")
    return result


def _means(G: Expectation, controls: list[sp.Expr], given, at, functions) -> list[sp.Expr]:
    if given is None and at is None:
        raise ValueError("the control variate's mean must be known: give mean=, or at={symbol: number} for the oracle")
    if given is not None:
        given = [_expression("a mean", m, G) for m in (given if isinstance(given, (list, tuple)) else [given])]
        if len(given) != len(controls):
            raise ValueError(f"{len(given)} means for {len(controls)} control variates")
    if at is None:
        return given
    found = [_mean(G, h, at, functions) for h in controls]
    if given is None:
        return [sp.Float(m, 17) for m in found]
    values = {s: sp.Float(v, 17) for s, v in at.items()}
    for h, claimed, m in zip(controls, given, found):
        if abs(float(claimed.xreplace(values)) - m) > 1e-8 * (1 + abs(m)):
            raise ValueError(
                f"the mean of {h} is {m:.6g} here, and not {float(claimed.xreplace(values)):.6g}: a wrong mean would "
                "bias the estimate"
            )
    return given


def _mean(G: Expectation, plain: sp.Expr, at: Mapping, functions: Mapping | None) -> float:
    """E[plain], where ``at`` and ``functions`` may hold more than this expression needs."""
    H = G.with_integrand(plain)
    known = isinstance(at, Mapping) and at.keys() <= G.parameters | H.parameters  # else the oracle says what is wrong
    here = {s: v for s, v in at.items() if s in H.parameters} if known else at
    names = {f.func.__name__ for f in plain.atoms(sp.core.function.AppliedUndef)}
    named = {
        k: f
        for k, f in (functions or {}).items()
        if (k.expr.func if isinstance(k, sp.Derivative) else k).__name__ in names
    }
    return exact(H, here, functions=named or None)


def regression(G: Expectation, centred: list[sp.Expr], at: Mapping, functions: Mapping | None = None) -> list[float]:
    """Solve E[h hᵀ] c = E[h G] for controls of mean zero."""
    g, m = G.plain, len(centred)
    matrix = np.array(
        [
            [_mean(G, a * b, at, functions) if j <= i else 0.0 for j, b in enumerate(centred)]
            for i, a in enumerate(centred)
        ]
    )
    matrix = matrix + np.tril(matrix, -1).T
    right = np.array([_mean(G, g * h, at, functions) for h in centred])
    if (
        np.any(np.diag(matrix) <= 0)
        or m > 1
        and np.linalg.cond(matrix / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))) > 1e12
    ):
        raise ValueError("the control variates do not vary, or one is a combination of the others: leave it out")
    return [float(c) for c in np.linalg.solve(matrix, right)]


def _given(G: Expectation, coefficient, controls: int) -> list[list[sp.Expr]]:
    """The caller's coefficients as a row for each component."""
    components = len(G.components)
    values = np.array(coefficient, dtype=object)
    if values.ndim == 0:
        values = np.full((components, controls), values.item(), dtype=object) if controls == 1 else values
    elif values.ndim == 1 and controls == 1 and len(values) == components:
        values = values.reshape(components, 1)
    elif values.ndim == 1 and len(values) == controls:
        values = np.tile(values, (components, 1))
    if values.shape != (components, controls):
        raise ValueError(
            f"{components} components and {controls} control variates need coefficients of shape ({components}, "
            f"{controls})"
        )
    return [[_expression("a coefficient", c, G) for c in row] for row in values]


def _fitted(G: Expectation, centred: list[sp.Expr], how: str, batch) -> Expectation:
    """A batch of copies whose coefficient is the regression of G on h in other copies, or in the same."""
    if len(centred) > 1:
        raise ValueError(
            f'coefficient="{how}" takes one control variate; combine several with coefficients of your own'
        )
    n = batch_size(batch, 6 if how == "cross-fitted" else 2)
    if how == "cross-fitted" and n % 2:
        raise ValueError(f"a batch for cross-fitting has two halves: its size must be even, got {n}")
    each_copy = copies(G, n)
    h = [centred[0].xreplace(copy) for copy in each_copy]

    def component(g: sp.Expr) -> sp.Expr:
        values = [g.xreplace(copy) for copy in each_copy]

        def slope(part: range) -> sp.Expr:
            return sum(values[i] * h[i] for i in part) / sum(h[i] ** 2 for i in part)

        if how == "same draws":
            c = slope(range(n))
            return sum(values[i] - c * h[i] for i in range(n)) / n
        halves = range(n // 2), range(n // 2, n)
        cs = slope(halves[1]), slope(halves[0])
        return sum(values[i] - c * h[i] for half, c in zip(halves, cs) for i in half) / n

    results = [component(G.to_plain(g)) for g in G.components]
    variables = [v for copy in each_copy for v in copy.values()]
    return Expectation(results if G.is_vector else results[0], variables, G.assumptions_made, objective=G)


def delta_method(
    J: Expectation,
    theta: sp.Symbol | Sequence[sp.Symbol],
    at: Mapping,
    *,
    order: int = 2,
    assume: str | Iterable[str] = (),
) -> Expectation:
    r"""The score-function estimator with F's Taylor polynomial as control variate.

    .. math:: \mathbb{E}[\nabla_\theta F + (F - T)\,\nabla_\theta \log p] + \nabla_\theta \mathbb{E}[T],
              \qquad T(x) = \sum_{k \le K} \tfrac{1}{k!} F^{(k)}(m)\,(x - m)^k

    T is expanded around the mean m of x at the parameters' values ``at``; its coefficients and m are
    constants and not differentiated. The gradient of its mean is the oracle's. One variable.

    Args:
        J: a scalar expectation over one continuous variable.
        theta: a parameter, or a sequence of d parameters.
        at: the value of every parameter: the expansion and the result hold there only.
        order: K, 0 to 4.
        assume: as in :func:`gradlib.score_function`.

    Returns:
        An :class:`Expectation` with the mean of the gradient *at these parameters*.

    Raises:
        ValueError: for several variables, a discrete one, or an order out of range.
        UnsoundEstimator: where a derivative of F at m is not a real number; else as :func:`gradlib.score_function`.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> J, at = gl.Expectation(sp.cos(Normal("X", mu, sp.Rational(1, 2)))), {mu: 1}
        >>> plain, delta = gl.score_function(J, mu), gl.delta_method(J, mu, at)
        >>> round(gl.exact(plain, at) - gl.exact(delta, at), 9)
        0.0
        >>> round(gl.variance(plain, at), 2), round(gl.variance(delta, at), 4)
        (1.45, 0.1)

    References:
        Paisley, Blei and Jordan (2012), *Variational Bayesian inference with stochastic search*.
    """
    S = score_function(J, theta, assume=assume)
    if len(J.laws) != 1 or J.laws[0].is_discrete or J.laws[0].is_abstract:
        raise ValueError("the delta method is for one continuous variable: its Taylor polynomial is in that variable")
    if isinstance(order, bool) or not isinstance(order, numbers.Integral) or not 0 <= order <= 4:
        raise ValueError(f"order must be a whole number from 0 to 4, got {order!r}")
    bound = bind(J, at, None)
    x, values = J.laws[0].symbol, {s: sp.Float(v, 17) for s, v in bound.at.items()}
    m = sp.Float(_mean(J, x, at, None), 17)
    T, F = sp.S.Zero, J.plain.xreplace(values)
    # A polynomial is its own expansion; rounded coefficients would leave a variance of 1e-34 instead of 0.
    own = F.is_polynomial(x) and sp.degree(F, x) <= order
    for k in range(0 if own else order + 1):
        c = sp.diff(F, x, k).subs(x, m).evalf(17) / sp.factorial(k)
        if c.has(sp.DiracDelta) or not (c.is_number and c.is_finite and c.is_real):
            found = "does not exist, for there is a kink" if c.has(sp.DiracDelta) else f"is {c}"
            raise UnsoundEstimator(
                f"delta_method: the derivative of order {k} of {J.plain} at {x} = {m:.6g} {found}: lower the order, or "
                "use another control variate"
            )
        T += c * (x - m) ** k
    T = F if own else T
    slopes = exact(
        score_function(J.with_integrand(T), theta, assume=assume),
        {s: v for s, v in at.items() if s in J.with_integrand(T).parameters},
    )
    thetas = [theta] if isinstance(theta, sp.Symbol) else list(theta)
    results = [
        S.to_plain(g) - T * total_score(J, parameter) + sp.Float(slope, 17)
        for g, parameter, slope in zip(S.components, thetas, np.atleast_1d(slopes))
    ]
    return S.with_integrand(results if S.is_vector else results[0])


def rao_blackwell(G: Expectation, *variables: RandomSymbol) -> Expectation:
    r"""Replace finite variables by the sum over their values.

    .. math:: \mathbb{E}[G(x, z)] = \mathbb{E}_x\Bigl[\sum_z p(z)\, G(x, z)\Bigr]

    The variance cannot rise: it falls by the mean of the conditional variance. The cost is
    one evaluation for each value (for each combination, where there are several variables).

    Args:
        G: an expectation.
        variables: the random symbols to sum over; all finite ones if none is named.

    Returns:
        An :class:`Expectation` over the others. If none is left, its integrand is a number and
        the last variable stands in for them.

    Raises:
        ValueError: for a variable that G does not have, or one with infinitely many values; for more than 4,096
            combinations of values, unless the integrand is a sum of products of functions of one of the variables each.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Bernoulli
        >>> p = sp.Symbol("p", positive=True)
        >>> B = Bernoulli("B", p)
        >>> gl.rao_blackwell(gl.score_function(gl.Expectation((B - 3) ** 2), p), B)
        E[-5], B ~ Bernoulli(p)

    References:
        Casella and Robert (1996), *Rao-Blackwellisation of sampling schemes*. Titsias and
        Lázaro-Gredilla (2015), *Local expectation gradients for black box variational inference*.
    """
    _require_expectation(G)
    if not variables:
        variables = tuple(law.variable for law in G.laws if law.is_finite)
        if not variables:
            raise ValueError("no variable of this expectation takes finitely many values: there is nothing to sum over")
    laws = {law.variable: law for law in G.laws}
    for variable in variables:
        if not isinstance(variable, RandomSymbol):
            raise TypeError(
                "rao_blackwell takes random symbols, one after the other, as in rao_blackwell(G, A, B); got "
                f"{variable!r}"
            )
        if variable not in laws:
            raise ValueError(f"{variable} is no variable of this expectation")
        if not laws[variable].is_finite:
            raise ValueError(
                f"{variable} ~ {laws[variable].name} takes infinitely many values: it cannot be summed over"
            )
    results = [G.to_plain(g) for g in G.components]
    values = math.prod(len(laws[variable].table) for variable in variables)
    if values > MOST_VALUES:
        results = [_summed_apart(g, [laws[variable] for variable in variables], values) for g in results]
    else:
        for variable in variables:
            results = [_summed(g, laws[variable]) for g in results]
    left = [v for v in G.variables if v not in variables] or [variables[-1]]
    integrand = G.to_random(sp.ImmutableMatrix(results) if G.is_vector else results[0])
    return Expectation(integrand, left, G.assumptions_made, objective=G)


def _summed(g: sp.Expr, law: Law) -> sp.Expr:
    """Σ p(z) g(z). A term (score) p(z) is a derivative of p(z), finite where p(z) is 0."""
    x = law.symbol
    possible = {
        value: q for value, q in law.table.items() if q != 0
    }  # where it is 0 for all parameters, g may be infinite
    if not g.has(x):
        return g
    tidy = (lambda e: sp.expand(sp.cancel(e))) if g.count_ops() < LONG else (lambda e: e)
    return sp.Add(*(tidy(q * g.subs(x, value)) for value, q in possible.items()))


def _summed_apart(g: sp.Expr, laws: list[Law], values: int) -> sp.Expr:
    """Over many variables: each factor of each term by itself."""
    total = sp.S.Zero
    for term in sp.Add.make_args(g):
        for law in laws:
            rest, own = term.as_independent(law.symbol, as_Add=False)
            if any(own.has(other.symbol) for other in laws if other is not law):
                raise ValueError(
                    f"the sum over {', '.join(str(law.variable) for law in laws)} has {values:.2g} terms, and the "
                    "integrand does not take apart: name the few variables that matter, as in rao_blackwell(G, A, B)"
                )
            term = rest * _summed(own, law)
        total += term
    return total


def sticking_the_landing(
    J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], *, assume: str | Iterable[str] = ()
) -> Expectation:
    r"""The pathwise estimator without its direct term, where that is a multiple of the score.

    .. math:: \nabla_\theta F_\theta(x) = a\, \nabla_\theta \log p_\theta(x) \;\Rightarrow\;
              \mathbb{E}[\nabla_\theta F_\theta] = 0

    So it is in variational inference, where F = log p(x, data) − log q_θ(x) and a = −1. With q equal to
    the posterior what remains is 0 in every draw.

    Args:
        J: a scalar expectation with θ in both places.
        theta: a parameter, or a sequence of d parameters.
        assume: as in :func:`gradlib.pathwise`.

    Returns:
        The gradient as an :class:`Expectation`.

    Raises:
        UnsoundEstimator: if the direct term is not a constant times the score; otherwise as
            :func:`gradlib.pathwise` and :func:`gradlib.score_function`.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> X = Normal("X", mu, 1)
        >>> elbo = gl.Expectation(-X**2 / 2 + (X - mu) ** 2 / 2)
        >>> gl.sticking_the_landing(elbo, mu)
        E[-mu], X ~ Normal(mu, 1)

    References:
        Roeder, Wu and Duvenaud (2017), *Sticking the landing: simple, lower-variance gradient
        estimators for variational inference*.
    """

    def rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
        direct, score = parameter_derivative(J.plain, theta), total_score(J, theta)
        multiple = sp.simplify(direct / score) if score != 0 else sp.nan
        if direct == 0 or multiple.has(*(law.symbol for law in J.laws)) or not multiple.is_finite:
            raise UnsoundEstimator(
                f"sticking_the_landing: the direct term {direct} is not a constant times the score, so its mean need "
                "not be zero. Use pathwise"
            )
        require_score_of_mean_zero(J, theta, assumed)
        return sp.simplify(J.to_plain(pathwise(J, theta, assume=assumed).integrand) - direct)

    return each_parameter(J, theta, assume, rule)


def importance(G: Expectation, proposal: Mapping[RandomSymbol, RandomSymbol]) -> Expectation:
    r"""The same mean from draws of another law (off-policy).

    .. math:: \mathbb{E}_{x \sim p}[G(x)] = \mathbb{E}_{y \sim q}\left[\frac{p(y)}{q(y)}\, G(y)\right]

    Applied to a score-function estimator it is the off-policy gradient. Its variance is finite only if
    q has mass wherever :math:`p\,G` is large; light tails of q make it infinite.

    Args:
        G: an expectation, for instance of a gradient.
        proposal: for each variable to be replaced the random symbol to draw instead.

    Returns:
        An :class:`Expectation` over the proposal's variables.

    Raises:
        UnsoundEstimator: if q's support does not cover p's.
        ValueError: for a variable that G does not have; for a discrete law in the place of a
            continuous one.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> X, Y = Normal("X", mu, 1), Normal("Y", 0, 2)
        >>> G = gl.score_function(gl.Expectation(X**2), mu)
        >>> round(gl.exact(gl.importance(G, {X: Y}), {mu: 1}), 9)
        2.0

    References:
        Precup, Sutton and Singh (2000), *Eligibility traces for off-policy policy evaluation*.
        Owen (2013), *Monte Carlo theory, methods and examples*, chapter 9.
    """
    _require_expectation(G)
    if not isinstance(proposal, Mapping) or not proposal:
        raise TypeError(f"proposal takes a dictionary {{variable: variable to draw instead}}, got {proposal!r}")
    laws = {law.variable: law for law in G.laws}
    swaps, weight, inside = {}, sp.S.One, []
    for variable, other in proposal.items():
        if variable not in laws:
            raise ValueError(f"{variable} is no variable of this expectation")
        p, q = laws[variable], Expectation(other).laws[0]
        if q.variable != other:
            raise ValueError(f"the proposal for {variable} must be a random symbol, got {other}")
        if p.is_discrete != q.is_discrete or p.is_abstract or q.is_abstract:
            raise ValueError(
                f"{other} ~ {q.name} cannot stand in for {variable} ~ {p.name}: both must be continuous, or both "
                "discrete"
            )
        if p.support.is_subset(q.support) is not True:
            raise UnsoundEstimator(
                f"importance: {other} ~ {q.name} lies in {q.support}, which is not known to cover {p.support}, where "
                f"{variable} ~ {p.name} lies: the values that it misses would be lost"
            )
        swaps[p.symbol] = q.variable
        inside += missing_part(p.support, q.support, q.variable)
        # A density holds its variable's plain symbol.
        weight *= sp.exp(sp.simplify(p.log_density.xreplace({p.symbol: q.symbol}) - q.log_density)).xreplace(
            {q.symbol: q.variable}
        )
    variables = [proposal.get(v, v) for v in G.variables]
    plain = [G.to_plain(g).xreplace(swaps) * weight for g in G.components]
    # Outside p's support the formula of its density goes on, and G may not be defined.
    integrand = [G.to_random(sp.Piecewise((g, sp.And(*inside)), (0, True)) if inside else g) for g in plain]
    return Expectation(integrand if G.is_vector else integrand[0], variables, G.assumptions_made, objective=G)
