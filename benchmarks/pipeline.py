"""A long movie from masks on disk to a result: CPU seconds, memory, and how both grow with its length.

    python benchmarks/pipeline.py [--frames 1441] [--cells 500] [--size 1024] [--jobs 1] [--json FILE]

A simulated movie is written as one mask per frame, then ``celltrail track`` runs on it as a process of
its own, from TIFFs to a result, and the result is measured. The same is done for the first half of the movie:
what the second half adds to the memory is what a frame costs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import celltrail, markdown_table, parser, write_rows

sys.path.append(sys.path.pop(0))  # this folder last: it holds files named like packages

from data.ctc import digits_for, write_masks, write_track_file
from data.simulate import simulate_scene


def write_truth(folder: Path, frames: int, cells: int, size: int, seed: int) -> int:
    """Write a simulated movie's masks and track file as ``01_GT/TRA``; returns the number of cells in all frames."""
    scene = simulate_scene(frames=frames, cells=cells, size=(size, size), cycle=2.0 * frames, seed=seed)
    movie = scene.movie()
    folder.mkdir(parents=True)
    total = 0

    def counted() -> Any:
        nonlocal total
        for number in range(frames):
            mask = scene.mask(number)
            total += np.count_nonzero(np.bincount(mask.ravel())[1:])
            yield number, mask

    write_masks(folder, counted(), prefix="man_track", digits=digits_for(range(frames)))
    write_track_file(folder / "man_track.txt", movie.tracks)
    return total


def run_once(truth: Path, frames: int, out: Path, jobs: int) -> dict[str, Any]:
    """Track the first frames of a movie, and measure the result."""
    part = f"0:{frames - 1}"
    usage, run = celltrail("track", truth / "TRA", "--frames", part, "--jobs", jobs, "--out", out)
    _, judged = celltrail("evaluate", truth, out, "--frames", part)
    measures = judged["sequences"][0]["measures"]
    return {
        "case": f"{frames} frames", "method": "celltrail", "cpu_s": usage.cpu_s, "wall_s": usage.wall_s,
        "peak_mb": usage.peak_mb, "detections": run["detections"], "status": run["status"],
        "objective": run["objective"], "bound": run["bound"], "LNK": measures["LNK"], "TRA": measures["TRA"],
        "seconds": run["seconds"],
    }  # fmt: skip


def main() -> None:
    """Simulate, track half of the movie and all of it, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--frames", type=int, default=1441)
    arguments.add_argument("--cells", type=int, default=500, help="cells in the first frame")
    arguments.add_argument("--size", type=int, default=1024)
    arguments.add_argument("--jobs", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "01_GT"
        total = write_truth(truth / "TRA", options.frames, options.cells, options.size, options.seed)
        print(f"{options.frames} frames of {options.size}², {total:,} cells in all")
        rows = [
            run_once(truth, frames, Path(folder) / f"RES{frames}", options.jobs)
            for frames in (options.frames // 2, options.frames)
        ]
    shown = [
        [r["case"], r["detections"], r["status"], r["LNK"], f"{r['cpu_s']:.1f}", f"{r['peak_mb']:.0f}"] for r in rows
    ]
    print(markdown_table(["movie", "cells", "solver", "LNK", "CPU s", "peak MB"], shown))
    print("seconds per stage:", rows[-1]["seconds"])
    write_rows(options.json, rows)


if __name__ == "__main__":
    main()
