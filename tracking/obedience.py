"""Whether a solution obeys the pins: read in what became of the cells, not in the columns that were fixed for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celltrail.data.errors import raise_if
from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.tracking.solving.pinned import named_rows


def require_obedience(candidates: Candidates, solution: Solution, pins: Sequence[Pin]) -> None:
    """Refuse a solution that breaks a pin.

    Parameters
    ----------
    candidates : Candidates
        The problem, with the pins.
    solution : Solution
        Its answer.
    pins : sequence of Pin
        What it must obey.

    Raises
    ------
    data.InputError
        With every pin that is broken: nothing in the candidates obeys them all at once.
    """
    raise_if(
        f"The pins cannot all be obeyed: no solution was found that does '{pin}' beside the others; remove one of them."
        for pin in broken_pins(candidates, solution, pins)
    )


def broken_pins(candidates: Candidates, solution: Solution, pins: Sequence[Pin]) -> list[Pin]:
    """The pins that a solution breaks; that two masks are two cells is a matter of masks, and is not looked at."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    row_of = named_rows(d, pins)
    lone = links.lone_daughter & solution.link_chosen
    plain = solution.link_chosen & ~lone
    born = np.zeros(len(d), dtype=np.bool_)
    becomes = np.full(len(d), -1)
    becomes[links.source[plain]] = links.target[plain]
    born[links.target[solution.link_chosen]] = True
    divides = {int(links.source[link]): {int(links.target[link])} for link in np.flatnonzero(lone).tolist()}
    for row in np.flatnonzero(solution.division_chosen).tolist():
        divides[int(divisions.mother[row])] = {int(divisions.first[row]), int(divisions.second[row])}
        born[list(divides[int(divisions.mother[row])])] = True

    def holds(pin: Pin) -> bool:
        """Whether what a pin speaks of is so in the solution."""
        cell, *others = (row_of.get(key, -1) for key in pin.cells)
        if pin.kind in ("detection", "merge"):
            return bool(cell >= 0 and solution.used[cell])
        if pin.kind == "begin":
            return bool(solution.used[cell]) and not born[cell]
        if pin.kind == "end":
            return bool(solution.used[cell]) and becomes[cell] < 0 and cell not in divides
        if pin.kind == "link":
            return becomes[cell] == others[0] or (pin.action == "forbid" and others[0] in divides.get(cell, set()))
        return cell in divides and set(others) <= divides[cell]

    return [pin for pin in pins if (pin.kind != "merge" or pin.merges) and holds(pin) != (pin.action == "keep")]
