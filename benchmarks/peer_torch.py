"""PyTorch: ``rsample`` and autograd for the pathwise gradient, the detached surrogate F · log p for the score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from problems import LOGISTIC, PROBLEMS

BATCHES = [2**14, 2**16, 2**18, 2**20]
ROWS = [2**7, 2**9, 2**11, 2**13]  # for the logistic problem, where a draw is 569 values


class Peer:
    contestants = {"PyTorch": lambda variant: True}

    def __init__(self, cores: int):
        torch.set_num_threads(cores)
        self.threads = torch.get_num_threads()

    def variants(self, problem: str, rule: str) -> list[dict]:
        return [{"batch": batch} for batch in (ROWS if problem in LOGISTIC else BATCHES)]

    def prepare(self, problem: str, rule: str, variant: dict) -> Callable:
        F = integrand(problem)
        loc, scale = (
            torch.tensor(number, dtype=torch.float64, requires_grad=True)
            for number in (PROBLEMS[problem].loc, PROBLEMS[problem].scale)
        )

        def run(samples: int, seed: int) -> dict:
            torch.manual_seed(seed)
            total, drawn, dtypes = 0.0, 0, set()
            while drawn < samples:
                # Made anew for each batch, as its graph is; the check of its arguments is off.
                law = torch.distributions.Normal(loc, scale, validate_args=False)
                draws, surrogate = SURROGATES[rule](F, law, (min(variant["batch"], samples - drawn),))
                gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(surrogate.sum(), (loc, scale))])
                total = total + gradient
                drawn += len(draws)
                dtypes |= {str(tensor.dtype).removeprefix("torch.") for tensor in (draws, surrogate, gradient)}
            return {"value": (total / drawn).tolist(), "stderr": None, "samples": drawn, "dtypes": sorted(dtypes)}

        return run


def integrand(problem: str) -> Callable:
    if problem not in LOGISTIC:
        return PROBLEMS[problem].printed("torch")
    A = torch.tensor(PROBLEMS[problem].design)
    return lambda w: torch.nn.functional.softplus(w @ A.T).sum(-1)


def pathwise(F: Callable, law, shape: tuple) -> tuple:
    draws = law.rsample(shape)
    return draws, F(draws)


def score(F: Callable, law, shape: tuple) -> tuple:
    draws = law.sample(shape)  # without a graph, and so is F of it
    density = law.log_prob(draws)
    return draws, F(draws) * (density.sum(-1) if density.ndim > 1 else density)


SURROGATES = {"score": score, "pathwise": pathwise}
