"""The floor: what any NumPy program must spend, the Normal draws and each transcendental function of F once.

As cheap as it can be made: one generator for each thread, arrays that stay in the cache, everything in place, and
neither products, sums, derivatives nor moments.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from problems import PROBLEMS, SIGMA

BLOCK = 2**15


class Peer:
    contestants = {"floor": lambda variant: True}

    def __init__(self, cores: int):
        self.threads = cores
        self.pool = ThreadPoolExecutor(cores)

    def variants(self, problem: str, rule: str) -> list[dict]:
        return [{}]

    def prepare(self, problem: str, rule: str, variant: dict) -> Callable:
        functions = [(getattr(np, name), times) for name, times in PROBLEMS[problem].floor.items()]

        def run(samples: int, seed: int) -> dict:
            shares = [(samples // BLOCK + i) // self.threads for i in range(self.threads)]
            generators = np.random.default_rng(seed).spawn(self.threads)
            drawn = sum(
                self.pool.map(lambda generator, blocks: _blocks(generator, blocks, functions), generators, shares)
            )
            return {"value": None, "stderr": None, "samples": drawn, "dtypes": ["float64"]}

        return run


def _blocks(generator: np.random.Generator, blocks: int, functions: list[tuple]) -> int:
    draws, argument, value = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for _ in range(blocks):
        generator.standard_normal(out=draws)
        for function, times in functions:
            _argument(function, draws, argument)
            for _ in range(times):
                function(argument, out=value)
    return blocks * BLOCK


def _argument(function, draws: np.ndarray, argument: np.ndarray) -> None:
    """Arguments of the size that F meets, for a function's speed depends on them: 2x for cos, −x²/2 for exp, and
    something positive for log."""
    if function is np.cos:
        np.multiply(draws, 2 * SIGMA, out=argument)
    elif function is np.exp:
        np.multiply(draws, draws, out=argument)
        np.multiply(argument, -SIGMA / 2, out=argument)
    else:
        np.abs(draws, out=argument)
