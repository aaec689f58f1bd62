"""Training at one diameter of the cells: what is resized, how, and what the model says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from celltrail.segmentation.net.model import Preprocessing  # noqa: E402
from celltrail.segmentation.net.resize import (  # noqa: E402
    LARGEST_FACTOR,
    median_diameter,
    resize_factor,
    resize_labels,
    resize_plane,
    resized_shape,
)
from celltrail.segmentation.training.annotated import AnnotatedMovie  # noqa: E402
from celltrail.segmentation.training.augment import NO_VARIATION, Variation, vary_grey  # noqa: E402
from celltrail.segmentation.training.examples import TrainingTiles, prepare_frame  # noqa: E402
from celltrail.segmentation.training.loop import train  # noqa: E402
from celltrail.segmentation.training.settings import FAST  # noqa: E402

TINY = replace(FAST, width=2, depth=1, tile=24, batch=1, steps=2, epoch=2, diameter=10.0, variation=NO_VARIATION)


def discs(radius: float, side: int = 90, frames: int = 3) -> AnnotatedMovie:
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), dtype=np.uint16)
    for number, (cy, cx) in enumerate([(0.25, 0.25), (0.25, 0.75), (0.7, 0.5)], start=1):
        labels[np.hypot(y - cy * side, x - cx * side) <= radius] = number
    numbers = range(frames)
    return AnnotatedMovie(
        dict.fromkeys(numbers, (labels > 0) * 200 + 50), dict.fromkeys(numbers, labels), tuple(numbers)
    )


@pytest.mark.parametrize(("radius", "side"), [(4, 60), (10, 90), (20, 130)])
def test_cells_of_any_size_reach_the_net_at_one_size(radius: int, side: int) -> None:
    (plane,) = prepare_frame(discs(radius, side), 0, Preprocessing(), diameter=16)
    assert plane.image.shape == plane.labels.shape == plane.known.shape
    assert median_diameter(plane.labels) == pytest.approx(16, rel=0.1)
    assert len(np.unique(plane.labels)) == 4
    assert plane.image[plane.labels > 0].mean() > 0.8  # image and labels lie upon each other
    assert plane.image[plane.labels == 0].mean() < 0.1


def test_a_frame_without_cells_keeps_its_size() -> None:
    empty = AnnotatedMovie({0: np.eye(30)}, {0: np.zeros((30, 30), np.uint8)}, (0,))
    assert prepare_frame(empty, 0, Preprocessing(), diameter=16)[0].image.shape == (30, 30)


@given(st.integers(16, 3000), st.floats(0.5, 2000), st.floats(5, 60))
def test_factors_stay_within_reason(side: int, found: float, wanted: float) -> None:
    factor = resize_factor((side, side), found, wanted)
    assert 0 < factor <= LARGEST_FACTOR
    assert min(resized_shape((side, side), factor)) >= 16


def test_a_plane_that_shrinks_keeps_its_mean_and_no_label_is_invented() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(3, 1, (90, 60)).astype(np.float32)
    small = resize_plane(noise, (30, 20))
    assert small.mean() == pytest.approx(3, abs=0.05)
    assert small.std() < 0.5  # a sample of single pixels would have 1
    labels = random.integers(0, 9, (90, 60))
    assert set(np.unique(resize_labels(labels, (31, 77)))) <= set(np.unique(labels))
    assert np.array_equal(resize_labels(labels, (90, 60)), labels)
    doubled = resize_labels(labels, (180, 120))
    assert np.array_equal(doubled[::2, ::2], labels)


def test_the_model_knows_the_diameter_it_was_trained_with() -> None:
    resized = train([discs(9)], [], TINY)
    assert resized.model.info["diameter"] == 10.0
    assert resized.model.info["native_diameter"] == pytest.approx(18, rel=0.05)
    as_it_is = train([discs(9)], [], replace(TINY, diameter=0.0, scale=2))
    assert as_it_is.model.info["diameter"] == pytest.approx(9, rel=0.05)
    assert as_it_is.model.info["native_diameter"] == pytest.approx(18, rel=0.05)


def test_many_frames_of_one_kind_do_not_drown_few_of_another() -> None:
    movies = [discs(8, frames=16), discs(8, frames=4)]
    tiles = TrainingTiles(movies, TINY, Preprocessing(), seed=0, count=600)
    chosen = [tiles._choose_frame(np.random.default_rng(i)) for i in range(600)]
    assert set(chosen) == set(range(20))
    few = sum(index >= 16 for index in chosen) / 600
    assert few == pytest.approx(1 / 3, abs=0.07)  # not 1/5: the square roots of 16 and 4 are as 2 to 1


def test_grey_values_vary_within_their_range_and_repeatably() -> None:
    tile = torch.zeros(40, 40)
    tile[10:20, 10:20] = 1
    strong = Variation(shade=0.4, specks=9, saturation=1.0, noise=0.1)
    once, again = (vary_grey(tile, strong, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, tile)
    assert -1 <= float(once.min()) <= float(once.max()) <= 5
    shaded = vary_grey(torch.ones(40, 40), replace(NO_VARIATION, shade=0.5), np.random.default_rng(1))
    assert float(shaded.std()) > 0.01
    assert float(shaded[20, 20]) == pytest.approx(1, abs=0.05)  # the middle stays
    specks = vary_grey(torch.zeros(40, 40), replace(NO_VARIATION, specks=6), np.random.default_rng(3))
    assert 0 <= int((specks > 0.2).sum()) <= 6 * 30
