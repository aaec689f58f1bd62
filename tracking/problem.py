"""A movie's tracking problem before it has costs: what may follow what, and how it looks.

The links of a whole movie are a few numbers each. Features are many, so they are made for some frames at a
time and forgotten once they have been turned into costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tracking.candidates import LinkTable, find_divisions, find_links
from tracking.detections import DetectionTable
from tracking.features import Features, Usual, division_features, link_features, what_is_usual

IntArray = NDArray[np.int64]

PART = 100_000  # links of a part, if its frames are not fuller than that


@dataclass(frozen=True)
class Part:
    """The candidates out of some consecutive frames, with their features.

    offset : row of the movie at which ``table`` begins. table : the cells of these frames, and of those that the
    links lead to. first, second : int64 (d,), candidate divisions as pairs of rows of ``links``.
    """

    offset: int
    table: DetectionTable
    links: LinkTable
    first: IntArray
    second: IntArray
    link_features: Features
    division_features: Features


@dataclass
class Problem:
    """The candidate links of a movie, and what is usual in it."""

    table: DetectionTable
    links: LinkTable
    usual: Usual

    @cached_property
    def whole(self) -> Part:
        """The candidates of the whole movie, with all features at once: for movies that are small enough."""
        return self._part(0, len(self.table), len(self.table))

    def parts(self) -> Iterator[Part]:
        """The movie in parts of some frames each, in order; every link and division is in one of them."""
        if len(self.links) <= PART:
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
        table, usual = self.table.between(begin, last), self.usual.between(begin, last)
        links = self.links.leaving(begin, end, begin)
        first, second = find_divisions(table, links, usual.diameter)
        of_links = link_features(table, links, usual)
        of_divisions = division_features(table, links, first, second, of_links, usual)
        return Part(begin, table, links, first, second, of_links, of_divisions)


def pose(table: DetectionTable, *, max_gap: int = 0) -> Problem:
    """Find the candidate links of a movie, over up to ``max_gap`` unseen frames."""
    links = find_links(table, max_gap=max_gap)
    return Problem(table, links, what_is_usual(table, links))
