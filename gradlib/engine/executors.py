r"""Tasks on any executor with the interface of :mod:`concurrent.futures`, results in order.

Threads by default. ``ProcessPoolExecutor``, Dask's ``Client.get_executor()`` and MPI's
``MPIPoolExecutor`` do as well: a task is a function of its arguments alone, so it does
not matter where, when or how often it runs.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from threading import Event, Lock

AHEAD = 256  # tasks in flight on a foreign executor: keeps a hundred workers busy, and bounds the memory


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(executor, job, tasks: Iterable[tuple]) -> Iterator:
    """Run ``job(*task)`` for each task and yield the results in the order of the tasks.

    Args:
        executor: ``None`` for threads on all processors; an executor; or a function without
            arguments that makes one, which is closed at the end and replaced once if it breaks.
        job: a callable. If it is a dataclass with a field ``stopped``, that tells a thread whether
            anybody waits for the result. To an executor that may be in another process it travels by
            cloudpickle, which takes lambdas and closures too.
        tasks: tuples of arguments.

    Raises:
        TypeError: for what is no executor, and for a job that cannot be pickled, before
            any task starts.
        RuntimeError: if the executor breaks.
    """
    if executor is None:
        executor = ThreadPoolExecutor(processors())
        make, owned, ahead = None, True, 4 * processors()
    elif callable(getattr(executor, "submit", None)) and not isinstance(executor, type):
        make, owned, ahead = None, False, AHEAD
    elif callable(executor):
        make, owned, ahead = executor, True, AHEAD
        executor = _made(make)
    else:
        raise TypeError(
            f"executor= takes an executor of concurrent.futures, or a function that makes one; got {executor!r}"
        )
    try:
        stop = Event()
        if isinstance(executor, ThreadPoolExecutor):
            function, first = (replace(job, stopped=stop.is_set) if hasattr(job, "stopped") else job), ()
        else:
            function, first = _unpacked, (_packed(job), os.getpid())
        pending: deque = deque()
        waiting = iter(tasks)

        def submit(task):
            try:
                return executor.submit(function, *first, *task)
            except BrokenExecutor as error:
                return error

        try:
            while True:
                while len(pending) < ahead and (task := next(waiting, None)) is not None:
                    pending.append((task, submit(task)))
                if not pending:
                    return
                task, future = pending[0]
                try:
                    if isinstance(future, BrokenExecutor):
                        raise future
                    result = future.result()
                except BrokenExecutor as error:
                    if make is None:
                        raise RuntimeError(_BROKEN.format(error or type(error).__name__)) from error
                    # The tasks in flight are lost; all of them run again on a new executor, once.
                    executor.shutdown(wait=False, cancel_futures=True)
                    executor, make = _made(make), None
                    pending = deque((task, submit(task)) for task, _ in pending)
                    continue
                except CancelledError as error:
                    raise RuntimeError(_CANCELLED) from error
                pending.popleft()
                yield result
        finally:
            stop.set()
            for _, future in pending:
                if not isinstance(future, BrokenExecutor):
                    future.cancel()
    finally:
        if owned:
            executor.shutdown(wait=True, cancel_futures=True)


_CANCELLED = "the executor cancelled a task, so there is no estimate: was it closed?"
_BROKEN = (
    "the executor broke, so there is no estimate ({}). A worker was killed or ran out of memory. Give a function that "
    "makes the executor, such as executor=functools.partial(ProcessPoolExecutor, 2): then a broken one is replaced once"
)


def _made(make: Callable[[], Executor]) -> Executor:
    executor = make()
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor={make!r} returned {executor!r}, which has no submit(): return an executor of concurrent.futures"
        )
    return executor


# cloudpickle and threadpoolctl are imported where they are used: with the first run that needs them.


def _packed(job) -> bytes:
    import cloudpickle

    try:
        return cloudpickle.dumps(job)
    except Exception as error:  # pickling runs the objects' own code: anything may come out
        culprits = [f"the function {name}" for name, function in job.functions.items() if not _can_travel(function)]
        raise TypeError(
            f"{' and '.join(culprits) or 'this work'} cannot travel to another process ({error}). "
            "Create what cannot be copied (an open file, a lock, a connection) inside the function, or use threads"
        ) from error


def _can_travel(function) -> bool:
    import cloudpickle

    try:
        return bool(cloudpickle.dumps(function))
    except Exception:
        return False


def _unpacked(job: bytes, home: int, *task):
    work = _loaded(job)
    if os.getpid() != home:
        _one_blas_thread_for_good(len(sys.modules))
    return work(*task)


@lru_cache(maxsize=8)
def _loaded(job: bytes):
    import cloudpickle

    return cloudpickle.loads(job)


_lock = Lock()
_runs: list = []  # one entry for each run in progress; the first holds the former number of threads


@lru_cache(maxsize=1)
def _libraries(modules: int):
    """The libraries of linear algebra in this process; looked for again when it has imported more modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _limited():
    return _libraries(len(sys.modules)).limit(limits=1, user_api="blas")


def _release() -> None:
    """threadpoolctl lets only the thread that set the number first set it again; here the last run out may be any."""
    for library in _libraries(len(sys.modules)).lib_controllers:
        getattr(library, "clear_controlling_thread", lambda force: None)(force=True)


def _set(change: Callable):
    _release()
    try:
        return change()
    finally:
        _release()


@contextmanager
def one_blas_thread():
    """One thread of linear algebra for each worker: more would fight for the processors, and change the order of sums.

    The number belongs to the whole process, so the first run in sets it and the last one out
    restores it. Once a run, not once a task: a restored OpenBLAS wakes threads that spin for a while.
    """
    with _lock:
        _runs.append(None if _runs else _set(_limited))
    try:
        yield
    finally:
        with _lock:
            if former := _runs.pop():
                _set(former.restore_original_limits)


@lru_cache(maxsize=1)
def _one_blas_thread_for_good(modules: int) -> None:
    """The same in a worker process, which has no other work (Dask's workers start like this too)."""
    _limited()
