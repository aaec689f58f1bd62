"""Opening a movie: the frames of a folder, a stack, an image or an OME-Zarr, checked before any is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.omezarr import is_zarr, open_zarr
from celltrail.data.files.folder import inspect_folder, list_frame_files
from celltrail.data.files.movie import Frames
from celltrail.data.files.one_file import Wish, dtype_problem, open_file
from celltrail.data.held import hold
from celltrail.data.labels.instances import judge_masks, refuse_masks
from celltrail.data.readers.file_names import frame_number
from celltrail.data.readers.stacks import Header, Kind
from celltrail.data.words import counted

__all__ = [
    "inspect_folder",
    "list_frame_files",
    "number_of",
    "open_frames",
    "open_images",
    "open_instances",
    "open_labels",
    "parse_frames",
    "refuse_masks",
]


def number_of(path: Path) -> int | None:
    """The frame number in a file name (`celltrail.data.readers.file_names.frame_number`); ``None`` if it has none."""
    return frame_number(path)


def parse_frames(text: str | None) -> range | None:
    """``"A:B"`` → frames A to B, both inclusive (like the begin and end of a track); ``None`` → all.

    Either side may be empty: ``"10:"``, ``":20"``.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{0,18})\s*:\s*(\d{0,18})\s*", text)
    if not found:
        raise InputError(f"--frames {text}: write A:B, for example 0:49 (both frames included).")
    start = int(found.group(1) or 0)
    stop = int(found.group(2)) + 1 if found.group(2) else 2**31
    if stop <= start:
        raise InputError(f"--frames {text}: the second frame comes before the first.")
    return range(start, stop)


def as_frames(given: object) -> range | None:
    """Frames as a range: of a range, of (first, last) with both included, of a text ``A:B``; ``None`` → all.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if given is None or isinstance(given, range):
        return given
    if isinstance(given, str):
        return parse_frames(given)
    if isinstance(given, (tuple, list)) and len(given) == 2 and all(isinstance(n, (int, np.integer)) for n in given):
        first, last = map(int, given)
        if 0 <= first <= last:
            return range(first, last + 1)
    raise InputError(f"frames is {given!r}: give (first, last), both included, for example (0, 40).")


def open_images(
    path: Path,
    *,
    frames: range | tuple[int, int] | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> Frames:
    """Open a movie of grey images; see `open_frames`."""
    return open_frames(path, "image", frames=frames, channel=channel, axes=axes, series=series)


def open_labels(
    path: Path,
    *,
    frames: range | tuple[int, int] | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> Frames:
    """Open a movie of label images; see `open_frames`."""
    return open_frames(path, "labels", frames=frames, channel=channel, axes=axes, series=series)


def open_frames(
    path: Path,
    kind: Kind,
    *,
    frames: range | tuple[int, int] | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> Frames:
    """Open a movie: a folder with one file per frame, a stack in one file, a single image, or an OME-Zarr.

    Parameters
    ----------
    path : Path
        Folder or file. A folder with one stack is that movie.
    kind : Kind
        ``"labels"`` demands whole numbers; ``"image"`` any grey values.
    frames : range | tuple[int, int] | None
        The frame numbers to keep, a range or (first, last) with both included (``None``: all).
    channel : int | None
        Which channel to take where a file, or the names of the files, have several.
    axes : str | None
        Axes of a stack ("TYX", "ZYX", "TZYX", "TCYX" …). Otherwise from its metadata; where the file does not say,
        the first axis is time.
    series : int | None
        Which position to take where a file, or the names of the files, have several.

    Returns
    -------
    Frames

    Raises
    ------
    InputError
        With every file that is wrong: unreadable, cut off, of another shape than most, of several channels or
        positions of which none is chosen.
    """
    path, wish, frames = Path(path), Wish(channel, axes, series), as_frames(frames)
    hold(path)
    if path.is_dir() and is_zarr(path):
        movie = _open_zarr(path, kind, wish)
    elif path.is_dir():
        movie = _open_folder(path, kind, wish, frames)
    elif path.is_file():
        movie = open_file(path, kind, wish, frames)
    else:
        raise InputError(f"{path} does not exist: give a folder of frames, or an image file.")
    hold(path)  # all headers are of one movie
    return movie.between(frames)


def open_instances(
    path: Path,
    *,
    frames: range | None = None,
    axes: str | None = None,
    series: int | None = None,
    split_binary: bool = False,
) -> Frames:
    """Open a movie of instance masks, in which every cell has a number of its own; see `open_frames`.

    Parameters
    ----------
    split_binary : bool
        Take every connected part of black-and-white masks, or of maps of classes, as a cell of its own.

    Raises
    ------
    InputError
        As `open_frames`, and where a look at a few frames shows that these are no instance masks
        (`celltrail.data.labels.instances`).
    """
    masks = open_labels(path, frames=frames, axes=axes, series=series)
    if split_binary:
        masks = masks.with_parts_split()
    masks.notes += judge_masks(masks, masks.path)
    return masks


def _open_zarr(path: Path, kind: Kind, wish: Wish) -> Frames:
    movie = open_zarr(path, labels=kind == "labels", **vars(wish))
    if problem := dtype_problem(Header(path, (), movie.dtype, ""), kind):
        raise InputError(problem)
    return Frames(path, movie.sources, movie.dtype, kind, voxel=movie.voxel, interval=movie.interval, notes=movie.notes)


def _open_folder(folder: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames:
    movie, problems = inspect_folder(folder, kind, frames=frames, **vars(wish))
    if movie is None or problems:
        shown = [text for _, text in problems[:20]]
        if len(problems) > 20:
            shown.append(f"{folder}: {counted(len(problems) - 20, 'more file has', 'more files have')} problems.")
        raise InputError(*shown)
    return movie
