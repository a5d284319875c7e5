"""Executors: the same bits wherever the blocks run, and no answer from a run that broke."""

import itertools
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import pytest
import sympy as sp
import sympy.stats as st
from cases import mu, sigma
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import gradlib as gl
from gradlib.engine.executors import AHEAD, in_order, processors
from gradlib.engine.plan import BLOCK

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forks beside threads, on purpose

X = st.Normal("X", mu, sigma)
F = sp.Function("F")
J, BOX, AT = gl.Expectation(sp.cos(2 * X) * X), gl.Expectation(F(X)), {mu: 0.3, sigma: 1.2}
SEVERAL = 9 * BLOCK + 17
METHODS = [method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()]


def processes(workers=2, method=METHODS[0]):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method))


def children():
    """Worker processes that are still there, but for those of the Dask cluster."""
    return [process for process in multiprocessing.active_children() if "Dask" not in process.name]


def closure(power):
    return lambda x: np.cos(x) ** power


WORK = {
    "gradient": lambda **how: gl.estimate(gl.score_function(J, [mu, sigma]), AT, samples=SEVERAL, rng=11, **how),
    "black box": lambda **how: gl.estimate(BOX, AT, samples=SEVERAL, rng=12, functions={F: closure(3)}, **how),
    "own draws": lambda **how: gl.monte_carlo(
        lambda rng, n: rng.random((n, 2)) ** 3, 300 * 64 + 5, rng=13, block=64, **how
    ),
    "wanted error": lambda **how: gl.monte_carlo(lambda rng, n: rng.random(n), rng=14, block=256, stderr=1.3e-3, **how),
    "wanted error of an expectation": lambda **how: gl.estimate(J, AT, rng=15, stderr=5.5e-4, **how),
    "pairs": lambda **how: gl.difference(
        J, AT, {mu: 0.31, sigma: 1.2}, samples=2 * SEVERAL, rng=16, sampling="antithetic", **how
    ),
    "scrambles": lambda **how: gl.estimate(J, AT, samples=16 * 2**9, rng=17, sampling="sobol", **how),
    "scrambles, wanted error": lambda **how: gl.estimate(J, AT, stderr=1e-4, rng=17, sampling="sobol", **how),
}


def bits(estimate):
    return np.asarray(estimate.value).tobytes(), np.asarray(estimate.stderr).tobytes(), estimate.samples


@lru_cache(maxsize=None)
def alone(name):
    """On one thread."""
    with ThreadPoolExecutor(1) as executor:
        return bits(WORK[name](executor=executor))


def check_bits(executor):
    for name, run in WORK.items():
        assert bits(run(executor=executor)) == alone(name), name


class Backwards(Executor):
    """In this process; whatever was asked for last is done first."""

    class Promise(Future):
        def result(self, timeout=None):
            self.executor.work()
            return super().result(timeout)

    def __init__(self):
        self.waiting, self.submitted, self.closed = [], 0, False

    def submit(self, f, /, *arguments, **named):
        future = self.Promise()
        future.executor = self
        self.waiting.append((future, f, arguments, named))
        self.submitted += 1
        return future

    def work(self):
        while self.waiting:
            future, f, arguments, named = self.waiting.pop()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(f(*arguments, **named))
                except BaseException as error:
                    future.set_exception(error)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.closed = True


class Shuffled(ThreadPoolExecutor):
    """Threads that dawdle."""

    def submit(self, f, /, *arguments):
        delay = random.Random(str(arguments)).random() * 0.01
        return super().submit(lambda: (time.sleep(delay), f(*arguments))[1])


# --- the same bits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [lambda: ThreadPoolExecutor(2), lambda: ThreadPoolExecutor(5), Backwards, lambda: Shuffled(4)],
    ids=["2 threads", "5 threads", "backwards", "shuffled"],
)
def test_bits(make, monkeypatch):
    monkeypatch.setattr("gradlib.engine.executors.AHEAD", 8)
    with make() as executor:
        check_bits(executor)


def test_bits_on_the_default(monkeypatch):
    for count in (1, 3):
        monkeypatch.setattr("gradlib.engine.executors.processors", lambda count=count: count)
        check_bits(None)


@pytest.mark.parametrize("method", METHODS)
def test_bits_in_other_processes(method):
    with processes(2, method) as executor:
        check_bits(executor)
    assert not children()


def test_other_streams_have_other_bits():
    """The comparison can fail."""
    assert bits(gl.estimate(J, AT, samples=SEVERAL, rng=1)) != bits(gl.estimate(J, AT, samples=SEVERAL, rng=2))
    assert bits(gl.estimate(J, AT, samples=SEVERAL, rng=1)) != bits(gl.estimate(J, AT, samples=SEVERAL + 1, rng=1))


def test_the_work_really_runs_there():
    seen = set()
    functions = {F: lambda x: (seen.add(threading.current_thread().name), x)[1]}
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        gl.estimate(BOX, AT, samples=SEVERAL, rng=0, functions=functions, executor=executor)
    assert seen and all(name.startswith("mine") for name in seen)
    with processes(1) as executor:
        pids = gl.estimate(
            BOX,
            AT,
            samples=1000,
            rng=0,
            functions={F: lambda x: np.full(len(x), float(os.getpid()))},
            executor=executor,
        )
    assert pids.value != os.getpid() and pids.stderr == 0


def test_blocks_really_run_in_several_threads(monkeypatch):
    monkeypatch.setattr("gradlib.engine.executors.processors", lambda: 2)
    both = threading.Barrier(2, timeout=10)

    def draw(rng, size):
        both.wait()  # passes only if two blocks are in flight at once
        return rng.random(size)

    gl.monte_carlo(draw, 4 * 1024, rng=0, block=1024)


def test_processors_are_those_of_this_process():
    assert 1 <= processors() <= os.cpu_count()


# --- Dask -----------------------------------------------------------------------------------


def test_dask(tmp_path):
    """On two worker processes: the bits, a killed worker, errors; afterwards no process and no open port is left."""
    distributed = pytest.importorskip("distributed")
    before = set(multiprocessing.active_children())
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        port = int(cluster.scheduler_address.rsplit(":", 1)[1])
        with distributed.Client(cluster, set_as_default=False) as client:
            check_dask(client, str(tmp_path / "killed"))
    for _ in range(100):
        left = set(multiprocessing.active_children()) - before
        with socket.socket() as probe:
            refused = probe.connect_ex(("127.0.0.1", port)) != 0
        if refused and not left:
            break
        time.sleep(0.1)
    assert refused and not left


def check_dask(client, flag):
    executor = client.get_executor(pure=False)
    check_bits(executor)
    # What was sent ahead of a reached standard error is taken back.
    for _ in range(100):
        if not any(client.processing().values()):
            break
        time.sleep(0.1)
    assert not any(client.processing().values())
    # Dask may remember results by their arguments.
    remembers = client.get_executor()
    for name in ("gradient", "own draws", "own draws"):
        assert bits(WORK[name](executor=remembers)) == alone(name)
    # An error comes through, and the cluster still works.
    with pytest.raises(ValueError, match="mine"):
        gl.estimate(BOX, AT, samples=SEVERAL, rng=0, functions={F: failing(home=0)}, executor=executor)
    # The blocks of a killed worker run again elsewhere, from the same streams.
    got = gl.estimate(BOX, AT, samples=SEVERAL, rng=12, functions={F: deadly(flag, closure(3))}, executor=executor)
    assert os.path.exists(flag)
    assert bits(got) == alone("black box")


# --- executors that break ---------------------------------------------------------------------


def deadly(flag, then, home=os.getpid()):
    """A black box that kills its process; where a flag is given, once."""

    def box(x):
        if os.getpid() != home:
            try:
                if flag:
                    os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return then(x)

    return box


def failing(home):
    def box(x):
        if os.getpid() != home:
            raise ValueError("mine")
        return x

    return box


def test_a_killed_process_gives_no_estimate():
    with (
        processes() as executor,
        pytest.raises(
            RuntimeError,
            match=r"the executor broke, so there is no estimate.*functools.partial\(ProcessPoolExecutor, 2\)",
        ),
    ):
        gl.estimate(BOX, AT, samples=SEVERAL, rng=12, functions={F: deadly(None, np.cos)}, executor=executor)
    assert not children()


class Made:
    """A function that makes executors, and remembers them."""

    def __init__(self, make):
        self.make, self.executors = make, []

    def __call__(self):
        assert len(self.executors) < 5, "replaced for ever"
        self.executors.append(self.make())
        return self.executors[-1]

    def all_closed(self):
        for executor in self.executors:
            with pytest.raises(RuntimeError):
                executor.submit(abs, 1)
        return True


@pytest.mark.parametrize("wanted", [{"samples": SEVERAL}, {"stderr": 1.5e-3}], ids=["samples", "stderr"])
def test_a_factory_replaces_a_broken_executor_once(tmp_path, wanted):
    flag, make = str(tmp_path / "killed"), Made(partial(processes, 2))
    functions = {F: closure(3)}
    got = gl.estimate(BOX, AT, rng=12, functions={F: deadly(flag, closure(3))}, executor=make, **wanted)
    assert os.path.exists(flag) and len(make.executors) == 2
    assert bits(got) == bits(gl.estimate(BOX, AT, rng=12, functions=functions, **wanted))
    assert make.all_closed() and not children()


def test_a_factory_does_not_replace_it_for_ever():
    make = Made(partial(processes, 2))
    with pytest.raises(RuntimeError, match="the executor broke"):
        gl.estimate(BOX, AT, samples=SEVERAL, rng=12, functions={F: deadly(None, np.cos)}, executor=make)
    assert len(make.executors) == 2
    assert make.all_closed() and not children()


def test_a_factory_is_closed_and_an_executor_is_left_open():
    make = Made(partial(ThreadPoolExecutor, 2))
    assert bits(WORK["own draws"](executor=make)) == alone("own draws")
    assert len(make.executors) == 1 and make.all_closed()
    with pytest.raises(ZeroDivisionError):
        gl.monte_carlo(lambda rng, n: 1 / 0, 10, executor=make)
    assert len(make.executors) == 2 and make.all_closed()
    with ThreadPoolExecutor(2) as mine:
        WORK["own draws"](executor=mine)
        with pytest.raises(ZeroDivisionError):
            gl.monte_carlo(lambda rng, n: 1 / 0, 10, executor=mine)
        assert mine.submit(abs, -1).result() == 1


def test_a_class_is_a_factory():
    """ThreadPoolExecutor itself is a function without arguments that makes one."""
    assert bits(WORK["own draws"](executor=ThreadPoolExecutor)) == alone("own draws")


@pytest.mark.parametrize("executor", [5, "threads", 0, True, [ThreadPoolExecutor], {}, 2.5], ids=str)
def test_what_is_no_executor(executor):
    for samples in (10, SEVERAL):
        with pytest.raises(
            TypeError, match="executor= takes an executor of concurrent.futures, or a function that makes one"
        ):
            gl.estimate(J, AT, samples=samples, executor=executor)


@pytest.mark.parametrize("made", [None, 7, "x"])
def test_a_factory_that_makes_something_else(made):
    with pytest.raises(TypeError, match="which has no submit"):
        gl.estimate(J, AT, samples=SEVERAL, executor=lambda: made)


def test_a_factory_that_fails():
    def make():
        raise OSError("no machine")

    with pytest.raises(OSError, match="no machine"):
        gl.estimate(J, AT, samples=SEVERAL, executor=make)


def test_a_closed_executor():
    for executor in (ThreadPoolExecutor(1), processes(1)):
        executor.shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            gl.estimate(J, AT, samples=SEVERAL, executor=executor)


def test_an_executor_closed_in_the_middle():
    """What was cancelled is never counted: no estimate, and no waiting for ever."""
    executor = ThreadPoolExecutor(1)

    def draw(rng, size):
        executor.shutdown(wait=False, cancel_futures=True)
        return rng.random(size)

    with pytest.raises(RuntimeError, match="cancelled a task, so there is no estimate|after shutdown"):
        gl.monte_carlo(draw, 40 * 64, rng=0, block=64, executor=executor)


@pytest.mark.parametrize("which", [0, 3, 19])
def test_a_cancelled_future(which):
    class Forgetful(Backwards):
        def submit(self, f, /, *arguments):
            future = super().submit(f, *arguments)
            if self.submitted == which + 1:
                future.cancel()
                future.set_running_or_notify_cancel()
                self.waiting.pop()
            return future

    with pytest.raises(RuntimeError, match="cancelled a task, so there is no estimate"):
        gl.monte_carlo(lambda rng, n: rng.random(n), 40 * 64 * 8, rng=0, block=64, executor=Forgetful())


# --- what cannot travel -------------------------------------------------------------------------


def test_what_cannot_travel_is_named_before_anything_starts(tmp_path):
    lock, G = threading.Lock(), sp.Function("G")

    def locked(x):
        with lock:
            return x

    with open(tmp_path / "log", "wb") as log:
        for box in (locked, lambda x: (log.write(b"."), x)[1]):
            executor = Backwards()
            with pytest.raises(TypeError, match="the function F_? cannot travel to another process.*use threads"):
                gl.estimate(
                    gl.Expectation(F(X) * G(X)), AT, samples=SEVERAL, functions={F: box, G: np.cos}, executor=executor
                )
            assert executor.submitted == 0
            gl.estimate(BOX, AT, samples=1000, functions={F: box})  # threads have no such trouble
            with ThreadPoolExecutor(1) as threads:
                gl.estimate(BOX, AT, samples=1000, functions={F: box}, executor=threads)
    with pytest.raises(TypeError, match="the function draw cannot travel"):
        gl.monte_carlo(lambda rng, n: locked(rng.random(n)), 100, executor=Backwards())


def test_what_is_sent_is_small():
    """A task holds the kernel's text and two numbers, not arrays or SymPy's trees."""
    import cloudpickle

    class Scales(Backwards):
        sizes: list = []

        def submit(self, f, /, *arguments):
            self.sizes.append(len(cloudpickle.dumps(arguments)))
            return super().submit(f, *arguments)

    WORK["gradient"](executor=Scales())
    assert 0 < max(Scales.sizes) < 20_000


# --- errors in a block ------------------------------------------------------------------------------


def test_an_error_in_a_block_comes_through_and_the_rest_is_cancelled():
    """Not at the end of a long run, and not as an estimate without that block."""
    calls = itertools.count()

    def draw(rng, size):
        if next(calls) == 3:
            raise LookupError("mine")
        time.sleep(0.001)
        return rng.random(size)

    with ThreadPoolExecutor(1) as mine, pytest.raises(LookupError, match="mine"):
        gl.monte_carlo(draw, 200 * 16 * 8, rng=0, block=8, executor=mine)
    assert next(calls) < 200
    calls = itertools.count()
    with pytest.raises(LookupError, match="mine"):
        gl.monte_carlo(draw, 2000 * 16 * 8, rng=0, block=8)
    assert next(calls) < 2000


@pytest.mark.parametrize("method", METHODS[:1])
def test_an_error_in_another_process_comes_through(method):
    with processes(2, method) as executor, pytest.raises(ValueError, match="mine"):
        gl.estimate(BOX, AT, samples=SEVERAL, functions={F: failing(os.getpid())}, executor=executor)


# --- in_order itself --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "executor", [None, Backwards(), partial(ThreadPoolExecutor, 3)], ids=["default", "backwards", "factory"]
)
def test_results_come_in_order(executor):
    assert list(in_order(executor, lambda i, j: (i, j), ((i, -i) for i in range(1000)))) == [
        (i, -i) for i in range(1000)
    ]
    assert list(in_order(executor, lambda i: i, [])) == []


def test_tasks_are_taken_as_they_are_needed():
    """An endless supply of tasks: a bounded number is in flight, and the rest is never made."""
    taken = itertools.count()
    endless = ((next(taken),) for _ in itertools.count())
    results = in_order(None, lambda i: i, endless)
    assert [next(results) for _ in range(50)] == list(range(50))
    results.close()
    assert next(taken) <= 50 + 4 * processors() + 1
    executor, taken = Backwards(), itertools.count()
    results = in_order(executor, lambda i: i, ((next(taken),) for _ in itertools.count()))
    assert [next(results) for _ in range(300)] == list(range(300))
    assert executor.submitted <= 300 + AHEAD
    results.close()
    assert all(future.cancelled() for future, *_ in executor.waiting) and not executor.closed


# --- threads of linear algebra -------------------------------------------------------------------------


def threads(library):
    """Those of linear algebra."""
    return library["num_threads"] if library["user_api"] == "blas" else 0


def blas():
    return {threads(library) for library in threadpool_info()} - {0}


def set_blas(threads):
    """Whoever was the last to set it: threadpoolctl lets one thread at a time do so."""
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(threads)
        release(force=True)


@pytest.fixture
def two_threads():
    """Whatever the environment says, two threads of linear algebra outside of a run."""
    set_blas(2)
    if blas() != {2}:
        pytest.skip("this linear algebra has one thread only")
    yield
    set_blas(1)


def seen(inside, then=lambda x: x):
    return {F: lambda x: (inside.append(blas()), then(x))[1]}


def test_one_thread_of_linear_algebra_inside_a_run_and_the_former_number_after(two_threads):
    inside = []
    for samples in (1000, SEVERAL):
        gl.estimate(BOX, AT, samples=samples, functions=seen(inside))
        assert blas() == {2}
    assert inside and all(count == {1} for count in inside)


def test_also_after_an_error(two_threads):
    def fail(x):
        raise KeyError("mine")

    for executor in (None, ThreadPoolExecutor(1)):
        with pytest.raises(KeyError):
            gl.estimate(BOX, AT, samples=SEVERAL, functions={F: fail}, executor=executor)
        assert blas() == {2}
    with pytest.raises(TypeError):
        gl.estimate(BOX, AT, samples=SEVERAL, functions={F: fail}, executor=5)
    with pytest.raises(gl.Unfinished):
        gl.monte_carlo(lambda rng, n: rng.random(n), 1000, stderr=1e-9)
    assert blas() == {2}


def test_also_when_a_black_box_estimates_itself(two_threads):
    inside = []

    def nested(x):
        inner = gl.estimate(J, AT, samples=2 * BLOCK, rng=0)
        inside.append(blas())
        return x * inner.value

    got = gl.estimate(BOX, AT, samples=4 * BLOCK, rng=1, functions={F: nested})
    inner = gl.estimate(J, AT, samples=2 * BLOCK, rng=0).value
    assert abs(got.z(0.3 * inner)) < 5
    assert len(inside) == 4 and all(count == {1} for count in inside)
    assert blas() == {2}


@pytest.mark.parametrize("here", [True, False], ids=["main thread", "any thread"])
def test_also_when_runs_overlap(two_threads, here):
    """The first to start is the first to end: the other still has one thread, and restores it, in any thread."""
    inner, started, ended, inside = threading.Event(), threading.Event(), threading.Event(), []

    def first(x):
        inner.set()
        started.wait(10)
        return x

    def second(x):
        started.set()
        ended.wait(10)
        inside.append(blas())
        return x

    with ThreadPoolExecutor(2) as runs:
        run = partial(gl.estimate, BOX, AT, samples=100)
        two = runs.submit(lambda: (inner.wait(10), run(functions={F: second})))
        if here:
            run(functions={F: first})
        else:
            runs.submit(run, functions={F: first}).result(20)
        ended.set()
        two.result(20)
    assert inside == [{1}]
    assert blas() == {2}


def test_a_run_leaves_the_others_their_say(two_threads):
    """Afterwards any thread may set the number again."""
    run = partial(gl.estimate, BOX, AT, samples=100)
    for execute in (lambda f: f(), lambda f: ThreadPoolExecutor(1).submit(f).result()):
        inside = []
        execute(lambda: run(functions=seen(inside)))
        assert inside == [{1}] and blas() == {2}

        def mine():
            with threadpool_limits(3, "blas"):
                return blas()

        assert ThreadPoolExecutor(1).submit(mine).result() == {3}
        assert blas() == {2}


def test_one_thread_of_linear_algebra_in_worker_processes(monkeypatch):
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "2")
    with processes(1, METHODS[-1]) as executor:
        executor.submit(np.zeros, 1).result()
        before = {threads(library) for library in executor.submit(threadpool_info).result()} - {0}
        count = {F: lambda x: np.full(len(x), float(max(map(threads, threadpool_info()))))}
        inside = gl.estimate(BOX, AT, samples=1000, functions=count, executor=executor)
    assert inside.value == 1 and inside.stderr == 0
    assert before != {1} or blas() == {1}
