"""Reading what is compared: the folders of a ground truth, and a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.file_formats import TIFF_SUFFIXES
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_instances, open_labels
from celltrail.data.files.tracks import SHOWN, Tracks, read_tracks
from celltrail.data.labels.instances import SMALLEST_REGION, find_parts, mask_problem
from celltrail.data.types import IntArray
from celltrail.data.words import counted
from celltrail.evaluation.measures.contingency import Objects

TruthKind = Literal["GT", "ST"]
FEW_NUMBERS = 2  # a truth with more is none of classes: it is read once, and not looked at again
PIECES = 3  # large ones of one number in a frame, which one cell does not have
_SLICE = re.compile(r"_?(\d+)_(\d+)$")


class SegTruth(Mapping[int, NDArray[Any]]):
    """Segmentation truth: whole frames, or single slices of volumes (``man_seg_TTT_ZZZ.tif``)."""

    def __init__(self, path: Path, whole: Frames | None, single: Mapping[int, list[tuple[int, Path]]]) -> None:
        self.path = path
        self.whole = whole
        self.single = dict(single)

    def between(self, frames: range) -> SegTruth:
        """The same truth, only the frames whose number is in ``frames``."""
        whole = None if self.whole is None else self.whole.between(frames)
        return SegTruth(self.path, whole, {frame: self.single[frame] for frame in frames if frame in self.single})

    def __getstate__(self) -> dict[str, Any]:
        """A truth that travels to another process names its files from the root."""
        single = {frame: [(z, path.absolute()) for z, path in found] for frame, found in self.single.items()}
        return {**self.__dict__, "path": self.path.absolute(), "single": single}

    def __getitem__(self, frame: int) -> NDArray[Any]:
        if self.whole is None:
            raise KeyError(frame)
        return self.whole[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted({*(self.whole or ()), *self.single}))

    def __len__(self) -> int:
        return len({*(self.whole or ()), *self.single})

    def slices(self, frame: int) -> list[tuple[int | None, NDArray[Any]]] | None:
        """The annotated slices (z, labels) of a frame; ``None`` where the whole frame is annotated."""
        if frame not in self.single:
            return None
        return [(plane, _single(path)) for plane, path in self.single[frame]]


def _single(path: Path) -> NDArray[Any]:
    (image,) = open_labels(path).values()
    return image


def open_seg(folder: Path, frames: range | None = None) -> SegTruth:
    """Open a folder of segmentation truth; `InputError` if it holds no such frames."""
    single: dict[int, list[tuple[int, Path]]] = {}
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in names if path.suffix.lower() in TIFF_SUFFIXES and not path.name.startswith(".")]
    for path in files:
        found = _SLICE.search(path.stem)
        if found:
            single.setdefault(int(found.group(1)), []).append((int(found.group(2)), path))
    if not single:
        return SegTruth(folder, open_labels(folder, frames=frames), {})
    if sum(len(group) for group in single.values()) < len(files):
        raise InputError(
            f"{folder} mixes whole frames (man_segTTT.tif) and single slices (man_seg_TTT_ZZZ.tif): keep one kind."
        )
    kept = {frame: group for frame, group in single.items() if frames is None or frame in frames}
    return SegTruth(folder, None, kept)


@dataclass(frozen=True)
class TruthFolders:
    """Where the truth of a sequence lies: markers and tracks in ``tra``, full masks in ``seg``."""

    tra: Path | None
    seg: Path | None
    kind: TruthKind


def find_truth(gt: Path, kind: TruthKind = "GT") -> TruthFolders:
    """The truth folders of ``NN_GT`` (or of a folder that itself holds the markers and ``man_track.txt``).

    ``kind="ST"`` takes the full masks from the silver truth in ``NN_ST/SEG`` beside ``NN_GT``.

    Raises
    ------
    InputError
        If the folder, or the silver truth, is missing.
    """
    gt = Path(gt)
    if not gt.is_dir():
        raise InputError(f"{gt} does not exist: give the folder of the ground truth (NN_GT).")
    tra = gt / "TRA" if (gt / "TRA").is_dir() else gt if track_file(gt) else None
    seg = gt / "SEG" if (gt / "SEG").is_dir() else None
    if kind == "ST":
        beside = gt.parent / (gt.name.removesuffix("_GT") + "_ST") / "SEG"
        if not beside.is_dir():
            raise InputError(f"{beside} does not exist: there is no silver truth for {gt}; use --truth GT.")
        seg = beside
    return TruthFolders(tra, seg, kind)


def check_tracks(path: Path) -> tuple[Tracks | None, list[str]]:
    """Read a track file; the table (``None`` if it cannot be used) and its problems."""
    try:
        tracks = read_tracks(path)
    except InputError as error:
        return None, list(error.problems)
    return tracks, [f"{path}: {problem}" for problem in tracks.problems()]


def disagreements(path: Path, tracks: Tracks, objects: Objects, frames: IntArray) -> list[str]:
    """Where a track file and its masks disagree, as sentences.

    Parameters
    ----------
    path : Path
        The track file, for the sentences.
    objects : Objects
        What the masks hold.
    frames : IntArray
        The frames that were read; other frames are not judged.
    """
    names, rows = np.unique(objects.label, return_inverse=True)
    order = np.lexsort((objects.frame, rows))
    counts = np.bincount(rows, minlength=len(names))
    starts = np.concatenate([[0], np.cumsum(counts)])
    seen_in = objects.frame[order]
    present = {int(name): seen_in[starts[k] : starts[k + 1]] for k, name in enumerate(names)}
    # A track agrees where it has as many frames as it should, none of them outside: only the others are looked at.
    place = np.searchsorted(names, tracks.label).clip(0, max(len(names) - 1, 0))
    here = names[place] == tracks.label if len(names) else np.zeros(len(tracks), dtype=bool)
    should = np.searchsorted(frames, tracks.end, "right") - np.searchsorted(frames, tracks.begin)
    agrees = should.clip(0) == 0
    if len(names):
        first, last = seen_in[starts[place]], seen_in[starts[place + 1] - 1]
        inside = (first >= tracks.begin) & (last <= tracks.end) & (counts[place] == should)
        agrees = np.where(here, inside, agrees)
    for label in tracks.label[agrees].tolist():
        present.pop(label, None)
    problems = []
    wrong = np.flatnonzero(~agrees)
    for label, begin, end, _ in tracks.rows()[wrong[:SHOWN]].tolist():
        expected = frames[(frames >= begin) & (frames <= end)]
        seen = present.pop(label, np.zeros(0, dtype=np.int64))
        absent, extra = np.setdiff1d(expected, seen), np.setdiff1d(seen, expected)
        if len(absent):
            problems.append(
                f"{path}: track {label} should be in frames {begin} to {end}, but the masks lack it in "
                f"{_name_frames(absent)}: correct the track file or the masks."
            )
        if len(extra):
            problems.append(
                f"{path}: the masks hold label {label} in {_name_frames(extra)}, outside its track "
                f"({begin} to {end}): correct the track file or the masks."
            )
    for label in tracks.label[wrong[SHOWN:]].tolist():
        present.pop(label, None)
    if len(wrong) > SHOWN:
        problems.append(
            f"{path}: {counted(len(wrong) - SHOWN, 'more track does', 'more tracks do')} not agree with the masks."
        )
    problems += [
        f"{path}: the masks hold label {label} in {_name_frames(seen)}, but the file does not list it: "
        "add its track or remove it."
        for label, seen in list(present.items())[:SHOWN]
    ]
    return problems


def instance_problems(path: Path, pictures: Sequence[NDArray[Any]]) -> list[str]:
    """Whether a truth in which all cells have one or two numbers is black-and-white, or a map of classes, as sentences.

    The cells of a truth may lie in pieces, so fewer than three pieces of a number, or crumbs, are no sign.

    Parameters
    ----------
    pictures : Sequence[NDArray[Any]]
        Label images of some frames.
    """
    parts = [frame for frame in map(find_parts, pictures) if len(frame.value)]
    large = [np.unique(frame.value[frame.area >= SMALLEST_REGION], return_counts=True)[1] for frame in parts]
    scattered = [counts for counts in large if counts.max(initial=0) >= PIECES]
    problem = mask_problem(parts) if 2 * len(scattered) > len(parts) else None
    return [f"{path}: {problem}"] if problem else []


def compare_frames(truth: Mapping[int, Any], truth_name: Path, result: Mapping[int, Any], name: Path) -> list[str]:
    """Frames that only one of the two has, as sentences."""
    missing, extra = sorted(set(truth) - set(result)), sorted(set(result) - set(truth))
    problems = []
    if missing:
        problems.append(
            f"{name} lacks {_name_frames(np.array(missing))} of {truth_name}: add them, or choose --frames "
            "that both have."
        )
    if extra:
        problems.append(
            f"{name} has {_name_frames(np.array(extra))}, which {truth_name} lacks: remove them, or choose "
            "--frames that both have."
        )
    return problems


def _name_frames(frames: IntArray) -> str:
    """Frame numbers in words, runs shortened: "frames 3, 7-9"."""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    shown = ", ".join(words[:6]) + (" …" if len(words) > 6 else "")
    return f"frame {shown}" if len(frames) == 1 else f"frames {shown}"


@dataclass
class Truth:
    """An opened ground truth: markers and tracks (``None`` where only masks are compared), full masks, and frames."""

    path: Path
    kind: TruthKind
    markers: Frames | None
    tracks: Tracks | None
    seg: SegTruth | None


@dataclass
class OpenedResult:
    """An opened result: masks, and tracks if it has any."""

    path: Path
    masks: Frames
    tracks: Tracks | None


def open_truth(
    gt: Path, *, frames: range | None = None, truth: TruthKind = "GT", only_masks: bool = False
) -> tuple[Truth | None, list[str]]:
    """Open a ground truth; returns it (``None`` if it cannot be used) and every problem."""
    problems: list[str] = []
    try:
        folders = find_truth(gt, truth)
    except InputError as error:
        return None, list(error.problems)
    markers: Frames | None = None
    tracks: Tracks | None = None
    seg: SegTruth | None = None
    if folders.tra is None and not only_masks:
        problems.append(
            f"{gt} holds no TRA folder with man_track.txt: give the folder of the ground truth (NN_GT), "
            "or compare masks only (--only-masks)."
        )
    if folders.tra is not None and not only_masks:
        file = track_file(folders.tra)
        if file is None:
            problems.append(f"{folders.tra} holds no man_track.txt: the truth needs its track file.")
        else:
            tracks, found = check_tracks(file)
            problems += found
        markers, found = _open_labels(folders.tra, frames)
        problems += found
    if folders.seg is not None:
        try:
            seg = open_seg(folders.seg, frames)
        except InputError as error:
            # a sparse truth may have no frame in the range: then SEG has no value
            if frames is None or truth == "ST" or not any(" has no frame in " in text for text in error.problems):
                problems += error.problems
    if only_masks and seg is None:
        problems.append(f"{gt} holds no SEG folder with full masks to compare with.")
    return Truth(path=Path(gt), kind=truth, markers=markers, tracks=tracks, seg=seg), problems


def open_result(res: Path, *, frames: range | None = None) -> tuple[OpenedResult | None, list[str]]:
    """Open a result folder; returns it (``None`` if it cannot be used) and every problem."""
    file = track_file(Path(res)) if Path(res).is_dir() else None
    # what a tracker has made is judged as it is; plain masks must have a number for every cell
    masks, problems = _open_labels(Path(res), frames, open_labels if file is not None else open_instances)
    tracks = None
    if file is not None:
        tracks, found = check_tracks(file)
        problems += found
    return (None if masks is None else OpenedResult(Path(res), masks, tracks)), problems


def _open_labels(
    path: Path, frames: range | None, opened: Callable[..., Frames] = open_labels
) -> tuple[Frames | None, list[str]]:
    try:
        return opened(path, frames=frames), []
    except InputError as error:
        return None, list(error.problems)
