"""What a correction costs: the answer to a click, and solving again with all files, beside solving the whole anew.

    python benchmarks/resolving.py --json FILE [--data DIR] [--copies 3]

A simulated movie (about 25,000 cells) is tracked, or that of ``--data`` (with ``01_RES``) is taken. Each of five corrections
cuts another link. ``celltrail``: what the dashboard does, from the solution that it has in memory to the new result on
disk. ``whole``: the same problem with the pin, solved, its probabilities computed and everything written, as if for the first
time. ``answer``: what a click waits for until it sees what changes, on the same graph, and on ``--copies`` of it side by side.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from measure import markdown_table, parser, write_rows

from celltrail.dashboard.correcting import answers, corrections
from celltrail.dashboard.correcting.graph import Graph, open_graph
from celltrail.dashboard.correcting.words import compare_solutions
from celltrail.dashboard.opening import content, registry
from celltrail.data.files.pins import Pin
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.exporting.lineage import build_lineage
from celltrail.tracking.pipeline import TrackResult
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

TIMES = 5


def make_movie(folder: Path) -> None:
    """A movie of about 25,000 cells, tracked."""
    movie = simulate_movie(frames=60, cells=220, size=(1024, 1024), seed=3)
    write_movie(movie, folder)
    write_result(track(movie.masks, images=movie.images), folder / "01_RES")


def cuts(graph: Graph, count: int) -> list[Pin]:
    """Links in the middle of the movie, forbidden."""
    frame, links = graph.candidates.detections.frame, graph.candidates.links
    middle = np.flatnonzero(graph.solution.link_chosen & (frame[links.source] == int(frame.max()) // 2))
    return [
        Pin("link", "forbid", (graph.cell(int(links.source[row])), graph.cell(int(links.target[row]))))
        for row in middle[:count].tolist()
    ]


def copies_of(graph: Graph, count: int) -> Graph:
    """The same problem several times side by side: each frame holds so many times as many cells."""
    candidates, solution, n = graph.candidates, graph.solution, len(graph.track)
    most = int(candidates.detections.label.max()) + 1
    order = np.argsort(np.tile(candidates.detections.frame, count), kind="stable")
    place = np.empty(n * count, dtype=np.int64)
    place[order] = np.arange(n * count)

    def tiled(table, rows=(), reorder=False):  # type: ignore[no-untyped-def]
        columns = {}
        for column in fields(table):
            value = getattr(table, column.name)
            if isinstance(value, dict):
                columns[column.name] = {name: np.tile(term, count) for name, term in value.items()}
                continue
            many = np.concatenate([value] * count)
            if column.name in rows:
                many = place[many + np.repeat(np.arange(count) * n, len(value))]
            if column.name == "label":
                many = many + np.repeat(np.arange(count) * most, len(value))
            columns[column.name] = many[order] if reorder else many
        return type(table)(**columns)

    components = solution.components
    shift = np.repeat(np.arange(count) * components, n)
    wide = {name: np.tile(getattr(solution, name), count)[order] for name in ("used", "appears", "disappears")} | {
        name: np.tile(getattr(solution, name), count)
        for name in ("link_chosen", "division_chosen", "link_margin", "division_margin")
    }
    past = solution.past_component if len(solution.past_component) else solution.component
    many = replace(
        solution,
        **wide,
        component=(np.tile(solution.component, count) + shift)[order],
        past_component=(np.tile(past, count) + shift)[order],
        objective=solution.objective * count,
        bound=solution.bound * count,
        baseline=solution.baseline * count,
    )
    together = replace(
        candidates,
        detections=tiled(candidates.detections, reorder=True),
        links=tiled(candidates.links, ("source", "target")),
        divisions=tiled(candidates.divisions, ("mother", "first", "second")),
    )
    return Graph(together, many, np.tile(graph.track, count)[order])


def answer_seconds(graph: Graph) -> float:
    """CPU seconds from a click to what it changes, the median of several."""
    spent, pins = [], cuts(graph, TIMES + 1)
    answers.answer(graph, pins[:1])
    for count in range(2, TIMES + 2):
        start = time.process_time()
        found = answers.answer(graph, pins[:count])
        compare_solutions(graph, found.candidates, found.solution)
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def whole_seconds(graph: Graph, result: content.Result, pin: Pin, out: Path) -> float:
    """CPU seconds to solve the whole problem with a pin and to write everything."""
    start = time.process_time()
    pinned = apply_pins(graph.candidates, [pin])
    solution = solve_candidates(pinned)
    sure = compute_confidence(pinned)
    lineage = build_lineage(pinned, solution)
    table = corrections._table_of(result, graph, lineage.fills)
    found = TrackResult(
        lineage.tracks, lineage.track, pinned, solution, {"seconds": {}}, table, lineage, result.labels, sure
    )
    write_result(found, out)
    return time.process_time() - start


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument(
        "--data", type=Path, help="a data set with 01_RES, instead of a simulated one; it is copied into"
    )
    options.add_argument("--copies", type=int, default=4)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.data or Path(temporary) / "movie"
        if given.data is None:
            make_movie(folder)
        result = content.open_result(
            next(x for x in registry.open_dataset(folder).movies[0].layers if x.name == "01_RES")
        )
        graph = open_graph(result)
        n = len(graph.track)
        pins = cuts(graph, TIMES)
        again, whole = [], []
        for i, pin in enumerate(pins):
            start = time.process_time()
            corrections.solve_again(result, [pin])
            again.append(time.process_time() - start)
            whole.append(whole_seconds(graph, result, pin, Path(temporary) / f"whole{i}"))
        one, many = answer_seconds(graph), copies_of(graph, given.copies)
        rows = [
            ("solve again, with files", "celltrail", n, statistics.median(again), 1.0),
            (
                "solve again, with files",
                "whole",
                n,
                statistics.median(whole),
                statistics.median(whole) / statistics.median(again),
            ),
            ("answer to a click", "celltrail", n, one, 1.0),
            ("answer to a click", "celltrail", len(many.track), answer_seconds(many), 1.0),
        ]
    names = ["case", "method", "detections", "cpu_s", "ratio"]
    print(markdown_table(names, [[*row[:3], f"{row[3]:.2f}", f"{row[4]:.1f}"] for row in rows]))
    write_rows(given.json, [dict(zip(names, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
