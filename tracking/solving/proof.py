"""What is proven about a solution, in exact integers.

For any duals ``π`` of the rows, ``Σ π·rhs + Σ_j min(0, c_j − (Aᵀπ)_j)`` is a lower bound of the programme
(the Lagrangian bound with ``0 ≤ x ≤ 1``). Duals of a solver are rounded to fractions of a unit first, and the
sum is rounded up to the next integer, because every cost is one: no tolerance of a solver enters the bound.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csc_array

from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.solving.row_sets import RowSets

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


class Proof:
    """What is known of each region: a lower bound, whether its optimum is found, and duals that show it."""

    def __init__(self, dual: IntArray) -> None:
        """``dual``: of all rows, from the first solution."""
        self.bound: dict[int, int] = {}
        self._proven: set[int] = set()
        self._first = dual
        self.dual = dual.astype(np.float64)  # NaN where no relaxation proves a region
        self.side_dual: FloatArray = np.zeros(0)

    def forget(self, names: Iterable[int]) -> None:
        """These regions have grown."""
        for name in names:
            self.bound.pop(name, None)
            self._proven.discard(name)

    def record(self, names: IntArray, bound: IntArray, proven: BoolArray) -> None:
        """What solving some regions has shown."""
        self.bound.update(zip(names.tolist(), bound.tolist(), strict=True))
        self._proven.update(names[proven].tolist())

    def open_rows(self, sets: RowSets) -> IntArray:
        """The rows of the regions whose optimum is not proven."""
        rows, name = sets.members()
        return rows[~np.isin(name, list(self._proven))]

    def final_duals(self, sets: RowSets) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Duals of all rows, the slack of each row's region, and the rows whose duals are not optimal.

        The slack is what the optimum of a region exceeds its duals by, where no relaxation proved it; beyond
        any cost where the region is not proven at all.
        """
        weak = np.isnan(self.dual)
        weak[self.open_rows(sets)] = True
        slack = np.zeros(len(self.dual))
        rows = np.flatnonzero(weak)
        names, index = np.unique(sets.names(rows), return_inverse=True)
        below = np.zeros(len(names), dtype=np.int64)
        np.add.at(below, index, self._first[rows])
        above = [float(self.bound[name]) if name in self._proven else 1e30 for name in names.tolist()]
        slack[rows] = (np.array(above) - below)[index]
        return np.where(weak, self._first, self.dual), slack, weak
