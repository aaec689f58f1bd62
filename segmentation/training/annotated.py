"""Annotated movies: images with labels, which of the truths, which frames are held back, and where the truth is not known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import find_sequence
from celltrail.data.files.movie import Frames, LazyFrames
from celltrail.data.files.opening import open_images, open_labels, refuse_masks
from celltrail.data.labels.instances import judge_masks
from celltrail.data.words import counted

CELL_SIZE = 28  # diameter in pixels to which automatic reduction brings the cells
FAR = 10  # frames after which two pictures of a movie are no longer nearly equal
MARGIN_FRAMES, INSIDE = 10, 10
TRUTHS = ("auto", "ST", "GT", "mixed")


@dataclass(frozen=True)
class AnnotatedMovie:
    """Images with their annotations: frame number → array.

    Attributes
    ----------
    numbers : tuple[int, ...]
        The frames that are used; all have an image and labels.
    markers : Mapping[int, NDArray[Any]] | None
        One small label per cell (the CTC's TRA), complete where ``labels`` may be partial; or ``None``.
    weights : Mapping[int, NDArray[Any]] | None
        Weights of the loss made beforehand, float; ``None`` computes them for every tile.
    margin : int
        Pixels at the sides in which cells without a label may be, see `with_margins`.
    """

    images: Mapping[int, NDArray[Any]]
    labels: Mapping[int, NDArray[Any]]
    numbers: tuple[int, ...]
    markers: Mapping[int, NDArray[Any]] | None = None
    weights: Mapping[int, NDArray[Any]] | None = None
    name: str = "movie"
    margin: int = 0


def open_movie(
    dataset: Path,
    sequence: str,
    truth: str = "auto",
    *,
    frames: range | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
    split_binary: bool = False,
) -> AnnotatedMovie:
    """A sequence of a CTC data set with its silver ("ST") or gold ("GT") truth, or gold over silver ("mixed").

    "auto" is silver where the sequence has it, otherwise gold.

    Raises
    ------
    InputError
        If a folder is missing, the masks are no label images, or shapes differ.
    """
    found = find_sequence(dataset, sequence)
    if truth not in TRUTHS:
        raise InputError(f"--truth {truth}: choose one of {', '.join(TRUTHS)}.")
    if truth == "auto":
        truth = "GT" if found.st_seg is None else "ST"
    needed = {f"{found.name}": found.images}
    if truth != "GT":
        needed[f"{found.name}_ST/SEG"] = found.st_seg
    if truth != "ST":
        needed[f"{found.name}_GT/SEG"] = found.gt_seg
    missing = [name for name, folder in needed.items() if folder is None]
    if missing:
        raise InputError(
            f"{dataset} has no folder {missing[0]}: choose another --sequence, or --truth "
            f"{'GT' if found.st_seg is None else 'ST'}."
        )
    assert found.images is not None
    markers = open_labels(found.gt_tra) if found.gt_tra is not None else None
    gold = open_labels(found.gt_seg) if truth != "ST" and found.gt_seg is not None else None
    silver = open_labels(found.st_seg) if truth != "GT" and found.st_seg is not None else None
    labels = silver or gold
    assert labels is not None
    if split_binary:
        labels = labels.with_parts_split()
    movie = pair(open_images(found.images, channel=channel, axes=axes, series=series), labels, frames, markers)
    if silver is not None and gold is not None:
        movie = replace(movie, labels=GoldOverSilver(gold, silver))
    return replace(movie, name=f"{Path(dataset).name}/{sequence} {truth}")


class GoldOverSilver(LazyFrames):
    """Silver truth in which cells are replaced where there is gold truth of them; frames as in the silver truth."""

    def __init__(self, gold: Mapping[int, NDArray[Any]], silver: Mapping[int, NDArray[Any]]) -> None:
        super().__init__(silver)
        self.gold, self.silver = gold, silver

    def __getitem__(self, number: int) -> NDArray[np.int32]:
        silver = np.asarray(self.silver[number]).astype(np.int32)
        if number not in self.gold:
            return silver
        gold = np.asarray(self.gold[number]).astype(np.int32)
        # A silver cell goes where more than half of it lies under one gold cell; the others keep what is left.
        areas = np.bincount(silver.ravel())
        under = np.bincount(silver[gold > 0].ravel(), minlength=len(areas))
        replaced = 2 * under > areas
        replaced[0] = False
        merged = np.where(replaced[silver], 0, silver)
        return np.where(gold > 0, gold + len(areas), merged).astype(np.int32)


def pair(images: Frames, labels: Frames, frames: range | None = None, markers: Frames | None = None) -> AnnotatedMovie:
    """A movie from images and label images with equal frame numbers (frames without labels are left out).

    Raises
    ------
    InputError
        If no frame has both, labels have no image, or shapes differ.
    """
    orphans = [number for number in labels if number not in images]
    if orphans:
        raise InputError(
            f"{labels.path} has labels for the frames {orphans[:5]}, which {images.path} lacks: "
            "add the images, or choose other --frames."
        )
    if images.shape != labels.shape:
        raise InputError(
            f"{images.path} has frames of {images.shape} pixels, {labels.path} of {labels.shape}: "
            "images and labels must have the same shape."
        )
    refuse_masks(images)
    judge_masks(labels)
    numbers = tuple(number for number in labels if frames is None or number in frames)
    if not numbers:
        raise InputError(f"{labels.path} has no labels in the chosen frames: choose other --frames.")
    return AnnotatedMovie(images, labels, numbers, markers, name=str(images.path.name))


def split_off(movie: AnnotatedMovie, share: float = 0.1) -> tuple[AnnotatedMovie, AnnotatedMovie]:
    """Frames to learn from, and frames for validation: the last ones of a movie, every tenth of a collection of stills.

    A collection of stills is told by its images of different sizes.
    """
    if len({shape_of(movie, number) for number in movie.numbers}) == 1:
        return split_in_time(movie, share)
    step = max(2, min(round(1 / share), len(movie.numbers)))
    held_back = movie.numbers[step - 1 :: step]
    rest = tuple(number for number in movie.numbers if number not in held_back)
    return replace(movie, numbers=rest), replace(movie, numbers=held_back)


def shape_of(movie: AnnotatedMovie, number: int) -> tuple[int, ...]:
    """Shape of a frame, without reading it where it lies in a file."""
    source = movie.labels.sources[number] if isinstance(movie.labels, Frames) else movie.labels[number]
    return tuple(source.shape)


def is_one_kind(movies: Iterable[AnnotatedMovie]) -> bool:
    """Whether all frames are of one movie, and of one size: what is learnt from them is then for their kind alone."""
    return len({(id(movie), shape_of(movie, number)) for movie in movies for number in movie.numbers}) == 1


def split_in_time(movie: AnnotatedMovie, share: float = 0.1) -> tuple[AnnotatedMovie, AnnotatedMovie]:
    """Split off the last frames for validation, with a gap half as long in between.

    Neighbouring frames are nearly equal: a random split would measure memory, not learning. Frames that are at least
    `FAR` away are learnt from all the same.
    """
    count = max(1, round(len(movie.numbers) * share))
    gap = (count + 1) // 2
    last, before = movie.numbers[-count:], movie.numbers[:-count]
    first = before[:-gap] + tuple(number for number in before[-gap:] if last[0] - number >= FAR)
    if not first:
        raise InputError(
            f"{movie.name} has {counted(len(movie.numbers), 'annotated frame')}, too few to set some aside: "
            "name other frames or another sequence with --validation, or give --validation none."
        )
    return replace(movie, numbers=first), replace(movie, numbers=last)


def unknown_region(labels: NDArray[np.integer[Any]], markers: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Where the truth is not known: around markers of cells that have no label.

    A pixel outside of all labelled cells is unknown if a marker without a label is nearer to it than any
    labelled cell, and not farther than twice the longest side of the largest labelled cell.
    """
    marked = np.unique(markers[markers > 0])
    covered = np.unique(markers[(markers > 0) & (labels > 0)])
    if len(covered) == len(marked):
        return np.zeros(labels.shape, dtype=bool)
    alone = np.isin(markers, np.setdiff1d(marked, covered))
    to_marker = ndimage.distance_transform_edt(~alone)
    if not labels.any():
        return np.ones(labels.shape, dtype=bool)
    longest = max(max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels) if box is not None)
    to_cell = ndimage.distance_transform_edt(labels == 0)
    unknown: NDArray[np.bool_] = (labels == 0) & (to_marker < to_cell) & (to_marker <= 2 * longest)
    return unknown


def unlabelled_margin(movie: AnnotatedMovie) -> int:
    """Pixels at the sides of the frames in which cells have no label, as in movies of the Cell Tracking Challenge.

    No cell lies wholly in this margin, but `INSIDE` cells or more, in up to `MARGIN_FRAMES` frames, come no further in
    than twice as far: that is no chance. 0 where it may be, or the margin is wider than an eighth of a frame.
    """
    chosen = np.linspace(0, len(movie.numbers) - 1, min(len(movie.numbers), MARGIN_FRAMES)).round().astype(int)
    reach: list[int] = []  # of each cell, how far in it comes
    widest = 0
    for index in chosen:
        for plane in planes_of(read_labels(movie, movie.numbers[index])):
            rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in plane.shape)
            inwards = np.minimum(rows[:, None], columns)
            reach += list(ndimage.maximum(inwards, plane, np.unique(plane[plane > 0])))
            widest = min(plane.shape) // 8
    margin = int(min(reach, default=0))
    return margin if margin <= widest and np.count_nonzero(np.array(reach) < 2 * margin) >= INSIDE else 0


def with_margins(movies: list[AnnotatedMovie]) -> list[AnnotatedMovie]:
    """The movies with the margin that their labels show; parts of one movie, learnt from and held back, have the same."""
    parts: dict[int, list[AnnotatedMovie]] = {}
    for movie in movies:
        parts.setdefault(id(movie.labels), []).append(movie)
    margins = {
        key: unlabelled_margin(replace(same[0], numbers=tuple(sorted(n for part in same for n in part.numbers))))
        for key, same in parts.items()
    }
    return [replace(movie, margin=margins[id(movie.labels)]) for movie in movies]


def typical_diameter(movies: Iterable[AnnotatedMovie], frames_each: int = 5) -> float:
    """Median diameter of the cells in pixels (of a circle of equal area), from a few frames of each movie."""
    areas: list[NDArray[np.integer[Any]]] = []
    for movie in movies:
        chosen = np.linspace(0, len(movie.numbers) - 1, min(frames_each, len(movie.numbers))).round().astype(int)
        for index in chosen:
            for plane in planes_of(read_labels(movie, movie.numbers[index])):
                counts = np.bincount(plane.ravel())[1:]
                areas.append(counts[counts > 0])
    joined = np.concatenate(areas) if areas else np.zeros(0)
    if len(joined) == 0:
        raise InputError("The label images hold no cell: training needs labels.")
    return float(2 * np.sqrt(np.median(joined) / np.pi))


def automatic_scale(movies: Iterable[AnnotatedMovie]) -> int:
    """Factor of reduction that brings the typical cell to about 28 pixels."""
    return max(1, round(typical_diameter(movies) / CELL_SIZE))


def read_labels(movie: AnnotatedMovie, number: int) -> NDArray[np.int32]:
    """Labels of a frame, numbered 1 … n.

    Raises
    ------
    InputError
        If the image is a 0/255 mask rather than a label image.
    """
    labels = np.asarray(movie.labels[number])
    values, index = np.unique(labels, return_inverse=True)
    if labels.dtype == bool:
        judge_masks({number: labels}, movie.name)
    if values[0] != 0:
        index = index + 1
    return index.reshape(labels.shape).astype(np.int32)


def planes_of(array: NDArray[Any]) -> NDArray[Any]:
    """A frame as a stack of planes: (Y, X) → (1, Y, X); (Z, Y, X) stays."""
    return array.reshape(-1, *array.shape[-2:])


def hash_of(movies: Iterable[AnnotatedMovie]) -> str:
    """SHA-256 of the files behind the used frames of movies on disk (of the arrays otherwise)."""
    digest = hashlib.sha256()
    for movie in movies:
        for number in movie.numbers:
            for source in (movie.images, movie.labels):
                if isinstance(source, Frames):
                    for path in source.sources[number].paths:
                        digest.update(path.read_bytes())
                else:
                    digest.update(np.ascontiguousarray(source[number]).tobytes())
    return digest.hexdigest()
