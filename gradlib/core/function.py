"""A Python function from an expression.

A name means the same in SymPy, SciPy and mpmath only if all three say so: SciPy's ``jn`` is another Bessel function than
SymPy's, mpmath's ``euler`` is a constant. What SymPy's printers do not map is spelled in other functions here, or
evaluated by SymPy itself, one number at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import mpmath as mp
import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.miscellaneous import Rem
from sympy.printing.numpy import SciPyPrinter
from sympy.printing.pycode import MpmathPrinter

_HALF = sp.Rational(1, 2)

# In functions that both SciPy and mpmath have.
_SPELLED: dict[type, Callable[..., sp.Expr]] = {
    sp.jn: lambda n, z: sp.sqrt(sp.pi / (2 * z)) * sp.besselj(n + _HALF, z),
    sp.yn: lambda n, z: sp.sqrt(sp.pi / (2 * z)) * sp.bessely(n + _HALF, z),
    sp.Li: lambda z: sp.li(z) - sp.li(2),
    Rem: lambda a, b: a - b * sp.sign(a / b) * sp.floor(sp.Abs(a / b)),
    sp.betainc_regularized: lambda a, b, x, y: sp.betainc(a, b, x, y) / sp.beta(a, b),
    sp.FallingFactorial: lambda x, k: sp.gamma(k + 1) * sp.binomial(x, k),
    sp.KroneckerDelta: lambda i, j, *_: sp.Piecewise((1, sp.Eq(i, j)), (0, True)),
    sp.SingularityFunction: lambda x, a, n: sp.SingularityFunction(x, a, n).rewrite(sp.Piecewise),
    sp.Ynm: lambda n, m, theta, phi: sp.Ynm(n, m, theta, phi).expand(func=True),
    sp.Znm: lambda n, m, theta, phi: sp.Znm(n, m, theta, phi).rewrite(sp.cos).expand(func=True),
}

# What the printers write in their place has poles, or is no number.
OF_WHOLE_NUMBERS = {"binomial", "catalan", "factorial2", "fibonacci", "lucas", "subfactorial"}

# Under the names that SymPy prints.
_MPMATH = {
    "airyaiprime": lambda x: mp.airyai(x, derivative=1),
    "airybiprime": lambda x: mp.airybi(x, derivative=1),
    "binomial": mp.binomial,
    "erfcinv": lambda x: mp.erfinv(1 - x),
}


def spelled(e: sp.Basic) -> sp.Basic:
    """An expression in functions that have one meaning everywhere."""
    return e.replace(lambda part: type(part) in _SPELLED, lambda part: _SPELLED[type(part)](*part.args))


@lru_cache(maxsize=None)
def _array_function(name: str) -> Callable:
    """What SciPy has for arrays, under another name or behind another interface; else SymPy's value of each number."""
    from scipy import special  # slow to import

    known = {
        "Chi": lambda x: special.shichi(x)[1],
        "Shi": lambda x: special.shichi(x)[0],
        "binomial": special.binom,  # 0 where gamma functions have a pole
        "ndtr": special.ndtr,
        "log_ndtr": special.log_ndtr,
        "erfcinv": special.erfcinv,
        "elliptic_k": special.ellipk,
        "elliptic_f": special.ellipkinc,
        "elliptic_e": lambda *a: special.ellipe(*a) if len(a) == 1 else special.ellipeinc(*a),
    }
    return known.get(name) or np.vectorize(by_sympy(name, float), otypes=[float])


def by_sympy(name: str, number: Callable) -> Callable:
    """SymPy's own value of a function of its own, for numbers; ``number`` makes it one of the kind that is wanted."""
    function = getattr(sp.functions, name)

    def value(*arguments):
        exact = [sp.Integer(int(a)) if a == int(a) else sp.Float(a, mp.mp.dps + 5) for a in arguments]
        found = sp.N(function(*exact), mp.mp.dps)
        if not found.is_number or found.has(function):
            raise ValueError(
                f"{name} has no numerical value that SymPy knows: put an undefined function in its place, as in "
                f'sympy.Function("{name}_"), and give it by functions='
            )
        if number is float and not found.is_real:
            raise ValueError(f"{function(*exact)} is complex: estimate its real and imaginary parts")
        return number(found)

    return value


def own_functions(e: sp.Basic, printer) -> set[str]:
    """The names of SymPy's functions in an expression which a printer would print as they are."""
    found = {type(part).__name__ for part in e.atoms(sp.Function) if not isinstance(part, AppliedUndef)}
    known = {*printer.known_functions, *printer._rewriteable_functions} - OF_WHOLE_NUMBERS
    return {name for name in found - known if hasattr(sp.functions, name) and not hasattr(printer, f"_print_{name}")}


def array_functions(names: Sequence[str]) -> dict[str, Callable]:
    return {name: _array_function(name) for name in names}


def function_of(
    arguments: Sequence[sp.Symbol], expression: sp.Expr | list[sp.Expr], modules: str | list, **how
) -> Callable:
    """SymPy's ``lambdify``, with its options, under names of our own: a symbol may be called lambda, None or exp.

    ``lambdify`` renames too, at a pass over the expression for each argument.
    """
    own = {argument: sp.Symbol(f"v{i}") for i, argument in enumerate(arguments)}
    expressions = expression if isinstance(expression, list) else [expression]
    renamed = [spelled(e).xreplace(own) for e in expressions]
    modules = modules if isinstance(modules, list) else [modules]
    whole = sp.Tuple(*renamed)
    if "mpmath" in modules:
        names = own_functions(whole, MpmathPrinter())
        modules = [{name: _MPMATH.get(name) or by_sympy(name, mp.mpmathify) for name in names}, *modules]
    elif "scipy" in modules:
        modules = [array_functions(own_functions(whole, SciPyPrinter())), *modules]
    return sp.lambdify(list(own.values()), renamed if isinstance(expression, list) else renamed[0], modules, **how)
