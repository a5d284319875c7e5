"""Statements: what must pass, with which evidence, and above all what must not."""

import functools
import time

import pytest
import sympy as sp
from sympy.stats import Bernoulli, ContinuousRV, Exponential, FiniteRV, Gamma, Logistic, Normal, Poisson, Uniform

import gradlib as gl
from gradlib.core.variable import law
from gradlib.core.notation import latex
from gradlib.proof import (
    Assumption,
    Boundary,
    Cited,
    Definition,
    Derivation,
    FalseStep,
    Inequality,
    Restatement,
    Substitution,
    Table,
)
from gradlib.proof.evidence import ASSUMPTION, CITED, DEFINITION, INEQUALITY, NUMERIC, PROVED, RESTATEMENT
from gradlib.proof.statements import MIME

x, e, theta, mu, k, a, b = sp.symbols("x epsilon theta mu k a b", real=True)
sigma, tau = sp.symbols("sigma tau", positive=True)
p, q, F, g, h = map(sp.Function, "p q F g h".split())
R = (-sp.oo, sp.oo)
X = ContinuousRV(x, p(x, theta), set=sp.S.Reals)
Y = ContinuousRV(x, p(x), set=sp.S.Reals)
N = Normal("X", mu, sigma)
n = law(N).symbol
E = gl.Expectation
D = sp.Derivative


chain = functools.partial(Derivation, "eq-test")  # the label does not matter


def kinds(derivation):
    return [evidence.kind for evidence in derivation.evidence]


# --- the derivations of the book --------------------------------------------------------


def test_gradient_of_the_integrand():
    J = E(F(Y, theta))
    d = chain(
        D(J, theta),
        (D(sp.Integral(p(x) * F(x, theta), (x, *R)), theta), "definition of the mean"),
        (sp.Integral(p(x) * D(F(x, theta), theta), (x, *R)), "exchange", "exchange"),
        (E(D(F(Y, theta), theta)), "definition of the mean"),
    )
    assert kinds(d) == [PROVED] * 3
    assert d.assumptions == ("exchange",)
    assert d.evidence[1].instances == 3


def test_score_function():
    J = E(F(X))
    score = E(F(X) * D(sp.log(p(X, theta)), theta))
    d = chain(
        D(J, theta),
        (D(sp.Integral(p(x, theta) * F(x), (x, *R)), theta), "definition"),
        (sp.Integral(F(x) * D(p(x, theta), theta), (x, *R)), "exchange", "exchange"),
        (sp.Integral(p(x, theta) * F(x) * D(sp.log(p(x, theta)), theta), (x, *R)), "log-derivative trick"),
        (score, "definition"),
        (gl.score_function(J, theta), "the library's estimator"),
    )
    assert kinds(d) == [PROVED] * 5


def test_derivative_of_a_density_integrates_to_zero():
    d = chain(
        sp.Integral(D(p(x, theta), theta), (x, *R)),
        (D(sp.Integral(p(x, theta), (x, *R)), theta), "exchange", "exchange"),
        (D(sp.S.One, theta), "a density", "normalised"),
        (0, "constant"),
        (E(D(sp.log(p(X, theta)), theta)), "mean score", ("exchange", "normalised")),
    )
    assert set(d.assumptions) == {"exchange", "normalised"}
    assert kinds(d) == [PROVED] * 4


def _coupled(rng):
    """x = g(eps) for a standard Normal eps, with the density of x that belongs to it."""
    m, s = rng.randint(1, 5), sp.Rational(rng.randint(2, 8), 8)
    normal = lambda t: sp.exp(-(t**2) / 2) / sp.sqrt(2 * sp.pi)  # noqa: E731
    scale = lambda t: sp.exp(s * t / 3)  # noqa: E731
    return {q: normal, g: lambda z, t: m * t + scale(t) * z, p: lambda z, t: normal((z - m * t) / scale(t)) / scale(t)}


EPS = ContinuousRV(e, q(e), set=sp.S.Reals)
DENSITY = Assumption("eq-density", sp.Eq(p(g(e, theta), theta), q(e) / D(g(e, theta), e)), "the change of variables")


def test_reparameterization():
    d = chain(
        E(F(X)),
        (E(F(g(EPS, theta))), "change of variables", (Substitution(X, g(e, theta), EPS), DENSITY)),
        instances=_coupled,
    )
    assert kinds(d) == [PROVED]
    assert d.assumptions == ("change of variables", "eq-density")
    assert d.evidence[0].instances == 3
    path = chain(
        D(E(F(X)), theta),
        (D(E(F(g(EPS, theta))), theta), "change of variables", (Substitution(X, g(e, theta), EPS), DENSITY)),
        (E(F(g(e, theta)).diff(theta).xreplace({e: EPS})), "exchange, chain rule", "exchange"),
        instances=_coupled,
    )
    assert kinds(path) == [PROVED] * 2
    assert set(path.assumptions) == {"change of variables", "eq-density", "exchange"}


def test_a_false_coupling_is_refused():
    def uncoupled(rng):
        functions = _coupled(rng)
        return {**functions, p: lambda z, t: functions[p](z - sp.Rational(1, 1000), t)}

    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(E(F(X)), (E(F(g(EPS, theta))), "", (Substitution(X, g(e, theta), EPS), DENSITY)), instances=uncoupled)


def test_gaussian_reparameterization_needs_no_assumption():
    Z = Normal("epsilon", 0, 1)
    d = chain(E(F(N)), (E(F(mu + sigma * Z)), "$x = \\mu + \\sigma\\epsilon$", Substitution(N, mu + sigma * e, Z)))
    assert kinds(d) == [PROVED] and d.assumptions == ()
    with pytest.raises(FalseStep):
        chain(E(F(N)), (E(F(mu + sigma**2 * Z)), "", Substitution(N, mu + sigma * e, Z)))
    with pytest.raises(FalseStep):
        chain(E(F(N)), (E(F(mu + sigma**2 * Z)), "", Substitution(N, mu + sigma**2 * e, Z)))
    with pytest.raises(FalseStep, match="decreases"):
        chain(E(F(N)), (E(F(mu - sigma * Z)), "", Substitution(N, mu - sigma * e, Z)))


def test_product_rule():
    J = E(F(X, theta))
    direct, score = E(D(F(X, theta), theta)), E(F(X, theta) * D(sp.log(p(X, theta)), theta))
    d = chain(
        D(J, theta),
        (
            sp.Integral(F(x, theta) * D(p(x, theta), theta), (x, *R))
            + sp.Integral(p(x, theta) * D(F(x, theta), theta), (x, *R)),
            "product rule",
            "exchange",
        ),
        (score + direct, "log-derivative trick"),
    )
    assert kinds(d) == [PROVED] * 2
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(D(J, theta), (score, "dropped direct term", "exchange"))


def test_stein():
    density = law(N).density
    W = -(sigma**2) * density * h(n)
    d = chain(E((N - mu) * h(N)), (sigma**2 * E(D(h(N), N)), "integration by parts", Boundary(W, N)))
    assert kinds(d) == [PROVED] and d.assumptions == ("boundary",)
    for wrong in (-W, W / sigma, W + h(n)):
        with pytest.raises(FalseStep, match="does not turn one side"):
            chain(E((N - mu) * h(N)), (sigma**2 * E(D(h(N), N)), "", Boundary(wrong, N)))
    with pytest.raises(FalseStep):
        chain(E((N - mu) * h(N)), (sigma * E(D(h(N), N)), "", Boundary(W, N)))


def test_a_concrete_boundary_witness_is_decided():
    T = Exponential("X", 1 / tau)
    t = law(T).symbol
    vanishing = -t * law(T).density * tau * 2
    d = chain(E(2 * T), (E(sp.S(2) * tau, [T]), "by parts", Boundary(vanishing, T)))
    assert d.assumptions == () and kinds(d) == [PROVED]
    with pytest.raises(FalseStep, match="does not vanish"):
        chain(E(sp.S(1), [T]), (0, "", Boundary(-tau * law(T).density, T)))


def test_gaussian_closed_forms():
    d = chain(E((N - k) ** 2), ((mu - k) ** 2 + sigma**2, "moments"))
    assert kinds(d) == [PROVED]
    d = chain(E(sp.cos(k * N)), (sp.exp(-(k**2) * sigma**2 / 2) * sp.cos(k * mu), "characteristic function"))
    assert kinds(d) == [PROVED]
    d = chain(D(E((N - k) ** 2), sigma), (2 * sigma, "moments"), (gl.score_function(E((N - k) ** 2), sigma), ""))
    assert kinds(d) == [PROVED] * 2 and d.evidence[0].assumptions == ()
    # a fourth moment, and a variance
    z = Normal("z", 0, 1)
    moments = E(z**8) - 36 * E(z**6) + 402 * E(z**4) - 1404 * E(z**2) + 1521
    assert kinds(chain(E((z**4 - 18 * z**2 + 39) ** 2), (moments, "expand"), (888, "1, 3, 15 and 105"))) == [PROVED] * 2


def test_finite_laws_are_enumerated():
    B = Bernoulli("B", theta)
    assert kinds(chain(D(E(F(B)), theta), (F(sp.S(1)) - F(sp.S(0)), "enumerate"))) == [PROVED]
    t1, t2 = sp.symbols("theta_1 theta_2", real=True)
    total = sp.exp(t1) + sp.exp(t2)
    A = FiniteRV("A", {0: sp.exp(t1) / total, 1: sp.exp(t2) / total}, check=False)
    J = E(F(A))
    pi = sp.exp(t1) / total
    assert (
        kinds(
            chain(D(J, t1), (pi * (1 - pi) * (F(sp.S(0)) - F(sp.S(1))), "softmax"), (gl.score_function(J, t1), "score"))
        )
        == [PROVED] * 2
    )
    with pytest.raises(FalseStep):
        chain(D(J, t1), (pi * (F(sp.S(0)) - F(sp.S(1))), "a missing factor"))


def test_uniform_with_a_moving_edge():
    U = Uniform("X", 0, tau)
    d = chain(
        D(E(U), tau),
        (D(sp.Integral(x / tau, (x, 0, tau)), tau), "definition"),
        (1 + sp.Integral(-x / tau**2, (x, 0, tau)), "Leibniz", "exchange"),
        (sp.Rational(1, 2), "integrate"),
    )
    assert kinds(d) == [PROVED] * 3
    f = F(x, tau)
    leibniz = chain(
        D(sp.Integral(f, (x, 0, tau)), tau), (F(tau, tau) + sp.Integral(D(f, tau), (x, 0, tau)), "Leibniz", "exchange")
    )
    assert kinds(leibniz) == [PROVED]
    with pytest.raises(FalseStep):
        chain(D(sp.Integral(f, (x, 0, tau)), tau), (sp.Integral(D(f, tau), (x, 0, tau)), "edge forgotten", "exchange"))
    with pytest.raises(FalseStep):
        chain(D(E(U), tau), (-sp.Rational(1, 2), "the score function's answer", "exchange"))


def test_threshold():
    Phi = (1 + sp.erf(mu / (sigma * sp.sqrt(2)))) / 2
    phi = sp.exp(-(mu**2) / (2 * sigma**2)) / (sigma * sp.sqrt(2 * sp.pi))
    for step in (sp.Heaviside(N), sp.Piecewise((1, N > 0), (0, True))):
        d = chain(E(step), (Phi, "distribution function"))
        assert kinds(d) == [NUMERIC] and d.detail == "agrees to 1e-10 on 3 random instances"
        assert kinds(chain(D(E(step), mu), (phi, "density"))) == [NUMERIC]
        with pytest.raises(FalseStep):
            chain(D(E(step), mu), (phi / sigma, "a missing factor"))


def test_false_exchange_is_caught():
    Z = Normal("X", 0, 1)
    for step in (sp.Heaviside(Z - theta), sp.Piecewise((1, Z > theta), (0, True))):
        with pytest.raises(FalseStep, match="differ on random instance"):
            chain(D(E(step), theta), (E(D(step, theta), [Z]), "exchange", "exchange"))
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(D(E(sp.Piecewise((1, Z > theta), (0, True))), theta), (0, "exchange", "exchange"))


def test_two_variables():
    V = Normal("Y", 0, tau)
    assert kinds(chain(E(N**2 * V**2), ((mu**2 + sigma**2) * tau**2, "independence"))) == [PROVED]
    assert kinds(chain(E(F(N) * h(V)), (E(F(N)) * E(h(V)), "independence"))) == [PROVED]
    assert kinds(chain(E(sp.cos(N + V)), (sp.exp(-(sigma**2 + tau**2) / 2) * sp.cos(mu), "sum"))) == [PROVED]
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(E(N**2 * V**2), (mu**2 * tau**2, "independence"))


def test_products_of_expectations():
    V = E(F(X) ** 2) - E(F(X)) ** 2
    c = sp.Symbol("c", real=True)
    d = chain(E((F(X) - c) ** 2) - (E(F(X)) - c) ** 2, (V, "expand", "normalised"))
    assert kinds(d) == [PROVED]
    with pytest.raises(FalseStep):
        chain(E((F(X) - c) ** 2) - (E(F(X)) - c) ** 2, (E(F(X) ** 2) + E(F(X)) ** 2, "", "normalised"))
    m = Definition("eq-def-m", c, E(F(X)))
    d = chain(E((F(X) - c) ** 2), (V, "with $c$ the mean", (m, "normalised")))
    assert kinds(d) == [PROVED] and d.uses == ("eq-def-m",)


def test_vectors():
    J = E((N - k) ** 2)
    d = chain(
        sp.Matrix([D(J, mu), D(J, sigma)]),
        (sp.Matrix([2 * (mu - k), 2 * sigma]), "moments"),
        (gl.score_function(J, [mu, sigma]), "score"),
    )
    assert kinds(d) == [PROVED] * 2
    with pytest.raises(FalseStep):
        chain(sp.Matrix([D(J, mu), D(J, sigma)]), (sp.Matrix([2 * (mu - k), sigma]), "a missing factor"))
    with pytest.raises(FalseStep):
        chain(sp.Matrix([D(J, mu), D(J, sigma)]), (sp.Matrix([mu - k, 2 * sigma]), "a missing factor, first entry"))
    with pytest.raises(FalseStep, match="shape"):
        chain(sp.Matrix([D(J, mu), D(J, sigma)]), (2 * (mu - k), ""))


@pytest.mark.parametrize(
    "variable, expectation, value",
    [
        (Poisson("K", tau), lambda K: K**2, tau + tau**2),
        (Exponential("X", tau), lambda X: X**3, 6 / tau**3),
        (Uniform("X", a, b), lambda X: X**2, (a**2 + a * b + b**2) / 3),
        (Logistic("X", mu, sigma), lambda X: X**2, mu**2 + sp.pi**2 * sigma**2 / 3),
        (Gamma("X", tau, sigma), lambda X: sp.log(X), sp.digamma(tau) + sp.log(sigma)),
    ],
    ids=["Poisson", "Exponential", "Uniform", "Logistic", "Gamma"],
)
def test_closed_forms_by_family(variable, expectation, value):
    assert chain(E(expectation(variable)), (value, "")).kind in (PROVED, NUMERIC)
    for factor in (sp.Rational(1001, 1000), 1 + sp.Rational(1, 10**8)):
        with pytest.raises(FalseStep):
            chain(E(expectation(variable)), (value * factor, "slightly off"))


# --- what must be rejected --------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        -E(F(X) * D(sp.log(p(X, theta)), theta)),
        2 * E(F(X) * D(sp.log(p(X, theta)), theta)),
        E(D(sp.log(p(X, theta)), theta)),
        E(F(X) * D(p(X, theta), theta)),
        E(F(X) * D(sp.log(p(X, theta)), theta)) * (1 + sp.Rational(1, 1000)),
        E(F(X) * D(sp.log(p(X, theta)), theta)) * (1 + sp.Rational(1, 10**8)),
    ],
    ids=["sign", "factor", "F missing", "p for log p", "1e-3", "1e-8"],
)
@pytest.mark.parametrize("rule", [(), "exchange", ("exchange", "normalised")], ids=str)
def test_wrong_score_functions(wrong, rule):
    with pytest.raises(FalseStep, match="differ on random instance"):
        chain(D(E(F(X)), theta), (wrong, "wrong", rule))


def test_sigma_for_sigma_squared():
    with pytest.raises(FalseStep) as error:
        chain(E((N - k) ** 2), (sigma + (mu - k) ** 2, "a slip"))
    for part in ("step 1 (a slip)", "left side:", "right side:", "left - right =", "sigma ="):
        assert part in str(error.value)


def test_a_later_step_is_named():
    with pytest.raises(FalseStep, match=r"step 2 \(oops\)"):
        chain(E(N), (mu, "mean"), (mu + sp.Rational(1, 10**6), "oops"))


def test_exchange_is_not_used_unnamed():
    d = chain(D(E(F(Y, theta)), theta), (E(D(F(Y, theta), theta)), "silently"))
    assert kinds(d) == [NUMERIC] and d.assumptions == ()
    # and where there is no instance to fall back on, nothing passes
    with pytest.raises(FalseStep, match="no concrete instance"):
        chain(D(E(F(Y, theta)), theta), (E(D(F(Y, theta), theta)), "silently", DENSITY))


def test_normalisation_is_not_used_unnamed():
    assert kinds(chain(E(sp.S(3), [X]), (3, "a density"))) == [NUMERIC]
    assert kinds(chain(E(sp.S(3), [X]), (3, "a density", "normalised"))) == [PROVED]


def test_a_derivative_in_x_is_no_derivative_in_theta():
    # true, but by the boundary, not by normalisation
    assert kinds(chain(E(D(sp.log(p(X, theta)), X)), (0, "", ("exchange", "normalised")))) == [NUMERIC]


def test_every_part_of_the_difference_has_to_vanish():
    vanishing = E(sp.sin(F(X)) ** 2 + sp.cos(F(X)) ** 2 - 1)
    assert kinds(chain(vanishing + theta, (theta, ""))) == [PROVED]
    with pytest.raises(FalseStep):
        chain(vanishing + theta, (2 * theta, "the integral vanishes, the rest does not"))


def test_an_assumption_as_a_rule_does_not_reach_under_derivatives():
    at_a_point = Assumption("eq-zero", sp.Eq(F(theta), 0), "F vanishes at θ")
    with pytest.raises(FalseStep):
        chain(D(F(theta), theta), (0, "wrong", at_a_point))


def test_unknown_rules():
    with pytest.raises(ValueError, match="unknown rule"):
        chain(E(N), (mu, "", "magic"))
    bound = Inequality("eq-i", sigma**2, ">=", 0)
    with pytest.raises(ValueError, match="inequality"):
        chain(E(N), (mu, "", bound))


def test_a_derivation_as_a_rule():
    first = Derivation("eq-first", E(N), (mu, "mean"))
    d = Derivation("eq-second", E(N) ** 2, (mu**2, "by the first", first))
    assert d.uses == ("eq-first",) and d.kind == PROVED


# --- the other statements ---------------------------------------------------------------


def test_inequalities():
    i = Inequality("eq-cs", a**2 + b**2, ">=", 2 * a * b, certificate=(a - b) ** 2)
    assert i.kind == INEQUALITY and "proved symbolically" in i.detail
    assert Inequality("eq-psd", E((N - k) ** 2), ">=", 0).kind == INEQUALITY
    assert Inequality("eq-small", -(a**2), "<", 1, certificate=1 + a**2).relation == "<"
    m = sp.Matrix([[2, a], [a, a**2 + 1]])
    assert "principal minors" in Inequality("eq-m", m, ">", sp.zeros(2, 2)).detail
    for bad in (
        lambda: Inequality("eq-f", a**2, ">=", b),
        lambda: Inequality("eq-f", a**2 + b**2, ">=", 2 * a * b, certificate=(a + b) ** 2),
        lambda: Inequality("eq-f", a**2 - b**2, ">=", 0, certificate=a**2 - b**2),
        lambda: Inequality("eq-f", a**2, ">", 0),
        lambda: Inequality("eq-f", a**2, "<=", 0, certificate=a**2),
        lambda: Inequality("eq-f", E(N), ">=", 0),
        lambda: Inequality("eq-m", sp.Matrix([[1, 2], [2, 1]]), ">=", sp.zeros(2, 2)),
        lambda: Inequality("eq-m", sp.Matrix([[1, 2], [0, 1]]), ">", sp.zeros(2, 2)),
    ):
        with pytest.raises(FalseStep):
            bad()


def test_definitions_assumptions_citations():
    assert Definition("eq-d", k, mu**2).kind == DEFINITION
    with pytest.raises(ValueError, match="by itself"):
        Definition("eq-d", k, k + 1)
    assert Assumption("eq-a", sp.Eq(k, 1), "k is 1").kind == ASSUMPTION
    c = Cited("eq-dct", r"\lim_n \int f_n = \int \lim_n f_n", "dominated convergence", source="folland1999")
    assert c.kind == CITED and "{cite:p}`folland1999`" in c.markdown and c.bundle["source"] == "folland1999"
    with pytest.raises(ValueError, match="source"):
        Cited("eq-dct", "x")
    for label in ("", "eq one", "Eq", "eq(1)"):
        with pytest.raises(ValueError, match="label"):
            Definition(label, k, mu)


def test_a_definition_pairs_names_and_meanings():
    for meaning in ([1], 1):
        with pytest.raises(ValueError, match="shapes"):
            Definition("eq-d", [a, b], meaning)


@pytest.mark.parametrize(
    "name", [sp.pi, E(N), sp.sin(a), a + b, F(sp.S(2)), g(a, a), N, sp.Matrix([a, sp.pi])], ids=str
)
def test_only_names_can_be_defined(name):
    with pytest.raises(ValueError, match="no name"):
        Definition("eq-d", name, sp.Matrix([1, 2]) if isinstance(name, sp.MatrixBase) else 5)


def test_definitions_are_not_circular():
    with pytest.raises(ValueError, match="by itself"):
        Definition("eq-d", F(x, theta), F(x, 0) + 1)


def test_a_plain_symbol_beside_the_random_one():
    with pytest.raises(ValueError, match="prints alike"):
        chain(E(F(X) * x), (E(F(X)) * x, ""))


def test_restatements():
    first = Derivation("eq-first", E(N), (mu, "mean"), title="mean")
    again = Restatement("eq-again", first, E(N), mu)
    assert again.kind == RESTATEMENT and again.uses == ("eq-first",) and again.statement == first.statement
    with pytest.raises(FalseStep, match="no restatement"):
        Restatement("eq-again", first, E(N), mu + sigma)
    with pytest.raises(FalseStep, match="no restatement"):
        Restatement("eq-again", first, E(N**2))
    with pytest.raises(ValueError, match="lhs and rhs"):
        Restatement("eq-again", "eq-first")


def test_a_restatement_as_a_rule_is_its_original():
    first = Derivation("eq-first", E(N), (mu, "mean"))
    d = chain(E(N) ** 2, (mu**2, "", Restatement("eq-again", first)))
    assert kinds(d) == [PROVED] and d.uses == ("eq-again",) and d.evidence[0].instances == 3
    with pytest.raises(ValueError, match="cannot be a rule"):
        chain(E(N), (sigma, "", Restatement("eq-again", "eq-elsewhere", E(N), sigma)))


def test_tables_link_their_cells():
    first = Derivation("eq-first", E(N), (mu, "mean"))
    again = Restatement("eq-again", first)
    table = Table("tab-summary", ["objective", "gradient"], [["$J_1$", again]])
    assert table.uses == ("eq-first",)
    assert r"$\mu$ {eq}`eq-first`" in table.markdown and table.markdown.startswith("(tab-summary)=\n")
    with pytest.raises(ValueError, match="displayed equation"):
        Table("tab-x", ["a"], [["$$1=2$$"]])


def test_printing():
    d = Derivation("eq-mean", E(N**2), (mu**2 + sigma**2, "Gaussian $\\mu$, 100% & more_"), title="Second moment")
    assert d.latex == (
        "\\begin{aligned}\n"
        + latex(E(N**2))
        + " &= "
        + latex(mu**2 + sigma**2)
        + r" && \text{Gaussian } \mu \text{, 100\% \& more\_}"
        + "\n\\end{aligned}"
    )
    bundle = d._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/markdown", MIME}
    assert bundle["text/markdown"] == f"$$\n{d.latex}\n$$ (eq-mean)"
    data = bundle[MIME]
    assert (
        data["label"] == "eq-mean"
        and data["latex"] == d.latex
        and data["evidence"] == {"kind": PROVED, "detail": PROVED}
    )
    assert data["statement"] == "E[X**2], X ~ Normal(mu, sigma) = mu**2 + sigma**2"
    assert "0x" not in bundle["text/plain"] and "_repr_latex_" not in dir(d)


def test_deterministic_and_quick():
    start = time.process_time()
    first = chain(D(E(F(X)), theta), (gl.score_function(E(F(X)), theta), "", "exchange"))
    assert time.process_time() - start < 10
    again = chain(D(E(F(X)), theta), (gl.score_function(E(F(X)), theta), "", "exchange"))
    assert first.bundle == again.bundle


def test_assumptions_of_estimators_are_recorded():
    J = E(F(N), assumptions=("differentiable",))
    assert "differentiable" in chain(J, (E(F(N)), "the same")).assumptions
