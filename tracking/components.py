"""Split the programme into independent problems.

Rows and columns form a graph: a column joins the rows that it covers, a clique joins the rows of its
detections. Its connected components can be solved one by one. While every detection is used and no
column skips a frame, a component never spans more than one pair of frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.graph import IntArray
from tracking.model import Model


def split(model: Model, joined: list[NDArray[np.int64]]) -> tuple[IntArray, int]:
    """Component of each row, int64 (2n,), and their number.

    Parameters
    ----------
    joined : sets of columns that an extra row ties together; columns beyond the model are penalties, and ignored.

    Components are numbered by their first row in the order past(0), future(0), past(1), …, so that the
    numbers depend on nothing but the problem.
    """
    n = model.detections
    used = model.rows[model.allowed]
    pairs = [used[:, :2], used[:, ::2]]
    for columns in joined:
        first = model.rows[columns[columns < len(model.rows)], 0]
        pairs.append(np.stack([first[:-1], first[1:]], axis=1))
    edges = np.concatenate(pairs)
    edges = edges[(edges >= 0).all(axis=1)]
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(2 * n, 2 * n))
    count, label = connected_components(graph, directed=False)
    order = np.arange(2 * n).reshape(2, n).T.ravel()
    _, first = np.unique(label[order], return_index=True)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(count)
    return rank[label], int(count)


def batches(size: IntArray, limit: int) -> list[tuple[int, int]]:
    """Group consecutive components until a group has ``limit`` columns; half-open ranges of components."""
    ends = np.cumsum(size)
    ranges, start = [], 0
    while start < len(size):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + limit, side="right")), start + 1)
        ranges.append((start, stop))
        start = stop
    return ranges
