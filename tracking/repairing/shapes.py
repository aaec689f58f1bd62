"""The voxels of cells: one mask shared out among the cells beside it in time, several masks as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.measuring.chunks import moments, shape_numbers
from celltrail.tracking.measuring.overlapping import Shape

SMALLEST = 0.25  # a part is at least that share of the cell that it is taken for


def split_by(whole: Shape, cells: Sequence[Shape], scale: FloatArray) -> list[Shape]:
    """Split a mask by the cells of a frame beside it: each pixel goes to the nearest of them.

    The cells are moved together, so that their common centre is that of the mask; then each is moved to the centre of
    its part, and the pixels are shared out again.

    Parameters
    ----------
    scale : FloatArray
        float64 (ndim,), size of a voxel.

    Returns
    -------
    The parts, disjoint and together the mask; none if one is less than `SMALLEST` of its cell, or there are no cells.
    """
    if not cells:
        return []
    inside = points(whole)
    given = [points(cell) for cell in cells]
    move = inside.mean(axis=0) - np.concatenate(given).mean(axis=0)
    owner = _nearest(inside, [np.rint(cell + move) for cell in given], scale)
    if len(np.unique(owner)) == len(given):
        moves = [inside[owner == k].mean(axis=0) - cell.mean(axis=0) for k, cell in enumerate(given)]
        owner = _nearest(inside, [np.rint(cell + move) for cell, move in zip(given, moves, strict=True)], scale)
    sizes = np.bincount(owner, minlength=len(given))
    if any(size < SMALLEST * len(cell) for size, cell in zip(sizes.tolist(), given, strict=True)):
        return []
    return [_shape(inside[owner == k]) for k in range(len(given))]


def _nearest(inside: FloatArray, cells: Sequence[FloatArray], scale: FloatArray) -> IntArray:
    """Which of the cells is nearest to each point."""
    low = np.minimum(inside.min(axis=0), np.min([cell.min(axis=0) for cell in cells], axis=0)).astype(np.int64)
    high = np.maximum(inside.max(axis=0), np.max([cell.max(axis=0) for cell in cells], axis=0)).astype(np.int64)
    distance = np.full((len(cells), *(high - low + 1)), np.inf)
    for k, cell in enumerate(cells):
        ground = np.ones(distance.shape[1:], dtype=np.bool_)
        ground[tuple((cell.astype(np.int64) - low).T)] = False
        distance[k] = ndimage.distance_transform_edt(ground, sampling=scale)
        # within a cell, the deeper the nearer: where two overlap, the pixel goes to the one that it lies deeper in
        distance[k] -= ndimage.distance_transform_edt(~ground, sampling=scale)
    at = tuple((inside.astype(np.int64) - low).T)
    return np.asarray(distance[(slice(None), *at)].argmin(axis=0))


def points(shape: Shape) -> FloatArray:
    """The voxels of a mask, float64 (n, ndim)."""
    box, mask = shape
    return np.asarray(np.argwhere(mask) + np.array([float(side.start) for side in box]))


def _shape(where: FloatArray) -> Shape:
    """The mask of some voxels."""
    low, high = where.min(axis=0).astype(np.int64), where.max(axis=0).astype(np.int64) + 1
    mask = np.zeros(high - low, dtype=np.bool_)
    mask[tuple((where.astype(np.int64) - low).T)] = True
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), mask


def union(shapes: Sequence[Shape]) -> Shape:
    """All voxels of some masks as one."""
    return _shape(np.concatenate([points(shape) for shape in shapes]))


def compactness(shape: Shape, scale: FloatArray) -> float:
    """1 for a disk or ball, smaller the further the voxels of a mask lie from its centre."""
    where = points(shape)
    wide = np.pad(where, ((0, 0), (3 - where.shape[1], 0)))
    return float(shape_numbers(moments(wide)[np.newaxis], scale, where.shape[1])[0][0])
