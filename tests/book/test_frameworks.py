"""The estimators in the idioms of PyTorch and JAX, against gradlib's exact values.

The page "The same in PyTorch and JAX" shows the functions of this file as they stand here. The tests run where the
frameworks are installed; they are no dependency of the book.
"""

import importlib.util

import numpy as np
import pytest
import sympy as sp
from sympy.stats import Bernoulli, Gamma, Normal

import gradlib as gl

N = 200_000
MU, SIGMA, P, K = 0.3, 1.2, 0.3, 1.5

# --- PyTorch ---------------------------------------------------------------------------


def torch_score_function(F, mu, sigma, n):
    q = torch.distributions.Normal(mu, sigma)
    x = q.sample((n,))  # no gradient passes through a sample
    surrogate = F(x).detach() * q.log_prob(x)
    return torch.autograd.grad(surrogate.mean(), (mu, sigma))


def torch_leave_one_out(F, mu, sigma, n, batch=4):
    q = torch.distributions.Normal(mu, sigma)
    x = q.sample((n // batch, batch))
    values = F(x)
    others = (values.sum(dim=1, keepdim=True) - values) / (batch - 1)
    surrogate = (values - others).detach() * q.log_prob(x)
    return torch.autograd.grad(surrogate.mean(), (mu, sigma))


def torch_pathwise(F, mu, sigma, n):
    q = torch.distributions.Normal(mu, sigma)
    x = q.rsample((n,))  # mu + sigma * noise: the gradient passes through
    return torch.autograd.grad(F(x).mean(), (mu, sigma))


def torch_both(F, theta, n):
    """E[F(x, θ)] with x ~ N(θ, 1): the direct term, and the score term with F held fixed."""
    q = torch.distributions.Normal(theta, 1.0)
    x = q.sample((n,))
    values = F(x, theta)
    surrogate = values + values.detach() * q.log_prob(x)
    return torch.autograd.grad(surrogate.mean(), theta)


def torch_measure_valued(F, mu, sigma, n):
    """The gradient in μ: c (F(μ + σw) − F(μ − σw)) with w from a Rayleigh law. No autograd is needed."""
    w = torch.sqrt(2 * torch.empty(n, dtype=torch.float64).exponential_())
    c = 1 / (sigma * np.sqrt(2 * np.pi))
    return (c * (F(mu + sigma * w) - F(mu - sigma * w)).mean()).detach()


def torch_implicit(F, k, n):
    x = torch.distributions.Gamma(k, torch.ones_like(k)).rsample((n,))
    return torch.autograd.grad(F(x).mean(), k)


def torch_gumbel_softmax(F, p, temperature, n):
    """The relaxed gradient: biased for the Bernoulli variable itself."""
    x = torch.distributions.RelaxedBernoulli(temperature, probs=p).rsample((n,))
    return torch.autograd.grad(F(x).mean(), p)


def torch_second_derivative(F, mu, sigma, n):
    """DiCE: exp(log p − stop(log p)) is 1, and its derivatives of every order are right."""
    q = torch.distributions.Normal(mu, sigma)
    x = q.sample((n,))
    log_p = q.log_prob(x)
    objective = (F(x) * torch.exp(log_p - log_p.detach())).mean()
    (first,) = torch.autograd.grad(objective, mu, create_graph=True)
    return torch.autograd.grad(first, mu)


# --- JAX -------------------------------------------------------------------------------


def jax_score_function(F, mu, sigma, n, key):
    x = mu + sigma * jax.random.normal(key, (n,))
    values = F(x)  # both outside the function that is differentiated

    def surrogate(mu, sigma):
        return jnp.mean(values * jax.scipy.stats.norm.logpdf(x, mu, sigma))

    return jax.grad(surrogate, argnums=(0, 1))(mu, sigma)


def jax_leave_one_out(F, mu, sigma, n, key, batch=4):
    x = mu + sigma * jax.random.normal(key, (n // batch, batch))
    values = F(x)
    others = (values.sum(axis=1, keepdims=True) - values) / (batch - 1)

    def surrogate(mu, sigma):
        return jnp.mean((values - others) * jax.scipy.stats.norm.logpdf(x, mu, sigma))

    return jax.grad(surrogate, argnums=(0, 1))(mu, sigma)


def jax_pathwise(F, mu, sigma, n, key):
    noise = jax.random.normal(key, (n,))
    return jax.grad(lambda mu, sigma: jnp.mean(F(mu + sigma * noise)), argnums=(0, 1))(mu, sigma)


def jax_both(F, theta, n, key):
    x = theta + jax.random.normal(key, (n,))

    def surrogate(t):
        values = F(x, t)
        return jnp.mean(values + jax.lax.stop_gradient(values) * jax.scipy.stats.norm.logpdf(x, t, 1.0))

    return jax.grad(surrogate)(theta)


def jax_measure_valued(F, mu, sigma, n, key):
    w = jnp.sqrt(2 * jax.random.exponential(key, (n,)))
    c = 1 / (sigma * np.sqrt(2 * np.pi))
    return c * jnp.mean(F(mu + sigma * w) - F(mu - sigma * w))


def jax_implicit(F, k, n, key):
    return jax.grad(lambda k: jnp.mean(F(jax.random.gamma(key, k, (n,)))))(k)


def jax_gumbel_softmax(F, p, temperature, n, key):
    noise = jax.random.logistic(key, (n,))
    return jax.grad(lambda p: jnp.mean(F(jax.nn.sigmoid((jnp.log(p / (1 - p)) + noise) / temperature))))(p)


def jax_second_derivative(F, mu, sigma, n, key):
    x = mu + sigma * jax.random.normal(key, (n,))

    def objective(mu):
        log_p = jax.scipy.stats.norm.logpdf(x, mu, sigma)
        return jnp.mean(F(x) * jnp.exp(log_p - jax.lax.stop_gradient(log_p)))

    return jax.grad(jax.grad(objective))(mu)


# --- against the exact values ------------------------------------------------------------

mu, theta, sigma, p, k = (
    sp.Symbol("mu", real=True),
    sp.Symbol("theta", real=True),
    *sp.symbols("sigma p k", positive=True),
)
AT = {mu: MU, sigma: SIGMA}
J = gl.Expectation(sp.cos(2 * Normal("X", mu, sigma)))
BOTH = gl.Expectation(theta * Normal("X", theta, 1) ** 2)
LOG_GAMMA = gl.Expectation(sp.log(Gamma("X", k, 1)))
TOSS = gl.Expectation((Bernoulli("X", p) - sp.Rational(45, 100)) ** 2)

#: name ↦ (gradlib's estimator, where, draws in one of its draws)
TRUTH = {
    "score_function": (lambda: gl.score_function(J, [mu, sigma]), AT, 1),
    "leave_one_out": (lambda: gl.score_function(J, [mu, sigma], baseline="leave-one-out", batch=4), AT, 4),
    "pathwise": (lambda: gl.pathwise(J, [mu, sigma]), AT, 1),
    "both": (lambda: gl.score_function(BOTH, theta), {theta: 0.7}, 1),
    "measure_valued": (lambda: gl.measure_valued(J, mu, coupled=True), AT, 1),
    "implicit": (lambda: gl.pathwise(LOG_GAMMA, k), {k: K}, 1),
    "gumbel_softmax": (lambda: gl.gumbel_softmax(TOSS, p, 0.5), {p: P}, 1),
    "second_derivative": (lambda: gl.score_function(gl.score_function(J, mu), mu), AT, 1),
}


def z_scores(name, values):
    """Standard errors between a framework's value and the exact one, at the exact variance."""
    estimator, at, batch = TRUTH[name]
    G = estimator()
    return np.abs(np.atleast_1d(values) - gl.exact(G, at)) / np.sqrt(np.atleast_1d(gl.variance(G, at)) * batch / N)


def in_torch(name, wrong=1.0):
    global torch
    import torch

    torch.manual_seed(0)
    parameter = lambda value: torch.tensor(value, dtype=torch.float64, requires_grad=True)  # noqa: E731
    wave, toss = (lambda x: wrong * torch.cos(2 * x)), (lambda x: wrong * (x - 0.45) ** 2)
    arguments = {
        "both": ((lambda x, t: wrong * t * x**2), parameter(0.7)),
        "implicit": ((lambda x: wrong * torch.log(x)), parameter(K)),
        "gumbel_softmax": (toss, parameter(P), 0.5),
    }.get(name, (wave, parameter(MU), parameter(SIGMA)))
    result = globals()[f"torch_{name}"](*arguments, N)
    return [float(component) for component in (result if isinstance(result, tuple) else (result,))]


def in_jax(name, wrong=1.0):
    global jax, jnp
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    wave, toss = (lambda x: wrong * jnp.cos(2 * x)), (lambda x: wrong * (x - 0.45) ** 2)
    arguments = {
        "both": ((lambda x, t: wrong * t * x**2), 0.7),
        "implicit": ((lambda x: wrong * jnp.log(x)), K),
        "gumbel_softmax": (toss, P, 0.5),
    }.get(name, (wave, MU, SIGMA))
    result = globals()[f"jax_{name}"](*arguments, N, jax.random.key(0))
    return [float(component) for component in (result if isinstance(result, tuple) else (result,))]


FRAMEWORKS = [
    pytest.param(
        run,
        id=name,
        marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed"),
    )
    for name, run in {"torch": in_torch, "jax": in_jax}.items()
]


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("run", FRAMEWORKS)
def test_agrees_with_gradlib(run, name):
    assert z_scores(name, run(name)).max() < 4.5


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("run", FRAMEWORKS)
def test_a_wrong_integrand_is_seen(run, name):
    """Twice the integrand, twice the gradient."""
    assert z_scores(name, run(name, wrong=2.0)).max() > 6


def test_both_frameworks_show_the_same_estimators():
    for prefix in ("torch_", "jax_"):
        assert {name.removeprefix(prefix) for name in globals() if name.startswith(prefix)} == set(TRUTH)
