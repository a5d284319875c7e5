"""What is refused, and what has no value."""

from __future__ import annotations

import sympy as sp

LONG = 160  # characters of a formula in a message


class UnsoundEstimator(ValueError):
    """The estimator asked for would be wrong, or could not be shown to be right.

    The message says what is wrong and what to use instead.
    """


class DivergentExpectation(ArithmeticError):
    """The expectation (or the variance) asked for is infinite or undefined."""


class QuadratureError(ArithmeticError):
    """The quadrature did not reach its tolerance, so no number is returned."""


def brief(e: sp.Basic) -> str:
    """A formula in a message: six digits of each number say enough, and so do the beginning and the end of a long one.

    Examples:
        >>> x = sp.symbols("x:50")
        >>> len(str(sum(x))) > 200 and brief(sum(x))  # doctest: +ELLIPSIS
        'x0 + x1 + ... + x8 + x9'
    """
    text = str(e.xreplace({f: sp.Float(f, 6) for f in e.atoms(sp.Float)}))
    if len(text) <= LONG:
        return text
    head, tail = text[: LONG * 2 // 3], text[-LONG // 3 :]
    return f"{head.rsplit(' ', 1)[0]} … {tail.split(' ', 1)[-1]}"
