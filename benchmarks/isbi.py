"""The U-Net paper's other task: membranes in electron microscopy, with the paper's three measures.

    python benchmarks/isbi.py ISBI2012-membrane/train --minutes 4 --json isbi.json

Trained on slices 0-19 of the ISBI 2012 challenge, tested on slices 20-23, which come from the same
volume. The paper was judged on a volume whose labels are not public, so its values stand beside ours
for the order of magnitude only. As in the challenge each measure is the best over thresholds:
warping error; Rand error, 1 − V_rand on thinned borders; pixel error, the share of wrong pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import markdown_table, measured, parser, write_rows
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.files.movie import ComputedFrames
from celltrail.data.files.opening import open_images
from celltrail.evaluation.measures.isbi import best_isbi_scores
from celltrail.evaluation.measures.warping import ISBI_THRESHOLDS, warping_errors
from celltrail.segmentation import AnnotatedMovie, predict, preset, train

TRAINING, TEST = range(20), range(20, 24)
PAPER = {"warping_error": 0.000353, "rand_error": 0.0382, "pixel_error": 0.0611}


def open_slices(folder: Path, numbers: range) -> AnnotatedMovie:
    """Slices with their cells as labels: the parts that membranes (0) leave apart."""
    images, membranes = open_images(folder / "image"), open_images(folder / "label")
    labels = ComputedFrames(numbers, lambda number: ndimage.label(membranes[number] > 0)[0].astype(np.int32))
    return AnnotatedMovie(images, labels, tuple(numbers), name="ISBI2012-membrane")


def pixel_error(truth: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    """Share of wrong pixels at the best threshold."""
    return min(float(np.mean((probability > threshold) != truth)) for threshold in ISBI_THRESHOLDS)


def main() -> None:
    """Train, predict with eight views, and print the measures beside the paper's."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path, help="folder with 'image' and 'label'")
    options.add_argument("--minutes", type=float, default=4.0, help="computing time of the training, one core")
    options.add_argument("--width", type=int, default=24, help="channels of the first level")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    settings = preset("fast", scale=1, width=arguments.width, distance=False)
    with measured() as usage:
        model = train([open_slices(arguments.folder, TRAINING)], [], settings, minutes=arguments.minutes).model
    test = open_slices(arguments.folder, TEST)
    truth = np.stack([test.labels[number] > 0 for number in TEST])
    rows: list[dict[str, Any]] = []
    for views in (1, 8):
        found = np.stack([predict(model, test.images[number], tta=views > 1).probability for number in TEST])
        rows.append(
            {
                "case": "slices 20-23",
                "method": "celltrail",
                "views": views,
                "cpu_s": usage.cpu_s,
                "wall_s": usage.wall_s,
                "peak_mb": usage.peak_mb,
                "warping_error": warping_errors(truth, found)[0],
                "rand_error": 1 - best_isbi_scores(truth, found)[0],
                "pixel_error": pixel_error(truth, found),
            }
        )
    header = ["", "warping error", "Rand error", "pixel error"]
    table = [
        [
            f"celltrail, {row['views']} view{'s' * (row['views'] > 1)}, slices 20-23",
            f"{row['warping_error']:.6f}",
            f"{row['rand_error']:.4f}",
            f"{row['pixel_error']:.4f}",
        ]
        for row in rows
    ]
    table.append(["U-Net 2015, hidden test volume", *map(str, PAPER.values())])
    print(markdown_table(header, table))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
