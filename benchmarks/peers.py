"""Celltrail beside other trackers on the same masks.

    python benchmarks/peers.py DATA [--json FILE] [--methods …] [--inputs plain corrupted] [--python [METHOD=]PYTHON]

Every tracker gets the same masks of the development movies, labels shuffled in each frame; with
``corrupted`` 5 % of the cells are dropped, 3 % merged, 3 % split, and 2 % false blobs added. All are
scored by ``celltrail evaluate``. Celltrail uses costs learned on the other movies and on simulated ones only, at its defaults.

* ``lap``, ``greedy``: Celltrail's own baselines, with a cut-off from the movie.
* the others: see ``peer_trackers.py`` for what each is given. A name with ``-scaled`` gets the distance that a cell
  may move from the movie (1.5 typical diameters), without it the tracker's own default in pixels.

The others need not be installed beside Celltrail. For example:

    python -m venv peers && peers/bin/pip install laptrack==0.17.1 motile==1.0.1 pyscipopt btrack==0.7.0
    python -m venv koft && koft/bin/pip install byotrack==2.0.7
    python -m venv ultrack && ultrack/bin/pip install ultrack==0.8.0
    python benchmarks/peers.py DATA --python peers/bin/python --python koft=koft/bin/python \\
        --python koft-tuned=koft/bin/python --python ultrack=ultrack/bin/python

The row of a tracker that is missing, or takes more than 300 s of processor time, says so.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import MEASURES
from corruption import corrupted
from measure import Usage, celltrail, markdown_table, measured, parser, run_command, write_rows
from movies import Movie, find_movies, shuffled
from peer_trackers import MISSING
from shipped_costs import simulated_examples

from celltrail.data import Tracks
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import split_at_holes
from celltrail.tracking import track, write_result
from celltrail.tracking.candidates.links import typical_diameter
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.measuring.pixels import relabel
from celltrail.tracking.measuring.table import DetectionTable, measure_movie
from celltrail.tracking.preparing.preparation import DEFAULT_COSTS

Edges = list[tuple[int, int]]
OURS = ("celltrail", "lap", "greedy")
PEERS = (
    *("laptrack", "laptrack-scaled", "laptrack-overlap", "btrack", "btrack-scaled"),
    *("motile", "motile-scaled", "koft", "koft-tuned", "ultrack"),
)
CPU_SECONDS = 300


def write_edges(masks: dict[int, Any], table: DetectionTable, edges: Edges, out: Path) -> None:
    """Write links between rows of the table as a CTC result: a row with one successor goes on, with more it divides."""
    after: dict[int, list[int]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    name = np.zeros(len(table), dtype=np.int64)
    parent: dict[int, int] = {}
    for row in range(len(table)):
        if not name[row]:
            name[row] = max(parent, default=0) + 1
            parent[int(name[row])] = 0
        for target in (targets := after.get(row, [])):
            name[target] = name[row] if len(targets) == 1 else max(parent) + 1
            parent.setdefault(int(name[target]), int(name[row]))
    present = {label: table.frame[name == label] for label in parent}
    rows = [(label, int(f[0]), int(f[-1]), parent[label]) for label, f in present.items()]
    tracks, renamed = split_at_holes(Tracks.from_rows(rows), present)
    for (label, begin), new in sorted(renamed.items(), key=lambda item: item[0][1]):
        name[(name == label) & (table.frame >= begin)] = new
        for (other, later), newer in renamed.items():
            if other == label and later > begin:
                name[(name == new) & (table.frame >= later)] = newer
    out.mkdir()
    write_track_file(out / "res_track.txt", tracks)
    here = {n: table.frame == n for n in masks}
    write_masks(out, ((n, relabel(labels, table.label[here[n]], name[here[n]])) for n, labels in masks.items()))


def by_peer(
    method: str, python: str, movie: Movie, table: DetectionTable, masks: dict[int, Any], folder: Path
) -> tuple[Usage, Edges | str]:
    """What another tracker took, and its links and divisions as pairs of rows; or why there are none."""
    numbers = range(min(masks), max(masks) + 1)
    blank = np.zeros_like(next(iter(masks.values())))
    cells, found = folder / "cells.npz", folder / "edges.json"
    images = movie.images
    seen = {} if images is None else {"images": np.stack([images.get(n, blank) for n in numbers])}
    np.savez(
        cells,
        dataset=movie.sequence.dataset.name,
        **seen,
        frame=table.frame - numbers.start,
        label=table.label,
        place=table.place,
        diameter=typical_diameter(table),
        masks=np.stack([masks.get(n, blank) for n in numbers]).astype(np.uint16),
    )
    script = Path(__file__).with_name("peer_trackers.py")
    usage, status, _ = run_command([python, str(script), method, str(cells), str(found)], timeout_cpu_s=CPU_SECONDS)
    if status == MISSING:
        return usage, "not installed"
    if status != 0:
        return usage, "timeout" if usage.cpu_s >= CPU_SECONDS else f"failed with {status}"
    return usage, [(u, v) for u, v in json.loads(found.read_text())]


def judge(truth: Path, out: Path) -> dict[str, float | None]:
    """The measures of a written result."""
    return celltrail("evaluate", truth, out)[1]["sequences"][0]["measures"]


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--methods", nargs="+", default=[*OURS, *PEERS], choices=[*OURS, *PEERS], metavar="METHOD")
    options.add_argument("--python", action="append", default=[], metavar="[METHOD=]PYTHON")
    options.add_argument("--inputs", nargs="+", default=["plain", "corrupted"], choices=["plain", "corrupted"])
    given = options.parse_args()
    pythons = dict(word.rpartition("=")[::2] for word in given.python)  # "" stands for every other method
    movies = find_movies(given.data)
    examples = {movie.name: read_example(movie.sequence) for movie in movies}
    simulated = simulated_examples()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for movie in movies:
            file = Path(folder) / "costs.json"
            model = fit_costs([example for name, example in examples.items() if name != movie.name] + simulated)
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
            costs = {"learned": str(file), "mixed": f"mixed:{file}"}.get(DEFAULT_COSTS, DEFAULT_COSTS)
            for kind in given.inputs:
                masks = shuffled(movie.silver() if kind == "plain" else corrupted(movie.silver())[0])
                for method in given.methods:
                    python = pythons.get(method.removesuffix("-scaled"), pythons.get("", sys.executable))
                    row = run_method(method, python, movie, masks, costs, Path(folder) / f"{len(rows)}")
                    rows.append({"case": f"{movie.name}, {kind}", "method": method, **row})
                    shutil.rmtree(Path(folder) / f"{len(rows) - 1}")
                    print(
                        f"{movie.name:28s} {kind:9s} {method:16s}",
                        row.get("status") or " ".join(f"{n} {row[n]:.4f}" for n in MEASURES if row[n] is not None),
                        flush=True,
                    )
                    write_rows(given.json, rows)
    header = ["case", "method", *MEASURES, "cpu_s"]
    print(
        markdown_table(
            header,
            [
                [row.get("status") if name == "SEG" and "status" in row else row.get(name) for name in header]
                for row in rows
            ],
        )
    )


def run_method(
    method: str, python: str, movie: Movie, masks: dict[int, Any], costs: str, folder: Path
) -> dict[str, Any]:
    """Track with one method; its measures and what it took, or why there is no result."""
    folder.mkdir()
    out = folder / "RES"
    if method in PEERS:
        table = measure_movie(masks)
        usage, edges = by_peer(method, python, movie, table, masks, folder)
        if isinstance(edges, str):
            return {"status": edges, **asdict(usage)}
        write_edges(masks, table, edges, out)
    else:
        name = "ilp" if method == "celltrail" else method
        with measured() as usage:
            result = track(masks, images=movie.images if method == "celltrail" else None, costs=costs, method=name)
        write_result(result, out, graph=False)
    measures = judge(movie.truth, out)
    return {**{name: measures.get(name) for name in MEASURES}, **asdict(usage)}


if __name__ == "__main__":
    main()
