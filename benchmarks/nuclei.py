"""The model ``nuclei``: make the simulated part of what it learns from, and judge models on what it has not seen.

    python benchmarks/nuclei.py --make made
    python benchmarks/nuclei.py --finish nuclei.last.safetensors --made made --data DATA --out nuclei.safetensors
    python benchmarks/nuclei.py --judge nuclei sim-fluo fluo-hela --data DATA

``--make`` writes simulated nuclei of many sizes, crowded and sparse, sharp and blurred, and images without any cell, as
folders of images and masks. ``--finish`` takes the weights of the last step with thresholds that nothing has chosen, so that
what the training holds back judges alone, and notes how dark the surroundings of cells are. ``--judge`` takes the frames
that the training holds back, resizes each so that its cells have the diameter that the model was trained with (the true
one: this measures the net, not the search for the scale), and gives AP50, matches at an IoU of 0.5 over matches, false and
missed cells, as the mean over images, and SEG of the true cells; then the same of drawn nuclei of very unequal brightness
(`unequal.py`), and the number of cells found in twelve images without any, normalised by their percentiles. Cells
found wholly in a margin where the truth has none (as in movies of the Cell Tracking Challenge) do not count.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # packages come before benchmarks of the same name

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from unequal import draw_unequal

from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.simulation.scene import simulate_scene
from celltrail.data.writing.output import output_folder
from celltrail.segmentation import Model, load_model, preset
from celltrail.segmentation.net.checkpoint import save_model
from celltrail.segmentation.net.resize import (
    median_diameter,
    resize_factor,
    resize_plane,
    resized_shape,
)
from celltrail.segmentation.prediction.grey import grey_limits, normalise
from celltrail.segmentation.prediction.hypotheses import label_cells
from celltrail.segmentation.prediction.tiles import Prediction, predict
from celltrail.segmentation.training.annotated import AnnotatedMovie, open_movie, split_off, unlabelled_margin
from celltrail.segmentation.training.annotations import open_annotations
from celltrail.segmentation.training.examples import TrainingTiles, typical_darkness
from celltrail.segmentation.training.validation import default_instances

SIDE = 320
SIMULATED, BLANK, UNEQUAL = 72, 24, 14  # images
DIAMETERS = (14.0, 60.0)
MATCH = 0.5  # IoU


def simulate(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """An image of simulated nuclei and its labels: diameter, crowding, noise and blur by chance."""
    random = np.random.default_rng([seed, 1])
    diameter = float(np.exp(random.uniform(*np.log(DIAMETERS))))
    crowding = float(np.exp(random.uniform(np.log(0.03), np.log(0.65))))
    scene = simulate_scene(
        frames=3,
        cells=max(1, round(crowding * SIDE**2 / (np.pi / 4 * diameter**2))),
        size=(SIDE, SIDE),
        crowding=crowding,
        cycle=10,
        seed=seed,
        noise=float(random.uniform(0.2, 3)),
        blur=float(random.uniform(0.02, 0.07) * diameter + 0.4),
    )
    return scene.draw(2)


def draw_blank(index: int) -> NDArray[np.uint16]:
    """An image without a cell: noise of a camera, of photons, correlated, on uneven light, of few grey levels, or nothing."""
    random = np.random.default_rng([index, 2])
    noise = random.normal(0, 1, (SIDE, SIDE))
    kind = index % 6
    if kind == 1:
        noise = (random.poisson(random.uniform(0.5, 30), noise.shape) - 5) / 3
    elif kind == 2:
        noise = ndimage.gaussian_filter(noise, random.uniform(0.6, 1.5))
    elif kind == 3:
        broad = ndimage.gaussian_filter(random.normal(0, 1, noise.shape), random.uniform(60, 120))
        noise = noise + broad / broad.std() * random.uniform(0.5, 4)
    elif kind == 4:
        noise[random.random(noise.shape) < random.uniform(0, 0.002)] += random.uniform(5, 50)
    elif kind == 5:
        return np.round(np.maximum(noise * random.uniform(0, 1) - 0.5, 0)).astype(np.uint16)
    return np.round(np.clip(1000 + 20 * noise, 0, 60000)).astype(np.uint16)


def make(out: Path) -> None:
    """Write ``simulated`` and ``blank``, each with ``images`` and ``masks``."""
    none = np.zeros((SIDE, SIDE), dtype=np.uint16)
    with output_folder(out) as work:
        for name in ("simulated", "blank"):
            for kind in ("images", "masks"):
                (work / name / kind).mkdir(parents=True)
        for index in range(SIMULATED):
            image, labels = simulate(index)
            write_array(work / "simulated" / "images" / f"t{index:03d}.tif", image)
            write_array(work / "simulated" / "masks" / f"man_seg{index:03d}.tif", labels.astype(np.uint16))
        for index in range(BLANK):
            write_array(work / "blank" / "images" / f"t{index:03d}.tif", draw_blank(index))
            write_array(work / "blank" / "masks" / f"man_seg{index:03d}.tif", none)


def annotated(data: Path) -> list[AnnotatedMovie]:
    """What ``nuclei`` learns from, but for what is simulated."""
    stills = data / "DSB2018-fluorescence"
    return [
        open_annotations(stills / "images", stills / "masks"),
        open_movie(data / "Fluo-N2DH-SIM+", "01"),
        open_movie(data / "Fluo-N2DL-HeLa", "01"),
    ]


def held_back(data: Path) -> list[AnnotatedMovie]:
    """The frames that the training of ``nuclei`` does not see."""
    return [split_off(movie)[1] for movie in annotated(data)]


def finish(last: Path, data: Path, made: Path, out: Path) -> None:
    """Give the weights of the last step the usual thresholds, and the darkness of what they have learnt from."""
    model, settings = load_model(last), preset("nuclei")
    drawn = [open_annotations(made / name / "images", made / name / "masks") for name in ("simulated", "blank")]
    training = [split_off(movie)[0] for movie in [*annotated(data), *drawn]]
    tiles = TrainingTiles(training, settings, model.preprocessing, seed=0, count=1)
    model.instances = default_instances(settings)
    model.info["darkness"] = typical_darkness(tiles)
    model.info.pop("validation_measures", None)  # of other thresholds
    save_model(out, model, half=True, overwrite=True)


def segment_at(model: Model, image: NDArray[Any], diameter: float) -> NDArray[np.int32]:
    """Labels of an image whose cells have this diameter: resized for the net, its maps brought back to full size."""
    wanted = float(model.info.get("diameter") or 20.0)
    factor = resize_factor(image.shape, diameter, wanted)
    settings = model.preprocessing
    scaled = normalise(image, grey_limits(image, settings.low, settings.high))
    height, width = image.shape
    small = resize_plane(scaled, resized_shape((height, width), factor))
    found = predict(model, small, limits=(0.0, 1.0))
    assert found.distance is not None
    maps = (resize_plane(plane, (height, width)) for plane in (found.probability, found.distance))
    instances = model.instances
    changed = {
        "min_size": max(1, round(instances.min_size / factor**2)),
        "min_seed": max(1, round(instances.min_seed / factor**2)),
        "grow": max(1, round(instances.grow / factor)) if instances.grow else 0,
    }
    return label_cells(Prediction(*maps), type(instances)(**{**vars(instances), **changed}))


def without_margin(found: NDArray[np.int32], margin: int) -> NDArray[np.int32]:
    """The cells that do not lie wholly in a margin of so many pixels."""
    kept = np.unique(found[margin : found.shape[0] - margin, margin : found.shape[1] - margin])
    return np.where(np.isin(found, kept), found, 0).astype(np.int32)


def compare(truth: NDArray[Any], found: NDArray[Any]) -> tuple[float, list[float]]:
    """AP50 of one image, and for each true cell the IoU of its match (0 without one), as in SEG."""
    table = np.zeros((int(truth.max()) + 1, int(found.max()) + 1), dtype=np.int64)
    np.add.at(table, (truth.ravel(), found.ravel()), 1)
    area, area_found = table.sum(axis=1), table.sum(axis=0)
    union = area[:, None] + area_found[None] - table
    iou = np.where(union > 0, table / np.maximum(union, 1), 0)[1:, 1:]
    matches = int((iou > MATCH).sum())
    cells, cells_found = int((area[1:] > 0).sum()), int((area_found[1:] > 0).sum())
    best = iou.max(axis=1, initial=0)[area[1:] > 0]
    everything = cells + cells_found - matches
    return (matches / everything if everything else 1.0), [float(v) if v > MATCH else 0.0 for v in best]


def judge(names: list[str], data: Path, every: int) -> None:
    """Print AP50 and SEG of models on the held-back frames."""
    for name in names:
        model = load_model(name)
        for movie in held_back(data):
            scores, cells, margin = [], [], unlabelled_margin(movie)
            for number in movie.numbers[::every]:
                truth = np.asarray(movie.labels[number]).astype(np.int64)
                found = segment_at(model, np.asarray(movie.images[number]), median_diameter(truth))
                ap, each = compare(truth, without_margin(found, margin))
                scores.append(ap)
                cells += each
            row = {
                "model": name,
                "data": movie.name,
                "images": len(scores),
                "AP50": round(float(np.mean(scores)), 3),
                "SEG": round(float(np.mean(cells)), 3),
            }
            print(json.dumps(row), flush=True)
        drawn = [draw_unequal(seed) for seed in range(UNEQUAL)]
        found = [compare(truth, segment_at(model, image, median_diameter(truth))) for image, truth in drawn]
        scores, cells = [ap for ap, _ in found], [iou for _, each in found for iou in each]
        row = {"model": name, "data": "unequal nuclei, drawn", "images": UNEQUAL}
        print(json.dumps(row | {"AP50": round(float(np.mean(scores)), 3), "SEG": round(float(np.mean(cells)), 3)}))
        false = sum(int(label_cells(predict(model, draw_blank(100 + i)), model.instances).max()) for i in range(12))
        print(json.dumps({"model": name, "false cells in 12 images without cells": false}), flush=True)


def main() -> None:
    """Make, or judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="write what is simulated")
    parser.add_argument("--finish", type=Path, metavar="MODEL", help="weights of the last step of a training")
    parser.add_argument("--made", type=Path, default=Path("made"), help="what --make has written")
    parser.add_argument("--out", type=Path, default=Path("nuclei.safetensors"), help="the finished model")
    parser.add_argument("--judge", nargs="+", metavar="MODEL", default=[], help="models to judge")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, default=1, help="judge only every so many-th held-back frame")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.make:
        make(arguments.make)
    if arguments.finish:
        finish(arguments.finish, arguments.data, arguments.made, arguments.out)
    if arguments.judge:
        judge(arguments.judge, arguments.data, arguments.every)


if __name__ == "__main__":
    main()
