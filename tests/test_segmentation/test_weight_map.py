"""Weights against the formula written out, and hand-drawn cases of carving."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.segmentation.training.weight_map import border_weights, carve, class_weights, reach_of, relative_distance


def naive_border_weights(labels: NDArray[np.int64], w0: float, sigma: float) -> NDArray[np.float64]:
    """One distance transform of the whole image per cell."""
    cells = [label for label in np.unique(labels) if label]
    if len(cells) < 2:
        return np.zeros(labels.shape)
    distances = np.sort(np.stack([ndimage.distance_transform_edt(labels != label) for label in cells]), axis=0)
    return w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))


def draw_cells(seed: int, shape: tuple[int, int], count: int) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.int64)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for label in range(1, count + 1):
        cy, cx, ry, rx = random.uniform(0, shape[0]), random.uniform(0, shape[1]), *random.uniform(1, 12, 2)
        labels[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = label
    return labels


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 12),
    w0=st.sampled_from([1.0, 10.0]),
    sigma=st.sampled_from([2.0, 5.0]),
)
def test_border_term_equals_the_formula(seed: int, count: int, w0: float, sigma: float) -> None:
    labels = carve(draw_cells(seed, (70, 90), count))
    np.testing.assert_allclose(border_weights(labels, w0, sigma), naive_border_weights(labels, w0, sigma), atol=1e-6)


def test_border_term_between_two_walls() -> None:
    labels = np.zeros((1, 12), dtype=np.int64)
    labels[0, :3], labels[0, 9:] = 1, 2
    term = border_weights(labels)[0]
    assert term[4] == pytest.approx(10 * np.exp(-((2 + 5) ** 2) / 50))
    assert term[0] == pytest.approx(10 * np.exp(-(9**2) / 50))


def test_a_lone_cell_has_no_border_term() -> None:
    labels = np.zeros((40, 40), dtype=np.int64)
    labels[10:20, 10:20] = 7
    assert not border_weights(labels).any()
    assert not border_weights(np.zeros((5, 5), dtype=np.int64)).any()


def test_reach_for_the_paper_values() -> None:
    assert reach_of(10, 5) == 29
    assert reach_of(0, 5) == 0


def test_carving_takes_the_pixel_of_the_larger_label() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 3, 3]])
    assert carve(labels).tolist() == [[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 0]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 15))
def test_carved_components_are_single_cells(seed: int, count: int) -> None:
    labels = draw_cells(seed, (50, 50), count)
    carved = carve(labels)
    assert np.array_equal(carved[carved > 0], labels[carved > 0])
    components, n = ndimage.label(carved)
    for component in range(1, n + 1):
        assert len(np.unique(carved[components == component])) == 1
    removed = (labels > 0) & (carved == 0)
    near_other = ndimage.maximum_filter(
        labels, footprint=ndimage.generate_binary_structure(2, 1)
    ) != ndimage.minimum_filter(np.where(labels == 0, 10**6, labels), footprint=ndimage.generate_binary_structure(2, 1))
    assert not (removed & ~near_other).any()


def test_class_weights_balance_the_set() -> None:
    weights = class_weights([900, 100])
    assert weights[0] * 900 == pytest.approx(weights[1] * 100)
    assert (weights * [0.9, 0.1]).sum() == pytest.approx(1)
    assert class_weights([900, 100], 0).tolist() == [1, 1]
    assert class_weights([10, 0]).tolist() == [1, 1]


def test_relative_distance_is_one_in_the_middle_of_small_and_large_cells() -> None:
    labels = np.zeros((30, 60), dtype=np.int64)
    labels[3:8, 3:8], labels[2:27, 30:55] = 1, 2
    distance = relative_distance(labels)
    assert distance[5, 5] == distance[14, 42] == 1
    assert distance[3, 3] == pytest.approx(1 / 3)
    assert distance[0, 0] == 0
    assert relative_distance(np.ones((4, 4), dtype=np.int64)).tolist() == np.ones((4, 4)).tolist()
