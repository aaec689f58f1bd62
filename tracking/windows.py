"""Good duals for problems full of cliques: linear programmes of a few frames each, in turns.

Each window of frames is solved as a linear programme in which columns that leave it are offered at the price of the
present duals (:mod:`tracking.regions`); its duals replace the present ones, which raises the bound and keeps every
reduced cost ≥ 0. Windows that are shifted by half mend what the borders of the first ones could not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from data.graph import IntArray
from tracking.model import Model, columns_touching
from tracking.regions import Regions, SideRow
from tracking.relaxation import State, complete_duals, start, start_alone
from tracking.task import Relaxation, Task

WINDOW = 4000  # detections
PASSES = 3


def solve_windows(
    model: Model, frame: IntArray, cliques: list[SideRow], relax: Callable[[Iterable[Task]], Iterator[Relaxation]]
) -> tuple[State, IntArray]:
    """A feasible choice, duals of the rows, and the price of each clique, int64 (cliques,).

    frame : int64 (n,), ascending.
    """
    n = model.detections
    dual, price = start(model).dual, np.zeros(len(cliques), dtype=np.int64)
    size = np.searchsorted(frame, frame, side="right")  # detections up to the end of each one's frame
    alone = start_alone(model)
    for step in range(PASSES):
        window = (size + (WINDOW // 2) * (step % 2)) // WINDOW
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
