"""Accuracy of the fast preset on a real movie, by cross-validation in time.

    python benchmarks/accuracy_of_masks.py DIC-C2DH-HeLa --json masks.json

Trained on the first part of a sequence (silver truth) and judged on the last, and the other way
round, with a gap of ten frames between them; thresholds are chosen on frames next to the training
frames. Judged against the silver truth of all those frames, and against the gold truth where there
is some. Both parts show the same cells, so the numbers are better than on another movie.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import markdown_table, measured, parser, write_rows

from celltrail.data.files.ctc import find_sequence
from celltrail.data.files.opening import open_labels
from celltrail.data.labels.overlap import count_overlap, match_objects
from celltrail.evaluation import segmentation_scores
from celltrail.segmentation import open_movie, preset, segment_movie, split_in_time, train


def seg_of_gold(folder: Path, masks: dict[int, Any]) -> tuple[float, int]:
    """SEG over the cells of the gold truth in the frames of ``masks`` (partly annotated frames count as they are)."""
    scores = []
    for number, truth in open_labels(folder).items():
        if number in masks:
            table = count_overlap(truth.astype(np.int64), masks[number].astype(np.int64))
            match = match_objects(table)
            for i in range(len(match)):
                pair = (table.a == i) & (table.b == match[i])
                common = int(table.count[pair].sum())
                union = table.areas_a[i] + (table.areas_b[match[i]] if match[i] >= 0 else 0) - common
                scores.append(common / union)
    return float(np.mean(scores)), len(scores)


def main() -> None:
    """Both folds, with and without averaging over eight views, as a table."""
    options = parser(__doc__)
    options.add_argument("dataset", type=Path)
    options.add_argument("--sequence", default="01")
    options.add_argument("--minutes", type=float, default=4.0, help="computing time of each training")
    options.add_argument("--width", type=int, help="channels of the first level")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    movie = open_movie(arguments.dataset, arguments.sequence, "ST")
    half, count = len(movie.numbers) * 44 // 100, len(movie.numbers)
    folds = {
        "first part → last": (slice(0, half), slice(half + 10, count)),
        "last part → first": (slice(count - half, count), slice(0, count - half - 10)),
    }
    gold = find_sequence(arguments.dataset, arguments.sequence).gt_seg
    rows = []
    for case, (learn, judge) in folds.items():
        training, validation = split_in_time(replace(movie, numbers=movie.numbers[learn]))
        settings = preset("fast", width=arguments.width)
        with measured() as trained:
            result = train([training], [validation], settings, minutes=arguments.minutes, score=segmentation_scores)
        chosen = {number: movie.images[number] for number in movie.numbers[judge]}
        truth = {number: movie.labels[number] for number in chosen}
        for tta in (False, True):
            with measured() as usage:
                masks = dict(segment_movie(chosen, result.model, tta=tta))
            found: dict[str, Any] = dict(segmentation_scores(truth, masks))
            if gold is not None:
                found["SEG_gold"], found["gold_cells"] = seg_of_gold(gold, masks)
            rows.append(
                {
                    "case": case,
                    "method": "celltrail",
                    "tta": tta,
                    "training_cpu_s": trained.cpu_s,
                    "cpu_s": usage.cpu_s,
                    "wall_s": usage.wall_s,
                    "peak_mb": usage.peak_mb,
                    **found,
                }
            )
            print(markdown_table(list(rows[0]), [list(row.values()) for row in rows[-1:]]), flush=True)
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
