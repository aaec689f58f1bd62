"""The axes of a GEFF: which property is the time and which is z, y and x, and how to come to frames and pixels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.formats.trackmate.reading import scale_of
from celltrail.data.formats.units import is_frame, is_pixel, micrometres, seconds
from celltrail.data.types import FloatArray, IntArray

Size = tuple[float, float, float]
Columns = Mapping[str, NDArray[Any]]
FRAMES = ("frame", "FRAME", "t", "timepoint", "time_point")  # properties that may hold the number of the frame
NEAR = 0.01  # of a frame, how far a time may lie beside it


def find_axes(path: Path, axes: Sequence[Any], names: Collection[str]) -> tuple[Any, dict[str, Any], list[str]]:
    """The axis of time, and the axes of space by letter.

    Parameters
    ----------
    axes : Sequence[Any]
        Those that the metadata declare, in any order; none: properties with the usual names are taken.
    names : Collection[str]
        Properties that every node has.

    Returns
    -------
    Axis
        Of time.
    dict
        "z", "y", "x" → axis; no "z" in 2D.
    list of str
        Sentences on what had to be assumed.
    """
    given = list(axes) or _usual_axes(names)
    time = [
        axis for axis in given if axis.type == "time" or (axis.type is None and axis.name in ("t", "time", "frame"))
    ]
    space = [axis for axis in given if axis.type == "space" or (axis.type is None and _letter(axis.name))]
    if len(time) != 1 or len(space) not in (2, 3):
        raise InputError(
            f"{path} needs one axis of time and two or three of space; it has {sorted(axis.name for axis in given)}: "
            "name them in its metadata."
        )
    absent = [axis.name for axis in [*time, *space] if axis.name not in names]
    if absent:
        raise InputError(
            f"{path} has cells without a value on the axis {absent[0]}: give every cell its place and time."
        )
    letters = [_letter(axis.name) for axis in space]
    wanted = "zyx"[3 - len(space) :]
    if sorted(filter(None, letters)) == sorted(wanted):
        return time[0], dict(zip(map(str, letters), space, strict=True)), []
    if any(letters):
        raise InputError(
            f"{path} has axes of space called {', '.join(axis.name for axis in space)}: "
            f"name them {', '.join(wanted)}, so that it is clear which is which."
        )
    order = ", ".join(f"{axis.name} as {letter}" for axis, letter in zip(space, wanted, strict=True))
    return time[0], dict(zip(wanted, space, strict=True)), [f"{path}: its axes are taken in their order, {order}."]


def _letter(name: str) -> str | None:
    """The axis that a name means: "pos_y", "POSITION_Y", "centroid-y" and "y" are y."""
    found = re.search(r"(?:^|[^a-z])([xyz])(?:$|[^a-z])", name.lower())
    return found.group(1) if found else None


def _usual_axes(names: Collection[str]) -> list[Any]:
    """Axes by the names of node properties: t, time or frame; z, y and x."""
    from geff_spec import Axis

    time = [name for name in ("t", "time", "frame", "FRAME") if name in names][:1]
    space = {letter: [name for name in names if _letter(name) == letter] for letter in "zyx"}
    plain = [[letter] if letter in found else found for letter, found in space.items()]
    return [Axis(name=name, type="time") for name in time] + [
        Axis(name=found[0], type="space") for found in plain if len(found) == 1
    ]


def frames_of(
    path: Path, columns: Columns, axis: Any, interval: float | None, names: Collection[str]
) -> tuple[IntArray, float | None]:
    """Frame numbers from the axis of time, and the seconds between frames where they are known.

    Parameters
    ----------
    interval : float | None
        Seconds between frames, as far as they are known from elsewhere.
    names : Collection[str]
        Properties that every node has, among which one may give the frame.
    """
    values = columns[axis.name].astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path} gives times that are no numbers: store the frame number as time.")
    if is_frame(axis.unit):
        scaled = seconds(axis.scaled_unit)
        step = interval or (None if axis.scale is None or scaled is None else float(axis.scale) * scaled)
        if not np.array_equal(np.rint(values), values):
            raise InputError(
                f"{path} gives times that are not whole numbers of frames: store the frame number as time."
            )
        return values.astype(np.int64), step
    second = seconds(axis.unit)
    if second is None:
        raise InputError(f"{path} gives times in '{axis.unit}', which is not known: store the frame number as time.")
    for name in FRAMES:
        if name in names and name != axis.name and columns[name].dtype.kind in "iu":
            frame = columns[name].astype(np.int64)
            return frame, interval or _step(frame, values * second)
    if interval is None:
        raise InputError(
            f"{path} gives times in {axis.unit}, not in frames: say how many seconds lie between frames with --interval."
        )
    steps = values * second / interval
    if (np.abs(steps - np.rint(steps)) > NEAR).any():
        far = values[np.argmax(np.abs(steps - np.rint(steps)))]
        raise InputError(
            f"{path} has a cell at {far:g} {axis.unit}, which is no whole number of frames of {interval:g} s: "
            "say how many seconds lie between frames with --interval."
        )
    return np.rint(steps).astype(np.int64), interval


def _step(frame: IntArray, time: FloatArray) -> float | None:
    """Seconds between frames, where times are the frames' multiples of it."""
    later = frame > 0
    if not later.any():
        return None
    step = float(np.median(time[later] / frame[later]))
    return step if step > 0 and np.allclose(time, frame * step, rtol=1e-3, atol=1e-3 * step) else None


def positions_of(
    path: Path, columns: Columns, space: Mapping[str, Any], voxel: Size | None, cells: int
) -> tuple[FloatArray, Size | None, list[str]]:
    """Positions z, y, x in pixels, float64 (n, 3); the size of a pixel in µm where it is known; and sentences on it.

    Where positions are in µm and nothing tells the size of a pixel, a pixel is taken to be 1 µm wide.
    """
    position = np.zeros((cells, 3))
    lengths: list[float | None] = list(voxel) if voxel else [None] * 3
    assumed = []
    for letter, axis in space.items():
        index = "zyx".index(letter)
        values = columns[axis.name].astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{path} has cells whose {axis.name} is no number: give every cell its place.")
        unit, scaled = micrometres(axis.unit), micrometres(axis.scaled_unit)
        if unit is None and not is_pixel(axis.unit):
            raise InputError(
                f"{path} gives {axis.name} in '{axis.unit}', which is not known: use pixels or micrometers."
            )
        if axis.scale is not None and scaled is not None and unit is None:
            lengths[index] = lengths[index] or float(axis.scale) * scaled
        if unit is not None:
            if lengths[index] is None:
                lengths[index] = 1.0
                assumed.append(axis.name)
            values = values * unit / (lengths[index] or 1.0)
        position[:, index] = values
    notes = []
    if assumed:
        notes.append(
            f"{path} gives {', '.join(assumed)} in {space['x'].unit or 'µm'} and not the size of a pixel: "
            "a pixel is taken to be 1 µm wide. Say it with --voxel."
        )
    if lengths[1] is None or lengths[2] is None:
        return position, None, notes
    return position, (1.0 if lengths[0] is None else lengths[0], lengths[1], lengths[2]), notes


def trackmate_scale(metadata: Any) -> tuple[Size | None, float | None] | None:
    """Size of a voxel and seconds between frames in the settings that GEFF's converter keeps of a TrackMate file."""
    kept = (metadata.extra or {}).get("other_trackmate_metadata")
    if not isinstance(kept, Mapping):
        return None
    units = {axis.type: axis.unit for axis in metadata.axes or ()}
    text = kept.get("settings")
    if not isinstance(text, str) or "<!" in text:
        return None, None
    try:
        image = ElementTree.fromstring(text).find("ImageData")
    except ElementTree.ParseError:
        return None, None
    _, size, step = scale_of({} if image is None else dict(image.attrib), units.get("space"), units.get("time"))
    return size, step


def funtracks_scale(metadata: Any, space: Mapping[str, Any]) -> dict[str, float]:
    """How many units of its own a pixel is wide along each axis ("z", "y", "x") of a graph that funtracks wrote.

    funtracks stores positions and areas in the units of its scale, which the axes do not tell: it is kept with the
    graph, or by older versions as if it were that of the axes. Empty where it is not known, or for other programs.
    """
    extra = metadata.extra or {}
    own, kept = extra.get("funtracks"), extra.get("tracksdata")
    if not isinstance(own, Mapping):
        return {}
    letters = "zyx"[3 - len(space) :]
    given = kept.get("scale") if isinstance(kept, Mapping) else None
    if "version" not in own:
        given = [space[letter].scale for letter in letters]
    if not isinstance(given, Sequence) or len(given) != len(letters):
        return {}
    numbers = [float(one) if isinstance(one, (int, float)) else 0.0 for one in given]
    return dict(zip(letters, numbers, strict=True)) if all(0 < one < np.inf for one in numbers) else {}
