"""One table of all estimators: which rows, which verdicts, and that every number in it is right."""

import time
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import mu, p, q, sigma

import gradlib as gl
from gradlib.compare import Comparison, Row
from gradlib.engine.estimate import cost

theta, c = sp.symbols("theta c", real=True)
rate = sp.Symbol("rate", positive=True)
X, S, T, W, B = (
    st.Normal("X", mu, 1),
    st.Normal("X", mu, sigma),
    st.Normal("X", theta, 1),
    st.Normal("W", 0, 1),
    st.Bernoulli("B", p),
)
U, K = st.Uniform("U", 0, sigma), st.Poisson("K", rate)
TABLE = st.FiniteRV("A", {-1: p, sp.Rational(1, 2): q, 3: 1 - p - q})

EXAMPLES = {
    # J, θ, at, the gradient
    "square": (X**2, mu, {mu: 1}, 2),
    "sigma": (sp.cos(S), sigma, {mu: 0.4, sigma: 1.2}, -1.2 * np.cos(0.4) * np.exp(-0.72)),
    "jump": (sp.Heaviside(X), mu, {mu: 0.3}, np.exp(-0.045) / np.sqrt(2 * np.pi)),
    "both": (theta * T**2, theta, {theta: 0.7}, 2.47),
    "integrand": (theta * X + c, theta, {theta: 1, mu: 2, c: 3}, 2),
    "edge": (U**2 + c, sigma, {sigma: 1.3, c: 3}, 2 * 1.3 / 3),
    "elbo": (-(S**2) / 2 + (S - mu) ** 2 / (2 * sigma**2) + sp.log(sigma), mu, {mu: 0.5, sigma: 0.8}, -0.5),
    "Bernoulli": ((B - 0.45) ** 2, p, {p: 0.3}, 0.1),
    "table": (TABLE**2, p, {p: 0.2, q: 0.5}, -8),
    "Poisson": (sp.cos(K), rate, {rate: 1.5}, None),
}
SECONDS: dict[str, float] = {}


@lru_cache(maxsize=None)
def table(label: str) -> Comparison:
    integrand, t, at, _ = EXAMPLES[label]
    start = time.process_time()
    result = gl.compare(gl.Expectation(integrand), t, at, samples=50_000)
    SECONDS[label] = time.process_time() - start
    return result


def names(rows) -> set[str]:
    return {row.name for row in rows}


@pytest.mark.parametrize("label", EXAMPLES)
def test_every_number_is_right(label):
    """The same exact mean in each sound row, the oracle's variance, a measured one within 5 errors, the order."""
    result = table(label)
    want = EXAMPLES[label][3]
    assert want is None or result.truth == pytest.approx(want, rel=1e-8)
    assert result.sound and len(result.rows) == len(names(result.rows))
    for row in result.sound:
        assert row.exact == pytest.approx(result.truth, rel=1e-8)
        assert row.work == row.variance * row.cost or np.isnan(row.variance)
        here = {s: v for s, v in EXAMPLES[label][2].items() if s in row.expectation.parameters}
        assert row.cost == cost(row.expectation, here) > 0
        assert row.measured.value == pytest.approx(row.exact, abs=5 * row.measured.stderr + 1e-12)
        # 50,000 draws: their variance is within 20 % of the exact one here
        assert row.measured.stderr**2 * 50_000 == pytest.approx(row.variance, rel=0.2, abs=1e-12) or np.isnan(
            row.variance
        )
    works = [row.work for row in result.sound if np.isfinite(row.work)]
    assert works == sorted(works) and min(works) == works[0]
    kinds = [(row.expectation is None, row.is_biased) for row in result.rows]
    assert kinds == sorted(kinds)  # sound, biased, refused


@pytest.mark.parametrize("label", EXAMPLES)
def test_under_five_seconds(label):
    """Processor time; a second attempt where the machine is busy."""
    table(label)
    if SECONDS[label] > 5:
        table.cache_clear()
        table(label)
    assert SECONDS[label] < 5


def test_rows_by_kind_of_objective():
    always = {
        "score function",
        "score function, mean as baseline",
        "score function, optimal baseline",
        "score function, leave-one-out, batches of 2",
    }
    weak = {"measure-valued", "measure-valued, coupled"}
    smooth = {"pathwise", "pathwise, score as control variate"}
    assert names(table("square").sound) == always | weak | smooth | {
        "score function, delta method",
        "finite difference",
    }  # exact for x²
    assert names(table("square").refused) == {"sum over values"}
    assert "finite difference" not in names(table("sigma").sound) and table("sigma")["finite difference"].is_biased
    assert names(table("jump").refused) == smooth | {"sum over values"}
    assert names(table("both").refused) == {"sticking the landing", "sum over values"}
    assert names(table("integrand").rows) == {"pathwise", "finite difference"}
    assert names(table("edge").sound) == weak | {"pathwise", "finite difference"}
    assert "sticking the landing" in names(table("elbo").sound)
    assert names(table("Bernoulli").rows) == always | weak | {
        "pathwise",
        "sum over values",
        "straight-through",
        "Gumbel-softmax",
    }
    assert names(table("Bernoulli").refused) == {"pathwise"}
    assert names(table("Poisson").refused) == {"pathwise", "sum over values", "straight-through", "Gumbel-softmax"}
    assert names(table("table").refused) >= weak and not table("table")["Gumbel-softmax"].expectation is None


def test_known_variances_and_verdicts():
    square = table("square")
    got = [
        square[name].variance
        for name in (
            "score function",
            "score function, mean as baseline",
            "score function, optimal baseline",
            "pathwise",
        )
    ]
    assert got == pytest.approx([30, 18, 14, 4], rel=1e-9)
    assert square["score function, leave-one-out, batches of 2"].variance == pytest.approx(14, rel=1e-9)
    assert square.verdict(square["pathwise, score as control variate"]) == "best for its cost, lowest variance"
    assert square.verdict(square["score function"]) == "not needed: another has variance 0"
    assert (
        square.verdict(square["sum over values"]) == "refused"
        and "infinitely many" not in square["score function"].reason
    )
    jump = table("jump")
    assert "jumps by 1 at X = 0" in jump["pathwise"].reason and jump["pathwise"].expectation is None
    assert jump.verdict(jump["measure-valued, coupled"]) == "best for its cost, lowest variance"
    assert jump.verdict(jump["measure-valued"]) == "lowest variance", "equal, whatever the last digits are"
    assert jump.verdict(jump["score function"]).endswith("times the best's work")
    bernoulli = table("Bernoulli")
    assert (
        bernoulli["straight-through"].bias == pytest.approx(-0.4)
        and bernoulli.verdict(bernoulli["straight-through"]) == "biased by -0.4"
    )
    assert bernoulli["sum over values"].variance == 0
    assert table("elbo")["sticking the landing"].variance < table("elbo")["pathwise"].variance


def test_infinite_and_unknown_variances():
    result = gl.compare(gl.Expectation(sp.sqrt(sp.Abs(X))), mu, {mu: 0.3}, samples=1000)
    assert result.verdict(result["pathwise"]) == "infinite variance" and result["pathwise"].work == np.inf
    assert "∞" in str(result)
    unknown = Row("a", result["pathwise"].expectation, exact=1.0, cost=3)
    assert Comparison(result.J, mu, 1.0, [unknown]).verdict(unknown) == "variance not computed"
    biased = Row("b", result["pathwise"].expectation, cost=3, bias=float("nan"))  # its mean is not known
    alone = Comparison(result.J, mu, 1.0, [biased])
    assert not alone.sound and alone.verdict(biased) == "biased"


def test_a_step_out_of_the_domain_costs_one_row_only():
    result = gl.compare(gl.Expectation(sp.sqrt(st.Exponential("E", sigma))), sigma, {sigma: 0.04}, samples=1000)
    assert "not real" in result["finite difference"].reason
    assert result["pathwise"].exact == pytest.approx(-np.sqrt(np.pi) / 4 * 0.04**-1.5, rel=1e-8)


def test_text_and_html():
    result = table("jump")
    lines = str(result).splitlines()
    assert lines[0].split("  ")[0] == "estimator" and repr(result) == str(result)
    assert sum(line.startswith("refused: ") for line in lines) == len(result.refused)
    assert len(lines) == 1 + len(result.rows)
    assert "ns a draw" not in lines[0]
    page = result._repr_html_()
    assert page.startswith("<table><thead>") and page.count('<th scope="row">') == len(result.rows) - len(
        result.refused
    )
    odd = Comparison(
        result.J, mu, 1.0, [Row("<b>&", reason="a < b & c"), replace(result["score function"], name="<i>&")]
    )
    assert (
        "&lt;i&gt;&amp;" in odd._repr_html_()
        and "<i>" not in odd._repr_html_()
        and "<b>&<" not in odd._repr_html_()
        and "&lt;b&gt;&amp;" in odd._repr_html_()
        and "a &lt; b &amp; c" in odd._repr_html_()
    )
    assert "Refused" not in table("integrand")._repr_html_()


def test_rows_by_name():
    with pytest.raises(KeyError, match="no estimator is called 'reinforce' here; there are: .*score function"):
        table("square")["reinforce"]


def test_the_seed_the_batch_and_the_time():
    J = gl.Expectation(B * c)
    at = {p: 0.3, c: 2}
    first, again = (gl.compare(J, p, at, samples=1000, rng=3) for _ in range(2))
    assert str(first) == str(again)
    timed = gl.compare(J, p, at, samples=1000, batch=3, timing=True)
    assert "score function, leave-one-out, batches of 3" in names(timed.sound)
    assert all(row.seconds > 0 for row in timed.sound) and "ns a draw" in str(timed)
    assert first["score function"].seconds is None


ONE = gl.Expectation(X**2)
F = sp.Function("F")


@pytest.mark.parametrize("call, error, message", [
    (lambda: gl.compare(X**2, mu, {mu: 1}), TypeError, "build one with gradlib.Expectation"),
    (lambda: gl.compare(ONE, [mu], {mu: 1}), TypeError, "one parameter"),
    (lambda: gl.compare(ONE, "mu", {mu: 1}), TypeError, "one parameter"),
    (lambda: gl.compare(ONE, theta, {mu: 1}), ValueError, "occurs nowhere"),
    (lambda: gl.compare(gl.Expectation([X, X]), mu, {mu: 1}), ValueError, "scalar"),
    (lambda: gl.compare(ONE, mu, None), ValueError, "give one in at="),
    (lambda: gl.compare(ONE, mu, {}), ValueError, "give one in at="),
    (lambda: gl.compare(ONE, mu, [1]), TypeError, "dictionary"),
    (lambda: gl.compare(ONE, mu, {"mu": 1}), TypeError, "use the symbol itself"),
    (lambda: gl.compare(ONE, mu, {mu: "1"}), TypeError, "real number"),
    (lambda: gl.compare(ONE, mu, {mu: np.nan}), ValueError, "finite"),
    (lambda: gl.compare(ONE, mu, {mu: 1, theta: 2}), ValueError, "no parameter of"),
    (lambda: gl.compare(gl.Expectation(S), sigma, {mu: 1, sigma: -1}), ValueError, "positive"),
    (lambda: gl.compare(gl.Expectation(B), p, {p: 0.3}, samples=1), ValueError, "at least 2"),
    (lambda: gl.compare(gl.Expectation(B), p, {p: 0.3}, samples=1e5), TypeError, "samples=100_000"),
    (lambda: gl.compare(gl.Expectation(B), p, {p: 0.3}, rng=-1), ValueError, "rng|seed"),
    (lambda: gl.compare(gl.Expectation(F(X)), mu, {mu: 1}), ValueError, "undefined function F"),
    (lambda: gl.compare(gl.Expectation(sp.Heaviside(T - theta)), theta, {theta: 1}),
     gl.UnsoundEstimator, "no unbiased estimator.*pathwise: .*jumps"),
])  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_row_does_not_take_the_table_with_it():
    """At the edge of the domain and for a kink in two variables, the rows that can be computed are."""
    q = sp.Symbol("q", positive=True)
    table = gl.compare(gl.Expectation(st.Bernoulli("B", q)), q, {q: 1}, samples=1000)
    assert table["measure-valued"].exact == 1 and "edge of the parameters' domain" in table["score function"].reason
