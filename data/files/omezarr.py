"""Movies in OME-Zarr (versions 0.4, 0.5 and 0.6) and in plain Zarr arrays, one frame at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.containment import inside
from celltrail.data.files.tiff import MAX_FRAME_BYTES
from celltrail.data.readers.stacks import Header, lay_out, name_axes
from celltrail.data.regular import read_json, refuse_special
from celltrail.data.settings import number_problem

CODEC_FILES = (".zarray", ".zmetadata", "zarr.json")
METADATA = (".zgroup", ".zattrs", ".zarray", "zarr.json")
UNSAFE_CODECS = ("pickle", "numcodecs.pickle")  # decoding them runs whatever the file says
LENGTH_IN_UM = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
TIME_IN_S = {"microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
DEEPEST = 4  # groups in groups until an image
USUAL_AXES = {2: "YX", 3: "TYX", 4: "TZYX", 5: "TCZYX"}


@dataclass(frozen=True)
class ZarrSource:
    """Where one frame lies: an array in a Zarr store, and the indices that pick the frame out of it."""

    path: Path
    index: tuple[int | slice, ...]
    shape: tuple[int, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in which the frame lies."""
        return (self.path,)

    def absolute(self) -> ZarrSource:
        """The same place, named from the root."""
        return replace(self, path=self.path.absolute())

    def read(self) -> NDArray[Any]:
        """The pixels of the frame; `InputError` where they cannot be decoded."""
        try:
            return np.asarray(_open_array(self.path)[self.index]).reshape(self.shape)
        except InputError:
            raise
        except MemoryError:
            raise InputError(f"{self.path} has a frame that does not fit into memory: crop or bin it.") from None
        except Exception as error:  # codecs raise whatever they like on damaged data
            raise InputError(f"{self.path} is damaged ({_brief(error)}): write it again.") from None


@dataclass(frozen=True)
class ZarrMovie:
    """What a store declares: frames by number, dtype, voxel (z, y, x) in µm, seconds between frames."""

    sources: dict[int, ZarrSource]
    dtype: np.dtype[Any]
    voxel: tuple[float, float, float] | None
    interval: float | None
    notes: tuple[str, ...] = ()


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return any((path / name).is_file() for name in METADATA)


def open_zarr(path: Path, *, labels: bool = False, channel: int | None = None, axes: str | None = None) -> ZarrMovie:
    """The frames of an OME-Zarr image at full resolution, or of a plain Zarr array.

    Parameters
    ----------
    path : Path
        The image's group; with ``labels`` also a group with one label image in ``labels``.
    channel : int | None
        Needed where there are several.
    axes : str | None
        What they are ("TZYX"), whatever the metadata say. Otherwise those of the OME-Zarr, or of a plain array by
        their number: YX, TYX, TZYX, TCZYX.

    Raises
    ------
    InputError
        If it is not an image, is damaged, or needs a channel.
    """
    import_extra("zarr", "interop")
    path, image = _find_image(Path(path), labels)
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    if image is None:
        array_path, letters = path, ""
    else:
        array_path, letters, scale, units = _read_multiscale(path, image)
    channels = _channel_names(path)
    refuse_unsafe_codecs(array_path, deep=True)
    array = _open_array(array_path)
    if 0 in array.shape:
        raise InputError(f"{path} holds an image without pixels: write it again.")
    header = Header(
        path,
        tuple(int(n) for n in array.shape),
        np.dtype(array.dtype),
        letters or USUAL_AXES.get(array.ndim, ""),
        _voxel(scale, units),
        _interval(scale, units),
        channels=channels,
    )
    if len(header.axes) != array.ndim and not axes:
        raise InputError(
            f"{array_path} has the shape {header.shape} and unknown axes: name them with --axes, for example TZYX."
        )
    letters = name_axes(header, axes, alone=True)
    layout = lay_out(header, letters, "image", channel, said=axes is not None or image is None)
    bytes_of_frame = int(np.prod([int(n) for n in layout.shape], dtype=object)) * array.dtype.itemsize
    bytes_of_chunk = int(np.prod([int(n) for n in array.chunks], dtype=object)) * array.dtype.itemsize
    if max(bytes_of_frame, bytes_of_chunk) > MAX_FRAME_BYTES:
        raise InputError(
            f"{path} declares frames of {max(bytes_of_frame, bytes_of_chunk) / 2**30:.0f} GB, more than the "
            f"{MAX_FRAME_BYTES >> 30} GB that are read at once: crop or bin it."
        )
    sources = {number: ZarrSource(array_path, index, layout.shape) for number, index in layout.index.items()}
    notes = (layout.note,) if layout.note else ()
    return ZarrMovie(sources, np.dtype(array.dtype), header.voxel, header.interval, notes)


def refuse_unsafe_codecs(folder: Path, *, deep: bool = False) -> None:
    """Raise `InputError` where the metadata of a store ask for a codec that runs code from the file.

    ``deep``: look at the metadata of all arrays below the folder as well, through links too, as the store does.
    Pipes and devices are refused: the store would wait for them.
    """
    for file in _walked(folder) if deep else map(folder.joinpath, CODEC_FILES):
        if file.name in CODEC_FILES and file.is_file() and (found := _unsafe(_read_json(file))):
            raise InputError(f"{file} asks for the codec '{found}', which could run any code: do not trust this file.")


def _walked(folder: Path) -> Iterator[Path]:
    """Every file below a folder, through links, each folder once; `InputError` for a pipe or a device among them."""
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(Path(entry.path))
                        continue
                    path = Path(entry.path)
                    if not entry.is_file():
                        refuse_special(path)
                    yield path
        except OSError as error:
            raise InputError(f"{here} cannot be read ({error.strerror}): change its permissions.") from None


def _unsafe(value: Any) -> str | None:
    if isinstance(value, dict):
        named = [value.get("id"), value.get("name")]
        own = next((name for name in named if name in UNSAFE_CODECS), None)
        return own or _unsafe(list(value.values()))
    if isinstance(value, list):
        return next(filter(None, map(_unsafe, value)), None)
    return None


def _read_json(file: Path) -> Any:
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({_brief(error)}): write the image again.") from None


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__


def _attributes(group: Path) -> dict[str, Any]:
    """The attributes of a group, those of OME-Zarr 0.5 as if they were of 0.4."""
    found: dict[str, Any] = {}
    if (group / "zarr.json").is_file():
        content = _read_json(group / "zarr.json")
        attributes = content.get("attributes", {}) if isinstance(content, dict) else {}
        found = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
    elif (group / ".zattrs").is_file():
        found = _read_json(group / ".zattrs")
    return found if isinstance(found, dict) else {}


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    if not (path / "zarr.json").is_file():
        return False
    content = _read_json(path / "zarr.json")
    return isinstance(content, dict) and content.get("node_type") == "array"


def _find_image(path: Path, labels: bool, depth: int = 0) -> tuple[Path, dict[str, Any] | None]:
    """The folder of the image or label image, and its ``multiscales`` entry (``None``: a plain array)."""
    if depth > DEEPEST:
        raise InputError(f"{path} points to itself: write it again.")
    if _is_array(path):
        return path, None
    attributes = _attributes(path)
    if "plate" in attributes or "well" in attributes:
        raise InputError(f"{path} is a plate or a well of many images: give the folder of one image (like A/1/0).")
    if "bioformats2raw.layout" in attributes and (path / "0").is_dir():
        if (path / "1").is_dir():
            raise InputError(f"{path} holds several images: give the folder of one (like {path / '0'}).")
        return _find_image(inside(path, path / "0"), labels, depth + 1)
    names = attributes.get("labels") or _attributes(path / "labels").get("labels")
    if labels and isinstance(names, list) and "image-label" not in attributes:
        below = path if "labels" in attributes else path / "labels"
        if len(names) != 1:
            raise InputError(
                f"{path} holds the label images {', '.join(map(str, names))}: give the folder of one, "
                f"like {below / str((names or ['NAME'])[0])}."
            )
        return _find_image(inside(path, below / str(names[0])), labels, depth + 1)
    scales = attributes.get("multiscales")
    if not isinstance(scales, list) or not scales or not isinstance(scales[0], dict):
        arrays = [entry.name for entry in sorted(path.iterdir()) if entry.is_dir()][:5]
        hint = f"give one of its folders ({', '.join(arrays)})" if arrays else "write it again"
        raise InputError(f"{path} is a Zarr group without an image (no multiscales in its metadata): {hint}.")
    return path, scales[0]


def _read_multiscale(path: Path, image: dict[str, Any]) -> tuple[Path, str, dict[str, float], dict[str, str]]:
    """Array of the first (finest) level, its axes, its scale and units by axis."""
    try:
        level = image["datasets"][0]
        own = level.get("coordinateTransformations", [])
        newer = "coordinateSystems" in image  # since 0.6 the axes are those of a coordinate system
        axes = [
            axis if isinstance(axis, dict) else {"name": axis}
            for axis in (_axes_of(image, own) if newer else image["axes"])
        ]
        letters = "".join(str(axis["name"]).upper() for axis in axes)
        if len(letters) != len(axes):
            raise ValueError("axes with names of one letter expected")
        array = path / str(level["path"])
        scale = np.ones(len(axes))
        for transform in (*own, *(() if newer else image.get("coordinateTransformations", ()))):
            scale = scale * _scale_of(path, transform, len(axes))
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} has incomplete metadata ({_brief(error)}): write it as OME-Zarr 0.4, 0.5 or 0.6."
        ) from None
    if not array.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{path} points to the array {level['path']} outside of itself: write it again.")
    units = {letter: str(axis.get("unit", "")) for letter, axis in zip(letters, axes, strict=True)}
    return array, letters, dict(zip(letters, scale.tolist(), strict=True)), units


def _axes_of(image: dict[str, Any], transforms: list[dict[str, Any]]) -> list[Any]:
    """The axes of the coordinate system into which the transformations of a level lead (OME-Zarr 0.6)."""
    systems = {system["name"]: system["axes"] for system in image["coordinateSystems"]}
    target = transforms[0].get("output") if transforms else None
    name = target.get("name") if isinstance(target, dict) else target
    return list(systems[name] if name in systems else next(iter(systems.values())))


def _scale_of(path: Path, transform: dict[str, Any], count: int) -> NDArray[np.float64]:
    """The factors of scale of a transformation; `InputError` where it does more than scale and shift."""
    kind = transform.get("type")
    if kind == "sequence":
        factors = np.ones(count)
        for step in transform["transformations"]:
            factors = factors * _scale_of(path, step, count)
        return factors
    if kind in ("identity", "translation"):
        return np.ones(count)
    if kind != "scale" or "scale" not in transform:
        raise InputError(
            f"{path} has a coordinate transformation of the type '{kind}', but only scales and translations are "
            "read here: write it again with those, or give the array in it with --axes."
        )
    factors = np.array(transform["scale"], dtype=np.float64)
    if factors.shape != (count,):
        raise ValueError("one factor of scale for each axis expected")
    return factors


def _channel_names(path: Path) -> tuple[str, ...]:
    """The names of the channels, where the image has some."""
    channels = _attributes(path).get("omero")
    found = channels.get("channels") if isinstance(channels, dict) else None
    if not isinstance(found, list):
        return ()
    return tuple(str(one.get("label", "")) if isinstance(one, dict) else "" for one in found)


def _open_array(path: Path) -> Any:
    zarr = import_extra("zarr", "interop")
    refuse_unsafe_codecs(path)
    try:
        return zarr.open_array(str(path), mode="r")
    except Exception as error:
        raise InputError(f"{path} is not a readable Zarr array ({_brief(error)}): write it again.") from None


def _voxel(scale: dict[str, float], units: dict[str, str]) -> tuple[float, float, float] | None:
    sizes = [scale[a] * LENGTH_IN_UM[units[a]] if units.get(a) in LENGTH_IN_UM else None for a in "ZYX"]
    if sizes[1] is None or sizes[2] is None:
        return None
    size = (1.0 if sizes[0] is None else sizes[0], sizes[1], sizes[2])
    return size if all(length > 0 and number_problem(length) is None for length in size) else None


def _interval(scale: dict[str, float], units: dict[str, str]) -> float | None:
    seconds = scale.get("T", 0.0) * TIME_IN_S.get(units.get("T", ""), 0.0)
    return seconds if 0 < seconds < np.inf else None
