"""One label on cells that are far apart in a frame: each of them is a cell of its own.

Numbers that were given twice are frequent in masks that people have drawn or that several programs have made. The pass
over the movie shows where to look: the pixels of such a label lie far from their common centre.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.movie import DerivedFrames
from celltrail.data.labels.instances import parts_apart
from celltrail.data.types import BoolArray, IntArray, Masks
from celltrail.tracking.measuring.table import DetectionTable

LOOSE = 0.4  # two disks that are apart are less compact, together


class SeparatedMasks(DerivedFrames):
    """Masks in which the further cells of a label have labels of their own, above the largest of the frame.

    Parameters
    ----------
    doubles : dict
        Frame → the labels that lie on several cells.
    """

    def __init__(self, masks: Masks, doubles: dict[int, list[int]]) -> None:
        super().__init__(masks)
        self.doubles = doubles

    def __getitem__(self, number: int) -> NDArray[Any]:
        given = np.asarray(self.masks[number])
        if number not in self.doubles:
            return given
        labels = given.astype(np.int64)
        free = int(labels.max(initial=0)) + 1
        for label in self.doubles[number]:
            where = np.argwhere(given == label)
            part = _parts(where)
            for further in range(1, int(part.max(initial=0)) + 1):
                labels[tuple(where[part == further].T)] = free
                free += 1
        return labels


def find_doubles(masks: Masks, table: DetectionTable, known: Collection[tuple[int, int]] = ()) -> dict[int, list[int]]:
    """Frame → labels that lie on cells far from each other; ``known``: (frame, label) of such that are meant to be one."""
    found: dict[int, list[int]] = {}
    rows = np.flatnonzero(table.compactness < LOOSE ** (table.ndim / 2))
    for number in np.unique(table.frame[rows]).tolist():
        here = rows[table.frame[rows] == number]
        labels = np.asarray(masks[number]).astype(np.int64, copy=False)  # as in the table
        for row in here.tolist():
            low, high = table.box[row, 3 - table.ndim : 3], table.box[row, 6 - table.ndim :]
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            label = int(table.label[row])
            if (number, label) not in known and _parts(np.argwhere(labels[box] == label)).any():
                found.setdefault(number, []).append(label)
    return {number: sorted(labels) for number, labels in found.items()}


def _parts(where: IntArray) -> IntArray:
    """Which cell each of some voxels belongs to, int64 (p,); 0: the largest."""
    low = where.min(axis=0)
    mask: BoolArray = np.zeros(where.max(axis=0) - low + 1, dtype=np.bool_)
    mask[tuple((where - low).T)] = True
    return np.asarray(parts_apart(mask)[tuple((where - low).T)])
