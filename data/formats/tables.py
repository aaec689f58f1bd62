"""Tables of points as CSV, with the columns of inTRACKtive, napari, btrack and TrackMate; laptrack's are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.points import FloatArray, IntArray, Points, joined_tracks, links_of, points_from_links

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
        "track_id",
        "t",
        ("z", "y", "x"),
        "parent_track_id",
        "-1",
        "A table of points holds no masks, no pixel size and no time between frames; areas and labels are kept.",
    ),
    "napari": Dialect(
        "track_id",
        "t",
        ("z", "y", "x"),
        "",
        "",
        "napari's track table holds no masks, no pixel size and no divisions: daughters become tracks without a parent.",
    ),
    "btrack": Dialect(
        "ID",
        "t",
        ("z", "y", "x"),
        "parent",
        "self",
        "A table of points holds no masks, no pixel size and no time between frames; areas and labels are kept.",
    ),
    "trackmate": Dialect(
        "TRACK_ID",
        "FRAME",
        ("POSITION_Z", "POSITION_Y", "POSITION_X"),
        "",
        "",
        "TrackMate's tables hold no masks, only a radius, and not the pixel size: repeat --voxel to read them again.",
    ),
}
SPOT_HEADS = [
    ("LABEL", "Label", "Label", ""),
    ("ID", "Spot ID", "Spot ID", ""),
    ("TRACK_ID", "Track ID", "Track ID", ""),
    ("QUALITY", "Quality", "Quality", "(quality)"),
    ("POSITION_X", "X", "X", "(length)"),
    ("POSITION_Y", "Y", "Y", "(length)"),
    ("POSITION_Z", "Z", "Z", "(length)"),
    ("POSITION_T", "T", "T", "(time)"),
    ("FRAME", "Frame", "Frame", ""),
    ("RADIUS", "Radius", "R", "(length)"),
    ("VISIBILITY", "Visibility", "Visibility", ""),
]
EDGE_HEADS = [
    ("LABEL", "Label", "Label", ""),
    ("TRACK_ID", "Track ID", "Track ID", ""),
    ("SPOT_SOURCE_ID", "Source spot ID", "Source ID", ""),
    ("SPOT_TARGET_ID", "Target spot ID", "Target ID", ""),
]


def write_table(points: Points, path: Path, dialect: str = "intracktive", *, edges: Path | None = None) -> None:
    """Write points as CSV; a continuation (only child) is one track with its parent.

    Positions are in pixels, in "trackmate" in µm where the voxel size is known. "trackmate" writes
    its links into a table of their own: ``edges``, or ``NAME-edges.csv`` beside the table.
    """
    import pandas as pd

    if dialect == "trackmate":
        _write_trackmate(points, path, edges or edges_file(path))
        return
    names = DIALECTS[dialect]
    joined = joined_tracks(points.tracks)
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


def _write_trackmate(points: Points, path: Path, edges_path: Path) -> None:
    import pandas as pd

    voxel = np.array(points.voxel or (1.0, 1.0, 1.0))
    z, y, x = (points.position * voxel).T
    roots = points.tracks.roots()
    lineages = {root: index for index, root in enumerate(sorted(set(roots.values())))}
    lineage = np.array([lineages[roots[label]] for label in points.label.tolist()], dtype=np.int64)
    ids = np.arange(len(points))
    names = np.array([f"ID{i}" for i in ids.tolist()], dtype=object)
    unit, time = "(micron)" if points.voxel else "(pixel)", "(sec)" if points.interval else "(frame)"
    spots = pd.DataFrame(
        {
            "LABEL": names,
            "ID": ids,
            "TRACK_ID": lineage,
            "QUALITY": 1.0,
            "POSITION_X": x,
            "POSITION_Y": y,
            "POSITION_Z": z,
            "POSITION_T": points.frame * (points.interval or 1.0),
            "FRAME": points.frame,
            "RADIUS": radii_of(points) * voxel[2],
            "VISIBILITY": 1,
        }
    )
    links = links_of(points)
    edges = pd.DataFrame(
        {
            "LABEL": [f"{names[a]} → {names[b]}" for a, b in links.tolist()],
            "TRACK_ID": lineage[links[:, 1]],
            "SPOT_SOURCE_ID": links[:, 0],
            "SPOT_TARGET_ID": links[:, 1],
        }
    )
    for table, heads, file in ((spots, SPOT_HEADS, path), (edges, EDGE_HEADS, edges_path)):
        rows = [[head[k] for head in heads] for k in (1, 2, 3)]
        units = {"(length)": unit, "(time)": time}
        rows[2] = [units.get(text, text) for text in rows[2]]
        top = pd.DataFrame(rows, columns=[head[0] for head in heads], dtype=object)
        _write_csv(pd.concat([top, table.astype(object)], ignore_index=True), file)


def radii_of(points: Points) -> FloatArray:
    """The radius of a disc (2D) or ball (3D) of each point's area, in pixels; 5 where it is not known."""
    ball = np.pi if points.ndim == 2 else 4 / 3 * np.pi
    radius: FloatArray = np.where(np.isnan(points.area), 5.0, (np.nan_to_num(points.area) / ball) ** (1 / points.ndim))
    return radius


def edges_file(spots: Path) -> Path:
    """The table of links beside a TrackMate table of spots: ``spots.csv`` → ``edges.csv``, else ``NAME-edges.csv``."""
    if "spots" in spots.stem and (beside := spots.with_name(spots.name.replace("spots", "edges"))).exists():
        return beside
    return spots.with_name(f"{spots.stem}-edges.csv")


def read_table(path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None) -> Points:
    """Read points from CSV; the program it comes from is seen from its columns.

    Parameters
    ----------
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm; needed for a TrackMate table in µm.

    Raises
    ------
    InputError
        If columns are missing or hold something else than numbers, a track has two points in a
        frame, or a parent is not in the table.
    """
    table = _read_csv(path)
    if {"POSITION_X", "FRAME"} <= set(table.columns):
        return _read_trackmate(path, table, voxel, interval)
    if "frame" in table.columns and "t" not in table.columns:
        # laptrack hands on the columns it was given: a label there is that of the mask, not of the track
        table = _with_splits(path, table.rename(columns={"frame": "t"}).drop(columns="label", errors="ignore"))
    for names in (DIALECTS["btrack"], DIALECTS["intracktive"]):
        if {names.track, names.frame, "y", "x"} <= set(table.columns):
            if "dummy" in table.columns:  # points that btrack invented in a gap: no cell was seen there
                table = table[table["dummy"].isin(["0", "0.0", "False"])]
            return _read_points(path, table, names, voxel, interval)
    raise InputError(
        f"{path} has the columns {', '.join(map(str, table.columns[:12]))}, which are not known: "
        "name them track_id, t, z, y, x and parent_track_id."
    )


def splits_file(tracks: Path) -> Path:
    """laptrack's table of divisions beside its table of tracks: ``tracks.csv`` → ``splits.csv``, else ``NAME-splits.csv``."""
    if "tracks" in tracks.stem and (beside := tracks.with_name(tracks.name.replace("tracks", "splits"))).exists():
        return beside
    return tracks.with_name(f"{tracks.stem}-splits.csv")


def _with_splits(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """laptrack's table of tracks with the parents from its table of divisions, where there is one beside it."""
    file = splits_file(path)
    if "track_id" not in table.columns or "parent_track_id" in table.columns or not file.exists():
        return table
    splits = _read_csv(file)
    if not {"parent_track_id", "child_track_id"} <= set(splits.columns):
        return table  # laptrack writes an empty table where nothing divides
    child, parent = (_whole(file, splits, f"{name}_track_id") for name in ("child", "parent"))
    parents = dict(zip(child.tolist(), parent.tolist(), strict=True))
    track = _whole(path, table, "track_id")
    return table.assign(parent_track_id=[str(parents.get(int(name), -1)) for name in track])


def _separator(path: Path) -> str:
    """What separates the columns: commas, or blanks as in the tables that btrack itself exports."""
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline().strip()
    return r"\s+" if "," not in header and len(header.split()) > 3 else ","


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=_separator(path), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a table of points as CSV.") from None
    except (UnicodeDecodeError, OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        text = " ".join(str(error).split())[:80]
        raise InputError(f"{path} is not a table ({text}): save it as CSV with commas, in UTF-8.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(f"{path} has lines with more values than columns: save it as CSV with a name for each column.")
    return table


def _numbers(path: Path, table: pd.DataFrame, column: str, *, whole: bool = False) -> FloatArray:
    """A column as numbers; `InputError` names the first line that holds something else."""
    import pandas as pd

    values = np.asarray(pd.to_numeric(table[column], errors="coerce"), dtype=np.float64)
    bad = ~np.isfinite(values) | (whole & (np.abs(values) > 2**53)) | (whole & (values != np.floor(values)))
    if bad.any():
        line = int(np.flatnonzero(bad)[0])
        kind = "a whole number" if whole else "a number"
        raise InputError(
            f"{path}, line {int(table.index[line]) + 2}: {column} is '{table[column].iloc[line]}', "
            f"expected {kind}: correct it ({int(bad.sum())} such lines)."
        )
    return values


def _whole(path: Path, table: pd.DataFrame, column: str) -> IntArray:
    return _numbers(path, table, column, whole=True).astype(np.int64)


def _read_points(
    path: Path,
    table: pd.DataFrame,
    names: Dialect,
    voxel: tuple[float, float, float] | None,
    interval: float | None,
) -> Points:
    track, frame = _whole(path, table, names.track), _whole(path, table, names.frame)
    z = _numbers(path, table, "z") if "z" in table.columns else np.zeros(len(table))
    position = np.stack([z, _numbers(path, table, "y"), _numbers(path, table, "x")], axis=1)
    rows = np.lexsort((frame, track))
    twice = np.flatnonzero((np.diff(track[rows]) == 0) & (np.diff(frame[rows]) == 0))
    if len(twice):
        row = rows[twice[0]]
        raise InputError(
            f"{path} has two points of track {track[row]} in frame {frame[row]} "
            f"({len(twice)} such pairs): give each cell its own track."
        )
    same = np.diff(track[rows]) == 0
    links = [np.stack([rows[:-1][same], rows[1:][same]], axis=1)]
    if names.parent in table.columns:
        links.append(_parent_links(path, track, rows, _whole(path, table, names.parent)))
    area = None
    if "area" in table.columns:
        filled = table.assign(area=table["area"].where(table["area"] != "", "-1"))
        area = _numbers(path, filled, "area")
        area = np.where(area < 0, np.nan, area)
    label = _whole(path, table, "label") if "label" in table.columns else np.maximum(track, 0)
    ndim = 3 if (z != 0).any() else 2
    return points_from_links(
        frame,
        position,
        np.concatenate(links),
        area=area,
        label=label,
        ndim=ndim,
        voxel=voxel,
        interval=interval,
        source=str(path),
    )


def _parent_links(path: Path, track: IntArray, rows: IntArray, parent: IntArray) -> IntArray:
    """Links from the last point of each parent to the first point of its child."""
    ordered = track[rows]
    first = {int(t): int(r) for t, r in zip(ordered[::-1], rows[::-1], strict=True)}
    last = {int(t): int(r) for t, r in zip(ordered, rows, strict=True)}
    links, problems = [], []
    for label, row in first.items():
        mother = int(parent[row])
        if mother in (-1, label) or (mother == 0 and 0 not in first):
            continue
        if mother not in last:
            problems.append(
                f"{path}: track {label} names the parent {mother}, which has no points: add it, or write -1."
            )
        else:
            links.append((last[mother], row))
    if problems:
        raise InputError(*problems[:20])
    return np.array(links, dtype=np.int64).reshape(-1, 2)


def _without_heads(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """A TrackMate table without the up to three further rows of names and units below its header."""
    import pandas as pd

    text = pd.to_numeric(table[column].iloc[:3], errors="coerce").isna()
    return table.drop(index=table.index[:3][text.to_numpy()])


def _read_trackmate(
    path: Path, table: pd.DataFrame, voxel: tuple[float, float, float] | None, interval: float | None
) -> Points:
    wanted = [
        head[0] for head in SPOT_HEADS if head[0] not in ("LABEL", "QUALITY", "POSITION_T", "VISIBILITY", "RADIUS")
    ]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)} of TrackMate's spots: export them all.")
    spots = _without_heads(table, "FRAME")
    units = {str(unit).strip("() ").lower() for unit in table["POSITION_X"].iloc[: len(table) - len(spots)]}
    calibrated = len(spots) < len(table) and not units & {"pixel", "pixels", "px"}
    if calibrated and voxel is None:
        raise InputError(
            f"{path} gives positions in {sorted(units)[0] or 'a unit of length'}, not in pixels: "
            "say how large a pixel is with --voxel."
        )
    spots = spots[spots["TRACK_ID"].str.strip().ne("") & spots["TRACK_ID"].ne("None")]
    scale = np.array(voxel) if calibrated and voxel is not None else np.ones(3)
    position = np.stack([_numbers(path, spots, f"POSITION_{axis}") for axis in "ZYX"], axis=1) / scale
    ids, frame, track = (_whole(path, spots, name) for name in ("ID", "FRAME", "TRACK_ID"))
    ndim = 3 if (position[:, 0] != 0).any() else 2
    area = None
    if "RADIUS" in spots.columns:
        ball = np.pi if ndim == 2 else 4 / 3 * np.pi
        area = np.round(ball * (_numbers(path, spots, "RADIUS") / scale[2]) ** ndim, 6)
    file = edges_file(path)
    links = _trackmate_edges(file, ids) if file.exists() else _consecutive(path, file, frame, track)
    return points_from_links(
        frame, position, links, area=area, ndim=ndim, voxel=voxel, interval=interval, source=str(path)
    )


def _trackmate_edges(file: Path, ids: IntArray) -> IntArray:
    edges = _read_csv(file)
    if not {"SPOT_SOURCE_ID", "SPOT_TARGET_ID"} <= set(edges.columns):
        raise InputError(f"{file} lacks the columns SPOT_SOURCE_ID and SPOT_TARGET_ID: export TrackMate's edges again.")
    edges = _without_heads(edges, "SPOT_SOURCE_ID")
    pairs = np.stack([_whole(file, edges, name) for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")], axis=1)
    return rows_of_ids(pairs, ids, str(file))


def rows_of_ids(pairs: IntArray, ids: IntArray, source: str) -> IntArray:
    """Pairs of ids → pairs of rows; `InputError` where an id is not there or is there twice."""
    order = np.argsort(ids, kind="stable")
    if len(ids) and (np.diff(ids[order]) == 0).any():
        raise InputError(f"{source}: two cells have the same id: give each its own.")
    place = np.searchsorted(ids, pairs, sorter=order).clip(0, max(len(ids) - 1, 0))
    rows = order[place] if len(ids) else np.zeros_like(pairs)
    lost = pairs[ids[rows] != pairs] if len(ids) else pairs.ravel()
    if len(lost):
        raise InputError(f"{source} links the cell {lost[0]}, which is not listed: export both together.")
    result: IntArray = rows.astype(np.int64)
    return result


def _consecutive(path: Path, file: Path, frame: IntArray, track: IntArray) -> IntArray:
    """Links within tracks that never divide, where there is no table of links."""
    rows = np.lexsort((frame, track))
    same = np.diff(track[rows]) == 0
    twice = same & (np.diff(frame[rows]) == 0)
    if twice.any():
        row = rows[np.flatnonzero(twice)[0]]
        raise InputError(
            f"{path}: track {track[row]} has two spots in frame {frame[row]}, so it divides: "
            f"put TrackMate's table of edges beside it as {file.name}."
        )
    pairs: Sequence[NDArray[np.int64]] = (rows[:-1][same], rows[1:][same])
    return np.stack(pairs, axis=1)
