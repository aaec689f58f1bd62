"""Which planes a TIFF file declares, and which of them are in it.

Three parties speak of the planes: the description (ImageJ, OME, tifffile's "shape"), the directories ("pages"), and
the length of the file. Where they agree, all is well; where the file is shorter, its copy was interrupted or its
acquisition aborted, and only some planes are whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

MOST_DIRECTORIES = 10_000_000  # a ring of directories is no file
SMALL = ("thumbnail", "label", "macro", "overview")  # pictures beside the movie


@dataclass(frozen=True)
class Planes:
    """What is in the file: the first ``whole`` planes of ``claimed``; ``cut`` where planes or directories are missing.

    Attributes
    ----------
    contiguous : bool
        The planes lie one after the other, and the first directory alone describes them.
    """

    whole: int
    claimed: int
    cut: bool
    contiguous: bool
    page: Any

    def read(self, planes: Sequence[int]) -> NDArray[Any]:
        """Planes (n, *plane) that lie one after the other."""
        page = self.page
        stream, offset = page.parent.filehandle, int(page.dataoffsets[0])
        size = _bytes_of(page)
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        result = np.empty((len(planes), *page.shape), np.dtype(page.dtype))
        for place, plane in enumerate(planes):
            if not 0 <= plane < self.whole:
                raise ValueError("the file is shorter than it was")
            stream.seek(offset + plane * size)
            result[place] = np.frombuffer(stream.read(size), dtype).reshape(page.shape)
        return result


@dataclass(frozen=True)
class Declared:
    """A stack as the file declares it, and which of its planes are missing."""

    shape: tuple[int, ...]
    axes: str
    missing: frozenset[int]


@dataclass(frozen=True)
class Series:
    """One position of a file: what `celltrail.data.readers.stacks.Header` says of it, and its pages (``None``: not in the file)."""

    name: str
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    plane: int
    pages: tuple[Any, ...]
    missing: frozenset[int]


def planes_there(tiff: tifffile.TiffFile) -> Planes:
    """Compare directories, description and length of a file."""
    first = tiff.pages.first
    size = int(tiff.filehandle.size)
    directories, following = _directories(tiff)
    count, broken = len(directories), following != 0
    described = _described(tiff)
    told = math.prod(described[0]) if described else 1
    plane = _bytes_of(first)
    if plane and _is_plain(first):  # where the second directory is, or was, the planes before it end
        offset = int(first.dataoffsets[0])
        second = directories[1] if count > 1 else following
        claimed = max(1, (second - offset) // plane if second > offset else told if count == 1 else 1)
        if claimed > 1 and (broken or count == 1):
            whole = max(0, min((size - offset) // plane, claimed))
            return Planes(whole, claimed, broken or whole < claimed, True, first)
    if count == 1 and not broken:
        return Planes(1, max(told, 1), told > 1, False, first)
    whole = count
    while whole and not _is_whole(tiff.pages[whole - 1], size):
        whole -= 1
    claimed = max(count + broken, told if told >= count else 0)
    return Planes(whole, claimed, whole < claimed, False, first)


def declared_stack(tiff: tifffile.TiffFile, there: Planes) -> Declared | None:
    """The stack that a file declares where it is shorter than that; ``None`` where it is whole."""
    if not there.cut:
        return None
    page = there.page
    described = _described(tiff)
    outer: tuple[int, ...] = (there.claimed,)
    letters = "I"
    if described and math.prod(described[0]) == there.claimed:
        outer, letters = described
    shape = (*outer, *(int(n) for n in page.shape))
    return Declared(shape, letters + page.axes, frozenset(range(there.whole, there.claimed)))


def own_series(tiff: tifffile.TiffFile) -> list[Series]:
    """The positions of which a file holds planes; pages of equal shape without a description are one stack."""
    found = [series for series in tiff.series if any(_is_of(tiff, page) for page in series.pages)]
    found = [series for series in found if not series.name.lower().startswith(SMALL)] or found
    if len(found) > 1 and not tiff.is_ome:
        first = found[0]
        if all(len(one.shape) == len(first.keyframe.shape) for one in found):  # pages written one by one
            same = [one for one in found if one.shape == first.shape and one.dtype == first.dtype]
            pages = tuple(page for one in same for page in one.pages)
            axes = ("I" if len(same) > 1 else "") + first.axes
            outer = (len(same),) if len(same) > 1 else ()
            return [
                Series(
                    "", outer + _ints(first.shape), axes, np.dtype(first.dtype), len(first.shape), pages, frozenset()
                )
            ]
        found = [one for one in found if not one.keyframe.is_reduced]
    return [_as_series(tiff, one) for one in found]


def set_members(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    """Names of the other files of a set, from OME metadata."""
    if not tiff.is_ome or "FileName" not in (tiff.ome_metadata or ""):
        return ()
    own = Path(str(tiff.filehandle.path)).name
    root = ElementTree.fromstring(tiff.ome_metadata)
    named = {str(e.get("FileName")) for e in root.iter() if e.tag.endswith("}UUID") and e.get("FileName")}
    return tuple(sorted(named - {own}))


def _is_of(tiff: tifffile.TiffFile, page: Any) -> bool:
    """Whether a page lies in this file, not in another one of its set."""
    return page is not None and page.parent is tiff


def _as_series(tiff: tifffile.TiffFile, series: Any) -> Series:
    shape, axes = _ints(series.shape), str(series.axes)
    page = series.keyframe
    plane = len(page.shape) if shape[-len(page.shape) :] == tuple(page.shape) else 2
    outer = shape[: len(shape) - plane]
    total = math.prod(outer)
    pages = tuple(page if _is_of(tiff, page) else None for page in series.pages)
    if len(pages) == total:
        there = np.array([item is not None for item in pages], dtype=bool).reshape(outer)
        kept = [
            np.flatnonzero(there.any(axis=tuple(j for j in range(len(outer)) if j != i))) for i in range(len(outer))
        ]
        if outer and int(np.prod([len(k) for k in kept])) == int(there.sum()) < total and set_members(tiff):
            outer = tuple(len(k) for k in kept)
            pages = tuple(item for item in pages if item is not None)
            return Series(series.name, outer + shape[-plane:], axes, np.dtype(series.dtype), plane, pages, frozenset())
        missing = frozenset(np.flatnonzero(~there.ravel()).tolist())
        return Series(series.name, shape, axes, np.dtype(series.dtype), plane, pages, missing)
    return Series(series.name, shape, axes, np.dtype(series.dtype), plane, pages, frozenset())


def _ints(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(n) for n in shape)


def _described(tiff: tifffile.TiffFile) -> tuple[tuple[int, ...], str] | None:
    """The axes before the plane as the description tells them, with their letters; ``None`` where it does not."""
    if tiff.is_imagej:
        meta = tiff.imagej_metadata or {}
        outer = tuple(int(meta.get(key, 1)) for key in ("frames", "slices", "channels"))
        images = int(meta.get("images", 1))
        if math.prod(outer) == images and min(outer) > 0:
            kept = [(n, letter) for n, letter in zip(outer, "TZC", strict=True) if n > 1]
            return tuple(n for n, _ in kept), "".join(letter for _, letter in kept)
        return (images,), "I"
    if tiff.is_shaped and not tiff.is_ome:
        shaped: dict[str, Any] = (tiff.shaped_metadata or ({},))[0]
        shape = tuple(int(n) for n in shaped.get("shape", ()))
        page = tuple(tiff.pages.first.shape)
        if len(shape) > len(page) and shape[-len(page) :] == page:
            outer = shape[: -len(page)]
            axes = str(shaped.get("axes", ""))
            return outer, axes[: len(outer)] if len(axes) == len(shape) else "I" * len(outer)
    return None


def _bytes_of(page: Any) -> int:
    return math.prod(page.shape) * int(np.dtype(page.dtype).itemsize) if page.dtype is not None else 0


def _is_plain(page: Any) -> bool:
    """Whether planes may lie one after the other: uncompressed, whole bytes, in one piece."""
    return bool(
        int(page.compression) == 1
        and not page.is_tiled
        and page.is_contiguous
        and page.dataoffsets
        and page.bitspersample == 8 * np.dtype(page.dtype).itemsize
    )


def _is_whole(page: Any, size: int) -> bool:
    return all(offset + count <= size for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True))


def _directories(tiff: tifffile.TiffFile) -> tuple[list[int], int]:
    """Where the directories are that lie in the file, and where the next one should be (0: there is none)."""
    kind, stream, size = tiff.tiff, tiff.filehandle, int(tiff.filehandle.size)
    found: list[int] = []
    offset = int(tiff.pages.first.offset)
    while offset and offset + kind.tagnosize <= size and (not found or offset not in found[-1:]):
        stream.seek(offset)
        count = int.from_bytes(stream.read(kind.tagnosize), _order(tiff))
        end = offset + kind.tagnosize + count * kind.tagsize
        if end + kind.offsetsize > size:
            break
        found.append(offset)
        if len(found) > MOST_DIRECTORIES:
            break
        stream.seek(end)
        offset = int.from_bytes(stream.read(kind.offsetsize), _order(tiff))
    return found, offset


def _order(tiff: tifffile.TiffFile) -> Any:
    return "little" if tiff.byteorder == "<" else "big"
