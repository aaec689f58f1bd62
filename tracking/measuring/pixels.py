"""The loops over pixels: renumbering, moments, and shared voxels; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import IntArray

LOOKUP_LIMIT = 2**24  # labels up to here are renumbered by a table, larger ones by sorting


@compiled
def _measure_objects(index: Any, image: Any, n: int, with_image: bool) -> Any:
    """Sums over the voxels of each object 1…n of a 3D index image: moments, intensities; its box and depth."""
    sums = np.zeros((n, 12))
    box = np.empty((n, 7), np.int64)
    box[:, :3] = np.iinfo(np.int64).max
    box[:, 3:] = 0
    height, width = index.shape[1], index.shape[2]
    for z in range(index.shape[0]):
        for y in range(index.shape[1]):
            for x in range(index.shape[2]):
                k = index[z, y, x] - 1
                if k < 0:
                    continue
                row, low = sums[k], box[k]
                row[0] += 1
                row[1] += z
                row[2] += y
                row[3] += x
                row[4] += z * z
                row[5] += y * y
                row[6] += x * x
                row[7] += z * y
                row[8] += z * x
                row[9] += y * x
                if with_image:
                    value = float(image[z, y, x])
                    row[10] += value
                    row[11] += value * value
                low[0], low[1], low[2] = min(low[0], z), min(low[1], y), min(low[2], x)
                low[3], low[4], low[5] = max(low[3], z + 1), max(low[4], y + 1), max(low[5], x + 1)
                low[6] = max(low[6], min(y, height - 1 - y, x, width - 1 - x))
    return sums, box


def measure_layers(index: NDArray[np.int32], image: Any, n: int, with_image: bool) -> tuple[Any, Any]:
    """Sums over the voxels of the objects 1…n of some 3D index images, each object in one of them.

    Returns
    -------
    sums : float64 (n, 12): voxels; Σ z, y, x; Σ zz, yy, xx, zy, zx, yx; Σ intensity and its square.
    box : int64 (n, 7): z0 y0 x0 z1 y1 x1, half-open, and the depth of the innermost voxel.
    """
    sums, box = _measure_objects(index[0], image, n, with_image)
    for layer in index[1:]:
        more, its_box = _measure_objects(layer, image, n, with_image)
        sums += more
        box = np.concatenate([np.minimum(box[:, :3], its_box[:, :3]), np.maximum(box[:, 3:], its_box[:, 3:])], axis=1)
    return sums, box


@compiled
def _shared_runs(a: Any, b: Any, shift: Any, n_b: int) -> Any:
    """Runs along x of voxels of ``a``, each object moved by its shift, that fall on one object of ``b``."""
    keys = np.empty(a.size, np.int64)
    counts = np.empty(a.size, np.int64)
    found = 0
    last = -1
    for z in range(a.shape[0]):
        for y in range(a.shape[1]):
            last = -1
            for x in range(a.shape[2]):
                k = a[z, y, x] - 1
                if k < 0:
                    last = -1
                    continue
                zb, yb, xb = z + shift[k, 0], y + shift[k, 1], x + shift[k, 2]
                if not (0 <= zb < b.shape[0] and 0 <= yb < b.shape[1] and 0 <= xb < b.shape[2]):
                    last = -1
                    continue
                other = b[zb, yb, xb] - 1
                if other < 0:
                    last = -1
                    continue
                key = np.int64(k) * n_b + other
                if key == last:
                    counts[found - 1] += 1
                else:
                    keys[found], counts[found], last = key, 1, key
                    found += 1
    return keys[:found].copy(), counts[:found].copy()


def shared_voxels(a: Any, b: Any, shift: IntArray, n_b: int) -> tuple[IntArray, IntArray, IntArray]:
    """Overlap of two index images (objects 1…n), each object of ``a`` moved by whole voxels.

    Returns
    -------
    source, target, count : int64 (k,), objects counted from 0, and their shared voxels.
    """
    keys, counts = _shared_runs(a, b, shift, n_b)
    pairs, inverse = np.unique(keys, return_inverse=True)
    total = np.bincount(inverse, weights=counts, minlength=len(pairs)).astype(np.int64)
    return pairs // max(n_b, 1), pairs % max(n_b, 1), total


def index_labels(labels: NDArray[Any]) -> tuple[IntArray, NDArray[np.int32]]:
    """Renumber any integer labels to 1…n; returns the sorted labels and the index image."""
    top = int(labels.max(initial=0))
    if top < LOOKUP_LIMIT:
        seen = np.zeros(top + 1, dtype=bool)
        seen[labels] = True
        seen[0] = False
        rank = np.cumsum(seen, dtype=np.int32)
        rank[~seen] = 0
        return np.flatnonzero(seen).astype(np.int64), rank[labels]
    present, inverse = np.unique(labels, return_inverse=True)
    first = int(present[0] == 0)
    index = (inverse.reshape(labels.shape) + (1 - first)).astype(np.int32)
    return present[first:].astype(np.int64), index


def relabel(labels: NDArray[Any], old: IntArray, new: IntArray) -> NDArray[np.int64]:
    """Replace each label of ``old`` by its partner in ``new``; all others become 0."""
    if not len(old):
        return np.zeros(labels.shape, dtype=np.int64)
    top = max(int(labels.max(initial=0)), int(old.max()))
    if top < LOOKUP_LIMIT:
        partner = np.zeros(top + 1, dtype=np.int64)
        partner[old] = new
        return np.asarray(partner[labels])
    order = np.argsort(old)
    sorted_old = old[order]
    at = np.minimum(np.searchsorted(sorted_old, labels), len(old) - 1)
    return np.where(sorted_old[at] == labels, new[order][at], 0)
