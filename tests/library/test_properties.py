"""Bad input, drawn at random: it raises a clear error, and nothing is computed. The draws are the same every time."""

import math

import cases
import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import CASES, CONTINUOUS, mu, sigma
from hypothesis import given, settings
from hypothesis import strategies as some

import gradlib as gl
from gradlib.core.families import FAMILIES, POSITIVE

few = settings(derandomize=True, max_examples=40, deadline=None, database=None)
X = st.Normal("X", mu, sigma)
J, AT = gl.Expectation(X**2), {mu: 0.3, sigma: 1.2}
junk = some.one_of(
    some.none(),
    some.text(max_size=3),
    some.booleans(),
    some.lists(some.floats(), max_size=2),
    some.complex_numbers(),
    some.binary(max_size=2),
)
real = some.floats(-1e6, 1e6)


def numbers(J, at):
    """All three ways to a number."""
    return [lambda: gl.estimate(J, at, samples=5, rng=0), lambda: gl.exact(J, at), lambda: gl.variance(J, at)]


@few
@given(some.one_of(junk, some.just(sp.I), some.just(mu)))
def test_values_that_are_no_real_numbers(value):
    for number in numbers(J, {mu: value, sigma: 1}):
        with pytest.raises(TypeError, match="the value of mu must be a real number"):
            number()


@few
@given(some.sampled_from([math.nan, math.inf, -math.inf, 10**400, sp.oo, sp.nan]), some.booleans())
def test_values_that_are_not_finite(value, first):
    for number in numbers(J, {**AT, (mu if first else sigma): value}):
        with pytest.raises(ValueError, match="must be finite"):
            number()


@few
@given(some.sampled_from(sorted(CASES)), some.floats(-5, 0), some.data())
def test_parameters_outside_their_domain(name, value, data):
    """A symbol without assumptions in place of a positive parameter, then a value that is not positive."""
    c = CASES[name]
    row = FAMILIES.get(type(c.law.distribution))
    places = [i for i, (_, domain) in enumerate(row.parameters if row else ()) if domain == POSITIVE]
    if not places:
        return
    place = data.draw(some.sampled_from(places))
    free = sp.Symbol("free", real=True)
    arguments = [free if i == place else argument for i, argument in enumerate(c.law.distribution.args)]
    variable = type(c.variable.pspace)(c.variable.symbol, type(c.law.distribution)(*arguments)).value
    J = gl.Expectation(variable)
    at = {s: v for s, v in {**c.at, free: value}.items() if s in J.parameters}
    for number in numbers(J, at):
        with pytest.raises(ValueError, match="must be positive"):
            number()


@few
@given(
    some.sampled_from(
        [
            ("positive", -1.0),
            ("negative", 1.0),
            ("nonnegative", -1.0),
            ("nonpositive", 1.0),
            ("nonzero", 0.0),
            ("integer", 0.5),
        ]
    ),
    some.floats(1, 9),
)
def test_declared_assumptions_are_kept(claim, size):
    (assumption, value), symbol = claim, sp.Symbol("t", **{claim[0]: True})
    for number in numbers(gl.Expectation(symbol * X), {**AT, symbol: value * (size if assumption != "integer" else 1)}):
        with pytest.raises(ValueError, match=f"t was declared {assumption}"):
            number()


@few
@given(some.one_of(some.integers(max_value=1), some.floats(), junk.filter(lambda v: v is not None or True)))
def test_samples(samples):
    draw = lambda rng, n: pytest.fail("drew before checking")  # noqa: E731
    whole = isinstance(samples, int) and not isinstance(samples, bool)
    for run in (lambda: gl.monte_carlo(draw, samples, rng=0), lambda: gl.estimate(J, AT, samples=samples, rng=0)):
        with pytest.raises(ValueError if whole else TypeError, match="samples must be"):
            run()


@few
@given(some.one_of(some.integers(max_value=-1), some.floats(), junk.filter(lambda v: v is not None)))
def test_seeds(rng):
    whole = isinstance(rng, int) and not isinstance(rng, bool)
    with pytest.raises(ValueError if whole else TypeError, match="rng"):
        gl.estimate(J, AT, samples=5, rng=rng)


@few
@given(some.sets(some.sampled_from(["mu", "sigma", "theta", "s"]), max_size=4), some.booleans())
def test_missing_and_unknown_symbols(names, plain):
    known = {"mu": mu, "sigma": sigma}
    at = {known.get(name, sp.Symbol(name)) if not plain else sp.Symbol(name): 1.0 for name in names}
    if set(at) == {mu, sigma}:
        return
    for number in numbers(J, at):
        with pytest.raises(ValueError, match="no value for|is no parameter of|is not the symbol"):
            number()


@few
@given(
    some.dictionaries(
        some.sampled_from(["real", "positive", "integer", "nonzero", "negative"]), some.just(True), max_size=1
    )
)
def test_namesakes_are_told_apart_by_their_assumptions(assumptions):
    if assumptions == {"real": True}:
        return
    other = sp.Symbol("mu", **assumptions)
    with pytest.raises(ValueError) as error:
        gl.exact(J, {other: 1, sigma: 1})
    assert "real=True" in str(error.value)
    assert all(f"{claim}=True" in str(error.value) for claim in assumptions) and (
        assumptions or "no assumptions" in str(error.value)
    )


@few
@given(some.integers(2, 3000), some.integers(0, 2**64), some.floats(0.01, 0.9))
def test_what_is_not_finite_is_never_averaged(samples, seed, share):
    """Whichever draws are bad: the count is theirs."""
    bad = []

    def draw(rng, size):
        values = rng.random(size)
        bad.append(int((values < share).sum()))
        return np.where(values < share, rng.choice([np.nan, np.inf, -np.inf], size), values)

    try:
        got = gl.monte_carlo(draw, samples, rng=seed)
    except FloatingPointError as error:
        assert f"in {sum(bad):,} of {samples:,} draws" in str(error)
    else:
        assert sum(bad) == 0 and np.isfinite(got.value)


@few
@given(some.integers(1, 50), some.integers(1, 50))
def test_wrong_shapes_of_black_boxes(rows, columns):
    F = sp.Function("F")
    for shape in ((rows,), (rows, columns), ()):
        if shape == (7,):
            continue
        with pytest.raises(ValueError, match="black box F must map arrays of shape"):
            gl.estimate(gl.Expectation(F(X)), AT, samples=7, rng=0, functions={F: lambda v: np.ones(shape)})


@few
@given(real, some.floats(1e-3, 1e3), some.integers(0, 2**32))
def test_good_input_is_reproducible(m, s, seed):
    one, two = (gl.estimate(J, {mu: m, sigma: s}, samples=50, rng=seed) for _ in range(2))
    assert one.value == two.value and one.stderr == two.stderr and one.stderr > 0


@few
@given(some.sampled_from(sorted(CONTINUOUS)), some.integers(0, 1000))
def test_draws_lie_in_the_support(name, seed):
    c = CASES[name]
    low, high = (float(end.subs(c.at)) for end in (c.law.support.inf, c.law.support.sup))
    values = cases.draws(name, np.random.default_rng(seed), 200)
    assert np.all((values >= low) & (values <= high))
