"""Training data: annotated movies as a torch data set of varied tiles with targets and weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import find_sequence
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images, open_labels, refuse_masks
from celltrail.segmentation.net.model import Preprocessing
from celltrail.segmentation.net.unet import margin_of, valid_size
from celltrail.segmentation.prediction.tiles import grey_limits, normalise, reduce_image
from celltrail.segmentation.training.augment import inside, read_tile, sample_coordinates, vary_grey
from celltrail.segmentation.training.settings import Settings
from celltrail.segmentation.training.weight_map import border_weights, carve, class_weights, relative_distance

CELL_SIZE = 28  # diameter in pixels to which automatic reduction brings the cells
CACHE_BYTES = 2**30
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
    """

    images: Mapping[int, NDArray[Any]]
    labels: Mapping[int, NDArray[Any]]
    numbers: tuple[int, ...]
    markers: Mapping[int, NDArray[Any]] | None = None
    weights: Mapping[int, NDArray[Any]] | None = None
    name: str = "movie"


def open_movie(
    dataset: Path, sequence: str, truth: str = "auto", *, frames: range | None = None, channel: int | None = None
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
    movie = pair(open_images(found.images, channel=channel), labels, frames, markers)
    if silver is not None and gold is not None:
        movie = replace(movie, labels=GoldOverSilver(gold, silver))
    return replace(movie, name=f"{Path(dataset).name}/{sequence} {truth}")


class GoldOverSilver(Mapping[int, NDArray[np.int32]]):
    """Silver truth in which cells are replaced where there is gold truth of them; frames as in the silver truth."""

    def __init__(self, gold: Mapping[int, NDArray[Any]], silver: Mapping[int, NDArray[Any]]) -> None:
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

    def __iter__(self) -> Iterator[int]:
        return iter(self.silver)

    def __len__(self) -> int:
        return len(self.silver)


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
    numbers = tuple(number for number in labels if frames is None or number in frames)
    if not numbers:
        raise InputError(f"{labels.path} has no labels in the chosen frames: choose other --frames.")
    return AnnotatedMovie(images, labels, numbers, markers, name=str(images.path.name))


def split_in_time(movie: AnnotatedMovie, share: float = 0.1) -> tuple[AnnotatedMovie, AnnotatedMovie]:
    """Split off the last frames for validation, with a gap half as long in between.

    Neighbouring frames are nearly equal: a random split would measure memory, not learning.
    """
    count = max(1, round(len(movie.numbers) * share))
    gap = (count + 1) // 2
    if len(movie.numbers) < count + gap + 1:
        raise InputError(
            f"{movie.name} has {len(movie.numbers)} annotated frames, too few to set some aside: "
            "name other frames or another sequence with --validation, or give --validation none."
        )
    return (replace(movie, numbers=movie.numbers[: -count - gap]), replace(movie, numbers=movie.numbers[-count:]))


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
    return (labels == 0) & (to_marker < to_cell) & (to_marker <= 2 * longest)


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
    if labels.dtype == bool or (len(values) == 2 and values[0] == 0 and values[1] == 255):
        pieces = ndimage.label(labels)[1]
        if pieces > 1 or labels.dtype == bool:
            raise InputError(
                f"{movie.name}, frame {number}: the mask holds only 0 and {int(values[-1])}, but labels are "
                "needed: give each cell its own number."
            )
    if values[0] != 0:
        index = index + 1
    return index.reshape(labels.shape).astype(np.int32)


def planes_of(array: NDArray[Any]) -> NDArray[Any]:
    """A frame as a stack of planes: (Y, X) → (1, Y, X); (Z, Y, X) stays."""
    return array.reshape(-1, *array.shape[-2:])


@dataclass(frozen=True)
class Plane:
    """A 2D image as the net sees it: grey values scaled and reduced, labels reduced, where the truth is known.

    Attributes
    ----------
    weight : NDArray[np.float32] | None
        Weights made beforehand, reduced; or ``None``.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    weight: NDArray[np.float32] | None = None


def prepare_frame(movie: AnnotatedMovie, number: int, preprocessing: Preprocessing) -> list[Plane]:
    """The planes of one frame."""
    image, labels = np.asarray(movie.images[number]), read_labels(movie, number)
    if image.shape != labels.shape:
        raise InputError(
            f"{movie.name}, frame {number}: the image has {image.shape} pixels, its labels {labels.shape}."
        )
    known = np.ones(labels.shape, dtype=bool)
    if movie.markers is not None and number in movie.markers:
        known = ~unknown_region(labels, np.asarray(movie.markers[number]))
    scaled = normalise(image, grey_limits(image, preprocessing.low, preprocessing.high))
    weights: list[NDArray[Any] | None] = [None] * len(planes_of(scaled))
    if movie.weights is not None:
        if number not in movie.weights or np.shape(movie.weights[number]) != image.shape:
            raise InputError(
                f"{movie.name}, frame {number}: there are no weights of {image.shape} pixels for it: "
                "make them with 'celltrail preview weights'."
            )
        given = np.asarray(movie.weights[number], dtype=np.float32)
        if given.min() < 0:
            raise InputError(
                f"{movie.name}, frame {number}: its weights hold {given.min():g}, but a weight is 0 or more."
            )
        weights = list(planes_of(given))
    scale = preprocessing.scale
    return [
        Plane(
            reduce_image(grey, scale),
            reduce_labels(cells, scale),
            reduce_labels(sure, scale),
            None if weight is None else reduce_image(weight, scale),
        )
        for grey, cells, sure, weight in zip(
            planes_of(scaled), planes_of(labels), planes_of(known), weights, strict=True
        )
    ]


def reduce_labels(labels: NDArray[Any], scale: int) -> NDArray[Any]:
    """The label in the middle of each block of scale × scale pixels."""
    if scale == 1:
        return labels
    padded = np.pad(labels, [(0, -n % scale) for n in labels.shape], mode="edge")
    return padded[scale // 2 :: scale, scale // 2 :: scale]


def make_targets(
    labels: NDArray[np.integer[Any]], known: NDArray[np.bool_], balance: NDArray[np.float32], settings: Settings
) -> dict[str, NDArray[Any]]:
    """Targets of the loss from labels, in the one right order: carve, binary target, weights.

    Returns
    -------
    dict
        "target" int64 (0 background, 1 cell), "weight" float32 (0 where not known), "distance" float32.
    """
    carved = carve(labels)
    target = (carved > 0).astype(np.int64)
    weight = balance[target]
    if settings.w0 > 0:
        weight = weight + border_weights(carved, settings.w0, settings.sigma)
    return {"target": target, "weight": weight * known, "distance": relative_distance(carved)}


class TrainingTiles(Dataset[dict[str, Tensor]]):
    """Varied tiles of annotated movies; tile ``i`` depends on nothing but the data, the settings, the seed and ``i``.

    Each item holds "image" float32 (1, n, n) and "target", "weight", "distance" of the size of the
    net's output.

    Parameters
    ----------
    movies : list[AnnotatedMovie]
        Annotated movies.
    also : list[AnnotatedMovie] | None
        Further movies, less sure, which give half of the tiles however many their frames are.
    count : int
        How many tiles there are.
    """

    def __init__(
        self,
        movies: list[AnnotatedMovie],
        settings: Settings,
        preprocessing: Preprocessing,
        *,
        seed: int,
        count: int,
        also: list[AnnotatedMovie] | None = None,
    ) -> None:
        self.settings = settings
        self.preprocessing = preprocessing
        self.seed = seed
        self.count = count
        self.margin = margin_of(settings.depth)
        self.size = valid_size(settings.tile + 2 * self.margin, settings.depth)
        self.frames = [(movie, number) for movie in [*movies, *(also or [])] for number in movie.numbers]
        self.sure = sum(len(movie.numbers) for movie in movies)
        self._cache: dict[int, list[Plane]] = {}
        self._cached_bytes = 0
        self.balance = class_weights(self._count_classes(), settings.balance)

    def __len__(self) -> int:
        return self.count

    def _count_classes(self) -> NDArray[np.int64]:
        pixels = np.zeros(2, dtype=np.int64)
        for index in range(len(self.frames)):
            for plane in self.planes(index):
                pixels += np.bincount((carve(plane.labels) > 0)[plane.known], minlength=2)
        if pixels[1] == 0:
            raise InputError("The label images hold no cell: training needs labels.")
        return pixels

    def planes(self, index: int) -> list[Plane]:
        """The prepared planes of a frame; kept in memory as long as they are few."""
        if index in self._cache:
            return self._cache[index]
        planes = prepare_frame(*self.frames[index], self.preprocessing)
        size = sum(plane.image.nbytes + plane.labels.nbytes + plane.known.nbytes for plane in planes)
        if self._cached_bytes + size <= CACHE_BYTES:
            self._cache[index] = planes
            self._cached_bytes += size
        return planes

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        random = np.random.default_rng([self.seed, index])
        planes = self.planes(self._choose_frame(random))
        plane = planes[int(random.integers(len(planes)))]
        coordinates = sample_coordinates(self.size, self._choose_center(plane, random), self.settings.variation, random)
        image = vary_grey(
            read_tile(torch.from_numpy(plane.image), coordinates, "bilinear"), self.settings.variation, random
        )
        labels = (
            read_tile(torch.from_numpy(plane.labels.astype(np.float32)), coordinates, "nearest")
            .numpy()
            .astype(np.int32)
        )
        known = read_tile(torch.from_numpy(plane.known.astype(np.float32)), coordinates, "nearest").numpy() > 0
        known &= inside(coordinates, plane.image.shape)
        targets = make_targets(labels, known, self.balance, self.settings)
        if plane.weight is not None:
            targets["weight"] = read_tile(torch.from_numpy(plane.weight), coordinates, "nearest").numpy() * known
        inner = slice(self.margin, self.size - self.margin)
        return {"image": image[None].float()} | {
            key: torch.from_numpy(value[inner, inner].copy()) for key, value in targets.items()
        }

    def _choose_frame(self, random: np.random.Generator) -> int:
        """Any annotated frame; where there are less sure ones, one of these every second time."""
        if self.sure < len(self.frames) and random.random() < 0.5:
            return int(random.integers(self.sure, len(self.frames)))
        return int(random.integers(self.sure))

    def _choose_center(self, plane: Plane, random: np.random.Generator) -> tuple[float, float]:
        """Half of the tiles lie anywhere in the frame, half around a pixel of a cell."""
        height, width = plane.image.shape
        y, x = random.uniform(0, height - 1), random.uniform(0, width - 1)
        if random.random() < 0.5:
            cells = np.flatnonzero(plane.labels)
            if len(cells):
                y, x = divmod(int(cells[random.integers(len(cells))]), width)
        half = (self.size - 2 * self.margin) / 2

        def keep_in(value: float, side: int) -> float:
            return float(np.clip(value, half, side - half)) if side > 2 * half else (side - 1) / 2

        return keep_in(y, height), keep_in(x, width)


def hash_of(movies: Iterable[AnnotatedMovie]) -> str:
    """SHA-256 of the files behind the used frames of movies on disk (of the arrays otherwise)."""
    digest = hashlib.sha256()
    for movie in movies:
        for number in movie.numbers:
            for source in (movie.images, movie.labels):
                if isinstance(source, Frames):
                    digest.update(source.sources[number].path.read_bytes())
                else:
                    digest.update(np.ascontiguousarray(source[number]).tobytes())
    return digest.hexdigest()
