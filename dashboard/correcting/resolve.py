"""Solving again only what pins touch.

Every detection has two rows, one past and one future; links, divisions, optional detections and cliques
tie rows together. Rows that nothing ties to a pinned cell keep their choice: their part of the problem
is unchanged, and its optimum is known. The objective of the whole is the sum, and so is the proof.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from celltrail.data import Candidates, Solution
from celltrail.data.graph.candidates import FORBIDDEN, Detections, Divisions, Links
from celltrail.tracking.solving.second_births import find_second_births
from celltrail.tracking.solving.solver import solve_candidates

BoolArray = NDArray[np.bool_]


def solve_touched(problem: Candidates, known: Solution, pinned: Candidates, cells: NDArray[np.int64]) -> Solution:
    """The optimum of ``pinned``, from the known optimum of ``problem``, of which only the part around ``cells`` differs.

    Parameters
    ----------
    problem, known
        Candidates and their solution.
    pinned : Candidates
        The same detections with pins.
    cells : NDArray[np.int64]
        int64 (k,), rows of the detections that pins name.

    Returns
    -------
    Solution
        As `celltrail.tracking.solving.solver.solve_candidates` of ``pinned``; the whole is solved where the known
        solution is not optimal, or a division follows too soon on another.
    """
    touched = touched_rows(pinned, cells)
    n = len(pinned.detections)
    if known.status != "optimal" or touched.all():
        return solve_candidates(pinned)
    past, future = touched[:n], touched[n:]
    rows = np.flatnonzero(past | future)
    links, divisions = past[pinned.links.target], past[pinned.divisions.first]
    part = solve_candidates(_part(pinned, rows, past, future, links, divisions))

    link_chosen, link_margin = _carry(problem.links, pinned.links, known.link_chosen, known.link_margin)
    division_chosen, division_margin = _carry(
        problem.divisions, pinned.divisions, known.division_chosen, known.division_margin
    )
    link_chosen[links], link_margin[links] = part.link_chosen, part.link_margin
    division_chosen[divisions], division_margin[divisions] = part.division_chosen, part.division_margin
    used, appears, disappears = known.used.copy(), known.appears.copy(), known.disappears.copy()
    both = past[rows] & future[rows]
    used[rows[both]] = part.used[both]
    appears[rows[past[rows]]] = part.appears[past[rows]]
    disappears[rows[future[rows]]] = part.disappears[future[rows]]
    births = [find_second_births(problem, known.link_chosen, known.division_chosen)]
    births.append(find_second_births(pinned, link_chosen, division_chosen))
    if any(births):
        return solve_candidates(pinned)
    table = pinned.detections
    objective = sum(
        int(cost[chosen].sum())
        for cost, chosen in (
            (table.cost, used),
            (table.appear, appears),
            (table.disappear, disappears),
            (pinned.links.cost, link_chosen),
            (pinned.divisions.cost, division_chosen),
        )
    )
    problems = np.concatenate(_components(known))
    inner = np.concatenate(_components(part))[np.concatenate([past[rows], future[rows]])]
    problems[touched] = problems.max(initial=-1) + 1 + inner
    numbers = np.unique(problems, return_inverse=True)[1]
    return replace(
        known,
        used=used,
        appears=appears,
        disappears=disappears,
        link_chosen=link_chosen,
        division_chosen=division_chosen,
        objective=objective,
        bound=objective - (part.objective - part.bound),
        past_component=numbers[:n],
        component=numbers[n:],
        link_margin=link_margin,
        division_margin=division_margin,
        open_components=np.zeros(0, dtype=np.int64),
    )


def _components(solution: Solution) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The independent problem of every past and of every future."""
    past = solution.past_component if len(solution.past_component) else solution.component
    return past, solution.component


def touched_rows(candidates: Candidates, cells: NDArray[np.int64]) -> BoolArray:
    """Which rows are tied to these detections; bool (2n,): first every past, then every future."""
    n = len(candidates.detections)
    links, divisions = candidates.links, candidates.divisions
    loose = np.flatnonzero(candidates.detections.optional | (candidates.detections.fixed == FORBIDDEN))
    order = np.argsort(candidates.clique_id, kind="stable")
    members, ids = candidates.clique_detection[order], candidates.clique_id[order]
    same = ids[1:] == ids[:-1]
    one = np.concatenate([n + links.source, n + divisions.mother, n + divisions.mother, loose, members[:-1][same]])
    other = np.concatenate([links.target, divisions.first, divisions.second, n + loose, members[1:][same]])
    ties = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(2 * n, 2 * n))
    _, group = connected_components(ties, directed=False)
    return np.isin(group, group[np.concatenate([cells, n + cells])])


def _part(
    pinned: Candidates,
    rows: NDArray[np.int64],
    past: BoolArray,
    future: BoolArray,
    links: BoolArray,
    divisions: BoolArray,
) -> Candidates:
    """The touched part as a problem of its own; a past or future that is not touched costs nothing in it."""
    new = np.full(len(pinned.detections), -1)
    new[rows] = np.arange(len(rows))
    columns: dict[str, Any] = {name: value[rows] for name, value in vars(pinned.detections).items()}
    columns["appear"] = np.where(past[rows], columns["appear"], 0)
    columns["disappear"] = np.where(future[rows], columns["disappear"], 0)
    inside = past[pinned.clique_detection]
    return replace(
        pinned,
        detections=Detections(**columns),
        links=Links(
            new[pinned.links.source[links]],
            new[pinned.links.target[links]],
            pinned.links.cost[links],
            pinned.links.fixed[links],
        ),
        divisions=Divisions(
            *(
                new[column[divisions]]
                for column in (pinned.divisions.mother, pinned.divisions.first, pinned.divisions.second)
            ),
            pinned.divisions.cost[divisions],
            pinned.divisions.fixed[divisions],
        ),
        clique_id=pinned.clique_id[inside],
        clique_detection=new[pinned.clique_detection[inside]],
    )


def _carry(
    old: Links | Divisions, new: Links | Divisions, chosen: BoolArray, margin: NDArray[np.float64]
) -> tuple[BoolArray, NDArray[np.float64]]:
    """Choices and margins of the old columns, in the order of the new ones (pins may have added some)."""

    names = ("source", "target") if isinstance(old, Links) else ("mother", "first", "second")
    if all(np.array_equal(getattr(old, name), getattr(new, name)) for name in names):
        return chosen.copy(), margin.copy()

    def keys(table: Links | Divisions) -> list[tuple[int, ...]]:
        return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))

    known = {key: row for row, key in enumerate(keys(old))}
    source = np.array([known.get(key, -1) for key in keys(new)], dtype=np.int64)
    there = source >= 0  # the others are new
    return there & np.append(chosen, False)[source], np.where(there, np.append(margin, np.nan)[source], np.nan)
