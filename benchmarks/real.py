"""The whole way on real movies: train, segment, track and evaluate; prints the first table of docs/results.md.

    python benchmarks/real.py DATA [--out real] [--steps 450] [--json FILE]

DATA is a folder with the data sets ``DIC-C2DH-HeLa`` and ``Fluo-N2DL-HeLa`` as the Cell Tracking
Challenge lays them out. Only sequence 01 of each is used.

* DIC-C2DH-HeLa 01, from images: a ``fast`` U-Net is trained on the silver truth of frames 0-54
  (55-59 are left out, so that no frame next to a training frame is judged), frames 60-83 are
  segmented, tracked and measured against their silver truth (SEG, IoU) and their markers (the rest).
* Fluo-N2DL-HeLa 01, from masks: the silver-truth masks, with the labels of each frame shuffled, are
  tracked as masks that come from anywhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from measure import Usage, celltrail, markdown_table, parser, write_rows

from celltrail.data import InputError, find_sequence, open_labels
from celltrail.data.files.ctc import write_masks
from celltrail.data.writing.output import output_folder

TRAINING, JUDGED = "0:54", "60:83"
MEASURES = ("IoU", "SEG", "DET", "TRA", "LNK", "BIO", "OP_CLB")


def shuffled_masks(source: Path, out: Path, seed: int = 0) -> None:
    """Write masks whose labels are permuted in every frame, so that they say nothing about identity."""
    random = np.random.default_rng(seed)
    out.mkdir(parents=True)

    def frames() -> Any:
        for number, labels in open_labels(source).items():
            present = np.unique(labels[labels > 0])
            lookup = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.uint16)
            lookup[present] = random.permutation(np.arange(1, len(present) + 1))
            yield number, lookup[labels]

    write_masks(out, frames())


def from_images(dataset: Path, out: Path, steps: int) -> dict[str, Any]:
    """Train on frames 0-54 of sequence 01, segment, track and measure frames 60-83."""
    sequence = find_sequence(dataset, "01")
    model, masks, result = out / "model.safetensors", out / "01_MASKS", out / "01_RES"
    training, _ = celltrail(
        "train",
        dataset,
        "--sequence",
        "01",
        "--truth",
        "ST",
        "--frames",
        TRAINING,
        "--steps",
        steps,
        "--seed",
        0,
        "--out",
        model,
    )
    segmenting, _ = celltrail("segment", sequence.images, "--model", model, "--frames", JUDGED, "--out", masks)
    tracking, run = celltrail("track", masks, "--images", sequence.images, "--frames", JUDGED, "--out", result)
    _, judged = celltrail("evaluate", sequence.gt, result, "--truth", "ST", "--frames", JUDGED)
    return row("DIC-C2DH-HeLa 01, frames 60-83, from images", run, judged, [training, segmenting, tracking])


def from_masks(dataset: Path, out: Path) -> dict[str, Any]:
    """Track the silver-truth masks of sequence 01, labels shuffled, and measure."""
    sequence = find_sequence(dataset, "01")
    masks, result = out / "01_MASKS", out / "01_RES"
    if sequence.st_seg is None:
        raise InputError(f"{dataset} has no silver truth (01_ST/SEG), which serves as masks here.")
    shuffled_masks(sequence.st_seg, masks)
    tracking, run = celltrail("track", masks, "--out", result)
    _, judged = celltrail("evaluate", sequence.gt, result, "--truth", "ST")
    return row("Fluo-N2DL-HeLa 01, from masks", run, judged, [tracking])


def row(case: str, run: dict[str, Any], judged: dict[str, Any], usages: list[Usage]) -> dict[str, Any]:
    """One row of the table and of the JSON file."""
    measures = judged["sequences"][0]["measures"]
    return {
        "case": case,
        "method": "celltrail",
        "cpu_s": sum(usage.cpu_s for usage in usages),
        "wall_s": sum(usage.wall_s for usage in usages),
        "peak_mb": max(usage.peak_mb for usage in usages),
        "status": run["status"],
        "objective": run["objective"],
        "bound": run["bound"],
        **{name: measures[name] for name in MEASURES},
    }


def main() -> None:
    """Run both movies and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, nargs="?", help="folder with the two data sets")
    arguments.add_argument("--out", type=Path, default=Path("real"), help="folder for model, masks and results")
    arguments.add_argument(
        "--steps",
        type=int,
        default=450,
        help="steps of the training (default 450), so that any processor learns the same",
    )
    options = arguments.parse_args()
    if options.data is None:
        sys.exit("Name the folder with DIC-C2DH-HeLa and Fluo-N2DL-HeLa:  make real DATA=/path/to/it")
    datasets = [options.data / name for name in ("DIC-C2DH-HeLa", "Fluo-N2DL-HeLa")]
    missing = [str(dataset) for dataset in datasets if not dataset.is_dir()]
    if missing:
        sys.exit(f"Not found: {', '.join(missing)}. The data sets come from celltrackingchallenge.net.")
    ours = (options.out / "rows.json").is_file()  # replace only what this program made
    with output_folder(options.out, overwrite=ours) as work:
        dic, fluo = (work / dataset.name for dataset in datasets)
        dic.mkdir()
        rows = [from_images(datasets[0], dic, options.steps), from_masks(datasets[1], fluo)]
        (work / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")
    shown = [[r["case"], r["status"], *(r[name] for name in MEASURES), f"{r['cpu_s']:.0f} s"] for r in rows]
    print(markdown_table(["input", "solver", *MEASURES, "CPU"], shown))
    write_rows(options.json, rows)


if __name__ == "__main__":
    main()
