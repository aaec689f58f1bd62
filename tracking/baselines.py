"""Two simple trackers to compare with: frame-by-frame assignment, and greedy linking.

Both see the distances that the programme sees and nothing else: they use one cut-off, taken from
the movie, and know divisions only as a second cell near a track that would otherwise begin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.tracking.candidates.links import LinkTable

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

REACH = 3.0  # cut-off in units of the 90th percentile of nearest-neighbour steps


def cut_off(links: LinkTable) -> float:
    """Longest link of a baseline: three times the 90th percentile of the steps to the nearest cell."""
    nearest = np.full(int(links.source.max(initial=-1)) + 1, np.inf)
    np.minimum.at(nearest, links.source[links.span == 1], links.distance[links.span == 1])
    steps = nearest[np.isfinite(nearest)]
    return REACH * float(np.percentile(steps, 90)) if len(steps) else 0.0


def choose_greedily(links: LinkTable) -> BoolArray:
    """Shortest link first, each cell with one past and one future."""
    chosen = np.zeros(len(links), dtype=bool)
    limit = cut_off(links)
    seen_source: set[int] = set()
    seen_target: set[int] = set()
    for row in np.argsort(links.distance, kind="stable").tolist():
        if links.distance[row] > limit:
            break
        u, v = int(links.source[row]), int(links.target[row])
        if links.span[row] == 1 and u not in seen_source and v not in seen_target:
            chosen[row] = True
            seen_source.add(u)
            seen_target.add(v)
    return chosen


def choose_by_assignment(links: LinkTable) -> BoolArray:
    """Smallest sum of squared distances between each pair of frames; no link costs the cut-off squared."""
    chosen = np.zeros(len(links), dtype=bool)
    limit = cut_off(links)
    rows = np.flatnonzero((links.span == 1) & (links.distance <= limit))
    if not len(rows):
        return chosen
    n = int(max(links.source.max(), links.target.max())) + 1
    graph = coo_array((np.ones(len(rows)), (links.source[rows], links.target[rows] + n)), shape=(2 * n, 2 * n))
    component = connected_components(graph, directed=False)[1][links.source[rows]]
    order = np.argsort(component, kind="stable")
    for part in np.split(rows[order], np.flatnonzero(np.diff(component[order])) + 1):
        sources, i = np.unique(links.source[part], return_inverse=True)
        targets, j = np.unique(links.target[part], return_inverse=True)
        cost = np.full((len(sources), len(targets) + len(sources)), limit**2)
        cost[:, : len(targets)] = 2 * limit**2
        cost[i, j] = links.distance[part] ** 2
        row_of = np.full((len(sources), len(targets)), -1)
        row_of[i, j] = part
        a, b = linear_sum_assignment(cost)
        real = b < len(targets)
        taken = row_of[a[real], b[real]]
        chosen[taken[taken >= 0]] = True
    return chosen


def add_divisions(candidates: Candidates, chosen: BoolArray, limit: float) -> tuple[BoolArray, BoolArray]:
    """Give tracks that begin near a linked cell that cell as their mother.

    Returns
    -------
    link_chosen : bool (m,), without the links that became part of a division.
    division_chosen : bool (d,).
    """
    links, divisions, place = candidates.links, candidates.divisions, candidates.detections.position
    chosen = chosen.copy()
    taken = np.zeros(len(divisions), dtype=bool)
    following = dict(zip(links.source[chosen].tolist(), links.target[chosen].tolist(), strict=True))
    begun = set(range(len(place))) - set(links.target[chosen].tolist())
    mother = place[divisions.mother]
    length = np.maximum(
        np.linalg.norm(place[divisions.first] - mother, axis=1),
        np.linalg.norm(place[divisions.second] - mother, axis=1),
    )
    row_of = {(u, v): i for i, (u, v) in enumerate(zip(links.source.tolist(), links.target.tolist(), strict=True))}
    for row in np.argsort(length, kind="stable").tolist():
        if length[row] > limit:
            break
        u, v, w = int(divisions.mother[row]), int(divisions.first[row]), int(divisions.second[row])
        old, new = (v, w) if following.get(u) == v else (w, v)
        if following.get(u) == old and new in begun:
            taken[row] = True
            chosen[row_of[u, old]] = False
            begun.remove(new)
            del following[u]
    return chosen, taken


def as_solution(candidates: Candidates, link_chosen: BoolArray, division_chosen: BoolArray, name: str) -> Solution:
    """A choice as `Solution`, with its objective; its bound is the sum of every row's best, so no proof."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    past, future = np.zeros(len(d), dtype=bool), np.zeros(len(d), dtype=bool)
    past[links.target[link_chosen]] = True
    future[links.source[link_chosen]] = True
    past[divisions.first[division_chosen]] = past[divisions.second[division_chosen]] = True
    future[divisions.mother[division_chosen]] = True
    baseline = int(d.cost.sum() + d.appear.sum() + d.disappear.sum())
    objective = int(
        d.cost.sum()
        + d.appear[~past].sum()
        + d.disappear[~future].sum()
        + links.cost[link_chosen].sum()
        + divisions.cost[division_chosen].sum()
    )
    bound = int(d.cost.sum() + np.minimum(links.cost, 0).sum() + np.minimum(divisions.cost, 0).sum())
    unknown = (np.full(len(links), np.nan), np.full(len(divisions), np.nan))
    return Solution(
        np.ones(len(d), dtype=bool),
        ~past,
        ~future,
        link_chosen,
        division_chosen,
        objective,
        bound,
        baseline,
        np.zeros(len(d), dtype=np.int64),
        *unknown,
        np.zeros(1, dtype=np.int64),
        solver=name,
    )
