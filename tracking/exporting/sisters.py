"""A mother with three daughters: where a third cell appears beside two daughters at their birth, she is their sister.

In the programme a third daughter would be a column that costs as much as to appear, and needs a division of her mother. So
an optimum with such columns costs what it costs without them; of the two ways to put it, the one that explains more is taken.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from celltrail.data.graph.candidates import FORBIDDEN, FREE, Candidates, Solution
from celltrail.data.types import FloatArray

NEAR = 1.0  # diameters of the mother, from the midpoint of two daughters to the third
ALIKE = 2.0  # the third is that many times as large or small, at most, as the two are in the mean


def third_daughters(candidates: Candidates, solution: Solution) -> dict[int, int]:
    """The cells that appear as third daughters.

    Returns
    -------
    dict
        Row of the detection → row of the division that she belongs to, at most one for each. Pins are obeyed: none is
        made of a pair that a pin forbids, nor added to a division that a pin names.
    """
    d, links, z = candidates.detections, candidates.links, candidates.divisions
    born = np.flatnonzero(solution.division_chosen & (z.fixed == FREE))
    appears = np.flatnonzero(solution.appears & solution.used)
    if not len(born) or not len(appears):
        return {}
    place = d.position * (candidates.voxel or (1.0, 1.0, 1.0))
    middle = (place[z.first[born]] + place[z.second[born]]) / 2
    reach = NEAR * _diameter(
        d.area[z.mother[born]].astype(np.float64) * float(np.prod(candidates.voxel or 1.0)), candidates.ndim
    )
    usual = (d.area[z.first[born]] + d.area[z.second[born]]) / 2
    free = links.fixed == FREE
    known = set(zip(links.source[free].tolist(), links.target[free].tolist(), strict=True))
    refused = np.flatnonzero(z.fixed == FORBIDDEN)
    mothers = np.repeat(z.mother[refused], 2).tolist()
    known -= set(zip(mothers, np.stack([z.first[refused], z.second[refused]], axis=1).ravel().tolist(), strict=True))
    found: list[tuple[float, int, int]] = []
    near = cKDTree(place[appears]).query_ball_point(middle, reach)
    for k, (division, rows) in enumerate(zip(born.tolist(), near, strict=True)):
        for row in appears[rows].tolist():
            alike = usual[k] / ALIKE <= d.area[row] <= usual[k] * ALIKE
            together = d.frame[row] == d.frame[z.first[division]] == d.frame[z.second[division]]
            if alike and together and (int(z.mother[division]), row) in known:
                found.append((float(np.linalg.norm(place[row] - middle[k])), row, division))
    chosen: dict[int, int] = {}
    for _, row, division in sorted(found):
        if row not in chosen and division not in chosen.values():
            chosen[row] = division
    return chosen


def _diameter(size: FloatArray, ndim: int) -> FloatArray:
    """Of the disk, or ball, of this size."""
    return 2 * np.sqrt(size / np.pi) if ndim == 2 else 2 * np.cbrt(0.75 * size / np.pi)
