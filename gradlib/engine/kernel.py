r"""From a SymPy integrand to NumPy code for a block of draws.

A kernel is one Python function for all components of an integrand. It differs from the output of
``sympy.lambdify`` in what costs time on long arrays:

* what holds no draw is a number and is computed once, not once per draw;
* every operation writes into a buffer that is no longer needed, so nothing is allocated;
* a power with a small whole exponent is a product, a polynomial a Horner scheme;
* a constant factor of a component scales the average, not every draw;
* many sums of the same terms are one matrix product;
* sine and cosine come from the tangent of half the angle.

It is text. It travels to another process as it is, so every worker runs the same
operations in the same order.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.special
import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.printing.numpy import SciPyPrinter

from gradlib.core.law import Velocity
from gradlib.engine import implicit

CACHE = 5 * 2**19  # bytes of draws and scratch space in one chunk
LONGEST, SHORTEST = 2**17, 2**15  # draws in a chunk: with fewer, threads wait for Python's lock more than they compute
TERMS = 4  # from this many terms or sums on, a matrix product is the faster sum
UNARY = {
    sp.exp: "exp", sp.log: "log", sp.tan: "tan", sp.asin: "arcsin", sp.acos: "arccos",
    sp.atan: "arctan", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "arcsinh", sp.Abs: "absolute",
    sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil",
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A compiled integrand.

    Attributes:
        source: Python text that defines ``bind(*parameters)``, which returns the factors of
            the components and ``run(sink, work, *draws)``.
        components: their number.
        rows: the number of scratch rows of ``work``.
        chunk: how many draws at a time keep the rows in cache.
        operations: arithmetic operations and function calls for one draw.
    """

    source: str
    components: int
    rows: int
    chunk: int
    operations: int

    def bind(self, parameters: Sequence[float], functions: Mapping[str, Callable] | None = None):
        """Give the parameters their values.

        Returns:
            ``(scale, run)``. ``run(sink, work, *draws)`` calls ``sink(i, row)`` once for each
            component, which is ``scale[i] * row``; the row is overwritten after that.
        """
        names = {
            **vars(scipy.special),  # SymPy prints the functions that it does not map by their names alone
            "functools": functools, "builtins": builtins, "numpy": np, "scipy": scipy,
            "velocity": implicit.velocity, "real": _real, **(functions or {}),
        }  # fmt: skip
        exec(_byte_code(self.source), names)
        with np.errstate(all="ignore"):  # 1/0 in a factor is reported with the draws
            return names["bind"](*map(np.float64, parameters))


@lru_cache(maxsize=256)
def _byte_code(source: str):
    return compile(source, "<kernel>", "exec")


def _real(value):
    """What the printed form of an expression with the imaginary unit comes to, if it is real."""
    if np.iscomplexobj(value):
        raise ValueError("the integrand is complex: estimate its real and imaginary parts")
    return value


@lru_cache(maxsize=256)
def compile_kernel(
    draws: tuple[sp.Symbol, ...],
    parameters: tuple[sp.Symbol, ...],
    components: tuple[sp.Expr, ...],
    paths: tuple[tuple[sp.Symbol, sp.Expr], ...] = (),
) -> Kernel:
    """Print the kernel of an integrand.

    Args:
        draws: the symbols that stand for arrays.
        parameters: the symbols that stand for numbers.
        components: expressions in both; an undefined function is a call of a black box of
            its name, a :class:`~gradlib.core.law.Velocity` a call into :mod:`gradlib.engine.implicit`.
        paths: what to put for symbols of the components, in ``draws`` and ``parameters``:
            x ↦ μ + σ ε. Terms such as (x − μ)/σ² shorten to ε/σ here.
    """
    # Names that the expressions cannot hold: a user's symbol may be called lambda, None or exp.
    names = {symbol: sp.Symbol(f"x{i}", **_signs(symbol)) for i, symbol in enumerate(draws)}
    names |= {symbol: sp.Symbol(f"p{i}", **_signs(symbol)) for i, symbol in enumerate(parameters)}
    moved = {symbol: path.xreplace(names) for symbol, path in paths}
    program = _Program([names[s] for s in draws], [names[s] for s in parameters])
    variables = {*draws, *moved} - {p for _, path in paths for p in path.free_symbols}
    return program.compile([_horner(c, variables).xreplace(moved | names) for c in components])


def _signs(symbol: sp.Symbol) -> dict[str, bool]:
    return {"positive": True} if symbol.is_positive else {"real": True}


def _horner(expression: sp.Expr, variables: set[sp.Symbol]) -> sp.Expr:
    """Every sum that is a polynomial of degree three or more in one variable, as a Horner scheme."""

    def is_polynomial(total: sp.Expr) -> bool:
        return total.is_Add and len(total.args) > 2 and len(total.free_symbols & variables) == 1

    def scheme(total: sp.Add) -> sp.Expr:
        (x,) = total.free_symbols & variables
        powers = [term.as_independent(x, as_Add=False)[1] for term in total.args]
        if not all(p == 1 or p == x or p.is_Pow and p.base == x and p.exp.is_Integer and p.exp > 0 for p in powers):
            return total
        coefficients = sp.Poly(total, x).all_coeffs()
        if not 3 < len(coefficients) <= 2 * len(total.args):
            return total
        value, *rest = coefficients
        for coefficient in rest:
            value = sp.Add(sp.Mul(value, x, evaluate=False), coefficient, evaluate=False)
        return value

    return expression.replace(is_polynomial, scheme)


@dataclass(frozen=True)
class _Array:
    """An array in the program: a draw, or the result of an instruction."""

    name: str


@dataclass(frozen=True)
class _Call:
    """``ufunc(*inputs, result)``: writes into the result's buffer."""

    ufunc: str
    inputs: tuple
    result: _Array


@dataclass(frozen=True)
class _Other:
    """``result = text``: allocates; the text names its inputs."""

    text: str
    inputs: tuple
    result: _Array


@dataclass(frozen=True)
class _Sink:
    """``sink(component, array)``: as soon as the array is known, so that its buffer is free for the next."""

    component: int
    array: _Array

    @property
    def inputs(self):
        return (self.array,)


@dataclass(frozen=True)
class _Sum:
    """``result = Σ factor * array + constant``."""

    terms: tuple[tuple[sp.Expr, _Array], ...]
    constant: sp.Expr
    result: _Array

    @property
    def inputs(self):
        return tuple(array for _, array in self.terms)


@dataclass(frozen=True)
class _Product:
    """Several sums of the same terms: ``results = coefficients @ stack``, the stack's rows being the terms and 1."""

    sums: tuple[_Sum, ...]

    @property
    def inputs(self):
        return self.sums[0].inputs

    @property
    def has_constant(self) -> bool:
        return any(each.constant != 0 for each in self.sums)


@dataclass(frozen=True)
class _Map:
    """``ufunc`` on all results of a matrix product, in place."""

    ufunc: str
    inputs: tuple
    results: tuple


class SymPyPrinter(SciPyPrinter):
    """SciPy's printer, with all digits; black boxes go by their names, velocities by family and index."""

    def _print_Float(self, number):
        return repr(float(number))

    def _print_Velocity(self, node):
        return f"velocity({node.family!r}, {node.index})({', '.join(map(self._print, node.args[2:]))})"


class _Program:
    """The instructions of a kernel while it is built.

    An expression becomes a pair (factor, array). The factor is an expression without draws,
    kept apart as long as possible because it costs nothing there; the array is ``None``
    where the expression is a number altogether. Equal expressions become one instruction.
    """

    def __init__(self, draws: Sequence[sp.Symbol], parameters: Sequence[sp.Symbol]):
        self.draws, self.parameters = draws, parameters
        self.done: dict[sp.Expr, tuple[sp.Expr, _Array | None]] = {s: (sp.S.One, _Array(s.name)) for s in draws}
        self.results: dict[tuple, _Array] = {}
        self.numbers: dict[sp.Expr, str] = {}
        self.code: list = []
        self.printer = SymPyPrinter({"fully_qualified_modules": True, "inline": True, "allow_unknown_functions": True})

    # --- expressions to instructions -----------------------------------------------

    def lower(self, e: sp.Expr) -> tuple[sp.Expr, _Array | None]:
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
                self.done[e] = sp.S.One, self.call(UNARY[type(e)], self.array(e.args[0]))
            else:
                self.done[e] = sp.S.One, self.other(e)
        return self.done[e]

    def varies(self, e: sp.Basic) -> bool:
        return not e.free_symbols.isdisjoint(self.draws)

    def array(self, e: sp.Expr) -> _Array | str:
        """An expression as an operand: an array that includes its factor, or the name of a number."""
        factor, array = self.lower(e)
        return self.number(factor) if array is None else self.times(factor, array)

    def times(self, factor: sp.Expr, array: _Array, call: Callable | None = None) -> _Array:
        call = call or self.call
        if factor == 1:
            return array
        return call("negative", array) if factor == -1 else call("multiply", array, self.number(factor))

    def number(self, e: sp.Expr) -> str:
        """The name of a number: computed once, when the kernel is bound."""
        return self.numbers.setdefault(e, f"c{len(self.numbers)}")

    def call(self, ufunc: str, *inputs) -> _Array:
        if (ufunc, *inputs) not in self.results:
            self.code.append(_Call(ufunc, inputs, self.new((ufunc, *inputs))))
        return self.results[ufunc, *inputs]

    def new(self, key) -> _Array:
        return self.results.setdefault(key, _Array(f"t{len(self.results)}"))

    def add(self, e: sp.Add) -> tuple[sp.Expr, _Array | None]:
        merged: dict[_Array, sp.Expr] = {}
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
        key = (_Sum, tuple(terms), constant)
        if key not in self.results:
            self.code.append(_Sum(tuple(terms), constant, self.new(key)))
        return common, self.results[key]

    def split(self, total: sp.Add) -> list[tuple[sp.Expr, _Array | None]]:
        """The terms of a sum; of a long one Σ (a + b x) T as Σ a T + x Σ b T, two sums of the same terms T."""
        by_draw: dict[sp.Expr, list[sp.Expr]] = {sp.S.One: []}
        for term in total.args:
            affine = next((f for f in term.args if f.is_Add and self.affine(f)), None) if term.is_Mul else None
            if affine is None or not self.varies(rest := term / affine):
                by_draw[sp.S.One].append(term)
                continue
            x, slope, intercept = self.affine(affine)
            by_draw.setdefault(x, []).append(slope * rest)
            by_draw[sp.S.One].append(intercept * rest)
        if all(len(terms) < TERMS for x, terms in by_draw.items() if x != 1):
            return [self.lower(term) for term in total.args]
        lowered = [self.lower(sp.Add(*by_draw.pop(sp.S.One)))]
        for x, terms in by_draw.items():
            factor, array = self.lower(sp.Add(*terms))
            lowered.append((factor, self.array(x) if array is None else self.call("multiply", self.array(x), array)))
        return lowered

    def affine(self, e: sp.Expr) -> tuple[sp.Symbol, sp.Expr, sp.Expr] | None:
        """(x, b, a) if e = a + b x for one draw x."""
        intercept, sloped = e.as_independent(*self.draws, as_Add=True)
        slope, x = sloped.as_independent(*self.draws, as_Add=False)
        return (x, slope, intercept) if x in self.draws else None

    def multiply(self, e: sp.Mul) -> tuple[sp.Expr, _Array]:
        factor, above, below = sp.S.One, [], []
        for argument in e.args:
            inverse = argument.is_Pow and argument.exp.is_Rational and argument.exp < 0 and self.varies(argument)
            f, array = self.lower(1 / argument if inverse else argument)
            factor *= 1 / f if inverse else f
            if array is not None:
                (below if inverse else above).append(array)
        if below:
            # The quotient before the draws: the components of a gradient share it.
            draws = [array for array in above if any(array.name == s.name for s in self.draws)]
            others = [array for array in above if array not in draws]
            above = [self.call("divide", self.product(others) if others else "1.0", self.product(below)), *draws]
        return factor, self.product(above) if above else None

    def product(self, arrays: list[_Array]) -> _Array:
        first, *rest = arrays
        for array in rest:
            first = self.call("multiply", first, array)
        return first

    def power(self, base: sp.Expr, exponent: sp.Rational) -> tuple[sp.Expr, _Array]:
        if exponent < 0:
            factor, array = self.lower(sp.Pow(base, -exponent))
            return 1 / factor, None if array is None else self.call("divide", "1.0", array)
        if exponent.is_Integer:
            factor, array = self.lower(base)
            return factor**exponent, None if array is None else self.whole_power(array, int(exponent))
        if exponent.q == 2:
            return sp.S.One, self.whole_power(self.call("sqrt", self.array(base)), int(exponent.p))
        return sp.S.One, self.call("power", self.array(base), self.number(exponent))

    def whole_power(self, array: _Array, n: int) -> _Array:
        """By repeated squaring."""
        if n == 1:
            return array
        half = self.whole_power(array, n // 2)
        square = self.call("multiply", half, half)
        return self.call("multiply", square, array) if n % 2 else square

    def circle(self, e: sp.Expr) -> tuple[sp.Expr, _Array]:
        """Sine and cosine from the tangent of half the angle, which NumPy computes several numbers at a time."""
        t = self.call("tan", self.array(e.args[0] / 2))
        square = self.call("multiply", t, t)
        norm = self.call("add", square, "1.0")
        if isinstance(e, sp.sin):
            return sp.Integer(2), self.call("divide", t, norm)
        return sp.S.One, self.call("divide", self.call("subtract", "1.0", square), norm)

    def other(self, e: sp.Expr) -> _Array:
        """Piecewise, special functions, black boxes: SymPy's own text, with the arguments compiled."""
        inputs: list[_Array] = []

        def rebuild(node):
            if isinstance(node, ExprWithLimits):
                return node  # its bound symbols have no value here
            if not isinstance(node, sp.Expr) or node.has(sp.I):
                return node.func(*map(rebuild, node.args)) if node.args else node
            operand = self.array(node)
            if isinstance(operand, _Array):
                inputs.append(operand)
            return sp.Symbol(operand.name if isinstance(operand, _Array) else operand, real=True)

        fixed = 2 if isinstance(e, Velocity) else 0  # its family and index
        text = self.text(rebuild(e) if isinstance(e, ExprWithLimits) else e.func(*e.args[:fixed], *map(rebuild, e.args[fixed:])))
        if text not in self.results:
            self.code.append(_Other(text, tuple(inputs), self.new(text)))
        return self.results[text]

    def text(self, e: sp.Expr) -> str:
        """SymPy's text of an expression; checked where it may turn out complex."""
        text = self.printer.doprint(e)
        return f"real({text})" if e.has(sp.I) else text

    # --- instructions to text ------------------------------------------------------

    def compile(self, components: Sequence[sp.Expr]) -> Kernel:
        # Backwards: in a gradient the later components tend to use what the earlier ones are made of.
        roots = [self.lower(component) for component in reversed(self.expand_squares(components))][::-1]
        code = _alive(self.with_sinks(self.schedule(), roots))
        places = _Places(code)
        body = [*places.header(), *(line for instruction in code for line in self.lines(instruction, places))]
        scale = f"numpy.array([{', '.join(self.number(factor) for factor, _ in roots)}], float)"
        matrices = [f"m{i} = {self.matrix(each, places.stacks[each][1])}" for i, each in enumerate(places.products)]
        numbers = [f"{name} = {self.text(e)}" for e, name in self.numbers.items()]
        run = _function(f"run(sink, work, {', '.join(map(str, self.draws))})", body)
        source = _function(f"bind({', '.join(map(str, self.parameters))})", [*numbers, *matrices, *run, f"return {scale}, run"])
        chunk = LONGEST
        while chunk > SHORTEST and 8 * chunk * (places.rows + len(self.draws)) > CACHE:
            chunk //= 2
        return Kernel("\n".join(source), len(roots), places.rows, chunk, sum(map(_operations, code)))

    def with_sinks(self, code: list, roots: Sequence[tuple[sp.Expr, _Array | None]]) -> list:
        """Each component goes to its sink right after the instruction that makes it."""
        sinks: dict[_Array, list[_Sink]] = {}
        ones = _Array("ones")
        for i, (_, array) in enumerate(roots):
            sinks.setdefault(array or ones, []).append(_Sink(i, array or ones))
        if ones in sinks:
            code = [_Call("ones", (), ones), *code]
        made = {array for instruction in code for array in _results(instruction)}
        start = [sink for array, group in sinks.items() if array not in made for sink in group]  # draws
        return start + [
            each for instruction in code for each in (instruction, *(s for array in _results(instruction) for s in sinks.get(array, ())))
        ]

    def schedule(self) -> list:
        """Sums become matrix products where there are many, and chains of additions elsewhere."""
        groups: dict[frozenset, list[_Sum]] = {}
        for each in self.code:
            if isinstance(each, _Sum):
                groups.setdefault(frozenset(each.inputs), []).append(each)
        code: list = []
        for each in self.code:
            if not isinstance(each, _Sum):
                code.append(each)
                continue
            group = groups[frozenset(each.inputs)]
            if max(len(group), len(each.terms)) < TERMS:
                code += self.chain(each)
            elif each is group[0]:
                code.append(_Product(tuple(group)))
        return _maps(code)

    def chain(self, each: _Sum) -> list[_Call]:
        """One addition after the other."""
        code: list[_Call] = []

        def call(ufunc, *inputs):
            code.append(_Call(ufunc, inputs, _Array(f"{each.result.name}_{len(code)}")))
            return code[-1].result

        (factor, array), *rest = each.terms
        total = self.times(factor, array, call)
        for factor, array in rest:
            total = call("subtract", total, array) if factor == -1 else call("add", total, self.times(factor, array, call))
        if each.constant != 0:
            total = call("add", total, self.number(each.constant))
        return [*code[:-1], replace(code[-1], result=each.result)]

    def lines(self, instruction, places: _Places) -> list[str]:
        """The text of an instruction."""
        of = places.of
        match instruction:
            case _Sink(component, array):
                return [f"sink({component}, {of[array]})"]
            case _Call("ones", _, result):
                return [f"{of[result]}.fill(1.0)"]
            case _Call(ufunc, inputs, result):
                return [f"numpy.{ufunc}({', '.join(of.get(a, a) for a in inputs)}, {of[result]})"]
            case _Other(text, inputs, result):
                return [*(f"{a.name} = {of[a]}" for a in inputs if of[a] != a.name), f"{result.name} = {text}"]
            case _Map(ufunc, inputs, _):
                matrix = f"{of[inputs[0]].split('_')[0]}[:{len(inputs)}]"
                return [f"numpy.{ufunc}({matrix}, {matrix})"]
            case _Product(sums):
                i, (stack, columns) = places.products.index(instruction), places.stacks[instruction]
                lines = [f"numpy.copyto({stack}_{k}, {of[a]})" for k, a in enumerate(columns) if of[a] != f"{stack}_{k}"]
                ones = [f"{stack}_{len(columns)}.fill(1.0)"] if instruction.has_constant else []
                used = len(columns) + instruction.has_constant
                return [*lines, *ones, f"numpy.matmul(m{i}, {stack}[:{used}], r{i}[:{len(sums)}])"]

    def matrix(self, product: _Product, columns: Sequence[_Array]) -> str:
        rows = []
        for each in product.sums:
            factors = {array: factor for factor, array in each.terms}
            row = [factors[array] for array in columns] + [each.constant] * product.has_constant
            rows.append("[" + ", ".join(map(self.number, row)) + "]")
        return f"numpy.array([{', '.join(rows)}], float)"

    def expand_squares(self, components: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        """Many squares (a + b x)² as a² + 2 a b x + b² x²: sums of the same terms.

        x is a draw of a base law and of the size of 1, so little is lost by cancellation.
        """

        def square(e):
            if not (e.is_Mul or e.is_Pow):
                return None
            factor, inner = e.as_independent(*self.draws, as_Add=False)
            if inner.is_Pow and inner.exp == 2 and inner.base.is_Add and (parts := self.affine(inner.base)):
                x, slope, intercept = parts
                return factor * slope**2 * x**2 + 2 * factor * slope * intercept * x + factor * intercept**2

        found = {e for component in components for e in sp.preorder_traversal(component) if e.is_Pow and square(e)}
        if len(found) < TERMS:
            return components

        def expand(e):
            return square(e) or (e.func(*map(expand, e.args)) if e.args else e)

        return [expand(component) for component in components]


def _maps(code: list) -> list:
    """One call for a function of every result of a matrix product."""
    for product in [each for each in code if isinstance(each, _Product)]:
        results = _results(product)
        users = [[each for each in code if r in each.inputs] for r in results]
        calls = [group[0] for group in users if len(group) == 1 and isinstance(group[0], _Call) and len(group[0].inputs) == 1]
        if len(calls) == len(results) and len({call.ufunc for call in calls}) == 1:
            at = code.index(product) + 1
            mapped = _Map(calls[0].ufunc, results, tuple(call.result for call in calls))
            code = [each for each in [*code[:at], mapped, *code[at:]] if each not in calls]
    return code


def _operations(instruction) -> int:
    """How many operations for one draw; SymPy's own text counts by the functions that it calls."""
    match instruction:
        case _Sink() | _Call("ones", _, _):
            return 0
        case _Product(sums):
            return sum(2 * len(each.terms) + (each.constant != 0) - 1 for each in sums)
        case _Map(_, inputs, _):
            return len(inputs)
        case _Other(text, _, _):
            return 1 + sum(text.count(mark) for mark in ("numpy.", "scipy.", " + ", " - ", "*", "/"))
    return 1


def _results(instruction) -> tuple[_Array, ...]:
    match instruction:
        case _Sink():
            return ()
        case _Product(sums):
            return tuple(each.result for each in sums)
        case _Map(_, _, results):
            return results
    return (instruction.result,)


def _alive(code: list) -> list:
    """Without what nobody reads."""
    needed, kept = set(), []
    for instruction in reversed(code):
        if isinstance(instruction, _Sink) or needed.intersection(_results(instruction)):
            needed.update(instruction.inputs)
            kept.append(instruction)
    return kept[::-1]


class _Places:
    """Where each array lives.

    A result takes over the buffer of an input that is read for the last time, so a kernel
    needs few buffers. The terms of a matrix product are written into the rows of its matrix.

    Attributes:
        of: the name of the place of an array: a draw ``x``, a buffer ``w``, a row ``s`` or
            ``r`` of a matrix product's argument or result, or a name of its own for what
            allocates.
        products: the matrix products.
        stacks: for each of them the matrix that holds its terms, and the terms by row.
        rows: how many scratch rows there are.
    """

    def __init__(self, code: list):
        self.of: dict[_Array, str] = {}
        self.products = [each for each in code if isinstance(each, _Product)]
        self.stacks: dict[_Product, tuple[str, tuple[_Array, ...]]] = {}
        self.matrices: dict[str, int] = {}
        made = {r for each in code if isinstance(each, _Call) for r in _results(each)}
        mapped = {frozenset(each.results): each for each in code if isinstance(each, _Map)}
        for i, product in enumerate(self.products):
            results = _results(product)
            self.of.update((array, f"r{i}_{k}") for k, array in enumerate(results))
            self.matrices[f"r{i}"] = len(results) + 1  # a row for the constant of a next product
            if terms := mapped.get(frozenset(product.inputs)):
                # The terms are in a matrix already.
                stack, columns = self.of[terms.inputs[0]].split("_")[0], terms.results
            else:
                stack, columns = f"s{i}", product.inputs
                self.matrices[stack] = len(columns) + product.has_constant
                self.of |= {a: f"{stack}_{k}" for k, a in enumerate(columns) if a in made and a not in self.of}
            self.stacks[product] = stack, columns
            if following := next((each for each in mapped.values() if each.inputs == results), None):
                self.of.update((result, self.of[array]) for array, result in zip(results, following.results))
        self.buffers = self.place_calls(code)
        self.rows = self.buffers + sum(self.matrices.values())

    def place_calls(self, code: list) -> int:
        """Give every other result a buffer; how many buffers that takes."""
        last = {a: i for i, each in enumerate(code) for a in each.inputs}
        free: list[str] = []
        buffers = 0
        for i, instruction in enumerate(code):
            inputs = [a for a in instruction.inputs if isinstance(a, _Array)]
            for array in inputs:
                self.of.setdefault(array, array.name)  # a draw
            free += dict.fromkeys(self.of[a] for a in inputs if last[a] == i and self.of[a][0] == "w")
            for result in _results(instruction):
                if isinstance(instruction, _Other):
                    self.of[result] = result.name
                elif result not in self.of:
                    if not free:
                        free.append(f"w{buffers}")
                        buffers += 1
                    self.of[result] = free.pop()
        return buffers

    def header(self) -> list[str]:
        """The lines that name the rows of ``work``."""
        lines, start = [], 0
        if self.buffers:
            lines.append(f"{', '.join(f'w{k}' for k in range(self.buffers))}, = work[:{self.buffers}]")
        start = self.buffers
        for name, size in self.matrices.items():
            lines.append(f"{name} = work[{start}:{start + size}]")
            lines.append(f"{', '.join(f'{name}_{k}' for k in range(size))}, = {name}")
            start += size
        return lines


def _function(signature: str, body: list[str]) -> list[str]:
    return [f"def {signature}:", *(f"    {line}" for line in body)]
