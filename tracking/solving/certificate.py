"""What is proven about a solution, in exact integers.

For any duals ``π`` of the rows, ``Σ π·rhs + Σ_j min(0, c_j − (Aᵀπ)_j)`` is a lower bound of the programme
(the Lagrangian bound with ``0 ≤ x ≤ 1``). Duals of a solver are rounded to fractions of a unit first, and the
sum is rounded up to the next integer, because every cost is one: no tolerance of a solver enters the bound.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array

from celltrail.data.graph.candidates import FloatArray, IntArray

RESOLUTION = 1024  # duals are kept in 1/1024 of a unit


def dual_bound(
    cost: IntArray, matrix: csc_array, lower: IntArray, upper: IntArray, dual: FloatArray, group: IntArray, groups: int
) -> IntArray:
    """Lower bound of each independent problem, int64 (groups,), in units of the costs.

    Parameters
    ----------
    cost : IntArray
        int64 (columns,).
    matrix : csc_array
        Integer coefficients (rows, columns).
    lower, upper : IntArray
        int64 (rows,) — ``lower ≤ A x ≤ upper``; equal for equations, one-sided where they differ: a positive dual
        uses ``lower``, a negative one ``upper``; a side of ``±SIDELESS`` is not used.
    dual : FloatArray
        float64 (rows,) in units of the costs.
    group : IntArray
        int64 (rows + columns,), rows first.
    """
    exact = np.rint(dual * RESOLUTION).astype(np.int64)
    exact[(exact > 0) & (lower <= -SIDELESS)] = 0
    exact[(exact < 0) & (upper >= SIDELESS)] = 0
    worth = exact * np.where(exact > 0, lower, upper)
    reduced = cost * RESOLUTION - matrix.astype(np.int64).T @ exact
    total = np.zeros(groups, dtype=np.int64)
    np.add.at(total, group, np.concatenate([worth, np.minimum(reduced, 0)]))
    return -((-total) // RESOLUTION)


SIDELESS = 1 << 40
