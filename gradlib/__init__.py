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

__version__ = "0.1.0"
__all__ = [
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
    "dependence",
    "difference",
    "estimate",
    "exact",
    "latex",
    "monte_carlo",
    "pathwise",
    "reparameterize",
    "score_function",
    "variance",
]
