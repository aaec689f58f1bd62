"""Places worth a look: errors against the truth, or, without truth, what a rule finds odd about a result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.data import load_graph
from celltrail.evaluation import Evaluation
from celltrail.evaluation.errors import MEANING, describe_error
from celltrail.tracking.confidence.rules import DOUBTFUL, RULES, odd_cells

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
            kind=error.type,
            frame=error.frame,
            y=error.y,
            x=error.x,
            text=describe_error(error),
            track=error.res_track or 0,
            truth_track=error.gt_track or 0,
            cost=error.cost,
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
    """What the rules of `RULES` find odd, in order of frames; needs no truth, and is no evidence."""
    return _find_suspects(result, content.stamp(result.layer.folder))


@lru_cache(maxsize=4)
def _find_suspects(result: Result, _stamp: str) -> list[Event]:
    cells = content.cell_table(result)
    if not len(result.tracks) or not len(cells):
        return []
    track, frame, area = (cells[name].to_numpy() for name in ("track", "frame", "area"))
    position = cells[["z", "y", "x"]].to_numpy(dtype=np.float64)
    shape = tuple(result.labels.shape)
    found = [
        Event(
            kind=rule,
            frame=int(frame[row]),
            y=float(position[row, 1]),
            x=float(position[row, 2]),
            text=f"Track {track[row]} {RULES[rule]}.",
            track=int(track[row]),
        )
        for rule, row in odd_cells(track, frame, position, area.astype(np.float64), result.tracks, shape)
    ]
    return sorted([*found, *_doubtful_links(result)], key=lambda event: (event.frame, event.kind, event.track))


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
        yield Event(kind="doubtful link", frame=int(table.frame[source]), y=y, x=x, text=text, track=int(track[source]))
