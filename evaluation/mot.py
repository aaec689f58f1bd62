"""Measures of multiple-object tracking: HOTA, IDF1, MOTA, and how pure tracks are.

A trajectory is a cell from birth to division: tracks joined by a parent link with a single child
count as one. A cell and a mask are paired one to one.

References: Luiten et al., IJCV 129 (2021) 548 (HOTA); Ristani et al., ECCV workshops 2016 (IDF1);
Bernardin and Stiefelhagen, EURASIP JIVP 2008, 246309 (MOTA).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.tracks import Tracks
from evaluation.assignment import best_pairs
from evaluation.contingency import Contingency, Objects

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ALPHAS = tuple(np.arange(5, 100, 5) / 100)


def trajectory_of(objects: Objects, tracks: Tracks) -> IntArray:
    """For each object the label of the first track of its trajectory, int64 (len(objects),)."""
    children = tracks.children()
    only_child = {kids[0]: parent for parent, kids in children.items() if len(kids) == 1}
    first = {}
    for label in tracks.label.tolist():
        top = label
        while top in only_child:
            top = only_child[top]
        first[label] = top
    names, index = np.unique(objects.label, return_inverse=True)
    return np.array([first.get(name, name) for name in names.tolist()], dtype=np.int64)[index]


def paired_cells(table: Contingency) -> tuple[IntArray, IntArray]:
    """Truth and result objects paired one to one by the CTC's match; of several cells in one mask the one with the
    largest overlap.
    """  # fmt: skip
    rows = np.flatnonzero(table.match[table.gt] == table.res)
    rows = rows[np.lexsort((table.gt[rows], -table.shared[rows]))]
    _, first = np.unique(table.res[rows], return_index=True)
    kept = np.sort(rows[first])
    return table.gt[kept], table.res[kept]


def hota(
    table: Contingency, gt: IntArray, res: IntArray, truth: IntArray, result: IntArray
) -> tuple[float, float, float]:
    """HOTA, DetA and AssA of given pairs.

    Parameters
    ----------
    gt, res : rows of paired objects. truth, result : trajectory of every object.
    """
    total = len(table.truth) + len(table.result) - len(gt)
    if total == 0 or len(gt) == 0:
        return 0.0, 0.0, 0.0
    pairs, index, hits = np.unique(np.stack([truth[gt], result[res]]), axis=1, return_inverse=True, return_counts=True)
    length_a = dict(zip(*_counts(truth), strict=True))
    length_b = dict(zip(*_counts(result), strict=True))
    either = np.array([length_a[a] + length_b[b] for a, b in pairs.T.tolist()]) - hits
    association = (hits / either)[index.ravel()]
    return (
        float(np.sqrt(association.sum() / total)),
        len(gt) / total,
        float(association.mean()),
    )


def _counts(values: IntArray) -> tuple[list[int], list[int]]:
    names, counts = np.unique(values, return_counts=True)
    return names.tolist(), counts.tolist()


def hota_over_thresholds(table: Contingency, truth: IntArray, result: IntArray) -> dict[str, float]:
    """HOTA with IoU as similarity: means over the thresholds .05, .10 … .95.

    Pairs are chosen once per frame, by IoU times how well the two trajectories agree over the movie;
    a threshold then keeps those with enough IoU.
    """
    share = table.iou / np.maximum(_sum_iou(table), 1e-12)
    pairs, index = np.unique(np.stack([truth[table.gt], result[table.res]]), axis=1, return_inverse=True)
    together = np.bincount(index.ravel(), weights=share, minlength=pairs.shape[1])
    length_a, length_b = dict(zip(*_counts(truth), strict=True)), dict(zip(*_counts(result), strict=True))
    lengths = np.array([length_a[a] + length_b[b] for a, b in pairs.T.tolist()], dtype=np.float64)
    alignment = (together / (lengths - together))[index.ravel()] if len(lengths) else share
    rows = best_pairs(table.gt, table.res, table.iou * alignment)
    found = []
    for alpha in ALPHAS:
        kept = rows[table.iou[rows] >= alpha - 1e-12]
        found.append(hota(table, table.gt[kept], table.res[kept], truth, result))
    means = np.mean(found, axis=0)
    return {"HOTA": float(means[0]), "DetA": float(means[1]), "AssA": float(means[2])}


def _sum_iou(table: Contingency) -> FloatArray:
    """For each pair: the IoU of its truth object and of its result object with everything, the pair counted once."""
    of_truth = np.bincount(table.gt, weights=table.iou, minlength=len(table.truth))
    of_result = np.bincount(table.res, weights=table.iou, minlength=len(table.result))
    both: FloatArray = of_truth[table.gt] + of_result[table.res] - table.iou
    return both


def identity_counts(gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> tuple[int, int, int]:
    """IDTP, IDFP and IDFN: cells in the best one-to-one assignment of whole trajectories, and the rest of both."""
    pairs, hits = np.unique(np.stack([truth[gt], result[res]]), axis=1, return_counts=True)
    kept = best_pairs(pairs[0], pairs[1], hits.astype(np.float64))
    found = int(hits[kept].sum())
    return found, len(result) - found, len(truth) - found


def assigned_trajectories(gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> dict[int, int]:
    """The assignment behind :func:`identity_counts`: truth trajectory → result trajectory."""
    pairs, hits = np.unique(np.stack([truth[gt], result[res]]), axis=1, return_counts=True)
    kept = best_pairs(pairs[0], pairs[1], hits.astype(np.float64))
    return dict(zip(pairs[0][kept].tolist(), pairs[1][kept].tolist(), strict=True))


def identity_switches(table: Contingency, gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> IntArray:
    """The truth objects whose trajectory is paired with another result trajectory than the last time."""
    order = np.lexsort((table.truth.frame[gt], truth[gt]))
    who, followed = truth[gt][order], result[res][order]
    switched = (who[1:] == who[:-1]) & (followed[1:] != followed[:-1])
    rows: IntArray = gt[order[1:][switched]]
    return rows


def _purity(gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> tuple[float | None, float | None]:
    pairs, hits = np.unique(np.stack([truth[gt], result[res]]), axis=1, return_counts=True)
    shares: list[float | None] = []
    for side, length in ((1, len(result)), (0, len(truth))):
        names, index = np.unique(pairs[side], return_inverse=True)
        best = np.zeros(len(names), dtype=np.int64)
        np.maximum.at(best, index, hits)
        shares.append(float(best.sum() / length) if length else None)
    return shares[0], shares[1]


def measure_identity(table: Contingency, truth: Tracks, result: Tracks) -> dict[str, float | None]:
    """``HOTA_CTC``, ``IDF1``, ``IDP``, ``IDR``, ``MOTA``, ``ID_switches``, ``track_purity``, ``target_effectiveness``.

    All by the CTC's match. ``None`` where the truth has no object.
    """
    names = ("HOTA_CTC", "IDF1", "IDP", "IDR", "MOTA", "ID_switches", "track_purity", "target_effectiveness")
    if len(table.truth) == 0:
        return dict.fromkeys(names)
    mine, theirs = trajectory_of(table.truth, truth), trajectory_of(table.result, result)
    gt, res = paired_cells(table)
    found, false, missed = identity_counts(gt, res, mine, theirs)
    switches = len(identity_switches(table, gt, res, mine, theirs))
    wrong = len(table.truth) + len(table.result) - 2 * len(gt) + switches
    purity, effectiveness = _purity(gt, res, mine, theirs)
    return {
        "HOTA_CTC": hota(table, gt, res, mine, theirs)[0],
        "IDF1": 2 * found / (2 * found + false + missed),
        "IDP": found / (found + false) if found + false else None,
        "IDR": found / (found + missed),
        "MOTA": 1 - wrong / len(table.truth),
        "ID_switches": float(switches),
        "track_purity": purity,
        "target_effectiveness": effectiveness,
    }
