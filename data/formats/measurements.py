"""Numbers of every cell in every frame, and of every track: where, how large, how bright, how fast, how it ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.certainty import Certainty, track_probabilities
from celltrail.data.formats.points import Points, joined_tracks
from celltrail.data.graph.candidates import load_graph
from celltrail.data.progress import Progress, silent
from celltrail.data.regular import read_json
from celltrail.data.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

GREY = ("mean", "sd", "integrated", "background", "corrected_mean", "corrected_integrated")
NEAR_RADII = 3.0  # centres closer than this many median radii are neighbours


def measure_cells(
    points: Points,
    masks: Mapping[int, NDArray[Any]],
    images: Mapping[str, Mapping[int, NDArray[Any]]] | None = None,
    *,
    margins: Mapping[tuple[int, int], float] | None = None,
    certainty: Certainty | None = None,
    filled: Collection[tuple[int, int]] | None = None,
    repaired: Mapping[tuple[int, int], str] | None = None,
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
    certainty : Certainty | None
        See `celltrail.data.formats.certainty.read_certainty`.
    filled : Collection[tuple[int, int]] | None
        (frame, label) of the masks that were painted where one was missing, see `read_filled`.
    repaired : Mapping[tuple[int, int], str] | None
        (frame, label) of the masks that were split or joined → "merged" or "split", see `read_repaired`.

    Returns
    -------
    DataFrame
        ``frame``, ``label`` (in the masks), ``track`` (continuations joined), ``mother`` (its track, 0: none),
        ``lineage`` (the first track of the family), ``generation``, ``minutes``; centre
        ``x_px``, ``y_px``, ``z_px`` and ``…_um``; ``area_px``, ``area_um2`` (3D: ``volume_…``); 2D only:
        ``major_px``, ``minor_px`` (axes of the ellipse with the same second moments), ``eccentricity``,
        ``solidity``; ``at_border``; ``neighbours`` (cells whose centres lie within three median radii);
        ``mean``, ``sd``, ``integrated`` (the sum) of the grey values (with the channel's name), ``background`` (the
        median of the pixels of the frame that belong to no cell), ``corrected_mean`` and ``corrected_integrated``
        (without the background); ``speed_px`` per frame since the previous point of the track, and ``speed_um_per_min``; ``margin``;
        ``probability`` that its link to the past (or its beginning) is right; ``filled``, whether
        the mask was painted where one was missing; ``repaired``, "merged" where it is a part of a mask that was split,
        "split" where it was joined of several, else empty.
    """
    import pandas as pd

    joined = joined_tracks(points.tracks)
    columns: dict[str, Any] = {
        "frame": points.frame,
        "label": points.label,
        "track": np.array([joined[label] for label in points.label.tolist()], dtype=np.int64),
    }
    family = _families(points, joined)
    columns |= {
        name: np.array([row[name] for row in map(family.__getitem__, columns["track"].tolist())], dtype=np.int64)
        for name in ("mother", "lineage", "generation")
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
    if certainty is not None:
        known = {**certainty.begin, **certainty.past}
        keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
        columns["probability"] = np.array([known.get(key, np.nan) for key in keys])
    if filled is not None:
        keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
        columns["filled"] = np.array([key in filled for key in keys], dtype=bool)
    if repaired is not None:
        keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
        columns["repaired"] = np.array([repaired.get(key, "") for key in keys], dtype=object)
    return pd.DataFrame(columns)


def _families(points: Points, joined: Mapping[int, int]) -> dict[int, dict[str, int]]:
    """Of every track its mother (0: none), the first track of its family, and how many divisions lie between them."""
    found: dict[int, dict[str, int]] = {}
    rows: list[list[int]] = points.tracks.rows()[np.argsort(points.tracks.begin, kind="stable")].tolist()
    for label, _, _, parent in rows:
        if joined[label] != label:
            continue
        above = found.get(joined[parent]) if parent else None
        found[label] = {
            "mother": joined[parent] if parent else 0,
            "lineage": above["lineage"] if above else label,
            "generation": above["generation"] + 1 if above else 0,
        }
    return found


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
    names += [f"{what}_{channel}" if channel else what for channel in images for what in GREY]
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
        empty = mask == 0
        behind = {name: float(np.median(image[empty])) if empty.any() else np.nan for name, image in grey.items()}
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
                mean, total = float(values.mean()), float(values.sum(dtype=np.float64))
                corrected = mean - behind[channel], total - behind[channel] * values.size
                for name, value in zip(GREY, (mean, values.std(), total, behind[channel], *corrected), strict=True):
                    found[name + suffix][row] = value
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
        listed = read_json(run)["filled_masks"]
        return {(int(row["frame"]), int(row["track"])) for row in listed}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_repaired(run: Path) -> dict[tuple[int, int], str] | None:
    """(frame, label in the result) of the masks that ``run.json`` says were split or joined → what was wrong with them:
    "merged" or "split"; ``None`` if it does not say."""
    try:
        listed = read_json(run)["repairs"]["list"]
        return {(int(row["frame"]), int(track)): str(row["kind"]) for row in listed for track in row["tracks"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_tracks(points: Points, cells: pd.DataFrame, certainty: Certainty | None = None) -> pd.DataFrame:
    """One row per track; continuations are joined to one track.

    Parameters
    ----------
    cells : pd.DataFrame
        From `measure_cells`.
    certainty : Certainty | None
        See `celltrail.data.formats.certainty.read_certainty`.

    Returns
    -------
    DataFrame
        ``track``, ``lineage`` (the first track of the family), ``begin``, ``end``, ``frames`` with a mask; ``mother``
        (0: none), ``daughters``;
        ``birth``: division, border, start of the movie, or appears; ``fate``: division, border, end of
        the movie, or disappears; ``generation``; ``cycle_frames`` and ``cycle_minutes`` from birth by
        division to division; ``path_px``, ``net_px`` (start to end), ``mean_speed_px``, mean area; ``begin_minutes``,
        ``end_minutes``, and lengths, speeds and areas in µm and minutes where the scale is known; ``probability`` that the
        whole track is right, ``cycle_probability`` that its whole cell cycle is; ``filled`` and
        ``repaired``, how many of its masks were painted where one was missing, and were split or joined, if the cells
        say so.
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
    in_um = "area_um2" if points.ndim == 2 else "volume_um3"
    where = [f"{axis}_px" for axis in "zyx"[3 - points.ndim :]]
    generation: dict[int, int] = {}
    rows = []
    groups = {int(str(track)): group for track, group in cells.groupby("track")}
    for track in sorted(groups, key=lambda track: (int(groups[track]["frame"].min()), track)):
        group = groups[track].sort_values("frame")
        begin, end = int(group["frame"].iloc[0]), int(group["frame"].iloc[-1])
        divides = len(daughters.get(track, ())) > 1
        generation[track] = generation[mother[track]] + 1 if track in mother else 0
        full = track in mother and divides
        path = group[where].to_numpy(dtype=np.float64)
        row = {
            "track": track,
            "lineage": int(group["lineage"].iloc[0]),
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
        if "repaired" in cells:
            row["repaired"] = int((group["repaired"] != "").sum())
        if points.interval:
            minutes = points.interval / 60
            row |= {"begin_minutes": begin * minutes, "end_minutes": end * minutes}
            row["cycle_minutes"] = (end - begin + 1) * minutes if full else None
        if points.voxel:
            path = path * np.array(points.voxel)[3 - points.ndim :]
            row["path_um"] = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
            row["net_um"] = float(np.linalg.norm(path[-1] - path[0]))
            row[f"mean_{in_um}"] = float(group[in_um].mean())
            if points.interval:
                row["mean_speed_um_per_min"] = float(group["speed_um_per_min"].mean()) if len(group) > 1 else None
        rows.append(row)
    table = pd.DataFrame(rows)
    if rows and certainty is not None:
        whole, cycle = track_probabilities(points, joined, certainty)
        table["probability"] = [whole[track] for track in table["track"]]
        cycles = table["cycle_frames"].notna()
        table["cycle_probability"] = [
            cycle.get(track, np.nan) if there else np.nan
            for track, there in zip(table["track"].tolist(), cycles.tolist(), strict=True)
        ]
    if rows:
        table["cycle_frames"] = table["cycle_frames"].astype("Int64")
    return table
