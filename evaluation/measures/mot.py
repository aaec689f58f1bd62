"""Measures of multiple-object tracking: HOTA, IDF1, MOTA, and how pure tracks are.

A trajectory is a cell from birth to division: tracks joined by a parent link with a single child
count as one. A cell and a mask are paired one to one.

References: Luiten et al., IJCV 129 (2021) 548 (HOTA); Ristani et al., ECCV workshops 2016 (IDF1);
Bernardin and Stiefelhagen, EURASIP JIVP 2008, 246309 (MOTA).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures.assignment import best_pairs
from celltrail.evaluation.measures.contingency import Contingency, Objects

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


def count_pairs(a: IntArray, b: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """The different pairs (a, b), ordered: both members, for each input its pair, and how often each pair occurs."""
    names_a, index_a = np.unique(a, return_inverse=True)
    names_b, index_b = np.unique(b, return_inverse=True)
    width = max(len(names_b), 1)
    key, index, hits = np.unique(index_a * width + index_b, return_inverse=True, return_counts=True)
    return names_a[key // width], names_b[key % width], index, hits


def paired_cells(table: Contingency) -> IntArray:
    """Rows of ``table.gt`` and ``table.res``: cells paired one to one by the CTC's match; of several cells in one mask
    the one with the largest overlap.
    """
    rows = np.flatnonzero(table.match[table.gt] == table.res)
    rows = rows[np.lexsort((table.gt[rows], -table.shared[rows]))]
    _, first = np.unique(table.res[rows], return_index=True)
    return np.sort(rows[first])


def hota_of_pairs(
    table: Contingency, gt: IntArray, res: IntArray, truth: IntArray, result: IntArray
) -> tuple[float, float, float]:
    """HOTA, DetA and AssA of given pairs.

    Parameters
    ----------
    gt, res : IntArray
        Rows of paired objects.
    truth, result : IntArray
        Trajectory of every object.
    """
    total = len(table.truth) + len(table.result) - len(gt)
    if total == 0 or len(gt) == 0:
        return 0.0, 0.0, 0.0
    a, b, index, hits = count_pairs(truth[gt], result[res])
    association = (hits / (lengths_of(truth, a) + lengths_of(result, b) - hits))[index]
    return (
        float(np.sqrt(association.sum() / total)),
        len(gt) / total,
        float(association.mean()),
    )


def lengths_of(trajectories: IntArray, names: IntArray) -> IntArray:
    """How many objects the named trajectories have."""
    present, counts = np.unique(trajectories, return_counts=True)
    lengths: IntArray = counts[np.searchsorted(present, names)]
    return lengths


def hota_over_thresholds(table: Contingency, truth: IntArray, result: IntArray) -> dict[str, float]:
    """HOTA with IoU as similarity: means over the thresholds .05, .10 … .95.

    Pairs are chosen once per frame, by IoU times how well the two trajectories agree over the movie;
    a threshold then keeps those with enough IoU.
    """
    share = table.iou / np.maximum(_sum_iou(table), 1e-12)
    a, b, index, _ = count_pairs(truth[table.gt], result[table.res])
    together = np.bincount(index, weights=share, minlength=len(a))
    alignment = (together / (lengths_of(truth, a) + lengths_of(result, b) - together))[index]
    rows = best_pairs(table.gt, table.res, table.iou * alignment)
    found = []
    for alpha in ALPHAS:
        kept = rows[table.iou[rows] >= alpha - 1e-12]
        found.append(hota_of_pairs(table, table.gt[kept], table.res[kept], truth, result))
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
    a, b, _, hits = count_pairs(truth[gt], result[res])
    found = int(hits[best_pairs(a, b, hits.astype(np.float64))].sum())
    return found, len(result) - found, len(truth) - found


def assigned_trajectories(
    gt: IntArray, res: IntArray, truth: IntArray, result: IntArray, closeness: FloatArray
) -> dict[int, int]:
    """The assignment behind `identity_counts`: truth trajectory → result trajectory.

    ``closeness`` (0 … 1 for each pair of cells, such as their IoU) decides between assignments with as many cells.
    """
    a, b, index, hits = count_pairs(truth[gt], result[res])
    gain = hits + np.bincount(index, weights=closeness, minlength=len(a)) / (len(gt) + 1)
    kept = best_pairs(a, b, gain)
    return dict(zip(a[kept].tolist(), b[kept].tolist(), strict=True))


def identity_switches(table: Contingency, gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> IntArray:
    """The truth objects whose trajectory is paired with another result trajectory than the last time."""
    order = np.lexsort((table.truth.frame[gt], truth[gt]))
    who, followed = truth[gt][order], result[res][order]
    switched = (who[1:] == who[:-1]) & (followed[1:] != followed[:-1])
    rows: IntArray = gt[order[1:][switched]]
    return rows


def _purity(gt: IntArray, res: IntArray, truth: IntArray, result: IntArray) -> tuple[float | None, float | None]:
    a, b, _, hits = count_pairs(truth[gt], result[res])
    shares: list[float | None] = []
    for side, length in ((b, len(result)), (a, len(truth))):
        names, index = np.unique(side, return_inverse=True)
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
    pairs = paired_cells(table)
    gt, res = table.gt[pairs], table.res[pairs]
    found, false, missed = identity_counts(gt, res, mine, theirs)
    switches = len(identity_switches(table, gt, res, mine, theirs))
    wrong = len(table.truth) + len(table.result) - 2 * len(gt) + switches
    purity, effectiveness = _purity(gt, res, mine, theirs)
    return {
        "HOTA_CTC": hota_of_pairs(table, gt, res, mine, theirs)[0],
        "IDF1": 2 * found / (2 * found + false + missed),
        "IDP": found / (found + false) if found + false else None,
        "IDR": found / (found + missed),
        "MOTA": 1 - wrong / len(table.truth),
        "ID_switches": float(switches),
        "track_purity": purity,
        "target_effectiveness": effectiveness,
    }
