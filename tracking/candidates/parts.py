"""A movie's tracking problem before it has costs: what may follow what, and how it looks.

The links of a whole movie are a few numbers each. Features are many, so they are made for some frames at a
time and forgotten once they have been turned into costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np

from celltrail.data.columns import concatenate
from celltrail.data.running.workers import Mapper
from celltrail.data.types import IntArray
from celltrail.tracking.candidates.features import Features, Usual, division_features, link_features, what_is_usual
from celltrail.tracking.candidates.links import LinkTable, find_divisions, find_links, typical_diameter
from celltrail.tracking.measuring.table import DetectionTable

PART = 50_000  # links of a part, if its frames are not fuller than that
FEW = 15_000  # cells of a chunk in which links are searched, likewise


@dataclass(frozen=True)
class Part:
    """The candidates out of some consecutive frames; divisions and features are made when they are asked for.

    It travels to whoever turns it into costs, so it holds what is needed for that and no more.

    Attributes
    ----------
    offset : int
        Row of the movie at which ``table`` begins.
    table : DetectionTable
        The cells of these frames, and of those that the links lead to.
    usual : Usual
        What is usual in the movie, for these rows.
    """

    offset: int
    table: DetectionTable
    links: LinkTable
    usual: Usual

    @cached_property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """Candidate divisions as pairs of rows of ``links``, int64 (d,) each."""
        return find_divisions(self.table, self.links, self.usual.diameter)

    @property
    def first(self) -> IntArray:
        """The link to the first daughter of each candidate division."""
        return self.pairs[0]

    @property
    def second(self) -> IntArray:
        """The link to the second daughter of each candidate division."""
        return self.pairs[1]

    @cached_property
    def link_features(self) -> Features:
        """See `celltrail.tracking.candidates.features.link_features`."""
        return link_features(self.table, self.links, self.usual)

    @cached_property
    def division_features(self) -> Features:
        """See `celltrail.tracking.candidates.features.division_features`."""
        return division_features(self.table, self.links, self.first, self.second, self.link_features, self.usual)


@dataclass
class UnpricedCandidates:
    """The candidate links of a movie, and what is usual in it."""

    table: DetectionTable
    links: LinkTable
    usual: Usual

    @property
    def small(self) -> bool:
        """Whether the movie is a single part."""
        return len(self.links) <= PART

    @cached_property
    def whole(self) -> Part:
        """The candidates of the whole movie, with all features at once: for movies that are small enough."""
        return self._part(0, len(self.table), len(self.table))

    def parts(self) -> Iterator[Part]:
        """The movie in parts of some frames each, in order; every link and division is in one of them."""
        if self.small:
            yield self.whole
            return
        start = self.table.frame_starts()
        links = np.searchsorted(self.links.source, start)  # before each frame
        reach = int(self.links.span.max()) + 1  # and a frame more: how daughters go on
        i = 0
        while i < len(start) - 1:
            j = max(int(np.searchsorted(links, links[i] + PART, side="right")) - 1, i + 1)
            yield self._part(start[i], start[j], start[min(j + reach, len(start) - 1)])
            i = j

    def _part(self, begin: int, end: int, last: int) -> Part:
        """The candidates out of the rows ``begin`` to ``end``, which lead no further than to row ``last``."""
        links = self.links.leaving(begin, end, begin)
        return Part(begin, self.table.between(begin, last), links, self.usual.between(begin, last))


def find_candidates(table: DetectionTable, *, max_gap: int = 0, mapper: Mapper = map) -> UnpricedCandidates:
    """Find the candidate links of a movie, over up to ``max_gap`` unseen frames; ``mapper``: where it is done."""
    links = find_links(table, max_gap=max_gap) if len(table) <= FEW else _find_in_chunks(table, max_gap, mapper)
    return UnpricedCandidates(table, links, what_is_usual(table, links))


def _find_in_chunks(table: DetectionTable, max_gap: int, mapper: Mapper) -> LinkTable:
    """The candidate links of a movie, found in chunks of some frames wherever ``mapper`` sends them."""
    start = table.frame_starts()
    search = partial(_search, max_gap=max_gap, diameter=typical_diameter(table))
    edges = [0]
    while edges[-1] < len(start) - 1:
        edges.append(max(int(np.searchsorted(start, start[edges[-1]] + FEW, side="right")) - 1, edges[-1] + 1))
    chunks = ((table.between(start[i], start[min(j + max_gap + 1, len(start) - 1)]), j - i) for i, j in pairwise(edges))
    found = zip(edges, mapper(search, chunks), strict=False)
    return concatenate(links.moved(int(start[i])) for i, links in found)


def _search(chunk: tuple[DetectionTable, int], *, max_gap: int, diameter: float) -> LinkTable:
    table, frames = chunk
    return find_links(table, max_gap=max_gap, diameter=diameter, frames=frames)
