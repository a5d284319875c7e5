"""Sampling schemes: unbiased, with standard errors that cover, and refused where they do not apply."""

from functools import lru_cache

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sympy as sp
import sympy.stats as st
from cases import CASES, CONTINUOUS, frozen_base, k, mu, p, sigma
from scipy.stats import qmc

import gradlib as gl
from gradlib.core.law import FamilySampler, TableSampler
from gradlib.engine.sampling import SCRAMBLES, Draws, Streams, sobol_points

X = st.Normal("X", mu, sigma)
AT = {mu: 0.3, sigma: 1.2}
COSINE = gl.Expectation(sp.cos(2 * X))
GRID = (np.arange(2000) + 0.5) / 2000
REFUSED = ("Poisson", "Geometric", "Binomial")
BY_QUANTILE = [name for name in CASES if name not in REFUSED]


def sampler(name):
    c = CASES[name]
    numbers = tuple(float(sp.sympify(parameter).subs(c.at)) for parameter in c.law.parameters)
    return c.law.sampler(numbers, c.at)


@lru_cache(maxsize=None)
def mean(name):
    """An expectation with finite moments whichever the family, and neither odd nor even."""
    variable = CASES[name].variable
    return gl.Expectation(sp.cos(variable) + sp.atan(variable))


@lru_cache(maxsize=None)
def truth_of(J, at):
    return gl.exact(J, dict(at))


def exact(J, at):
    return truth_of(J, tuple(at.items()))


# --- quantiles and symmetry ------------------------------------------------------------


@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantiles_are_scipys(name):
    u = np.array([1e-6, 1e-3, 0.01, 0.3, 0.5, 0.7, 0.99, 1 - 1e-6])
    got, want = sampler(name).quantile(u), frozen_base(name).ppf(u)
    assert got == pytest.approx(want, rel=1e-9, abs=1e-12)
    assert sampler(name).quantile(u + 1e-4 * (u < 0.9)) != pytest.approx(want, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantiles_and_draws_follow_one_law(name):
    """Both ways to draw: uniform numbers through the quantile, and NumPy's own."""
    rng = np.random.default_rng(1)
    by_quantile, direct = sampler(name).quantile(rng.random(20_000)), sampler(name).draw(rng, 20_000)
    assert scipy.stats.ks_2samp(by_quantile, direct).pvalue > 1e-3
    spread = np.quantile(direct, 0.75) - np.quantile(direct, 0.25)
    assert scipy.stats.ks_2samp(by_quantile + 0.07 * spread, direct).pvalue < 1e-3


@pytest.mark.parametrize("name", BY_QUANTILE)
def test_quantiles_are_finite_at_the_edges(name):
    edges = np.array([2.0**-53, 1 - 2.0**-53])
    assert np.isfinite(sampler(name).quantile(edges)).all()


def test_quantiles_of_discrete_laws():
    """The share of a fine grid that lands on each value is its probability."""
    assert np.mean(sampler("Bernoulli").quantile(GRID)) == pytest.approx(0.3, abs=1e-3)
    table = sampler("Table").quantile(GRID)
    assert set(table) == {-1.0, 0.5, 3.0}
    assert [np.mean(table == v) for v in (-1, 0.5, 3)] == pytest.approx([0.2, 0.5, 0.3], abs=1e-3)
    impossible = TableSampler("T", (0.0, 0.5, 0.0, 0.5, 0.0), (1.0, 2.0, 3.0, 4.0, 5.0))
    assert set(impossible.quantile(np.concatenate([[0.0, 0.5, 1 - 2.0**-53], GRID]))) == {2.0, 4.0}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_symmetric_means_that_the_base_density_is_even(name):
    x = np.array([0.1, 0.4, 0.77, 2.3])
    even = np.allclose(frozen_base(name).pdf(x), frozen_base(name).pdf(-x), rtol=1e-12)
    assert sampler(name).symmetric == even


def test_tables_have_no_mirror():
    assert not sampler("Table").symmetric and not sampler("Bernoulli").symmetric


# --- antithetic pairs --------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_QUANTILE)
def test_antithetic_draws_are_unbiased(name):
    c, J = CASES[name], mean(name)
    got = gl.estimate(J, c.at, samples=50_000, rng=3, sampling="antithetic")
    truth = exact(J, c.at)
    assert got.samples == 50_000
    assert abs(got.z(truth)) < 5
    assert abs(got.z(truth + 0.05)) > 5


def spread(J, at, sampling, seeds=300, samples=2000):
    truth = exact(J, at)
    return np.std([gl.estimate(J, at, samples=samples, rng=seed, sampling=sampling).z(truth) for seed in range(seeds)])


@pytest.mark.parametrize("name", ["Normal", "Gumbel"])
def test_the_standard_error_of_pairs_covers(name):
    """By mirror and by quantile: over many seeds z has spread 1, as it had not if a pair's halves were independent."""
    bound = 5 / np.sqrt(2 * 300)
    assert abs(spread(mean(name), CASES[name].at, "antithetic") - 1) < bound
    naive = []
    for seed in range(100):
        values = []
        for draw in (Streams.of(seed)[0].standard_normal(1000),):
            values = np.concatenate([np.exp(draw), np.exp(-draw)])
        naive.append((values.mean() - np.exp(0.5)) / (values.std(ddof=1) / np.sqrt(2000)))
    assert abs(np.std(naive) - 1) > 0.15


@pytest.mark.parametrize(
    "variable", [X, st.Logistic("X", mu, sigma), st.Laplace("X", mu, sigma)], ids=["Normal", "Logistic", "Laplace"]
)
def test_an_odd_integrand_has_no_variance_in_pairs(variable):
    got = gl.estimate(
        gl.Expectation([variable, (variable - mu) ** 3, sp.sin(variable - mu)]),
        AT,
        samples=1000,
        rng=0,
        sampling="antithetic",
    )
    assert got.value == pytest.approx([0.3, 0, 0], abs=1e-13)
    assert np.all(got.stderr < 1e-14)
    assert gl.estimate(gl.Expectation(variable), AT, samples=1000, rng=0).stderr > 1e-3


def test_an_even_integrand_doubles_its_variance_in_pairs():
    even = gl.Expectation(sp.cos(2 * (X - mu)))
    plain, pairs = (gl.estimate(even, AT, samples=400_000, rng=0, sampling=s) for s in ("plain", "antithetic"))
    assert (pairs.stderr / plain.stderr) ** 2 == pytest.approx(2, rel=0.02)


def test_a_pair_by_quantile_mirrors_the_probability():
    """u and 1 − u: for a uniform variable the two add to 1, for an exponential one e^−x + e^−x' = 1."""
    U, E = st.Uniform("U", 0, 1), st.Exponential("E", 1)
    for F in (gl.Expectation(U), gl.Expectation(sp.exp(-E))):
        got = gl.estimate(F, samples=1000, rng=0, sampling="antithetic")
        assert got.value == pytest.approx(0.5, abs=1e-15) and got.stderr < 1e-15


def test_all_variables_are_mirrored_at_once():
    Y, G = st.Normal("Y", 0, 1), st.Gamma("G", 3, 1)
    J = gl.Expectation(X + Y + sp.exp(-G / 5) * sp.cos(X))
    got = gl.estimate(J, AT, samples=100_000, rng=1, sampling="antithetic")
    assert abs(got.z(exact(J, AT))) < 5
    assert got.stderr < gl.estimate(J, AT, samples=100_000, rng=1).stderr / 2


def test_draws_of_pairs_that_are_not_finite_are_counted_one_by_one():
    """Each member of a pair is a draw, and the one that is named is a bad one."""
    F = sp.Function("F")
    for bad, share in ((lambda x: x < 0, 0.5), (lambda x: abs(x) > 1, 0.3173), (lambda x: x > 1, 0.1587)):
        with pytest.raises(FloatingPointError, match=r"in [\d,]+ of 40,000 draws") as error:
            functions = {F: lambda x, bad=bad: np.where(bad(x), np.nan, x)}
            gl.estimate(
                gl.Expectation(F(X)),
                {mu: 0, sigma: 1},
                samples=40_000,
                rng=0,
                sampling="antithetic",
                functions=functions,
            )
        words = str(error.value).replace(",", "").replace(".Nothing", "").split()
        count, where = int(words[words.index("in") + 1]), float(words[words.index("=") + 1].rstrip("."))
        assert count / 40_000 == pytest.approx(share, abs=0.02)
        assert bad(where)


# --- Sobol' points --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_QUANTILE)
def test_sobol_is_unbiased(name):
    """The 16 scrambles are few: t with 15 degrees of freedom, beyond 8 once in two million."""
    c, J = CASES[name], mean(name)
    got = gl.estimate(J, c.at, samples=SCRAMBLES * 2**9, rng=2, sampling="sobol")
    truth = exact(J, c.at)
    assert got.samples == SCRAMBLES * 2**9
    assert abs(got.z(truth)) < 8
    assert abs(got.z(truth + 0.05)) > 8


def test_sobol_z_follow_student_t():
    """Over seeds; with twice or half the standard error they would not."""
    truth = exact(COSINE, AT)
    z = np.array(
        [gl.estimate(COSINE, AT, samples=SCRAMBLES * 2**4, rng=seed, sampling="sobol").z(truth) for seed in range(120)]
    )
    assert scipy.stats.kstest(z, "t", (SCRAMBLES - 1,)).pvalue > 1e-3
    assert scipy.stats.kstest(2 * z, "t", (SCRAMBLES - 1,)).pvalue < 1e-3
    assert scipy.stats.kstest(0.5 * z, "t", (SCRAMBLES - 1,)).pvalue < 1e-3


def test_equal_scrambles_are_no_certainty():
    """All scrambles may hold the same share of a jump; the error of plain draws, which is larger, stands in for 0."""
    above = gl.Expectation(sp.Heaviside(X))
    runs = [gl.estimate(above, AT, samples=SCRAMBLES * 2**5, rng=seed, sampling="sobol") for seed in range(60)]
    plain = np.sqrt(gl.variance(above, AT) / (SCRAMBLES * 2**5))
    stood_in = [run for run in runs if run.stderr > 0.9 * plain]
    assert stood_in and all(run.stderr < 1.1 * plain for run in stood_in)
    assert all(abs(run.z(exact(above, AT))) < 8 for run in runs)
    assert gl.estimate(gl.Expectation(sp.Integer(3), [X]), AT, samples=SCRAMBLES * 4, sampling="sobol").stderr == 0


def test_cauchys_quantile_keeps_its_digits():
    u = np.array([1e-12, 0.3, 0.5, 1 - 2.0**-40])
    cauchy = FamilySampler("X", "Cauchy", (0.0, 1.0))
    assert cauchy.quantile(u) == pytest.approx(
        [-1 / (np.pi * 1e-12), np.tan(np.pi * -0.2), 0, 2.0**40 / np.pi], rel=1e-12, abs=1e-16
    )


def test_sobol_is_worth_it():
    """30 times closer than plain draws at equal n on a smooth integrand; and its own spread says so truly."""
    n, truth = SCRAMBLES * 2**14, exact(COSINE, AT)
    plain, sobol = (gl.estimate(COSINE, AT, samples=n, rng=0, sampling=s) for s in ("plain", "sobol"))
    assert sobol.stderr < plain.stderr / 30
    assert abs(sobol.z(truth)) < 8
    assert abs(sobol.value - truth) < abs(plain.stderr) / 30


def test_a_point_at_zero_would_be_infinite(monkeypatch):
    """SciPy's points may be 0: half a cell more keeps every quantile finite, at both ends."""
    assert scipy.special.ndtri(0.0) == -np.inf
    for corner in (0.0, 1 - 2.0**-52):
        monkeypatch.setattr(qmc.Sobol, "random", lambda self, n, corner=corner: np.full((n, self.d), corner))
        points = np.concatenate(list(sobol_points(2, np.random.default_rng(0), 0, 8, 4)))
        assert np.all((points > 0) & (points < 1))
        got = gl.estimate(gl.Expectation(X), AT, samples=64, rng=0, sampling="sobol")
        assert np.isfinite(got.value) and abs(got.value) < 15


def test_uniform_numbers_of_pairs_are_never_zero_or_one():
    """The generator's whole numbers at either end, plus half a cell."""

    class Edge:
        def __init__(self, value):
            self.value = value

        def integers(self, high, size):
            return np.full(size, self.value(high), np.int64)

    pairs = Draws(((sampler("Exponential"), sampler("Gumbel"), sampler("Rayleigh")),), mirrored=True)
    for value in (lambda high: 0, lambda high: high - 1):
        for _, draws in pairs.draw(Edge(value), np.empty((3, 4)), None):
            assert np.isfinite(draws).all() and np.all(np.abs(draws) < 50)


@pytest.mark.parametrize("size", [4, 16, 64])
def test_sobol_points_in_pieces(size):
    """The points of a wanted standard error come in doublings: the same sequence, none twice."""
    stream = lambda: np.random.default_rng(7)  # noqa: E731
    whole = np.concatenate(list(sobol_points(3, stream(), 0, 64, 64)))
    pieces = [np.concatenate(list(sobol_points(3, stream(), *part, size))) for part in ((0, 16), (16, 32), (32, 64))]
    assert np.array_equal(whole, np.concatenate(pieces))
    assert len(np.unique(whole, axis=0)) == 64
    # Balance: each eighth of the first axis holds exactly eight points.
    assert np.all(np.histogram(whole[:, 0], bins=8, range=(0, 1))[0] == 8)


def test_scrambles_differ():
    streams = Streams.of(0)
    first, second = (np.concatenate(list(sobol_points(1, streams[i], 0, 16, 16))) for i in (0, 1))
    assert not np.intersect1d(first, second).size


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "sobol"])
def test_gradients_under_each_scheme(sampling):
    """Both estimators, a shape parameter among them, against the oracle."""
    for rule, name in ((gl.score_function, "Gamma"), (gl.pathwise, "Normal"), (gl.pathwise, "Gumbel")):
        c = CASES[name]
        G = rule(gl.Expectation(sp.cos(c.variable)), list(c.at))
        got = gl.estimate(G, c.at, samples=SCRAMBLES * 2**8, rng=5, sampling=sampling)
        assert np.all(np.abs(got.z(exact(G, c.at))) < (8 if sampling == "sobol" else 5))


@pytest.mark.parametrize("sampling", ["antithetic", "sobol"])
def test_schemes_are_reproducible(sampling):
    one, two, other = (
        gl.estimate(COSINE, AT, samples=SCRAMBLES * 2**6, rng=seed, sampling=sampling) for seed in (1, 1, 2)
    )
    assert (one.value, one.stderr) == (two.value, two.stderr) != (other.value, other.stderr)


# --- common random numbers ------------------------------------------------------------------


def both(J, plus, minus, samples=50_000, **how):
    truth = np.asarray(exact(J, plus)) - exact(J, minus)
    return gl.difference(J, plus, minus, samples=samples, rng=4, **how), truth


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "sobol"])
def test_difference_of_a_smooth_integrand(sampling):
    """Common draws: far closer than two separate estimates, and by a factor that grows as the step shrinks."""
    ratios = []
    for step in (0.1, 0.01):
        plus, minus = {**AT, mu: 0.3 + step}, {**AT, mu: 0.3 - step}
        got, truth = both(COSINE, plus, minus, samples=SCRAMBLES * 2**12, sampling=sampling)
        assert abs(got.z(truth)) < 8
        assert abs(got.z(0)) > 8
        separate = np.hypot(
            *(gl.estimate(COSINE, at, samples=SCRAMBLES * 2**12, rng=r).stderr for r, at in enumerate((plus, minus)))
        )
        ratios.append(separate / got.stderr)
    assert ratios[0] > 3 and ratios[1] > 8 * ratios[0] / 1.1


@pytest.mark.parametrize("name", BY_QUANTILE)
def test_difference_in_each_parameter(name):
    """Where the parameter is in the path, in the base law (by quantile), or both."""
    c, J = CASES[name], mean(name)
    plus = {symbol: value * 1.1 for symbol, value in c.at.items()}
    got, truth = both(J, plus, c.at)
    assert abs(got.z(truth)) < 5
    separate = np.hypot(*(gl.estimate(J, at, samples=50_000, rng=r).stderr for r, at in enumerate((plus, c.at))))
    assert got.stderr < separate / 1.5


def test_difference_of_a_vector_and_of_the_integrand_alone():
    J = gl.Expectation([sp.cos(2 * X), mu**2 * X, sigma])
    got, truth = both(J, {mu: 0.5, sigma: 1.2}, {mu: 0.3, sigma: 1.0})
    assert np.all(np.abs(got.z(truth)[:2]) < 5) and got.value.shape == (3,)
    assert got.value[2] == pytest.approx(0.2, abs=1e-15) and got.stderr[2] < 1e-17


def test_difference_with_the_same_parameters_is_zero():
    got = gl.difference(COSINE, AT, AT, samples=1000, rng=0)
    assert (got.value, got.stderr) == (0, 0)


def test_difference_of_bernoulli_couples_both_sides():
    """The same uniform number: the two differ only where it falls between the probabilities."""
    J = gl.Expectation(st.Bernoulli("B", p))
    got, truth = both(J, {p: 0.31}, {p: 0.30})
    assert abs(got.z(0.01)) < 5 and truth == pytest.approx(0.01)
    assert got.stderr == pytest.approx(np.sqrt(0.01 * 0.99 / 50_000), rel=0.1)


def test_difference_of_gamma_in_its_shape():
    J = gl.Expectation(sp.log(st.Gamma("G", k, sigma)))
    got, truth = both(J, {k: 2.6, sigma: 1.2}, {k: 2.5, sigma: 1.2})
    assert abs(got.z(truth)) < 5
    assert got.stderr < 0.1 * gl.estimate(J, {k: 2.5, sigma: 1.2}, samples=100_000, rng=0).stderr


def test_difference_of_a_table_whose_values_move():
    """The values of a table are parameters too, and belong to their side."""
    T = st.FiniteRV("T", {mu: p, sp.Integer(2): 1 - p})
    J = gl.Expectation(T**2)
    got, truth = both(J, {mu: 1.0, p: 0.4}, {mu: 0.5, p: 0.4})
    assert truth == pytest.approx(0.4 * 0.75)
    assert got.stderr > 0 and abs(got.z(truth)) < 5


def test_difference_of_what_has_no_quantile():
    """Poisson at two rates is refused; at one rate it is a common draw like any other."""
    N = st.Poisson("N", sigma)
    with pytest.raises(ValueError, match="common random numbers do not apply to N: Poisson.*two independent estimates"):
        gl.difference(gl.Expectation(N), {sigma: 1.0}, {sigma: 1.1}, samples=100)
    got, truth = both(gl.Expectation(mu * N), {mu: 1.0, sigma: 1.7}, {mu: 0.9, sigma: 1.7})
    assert abs(got.z(truth)) < 5


def test_difference_with_a_black_box_and_with_a_wanted_error():
    F = sp.Function("F")
    plus, minus = {**AT, mu: 0.35}, AT
    truth = exact(COSINE, plus) - exact(COSINE, minus)
    got = gl.difference(gl.Expectation(F(X)), plus, minus, stderr=2e-4, rng=0, functions={F: lambda x: np.cos(2 * x)})
    assert got.stderr <= 2e-4 and abs(got.z(truth)) < 5


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("sampling, scheme", [("sobol", "Sobol' points"), ("antithetic", "antithetic pairs")])
def test_what_has_no_quantile_is_refused_with_the_reason(name, sampling, scheme):
    c = CASES[name]
    with pytest.raises(
        ValueError, match=f"{scheme} do not apply to X: {name} is drawn by search or rejection.*sampling='plain'"
    ):
        gl.estimate(gl.Expectation(c.variable + st.Normal("Y", 0, 1)), c.at, samples=64, sampling=sampling)


@pytest.mark.parametrize("sampling", ["Sobol", "qmc", "", None, True, 3, ["sobol"], {}])
def test_unknown_schemes(sampling):
    for call in (gl.estimate, lambda J, at, **how: gl.difference(J, at, at, **how)):
        with pytest.raises(ValueError, match="sampling must be one of 'plain', 'antithetic', 'sobol'"):
            call(COSINE, AT, samples=64, sampling=sampling)


@pytest.mark.parametrize("samples", [2, 3, 101, 10**6 + 1])
def test_pairs_need_an_even_number(samples):
    with pytest.raises(ValueError, match=f"samples must be even and at least 4, got {samples}"):
        gl.estimate(COSINE, AT, samples=samples, sampling="antithetic")


@pytest.mark.parametrize(
    "samples, near",
    [
        (2, "32"),
        (16, "32"),
        (31, "32"),
        (33, "32 or 64"),
        (100, "64 or 128"),
        (1_000_000, "524,288 or 1,048,576"),
        (16 * 1000, "8,192 or 16,384"),
    ],
)
def test_wrong_numbers_of_sobol_points_name_the_nearest(samples, near):
    with pytest.raises(ValueError, match=f"samples={near}, not {samples:,}"):
        gl.estimate(COSINE, AT, samples=samples, sampling="sobol")
    for right in (int(number.replace(",", "")) for number in near.split(" or ")):
        if right < 10**5:
            assert gl.estimate(COSINE, AT, samples=right, rng=0, sampling="sobol").samples == right
