r"""Path velocities that have no closed form, in NumPy.

The distribution function :math:`P_\theta` and its inverse hold the draw's quantile
fixed as θ moves, so

.. math:: v_\theta(x) = -\frac{\partial_\theta P_\theta(x)}{p_\theta(x)}
          = -\int_{-\infty}^{x} \frac{p_\theta(t)}{p_\theta(x)}\, \partial_\theta \log p_\theta(t)\, dt
          = \int_{x}^{\infty} \frac{p_\theta(t)}{p_\theta(x)}\, \partial_\theta \log p_\theta(t)\, dt .

Density and score are the ones SymPy derives; nothing is typed for a family. The integral
is taken over the side of the median on which x lies (there the two integrals, which are
equal, lose no digits by cancellation), by a double-exponential rule, for a block of x at
once. At an edge where the density has a pole :math:`t^{a-1}` the variable is :math:`r = t^a`, and logarithms are taken of
r, since t may be smaller than any number. The result is good to 1e-12 (relative, or absolute in units of the spread) for
shapes from 0.001 to 100, beyond which it loses digits in proportion to the shape.

Source: Figurnov, Mohamed and Mnih (2018), *Implicit reparameterization gradients*.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import sympy as sp

from gradlib.core.families import FAMILIES
from gradlib.core.law import BY_NAME, formal_scores, quartiles
from gradlib.engine import formula

_ROWS = 2048  # draws per chunk: a chunk times the nodes stays in cache


def velocity(family: str, index: int):
    """``v(x, *parameters)`` for arrays x: the velocity in the parameter at ``index``."""
    if family not in BY_NAME:
        return formula.velocity(family, index)
    cls = BY_NAME[family]
    log_density, score, powers, lower, upper = _compiled(cls, index)

    def v(x, *parameters):
        x = np.asarray(x, float)
        flat, out = x.reshape(-1), np.empty(x.size)
        quartile, median, third = quartiles(cls, parameters)
        # The side with the smaller mass; at a pole most of the mass is too near to it for the other side to see.
        poled = min(powers(*parameters)) < 1
        below = flat <= (FAMILIES[cls].scipy(*parameters).mean() if poled else median)
        for side, edge in ((-1, lower), (1, upper)):
            (chosen,) = np.nonzero(below if side < 0 else ~below)
            for start in range(0, chosen.size, _ROWS):
                rows = chosen[start : start + _ROWS]
                out[rows] = side * _tail(
                    flat[rows], edge, upper, side, third - quartile, median, parameters, log_density, score, powers
                )
        return out.reshape(x.shape)

    return v


@lru_cache(maxsize=None)
def _compiled(cls: type, index: int):
    """log p and the score as functions of x, the distance to a finite upper edge, the logarithms of both, the parameters.

    The distance is an argument of its own because upper − x, computed from x, loses its digits near the edge; the
    logarithms because x itself may underflow. And the power a of the density t^(a − 1) at each edge, at most 1.
    """
    x, formal, scores = formal_scores(cls)
    law = cls(*formal)
    distance = sp.Dummy("distance", positive=True)
    logs = {sp.log(x): sp.Dummy("log x"), sp.log(distance): sp.Dummy("log distance")}
    log_density = sp.log(law.pdf(x)).replace(sp.beta, lambda a, b: sp.gamma(a) * sp.gamma(b) / sp.gamma(a + b))
    log_density = sp.expand_log(log_density, force=True).replace(
        lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.gamma), lambda e: sp.loggamma(e.args[0].args[0])
    )
    upper = law.set.sup

    def compiled(expression):
        return sp.lambdify([x, distance, *logs.values(), *formal], lower_and_upper(expression), "scipy", cse=True)

    def lower_and_upper(expression):
        return sp.expand_log(expression.subs(upper - x, distance), force=True).xreplace(logs)

    powers = [1 + sp.expand(lower_and_upper(log_density)).coeff(log) for log in logs.values()]
    powers = sp.lambdify(formal, [sp.Min(power, 1) for power in powers], "numpy")
    return compiled(log_density), compiled(scores[index]), powers, float(law.set.inf), float(upper)


def _nodes(finite: bool, h: float = 1 / 24, reach: float = 6.0):
    """Double-exponential nodes and weights: on (0, 1) for a finite side, on (0, ∞) for an infinite one."""
    u = np.arange(-reach, reach + h / 2, h)
    s, ds = np.pi / 2 * np.sinh(u), np.pi / 2 * np.cosh(u)
    with np.errstate(over="ignore"):
        if finite:
            # Written so that nodes near 0 keep their relative precision.
            t = 1 / (1 + np.exp(-2 * s))
            keep = t > 0
            return t[keep], (h * 2 * ds * t / (1 + np.exp(2 * s)))[keep]
        return np.exp(s), h * ds * np.exp(s)


_FINITE, _INFINITE = _nodes(True), _nodes(False)


def _tail(x, edge, upper, side, spread, median, parameters, log_density, score, powers):
    """∫ of p(t)/p(x)·score(t) over the side of x that ends at the edge."""
    x, power = x[:, None], 1.0
    if np.isfinite(edge):
        nodes, weights = _FINITE
        power = powers(*parameters)[side > 0]
        length = np.abs(edge - x)
        part = nodes ** (1 / power)
        t, jacobian = edge - side * length * part, length * weights / power
        distance = length * part if side > 0 else upper - t
    else:
        nodes, weights = _INFINITE
        # The unit of length is the distance over which the density changes near x.
        length = spread + np.abs(x - median)
        t, jacobian, distance = x + side * length * nodes, length * weights, np.inf
    with np.errstate(all="ignore"):
        logs, there = [np.log(t), np.log(distance)], [np.log(x), np.log(upper - x)]
        if np.isfinite(edge):
            logs[side > 0] = np.log(length) + np.log(nodes) / power
        grown = (1 / power - 1) * np.log(nodes) if power != 1 else 0.0  # dt/dr
        ratio = np.exp(
            log_density(t, distance, *logs, *parameters) - log_density(x, upper - x, *there, *parameters) + grown
        )
        terms = ratio * score(t, distance, *logs, *parameters) * jacobian
    # Nodes that underflow onto an edge, or overflow at infinity, weigh nothing.
    return np.where(np.isfinite(terms), terms, 0.0).sum(axis=1)
