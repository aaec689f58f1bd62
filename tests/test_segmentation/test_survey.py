"""A few frames tell the size of the cells, the grey values, and whether the model knows such images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch")

from celltrail.data.simulation.scene import simulate_scene
from celltrail.segmentation import load_model, segment_movie
from celltrail.segmentation.net.instance_settings import InstanceSettings, scaled_settings
from celltrail.segmentation.prediction.contrast import darkness, roughness
from celltrail.segmentation.prediction.first_look import Survey, from_json, survey
from celltrail.segmentation.prediction.ladder import best_overlap, busiest, rough_diameter, search, window_around
from celltrail.segmentation.prediction.scale import Sightings, density, find_diameter
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


@pytest.mark.parametrize(("diameter", "side"), [(6, 100), (8, 120), (20, 160), (60, 400), (80, 500)])
def test_the_diameter_is_found_and_cells_are_counted(model, diameter: float, side: int) -> None:
    image = nuclei(side, diameter, 12)
    found = survey({0: image}, model)
    assert found.diameter == pytest.approx(diameter, rel=0.25)
    assert found.fits
    assert (found.factor == 1) == (diameter == 20)
    ((_, labels),) = segment_movie({0: image}, model)
    assert labels.max() == 12


@pytest.mark.parametrize(("diameter", "side"), [(11, 160), (26, 260), (55, 400), (80, 500)])
def test_a_model_of_one_movie_follows_cells_of_another_size(diameter: float, side: int) -> None:
    own, image = load_model("fluo-hela"), nuclei(side, diameter, 12)
    found = survey({0: image}, own)
    assert found.diameter == pytest.approx(diameter, rel=0.25)
    assert (found.factor == 1) == (diameter == 26)
    ((_, labels),) = segment_movie({0: image}, own)
    assert labels.max() == 12


@pytest.mark.parametrize("votes", ["few", "none"])
def test_a_model_of_one_movie_keeps_its_size_where_nothing_speaks_for_another(votes: str) -> None:
    own = load_model("fluo-hela")
    own.info["native_diameter"] = 35.0
    image = np.random.default_rng(0).normal(100, 5, (300, 300))
    if votes == "few":  # one bright spot beside what it was made for
        image = np.maximum(nuclei(300, 35, 12), nuclei(300, 12, 1, seed=5)).astype(float)
    found = survey({0: image.astype(np.uint16)}, own)
    assert found.factor == pytest.approx(26 / 35)
    assert not found.stand_out


def test_what_does_not_stand_out_votes_where_a_model_knows_such_cells() -> None:
    ones = np.ones(8)
    seen = Sightings(ones, 100 * ones, 0.9 * ones, 0 * ones, ones, 0.9 * ones, ones)  # clearness 1
    assert find_diameter(density(seen, 100), seen, 100) is None
    assert find_diameter(density(seen, 100, faint=1.0), seen, 100) == 100


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


def same_cells(mine: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether every cell of either image has its like in the other."""
    pairs = [(mine, theirs), (theirs, mine)]
    return all((best_overlap(one, other, int(one.max())) > 0.5).all() for one, other in pairs)


def test_half_the_contrast_eight_bits_and_a_saturated_frame_change_no_cell(model) -> None:
    frames = [nuclei(160, 19, 14, seed=k) for k in range(4)]
    found = [labels for _, labels in segment_movie(dict(enumerate(frames)), model)]
    assert [int(labels.max()) for labels in found] == [14] * 4
    eight = {k: np.round((frame - 80.0) / 10).clip(0, 255).astype(np.uint8) for k, frame in enumerate(frames)}
    assert all(same_cells(found[k], labels) for k, labels in segment_movie(eight, model))  # 20 grey levels of contrast
    spoilt = {0: np.full((160, 160), 65535, np.uint16), **{k: frames[k] // 2 for k in (1, 2, 3)}}
    (_, empty), *rest = segment_movie(spoilt, model)
    assert not empty.any()
    assert all(same_cells(found[k], labels) for k, labels in rest)


def test_eight_bits_of_crowded_simulated_nuclei_are_the_same_cells(model) -> None:
    scene = simulate_scene(frames=1, cells=60, size=(300, 300), crowding=0.4, seed=4)
    image = scene.draw(0)[0].astype(float)
    low, high = np.percentile(image, [1, 99])
    eight = np.round(7 + 20 * (image - low) / (high - low)).clip(0, 255).astype(np.uint8)
    ((_, fine),) = segment_movie({0: image}, model)
    ((_, coarse),) = segment_movie({0: eight}, model)
    matched = np.count_nonzero(best_overlap(fine, coarse, int(fine.max())) > 0.5)
    assert fine.max() >= 50
    assert matched >= 0.98 * max(fine.max(), coarse.max())


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


def phase_contrast(side: int, seed: int) -> np.ndarray:
    """Bright bodies with dark halos on uneven grey."""
    random = np.random.default_rng(seed)
    cells = ndimage.gaussian_filter((nuclei(side, 14, 25, seed=seed) > 200).astype(float), 1)
    halo = ndimage.gaussian_filter(cells, 5) - cells
    broad = ndimage.gaussian_filter(random.normal(0, 1, (side, side)), side / 4)
    grey = 120 + 60 * cells - 60 * np.maximum(halo, 0) + 12 * broad / broad.std() + random.normal(0, 1, (side, side))
    return grey.astype(np.uint8)


def spindles(side: int, seed: int) -> np.ndarray:
    """Whole spindle-shaped cells in fluorescence."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    for _ in range(8):
        length, width, angle = random.uniform(70, 130), random.uniform(5, 10), random.uniform(0, np.pi)
        v, u = y - random.uniform(0, side), x - random.uniform(0, side)
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        half = width * np.clip(1 - np.abs(2 * along / length) ** 1.3, 0, 1)
        texture = np.clip(1 + 1.4 * ndimage.gaussian_filter(random.normal(0, 1, image.shape), 2), 0.2, 2)
        image = np.maximum(image, texture * np.clip(half - np.abs(across) + 0.5, 0, 1))
    return random.poisson(100 + 300 * ndimage.gaussian_filter(image, 1)).astype(np.uint16)


@pytest.mark.parametrize("draw", [phase_contrast, spindles, lambda side, seed: 500 - nuclei(side, 20, 12, seed=seed)])
def test_the_model_does_not_know_what_is_no_nucleus_in_fluorescence(model, draw) -> None:
    for count in (1, 3):
        assert not survey({k: draw(220, k) for k in range(count)}, model).fits
    slope = 150 * np.mgrid[:220, :220][1] / 220
    assert not survey({0: draw(220, 0) + slope}, model).fits


@pytest.mark.parametrize("contrast", [25, 60, 400])
def test_it_knows_faint_and_few_nuclei_on_a_slope(model, contrast: float) -> None:
    slope = np.mgrid[:220, :220][0] * contrast / 1100
    image = (nuclei(220, 20, 5, contrast=contrast) + slope).astype(np.uint16)
    assert survey({0: image}, model).fits


@pytest.mark.parametrize("light", ["slope", "vignette", "spot"])
def test_light_that_changes_slowly_is_no_misfit(model, light: str) -> None:
    y, x = np.mgrid[:220, :220] / 219
    away = (y - 0.5) ** 2 + (x - 0.6) ** 2
    slow = {"slope": x + 0.5 * y, "vignette": 1 - 1.5 * away, "spot": np.exp(-away / 0.5)}[light]
    image = (nuclei(220, 20, 25) + 600 * slow).astype(np.uint16)  # three times the contrast of the nuclei
    found = survey({0: image}, model)
    assert found.fits
    assert found.diameter == pytest.approx(20, rel=0.25)


def test_the_darkness_of_surroundings() -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:100, :100]
    cells = (np.hypot(y - 50, x - 50) < 10).astype(np.int32)
    plane = (cells + random.normal(0, 0.02, cells.shape)).astype(np.float32)
    assert darkness(plane, cells) < 0.05
    assert darkness(-plane, cells) == 1
    assert darkness(plane - 0.5 * (x < 30).astype(np.float32), cells) == pytest.approx(0.5, abs=0.05)
    slope = 0.03 * x - 0.0003 * (y - 30.0) ** 2
    assert darkness((plane + slope).astype(np.float32), cells) < 0.05
    assert darkness((plane + slope - 0.5 * (x % 20 < 6)).astype(np.float32), cells) > 0.3  # more than the slope is dark
    noisy = (cells + random.normal(0, 0.3, cells.shape)).astype(np.float32)
    assert darkness(noisy, cells) > 0.15
    assert darkness(noisy, cells, roughness(noisy)) == 0
    assert darkness(plane, np.zeros_like(cells)) < 0.1  # the brightest stand for the cells
    assert darkness(np.hypot(y - 50, x - 50).astype(np.float32), np.zeros_like(cells)) > 0.5
    assert np.isnan(darkness(plane, np.ones_like(cells)))


@pytest.mark.parametrize(("diameter", "side"), [(8, 120), (20, 160), (70, 500)])
def test_the_search_begins_near_the_cells_and_is_short(model, diameter: float, side: int) -> None:
    image = nuclei(side, diameter, 10)
    assert rough_diameter(image) == pytest.approx(diameter, rel=0.4)
    assert len(set(search(model, image).factor)) <= 4
    assert len(set(search(model, image, begin=4 * diameter).factor)) <= 8
    assert rough_diameter(np.full((50, 50), 7)) > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (15, 15), (8, 200), (200, 8), (2, 9, 60)])
def test_images_smaller_than_a_tile(model, shape: tuple[int, ...]) -> None:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    image = np.broadcast_to(100 + 400 * (np.hypot(y - shape[-2] // 2, (x + 15) % 30 - 15) < 4), shape).astype(np.uint16)
    ((_, labels),) = segment_movie({0: image}, model)
    assert labels.shape == shape
    if shape in ((8, 200), (2, 9, 60)):
        assert labels.any()


def bleaching(**changes: tuple[float, float]) -> Survey:
    grey = {10 * k: (100.0, 100 + 1000 * 0.8**k) for k in range(5)}
    return Survey(
        20, 20, None, False, 1, True, 0.9, 0.9, 0.0, True, "", grey | {int(k[1:]): v for k, v in changes.items()}
    )


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
