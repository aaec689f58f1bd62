"""Masks of a result: every pixel gets the label of its track, and missing masks are filled in."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.tracking.exporting.lineage import Lineage
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.pixels import relabel
from celltrail.tracking.measuring.table import DetectionTable


def paint_masks(
    masks: Mapping[int, NDArray[Any]], table: DetectionTable, lineage: Lineage, skip: Container[int] = ()
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The label images of a result, frame by frame, each with the labels of its tracks.

    Frames between the first and the last that the movie lacks are given, with what was filled in; those of ``skip`` are not.

    Yields
    ------
    frame number, int64 labels of the shape of the masks.
    """
    numbers = range(table.numbers[0], table.numbers[-1] + 1, table.step)
    start = np.searchsorted(table.frame, [*numbers, numbers[-1] + 1])
    for i, number in enumerate(numbers):
        if number in skip:
            continue
        rows = slice(start[i], start[i + 1])
        if number in masks:
            labels, tracks = table.label[rows], lineage.track[rows]
            if isinstance(masks, LayeredMovie):
                result = masks.draw(number, labels, tracks)
            else:
                result = relabel(np.asarray(masks[number]), labels, tracks)
        else:
            result = np.zeros(table.shape, dtype=np.int64)
        for track, _, before, after in lineage.fills[lineage.fills[:, 1] == number].tolist():
            paint_missing(result, masks, table, track, number, before, after)
        yield number, result


def paint_missing(
    result: NDArray[np.int64],
    masks: Mapping[int, NDArray[Any]],
    table: DetectionTable,
    track: int,
    number: int,
    before: int,
    after: int,
) -> None:
    """Paint the mask of a cell that was not seen: its nearest known shape, moved to where it should be.

    The place lies on the straight line between the cell before and after (a mother before she divides stays where she
    was); only background is painted,
    and at least one pixel.
    """
    share = (number - table.frame[before]) / (table.frame[after] - table.frame[before]) if before != after else 0.0
    known = before if share <= 0.5 else after
    place = table.position[before] + share * (table.position[after] - table.position[before])
    move = np.rint(place - table.position[known]).astype(np.int64)[3 - table.ndim :]
    low, high = np.split(table.box[known], 2)
    low, high = low[3 - table.ndim :], high[3 - table.ndim :]
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    labels = np.asarray(masks[int(table.frame[known])])
    seen = labels.ndim > table.ndim  # layers of hypotheses
    found = (
        (labels[(slice(None), *window)] == table.label[known]).any(axis=0)
        if seen
        else labels[window] == table.label[known]
    )
    shape = np.argwhere(found) + low + move
    inside = np.all((shape >= 0) & (shape < table.shape), axis=1)
    at = tuple(shape[inside].T)
    if (result[at] == 0).any():
        result[at] = np.where(result[at] == 0, track, result[at])
        return
    # A track must have a mask in each of its frames: the nearest pixel of background, else one of the neighbour's
    free = np.argwhere(result == 0) if (result == 0).any() else np.argwhere(result > 0)
    nearest = np.argmin(np.linalg.norm((free - place[3 - table.ndim :]) * table.scale[3 - table.ndim :], axis=1))
    result[tuple(free[nearest])] = track
