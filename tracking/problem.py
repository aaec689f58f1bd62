"""A movie's tracking problem before it has costs: what may follow what, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking.candidates import LinkTable, find_divisions, find_links
from tracking.detections import DetectionTable
from tracking.features import Features, division_features, link_features

IntArray = NDArray[np.int64]


@dataclass
class Problem:
    """Candidates and their features.

    first, second : int64 (d,), candidate divisions as pairs of rows of ``links``.
    """

    table: DetectionTable
    links: LinkTable
    first: IntArray
    second: IntArray
    link_features: Features
    division_features: Features


def pose(table: DetectionTable, *, max_gap: int = 0) -> Problem:
    """Find the candidates of a movie, with links over up to ``max_gap`` unseen frames, and measure their features."""
    links = find_links(table, max_gap=max_gap)
    first, second = find_divisions(table, links)
    of_links = link_features(table, links)
    of_divisions = division_features(table, links, first, second, of_links)
    return Problem(table, links, first, second, of_links, of_divisions)
