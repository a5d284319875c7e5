r"""Normal draws from NumPy's exponential and uniform ones, a block at a time.

The polar form of two independent standard Normals has a squared radius of twice a standard
exponential draw E and an angle that is uniform on the circle. With :math:`t = \tan(\pi (U - 1/2))`,
the tangent of half that angle,

.. math:: \varepsilon_1 = \sqrt{2E}\, \frac{1 - t^2}{1 + t^2}, \qquad
          \varepsilon_2 = \sqrt{2E}\, \frac{2t}{1 + t^2} .

Exact in distribution, as NumPy's own ``standard_normal`` is; that one decides the sign of each
draw by a branch that processors predict wrongly half of the time.

Source: Box and Muller (1958), *A note on the generation of random normal deviates*.
"""

from __future__ import annotations

import numpy as np

from gradlib.core.memory import scratch


def standard_normal(rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
    """Independent standard Normal draws, of shape ``(size,)``; in ``out`` if it is given."""
    out = np.empty(size) if out is None else out
    pairs = -(-size // 2)
    with scratch(4, pairs) as rows:
        radius, t, square, ratio = rows[:, :pairs]
        rng.standard_exponential(out=radius)
        rng.random(out=t)
        np.subtract(t, 0.5, t)
        np.multiply(t, np.pi, t)
        np.tan(t, t)
        np.add(radius, radius, radius)
        np.sqrt(radius, radius)
        np.multiply(t, t, square)
        np.add(square, 1, ratio)
        np.divide(radius, ratio, radius)
        np.subtract(1, square, square)
        np.multiply(square, radius, out[:pairs])
        np.add(t, t, t)
        np.multiply(t[: size - pairs], radius[: size - pairs], out[pairs:])
    return out
