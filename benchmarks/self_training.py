"""What a model gains by learning also from movies that nobody has annotated.

    python benchmarks/self_training.py DIC-C2DH-HeLa MOVIES/01 MOVIES/02 --json self.json

Two teachers learn from the first and from the last part of an annotated sequence, with a gap between
them. Each segments the other movies, with hypotheses among which tracking decides. A student learns
from its teacher's part again, and as much (``train --also``) from the tracked masks of one of the movies.
All are judged on the part of the sequence that their teacher has not seen, and on every movie against
the tracked masks of the *other* teacher: on the movie that the student has learned from, and on those
that it has not. No mask that a model is judged by comes from frames that it has learned from, but the
tracked masks are no truth: they tell which model agrees better with a stranger.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import celltrail, markdown_table, parser, write_rows
from numpy.typing import NDArray

from celltrail.data.files.opening import open_images, open_labels
from celltrail.evaluation import segmentation_scores
from celltrail.segmentation import load_model, open_movie, segment_movie

PARTS = ("first", "last")
JUDGED = 20  # frames of each movie


def learn(arguments: argparse.Namespace, part: tuple[int, int], out: Path, also: list[str]) -> Path:
    """Train a model on a part of the annotated sequence, and on ``also`` (IMAGES=MASKS)."""
    celltrail(
        "train",
        arguments.dataset,
        "--sequence",
        arguments.sequence,
        "--frames",
        f"{part[0]}:{part[1]}",
        "--steps",
        arguments.steps,
        "--width",
        arguments.width,
        "--cells",
        arguments.cells,
        "--tta",
        "--threads",
        1,
        *[text for pair in also for text in ("--also", pair)],
        "--out",
        out,
    )
    return out


def label(arguments: argparse.Namespace, model: Path, images: Path, out: Path) -> Path:
    """The tracked hypotheses of a model: a folder of masks."""
    frames = ("--frames", arguments.frames) if arguments.frames else ()
    celltrail("segment", images, *frames, "--model", model, "--hypotheses", "--threads", 1, "--out", out / "hypotheses")
    celltrail(
        "track",
        out / "hypotheses",
        "--images",
        images,
        *frames,
        "--hypotheses",
        "--costs",
        arguments.costs,
        "--out",
        out / "tracked",
    )
    return out / "tracked"


def judge(
    model: Path, images: Mapping[int, NDArray[Any]], truth: Mapping[int, NDArray[Any]], among: range | None = None
) -> dict[str, float]:
    """Measures of a model's masks, on evenly spread frames."""
    numbers = [number for number in truth if among is None or number in among]
    numbers = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, JUDGED).round().astype(int))]
    masks = dict(segment_movie({number: images[number] for number in numbers}, load_model(model)))
    return segmentation_scores({number: truth[number] for number in numbers}, masks)


def main() -> None:
    """Teachers, students, one row for every model and every movie that it is judged on."""
    options = parser(__doc__)
    options.add_argument("dataset", type=Path)
    options.add_argument("movies", type=Path, nargs="+", help="folders of images without annotations")
    options.add_argument("--sequence", default="01")
    options.add_argument("--frames", help="only the frames A:B of the movies")
    options.add_argument("--steps", type=int, default=450)
    options.add_argument("--width", type=int, default=16)
    options.add_argument("--cells", default="flat")
    options.add_argument("--costs", default="learned", help="cost model of track")
    arguments = options.parse_args()
    movie = open_movie(arguments.dataset, arguments.sequence)
    half, numbers = len(movie.numbers) * 44 // 100, movie.numbers
    learnt = {"first": (numbers[0], numbers[half - 1]), "last": (numbers[-half], numbers[-1])}
    unseen = {"first": range(numbers[half + 10], numbers[-1] + 1), "last": range(numbers[0], numbers[-half - 10])}
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        teachers = {part: learn(arguments, learnt[part], work / f"{part}.safetensors", []) for part in PARTS}
        tracked = {
            (part, images): label(arguments, teachers[part], images, work / part / str(index))
            for part in PARTS
            for index, images in enumerate(arguments.movies)
        }
        for part, other in (PARTS, PARTS[::-1]):
            models = {"nothing": teachers[part]}
            for index, images in enumerate(arguments.movies):
                models[str(images)] = learn(
                    arguments, learnt[part], work / f"{part}-{index}.safetensors", [f"{images}={tracked[part, images]}"]
                )
            for also, model in models.items():
                case = {"learnt from": f"{part} part", "also from": also}
                rows.append(
                    case
                    | {"judged on": f"{other} part, truth"}
                    | judge(model, movie.images, movie.labels, unseen[part])
                )
                for images in arguments.movies:
                    truth = open_labels(tracked[other, images])
                    rows.append(case | {"judged on": str(images)} | judge(model, open_images(images), truth))
                print(
                    markdown_table(list(rows[0]), [list(row.values()) for row in rows[-1 - len(arguments.movies) :]]),
                    flush=True,
                )
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
