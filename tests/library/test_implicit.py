"""Implicit velocities against mpmath: −∂_θ P(x) / p(x), differentiated at 40 digits, shape by shape."""

import mpmath as mp
import numpy as np
import pytest
import scipy.stats

from gradlib.engine.implicit import velocity
from gradlib.oracle.exact import velocity as oracles

SHAPES = {
    "Gamma": [(0.1, 1), (0.3, 2), (1, 1), (2.5, 0.4), (40, 1), (3000, 1)],
    "Beta": [(0.1, 0.15), (0.5, 3), (1, 1), (2.5, 1.7), (60, 90), (800, 0.4)],
    "StudentT": [(0.2,), (0.5,), (1,), (2.5,), (30,), (400,)],
}
FROZEN = {
    "Gamma": lambda k, scale: scipy.stats.gamma(k, scale=scale),
    "Beta": scipy.stats.beta,
    "StudentT": scipy.stats.t,
}
INDICES = {"Gamma": (0,), "Beta": (0, 1), "StudentT": (0,)}
QUANTILES = np.array([1e-6, 0.01, 0.3, 0.49, 0.51, 0.8, 0.99, 1 - 1e-6])


@pytest.mark.parametrize("family, index", [(family, i) for family in SHAPES for i in INDICES[family]])
def test_against_mpmath(family, index):
    """1e-12 relative (1e-14 times the shape beyond 100), at extreme shapes and in both tails."""
    for shape in SHAPES[family]:
        xs = FROZEN[family](*shape).ppf(QUANTILES)
        xs = xs[(xs > np.finfo(float).tiny if family != "StudentT" else np.isfinite(xs)) & (xs != 1)]
        got = velocity(family, index)(xs, *map(float, shape))
        reference = oracles(family, index)
        with mp.workdps(40):
            want = np.array([float(reference(mp.mpf(float(x)), *map(mp.mpf, shape))) for x in xs])
        # log p(t) − log p(x) loses digits in proportion to the shape; a Student t's velocity
        # is close to zero for large shapes, and crosses it at x = 0.
        assert got == pytest.approx(
            want, rel=max(1e-12, 1e-14 * max(shape)), abs=1e-13 if family == "StudentT" else 0
        ), shape


def test_the_comparison_can_fail():
    xs = np.array([0.5, 2.0])
    got = velocity("Gamma", 0)(xs, 2.5, 1.0)
    reference = oracles("Gamma", 0)
    want = np.array([float(reference(mp.mpf(x), mp.mpf(2.5), mp.mpf(1))) for x in xs])
    assert got == pytest.approx(want, rel=1e-12)
    assert got * (1 + 1e-10) != pytest.approx(want, rel=1e-12)
    assert -got != pytest.approx(want, rel=1e-12)


def test_shapes_of_arrays_are_kept_and_chunks_do_not_show():
    v = velocity("Gamma", 0)
    xs = scipy.stats.gamma(2.5).ppf(np.linspace(0.001, 0.999, 5000))
    whole = v(xs, 2.5, 1.0)
    assert v(xs.reshape(50, 100), 2.5, 1.0).shape == (50, 100)
    assert np.array_equal(whole[:7], v(xs[:7], 2.5, 1.0))
    assert v(1.3, 2.5, 1.0).shape == ()
    assert np.all(np.diff(whole) > 0)  # larger draws move faster


def test_the_scale_does_not_change_the_shape_of_the_path():
    """x = scale·g(ε): the velocity in k is homogeneous of degree 1 in (x, scale)."""
    v = velocity("Gamma", 0)
    assert 3 * v(0.7, 2.5, 1.0) == pytest.approx(v(2.1, 2.5, 3.0), rel=1e-12)
