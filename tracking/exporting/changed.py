"""Which masks are something else in a result: split, joined, drawn otherwise, or left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from celltrail.data.types import BoolArray, IntArray, Masks
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.pixels import index_labels
from celltrail.tracking.measuring.table import DetectionTable

What = Literal["merged", "split", "redrawn", "left out", "added"]


@dataclass(frozen=True)
class Changed:
    """Masks of a frame that are not in a result as they were.

    Attributes
    ----------
    what : str
        "merged": a mask of several cells; "split": several masks of one; "redrawn": a mask of a cell with other
        pixels; "left out": a mask of no cell; "added": a cell most of which lies on no mask.
    frame : int
        Its number.
    masks : tuple of int
        Their labels.
    rows : tuple of int
        The detections that they have become.
    """

    what: What
    frame: int
    masks: tuple[int, ...]
    rows: tuple[int, ...]


def find_changed(masks: Masks, table: DetectionTable, used: BoolArray) -> list[Changed]:
    """What has become of the masks of a movie, where that is something else; in the order of the frames.

    A mask has become several cells where they lie in it, and several masks one where they lie in it: each time with more
    than half of their pixels. A mask is left out where no cell has a pixel of it.

    Parameters
    ----------
    masks : mapping
        What ``table`` was measured on.
    used : BoolArray
        bool (n,), whether each detection is a cell.
    """
    movie = masks if isinstance(masks, LayeredMovie) else None
    doubtful = [] if movie is None else list(movie.doubtful)
    plain = ~used & ~np.isin(table.frame, doubtful)
    cells = zip(table.frame[plain].tolist(), table.label[plain].tolist(), strict=True)
    found = [Changed("left out", number, (label,), ()) for number, label in cells]
    if movie is not None:
        for number in doubtful:
            found += _changed_in(number, movie, table, np.flatnonzero((table.frame == number) & used))
    return sorted(found, key=lambda one: (one.frame, one.masks))


def _changed_in(number: int, movie: LayeredMovie, table: DetectionTable, rows: IntArray) -> Iterator[Changed]:
    """What has become of the masks of a frame, of which the cells in ``rows`` are used."""
    names, mask = index_labels(movie.mask(number))
    if np.array_equal(names, np.sort(table.label[rows])):
        return  # every mask is a cell, and there is no other
    labels, shapes = np.append(0, names), movie.shapes(number)
    size = np.bincount(mask.ravel(), minlength=len(labels))
    most, most_of = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    told = np.isin(labels, table.label[rows])  # masks that need no further word
    told[0] = True
    within: dict[int, list[int]] = {}
    fresh: list[int] = []
    for row in rows.tolist():
        if (label := int(table.label[row])) not in shapes:
            continue  # it is a mask as it is
        box, inside = shapes[label]
        pixels = mask[box][inside]
        met = np.bincount(pixels, minlength=len(labels))
        met[0] = 0
        if 2 * met.sum() < len(pixels):
            fresh.append(row)
        more = met > most
        most[more], most_of[more] = met[more], row
        whole = np.flatnonzero(2 * met > size)
        if len(whole) > 1:
            told[whole] = True
            yield Changed("split", number, tuple(labels[whole].tolist()), (row,))
        if 2 * met.max() > len(pixels):
            within.setdefault(int(met.argmax()), []).append(row)
    for one, parts in within.items():
        if len(parts) > 1:
            told[one] = True
            yield Changed("merged", number, (int(labels[one]),), tuple(parts))
    for one in np.flatnonzero((size > 0) & ~told).tolist():
        rows_of = (int(most_of[one]),) if most[one] else ()
        fresh = [row for row in fresh if row not in rows_of]
        yield Changed("redrawn" if rows_of else "left out", number, (int(labels[one]),), rows_of)
    yield from (Changed("added", number, (), (row,)) for row in fresh)


def list_changed(changed: Sequence[Changed], track: IntArray) -> dict[str, list[dict[str, Any]]]:
    """The lists of ``run.json``: ``repairs`` (masks that were split or joined), ``redrawn_masks``, ``left_out_masks``, ``added_masks``.

    Parameters
    ----------
    track : IntArray
        int64 (n,), the track of each detection; what has no track (0) outside of the field of interest is not listed.
    """
    named = [(one, [int(track[row]) for row in one.rows if track[row]]) for one in changed]
    return {
        "repairs": [
            {"kind": one.what, "frame": one.frame, "masks": list(one.masks), "tracks": tracks}
            for one, tracks in named
            if one.what in ("merged", "split") and tracks
        ],
        "redrawn_masks": [
            {"frame": one.frame, "label": one.masks[0], "tracks": tracks}
            for one, tracks in named
            if one.what == "redrawn" and tracks
        ],
        "left_out_masks": [{"frame": one.frame, "label": one.masks[0]} for one, _ in named if one.what == "left out"],
        "added_masks": [
            {"frame": one.frame, "track": tracks[0]} for one, tracks in named if one.what == "added" and tracks
        ],
    }


def as_repairs(considered: int, listed: list[dict[str, Any]]) -> dict[str, Any]:
    """``repairs`` of ``run.json``: how many choices there were beside the masks, and how many masks were split, or made of pieces."""
    count = {kind: sum(one["kind"] == kind for one in listed) for kind in ("merged", "split")}
    return {"considered": considered, **count, "list": listed}
