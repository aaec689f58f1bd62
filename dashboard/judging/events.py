"""Places worth a look: errors against the truth, or, without truth, what a rule finds odd about a result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.data import Tracks, load_graph
from celltrail.evaluation import Evaluation
from celltrail.evaluation.errors import MEANING
from celltrail.evaluation.reports.sequence_report import describe_error

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
NAMES = {
    "NS": "merged cells",
    "FN": "missed cell",
    "FP": "invented cell",
    "ED": "wrong link",
    "EA": "missing link",
    "EC": "wrong kind of link",
    "suspect_gt": "truth looks wrong",
}
DIFFERENCES = {
    "cell only in A": "a cell of A has no mask in B that covers more than half of it and the other way round",
    "cell only in B": "a cell of B has no counterpart in A",
    "link only in A": "both results have the two cells, only A links them",
    "link only in B": "both results have the two cells, only B links them",
}


@dataclass(frozen=True)
class Event:
    """One place: what it is, frame, position (y, x), and the track and truth track concerned (0: none)."""

    kind: str
    frame: int
    y: float
    x: float
    text: str
    track: int = 0
    truth_track: int = 0
    cost: float = 0.0


def errors_of(evaluation: Evaluation) -> list[Event]:
    """Every error against the truth, in order of frames; the costs sum to AOGM."""
    return [
        Event(
            error.type,
            error.frame,
            error.y,
            error.x,
            describe_error(error),
            error.res_track or 0,
            error.gt_track or 0,
            error.cost,
        )
        for error in evaluation.errors
    ]


def name_of(kind: str) -> str:
    """The name of a kind of event in words, with the code that the CTC gives it."""
    return f"{NAMES[kind]} ({kind})" if kind in NAMES else kind


def meaning(kind: str) -> str:
    """What a kind of event means."""
    return {**MEANING, **RULES, **DIFFERENCES}.get(kind, "")


def find_suspects(result: Result) -> list[Event]:
    """What the rules of `RULES` find odd, in order of frames. Needs no truth."""
    return _find_suspects(result, content.stamp(result.layer.folder))


@lru_cache(maxsize=4)
def _find_suspects(result: Result, _stamp: str) -> list[Event]:
    cells = content.cell_table(result)
    if not len(result.tracks) or not len(cells):
        return []
    found = [*_odd_lives(result, cells), *_odd_steps(cells), *_doubtful_links(result)]
    return sorted(found, key=lambda event: (event.frame, event.kind, event.track))


def _odd_lives(result: Result, cells: pd.DataFrame) -> Iterable[Event]:
    tracks: Tracks = result.tracks
    first, last = int(tracks.begin.min()), int(tracks.end.max())
    children = tracks.children()
    height, width = result.labels.shape[-2:]
    names, start = np.unique(cells["track"].to_numpy(), return_index=True)
    stop = np.append(start[1:], len(cells)) - 1
    row_of = {int(name): (int(a), int(b)) for name, a, b in zip(names, start, stop, strict=True)}
    frame, y, x, area = (cells[column].to_numpy() for column in ("frame", "y", "x", "area"))
    inside = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x]) > 1.5 * np.sqrt(area)

    def event(kind: str, label: int, row: int) -> Event:
        return Event(kind, int(frame[row]), float(y[row]), float(x[row]), f"Track {label} {RULES[kind]}.", label)

    for label, begin, end, parent in tracks.rows().tolist():
        if label not in row_of:
            continue
        born, gone = row_of[label]
        if end - begin + 1 < SHORT and begin > first and end < last:
            yield event("short track", label, born)
        if len(children.get(label, [])) == 1:
            yield event("one daughter", label, gone)
        if end < last and label not in children and inside[gone]:
            yield event("ends inside", label, gone)
        if begin > first and not parent and inside[born]:
            yield event("begins inside", label, born)


def _odd_steps(cells: pd.DataFrame) -> Iterable[Event]:
    within = (cells["track"].diff() == 0).to_numpy()
    steps = {
        "jump": content.speed_of(cells),
        "area jump": np.abs(np.log(cells["area"]).diff().to_numpy()),
    }
    for kind, size in steps.items():
        odd = within & (size > _limit(size[within]))
        for row in cells[odd].itertuples():
            yield Event(
                kind, int(row.frame), float(row.y), float(row.x), f"Track {row.track} {RULES[kind]}.", int(row.track)
            )


def _limit(values: NDArray[np.float64]) -> float:
    """Values above it are odd: the median and `OUTLIER` median absolute deviations."""
    if not len(values):
        return float("inf")
    middle = float(np.median(values))
    return middle + OUTLIER * max(float(np.median(np.abs(values - middle))), 1e-9)


def _doubtful_links(result: Result) -> Iterable[Event]:
    path = result.layer.folder / "graph.npz"
    if not path.is_file():
        return
    candidates, solution, track = load_graph(path)
    if solution is None or track is None:
        return
    table = candidates.detections
    for row in np.flatnonzero(solution.link_chosen & (solution.link_margin < DOUBTFUL)).tolist():
        source = int(candidates.links.source[row])
        if not track[source]:
            continue
        _, y, x = table.position[source].tolist()
        margin = max(float(solution.link_margin[row]), 0.0)
        text = f"Track {track[source]}: the best solution without its next link costs only {margin:.2f} nat more."
        yield Event("doubtful link", int(table.frame[source]), y, x, text, int(track[source]))
