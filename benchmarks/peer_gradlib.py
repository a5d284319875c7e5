"""gradlib: symbols in for the scalar problems, :func:`gradlib.monte_carlo` on matrix products for the logistic one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import sympy as sp
from problems import LOGISTIC, MU, PROBLEMS, SIGMA, x
from sympy.stats import Normal

import gradlib as gl

mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
AT = {mu: MU, sigma: SIGMA}
ESTIMATORS = {"score": gl.score_function, "pathwise": gl.pathwise}
BLOCKS = [2**8, 2**10, 2**12]  # draws for each call in the logistic problem; the warm-up chooses, as for the peers
ROWS = 64  # of these at once: 569 values for each stay in a core's cache


def gradient(problem: str, rule: str) -> gl.Expectation:
    """The estimator of the gradient in (mu, sigma) of a scalar problem."""
    return ESTIMATORS[rule](gl.Expectation(PROBLEMS[problem].F.subs(x, Normal("x", mu, sigma))), (mu, sigma))


class Peer:
    contestants = {"gradlib": lambda variant: True}

    def __init__(self, cores: int):
        # The pools are made once: as many workers as the peers are given threads, whatever the default may be.
        self.threads = cores
        self.pools = {
            "threads": ThreadPoolExecutor(cores),
            "processes": ProcessPoolExecutor(cores, mp_context=get_context("spawn")),
        }

    def variants(self, problem: str, rule: str) -> list[dict]:
        blocks = [{"block": block} for block in BLOCKS] if problem in LOGISTIC else [{}]
        return [{"executor": executor} | block for executor in self.pools for block in blocks]

    def prepare(self, problem: str, rule: str, variant: dict) -> Callable:
        pool, block = self.pools[variant["executor"]], {k: v for k, v in variant.items() if k != "executor"}
        if problem in LOGISTIC:
            average = partial(gl.monte_carlo, LOGISTIC_RULES[rule](LOGISTIC[problem]), **block)
        else:
            average = partial(gl.estimate, gradient(problem, rule), AT)
        return lambda samples, seed: _answer(average(samples=samples, rng=seed, executor=pool, progress=False))

    def exact(self, problem: str, rule: str) -> list[float]:
        if problem in LOGISTIC:
            return LOGISTIC[problem].exact().tolist()
        return gl.exact(gradient(problem, rule), AT).tolist()


def _answer(estimate: gl.Estimate) -> dict:
    return {
        "value": estimate.value.tolist(),
        "stderr": estimate.stderr.tolist(),
        "samples": estimate.samples,
        "dtypes": [str(estimate.value.dtype)],
    }


def logistic_score(problem) -> Callable:
    """F(w) (ε/s, (ε² − 1)/s). The softplus is max(t, 0) + log(1 + exp(−|t|)), which cannot overflow; NumPy's log1p and
    logaddexp would be the same to the last digits that matter and several times slower."""
    A, m, s = problem.design, problem.loc, problem.scale

    def loss(t: np.ndarray, tail: np.ndarray) -> np.ndarray:
        np.abs(t, out=tail)
        np.negative(tail, out=tail)
        np.exp(tail, out=tail)
        tail += 1
        np.log(tail, out=tail)
        np.maximum(t, 0, out=t)
        t += tail
        return t.sum(axis=1)

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        noise = rng.standard_normal((size, len(m)))
        w = m + s * noise
        F, tail = np.empty(size), np.empty((ROWS, len(A)))
        for rows, t in _products(w, A):
            F[rows] = loss(t, tail[: len(t)])
        weighted = F[:, None] / s
        return np.hstack([weighted * noise, weighted * (noise**2 - 1)])

    return draw


def logistic_pathwise(problem) -> Callable:
    """(∇F, ε ∇F) at w = m + s ε, with ∇F = Aᵀ sigmoid(A w)."""
    A, m, s = problem.design, problem.loc, problem.scale

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        noise = rng.standard_normal((size, len(m)))
        slope = np.empty_like(noise)
        for rows, t in _products(m + s * noise, -A):
            np.exp(t, out=t)
            t += 1
            np.reciprocal(t, out=t)
            np.matmul(t, A, out=slope[rows])
        return np.hstack([slope, slope * noise])

    return draw


def _products(w: np.ndarray, A: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """A few rows of w Aᵀ at a time, in one array that is used again: memory fresh from the system would be slower."""
    t = np.empty((ROWS, len(A)))
    for start in range(0, len(w), ROWS):
        rows = slice(start, min(start + ROWS, len(w)))
        yield rows, np.matmul(w[rows], A.T, out=t[: rows.stop - start])


LOGISTIC_RULES = {"score": logistic_score, "pathwise": logistic_pathwise}
