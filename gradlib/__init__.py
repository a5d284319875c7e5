"""Gradients of expectations: symbols in, a number with an error bar out.

Two verbs. An *estimator* (:func:`score_function`, :func:`pathwise`) turns an
:class:`Expectation` into the :class:`Expectation` of a gradient, symbolically;
:func:`estimate` turns an :class:`Expectation` into a number with a standard error.
:func:`exact` and :func:`variance` are the oracle against which both are tested.
"""

from gradlib.derivation import (
    Assumption,
    Boundary,
    Cited,
    Definition,
    Derivation,
    FalseStep,
    Inequality,
    Restatement,
    Step,
    Substitution,
    Table,
)
from gradlib.estimators import ASSUMPTIONS, UnsoundEstimator, pathwise, reparameterize, score_function
from gradlib.oracle import DivergentExpectation, QuadratureError, exact, variance
from gradlib.expectation import Expectation, dependence, latex
from gradlib.montecarlo import Estimate, Interrupted, Unfinished, difference, estimate, monte_carlo
from gradlib.reduction import (
    control_variate,
    delta_method,
    finite_difference,
    gumbel_softmax,
    importance,
    optimal_baseline,
    optimal_coefficients,
    rao_blackwell,
    sticking_the_landing,
    straight_through,
)
from gradlib.arrays import ArrayLaw
from gradlib.comparison import Comparison, compare
from gradlib.weak import measure_valued

__version__ = "0.1.0"
__all__ = [
    "ArrayLaw",
    "Comparison",
    "compare",
    "ASSUMPTIONS",
    "Assumption",
    "Boundary",
    "Cited",
    "Definition",
    "Derivation",
    "DivergentExpectation",
    "Estimate",
    "Expectation",
    "FalseStep",
    "Inequality",
    "Interrupted",
    "QuadratureError",
    "Restatement",
    "Step",
    "Substitution",
    "Table",
    "Unfinished",
    "UnsoundEstimator",
    "control_variate",
    "delta_method",
    "dependence",
    "difference",
    "estimate",
    "exact",
    "finite_difference",
    "gumbel_softmax",
    "importance",
    "latex",
    "measure_valued",
    "monte_carlo",
    "optimal_baseline",
    "optimal_coefficients",
    "pathwise",
    "rao_blackwell",
    "reparameterize",
    "score_function",
    "sticking_the_landing",
    "straight_through",
    "variance",
]
