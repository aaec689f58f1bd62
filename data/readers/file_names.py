"""Which frame a file is, from the names that microscopes and people give.

A name is texts and numbers in turn: ``exp_t03_w1DAPI.tif`` is *exp_t*, 3, *_w*, 1, *DAPI*. Over the files of a folder
most parts are the same; what varies says which frame, slice, channel or position a file is. The word before a number
tells what it counts (Zen, MetaMorph, Leica, Micro-Manager, ImageJ); where only one number varies, it is the frame.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from celltrail.data.errors import InputError
from celltrail.data.readers.stacks import list_choices

Role = Literal["time", "z", "channel", "series", ""]
LAST_FRAME = 9_999_999  # a larger number in a name is no frame number
OWN_NAMES = re.compile(r"(mask|man_track|man_seg|t|)\d+")  # the names of the Cell Tracking Challenge
BY_PRODUCTS = re.compile(r"(binary|probability)\d+")  # what 'segment' writes beside its masks
WORDS: dict[str, Role] = {
    **dict.fromkeys(("t", "time", "timepoint", "tp", "frame", "sk", "cycle"), "time"),
    **dict.fromkeys(("z", "slice", "zslice", "plane", "depth", "focus"), "z"),
    **dict.fromkeys(("c", "ch", "channel", "chan", "w", "wave", "wavelength"), "channel"),
    **dict.fromkeys(
        (
            "s",
            "p",
            "pos",
            "position",
            "series",
            "site",
            "stage",
            "xy",
            "fov",
            "field",
            "well",
            "point",
            "scene",
            "movie",
            "video",
            "film",
            "exp",
            "experiment",
        ),
        "series",
    ),
}
_PARTS = re.compile(r"\d+")
_WORD = re.compile(r"([A-Za-z]+)[ _=\-]?$")
_ELAPSED = re.compile(r"(?:(\d+)d)?(\d+)h(?:(\d+)m(?:in)?)?(?:(\d+)s(?:ec)?)?(?![A-Za-z])")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.](\d\d)[-_.](\d\d)[-_ T.]+(\d\d)[-_.h:](\d\d)(?:[-_.m:](\d\d))?(?!\d)")
# 20210304T101500, 20210304101500; after another mark six digits that do not begin with 00 (else a running number)
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?:T?|[-_](?!00)(?=\d{6}))(\d\d)(\d\d)(\d\d)?(?!\d)")
_MICRO_MANAGER = re.compile(r"img_(\d{9})_(.+)_(\d{3})")


@dataclass(frozen=True)
class Name:
    """A file name taken apart: the numbers, each with its role and word, and the texts between them."""

    path: Path
    numbers: tuple[int, ...]
    roles: tuple[Role, ...]
    words: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class NamedMovie:
    """The files of one movie in a folder.

    Attributes
    ----------
    files : dict[int, tuple[Path, ...]]
        Frame → its file, or its slices in order.
    by_channel : bool
        Whether the channel was chosen by the names; then no file is asked for one.
    numbered_as : tuple[str, Role]
        The word before the frame number, with its role ("pos", "series"); ("", "") for plain names.
    left_out : tuple[Path, ...]
        Files without any number.
    """

    files: dict[int, tuple[Path, ...]]
    by_channel: bool = False
    numbered_as: tuple[str, Role] = ("", "")
    left_out: tuple[Path, ...] = ()


def frame_number(path: Path) -> int | None:
    """The frame number in a single name: the one that says so ("t003"), else the last; ``None`` without any."""
    name = take_apart(Path(path))
    if not name.numbers:
        return None
    timed = [number for number, role in zip(name.numbers, name.roles, strict=True) if role == "time"]
    return timed[0] if len(timed) == 1 else name.numbers[-1]


def take_apart(path: Path) -> Name:
    """Texts and numbers of a name; a clock (``00d03h15m``, ``2021-03-04_10-15``) is one number, in minutes."""
    stem = (
        path.name[: -len("".join(path.suffixes[-2:]))]
        if path.name.lower().endswith((".ome.tif", ".ome.tiff"))
        else path.stem
    )
    if found := _MICRO_MANAGER.fullmatch(stem):
        return Name(
            path,
            (int(found.group(1)), int(found.group(3))),
            ("time", "z"),
            ("img", ""),
            ("img_", f"_{found.group(2)}_", ""),
        )
    numbers: list[int] = []
    roles: list[Role] = []
    words: list[str] = []
    texts: list[str] = []
    begin = 0
    while begin <= len(stem):
        clock = _clock(stem, begin)
        plain = _PARTS.search(stem, begin)
        if plain is None:
            break
        if clock is not None and clock[0] <= plain.start():
            start, end, value = clock
            role: Role = "time"
            word = "clock"
        else:
            start, end, value = plain.start(), plain.end(), int(plain.group())
            found = _WORD.search(stem[begin:start])
            word = found.group(1) if found else ""
            role, word = _role(word)
        texts.append(stem[begin:start])
        numbers.append(value)
        roles.append(role)
        words.append(word)
        begin = end
    texts.append(stem[begin:])
    return Name(path, tuple(numbers), tuple(roles), tuple(words), tuple(texts))


def _role(word: str) -> tuple[Role, str]:
    """What a number counts by the word before it; of "imgTime" or "Cells_Pos" the last word counts."""
    if word.lower() in WORDS:
        return WORDS[word.lower()], word
    last = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", word)
    if len(last) > 1 and last[-1].lower() in WORDS:
        return WORDS[last[-1].lower()], last[-1]
    return "", word


def _clock(stem: str, begin: int) -> tuple[int, int, int] | None:
    """Begin, end and minutes of the first clock in a name (seconds only where it has some)."""
    if found := _ELAPSED.search(stem, begin):
        days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
        total = (days * 24 + hours) * 60 + minutes
        return found.start(), found.end(), total * 60 + seconds if found.group(4) else total
    if found := _DATE.search(stem, begin) or _COMPACT.search(stem, begin):
        year, month, day, hour, minute, second = (int(group or 0) for group in found.groups())
        try:
            # From the first of January on: equal for images and masks, whichever of them are there.
            since = datetime(year, month, day, hour, minute, second) - datetime(year, 1, 1)
        except ValueError:
            return None
        seconds = int(since.total_seconds())
        return found.start(), found.end(), seconds if found.group(6) else seconds // 60
    return None


def choose_files(paths: Sequence[Path], folder: Path, channel: int | None, series: int | None) -> NamedMovie:
    """The frames among the image files of a folder.

    Parameters
    ----------
    channel, series : int | None
        Which one, where the names tell several channels or positions.

    Raises
    ------
    InputError
        If two files are one frame, several numbers vary and none says that it is the frame, a choice is open,
        or files of several kinds lie together.
    """
    names = [take_apart(path) for path in paths]
    names = [name for name in names if name.numbers]
    movie_names = [name for name in names if not BY_PRODUCTS.fullmatch(name.path.stem)] or names
    if not movie_names:
        return NamedMovie({})
    left_out = tuple(path for path in paths if not take_apart(path).numbers)
    _refuse_mixtures(movie_names, folder)
    count = len(movie_names[0].numbers)
    varying = [i for i in range(count) if len({name.numbers[i] for name in movie_names}) > 1]
    roles = _roles_of(movie_names, varying, folder)
    time = next((i for i, role in roles.items() if role == "time"), None)
    if time is None:
        only = frame_number(movie_names[0].path)
        time = movie_names[0].numbers.index(only) if only is not None else count - 1
    chosen = movie_names
    by_channel = False
    for role, option, value in (("channel", "--channel", channel), ("series", "--series", series)):
        places = [i for i, of in roles.items() if of == role]
        texts = role == "channel" and len({_text_key(name) for name in movie_names}) > 1
        if not places and not texts:
            continue
        groups: dict[tuple[object, ...], list[Name]] = {}
        for name in chosen:
            groups.setdefault((*(name.numbers[i] for i in places), *((_text_key(name),) if texts else ())), []).append(
                name
            )
        keys = sorted(groups, key=str if texts else None)
        labels = [_label(groups[key][0], places, texts) for key in keys]
        listed = list_choices(option, labels)
        if value is None:
            what = "channels" if role == "channel" else "positions or parts"
            raise InputError(
                f"The names of the files in {folder} tell {len(keys)} {what}: choose one with {listed}, "
                "or put each into a folder of its own."
            )
        if not 0 <= value < len(keys):
            raise InputError(f"{folder} has no {option} {value}: choose one with {listed}.")
        chosen = groups[keys[value]]
        by_channel = by_channel or role == "channel"
    slices = [i for i, role in roles.items() if role == "z"]
    word = movie_names[0].words[time], movie_names[0].roles[time]
    return NamedMovie(_frames(chosen, time, slices, folder), by_channel, word if len(paths) > 1 else ("", ""), left_out)


def _refuse_mixtures(names: Sequence[Name], folder: Path) -> None:
    """Files must differ in their numbers, or in a word that goes with one of them or names the channel."""
    kinds: dict[tuple[str, ...], Name] = {}
    for name in names:
        kinds.setdefault(name.texts, name)
    if len(kinds) == 1:
        return
    some = list(kinds.values())
    if all(_MICRO_MANAGER.fullmatch(name.path.stem) for name in some):
        return
    if len({len(name.numbers) for name in some}) == 1 and _told_by_a_number(names):
        return
    shown = ", ".join(name.path.name for name in some[:4])
    taken: dict[int, Path] = {}
    for name in names:
        number = frame_number(name.path)
        if number is not None and number in taken and take_apart(taken[number]).texts != name.texts:
            raise InputError(
                f"{folder} mixes files of several kinds ({shown} …): {taken[number].name} and {name.path.name} have "
                f"the same frame number {number}: put each movie into a folder of its own."
            )
        if number is not None:
            taken[number] = name.path
    raise InputError(f"{folder} mixes files of several kinds ({shown} …): put each movie into a folder of its own.")


def _told_by_a_number(names: Sequence[Name]) -> bool:
    """Whether each text that varies follows from a number beside it, as the name of the wavelength in ``w1DAPI``."""
    for place in range(len(names[0].texts)):
        if len({name.texts[place] for name in names}) == 1:
            continue
        if place == 0 or names[0].roles[place - 1] not in ("channel", "series"):
            return False
        told: dict[int, str] = {}
        if any(told.setdefault(name.numbers[place - 1], name.texts[place]) != name.texts[place] for name in names):
            return False
    return True


def _text_key(name: Name) -> str:
    """The channel that Micro-Manager 1.4 writes between the numbers."""
    return name.texts[1].strip("_") if _MICRO_MANAGER.fullmatch(name.path.stem) else ""


def _roles_of(names: Sequence[Name], varying: list[int], folder: Path) -> dict[int, Role]:
    """What each number that varies counts; exactly one of them is the time, unless a constant one says that it is."""
    roles: dict[int, Role] = {i: names[0].roles[i] for i in varying}
    timed = [i for i, role in enumerate(names[0].roles) if role == "time"]
    times = [i for i in timed if i in roles]
    clocks = [i for i in times if names[0].words[i] == "clock"]
    if clocks and len(times) > 1:  # a clock beside a running number says the same
        times = [i for i in times if i not in clocks] or clocks[:1]
        roles = {i: role for i, role in roles.items() if i not in clocks or i in times}
    if len(times) == 1:
        return {i: role if role else "series" for i, role in roles.items()}
    if timed and not times and all(roles.values()):
        return roles  # one point of time: its slices, channels or positions
    if len(roles) == 1:
        return dict.fromkeys(roles, "time")
    unknown = [i for i, role in roles.items() if not role]
    if not times and len(unknown) == 1:
        return {i: role or "time" for i, role in roles.items()}
    if not roles:
        return {}
    first, last = names[0].path.name, names[-1].path.name
    told = ", ".join(_range_of(names, i) for i in roles)
    raise InputError(
        f"Several numbers vary in the names of the files in {folder} ({first} … {last}: {told}), and none of "
        "them says that it is the frame: put each movie into a folder of its own, or name the frame like "
        "t000."
    )


def _range_of(names: Sequence[Name], place: int) -> str:
    values = [name.numbers[place] for name in names]
    return f"{names[0].words[place]}{min(values)} to {max(values)}"


def _label(name: Name, places: Sequence[int], texts: bool) -> str:
    """How a choice is named: ``w1DAPI``, ``Pos2``, ``Default``."""
    parts = [f"{name.words[i]}{name.numbers[i]}" for i in places]
    beside = [name.texts[i + 1] for i in places if re.match(r"[A-Za-z]", name.texts[i + 1])]
    named = [re.match(r"[A-Za-z]+\w*?(?=_|$)", text) for text in beside if not re.fullmatch(r"[A-Za-z]{1,2}", text)]
    parts += [found.group() for found in named if found]
    return " ".join([*parts, *([_text_key(name)] if texts else [])]).strip()


def _frames(names: Sequence[Name], time: int, slices: list[int], folder: Path) -> dict[int, tuple[Path, ...]]:
    """Files by frame, the slices of each in order; `InputError` where two are the same or some lack slices."""
    found: dict[int, dict[tuple[int, ...], Path]] = {}
    problems = []
    for name in names:
        number, depth = name.numbers[time], tuple(name.numbers[i] for i in slices)
        there = found.setdefault(number, {})
        if depth in there:
            problems.append(
                f"{folder}: {there[depth].name} and {name.path.name} have the same frame number {number}: keep one."
            )
        there.setdefault(depth, name.path)
    most = set().union(*(set(there) for there in found.values()))
    for number, there in found.items():
        if lost := sorted(most - set(there)):
            problems.append(
                f"{folder}: frame {number} lacks the slice {'/'.join(map(str, lost[0]))} that others have: "
                "add it, or remove the frame."
            )
    if max(found) > LAST_FRAME:
        path = min(found[max(found)].items())[1]
        problems.append(
            f"{path} has the frame number {max(found)}, which looks like a date: number the frames 0, 1, 2 …"
        )
    if problems:
        raise InputError(*problems[:20])
    return {number: tuple(found[number][depth] for depth in sorted(found[number])) for number in sorted(found)}
