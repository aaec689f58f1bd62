"""How sure each choice is: the nats to the best solution without it, a lower bound from duals.

Without a chosen column each of its rows must be covered by another one, and costs at least the smallest reduced
cost among those. The largest of these over its rows is a lower bound of the margin, less the gap between the
optimum of the column's region and its duals where only an integer programme proves the region.
"""

from __future__ import annotations

import numpy as np

from data.graph import NAT, BoolArray, FloatArray
from tracking.regions import Regions


def choice_margins(regions: Regions, chosen: BoolArray) -> FloatArray:
    """Margin of every link and division in nats, float64 (links + divisions,), NaN where not chosen.

    chosen : bool (columns,) of the model.
    """
    model = regions.model
    n, both = model.detections, model.first_appear
    dual, slack, weak = regions.final_duals()
    # a division that only the chosen link dominates is an alternative to it
    columns = np.flatnonzero(model.possible & ~chosen)
    rows = model.rows[columns]
    extended = np.append(dual, 0.0)
    reduced = model.cost[columns] - extended[rows].sum(axis=1) - regions.side_share(columns)
    # a column that leaves a region proven by an integer programme has given it its share already
    unsure = np.append(weak, False)[rows].any(axis=1)
    reduced[unsure & ~regions.same_region(columns)] = 0.0
    least = np.full(2 * n + 1, np.inf)
    for place in rows.T:
        np.minimum.at(least, place, reduced)
    least[-1] = -np.inf
    wanted = np.flatnonzero(chosen[:both])
    covered = model.rows[wanted]
    alternative = least[covered].max(axis=1) - np.append(slack, 0.0)[covered[:, 0]]
    result = np.full(both, np.nan)
    # costs are whole units, and the duals of a solver are true to a small part of one
    result[wanted] = np.maximum(np.ceil(alternative - 0.5), 0.0) / NAT
    return result
