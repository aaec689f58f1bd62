"""Masks of a movie, with what some of them may be instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.columns import row_of_cell
from celltrail.data.files.movie import DerivedFrames
from celltrail.data.progress import Progress, silent
from celltrail.data.types import IntArray, Masks
from celltrail.tracking.measuring.beside import Reading
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie, Shape
from celltrail.tracking.measuring.pixels import relabel
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.repairing.prices import Look
from celltrail.tracking.repairing.shapes import points


@dataclass(frozen=True)
class Repair:
    """What some masks of one frame may be instead.

    Attributes
    ----------
    labels : tuple[int, ...]
        Of the masks: one for a merger, several for pieces.
    parts : tuple[Shape, ...]
        The other reading, several for a merger, one for pieces; their labels are ``first``, ``first + 1`` …, which
        no mask of the frame has.
    event : int
        The error that this frame is part of: one that lasts has several.
    price : float
        Nats against this frame of the error, all frames of which share the price of the event.
    look : Mapping of str to float
        What the price of the event was told from.
    """

    kind: Literal["merged", "split"]
    frame: int
    labels: tuple[int, ...]
    parts: tuple[Shape, ...]
    first: int
    event: int
    price: float
    look: Look

    @property
    def new(self) -> range:
        """The labels of the parts."""
        return range(self.first, self.first + len(self.parts))


class RepairableMovie(DerivedFrames, LayeredMovie):
    """Masks, with what some of them may be instead in a second layer. Frame number → layers (1 or 2, …)."""

    def __init__(self, masks: Masks, repairs: Sequence[Repair]) -> None:
        super().__init__(masks)
        self.repairs = tuple(repairs)

    @property
    def doubtful(self) -> set[int]:
        return {repair.frame for repair in self.repairs}

    @property
    def considered(self) -> int:
        return len(self.repairs)

    def mask(self, number: int) -> NDArray[np.int64]:
        return np.asarray(self.masks[number]).astype(np.int64, copy=False)

    def shapes(self, number: int) -> dict[int, Shape]:
        here = [repair for repair in self.repairs if repair.frame == number]
        return {label: part for repair in here for label, part in zip(repair.new, repair.parts, strict=True)}

    def __getitem__(self, number: int) -> NDArray[Any]:
        labels, parts = self.mask(number), self.shapes(number)
        if not parts:
            return labels[np.newaxis]
        other = np.zeros(labels.shape, dtype=np.int64)
        for label, (box, mask) in parts.items():
            other[box][mask] = label
        return np.stack([labels, other])

    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen masks and parts: ``labels`` become ``new`` (0: left out)."""
        return np.asarray(np.max([relabel(layer, labels, new) for layer in self[number]], axis=0))

    def evidence(self, frame: IntArray, label: IntArray, progress: Progress = silent) -> Evidence:
        """What speaks against the other readings, apart from the links; each excludes the masks that it stands for.

        Several parts or pieces together count for one typical cell: they must not win by having more links.
        """
        row_of = row_of_cell(frame, label)
        reward, share = np.zeros(len(frame)), np.ones(len(frame))
        hypothesis, event = np.full(len(frame), -1), np.full(len(frame), -1)
        pairs: list[tuple[int, int]] = []
        for repair in self.repairs:
            old = [row_of[repair.frame, one] for one in repair.labels]
            new = [row_of[repair.frame, one] for one in repair.new]
            reward[new] = -repair.price / len(new)
            share[old], share[new] = 1 / len(old), 1 / len(new)
            hypothesis[new] = np.arange(len(new)) + repair.first - 1
            event[old], event[new] = 2 * repair.event, 2 * repair.event + 1
            pairs += [(a, b) for a in old for b in new]
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return Evidence(
            reward=reward,
            share=share,
            hypothesis=hypothesis,
            event=event,
            clique_id=np.repeat(np.arange(len(rows)), 2),
            clique_row=rows.ravel(),
        )


def readings_of(repairs: Sequence[Repair], table: DetectionTable) -> list[Reading]:
    """The parts of some repairs, as they are measured beside the masks."""
    row_of = row_of_cell(table.frame, table.label)
    return [
        Reading(
            repair.frame,
            label,
            tuple(row_of[repair.frame, mask] for mask in repair.labels),
            points(shape).astype(np.int64),
        )
        for repair in repairs
        for label, shape in zip(repair.new, repair.parts, strict=True)
    ]
