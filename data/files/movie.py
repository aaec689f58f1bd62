"""A movie as a mapping from frame number to array: on disk (``Frames``), a part of one, or computed.

Everything that works on a movie takes a ``Mapping[int, ndarray]``; a plain dict of arrays will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.omezarr import ZarrSource
from celltrail.data.files.file_formats import SlicesSource, Source
from celltrail.data.held import Held
from celltrail.data.labels.instances import split_parts
from celltrail.data.readers.stacks import Kind
from celltrail.data.settings import number_problem
from celltrail.data.types import Masks

AnySource = Source | SlicesSource | ZarrSource


class LazyFrames(Mapping[int, NDArray[Any]]):
    """Frames by number; a subclass reads or computes one in ``__getitem__``. Asking for a number reads nothing."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = dict.fromkeys(numbers)

    def __contains__(self, number: object) -> bool:
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class Frames(LazyFrames):
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
    notes : tuple[str, ...]
        What a person should be told about how the files were understood, one sentence each.
    gaps : bool
        Whether images may hold NaN and infinity; otherwise such a frame is an `InputError`.
    """

    gaps = False

    def __init__(
        self,
        path: Path,
        sources: Mapping[int, AnySource],
        dtype: np.dtype[Any],
        kind: Kind,
        *,
        voxel: tuple[float, float, float] | None = None,
        interval: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(sorted(sources))
        self.path = path
        self.notes = notes
        self.splits = False
        self.sources: dict[int, AnySource] = {number: sources[number] for number in sorted(sources)}
        self.numbers = tuple(self.sources)
        self.shape = next(iter(self.sources.values())).shape
        self.dtype = dtype
        self.kind = kind
        # what a file says that nobody can mean (NaN, 1e300) is as good as not said
        self.voxel = None if voxel is None or any(map(number_problem, voxel)) else voxel
        self.interval = None if number_problem(interval) else interval
        self._held = Held(path)  # ``path`` may come to name the folder around it

    def __getstate__(self) -> dict[str, Any]:
        """A movie that travels to another process names its files from the root: that one may work elsewhere."""
        sources = {number: source.absolute() for number, source in self.sources.items()}
        return {**self.__dict__, "path": self.path.absolute(), "sources": sources}

    def __getitem__(self, number: int) -> NDArray[Any]:
        source = self.sources[number]
        try:
            array = source.read()
        finally:  # a result that is replaced meanwhile is told, not read half and half, nor blamed
            self._held.check()
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)
        if self.kind == "labels" and array.dtype.kind == "f":
            array = whole_numbers(array, source.path)
        if self.kind == "labels" and array.dtype.kind == "i" and int(array.min(initial=0)) < 0:
            raise InputError(f"{source.path} holds the label {int(array.min())}: labels must not be negative.")
        finite = np.isfinite(array) if self.kind == "image" and array.dtype.kind == "f" else None
        if finite is not None and not (finite.any() if self.gaps else finite.all()):
            if self.gaps:
                raise InputError(
                    f"{source.path} holds no finite value (only NaN or infinity): remove this frame, it is then taken "
                    "for one that is missing."
                )
            raise InputError(f"{source.path} holds values that are not finite (NaN or infinity): replace them.")
        return split_parts(array) if self.splits else array

    @property
    def files(self) -> list[Path]:
        """The files behind the movie, each once, in frame order; those of a Zarr array by name."""
        paths = dict.fromkeys(path for source in self.sources.values() for path in source.paths)
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
        part = copy(self)
        LazyFrames.__init__(part, kept)
        part.sources, part.numbers = kept, tuple(kept)
        return part

    def with_parts_split(self) -> Frames:
        """The same movie; every connected part of a label becomes a cell of its own when a frame is read."""
        masks = copy(self)
        masks.splits = True
        return masks


def whole_numbers(array: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Labels that were saved as floating point; `InputError` where they are no whole numbers."""
    whole = np.zeros(array.shape, np.int64)
    np.copyto(whole, array, where=np.abs(array) < 2**53, casting="unsafe")
    if not np.array_equal(whole, array):
        raise InputError(
            f"{path} holds {array.dtype} values that are no whole numbers, as a map of probabilities does, but a mask "
            "holds 0 for background and one number per cell: save it as 16-bit labels."
        )
    return whole


class PartOfMovie(LazyFrames):
    """Some frames of any movie; they are read when they are asked for, or when the part travels to another process."""

    def __init__(self, movie: Mapping[int, NDArray[Any]], frames: range) -> None:
        super().__init__(number for number in frames if number in movie)
        self._movie = movie

    def __reduce__(self) -> tuple[type[dict[int, NDArray[Any]]], tuple[dict[int, NDArray[Any]]]]:
        return dict, ({number: self[number] for number in self},)

    def __getitem__(self, frame: int) -> NDArray[Any]:
        return self._movie[frame]


def part_of(movie: Mapping[int, NDArray[Any]], frames: range) -> Mapping[int, NDArray[Any]]:
    """The frames of any movie whose number is in ``frames``: a small parcel for another process where they lie in files."""
    between = getattr(movie, "between", None)
    if between is None:
        return PartOfMovie(movie, frames)
    part: Mapping[int, NDArray[Any]] = between(frames)
    return part


class ComputedFrames(LazyFrames):
    """A movie whose frames are computed whenever they are asked for, so that one at a time is in memory."""

    def __init__(self, numbers: Iterable[int], compute: Callable[[int], NDArray[Any]]) -> None:
        super().__init__(sorted(numbers))
        self._compute = compute

    def __getitem__(self, frame: int) -> NDArray[Any]:
        if frame not in self._numbers:
            raise KeyError(frame)
        return self._compute(frame)


class DerivedFrames(LazyFrames):
    """Masks that are made, frame by frame, from other ``masks``; path and voxel are theirs."""

    def __init__(self, masks: Masks) -> None:
        super().__init__(masks)
        self.masks = masks
        self.path, self.voxel = getattr(masks, "path", None), getattr(masks, "voxel", None)

    def between(self, frames: range) -> Self:
        """The same movie, only the frames whose number is in ``frames``."""
        part = copy(self)
        part.masks = part_of(self.masks, frames)
        LazyFrames.__init__(part, part.masks)
        return part
