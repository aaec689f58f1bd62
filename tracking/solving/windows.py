"""Good duals for problems full of cliques: the relaxation of all frames, or of many frames at a time.

The relaxation of the whole programme leaves few places open; its duals are then the best ones that there are. What is
too large for one linear programme is cut into windows of frames. Columns that leave a window are offered at the price
of the present duals (:mod:`celltrail.tracking.solving.pricing`); its duals replace the present ones, which raises the bound and keeps
every reduced cost ≥ 0. Windows that are shifted by half then mend what the borders of the first ones could not see.
Where no clique is near, a matching has the best duals already: such components are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from celltrail.data.types import IntArray
from celltrail.tracking.solving.blocks import Relaxation, Task
from celltrail.tracking.solving.components import split
from celltrail.tracking.solving.first_solution import DualState, complete_duals, start, start_alone
from celltrail.tracking.solving.pricing import Cliques, SideRow, discounted
from celltrail.tracking.solving.programme import Programme, columns_touching
from celltrail.tracking.solving.regions import Regions

WINDOW = 120_000  # detections: about 20 CPU-seconds and 1 GB


def solve_windows(
    programme: Programme,
    frame: IntArray,
    cliques: list[SideRow],
    relax: Callable[[Iterable[Task]], Iterator[Relaxation]],
) -> tuple[DualState, IntArray]:
    """A feasible choice, duals of the rows, and the price of each clique, int64 (cliques,).

    Parameters
    ----------
    frame : IntArray
        int64 (n,), ascending.
    """
    n = programme.detections
    dual, price = start(programme).dual, np.zeros(len(cliques), dtype=np.int64)
    before = np.searchsorted(frame, frame)  # detections in the frames before each one's
    alone = start_alone(programme)
    component, _ = split(programme, [row.columns for row in cliques])
    members = programme.rows[np.concatenate([row.columns for row in cliques])]
    hard = np.isin(component, component[members[members >= 0]])
    for step in range(2 if n > WINDOW else 1):
        window = (before + (WINDOW // 2) * step) // WINDOW
        priced = Cliques(cliques, price)
        regions = Regions(programme, DualState(alone.holder.copy(), dual), priced)
        regions.adopt(np.arange(len(cliques)))
        regions.cover(np.where(hard, np.concatenate([window, window]), -1))
        chosen, row_dual, price = regions.relax(relax)
        dual = complete_duals(programme, discounted(programme.cost, priced, price), row_dual[:n])
    return DualState(_round(programme, chosen, [row.columns for row in cliques]), dual), price


def _round(programme: Programme, chosen: IntArray, cliques: list[IntArray]) -> IntArray:
    """A feasible choice near the relaxation: the detections that it leaves out stay out, the rest is matched anew.

    Returns the holder of each row, int64 (2n,).
    """
    n = programme.detections
    out = np.zeros(n, dtype=np.bool_)
    out[chosen[(chosen >= programme.first_drop) & (chosen < programme.first_drop + n)] - programme.first_drop] = True
    for columns in cliques:
        members = columns - programme.first_drop
        rivals = members[~out[members]]
        if len(rivals) > 1:
            out[rivals] = True
            out[rivals[np.argmax(programme.cost[programme.first_drop + rivals])]] = False
    out |= ~programme.allowed[programme.first_appear :][:n] & programme.allowed[programme.first_drop :][:n]
    allowed = programme.allowed & ~columns_touching(programme, np.concatenate([out, out]))
    allowed[programme.first_drop : programme.first_drop + n] = out
    return start(replace(programme, allowed=allowed)).holder
