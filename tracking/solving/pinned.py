"""Pins in the programme: kept and forbidden columns, added where they were no candidates.

Contradictions are found here, before anything is solved, and named by frame and label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.columns import concatenate, row_of_cell, take
from celltrail.data.errors import raise_if
from celltrail.data.files.movie import DerivedFrames
from celltrail.data.files.pins import Cell, Pin
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    KEPT,
    NAT,
    SISTER_OUTSIDE,
    Candidates,
    Divisions,
    Links,
    Terms,
    all_free,
    to_units,
)
from celltrail.data.types import IntArray, Masks

NEVER = 10_000 * NAT  # what it costs to end a kept mother, or to begin a kept daughter, in another way


class MergedMasks(DerivedFrames):
    """Masks in which pairs of labels of one frame have become one, the smaller of the two."""

    def __init__(self, masks: Masks, pins: Sequence[Pin]) -> None:
        super().__init__(masks)
        self.pairs = [(*pin.cells[0], pin.cells[1][1]) for pin in pins if pin.kind == "merge" and pin.action == "keep"]
        self.names = merged_names(pins)

    def __getitem__(self, number: int) -> NDArray[Any]:
        given = np.asarray(self.masks[number])
        labels = given.copy()
        for (frame, label), name in self.names.items():
            if frame == number and label != name:
                labels[given == label] = name
        return labels

    def renamed(self, pins: Sequence[Pin]) -> list[Pin]:
        """The pins, of cells as they are called once labels are merged; `InputError` for one that tells two merged cells apart."""
        found = [
            replace(pin, cells=tuple((cell[0], self.names.get(cell, cell[1])) for cell in pin.cells))
            if pin.kind != "merge"
            else pin
            for pin in pins
        ]
        raise_if(
            f"The pins merge cells that another pin tells apart ({pin}): remove one of them."
            for pin, new in zip(pins, found, strict=True)
            if len(set(new.cells)) < len(set(pin.cells))
        )
        return found

    def merged_frames(self) -> dict[int, NDArray[Any]]:
        """Frame number → labels, of the frames in which labels are merged."""
        return {frame: self[frame] for frame in sorted({frame for frame, _, _ in self.pairs})}

    def missing(self) -> list[str]:
        """Merges that name a label which its frame does not have."""
        return [
            f"The pins merge cell {label} of frame {frame}, but the masks have no such cell."
            for frame, *labels in self.pairs
            for label in labels
            if frame not in self.masks or not (np.asarray(self.masks[frame]) == label).any()
        ]


def merged_names(pins: Sequence[Pin]) -> dict[Cell, int]:
    """Frame and label of each cell that pins merge with others → the smallest label of them all."""
    names: dict[Cell, int] = {}
    for pin in pins:
        if pin.kind == "merge" and pin.action == "keep":
            frame = pin.cells[0][0]
            old = {names.get(cell, cell[1]) for cell in pin.cells}  # a third label may join a pair
            known = {label for (number, label), name in names.items() if number == frame and name in old}
            names |= {(frame, label): min(old) for label in old | known}
    return names


def apply_pins(candidates: Candidates, pins: Sequence[Pin]) -> Candidates:
    """The problem with pins obeyed: fixed columns, and new ones for pinned pairs that were no candidates.

    A pin speaks of cells, so it fixes every column that says the same of them: a link that is forbidden is forbidden
    as a part of a division, too. `celltrail.tracking.obedience.require_obedience` reads in the solution that it has worked.

    Raises
    ------
    data.InputError
        With every pin on a cell that does not exist, and every pair of pins that contradict each other.
    """
    pins = [pin for pin in pins if pin.kind != "merge"]
    if not pins:
        return candidates
    d = candidates.detections
    row_of = row_of_cell(d.frame, d.label)
    raise_if(
        f"The pins name cell {label} of frame {frame}, but the masks have no such cell."
        for frame, label in dict.fromkeys(cell for pin in pins for cell in pin.cells)
        if (frame, label) not in row_of
    )
    raise_if(_contradictions(pins))
    free = _with_free_daughter(candidates, _rows(pins, "division", 2, row_of))
    result = replace(
        candidates,
        detections=replace(
            d, fixed=d.fixed.copy(), optional=d.optional.copy(), appear=d.appear.copy(), disappear=d.disappear.copy()
        ),
        links=_with_links(candidates.links, _rows(pins, "link", 2, row_of)),
        divisions=_with_divisions(candidates.divisions, np.concatenate([_rows(pins, "division", 3, row_of), free])),
    )
    for pin in pins:
        _fix(result, pin, [row_of[cell] for cell in pin.cells])
    return result


def _rows(pins: Sequence[Pin], kind: str, cells: int, row_of: dict[Cell, int]) -> IntArray:
    found = [[row_of[c] for c in pin.cells] for pin in pins if pin.kind == kind and len(pin.cells) == cells]
    return np.array(found, dtype=np.int64).reshape(-1, cells)


def _with_free_daughter(candidates: Candidates, pairs: IntArray) -> IntArray:
    """Triples of a mother, her pinned daughter, and every other target of hers in the same frame."""
    links, frame = candidates.links, candidates.detections.frame
    found = [
        (mother, daughter, other)
        for mother, daughter in pairs.tolist()
        for other in links.target[(links.source == mother) & (frame[links.target] == frame[daughter])].tolist()
        if other != daughter
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _with_links(links: Links, pairs: IntArray) -> Links:
    new = _not_among((links.source, links.target), pairs)
    if not len(new):
        gain = {name: term.copy() for name, term in links.terms.items() if name == SISTER_OUTSIDE}
        return replace(links, cost=links.cost.copy(), fixed=links.fixed.copy(), terms={**links.terms, **gain})
    added = Links(source=new[:, 0], target=new[:, 1], **_unpriced(len(new), links.terms))
    both = concatenate([links, added])
    return take(both, np.lexsort((both.target, both.source)))


def _with_divisions(divisions: Divisions, triples: IntArray) -> Divisions:
    triples = np.concatenate([triples[:, :1], np.sort(triples[:, 1:], axis=1)], axis=1)
    new = _not_among((divisions.mother, divisions.first, divisions.second), triples)
    if not len(new):
        return replace(divisions, fixed=divisions.fixed.copy())
    mother, first, second = new.T
    added = Divisions(mother=mother, first=first, second=second, **_unpriced(len(new), divisions.terms))
    both = concatenate([divisions, added])
    return take(both, np.lexsort((both.second, both.first, both.mother)))


def _not_among(columns: Sequence[IntArray], wanted: IntArray) -> IntArray:
    """The rows of ``wanted`` that the columns do not have, each once."""
    near = np.isin(columns[0], wanted[:, 0])
    known = set(zip(*(column[near].tolist() for column in columns), strict=True))
    new = [row for row in dict.fromkeys(map(tuple, wanted.tolist())) if row not in known]
    return np.array(new, dtype=np.int64).reshape(-1, len(columns))


def _unpriced(n: int, terms: Terms) -> dict[str, Any]:
    """Cost, pins and terms of ``n`` columns that were no candidates."""
    none = {name: np.zeros(n, dtype=term.dtype) for name, term in terms.items()}
    return {"cost": np.zeros(n, dtype=np.int64), "fixed": all_free(n), "terms": none}


def _fix(candidates: Candidates, pin: Pin, rows: list[int]) -> None:
    """Write one pin into the ``fixed`` columns."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    value = KEPT if pin.action == "keep" else FORBIDDEN
    born = (divisions.first == rows[-1]) | (divisions.second == rows[-1])
    if pin.kind == "detection":
        d.fixed[rows[0]] = value
        d.optional[rows[0]] |= value == FORBIDDEN
    elif pin.kind == "link":
        pair = (links.source == rows[0]) & (links.target == rows[1])
        links.fixed[pair] = value
        _move_only(links, pair)
        if pin.action == "forbid":
            divisions.fixed[(divisions.mother == rows[0]) & born] = FORBIDDEN
    elif pin.kind == "begin":
        d.fixed[rows[0]] = KEPT
        links.fixed[links.target == rows[0]] = FORBIDDEN
        divisions.fixed[born] = FORBIDDEN
    elif pin.kind == "end":
        d.fixed[rows[0]] = KEPT
        links.fixed[links.source == rows[0]] = FORBIDDEN
        divisions.fixed[divisions.mother == rows[0]] = FORBIDDEN
    elif pin.kind == "division":
        _fix_division(candidates, pin, *rows)


def _fix_division(candidates: Candidates, pin: Pin, mother: int, *daughters: int) -> None:
    """Keep or forbid the divisions of a mother into these daughters, the others free."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    named = divisions.mother == mother
    outside = (links.source == mother) & links.lone_daughter  # the other daughter is outside the image
    for daughter in daughters:
        named &= (divisions.first == daughter) | (divisions.second == daughter)
        outside &= links.target == daughter
    if pin.action == "forbid":
        divisions.fixed[named] = FORBIDDEN
        if len(daughters) < 2:
            _move_only(links, outside)
        return
    if len(daughters) == 2:
        divisions.fixed[named] = KEPT
        return
    other = (divisions.mother == mother) | (divisions.first == daughters[0]) | (divisions.second == daughters[0])
    divisions.fixed[other & ~named] = FORBIDDEN
    links.fixed[((links.source == mother) | (links.target == daughters[0])) & ~outside] = FORBIDDEN
    d.disappear[mother] = d.appear[daughters[0]] = NEVER


def _move_only(links: Links, rows: NDArray[np.bool_]) -> None:
    """Make of some links what they are without a second daughter outside the image, at the cost of that."""
    gain = links.terms.get(SISTER_OUTSIDE)
    if gain is not None:
        links.cost[rows] -= to_units(gain[rows])
        gain[rows] = 0


def _contradictions(pins: Sequence[Pin]) -> list[str]:
    """Pins that cannot hold together, as sentences."""
    problems = []
    action: dict[tuple[str, tuple[Cell, ...]], str] = {}
    for pin in pins:
        key = pin.kind, (pin.cells[0], *sorted(pin.cells[1:]))
        if action.setdefault(key, pin.action) != pin.action:
            problems.append(f"The pins both keep and forbid the same {pin.kind} ({pin}): remove one of them.")
    forbidden = {pin.cells[0] for pin in pins if pin.kind == "detection" and pin.action == "forbid"}
    past: dict[Cell, Pin] = {}
    future: dict[Cell, Pin] = {}
    follows = {pair: pin for pin in pins if pin.action == "keep" for pair in _pairs(pin)}
    divides = {pin.cells[0]: pin for pin in pins if pin.action == "keep" and pin.kind == "division"}
    for pin in pins:
        if pin.action == "forbid":
            said = [follows.get(pair) for pair in _pairs(pin)] if pin.kind == "link" else []
            said += [divides.get(pin.cells[0])] if pin.kind == "division" and len(pin.cells) == 1 else []
            said += (
                [follows.get((pin.cells[0], pin.cells[1]))] if pin.kind == "division" and len(pin.cells) == 2 else []
            )
            problems += [
                f"One of the pins forbids what another keeps ({pin}; {other}): remove one of them."
                for other in said
                if other is not None and (other.kind, pin.kind) != ("link", "division")
            ]
            continue
        if pin.kind == "detection":
            continue
        for cell in pin.cells:
            if cell in forbidden:
                problems.append(
                    f"The pins forbid cell {cell[1]} of frame {cell[0]}, but also {pin}: remove one of them."
                )
        ends = [] if pin.kind == "begin" else [(future, pin.cells[0], "futures")]
        ends += [(past, cell, "pasts") for cell in (pin.cells if pin.kind == "begin" else pin.cells[1:])]
        for known, cell, word in ends:
            other = known.setdefault(cell, pin)
            if other.kind != pin.kind or set(other.cells) != set(pin.cells):
                problems.append(
                    f"Cell {cell[1]} of frame {cell[0]} has two pinned {word} ({other}; {pin}): remove one of them."
                )
    return list(dict.fromkeys(problems))


def _pairs(pin: Pin) -> list[tuple[Cell, Cell]]:
    """The pairs of cells of which a pin on a link or a division says that the second follows the first."""
    return [(pin.cells[0], cell) for cell in pin.cells[1:]] if pin.kind in ("link", "division") else []
