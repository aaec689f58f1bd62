"""Masks of a result have the labels of the tracks, whatever the labels of the input are."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.tracking.measuring.pixels import LOOKUP_LIMIT, relabel


@pytest.mark.parametrize(
    ("dtype", "first"), [(np.uint8, 250), (np.uint16, 65_530), (np.int64, 1), (np.uint32, LOOKUP_LIMIT)]
)
def test_labels_become_tracks(dtype: type, first: int) -> None:
    """Five labels from ``first`` on, of which the second is in no track, and one track whose label is not there."""
    labels = np.array([[0, 1, 1, 2], [3, 3, 0, 4], [5, 5, 5, 0]])
    image = np.where(labels > 0, labels - 1 + first, 0).astype(dtype)
    old = np.array([5, 3, 4, 1, 6]) - 1 + first
    expected = np.array([[0, 9, 9, 0], [7, 7, 0, 8], [70_000, 70_000, 70_000, 0]])
    assert np.array_equal(relabel(image, old, np.array([70_000, 7, 8, 9, 10])), expected)
    assert not relabel(image, old[:0], old[:0]).any()
