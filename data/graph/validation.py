"""Whether a graph that was read holds together: lengths, kinds, ranges and references, before anything uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from celltrail.data.graph.candidates import Candidates, Solution

LARGEST_COST = 1 << 50  # units; sums of a million of them still fit into 64 bits
WHOLE = "iu"  # kinds of whole numbers


def find_faults(
    candidates: Candidates,
    solution: Solution | None,
    track: NDArray[Any] | None,
    confidence: Mapping[str, NDArray[Any]],
) -> list[str]:
    """Everything in which a graph does not hold together.

    Parameters
    ----------
    candidates : Candidates
        As read, unchecked.
    solution : Solution or None
        Its solution.
    track : NDArray or None
        The track of each detection.
    confidence : Mapping[str, NDArray]
        Its probabilities, by name; empty if there are none.

    Returns
    -------
    list of str
        Short phrases such as ``"link.target points beyond the detections"``; empty if all is well.
    """
    return [
        *_faults_of_tables(candidates),
        *_faults_of_solution(candidates, solution),
        *_faults_of_track(candidates, track),
        *_faults_of_confidence(candidates, confidence),
    ]


def _faults_of_tables(candidates: Candidates) -> Iterator[str]:
    d, n = candidates.detections, len(candidates.detections.frame)
    for prefix, table, rows in (
        ("detection", d, n),
        ("link", candidates.links, candidates.links.source.size),
        ("division", candidates.divisions, candidates.divisions.mother.size),
    ):
        for column in fields(table):
            value = getattr(table, column.name)
            if isinstance(value, dict):
                for name, term in value.items():
                    yield from _faults(f"{prefix}.term.{name}", term, (rows,), "f", finite=False)
                continue
            kinds = {"position": "f", "border": "f", "optional": "b"}.get(column.name, WHOLE)
            shape = (rows, 3) if column.name == "position" else (rows,)
            # a graph made by hand knows no sides of an image: they are infinitely far away
            yield from _faults(f"{prefix}.{column.name}", value, shape, kinds, finite=column.name != "border")
            cost = column.name in ("cost", "appear", "disappear") and value.dtype.kind in WHOLE
            if cost and np.abs(value.astype(np.float64)).max(initial=0) > LARGEST_COST:
                yield f"{prefix}.{column.name} holds costs beyond all measure"
            if (
                column.name == "fixed"
                and value.size
                and value.dtype.kind in WHOLE
                and not np.isin(value, (-1, 0, 1)).all()
            ):
                yield f"{prefix}.fixed holds more than -1, 0 and 1"
    references = {
        "link.source": candidates.links.source,
        "link.target": candidates.links.target,
        "division.mother": candidates.divisions.mother,
        "division.first": candidates.divisions.first,
        "division.second": candidates.divisions.second,
        "clique.detection": candidates.clique_detection,
    }
    sound = True
    for name, ends in references.items():
        if ends.ndim == 1 and ends.dtype.kind in WHOLE and ends.size and not (ends.min() >= 0 and ends.max() < n):
            sound = False
            yield f"{name} points beyond the detections"
    yield from _faults("clique.id", candidates.clique_id, candidates.clique_detection.shape, WHOLE)
    if sound and d.frame.ndim == 1:
        yield from _faults_of_time(candidates)
    if candidates.ndim not in (2, 3):
        yield "ndim is neither 2 nor 3"


def _faults_of_time(candidates: Candidates) -> Iterator[str]:
    frame, links, z = candidates.detections.frame, candidates.links, candidates.divisions
    if (np.diff(frame) < 0).any():
        yield "detection.frame does not ascend"
    if links.source.shape == links.target.shape and (frame[links.target] <= frame[links.source]).any():
        yield "link.target is not later than link.source"
    if z.mother.shape == z.first.shape == z.second.shape:
        if (np.minimum(frame[z.first], frame[z.second]) <= frame[z.mother]).any():
            yield "a daughter is not later than division.mother"
        if (z.first == z.second).any():
            yield "division.first is division.second"


def _faults_of_solution(candidates: Candidates, solution: Solution | None) -> Iterator[str]:
    if solution is None:
        return
    n, m, d = len(candidates.detections.frame), candidates.links.source.size, candidates.divisions.mother.size
    lengths = {"used": n, "appears": n, "disappears": n, "link_chosen": m, "division_chosen": d}
    for name, rows in lengths.items():
        yield from _faults(f"solution.{name}", getattr(solution, name), (rows,), "b")
    yield from _faults("solution.link_margin", solution.link_margin, (m,), "f", finite=False)
    yield from _faults("solution.division_margin", solution.division_margin, (d,), "f", finite=False)
    yield from _faults("solution.component", solution.component, (n,), WHOLE)
    if solution.bound > solution.objective:
        yield "solution.bound is above solution.objective"


def _faults_of_track(candidates: Candidates, track: NDArray[Any] | None) -> Iterator[str]:
    if track is not None:
        yield from _faults("detection_track", track, (len(candidates.detections.frame),), WHOLE)


def _faults_of_confidence(candidates: Candidates, confidence: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    n = len(candidates.detections.frame)
    m, d = candidates.links.source.size, candidates.divisions.mother.size
    rows = {"link": m, "division": d, "appear": n, "disappear": n, "used": n}
    for name, value in confidence.items():
        if name == "temperature" and (value.shape or value.dtype.kind not in "fiu" or not 0 < value < np.inf):
            yield "confidence.temperature is no number above 0"
        if name not in rows:
            continue
        faults = list(_faults(f"confidence.{name}", value, (rows[name],), "f"))
        yield from faults
        if not faults and value.size and not (value.min() >= 0 and value.max() <= 1 + 1e-6):
            yield f"confidence.{name} holds values that are no probabilities"


def _faults(name: str, value: Any, shape: tuple[int, ...], kinds: str, *, finite: bool = True) -> Iterator[str]:
    """What is wrong with one array."""
    if not isinstance(value, np.ndarray) or value.shape != shape:
        yield f"{name} has the shape {getattr(value, 'shape', None)}, expected {shape}"
    elif value.dtype.kind not in kinds:
        yield f"{name} holds {value.dtype} values"
    elif finite and value.dtype.kind == "f" and not np.isfinite(value).all():
        yield f"{name} holds values that are no numbers"
