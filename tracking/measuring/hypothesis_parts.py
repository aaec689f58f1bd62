"""What masks beside hypotheses may be as well, though no hypothesis says so: frames around tell it, as for plain masks.

A mask that two cells fall into, and out of which two come again, may be both (`celltrail.tracking.repairing.finding`). Where the
hypotheses of the mask hold such halves already, these earn what the frames around say for them; otherwise the halves are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from celltrail.data.files.hypotheses import Hypotheses, with_parts
from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.measuring.hypothesis_weights import weigh
from celltrail.tracking.measuring.overlapping import Shape

SAME = 0.8  # two outlines are the same cell where they share so much of all their pixels


@dataclass(frozen=True)
class Parts:
    """What some masks of a frame may be instead.

    Attributes
    ----------
    labels : tuple[int, ...]
        Of the masks.
    shapes : tuple[Shape, ...]
        What they may be.
    price : float
        Nats against it.
    event : int
        The error that this frame is part of.
    """

    labels: tuple[int, ...]
    shapes: tuple[Shape, ...]
    price: float
    event: int


@dataclass(frozen=True)
class Weighed:
    """The hypotheses of a frame that may be cells.

    Attributes
    ----------
    rows : IntArray
        int64 (k,), ascending.
    share : FloatArray
        float64 (k,), for how many cells each counts.
    reward : FloatArray
        float64 (k,), nats.
    event : IntArray
        int64 (k,), as in `celltrail.tracking.measuring.overlapping.Evidence`.
    """

    rows: IntArray
    share: FloatArray
    reward: FloatArray
    event: IntArray


Compared = list[tuple[Parts, IntArray]]


def compare(own: Hypotheses, parts: Sequence[Parts]) -> Compared:
    """The parts in a frame, each with those of the hypotheses to choose from that it is; none where one of them is new."""
    among = weigh(own)[0] if parts else np.zeros(0, dtype=np.int64)
    return [(one, _rows_of(own, among, one.shapes)) for one in parts]


def add_parts(own: Hypotheses, parts: Compared) -> Hypotheses:
    """The hypotheses of a frame, and after them the parts that are none of them."""
    shapes = [shape for one, same in parts if not len(same) for shape in one.shapes]
    return with_parts(own, [box for box, _ in shapes], [mask for _, mask in shapes])


def weigh_with_parts(own: Hypotheses, parts: Compared, labels: IntArray) -> Weighed:
    """What the hypotheses of a frame earn, with the parts that `add_parts` puts after them.

    Together the parts of some masks have the stake of these, less their price. Masks that are no hypotheses to choose from
    have no parts.

    Parameters
    ----------
    labels : IntArray
        int64 (n,), of all hypotheses, parts included.
    """
    rows, share, reward = weigh(own)
    event, new = np.full(len(rows), -1), len(own)
    for one, same in parts:
        old, n = np.flatnonzero(np.isin(labels[rows], one.labels)), len(one.shapes)
        worth, known = reward[old].sum() - one.price, len(old) == len(one.labels)
        if known and len(same):
            there = np.isin(rows, same)
            reward[there] += max(worth - reward[there].sum(), 0.0) / n
        elif known:
            event[old] = 2 * one.event
            rows = np.append(rows, np.arange(new, new + n))
            share = np.append(share, np.full(n, share[old].sum() / n))
            reward = np.append(reward, np.full(n, worth / n))
            event = np.append(event, np.full(n, 2 * one.event + 1))
        new += 0 if len(same) else n
    return Weighed(rows, share, reward, event)


def _rows_of(own: Hypotheses, among: IntArray, shapes: Sequence[Shape]) -> IntArray:
    """Which of some hypotheses some shapes are, int64 (k,): they share `SAME` of all pixels of both; empty where one is none."""
    rows, ndim = [], len(own.shape)
    for box, mask in shapes:
        low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
        near = ((own.bbox[among, :ndim] < high) & (own.bbox[among, ndim:] > low)).all(axis=1)
        best, which = 0.0, -1
        for row in among[near].tolist():
            corner, end = own.bbox[row, :ndim], own.bbox[row, ndim:]
            first, last = np.maximum(corner, low), np.minimum(end, high)
            inner, outer = (tuple(map(slice, first - start, last - start)) for start in (corner, low))
            shared = np.count_nonzero(own.mask(row)[inner] & mask[outer])
            if (alike := shared / (own.areas()[row] + np.count_nonzero(mask) - shared)) > best:
                best, which = alike, row
        if best < SAME:
            return np.zeros(0, dtype=np.int64)
        rows.append(which)
    return np.array(rows, dtype=np.int64)
