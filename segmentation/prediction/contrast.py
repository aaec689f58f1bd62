"""What is found must differ from its surroundings by more than these differ among themselves.

A net may see cells in structured noise whatever its contrast. Regions are therefore compared with the ring around them,
in units of how the background varies within the size of a cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]
LEAST = 4.0  # standard deviations; what nets see in noise, white or blurred, stays below (up to 3.9 in 300 × 300 pixels)
ENOUGH = 500  # pixels of background that say how it varies


def contrasts(
    plane: FloatArray, labels: NDArray[np.integer[Any]], diameter: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much brighter each region is than the ring around it: in grey values, and in deviations of the background.

    Parameters
    ----------
    plane : FloatArray
        Grey values (Y, X).
    labels : NDArray[np.integer[Any]]
        Regions 1 … n.
    diameter : float
        Of a cell, in pixels of the plane: rings are 0.3 of it wide.

    Returns
    -------
    contrast : float64 (n)
        Mean inside minus mean of the ring; NaN for a region without surroundings.
    clearness : float64 (n)
        The same in standard deviations of the background; NaN also where there is too little background to know.
    """
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros(0), np.zeros(0)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    ring = np.where((distance > 1) & (distance <= max(0.3 * diameter, 3)), labels[tuple(nearest)], 0)
    band = plane - ndimage.gaussian_filter(plane, 0.3 * diameter)
    far = distance > max(0.3 * diameter, 3)
    outside = band[far] if np.count_nonzero(far) >= ENOUGH else band[distance > 1]
    pixels = [np.bincount(where.ravel(), minlength=count + 1)[1:] for where in (labels, ring)]
    sums = [np.bincount(where.ravel(), plane.ravel(), minlength=count + 1)[1:] for where in (labels, ring)]
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = sums[0] / pixels[0] - sums[1] / pixels[1]  # 0 / 0: a region without surroundings
    if len(outside) < ENOUGH:
        return contrast, np.full(count, np.nan)
    spread = 1.4826 * float(np.median(np.abs(outside - np.median(outside))))
    return contrast, contrast / max(spread, 1e-6)


def drop_faint(plane: FloatArray, probability: FloatArray, threshold: float, diameter: float) -> FloatArray:
    """The map of probabilities without the regions that do not stand out by `LEAST`; usually the very same array.

    Parameters
    ----------
    plane : FloatArray
        What the net saw (Y, X).
    probability : FloatArray
        What it said, of the same shape.
    threshold : float
        From which probability pixels belong to a region.
    diameter : float
        Of a cell, in these pixels.
    """
    labels, count = ndimage.label(probability >= threshold)
    if count == 0:
        return probability
    faint = np.concatenate([[False], np.nan_to_num(contrasts(plane, labels, diameter)[1], nan=np.inf) < LEAST])
    if not faint.any():
        return probability
    around = ndimage.maximum_filter(faint[labels], 3)  # the slope outside the threshold as well
    return np.where(around & (faint[labels] | (labels == 0)), np.float32(0), probability)
