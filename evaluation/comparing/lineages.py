"""Measures as functions of sums over the lineages of the truth, so that lineages can be drawn again.

A lineage is a cell with all its descendants. Each error, cell and track of the truth belongs to
one; what the result has beyond it (masks that match no cell, tracks, wrong links) belongs to the
lineage of the nearest true cell in the same frame, else in the nearest frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures import biology
from celltrail.evaluation.measures.contingency import Contingency, Objects
from celltrail.evaluation.measures.mot import (
    assigned_trajectories,
    count_pairs,
    identity_switches,
    lengths_of,
    paired_cells,
    trajectory_of,
)
from celltrail.evaluation.measures.technical import WEIGHTS, Operations
from celltrail.evaluation.record import Detail

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Sums = dict[str, FloatArray]
TOLERANCES = (0, 1, 2, 3)


def lineage_of_objects(objects: Objects, tracks: Tracks) -> tuple[IntArray, IntArray]:
    """For each true object the number of its lineage, and the label of each lineage's first track."""
    roots = tracks.roots()
    names, index = np.unique(objects.label, return_inverse=True)
    root = np.array([roots.get(name, name) for name in names.tolist()], dtype=np.int64)
    lineages, number = np.unique(root, return_inverse=True)
    return number[index].astype(np.int64), lineages


def nearest_true(objects: Objects, frame: IntArray, center: FloatArray) -> IntArray:
    """Rows of the nearest true object for each place: in its frame, else in the nearest frame that has one."""
    rows = np.zeros(len(frame), dtype=np.int64)
    present = np.unique(objects.frame)
    for number in np.unique(frame).tolist():
        here = np.flatnonzero(frame == number)
        source = present[np.argmin(np.abs(present - number))]
        low, high = np.searchsorted(objects.frame, (source, source + 1))
        away = cKDTree(objects.center[low:high])
        rows[here] = low + np.asarray(away.query(center[here])[1])
    return rows


def sum_by_lineage(detail: Detail) -> Sums | None:
    """The additive parts of all measures, one value per lineage; ``None`` where truth or result has no tracks."""
    table, truth, result, operations = detail.markers, detail.truth, detail.result, detail.operations
    if table is None or truth is None or result is None or operations is None or len(table.truth) == 0:
        return None
    lineage, names = lineage_of_objects(table.truth, truth)
    count = len(names)
    owner = nearest_true(table.truth, table.result.frame, table.result.center)
    matched = np.flatnonzero(table.match >= 0)
    owner[table.match[matched][::-1]] = matched[::-1]  # the first matched cell of each mask
    of_result = lineage[owner]

    def count_in(lineages: IntArray, weights: FloatArray | None = None) -> FloatArray:
        return np.bincount(lineages, weights=weights, minlength=count).astype(np.float64)

    sums: Sums = {"lineages": np.ones(count), "cells": count_in(lineage), "masks": count_in(of_result)}
    sums |= _operation_sums(operations, lineage, of_result, count_in)
    sums |= _track_sums(table, truth, result, lineage, of_result, names, count_in)
    sums |= _identity_sums(table, truth, result, lineage, count_in)
    if detail.seg is not None and len(detail.seg.truth):
        seg = detail.seg
        home = lineage[nearest_true(table.truth, seg.truth.frame, seg.truth.center)]
        iou = np.zeros(len(seg.truth))
        found = seg.match[seg.gt] == seg.res
        iou[seg.gt[found]] = seg.iou[found]
        sums |= {"seg_cells": count_in(home), "seg_iou": count_in(home, iou)}
    return sums


def _operation_sums(operations: Operations, lineage: IntArray, of_result: IntArray, count_in: object) -> Sums:
    assert callable(count_in)
    edges, found = operations.truth_edges, operations.result_edges
    return {
        "NS": count_in(lineage[operations.split]),
        "FN": count_in(lineage[operations.missed]),
        "FP": count_in(of_result[operations.spurious]),
        "ED": count_in(of_result[found.source[operations.delete]]),
        "EA": count_in(lineage[edges.source[operations.add]]),
        "EC": count_in(lineage[edges.source[operations.wrong_truth]]),
        "links": count_in(lineage[edges.source]),
    }


def _track_sums(
    table: Contingency,
    truth: Tracks,
    result: Tracks,
    lineage: IntArray,
    of_result: IntArray,
    names: IntArray,
    count_in: object,
) -> Sums:
    assert callable(count_in)
    roots = truth.roots()
    number = {int(name): n for n, name in enumerate(names)}

    def homes(labels: list[int]) -> IntArray:
        return np.array([number[roots[label]] for label in labels], dtype=np.int64)

    tracks, homes_of, _, hits = count_pairs(table.result.label, of_result)
    order = np.lexsort((homes_of, -hits, tracks))
    labels, first = np.unique(tracks[order], return_index=True)
    home_of = dict(zip(labels.tolist(), homes_of[order][first].tolist(), strict=True))  # where most of its masks are
    their_homes = np.array([home_of[label] for label in result.label.tolist()], dtype=np.int64)
    fractions = biology.fractions_followed(table)
    sums = {
        "tracks": count_in(homes(truth.label.tolist())),
        "result_tracks": count_in(their_homes),
        "complete": count_in(homes(biology.completely_followed(table, truth, result))),
        "followed": count_in(homes(list(fractions))),
        "fraction": count_in(homes(list(fractions)), np.array(list(fractions.values()), dtype=np.float64)),
        "divisions": count_in(homes(list(truth.divisions()))),
        "result_divisions": count_in(np.array([home_of[n] for n in result.divisions()], dtype=np.int64)),
    }
    for i in TOLERANCES:
        pairs = biology.matched_divisions(table, truth, result, i)
        sums[f"found({i})"] = count_in(homes([mother for mother, _ in pairs]))
    for name, side, home in (("cycle", truth, homes(truth.label.tolist())), ("result_cycle", result, their_homes)):
        dividing = list(side.divisions())
        whole = np.isin(side.label, dividing) & np.isin(side.parent, dividing)
        for length, where in zip((side.end - side.begin)[whole].tolist(), home[whole].tolist(), strict=True):
            sums.setdefault(f"{name} {length}", np.zeros(len(names)))[where] += 1
    return sums


def _identity_sums(table: Contingency, truth: Tracks, result: Tracks, lineage: IntArray, count_in: object) -> Sums:
    assert callable(count_in)
    mine, theirs = trajectory_of(table.truth, truth), trajectory_of(table.result, result)
    pairs = paired_cells(table)
    gt, res = table.gt[pairs], table.res[pairs]
    assigned = assigned_trajectories(gt, res, mine, theirs, table.iou[pairs])
    kept = np.array(
        [assigned.get(a) == b for a, b in zip(mine[gt].tolist(), theirs[res].tolist(), strict=True)], dtype=bool
    )
    a, b, index, hits = count_pairs(mine[gt], theirs[res])
    association = (hits / (lengths_of(mine, a) + lengths_of(theirs, b) - hits))[index]
    return {
        "paired": count_in(lineage[gt]),
        "identified": count_in(lineage[gt[kept]]),
        "association": count_in(lineage[gt], association),
        "switches": count_in(lineage[identity_switches(table, gt, res, mine, theirs)]),
    }


def measures_of_sums(sums: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Measures from summed parts.

    Parameters
    ----------
    sums : Mapping[str, FloatArray]
        Name → float64 (B,), the parts of `sum_by_lineage` summed over the lineages of B draws.

    Returns
    -------
    dict
        name → float64 (B,), NaN where a draw does not define the measure.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = {name: weight * sums[name] for name, weight in WEIGHTS.items()}
        vertices, edges = WEIGHTS["FN"] * sums["cells"], WEIGHTS["EA"] * sums["links"]
        vertex_cost, edge_cost = cost["NS"] + cost["FN"] + cost["FP"], cost["ED"] + cost["EA"] + cost["EC"]
        found = {
            "DET": 1 - np.minimum(vertex_cost / vertices, 1),
            "TRA": 1 - np.minimum((vertex_cost + edge_cost) / (vertices + edges), 1),
            "LNK": 1 - np.minimum(edge_cost / edges, 1),
            "CT": 2 * sums["complete"] / (sums["tracks"] + sums["result_tracks"]),
            "TF": np.where(sums["followed"] > 0, sums["fraction"] / sums["followed"], 0.0),
            "CCA": _cycle_accuracy(sums),
        }
        if "seg_cells" in sums:
            found["SEG"] = sums["seg_iou"] / sums["seg_cells"]
            found["OP_CSB"] = (found["SEG"] + found["DET"]) / 2
            found["OP_CTB"] = (found["SEG"] + found["TRA"]) / 2
        for i in TOLERANCES:
            both = sums["divisions"] + sums["result_divisions"]
            found[f"BC({i})"] = np.where(sums["divisions"] > 0, 2 * sums[f"found({i})"] / both, np.nan)
            terms = np.stack([found["CT"], found["TF"], found[f"BC({i})"], found["CCA"]])
            defined = ~np.isnan(terms)
            found[f"BIO({i})"] = np.where(defined, terms, 0).sum(axis=0) / defined.sum(axis=0)
            found[f"OP_CLB({i})"] = (found["LNK"] + found[f"BIO({i})"]) / 2
        for name in ("BC", "BIO", "OP_CLB"):
            found[name] = found[f"{name}(0)"]
        found |= {f"division_F1{i}": found[f"BC{i}"] for i in ("", *(f"({i})" for i in TOLERANCES))}
        found["IDF1"] = 2 * sums["identified"] / (sums["cells"] + sums["masks"])
        found["HOTA_CTC"] = np.sqrt(sums["association"] / (sums["cells"] + sums["masks"] - sums["paired"]))
        wrong = sums["cells"] + sums["masks"] - 2 * sums["paired"] + sums["switches"]
        found["MOTA"] = 1 - wrong / sums["cells"]
    return found


def _cycle_accuracy(sums: Mapping[str, FloatArray]) -> FloatArray:
    lengths = sorted({int(name.split()[1]) for name in sums if "cycle " in name})
    nothing = np.zeros_like(sums["cells"])
    if not lengths:
        return np.full_like(nothing, np.nan)
    tables = [
        np.cumsum([sums.get(f"{name} {length}", nothing) for length in lengths], axis=0)
        for name in ("cycle", "result_cycle")
    ]
    mine, theirs = (table / np.maximum(table[-1], 1e-300) for table in tables)
    accuracy = np.where(tables[1][-1] > 0, 1 - np.abs(mine - theirs).max(axis=0), 0.0)
    return np.where(tables[0][-1] > 0, accuracy, np.nan)
