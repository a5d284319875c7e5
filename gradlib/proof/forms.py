"""Canonical forms: integrals that are known, and expressions that vanish."""

from __future__ import annotations

import random

import sympy as sp
from sympy.core.function import AppliedUndef

from gradlib.proof.instances import by_name, draw


def canonical_symbol(i: int, a, b) -> sp.Symbol:
    domain = {"positive": True} if (a, b) == (0, sp.oo) else {"real": True}
    return sp.Symbol(f"_x{i}", **domain)


def distribute(e):
    """Distribute products over sums; leave powers and logarithms as they are."""
    return sp.expand(e, power_base=False, power_exp=False, log=False)


def as_exponentials(e, functions, wanted=lambda _: True):
    return e.replace(lambda part: isinstance(part, functions) and wanted(part), lambda part: part.rewrite(sp.exp))


def separate(f, limits) -> list[tuple]:
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
        names = {x: canonical_symbol(i, a, b) for i, (x, a, b) in enumerate(own)}
        parts.append((factor.xreplace(names), tuple((names[x], a, b) for x, a, b in own)))
    return parts


def _exponentials(factor) -> tuple:
    """exp(a + b) as exp(a), exp(b): so that a product of densities comes apart."""
    if isinstance(factor, sp.exp):
        return tuple(sp.exp(a, evaluate=False) for a in sp.Add.make_args(sp.expand(factor.exp)))
    return (factor,)


def constant_ratio(f, density, x):
    """c, if f = c * density identically in x; else None."""
    if f.atoms(AppliedUndef, sp.Piecewise) != density.atoms(AppliedUndef, sp.Piecewise):
        return None  # spares SymPy the vain attempt
    if not _constant_at_random_points(f / density, x):
        return None
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
    f = as_exponentials(f, (sp.sin, sp.cos), lambda e: e.has(x))
    total = sp.S.Zero
    for term in sp.Add.make_args(distribute(f)):
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


def vanishes(e, positive: set) -> bool:
    """Does e vanish identically, with every undefined function a free symbol?"""
    if e == 0:
        return True
    e = free_of_functions(e.doit(), positive)
    if distribute(e) == 0:
        return True
    if not _vanishes_at_random_points(e):
        return False  # spares SymPy the vain attempt
    return any(
        attempt(e) == 0
        for attempt in (sp.expand, sp.cancel, lambda z: sp.expand(sp.expand_log(z)), _by_exponentials, sp.simplify)
    )


def _by_exponentials(e):
    e = as_exponentials(e, (sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh))
    return sp.powsimp(sp.expand(sp.powsimp(sp.expand(e), combine="exp", deep=True)), combine="exp", deep=True)


def _vanishes_at_random_points(e) -> bool:
    rng = random.Random(1)
    return all(not _is_large(_value(e, _random_point(e.free_symbols, rng))) for _ in range(2))


def _constant_at_random_points(e, x) -> bool:
    """False only if e, undefined functions free, takes two values at two x."""
    e, rng = free_of_functions(e), random.Random(1)
    here = _random_point(e.free_symbols | {x}, rng)
    first, second = _value(e, here), _value(e, {**here, x: here[x] + _random_point([x], rng)[x] ** 2})
    return not _is_large((second - first) / (1 + abs(first)))


def _random_point(symbols, rng: random.Random) -> dict:
    return {s: sp.Float(draw(s, rng), 30) for s in by_name(symbols)}


def _value(e, at: dict):
    return e.subs(at).evalf(20, chop=False)


def _is_large(value) -> bool:
    """Certainly no rounding error of 0."""
    return bool(value.is_number and value.is_finite and abs(value) > 1e-8)
