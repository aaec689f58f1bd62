"""Judging a net on frames that it does not learn from: its loss and measures, and thresholds chosen by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.progress import Progress, silent
from celltrail.segmentation.net.instance_settings import SCORES, InstanceSettings
from celltrail.segmentation.net.loss import total_loss
from celltrail.segmentation.net.model import Model, Preprocessing
from celltrail.segmentation.net.resize import resize_labels
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


@dataclass(frozen=True)
class Example:
    """A validation frame as it is judged: as it is, or resized to the diameter of the training.

    Attributes
    ----------
    planes : list[Plane]
        What the net sees.
    image, labels, known : NDArray[Any]
        Grey values, truth, and where there is one.
    limits : tuple[float, float] | None
        Grey values that become 0 and 1; ``None``: of the image itself.
    """

    planes: list[Plane]
    image: NDArray[Any]
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    limits: tuple[float, float] | None

    def known_cells(self, masks: NDArray[np.int32]) -> NDArray[np.int32]:
        """The cells that lie in what is known by more than half: the others can neither be right nor wrong."""
        whole = np.bincount(masks.ravel())
        kept = 2 * np.bincount(masks.ravel(), weights=self.known.ravel()) > whole
        return np.where(kept[masks], masks, 0)


def open_example(movie: AnnotatedMovie, number: int, preprocessing: Preprocessing, diameter: float) -> Example:
    """A frame of ``movie``, with cells of ``diameter`` pixels (0: as it is)."""
    planes = prepare_frame(movie, number, preprocessing, diameter)
    stack = movie.images[number].shape[:-2]

    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack(parts).reshape(*stack, *parts[0].shape)

    if diameter:
        image, labels, known = (
            joined([getattr(plane, name) for plane in planes]) for name in ("image", "labels", "known")
        )
        return Example(planes, image, labels, known, (0.0, 1.0))
    labels = read_labels(movie, number)
    known = joined([resize_labels(plane.known, labels.shape[-2:]) for plane in planes])
    return Example(planes, np.asarray(movie.images[number]), labels, known, None)


def validate(
    model: Model, movies: list[AnnotatedMovie], balance: NDArray[np.float32], settings: Settings, score: Score | None
) -> dict[str, float]:
    """The loss of training, and the measures of ``score``, on unvaried validation frames; nothing where these hold no cell."""
    losses, truth, masks, cells = [], {}, {}, 0
    net = model.net.eval()
    device = next(net.parameters()).device
    for index, (movie, number) in enumerate(frames_for_validation(movies, model.preprocessing.scale)):
        example = open_example(movie, number, model.preprocessing, settings.diameter)
        cells += len(np.unique(example.labels[example.labels > 0]))
        for plane in example.planes:
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
        if score is not None and example.known.any():
            prediction = predict(model, example.image, tta=False, device=device, limits=example.limits)
            truth[index] = example.labels
            masks[index] = example.known_cells(label_cells(prediction, model.instances))
    if not cells:
        return {}  # a net that finds nothing would be the best there
    row = {"loss": float(np.mean(losses))}
    return row | {**score(truth, masks), "cells": cells} if score is not None and truth else row


def quality(row: Mapping[str, float]) -> float | None:
    """SEG + DET, as far as they are measured; ``None``: neither is."""
    known = [value for name in ("SEG", "DET") if (value := row.get(name)) is not None and value == value]
    return sum(known) if known else None


def chance(cells: float) -> float:
    """What `quality` may change by chance: one cell found or lost, of so many."""
    return max(2 / cells, 1e-3)


def worth(row: Mapping[str, float]) -> float:
    """`quality` of an epoch, or where nothing is measured its loss, turned round."""
    measured, loss = quality(row), row.get("loss", math.inf)
    found = -loss if measured is None else measured
    return -math.inf if math.isnan(found) else found


def is_kept(history: Sequence[Mapping[str, float]]) -> bool:
    """Whether the weights of the last epoch are kept instead of those before: where no epoch was better but by chance.

    (The loss of a net that has started from a good model may rise while its masks become better, and later epochs have
    a smaller rate.)
    """
    last = history[-1]
    slack = chance(last["cells"]) if "cells" in last else 0.0
    return worth(last) >= max(map(worth, history)) - slack


def epochs_since_best(history: Sequence[Mapping[str, float]]) -> int:
    """How many epochs have followed the best one; of equal ones it is the last."""
    values = [worth(row) for row in history]
    return values[::-1].index(max(values)) if values else 0


def calibrate(
    model: Model, movies: list[AnnotatedMovie], score: Score, progress: Progress = silent, *, diameter: float = 0.0
) -> tuple[InstanceSettings, dict[str, float]]:
    """Choose thresholds on cached maps of the validation frames: those of the best SEG + DET.

    Images are resized as in training, to cells of this ``diameter`` (0: not). One setting after the other; a change must
    gain more than one cell found or lost does, and more than a thousandth, so that chance changes nothing.
    """
    frames = frames_for_validation(movies, model.preprocessing.scale)
    opened = (open_example(movie, number, model.preprocessing, diameter) for movie, number in frames)
    examples = [example for example in opened if example.known.any()]
    truth = {index: example.labels for index, example in enumerate(examples)}
    if not any(map(np.any, truth.values())):
        return model.instances, {}
    maps = [predict(model, example.image, limits=example.limits) for example in examples]

    def measures(settings: InstanceSettings) -> dict[str, float]:
        found = (label_cells(each, settings) for each in maps)
        return score(truth, {i: examples[i].known_cells(masks) for i, masks in enumerate(found)})

    settings = model.instances
    best = measures(settings)
    areas = np.concatenate([np.bincount(t.ravel())[1:] for t in truth.values()])
    areas = areas[areas > 0]
    typical, least = float(np.median(areas)), chance(len(areas))
    trials: list[tuple[str, list[Any]]] = [
        ("threshold", [0.3, 0.4, 0.5, 0.6, 0.7]),
        ("min_size", [int(typical * share) for share in (0.02, 0.05, 0.1, 0.2)]),
        ("grow", [0]),
    ]
    for number, (name, values) in enumerate(trials):
        for value in values:
            trial = replace(settings, **{name: value})
            found = measures(trial)
            if (quality(found) or 0) > (quality(best) or 0) + least:
                settings, best = trial, found
        progress("calibrate", number + 1, len(trials))
    return settings, best
