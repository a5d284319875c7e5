"""JAX: one compiled program for each gradient, a loop over batches on each device, in double precision.

By default the processor is one device; run.py asks XLA for one device for each core, and both ways are tried, as are both
generators of random numbers: threefry2x32, the default, and rbg, the faster one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.stats import norm
from jax.sharding import Mesh, PartitionSpec
from problems import LOGISTIC, PROBLEMS

BATCHES = [2**14, 2**16, 2**18, 2**20]
ROWS = [2**7, 2**9, 2**11, 2**13]  # for the logistic problem, where a draw is 569 values
DEFAULT = "threefry2x32"

jax.config.update("jax_enable_x64", True)


class Peer:
    contestants = {
        "JAX, best": lambda variant: True,
        "JAX, default generator": lambda variant: variant["generator"] == DEFAULT,
    }

    def __init__(self, cores: int):
        self.threads = len(jax.devices("cpu"))

    def variants(self, problem: str, rule: str) -> list[dict]:
        return [
            {"batch": batch, "devices": devices, "generator": generator}
            for batch, devices, generator in product(
                ROWS if problem in LOGISTIC else BATCHES, sorted({1, self.threads}), (DEFAULT, "rbg")
            )
        ]

    def prepare(self, problem: str, rule: str, variant: dict) -> Callable:
        batch, devices = variant["batch"], variant["devices"]
        parameters = jnp.asarray(PROBLEMS[problem].loc, float), jnp.asarray(PROBLEMS[problem].scale, float)
        dtypes: set[str] = set()
        program = over_devices(partial(SURROGATES[rule], integrand(problem), batch, dtypes), devices)

        def run(samples: int, seed: int) -> dict:
            batches = samples // (batch * devices)
            keys = jax.random.split(jax.random.key(seed, impl=variant["generator"]), devices)
            total = np.asarray(jax.block_until_ready(program(parameters, keys, batches))).sum(axis=0)
            drawn = batches * batch * devices
            return {
                "value": (total / drawn).tolist(),
                "stderr": None,
                "samples": drawn,
                "dtypes": sorted(dtypes | {str(total.dtype)}),
            }

        return run


def over_devices(surrogate: Callable, devices: int) -> Callable:
    """``program(parameters, keys, batches)``: each device's sum of gradients, over its own batches and key."""

    def of_one_device(parameters, keys, batches):
        def step(i, total):
            return jax.tree.map(jnp.add, total, jax.grad(surrogate)(parameters, jax.random.fold_in(keys[0], i)))

        total = lax.fori_loop(0, batches, step, jax.tree.map(jnp.zeros_like, parameters))
        return jnp.concatenate([part.reshape(1, -1) for part in total], axis=1)

    if devices == 1:
        return jax.jit(of_one_device)
    everywhere, split = PartitionSpec(), PartitionSpec("device")
    mesh = Mesh(np.array(jax.devices("cpu")[:devices]), ("device",))
    return jax.jit(
        jax.shard_map(of_one_device, mesh=mesh, in_specs=(everywhere, split, everywhere), out_specs=split, check_vma=False)
    )


def integrand(problem: str) -> Callable:
    if problem not in LOGISTIC:
        return PROBLEMS[problem].printed("jax")
    A = jnp.asarray(PROBLEMS[problem].design)
    return lambda w: jax.nn.softplus(w @ A.T).sum(-1)


def _draws(parameters, batch: int, key):
    loc, scale = parameters
    return loc + scale * jax.random.normal(key, (batch, *loc.shape), dtype=float)


def pathwise(F: Callable, batch: int, dtypes: set, parameters, key):
    draws = _draws(parameters, batch, key)
    values = F(draws)
    dtypes |= {str(draws.dtype), str(values.dtype)}  # seen once, while JAX traces the program
    return values.sum()


def score(F: Callable, batch: int, dtypes: set, parameters, key):
    draws = lax.stop_gradient(_draws(parameters, batch, key))
    values, density = F(draws), norm.logpdf(draws, *parameters)
    dtypes |= {str(draws.dtype), str(values.dtype), str(density.dtype)}
    return (values * (density.sum(-1) if density.ndim > 1 else density)).sum()


SURROGATES = {"score": score, "pathwise": pathwise}
