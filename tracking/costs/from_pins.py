"""Learn from corrections: what a person kept or forbade in ``pins.csv`` moves costs that are already there.

A kept link speaks for itself, against its rivals, and against a division of its source; a kept division
against the links and the other divisions of its mother and daughters. What is forbidden speaks against
itself only. A few corrections cannot teach everything: coefficients are pulled towards those that were
there before, as strongly as ``RIDGE`` examples would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from celltrail.data.columns import row_of_cell
from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.pins import Cell, Pin
from celltrail.data.progress import Progress, silent
from celltrail.data.types import BoolArray, IntArray
from celltrail.tracking.candidates.features import Features
from celltrail.tracking.candidates.links import LinkTable
from celltrail.tracking.candidates.parts import Part, find_candidates
from celltrail.tracking.costs.examples import SPANS
from celltrail.tracking.costs.learned import RIDGE, LearnedCosts
from celltrail.tracking.costs.logistic import Linear, fit_logistic
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.pinned import of_merged


def fit_corrections(base: LearnedCosts, table: DetectionTable, pins: Sequence[Pin], *, name: str) -> LearnedCosts:
    """Costs that agree better with what a person kept and forbade.

    Parameters
    ----------
    base : the costs to start from. table : the detections that the pins speak of; links over frames in which
        a cell went unseen are known as far as the table's overlaps reach. name : kept under ``trained_on``.

    Raises
    ------
    InputError
        With every pin on a cell that does not exist, or if no pin speaks of a candidate link or division.
    """
    row_of = row_of_cell(table.frame, table.label)
    spoken = [pin for pin in pins if pin.kind not in ("detection", "merge")]
    raise_if(
        f"The pins name cell {label} of frame {frame}, but the masks have no such cell."
        for frame, label in dict.fromkeys(cell for pin in spoken for cell in pin.cells)
        if (frame, label) not in row_of
    )
    problem = find_candidates(table, max_gap=max(len(table.shift) - 1, 0)).whole
    link_says, division_says = _verdicts(problem, spoken, row_of)
    if not link_says.any() and not division_says.any():
        raise InputError("No pin speaks of a link or a division among the candidates: nothing can be learned.")
    note = {
        "name": name,
        "links": int((link_says > 0).sum()),
        "divisions": int((division_says > 0).sum()),
        "against": int((link_says < 0).sum() + (division_says < 0).sum()),
    }
    return replace(
        base,
        links=_refit(base.links, problem.link_features, link_says),
        divisions=_refit(base.divisions, problem.division_features, division_says),
        trained_on=(*base.trained_on, note),
    )


def read_corrections(
    base: LearnedCosts,
    pins: Path,
    masks: Path,
    images: Path | None = None,
    *,
    frames: range | None = None,
    progress: Progress = silent,
) -> LearnedCosts:
    """As `fit_corrections`, from the files of a movie.

    Raises
    ------
    InputError
        If a file cannot be used, and as `fit_corrections`.
    """
    movie = open_movie(masks, images, TrackSettings(frames=frames), pins)
    movie, table = measure(movie, spans=SPANS, progress=progress)
    return fit_corrections(base, table, of_merged(movie.pins), name=pins.name)


def _verdicts(problem: Part, pins: Sequence[Pin], row_of: dict[Cell, int]) -> tuple[IntArray, IntArray]:
    """What the pins say of each candidate link and division: 1 true, −1 wrong, 0 nothing."""
    links = problem.links
    mother, one, two = links.source[problem.first], links.target[problem.first], links.target[problem.second]
    link_says, division_says = np.zeros(len(links), np.int64), np.zeros(len(mother), np.int64)
    kept_links, kept_divisions = np.zeros(len(links), bool), np.zeros(len(mother), bool)
    for pin in pins:
        rows = [row_of[cell] for cell in pin.cells]
        if pin.kind in ("begin", "end"):
            link_says[(links.target if pin.kind == "begin" else links.source) == rows[0]] = -1
            division_says[(one == rows[0]) | (two == rows[0]) if pin.kind == "begin" else mother == rows[0]] = -1
            continue
        if pin.kind == "link":
            named = (links.source == rows[0]) & (links.target == rows[1])
            kept, says = kept_links, link_says
            against_links = _same_end(links, named)
            against_divisions = (mother == rows[0]) | (one == rows[1]) | (two == rows[1])
        else:
            named = mother == rows[0]
            for daughter in rows[1:]:
                named &= (one == daughter) | (two == daughter)
            kept, says = kept_divisions, division_says
            against_links = (links.source == rows[0]) | np.isin(links.target, rows[1:])
            against_divisions = (mother == rows[0]) | np.isin(one, rows[1:]) | np.isin(two, rows[1:])
        if pin.action == "forbid":
            says[named] = -1
        elif len(rows) < (2 if pin.kind == "link" else 3):
            link_says[against_links] = -1  # one daughter is named: that the mother divides is all that is known
        else:
            kept |= named
            link_says[against_links] = -1
            division_says[against_divisions] = -1
    # Whether the mother went unseen before she divided shows in the price of a gap, not in how the division looks.
    division_says[links.span[problem.first] > 1] = 0
    link_says[kept_links] = 1
    division_says[kept_divisions] = 1
    return link_says, division_says


def _same_end(links: LinkTable, named: BoolArray) -> BoolArray:
    return np.asarray(np.isin(links.source, links.source[named]) | np.isin(links.target, links.target[named]))


def _refit(model: Linear, features: Features, says: IntArray) -> Linear:
    rows = np.flatnonzero(says)
    if not len(rows):
        return model
    return fit_logistic(
        {name: values[rows] for name, values in features.items()}, says[rows] > 0, prior=model, ridge=RIDGE
    )
