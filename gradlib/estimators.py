r"""The estimators: rules from an expectation to an expectation of its gradient.

One rule each covers all three objectives.

.. math::

    \begin{aligned}
    \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
    &= \mathbb{E}_{x \sim p_\theta}[\nabla_\theta F_\theta(x) + F_\theta(x)\, \nabla_\theta \log p_\theta(x)]
    && \text{(score function)} \\
    &= \mathbb{E}_{x \sim p_\theta}[\nabla_\theta F_\theta(x) + F_\theta'(x)\, v_\theta(x)]
    && \text{(pathwise)}
    \end{aligned}

with the path velocity :math:`v_\theta(x) = \partial_\theta g_\theta(\varepsilon)` at
:math:`\varepsilon = g_\theta^{-1}(x)`. Each rule stands beside the condition under
which it is sound; where the condition fails, or cannot be decided, the rule refuses.
"""

from __future__ import annotations

import numbers
from collections import defaultdict
from collections.abc import Iterable, Sequence

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanFunction
from sympy.stats.crv import SingleContinuousPSpace
from sympy.stats.frv_types import BinomialDistribution
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.expectation import Expectation, dependence
from gradlib.families import Law, named

#: What an estimator takes for granted. ``exchange`` is always assumed; the other two are
#: decided where they can be, and recorded only where the caller states them.
ASSUMPTIONS = {
    "exchange": "the differentiated integrand is dominated by an integrable function near θ, so ∇ and ∫ may be exchanged",
    "continuous": "F is locally absolutely continuous where the derivative moves: along the path, and in θ",
    "fixed support": "no edge of the support moves with θ, unless F·p vanishes there",
}


class UnsoundEstimator(ValueError):
    """The estimator asked for would be wrong, or could not be shown to be right.

    The message says what is wrong and what to use instead.
    """


def score_function(
    J: Expectation,
    theta: sp.Symbol | Sequence[sp.Symbol],
    *,
    baseline: sp.Expr | float | Sequence[sp.Expr | float] | str = 0,
    batch: int | None = None,
    assume: str | Iterable[str] = (),
) -> Expectation:
    r"""The score-function estimator (REINFORCE, likelihood ratio).

    .. math:: \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}_{x \sim p_\theta}\left[\nabla_\theta F_\theta(x) + (F_\theta(x) - b)\, \nabla_\theta \log p_\theta(x)\right]

    The score has mean zero, so any baseline b that does not depend on the draw leaves the mean
    as it is and changes the variance.

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        baseline: the constant b: a number, an expression in parameters (it is not
            differentiated), or a sequence of d of them, one for each parameter.
            :func:`gradlib.optimal_baseline` gives the best one. Or ``"leave-one-out"``: for each
            draw of a batch the mean of F over the *other* draws.
        batch: with ``"leave-one-out"``, the number n of draws in a batch, at least 2. The result
            is an expectation over n copies of J's variables; one draw of it is a batch, so
            standard errors and variances are those of batches.
        assume: names from :data:`gradlib.estimators.ASSUMPTIONS` that the caller vouches for
            (``"continuous"``, ``"fixed support"``). They are recorded in the result.

    Returns:
        The gradient as an :class:`Expectation` over the same variables: scalar for one
        parameter, a column of length d for a sequence.

    Raises:
        UnsoundEstimator: if the support moves with θ while (F − b)·p does not vanish at its
            edge; if the integrand jumps where θ moves the jump; if θ is a whole number.
        ValueError: if θ occurs nowhere in J; for a baseline that depends on the draw, or a batch
            without ``"leave-one-out"``, or of fewer than 2 draws.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.score_function(gl.Expectation(sp.cos(2 * X)), mu)
        E[(-mu + X)*cos(2*X)/sigma**2], X ~ Normal(mu, sigma)
        >>> gl.score_function(gl.Expectation(X**2), mu, baseline=5)
        E[(-mu + X)*(X**2 - 5)/sigma**2], X ~ Normal(mu, sigma)
        >>> pairs = gl.score_function(gl.Expectation(X**2), mu, baseline="leave-one-out", batch=2)
        >>> round(gl.exact(pairs, {mu: 1, sigma: 1}), 9), round(gl.variance(pairs, {mu: 1, sigma: 1}), 9)
        (2.0, 14.0)

        The direct term of an objective with θ in both places is not forgotten:

        >>> theta = sp.Symbol("theta", real=True)
        >>> X = Normal("X", theta, 1)
        >>> gl.score_function(gl.Expectation(theta * X**2), theta)
        E[theta*(-theta + X)*X**2 + X**2], X ~ Normal(theta, 1)

    References:
        Glynn (1990), *Likelihood ratio gradient estimation for stochastic systems*.
        Williams (1992), *Simple statistical gradient-following algorithms for
        connectionist reinforcement learning*.
    """
    if isinstance(baseline, str):
        if baseline != "leave-one-out":
            raise ValueError(f'baseline takes a number, an expression, or "leave-one-out"; got {baseline!r}')
        return _leave_one_out(score_function(J, theta, assume=assume), J, theta, batch_size(batch))
    if batch is not None:
        raise ValueError('batch= belongs to baseline="leave-one-out": a constant baseline needs no batch')
    if not isinstance(baseline, (sp.Expr, numbers.Real)) and isinstance(baseline, Iterable):
        baselines = [_constant_baseline(J, b) for b in baseline]
        if isinstance(theta, sp.Symbol) or len(baselines) != len(theta):
            raise ValueError(f"{len(baselines)} baselines for {1 if isinstance(theta, sp.Symbol) else len(theta)} parameters: give one for each")
        of = dict(zip(theta, baselines))
    else:
        constant = _constant_baseline(J, baseline)
        of = defaultdict(lambda: constant)
    return each_parameter(J, theta, assume, lambda J, theta, assumed: _score_rule(J, theta, assumed, of[theta]))


def _constant_baseline(J: Expectation, b) -> sp.Expr:
    try:
        b = sp.sympify(b, strict=True)
    except sp.SympifyError:
        b = None
    if not isinstance(b, sp.Expr) or b.has(sp.nan, sp.oo, -sp.oo, sp.zoo, sp.I):
        raise ValueError(f"a baseline is a finite number or an expression in the parameters, got {b!r}")
    if random_symbols(b) or isinstance(J, Expectation) and b.free_symbols & {each.symbol for each in J.laws}:
        raise ValueError(f"the baseline {b} depends on the draw: the score times it need not have mean zero. See control_variate")
    return b


def batch_size(batch, least: int = 2) -> int:
    """The number of draws in a batch, checked."""
    if isinstance(batch, bool) or not isinstance(batch, numbers.Integral):
        raise ValueError(f"give the number of draws in a batch, as in batch={max(least, 4)}; got {batch!r}")
    if batch < least:
        raise ValueError(f"a batch needs at least {least} draws here, got {batch}")
    return int(batch)


def copies(J: Expectation, n: int) -> list[dict[sp.Symbol, RandomSymbol]]:
    """n independent copies of J's variables: maps from the plain symbols to fresh random ones."""
    taken = {s.name for s in J.parameters}
    names = {each.symbol: f"{each.symbol.name}_" for each in J.laws}
    while any(f"{name}{i}" in taken for name in names.values() for i in range(1, n + 1)):
        names = {symbol: f"{name}_" for symbol, name in names.items()}
    return [{each.symbol: named(each.distribution, f"{names[each.symbol]}{i}") for each in J.laws} for i in range(1, n + 1)]


def _leave_one_out(S: Expectation, J: Expectation, theta, n: int) -> Expectation:
    """Subtract from each draw's score term the score times the mean of F over the other draws.

    With copies x_1, …, x_n: (1/n) Σ_i [∇F(x_i) + (F(x_i) − (1/(n−1)) Σ_{j≠i} F(x_j)) ∇log p(x_i)].
    """
    thetas = parameters_of(J, theta)
    for each in thetas:
        for one in J.laws:
            _require_fixed_support(sp.S.One, one, each)  # here the density itself must vanish at a moving edge
    each_copy = copies(J, n)
    values = [J.plain.xreplace(copy) for copy in each_copy]

    def component(plain: sp.Expr, theta: sp.Symbol) -> sp.Expr:
        score = total_score(J, theta)
        terms = [
            plain.xreplace(copy) - (sum(values) - values[i]) / (n - 1) * score.xreplace(copy) for i, copy in enumerate(each_copy)
        ]
        return sum(terms) / n

    results = [component(S.to_plain(c), each) for c, each in zip(S.components, thetas)]
    variables = [v for copy in each_copy for v in copy.values()]
    return Expectation(results[0] if isinstance(theta, sp.Symbol) else results, variables, S.assumptions_made)


def pathwise(
    J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol], *, assume: str | Iterable[str] = (), base: bool = False
) -> Expectation:
    r"""The pathwise estimator (reparameterization).

    .. math:: \nabla_\theta \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]
              = \mathbb{E}_{x \sim p_\theta}\left[\nabla_\theta F_\theta(x) + \sum_i \partial_{x_i} F_\theta(x)\, v_{\theta, i}(x_i)\right]

    Args:
        J: a scalar expectation.
        theta: a parameter, or a sequence of d parameters.
        assume: names from :data:`gradlib.estimators.ASSUMPTIONS` that the caller vouches for.
        base: write the result over the base variables ε of :func:`reparameterize`
            instead of over x. Both have the same distribution, sample for sample.

    Returns:
        The gradient as an :class:`Expectation`: scalar for one parameter, a column of
        length d for a sequence.

    Raises:
        UnsoundEstimator: if θ moves a discrete variable; if the integrand jumps along
            the path, or is not known to be continuous; if θ is a whole number.
        ValueError: if θ occurs nowhere in J.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.pathwise(gl.Expectation(X**2), [mu, sigma])
        E[[2*X, 2*(-mu + X)*X/sigma]], X ~ Normal(mu, sigma)
        >>> gl.pathwise(gl.Expectation(sp.Heaviside(X)), mu)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.estimators.UnsoundEstimator: pathwise: the integrand jumps by 1 at X = 0, ...

    References:
        Kingma and Welling (2014), *Auto-encoding variational Bayes*.
        Figurnov, Mohamed and Mnih (2018), *Implicit reparameterization gradients*.
    """
    if base:
        each_parameter(J, theta, assume, _path_rule)  # the same conditions, stated in x
        return each_parameter(reparameterize(J, theta), theta, {"continuous", *_names(assume)}, _path_rule, keep=_names(assume))
    return each_parameter(J, theta, assume, _path_rule)


def reparameterize(J: Expectation, theta: sp.Symbol | Sequence[sp.Symbol]) -> Expectation:
    r"""Move θ from the distribution into the integrand.

    .. math:: \mathbb{E}_{x \sim p_\theta}[F_\theta(x)] = \mathbb{E}_{\varepsilon \sim q}[F_\theta(g_\theta(\varepsilon))]

    Args:
        J: an expectation.
        theta: a parameter, or a sequence of them.

    Returns:
        The same value as an expectation over base variables whose law is free of θ.

    Raises:
        UnsoundEstimator: if a variable that θ moves is discrete, or has no base law free
            of θ (the shapes of Gamma, Beta and Student t: use :func:`pathwise`, which
            differentiates implicitly).
        ValueError: if θ occurs nowhere in J.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> gl.reparameterize(gl.Expectation(X**2), [mu, sigma])
        E[(mu + sigma*epsilon)**2], epsilon ~ Normal(0, 1)
    """
    thetas = parameters_of(J, theta)
    moved = [each for each in J.laws if each.free_symbols & set(thetas)]
    taken = {s.name for s in J.parameters | {each.symbol for each in J.laws}}
    maps, variables = {}, []
    for each in J.laws:
        if each not in moved:
            variables.append(each.variable)
            continue
        if each.family is None or each.family.path is None:
            raise UnsoundEstimator(_no_path(each))
        distribution, g = each.base()
        name = "epsilon" if len(moved) == 1 else f"epsilon_{each.variable}"
        while name in taken:
            name += "'"
        eps = sp.Symbol(name, real=True)
        if any(sp.sympify(a).free_symbols & set(thetas) for a in distribution.args):
            raise UnsoundEstimator(
                f"reparameterize: {each.variable} ~ {each.name} has no base law free of its shape; "
                "use pathwise(J, theta), which differentiates the distribution function implicitly"
            )
        epsilon = SingleContinuousPSpace(eps, distribution).value
        variables.append(epsilon)
        maps[each.symbol] = g(epsilon)
    integrand = J.to_random(J.plain.subs(maps, simultaneous=True))
    return Expectation(integrand, variables, J.assumptions_made)


# --- the two rules ---------------------------------------------------------------------


def _score_rule(J: Expectation, theta: sp.Symbol, assumed: set[str], baseline: sp.Expr) -> sp.Expr:
    F = J.plain
    for each in J.laws:
        if "fixed support" not in assumed:
            _require_fixed_support(F, each, theta)
            if baseline != 0:
                _require_fixed_support(F - baseline, each, theta)
    if "continuous" not in assumed:
        require_continuous("score_function", J, theta, moving_x=False)
    return (F - baseline) * total_score(J, theta) + parameter_derivative(F, theta)


def total_score(J: Expectation, theta: sp.Symbol) -> sp.Expr:
    """The score of the joint density, in plain symbols."""
    return sum((each.score(theta) for each in J.laws if theta in each.free_symbols), sp.S.Zero)


def _path_rule(J: Expectation, theta: sp.Symbol, assumed: set[str]) -> sp.Expr:
    F = J.plain
    moved = [each for each in J.laws if theta in each.free_symbols]
    for each in moved:
        if each.family is None or each.family.path is None:
            raise UnsoundEstimator(_no_path(each))
    if "continuous" not in assumed:
        require_continuous("pathwise", J, theta, moving_x=True)
    along = sum((parameter_derivative(F, each.symbol) * each.velocity(theta) for each in moved), sp.S.Zero)
    return along + parameter_derivative(F, theta)


def _names(assume: str | Iterable[str]) -> set[str]:
    if isinstance(assume, str):
        return {assume}
    if not isinstance(assume, Iterable):
        raise TypeError(f"assume= takes names out of {sorted(ASSUMPTIONS)}, got {assume!r}")
    return set(assume)


def parameters_of(J: Expectation, theta) -> list[sp.Symbol]:
    """The parameters asked for, as a list; every one of them occurs in J."""
    if isinstance(theta, sp.Symbol):
        thetas = [theta]
    elif isinstance(theta, (str, set, frozenset, sp.Set)) or not isinstance(theta, Iterable):
        raise TypeError(f"the parameter must be a SymPy symbol, or a list of them, got {theta!r}")
    else:
        thetas = list(theta)
    for each in thetas:
        dependence(J, each)
    if not thetas or len(set(thetas)) < len(thetas):
        raise ValueError("give one parameter, or a sequence of different ones")
    return thetas


def each_parameter(J, theta, assume, rule, keep: set[str] | None = None, noise: Sequence[RandomSymbol] = ()) -> Expectation:
    """Apply a rule for one parameter or a sequence, and record the assumptions.

    Args:
        rule: ``rule(J, theta, assumed)`` gives the integrand for one parameter.
        keep: the assumptions to record, if not those of the caller.
        noise: a list to which the rule may add variables; those that J has and the result
            does not hold are then left out.
    """
    assumed = _names(assume)
    if unknown := assumed - set(ASSUMPTIONS):
        raise ValueError(f"unknown assumption {sorted(map(str, unknown))}: choose from {sorted(ASSUMPTIONS)}")
    thetas = parameters_of(J, theta)
    for each in thetas:
        _require_continuum(J, each)
    if J.is_vector:
        raise ValueError("the estimators take a scalar expectation: differentiate each component by itself")
    results = [rule(J, each, assumed) for each in thetas]
    stated = assumed if keep is None else keep
    integrand = results[0] if isinstance(theta, sp.Symbol) else results
    return J.with_integrand(integrand, {"exchange", *stated}, noise)


def parameter_derivative(F: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    """∂F/∂symbol almost everywhere: the continuity check has dealt with the rest.

    Every symbol counts as real here, or SymPy would differentiate |x| into real and
    imaginary parts.
    """
    real = {s: sp.Dummy(s.name, real=True, positive=s.is_positive) for s in F.free_symbols if not s.is_real}
    back = {dummy: s for s, dummy in real.items()}
    result = sp.diff(elementary(F.xreplace(real)), real.get(symbol, symbol))
    result = result.replace(sp.DiracDelta, lambda *args: sp.S.Zero)
    result = result.replace(
        lambda e: isinstance(e, (sp.Derivative, sp.Subs)) and e.has(sp.floor, sp.ceiling, sp.sign, sp.Heaviside) and not e.has(AppliedUndef),
        lambda e: sp.S.Zero,
    )
    return result.xreplace(back)


# --- when they are sound ---------------------------------------------------------------


def _no_path(each: Law) -> str:
    if each.is_discrete:
        return (
            f"pathwise: {each.variable} is discrete, and its draws do not move smoothly with the parameter. "
            "Use score_function, or sum over its values (exact)"
        )
    return (
        f"pathwise: {each.variable} has an abstract density and no path is known. Write x = g(eps, theta) with a base "
        "variable eps yourself, and differentiate Expectation(F(g(eps, theta))); or use score_function"
    )


def _require_continuum(J: Expectation, theta: sp.Symbol) -> None:
    counts = [each.parameters[0] for each in J.laws if isinstance(each.distribution, BinomialDistribution)]
    if theta.is_integer or any(sp.sympify(n).has(theta) for n in counts):
        raise UnsoundEstimator(
            f"{theta} is a whole number: there is no derivative with respect to it. "
            "Compare two expectations, E at n + 1 minus E at n, instead"
        )


def _require_fixed_support(F: sp.Expr, each: Law, theta: sp.Symbol) -> None:
    r"""The score function misses the boundary term :math:`F p \,\partial_\theta e` of a moving edge e."""
    if each.is_finite:
        if each.family is None and any(value.has(theta) for value in each.table):
            raise UnsoundEstimator(
                f"score_function: a value that {each.variable} takes depends on {theta}, so the support moves. "
                "Put that value into the integrand instead"
            )
        return
    if not isinstance(each.support, sp.Interval):
        return
    for edge, inwards in ((each.support.inf, 1), (each.support.sup, -1)):
        if edge.has(theta):
            term = one_sided_limit(elementary(F * each.density), each.symbol, edge, inwards)
            if term is None or sp.simplify(term) != 0:
                missing = "" if term is None else f", so it would miss the boundary term with F*p = {sp.simplify(term)}"
                raise UnsoundEstimator(
                    f"score_function: the support of {each.variable} ~ {each.name} ends at {edge}, which moves with {theta}"
                    f"{missing}. Use pathwise, or write {each.variable} through a variable whose support is fixed"
                )


#: Functions that are continuous on the whole real line. What is neither here nor treated
#: in :func:`suspects` cannot be decided, and is refused.
_MONOTONE = (sp.exp, sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfc, sp.erfi, sp.Abs, sp.Max, sp.Min)
_CONTINUOUS = (*_MONOTONE, sp.sin, sp.cos, sp.cosh, sp.sinc, sp.Si, sp.fresnels, sp.fresnelc, sp.airyai, sp.airybi)
_JUMPS = (sp.Heaviside, sp.sign, sp.floor, sp.ceiling)
_BY_HAND = "Integrate over the jump by hand, or smooth it and measure the bias"


def require_continuous(rule: str, J: Expectation, theta: sp.Symbol, moving_x: bool) -> None:
    """Refuse a jump of the integrand that the derivative would miss.

    A jump matters where the derivative moves x across it (pathwise) or moves the jump
    itself (both rules, through the direct term).
    """
    F = elementary(J.plain.xreplace({each.symbol: _signed(each) for each in J.laws}))
    variables = {_signed(each) for each in J.laws}
    for each in J.laws:
        x = _signed(each)
        moved = moving_x and theta in each.free_symbols
        if not moved and not F.has(theta):
            continue
        for surface, why in suspects(F):
            if not moved and not surface.has(theta):
                continue
            if not surface.has(x):
                # Another variable's surface is its own business; a jump in θ alone is ours. (A pole in
                # θ alone hides nothing: the derivative is right wherever F is finite.)
                if why == "jump" and surface.has(theta) and not surface.free_symbols & variables:
                    raise UnsoundEstimator(f"{rule}: the integrand may jump in {theta} where {surface} = 0. {_BY_HAND}")
                continue
            if why == "unknown":
                raise UnsoundEstimator(
                    f"{rule}: whether {surface} is continuous cannot be decided. "
                    f'If you know that it is, state it: {rule}(J, {theta}, assume="continuous"). Otherwise: '
                    + _instead(rule, surface, theta)
                )
            for root in _roots(rule, surface, x, each, theta):
                if moved or root.has(theta):
                    _refuse_jump(rule, F, x, root, theta)


def _signed(each: Law) -> sp.Symbol:
    """The variable's plain symbol, with the sign that its support gives it."""
    if each.is_abstract or each.support.inf.is_nonnegative is not True:
        return each.symbol
    sign = {"nonnegative": True} if each.is_discrete else {"positive": True}
    return sp.Symbol(each.symbol.name, real=True, **sign)


def elementary(F: sp.Expr) -> sp.Expr:
    """frac and Mod, written with floor."""
    return F.replace(lambda e: isinstance(e, (sp.frac, sp.Mod)), lambda e: e.rewrite(sp.floor))


def _instead(rule: str, where: sp.Expr, theta: sp.Symbol) -> str:
    """The score function minds a jump only where θ moves it."""
    if rule == "pathwise" and not where.has(theta):
        return "Use score_function, which does not differentiate the integrand in x"
    return _BY_HAND


def suspects(node: sp.Expr):
    """Pairs (surface, kind): F may have a "jump" or a "pole" where the surface is zero; or is "unknown"."""
    if not node.free_symbols or node.is_Symbol:
        return
    parts = node.args
    if isinstance(node, sp.Piecewise):
        for _, condition in node.args:
            for relation in _relations(condition):
                if relation is None:
                    yield node, "unknown"
                else:
                    parts += relation.args
                    yield relation.lhs - relation.rhs, "jump"
        parts = [value for value, _ in node.args] + [p for p in parts if not isinstance(p, sp.Tuple)]
    elif isinstance(node, (sp.Heaviside, sp.sign)):
        parts = node.args[:1]
        yield node.args[0], "jump"
    elif isinstance(node, (sp.floor, sp.ceiling)):
        # Any whole number is a jump; look at a general one.
        yield node.args[0] - sp.Dummy("m", integer=True), "jump"
    elif isinstance(node, sp.log):
        yield node.args[0], "pole"
    elif isinstance(node, sp.Pow):
        if not node.base.free_symbols:
            if not node.base.is_positive:
                yield node, "unknown"
        elif not (node.exp.is_nonnegative or node.base.is_positive):
            yield node.base, "pole"
    elif isinstance(node, (sp.tan, sp.sec)):
        yield sp.cos(node.args[0]), "pole"
    elif isinstance(node, (sp.cot, sp.csc)):
        yield sp.sin(node.args[0]), "pole"
    elif isinstance(node, (sp.gamma, sp.loggamma, sp.polygamma)):
        if not node.args[-1].is_positive:
            yield node, "unknown"
    elif isinstance(node, (sp.besselj, sp.besseli)):
        if not (node.order.is_integer and node.order.is_number):
            yield node, "unknown"
    elif not isinstance(node, (sp.Add, sp.Mul, *_CONTINUOUS)):
        yield node, "unknown"
    for part in parts:
        yield from suspects(part)


def _relations(condition):
    """The relations that a condition is made of; ``None`` stands for anything else."""
    if isinstance(condition, sp.core.relational.Relational):
        yield condition
    elif isinstance(condition, BooleanFunction):
        for part in condition.args:
            yield from _relations(part)
    elif condition not in (sp.true, sp.false):
        yield None


def _roots(rule: str, surface: sp.Expr, x: sp.Symbol, each: Law, theta: sp.Symbol) -> list[sp.Expr]:
    """Where the surface crosses zero inside the support of x."""
    try:
        roots = _members(sp.solveset(surface, x, domain=sp.S.Reals))
    except (NotImplementedError, ValueError, TypeError):
        roots = None
    if roots is None:
        raise UnsoundEstimator(
            f"{rule}: cannot find where {surface} crosses zero, so a jump there cannot be excluded. "
            f'If there is none, state it: {rule}(J, {theta}, assume="continuous"). Otherwise: '
            + _instead(rule, surface, theta)
        )
    if each.is_abstract:
        return roots
    hull = sp.Interval(each.support.inf, each.support.sup)
    hull = hull if each.is_discrete else hull.interior
    return [root for root in roots if hull.contains(root) != False]  # noqa: E712 (SymPy's three values)


def _members(roots: sp.Set) -> list[sp.Expr] | None:
    """The roots, with a general member of each infinite family; ``None`` where they are not given explicitly."""
    if roots is sp.S.EmptySet or isinstance(roots, sp.FiniteSet):
        return list(roots)
    if isinstance(roots, sp.Union):
        parts = [_members(part) for part in roots.args]
        return None if None in parts else sum(parts, [])
    if isinstance(roots, sp.Intersection) and sp.S.Reals in roots.args and len(roots.args) == 2:
        # SymPy keeps "∩ Reals" for symbolic roots; a complex one does no harm.
        return _members(next(part for part in roots.args if part != sp.S.Reals))
    if isinstance(roots, sp.ConditionSet) and isinstance(roots.base_set, sp.FiniteSet):
        return list(roots.base_set)
    if isinstance(roots, sp.ImageSet) and roots.base_sets == (sp.S.Integers,):
        # Two concrete members as well, because SymPy's arithmetic with a general one has
        # a defect: it takes tan(2πm + π/2 + t) for tan(t).
        return [roots.lamda(m) for m in (sp.Integer(0), sp.Integer(1), sp.Dummy("m", integer=True))]
    return None


def one_sided_limit(F: sp.Expr, x: sp.Symbol, root: sp.Expr, direction: int) -> sp.Expr | None:
    """The one-sided limit of F at the root; ``None`` where it cannot be found.

    Every function that jumps is first replaced by its value just beside the root, which
    the sign of the leading term in t decides. SymPy's own limits of Heaviside and floor
    are not reliable enough to rest a proof of continuity on.
    """
    t = sp.Dummy("t", positive=True)
    near = F.subs(x, root + direction * t)
    try:
        near = near.replace(
            lambda e: isinstance(e, (*_JUMPS, sp.Abs, sp.core.relational.Relational)), lambda e: _beside(e, t)
        )
        value = _limit(near, t)
    except (_Undecided, NotImplementedError, ValueError, TypeError, AttributeError):
        return None
    undecided = (sp.Limit, sp.AccumBounds, sp.nan, *_JUMPS, sp.core.relational.Relational)
    # 0**a is 0, 1 or infinite, as a is positive, zero or negative.
    zero_power = any(power.base == 0 for power in value.atoms(sp.Pow))
    return None if value.has(*undecided, t) or zero_power else value


class _Undecided(Exception):
    pass


def _limit(a: sp.Expr, t: sp.Symbol) -> sp.Expr:
    """a(0+), where a is built from functions that do not jump.

    A wave whose phase runs off to infinity, such as x*sin(1/x), has no bounded variation
    even where it has a limit: a function of an infinite argument must be monotone.
    """
    for node in a.atoms(sp.Function):
        if node.has(t) and not isinstance(node, (*_MONOTONE, sp.log)):
            if not all(_limit(part, t).is_finite for part in node.args if part.has(t)):
                raise _Undecided
    value = a.subs(t, 0)
    if value.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.AccumBounds):
        value = sp.limit(a, t, 0, "+")
    return value


def _sign_beside(a: sp.Expr, t: sp.Symbol) -> int:
    """The sign of a(t) for small t > 0."""
    a = sp.expand(a)
    if a == 0:
        return 0
    lead = sp.expand(a.as_leading_term(t)) if a.has(t) else a
    if lead.is_positive:
        return 1
    if lead.is_negative:
        return -1
    raise _Undecided


def _beside(node: sp.Expr, t: sp.Symbol) -> sp.Expr:
    """A function's value just beside the root, where it does not jump."""
    if isinstance(node, sp.core.relational.Relational):
        sign = _sign_beside(node.lhs - node.rhs, t)
        return sp.sympify(bool(node.func(sign, 0)))
    a = node.args[0]
    if isinstance(node, sp.Abs):
        try:
            return _sign_beside(a, t) * a
        except _Undecided:  # continuous all the same
            return node
    if isinstance(node, (sp.Heaviside, sp.sign)):
        return node.func(sp.Integer(_sign_beside(a, t)))
    if isinstance(node, sp.ceiling):
        return -_beside(sp.floor(-a, evaluate=False), t)
    at_root = sp.expand(_limit(a, t))
    if not at_root.is_integer:
        if at_root.is_integer is None or not at_root.is_finite:
            raise _Undecided
        return sp.floor(at_root)
    return at_root if _sign_beside(a - at_root, t) >= 0 else at_root - 1


def _refuse_jump(rule: str, F: sp.Expr, x: sp.Symbol, root: sp.Expr, theta: sp.Symbol) -> None:
    where = f"{x} = {root}".replace("_m", "m") + (", m a whole number" if root.has(sp.Dummy) else "")
    instead = _instead(rule, root, theta)
    right, left = one_sided_limit(F, x, root, 1), one_sided_limit(F, x, root, -1)
    if right is None or left is None:
        raise UnsoundEstimator(
            f"{rule}: the integrand may jump at {where}, and whether it does cannot be decided. "
            f'If it does not, state it: {rule}(J, {theta}, assume="continuous"). Otherwise: {instead}'
        )
    if right.has(sp.zoo, sp.oo, -sp.oo) or left.has(sp.zoo, sp.oo, -sp.oo):
        raise UnsoundEstimator(f"{rule}: the integrand has a pole at {where}. {instead}")
    jump = sp.simplify(right - left)
    if jump != 0:
        raise UnsoundEstimator(
            f"{rule}: the integrand jumps by {str(jump).replace('_m', 'm')} at {where}, and its derivative, taken draw by draw, "
            f"misses the jump. {instead}"
        )
