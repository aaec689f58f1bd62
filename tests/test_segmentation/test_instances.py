"""Hand-drawn maps with known cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from celltrail.data.labels.outlines import close_gaps
from celltrail.segmentation.net.instance_settings import InstanceSettings
from celltrail.segmentation.prediction.instances import find_instances, remove_small


def two_touching_discs() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:30, :50]
    a, b = np.hypot(y - 15, x - 16), np.hypot(y - 15, x - 34)
    probability = ((a < 10) | (b < 10)).astype(np.float32)
    distance = np.clip(1 - np.minimum(a, b) / 10, 0, 1).astype(np.float32)
    return probability, distance


def test_watershed_separates_touching_cells_where_components_cannot() -> None:
    probability, distance = two_touching_discs()
    settings = InstanceSettings(method="watershed", min_size=10, min_seed=1, grow=0)
    labels = find_instances(probability, distance, settings)
    assert labels.max() == 2
    assert labels[15, 16] != labels[15, 34]
    assert ((labels > 0) == (probability > 0.5)).all()
    joined = find_instances(probability, distance, InstanceSettings(method="components", min_size=10, grow=0))
    assert joined.max() == 1


def test_without_a_distance_the_sure_cores_are_seeds() -> None:
    probability = np.zeros((20, 40), dtype=np.float32)
    probability[5:15, 5:35] = 0.7
    probability[7:13, 7:16] = probability[7:13, 24:33] = 0.95
    labels = find_instances(
        probability, None, InstanceSettings(method="watershed", seed=0.9, min_size=1, min_seed=1, grow=0)
    )
    assert labels.max() == 2
    assert np.count_nonzero(labels) == 300


def test_cells_joined_through_slices_are_one() -> None:
    stack = np.zeros((3, 12, 12), dtype=np.float32)
    stack[0, 2:6, 2:6] = stack[1, 3:7, 3:7] = 1
    stack[2, 9:12, 9:12] = 1
    labels = find_instances(stack, None, InstanceSettings(method="components", min_size=1, grow=0))
    assert labels.max() == 2
    assert labels[0, 4, 4] == labels[1, 4, 4]


def test_an_empty_map_has_no_cells() -> None:
    empty = np.zeros((10, 10), dtype=np.float32)
    assert not find_instances(empty, empty).any()


def test_small_objects_go_and_the_rest_is_numbered_without_holes() -> None:
    labels = np.array([[1, 1, 0, 3, 0, 7], [1, 0, 0, 0, 7, 7]])
    assert remove_small(labels, 2).tolist() == [[1, 1, 0, 0, 0, 2], [1, 0, 0, 0, 2, 2]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 5))
def test_removal_equals_a_loop_over_labels(values: list[int], smallest: int) -> None:
    labels = np.array(values)
    result = remove_small(labels, smallest)
    kept = [label for label in range(1, 7) if (labels == label).sum() >= max(smallest, 1)]
    for number, label in enumerate(kept, start=1):
        assert ((result == number) == (labels == label)).all()
    assert result.max() == len(kept)


def test_carving_and_closing_gives_the_cells_back() -> None:
    from celltrail.segmentation.training.weight_map import carve

    labels = np.zeros((20, 20), dtype=np.int32)
    labels[2:18, 2:10], labels[2:18, 10:18] = 1, 2
    closed = close_gaps(carve(labels), 1)
    assert (closed[2:18, 2:18] > 0).all()
    assert np.count_nonzero(closed != labels) <= 18  # the border itself went to the other cell; two pixels at its ends
