"""What every rule is: a function from an expectation to the expectation of its gradient, with its assumptions."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.stats.rv import RandomSymbol

from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation, dependence
from gradlib.sound.jumps import elementary
from gradlib.sound.support import require_continuum, require_law

#: What an estimator takes for granted. ``exchange`` is always assumed. The others are decided where they can be, and
#: what is found to fail is refused. Where the caller vouches for what cannot be decided, or has a failure ignored, they
#: are recorded.
ASSUMPTIONS = {
    "exchange": "the differentiated integrand is dominated by an integrable function near θ, so ∇ and ∫ may be "
    "exchanged",
    "continuous": "F is locally absolutely continuous where the derivative moves: along the path, and in θ",
    "fixed support": "no edge of the support moves with θ, unless F·p vanishes there",
}


def batch_size(batch, least: int = 2) -> int:
    """The number of draws in a batch, checked."""
    if isinstance(batch, bool) or not isinstance(batch, numbers.Integral):
        raise ValueError(f"give the number of draws in a batch, as in batch={max(least, 4)}; got {batch!r}")
    if batch < least:
        raise ValueError(f"a batch needs at least {least} draws here, got {batch}")
    return int(batch)


def assumption_names(assume: str | Iterable[str]) -> set[str]:
    if isinstance(assume, str):
        return {assume}
    if not isinstance(assume, Iterable):
        raise TypeError(f"assume= takes names out of {sorted(ASSUMPTIONS)}, got {assume!r}")
    return set(assume)


def told(keyword: str, choice: str) -> str:
    """What to do with jumps or edges: "refuse" or "ignore"."""
    if choice not in ("refuse", "ignore"):
        raise ValueError(f'{keyword}= takes "refuse" or "ignore", got {choice!r}')
    return choice


@contextmanager
def condition(name: str, choice: str, assumed: set[str]) -> Iterator[None]:
    """Check a condition of a rule inside: a failure is refused, or, where it is to be ignored, recorded as assumed."""
    try:
        yield
    except UnsoundEstimator:
        if choice == "refuse":
            raise
        assumed.add(name)


def parameters_of(J: Expectation, theta) -> list[sp.Symbol]:
    """The parameters asked for, as a list; every one of them occurs in J."""
    if isinstance(theta, sp.Symbol):
        thetas = [theta]
    elif isinstance(theta, (str, set, frozenset, sp.Set)) or not isinstance(theta, Iterable):
        raise TypeError(f"the parameter must be a SymPy symbol, or a list of them, got {theta!r}")
    else:
        thetas = list(theta)
    for parameter in thetas:
        dependence(J, parameter)
    if not thetas or len(set(thetas)) < len(thetas):
        raise ValueError("give one parameter, or a sequence of different ones")
    return thetas


def each_parameter(
    J, theta, assume, rule, keep: set[str] | None = None, noise: Sequence[RandomSymbol] = ()
) -> Expectation:
    """Apply a rule for one parameter or a sequence, and record the assumptions.

    Args:
        rule: ``rule(J, theta, assumed)`` gives the integrand for one parameter. It adds to ``assumed`` what it was
            told to ignore.
        keep: the assumptions to record, if not those of the caller.
        noise: a list to which the rule may add variables; those that J has and the result
            does not hold are then left out.
    """
    assumed = assumption_names(assume)
    if unknown := assumed - set(ASSUMPTIONS):
        raise ValueError(f"unknown assumption {sorted(map(str, unknown))}: choose from {sorted(ASSUMPTIONS)}")
    thetas = parameters_of(J, theta)
    for parameter in thetas:
        require_continuum(J, parameter)
        for law in J.laws:
            require_law(law, parameter)
    if J.is_vector:
        raise ValueError("the estimators take a scalar expectation: differentiate each component by itself")
    results = [rule(J, parameter, assumed) for parameter in thetas]
    stated = assumed if keep is None else keep
    integrand = results[0] if isinstance(theta, sp.Symbol) else results
    return J.with_integrand(integrand, {"exchange", *stated}, noise)


def parameter_derivative(F: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    """∂F/∂symbol almost everywhere: the continuity check has dealt with the rest.

    Every symbol counts as real here, or SymPy would differentiate |x| into real and
    imaginary parts.
    """
    real = {s: sp.Dummy(s.name, real=True, positive=s.is_positive) for s in F.free_symbols if not s.is_real}
    back = {dummy: s for s, dummy in real.items()}
    result = sp.diff(elementary(F.xreplace(real)), real.get(symbol, symbol))
    result = result.replace(sp.DiracDelta, lambda *args: sp.S.Zero)
    result = result.replace(
        lambda e: (
            isinstance(e, (sp.Derivative, sp.Subs))
            and e.has(sp.floor, sp.ceiling, sp.sign, sp.Heaviside)
            and not e.has(AppliedUndef)
        ),
        lambda e: sp.S.Zero,
    )
    result = result.replace(lambda e: isinstance(e, sp.Subs) and e.expr == 0, lambda e: sp.S.Zero)
    return result.xreplace(back)


def _require_expectation(G) -> None:
    if not isinstance(G, Expectation):
        raise TypeError(
            f"expected an Expectation, got {type(G).__name__}: build one with gradlib.Expectation(integrand)"
        )
