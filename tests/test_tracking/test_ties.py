"""Where several solutions cost the same, the first in the order of (frame, position) is taken, however it is solved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    FREE,
    KEPT,
    NAT,
    Candidates,
    Detections,
    Divisions,
    Links,
    Solution,
)
from celltrail.data.running.workers import open_workers
from celltrail.tracking import track
from celltrail.tracking.solving.solver import solve_candidates

MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def draw_cells(rng: np.random.Generator, frame: np.ndarray, *, optional: float = 0.0) -> Candidates:
    """Everything may follow everything, at few different costs."""
    n = len(frame)
    pairs = [(u, v) for u in range(n) for v in range(n) if 0 < frame[v] - frame[u] <= 2 and rng.random() < 0.8]
    links = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    triplets = [(u, v, w) for u, v in pairs for u_, w in pairs if u == u_ and v < w and rng.random() < 0.5]
    three = np.array(triplets, dtype=np.int64).reshape(-1, 3)
    loose = rng.random(n) < optional
    together = [np.flatnonzero((frame == t) & loose) for t in range(int(frame.max()) + 1)]
    cliques = [cells for cells in together if len(cells) > 1]
    return Candidates(
        Detections(
            frame=frame,
            label=np.arange(n) + 1,
            position=np.zeros((n, 3)),
            area=np.ones(n, dtype=np.int64),
            border=np.zeros(n),
            cost=rng.integers(-2, 2, n),
            appear=rng.integers(0, 2, n),
            disappear=rng.integers(0, 2, n),
            optional=loose,
            fixed=np.full(n, FREE),
            hypothesis=np.full(n, -1),
        ),
        Links(links[:, 0], links[:, 1], rng.integers(-2, 1, len(links)), np.full(len(links), FREE)),
        Divisions(*three.T, rng.integers(-3, 1, len(three)), np.full(len(three), FREE)),
        clique_id=np.repeat(np.arange(len(cliques)), [len(cells) for cells in cliques]).astype(np.int64),
        clique_detection=np.concatenate([np.zeros(0, dtype=np.int64), *cliques]),
        rebirth_frames=int(rng.integers(0, 4)),
        rebirth_cost=int(rng.integers(0, 3)),
    )


@st.composite
def tied(draw: st.DrawFn) -> Candidates:
    """Up to 8 detections in up to 4 frames, full of ties."""
    frame = np.sort(np.array(draw(st.lists(st.integers(0, 3), min_size=2, max_size=8)), dtype=np.int64))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return draw_cells(rng, frame, optional=draw(st.sampled_from([0.0, 0.4])))


def choice(c: Candidates, s: Solution) -> tuple[Any, ...]:
    """What was chosen, in words that do not depend on the order of the candidates."""
    links = zip(c.links.source[s.link_chosen].tolist(), c.links.target[s.link_chosen].tolist(), strict=True)
    z, born = c.divisions, s.division_chosen
    three = zip(z.mother[born].tolist(), z.first[born].tolist(), z.second[born].tolist(), strict=True)
    ends = [flags.tolist() for flags in (s.used, s.appears, s.disappears)]
    return sorted(links), sorted(three), ends, s.objective


@MANY
@given(c=tied(), window=st.integers(1, 3), batch=st.sampled_from([1, 4000]))
def test_cutting_into_parts_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, c: Candidates, window: int, batch: int
) -> None:
    whole = choice(c, solve_candidates(c))
    with monkeypatch.context() as patch:
        patch.setattr("celltrail.tracking.solving.windows.WINDOW", window)
        patch.setattr("celltrail.tracking.solving.regions.BATCH", batch)
        assert choice(c, solve_candidates(c)) == whole


@MANY
@given(c=tied(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_candidates_changes_nothing(c: Candidates, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def shuffled(table: Any) -> Any:
        order = rng.permutation(len(table))
        return replace(table, **{name: value[order] for name, value in vars(table).items() if name != "terms"})

    other = replace(c, links=shuffled(c.links), divisions=shuffled(c.divisions))
    assert choice(other, solve_candidates(other)) == choice(c, solve_candidates(c))


@MANY
@given(c=tied(), seed=st.integers(0, 2**32 - 1))
def test_pins_that_agree_with_the_solution_change_nothing(c: Candidates, seed: int) -> None:
    solution, rng = solve_candidates(c), np.random.default_rng(seed)

    def pinned(chosen: np.ndarray) -> np.ndarray:
        return np.where(rng.random(len(chosen)) < 0.3, np.where(chosen, KEPT, FORBIDDEN), FREE)

    again = replace(
        c,
        links=replace(c.links, fixed=pinned(solution.link_chosen)),
        divisions=replace(c.divisions, fixed=pinned(solution.division_chosen)),
    )
    assert choice(again, solve_candidates(again)) == choice(c, solution)


@settings(MANY, max_examples=8)
@given(c=tied())
def test_all_backends_choose_the_same(c: Candidates) -> None:
    first = choice(c, solve_candidates(c))
    for solver in ("pulp:CBC", "pulp:HiGHS"):
        assert choice(c, solve_candidates(c, solver=solver)) == first, solver


def test_workers_choose_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celltrail.tracking.solving.regions.BATCH", 10)
    c = draw_cells(np.random.default_rng(4), np.repeat(np.arange(4), 6), optional=0.3)
    with open_workers(jobs=2) as mapper:
        assert choice(c, solve_candidates(c, mapper=mapper)) == choice(c, solve_candidates(c))


def test_the_first_of_equal_solutions_is_taken() -> None:
    """Two cells and two cells, all links alike: the first goes on as the first.

    0 ─ 2
      ╳
    1 ─ 3
    """
    c = draw_cells(np.random.default_rng(0), np.array([0, 0, 1, 1]))
    none = np.zeros(0, dtype=np.int64)
    ends = np.full(4, NAT)
    detections = replace(c.detections, cost=np.zeros(4, dtype=np.int64), appear=ends, disappear=ends)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3]):
        source, target = np.array([[0, 0, 1, 1], [2, 3, 2, 3]])[:, order]
        same = replace(
            c,
            detections=detections,
            links=Links(source, target, np.full(4, -NAT), np.full(4, FREE)),
            divisions=Divisions(none, none, none, none, none),
            rebirth_frames=0,
        )
        assert choice(same, solve_candidates(same))[0] == [(0, 2), (1, 3)]
    # without the first link the other solution is the only one
    fixed = np.where((source == 0) & (target == 2), FORBIDDEN, FREE)
    forbidden = replace(same, links=replace(same.links, fixed=fixed))
    assert choice(forbidden, solve_candidates(forbidden))[0] == [(0, 3), (1, 2)]


def cross(labels: tuple[int, int, int, int]) -> dict[int, np.ndarray]:
    """Two cells above each other, then two beside each other, all four distances alike."""
    first, second = np.zeros((2, 64, 64), dtype=np.int32)
    for frame, label, (y, x) in zip(
        (first, first, second, second), labels, ((26, 30), (34, 30), (30, 26), (30, 34)), strict=True
    ):
        frame[y : y + 4, x : x + 4] = label
    return {0: first, 1: second}


@pytest.mark.parametrize("max_gap", [0, 2])
def test_labels_do_not_decide(max_gap: int) -> None:
    masks = [
        [frame.tolist() for _, frame in track(cross(labels), max_gap=max_gap).masks()]
        for labels in ((1, 2, 1, 2), (2, 1, 1, 2), (9, 4, 7, 3))
    ]
    assert masks[0] == masks[1] == masks[2]


def test_contradicting_pins_are_still_refused() -> None:
    c = draw_cells(np.random.default_rng(1), np.array([0, 0, 1, 1]))
    kept = replace(c, links=replace(c.links, fixed=np.full(len(c.links), KEPT)))
    with pytest.raises(InputError, match="two pins keep"):
        solve_candidates(kept)
