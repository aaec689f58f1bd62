"""Celltrail beside other trackers on the same masks.

    python benchmarks/peers.py DATA [--json FILE] [--methods celltrail lap greedy laptrack …] [--inputs plain corrupted]

Every tracker gets the same masks of the development movies, labels shuffled in each frame; with
``corrupted`` 5 % of the cells are dropped, 3 % merged, 3 % split, and false blobs added. All are
scored by ``celltrail evaluate``. Celltrail uses costs learned on the other movies only, at its
defaults. A peer that is not installed is skipped, with the reason.

* ``lap``, ``greedy``: Celltrail's own baselines, with a cut-off from the movie.
* ``laptrack`` and ``laptrack-scaled``: at its defaults, and with its cut-offs set to 1.5 cell diameters.
* ``motile``: SCIP, distance costs in cell diameters, constants as in its own examples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import MEASURES
from corruption import corrupted
from measure import celltrail, markdown_table, measured, parser, write_rows
from movies import Movie, find_movies, shuffled

from data import Tracks
from data.ctc import write_masks, write_track_file
from data.tracks import split_at_holes
from tracking import track, write_result
from tracking.candidates import typical_diameter
from tracking.costs import Constants
from tracking.detections import DetectionTable, measure_movie
from tracking.examples import read_example
from tracking.learning import costs_as_json, fit_costs
from tracking.painting import relabel

Edges = list[tuple[int, int]]


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


def by_laptrack(table: DetectionTable, cutoff: float | None) -> Edges:
    """Links and divisions by laptrack; ``cutoff`` in pixels for links, gaps and divisions (``None``: its own)."""
    import pandas as pd
    from laptrack import LapTrack

    options = {} if cutoff is None else {
        "cutoff": cutoff**2, "gap_closing_cutoff": cutoff**2, "splitting_cutoff": cutoff**2,
    }  # fmt: skip
    if cutoff is None:
        options = {"splitting_cutoff": 15**2}
    place = table.place
    points = pd.DataFrame(
        {"frame": table.frame, "z": place[:, 0], "y": place[:, 1], "x": place[:, 2], "row": range(len(table))}
    )
    found, splits, _ = LapTrack(**options).predict_dataframe(
        points, ["z", "y", "x"], frame_col="frame", only_coordinate_cols=False
    )
    found = found.reset_index(drop=True).sort_values("row")
    edges: Edges = []
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for track_id, part in found.groupby("track_id"):
        rows = part.sort_values(part.columns[part.columns.str.startswith("frame")][0])["row"].tolist()
        edges += list(pairwise(rows))
        first[track_id], last[track_id] = rows[0], rows[-1]
    for split in splits.to_dict("records") if len(splits) else []:
        edges.append((last[split["parent_track_id"]], first[split["child_track_id"]]))
    return edges


def by_motile(table: DetectionTable) -> Edges:
    """Links and divisions by motile with SCIP."""
    import motile
    import networkx as nx
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import Appear, EdgeDistance, NodeSelection, Split

    unit = typical_diameter(table)
    graph = nx.DiGraph()
    for row, (t, place) in enumerate(zip(table.frame.tolist(), (table.place / unit).tolist(), strict=True)):
        graph.add_node(row, t=t, pos=place)
    from tracking.candidates import find_links

    links = find_links(table, max_gap=0)
    graph.add_edges_from(zip(links.source.tolist(), links.target.tolist(), strict=True))
    solver = motile.Solver(motile.TrackGraph(graph))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.add_cost(EdgeDistance(position_attribute="pos", weight=1.0, constant=-1.0))
    solver.add_cost(NodeSelection(weight=0.0, constant=-1.0))
    solver.add_cost(Appear(constant=1.0))
    solver.add_cost(Split(constant=1.0))
    solver.solve(timeout=300)
    return [edge for edge in solver.get_selected_subgraph().edges if isinstance(edge[0], int)]


def judge(truth: Path, out: Path) -> dict[str, float | None]:
    """The measures of a written result."""
    return celltrail("evaluate", truth, out)[1]["sequences"][0]["measures"]


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument(
        "--methods", nargs="+", default=["celltrail", "lap", "greedy", "laptrack", "laptrack-scaled", "motile"]
    )
    options.add_argument("--inputs", nargs="+", default=["plain", "corrupted"], choices=["plain", "corrupted"])
    given = options.parse_args()
    movies = find_movies(given.data)
    examples = {movie.name: read_example(movie.sequence) for movie in movies}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for movie in movies:
            costs = Path(folder) / "costs.json"
            model = fit_costs([example for name, example in examples.items() if name != movie.name])
            costs.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
            for kind in given.inputs:
                masks = shuffled(movie.silver() if kind == "plain" else corrupted(movie.silver())[0])
                for method in given.methods:
                    out = Path(folder) / f"{len(rows)}"
                    row = run_method(method, movie, masks, costs, out)
                    rows.append({"case": f"{movie.name}, {kind}", "method": method, **row})
                    print(f"{movie.name:28s} {kind:9s} {method:16s}",
                          row.get("status") or " ".join(f"{n} {row[n]:.4f}" for n in MEASURES if row[n] is not None), flush=True)  # fmt: skip
    header = ["case", "method", *MEASURES]
    print(markdown_table(header, [[row.get(name) for name in header] for row in rows]))
    write_rows(given.json, rows)


def run_method(method: str, movie: Movie, masks: dict[int, Any], costs: Path, out: Path) -> dict[str, Any]:
    """Track with one method; its measures and what it took, or why it was skipped."""
    peers: dict[str, Callable[[DetectionTable], Edges]] = {
        "laptrack": lambda table: by_laptrack(table, None),
        "laptrack-scaled": lambda table: by_laptrack(table, 1.5 * typical_diameter(table)),
        "motile": by_motile,
    }
    with measured() as usage:
        if method in peers:
            table = measure_movie(masks)
            try:
                edges = peers[method](table)
            except ImportError as error:
                return {"status": f"skipped: {error}", "cpu_s": 0.0}
            write_edges(masks, table, edges, out)
        else:
            name = "ilp" if method == "celltrail" else method
            write_result(track(masks, images=movie.images, costs=str(costs), method=name), out, graph=False)
    measures = judge(movie.truth, out)
    return {**{name: measures.get(name) for name in MEASURES}, **asdict(usage)}


if __name__ == "__main__":
    main()
