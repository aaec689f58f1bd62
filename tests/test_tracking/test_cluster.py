"""The same bytes on a Dask cluster, with a worker that dies, and without a scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from data.errors import InputError
from data.graph import Candidates
from data.network import from_networkx
from tracking.cluster import workers
from tracking.solver import solve_candidates

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """A real scheduler with two worker processes on this machine."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def crowd() -> Candidates:
    """Many dear choices between neighbours, with divisions that nobody can decide alone."""
    rng = np.random.default_rng(2)
    graph = nx.DiGraph()
    for t in range(6):
        for k in range(30):
            graph.add_node(
                (t, k), frame=t, y=float(k), x=0.0, appear=3.0, disappear=3.0, optional=bool(k % 3), cost=-1.0
            )
    divisions = {}
    for t in range(5):
        for k in range(30):
            near = [j for j in range(k - 2, k + 3) if 0 <= j < 30]
            for j in near:
                graph.add_edge((t, k), (t + 1, j), cost=float(rng.normal(0, 2)))
            for i, j in pairwise(near):
                divisions[(t, k), (t + 1, i), (t + 1, j)] = {"cost": float(rng.normal(0, 2))}
    graph.graph["divisions"] = divisions
    return from_networkx(graph)


def test_a_cluster_gives_the_same_solution(scheduler: Any, crowd: Candidates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.regions.BATCH", 20)  # many small tasks
    here = solve_candidates(crowd)
    there = solve_candidates(crowd, dask=scheduler.scheduler_address)
    assert here.status == "optimal"
    for name in vars(here):
        assert np.array_equal(getattr(here, name), getattr(there, name), equal_nan=name.endswith("margin")), name


def test_a_worker_that_dies_is_replaced(scheduler: Any, tmp_path: Path) -> None:
    marker = tmp_path / "died"

    def square(number: int) -> int:
        if number == 7 and not marker.exists():
            marker.touch()
            os._exit(1)
        return number * number

    with workers(dask=scheduler.scheduler_address) as spread:
        assert list(spread(square, range(20))) == [number * number for number in range(20)]
    assert marker.exists()


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.cluster.PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nowhere://x"):
        with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"), workers(dask=address):
            pass


def test_results_come_in_the_order_of_the_items() -> None:
    for jobs in (1, 2):
        with workers(jobs) as spread:
            assert list(spread(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
