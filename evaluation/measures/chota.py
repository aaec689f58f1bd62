"""CHOTA: HOTA with whole lineages in the place of trajectories.

Reference: T. Kaiser, V. Ulman, B. Rosenhahn, CHOTA: A Higher Order Accuracy Metric for Cell Tracking, ECCV workshops 2024.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures.contingency import Contingency


def measure_chota(table: Contingency, truth: Tracks, result: Tracks) -> float | None:
    """CHOTA by the CTC's match, as py-ctcmetrics and traccuracy define it; ``None`` where there is no object.

    The association of a pair of tracks is that of their lines: all ancestors and descendants of each, without sisters
    and cousins.
    """
    paired = table.match >= 0
    of_truth = np.unique(table.truth.label, return_inverse=True)
    of_result = np.unique(table.result.label, return_inverse=True)
    (mine, row), (theirs, column) = of_truth, of_result
    total = len(table.truth) + int((table.taken == 0).sum())
    if total == 0:
        return None
    together = sparse.csr_array(
        (np.ones(int(paired.sum())), (row[paired], column[table.match[paired]])), shape=(len(mine), len(theirs))
    )
    together.sum_duplicates()
    invented = np.bincount(column[table.taken == 0], minlength=len(theirs))
    line, other = _lines(truth, mine), _lines(result, theirs)
    both = (line @ together @ other.T).tocsr()
    in_truth = line @ np.bincount(row, minlength=len(mine))
    in_result = other @ (np.asarray(together.sum(axis=0)).ravel() + invented)
    pairs = together.tocoo()
    a, b = pairs.coords
    shared = np.asarray(both[a, b]).ravel() if len(a) else np.zeros(0)
    association = shared / (in_truth[a] + in_result[b] - shared)
    return float(np.sqrt((pairs.data * association).sum() / total))


def _lines(tracks: Tracks, names: np.ndarray[tuple[int], np.dtype[np.int64]]) -> sparse.csr_array:
    """Which of the named tracks are ancestors or descendants of which, each of itself as well; (n, n), 0 or 1."""
    place = {int(name): index for index, name in enumerate(names)}
    parent = dict(zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True))
    pairs = [(index, index) for index in place.values()]
    for label, index in place.items():
        above = parent.get(label, 0)
        while above:
            if above in place:
                pairs += [(index, place[above]), (place[above], index)]
            above = parent.get(above, 0)
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
