r"""Statements that cannot be wrong in print.

A :class:`Derivation` is a chain of equalities, :math:`a_0 = a_1 = \dots = a_n`, each with
its reason. Each is *checked* when the object is made; only a chain that passed can print.
There are two kinds of check, and the printed evidence never blurs them:

* **symbolic** (:mod:`gradlib.proof.prover`): every :class:`~gradlib.Expectation` becomes the
  integral that it stands for, and the difference of the two sides has to vanish identically.
  A step that takes more (:math:`\nabla` under the integral sign, integration by parts) must
  *name* it, and then it is recorded as an assumption;
* **numeric** (:mod:`gradlib.proof.trials`): both sides, as they stand, by quadrature on random
  concrete functions, densities and parameters. That is evidence, not proof. A proof that
  names a rule is cross-checked in the same way.

The other statements declare (:class:`Definition`), suppose (:class:`Assumption`), quote
(:class:`Cited`), repeat (:class:`Restatement`, :class:`Table`) or bound
(:class:`~gradlib.proof.inequality.Inequality`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.stats.rv import RandomSymbol

from gradlib.core.expectation import Expectation
from gradlib.core.notation import latex
from gradlib.proof.evidence import ASSUMPTION, CITED, DEFINITION, INEQUALITY, NUMERIC, PROVED, RESTATEMENT, check
from gradlib.proof.layout import aligned
from gradlib.proof.lower import EXCHANGE, NORMALISED, FalseStep, entries, lower
from gradlib.proof.rules import Boundary, Rewrite, Substitution
from gradlib.proof.trials import Instances

MIME = "application/vnd.gradlib+json"


def as_rules(given: Sequence) -> list:
    """What a step names, each statement as its rule."""
    return [r.rule if isinstance(r, Statement) else r for r in given]


def _label_of(statement) -> str:
    return statement if isinstance(statement, str) else statement.label


class Statement:
    """A labelled statement that prints itself, and says what it rests on.

    Attributes:
        label: the equation's label, ``eq-…``.
        title: what a reader would call it.
        kind: one of :data:`gradlib.proof.evidence.EVIDENCE_KINDS`.
        detail: the evidence in words.
        latex: exactly what is displayed.
        statement: the same as plain text.
        assumptions: names, or labels of assumptions.
        uses: labels of the statements it rests on.
        lhs, rhs: its two sides (``None`` where it has none), so that it can serve as a rule.
    """

    kind = ""
    lhs = rhs = None

    def __init__(
        self,
        label: str,
        latex_: str,
        statement: str,
        *,
        title="",
        kind="",
        detail="",
        assumptions=(),
        uses=(),
        extra=None,
    ):
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", label):
            # Sphinx makes such a label, unchanged, the anchor equation-<label>.
            raise ValueError(f"a label is lower-case words joined by hyphens, such as eq-score, got {label!r}")
        self.label, self.latex, self.statement, self.title = label, latex_, statement, title
        self.kind, self.detail = kind, detail or kind
        self.assumptions = tuple(dict.fromkeys(map(_label_of, assumptions)))
        self.uses = tuple(dict.fromkeys(map(_label_of, uses)))
        self._extra = extra or {}

    @property
    def rule(self) -> Rewrite:
        """The statement as a rule of a step; nothing has checked it, unless a subclass says so."""
        return Rewrite(self.label, self.lhs, self.rhs, supposed=True)

    @property
    def bundle(self) -> dict:
        """What the ledger reads."""
        return {
            "label": self.label,
            "title": self.title,
            "kind": self.kind,
            "latex": self.latex,
            "statement": self.statement,
            "evidence": {"kind": self.kind, "detail": self.detail},
            "assumptions": list(self.assumptions),
            "uses": list(self.uses),
            **self._extra,
        }

    @property
    def markdown(self) -> str:
        return f"$$\n{self.latex}\n$$ ({self.label})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label}: {self.detail})"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": repr(self), "text/markdown": self.markdown, MIME: self.bundle}


@dataclass(frozen=True)
class Step:
    """One equality of a chain: ``= expression``, for a reason.

    Args:
        expression: what the previous line equals.
        reason: a few words; mathematics between dollar signs.
        by: the rules that the symbolic check may use: ``"exchange"``, ``"normalised"``, a
            :class:`Boundary`, a :class:`Substitution`, or a statement (its left side is
            replaced by its right side). One, or a sequence, applied in this order.
        assume: names of further assumptions to record.
    """

    expression: object
    reason: str
    by: object = ()
    assume: Sequence[str] = ()

    @property
    def rules(self) -> tuple:
        rules = self.by if isinstance(self.by, (tuple, list)) else () if self.by is None else (self.by,)
        for rule in rules:
            if rule not in (EXCHANGE, NORMALISED) and not isinstance(rule, (Boundary, Substitution)):
                if not isinstance(rule, Statement) or rule.lhs is None:
                    raise ValueError(
                        f"unknown rule {rule!r}: use 'exchange', 'normalised', Boundary, Substitution or an equation"
                    )
                if rule.kind == INEQUALITY:
                    raise ValueError(f"{rule.label} is an inequality: it cannot replace one side by the other")
        return tuple(rules)


class Derivation(Statement):
    r"""A chain of checked equalities, printed as one numbered equation.

    .. math:: a_0 = a_1 = \dots = a_n

    Each side is a scalar or a matrix (compared entry by entry). All integrals and
    expectations on display are taken to exist, and undefined functions to be real-valued
    and as smooth as the derivatives written show.

    Args:
        label: the equation's label, unique in the book.
        start: :math:`a_0`.
        steps: :class:`Step` objects, or tuples ``(expression, reason)`` and
            ``(expression, reason, rules)``.
        title: what a reader would call it.
        given: assumptions (objects or labels) under which it is stated.
        uses: statements (objects or labels) it rests on; rules are added by themselves.
        instances: ``rng -> {function or symbol: callable or value}`` for functions that
            cannot be drawn independently (a density, its base density and the map between).
        conditions: relations that random parameters have to satisfy; recorded as assumptions
            of the steps that rest on numbers.

    Raises:
        FalseStep: if a step does not hold, or nothing shows that it does.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True); sigma = sp.Symbol("sigma", positive=True)
        >>> X = Normal("X", mu, sigma)
        >>> from gradlib.proof import Derivation
        >>> Derivation("eq-second-moment", gl.Expectation(X**2), (mu**2 + sigma**2, "Gaussian moments"))
        Derivation(eq-second-moment: proved symbolically)
        >>> Derivation("eq-wrong", gl.Expectation(X**2), (mu**2 + sigma, "a slip"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gradlib.proof.lower.FalseStep: eq-wrong, step 1 (a slip): the two sides differ on random instance 1
        ...
    """

    def __init__(self, label, start, *steps, title="", given=(), uses=(), instances=None, conditions=()):
        if not steps:
            raise ValueError(f"{label}: a derivation needs at least one step")
        self.steps = [s if isinstance(s, Step) else Step(*s) for s in steps]
        self.sides = [as_side(e) for e in (start, *(s.expression for s in self.steps))]
        self.lhs, self.rhs = self.sides[0], self.sides[-1]
        rules = [r for s in self.steps for r in s.rules]
        numeric = Instances(self.sides, as_rules(rules), instances, conditions)
        self.evidence = [
            check(i, self.sides, as_rules(s.rules), numeric, f"{label}, step {i + 1} ({s.reason})")
            for i, s in enumerate(self.steps)
        ]
        statements = [r for r in rules if isinstance(r, Statement)]
        assumed = [*map(_label_of, given)]
        for step, evidence in zip(self.steps, self.evidence):
            assumed += [*evidence.assumptions, *step.assume]
        assumed += [r.label for r in statements if r.kind == ASSUMPTION]
        for side in self.sides:
            for J in sorted(side.atoms(Expectation), key=str):
                assumed += J.assumptions_made
        kind = PROVED if all(e.kind == PROVED for e in self.evidence) else NUMERIC
        super().__init__(
            label,
            aligned(self.sides, [step.reason for step in self.steps]),
            f"{sp.sstr(self.lhs)} = {sp.sstr(self.rhs)}",
            title=title,
            kind=kind,
            detail=self._detail(),
            assumptions=assumed,
            uses=[*uses, *(r for r in statements if r.kind != ASSUMPTION)],
            extra={
                "steps": [
                    {
                        "expression": sp.sstr(s.expression),
                        "reason": s.reason,
                        "evidence": e.detail,
                        "assumptions": [*e.assumptions, *s.assume],
                    }
                    for s, e in zip(self.steps, self.evidence)
                ]
            },
        )

    @property
    def rule(self) -> Rewrite:
        return Rewrite(self.label, self.lhs, self.rhs)

    def _detail(self) -> str:
        proved = [e for e in self.evidence if e.kind == PROVED]
        checked = [e for e in self.evidence if e.kind == NUMERIC]
        given = list(dict.fromkeys(name for e in proved for name in e.assumptions))
        under = f", given {', '.join(given)}" if given else ""
        parts = []
        if proved:
            parts.append((f"{_steps(len(proved))} " if len(self.evidence) > 1 else "") + PROVED + under)
        if checked:
            detail = checked[0].detail
            parts.append(
                f"{_steps(len(checked))} {detail.replace('agrees', 'agree', len(checked) > 1)}"
                if len(self.evidence) > 1
                else detail
            )
        return "; ".join(parts)


def _steps(n: int) -> str:
    return f"{n} step" if n == 1 else f"{n} steps"


def as_side(e):
    """A side of an equality: an expression, or a sequence of them as a column."""
    if isinstance(e, (list, tuple)):
        e = sp.Matrix(list(e))
    return sp.ImmutableMatrix(e) if isinstance(e, sp.MatrixBase) else sp.sympify(e)


class Definition(Statement):
    r"""A name, declared: ``lhs := rhs``. There is nothing to check in it.

    As a rule of a step it spells out the name, a symbol or a function of symbols.

    Examples:
        >>> import sympy as sp
        >>> a, b = sp.symbols("a b")
        >>> Definition("eq-def-b", b, a**2)
        Definition(eq-def-b: definition)
    """

    def __init__(self, label, lhs, rhs, title="", uses=()):
        self.lhs, self.rhs = as_side(lhs), as_side(rhs)
        if getattr(self.lhs, "shape", ()) != getattr(self.rhs, "shape", ()):
            raise ValueError(f"{label}: the name and its meaning have different shapes")
        for name, meaning in zip(entries(self.lhs), entries(self.rhs), strict=True):
            # Anything else than a fresh name has a meaning already: to equate the two is a claim.
            is_function = (
                isinstance(name, AppliedUndef)
                and all(isinstance(a, sp.Symbol) for a in name.args)
                and len(set(name.args)) == len(name.args)
            )
            if not (is_function or isinstance(name, sp.Symbol) and not isinstance(name, RandomSymbol)):
                raise ValueError(
                    f"{label}: {sp.sstr(name)} is no name (a symbol, or a function of distinct symbols); "
                    "claim it in a Derivation or an Assumption"
                )
            if name in lower(meaning).free_symbols or is_function and lower(meaning).has(name.func):
                raise ValueError(f"{label} defines {sp.sstr(name)} by itself")
        super().__init__(
            label,
            rf"{latex(self.lhs)} := {latex(self.rhs)}",
            f"{sp.sstr(self.lhs)} := {sp.sstr(self.rhs)}",
            title=title,
            kind=DEFINITION,
            uses=uses,
        )

    @property
    def rule(self) -> Rewrite:
        return Rewrite(self.label, self.lhs, self.rhs, defines=not isinstance(self.lhs, sp.MatrixBase))


class Assumption(Statement):
    r"""A hypothesis, named, under which later statements hold.

    Args:
        label: its label, which derivations list in ``given=`` or use as a rule.
        relation: a SymPy relation, or LaTeX (an assumption claims nothing that a check could see).
        text: the same in words.

    Examples:
        >>> import sympy as sp
        >>> Assumption("eq-a1", sp.Eq(sp.Symbol("a"), 1), "a is one")
        Assumption(eq-a1: assumption)
    """

    _kind = ASSUMPTION

    def __init__(self, label, relation, text="", title="", uses=(), extra=None):
        if isinstance(relation, str):
            shown, plain = relation, text or relation
        else:
            shown, plain = latex(relation), sp.sstr(relation)
            if isinstance(relation, sp.Eq):
                self.lhs, self.rhs = relation.lhs, relation.rhs
        super().__init__(
            label, shown, plain, title=title, kind=self._kind, uses=uses, extra={"text": text, **(extra or {})}
        )


class Cited(Assumption):
    r"""A theorem that is quoted, not proved here.

    Args:
        source: the key of its entry in the bibliography.

    Examples:
        >>> Cited("eq-dct", r"\lim \int f_n = \int \lim f_n", "dominated convergence", source="folland1999")
        Cited(eq-dct: cited theorem (folland1999))
    """

    _kind = CITED

    def __init__(self, label, relation, text="", source="", title="", uses=()):
        if not source:
            raise ValueError(f"{label}: a cited theorem needs its source, a key of the bibliography")
        super().__init__(label, relation, text, title=title, uses=uses, extra={"source": source})
        self.detail = f"{CITED} ({source})"

    @property
    def markdown(self) -> str:
        return f"{super().markdown}\n\n{{cite:p}}`{self._extra['source']}`"


class Restatement(Statement):
    """A statement shown again, under a label of its own.

    Args:
        label: the new label.
        of: the statement, or its label where it stands in another notebook.
        lhs, rhs: the two sides; needed when ``of`` is a label. The ledger compares
            the text with the original's when the book is built.

    Raises:
        FalseStep: if ``lhs`` or ``rhs`` is not the original's.

    Examples:
        >>> import sympy as sp
        >>> a = sp.Symbol("a")
        >>> first = Derivation("eq-square", (a + 1)**2, (a**2 + 2*a + 1, "expand"))
        >>> Restatement("eq-square-again", first)
        Restatement(eq-square-again: restatement of eq-square)
    """

    def __init__(self, label, of, lhs=None, rhs=None, title=""):
        if isinstance(of, str):
            if lhs is None or rhs is None:
                raise ValueError(f"{label} restates the label {of}: give lhs and rhs too")
        else:
            if of.lhs is None:
                raise ValueError(f"{of.label} has no two sides to restate")
            if of.kind == INEQUALITY:
                raise ValueError(f"{of.label} is an inequality: show it by a reference")
            for ours, theirs in ((lhs, of.lhs), (rhs, of.rhs)):
                if ours is not None and as_side(ours) != theirs:
                    raise FalseStep(
                        f"{label} is no restatement of {of.label}: {sp.sstr(ours)} is not {sp.sstr(theirs)}"
                    )
            lhs, rhs = of.lhs, of.rhs
        self.of, self.lhs, self.rhs = of, as_side(lhs), as_side(rhs)
        sign = ":=" if isinstance(of, Definition) else "="
        super().__init__(
            label,
            rf"{latex(self.lhs)} {sign} {latex(self.rhs)}",
            f"{sp.sstr(self.lhs)} {sign} {sp.sstr(self.rhs)}",
            title=title or ("" if isinstance(of, str) else of.title),
            kind=RESTATEMENT,
            detail=f"restatement of {_label_of(of)}",
            uses=[of],
            extra={"restates": _label_of(of)},
        )

    @property
    def rule(self) -> Rewrite:
        if isinstance(self.of, str):
            raise ValueError(f"{self.label} restates {self.of} from elsewhere, unseen: it cannot be a rule")
        return self.of.rule


class Table(Statement):
    """A table whose cells are statements (shown as formulas, linked) or plain text.

    A cell that is a statement shows that statement's right side with a link
    to its equation, so a cell cannot say anything that was not checked.

    Args:
        label: ``tab-…``; the table's target and its node in the dependency graph.
        header: the column titles.
        rows: sequences of strings and statements.
    """

    def __init__(self, label, header: Sequence[str], rows: Sequence[Sequence], title=""):
        if any(len(row) != len(header) for row in rows):
            raise ValueError(f"{label}: every row needs {len(header)} cells")
        statements = [cell for row in rows for cell in row if isinstance(cell, Statement)]
        for text in (c for row in [header, *rows] for c in row if isinstance(c, str)):
            if "$$" in text or "\\[" in text:
                raise ValueError(f"{label}: a text cell holds a displayed equation; pass the statement itself")
        lines = [[str(h) for h in header], ["---"] * len(header)]
        lines += [[c if isinstance(c, str) else f"${latex(c.rhs)}$ {{eq}}`{_target(c)}`" for c in row] for row in rows]
        self._lines = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        # The ledger compares each cell with the statement that it shows again.
        cells = {"cells": [{"restates": _target(c), "statement": c.statement} for c in statements]}
        super().__init__(
            label,
            "",
            title or label,
            title=title,
            kind=RESTATEMENT,
            detail="each cell is compared with its derivation",
            uses=map(_target, statements),
            extra=cells,
        )

    @property
    def markdown(self) -> str:
        return f"({self.label})=\n\n{self._lines}"


def _target(statement: Statement) -> str:
    """The derivation itself, where the cell holds a restatement."""
    return statement._extra.get("restates", statement.label)
