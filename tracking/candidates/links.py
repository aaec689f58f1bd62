"""Which cells may follow which: candidate links and candidate divisions.

A link is a candidate if its target is among the nearest to where the source should be by drift, or
its source among the nearest to the target, within a radius taken from the movie; or if the two
overlap. An error that masks may show for some frames is read one way in all of them: no link leads from a mask of it
to another reading in the next. A division is a candidate if both daughters are near enough to the mother and each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.columns import concatenate, ranges, take
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.measuring.table import DetectionTable

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

    Attributes
    ----------
    source, target : IntArray
        int64 (m,), rows of the detections.
    span : NDArray[np.int8]
        int8 (m,), steps from one to the other.
    distance : FloatArray
        float64 (m,), from where drift would take the source, in the voxel's x.
    shared : NDArray[np.int32]
        int32 (m,), voxels that the moved source shares with the target.
    blank : NDArray[np.int8]
        int8 (m,), how many of the frames in between hold no cell at all.
    doubt : NDArray[np.float32]
        float32 (m,), what speaks against a cell that went unseen in between: the share of its place that others cover,
        in the worst frame; more than 1 where one of the two cells goes another way. 0 for adjacent frames.
    """

    source: IntArray
    target: IntArray
    span: NDArray[np.int8]
    distance: FloatArray
    shared: NDArray[np.int32]
    blank: NDArray[np.int8]
    doubt: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def missed(self) -> NDArray[np.int8]:
        """Frames in between, in which this cell went unseen."""
        return self.span - np.int8(1)

    def key(self, cell: IntArray) -> IntArray:
        """One number for each pair of a cell and the span of the link, int64 (m,)."""
        return cell * (int(self.span.max(initial=0)) + 1) + self.span

    def overlap(self, table: DetectionTable) -> FloatArray:
        """Intersection over union of the moved source with the target, float64 (m,)."""
        return self.shared / (table.area[self.source] + table.area[self.target] - self.shared)

    def leaving(self, begin: int, end: int, first: int) -> LinkTable:
        """The links out of the rows ``begin`` to ``end`` (not included); rows are counted from ``first`` on."""
        part = slice(*np.searchsorted(self.source, [begin, end]))
        return take(self, part).moved(-first)

    def moved(self, by: int) -> LinkTable:
        """The same links; the rows of their detections are larger by ``by``."""
        return replace(self, source=self.source + by, target=self.target + by)


def no_links() -> LinkTable:
    """A table without any link."""
    rows = np.zeros(0, dtype=np.int64)
    return LinkTable(
        source=rows,
        target=rows,
        span=rows.astype(np.int8),
        distance=rows.astype(np.float64),
        shared=rows.astype(np.int32),
        blank=rows.astype(np.int8),
        doubt=rows.astype(np.float32),
    )


def join_links(tables: Sequence[LinkTable]) -> LinkTable:
    """The links of several tables as one, ordered by (source, target); of those in two tables the less doubtful."""
    whole = concatenate(tables)
    whole = take(whole, np.lexsort((whole.doubt, whole.target, whole.source)))
    new = (np.diff(whole.source, prepend=-1) != 0) | (np.diff(whole.target, prepend=-1) != 0)
    return take(whole, new)


def typical_diameter(table: DetectionTable) -> float:
    """Median diameter of the cells of a movie, in units of the voxel's x (1 without cells)."""
    return float(np.median(table.diameter[~table.beside])) if len(table) else 1.0


def find_links(
    table: DetectionTable, *, max_gap: int = 1, diameter: float | None = None, frames: int | None = None
) -> LinkTable:
    """Candidate links over up to ``max_gap`` frames in between, as far as the overlaps of the table reach.

    A part of a movie is given the ``diameter`` of a typical cell of all of it, and from how many of its ``frames``
    with cells links are wanted: the others only follow them.
    """
    radius = RADIUS * (typical_diameter(table) if diameter is None else diameter)
    crowd = 2 if table.joint else 1  # hypotheses of one cell take each other's places
    place, n, beside = table.place, len(table), table.beside
    start = table.frame_starts()
    time = table.time
    when = time[start[:-1]]
    overlaps = np.searchsorted(table.overlap_source, start)
    reach = min(max_gap + 1, len(table.shift))
    parts = [no_links()]
    for i in range(min(len(start) - 2, len(start) if frames is None else frames)):
        beyond = int(np.searchsorted(when, when[i] + reach, side="right"))
        a, b, last = start[i], start[i + 1], start[beyond]
        seen = slice(overlaps[i], overlaps[i + 1])
        known = table.overlap_source[seen] * n + table.overlap_target[seen]
        count = table.overlap_count[seen][table.overlap_target[seen] < last]
        known = known[table.overlap_target[seen] < last]
        keys = [known]
        for j in range(i + 1, beyond):
            expected = place[a:b] + table.shift[int(when[j] - when[i])][a:b] * table.scale
            c, d = start[j], start[j + 1]
            near = _near_pairs(expected, place[c:d], beside[a:b], beside[c:d], crowd, radius)
            keys += [(pairs[0] + a) * n + pairs[1] + c for pairs in near]
        pairs = np.unique(np.concatenate(keys))
        source, target = pairs // n, pairs % n
        span_of = time[target] - when[i]
        seen_between = np.searchsorted(when, time[target]) - i - 1
        shift = np.zeros((len(pairs), 3))
        for span in range(1, reach + 1):
            shift[span_of == span] = table.shift[span][source[span_of == span]]
        distance = np.linalg.norm(place[target] - place[source] - shift * table.scale, axis=1)
        shared = np.zeros(len(pairs), dtype=np.int32)
        shared[np.searchsorted(pairs, known)] = count
        parts.append(
            LinkTable(
                source=source,
                target=target,
                span=span_of.astype(np.int8),
                distance=distance,
                shared=shared,
                blank=(span_of - 1 - seen_between).astype(np.int8),
                doubt=np.zeros(len(pairs), dtype=np.float32),
            )
        )
    links = join_links(parts)
    one, other = links.source, links.target
    mixed = (table.event[one] >= 0) & (table.event[one] ^ table.event[other] == 1)
    return take(links, ~mixed) if mixed.any() else links


def _near_pairs(
    expected: FloatArray, place: FloatArray, beside: BoolArray, also_beside: BoolArray, crowd: int, radius: float
) -> Iterator[IntArray]:
    """Pairs of the nearest, forward and backward; masks are paired as if there were no other readings ``beside``."""
    everyone = np.arange(len(expected)), np.arange(len(place))
    masks = np.flatnonzero(~beside), np.flatnonzero(~also_beside)
    readings = np.flatnonzero(beside), np.flatnonzero(also_beside)
    for one, other, k in ((masks[0], masks[1], FORWARD), (readings[0], everyone[1], FORWARD)):
        pairs = nearest_pairs(expected[one], place[other], k * crowd, radius)
        yield np.stack([one[pairs[0]], other[pairs[1]]])
    for one, other, k in ((masks[1], masks[0], BACKWARD), (readings[1], everyone[0], BACKWARD)):
        pairs = nearest_pairs(place[one], expected[other], k * crowd, radius)
        yield np.stack([other[pairs[1]], one[pairs[0]]])


def nearest_pairs(a: FloatArray, b: FloatArray, k: int, radius: float) -> IntArray:
    """Pairs (row of a, row of b): the up to ``k`` nearest points of ``b`` within ``radius`` of each of ``a``."""
    if not len(a) or not len(b):
        return np.zeros((2, 0), np.int64)
    ranks = np.arange(1, min(k, len(b)) + 1)
    distance, found = map(np.asarray, cKDTree(b).query(a, k=ranks, distance_upper_bound=radius))
    rows = np.repeat(np.arange(len(a)), distance.shape[1]).reshape(distance.shape)
    near = np.isfinite(distance)
    return np.stack([rows[near], found[near]]).astype(np.int64)


def mother_size(table: DetectionTable, typical: float) -> FloatArray:
    """Diameter of each cell as a mother, never less than half the typical one: the unit of distances of a division."""
    return np.maximum(table.diameter, 0.5 * typical)


def shift_until(table: DetectionTable, links: LinkTable, first: IntArray) -> FloatArray:
    """Where the surroundings of mothers go until their first daughters are seen, float64 (d, 3) in voxels."""
    mother = links.source[first]
    shift = table.shift[1][mother]
    late = links.span[first] == 2
    if late.any():
        shift[late] = table.shift[2][mother[late]]
    return shift


def find_divisions(table: DetectionTable, links: LinkTable, typical: float) -> tuple[IntArray, IntArray]:
    """Candidate divisions as pairs of links of one mother; ``typical`` is the diameter of a typical cell.

    Both daughters are in the next frame. Where ``links`` reach further, the second may come a frame late, if the
    first is clearly smaller than the mother, who else has only moved; or both are seen two frames after the mother,
    who went unseen in between.

    Returns
    -------
    first, second : int64 (d,), rows of ``links``; the target of ``first`` comes before that of ``second``.
    """
    size = mother_size(table, typical)
    reach = DAUGHTER_RADIUS * size[links.source]
    row = np.flatnonzero((links.span <= 2) & (links.distance <= reach))
    aside = table.beside[links.target[row]]  # other readings take no place of a mask
    row = row[np.lexsort((links.distance[row], aside, links.span[row], links.source[row]))]
    source = links.source[row]
    frames = 2 * (3 * source + links.span[row]) + table.beside[links.target[row]]
    begin = np.searchsorted(frames, frames, side="left")
    row = row[np.arange(len(row)) - begin < DAUGHTERS * (2 if table.joint else 1)]
    source = links.source[row]
    end = np.searchsorted(source, source, side="right")
    following = np.arange(1, len(row) + 1)
    first, second = ranges(following, end - following)
    one, two = row[first], row[second]
    swap = links.target[one] > links.target[two]
    first, second = np.where(swap, two, one), np.where(swap, one, two)
    together = (links.span[first] == 1) & (links.span[second] == 1)
    smaller = table.area[links.target[first]] <= WITH_ONE_DAUGHTER * table.area[links.source[first]]
    both_late = (links.span[first] == 2) & (links.span[second] == 2)
    soon = together | both_late | ((links.span[first] == 1) & (links.span[second] == 2) & smaller)
    first, second = first[soon], second[soon]
    expected = table.place[links.source[first]] + shift_until(table, links, first) * table.scale
    midpoint = (table.place[links.target[first]] + table.place[links.target[second]]) / 2
    near = np.linalg.norm(midpoint - expected, axis=1) <= MIDPOINT_RADIUS * size[links.source[first]]
    near &= ~table.exclude_each_other(links.target[first], links.target[second])
    first, second = first[near], second[near]
    order = np.lexsort((links.target[second], links.target[first], links.source[first]))
    return first[order], second[order]
