"""What the axes of a file mean: which part of it is which frame of a movie.

Every format (TIFF, Zarr, NumPy, films, microscope files) says its shape and axes in a :class:`Header`; here, and
nowhere else, that becomes frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.words import counted

Kind = Literal["image", "labels"]
Index = tuple[int | slice, ...]
MEANINGS = "TZCYXS"
UNKNOWN = "IQ"  # tifffile's letters for an axis of which the file does not say what it is
MEANING_OF = {"T": "frames of a movie", "Z": "slices of one volume"}
COLOURS = (3, 4)  # so many planes may well be red, green, blue (and alpha)
MANY_CHANNELS = 5  # so many channels may well be time points


@dataclass(frozen=True)
class Header:
    """What a file declares.

    Attributes
    ----------
    shape, axes
        Belong together ("TZCYX", "YXS" …; "I" or "Q" where the file does not say).
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm;
    interval : float | None
        Seconds between frames; ``None`` where the file does not say.
    plane : int
        How many of the last axes are stored, and read, as one plane.
    missing : frozenset[int]
        Planes (numbered along the axes before the plane, in order) that are declared but not in the file.
    series : tuple[str, ...]
        Positions or scenes in the file, by name;
    number : int
        Which of them this is.
    channels : tuple[str, ...]
        Names of the channels, where the file has them.
    inverted : bool
        Small values are bright (a TIFF whose minimum is white).
    others : tuple[str, ...]
        Further files that hold parts of the same movie.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    voxel: tuple[float, float, float] | None = None
    interval: float | None = None
    plane: int = 2
    missing: frozenset[int] = frozenset()
    series: tuple[str, ...] = ("",)
    number: int = 0
    channels: tuple[str, ...] = ()
    inverted: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where the frames lie in a file.

    Attributes
    ----------
    index : Mapping[int, Index]
        Frame → one index per axis of the file.
    shape : tuple[int, ...]
        Shape of a frame, (Y, X) or (Z, Y, X).
    timed : bool
        Whether the file has an axis of time.
    note : str | None
        What a person should be told about the reading, or ``None``.
    colours : str | None
        The same, where three or four planes may be colours.
    """

    index: Mapping[int, Index]
    shape: tuple[int, ...]
    timed: bool
    note: str | None = None
    colours: str | None = None


def choose_series(header: Callable[[int], Header], path: Path, series: int | None, kind: Kind) -> Header:
    """The header of the chosen position of a file; `InputError` lists them where the choice is open."""
    first = header(0)
    names = first.series
    if len(names) == 1:
        if series and kind == "image":
            raise InputError(f"{path} has one position only, there is no series {series}: leave --series out.")
        return first
    listed = list_choices("--series", [name or f"series {number}" for number, name in enumerate(names)])
    if series is None:
        raise InputError(f"{path} holds {counted(len(names), 'position')}: choose one with {listed}.")
    if not 0 <= series < len(names):
        raise InputError(f"{path} has no series {series}: choose one with {listed}.")
    return header(series)


def list_choices(option: str, names: list[str]) -> str:
    """``--series 0 (Pos0), 1 (Pos1) …`` for a sentence; at most ten are named."""
    shown = ", ".join(f"{number} ({name})" if name else f"{number}" for number, name in enumerate(names[:10]))
    return f"{option} {shown}" + (f" … {len(names) - 1}" if len(names) > 10 else "")


def name_axes(header: Header, axes: str | None, *, alone: bool) -> str:
    """One letter of ``TZCYXS`` for each axis of a file.

    Parameters
    ----------
    axes : what the user says; it is obeyed or refused. Of a file among others, which are the axis of time
        together, T may be left over.
    alone : whether the file is the whole movie. What it does not say is then time first, then depth; in a file
        among others it is depth.

    Raises
    ------
    InputError
        If the axes do not fit the shape, or are of another kind.
    """
    if axes is not None:
        given = axes.upper()
        if not alone and len(given) == len(header.shape) + 1:
            given = given.replace("T", "")
        fits = len(given) == len(header.shape) and len(set(given)) == len(given)
        if not fits or not set("YX") <= set(given) <= set(MEANINGS):
            raise InputError(
                f"--axes {axes} does not fit {header.path}, whose shape is {header.shape}: give one letter of TZCYX for each axis."
            )
        return given
    letters = header.axes
    open_ones = [i for i, letter in enumerate(letters) if letter in UNKNOWN and header.shape[i] > 1]
    meanings = [letter for letter in ("TZ" if alone or len(open_ones) > 1 else "ZT") if letter not in letters]
    for place, meaning in zip(open_ones, meanings, strict=False):
        letters = letters[:place] + meaning + letters[place + 1 :]
    return letters


def lay_out(header: Header, letters: str, kind: Kind, channel: int | None, *, said: bool = False) -> Layout:
    """The frames of a file whose axes are named by ``letters``.

    Parameters
    ----------
    said : bool
        Whether the user named the axes; then nothing is said about them.

    Raises
    ------
    InputError
        If the axes are not understood, or a channel is needed and not chosen, or is not there.
    """
    path, shape = header.path, header.shape
    kept = [i for i, letter in enumerate(letters) if shape[i] > 1 or letter in "YX"]
    held = "".join(letters[i] for i in kept)
    order = held.replace("T", "").replace("C", "").replace("S", "")
    if set(held) - set(MEANINGS) or len(set(held)) < len(held) or order not in ("YX", "ZYX"):
        raise InputError(
            f"{path} has the axes {header.axes} {shape}, which are not understood: name them with --axes, "
            "for example TZYX (Y and X last, Z before them)."
        )
    picks: dict[int, int | slice] = {i: slice(None) if i in kept else 0 for i in range(len(shape))}
    picks.update(_pick_channel(header, letters, held, kind, channel))
    time = letters.index("T") if "T" in held else None
    frame = tuple(shape[i] for i in kept if letters[i] in "ZYX")
    index = {}
    for number in range(1 if time is None else shape[time]):
        if time is not None:
            picks[time] = number
        index[number] = tuple(picks[i] for i in range(len(shape)))
    note = None
    if time is None and "Z" in held and not said:
        swapped = letters.replace("T", "Z") if "T" not in letters else _swap(letters, "T", "Z")
        swapped = swapped if "T" in swapped else swapped.replace("Z", "T")
        note = (
            f"{path} holds one frame of {counted(shape[letters.index('Z')], 'slice')}: if this is time, give --axes {swapped}; "
            f"if it is one volume, --axes {letters}."
        )
    colours = None if said or kind == "labels" else _maybe_colours(header, letters)
    return Layout(index, frame, "T" in letters, note if colours is None else None, colours)


def _maybe_colours(header: Header, letters: str) -> str | None:
    """What to say of three or four planes of which the file does not tell what they are; ``None`` where it does."""
    for letter, meaning, count in zip(header.axes, letters, header.shape, strict=True):
        if letter in UNKNOWN and meaning in "TZ" and count in COLOURS and "C" not in letters and "S" not in letters:
            other = {"T": "Z", "Z": "T"}[meaning]
            swapped = _swap(letters, "T", "Z") if other in letters else letters.replace(meaning, other)
            return (
                f"{header.path} does not say what its {count} planes are; they are read as {MEANING_OF[meaning]}. If they are "
                f"colours, give --axes {letters.replace(meaning, 'C')} --channel 0 … {count - 1}; if they are "
                f"{MEANING_OF[other]}, --axes {swapped}."
            )
    return None


def _swap(letters: str, one: str, other: str) -> str:
    return letters.translate(str.maketrans(one + other, other + one))


def _as_planes(letters: str) -> str:
    """What to say of colours that lie in planes of their own: tifffile takes any three or four planes for colours."""
    ways = [meaning for meaning in "ZT" if meaning not in letters and letters.index("S") < letters.index("Y")]
    return "".join(f"; if its planes are {MEANING_OF[way]}, give --axes {letters.replace('S', way)}" for way in ways)


def _pick_channel(header: Header, letters: str, held: str, kind: Kind, channel: int | None) -> dict[int, int | slice]:
    """The index along the axes of channels (C) and of samples (S), counted together, S fastest."""
    path = header.path
    axes = [letters.index(letter) for letter in "CS" if letter in held]
    counts = [header.shape[axis] for axis in axes]
    total = int(np.prod(counts)) if axes else 1
    if channel is None and total > 1:
        names = list(header.channels) if len(header.channels) == total else []
        options = list_choices("--channel", names) if names else f"--channel 0 … {total - 1}"
        numbers = "but a mask holds one number for each cell"
        if "C" not in held:
            what, planes = f"{path} is a colour image ({total} values per pixel)", _as_planes(letters)
            if kind == "labels":
                raise InputError(f"{what}, {numbers}: save it so{planes}.")
            raise InputError(f"{what}: choose one with {options}, or save it as grey values{planes}.")
        time = ""
        if "T" not in held and header.shape[letters.index("C")] >= MANY_CHANNELS:
            swapped = _swap(letters, "C", "T") if "T" in letters else letters.replace("C", "T")
            time = f"; if these are time points, give --axes {swapped}"
        if kind == "labels":
            raise InputError(f"{path} has {total} channels, {numbers}: save one of them alone{time}.")
        raise InputError(f"{path} has {total} channels: choose one with {options}{time}.")
    if channel is not None and not 0 <= channel < total and (total > 1 or kind == "image"):
        if total == 1:
            raise InputError(f"{path} has one channel only, there is no channel {channel}: leave --channel out.")
        raise InputError(f"{path} has channels 0 … {total - 1}; there is no channel {channel}.")
    places = np.unravel_index(channel or 0, counts) if total > 1 else ()
    return {axis: int(place) for axis, place in zip(axes, places, strict=False)}


def planes_of(header: Header, index: Index) -> tuple[int, ...]:
    """The planes of a file that a frame needs, in the order of its Z."""
    planes = [0]
    for size, place in zip(header.shape[: len(header.shape) - header.plane], index, strict=False):
        taken = [place] if isinstance(place, int) else range(size)
        planes = [plane * size + step for plane in planes for step in taken]
    return tuple(planes)


def whole_frames(header: Header, layout: Layout) -> dict[int, bool]:
    """Of each frame whether all its planes are in the file."""
    if not header.missing:
        return dict.fromkeys(layout.index, True)
    return {number: header.missing.isdisjoint(planes_of(header, index)) for number, index in layout.index.items()}


def cut_problem(header: Header, whole: Mapping[int, bool], wanted: range | None) -> str | None:
    """What to say of a file that lacks frames which are wanted; ``None`` where all of them are there."""
    lost = [number for number, there in whole.items() if not there and (wanted is None or number in wanted)]
    if not lost:
        return None
    there = [number for number, is_there in whole.items() if is_there]
    if not there:
        return f"{header.path} is cut off: not one of its frames is whole: copy it again from where it came."
    first = there[0]
    last = first
    while whole.get(last + 1):
        last += 1
    missing = [number for number, is_there in whole.items() if not is_there]
    return (
        f"{header.path} is cut off, or was never finished: {len(there)} of its {counted(len(whole), 'frame')} {'is' if len(there) == 1 else 'are'} whole, "
        f"frame {missing[0]} is the first that is not: copy it again, or read what is there with "
        f"--frames {first}:{last}."
    )
