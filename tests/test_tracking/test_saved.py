"""A run that was stopped goes on from the parts that it has solved, and ends with the bytes of one that was not."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import celltrail.cli
from celltrail.data.files.pins import Pin, write_pins
from celltrail.data.graph.candidates import Candidates, load_graph, save_graph
from celltrail.data.graph.networkx_graph import from_networkx
from celltrail.data.running import console
from celltrail.tracking.saved import remember
from celltrail.tracking.solving import solver as solver_module
from celltrail.tracking.solving.blocks import BlockSolutions, Task, relax_task, solve_task
from celltrail.tracking.solving.solver import solve_candidates


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Candidates:
    """Many dear choices between neighbours, with divisions that nobody can decide alone; many small tasks."""
    monkeypatch.setattr("celltrail.tracking.solving.regions.BATCH", 20)
    rng = np.random.default_rng(2)
    graph = nx.DiGraph()
    for t in range(6):
        for k in range(20):
            graph.add_node(
                (t, k), frame=t, y=float(k), x=0.0, appear=3.0, disappear=3.0, optional=bool(k % 3), cost=-1.0
            )
    divisions = {}
    for t in range(5):
        for k in range(20):
            near = [j for j in range(k - 2, k + 3) if 0 <= j < 20]
            for j in near:
                graph.add_edge((t, k), (t + 1, j), cost=float(rng.normal(0, 2)))
            for i, j in itertools.pairwise(near):
                divisions[(t, k), (t + 1, i), (t + 1, j)] = {"cost": float(rng.normal(0, 2))}
    graph.graph["divisions"] = divisions
    return from_networkx(graph)


class Counting:
    """``map`` that counts what it did, and is stopped by the user after ``limit`` tasks."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit, self.done = limit, 0

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if self.done == self.limit:
                raise KeyboardInterrupt
            yield function(item)
            self.done += 1


def assert_same(one: Any, two: Any) -> None:
    for name in vars(one):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name.endswith("margin")), name


@pytest.mark.parametrize(("solver", "limit"), [("highs", 5), ("pulp:HiGHS", 2)])
def test_a_second_run_goes_on_where_the_first_was_stopped(
    solver: str, limit: int, crowd: Candidates, tmp_path: Path
) -> None:
    whole = Counting()
    expected = solve_candidates(crowd, solver=solver, mapper=whole)
    assert whole.done > limit
    stopped = solve_candidates(crowd, solver=solver, mapper=remember(Counting(limit), tmp_path / "parts"))
    assert (stopped.status, stopped.interrupted) == ("gap", True)
    assert stopped.bound < stopped.objective
    assert len(stopped.open_components) > 0
    second = Counting()
    assert_same(solve_candidates(crowd, solver=solver, mapper=remember(second, tmp_path / "parts")), expected)
    assert second.done == whole.done - limit
    third = Counting()
    assert_same(solve_candidates(crowd, solver=solver, mapper=remember(third, tmp_path / "parts")), expected)
    assert third.done == 0


def test_every_interruption_leaves_a_true_bound_and_a_whole_choice(crowd: Candidates) -> None:
    whole = Counting()
    best = solve_candidates(crowd, mapper=whole)
    gaps = []
    for k in range(0, whole.done, 3):
        stopped = solve_candidates(crowd, mapper=Counting(k))
        assert stopped.bound <= best.objective <= stopped.objective
        gaps.append(stopped.objective - stopped.bound)
    assert gaps[0] > gaps[-1]


def test_a_part_that_is_not_finished_in_time_leaves_its_own_gap_only(crowd: Candidates) -> None:
    def short_of_time(function: Callable[[Task], BlockSolutions], tasks: Iterable[Task]) -> Iterator[BlockSolutions]:
        """The first part of every round keeps what was known of it, as after a time limit."""
        for number, task in enumerate(tasks):
            answer = function(task)
            if number == 0:
                least = np.full(task.groups, -(10**9))
                nothing = np.zeros(task.groups, dtype=bool)
                answer = BlockSolutions(task.incumbent, least, nothing, np.full(len(task.lower), np.nan))
            yield answer

    best = solve_candidates(crowd)
    cut = solve_candidates(crowd, mapper=short_of_time)
    assert cut.status == "gap"
    assert cut.bound <= best.objective <= cut.objective
    assert 0 < len(cut.open_components) < cut.components


def test_no_time_is_a_gap_and_resume_ends_with_the_optimum(
    crowd: Candidates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, out = tmp_path / "graph.npz", tmp_path / "out.npz"
    save_graph(graph, crowd)
    assert command("solve", graph, "--out", tmp_path / "straight.npz") == 0
    capsys.readouterr()
    assert command("solve", graph, "--out", out, "--time-limit", 0) == 0
    assert " nats of the optimum" in capsys.readouterr().out
    assert command("solve", graph, "--out", out, "--resume") == 0
    assert out.read_bytes() == (tmp_path / "straight.npz").read_bytes()


def test_progress_tells_done_total_bound_and_gap(crowd: Candidates) -> None:
    told: list[tuple[str, int, int, str]] = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        told.append((stage, done, total, note))

    solution = solve_candidates(crowd, progress=progress)
    stages, done, total, notes = zip(*told, strict=True)
    assert set(stages) == {"solve"}
    assert all(0 <= a <= b for a, b in zip(done, total, strict=True))
    assert notes[-1] == f"bound {solution.bound / 1e6:.6g}, gap 0 nats"


def one_task() -> Task:
    from scipy.sparse import csc_array

    def ints(*values: int) -> Any:
        return np.array(values, dtype=np.int64)

    return Task(
        ints(5, 3), np.zeros(2), csc_array(np.ones((1, 2))), ints(1), ints(1), ints(0, 0, 0), 1, np.array([True, False])
    )


def test_only_the_same_question_is_answered_from_the_folder(tmp_path: Path) -> None:
    def tasks_done(function: Any, task: Task) -> int:
        counting = Counting()
        (answer,) = remember(counting, tmp_path)(function, [task])
        assert function.func is relax_task or answer.chosen.tolist() == [False, True]
        return counting.done

    ask = partial(solve_task, solver="highs", deadline=None)
    task = one_task()
    assert [tasks_done(ask, task), tasks_done(ask, task)] == [1, 0]
    assert tasks_done(partial(relax_task, solver="highs", deadline=None), task) == 1
    assert tasks_done(partial(solve_task, solver="pulp:HiGHS", deadline=None), task) == 1
    task.cost[0] += 1
    assert tasks_done(ask, task) == 1
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-30])  # a crash of the machine
    assert [tasks_done(ask, task), tasks_done(ask, task)] == [1, 0]


def test_what_a_time_limit_has_cut_short_is_not_kept(tmp_path: Path) -> None:
    def cut_short(task: Task, *, solver: str, deadline: float | None) -> BlockSolutions:
        return replace(solve_task(task, solver=solver, deadline=None), proven=np.array([False]))

    for deadline, kept in ((0.0, 0), (None, 1)):  # without a limit there is nothing that more time would change
        list(remember(map, tmp_path)(partial(cut_short, solver="highs", deadline=deadline), [one_task()]))
        assert len(list(tmp_path.iterdir())) == kept


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[Task]]:
    """Stops the solver as Ctrl-C would, after ``k`` tasks (None: never); gives the list of those that it has done."""

    def set_limit(k: int | None) -> list[Task]:
        done: list[Task] = []

        @functools.wraps(solve_task)
        def stopping(task: Task, **options: Any) -> BlockSolutions:
            if len(done) == k:
                raise KeyboardInterrupt
            done.append(task)
            return solve_task(task, **options)

        monkeypatch.setattr(solver_module, "solve_task", stopping)
        return done

    return set_limit


def command(*words: object) -> int:
    return console.run(celltrail.cli.app, [str(word) for word in words])


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.log"}
    run = json.loads(found["run.json"])
    return found | {"run.json": {key: run[key] for key in run if key not in ("seconds", "peak_memory_mb")}}


def test_track_goes_on(
    track_in_parts: tuple[object, ...],
    tmp_path: Path,
    stop_after: Callable[[int | None], list[Task]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words, out = track_in_parts, tmp_path / "RES"
    done = stop_after(None)
    assert command(*words, "--out", tmp_path / "free") == 0
    without_pins = len(done)
    write_pins(tmp_path / "pins.csv", [Pin("link", "forbid", ((t, 9), (t + 1, 9))) for t in range(4)])
    words += ("--pins", tmp_path / "pins.csv")
    assert command(*words, "--out", tmp_path / "straight") == 0
    stop_after(2)  # while the first, simpler problem is solved: nothing to show yet
    assert command(*words, "--out", out) == 130
    saved = tmp_path / ".RES.solved"
    assert len(list(saved.iterdir())) == 2
    assert not out.exists()
    stop_after(without_pins - 2 + 1)  # one part of the problem with pins is solved: a result with its gap
    assert command(*words, "--out", out, "--resume") == 130
    assert "--resume goes on" in capsys.readouterr().out
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (run["status"], run["gap"] > 0) == ("gap", True)
    stop_after(None)
    assert command(*words, "--out", out) == 2  # not without being told
    assert command(*words, "--out", out, "--resume") == 0
    assert result_of(out) == result_of(tmp_path / "straight")
    assert not saved.exists()
    capsys.readouterr()
    assert command(*words, "--out", out, "--resume") == 2
    assert "proven optimal already" in capsys.readouterr().err


def test_solve_goes_on(
    crowd: Candidates,
    tmp_path: Path,
    stop_after: Callable[[int | None], list[Task]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    graph, out = tmp_path / "graph.npz", tmp_path / "out.npz"
    save_graph(graph, crowd)
    assert command("solve", graph, "--out", tmp_path / "straight.npz") == 0
    stop_after(5)
    assert command("solve", graph, "--out", out) == 130
    _, solution, _ = load_graph(out)
    assert solution is not None
    assert solution.status == "gap"
    stop_after(None)
    assert command("solve", graph, "--out", out, "--time-limit", 1000, "--resume") == 0
    assert out.read_bytes() == (tmp_path / "straight.npz").read_bytes()
    assert not (tmp_path / ".out.npz.solved").exists()
    assert command("solve", graph, "--out", out, "--resume") == 2
    assert "proven optimal already" in capsys.readouterr().err
