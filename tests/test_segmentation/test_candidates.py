"""Nested candidates from drawn maps whose cells are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

pytest.importorskip("torch")

from celltrail.data.files.hypotheses import find_cliques, find_conflicts, paint
from celltrail.segmentation.net.instance_settings import InstanceSettings
from celltrail.segmentation.prediction.hypotheses import (
    PROMINENCE,
    find_hypotheses,
    flood,
    join_basins,
    label_cells,
    regions,
    saddles,
    score_of,
    solidity,
)
from celltrail.segmentation.prediction.instances import remove_small
from celltrail.segmentation.prediction.tiles import Prediction

SETTINGS = InstanceSettings(min_size=10, grow=0)


def maps_of(centers: list[tuple[float, float]], radius: float, shape: tuple[int, int] = (40, 70)) -> Prediction:
    """Round cells: probability 1 inside, height falling from the centre to the edge."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    height = np.zeros(shape)
    for cy, cx in centers:
        height = np.maximum(height, 1 - np.hypot(y - cy, x - cx) / radius)
    height = height.clip(0, 1).astype(np.float32)
    return Prediction((height > 0).astype(np.float32) * 0.98, height)


def test_two_cells_that_touch_little_are_two() -> None:
    found = find_hypotheses(maps_of([(20, 20), (20, 40)], 12), SETTINGS)
    assert len(found.best) == 2
    whole = [row for row in range(len(found.hypotheses)) if found.hypotheses.parent[row] == -1]
    assert len(whole) == 1  # both together are a candidate too
    assert set(found.hypotheses.parent[found.best].tolist()) == set(whole)
    assert [len(c) for c in find_cliques(found.hypotheses)] == [2, 2]


def test_two_peaks_with_a_high_saddle_are_one_cell() -> None:
    maps = maps_of([(20, 30), (20, 34)], 12)
    found = find_hypotheses(maps, SETTINGS)
    assert len(found.best) == 1
    assert np.array_equal(paint(found.hypotheses, found.best) > 0, maps.probability > 0.5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_solidity_of_balls_that_touch(ndim: int) -> None:
    """Radius 8, centres 16 apart: two discs in a hull of πr² + 4r², two balls in one of 4⁄3 πr³ + 2πr³."""
    axes = np.indices((24,) * (ndim - 1) + (40,)) - 11.5
    away = [np.sqrt((axes[:-1] ** 2).sum(axis=0) + (axes[-1] - x) ** 2) for x in (0, 16)]
    ball = np.pi * 8**2 if ndim == 2 else 4 / 3 * np.pi * 8**3
    hull = ball + (4 * 8**2 if ndim == 2 else 2 * np.pi * 8**3)
    steps = 0.02 if ndim == 2 else 0.07  # of pixels, of voxels
    assert solidity(away[0] <= 8) == pytest.approx(1, abs=steps)
    assert solidity((away[0] <= 8) | (away[1] <= 8)) == pytest.approx(2 * ball / hull, abs=steps)
    assert solidity(np.ones((3,) * ndim, bool)) == 1
    assert solidity(np.ones((1,) * ndim, bool)) == 1


def test_a_model_with_fewer_weights_does_not_hear_of_the_last_features() -> None:
    assert score_of((1.0, 2.0, 3.0), (0.5, 1.0, 10.0)) == 21.5
    assert score_of((1.0, 2.0, 3.0), (0.5, 1.0, 10.0, 100.0)) == 321.5


def test_a_notch_makes_two_of_what_would_be_one() -> None:
    """Two discs that meet at three quarters of their height are two cells; what fills the notch between them is one."""
    low = maps_of([(20, 20), (20, 38)], 12)
    assert low.distance is not None
    high = np.where(low.distance > 0, 0.6 + 0.4 * low.distance, 0).astype(np.float32)
    filled = high.copy()
    filled[8:33, 20:39] = np.maximum(filled[8:33, 20:39], 0.6)
    assert len(find_hypotheses(Prediction(low.probability, high), SETTINGS).best) == 2
    found = find_hypotheses(Prediction((filled > 0) * np.float32(0.98), filled), SETTINGS)
    assert len(found.best) == 1
    assert len(found.hypotheses) >= 3  # two parts were candidates


def test_regions_never_conflict_with_each_other() -> None:
    found = find_hypotheses(maps_of([(12, 12), (12, 50), (30, 56)], 10), SETTINGS).hypotheses
    assert len(set(found.region.tolist())) >= 2
    for a, b in find_conflicts(found).tolist():
        assert found.region[a] == found.region[b]


def test_uncertain_outlines_become_candidates() -> None:
    y, x = np.mgrid[:40, :40]
    away = np.hypot(y - 20, x - 20)
    probability = np.clip(1.2 - away / 15, 0, 1).astype(np.float32)  # a blurred edge: any radius from 9 to 15
    found = find_hypotheses(Prediction(probability, None), SETTINGS)
    areas = found.hypotheses.areas()
    assert len(areas) == 3
    assert areas[1] > areas[0] > areas[2]
    assert found.hypotheses.score.argmax() == 0
    assert found.best == [0]


def test_empty_maps_have_no_candidates() -> None:
    empty = Prediction(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.float32))
    found = find_hypotheses(empty, SETTINGS)
    assert len(found.hypotheses) == 0
    assert found.best == []
    assert not label_cells(empty, SETTINGS).any()


def test_stacks_have_candidates_in_3d() -> None:
    flat = maps_of([(20, 20), (20, 50)], 12)
    stack = Prediction(np.stack([flat.probability] * 3), np.stack([flat.distance] * 3))
    labels = label_cells(stack, SETTINGS)
    assert labels.max() == 2
    assert np.array_equal(labels[0] > 0, flat.probability > 0.5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 12))
def test_candidates_are_a_tree(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    maps = maps_of([tuple(c) for c in random.uniform((4, 4), (36, 66), (count, 2))], 9)
    found = find_hypotheses(maps, SETTINGS)
    h = found.hypotheses
    for row in range(len(h)):
        parent = int(h.parent[row])
        assert parent < row
        if parent >= 0:
            assert h.region[parent] == h.region[row]
    chosen = {frozenset(pair) for pair in find_conflicts(h).tolist()}
    assert not any(frozenset((a, b)) in chosen for a in found.best for b in found.best if a != b)
    assert (h.score[found.best] > 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_basins_are_those_of_the_peaks_that_stand_out(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (60, 50) if seed < 4 else (8, 24, 20)
    height = ndimage.gaussian_filter(random.normal(0, 1, shape), random.uniform(1, 3))
    height = ((height - height.min()) / np.ptp(height)).astype(np.float32)
    foreground = height > 0.4
    smooth = ndimage.gaussian_filter(height, SETTINGS.grow)
    inside = np.where(foreground, smooth, 0).astype(np.float64)
    raised = reconstruction(inside - PROMINENCE, inside)  # the definition: peaks by morphological reconstruction
    peaks = ndimage.label(foreground & (inside - raised >= PROMINENCE - 1e-6))[0]
    expected = remove_small(watershed(-smooth, markers=peaks, mask=foreground), max(SETTINGS.min_size // 4, 1))
    assert peaks.max() >= 3
    found = flood(height, foreground, SETTINGS)
    assert found.max() == expected.max()
    assert np.mean(found != expected) < 0.02  # of two ways up from a pixel either may be taken, or one over a corner


def test_joins_follow_the_saddles() -> None:
    basins = np.array([[1, 1, 2, 2, 3, 3]], dtype=np.int32)
    height = np.array([[0.9, 0.5, 0.6, 0.8, 0.7, 1.0]], dtype=np.float32)
    assert [(round(s, 2), a, b) for s, a, b in saddles(basins, height)] == [(0.7, 2, 3), (0.5, 1, 2)]
    nodes = join_basins(basins, height)
    assert [node.leaves for node in nodes] == [(1,), (2,), (3,), (2, 3), (1, 2, 3)]
    assert nodes[1].parted == nodes[3].joined == pytest.approx(0.7)
    assert regions(nodes) == [0] * 5


def test_a_dense_layer_stays_many_small_trees() -> None:
    basins = np.arange(1, 41, dtype=np.int32).reshape(1, 40).repeat(3, axis=0)
    nodes = join_basins(basins, np.full(basins.shape, 0.9, np.float32), largest=12)
    assert max(len(node.leaves) for node in nodes) == 4  # three pixels each
    assert sorted(leaf for node in nodes if node.parent < 0 for leaf in node.leaves) == list(range(1, 41))
