"""Pictures of what training sees and of what a model makes of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.pictures.render import outline_image
from celltrail.data.writing.output import output_file
from celltrail.segmentation.net.model import Model, Preprocessing
from celltrail.segmentation.prediction.grey import grey_limits, normalise
from celltrail.segmentation.prediction.hypotheses import label_cells
from celltrail.segmentation.prediction.tiles import predict
from celltrail.segmentation.training.annotated import (
    AnnotatedMovie,
    automatic_scale,
    planes_of,
    read_labels,
)
from celltrail.segmentation.training.augment import NO_VARIATION
from celltrail.segmentation.training.examples import TrainingTiles, make_targets, prepare_frame
from celltrail.segmentation.training.settings import Settings
from celltrail.segmentation.training.weight_map import carve, class_weights

Panel = tuple[str, NDArray[Any]]


def weight_maps(movie: AnnotatedMovie, settings: Settings) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The weights of the loss of every frame, at full resolution: frame number, float32 of its shape.

    0 where the truth is not known. The class weights come from all frames together. Where the net sees
    reduced images, σ counts in their pixels, and is enlarged here.
    """
    settings = replace(settings, sigma=settings.sigma * (settings.scale or automatic_scale([movie])))
    pixels = np.zeros(2, dtype=np.int64)
    for number in movie.numbers:
        for plane in prepare_frame(movie, number, Preprocessing()):
            pixels += np.bincount((carve(plane.labels) > 0)[plane.known], minlength=2)
    balance = class_weights(pixels, settings.balance)
    for number in movie.numbers:
        planes = prepare_frame(movie, number, Preprocessing())
        maps = [make_targets(plane.labels, plane.known, balance, settings)["weight"] for plane in planes]
        yield number, np.stack(maps).reshape(np.shape(movie.labels[number])).astype(np.float32)


def show_weights(movie: AnnotatedMovie, number: int, settings: Settings) -> list[Panel]:
    """Image with the outlines of its cells, and the weights that training gives to its pixels."""
    weight = dict(weight_maps(replace(movie, numbers=(number,)), settings))[number]
    image, labels = np.asarray(movie.images[number]), read_labels(movie, number)
    middle = len(planes_of(image)) // 2
    return [
        ("image and cells", outline_image(planes_of(image)[middle], planes_of(labels)[middle])),
        ("weights", planes_of(weight)[middle]),
    ]


def show_augmentation(
    movie: AnnotatedMovie, number: int, settings: Settings, *, count: int = 5, seed: int = 0
) -> list[Panel]:
    """A tile as it is, then varied tiles around it; outlines are those of the targets."""
    settings = replace(settings, scale=settings.scale or automatic_scale([movie]))
    one = replace(movie, numbers=(number,))
    panels = []
    for index in range(count + 1):
        chosen = settings if index else replace(settings, variation=NO_VARIATION)
        tiles = TrainingTiles([one], chosen, Preprocessing(scale=settings.scale), seed=seed, count=count + 1)
        item, m = tiles[index], tiles.margin
        tile = item["image"][0, m:-m, m:-m].numpy()
        panels.append(
            (
                f"variation {index}" if index else "as it is",
                outline_image(tile, item["target"].numpy().astype(np.int32)),
            )
        )
    return panels


def show_prediction(image: NDArray[Any], model: Model) -> list[Panel]:
    """Image with the outlines of the cells that were found, probability, and the map of seeds if there is one."""
    limits = grey_limits(image, model.preprocessing.low, model.preprocessing.high)
    maps = predict(model, image, limits=limits)
    labels = label_cells(maps, model.instances)
    middle = len(planes_of(image)) // 2
    panels = [
        ("image and cells", outline_image(planes_of(image)[middle], planes_of(labels)[middle])),
        ("scaled image", planes_of(normalise(image, limits))[middle]),
        ("probability", planes_of(maps.probability)[middle]),
    ]
    if maps.distance is not None:
        panels.append(("relative distance to the edge", planes_of(maps.distance)[middle]))
    return panels


def save_panels(path: Path, panels: list[Panel], *, overwrite: bool = False) -> None:
    """Write panels beside each other as PNG; maps of one channel get a colour bar."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 4), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        shown = axes.imshow(picture, interpolation="nearest", cmap="viridis")
        axes.set_title(title)
        axes.set_axis_off()
        if picture.ndim == 2:
            figure.colorbar(shown, ax=axes, shrink=0.8)
    with output_file(path, overwrite=overwrite) as work:
        figure.savefig(work, format="png", dpi=110, metadata={"Software": None})
