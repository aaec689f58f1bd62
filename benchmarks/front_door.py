"""``segment`` without options on images that no model was trained on: size of the cells, masks, and the warning.

    python benchmarks/front_door.py DATA --model nuclei --every 6 --json front_door.json

DATA holds DSB2018-fluorescence, Fluo-N2DH-SIM+, Fluo-N2DL-HeLa, PhC-C2DL-PSC and DIC-C2DH-HeLa; what is missing is left out.
Of each, images are taken as a person would: stills alone, movies as some frames. A model that has learnt from the images is
judged too well: name the stills that it has not seen by ``--every N`` and ``--first K`` (every N-th from the K-th on).

``ratio`` is the diameter found over the true median; ``within`` the part of the images where it is within 25 %; ``AP50``
matches at an IoU of 0.5 over matches, false and missed cells, mean over images; ``fits`` the part of the images, or frames,
that are said to look like what the model knows; ``search`` the part of the time that goes into the look before.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # once, where another benchmark imports this one
    sys.path.append(sys.path.pop(0))  # packages come before benchmarks of the same name

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import markdown_table, parser, write_rows
from numpy.typing import NDArray

from celltrail.data.files.opening import open_images, open_labels
from celltrail.segmentation import Model, load_model
from celltrail.segmentation.net.resize import median_diameter
from celltrail.segmentation.prediction.first_look import survey
from celltrail.segmentation.prediction.grey import mend
from celltrail.segmentation.prediction.ladder import best_overlap
from celltrail.segmentation.prediction.movie import label_frame, view
from celltrail.segmentation.stills import open_images_or_stills

MOVIES = {
    "Fluo-N2DH-SIM+": ("01", "01_GT/SEG"),
    "Fluo-N2DL-HeLa": ("01", "01_ST/SEG"),
    "PhC-C2DL-PSC": ("02", "02_ST/SEG"),
    "DIC-C2DH-HeLa": ("01", "01_ST/SEG"),
}


def compare(truth: NDArray[Any], found: NDArray[Any]) -> tuple[float, list[float]]:
    """AP50 of an image (1 where neither has a cell), and the IoU of the match of each true cell (0 without one), as in SEG."""
    names = np.unique(truth[truth > 0])
    own = np.searchsorted(names, truth, side="right") * (truth > 0)
    overlap = best_overlap(own, found, len(names))
    matches = int(np.count_nonzero(overlap > 0.5))
    either = len(names) + int(found.max(initial=0)) - matches
    return matches / either if either else 1.0, np.where(overlap > 0.5, overlap, 0.0).tolist()


def judge(
    model: Any, images: Mapping[int, NDArray[Any]], truth: Mapping[int, NDArray[Any]], *, look_only: bool = False
) -> dict[str, Any]:
    """Measures of a movie, or of one still; ``look_only`` draws no masks."""
    begun = time.process_time()
    found = survey(images, model)
    looked = time.process_time()
    scores, overlaps, cells = [], [], 0
    for number in () if look_only else images:
        image = mend(np.asarray(images[number]))
        labels = label_frame(model, image, **view(found, model, number, image))
        score, overlap = compare(np.asarray(truth[number]), labels)
        scores.append(score)
        overlaps += overlap
        cells += int(labels.max(initial=0))
    true = [median_diameter(np.asarray(truth[number])) for number in images]
    true = [diameter for diameter in true if diameter > 0]
    known = bool(true) and found.diameter is not None
    return {
        "true": float(np.median(true)) if true else 0.0,
        "ratio": found.diameter / float(np.median(true)) if known and found.diameter else None,
        "AP50": float(np.mean(scores)) if scores else None,
        "SEG": float(np.mean(overlaps)) if overlaps else None,
        "cells": cells,
        "fits": found.fits,
        "agreement": found.agreement,
        "cpu_s": time.process_time() - begun,
        "search_s": looked - begun,
    }


def row_of(case: str, model: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the table: means over images or movies."""
    ratios = np.array([part["ratio"] or 1e-3 for part in parts if part["true"]])
    judged = [part["fits"] for part in parts if part["fits"] is not None]
    return {
        "case": case,
        "method": "celltrail",
        "model": model,
        "images": len(parts),
        "ratio": float(np.median(ratios)) if len(ratios) else None,
        "within": float(np.mean(np.abs(np.log(ratios)) <= np.log(1.25))) if len(ratios) else None,
        "AP50": float(np.mean([part["AP50"] for part in parts if part["AP50"] is not None] or [np.nan])),
        "SEG": float(np.mean([part["SEG"] for part in parts if part["SEG"] is not None] or [np.nan])),
        "fits": float(np.mean(judged)) if judged else None,
        "cpu_s": sum(part["cpu_s"] for part in parts),
        "search": sum(part["search_s"] for part in parts) / max(sum(part["cpu_s"] for part in parts), 1e-9),
    }


def images_and_model(text: str | None, *, every: int, first: int) -> tuple[argparse.Namespace, Model]:
    """What a benchmark over these images is asked, with its own choice of stills, and the model that it looks at; one thread."""
    options = parser(text)
    options.add_argument("data", type=Path)
    options.add_argument("--model", default="nuclei")
    options.add_argument("--every", type=int, default=every, help="stills: every N-th")
    options.add_argument("--first", type=int, default=first, help="stills: from this one on")
    options.add_argument("--frames", type=int, default=5, help="frames of each movie, evenly spread")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    return arguments, load_model(arguments.model)


def main() -> None:
    """A table with a line for the stills and for each movie."""
    arguments, model = images_and_model(__doc__, every=6, first=0)
    rows = []
    stills = arguments.data / "DSB2018-fluorescence"
    if stills.is_dir():
        images = open_images_or_stills(stills / "images")
        parts = []
        for number in images.numbers[arguments.first :: arguments.every]:
            truth = open_labels(stills / f"masks/man_seg{number:03d}.tif")
            parts.append(judge(model, {number: images[number]}, {number: truth[truth.numbers[0]]}))
        rows.append(row_of("DSB2018", arguments.model, parts))
        print(markdown_table(list(rows[0]), [list(row.values()) for row in rows[-1:]]), flush=True)
        parts = []
        for number in images.numbers[arguments.first :: arguments.every]:  # dark on bright: no model here knows that
            parts.append(judge(model, {number: 255 - images[number]}, {number: np.zeros((1, 1), int)}, look_only=True))
        rows.append(row_of("DSB2018, inverted", arguments.model, parts))
        print(markdown_table(list(rows[0]), [list(row.values()) for row in rows[-1:]]), flush=True)
    for name, (folder, labels) in MOVIES.items():
        if not (arguments.data / name / folder).is_dir():
            continue
        movie, truth = open_images(arguments.data / name / folder), open_labels(arguments.data / name / labels)
        both = [number for number in movie.numbers if number in truth]
        chosen = [both[round(i)] for i in np.linspace(0, len(both) - 1, arguments.frames)]
        part = judge(model, {k: movie[k] for k in chosen}, {k: truth[k] for k in chosen})
        rows.append(row_of(name, arguments.model, [part]))
        print(markdown_table(list(rows[0]), [list(row.values()) for row in rows[-1:]]), flush=True)
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
