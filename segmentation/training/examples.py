"""Training data: annotated movies as a torch data set of varied tiles with targets and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from celltrail.data.errors import InputError
from celltrail.segmentation.net.model import Preprocessing
from celltrail.segmentation.net.resize import (
    median_diameter,
    resize_factor,
    resize_labels,
    resize_plane,
    resized_shape,
)
from celltrail.segmentation.net.unet import margin_of, valid_size
from celltrail.segmentation.prediction.contrast import darkness, roughness
from celltrail.segmentation.prediction.grey import grey_limits, normalise
from celltrail.segmentation.prediction.tiles import reduce_image
from celltrail.segmentation.training.annotated import (
    AnnotatedMovie,
    planes_of,
    read_labels,
    shape_of,
    unknown_region,
)
from celltrail.segmentation.training.augment import inside, read_tile, sample_coordinates, vary_cells, vary_grey
from celltrail.segmentation.training.settings import Settings
from celltrail.segmentation.training.weight_map import border_weights, carve, class_weights, relative_distance

NEAR = 3.0  # pixels: σ of the nearness of neighbours; cells are about 20 wide
CACHE_BYTES = 3 * 2**29
DARKNESS_FRAMES = 40  # as many tell what the grey values of the others are like


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


def prepare_frame(
    movie: AnnotatedMovie, number: int, preprocessing: Preprocessing, diameter: float = 0.0
) -> list[Plane]:
    """The planes of one frame; ``diameter`` resizes them so that their cells have this median diameter (0: not).

    In the movie's ``margin`` only labelled cells are known.
    """
    image, labels = np.asarray(movie.images[number]), read_labels(movie, number)
    if image.shape != labels.shape:
        raise InputError(
            f"{movie.name}, frame {number}: the image has {image.shape} pixels, its labels {labels.shape}."
        )
    known = np.ones(labels.shape, dtype=bool)
    if movie.markers is not None and number in movie.markers:
        known = ~unknown_region(labels, np.asarray(movie.markers[number]))
    if margin := movie.margin:
        inner = np.zeros(labels.shape, dtype=bool)
        inner[..., margin:-margin, margin:-margin] = True
        known &= inner | (labels > 0)
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
    planes = [
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
    if not diameter:
        return planes
    found = [d for plane in planes if (d := median_diameter(plane.labels))]
    factor = resize_factor(labels.shape, float(np.median(found)) if found else 0.0, diameter)
    return [resize(plane, factor) for plane in planes]


def resize(plane: Plane, factor: float) -> Plane:
    """The plane with sides that are ``factor`` times as long."""
    shape = resized_shape((plane.labels.shape[0], plane.labels.shape[1]), factor)
    return Plane(
        resize_plane(plane.image, shape),
        resize_labels(plane.labels, shape),
        resize_labels(plane.known, shape),
        None if plane.weight is None else resize_plane(plane.weight, shape),
    )


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
        "target" int64 (0 background, 1 cell), "weight" float32 (0 where not known), "distance" float32, and where it is
        learnt "nearness" float32.
    """
    carved = carve(labels)
    target = (carved > 0).astype(np.int64)
    weight = balance[target]
    if settings.w0 > 0:
        weight = weight + border_weights(carved, settings.w0, settings.sigma)
    targets: dict[str, NDArray[Any]] = {
        "target": target,
        "weight": weight * known,
        "distance": relative_distance(carved),
    }
    if settings.neighbours:
        targets["nearness"] = border_weights(carved, 1.0, NEAR)
    return targets


class TrainingTiles(Dataset[dict[str, Tensor]]):
    """Varied tiles of annotated movies; tile ``i`` depends on nothing but the data, the settings, the seed and ``i``.

    Each item holds "image" float32 (1, n, n), and what `make_targets` returns in the size of the net's output.

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
        self.groups = group_frames(self.frames[: self.sure])
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
        movie, number = self.frames[index]
        planes = prepare_frame(movie, number, self.preprocessing, self.settings.diameter)
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
        image = read_tile(torch.from_numpy(plane.image), coordinates, "bilinear")
        labels = (
            read_tile(torch.from_numpy(plane.labels.astype(np.float32)), coordinates, "nearest")
            .numpy()
            .astype(np.int32)
        )
        image, labels = vary_cells(image, labels, self.settings.variation, random)
        image = vary_grey(image, self.settings.variation, random)
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
        """Any annotated frame of any group; where there are less sure ones, one of these every second time."""
        if self.sure < len(self.frames) and random.random() < 0.5:
            return int(random.integers(self.sure, len(self.frames)))
        if len(self.groups) == 1:
            return int(random.integers(self.sure))
        share = np.sqrt([len(group) for group in self.groups])
        group = self.groups[int(random.choice(len(self.groups), p=share / share.sum()))]
        return group[int(random.integers(len(group)))]

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


def typical_darkness(tiles: TrainingTiles) -> float | None:
    """`darkness` that few of the frames surpass (19 of 20 do not), of up to `DARKNESS_FRAMES`; ``None``: it cannot be told."""
    chosen = np.linspace(0, tiles.sure - 1, min(tiles.sure, DARKNESS_FRAMES)).round().astype(int)
    planes = [plane for index in chosen for plane in tiles.planes(int(index))]
    found = [darkness(plane.image, plane.labels, roughness(plane.image)) for plane in planes]
    known = [value for value in found if not np.isnan(value)]
    return round(float(np.percentile(known, 95)), 3) if known else None


def group_frames(frames: list[tuple[AnnotatedMovie, int]]) -> list[list[int]]:
    """Indices of the frames that are of one kind: of one movie, and of one size (in a collection of stills).

    A group with four times the frames gives twice the tiles: a large collection teaches more, and a small one is heard.
    """
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index, (movie, number) in enumerate(frames):
        groups.setdefault((id(movie), shape_of(movie, number)), []).append(index)
    return list(groups.values())
