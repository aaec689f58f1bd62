"""The warping error of the ISBI 2012 challenge: topological mistakes count, shifted borders do not.

The truth is deformed towards the result pixel by pixel, but only where its topology stays the same.
What still differs is the error. Foreground (cells) is 4-connected, background 8-connected.

The order of the deformation is that of Fiji's ``WarpingError``: mismatches column by column, those
with the clearest result first, sweep after sweep until nothing changes. It is a greedy local
minimum that depends on this order, so the order is part of the definition.

References: Jain et al., CVPR 2010, 2488; Arganda-Carreras et al., Front. Neuroanat. 9 (2015) 142.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.running.machine_code import compiled

BoolImage = NDArray[np.bool_]
ByteImage = NDArray[np.uint8]
ISBI_THRESHOLDS = tuple(accumulate([0.0] + [0.1] * 9))  # added up, as Fiji does
AGREES, OBJECT_DELETION, OBJECT_ADDITION, HOLE_DELETION, HOLE_ADDITION, SPLIT, MERGE = range(7)
KINDS = ("agrees", "object deletion", "object addition", "hole deletion", "hole addition", "split", "merge")


@dataclass(frozen=True)
class Warping:
    """The truth deformed towards the result, and where they still differ.

    Attributes
    ----------
    warped : BoolImage
        bool (Y, X).
    mismatch : ByteImage
        uint8 (Y, X) — `AGREES` or the kind of the mistake.
    """

    warped: BoolImage
    mismatch: ByteImage

    @property
    def error(self) -> float:
        """Fraction of pixels that still differ."""
        return float((self.mismatch > 0).mean())

    @property
    def split_merge_error(self) -> float:
        """Fraction of pixels that are splits or mergers."""
        return float((self.mismatch >= SPLIT).mean())


def separate_cells(labels: NDArray[np.integer[Any]]) -> BoolImage:
    """Cells as foreground, with a border of one pixel between cells that touch; bool, shape of ``labels`` (Y, X)."""
    cells = labels > 0
    right = (labels[:, 1:] != labels[:, :-1]) & cells[:, 1:] & cells[:, :-1]
    below = (labels[1:] != labels[:-1]) & cells[1:] & cells[:-1]
    separated = cells.copy()
    separated[:, :-1] &= ~right
    separated[:-1] &= ~below
    return separated


def warp(
    truth: NDArray[Any], result: NDArray[Any], *, threshold: float = 0.5, allowed: NDArray[Any] | None = None
) -> Warping:
    """Deform a truth towards a result, keeping its topology.

    Parameters
    ----------
    truth : NDArray[Any]
        (Y, X); foreground is not 0. Touching cells must be apart, see `separate_cells`.
    result : NDArray[Any]
        (Y, X) bool, or a map of probabilities (0 … 1): foreground is above ``threshold``.
    allowed : NDArray[Any] | None
        (Y, X); pixels that may be deformed. Default: all.

    Raises
    ------
    ValueError
        If the shapes differ or are not two-dimensional.
    """
    if truth.ndim != 2 or truth.shape != result.shape:
        raise ValueError(f"warping compares two images of one slice, not shapes {truth.shape} and {result.shape}")
    target = np.asarray(result, dtype=np.float32)
    wanted = target.astype(np.float64) > threshold
    current = np.zeros((truth.shape[0] + 2, truth.shape[1] + 2), dtype=np.uint8)
    current[1:-1, 1:-1] = truth != 0
    differs = current[1:-1, 1:-1].astype(bool) != wanted
    if allowed is not None:
        differs &= allowed != 0
    x, y = np.nonzero(differs.T)
    clearness = np.abs(target[y, x].astype(np.float64) - threshold).astype(np.float32)
    order = np.argsort(-clearness, kind="stable")
    places = ((y[order] + 1) * current.shape[1] + x[order] + 1).astype(np.int64)
    left = _sweep(current.reshape(-1), current.shape[1], places, SIMPLE)
    mismatch = np.zeros_like(current)
    if len(left):
        _classify(current, left, mismatch, _cut_pixels(current))
    return Warping(current[1:-1, 1:-1].astype(bool), mismatch[1:-1, 1:-1].copy())


def warping_errors(
    truth: NDArray[Any], result: NDArray[Any], thresholds: Sequence[float] = ISBI_THRESHOLDS
) -> tuple[float, float]:
    """Warping error and split-and-merge error, each the minimum over the thresholds.

    Parameters
    ----------
    truth : NDArray[Any]
        (Y, X) or a stack (Z, Y, X); a threshold holds for the whole stack, slices are averaged.
    result : NDArray[Any]
        bool or probabilities, same shape.
    """
    slices = list(zip(np.atleast_3d(truth.T).T, np.atleast_3d(result.T).T, strict=True))
    found = [[warp(a, b, threshold=threshold) for a, b in slices] for threshold in thresholds]
    return (
        min(float(np.mean([w.error for w in warped])) for warped in found),
        min(float(np.mean([w.split_merge_error for w in warped])) for warped in found),
    )


def _simple_points() -> BoolImage:
    """For the 256 neighbourhoods: whether flipping the centre keeps the topology.

    Bit n is neighbour n of the ring, clockwise from the upper left. Simple: exactly one 4-connected
    part of the foreground touches the centre by an edge, and the background is one 8-connected part.
    """
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    table = np.zeros(256, dtype=bool)
    for code in range(256):
        white = [cell for bit, cell in enumerate(ring) if code >> bit & 1]
        black = [cell for bit, cell in enumerate(ring) if not code >> bit & 1]
        near = [part for part in _parts(white, 1) if any(abs(y) + abs(x) == 1 for y, x in part)]
        table[code] = len(near) == 1 and len(_parts(black, 2)) == 1
    return table


def _parts(cells: list[tuple[int, int]], reach: int) -> list[set[tuple[int, int]]]:
    """Connected parts of ring cells; cells are joined at a squared distance of at most ``reach``."""
    parts: list[set[tuple[int, int]]] = []
    for cell in cells:
        touching = [p for p in parts if any((cell[0] - y) ** 2 + (cell[1] - x) ** 2 <= reach for y, x in p)]
        parts = [p for p in parts if p not in touching] + [{cell}.union(*touching)]
    return parts


SIMPLE = _simple_points()


@compiled
def _code(flat: Any, place: int, width: int) -> Any:
    """The neighbourhood of a pixel as a number, bits as in `_simple_points`."""
    up, down = place - width, place + width
    return (
        flat[up - 1]
        | flat[up] << 1
        | flat[up + 1] << 2
        | flat[place + 1] << 3
        | flat[down + 1] << 4
        | flat[down] << 5
        | flat[down - 1] << 6
        | flat[place - 1] << 7
    )


@compiled
def _sweep(flat: Any, width: int, places: Any, simple: Any) -> Any:
    """Flip mismatches at simple points, sweep after sweep; changes ``flat``, returns the places that still differ.

    A pixel whose neighbourhood has not changed since its last test need not be tested again.
    """
    fresh = np.ones(len(flat), dtype=np.uint8)
    left = places.copy()
    count = len(left)
    changed = True
    while changed:
        changed = False
        kept = 0
        for n in range(count):
            place = left[n]
            if fresh[place]:
                fresh[place] = 0
                if simple[_code(flat, place, width)]:
                    flat[place] ^= 1
                    changed = True
                    for row in (place - width, place, place + width):
                        fresh[row - 1] = 1
                        fresh[row] = 1
                        fresh[row + 1] = 1
                    continue
            left[kept] = place
            kept += 1
        count = kept
    return left[:count]


@compiled
def _cut_pixels(image: Any) -> Any:
    """For each foreground pixel the number of its object, doubled, plus 1 if the object falls apart without it.

    Objects are 4-connected. Articulation points by depth-first search (Hopcroft and Tarjan 1973),
    without recursion; one pass for all objects.
    """
    height, width = image.shape
    flat = image.ravel()
    size = height * width
    seen = np.zeros(size, dtype=np.int32)  # order of discovery, 0: not seen
    low = np.zeros(size, dtype=np.int32)
    parent = np.full(size, -1, dtype=np.int32)
    step = np.zeros(size, dtype=np.uint8)
    result = np.zeros(size, dtype=np.int32)
    stack = np.zeros(size, dtype=np.int32)
    offsets = np.array([1, width, -1, -width])
    clock, objects = 0, 0
    for start in range(size):
        if flat[start] == 0 or seen[start] != 0:
            continue
        objects += 1
        clock += 1
        seen[start] = clock
        low[start] = clock
        result[start] = 2 * objects
        stack[0] = start
        depth = 1
        children = 0
        while depth > 0:
            here = stack[depth - 1]
            if step[here] < 4:
                there = here + offsets[step[here]]
                step[here] += 1
                if flat[there] == 0 or there == parent[here]:
                    continue
                if seen[there] != 0:
                    low[here] = min(low[here], seen[there])
                    continue
                clock += 1
                seen[there] = clock
                low[there] = clock
                result[there] = 2 * objects
                parent[there] = here
                stack[depth] = there
                depth += 1
            else:
                depth -= 1
                above = parent[here]
                if above >= 0:
                    low[above] = min(low[above], low[here])
                    if above == start:
                        children += 1
                    elif low[here] >= seen[above]:
                        result[above] |= 1
        if children > 1:
            result[start] |= 1
    return result.reshape(height, width)


@compiled
def _classify(image: Any, places: Any, mismatch: Any, objects: Any) -> None:
    """The kind of every remaining mismatch, from the objects among its eight neighbours."""
    height, width = image.shape
    for place in places:
        y, x = place // width, place % width
        first, several, background = 0, False, False
        for b in range(max(y - 1, 1), min(y + 2, height - 1)):
            for a in range(max(x - 1, 1), min(x + 2, width - 1)):
                if b == y and a == x:
                    continue
                name = objects[b, a] >> 1
                if name == 0:
                    background = True
                elif first == 0:
                    first = name
                elif name != first:
                    several = True
        white = image[y, x] != 0
        if first == 0:
            kind = OBJECT_DELETION if white else OBJECT_ADDITION
        elif several:
            kind = SPLIT if white else MERGE
        elif not background:
            kind = HOLE_ADDITION if white else HOLE_DELETION
        elif not white:
            kind = HOLE_ADDITION
        else:
            kind = SPLIT if objects[y, x] & 1 else HOLE_DELETION
        mismatch[y, x] = kind
