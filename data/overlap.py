"""How two label images of one frame overlap: the contingency table, and the CTC's match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Overlap:
    """Areas of the objects of two label images, and of their intersections (background left out).

    labels_a, labels_b : int64 — labels present, ascending. areas_a, areas_b : int64 — their areas.
    a, b : int64 (k,) — indices into ``labels_a`` and ``labels_b`` of the pairs that share pixels,
    ordered by (a, b). count : int64 (k,) — shared pixels. pixels : all pixels of the image.
    """

    labels_a: IntArray
    areas_a: IntArray
    labels_b: IntArray
    areas_b: IntArray
    a: IntArray
    b: IntArray
    count: IntArray
    pixels: int


def count_overlap(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> Overlap:
    """Contingency table of two label images of equal shape, in one pass over the pixels.

    Any non-negative integer labels, 2D or 3D.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"label images of shape {a.shape} and {b.shape} cannot be compared")
    labels_a, index_a = np.unique(a, return_inverse=True)
    labels_b, index_b = np.unique(b, return_inverse=True)
    table = np.bincount(
        index_a.ravel().astype(np.int64) * len(labels_b) + index_b.ravel(), minlength=len(labels_a) * len(labels_b)
    ).reshape(len(labels_a), len(labels_b))
    areas_a, areas_b = table.sum(axis=1), table.sum(axis=0)
    first_a, first_b = int(labels_a[:1].sum() == 0), int(labels_b[:1].sum() == 0)
    inner = table[first_a:, first_b:]
    rows, columns = np.nonzero(inner)
    return Overlap(
        labels_a[first_a:].astype(np.int64), areas_a[first_a:], labels_b[first_b:].astype(np.int64), areas_b[first_b:],
        rows.astype(np.int64), columns.astype(np.int64), inner[rows, columns].astype(np.int64), a.size,
    )  # fmt: skip


def match_objects(table: Overlap) -> IntArray:
    """The CTC's match: for each object of ``a`` the index of the object of ``b`` that covers more than half of it.

    Returns int64 of shape (len(labels_a),), −1 where there is none. Exactly half is no match.
    """
    match = np.full(len(table.labels_a), -1, dtype=np.int64)
    covered = 2 * table.count > table.areas_a[table.a]
    match[table.a[covered]] = table.b[covered]
    return match
