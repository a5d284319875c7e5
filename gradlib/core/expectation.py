r"""The object of the book: the expectation of a function of random variables.

.. math:: J = \mathbb{E}_{x \sim p_\theta}[F_\theta(x)]

An :class:`Expectation` is a SymPy expression. Estimators turn one into another
(``gradlib.rules``); :func:`gradlib.estimate` and :func:`gradlib.exact`
turn one into a number. Nothing here computes a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import sympy as sp
from sympy.core.cache import cacheit
from sympy.printing.str import StrPrinter
from sympy.stats.rv import RandomSymbol, random_symbols

from gradlib.core.law import Law
from gradlib.core.notation import latex
from gradlib.core.variable import law


class Expectation(sp.Expr):
    r"""The expectation of an integrand over independent random variables.

    .. math:: \mathbb{E}_{x_1 \sim p_1, \dots, x_m \sim p_m}[F(x_1, \dots, x_m)]

    Args:
        integrand: a SymPy expression in random symbols of :mod:`sympy.stats`, or a
            sequence (or column Matrix) of them for a vector-valued expectation.
        variables: the random symbols, where the integrand does not show them all
            (the expectation of a constant is over something too).
        assumptions: names of the assumptions under which it was derived
            (see :data:`gradlib.ASSUMPTIONS`).
        objective: the expectation that this one belongs to, as an estimator of its gradient. It is no part of
            the expression: two estimators are equal whatever they are for.

    Raises:
        TypeError: if the integrand is no SymPy expression with numeric values, or
            ``variables`` holds anything but random symbols.
        ValueError: if there is no random variable at all; if two symbols share a name.
        NotImplementedError: for a law that gradlib does not know.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> X = Normal("X", mu, 1)
        >>> J = gl.Expectation(X**2)
        >>> J
        E[X**2], X ~ Normal(mu, 1)
        >>> sorted(J.parameters, key=str)
        [mu]
    """

    is_commutative = True
    precedence = 50  # of a product: SymPy's printers then bracket it under a power

    def __new__(
        cls,
        integrand,
        variables: Iterable[RandomSymbol] | None = None,
        assumptions: Iterable[str] = (),
        *,
        objective: Expectation | None = None,
    ):
        try:
            if isinstance(integrand, (list, tuple, sp.Tuple)):
                integrand = sp.ImmutableMatrix([sp.sympify(entry, strict=True) for entry in integrand])
            integrand = sp.sympify(integrand, strict=True)
        except sp.SympifyError:
            raise TypeError(f"the integrand must be a SymPy expression, got {integrand!r}") from None
        if isinstance(integrand, sp.MatrixBase):
            if integrand.cols != 1:
                raise ValueError(f"a vector-valued integrand is a column, got a matrix of shape {integrand.shape}")
            integrand = sp.ImmutableMatrix(integrand)
        elif not isinstance(integrand, sp.Expr):
            hint = (
                f": write sympy.Piecewise((1, {integrand}), (0, True))"
                if isinstance(integrand, sp.logic.boolalg.Boolean)
                else ""
            )
            raise TypeError(f"the integrand must be a SymPy expression with numeric values, got {integrand}{hint}")
        shown = set(random_symbols(integrand))
        if variables is None:
            variables = sorted(shown, key=str)
        elif not isinstance(variables, Iterable):
            raise TypeError(f"variables= takes a list of random symbols, got {variables!r}")
        for variable in variables:
            if not isinstance(variable, RandomSymbol):
                raise TypeError(f"variables= takes random symbols of sympy.stats, got {variable!r}")
        variables = sp.Tuple(*variables)
        if not variables:
            raise ValueError(
                f"no random variable in {integrand}: build one with sympy.stats, or name it in variables=[...]"
            )
        if missing := shown - set(variables):
            twice = sorted({str(v) for v in missing} & {str(v) for v in variables})
            raise ValueError(
                f"the integrand holds another {twice[0]} than variables= names: two random variables share that name"
                if twice
                else f"the integrand holds {', '.join(sorted(map(str, missing)))}, which variables= does not name"
            )
        names = [str(v.symbol) for v in variables]
        if len(set(names)) < len(names):
            raise ValueError(f"two different random variables share a name among {names}: rename one")
        for variable in variables:
            law(variable)
        assumptions = sp.Tuple(*(sp.Symbol(str(a)) for a in sorted({str(a) for a in assumptions})))
        self = super().__new__(cls, integrand, variables, assumptions)
        self._check_names(names)
        self._objective = None if objective is None else objective.objective or objective
        return self

    def _check_names(self, taken: list[str]) -> None:
        """SymPy tells symbols apart by name and assumptions, people by name only: refuse a namesake."""
        seen: dict[str, sp.Symbol] = {}
        for symbol in self.parameters:
            if isinstance(symbol, sp.Dummy):
                continue
            if symbol.name in taken:
                raise ValueError(f"a parameter and a random variable are both named {symbol.name}: rename one")
            other = seen.setdefault(symbol.name, symbol)
            if other != symbol:
                raise ValueError(
                    f"this expectation holds the symbol {symbol.name} with {_stated(symbol)} and the symbol "
                    f"{symbol.name} with {_stated(other)}: SymPy tells them apart. Create it once and use that object"
                )

    # --- parts --------------------------------------------------------------------

    @property
    def integrand(self) -> sp.Expr:
        """The integrand, in random symbols."""
        return self.args[0]

    @property
    def variables(self) -> tuple[RandomSymbol, ...]:
        return tuple(self.args[1])

    @property
    def assumptions_made(self) -> tuple[str, ...]:
        return tuple(str(a) for a in self.args[2])

    @cached_property
    def laws(self) -> tuple[Law, ...]:
        return tuple(law(variable) for variable in self.variables)

    @property
    def components(self) -> tuple[sp.Expr, ...]:
        """All components of the integrand; a scalar expectation has one."""
        return tuple(self.integrand) if self.is_vector else (self.integrand,)

    @property
    def objective(self) -> Expectation | None:
        """The expectation of whose gradient this is an estimator. Where that does not exist, there is no gradient."""
        return self._objective

    @property
    def is_vector(self) -> bool:
        return isinstance(self.integrand, sp.MatrixBase)

    @cached_property
    def plain(self) -> sp.Expr:
        """The integrand with each random symbol replaced by its law's plain symbol."""
        return self.to_plain(self.integrand)

    @cached_property
    def parameters(self) -> frozenset[sp.Symbol]:
        """All symbols that need a value, in the integrand or in a law."""
        symbols = self.plain.free_symbols - {law.symbol for law in self.laws}
        return frozenset(symbols.union(*(law.free_symbols for law in self.laws)))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The parameters, as a set."""
        return set(self.parameters)

    def to_plain(self, expression):
        """Replace random symbols by plain ones (see :class:`gradlib.core.law.Law`)."""
        expression = sp.sympify(expression)
        # An expectation inside this one binds its own variables.
        inner = {J: sp.Dummy() for J in expression.atoms(Expectation)}
        plain = expression.xreplace(inner).xreplace({law.variable: law.symbol for law in self.laws})
        return plain.xreplace({name: J for J, name in inner.items()})

    def to_random(self, expression):
        """The inverse of :meth:`to_plain`."""
        return sp.sympify(expression).xreplace({law.symbol: law.variable for law in self.laws})

    def with_integrand(self, plain, assumptions: Iterable[str] = (), noise: Iterable[RandomSymbol] = ()) -> Expectation:
        """The same variables with another integrand (or a list of them), given in plain symbols.

        ``noise`` are further variables. With them, a variable that the new integrand no longer
        holds is not drawn any more.
        """
        integrand = self.to_random(sp.ImmutableMatrix(plain) if isinstance(plain, list) else plain)
        noise = tuple(noise)
        variables = [v for v in self.variables if not noise or integrand.has(v)]
        return Expectation(integrand, (*variables, *noise), (*self.assumptions_made, *assumptions), objective=self)

    # --- SymPy --------------------------------------------------------------------

    def _eval_derivative(self, symbol):
        # Differentiating an expectation is what this book is about: SymPy must not
        # differentiate inside it by the chain rule, so the derivative stays unevaluated.
        return sp.Derivative(self, symbol, evaluate=False)

    def _eval_is_real(self):
        return True

    @cacheit
    def sort_key(self, order=None):
        # Random symbols of one name and different laws are alike to SymPy: their terms would come in any order.
        cls, (n, keys), exponent, coefficient = super().sort_key(order)
        laws = tuple(law.text(StrPrinter()) for law in self.laws)
        return cls, (n, (*keys, laws)), exponent, coefficient

    def _latex(self, printer):
        under = ", ".join(rf"{printer._print(law.symbol)} \sim {law.latex(printer)}" for law in self.laws)
        body = printer._print(self.plain)
        # A matrix brings its own brackets. The law stands below the E, where it takes less width.
        return rf"\underset{{{under}}}{{\mathbb{{E}}}}" + (body if self.is_vector else rf"\left[{body}\right]")

    def _sympystr(self, printer):
        under = ", ".join(f"{v} ~ {law(v).text(printer)}" for v in self.variables)
        body = (
            "[" + ", ".join(map(printer._print, self.integrand)) + "]"
            if self.is_vector
            else printer._print(self.integrand)
        )
        return f"E[{body}], {under}"

    _sympyrepr = _sympystr

    def __repr__(self):
        return sp.sstr(self)

    __str__ = __repr__

    def _repr_latex_(self):
        return rf"$\displaystyle {latex(self)}$"


def dependence(J: Expectation, theta: sp.Symbol) -> str:
    r"""Where the parameter enters: which of the three objectives this is.

    Args:
        J: an expectation.
        theta: a symbol.

    Returns:
        ``"integrand"`` (:math:`J_1`), ``"distribution"`` (:math:`J_2`) or ``"both"`` (:math:`J_3`).

    Raises:
        ValueError: if ``theta`` occurs nowhere in ``J``, or only under the same name
            with other assumptions.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> theta = sp.Symbol("theta", real=True)
        >>> X = Normal("X", theta, 1)
        >>> gl.dependence(gl.Expectation(X**2), theta)
        'distribution'
        >>> gl.dependence(gl.Expectation(theta * X**2), theta)
        'both'
    """
    if not isinstance(J, Expectation):
        raise TypeError(
            f"expected an Expectation, got {type(J).__name__}: build one with gradlib.Expectation(integrand)"
        )
    if not isinstance(theta, sp.Symbol):
        raise TypeError(f"the parameter must be a SymPy symbol, got {theta!r}")
    check_known(theta, J.parameters, "occurs nowhere in")
    in_law = any(theta in law.free_symbols for law in J.laws)
    in_integrand = theta in J.plain.free_symbols
    return "both" if in_law and in_integrand else "distribution" if in_law else "integrand"


def check_known(symbol: sp.Symbol, known: frozenset[sp.Symbol], verb: str) -> None:
    """Raise ``ValueError`` for a symbol that is not among the known ones.

    SymPy tells symbols apart by name *and* assumptions, and prints the name only;
    the message names both, or nobody would find the difference.
    """
    if symbol in known:
        return
    for other in known:
        if other.name == symbol.name:
            raise ValueError(
                f"the symbol {symbol.name} with {_stated(symbol)} is not the symbol {other.name} with {_stated(other)} "
                f"of this expectation: SymPy tells them apart. Create it once and use that object"
            )
    names = ", ".join(sorted(map(str, known))) or "none"
    raise ValueError(f"{symbol} {verb} this expectation; its parameters are: {names}")


def _stated(symbol: sp.Symbol) -> str:
    given = {k: v for k, v in symbol._assumptions_orig.items() if k != "commutative"}
    return "assumptions " + ", ".join(f"{k}={v}" for k, v in given.items()) if given else "no assumptions"
