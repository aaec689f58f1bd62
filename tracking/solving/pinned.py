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
from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.pins import Cell, Pin
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    KEPT,
    NAT,
    SISTER_OUTSIDE,
    Candidates,
    Detections,
    Divisions,
    Links,
    Terms,
    all_free,
    to_units,
)
from celltrail.data.types import IntArray
from celltrail.data.words import counted

NEVER = 10_000 * NAT  # what it costs to end a kept mother, or to begin a kept daughter, in another way


def merged_names(pins: Sequence[Pin]) -> dict[Cell, int]:
    """Frame and label of each cell that pins merge with others → the smallest label of them all."""
    names: dict[Cell, int] = {}
    for pin in pins:
        if pin.merges:
            frame = pin.cells[0][0]
            old = {names.get(cell, cell[1]) for cell in pin.cells}  # a third label may join a pair
            known = {label for (number, label), name in names.items() if number == frame and name in old}
            names |= {(frame, label): min(old) for label in old | known}
    return names


def of_merged(pins: Sequence[Pin]) -> list[Pin]:
    """The pins, with the cells that some of them merge called by the name of the whole."""
    names = merged_names(pins)
    return [
        replace(pin, cells=tuple((frame, names.get((frame, label), label)) for frame, label in pin.cells))
        for pin in pins
    ]


def apply_pins(candidates: Candidates, pins: Sequence[Pin]) -> Candidates:
    """The problem with pins obeyed: fixed columns, and new ones for pinned pairs that were no candidates.

    A pin speaks of cells, so it fixes every column that says the same of them: a link that is forbidden is forbidden
    as a part of a division, too. `celltrail.tracking.obedience.require_obedience` reads in the solution that it has worked.

    Raises
    ------
    data.InputError
        With every pin on a cell that does not exist, and every pair of pins that contradict each other.
    """
    if not pins:
        return candidates
    d = candidates.detections
    row_of = named_rows(d, pins)
    raise_if(
        [
            *(
                f"The pins name cell {label} of frame {frame}, but the masks have no such cell."
                for frame, label in dict.fromkeys(cell for pin in pins for cell in pin.cells)
                if (frame, label) not in row_of
            ),
            *contradictions(pins),
        ]
    )
    rows = _whole_divisions([(pin, tuple(row_of[cell] for cell in pin.cells)) for pin in pins])
    free = _with_free_daughter(candidates, _named(rows, "division", 2))
    result = replace(
        candidates,
        detections=replace(
            d, fixed=d.fixed.copy(), optional=d.optional.copy(), appear=d.appear.copy(), disappear=d.disappear.copy()
        ),
        links=_with_links(candidates.links, _named(rows, "link", 2)),
        divisions=_with_divisions(candidates.divisions, np.concatenate([_named(rows, "division", 3), free])),
    )
    for pin, named in rows:
        _fix(result, pin, named)
    return result


def named_rows(d: Detections, pins: Sequence[Pin]) -> dict[Cell, int]:
    """The rows of the cells in the frames that pins name; that of a merged cell by each of its labels."""
    here = np.flatnonzero(np.isin(d.frame, [frame for pin in pins for frame, _ in pin.cells]))
    rows = {cell: int(here[row]) for cell, row in row_of_cell(d.frame[here], d.label[here]).items()}
    names = merged_names(pins).items()
    return rows | {(frame, label): rows[frame, name] for (frame, label), name in names if (frame, name) in rows}


Rows = list[tuple[Pin, tuple[int, ...]]]


def _named(pins: Rows, kind: str, cells: int) -> IntArray:
    found = [rows for pin, rows in pins if pin.kind == kind and len(rows) == cells]
    return np.array(found, dtype=np.int64).reshape(-1, cells)


def _whole_divisions(pins: Rows) -> Rows:
    """The pins, with all that say whom a mother divides into as one."""
    kept = [(pin, rows) for pin, rows in pins if pin.kind == "division" and pin.action == "keep"]
    daughters: dict[int, dict[int, Pin]] = {}
    for pin, (mother, *born) in kept:
        daughters.setdefault(mother, {}).update(dict.fromkeys(born, pin))
    whole = [(next(iter(born.values())), (mother, *born)) for mother, born in daughters.items()]
    return [one for one in pins if one not in kept] + whole


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


def _fix(candidates: Candidates, pin: Pin, rows: tuple[int, ...]) -> None:
    """Write one pin into the ``fixed`` columns."""
    d, links, divisions = candidates.detections, candidates.links, candidates.divisions
    value = KEPT if pin.action == "keep" else FORBIDDEN
    born = (divisions.first == rows[-1]) | (divisions.second == rows[-1])
    if pin.kind == "detection" or pin.merges:
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
    else:
        whole = _rivals(candidates, rows[0]) & _rivals(candidates, rows[1])
        d.fixed[list(whole)] = FORBIDDEN


def _rivals(candidates: Candidates, row: int) -> set[int]:
    """The detections that exclude this one."""
    ids = candidates.clique_id[candidates.clique_detection == row]
    return set(candidates.clique_detection[np.isin(candidates.clique_id, ids)].tolist()) - {row}


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
    if not named.any() and not outside.any():
        raise InputError(f"The pins {pin}, but no cell is near that could be the other daughter: name both.")
    other = (divisions.mother == mother) | (divisions.first == daughters[0]) | (divisions.second == daughters[0])
    divisions.fixed[other & ~named] = FORBIDDEN
    links.fixed[((links.source == mother) | (links.target == daughters[0])) & ~outside] = FORBIDDEN
    d.fixed[[mother, *daughters]] = KEPT
    d.disappear[mother] = d.appear[daughters[0]] = NEVER


def _move_only(links: Links, rows: NDArray[np.bool_]) -> None:
    """Make of some links what they are without a second daughter outside the image, at the cost of that."""
    gain = links.terms.get(SISTER_OUTSIDE)
    if gain is not None:
        links.cost[rows] -= to_units(gain[rows])
        gain[rows] = 0


def contradictions(pins: Sequence[Pin]) -> list[str]:
    """Pins that cannot hold together, as sentences; cells that pins merge are one."""
    problems: list[str] = []
    said: dict[tuple[str, Cell], tuple[object, Pin]] = {}  # "used", "past" or "future" of a cell: what a pin says of it
    daughters: dict[Cell, dict[Cell, Pin]] = {}
    cells_of = {pin: whole.cells for pin, whole in zip(pins, of_merged(pins), strict=True)}
    merging = {cells_of[pin][0]: pin for pin in pins if pin.merges}

    def say(what: str, cell: Cell, value: object, pin: Pin) -> None:
        known, other = said.setdefault((what, cell), (value, pin))
        if known != value:
            problems.append(
                f"Cell {cell[1]} of frame {cell[0]} has two pinned {what}s ({other}; {pin}): remove one of them."
            )

    for pin, cells in cells_of.items():
        if len(set(cells)) < len(cells) and not pin.merges:
            merge = next(merging[cell] for cell in cells if cells.count(cell) > 1)
            problems.append(f"The pins merge cells that another pin tells apart ({merge}; {pin}): remove one of them.")
        elif pin.action == "keep":
            first, *others = cells
            said |= {("used", cell): (True, pin) for cell in cells}
            if pin.kind == "begin":
                say("past", first, None, pin)
            elif pin.kind == "end":
                say("future", first, None, pin)
            elif pin.kind in ("link", "division"):
                say("future", first, "divides" if pin.kind == "division" else others[0], pin)
                for other in others:
                    say("past", other, (pin.kind, first), pin)
            if pin.kind == "division":
                born = daughters.setdefault(first, {})
                born |= {daughter: pin for daughter in others if daughter not in born}
                if len(born) > 2:
                    one, *_, last = born.values()
                    problems.append(
                        f"Cell {first[1]} of frame {first[0]} has {counted(len(born), 'pinned daughter')} ({one}; {last}): remove one of them."
                    )
    for pin, (first, *others) in cells_of.items():
        if pin.action == "keep":
            continue
        if pin.kind == "detection" and ("used", first) in said:
            frame, label = pin.cells[0]
            problems.append(
                f"The pins forbid cell {label} of frame {frame}, but also {said['used', first][1]}: remove one of them."
            )
        born = daughters.get(first, {})
        past = said.get(("past", others[0])) if pin.kind == "link" else None
        if past is not None and past[0] in (("link", first), ("division", first)):
            kept = past[1]
        elif pin.kind == "division" and first in daughters and born.keys() >= set(others):
            kept = born[others[0]] if others else next(iter(born.values()))
        else:
            continue
        if (kept.kind, set(cells_of[kept])) == (pin.kind, {first, *others}):
            problems.append(f"The pins both keep and forbid the same {pin.kind} ({kept}; {pin}): remove one of them.")
        else:
            problems.append(f"One of the pins forbids what another keeps ({kept}; {pin}): remove one of them.")
    return list(dict.fromkeys(problems))
