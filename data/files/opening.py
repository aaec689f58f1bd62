"""Opening a movie: the frames of a folder, a stack, an image or an OME-Zarr, checked before any is read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.files.movie import PICTURE_SUFFIXES, Frames, Kind, Source, read_picture
from celltrail.data.files.omezarr import is_zarr, open_zarr
from celltrail.data.files.tiff import Header, read_header

TIFF_SUFFIXES = (".tif", ".tiff")
SAME_AS_NEIGHBOUR = 0.8  # share of foreground pixels; 8-bit images of a microscope stay below 0.1
KNOWN_PREFIXES = ("mask", "man_track", "man_seg", "t")
LAST_FRAME = 9_999_999  # a larger number in a name is no frame number
_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def number_of(path: Path) -> int | None:
    """The frame number in a file name: its last group of digits; ``None`` if it has none."""
    found = _NUMBER.search(path.stem)
    return int(found.group(1)) if found else None


def list_frame_files(folder: Path) -> dict[int, Path]:
    """The image files of one movie in a folder, by frame number.

    Files are grouped by the text before their number. Where a folder holds several groups, the
    one with a name of the CTC is taken (``mask``, ``man_track``, ``man_seg``, ``t``).

    Raises
    ------
    InputError
        If the folder is missing, holds no numbered image, mixes unknown groups, or has two files
        with one number.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: give the folder that holds the frames.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): change its permissions.") from None
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path in entries:
        if path.name.startswith(".") or path.suffix.lower() not in (*TIFF_SUFFIXES, *PICTURE_SUFFIXES):
            continue
        found = _NUMBER.search(path.stem)
        if found is not None and path.is_file():
            groups.setdefault(path.stem[: found.start()], []).append((int(found.group(1)), path))
    if not groups:
        inside = [entry.name for entry in entries if entry.is_dir()][:5]
        hint = f"give one of its folders ({', '.join(inside)})" if inside else "name the frames like t000.tif"
        raise InputError(f"{folder} holds no numbered TIFF or PNG files: {hint}.")
    if len(groups) > 1:
        known = [prefix for prefix in KNOWN_PREFIXES if prefix in groups]
        if not known:
            names = ", ".join(f"{group[0][1].name}" for group in list(groups.values())[:4])
            raise InputError(
                f"{folder} mixes files of several kinds ({names} …): put each movie into a folder of its own."
            )
        groups = {known[0]: groups[known[0]]}
    (files,) = groups.values()
    by_number: dict[int, Path] = {}
    problems = []
    for number, path in files:
        if number in by_number:
            problems.append(
                f"{folder}: {by_number[number].name} and {path.name} have the same frame number {number}: keep one."
            )
        by_number.setdefault(number, path)
    if max(by_number) > LAST_FRAME:
        problems.append(
            f"{by_number[max(by_number)]} has the frame number {max(by_number)}, which looks like a date: "
            "number the frames 0, 1, 2 …"
        )
    if problems:
        raise InputError(*problems)
    return by_number


def parse_frames(text: str | None) -> range | None:
    """``"A:B"`` → frames A to B, both inclusive (like the begin and end of a track); ``None`` → all.

    Either side may be empty: ``"10:"``, ``":20"``.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    if not found:
        raise InputError(f"--frames {text}: write A:B, for example 0:49 (both frames included).")
    start = int(found.group(1) or 0)
    stop = int(found.group(2)) + 1 if found.group(2) else 2**31
    if stop <= start:
        raise InputError(f"--frames {text}: the second frame comes before the first.")
    return range(start, stop)


def refuse_masks(images: Frames) -> None:
    """Raise `InputError` if the first frame is a label image or a binary mask, not a picture of cells.

    In a mask nearly every pixel of an object equals its neighbour; in a picture few do.
    """
    frame = images[images.numbers[0]]
    right = frame[..., 1:]
    inside = right > 0
    equal = (right == frame[..., :-1])[inside]
    if frame.dtype.kind in "uib" and equal.size and float(equal.mean()) > SAME_AS_NEIGHBOUR:
        raise InputError(f"{images.path} holds masks, not images: give the folder with the grey images.")


def open_images(
    path: Path, *, frames: range | None = None, channel: int | None = None, axes: str | None = None
) -> Frames:
    """Open a movie of grey images; see `open_frames`."""
    return open_frames(path, "image", frames=frames, channel=channel, axes=axes)


def open_labels(
    path: Path, *, frames: range | None = None, channel: int | None = None, axes: str | None = None
) -> Frames:
    """Open a movie of label images; see `open_frames`."""
    return open_frames(path, "labels", frames=frames, channel=channel, axes=axes)


def open_frames(
    path: Path, kind: Kind, *, frames: range | None = None, channel: int | None = None, axes: str | None = None
) -> Frames:
    """Open a movie: a folder with one file per frame, a stack in one TIFF file, a single image, or an OME-Zarr.

    Parameters
    ----------
    path : Path
        Folder or file.
    kind : Kind
        ``"labels"`` demands integers; ``"image"`` any grey values.
    frames : range | None
        The frame numbers to keep (``None``: all).
    channel : int | None
        Which channel to take where a file has several.
    axes : str | None
        Axes of a stack ("TYX", "ZYX", "TZYX", "TCYX" …). Otherwise from its metadata; where the file does not say,
        the first axis is time.

    Returns
    -------
    Frames

    Raises
    ------
    InputError
        With every file that is wrong: unreadable, of another shape or dtype than most, RGB
        without ``channel``, floating point where labels are expected.
    """
    path = Path(path)
    if path.is_dir() and is_zarr(path):
        movie = _open_zarr(path, kind, channel, axes)
    elif path.is_dir():
        movie = _open_folder(path, kind, channel, axes, frames)
    elif path.is_file():
        movie = _open_file(path, kind, channel, axes)
    else:
        raise InputError(f"{path} does not exist: give a folder of frames, or an image file.")
    return movie.between(frames)


def _header(path: Path) -> Header:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        picture = read_picture(path)
        return Header(path, picture.shape, picture.dtype, "YX" if picture.ndim == 2 else "YXS")
    return read_header(path)


def _dtype_problem(header: Header, kind: Kind) -> str | None:
    if kind == "labels" and header.dtype.kind not in "uib":
        return (
            f"{header.path} holds {header.dtype} values, but a mask holds whole numbers "
            "(0 for background, one number per cell): save it as 16-bit labels."
        )
    if header.dtype.kind not in "uifb":
        return f"{header.path} holds {header.dtype} values: save it with real grey values."
    return None


def _one_channel(path: Path, kind: Kind, channel: int | None) -> None:
    """Refuse a channel where there is one only; masks may come with images that have several."""
    if channel and kind == "image":
        raise InputError(f"{path} has one channel only, there is no channel {channel}: leave --channel out.")


def _frame_layout(
    header: Header, kind: Kind, channel: int | None, axes: str | None
) -> tuple[tuple[int, ...], int | None, int]:
    """Shape of the frame in a file that holds one frame, and the channel axis to pick from.

    Raises `InputError` where the axes cannot be understood.
    """
    letters = header.axes
    if axes is not None:
        given = axes.upper()
        letters = given if len(given) == len(header.shape) else given.replace("T", "")
        _check_axes(letters, header, axes)
    shape = header.shape
    drop = [i for i, (letter, n) in enumerate(zip(letters, shape, strict=True)) if n == 1 and letter not in "YX"]
    keep = [i for i in range(len(shape)) if i not in drop]
    letters, shape = "".join(letters[i] for i in keep), tuple(shape[i] for i in keep)
    for letter in "SC":
        if letter in letters:
            axis = letters.index(letter)
            count = shape[axis]
            if channel is None:
                colour = "is a colour image" if letter == "S" else "has several channels"
                raise InputError(
                    f"{header.path} {colour} ({count} values per pixel): "
                    f"choose one with --channel 0 … {count - 1}, or save it as grey values."
                )
            if not 0 <= channel < count:
                raise InputError(f"{header.path} has channels 0 … {count - 1}; there is no channel {channel}.")
            return tuple(n for i, n in enumerate(shape) if i != axis), channel, axis
    _one_channel(header.path, kind, channel)
    if len(shape) not in (2, 3):
        raise InputError(
            f"{header.path} has the axes {header.axes} {header.shape}: one frame must be (Y, X) or (Z, Y, X)."
        )
    return shape, None, 0


def _check_axes(letters: str, header: Header, axes: str) -> None:
    """Raise `InputError` unless ``letters`` name every axis of the file, each once."""
    fits = len(letters) == len(header.shape) and len(set(letters)) == len(letters)
    if not fits or not set("YX") <= set(letters) <= set("TZCYXS"):
        raise InputError(
            f"--axes {axes} does not fit {header.path}, whose shape is {header.shape}: give one letter of TZCYX for each axis."
        )


def inspect_folder(
    folder: Path,
    kind: Kind,
    *,
    frames: range | None = None,
    channel: int | None = None,
    axes: str | None = None,
) -> tuple[Frames | None, list[tuple[int, str]]]:
    """The movie of the files in a folder that are fine, and what is wrong with the others.

    Returns
    -------
    Frames or None
        ``None`` where no file is fine. A file of another shape than most is not fine.
    list of (frame number, sentence)

    Raises
    ------
    InputError
        Where the folder is no movie at all, see `list_frame_files`.
    """
    files = list_frame_files(folder)
    if frames is not None:
        files = {number: path for number, path in files.items() if number in frames} or files
    headers: dict[int, Header] = {}
    sources: dict[int, Source] = {}
    problems: list[tuple[int, str]] = []
    for number, path in sorted(files.items()):
        try:
            header = _header(path)
            if problem := _dtype_problem(header, kind):
                raise InputError(problem)
            shape, pick, axis = _frame_layout(header, kind, channel, axes)
        except InputError as error:
            problems += [(number, text) for text in error.problems]
            continue
        headers[number] = header
        sources[number] = Source(path, None, shape, pick, axis)
    if not sources:
        return None, problems
    shapes = [source.shape for source in sources.values()]
    usual = max(shapes, key=shapes.count)
    for number in [number for number, source in sources.items() if source.shape != usual]:
        odd = sources.pop(number)
        text = f"{odd.path} has the shape {odd.shape}, the other frames have {usual}: crop or remove it."
        problems.append((number, text))
    first = headers[min(sources)]
    movie = Frames(folder, sources, first.dtype, kind, voxel=first.voxel, interval=first.interval)
    return movie, sorted(problems)


def _open_folder(folder: Path, kind: Kind, channel: int | None, axes: str | None, frames: range | None) -> Frames:
    movie, problems = inspect_folder(folder, kind, frames=frames, channel=channel, axes=axes)
    if movie is None or problems:
        shown = [text for _, text in problems[:20]]
        if len(problems) > 20:
            shown.append(f"{folder}: {len(problems) - 20} more files have problems.")
        raise InputError(*shown)
    return movie


def _open_zarr(path: Path, kind: Kind, channel: int | None, axes: str | None) -> Frames:
    movie = open_zarr(path, labels=kind == "labels", channel=channel, axes=axes)
    if problem := _dtype_problem(Header(path, (), movie.dtype, ""), kind):
        raise InputError(problem)
    return Frames(path, movie.sources, movie.dtype, kind, voxel=movie.voxel, interval=movie.interval)


def _open_file(path: Path, kind: Kind, channel: int | None, axes: str | None) -> Frames:
    header = _header(path)
    if problem := _dtype_problem(header, kind):
        raise InputError(problem)
    letters = header.axes
    if axes is not None:
        letters = axes.upper()
        _check_axes(letters, header, axes)
    else:
        # What the file does not say: time first, then depth.
        for meaning in "TZ":
            unknown = next((i for i, letter in enumerate(letters) if letter not in "TZCYXS"), None)
            if unknown is not None and meaning not in letters:
                letters = letters[:unknown] + meaning + letters[unknown + 1 :]
    if "T" not in letters:
        shape, pick, axis = _frame_layout(replace(header, axes=letters), kind, channel, None)
        number = number_of(path) or 0
        if number > LAST_FRAME:  # a date: an image that stands alone needs no number
            number = 0
        source = Source(path, None, shape, pick, axis)
        return Frames(path, {number: source}, header.dtype, kind, voxel=header.voxel, interval=header.interval)
    if letters[-2:] != "YX":
        raise InputError(f"{path} has the axes {letters}: save it with Y and X last, as one grey value per pixel.")
    outer = letters[:-2]
    index = np.arange(int(np.prod(header.shape[:-2]))).reshape(header.shape[:-2])
    if "C" in outer:
        axis, count = outer.index("C"), header.shape[outer.index("C")]
        if channel is None and count > 1:
            raise InputError(f"{path} has {count} channels: choose one with --channel 0 … {count - 1}.")
        if channel is not None and not 0 <= channel < count:
            raise InputError(f"{path} has channels 0 … {count - 1}; there is no channel {channel}.")
        index = np.take(index, channel or 0, axis=axis)
        outer = outer.replace("C", "")
    else:
        _one_channel(path, kind, channel)
    if set(outer) - set("TZ") or len(set(outer)) != len(outer):
        raise InputError(
            f"{path} has the axes {header.axes} {header.shape}, which are not understood: name them with --axes, for example TZYX."
        )
    index = np.moveaxis(index, outer.index("T"), 0)
    sources = {}
    for number, planes in enumerate(index):
        depth = planes.shape if planes.ndim else ()
        shape = (*(n for n in depth if n > 1), *header.shape[-2:])
        sources[number] = Source(path, tuple(int(p) for p in planes.ravel()), shape)
    return Frames(path, sources, header.dtype, kind, voxel=header.voxel, interval=header.interval)
