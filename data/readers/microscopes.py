"""Files of microscopes: ND2 (Nikon), CZI (Zeiss) and LIF (Leica), each through one library (extra ``microscopes``).

A position, scene or image of a file is a series. Planes are counted along the axes before the plane, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, MissingExtra, import_extra
from celltrail.data.readers.stacks import Header

EXTRA = "microscopes"
CZI_PIXELS = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"}


def _careful(read: Callable[..., Any], path: Path, *arguments: Any) -> Any:
    """Call a reader; what a library says of a damaged file becomes one sentence."""
    try:
        return read(path, *arguments)
    except (InputError, MissingExtra):
        raise
    except FileNotFoundError:
        raise InputError(f"{path} has disappeared, or never was: give the file of the microscope.") from None
    except MemoryError:
        raise InputError(f"{path} does not fit into memory: crop or bin it.") from None
    except Exception as error:  # readers raise whatever they like on damaged data
        text = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(
            f"{path} cannot be read as a {path.suffix.lower()} file ({text}): copy it again, or export it as OME-TIFF."
        ) from None


def read_nd2_header(path: Path, series: int) -> Header:
    """What an ND2 file declares of one position."""
    return _careful(_nd2_header, path, series)  # type: ignore[no-any-return]


def read_nd2(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    """Planes of one position of an ND2 file."""
    return _careful(_nd2_planes, path, series, planes)  # type: ignore[no-any-return]


def _nd2_axes(file: Any) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The axes of the loops, positions left out, and those of a plane."""
    inner = [(letter, n) for letter, n in file.sizes.items() if letter in "CYXS"]
    outer = [(letter, n) for letter, n in file.sizes.items() if letter not in "PCYXS"]
    return outer, inner


def _nd2_header(path: Path, series: int) -> Header:
    nd2 = import_extra("nd2", EXTRA)
    with nd2.ND2File(path) as file:
        outer, inner = _nd2_axes(file)
        axes = [*outer, *inner]
        places = _nd2_places(file, series)
        taken = int(file.attributes.sequenceCount)
        size = file.voxel_size()
        voxel = (float(size.z) or 1.0, float(size.y), float(size.x))
        channels = [str(one.channel.name) for one in file.metadata.channels or ()]
        return Header(
            path,
            tuple(int(n) for _, n in axes),
            np.dtype(file.dtype),
            "".join(letter for letter, _ in axes),
            voxel if all(0 < length < np.inf for length in voxel) else None,
            _nd2_interval(file.experiment),
            len(inner),
            frozenset(plane for plane, place in enumerate(places) if place >= taken),
            _nd2_positions(file),
            series,
            tuple(channels),
        )


def _nd2_positions(file: Any) -> tuple[str, ...]:
    count = int(file.sizes.get("P", 1))
    names = [""] * count
    for loop in file.experiment:
        points = getattr(loop.parameters, "points", None)
        if getattr(loop, "type", "") == "XYPosLoop" and points is not None and len(points) == count:
            names = [point.name or f"position {number}" for number, point in enumerate(points)]
    return tuple(names)


def _nd2_places(file: Any, series: int) -> list[int]:
    """The numbers under which the planes of a position lie in the file."""
    indices = file.loop_indices
    if not indices:
        return [0]
    return [place for place, index in enumerate(indices) if index.get("P", 0) == series]


def _nd2_interval(experiment: Any) -> float | None:
    for loop in experiment:
        parameters = loop.parameters
        for one in (parameters, *(getattr(parameters, "periods", None) or ())):
            period = getattr(one, "periodMs", 0) or 0
            if 0 < period < np.inf:
                return float(period) / 1000
    return None


def _nd2_planes(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    nd2 = import_extra("nd2", EXTRA)
    with nd2.ND2File(path) as file:
        places = _nd2_places(file, series)
        wanted = [places[plane] for plane in (range(len(places)) if planes is None else planes)]
        return np.stack([np.asarray(file.read_frame(place)) for place in wanted])


def read_czi_header(path: Path, series: int) -> Header:
    """What a CZI file declares of one scene."""
    return _careful(_czi_header, path, series)  # type: ignore[no-any-return]


def read_czi(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    """Planes of one scene of a CZI file."""
    return _careful(_czi_planes, path, series, planes)  # type: ignore[no-any-return]


def _czi_axes(file: Any) -> list[tuple[str, int, int]]:
    """Letter, first index and number of the axes before the plane."""
    box = file.total_bounding_box
    return [(letter, box[letter][0], box[letter][1] - box[letter][0]) for letter in "TCZ" if letter in box]


def _czi_header(path: Path, series: int) -> Header:
    czi = import_extra("pylibCZIrw.czi", EXTRA)
    with czi.open_czi(str(path)) as file:
        outer = _czi_axes(file)
        scenes = sorted(file.scenes_bounding_rectangle)
        area = file.scenes_bounding_rectangle[scenes[series]] if scenes else file.total_bounding_rectangle
        kinds = set(file.pixel_types.values())
        if len(kinds) > 1 or not kinds <= set(CZI_PIXELS):
            raise InputError(f"{path} holds pixels of the kinds {', '.join(sorted(kinds))}: export it as OME-TIFF.")
        kind = kinds.pop()
        colour = kind.startswith("Bgr")
        voxel, interval, channels = _czi_metadata(file.metadata)
        return Header(
            path,
            (*(n for _, _, n in outer), int(area.h), int(area.w), *((3,) if colour else ())),
            np.dtype(CZI_PIXELS[kind]),
            "".join(letter for letter, _, _ in outer) + ("YXS" if colour else "YX"),
            voxel,
            interval,
            3 if colour else 2,
            series=tuple(f"scene {scene}" for scene in scenes) or ("",),
            number=series,
            channels=channels,
        )


def _czi_planes(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    czi = import_extra("pylibCZIrw.czi", EXTRA)
    with czi.open_czi(str(path)) as file:
        outer = _czi_axes(file)
        counts = [n for _, _, n in outer]
        scenes = sorted(file.scenes_bounding_rectangle)
        where = {"scene": scenes[series]} if scenes else {}
        read = []
        for plane in range(int(np.prod(counts))) if planes is None else planes:
            steps = np.unravel_index(plane, counts) if counts else ()
            place = {letter: first + int(step) for (letter, first, _), step in zip(outer, steps, strict=True)}
            pixels = np.asarray(file.read(plane=place, **where))
            read.append(pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., ::-1])  # blue, green, red
        return np.stack(read)


def _czi_metadata(metadata: Any) -> tuple[tuple[float, float, float] | None, float | None, tuple[str, ...]]:
    """Voxel in µm, seconds between frames and names of channels, as far as the file tells."""
    root = _below(metadata, "ImageDocument", "Metadata")
    distances = _as_list(_below(root, "Scaling", "Items", "Distance"))
    size = {one.get("@Id"): float(one.get("Value") or 0) * 1e6 for one in distances if isinstance(one, Mapping)}
    voxel = (size.get("Z") or 1.0, size.get("Y", 0.0), size.get("X", 0.0))
    image = _below(root, "Information", "Image", "Dimensions")
    found = _as_list(_below(image, "Channels", "Channel"))
    names = tuple(str(one.get("@Name") or one.get("@Id") or "") for one in found if isinstance(one, Mapping))
    step = _below(image, "T", "Positions", "Interval", "Increment")
    interval = float(step) if isinstance(step, (str, int, float)) and float(step) > 0 else None
    return (voxel if all(0 < length < np.inf for length in voxel) else None), interval, names


def _below(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def read_lif_header(path: Path, series: int) -> Header:
    """What a LIF file declares of one of its images."""
    return _careful(_lif_header, path, series)  # type: ignore[no-any-return]


def read_lif(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    """Planes of one image of a LIF file."""
    return _careful(_lif_planes, path, series, planes)  # type: ignore[no-any-return]


def _lif_header(path: Path, series: int) -> Header:
    liffile = import_extra("liffile", EXTRA)
    with liffile.LifFile(path) as file:
        images = list(file.images)
        if not images:
            raise InputError(f"{path} holds no image: export it from the microscope again.")
        image = images[series]
        sizes, coords = image.sizes, image.coords
        plane = 3 if "S" in sizes else 2
        steps = {letter: _step(coords.get(letter)) for letter in "TZYX"}
        voxel = tuple((steps[letter] or 0.0) * 1e6 for letter in "ZYX")
        z = voxel[0] or 1.0
        return Header(
            path,
            tuple(int(n) for n in sizes.values()),
            np.dtype(image.dtype),
            "".join(sizes),
            (z, voxel[1], voxel[2]) if voxel[1] > 0 and voxel[2] > 0 else None,
            steps["T"],
            plane,
            series=tuple(one.name for one in images),
            number=series,
        )


def _step(places: Any) -> float | None:
    """The distance between neighbours of evenly spaced places."""
    if places is None or len(places) < 2:
        return None
    step = abs(float(places[-1] - places[0])) / (len(places) - 1)
    return step if 0 < step < np.inf else None


def _lif_planes(path: Path, series: int, planes: tuple[int, ...] | None) -> NDArray[Any]:
    liffile = import_extra("liffile", EXTRA)
    with liffile.LifFile(path) as file:
        image = file.images[series]
        outer = list(image.sizes.items())[: -3 if "S" in image.sizes else -2]
        counts = [n for _, n in outer]
        read = []
        for plane in range(int(np.prod(counts, dtype=np.int64))) if planes is None else planes:
            steps = np.unravel_index(plane, counts) if counts else ()
            read.append(image.frame(**{letter: int(step) for (letter, _), step in zip(outer, steps, strict=True)}))
        return np.stack(read)
