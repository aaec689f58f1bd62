"""The best one-to-one choice among candidate pairs, solved in independent parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def best_pairs(a: IntArray, b: IntArray, gain: FloatArray) -> IntArray:
    """Rows of the pairs to keep, so that every ``a`` and every ``b`` occurs once and the gain is largest.

    Parameters
    ----------
    a, b : IntArray
        int64 (k,) — the two members of each candidate pair; each pair once.
    gain : FloatArray
        float64 (k,). Pairs without a positive gain are never kept.

    Returns
    -------
    int64, ascending
    """
    rows = np.flatnonzero(gain > 0)
    if len(rows) == 0:
        return rows
    _, a_index = np.unique(a[rows], return_inverse=True)
    _, b_index = np.unique(b[rows], return_inverse=True)
    alone = (np.bincount(a_index)[a_index] == 1) & (np.bincount(b_index)[b_index] == 1)
    chosen = [rows[alone]]
    rest = np.flatnonzero(~alone)
    if len(rest):
        offset = int(a_index.max()) + 1
        size = offset + int(b_index.max()) + 1
        graph = coo_array((np.ones(len(rest)), (a_index[rest], offset + b_index[rest])), shape=(size, size))
        _, part = connected_components(graph, directed=False)
        member = part[a_index[rest]]
        order = np.argsort(member, kind="stable")
        for group in np.split(rest[order], np.flatnonzero(np.diff(member[order])) + 1):
            left, i = np.unique(a_index[group], return_inverse=True)
            right, j = np.unique(b_index[group], return_inverse=True)
            table = np.zeros((len(left), len(right)))
            table[i, j] = gain[rows[group]]
            picked = np.zeros(table.shape, dtype=bool)
            picked[linear_sum_assignment(table, maximize=True)] = True
            chosen.append(rows[group[picked[i, j]]])
    return np.sort(np.concatenate(chosen))
