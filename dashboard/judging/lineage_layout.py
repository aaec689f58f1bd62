"""Where each track lies in the drawing of the lineages: time along one axis, one row per branch.

A mother lies in the middle of her daughters; a continuation (the only child) stays in the row of
its parent. Rows depend only on the tracks, so the drawing keeps its order from view to view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.data import Tracks
from celltrail.data.pictures.lineage_tree import tree_columns


@dataclass(frozen=True)
class Layout:
    """Rows of tracks: ``row`` float64 (n,), in the order of the table; ``root`` int64 (n,), first ancestor."""

    row: NDArray[np.float64]
    root: NDArray[np.int64]


def arrange(tracks: Tracks) -> Layout:
    """Give every track a row.

    Lineages that divide come first, then by first frame and label. Leaves take consecutive rows from 0
    upwards; see `celltrail.data.pictures.lineage_tree.tree_columns`.
    """
    row, roots = tree_columns(tracks, divided_first=True), tracks.roots()
    labels = tracks.label.tolist()
    return Layout(np.array([row[label] for label in labels]), np.array([roots[label] for label in labels], dtype=int))
