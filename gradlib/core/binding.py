"""Parameter values and black boxes, checked once for the engine and the oracle.

Nothing is computed before every value has been checked.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation, check_known
from gradlib.core.law import Law


@dataclass(frozen=True)
class Binding:
    """An expectation whose parameters and functions all have values.

    Attributes:
        laws: the laws of the variables.
        at: parameter symbol ↦ float.
        components: the integrand's components in plain symbols, with every undefined
            function and derivative replaced by a call to a named black box.
        functions: black-box name ↦ callable on arrays.
        numbers: for each law, its parameters as floats.
        given: ``at``, and the values of parameters that only the objective has.
    """

    laws: tuple[Law, ...]
    at: dict[sp.Symbol, float]
    components: tuple[sp.Expr, ...]
    functions: dict[str, Callable]
    numbers: tuple[tuple[float, ...], ...]
    given: dict[sp.Symbol, float]


def bind(J: Expectation, at: Mapping | None, functions: Mapping | None) -> Binding:
    """Check ``at`` and ``functions`` against J.

    Raises:
        TypeError: if J, ``at`` or a value is of the wrong type.
        ValueError: for a missing or unknown symbol, one of the same name with other
            assumptions, or a value outside its domain.
        UnsoundEstimator: for a black box whose derivative is needed and not given.
    """
    if not isinstance(J, Expectation):
        raise TypeError(
            f"expected an Expectation, got {type(J).__name__}: build one with gradlib.Expectation(integrand)"
        )
    if functions is not None and not isinstance(functions, Mapping):
        raise TypeError(f"functions= takes a dictionary {{F: callable}}, got {type(functions).__name__}")
    if at is not None and not isinstance(at, Mapping):
        raise TypeError(f"at= takes a dictionary {{symbol: number}}, got {type(at).__name__}")
    # A derivative may have lost a parameter: one dictionary serves an objective and all its estimators.
    known = J.parameters.union(J.objective.parameters if J.objective else ())
    given: dict[sp.Symbol, float] = {}
    for symbol, value in (at or {}).items():
        if not isinstance(symbol, sp.Symbol):
            raise TypeError(f"the keys of at= are SymPy symbols, got {symbol!r}: use the symbol itself")
        check_known(symbol, known, "is no parameter of")
        given[symbol] = _number(symbol, value)
    values = {symbol: number for symbol, number in given.items() if symbol in J.parameters}
    if missing := J.parameters - set(values):
        names = ", ".join(sorted(map(str, missing)))
        raise ValueError(f"no value for {names}: give one in at={{symbol: number}}")
    laws = J.laws
    figures = []
    for law in laws:
        figures.append(tuple(_evaluate(p, values) for p in law.parameters))
        law.check(figures[-1])
    components, boxes = _replace_functions(J, functions or {})
    _check_impossible_values(laws, figures, values, components)
    return Binding(laws, values, components, boxes, tuple(figures), given)


def _check_impossible_values(laws, figures, values: dict, components) -> None:
    """A value of probability 0 is never drawn; an integrand that is infinite there must not go unseen.

    There the score function is not valid: the probability's derivative is missing from it.
    """
    for law, numbers in zip(laws, figures, strict=True):
        if not law.is_finite or not {0, 1} & set(numbers):  # a probability is 0 where one of them is, or its complement
            continue
        here = law.at({symbol: sp.Float(number, 30) for symbol, number in values.items()})
        for value in (k for k, p in here.table.items() if p.is_zero):
            if any(c.subs({**values, law.symbol: value}).has(sp.zoo, sp.oo, sp.nan) for c in components):
                raise ValueError(
                    f"{law.variable} = {value} has probability 0 here, and the integrand is not finite there: on the "
                    "edge of "
                    "the parameters' domain the score function misses that value's share. Leave the value out, or "
                    "move inside"
                )
        if any(c.subs(values).has(sp.zoo, sp.nan) for c in components):
            raise ValueError(
                f"{law.variable} ~ {law.name} is on the edge of the parameters' domain here, and the integrand is not "
                "finite there: the score function is not defined. Move inside"
            )


def _number(symbol: sp.Symbol, value) -> float:
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, sp.Number)):
        if not (isinstance(value, sp.Expr) and value.is_number and value.is_real):
            raise TypeError(f"the value of {symbol} must be a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"the value of {symbol} must be finite, got {number}")
    broken = [
        claim
        for claim, holds in {
            "positive": number > 0, "negative": number < 0, "nonnegative": number >= 0, "nonpositive": number <= 0,
            "nonzero": number != 0, "integer": number.is_integer(),
        }.items()
        if symbol._assumptions_orig.get(claim) and not holds
    ]  # fmt: skip
    if broken:
        raise ValueError(f"{symbol} was declared {broken[0]}, got {number:g}")
    return number


def _evaluate(expression: sp.Expr, values: dict) -> float:
    number = sp.sympify(expression).xreplace({s: sp.Float(v, 30) for s, v in values.items()}).evalf(20)
    if not number.is_extended_real:
        raise ValueError(f"the distribution's parameter {expression} is {number} here, which is not a real number")
    return float(number)


def _replace_functions(J: Expectation, functions: Mapping):
    """Replace F(x) and its derivatives by calls to black boxes.

    A key is an undefined function ``F``, or a derivative of one such as
    ``F(x).diff(x)``, with any symbol for x: what counts is which argument is
    differentiated, and how often.
    """
    boxes: dict[tuple, Callable] = {}
    for key, function in functions.items():
        if not callable(function):
            raise TypeError(f"functions[{key}] must be callable on NumPy arrays, got {function!r}")
        if isinstance(key, UndefinedFunction):
            boxes[key.__name__, None] = function
        elif isinstance(key, sp.Derivative) and isinstance(key.expr, AppliedUndef):
            boxes[_orders(key)] = function
        else:
            raise TypeError(
                f"the keys of functions= are undefined functions F, or derivatives such as F(x).diff(x); got {key!r}"
            )
    known = {f.func.__name__ for component in J.components for f in J.to_plain(component).atoms(AppliedUndef)}
    if unknown := {name for name, _ in boxes} - known:
        raise ValueError(f"functions= names {', '.join(sorted(unknown))}, which this expectation does not hold")
    used: dict[str, Callable] = {}

    def call(name: str, orders, arguments):
        try:
            function = boxes[name, orders]
        except KeyError:
            if orders is None:
                raise ValueError(
                    f"the integrand holds the undefined function {name}: give functions={{{name}: callable}}"
                ) from None
            raise UnsoundEstimator(
                f"this needs a derivative of {name}, and {name} is a black box: give it as "
                f"functions={{..., {name}(x).diff(x): callable}}, or use score_function"
            ) from None
        label = f"{name}_{'' if orders is None else '_'.join(map(str, orders))}"
        used[label] = function
        return sp.Function(label)(*arguments)

    def replace(expression: sp.Expr) -> sp.Expr:
        if isinstance(expression, sp.Subs) and isinstance(expression.expr, sp.Derivative):
            inner = expression.expr
            arguments = [a.xreplace(dict(zip(expression.variables, expression.point))) for a in inner.expr.args]
            return call(*_orders(inner), [replace(a) for a in arguments])
        if isinstance(expression, sp.Derivative) and isinstance(expression.expr, AppliedUndef):
            return call(*_orders(expression), [replace(a) for a in expression.expr.args])
        if isinstance(expression, AppliedUndef):
            return call(expression.func.__name__, None, [replace(a) for a in expression.args])
        return expression.func(*map(replace, expression.args)) if expression.args else expression

    components = tuple(
        replace(component) if component.has(AppliedUndef) else component for component in map(J.to_plain, J.components)
    )
    return components, used


def _orders(derivative: sp.Derivative) -> tuple[str, tuple[int, ...]]:
    """(name, how often each argument is differentiated)."""
    function = derivative.expr
    return function.func.__name__, tuple(derivative.variables.count(a) for a in function.args)
