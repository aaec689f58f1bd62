"""A long movie from masks on disk to a result: CPU seconds, memory, how both grow with its length, and laptrack beside it.

    python benchmarks/pipeline.py [--frames 1441] [--cells 500] [--size 1024] [--missing 0.0] [--jobs 1] [--json FILE]
        [--peer-python PYTHON] [--peer-seconds 600] [--folder DIR]

A simulated movie is written as one mask per frame, labels shuffled in each; then ``celltrail track`` runs on it as a
process of its own, from TIFFs to a result, and the result is judged. The same is done for the first half of the movie:
what the second half adds to the memory is what its cells cost. With ``--missing`` that share of the masks is left out
of what is tracked (not of the truth), so that links over gaps enter the problem.

With ``--peer-python`` laptrack runs in that Python on the same cells; it is handed their centroids as a table, so reading
and measuring the masks, which Celltrail's row contains, are not in its time. It is stopped after ``--peer-seconds``.
``-scaled`` and ``-overlap`` are as in ``peer_trackers.py``; the overlap tracker is handed the masks as one array.

    python -m venv peers && peers/bin/pip install laptrack==0.17.1
    python benchmarks/pipeline.py --peer-python peers/bin/python

What deciding about wrong and missing masks costs: with ``--images`` the movie has images, and the whole of it is tracked in
turn with the defaults, with ``--max-gap 0``, and with ``--masks-as-given --max-gap 0``, so often as ``--times`` says.

    python benchmarks/pipeline.py --images --frames 130 --cells 250

A folder given with ``--folder`` keeps the movie and the results; a movie that is there is used again.
"""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import celltrail, markdown_table, parser, run_command, write_rows

from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import digits_for, write_masks, write_track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.graph.candidates import load_graph
from celltrail.data.simulation.scene import simulate_scene
from celltrail.tracking.measuring.pixels import relabel

CYCLE = 200.0  # frames between two divisions
DEATHS = 0.74 / CYCLE  # per cell and frame: as many as are born
DECIDING = {"celltrail": (), "no gaps": ("--max-gap", 0), "nothing": ("--masks-as-given", "--max-gap", 0)}
PEERS = ("laptrack", "laptrack-scaled", "laptrack-overlap")


def write_movie(
    folder: Path, *, frames: int, cells: int, size: int, seed: int, missing: float, with_images: bool
) -> None:
    """Write a simulated movie's truth as ``01_GT/TRA``, what is to be tracked as ``MASKS``, its images as ``01``."""
    scene = simulate_scene(frames=frames, cells=cells, size=(size, size), cycle=CYCLE, death_rate=DEATHS, seed=seed)
    random = np.random.default_rng([seed, 1])
    work = folder / "partial"
    truth, seen, images = work / "01_GT" / "TRA", work / "MASKS", work / "01"
    for made in (truth, seen, *([images] if with_images else [])):
        made.mkdir(parents=True)
    digits = digits_for(range(frames))
    for number in range(frames):
        if with_images:
            image, mask = scene.draw(number)
            write_array(images / f"t{number:0{digits}d}.tif", image)
        else:
            mask = scene.mask(number)
        present = np.flatnonzero(np.bincount(mask.ravel())[1:]) + 1
        shown = present[random.random(len(present)) >= missing]
        write_masks(truth, [(number, mask)], prefix="man_track", digits=digits)
        write_masks(seen, [(number, relabel(mask, shown, random.permutation(len(shown)) + 1))], digits=digits)
    write_track_file(truth / "man_track.txt", scene.tracks)
    for part in work.iterdir():
        part.rename(folder / part.name)
    work.rmdir()


def track_once(folder: Path, frames: int, jobs: int, method: str = "celltrail") -> dict[str, Any]:
    """Track the first frames of a movie, and measure the result."""
    part, out = f"0:{frames - 1}", folder / f"RES{frames}"
    images = ("--images", folder / "01") if (folder / "01").is_dir() else ()
    how = (*images, "--frames", part, "--jobs", jobs, *DECIDING[method])
    usage, run = celltrail("track", folder / "MASKS", *how, "--out", out, "--overwrite")
    return {
        "case": f"{frames} frames",
        "method": method,
        "status": run["status"],
        **vars(usage),
        "detections": run["detections"],
        "candidate_links": run["candidate_links"],
        "gap_links": run["gap_links"],
        "objective": run["objective"],
        "bound": run["bound"],
        "seconds": run["seconds"],
        **judge(folder / "01_GT", out, part),
    }


def judge(truth: Path, out: Path, part: str) -> dict[str, float | None]:
    """LNK, TRA and BIO of a result."""
    measures = celltrail("evaluate", truth, out, "--frames", part)[1]["sequences"][0]["measures"]
    return {name: measures[name] for name in ("LNK", "TRA", "BIO")}


def peer_once(method: str, python: str, folder: Path, frames: int, limit: int) -> dict[str, Any]:
    """Give laptrack the cells that Celltrail has tracked, and measure what it makes of them."""
    from peers import write_edges

    masks = open_labels(folder / "MASKS")
    detections = load_graph(folder / f"RES{frames}" / "graph.npz")[0].detections
    diameter = 2 * np.sqrt(np.median(detections.area) / np.pi)
    cells, found, out = folder / "cells.npz", folder / "edges.json", folder / f"RES_{method}"
    stacked = {"masks": np.stack(list(masks.values())).astype(np.uint16)} if "overlap" in method else {}
    np.savez(
        cells, frame=detections.frame, label=detections.label, place=detections.position, diameter=diameter, **stacked
    )
    script = Path(__file__).with_name("peer_trackers.py")
    usage, status, _ = run_command([python, str(script), method, str(cells), str(found)], timeout_cpu_s=limit)
    cells.unlink()
    row = {"case": f"{frames} frames", "method": method, **vars(usage), "detections": len(detections)}
    if status != 0:
        stopped = usage.cpu_s >= limit or status == -signal.SIGXCPU
        said = "timeout" if stopped else f"failed with {status}"
        return row | {"status": said, "LNK": None, "TRA": None, "BIO": None}
    shutil.rmtree(out, ignore_errors=True)
    write_edges(masks, detections, [(u, v) for u, v in json.loads(found.read_text())], out)
    return row | {"status": "done", **judge(folder / "01_GT", out, f"0:{frames - 1}")}


def run(folder: Path, options: Any) -> Iterator[dict[str, Any]]:
    """The rows of the table, one after the other."""
    if not (folder / "MASKS").is_dir():
        given = {name: getattr(options, name) for name in ("frames", "cells", "size", "seed", "missing")}
        write_movie(folder, **given, with_images=options.images)
    if options.images:
        for _ in range(options.times):
            yield from (track_once(folder, options.frames, options.jobs, method) for method in DECIDING)
        return
    for frames in (options.frames // 2, options.frames):
        yield track_once(folder, frames, options.jobs)
    for method in PEERS if options.peer_python else ():
        yield peer_once(method, options.peer_python, folder, options.frames, options.peer_seconds)


def main() -> None:
    """Simulate, track half of the movie and all of it, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--frames", type=int, default=1441)
    arguments.add_argument("--cells", type=int, default=500, help="cells in the first frame")
    arguments.add_argument("--size", type=int, default=1024)
    arguments.add_argument("--missing", type=float, default=0.0, help="share of the masks that are left out")
    arguments.add_argument("--jobs", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--images", action="store_true", help="what deciding about masks costs, with images")
    arguments.add_argument("--times", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="keep the movie and the results here")
    arguments.add_argument("--peer-python", metavar="PYTHON", help="a Python that has laptrack")
    arguments.add_argument("--peer-seconds", type=int, default=600)
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in run(options.folder or Path(folder), options):
            rows.append(row)
            print(row, flush=True)
            write_rows(options.json, rows)
    names = ("case", "method", "detections", "status", "LNK", "BIO")
    shown = [[*(row[name] for name in names), f"{row['cpu_s']:.1f}", f"{row['peak_mb']:.0f}"] for row in rows]
    print(markdown_table([*names, "CPU s", "peak MB"], shown))
    if options.images:
        took = {name: statistics.median(row["cpu_s"] for row in rows if row["method"] == name) for name in DECIDING}
        for name, seconds in took.items():
            print(f"{name}: {seconds:.1f} CPU-s, {seconds / took['nothing']:.2f} times the last one's")
        return
    half, whole = rows[:2]
    per_cell = (whole["peak_mb"] - half["peak_mb"]) * 2**20 / (whole["detections"] - half["detections"])
    print(f"memory grows by {per_cell / 1000:.2f} kB for each further cell")


if __name__ == "__main__":
    main()
