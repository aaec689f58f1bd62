"""Good duals for problems full of cliques: linear programmes of a few frames each, in turns.

Each window of frames is solved as a linear programme in which columns that leave it are offered at the price of the
present duals (:mod:`tracking.regions`); its duals replace the present ones, which raises the bound and keeps every
reduced cost ≥ 0. Windows that are shifted by half mend what the borders of the first ones could not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from data.graph import IntArray
from tracking.model import Model
from tracking.regions import Regions, SideRow
from tracking.relaxation import State, complete_duals, keep_cliques, start, start_alone
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
    alone = start_alone(model).holder
    for step in range(PASSES):
        window = (size + (WINDOW // 2) * (step % 2)) // WINDOW
        regions = Regions(model, State(alone.copy(), dual), cliques, price)
        regions.adopt(np.arange(len(cliques)))
        regions.cover(np.concatenate([window, window]))
        chosen, row_dual, price = regions.relax(relax)
        cost = model.cost.copy()
        np.subtract.at(cost, regions.members, price[regions.member_of])
        dual = complete_duals(model, cost, row_dual[:n])
    holder = _round(model, chosen)
    keep_cliques(model, holder, [row.columns for row in cliques])
    return State(holder, dual), price


def _round(model: Model, chosen: IntArray) -> IntArray:
    """The holder of each row: a chosen column, or staying alone, or left out where that is cheaper; int64 (2n,)."""
    n = model.detections
    appear, disappear = model.first_appear + np.arange(n), model.first_disappear + np.arange(n)
    holder = np.where(np.concatenate([model.allowed[appear], model.allowed[disappear]]), -1, start_alone(model).holder)
    for place in model.rows[chosen].T:
        holder[place[place >= 0]] = chosen[place >= 0]
    drop = model.first_drop + np.arange(n)
    leave = (holder[:n] < 0) & (holder[n:] < 0) & model.allowed[drop]
    leave &= model.cost[drop] < model.cost[appear] + model.cost[disappear]
    holder = np.where(np.concatenate([leave, leave]), np.concatenate([drop, drop]), holder)
    return np.where(holder < 0, np.concatenate([appear, disappear]), holder)
