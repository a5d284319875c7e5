"""A fixed hundred of the search for faults of the oracle (``search.py``), and that the search finds one."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import search
from search import TABLE, Case, Draw, Row, cases, verdict

import gradlib as gl

HUNDRED = list(islice(cases(2026), 100))


@pytest.mark.parametrize("case", HUNDRED, ids=str)
def test_a_fixed_hundred(case):
    assert verdict(case) == ""


def test_they_are_mixed():
    assert {case.kind for case in HUNDRED} == set(search.KINDS)
    assert len({case.row.laws for case in HUNDRED}) >= 25
    assert 5 <= sum(case.want is None for case in HUNDRED) <= 30


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.integrand} {row.laws}")
def test_every_row_can_be_drawn(row):
    """A row whose text is wrong would never be compared, and nobody would see it."""
    draw = Draw(np.random.default_rng(0))
    assert any(Case(row, tuple(row.drawn(draw).items()), "value").is_known for _ in range(50))


def normal(kind: str = "value", theta: str = "") -> Case:
    row = Row("X=Normal(m, s)", "m=location(); s=scale()", "X**2", "m**2 + s**2")
    return Case(row, (("m", 1.5), ("s", 0.5)), kind, theta)


@pytest.mark.parametrize("kind, theta", [("value", ""), ("literal", ""), ("score", "m"), ("path", "s")])
def test_a_wrong_closed_form_is_caught(kind, theta):
    case = normal(kind, theta)
    assert verdict(case) == ""
    wrong = replace(case.row, closed="(m**2 + s**2)*(1 + mpf('1e-14'))")
    assert verdict(replace(case, row=wrong)).startswith("wrong")


def test_a_wrong_oracle_is_caught(monkeypatch):
    case, exact = normal(), gl.exact
    for change, fault in {
        lambda value, bound: (value * (1 + 1e-14), bound): "wrong",
        lambda value, bound: (value, bound + 1e-10): "wide",
        lambda value, bound: (float("nan"), bound): "wrong",
    }.items():
        monkeypatch.setattr(gl, "exact", lambda *args, change=change, **how: change(*exact(*args, **how)))
        assert verdict(case).startswith(fault)
    variance = gl.variance
    row = replace(case.row, integrand="exp(t*X)", closed="exp(m*t + s**2*t**2/2)")
    spread = Case(row, (*case.at, ("t", 0.3)), "variance")
    assert verdict(spread) == ""
    monkeypatch.setattr(gl, "variance", lambda *args: variance(*args) * (1 + 2e-11))
    assert verdict(spread).startswith("wrong")


def test_what_is_said_to_diverge_and_does_not_is_caught_and_the_other_way_round():
    finite, infinite = replace(normal().row, exists="False"), replace(normal().row, integrand="exp(X**2*4)")
    assert verdict(replace(normal(), row=finite)).startswith("wrong: 2.5, it is infinite")
    assert verdict(replace(normal(), row=infinite)).startswith("divergent, it says")


def test_a_refusal_and_slowness_are_caught(monkeypatch):
    def refuse(*args, **how):
        raise gl.QuadratureError("too hard")

    def wait(*args, **how):
        while True:
            pass

    for instead, fault in {refuse: "refused", wait: "slow"}.items():
        monkeypatch.setattr(gl, "exact", instead)
        assert verdict(normal(), seconds=0.1).startswith(fault)
