"""Every function of SymPy has its own value in every kernel, or is refused by name."""

import inspect

import numpy as np
import pytest
import sympy as sp
import sympy.functions
import sympy.stats as st

import gradlib as gl
from gradlib.core.function import function_of

X, AT, BESIDE = sp.Symbol("X"), sp.Rational(3, 8), sp.Rational(3, 8) + sp.Rational(1, 10**6)
# Arguments, where X alone will not do.
ARGUMENTS = {
    **dict.fromkeys(("besselj", "bessely", "besseli", "besselk", "jn", "yn", "expint", "polylog"), (2, X)),
    **dict.fromkeys(("legendre", "hermite", "hermite_prob", "laguerre", "chebyshevt", "chebyshevu"), (3, X)),
    **dict.fromkeys(("bernoulli", "bell", "euler", "genocchi", "fibonacci", "tribonacci"), (3, X)),
    **dict.fromkeys(("binomial", "RisingFactorial", "FallingFactorial", "beta", "atan2", "polygamma"), (X, 2)),
    **dict.fromkeys(("Rem", "elliptic_f", "elliptic_pi"), (X, sp.Rational(1, 4))),
    **dict.fromkeys(("acosh", "acoth", "asec", "acsc", "zeta", "Li", "dirichlet_eta"), (X + 2,)),
    "polygamma": (1, X), "jacobi": (3, 1, 2, X), "gegenbauer": (3, 2, X), "assoc_legendre": (3, 1, X),
    "assoc_laguerre": (3, 2, X), "lowergamma": (2, X), "uppergamma": (2, X), "multigamma": (X + 3, 2),
    "betainc": (2, 3, 0, X), "betainc_regularized": (2, 3, 0, X), "lerchphi": (X, 2, 1), "erf2": (0, X),
    "erf2inv": (0, X), "SingularityFunction": (X, sp.Rational(1, 4), 2), "Heaviside": (X - sp.Rational(1, 4),),
    "Ynm": (2, 1, X, 0), "Znm": (2, 1, X, 0), "KroneckerDelta": (X, AT),
}  # fmt: skip
WHOLE = {  # of whole numbers
    "andre", "catalan", "factorial2", "harmonic", "lucas", "partition", "primepi", "totient", "mobius",
    "divisor_sigma", "udivisor_sigma", "primenu", "primeomega", "reduced_totient", "subfactorial",
}  # fmt: skip
COMPLEX = {"hankel1": (2, X), "hankel2": (2, X), "hn1": (2, X), "hn2": (2, X)}
NUMBERLESS = {"mathieus", "mathieuc", "mathieusprime", "mathieucprime", "marcumq"}  # SymPy itself has no value of them
APART = {
    # no functions of a number, or of several at once that no integrand holds
    "hyper", "meijerg", "appellf1", "Piecewise", "DiracDelta", "LeviCivita", "adjoint", "transpose", "conjugate", "re", "im", "arg", "polar_lift", "periodic_argument", "principal_branch",
    "exp_polar", "jacobi_symbol", "legendre_symbol", "kronecker_symbol", "stieltjes", "chebyshevt_root",
    "chebyshevu_root", "riemann_xi", "carmichael", "motzkin",
}  # fmt: skip

FUNCTIONS = {
    name: f
    for name, f in vars(sympy.functions).items()
    if inspect.isclass(f) and issubclass(f, sp.Function) and name == f.__name__
}
COMPARED = sorted(set(FUNCTIONS) - APART - WHOLE - set(COMPLEX) - NUMBERLESS)


def test_every_function_is_compared_or_named():
    """One that a new SymPy brings is in COMPARED, and fails there or agrees."""
    assert set(ARGUMENTS) | WHOLE | set(COMPLEX) | NUMBERLESS | APART <= set(FUNCTIONS)
    assert len(COMPARED) > 75


def values(f, arguments, points):
    """By the oracle, by the engine, and by SymPy itself: the mean over a table of points."""
    variable = st.FiniteRV("X", dict.fromkeys(points, sp.Rational(1, len(points))))
    J = gl.Expectation(f(*arguments).subs(X, variable))
    each = [f(*(sp.sympify(a).subs(X, point) for a in arguments)) for point in points]
    by_sympy = [sp.N(e.rewrite(sp.erfinv) if e.has(sp.erfcinv) else e, 25) for e in each]
    return gl.exact(J), gl.estimate(J, samples=2000, rng=0), float(sum(by_sympy) / len(points))


@pytest.mark.parametrize("name", COMPARED)
def test_value(name):
    """Two points so near to each other that an estimate from any draws tells a wrong function."""
    f, arguments = FUNCTIONS[name], ARGUMENTS.get(name, (X,))
    exact, estimate, truth = values(f, arguments, (AT, BESIDE))
    assert exact == pytest.approx(truth, rel=1e-11)
    assert abs(estimate.z(truth)) < 5 if name == "KroneckerDelta" else estimate.value == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("name", sorted(WHOLE & set(FUNCTIONS)))
def test_value_at_whole_numbers(name):
    exact, estimate, truth = values(FUNCTIONS[name], (X,), (3, 5))
    assert exact == pytest.approx(truth, rel=1e-11) and abs(estimate.z(truth)) < 5


@pytest.mark.parametrize("name", COMPLEX)
def test_a_complex_value_is_refused(name):
    J = gl.Expectation(FUNCTIONS[name](*COMPLEX[name]).subs(X, st.Uniform("X", 1, 2)))
    with pytest.raises(ValueError, match="not real|complex"):
        gl.exact(J)
    with pytest.raises(ValueError, match="complex"):
        gl.estimate(J, samples=10)


def test_what_has_no_value_is_refused_by_name():
    J = gl.Expectation(sp.mathieus(1, 1, st.Uniform("X", 1, 2)))
    for number in (lambda: gl.exact(J), lambda: gl.estimate(J, samples=10)):
        with pytest.raises(ValueError, match=r"mathieus has no numerical value.*functions="):
            number()


def test_a_name_that_is_another_function_elsewhere():
    """SciPy's ``jn`` and ``yn`` are Bessel functions, SymPy's are spherical ones."""
    for f in (sp.jn, sp.yn):
        for modules in ("scipy", "mpmath"):
            assert float(function_of([X], f(2, X), modules)(0.375)) == pytest.approx(float(sp.N(f(2, AT))), rel=1e-12)


def test_integrals_of_functions_without_a_name_in_scipy():
    """∫ over (1, 2): of SymPy's own values on a grid of Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    U = st.Uniform("X", 1, 2)
    for f in (lambda t: sp.jn(1, t), lambda t: sp.polylog(3, t / 4), sp.Shi, lambda t: sp.airyaiprime(t)):
        truth = sum(w * float(sp.N(f(sp.Float(1.5 + x / 2, 20)), 20)) for x, w in zip(nodes, weights)) / 2
        assert gl.exact(gl.Expectation(f(U))) == pytest.approx(truth, rel=1e-11)
        assert abs(gl.estimate(gl.Expectation(f(U)), samples=2000, rng=0).z(truth)) < 5


def test_a_binomial_coefficient_is_zero_beyond_its_row():
    K = st.FiniteRV("K", dict.fromkeys((2, 3, 5), sp.Rational(1, 3)))
    J = gl.Expectation(sp.binomial(2, K))
    assert gl.exact(J) == pytest.approx(1 / 3, rel=1e-12) and abs(gl.estimate(J, samples=2000, rng=0).z(1 / 3)) < 5
