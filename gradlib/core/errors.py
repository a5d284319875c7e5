"""What is refused, and what has no value."""

from __future__ import annotations


class UnsoundEstimator(ValueError):
    """The estimator asked for would be wrong, or could not be shown to be right.

    The message says what is wrong and what to use instead.
    """


class DivergentExpectation(ArithmeticError):
    """The expectation (or the variance) asked for is infinite or undefined."""


class QuadratureError(ArithmeticError):
    """The quadrature did not reach its tolerance, so no number is returned."""
