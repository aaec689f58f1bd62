"""Grey values: noise stays noise, cells stay cells, whatever the detector and the file make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from celltrail.data.errors import InputError
from celltrail.segmentation.prediction.contrast import LEAST, contrasts, drop_faint, roughness
from celltrail.segmentation.prediction.grey import (
    NOISE_RANGE,
    grey_limits,
    mend,
    noise_of,
    normalise,
    safe_limits,
)


def discs(side: int, count: int, radius: float, seed: int = 0) -> np.ndarray:
    """Foreground (0 … 1) of discs at random places."""
    y, x = np.mgrid[:side, :side]
    places = np.random.default_rng(seed).uniform(radius + 2, side - radius - 2, (count, 2))
    return np.max([np.clip(radius - np.hypot(y - a, x - b) + 0.5, 0, 1) for a, b in places], axis=0)


def noise(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (side, side))


@pytest.mark.parametrize("deviation", [0.3, 5, 900])
def test_noise_is_measured_on_slopes_and_beside_cells(deviation: float) -> None:
    slope = np.mgrid[:300, :300][0] * deviation / 10
    assert noise_of(deviation * noise(300) + slope) == pytest.approx(deviation, rel=0.1)
    cells = 100 * deviation * discs(300, 30, 10)
    assert noise_of(deviation * noise(300) + cells) == pytest.approx(deviation, rel=0.25)
    assert noise_of(np.round(deviation * noise(300) * 10)) == pytest.approx(10 * deviation, rel=0.2)


def test_a_background_of_zeros_has_no_noise() -> None:
    assert noise_of(np.zeros((90, 90), np.uint8)) == 0
    assert safe_limits(np.zeros((90, 90), np.uint8), 1, 99.8) == (0, 0)
    cells = np.where(discs(90, 4, 8) > 0.5, 40 + 3 * noise(90), 0).astype(np.uint8)
    assert safe_limits(cells, 1, 99.8) == grey_limits(cells, 1, 99.8)


def test_noise_alone_is_not_stretched() -> None:
    bottom, top = safe_limits(1000 + 7 * noise(200), 1, 99.8)
    assert top - bottom == pytest.approx(NOISE_RANGE * 7, rel=0.1)


def test_one_cell_in_a_large_image_sets_the_upper_limit() -> None:
    image = 100 + 5 * noise(900) + 400 * discs(900, 1, 9)
    assert grey_limits(image, 1, 99.8)[1] < 150
    assert safe_limits(image, 1, 99.8)[1] == pytest.approx(500, rel=0.05)


@given(gain=st.floats(0.01, 1e4), offset=st.floats(-1e6, 1e9))
@settings(max_examples=20, deadline=None)
def test_gain_and_offset_change_nothing(gain: float, offset: float) -> None:
    image = noise(60) + 20 * discs(60, 3, 8)
    plain = normalise(image, safe_limits(image, 1, 99.8))
    other = image * gain + offset
    if gain < 1e-7 * abs(offset):
        return
    np.testing.assert_allclose(plain, normalise(other, safe_limits(other, 1, 99.8)), atol=2e-3)


@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "float32", "float64"])
def test_every_kind_of_number_gives_the_same_picture(kind: str) -> None:
    image = np.round(300 * discs(80, 4, 9) + 5 * noise(80)) - (200 if kind != "uint16" else -200)
    plain = normalise(image, safe_limits(image, 1, 99.8))
    typed = image.astype(kind)
    np.testing.assert_allclose(plain, normalise(typed, safe_limits(typed, 1, 99.8)), atol=1e-5)


def test_lone_broken_pixels_and_gaps_take_the_value_of_what_is_around() -> None:
    image = (500 * discs(80, 4, 9) + 5 * noise(80)).astype(np.float32)
    broken = image.copy()
    broken[10, 10], broken[40, 41], broken[20:23, 30:33] = 1e9, -1e9, np.nan
    mended = mend(broken)
    assert np.isfinite(mended).all()
    assert mended.max() < 1000
    assert mended.min() > -1000
    changed = mended != image
    changed[10, 10] = changed[40, 41] = changed[20:23, 30:33] = False
    assert not changed.any()
    assert mend(image) is image
    with pytest.raises(InputError, match="no finite value"):
        mend(np.full((9, 9), np.inf))


def test_a_bright_cell_is_not_broken() -> None:
    image = 50 * discs(120, 6, 9) + noise(120) + 5000 * discs(120, 1, 3, seed=3)
    assert mend(image) is image


def test_a_cell_stands_out_and_noise_does_not() -> None:
    plane = (5 * discs(200, 6, 10) + noise(200)).astype(np.float32)
    cells = (discs(200, 6, 10) > 0.5).astype(np.int32)
    assert contrasts(plane, cells, 20, roughness(plane))[1].min() > 2 * LEAST
    dim = (2 * discs(200, 6, 10) + noise(200)).astype(np.float32)  # two deviations of the noise of a pixel
    assert contrasts(dim, cells, 20, roughness(dim))[1].min() > LEAST
    blobs = discs(200, 6, 10, seed=1) > 0.5
    faint = contrasts(noise(200, 1).astype(np.float32), blobs.astype(np.int32), 20)[1]
    assert abs(faint[0]) < 1
    probability = np.where((cells > 0) | (blobs & (discs(200, 6, 16) == 0)), 0.9, 0.1).astype(np.float32)
    kept = drop_faint(plane, roughness(plane), probability, 0.5, 20)
    assert (kept[cells > 0] == np.float32(0.9)).mean() > 0.8
    far = blobs & (discs(200, 6, 18) == 0)
    assert (kept[far] >= 0.5).mean() < (probability[far] >= 0.5).mean()


def test_roughness_sees_noise_not_slopes() -> None:
    slope = (np.mgrid[:50, :60][1] * 3.0).astype(np.float32)
    assert roughness(slope)[:-3, :-3].max() < 1e-3
    rough = roughness((slope + noise(60)[:50]).astype(np.float32))
    assert float(np.median(rough)) / 0.6745 == pytest.approx(1, rel=0.1)
