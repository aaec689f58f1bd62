"""Good duals for problems full of cliques: the relaxation of all frames, or of many frames at a time.

The relaxation of the whole programme leaves few places open; its duals are then the best ones that there are. What is
too large for one linear programme is cut into windows of frames. Columns that leave a window are offered at the price
of the present duals (:mod:`celltrail.tracking.solving.regions`); its duals replace the present ones, which raises the bound and keeps
every reduced cost ≥ 0. Windows that are shifted by half then mend what the borders of the first ones could not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from celltrail.data.graph.candidates import IntArray
from celltrail.tracking.solving.blocks import Relaxation, Task
from celltrail.tracking.solving.first_solution import State, complete_duals, start, start_alone
from celltrail.tracking.solving.programme import Model, columns_touching
from celltrail.tracking.solving.regions import Regions, SideRow

WINDOW = 120_000  # detections: about 20 CPU-seconds and 1 GB


def solve_windows(
    model: Model, frame: IntArray, cliques: list[SideRow], relax: Callable[[Iterable[Task]], Iterator[Relaxation]]
) -> tuple[State, IntArray]:
    """A feasible choice, duals of the rows, and the price of each clique, int64 (cliques,).

    frame : int64 (n,), ascending.
    """
    n = model.detections
    dual, price = start(model).dual, np.zeros(len(cliques), dtype=np.int64)
    before = np.searchsorted(frame, frame)  # detections in the frames before each one's
    alone = start_alone(model)
    for step in range(2 if n > WINDOW else 1):
        window = (before + (WINDOW // 2) * step) // WINDOW
        regions = Regions(model, State(alone.holder.copy(), dual), cliques, price)
        regions.adopt(np.arange(len(cliques)))
        regions.cover(np.concatenate([window, window]))
        chosen, row_dual, price = regions.relax(relax)
        cost = model.cost.copy()
        np.subtract.at(cost, regions.members, price[regions.member_of])
        dual = complete_duals(model, cost, row_dual[:n])
    return State(_round(model, chosen, [row.columns for row in cliques]), dual), price


def _round(model: Model, chosen: IntArray, cliques: list[IntArray]) -> IntArray:
    """A feasible choice near the relaxation: the detections that it leaves out stay out, the rest is matched anew.

    Returns the holder of each row, int64 (2n,).
    """
    n = model.detections
    out = np.zeros(n, dtype=np.bool_)
    out[chosen[(chosen >= model.first_drop) & (chosen < model.first_drop + n)] - model.first_drop] = True
    for columns in cliques:
        members = columns - model.first_drop
        rivals = members[~out[members]]
        if len(rivals) > 1:
            out[rivals] = True
            out[rivals[np.argmax(model.cost[model.first_drop + rivals])]] = False
    out |= ~model.allowed[model.first_appear :][:n] & model.allowed[model.first_drop :][:n]
    allowed = model.allowed & ~columns_touching(model, np.concatenate([out, out]))
    allowed[model.first_drop : model.first_drop + n] = out
    return start(replace(model, allowed=allowed)).holder
