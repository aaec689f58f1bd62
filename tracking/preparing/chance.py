"""What a movie itself says about gaps: how links over several frames look in it, and how often chance brings one.

A cell that was seen all the time shows what it would look like had it gone unseen in between. And an end and a
beginning near each other in space, but in the wrong order or too far apart in time, are surely no gap. For each pair of
frames there are as many of them as of those that only look like one, however fast and dense the cells are, and wherever
they come and go.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, pi

import numpy as np
from scipy.spatial import cKDTree

from celltrail.data.graph.candidates import NAT, Candidates, Solution
from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.candidates.features import link_features
from celltrail.tracking.candidates.gaps import as_if_unseen, within
from celltrail.tracking.candidates.loose import Loose
from celltrail.tracking.candidates.parts import UnpricedCandidates
from celltrail.tracking.costs.pricing import CostModel
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import DetectionTable

RARE = 0.05  # of the links, at most, are not usual


@dataclass(frozen=True)
class UsualLink:
    """Links of a movie over some steps, from cells that were seen in between.

    Attributes
    ----------
    logit : FloatArray
        float64 (k,), log-odds of some of them, ascending.
    reach : float
        Distance from where drift would take a cell that all but a few of them stay within, in the voxel's x.
    """

    logit: FloatArray
    reach: float

    @property
    def least(self) -> float:
        """Log-odds that almost all of them exceed, at most 0: cells that move fast are hardly known again."""
        return min(float(np.quantile(self.logit, RARE)), 0.0) if len(self.logit) else 0.0

    def share(self, lacking: FloatArray) -> FloatArray:
        """The share that would be evidence where an end and a beginning are ``lacking`` nats cheaper than inside."""
        needed = np.where(lacking > 1 / NAT, lacking, self.least)
        return np.asarray(1 - np.searchsorted(self.logit, needed, side="right") / max(len(self.logit), 1))


def next_cells(candidates: Candidates, solution: Solution) -> IntArray:
    """The cell of the next frame that each goes on as, where that is likelier than not, int64 (n,); -1: none."""
    frame, links = candidates.detections.frame, candidates.links
    next_frame = frame[links.target] - frame[links.source] == candidates.step
    likely = np.flatnonzero(solution.link_chosen & next_frame & (links.cost < 0))
    followed = np.full(len(frame), -1)
    followed[links.source[likely]] = links.target[likely]
    return followed


def usual_links(
    problem: UnpricedCandidates, followed: IntArray, model: CostModel, glimpses: Glimpses, spans: IntArray
) -> dict[int, UsualLink]:
    """The usual links over some spans; a span that no track is long enough for is like the longest that is known."""
    usual, known = {}, UsualLink(np.zeros(0), 0.0)
    for span in spans.tolist():
        table, links = as_if_unseen(problem.table, followed, glimpses, span)
        own = links.doubt == 0
        if own.any():
            logit, _ = model.link(link_features(table, links, problem.usual), len(links))
            known = UsualLink(np.sort(logit[own]), float(np.quantile(links.distance[own], 1 - RARE)))
        usual[span] = known
    return usual


def count_by_chance(
    table: DetectionTable,
    loose: Loose,
    solution: Solution,
    objects: IntArray,
    usual: dict[int, UsualLink],
    inside: float,
    max_gap: int,
) -> float:
    """How many pairs of an end and a beginning are expected to look like a gap, though none is one.

    Told by pairs of two objects near each other, in the wrong order or with more frames than a gap in between; as many
    of them count as usual links would be evidence there. Where these are few, all ends and beginnings, as if they lay
    anywhere in the image and at any time, say it, too.

    Parameters
    ----------
    table : DetectionTable
        The cells of the movie.
    loose : Loose
        What it costs to set them free.
    solution : Solution
        Which of them end and begin.
    objects : int64 (n,)
        The same number for cells of one object, as far as that is clear.
    usual : dict[int, UsualLink]
        What links over each span of a gap look like.
    inside : float
        Nats that an end and a beginning inside the image cost.
    max_gap : int
        Frames in which a cell may go unseen.
    """
    ended = np.flatnonzero(solution.disappears & np.isfinite(loose.future) & (loose.future < 0))
    begun = np.flatnonzero(solution.appears & np.isfinite(loose.past) & (loose.past < 0))
    if not usual or not len(ended) or not len(begun):
        return 0.0
    time, place = table.time, table.place
    frames = int(time.max()) + 1
    u, w = within(cKDTree(place[begun]), ended, place[ended], max(one.reach for one in usual.values()))
    lag, distance = time[begun[w]] - time[u], np.linalg.norm(place[begun[w]] - place[u], axis=1)
    no_gap = ((lag < 1) | (lag > max_gap + 1)) & (objects[u] != objects[begun[w]])
    away, lacking = distance[no_gap], (inside + loose.between(u, begun[w]))[no_gap]
    elsewhere = frames**2 - sum(max(frames - k, 0) for k in range(1, max_gap + 2))  # pairs of frames
    room = float(np.prod(np.array(table.shape) * table.scale[3 - table.ndim :]))
    ball = pi ** (table.ndim / 2) / gamma(table.ndim / 2 + 1)  # of radius 1
    end, ends = np.unique(loose.future[ended], return_counts=True)
    begin, begins = np.unique(loose.past[begun], return_counts=True)
    all_pairs, all_lacking = np.multiply.outer(ends, begins), inside + np.add.outer(end, begin)
    expected = 0.0
    for span, one in usual.items():
        near = one.share(lacking[away <= one.reach]).sum() / elsewhere
        anywhere = (all_pairs * one.share(all_lacking)).sum() * min(ball * one.reach**table.ndim / room, 1.0)
        expected += max(frames - span, 0) * (near + anywhere / frames**2)
    return float(expected)


def first_cells(followed: IntArray) -> IntArray:
    """The cell that the track of each begins with, int64 (n,)."""
    first = np.arange(len(followed))
    first[followed[followed >= 0]] = np.flatnonzero(followed >= 0)
    while (first != first[first]).any():
        first = first[first]
    return first
