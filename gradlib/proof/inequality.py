"""Inequalities that print only if their sign is certain."""

from __future__ import annotations

import itertools

import sympy as sp

from gradlib.core.expectation import Expectation
from gradlib.core.notation import latex
from gradlib.proof.evidence import ASSUMPTION, INEQUALITY, check
from gradlib.proof.forms import free_of_functions
from gradlib.proof.lower import FalseStep, lower
from gradlib.proof.statements import Statement, Step, as_rules, as_side
from gradlib.proof.trials import Instances


class Inequality(Statement):
    r"""A checked inequality, of numbers or (for symmetric matrices) in the Loewner order.

    Args:
        label, lhs, relation, rhs: ``relation`` is one of ``">=", ">", "<=", "<"``.
        certificate: an expression that is non-negative at sight (a sum of squares, of
            expectations of squares) and equals the larger side minus the smaller. Without
            it SymPy has to decide the sign itself. Matrices: all principal minors.
        by: rules for the identity (larger - smaller = certificate), as in :class:`Step`.

    Raises:
        FalseStep: if the certificate is not the difference, or its sign is not certain.

    Examples:
        >>> import sympy as sp
        >>> from gradlib.proof import Inequality
        >>> a, b = sp.symbols("a b", real=True)
        >>> Inequality("eq-am-gm", a**2 + b**2, ">=", 2*a*b, certificate=(a - b)**2)
        Inequality(eq-am-gm: inequality: non-negative certificate (a - b)**2, identity proved symbolically)
    """

    SIGNS = {">=": r"\ge", ">": r">", "<=": r"\le", "<": r"<"}
    LOEWNER = {">=": r"\succeq", ">": r"\succ", "<=": r"\preceq", "<": r"\prec"}

    def __init__(
        self,
        label,
        lhs,
        relation,
        rhs,
        certificate=None,
        by=(),
        title="",
        given=(),
        uses=(),
        instances=None,
        conditions=(),
    ):
        if relation not in self.SIGNS:
            raise ValueError(f"{label}: relation is one of {', '.join(self.SIGNS)}, got {relation!r}")
        self.lhs, self.rhs = as_side(lhs), as_side(rhs)
        large, small = (self.lhs, self.rhs) if relation[0] == ">" else (self.rhs, self.lhs)
        strict, assumed, signs, rules = len(relation) == 1, [], self.SIGNS, []
        if isinstance(self.lhs, sp.MatrixBase):
            signs, detail = self.LOEWNER, _positive_matrix(label, large - small, strict)
        else:
            detail = "the sign is decided by SymPy"
            if certificate is not None:
                certificate = sp.sympify(certificate)
                step = Step(certificate, "certificate", by)
                sides = [large - small, certificate]
                numeric = Instances(sides, as_rules(step.rules), instances, conditions)
                found = check(0, sides, as_rules(step.rules), numeric, f"{label}, certificate")
                detail = f"non-negative certificate {sp.sstr(certificate)}, identity {found.detail}"
                assumed = found.assumptions
                rules = [r for r in step.rules if isinstance(r, Statement)]
            signed = large - small if certificate is None else certificate
            if not _has_sign(signed, strict):
                raise FalseStep(
                    f"{label}: {sp.sstr(signed)} is not certainly {'positive' if strict else 'non-negative'}"
                )
        self.relation = relation
        super().__init__(
            label,
            rf"{latex(self.lhs)} {signs[relation]} {latex(self.rhs)}",
            f"{sp.sstr(self.lhs)} {relation} {sp.sstr(self.rhs)}",
            title=title,
            kind=INEQUALITY,
            detail=f"{INEQUALITY}: {detail}",
            assumptions=[*given, *assumed, *(r for r in rules if r.kind == ASSUMPTION)],
            uses=[*uses, *(r for r in rules if r.kind != ASSUMPTION)],
        )


def _has_sign(e, strict: bool) -> bool:
    """True only if the expression is certainly non-negative (positive, if strict)."""
    for J in sorted(e.atoms(Expectation), key=lambda J: (-len(J.atoms(Expectation)), str(J))):
        if e.has(J):
            # The mean of something non-negative is non-negative; of anything else, real.
            nonnegative = not J.is_vector and _has_sign(lower(J.integrand), False)
            e = e.xreplace({J: sp.Dummy("E", **({"nonnegative": True} if nonnegative else {"real": True}))})
    e = free_of_functions(lower(e))
    test = (lambda z: z.is_positive) if strict else (lambda z: z.is_nonnegative)
    return any(test(form(e)) is True for form in (lambda z: z, sp.factor, sp.simplify))


def _positive_matrix(label: str, m, strict: bool) -> str:
    if not m.is_square or (m - m.T).applyfunc(sp.simplify) != sp.zeros(*m.shape):
        raise FalseStep(f"{label}: the difference is not symmetric, so it has no sign")
    n = m.rows
    sets = (
        [range(k) for k in range(1, n + 1)]
        if strict
        else [c for k in range(1, n + 1) for c in itertools.combinations(range(n), k)]
    )
    for rows in sets:
        minor = m.extract(list(rows), list(rows)).det()
        if not _has_sign(minor, strict):
            raise FalseStep(
                f"{label}: the principal minor of rows {[r + 1 for r in rows]}, {sp.sstr(sp.factor(minor))}, "
                f"is not certainly {'positive' if strict else 'non-negative'}"
            )
    return f"all {len(sets)} {'leading ' if strict else ''}principal minors {'positive' if strict else 'non-negative'}"
