"""How good a review list is: the share of the wrong decisions that is found in its first per cent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.labels.overlap import count_overlap, match_objects
from celltrail.data.types import BoolArray, FloatArray, IntArray

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)


def found_by(doubt: FloatArray, wrong: BoolArray, shares: tuple[float, ...] = SHARES) -> list[float]:
    """The share of what is wrong among the first decisions, most doubtful first; NaN where nothing is wrong."""
    order = np.argsort(-doubt, kind="stable")
    total = np.cumsum(wrong[order])
    if not len(total) or not total[-1]:
        return [float("nan")] * len(shares)
    return [float(total[max(round(share * len(total)), 1) - 1] / total[-1]) for share in shares]


def margin_doubt(candidates: Candidates, solution: Solution) -> FloatArray:
    """Minus the margin of the chosen past of each detection, float64 (n,); −∞ where it has none (it appears)."""
    doubt = np.full(len(solution.used), -np.inf)
    links, divisions = candidates.links, candidates.divisions
    doubt[links.target[solution.link_chosen]] = -solution.link_margin[solution.link_chosen]
    for daughter in (divisions.first, divisions.second):
        doubt[daughter[solution.division_chosen]] = -solution.division_margin[solution.division_chosen]
    return np.asarray(np.nan_to_num(doubt, nan=-np.inf), dtype=np.float64)


def cells_of_result(result: Path, truth: Path, candidates: Candidates, track: IntArray) -> tuple[IntArray, Tracks]:
    """The true track of each detection of a result (0: none or several), and the true tracks.

    Parameters
    ----------
    result : Path
        Folder with the masks of the result.
    truth : Path
        The folder NN_GT, or one that itself holds markers and man_track.txt.

    Raises
    ------
    InputError
        If there is no such truth, or it has no frame in common with the result.
    """
    markers_folder = truth / "TRA" if (truth / "TRA").is_dir() else truth
    file = track_file(markers_folder) if markers_folder.is_dir() else None
    if file is None:
        raise InputError(
            f"{truth} holds no TRA folder with man_track.txt: give the folder of the ground truth (NN_GT)."
        )
    markers, masks = open_labels(markers_folder), open_labels(result)
    row_of = {
        key: row for row, key in enumerate(zip(candidates.detections.frame.tolist(), track.tolist(), strict=True))
    }
    cell = np.zeros(len(track), dtype=np.int64)
    common = [number for number in markers if number in masks]
    if not common:
        raise InputError(f"{truth} and {result} have no frame in common: give the truth of this very movie.")
    for number in common:
        overlap: Any = count_overlap(np.asarray(markers[number]), np.asarray(masks[number]))
        match = match_objects(overlap)
        labels, times = np.unique(match[match >= 0], return_counts=True)
        alone = set(labels[times == 1].tolist())
        for marker, found in zip(overlap.labels_a.tolist(), match.tolist(), strict=True):
            row = row_of.get((number, int(overlap.labels_b[found]))) if found in alone else None
            if row is not None:  # else a mask that was filled in
                cell[row] = marker
    return cell, read_tracks(file)
