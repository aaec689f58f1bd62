"""The border term of the weight map, from the nearest and second nearest label of every pixel, for all labels at once.

The squared Euclidean distance is separable (Felzenszwalb and Huttenlocher 2012): first the nearest
labels within each column, then the best over the columns nearby. It is enough to keep two *distinct*
labels per column: if B is the second nearest label of a pixel, and is seen through some column, at
most one label can be nearer than B in that column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.running.machine_code import compiled

FAR = 2**15


def exponential_term(labels: NDArray[np.integer[Any]], w0: float, sigma: float, reach: int) -> NDArray[np.float32]:
    """w₀ · exp(−(d₁ + d₂)² / 2σ²) with the distances to the nearest and the second nearest label.

    Parameters
    ----------
    labels : NDArray[np.integer[Any]]
        Integers (Y, X), 0 is background.
    reach : int
        The term is exact where d₁ + d₂ is at most this many pixels, and 0 elsewhere.

    Returns
    -------
    float32 (Y, X).
    """
    compact = np.ascontiguousarray(labels, dtype=np.int32)
    return _term(*_nearest_in_columns(compact, reach), w0, sigma, reach)


@compiled
def _nearest_in_columns(labels, reach):  # type: ignore[no-untyped-def]
    """Nearest two distinct labels of each pixel within its column, and how far they are."""
    height, width = labels.shape
    near = np.zeros((height, width), np.int32)
    next_ = np.zeros((height, width), np.int32)
    near_at = np.full((height, width), FAR, np.int32)
    next_at = np.full((height, width), FAR, np.int32)
    for direction in range(2):
        first = np.zeros(width, np.int32)  # the last label passed in each column, and the last other one
        first_at = np.zeros(width, np.int32)
        second = np.zeros(width, np.int32)
        second_at = np.zeros(width, np.int32)
        for step in range(height):
            y = step if direction == 0 else height - 1 - step
            for x in range(width):
                label = labels[y, x]
                if label != 0:
                    if label != first[x]:
                        second[x] = first[x]
                        second_at[x] = first_at[x]
                        first[x] = label
                    first_at[x] = y
                for k in range(2):
                    seen = first[x] if k == 0 else second[x]
                    if seen == 0:
                        continue
                    distance = abs(y - (first_at[x] if k == 0 else second_at[x]))
                    if distance > reach:
                        continue
                    if seen == near[y, x]:
                        near_at[y, x] = min(near_at[y, x], distance)
                    elif distance < near_at[y, x]:
                        next_[y, x] = near[y, x]
                        next_at[y, x] = near_at[y, x]
                        near[y, x] = seen
                        near_at[y, x] = distance
                    elif seen == next_[y, x]:
                        next_at[y, x] = min(next_at[y, x], distance)
                    elif distance < next_at[y, x]:
                        next_[y, x] = seen
                        next_at[y, x] = distance
    return near, near_at, next_, next_at


@compiled
def _term(near, near_at, next_, next_at, w0, sigma, reach):  # type: ignore[no-untyped-def]
    """Combine the columns: for each pixel the two distinct labels of least distance, and their term."""
    height, width = near.shape
    term = np.zeros((height, width), np.float32)
    for y in range(height):
        two_from = _two_labels_from(near[y], next_[y])
        for x in range(width):
            if two_from[min(x + reach, width - 1)] < x - reach:
                continue
            best, best_label, other = FAR * FAR, 0, FAR * FAR
            limit = reach * reach
            for r in range(reach + 1):
                square = r * r
                if square >= other or square > limit:
                    break
                before = best
                for side in range(2):
                    column = x + r if side == 0 else x - r
                    if column < 0 or column >= width or (r == 0 and side == 1):
                        continue
                    for k in range(2):
                        label = near[y, column] if k == 0 else next_[y, column]
                        if label == 0:
                            break
                        away = near_at[y, column] if k == 0 else next_at[y, column]
                        distance = square + away * away
                        if label == best_label:
                            best = min(best, distance)
                        elif distance < best:
                            other = best
                            best, best_label = distance, label
                        elif distance < other:
                            other = distance
                if best < before:
                    # What comes now is at least r away: with the first so far, or with one of its kind, too far.
                    left = max(reach - np.sqrt(best), reach / 2)
                    limit = left * left
            together = np.sqrt(best) + np.sqrt(other)
            if together <= reach:
                term[y, x] = w0 * np.exp(-together * together / (2 * sigma * sigma))
    return term


@compiled
def _two_labels_from(near, next_):  # type: ignore[no-untyped-def]
    """For each column the last column from which on, up to it, more than one label is seen (−FAR: there is none)."""
    start = np.full(len(near), -FAR, np.int32)
    found, label, label_at = -FAR, 0, 0
    for x in range(len(near)):
        if near[x] != 0:
            if next_[x] != 0:
                found = x
            elif label != 0 and near[x] != label:
                found = max(found, label_at)
            label, label_at = near[x], x
        start[x] = found
    return start
