"""Instructions to the text of a Python function."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.printing.numpy import SciPyPrinter

from gradlib.core.function import OF_WHOLE_NUMBERS
from gradlib.engine.kernel.lower import Call, Numbers, Other, Pair
from gradlib.engine.kernel.schedule import Instruction, Map, Places, Product, Sink

WRITTEN_OUT = {"logaddexp": 3, "log1p": 2, "expm1": 2}  # operations of the formula that a stable form stands for


class KernelPrinter(SciPyPrinter):
    """SciPy's printer, with all digits; black boxes go by their names, velocities by family and index.

    Attributes:
        unmapped: what goes by its name alone: black boxes, and functions for which SymPy knows no module.
    """

    def __init__(self, *, qualified: bool):
        super().__init__({"fully_qualified_modules": qualified, "inline": True, "allow_unknown_functions": True})
        self.unmapped: set[str] = set()

    def _print_Float(self, number):
        return repr(float(number))

    def _print_Velocity(self, node):
        return f"velocity({node.family!r}, {node.index})({', '.join(map(self._print, node.args[2:]))})"

    def _print_LambertW(self, node):
        return f"on_the_line({super()._print_LambertW(node)})"

    def _print_Function(self, node):
        name = node.func.__name__
        self.unmapped.add(name)
        if name in OF_WHOLE_NUMBERS:
            return f"{name}({', '.join(map(self._print, node.args))})"
        return super()._print_Function(node)


class Emitter:
    """The text of a kernel whose arrays have their places.

    Attributes:
        unmapped: as in :class:`KernelPrinter`.
    """

    def __init__(self, code: Sequence[Instruction], places: Places, numbers: Numbers):
        self.code, self.places, self.numbers = code, places, numbers
        self.printer = KernelPrinter(qualified=True)

    @property
    def unmapped(self) -> tuple[str, ...]:
        return tuple(sorted(self.printer.unmapped))

    def source(self, draws: Sequence[sp.Symbol], parameters: Sequence[sp.Symbol], roots: Sequence[Pair]) -> str:
        """``bind(*parameters)``, which returns the factors of the roots and ``run(sink, work, *draws)``."""
        body = [*self.header(), *(line for instruction in self.code for line in self.lines(instruction))]
        run = _function(f"run(sink, work, {', '.join(map(str, draws))})", body)
        scale = f"numpy.array([{', '.join(self.numbers[factor] for factor, _ in roots)}], float)"
        layouts = self.places.layouts.items()
        matrices = [f"{layout.coefficients} = {self.matrix(product)}" for product, layout in layouts]
        numbers = [f"{name} = {self.text(e)}" for e, name in self.numbers.items()]
        return "\n".join(
            _function(f"bind({', '.join(map(str, parameters))})", [*numbers, *matrices, *run, f"return {scale}, run"])
        )

    def text(self, e: sp.Expr) -> str:
        """SymPy's text of an expression; checked where it may turn out complex."""
        text = self.printer.doprint(e)
        return f"real({text})" if e.has(sp.I) else text

    def header(self) -> list[str]:
        """The lines that name the rows of ``work``."""
        lines, start = [], len(self.places.buffers)
        if start:
            lines.append(f"{', '.join(map(str, self.places.buffers))}, = work[:{start}]")
        for matrix in self.places.matrices:
            lines.append(f"{matrix} = work[{start}:{start + matrix.size}]")
            lines.append(f"{', '.join(map(str, matrix.rows()))}, = {matrix}")
            start += matrix.size
        return lines

    def lines(self, instruction: Instruction) -> list[str]:
        of = self.places.of
        match instruction:
            case Sink(component, array):
                return [f"sink({component}, {of[array]})"]
            case Call("ones", _, result):
                return [f"{of[result]}.fill(1.0)"]
            case Call(ufunc, inputs, result):
                operands = ", ".join(str(of.get(operand, operand)) for operand in inputs)
                return [f"numpy.{ufunc}({operands}, {of[result]})"]
            case Other(expression, inputs, result):
                return [*(f"{a} = {of[a]}" for a in inputs if of[a] != a), f"{result} = {self.text(expression)}"]
            case Map(ufunc, inputs, _):
                matrix = f"{of[inputs[0]].matrix}[:{len(inputs)}]"
                return [f"numpy.{ufunc}({matrix}, {matrix})"]
            case Product(sums):
                layout = self.places.layouts[instruction]
                terms = zip(layout.columns, layout.stack.rows())
                lines = [f"numpy.copyto({row}, {of[array]})" for array, row in terms if of[array] != row]
                used = len(layout.columns)
                if instruction.has_constant:
                    lines.append(f"{layout.stack}_{used}.fill(1.0)")
                    used += 1
                stack, result = f"{layout.stack}[:{used}]", f"{layout.result}[:{len(sums)}]"
                return [*lines, f"numpy.matmul({layout.coefficients}, {stack}, {result})"]

    def matrix(self, product: Product) -> str:
        """The coefficients of the sums."""
        rows = []
        for total in product.sums:
            factors = {array: factor for factor, array in total.terms}
            row = [factors[array] for array in self.places.layouts[product].columns]
            row += [total.constant] * product.has_constant
            rows.append("[" + ", ".join(self.numbers[factor] for factor in row) + "]")
        return f"numpy.array([{', '.join(rows)}], float)"

    def operations(self) -> int:
        return sum(map(self._operations, self.code))

    def _operations(self, instruction: Instruction) -> int:
        """How many operations for one draw; SymPy's own text counts by the functions that it calls."""
        match instruction:
            case Sink() | Call("ones", _, _):
                return 0
            case Product(sums):
                return sum(2 * len(total.terms) + (total.constant != 0) - 1 for total in sums)
            case Map(_, inputs, _):
                return len(inputs)
            case Call(ufunc, _, _):
                return WRITTEN_OUT.get(ufunc, 1)
            case Other(expression, _, _):
                text = self.text(expression)
                return 1 + sum(text.count(mark) for mark in ("numpy.", "scipy.", " + ", " - ", "*", "/"))
        return 1


def _function(signature: str, body: list[str]) -> list[str]:
    return [f"def {signature}:", *(f"    {line}" for line in body)]
