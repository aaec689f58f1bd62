"""The table of detections against scikit-image, and against what is drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from celltrail.data.errors import InputError
from celltrail.tracking.measuring.pixels import index_labels, shared_voxels
from celltrail.tracking.measuring.table import measure_movie


def ellipse(shape, centre, axes):
    grid = np.indices(shape)
    return sum(((grid[i] - centre[i]) / axes[i]) ** 2 for i in range(len(shape))) <= 1


def test_measures_agree_with_scikit_image():
    rng = np.random.default_rng(3)
    labels = np.zeros((80, 90), np.int64)
    labels[ellipse(labels.shape, (20, 25), (12, 7))] = 900_000
    labels[ellipse(labels.shape, (55, 60), (15, 15))] = 3
    image = rng.normal(100, 10, labels.shape)
    table = measure_movie({4: labels}, {4: image})
    assert table.label.tolist() == [900_000, 3]
    for row, region in zip((1, 0), regionprops(labels, image), strict=True):
        assert table.area[row] == region.area
        assert table.position[row, 1:] == pytest.approx(region.centroid)
        assert tuple(table.box[row, [1, 2, 4, 5]]) == region.bbox
        assert table.elongation[row] == pytest.approx(region.axis_major_length / region.axis_minor_length, rel=0.01)
    assert table.compactness[1] == pytest.approx(1.0, abs=0.01)
    assert table.compactness[0] < 0.92
    assert table.frame.tolist() == [4, 4]


def test_depth_and_border_count_from_the_side():
    labels = np.zeros((20, 20), np.uint8)
    labels[0:3, 8:12] = 1
    labels[9:11, 9:11] = 2
    table = measure_movie({0: labels})
    assert table.border.tolist() == [0.0, 9.0]
    assert table.depth.tolist() == [2, 9]


def test_anisotropic_voxels_make_a_flat_stack_round():
    ball = ellipse((5, 21, 21), (2, 10, 10), (2, 8, 8)).astype(np.uint8)
    flat = measure_movie({0: ball})
    true = measure_movie({0: ball}, voxel=(4.0, 1.0, 1.0))
    assert flat.elongation[0] < 1.2 < 1.5 < 4
    assert true.compactness[0] > flat.compactness[0]
    assert true.diameter[0] == pytest.approx(flat.diameter[0] * 4 ** (1 / 3))
    assert true.place[0].tolist() == [8.0, 10.0, 10.0]


def test_labels_of_any_size_give_the_same_table():
    labels = np.zeros((12, 12), np.uint64)
    labels[1:4, 1:4], labels[6:10, 6:10] = 1, 2
    huge = labels * np.uint64(2**40)
    small, large = measure_movie({0: labels, 1: labels}), measure_movie({0: huge, 1: huge})
    assert np.array_equal(small.position, large.position)
    assert large.label.tolist() == [2**40, 2**41] * 2
    assert np.array_equal(small.overlap_count, large.overlap_count)


def test_order_does_not_depend_on_the_labels():
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 40), np.uint16)
    for k in range(9):
        labels[4 + 12 * (k // 3) : 10 + 12 * (k // 3), 4 + 12 * (k % 3) : 10 + 12 * (k % 3)] = k + 1
    shuffled = np.concatenate([[0], rng.permutation(9) + 1])[labels]
    one, two = measure_movie({0: labels, 1: labels}), measure_movie({0: shuffled, 1: labels})
    assert np.array_equal(one.position, two.position)
    assert np.array_equal(one.overlap_target, two.overlap_target)


def test_overlap_follows_the_drift():
    labels = np.zeros((60, 60), np.uint8)
    for k in range(9):
        labels[5 + 15 * (k // 3) : 12 + 15 * (k // 3), 5 + 15 * (k % 3) : 12 + 15 * (k % 3)] = k + 1
    table = measure_movie({0: labels, 1: np.roll(labels, (4, 3), (0, 1))})
    assert table.shift[1][:9, 1:] == pytest.approx(np.tile([4.0, 3.0], (9, 1)))
    assert np.array_equal(table.overlap_target, table.overlap_source + 9)
    assert (table.overlap_count == 49).all()


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.uint8, (3, 6, 7), elements=st.integers(0, 3)),
    arrays(np.uint8, (3, 6, 7), elements=st.integers(0, 3)),
    st.integers(-2, 2),
)
def test_shared_voxels_equal_a_count_by_hand(a, b, step):
    labels_a, index_a = index_labels(a)
    labels_b, index_b = index_labels(b)
    shift = np.tile([0, step, -step], (len(labels_a), 1))
    source, target, count = shared_voxels(index_a, index_b, shift, len(labels_b))
    found = {(int(labels_a[s]), int(labels_b[t])): int(c) for s, t, c in zip(source, target, count, strict=True)}
    expected: dict[tuple[int, int], int] = {}
    for z, y, x in np.argwhere(a):
        if 0 <= y + step < 6 and 0 <= x - step < 7 and b[z, y + step, x - step]:
            key = int(a[z, y, x]), int(b[z, y + step, x - step])
            expected[key] = expected.get(key, 0) + 1
    assert found == expected


def test_grey_values_are_not_masks():
    image = np.random.default_rng(0).integers(200, 2200, (64, 64)).astype(np.uint16)
    with pytest.raises(InputError, match="grey values, not masks"):
        measure_movie({0: image})


def test_binary_masks_are_named_as_such():
    labels = np.zeros((30, 30), np.uint8)
    labels[2:6, 2:6] = labels[12:18, 12:18] = 255
    with pytest.raises(InputError, match="binary"):
        measure_movie({0: labels, 1: labels})


def test_one_cell_in_two_pieces_is_fine_where_cells_have_numbers():
    labels = np.zeros((30, 30), np.uint8)
    labels[2:6, 2:6] = labels[12:18, 12:18] = 4
    labels[22:26, 22:26] = 5
    assert measure_movie({0: labels, 1: labels}).area.tolist() == [52, 16, 52, 16]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "no frames"),
        ({0: np.zeros((4, 4), np.uint8), 1: np.zeros((4, 5), np.uint8)}, "shape"),
        ({0: np.zeros((4, 4), np.float32)}, "whole numbers"),
        ({0: np.full((4, 4), -1)}, "negative"),
        ({0: np.zeros(4, np.uint8)}, "must be"),
    ],
)
def test_bad_masks_are_refused(masks, message):
    with pytest.raises(InputError, match=message):
        measure_movie(masks)


def test_images_must_belong_to_the_masks():
    labels = np.ones((4, 4), np.uint8)
    with pytest.raises(InputError, match="no image"):
        measure_movie({0: labels, 1: labels}, {0: labels})
    with pytest.raises(InputError, match="shape"):
        measure_movie({0: labels}, {0: np.ones((5, 4))})


@pytest.mark.parametrize("voxel", [(0.0, 1.0, 1.0), (1.0, -1.0), (1.0, float("nan"), 1.0)])
def test_impossible_voxels_are_refused(voxel):
    with pytest.raises(InputError, match="positive"):
        measure_movie({0: np.ones((4, 4), np.uint8)}, voxel=voxel)
