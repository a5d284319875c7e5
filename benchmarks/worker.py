"""One peer in a process of its own: requests come in as lines of JSON, answers go out the same way.

A process for each peer keeps their thread pools, allocators and environment variables apart; that it lives long keeps
compilation and warm-up out of what is timed. The clock is here, the same for all.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback

PILOT = 4  # a variant is tried on this fraction of the draws


class Session:
    """A peer, and the runs that it has warmed up.

    A peer module offers ``Peer(cores)`` with ``threads``, ``contestants`` (name ↦ which variants it may take),
    ``variants(problem, rule)``, and ``prepare(problem, rule, variant)``, which returns ``run(samples, seed)``.
    """

    def __init__(self, name: str, cores: int):
        self.peer = importlib.import_module(f"peer_{name}").Peer(cores)
        self.runs: dict[tuple[str, str, str], tuple] = {}

    def hello(self) -> dict:
        return {"threads": self.peer.threads, "contestants": list(self.peer.contestants)}

    def warm(self, problem: str, rule: str, samples: int) -> dict:
        """Try every variant, and keep for each contestant the fastest that it may take."""
        tried = []
        for variant in self.peer.variants(problem, rule):
            run = self.peer.prepare(problem, rule, variant)
            # A batch must fit into the pilot as well.
            pilot = max(samples // PILOT, variant.get("batch", 1) * variant.get("devices", 1))
            if pilot > samples:
                continue
            run(pilot, 0)
            tried.append((min(_clock(run, pilot, seed)["seconds"] for seed in (1, 2)) / pilot, variant, run))
        for contestant, allowed in self.peer.contestants.items():
            seconds, variant, run = min((t for t in tried if allowed(t[1])), key=lambda t: t[0])
            run(samples, 0)
            self.runs[problem, rule, contestant] = variant, run
        return {"tried": [{"variant": variant, "ns_per_draw": 1e9 * seconds} for seconds, variant, _ in tried]}

    def time(self, problem: str, rule: str, contestant: str, samples: int, seed: int) -> dict:
        variant, run = self.runs[problem, rule, contestant]
        return {"variant": variant, "threads": self.peer.threads} | _clock(run, samples, seed)

    def exact(self, problem: str, rule: str) -> dict:
        return {"value": self.peer.exact(problem, rule)}


def _clock(run, samples: int, seed: int) -> dict:
    wall, cpu = time.perf_counter(), processor_time()
    result = run(samples, seed)
    wall, cpu = time.perf_counter() - wall, processor_time() - cpu
    return result | {"seconds": wall, "busy": cpu / wall}


def processor_time() -> float:
    """Seconds of this process and of the worker processes that it has started."""
    # Linux numbers the clock of process p like this (clock_getcpuclockid, which Python does not offer).
    clocks = [~child.pid << 3 | 2 for child in multiprocessing.active_children()] if sys.platform == "linux" else []
    return time.process_time() + sum(map(time.clock_gettime, clocks))


def main(name: str, cores: str) -> None:
    if hasattr(os, "sched_setaffinity"):  # some thread pools take every core that they see
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session(name, int(cores))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(session, request.pop("do"))(**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
