"""Tasks in this process, in several, and on a Dask cluster: the same results, and a sentence where work is lost."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from celltrail.data.errors import InputError, WorkFailed
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.opening import open_labels
from celltrail.data.running import console
from celltrail.data.running.workers import open_workers

quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def cluster_of(workers: int) -> Any:
    """A real scheduler with so many worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, scheduler_kwargs={"dashboard_address": ":0"}
    )


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """Two workers for all tests here."""
    with cluster_of(2) as cluster:
        yield cluster


def square(number: int) -> int:
    return number * number


def slow_square(number: int) -> int:
    time.sleep(0.05)
    return number * number


def die_once(marker: Path, number: int) -> int:
    if number == 7 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def exhaust(number: int) -> int:
    raise MemoryError


def refuse(number: int) -> int:
    raise InputError(f"Frame {number} is odd.", "Frame 9 as well.")


def test_results_come_in_the_order_of_the_items() -> None:
    for jobs in (1, 2):
        with open_workers(jobs) as mapper:
            assert list(mapper(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def test_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def count() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with open_workers(2) as mapper:
        results = mapper(square, count())
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert len(taken) < 20


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_comes_back_with_its_problems(jobs: int) -> None:
    with open_workers(jobs) as mapper, pytest.raises(InputError) as caught:
        list(mapper(refuse, [3]))
    assert caught.value.problems == ("Frame 3 is odd.", "Frame 9 as well.")


def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(WorkFailed, match=r"^A worker process has died, .* fewer --jobs"), open_workers(2) as mapper:
        list(mapper(die, range(4)))


def test_work_that_failed_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def work(**_: object) -> None:
        raise WorkFailed("No worker is left.")

    assert console.run(work, []) == 1
    assert capsys.readouterr().err == "No worker is left.\n"


def test_a_movie_can_be_read_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write_masks(tmp_path / "masks", [(0, np.eye(5, dtype=np.uint16))])
    monkeypatch.chdir(tmp_path)
    parcel = pickle.dumps(open_labels(Path("masks")))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(pickle.loads(parcel)[0], np.eye(5))


@quiet
def test_a_cluster_gives_results_in_order_and_errors_with_their_problems(scheduler: Any) -> None:
    with open_workers(dask=scheduler.scheduler_address) as mapper:
        assert list(mapper(square, range(200))) == [number * number for number in range(200)]
        with pytest.raises(InputError) as caught:
            list(mapper(refuse, range(300)))
    assert caught.value.problems == ("Frame 0 is odd.", "Frame 9 as well.")


@quiet
def test_a_dask_worker_out_of_memory_is_one_sentence(scheduler: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def work(**_: object) -> None:
        with open_workers(dask=scheduler.scheduler_address) as mapper:
            list(mapper(exhaust, range(3)))

    assert console.run(work, []) == 1
    assert capsys.readouterr().err.startswith("There is not enough memory: ")


@quiet
def test_a_dask_worker_that_is_killed_is_replaced(scheduler: Any, tmp_path: Path) -> None:
    marker = tmp_path / "died"
    with open_workers(dask=scheduler.scheduler_address) as mapper:
        assert list(mapper(partial(die_once, marker), range(20))) == [number * number for number in range(20)]
    assert marker.exists()


@quiet
@pytest.mark.slow
def test_a_task_that_kills_every_dask_worker_is_one_sentence(scheduler: Any) -> None:
    with open_workers(dask=scheduler.scheduler_address) as mapper:
        with pytest.raises(WorkFailed, match=r"^One task has killed several Dask workers"):
            list(mapper(die, [1]))
        assert list(mapper(square, [3])) == [9]


@quiet
def test_a_cluster_that_has_lost_all_its_workers_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celltrail.data.running.workers.PATIENCE", 0.3)
    with cluster_of(1) as cluster:

        def items() -> Iterator[int]:
            yield from range(100)
            cluster.scale(0)
            yield 100

        address = cluster.scheduler_address
        with pytest.raises(WorkFailed, match=r"^All Dask workers have died"), open_workers(dask=address) as mapper:
            list(mapper(slow_square, items()))
        assert caplog.text.count("No Dask worker is left: waiting for one.") == 1


@quiet
def test_the_first_worker_of_a_cluster_is_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celltrail.data.running.workers.PATIENCE", 0.2)
    with cluster_of(0) as cluster:
        starter = threading.Timer(2.0, cluster.scale, [1])
        starter.start()
        with open_workers(dask=cluster.scheduler_address) as mapper:
            assert list(mapper(square, range(3))) == [0, 1, 4]
        starter.join()
    assert "has no worker yet: waiting for one." in caplog.text


def test_workers_that_cannot_be_started_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")

    def refuse_to_start(**_: object) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", refuse_to_start)
    with pytest.raises(WorkFailed, match=r"^Dask could not start 2 workers .*Nanny failed"), open_workers(2, "local"):
        pass


@quiet
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere://x", "x"])
def test_a_scheduler_that_does_not_answer_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("celltrail.data.running.workers.PATIENCE", 1)
    with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"), open_workers(dask=address):
        pass
