"""How far the tracked centres are from the true ones: ADE and FDE, and the Jaccard index of tracks, JACT.

* ``ADE`` — mean distance of the centres over the cells in which a true trajectory and the result's
  trajectory assigned to it (as in IDF1) are paired; ``ADE_track`` is the mean over trajectories of
  their own mean, ``FDE`` the mean distance in the last common frame. Missed cells do not count, so
  ``matched_fraction`` (paired cells / true cells) stands beside.
* ``JACT`` — paired / (paired + missed + spurious) trajectories after the cheapest pairing of whole
  trajectories, where a frame costs the distance, at most the gate; JSC_θ of Chenouard et al., Nat.
  Methods 11 (2014) 281, with their α and β. ``JACT_id`` = IDTP / (IDTP + IDFP + IDFN).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures.assignment import best_pairs
from celltrail.evaluation.measures.contingency import Contingency
from celltrail.evaluation.measures.mot import assigned_trajectories, identity_counts, paired_cells, trajectory_of

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
GATE = 5.0  # pixels, as in the particle tracking challenge
NAMES = ("ADE", "ADE_track", "FDE", "matched_fraction", "JACT", "JACT_id", "SPT_alpha", "SPT_beta")


def measure_trajectories(
    table: Contingency,
    truth: Tracks,
    result: Tracks,
    *,
    voxel: tuple[float, float, float] | None = None,
    gate: float = GATE,
) -> dict[str, float | None]:
    """ADE, FDE (pixels, and µm where ``voxel`` is known), and the JACT family; ``None`` where undefined.

    Parameters
    ----------
    gate : float
        Distance in pixels from which on two centres have nothing to do with each other.
    """
    values: dict[str, float | None] = dict.fromkeys(NAMES)
    if len(table.truth) == 0:
        return values
    mine, theirs = trajectory_of(table.truth, truth), trajectory_of(table.result, result)
    pairs = paired_cells(table)
    gt, res = table.gt[pairs], table.res[pairs]
    assigned = assigned_trajectories(gt, res, mine, theirs, table.iou[pairs])
    kept = np.array(
        [assigned.get(a) == b for a, b in zip(mine[gt].tolist(), theirs[res].tolist(), strict=True)], dtype=bool
    )
    values["matched_fraction"] = float(kept.sum() / len(table.truth))
    for suffix, scale in (("", (1.0, 1.0, 1.0)), ("_um", voxel)):
        if scale is None:
            continue
        offset = (table.truth.center[gt[kept]] - table.result.center[res[kept]]) * np.array(scale)
        distance = np.sqrt((offset**2).sum(axis=1))
        ade, by_track, final = _means(distance, mine[gt[kept]], table.truth.frame[gt[kept]])
        values |= {f"ADE{suffix}": ade, f"ADE_track{suffix}": by_track, f"FDE{suffix}": final}
    found, false, missed = identity_counts(gt, res, mine, theirs)
    values["JACT_id"] = found / (found + false + missed)
    values |= _particle_scores(table, mine, theirs, gate)
    return values


def _means(distance: FloatArray, track: IntArray, frame: IntArray) -> tuple[float | None, float | None, float | None]:
    """Means over cells, over trajectories, and over the last common frames."""
    if len(distance) == 0:
        return None, None, None
    order = np.lexsort((frame, track))
    distance, track = distance[order], track[order]
    _, index, counts = np.unique(track, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return (
        float(distance.mean()),
        float((np.bincount(index, weights=distance) / counts).mean()),
        float(distance[last].mean()),
    )


def _particle_scores(table: Contingency, mine: IntArray, theirs: IntArray, gate: float) -> dict[str, float | None]:
    """JACT, α and β: trajectories paired at the smallest sum over frames of min(distance, gate)."""
    names_a, index_a, length_a = np.unique(mine, return_inverse=True, return_counts=True)
    names_b, index_b, length_b = np.unique(theirs, return_inverse=True, return_counts=True)
    near_a, near_b, saved = [], [], []
    for frame in table.frames.tolist():
        rows_a = np.arange(*np.searchsorted(table.truth.frame, (frame, frame + 1)))
        rows_b = np.arange(*np.searchsorted(table.result.frame, (frame, frame + 1)))
        if len(rows_a) == 0 or len(rows_b) == 0:
            continue
        near = cKDTree(table.truth.center[rows_a]).sparse_distance_matrix(
            cKDTree(table.result.center[rows_b]), gate, output_type="ndarray"
        )
        near_a.append(index_a[rows_a[near["i"]]])
        near_b.append(index_b[rows_b[near["j"]]])
        saved.append(gate - near["v"])
    key = np.concatenate([np.zeros(0, np.int64), *(a * len(names_b) + b for a, b in zip(near_a, near_b, strict=True))])
    pairs, index = np.unique(key, return_inverse=True)
    gained = np.bincount(index, weights=np.concatenate([np.zeros(0), *saved]), minlength=len(pairs))
    a, b = pairs // max(len(names_b), 1), pairs % max(len(names_b), 1)
    common = _common_frames(table, index_a, index_b, a, b)
    gain = gained - gate * (length_b[b] - common)
    kept = best_pairs(a, b, gain)
    worst = gate * float(length_a.sum())
    best = float(gain[kept].sum())
    spurious = gate * float(length_b.sum() - length_b[b[kept]].sum())
    paired = len(kept)
    return {
        "JACT": paired / (len(names_a) + len(names_b) - paired),
        "SPT_alpha": best / worst,
        "SPT_beta": best / (worst + spurious),
    }


def _common_frames(table: Contingency, index_a: IntArray, index_b: IntArray, a: IntArray, b: IntArray) -> IntArray:
    """In how many frames both trajectories of each pair exist."""
    frames_a = _frames_by_track(table.truth.frame, index_a)
    frames_b = _frames_by_track(table.result.frame, index_b)
    return np.array(
        [len(frames_a[i] & frames_b[j]) for i, j in zip(a.tolist(), b.tolist(), strict=True)], dtype=np.int64
    )


def _frames_by_track(frame: IntArray, index: IntArray) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for track, number in zip(index.tolist(), frame.tolist(), strict=True):
        found.setdefault(track, set()).add(number)
    return found
