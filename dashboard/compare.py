"""Two results of one movie: which cells and links only one of them has.

Masks are matched frame by frame: two masks are the same cell where each covers more than half of
the other. A link is shared when both its cells are, and the other result links them as well.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from dashboard import content
from dashboard.content import Result
from dashboard.events import Event
from data import Tracks
from data.overlap import count_overlap


def disagreements(a: Result, b: Result) -> list[Event]:
    """Cells and links that only one of two results has, in order of frames.

    ``track`` of an event is the track in ``a``, ``truth_track`` the track in ``b`` (0: none).
    """
    return _disagreements(a, b, content.stamp(a.layer.folder), content.stamp(b.layer.folder))


@lru_cache(maxsize=8)
def _disagreements(a: Result, b: Result, _a_stamp: str, _b_stamp: str) -> list[Event]:
    pairs = match_cells(a, b)
    found = [*_only_in(a, b, pairs, "A"), *_only_in(b, a, pairs.rename(columns={"a": "b", "b": "a"}), "B")]
    return sorted(found, key=lambda event: (event.frame, event.kind, event.y, event.x))


def match_cells(a: Result, b: Result) -> pd.DataFrame:
    """Cells that are the same in both: columns ``frame, a, b`` (labels)."""
    parts = []
    for frame in sorted(set(a.labels) & set(b.labels)):
        table = count_overlap(a.labels[frame], b.labels[frame])
        same = (2 * table.count > table.areas_a[table.a]) & (2 * table.count > table.areas_b[table.b])
        parts.append(
            pd.DataFrame({"frame": frame, "a": table.labels_a[table.a[same]], "b": table.labels_b[table.b[same]]})
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"frame": [], "a": [], "b": []}, dtype=int)


def links_of(tracks: Tracks, cells: pd.DataFrame) -> pd.DataFrame:
    """Every link as ``frame, label, frame2, label2``: along tracks, and from mothers to daughters."""
    same = cells["track"].diff() == 0
    later, earlier = cells[same], cells.shift(1)[same]
    along = pd.DataFrame(
        {"frame": earlier["frame"], "label": earlier["track"], "frame2": later["frame"], "label2": later["track"]}
    )
    end = dict(zip(tracks.label.tolist(), tracks.end.tolist(), strict=True))
    born = [(end[parent], parent, begin, label) for label, begin, _, parent in tracks.rows().tolist() if parent]
    births = pd.DataFrame(born, columns=list(along.columns))
    return pd.concat([along, births], ignore_index=True).astype(np.int64)


def _only_in(own: Result, other: Result, pairs: pd.DataFrame, name: str) -> list[Event]:
    cells, others = content.cell_table(own), content.cell_table(other)
    partner = cells.merge(pairs, how="left", left_on=["frame", "track"], right_on=["frame", "a"])
    found = [
        Event(f"cell only in {name}", int(row.frame), float(row.y), float(row.x),
              f"Cell {row.track} of {name} has no counterpart.", *_order(name, int(row.track), 0))
        for row in partner[partner["b"].isna()].itertuples()
    ]  # fmt: skip
    links = links_of(own.tracks, cells)
    links = links.merge(pairs.rename(columns={"a": "label", "b": "twin"}), on=["frame", "label"])
    links = links.merge(pairs.rename(columns={"frame": "frame2", "a": "label2", "b": "twin2"}), on=["frame2", "label2"])
    theirs = links_of(other.tracks, others).rename(columns={"label": "twin", "label2": "twin2"})
    joined = links.merge(theirs.assign(shared=True), how="left", on=["frame", "twin", "frame2", "twin2"])
    place = cells[["frame", "track", "y", "x"]].rename(columns={"track": "label"})
    for row in joined[joined["shared"].isna()].merge(place, on=["frame", "label"]).itertuples():
        text = f"{name} links cell {row.label} to cell {row.label2} of frame {row.frame2}."
        found.append(
            Event(
                f"link only in {name}", int(row.frame), float(row.y), float(row.x), text,
                *_order(name, int(row.label), int(row.twin)),
            )
        )  # fmt: skip
    return found


def _order(name: str, own: int, other: int) -> tuple[int, int]:
    return (own, other) if name == "A" else (other, own)
