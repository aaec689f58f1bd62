"""Make the models that come with Celltrail again, each with one command.

    python benchmarks/shipped_models.py sim-fluo --out sim-fluo.safetensors
    python benchmarks/shipped_models.py sim-dic --judge

Models are trained on simulated movies that are made on the spot, and judged on movies of other seeds; with ``--judge``
the model that comes with Celltrail is judged without training another.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from celltrail.data.simulation.scene import simulate_scene
from celltrail.data.writing.output import refuse_existing
from celltrail.evaluation import segmentation_scores
from celltrail.segmentation import (
    AnnotatedMovie,
    Model,
    load_model,
    preset,
    save_model,
    segment_movie,
    split_in_time,
    train,
)

# cells, side, noise: sparse and crowded, small and large cells, clean and noisy images
SCENES: dict[str, list[tuple[int, int, float]]] = {
    "sim-fluo": [
        (30, 256, 1),
        (60, 256, 1),
        (15, 256, 1),
        (90, 256, 0.8),
        (40, 256, 1.6),
        (8, 256, 1.5),
        (120, 384, 1),
        (25, 256, 2.2),
        (45, 320, 0.6),
        (20, 192, 1.2),
    ],
    "sim-dic": [(10, 256, 1), (20, 256, 1), (14, 256, 1.5), (30, 320, 0.8), (12, 192, 1.2), (24, 320, 1)],
}
TEST_SCENES: dict[str, list[tuple[int, int, float]]] = {
    "sim-fluo": [(25, 256, 1), (50, 320, 1), (12, 256, 1.5), (80, 256, 1), (60, 256, 2)],
    "sim-dic": [(10, 256, 1), (20, 256, 1.2), (28, 320, 1)],
}
CHANGES: dict[str, dict[str, Any]] = {
    "sim-fluo": {"width": 16, "scale": 1},
    "sim-dic": {"width": 16, "scale": 2},
}


def simulated(name: str, scenes: list[tuple[int, int, float]], seed: int, frames: int) -> list[AnnotatedMovie]:
    """Annotated movies of the given scenes; short cycles, so that many divisions are seen."""
    movies = []
    for index, (cells, side, noise) in enumerate(scenes):
        scene = simulate_scene(
            frames=frames,
            cells=cells,
            size=(side, side),
            modality=name.removeprefix("sim-"),
            noise=noise,
            cycle=15,
            seed=seed + index,
        )
        drawn = {frame: scene.draw(frame) for frame in range(frames)}
        movies.append(
            AnnotatedMovie(
                {k: image for k, (image, _) in drawn.items()},
                {k: mask for k, (_, mask) in drawn.items()},
                tuple(range(frames)),
                name=f"simulated {cells} cells, {side} pixels, noise {noise}",
            )
        )
    return movies


def show(stage: str, done: int, total: int, note: str = "") -> None:
    """Print one line per epoch."""
    if "train" in note:
        print(note, flush=True)


def judge(name: str, model: Model) -> dict[str, dict[str, float]]:
    """Measures on held-back movies."""
    measures = {}
    for movie in simulated(name, TEST_SCENES[name], 5000, 6):
        masks = dict(segment_movie(movie.images, model))
        measures[movie.name] = segmentation_scores(movie.labels, masks)
    print(json.dumps(measures, indent=1, default=float))
    return measures


def main() -> None:
    """Train, judge on held-back movies, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(SCENES))
    parser.add_argument("--minutes", type=float, default=8.0, help="computing time of one core")
    result_of = parser.add_mutually_exclusive_group(required=True)
    result_of.add_argument("--out", type=Path, help="where a new model goes")
    result_of.add_argument("--judge", action="store_true", help="only judge the one that comes with Celltrail")
    parser.add_argument("--overwrite", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name = arguments.name
    if arguments.judge:
        judge(name, load_model(name))
        return
    refuse_existing(arguments.out, overwrite=arguments.overwrite)
    split = [split_in_time(movie, 0.15) for movie in simulated(name, SCENES[name], 1000, 10)]
    result = train(
        [a for a, _ in split],
        [b for _, b in split],
        preset("fast", **CHANGES[name]),
        minutes=arguments.minutes,
        score=segmentation_scores,
        progress=show,
    )
    result.model.info["test_measures"] = judge(name, result.model)
    save_model(arguments.out, result.model, half=True, overwrite=arguments.overwrite)


if __name__ == "__main__":
    main()
