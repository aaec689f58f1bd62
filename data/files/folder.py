"""The movie in a folder: one file for each frame (or for each slice), or one stack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.file_formats import FORMATS, SlicesSource, format_of, read_file_header, source_of
from celltrail.data.files.movie import AnySource, Frames
from celltrail.data.files.one_file import Wish, movie_of_file, understand
from celltrail.data.held import hold
from celltrail.data.readers.file_names import OWN_NAMES, NamedMovie, choose_files, frame_number
from celltrail.data.readers.stacks import Header, Kind, choose_series, cut_problem, whole_frames
from celltrail.data.regular import special_problem
from celltrail.data.words import counted


def image_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold frames, by name; `InputError` where it cannot be read or has none."""
    folder = Path(folder)
    hold(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: give the folder that holds the frames.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): change its permissions.") from None
    named = [path for path in entries if path.suffix.lower() in FORMATS and not path.name.startswith(".")]
    raise_if(filter(None, map(special_problem, named)))
    raise_if(
        f"{path} is a link to a file that is not there: fetch the file, or remove the link."
        for path in named
        if path.is_symlink() and not path.exists()
    )
    found = [path for path in named if path.is_file()]
    if found:
        raise_if(
            f"{path} is a folder, but is named like an image: put the image in its place, or move the folder away."
            for path in named
            if path.is_dir()
        )
        return found
    inside = [entry.name for entry in entries if entry.is_dir()][:5]
    if inside:
        raise InputError(
            f"{folder} holds no numbered TIFF, PNG or other images: give one of its folders ({', '.join(inside)})."
        )
    for path in entries:
        format_of(path)  # a known format that is not read says so
    raise InputError(f"{folder} holds no numbered TIFF, PNG or other images: give the folder that holds the frames.")


def list_frame_files(folder: Path, channel: int | None = None, series: int | None = None) -> dict[int, Path]:
    """The image files of one movie in a folder, by frame number (of several slices, the first).

    Raises
    ------
    InputError
        If the folder is missing, holds no image, mixes files of several kinds, or has two files for one frame.
    """
    files = choose_files(image_files(folder), folder, channel, series).files
    return {number: paths[0] for number, paths in files.items()}


@dataclass
class _Folder:
    """What the files of a folder turn out to be."""

    headers: dict[int, Header] = field(default_factory=dict)
    sources: dict[int, AnySource] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    stacks: dict[Path, int] = field(default_factory=dict)  # files that are movies themselves, with their frames
    guessed: bool = False  # whether such a file does not say itself that an axis is time
    colours: list[str] = field(default_factory=list)  # what is doubtful about planes that may be colours


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
    named = choose_files(paths, folder, channel, series)
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
        raise InputError(_several_stacks(folder, found))
    movie, problems = _one_shape(folder, kind, found)
    if movie is not None:
        movie.notes += tuple(found.colours[:1])  # the others are alike
    if movie is not None and named.left_out:
        names = ", ".join(path.name for path in named.left_out[:3])
        movie.notes += (f"{folder}: files without a number are left out ({names}).",)
    return movie, problems


def _take_frame(
    found: _Folder, number: int, slices: tuple[Path, ...], kind: Kind, wish: Wish, named: NamedMovie
) -> None:
    """Add the frame of one file, or of the files of its slices; `InputError` says what is wrong with it."""
    opened = [understand(path, kind, wish, alone=False) for path in slices]
    header, layout = opened[0]
    if layout.timed and len(layout.index) > 1:
        found.stacks[header.path] = len(layout.index)
        found.guessed |= wish.axes is None and "T" not in header.axes
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
    if layout.colours and not OWN_NAMES.fullmatch(header.path.stem):  # those of the Challenge hold volumes
        found.colours.append(layout.colours)
    found.headers[number] = header
    found.sources[number] = sources[0] if len(sources) == 1 else SlicesSource(tuple(sources))


def _one_shape(folder: Path, kind: Kind, found: _Folder) -> tuple[Frames | None, list[tuple[int, str]]]:
    """The frames that have the usual shape, and what is to be said of the others."""
    sources, problems = found.sources, found.problems
    if not sources:
        return None, problems
    usual = Counter(source.shape for source in sources.values()).most_common(1)[0][0]
    for number in [number for number, source in sources.items() if source.shape != usual]:
        odd = sources.pop(number)
        text = f"{odd.path} has the shape {odd.shape}, the other frames have {usual}: crop or remove it."
        problems.append((number, text))
    first = found.headers[min(sources)]
    movie = Frames(folder, sources, first.dtype, kind, voxel=first.voxel, interval=first.interval)
    return movie, sorted(problems)


def _several_stacks(folder: Path, found: _Folder) -> str:
    stacks = found.stacks
    names = ", ".join(f"{path.name} ({counted(count, 'frame')})" for path, count in list(stacks.items())[:5])
    more = f" and {len(stacks) - 5} more" if len(stacks) > 5 else ""
    which = "a time stack among other files" if len(stacks) == 1 else counted(len(stacks), "time stack")
    other = "; if their first axis is not time, name the axes of a file with --axes, for example CZYX" * found.guessed
    return f"{folder} holds {which}: {names}{more}: give one of them, for example {next(iter(stacks))}{other}."


def _lone_stack(path: Path, folder: Path, kind: Kind, wish: Wish, frames: range | None) -> Frames | None:
    """The movie of a folder with one file, where that is a stack; ``None`` where it is one frame, with its number.

    A volume under a name of the Challenge, which says nothing of its axes, is one frame of a 3D movie.
    """
    if not format_of(path).many:
        return None
    if wish.axes is None and OWN_NAMES.fullmatch(path.stem) and not (_says_time(path, kind, wish)):
        return None
    header, layout = understand(path, kind, wish, alone=True)
    if not layout.timed and not layout.note and frame_number(path) is not None:
        return None
    movie = movie_of_file(path, header, layout, kind, frames)
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
    header, layout = understand(paths[0], kind, wish, alone=True)
    movie = movie_of_file(paths[0], header, layout, kind, None)
    movie.path = folder
    return movie
