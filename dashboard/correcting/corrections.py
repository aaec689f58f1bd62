"""Corrections as pins: what a person says about cells and links, and the solution that honours it.

A pin names cells of the input masks, by frame and label. Solving again takes the candidates and costs
of the result's ``graph.npz``, fixes what the pins say, and proves the optimum of what is left; the new
result is written beside the old one, with its ``pins.csv``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.correcting.rerun import part_of_run, track_again
from celltrail.dashboard.correcting.resolve import solve_touched
from celltrail.dashboard.opening import registry
from celltrail.dashboard.opening.content import Result, open_result
from celltrail.dashboard.opening.registry import opaque_id
from celltrail.data import Candidates, InputError, Solution, load_graph
from celltrail.data.files.containment import inside
from celltrail.data.files.movie import LazyFrames
from celltrail.data.files.pins import Cell, Pin, parse_pin, write_pins
from celltrail.data.graph.candidates import FREE, NAT
from celltrail.data.writing.output import output_folder
from celltrail.data.writing.ownership import lock_path
from celltrail.tracking import TrackResult
from celltrail.tracking.exporting.fills import list_fills
from celltrail.tracking.exporting.lineage import build_lineage
from celltrail.tracking.exporting.masks import relabel
from celltrail.tracking.obedience import require_obedience
from celltrail.tracking.pipeline import write_into
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates


def in_words(pin: Pin) -> str:
    """What a pin says, for people."""
    names = [f"cell {label} of frame {frame}" for frame, label in pin.cells]
    words = {
        ("detection", "keep"): "{0} is a cell",
        ("detection", "forbid"): "{0} is no cell",
        ("link", "keep"): "{0} becomes {1}",
        ("link", "forbid"): "{0} does not become {1}",
        ("division", "keep"): "{0} divides into {1} and {2}",
        ("division", "forbid"): "{0} does not divide into {1} and {2}",
        ("begin", "keep"): "{0} begins here",
        ("end", "keep"): "{0} ends here",
        ("merge", "keep"): "{0} and {1} are one cell",
        ("merge", "forbid"): "{0} and {1} are two cells",
    }
    if pin.kind == "division" and len(pin.cells) == 1:
        return f"{names[0]} does not divide"
    return words[pin.kind, pin.action].format(*names, "another cell")


@dataclass
class Log:
    """The corrections of one result, with what was undone."""

    done: list[Pin] = field(default_factory=list)
    undone: list[Pin] = field(default_factory=list)

    def add(self, pin: Pin) -> None:
        """One more correction; what was undone is forgotten."""
        if pin not in self.done:
            self.done.append(pin)
            self.undone.clear()

    def undo(self) -> None:
        """Take the last correction back."""
        if self.done:
            self.undone.append(self.done.pop())

    def redo(self) -> None:
        """Make the last one that was taken back again."""
        if self.undone:
            self.done.append(self.undone.pop())


@dataclass(frozen=True)
class Graph:
    """The problem behind a result: candidates, solution, and the track of each detection.

    ``fits`` : whether the solution is that of these candidates (not where pins were taken out of them).
    """

    candidates: Candidates
    solution: Solution
    track: NDArray[np.int64]
    fits: bool = True

    def row_of(self, frame: int, track: int) -> int | None:
        """Row of the detection that is this track in this frame; ``None`` where there is none."""
        found = np.flatnonzero((self.track == track) & (self.candidates.detections.frame == frame))
        return int(found[0]) if len(found) and track else None

    def cell(self, row: int) -> Cell:
        """Frame and label in the input masks."""
        table = self.candidates.detections
        return int(table.frame[row]), int(table.label[row])

    def next_rows(self, row: int) -> list[int]:
        """Rows that the solution makes of this detection: one link, or two daughters, or nothing."""
        links, divisions = self.candidates.links, self.candidates.divisions
        follow = links.target[self.solution.link_chosen & (links.source == row)].tolist()
        born = np.flatnonzero(self.solution.division_chosen & (divisions.mother == row)).tolist()
        return [int(one) for one in follow] + [
            int(one) for division in born for one in (divisions.first[division], divisions.second[division])
        ]


def open_graph(result: Result) -> Graph:
    """The problem behind a result.

    Raises
    ------
    InputError
        If the result has no ``graph.npz`` with a solution.
    """
    path = result.layer.folder / "graph.npz"
    candidates, solution, track = load_graph(path)
    if solution is None or track is None:
        raise InputError(f"{path} holds no solution: run 'celltrail track' again.")
    return Graph(candidates, solution, track)


@dataclass(frozen=True)
class Change:
    """A link or division that one of two solutions has and the other has not."""

    what: str
    frame: int
    label: int


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


def solve_again(result: Result, pins: list[Pin]) -> Outcome:
    """Honour the pins, prove the optimum of what is left, and write the new result beside the old one.

    Raises
    ------
    InputError
        If pins contradict each other (before anything is solved), or the result cannot be written.
    """
    start = time.perf_counter()
    graph = open_graph(result)
    origin, problem = _origin(result, graph)
    merges = any(pin.kind == "merge" for pin in pins)
    corrected = (_track_again if merges else _solve_pinned)(origin, problem, pins)
    solution = corrected.solution
    corrected.run["corrections"] = {
        "of": result.layer.folder.name,
        "base": origin.layer.folder.name,
        "pins": len(pins),
        "objective_before": graph.solution.objective / NAT,
    }
    with new_folder(result.layer.folder) as (out, folder):
        write_into(corrected, folder)
        write_pins(folder / "pins.csv", pins)
    changes = compare_solutions(graph, corrected.candidates, solution)
    before, after = graph.solution.objective / NAT, solution.objective / NAT
    return Outcome(
        out=out,
        before=before,
        after=after,
        status=solution.status,
        changes=changes,
        seconds=time.perf_counter() - start,
        measured_anew=merges,
    )


def _solve_pinned(origin: Result, problem: Graph, pins: list[Pin]) -> TrackResult:
    """The same candidates and costs, with the pins fixed."""
    start = time.perf_counter()
    pinned = apply_pins(problem.candidates, pins)
    table = problem.candidates.detections
    named = np.array([[*cell] for pin in pins for cell in pin.cells], dtype=np.int64).reshape(-1, 2)
    cells = np.flatnonzero(np.isin(_key(table.frame, table.label), _key(named[:, 0], named[:, 1])))
    if problem.fits:
        solution = solve_touched(problem.candidates, problem.solution, pinned, cells)
    else:
        solution = solve_candidates(pinned)
    require_obedience(pinned, solution, pins)
    outside = problem.solution.used & (problem.track == 0)  # of the field of interest of the run
    unseen = np.flatnonzero(solution.used & (problem.track == 0) & ~outside)
    if len(unseen):
        frame, label = problem.cell(int(unseen[0]))
        raise InputError(
            f"Cell {label} of frame {frame} is used now, but {origin.layer.name} holds no mask of it: "
            "track the masks again with these pins."
        )
    run = dict(origin.run or {})
    fill = part_of_run(origin, "config").get("fill") != "never"
    lineage = build_lineage(pinned, solution, fill=fill, present=~outside)
    run |= {
        **solution.certificate,
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
    }
    painted = _table_of(origin, problem, lineage.fills)
    return TrackResult(
        tracks=lineage.tracks,
        track=lineage.track,
        candidates=pinned,
        solution=solution,
        run=run,
        table=painted,
        lineage=lineage,
        source=origin.labels,
    )


def _key(frame: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for frame and label."""
    return frame * 2**40 + label


def _track_again(origin: Result, problem: Graph, pins: list[Pin]) -> TrackResult:
    """Merged cells have another shape: everything is measured anew, as in the first run, whose own pins stay in force."""
    movie = registry.movie_of(origin.layer)
    known = part_of_run(origin, "config").get("pins") or [] if problem.fits else []
    shown = {problem.cell(int(row)) for row in np.flatnonzero(problem.track)}
    own = [pin for pin in map(parse_pin, known) if pin.kind != "merge" and shown.issuperset(pin.cells)]
    wanted = list(dict.fromkeys([*own, *pins]))
    return track_again(origin, InputMasks(origin, problem), wanted, None if movie is None else movie.images)


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


def _origin(result: Result, graph: Graph) -> tuple[Result, Graph]:
    """The result from which a corrected one was first made, and its problem; where it is gone, this one, unpinned.

    Pins that an uncorrected result was made with stay in force.
    """
    made = (result.run or {}).get("corrections")
    name = Path(str(made.get("base", ""))).name if isinstance(made, dict) else ""
    folder = result.layer.folder.parent / name
    if name and (folder / "graph.npz").is_file():
        base = open_result(
            replace(result.layer, id=opaque_id(folder), name=name, folder=inside(result.layer.root, folder))
        )
        return base, open_graph(base)
    if not isinstance(made, dict):
        return result, graph
    parts = {
        name: replace(getattr(graph.candidates, name), fixed=np.full(len(getattr(graph.candidates, name)), FREE))
        for name in ("detections", "links", "divisions")
    }
    return result, replace(graph, candidates=replace(graph.candidates, **parts), fits=False)


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


@contextmanager
def new_folder(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The first name that nobody has or is about to write, and the folder to work in until it is whole.

    Names are ``01_RES_corrected``, ``01_RES_corrected2`` …: of two people who press the button at once, each has one.
    """
    stem = folder.name.partition("_corrected")[0] + "_corrected"
    with ExitStack() as writing:
        for number in ["", *range(2, 1000)]:
            out = folder.with_name(f"{stem}{number}")
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
        raise InputError(f"{folder.parent} holds a thousand corrected results: remove some.")


def compare_solutions(graph: Graph, candidates: Candidates, solution: Solution) -> list[Change]:
    """Links and divisions that were added or removed, in order of frames."""
    old, new = _choices(graph.candidates, graph.solution), _choices(candidates, solution)
    found = []
    for word, choices in (("added", new - old), ("removed", old - new)):
        for (frame, label), *others in choices:
            kind = "link" if len(others) == 1 else "division"
            names = " and ".join(f"cell {name} of frame {when}" for when, name in others)
            found.append(Change(f"{kind} {word}: cell {label} → {names}", frame, label))
    return sorted(found, key=lambda change: (change.frame, change.what))


def _choices(candidates: Candidates, solution: Solution) -> set[tuple[Cell, ...]]:
    """The links and divisions of a solution, by frame and label of their cells."""
    cells = list(zip(candidates.detections.frame.tolist(), candidates.detections.label.tolist(), strict=True))
    links, divisions = candidates.links, candidates.divisions
    tables = [
        ((links.source, links.target), solution.link_chosen),
        ((divisions.mother, divisions.first, divisions.second), solution.division_chosen),
    ]
    return {
        tuple(cells[row] for row in rows)
        for columns, chosen in tables
        for rows in zip(*(column[chosen].tolist() for column in columns), strict=True)
    }
