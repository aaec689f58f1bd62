"""The Rand and information scores of the ISBI 2012 challenge, on thinned borders.

Wide borders of a result are thinned first (its objects grow until a line of one pixel is left), and
only pixels of true objects count; each border pixel of the result there is an object of its own.

Reference: Arganda-Carreras et al., Front. Neuroanat. 9 (2015) 142 (V_rand and V_info, α = 1/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.labels.overlap import count_overlap
from celltrail.data.running.machine_code import compiled
from celltrail.evaluation.measures.warping import ISBI_THRESHOLDS

IntImage = NDArray[np.int64]


def thin_borders(labels: NDArray[np.integer[Any]]) -> IntImage:
    """Grow all objects at the same speed (4-connected) until lines of one pixel are left between them; int64 (Y, X)."""
    padded = np.full((labels.shape[0] + 2, labels.shape[1] + 2), -1, dtype=np.int64)
    padded[1:-1, 1:-1] = labels
    _grow(padded.reshape(-1), padded.shape[1])
    padded[padded < 0] = 0
    return padded[1:-1, 1:-1].copy()


@compiled
def _grow(flat: Any, width: int) -> None:
    """Flood from all objects at once; a pixel that two of them reach becomes a line (−1, like the frame)."""
    queue = np.empty(len(flat), dtype=np.int64)
    waiting = np.zeros(len(flat), dtype=np.uint8)
    offsets = np.array([-width, -1, 1, width])
    last = 0
    for place in range(len(flat)):
        if flat[place] == 0:
            for offset in offsets:
                if flat[place + offset] > 0:
                    queue[last] = place
                    waiting[place] = 1
                    last += 1
                    break
    first = 0
    while first < last:
        place = queue[first]
        first += 1
        name = np.int64(0)
        for offset in offsets:
            other = flat[place + offset]
            if other > 0:
                if name > 0 and other != name:
                    name = np.int64(-1)
                    break
                name = other
        flat[place] = name
        if name > 0:
            for offset in offsets:
                there = place + offset
                if flat[there] == 0 and not waiting[there]:
                    queue[last] = there
                    waiting[there] = 1
                    last += 1


def isbi_scores(truth: NDArray[np.integer[Any]], result: NDArray[np.integer[Any]]) -> tuple[float, float] | None:
    """V_rand and V_info of a label image against the truth (2D); 1 is best. ``None`` where the truth has no object.

    ``result`` should have been thinned, see `thin_borders`.
    """
    table = count_overlap(truth, result)
    cells = table.count.astype(np.float64)
    truth_areas = table.areas_a.astype(np.float64)
    total = truth_areas.sum()
    if total == 0:
        return None
    single = total - cells.sum()  # border pixels of the result within true objects
    result_areas = np.bincount(table.b, weights=cells, minlength=len(table.labels_b))
    joined = cells @ cells + single
    rand = 2 * joined / (truth_areas @ truth_areas + result_areas @ result_areas + single)
    lone = single / total * np.log(total)
    truth_entropy = _entropy(truth_areas / total)
    result_entropy, joint = _entropy(result_areas / total) + lone, _entropy(cells / total) + lone
    shared = truth_entropy + result_entropy - joint
    both = truth_entropy + result_entropy
    return float(rand), float(2 * shared / both) if both > 0 else 1.0


def _entropy(share: NDArray[np.float64]) -> float:
    share = share[share > 0]
    return float(-(share @ np.log(share)))


def best_isbi_scores(
    truth: NDArray[Any], probability: NDArray[Any], thresholds: Sequence[float] = ISBI_THRESHOLDS
) -> tuple[float, float]:
    """V_rand and V_info of a map of probabilities: the maximum over the thresholds, averaged over slices.

    Parameters
    ----------
    truth : NDArray[Any]
        (Y, X) or (Z, Y, X); foreground is not 0, objects are its 4-connected components.
    probability : NDArray[Any]
        Same shape.

    Raises
    ------
    ValueError
        If no slice has a true object.
    """
    slices = list(zip(np.atleast_3d(truth.T).T, np.atleast_3d(probability.T).T, strict=True))
    labelled = [(ndimage.label(a != 0)[0], b) for a, b in slices if np.any(a)]
    if not labelled:
        raise ValueError("the truth holds no object")
    found = []
    for threshold in thresholds:
        scores = [isbi_scores(a, thin_borders(ndimage.label(b > threshold)[0])) for a, b in labelled]
        found.append(np.mean([score for score in scores if score is not None], axis=0))
    best = np.max(found, axis=0)
    return float(best[0]), float(best[1])
