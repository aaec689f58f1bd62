"""TrackMate's tables as CSV: spots, and links in a table of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.formats.csv_file import as_numbers, as_whole, filled, is_empty, read_csv
from celltrail.data.formats.points import LONE_SPOT, Points, links_of, points_from_links, radii_of, rows_of_ids
from celltrail.data.formats.units import is_pixel, micrometres
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd

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


def write_trackmate_tables(points: Points, path: Path, edges_path: Path) -> None:
    """Write the spots to ``path`` and the links to ``edges_path``; in µm and seconds where the scale is known."""
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
        with file.open("w", encoding="utf-8", newline="") as stream:
            pd.DataFrame(rows, columns=list(table.columns)).to_csv(stream, index=False, lineterminator="\n")
            table.to_csv(stream, index=False, header=False, lineterminator="\n")


def edges_file(spots: Path) -> Path:
    """The table of links beside a TrackMate table of spots: ``spots.csv`` → ``edges.csv``, else ``NAME-edges.csv``."""
    if "spots" in spots.stem and (beside := spots.with_name(spots.name.replace("spots", "edges"))).exists():
        return beside
    return spots.with_name(f"{spots.stem}-edges.csv")


def read_trackmate_tables(
    path: Path, table: pd.DataFrame, *, voxel: tuple[float, float, float] | None, interval: float | None
) -> Points:
    """Points from TrackMate's table of spots, as `celltrail.data.formats.csv_file.read_csv` gives it.

    Links are read from the table of edges beside it, else from the tracks of the spots where none divides. Spots
    without a link are tracks of one frame; spots that TrackMate hides are left out.
    """
    wanted = [
        head[0] for head in SPOT_HEADS if head[0] not in ("LABEL", "QUALITY", "POSITION_T", "VISIBILITY", "RADIUS")
    ]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)} of TrackMate's spots: export them all.")
    scale = _pixel_in_unit(path, table, voxel)
    notes = []
    spots = table
    if "VISIBILITY" in spots.columns:
        shown = as_whole(path, filled(spots, "VISIBILITY", "1"), "VISIBILITY") != 0
        spots = spots[shown]
        if not shown.all():
            notes.append(
                f"{path}: {counted(int((~shown).sum()), 'spot that TrackMate hides is', 'spots that TrackMate hides are')} left out."
            )
    position = np.stack([as_numbers(path, spots, f"POSITION_{axis}") for axis in "ZYX"], axis=1) / scale
    ids, frame = (as_whole(path, spots, name) for name in ("ID", "FRAME"))
    ndim = 3 if (position[:, 0] != 0).any() else 2
    area = None
    if "RADIUS" in spots.columns:
        ball = np.pi if ndim == 2 else 4 / 3 * np.pi
        area = np.round(ball * (as_numbers(path, spots, "RADIUS") / scale[2]) ** ndim, 6)
    file = edges_file(path)
    links = _edges(file, ids) if file.exists() else _consecutive(path, file, frame, spots)
    alone = len(spots) - len(np.unique(links))
    if alone:
        notes.append(f"{path}: {counted(alone, *LONE_SPOT)}.")
    return points_from_links(
        frame, position, links, area=area, ndim=ndim, voxel=voxel, interval=interval, notes=notes, source=str(path)
    )


def _pixel_in_unit(path: Path, table: pd.DataFrame, voxel: tuple[float, float, float] | None) -> FloatArray:
    """Size (z, y, x) of a pixel in the table's own unit of length; 1 where it is the pixel."""
    unit = str(table.attrs["units"].get("POSITION_X", "pixel")).strip("() ")
    if is_pixel(unit):
        return np.ones(3)
    if voxel is None:
        raise InputError(
            f"{path} gives positions in {unit or 'a unit of length'}, not in pixels: "
            "say how large a pixel is with --voxel."
        )
    length = micrometres(unit)
    if length is None:
        raise InputError(
            f"{path} gives positions in '{unit}', which is not known: export them in pixels or micrometres."
        )
    return np.array(voxel) / length


def _edges(file: Path, ids: IntArray) -> IntArray:
    edges = read_csv(file)
    if not {"SPOT_SOURCE_ID", "SPOT_TARGET_ID"} <= set(edges.columns):
        raise InputError(f"{file} lacks the columns SPOT_SOURCE_ID and SPOT_TARGET_ID: export TrackMate's edges again.")
    pairs = np.stack([as_whole(file, edges, name) for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")], axis=1)
    return rows_of_ids(pairs, ids, str(file))


def _consecutive(path: Path, file: Path, frame: IntArray, spots: pd.DataFrame) -> IntArray:
    """Links within tracks that never divide, where there is no table of links."""
    linked = np.flatnonzero(~is_empty(spots, "TRACK_ID"))
    track = as_whole(path, spots.iloc[linked], "TRACK_ID")
    rows = np.lexsort((frame[linked], track))
    same = np.diff(track[rows]) == 0
    twice = same & (np.diff(frame[linked][rows]) == 0)
    if twice.any():
        row = rows[np.flatnonzero(twice)[0]]
        raise InputError(
            f"{path}: track {track[row]} has two spots in frame {frame[linked][row]}, so it divides: "
            f"put TrackMate's table of edges beside it as {file.name}."
        )
    return np.stack([linked[rows[:-1][same]], linked[rows[1:][same]]], axis=1)
