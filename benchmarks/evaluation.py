"""How fast a result is compared with its truth, against traccuracy and py-ctcmetrics on the same files.

    python benchmarks/evaluation.py [--frames 100] [--size 1024] [--cells 320] [--long 2000] [--json FILE]

CPU seconds without imports and without compiling, each method in a process of its own:

* ``celltrail`` — load, match, SEG, DET, TRA, LNK, CT, TF, BC, CCA and the list of errors;
* ``traccuracy`` — load, match, TRA, DET, LNK;  ``py-ctcmetrics`` — SEG, DET, TRA (one thread).

``--long N`` adds a movie of N frames that only celltrail evaluates, for its memory.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown_table, measured, parser, run_command, write_rows

METHODS = ("celltrail", "traccuracy", "py-ctcmetrics")


def make_movie(folder: Path, frames: int, size: int, cells: int, seed: int = 0) -> None:
    """Write ``01_GT`` and ``01_RES``: discs that wander and divide; the result misses, shifts and cuts some."""
    from celltrail.data.files.ctc import write_masks, write_track_file
    from celltrail.data.files.tracks import Tracks

    random = np.random.default_rng(seed)
    grid = int(np.ceil(np.sqrt(cells)))
    step = size / grid
    y, x = np.mgrid[:size, :size]
    site = (np.minimum(y // step, grid - 1) * grid + np.minimum(x // step, grid - 1)).astype(int)
    off_y, off_x = y - (site // grid + 0.5) * step, x - (site % grid + 0.5) * step
    sites = np.arange(grid * grid)
    label, parent = sites + 1, {}
    move = np.zeros((2, len(sites)))
    begin = dict.fromkeys(label.tolist(), 0)
    end: dict[int, int] = {}
    shown = label.copy()
    result_begin, result_end = dict(begin), {}
    for part in ("01_GT/SEG", "01_GT/TRA", "01_RES"):
        (folder / part).mkdir(parents=True)
    for frame in range(frames):
        move = np.clip(move + random.normal(0, 0.4, move.shape), -step / 6, step / 6)
        if frame:
            changed = random.choice(sites, 2 * (len(sites) // 100), replace=False)
            for lost in changed[::2]:  # a cell leaves, its place is taken
                end[int(label[lost])] = frame - 1
                label[lost] = max(begin) + 1
                begin[int(label[lost])] = frame
                result_end[int(shown[lost])] = frame - 1
                shown[lost] = max(result_begin) + 1
                result_begin[int(shown[lost])] = frame
            for cut in changed[1::2]:  # the result loses its identity
                result_end[int(shown[cut])] = frame - 1
                parent[max(result_begin) + 1] = int(shown[cut])
                shown[cut] = max(result_begin) + 1
                result_begin[int(shown[cut])] = frame
        radius = step * 0.36
        inside = (off_y - move[0][site]) ** 2 + (off_x - move[1][site]) ** 2
        truth = np.where(inside < radius**2, label[site], 0).astype(np.uint16)
        shift = random.choice([0.9, 1.0, 1.1], len(sites))
        result = np.where(inside < (radius * shift[site]) ** 2, shown[site], 0).astype(np.uint16)
        write_masks(folder / "01_GT" / "TRA", [(frame, truth)], prefix="man_track")
        if frame % max(frames // 20, 1) == 0:
            write_masks(folder / "01_GT" / "SEG", [(frame, truth)], prefix="man_seg")
        write_masks(folder / "01_RES", [(frame, result)])
    last = frames - 1
    true = Tracks.from_rows((n, b, end.get(n, last), 0) for n, b in begin.items())
    found = Tracks.from_rows((n, b, result_end.get(n, last), parent.get(n, 0)) for n, b in result_begin.items())
    write_track_file(folder / "01_GT" / "TRA" / "man_track.txt", true)
    write_track_file(folder / "01_RES" / "res_track.txt", found)


def with_celltrail(folder: Path) -> tuple[Callable[[], Any], Callable[[Any], dict[str, float]]]:
    """What to run, and how to read its measures."""
    from celltrail.evaluation import evaluate_sequence

    def run() -> Any:
        return evaluate_sequence(folder / "01_GT", folder / "01_RES", groups=("ctc",))

    return run, lambda evaluation: {name: evaluation.measures[name] for name in ("SEG", "DET", "TRA", "LNK")}


def with_traccuracy(folder: Path) -> tuple[Callable[[], Any], Callable[[Any], dict[str, float]]]:
    """What to run, and how to read its measures."""
    from traccuracy import run_metrics
    from traccuracy.loaders import load_ctc_data
    from traccuracy.matchers import CTCMatcher
    from traccuracy.metrics import CTCMetrics

    def run() -> Any:
        truth = load_ctc_data(str(folder / "01_GT" / "TRA"), str(folder / "01_GT" / "TRA" / "man_track.txt"))
        result = load_ctc_data(str(folder / "01_RES"), str(folder / "01_RES" / "res_track.txt"))
        return run_metrics(truth, result, CTCMatcher(), [CTCMetrics()])[0][0]["results"]

    return run, lambda results: {name: results[name] for name in ("DET", "TRA", "LNK")}


def with_py_ctcmetrics(folder: Path) -> tuple[Callable[[], Any], Callable[[Any], dict[str, float]]]:
    """What to run, and how to read its measures."""
    from ctc_metrics import evaluate_sequence

    def run() -> Any:
        return evaluate_sequence(
            str(folder / "01_RES"), str(folder / "01_GT"), metrics=["SEG", "DET", "TRA"], threads=1
        )

    return run, lambda results: {name: results[name] for name in ("SEG", "DET", "TRA")}


SETUP = {"celltrail": with_celltrail, "traccuracy": with_traccuracy, "py-ctcmetrics": with_py_ctcmetrics}


def run_one(method: str, folder: Path, warm_up: Path) -> None:
    """Measure one method in this process; prints one line of JSON."""
    warnings.simplefilter("ignore")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        SETUP[method](warm_up)[0]()
        run, read = SETUP[method](folder)
        with measured() as usage:
            found = run()
    row = {"method": method, "cpu_s": usage.cpu_s, "wall_s": usage.wall_s}
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(row | read(found)))


def main() -> None:
    """Make the movies, run every method on them, print the table."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=100)
    options.add_argument("--size", type=int, default=1024)
    options.add_argument("--cells", type=int, default=320)
    options.add_argument("--long", type=int, default=0, metavar="N")
    options.add_argument("--one", nargs=3, metavar=("METHOD", "MOVIE", "WARM_UP"))
    arguments = options.parse_args()
    if arguments.one:
        run_one(arguments.one[0], Path(arguments.one[1]), Path(arguments.one[2]))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        warm_up = Path(temporary) / "warm_up"
        make_movie(warm_up, 3, 64, 9)
        cases = [(arguments.frames, METHODS), *([(arguments.long, METHODS[:1])] if arguments.long else [])]
        for frames, methods in cases:
            movie = Path(temporary) / str(frames)
            make_movie(movie, frames, arguments.size, arguments.cells)
            for method in methods:
                _, status, printed = run_command([sys.executable, __file__, "--one", method, str(movie), str(warm_up)])
                if status:
                    sys.exit(f"{method} ended with {status}.")
                rows.append({"case": f"{frames} frames of {arguments.size}²"} | json.loads(printed))
    for row in rows:
        ours = next(other["cpu_s"] for other in rows if other["case"] == row["case"])
        row["ratio"] = row["cpu_s"] / ours
    names = ["case", "method", "cpu_s", "wall_s", "peak_mb", "ratio", "SEG", "DET", "TRA", "LNK"]
    print(markdown_table(names, [[row.get(name) for name in names] for row in rows]))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
