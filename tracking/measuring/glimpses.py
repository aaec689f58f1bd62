"""A second look at the pixels, only where it is asked for: what lies under a cell that is moved to another place or frame.

The pass over the movie (:mod:`celltrail.tracking.measuring.chunks`) compares frames that follow each other. Whether a
cell went unseen for some frames is a question about few cells, so the frames around them are read again, one after
the other, and nothing else is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.types import BoolArray, FloatArray, IntArray, Masks
from celltrail.tracking.measuring.table import DetectionTable

KEPT_FRAMES = 8  # as many as a question about the usual gap needs
KEPT_CELLS = 4096


class Glimpses:
    """The pixels of a measured movie.

    Parameters
    ----------
    masks : mapping of int to array
        Frame number → label image, or label images of overlapping hypotheses.
    table : DetectionTable
        What was measured in them.
    used : bool (n,)
        The detections that count as cells; the others cover nothing.
    """

    def __init__(self, masks: Masks, table: DetectionTable, used: BoolArray) -> None:
        self.table, self.used = table, used
        self.numbers = set(masks)
        self.read = lru_cache(maxsize=KEPT_FRAMES)(lambda number: self._layers(masks, number))
        self.rows = lru_cache(maxsize=KEPT_FRAMES)(self._rows)
        self.points = lru_cache(maxsize=KEPT_CELLS)(self._points)

    def _layers(self, masks: Masks, number: int) -> NDArray[Any]:
        """The label images of a frame, (layers, …)."""
        labels = np.asarray(masks[number]).astype(np.int64, copy=False)
        return labels if labels.ndim > self.table.ndim else labels[np.newaxis]

    def _rows(self, number: int) -> tuple[IntArray, IntArray]:
        """The labels of a frame, ascending, and their rows in the table."""
        begin, end = np.searchsorted(self.table.frame, [number, number + 1])
        order = np.argsort(self.table.label[begin:end])
        return self.table.label[begin:end][order], order + begin

    def _points(self, row: int) -> IntArray:
        """The voxels of a detection, int64 (p, ndim)."""
        low, high = self.table.box[row, 3 - self.table.ndim : 3], self.table.box[row, 6 - self.table.ndim :]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        found = (self.read(int(self.table.frame[row]))[(slice(None), *box)] == self.table.label[row]).any(axis=0)
        return np.asarray(np.argwhere(found) + low)

    def under(self, row: int, move: FloatArray, number: int) -> tuple[IntArray, int]:
        """What a detection, moved by ``move`` (z, y, x) voxels, meets in a frame.

        Returns
        -------
        rows : IntArray
            int64 (layers, p), the detection under each of its voxels inside the image, −1: none.
        inside : int
            How many of its voxels are inside the image.
        """
        where = self.points(row) + np.rint(move).astype(np.int64)[3 - self.table.ndim :]
        where = where[np.all((where >= 0) & (where < self.table.shape), axis=1)]
        if number not in self.numbers:
            return np.full((1, len(where)), -1), len(where)
        met = self.read(number)[(slice(None), *where.T)].astype(np.int64)
        labels, rows = self.rows(number)
        if not len(labels):
            return np.full(met.shape, -1), len(where)
        at = np.minimum(np.searchsorted(labels, met), len(labels) - 1)
        return np.where(labels[at] == met, rows[at], -1), len(where)

    def shared(self, row: int, move: FloatArray, number: int) -> dict[int, int]:
        """The detections of a frame that a moved one meets, and how many voxels they share with it."""
        rows, _ = self.under(row, move, number)
        met, count = np.unique(rows[rows >= 0], return_counts=True)
        return dict(zip(met.tolist(), count.tolist(), strict=True))

    def covered(self, row: int, move: FloatArray, number: int) -> float:
        """The share of a moved detection that cells of a frame cover; 1 where it lies outside the image."""
        rows, inside = self.under(row, move, number)
        if not inside:
            return 1.0
        return float((self.used[rows] & (rows >= 0)).any(axis=0).mean())
