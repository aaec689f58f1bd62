"""Masks that are wrong for a few frames: two cells in one mask, one cell in several; what else they may be.

A mask is taken for a **merger** where at least two cells before, moved by the drift, fall into it, and at least two
come out of it again a few frames later. It may be split as these cells say, each pixel going to the nearest of them;
within a longer run the parts of one frame split the next one, from either end to the middle. Some masks are taken
for **pieces** of one where they come out of one cell and fall into one again a few frames later; they may be joined.

Neither is decided here. Masks and what they may be instead exclude each other in the programme, which must take one
or the other as a whole, and the links to the frames around speak for either. A division is no merger, as one cell
precedes it, and its daughters are no pieces, as they do not become one again.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from celltrail.data.columns import row_of_cell
from celltrail.data.types import Masks
from celltrail.tracking.measuring.overlapping import Shape
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.repairing.movie import Repair
from celltrail.tracking.repairing.prices import Look, Prices, load_prices
from celltrail.tracking.repairing.runs import LONGEST, Kind, Run, find_runs
from celltrail.tracking.repairing.shapes import compactness, split_by, union

RATE_PRIOR = (0.5, 50.0)  # events among masks that are believed in before any has been seen


def find_repairs(
    masks: Masks, table: DetectionTable, prices: Prices | None = None, *, believed: Collection[tuple[int, int]] = ()
) -> list[Repair]:
    """Mergers and pieces of a movie of plain masks, ordered by frame; no mask is in two of them.

    Parameters
    ----------
    table : DetectionTable
        The detections of ``masks``, with the overlaps between adjacent frames.
    prices : Prices | None
        ``None``: those that come with Celltrail.
    believed : collection of (frame, label)
        Masks that stay as they are, because a pin says so.
    """
    prices = prices or load_prices()
    top = np.zeros(int(table.frame.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(top, table.frame, table.label)
    free = top + 1
    read = lru_cache(maxsize=LONGEST + 2)(lambda number: np.asarray(masks[number]).astype(np.int64, copy=False))
    shape_of = _Shapes(table, read)
    row_of = row_of_cell(table.frame, table.label) if believed else {}
    taken = {row_of[cell] for cell in believed if cell in row_of}
    events: list[tuple[Kind, Run, list[list[Shape]]]] = []
    for kind, frames in find_runs(table):
        own = {row for rows in frames.rows for row in rows}
        shapes = None if taken & own else shape_of.split(frames) if kind == "merged" else shape_of.joined(frames)
        if shapes is not None:
            events.append((kind, frames, shapes))
            taken |= own
    often = {kind: _often(sum(one == kind for one, *_ in events), len(table)) for kind in ("merged", "split")}
    found: list[Repair] = []
    for event, (kind, frames, shapes) in enumerate(events):
        look = {**_look(table, frames, shapes, kind), "often": often[kind]}
        price = prices.of(kind, look) / len(shapes)
        for rows, parts in zip(frames.rows, shapes, strict=True):
            number = int(table.frame[rows[0]])
            labels = tuple(sorted(table.label[list(rows)].tolist()))
            found.append(Repair(kind, number, labels, tuple(parts), int(free[number]), event, price, look))
            free[number] += len(parts)
    return sorted(found, key=lambda repair: (repair.frame, repair.labels))


def _often(events: int, masks: int) -> float:
    """How often a movie has places of this kind at all, log of the share of its masks: cells that happen to look like an error are
    rare in any movie, so where such places abound, most of them are errors."""
    seen, all_masks = RATE_PRIOR
    return float(np.log((events + seen) / (masks + all_masks)))


def _look(table: DetectionTable, run: Run, shapes: list[list[Shape]], kind: str) -> Look:
    """``frames``: how many an event lasts; ``rounder``: how much rounder several cells would be than one, in the mean;
    ``size``: of the largest mask, as log of the ratio to a typical cell; ``open``: 1 if nothing is seen after it."""
    rounder, largest = [], table.area[list(chain.from_iterable(run.rows))].max()
    for rows, parts in zip(run.rows, shapes, strict=True):
        masks = table.compactness[list(rows)].mean()
        others = float(np.mean([compactness(part, table.scale) for part in parts]))
        rounder.append(others - masks if kind == "merged" else masks - others)
    return {
        "frames": float(len(shapes)),
        "rounder": float(np.mean(rounder)),
        "size": float(np.log(largest / np.median(table.area))),
        "open": float(not run.after),
    }


class _Shapes:
    """The pixels of the cells of a movie."""

    def __init__(self, table: DetectionTable, read: Any) -> None:
        self.table, self.read = table, read

    def of(self, row: int) -> Shape:
        """The box of a detection and its mask."""
        table = self.table
        corners = table.box[row].tolist()
        box = tuple(slice(corners[axis], corners[axis + 3]) for axis in range(3 - table.ndim, 3))
        return box, self.read(int(table.frame[row]))[box] == table.label[row]

    def joined(self, run: Run) -> list[list[Shape]]:
        """The union of the pieces of each frame."""
        return [[union([self.of(row) for row in rows])] for rows in run.rows]

    def split(self, run: Run) -> list[list[Shape]] | None:
        """The parts of the mask of each frame; ``None`` where one of them would be much too small."""
        scale = self.table.scale[3 - self.table.ndim :]
        wholes = [self.of(rows[0]) for rows in run.rows]
        forwards = (len(wholes) + 1) // 2 if run.after else len(wholes)
        parts: list[list[Shape]] = [[] for _ in wholes]
        cells = [self.of(row) for row in run.before]
        for i in range(forwards):
            cells = parts[i] = split_by(wholes[i], cells, scale)
        cells = [self.of(row) for row in run.after]
        for i in range(len(wholes) - 1, forwards - 1, -1):
            cells = parts[i] = split_by(wholes[i], cells, scale)
        return None if any(len(frame) < 2 for frame in parts) else parts
