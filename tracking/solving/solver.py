"""Candidates → the proven best solution.

What is certain is fixed. A matching gives a first solution and exact duals for everything without cliques and costly
interplay of divisions; what it leaves open is closed in small regions, each an integer programme that HiGHS solves
(:mod:`celltrail.tracking.solving.regions`). Other solvers get every connected component as it is: slower, the readable reference.
Objective, bound and gap are exact integers.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from celltrail.data.graph.candidates import FORBIDDEN, NAT, Candidates, Solution
from celltrail.data.graph.networkx_graph import Graph, from_networkx, to_networkx, with_solution
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import BoolArray
from celltrail.tracking.solving.backends import backend
from celltrail.tracking.solving.blocks import relax_task, solve_task
from celltrail.tracking.solving.components import split
from celltrail.tracking.solving.first_solution import keep_cliques, start, start_alone
from celltrail.tracking.solving.margins import choice_margins
from celltrail.tracking.solving.pricing import Cliques, SideRow
from celltrail.tracking.solving.programme import Programme, build_programme, clique_rows
from celltrail.tracking.solving.proof import SIDELESS
from celltrail.tracking.solving.regions import Regions
from celltrail.tracking.solving.second_births import find_second_births
from celltrail.tracking.solving.ties import settle_ties
from celltrail.tracking.solving.windows import solve_windows


def solve_candidates(
    candidates: Candidates,
    *,
    solver: str = "highs",
    mapper: Mapper = map,
    time_limit: float | None = None,
    progress: Progress = silent,
) -> Solution:
    """Solve the tracking problem of ``candidates`` to proven optimality.

    Ctrl-C gives the best solution so far, with its gap and ``interrupted`` set.

    Parameters
    ----------
    solver : str
        ``highs``, or ``pulp:NAME`` (``pulp:CBC``, ``pulp:HiGHS``, …).
    mapper : Mapper
        Where the parts are solved (`celltrail.data.running.workers.open_workers`); the result does not depend on
        it.
    time_limit : float | None
        Seconds; what is not finished by then keeps the best known solution, with its gap.

    Raises
    ------
    InputError
        If the solver is not installed, a cost or an index is invalid, or pins contradict each other.
    celltrail.tracking.solving.backends.SolverFailed
        If a solver breaks down.
    """
    backend(solver)
    deadline = None if time_limit is None else time.time() + time_limit
    programme = build_programme(candidates)
    plain = programme
    cliques = [
        SideRow(columns, np.ones(len(columns), dtype=np.int64), len(columns) - 1, SIDELESS)
        for columns in clique_rows(programme)
    ]

    def report(closed: int, total: int) -> None:
        bound = regions.total_bound()
        kept = regions.kept()[: len(plain.rows)]
        births = len(_second_births(candidates, kept)) * candidates.rebirth_cost
        gap = int(plain.cost[np.flatnonzero(kept)].sum()) + births - bound
        progress("solve", closed, total, f"bound {(bound + plain.constant) / NAT:.6g}, gap {gap / NAT:.4g} nats")

    interrupted = False
    known: set[tuple[int, ...]] = set()
    run = partial(mapper, partial(solve_task, solver=solver, deadline=deadline))
    relax = partial(mapper, partial(relax_task, solver=solver, deadline=deadline))
    matched = solver == "highs" and not cliques
    unpriced = Cliques(cliques, np.zeros(len(cliques), dtype=np.int64))
    regions = Regions(programme, start(programme) if matched else start_alone(programme), unpriced)
    try:
        if matched:
            regions.open_everywhere()
        elif solver == "highs":
            state, price = solve_windows(programme, candidates.detections.frame, cliques, relax)
            regions = Regions(programme, state, Cliques(cliques, price))
            regions.open_everywhere()
        else:
            regions.adopt(np.arange(len(cliques)))
            regions.cover(split(programme, [row.columns for row in cliques])[0])
        while True:
            regions.close(run, deadline, report)
            if not len(regions.proof.open_rows(regions.sets)):
                settle_ties(regions, plain)
            births = _second_births(candidates, regions.chosen)
            new = [path for path in births if tuple(path.tolist()) not in known]
            if not new or (deadline is not None and time.time() > deadline):
                break
            known.update(tuple(path.tolist()) for path in new)
            programme, penalties = _with_penalties(regions.programme, candidates.rebirth_cost, new)
            regions.rejoin()
            regions.add_side_rows(penalties, programme)
    except KeyboardInterrupt:
        interrupted = True
        regions.holder = regions.safe
    # what the time was too short for may still break a clique
    keep_cliques(plain, regions.holder, [row.columns for row in cliques])
    births = _second_births(candidates, regions.chosen)
    unpaid = [path for path in births if tuple(path.tolist()) not in known]
    return _solution(candidates, plain, regions, births, unpaid, solver, interrupted)


def solve(graph: Graph | Candidates, solver: str = "highs") -> Graph:
    """Solve a candidate graph; the result is a copy with the solution on it (see `celltrail.data.graph.networkx_graph`).

    Raises
    ------
    InputError
        If the graph is not one of candidates; every problem is named.
    """
    if isinstance(graph, Candidates):
        return to_networkx(graph, solve_candidates(graph, solver=solver))
    return with_solution(graph, solve_candidates(from_networkx(graph), solver=solver))


def exact_margin(
    candidates: Candidates, solution: Solution, *, link: int | None = None, division: int | None = None
) -> float:
    """Nats from ``solution`` to the best one without this chosen link or division (its row), by solving again.

    Infinite where a pin leaves no other way.

    Raises
    ------
    ValueError
        If neither or both are given, or the row is not chosen.
    """
    if (link is None) == (division is None):
        raise ValueError("give either a link or a division")
    table, row = (candidates.links, link) if link is not None else (candidates.divisions, division)
    chosen = solution.link_chosen if link is not None else solution.division_chosen
    if not chosen[row]:
        raise ValueError(f"row {row} is not chosen, so it has no margin")
    if table.fixed[row] > FORBIDDEN:
        return float("inf")
    fixed = table.fixed.copy()
    fixed[row] = FORBIDDEN
    if link is not None:
        changed = replace(candidates, links=replace(candidates.links, fixed=fixed))
    else:
        changed = replace(candidates, divisions=replace(candidates.divisions, fixed=fixed))
    without = solve_candidates(changed, solver=solution.solver)
    return (without.objective - solution.objective) / NAT


def _second_births(candidates: Candidates, chosen: BoolArray) -> list[NDArray[np.int64]]:
    return find_second_births(
        candidates, chosen[: len(candidates.links)], chosen[len(candidates.links) :][: len(candidates.divisions)]
    )


def _with_penalties(
    programme: Programme, price: int, paths: list[NDArray[np.int64]]
) -> tuple[Programme, list[SideRow]]:
    """Add one penalty column for each path, and the row that makes it be paid."""
    count, first = len(paths), len(programme.rows)
    programme = replace(
        programme,
        rows=np.concatenate([programme.rows, np.full((count, 3), -1, dtype=np.int32)]),
        cost=np.concatenate([programme.cost, np.full(count, price)]),
        allowed=np.concatenate([programme.allowed, np.ones(count, dtype=np.bool_)]),
    )
    side = []
    for k, path in enumerate(paths):
        coefficients = np.append(np.ones(len(path), dtype=np.int64), -1)
        side.append(SideRow(np.append(path, first + k), coefficients, -SIDELESS, len(path) - 1))
    return programme, side


def _solution(
    candidates: Candidates,
    programme: Programme,
    regions: Regions,
    births: list[NDArray[np.int64]],
    unpaid: list[NDArray[np.int64]],
    solver: str,
    interrupted: bool,
) -> Solution:
    """Put the answer together and check it against the programme.

    Parameters
    ----------
    births : list[NDArray[np.int64]]
        Second births too soon;
    unpaid : list[NDArray[np.int64]]
        Those of them that no row of the programme knows.
    """
    n, m, d = programme.detections, programme.links, programme.divisions
    chosen = regions.chosen[: len(programme.rows)]
    covered = programme.rows[chosen]
    if not np.array_equal(np.bincount(covered[covered >= 0], minlength=2 * n), np.ones(2 * n)):
        raise AssertionError("the solution does not give every detection one past and one future")
    if (chosen & ~programme.allowed).any():
        raise AssertionError("the solution uses what a pin excludes")
    objective = int(programme.cost[chosen].sum()) + len(births) * candidates.rebirth_cost + programme.constant
    bound = regions.total_bound() + programme.constant
    if bound > objective:
        raise AssertionError(f"the bound {bound} is above the objective {objective}")
    row_group, _ = split(programme, [row.columns for row in regions.pricing.side])
    used = ~chosen[programme.first_drop :]
    alone = candidates.detections.appear + candidates.detections.disappear + candidates.detections.cost
    margin = choice_margins(regions, chosen)
    open_rows = np.concatenate([regions.proof.open_rows(regions.sets), *(programme.rows[path, 0] for path in unpaid)])
    open_rows = open_rows if bound < objective else open_rows[:0]
    return Solution(
        used=used,
        appears=chosen[programme.first_appear : programme.first_disappear],
        disappears=chosen[programme.first_disappear : programme.first_drop],
        link_chosen=chosen[:m],
        division_chosen=chosen[m : m + d],
        objective=objective,
        bound=bound,
        baseline=int(alone[used].sum()),
        component=row_group[n:],
        past_component=row_group[:n],
        link_margin=margin[:m],
        division_margin=margin[m:],
        open_components=np.unique(row_group[open_rows]),
        rebirths=len(births),
        solver=solver,
        interrupted=interrupted,
    )
