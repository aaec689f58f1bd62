"""How two label images of one frame overlap: areas, centroids, shared pixels, and the CTC's match.

Both images are read once, in runs of equal label pairs along the rows. A run costs one look-up of
its pair: by direct address where the labels are small, else in a hash table, so that labels of any
size cost the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.running.machine_code import compiled
from celltrail.data.types import FloatArray, IntArray

DENSE_PAIRS = 1 << 18  # label pairs up to which a direct table stays in the cache
HASH_A, HASH_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd, bits well mixed


@dataclass(frozen=True)
class Overlap:
    """Areas of the objects of two label images, and of their intersections (background left out).

    Attributes
    ----------
    labels_a, labels_b : IntArray
        int64 — labels present, ascending.
    areas_a, areas_b : IntArray
        int64 — their areas.
    a, b : IntArray
        int64 (k,) — indices into ``labels_a`` and ``labels_b`` of the pairs that share pixels, ordered by (a, b).
    count : IntArray
        int64 (k,) — shared pixels.
    pixels : int
        All pixels of the image.
    centers_a, centers_b : FloatArray
        float64 (n, ndim) — centroids in pixels, axes as in the images.
    """

    labels_a: IntArray
    areas_a: IntArray
    labels_b: IntArray
    areas_b: IntArray
    a: IntArray
    b: IntArray
    count: IntArray
    pixels: int
    centers_a: FloatArray
    centers_b: FloatArray


def count_overlap(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> Overlap:
    """Contingency table of two label images of equal shape, in one pass over the pixels.

    Any non-negative integer labels, 2D or 3D. An object is all pixels of one label, connected or not.

    Raises
    ------
    ValueError
        If the shapes differ, a label is negative or beyond 2⁶³, or the arrays do not hold integers.
    """
    if a.shape != b.shape:
        raise ValueError(f"label images of shape {a.shape} and {b.shape} cannot be compared")
    top_a, top_b = _largest_label(a), _largest_label(b)
    top = max(top_a, top_b)
    dtype = np.uint16 if top < 2**16 else np.uint32 if top < 2**32 else np.int64
    shape = a.shape if a.ndim else (1,)
    flat = (-1, shape[-1]) if a.size else (0, 1)
    rows_a = np.ascontiguousarray(a, dtype=dtype).reshape(flat)
    rows_b = np.ascontiguousarray(b, dtype=dtype).reshape(flat)
    height = shape[-2] if len(shape) > 1 else 1
    dense = (top_a + 1) * (top_b + 1) <= DENSE_PAIRS
    stride = top_b + 1 if dense else 0
    found, room = -1, 1 << 12
    while found < 0:  # hardly ever more than once: noise has as many pairs as pixels
        table = np.full((top_a + 1) * stride if dense else 2 * room, -1, dtype=np.int32)
        pairs, sums = np.zeros((room, 2), dtype=np.int64), np.zeros((room, 4), dtype=np.int64)
        found = _scan(rows_a, rows_b, height, stride, table, pairs, sums)
        room *= 8
    return _summarise(pairs[:found, 0], pairs[:found, 1], sums[:found], a.size, a.ndim)


def match_objects(table: Overlap) -> IntArray:
    """The CTC's match: for each object of ``a`` the index of the object of ``b`` that covers more than half of it.

    Returns int64 of shape (len(labels_a),), −1 where there is none. Exactly half is no match.
    """
    match = np.full(len(table.labels_a), -1, dtype=np.int64)
    covered = 2 * table.count > table.areas_a[table.a]
    match[table.a[covered]] = table.b[covered]
    return match


def _largest_label(labels: NDArray[np.integer[Any]]) -> int:
    if labels.dtype.kind not in "uib":
        raise ValueError(f"a label image holds whole numbers, not {labels.dtype} values")
    low = int(labels.min()) if labels.size and labels.dtype.kind == "i" else 0
    top = int(labels.max()) if labels.size else 0
    if low < 0:
        raise ValueError(f"label {low}: labels must not be negative")
    if top >= 2**63:
        raise InputError(f"The label {top} is too large: number the cells below 2⁶³.")
    return top


def _summarise(pair_a: IntArray, pair_b: IntArray, sums: IntArray, pixels: int, ndim: int) -> Overlap:
    """Margins of the pair table: areas and centroids of both sides, and the pairs without background."""
    order = np.lexsort((pair_b, pair_a))
    pair_a, pair_b, sums = pair_a[order], pair_b[order], sums[order]
    labels_a, areas_a, centers_a = _margin(pair_a, sums, ndim)
    labels_b, areas_b, centers_b = _margin(pair_b, sums, ndim)
    both = (pair_a > 0) & (pair_b > 0)
    return Overlap(
        labels_a=labels_a,
        areas_a=areas_a,
        labels_b=labels_b,
        areas_b=areas_b,
        a=np.searchsorted(labels_a, pair_a[both]).astype(np.int64),
        b=np.searchsorted(labels_b, pair_b[both]).astype(np.int64),
        count=sums[both, 0].copy(),
        pixels=pixels,
        centers_a=centers_a,
        centers_b=centers_b,
    )


def _margin(side: IntArray, sums: IntArray, ndim: int) -> tuple[IntArray, IntArray, FloatArray]:
    order = np.argsort(side, kind="stable")
    ordered = side[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    labels = ordered[starts]
    total = np.add.reduceat(sums[order], starts, axis=0) if len(starts) else np.zeros((0, 4), dtype=np.int64)
    first = int(labels[:1].sum() == 0)  # leave the background out
    labels, total = labels[first:], total[first:]
    centers = total[:, 1:] / (2.0 * total[:, :1])
    return labels, total[:, 0].copy(), centers[:, 3 - ndim :]


@compiled
def _scan(a: Any, b: Any, height: int, stride: int, table: Any, pairs: Any, sums: Any) -> int:
    """Fill ``pairs`` (labels, in order of appearance; not background on background) and ``sums``.

    ``table`` holds −1, then rows of ``pairs``. ``stride`` > 0: pair (i, j) lies at ``i * stride + j``;
    0: its place is hashed. Sums: pixels, and twice the sums of z, y and x. Returns the number of
    pairs, −1 if there are more than ``pairs`` has room for.
    """
    found = 0
    rows, width = a.shape
    mask = np.uint64(len(table) - 1)
    changes = np.zeros((width // 8 + 1) * 8, np.uint8)  # whether a run ends before this pixel
    words = changes.view(np.uint64)
    changes[width] = 1
    for row in range(rows):
        z, y = divmod(row, height)
        row_a, row_b = a[row], b[row]
        for x in range(1, width):  # a loop without branches, which the compiler turns into vector code
            changes[x] = (row_a[x] != row_a[x - 1]) | (row_b[x] != row_b[x - 1])
        start = 0
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for stop in range(8 * word, 8 * word + 8):
                if changes[stop] == 0:
                    continue
                label_a = row_a[start]
                label_b = row_b[start]
                if label_a != 0 or label_b != 0:
                    key_a = np.int64(label_a)
                    key_b = np.int64(label_b)
                    if stride > 0:
                        slot = key_a * stride + key_b
                    else:  # open addressing; the length of the table is a power of two
                        mixed = np.uint64(key_a) * HASH_A ^ np.uint64(key_b) * HASH_B
                        slot = np.int64((mixed >> np.uint64(24)) & mask)
                        while table[slot] >= 0 and (pairs[table[slot], 0] != key_a or pairs[table[slot], 1] != key_b):
                            slot = (slot + 1) & np.int64(mask)
                    entry = table[slot]
                    if entry < 0:
                        if found == len(pairs):
                            return -1
                        entry = found
                        table[slot] = found
                        pairs[found, 0] = key_a
                        pairs[found, 1] = key_b
                        found += 1
                    count = stop - start
                    sums[entry, 0] += count
                    sums[entry, 1] += 2 * count * z
                    sums[entry, 2] += 2 * count * y
                    sums[entry, 3] += count * (start + stop - 1)
                start = stop
    return found
