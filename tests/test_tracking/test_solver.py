"""Every solver against brute force on tiny random problems, and the certificate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import FORBIDDEN, FREE, KEPT, NAT, Candidates, Detections, Divisions, Links
from celltrail.data.graph.networkx_graph import from_networkx, to_networkx
from celltrail.data.running.workers import open_workers
from celltrail.tracking.solving.solver import exact_margin, solve, solve_candidates

PLENTY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def integers(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@st.composite
def candidates(draw: st.DrawFn, *, unit: int = 1, coupled: bool = True) -> Candidates:
    """Up to 7 detections in up to 5 frames: gaps, late daughters, cliques, pins, second births."""
    frame = np.sort(integers(draw(st.lists(st.integers(0, 4), min_size=1, max_size=7))))
    n = len(frame)
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    optional = rng.random(n) < (0.4 if coupled else 0)
    step = 3 if coupled else 1
    pairs = [(u, v) for u in range(n) for v in range(n) if 0 < frame[v] - frame[u] <= step]
    links = integers([pair for pair in pairs if rng.random() < 0.7]).reshape(-1, 2)
    triplets = [
        (u, v, w) for u in range(n) for v, w in combinations(range(n), 2) if (u, v) in pairs and (u, w) in pairs
    ]
    triplets = integers([triplet for triplet in triplets if rng.random() < 0.5]).reshape(-1, 3)
    cliques = []
    for f in range(5):
        together = np.flatnonzero((frame == f) & optional)
        if len(together) > 1 and rng.random() < 0.7:
            cliques.append(together[: int(rng.integers(2, len(together) + 1))])
    ids = np.repeat(np.arange(len(cliques)), [len(clique) for clique in cliques])
    pins = rng.random() < 0.5 and coupled

    def fixed(count: int, optional_only: np.ndarray | None = None) -> np.ndarray:
        values = rng.choice([FREE, FORBIDDEN, KEPT], size=count, p=[0.85, 0.1, 0.05] if pins else [1, 0, 0])
        return values if optional_only is None else np.where(optional_only, values, FREE)

    return Candidates(
        Detections(
            frame=frame,
            label=np.arange(n) + 1,
            position=rng.random((n, 3)),
            area=np.ones(n, dtype=np.int64),
            border=np.zeros(n),
            cost=rng.integers(-6, 5, n) * unit,
            appear=rng.integers(-1, 9, n) * unit,
            disappear=rng.integers(-1, 9, n) * unit,
            optional=optional,
            fixed=fixed(n, optional),
            hypothesis=np.full(n, -1),
        ),
        Links(links[:, 0], links[:, 1], rng.integers(-5, 9, len(links)) * unit, fixed(len(links))),
        Divisions(
            triplets[:, 0],
            triplets[:, 1],
            triplets[:, 2],
            rng.integers(-8, 12, len(triplets)) * unit,
            fixed(len(triplets)),
        ),
        clique_id=integers(ids),
        clique_detection=integers(np.concatenate(cliques) if cliques else []),
        rebirth_frames=int(rng.integers(0, 4)) if coupled else 0,
        rebirth_cost=int(rng.integers(0, 8)) * unit,
    )


def every_solution(c: Candidates) -> Iterator[int]:
    """The costs of all solutions, straight from the definition: one past, one future, pins, cliques, births."""
    n = len(c.detections)
    d, links, divisions = c.detections, c.links, c.divisions
    must = [code == KEPT or (not o and code != FORBIDDEN) for code, o in zip(d.fixed, d.optional, strict=True)]
    held = (
        [k for k in range(len(links)) if links.fixed[k] == KEPT],
        [k for k in range(len(divisions)) if divisions.fixed[k] == KEPT],
    )

    def births(chosen_links: list[int], chosen_divisions: list[int]) -> int:
        onward = {int(links.source[k]): int(links.target[k]) for k in chosen_links}
        split = {int(divisions.mother[k]): k for k in chosen_divisions}
        count = 0
        for k in chosen_divisions:
            start = d.frame[divisions.mother[k]]
            for cell in (int(divisions.first[k]), int(divisions.second[k])):
                while cell not in split and cell in onward:
                    cell = onward[cell]
                count += cell in split and d.frame[cell] - start < c.rebirth_frames
        return count

    def extend(v: int, past: set[int], out: set[int], ys: list[int], zs: list[int], cost: int) -> Iterator[int]:
        if v == n:
            if not (set(held[0]) <= set(ys) and set(held[1]) <= set(zs)):
                return
            used = [u for u in range(n) if u not in out]
            if past & out or any(must[u] for u in out) or any(d.fixed[u] == FORBIDDEN for u in used):
                return
            if any(len({*c.clique_detection[c.clique_id == k].tolist()} & {*used}) > 1 for k in set(c.clique_id)):
                return
            cost += sum(int(d.cost[u]) + (0 if u in past else int(d.appear[u])) for u in used)
            yield cost + c.rebirth_cost * births(ys, zs)
            return
        yield from extend(v + 1, past, out | {v}, ys, zs, cost)
        yield from extend(v + 1, past, out, ys, zs, cost + int(d.disappear[v]))
        for k in range(len(links)):
            if links.source[k] == v and links.target[k] not in past and links.fixed[k] != FORBIDDEN:
                yield from extend(v + 1, past | {int(links.target[k])}, out, [*ys, k], zs, cost + int(links.cost[k]))
        for k in range(len(divisions)):
            pair = {int(divisions.first[k]), int(divisions.second[k])}
            if divisions.mother[k] == v and not pair & past and divisions.fixed[k] != FORBIDDEN:
                yield from extend(v + 1, past | pair, out, ys, [*zs, k], cost + int(divisions.cost[k]))

    return extend(0, set(), set(), [], [], 0)


def price(c: Candidates, solution: object) -> int:
    """The cost of what a solution says, added up again from its flags."""
    s = solution
    d = c.detections
    parts = (
        (d.cost, s.used),
        (d.appear, s.appears),
        (d.disappear, s.disappears),
        (c.links.cost, s.link_chosen),
        (c.divisions.cost, s.division_chosen),
    )
    return sum(int(cost[chosen].sum()) for cost, chosen in parts) + s.rebirths * c.rebirth_cost


@PLENTY
@given(candidates())
def test_highs_agrees_with_brute_force(c: Candidates) -> None:
    best = min(every_solution(c), default=None)
    if best is None:
        with pytest.raises(InputError):
            solve_candidates(c)
        return
    solution = solve_candidates(c)
    assert solution.objective == best == solution.bound
    assert solution.status == "optimal"
    assert price(c, solution) == best
    assert len(solution.open_components) == 0


@FEW
@given(candidates(unit=NAT // 7))
def test_all_backends_reach_the_same_objective(c: Candidates) -> None:
    best = min(every_solution(c), default=None)
    if best is None:
        return
    for solver in ("highs", "pulp:CBC", "pulp:HiGHS"):
        solution = solve_candidates(c, solver=solver)
        assert (solution.objective, solution.bound) == (best, best), solver
        assert solution.solver == solver


@PLENTY
@given(candidates())
def test_no_time_still_gives_a_feasible_solution_and_a_true_bound(c: Candidates) -> None:
    best = min(every_solution(c), default=None)
    if best is None:
        return
    solution = solve_candidates(c, time_limit=0.0)
    assert solution.bound <= best <= solution.objective
    assert price(c, solution) == solution.objective
    assert solution.status == ("optimal" if solution.objective == solution.bound else "gap")
    assert (len(solution.open_components) == 0) == (solution.objective == solution.bound)


@PLENTY
@given(candidates(coupled=False))
def test_plain_masks_never_join_more_than_two_frames(c: Candidates) -> None:
    solution = solve_candidates(c)
    for component in range(solution.components):
        frames = {*c.detections.frame[solution.component == component].tolist()}
        assert len(frames) <= 1
    assert solution.objective == min(every_solution(c))


@FEW
@given(candidates())
def test_networkx_gives_the_same_problem(c: Candidates) -> None:
    if min(every_solution(c), default=None) is None:
        return
    # a division needs both of its edges in the graph, so every triplet is there as an edge
    again = from_networkx(to_networkx(c))
    solution = solve_candidates(c)
    assert solve_candidates(again).objective == solution.objective
    result = solve(to_networkx(c))
    assert round(result.graph["objective"] * NAT) == solution.objective
    assert result.graph["status"] == "optimal"


def test_the_number_of_processes_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celltrail.tracking.solving.regions.BATCH", 20)  # many small tasks
    c = crowd(frames=8, cells=60, seed=3, optional=0.3)
    one = solve_candidates(c)
    with open_workers(jobs=2) as mapper:
        two = solve_candidates(c, mapper=mapper)
    for name in vars(one):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name.endswith("margin")), name


def crowd(*, frames: int, cells: int, seed: int, optional: float = 0.0) -> Candidates:
    """Cells that wander in a crowded square and sometimes divide."""
    rng = np.random.default_rng(seed)
    place = rng.random((cells, 2)) * 10
    frame, position = [], []
    for t in range(frames):
        keep = np.lexsort((place[:, 1], place[:, 0]))
        frame.append(np.full(len(keep), t))
        position.append(place[keep])
        divide = rng.random(len(place)) < 0.05
        place = np.concatenate([place[rng.random(len(place)) > 0.02], place[divide]])
        place = place + rng.normal(0, 0.3, place.shape)
    frames_, points = np.concatenate(frame), np.concatenate(position)
    n = len(points)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    source, target = np.nonzero((distance < 1.5) & (frames_[None] - frames_[:, None] == 1))
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    cost = np.rint((distance[source, target] ** 2 * 3 - 1) * NAT).astype(np.int64)
    triplets, prices = [], []
    for u in range(n):
        near = np.flatnonzero(source == u)
        for i, j in combinations(near.tolist(), 2):
            triplets.append((u, target[i], target[j]))
            prices.append(cost[i] + cost[j] + NAT + int(rng.integers(0, NAT)))
    three = integers(triplets).reshape(-1, 3)
    return Candidates(
        Detections(
            frame=frames_,
            label=np.arange(n) + 1,
            position=np.c_[np.zeros(n), points],
            area=np.ones(n, dtype=np.int64),
            border=np.zeros(n),
            cost=np.full(n, -NAT),
            appear=np.full(n, 3 * NAT),
            disappear=np.full(n, 3 * NAT),
            optional=rng.random(n) < optional,
            fixed=np.full(n, FREE),
            hypothesis=np.full(n, -1),
        ),
        Links(source, target, cost, np.full(len(source), FREE)),
        Divisions(three[:, 0], three[:, 1], three[:, 2], integers(prices), np.full(len(three), FREE)),
    )


@pytest.mark.parametrize("optional", [0.0, 0.3])
def test_a_crowd_is_solved_alike_by_all_backends(optional: float) -> None:
    c = crowd(frames=5, cells=40, seed=1, optional=optional)
    solutions = [solve_candidates(c, solver=solver) for solver in ("highs", "pulp:CBC", "pulp:HiGHS")]
    assert len({solution.objective for solution in solutions}) == 1
    assert all(solution.status == "optimal" for solution in solutions)
    assert solutions[0].division_chosen.any()
    assert solutions[0].objective < solutions[0].baseline


def test_an_empty_movie_is_solved() -> None:
    nothing = replace_rows(crowd(frames=1, cells=3, seed=0), 0)
    solution = solve_candidates(nothing)
    assert (solution.objective, solution.bound, solution.status, solution.components) == (0, 0, "optimal", 0)


def replace_rows(c: Candidates, count: int) -> Candidates:
    kept = {name: getattr(c.detections, name)[:count] for name in vars(c.detections)}
    return replace(c, detections=Detections(**kept))


def test_unknown_solvers_are_named_with_those_that_are_there() -> None:
    c = crowd(frames=2, cells=3, seed=0)
    with pytest.raises(InputError, match=r"'GUROBI' of PuLP is not installed.*highs.*pulp:CBC"):
        solve_candidates(c, solver="pulp:GUROBI")
    with pytest.raises(InputError, match=r"no solver 'cplex'.*highs"):
        solve_candidates(c, solver="cplex")


@PLENTY
@given(candidates())
def test_margins_are_lower_bounds_of_the_exact_ones(c: Candidates) -> None:
    if min(every_solution(c), default=None) is None:
        return
    solution = solve_candidates(c)
    choices = [("link", c.links, solution.link_chosen, solution.link_margin)]
    choices += [("division", c.divisions, solution.division_chosen, solution.division_margin)]
    for kind, table, chosen, margin in choices:
        assert np.isnan(margin[~chosen]).all()
        for row in np.flatnonzero(chosen & (table.fixed == FREE)).tolist():
            fixed = table.fixed.copy()
            fixed[row] = FORBIDDEN
            name = "links" if kind == "link" else "divisions"
            best = min(every_solution(replace(c, **{name: replace(table, fixed=fixed)})), default=None)
            exact = math.inf if best is None else (best - solution.objective) / NAT
            assert exact_margin(c, solution, **{kind: row}) == pytest.approx(exact)
            assert 0 <= margin[row] <= exact
        assert np.isinf(margin[chosen & (table.fixed == KEPT)]).all()


def test_a_tie_that_reaches_across_regions_keeps_the_proof() -> None:
    """The first optimum holds a column of two regions; the second birth that it makes has both solved again, together."""
    n = 7
    detections = Detections(
        frame=np.array([0, 1, 2, 3, 3, 3, 4]),
        label=np.arange(n) + 1,
        position=np.zeros((n, 3)) + np.arange(n)[:, None],
        area=np.ones(n, dtype=np.int64),
        border=np.zeros(n),
        cost=np.array([-2, 4, -5, -5, -6, -6, 2]),
        appear=np.array([5, 8, 7, 2, 7, 7, 5]),
        disappear=np.array([8, 4, 8, 6, 0, 0, 5]),
        optional=np.isin(np.arange(n), (2, 3)),
        fixed=np.full(n, FREE),
        hypothesis=np.full(n, -1),
    )
    links = Links(
        source=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 4, 5]),
        target=np.array([1, 2, 3, 4, 5, 2, 3, 4, 5, 3, 4, 5, 6, 6, 6]),
        cost=np.array([-5, -3, -2, -1, 1, 8, -1, -3, -3, 1, -4, 1, 1, 2, 2]),
        fixed=np.where(np.arange(15) == 0, FORBIDDEN, FREE),
    )
    divisions = Divisions(
        mother=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]),
        first=np.array([1, 1, 2, 2, 3, 2, 2, 3, 4, 5, 3, 3]),
        second=np.array([3, 4, 3, 5, 4, 3, 6, 4, 5, 6, 4, 5]),
        cost=np.array([-4, 10, 11, -1, 9, -3, 5, -3, -8, 9, 10, 9]),
        fixed=np.full(12, FREE),
    )
    c = Candidates(detections, links, divisions, rebirth_frames=2, rebirth_cost=3)
    solution = solve_candidates(c)
    assert solution.status == "optimal"
    assert solution.objective == min(every_solution(c)) == -5


def test_margins_are_seldom_far_from_exact() -> None:
    c = crowd(frames=4, cells=25, seed=5)
    solution = solve_candidates(c)
    rows = np.flatnonzero(solution.link_chosen)
    exact = np.array([exact_margin(c, solution, link=row) for row in rows.tolist()])
    found = solution.link_margin[rows]
    assert (found <= exact + 1e-9).all()
    assert np.median(found / exact) > 0.5


def test_margins_are_only_for_what_is_chosen() -> None:
    c = crowd(frames=2, cells=5, seed=0)
    solution = solve_candidates(c)
    with pytest.raises(ValueError, match="not chosen"):
        exact_margin(c, solution, link=int(np.flatnonzero(~solution.link_chosen)[0]))
    with pytest.raises(ValueError, match="either a link or a division"):
        exact_margin(c, solution)


def test_ctrl_c_keeps_the_best_solution_so_far() -> None:
    c = crowd(frames=8, cells=60, seed=3, optional=0.2)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    best = solve_candidates(c)
    solution = solve_candidates(c, progress=stop)
    assert solution.interrupted
    assert not best.interrupted
    assert solution.bound <= best.objective <= solution.objective
    assert price(c, solution) == solution.objective


def test_progress_tells_the_gap() -> None:
    told: list[tuple[str, int, int, str]] = []
    solution = solve_candidates(
        crowd(frames=6, cells=60, seed=3), progress=lambda *line, **more: told.append((*line, *more.values()))
    )
    assert told[-1][0] == "solve"
    assert told[-1][1] == told[-1][2]
    assert told[-1][3] == f"bound {solution.bound / NAT:.6g}, gap 0 nats"


@FEW
@given(candidates())
def test_progress_never_tells_less_than_no_gap(c: Candidates) -> None:
    """Also while the choice at hand breaks a clique: what is told is the gap of a choice that keeps all."""
    if min(every_solution(c), default=None) is None:
        return
    gaps: list[float] = []
    solve_candidates(c, progress=lambda *line, **more: gaps.append(float([*line, *more.values()][3].split()[3])))
    assert min(gaps, default=0) >= 0


def test_progress_counts_a_second_birth_too_soon() -> None:
    """Two divisions two frames apart that cost 2 more than the sum of their columns."""
    free, n = np.full(10, FREE), np.full(7, FREE)
    detections = Detections(
        frame=np.array([0, 0, 1, 2, 2, 3, 4]),
        label=np.arange(1, 8),
        position=np.zeros((7, 3)),
        area=np.ones(7, dtype=np.int64),
        border=np.zeros(7),
        cost=np.array([3, -6, -1, -2, 1, 4, 0]),
        appear=np.array([8, 5, 4, 8, 6, 3, 4]),
        disappear=np.array([5, 3, 3, 0, 7, 8, 3]),
        optional=np.array([True, True, False, True, True, False, False]),
        fixed=n,
        hypothesis=np.full(7, -1),
    )
    links = Links(
        source=np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 4]),
        target=np.array([2, 4, 3, 4, 5, 4, 5, 5, 6, 5]),
        cost=np.array([4, 5, 0, 7, -2, 8, 8, 5, -1, 6]),
        fixed=free,
    )
    divisions = Divisions(
        mother=np.array([0, 0, 0, 0, 1, 1, 2, 2, 3, 4]),
        first=np.array([2, 2, 2, 3, 2, 3, 3, 3, 5, 5]),
        second=np.array([3, 4, 5, 4, 3, 4, 4, 6, 6, 6]),
        cost=np.array([2, -7, 7, 10, -5, 2, -8, 10, -4, 2]),
        fixed=free,
    )
    clique = np.array([0, 0]), np.array([0, 1])
    c = Candidates(detections, links, divisions, *clique, rebirth_frames=3, rebirth_cost=2)
    told: list[str] = []
    solution = solve_candidates(c, progress=lambda *line, **more: told.append([*line, *more.values()][3]))
    assert solution.objective == min(every_solution(c))
    assert all(float(line.split()[3]) >= 0 for line in told)
    assert told[-1].endswith("gap 0 nats")


@settings(PLENTY, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(c=candidates(coupled=True), window=st.integers(1, 4), batch=st.sampled_from([1, 4000]))
def test_windows_regions_and_batches_of_any_size_agree_with_brute_force(
    monkeypatch: pytest.MonkeyPatch, c: Candidates, window: int, batch: int
) -> None:
    """The way that large problems take, forced on tiny ones."""
    monkeypatch.setattr("celltrail.tracking.solving.windows.WINDOW", window)
    monkeypatch.setattr("celltrail.tracking.solving.regions.BATCH", batch)
    best = min(every_solution(c), default=None)
    if best is None:
        return
    solution = solve_candidates(c)
    assert (solution.objective, solution.bound) == (best, best)
    assert price(c, solution) == best


@settings(PLENTY, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(c=candidates(coupled=True))
def test_regions_that_may_not_grow_leave_a_true_gap(monkeypatch: pytest.MonkeyPatch, c: Candidates) -> None:
    monkeypatch.setattr("celltrail.tracking.solving.regions.LIMIT", 2)
    best = min(every_solution(c), default=None)
    if best is None:
        return
    solution = solve_candidates(c)
    assert solution.bound <= best <= solution.objective
    assert price(c, solution) == solution.objective
    assert (solution.status == "optimal") == (solution.objective == solution.bound)
    assert (len(solution.open_components) == 0) == (solution.objective == solution.bound)
