"""JAX in double precision, twice.

*jit, grad*: as its documentation writes it, the compiled gradient of a batch's mean, called batch after batch on the
processor as one device (XLA itself spreads a batch over the cores).

*tuned*: whatever is fastest of that and of one compiled program that loops over the batches, on one device or on a
device for each core (run.py asks XLA for these), with either generator of random numbers: threefry2x32, the default,
or rbg.
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
        "JAX (jit, grad)": lambda variant: variant["calls"] == "one a batch",
        "JAX, tuned": lambda variant: True,
    }

    def __init__(self, cores: int):
        self.threads = len(jax.devices("cpu"))

    def variants(self, problem: str, rule: str) -> list[dict]:
        batches = ROWS if problem in LOGISTIC else BATCHES
        plain = [{"batch": batch, "devices": 1, "generator": DEFAULT, "calls": "one a batch"} for batch in batches]
        return plain + [
            {"batch": batch, "devices": devices, "generator": generator, "calls": "one in all"}
            for batch, devices, generator in product(batches, sorted({1, self.threads}), (DEFAULT, "rbg"))
        ]

    def prepare(self, problem: str, rule: str, variant: dict) -> Callable:
        batch, devices = variant["batch"], variant["devices"]
        parameters = jnp.asarray(PROBLEMS[problem].loc, float), jnp.asarray(PROBLEMS[problem].scale, float)
        dtypes: set[str] = set()
        surrogate = partial(SURROGATES[rule], integrand(problem), batch, dtypes)
        program = batch_by_batch(surrogate) if variant["calls"] == "one a batch" else over_devices(surrogate, devices)

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


def batch_by_batch(surrogate: Callable) -> Callable:
    """The same as :func:`over_devices` on one device, with a call for each batch."""
    gradient = jax.jit(jax.grad(surrogate))

    def program(parameters, keys, batches):
        total = jax.tree.map(jnp.zeros_like, parameters)
        for key in jax.random.split(keys[0], batches):
            total = jax.tree.map(jnp.add, total, gradient(parameters, key))
        return jnp.concatenate([part.reshape(1, -1) for part in total], axis=1)

    return program


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
        jax.shard_map(
            of_one_device, mesh=mesh, in_specs=(everywhere, split, everywhere), out_specs=split, check_vma=False
        )
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
