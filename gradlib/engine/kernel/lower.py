r"""SymPy expressions to instructions on arrays.

An expression becomes a pair (factor, array). The factor is an expression without draws,
kept apart as long as possible because it costs nothing there; the array is ``None``
where the expression is a number altogether. Equal expressions become one instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradlib.core.law import Velocity
from gradlib.core.stable import expm1, log1p

TERMS = 4  # from this many terms or sums on, a matrix product is the faster sum
UNARY = {
    sp.exp: "exp", sp.log: "log", sp.tan: "tan", sp.asin: "arcsin", sp.acos: "arccos",
    sp.atan: "arctan", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "arcsinh", sp.Abs: "absolute",
    sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil", log1p: "log1p", expm1: "expm1",
}  # fmt: skip


@dataclass(frozen=True)
class Array:
    """An array in the program: a draw, or the result of an instruction."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Call:
    """``ufunc(*inputs, result)``: writes where the result lives. An input is an array or the text of a number."""

    ufunc: str
    inputs: tuple[Array | str, ...]
    result: Array


@dataclass(frozen=True)
class Other:
    """``result = expression``: allocates. The expression's symbols are the names of its inputs and of numbers."""

    expression: sp.Expr
    inputs: tuple[Array, ...]
    result: Array


@dataclass(frozen=True)
class Sum:
    """``result = Σ factor * array + constant``."""

    terms: tuple[tuple[sp.Expr, Array], ...]
    constant: sp.Expr
    result: Array

    @property
    def inputs(self) -> tuple[Array, ...]:
        return tuple(array for _, array in self.terms)


Pair = tuple[sp.Expr, Array | None]  # (factor, array)


class Numbers(dict[sp.Expr, str]):
    """The names of the numbers: expressions without draws, computed once, when the kernel is bound."""

    def __missing__(self, e: sp.Expr) -> str:
        self[e] = name = f"c{len(self)}"
        return name

    def times(self, factor: sp.Expr, array: Array, call: Callable[..., Array]) -> Array:
        if factor == 1:
            return array
        return call("negative", array) if factor == -1 else call("multiply", array, self[factor])


class Program:
    """The instructions of a kernel, each after those that make its inputs.

    Attributes:
        code: calls, sums and what SymPy prints by itself.
        numbers: what they need beside arrays.
    """

    def __init__(self, draws: Sequence[sp.Symbol]):
        self.draws = {symbol: Array(symbol.name) for symbol in draws}
        self.code: list[Call | Other | Sum] = []
        self.numbers = Numbers()
        self.done: dict[sp.Expr, Pair] = {symbol: (sp.S.One, array) for symbol, array in self.draws.items()}
        self.results: dict[object, Array] = {}  # by what makes them

    def lower_all(self, components: Sequence[sp.Expr]) -> list[Pair]:
        # Backwards: in a gradient the later components tend to use what the earlier ones are made of.
        return [self.lower(component) for component in reversed(expand_squares(components, self.draws))][::-1]

    def lower(self, e: sp.Expr) -> Pair:
        if e not in self.done:
            if not self.varies(e):
                self.done[e] = e, None
            elif e.is_Add:
                self.done[e] = self.add(e)
            elif e.is_Mul:
                self.done[e] = self.multiply(e)
            elif e.is_Pow and e.exp.is_Rational and not e.has(sp.I):
                self.done[e] = self.power(e.base, e.exp)
            elif isinstance(e, (sp.sin, sp.cos)) and not e.has(sp.I):
                self.done[e] = self.circle(e)
            elif type(e) in UNARY and not e.has(sp.I):
                self.done[e] = sp.S.One, self.call(UNARY[type(e)], self.operand(e.args[0]))
            elif isinstance(e, logaddexp):
                self.done[e] = sp.S.One, self.call("logaddexp", *map(self.operand, e.args))
            else:
                self.done[e] = sp.S.One, self.other(e)
        return self.done[e]

    def varies(self, e: sp.Basic) -> bool:
        return not e.free_symbols.isdisjoint(self.draws)

    def operand(self, e: sp.Expr) -> Array | str:
        """An array that includes its factor, or the name of a number."""
        factor, array = self.lower(e)
        return self.numbers[factor] if array is None else self.numbers.times(factor, array, self.call)

    def call(self, ufunc: str, *inputs: Array | str) -> Array:
        return self.result((ufunc, *inputs), lambda result: Call(ufunc, inputs, result))

    def result(self, key, instruction: Callable[[Array], Call | Other | Sum]) -> Array:
        """The array that an instruction makes; the same instruction is there once."""
        if key not in self.results:
            self.results[key] = Array(f"t{len(self.results)}")
            self.code.append(instruction(self.results[key]))
        return self.results[key]

    # --- sums ------------------------------------------------------------------------

    def add(self, e: sp.Add) -> Pair:
        merged: dict[Array, sp.Expr] = {}
        constant = sp.S.Zero
        for factor, array in self.split(e):
            if array is None:
                constant += factor
            else:
                merged[array] = merged.get(array, 0) + factor
        terms = [(factor, array) for array, factor in merged.items() if factor != 0]
        if not terms or len(terms) == 1 and constant == 0:
            return terms[0] if terms else (constant, None)
        # A term that needs no product of its own comes first; the best is a factor that all share.
        terms.sort(key=lambda term: (term[0] != 1, term[0] == -1))
        common = terms[0][0]
        ratios = [f / common for f in (*(f for f, _ in terms), constant)]
        if len(terms) < TERMS and all(r.is_Number and abs(r) <= 1000 for r in ratios):
            *factors, constant = ratios
            terms = [(f, a) for f, (_, a) in zip(factors, terms)]
        else:
            common = sp.S.One
        shared = tuple(terms), constant
        return common, self.result((Sum, *shared), lambda result: Sum(*shared, result))

    def split(self, total: sp.Add) -> list[Pair]:
        """The terms of a sum; of a long one Σ (a + b x) T as Σ a T + x Σ b T, two sums of the same terms T."""
        by_draw: dict[sp.Expr, list[sp.Expr]] = {sp.S.One: []}
        for term in total.args:
            slanted = [f for f in term.args if f.is_Add and affine(f, self.draws)] if term.is_Mul else []
            parts = [affine(f, self.draws) for f in slanted]
            # With factors in two draws it would be taken apart again and again: a sum of products never ends.
            if len({x for x, _, _ in parts}) != 1 or not self.varies(rest := term / slanted[0]):
                by_draw[sp.S.One].append(term)
                continue
            x, slope, intercept = parts[0]
            by_draw.setdefault(x, []).append(slope * rest)
            by_draw[sp.S.One].append(intercept * rest)
        if all(len(terms) < TERMS for x, terms in by_draw.items() if x != 1):
            return [self.lower(term) for term in total.args]
        lowered = [self.lower(sp.Add(*by_draw.pop(sp.S.One)))]
        for x, terms in by_draw.items():
            factor, array = self.lower(sp.Add(*terms))
            draw = self.draws[x]
            lowered.append((factor, draw if array is None else self.call("multiply", draw, array)))
        return lowered

    # --- products and powers ---------------------------------------------------------

    def multiply(self, e: sp.Mul) -> Pair:
        factor, above, below = sp.S.One, [], []
        for argument in e.args:
            inverse = argument.is_Pow and argument.exp.is_Rational and argument.exp < 0 and self.varies(argument)
            f, array = self.lower(1 / argument if inverse else argument)
            factor *= 1 / f if inverse else f
            if array is not None:
                (below if inverse else above).append(array)
        if below:
            # The quotient before the draws: the components of a gradient share it.
            draws = [array for array in above if array in self.draws.values()]
            others = [array for array in above if array not in draws]
            above = [self.call("divide", self.product(others) if others else "1.0", self.product(below)), *draws]
        return factor, self.product(above) if above else None

    def product(self, arrays: list[Array]) -> Array:
        first, *rest = arrays
        for array in rest:
            first = self.call("multiply", first, array)
        return first

    def power(self, base: sp.Expr, exponent: sp.Rational) -> Pair:
        if exponent < 0:
            factor, array = self.lower(sp.Pow(base, -exponent))
            return 1 / factor, None if array is None else self.call("divide", "1.0", array)
        if exponent.is_Integer:
            factor, array = self.lower(base)
            return factor**exponent, None if array is None else self.whole_power(array, int(exponent))
        if exponent.q == 2:
            return sp.S.One, self.whole_power(self.call("sqrt", self.operand(base)), int(exponent.p))
        return sp.S.One, self.call("power", self.operand(base), self.numbers[exponent])

    def whole_power(self, array: Array, n: int) -> Array:
        """By repeated squaring."""
        if n == 1:
            return array
        half = self.whole_power(array, n // 2)
        square = self.call("multiply", half, half)
        return self.call("multiply", square, array) if n % 2 else square

    # --- functions -------------------------------------------------------------------

    def circle(self, e: sp.Expr) -> Pair:
        """Sine and cosine from the tangent of half the angle, which NumPy computes several numbers at a time."""
        t = self.call("tan", self.operand(e.args[0] / 2))
        square = self.call("multiply", t, t)
        norm = self.call("add", square, "1.0")
        if isinstance(e, sp.sin):
            return sp.Integer(2), self.call("divide", t, norm)
        return sp.S.One, self.call("divide", self.call("subtract", "1.0", square), norm)

    def other(self, e: sp.Expr) -> Array:
        """Piecewise, special functions, black boxes: as SymPy prints them, with the arguments compiled."""
        inputs: list[Array] = []

        def rebuild(node):
            if isinstance(node, ExprWithLimits):
                return node  # its bound symbols have no value here
            if not isinstance(node, sp.Expr) or node.has(sp.I):
                return node.func(*map(rebuild, node.args)) if node.args else node
            operand = self.operand(node)
            if isinstance(operand, Array):
                inputs.append(operand)
            return sp.Symbol(str(operand), real=True)

        fixed = 2 if isinstance(e, Velocity) else 0  # its family and index
        rebuilt = e if isinstance(e, ExprWithLimits) else e.func(*e.args[:fixed], *map(rebuild, e.args[fixed:]))
        return self.result(rebuilt, lambda result: Other(rebuilt, tuple(inputs), result))


# --- expressions to better ones ----------------------------------------------------------


def affine(e: sp.Expr, draws) -> tuple[sp.Symbol, sp.Expr, sp.Expr] | None:
    """(x, b, a) if e = a + b x for one draw x."""
    intercept, sloped = e.as_independent(*draws, as_Add=True)
    slope, x = sloped.as_independent(*draws, as_Add=False)
    return (x, slope, intercept) if x in draws else None


def expand_squares(components: Sequence[sp.Expr], draws) -> Sequence[sp.Expr]:
    """Many squares (a + b x)² as a² + 2 a b x + b² x²: sums of the same terms.

    x is a draw of a base law and of the size of 1, so little is lost by cancellation.
    """

    def square(e):
        if not (e.is_Mul or e.is_Pow):
            return None
        factor, inner = e.as_independent(*draws, as_Add=False)
        if inner.is_Pow and inner.exp == 2 and inner.base.is_Add and (parts := affine(inner.base, draws)):
            x, slope, intercept = parts
            return factor * slope**2 * x**2 + 2 * factor * slope * intercept * x + factor * intercept**2

    found = {e for component in components for e in sp.preorder_traversal(component) if e.is_Pow and square(e)}
    if len(found) < TERMS:
        return components

    def expand(e):
        return square(e) or (e.func(*map(expand, e.args)) if e.args else e)

    return [expand(component) for component in components]


def horner(expression: sp.Expr, variables: set[sp.Symbol]) -> sp.Expr:
    """Every sum that is a polynomial of degree three or more in one variable, as a Horner scheme."""

    def is_polynomial(total: sp.Expr) -> bool:
        return total.is_Add and len(total.args) > 2 and len(total.free_symbols & variables) == 1

    def scheme(total: sp.Add) -> sp.Expr:
        (x,) = total.free_symbols & variables
        powers = [term.as_independent(x, as_Add=False)[1] for term in total.args]
        if not all(p == 1 or p == x or p.is_Pow and p.base == x and p.exp.is_Integer and p.exp > 0 for p in powers):
            return total
        return sp.horner(total, x) if 3 <= sp.degree(total, x) < 2 * len(total.args) else total

    return expression.replace(is_polynomial, scheme)
