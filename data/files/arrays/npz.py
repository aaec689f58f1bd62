"""``.npz`` files: read from anywhere, measured before anything is inflated, and never a pickle; written with little work."""

from __future__ import annotations

import copy
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.regular import open_regular

SMALL = 64 << 20  # bytes that may be inflated whatever the size of the file
FLATE = 100  # times its size that a larger file may become; tables of real movies stay under 30


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file by name.

    Parameters
    ----------
    path : Path
        A regular file.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    InputError
        If it is no regular file, or would become far larger than it is.
    ValueError, OSError, zipfile.BadZipFile
        If it is damaged, or holds anything but plain arrays.
    """
    with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > max(SMALL, FLATE * path.stat().st_size):
            raise InputError(
                f"{path} would become {total / 2**20:,.0f} MB when it is unpacked, far more than such a file holds: "
                "it is damaged or was made to do harm; make it again."
            )
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) < len(names):
            raise ValueError("two arrays of one name")
        arrays = {}
        for name, member in zip(names, members, strict=True):
            with archive.open(member) as packed:
                arrays[name] = _read(packed, member.file_size)
        return arrays


def _read(stream: IO[bytes], size: int) -> NDArray[Any]:
    """One array of a member that unpacks to ``size`` bytes; what its header promises must be there."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format of arrays")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("objects in place of numbers")
    count = math.prod(shape)
    if count * dtype.itemsize > size:
        raise ValueError(f"a header that promises {shape} but a member of {size} bytes")
    raw = stream.read(count * dtype.itemsize)
    if len(raw) < count * dtype.itemsize:
        raise ValueError("cut short")
    return np.frombuffer(bytearray(raw), dtype=dtype, count=count).reshape(shape, order="F" if fortran else "C")


def write_arrays(stream: IO[bytes], arrays: Mapping[str, Any], like: Path | None = None) -> None:
    """Write arrays as `numpy.savez_compressed` does.

    Parameters
    ----------
    stream : binary file
        Open for writing.
    arrays : mapping
        By name.
    like : path or None
        An earlier file: what is the same in both (by name, length and checksum) is copied as it was packed there, for
        packing takes most of the time.
    """
    with ExitStack() as files:
        out = files.enter_context(zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED))
        known: dict[str, zipfile.ZipInfo] = {}
        if like is not None:
            source = files.enter_context(like.open("rb"))
            known = {member.filename: member for member in zipfile.ZipFile(source).infolist()}
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            data, old = buffer.getvalue(), known.get(f"{name}.npy")
            if old is not None and old.file_size == len(data) and zlib.crc32(data) == old.CRC:
                _copy_packed(source, old, out)
            else:
                out.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def _copy_packed(source: IO[bytes], member: zipfile.ZipInfo, out: zipfile.ZipFile) -> None:
    """Copy a member from one archive to another without unpacking it."""
    source.seek(member.header_offset)
    names = struct.unpack("<26x2H", source.read(30))
    source.seek(sum(names), 1)
    packed = source.read(member.compress_size)
    assert out.fp is not None
    copied = copy.copy(member)
    copied.flag_bits &= ~0x08  # the sizes stand in front
    copied.extra = b""
    copied.header_offset = out.start_dir
    out.fp.seek(out.start_dir)
    out.fp.write(copied.FileHeader() + packed)
    out.start_dir = out.fp.tell()
    out.filelist.append(copied)
    out.NameToInfo[copied.filename] = copied
