"""Other readings of a few masks, as rows beside those of the masks: what was measured of the masks stays as it is.

What is usual in a movie, where its cells drift, and who is near whom is told by the masks as they are given. So a
movie in which some masks might be read differently has the same numbers as without that, and costs hardly more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.measuring.chunks import moments, shape_numbers
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.table import DetectionTable


@dataclass(frozen=True)
class Reading:
    """A cell as it might be instead of some masks.

    Attributes
    ----------
    frame, label : int
        The label is one that no mask of the frame has.
    instead_of : tuple[int, ...]
        Rows of the masks whose voxels it shares.
    points : IntArray
        int64 (p, ndim), its voxels.
    """

    frame: int
    label: int
    instead_of: tuple[int, ...]
    points: IntArray


def add_readings(table: DetectionTable, readings: Sequence[Reading], movie: LayeredMovie) -> DetectionTable:
    """A table of plain masks with other readings of some of them, after the masks of their frames.

    Overlaps of readings are counted between frames a step apart. Brightness and texture of several masks are their mean;
    those of a part of a mask are not known (NaN): where two cells lie one upon the other, their light adds up.

    Parameters
    ----------
    movie : LayeredMovie
        The masks with the readings; it says what speaks for each.
    """
    measured = _measured(table, readings)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name), column]) for name, column in measured.items()
    }
    order = np.argsort(columns["frame"], kind="stable")
    place = np.argsort(order)
    evidence = movie.evidence(columns["frame"][order], columns["label"][order])
    whole = replace(
        table,
        **{name: column[order] for name, column in columns.items()},
        reward=evidence.reward,
        share=evidence.share,
        hypothesis=evidence.hypothesis,
        event=evidence.event,
        clique_id=evidence.clique_id,
        clique_row=evidence.clique_row,
        shift={span: np.concatenate([one, _mean(table, one, readings)])[order] for span, one in table.shift.items()},
        overlap_source=place[table.overlap_source],
        overlap_target=place[table.overlap_target],
    )
    return _with_overlaps(whole, place[len(table) :], movie)


def _with_overlaps(table: DetectionTable, rows: IntArray, movie: LayeredMovie) -> DetectionTable:
    """The table with the overlaps of the readings, given by their rows, that it lacks."""
    glimpses = Glimpses(movie, table, np.ones(len(table), dtype=np.bool_))
    instead_of = _rivals(table, rows)
    is_reading = np.isin(np.arange(len(table)), rows)
    into = np.isin(table.overlap_target, np.concatenate(list(instead_of.values())))
    sources: dict[int, set[int]] = {}
    for source, target in zip(table.overlap_source[into].tolist(), table.overlap_target[into].tolist(), strict=True):
        if table.frame[target] - table.frame[source] == table.step:
            sources.setdefault(target, set()).add(source)
    found: set[tuple[int, int, int]] = set()
    for row in rows.tolist():
        after = glimpses.shared(row, table.shift[1][row], int(table.frame[row]) + table.step)
        found |= {(row, target, count) for target, count in after.items()}
    for target, before in sources.items():
        for source in before:
            met = glimpses.shared(source, table.shift[1][source], int(table.frame[target]))
            found |= {(source, row, count) for row, count in met.items() if is_reading[row]}
    more = np.array(sorted(found), dtype=np.int64).reshape(-1, 3).T
    known = np.stack([table.overlap_source, table.overlap_target, table.overlap_count])
    overlap = np.concatenate([known, more], axis=1)
    overlap = overlap[:, np.lexsort((overlap[1], overlap[0]))]
    return replace(table, overlap_source=overlap[0], overlap_target=overlap[1], overlap_count=overlap[2])


def _rivals(table: DetectionTable, rows: IntArray) -> dict[int, list[int]]:
    """The masks that each reading excludes."""
    rivals: dict[int, list[int]] = {int(row): [] for row in rows}
    for a, b in table.clique_row.reshape(-1, 2).tolist():
        for one, other in ((a, b), (b, a)):
            if one in rivals:
                rivals[one].append(other)
    return rivals


def _mean(table: DetectionTable, values: FloatArray, readings: Sequence[Reading]) -> FloatArray:
    """The mean of a column over the masks of each reading, by area."""
    rows = [list(reading.instead_of) for reading in readings]
    return np.array([np.average(values[row], axis=0, weights=table.area[row]) for row in rows])


def _measured(table: DetectionTable, readings: Sequence[Reading]) -> dict[str, NDArray[Any]]:
    """The columns of the readings."""
    ndim = table.ndim
    wide = [np.pad(reading.points, ((0, 0), (3 - ndim, 0))) for reading in readings]
    sums = np.array([moments(points.astype(np.float64)) for points in wide])
    compactness, elongation = shape_numbers(sums, table.scale, ndim)
    side = np.array(table.shape[-2:]) - 1
    parts = np.array([len(reading.instead_of) == 1 for reading in readings])
    return {
        "frame": np.array([reading.frame for reading in readings]),
        "label": np.array([reading.label for reading in readings]),
        "position": sums[:, 1:4] / sums[:, :1],
        "area": sums[:, 0].astype(np.int64),
        "box": np.array([[*points.min(axis=0), *(points.max(axis=0) + 1)] for points in wide]),
        "depth": np.array([np.minimum(points[:, 1:], side - points[:, 1:]).min(axis=1).max() for points in wide]),
        "compactness": compactness,
        "elongation": elongation,
        "brightness": np.where(parts, np.nan, _mean(table, table.brightness, readings)),
        "texture": np.where(parts, np.nan, _mean(table, table.texture, readings)),
    }
