"""Forms that keep their digits: each equals what it replaces, and is right where that fails."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.core import stable as module
from gradlib.core.stable import log_ndtr, logaddexp, ndtr, stable

x, y = sp.symbols("x y", real=True)
t = sp.symbols("t0:5", real=True)
E, L, T = sp.exp, sp.log, sp.tanh
MP = [
    {
        "logaddexp": lambda a, b: mp.log(mp.exp(a) + mp.exp(b)), "ndtr": lambda v: mp.erfc(-v / mp.sqrt(2)) / 2,
        "log_ndtr": lambda v: mp.log(mp.erfc(-v / mp.sqrt(2)) / 2), "log1p": mp.log1p, "expm1": mp.expm1,
    },
    "mpmath",
]  # fmt: skip

# A function, and where its naive form is wrong in double precision.
CASES = {
    "softplus": (L(1 + E(x)), 1000),
    "softplus, 0": (L(1 + E(x)), -40),
    "log of a sum": (L(E(x) + E(2 * x)), 500),
    "log of a sum with numbers": (L(2 * E(x) + 3 * E(-x) + 1), -800),
    "logistic": (E(x) / (1 + E(x)), 1000),
    "its slope": (E(x) / (1 + E(x)) ** 2, 1000),
    "its complement": (1 - 1 / (1 + E(-x)), 50),
    "log of the logistic": (L(1 / (1 + E(-x))), -1000),
    "log of its complement": (L(1 - 1 / (1 + E(-x))), 1000),
    "slope of softplus": (sp.diff(L(1 + E(x)), x), 1000),
    "curvature of softplus": (sp.diff(L(1 + E(x)), x, 2), 1000),
    "squash": (L(1 - T(x) ** 2), 25),
    "squash, left": (L(1 - T(x) ** 2), -400),
    "slope of tanh": (1 - T(x) ** 2, 30),
    "log cosh": (L(sp.cosh(x)), 1000),
    "slope of log cosh": (sp.sinh(x) / sp.cosh(x), 1000),
    "expm1": (E(x) - 1, 1e-12),
    "two of them": (2 * E(x) + E(-x) - 3, 1e-12),
    "1 - exp": (1 - E(-x), 1e-12),
    "log(1 - exp)": (L(1 - E(-x)), 1e-17),
    "log1p": (L(1 + x**2), 1e-9),
    "tail": (1 - sp.erf(x), 9),
    "distribution function": (sp.Rational(1, 2) + sp.erf(x / sp.sqrt(2)) / 2, -30),
    "log of a tail": (L(1 - sp.erf(x)), 50),
    "power of a tail": ((sp.Rational(1, 2) - sp.erf(x) / 2) ** 3, 9),
    "log of a distribution function": (L(sp.Rational(1, 2) + sp.erf(x / sp.sqrt(2)) / 2), -60),
    "softmax": (E(x) / (E(x) + E(2 * x) + E(3 * x) + E(4 * x) + 1), 200),
    "in a product": (x * E(x) / (1 + E(x)), 1000),
    "in a power": (L(1 + E(x)) ** 2, 1000),
    "in a branch": (sp.Piecewise((L(1 + E(x)), x > 0), (0, True)), 1000),
}


@pytest.mark.parametrize("label", CASES)
def test_equal_and_right_where_the_naive_form_fails(label):
    e, far = CASES[label]
    new = stable(e)
    assert new != e
    one, two = (sp.lambdify(x, form, MP) for form in (e, new))
    with mp.workdps(1500):  # equal to all digits: 40, where the naive form needs a thousand
        for point in (*map(mp.mpf, ("-2.3", "-0.4", "0.7", "3.1")), mp.mpf(far)):
            a, b = mp.mpc(one(point)), mp.mpc(two(point))
            assert abs(a - b) <= mp.mpf(10) ** -40 * abs(a), point
        want = mp.mpf(one(mp.mpf(far)))
    with np.errstate(all="ignore"):
        naive = sp.lambdify(x, e, "scipy")(np.array([float(far)]))[0]
    assert not abs(naive - float(want)) <= 1e-8 * abs(float(want)) or label in ("slope of softplus", "in a power")
    ends = sorted((sp.Float(far), sp.Float(far) * (1 + sp.Float(1e-12))))
    X = st.Uniform("X", *ends)  # all draws are far
    got = gl.estimate(gl.Expectation(e.subs(x, X)), samples=100, rng=0).value
    assert got == pytest.approx(float(want), rel=1e-9)
    assert gl.exact(gl.Expectation(e.subs(x, X))) == pytest.approx(float(want), rel=1e-9)


def test_a_wrong_rule_is_found(monkeypatch):
    """What is compared above tells 2 log 2 from log 2, and a half from a third."""
    monkeypatch.setattr(module, "log_ndtr", lambda v: log_ndtr(v) * sp.Rational(1001, 1000))
    with pytest.raises(AssertionError):
        sp.core.cache.clear_cache()
        test_equal_and_right_where_the_naive_form_fails("log of a tail")
    monkeypatch.undo()
    sp.core.cache.clear_cache()


def test_what_is_left_alone():
    for e in (L(x), E(x) + 2, L(1 - x) - L(2 - x), E(x) * E(y), 1 / (2 + E(-x)), sp.tanh(x), L(2 + E(x) - E(y)), x**2):
        assert (
            not stable(e).has(logaddexp, ndtr, log_ndtr)
            and sp.simplify(stable(e) - e).rewrite(L).equals(0) is not False
        )
    assert stable(sum(map(E, t))) == sum(map(E, t))
    f = sp.Function("f")
    assert stable(L(1 + f(x))).has(f)


def test_a_squashed_gaussian():
    """The entropy bonus of every actor-critic: its gradient in μ is −2 E tanh."""
    mu, s = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
    J = gl.Expectation(L(1 - T(st.Normal("X", mu, s)) ** 2))
    assert gl.exact(gl.pathwise(J, mu), {mu: 0.5, s: 0.8}) == pytest.approx(-0.663316861, abs=1e-9)
    assert gl.exact(J, {mu: 0, s: float(np.exp(10))}) == pytest.approx(-35147.76770889, rel=1e-12)
    for G in (J, gl.score_function(J, mu)):
        at = {mu: 25, s: 1}
        estimate = gl.estimate(G, at, samples=10_000, rng=0)
        assert abs(estimate.z(gl.exact(G, at))) < 5
