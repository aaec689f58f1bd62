"""Corrections as pins: what a person says about cells and links, and the result that honours it.

A pin names cells of the input masks, by frame and label. Solving again takes the candidates and costs
of the result's ``graph.npz``, fixes what the pins say, and proves the optimum of what is left; the new
result is written beside the old one, with its ``pins.csv`` and their history.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.correcting.answers import answer
from celltrail.dashboard.correcting.graph import Graph, open_graph, origin_of
from celltrail.dashboard.correcting.history import HISTORY, Entry, format_history, now
from celltrail.dashboard.correcting.numbering import keep_numbers
from celltrail.dashboard.correcting.rerun import part_of_run, track_again
from celltrail.dashboard.correcting.resolve import confidence_with
from celltrail.dashboard.correcting.words import Change, compare_solutions
from celltrail.dashboard.opening import registry
from celltrail.dashboard.opening.content import Result
from celltrail.data import Candidates, InputError
from celltrail.data.files.ctc import bits_for
from celltrail.data.files.movie import LazyFrames
from celltrail.data.files.pins import Cell, Pin, parse_pin, write_pins
from celltrail.data.graph.candidates import NAT
from celltrail.data.graph.confidence import read_confidence
from celltrail.data.types import IntArray
from celltrail.data.writing.output import output_folder
from celltrail.data.writing.ownership import lock_path
from celltrail.tracking import TrackResult
from celltrail.tracking.became import told_again
from celltrail.tracking.confidence.summary import summarise
from celltrail.tracking.costs.learned import calibration_of
from celltrail.tracking.exporting.fills import list_fills
from celltrail.tracking.exporting.lineage import Lineage, build_lineage
from celltrail.tracking.measuring.pixels import relabel
from celltrail.tracking.pipeline import Earlier, write_into
from celltrail.tracking.repeat import settings_of_run
from celltrail.tracking.solving.pinned import merged_names, of_merged

AS_SHOWN = "the problem in which masks are read as in the result that was corrected"  # others have no pixels in it


@dataclass(frozen=True)
class Outcome:
    """What solving again brought: objectives in nats, status, what changed, seconds, and where it was written."""

    out: Path
    before: float
    after: float
    status: str
    changes: list[Change]
    seconds: float
    measured_anew: bool


def solve_again(result: Result, pins: list[Pin], history: Sequence[Entry] | None = None) -> Outcome:
    """Honour the pins, prove the optimum of what is left, and write the new result beside the old one.

    Parameters
    ----------
    result : Result
        The result that is shown; the one that it was first made from is solved.
    pins : list of Pin
        All corrections.
    history : sequence of Entry or None
        When they were made; ``None``: just now.

    Raises
    ------
    InputError
        If pins contradict each other (before anything is solved), or the result cannot be written.
    """
    start = time.perf_counter()
    graph = open_graph(result)
    origin, problem = origin_of(result)
    merges = any(pin.merges for pin in pins)
    if merges:
        corrected = _track_again(origin, problem, pins)
    else:
        corrected = _solve_pinned(result, graph, origin, problem, pins)
    corrected.run["corrections"] = {
        "of": result.layer.folder.name,
        "base": origin.layer.folder.name,
        "pins": len(pins),
        "objective_before": graph.solution.objective / NAT,
    }
    if history is None:
        history = [Entry(now(), "added", pin) for pin in pins]
    with new_folder(result.layer.folder) as (out, folder):
        write_into(corrected, folder)
        write_pins(folder / "pins.csv", pins)
        (folder / HISTORY).write_text(format_history(history), encoding="utf-8", newline="")
    return Outcome(
        out=out,
        before=graph.solution.objective / NAT,
        after=corrected.solution.objective / NAT,
        status=corrected.solution.status,
        changes=compare_solutions(graph, corrected.candidates, corrected.solution, corrected.track),
        seconds=time.perf_counter() - start,
        measured_anew=merges,
    )


def _solve_pinned(shown: Result, graph: Graph, origin: Result, problem: Graph, pins: list[Pin]) -> TrackResult:
    """The same candidates and costs, with the pins fixed; tracks keep the numbers that they have in what is shown."""
    start = time.perf_counter()
    found = answer(problem, pins)
    pinned, solution = found.candidates, found.solution
    outside = problem.solution.used & (problem.track == 0)  # of the field of interest of the run
    unseen = np.flatnonzero(solution.used & (problem.track == 0) & ~outside)
    if len(unseen):
        frame, label = problem.cell(int(unseen[0]))
        raise InputError(
            f"Cell {label} of frame {frame} is used now, but {origin.layer.name} holds no mask of it: "
            "track the masks again with these pins."
        )
    paints = settings_of_run({"config": part_of_run(origin, "config")}).paints
    lineage = build_lineage(pinned, solution, fill=paints, present=~outside)
    same_cells = len(graph.track) == len(lineage.track)
    lineage = keep_numbers(lineage, graph.track if same_cells else problem.track)
    run = dict(origin.run or {})
    run |= {
        **solution.certificate,
        **({} if problem.solution.used.all() else {"bound_of": AS_SHOWN}),
        "solver": solution.solver,
        "components": solution.components,
        "used": int(solution.used.sum()),
        "links": int(solution.link_chosen.sum()),
        "divisions": int(solution.division_chosen.sum()),
        "appearances": int(solution.appears.sum()),
        "disappearances": int(solution.disappears.sum()),
        "filled": len(lineage.fills),
        "filled_masks": list_fills(lineage, None, pinned),
        "tracks": len(lineage.tracks),
        "seconds": {"solve": round(time.perf_counter() - start, 4)},
        **told_again(run, problem.candidates, problem.track, _track_of(pinned, lineage.track)),
    }
    sure = read_confidence(origin.layer.folder / "graph.npz") if problem.fits else None
    if sure is not None:
        cells = [row for pin in pins for cell in pin.cells if (row := problem.row(cell)) is not None]
        sure = confidence_with(problem.candidates, problem.solution, sure, pinned, np.array(cells, dtype=np.int64))
        calibration = replace(calibration_of(None), temperature=sure.temperature)
        masks = part_of_run(origin, "inputs").get("masks")
        guessed = isinstance(masks, dict) and masks.get("fits") is False
        run["confidence"] = summarise(pinned, solution, sure, calibration, guessed=guessed)
    return TrackResult(
        tracks=lineage.tracks,
        track=lineage.track,
        candidates=pinned,
        solution=solution,
        run=run,
        table=_table_of(origin, problem, lineage.fills),
        lineage=lineage,
        source=origin.labels,
        confidence=sure,
        earlier=_what_stays(shown, graph, lineage) if same_cells else None,
    )


def _track_of(candidates: Candidates, track: IntArray) -> dict[Cell, int]:
    """(frame, label) of the detections → track."""
    d = candidates.detections
    return dict(zip(zip(d.frame.tolist(), d.label.tolist(), strict=True), track.tolist(), strict=True))


def _what_stays(shown: Result, graph: Graph, lineage: Lineage) -> Earlier:
    """The frames in which every cell keeps its number, and nothing is or was painted."""
    known = (shown.run or {}).get("filled_masks")
    frame = graph.candidates.detections.frame
    changed = set(frame[lineage.track != graph.track].tolist()) | set(lineage.fills[:, 1].tolist())
    if isinstance(known, list) and bits_for(lineage.tracks) == bits_for(shown.tracks):
        changed |= {int(entry["frame"]) for entry in known}
        files = dict(zip(shown.labels.numbers, shown.labels.files, strict=False))
        one_each = len(shown.labels.files) == len(shown.labels.numbers)
    else:
        one_each = False
    masks: Mapping[int, Path] = {n: file for n, file in files.items() if n not in changed} if one_each else {}
    return Earlier(shown.layer.folder, masks)


def _track_again(origin: Result, problem: Graph, pins: list[Pin]) -> TrackResult:
    """Merged cells have another shape: everything is measured anew, as in the first run, whose own pins stay in force."""
    movie = registry.movie_of(origin.layer)
    known = part_of_run(origin, "config").get("pins") or [] if problem.fits else []
    shown = {problem.cell(int(row)) for row in np.flatnonzero(problem.track)}
    own = [pin for pin in of_merged([*map(parse_pin, known)]) if pin.kind != "merge" and shown.issuperset(pin.cells)]
    wanted = list(dict.fromkeys([*own, *pins]))
    found = track_again(origin, InputMasks(origin, problem), wanted, None if movie is None else movie.images)
    after = _track_of(found.candidates, found.track)
    after |= {(frame, label): after.get((frame, name), 0) for (frame, label), name in merged_names(wanted).items()}
    found.run |= told_again(origin.run or {}, problem.candidates, problem.track, after)
    return found


class InputMasks(LazyFrames):
    """The masks that a result was made from, with their own labels again; filled and dropped cells are left out."""

    def __init__(self, result: Result, graph: Graph) -> None:
        super().__init__(result.labels)
        self.masks, self.graph = result.labels, graph
        self.voxel = graph.candidates.voxel

    def __getitem__(self, frame: int) -> NDArray[Any]:
        table = self.graph.candidates.detections
        rows = (table.frame == frame) & (self.graph.track > 0)
        return relabel(self.masks[frame], self.graph.track[rows], table.label[rows])


def _table_of(result: Result, graph: Graph, fills: NDArray[np.int64]) -> Any:
    """What painting needs to know about the detections, whose masks carry the labels of the old tracks."""
    detections = graph.candidates.detections
    box = np.zeros((len(detections), 6), dtype=np.int64)
    ndim = len(result.labels.shape)
    for row in np.unique(fills[:, 2:]).tolist():
        places = np.argwhere(result.labels[int(detections.frame[row])] == graph.track[row])
        low, high = places.min(axis=0), places.max(axis=0) + 1
        box[row] = np.concatenate([np.pad(low, (3 - ndim, 0)), np.pad(high, (3 - ndim, 0), constant_values=1)])
    return SimpleNamespace(
        numbers=result.labels.numbers,
        frame=detections.frame,
        label=graph.track,
        position=detections.position,
        box=box,
        shape=result.labels.shape,
        step=graph.candidates.step,
        ndim=ndim,
    )


def new_folder(folder: Path) -> AbstractContextManager[tuple[Path, Path]]:
    """Where the corrected result of ``01_RES`` goes: ``01_RES_corrected``, ``01_RES_corrected2`` …"""
    return free_folder(folder.with_name(folder.name.partition("_corrected")[0] + "_corrected"))


@contextmanager
def free_folder(stem: Path) -> Iterator[tuple[Path, Path]]:
    """The first name that nobody has or is about to write, and the folder to work in until it is whole.

    Of two people who press the button at once, each has one.
    """
    with ExitStack() as writing:
        for number in ["", *range(2, 1000)]:
            out = stem.with_name(f"{stem.name}{number}")
            if out.exists():
                continue
            try:
                work = writing.enter_context(output_folder(out))
            except InputError:
                if out.exists() or lock_path(out).exists():  # somebody was faster
                    continue
                raise
            yield out, work
            return
        raise InputError(f"{stem.parent} holds a thousand results like {stem.name}: remove some.")
