"""Masks that a person has said to be one cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.movie import DerivedFrames
from celltrail.data.files.pins import Pin
from celltrail.data.types import Masks
from celltrail.tracking.solving.pinned import merged_names


class MergedMasks(DerivedFrames):
    """Masks in which the labels of a frame that pins merge have become one, the smallest of them."""

    def __init__(self, masks: Masks, pins: Sequence[Pin]) -> None:
        super().__init__(masks)
        self.names = merged_names(pins)

    def __getitem__(self, number: int) -> NDArray[Any]:
        given = np.asarray(self.masks[number])
        labels = given.copy()
        for (frame, label), name in self.names.items():
            if frame == number and label != name:
                labels[given == label] = name
        return labels

    def missing(self) -> list[str]:
        """Merges that name a label which its frame does not have, as sentences."""
        return [
            f"The pins merge cell {label} of frame {frame}, but the masks have no such cell."
            for frame, label in self.names
            if frame not in self.masks or not (np.asarray(self.masks[frame]) == label).any()
        ]
