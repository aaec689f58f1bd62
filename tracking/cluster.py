"""Where independent tasks are worked on: in this process, in several on this machine, or on a Dask cluster.

All three take the same tasks and give the results in the same order, so the answer does not depend on the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from data.errors import InputError, import_extra

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE = 10  # seconds until a scheduler must have answered


class Spread(Protocol):
    """Like ``map``: applies a function to items, results in the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]: ...


@contextmanager
def workers(jobs: int = 1, dask: str | None = None) -> Iterator[Spread]:
    """A function like ``map`` that works in ``jobs`` processes, or on a Dask cluster.

    Parameters
    ----------
    jobs : number of processes on this machine; 1: this process.
    dask : address of a Dask scheduler (``tcp://host:8786``), or ``local`` for one on this machine with ``jobs`` workers.
        A worker that dies is replaced: its tasks are done again by another.

    Raises
    ------
    InputError
        If no scheduler answers at the address.
    MissingExtra
        If Dask is not installed.
    """
    if dask is not None:
        with _client(jobs, dask) as client:
            yield lambda function, items: _on_cluster(client, function, items)
    elif jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            yield pool.map
    else:
        yield map


@contextmanager
def _client(jobs: int, address: str) -> Iterator[Any]:
    distributed = import_extra("distributed", "cluster")
    if address == "local":
        with (
            distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) as cluster,
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
    with client:
        yield client


def _on_cluster(client: Any, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    futures = client.map(function, list(items), pure=False)
    for future in futures:
        yield future.result()
        future.release()
