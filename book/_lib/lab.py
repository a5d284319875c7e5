r"""The estimator lab: gradlib's own expressions, printed as JavaScript for a page that computes live.

For each integrand, law and parameter of the lab this module takes the score-function, the pathwise and the
measure-valued estimator from gradlib, writes each over base noise, and prints it with :func:`sympy.jscode`. Nothing is
typed by hand. The exact gradient and the exact variances are printed in closed form where
:func:`gradlib.proof.forms.closed_form` knows the integral; elsewhere the page integrates the printed integrand against
the printed density by Gauss–Legendre panels.

:func:`module` is the text of ``lab-data.js``, which the build of the book writes. Each printed function is kept
with its expression, so that a test can compare the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.stats import Exponential, Laplace, Normal

from gradlib.core.expectation import Expectation
from gradlib.core.joint import total_score
from gradlib.core.law import FamilyLaw, name_of
from gradlib.proof.forms import closed_form
from gradlib.rules.measure_valued import measure_valued
from gradlib.rules.pathwise import pathwise
from gradlib.rules.score import score_function


class NotPrintable(ValueError):
    """The expression has no JavaScript: jscode does not know one of its functions, or it is not real."""


@dataclass(frozen=True)
class Slider:
    """A parameter that the reader moves."""

    symbol: sp.Symbol
    meaning: str
    low: float
    high: float
    step: float
    start: float

    def data(self) -> dict:
        return {
            "name": self.symbol.name,
            "letter": LETTERS.get(self.symbol.name, self.symbol.name),
            "meaning": self.meaning,
            "low": self.low,
            "high": self.high,
            "step": self.step,
            "start": self.start,
        }


LETTERS = {"mu": "μ", "sigma": "σ", "rate": "λ"}

mu, k = sp.symbols("mu k", real=True)
sigma, rate, b = sp.symbols("sigma rate b", positive=True)
width = sp.Symbol("k", positive=True)  # k, where it has to be positive

#: name ↦ (what the reader reads, F as a function of the random variable, the slider of k). The step is written with
#: tanh: the derivative of the quotient of exponentials would be ∞/∞ far out.
INTEGRANDS: dict[str, tuple[str, Callable[[sp.Expr], sp.Expr], Slider]] = {
    "quadratic": ("(x − k)²", lambda x: (x - k) ** 2, Slider(k, "the minimum of F", -3, 3, 0.1, 1)),
    "cosine": ("cos kx", lambda x: sp.cos(k * x), Slider(k, "the frequency of F", 0.1, 3, 0.1, 2)),
    "bump": (
        "exp(−kx²)",
        lambda x: sp.exp(-width * x**2),
        Slider(width, "how narrow the bump of F is", 0.1, 3, 0.1, 1),
    ),
    "softplus": (
        "log(1 + exp kx)",
        lambda x: sp.log(1 + sp.exp(width * x)),
        Slider(width, "how sharp the bend of F is", 0.1, 3, 0.1, 1),
    ),
    "quartic": ("(x − k)⁴", lambda x: (x - k) ** 4, Slider(k, "the minimum of F", -2, 2, 0.1, 0.5)),
    "sigmoid": (
        "1/(1 + exp(−kx))",
        lambda x: (1 + sp.tanh(width * x / 2)) / 2,
        Slider(width, "how steep the step of F is", 0.5, 10, 0.1, 2),
    ),
}

#: name ↦ (what the reader reads, the random variable, the sliders of its parameters)
LAWS = {
    "normal": (
        "Normal(μ, σ²)",
        Normal("X", mu, sigma),
        [Slider(mu, "the mean", -2, 2, 0.1, 0.5), Slider(sigma, "the standard deviation", 0.3, 2.5, 0.1, 1)],
    ),
    "exponential": ("Exponential(λ)", Exponential("X", rate), [Slider(rate, "the rate", 0.5, 3, 0.1, 1)]),
    "laplace": (
        "Laplace(μ, b)",
        Laplace("X", mu, b),
        [Slider(mu, "the mean", -2, 2, 0.1, 0.5), Slider(b, "the scale", 0.3, 2, 0.1, 1)],
    ),
}

#: The noise that the page draws, each with the edges of the panels of its quadrature, in one and in two dimensions.
#: Beyond the outermost edges lies less than 1e-13 of anything the lab integrates.
NOISE = {
    "Normal": ([-13 + 0.05 * i for i in range(521)], [-9 + 0.25 * i for i in range(73)]),
    "Exponential": (
        [0.05 * i for i in range(80)] + [4 + 0.25 * i for i in range(225)],
        [0.25 * i for i in range(16)] + [4 + 0.8 * i for i in range(10)] + [12 + 1.5 * i for i in range(17)],
    ),
    "Laplace": (
        [-60 + 0.5 * i for i in range(112)] + [-4 + 0.05 * i for i in range(160)] + [4 + 0.5 * i for i in range(113)],
        None,
    ),
    "Rayleigh": ([0.05 * i for i in range(261)], None),
    "Maxwell": ([0.05 * i for i in range(261)], [0.25 * i for i in range(41)]),
    "Uniform": ([0.05 * i for i in range(21)], [0.05 * i for i in range(21)]),
    "Bernoulli": (None, None),
}


# --- printing -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Printed:
    """A function of real numbers: the expression, and the JavaScript printed out of it."""

    arguments: tuple[sp.Symbol, ...]
    expression: sp.Expr
    text: str = field(repr=False)


def javascript(arguments, expression: sp.Expr) -> Printed:
    """Print a function.

    Raises:
        NotPrintable: for functions that jscode lacks (erf, gamma, Bessel functions), for complex or infinite values.

    Examples:
        >>> import sympy as sp
        >>> from _lib.lab import javascript
        >>> x, k = sp.symbols("x k", real=True)
        >>> print(javascript((x, k), sp.cos(k * x) / 2).text)
        function (x, k) { return (1/2)*Math.cos(k*x); }
    """
    arguments, expression = tuple(arguments), sp.sympify(expression)
    if unknown := expression.free_symbols - set(arguments):
        raise NotPrintable(f"{expression} holds {sorted(map(str, unknown))}, which are no arguments")
    if expression.has(sp.I, sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise NotPrintable(f"{expression} is not a finite real number everywhere")
    names = {argument: sp.Symbol(argument.name, real=True) for argument in arguments}  # one name, one symbol
    shared, (last,) = sp.cse(expression.xreplace(names), symbols=sp.numbered_symbols("t"))
    lines = [f"const {name} = {_code(part)};" for name, part in shared] + [f"return {_code(last)};"]
    return Printed(arguments, expression, f"function ({', '.join(a.name for a in arguments)}) {{ {' '.join(lines)} }}")


def _code(expression: sp.Expr) -> str:
    try:
        code = sp.jscode(expression)
    except PrintMethodNotImplementedError:
        code = None
    if code is None or "Not supported" in code or "\n" in code:  # SymPy before 1.14 prints a comment instead
        raise NotPrintable(f"jscode has no JavaScript for {expression}")
    return code


# --- the estimators over base noise ---------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """One estimator: what is drawn, and the gradient of one sample as a function of it.

    Attributes:
        name: ``score``, ``baseline``, ``pathwise`` or ``measure``.
        noise: names in :data:`NOISE`.
        value: the printed function of the noise, the parameters and k (and, for ``baseline``, of b*).
        variance: the printed exact variance; ``None`` where the page integrates.
    """

    name: str
    noise: tuple[str, ...]
    value: Printed
    variance: Printed | None


@dataclass(frozen=True)
class Case:
    """All that the page needs for one integrand, law and parameter."""

    integrand: str
    law: str
    parameter: sp.Symbol
    estimators: tuple[Draw, ...]
    gradient: Printed | None
    baseline: Printed | None
    weighted: Printed  # G·s and s², whose expectations' ratio is the optimal baseline
    squared: Printed

    @property
    def key(self) -> str:
        return f"{self.integrand}/{self.law}/{self.parameter}"


BASELINE = sp.Symbol("baseline", real=True)


def objective(integrand: str, law: str) -> Expectation:
    """The objective that the lab shows under these names."""
    return Expectation(INTEGRANDS[integrand][1](LAWS[law][1]))


def parameters(integrand: str, law: str) -> tuple[sp.Symbol, ...]:
    """The parameters of the law, then k: the order of the arguments of each printed function."""
    return (*(slider.symbol for slider in LAWS[law][2]), INTEGRANDS[integrand][2].symbol)


def over_base_noise(G: Expectation) -> tuple[tuple[str, ...], tuple[sp.Symbol, ...], sp.Expr]:
    """A scalar expectation over noise without parameters: its names, its symbols, and the integrand."""
    kinds, symbols, maps = [], [], {}
    for i, law in enumerate(G.laws):
        noise = sp.Symbol(f"n{i}", real=True)
        base, g = (law.distribution, lambda e: e)
        if any(sp.sympify(p).free_symbols for p in law.parameters):
            base, g = law.base()
        kinds.append(_kind(base))
        symbols.append(noise)
        maps[law.symbol] = g(noise)
    return tuple(kinds), tuple(symbols), _plain(G.plain.subs(maps, simultaneous=True))


def _kind(distribution: sp.Basic) -> str:
    """Its name in :data:`NOISE`."""
    return name_of(distribution)


def _plain(expression: sp.Expr) -> sp.Expr:
    """Signs of scaled noise, without the scale: sign(b·n) = sign(n) and |b·n| = b·|n|."""
    return expression.replace(
        lambda e: isinstance(e, (sp.sign, sp.Abs)), lambda e: e.func(sp.factor(sp.expand(e.args[0])))
    )


_GAUSSIAN = lambda n: (sp.exp(-(n**2) / 2) / sp.sqrt(2 * sp.pi), -sp.oo, sp.oo)  # noqa: E731
_CLOSED = {
    "Normal": _GAUSSIAN,
    "Exponential": lambda n: (sp.exp(-n), sp.S.Zero, sp.oo),
    "Uniform": lambda n: (sp.S.One, sp.S.Zero, sp.S.One),
}


def _mean(kinds, symbols, expression) -> sp.Expr | None:
    """The expectation in closed form, one variable after the other; None where there is none to be had."""
    value = expression
    for kind, n in zip(kinds, symbols, strict=True):
        if kind == "Bernoulli":
            value = (value.subs(n, 0) + value.subs(n, 1)) / 2
        elif kind in _CLOSED:
            density, low, high = _CLOSED[kind](n)
            value = closed_form(value * density, n, low, high)
            if value is None:
                return None
        else:
            return None
    if not value.has(sp.I):
        return sp.factor_terms(value)
    real, imaginary = sp.expand(value).as_real_imag()  # sines and cosines came apart as exponentials
    return sp.factor_terms(sp.simplify(real)) if sp.simplify(imaginary) == 0 else None


@lru_cache(maxsize=None)
def case(integrand: str, law: str, parameter: sp.Symbol) -> Case:
    """Derive and print everything for one integrand, law and parameter."""
    J, given = objective(integrand, law), parameters(integrand, law)
    score = total_score(J, parameter)
    S = score_function(J, parameter)
    rules = {
        "score": S,
        "baseline": score_function(J, parameter, baseline=BASELINE),
        "pathwise": pathwise(J, parameter),
        "measure": measure_valued(J, parameter, coupled=True),
    }
    written = {name: over_base_noise(G) for name, G in rules.items()}
    gradient = _mean(*written["pathwise"])
    if gradient is None:  # all of them have the same mean
        gradient = _mean(*written["measure"])
    weighted, squared = (over_base_noise(J.with_integrand(e)) for e in (S.plain * score, score**2))
    top, bottom = _mean(*weighted), _mean(*squared)
    best = None if top is None or bottom is None else top / bottom

    def variance(name: str) -> Printed | None:
        kinds, symbols, expression = written[name]
        if gradient is None or name == "baseline":  # the page integrates its variance
            return None
        second = _mean(kinds, symbols, expression**2)
        return None if second is None else javascript(given, second - gradient**2)

    return Case(
        integrand,
        law,
        parameter,
        tuple(
            Draw(
                name,
                kinds,
                javascript((*symbols, *given, *([BASELINE] if name == "baseline" else [])), expression),
                variance(name),
            )
            for name, (kinds, symbols, expression) in written.items()
        ),
        None if gradient is None else javascript(given, gradient),
        None if best is None else javascript(given, best),
        *(javascript((*symbols, *given), expression) for _, symbols, expression in (weighted, squared)),
    )


def cases() -> Iterator[Case]:
    """Every case of the lab."""
    for integrand in INTEGRANDS:
        for law, (_, _, sliders) in LAWS.items():
            for slider in sliders:
                yield case(integrand, law, slider.symbol)


def noise_density(kind: str) -> Printed:
    """The density of a standard noise variable."""
    law = FamilyLaw(None, sp.Symbol("x", real=True), _STANDARD[kind])
    return javascript((law.symbol,), law.density)


_STANDARD = {
    "Normal": Normal("Z", 0, 1).pspace.distribution,
    "Exponential": Exponential("Z", 1).pspace.distribution,
    "Laplace": Laplace("Z", 0, 1).pspace.distribution,
    "Rayleigh": sp.stats.Rayleigh("Z", 1).pspace.distribution,
    "Maxwell": sp.stats.Maxwell("Z", 1).pspace.distribution,
    "Uniform": sp.stats.Uniform("Z", 0, 1).pspace.distribution,
}


def integrand_at(integrand: str) -> Printed:
    """F itself, for the picture."""
    x = sp.Symbol("x", real=True)
    return javascript((x, INTEGRANDS[integrand][2].symbol), INTEGRANDS[integrand][1](x))


def density_at(law: str) -> Printed:
    """The density of x inside its support, for the picture."""
    (its,) = Expectation(LAWS[law][1]).laws
    x = sp.Symbol("x", real=True)
    return javascript((x, *(slider.symbol for slider in LAWS[law][2])), its.density.xreplace({its.symbol: x}))


def path_at(law: str) -> Printed:
    """The map from the noise to x, for the picture."""
    (its,) = Expectation(LAWS[law][1]).laws
    n = sp.Symbol("n0", real=True)
    return javascript((n, *(slider.symbol for slider in LAWS[law][2])), its.base()[1](n))


# --- the module of the page -------------------------------------------------------------------


def module() -> str:
    """The text of ``lab-data.js``: a classic script, which sets ``globalThis.gradlibLab``."""

    def text(printed: Printed | None) -> str:
        return "null" if printed is None else printed.text

    def block(entries: dict[str, str]) -> str:
        return "{\n" + "".join(f"  {json.dumps(key)}: {value},\n" for key, value in entries.items()) + "}"

    def one_case(it: Case) -> str:
        estimators = ", ".join(
            f'{{name: "{e.name}", noise: {json.dumps(e.noise)}, value: {text(e.value)}, variance: {text(e.variance)}}}'
            for e in it.estimators
        )
        return (
            f"{{gradient: {text(it.gradient)}, baseline: {text(it.baseline)}, weighted: {text(it.weighted)}, "
            f"squared: {text(it.squared)}, estimators: [{estimators}]}}"
        )

    integrands = {
        name: f"{{label: {json.dumps(label, ensure_ascii=False)}, slider: {_json(slider.data())}, "
        f"value: {text(integrand_at(name))}}}"
        for name, (label, _, slider) in INTEGRANDS.items()
    }
    laws = {
        name: f"{{label: {json.dumps(label, ensure_ascii=False)}, sliders: {_json([s.data() for s in sliders])}, "
        f"density: {text(density_at(name))}, path: {text(path_at(name))}, "
        f"lowest: {'0' if name == 'exponential' else 'null'}, "
        f"noise: {json.dumps(_base_kind(name))}}}"
        for name, (label, _, sliders) in LAWS.items()
    }
    noise = {
        kind: f"{{density: {text(noise_density(kind)) if kind in _STANDARD else 'null'}, "
        f"edges: {_json(edges)}, coarse: {_json(coarse)}}}"
        for kind, (edges, coarse) in NOISE.items()
    }
    return (
        "// Printed by book/_lib/lab.py with sympy.jscode out of gradlib's own estimators; "
        "written by the build of the book.\n"
        f"globalThis.gradlibLab = {{\nintegrands: {block(integrands)},\nlaws: {block(laws)},\nnoise: {block(noise)},\n"
        f"cases: {block({it.key: one_case(it) for it in cases()})}\n}};\n"
    )


def _base_kind(law: str) -> str:
    (its,) = Expectation(LAWS[law][1]).laws
    return _kind(its.base()[0])


def _json(value) -> str:
    if isinstance(value, list) and value and isinstance(value[0], float | int):
        value = [round(v, 10) for v in value]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
