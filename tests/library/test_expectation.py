"""The object itself: where θ enters, what is refused, how it prints."""

import pytest
import sympy as sp
import sympy.stats as st
from cases import mu, sigma

import gradlib as gl
from gradlib.core.notation import latex

theta, x, y = sp.symbols("theta x y", real=True)
X, Z = st.Normal("X", mu, sigma), st.Normal("Z", theta, 1)
F = sp.Function("F")


@pytest.mark.parametrize(
    "integrand, where",
    [(theta * X, "integrand"), (sp.cos(Z), "distribution"), (theta * Z, "both"),
     (F(X, theta), "integrand"), (F(Z), "distribution"), (F(Z, theta) + X, "both")],
)  # fmt: skip
def test_dependence(integrand, where):
    assert gl.dependence(gl.Expectation(integrand), theta) == where


def test_a_parameter_that_occurs_nowhere():
    J = gl.Expectation(X**2)
    for use in (
        gl.dependence,
        gl.score_function,
        gl.pathwise,
        gl.reparameterize,
        lambda J, t: gl.pathwise(J, t, base=True),
    ):
        with pytest.raises(ValueError, match="theta occurs nowhere in this expectation; its parameters are: mu, sigma"):
            use(J, theta)
        with pytest.raises(ValueError, match="mu with no assumptions is not the symbol mu with assumptions real=True"):
            use(J, sp.Symbol("mu"))


@pytest.mark.parametrize(
    "use", [gl.score_function, gl.pathwise, gl.reparameterize, lambda J, t: gl.pathwise(J, t, base=True)]
)
def test_wrong_parameters_and_objects(use):
    J = gl.Expectation(X**2)
    for wrong in ("mu", None, 5, X, mu + 1, {mu, sigma}, [mu, "sigma"]):
        with pytest.raises(TypeError, match="must be a SymPy symbol"):
            use(J, wrong)
    for wrong in ([], [mu, mu]):
        with pytest.raises(ValueError, match="one parameter, or a sequence of different ones"):
            use(J, wrong)
    for wrong in (None, 5, "J", X**2):
        with pytest.raises(TypeError, match="expected an Expectation"):
            use(wrong, mu)


@pytest.mark.parametrize("rule", [gl.score_function, gl.pathwise])
def test_estimators_take_scalars_and_names(rule):
    with pytest.raises(ValueError, match="scalar expectation"):
        rule(gl.Expectation([X, X**2]), mu)
    for wrong in (5, None):
        with pytest.raises(TypeError, match="assume= takes names"):
            rule(gl.Expectation(X), mu, assume=wrong)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ((sp.Integer(3),), ValueError, "no random variable"),
        (("X",), TypeError, "must be a SymPy expression"),
        ((None,), TypeError, "must be a SymPy expression"),
        (([X, "a"],), TypeError, "must be a SymPy expression"),
        ((X > 0,), TypeError, r"Piecewise\(\(1, X > 0\), \(0, True\)\)"),
        ((sp.Interval(0, 1),), TypeError, "numeric values"),
        ((sp.Matrix([[X, X]]),), ValueError, "is a column"),
        ((X, X), TypeError, "list of random symbols"),
        ((X, 5), TypeError, "list of random symbols"),
        ((X, [mu]), TypeError, "takes random symbols"),
        ((X * Z, [X]), ValueError, "does not name"),
        ((X + st.Exponential("X", 1),), ValueError, "share a name"),
        ((sp.Symbol("X") * X,), ValueError, "both named X"),
        ((st.Normal("X", sp.Symbol("X", real=True), 1),), ValueError, "both named X"),
        ((sp.Symbol("theta") * Z,), ValueError, "Create it once and use that object"),
    ],
)
def test_wrong_expectations(arguments, error, match):
    with pytest.raises(error, match=match):
        gl.Expectation(*arguments)


def test_two_namesakes_are_named_with_their_assumptions():
    """E[θ x²] with x ∼ N(θ, 1) and two different θ would otherwise lose half of the gradient in silence."""
    with pytest.raises(ValueError) as error:
        gl.Expectation(sp.Symbol("theta") * Z**2)
    assert "no assumptions" in str(error.value) and "real=True" in str(error.value)


def test_reparameterize_finds_a_free_name():
    epsilon = sp.Symbol("epsilon", real=True)
    J = gl.Expectation(epsilon * st.Normal("X", epsilon, 1) ** 2)
    R = gl.reparameterize(J, epsilon)
    assert R.parameters == {epsilon}
    assert gl.exact(R, {epsilon: 0.7}) == pytest.approx(gl.exact(J, {epsilon: 0.7}), rel=1e-10)
    assert gl.exact(gl.pathwise(J, epsilon, base=True), {epsilon: 0.7}) == pytest.approx(2.47, rel=1e-10)


def test_it_is_a_sympy_expression():
    J = gl.Expectation(X**2)
    assert J.func(*J.args) == J
    assert J.free_symbols == {mu, sigma}
    assert J.subs(sigma, 2).parameters == {mu}
    assert sp.diff(2 * J, mu) == 2 * sp.Derivative(J, mu)
    assert gl.Expectation(X**2) == J and hash(gl.Expectation(X**2)) == hash(J)


def test_nothing_is_changed():
    """Estimating and refusing leave the objects and the dictionaries as they were."""
    J, at = gl.Expectation(X**2), {mu: 0.3, sigma: 1.2}
    before = (repr(J), dict(at))
    gl.estimate(gl.score_function(J, [mu, sigma]), at, samples=10, rng=0)
    with pytest.raises(ValueError):
        gl.estimate(J, {**at, theta: 1}, samples=10, rng=0)
    assert (repr(J), at) == before


def test_printing():
    assert str(gl.Expectation(X**2)) == "E[X**2], X ~ Normal(mu, sigma)"
    assert str(gl.Expectation([X, X**2])) == "E[[X, X**2]], X ~ Normal(mu, sigma)"
    assert "Table({0: 1/3, 2: 2/3})" in str(
        gl.Expectation(st.FiniteRV("T", {0: sp.Rational(1, 3), 2: sp.Rational(2, 3)}))
    )
    for part in (r"\mathbb{E}", r"X \sim \mathcal{N}\left(\mu, \sigma^{2}\right)", r"\left[X^{2}\right]"):
        assert part in latex(gl.Expectation(X**2))
    assert latex(F(x, theta)) == r"F_{\theta}\left(x\right)"
    assert latex(F(x, theta).diff(theta)) == r"\nabla_{\theta} F_{\theta}\left(x\right)"
    assert latex(F(x).diff(x)) == r"F'\left(x\right)"
    assert r"\sigma" in latex(sp.beta(sigma, mu))


@pytest.mark.parametrize(
    "expression, expected",
    [
        (lambda F, x, t: sp.Derivative(F(x, t), t), r"\nabla_{\theta} F_{\theta}\left(x\right)"),
        (lambda F, x, t: sp.Derivative(F(x, t), x), r"F_{\theta}'\left(x\right)"),
        (lambda F, x, t: sp.Derivative(F(x, t), (x, 2)) ** 2, r"F_{\theta}''\left(x\right)^{2}"),
        (
            lambda F, x, t: sp.Derivative(F(x, t), x, t),
            r"\frac{\partial^{2}}{\partial \theta\partial x} F_{\theta}\left(x\right)",
        ),
        (lambda F, x, t: sp.Derivative(F(x) ** 2, x), r"\frac{d}{d x} F\left(x\right)^{2}"),
        (lambda F, x, t: sp.Derivative(F(F(x)), t), r"\nabla_{\theta} F\left(F\left(x\right)\right)"),
        (lambda F, x, t: sp.Heaviside(x - t), r"\mathbf{1}\left[x - \theta > 0\right]"),
    ],
)
def test_the_notation_of_the_book(expression, expected):
    """A mixed derivative, above all, must not print as a derivative in x alone."""
    x, t, F = sp.Symbol("x", real=True), sp.Symbol("theta", real=True), sp.Function("F")
    assert latex(expression(F, x, t)) == expected


def test_terms_over_laws_of_one_name_print_in_one_order():
    """SymPy sorts random symbols by their names alone; with equal keys the order would be that of a hash table."""
    x, theta, F = sp.Symbol("x", real=True), sp.Symbol("theta", real=True), sp.Function("F")
    plus, minus = (
        gl.Expectation(F(st.ContinuousRV(x, sp.Function(name)(x, theta), set=sp.S.Reals))) for name in ("p^+", "p^-")
    )
    assert plus.sort_key() != minus.sort_key()
    assert sp.default_sort_key(plus) != sp.default_sort_key(minus)
