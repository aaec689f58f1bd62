"""A second birth too soon: a cell that was born by a division and divides again at once.

For divisions ``z₁``, ``z₂`` joined by a path ``P`` of links, fewer than ``K`` frames apart, the penalty
``p ≥ z₁ + Σ_(e∈P) y_e + z₂ − (|P| + 1)``, ``p ≥ 0`` is paid. There are very many such rows and hardly any
matters, so only those are added that an incumbent breaks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from celltrail.data.graph.candidates import Candidates
from celltrail.data.types import BoolArray


def find_second_births(
    candidates: Candidates, link_chosen: BoolArray, division_chosen: BoolArray
) -> list[NDArray[np.int64]]:
    """Paths ``[z₁, y…, z₂]`` of chosen columns with both divisions fewer than ``rebirth_frames`` frames apart.

    The columns are numbered as in `celltrail.tracking.solving.programme.Model`: links first, then divisions. The time
    between two divisions is the difference of the frames of their mothers.
    """
    if candidates.rebirth_frames <= 0:
        return []
    links, divisions, frame = candidates.links, candidates.divisions, candidates.detections.frame
    chosen, born = np.flatnonzero(link_chosen), np.flatnonzero(division_chosen)
    link_of, division_of = np.full((2, len(frame)), -1)
    link_of[links.source[chosen]] = chosen
    division_of[divisions.mother[born]] = born
    paths = []
    for first in born.tolist():
        end = int(frame[divisions.mother[first]]) + candidates.rebirth_frames * candidates.step
        for daughter in (int(divisions.first[first]), int(divisions.second[first])):
            path, cell = [len(links) + first], daughter
            while frame[cell] < end:
                if division_of[cell] >= 0:
                    paths.append(np.array([*path, len(links) + division_of[cell]]))
                    break
                if link_of[cell] < 0:
                    break
                path.append(int(link_of[cell]))
                cell = int(links.target[link_of[cell]])
    return paths
