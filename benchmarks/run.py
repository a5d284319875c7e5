"""The benchmark: `make bench`, or `python benchmarks/run.py` in an environment that has the peers.

Each peer is a process of its own. After a warm-up they take turns, one at a time, on each problem; a ratio of times is
formed within one repetition. A run whose work is not alike (draws, precision, threads, or the gradient itself) is an
error. A full run replaces results.json and results.png beside this file; any other writes to _build/benchmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from importlib import metadata, util
from pathlib import Path

import numpy as np
import report
from compare import UnlikeWork, check, ratios, spread
from problems import LOGISTIC, PROBLEMS, RULES, SCALAR

HERE = Path(__file__).resolve().parent
PARTS = ("speed", "floor", "scaling", "quasi")
# --without name ↦ its title, the module to look for
PEERS = {"torch": ("PyTorch", "torch"), "jax": ("JAX", "jax"), "dask": ("Dask", "distributed")}
PACKAGES = ("gradlib", "numpy", "scipy", "sympy", "torch", "jax", "jaxlib", "dask", "distributed")
PAUSE = 0.05  # seconds between two turns: threads that spin while they wait for work go to sleep

# Draws for each core in the speed comparison; the sample sizes of the others as they are.
FULL = {
    "speed": 2**22, "logistic": 2**15, "workers": 2**23, "dask": 10**8,
    "cost": [10**5, 10**6, 10**7, 10**8, 10**9], "points": [2**16, 2**18],
}  # fmt: skip
QUICK = {
    "speed": 2**15, "logistic": 2**12, "workers": 2**22, "dask": 2**17,
    "cost": [10**4, 10**5], "points": [2**10],
}  # fmt: skip


class Process:
    """A peer in its own process (worker.py)."""

    def __init__(self, name: str, cores: int):
        self.name = name
        self.pipe = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name, str(cores)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(name, cores),
        )  # fmt: skip
        hello = self.ask("hello")
        self.threads, self.contestants = hello["threads"], hello["contestants"]

    def ask(self, do: str, **request):
        self.pipe.stdin.write(json.dumps({"do": do} | request) + "\n")
        self.pipe.stdin.flush()
        line = self.pipe.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended with code {self.pipe.wait()}"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}, {do} {request}:\n{answer['error']}")
        return answer

    def close(self) -> None:
        self.pipe.stdin.close()
        self.pipe.wait()


def _environment(name: str, cores: int) -> dict[str, str]:
    """One thread of linear algebra in gradlib's processes, where the blocks run in parallel; all cores for the peers.

    The hash seed is fixed, since SymPy's order of terms, and with it what the kernels compute first, depends on it.
    """
    parallel = "1" if name in ("gradlib", "floor") else str(cores)
    blas = {f"{library}_NUM_THREADS": parallel for library in ("OMP", "OPENBLAS", "MKL")}
    order = {"PYTHONHASHSEED": "0"}
    jax = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={cores}"}
    return os.environ | blas | order | jax


# --- speed and floor -------------------------------------------------------------------------


def speed(settings: Mapping, say: Callable) -> list[dict]:
    """Every problem, rule and contestant: a ratio to gradlib's time for each repetition."""
    return _side_by_side(["gradlib", *settings["peers"]], PROBLEMS, settings, say, _against_gradlib)


def floor(settings: Mapping, say: Callable) -> list[dict]:
    """gradlib's time over that of the draws and one evaluation of each transcendental function."""
    return _side_by_side(["gradlib", "floor"], SCALAR, settings, say, _against_floor)


def _side_by_side(
    names: list[str], problems: Mapping, settings: Mapping, say: Callable, rows_of: Callable
) -> list[dict]:
    processes: list[Process] = []
    try:
        for name in names:
            processes.append(Process(name, settings["cores"]))
        rows = []
        for problem in problems:
            for rule in RULES:
                say(f"{PROBLEMS[problem].title}, {rule}")
                rows += rows_of(problem, rule, measure(processes, problem, rule, settings))
        return rows
    finally:
        for process in processes:
            process.close()


def measure(processes: list, problem: str, rule: str, settings: Mapping) -> dict[str, list[dict]]:
    """Contestant ↦ its results, one for each repetition, each checked against the exact gradient.

    The first process is gradlib's: it knows the exact value, and its standard error judges all of them.
    """
    size = settings["sizes"]["logistic" if problem in LOGISTIC else "speed"]
    samples = size * settings["cores"]
    exact = processes[0].ask("exact", problem=problem, rule=rule)["value"]
    for process in processes:
        process.ask("warm", problem=problem, rule=rule, samples=samples)
    turns = [(process, contestant) for process in processes for contestant in process.contestants]
    results: dict[str, list[dict]] = {contestant: [] for _, contestant in turns}
    for repetition in range(settings["repetitions"]):
        # Back and forth, so that nobody always follows the same neighbour.
        for process, contestant in turns if repetition % 2 == 0 else reversed(turns):
            time.sleep(PAUSE)
            result = process.ask(
                "time", problem=problem, rule=rule, contestant=contestant, samples=samples, seed=1 + repetition
            )
            results[contestant].append(result)
    stderr = np.median([result["stderr"] for result in results["gradlib"]], axis=0)
    for contestant, runs in results.items():
        for result in runs:
            truth = None if contestant == "floor" else exact
            check(result, f"{contestant}, {PROBLEMS[problem].title}, {rule}", samples, settings["cores"], truth, stderr)
    return results


def _against_gradlib(problem: str, rule: str, results: Mapping) -> list[dict]:
    return [row(problem, rule, results, peer, "gradlib") for peer in results if peer != "gradlib"]


def _against_floor(problem: str, rule: str, results: Mapping) -> list[dict]:
    return [row(problem, rule, results, "gradlib", "floor")]


def row(problem: str, rule: str, results: Mapping, who: str, base: str) -> dict:
    """One line of the table: seconds of ``who`` / seconds of ``base`` in each repetition, and what they rest on."""
    times = {name: [result["seconds"] for result in results[name]] for name in (who, base)}
    last = results[who][-1]
    return {
        "problem": problem,
        "title": PROBLEMS[problem].title,
        "rule": rule,
        "who": who,
        "base": base,
        "ratio": spread(ratios(times[who], times[base])),
        "samples": last["samples"],
        "threads": last["threads"],
        "dtype": last["dtypes"][0],
        "variant": last["variant"],
        "base_variant": results[base][-1]["variant"],
        "standard_error": last["stderr"] is not None,
        "ns_per_draw": {name: 1e9 * float(np.median(t)) / last["samples"] for name, t in times.items()},
        "busy_cores": {name: float(np.median([result["busy"] for result in results[name]])) for name in times},
    }


# --- the engine alone --------------------------------------------------------------------------


def _fresh(measurement: str, **settings) -> dict:
    """One measurement of engine.py in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / "engine.py"), measurement, json.dumps(settings)],
        stdout=subprocess.PIPE, text=True, check=True, env=_environment("gradlib", settings["cores"]),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def scaling(settings: Mapping, say: Callable) -> dict:
    """Workers, cost and memory against the number of draws, and Dask."""
    sizes = settings["sizes"]
    common = {"cores": settings["cores"], "repetitions": settings["repetitions"]}
    say("one worker against all")
    answer = {"workers": _fresh("workers", samples=sizes["workers"], logistic=2 * sizes["logistic"], **common)}
    say(f"cost up to {max(sizes['cost']):,} draws")
    answer["cost"] = [
        _fresh("cost", samples=n, **common | ({"repetitions": 1} if n >= 10**9 else {})) for n in sizes["cost"]
    ]
    answer["slope"] = slope(answer["cost"])
    if settings["dask"]:
        say("Dask against threads")
        answer["dask"] = _fresh("dask", samples=sizes["dask"], **common)
    for pair in [*answer["workers"]["rows"], answer.get("dask", {})]:
        if not pair.get("same_bits", True):
            raise UnlikeWork(f"{pair.get('title', 'Dask')}: two executors gave different bits for the same seed")
    return answer


def slope(cost: list[dict]) -> float:
    """Of log time against log draws: 1 if the cost is proportional."""
    n, seconds = zip(*((row["samples"], row["seconds"]["median"]) for row in cost))
    return float(np.polyfit(np.log(n), np.log(seconds), 1)[0])


def quasi(settings: Mapping, say: Callable) -> dict:
    say("Sobol' points at equal time")
    return _fresh(
        "quasi", points=settings["sizes"]["points"], cores=settings["cores"], repetitions=settings["repetitions"]
    )


# --- the run -------------------------------------------------------------------------------------


def machine(cores: int) -> dict:
    """Processor, cores and operating system; no name of the host."""
    return {"processor": _processor(), "cores": cores, "os": _system(), "architecture": platform.machine()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass  # left out with --without
    return found


def missing(without: list[str]) -> list[str]:
    """One line for each peer that is wanted and not there."""
    return [
        f"{title} is not installed: make bench installs it (or leave it out: --without {name})"
        for name, (title, module) in PEERS.items()
        if name not in without and util.find_spec(module) is None
    ]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare gradlib with PyTorch and JAX, side by side.")
    parser.add_argument("--quick", action="store_true", help="few draws, two repetitions: a test of the harness")
    parser.add_argument("--only", choices=PARTS, help="one part of the benchmark")
    parser.add_argument("--without", choices=PEERS, action="append", default=[], help="leave a peer out")
    parser.add_argument("--repetitions", type=int, help="7 unless told, 2 with --quick")
    parser.add_argument("--cores", type=int, default=_cores(), help="threads for each (default: all)")
    chosen = parser.parse_args(argv)
    chosen.repetitions = chosen.repetitions or (2 if chosen.quick else 7)
    chosen.complete = not (chosen.quick or chosen.only or chosen.without)
    return chosen


def main(argv: list[str] | None = None) -> int:
    chosen = arguments(argv)
    absent = missing(chosen.without)
    if absent:
        print("\n".join(absent), file=sys.stderr)
        return 2
    start = time.perf_counter()
    settings = {
        "cores": chosen.cores,
        "repetitions": chosen.repetitions,
        "sizes": QUICK if chosen.quick else FULL,
        "peers": [name for name in ("torch", "jax") if name not in chosen.without],
        "dask": "dask" not in chosen.without,
    }

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - start:5.0f} s] {text}", file=sys.stderr, flush=True)

    results = {
        "date": date.today().isoformat(),
        "complete": chosen.complete,
        "machine": machine(chosen.cores),
        "versions": versions(),
        "repetitions": chosen.repetitions,
    }
    try:
        for part in [chosen.only] if chosen.only else PARTS:
            results[part] = {"speed": speed, "floor": floor, "scaling": scaling, "quasi": quasi}[part](settings, say)
    except UnlikeWork as error:
        print(f"Not comparable. {error}", file=sys.stderr)
        return 1
    results["minutes"] = round((time.perf_counter() - start) / 60, 1)
    folder = HERE if chosen.complete else HERE.parent / "_build" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(report.table(results))
    if results.get("speed"):
        report.figure(results, folder / "results.png")
    print(f"\nWritten to {os.path.relpath(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
