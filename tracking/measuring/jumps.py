"""Jumps of the stage: frames between which all cells move at once, much further than they do otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from celltrail.tracking.measuring.drift import CLOSE, FEWEST, in_place
from celltrail.tracking.measuring.table import DetectionTable

LEAST = 1.5  # diameters of a typical cell …
UNUSUAL = 4.0  # … and times the usual drift of the movie, from which a drift is called a jump
LOST = 0.25  # share of the cells in their places, below which the surroundings say nothing of the next frame …
USUAL = 0.6  # … in a movie in which usually so many are


def list_jumps(table: DetectionTable) -> list[dict[str, Any]]:
    """What ``run.json`` says of the jumps of a movie.

    Returns
    -------
    list of dict
        ``frame`` (the first one after it), ``shift`` (z, y, x in voxels), ``diameters`` (its length in those of a typical
        cell), ``registered``: whether the cells were found again. Where they were not, the constellation of the cells
        does not fit that of the frame before, whatever its displacement; ``shift`` and ``diameters`` are then ``None``.
    """
    masks, place = ~table.beside, table.place
    start, pairs, drift, share = table.frame_starts(), [], [], []
    diameter = float(np.median(table.diameter[masks])) if len(table) else 1.0
    for here, there, beyond in zip(start[:-2], start[1:-1], start[2:], strict=True):
        if table.frame[there] - table.frame[here] != table.step:
            continue
        rows, after = np.flatnonzero(masks[here:there]) + here, place[there:beyond][masks[there:beyond]]
        if min(len(rows), len(after)) < 2 * FEWEST:
            continue
        tree = cKDTree(after)
        near = CLOSE * float(np.median(np.asarray(tree.query(after, k=2)[0])[:, 1]))
        pairs.append(int(table.frame[there]))
        drift.append(np.median(table.shift[1][rows], axis=0))
        share.append(in_place(place[rows] + table.shift[1][rows] * table.scale, tree, near))
    if not pairs:
        return []
    length = np.linalg.norm(np.array(drift) * table.scale, axis=1) / diameter
    jumped = length > np.maximum(LEAST, UNUSUAL * np.median(length))
    lost = (np.array(share) < LOST) & (np.median(share) >= USUAL) & ~jumped
    found = []
    for k in np.flatnonzero(jumped | lost).tolist():
        known = bool(jumped[k])
        shift = [round(float(v), 1) for v in drift[k]] if known else None
        row = {"frame": pairs[k], "shift": shift, "diameters": round(float(length[k]), 2) if known else None}
        found.append({**row, "registered": known})
    return found
