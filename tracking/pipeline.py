"""The main job: masks in, tracks out, with everything that is needed to trust or repeat it."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import bits_for, digits_for, write_masks, write_track_file
from celltrail.data.files.pins import Pin
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import NAT, Candidates, Solution, save_graph
from celltrail.data.graph.confidence import Confidence
from celltrail.data.progress import Progress, silent
from celltrail.data.run_file import RUN_FILE, SCHEMA, are_a_guess, fingerprint, fingerprint_of_file, peak_memory_mb
from celltrail.data.running.json_text import to_json
from celltrail.data.running.log_file import logger, write_log
from celltrail.data.running.workers import open_workers
from celltrail.data.settings import to_config
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.data.writing.output import output_folder
from celltrail.tracking.baselines import add_divisions, as_solution, choose_by_assignment, choose_greedily, cut_off
from celltrail.tracking.candidates.gaps import COVERED
from celltrail.tracking.candidates.links import typical_diameter
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.confidence.summary import summarise
from celltrail.tracking.costs.learned import calibration_of
from celltrail.tracking.explain import list_divisions
from celltrail.tracking.exporting.changed import as_repairs, find_changed, list_changed
from celltrail.tracking.exporting.fills import list_fills
from celltrail.tracking.exporting.lineage import Lineage, build_lineage
from celltrail.tracking.exporting.masks import paint_masks
from celltrail.tracking.measuring.jumps import list_jumps
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.obedience import require_obedience
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.preparing.unlinked import say_unlinked
from celltrail.tracking.saved import remember
from celltrail.tracking.settings import TrackSettings, choose
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

GRAPH_FILE = "graph.npz"
OF_BASELINES = "the problem that this method sees: masks as they are, and no cell that goes unseen"
LIBRARIES = ("celltrail", "numpy", "scipy", "highspy", "pulp", "tifffile")


@dataclass(frozen=True)
class Earlier:
    """An earlier result of the same masks, of which files are taken over.

    Attributes
    ----------
    folder : Path
    masks : Mapping[int, Path]
        Files of frames that are the same in both.
    """

    folder: Path
    masks: Mapping[int, Path]


@dataclass
class TrackResult:
    """What `track` found. Masks are painted when they are asked for, frame by frame.

    Attributes
    ----------
    tracks : Tracks
        The lineage.
    track : NDArray[np.int64]
        int64 (n,), track of each detection (0: not used).
    candidates, solution
        The problem and its answer.
    confidence : Confidence | None
        The probability of every choice; ``None`` where the search was broken off.
    run : dict[str, Any]
        What ``run.json`` holds.
    earlier : Earlier | None
        An earlier result that this one has much in common with: it is written so much faster.
    """

    tracks: Tracks
    track: NDArray[np.int64]
    candidates: Candidates
    solution: Solution
    run: dict[str, Any]
    table: DetectionTable
    lineage: Lineage
    source: Masks
    confidence: Confidence | None = None
    earlier: Earlier | None = None

    def masks(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Frame number and label image of every frame, with the labels of the tracks."""
        return paint_masks(self.source, self.table, self.lineage)

    def __repr__(self) -> str:
        return (
            f"TrackResult({counted(len(self.tracks), 'track')}, {counted(len(self.tracks.divisions()), 'division')}, "
            f"{self.solution.status}, objective {self.solution.objective / NAT:.6g} nats)"
        )

    def write(self, out: Path | str, *, overwrite: bool = False, graph: bool = True) -> dict[str, Any]:
        """Write the result into a folder, see `write_result`."""
        return write_result(self, Path(out), overwrite=overwrite, graph=graph)

    @property
    def gap(self) -> float:
        """Objective minus bound in nats: 0 for a proven optimum."""
        return self.solution.gap


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 4)


def track(
    masks: Path | str | Masks,
    settings: TrackSettings | None = None,
    *,
    images: Path | str | Masks | None = None,
    pins: Path | str | Sequence[Pin] | None = None,
    saved: Path | None = None,
    progress: Progress = silent,
    **options: Any,
) -> TrackResult:
    """Track labelled cells through a movie, to proven optimality.

    Parameters
    ----------
    masks : path or mapping
        A folder or file of label images, or frame number → integer labels (Y, X) or (Z, Y, X). Labels need not agree
        between frames.
    settings : TrackSettings or None
        How to track; ``None``: the defaults, which are taken from the movie where they can be.
    images : path, mapping or None
        Grey values of the same frames, which sharpen the costs.
    pins : path, sequence of Pin, or None
        Corrections to obey: a file ``pins.csv``, or `celltrail.data.files.pins.Pin`; see `celltrail.data.files.pins`.
    saved : path or None
        A folder for the solved parts of the problem; what it holds already is not solved again.
    progress : callable
        Told how far each stage is.
    **options
        Single settings by name, which win over ``settings``: ``max_gap=2``; see `celltrail.tracking.settings.TrackSettings`.

    Returns
    -------
    TrackResult

    Raises
    ------
    InputError
        If the masks, images or settings cannot be used; an unknown setting is named with the nearest known one.
    """
    settings = choose(settings, options)
    if pins and settings.method != "ilp":
        raise InputError(
            f"Pins are obeyed by the method 'ilp'; '{settings.method}' knows none: leave out one of the two."
        )
    clock = _Clock()
    with clock.stage("open"):
        movie = open_movie(masks, images, settings, pins)
        guessed = are_a_guess(movie.given)
        inputs = {"masks": fingerprint(movie.given) | ({"fits": False} if guessed else {})}
    with open_workers(settings.jobs, settings.dask) as mapper:
        with clock.stage("measure"):
            workers = None if settings.jobs == 1 and settings.dask is None else mapper
            movie, table = measure(movie, settings, mapper=workers, progress=progress)
            _foresee_many(table)
        keeping = mapper if saved is None else remember(mapper, saved)

        def solve(candidates: Candidates) -> Solution:
            first = solve_candidates(candidates, solver=settings.solver, mapper=keeping)
            if first.interrupted:  # no costs may rest on half a solution
                raise KeyboardInterrupt
            return first

        with clock.stage("costs"):
            progress("costs", 0, 1)
            asked = movie.masks if settings.method == "ilp" else None
            prepared = prepare(table, solve, settings, masks=asked, explained=False, mapper=mapper)
            table = prepared.problem.table
            problem, candidates = prepared.problem, apply_pins(prepared.candidates, movie.pins)
            candidates.voxel = movie.voxel
            progress("costs", 1, 1)
        with clock.stage("solve"):
            if settings.method == "ilp":
                solution = solve_candidates(
                    candidates,
                    solver=settings.solver,
                    mapper=keeping,
                    time_limit=settings.time_limit,
                    progress=progress,
                )
            else:
                baseline = choose_greedily if settings.method == "greedy" else choose_by_assignment
                chosen = add_divisions(candidates, baseline(problem.links), cut_off(problem.links))
                solution = as_solution(candidates, *chosen, settings.method)
        calibration = calibration_of(prepared.model)
        with clock.stage("confidence"):
            confidence = None if solution.interrupted else compute_confidence(candidates, calibration.temperature)
        with clock.stage("explain"):  # last: the terms of the costs are many, and the solver needs the memory
            here = map if solution.interrupted else mapper  # workers may still be busy with what was given up
            candidates = apply_pins(prepared.explained(here, progress), movie.pins)
            candidates.voxel = movie.voxel
        require_obedience(candidates, solution, movie.pins)
    with clock.stage("lineage"):
        present = table.depth >= settings.foi if settings.foi else None
        lineage = build_lineage(candidates, solution, fill=settings.paints, present=present)
    config = {
        "images": images is not None,
        **to_config(settings),
        "pins": [str(pin) for pin in movie.pins],
    }
    run = _describe(candidates, solution, lineage, config, clock)
    run["filled_masks"] = list_fills(lineage, problem.links, candidates)
    run["scale"] = {
        "typical_diameter": typical_diameter(table),
        "voxel": movie.voxel,
        "gap_rate": prepared.gap_rate,
        "max_gap": int(problem.links.missed[problem.links.doubt <= COVERED].max(initial=0)),
        "step": table.step,
    }
    run["jumps"] = list_jumps(table)
    _say_jumps(run["jumps"])
    run["costs"] = prepared.model.name
    run["confidence"] = (
        None if confidence is None else summarise(candidates, solution, confidence, calibration, guessed=guessed)
    )
    run["constants"] = {**prepared.constants, "in_words": prepared.in_words}
    run["division_list"] = list_divisions(candidates, solution, lineage.track)
    changed = list_changed(find_changed(movie.masks, table, solution.used), lineage.track)
    repaired = changed.pop("repairs")
    if settings.may_repair or isinstance(movie.masks, LayeredMovie):
        run["repairs"] = as_repairs(getattr(movie.masks, "considered", 0), repaired)
    run |= changed
    files = {"pins": pins, "costs": settings.costs if Path(settings.costs).is_file() else None}
    run["inputs"] = {
        **inputs,
        "images": None if movie.images is None else fingerprint(movie.images),
        **{name: fingerprint_of_file(Path(file)) for name, file in files.items() if isinstance(file, (str, Path))},
    }
    run["notes"] = [*getattr(movie.given, "notes", ()), *getattr(movie.images, "notes", ())]
    run["notes"] += say_unlinked(prepared, candidates, solution, settings, movie.masks)
    return TrackResult(
        tracks=lineage.tracks,
        track=lineage.track,
        candidates=candidates,
        solution=solution,
        run=run,
        table=table,
        lineage=lineage,
        source=movie.masks,
        confidence=confidence,
    )


def _foresee_many(table: DetectionTable) -> None:
    """Say before anything is solved that there will be more tracks than 16 bits can name, where a frame shows it."""
    most = int(np.diff(table.frame_starts()).max(initial=0))
    if most >= 2**16 and not table.joint:
        logger.warning(
            "A frame holds %s cells, more than the 16 bits of CTC masks can name: the masks of the result will have 32.",
            f"{most:,}",
        )


def _say_jumps(jumps: list[dict[str, Any]]) -> None:
    """Say where all cells have moved at once."""
    for jump in jumps:
        if jump["registered"]:
            text = (
                "the stage jumped by %.1f cell diameters: the cells after it were moved back before they were linked."
            )
            logger.warning("Before frame %d " + text, jump["frame"], jump["diameters"])
        else:
            text = (
                "the cells before and after do not fit each other, wherever one moves them: the stage may have jumped"
            )
            logger.warning("At frame %d " + text + " too far. Look at it, or track both parts.", jump["frame"])


def _describe(
    candidates: Candidates, solution: Solution, lineage: Lineage, config: dict[str, Any], clock: _Clock
) -> dict[str, Any]:
    """The content of ``run.json``."""
    frame, chosen = candidates.detections.frame, np.flatnonzero(solution.link_chosen)
    jumps = frame[candidates.links.target[chosen]] - frame[candidates.links.source[chosen]] > candidates.step
    return {
        "schema": SCHEMA,
        **solution.certificate,
        "bound_of": "the whole problem" if config["method"] == "ilp" else OF_BASELINES,
        "solver": solution.solver,
        "components": solution.components,
        "detections": len(frame),
        "used": int(solution.used.sum()),
        "candidate_links": len(candidates.links),
        "candidate_divisions": len(candidates.divisions),
        "links": len(chosen),
        "gap_links": int(jumps.sum()),
        "divisions": int(solution.division_chosen.sum()),
        "divisions_one_outside": int((solution.link_chosen & candidates.links.lone_daughter).sum()),
        "appearances": int(solution.appears.sum()),
        "disappearances": int(solution.disappears.sum()),
        "filled": len(lineage.fills),
        "unfilled_gaps": 0 if len(lineage.fills) else int(jumps.sum()),
        "tracks": len(lineage.tracks),
        "seconds": clock.seconds,
        "peak_memory_mb": peak_memory_mb(),
        "config": config,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def write_result(
    result: TrackResult, out: Path, *, overwrite: bool = False, graph: bool = True, progress: Progress = silent
) -> dict[str, Any]:
    """Write a result as the CTC wants it: ``maskTTT.tif`` and ``res_track.txt``; with ``run.json`` and ``graph.npz``.

    Everything appears at once when it is complete. More than 65,535 tracks do not fit into masks of the CTC: they are
    written with 32 bits, which is said aloud, rather than thrown away.

    Returns
    -------
    dict
        What ``run.json`` holds.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced.
    """
    with output_folder(Path(out), overwrite=overwrite) as folder:
        return write_into(result, folder, graph=graph, progress=progress)


def write_into(result: TrackResult, folder: Path, *, graph: bool = True, progress: Progress = silent) -> dict[str, Any]:
    """Write a result into a folder that `celltrail.data.writing.output.output_folder` gave; otherwise as `write_result`."""
    start = time.perf_counter()
    bits = bits_for(result.tracks)
    if bits > 16:
        logger.warning(
            "%s tracks do not fit into the 16 bits of CTC masks: these are written with 32 bits, which the software "
            "of the CTC does not read. 'celltrail convert' makes GEFF or a table of them; or track parts (--frames).",
            f"{len(result.tracks):,}",
        )
    write_track_file(folder / "res_track.txt", result.tracks, bits=bits)
    numbers = range(result.table.numbers[0], result.table.numbers[-1] + 1, result.table.step)

    same = {} if result.earlier is None else result.earlier.masks
    painted = paint_masks(result.source, result.table, result.lineage, same)

    def counted() -> Iterator[tuple[int, NDArray[np.int64]]]:
        for done, frame in enumerate(painted, start=len(same)):
            progress("write", done, len(numbers))
            yield frame
        progress("write", len(numbers), len(numbers))

    for file in same.values():
        shutil.copyfile(file, folder / file.name)
    write_masks(folder, counted(), digits=digits_for(numbers), bits=bits)
    if graph:
        sure = None if result.confidence is None else result.confidence.arrays()
        like = None if result.earlier is None else result.earlier.folder / GRAPH_FILE
        save_graph(
            folder / GRAPH_FILE, result.candidates, result.solution, track=result.track, confidence=sure, like=like
        )
    seconds = {**result.run["seconds"], "write": round(time.perf_counter() - start, 4)}
    run = {**result.run, "seconds": {**seconds, "total": round(sum(seconds.values()), 4)}}
    (folder / RUN_FILE).write_text(to_json(run) + "\n", encoding="utf-8")
    write_log(folder)
    return run
