r"""Path velocities of a density in one formula, in NumPy.

.. math:: v_\theta(x) = -\frac{1}{p_\theta(x)} \int_{-\infty}^{x} \partial_\theta p_\theta(t)\, dt
          = \frac{1}{p_\theta(x)} \int_{x}^{\infty} \partial_\theta p_\theta(t)\, dt

The derivative is SymPy's. Its integral is a table: on each panel of :func:`gradlib.core.formula.panels` the polynomial
through the Gauss–Legendre nodes, which is integrated as it stands. The side with the smaller mass is taken, where
nothing cancels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

from gradlib.core.density import Slope
from gradlib.core.formula import panels, require_no_gap

NODES = 12


def velocity(key: str, index: int):
    """``v(x, *parameters)`` for arrays x: the velocity in the parameter at ``index`` of the density behind ``key``."""

    def v(x, *parameters):
        table = _table(key, index, tuple(map(float, parameters)))
        return table(np.asarray(x, float))

    return v


@lru_cache(maxsize=64)
def _table(key: str, index: int, numbers: tuple[float, ...]):
    formula, slope = Slope.of(key, index).at(numbers)
    require_no_gap(formula)
    p, f = formula.compile(), formula.compile(slope)
    edges, masses = panels(formula)
    nodes, weights = legendre.leggauss(NODES)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    values = f((half[:, None] * nodes + middle[:, None]).ravel()).reshape(-1, NODES)
    values[~np.isfinite(values)] = 0.0
    degrees = np.arange(NODES)
    # Legendre coefficients of the interpolant, and of its integral from the panel's left edge.
    coefficients = (values * weights) @ legendre.legvander(nodes, NODES - 1) * (degrees + 0.5)
    integrals = legendre.legint(coefficients, axis=1, lbnd=-1) * half[:, None]
    parts = (values * weights).sum(axis=1) * half
    below = np.concatenate([[0.0], np.cumsum(parts)])
    above = np.concatenate([np.cumsum(parts[::-1])[::-1], [0.0]])
    median = edges[np.searchsorted(np.cumsum(masses), 0.5)]

    def at(x: np.ndarray) -> np.ndarray:
        flat = x.ravel()
        i = np.clip(np.searchsorted(edges, flat) - 1, 0, len(half) - 1)
        part = legendre.legval((flat - middle[i]) / half[i], integrals[i].T, tensor=False)
        mass = np.where(flat <= median, -(below[i] + part), above[i + 1] + parts[i] - part)
        return (mass / p(flat)).reshape(x.shape)

    return at
