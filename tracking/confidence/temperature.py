"""One temperature: what the costs are divided by, so that as many decisions are wrong as are expected to be.

Costs are the sum of features that know of each other, so they are surer of themselves than they should be. The
temperature is learned on movies with a known lineage, tracked with costs that were learned from others: it is the one
under which the true pasts of the cells are likeliest, every movie weighing the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from celltrail.data.confidence import NOTHING, Confidence, chosen_past, past_probability
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import BoolArray, Candidates, FloatArray, IntArray, Solution

UNKNOWN = -3  # instead of a row: nobody can say


@dataclass(frozen=True, eq=False)
class Decisions:
    """The pasts that can be judged: detection (rows), whether the chosen one is wrong, and its probability of that."""

    row: IntArray
    wrong: BoolArray
    doubt: FloatArray


def true_past(cell: IntArray, tracks: Tracks, frame: IntArray) -> IntArray:
    """The row of the true past of each detection, int64 (n,): NOTHING where a lineage begins, else UNKNOWN.

    Parameters
    ----------
    cell : IntArray
        The true track of each detection (`celltrail.tracking.costs.examples.true_cells`), 0 where there is none or
        several.
    """
    past = np.full(len(cell), UNKNOWN)
    order = np.lexsort((frame, cell))
    order = order[cell[order] > 0]
    same = cell[order[1:]] == cell[order[:-1]]
    past[order[1:][same]] = order[:-1][same]
    heads = order[np.append(True, ~same)] if len(order) else order
    tails = dict(zip(cell[order].tolist(), order.tolist(), strict=True))  # the last one stays
    parent = dict(zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True))
    for row in heads.tolist():
        mother = parent.get(int(cell[row]), 0)
        if not mother:
            past[row] = NOTHING
        elif mother in tails and frame[tails[mother]] < frame[row]:
            past[row] = tails[mother]
    return past


def judge(
    candidates: Candidates, solution: Solution, confidence: Confidence, cell: IntArray, tracks: Tracks
) -> Decisions:
    """The chosen pasts against the true ones.

    Left out are cells of the first frame, those that went unseen for longer than the programme allows, and those
    whose chosen past is a mask of several cells, or of none, where the true one is not seen.
    """
    frame = candidates.detections.frame
    truth, chosen = true_past(cell, tracks, frame), chosen_past(candidates, solution)
    doubt = 1 - past_probability(candidates, solution, confidence)
    jump = np.where(truth >= 0, frame - frame[truth], 1)
    links = candidates.links
    reach = int((frame[links.target] - frame[links.source]).max(initial=1))
    known = (truth != UNKNOWN) & np.isfinite(doubt) & (jump <= reach)
    known &= ~((jump > 1) & (chosen >= 0) & (cell[chosen] == 0))
    row = np.flatnonzero(known)
    return Decisions(row, truth[row] != chosen[row], np.clip(doubt[row], 0.0, 1.0))
