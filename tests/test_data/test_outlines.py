"""Gaps between neighbouring cells close, outlines against free background stay."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.data.labels.outlines import close_gaps


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_gap_between_cells_closes_but_outlines_stay(kind: type[np.integer]) -> None:
    labels = np.zeros((5, 9), dtype=kind)
    labels[1:4, 1:4], labels[1:4, 5:8] = 1, 2
    closed = close_gaps(labels, 1)
    assert (closed[1:4, 4] > 0).all()
    assert (closed[:, 0] == 0).all()
    assert (closed[:, 8] == 0).all()
    assert (closed[0, 1:3] == 0).all()
    assert close_gaps(labels, 0) is labels
