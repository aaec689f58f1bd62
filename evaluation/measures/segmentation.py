"""Measures of a segmentation, from the overlaps of truth and result.

Background is one segment in the Rand index and the variation of information, unless the name ends
in ``_fg``: then only the pixels where the truth has an object count.

References: Rand, J. Am. Stat. Assoc. 66 (1971) 846; Arganda-Carreras et al., Front. Neuroanat. 9
(2015) 142 (adapted Rand error); Meilă, J. Multivar. Anal. 98 (2007) 873 (variation of information);
Kirillov et al., CVPR 2019 (panoptic quality).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.evaluation.measures.assignment import best_pairs
from celltrail.evaluation.measures.contingency import Contingency

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
IOU_THRESHOLDS = tuple(step / 100 for step in range(50, 100, 5))


def measure_regions(table: Contingency) -> dict[str, float | None]:
    """All measures of the regions by name.

    Pixel measures and those of objects are pooled over the frames, RI, RE, ARE and VI are means
    over the frames. A measure that the masks do not define is ``None``.
    """
    return {**pixel_measures(table), **rand_measures(table), **object_measures(table)}


def pixel_measures(table: Contingency) -> dict[str, float | None]:
    """Foreground against background: ``IoU``, ``Dice``, ``pixel_error`` (the fraction of pixels that differ)."""
    truth, result = int(table.truth.area.sum()), int(table.result.area.sum())
    both, pixels = int(table.shared.sum()), int(table.pixels.sum())
    either = truth + result - both
    return {
        "IoU": both / either if either else None,
        "Dice": 2 * both / (truth + result) if either else None,
        "pixel_error": (either - both) / pixels if pixels else None,
    }


@dataclass(frozen=True)
class _Frame:
    """One frame: areas of the objects, sizes of their intersections, and what lies on background.

    Attributes
    ----------
    cells : FloatArray
        N_ij of objects with objects.
    truth_rest, result_rest : FloatArray
        N_i0 and n_0j.
    empty : float
        N_00.
    """

    truth: FloatArray
    result: FloatArray
    cells: FloatArray
    truth_rest: FloatArray
    result_rest: FloatArray
    empty: float


def _frames(table: Contingency) -> Iterator[_Frame]:
    for frame, pixels in zip(table.frames.tolist(), table.pixels.tolist(), strict=True):
        bound = (frame, frame + 1)
        first, last = np.searchsorted(table.truth.frame, bound)
        low, high = np.searchsorted(table.result.frame, bound)
        pairs = slice(*np.searchsorted(table.gt, (first, last)))
        cells = table.shared[pairs].astype(np.float64)
        truth = table.truth.area[first:last].astype(np.float64)
        result = table.result.area[low:high].astype(np.float64)
        truth_rest = truth - np.bincount(table.gt[pairs] - first, weights=cells, minlength=last - first)
        result_rest = result - np.bincount(table.res[pairs] - low, weights=cells, minlength=high - low)
        empty = pixels - truth.sum() - result.sum() + cells.sum()
        yield _Frame(truth, result, cells, truth_rest, result_rest, empty)


def rand_measures(table: Contingency) -> dict[str, float | None]:
    """``RI``, ``RE`` (1 − RI), ``ARE``, ``VI`` in bits and ``VI_nats``; means over the frames.

    ``ARE`` (as in SNEMI3D and scikit-image) counts only pixels of truth objects, as do the names in ``_fg``.
    """
    values: dict[str, list[float]] = {name: [] for name in ("RI", "ARE", "VI", "RI_fg", "VI_fg")}
    for frame in _frames(table):
        for suffix, (cells, truth, result) in {"": _everything(frame), "_fg": _foreground(frame)}.items():
            if truth.sum() >= 2:
                values[f"RI{suffix}"].append(_rand_index(cells, truth, result))
                values[f"VI{suffix}"].append(_variation(cells, truth, result))
        cells, truth, result = _foreground(frame)
        pairs = _pairs(truth) + _pairs(result)
        if pairs > 0:
            values["ARE"].append(1 - 2 * _pairs(cells) / pairs)
    means = {name: float(np.mean(found)) if found else None for name, found in values.items()}
    for suffix in ("", "_fg"):
        index, bits = means[f"RI{suffix}"], means[f"VI{suffix}"]
        means[f"RE{suffix}"] = None if index is None else 1 - index
        means[f"VI{suffix}_nats"] = None if bits is None else bits * float(np.log(2))
    return means


def _everything(frame: _Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """n_ij, a_i and b_j with background as one segment of each image."""
    cells = np.concatenate([frame.cells, frame.truth_rest, frame.result_rest, [frame.empty]])
    truth = np.append(frame.truth, frame.result_rest.sum() + frame.empty)
    result = np.append(frame.result, frame.truth_rest.sum() + frame.empty)
    return cells, truth, result


def _foreground(frame: _Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same on the pixels of truth objects; the result's background stays one segment."""
    cells = np.concatenate([frame.cells, frame.truth_rest])
    result = np.append(frame.result - frame.result_rest, frame.truth_rest.sum())
    return cells, frame.truth, result


def _pairs(sizes: FloatArray) -> float:
    """Ordered pairs of two different pixels within the segments."""
    return float(sizes @ sizes - sizes.sum())


def _rand_index(cells: FloatArray, truth: FloatArray, result: FloatArray) -> float:
    everything = _pairs(np.array([truth.sum()]))
    return 1 - (_pairs(truth) + _pairs(result) - 2 * _pairs(cells)) / everything


def _variation(cells: FloatArray, truth: FloatArray, result: FloatArray) -> float:
    """H(truth | result) + H(result | truth) in bits."""
    return max(2 * _entropy(cells) - _entropy(truth) - _entropy(result), 0.0)


def _entropy(sizes: FloatArray) -> float:
    share = sizes[sizes > 0] / sizes.sum()
    return float(-(share @ np.log2(share)))


def object_measures(table: Contingency) -> dict[str, float | None]:
    """Objects found, over the IoU thresholds .50, .55 … .95 with one-to-one matching, pooled over the frames.

    ``precision``, ``recall``, ``F1`` and ``AP50`` (TP / (TP + FP + FN)) at IoU .50; ``F1_mean`` and
    ``AP`` are means over the thresholds; ``PQ``, ``SQ`` and ``RQ`` (panoptic quality) at IoU .50;
    ``best_IoU``: mean over the truth objects of their best IoU.
    """
    n_truth, n_result = len(table.truth), len(table.result)
    if n_truth == 0:
        return dict.fromkeys(("precision", "recall", "F1", "AP50", "F1_mean", "AP", "PQ", "SQ", "RQ", "best_IoU"))
    best = np.zeros(n_truth)
    np.maximum.at(best, table.gt, table.iou)
    curves = threshold_curves(table)
    f1, ap = curves["F1"], curves["AP"]
    rows, _ = one_to_one(table, 0.5)
    found = len(rows)
    quality = float(table.iou[rows].mean()) if found else 0.0
    return {
        "precision": found / n_result if n_result else None,
        "recall": found / n_truth,
        "F1": f1[0],
        "AP50": ap[0],
        "F1_mean": float(np.mean(f1)),
        "AP": float(np.mean(ap)),
        "PQ": quality * f1[0],
        "SQ": quality if found else None,
        "RQ": f1[0],
        "best_IoU": float(best.mean()),
    }


def threshold_curves(table: Contingency) -> dict[str, list[float]]:
    """Precision, recall, F1 and AP (TP / (TP + FP + FN)) of the objects at each of `IOU_THRESHOLDS`; 0 of 0 is 0."""
    n_truth, n_result = len(table.truth), len(table.result)
    curves: dict[str, list[float]] = {"IoU": list(IOU_THRESHOLDS), "precision": [], "recall": [], "F1": [], "AP": []}
    for threshold in IOU_THRESHOLDS:
        found = len(one_to_one(table, threshold)[0])
        for name, whole in (("precision", n_result), ("recall", n_truth), ("AP", n_truth + n_result - found)):
            curves[name].append(found / whole if whole else 0.0)
        curves["F1"].append(2 * found / (n_truth + n_result) if n_truth + n_result else 0.0)
    return curves


def one_to_one(table: Contingency, threshold: float) -> tuple[IntArray, FloatArray]:
    """Pairs (rows of ``table.gt``) matched one to one with IoU ≥ ``threshold``, and their IoU.

    Above one half a pair is unique by itself; at one half or below, as many pairs as possible are
    matched, with the largest sum of IoU among those.
    """
    rows = np.flatnonzero(table.iou >= threshold)
    if threshold <= 0.5:
        size = len(table.truth) + len(table.result) + 1
        rows = rows[best_pairs(table.gt[rows], table.res[rows], 1 + table.iou[rows] / size)]
    return rows, table.iou[rows]
