"""Outlines of labelled cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def close_gaps(labels: NDArray[np.integer[Any]], reach: int) -> NDArray[np.integer[Any]]:
    """Give background pixels between two cells to the nearer one; outlines against free background stay.

    A pixel lies between two cells if both come within ``reach`` pixels of it (square neighbourhood).

    Parameters
    ----------
    labels : NDArray[np.integer[Any]]
        int (Y, X) or (Z, Y, X), 0 is background.
    reach : int
        Pixels; below 1 nothing is closed.

    Returns
    -------
    An image of the same shape and type.
    """
    if reach < 1 or not labels.any():
        return labels
    size = 2 * reach + 1
    largest = ndimage.maximum_filter(labels, size)
    absent = int(labels.max()) + 1  # not the largest integer of 64 bits: filters count in floats, which do not hold it
    smallest = ndimage.minimum_filter(np.where(labels == 0, absent, labels.astype(np.int64)), size)
    gap = (labels == 0) & (largest > 0) & (smallest < largest)
    if not gap.any():
        return labels
    index = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.where(gap, labels[tuple(index)], labels)
