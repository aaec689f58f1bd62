"""How much a hypothesis is worth, counted so that every way to divide a region has the same stake.

A region is one cell, or two, or five: each way is a partition of it into hypotheses. If every
hypothesis had a reward of its own, five pieces would earn five of them and always win. Therefore a
region has one stake, and the parts of a whole divide the stake of the whole between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from celltrail.data.files.hypotheses import Hypotheses, depths, find_conflicts

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CERTAINTY = 3.0  # how much the scores of one frame count against the links between frames
STAKE = 5.0  # nats for explaining a typical cell at all: less than an appearance and a disappearance cost
HOPELESS = 6.0  # nats that a frame loses at least with a hypothesis that is not worth asking its neighbours about


def weigh(found: Hypotheses) -> tuple[IntArray, FloatArray, FloatArray]:
    """The hypotheses of a frame that may be cells, and what they earn.

    * Of several outlines of one object (rivals with the same parent) the one with the best score stands for it.
    * The best partition of an object is itself or the best partitions of its parts, whichever has the higher mean score
      by area. The stake of a region is the number of objects in its best partition; the parts of an object divide its
      stake by the areas of their best partitions.
    * A hypothesis earns ``share · (STAKE + CERTAINTY · score)`` nats. One that makes the frame `HOPELESS` nats or
      more poorer than the best choice without it is left out.

    Returns
    -------
    rows : int64 (k,), ascending. share : float64 (k,), for how many cells each counts. reward : float64 (k,), nats.
    """
    row, whole, order = _objects(found)
    parts: list[list[int]] = [[] for _ in row]
    for k in order:
        if whole[k] >= 0:
            parts[whole[k]].append(k)
    score, filled = found.score[row].astype(np.float64), found.areas()[row].astype(np.float64)
    best, count = score.copy(), np.ones(len(row))
    for k in reversed(order):
        if parts[k] and (mean := float(np.average(best[parts[k]], weights=filled[parts[k]]))) > best[k]:
            best[k], count[k], filled[k] = mean, count[parts[k]].sum(), filled[parts[k]].sum()
    share = count.copy()
    for k in order:
        share[parts[k]] = share[k] * filled[parts[k]] / filled[parts[k]].sum()
    reward = share * (STAKE + CERTAINTY * score)
    kept = _loss(reward, parts, order) < HOPELESS
    ascending = np.argsort(row[kept])
    return row[kept][ascending], share[kept][ascending], reward[kept][ascending]


def _objects(found: Hypotheses) -> tuple[IntArray, IntArray, list[int]]:
    """The row of the best outline of each object, the object that it is a part of (−1: none), and all, wholes first."""
    n = len(found)
    rivals = find_conflicts(found)
    rivals = rivals[found.parent[rivals[:, 0]] == found.parent[rivals[:, 1]]]
    graph = sparse.coo_array((np.ones(len(rivals)), (rivals[:, 0], rivals[:, 1])), shape=(n, n))
    _, object_of = connected_components(graph, directed=False)
    by_score = np.lexsort((np.arange(n), -found.score, object_of))
    _, first = np.unique(object_of[by_score], return_index=True)
    row = by_score[first].astype(np.int64)
    parent = found.parent[row]
    whole = np.where(parent >= 0, object_of[parent], -1) if n else parent
    return row, whole.astype(np.int64), np.argsort(depths(found.parent)[row], kind="stable").tolist()


def _loss(reward: FloatArray, parts: list[list[int]], order: list[int]) -> FloatArray:
    """For each object the nats that the frame loses at least if it is used, against the best disjoint choice."""
    top, divided = np.zeros(len(reward)), np.zeros(len(reward))
    for k in reversed(order):
        divided[k] = top[parts[k]].sum()
        top[k] = max(0.0, reward[k], divided[k])
    loss = np.zeros(len(reward))  # first of reaching an object: of not using the whole that it is a part of
    for k in order:
        loss[parts[k]] = loss[k] + top[k] - divided[k]
        loss[k] += top[k] - reward[k]
    return loss
