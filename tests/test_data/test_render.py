"""Colours that neighbours do not share, and outlines where cells end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celltrail.data.files.tracks import Tracks
from celltrail.data.pictures.colours import PALETTE, PLAIN, colour_of_tracks, neighbours_in
from celltrail.data.pictures.render import flatten_stack, grey_picture, outline_image, outline_pixels

# Machado, Oliveira and Fernandes (2009), severity 1, linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


@pytest.mark.parametrize(("sight", "least"), [("normal", 30), ("deuteranopia", 15), ("protanopia", 15)])
def test_no_two_colours_look_alike(sight: str, least: float) -> None:
    from skimage.color import rgb2lab

    colours = np.array(PALETTE) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4) @ SIGHT[sight].T
    linear = linear.clip(0, 1)
    seen = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(PALETTE), 1)]
    assert distance.min() > least


def test_kin_and_neighbours_differ_and_a_continuation_keeps_its_colour() -> None:
    tracks = Tracks.from_rows([(1, 0, 4, 0), (2, 5, 7, 1), (3, 5, 9, 1), (4, 9, 9, 2), (5, 0, 9, 0), (6, 0, 9, 0)])
    colours = colour_of_tracks(tracks, [(5, 6), (1, 5), (2, 5)])
    assert set(colours) == {1, 2, 3, 4, 5, 6}
    assert len({colours[1], colours[2], colours[3]}) == 3
    assert colours[4] == colours[2]
    assert len({colours[5], colours[6]}) == 2
    assert colours[5] not in (colours[1], colours[2])


@given(st.sets(st.tuples(st.integers(1, 6), st.integers(1, 6)).filter(lambda p: p[0] < p[1])))
def test_up_to_six_neighbours_never_share_a_colour(pairs: set[tuple[int, int]]) -> None:
    tracks = Tracks.from_rows([(label, 0, 5, 0) for label in range(1, 7)])
    colours = colour_of_tracks(tracks, pairs)
    assert all(colours[a] != colours[b] for a, b in pairs)


def test_colours_do_not_depend_on_the_order_of_the_table() -> None:
    rows = [(i, i % 4, 9, 0) for i in range(1, 20)]
    pairs = [(i, i + 1) for i in range(1, 19)]
    assert colour_of_tracks(Tracks.from_rows(rows), pairs) == colour_of_tracks(
        Tracks.from_rows(rows[::-1]), pairs[::-1]
    )


def test_neighbours_are_cells_that_lie_close() -> None:
    mask = np.zeros((20, 60), np.uint16)
    mask[5:11, 2:8], mask[5:11, 9:15], mask[5:11, 50:56] = 7, 3, 5
    assert neighbours_in({0: mask, 4: np.zeros_like(mask)}) == {(3, 7)}
    assert neighbours_in({}) == set()


def test_the_outline_is_inside_the_cell_and_one_pixel_wide() -> None:
    labels = np.zeros((7, 9), np.uint16)
    labels[1:6, 1:6] = 4
    labels[1:6, 6:9] = 2
    expected = np.array(
        [
            [int(c) for c in row]
            for row in (
                "000000000",
                "011111111",
                "010001100",
                "010001100",
                "010001100",
                "011111111",
                "000000000",
            )
        ],
        dtype=bool,
    )
    np.testing.assert_array_equal(outline_pixels(labels), expected)


def test_outlines_have_the_colours_of_their_tracks() -> None:
    labels = np.zeros((6, 8), np.uint16)
    labels[1:3, 1:3], labels[1:3, 5:7] = 1, 9
    picture = outline_image(np.full((6, 8), 50, np.uint16), labels, {1: (1, 2, 3)})
    assert (picture.dtype, picture.shape) == (np.uint8, (6, 8, 3))
    assert (picture[labels == 1] == (1, 2, 3)).all()
    assert (picture[labels == 9] == PLAIN).all()
    assert (picture[labels == 0] == 0).all()


def test_grey_values_fill_the_range_and_constant_images_are_dark() -> None:
    ramp = np.arange(1000, dtype=np.uint16).reshape(10, 100) + 30_000
    grey = grey_picture(ramp)
    assert (grey.min(), grey.max()) == (0, 255)
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()
    assert set(np.unique(grey_picture(ramp, (30_499, 30_500)))) == {0, 255}
    assert grey_picture(np.full((3, 3), 5.0)).max() == 0


def test_a_stack_is_seen_from_above() -> None:
    labels = np.zeros((3, 2, 2), np.uint16)
    labels[1, 0, 0], labels[2, 0, 0], labels[2, 1, 1] = 5, 6, 6
    assert flatten_stack(labels, labels=True).tolist() == [[5, 0], [0, 6]]
    assert flatten_stack(labels).tolist() == [[6, 0], [0, 6]]
    assert outline_image(labels * 10, labels).shape == (2, 2, 3)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        outline_image(np.zeros((3, 3)), np.zeros((3, 4), np.uint8))
