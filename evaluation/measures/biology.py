"""The biological measures of the Cell Tracking Challenge: CT, TF, BC(i), CCA, and their mean BIO.

Each is ``None`` where the truth does not define it (no divisions: no BC; no whole cell cycle: no CCA).

Reference: Ulman et al., Nat. Methods 14 (2017) 1141, supplementary note 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures.contingency import Contingency

IntArray = NDArray[np.int64]


def labels_followed(table: Contingency) -> dict[int, tuple[IntArray, IntArray]]:
    """For each truth track its frames and the result label that matches it alone in each (0: none).

    Frames are positions in ``table.frames``.
    """
    step = np.searchsorted(table.frames, table.truth.frame)
    unique = table.unique_match
    label = np.zeros(len(unique), dtype=np.int64)
    label[unique >= 0] = table.result.label[unique[unique >= 0]]
    order = np.lexsort((step, table.truth.label))
    names, starts = np.unique(table.truth.label[order], return_index=True)
    groups = np.split(order, starts[1:]) if len(names) else []
    return {int(name): (step[rows], label[rows]) for name, rows in zip(names, groups, strict=True)}


def complete_tracks(table: Contingency, truth: Tracks, result: Tracks) -> float | None:
    """CT: F1 score of truth tracks that one result track follows from begin to end, with equal begin and end."""
    total = len(truth) + len(result)
    return 2 * len(completely_followed(table, truth, result)) / total if total else None


def completely_followed(table: Contingency, truth: Tracks, result: Tracks) -> list[int]:
    """Labels of the truth tracks that count for CT."""
    span = _spans(result)
    mine = _spans(truth)
    complete = []
    for name, (_, followed) in labels_followed(table).items():
        label = int(followed[0])
        if label and bool(np.all(followed == label)) and name in mine and span.get(label) == mine[name]:
            complete.append(name)
    return complete


def _spans(tracks: Tracks) -> dict[int, tuple[int, int]]:
    return {label: (begin, end) for label, begin, end, _ in tracks.rows().tolist()}


def track_fractions(table: Contingency, truth: Tracks) -> float | None:
    """TF: mean over the detected truth tracks of the longest part that one result track follows without a break.

    Tracks that were never detected are left out. As in the CTC's software, result labels are taken
    in ascending order, and each stops at the first truth track that it follows wholly.
    """
    if len(truth) == 0:
        return None
    fractions = fractions_followed(table)
    return float(np.mean(list(fractions.values()))) if fractions else 0.0


def fractions_followed(table: Contingency) -> dict[int, float]:
    """The fraction of each detected truth track that counts for TF."""
    longest: dict[int, dict[int, float]] = {}
    for name, (_, followed) in labels_followed(table).items():
        edges = np.flatnonzero(np.diff(followed) != 0) + 1
        for run in np.split(followed, edges):
            if run[0]:
                by_truth = longest.setdefault(int(run[0]), {})
                by_truth[name] = max(by_truth.get(name, 0.0), len(run) / len(followed))
    best: dict[int, float] = {}
    for _, by_truth in sorted(longest.items()):
        for name, fraction in sorted(by_truth.items()):
            if best.get(name) == 1:
                continue
            best[name] = max(best.get(name, 0.0), fraction)
            if fraction == 1:
                break
    return best


def matched_divisions(table: Contingency, truth: Tracks, result: Tracks, tolerance: int) -> list[tuple[int, int]]:
    """Pairs (truth mother, result mother) that are the same division within ``tolerance`` frames.

    The same number of children; the mothers match alone in the earlier of their last frames; every
    truth child matches a result child alone in the later of their first frames.
    """
    truth_span, result_span = _spans(truth), _spans(result)
    pairs = []
    truth_divisions = sorted(truth.divisions().items())
    for mother, children in sorted(result.divisions().items()):
        end = result_span[mother][1]
        for true_mother, true_children in truth_divisions:
            true_end = truth_span[true_mother][1]
            if len(children) != len(true_children) or abs(end - true_end) > tolerance:
                continue
            if not _match_alone(table, min(end, true_end), true_mother, mother):
                continue
            found = set()
            for true_child in true_children:
                for child in children:
                    begins = truth_span[true_child][0], result_span[child][0]
                    close = abs(begins[0] - begins[1]) <= tolerance
                    if close and _match_alone(table, max(begins), true_child, child):
                        found.add(child)
                        break
            if len(found) == len(true_children):
                pairs.append((true_mother, mother))
    return pairs


def _match_alone(table: Contingency, frame: int, truth_label: int, result_label: int) -> bool:
    row = table.truth.index.get((frame, truth_label))
    if row is None or table.unique_match[row] < 0:
        return False
    return int(table.result.label[table.unique_match[row]]) == result_label


def division_counts(table: Contingency, truth: Tracks, result: Tracks, tolerance: int) -> tuple[int, int, int]:
    """Divisions found, invented and missed within ``tolerance`` frames."""
    found = len(matched_divisions(table, truth, result, tolerance))
    return found, len(result.divisions()) - found, len(truth.divisions()) - found


def branching(counts: tuple[int, int, int]) -> float | None:
    """BC(i): F1 score of the divisions. ``None`` where the truth has none."""
    found, invented, missed = counts
    return 2 * found / (2 * found + invented + missed) if found + missed else None


def cycle_lengths(tracks: Tracks) -> IntArray:
    """Frames between begin and end of the tracks that begin and end with a division."""
    dividing = np.array(list(tracks.divisions()), dtype=np.int64)
    whole = np.isin(tracks.label, dividing) & np.isin(tracks.parent, dividing)
    return tracks.end[whole] - tracks.begin[whole]


def cell_cycle_accuracy(truth: Tracks, result: Tracks) -> float | None:
    """CCA: 1 − the largest difference of the two cumulative distributions of cycle lengths.

    ``None`` where the truth has no whole cycle, 0 where only the result has none.
    """
    mine, theirs = np.sort(cycle_lengths(truth)), np.sort(cycle_lengths(result))
    if len(mine) == 0:
        return None
    if len(theirs) == 0:
        return 0.0
    at = np.union1d(mine, theirs)
    below = [np.searchsorted(lengths, at, side="right") / len(lengths) for lengths in (mine, theirs)]
    return float(1 - np.abs(below[0] - below[1]).max())


def mean_of_defined(*values: float | None) -> float | None:
    """Mean of the values that are defined; ``None`` if none is."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
