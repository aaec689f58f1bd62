"""Films: AVI and MP4 through imageio-ffmpeg (extra ``interop``). Frames without colour are grey values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.readers.stacks import Header

FILM_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".m4v", ".wmv", ".mpg", ".mpeg")


def read_film_header(path: Path) -> Header:
    """Size and number of frames of a film; its first frame tells whether it has colours.

    Raises
    ------
    InputError
        If it is no film, or holds no frame.
    MissingExtra
        Without imageio-ffmpeg.
    """
    ffmpeg = import_extra("imageio_ffmpeg", "interop")
    try:
        first = next(_frames(path, 0))
        count, _ = ffmpeg.count_frames_and_secs(str(path))
    except (OSError, RuntimeError, StopIteration, ValueError) as error:
        raise InputError(f"{path} is not a readable film ({_brief(error)}): save it again, best as TIFF.") from None
    height, width = first.shape[:2]
    grey = bool((first == first[..., :1]).all())
    shape = (int(count), height, width) if grey else (int(count), height, width, 3)
    return Header(path, shape, np.dtype(np.uint8), "TYX" if grey else "TYXS", plane=len(shape) - 1)


def read_film(path: Path, planes: tuple[int, ...] | None, plane: int) -> NDArray[np.uint8]:
    """Frames of a film: (n, Y, X) where it is grey (``plane`` 2), else (n, Y, X, 3)."""
    wanted = None if planes is None else set(planes)
    found: dict[int, NDArray[np.uint8]] = {}
    start = 0 if planes is None else min(planes)
    try:
        for number, frame in enumerate(_frames(path, start), start=start):
            if wanted is None or number in wanted:
                found[number] = frame[..., 0] if plane == 2 else frame
            if wanted is not None and len(found) == len(wanted):
                break
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({_brief(error)}): save it again, best as TIFF.") from None
    order = sorted(found) if planes is None else list(planes)
    if not all(number in found for number in order):
        raise InputError(f"{path} ends before the frame {max(order)}: save it again, best as TIFF.")
    return np.stack([found[number] for number in order])


def _frames(path: Path, start: int) -> Iterator[NDArray[np.uint8]]:
    """The frames from ``start`` on, uint8 (Y, X, 3), numbered exactly (no seeking by time)."""
    ffmpeg = import_extra("imageio_ffmpeg", "interop")
    choose = ["-vf", f"select=gte(n\\,{start})", "-fps_mode", "passthrough"] if start else ["-fps_mode", "passthrough"]
    reader = ffmpeg.read_frames(str(path), pix_fmt="rgb24", output_params=choose)
    try:
        size: Any = next(reader)["size"]
        for content in reader:
            yield np.frombuffer(content, np.uint8).reshape(size[1], size[0], 3)
    finally:
        reader.close()


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[-80:] or type(error).__name__
