"""The notation of the book, for SymPy's LaTeX printer."""

from __future__ import annotations

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter


class BookPrinter(LatexPrinter):
    r"""SymPy's LaTeX printer with the notation of the book.

    * An undefined function's last arguments, where they are symbols, are its parameters
      and print as subscripts: ``F(x, theta)`` is :math:`F_\theta(x)`.
    * A derivative in a parameter (a symbol with the name of a Greek letter) prints as :math:`\nabla_\theta`; one in the
      argument prints as :math:`F'(x)`.
    """

    def __init__(self, settings=None):
        super().__init__({"ln_notation": False, "fold_short_frac": False, "mul_symbol": None, **(settings or {})})

    def _applied(self, expr, primes: int = 0, exp=None) -> str:
        *front, last = expr.args
        name = self._print(sp.Symbol(expr.func.__name__))
        if front and isinstance(last, sp.Symbol):
            name += f"_{{{self._print(last)}}}"
        else:
            front = expr.args
        name += "'" * primes if primes < 4 else rf"^{{({primes})}}"
        return rf"{name}\left({', '.join(map(self._print, front))}\right)" + (f"^{{{exp}}}" if exp is not None else "")

    def _print_Function(self, expr, exp=None):
        if isinstance(expr, AppliedUndef):
            return self._applied(expr, exp=exp)
        return super()._print_Function(expr, exp=exp)

    def _print_Derivative(self, expr):
        inner, variables = expr.expr, expr.variables
        variable, order = variables[0], len(variables)
        if set(variables) != {variable}:
            return super()._print_Derivative(expr)
        if not is_parameter(variable):
            argument = isinstance(inner, AppliedUndef) and variable == inner.args[0]
            return self._applied(inner, primes=order) if argument else super()._print_Derivative(expr)
        nabla = rf"\nabla_{{{self._print(variable)}}}" + (rf"^{{{order}}}" if order > 1 else "")
        if isinstance(inner, sp.log) and isinstance(inner.args[0], AppliedUndef):
            return rf"{nabla} \log {self._print(inner.args[0])}"  # ∇ log p_θ(x): no parentheses needed
        body = self._print(inner)
        return rf"{nabla} \left({body}\right)" if inner.is_Add or inner.is_Mul else f"{nabla} {body}"

    def _print_Subs(self, expr):
        # SymPy writes the derivative of F at g(ε) as Subs(F'(ξ), ξ, g(ε)).
        inner, old, new = expr.args
        if isinstance(inner, sp.Derivative) and isinstance(inner.expr, AppliedUndef) and len(old) == 1:
            position = list(inner.expr.args).index(old[0])
            there = inner.expr.func(*(new[0] if i == position else a for i, a in enumerate(inner.expr.args)))
            if position == 0:
                return self._applied(there, primes=len(inner.variables))
            parameter = self._print(new[0])
            name = self._print(sp.Symbol(there.func.__name__))
            front = ", ".join(map(self._print, there.args[:-1]))
            return rf"\left(\nabla_{{{parameter}}} {name}_{{{parameter}}}\right)\left({front}\right)"
        return super()._print_Subs(expr)

    def _as_ordered_terms(self, expr, order=None):
        # x − μ rather than −μ + x: a sum starts with a term that needs no sign, if there is one.
        terms = super()._as_ordered_terms(expr, order)
        return sorted(
            terms, key=lambda term: term.could_extract_minus_sign() if terms[0].could_extract_minus_sign() else 0
        )

    def _print_Symbol(self, expr, style="plain"):
        return super()._print_Symbol(expr, style).replace(r"\epsilon", r"\varepsilon")

    def _print_Heaviside(self, expr, exp=None):
        # SymPy prints Heaviside as θ, which is the parameter here.
        return rf"\mathbf{{1}}\left[{self._print(expr.args[0])} > 0\right]" + (f"^{{{exp}}}" if exp is not None else "")

    def _print_Pow(self, expr):
        # A squared derivative needs no parentheses: F'(x)².
        if isinstance(expr.base, (sp.Derivative, sp.Subs)) and expr.exp.is_Integer and expr.exp > 0:
            base = self._print(expr.base)
            if base.endswith(r"\right)") and not base.startswith(r"\nabla"):
                return f"{base}^{{{self._print(expr.exp)}}}"
        return super()._print_Pow(expr)

    def _print_RandomSymbol(self, expr):
        return self._print(sp.Symbol(str(expr.symbol)))

    def _print_beta(self, expr, exp=None):
        # SymPy prints the beta function's arguments as plain text ("sigma"); print them as LaTeX.
        body = rf"\operatorname{{B}}\left({', '.join(map(self._print, expr.args))}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"


_PARAMETER_NAMES = {
    "theta",
    "mu",
    "sigma",
    "phi",
    "lambda",
    "alpha",
    "beta",
    "gamma",
    "eta",
    "kappa",
    "rho",
    "psi",
    "tau",
}


def is_parameter(symbol) -> bool:
    """True for the Greek letters that name parameters in this book (with or without an index)."""
    return isinstance(symbol, sp.Symbol) and symbol.name.split("_")[0] in _PARAMETER_NAMES


def latex(expression, **settings) -> str:
    """LaTeX of any SymPy expression in the notation of the book."""
    return BookPrinter(settings).doprint(expression)
