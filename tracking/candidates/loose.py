"""What it costs to set cells free, so that they can be joined with another frame: asked of a solution without gaps.

Where a cell goes unseen, its track ends, or its neighbour takes its place and the neighbour's track ends, or it seems
to divide. So the two ends of a gap are looked for not only where tracks end and begin, but one exchange away from there. The
costs are those of the best single exchange, which bounds what a gap saves (a step of the shortest augmenting paths by
which assignments are solved, Kuhn, Naval Research Logistics Quarterly 2, 1955).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from celltrail.data.graph.candidates import NAT, Candidates, Solution
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.candidates.links import WITH_ONE_DAUGHTER

SPECK = 0.4  # of the median area: a smaller object that flickers is no cell that went unseen


@dataclass(frozen=True)
class Loose:
    """What it costs to set each cell free, in nats.

    Attributes
    ----------
    future, past : FloatArray
        float64 (n,), by how much the rest of the solution becomes dearer if a cell is no longer followed (preceded) by
        the one it has. Negative where its track ends (begins) there anyway, which is saved; infinite for specks inside
        the image, for mothers, and for what is not used.
    smaller : BoolArray
        bool (n,), cells that become clearly smaller: of a division only one daughter may be seen.
    """

    future: FloatArray
    past: FloatArray
    smaller: BoolArray

    def between(self, source: IntArray, target: IntArray) -> FloatArray:
        """What it costs to set both cells of links free, float64 (m,)."""
        return np.asarray(self.future[source] + self.past[target])


def find_loose(candidates: Candidates, solution: Solution, area: IntArray, typical: float) -> Loose:
    """What it costs to set each cell free, in a solution without gaps.

    A cell that ends is free: ``future[u] = -disappear[u]``. One that is followed by ``v`` is free if ``v`` begins, or is
    taken by a cell ``e`` that ends: ``future[u] = min(appear[v], min over e of cost[e, v] - disappear[e]) - cost[u, v]``.
    The past likewise, with ends and beginnings exchanged; and a daughter is free if her mother goes on as the sister.

    Parameters
    ----------
    candidates, solution
        The problem without gaps, and its answer.
    area : int64 (n,)
        Of each detection, in voxels.
    typical : float
        Area of a typical cell.
    """
    d, links = candidates.detections, candidates.links
    cost, appear, disappear = links.cost / NAT, d.appear / NAT, d.disappear / NAT
    ended, begun = solution.disappears & solution.used, solution.appears & solution.used
    from_ended, to_begun = np.flatnonzero(ended[links.source]), np.flatnonzero(begun[links.target])
    left_alone, left_behind = appear.copy(), disappear.copy()  # a cell that loses its past, its future
    np.minimum.at(left_alone, links.target[from_ended], (cost - disappear[links.source])[from_ended])
    np.minimum.at(left_behind, links.source[to_begun], (cost - appear[links.target])[to_begun])
    future, past = np.where(ended, -disappear, np.inf), np.where(begun, -appear, np.inf)
    chosen = np.flatnonzero(solution.link_chosen)
    source, target = links.source[chosen], links.target[chosen]
    future[source] = left_alone[target] - cost[chosen]
    past[target] = left_behind[source] - cost[chosen]
    _free_daughters(candidates, solution, past)
    speck = (area < SPECK * typical) & (d.border > 0)
    future[speck] = past[speck] = np.inf
    smaller = np.zeros(len(d), dtype=np.bool_)
    smaller[source[area[target] <= WITH_ONE_DAUGHTER * area[source]]] = True
    return Loose(future, past, smaller)


def _free_daughters(candidates: Candidates, solution: Solution, past: FloatArray) -> None:
    """Write what it costs to free each daughter of a chosen division."""
    links, divisions = candidates.links, candidates.divisions
    born = np.flatnonzero(solution.division_chosen)
    theirs = np.flatnonzero(np.isin(links.source, divisions.mother[born]))
    pairs = zip(links.source[theirs].tolist(), links.target[theirs].tolist(), strict=True)
    alone = dict(zip(pairs, links.cost[theirs].tolist(), strict=True))
    for daughters, sisters in ((divisions.first, divisions.second), (divisions.second, divisions.first)):
        for row in born.tolist():
            as_link = alone.get((int(divisions.mother[row]), int(sisters[row])), np.inf)
            past[daughters[row]] = (as_link - divisions.cost[row]) / NAT
