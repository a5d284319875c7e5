r"""All estimators of one gradient, side by side.

What is compared is the variance of one draw times the cost of one draw: within a budget of
C operations, n = C/cost draws can be made, and the variance of their mean is variance × cost / C.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp

from gradlib.core.binding import bind
from gradlib.core.errors import UnsoundEstimator
from gradlib.core.expectation import Expectation, dependence
from gradlib.core.joint import total_score
from gradlib.core.progress import Bar
from gradlib.engine.estimate import cost, estimate
from gradlib.engine.result import Estimate
from gradlib.oracle.exact import exact, moments
from gradlib.rules.biased import finite_difference, gumbel_softmax, straight_through
from gradlib.rules.measure_valued import measure_valued
from gradlib.rules.pathwise import pathwise
from gradlib.rules.score import require_score_of_mean_zero, score_function
from gradlib.rules.variance import (
    control_variate,
    delta_method,
    optimal_baseline,
    rao_blackwell,
    regression,
    sticking_the_landing,
)
from gradlib.sound.existence import require_existence

STEP = 0.05  # of the finite difference
TEMPERATURE = 0.5  # of the relaxation
REASONS = (UnsoundEstimator, ArithmeticError, NotImplementedError, ValueError)  # why a row has no numbers
TIE = 1e-9  # relative: variances that the oracle does not tell apart


@dataclass(frozen=True)
class Row:
    """One estimator.

    Attributes:
        name: what it is called.
        expectation: the estimator; ``None`` if it is refused.
        reason: why it is refused.
        exact: its exact mean.
        variance: the exact variance of one draw (of one batch); infinity where it diverges,
            NaN where the oracle has no answer.
        measured: a Monte Carlo estimate.
        cost: operations for one draw, see :func:`gradlib.engine.estimate.cost`.
        seconds: wall time for one draw, where it was measured.
        bias: exact mean minus the gradient.
    """

    name: str
    expectation: Expectation | None = None
    reason: str = ""
    exact: float = float("nan")
    variance: float = float("nan")
    measured: Estimate | None = None
    cost: int = 0
    seconds: float | None = None
    bias: float = 0.0

    @property
    def is_biased(self) -> bool:
        return self.bias != 0  # NaN counts as a bias: a biased estimator whose mean is not known

    @property
    def work(self) -> float:
        """variance × cost."""
        return self.variance * self.cost


class Comparison:
    """The table that :func:`compare` returns. It prints as text, and as HTML in Jupyter.

    Attributes:
        rows: the estimators, sound ones by variance × cost, then biased ones, then refused ones.
        truth: the gradient, by the oracle.
    """

    def __init__(self, J: Expectation, theta: sp.Symbol, truth: float, rows: list[Row]):
        self.J, self.theta, self.truth = J, theta, truth
        self.rows = sorted(rows, key=_order)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no estimator is called {name!r} here; there are: {', '.join(row.name for row in self.rows)}")

    @property
    def sound(self) -> list[Row]:
        """Those that are unbiased, the best first."""
        return [row for row in self.rows if row.expectation is not None and not row.is_biased]

    @property
    def refused(self) -> list[Row]:
        return [row for row in self.rows if row.expectation is None]

    def verdict(self, row: Row) -> str:
        """What the table says of an estimator."""
        if row.expectation is None:
            return "refused"
        if row.is_biased:
            return f"biased by {row.bias:.2g}" if np.isfinite(row.bias) else "biased"
        if not np.isfinite(row.variance):
            return "infinite variance" if np.isinf(row.variance) else "variance not computed"
        words = []
        finite = [row for row in self.sound if np.isfinite(row.variance)]
        # What the oracle does not tell apart is equal.
        if math.isclose(row.work, min(row.work for row in finite), rel_tol=TIE):
            words.append("best for its cost")
        if math.isclose(row.variance, min(row.variance for row in finite), rel_tol=TIE):
            words.append("lowest variance")
        if not words:
            best = min(row.work for row in finite)
            words.append(
                f"{row.work / best:.3g} times the best's work" if best > 0 else "not needed: another has variance 0"
            )
        return ", ".join(words)

    def _cells(self) -> list[list[str]]:
        timed = any(row.seconds is not None for row in self.rows)
        header = [
            "estimator",
            "exact",
            "variance",
            "measured",
            "cost",
            "variance × cost",
            *(["ns a draw"] if timed else []),
            "verdict",
        ]
        cells = [header]
        for row in self.rows:
            if row.expectation is None:
                continue
            cells.append(
                [
                    row.name,
                    _short(row.exact),
                    _short(row.variance),
                    row.measured.rounded if row.measured else "",
                    str(row.cost),
                    _short(row.work),
                    *([f"{1e9 * row.seconds:.0f}"] if timed else []),
                    self.verdict(row),
                ]
            )
        return cells

    def _doubts(self) -> list[tuple[str, str]]:
        """Why a measured standard error is not to be trusted."""
        healths = ((row.name, row.measured.health) for row in self.rows if row.measured)
        return [(name, health.reason) for name, health in healths if health and not health.reliable]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
        doubts = (f"no error bar: {name}. {reason}" for name, reason in self._doubts())
        return "\n".join([*lines, *doubts, *(f"refused: {row.name}. {row.reason}" for row in self.refused)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, *body = ([html.escape(cell) for cell in row] for row in self._cells())
        head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
        rows = "".join(
            f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
            for first, *rest in body
        )
        doubts = "".join(f"<li><b>{name}</b>: {html.escape(reason)}</li>" for name, reason in self._doubts())
        doubts = f"<p>No error bar:</p><ul>{doubts}</ul>" if doubts else ""
        refused = "".join(f"<li><b>{html.escape(row.name)}</b>: {html.escape(row.reason)}</li>" for row in self.refused)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{doubts}" + (
            f"<p>Refused:</p><ul>{refused}</ul>" if refused else ""
        )


def compare(
    J: Expectation,
    theta: sp.Symbol,
    at: Mapping,
    *,
    samples: int = 100_000,
    rng=0,
    batch: int = 2,
    timing: bool = False,
) -> Comparison:
    r"""All estimators of one derivative that gradlib knows, with exact variances.

    The unbiased ones: score function (plain; with the mean of F, with the optimal constant and with
    leave-one-out as baseline; with F's Taylor polynomial as control variate), pathwise (without the direct term, too,
    where that has mean zero), measure-valued (plain and coupled), and the sum over finite variables. For
    comparison the biased ones: a central difference with common random numbers (step 0.05), and for discrete
    variables straight-through and Gumbel-softmax (temperature 0.5).

    Args:
        J: a scalar expectation.
        theta: one parameter.
        at: the value of every parameter.
        samples: draws (or batches) for each measured value.
        rng: the seed; every estimator gets it.
        batch: the draws in a batch of the leave-one-out baseline.
        timing: also measure wall time. Never in a stored notebook: it is another number on
            every machine.

    Returns:
        A :class:`Comparison`.

    Raises:
        TypeError: if ``theta`` is not one symbol.
        ValueError: as :func:`gradlib.exact`.
        DivergentExpectation: if J does not exist.
        UnsoundEstimator: if no unbiased estimator applies; the message holds all reasons.

    Examples:
        >>> import sympy as sp, gradlib as gl
        >>> from sympy.stats import Normal
        >>> mu = sp.Symbol("mu", real=True)
        >>> table = gl.compare(gl.Expectation(Normal("X", mu, 1) ** 2), mu, {mu: 1})
        >>> round(table["score function"].variance, 9), round(table["pathwise"].variance, 9)
        (30.0, 4.0)
        >>> table.refused[0].name
        'sum over values'
    """
    if not isinstance(theta, sp.Symbol):
        raise TypeError(f"compare takes one parameter, got {theta!r}: compare the parameters one after the other")
    where = dependence(J, theta)
    if J.is_vector:
        raise ValueError("compare takes a scalar expectation: compare the components one after the other")
    require_existence(J, bind(J, at, None))  # says what is wrong once, and not as every estimator's reason
    builders: dict[str, Callable[[], Expectation]] = {
        "score function": lambda: score_function(J, theta),
        "score function, mean as baseline": lambda: score_function(J, theta, baseline=exact(J, at)),
        "score function, optimal baseline": lambda: score_function(J, theta, baseline=optimal_baseline(J, theta, at)),
        f"score function, leave-one-out, batches of {batch}": lambda: score_function(
            J, theta, baseline="leave-one-out", batch=batch
        ),
        "score function, delta method": lambda: delta_method(J, theta, at),
        "pathwise": lambda: pathwise(J, theta),
        "pathwise, score as control variate": lambda: _with_score(J, theta, at),
        "sticking the landing": lambda: sticking_the_landing(J, theta),
        "measure-valued": lambda: measure_valued(J, theta),
        "measure-valued, coupled": lambda: measure_valued(J, theta, coupled=True),
        "sum over values": lambda: rao_blackwell(score_function(J, theta)),
        "finite difference": lambda: finite_difference(J, theta, STEP),
        "straight-through": lambda: straight_through(J, theta),
        "Gumbel-softmax": lambda: gumbel_softmax(J, theta, TEMPERATURE),
    }
    if where == "integrand":  # no density moves: there is one estimator
        builders = {"pathwise": builders["pathwise"], "finite difference": builders["finite difference"]}
    elif any(law.is_discrete for law in J.laws if theta in law.free_symbols):
        for name in (
            "pathwise, score as control variate",
            "sticking the landing",
            "score function, delta method",
            "finite difference",
        ):
            del builders[name]
    else:
        for name in ("straight-through", "Gumbel-softmax"):
            del builders[name]
        if where == "distribution":
            del builders["sticking the landing"]
    biased = ("finite difference", "straight-through", "Gumbel-softmax")
    built: dict[str, Expectation | str] = {}
    rows: list[Row] = []
    with Bar("compare", "steps", 2 * len(builders)) as bar:
        for name, build in builders.items():
            try:
                built[name] = build()
            except REASONS as error:
                built[name] = str(error)
            bar.show(len(built))
        sound = {name: G for name, G in built.items() if isinstance(G, Expectation) and name not in biased}
        if not sound:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in built.items() if isinstance(reason, str))
            raise UnsoundEstimator(f"no unbiased estimator of the derivative in {theta} is known. {reasons}")
        truth = _truth(list(sound.values()), at)
        for name, G in built.items():
            refused = isinstance(G, str)
            rows.append(
                Row(name, reason=G) if refused else _row(name, G, at, truth, samples, rng, timing, name in biased)
            )
            bar.show(len(built) + len(rows))
    return Comparison(J, theta, truth, rows)


def _truth(sound: list[Expectation], at: Mapping) -> float:
    """The gradient, from the first estimator whose mean the oracle can integrate."""
    for G in sound[:-1]:
        try:
            return exact(G, at)
        except REASONS:
            pass
    return exact(sound[-1], at)


def _with_score(J: Expectation, theta: sp.Symbol, at: Mapping) -> Expectation:
    """The score has mean zero, whatever it is added to."""
    require_score_of_mean_zero(J, theta)
    P, score = pathwise(J, theta), total_score(J, theta)
    return control_variate(P, score, regression(P, [score], at)[0], mean=0)


def _row(name: str, G: Expectation, at: Mapping, truth: float, samples: int, rng, timing: bool, biased: bool) -> Row:
    try:
        mean, spread = moments(G, at)
    except REASONS as error:
        return Row(name, reason=str(error))  # a step may leave the parameter's domain
    spread = 0.0 if spread < 1e-20 * (1 + mean**2) else spread  # what rounding leaves of no variance
    start = time.perf_counter()
    try:
        measured = estimate(G, at, samples=samples, rng=rng, progress=False)
    except ArithmeticError as error:
        return Row(name, reason=str(error))  # a draw may not be finite
    seconds = (time.perf_counter() - start) / samples if timing else None
    bias = mean - truth if biased and not abs(mean - truth) <= 1e-9 * (1 + abs(truth)) else 0.0
    return Row(name, G, "", mean, spread, measured, cost(G, at), seconds, bias)


def _order(row: Row) -> tuple:
    return (
        row.expectation is None,
        row.is_biased,
        not np.isfinite(row.variance),
        row.work if np.isfinite(row.work) else 0,
        row.cost,
    )


def _short(number: float) -> str:
    return (
        "∞" if np.isinf(number) else "?" if np.isnan(number) else f"{number + 0.0:.4g}" if abs(number) > 1e-12 else "0"
    )
