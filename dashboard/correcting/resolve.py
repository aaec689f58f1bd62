"""Solving again only what pins touch.

Every detection has two rows, one past and one future; links, divisions, optional detections and cliques
tie rows together, and so do second births that were solved together. Rows that nothing ties to a pinned cell keep their
choice: their part of the problem is unchanged, and its optimum is known. The objective of the whole is the sum, and so
is the proof.
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
from celltrail.data.graph.confidence import Confidence
from celltrail.data.types import BoolArray, IntArray
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.solving.second_births import find_second_births
from celltrail.tracking.solving.solver import solve_candidates


def solve_touched(problem: Candidates, known: Solution, pinned: Candidates, cells: NDArray[np.int64]) -> Solution:
    """The optimum of ``pinned``, from the known optimum of ``problem``, of which only the part around ``cells`` differs.

    Parameters
    ----------
    problem, known
        Candidates and their solution.
    pinned : Candidates
        The same detections with other pins.
    cells : NDArray[np.int64]
        int64 (k,), rows of the detections that these pins name.

    Returns
    -------
    Solution
        As `celltrail.tracking.solving.solver.solve_candidates` of ``pinned``; the whole is solved where the known
        solution is not optimal.
    """
    n, m = len(pinned.detections), len(pinned.links)
    rows = np.concatenate([cells, n + cells])
    while True:
        touched = touched_rows(pinned, rows, known)
        if known.status != "optimal" or touched.all():
            return solve_candidates(pinned)
        solution = _with_part(problem, known, pinned, touched)
        paths = find_second_births(pinned, solution.link_chosen, solution.division_chosen)
        shared = [row for path in paths if 0 < touched[row := _rows_of_path(pinned, path, m)].mean() < 1]
        if not shared:
            break
        rows = np.concatenate([rows, *shared])  # a birth that leads out of the part: solve both sides together
    table = pinned.detections
    objective = len(paths) * pinned.rebirth_cost + sum(
        int(cost[chosen].sum())
        for cost, chosen in (
            (table.cost, solution.used),
            (table.appear, solution.appears),
            (table.disappear, solution.disappears),
            (pinned.links.cost, solution.link_chosen),
            (pinned.divisions.cost, solution.division_chosen),
        )
    )
    alone = table.appear + table.disappear + table.cost
    return replace(
        solution,
        objective=objective,
        bound=objective - (solution.objective - solution.bound),
        baseline=int(alone[solution.used].sum()),
        rebirths=len(paths),
    )


def _rows_of_path(candidates: Candidates, path: IntArray, m: int) -> IntArray:
    """The futures and pasts that a second birth decides: of its two divisions, and of the links between them."""
    n, links, divisions = len(candidates.detections), candidates.links, candidates.divisions
    link, division = path[1:-1], path[[0, -1]] - m
    sources = [links.source[link], divisions.mother[division]]
    targets = [links.target[link], divisions.first[division], divisions.second[division]]
    return np.concatenate([*(n + one for one in sources), *targets])


def _with_part(problem: Candidates, known: Solution, pinned: Candidates, touched: BoolArray) -> Solution:
    """The known choices, and in the touched part its optimum; objective and bound are only as far apart as they must be."""
    n = len(pinned.detections)
    past, future = touched[:n], touched[n:]
    rows = np.flatnonzero(past | future)
    links, divisions = past[pinned.links.target], past[pinned.divisions.first]
    part = solve_candidates(_part(pinned, rows, past, future, links, divisions))
    link_chosen, link_margin = _carry(problem.links, pinned.links, n, known.link_chosen, known.link_margin)
    division_chosen, division_margin = _carry(
        problem.divisions, pinned.divisions, n, known.division_chosen, known.division_margin
    )
    link_chosen[links], link_margin[links] = part.link_chosen, part.link_margin
    division_chosen[divisions], division_margin[divisions] = part.division_chosen, part.division_margin
    used, appears, disappears = known.used.copy(), known.appears.copy(), known.disappears.copy()
    both = past[rows] & future[rows]
    used[rows[both]] = part.used[both]
    appears[rows[past[rows]]] = part.appears[past[rows]]
    disappears[rows[future[rows]]] = part.disappears[future[rows]]
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
        objective=known.objective - known.bound + part.objective - part.bound,
        bound=0,
        past_component=numbers[:n],
        component=numbers[n:],
        link_margin=link_margin,
        division_margin=division_margin,
        open_components=np.zeros(0, dtype=np.int64),
    )


def confidence_with(
    problem: Candidates, known: Solution, sure: Confidence, pinned: Candidates, cells: IntArray
) -> Confidence:
    """The probabilities of ``pinned``, from those of ``problem``, of which only the part around ``cells`` differs."""
    n = len(pinned.detections)
    touched = touched_rows(pinned, np.concatenate([cells, n + cells]), known)
    past, future = touched[:n], touched[n:]
    rows = np.flatnonzero(past | future)
    links, divisions = past[pinned.links.target], past[pinned.divisions.first]
    part = compute_confidence(_part(pinned, rows, past, future, links, divisions), sure.temperature)
    _, link = _carry(problem.links, pinned.links, n, known.link_chosen, sure.link)
    _, division = _carry(problem.divisions, pinned.divisions, n, known.division_chosen, sure.division)
    link[links], division[divisions] = part.link, part.division
    appear, disappear, used = sure.appear.copy(), sure.disappear.copy(), sure.used.copy()
    appear[rows[past[rows]]] = part.appear[past[rows]]
    disappear[rows[future[rows]]] = part.disappear[future[rows]]
    both = past[rows] & future[rows]
    used[rows[both]] = part.used[both]
    return Confidence(link, division, appear, disappear, used, sure.temperature)


def _components(solution: Solution) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The independent problem of every past and of every future."""
    past = solution.past_component if len(solution.past_component) else solution.component
    return past, solution.component


def touched_rows(candidates: Candidates, rows: NDArray[np.int64], known: Solution) -> BoolArray:
    """Which rows are tied to these; bool (2n,): first every past, then every future.

    Rows that were one problem in the known solution are tied as well: its proof holds for them together.
    """
    n = len(candidates.detections)
    links, divisions = candidates.links, candidates.divisions
    loose = np.flatnonzero(candidates.detections.optional | (candidates.detections.fixed == FORBIDDEN))
    order = np.argsort(candidates.clique_id, kind="stable")
    members = candidates.clique_detection[order]
    same = candidates.clique_id[order][1:] == candidates.clique_id[order][:-1]
    problems = np.concatenate(_components(known))
    one = [n + links.source, n + divisions.mother, n + divisions.mother, loose, members[:-1][same], np.arange(2 * n)]
    other = [links.target, divisions.first, divisions.second, n + loose, members[1:][same], 2 * n + problems]
    size = 2 * n + int(problems.max(initial=-1)) + 1
    ends = (np.concatenate(one), np.concatenate(other))
    ties = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(size, size))
    group = connected_components(ties, directed=False)[1][: 2 * n]
    return np.isin(group, group[rows])


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
            source=new[pinned.links.source[links]],
            target=new[pinned.links.target[links]],
            cost=pinned.links.cost[links],
            fixed=pinned.links.fixed[links],
            terms={name: term[links] for name, term in pinned.links.terms.items()},
        ),
        divisions=Divisions(
            mother=new[pinned.divisions.mother[divisions]],
            first=new[pinned.divisions.first[divisions]],
            second=new[pinned.divisions.second[divisions]],
            cost=pinned.divisions.cost[divisions],
            fixed=pinned.divisions.fixed[divisions],
        ),
        clique_id=pinned.clique_id[inside],
        clique_detection=new[pinned.clique_detection[inside]],
    )


def _carry(
    old: Links | Divisions, new: Links | Divisions, n: int, chosen: BoolArray, value: NDArray[Any]
) -> tuple[BoolArray, NDArray[Any]]:
    """Choices and values of the old columns, in the order of the new ones (pins may have added or taken some)."""
    names = ("source", "target") if isinstance(old, Links) else ("mother", "first", "second")
    if all(np.array_equal(getattr(old, name), getattr(new, name)) for name in names):
        return chosen.copy(), value.copy()

    def keys(table: Links | Divisions) -> IntArray:
        """One number for each column, which is its cells."""
        number = np.zeros(len(table), dtype=np.int64)
        for name in names:
            number = number * n + getattr(table, name)
        return number

    known, wanted = keys(old), keys(new)
    order = np.argsort(known)
    place = np.searchsorted(known, wanted, sorter=order)
    row = np.append(order, -1)[place]
    there = (row >= 0) & (np.append(known, -1)[row] == wanted)
    return there & np.append(chosen, False)[row], np.where(there, np.append(value, np.nan)[row], np.nan).astype(
        value.dtype
    )
