r"""What is estimated: the gradient in location and scale of :math:`E_{x \sim N(m, s^2)}[F(x)]`.

Each scalar F is written once, in SymPy, and printed for every framework from here: the work cannot differ by a typing
error. The logistic problem is a matrix product and is written in each framework's own terms; the check against the
exact gradient, computed here by quadrature, keeps those alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import sympy as sp

RULES = ("score", "pathwise")
MU, SIGMA = 0.3, 1.2
DATA = Path(__file__).resolve().parents[1] / "book" / "data" / "breast_cancer_wisconsin_diagnostic.csv"

x = sp.Symbol("x", real=True)


@dataclass(frozen=True)
class Problem:
    """A scalar integrand under N(0.3, 1.2²).

    Attributes:
        F: the integrand in x.
        floor: how often the floor evaluates each transcendental function, per draw.
    """

    title: str
    F: sp.Expr
    floor: Mapping[str, int]
    loc: float = MU
    scale: float = SIGMA

    def printed(self, module: str) -> Callable:
        """F as a function on arrays of ``torch`` or ``jax``.

        A polynomial goes out in Horner's form: in PyTorch x**8 would be a call of pow for each element, and the peers
        are to be shown at their best.
        """
        F = sp.horner(self.F) if self.F.is_Add and self.F.is_polynomial(x) else self.F
        return sp.lambdify(x, F, modules=module, cse=True)


def transcendentals(F: sp.Expr) -> dict[str, int]:
    """How many different transcendental functions of x an expression holds, by name."""
    counts: dict[str, int] = {}
    for atom in F.atoms(sp.Function):
        name = str(atom.func)
        counts[name] = counts.get(name, 0) + 1
    return counts


@dataclass(frozen=True)
class Logistic:
    """Logistic loss of 569 rows under 31 independent Normal weights: two matrix products for each block of draws."""

    title: str

    @property
    def loc(self) -> np.ndarray:
        return 0.2 * np.sin(np.arange(31.0))

    @property
    def scale(self) -> np.ndarray:
        return np.linspace(0.1, 0.4, 31)

    @property
    def design(self) -> np.ndarray:
        """The matrix A of −yᵢ xᵢ, so that the loss is the sum of log(1 + exp(A w))."""
        return _design()

    def exact(self) -> np.ndarray:
        """The gradient by quadrature: given a row a, the product a·w is itself Normal, so each row is one integral."""
        A, m, s = self.design, self.loc, self.scale
        z = np.linspace(-12, 12, 2001)
        weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
        t = (A @ m)[:, None] + np.sqrt(A**2 @ s**2)[:, None] * z
        sigmoid = 1 / (1 + np.exp(-t))
        slope, curvature = sigmoid @ weight, (sigmoid * (1 - sigmoid)) @ weight
        return np.concatenate([slope @ A, s * (curvature @ A**2)])


@cache
def _design() -> np.ndarray:
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)
    features = (table[:, :-1] - table[:, :-1].mean(axis=0)) / table[:, :-1].std(axis=0)
    sign = 2 * table[:, -1:] - 1
    return -sign * np.column_stack([features, np.ones(len(features))])


def _mixture() -> sp.Expr:
    """log Σ w exp(−(x − m)²/2): eight weights 1/36, …, 8/36 at the centres −7/2, −5/2, …, 7/2."""
    return sp.log(sum(sp.Rational(k, 36) * sp.exp(-((x - k + sp.Rational(9, 2)) ** 2) / 2) for k in range(1, 9)))


def _polynomial() -> sp.Expr:
    """Nine terms, none of them zero."""
    return sum((-1) ** (k // 2) * x**k / sp.factorial(k + 1) for k in range(9))


SCALAR = {
    "square": Problem("(x − 1)²", (x - 1) ** 2, {}),
    "cosine": Problem("cos 2x", sp.cos(2 * x), {"cos": 1}),
    "bell": Problem("exp(−x²)", sp.exp(-(x**2)), {"exp": 1}),
    "polynomial": Problem("degree 8", _polynomial(), {}),
    "mixture": Problem("log mixture", _mixture(), {"exp": 8, "log": 1}),
}
LOGISTIC = {"logistic": Logistic("logistic, d = 31")}
PROBLEMS = SCALAR | LOGISTIC
