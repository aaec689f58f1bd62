"""A movie as a mapping from frame number to array: on disk (``Frames``), a part of one, or computed.

Everything that works on a movie takes a ``Mapping[int, ndarray]``; a plain dict of arrays will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.omezarr import ZarrSource
from celltrail.data.files.tiff import read_pages

Kind = Literal["image", "labels"]
PICTURE_SUFFIXES = (".png", ".bmp")


@dataclass(frozen=True)
class Source:
    """Where one frame lies: a file, and the planes of it (``None``: all), with their shape."""

    path: Path
    planes: tuple[int, ...] | None
    shape: tuple[int, ...]
    pick: int | None = None  # index along a channel axis inside the plane
    pick_axis: int = 0

    def read(self) -> NDArray[Any]:
        """The pixels of the frame; `InputError` where they cannot be read."""
        picture = self.path.suffix.lower() in PICTURE_SUFFIXES
        array = read_picture(self.path) if picture else read_pages(self.path, self.planes)
        channels, rest = divmod(array.size, int(np.prod(self.shape)))
        if rest or (self.pick is None and channels != 1) or (self.pick is not None and channels <= self.pick):
            raise InputError(f"{self.path} has changed since the movie was opened: start again.")
        if self.pick is not None:
            before, after = self.shape[: self.pick_axis], self.shape[self.pick_axis :]
            array = np.take(array.reshape(*before, channels, *after), self.pick, axis=self.pick_axis)
        return array.reshape(self.shape)


class Frames(Mapping[int, NDArray[Any]]):
    """The frames of one movie, by the number in the file name; lazy.

    Attributes
    ----------
    numbers
        Frame numbers, ascending. Missing numbers are gaps, not ends.
    shape
        Shape of each frame, (Y, X) or (Z, Y, X).
    dtype : np.dtype[Any]
        Dtype of the frames on disk.
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm, or ``None``.
    interval : float | None
        Seconds between frames, or ``None``.
    path : Path
        The folder or file that the movie came from.
    """

    def __init__(
        self,
        path: Path,
        sources: Mapping[int, Source | ZarrSource],
        dtype: np.dtype[Any],
        kind: Kind,
        *,
        voxel: tuple[float, float, float] | None = None,
        interval: float | None = None,
    ) -> None:
        self.path = path
        self.sources: dict[int, Source | ZarrSource] = {number: sources[number] for number in sorted(sources)}
        self.numbers = tuple(self.sources)
        self.shape = next(iter(self.sources.values())).shape
        self.dtype = dtype
        self.kind = kind
        self.voxel = voxel
        self.interval = interval

    def __getstate__(self) -> dict[str, Any]:
        """A movie that travels to another process names its files from the root: that one may work elsewhere."""
        sources = {number: replace(source, path=source.path.absolute()) for number, source in self.sources.items()}
        return {**self.__dict__, "path": self.path.absolute(), "sources": sources}

    def __getitem__(self, number: int) -> NDArray[Any]:
        source = self.sources[number]
        array = source.read()
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)
        if self.kind == "labels" and array.dtype.kind == "i" and int(array.min(initial=0)) < 0:
            raise InputError(f"{source.path} holds the label {int(array.min())}: labels must not be negative.")
        if self.kind == "image" and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{source.path} holds values that are not finite (NaN or infinity): replace them.")
        return array

    def __contains__(self, number: object) -> bool:  # without it, asking for a frame would read it
        return number in self.sources

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def files(self) -> list[Path]:
        """The files behind the movie, each once, in frame order; those of a Zarr array by name."""
        paths = dict.fromkeys(source.path for source in self.sources.values())
        files = [sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] for path in paths]
        return [file for group in files for file in group]

    def between(self, frames: range | None) -> Frames:
        """The same movie, only the frames whose number is in ``frames`` (``None``: all)."""
        if frames is None:
            return self
        few = frames if len(frames) < len(self.sources) else self.sources
        kept = {number: self.sources[number] for number in few if number in frames and number in self.sources}
        if not kept:
            raise InputError(
                f"{self.path} has no frame in {frames.start}:{frames.stop - 1} "
                f"(it has frames {self.numbers[0]} to {self.numbers[-1]}): choose other --frames."
            )
        return Frames(self.path, kept, self.dtype, self.kind, voxel=self.voxel, interval=self.interval)


class PartOfMovie(Mapping[int, NDArray[Any]]):
    """Some frames of any movie; they are read when they are asked for, or when the part travels to another process."""

    def __init__(self, movie: Mapping[int, NDArray[Any]], frames: range) -> None:
        self._movie = movie
        self._numbers = dict.fromkeys(number for number in frames if number in movie)

    def __reduce__(self) -> tuple[type[dict[int, NDArray[Any]]], tuple[dict[int, NDArray[Any]]]]:
        return dict, ({number: self[number] for number in self},)

    def __getitem__(self, frame: int) -> NDArray[Any]:
        return self._movie[frame]

    def __contains__(self, number: object) -> bool:
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def part_of(movie: Mapping[int, NDArray[Any]], frames: range) -> Mapping[int, NDArray[Any]]:
    """The frames of any movie whose number is in ``frames``: a small parcel for another process where they lie in files."""
    between = getattr(movie, "between", None)
    if between is None:
        return PartOfMovie(movie, frames)
    part: Mapping[int, NDArray[Any]] = between(frames)
    return part


class ComputedFrames(Mapping[int, NDArray[Any]]):
    """A movie whose frames are computed whenever they are asked for, so that one at a time is in memory."""

    def __init__(self, numbers: Iterable[int], compute: Callable[[int], NDArray[Any]]) -> None:
        self._numbers, self._compute = dict.fromkeys(sorted(numbers)), compute

    def __getitem__(self, frame: int) -> NDArray[Any]:
        if frame not in self._numbers:
            raise KeyError(frame)
        return self._compute(frame)

    def __contains__(self, number: object) -> bool:
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def read_picture(path: Path) -> NDArray[Any]:
    """Read a PNG or BMP file; `InputError` if it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} is not a readable picture ({type(error).__name__}): save it again.") from None
