"""Measures that need the pixels themselves: the warping error and the ISBI scores of each frame."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.evaluation.measures.isbi import isbi_scores, thin_borders
from celltrail.evaluation.measures.warping import separate_cells, warp

NAMES = ("warping_error", "split_merge_error", "V_rand", "V_info")


Score = tuple[float, float, float | None, float | None]  # values of NAMES


def score_shapes(truth: NDArray[np.integer[Any]], result: NDArray[np.integer[Any]]) -> list[Score]:
    """Compare the full masks of a frame, (Y, X) or (Z, Y, X): one score, or one for each slice."""
    slices = [(truth, result)] if truth.ndim == 2 else list(zip(truth, result, strict=True))
    scores: list[Score] = []
    for a, b in slices:
        warped = warp(separate_cells(a), separate_cells(b))
        scores.append((warped.error, warped.split_merge_error, *(isbi_scores(a, thin_borders(b)) or (None, None))))
    return scores


def mean_scores(by_frame: Mapping[int, list[Score]], frames: Collection[int]) -> dict[str, float | None]:
    """Mean over the slices of these frames, by the names of `NAMES`; ``None`` where undefined."""
    rows = [row for frame in frames for row in by_frame.get(frame, [])]
    columns = zip(NAMES, zip(*rows, strict=True), strict=True) if rows else ((name, ()) for name in NAMES)
    defined = {name: [value for value in column if value is not None] for name, column in columns}
    return {name: float(np.mean(values)) if values else None for name, values in defined.items()}
