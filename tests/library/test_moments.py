"""Moments: no digit lost to large means, and the same bits however the blocks are shared out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import gradlib as gl
from gradlib.engine.moments import Moments, Tree, row_moments

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)


def of(rows):
    """The definition, two passes in extended precision."""
    rows = np.asarray(rows, np.longdouble)
    mean = rows.mean(axis=0)
    return mean.astype(float), ((rows - mean) ** 2).sum(axis=0).astype(float)


def blocks(count, seed=0):
    """Blocks whose moments differ so much that each order of merging has bits of its own."""
    rng = np.random.default_rng(seed)
    return [Moments(8, *rng.lognormal(0, 3, (2, 2))) for _ in range(count)]


def tree(parts):
    total = Tree()
    for part in parts:
        total = total.add(part)
    return total


def bits(moments):
    return moments.count, moments.mean.tobytes(), moments.squares.tobytes()


@pytest.mark.parametrize(
    "mean, spread", [(0, 1), (1, 1), (1e8, 1), (-1e8, 1), (1e15, 100), (1e-200, 1e-210), (3, 1e-9), (1e100, 1e90)]
)
def test_a_row_keeps_the_digits_of_its_spread(mean, spread):
    """A difference of squares loses all of them at mean 10⁸ and spread 1."""
    row = mean + spread * np.random.default_rng(0).standard_normal(1001)
    want_mean, want_squares = of(row)
    with np.errstate(under="ignore"):
        got_mean, got_squares = row_moments(row)
    assert got_mean == pytest.approx(want_mean, rel=1e-14, abs=1e-14 * spread)
    if want_squares > 1e-290:
        assert got_squares == pytest.approx(want_squares, rel=1e-12)


def test_the_textbook_formula_would_be_seen():
    row = 1e8 + np.random.default_rng(0).standard_normal(1001)
    naive = np.dot(row, row) - len(row) * row.mean() ** 2
    assert naive != pytest.approx(of(row)[1], rel=1e-2)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e8 + 0.1, 1e-300, 1e150, math.pi])
@pytest.mark.parametrize("size", [1, 2, 7, 1000, 4099])
def test_equal_draws_have_no_spread_at_all(value, size):
    """Exactly 0, also after merging: a rounding error would pass for a reached standard error."""
    row = np.full(size, value)
    mean, squares = row_moments(row)
    assert (mean, squares) == (value, 0)
    for shape in ((size,), (size, 1), (size, 3), (size, 2, 2)):
        moments = Moments.of_columns(np.full(shape, value))
        assert np.all(moments.mean == value) and np.all(moments.squares == 0), shape
        merged = tree([moments, moments, Moments.of_columns(np.full((5, *shape[1:]), value))]).total()
        assert np.all(merged.mean == value) and np.all(merged.squares == 0)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3), (50, 2, 3)])
@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_columns(shape, shift):
    values = shift + np.random.default_rng(1).standard_normal(shape)
    got, (mean, squares) = Moments.of_columns(values), of(values)
    assert got.mean.shape == got.squares.shape == got.stderr.shape == shape[1:]
    assert got.mean == pytest.approx(mean, rel=1e-14)
    assert got.squares == pytest.approx(squares, rel=1e-10)
    assert got.stderr == pytest.approx(values.std(axis=0, ddof=1) / np.sqrt(50), rel=1e-7)


@few
@given(some.integers(1, 40), some.integers(1, 40), some.sampled_from([0, 1.0, 1e8]), some.integers(0, 1000))
def test_merging_equals_the_whole(left, right, shift, seed):
    rows = shift + np.random.default_rng(seed).standard_normal((left + right, 2)) * [1, 1e3]
    got = Moments.of_columns(rows[:left]).merge(Moments.of_columns(rows[left:]))
    mean, squares = of(rows)
    assert got.count == left + right
    assert got.mean == pytest.approx(mean, rel=1e-13, abs=1e-11)
    assert got.squares == pytest.approx(squares, rel=1e-6 if shift > 1 else 1e-11)


def test_means_that_differ_add_to_the_spread():
    """{0, 0} and {2, 2}: nothing inside, everything between."""
    low, high = (Moments.of_columns(np.full(2, v)) for v in (0.0, 2.0))
    both = low.merge(high)
    assert (both.count, float(both.mean), float(both.squares)) == (4, 1, 4)


def test_what_is_not_finite_is_carried_along():
    zero = np.zeros(1)
    parts = [Moments(8, zero, zero), Moments(8, zero, zero, 2, "the third"), Moments(8, zero, zero, 1, "later")]
    total = tree(parts).total()
    assert (total.count, total.bad, total.first_bad) == (24, 3, "the third")
    assert not Moments(2, np.array([np.nan]), np.array([np.nan])).is_finite


def test_draws_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="rows of one shape"):
        Moments.of_columns(np.ones((3, 2))).merge(Moments.of_columns(np.ones((3, 1))))


# --- the tree ------------------------------------------------------------------------


def aligned(count, draw):
    """A random split of 0 … count into batches of 2^k that start at multiples of 2^k; the last may be cut off."""
    start = 0
    while start < count:
        size = 2 ** draw(some.integers(0, 6))
        while start % size:
            size //= 2
        yield start, min(start + size, count)
        start = min(start + size, count)


@few
@given(some.integers(1, 150), some.integers(0, 100), some.data())
def test_any_aligned_split_has_the_same_bits(count, seed, data):
    parts = blocks(count, seed)
    whole, total = tree(parts).total(), Tree()
    for start, stop in aligned(count, data.draw):
        total = total.extend(tree(parts[start:stop]))
    assert bits(total.total()) == bits(whole)


def test_an_unaligned_split_would_be_seen():
    parts = blocks(64)
    whole, left = tree(parts).total(), parts[0]
    for part in parts[1:]:
        left = left.merge(part)
    shifted = tree(parts[:1]).total().merge(tree(parts[1:]).total())
    swapped = tree([*parts[1::2], *parts[::2]]).total()
    for other in (left, shifted, swapped):  # one after the other; batches of 1 and 63; another order
        assert bits(other) != bits(whole)
        assert other.mean == pytest.approx(whole.mean, rel=1e-13)


def test_the_tree_is_the_whole_sample():
    rows = 1e8 + np.random.default_rng(3).standard_normal((37 * 16, 2))
    total = tree([Moments.of_columns(part) for part in rows.reshape(37, 16, 2)]).total()
    mean, squares = of(rows)
    assert total.count == len(rows)
    assert total.mean == pytest.approx(mean, rel=1e-15)
    assert total.squares == pytest.approx(squares, rel=1e-7)


def test_trees_are_immutable_and_small():
    """An interruption finds the last whole one; it holds a node for each binary digit of the number of blocks."""
    parts = blocks(100)
    first = tree(parts[:7])
    before = bits(first.total())
    first.add(parts[7])
    first.extend(tree(parts[7:8]))
    assert bits(first.total()) == before
    assert [level for level, _ in tree(parts).nodes] == [6, 5, 2]


# --- through the engine ----------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 1e8, -1e8])
def test_a_mean_of_1e8_keeps_its_standard_error(shift):
    got = gl.monte_carlo(lambda rng, n: shift + rng.standard_normal(n), 200_017, rng=0)
    assert got.stderr == pytest.approx(1 / np.sqrt(200_017), rel=0.02)
    assert abs(got.z(shift)) < 5
    assert abs(got.z(shift + 0.1)) > 5


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_constant_draws_through_the_engine(shape):
    got = gl.monte_carlo(lambda rng, n: np.full((n, *shape), 0.1), 5000, rng=0, block=97)
    assert np.all(got.value == 0.1) and np.all(np.asarray(got.stderr) == 0)
