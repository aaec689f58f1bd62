"""Corrections and their consequences in the words of the screen: tracks and frames, not labels of the input masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.correcting.graph import NOBODY, UNUSED, Graph, futures
from celltrail.data import Candidates, Solution
from celltrail.data.columns import row_of_cell
from celltrail.data.files.pins import Cell, Pin

Name = Callable[[Cell], str]


def namer(graph: Graph) -> Name:
    """How the screen names a cell of the input masks: by its track, or, where it is in none, by its place."""

    def name(cell: Cell) -> str:
        row = graph.row(cell)
        if row is None:
            return f"a cell that is not there any more (label {cell[1]})"
        if graph.track[row]:
            return f"track {graph.track[row]}"
        _, y, x = graph.candidates.detections.position[row]
        return f"the cell at y {y:.0f}, x {x:.0f}"

    return name


def in_words(pin: Pin, name: Name) -> str:
    """What a pin says, for people."""
    names = [name(cell) for cell in pin.cells]
    first, frame = names[0], pin.cells[0][0]
    kept = pin.action == "keep"
    if pin.kind == "detection":
        text = f"{first} is {'a' if kept else 'no'} cell in frame {frame}"
    elif pin.kind in ("begin", "end"):
        text = f"{first} {pin.kind}s in frame {frame}"
    elif pin.kind == "merge":
        text = f"{first} and {names[1]} are {'one cell' if kept else 'two cells'} in frame {frame}"
    elif pin.kind == "division":
        does = "divides" if kept else "does not divide"
        into = " and ".join(names[1:] + ["another cell"] * (len(names) == 2))
        text = f"{first} {does} after frame {frame}{' into ' if into else ''}{into}"
    elif first == names[1]:
        later = pin.cells[1][0]
        text = f"{first} goes on from frame {frame} to {later}" if kept else f"{first} is cut after frame {frame}"
    else:
        text = f"{first} {'goes on' if kept else 'does not go on'} after frame {frame} as {names[1]}"
    return text[0].upper() + text[1:]


@dataclass(frozen=True)
class Change:
    """What becomes of a cell in another solution.

    Attributes
    ----------
    what : str
        The sentence.
    frame, track : int
        Where to look, in the numbers of the result that is shown.
    replaced : bool
        Whether something new follows the cell, which it did not before.
    """

    what: str
    frame: int
    track: int
    replaced: bool


def compare_solutions(
    graph: Graph, candidates: Candidates, solution: Solution, now: NDArray[np.int64] | None = None
) -> list[Change]:
    """What becomes of the cells of ``graph`` in another solution, in order of frames.

    Parameters
    ----------
    candidates, solution
        The other solution; its cells are found by frame and label.
    now : NDArray[np.int64] | None
        int64 (n,), the tracks that its detections are in, where they are numbered already.
    """
    before = futures(graph.candidates, graph.solution)
    after, numbers = _in_rows_of(graph, candidates, futures(candidates, solution), now)
    follower = np.full(before.shape[1], NOBODY)
    for following in after:
        follower[following[following >= 0]] = np.flatnonzero(following >= 0)
    rows = np.flatnonzero((np.sort(before, axis=0) != np.sort(after, axis=0)).any(axis=0))
    return [change for row in rows.tolist() for change in _sentences(graph, row, before, after, follower, numbers)]


def _in_rows_of(
    graph: Graph, candidates: Candidates, after: NDArray[np.int64], now: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Futures (and tracks) of other candidates, in the rows of the graph; what is not there any more is unused."""
    old, new = graph.candidates.detections, candidates.detections
    if np.array_equal(old.frame, new.frame) and np.array_equal(old.label, new.label):
        return after, now
    known = row_of_cell(old.frame, old.label)
    row = np.array([known.get(cell, -1) for cell in zip(new.frame.tolist(), new.label.tolist(), strict=True)])
    found = np.full((2, len(old)), UNUSED, dtype=np.int64)
    there = row >= 0
    found[:, row[there]] = np.where(after[:, there] >= 0, row[np.maximum(after[:, there], 0)], after[:, there])
    if now is None:
        return found, None
    numbers = np.zeros(len(old), dtype=np.int64)
    numbers[row[there]] = now[there]
    return found, numbers


def _sentences(
    graph: Graph,
    row: int,
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    follower: NDArray[np.int64],
    numbers: NDArray[np.int64] | None,
) -> Iterator[Change]:
    """What happened to one cell, and to those that followed it and follow nobody now."""
    frame, track = graph.candidates.detections.frame, graph.track
    name = namer(graph)
    me = name(graph.cell(row))
    old, new = ([one for one in column[:, row].tolist() if one >= 0] for column in (before, after))
    names = [name(graph.cell(one)) for one in new]
    when = int(frame[row])
    if after[0, row] == UNUSED:
        text = f"{me} is no cell in frame {when}"
    elif before[0, row] == UNUSED:
        text = f"{me} is a cell in frame {when}" + (f", and goes on as {names[0]}" if names else "")
    elif len(new) == 2:
        text = f"{me} divides after frame {when} into {names[0]} and {names[1]}"
    elif new and len(old) == 2:
        text = f"{me} does not divide after frame {when}: it goes on as {names[0]}"
    elif new and track[new[0]] != track[row]:
        text = f"{me} goes on after frame {when} as {names[0]}"
    elif new:
        text = f"{me} goes on from frame {when} to {frame[new[0]]}"
    else:
        text = f"{me} ends in frame {when}"
    yield Change(_sentence(text), when, int(track[row]), replaced=bool(set(new) - set(old)))
    for one in old:
        if follower[one] == NOBODY and after[0, one] != UNUSED:
            number = f", track {numbers[one]}" if numbers is not None and numbers[one] != track[one] else ""
            begins = int(frame[one])
            part = f"what was {name(graph.cell(one))} from frame {begins} on" if track[one] == track[row] else None
            text = f"{part or name(graph.cell(one))} becomes a track of its own{number}"
            yield Change(_sentence(text), begins, int(track[one]), replaced=False)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
