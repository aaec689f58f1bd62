"""Candidates → the proven best solution.

What is certain is fixed, the rest is split into independent problems, each is solved exactly: its linear
relaxation first, and where that is not integral the integer programme. Objective, bound and gap are sums
over the components, in exact integers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, vstack

from data.graph import BoolArray, Candidates, IntArray, Solution
from data.network import Graph, from_networkx, to_networkx, with_solution
from data.progress import Progress, silent
from tracking.backends import Answer, Problem, backend
from tracking.certificate import SIDELESS, dual_bound
from tracking.components import batches, split
from tracking.model import Model, build_model, clique_rows
from tracking.rebirth import second_births

BATCH = 4000  # columns of the small components that are given to the solver together
SCALE = 1000.0  # the solver sees costs in 10⁻³ nat, well above its tolerances


@dataclass(frozen=True)
class SideRow:
    """A row beside past and future: ``lower ≤ Σ coefficient · column ≤ upper``."""

    columns: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    lower: int
    upper: int


@dataclass(frozen=True)
class Task:
    """Some components, solved in one call. ``group`` is the component of each row and then of each column."""

    cost: IntArray
    matrix: csc_array
    lower: IntArray
    upper: IntArray
    group: IntArray
    groups: int


def solve_candidates(
    candidates: Candidates,
    *,
    solver: str = "highs",
    jobs: int = 1,
    time_limit: float | None = None,
    progress: Progress = silent,
) -> Solution:
    """Solve the tracking problem of ``candidates`` to proven optimality.

    Parameters
    ----------
    solver : ``highs``, or ``pulp:NAME`` (``pulp:CBC``, ``pulp:HiGHS``, …).
    jobs : number of processes; the result does not depend on it.
    time_limit : seconds; components that are not finished by then keep the best known solution and a gap.

    Raises
    ------
    InputError
        If the solver is not installed, a cost or an index is invalid, or pins contradict each other.
    tracking.backends.SolverFailed
        If a solver breaks down.
    """
    backend(solver)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    model = build_model(candidates)
    side = [
        SideRow(columns, np.ones(len(columns), dtype=np.int64), len(columns) - 1, SIDELESS)
        for columns in clique_rows(model)
    ]
    known: set[tuple[int, ...]] = set()
    while True:
        row_group, groups = split(model, [row.columns for row in side])
        chosen, bound, finished = _solve_components(model, side, row_group, groups, solver, jobs, deadline, progress)
        m, d = model.links, model.divisions
        births = second_births(candidates, chosen[:m], chosen[m : m + d])
        new = [path for path in births if tuple(path.tolist()) not in known]
        if not new or (deadline is not None and time.monotonic() > deadline):
            break
        known.update(tuple(path.tolist()) for path in new)
        model, more = _with_penalties(model, candidates.rebirth_cost, new)
        side += more
    return _solution(candidates, model, chosen, bound, finished, row_group, len(births), solver)


def solve(graph: Graph | Candidates, solver: str = "highs") -> Graph:
    """Solve a candidate graph; the result is a copy with the solution on it (see :mod:`data.network`).

    Raises
    ------
    InputError
        If the graph is not one of candidates; every problem is named.
    """
    if isinstance(graph, Candidates):
        return to_networkx(graph, solve_candidates(graph, solver=solver))
    return with_solution(graph, solve_candidates(from_networkx(graph), solver=solver))


def _with_penalties(model: Model, price: int, paths: list[NDArray[np.int64]]) -> tuple[Model, list[SideRow]]:
    """Add one penalty column for each path, and the row that makes it be paid."""
    count, first = len(paths), len(model.rows)
    model = replace(
        model,
        rows=np.concatenate([model.rows, np.full((count, 3), -1)]),
        cost=np.concatenate([model.cost, np.full(count, price)]),
        allowed=np.concatenate([model.allowed, np.ones(count, dtype=np.bool_)]),
    )
    side = []
    for k, path in enumerate(paths):
        columns = np.append(path, first + k)
        coefficients = np.append(np.ones(len(path), dtype=np.int64), -1)
        side.append(SideRow(columns, coefficients, -SIDELESS, len(path) - 1))
    return model, side


def _tasks(
    model: Model, side: list[SideRow], row_group: IntArray, groups: int
) -> Iterator[tuple[IntArray, IntArray, Task]]:
    """Cut the programme into tasks: (columns, components, task), in the order of the components."""
    columns = np.flatnonzero(model.allowed)
    group = np.where(model.rows[columns, 0] >= 0, row_group[model.rows[columns, 0]], -1)
    side_group = np.array([row_group[model.rows[row.columns[0], 0]] for row in side], dtype=np.int64)
    for row, component in zip(side, side_group.tolist(), strict=True):
        if model.rows[row.columns[-1], 0] < 0:
            group[np.searchsorted(columns, row.columns[-1])] = component
    by_group = np.argsort(group, kind="stable")
    columns, group = columns[by_group], group[by_group]
    row_order = np.argsort(row_group, kind="stable")
    side_order = np.argsort(side_group, kind="stable")
    column_ends = np.searchsorted(group, np.arange(groups + 1))
    row_ends = np.searchsorted(row_group[row_order], np.arange(groups + 1))
    side_ends = np.searchsorted(side_group[side_order], np.arange(groups + 1))
    local = np.full(len(model.rows), -1, dtype=np.int64)
    for start, stop in batches(np.diff(column_ends), BATCH):
        inside = columns[column_ends[start] : column_ends[stop]]
        rows = row_order[row_ends[start] : row_ends[stop]]
        sides = side_order[side_ends[start] : side_ends[stop]].tolist()
        local[inside] = np.arange(len(inside))
        matrix = model.matrix(inside)[rows]
        lower, upper = np.ones(len(rows), dtype=np.int64), np.ones(len(rows), dtype=np.int64)
        if sides:
            extra = np.zeros((len(sides), len(inside)))
            for k, s in enumerate(sides):
                at = local[side[s].columns]
                extra[k, at[at >= 0]] = side[s].coefficients[at >= 0]
            matrix = vstack([matrix, csc_array(extra)], format="csc")
            lower = np.append(lower, [side[s].lower for s in sides])
            upper = np.append(upper, [side[s].upper for s in sides])
        owner = np.concatenate([row_group[rows], side_group[sides], group[column_ends[start] : column_ends[stop]]])
        task = Task(model.cost[inside], csc_array(matrix), lower, upper, owner - start, stop - start)
        yield inside, np.arange(start, stop), task


def _solve_components(
    model: Model, side: list[SideRow], row_group: IntArray, groups: int, solver: str, jobs: int,
    deadline: float | None, progress: Progress,
) -> tuple[BoolArray, IntArray, BoolArray]:  # fmt: skip
    """Solve every component: chosen (columns,), bound (groups,) and whether each is proven (groups,)."""
    chosen = np.zeros(len(model.rows), dtype=np.bool_)
    bound, finished = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.bool_)

    def store(columns: IntArray, components: IntArray, result: tuple[BoolArray, IntArray, BoolArray]) -> None:
        chosen[columns[result[0]]] = True
        bound[components], finished[components] = result[1], result[2]
        progress("solve", int(components[-1]) + 1, groups)

    work = _tasks(model, side, row_group, groups)
    if jobs == 1:
        for columns, components, task in work:
            store(columns, components, solve_task(task, solver, deadline))
        return chosen, bound, finished
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [(c, k, pool.submit(solve_task, task, solver, deadline)) for c, k, task in work]
        for columns, components, future in waiting:
            store(columns, components, future.result())
    return chosen, bound, finished


def solve_task(task: Task, solver: str, deadline: float | None) -> tuple[BoolArray, IntArray, BoolArray]:
    """Solve some components: chosen (columns,), bound (groups,), proven (groups,)."""
    run = backend(solver)
    rows = len(task.lower)
    row_group, column_group = task.group[:rows], task.group[rows:]
    relaxed = run(_problem(task, np.arange(rows), np.arange(len(task.cost))), False, _left(deadline))
    if relaxed.x is None:
        chosen = _fallback(task)
        bound = dual_bound(task.cost, task.matrix, task.lower, task.upper, np.zeros(rows), task.group, task.groups)
        return chosen, bound, np.zeros(task.groups, dtype=np.bool_)
    chosen = relaxed.x > 0.5
    fractional = np.zeros(task.groups, dtype=np.bool_)
    fractional[column_group[np.abs(relaxed.x - chosen) > 1e-6]] = True
    objective = np.zeros(task.groups, dtype=np.int64)
    np.add.at(objective, column_group[chosen], task.cost[chosen])
    if relaxed.dual is not None:
        dual = relaxed.dual * SCALE
        bound = dual_bound(task.cost, task.matrix, task.lower, task.upper, dual, task.group, task.groups)
    else:
        bound = objective.copy()
    finished = ~fractional & (bound == objective)
    for component in np.flatnonzero(~finished).tolist():
        inside, covered = np.flatnonzero(column_group == component), np.flatnonzero(row_group == component)
        answer = run(_problem(task, covered, inside), True, _left(deadline))
        proven = _integer_bound(answer)
        if answer.x is None:
            chosen[inside] = _fallback(task)[inside]
        else:
            chosen[inside] = answer.x > 0.5
        best = int(task.cost[inside][chosen[inside]].sum())
        floor = proven if relaxed.dual is None else max(proven, int(bound[component]))
        bound[component] = best if answer.optimal else min(floor, best)
        finished[component] = bound[component] == best
    return chosen, bound, finished


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _integer_bound(answer: Answer) -> int:
    """The bound of an integer programme as an integer number of units, rounded to the safe side."""
    if not np.isfinite(answer.bound):
        return -(1 << 60)
    value = answer.bound * SCALE
    return int(np.ceil(value - 0.01 - 1e-9 * abs(value)))


def _problem(task: Task, rows: IntArray, columns: IntArray) -> Problem:
    part: Any = task.matrix.tocsr()[rows]
    lower, upper = task.lower[rows].astype(np.float64), task.upper[rows].astype(np.float64)
    lower[lower <= -SIDELESS], upper[upper >= SIDELESS] = -np.inf, np.inf
    return Problem(task.cost[columns] / SCALE, csc_array(part[:, columns]), lower, upper)


def _fallback(task: Task) -> BoolArray:
    """A solution that is always there: what is forced, and otherwise everything left out or only appearing."""
    chosen = np.zeros(len(task.cost), dtype=np.bool_)
    every_row: Any = task.matrix.tocsr()
    rows = every_row[: np.count_nonzero((task.lower == 1) & (task.upper == 1))]
    partition = rows.tocsc()
    size = np.diff(rows.indptr)
    covered = np.zeros(rows.shape[0], dtype=np.bool_)
    width = np.diff(partition.indptr)
    left_out = every_row[np.flatnonzero((task.lower > 0) & (task.upper >= SIDELESS))].indices
    for j in np.unique(left_out).tolist():
        chosen[j] = True
        covered[partition.indices[partition.indptr[j] : partition.indptr[j + 1]]] = True
    for row in np.argsort(size, kind="stable").tolist():
        if covered[row]:
            continue
        options = rows.indices[rows.indptr[row] : rows.indptr[row + 1]]
        fits = [
            j
            for j in options.tolist()
            if not covered[partition.indices[partition.indptr[j] : partition.indptr[j + 1]]].any()
        ]
        best = min(fits, key=lambda j: (width[j], j))
        chosen[best] = True
        covered[partition.indices[partition.indptr[best] : partition.indptr[best + 1]]] = True
    return chosen


def _solution(
    candidates: Candidates, model: Model, chosen: BoolArray, bound: IntArray, finished: BoolArray,
    row_group: IntArray, rebirths: int, solver: str,
) -> Solution:  # fmt: skip
    """Put the answer together and check it against the programme."""
    n, m, d = model.detections, model.links, model.divisions
    covered = model.rows[chosen]
    if not np.array_equal(np.bincount(covered[covered >= 0], minlength=2 * n), np.ones(2 * n)):
        raise AssertionError("the solution does not give every detection one past and one future")
    used = ~chosen[model.first_drop : model.first_drop + n]
    objective = int(model.cost[chosen].sum()) + model.constant
    total = int(bound.sum()) + model.constant
    if total > objective:
        raise AssertionError(f"the bound {total} is above the objective {objective}")
    alone = model.cost[model.first_appear :][:n] + model.cost[model.first_disappear :][:n]
    link_margin = np.full(m, np.nan)
    division_margin = np.full(d, np.nan)
    return Solution(
        used=used,
        appears=chosen[model.first_appear : model.first_appear + n],
        disappears=chosen[model.first_disappear : model.first_disappear + n],
        link_chosen=chosen[:m],
        division_chosen=chosen[m : m + d],
        objective=objective,
        bound=total,
        baseline=int((alone + candidates.detections.cost)[used].sum()),
        component=row_group[n:],
        past_component=row_group[:n],
        link_margin=link_margin,
        division_margin=division_margin,
        open_components=np.flatnonzero(~finished),
        rebirths=rebirths,
        solver=solver,
    )
