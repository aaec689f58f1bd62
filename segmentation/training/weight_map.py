"""Per-pixel weights of the loss (U-Net paper, eq. 2): w(x) = w_c(x) + w₀ · exp(−(d₁(x) + d₂(x))² / 2σ²).

w_c balances the classes over the training *set*; d₁ and d₂ are the distances to the nearest and the
second nearest cell, so that the net learns the narrow gaps between neighbours. Touching cells must
first be carved apart, or there is no gap to learn.
"""

from __future__ import annotations

from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.segmentation.training.border_term import exponential_term

FloatArray = NDArray[np.float32]
NEGLIGIBLE = 5e-7  # about the resolution of a float32 weight of 10


def carve(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Set a border of one pixel between touching cells to background.

    Of two neighbours (4-neighbourhood) with different labels, the pixel of the larger label goes, so
    that 4-connected components of the foreground are single cells.

    Parameters
    ----------
    labels : NDArray[np.integer[Any]]
        Integers (Y, X), 0 is background.
    """
    carved = labels.copy()
    for axis in range(labels.ndim):
        first = tuple(slice(None, -1) if i == axis else slice(None) for i in range(labels.ndim))
        second = tuple(slice(1, None) if i == axis else slice(None) for i in range(labels.ndim))
        a, b = labels[first], labels[second]
        touch = (a != b) & (a > 0) & (b > 0)
        carved[first][touch & (a > b)] = 0
        carved[second][touch & (b > a)] = 0
    return carved


def class_weights(pixels_of_class: NDArray[np.integer[Any]] | list[int], strength: float = 1.0) -> FloatArray:
    """w_c from the pixels of each class in the whole training set; the mean weight of a pixel is 1.

    Parameters
    ----------
    pixels_of_class : NDArray[np.integer[Any]] | list[int]
        Counts, shape (classes,).
    strength : float
        1 balances fully (every class has the same total weight), 0 not at all.

    Returns
    -------
    float32 (classes,); a class without pixels gets the weight 1.
    """
    share = np.asarray(pixels_of_class, dtype=np.float64)
    share = share / max(share.sum(), 1)
    weight = np.where(share > 0, np.power(np.where(share > 0, share, 1.0), -strength), 1.0)
    mean = float((weight * share).sum())
    return (weight / mean if mean > 0 else np.ones_like(share)).astype(np.float32)


def reach_of(w0: float, sigma: float) -> int:
    """Distance in pixels from which a cell cannot change the border term: 29 for w₀ = 10, σ = 5."""
    return ceil(sigma * sqrt(2 * log(w0 / NEGLIGIBLE))) if w0 > NEGLIGIBLE and sigma > 0 else 0


def border_weights(labels: NDArray[np.integer[Any]], w0: float = 10.0, sigma: float = 5.0) -> FloatArray:
    """The border term w₀ · exp(−(d₁ + d₂)² / 2σ²).

    Exact to 1e-6: beyond `reach_of` pixels the term is smaller than 5e-7.

    Parameters
    ----------
    labels : NDArray[np.integer[Any]]
        Integers (Y, X), 0 is background. Carve touching cells apart before.
    w0, sigma : float
        Strength, and width in pixels.

    Returns
    -------
    float32, shape of ``labels``; 0 where there are fewer than two cells.
    """
    return exponential_term(labels, w0, sigma, reach_of(w0, sigma))


def relative_distance(carved: NDArray[np.integer[Any]]) -> FloatArray:
    """Distance of every pixel to the edge of its cell, divided by the largest in that cell: the target of the seeds.

    Parameters
    ----------
    carved : NDArray[np.integer[Any]]
        Integers (Y, X) without touching cells (see `carve`).

    Returns
    -------
    float32, 0 on background, up to 1 in the middle of each cell whatever its size.
    """
    if not carved.any():
        return np.zeros(carved.shape, dtype=np.float32)
    distance = ndimage.distance_transform_edt(carved) if not carved.all() else np.ones(carved.shape)
    top = np.zeros(int(carved.max()) + 1)
    np.maximum.at(top, carved.ravel(), distance.ravel())
    return (distance / np.maximum(top, 1)[carved]).astype(np.float32)
