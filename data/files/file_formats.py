"""One file of any format: its header, and its planes. Each format is one row of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import read_header, read_pages
from celltrail.data.readers import films, microscopes, pictures
from celltrail.data.readers.stacks import Header, Index, Kind, planes_of
from celltrail.data.regular import refuse_special

TIFF_SUFFIXES = (".tif", ".tiff")
NOT_READ = (
    ".vsi",
    ".ims",
    ".oib",
    ".oif",
    ".oir",
    ".lsm5",
    ".h5",
    ".hdf5",
    ".mvd2",
    ".dv",
    ".stk",
    ".xlif",
    ".gif",
    ".webp",
    ".psd",
    ".mat",
    ".npz",
    ".n5",
    ".svs",
    ".ndpi",
    ".jp2",
    ".heic",
    ".raw",
)


@dataclass(frozen=True)
class Format:
    """How one format is read.

    Attributes
    ----------
    header : Callable[[Path, Kind, int], Header]
        (path, kind, series) → what the file declares.
    planes
        (path, kind, series, planes or all, plane) → pixels (n, …), or all of the file.
    many : bool
        Whether a file may hold many frames.
    """

    header: Callable[[Path, Kind, int], Header]
    planes: Callable[[Path, Kind, int, tuple[int, ...] | None, int], NDArray[Any]]
    many: bool = True


_TIFF = Format(
    lambda path, kind, series: read_header(path, series),
    lambda path, kind, series, planes, plane: read_pages(path, planes, series),
)
_PICTURE = Format(
    lambda path, kind, series: pictures.read_picture_header(path, kind),
    lambda path, kind, series, planes, plane: pictures.read_picture(path, kind),
    many=False,
)
_ARRAY = Format(
    lambda path, kind, series: pictures.read_array_header(path),
    lambda path, kind, series, planes, plane: pictures.read_array(path, planes, plane),
)

_FILM = Format(
    lambda path, kind, series: films.read_film_header(path),
    lambda path, kind, series, planes, plane: films.read_film(path, planes, plane),
)


def _of_microscope(header: Callable[[Path, int], Header], planes: Callable[..., NDArray[Any]]) -> Format:
    return Format(
        lambda path, kind, series: header(path, series),
        lambda path, kind, series, wanted, plane: planes(path, series, wanted),
    )


FORMATS: dict[str, Format] = {
    **dict.fromkeys(TIFF_SUFFIXES, _TIFF),
    **dict.fromkeys(pictures.PICTURE_SUFFIXES, _PICTURE),
    pictures.ARRAY_SUFFIX: _ARRAY,
    **dict.fromkeys(films.FILM_SUFFIXES, _FILM),
    ".nd2": _of_microscope(microscopes.read_nd2_header, microscopes.read_nd2),
    ".czi": _of_microscope(microscopes.read_czi_header, microscopes.read_czi),
    ".lif": _of_microscope(microscopes.read_lif_header, microscopes.read_lif),
}


def format_of(path: Path) -> Format:
    """The format of a file by its ending; what has no known ending may be a TIFF.

    Raises
    ------
    InputError
        If it is a format that is known not to be read.
    """
    suffix = path.suffix.lower()
    if suffix in NOT_READ:
        raise InputError(
            f"{path} is a {suffix} file, which is not read here: export it as OME-TIFF (Fiji: File > Save As)."
        )
    return FORMATS.get(suffix, _TIFF)


def read_file_header(path: Path, kind: Kind, series: int = 0) -> Header:
    """What a file declares; no pixel is read (of a film, one frame)."""
    refuse_special(path)
    return format_of(path).header(path, kind, series)


@dataclass(frozen=True)
class Source:
    """Where one frame lies in a file.

    Attributes
    ----------
    planes : tuple[int, ...] | None
        The planes that are read (``None``: all of the file), which have the shape ``stored`` together.
    index : Index
        What of them is the frame, one index for each axis of ``stored``.
    shape : tuple[int, ...]
        Of the frame.
    """

    path: Path
    kind: Kind
    series: int
    planes: tuple[int, ...] | None
    plane: int
    stored: tuple[int, ...]
    index: Index
    shape: tuple[int, ...]
    inverted: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in which the frame lies."""
        return (self.path,)

    def absolute(self) -> Source:
        """The same place, named from the root."""
        return replace(self, path=self.path.absolute())

    def read(self) -> NDArray[Any]:
        """The pixels of the frame; `InputError` where they cannot be read."""
        array = format_of(self.path).planes(self.path, self.kind, self.series, self.planes, self.plane)
        if array.size != math.prod(self.stored) or array.shape[-1:] != self.stored[-1:]:
            raise InputError(f"{self.path} has changed since the movie was opened: start again.")
        frame = array.reshape(self.stored)[self.index].reshape(self.shape)
        return upright(frame, self.kind) if self.inverted else frame


@dataclass(frozen=True)
class SlicesSource:
    """A frame whose slices lie in files of their own."""

    slices: tuple[Source, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in which the frame lies."""
        return tuple(one.path for one in self.slices)

    def absolute(self) -> SlicesSource:
        """The same place, named from the root."""
        return SlicesSource(tuple(one.absolute() for one in self.slices))

    @property
    def path(self) -> Path:
        """The file of the first slice."""
        return self.slices[0].path

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the frame (Z, Y, X)."""
        return (len(self.slices), *self.slices[0].shape)

    def read(self) -> NDArray[Any]:
        """The pixels of the frame; `InputError` where they cannot be read."""
        return np.stack([one.read() for one in self.slices])


def source_of(header: Header, index: Index, shape: tuple[int, ...], kind: Kind) -> Source:
    """Where a frame lies: in the planes of a file, and there in a part of them."""
    outer = len(header.shape) - header.plane
    if math.prod(header.shape[:outer]) == 1:
        planes, stored, inner = None, header.shape, index
    else:
        planes = planes_of(header, index)
        stored = (len(planes), *header.shape[outer:])
        inner = (slice(None), *index[outer:])
    return Source(header.path, kind, header.number, planes, header.plane, stored, inner, shape, header.inverted)


def upright(frame: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Bright where the picture is bright: values of a file whose minimum is white, turned over.

    Of labels the background decides, because many programs invert the colours alone: they are turned over where
    the largest value is more common than 0.
    """
    if frame.dtype.kind == "b":
        turned = ~frame
    elif frame.dtype.kind == "u":
        turned = np.iinfo(frame.dtype).max - frame
    elif frame.dtype.kind == "i":
        turned = ~frame
    else:
        turned = -frame
    if kind == "labels" and np.count_nonzero(turned == 0) <= np.count_nonzero(frame == 0):
        return frame
    return np.asarray(turned, dtype=frame.dtype)
