"""Tables of points as CSV, with the columns of inTRACKtive, napari, btrack and TrackMate; laptrack's are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.csv_file import as_numbers, as_whole, filled, plain, read_csv
from celltrail.data.formats.points import (
    INVENTED,
    Points,
    joined_tracks,
    order_by,
    points_from_links,
    rows_of_ids,
    unique_pairs,
)
from celltrail.data.formats.trackmate.tables import edges_file, read_trackmate_tables, write_trackmate_tables
from celltrail.data.types import IntArray
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dialect:
    """The names of the columns in one program's tables, and what they cannot hold.

    Attributes
    ----------
    parent : str
        ``""`` where there is none.
    orphan : str
        What stands in it for a track without a parent ("self": the track itself).
    """

    track: str
    frame: str
    position: tuple[str, str, str]
    parent: str
    orphan: str
    loses: str


DIALECTS = {
    "intracktive": Dialect(
        track="track_id",
        frame="t",
        position=("z", "y", "x"),
        parent="parent_track_id",
        orphan="-1",
        loses="A table of points holds no masks, no pixel size and no time between frames; areas and labels are kept.",
    ),
    "napari": Dialect(
        track="track_id",
        frame="t",
        position=("z", "y", "x"),
        parent="",
        orphan="",
        loses="napari's track table holds no masks, no pixel size and no divisions: daughters become tracks without a parent.",
    ),
    "btrack": Dialect(
        track="ID",
        frame="t",
        position=("z", "y", "x"),
        parent="parent",
        orphan="self",
        loses="A table of points holds no masks, no pixel size and no time between frames; areas and labels are kept.",
    ),
    "trackmate": Dialect(
        track="TRACK_ID",
        frame="FRAME",
        position=("POSITION_Z", "POSITION_Y", "POSITION_X"),
        parent="",
        orphan="",
        loses="TrackMate's tables hold no masks, only a radius, and not the pixel size: repeat --voxel to read them again.",
    ),
}


def write_table(points: Points, path: Path, dialect: str = "intracktive", *, edges: Path | None = None) -> None:
    """Write points as CSV; a track that was lost for some frames is one track, whatever its pieces are called.

    Positions are in pixels, in "trackmate" in µm where the voxel size is known. "trackmate" writes
    its links into a table of their own: ``edges``, or ``NAME-edges.csv`` beside the table.
    """
    import pandas as pd

    if dialect == "trackmate":
        write_trackmate_tables(points, path, edges or edges_file(path))
        return
    names = DIALECTS[dialect]
    joined = joined_tracks(points.tracks, gaps_only=True)
    track = np.array([joined[label] for label in points.label.tolist()], dtype=np.int64)
    columns: dict[str, NDArray[np.generic]] = {names.track: track, names.frame: points.frame}
    if dialect == "btrack":
        columns |= dict(zip("xyz", points.position.T[::-1], strict=True))
    else:
        # inTRACKtive always wants a z; napari's tracks have as many axes as the images.
        axes = names.position if points.ndim == 3 or dialect == "intracktive" else names.position[1:]
        columns |= dict(zip(axes, points.position.T[-len(axes) :], strict=True))
    if names.parent:
        columns |= _family_columns(points, names, joined, track)
    if dialect != "napari":
        columns |= {"area": points.area, "label": points.label}
    order = np.lexsort((points.frame, track))
    table = pd.DataFrame({name: column[order] for name, column in columns.items()})
    _write_csv(table, path)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    # The shortest text that reads back as the same number: a table can be converted without loss.
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _family_columns(
    points: Points, names: Dialect, joined: dict[int, int], track: IntArray
) -> dict[str, NDArray[np.generic]]:
    parents = dict(zip(points.tracks.label.tolist(), points.tracks.parent.tolist(), strict=True))
    mother = {label: joined[parents[label]] if parents[label] else 0 for label in set(joined.values())}
    own = track.tolist()
    if names.orphan != "self":
        return {names.parent: np.array([mother[label] or int(names.orphan) for label in own])}
    roots: dict[int, int] = {}
    generation: dict[int, int] = {}
    for label in sorted(mother, key=lambda label: int(points.tracks.begin[points.tracks.row_of(label)])):
        roots[label] = roots[mother[label]] if mother[label] else label
        generation[label] = generation[mother[label]] + 1 if mother[label] else 0
    return {
        names.parent: np.array([mother[label] or label for label in own]),
        "root": np.array([roots[label] for label in own]),
        "generation": np.array([generation[label] for label in own]),
        "state": np.full(len(own), 5),  # "other" in btrack's list of labels
        "dummy": np.zeros(len(own), dtype=bool),
    }


# Under which names a column is known, without capitals, blanks and underscores.
TIMES = ("frame", "t", "time", "timepoint", "frameid")
TRACKS = ("trackid", "track", "trackletid", "tracklet", "particle")
NODES = ("id", "nodeid", "cellid", "spotid")
NODE_PARENTS = ("parentid", "parentnodeid", "parentcellid", "parentspotid")
TRACK_PARENTS = ("parenttrackid", "parenttrack", "parenttrackletid", "parent")
AXES = {
    axis: (axis, f"pos{axis}", f"position{axis}", f"center{axis}", f"centre{axis}", f"centroid{axis}") for axis in "zyx"
}
RELATIVES = ("parent", "mother", "child", "daughter")
LINEAGES = ("lineageid", "lineage", "treeid", "tree", "rootid", "root")
LABELS = ("label", "segid", "segmentationid", "maskid")


def read_table(path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None) -> Points:
    """Read points from CSV; the program it comes from is seen from its columns.

    Links come from the tracks and their parents (inTRACKtive, btrack, ultrack, napari, trackpy; laptrack with its table
    of divisions beside it), or from the parent of every cell where cells have ids (funtracks, motile_tracker).

    Parameters
    ----------
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm; needed for a TrackMate table in µm.

    Raises
    ------
    InputError
        If columns are missing or hold something else than numbers, a track has two points in a
        frame, cells merge, or a parent is not in the table, or not before its child.
    """
    table = read_csv(path)
    if {"POSITION_X", "FRAME"} <= set(table.columns):
        return read_trackmate_tables(path, table, voxel=voxel, interval=interval)
    columns = _known_columns(path, table)
    if "dummy" in table.columns:  # points that btrack invented in a gap: no cell was seen there
        invented = ~table["dummy"].astype(str).isin(["0", "0.0", "False"])
        notes = [f"{path}: {counted(int(invented.sum()), *INVENTED)}."] * bool(invented.any())
        kept = table[~invented]
        kept.attrs = table.attrs
        return _read_points(path, kept, columns, voxel, interval, notes)
    return _read_points(path, table, columns, voxel, interval, [])


def _known_columns(path: Path, table: pd.DataFrame) -> dict[str, str]:
    """What is known of a table: "time", "z", "y", "x", "track", "track parent", "node", "node parent", "label" → its column."""
    names: dict[str, str] = {}
    for name in table.columns:
        names.setdefault(plain(name), name)

    def first(known: Sequence[str]) -> str | None:
        return next((names[name] for name in known if name in names), None)

    found = {
        "time": first(TIMES),
        **{axis: first(AXES[axis]) for axis in "zyx"},
        "track": first(TRACKS),
        "track parent": first(TRACK_PARENTS),
        "node": first(NODES),
        "node parent": first(NODE_PARENTS),
        "label": first(LABELS),
    }
    if found["node"] and not found["node parent"] and not found["track"]:  # btrack calls its tracks ID
        found["track"], found["node"] = found["node"], None
    if found["node parent"] and not found["node"]:  # the parent of a cell that has no id can only be a track
        found["track parent"], found["node parent"] = found["track parent"] or found["node parent"], None
    columns = {what: name for what, name in found.items() if name is not None}
    family = [name for name in table.columns if any(word in plain(name) for word in RELATIVES)]
    family = [name for name in family if plain(name) not in (*NODE_PARENTS, *TRACK_PARENTS)]
    complete = {"time", "y", "x"} <= set(columns) and ("track" in columns or {"node", "node parent"} <= set(columns))
    if not complete or (family and not {"track parent", "node parent"} & set(columns)):
        unclear = f" (what is {family[0]}?)" if complete else ""
        raise InputError(
            f"{path} has the columns {', '.join(map(str, table.columns[:12]))}, which are not known{unclear}: "
            "name them track_id, t, z, y, x and parent_track_id."
        )
    return columns


def table_beside(tracks: Path, kind: str) -> Path:
    """laptrack's table of "splits" or "merges" beside its tracks: ``tracks.csv`` → ``splits.csv``, else ``NAME-splits.csv``."""
    if "tracks" in tracks.stem and (beside := tracks.with_name(tracks.name.replace("tracks", kind))).exists():
        return beside
    return tracks.with_name(f"{tracks.stem}-{kind}.csv")


def _family(path: Path, track: IntArray) -> IntArray:
    """(track, parent) of laptrack's tables of divisions and merges, where they lie beside its table of tracks."""
    pairs = []
    for kind in ("splits", "merges"):
        file = table_beside(path, kind)
        if not file.exists():
            continue
        rows = read_csv(file)
        if {"parent_track_id", "child_track_id"} <= set(rows.columns):  # it writes an empty table where there is none
            pairs.append(np.stack([as_whole(file, rows, f"{name}_track_id") for name in ("child", "parent")], axis=1))
    found: IntArray = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    return found[np.isin(found[:, 0], track)]


def _read_points(
    path: Path,
    table: pd.DataFrame,
    columns: dict[str, str],
    voxel: tuple[float, float, float] | None,
    interval: float | None,
    notes: list[str],
) -> Points:
    frame = as_whole(path, table, columns["time"])
    z = as_numbers(path, table, columns["z"]) if "z" in columns else np.zeros(len(table))
    position = np.stack([z, *(as_numbers(path, table, columns[axis]) for axis in "yx")], axis=1)
    track = as_whole(path, table, columns["track"]) if "track" in columns else None
    family = columns.get("track parent")
    notes_on_family: list[str] = []
    if "node" in columns and track is not None and family == "parent" and _changes_within(table, track, family):
        columns, family = {**columns, "node parent": family}, None  # a track has one parent, a cell each its own
    links = []
    by_cells = family is None and {"node", "node parent"} <= set(columns)
    if track is not None:
        of_tracks, notes_on_family = _links_of_tracks(path, table, frame, track, family, by_cells=by_cells)
        links.append(of_tracks)
    if by_cells:
        links.append(_links_to_parents(path, table, columns["node"], columns["node parent"]))
    area = None
    if "area" in table.columns:
        area = as_numbers(path, filled(table, "area", "-1"), "area")
        area = np.where(area < 0, np.nan, area)
    names = [] if track is None else [track]
    if "label" in columns:
        names.insert(0, as_whole(path, filled(table, columns["label"], "0"), columns["label"]))
    return points_from_links(
        frame,
        position,
        np.concatenate(links),
        area=area,
        begins=None if track is None else first_points(frame, track),
        names=names,
        ndim=3 if (z != 0).any() else 2,
        voxel=voxel,
        interval=interval,
        notes=[*notes, *notes_on_family],
        source=str(path),
    )


def _changes_within(table: pd.DataFrame, track: IntArray, column: str) -> bool:
    return bool((table.groupby(track)[column].nunique() > 1).any())


def _links_to_parents(path: Path, table: pd.DataFrame, node: str, parent: str) -> IntArray:
    """Links from the parent of every cell, where cells have ids; an empty cell, −1, or the cell itself: none."""
    ids = as_whole(path, table, node)
    parents = as_whole(path, filled(table, parent, "-1"), parent)
    none = (parents == ids) | ((parents <= 0) & ~np.isin(parents, ids))
    pairs = np.stack([parents[~none], ids[~none]], axis=1)
    return rows_of_ids(pairs, ids, f"{path} ({parent})")


def _links_of_tracks(
    path: Path, table: pd.DataFrame, frame: IntArray, track: IntArray, parent: str | None, *, by_cells: bool
) -> tuple[IntArray, list[str]]:
    """Links within tracks, and from parents to the first points of their children; with sentences on budding.

    ``by_cells``: parents are those of cells, which are read elsewhere.
    """
    rows = order_by(track, frame)
    same = np.diff(track[rows]) == 0
    twice = np.flatnonzero(same & (np.diff(frame[rows]) == 0))
    if len(twice):
        row = rows[twice[0]]
        raise InputError(
            f"{path} has two points of track {track[row]} in frame {frame[row]} "
            f"({len(twice)} such pairs): give each cell its own track."
        )
    within = np.stack([rows[:-1][same], rows[1:][same]], axis=1)
    if parent is None:
        family = _family(path, track)
        if not by_cells:
            _refuse_lost_parents(path, table, track, len(family))
    else:
        mothers = as_whole(path, filled(table, parent, "-1"), parent)
        none = (mothers == -1) | (mothers == track) | ((mothers == 0) & ~np.isin(mothers, track))
        family = unique_pairs(np.stack([track[~none], mothers[~none]], axis=1))
        several = np.flatnonzero(np.diff(family[:, 0]) == 0)
        if len(several):
            first = family[several[0]]
            raise InputError(
                f"{path}: track {first[0]} names the parents {first[1]} and {family[several[0] + 1, 1]}: "
                "give each track one parent."
            )
    between, notes = links_to_mothers(path, frame, track, rows, family)
    return np.concatenate([within, between]), notes


def _refuse_lost_parents(path: Path, table: pd.DataFrame, track: IntArray, known: int) -> None:
    """Raise `InputError` where lineages hold more tracks than the ``known`` parents join: divisions would be lost."""
    for name in table.columns:
        if plain(name) not in LINEAGES or table[name].dtype.kind not in "iu":
            continue
        members = unique_pairs(np.stack([as_whole(path, table, name), track], axis=1))
        same = np.flatnonzero(np.diff(members[:, 0]) == 0)
        if len(same) > known:
            one, other = members[same[0], 1], members[same[0] + 1, 1]
            raise InputError(
                f"{path}: {name} says that the tracks {one} and {other} are of one lineage ({len(same)} such pairs), but not "
                "which descends from which: add a column parent_track_id."
            )


def first_points(frame: IntArray, track: IntArray) -> NDArray[np.bool_]:
    """Which points are the first of their track, bool (n,)."""
    rows = order_by(track, frame)
    first = np.zeros(len(rows), dtype=bool)
    first[rows] = np.diff(track[rows], prepend=track[rows[:1]] - 1) != 0
    return first


def links_to_mothers(
    path: Path, frame: IntArray, track: IntArray, rows: IntArray, family: IntArray
) -> tuple[IntArray, list[str]]:
    """Links from the last point of a mother before her child to the child's first point.

    A mother who goes on (budding) is cut there, so that what she becomes is her other daughter.

    Parameters
    ----------
    rows : IntArray
        Points ordered by track and frame.
    family : IntArray
        int64 (k, 2), track and parent.
    """
    ordered, (children, mothers) = track[rows], family.T
    first, low = np.searchsorted(ordered, children), np.searchsorted(ordered, mothers)
    last = np.searchsorted(ordered, mothers, "right")
    begins = frame[rows[first]]
    problems, going_on = [], []
    for k in np.flatnonzero((low == last) | (frame[rows[last - 1]] >= begins)).tolist():  # the mother does not just end
        (child, mother), begin = family[k].tolist(), int(begins[k])
        if low[k] == last[k]:
            problems.append(
                f"{path}: track {child} names the parent {mother}, which has no points: add it, or write -1."
            )
            continue
        last[k] = low[k] + np.searchsorted(frame[rows[low[k] : last[k]]], begin)
        if last[k] == low[k]:
            problems.append(
                f"{path}: track {child} begins in frame {begin}, but its parent {mother} has no point before it "
                f"(its first is in frame {frame[rows[low[k]]]}): correct the parent, or write -1."
            )
        going_on.append((child, mother, begin))
    if problems:
        raise InputError(*problems[:20])
    notes = []
    if going_on:
        child, mother, begin = going_on[0]
        notes.append(
            f"{path}: {counted(len(going_on), 'track begins while its', 'tracks begin while their')} parent goes on (first: {child} of {mother} in frame "
            f"{begin}), as in budding: the parent is cut there, and what follows counts as its other daughter."
        )
    return np.stack([rows[last - 1], rows[first]], axis=1), notes
