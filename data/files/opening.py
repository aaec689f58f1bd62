"""Opening a movie: the frames of a folder, a stack, an image or an OME-Zarr, checked before any is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from celltrail.data.errors import InputError
from celltrail.data.files.file_formats import FORMATS, SlicesSource, format_of, read_file_header, source_of
from celltrail.data.files.movie import AnySource, Frames
from celltrail.data.files.omezarr import is_zarr, open_zarr
from celltrail.data.labels.instances import refuse_masks
from celltrail.data.readers.file_names import OWN_NAMES, choose_files, frame_number
from celltrail.data.readers.file_names import Movie as NamedFiles
from celltrail.data.readers.stacks import (
    Header,
    Kind,
    Layout,
    choose_series,
    cut_problem,
    lay_out,
    name_axes,
    whole_frames,
)

__all__ = [
    "Wish",
    "inspect_folder",
    "list_frame_files",
    "number_of",
    "open_frames",
    "open_images",
    "open_labels",
    "parse_frames",
    "refuse_masks",
]


@dataclass(frozen=True)
class Wish:
    """What the user says about files: which channel, what the axes are, which position (``None``: nothing)."""

    channel: int | None = None
    axes: str | None = None
    series: int | None = None


def number_of(path: Path) -> int | None:
    """The frame number in a file name (`celltrail.data.readers.file_names.frame_number`); ``None`` if it has none."""
    return frame_number(path)


def image_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold frames, by name; `InputError` where it cannot be read or has none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: give the folder that holds the frames.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): change its permissions.") from None
    found = [
        path for path in entries if path.suffix.lower() in FORMATS and not path.name.startswith(".") and path.is_file()
    ]
    if found:
        return found
    inside = [entry.name for entry in entries if entry.is_dir()][:5]
    if inside:
        raise InputError(f"{folder} holds no images that can be read: give one of its folders ({', '.join(inside)}).")
    for path in entries:
        format_of(path)  # a known format that is not read says so
    raise InputError(f"{folder} holds no images (TIFF, PNG, BMP, JPEG, NPY …): give the folder that holds the frames.")


def list_frame_files(
    folder: Path, kind: Kind = "image", channel: int | None = None, series: int | None = None
) -> dict[int, Path]:
    """The image files of one movie in a folder, by frame number (of several slices, the first).

    Raises
    ------
    InputError
        If the folder is missing, holds no image, mixes files of several kinds, or has two files for one frame.
    """
    files = choose_files(image_files(folder), folder, kind, channel, series).files
    return {number: paths[0] for number, paths in files.items()}


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


def open_images(
    path: Path,
    *,
    frames: range | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> Frames:
    """Open a movie of grey images; see `open_frames`."""
    return open_frames(path, "image", frames=frames, channel=channel, axes=axes, series=series)


def open_labels(
    path: Path,
    *,
    frames: range | None = None,
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
    frames: range | None = None,
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
    frames : range | None
        The frame numbers to keep (``None``: all).
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
    path, wish = Path(path), Wish(channel, axes, series)
    if path.is_dir() and is_zarr(path):
        movie = _open_zarr(path, kind, wish)
    elif path.is_dir():
        movie = _open_folder(path, kind, wish, frames)
    elif path.is_file():
        movie = _open_file(path, kind, wish, frames)
    else:
        raise InputError(f"{path} does not exist: give a folder of frames, or an image file.")
    return movie.between(frames)


def _dtype_problem(header: Header, kind: Kind) -> str | None:
    if header.dtype.kind not in "uifb":
        what = "whole numbers" if kind == "labels" else "real grey values"
        return f"{header.path} holds {header.dtype} values: save it with {what}."
    return None


def _open_zarr(path: Path, kind: Kind, wish: Wish) -> Frames:
    movie = open_zarr(path, labels=kind == "labels", channel=wish.channel, axes=wish.axes)
    if problem := _dtype_problem(Header(path, (), movie.dtype, ""), kind):
        raise InputError(problem)
    return Frames(path, movie.sources, movie.dtype, kind, voxel=movie.voxel, interval=movie.interval, notes=movie.notes)


def _open_file(path: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames:
    header, layout = _understand(path, kind, wish, alone=True)
    if header.others and not layout.timed:
        raise InputError(
            f"{path} is one of a set of {len(header.others) + 1} files ({header.others[0]} …): give their folder, "
            "or --axes to read this file alone."
        )
    return _movie_of_file(path, header, layout, kind, frames)


def _understand(path: Path, kind: Kind, wish: Wish, *, alone: bool) -> tuple[Header, Layout]:
    """The header of a file and the frames in it; `InputError` where a choice is open or it cannot be used."""
    header = choose_series(lambda number: read_file_header(path, kind, number), path, wish.series, kind)
    if problem := _dtype_problem(header, kind):
        raise InputError(problem)
    letters = name_axes(header, wish.axes, alone=alone)
    return header, lay_out(header, letters, kind, wish.channel, said=wish.axes is not None)


def _movie_of_file(path: Path, header: Header, layout: Layout, kind: Kind, frames: range | None) -> Frames:
    whole = whole_frames(header, layout)
    if problem := cut_problem(header, whole, frames):
        raise InputError(problem)
    first = 0
    if not layout.timed:
        number = number_of(header.path) or 0
        first = number if number <= 9_999_999 else 0  # a date: an image that stands alone needs no number
    sources: dict[int, AnySource] = {
        number + first: source_of(header, index, layout.shape, kind)
        for number, index in layout.index.items()
        if whole[number]
    }
    notes = (layout.note,) if layout.note else ()
    return Frames(path, sources, header.dtype, kind, voxel=header.voxel, interval=header.interval, notes=notes)


@dataclass
class _Folder:
    """What the files of a folder turn out to be."""

    headers: dict[int, Header] = field(default_factory=dict)
    sources: dict[int, AnySource] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    stacks: dict[Path, int] = field(default_factory=dict)  # files that are movies themselves, with their frames


def inspect_folder(
    folder: Path,
    kind: Kind,
    *,
    frames: range | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
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
        Where the folder is no movie at all, see `list_frame_files`; where it holds several time stacks.
    """
    folder, wish = Path(folder), Wish(channel, axes, series)
    paths = image_files(folder)
    if len(paths) == 1 and (movie := _lone_stack(paths[0], folder, kind, wish, frames)) is not None:
        return movie, []
    named = choose_files(paths, folder, kind, channel, series)
    if not named.files:
        return _without_numbers(folder, paths, kind, wish), []
    files = named.files
    if frames is not None:
        files = {number: slices for number, slices in files.items() if number in frames} or files
    found = _Folder()
    inner = Wish(None if named.by_channel else channel, axes, None if series is not None and len(paths) > 1 else series)
    for number, slices in sorted(files.items()):
        try:
            _take_frame(found, number, slices, kind, inner, named)
        except InputError as error:
            found.problems += [(number, text) for text in error.problems]
    if found.stacks:
        raise InputError(_several_stacks(folder, found.stacks))
    return _one_shape(folder, kind, found)


def _take_frame(
    found: _Folder, number: int, slices: tuple[Path, ...], kind: Kind, wish: Wish, named: NamedFiles
) -> None:
    """Add the frame of one file, or of the files of its slices; `InputError` says what is wrong with it."""
    opened = [_understand(path, kind, wish, alone=False) for path in slices]
    header, layout = opened[0]
    if layout.timed and len(layout.index) > 1:
        found.stacks[header.path] = len(layout.index)
        return
    if (
        len(layout.shape) == 3
        and wish.axes is None
        and named.numbered_as[1] == "series"
        and set(header.axes) & set("IQ")
    ):
        raise InputError(
            f"{header.path} holds {layout.shape[0]} planes and does not say what they are; it is named "
            f"like one of several movies ({named.numbered_as[0]}): give this file alone if they are time, or --axes ZYX if "
            "they are slices."
        )
    for one, its in opened:
        if problem := cut_problem(one, whole_frames(one, its), None):
            raise InputError(problem)
    sources = [source_of(one, its.index[0], its.shape, kind) for one, its in opened]
    if len(sources) > 1 and (len(layout.shape) == 3 or len({source.shape for source in sources}) > 1):
        raise InputError(
            f"{header.path} and the other slices of frame {number} are no planes of one shape: "
            "save one plane in each, of equal size."
        )
    found.headers[number] = header
    found.sources[number] = sources[0] if len(sources) == 1 else SlicesSource(tuple(sources))


def _one_shape(folder: Path, kind: Kind, found: _Folder) -> tuple[Frames | None, list[tuple[int, str]]]:
    """The frames that have the usual shape, and what is to be said of the others."""
    sources, problems = found.sources, found.problems
    if not sources:
        return None, problems
    shapes = [source.shape for source in sources.values()]
    usual = max(shapes, key=shapes.count)
    for number in [number for number, source in sources.items() if source.shape != usual]:
        odd = sources.pop(number)
        text = f"{odd.path} has the shape {odd.shape}, the other frames have {usual}: crop or remove it."
        problems.append((number, text))
    first = found.headers[min(sources)]
    movie = Frames(folder, sources, first.dtype, kind, voxel=first.voxel, interval=first.interval)
    return movie, sorted(problems)


def _several_stacks(folder: Path, stacks: dict[Path, int]) -> str:
    names = ", ".join(f"{path.name} ({count} frames)" for path, count in list(stacks.items())[:5])
    more = f" and {len(stacks) - 5} more" if len(stacks) > 5 else ""
    which = "a time stack among other files" if len(stacks) == 1 else f"{len(stacks)} time stacks"
    return f"{folder} holds {which}: {names}{more}: give one of them, for example {next(iter(stacks))}."


def _lone_stack(path: Path, folder: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames | None:
    """The movie of a folder with one file, where that is a stack; ``None`` where it is one frame, with its number.

    A volume under a name of the Challenge, which says nothing of its axes, is one frame of a 3D movie.
    """
    if not format_of(path).many:
        return None
    if wish.axes is None and OWN_NAMES.fullmatch(path.stem) and not (_says_time(path, kind, wish)):
        return None
    header, layout = _understand(path, kind, wish, alone=True)
    if not layout.timed and not layout.note and number_of(path) is not None:
        return None
    movie = _movie_of_file(path, header, layout, kind, frames)
    movie.path = folder
    return movie


def _says_time(path: Path, kind: Kind, wish: Wish) -> bool:
    header = choose_series(lambda number: read_file_header(path, kind, number), path, wish.series, kind)
    return "T" in header.axes


def _without_numbers(folder: Path, paths: list[Path], kind: Kind, wish: Wish) -> Frames:
    """A folder whose files have no numbers is a movie only where there is one file."""
    if len(paths) > 1:
        raise InputError(
            f"{folder} holds files without a number ({paths[0].name}, {paths[1].name} …): give one of them, or "
            "name the frames like t000.tif."
        )
    header, layout = _understand(paths[0], kind, wish, alone=True)
    movie = _movie_of_file(paths[0], header, layout, kind, None)
    movie.path = folder
    return movie


def _open_folder(folder: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames:
    movie, problems = inspect_folder(folder, kind, frames=frames, **vars(wish))
    if movie is None or problems:
        shown = [text for _, text in problems[:20]]
        if len(problems) > 20:
            shown.append(f"{folder}: {len(problems) - 20} more files have problems.")
        raise InputError(*shown)
    return movie
