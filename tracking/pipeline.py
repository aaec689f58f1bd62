"""The main job: masks in, tracks out, with everything that is needed to trust or repeat it."""

from __future__ import annotations

import hashlib
import math
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.ctc import digits_for, write_masks, write_track_file
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.output import output_folder
from celltrail.data.files.pins import Pin, read_pins
from celltrail.data.files.steps import find_step
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import NAT, Candidates, Solution, save_graph
from celltrail.data.progress import Progress, silent
from celltrail.data.running.json_text import to_json
from celltrail.data.running.log_file import logger, write_log
from celltrail.data.running.workers import open_workers
from celltrail.tracking.baselines import add_divisions, as_solution, choose_by_assignment, choose_greedily, cut_off
from celltrail.tracking.candidates.gaps import COVERED
from celltrail.tracking.candidates.links import typical_diameter
from celltrail.tracking.explain import list_divisions
from celltrail.tracking.exporting.fills import list_fills
from celltrail.tracking.exporting.lineage import Lineage, build_lineage
from celltrail.tracking.exporting.masks import paint_masks
from celltrail.tracking.measuring.hypotheses import HypothesisMovie
from celltrail.tracking.measuring.table import DetectionTable, check_voxel, dimensions_of, measure_movie
from celltrail.tracking.obedience import require_obedience
from celltrail.tracking.preparation import DEFAULT_COSTS, LONGEST_GAP, prepare
from celltrail.tracking.repair import RepairableMovie, find_repairs, list_repairs
from celltrail.tracking.saved import remember
from celltrail.tracking.solving.pinned import MergedMasks, apply_pins
from celltrail.tracking.solving.solver import solve_candidates

Masks = Mapping[int, NDArray[Any]]
Voxel = tuple[float, float, float]
METHODS = ("ilp", "lap", "greedy")
FILL = ("auto", "always", "never")
SCHEMA = "celltrail.run/1"
LIBRARIES = ("celltrail", "numpy", "scipy", "highspy", "pulp", "tifffile")


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
    run : dict[str, Any]
        What ``run.json`` holds.
    """

    tracks: Tracks
    track: NDArray[np.int64]
    candidates: Candidates
    solution: Solution
    run: dict[str, Any]
    table: DetectionTable
    lineage: Lineage
    source: Masks

    def masks(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Frame number and label image of every frame, with the labels of the tracks."""
        return paint_masks(self.source, self.table, self.lineage)

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
    *,
    images: Path | str | Masks | None = None,
    method: Literal["ilp", "lap", "greedy"] = "ilp",
    costs: str = DEFAULT_COSTS,
    solver: str = "highs",
    max_gap: int | None = None,
    fill: Literal["auto", "always", "never"] = "auto",
    allow_drop: bool = False,
    appear: float | None = None,
    border: float | None = None,
    gap_cost: float | None = None,
    late: float | None = None,
    hypotheses: bool = False,
    repair: bool = False,
    pins: Path | str | Sequence[Pin] | None = None,
    foi: int = 0,
    voxel: tuple[float, ...] | None = None,
    frames: range | None = None,
    step: int | None = None,
    channel: int | None = None,
    axes: str | None = None,
    image_axes: str | None = None,
    jobs: int = 1,
    dask: str | None = None,
    time_limit: float | None = None,
    saved: Path | None = None,
    progress: Progress = silent,
) -> TrackResult:
    """Track labelled cells through a movie, to proven optimality.

    Parameters
    ----------
    masks : Path | str | Masks
        A folder or file of label images, or frame number → integer labels (Y, X) or (Z, Y, X). Labels need not
        agree between frames.
    images : Path | str | Masks | None
        Grey values of the same frames, which sharpen the costs; optional.
    method : Literal['ilp', 'lap', 'greedy']
        ``"ilp"`` (optimal), or the baselines ``"lap"`` and ``"greedy"``.
    costs : str
        Cost model: ``"learned"``, ``"calibrated"``, ``"mixed"``, or a file of ``celltrail fit``.
    solver : str
        Backend, ``"highs"`` or ``"pulp:NAME"``.
    max_gap : int | None
        Links may jump up to so many frames of the movie (at most 100) in which the cell was not seen, where there is
        evidence that it went unseen; ``None``: 4.
    fill : Literal['auto', 'always', 'never']
        Paint the masks that were missing: ``"always"`` or ``"auto"`` (wherever a link jumps frames), or ``"never"``.
    allow_drop : bool
        Small detections without a likely past or future may be left out; otherwise all are kept.
    appear, border, gap_cost, late : float | None
        Constants of the costs in nats, see `celltrail.tracking.costs.pricing.Constants` (``gap_cost`` is its
        ``gap``); ``None``: its defaults.
    hypotheses : bool
        Choose among the overlapping hypotheses beside the masks (``segment --hypotheses``).
    repair : bool
        Masks that hold two cells for a few frames may be split, and pieces of one cell joined
        (`celltrail.tracking.repair`).
    pins : Path | str | Sequence[Pin] | None
        Corrections to obey: a file ``pins.csv``, or `celltrail.data.files.pins.Pin`; see
        `celltrail.data.files.pins`.
    foi : int
        Field of interest: cells with no pixel further than this from the side of the image are removed.
    voxel : tuple[float, ...] | None
        Size (z, y, x) or (y, x) in µm; ``None``: from the files, else cubes.
    frames : range | None
        Which frames; of masks and images.
    step : int | None
        By how much the numbers of consecutive frames differ; ``None``: what is common to them (0, 5, 10 …: 5). Gaps are
        counted in steps.
    axes : str | None
        The axes of the masks.
    channel, image_axes
        The channel and the axes of the images; see `celltrail.data.files.opening.open_frames`.
    jobs, dask
        Processes, or the address of a Dask scheduler (`celltrail.data.running.workers.open_workers`); the result
        does not depend on them.
    time_limit : float | None
        Seconds for the solver; then the best solution so far is taken, with its gap. So does Ctrl-C.
    saved : Path | None
        A folder for the solved parts of the problem; what it holds already is not solved again.

    Returns
    -------
    TrackResult

    Raises
    ------
    InputError
        If the masks, images or settings cannot be used.
    """
    _check_settings(method, fill, max_gap, foi, time_limit)
    if repair and (hypotheses or method != "ilp"):
        raise InputError(
            "Masks are repaired by the method 'ilp', and hypotheses hold such repairs already: "
            "leave out --repair, or the other option."
        )
    if pins and method != "ilp":
        raise InputError(f"Pins are obeyed by the method 'ilp'; '{method}' knows none: leave out one of the two.")
    constants = {"appear": appear, "border": border, "gap": gap_cost, "late": late}
    clock, given_step = _Clock(), step
    with clock.stage("open"):
        labels = masks if isinstance(masks, Mapping) else open_labels(Path(masks), frames=frames, axes=axes)
        step = _say_step(labels, step)
        ndim = dimensions_of(labels)
        pin_list = read_pins(Path(pins)) if isinstance(pins, (str, Path)) else list(pins or ())
        inputs = {"masks": _fingerprint(labels)}
        if hypotheses:
            if not isinstance(labels, Frames) or pin_list:
                raise InputError("Hypotheses need a folder made by 'celltrail segment --hypotheses', and no pins.")
            labels = HypothesisMovie(labels)
        if any(pin.kind == "merge" for pin in pin_list):
            labels = MergedMasks(labels, pin_list)
            raise_if(labels.missing())
        grey = _open_images(images, labels, channel, image_axes)
        size = check_voxel(voxel, ndim) or getattr(labels, "voxel", None) or getattr(grey, "voxel", None)
    with open_workers(jobs, dask) as mapper:
        with clock.stage("measure"), _naming(labels):
            apart = None if jobs == 1 and dask is None else mapper
            table = measure_movie(labels, grey, voxel=size, step=step, mapper=apart, progress=progress)
            if repair and (repairs := find_repairs(labels, table)):
                labels = RepairableMovie(labels, repairs)
                table = measure_movie(labels, grey, voxel=size, step=step, mapper=apart, progress=progress)

        keeping = mapper if saved is None else remember(mapper, saved)

        def solve(candidates: Candidates) -> Solution:
            first = solve_candidates(candidates, solver=solver, mapper=keeping)
            if first.interrupted:  # no costs may rest on half a solution
                raise KeyboardInterrupt
            return first

        with clock.stage("costs"):
            progress("costs", 0, 1)
            prepared = prepare(
                table,
                solve,
                costs=costs,
                max_gap=max_gap,
                allow_drop=allow_drop,
                constants=constants,
                masks=labels if method == "ilp" else None,
                explained=False,
                mapper=mapper,
            )
            table = prepared.problem.table
            problem, candidates = prepared.problem, apply_pins(prepared.candidates, pin_list)
            candidates.voxel = size
            progress("costs", 1, 1)
        with clock.stage("solve"):
            if method == "ilp":
                solution = solve_candidates(
                    candidates, solver=solver, mapper=keeping, time_limit=time_limit, progress=progress
                )
            else:
                chosen = (choose_greedily if method == "greedy" else choose_by_assignment)(problem.links)
                solution = as_solution(candidates, *add_divisions(candidates, chosen, cut_off(problem.links)), method)
        with clock.stage("explain"):  # last: the terms of the costs are many, and the solver needs the memory
            here = map if solution.interrupted else mapper  # workers may still be busy with what was given up
            candidates = apply_pins(prepared.explained(here, progress), pin_list)
            candidates.voxel = size
        require_obedience(candidates, solution, pin_list)
    with clock.stage("lineage"):
        present = table.depth >= foi if foi else None
        lineage = build_lineage(candidates, solution, fill=fill != "never", present=present)
    config = {
        "method": method,
        "costs": costs,
        "solver": solver,
        "max_gap": max_gap,
        "fill": fill,
        "foi": foi,
        "voxel": voxel,
        "frames": None if frames is None else f"{frames.start}:{frames.stop - 1}",
        "step": given_step,
        "channel": channel,
        "axes": axes,
        "image_axes": image_axes,
        "time_limit": time_limit,
        "images": images is not None,
        "allow_drop": allow_drop,
        "appear": appear,
        "border": border,
        "gap_cost": gap_cost,
        "late": late,
        "hypotheses": hypotheses,
        "repair": repair,
        "pins": [str(pin) for pin in pin_list],
    }
    run = _describe(candidates, solution, lineage, config, clock)
    run["filled_masks"] = list_fills(lineage, problem.links, candidates)
    run["scale"] = {
        "typical_diameter": typical_diameter(table),
        "voxel": size,
        "gap_rate": prepared.gap_rate,
        "max_gap": int(problem.links.missed[problem.links.doubt <= COVERED].max(initial=0)),
        "step": step,
    }
    run["costs"] = prepared.model.name
    run["constants"] = {**prepared.constants, "in_words": prepared.in_words}
    run["division_list"] = list_divisions(candidates, solution, lineage.track)
    if repair:
        run["repairs"] = list_repairs(labels, table, lineage.track)
    files = {"pins": pins, "costs": costs if Path(costs).is_file() else None}
    run["inputs"] = {
        **inputs,
        "images": None if grey is None else _fingerprint(grey),
        **{name: _fingerprint_file(Path(file)) for name, file in files.items() if isinstance(file, (str, Path))},
    }
    return TrackResult(lineage.tracks, lineage.track, candidates, solution, run, table, lineage, labels)


def _check_settings(method: str, fill: str, max_gap: int | None, foi: int, time_limit: float | None) -> None:
    for name, value, allowed in (("method", method, METHODS), ("fill", fill, FILL)):
        if value not in allowed:
            raise InputError(f"'{value}' is not a choice for {name}: choose one of {', '.join(allowed)}.")
    if max_gap is not None and not 0 <= max_gap <= LONGEST_GAP:
        raise InputError(f"The longest gap is {max_gap} frames: give 0 to {LONGEST_GAP}.")
    if time_limit is not None and not 0 <= time_limit < math.inf:
        raise InputError(f"The time limit is {time_limit} seconds: give a number from 0 on, or none.")
    if foi < 0:
        raise InputError(f"The field of interest is {foi} pixels: give 0 or more.")


def _say_step(labels: Masks, step: int | None) -> int:
    """The step of the frame numbers; said aloud where it was not given and is not 1."""
    with _naming(labels):
        found = find_step(sorted(labels), step)
    if step is None and found > 1:
        logger.warning(
            "The frame numbers lie %d apart: that is taken for one step, and gaps are counted in steps (--step 1 counts "
            "the numbers in between as missing frames).",
            found,
        )
    return found


@contextmanager
def _naming(labels: Masks) -> Iterator[None]:
    """Say of every problem with the masks which folder or file they came from."""
    try:
        yield
    except InputError as error:
        path = getattr(labels, "path", None)
        if path is None:
            raise
        raise InputError(*(text if str(path) in text else f"{path}: {text}" for text in error.problems)) from None


def _open_images(
    images: Path | str | Masks | None, labels: Masks, channel: int | None, axes: str | None
) -> Masks | None:
    """The images of the frames that have masks."""
    if images is None or isinstance(images, Mapping):
        return images
    numbers = sorted(labels)
    return open_images(Path(images), channel=channel, axes=axes, frames=range(numbers[0], numbers[-1] + 1))


def _fingerprint(movie: Masks) -> dict[str, Any]:
    """Where frames came from, and one hash over names and bytes of all files."""
    if not isinstance(movie, Frames):
        return {"path": None, "frames": len(movie)}
    digest = hashlib.sha256()
    for path in movie.files:
        digest.update(path.name.encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"path": str(movie.path), "frames": len(movie), "files": len(movie.files), "sha256": digest.hexdigest()}


def _fingerprint_file(path: Path) -> dict[str, Any]:
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def peak_memory_mb() -> float | None:
    """Largest memory of this process so far in MB; ``None`` where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _describe(
    candidates: Candidates, solution: Solution, lineage: Lineage, config: dict[str, Any], clock: _Clock
) -> dict[str, Any]:
    """The content of ``run.json``."""
    frame, chosen = candidates.detections.frame, np.flatnonzero(solution.link_chosen)
    jumps = frame[candidates.links.target[chosen]] - frame[candidates.links.source[chosen]] > candidates.step
    return {
        "schema": SCHEMA,
        "status": solution.status,
        "objective": solution.objective / NAT,
        "bound": solution.bound / NAT,
        "gap": solution.gap,
        "relative_gap": solution.relative_gap,
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

    Everything appears at once when it is complete.

    Returns
    -------
    dict
        What ``run.json`` holds.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, or there are more tracks than 16 bits can name.
    """
    start = time.perf_counter()
    with output_folder(Path(out), overwrite=overwrite) as folder:
        write_track_file(folder / "res_track.txt", result.tracks)
        numbers = range(result.table.numbers[0], result.table.numbers[-1] + 1, result.table.step)

        def counted() -> Iterator[tuple[int, NDArray[np.int64]]]:
            for done, frame in enumerate(result.masks()):
                progress("write", done, len(numbers))
                yield frame
            progress("write", len(numbers), len(numbers))

        write_masks(folder, counted(), digits=digits_for(numbers))
        if graph:
            save_graph(folder / "graph.npz", result.candidates, result.solution, track=result.track)
        seconds = {**result.run["seconds"], "write": round(time.perf_counter() - start, 4)}
        run = {**result.run, "seconds": {**seconds, "total": round(sum(seconds.values()), 4)}}
        (folder / "run.json").write_text(to_json(run) + "\n", encoding="utf-8")
        write_log(folder)
    return run
