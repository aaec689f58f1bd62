"""The technical measures of the Cell Tracking Challenge: SEG, DET, TRA and LNK.

Truth and result are acyclic graphs: a vertex for each object and frame, a track link between
frames of one track, a parent link from the last frame of a parent to the first of its child. AOGM
is the weighted number of operations that turn the result's graph into the truth's.

References: Matula et al., PLoS ONE 10 (2015) e0144959 (AOGM, TRA, DET); Maška et al., Nat. Methods
20 (2023) 1010 (LNK); celltrackingchallenge.net/evaluation-methodology.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures.contingency import Contingency, Objects

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
WEIGHTS = {"NS": 5.0, "FN": 10.0, "FP": 1.0, "ED": 1.0, "EA": 1.5, "EC": 1.0}


@dataclass(frozen=True)
class Edges:
    """Links of a lineage graph: rows of the objects, ``parent`` marks parent links; ordered by (source, target)."""

    source: IntArray
    target: IntArray
    parent: BoolArray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Operations:
    """What must be done to the result's graph to obtain the truth's.

    Attributes
    ----------
    split : IntArray
        int64 — for each operation the truth object that shares its result object with a larger overlap (so a result
        object over m cells counts m − 1 times).
    missed : IntArray
        Rows of truth objects without a match.
    spurious : IntArray
        Rows of result objects without one.
    delete, add, wrong : IntArray
        Rows of the result's edges (delete, wrong) and of the truth's (add).
    wrong_truth : IntArray
        The truth's edges beside ``wrong``.
    vertices, edges : int
        Size of the truth's graph.
    """

    split: IntArray
    missed: IntArray
    spurious: IntArray
    truth_edges: Edges
    result_edges: Edges
    delete: IntArray
    add: IntArray
    wrong: IntArray
    wrong_truth: IntArray
    vertices: int

    @property
    def edges(self) -> int:
        """Number of edges of the truth's graph."""
        return len(self.truth_edges)

    @property
    def counts(self) -> dict[str, int]:
        """The six counts of AOGM, by the names of `WEIGHTS`."""
        found = (self.split, self.missed, self.spurious, self.delete, self.add, self.wrong)
        return {name: len(rows) for name, rows in zip(WEIGHTS, found, strict=True)}

    @property
    def aogm(self) -> float:
        """The weighted sum of all operations."""
        return _cost(self.counts, WEIGHTS)


def _cost(counts: dict[str, int], names: Iterable[str]) -> float:
    return float(sum(WEIGHTS[name] * counts[name] for name in names))


def graph_edges(objects: Objects, tracks: Tracks, frames: IntArray) -> Edges:
    """Track links and parent links of a lineage.

    Parameters
    ----------
    frames : IntArray
        int64, the frames that were compared; a track link joins one to the next of them.
    """
    step = np.searchsorted(frames, objects.frame)
    order = np.lexsort((step, objects.label))
    before, after = order[:-1], order[1:]
    linked = (objects.label[before] == objects.label[after]) & (step[after] == step[before] + 1)
    source, target = before[linked], after[linked]
    first_of, last_of = ends_of_tracks(objects)
    pairs = [
        (last_of[parent], first_of[label])
        for label, parent in zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True)
        if parent in last_of and label in first_of
    ]
    parents = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    source = np.concatenate([source, parents[:, 0]])
    target = np.concatenate([target, parents[:, 1]])
    is_parent = np.concatenate([np.zeros(int(linked.sum()), dtype=bool), np.ones(len(parents), dtype=bool)])
    order = np.lexsort((target, source))
    return Edges(source[order], target[order], is_parent[order])


def ends_of_tracks(objects: Objects) -> tuple[dict[int, int], dict[int, int]]:
    """Rows of the first and of the last object of every label."""
    labels = objects.label.tolist()
    last_of = {label: row for row, label in enumerate(labels)}
    first_of = {labels[row]: row for row in range(len(labels) - 1, -1, -1)}
    return first_of, last_of


def count_operations(table: Contingency, truth: Tracks, result: Tracks | None) -> Operations:
    """The operations of AOGM, each of them listed.

    Without ``result`` tracks, the result's graph has no edges at all.
    """
    match, unique = table.match, table.unique_match
    split = _split_objects(table)
    truth_edges = graph_edges(table.truth, truth, table.frames)
    no_edges = Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    result_edges = no_edges if result is None else graph_edges(table.result, result, table.frames)
    partner = np.full(len(table.result), -1, dtype=np.int64)  # of result objects with exactly one truth object
    found = np.flatnonzero(unique >= 0)
    partner[unique[found]] = found
    inside = np.flatnonzero((partner[result_edges.source] >= 0) & (partner[result_edges.target] >= 0))
    size = max(len(table.truth), 1)
    truth_key = truth_edges.source * size + truth_edges.target
    key = partner[result_edges.source[inside]] * size + partner[result_edges.target[inside]]
    place = np.minimum(np.searchsorted(truth_key, key), max(len(truth_key) - 1, 0))
    has_twin = truth_key[place] == key if len(truth_key) else np.zeros(len(key), dtype=bool)
    inside_twin, twin = inside[has_twin], place[has_twin]
    wrong = result_edges.parent[inside_twin] != truth_edges.parent[twin]
    added = np.ones(len(truth_edges), dtype=bool)
    added[twin] = False
    return Operations(
        split=split,
        missed=np.flatnonzero(match < 0),
        spurious=np.flatnonzero(table.taken == 0),
        truth_edges=truth_edges,
        result_edges=result_edges,
        delete=inside[~has_twin],
        add=np.flatnonzero(added),
        wrong=inside_twin[wrong],
        wrong_truth=twin[wrong],
        vertices=len(table.truth),
    )


def _split_objects(table: Contingency) -> IntArray:
    """Truth objects that share their result object: all but the one with the largest overlap."""
    matched = np.flatnonzero(table.match[table.gt] == table.res)
    rows = matched[table.taken[table.res[matched]] > 1]
    order = rows[np.lexsort((table.gt[rows], -table.shared[rows], table.res[rows]))]
    res = table.res[order]
    return np.sort(table.gt[order[1:][res[1:] == res[:-1]]])


def _score(cost: float, from_scratch: float) -> float | None:
    return None if from_scratch == 0 else 1 - min(cost, from_scratch) / from_scratch


def det(operations: Operations) -> float | None:
    """DET: 1 − the cost of the vertices, relative to adding them all. ``None`` without truth objects."""
    return _score(_cost(operations.counts, ("NS", "FN", "FP")), WEIGHTS["FN"] * operations.vertices)


def lnk(operations: Operations) -> float | None:
    """LNK: 1 − the cost of the edges, relative to adding them all. ``None`` without truth links."""
    return _score(_cost(operations.counts, ("ED", "EA", "EC")), WEIGHTS["EA"] * operations.edges)


def tra(operations: Operations) -> float | None:
    """TRA: 1 − AOGM relative to making the whole graph. ``None`` without truth objects."""
    scratch = WEIGHTS["FN"] * operations.vertices + WEIGHTS["EA"] * operations.edges
    return _score(operations.aogm, scratch) if operations.vertices else None


def seg(table: Contingency) -> float | None:
    """SEG: mean IoU of all truth objects with their match (0 without one). ``None`` without truth objects."""
    if len(table.truth) == 0:
        return None
    matched = table.match[table.gt] == table.res
    return float(table.iou[matched].sum() / len(table.truth))
