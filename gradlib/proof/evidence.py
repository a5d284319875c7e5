"""The check of one equality, and what it rests on: a proof, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from gradlib.proof.lower import FalseStep, Undecided, entries, lower
from gradlib.proof.prover import Prover
from gradlib.proof.rules import Boundary, Substitution
from gradlib.proof.trials import Disagreement, Instances, agreement

PROVED = "proved symbolically"
NUMERIC = "agrees to 1e-10 on N random instances"
INEQUALITY = "inequality"
ASSUMPTION = "assumption"
CITED = "cited theorem"
DEFINITION = "definition"
RESTATEMENT = "restatement"
MONTE_CARLO = "Monte Carlo z"
EVIDENCE_KINDS = (PROVED, NUMERIC, INEQUALITY, ASSUMPTION, CITED, DEFINITION, RESTATEMENT, MONTE_CARLO)


@dataclass(frozen=True)
class Evidence:
    """What an equality rests on: the kind, in words, and the assumptions it took."""

    kind: str
    detail: str
    assumptions: tuple[str, ...] = ()
    instances: int = 0


def check(i: int, sides: Sequence, rules: Sequence, instances: Instances, where: str) -> Evidence:
    """The evidence for ``sides[i] = sides[i + 1]``; raises :class:`FalseStep` if there is none."""
    left, right = sides[i], sides[i + 1]
    lowered = [lower(left), lower(right)]
    shapes = [getattr(side, "shape", ()) for side in lowered]
    if shapes[0] != shapes[1]:
        raise FalseStep(f"{where}: the left side has shape {shapes[0]}, the right side {shapes[1]}")
    proved, assumed = True, [r for r in rules if isinstance(r, str)]
    pairs = list(zip(*map(entries, lowered), strict=True))
    for a, b in pairs:
        prover = Prover(rules, instances.laws, instances.available)
        proved = prover.equal(a, b) and proved
        assumed += [name for name in prover.assumed if name not in assumed]

    def reject(why: str, difference: str = ""):
        sides_ = f"  left side:  {sp.sstr(left)}\n  right side: {sp.sstr(right)}"
        raise FalseStep(f"{where}: {why}\n{sides_}\n{difference}".rstrip())

    witnessed = any(isinstance(r, (Boundary, Substitution)) for r in rules)
    if not proved and (witnessed or not instances.available):
        unshown = "the rule named for this step does not turn one side into the other"
        unavailable = "SymPy cannot show it, and no concrete instance is available (pass instances=)"
        reject(unshown if witnessed else unavailable, "\n".join(f"left - right = {sp.sstr(a - b)}" for a, b in pairs))
    count = 0
    if not proved or rules and instances.available:
        try:
            count = agreement(instances, i, proved)
        except Disagreement as found:
            reject(*found.args)
        except Undecided as reason:
            reject(f"no numeric check was possible: {reason}")
    if proved:
        also = f", and agrees on {count} random instances" if count else ""
        return Evidence(PROVED, PROVED + also, tuple(assumed), count)
    assumed += [sp.sstr(sp.sympify(condition)) for condition in instances.conditions]
    return Evidence(NUMERIC, f"agrees to 1e-10 on {count} random instances", tuple(assumed), count)
