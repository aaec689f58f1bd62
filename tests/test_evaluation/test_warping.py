"""The warping error against a literal slow version, and on cases drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_movies import draw
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.evaluation.measures import warping
from celltrail.evaluation.measures.warping import KINDS, MERGE, SPLIT, Warping, separate_cells, warp, warping_errors

Image = NDArray[np.bool_]
EIGHT = np.ones((3, 3))


def topology(image: Image) -> tuple[int, int]:
    """Objects (4-connected) and background parts (8-connected) of an image with a border of background."""
    padded = np.pad(image, 1)
    return ndimage.label(padded)[1], ndimage.label(~padded, EIGHT)[1]


def slow_warp(truth: Image, result: NDArray[np.floating], threshold: float) -> Image:
    """The sweeps of Fiji, one pixel at a time; a point is simple if flipping it keeps the local topology."""
    target, current = result.astype(np.float64) > threshold, np.pad(truth, 1)
    while True:
        places = [
            (x, y)
            for x in range(truth.shape[1])
            for y in range(truth.shape[0])
            if current[y + 1, x + 1] != target[y, x]
        ]
        places.sort(key=lambda p: -abs(np.float32(float(np.float32(result[p[1], p[0]])) - threshold)))
        flips = 0
        for x, y in places:
            ring = current[y : y + 3, x : x + 3].copy()
            ring[1, 1] = False
            parts = ndimage.label(ring)[0]
            near = {parts[0, 1], parts[1, 0], parts[1, 2], parts[2, 1]} - {0}
            black = ~ring
            black[1, 1] = False
            if len(near) == 1 and ndimage.label(black, EIGHT)[1] == 1:
                current[y + 1, x + 1] ^= True
                flips += 1
        if flips == 0:
            return current[1:-1, 1:-1]


def slow_kinds(warped: Image, target: Image) -> NDArray[np.int64]:
    """The kinds of mistakes, labelling the whole image again for every pixel."""
    kinds = np.zeros(warped.shape, dtype=np.int64)
    labels = ndimage.label(warped)[0]

    def around(image: NDArray[np.integer], y: int, x: int) -> set[int]:
        box = image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].astype(int)
        box[y - max(y - 1, 0), x - max(x - 1, 0)] = -1
        return set(box.ravel().tolist()) - {-1}

    for y, x in np.argwhere(warped != target):
        names, white = around(labels, y, x), bool(warped[y, x])
        objects = names - {0}
        if not objects:
            name = "object deletion" if white else "object addition"
        elif len(objects) > 1:
            name = "split" if white else "merge"
        elif 0 not in names:
            name = "hole addition" if white else "hole deletion"
        elif not white:
            name = "hole addition"
        else:
            without = warped.copy()
            without[y, x] = False
            name = "split" if len(around(ndimage.label(without)[0], y, x) - {0}) > 1 else "hole deletion"
        kinds[y, x] = KINDS.index(name)
    return kinds


def blobs(seed: int, shape: tuple[int, int] = (24, 27), smooth: float = 1.2) -> NDArray[np.float64]:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), smooth)
    return (noise - noise.min()) / (noise.max() - noise.min())


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_the_slow_version(seed: int) -> None:
    truth = blobs(seed, smooth=0.8 + seed % 3) > 0.5
    result = blobs(seed + 1000) if seed % 2 else np.clip(truth * 0.6 + blobs(seed + 1000) * 0.5, 0, 1)
    if seed % 4 == 0:
        result = np.round(result, 1)  # ties: the order of the columns decides
    threshold = (0.3, 0.5, 0.6)[seed % 3]
    result = result.astype(np.float32)
    found = warp(truth, result, threshold=threshold)
    expected = slow_warp(truth, result, threshold)
    assert np.array_equal(found.warped, expected)
    assert np.array_equal(found.mismatch, slow_kinds(expected, result.astype(np.float64) > threshold))
    assert topology(found.warped) == topology(truth)
    assert found.error <= (truth != (result.astype(np.float64) > threshold)).mean()


def test_all_small_results_of_one_truth() -> None:
    """All 4,096 results of 3 × 4 pixels: the topology is kept, and what agrees is not counted."""
    truth = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
    for code in range(2**12):
        result = np.array([code >> bit & 1 for bit in range(12)], dtype=bool).reshape(3, 4)
        found = warp(truth, result)
        assert topology(found.warped) == topology(truth)
        assert np.array_equal(found.mismatch > 0, found.warped != result)


def test_116_of_256_neighbourhoods_are_simple() -> None:
    assert int(warping.SIMPLE.sum()) == 116


def disc(shape: tuple[int, int], center: tuple[int, int], radius: float) -> Image:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2


def test_moving_a_border_costs_nothing() -> None:
    truth = disc((60, 60), (30, 30), 20)
    assert warp(truth, truth).error == 0
    assert warp(truth, disc((60, 60), (30, 30), 14)).error == 0
    assert warp(truth, disc((60, 60), (30, 37), 20)).error == 0


def count(found: Warping, kind: int) -> int:
    return int((found.mismatch == kind).sum())


def test_a_bridge_is_a_merger() -> None:
    truth = np.zeros((20, 40), dtype=bool)
    truth[5:15, 4:16] = truth[5:15, 24:36] = True
    bridged = truth.copy()
    bridged[10, 16:24] = True
    found = warp(truth, bridged)
    assert count(found, MERGE) == 1  # the truth grows into the bridge from both sides; one pixel must stay
    assert found.split_merge_error == found.error == 1 / 800
    wide = truth.copy()
    wide[6:14, 16:24] = True
    assert count(warp(truth, wide), MERGE) == 8  # a line across the bridge


def test_a_cut_is_a_split() -> None:
    truth = np.zeros((13, 40), dtype=bool)
    truth[5:8, 4:36] = True
    cut = truth.copy()
    cut[5:8, 20] = False
    found = warp(truth, cut)
    assert count(found, SPLIT) == found.mismatch.astype(bool).sum() == 1  # thinned to a bridge of one pixel
    broad = truth.copy()
    broad[5:8, 18:22] = False
    assert count(warp(truth, broad), SPLIT) == 4


def test_objects_and_holes() -> None:
    empty, dot = np.zeros((12, 12), dtype=bool), np.zeros((12, 12), dtype=bool)
    dot[5, 5] = True
    square = np.zeros((12, 12), dtype=bool)
    square[4:8, 4:8] = True
    pierced = square.copy()
    pierced[5, 5] = False
    kinds = [KINDS[int(k)] for k in np.unique(warp(empty, square).mismatch) if k]
    assert (warp(empty, square).error * 144, kinds) == (16, ["object addition"])
    found = warp(square, empty)  # shrinks to one pixel
    assert (found.error * 144, KINDS[int(found.mismatch.max())]) == (1, "object deletion")
    found = warp(square, pierced)
    assert (found.error * 144, KINDS[int(found.mismatch.max())]) == (1, "hole addition")
    found = warp(pierced, square)
    assert (found.error * 144, KINDS[int(found.mismatch.max())]) == (1, "hole deletion")
    assert warp(empty, dot).split_merge_error == 0


def test_only_where_it_is_allowed() -> None:
    truth, result = disc((30, 30), (15, 15), 9), disc((30, 30), (15, 15), 5)
    allowed = np.zeros((30, 30), dtype=bool)
    allowed[:, 15:] = True
    found = warp(truth, result, allowed=allowed)
    assert np.array_equal(found.warped[:, :15], truth[:, :15])
    assert np.array_equal(found.warped[:, 16:], result[:, 16:])


def test_thresholds_and_stacks() -> None:
    truth = np.stack([disc((30, 30), (15, 15), 8), disc((30, 30), (12, 15), 5)])
    result = np.where(truth, 0.75, 0.25)
    result[:, 2, 2] = 0.65  # an object of its own, up to the threshold 0.6
    assert warping_errors(truth, result) == (0.0, 0.0)
    assert warping_errors(truth, result, [0.5]) == (1 / 900, 0.0)
    assert warping_errors(truth[0], result[0], [0.5, 0.9]) == (1 / 900, 0.0)


def test_cells_that_touch_are_kept_apart() -> None:
    labels = draw({0: "1122. 1122. 11333"})[0]
    apart = separate_cells(labels)
    assert ndimage.label(apart)[1] == 3
    assert not np.any(apart & (labels == 0))


def test_real_membranes(real_data: Path) -> None:
    """A slice of the ISBI 2012 challenge against a blurred image of itself, over the challenge's thresholds."""
    from PIL import Image

    folder = real_data / "ISBI2012-membrane" / "train"
    truth = np.asarray(Image.open(folder / "label" / "0.png").convert("L")) > 0
    image = np.asarray(Image.open(folder / "image" / "0.png").convert("L"))
    probability = ndimage.gaussian_filter(image.astype(np.float32), 2) / 255
    for threshold in (0.3, 0.5, 0.7):
        found = warp(truth, probability, threshold=threshold)
        assert topology(found.warped) == topology(truth)
        assert found.split_merge_error <= found.error <= (truth != (probability > threshold)).mean()
    error, split_merge = warping_errors(truth, probability)
    assert 0 < split_merge <= error < 0.05
    assert warping_errors(truth, truth) == (0.0, 0.0)


def test_shapes() -> None:
    with pytest.raises(ValueError, match="shapes"):
        warp(np.zeros((3, 3)), np.zeros((3, 4)))
