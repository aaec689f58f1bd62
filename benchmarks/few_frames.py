"""What a training on a few annotated frames gives, from a model to start from, on other frames of the same movie.

    python benchmarks/few_frames.py PhC-C2DL-PSC --sequence 02 --minutes 3
    python benchmarks/few_frames.py DIC-C2DH-HeLa --minutes 3 --cells flat

Five frames, evenly spread over the movie, are taken as if they were all that is annotated, and learnt from as ``celltrail train
--start`` does: the last of them is held back, and chooses the thresholds. Judged are three frames of each gap between them,
evenly spread, by SEG and by AP50 as in ``nuclei.py``, with cells of the diameter that the annotated frames have.
"""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # packages come before benchmarks of the same name

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from nuclei import compare, segment_at

from celltrail.evaluation import segmentation_scores
from celltrail.segmentation import load_model, open_movie, train
from celltrail.segmentation.train_cli import plan_of
from celltrail.segmentation.train_settings import TrainSettings
from celltrail.segmentation.training.annotated import split_off


def main() -> None:
    """Train and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--sequence", default="01")
    parser.add_argument("--start", default="nuclei")
    parser.add_argument("--frames", type=int, default=5, help="annotated frames")
    parser.add_argument("--minutes", type=float, default=3.0, help="computing time of one core")
    parser.add_argument("--cells", default="round")
    parser.add_argument("--diameter", type=float, help="of the cells for the net, pixels; otherwise that of --start")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    movie, start = open_movie(arguments.dataset, arguments.sequence), load_model(arguments.start)
    places = np.linspace(0, len(movie.numbers) - 1, 4 * arguments.frames - 3).round().astype(int)
    annotated = [movie.numbers[place] for place in places[::4]]
    judged = [movie.numbers[place] for place in places if movie.numbers[place] not in annotated]
    training, held_back = split_off(replace(movie, numbers=tuple(annotated)))
    settings = plan_of(TrainSettings(cells=arguments.cells, diameter=arguments.diameter), start, [training])
    result = train([training], [held_back], settings, minutes=arguments.minutes, start=start, score=segmentation_scores)
    scores, cells = [], []
    for number in judged:
        found = segment_at(result.model, np.asarray(movie.images[number]), result.model.info["native_diameter"])
        ap, each = compare(np.asarray(movie.labels[number]).astype(np.int64), found)
        scores.append(ap)
        cells += each
    print(json.dumps({"learnt from": annotated, "judged": judged, "steps": result.history[-1]["step"]}))
    print(
        json.dumps(
            {"SEG": round(float(np.mean(cells)), 3), "AP50": round(float(np.mean(scores)), 3), "cells": len(cells)}
        )
    )


if __name__ == "__main__":
    main()
