"""Judging a net on frames that it does not learn from: its loss and measures, and thresholds chosen by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.progress import Progress, silent
from celltrail.segmentation.net.instance_settings import SCORES, InstanceSettings
from celltrail.segmentation.net.loss import total_loss
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.hypotheses import label_cells
from celltrail.segmentation.prediction.tiles import choose_tile, predict, run_tiles
from celltrail.segmentation.training.annotated import AnnotatedMovie, read_labels
from celltrail.segmentation.training.examples import Plane, make_targets, prepare_frame
from celltrail.segmentation.training.settings import Settings

Score = Callable[[Mapping[int, NDArray[Any]], Mapping[int, NDArray[Any]]], dict[str, float]]
"""Measures of masks against truth (frame → labels), for example IoU, SEG and DET."""

VALIDATION_FRAMES = 8  # more do not change which epoch is best, but take time from training
VALIDATION_PIXELS = 1_000_000  # likewise, of the reduced images of a movie together


def default_instances(settings: Settings) -> InstanceSettings:
    """How cells are read before anything is calibrated: the sure core of a cell is its seed."""
    scale = max(settings.scale, 1)
    return InstanceSettings(
        seed=0.5 if settings.distance else 0.9,
        min_size=20 * scale**2,
        min_seed=2 * scale**2,
        grow=scale,
        score=SCORES[settings.cells],
    )


def frames_for_validation(movies: list[AnnotatedMovie], scale: int) -> list[tuple[AnnotatedMovie, int]]:
    """A few frames of each movie, evenly spread over it; fewer where frames are large."""
    chosen = []
    for movie in movies:
        pixels = np.size(movie.images[movie.numbers[0]]) / scale**2
        count = min(len(movie.numbers), VALIDATION_FRAMES, max(1, int(VALIDATION_PIXELS / pixels)))
        places = np.linspace(0, len(movie.numbers) - 1, count + 2)[1:-1]
        indices = places.round().astype(int) if count < len(movie.numbers) else range(count)
        chosen += [(movie, movie.numbers[index]) for index in indices]
    return chosen


def as_trained(
    movie: AnnotatedMovie, number: int, planes: list[Plane], diameter: float
) -> tuple[NDArray[Any], NDArray[np.int32], tuple[float, float] | None]:
    """Image, labels and grey limits by which a frame is judged: as it is, or resized to cells of ``diameter``."""
    if not diameter:
        return np.asarray(movie.images[number]), read_labels(movie, number), None
    shape = movie.images[number].shape[:-2]
    image, labels = np.stack([plane.image for plane in planes]), np.stack([plane.labels for plane in planes])
    return image.reshape(*shape, *image.shape[1:]), labels.reshape(*shape, *labels.shape[1:]), (0.0, 1.0)


def validate(
    model: Model, movies: list[AnnotatedMovie], balance: NDArray[np.float32], settings: Settings, score: Score | None
) -> dict[str, float]:
    """The loss of training, and the measures of ``score``, on unvaried validation frames."""
    losses, truth, masks = [], {}, {}
    net = model.net.eval()
    device = next(net.parameters()).device
    for index, (movie, number) in enumerate(frames_for_validation(movies, model.preprocessing.scale)):
        planes = prepare_frame(movie, number, model.preprocessing, settings.diameter)
        for plane in planes:
            output = run_tiles(net, plane.image, choose_tile(plane.image.shape, net, 1024), device)
            targets = make_targets(plane.labels, plane.known, balance, settings)
            batch = {key: torch.from_numpy(value)[None] for key, value in targets.items()}
            losses.append(
                float(
                    total_loss(
                        torch.from_numpy(output)[None],
                        batch,
                        classes=net.classes,
                        dice=settings.dice,
                        seeds=settings.seeds,
                        neighbours=settings.neighbours,
                    )
                )
            )
        if score is not None and all(plane.known.all() for plane in planes):
            image, truth[index], limits = as_trained(movie, number, planes, settings.diameter)
            prediction = predict(model, image, tta=False, device=device, limits=limits)
            masks[index] = label_cells(prediction, model.instances)
    row = {"loss": float(np.mean(losses))}
    return row | (score(truth, masks) if score is not None and truth else {})


def calibrate(
    model: Model, movies: list[AnnotatedMovie], score: Score, progress: Progress = silent, *, diameter: float = 0.0
) -> tuple[InstanceSettings, dict[str, float]]:
    """Choose thresholds on cached maps of the validation frames: those of the best SEG + DET.

    Images are resized as in training, to cells of this ``diameter`` (0: not). One setting after the other; a change must
    gain more than one cell found or lost does, and more than a thousandth, so that chance changes nothing.
    """
    truth, maps = {}, {}
    for index, (movie, number) in enumerate(frames_for_validation(movies, model.preprocessing.scale)):
        planes = prepare_frame(movie, number, model.preprocessing, diameter)
        if all(plane.known.all() for plane in planes):
            image, truth[index], limits = as_trained(movie, number, planes, diameter)
            maps[index] = predict(model, image, limits=limits)
    if not truth:
        return model.instances, {}

    def measures(settings: InstanceSettings) -> dict[str, float]:
        return score(truth, {index: label_cells(found, settings) for index, found in maps.items()})

    def quality(found: dict[str, float]) -> float:
        return sum(value for name in ("SEG", "DET") if (value := found.get(name)) is not None and value == value)

    settings = model.instances
    best = measures(settings)
    areas = np.concatenate([np.bincount(t.ravel())[1:] for t in truth.values()])
    areas = areas[areas > 0]
    typical, chance = float(np.median(areas)), max(2 / len(areas), 1e-3)
    trials: list[tuple[str, list[Any]]] = [
        ("threshold", [0.3, 0.4, 0.5, 0.6, 0.7]),
        ("min_size", [int(typical * share) for share in (0.02, 0.05, 0.1, 0.2)]),
        ("grow", [0]),
    ]
    for number, (name, values) in enumerate(trials):
        for value in values:
            trial = replace(settings, **{name: value})
            found = measures(trial)
            if quality(found) > quality(best) + chance:
                settings, best = trial, found
        progress("calibrate", number + 1, len(trials))
    return settings, best
