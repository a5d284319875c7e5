"""Statements that print only if they hold. Nothing in the library imports this package.

Use it as ``from gradlib import proof`` and ``proof.Derivation(...)``.
"""

from gradlib.proof.inequality import Inequality
from gradlib.proof.lower import FalseStep
from gradlib.proof.rules import Boundary, Substitution
from gradlib.proof.statements import Assumption, Cited, Definition, Derivation, Restatement, Step, Table

__all__ = [
    # checked, or refused with FalseStep
    "Derivation",
    "Step",
    "Boundary",
    "Substitution",
    "Inequality",
    "FalseStep",
    # declared, supposed, quoted
    "Definition",
    "Assumption",
    "Cited",
    # shown again
    "Restatement",
    "Table",
]
