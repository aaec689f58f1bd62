"""Where independent tasks are worked on: in this process, in several on this machine, or on a Dask cluster.

All three take the same tasks and give the results in the same order, so the answer does not depend on the choice.
Tasks are taken from their source as they are needed, and results handed on as they are asked for, so memory does not
follow their number.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from celltrail.data.errors import InputError, WorkFailed, import_extra
from celltrail.data.running import log_file
from celltrail.data.running.children import watch_children
from celltrail.data.words import counted

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE = 10  # seconds until a scheduler must have answered
AHEAD = 4  # tasks per worker that wait for it
LONELY = 3  # times that patience until a cluster is given up that has lost all its workers
LEAST_AHEAD = 64  # tasks that wait on a cluster, however small it is: one that grows on demand must see some


class Mapper(Protocol):
    """Like ``map``: applies a function to items, results in the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]: ...


@contextmanager
def open_workers(jobs: int = 1, dask: str | None = None) -> Iterator[Mapper]:
    """A function like ``map`` that works in ``jobs`` processes, or on a Dask cluster.

    Functions and items travel to other processes: give functions of a module, and small items (names of files rather
    than pixels).

    Parameters
    ----------
    jobs : int
        Number of processes on this machine; 1: this process.
    dask : str | None
        Address of a Dask scheduler (``tcp://host:8786``), or ``local`` for one on this machine with ``jobs``
        workers. A worker that dies is replaced: its tasks are done again by another.

    Raises
    ------
    InputError
        If no scheduler answers at the address.
    MissingExtra
        If Dask is not installed.
    WorkFailed
        If workers cannot be started; from the function given, if a process dies, if a task kills one Dask worker
        after the other, if all of them are gone and none has come back, or if the scheduler is gone.
    """
    if jobs > 1 or dask is not None:
        watch_children()
    if dask is not None:
        with _client(jobs, dask) as client:
            yield lambda function, items: _on_cluster(client, function, items)
    elif jobs > 1:
        with _pool(jobs) as pool:
            yield lambda function, items: _in_pool(pool, jobs, function, items)
    else:
        yield map


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes: what libraries keep in theirs (threads, open devices) does not survive a fork."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _silent(library: str) -> Iterator[None]:
    """What a library logs while it copes with what has died, tracebacks among it; what ends the work is told by us."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _client(jobs: int, address: str) -> Iterator[Any]:
    distributed = import_extra("distributed", "cluster")
    if address == "local":
        with (
            _silent("distributed"),
            _own_cluster(distributed, jobs) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one with 'dask scheduler', "
            "give its address, or use 'local'."
        ) from None
    with _silent("distributed"), client:
        if not client.nthreads():
            log_file.logger.warning("The Dask scheduler at %s has no worker yet: waiting for one.", address)
        yield client


def _own_cluster(distributed: Any, jobs: int) -> Any:
    try:
        return distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ":0"},  # any free port: two runs at once do not want the same
        )
    except (OSError, RuntimeError) as error:
        raise WorkFailed(
            f"Dask could not start {counted(jobs, 'worker')} on this machine ({error}), most likely for lack of memory: run again "
            "with fewer --jobs."
        ) from None


def _in_order(
    submit: Callable[[Callable[[Item], Result], Item], Any],
    result_of: Callable[[Any], Result],
    ahead: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Iterator[Result]:
    """Results in the order of the items, with up to ``ahead`` of them on their way."""
    waiting: deque[Any] = deque()
    try:
        for item in items:
            waiting.append(submit(function, item))
            if len(waiting) >= ahead:
                yield result_of(waiting.popleft())
        while waiting:
            yield result_of(waiting.popleft())
    finally:
        for future in waiting:
            with suppress(Exception):  # whoever ends early has no use for them
                future.cancel()


def _in_pool(
    pool: ProcessPoolExecutor, jobs: int, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    try:
        yield from _in_order(pool.submit, lambda future: future.result(), AHEAD * jobs, function, items)
    except BrokenProcessPool:
        raise WorkFailed(
            "A worker process has died, most likely for lack of memory: run again with fewer --jobs or fewer --frames."
        ) from None


def _waiting_for(client: Any) -> Callable[[Any], Any]:
    """A function that waits for the result of a task; while there is nobody to work on it, that is told.

    A cluster that had workers and has lost them all is given up after a while. For the first worker we wait as long
    as it takes: on a shared cluster it may stand in a queue.
    """
    had_workers = bool(client.nthreads())

    def wait_for(future: Any) -> Any:
        nonlocal had_workers
        alone = 0
        while True:
            with suppress(TimeoutError):
                result = future.result(timeout=PATIENCE)
                had_workers = True
                return result
            if future.done():  # the task's own TimeoutError
                return future.result()
            present = bool(client.nthreads())
            had_workers |= present
            alone = 0 if present else alone + 1
            if alone == 1:
                log_file.logger.warning("No Dask worker is left: waiting for one. Ctrl-C keeps what is done.")
            if alone > LONELY and had_workers:
                raise WorkFailed(
                    "All Dask workers have died and none has come back, most likely for lack of memory: run again with "
                    "fewer --jobs or --frames, or with workers that have more memory."
                )

    return wait_for


def _on_cluster(client: Any, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    distributed = import_extra("distributed", "cluster")

    def submit(function: Callable[[Item], Result], item: Item) -> Any:
        return client.submit(function, item, pure=False)

    ahead = max(AHEAD * sum(client.nthreads().values()), LEAST_AHEAD)
    try:
        yield from _in_order(submit, _waiting_for(client), ahead, function, items)
    except distributed.KilledWorker:
        raise WorkFailed(
            "One task has killed several Dask workers, one after the other, most likely for lack of memory: "
            "give workers more memory (dask worker --memory-limit), or take fewer --frames."
        ) from None
    except (CancelledError, distributed.comm.CommClosedError):
        raise WorkFailed(
            "The connection to the Dask scheduler is lost: see its log, start it, and run again."
        ) from None
