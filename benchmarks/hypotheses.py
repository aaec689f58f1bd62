"""What several candidates per cell are worth, on movies that the model has not seen.

    python benchmarks/hypotheses.py --json hypotheses.json
    python benchmarks/hypotheses.py --dataset DIC-C2DH-HeLa --frames 60:83 --model MODEL

SEG and DET of connected components, of a watershed from seeds, of the best disjoint choice among the
candidates by their scores, and SEG of an oracle that knows the truth and takes the best candidate for
every cell: the room that is left for tracking. On a data set also what tracking makes of the masks, and
of the hypotheses, with the same costs (``--costs``; the shipped ones have seen the development movies).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measure import celltrail, markdown_table, measured, parser, write_rows
from numpy.typing import NDArray

from celltrail.data import Sequence, find_sequence
from celltrail.data.files.hypotheses import Hypotheses, paint
from celltrail.data.files.opening import parse_frames
from celltrail.data.simulation.scene import simulate_scene
from celltrail.evaluation import segmentation_scores
from celltrail.segmentation import AnnotatedMovie, find_hypotheses, find_instances, load_model, open_movie, predict

SCENES = ((25, 256), (60, 256), (12, 256))


def simulated() -> AnnotatedMovie:
    """Frames of three simulated movies as one."""
    images: dict[int, NDArray[Any]] = {}
    masks: dict[int, NDArray[Any]] = {}
    for index, (cells, side) in enumerate(SCENES):
        scene = simulate_scene(frames=6, cells=cells, size=(side, side), seed=7000 + index)
        for frame in range(0, 6, 2):
            images[len(images)], masks[len(masks)] = scene.draw(frame)
    return AnnotatedMovie(images, masks, tuple(images), name="simulated")


def oracle(truth: NDArray[Any], found: Hypotheses) -> list[float]:
    """For each cell the best overlap (Jaccard index) of a candidate that covers more than half of it, else 0."""
    areas = np.bincount(truth.ravel())
    best = np.zeros(len(areas))
    for row in range(len(found)):
        pixels = truth.ravel()[found.pixels(row)]
        common = np.bincount(pixels, minlength=len(areas))
        match = 2 * common > areas
        best = np.where(match, np.maximum(best, common / np.maximum(areas + len(pixels) - common, 1)), best)
    return best[1:][areas[1:] > 0].tolist()


def tracked(sequence: Sequence, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Two rows: the masks of the model tracked as they are, and its hypotheses."""
    assert sequence.images is not None
    frames = ["--frames", arguments.frames] if arguments.frames else []
    with TemporaryDirectory() as folder:
        masks = Path(folder) / "masks"
        celltrail("segment", sequence.images, "--model", arguments.model, *frames, "--hypotheses", "--out", masks)
        for method, options in (("tracked masks", ["--no-hypotheses"]), ("tracked hypotheses", ["--hypotheses"])):
            result = Path(folder) / method.replace(" ", "_")
            usage, _ = celltrail(
                "track",
                masks,
                "--images",
                sequence.images,
                *frames,
                "--costs",
                arguments.costs,
                *options,
                "--out",
                result,
            )
            truth = sequence.dataset / f"{sequence.name}_GT"
            score = celltrail("evaluate", truth, result, "--truth", "ST", *frames)[1]["sequences"][0]["measures"]
            kept = {name: score[name] for name in ("IoU", "SEG", "DET", "TRA", "LNK")}
            yield {"case": sequence.dataset.name, "method": method, "cpu_s": usage.cpu_s, **kept}


def main() -> None:
    """One row for each way to choose."""
    options = parser(__doc__)
    options.add_argument("--dataset", type=Path, help="data set in CTC layout instead of simulated movies")
    options.add_argument("--sequence", default="01")
    options.add_argument("--frames", help="frames A:B that the model has not seen")
    options.add_argument("--model", default="sim-fluo")
    options.add_argument("--costs", default="learned", help="cost model of track")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    movie = simulated()
    if arguments.dataset:
        movie = open_movie(arguments.dataset, arguments.sequence, "ST", frames=parse_frames(arguments.frames))
    model = load_model(arguments.model)
    maps = {number: predict(model, np.asarray(movie.images[number])) for number in movie.numbers}
    truth = {number: np.asarray(movie.labels[number]) for number in movie.numbers}
    rows: list[dict[str, Any]] = []
    for method in ("components", "watershed"):
        with measured() as usage:
            chosen = replace(model.instances, method=method)
            masks = {k: find_instances(m.probability, m.distance, chosen) for k, m in maps.items()}
        rows.append({"case": movie.name, "method": method, "cpu_s": usage.cpu_s, **segmentation_scores(truth, masks)})
    with measured() as usage:
        found = {k: find_hypotheses(m, model.instances) for k, m in maps.items()}
        masks = {k: paint(candidates.hypotheses, candidates.best) for k, candidates in found.items()}
    rows.append({"case": movie.name, "method": "celltrail", "cpu_s": usage.cpu_s, **segmentation_scores(truth, masks)})
    best = [score for k in truth for score in oracle(truth[k], found[k].hypotheses)]
    count = sum(len(candidates.hypotheses) for candidates in found.values())
    rows.append(
        {
            "case": movie.name,
            "method": "oracle",
            "cpu_s": usage.cpu_s,
            "IoU": None,
            "SEG": float(np.mean(best)),
            "DET": None,
            "hypotheses_per_cell": count / len(best),
        }
    )
    if arguments.dataset:
        rows += tracked(find_sequence(arguments.dataset, arguments.sequence), arguments)
    columns = ("method", "cpu_s", "IoU", "SEG", "DET", "TRA", "LNK")
    print(markdown_table(list(columns), [[row.get(name) for name in columns] for row in rows]))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
