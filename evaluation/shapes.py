"""Measures that need the pixels themselves: the warping error and the ISBI scores of each frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.isbi import isbi_scores, thin_borders
from evaluation.warping import separate_cells, warp

NAMES = ("warping_error", "split_merge_error", "V_rand", "V_info")


@dataclass
class ShapeScores:
    """Collects the scores of the frames of one result; slices of volumes are averaged."""

    by_frame: dict[int, list[tuple[float, float, float | None, float | None]]] = field(default_factory=dict)

    def add(self, frame: int, truth: NDArray[np.integer[Any]], result: NDArray[np.integer[Any]]) -> None:
        """Compare the full masks of a frame, (Y, X) or (Z, Y, X)."""
        slices = [(truth, result)] if truth.ndim == 2 else list(zip(truth, result, strict=True))
        for a, b in slices:
            warped = warp(separate_cells(a), separate_cells(b))
            isbi = isbi_scores(a, thin_borders(b)) or (None, None)
            self.by_frame.setdefault(frame, []).append((warped.error, warped.split_merge_error, *isbi))

    def means(self, frames: Collection[int]) -> dict[str, float | None]:
        """Mean over the slices of these frames, by the names of :data:`NAMES`; ``None`` where undefined."""
        rows = [row for frame in frames for row in self.by_frame.get(frame, [])]
        columns = zip(NAMES, zip(*rows, strict=True), strict=True) if rows else ((name, ()) for name in NAMES)
        defined = {name: [value for value in column if value is not None] for name, column in columns}
        return {name: float(np.mean(values)) if values else None for name, values in defined.items()}
