r"""What a law can be asked, whatever its kind.

A :class:`~gradlib.core.law.Law` is the distribution of one random variable: its parameters and their joint domain,
its support, density, score and velocity, its draws and quantiles, its distribution function, its weak derivatives.
Where a law has none of these it says why. Three kinds answer: :class:`FamilyLaw` (a row of
``FAMILIES``), :class:`TableLaw` (finitely many values with a probability each) and
:class:`gradlib.core.density.DensityLaw` (a density in one formula). Nobody outside asks which of them it is; what may
be asked is whether a law is discrete, finite (it has a table) or abstract (its density is an undefined function).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import sympy as sp
from sympy.core.symbol import Str
from sympy.stats.drv import SingleDiscreteDistribution
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.families import COUNT, DOMAINS, EXTENDED, FAMILIES, POSITIVE, PROBABILITY, REAL, Family, Small
from gradlib.core.formula import Formula, inverse, spread
from gradlib.core.weak import WeakPair


class Velocity(sp.Function):
    r"""The path velocity :math:`v_i(x) = -\partial_{\theta_i} P_\theta(x) / p_\theta(x)`.

    An unevaluated node for laws whose distribution function :math:`P_\theta` has no closed-form derivative in
    :math:`\theta_i`: Gamma, Beta, Student t, a density of the user's own. Arguments: ``(family, i, x, *parameters)``,
    the family by its name or as the text of its density. The engine and the oracle each bring their own numerical
    meaning of it, under the name ``velocity``.
    """

    nargs = None

    @property
    def family(self) -> str:
        return str(self.args[0])

    @property
    def index(self) -> int:
        return int(self.args[1])

    @property
    def at(self) -> sp.Expr:
        return self.args[2]

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        return self.args[3:]

    def _eval_derivative(self, symbol):
        raise NotImplementedError(
            "a numerically defined path velocity has no symbolic derivative: differentiate the expectation once only"
        )

    def _latex(self, printer, exp=None):
        row = BY_NAME.get(self.family)
        own = sp.Symbol(FAMILIES[row].parameters[self.index][0]) if row else self.parameters[self.index]
        name = printer._print(own)
        body = rf"v_{{{name}}}\left({printer._print(self.at)}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"

    def _sympystr(self, printer) -> str:
        family = self.family if self.family in BY_NAME else "density"
        return f"Velocity({', '.join([family, *map(printer._print, self.args[1:])])})"

    def _numpycode(self, printer) -> str:
        return f"velocity({self.family!r}, {self.index})({', '.join(map(printer._print, self.args[2:]))})"

    _mpmathcode = _numpycode


def name_of(distribution) -> str:
    """The name of a SymPy distribution or of its class: Normal, not NormalDistribution."""
    cls = distribution if isinstance(distribution, type) else type(distribution)
    return cls.__name__.removesuffix("Distribution")


# Name ↦ SymPy's class, for every row of the table.
BY_NAME = {name_of(cls): cls for cls in FAMILIES}


@dataclass(frozen=True)
class Law:
    """The distribution of one random variable, and all that can be derived from it.

    Attributes:
        variable: SymPy's random symbol.
        symbol: the plain real symbol that stands for it in densities and kernels.
            (Substituting a parameter inside a random symbol would rewrite the symbol
            itself, because its law is among its arguments.)
        distribution: SymPy's distribution.
    """

    variable: RandomSymbol
    symbol: sp.Symbol
    distribution: sp.Basic

    @property
    def name(self) -> str:
        return name_of(self.distribution)

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        """What needs a number before anything can be drawn."""
        raise NotImplementedError

    @property
    def counts(self) -> tuple[sp.Expr, ...]:
        """The parameters that are whole numbers, in which there is no derivative."""
        return ()

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The parameters' symbols."""
        return set().union(*(sp.sympify(p).free_symbols for p in self.parameters))

    # --- where it lies ----------------------------------------------------------------------

    @property
    def support(self) -> sp.Set:
        raise NotImplementedError

    @property
    def signed(self) -> sp.Symbol:
        """``symbol``, with the sign that the support gives it."""
        if self.support.inf.is_nonnegative is not True:
            return self.symbol
        sign = {"nonnegative": True} if self.is_discrete else {"positive": True}
        return sp.Symbol(self.symbol.name, real=True, **sign)

    def may_be(self, value: sp.Expr) -> bool:
        """Whether the variable can be there, as far as SymPy knows; the ends of an interval do not count."""
        hull = sp.Interval(self.support.inf, self.support.sup)
        return (hull if self.is_discrete else hull.interior).contains(value) != False  # noqa: E712 (three values)

    @property
    def is_discrete(self) -> bool:
        return isinstance(self.distribution, SingleDiscreteDistribution)

    is_finite = False  # whether it takes finitely many values: then it has a table
    moments = "bounded"  # of which functions mean and variance exist, as in Family; of an unknown density of no others

    @property
    def table(self) -> dict[sp.Expr, sp.Expr]:
        """value ↦ probability of a finite law.

        Raises:
            ValueError: if there are infinitely many values, or a symbolic number of them.
        """
        raise ValueError(f"{self.variable} ~ {self.name} takes infinitely many values: it cannot be summed over")

    @property
    def is_abstract(self) -> bool:
        """Whether its density is an undefined function, which has no numbers."""
        return False

    # --- the density, and what follows from it ----------------------------------------------

    @property
    def density(self) -> sp.Expr:
        """p_θ(x) at ``symbol``, as it is inside the support."""
        raise NotImplementedError

    @property
    def log_density(self) -> sp.Expr:
        return sp.expand_log(sp.log(self.density), force=True)

    def score(self, theta: sp.Symbol) -> sp.Expr:
        r""":math:`\partial_\theta \log p_\theta(x)`, derived from the density."""
        raise NotImplementedError

    @property
    def no_path(self) -> str | None:
        """Why draws do not move smoothly with the parameters; ``None`` where they do."""
        if self.is_discrete:
            return (
                f"{self.variable} is discrete, and its draws do not move smoothly with the parameter. "
                "Use score_function, or sum over its values (exact)"
            )
        return None

    def velocity(self, theta: sp.Symbol) -> sp.Expr:
        r"""The path velocity :math:`\partial_\theta g_\theta(\varepsilon)` at :math:`\varepsilon = g_\theta^{-1}(x)`.

        It is also :math:`-\partial_\theta P_\theta(x) / p_\theta(x)`, which is how it is
        defined where :math:`g_\theta` has no closed form.
        """
        raise ValueError(self.no_path)

    def base(self) -> tuple[sp.Basic, Callable[[sp.Expr], sp.Expr]] | None:
        """The base law of ε (a SymPy distribution) and the map g; ``None`` where draws are those of the law itself."""
        return None

    def weak_pair(self, i: int) -> WeakPair:
        """The weak derivative in the i-th parameter.

        Raises:
            UnsoundEstimator: where no pair is known, with what to use instead.
        """
        instead = "score_function" + ("" if self.no_path else " or pathwise")
        raise UnsoundEstimator(
            f"measure_valued: no pair of densities to draw from is known for the parameter {self.parameter_name(i)} of "
            f"{self.variable} ~ {self.name}. Use {instead}"
        )

    def parameter_name(self, i: int) -> str:
        return str(self.parameters[i])

    # --- numbers ----------------------------------------------------------------------------

    def at(self, values: Mapping[sp.Symbol, sp.Expr]) -> Law:
        """The same law with numbers for its symbols."""
        arguments = (sp.sympify(a).xreplace(values) for a in self.distribution.args)
        return replace(self, distribution=self.distribution.func(*arguments))

    def check(self, values: Sequence) -> None:
        """Raise ``ValueError`` when parameters (numbers or arrays) lie outside their joint domain."""
        raise NotImplementedError

    def spread(self, numbers: Sequence[float], tails: Sequence[float]) -> list[float]:
        """Where the mass lies: the quantiles of the tails on both sides, in order. For the oracle's panels."""
        raise NotImplementedError

    def sampler(self, numbers: Sequence[float], at: Mapping[sp.Symbol, float]) -> Sampler:
        """What draws the variable, with these parameters."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], parameters: Sequence[np.ndarray]) -> np.ndarray:
        """Draws of the base law (of the law itself where it has none) for arrays of parameters."""
        raise NotImplementedError

    # --- print ------------------------------------------------------------------------------

    def latex(self, printer) -> str:
        raise NotImplementedError

    def text(self, printer) -> str:
        return f"{self.name}({', '.join(map(printer._print, self.parameters))})"


@dataclass(frozen=True)
class Sampler:
    """What draws one variable: its base law where it has a path, the variable itself elsewhere.

    Two samplers with the same ``key`` give the same draws from the same stream.

    Attributes:
        name: the variable's, for messages.
        no_quantile: why uniform numbers cannot be sent through a quantile function; ``None`` where they can.
        symmetric: whether the draws are symmetric about 0.
    """

    name: str
    no_quantile = None
    symmetric = False

    @property
    def small(self) -> Small | None:
        """How the draws are made by a logarithm, where they may underflow; ``None`` where they do not."""
        return None

    def by_logarithm(self) -> Sampler:
        """What draws that logarithm."""
        raise NotImplementedError

    @property
    def key(self) -> tuple:
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
        """Independent draws, in ``out`` where NumPy can write there."""
        raise NotImplementedError

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The draws at quantiles u."""
        raise NotImplementedError

    def value(self, draw: float) -> float:
        """The variable's value at a draw, to be read by a person."""
        return draw


# --- a family ---------------------------------------------------------------------------------


class FamilyLaw(Law):
    """A row of ``FAMILIES``."""

    @property
    def family(self) -> Family:
        return FAMILIES[type(self.distribution)]

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        return self.distribution.args[: len(self.family.parameters)]

    @property
    def counts(self) -> tuple[sp.Expr, ...]:
        return tuple(p for p, (_, domain) in zip(self.parameters, self.family.parameters) if domain == COUNT)

    @property
    def moments(self) -> str:
        return self.family.moments

    def parameter_name(self, i: int) -> str:
        return self.family.parameters[i][0]

    @property
    def support(self) -> sp.Set:
        return self.family.support(*self.parameters) if self.family.support else self.distribution.set

    @property
    def is_finite(self) -> bool:
        return self.family.values is not None

    @property
    def is_discrete(self) -> bool:
        return self.is_finite or super().is_discrete

    @property
    def table(self) -> dict[sp.Expr, sp.Expr]:
        if not self.is_finite:
            return super().table
        values = self.family.values(*self.parameters)
        if values is None:
            raise ValueError(
                f"{self.variable} takes a symbolic number of values, {self.counts[0]} + 1: give n a number"
            )
        return {sp.Integer(k): self.density.subs(self.symbol, k) for k in values}

    @property
    def density(self) -> sp.Expr:
        if self.family.density:
            return self.family.density(self.symbol, *self.parameters)
        return inside_support(self.distribution.pdf(self.symbol))

    def score(self, theta: sp.Symbol) -> sp.Expr:
        return self._chain(theta, *formal_scores(type(self.distribution), _infinite(self)))

    def velocity(self, theta: sp.Symbol) -> sp.Expr:
        if self.no_path:
            raise ValueError(self.no_path)
        return self._chain(theta, *_formal_velocities(type(self.distribution), _infinite(self)))

    def base(self):
        family = self.family
        if family.base is None:
            return None
        return family.base(*self.parameters), lambda eps: family.path(eps, *self.parameters)

    def weak_pair(self, i: int) -> WeakPair:
        pair = self.family.weak.get(i)
        return pair(*self.parameters) if pair else super().weak_pair(i)

    def check(self, values: Sequence) -> None:
        for (name, domain), value in zip(self.family.parameters, values, strict=True):
            if not np.all(DOMAINS[domain](np.asarray(value))):
                raise ValueError(f"{self.variable}: the parameter {name} of {self.name} must be {domain}{_got(value)}")
        for what, holds in self.family.conditions:
            if not np.all(holds(*map(np.asarray, values))):
                raise ValueError(f"{self.variable}: {self.name} needs {what}{_got(*values)}")

    def spread(self, numbers: Sequence[float], tails: Sequence[float]) -> list[float]:
        return spread_of(type(self.distribution), numbers, tails)

    def sampler(self, numbers: Sequence[float], at: Mapping[sp.Symbol, float]) -> Sampler:
        return FamilySampler(str(self.variable), self.name, tuple(numbers))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], parameters: Sequence[np.ndarray]) -> np.ndarray:
        family, of_parameters = drawn(type(self.distribution))
        arguments = [np.broadcast_to(a, shape) for a in of_parameters(*parameters)]
        if family.draw is None:
            return np.asarray(family.quantile(rng.random(shape), *arguments), float)
        if arguments:
            return np.asarray(family.draw(rng, shape, *arguments), float)
        return np.asarray(family.draw(rng, int(np.prod(shape))), float).reshape(shape)

    def latex(self, printer) -> str:
        return self.family.latex(*map(printer._print, self.parameters))

    def _chain(self, theta: sp.Symbol, x: sp.Symbol, formal, derivatives) -> sp.Expr:
        """Σ_i (derivative with respect to the i-th formal parameter) · ∂parameter_i/∂θ."""
        to_actual = {x: self.symbol, **dict(zip(formal, self.parameters, strict=True))}
        total = sp.S.Zero
        for parameter, derivative in zip(self.parameters, derivatives, strict=True):
            inner = sp.diff(parameter, theta)
            if inner != 0:
                if derivative is None:
                    raise ValueError(f"{self.variable}: no derivative in this parameter")
                total += derivative.subs(to_actual, simultaneous=True) * inner
        return total if theta in formal or total.has(Velocity) else tidy(total)


def _got(*values) -> str:
    return (
        ", got " + ", ".join(f"{value:g}" for value in values) if not any(map(np.ndim, values)) else " in every entry"
    )


@dataclass(frozen=True)
class FamilySampler(Sampler):
    """Draws of a family's base law."""

    family: str
    numbers: tuple[float, ...]

    @property
    def key(self) -> tuple:
        _, of_parameters = drawn(BY_NAME[self.family])
        return self.family, tuple(of_parameters(*self.numbers))

    @property
    def no_quantile(self) -> str | None:
        if drawn(BY_NAME[self.family])[0].quantile is None and _formal(BY_NAME[self.family]).is_discrete:
            return f"{self.family} is drawn by search or rejection, which takes a varying number of uniform numbers"
        return None

    @property
    def symmetric(self) -> bool:
        return drawn(BY_NAME[self.family])[0].symmetric

    def draw(self, rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
        family, of_parameters = drawn(BY_NAME[self.family])
        if family.draw is None:
            return self.quantile(rng.random(size, out=out))
        return np.asarray(family.draw(rng, size, *of_parameters(*self.numbers), out=out), float)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        family, of_parameters = drawn(BY_NAME[self.family])
        if family.quantile is None:
            return np.asarray(inverse(formula_of(BY_NAME[self.family], self.numbers))(u), float)
        return np.asarray(family.quantile(u, *of_parameters(*self.numbers)), float)

    def value(self, draw: float) -> float:
        return _path(BY_NAME[self.family])(draw, *self.numbers)

    @property
    def small(self) -> Small | None:
        row, of_parameters = drawn(BY_NAME[self.family])
        return row.small if row.small and row.small.when(*of_parameters(*self.numbers)) else None

    def by_logarithm(self) -> Sampler:
        return LogarithmSampler(self.name, self.family, self.numbers)


@dataclass(frozen=True)
class LogarithmSampler(FamilySampler):
    """The logarithm of draws that may underflow."""

    symmetric = False
    no_quantile = None

    @property
    def key(self) -> tuple:
        return "logarithm", *super().key

    def draw(self, rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
        row, of_parameters = drawn(BY_NAME[self.family])
        return row.small.draw(rng, size, *of_parameters(*self.numbers))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        row, of_parameters = drawn(BY_NAME[self.family])
        return row.small.quantile(u, *of_parameters(*self.numbers))

    def value(self, draw: float) -> float:
        return super().value(float(drawn(BY_NAME[self.family])[0].small.back(sp.Float(draw))))


@lru_cache(maxsize=None)
def _path(cls: type) -> Callable:
    """The map g of a family, compiled: draws and path derivatives come from the same expression."""
    family = FAMILIES[cls]
    if family.path is None:
        return lambda draw, *numbers: draw
    eps, parameters = sp.Symbol("eps"), sp.symbols(f"p:{len(family.parameters)}")
    return sp.lambdify([eps, *parameters], family.path(eps, *parameters), "numpy")


@lru_cache(maxsize=None)
def drawn(cls: type) -> tuple[Family, Callable]:
    """The row whose draws a family takes, and its arguments as a function of the family's own parameters."""
    family = FAMILIES[cls]
    if family.base is None:
        return family, lambda *numbers: numbers
    formal = tuple(sp.Dummy(name) for name, _ in family.parameters)
    base = family.base(*formal)
    row = FAMILIES[type(base)]
    own = tuple(sp.Dummy(name) for name, _ in row.parameters)
    standing = [j for j, argument in enumerate(row.base(*own).args) if argument.free_symbols & set(own)]
    of_parameters = sp.lambdify(formal, [base.args[j] for j in standing], "numpy")
    return row, of_parameters


def formula_of(cls: type, numbers: Sequence[float]) -> Formula:
    """The density of a family with these parameters."""
    law = _formal(cls)
    here = dict(zip(law.parameters, (sp.Float(float(number), 17) for number in numbers)))
    lower, upper = (float(end.xreplace(here)) for end in (law.support.inf, law.support.sup))
    return Formula(law.density.xreplace(here), law.symbol, lower, upper, law.is_discrete)


def quartiles(cls: type, numbers: Sequence[float]) -> Sequence[float]:
    """The first quartile, the median and the third quartile of a family."""
    if FAMILIES[cls].scipy is None:
        low, *median, high = spread(formula_of(cls, numbers), (0.25, 0.5))
        return low, median[0], high
    return FAMILIES[cls].scipy(*numbers).ppf([0.25, 0.5, 0.75])


def spread_of(cls: type, numbers: Sequence[float], tails: Sequence[float]) -> list[float]:
    """Where the mass of a family lies: the quantiles of the tails on both sides, in order."""
    if FAMILIES[cls].scipy is None:
        return spread(formula_of(cls, numbers), tails)
    frozen = FAMILIES[cls].scipy(*numbers)
    points = [frozen.ppf(u) for u in tails] + [frozen.isf(u) for u in reversed(tails)]
    return sorted({float(q) for q in points if np.isfinite(q)})


# --- derivatives in formal parameters, once for each family -----------------------------------------


def _infinite(law: FamilyLaw) -> tuple:
    """The parameters that are infinite, in their places: no formal symbol can stand for them."""
    return tuple(p if p.is_infinite else None for p in law.parameters)


@lru_cache(maxsize=None)
def _formal(cls: type, infinite: tuple = ()) -> FamilyLaw:
    """A law of this family with a symbol for each parameter."""
    signs = {
        REAL: {"real": True}, EXTENDED: {"real": True}, POSITIVE: {"positive": True}, PROBABILITY: {"positive": True},
        COUNT: {"integer": True, "nonnegative": True},
    }  # fmt: skip
    family = FAMILIES[cls]
    formal = (
        literal if literal is not None else sp.Dummy(name, **signs[domain])
        for literal, (name, domain) in zip(infinite or [None] * len(family.parameters), family.parameters, strict=True)
    )
    return FamilyLaw(None, sp.Dummy("x", real=True), cls(*formal, *family.literals))


@lru_cache(maxsize=None)
def formal_scores(cls: type, infinite: tuple = ()) -> tuple[sp.Symbol, tuple, tuple]:
    """(x, parameters, the score in each of them); ``None`` for a parameter that is a whole number."""
    law = _formal(cls, infinite)
    return (
        law.symbol,
        law.parameters,
        tuple(None if p in law.counts or p.is_infinite else tidy(sp.diff(law.log_density, p)) for p in law.parameters),
    )


@lru_cache(maxsize=None)
def _formal_velocities(cls: type, infinite: tuple) -> tuple[sp.Symbol, tuple, tuple]:
    """(x, parameters, the velocity in each of them)."""
    law = _formal(cls, infinite)
    x, parameters = law.symbol, law.parameters
    # ε and x need the signs of their supports, or SymPy cannot invert ε^(1/β).
    inside = sp.Dummy("x", positive=True) if law.support.inf.is_nonnegative else x
    if law.base() is None:
        below, density = inside_support(law.distribution._cdf(inside), (0, 1)), law.density.subs(x, inside)
        slopes = (None if p.is_infinite else tidy(-sp.diff(below, p) / density) for p in parameters)
        return x, parameters, tuple(slope if slope is None else slope.subs(inside, x) for slope in slopes)
    base, g = law.base()
    eps = sp.Dummy("epsilon", positive=True) if base.set.inf == 0 else sp.Dummy("epsilon", real=True)
    (noise,) = sp.solve(g(eps) - inside, eps)
    velocities = []
    for parameter in parameters:
        # What moves with the parameter at fixed noise, and the noise's own law where the parameter stands in it.
        fixed, own = sp.diff(g(eps), parameter), [sp.diff(a, parameter) for a in base.args]
        nodes = (Velocity(Str(name_of(base)), sp.Integer(j), eps, *base.args) * d for j, d in enumerate(own) if d != 0)
        moving = sum(nodes, sp.S.Zero) * sp.diff(g(eps), eps)
        v = (fixed + moving).subs(eps, noise)
        velocities.append((v if moving != 0 else tidy(v)).subs(inside, x))
    return x, parameters, tuple(velocities)


def inside_support(formula: sp.Expr, outside: tuple = (0,)) -> sp.Expr:
    """A formula without SymPy's Piecewise wrapping, which says 0 (of a distribution function: 0, 1) outside."""
    if isinstance(formula, sp.Piecewise):
        return next(piece for piece, _ in formula.args if piece not in outside)
    return formula


@lru_cache(maxsize=1024)  # simplifying takes long, and many integrands share a law
def tidy(expression: sp.Expr) -> sp.Expr:
    """The shorter of an expression and its simplification.

    Logarithms of powers are split again: log(x**k) overflows where k*log(x) does not.
    """
    simple = sp.expand_log(sp.simplify(expression), force=True)
    return min((simple, expression), key=sp.count_ops)


# --- a table ----------------------------------------------------------------------------------------


class TableLaw(Law):
    """Finitely many values, each with a probability."""

    is_finite = is_discrete = True

    @property
    def table(self) -> dict[sp.Expr, sp.Expr]:
        return {sp.sympify(k): sp.sympify(v) for k, v in dict(self.distribution.dict).items()}

    @property
    def parameters(self) -> tuple[sp.Expr, ...]:
        return tuple(self.table.values())

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The symbols of the probabilities and of the values."""
        return super().free_symbols.union(*(value.free_symbols for value in self.table))

    @property
    def support(self) -> sp.Set:
        return sp.FiniteSet(*self.table)

    @property
    def density(self) -> sp.Expr:
        return _interpolate(self.table, self.symbol)

    @property
    def log_density(self) -> sp.Expr:
        return _interpolate({value: sp.log(p) for value, p in self.table.items()}, self.symbol)

    def score(self, theta: sp.Symbol) -> sp.Expr:
        return _interpolate({value: sp.diff(sp.log(p), theta) for value, p in self.table.items()}, self.symbol)

    def weak_pair(self, i: int) -> WeakPair:
        raise UnsoundEstimator(
            f"measure_valued: {self.variable} takes finitely many values, and no pair of densities is needed: "
            f"use rao_blackwell(score_function(J, theta), {self.variable}), which sums over them"
        )

    def check(self, values: Sequence) -> None:
        if all(np.all(np.asarray(p) >= 0) for p in values) and np.all(abs(sum(map(np.asarray, values)) - 1) <= 1e-9):
            return
        shown = f"are {[float(p) for p in values]}: they " if not any(map(np.ndim, values)) else ""
        raise ValueError(f"the probabilities of {self.variable} {shown}must be non-negative and sum to 1")

    def sampler(self, numbers: Sequence[float], at: Mapping[sp.Symbol, float]) -> Sampler:
        return TableSampler(
            str(self.variable), tuple(numbers), tuple(float(value.xreplace(at)) for value in self.table)
        )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], parameters: Sequence[np.ndarray]) -> np.ndarray:
        # How many of the cumulated probabilities lie below a uniform number.
        u, below, index = rng.random(shape), 0.0, np.zeros(shape, int)
        for probability in parameters[:-1]:
            below = below + probability
            index += u >= below
        return np.array([float(value) for value in self.table])[index]

    def latex(self, printer) -> str:
        return r"\operatorname{Table}"

    def text(self, printer) -> str:
        rows = sorted(
            self.table.items(), key=lambda row: sp.default_sort_key(row[0])
        )  # SymPy keeps no order of its own
        return "Table({" + ", ".join(f"{value}: {printer._print(p)}" for value, p in rows) + "})"


def _interpolate(values: dict[sp.Expr, sp.Expr], x: sp.Symbol) -> sp.Expr:
    """A function on a finite set: linear on two points, a table on more."""
    if len(values) == 2 and all(k.is_number for k in values):
        (a, fa), (b, fb) = values.items()
        return (fa * (b - x) + fb * (x - a)) / (b - a)
    *most, (_, last) = values.items()
    return sp.Piecewise(*((value, sp.Eq(x, k)) for k, value in most), (last, True))


@dataclass(frozen=True)
class TableSampler(Sampler):
    """Draws of a table: its quantile function at uniform numbers."""

    numbers: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def key(self) -> tuple:
        return self.numbers, self.values

    def draw(self, rng: np.random.Generator, size: int, out: np.ndarray | None = None) -> np.ndarray:
        return self.quantile(rng.random(size, out=out))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        return np.array(self.values)[np.searchsorted(np.cumsum(self.numbers)[:-1], u, side="right")]
