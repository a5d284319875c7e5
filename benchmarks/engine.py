"""Measurements of the engine alone: threads, cost and memory against the number of draws, Dask, quasi-Monte Carlo.

run.py starts each in a fresh process: ``python engine.py <measurement> <settings as JSON>`` prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import sympy as sp
from compare import ratios, spread
from peer_gradlib import AT, LOGISTIC_RULES, gradient
from problems import LOGISTIC, PROBLEMS, x
from sympy.stats import Normal

import gradlib as gl

SCRAMBLES = 16
WORK = ("mixture", "score")  # nine transcendental functions for each draw
CHEAP = ("cosine", "pathwise")
LOADS = (("square", "pathwise"), WORK, ("logistic", "pathwise"))  # from a few operations for each draw to 35,000
LOGISTIC_BLOCK = 2**10


def _seconds(call: Callable) -> tuple[float, gl.Estimate]:
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def _same_bits(a: gl.Estimate, b: gl.Estimate) -> bool:
    return np.array_equal(a.value, b.value) and np.array_equal(a.stderr, b.stderr)


def _turns(run: Callable, first: Executor, second: Executor, repetitions: int) -> dict:
    """seconds of the first executor / seconds of the second, in turns and on the same seeds, after one run of each.

    ``run(executor, seed)`` returns an Estimate, or None where there is nothing to compare.
    """
    times, same = [], True
    for seed in range(repetitions + 1):
        (a, left), (b, right) = (_seconds(lambda: run(executor, seed)) for executor in (first, second))
        same = same and (left is None or _same_bits(left, right))
        if seed:  # the first is the warm-up
            times.append((a, b))
    a, b = zip(*times)
    return {
        "ratio": spread(ratios(a, b)),
        "best": min(a) / min(b),
        "same_bits": same,
        "seconds": [float(np.median(t)) for t in (a, b)],
    }


def _estimates(samples: int, problem: str, rule: str) -> Callable:
    """Estimates of the gradient of one problem, as the comparison of the speed makes them."""
    if problem in LOGISTIC:
        average = partial(gl.monte_carlo, LOGISTIC_RULES[rule](LOGISTIC[problem]), block=LOGISTIC_BLOCK)
    else:
        average = partial(gl.estimate, gradient(problem, rule), AT)
    return lambda executor, seed: average(samples=samples, rng=seed, executor=executor, progress=False)


def workers(samples: int, logistic: int, cores: int, repetitions: int) -> dict:
    """How many times faster all cores are than one thread, by threads and by processes, on light and on heavy draws.

    On a machine that others use as well, a second core is not always there: the draws alone, one long call of NumPy
    after the other, show what this machine gives. The ratio of the best times is the least disturbed.
    """
    cases = [(PROBLEMS[problem].title, rule, _estimates(logistic if problem in LOGISTIC else samples, problem, rule))
             for problem, rule in LOADS]  # fmt: skip
    cases.append(("draws alone", "", lambda executor, seed: _draw(executor, samples)))
    rows = []
    spawn = get_context("spawn")
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(cores) as threads,
        ProcessPoolExecutor(cores, spawn) as processes,
    ):
        for title, rule, run in cases:
            pairs = {
                name: _turns(run, one, many, repetitions)
                for name, many in (("threads", threads), ("processes", processes))
            }
            rows.append(
                {"title": title, "rule": rule, "same_bits": all(pair["same_bits"] for pair in pairs.values())} | pairs
            )
    return {"cores": cores, "rows": rows}


def _draw(executor: Executor, samples: int) -> None:
    """As many standard Normal draws, in 32 tasks."""
    list(executor.map(_blocks_of_draws, [samples // 2**22] * 2**5, range(2**5)))


def _blocks_of_draws(blocks: int, seed: int) -> None:
    rng, out = np.random.default_rng(seed), np.empty(2**17)
    for _ in range(blocks):
        rng.standard_normal(out=out)


def dask(samples: int, cores: int, repetitions: int) -> dict:
    """A local Dask cluster of one process for each core, against threads."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        ThreadPoolExecutor(cores) as many,
    ):
        pair = _turns(_estimates(samples, *WORK), client.get_executor(pure=False), many, repetitions)
        return pair | {"problem": WORK, "samples": samples}


def cost(samples: int, cores: int, repetitions: int) -> dict:
    """Seconds for a number of draws, and the memory that this process ever held."""
    J = gradient(*CHEAP)
    with ThreadPoolExecutor(cores) as many:
        gl.estimate(J, AT, samples=2**17, rng=0, executor=many)
        times = [
            _seconds(lambda: gl.estimate(J, AT, samples=samples, rng=seed, executor=many, progress=False))[0]
            for seed in range(1, repetitions + 1)
        ]
    return {"problem": CHEAP, "samples": samples, "seconds": spread(times), "peak_mb": _peak_memory() / 2**20}


def _peak_memory() -> int:
    """Bytes. Linux's ru_maxrss is inherited from the process that started this one; the mark in /proc is not."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- quasi-Monte Carlo ---------------------------------------------------------------------


def _direction(F: sp.Expr, d: int) -> sp.Expr:
    """F of (x₁ + … + x_d)/√d, which is a standard Normal variable: the truth is an integral in one dimension."""
    return F.subs(x, sum(_normals(d)) / sp.sqrt(d))


def _normals(d: int) -> list:
    return [Normal(f"x{i}", 0, 1) for i in range(d)]


SMOOTH = {"cos 2x": sp.cos(2 * x), "(x − 1)²": (x - 1) ** 2, "exp(−x²)": sp.exp(-(x**2))}


def quasi_problems() -> list[tuple[int, str, sp.Expr, float]]:
    """Dimension, title, integrand on independent standard Normals, exact expectation."""

    def along(F: sp.Expr, d: int, title: str) -> tuple:
        return d, title, _direction(F, d), gl.exact(gl.Expectation(F.subs(x, Normal("x", 0, 1))))

    softplus = sp.log(1 + sp.exp(x))
    return [
        *(along(F, d, title) for d in (1, 2) for title, F in SMOOTH.items()),
        along(softplus, 8, "log(1 + exp x)"),
        (8, "Σ (xᵢ − 1)²", sum((normal - 1) ** 2 for normal in _normals(8)), 16.0),
        along(SMOOTH["cos 2x"], 8, "cos 2x"),
    ]


def quasi(points: list[int], cores: int, repetitions: int) -> dict:
    """How many times smaller the standard error of scrambled Sobol' points is than plain draws', at equal time."""
    many = ThreadPoolExecutor(cores)
    rows = [
        _gain(d, title, gl.Expectation(F), exact, count, many, repetitions)
        for d, title, F, exact in quasi_problems()
        for count in points
    ]
    return {"scrambles": SCRAMBLES, "rows": rows}


def _gain(d: int, title: str, J: gl.Expectation, exact: float, points: int, many: Executor, repetitions: int) -> dict:
    """The plain standard error is scaled to the time that the Sobol' points took: it falls as 1/√time.

    Sixteen scrambles make a noisy standard error; hence several seeds, and their median.
    """
    samples = SCRAMBLES * points

    def run(sampling: str, seed: int) -> tuple[float, gl.Estimate]:
        return _seconds(
            lambda: gl.estimate(J, samples=samples, rng=seed, sampling=sampling, executor=many, progress=False)
        )

    for sampling in ("plain", "sobol"):
        run(sampling, 0)
    gains, slower, estimates = [], [], []
    for seed in range(1, repetitions + 1):
        (plain_time, plain), (sobol_time, sobol) = run("plain", seed), run("sobol", seed)
        gains.append(plain.stderr * np.sqrt(plain_time / sobol_time) / sobol.stderr)
        slower.append(sobol_time / plain_time)
        estimates.append(sobol)
    _check(title, d, estimates, exact)
    return {
        "dimension": d,
        "problem": title,
        "points": points,
        "gain": spread(gains),
        "time_ratio": spread(slower),
        "stderr": float(np.median([e.stderr for e in estimates])),
    }


def _check(title: str, d: int, estimates: list[gl.Estimate], exact: float) -> None:
    """All seeds together, for one standard error from 16 scrambles has heavy tails; rounding is no error of theirs."""
    value = np.mean([e.value for e in estimates])
    stderr = np.sqrt(np.sum([e.stderr**2 for e in estimates])) / len(estimates)
    if not abs(value - exact) < 6 * stderr + 1e-10 * max(1, abs(exact)):
        raise AssertionError(
            f"Sobol', {title}, d = {d}: {value:.12g} ± {stderr:.1e} where the exact value is {exact:.12g}"
        )


if __name__ == "__main__":
    measurement = {"workers": workers, "dask": dask, "cost": cost, "quasi": quasi}[sys.argv[1]]
    print(json.dumps(measurement(**json.loads(sys.argv[2]))))
