"""Every problem of a data set, a result, or a movie, found in one pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.omezarr import is_zarr
from celltrail.data.files.ctc import Sequence, find_sequences, track_file
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import inspect_folder, open_frames
from celltrail.data.files.steps import find_step
from celltrail.data.files.tracks import Tracks, clip_tracks, read_tracks
from celltrail.data.held import check_held
from celltrail.data.labels.instances import Parts, find_parts, looks_like_masks, mask_problem, mask_warning
from celltrail.data.progress import Progress, silent
from celltrail.data.readers.stacks import Kind

Role = Literal["image", "labels", "sparse labels"]
SLICE = re.compile(r"man_seg_\d+_\d+\.tiff?")
LABEL_PREFIXES = ("mask", "man_seg", "man_track")


@dataclass(frozen=True)
class Section:
    """Which part of the files is checked, and how they are read (as `open_frames` and `open_instances`)."""

    frames: range | None = None
    channel: int | None = None
    axes: str | None = None
    series: int | None = None
    split_binary: bool = False


WHOLE = Section()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (``frame`` and ``label`` where they are known), what, and what to do."""

    path: str
    frame: int | None
    label: int | None
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what


def find_problems(path: Path, part: Section = WHOLE, *, progress: Progress = silent) -> list[Problem]:
    """Every problem of a data set in CTC layout, of a result or truth folder, or of one movie.

    A movie is a folder of frames, or a stack in one file; whether it holds images or masks is seen
    from the file names (``mask``, ``man_seg``, ``man_track``) or from its first frame. The channel
    of ``part`` is that of images.

    Returns
    -------
    list of Problem
        Empty when all is well. What cannot be read is a problem too, not an error.
    """
    path = Path(path)
    if path.is_dir():
        try:
            sequences = find_sequences(path)
        except InputError:
            sequences = []
        if sequences:
            found = [problem for sequence in sequences for problem in _check_sequence(sequence, part, progress)]
            check_held()  # what was found is wrong with what stands there still
            return found
    found = _Movie(path, _role_of(path, part), part, progress).problems
    check_held()
    return found


def _check_sequence(sequence: Sequence, part: Section, progress: Progress) -> list[Problem]:
    folders: list[tuple[Path | None, Role]] = [
        (sequence.images, "image"),
        (sequence.gt_tra, "labels"),
        (sequence.gt_seg, "sparse labels"),
        (sequence.st_seg, "sparse labels"),
        (sequence.result, "labels"),
    ]
    movies = [_Movie(path, role, part, progress) for path, role in folders if path is not None]
    found = [problem for movie in movies for problem in movie.problems]
    if sequence.images is None:
        return found
    images = movies[0]
    for movie in movies[1:]:
        extra = sorted(set(movie.numbers) - set(images.numbers))
        if extra and images.numbers:
            found.append(
                _problem(
                    movie.path,
                    f"{movie.path} has frames that {images.path} has not ({_ranges(extra)}): "
                    "remove them, or add the images.",
                    frame=extra[0],
                )
            )
        if movie.shape and images.shape and movie.shape != images.shape:
            found.append(
                _problem(
                    movie.path,
                    f"{movie.path} has frames of the shape {movie.shape}, the images have "
                    f"{images.shape}: use masks made from these images.",
                )
            )
        missing = sorted(set(images.numbers) - set(movie.numbers))
        if movie.role == "labels" and missing and movie.numbers:
            found.append(
                _problem(
                    movie.path,
                    f"{movie.path} has no masks for {_frames(missing)} of the images: "
                    "add them (empty ones where there is no cell).",
                    frame=missing[0],
                )
            )
    return found


class _Movie:
    """What one pass over a movie finds; ``numbers`` and ``shape`` are those of the frames that can be read."""

    def __init__(self, path: Path, role: Role, part: Section, progress: Progress) -> None:
        self.path, self.role, self.progress = path, role, progress
        self.options: dict[str, Any] = {"frames": part.frames, "axes": part.axes, "series": part.series}
        if role == "image":
            self.options["channel"] = part.channel
        self.frames, self.splits = part.frames, part.split_binary and role != "image"
        self.kind: Kind = "image" if role == "image" else "labels"
        self.problems: list[Problem] = []
        self.numbers: tuple[int, ...] = ()
        self.shape: tuple[int, ...] = ()
        self.labels: dict[int, NDArray[np.int64]] = {}
        self.parts: dict[int, Parts] = {}
        slices = sorted(file for file in path.iterdir() if SLICE.fullmatch(file.name)) if path.is_dir() else []
        frames = None if slices else self._open()
        self.problems += self._read_slices(slices)
        if frames is not None:
            self.shape = frames.shape
            self.numbers = frames.numbers
            self.problems += self._missing_frames()
            self.problems += self._read(frames)
            self.problems += [_problem(self.path, note) for note in frames.notes]
            self.problems += self._instances(frames)
        tracks = track_file(path) if path.is_dir() else None
        if tracks is not None:
            self.problems += self._compare_tracks(tracks)

    def _read_slices(self, files: list[Path]) -> Iterator[Problem]:
        """Single slices of volumes, as the CTC annotates some 3D movies (``man_seg_TTT_ZZZ.tif``)."""
        for file in files:
            try:
                movie = open_frames(file, "labels")
                array = movie[movie.numbers[0]]
            except InputError as error:
                yield from (_problem(file, text) for text in error.problems)
                continue
            if array.ndim != 2 or len(movie) > 1:
                yield _problem(
                    file,
                    f"{file} is named like one slice but holds several: "
                    "save slices one by one, or name it man_segTTT.tif.",
                )
            elif not array.any():
                yield _problem(file, f"{file} has no cell: remove it, or check that this is so.")

    def _open(self) -> Frames | None:
        try:
            if self.path.is_dir() and not is_zarr(self.path):
                frames, problems = inspect_folder(self.path, self.kind, **self.options)
                self.problems += [_problem(self.path, text, frame=frame) for frame, text in problems]
            else:
                frames = open_frames(self.path, self.kind, **self.options)
            return frames.with_parts_split() if frames is not None and self.splits else frames
        except InputError as error:
            self.problems += [_problem(self.path, text) for text in error.problems]
            return None

    def _missing_frames(self) -> Iterator[Problem]:
        try:
            step = find_step(self.numbers)
        except InputError as error:
            yield from (_problem(self.path, text) for text in error.problems)
            return
        pairs = zip(self.numbers, self.numbers[1:], strict=False)
        gaps = [(before + step, after - step) for before, after in pairs if after > before + step]
        if gaps and self.role != "sparse labels":
            yield _problem(
                self.path,
                f"{self.path} lacks frames {_range_text(gaps)}: add them if they exist; tracking links cells over at most 4 such "
                "frames in a row, or as many as --max-gap says.",
                frame=gaps[0][0],
            )

    def _read(self, frames: Frames) -> Iterator[Problem]:
        previous = b""
        for done, number in enumerate(frames.numbers, start=1):
            self.progress("check", done, len(frames))
            file = frames.sources[number].path
            try:
                array = frames[number]
            except InputError as error:
                yield from (_problem(file, text, frame=number) for text in error.problems)
                previous = b""
                continue
            flat = bool(array.min() == array.max())
            digest = hashlib.blake2b(np.ascontiguousarray(array).data).digest()
            if self.kind == "labels":
                self.labels[number] = np.unique(array).astype(np.int64)
                self.labels[number] = self.labels[number][self.labels[number] > 0]
                self.parts[number] = find_parts(array)
                if not len(self.labels[number]):
                    yield _problem(file, f"Frame {number} has no cell in {file}: check that this is so.", frame=number)
            elif flat:
                yield _problem(
                    file,
                    f"Frame {number} is empty in {file} (every pixel is {array.min()}): "
                    "leave it out, it is then treated as a gap.",
                    frame=number,
                )
            if digest == previous and not flat:
                yield _problem(
                    file,
                    f"Frame {number} is an exact copy of the frame before it in {file}: "
                    "leave it out, or find the lost frame.",
                    frame=number,
                )
            previous = digest

    def _instances(self, frames: Frames) -> Iterator[Problem]:
        """Masks that are no instance masks; else each label that lies on two cells, named once."""
        if self.kind == "image":
            if looks_like_masks(frames):
                yield _problem(self.path, f"{self.path} holds masks, not images: give the folder with the grey images.")
            return
        if problem := mask_problem(list(self.parts.values())):
            yield _problem(self.path, f"{self.path}: {problem}")
            return
        tracked = self.path.is_dir() and track_file(self.path) is not None
        if (warning := mask_warning(list(self.parts.values()))) and not tracked:
            yield _problem(self.path, f"{self.path}: {warning}")
        doubles: dict[int, list[int]] = {}
        for number, parts in self.parts.items():
            for label in parts.doubles:
                doubles.setdefault(label, []).append(number)
        for label, where in sorted(doubles.items()):
            yield _problem(
                self.path,
                f"Label {label} in {self.path} lies on cells that are far apart in {_frames(where)}: "
                "give each of them a number of its own.",
                frame=where[0],
                label=label,
            )

    def _compare_tracks(self, file: Path) -> Iterator[Problem]:
        try:
            tracks = read_tracks(file)
        except InputError as error:
            yield from (_problem(file, text) for text in error.problems)
            return
        yield from (
            _problem(file, f"{file}: {text}", frame=frame, label=label) for label, frame, text in tracks.faults()
        )
        yield from _compare_labels(self.path, file, clip_tracks(tracks, self.frames), self.labels)


def _compare_labels(path: Path, file: Path, tracks: Tracks, labels: dict[int, NDArray[np.int64]]) -> Iterator[Problem]:
    """Labels that are in the masks but not in the table, and the other way round, one problem per label."""
    present: dict[int, set[int]] = {}
    for frame, values in labels.items():
        for value in values.tolist():
            present.setdefault(value, set()).add(frame)
    listed: dict[int, set[int]] = {}
    for label, begin, end, _ in tracks.rows().tolist():
        # A table may claim millions of frames; only those that can be read are compared.
        listed.setdefault(label, set()).update(frame for frame in labels if begin <= frame <= end)
        absent = sorted(listed[label] - present.get(label, set()))
        outside = [frame for frame in (begin, end) if frame not in labels]
        if absent:
            yield _problem(
                file,
                f"{file} says that track {label} is in frames {begin}–{end}, but the masks lack it in "
                f"{_ranges(absent)}: split the track there, or correct its begin and end.",
                frame=absent[0],
                label=label,
            )
        if outside and labels:
            yield _problem(
                file,
                f"{file} says that track {label} is in frames {begin}–{end}, but {path} has no "
                f"readable frame {outside[0]}: correct the table, or add the frame.",
                frame=outside[0],
                label=label,
            )
    for label in sorted(present):
        unlisted = sorted(present[label] - listed.get(label, set()))
        if unlisted:
            where = "is not in" if label not in listed else "is outside its begin and end in"
            yield _problem(
                path,
                f"Label {label} in {path} ({_frames(unlisted)}) {where} {file.name}: "
                "add it to the table, or remove it from the masks.",
                frame=unlisted[0],
                label=label,
            )


def _role_of(path: Path, part: Section) -> Role:
    """Whether a path holds images or masks, from names, else from the first frame that can be read."""
    if path.is_dir():
        names = sorted(item.name for item in path.iterdir() if item.is_file())
        if any(name.startswith("man_seg") for name in names):
            return "sparse labels"
        if track_file(path) or any(name.startswith(LABEL_PREFIXES) for name in names):
            return "labels"
    elif path.name.startswith(LABEL_PREFIXES):
        return "labels"
    try:
        folder = path.is_dir() and not is_zarr(path)
        options: dict[str, Any] = {"channel": part.channel, "axes": part.axes, "series": part.series}
        movie = inspect_folder(path, "image", **options)[0] if folder else open_frames(path, "image", **options)
        return "labels" if movie is not None and looks_like_masks(movie) else "image"
    except InputError:
        return "image"


def _problem(path: Path, text: str, *, frame: int | None = None, label: int | None = None) -> Problem:
    what, colon, remedy = text.rpartition(": ")
    return Problem(
        path=str(path), frame=frame, label=label, what=what if colon else text, remedy=remedy if colon else ""
    )


def _frames(numbers: Collection[int]) -> str:
    """``"frame 3"`` or ``"frames 3–5, 9"``."""
    return f"frame{'s' * (len(numbers) > 1)} {_ranges(numbers)}"


def _ranges(numbers: Iterable[int]) -> str:
    """``[1, 2, 3, 7]`` → ``"1–3, 7"``."""
    values = np.array(sorted(numbers), dtype=np.int64)
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return _range_text([(int(run[0]), int(run[-1])) for run in runs])


def _range_text(runs: list[tuple[int, int]]) -> str:
    """At most eight ranges as text."""
    shown = [f"{first}–{last}" if last > first else f"{first}" for first, last in runs[:8]]
    return ", ".join(shown) + (" …" if len(runs) > 8 else "")
