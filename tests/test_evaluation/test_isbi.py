"""The ISBI scores: thinning against scikit-image's watershed, V_rand and V_info against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from made_movies import draw
from scipy import ndimage

from celltrail.evaluation.measures.isbi import best_isbi_scores, isbi_scores, thin_borders


def test_thinning_leaves_lines_of_one_pixel() -> None:
    thinned = thin_borders(draw({0: "1....2 1....2 1....2"})[0])
    assert thinned.tolist() == [[1, 1, 1, 0, 2, 2]] * 3 or thinned.tolist() == [[1, 1, 0, 2, 2, 2]] * 3
    assert thin_borders(draw({0: "1..2"})[0]).tolist() in ([[1, 1, 0, 2]], [[1, 0, 2, 2]])
    assert np.array_equal(thin_borders(np.zeros((3, 3), dtype=int)), np.zeros((3, 3)))


@pytest.mark.parametrize("seed", range(6))
def test_thinning_like_a_watershed(seed: int) -> None:
    """Ties may fall on either side of a line; most pixels are as in scikit-image."""
    segmentation = pytest.importorskip("skimage.segmentation")
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((60, 70)), 2)
    labels = ndimage.label(noise > np.quantile(noise, 0.55))[0]
    ours = thin_borders(labels)
    theirs = segmentation.watershed(np.zeros(labels.shape), labels, connectivity=1, watershed_line=True)
    assert (ours == theirs).mean() > 0.93
    assert set(np.unique(ours)) == set(np.unique(labels))
    right, below = (ours[:, 1:], ours[:, :-1]), (ours[1:], ours[:-1])
    for a, b in (right, below):  # no two objects touch by an edge
        assert not np.any((a != b) & (a > 0) & (b > 0))


def by_definition(truth: np.ndarray, result: np.ndarray) -> tuple[float, float]:
    inside = truth > 0
    a, b = truth[inside], result[inside].astype(np.int64)
    lone = b == 0
    b[lone] = b.max() + 1 + np.arange(lone.sum())
    n = len(a)
    joint = {
        pair: float(np.sum((a == pair[0]) & (b == pair[1]))) / n
        for pair in set(zip(a.tolist(), b.tolist(), strict=True))
    }
    p_a = [float(np.mean(a == name)) for name in np.unique(a)]
    p_b = [float(np.mean(b == name)) for name in np.unique(b)]
    squares = [sum(p * p for p in shares) for shares in (joint.values(), p_a, p_b)]
    entropies = [-sum(p * np.log(p) for p in shares) for shares in (joint.values(), p_a, p_b)]
    information = entropies[1] + entropies[2] - entropies[0]
    return 2 * squares[0] / (squares[1] + squares[2]), 2 * information / (entropies[1] + entropies[2])


@pytest.mark.parametrize("seed", range(8))
def test_scores_by_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, result = rng.integers(0, 4, (8, 9)), rng.integers(0, 5, (8, 9))
    result = np.where(rng.random(truth.shape) < 0.7, truth, result)
    assert isbi_scores(truth, result) == pytest.approx(by_definition(truth, result), abs=1e-12)


def test_perfect_and_undefined() -> None:
    labels = draw({0: "11.22 11.22"})[0]
    assert isbi_scores(labels, labels) == (1.0, 1.0)
    assert isbi_scores(np.zeros((2, 2), int), np.ones((2, 2), int)) is None
    with pytest.raises(ValueError, match="no object"):
        best_isbi_scores(np.zeros((2, 2)), np.ones((2, 2)))


def test_the_best_threshold_of_a_stack() -> None:
    labels = draw({0: "1111.2222 1111.2222", 1: "111.22222 111.22222"})
    truth = np.stack([labels[0], labels[1]]) > 0
    blurred = np.where(truth, 0.85, 0.45)  # merged below 0.45, apart above
    assert best_isbi_scores(truth, blurred) == (1.0, 1.0)
    merged = best_isbi_scores(truth, blurred, [0.2])
    assert merged[0] < 0.75
    assert merged[1] < 0.1
