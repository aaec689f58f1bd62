"""A few frames tell the size of the cells, the grey values, and whether the model knows such images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")

from celltrail.segmentation import load_model, segment_movie
from celltrail.segmentation.net.instance_settings import InstanceSettings, scaled_settings
from celltrail.segmentation.prediction.first_look import Survey, from_json, survey
from celltrail.segmentation.prediction.scale import best_overlap, busiest, window_around
from celltrail.segmentation.segment_settings import DEFAULT_MODEL


def nuclei(side: int, diameter: float, count: int, *, seed: int = 0, contrast: float = 200) -> np.ndarray:
    """Round nuclei that do not touch, on noise, uint16."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    places: list[np.ndarray] = []
    for _ in range(3000):
        place = random.uniform(0.6 * diameter, side - 0.6 * diameter, 2)
        if len(places) < count and all(np.hypot(*(place - other)) > 1.4 * diameter for other in places):
            places.append(place)
            image = np.maximum(image, np.clip(diameter / 2 - np.hypot(y - place[0], x - place[1]) + 0.5, 0, 1))
    return (100 + contrast * image + random.normal(0, 4, image.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def model():
    return load_model(DEFAULT_MODEL)


@pytest.mark.parametrize(("diameter", "side"), [(8, 120), (20, 160), (60, 400)])
def test_the_diameter_is_found_and_cells_are_counted(model, diameter: float, side: int) -> None:
    image = nuclei(side, diameter, 12)
    found = survey({0: image}, model)
    assert found.diameter == pytest.approx(diameter, rel=0.25)
    assert found.fits
    assert (found.factor == 1) == (diameter == 20)
    ((_, labels),) = segment_movie({0: image}, model)
    assert labels.max() == 12


def test_a_given_diameter_is_taken(model) -> None:
    found = survey({0: nuclei(120, 8, 12)}, model, diameter=10)
    assert found.given
    assert found.diameter == 10
    assert found.factor == pytest.approx(model.diameter / 10)


@pytest.mark.parametrize("kind", ["noise", "counts", "zeros", "constant", "saturated", "uneven"])
def test_images_without_cells_have_none(model, kind: str) -> None:
    random = np.random.default_rng(3)
    y, x = np.mgrid[:140, :140]
    image = {
        "noise": random.normal(1000, 30, (140, 140)),
        "counts": random.poisson(5, (140, 140)),
        "zeros": np.zeros((140, 140)),
        "constant": np.full((140, 140), 77),
        "saturated": np.full((140, 140), 65535),
        "uneven": random.poisson(100 + y + x / 2),
    }[kind].astype(np.uint16)
    assert survey({0: image}, model).diameter is None
    assert all(not labels.any() for _, labels in segment_movie({0: image, 1: image[::-1]}, model))


def test_one_nucleus_in_a_large_image_is_one(model) -> None:
    image = np.random.default_rng(0).normal(100, 5, (500, 500))
    y, x = np.mgrid[:500, :500]
    image += 200 * np.clip(9 - np.hypot(y - 310, x - 109) + 0.5, 0, 1)
    ((_, labels),) = segment_movie({0: image.astype(np.uint16)}, model)
    assert labels.max() == 1


def test_half_the_contrast_eight_bits_and_a_saturated_frame_change_no_cell(model) -> None:
    frames = [nuclei(160, 19, 14, seed=k) for k in range(4)]
    counts = [int(labels.max()) for _, labels in segment_movie(dict(enumerate(frames)), model)]
    assert counts == [14] * 4
    eight = {k: np.round((frame - 80.0) / 10).clip(0, 255).astype(np.uint8) for k, frame in enumerate(frames)}
    eight_counts = [int(labels.max()) for _, labels in segment_movie(eight, model)]
    assert abs(sum(eight_counts) - sum(counts)) <= 0.02 * sum(counts)
    spoilt = {0: np.full((160, 160), 65535, np.uint16), **{k: frames[k] // 2 for k in (1, 2, 3)}}
    assert [int(labels.max()) for _, labels in segment_movie(spoilt, model)] == [0, *counts[1:]]


def test_frames_of_several_sizes_of_cells_are_stills(model) -> None:
    images = {
        0: nuclei(120, 8, 12),
        1: nuclei(120, 8, 12, seed=1),
        2: nuclei(300, 45, 10)[:120, :120],
        3: nuclei(160, 19, 9),
    }
    images[3] = images[3][:120, :120]
    assert survey(images, model).stills
    assert survey({0: nuclei(90, 12, 9), 1: nuclei(100, 12, 9)}, model).stills == "their sizes differ"
    assert not survey({k: nuclei(120, 12, 12, seed=k) for k in range(3)}, model).stills


def bleaching(**changes: tuple[float, float]) -> Survey:
    grey = {10 * k: (100.0, 100 + 1000 * 0.8**k) for k in range(5)}
    return Survey(20, 20, False, 1, True, 0.9, True, "", grey | {int(k[1:]): v for k, v in changes.items()})


def test_grey_values_follow_bleaching_but_not_one_odd_frame() -> None:
    assert bleaching().usual_limits(20) == pytest.approx((100, 100 + 1000 * 0.64))
    plain, odd = bleaching().usual_limits(25)[1], bleaching(f20=(65535, 65535)).usual_limits(25)[1]
    assert odd == pytest.approx(plain, rel=0.25)
    assert bleaching(f0=(5, 6)).usual_limits(3)[1] == pytest.approx(900, rel=0.25)
    again = from_json(bleaching().as_json())
    assert again == bleaching()


def test_overlap_is_that_of_the_best_partner() -> None:
    mine = np.array([[1, 1, 1, 1, 0, 2, 2, 3]])
    theirs = np.array([[1, 1, 1, 2, 2, 3, 3, 0]])
    assert best_overlap(mine, theirs, 3).tolist() == [0.75, 1.0, 0.0]


def test_windows_lie_in_one_another() -> None:
    image = np.random.default_rng(0).random((300, 400))
    image[200:240, 50:90] *= 9
    windows = [window_around(image.shape, busiest(image), side) for side in (50, 100, 1000)]
    for inner, outer in pairwise(windows):
        assert all(b.start <= a.start and a.stop <= b.stop for a, b in zip(inner, outer, strict=True))
    assert 180 < windows[0][0].start < 240


def test_settings_are_those_of_the_pixels_of_the_image() -> None:
    settings = InstanceSettings(min_size=20, min_seed=4, grow=1)
    assert scaled_settings(settings, 1) is settings
    half = scaled_settings(settings, 0.5)
    assert (half.min_size, half.min_seed, half.grow) == (80, 16, 2)
    assert scaled_settings(settings, 2).grow == 0
