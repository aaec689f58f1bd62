"""Reading TrackMate's XML files: spots, links and scale, in memory that grows with the table and not with the file."""

from __future__ import annotations

from array import array
from pathlib import Path
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.points import LONE_SPOT, Points, points_from_links, rows_of_ids
from celltrail.data.formats.units import micrometres, seconds
from celltrail.data.regular import open_regular
from celltrail.data.types import FloatArray
from celltrail.data.words import counted

SPOT = ("ID", "FRAME", "POSITION_Z", "POSITION_Y", "POSITION_X")
NOT_TRACKMATE = "{} is not a TrackMate file with spots and tracks: save it in TrackMate after tracking."
EDGE = ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")
PART = 4 << 20  # bytes


def read_trackmate(
    path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None
) -> Points:
    """Read the tracks of a TrackMate XML file; positions are brought to pixels by its pixel size.

    Spots without a link are tracks of one frame. Tracks and spots that TrackMate's filters hide are left out; a note
    counts both.

    Parameters
    ----------
    voxel, interval
        Taken instead of what the file says; size (z, y, x) in µm, seconds.

    Raises
    ------
    InputError
        If the file is not TrackMate's, is damaged, hides all of its cells, or lets cells merge.
    """
    file = _File(path)
    file.read()
    spots = np.frombuffer(file.spots, dtype=np.float64).reshape(-1, 7)
    edges = np.frombuffer(file.edges, dtype=np.float64).reshape(-1, 3)
    shown = np.isin(edges[:, 2], file.shown) if file.filtered else np.ones(len(edges), dtype=bool)
    hidden = np.setdiff1d(edges[~shown, :2], edges[shown, :2])
    ids = spots[:, 0].astype(np.int64)
    rows_of_ids(edges[:, :2].astype(np.int64), ids, str(path))  # a spot that is not listed, hidden or not
    kept = np.flatnonzero(~np.isin(spots[:, 0], hidden) & ((spots[:, 6] != 0) | np.isin(spots[:, 0], edges[shown, :2])))
    if len(kept) == 0:
        raise InputError(
            f"{path}: TrackMate's filters hide all of its {counted(len(spots), 'spot')}: show some in TrackMate and save it again."
        )
    links = rows_of_ids(edges[shown, :2].astype(np.int64), ids[kept], str(path))
    spacing, size, step = file.scale()
    table = spots[kept]
    position = table[:, 2:5] / spacing
    ndim = 3 if (position[:, 0] != 0).any() else 2
    area = (np.pi if ndim == 2 else 4 / 3 * np.pi) * (table[:, 5] / spacing[2]) ** ndim
    return points_from_links(
        table[:, 1].astype(np.int64),
        position,
        links,
        area=np.where(area > 0, area, np.nan),
        ndim=ndim,
        voxel=voxel or size,
        interval=interval or step,
        notes=_notes(path, len(spots) - len(kept), np.unique(edges[~shown, 2]), len(kept) - len(np.unique(links))),
        source=str(path),
    )


def _notes(path: Path, left_out: int, hidden: NDArray[np.float64], alone: int) -> list[str]:
    notes = []
    if left_out:
        verb = "are" if left_out > 1 or len(hidden) else "is"
        tracks = f" and {counted(len(hidden), 'track')}" if len(hidden) else ""
        notes.append(
            f"{path}: {counted(left_out, 'spot')}{tracks} {verb} left out, because TrackMate's filters hide them."
        )
    if alone:
        notes.append(f"{path}: {counted(alone, *LONE_SPOT)}.")
    return notes


class _File:
    """What one pass over the file finds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spots = array("d")  # id, frame, z, y, x, radius, visible
        self.edges = array("d")  # source, target, track
        self.shown: list[float] = []
        self.filtered = False  # whether the file says which tracks are shown
        self.model: dict[str, str] = {}
        self.image: dict[str, str] = {}
        self.seen: set[str] = set()
        self.track = -1.0

    def read(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._refuse_entities
        try:
            with open_regular(self.path) as stream:
                while part := stream.read(PART):  # what a part leaves open is read again with the next
                    parser.Parse(part)
                parser.Parse(b"", True)
        except FileNotFoundError:
            raise InputError(f"{self.path} does not exist: give a TrackMate XML file.") from None
        except (OSError, expat.ExpatError, LookupError) as error:
            raise InputError(f"{self.path} is not readable XML ({error}): save it in TrackMate again.") from None
        if not {"AllSpots", "AllTracks"} <= self.seen:
            raise InputError(NOT_TRACKMATE.format(self.path))

    def _refuse_entities(self, *_: object) -> None:  # TrackMate writes none; XML bombs need them
        raise InputError(f"{self.path} declares entities, which TrackMate never does: save it in TrackMate again.")

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if not self.seen and tag != "TrackMate":
            raise InputError(NOT_TRACKMATE.format(self.path))
        if tag == "Spot":
            self.spots.extend([self._number(tag, given, name) for name in SPOT])
            self.spots.append(self._number(tag, given, "RADIUS", 0.0))
            self.spots.append(self._number(tag, given, "VISIBILITY", 1.0))
        elif tag == "Edge":
            self.edges.extend([self._number(tag, given, name) for name in EDGE])
            self.edges.append(self.track)
        elif tag == "Track":
            self.track = self._number(tag, given, "TRACK_ID")
        elif tag == "TrackID":
            self.shown.append(self._number(tag, given, "TRACK_ID"))
        else:
            self.seen.add(tag)
            self.filtered |= tag == "FilteredTracks"
            if tag == "Model":
                self.model = given
            elif tag == "ImageData":
                self.image = given

    def _number(self, tag: str, given: dict[str, str], name: str, default: float | None = None) -> float:
        text = given.get(name)
        try:
            value = float(text) if text is not None else default
        except ValueError:
            value = None
        if value is None or not -(2.0**53) <= value <= 2.0**53:
            raise InputError(
                f"{self.path}: a {tag} has the {name} '{text}', expected a number: save it in TrackMate again."
            )
        return value

    def scale(self) -> tuple[FloatArray, tuple[float, float, float] | None, float | None]:
        """Size (z, y, x) of a voxel in the file's own unit (1 where it is silent) and in µm, seconds between frames."""
        return scale_of(self.image, self.model.get("spatialunits"), self.model.get("timeunits"))


def scale_of(
    image: dict[str, str], length: str | None, time: str | None
) -> tuple[FloatArray, tuple[float, float, float] | None, float | None]:
    """Size (z, y, x) of a voxel in TrackMate's unit of length (1 where it is silent) and in µm, seconds between frames.

    Parameters
    ----------
    image : dict[str, str]
        The attributes of ``ImageData``.
    length, time : str | None
        The units of the model.
    """
    spacing = np.array([_positive(image, name) or 1.0 for name in ("voxeldepth", "pixelheight", "pixelwidth")])
    unit = micrometres(length)
    size = None if unit is None or _positive(image, "pixelwidth") is None else spacing * unit
    step, second = _positive(image, "timeinterval"), seconds(time)
    return (
        spacing,
        None if size is None else (float(size[0]), float(size[1]), float(size[2])),
        None if step is None or second is None else step * second,
    )


def _positive(given: dict[str, str], name: str) -> float | None:
    try:
        value = float(given.get(name, "0"))
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
