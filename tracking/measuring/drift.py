"""Where cells would be in a later frame if they only drifted with their surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]

ROUNDS = 3
NEIGHBOURS = 12
TRUST = 0.5  # how far the local drift is followed; the rest is the drift of the whole frame
FEWEST = 4  # mutual pairs below which nothing is said about a drift


def predict_shift(a: FloatArray, b: FloatArray) -> FloatArray:
    """Displacement of every point of ``a`` by global and local drift towards frame ``b``.

    The global drift is the median displacement of mutual nearest pairs, found in three rounds;
    the local one is the median over the twelve nearest pairs, shrunk halfway to the global one.

    Parameters
    ----------
    a, b : FloatArray
        float64 (n, 3) and (m, 3), positions in equal units along all axes.

    Returns
    -------
    float64 (n, 3)
    """
    drift = np.zeros(3)
    if not len(a) or not len(b):
        return np.zeros_like(a)
    tree = cKDTree(b)
    for _ in range(ROUNDS):
        moved = a + drift
        ahead = np.asarray(tree.query(moved)[1])
        back = np.asarray(cKDTree(moved).query(b)[1])
        mutual = np.flatnonzero(back[ahead] == np.arange(len(a)))
        if len(mutual) < FEWEST:
            return np.zeros_like(a)
        steps = b[ahead[mutual]] - a[mutual]
        drift = np.median(steps, axis=0)
    around = np.asarray(cKDTree(a[mutual]).query(a, k=min(NEIGHBOURS, len(mutual)))[1]).reshape(len(a), -1)
    local = np.median(steps[around], axis=1)
    return np.asarray(drift + TRUST * (local - drift))
