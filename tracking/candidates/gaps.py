"""Cells that may have gone unseen: links over frames in which a cell has no mask, where there is evidence for it.

The evidence is taken from a solution without any gap. There, a cell that went unseen ends, and begins again a few
frames later, near where it was, or can be set free for less than that (:mod:`celltrail.tracking.candidates.loose`); and its place in between
is empty. A place that another mask covers speaks against it. So do a future of the one or a past of the other that fit. A daughter that is seen a frame later than her sister
begins near a cell that has become clearly smaller.

What competes with such a link for its two cells is put beside it, so that its features (how much nearer than the
next) are those of any link; those rivals are never chosen, because they are contested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from celltrail.data.columns import take
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.candidates.links import (
    BACKWARD,
    DAUGHTER_RADIUS,
    FORWARD,
    RADIUS,
    LinkTable,
    join_links,
    mother_size,
    nearest_pairs,
    no_links,
    typical_diameter,
)
from celltrail.tracking.candidates.loose import Loose
from celltrail.tracking.measuring.drift import predict_shift
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import DetectionTable

DEAREST = 4.0  # nats that it may cost to set both cells of a gap free: no gap saves more than that, after its own price
COVERED = 0.5  # share of its place that others may cover at most, for a cell to have been there unseen
SAMPLED = (5, 20)  # frames, and cells of each, that say what links of this movie look like
CONTESTED = 2.0  # what stands in `LinkTable.doubt` where one of the cells goes another way


def find_gaps(
    table: DetectionTable, loose: Loose, glimpses: Glimpses, *, max_gap: int
) -> tuple[DetectionTable, LinkTable]:
    """The links over up to ``max_gap`` frames that there is evidence for, and their rivals.

    Returns
    -------
    table : DetectionTable
        With the shifts over as many steps as the links need.
    links : LinkTable
        Links over at least one frame, ordered by (source, target).
    """
    shifted, links = _links_over(table, glimpses, _near_pairs(table, loose, max_gap))
    for k in np.flatnonzero(links.doubt == 0).tolist():
        u, w = int(links.source[k]), int(links.target[k])
        links.doubt[k] = _covered(table, loose, glimpses, u, w, int(links.span[k]))
    return shifted, links


def as_if_unseen(
    table: DetectionTable, followed: IntArray, glimpses: Glimpses, span: int
) -> tuple[DetectionTable, LinkTable]:
    """What links over ``span`` steps look like in this movie: cells that were seen in between, as if they had not been.

    Parameters
    ----------
    table : DetectionTable
        The cells of the movie.
    followed : int64 (n,)
        The cell of the next frame that each goes on as; -1: none.
    glimpses : Glimpses
        Their pixels.
    span : int
        Steps from one to the other.

    Returns
    -------
    table : DetectionTable
        With the shifts that the links need.
    links : LinkTable
        Of about a hundred cells in a few frames from all over the movie, without doubt; and their rivals, which are
        contested.
    """
    last = np.arange(len(table))
    for _ in range(span):
        last = np.where(last >= 0, followed[last], -1)
    rows, start = np.flatnonzero(last >= 0), table.frame_starts()
    frame = np.searchsorted(start, rows, side="right") - 1

    def sample() -> Iterator[tuple[slice, slice, int, IntArray]]:
        for i in _spread(np.unique(frame), SAMPLED[0]).tolist():
            here = _spread(rows[frame == i], SAMPLED[1])
            j = int(np.searchsorted(start, last[here[0]], side="right")) - 1
            one, other = (slice(int(start[k]), int(start[k + 1])) for k in (i, j))
            yield one, other, span, np.stack([here, last[here]])

    return _links_over(table, glimpses, sample())


def _spread(values: IntArray, most: int) -> IntArray:
    """At most so many of some values, evenly spread over them."""
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).astype(np.int64))])


def _links_over(
    table: DetectionTable, glimpses: Glimpses, wanted: Iterator[tuple[slice, slice, int, IntArray]]
) -> tuple[DetectionTable, LinkTable]:
    """The wanted links without doubt, and their rivals, contested; the table with the shifts that they need."""
    shift = {span: known.copy() if span > 1 else known for span, known in table.shift.items()}
    parts = [no_links()]
    for one, other, span, pairs in wanted:
        a, b = one.start, one.stop
        shift.setdefault(span, np.zeros((len(table), 3)))
        shift[span][a:b] = _predicted(table, one, other)
        parts.append(_links_between(table, glimpses, one, other, span, shift[span][a:b], pairs))
    return replace(table, shift=shift), join_links(parts)


def _predicted(table: DetectionTable, one: slice, other: slice) -> FloatArray:
    """Where the cells of a frame would be in another by drift alone, float64 (n, 3) in voxels; told by the masks as given."""
    place, masks = table.place, ~table.beside
    here, there = np.flatnonzero(masks[one]), np.flatnonzero(masks[other])
    known = predict_shift(place[one][here], place[other][there]) / table.scale
    if len(here) == one.stop - one.start:
        return known
    nearest = cKDTree(place[one][here]).query(place[one])[1] if len(here) else np.zeros(0, dtype=np.int64)
    return known[nearest] if len(here) else np.zeros((one.stop - one.start, 3))


def _near_pairs(table: DetectionTable, loose: Loose, max_gap: int) -> Iterator[tuple[slice, slice, int, IntArray]]:
    """Pairs of frames with cells that may be the same ones: rows of both, their span, and the pairs of rows, (2, k).

    Where a cell is expected is told from the shift of one step; that of all steps is known only later.
    """
    start, place = table.frame_starts(), table.place
    when = table.time[start[:-1]]
    diameter, size = typical_diameter(table), mother_size(table, typical_diameter(table))
    loosest = DEAREST - min(loose.future.min(initial=0), loose.past.min(initial=0))
    ends, begins = loose.future < loosest, loose.past < loosest
    begin_rows = [np.flatnonzero(begins[start[j] : start[j + 1]]) + start[j] for j in range(len(when))]
    for i in range(len(when) - 1):
        here = slice(int(start[i]), int(start[i + 1]))
        end_rows = np.flatnonzero(ends[here]) + here.start
        shrinking = np.flatnonzero(loose.smaller[here]) + here.start
        for j in range(i + 1, int(np.searchsorted(when, when[i] + max_gap + 1, side="right"))):
            span = int(when[j] - when[i])
            late = shrinking if span == 2 else shrinking[:0]
            there = begin_rows[j]
            if span == 1 or not len(there) or not len(end_rows) + len(late):
                continue
            moved = place[here] + span * table.shift[1][here] * table.scale
            tree = cKDTree(place[there])
            gaps = within(tree, end_rows, moved[end_rows - here.start], RADIUS * diameter)
            gaps = gaps[:, loose.between(gaps[0], there[gaps[1]]) < DEAREST]
            births = within(tree, late, moved[late - here.start], DAUGHTER_RADIUS * size[late])
            births = births[:, loose.past[there[births[1]]] < 0]
            found = np.concatenate([gaps, births], axis=1)
            if found.size:
                pairs = np.unique(np.stack([found[0], there[found[1]]]), axis=1)
                yield here, slice(int(start[j]), int(start[j + 1])), span, pairs


def within(tree: cKDTree, rows: IntArray, places: FloatArray, reach: float | FloatArray) -> IntArray:
    """Rows, and the points of a tree within reach of their places, int64 (2, k)."""
    if not len(rows):
        return np.zeros((2, 0), dtype=np.int64)
    near: Any = tree.query_ball_point(places, reach)  # as many lists as places
    points = np.concatenate([np.zeros(0, dtype=np.int64), *(np.array(found, dtype=np.int64) for found in near)])
    return np.stack([np.repeat(rows, [len(found) for found in near]), points])


def _links_between(
    table: DetectionTable,
    glimpses: Glimpses,
    one: slice,
    other: slice,
    span: int,
    shift: FloatArray,
    pairs: IntArray,
) -> LinkTable:
    """Links between two frames: the given pairs, and what competes with them, which is contested."""
    crowd = 2 if table.joint else 1
    place, number = table.place, int(table.frame[other.start])
    expected = place[one] + shift * table.scale
    sources, targets = np.unique(pairs[0]), np.unique(pairs[1])
    radius = RADIUS * typical_diameter(table)
    here, there = np.arange(one.start, one.stop), np.arange(other.start, other.stop)
    here, there = here[glimpses.used[one]], there[glimpses.used[other]]  # what is no cell is no rival
    ahead = nearest_pairs(expected[sources - one.start], place[there], FORWARD * crowd, radius)
    back = nearest_pairs(place[targets], expected[here - one.start], BACKWARD * crowd, radius)
    shared: dict[tuple[int, int], int] = {}
    for row in np.unique(np.concatenate([sources, here[back[1]]])).tolist():
        for met, count in glimpses.shared(row, shift[row - one.start], number).items():
            if glimpses.used[met]:
                shared[row, met] = count
    overlapping = [pair for pair in shared if pair[0] in set(sources.tolist()) or pair[1] in set(targets.tolist())]
    keys = np.concatenate(
        [
            pairs.T,
            np.stack([sources[ahead[0]], there[ahead[1]]], axis=1),
            np.stack([here[back[1]], targets[back[0]]], axis=1),
            np.array(overlapping, dtype=np.int64).reshape(-1, 2),
        ]
    )
    source, target = np.unique(keys, axis=0).T
    doubt = np.full(len(source), CONTESTED, dtype=np.float32)
    given = {tuple(pair) for pair in pairs.T.tolist()}
    for k, (u, w) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        if (u, w) in given:
            doubt[k] = 0
    distance = np.linalg.norm(place[target] - expected[source - one.start], axis=1)
    between = np.unique(table.frame[one.stop : other.start])
    return LinkTable(
        source,
        target,
        np.full(len(source), span, dtype=np.int8),
        distance,
        np.array([shared.get(pair, 0) for pair in zip(source.tolist(), target.tolist(), strict=True)], dtype=np.int32),
        np.full(len(source), span - 1 - len(between), dtype=np.int8),
        doubt,
    )


def _covered(table: DetectionTable, loose: Loose, glimpses: Glimpses, u: int, w: int, span: int) -> float:
    """The share of the place of a cell, between two of its masks, that others cover in the worst of the missed frames.

    A daughter that is late lies where she is seen first; all other cells are between the two places.
    """
    frame, position = int(table.frame[u]), table.position
    late = loose.future[u] + loose.past[w] >= DEAREST
    worst = 0.0
    for k in range(1, span):
        share = 1.0 if late else k / span
        known = u if share <= 0.5 else w
        move = position[u] + share * (position[w] - position[u]) - position[known]
        worst = max(worst, glimpses.covered(known, move, frame + k * table.step))
    return worst


def clear_pairs(links: LinkTable, evidence: FloatArray) -> IntArray:
    """The pairs of cells that went unseen in between, as far as nothing else explains it.

    Parameters
    ----------
    links : LinkTable
        Those of `find_gaps`.
    evidence : float64 (m,)
        Nats by which each is likelier one cell than two.

    Returns
    -------
    int64 (k,)
        The links, best first and each cell in one of them, whose place is empty in frames that show other
        cells, and that are more likely one cell than not.
    """
    sure = (links.doubt <= COVERED) & (evidence > 0) & (links.missed > links.blank)
    rows = np.flatnonzero(sure)
    ended: set[int] = set()
    begun: set[int] = set()
    clear = []
    for row in rows[np.argsort(-evidence[rows], kind="stable")].tolist():
        u, w = int(links.source[row]), int(links.target[row])
        if u not in ended and w not in begun:
            ended.add(u)
            begun.add(w)
            clear.append(row)
    return np.array(clear, dtype=np.int64)


def is_late(links: LinkTable, loose: Loose) -> BoolArray:
    """Which links are there for a daughter that is seen a frame later than her sister, bool (m,)."""
    return np.asarray((links.doubt <= COVERED) & (loose.between(links.source, links.target) >= DEAREST))


def with_rivals(links: LinkTable, wanted: BoolArray) -> LinkTable:
    """The links that are wanted, and those from the same cells or to them, over as many frames."""
    if not wanted.any():
        return no_links()
    key_u, key_w = links.key(links.source), links.key(links.target)
    return take(links, np.isin(key_u, key_u[wanted]) | np.isin(key_w, key_w[wanted]))
