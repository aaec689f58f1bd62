"""The numbers of tracks, kept from one solution to the next: what a person has learned to call 119 stays 119."""

from __future__ import annotations

import numpy as np

from celltrail.data import Tracks
from celltrail.data.types import IntArray
from celltrail.tracking.exporting.lineage import Lineage


def keep_numbers(lineage: Lineage, before: IntArray) -> Lineage:
    """The same lineage; a track has the number of the earlier one with whose first cell left it begins, else a new one.

    Parameters
    ----------
    before : IntArray
        int64 (n,), the earlier track of each detection, 0 where it had none.
    """
    track, tracks = lineage.track, lineage.tracks
    rows = np.flatnonzero(track > 0)  # detections are in the order of the frames
    label, first = np.unique(track[rows], return_index=True)
    old, oldest = np.unique(before[rows], return_index=True)
    head, oldest_row = rows[first], dict(zip(old.tolist(), rows[oldest].tolist(), strict=True))
    fresh = int(max(before.max(initial=0), 0))
    number = np.zeros(int(tracks.label.max(initial=0)) + 1, dtype=np.int64)
    for one, row in zip(label.tolist(), head.tolist(), strict=True):
        known = int(before[row])
        if not known or oldest_row[known] != row:
            fresh += 1
            known = fresh
        number[one] = known
    order = np.argsort(number[tracks.label], kind="stable")
    renamed = Tracks(number[tracks.label][order], tracks.begin[order], tracks.end[order], number[tracks.parent][order])
    fills = lineage.fills.copy()
    fills[:, 0] = number[fills[:, 0]]
    return Lineage(renamed, number[track], fills)
