"""From the solver's choice to tracks: who is the same cell, who is whose daughter.

A chosen link continues a track; a division ends it and begins one for each daughter, a third one too. A link over
unseen frames continues the track if its missing masks are filled, otherwise it ends it and begins
one whose parent it is, as the CTC wants it written. So does a link to a daughter whose sister is outside the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.types import BoolArray, IntArray
from celltrail.tracking.exporting.sisters import third_daughters


@dataclass(frozen=True, eq=False)
class Lineage:
    """Tracks, and which detection belongs to which.

    Attributes
    ----------
    tracks : Tracks
        Labels 1…n, numbered by (first frame, position).
    track : IntArray
        int64 (n,), the track of each detection, 0 where it is not used.
    fills : IntArray
        int64 (k, 4) — track, frame to fill, and the rows of the detections before and after; twice that of the
        mother where she is the last before her division.
    """

    tracks: Tracks
    track: IntArray
    fills: IntArray


def build_lineage(
    candidates: Candidates, solution: Solution, *, fill: bool = True, present: BoolArray | None = None
) -> Lineage:
    """Tracks from a solution.

    Parameters
    ----------
    fill : bool
        Continue tracks over frames in which they were not seen, and list what has to be painted.
    present : BoolArray | None
        bool (n,), detections to keep (default: all that are used); a track is cut where one is missing.
    """
    used = solution.used if present is None else solution.used & present
    links, divisions, frame = candidates.links, candidates.divisions, candidates.detections.frame
    step = candidates.step
    rows = np.flatnonzero(solution.link_chosen)
    source, target = links.source[rows], links.target[rows]
    whole = used[source] & used[target]
    source, target = source[whole], target[whole]
    gap = frame[target] - frame[source] > step
    joined = ~links.lone_daughter[rows[whole]]
    if not fill:
        joined &= ~gap

    following = np.full(len(frame), -1)
    following[source[joined]] = target[joined]
    head = np.ones(len(frame), dtype=bool)
    head[target[joined]] = False
    track = np.zeros(len(frame), dtype=np.int64)
    heads = np.flatnonzero(head & used)
    last = np.empty(len(heads), dtype=np.int64)
    for number, row in enumerate(heads.tolist(), start=1):
        while row >= 0:
            track[row] = number
            last[number - 1] = row
            row = int(following[row])

    parent = np.zeros(len(heads) + 1, dtype=np.int64)
    cut_source, cut_target = source[~joined], target[~joined]
    parent[track[cut_target]] = track[cut_source]
    chosen = np.flatnonzero(solution.division_chosen)
    for daughter in (divisions.first[chosen], divisions.second[chosen]):
        mother = divisions.mother[chosen]
        both = used[mother] & used[daughter]
        parent[track[daughter[both]]] = track[mother[both]]
    for row, division in third_daughters(candidates, solution).items():
        if used[row] and used[divisions.mother[division]]:
            parent[track[row]] = track[divisions.mother[division]]

    filled = np.flatnonzero(gap & joined)
    jumps = [(a, b, int(frame[b])) for a, b in zip(source[filled].tolist(), target[filled].tolist(), strict=True)]
    end = frame[last].copy()
    if fill:  # a mother who went unseen before she divided is painted where she was
        born = np.minimum(frame[divisions.first[chosen]], frame[divisions.second[chosen]])
        for mother, birth in zip(divisions.mother[chosen].tolist(), born.tolist(), strict=True):
            if track[mother] and birth > frame[mother] + step:
                jumps.append((mother, mother, birth))
                end[track[mother] - 1] = birth - step
    fills = [
        (int(track[a]), middle, a, b) for a, b, until in jumps for middle in range(int(frame[a]) + step, until, step)
    ]
    tracks = Tracks(np.arange(1, len(heads) + 1), frame[heads], end, parent[1:])
    return Lineage(tracks, track, np.array(sorted(fills), dtype=np.int64).reshape(-1, 4))
