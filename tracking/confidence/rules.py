"""What a rule finds odd about a result. It is no evidence that something is wrong, only worth a second look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import chosen_past
from celltrail.data.types import FloatArray, IntArray

OUTLIER = 8.0  # a step is odd when it lies so many median absolute deviations above the median
SHORT = 3  # frames
DOUBTFUL = 1.0  # nats: a link whose best alternative costs less than this more
RULES = {
    "short track": f"lives fewer than {SHORT} frames, and neither at the start nor at the end of the movie",
    "jump": "moves much further than cells usually do from one frame to the next",
    "area jump": "changes its area much more than cells usually do from one frame to the next",
    "one daughter": "continues as one single daughter: a gap, or a division whose other daughter is outside the image or was missed",
    "ends inside": "ends before the movie does, away from the image border, without dividing",
    "begins inside": "begins after the movie does, away from the image border, without mother",
    "doubtful link": f"the best solution without this link costs less than {DOUBTFUL:g} nat more",
}


def odd_cells(
    track: IntArray, frame: IntArray, position: FloatArray, area: FloatArray, tracks: Tracks, shape: tuple[int, ...]
) -> list[tuple[str, int]]:
    """What the rules find: (rule, row of the cell), a track at a time.

    Parameters
    ----------
    track, frame : IntArray
        int64 (n,), of every cell, ordered by track and frame.
    position : FloatArray
        float64 (n, 3), (z, y, x) in pixels.
    area : FloatArray
        float64 (n,), in pixels.
    tracks : Tracks
    shape : tuple[int, ...]
        Of the frames.
    """
    return [*_odd_lives(track, frame, position, area, tracks, shape), *_odd_steps(track, frame, position, area)]


def _odd_lives(
    track: IntArray, frame: IntArray, position: FloatArray, area: FloatArray, tracks: Tracks, shape: tuple[int, ...]
) -> Iterator[tuple[str, int]]:
    first, last, children = int(tracks.begin.min()), int(tracks.end.max()), tracks.children()
    names, start = np.unique(track, return_index=True)
    stop = np.append(start[1:], len(track)) - 1
    rows = {int(name): (int(a), int(b)) for name, a, b in zip(names, start, stop, strict=True)}
    y, x = position[:, 1], position[:, 2]
    inside = np.minimum.reduce([y, x, shape[-2] - 1 - y, shape[-1] - 1 - x]) > 1.5 * np.sqrt(area)
    for label, begin, end, parent in tracks.rows().tolist():
        if label not in rows:
            continue
        born, gone = rows[label]
        if end - begin + 1 < SHORT and begin > first and end < last:
            yield "short track", born
        if len(children.get(label, [])) == 1:
            yield "one daughter", gone
        if end < last and label not in children and inside[gone]:
            yield "ends inside", gone
        if begin > first and not parent and inside[born]:
            yield "begins inside", born


def _odd_steps(track: IntArray, frame: IntArray, position: FloatArray, area: FloatArray) -> Iterator[tuple[str, int]]:
    after = np.flatnonzero(np.diff(track) == 0) + 1
    step = np.linalg.norm(position[after] - position[after - 1], axis=1) / (frame[after] - frame[after - 1])
    growth = np.abs(np.log(area[after] / area[after - 1]))
    for rule, size in (("jump", step), ("area jump", growth)):
        yield from ((rule, row) for row in after[size > _limit(size)].tolist())


def _limit(values: FloatArray) -> float:
    """Values above it are odd: the median and `OUTLIER` median absolute deviations."""
    if not len(values):
        return float("inf")
    middle = float(np.median(values))
    return middle + OUTLIER * max(float(np.median(np.abs(values - middle))), 1e-9)


def rule_doubt(
    candidates: Candidates, solution: Solution, track: IntArray, tracks: Tracks, shape: tuple[int, ...]
) -> FloatArray:
    """How many rules speak against the past of each detection, float64 (n,): at the cell itself, or at its past."""
    d, links = candidates.detections, candidates.links
    rows = np.lexsort((d.frame, track))
    rows = rows[track[rows] > 0]
    count = np.zeros(len(track) + 1)  # the last for "nothing"
    found = odd_cells(track[rows], d.frame[rows], d.position[rows], d.area[rows].astype(float), tracks, shape)
    np.add.at(count, rows[[row for _, row in found]] if found else rows[:0], 1)
    np.add.at(count, links.target[solution.link_chosen & (solution.link_margin < DOUBTFUL)], 1)
    past = chosen_past(candidates, solution)
    return np.asarray(count[:-1] + count[np.where(past < 0, len(track), past)])
