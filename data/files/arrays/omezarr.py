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
from celltrail.data.files.arrays.tiff import MAX_FRAME_BYTES
from celltrail.data.files.arrays.zarr_metadata import (
    brief,
    channel_names,
    find_image,
    interval_of,
    read_json,
    read_multiscale,
    voxel_of,
)
from celltrail.data.readers.file_names import LAST_FRAME
from celltrail.data.readers.stacks import Header, lay_out, name_axes
from celltrail.data.regular import refuse_special

CODEC_FILES = (".zarray", ".zmetadata", "zarr.json")
METADATA = (".zgroup", ".zattrs", ".zarray", "zarr.json")
UNSAFE_CODECS = ("pickle", "numcodecs.pickle")  # decoding them runs whatever the file says
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
            raise InputError(f"{self.path} is damaged ({brief(error)}): write it again.") from None


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


def open_zarr(
    path: Path,
    *,
    labels: bool = False,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> ZarrMovie:
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
    series : int | None
        Needed where there are several images, as in a plate.

    Raises
    ------
    InputError
        If it is not an image, is damaged, or needs a channel.
    """
    import_extra("zarr", "interop")
    path, image = find_image(Path(path), labels, series)
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    if image is None:
        array_path, letters = path, ""
    else:
        array_path, letters, scale, units = read_multiscale(path, image)
    channels = channel_names(path)
    refuse_unsafe_codecs(array_path, deep=True)
    array = _open_array(array_path)
    if 0 in array.shape:
        raise InputError(f"{path} holds an image without pixels: write it again.")
    if max(array.shape) > LAST_FRAME:
        raise InputError(f"{path} declares the shape {array.shape}, which no movie has: it is damaged, write it again.")
    header = Header(
        path,
        tuple(int(n) for n in array.shape),
        np.dtype(array.dtype),
        letters or USUAL_AXES.get(array.ndim, ""),
        voxel_of(scale, units),
        interval_of(scale, units),
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
        if file.name in CODEC_FILES and file.is_file() and (found := _unsafe(read_json(file))):
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


def _open_array(path: Path) -> Any:
    zarr = import_extra("zarr", "interop")
    refuse_unsafe_codecs(path)
    try:
        return zarr.open_array(str(path), mode="r")
    except Exception as error:
        raise InputError(f"{path} is not a readable Zarr array ({brief(error)}): write it again.") from None
