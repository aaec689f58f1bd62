"""Why a cell was linked as it was: its candidates, their costs term by term, and the price of the next best choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import NAT, SISTER_OUTSIDE, Candidates, Links, Solution, Terms
from celltrail.data.graph.confidence import Confidence
from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.became import cells_of_mask, mask_of_cell
from celltrail.tracking.exporting.sisters import third_daughters
from celltrail.tracking.solving.solver import exact_margin

SHOWN = 8  # candidates of a cell that are listed on either side
REJECTED = 20  # rejected divisions that are listed for a movie
SURE = float(np.log(1e12))  # nats beyond which odds are no longer told exactly
BASELINES = ("lap", "greedy")  # methods that choose link by link


def explain_cell(
    candidates: Candidates,
    solution: Solution,
    track: IntArray,
    frame: int,
    label: int,
    *,
    by_track: bool = False,
    confidence: Confidence | None = None,
    run: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that was weighed for one cell.

    Parameters
    ----------
    label : int
        Of the cell in the input masks; with ``by_track``, its label in the result.
    confidence : Confidence | None
        Gives every choice its ``probability``.
    run : Mapping of str to Any, or None
        What ``run.json`` holds, with what has become of the masks.

    Returns
    -------
    dict
        ``became``: what has happened to the mask, or to the masks of the cell, as a sentence ("": nothing); ``cells``: the same
        as this for each cell that a mask has become instead of itself; ``cell`` (``None`` for a mask that could not have been one);
        ``past`` and ``future``: choices, best first, each with ``kind`` (appears, link,
        division, disappears), ``cells`` (of a division: mother and daughters; a daughter alone: her sister is
        outside the image; a mother alone: the cell is her third daughter, for what it costs to appear), ``cost`` in nats, ``odds`` in words, ``chosen``, ``terms`` (nats),
        and for those that were chosen ``margin``: the nats by which the best solution without it is worse (the simple
        trackers weigh no solutions, and have none).

    Raises
    ------
    InputError
        If there is no such cell.
    """
    d = candidates.detections
    own = np.flatnonzero((d.frame == frame) & ((track if by_track else d.label) == label) & (label > 0)).tolist()
    if by_track:
        rows, became = own, mask_of_cell(run or {}, frame, label)
    else:
        rows, became = cells_of_mask(candidates, solution, track, run or {}, frame, label)
    if not own and not became:
        raise InputError(
            f"Frame {frame} has no cell {label}: frames and labels are those of the "
            f"{'result' if by_track else 'input'} masks."
        )

    def about(row: int) -> dict[str, Any]:
        return _explain(candidates, solution, track, row, confidence)

    mine = about(own[0]) if own else {"cell": None, "component": None, "used": False, "past": [], "future": []}
    return {"became": became, **mine, "cells": [about(row) for row in rows if row not in own]}


def _explain(
    candidates: Candidates, solution: Solution, track: IntArray, row: int, confidence: Confidence | None
) -> dict[str, Any]:
    """What was weighed for a detection."""
    d, links, z = candidates.detections, candidates.links, candidates.divisions

    def choice(
        kind: str,
        cost: np.int64,
        chosen: np.bool_,
        which: str,
        index: int,
        cells: Sequence[int] = (),
        terms: Terms | None = None,
    ) -> dict[str, Any]:
        nats = float(cost) / NAT
        parts = {name: round(float(term[index]), 3) for name, term in (terms or {}).items()}
        found = {
            "kind": kind,
            "cells": [_cell(candidates, track, int(one)) for one in cells],
            "cost": nats,
            "odds": in_words(nats),
            "chosen": bool(chosen),
            "terms": dict(sorted(parts.items(), key=lambda item: -abs(item[1]))),
        }
        if chosen and cells and solution.solver not in BASELINES:
            found["margin"] = exact_margin(candidates, solution, **{which: index})
        return found if confidence is None else found | {"probability": float(getattr(confidence, which)[index])}

    past = [choice("appears", d.appear[row], solution.appears[row], "appear", row)]
    future = [choice("disappears", d.disappear[row], solution.disappears[row], "disappear", row)]
    lone = links.lone_daughter
    for index in np.flatnonzero((links.source == row) | (links.target == row)).tolist():
        source, target = int(links.source[index]), int(links.target[index])
        kind, cells = ("division", [source, target]) if lone[index] else ("link", [source + target - row])
        found = choice(kind, links.cost[index], solution.link_chosen[index], "link", index, cells, links.terms)
        if lone[index] and "margin" in found:
            found["margin"] = float(_to_the_link(links, np.array([index]), np.array([found["margin"]]))[0])
        (future if source == row else past).append(found)
    for index in np.flatnonzero((z.mother == row) | (z.first == row) | (z.second == row)).tolist():
        family = (z.mother[index], z.first[index], z.second[index])
        found = choice("division", z.cost[index], solution.division_chosen[index], "division", index, family, z.terms)
        (future if family[0] == row else past).append(found)
    if (division := third_daughters(candidates, solution).get(row)) is not None:
        past[0] |= {"kind": "division", "cells": [_cell(candidates, track, int(z.mother[division]))]}
    return {
        "cell": _cell(candidates, track, row),
        "component": int(solution.component[row]),
        "used": bool(solution.used[row]),
        "past": _best(past),
        "future": _best(future),
    }


def list_divisions(candidates: Candidates, solution: Solution, track: IntArray) -> dict[str, list[dict[str, Any]]]:
    """The chosen divisions, least certain first, and the likeliest that were rejected.

    ``one_outside`` : chosen links that are divisions with one daughter outside the image, least certain first.
    """
    z, links = candidates.divisions, candidates.links
    chosen = np.flatnonzero(solution.division_chosen)
    chosen = chosen[np.argsort(solution.division_margin[chosen], kind="stable")]
    rejected = np.flatnonzero(~solution.division_chosen)
    rejected = rejected[np.argsort(z.cost[rejected], kind="stable")][:REJECTED]

    lone = np.flatnonzero(solution.link_chosen & links.lone_daughter)
    margin = _to_the_link(links, lone, solution.link_margin[lone])
    order = np.argsort(margin, kind="stable")
    lone, margin = lone[order], margin[order]

    third = {division: row for row, division in third_daughters(candidates, solution).items()}

    def row(rows: tuple[np.int64 | int, ...], cost: np.int64, margin: np.float64) -> dict[str, Any]:
        cells = [_cell(candidates, track, int(r)) for r in rows]
        return {
            "mother": cells[0],
            "daughters": cells[1:],
            "odds": in_words(cost / NAT),
            "cost": float(cost) / NAT,
            "margin": float(margin) if np.isfinite(margin) else None,
        }

    def division(i: int) -> dict[str, Any]:
        daughters = (z.first[i], z.second[i], *([third[i]] if i in third else []))
        return row((z.mother[i], *daughters), z.cost[i], solution.division_margin[i])

    return {
        "chosen": [division(i) for i in chosen.tolist()],
        "rejected": [division(i) for i in rejected.tolist()],
        "one_outside": [
            row((links.source[i], links.target[i]), links.cost[i], m)
            for i, m in zip(lone.tolist(), margin, strict=True)
        ],
    }


def _to_the_link(links: Links, rows: IntArray, margin: FloatArray) -> FloatArray:
    """The margins of divisions with one daughter outside: another choice may be near, or the same two as one cell."""
    return np.asarray(np.fmin(margin, -links.terms[SISTER_OUTSIDE][rows].astype(np.float64))) if len(rows) else margin


def in_words(cost: float) -> str:
    """A cost in nats as odds: ``"1 : 260"`` against, ``"260 : 1"`` for; far beyond what can be meant, ``"more than"``."""
    odds = np.exp(min(abs(cost), SURE))
    text = f"{odds:,.1f}" if odds < 10 else f"{odds:,.0f}" if abs(cost) <= SURE else "more than 10^12"
    return f"1 : {text}" if cost > 0 else f"{text} : 1"


def _cell(candidates: Candidates, track: IntArray, row: int) -> dict[str, Any]:
    d = candidates.detections
    z, y, x = np.round(d.position[row], 1).tolist()
    place = {"y": y, "x": x} if candidates.ndim == 2 else {"z": z, "y": y, "x": x}
    return {"frame": int(d.frame[row]), "label": int(d.label[row]), "track": int(track[row]), **place}


def _best(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chosen one first, then the cheapest."""
    return sorted(choices, key=lambda choice: (not choice["chosen"], choice["cost"]))[:SHOWN]
