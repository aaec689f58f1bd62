"""Two results of one movie: which cells and links only one of them has.

Masks are matched frame by frame: two masks are the same cell where each covers more than half of
the other. A link is shared when both its cells are, and the other result links them as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from celltrail.dashboard.judging.events import Event
from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.data.labels.overlap import count_overlap


def disagreements(a: Result, b: Result) -> list[Event]:
    """Cells and links that only one of two results has, in order of frames; on the frames that both cover.

    ``track`` of an event is the track in ``a``, ``truth_track`` the track in ``b`` (0: none).
    """
    return _disagreements(a, b, content.stamp(a.layer.folder), content.stamp(b.layer.folder))


@lru_cache(maxsize=8)
def _disagreements(a: Result, b: Result, _a_stamp: str, _b_stamp: str) -> list[Event]:
    pairs = match_cells(a, b)
    shared = common_frames(a, b)
    own, other = _placed(a, shared), _placed(b, shared)
    rows_a, rows_b = (
        _rows(cells, pairs["frame"], pairs[name]) for cells, name in ((own.cells, "a"), (other.cells, "b"))
    )
    there = (rows_a >= 0) & (rows_b >= 0)
    rows_a, rows_b = rows_a[there], rows_b[there]
    found = [*_only_in(own, other, rows_a, rows_b, "A"), *_only_in(other, own, rows_b, rows_a, "B")]
    return sorted(found, key=lambda event: (event.frame, event.kind, event.y, event.x))


def common_frames(a: Result, b: Result) -> tuple[int, int] | None:
    """First and last of the frames that both results cover; ``None`` where they have none in common."""
    first = max(min(one.labels.numbers, default=0) for one in (a, b))
    last = min(max(one.labels.numbers, default=-1) for one in (a, b))
    return (first, last) if first <= last else None


@dataclass(frozen=True)
class Placed:
    """The cells of a result, and for each the row of the cell that it continues or is born from (−1: none)."""

    cells: pd.DataFrame
    previous: NDArray[np.int64]


def match_cells(a: Result, b: Result) -> pd.DataFrame:
    """Cells that are the same in both: columns ``frame, a, b`` (labels).

    Two results of the same masks need no look at the pixels: their graphs tell which mask each cell was.
    """
    known = content.cells_by_mask(a), content.cells_by_mask(b)
    if known[0] is not None and known[1] is not None and known[0].masks == known[1].masks:
        both = known[0].cells.merge(known[1].cells, on=["frame", "label"], suffixes=("_a", "_b"))
        return both.rename(columns={"track_a": "a", "track_b": "b"})[["frame", "a", "b"]]
    parts = []
    for frame in sorted(set(a.labels) & set(b.labels)):
        table = count_overlap(a.labels[frame], b.labels[frame])
        same = (2 * table.count > table.areas_a[table.a]) & (2 * table.count > table.areas_b[table.b])
        parts.append(
            pd.DataFrame({"frame": frame, "a": table.labels_a[table.a[same]], "b": table.labels_b[table.b[same]]})
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"frame": [], "a": [], "b": []}, dtype=int)


def _placed(result: Result, frames: tuple[int, int] | None) -> Placed:
    cells = content.cell_table(result)
    cells = cells[cells["frame"].between(*(frames or (0, -1)))].reset_index(drop=True)
    track = cells["track"].to_numpy()
    previous = np.arange(len(cells)) - 1
    born = np.flatnonzero(np.diff(track, prepend=0))  # first cell of each track
    mother = dict(zip(result.tracks.label.tolist(), result.tracks.parent.tolist(), strict=True))
    parents = np.array([mother.get(label, 0) for label in track[born].tolist()], dtype=np.int64)
    last = np.searchsorted(track, parents, side="right") - 1
    previous[born] = np.where((last >= 0) & (track[last] == parents), last, -1)
    return Placed(cells, previous)


def _rows(cells: pd.DataFrame, frame: pd.Series, label: pd.Series) -> NDArray[np.int64]:
    """Rows of cells by frame and label, in a table ordered by track and frame; −1 where there is none."""
    order = int(cells["frame"].max()) + 1 if len(cells) else 1
    keys = cells["track"].to_numpy(dtype=np.int64) * order + cells["frame"].to_numpy(dtype=np.int64)
    wanted = label.to_numpy(dtype=np.int64) * order + frame.to_numpy(dtype=np.int64)
    found = np.searchsorted(keys, wanted)
    return np.where(np.append(keys, -1)[found] == wanted, found, -1)


def _only_in(
    own: Placed, other: Placed, rows: NDArray[np.int64], twins: NDArray[np.int64], name: str
) -> Iterator[Event]:
    """Cells of ``own`` without counterpart, and links between cells that both have, which ``other`` links otherwise."""
    partner = np.full(len(own.cells), -1)
    partner[rows] = twins
    frame, label, y, x = (own.cells[column].to_numpy() for column in ("frame", "track", "y", "x"))
    theirs = other.cells["track"].to_numpy()

    def event(kind: str, row: int, twin: int, text: str) -> Event:
        track, truth_track = (int(label[row]), twin) if name == "A" else (twin, int(label[row]))
        return Event(
            kind=f"{kind} only in {name}",
            frame=int(frame[row]),
            y=float(y[row]),
            x=float(x[row]),
            text=text,
            track=track,
            truth_track=truth_track,
        )

    for row in np.flatnonzero(partner < 0).tolist():
        yield event("cell", row, 0, f"Cell {label[row]} of {name} has no counterpart.")
    source = own.previous
    both = (source >= 0) & (partner >= 0) & (partner[source] >= 0)
    for row in np.flatnonzero(both & (other.previous[partner] != partner[source])).tolist():
        before = int(source[row])
        text = f"{name} links cell {label[before]} to cell {label[row]} of frame {frame[row]}."
        yield event("link", before, int(theirs[partner[before]]), text)
