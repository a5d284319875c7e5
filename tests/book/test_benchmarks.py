"""The benchmark's harness: like work only, ratios within a repetition, and a committed result that names its origin."""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from sympy.stats import Normal

import gradlib as gl

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import compare  # noqa: E402
import peer_floor  # noqa: E402
import peer_gradlib  # noqa: E402
import problems  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import worker  # noqa: E402

RESULTS = BENCHMARKS / "results.json"
EXACT, STDERR = [1.0, -2.0], [0.01, 0.02]
HONEST = {
    "samples": 1024, "threads": 2, "busy": 1.9, "dtypes": ["float64"], "value": [1.01, -2.02], "stderr": None,
    "seconds": 0.5, "variant": {"batch": 1024},
}  # fmt: skip


# --- problems and floor ------------------------------------------------------------------------


@pytest.mark.parametrize("name", problems.SCALAR)
def test_the_floor_evaluates_what_the_integrand_holds(name):
    problem = problems.SCALAR[name]
    assert problems.transcendentals(problem.F) == dict(problem.floor)


def test_a_wrong_count_would_be_seen():
    assert problems.transcendentals(sp.exp(problems.x) + sp.exp(2 * problems.x) * sp.cos(problems.x)) == {
        "exp": 2,
        "cos": 1,
    }


def test_the_floor_draws_what_it_is_asked_for():
    run_floor = peer_floor.Peer(3).prepare("mixture", "score", {})
    assert run_floor(4 * peer_floor.BLOCK, 0)["samples"] == 4 * peer_floor.BLOCK


@pytest.mark.parametrize("name", problems.SCALAR)
def test_the_peers_function_is_the_same(name):
    """What is printed, here for NumPy, agrees with SymPy's own evaluation."""
    problem, at = problems.SCALAR[name], [-2.5, 0.0, 0.7, 3.0]
    expected = [float(problem.F.subs(problems.x, sp.Float(t, 30))) for t in at]
    assert problem.printed("numpy")(np.array(at)) == pytest.approx(expected, rel=1e-12)


def test_the_polynomial_is_dense():
    assert all(sp.Poly(problems.SCALAR["polynomial"].F, problems.x).all_coeffs())
    assert sp.degree(problems.SCALAR["polynomial"].F) == 8


def test_the_logistic_truth():
    """The gradient by quadrature, one row at a time, against gradlib's oracle for one row in one dimension."""
    m, s = sp.Symbol("m", real=True), sp.Symbol("s", positive=True)
    J = gl.Expectation(sp.log(1 + sp.exp(2 * Normal("w", m, s))))
    truth = gl.exact(gl.pathwise(J, (m, s)), {m: 0.5, s: 0.8})

    class OneRow(problems.Logistic):
        design, loc, scale = np.array([[2.0]]), np.array([0.5]), np.array([0.8])

    assert OneRow("one row").exact() == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("rule", problems.RULES)
def test_gradlibs_logistic_draws_have_the_right_mean(rule):
    problem = problems.LOGISTIC["logistic"]
    assert problem.design.shape == (569, 31)
    draw = peer_gradlib.LOGISTIC_RULES[rule](problem)
    got = gl.monte_carlo(draw, 1000 + 7, rng=0)  # no multiple of the rows that are taken at once
    assert np.abs(got.z(problem.exact())).max() < compare.Z


# --- unlike work is refused ----------------------------------------------------------------------


def _check(**changes):
    compare.check(HONEST | changes, "Peer", samples=1024, threads=2, exact=EXACT, stderr=STDERR)


def test_like_work_is_accepted():
    _check()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"samples": 1000}, r"1,000 draws instead of 1,024"),
        ({"threads": 1}, "1 threads instead of 2"),
        ({"busy": 3.7}, "3.7 cores were busy, 2 are allowed"),
        ({"dtypes": ["float32"]}, "computed in float32"),
        ({"dtypes": ["float32", "float64"]}, "computed in float32, float64"),
        ({"value": [1.01, -2.2]}, "wrong gradient, component 1 .* 10.0 standard errors"),
        ({"value": [-1.0, -2.0]}, "wrong gradient, component 0"),
        ({"value": [float("nan"), -2.0]}, "wrong gradient"),
        ({"value": [1.0]}, r"shape \(1,\) instead of \(2,\)"),
    ],
)
def test_unlike_work_is_refused(changes, message):
    with pytest.raises(compare.UnlikeWork, match="Peer: .*" + message):
        _check(**changes)


class Fake:
    """A process that answers at once, with the changes that a test wants."""

    def __init__(self, name, seconds, threads=2, **changes):
        self.contestants, self.seconds, self.order, self.threads = [name], iter(seconds), [], threads
        self.answer = HONEST | {"threads": threads} | changes

    def ask(self, do, **request):
        if do == "exact":
            return {"value": EXACT}
        if do == "warm":
            return {}
        return {"samples": request["samples"]} | self.answer | {"seconds": next(self.seconds)}


SETTINGS = {"cores": 2, "repetitions": 3, "sizes": {"speed": 512, "logistic": 512}}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(run, "PAUSE", 0)


def test_the_driver_refuses_a_peer_that_drew_less():
    fakes = [Fake("gradlib", [1] * 3, stderr=STDERR), Fake("PyTorch", [1] * 3, samples=512)]
    with pytest.raises(compare.UnlikeWork, match=r"PyTorch, cos 2x, score: 512 draws instead of 1,024"):
        run.measure(fakes, "cosine", "score", SETTINGS)


def test_a_ratio_is_formed_within_a_repetition():
    """The machine is ten times slower in the second repetition: no ratio sees it."""
    fakes = [Fake("gradlib", [1, 10, 1], stderr=STDERR), Fake("PyTorch", [2, 20, 3])]
    (row,) = run._against_gradlib("cosine", "score", run.measure(fakes, "cosine", "score", SETTINGS))
    assert row["ratio"]["values"] == [2, 2, 3]
    assert (row["ratio"]["median"], row["ratio"]["min"], row["ratio"]["max"]) == (2, 2, 3)
    assert not row["standard_error"], "PyTorch computes none, and the table says so"
    table = report.table({"machine": run.machine(2), "versions": {}, "date": "", "repetitions": 3, "speed": [row]})
    assert "2.00 (2.00 to 3.00)" in table and "no standard error from: PyTorch" in table


def test_repetitions_must_pair_up():
    with pytest.raises(ValueError, match="3 repetitions against 2"):
        compare.ratios([1, 2, 3], [1, 2])


def test_a_missing_peer_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(run.util, "find_spec", lambda module: None if module == "torch" else object())
    assert run.main([]) != 0
    assert "PyTorch is not installed: make bench installs it" in capsys.readouterr().err
    assert run.missing(["torch"]) == []


def test_only_a_full_run_replaces_the_committed_result():
    assert run.arguments([]).complete
    for option in (["--quick"], ["--only", "speed"], ["--without", "jax"]):
        assert not run.arguments(option).complete


def test_a_cost_that_is_proportional_has_slope_one():
    assert run.slope([{"samples": n, "seconds": {"median": 3e-9 * n}} for n in (10**5, 10**7, 10**9)]) == pytest.approx(
        1
    )


# --- the committed result --------------------------------------------------------------------------


@pytest.mark.skipif(not RESULTS.exists(), reason="make bench has not been run")
def test_the_committed_result_is_complete():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert results["complete"] and results["repetitions"] >= 5
    assert set(results["machine"]) == {"processor", "cores", "os", "architecture"} and all(results["machine"].values())
    assert {"python", "gradlib", "numpy", "torch", "jax"} <= set(results["versions"])
    for part, listed in (("speed", problems.PROBLEMS), ("floor", problems.SCALAR)):
        seen = {(row["problem"], row["rule"]) for row in results[part]}
        assert seen == {(problem, rule) for problem in listed for rule in problems.RULES}
        assert all(len(row["ratio"]["values"]) == results["repetitions"] for row in results[part])
        assert {(row["dtype"], row["threads"]) for row in results[part]} == {("float64", results["machine"]["cores"])}
    assert {"workers", "cost", "slope", "dask"} <= set(results["scaling"])
    assert {row["samples"] for row in results["scaling"]["cost"]} == set(run.FULL["cost"])
    assert {row["dimension"] for row in results["quasi"]["rows"]} == {1, 2, 8}
    assert (BENCHMARKS / "results.png").exists()
    assert report.table(results)


def test_the_time_of_worker_processes_counts():
    """Else a peer could use more cores than it is allowed, unseen."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(_spin, 0.0).result()
        before, alone = worker.processor_time(), time.process_time()
        pool.submit(_spin, 0.3).result()
        spent, own = worker.processor_time() - before, time.process_time() - alone
    assert spent > 0.25 > own


def _spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
