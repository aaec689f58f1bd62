"""The probabilities of a result at its cells, links, tracks and cell cycles, by frame and label of its masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.formats.points import Points, links_of, points_from_links
from celltrail.data.graph.candidates import load_graph
from celltrail.data.graph.confidence import NOTHING, chosen_past, past_probability, read_confidence
from celltrail.data.types import FloatArray


@dataclass(frozen=True)
class Certainty:
    """What is known of a result.

    Attributes
    ----------
    past : Mapping[tuple[int, int], float]
        (frame, label) → the probability that its link to the past is right; not of cells that begin.
    begin : Mapping[tuple[int, int], float]
        The same for cells that begin without a past, after the first frame.
    division : Mapping[int, float]
        Label of a mother → the probability that she divides into these two.
    """

    past: Mapping[tuple[int, int], float]
    begin: Mapping[tuple[int, int], float]
    division: Mapping[int, float]

    @property
    def right(self) -> dict[tuple[int, int], float]:
        """(frame, label) → the probability that its past is right, links and beginnings."""
        return {**self.begin, **self.past}


def read_certainty(graph: Path) -> Certainty | None:
    """Read from ``graph.npz`` of a result; ``None`` where there is none, or none with probabilities."""
    if not graph.is_file():
        return None
    candidates, solution, track = load_graph(graph)
    confidence = read_confidence(graph)
    if solution is None or track is None or confidence is None:
        return None
    right, past = past_probability(candidates, solution, confidence), chosen_past(candidates, solution)
    names = list(zip(candidates.detections.frame.tolist(), track.tolist(), strict=True))
    asked = np.flatnonzero(np.isfinite(right) & (track > 0)).tolist()
    chosen = np.flatnonzero(solution.division_chosen)
    mothers = track[candidates.divisions.mother[chosen]].tolist()
    return Certainty(
        {names[row]: float(right[row]) for row in asked if past[row] != NOTHING},
        {names[row]: float(right[row]) for row in asked if past[row] == NOTHING},
        dict(zip(mothers, confidence.division[chosen].astype(np.float64).tolist(), strict=True)),
    )


def link_probabilities(points: Points, certainty: Certainty) -> FloatArray:
    """The probability of each link of `celltrail.data.formats.points.links_of`, float64 (k,); NaN into masks that were filled in."""
    keys = zip(points.frame.tolist(), points.label.tolist(), strict=True)
    right = np.array([certainty.past.get(key, np.nan) for key in keys], dtype=np.float64)
    return np.asarray(right[links_of(points)[:, 1]])


def track_probabilities(
    points: Points, joined: Mapping[int, int], certainty: Certainty
) -> tuple[dict[int, float], dict[int, float]]:
    """The probability that a whole track is right, and that its whole cell cycle is, by joined track.

    A track is right if all its links are; a cycle if birth, links and division are. They are products: errors of a
    track are taken to be independent, which is on the safe side where one error makes another.
    """
    whole = dict.fromkeys(joined.values(), 1.0)
    birth: dict[int, float] = {}
    first: dict[int, int] = {}
    for frame, label in zip(points.frame.tolist(), points.label.tolist(), strict=True):
        track = joined[label]
        value = certainty.past.get((frame, label), 1.0)
        if track not in first:
            first[track] = frame
            birth[track] = value
        else:
            whole[track] *= value
    labels: dict[int, float] = {}
    for mother, value in certainty.division.items():
        if mother in joined:
            labels[joined[mother]] = value
    cycle = {track: whole[track] * birth[track] * labels[track] for track in first if track in labels}
    return whole, cycle


def keep_certain(points: Points, certainty: Certainty, least: float) -> tuple[Points, float]:
    """The points with only those links whose probability is at least ``least``, and the share of the links that is.

    Raises
    ------
    InputError
        If ``least`` is not between 0 and 1.
    """
    if not 0 <= least <= 1:
        raise InputError(f"--certain {least:g}: give a probability, from 0 to 1.")
    links, right = links_of(points), link_probabilities(points, certainty)
    kept = ~(right < least)  # a filled mask has no doubt of its own: the link out of it has
    parts = points_from_links(
        points.frame,
        points.position,
        links[kept],
        area=points.area,
        ndim=points.ndim,
        voxel=points.voxel,
        interval=points.interval,
    )
    return parts, float(kept.mean()) if len(links) else 1.0
