r"""The same function in a form that keeps its digits in floating point.

Far out :math:`\log(1 + e^x)` overflows, :math:`1 - \tanh^2 x` is 0 and :math:`e^x / (1 + e^x)` is ∞/∞; near 0
:math:`e^x - 1` has lost its digits. Each rule here is an identity for real arguments:

.. math::

    \log\textstyle\sum_i c_i e^{b_i} = \operatorname{logaddexp}_i(b_i + \log c_i), \qquad
    e^{a} \bigl(\textstyle\sum_i c_i e^{b_i}\bigr)^{-m} = \bigl(\textstyle\sum_i c_i e^{b_i - a/m}\bigr)^{-m}

    1 - \tanh^2 x = \cosh^{-2} x, \quad \log\cosh x = \operatorname{logaddexp}(x, -x) - \log 2, \quad
    \sinh x / \cosh x = \tanh x

    1 \pm \operatorname{erf} x = 2\,\Phi(\pm\sqrt2\, x), \quad
    1 - (1 + c e^x)^{-1} = (1 + e^{-x} / c)^{-1}, \quad
    e^x - 1 = \operatorname{expm1} x, \quad \log(1 + x) = \operatorname{log1p} x

Where a term of a sum on the right overflows, the left side is 0 to all digits.
"""

from __future__ import annotations

from functools import reduce

import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp
from sympy.core.cache import cacheit

MANY = 3  # terms of a sum of exponentials, beyond which its logarithm is shared by all that divide by it


class expm1(sp.Function):
    """exp(x) − 1. SymPy's own takes exp(1e-17 + x) apart again when numbers are put in."""

    is_real = True


class log1p(sp.Function):
    """log(1 + x)."""


class ndtr(sp.Function):
    """The standard Normal distribution function Φ, under SciPy's name."""

    is_positive = True


class log_ndtr(sp.Function):
    """Its logarithm."""

    is_real = True


@cacheit
def stable(e: sp.Expr) -> sp.Expr:
    """An expression that equals e for real arguments.

    Examples:
        >>> import sympy as sp
        >>> x = sp.Symbol("x", real=True)
        >>> stable(sp.log(1 + sp.exp(x))), stable(sp.exp(x) / (1 + sp.exp(x)))
        (logaddexp(0, x), 1/(1 + exp(-x)))
        >>> stable(sp.log(1 - sp.tanh(x) ** 2))
        -2*logaddexp(-x, x) + 2*log(2)
    """
    if not isinstance(e, sp.Expr) or not e.has(sp.exp, sp.log, sp.tanh, sp.cosh, sp.erf, sp.erfc, log1p):
        return e
    if isinstance(e, sp.Piecewise):
        return e.func(*((stable(piece), condition) for piece, condition in e.args))
    if not (e.is_Add or e.is_Mul or isinstance(e, (sp.Pow, sp.Function))) or e.has(
        sp.Integral, sp.Derivative, sp.Subs, sp.I
    ):
        return e
    arguments = [stable(a) for a in e.args]
    e = e if all(a is b for a, b in zip(arguments, e.args)) else e.func(*arguments)
    if e.is_Add:
        return _sum(e)
    if e.is_Mul:
        return _product(e)
    if isinstance(e, log1p):
        return _logarithm(_sum(sp.Add(1, e.args[0])))
    return _logarithm(e.args[0]) if isinstance(e, sp.log) else e


def _sum(e: sp.Add) -> sp.Expr:
    number, rest = e.as_coeff_Add()
    if number == 0:
        return e
    terms = [term.as_coeff_Mul() for term in sp.Add.make_args(rest)]
    for i, (factor, part) in enumerate(terms):
        others = sp.Add(*(f * p for j, (f, p) in enumerate(terms) if j != i))
        if part.is_Pow and isinstance(part.base, sp.tanh) and part.exp == 2 and factor == -number:
            return number / sp.cosh(part.base.args[0]) ** 2 + others
        if isinstance(part, sp.erf) and abs(factor) == abs(number):
            return 2 * number * ndtr(factor / number * sp.sqrt(2) * part.args[0]) + others
        logistic = _exponentials(part.base) if part.is_Pow and part.exp == -1 and part.base.is_Add else None
        if logistic and len(logistic) == 2 and factor == -number and (1, 0) in logistic:
            ((c, b),) = (found for found in logistic if found != (1, 0))
            return number / (1 + sp.exp(-b) / c) + others
    powers = [(factor, part) for factor, part in terms if isinstance(part, sp.exp)]
    if powers and sum(factor for factor, _ in powers) == -number:
        others = sp.Add(*(f * p for f, p in terms if not isinstance(p, sp.exp)))
        return sp.Add(*(factor * expm1(part.args[0]) for factor, part in powers)) + others
    return e


def _product(e: sp.Mul) -> sp.Expr:
    parts = list(e.args)
    for power in parts:
        base, exponent = power.as_base_exp()
        if isinstance(base, sp.cosh) and exponent.is_Integer and exponent < 0 and sp.sinh(base.args[0]) in parts:
            return e / sp.sinh(base.args[0]) * base * sp.tanh(base.args[0])
    exponential = next((part for part in parts if isinstance(part, sp.exp)), None)
    if exponential is None:
        return e
    a = exponential.args[0]
    sums = [(part, *part.as_base_exp()) for part in parts if part is not exponential]
    sums = [(part, base, n) for part, base, n in sums if base.is_Add and n.is_number and _exponentials(base)]
    sums = [found for found in sums if found[1].free_symbols & a.free_symbols]
    if not sums:
        return e
    part, base, n = min(sums, key=lambda found: sp.default_sort_key(found[2]))
    terms = _exponentials(base)
    rest = sp.Mul(*(p for p in parts if p is not exponential and p is not part))
    if len(terms) > MANY:
        return rest * sp.exp(a + n * _of_sum(terms))
    return rest * sp.Add(*(factor * sp.exp(sp.expand(b + a / n)) for factor, b in terms)) ** n


def _exponentials(total: sp.Expr) -> list[tuple[sp.Expr, sp.Expr]] | None:
    """(c_i, b_i) of a sum of c_i exp(b_i) with positive numbers c_i, one of which is not a number alone."""
    terms = []
    for term in sp.Add.make_args(total):
        factor, part = term.as_coeff_Mul()
        if not factor.is_positive or part != 1 and not isinstance(part, sp.exp):
            return None
        terms.append((factor, sp.S.Zero if part == 1 else part.args[0]))
    return terms if any(b != 0 for _, b in terms) else None


def _of_sum(terms: list[tuple[sp.Expr, sp.Expr]]) -> sp.Expr:
    """The logarithm of a sum of c_i exp(b_i)."""
    return reduce(logaddexp, (b + sp.log(factor) for factor, b in terms))


def _logarithm(a: sp.Expr) -> sp.Expr:
    if isinstance(a, sp.exp) and a.args[0].is_real:
        return a.args[0]
    if isinstance(a, sp.cosh):
        return logaddexp(a.args[0], -a.args[0]) - sp.log(2)
    if isinstance(a, ndtr):
        return log_ndtr(a.args[0])
    if isinstance(a, sp.erfc):
        return sp.log(2) + log_ndtr(-sp.sqrt(2) * a.args[0])
    if a.is_Add:
        terms = _exponentials(a)
        if terms:
            return _of_sum(terms)
        number, rest = a.as_coeff_Add()
        return log1p(rest) if number == 1 else sp.log(a)
    base, exponent = a.as_base_exp()
    if exponent != 1 and exponent.is_real and _is_positive(base):
        return exponent * _logarithm(base)
    if a.is_Mul and all(map(_is_positive, a.args)):
        return sp.Add(*map(_logarithm, a.args))
    return sp.log(a)


def _is_positive(a: sp.Expr) -> bool:
    return bool(a.is_positive or isinstance(a, sp.erfc) or a.is_Add and _exponentials(a))
