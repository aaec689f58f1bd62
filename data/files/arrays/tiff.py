"""Reading TIFF files with care, and writing them whole.

A header is a claim. It is read and checked before anything is allocated: 287 bytes can declare
an image of 75 GB, and some codecs expand beyond what the header says.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.readers.stacks import Header
from celltrail.data.readers.tiff_planes import declared_stack, own_series, planes_there, set_members

# What tifffile has to say about a damaged file is said in the InputError; it need not log it as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_FRAME_BYTES = 16 * 2**30
MAX_EXPANSION = 10_000  # declared bytes per byte of the file; zlib reaches about 1,000
CODECS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    32773: "packbits",
    34925: "LZMA",
    50000: "zstd",
    34926: "zstd",
}
LENGTH_IN_UM = {
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
TIME_IN_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}


def _page_problem(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> str | None:
    page = page.keyframe
    tile = math.prod(int(n) for n in page.chunks) * max(int(page.bitspersample) // 8, 1)
    if tile > MAX_EXPANSION * max(path.stat().st_size, 1):
        return f"{path} declares blocks of {tile:,} bytes, far more than it can hold: it is damaged, save it again."
    if int(page.compression) not in CODECS:
        return (
            f"{path} is compressed with {page.compression.name}, which is not read here: "
            "save it uncompressed or with LZW, deflate or zstd."
        )
    return None


def read_header(path: Path, series: int = 0) -> Header:
    """Read and check the header of a TIFF file, without reading a pixel.

    Parameters
    ----------
    series : int
        Which of the positions in the file.

    Raises
    ------
    InputError
        If the file is missing, not a TIFF, empty, uses an unusual codec, or declares far more
        pixels than it can hold.
    """
    path = Path(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            header = _header_of(path, tiff, page, series)
            problem = _page_problem(path, page)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a TIFF image.") from None
    except PermissionError:
        raise InputError(f"{path} may not be read: change its permissions.") from None
    except Exception as error:  # a damaged header raises whatever it likes
        raise InputError(f"{path} is not a TIFF image ({_brief(error)}): save it as TIFF.") from None
    if problem is not None:
        raise InputError(problem)
    shape, itemsize = header.shape, header.dtype.itemsize
    if 0 in shape or not shape:
        raise InputError(f"{path} holds an image without pixels: remove it or save it again.")
    declared = math.prod(int(n) for n in shape) * itemsize
    stored = path.stat().st_size
    if declared > MAX_EXPANSION * max(stored, 1):
        raise InputError(
            f"{path} declares {declared:,} bytes of pixels but is only {stored:,} bytes long: "
            "it is damaged, save it again."
        )
    plane = math.prod(int(n) for n in shape[-3:]) * itemsize
    if plane > MAX_FRAME_BYTES:
        raise InputError(
            f"{path} declares a frame of {plane / 2**30:.0f} GB, more than the {MAX_FRAME_BYTES >> 30} GB "
            "that are read at once: crop or bin it."
        )
    return header


def _header_of(path: Path, tiff: tifffile.TiffFile, page: Any, series: int) -> Header:
    """What a TIFF file declares; shape () where it declares nothing."""
    voxel, interval = _scale(tiff)
    inverted = int(page.photometric) == 0
    there = planes_there(tiff)
    others = set_members(tiff)
    # of a set with one plane a file, the names say which it is; to look at all files from each takes long
    plain = there.claimed == 1 and not tiff.is_imagej and not tiff.is_shaped and (bool(others) or not tiff.is_ome)
    declared = declared_stack(tiff, there)
    if declared is not None:  # the file is shorter than it says
        return Header(
            path,
            declared.shape,
            np.dtype(page.dtype),
            declared.axes,
            voxel,
            interval,
            page.ndim,
            declared.missing,
            inverted=inverted,
        )
    if plain:
        shape, axes, dtype = page.shape, page.axes, page.dtype
        return Header(
            path,
            tuple(int(n) for n in shape),
            np.dtype(dtype),
            str(axes),
            voxel,
            interval,
            len(shape),
            inverted=inverted,
            others=others,
        )
    found = own_series(tiff)
    chosen = found[series]
    return Header(
        path,
        chosen.shape,
        chosen.dtype,
        chosen.axes,
        voxel,
        interval,
        chosen.plane,
        chosen.missing,
        tuple(one.name for one in found),
        series,
        inverted=inverted,
        others=others,
    )


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:80] or type(error).__name__


def _scale(tiff: tifffile.TiffFile) -> tuple[tuple[float, float, float] | None, float | None]:
    """Voxel size in µm and frame interval in s, from OME or ImageJ metadata."""
    try:
        if tiff.is_ome and tiff.ome_metadata:
            return _ome_scale(tiff.ome_metadata)
        if tiff.is_imagej and tiff.imagej_metadata:
            return _imagej_scale(tiff)
    except (ValueError, KeyError, TypeError, ZeroDivisionError, ElementTree.ParseError):
        pass  # a scale that cannot be read is a scale that is not known
    return None, None


def _ome_scale(xml: str) -> tuple[tuple[float, float, float] | None, float | None]:
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return None, None  # OME never needs entities; expanding them is how XML bombs work
    pixels = next((e for e in ElementTree.fromstring(xml).iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None, None

    def size(axis: str) -> float | None:
        value = pixels.get(f"PhysicalSize{axis}")
        unit = LENGTH_IN_UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        return None if value is None or unit is None else float(value) * unit

    z, y, x = size("Z"), size("Y"), size("X")
    step = pixels.get("TimeIncrement")
    unit = TIME_IN_S.get(pixels.get("TimeIncrementUnit", "s"))
    interval = None if step is None or unit is None or not 0 < float(step) < math.inf else float(step) * unit
    if y is None or x is None or not all(0 < length < math.inf for length in (y, x, z or 1.0)):
        return None, interval
    return (z or 1.0, y, x), interval


def _imagej_scale(tiff: tifffile.TiffFile) -> tuple[tuple[float, float, float] | None, float | None]:
    meta = tiff.imagej_metadata or {}
    tags = tiff.pages.first.tags
    step = float(meta.get("finterval", 0.0)) * TIME_IN_S.get(str(meta.get("tunit", "sec")).lower(), 0.0)
    interval = step if 0 < step < math.inf else None
    unit = LENGTH_IN_UM.get(str(meta.get("unit", "")).lower().replace("\\u00b5", "µ").replace("\u03bc", "µ"))
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None, interval
    (xn, xd), (yn, yd) = tags["XResolution"].value, tags["YResolution"].value
    return (float(meta.get("spacing", 1.0)) * unit, yd / yn * unit, xd / xn * unit), interval


def read_pages(path: Path, pages: Sequence[int] | None = None, series: int = 0) -> NDArray[Any]:
    """Read a TIFF file, or some planes of one of its positions stacked along a new first axis (all: where it has several).

    The header must have been checked with `read_header`.

    Raises
    ------
    InputError
        If the pixels cannot be decoded.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            if pages is None and len(tiff.pages) == 1:
                return np.asarray(_read_page(tiff.pages.first))
            there = planes_there(tiff)
            if there.contiguous:  # one directory for many planes (ImageJ beyond 4 GB, a stack that was cut)
                return there.read(range(there.whole) if pages is None else pages)
            planes = tiff.pages if there.cut else own_series(tiff)[series].pages
            picked = list(planes) if pages is None else [planes[page] for page in pages]
            if problem := next(filter(None, (_page_problem(path, page) for page in picked)), None):
                raise InputError(problem)
            return np.stack([page.asarray() for page in picked])
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} has disappeared: it was there when the movie was opened.") from None
    except MemoryError:
        raise InputError(f"{path} does not fit into memory: crop or bin it.") from None
    except Exception as error:  # codecs raise whatever they like on damaged data
        raise InputError(f"{path} is damaged ({_brief(error)}): save it again.") from None


def _read_page(page: Any) -> NDArray[Any]:
    """The pixels of one page. Deflated strips, as the CTC's masks have them, are decoded in place, which takes a third
    of the time of the general way.
    """
    plain = (
        isinstance(page, tifffile.TiffPage)
        and int(page.compression) in (8, 32946)
        and not page.is_tiled
        and len(page.shape) == 2
        and page.dtype is not None
        and page.bitspersample == 8 * page.dtype.itemsize
        and int(page.predictor) == 1
        and int(page.fillorder) == 1
        and page.parent.byteorder == ("<" if sys.byteorder == "little" else ">")
        and all(page.databytecounts)
    )
    if not plain:
        return np.asarray(page.asarray())
    pixels: NDArray[Any] = np.empty(page.shape, dtype=page.dtype)
    places = pixels.reshape(-1).view(np.uint8)
    strip = int(page.rowsperstrip) * page.shape[1] * pixels.itemsize
    stream = page.parent.filehandle
    for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        target = places[number * strip : (number + 1) * strip]
        stream.seek(offset)
        if len(imagecodecs.deflate_decode(stream.read(count), out=target.data)) != len(target):
            raise ValueError("a strip is too short")
    return pixels


def write_labels(path: Path, labels: NDArray[np.integer[Any]], *, bits: Literal[16, 32] = 16) -> None:
    """Write a label image as the CTC wants it: uint16, zlib; whole or not at all.

    Parameters
    ----------
    labels : NDArray[np.integer[Any]]
        Integer array (Y, X) or (Z, Y, X), values 0 … 65,535.
    bits : 16 or 32
        32: uint32, for more labels; the CTC's own software does not read it.

    Raises
    ------
    InputError
        If a label does not fit into the bits.
    """
    top = int(labels.max(initial=0))
    if top >= 2**bits or int(labels.min(initial=0)) < 0:
        raise InputError(
            f"{path}: label {top} does not fit into the {bits} bits of a CTC mask: "
            "split the movie, or write another format."
        )
    write_array(path, np.ascontiguousarray(labels, dtype=np.uint16 if bits == 16 else np.uint32))


def write_array(path: Path, array: NDArray[Any], **options: Any) -> None:
    """Write an array as zlib-compressed TIFF through a temporary name; same array, same bytes."""
    path = Path(path)
    work = path.with_name(f".{path.name}.partial")
    try:
        tifffile.imwrite(
            work, array, compression="zlib", photometric="minisblack", metadata=None, software="celltrail", **options
        )
        os.replace(work, path)
    except BaseException:
        work.unlink(missing_ok=True)
        raise
