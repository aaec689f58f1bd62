"""Whether a solution obeys the pins: read in what became of the cells, not in the columns that were fixed for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celltrail.data.errors import raise_if
from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import Candidates, Solution


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
    """The pins that a solution breaks; ``merge`` is a matter of masks, and is not looked at."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    row_of = {key: row for row, key in enumerate(zip(d.frame.tolist(), d.label.tolist(), strict=True))}
    lone = links.lone_daughter
    becomes: dict[int, set[int]] = {}
    divides: dict[int, set[int]] = {}
    for link in np.flatnonzero(solution.link_chosen).tolist():
        kind = divides if lone[link] else becomes
        kind[int(links.source[link])] = {int(links.target[link])}
    for row in np.flatnonzero(solution.division_chosen).tolist():
        divides[int(divisions.mother[row])] = {int(divisions.first[row]), int(divisions.second[row])}
    born = set().union(*becomes.values(), *divides.values())

    def holds(pin: Pin) -> bool:
        """Whether what a pin speaks of is so in the solution."""
        cell, *others = (row_of.get(key, -1) for key in pin.cells)
        if pin.kind == "detection":
            return bool(cell >= 0 and solution.used[cell])
        if pin.kind == "begin":
            return bool(solution.used[cell]) and cell not in born
        if pin.kind == "end":
            return bool(solution.used[cell]) and cell not in becomes and cell not in divides
        if pin.kind == "link":
            return set(others) <= becomes.get(cell, set()) or (
                pin.action == "forbid" and set(others) <= divides.get(cell, set())
            )
        return cell in divides and set(others) <= divides[cell]

    return [pin for pin in pins if pin.kind != "merge" and holds(pin) != (pin.action == "keep")]
