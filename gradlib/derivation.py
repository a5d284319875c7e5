r"""Statements that cannot be wrong in print.

A :class:`Derivation` is a chain of equalities, :math:`a_0 = a_1 = \dots = a_n`, each with
its reason. Each is *checked* when the object is made; only a chain that passed can print.
There are two kinds of check, and the printed evidence never blurs them:

* **symbolic**: every :class:`~gradlib.Expectation` becomes the integral (or sum) that it
  stands for, every integral an opaque symbol, linearity is spelled out, and what is left of
  the difference of the two sides has to vanish identically. A step on which the symbolic
  path needs more (:math:`\nabla` under the integral sign, integration by parts) must *name*
  it, and then it is recorded as an assumption;
* **numeric**: both sides, as they stand, by quadrature at 25 digits on random concrete
  functions, densities and parameters, with :math:`\nabla` as a difference quotient of the
  whole integral. That is evidence, not proof.

Everything is deterministic: the random instances come from a fixed seed.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.stats.rv import RandomSymbol

from gradlib.expectation import Expectation, latex
from gradlib.families import Law, law

MIME = "application/vnd.gradlib+json"

PROVED = "proved symbolically"
NUMERIC = "agrees to 1e-10 on N random instances"
INEQUALITY = "inequality"
ASSUMPTION = "assumption"
CITED = "cited theorem"
DEFINITION = "definition"
RESTATEMENT = "restatement"
MONTE_CARLO = "Monte Carlo z"
EVIDENCE_KINDS = (PROVED, NUMERIC, INEQUALITY, ASSUMPTION, CITED, DEFINITION, RESTATEMENT, MONTE_CARLO)

TOLERANCE = mpmath.mpf("1e-10")
DIGITS = 25
INSTANCES = 3

EXCHANGE, NORMALISED = "exchange", "normalised"


class FalseStep(ArithmeticError):
    """A step that does not hold, or for which there is no evidence."""


class Undecided(Exception):
    """Internal: this path (symbolic or numeric) cannot say anything."""


# --- rules that a step may name -------------------------------------------------------
#
# "exchange" and "normalised" are switches of the symbolic path. The others rewrite the
# lowered difference of the two sides (integrals in plain symbols) by something that is
# zero, or equal, under the assumption they name.


def _plain_variable(variable, what: str) -> tuple[sp.Symbol, sp.Expr, sp.Expr]:
    """(x, a, b) of a continuous random symbol, or of a tuple given as such."""
    if isinstance(variable, RandomSymbol):
        each = law(variable)
        if each.is_discrete:
            raise ValueError(f"{what} needs a continuous variable, and {variable} is discrete")
        return (each.symbol, each.support.start, each.support.end)
    return tuple(map(sp.sympify, variable))


@dataclass(frozen=True)
class Boundary:
    r"""Integration by parts: :math:`\int_a^b W'(x)\,dx = W(b) - W(a) = 0`.

    The step ``left = right`` holds if the integrands of left - right add up to
    :math:`W'` identically, which is checked. That W vanishes at both ends is proved by
    limits where W is concrete, and recorded as an assumption where it is not.

    Args:
        witness: W, the density included, in the random symbol or its plain symbol.
        variable: the random symbol, or ``(x, a, b)``.
    """

    witness: sp.Expr
    variable: object

    def apply(self, prover: _Prover, difference: sp.Expr) -> sp.Expr:
        x, a, b = _plain_variable(self.variable, "Boundary")
        w = lower(self.witness)
        if w.atoms(AppliedUndef) or not all(_vanishes_at(w, x, end) for end in (a, b)):
            prover.assumed.append("boundary")
        return difference - sp.Integral(sp.Derivative(w, x), (x, a, b))


def _vanishes_at(w: sp.Expr, x: sp.Symbol, end: sp.Expr) -> bool:
    """True if the limit is 0, False if SymPy cannot say; another limit is an error."""
    try:
        value = sp.limit(w, x, end, "-" if end == sp.oo or end.is_finite and end.is_positive else "+")
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return False
    if value.is_zero is False or value.is_infinite:
        raise FalseStep(f"the boundary witness does not vanish: its limit at {x} -> {end} is {value}")
    return value == 0


@dataclass(frozen=True)
class Substitution:
    r"""Change of variables :math:`x = g(\varepsilon)`: :math:`\int h(x)\,dx = \int h(g(\varepsilon))\,g'(\varepsilon)\,d\varepsilon`.

    That g increases and maps one range onto the other is proved where SymPy can
    (:math:`g' > 0`, limits at the ends), and recorded as an assumption where not.

    Args:
        variable: the random symbol x that goes, or ``(x, a, b)``.
        map: :math:`g(\varepsilon)`.
        over: the random symbol ε that comes, or ``(eps, a, b)``.
    """

    variable: object
    map: sp.Expr
    over: object

    def apply(self, prover: _Prover, difference: sp.Expr) -> sp.Expr:
        old, new = _plain_variable(self.variable, "Substitution"), _plain_variable(self.over, "Substitution")
        g = lower(self.map)
        slope = sp.diff(g, new[0])
        increasing = (not g.atoms(AppliedUndef)) and slope.is_positive
        if slope.is_negative:
            raise FalseStep(f"the map {old[0]} = {g} decreases: write the substitution with an increasing map")
        if not (increasing and all(sp.limit(g, new[0], there) == here for here, there in zip(old[1:], new[1:]))):
            prover.assumed.append("change of variables")

        def replace(integral):
            limits = [tuple(limit) for limit in integral.limits]
            if old not in limits or any(old[0] in sp.sympify(e).free_symbols for limit in limits for e in limit[1:]):
                return integral
            limits[limits.index(old)] = new
            return sp.Integral(integral.function.subs(old[0], g) * slope, *limits)

        return difference.replace(lambda e: isinstance(e, sp.Integral), replace)


def _rewrite(expression, statement):
    """Replace a statement's left side by its right side, wherever it occurs.

    A definition's name goes everywhere, under derivatives too. Any other statement
    replaces exact occurrences only, and none under a derivative in one of its own
    symbols: it might hold at one point only.
    """
    left, right = lower(statement.lhs), lower(statement.rhs)
    if isinstance(left, sp.MatrixBase) or isinstance(right, sp.MatrixBase):
        raise ValueError(f"{statement.label} is matrix-valued and cannot be used as a rule")
    if _is_definition(statement):
        if isinstance(left, sp.Symbol):
            return expression.subs(left, right)
        return expression.replace(left.func, sp.Lambda(left.args, right))

    def walk(e):
        if e == left:
            return right
        if not e.args or isinstance(e, (sp.Derivative, sp.Subs)) and set(e.args[1].free_symbols if isinstance(e, sp.Subs) else e.variables) & left.free_symbols:
            return e
        return e.func(*map(walk, e.args))

    return walk(expression)


def _is_definition(rule) -> bool:
    """A declared name, b or F(x, theta): it can be spelled out everywhere."""
    return isinstance(rule, Definition) and not isinstance(rule.lhs, sp.MatrixBase)


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
        x = each.symbol
        if each.is_finite:
            # Integrals already inside `body` bind their own variable: `subs` leaves it alone.
            body = sum((body.subs(x, value) * weight for value, weight in each.table.items()), sp.S.Zero)
        elif each.is_discrete:
            first = {sp.S.Naturals0: 0, sp.S.Naturals: 1}[each.support]
            body, sums = body * each.density, [*sums, (x, first, sp.oo)]
        else:
            body, limits = body * each.density, [*limits, (x, each.support.start, each.support.end)]
    if limits:
        body = sp.Integral(body, *limits)
    return sp.Sum(body, *sums) if sums else body


def _expectations(expression) -> set[Expectation]:
    return set(sp.sympify(expression).atoms(Expectation))


def _laws(expressions: Iterable) -> list[Law]:
    """The laws of all random variables in sight, each once, in a fixed order."""
    variables = set()
    for expression in expressions:
        variables |= sp.sympify(expression).atoms(RandomSymbol)
    return sorted((law(v) for v in variables), key=lambda each: (str(each.variable), str(each.distribution)))


# --- the symbolic path ------------------------------------------------------------------


class _Prover:
    """Shows that two sides are equal, using only the rules that were named."""

    def __init__(self, rules: Sequence, laws: Sequence[Law]):
        self.rules, self.laws = rules, laws
        self.positive = {each.density.func for each in laws if each.is_abstract}
        self.integrals: dict[sp.Expr, tuple] = {}  # opaque symbol -> (kind, integrand, limits)
        self.leaves: set[sp.Expr] = set()  # those of a single term, which linearity cannot split
        self.assumed: list[str] = [r for r in rules if isinstance(r, str)]

    def equal(self, left, right) -> bool:
        """True only if left = right is established; False says nothing."""
        left, right = lower(left), lower(right)
        if isinstance(left, sp.Derivative) and isinstance(right, sp.Derivative) and left.args[1:] == right.args[1:]:
            # Equal functions of the parameter have equal derivatives: no exchange is needed.
            inner = _Prover(self.rules, self.laws)
            if inner.equal(left.expr, right.expr):
                self.assumed = inner.assumed
                return True
        difference = left - right
        for rule in self.rules:
            if isinstance(rule, str):
                continue
            difference = rule.apply(self, difference) if hasattr(rule, "apply") else _rewrite(difference, rule)
        try:
            return self.is_zero(self.open(self.hide(difference)))
        except Undecided:
            return False

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
        if isinstance(e, sp.Subs):
            raise Undecided
        return e.func(*map(self.hide, e.args))

    def integral(self, kind, integrand, limits):
        if any(len(limit) != 3 for limit in limits):
            raise Undecided  # an indefinite integral is not a number
        names = {limit[0]: _bound_symbol(i, *limit[1:]) for i, limit in enumerate(limits)}
        limits = tuple((names[x], a.xreplace(names), b.xreplace(names)) for x, a, b in limits)
        integrand = _substitute(integrand, names)
        free = integrand.free_symbols.union(*(e.free_symbols for limit in limits for e in limit[1:])) - set(names.values())
        for opaque, record in self.integrals.items():
            if record == (kind, integrand, limits):
                return opaque
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
        return EXCHANGE in self.rules or bool(finite_sum)

    def under_the_integral(self, opaque, variable):
        """Leibniz' rule, moving limits included."""
        kind, integrand, limits = self.integrals[opaque]
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
            mixed = lambda e: isinstance(e, (sp.sin, sp.cos)) and len(e.free_symbols & set(bound)) > 1  # noqa: E731
            integrand = integrand.replace(mixed, lambda e: e.rewrite(sp.exp))
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
        if isinstance(f, sp.Derivative) and {EXCHANGE, NORMALISED} <= {r for r in self.rules if isinstance(r, str)}:
            for each in self.laws:  # the derivative of the constant 1
                density = self.density_over(each, kind, limits[0]) if len(limits) == 1 else None
                if f.expr == density and limits[0][0] not in f.variables:
                    return sp.S.Zero
        if len(limits) == 1 and not f.atoms(sp.Derivative):
            for each in self.laws:
                if each.is_finite or (each.is_abstract and NORMALISED not in self.rules):
                    continue
                density = self.density_over(each, kind, limits[0])
                if density is not None and (ratio := _constant_ratio(f, density, limits[0][0])) is not None:
                    return ratio
            if kind is sp.Integral and (value := _closed_form(f, *limits[0])) is not None:
                return value
        opaque = self.integral(kind, f, limits)
        self.leaves.add(opaque)
        return opaque

    def density_over(self, each: Law, kind, limit):
        x, a, b = limit
        if (kind is sp.Sum) != each.is_discrete:
            return None
        ends = ({sp.S.Naturals0: 0, sp.S.Naturals: 1}[each.support], sp.oo) if each.is_discrete else (each.support.start, each.support.end)
        return each.density.xreplace({each.symbol: x}) if ends == (a, b) else None

    def is_zero(self, e) -> bool:
        """Zero as a linear combination of integrals: merge those over the same range."""
        if e.has(sp.DiracDelta):
            return False  # the derivative of a jump: SymPy's formal value is not ours
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


def _bound_symbol(i: int, a, b) -> sp.Symbol:
    name = f"_x{i}"
    return sp.Symbol(name, positive=True) if a == 0 and b == sp.oo else sp.Symbol(name, real=True)


def _substitute(e, names: dict):
    """Rename free symbols (the opaque integrals inside hold no bound ones)."""
    return e.xreplace(names)


def _expand(e):
    """Distribute products over sums; leave powers and logarithms as they are."""
    return sp.expand(e, power_base=False, power_exp=False, log=False)


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
    if f.atoms(AppliedUndef) != density.atoms(AppliedUndef):
        return None
    ratio = sp.powsimp(sp.expand(sp.cancel(f / density)), combine="exp")
    if x in ratio.free_symbols:
        ratio = sp.simplify(ratio)
    return None if x in ratio.free_symbols else ratio


def _closed_form(f, x, a, b):
    r"""A short list of integrals that are certain, and cheap.

    * :math:`\int_{-\infty}^\infty x^n e^{-\alpha x^2 + \beta x}dx` with α > 0 (sine and cosine as
      complex exponentials): :math:`\sqrt{\pi/\alpha}\, e^{\beta^2/4\alpha}\, \mathbb{E}[z^n]`, z Gaussian with mean
      :math:`\beta/2\alpha` and variance :math:`1/2\alpha`;
    * :math:`\int_0^\infty x^n e^{-\alpha x}dx = n!/\alpha^{n+1}` with α > 0;
    * polynomials over a bounded interval.
    """
    if f.atoms(AppliedUndef, sp.Piecewise, sp.Heaviside, sp.Abs, sp.sign, sp.Derivative):
        return None
    f = f.replace(lambda e: isinstance(e, (sp.sin, sp.cos)) and e.has(x), lambda e: e.rewrite(sp.exp))
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


def _vanishes(e, positive: set) -> bool:
    """Does e vanish identically, with every undefined function a free symbol?

    Derivatives and function values become independent real symbols (densities positive),
    which can only make an identity harder to hold.
    """
    e = sp.sympify(e)
    if e == 0:
        return True
    if e.has(sp.Integral, sp.Sum, sp.DiracDelta):
        return False
    e = e.doit()
    for kind in (sp.Subs, sp.Derivative, AppliedUndef):
        atoms = sorted(e.atoms(kind), key=lambda a: (-sp.count_ops(a), str(a)))
        for atom in atoms:
            e = e.xreplace({atom: sp.Dummy("f", **({"positive": True} if atom.func in positive else {"real": True}))})
    if _expand(e) == 0:
        return True
    if not _vanishes_at_random_points(e):
        return False  # spares SymPy the vain attempt
    for attempt in (sp.expand, sp.cancel, lambda z: sp.expand(sp.expand_log(z)), _by_exponentials, sp.simplify):
        if attempt(e) == 0:
            return True
    return False


def _by_exponentials(e):
    trigonometric = (sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh)
    e = e.replace(lambda f: isinstance(f, trigonometric), lambda f: f.rewrite(sp.exp))
    return sp.powsimp(sp.expand(sp.powsimp(sp.expand(e), combine="exp", deep=True)), combine="exp", deep=True)


def _vanishes_at_random_points(e) -> bool:
    rng = random.Random(1)
    for _ in range(2):
        at = {s: sp.Float(_draw(s, rng), 30) for s in sorted(e.free_symbols, key=lambda s: (s.name, str(s.assumptions0)))}
        value = e.subs(at).evalf(20, chop=False)
        if value.is_number and value.is_finite and abs(value) > 1e-8:
            return False
    return True


# --- the numeric path -------------------------------------------------------------------


def _draw(symbol: sp.Symbol, rng: random.Random) -> mpmath.mpf:
    """A random value in the declared domain of a symbol; coarse, so that it can be printed."""
    if symbol.is_integer:
        low = 1 if symbol.is_positive else 0 if symbol.is_nonnegative else -3
        return mpmath.mpf(rng.randint(low, 4))
    size = rng.randint(5, 24) / mpmath.mpf(16)
    return -size if symbol.is_negative or (not symbol.is_nonnegative and rng.random() < 0.5) else size


def _random_function(rng: random.Random) -> Callable:
    """Smooth, of polynomial growth, and with no symmetry that could hide an error."""
    c = [sp.Rational(rng.choice((-1, 1)) * rng.randint(3, 12), 8) for _ in range(6)]

    def function(x, *parameters):
        u = sum((sp.Rational(k + 2, 3) * c[k % 6] * t for k, t in enumerate(parameters)), c[4])
        return c[0] + c[1] * x * (1 + u / 3) + c[2] * sp.cos(c[5] * x + u) + c[3] * sp.exp(-((x - u) ** 2) / 3)

    return function


def _random_density(support: sp.Set, rng: random.Random) -> Callable:
    """A density on the support whose shape depends on every parameter."""
    c = [sp.Rational(rng.choice((-1, 1)) * rng.randint(2, 9), 8) for _ in range(4)]
    kind = rng.choice(("normal", "logistic", "mixture"))

    def density(x, *parameters):
        u = sum((sp.Rational(k + 2, 2) * c[k % 4] * t for k, t in enumerate(parameters)), c[3])
        a, b = support.start, support.end
        if a.is_finite and b.is_finite:
            return (1 + sp.tanh(u) * (2 * (x - a) / (b - a) - 1)) / (b - a)
        scale = 1 + u**2 / 4
        if a.is_finite:
            return (1 + (x - a) / scale) * sp.exp(-(x - a) / scale) / (2 * scale)
        if b.is_finite:
            return (1 + (b - x) / scale) * sp.exp(-(b - x) / scale) / (2 * scale)
        normal = lambda m, s: sp.exp(-((x - m) ** 2) / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))  # noqa: E731
        if kind == "logistic":
            return sp.sech((x - u) / (2 * scale)) ** 2 / (4 * scale)
        if kind == "mixture":
            weight = (2 + sp.tanh(u)) / 4
            return weight * normal(u, scale) + (1 - weight) * normal(c[0] - u, sp.S.One)
        return normal(u, scale)

    return density


def _instance(sides: Sequence[sp.Expr], laws: Sequence[Law], conditions: Sequence, chosen: dict, seed: int) -> tuple[dict, dict]:
    """(function -> callable, symbol -> number) for one concrete case."""
    rng = random.Random(seed)
    functions = {f: v for f, v in chosen.items() if isinstance(f, UndefinedFunction)}
    densities = {each.density.func: each.support for each in laws if each.is_abstract and isinstance(each.density, AppliedUndef)}
    seen = set().union(*(e.atoms(AppliedUndef) for e in sides), *(each.density.atoms(AppliedUndef) for each in laws if each.is_abstract))
    for f in sorted({type(e) for e in seen}, key=str):
        if f not in functions:
            functions[f] = _random_density(densities[f], rng) if f in densities else _random_function(rng)
    symbols = set().union(*(e.free_symbols for e in sides), *(each.free_symbols for each in laws))
    symbols -= {each.symbol for each in laws} - set().union(*(e.free_symbols for e in sides))
    for _ in range(500):
        values = {s: chosen[s] if s in chosen else _draw(s, rng) for s in sorted(symbols, key=lambda s: (s.name, str(s.assumptions0)))}
        if _admissible(values, laws, conditions):
            return functions, {s: mpmath.mpf(v) if not isinstance(v, sp.Basic) else mpmath.mpf(sp.Float(v, DIGITS + 10)) for s, v in values.items()}
    raise Undecided("no random parameters in the declared domains were found: pass instances= or conditions=")


def _admissible(values: dict, laws: Sequence[Law], conditions: Sequence) -> bool:
    exact = {s: sp.Float(v, DIGITS + 10) for s, v in values.items()}
    for each in laws:
        if not each.is_abstract:
            numbers = [sp.sympify(q).subs(exact) for q in each.parameters]
            if all(n.is_number for n in numbers):
                try:
                    each.check(tuple(map(float, numbers)))
                except ValueError:
                    return False
        if each.symbol in values and not each.is_finite:
            inside = each.support.subs(exact).contains(exact[each.symbol])
            if inside == False:  # noqa: E712 (a SymPy boolean)
                return False
    return all(sp.sympify(c).subs(exact) == True for c in conditions)  # noqa: E712


class _Quadrature:
    """A number for an expression at one instance: integrals by quadrature, and a derivative
    of an integral by differences of the whole integral, so nothing is exchanged."""

    def __init__(self, values: dict):
        self.values = values

    def __call__(self, e: sp.Expr) -> mpmath.mpf:
        symbols = tuple(self.values)
        return self.compile(e, symbols)(*self.values.values())

    def compile(self, e, symbols: tuple) -> Callable:
        if isinstance(e, (sp.Integral, sp.Sum)):
            return self.integral(type(e), e.function, e.limits, symbols)
        if isinstance(e, sp.Derivative) and e.has(sp.Integral, sp.Sum):
            return self.derivative(e, symbols)
        if e.has(sp.Integral, sp.Sum):
            held = [a for a in sp.preorder_traversal(e) if _holds_integral(a)]
            tops, covered = [], set()
            for a in held:  # outermost first
                if a not in covered:
                    tops.append(a)
                    covered |= set(sp.preorder_traversal(a))
            names = [sp.Dummy("i") for _ in tops]
            outer = self.compile(e.xreplace(dict(zip(tops, names))), symbols + tuple(names))
            parts = [self.compile(a, symbols) for a in tops]
            return lambda *at: outer(*at, *(part(*at) for part in parts))
        e = e.doit().replace(sp.DiracDelta, lambda *_: sp.S.Zero)  # almost everywhere
        if e.atoms(AppliedUndef, sp.Derivative, sp.Subs):
            raise Undecided(f"{e} has no numeric value")
        return sp.lambdify(symbols, e, "mpmath", cse=True)

    def derivative(self, e, symbols):
        inner = e.expr
        *front, variable = e.variables
        f = self.compile(sp.Derivative(inner, *front) if front else inner, symbols)
        k, h = symbols.index(variable), mpmath.mpf(10) ** -4

        def value(*at):
            shifted = lambda n: f(*(v + n * h if i == k else v for i, v in enumerate(at)))  # noqa: E731
            return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * h)

        return value

    def integral(self, kind, function, limits, symbols):
        """The integral over the last (outermost) limit of the integral over the others."""
        *inner, limit = limits
        if len(limit) != 3:
            raise Undecided(f"the integral over {limit[0]} has no limits")
        x, a, b = limit
        low, high = self.compile(a, symbols), self.compile(b, symbols)
        if inner:
            body, held, f = None, {}, self.integral(kind, function, inner, (*symbols, x))
            at_node = lambda at, fixed: lambda t: f(*at, t)  # noqa: E731
        else:
            # What does not depend on x is computed once, not at every node.
            body, held = _hoist(function, x)
            f = self.compile(body, (x, *held))
            at_node = lambda at, fixed: lambda t: f(t, *fixed)  # noqa: E731
        held = [self.compile(part, symbols) for part in held.values()]
        breaks = [] if kind is sp.Sum else [self.compile(root, symbols) for root in _breaks(function, x, [i[0] for i in inner])]

        def value(*at):
            fixed = [part(*at) for part in held]
            if kind is sp.Sum:
                return _sum(at_node(at, fixed), low(*at), high(*at))
            return _quad(at_node(at, fixed), low(*at), high(*at), [r(*at) for r in breaks])

        return value


def _hoist(e, x) -> tuple[sp.Expr, dict]:
    """e with every part that is free of x replaced by a name, and those parts."""
    held: dict = {}

    def walk(part):
        if part == x or part.is_Integer or not isinstance(part, sp.Expr) and x not in part.free_symbols:
            return part
        if x not in part.free_symbols:
            name = sp.Dummy("c")
            held[name] = part
            return name
        if isinstance(part, (sp.Integral, sp.Sum, sp.Derivative, sp.Subs)) or not isinstance(part, sp.Expr):
            held.update({symbol: symbol for symbol in sorted(part.free_symbols - {x}, key=str)})
            return part
        if isinstance(part, (sp.Add, sp.Mul)):
            constant, rest = part.as_independent(x, as_Add=part.is_Add)
            return part.func(walk(constant), *map(walk, part.func.make_args(rest))) if rest != part else part.func(*map(walk, part.args))
        if isinstance(part, sp.Pow) and part.exp.is_Rational and part.exp.q <= 2:
            return walk(part.base) ** part.exp
        return part.func(*map(walk, part.args))

    if e.has(sp.Derivative, sp.Subs, sp.DiracDelta) and not e.has(sp.Integral, sp.Sum):
        e = e.doit().replace(sp.DiracDelta, lambda *_: sp.S.Zero)
    return walk(e), held


def _holds_integral(a) -> bool:
    return isinstance(a, (sp.Integral, sp.Sum)) or (isinstance(a, sp.Derivative) and a.has(sp.Integral, sp.Sum))


def _breaks(e, x, inner=()) -> list[sp.Expr]:
    """Where e may jump or kink in x: quadrature has to stop there."""
    arguments = [a.args[0] for a in e.atoms(sp.Heaviside, sp.Abs, sp.sign)]
    arguments += [a.args[0] - other for a in e.atoms(sp.Max, sp.Min) for other in a.args[1:]]
    for relation in e.atoms(sp.core.relational.Relational):
        arguments.append(relation.lhs - relation.rhs)
    if any(a.has(x) for a in e.atoms(sp.floor, sp.ceiling)):
        raise Undecided("a staircase cannot be integrated numerically here")
    roots = []
    for argument in arguments:
        if argument.has(x) and not argument.has(*inner):  # the inner integral smooths its own jumps
            if argument.has(AppliedUndef) or not argument.is_polynomial(x) or sp.Poly(argument, x).degree() > 2:
                raise Undecided(f"the jumps of a function of {argument} cannot be located")
            roots += sp.roots(sp.Poly(argument, x)).keys()
    return sorted(set(roots), key=str)


def _quad(f, a, b, breaks) -> mpmath.mpf:
    inner = sorted({mpmath.re(r) for r in breaks if mpmath.im(r) == 0 and a < mpmath.re(r) < b})
    points = [mpmath.mpf(a), *inner, mpmath.mpf(b)]
    return sum((_segment(f, low, high) for low, high in itertools.pairwise(points)), mpmath.mpf(0))


def _segment(f, a, b) -> mpmath.mpf:
    """Double-exponential quadrature: the trapezoidal rule after a change of variables.

    Halving the step squares the error, so two steps that agree to half the digits vouch
    for nearly all of them. The terms have to die out on both sides, which is absolute convergence:
    symmetric nodes would otherwise give the Cauchy law a mean.
    """
    if a == b:
        return mpmath.mpf(0)
    if a > b:
        return -_segment(f, b, a)
    if mpmath.isinf(a) and mpmath.isinf(b):
        node = lambda t: (mpmath.sinh(t), mpmath.cosh(t))  # noqa: E731
        core = 5
    elif mpmath.isinf(a) or mpmath.isinf(b):
        end, direction = (b, -1) if mpmath.isinf(a) else (a, 1)

        def node(t):
            y = mpmath.exp(t - mpmath.exp(-t))
            return end + direction * y, y * (1 + mpmath.exp(-t))

        core = 5
    else:

        def node(t):
            u = mpmath.exp(-mpmath.pi * mpmath.sinh(t))
            return a + (b - a) / (1 + u), (b - a) * mpmath.pi * mpmath.cosh(t) * u / (1 + u) ** 2

        core = 2

    def term(t):
        x, slope = node(t)
        return f(x) * slope if a < x < b else mpmath.mpf(0)

    h, total, scale, ends = mpmath.mpf(1) / 8, term(mpmath.mpf(0)), mpmath.mpf(0), []
    for sign in (1, -1):
        quiet = 0
        for k in itertools.count(1):
            value = term(sign * k * h)
            if not mpmath.isfinite(value) or k * h > 75:
                raise Undecided("an integral does not converge absolutely")
            total, scale = total + value, max(scale, abs(value))
            quiet = quiet + 1 if abs(value) <= mpmath.mpf(10) ** (-2 - mpmath.mp.dps) * scale else 0
            if quiet >= 4 and k * h >= core:
                ends.append(k)
                break
    previous = total * h
    for _ in range(5):
        right, left = ends
        total += sum((term((k + mpmath.mpf(1) / 2) * h) for k in range(-left, right)), mpmath.mpf(0))
        ends, h = [2 * right, 2 * left], h / 2
        value = total * h
        if not mpmath.isfinite(value):
            break
        if abs(value - previous) <= mpmath.mpf(10) ** (2 - mpmath.mp.dps // 2) * max(abs(value), scale * mpmath.mpf("1e-3")):
            return value
        previous = value
    raise Undecided("a quadrature did not converge")


def _sum(f, low, high) -> mpmath.mpf:
    """Term by term, until twenty terms in a row do not matter (no extrapolation)."""
    total, quiet = mpmath.mpf(0), 0
    for k in itertools.count(int(low)):
        if k > high:
            return total
        term = f(mpmath.mpf(k))
        total += term
        quiet = quiet + 1 if abs(term) <= mpmath.mpf(10) ** -DIGITS * max(abs(total), mpmath.mpf("1e-30")) else 0
        if quiet >= 20 and k > 50:
            return total
        if k > 20_000:
            raise Undecided("a series did not converge")


class _Instances:
    """All sides of a chain at the same random instances; each is evaluated once."""

    def __init__(self, sides, rules, chosen, conditions):
        self.laws = _laws([*sides, *(e for r in rules if isinstance(r, Statement) for e in (r.lhs, r.rhs))])
        self.definitions = [r for r in rules if _is_definition(r)]
        # A hypothesis couples functions that random instances would draw independently.
        coupled = any(isinstance(r, Statement) and not isinstance(r, Derivation) and not _is_definition(r) for r in rules)
        self.available = not coupled or chosen is not None
        self.chosen, self.conditions = chosen or (lambda rng: {}), conditions
        self.sides = [self.concrete(lower(side)) for side in sides]
        if any(_dimension(entry) > 2 for side in self.sides for entry in _entries(side)):
            self.available = False
        self.cache: dict = {}

    def concrete(self, side):
        for definition in self.definitions:
            side = side.applyfunc(lambda e, d=definition: _rewrite(e, d)) if isinstance(side, sp.MatrixBase) else _rewrite(side, definition)
        return side

    def value(self, i: int, seed: int):
        if (i, seed) not in self.cache:
            self.cache[i, seed] = self.evaluate(i, seed)
        return self.cache[i, seed]

    def at(self, seed: int):
        key = ("instance", seed)
        if key not in self.cache:
            flat = [e for side in self.sides for e in _entries(side)]
            self.cache[key] = _instance(flat, self.laws, self.conditions, self.chosen(random.Random(seed)), seed)
        return self.cache[key]

    def evaluate(self, i: int, seed: int):
        functions, values = self.at(seed)
        numbers = []
        # Nested integrals cost the square: fewer digits, still far more than the ten compared.
        with mpmath.workdps(DIGITS if _dimension(self.sides[i]) < 2 else 18):
            for e in _entries(self.sides[i]):
                e = _inner_derivatives(e)
                for f, concrete in functions.items():
                    e = e.replace(f, concrete)
                try:
                    numbers.append(mpmath.mpmathify(_Quadrature(values)(e)))
                except (ZeroDivisionError, OverflowError, TypeError, NameError, NotImplementedError, AttributeError) as error:
                    raise Undecided(f"{type(error).__name__}: {error}") from error
        return numbers

    def describe(self, seed: int) -> str:
        functions, values = self.at(seed)
        t = [sp.Symbol(n) for n in ("x", "s", "t", "u")]
        shown = [f"{s} = {mpmath.nstr(v, 6)}" for s, v in values.items()]
        for f, concrete in functions.items():
            arity = next(len(e.args) for side in self.sides for e in side.atoms(AppliedUndef) if type(e) == f) if any(
                type(e) == f for side in self.sides for e in side.atoms(AppliedUndef)
            ) else 1
            shown.append(f"{f} = ({', '.join(map(str, t[:arity]))}) -> {concrete(*t[:arity])}")
        return "; ".join(shown)


def _inner_derivatives(e):
    """SymPy's Derivative(F(g(x)), g(x)) with a plain variable, so that g can be filled in."""

    def plain(derivative):
        body, pairs = derivative.expr, []
        variables = []
        for variable in derivative.variables:
            if not isinstance(variable, sp.Symbol):
                name = sp.Dummy("y", real=True)
                pairs.append((name, variable))
                variable = name
            variables.append(variable)
        for name, variable in pairs:
            body = body.xreplace({variable: name})
        inner = sp.Derivative(body, *variables)
        return sp.Subs(inner, [n for n, _ in pairs], [v for _, v in pairs]) if pairs else derivative

    return e.replace(lambda d: isinstance(d, sp.Derivative), plain)


def _entries(side) -> list:
    return list(side) if isinstance(side, sp.MatrixBase) else [side]


def _dimension(e) -> int:
    """Nesting depth of integrals."""
    if isinstance(e, (sp.Integral, sp.Sum)):
        return len(e.limits) + _dimension(e.function)
    return max((_dimension(a) for a in e.args), default=0)


def _agree(a, b) -> bool:
    return bool(mpmath.isfinite(a) and mpmath.isfinite(b)) and abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


# --- checking one equality --------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What an equality rests on: the kind, in words, and the assumptions it took."""

    kind: str
    detail: str
    assumptions: tuple[str, ...] = ()
    instances: int = 0


def _check(i: int, sides: Sequence, rules: Sequence, instances: _Instances, where: str) -> Evidence:
    left, right = sides[i], sides[i + 1]
    shapes = [getattr(lower(e), "shape", ()) for e in (left, right)]
    if shapes[0] != shapes[1]:
        raise FalseStep(f"{where}: the left side has shape {shapes[0]}, the right side {shapes[1]}")
    laws = instances.laws
    proved, assumed = True, [r for r in rules if isinstance(r, str)]
    for a, b in zip(_entries(lower(left)), _entries(lower(right)), strict=True):
        prover = _Prover(rules, laws)
        proved = prover.equal(a, b) and proved
        assumed += [name for name in prover.assumed if name not in assumed]
    witnessed = any(isinstance(r, (Boundary, Substitution)) for r in rules)
    if witnessed and not proved:
        _reject(where, left, right, "the rule named for this step does not turn one side into the other", _residue(left, right, rules, laws))
    count = 0
    if not proved or (rules and instances.available):
        if not instances.available:
            _reject(where, left, right, "SymPy cannot show it, and no concrete instance is available (pass instances=)", _residue(left, right, rules, laws))
        count = _compare(i, left, right, instances, where, proved)
    if proved:
        also = f", and agrees on {count} random instances" if count else ""
        return Evidence(PROVED, PROVED + also, tuple(assumed), count)
    return Evidence(NUMERIC, f"agrees to 1e-10 on {count} random instances", tuple(assumed), count)


def _compare(i: int, left, right, instances: _Instances, where: str, proved: bool) -> int:
    # A proof settles the case of two zeros; without one, noise is no agreement.
    informative = [proved] * len(_entries(instances.sides[i]))
    for seed in range(INSTANCES):
        try:
            values = instances.value(i, seed), instances.value(i + 1, seed)
        except Undecided as reason:
            _reject(where, left, right, f"no numeric check was possible: {reason}", "")
        literal = [[not e.has(sp.Integral, sp.Sum) and e.doit() == 0 for e in _entries(instances.sides[j])] for j in (i, i + 1)]
        for k, (a, b) in enumerate(zip(*values, strict=True)):
            zero = literal[0][k] or literal[1][k]
            # Two integrals that both come out as rounding noise say nothing about each other.
            noise = mpmath.isfinite(a) and mpmath.isfinite(b) and max(abs(a), abs(b)) < mpmath.mpf("1e-14")
            if not noise and not _agree(a, b):
                numbers = f"left  = {mpmath.nstr(a, 15)}\nright = {mpmath.nstr(b, 15)}\nleft - right = {mpmath.nstr(a - b, 6)}"
                _reject(where, left, right, f"the two sides differ on random instance {seed + 1}", f"{numbers}\nat {instances.describe(seed)}")
            informative[k] |= bool(zero or not noise)
    if not all(informative):
        _reject(where, left, right, "both sides vanish on every random instance, which shows nothing; write 0 for the side that is 0", "")
    return INSTANCES


def _residue(left, right, rules, laws) -> str:
    shown = []
    for a, b in zip(_entries(lower(left)), _entries(lower(right)), strict=True):
        shown.append(f"left - right = {sp.sstr(a - b)}")
    return "\n".join(shown)


def _reject(where: str, left, right, why: str, difference: str):
    raise FalseStep(f"{where}: {why}\n  left side:  {_text(left)}\n  right side: {_text(right)}\n{difference}".rstrip())


# --- statements -------------------------------------------------------------------------


def _text(expression) -> str:
    return sp.sstr(expression)


def _reason_latex(reason: str) -> str:
    r"""``by A1, $\nabla$ inside`` as \text{…} with its mathematics outside the text."""
    pieces = []
    for k, piece in enumerate(reason.split("$")):
        if k % 2:
            pieces.append(piece)
        elif piece:
            for plain, escaped in (("\\", r"\textbackslash "), ("{", r"\{"), ("}", r"\}"), ("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#")):
                piece = piece.replace(plain, escaped) if plain != "\\" else piece.replace("\\", "/")
            pieces.append(rf"\text{{{piece}}}")
    return " ".join(pieces)


def _label_of(statement) -> str:
    return statement if isinstance(statement, str) else statement.label


class Statement:
    """A labelled statement that prints itself, and says what it rests on.

    Attributes:
        label: the equation's label, ``eq-…``.
        title: what a reader would call it.
        kind: one of :data:`EVIDENCE_KINDS`.
        detail: the evidence in words.
        latex: exactly what is displayed.
        statement: the same as plain text.
        assumptions: names, or labels of assumptions.
        uses: labels of the statements it rests on.
        lhs, rhs: its two sides (``None`` where it has none), so that it can serve as a rule.
    """

    kind = ""
    lhs = rhs = None

    def __init__(self, label: str, latex_: str, statement: str, *, title="", kind="", detail="", assumptions=(), uses=(), extra=None):
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", label):
            # Sphinx makes such a label, unchanged, the anchor equation-<label>.
            raise ValueError(f"a label is lower-case words joined by hyphens, such as eq-score, got {label!r}")
        self.label, self.latex, self.statement, self.title = label, latex_, statement, title
        self.kind, self.detail = kind, detail or kind
        self.assumptions = tuple(dict.fromkeys(map(_label_of, assumptions)))
        self.uses = tuple(dict.fromkeys(map(_label_of, uses)))
        self._extra = extra or {}

    @property
    def bundle(self) -> dict:
        """What the ledger reads."""
        return {
            "label": self.label,
            "title": self.title,
            "kind": self.kind,
            "latex": self.latex,
            "statement": self.statement,
            "evidence": {"kind": self.kind, "detail": self.detail},
            "assumptions": list(self.assumptions),
            "uses": list(self.uses),
            **self._extra,
        }

    @property
    def markdown(self) -> str:
        return f"$$\n{self.latex}\n$$ ({self.label})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label}: {self.detail})"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": repr(self), "text/markdown": self.markdown, MIME: self.bundle}


@dataclass(frozen=True)
class Step:
    """One equality of a chain: ``= expression``, for a reason.

    Args:
        expression: what the previous line equals.
        reason: a few words; mathematics between dollar signs.
        by: the rules that the symbolic check may use: ``"exchange"``, ``"normalised"``, a
            :class:`Boundary`, a :class:`Substitution`, or a statement (its left side is
            replaced by its right side). One, or a sequence, applied in this order.
        assume: names of further assumptions to record.
    """

    expression: object
    reason: str
    by: object = ()
    assume: Sequence[str] = ()

    @property
    def rules(self) -> tuple:
        rules = self.by if isinstance(self.by, (tuple, list)) else () if self.by is None else (self.by,)
        for rule in rules:
            if rule not in (EXCHANGE, NORMALISED) and not isinstance(rule, (Boundary, Substitution)):
                if not isinstance(rule, Statement) or rule.lhs is None:
                    raise ValueError(f"unknown rule {rule!r}: use 'exchange', 'normalised', Boundary, Substitution or an equation")
                if isinstance(rule, Inequality):
                    raise ValueError(f"{rule.label} is an inequality: it cannot replace one side by the other")
        return tuple(rules)


class Derivation(Statement):
    r"""A chain of checked equalities, printed as one numbered equation.

    .. math:: a_0 = a_1 = \dots = a_n

    Each side is a scalar or a matrix (compared entry by entry). All integrals and
    expectations on display are taken to exist, and undefined functions to be real-valued
    and as smooth as the derivatives written show.

    Args:
        label: the equation's label, unique in the book.
        start: :math:`a_0`.
        steps: :class:`Step` objects, or tuples ``(expression, reason)`` and
            ``(expression, reason, rules)``.
        title: what a reader would call it.
        given: assumptions (objects or labels) under which it is stated.
        uses: statements (objects or labels) it rests on; rules are added by themselves.
        instances: ``rng -> {function or symbol: callable or value}`` for functions that
            cannot be drawn independently (a density, its base density and the map between).
        conditions: relations that random parameters have to satisfy.

    Raises:
        FalseStep: if a step does not hold, or nothing shows that it does.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True); sigma = sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> from gradlib.derivation import Derivation
        >>> Derivation("eq-second-moment", gl.Expectation(X**2), (mu**2 + sigma**2, "Gaussian moments"))
        Derivation(eq-second-moment: proved symbolically)
        >>> Derivation("eq-wrong", gl.Expectation(X**2), (mu**2 + sigma, "a slip"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.derivation.FalseStep: eq-wrong, step 1 (a slip): the two sides differ on random instance 1
        ...
    """

    def __init__(self, label, start, *steps, title="", given=(), uses=(), instances=None, conditions=()):
        if not steps:
            raise ValueError(f"{label}: a derivation needs at least one step")
        self.steps = [s if isinstance(s, Step) else Step(*s) for s in steps]
        self.sides = [_matrix(e) for e in (start, *(s.expression for s in self.steps))]
        self.lhs, self.rhs = self.sides[0], self.sides[-1]
        rules = [r for s in self.steps for r in s.rules]
        numeric = _Instances(self.sides, rules, instances, conditions)
        self.evidence = [
            _check(i, self.sides, s.rules, numeric, f"{label}, step {i + 1} ({s.reason})") for i, s in enumerate(self.steps)
        ]
        statements = [r for r in rules if isinstance(r, Statement)]
        assumed = [*map(_label_of, given)]
        for step, evidence in zip(self.steps, self.evidence):
            assumed += [*evidence.assumptions, *step.assume]
        assumed += [r.label for r in statements if r.kind == ASSUMPTION]
        for side in self.sides:
            for J in sorted(_expectations(side), key=str):
                assumed += J.assumptions_made
        kind = PROVED if all(e.kind == PROVED for e in self.evidence) else NUMERIC
        super().__init__(
            label,
            self._aligned(),
            f"{_text(self.lhs)} = {_text(self.rhs)}",
            title=title,
            kind=kind,
            detail=self._detail(),
            assumptions=assumed,
            uses=[*uses, *(r for r in statements if r.kind != ASSUMPTION)],
            extra={
                "steps": [
                    {"expression": _text(s.expression), "reason": s.reason, "evidence": e.detail, "assumptions": [*e.assumptions, *s.assume]}
                    for s, e in zip(self.steps, self.evidence)
                ]
            },
        )

    def _detail(self) -> str:
        proved = [e for e in self.evidence if e.kind == PROVED]
        checked = [e for e in self.evidence if e.kind == NUMERIC]
        given = list(dict.fromkeys(name for e in proved for name in e.assumptions))
        under = f", given {', '.join(given)}" if given else ""
        parts = []
        if proved:
            parts.append((f"{_steps(len(proved))} " if len(self.evidence) > 1 else "") + PROVED + under)
        if checked:
            detail = checked[0].detail
            parts.append(f"{_steps(len(checked))} {detail.replace('agrees', 'agree', len(checked) > 1)}" if len(self.evidence) > 1 else detail)
        return "; ".join(parts)

    def _aligned(self) -> str:
        start, *others = map(latex, self.sides)
        # A long left side would push every other line to the right.
        lines = [rf"&{start}"] if len(start) > 90 else []
        for k, (side, step) in enumerate(zip(others, self.steps)):
            left = "" if k or lines else start + " "
            reason = f" && {_reason_latex(step.reason)}" if step.reason else ""
            lines.append(rf"{left}&= {side}{reason}")
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _steps(n: int) -> str:
    return f"{n} step" if n == 1 else f"{n} steps"


def _matrix(e):
    if isinstance(e, (list, tuple)):
        e = sp.Matrix(list(e))
    return sp.ImmutableMatrix(e) if isinstance(e, sp.MatrixBase) else sp.sympify(e)


class Definition(Statement):
    r"""A name, declared: ``lhs := rhs``. There is nothing to check in it.

    As a rule of a step it spells out the name, a symbol or a function of symbols.

    Examples:
        >>> import sympy as sp
        >>> a, b = sp.symbols("a b")
        >>> Definition("eq-def-b", b, a**2)
        Definition(eq-def-b: definition)
    """

    def __init__(self, label, lhs, rhs, title="", uses=()):
        self.lhs, self.rhs = _matrix(lhs), _matrix(rhs)
        for name, meaning in zip(_entries(self.lhs), _entries(self.rhs)) if isinstance(self.lhs, sp.MatrixBase) else [(self.lhs, self.rhs)]:
            # Anything else than a fresh name has a meaning already: to equate the two is a claim.
            is_function = isinstance(name, AppliedUndef) and all(isinstance(a, sp.Symbol) for a in name.args) and len(set(name.args)) == len(name.args)
            if not (is_function or isinstance(name, sp.Symbol) and not isinstance(name, RandomSymbol)):
                raise ValueError(f"{label}: {_text(name)} is no name (a symbol, or a function of distinct symbols); claim it in a Derivation or an Assumption")
            if name in lower(meaning).free_symbols or is_function and lower(meaning).has(name.func):
                raise ValueError(f"{label} defines {_text(name)} by itself")
        super().__init__(
            label, rf"{latex(self.lhs)} := {latex(self.rhs)}", f"{_text(self.lhs)} := {_text(self.rhs)}", title=title, kind=DEFINITION, uses=uses
        )


class Assumption(Statement):
    r"""A hypothesis, named, under which later statements hold.

    Args:
        label: its label, which derivations list in ``given=`` or use as a rule.
        relation: a SymPy relation, or LaTeX (an assumption claims nothing that a check could see).
        text: the same in words.

    Examples:
        >>> import sympy as sp
        >>> Assumption("eq-a1", sp.Eq(sp.Symbol("a"), 1), "a is one")
        Assumption(eq-a1: assumption)
    """

    _kind = ASSUMPTION

    def __init__(self, label, relation, text="", title="", uses=(), extra=None):
        if isinstance(relation, str):
            shown, plain = relation, text or relation
        else:
            shown, plain = latex(relation), _text(relation)
            if isinstance(relation, sp.Eq):
                self.lhs, self.rhs = relation.lhs, relation.rhs
        super().__init__(label, shown, plain, title=title, kind=self._kind, uses=uses, extra={"text": text, **(extra or {})})


class Cited(Assumption):
    """A theorem that is quoted, not proved here.

    Args:
        source: the key of its entry in the bibliography.

    Examples:
        >>> Cited("eq-dct", r"\\\\lim_n \\\\int f_n = \\\\int \\\\lim_n f_n", "dominated convergence", source="folland1999")
        Cited(eq-dct: cited theorem (folland1999))
    """

    _kind = CITED

    def __init__(self, label, relation, text="", source="", title="", uses=()):
        if not source:
            raise ValueError(f"{label}: a cited theorem needs its source, a key of the bibliography")
        super().__init__(label, relation, text, title=title, uses=uses, extra={"source": source})
        self.detail = f"{CITED} ({source})"

    @property
    def markdown(self) -> str:
        return f"{super().markdown}\n\n{{cite:p}}`{self._extra['source']}`"


class Restatement(Statement):
    """A statement shown again, under a label of its own.

    Args:
        label: the new label.
        of: the statement, or its label where it stands in another notebook.
        lhs, rhs: the two sides; needed when ``of`` is a label. The ledger compares
            the text with the original's when the book is built.

    Raises:
        FalseStep: if ``lhs`` or ``rhs`` is not the original's.

    Examples:
        >>> import sympy as sp
        >>> a = sp.Symbol("a")
        >>> first = Derivation("eq-square", (a + 1)**2, (a**2 + 2*a + 1, "expand"))
        >>> Restatement("eq-square-again", first)
        Restatement(eq-square-again: restatement of eq-square)
    """

    def __init__(self, label, of, lhs=None, rhs=None, title=""):
        if isinstance(of, str):
            if lhs is None or rhs is None:
                raise ValueError(f"{label} restates the label {of}: give lhs and rhs too")
        else:
            if of.lhs is None:
                raise ValueError(f"{of.label} has no two sides to restate")
            if isinstance(of, Inequality):
                raise ValueError(f"{of.label} is an inequality: show it by a reference")
            for ours, theirs in ((lhs, of.lhs), (rhs, of.rhs)):
                if ours is not None and _matrix(ours) != theirs:
                    raise FalseStep(f"{label} is no restatement of {of.label}: {_text(ours)} is not {_text(theirs)}")
            lhs, rhs = of.lhs, of.rhs
        self.lhs, self.rhs = _matrix(lhs), _matrix(rhs)
        defining = isinstance(of, Definition)
        sign, text = (":=", ":=") if defining else ("=", "=")
        super().__init__(
            label,
            rf"{latex(self.lhs)} {sign} {latex(self.rhs)}",
            f"{_text(self.lhs)} {text} {_text(self.rhs)}",
            title=title or ("" if isinstance(of, str) else of.title),
            kind=RESTATEMENT,
            detail=f"restatement of {_label_of(of)}",
            uses=[of],
            extra={"restates": _label_of(of)},
        )


class Inequality(Statement):
    r"""A checked inequality, of numbers or (for symmetric matrices) in the Loewner order.

    Args:
        label, lhs, relation, rhs: ``relation`` is one of ``">=", ">", "<=", "<"``.
        certificate: an expression that is non-negative at sight (a sum of squares, of
            expectations of squares) and equals the larger side minus the smaller. Without
            it SymPy has to decide the sign itself. Matrices: all principal minors.
        by: rules for the identity (larger - smaller = certificate), as in :class:`Step`.

    Raises:
        FalseStep: if the certificate is not the difference, or its sign is not certain.

    Examples:
        >>> import sympy as sp
        >>> a, b = sp.symbols("a b", real=True)
        >>> Inequality("eq-am-gm", a**2 + b**2, ">=", 2*a*b, certificate=(a - b)**2)
        Inequality(eq-am-gm: inequality: non-negative certificate (a - b)**2, identity proved symbolically)
    """

    SIGNS = {">=": r"\ge", ">": r">", "<=": r"\le", "<": r"<"}
    LOEWNER = {">=": r"\succeq", ">": r"\succ", "<=": r"\preceq", "<": r"\prec"}

    def __init__(self, label, lhs, relation, rhs, certificate=None, by=(), title="", given=(), uses=(), instances=None, conditions=()):
        if relation not in self.SIGNS:
            raise ValueError(f"{label}: relation is one of {', '.join(self.SIGNS)}, got {relation!r}")
        self.lhs, self.rhs = _matrix(lhs), _matrix(rhs)
        large, small = (self.lhs, self.rhs) if relation[0] == ">" else (self.rhs, self.lhs)
        strict, assumed, signs, rules = len(relation) == 1, [], self.SIGNS, []
        if isinstance(self.lhs, sp.MatrixBase):
            signs, detail = self.LOEWNER, _positive_matrix(label, large - small, strict)
        else:
            detail = "the sign is decided by SymPy"
            if certificate is not None:
                certificate = sp.sympify(certificate)
                step = Step(certificate, "certificate", by)
                sides = [large - small, certificate]
                found = _check(0, sides, step.rules, _Instances(sides, step.rules, instances, conditions), f"{label}, certificate")
                detail = f"non-negative certificate {_text(certificate)}, identity {found.detail}"
                assumed = [*found.assumptions]
                rules = [r for r in step.rules if isinstance(r, Statement)]
            if not _has_sign(certificate if certificate is not None else large - small, strict):
                raise FalseStep(f"{label}: {_text(certificate if certificate is not None else large - small)} is not certainly {'positive' if strict else 'non-negative'}")
        self.relation = relation
        super().__init__(
            label,
            rf"{latex(self.lhs)} {signs[relation]} {latex(self.rhs)}",
            f"{_text(self.lhs)} {relation} {_text(self.rhs)}",
            title=title,
            kind=INEQUALITY,
            detail=f"{INEQUALITY}: {detail}",
            assumptions=[*given, *assumed, *(r for r in rules if r.kind == ASSUMPTION)],
            uses=[*uses, *(r for r in rules if r.kind != ASSUMPTION)],
        )


def _has_sign(e, strict: bool) -> bool:
    """True only if the expression is certainly non-negative (positive, if strict)."""
    for J in sorted(_expectations(e), key=lambda J: (-len(J.atoms(Expectation)), str(J))):
        if e.has(J):
            # The mean of something non-negative is non-negative; of anything else, real.
            nonnegative = not J.is_vector and _has_sign(lower(J.integrand), False)
            e = e.xreplace({J: sp.Dummy("E", **({"nonnegative": True} if nonnegative else {"real": True}))})
    e = lower(e)
    for kind in (sp.Subs, sp.Derivative, AppliedUndef):
        for atom in sorted(e.atoms(kind), key=str):
            e = e.xreplace({atom: sp.Dummy("f", real=True)})
    test = (lambda z: z.is_positive) if strict else (lambda z: z.is_nonnegative)
    return any(test(form(e)) is True for form in (lambda z: z, sp.factor, sp.simplify))


def _positive_matrix(label: str, m, strict: bool) -> str:
    if not m.is_square or (m - m.T).applyfunc(sp.simplify) != sp.zeros(*m.shape):
        raise FalseStep(f"{label}: the difference is not symmetric, so it has no sign")
    n = m.rows
    sets = [range(k) for k in range(1, n + 1)] if strict else [c for k in range(1, n + 1) for c in itertools.combinations(range(n), k)]
    for rows in sets:
        minor = m.extract(list(rows), list(rows)).det()
        if not _has_sign(minor, strict):
            raise FalseStep(f"{label}: the principal minor of rows {[r + 1 for r in rows]}, {_text(sp.factor(minor))}, is not certainly {'positive' if strict else 'non-negative'}")
    return f"all {len(sets)} {'leading ' if strict else ''}principal minors {'positive' if strict else 'non-negative'}"


class Table(Statement):
    """A table whose cells are statements (shown as formulas, linked) or plain text.

    A cell that is a statement shows that statement's right side with a link
    to its equation, so a cell cannot say anything that was not checked.

    Args:
        label: ``tab-…``; the table's target and its node in the dependency graph.
        header: the column titles.
        rows: sequences of strings and statements.
    """

    def __init__(self, label, header: Sequence[str], rows: Sequence[Sequence], title=""):
        if any(len(row) != len(header) for row in rows):
            raise ValueError(f"{label}: every row needs {len(header)} cells")
        statements = [cell for row in rows for cell in row if isinstance(cell, Statement)]
        for text in (c for row in [header, *rows] for c in row if isinstance(c, str)):
            if "$$" in text or "\\[" in text:
                raise ValueError(f"{label}: a text cell holds a displayed equation; pass the statement itself")
        lines = [[str(h) for h in header], ["---"] * len(header)]
        lines += [[c if isinstance(c, str) else f"${latex(c.rhs)}$ {{eq}}`{_target(c)}`" for c in row] for row in rows]
        self._lines = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        # The ledger compares each cell with the statement that it shows again.
        cells = {"cells": [{"restates": _target(c), "statement": c.statement} for c in statements]}
        super().__init__(label, "", title or label, title=title, kind=RESTATEMENT, detail="each cell is compared with its derivation", uses=map(_target, statements), extra=cells)

    @property
    def markdown(self) -> str:
        return f"({self.label})=\n\n{self._lines}"


def _target(statement: Statement) -> str:
    """The derivation itself, where the cell holds a restatement."""
    return statement._extra.get("restates", statement.label)
