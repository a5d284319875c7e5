"""A search for faults of the oracle: random families, integrands and parameters, each with a closed form.

A row of the table is text: an integrand in SymPy, its expectation in mpmath, and when that exists. Parameters are drawn
over many decades and close to where an integral diverges. The closed form is evaluated with many more digits than any
answer has; its derivative in a parameter is what an estimator of the gradient must have as its mean.

    python tests/library/search.py 2000 --seed 7

prints each case that fails as a program of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import mpmath as mp
import numpy as np
import sympy as sp
import sympy.stats as st

import gradlib as gl
from gradlib.core.law import Velocity

DIGITS = 500  # of closed forms, of which differences are taken
SECONDS = 10  # a case that takes longer is a fault
PROMISED = 1e-11  # relative
RANGE = (1e-290, 1e290)  # of values that are compared: beyond are the ends of the floats

# --- how parameters are drawn -------------------------------------------------------------------------------------------


class Draw:
    """The words in which the table says how a parameter is drawn."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def decades(self, low: float, high: float) -> float:
        return 10.0 ** self.between(low, high)

    def sign(self) -> float:
        return float(self.rng.choice([-1, 1]))

    def location(self) -> float:
        return float(self.rng.choice([0.0, 1.0, self.sign() * self.decades(-3, 6), self.between(-3, 3)]))

    def scale(self) -> float:
        return float(self.rng.choice([1.0, self.decades(-8, 8), self.decades(-1, 1)]))

    def shape(self) -> float:
        return float(self.rng.choice([self.decades(-6, 4), self.decades(-1, 1.5), 0.5, 1.0, 2.0]))

    def probability(self) -> float:
        return float(self.rng.choice([self.decades(-300, 0), 1 - self.decades(-15, 0), self.between(0, 1)]))

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def above(self, edge: float, on: bool = True) -> float:
        """Mostly above an edge, close to it or not; sometimes below, or on it, if the edge is known without rounding."""
        unit = abs(edge) or 1.0
        steps = [self.between(0, 5), unit * self.decades(-3, 0), -unit * self.decades(-3, 0), 0.0 if on else 1.0]
        return edge + float(self.rng.choice(steps, p=[0.5, 0.3, 0.15, 0.05]))

    def below(self, edge: float, on: bool = True) -> float:
        return -self.above(-edge, on)

    def words(self) -> dict:
        return {name: getattr(self, name) for name in dir(Draw) if not name.startswith("_") and name != "words"}


# --- the table ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Parameters called q and t stand in an exponent: the integrand's square is the integrand at twice of them."""

    laws: str  # of its variables, each as `X=Normal(m, s)`
    law_draws: str  # of their parameters, each as `name=how`
    integrand: str
    closed: str
    draws: str = ""  # of the integrand's own parameters
    exists: str = "True"
    steps: bool = False  # its values are 0 and 1

    def drawn(self, draw: Draw) -> dict[str, float]:
        at: dict[str, float] = {}
        for name, how in self.parameters.items():
            at[name] = eval(how, {**draw.words(), "min": min, "max": max, "abs": abs, **at})  # noqa: S307 (our own text)
        return at

    @property
    def parameters(self) -> dict[str, str]:
        pairs = [p for p in f"{self.law_draws}; {self.draws}".split(";") if p.strip()]
        return {name.strip(): how for name, how in (p.split("=", 1) for p in pairs)}

    @property
    def of_laws(self) -> list[str]:
        return [p.split("=")[0].strip() for p in self.law_draws.split(";")]


def rows(laws: str, draws: str, *known: tuple) -> Iterator[Row]:
    for integrand, closed, *more in known:
        steps = integrand.startswith(("Heaviside", "Piecewise"))
        yield Row(laws, draws, integrand, closed, *more, steps=steps)


POWER = "q=above(-1)", "q > -1"
TABLE: list[Row] = [
    *rows(
        "X=Normal(m, s)", "m=location(); s=scale()",
        ("X", "m"),
        ("X**2", "m**2 + s**2"),
        ("X**3", "m**3 + 3*m*s**2"),
        ("exp(t*X)", "exp(m*t + s**2*t**2/2)", "t=between(-9, 9)/(s + abs(m)/60)"),
        ("exp(t*(X - m))", "exp(s**2*t**2/2)", "t=between(-20, 20)/s"),
        ("cos(w*X)", "cos(w*m)*exp(-(w*s)**2/2)", "w=between(0, 9)/s"),
        ("sin(w*(X - m))**2", "-expm1(-2*(w*s)**2)/2", "w=decades(-3, 1)/s"),
        ("Heaviside(X - c)", "above(m, s, c)", "c=m + s*between(-37, 37)"),
        ("Heaviside(c - X)", "above(-m, s, -c)", "c=m + s*between(-37, 37)"),
        ("X*Heaviside(X - c)", "m*above(m, s, c) + s*bell((c - m)/s)", "c=m + s*between(-9, 30)"),
        ("Piecewise((1, (X > c) & (X < d)), (0, True))", "above(m, s, c) - above(m, s, d)",
         "c=m + s*between(-30, 30); d=c + s*decades(-3, 1)", "d > c"),
        ("Abs(X)", "s*sqrt(2/pi)*exp(-(m/s)**2/2) + m*erf(m/s/sqrt(2))"),
        ("Max(X, c)", "c*above(-m, s, -c) + m*above(m, s, c) + s*bell((c - m)/s)", "c=m + s*between(-20, 20)"),
        ("Max(X - c, 0)", "(m - c)*above(m, s, c) + s*bell((c - m)/s)", "c=m + s*between(-9, 30)"),
        ("Abs(X - m)**q", "s**q*2**(q/2)*gamma((q + 1)/2)/sqrt(pi)", *POWER),
        ("exp(t*(X - m)**2/s**2)", "1/sqrt(1 - 2*t)", "t=below(0.5)", "2*t < 1"),
        ("exp(-k*X**2)", "exp(-k*m**2/(1 + 2*k*s**2))/sqrt(1 + 2*k*s**2)", "k=decades(-3, 8)/(s**2 + m**2)"),
        ("log(Abs(X - m))", "log(s) - (euler + log(2))/2"),
    ),
    *rows(
        "X=LogNormal(m, s)", "m=between(-20, 20); s=decades(-4, 1.3)",
        ("X**q", "exp(m*q + (s*q)**2/2)", "q=between(-20, 20)/(1 + s)"),
        ("log(X)", "m"),
        ("log(X)**2", "m**2 + s**2"),
        ("Heaviside(X - c)", "above(m, s, log(c))", "c=2.718281828**(m + s*between(-20, 20))"),
        ("Max(X - c, 0)", "exp(m + s**2/2)*above(m + s**2, s, log(c)) - c*above(m, s, log(c))",
         "c=2.718281828**(m + s*between(-5, 5))"),
        ("exp(t*X)", "inf", "t=decades(-3, 1)", "False"),
    ),
    *rows(
        "X=Exponential(r)", "r=scale()",
        ("X**q", "gamma(1 + q)/r**q", *POWER),
        ("exp(t*X)", "r/(r - t)", "t=r*below(1)", "t < r"),
        ("log(X)", "-euler - log(r)"),
        ("X*log(X)", "(1 - euler - log(r))/r"),
        ("Heaviside(X - c)", "exp(-r*c)", "c=decades(-8, 2.7)/r"),
        ("Max(X, c)", "c + exp(-r*c)/r", "c=decades(-8, 2.7)/r"),
        ("cos(w*X)", "r**2/(r**2 + w**2)", "w=decades(-4, 3)*r"),
        ("floor(r*X)", "1/expm1(1)"),
        ("log(1 + X)", "exp(r)*e1(r)", "k=1"),
    ),
    *rows(
        "X=Gamma(k, b)", "k=shape(); b=scale()",
        ("X**q", "b**q*gamma(k + q)/gamma(k)", "q=above(-k)", "k + q > 0"),
        ("log(X)", "digamma(k) + log(b)"),
        ("log(X)**2", "(digamma(k) + log(b))**2 + trigamma(k)"),
        ("exp(t*X)", "(1 - t*b)**-k", "t=below(1, on=False)/b", "t*b < 1"),
        ("X*log(X)", "b*k*(digamma(k + 1) + log(b))"),
        ("Heaviside(X - c)", "gammainc(k, c/b, inf, regularized=True)", "c=k*b*decades(-2, 1)"),
    ),
    *rows(
        "X=Weibull(a, b)", "a=scale(); b=decades(-1.3, 2)",
        ("X**q", "a**q*gamma(1 + q/b)", "q=above(-b)", "q > -b"),
        ("log(X)", "log(a) - euler/b"),
        ("Heaviside(X - c)", "exp(-(c/a)**b)", "c=a*between(0, 600)**(1/b)"),
    ),
    *rows(
        "X=Pareto(b, a)", "b=scale(); a=shape()",
        ("X**q", "a*b**q/(a - q)", "q=below(a)", "q < a"),
        ("log(X)", "log(b) + 1/a"),
        ("Heaviside(X - c)", "(b/c)**a", "c=b*decades(0, 6)"),
        ("log(X/b)**2", "2/a**2"),
    ),
    *rows(
        "X=Beta(a, b)", "a=shape(); b=shape()",
        ("X**q", "gammaprod([a + q, a + b], [a, a + b + q])", "q=above(-a)", "q > -a"),
        ("(1 - X)**q", "gammaprod([b + q, a + b], [b, a + b + q])", "q=above(-b)", "q > -b"),
        ("X*(1 - X)", "a*b/(a + b)/(a + b + 1)"),
        ("log(X)", "digamma(a) - digamma(a + b)"),
        ("log(1 - X)", "digamma(b) - digamma(a + b)"),
        ("log(X/(1 - X))", "digamma(a) - digamma(b)"),
    ),
    *rows(
        "X=Beta(a, b)", "a=decades(-1, 1.5); b=decades(-1, 1.5)",
        ("Heaviside(X - c)", "betainc(a, b, c, 1, regularized=True)", "c=probability()", "0 < c < 1"),
    ),
    *rows(
        "X=Uniform(l, u)", "l=location(); u=l + max(scale(), 1e-9*abs(l))",
        ("X", "(l + u)/2"),
        ("X**2", "(l**2 + l*u + u**2)/3"),
        ("exp(t*X)", "(exp(t*u) - exp(t*l))/(t*(u - l))", "t=between(-40, 40)/max(abs(u), abs(l))"),
        ("cos(w*X)", "(sin(w*u) - sin(w*l))/(w*(u - l))", "w=decades(-3, 3)/(u - l)"),
        ("Heaviside(X - c)", "(u - c)/(u - l)", "c=l + (u - l)*probability()", "l <= c <= u"),
        ("Abs(X - c)", "((u - c)**2 + (c - l)**2)/(2*(u - l))", "c=l + (u - l)*between(0, 1)"),
        ("(X - l)**q", "(u - l)**q/(q + 1)", *POWER),
        ("(u - X)**q", "(u - l)**q/(q + 1)", *POWER),
        ("log(X - l)", "log(u - l) - 1"),
        ("1/(X - l + k)", "log1p((u - l)/k)/(u - l)", "k=(u - l)*decades(-12, 2)"),
    ),
    *rows(
        "X=Laplace(m, b)", "m=location(); b=scale()",
        ("X**2", "m**2 + 2*b**2"),
        ("Abs(X)", "abs(m) + b*exp(-abs(m)/b)"),
        ("Abs(X - m)**q", "b**q*gamma(1 + q)", *POWER),
        ("exp(t*(X - m))", "1/(1 - (b*t)**2)", "t=below(1, on=False)/b", "abs(t)*b < 1"),
        ("cos(w*(X - m))", "1/(1 + (b*w)**2)", "w=decades(-3, 2)/b"),
        ("Heaviside(X - c)", "exp(-(c - m)/b)/2 if c > m else 1 - exp((c - m)/b)/2", "c=m + b*between(-30, 600)"),
        ("Max(X, c)", "(c if c > m else m) + b*exp(-abs(c - m)/b)/2", "c=m + b*between(-30, 30)"),
    ),
    *rows(
        "X=Logistic(m, s)", "m=location(); s=scale()",
        ("(X - m)**2", "(s*pi)**2/3"),
        ("Abs(X - m)", "2*s*log(2)"),
        ("exp(t*(X - m))", "pi*s*t/sin(pi*s*t)", "t=below(1, on=False)/s", "abs(t)*s < 1"),
        ("cos(w*(X - m))", "pi*w*s/sinh(pi*w*s)", "w=decades(-3, 1)/s"),
        ("Heaviside(X - c)", "1/(1 + exp((c - m)/s))", "c=m + s*between(-60, 600)"),
        ("Max(X, c)", "c + s*log1p(exp((m - c)/s))", "c=m + s*between(-30, 30)"),
    ),
    *rows(
        "X=Gumbel(b, m)", "b=scale(); m=location()",
        ("X", "m + euler*b"),
        ("(X - m)**2", "b**2*(euler**2 + pi**2/6)"),
        ("exp(t*(X - m))", "gamma(1 - b*t)", "t=below(1, on=False)/b", "b*t < 1"),
        ("Heaviside(X - c)", "-expm1(-exp(-(c - m)/b))", "c=m + b*between(-5, 300)"),
    ),
    *rows(
        "X=StudentT(v)", "v=decades(-1.5, 3)",
        ("Abs(X)**q", "v**(q/2)*gamma((q + 1)/2)*gamma((v - q)/2)/sqrt(pi)/gamma(v/2)",
         "q=(above(-1) if sign() > 0 else below(v))", "-1 < q < v"),
        ("log(Abs(X))", "(log(v) + digamma(0.5) - digamma(v/2))/2"),
        ("log(1 + X**2/v)", "digamma((v + 1)/2) - digamma(v/2)"),
        ("1/(1 + X**2/v)", "v/(v + 1)"),
        ("Heaviside(X - c)", "betainc(v/2, 0.5, 0, v/(v + c**2), regularized=True)/2", "c=decades(-3, 3)"),
    ),
    *rows(
        "X=Cauchy(m, g)", "m=location(); g=scale()",
        ("1/(1 + X**2)", "(1 + g)/((1 + g)**2 + m**2)"),
        ("log(1 + X**2)", "log((1 + g)**2 + m**2)"),
        ("log(Abs(X))", "log(m**2 + g**2)/2"),
        ("Abs(X - m)**q", "g**q/cos(pi*q/2)", "q=sign()*below(1)", "-1 < q < 1"),
        ("atan((X - m)/g)**2", "pi**2/12"),
        ("Heaviside(X - c)", "atan2(g, c - m)/pi", "c=m + g*sign()*decades(-4, 8)"),
        ("cos(w*(X - m))", "exp(-w*g)", "w=decades(-2, 1)/g"),
    ),
    *rows(
        "X=Kumaraswamy(a, b)", "a=decades(-2, 2); b=decades(-2, 2)",
        ("X**q", "b*beta(1 + q/a, b)", "q=above(-a)", "q > -a"),
        ("log(X)", "-(euler + digamma(b + 1))/a"),
        ("log(1 - X**a)", "-1/b"),
        ("Heaviside(X - c)", "(1 - c**a)**b", "c=between(0, 1)"),
    ),
    *rows(
        "X=GammaInverse(a, b)", "a=shape(); b=scale()",
        ("X**q", "b**q*gamma(a - q)/gamma(a)", "q=below(a)", "q < a"),
        ("log(X)", "log(b) - digamma(a)"),
        ("exp(-k/X)", "(1 + k/b)**-a", "k=b*decades(-6, 2)"),
        ("Heaviside(X - c)", "gammainc(a, 0, b/c, regularized=True)", "c=b/a*decades(-1, 4)"),
    ),
    *rows(
        "X=ChiSquared(n)", "n=whole(1, 60)",
        ("X**q", "2**q*gamma(mpf(n)/2 + q)/gamma(mpf(n)/2)", "q=above(-n/2)", "2*q > -n"),
        ("log(X)", "digamma(mpf(n)/2) + log(2)"),
        ("exp(t*X)", "(1 - 2*t)**(-mpf(n)/2)", "t=below(0.5)", "2*t < 1"),
    ),
    *rows(
        "X=VonMises(m, k)", "m=between(0, 6.28); k=decades(-4, 3)",
        ("cos(X - m)", "besseli(1, k)/besseli(0, k)"),
        ("cos(3*(X - m))", "besseli(3, k)/besseli(0, k)"),
        ("exp(t*cos(X - m))", "besseli(0, k + t)/besseli(0, k)", "t=between(-20, 20)"),
    ),
    *rows(
        "X=Rayleigh(s)", "s=scale()",
        ("X**q", "s**q*2**(q/2)*gamma(1 + q/2)", "q=above(-2)", "q > -2"),
        ("log(X)", "log(s) + (log(2) - euler)/2"),
        ("Heaviside(X - c)", "exp(-(c/s)**2/2)", "c=s*between(0, 35)"),
    ),
    *rows(
        "X=Maxwell(a)", "a=scale()",
        ("X**q", "a**q*2**(q/2)*gamma((q + 3)/2)/gamma(1.5)", "q=above(-3)", "q > -3"),
    ),
    *rows(
        "X=TruncatedNormal(m, s, l)", "m=location(); s=scale(); l=m + s*between(-9, 30)",
        ("X - m", "s*bell((l - m)/s)/above(m, s, l)"),
        ("exp(t*(X - m))", "exp((s*t)**2/2)*above(m + s**2*t, s, l)/above(m, s, l)", "t=between(-9, 9)/s"),
        ("Heaviside(X - c)", "above(m, s, c)/above(m, s, l)", "c=l + s*decades(-6, 0.5)", "c >= l"),
        ("(X - l)**q", "inf", "q=-1 - decades(-3, 0)", "False"),
    ),
    *rows(
        "X=TruncatedNormal(m, s, l, u)", "m=location(); s=scale(); l=m + s*between(-20, 20); u=l + s*decades(-2, 1)",
        ("X - m", "s*(bell((l - m)/s) - bell((u - m)/s))/(above(m, s, l) - above(m, s, u))", "", "l < u"),
    ),
    *rows(
        "N=Poisson(r)", "r=decades(-8, 3.6)",
        ("N", "r"),
        ("N**2", "r + r**2"),
        ("N*(N - 1)*(N - 2)", "r**3"),
        ("1/(1 + N)", "-expm1(-r)/r"),
        ("z**N", "exp(r*(z - 1))", "z=decades(-3, 0.5)"),
        ("exp(t*N)", "exp(r*expm1(t))", "t=between(-3, 3)/(1 + r/100)"),
        ("Heaviside(N - j + 0.5)", "gammainc(j, 0, r, regularized=True)", "j=whole(1, 60)"),
        ("2**(N**2)", "inf", "", "False"),
    ),
    *rows(
        "N=Geometric(p)", "p=(decades(-3, 0) if sign() > 0 else 1 - decades(-12, 0))",
        ("N", "1/p"),
        ("N**2", "(2 - p)/p**2"),
        ("1/N", "-p*log(p)/(1 - p)"),
        ("exp(t*N)", "p*exp(t)/(1 - (1 - p)*exp(t))", "t=-decades(-3, 1)"),
        ("z**N", "p*z/(1 - (1 - p)*z)", "z=below(1, on=False)/(1 - p)", "-1 < z*(1 - p) < 1"),
        ("Heaviside(N - j - 0.5)", "(1 - p)**j", "j=whole(1, 60)"),
    ),
    *rows(
        "N=NegativeBinomial(a, p)", "a=decades(-1, 1.5); p=between(0.03, 1)",
        ("N", "a*(1 - p)/p"),
        ("N*(N - 1)", "a*(a + 1)*((1 - p)/p)**2"),
        ("exp(t*N)", "(p/(1 - (1 - p)*exp(t)))**a", "t=-decades(-3, 1)"),
    ),
    *rows(
        "N=Binomial(n, p)", "n=whole(1, 80); p=probability()",
        ("N", "n*p"),
        ("N*(N - 1)", "n*(n - 1)*p**2"),
        ("exp(t*N)", "(1 - p + p*exp(t))**n", "t=between(-4, 4)"),
        ("1/(1 + N)", "-expm1((n + 1)*log1p(-p))/(n + 1)/p", "", "0 < p < 1"),
    ),
    *rows(
        "K=Bernoulli(p)", "p=probability()",
        ("K", "p"),
        ("exp(t*K)", "1 + p*expm1(t)", "t=between(-30, 300)"),
        ("1/(1 + K)", "1 - p/2"),
    ),
    *rows(
        "A=Normal(m, s); B=Normal(n, u)",
        "m=location(); s=scale(); n=m + s*between(-5, 5); u=s*decades(-3, 3)",
        ("Max(A, B)", "m*above(m - n, hypot(s, u), 0) + n*above(n - m, hypot(s, u), 0)"
         " + hypot(s, u)*bell((m - n)/hypot(s, u))"),
        ("Heaviside(A - B)", "above(m - n, hypot(s, u), 0)"),
        ("Heaviside(A + B - c)", "above(m + n, hypot(s, u), c)", "c=m + n + (s + u)*between(-9, 20)"),
        ("A*B", "m*n"),
        ("(A - B)**4", "(m - n)**4 + 6*(m - n)**2*(s**2 + u**2) + 3*(s**2 + u**2)**2"),
        ("Abs(A - B)", "hypot(s, u)*sqrt(2/pi)*exp(-((m - n)/hypot(s, u))**2/2)"
         " + (m - n)*erf((m - n)/hypot(s, u)/sqrt(2))"),
    ),
    *rows(
        "A=Normal(0, s); B=Normal(0, u)", "s=scale(); u=scale()",
        ("exp(t*A*B)", "1/sqrt(1 - (t*s*u)**2)", "t=sign()*below(1, on=False)/s/u", "abs(t)*s*u < 1"),
        ("cos(w*A*B)", "1/sqrt(1 + (w*s*u)**2)", "w=decades(-2, 0.5)/s/u"),
        ("A**2*B**2", "(s*u)**2"),
    ),
    *rows(
        "A=Normal(0, s); B=Normal(0, s)", "s=scale()",
        ("sqrt(A**2 + B**2)", "s*sqrt(pi/2)"),
        ("log(A**2 + B**2)", "log(2) + 2*log(s) - euler"),
        ("exp(-k*(A**2 + B**2))", "1/(1 + 2*k*s**2)", "k=decades(-3, 3)/s**2"),
        ("Heaviside(c**2 - A**2 - B**2)", "-expm1(-(c/s)**2/2)", "c=s*decades(-2, 1)"),
    ),
    *rows(
        "S=Exponential(a); T=Exponential(b)", "a=scale(); b=a*decades(-3, 3)",
        ("Heaviside(T - S)", "a/(a + b)"),
        ("Max(S, T)", "1/a + 1/b - 1/(a + b)"),
        ("Min(S, T)", "1/(a + b)"),
        ("Abs(S - T)", "1/a + 1/b - 2/(a + b)"),
        ("Heaviside(S + T - c)", "(a*exp(-b*c) - b*exp(-a*c))/(a - b)", "c=decades(-2, 1)/min(a, b)", "a != b"),
        ("S**q*T**q", "gamma(1 + q)**2/(a*b)**q", *POWER),
        ("S/T", "inf", "", "False"),
    ),
    *rows(
        "G=Gamma(k, b); H=Gamma(j, b)", "k=decades(-0.5, 1); j=decades(-0.5, 1); b=scale()",
        ("G/(G + H)", "k/(k + j)"),
        ("log(G + H)", "digamma(k + j) + log(b)"),
        ("G**q/H**q", "gamma(k + q)*gamma(j - q)/gamma(k)/gamma(j)", "q=below(j)", "-k < q < j"),
    ),
    *rows(
        "X=Normal(m, s); G=Gamma(k, b)", "m=location(); s=scale(); k=decades(-0.5, 1); b=scale()",
        ("X/G", "m/(b*(k - 1))", "", "k > 1"),
        ("X**2*sqrt(G)", "(m**2 + s**2)*sqrt(b)*gamma(k + 0.5)/gamma(k)"),
    ),
    *rows(
        "U=Uniform(0, u); V=Uniform(0, v)", "u=scale(); v=u*decades(-2, 2)",
        ("Max(U, V)", "(u**2/(6*v) + v/2) if u < v else (v**2/(6*u) + u/2) + 0*v"),
        ("Heaviside(U - V)", "u/(2*v) if u < v else 1 - v/(2*u)"),
        ("U*V*log(U/V)", "u*v/4*log(u/v)"),
    ),
    *rows(
        "K=Bernoulli(p); X=Normal(m, s)", "p=probability(); m=between(-3, 3); s=decades(-2, 0.5)",
        ("exp(t*K*X)", "1 + p*expm1(t*m + (s*t)**2/2)", "t=between(-2, 2)"),
        ("(1 - K)*X + K*X**2", "(1 - p)*m + p*(m**2 + s**2)"),
    ),
    *rows(
        "N=Poisson(r); X=Normal(m, s)", "r=decades(-3, 1); m=between(-1, 1); s=decades(-2, 0)",
        ("N*X", "r*m"),
        ("(X + N)**2", "(m + r)**2 + s**2 + r"),
        ("cos(w)**N*X", "m*exp(r*(cos(w) - 1))", "w=between(0, 1)"),
    ),
]  # fmt: skip


# --- the two sides of a row ---------------------------------------------------------------------------------------------


def _above(m, s, c):
    """P(X > c) of a Normal variable."""
    return mp.erfc((c - m) / (s * mp.sqrt(2))) / 2


CLOSED = {name: getattr(mp, name) for name in dir(mp) if not name.startswith("_")} | {
    "above": _above,
    "bell": lambda z: mp.exp(-(z**2) / 2) / mp.sqrt(2 * mp.pi),
    "trigamma": lambda x: mp.psi(1, x),
    "euler": mp.euler,
}
SYMPY = {name: getattr(sp, name) for name in dir(sp) if not name.startswith("_")}
LAWS = {name: getattr(st, name) for name in st.__all__} | {"TruncatedNormal": gl.TruncatedNormal}
SIGNED = {"m", "n", "c", "d", "q", "t", "l", "u", "z"}  # parameters that may be negative, or are where they are not
KINDS = {"value": 6, "literal": 4, "score": 2, "path": 2, "variance": 2}


@dataclass(frozen=True)
class Case:
    """What is asked of the oracle: a row at some parameters, and one of the kinds."""

    row: Row
    at: tuple[tuple[str, float], ...]
    kind: str  # the expectation, with symbols or with numbers; the mean of an estimator; the variance
    theta: str = ""  # the parameter of the gradient

    @property
    def names(self) -> dict[str, sp.Expr]:
        """What stands for the parameters: symbols, or numbers. A whole number is always one."""
        signed = SIGNED - ({"u"} if "Normal(n, u)" in self.row.laws or "Normal(0, u)" in self.row.laws else set())
        if self.kind == "literal":
            return {name: sp.Float(v, 30) if isinstance(v, float) else sp.Integer(v) for name, v in self.at}
        symbol = lambda name: sp.Symbol(name, **{"real" if name in signed else "positive": True})  # noqa: E731
        return {name: symbol(name) if isinstance(v, float) else sp.Integer(v) for name, v in self.at}

    @cached_property
    def question(self) -> gl.Expectation:
        space = {**SYMPY, **LAWS, **self.names}
        for law in self.row.laws.split(";"):
            name, text = (part.strip() for part in law.split("=", 1))
            space[name] = eval(text.replace("(", f"({name!r}, ", 1), space)  # noqa: S307 (our own text)
        J = gl.Expectation(eval(self.row.integrand, space))  # noqa: S307
        if self.theta:
            return (gl.score_function if self.kind == "score" else gl.pathwise)(J, self.names[self.theta])
        return J

    def answer(self) -> tuple[float, float]:
        J, values = self.question, dict(self.at)
        known = J.parameters | (J.objective.parameters if J.objective else set())
        at = {symbol: values[name] for name, symbol in self.names.items() if symbol in known}
        if self.kind == "variance":
            value = gl.variance(J, at)  # it gives no bound: the one that is promised
            return value, abs(value) * PROMISED / (1 + PROMISED)
        return gl.exact(J, at, error=True)

    def closed(self, **changed) -> mp.mpf:
        numbers = {name: mp.mpf(v) if isinstance(v, float) else v for name, v in self.at}
        return mp.mpf(eval(self.row.closed, {**CLOSED, **numbers, **changed}))  # noqa: S307

    def exists(self, **changed) -> bool:
        numbers = {name: mp.mpf(v) if isinstance(v, float) else v for name, v in self.at}
        return bool(eval(self.row.exists, {**CLOSED, **numbers, **changed}))  # noqa: S307

    def twice(self) -> dict:
        """What changes the integrand to its square."""
        return {name: 2 * mp.mpf(v) for name, v in self.at if name in ("q", "t")}

    @cached_property
    def want(self) -> mp.mpf | None:
        """The value; None where there is none."""
        with mp.workdps(DIGITS):
            if not self.exists() or self.kind == "variance" and not self.exists(**self.twice()):
                return None
            here = self.closed()
            if self.kind == "variance":
                return (here if self.row.steps else self.closed(**self.twice())) - here**2
            if not self.theta:
                return here
            at = mp.mpf(dict(self.at)[self.theta])
            step = (abs(at) or 1) * mp.mpf(10) ** (-DIGITS // 3)
            return (self.closed(**{self.theta: at + step}) - self.closed(**{self.theta: at - step})) / (2 * step)

    @property
    def is_known(self) -> bool:
        """Whether there is a number to compare with, which is no end of the floats, or none; and such an estimator."""
        try:
            assert self.question
            return self.want in (None, 0) or RANGE[0] < abs(self.want) < RANGE[1]
        except (gl.UnsoundEstimator, mp.mp.NoConvergence, ValueError, ZeroDivisionError, OverflowError):
            return False

    def __str__(self) -> str:
        names = ", ".join(f"{name}={value!r}" for name, value in self.at)
        where = f", d/d{self.theta}" if self.theta else ""
        return f"E[{self.row.integrand}]  {self.row.laws}  {self.kind}{where}  {names}"

    def program(self) -> str:
        """It alone, to be run again."""
        row = next(i for i, row in enumerate(TABLE) if row == self.row)
        return f"search.Case(search.TABLE[{row}], {self.at!r}, {self.kind!r}, {self.theta!r}).answer()"


def cases(seed: int) -> Iterator[Case]:
    """Without an end: every family as often as any other, and only what can be compared."""
    rng = np.random.default_rng(seed)
    draw = Draw(rng)
    families: dict[str, list[Row]] = {}
    for row in TABLE:
        families.setdefault(row.laws, []).append(row)
    names, kinds = list(families), list(KINDS)
    weights = np.array(list(KINDS.values())) / sum(KINDS.values())
    while True:
        family = families[names[rng.integers(len(names))]]
        row = family[rng.integers(len(family))]
        at = row.drawn(draw)
        kind = str(rng.choice(kinds, p=weights))
        theta = str(rng.choice(row.of_laws)) if kind in ("score", "path") else ""
        if theta and isinstance(at[theta], int):
            continue
        case = Case(row, tuple(at.items()), kind, theta)
        if kind == "variance" and not (row.steps or {"q", "t"} & at.keys()):
            case = replace(case, kind="value")
        if case.is_known:
            yield case


# --- the verdict --------------------------------------------------------------------------------------------------------


class _Late(BaseException):
    """No Exception, which what is interrupted might catch."""


def verdict(case: Case, seconds: float = SECONDS) -> str:
    """What is wrong with the answer; nothing if it is right."""
    want = case.want
    shown = "infinite" if want is None else mp.nstr(want, 20)
    rang = []

    def late(*_):
        rang.append(True)
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # and again, if it is lost
    try:
        value, bound = case.answer()
    except _Late:
        pass
    except gl.DivergentExpectation as error:  # a gradient may exist where the mean of this estimator does not
        return "" if want is None or case.kind == "path" else f"divergent, it says: it is {shown} ({error})"
    except gl.QuadratureError as error:
        return f"refused: it is {shown} ({error})"
    except Exception as error:  # noqa: BLE001 (any other is a fault as well)
        if not rang:
            return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if rang:  # what comes back after an interruption is no answer: Arb may have lost it
        return f"slow: more than {seconds:g} s"
    if want is None:
        return f"wrong: {value!r}, it is infinite"
    with mp.workdps(DIGITS):
        if case.question.plain.has(Velocity):  # of a numerical velocity the bound is an estimate
            bound = PROMISED * abs(want)
        if not abs(mp.mpf(value) - want) <= bound:
            return f"wrong: {value!r} ± {bound:.1g}, it is {shown}"
        if not bound <= PROMISED * abs(want) and value != 0:
            return f"wide: {value!r} ± {bound:.1g}, it is {shown}"
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the oracle with closed forms at random.")
    parser.add_argument("cases", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases that hold this text: a family, an integrand or a kind")
    parser.add_argument("--without", help="and not this one")
    options = parser.parse_args(arguments)
    count: Counter = Counter()
    began = time.perf_counter()
    wanted = (c for c in cases(options.seed) if options.only in f"{c}" and not (options.without or "\0") in f"{c}")
    for case in islice(wanted, options.cases):
        start = time.perf_counter()
        fault = verdict(case)
        count[fault.split(":")[0] or "right"] += 1
        if fault:
            took = time.perf_counter() - start
            print(f"{case}\n  {fault}\n  {took:.1f} s   {case.program()}", flush=True)
    print(f"{dict(count)} in {time.perf_counter() - began:.0f} s")
    return count["right"] < options.cases


if __name__ == "__main__":
    sys.exit(main())
