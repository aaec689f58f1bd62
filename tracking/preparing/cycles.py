"""How soon a cell that was just born may divide again: a share of the cell cycles seen in the movie."""

from __future__ import annotations

import numpy as np

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.types import IntArray
from celltrail.data.words import counted
from celltrail.tracking.exporting.lineage import build_lineage

ENOUGH = 5  # cycles from which the movie's own length is taken
SHARE = 0.25  # of the median cycle, within which a second division is an error
PRIOR_SHARE = 0.1  # of the length of the movie, where it shows too few cycles
PENALTY = 6.0  # nats for a second division too soon


def cycle_lengths(candidates: Candidates, solution: Solution) -> IntArray:
    """Frames from birth to division of every track that has both, in steps of the movie."""
    tracks = build_lineage(candidates, solution).tracks
    divided = np.array(sorted(tracks.divisions()), dtype=np.int64)
    born = np.isin(tracks.parent, divided)
    whole = born & np.isin(tracks.label, divided)
    return np.sort((tracks.end[whole] - tracks.begin[whole]) // candidates.step + 1)


def shortest_cycle(candidates: Candidates, solution: Solution) -> tuple[int, str]:
    """Frames within which a second division is penalised, and where that number comes from, in words."""
    lengths = cycle_lengths(candidates, solution)
    if len(lengths) >= ENOUGH:
        usual = float(np.median(lengths))
        return round(
            SHARE * usual
        ), f"a quarter of the median of {counted(len(lengths), 'cell cycle')}, {counted(usual, 'frame')}"
    frame = candidates.detections.frame
    length = int(frame.max() - frame.min()) // candidates.step + 1 if len(frame) else 0
    return round(
        PRIOR_SHARE * length
    ), f"a tenth of the movie, which shows {counted(len(lengths), 'whole cell cycle')} only"
