"""``celltrail.data.labels.overlap`` against a count by hand with NumPy, for labels of every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from celltrail.data.labels.overlap import Overlap, count_overlap, match_objects


def check_by_hand(a: NDArray[np.integer], b: NDArray[np.integer], table: Overlap) -> None:
    for image, labels, areas, centers in (
        (a, table.labels_a, table.areas_a, table.centers_a),
        (b, table.labels_b, table.areas_b, table.centers_b),
    ):
        expected = [int(label) for label in np.unique(image) if label]
        assert labels.tolist() == expected
        assert areas.tolist() == [int((image == label).sum()) for label in expected]
        assert centers.shape == (len(expected), image.ndim)
        for label, center in zip(expected, centers, strict=True):
            assert center == pytest.approx(np.argwhere(image == label).mean(axis=0), abs=1e-9)
    pairs = {(int(i), int(j)): int(((a == i) & (b == j)).sum()) for i in np.unique(a) for j in np.unique(b) if i and j}
    pairs = {key: count for key, count in pairs.items() if count}
    found = zip(table.labels_a[table.a].tolist(), table.labels_b[table.b].tolist(), strict=True)
    assert list(found) == sorted(pairs)
    assert table.count.tolist() == [pairs[key] for key in sorted(pairs)]
    assert table.pixels == a.size


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 1), (3, 7), (16, 5), (2, 3, 4), (4, 1, 9)]),
    top=st.sampled_from([1, 3, 300, 65_535, 2**31 + 5, 2**62]),
)
def test_equals_a_count_by_hand(seed: int, shape: tuple[int, ...], top: int) -> None:
    rng = np.random.default_rng(seed)
    palette_a, palette_b = (np.append(rng.integers(0, top, 4, endpoint=True), 0) for _ in "ab")
    a, b = rng.choice(palette_a, shape), rng.choice(palette_b, shape)
    check_by_hand(a, b, count_overlap(a, b))


def test_more_pairs_than_the_first_table_has_room_for() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 400, (200, 200)), rng.integers(0, 40_000, (200, 200)).astype(np.uint64)
    table = count_overlap(a, b)
    assert table.count.sum() == ((a > 0) & (b > 0)).sum()
    assert table.areas_b.tolist() == np.unique(b[b > 0], return_counts=True)[1].tolist()


def test_large_16_bit_labels_do_not_overflow() -> None:
    a = np.zeros((10, 10), dtype=np.uint16)
    a[2:5, 2:5] = 40_000
    table = count_overlap(a, a.copy())
    assert (table.labels_a.tolist(), table.labels_b.tolist(), table.count.tolist()) == ([40_000], [40_000], [9])


def test_half_covered_is_no_match() -> None:
    truth, result = np.zeros((2, 6), dtype=int), np.zeros((2, 6), dtype=int)
    truth[:, :4] = 1
    result[:, 2:4] = 5  # 4 of 8 pixels
    assert match_objects(count_overlap(truth, result)).tolist() == [-1]
    result[0, 1] = 5
    assert match_objects(count_overlap(truth, result)).tolist() == [0]


def test_one_object_may_take_several() -> None:
    truth = np.array([[1, 1, 2, 2, 3, 3]])
    assert match_objects(count_overlap(truth, np.full((1, 6), 9))).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("a", "word"),
    [(np.array([[-1]]), "negative"), (np.array([[0.5]]), "whole"), (np.array([[2**63]], dtype=np.uint64), "large")],
)
def test_refuses_what_is_no_label_image(a: NDArray[np.generic], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        count_overlap(a, np.zeros((1, 1), dtype=int))  # type: ignore[arg-type]


def test_refuses_different_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        count_overlap(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_empty_images() -> None:
    table = count_overlap(np.zeros((3, 4), int), np.zeros((3, 4), int))
    assert len(table.labels_a) == len(table.labels_b) == len(table.count) == 0
    assert match_objects(table).tolist() == []
