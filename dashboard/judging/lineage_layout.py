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

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(np.ceil(self.row.max(initial=-1.0))) + 1


def arrange(tracks: Tracks) -> Layout:
    """Give every track a row.

    Lineages follow each other by first frame, then label. Leaves take consecutive rows from 0
    upwards; see `celltrail.data.pictures.lineage_tree.tree_columns`.
    """
    row, roots = tree_columns(tracks), tracks.roots()
    labels = tracks.label.tolist()
    return Layout(np.array([row[label] for label in labels]), np.array([roots[label] for label in labels], dtype=int))


def biggest(tracks: Tracks, layout: Layout, count: int) -> list[int]:
    """First ancestors of the ``count`` lineages with the most tracks, in the order of the drawing."""
    roots, size = np.unique(layout.root, return_counts=True)
    chosen = set(roots[np.argsort(-size, kind="stable")[:count]].tolist())
    order = dict(zip(tracks.label.tolist(), layout.row.tolist(), strict=True))
    return sorted(chosen, key=order.__getitem__)


def only(tracks: Tracks, layout: Layout, roots: list[int]) -> Tracks:
    """The tracks of these lineages, in table order."""
    kept = np.isin(layout.root, roots)
    return Tracks.from_rows(tracks.rows()[kept].tolist())
