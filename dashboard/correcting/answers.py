"""The solution that obeys the corrections made so far, kept in memory: each answer starts from the nearest one known."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from celltrail.dashboard.correcting.graph import Graph
from celltrail.dashboard.correcting.resolve import solve_touched
from celltrail.data import Candidates, Solution
from celltrail.data.files.pins import Pin
from celltrail.tracking.obedience import require_obedience
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

KEPT = 4  # answers; a click needs the one before, an undo the one before that


@dataclass(frozen=True, eq=False)
class Answer:
    """Candidates with pins, and their proven optimum."""

    candidates: Candidates
    solution: Solution


_known: OrderedDict[tuple[int, frozenset[Pin]], tuple[Graph, Answer]] = OrderedDict()
_lock = threading.Lock()


def answer(problem: Graph, pins: list[Pin]) -> Answer:
    """The optimum of a problem with these pins (merges are a matter of masks, and are left out).

    Raises
    ------
    InputError
        If pins contradict each other, or cannot be obeyed together.
    """
    wanted = frozenset(pin for pin in pins if pin.kind != "merge")
    key = id(problem), wanted
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key][1]
        known = {there: found for (whose, there), (_, found) in _known.items() if whose == id(problem)}
    if problem.fits:
        known[frozenset()] = Answer(problem.candidates, problem.solution)
    found = _solve(problem, wanted, known)
    with _lock:
        _known[key] = problem, found  # the problem is kept with it: its id stays its own
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found


def _solve(problem: Graph, wanted: frozenset[Pin], known: dict[frozenset[Pin], Answer]) -> Answer:
    if wanted in known:
        return known[wanted]
    ordered = sorted(wanted, key=lambda pin: (pin.cells, pin.kind, pin.action))
    pinned = apply_pins(problem.candidates, ordered)
    if known:
        nearest = min(known, key=lambda there: len(there ^ wanted))
        cells = {cell for pin in nearest ^ wanted for cell in pin.cells}
        rows = np.array([problem.row(cell) for cell in cells], dtype=np.int64)
        solution = solve_touched(known[nearest].candidates, known[nearest].solution, pinned, rows)
    else:
        solution = solve_candidates(pinned)
    require_obedience(pinned, solution, ordered)
    return Answer(pinned, solution)
