"""What is done in which order, and where its arrays live.

Sums of the same terms become one matrix product, others chains of additions. What nobody
reads goes. A result takes over the buffer of an input that is read for the last time, so a
kernel needs few buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradlib.engine.kernel.lower import TERMS, Array, Call, Numbers, Other, Pair, Program, Sum


@dataclass(frozen=True)
class Sink:
    """``sink(component, array)``: as soon as the array is known, so that its buffer is free for the next."""

    component: int
    array: Array

    @property
    def inputs(self) -> tuple[Array, ...]:
        return (self.array,)


@dataclass(frozen=True)
class Product:
    """Sums of the same terms: ``results = coefficients @ stack``, the stack's rows being the terms and 1."""

    sums: tuple[Sum, ...]

    @property
    def inputs(self) -> tuple[Array, ...]:
        return self.sums[0].inputs

    @property
    def has_constant(self) -> bool:
        return any(total.constant != 0 for total in self.sums)


@dataclass(frozen=True)
class Map:
    """``ufunc`` on all results of a matrix product, in place."""

    ufunc: str
    inputs: tuple[Array, ...]
    results: tuple[Array, ...]


Instruction = Call | Other | Sink | Product | Map


def results(instruction: Instruction) -> tuple[Array, ...]:
    match instruction:
        case Sink():
            return ()
        case Product(sums):
            return tuple(total.result for total in sums)
        case Map(_, _, made):
            return made
    return (instruction.result,)


def schedule(program: Program, roots: Sequence[Pair]) -> list[Instruction]:
    """The instructions in the order in which they run; ``roots`` are the components as pairs (factor, array)."""
    return _alive(_with_sinks(_maps(_sums(program)), roots))


def _sums(program: Program) -> list[Instruction]:
    """Sums become matrix products where there are many, and chains of additions elsewhere."""
    groups: dict[frozenset[Array], list[Sum]] = {}
    for instruction in program.code:
        if isinstance(instruction, Sum):
            groups.setdefault(frozenset(instruction.inputs), []).append(instruction)
    code: list[Instruction] = []
    for instruction in program.code:
        if not isinstance(instruction, Sum):
            code.append(instruction)
            continue
        group = groups[frozenset(instruction.inputs)]
        if max(len(group), len(instruction.terms)) < TERMS:
            code += _chain(instruction, program.numbers)
        elif instruction is group[0]:
            code.append(Product(tuple(group)))
    return code


def _chain(total: Sum, numbers: Numbers) -> list[Call]:
    """One addition after the other."""
    code: list[Call] = []

    def call(ufunc, *inputs):
        code.append(Call(ufunc, inputs, Array(f"{total.result}_{len(code)}")))
        return code[-1].result

    (factor, array), *rest = total.terms
    partial = numbers.times(factor, array, call)
    for factor, array in rest:
        if factor == -1:
            partial = call("subtract", partial, array)
        else:
            partial = call("add", partial, numbers.times(factor, array, call))
    if total.constant != 0:
        call("add", partial, numbers[total.constant])
    return [*code[:-1], replace(code[-1], result=total.result)]


def _maps(code: list[Instruction]) -> list[Instruction]:
    """One call for a function of every result of a matrix product."""
    for product in [instruction for instruction in code if isinstance(instruction, Product)]:
        made = results(product)
        users = [[instruction for instruction in code if array in instruction.inputs] for array in made]
        only = [group[0] for group in users if len(group) == 1]
        calls = [user for user in only if isinstance(user, Call) and len(user.inputs) == 1]
        if len(calls) == len(made) and len({call.ufunc for call in calls}) == 1:
            after = code.index(product) + 1
            mapped = Map(calls[0].ufunc, made, tuple(call.result for call in calls))
            code = [*code[:after], mapped, *(instruction for instruction in code[after:] if instruction not in calls)]
    return code


def _with_sinks(code: list[Instruction], roots: Sequence[Pair]) -> list[Instruction]:
    """Each component goes to its sink right after the instruction that makes it."""
    sinks: dict[Array, list[Sink]] = {}
    ones = Array("ones")
    for i, (_, array) in enumerate(roots):
        sinks.setdefault(array or ones, []).append(Sink(i, array or ones))
    if ones in sinks:
        code = [Call("ones", (), ones), *code]
    made = {array for instruction in code for array in results(instruction)}
    whole: list[Instruction] = [sink for array, group in sinks.items() if array not in made for sink in group]  # draws
    for instruction in code:
        whole += [instruction, *(sink for array in results(instruction) for sink in sinks.get(array, ()))]
    return whole


def _alive(code: list[Instruction]) -> list[Instruction]:
    """Without what nobody reads."""
    needed, kept = set(), []
    for instruction in reversed(code):
        if isinstance(instruction, Sink) or needed.intersection(results(instruction)):
            needed.update(instruction.inputs)
            kept.append(instruction)
    return kept[::-1]


# --- places in the scratch space -----------------------------------------------------------


@dataclass(frozen=True)
class Buffer:
    """A row of scratch space that passes from result to result."""

    index: int

    def __str__(self) -> str:
        return f"w{self.index}"


@dataclass(frozen=True)
class Matrix:
    """Rows of scratch space that lie together: the argument or the result of a matrix product."""

    name: str
    size: int

    def __str__(self) -> str:
        return self.name

    def rows(self) -> Iterator[Row]:
        return (Row(self, k) for k in range(self.size))


@dataclass(frozen=True)
class Row:
    """A row of a matrix."""

    matrix: Matrix
    index: int

    def __str__(self) -> str:
        return f"{self.matrix}_{self.index}"


@dataclass(frozen=True)
class Layout:
    """Where a matrix product works: ``stack`` holds the terms ``columns``, in this order, and then 1."""

    coefficients: str
    stack: Matrix
    columns: tuple[Array, ...]
    result: Matrix


class Places:
    """Where each array lives. The terms of a matrix product are written into the rows of its matrix.

    Attributes:
        of: the place of an array: a buffer, a row of a matrix, or itself if it is a draw or has been allocated.
        layouts: for each matrix product, in order, its matrices.
        buffers: all buffers.
        matrices: all matrices.
    """

    def __init__(self, code: Sequence[Instruction]):
        self.of: dict[Array, Array | Buffer | Row] = {}
        self.layouts: dict[Product, Layout] = {}
        self.buffers: list[Buffer] = []
        self.matrices: list[Matrix] = []
        self._place_products(code)
        self._place_others(code)

    @property
    def rows(self) -> int:
        """How many rows of scratch space there are."""
        return len(self.buffers) + sum(matrix.size for matrix in self.matrices)

    def _matrix(self, name: str, size: int) -> Matrix:
        self.matrices.append(Matrix(name, size))
        return self.matrices[-1]

    def _place_products(self, code: Sequence[Instruction]) -> None:
        made = {array for instruction in code if isinstance(instruction, Call) for array in results(instruction)}
        maps = [instruction for instruction in code if isinstance(instruction, Map)]
        for i, product in enumerate(instruction for instruction in code if isinstance(instruction, Product)):
            arrays = results(product)
            result = self._matrix(f"r{i}", len(arrays) + 1)  # a row for the constant of a next product
            self.of.update(zip(arrays, result.rows()))
            if earlier := next((m for m in maps if set(m.results) == set(product.inputs)), None):
                # The terms are in a matrix already.
                stack, columns = self.of[earlier.inputs[0]].matrix, earlier.results
            else:
                columns = product.inputs
                stack = self._matrix(f"s{i}", len(columns) + product.has_constant)
                places = zip(columns, stack.rows())
                self.of |= {array: row for array, row in places if array in made and array not in self.of}
            self.layouts[product] = Layout(f"m{i}", stack, columns, result)
            if later := next((m for m in maps if m.inputs == arrays), None):
                self.of.update((new, self.of[old]) for old, new in zip(arrays, later.results))

    def _place_others(self, code: Sequence[Instruction]) -> None:
        """Give every other result a buffer."""
        last = {array: i for i, instruction in enumerate(code) for array in instruction.inputs}
        free: list[Buffer] = []
        for i, instruction in enumerate(code):
            inputs = [array for array in instruction.inputs if isinstance(array, Array)]
            for array in inputs:
                self.of.setdefault(array, array)  # a draw
            read = dict.fromkeys(self.of[array] for array in inputs if last[array] == i)
            free += [place for place in read if isinstance(place, Buffer)]
            for array in results(instruction):
                if isinstance(instruction, Other):
                    self.of[array] = array
                elif array not in self.of:
                    if not free:
                        free.append(Buffer(len(self.buffers)))
                        self.buffers.append(free[0])
                    self.of[array] = free.pop()
