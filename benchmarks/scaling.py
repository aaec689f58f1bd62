"""How far more workers help: task times measured here, clusters of 1 to 1000 workers simulated.

    python benchmarks/scaling.py [--frames 26] [--cells 500] [--size 1024] [--json FILE]

Measured, in CPU seconds of one core of this machine: segmenting a frame (model ``sim-fluo``), measuring a stretch of
24 frames, finding the links of 15,000 cells, pricing 50,000 links, comparing a frame with its truth; what the process that
leads a run does itself: asking an excerpt of the movie about its gaps, solving, summing up probabilities and writing the
graph (per detection), writing a frame of the result;
and what a Dask scheduler and a client on this machine spend on a task that does nothing.

Simulated: movies of 1441 frames, as many as the detections need, each led by a run of its own. A worker that is free
takes the next task; tasks of a stage become ready when the stage before has ended; the scheduler hands out one task at a
time. The reading of frames is in the tasks as measured, from this machine's disk: a shared disk that cannot feed all workers
at once, workers that die, and the start of the cluster are not simulated.
"""

from __future__ import annotations

import heapq
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown_table, parser, write_rows

FRAMES = 1441  # of each simulated movie
DETECTIONS = (10**6, 10**7, 10**8, 10**9)
WORKERS = (1, 10, 100, 1000)
EMPTY_TASKS = 400
SUMS = "probabilities, per detection"
SHARE = "probabilities, share of costs and solver"
NUMBERS = ("detections per frame", "links per detection", SHARE)  # measured, but no times
CELLS_SEARCHED, LINKS_PRICED = 15_000, 50_000  # of a task of a long movie


def cpu_seconds(work: Callable[[], Any], repeat: int = 3) -> float:
    """The least CPU seconds of some runs, after one to warm up (compiled code, caches)."""
    work()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure_tasks(folder: Path, frames: int, cells: int, size: int) -> dict[str, float]:
    """CPU seconds of every kind of task on a simulated movie on disk."""
    from celltrail.data.files.ctc import write_masks
    from celltrail.data.files.opening import open_images, open_labels
    from celltrail.data.graph.candidates import save_graph
    from celltrail.data.simulation.scene import simulate_movie, write_movie
    from celltrail.evaluation.measures.contingency import tabulate_many
    from celltrail.evaluation.measures.per_frame import score_shapes
    from celltrail.segmentation.net.checkpoint import load_model
    from celltrail.segmentation.prediction.movie import label_frame
    from celltrail.tracking.candidates.links import find_links
    from celltrail.tracking.candidates.parts import FEW, PART, UnpricedCandidates, find_candidates
    from celltrail.tracking.confidence.marginals import compute_confidence
    from celltrail.tracking.costs.learned import load_costs
    from celltrail.tracking.costs.pricing import Constants, price, price_part, with_terms
    from celltrail.tracking.exporting.lineage import build_lineage
    from celltrail.tracking.measuring.table import CHUNK, measure_movie
    from celltrail.tracking.preparing.preparation import EXCERPT, prepare
    from celltrail.tracking.settings import TrackSettings
    from celltrail.tracking.solving.solver import solve_candidates

    write_movie(simulate_movie(frames=frames, cells=cells, size=(size, size), seed=1), folder)
    images, truth = open_images(folder / "01"), open_labels(folder / "01_GT" / "TRA")
    model = load_model("sim-fluo")
    first = truth.numbers[0]
    chunk = range(first, first + CHUNK)
    table = measure_movie(truth, images)
    problem, learned, constants = find_candidates(table), load_costs(), Constants()

    def fresh() -> UnpricedCandidates:
        return replace(problem)  # without the features that it has made before

    candidates = price(fresh(), learned, constants)
    solution = solve_candidates(candidates)
    links = cpu_seconds(lambda: find_links(table, max_gap=0))
    pricing = cpu_seconds(lambda: price(fresh(), learned, constants, explained=False))
    explaining = cpu_seconds(lambda: with_terms(candidates, fresh(), learned, constants))
    task = (fresh().whole, np.zeros(len(table)))
    done = price_part(task, model=learned, constants=constants, explained=False)
    shipping = cpu_seconds(lambda: [pickle.loads(pickle.dumps(item)) for item in ((fresh().whole, task[1]), done)])
    prepared = cpu_seconds(lambda: prepare(table, solve_candidates, TrackSettings(max_gap=0), explained=False))
    asked = cpu_seconds(lambda: prepare(table, solve_candidates, explained=False)) - prepared
    explained = with_terms(candidates, fresh(), learned, constants)
    solving = sum(
        cpu_seconds(work, 1)
        for work in (
            lambda: solve_candidates(candidates),
            lambda: build_lineage(candidates, solution),
            lambda: save_graph(folder / "graph.npz", explained, solution),
        )
    )
    asked_for = prepare(table, solve_candidates, explained=False).candidates  # as `track` does it by default
    sums = cpu_seconds(lambda: compute_confidence(asked_for))
    solved = cpu_seconds(lambda: solve_candidates(asked_for))
    (folder / "out").mkdir()
    labels, one = truth[first], truth.between(range(first, first + 1))
    return {
        "segment a frame": cpu_seconds(lambda: label_frame(model, images[first])),
        "measure a stretch": cpu_seconds(lambda: measure_movie(truth.between(chunk), images.between(chunk)), 1),
        "find the links of 15,000 cells": links / len(table) * FEW,
        "price 50,000 links": pricing / len(problem.links) * PART,
        "send these links to a worker and their costs back": shipping / len(problem.links) * PART,
        "explain the costs of 50,000 links": explaining / len(problem.links) * PART,
        "ask 40,000 cells about gaps": asked / len(table) * EXCERPT,
        "solve and write graph.npz, per detection": max(prepared - links - pricing, 0.0) / len(table)
        + solving / len(table),
        SUMS: sums / len(table),
        SHARE: sums / (pricing + solved),
        "write a frame": cpu_seconds(lambda: write_masks(folder / "out", [(0, labels)])),
        "compare a frame": cpu_seconds(lambda: tabulate_many([one], [one], look=score_shapes, looks={(0, 0): {}})),
        "detections per frame": len(table) / frames,
        "links per detection": len(problem.links) / len(table),
    }


def scheduler_seconds() -> float:
    """CPU seconds that scheduler and client need for a task that does nothing, on a cluster of this machine."""
    import distributed

    from celltrail.data.running.workers import open_workers

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, scheduler_kwargs={"dashboard_address": ":0"}
        ) as cluster,
        open_workers(dask=cluster.scheduler_address) as mapper,
    ):
        list(mapper(abs, range(50)))
        start = time.process_time()  # scheduler and client live in this process, the worker in another
        list(mapper(abs, range(EMPTY_TASKS)))
        return (time.process_time() - start) / EMPTY_TASKS


Stage = tuple[int, float, int]  # tasks, seconds of each, calls of the scheduler for each


def stages_of_movie(task: dict[str, float], chunk: int) -> list[Stage]:
    """The stages of one movie; frames are simulated a stretch at a time, with as many calls as they have frames."""
    groups = -(-FRAMES // chunk)
    detections = FRAMES * task["detections per frame"]
    parts = round(detections * task["links per detection"] / LINKS_PRICED)
    lead = (task["solve and write graph.npz, per detection"] + task[SUMS]) * detections + task["write a frame"] * FRAMES
    lead += 2 * parts * task["send these links to a worker and their costs back"]
    return [
        (groups, task["segment a frame"] * chunk, chunk),
        (groups, task["measure a stretch"], 1),
        (1, task["ask 40,000 cells about gaps"], 1),
        (round(detections / CELLS_SEARCHED), task["find the links of 15,000 cells"], 1),
        (parts, task["price 50,000 links"], 1),
        (1, lead, 1),
        (parts, task["explain the costs of 50,000 links"], 1),
        (groups, task["compare a frame"] * chunk, chunk),
    ]


def simulate(movies: int, workers: int, stages: list[Stage], call: float) -> tuple[float, float]:
    """Seconds until the last task has ended, and the share of them that the workers were busy."""
    free = [0.0] * workers
    ready: list[tuple[float, int, int]] = [(0.0, movie, 0) for movie in range(movies)]
    heapq.heapify(ready)
    scheduler, busy, end = 0.0, 0.0, 0.0
    while ready:
        at, movie, stage = heapq.heappop(ready)
        tasks, seconds, calls = stages[stage]
        done = at
        for _ in range(tasks):
            scheduler = max(scheduler, at) + call * calls
            begin = max(heapq.heappop(free), scheduler)
            heapq.heappush(free, begin + seconds)
            done = max(done, begin + seconds)
            busy += seconds
        end = max(end, done)
        if stage + 1 < len(stages):
            heapq.heappush(ready, (done, movie, stage + 1))
    return end, busy / (end * workers)


def simulated_rows(task: dict[str, float], call: float, chunk: int) -> Iterator[dict[str, Any]]:
    """One row for each number of detections and of workers."""
    stages = stages_of_movie(task, chunk)
    for detections in DETECTIONS:
        movies = max(1, round(detections / (FRAMES * task["detections per frame"])))
        for workers in WORKERS:
            seconds, busy = simulate(movies, workers, stages, call)
            yield {
                "case": f"{detections:.0e} detections",
                "method": "celltrail",
                "status": "simulated",
                "movies": movies,
                "workers": workers,
                "hours": seconds / 3600,
                "busy": busy,
            }


def main() -> None:
    """Measure, simulate, print both tables."""
    arguments = parser(__doc__)
    arguments.add_argument("--frames", type=int, default=26)
    arguments.add_argument("--cells", type=int, default=500)
    arguments.add_argument("--size", type=int, default=1024)
    options = arguments.parse_args()
    from celltrail.tracking.measuring.table import CHUNK

    with tempfile.TemporaryDirectory() as folder:
        task = measure_tasks(Path(folder), options.frames, options.cells, options.size)
    call = scheduler_seconds()
    print(f"Measured ({options.size}² pixels, {task['detections per frame']:.0f} cells per frame):\n")
    shown = [(name, value) for name, value in task.items() if name not in NUMBERS]
    shown.append(("hand out a task (scheduler and client)", call))
    print(markdown_table(["task", "CPU ms"], [[name, f"{1000 * value:.3f}"] for name, value in shown]))
    print(f"\nProbabilities take {task[SHARE]:.2f} of the CPU seconds of costs and solver together.")
    rows = list(simulated_rows(task, call, CHUNK))
    print("\nSimulated, hours (share of the time that workers are busy):\n")
    table = []
    for detections in DETECTIONS:
        mine = [row for row in rows if row["case"] == f"{detections:.0e} detections"]
        cells = [f"{row['hours']:.3g} ({row['busy']:.0%})" for row in mine]
        table.append([f"10{chr(0x2070 + len(str(detections)) - 1)}", mine[0]["movies"], *cells])
    print(markdown_table(["detections", "movies", *(f"{n} workers" for n in WORKERS)], table))
    measured = [{"case": name, "method": "celltrail", "status": "measured", "cpu_s": value} for name, value in shown]
    write_rows(options.json, [*measured, *rows])


if __name__ == "__main__":
    main()
