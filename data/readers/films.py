"""Films: AVI and MP4 through imageio-ffmpeg (extra ``interop``). Frames without colour are grey values."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.readers.stacks import Header

_PPM = re.compile(rb"P6\s(\d+) (\d+)\s255\s")
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
        first = _read(path, 0, 1)[0]
        count, _ = ffmpeg.count_frames_and_secs(str(path))
    except (OSError, RuntimeError, IndexError, ValueError) as error:
        raise InputError(f"{path} is not a readable film ({_brief(error)}): save it again, best as TIFF.") from None
    height, width = first.shape[:2]
    grey = bool((first == first[..., :1]).all())
    shape = (int(count), height, width) if grey else (int(count), height, width, 3)
    return Header(path, shape, np.dtype(np.uint8), "TYX" if grey else "TYXS", plane=len(shape) - 1)


def read_film(path: Path, planes: tuple[int, ...] | None, plane: int) -> NDArray[np.uint8]:
    """Frames of a film: (n, Y, X) where it is grey (``plane`` 2), else (n, Y, X, 3)."""
    try:
        if planes is None:
            found = _read(path, 0, None)
        else:
            first, last = min(planes), max(planes)
            between = _read(path, first, last - first + 1)
            found = [between[number - first] for number in planes]
    except IndexError:
        raise InputError(f"{path} ends before its last frame: save it again, best as TIFF.") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({_brief(error)}): save it again, best as TIFF.") from None
    frames = np.stack(found)
    return frames[..., 0] if plane == 2 else frames


def _read(path: Path, first: int, count: int | None) -> list[NDArray[np.uint8]]:
    """Frames uint8 (Y, X, 3) from number ``first`` on; numbered as they lie in the film, not by time."""
    program = import_extra("imageio_ffmpeg", "interop").get_ffmpeg_exe()
    command = [program, "-v", "error", "-nostdin", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    command += ["-vf", f"select=gte(n\\,{first})", *(["-frames:v", str(count)] if count is not None else [])]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    frames, at = [], 0
    while found := _PPM.match(done.stdout, at):  # each frame brings its size
        width, height = int(found.group(1)), int(found.group(2))
        at = found.end() + width * height * 3
        frames.append(np.frombuffer(done.stdout[found.end() : at], np.uint8).reshape(height, width, 3))
    if not frames:
        raise RuntimeError(done.stderr.decode(errors="replace") or "it has no frame")
    return frames


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[-80:] or type(error).__name__
