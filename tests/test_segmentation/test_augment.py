"""Image and labels move together, and labels stay labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from celltrail.segmentation.training.augment import (  # noqa: E402
    NO_VARIATION,
    Variation,
    add_copies,
    displacement,
    inside,
    make_uneven,
    read_tile,
    sample_coordinates,
    vary_grey,
)


def blobs() -> np.ndarray:
    labels = np.zeros((120, 140), dtype=np.int32)
    for index in range(24):
        y, x = divmod(index, 6)
        labels[y * 28 + 6 : y * 28 + 26, x * 22 + 4 : x * 22 + 20] = index * 40 + 7
    return labels


def test_no_variation_reads_the_frame_as_it_is() -> None:
    frame = torch.rand(40, 50)
    coordinates = sample_coordinates(21, (20.0, 25.0), NO_VARIATION, np.random.default_rng(0))
    assert torch.allclose(read_tile(frame, coordinates, "bilinear"), frame[10:31, 15:36], atol=1e-5)


@pytest.mark.parametrize("elastic", ["none", "grid", "field"])
def test_labels_stay_labels_and_follow_the_image(elastic: str) -> None:
    labels = blobs()
    variation = Variation(elastic=elastic, vector=6, span=140, alpha=60, sigma=8, zoom=0.2)  # type: ignore[arg-type]
    for seed in range(5):
        coordinates = sample_coordinates(90, (60.0, 70.0), variation, np.random.default_rng(seed))
        warped = read_tile(torch.from_numpy(labels.astype(np.float32)), coordinates, "nearest").numpy()
        assert set(np.unique(warped)) <= set(np.unique(labels))
        image = read_tile(torch.from_numpy((labels > 0).astype(np.float32)), coordinates, "bilinear").numpy()
        assert ((image > 0.5) == (warped > 0)).mean() > 0.97
        assert np.all(warped[image > 0.999] > 0)
        assert np.all(warped[image < 0.001] == 0)


def test_same_seed_same_tile_other_seed_other_tile() -> None:
    a, b, c = (sample_coordinates(30, (20.0, 20.0), Variation(), np.random.default_rng(s)) for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)


def test_grid_field_has_the_paper_strength_and_is_smooth() -> None:
    variation = Variation(vector=10, span=512)
    fields = [displacement(512, variation, np.random.default_rng(s)) for s in range(20)]
    spread = float(torch.stack(fields).std())
    assert 5 < spread < 9  # bicubic interpolation between vectors of standard deviation 10
    assert max(float(field.diff(dim=1).abs().max()) for field in fields) < 0.5  # far from folding


def test_grid_field_passes_through_its_vectors() -> None:
    field = displacement(101, Variation(vector=10, span=101), np.random.default_rng(5))
    vectors = np.random.default_rng(5).normal(0, 10, (1, 2, 3, 3))[0]
    assert np.allclose(field[:, ::50, ::50].numpy(), vectors, atol=1e-3)


def test_flips_and_quarter_turns_only_permute_pixels() -> None:
    variation = replace(NO_VARIATION, flips=True)
    frame = torch.arange(81.0).reshape(9, 9)
    seen = set()
    for seed in range(60):
        tile = read_tile(frame, sample_coordinates(9, (4.0, 4.0), variation, np.random.default_rng(seed)), "nearest")
        assert sorted(tile.ravel().tolist()) == sorted(frame.ravel().tolist())
        seen.add(tuple(tile.ravel().tolist()))
    assert len(seen) == 8


def test_pixels_beyond_the_frame_are_known_to_be_mirrored() -> None:
    coordinates = sample_coordinates(20, (0.5, 0.5), NO_VARIATION, np.random.default_rng(0))
    within = inside(coordinates, (40, 40))
    assert within.sum() == 11 * 11
    assert within[9:, 9:].all()


def test_grey_values_change_without_touching_geometry() -> None:
    tile = torch.linspace(0, 1, 100).reshape(10, 10)
    changed = vary_grey(tile, Variation(brightness=0.2, contrast=0.2), np.random.default_rng(2))
    ratio = (changed - changed[0, 0]) / (tile - tile[0, 0]).clamp_min(1e-9)
    assert torch.allclose(ratio.ravel()[1:], ratio[5, 5], atol=1e-3)
    assert torch.equal(vary_grey(tile, NO_VARIATION, np.random.default_rng(2)), tile)


def test_copies_of_cells_touch_others_and_take_nothing_from_them() -> None:
    y, x = np.mgrid[:120, :120]
    labels = np.zeros((120, 120), dtype=np.int32)
    for label, (a, b, radius) in enumerate([(30, 30, 9), (85, 80, 12)], start=4):
        labels[np.hypot(y - a, x - b) <= radius] = label
    tile = torch.from_numpy(np.where(labels == 4, 0.5, np.where(labels == 5, 0.9, 0.1)).astype(np.float32))
    areas = np.bincount(labels.ravel())
    for seed in range(8):
        image, more = add_copies(tile, labels, 3, np.random.default_rng(seed))
        assert np.array_equal(more[labels > 0], labels[labels > 0])
        new = [label for label in np.unique(more) if label > 5]
        assert new
        for label in new:
            area = np.count_nonzero(more == label)
            assert min(abs(area / areas[4] - 1), abs(area / areas[5] - 1)) < 0.1
            grown = np.max([np.roll(more == label, shift, (0, 1)) for shift in ((1, 0), (-1, 0), (0, 1), (0, -1))], 0)
            assert np.any(grown & (more > 0) & (more != label))
            assert np.isin(image.numpy()[more == label], np.float32([0.5, 0.9])).all()
        assert torch.equal(image[more == 0], tile[more == 0])
    empty = np.zeros_like(labels)
    assert not add_copies(tile, empty, 3, np.random.default_rng(0))[1].any()


def test_uneven_cells_leave_the_background_alone() -> None:
    labels = blobs()
    tile = torch.from_numpy(np.where(labels > 0, 0.8, 0.2).astype(np.float32))
    uneven = make_uneven(tile, labels, 0.5, np.random.default_rng(1)).numpy()
    assert np.allclose(uneven[labels == 0], 0.2)
    means = [uneven[labels == label].mean() for label in np.unique(labels)[1:]]
    assert np.std(means) > 0.1
    assert min(means) > 0.35
    assert np.allclose(make_uneven(tile, labels, 0, np.random.default_rng(1)).numpy(), tile.numpy(), atol=1e-6)
