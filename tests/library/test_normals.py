"""Normal draws: their law, their independence, and the edges of the generator."""

import numpy as np
import pytest
import scipy.stats

from gradlib.core.normals import standard_normal

N = 200_000


def draws(seed=0, size=N):
    return standard_normal(np.random.default_rng(seed), size)


def pairs(x):
    """The two members of each pair: the cosine's half and the sine's."""
    half = -(-len(x) // 2)
    return x[: len(x) - half], x[half:]


def correlation_z(a, b):
    return np.corrcoef(a, b)[0, 1] * np.sqrt(len(a))


@pytest.mark.parametrize("seed", range(2))
def test_the_law_is_scipys(seed):
    x = draws(seed)
    for part in (x, *pairs(x)):
        assert scipy.stats.kstest(part, "norm").pvalue > 1e-3
    # The test can fail: a spread of 3 % too much, a mean of 2 % of it.
    assert scipy.stats.kstest(1.03 * x, "norm").pvalue < 1e-3
    assert scipy.stats.kstest(x + 0.02, "norm").pvalue < 1e-3


@pytest.mark.parametrize("power, moment", [(1, 0), (2, 1), (3, 0), (4, 3), (6, 15), (8, 105)])
def test_moments(power, moment):
    """Where the law's tails are wrong, high moments say so."""
    x = draws(7) ** power
    stderr = x.std() / np.sqrt(N)
    assert abs(x.mean() - moment) < 5 * stderr
    if power % 2 == 0:
        assert ((1.05 * draws(7)) ** power).mean() - moment > 5 * stderr


@pytest.mark.parametrize("level", [2, 3, 4])
def test_tails(level):
    """The share beyond each level, on either side: binomial, 5 standard deviations wide."""
    x, p = draws(8, 1_000_000), scipy.stats.norm.sf(level)
    for share in (np.mean(x > level), np.mean(x < -level)):
        assert abs(share - p) < 5 * np.sqrt(p / len(x))


@pytest.mark.parametrize("f", [lambda x: x, np.square, np.abs, np.sign], ids=["values", "squares", "sizes", "signs"])
def test_the_members_of_a_pair_are_independent(f):
    """They share a radius and an angle: anything wrong there shows in their squares."""
    a, b = pairs(draws(1))
    assert abs(correlation_z(f(a), f(b))) < 5
    assert abs(correlation_z(f(a[1:]), f(a[:-1]))) < 5  # and so are neighbours
    assert abs(correlation_z(f(a), f(0.2 * a + b))) > 5  # a correlation of 20 % is seen


def test_the_sum_and_difference_of_a_pair_are_normal():
    """A property of the Normal law alone: a wrong radius or angle would break it."""
    a, b = pairs(draws(2))
    for mixed in ((a + b) / np.sqrt(2), (a - b) / np.sqrt(2)):
        assert scipy.stats.kstest(mixed, "norm").pvalue > 1e-3
    angle = np.arctan2(b, a) / (2 * np.pi) + 0.5
    assert scipy.stats.kstest(angle, "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(a**2 + b**2, "chi2", (2,)).pvalue > 1e-3


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 1001])
def test_sizes(size):
    x = draws(0, size)
    assert x.shape == (size,) and x.dtype == float and np.isfinite(x).all()
    assert len(np.unique(x)) == size


def test_out():
    """In place, also in a row of something larger, and nothing beside it."""
    room = np.full((3, 10), np.nan)
    given = standard_normal(np.random.default_rng(5), 7, out=room[1, :7])
    assert np.shares_memory(given, room)
    assert np.array_equal(room[1, :7], draws(5, 7))
    assert np.isnan(room[[0, 2]]).all() and np.isnan(room[1, 7:]).all()


class Extreme:
    """A generator at the edge: every uniform draw and every exponential draw the same."""

    def __init__(self, uniform, exponential):
        self.uniform, self.exponential = uniform, exponential

    def random(self, out):
        out.fill(self.uniform)

    def standard_exponential(self, out):
        out.fill(self.exponential)


@pytest.mark.parametrize("uniform", [0.0, 2.0**-53, 0.25, 0.5, 0.5 + 2.0**-53, 0.75, 1 - 2.0**-53])
@pytest.mark.parametrize("exponential", [0.0, 5e-324, 1e-300, 1.0, 60.0])
def test_the_generators_edges_are_finite(uniform, exponential):
    with np.errstate(all="raise", under="ignore"):
        x = standard_normal(Extreme(uniform, exponential), 2)
    assert np.isfinite(x).all()
    assert np.hypot(*x) == pytest.approx(np.sqrt(2 * exponential), rel=1e-12, abs=1e-150)
    angle = 2 * np.pi * (uniform - 0.5)
    assert x == pytest.approx(
        np.sqrt(2 * exponential) * np.array([np.cos(angle), np.sin(angle)]), abs=1e-14 * (1 + exponential)
    )


def test_the_scratch_space_of_one_call_does_not_reach_into_the_next():
    """Fresh memory and used memory: the same draws."""
    first = draws(11, 1000)
    draws(12, 5000)
    standard_normal(Extreme(np.nan, np.nan), 3000)
    assert np.array_equal(first, draws(11, 1000))
