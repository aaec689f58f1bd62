"""Numbers of every cell in every frame, and of every track: where, how large, how bright, how fast, how it ends."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.points import FloatArray, IntArray, Points, joined_tracks
from celltrail.data.graph.candidates import load_graph
from celltrail.data.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

NEAR_RADII = 3.0  # centres closer than this many median radii are neighbours


def measure_cells(
    points: Points,
    masks: Mapping[int, NDArray[Any]],
    images: Mapping[str, Mapping[int, NDArray[Any]]] | None = None,
    *,
    margins: Mapping[tuple[int, int], float] | None = None,
    filled: Collection[tuple[int, int]] | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """One row per cell and frame.

    Parameters
    ----------
    points : Points
        The result, see `celltrail.data.formats.points.read_result`; with its voxel size and interval there are
        columns in µm and minutes as well.
    masks : Mapping[int, NDArray[Any]]
        The label images of the result.
    images : Mapping[str, Mapping[int, NDArray[Any]]] | None
        Name of a channel → images; "" for the only one.
    margins : Mapping[tuple[int, int], float] | None
        (frame, label) → nats, see `read_margins`.
    filled : Collection[tuple[int, int]] | None
        (frame, label) of the masks that were painted where one was missing, see `read_filled`.

    Returns
    -------
    DataFrame
        ``frame``, ``label`` (in the masks), ``track`` (continuations joined), ``minutes``; centre
        ``x_px``, ``y_px``, ``z_px`` and ``…_um``; ``area_px``, ``area_um2`` (3D: ``volume_…``); 2D only:
        ``major_px``, ``minor_px`` (axes of the ellipse with the same second moments), ``eccentricity``,
        ``solidity``; ``at_border``; ``neighbours`` (cells whose centres lie within three median radii);
        ``mean``, ``sd`` of the grey values (with the channel's name); ``speed_px`` per frame since the
        previous point of the track, and ``speed_um_per_min``; ``margin``; ``filled``, whether the mask was painted
        where one was missing.
    """
    import pandas as pd

    joined = joined_tracks(points.tracks)
    columns: dict[str, Any] = {
        "frame": points.frame,
        "label": points.label,
        "track": np.array([joined[label] for label in points.label.tolist()], dtype=np.int64),
    }
    if points.interval:
        columns["minutes"] = points.frame * points.interval / 60
    axes = "zyx"[3 - points.ndim :][::-1]
    for axis in axes:
        columns[f"{axis}_px"] = points.position[:, "zyx".index(axis)]
        if points.voxel:
            columns[f"{axis}_um"] = points.position[:, "zyx".index(axis)] * points.voxel["zyx".index(axis)]
    size, power = ("area", 2) if points.ndim == 2 else ("volume", 3)
    columns[f"{size}_px"] = points.area.astype(np.int64)
    if points.voxel:
        columns[f"{size}_um{power}"] = points.area * float(np.prod(points.voxel[3 - points.ndim :]))
    columns |= _per_frame(points, masks, images or {}, progress)
    speed, fast = _speeds(points, columns["track"])
    columns["speed_px"] = speed
    if points.voxel and points.interval:
        columns["speed_um_per_min"] = fast / (points.interval / 60)
    if margins is not None:
        keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
        columns["margin"] = np.array([margins.get(key, np.nan) for key in keys])
    if filled is not None:
        keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
        columns["filled"] = np.array([key in filled for key in keys], dtype=bool)
    return pd.DataFrame(columns)


def _per_frame(
    points: Points,
    masks: Mapping[int, NDArray[Any]],
    images: Mapping[str, Mapping[int, NDArray[Any]]],
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """What is measured in the pixels: shape, border, neighbours, grey values."""
    from scipy.spatial import cKDTree
    from skimage.measure import regionprops

    n, flat = len(points), points.ndim == 2
    names = ["major_px", "minor_px", "eccentricity", "solidity"] if flat else []
    names += [f"{what}_{channel}" if channel else what for channel in images for what in ("mean", "sd")]
    found: dict[str, NDArray[Any]] = {name: np.full(n, np.nan) for name in names}
    found |= {"at_border": np.zeros(n, dtype=bool), "neighbours": np.zeros(n, dtype=np.int64)}
    ball = np.pi if flat else 4 / 3 * np.pi
    near = NEAR_RADII * (float(np.median(points.area)) / ball) ** (1 / points.ndim) if n else 0.0
    starts = np.searchsorted(points.frame, np.arange(points.frame.max(initial=-1) + 2))
    for done, frame in enumerate(masks, start=1):
        mask = masks[frame]
        grey = {channel: movie[frame] for channel, movie in images.items() if frame in movie}
        for channel, image in grey.items():
            if image.shape != mask.shape:
                raise InputError(
                    f"Frame {frame} has an image of shape {image.shape} and masks of shape {mask.shape}: "
                    f"use the images that the masks were made from{f' ({channel})' if channel else ''}."
                )
        rows = range(starts[frame], starts[frame + 1]) if frame + 1 < len(starts) else range(0)
        # Labels become 1 … n in their order: that of the rows, and small whatever they were.
        dense = np.where(mask > 0, np.searchsorted(points.label[rows.start : rows.stop], mask) + 1, 0)
        for region in regionprops(dense):
            row = rows.start + region.label - 1
            if flat:
                found["major_px"][row], found["minor_px"][row] = region.axis_major_length, region.axis_minor_length
                found["eccentricity"][row] = region.eccentricity
                # A hull needs three pixels that are not on one line.
                found["solidity"][row] = region.solidity if min(region.image.shape) > 1 else 1.0
            low, high = region.bbox[: mask.ndim], region.bbox[mask.ndim :]
            found["at_border"][row] = 0 in low or any(h == s for h, s in zip(high, mask.shape, strict=True))
            for channel, image in grey.items():
                values = image[region.slice][region.image]
                suffix = f"_{channel}" if channel else ""
                found[f"mean{suffix}"][row], found[f"sd{suffix}"][row] = values.mean(), values.std()
        if len(rows) > 1:
            tree = cKDTree(points.position[rows.start : rows.stop])
            found["neighbours"][rows.start : rows.stop] = tree.query_ball_point(tree.data, near, return_length=True) - 1
        progress("measure", done, len(masks))
    return found


def _speeds(points: Points, track: IntArray) -> tuple[FloatArray, FloatArray]:
    """Distance to the previous point of the track, per frame, in pixels of the plane and in µm; NaN for the first."""
    order = np.lexsort((points.frame, track))
    same = np.flatnonzero(np.diff(track[order]) == 0)
    before, after = order[same], order[same + 1]
    steps = (points.position[after] - points.position[before]) / (points.frame[after] - points.frame[before])[:, None]
    pixels, microns = np.full(len(points), np.nan), np.full(len(points), np.nan)
    pixels[after] = np.linalg.norm(steps, axis=1)
    microns[after] = np.linalg.norm(steps * np.array(points.voxel or (1.0, 1.0, 1.0)), axis=1)
    return pixels, microns


def read_margins(graph: Path) -> dict[tuple[int, int], float]:
    """(frame, label in the result) → margin in nats of the link or division that leads to the cell.

    Read from ``graph.npz`` of a result; cells that appear have none.
    """
    candidates, solution, track = load_graph(graph)
    if solution is None or track is None:
        return {}
    frame = candidates.detections.frame
    margins: dict[tuple[int, int], float] = {}
    pairs = [(candidates.links.target, solution.link_chosen, solution.link_margin)]
    pairs += [
        (rows, solution.division_chosen, solution.division_margin)
        for rows in (candidates.divisions.first, candidates.divisions.second)
    ]
    for rows, chosen, margin in pairs:
        for row, value in zip(rows[chosen].tolist(), margin[chosen].tolist(), strict=True):
            margins[int(frame[row]), int(track[row])] = value
    return margins


def read_filled(run: Path) -> set[tuple[int, int]] | None:
    """(frame, label in the result) of the masks that ``run.json`` says were painted; ``None`` if it does not say."""
    try:
        listed = json.loads(run.read_text(encoding="utf-8"))["filled_masks"]
        return {(int(row["frame"]), int(row["track"])) for row in listed}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_tracks(points: Points, cells: pd.DataFrame) -> pd.DataFrame:
    """One row per track; continuations are joined to one track.

    Parameters
    ----------
    cells : pd.DataFrame
        From `measure_cells`.

    Returns
    -------
    DataFrame
        ``track``, ``begin``, ``end``, ``frames`` with a mask; ``mother`` (0: none), ``daughters``;
        ``birth``: division, border, start of the movie, or appears; ``fate``: division, border, end of
        the movie, or disappears; ``generation``; ``cycle_frames`` and ``cycle_minutes`` from birth by
        division to division; ``path_px``, ``net_px`` (start to end), ``mean_speed_px``, mean area; ``filled``, how many
        of its masks were painted where one was missing, if the cells say so.
    """
    import pandas as pd

    joined = joined_tracks(points.tracks)
    first, last = int(points.frame.min(initial=0)), int(points.frame.max(initial=0))
    mother = {
        joined[label]: joined[parent]
        for label, _, _, parent in points.tracks.rows().tolist()
        if parent and joined[label] == label
    }
    daughters: dict[int, list[int]] = {}
    for child, parent in mother.items():
        daughters.setdefault(parent, []).append(child)
    size = "area_px" if points.ndim == 2 else "volume_px"
    where = [f"{axis}_px" for axis in "zyx"[3 - points.ndim :]]
    generation: dict[int, int] = {}
    rows = []
    groups = {track: cells[cells["track"] == track] for track in cells["track"].unique().tolist()}
    for track in sorted(groups, key=lambda track: (int(groups[track]["frame"].min()), track)):
        group = groups[track].sort_values("frame")
        begin, end = int(group["frame"].iloc[0]), int(group["frame"].iloc[-1])
        divides = len(daughters.get(track, ())) > 1
        generation[track] = generation[mother[track]] + 1 if track in mother else 0
        full = track in mother and divides
        path = group[where].to_numpy(dtype=np.float64)
        row = {
            "track": track,
            "begin": begin,
            "end": end,
            "frames": len(group),
            "mother": mother.get(track, 0),
            "daughters": " ".join(map(str, sorted(daughters.get(track, ())))),
            "birth": "division"
            if track in mother
            else "start of the movie"
            if begin == first
            else "border"
            if group["at_border"].iloc[0]
            else "appears",
            "fate": "division"
            if divides
            else "end of the movie"
            if end == last
            else "border"
            if group["at_border"].iloc[-1]
            else "disappears",
            "generation": generation[track],
            "cycle_frames": end - begin + 1 if full else None,
            "path_px": float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()),
            "net_px": float(np.linalg.norm(path[-1] - path[0])),
            "mean_speed_px": float(group["speed_px"].mean()) if len(group) > 1 else None,
            f"mean_{size}": float(group[size].mean()),
        }
        if "filled" in cells:
            row["filled"] = int(group["filled"].sum())
        if points.interval:
            row["cycle_minutes"] = (end - begin + 1) * points.interval / 60 if full else None
        rows.append(row)
    table = pd.DataFrame(rows)
    if rows:
        table["cycle_frames"] = table["cycle_frames"].astype("Int64")
    return table
