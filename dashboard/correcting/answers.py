"""The solution that obeys the corrections made so far, kept in memory: each answer starts from the nearest one known."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from celltrail.dashboard.correcting.graph import Graph
from celltrail.dashboard.correcting.resolve import solve_touched
from celltrail.data import Candidates, Solution
from celltrail.data.errors import raise_if
from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import FORBIDDEN, FREE
from celltrail.tracking.obedience import require_obedience
from celltrail.tracking.solving.pinned import apply_pins, contradictions
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
    """The optimum of a problem with these pins (what they merge is a matter of masks, and is left out).

    Masks are read as in the result: a reading that was not chosen, or a mask that was left out, has no pixels there and
    takes nobody's place.

    Raises
    ------
    InputError
        If pins contradict each other, or cannot be obeyed together.
    """
    raise_if(contradictions(pins))
    wanted = frozenset(pin for pin in pins if not pin.merges)
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
    pinned = apply_pins(_as_shown(problem, wanted), ordered)
    if known:
        nearest = min(known, key=lambda there: len(there ^ wanted))
        cells = {cell for pin in nearest ^ wanted for cell in pin.cells}
        rows = np.array([problem.row(cell) for cell in cells], dtype=np.int64)
        solution = solve_touched(known[nearest].candidates, known[nearest].solution, pinned, rows)
    else:
        solution = solve_candidates(pinned)
    require_obedience(pinned, solution, ordered)
    return Answer(pinned, solution)


def _as_shown(problem: Graph, pins: Iterable[Pin]) -> Candidates:
    """The candidates without those that are not in the result, unless a pin names them."""
    d = problem.candidates.detections
    hidden = ~problem.solution.used
    hidden[[row for pin in pins for cell in pin.cells if (row := problem.row(cell)) is not None]] = False
    fixed = np.where(hidden & (d.fixed == FREE), FORBIDDEN, d.fixed)
    return replace(problem.candidates, detections=replace(d, fixed=fixed, optional=d.optional | hidden))
