"""Doubt about masks: where one that was taken as a cell may be a part of one, several, or none, and what it would be instead."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import Confidence
from celltrail.data.types import BoolArray, FloatArray, IntArray

DOUBTFUL = 1e-3  # probability from which a mask that has no alternatives is asked about
SAME = 0.01  # doubt of two cells that follow each other, from which theirs is one question


def doubtful_masks(candidates: Candidates, solution: Solution, confidence: Confidence) -> tuple[IntArray, FloatArray]:
    """The masks to ask about: one of each group that stands or falls together, and how probably it was misread.

    Alternatives to each other, in one frame or in frames that follow each other, are one group: a mask that is one cell or two
    for ten frames is one question.

    Returns
    -------
    row : IntArray
        int64 (k,), the used detection of the group that is most in doubt; where none is used, the likeliest one.
    doubt : FloatArray
        float64 (k,), the probability that it is none, or that it is one.
    """
    used, n = np.asarray(solution.used, dtype=bool), len(solution.used)
    wrong = np.where(used, 1.0 - confidence.used, confidence.used).astype(np.float64)
    rival, asked = candidates.clique_detection, np.zeros(n, dtype=bool)
    asked[rival] = True
    asked |= candidates.detections.optional & (wrong > DOUBTFUL)
    group = _groups(candidates, solution, asked & used & (wrong > SAME))
    rows = np.flatnonzero(asked)
    order = np.lexsort((rows, -wrong[rows], ~used[rows], group[rows]))
    rows = rows[order]
    first = np.append(True, group[rows[1:]] != group[rows[:-1]])[: len(rows)]
    return rows[first], np.clip(wrong[rows[first]], 0.0, 1.0)


def _groups(candidates: Candidates, solution: Solution, doubtful: BoolArray) -> IntArray:
    """The number of the group of each detection; int64 (n,)."""
    clique, rival, n = candidates.clique_id, candidates.clique_detection, len(solution.used)
    order = np.argsort(clique, kind="stable")
    mates = np.flatnonzero(np.diff(clique[order]) == 0)
    links, divisions = candidates.links, candidates.divisions
    joined, divided = solution.link_chosen, solution.division_chosen
    source = np.concatenate([links.source[joined], divisions.mother[divided], divisions.mother[divided]])
    target = np.concatenate([links.target[joined], divisions.first[divided], divisions.second[divided]])
    follow = doubtful[source] & doubtful[target]
    one = np.concatenate([rival[order[mates]], source[follow]])
    two = np.concatenate([rival[order[mates + 1]], target[follow]])
    tied = coo_array((np.ones(len(one)), (one, two)), shape=(n, n))
    return np.asarray(connected_components(tied, directed=False)[1], dtype=np.int64)


def other_reading(
    candidates: Candidates, solution: Solution, confidence: Confidence, row: int
) -> tuple[str, tuple[int, ...], float]:
    """What a mask would be if it were not what it was taken for: words, the detections in its place, and how probable."""
    used = confidence.used
    if not solution.used[row]:
        return "is a cell", (row,), float(used[row])
    here = candidates.clique_id[candidates.clique_detection == row]
    mates = np.unique(candidates.clique_detection[np.isin(candidates.clique_id, here)])
    mates = mates[mates != row]
    likeliest = float(used[mates].max(initial=0.0))
    nothing = max(0.0, 1.0 - float(used[row]) - likeliest)
    if not len(mates) or nothing > likeliest:
        return "is no cell", (), nothing
    best, area = int(mates[np.argmax(used[mates])]), candidates.detections.area
    if area[best] > area[row]:
        return "is part of a larger cell", (best,), likeliest
    parts = mates[area[mates] <= area[row]]
    parts = np.sort(parts[np.argsort(-used[parts], kind="stable")][:2])
    return "is several cells", tuple(parts.tolist()), likeliest
