"""The problem behind a result: candidates, solution, and which track each detection has become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.opening.content import Result, open_result
from celltrail.dashboard.opening.registry import opaque_id
from celltrail.data import Candidates, InputError, Solution, load_graph
from celltrail.data.files.containment import inside
from celltrail.data.files.pins import Cell
from celltrail.data.graph.candidates import FREE

NOBODY, UNUSED = -1, -2  # instead of the row of a cell: nothing follows; the cell is left out


@dataclass(frozen=True, eq=False)
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

    def row(self, cell: Cell) -> int | None:
        """The detection with this frame and label in the input masks."""
        table = self.candidates.detections
        found = np.flatnonzero((table.frame == cell[0]) & (table.label == cell[1]))
        return int(found[0]) if len(found) else None

    def next_rows(self, row: int) -> list[int]:
        """Rows that the solution makes of this detection: one link, or two daughters, or nothing."""
        return [int(one) for one in futures(self.candidates, self.solution)[:, row] if one >= 0]


def futures(candidates: Candidates, solution: Solution) -> NDArray[np.int64]:
    """What becomes of each detection: int64 (2, n), the rows that follow it, or `NOBODY`, or `UNUSED`."""
    links, divisions = candidates.links, candidates.divisions
    found = np.full((2, len(candidates.detections)), NOBODY, dtype=np.int64)
    found[0, links.source[solution.link_chosen]] = links.target[solution.link_chosen]
    mothers = divisions.mother[solution.division_chosen]
    found[0, mothers] = divisions.first[solution.division_chosen]
    found[1, mothers] = divisions.second[solution.division_chosen]
    found[:, ~solution.used] = UNUSED
    return found


def open_graph(result: Result) -> Graph:
    """The problem behind a result; remembered, as a correction asks for it again and again.

    Raises
    ------
    InputError
        If the result has no ``graph.npz`` with a solution.
    """
    path = result.layer.folder / "graph.npz"
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _open_graph(path, changed)


@lru_cache(maxsize=4)
def _open_graph(path: Path, _changed: int) -> Graph:
    candidates, solution, track = load_graph(path)
    if solution is None or track is None:
        raise InputError(f"{path} holds no solution: run 'celltrail track' again.")
    return Graph(candidates, solution, track)


def origin_of(result: Result) -> tuple[Result, Graph]:
    """The result from which a corrected one was first made, and its problem; where it is gone, this one, unpinned.

    Pins that an uncorrected result was made with stay in force.
    """
    folder = origin_folder(result)
    if folder != result.layer.folder:
        layer = replace(result.layer, id=opaque_id(folder), name=folder.name, folder=folder)
        base = open_result(layer)
        return base, open_graph(base)
    graph = open_graph(result)
    return result, _without_pins(graph) if "corrections" in (result.run or {}) else graph


def origin_folder(result: Result) -> Path:
    """The folder of the result from which a corrected one was first made; its own where that is gone."""
    made = (result.run or {}).get("corrections")
    name = Path(str(made.get("base", ""))).name if isinstance(made, dict) else ""
    folder = result.layer.folder.parent / name
    if name and (folder / "graph.npz").is_file():
        return inside(result.layer.root, folder)
    return result.layer.folder


@lru_cache(maxsize=2)
def _without_pins(graph: Graph) -> Graph:
    parts = {
        name: replace(getattr(graph.candidates, name), fixed=np.full(len(getattr(graph.candidates, name)), FREE))
        for name in ("detections", "links", "divisions")
    }
    return replace(graph, candidates=replace(graph.candidates, **parts), fits=False)
