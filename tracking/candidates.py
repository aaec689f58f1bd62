"""Which cells may follow which: candidate links and candidate divisions.

A link is a candidate if its target is among the nearest to where the source should be by drift, or
its source among the nearest to the target, within a radius taken from the movie; or if the two
overlap. A division is a candidate if both daughters are near enough to the mother and each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tracking.detections import DetectionTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

FORWARD = 7  # nearest targets of each source
BACKWARD = 3  # nearest sources of each target
RADIUS = 4.0  # diameters of a typical cell
DAUGHTERS = 8  # nearest targets of a mother that may be her daughters
DAUGHTER_RADIUS = 2.2  # diameters of the mother, from her to each daughter
WITH_ONE_DAUGHTER = 0.75  # of the mother's area, at most, has a daughter whose sister is not seen yet
MIDPOINT_RADIUS = 1.0  # diameters of the mother, from her to the midpoint of the daughters


@dataclass
class LinkTable:
    """Candidate links, ordered by (source, target).

    source, target : int64 (m,), rows of the detections. span : int64 (m,), non-empty frames from one
    to the other. missed : int64 (m,), non-empty frames in between, in which the cell went unseen.
    distance : float64 (m,), from where drift would take the source, in the voxel's x.
    overlap : float64 (m,), intersection over union of the moved source with the target.
    cover_source, cover_target : float64 (m,), share of the source's and of the target's area that overlaps.
    """

    source: IntArray
    target: IntArray
    span: IntArray
    distance: FloatArray
    overlap: FloatArray
    cover_source: FloatArray
    cover_target: FloatArray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def missed(self) -> IntArray:
        """Frames with cells in between, in which this cell went unseen."""
        return self.span - 1


def typical_diameter(table: DetectionTable) -> float:
    """Median diameter of the cells of a movie, in units of the voxel's x (1 without cells)."""
    return float(np.median(table.diameter)) if len(table) else 1.0


def find_links(table: DetectionTable, *, max_gap: int = 1) -> LinkTable:
    """Candidate links between frames with cells, over up to ``max_gap`` such frames in between.

    Frames without any cell do not count as missed: nothing could have been seen there.
    """
    radius = RADIUS * typical_diameter(table)
    crowd = 2 if len(table.clique_id) else 1  # hypotheses of one cell take each other's places
    place = table.place
    frames = table.frames_with_cells()
    start = np.searchsorted(table.frame, np.append(frames, np.iinfo(np.int64).max))
    pairs: list[IntArray] = []
    reach = range(1, min(max_gap + 1, len(table.shift)) + 1)
    for span in reach:
        expected = place + table.shift[span] * table.scale
        for i in range(len(frames) - span):
            a, b = start[i], start[i + span]
            pairs.append(
                _near_pairs(expected[a : start[i + 1]], place[b : start[i + span + 1]], radius, a, b, span, crowd)
            )
    frame_of = np.searchsorted(frames, table.frame)
    overlap_span = frame_of[table.overlap_target] - frame_of[table.overlap_source]
    near = overlap_span < reach.stop
    pairs.append(np.stack([table.overlap_source, table.overlap_target, overlap_span])[:, near])
    found = np.unique(np.concatenate(pairs, axis=1), axis=1) if pairs else np.zeros((3, 0), np.int64)
    source, target, span = found
    shift = np.zeros((len(source), 3))
    for step in reach:
        shift[span == step] = table.shift[step][source[span == step]]
    distance = np.linalg.norm(place[target] - place[source] - shift * table.scale, axis=1)
    shared = _lookup(source, target, table)
    area = table.area.astype(np.float64)
    union = area[source] + area[target] - shared
    return LinkTable(
        source, target, span, distance, shared / union, shared / area[source], shared / area[target]
    )  # fmt: skip


def _near_pairs(
    expected: FloatArray, place: FloatArray, radius: float, a: int, b: int, span: int, crowd: int
) -> IntArray:
    ahead = _nearest(expected, place, FORWARD * crowd, radius)
    back = _nearest(place, expected, BACKWARD * crowd, radius)[::-1]
    pairs = np.concatenate([ahead, back], axis=1)
    return np.stack([pairs[0] + a, pairs[1] + b, np.full(pairs.shape[1], span)])


def _nearest(a: FloatArray, b: FloatArray, k: int, radius: float) -> IntArray:
    """Pairs (row of a, row of b): the up to ``k`` nearest points of ``b`` within ``radius`` of each of ``a``."""
    if not len(a) or not len(b):
        return np.zeros((2, 0), np.int64)
    ranks = np.arange(1, min(k, len(b)) + 1)
    distance, found = map(np.asarray, cKDTree(b).query(a, k=ranks, distance_upper_bound=radius))
    rows = np.repeat(np.arange(len(a)), distance.shape[1]).reshape(distance.shape)
    near = np.isfinite(distance)
    return np.stack([rows[near], found[near]]).astype(np.int64)


def _lookup(source: IntArray, target: IntArray, table: DetectionTable) -> FloatArray:
    """Shared voxels of each pair (0 where the table of overlaps has none)."""
    shared = np.zeros(len(source))
    if not len(table.overlap_source):
        return shared
    n = len(table)
    keys = table.overlap_source * n + table.overlap_target
    order = np.argsort(keys)
    wanted = source * n + target
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    hit = keys[order][at] == wanted
    shared[hit] = table.overlap_count[order][at[hit]]
    return shared


def mother_size(table: DetectionTable) -> FloatArray:
    """Diameter of each cell as a mother, never less than half the typical one: the unit of distances of a division."""
    return np.maximum(table.diameter, 0.5 * typical_diameter(table))


def find_divisions(table: DetectionTable, links: LinkTable) -> tuple[IntArray, IntArray]:
    """Candidate divisions as pairs of links of one mother.

    Both daughters are in the next frame; or the second comes a frame late (where ``links`` reach so far)
    and the first is clearly smaller than the mother, who else has only moved.

    Returns
    -------
    first, second : int64 (d,), rows of ``links``; the target of ``first`` comes before that of ``second``.
    """
    reach = DAUGHTER_RADIUS * mother_size(table)[links.source]
    row = np.flatnonzero((links.span <= 2) & (links.distance <= reach))
    row = row[np.lexsort((links.distance[row], links.span[row], links.source[row]))]
    source = links.source[row]
    frames = 3 * source + links.span[row]
    begin = np.searchsorted(frames, frames, side="left")
    row = row[np.arange(len(row)) - begin < DAUGHTERS * (2 if len(table.clique_id) else 1)]
    source = links.source[row]
    end = np.searchsorted(source, source, side="right")
    here = np.arange(len(row))
    later = end - here - 1
    first = np.repeat(here, later)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    one, two = row[first], row[first + 1 + offset]
    swap = links.target[one] > links.target[two]
    first, second = np.where(swap, two, one), np.where(swap, one, two)
    together = (links.span[first] == 1) & (links.span[second] == 1)
    smaller = table.area[links.target[first]] <= WITH_ONE_DAUGHTER * table.area[links.source[first]]
    soon = together | ((links.span[first] == 1) & (links.span[second] == 2) & smaller)
    first, second = first[soon], second[soon]
    expected = table.place[links.source[first]] + table.shift[1][links.source[first]] * table.scale
    midpoint = (table.place[links.target[first]] + table.place[links.target[second]]) / 2
    near = np.linalg.norm(midpoint - expected, axis=1) <= MIDPOINT_RADIUS * mother_size(table)[links.source[first]]
    near &= ~table.exclude_each_other(links.target[first], links.target[second])
    first, second = first[near], second[near]
    order = np.lexsort((links.target[second], links.target[first], links.source[first]))
    return first[order], second[order]
