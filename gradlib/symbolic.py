r"""Equalities between expectations, proved by rewriting.

Every expectation is *lowered* to the integral (or sum) that it stands for, in plain symbols:

.. math:: \mathbb{E}_{x \sim p_\theta}[F(x)] \;\mapsto\; \int F(x)\, p_\theta(x)\, dx.

A prover then shows that the difference of two sides vanishes identically. Each
integral is an opaque function of its free symbols; linearity is spelled out term by term;
an integral gives way to a value only where that is certain (a density's mass, Gaussian and
exponential moments, polynomials); and terms over one range are merged under one integral,
whose integrand has to vanish with undefined functions and their derivatives as free symbols.

What this cannot do by itself has to be *named*, and is recorded as an assumption where it is
not proved: differentiation under the integral sign (``"exchange"``), the total mass of an
abstract density (``"normalised"``), integration by parts (:class:`~gradlib.Boundary`), a
change of variables (:class:`~gradlib.Substitution`), and any other statement, which replaces
its left side by its right side.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.stats.rv import RandomSymbol

from gradlib.expectation import Expectation
from gradlib.families import Law, law

EXCHANGE, NORMALISED = "exchange", "normalised"
JUMPING = (sp.Piecewise, sp.Heaviside, sp.sign, sp.floor, sp.ceiling, sp.frac, sp.Mod)


class FalseStep(ArithmeticError):
    """A step that does not hold, or for which there is no evidence."""


class Undecided(Exception):
    """This way of checking, symbolic or numeric, cannot say anything."""


# --- lowering: expectations to the integrals they stand for -----------------------------


def lower(expression):
    r"""Every expectation as the integral or sum it stands for, in plain symbols.

    Finite laws are enumerated. Nothing is evaluated, and no integral is differentiated.
    """
    expression = sp.sympify(expression)
    if isinstance(expression, sp.MatrixBase):
        return sp.ImmutableMatrix(expression.applyfunc(lower))
    if isinstance(expression, RandomSymbol):
        return law(expression).symbol
    if isinstance(expression, Expectation):
        return _lower_expectation(expression)
    if not expression.has(Expectation, RandomSymbol):
        return expression
    args = [lower(a) for a in expression.args]
    matrices = [a for a in args if isinstance(a, sp.MatrixBase)]
    if not matrices:
        return expression.func(*args)
    if isinstance(expression, sp.Derivative):
        return args[0].applyfunc(lambda entry: sp.Derivative(entry, *args[1:]))
    if isinstance(expression, sp.Add):
        return sp.ImmutableMatrix(sum(args[1:], args[0]))
    if isinstance(expression, sp.Mul) and len(matrices) == 1:
        return matrices[0] * sp.Mul(*(a for a in args if not isinstance(a, sp.MatrixBase)))
    raise ValueError(f"cannot read the vector-valued expression {expression}")


def _lower_expectation(J: Expectation):
    if J.is_vector:
        return sp.ImmutableMatrix([_lower_expectation(Expectation(f, J.variables)) for f in J.components])
    for each in J.laws:
        if each.symbol in J.integrand.free_symbols:
            raise ValueError(f"{J} holds the random variable {each.variable} and the plain symbol {each.symbol}, which prints alike: write the random one")
    body, limits, sums = lower(J.integrand), [], []
    for each in J.laws:
        if each.is_finite:
            # Integrals already inside `body` bind their own variable: `subs` leaves it alone.
            body = sum((body.subs(each.symbol, value) * weight for value, weight in each.table.items()), sp.S.Zero)
        else:
            body = body * each.density
            (sums if each.is_discrete else limits).append((each.symbol, *_ends(each)))
    if limits:
        body = sp.Integral(body, *limits)
    return sp.Sum(body, *sums) if sums else body


def _ends(each: Law) -> tuple[sp.Expr, sp.Expr]:
    """The range of integration or summation of a law that is not finite."""
    if each.is_discrete:
        return {sp.S.Naturals0: sp.S.Zero, sp.S.Naturals: sp.S.One}[each.support], sp.oo
    return each.support.start, each.support.end


def entries(side) -> list:
    """The entries of a matrix; anything else is its own only entry."""
    return list(side) if isinstance(side, sp.MatrixBase) else [side]


def laws_of(expressions: Iterable) -> list[Law]:
    """The laws of all random variables in sight, each once, in a fixed order."""
    variables = set().union(*(sp.sympify(e).atoms(RandomSymbol) for e in expressions))
    return sorted(map(law, variables), key=lambda each: (str(each.variable), str(each.distribution)))


def bound_symbols(e) -> set[sp.Symbol]:
    """The variables of integration and summation."""
    return {limit[0] for integral in e.atoms(sp.Integral, sp.Sum) for limit in integral.limits}


# --- rules that a step may name -------------------------------------------------------
#
# "exchange" and "normalised" are switches of the prover. The others rewrite the lowered
# difference of the two sides by something that is equal under the assumption they name.


def _plain_variable(variable, what: str) -> tuple[sp.Symbol, sp.Expr, sp.Expr]:
    """(x, a, b) of a continuous random symbol, or of a tuple given as such."""
    if isinstance(variable, RandomSymbol):
        each = law(variable)
        if each.is_discrete:
            raise ValueError(f"{what} needs a continuous variable, and {variable} is discrete")
        return (each.symbol, *_ends(each))
    return tuple(map(sp.sympify, variable))


@dataclass(frozen=True)
class Boundary:
    r"""Integration by parts: :math:`\int_a^b W'(x)\,dx = W(b) - W(a) = 0`.

    The step ``left = right`` holds if the integrands of left - right add up to
    :math:`W'` identically, which is checked. That W is smooth and vanishes at both ends is
    proved where W is concrete, and recorded as an assumption where it is not.

    Args:
        witness: W, the density included, in the random symbol or its plain symbol.
        variable: the random symbol, or ``(x, a, b)``.
    """

    witness: sp.Expr
    variable: object

    def apply(self, prover: Prover, difference: sp.Expr) -> sp.Expr:
        x, a, b = _plain_variable(self.variable, "Boundary")
        w = lower(self.witness)
        _refuse_jumps("the boundary witness", w)
        vanishing = not w.atoms(AppliedUndef) and _vanishes_at(w, x, a, "+") and _vanishes_at(w, x, b, "-")
        if not (vanishing and _is_smooth(w, x, a, b)):
            prover.assumed.append("boundary")
        return difference - sp.Integral(sp.Derivative(w, x), (x, a, b))


def _vanishes_at(w: sp.Expr, x: sp.Symbol, end: sp.Expr, side: str) -> bool:
    """True if the limit is 0, False if SymPy cannot say; another limit is an error."""
    try:
        value = sp.limit(w, x, end, side)
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return False
    if value.is_zero is False or value.is_infinite:
        raise FalseStep(f"the boundary witness does not vanish: its limit at {x} -> {end} is {value}")
    return value == 0


def _refuse_jumps(what: str, e: sp.Expr) -> None:
    if e.has(*JUMPING):
        raise FalseStep(f"{what} {e} may jump, and its derivative does not see that")


def _is_smooth(e: sp.Expr, x: sp.Symbol, a: sp.Expr, b: sp.Expr) -> bool:
    """True only if e is, at sight, differentiable in x between a and b."""
    inside = _bound_symbol(0, a, b)
    e, x = e.xreplace({x: inside}), inside
    entire = (sp.Add, sp.Mul, sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.erf)

    def smooth(part) -> bool:
        if part == x or not part.has(x):
            return True
        if isinstance(part, sp.Pow) and x not in part.exp.free_symbols:
            allowed = part.base.is_positive or part.exp.is_Integer and part.exp > 0
        else:
            allowed = isinstance(part, entire) or isinstance(part, (sp.log, sp.Pow)) and part.args[0].is_positive
        return bool(allowed) and all(map(smooth, part.args))

    return smooth(e)


@dataclass(frozen=True)
class Substitution:
    r"""Change of variables :math:`x = g(\varepsilon)`: :math:`\int h(x)\,dx = \int h(g(\varepsilon))\,g'(\varepsilon)\,d\varepsilon`.

    That g is smooth, increases and maps one range onto the other is proved where SymPy can
    (:math:`g' > 0`, limits at the ends), and recorded as an assumption where not.

    Args:
        variable: the random symbol x that goes, or ``(x, a, b)``.
        map: :math:`g(\varepsilon)`.
        over: the random symbol ε that comes, or ``(eps, a, b)``.
    """

    variable: object
    map: sp.Expr
    over: object

    def apply(self, prover: Prover, difference: sp.Expr) -> sp.Expr:
        old, new = _plain_variable(self.variable, "Substitution"), _plain_variable(self.over, "Substitution")
        (x, *ends), (eps, start, end) = old, new
        g = lower(self.map)
        _refuse_jumps(f"the map {x} =", g)
        slope = sp.diff(g, eps)
        if slope.is_negative:
            raise FalseStep(f"the map {x} = {g} decreases: write the substitution with an increasing map")
        increasing = not g.atoms(AppliedUndef) and slope.is_positive and _is_smooth(g, eps, start, end)
        if not (increasing and [sp.limit(g, eps, start, "+"), sp.limit(g, eps, end, "-")] == ends):
            prover.assumed.append("change of variables")

        def replace(integral):
            limits = [tuple(limit) for limit in integral.limits]
            if old not in limits or any(x in e.free_symbols for limit in limits for e in limit[1:]):
                return integral
            if eps != x and integral.has(eps) or (g.free_symbols - {eps}) & bound_symbols(integral.function):
                raise FalseStep(f"the integral over {x} holds a symbol of {x} = {g} already: substitute another one")
            limits[limits.index(old)] = new
            return sp.Integral(integral.function.subs(x, g) * slope, *limits)

        return difference.replace(lambda e: isinstance(e, sp.Integral), replace)


@dataclass(frozen=True)
class Rewrite:
    """Another statement as a rule: its left side is replaced by its right side.

    A definition's name is spelled out everywhere, under derivatives too. Any other
    statement replaces exact occurrences only, and none under a derivative in one of its own
    symbols: a hypothesis might hold at one point only.

    Args:
        label: the statement's label.
        lhs, rhs: its two sides.
        defines: the left side is a declared name, a symbol or a function of symbols.
        supposed: a hypothesis: nothing has checked the statement.
    """

    label: str
    lhs: sp.Expr
    rhs: sp.Expr
    defines: bool = False
    supposed: bool = False

    def apply(self, prover: Prover | None, expression: sp.Expr) -> sp.Expr:
        left, right = lower(self.lhs), lower(self.rhs)
        if isinstance(left, sp.MatrixBase) or isinstance(right, sp.MatrixBase):
            raise ValueError(f"{self.label} is matrix-valued and cannot be used as a rule")
        self._refuse_capture(left, right, expression)
        if self.defines:
            if isinstance(left, sp.Symbol):
                return expression.subs(left, right)
            return expression.replace(left.func, sp.Lambda(left.args, right))

        def walk(e):
            if e == left:
                return right
            if not e.args or isinstance(e, (sp.Derivative, sp.Subs)) and set(e.variables) & left.free_symbols:
                return e
            return e.func(*map(walk, e.args))

        return walk(expression)

    def _refuse_capture(self, left, right, expression) -> None:
        """A symbol that is free in the rule must not become a variable of integration."""
        free = right.free_symbols - left.free_symbols | ({left} if isinstance(left, sp.Symbol) else set())
        taken = free & bound_symbols(expression)
        if self.defines and not isinstance(left, sp.Symbol):
            calls = expression.atoms(left.func)
            taken |= bound_symbols(right) & set().union(*(call.free_symbols for call in calls))
        if taken and expression.has(left.func if self.defines and left.args else left):
            names = ", ".join(sorted(map(str, taken)))
            raise ValueError(f"{self.label} as a rule would confuse two meanings of {names}, free here and integrated over there: rename one")


# --- the prover -------------------------------------------------------------------------


class Prover:
    """Shows that two sides are equal, using only the rules that were named.

    Args:
        rules: rules in the order in which they apply, and the names of switches.
        laws: the laws whose densities have integral 1.
        cross_checked: random instances look at the result, too. Without them no hypothesis
            counts under a derivative in its own symbols.
    """

    def __init__(self, rules: Sequence, laws: Sequence[Law], cross_checked: bool = False):
        self.named = {r for r in rules if isinstance(r, str)}
        self.rules = [r for r in rules if not isinstance(r, str)]
        self.laws, self.cross_checked = laws, cross_checked
        self.densities = [(each, each.density) for each in laws if not each.is_finite]
        self.positive = {each.density.func for each in laws if each.is_abstract}
        self.integrals: dict[sp.Expr, tuple] = {}  # opaque symbol -> (kind, integrand, limits)
        self.leaves: set[sp.Expr] = set()  # those of a single term, which linearity cannot split
        self.assumed: list[str] = [r for r in rules if isinstance(r, str)]

    def equal(self, left, right) -> bool:
        """True only if left = right is established; False says nothing."""
        left, right = lower(left), lower(right)
        if self.same_derivative(left, right):
            # Equal functions of the parameter have equal derivatives: no exchange is needed.
            inner = Prover([*self.assumed, *self.rules], self.laws, self.cross_checked)
            if inner.equal(left.expr, right.expr):
                self.assumed = inner.assumed
                return True
        difference = left - right
        for rule in self.rules:
            difference = rule.apply(self, difference)
        try:
            hidden = self.hide(difference)
            if any(e.has(sp.DiracDelta) for e in (hidden, *(f for _, f, _ in self.integrals.values()))):
                return False  # the derivative of a jump: SymPy's formal value is not ours
            return self.is_zero(self.open(hidden))
        except Undecided:
            return False

    def same_derivative(self, left, right) -> bool:
        if not (isinstance(left, sp.Derivative) and isinstance(right, sp.Derivative) and left.args[1:] == right.args[1:]):
            return False
        hypotheses = [r for r in self.rules if isinstance(r, Rewrite) and r.supposed]
        return self.cross_checked or not any(lower(side).has(*left.variables) for r in hypotheses for side in (r.lhs, r.rhs))

    # Each integral becomes a function of its free symbols, so that SymPy's product and
    # chain rules act on it, but cannot see (let alone differentiate) what is inside.

    def hide(self, e):
        if isinstance(e, (sp.Integral, sp.Sum)):
            return self.integral(type(e), self.hide(e.function), e.limits)
        if not e.has(sp.Integral, sp.Sum):
            return e.doit()
        if isinstance(e, sp.Derivative):
            inner = self.hide(e.expr)
            for variable in e.variables:
                inner = self.differentiate(inner, variable)
            return inner
        return e.func(*map(self.hide, e.args))

    def integral(self, kind, integrand, limits):
        if any(len(limit) != 3 or any(e.has(sp.Integral, sp.Sum) for e in limit) for limit in limits):
            raise Undecided  # an indefinite integral, or one between integrals
        names = {limit[0]: _bound_symbol(i, *limit[1:]) for i, limit in enumerate(limits)}
        limits = tuple((names[x], a.xreplace(names), b.xreplace(names)) for x, a, b in limits)
        integrand = integrand.xreplace(names)  # the opaque integrals inside hold no bound symbols
        for opaque, record in self.integrals.items():
            if record == (kind, integrand, limits):
                return opaque
        free = integrand.free_symbols.union(*(e.free_symbols for limit in limits for e in limit[1:])) - set(names.values())
        opaque = sp.Function(f"_I{len(self.integrals)}")(*sorted(free, key=str))
        self.integrals[opaque] = (kind, integrand, limits)
        return opaque

    def differentiate(self, inner, variable):
        result = sp.diff(inner, variable)
        inside = {}
        for derivative in result.atoms(sp.Derivative):
            record = self.integrals.get(derivative.expr)
            if record and self.may_exchange(record):
                value = derivative.expr
                for each in derivative.variables:
                    value = self.under_the_integral(value, each)
                inside[derivative] = value
        return result.xreplace(inside)

    def may_exchange(self, record) -> bool:
        kind, _, limits = record
        finite_sum = kind is sp.Sum and all(e.is_finite for limit in limits for e in limit[1:])
        return EXCHANGE in self.named or bool(finite_sum)

    def under_the_integral(self, opaque, variable):
        """Leibniz' rule, moving limits included."""
        kind, integrand, limits = self.integrals[opaque]
        if any(condition.has(variable) for piecewise in integrand.atoms(sp.Piecewise) for _, condition in piecewise.args):
            raise Undecided  # a jump that moves: SymPy's derivative does not see it
        total = self.integral(kind, sp.diff(integrand, variable).doit(), limits)
        if any(variable in e.free_symbols for limit in limits for e in limit[1:]):
            if len(limits) > 1 or kind is sp.Sum:
                raise Undecided
            ((x, a, b),) = limits
            total += integrand.subs(x, b) * sp.diff(b, variable) - integrand.subs(x, a) * sp.diff(a, variable)
        return total

    def open(self, e):
        """Spell out linearity, products of independent factors and known integrals."""
        closed = [o for o in self.integrals if o not in self.leaves and e.has(o)]
        if not closed:
            return e
        return self.open(e.xreplace({opaque: self.linear(*self.integrals[opaque]) for opaque in closed}).doit())

    def linear(self, kind, integrand, limits):
        bound = [limit[0] for limit in limits]
        if len(bound) > 1:  # cos(x + y) comes apart as exponentials only
            integrand = _as_exponentials(integrand, (sp.sin, sp.cos), lambda e: len(e.free_symbols & set(bound)) > 1)
        total = sp.S.Zero
        for term in sp.Add.make_args(_expand(integrand)):
            constant, rest = term.as_independent(*bound, as_Add=False)
            if term != 0:
                total += constant * sp.Mul(*(self.known(kind, *part) for part in _separate(rest, limits)))
        return total

    def known(self, kind, f, limits):
        """One integral of a single term: its value where that is certain, else opaque."""
        if not limits:
            return f
        if len(limits) == 1:
            ((x, *ends),) = limits
            densities = [
                density.xreplace({each.symbol: x})
                for each, density in self.densities
                if (kind is sp.Sum) == each.is_discrete and ends == list(_ends(each)) and (NORMALISED in self.named or not each.is_abstract)
            ]
            if isinstance(f, sp.Derivative) and self.named >= {EXCHANGE, NORMALISED} and f.expr in densities and x not in f.variables:
                return sp.S.Zero  # the derivative of the constant 1
            for density in densities:
                if (ratio := _constant_ratio(f, density, x)) is not None:
                    return ratio
            if kind is sp.Integral and (value := closed_form(f, x, *ends)) is not None:
                return value
        opaque = self.integral(kind, f, limits)
        self.leaves.add(opaque)
        return opaque

    def is_zero(self, e) -> bool:
        """Zero as a linear combination of integrals: merge those over the same range."""
        leaves = [o for o in self.integrals if e.has(o)]
        buckets: dict = {}
        for term in sp.Add.make_args(_expand(e)):
            held = [d for d in term.atoms(sp.Derivative) if d.has(*leaves)] if leaves else []
            constant, monomial = term.as_independent(*leaves, *held, as_Add=False)
            if monomial in self.integrals:
                kind, integrand, limits = self.integrals[monomial]
                key, value = (kind, limits), constant * integrand
            else:
                key, value = monomial, constant
            buckets[key] = buckets.get(key, 0) + value
        return all(_vanishes(value, self.positive) for value in buckets.values())


# --- canonical forms --------------------------------------------------------------------


def _bound_symbol(i: int, a, b) -> sp.Symbol:
    domain = {"positive": True} if (a, b) == (0, sp.oo) else {"real": True}
    return sp.Symbol(f"_x{i}", **domain)


def _expand(e):
    """Distribute products over sums; leave powers and logarithms as they are."""
    return sp.expand(e, power_base=False, power_exp=False, log=False)


def _as_exponentials(e, functions, wanted=lambda _: True):
    return e.replace(lambda part: isinstance(part, functions) and wanted(part), lambda part: part.rewrite(sp.exp))


def _separate(f, limits) -> list[tuple]:
    """f(x) g(y) over (x, y), factor by factor, each with its own limits; what is constant first."""
    bound = {limit[0] for limit in limits}
    if any(e.free_symbols & bound for limit in limits for e in limit[1:]):
        return [(f, limits)]
    constant = sp.S.One
    groups: list[tuple[set, sp.Expr]] = [({limit[0]}, sp.S.One) for limit in limits]
    for factor in sp.Mul.make_args(sp.powsimp(f, combine="exp", deep=False)):
        for piece in _exponentials(factor):
            touched = piece.free_symbols & bound
            if not touched:
                constant *= piece
                continue
            meeting = [g for g in groups if g[0] & touched]
            groups = [g for g in groups if not g[0] & touched]
            groups.append((set().union(*(g[0] for g in meeting)), sp.Mul(piece, *(g[1] for g in meeting))))
    parts = [(constant, ())]
    for variables, factor in groups:
        own = [limit for limit in limits if limit[0] in variables]
        names = {x: _bound_symbol(i, a, b) for i, (x, a, b) in enumerate(own)}
        parts.append((factor.xreplace(names), tuple((names[x], a, b) for x, a, b in own)))
    return parts


def _exponentials(factor) -> tuple:
    """exp(a + b) as exp(a), exp(b): so that a product of densities comes apart."""
    if isinstance(factor, sp.exp):
        return tuple(sp.exp(a, evaluate=False) for a in sp.Add.make_args(sp.expand(factor.exp)))
    return (factor,)


def _constant_ratio(f, density, x):
    """c, if f = c * density identically in x; else None."""
    if f.atoms(AppliedUndef, sp.Piecewise) != density.atoms(AppliedUndef, sp.Piecewise):
        return None  # spares SymPy the vain attempt
    ratio = sp.powsimp(sp.expand(sp.cancel(f / density)), combine="exp")
    if x in ratio.free_symbols:
        ratio = sp.simplify(ratio)
    return None if x in ratio.free_symbols else ratio


def closed_form(f, x, a, b):
    r"""A short list of integrals that are certain, and cheap.

    * :math:`\int_{-\infty}^\infty x^n e^{-\alpha x^2 + \beta x}dx` with α > 0 (sine and cosine as
      complex exponentials): :math:`\sqrt{\pi/\alpha}\, e^{\beta^2/4\alpha}\, \mathbb{E}[z^n]`, z Gaussian with mean
      :math:`\beta/2\alpha` and variance :math:`1/2\alpha`;
    * :math:`\int_0^\infty x^n e^{-\alpha x}dx = n!/\alpha^{n+1}` with α > 0;
    * polynomials over a bounded interval.
    """
    f = _as_exponentials(f, (sp.sin, sp.cos), lambda e: e.has(x))
    total = sp.S.Zero
    for term in sp.Add.make_args(_expand(f)):
        exponent, rest = sp.S.Zero, sp.S.One
        for factor in sp.Mul.make_args(term):
            base, power = factor.as_base_exp()
            if base == sp.E and power.has(x):
                exponent += power
            else:
                rest *= factor
        exponent = sp.expand(exponent)
        if not (rest.is_polynomial(x) and exponent.is_polynomial(x)):
            return None
        polynomial, q = sp.Poly(rest, x), sp.Poly(exponent, x)
        if (a, b) == (-sp.oo, sp.oo) and q.degree() == 2:
            alpha, beta, c = -q.coeff_monomial(x**2), q.coeff_monomial(x), q.coeff_monomial(1)
            if not alpha.is_positive:
                return None
            mean, variance = beta / (2 * alpha), 1 / (2 * alpha)
            moments = [sp.S.One, mean]
            for n in range(2, polynomial.degree() + 1):
                moments.append(mean * moments[-1] + (n - 1) * variance * moments[-2])
            scale = sp.sqrt(sp.pi / alpha) * sp.exp(sp.expand(beta**2 / (4 * alpha) + c))
            total += scale * sum(k * moments[n] for (n,), k in polynomial.terms())
        elif (a, b) == (0, sp.oo) and q.degree() == 1:
            alpha, c = -q.coeff_monomial(x), q.coeff_monomial(1)
            if not alpha.is_positive:
                return None
            total += sp.exp(c) * sum(k * sp.factorial(n) / alpha ** (n + 1) for (n,), k in polynomial.terms())
        elif a.is_finite and b.is_finite and q.degree() <= 0:
            antiderivative = polynomial.integrate(x).as_expr()
            total += sp.exp(exponent) * (antiderivative.subs(x, b) - antiderivative.subs(x, a))
        else:
            return None
    return total


def free_of_functions(e, positive=()):
    """e with derivatives and function values as independent real symbols.

    Those of the functions in ``positive`` (densities) are positive. This can only make an
    identity, or a sign, harder to hold.
    """
    for kind in (sp.Subs, sp.Derivative, AppliedUndef):
        for atom in sorted(e.atoms(kind), key=lambda a: (-sp.count_ops(a), str(a))):
            e = e.xreplace({atom: sp.Dummy("f", **({"positive": True} if atom.func in positive else {"real": True}))})
    return e


def _vanishes(e, positive: set) -> bool:
    """Does e vanish identically, with every undefined function a free symbol?"""
    if e == 0:
        return True
    e = free_of_functions(e.doit(), positive)
    if _expand(e) == 0:
        return True
    if not _vanishes_at_random_points(e):
        return False  # spares SymPy the vain attempt
    return any(attempt(e) == 0 for attempt in (sp.expand, sp.cancel, lambda z: sp.expand(sp.expand_log(z)), _by_exponentials, sp.simplify))


def _by_exponentials(e):
    e = _as_exponentials(e, (sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh))
    return sp.powsimp(sp.expand(sp.powsimp(sp.expand(e), combine="exp", deep=True)), combine="exp", deep=True)


def _vanishes_at_random_points(e) -> bool:
    rng = random.Random(1)
    for _ in range(2):
        at = {s: sp.Float(draw(s, rng), 30) for s in in_order(e.free_symbols)}
        value = e.subs(at).evalf(20, chop=False)
        if value.is_number and value.is_finite and abs(value) > 1e-8:
            return False
    return True


def in_order(symbols: Iterable[sp.Symbol]) -> list[sp.Symbol]:
    """Symbols in an order that does not depend on the run; namesakes by their assumptions."""
    return sorted(symbols, key=lambda s: (s.name, str(s.assumptions0)))


def draw(symbol: sp.Symbol, rng: random.Random, wide: bool = False) -> mpmath.mpf:
    """A random value in the declared domain of a symbol; coarse, so that it can be printed."""
    if symbol.is_integer:
        low = 1 if symbol.is_positive else 0 if symbol.is_nonnegative else -3
        return mpmath.mpf(rng.randint(low, 12 if wide else 4))
    size = rng.randint(*((1, 80) if wide else (5, 24))) / mpmath.mpf(16)
    return -size if symbol.is_negative or (not symbol.is_nonnegative and rng.random() < 0.5) else size
