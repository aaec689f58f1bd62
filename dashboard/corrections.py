"""Corrections as pins: what a person says about cells and links, and the solution that honours it.

A pin names cells of the input masks, by frame and label. Solving again takes the candidates and costs
of the result's ``graph.npz``, fixes what the pins say, and proves the optimum of what is left; the new
result is written beside the old one, with its ``pins.csv``.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dashboard.content import Result, open_result
from dashboard.registry import inside, opaque_id
from data import Candidates, InputError, Solution, load_graph
from data.graph import FORBIDDEN, FREE, KEPT, NAT, Divisions, Links
from data.output import output_file
from tracking import TrackResult, write_result
from tracking.lineage import build_lineage
from tracking.solver import solve_candidates

HEADER = ("kind", "action", "frame", "label", "frame2", "label2", "frame3", "label3")
Kind = Literal["detection", "link", "division"]
Action = Literal["keep", "forbid"]
Cell = tuple[int, int]  # frame, label in the input masks


@dataclass(frozen=True)
class Pin:
    """One correction: a cell, a link (earlier, later) or a division (mother, two daughters) to keep or to forbid."""

    kind: Kind
    action: Action
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        names = [f"cell {label} of frame {frame}" for frame, label in self.cells]
        match self.kind, self.action:
            case "detection", "forbid":
                return f"{names[0]} is no cell"
            case "detection", _:
                return f"{names[0]} is a cell"
            case "link", "keep":
                return f"{names[0]} becomes {names[1]}"
            case "link", _:
                return f"{names[0]} does not become {names[1]}"
            case _, "keep":
                return f"{names[0]} divides into {names[1]} and {names[2]}"
        return f"{names[0]} does not divide into {names[1]} and {names[2]}"


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
    """The problem behind a result: candidates, solution, and the track of each detection."""

    candidates: Candidates
    solution: Solution
    track: NDArray[np.int64]

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


def pin_candidates(candidates: Candidates, pins: list[Pin]) -> Candidates:
    """Candidates with the pins in their ``fixed`` columns; a pair or triplet that is no candidate is added at cost 0.

    Raises
    ------
    InputError
        With every pin that names an unknown cell or contradicts another pin.
    """
    table = candidates.detections
    row_of = {cell: row for row, cell in enumerate(zip(table.frame.tolist(), table.label.tolist(), strict=True))}
    problems = [
        f"There is no cell {label} in frame {frame}: take back the correction '{pin}'."
        for pin in pins
        for frame, label in pin.cells
        if (frame, label) not in row_of
    ]
    said: dict[tuple[str, tuple[Cell, ...]], Pin] = {}
    for pin in pins:
        other = said.setdefault((pin.kind, pin.cells), pin)
        if other.action != pin.action:
            problems.append(f"'{other}' and '{pin}' contradict each other: take one of them back.")
    if problems:
        raise InputError(*problems)
    fixed = table.fixed.copy()
    links, divisions = candidates.links, candidates.divisions
    for pin in pins:
        rows = [row_of[cell] for cell in pin.cells]
        value = KEPT if pin.action == "keep" else FORBIDDEN
        if pin.kind == "detection":
            fixed[rows[0]] = value
        elif pin.kind == "link":
            links = _fix_link(links, rows[0], rows[1], value)
        else:
            divisions = _fix_division(divisions, rows[0], sorted(rows[1:]), value)
    return replace(candidates, detections=replace(table, fixed=fixed), links=links, divisions=divisions)


def _fix_link(links: Links, source: int, target: int, value: int) -> Links:
    found = np.flatnonzero((links.source == source) & (links.target == target))
    if len(found):
        fixed = links.fixed.copy()
        fixed[found] = value
        return replace(links, fixed=fixed)
    return Links(
        np.append(links.source, source), np.append(links.target, target), np.append(links.cost, 0),
        np.append(links.fixed, value), {name: np.append(term, 0.0) for name, term in links.terms.items()},
    )  # fmt: skip


def _fix_division(divisions: Divisions, mother: int, pair: list[int], value: int) -> Divisions:
    found = np.flatnonzero((divisions.mother == mother) & (divisions.first == pair[0]) & (divisions.second == pair[1]))
    if len(found):
        fixed = divisions.fixed.copy()
        fixed[found] = value
        return replace(divisions, fixed=fixed)
    return Divisions(
        np.append(divisions.mother, mother), np.append(divisions.first, pair[0]), np.append(divisions.second, pair[1]),
        np.append(divisions.cost, 0), np.append(divisions.fixed, value),
        {name: np.append(term, 0.0) for name, term in divisions.terms.items()},
    )  # fmt: skip


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
    pinned = pin_candidates(problem.candidates, pins)
    solution = solve_candidates(pinned)
    unseen = np.flatnonzero(solution.used & (problem.track == 0))
    if len(unseen):
        frame, label = graph.cell(int(unseen[0]))
        raise InputError(
            f"Cell {label} of frame {frame} is used now, but {origin.layer.name} holds no mask of it: "
            "track the masks again with these pins."
        )
    run = dict(result.run or {})
    config = run.get("config")
    fill = not (isinstance(config, dict) and config.get("fill") == "never")
    lineage = build_lineage(pinned, solution, fill=fill)
    run |= {
        "status": solution.status, "objective": solution.objective / NAT, "bound": solution.bound / NAT,
        "gap": solution.gap, "relative_gap": solution.relative_gap, "solver": solution.solver,
        "components": solution.components, "used": int(solution.used.sum()), "links": int(solution.link_chosen.sum()),
        "divisions": int(solution.division_chosen.sum()), "appearances": int(solution.appears.sum()),
        "disappearances": int(solution.disappears.sum()), "filled": len(lineage.fills), "tracks": len(lineage.tracks),
        "seconds": {"solve": round(time.perf_counter() - start, 4)},
        "corrections": {
            "of": result.layer.folder.name, "base": origin.layer.folder.name,
            "pins": len(pins), "objective_before": graph.solution.objective / NAT,
        },
    }  # fmt: skip
    table = _table_of(origin, problem, lineage.fills)
    corrected: Any = TrackResult(lineage.tracks, lineage.track, pinned, solution, run, table, lineage, origin.labels)
    out = free_name(result.layer.folder)
    write_result(corrected, out)
    write_pins(out / "pins.csv", pins)
    changes = compare_solutions(graph, pinned, solution)
    before, after = graph.solution.objective / NAT, solution.objective / NAT
    return Outcome(out, before, after, solution.status, changes, time.perf_counter() - start)


def _origin(result: Result, graph: Graph) -> tuple[Result, Graph]:
    """The result from which a corrected one was first made, and its problem; where it is gone, this one, unpinned."""
    made = (result.run or {}).get("corrections")
    name = Path(str(made.get("base", ""))).name if isinstance(made, dict) else ""
    folder = result.layer.folder.parent / name
    if name and (folder / "graph.npz").is_file():
        base = open_result(
            replace(result.layer, id=opaque_id(folder), name=name, folder=inside(result.layer.root, folder))
        )
        return base, open_graph(base)
    parts = {
        name: replace(getattr(graph.candidates, name), fixed=np.full(len(getattr(graph.candidates, name)), FREE))
        for name in ("detections", "links", "divisions")
    }
    return result, replace(graph, candidates=replace(graph.candidates, **parts))


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
        numbers=result.labels.numbers, frame=detections.frame, label=graph.track, position=detections.position, box=box,
        shape=result.labels.shape, ndim=ndim,
    )  # fmt: skip


def free_name(folder: Path) -> Path:
    """A folder that does not exist yet: ``01_RES_corrected``, ``01_RES_corrected2`` …"""
    stem = folder.name.partition("_corrected")[0] + "_corrected"
    numbers = [""] + [str(n) for n in range(2, 1000)]
    return next(folder.with_name(stem + n) for n in numbers if not folder.with_name(stem + n).exists())


def write_pins(path: Path, pins: list[Pin]) -> None:
    """Write ``pins.csv``."""
    with output_file(path, overwrite=True) as work, work.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        for pin in pins:
            cells = [number for cell in pin.cells for number in cell]
            writer.writerow([pin.kind, pin.action, *cells, *[""] * (6 - len(cells))])


def read_pins(path: Path) -> list[Pin]:
    """Read ``pins.csv``; empty where there is none. :class:`InputError` lists every line that is no pin."""
    if not path.is_file():
        return []
    counts = {"detection": 1, "link": 2, "division": 3}
    pins, problems = [], []
    with path.open(newline="", encoding="utf-8") as stream:
        for number, row in enumerate(csv.DictReader(stream), start=2):
            try:
                cells = [(int(row[f"frame{n}"]), int(row[f"label{n}"])) for n in ("", "2", "3")[: counts[row["kind"]]]]
                if row["action"] not in ("keep", "forbid"):
                    raise ValueError(row["action"])
                pins.append(Pin(row["kind"], row["action"], tuple(cells)))  # type: ignore[arg-type]
            except (KeyError, ValueError, TypeError):
                problems.append(f"{path}, line {number}: this is no correction; expected {','.join(HEADER)}.")
    if problems:
        raise InputError(*problems)
    return pins


def compare_solutions(graph: Graph, candidates: Candidates, solution: Solution) -> list[Change]:
    """Links and divisions that were added or removed, in order of frames."""

    def pairs(links: Links, chosen: NDArray[np.bool_]) -> set[tuple[int, ...]]:
        return set(zip(links.source[chosen].tolist(), links.target[chosen].tolist(), strict=True))

    def triplets(divisions: Divisions, chosen: NDArray[np.bool_]) -> set[tuple[int, ...]]:
        columns = (divisions.mother, divisions.first, divisions.second)
        return set(zip(*(column[chosen].tolist() for column in columns), strict=True))

    old = pairs(graph.candidates.links, graph.solution.link_chosen)
    old |= triplets(graph.candidates.divisions, graph.solution.division_chosen)
    new = pairs(candidates.links, solution.link_chosen) | triplets(candidates.divisions, solution.division_chosen)
    found = []
    for word, rows in (("added", new - old), ("removed", old - new)):
        for one in rows:
            (frame, label), *others = (graph.cell(row) for row in one)
            kind = "link" if len(one) == 2 else "division"
            names = " and ".join(f"cell {name} of frame {when}" for when, name in others)
            found.append(Change(f"{kind} {word}: cell {label} → {names}", frame, label))
    return sorted(found, key=lambda change: (change.frame, change.what))
