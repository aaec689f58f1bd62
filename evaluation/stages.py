"""Which stage of the pipeline lost a cell or a link: read from the graph that the result was solved from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import Candidates, Solution, load_graph
from celltrail.evaluation.errors import Error
from celltrail.evaluation.measures.contingency import Contingency

IntArray = NDArray[np.int64]


@dataclass
class StageFinder:
    """Looks up detections, candidates and choices behind an error.

    The stages: ``detection`` (no mask, or a mask that covers too little or several cells),
    ``candidate`` (both detections are there, but the link or division was no candidate), ``solver``
    (it was a candidate, another choice was made), ``export`` (chosen, but written otherwise).
    """

    row_of: dict[tuple[int, int], int]
    links: dict[tuple[int, int], bool]
    divisions: dict[int, list[tuple[int, int, bool]]]
    used: NDArray[np.bool_]
    trees: dict[int, tuple[Any, IntArray]]
    reach: dict[tuple[int, int], float]

    def stage(self, error: Error, division: bool) -> str:
        """The stage of one error; ``division``: the truth divides here."""
        if error.type in ("NS", "FP"):
            return "detection"
        if error.type == "FN":
            return self._missed(error)
        if error.res_label is None or error.res_label2 is None or error.frame2 is None:
            return "detection"
        source = self.row_of.get((error.frame, error.res_label))
        target = self.row_of.get((error.frame2, error.res_label2))
        if source is None or target is None:  # a mask that was filled in after solving
            return "detection"
        wanted = self._state(source, target, division)
        if error.type == "ED":
            chosen = self._state(source, target, False) == "chosen" or self._state(source, target, True) == "chosen"
            return "solver" if chosen else "export"
        return {"chosen": "export", "offered": "solver", "absent": "candidate"}[wanted]

    def _state(self, source: int, target: int, division: bool) -> str:
        if not division:
            chosen = self.links.get((source, target))
            return "absent" if chosen is None else "chosen" if chosen else "offered"
        found = [chosen for a, b, chosen in self.divisions.get(source, []) if target in (a, b)]
        return "absent" if not found else "chosen" if any(found) else "offered"

    def _missed(self, error: Error) -> str:
        """A missed cell: was there a detection at its place that was left out?"""
        tree, rows = self.trees.get(error.frame, (None, np.zeros(0, np.int64)))
        if tree is None or error.gt_label is None:
            return "detection"
        near = tree.query_ball_point((error.z or 0.0, error.y, error.x), self.reach[error.frame, error.gt_label])
        return "solver" if any(not self.used[rows[n]] for n in near) else "detection"


def open_stages(res: Path, table: Contingency, ndim: int) -> StageFinder | None:
    """Read ``graph.npz`` of a result; ``None`` where there is none (another tool, ``--no-graph``).

    Raises
    ------
    InputError
        If the file is there but holds no solution.
    """
    path = Path(res) / "graph.npz"
    if not path.is_file():
        return None
    candidates, solution, track = load_graph(path)
    if solution is None or track is None:
        raise InputError(f"{path} holds no solution: run 'celltrail track' again.")
    return _index(candidates, solution, track, table, ndim)


def _index(candidates: Candidates, solution: Solution, track: IntArray, table: Contingency, ndim: int) -> StageFinder:
    detections, links, divisions = candidates.detections, candidates.links, candidates.divisions
    rows = np.flatnonzero(track > 0)
    names = zip(detections.frame[rows].tolist(), track[rows].tolist(), rows.tolist(), strict=True)
    divide: dict[int, list[tuple[int, int, bool]]] = {}
    for mother, a, b, chosen in zip(
        divisions.mother.tolist(),
        divisions.first.tolist(),
        divisions.second.tolist(),
        solution.division_chosen.tolist(),
        strict=True,
    ):
        divide.setdefault(mother, []).append((a, b, chosen))
    lone = solution.link_chosen & links.lone_daughter  # divisions with one daughter outside the image
    for mother, daughter in zip(links.source[lone].tolist(), links.target[lone].tolist(), strict=True):
        divide.setdefault(mother, []).append((daughter, daughter, True))
    trees: dict[int, tuple[Any, IntArray]] = {}
    for frame in np.unique(detections.frame).tolist():
        here = np.flatnonzero(detections.frame == frame).astype(np.int64)
        trees[frame] = (cKDTree(detections.position[here]), here)
    truth = table.truth
    radius = (truth.area / np.pi) ** 0.5 if ndim == 2 else (0.75 * truth.area / np.pi) ** (1 / 3)
    keys = zip(truth.frame.tolist(), truth.label.tolist(), strict=True)
    return StageFinder(
        row_of={(frame, label): row for frame, label, row in names},
        links=dict(
            zip(
                zip(links.source.tolist(), links.target.tolist(), strict=True),
                (solution.link_chosen & ~lone).tolist(),
                strict=True,
            )
        ),
        divisions=divide,
        used=solution.used,
        trees=trees,
        reach=dict(zip(keys, radius.tolist(), strict=True)),
    )


def name_stages(errors: Sequence[Error], finder: StageFinder, dividing: set[tuple[int, int]]) -> list[Error]:
    """The same errors with their stages.

    Parameters
    ----------
    dividing : set[tuple[int, int]]
        (frame, truth label) of the last objects of tracks with two children or more.
    """
    return [
        error
        if error.type == "suspect_gt"
        else error._replace(
            stage=finder.stage(
                error, (error.frame, error.gt_label or 0) in dividing and error.gt_label2 != error.gt_label
            )
        )
        for error in errors
    ]
