"""The movie in one file: a stack, a film, a microscope file, or a single image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from celltrail.data.errors import InputError
from celltrail.data.files.file_formats import read_file_header, source_of
from celltrail.data.files.movie import AnySource, Frames
from celltrail.data.readers.file_names import LAST_FRAME, frame_number
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
from celltrail.data.words import counted


@dataclass(frozen=True)
class Wish:
    """What the user says about files: which channel, what the axes are, which position (``None``: nothing)."""

    channel: int | None = None
    axes: str | None = None
    series: int | None = None


def open_file(path: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames:
    """The movie in a file; `InputError` where it is cut off, a choice is open, or it is one of a set of files."""
    header, layout = understand(path, kind, wish, alone=True)
    if header.others and not layout.timed:
        raise InputError(
            f"{path} is one of a set of {counted(len(header.others) + 1, 'file')} ({header.others[0]} …): give their folder, "
            "or --axes to read this file alone."
        )
    return movie_of_file(path, header, layout, kind, frames)


def understand(path: Path, kind: Kind, wish: Wish, *, alone: bool) -> tuple[Header, Layout]:
    """The header of a file and the frames in it; `InputError` where a choice is open or it cannot be used."""
    header = choose_series(lambda number: read_file_header(path, kind, number), path, wish.series, kind)
    if problem := dtype_problem(header, kind):
        raise InputError(problem)
    letters = name_axes(header, wish.axes, alone=alone)
    return header, lay_out(header, letters, kind, wish.channel, said=wish.axes is not None)


def movie_of_file(path: Path, header: Header, layout: Layout, kind: Kind, frames: range | None) -> Frames:
    """The frames of a file that was understood; `InputError` where those that are wanted are not whole."""
    whole = whole_frames(header, layout)
    if problem := cut_problem(header, whole, frames):
        raise InputError(problem)
    first = 0
    if not layout.timed:
        number = frame_number(header.path) or 0
        first = number if number <= LAST_FRAME else 0  # a date: an image that stands alone needs no number
    sources: dict[int, AnySource] = {
        number + first: source_of(header, index, layout.shape, kind)
        for number, index in layout.index.items()
        if whole[number]
    }
    notes = tuple(note for note in (layout.note, layout.colours) if note)
    return Frames(path, sources, header.dtype, kind, voxel=header.voxel, interval=header.interval, notes=notes)


def dtype_problem(header: Header, kind: Kind) -> str | None:
    """What to say of values that are no numbers of an image; ``None`` where they are."""
    if header.dtype.kind not in "uifb":
        what = "whole numbers" if kind == "labels" else "real grey values"
        return f"{header.path} holds {header.dtype} values: save it with {what}."
    return None
