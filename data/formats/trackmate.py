"""Reading TrackMate's XML files: spots, links and scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.files.tiff import LENGTH_IN_UM, TIME_IN_S
from celltrail.data.formats.points import FloatArray, Points, points_from_links
from celltrail.data.formats.tables import rows_of_ids


def read_trackmate(
    path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None
) -> Points:
    """Read the tracks of a TrackMate XML file; positions are brought to pixels by its pixel size.

    Tracks that TrackMate's filters hide are left out, and so are spots that belong to no track.

    Parameters
    ----------
    voxel, interval
        Taken instead of what the file says; size (z, y, x) in µm, seconds.

    Raises
    ------
    InputError
        If the file is not TrackMate's, is damaged, or lets cells merge.
    """
    root = _parse(path)
    model = root.find("Model")
    spots_of = None if model is None else model.find("AllSpots")
    tracks_of = None if model is None else model.find("AllTracks")
    if root.tag != "TrackMate" or model is None or spots_of is None or tracks_of is None:
        raise InputError(f"{path} is not a TrackMate file with spots and tracks: save it in TrackMate after tracking.")
    shown = {item.get("TRACK_ID") for item in model.iterfind("FilteredTracks/TrackID")}
    edges = [
        edge
        for track in tracks_of.iterfind("Track")
        if not shown or track.get("TRACK_ID") in shown
        for edge in track.iterfind("Edge")
    ]
    pairs = np.array([[_number(path, edge, "SPOT_SOURCE_ID"), _number(path, edge, "SPOT_TARGET_ID")] for edge in edges])
    pairs = pairs.reshape(-1, 2).astype(np.int64)
    linked = set(pairs.ravel().tolist())
    rows = []
    for spot in spots_of.iterfind("SpotsInFrame/Spot"):
        number = int(_number(path, spot, "ID"))
        if number in linked:
            place = [_number(path, spot, f"POSITION_{axis}") for axis in "ZYX"]
            rows.append([number, _number(path, spot, "FRAME"), *place, _number(path, spot, "RADIUS", 0.0)])
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    spacing, size, seconds = _scale(root, model)
    position = table[:, 2:5] / spacing
    ndim = 3 if (position[:, 0] != 0).any() else 2
    area = (np.pi if ndim == 2 else 4 / 3 * np.pi) * (table[:, 5] / spacing[2]) ** ndim
    links = rows_of_ids(pairs, table[:, 0].astype(np.int64), str(path))
    return points_from_links(
        table[:, 1].astype(np.int64),
        position,
        links,
        area=np.where(area > 0, area, np.nan),
        ndim=ndim,
        voxel=voxel or size,
        interval=interval or seconds,
        source=str(path),
    )


def _parse(path: Path) -> Any:
    try:
        content = path.read_bytes()
        if b"<!ENTITY" in content or b"<!DOCTYPE" in content:  # TrackMate writes none; XML bombs need them
            raise InputError(f"{path} declares entities, which TrackMate never does: save it in TrackMate again.")
        return ElementTree.fromstring(content)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a TrackMate XML file.") from None
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not readable XML ({error}): save it in TrackMate again.") from None


def _number(path: Path, element: Any, name: str, default: float | None = None) -> float:
    text = element.get(name)
    try:
        value = float(text) if text is not None else default
    except ValueError:
        value = None
    if value is None or not np.isfinite(value) or abs(value) > 2**53:
        raise InputError(
            f"{path}: a {element.tag} has the {name} '{text}', expected a number: save it in TrackMate again."
        )
    return value


def _scale(root: Any, model: Any) -> tuple[FloatArray, tuple[float, float, float] | None, float | None]:
    """Size (z, y, x) of a voxel in the file's own unit (1 where it is silent) and in µm, seconds between frames."""
    image = root.find("Settings/ImageData")
    spacing = np.array([_positive(image, name) or 1.0 for name in ("voxeldepth", "pixelheight", "pixelwidth")])
    unit = LENGTH_IN_UM.get(model.get("spatialunits", ""))
    size = None if unit is None or _positive(image, "pixelwidth") is None else spacing * unit
    step, second = _positive(image, "timeinterval"), TIME_IN_S.get(model.get("timeunits", ""))
    return (
        spacing,
        None if size is None else (float(size[0]), float(size[1]), float(size[2])),
        None if step is None or second is None else step * second,
    )


def _positive(element: Any, name: str) -> float | None:
    try:
        value = float(element.get(name)) if element is not None else 0.0
    except (TypeError, ValueError):
        return None
    return value if 0 < value < float("inf") else None
