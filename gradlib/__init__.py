"""Gradients of expectations: symbols in, a number with an error bar out.

Two verbs. A *rule* (:func:`score_function`, :func:`pathwise`, :func:`measure_valued`) turns an
:class:`Expectation` into the :class:`Expectation` of a gradient, symbolically; :func:`estimate`
turns an :class:`Expectation` into a number with a standard error. :func:`exact` and
:func:`variance` are the oracle against which both are tested.
"""

# Objects: what is differentiated, and where the parameter enters it.
from gradlib.core.errors import DivergentExpectation, QuadratureError, UnsoundEstimator
from gradlib.core.expectation import Expectation, dependence
from gradlib.core.families import TruncatedNormal

# Rules: from an expectation to the expectation of its gradient.
from gradlib.rules.contract import ASSUMPTIONS
from gradlib.rules.score import score_function
from gradlib.rules.pathwise import pathwise, reparameterize
from gradlib.rules.measure_valued import measure_valued
from gradlib.rules.biased import finite_difference, gumbel_softmax, straight_through

# Lower variance: the same mean from other draws, or with something of mean zero taken off.
from gradlib.rules.variance import (
    control_variate,
    delta_method,
    importance,
    optimal_baseline,
    optimal_coefficients,
    rao_blackwell,
    sticking_the_landing,
)

# Numbers: averages of draws, with their standard errors.
from gradlib.engine.result import Estimate, Interrupted, Unfinished
from gradlib.engine.estimate import difference, estimate, monte_carlo
from gradlib.arrays import ArrayLaw

# Oracle: exact values, computed another way, and all estimators side by side.
from gradlib.oracle.exact import exact, variance
from gradlib.compare import Comparison, compare

__version__ = "0.1.0"
__all__ = [
    # objects
    "Expectation", "dependence", "TruncatedNormal", "UnsoundEstimator", "DivergentExpectation", "QuadratureError",
    # rules
    "ASSUMPTIONS", "score_function", "pathwise", "reparameterize", "measure_valued",
    "finite_difference", "gumbel_softmax", "straight_through",
    # lower variance
    "control_variate", "delta_method", "importance", "optimal_baseline", "optimal_coefficients",
    "rao_blackwell", "sticking_the_landing",
    # numbers
    "Estimate", "Interrupted", "Unfinished", "difference", "estimate", "monte_carlo", "ArrayLaw",
    # oracle
    "exact", "variance", "Comparison", "compare",
]  # fmt: skip
