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
abstract density (``"normalised"``), integration by parts (:class:`~gradlib.proof.Boundary`), a
change of variables (:class:`~gradlib.proof.Substitution`), and any other statement, which replaces
its left side by its right side.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from gradlib.core.law import Law
from gradlib.proof.forms import (
    as_exponentials,
    canonical_symbol,
    closed_form,
    constant_ratio,
    distribute,
    separate,
    vanishes,
)
from gradlib.proof.lower import EXCHANGE, NORMALISED, Undecided, ends, lower
from gradlib.proof.rules import Rewrite


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
        self.densities = [(law, law.density) for law in laws if not law.is_finite]
        self.positive = {law.density.func for law in laws if law.is_abstract}
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
        if not (
            isinstance(left, sp.Derivative) and isinstance(right, sp.Derivative) and left.args[1:] == right.args[1:]
        ):
            return False
        hypotheses = [r for r in self.rules if isinstance(r, Rewrite) and r.supposed]
        return self.cross_checked or not any(
            lower(side).has(*left.variables) for r in hypotheses for side in (r.lhs, r.rhs)
        )

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
        names = {limit[0]: canonical_symbol(i, *limit[1:]) for i, limit in enumerate(limits)}
        limits = tuple((names[x], a.xreplace(names), b.xreplace(names)) for x, a, b in limits)
        integrand = integrand.xreplace(names)  # the opaque integrals inside hold no bound symbols
        for opaque, record in self.integrals.items():
            if record == (kind, integrand, limits):
                return opaque
        free = integrand.free_symbols.union(*(e.free_symbols for limit in limits for e in limit[1:])) - set(
            names.values()
        )
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
                for x in derivative.variables:
                    value = self.under_the_integral(value, x)
                inside[derivative] = value
        return result.xreplace(inside)

    def may_exchange(self, record) -> bool:
        kind, _, limits = record
        finite_sum = kind is sp.Sum and all(e.is_finite for limit in limits for e in limit[1:])
        return EXCHANGE in self.named or bool(finite_sum)

    def under_the_integral(self, opaque, variable):
        """Leibniz' rule, moving limits included."""
        kind, integrand, limits = self.integrals[opaque]
        if any(
            condition.has(variable) for piecewise in integrand.atoms(sp.Piecewise) for _, condition in piecewise.args
        ):
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
            integrand = as_exponentials(integrand, (sp.sin, sp.cos), lambda e: len(e.free_symbols & set(bound)) > 1)
        total = sp.S.Zero
        for term in sp.Add.make_args(distribute(integrand)):
            constant, rest = term.as_independent(*bound, as_Add=False)
            if term != 0:
                total += constant * sp.Mul(*(self.known(kind, *part) for part in separate(rest, limits)))
        return total

    def known(self, kind, f, limits):
        """One integral of a single term: its value where that is certain, else opaque."""
        if not limits:
            return f
        if len(limits) == 1:
            ((x, *range_),) = limits
            densities = [
                density.xreplace({law.symbol: x})
                for law, density in self.densities
                if (kind is sp.Sum) == law.is_discrete
                and range_ == list(ends(law))
                and (NORMALISED in self.named or not law.is_abstract)
            ]
            if (
                isinstance(f, sp.Derivative)
                and self.named >= {EXCHANGE, NORMALISED}
                and f.expr in densities
                and x not in f.variables
            ):
                return sp.S.Zero  # the derivative of the constant 1
            for density in densities:
                if (ratio := constant_ratio(f, density, x)) is not None:
                    return ratio
            if kind is sp.Integral and (value := closed_form(f, x, *range_)) is not None:
                return value
        opaque = self.integral(kind, f, limits)
        self.leaves.add(opaque)
        return opaque

    def is_zero(self, e) -> bool:
        """Zero as a linear combination of integrals: merge those over the same range."""
        leaves = [o for o in self.integrals if e.has(o)]
        buckets: dict = {}
        for term in sp.Add.make_args(distribute(e)):
            held = [d for d in term.atoms(sp.Derivative) if d.has(*leaves)] if leaves else []
            constant, monomial = term.as_independent(*leaves, *held, as_Add=False)
            if monomial in self.integrals:
                kind, integrand, limits = self.integrals[monomial]
                key, value = (kind, limits), constant * integrand
            else:
                key, value = monomial, constant
            buckets[key] = buckets.get(key, 0) + value
        return all(vanishes(value, self.positive) for value in buckets.values())
