"""``--jobs`` and ``--dask``: every command gives the same bytes, also when a worker is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import celltrail.cli
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import saved as saving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]
OWN = ("seconds", "peak_memory_mb")  # of each run alone


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A real scheduler with two worker processes on this machine, which do not work in our folder."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_kwargs={"dashboard_address": ":0"}
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with images and truth."""
    folder = tmp_path_factory.mktemp("movie")
    write_movie(simulate_movie(frames=12, cells=12, size=(128, 128), seed=3), folder)
    return folder


def run(*words: object) -> None:
    assert console.run(celltrail.cli.app, [str(word) for word in words]) == 0


def content(path: Path) -> dict[str, Any]:
    """What a result holds, by file name: bytes, and documents without what belongs to each run alone."""
    if path.is_file():
        return {"": json.loads(path.read_text(encoding="utf-8"))}
    found: dict[str, Any] = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "run.log"}
    if "run.json" in found:
        run = json.loads(found["run.json"])
        found["run.json"] = {key: value for key, value in run.items() if key not in OWN}
    return found


def die_in(module: str, name: str, marker: str) -> None:
    """In a worker: make a function kill its process the first time that any worker calls it."""
    import importlib
    import os
    import signal

    place = importlib.import_module(module)
    original = getattr(place, name)

    def lethal(*arguments: Any, **options: Any) -> Any:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, lethal)


COMMANDS = {
    "segment": (
        ("segment", "01", "--model", "sim-fluo", "--threads", "1"),
        ("celltrail.segmentation.prediction.movie", "find_hypotheses"),
    ),
    "track": (("track", "01_GT/TRA", "--images", "01"), ("celltrail.tracking.measuring.chunks", "measure_layers")),
    "price": (("track", "01_GT/TRA", "--max-gap", "1"), ("celltrail.tracking.candidates.parts", "link_features")),
    "solve": (("solve", "GRAPH", "--solver", "pulp:CBC"), ("celltrail.tracking.solving.blocks", "dual_bound")),
    "evaluate": (("evaluate", "01_GT", "01_GT/TRA"), ("celltrail.evaluation.measures.contingency", "count_overlap")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_workers_change_nothing(
    name: str, cluster: Any, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(movie)
    monkeypatch.setattr("celltrail.tracking.measuring.table.CHUNK", 3)
    monkeypatch.setattr("celltrail.tracking.candidates.parts.FEW", 40)
    monkeypatch.setattr("celltrail.tracking.candidates.parts.PART", 200)
    (words, (module, function)), marker = COMMANDS[name], tmp_path / "died"
    if name == "solve":
        run("track", "01_GT/TRA", "--costs", "calibrated", "--out", tmp_path / "start")
        words = ("solve", tmp_path / "start" / "graph.npz", *words[2:])
    out = "--json" if name == "evaluate" else "--out"
    suffix = {"evaluate": ".json", "solve": ".npz"}.get(name, "")
    results = {way: tmp_path / f"{way}{suffix}" for way in ("here", "processes", "dask", "killed")}
    run(*words, out, results["here"])
    run(*words, out, results["processes"], "--jobs", 2)
    run(*words, out, results["dask"], "--dask", cluster.scheduler_address)
    with cluster.get_client() as client:
        client.run(die_in, module, function, str(marker))
    run(*words, out, results["killed"], "--dask", cluster.scheduler_address)
    assert marker.exists(), "no worker was killed"
    if suffix == ".npz":
        assert len({result.read_bytes() for result in results.values()}) == 1
        return
    expected = content(results["here"])
    assert len(expected) == {"evaluate": 1, "segment": 25}.get(name, 15)
    for way, result in results.items():
        assert content(result) == expected, way


def test_a_lost_cluster_loses_no_part_that_is_solved(
    track_in_parts: tuple[object, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scheduler and workers end in the middle of ``track``: told in a sentence, and the next run goes on from there."""
    distributed = pytest.importorskip("distributed")
    run(*track_in_parts, "--out", tmp_path / "straight")
    original, kept, out = saving._save, [], tmp_path / "out"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_kwargs={"dashboard_address": ":0"}
    ) as cluster:

        def save(file: Path, answer: Any) -> None:
            original(file, answer)
            kept.append(file)
            if len(kept) == 2:
                cluster.close(timeout=5)

        monkeypatch.setattr(saving, "_save", save)
        words = [*map(str, track_in_parts), "--out", str(out), "--dask", cluster.scheduler_address]
        capsys.readouterr()
        code = console.run(celltrail.cli.app, words)
    told = capsys.readouterr().err
    assert (code, "Dask" in told, "Traceback" in told) == (1, True, False)
    assert not out.exists()
    before = {path.name for path in (tmp_path / ".out.solved").iterdir()}
    assert len(before) >= 2
    kept.clear()
    monkeypatch.setattr(saving, "_save", lambda file, answer: (kept.append(file), original(file, answer)))
    run(*track_in_parts, "--out", out, "--resume")
    assert before.isdisjoint(file.name for file in kept)  # those were not solved again
    assert content(out) == content(tmp_path / "straight")


def test_a_scheduler_that_does_not_answer(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("celltrail.data.running.workers.PATIENCE", 1)
    monkeypatch.chdir(movie)
    for words in (
        ("segment", "01", "--model", "sim-fluo", "--out", tmp_path / "a"),
        ("track", "01_GT/TRA", "--out", tmp_path / "b"),
        ("evaluate", "01_GT", "01_GT/TRA", "--json", tmp_path / "c.json"),
    ):
        code = console.run(celltrail.cli.app, [*map(str, words), "--dask", "tcp://127.0.0.1:9"])
        told = capsys.readouterr().err.splitlines()
        assert (code, len(told)) == (2, 1), told
        assert told[0].startswith("no Dask scheduler answers at tcp://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_workers_killed_again_and_again_lose_nothing(
    track_in_parts: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is killed when: the result as ever, or a sentence, and the next run goes on from there."""
    distributed = pytest.importorskip("distributed")
    run(*track_in_parts, "--out", tmp_path / "straight")
    expected, ended, killed = content(tmp_path / "straight"), threading.Event(), 0
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_kwargs={"dashboard_address": ":0"}
    ) as cluster:

        def kill_workers() -> None:
            nonlocal killed
            while not ended.wait(0.7) and killed < 8:
                for nanny in list(cluster.workers.values()):
                    with suppress(AttributeError, ProcessLookupError, TypeError):  # it is being replaced
                        os.kill(nanny.pid, signal.SIGKILL)
                        killed += 1

        killer = threading.Thread(target=kill_workers)
        killer.start()
        words = [*map(str, track_in_parts), "--out", str(tmp_path / "out"), "--dask", cluster.scheduler_address]
        code = console.run(celltrail.cli.app, words)
        ended.set()
        killer.join()
    told = capsys.readouterr().err
    assert killed
    assert "Traceback" not in told
    if code:
        assert (code, "Dask" in told, (tmp_path / "out").exists()) == (1, True, False)
        run(*track_in_parts, "--out", tmp_path / "out", "--resume")
    assert content(tmp_path / "out") == expected
