"""How sure each choice is: the nats to the best solution without it, a lower bound from duals.

Without a chosen column each of its rows must be covered by another one, and costs at least the smallest reduced
cost among those. The largest of these over its rows is a lower bound of the margin, less the gap between the
optimum of the column's region and its duals where only an integer programme proves the region.
"""

from __future__ import annotations

import numpy as np

from celltrail.data.graph.candidates import NAT, BoolArray, FloatArray, IntArray, RowArray
from celltrail.data.running.machine_code import compiled
from celltrail.tracking.solving.regions import Regions


def choice_margins(regions: Regions, chosen: BoolArray) -> FloatArray:
    """Margin of every link and division in nats, float64 (links + divisions,), NaN where not chosen.

    Parameters
    ----------
    chosen : BoolArray
        bool (columns,) of the model.
    """
    programme = regions.programme
    both = programme.first_appear
    dual, slack, weak = regions.final_duals()
    # a division that only the chosen link dominates is an alternative to it
    others = programme.possible & ~chosen
    least = _least_reduced_cost(
        programme.rows, others, programme.cost, regions.side_share(), dual, weak, regions.region_of_rows()
    )
    wanted = np.flatnonzero(chosen[:both])
    covered = programme.rows[wanted]
    least = np.append(least, -np.inf)
    alternative = np.maximum(np.maximum(least[covered[:, 0]], least[covered[:, 1]]), least[covered[:, 2]])
    alternative -= np.append(slack, 0.0)[covered[:, 0]]
    result = np.full(both, np.nan)
    # costs are whole units, and the duals of a solver are true to a small part of one
    result[wanted] = np.maximum(np.ceil(alternative - 0.5), 0.0) / NAT
    return result


@compiled
def reduced_cost_of(
    column: int, rows: RowArray, cost: IntArray, share: FloatArray, dual: FloatArray, weak: BoolArray, region: IntArray
) -> float:
    """The reduced cost of one column, in units; −∞ where it has given it away.

    A column that leaves a region proven by an integer programme (``weak`` rows) has given the region its share already.
    """
    reduced, unsure, leaves = cost[column] - share[column], False, False
    for row in rows[column]:
        if row >= 0:
            reduced -= dual[row]
            unsure |= weak[row]
            leaves |= region[row] != region[rows[column, 0]]
    return -np.inf if unsure and leaves else reduced


@compiled
def _least_reduced_cost(
    rows: RowArray,
    others: BoolArray,
    cost: IntArray,
    share: FloatArray,
    dual: FloatArray,
    weak: BoolArray,
    region: IntArray,
) -> FloatArray:
    """The smallest reduced cost among the columns ``others`` of each row, float64 (2n,), ∞ where there is none.

    It counts as 0 where a column has given it away.
    """
    least = np.full(len(dual), np.inf)
    for k in range(len(others)):
        if not others[k]:
            continue
        reduced = reduced_cost_of(k, rows, cost, share, dual, weak, region)
        if reduced == -np.inf:
            reduced = 0.0
        for row in rows[k]:
            if row >= 0:
                least[row] = min(least[row], reduced)
    return least
