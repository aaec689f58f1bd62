"""Measures of regions against scikit-image and scikit-learn, against their definitions, and by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_movies import draw
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from celltrail.evaluation.measures.contingency import tabulate
from celltrail.evaluation.measures.segmentation import IOU_THRESHOLDS, measure_regions, one_to_one, threshold_curves

Labels = NDArray[np.integer]


def random_labels(seed: int, shape: tuple[int, ...] = (7, 9)) -> tuple[Labels, Labels]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, shape)
    result = np.where(rng.random(shape) < 0.6, truth * 3, rng.integers(0, 6, shape))
    return truth, result


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_scikit_image_and_scikit_learn(seed: int) -> None:
    skimage_metrics = pytest.importorskip("skimage.metrics")
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    truth, result = random_labels(seed, (7, 9) if seed % 2 else (3, 5, 6))
    found = measure_regions(tabulate({4: truth}, {4: result}))
    inside = truth > 0
    assert found["RI"] == pytest.approx(sklearn_metrics.rand_score(truth.ravel(), result.ravel()), abs=1e-12)
    assert found["RE"] == pytest.approx(1 - found["RI"], abs=1e-12)
    assert found["RI_fg"] == pytest.approx(sklearn_metrics.rand_score(truth[inside], result[inside]), abs=1e-12)
    assert found["ARE"] == pytest.approx(skimage_metrics.adapted_rand_error(truth, result)[0], abs=1e-12)
    split_merge = skimage_metrics.variation_of_information(truth, result)
    assert found["VI"] == pytest.approx(sum(split_merge), abs=1e-9)
    assert found["VI_nats"] == pytest.approx(found["VI"] * np.log(2), abs=1e-12)
    inner = skimage_metrics.variation_of_information(truth[inside], result[inside])
    assert found["VI_fg"] == pytest.approx(sum(inner), abs=1e-9)
    assert found["IoU"] == pytest.approx(sklearn_metrics.jaccard_score(inside.ravel(), result.ravel() > 0), abs=1e-12)
    assert found["Dice"] == pytest.approx(sklearn_metrics.f1_score(inside.ravel(), result.ravel() > 0), abs=1e-12)
    assert found["pixel_error"] == pytest.approx((inside != (result > 0)).mean(), abs=1e-12)


def test_rand_index_by_counting_pairs() -> None:
    truth, result = random_labels(77, (4, 5))
    pairs = list(combinations(range(truth.size), 2))
    a, b = truth.ravel(), result.ravel()
    agreed = sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs)
    assert measure_regions(tabulate({0: truth}, {0: result}))["RI"] == pytest.approx(agreed / len(pairs), abs=1e-12)


def test_two_halves_against_one_differ_by_one_bit() -> None:
    found = measure_regions(tabulate({0: np.repeat([[1, 2]], 4, axis=1)}, {0: np.ones((1, 8), dtype=int)}))
    assert found["VI"] == pytest.approx(1.0, abs=1e-12)
    assert found["VI_nats"] == pytest.approx(np.log(2), abs=1e-12)
    assert found["RI"] == pytest.approx(1 - 16 / 28, abs=1e-12)


def test_means_over_frames_and_pools() -> None:
    truth = draw({0: "1111", 1: "22.."})
    result = draw({0: "1122", 1: "2222"})
    found = measure_regions(tabulate(truth, result))
    assert found["RI"] == pytest.approx(((1 - 4 / 6) + (1 - 4 / 6)) / 2, abs=1e-12)
    assert found["IoU"] == pytest.approx(6 / 8, abs=1e-12)
    assert found["pixel_error"] == pytest.approx(2 / 8, abs=1e-12)


def test_objects_by_hand() -> None:
    """IoU 1, 1/2 and 0 of three true cells; four cells in the result."""
    found = measure_regions(tabulate(draw({0: "1122.33 ......."}), draw({0: "112..7. 8......"})))
    assert found["recall"] == pytest.approx(3 / 3)  # 1: IoU 1; 2: IoU 1/2; 3: IoU 1/2
    assert found["precision"] == pytest.approx(3 / 4)
    assert found["AP50"] == pytest.approx(3 / 4)
    assert found["AP"] == pytest.approx((3 / 4 + 9 * 1 / 6) / 10)
    assert found["SQ"] == pytest.approx(2 / 3)
    assert found["RQ"] == found["F1"] == pytest.approx(6 / 7)
    assert found["PQ"] == pytest.approx(2 / 3 * 6 / 7)
    assert found["best_IoU"] == pytest.approx(2 / 3)
    curves = threshold_curves(tabulate(draw({0: "1122.33 ......."}), draw({0: "112..7. 8......"})))
    assert curves["IoU"] == list(IOU_THRESHOLDS)
    assert curves["precision"] == pytest.approx([3 / 4] + [1 / 4] * 9)
    assert curves["recall"] == pytest.approx([1.0] + [1 / 3] * 9)
    assert curves["AP"] == pytest.approx([3 / 4] + [1 / 6] * 9)


def test_nothing_to_measure() -> None:
    empty = {0: np.zeros((3, 3), dtype=int)}
    found = measure_regions(tabulate(empty, empty))
    assert found["IoU"] is None
    assert found["AP"] is None
    assert found["ARE"] is None
    assert found["RI"] == 1.0
    missed = measure_regions(tabulate({0: np.ones((3, 3), dtype=int)}, empty))
    assert missed["precision"] is None
    assert missed["recall"] == missed["IoU"] == missed["PQ"] == 0.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.55, 0.75]))
def test_one_to_one_is_the_best_assignment(seed: int, threshold: float) -> None:
    truth, result = random_labels(seed, (4, 6))
    table = tabulate({0: truth}, {0: result})
    rows, iou = one_to_one(table, threshold)
    assert len(set(table.gt[rows].tolist())) == len(set(table.res[rows].tolist())) == len(rows)
    gain = np.zeros((len(table.truth), len(table.result)))
    good = table.iou >= threshold
    gain[table.gt[good], table.res[good]] = 1 + table.iou[good] / 100
    best = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert len(rows) + iou.sum() / 100 == pytest.approx(best)


def test_labels_do_not_matter() -> None:
    truth, result = random_labels(5)
    renamed = np.array([0, 2**40, 7, 1, 99, 3])[truth]
    assert measure_regions(tabulate({0: truth}, {0: result})) == pytest.approx(
        measure_regions(tabulate({0: renamed}, {0: result})), nan_ok=True
    )
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
