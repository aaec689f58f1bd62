"""Training data: what is taken from annotated movies, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from celltrail.data.errors import InputError  # noqa: E402
from celltrail.data.files.arrays.tiff import write_array, write_labels  # noqa: E402
from celltrail.data.files.opening import open_images, open_labels  # noqa: E402
from celltrail.segmentation.net.model import Preprocessing  # noqa: E402
from celltrail.segmentation.net.resize import resize_labels  # noqa: E402
from celltrail.segmentation.training.annotated import (  # noqa: E402
    AnnotatedMovie,
    GoldOverSilver,
    automatic_scale,
    open_movie,
    pair,
    read_labels,
    split_in_time,
    typical_diameter,
    unknown_region,
    unlabelled_margin,
    with_margins,
)
from celltrail.segmentation.training.annotations import open_annotations  # noqa: E402
from celltrail.segmentation.training.augment import NO_VARIATION  # noqa: E402
from celltrail.segmentation.training.examples import TrainingTiles, make_targets  # noqa: E402
from celltrail.segmentation.training.settings import FAST, PAPER  # noqa: E402
from celltrail.segmentation.training.validation import open_example  # noqa: E402

SMALL = replace(FAST, width=2, depth=1, scale=1, tile=24)


def discs(frames: int = 3, radius: int = 8, side: int = 80) -> AnnotatedMovie:
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), dtype=np.uint16)
    for number, (cy, cx) in enumerate([(20, 20), (20, 60), (60, 40)], start=1):
        labels[np.hypot(y - cy, x - cx) <= radius] = number * 11
    image = (labels > 0) * 200 + 50
    return AnnotatedMovie(
        dict.fromkeys(range(frames), image), dict.fromkeys(range(frames), labels), tuple(range(frames))
    )


def test_tiles_are_tensors_of_the_sizes_of_the_net() -> None:
    tiles = TrainingTiles([discs()], SMALL, Preprocessing(), seed=1, count=4)
    item = tiles[0]
    assert item["image"].shape == (1, tiles.size, tiles.size)
    side = tiles.size - 2 * tiles.margin
    assert item["target"].shape == item["weight"].shape == item["distance"].shape == (side, side)
    assert item["target"].dtype == torch.int64


def test_target_and_weight_lie_on_the_image_even_when_deformed() -> None:
    tiles = TrainingTiles(
        [discs()],
        replace(SMALL, variation=replace(SMALL.variation, brightness=0, contrast=0)),
        Preprocessing(0, 100),
        seed=1,
        count=30,
    )
    for index in range(30):
        item = tiles[index]
        m = tiles.margin
        bright = item["image"][0, m:-m, m:-m] > 0.5
        assert (bright == (item["target"] == 1)).float().mean() > 0.97


def test_same_seed_and_number_same_tile() -> None:
    first, again = (TrainingTiles([discs()], SMALL, Preprocessing(), seed=3, count=9) for _ in range(2))
    _ = again[0]
    assert all(torch.equal(first[5][key], again[5][key]) for key in first[5])
    assert not torch.equal(first[5]["image"], first[6]["image"])


def squares(corners: list[tuple[int, int]], frames: int = 1) -> AnnotatedMovie:
    """Frames of 80 × 80 with squares of 4 × 4 at these corners."""
    labels = np.zeros((80, 80), dtype=np.uint16)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + 4, x : x + 4] = number
    image = (labels > 0) * 200 + 50
    return AnnotatedMovie(
        dict.fromkeys(range(frames), image), dict.fromkeys(range(frames), labels), tuple(range(frames))
    )


INNER = [(5, x) for x in range(5, 75, 6)] + [(40, 40)]  # twelve squares whose rows are 5 to 8, and one in the middle


def test_a_margin_without_labels_is_seen_where_it_is_no_chance() -> None:
    assert unlabelled_margin(squares(INNER)) == 8
    assert unlabelled_margin(squares([*INNER, (79, 40)])) == 0  # a cell at the very side
    assert unlabelled_margin(squares([*INNER, (75, 40)])) == 0  # of 4 pixels, and only one comes that far
    assert unlabelled_margin(squares(INNER[:9])) == 0  # too few to tell
    assert unlabelled_margin(squares([(y + 6, x) for y, x in INNER if 10 < x < 66])) == 0  # too wide for a margin
    assert unlabelled_margin(squares([])) == 0


def test_nothing_is_learnt_of_a_margin_without_labels_but_its_labelled_cells() -> None:
    settings = replace(SMALL, variation=NO_VARIATION, tile=80)
    weight, target = (
        TrainingTiles(with_margins([squares(INNER)]), settings, Preprocessing(), seed=0, count=1)[0][key].numpy()
        for key in ("weight", "target")
    )
    known = np.zeros((80, 80), dtype=bool)
    known[8:-8, 8:-8] = True
    side = weight.shape[0]
    assert side >= 80
    first = (side - 80) // 2
    inside = slice(first, first + 80)
    np.testing.assert_array_equal(weight[inside, inside] > 0, known | (target[inside, inside] > 0))


def test_parts_of_one_movie_have_its_margin() -> None:
    """Seven cells of the movie's thirteen tell no margin; a movie of its own has its own."""
    movie = squares(INNER, frames=2)
    few = {0: np.where(movie.labels[0] <= 7, movie.labels[0], 0), 1: movie.labels[0]}
    whole = replace(movie, labels=few)
    first, second = replace(whole, numbers=(0,)), replace(whole, numbers=(1,))
    assert [part.margin for part in with_margins([first, second, squares([(79, 40)])])] == [8, 8, 0]
    assert with_margins([first])[0].margin == 0


@pytest.mark.parametrize("diameter", [0.0, 9.0])
def test_cells_where_the_truth_is_not_known_are_not_judged(diameter: float) -> None:
    """Masks with a cell in the margin, one at a marker without a label, and a false one: the false one alone counts."""
    movie = squares(INNER)
    drawn = movie.labels[0].astype(np.int32)
    marked = drawn.copy()
    marked[60:62, 60:62] = 20
    (movie,) = with_margins([replace(movie, markers={0: marked})])
    example = open_example(movie, 0, Preprocessing(), diameter)
    masks = drawn.copy()
    masks[0:4, 20:24], masks[59:63, 59:63], masks[40:44, 60:64] = 21, 22, 23
    judged = example.known_cells(resize_labels(masks, example.labels.shape))
    assert set(np.unique(judged)) == {*range(14), 23}


def test_nearness_of_neighbours_by_hand() -> None:
    """σ is 3: e^(−(d₁ + d₂)² / 18), d₁ to the nearest cell and d₂ to the next; a lone cell is near nothing."""
    labels = np.zeros((3, 12), dtype=np.int32)
    labels[:, :3], labels[:, 4:7] = 1, 2
    settings = replace(SMALL, neighbours=1.0)
    near = make_targets(labels, np.ones(labels.shape, bool), np.ones(2, np.float32), settings)["nearness"][1]
    sums = np.array([4, 3, 2, 2, 2, 3, 4, 6, 8, 10, 12, 14])
    np.testing.assert_allclose(near, np.exp(-(sums**2) / 18), atol=1e-6)
    labels[labels == 2] = 0
    assert not make_targets(labels, np.ones(labels.shape, bool), np.ones(2, np.float32), settings)["nearness"].any()
    assert "nearness" not in make_targets(labels, np.ones(labels.shape, bool), np.ones(2, np.float32), SMALL)


def test_less_sure_movies_give_half_of_the_tiles_however_many_frames_they_have() -> None:
    """Discs of radius 8 are sure, those of radius 4, in twenty times as many frames, are not."""
    settings = replace(SMALL, variation=NO_VARIATION, tile=100)
    tiles = TrainingTiles([discs(2)], settings, Preprocessing(), seed=0, count=100, also=[discs(40, radius=4)])
    large = sum(int(tiles[index]["target"].sum()) > 300 for index in range(100))
    assert 35 <= large <= 65
    assert tiles.balance[1] > TrainingTiles([discs(2)], settings, Preprocessing(), seed=0, count=1).balance[1]


def test_mirrored_surroundings_carry_no_weight() -> None:
    settings = replace(SMALL, variation=NO_VARIATION, tile=100)
    item = TrainingTiles([discs(side=80)], settings, Preprocessing(), seed=0, count=1)[0]
    known = item["weight"].numpy() > 0
    assert known.sum() == 80 * 80
    rows = np.flatnonzero(known.any(axis=1))
    assert rows[-1] - rows[0] == 79


def test_order_of_targets_carves_before_it_weighs() -> None:
    labels = np.zeros((20, 20), dtype=np.int32)
    labels[4:16, 4:10], labels[4:16, 10:16] = 1, 2
    settings = replace(PAPER, w0=10, sigma=5)
    targets = make_targets(labels, np.ones(labels.shape, bool), np.ones(2, np.float32), settings)
    assert (targets["target"][4:16, 10] == 0).all()  # the introduced border
    assert targets["weight"][10, 10] == pytest.approx(1 + 10 * np.exp(-((1 + 1) ** 2) / 50))
    assert targets["weight"][0, 0] < targets["weight"][10, 10]


def test_unlabelled_cells_are_ignored_not_background() -> None:
    labels = np.zeros((60, 60), dtype=np.int32)
    markers = np.zeros((60, 60), dtype=np.int32)
    labels[5:15, 5:15], markers[9:11, 9:11] = 1, 1
    markers[9:11, 40:42] = 2  # a cell that nobody has outlined
    unknown = unknown_region(labels, markers)
    assert unknown[10, 40]
    assert unknown[14, 45]
    assert not unknown[labels > 0].any()
    assert not unknown[10, 18]
    assert not unknown[58, 2]
    labels[5:15, 36:46] = 2
    assert not unknown_region(labels, markers).any()


def test_unknown_pixels_get_no_weight() -> None:
    movie = discs(frames=1)
    partial = np.where(movie.labels[0] == 11, 11, 0).astype(np.uint16)
    markers = {0: movie.labels[0]}
    movie = AnnotatedMovie(movie.images, {0: partial}, (0,), markers)
    tiles = TrainingTiles([movie], replace(SMALL, variation=NO_VARIATION, tile=80), Preprocessing(), seed=0, count=1)
    item = tiles[0]
    missing = (markers[0] > 0) & (partial == 0)
    known = tiles.planes(0)[0].known
    assert not known[missing].any()
    assert (item["weight"].numpy() > 0).sum() == known.sum()


def test_last_frames_are_held_back_with_a_gap() -> None:
    movie = replace(discs(), numbers=tuple(range(0, 110, 2)))
    training, validation = split_in_time(movie, 0.1)
    assert validation.numbers == (98, 100, 102, 104, 106, 108)
    assert training.numbers[-1] == 90
    with pytest.raises(InputError, match="too few"):
        split_in_time(replace(movie, numbers=(1, 2)))


def test_scale_brings_cells_to_a_common_size() -> None:
    assert automatic_scale([discs(radius=12)]) == 1
    large = np.zeros((200, 200), dtype=np.uint8)
    large[40:129, 40:129] = 9
    assert automatic_scale([AnnotatedMovie({0: large}, {0: large}, (0,))]) == 4
    with pytest.raises(InputError, match="no cell"):
        automatic_scale([AnnotatedMovie({0: np.zeros((5, 5))}, {0: np.zeros((5, 5), np.uint8)}, (0,))])


@pytest.mark.parametrize("value", [1, 2, 200, 65535])
def test_black_and_white_masks_are_no_labels(tmp_path: Path, value: int) -> None:
    for folder, movie in (("images", discs().images), ("masks", discs().labels)):
        (tmp_path / folder).mkdir()
        for number, frame in movie.items():
            grey = np.random.default_rng(number).integers(0, 99, frame.shape).astype(np.uint16)
            write_array(
                tmp_path / folder / f"t{number:03d}.tif", grey if folder == "images" else (frame > 0) * np.uint16(value)
            )
    with pytest.raises(InputError, match="--split-binary"):
        open_annotations(tmp_path / "images", tmp_path / "masks")
    split = open_annotations(tmp_path / "images", tmp_path / "masks", split_binary=True)
    assert typical_diameter([split]) == pytest.approx(typical_diameter([discs()]), rel=0.02)


def test_labels_are_numbered_compactly() -> None:
    labels = np.array([[0, 70_000], [5, 5]], dtype=np.uint32)
    assert read_labels(AnnotatedMovie({}, {0: labels}, (0,)), 0).tolist() == [[0, 2], [1, 1]]
    assert read_labels(AnnotatedMovie({}, {0: labels + 1}, (0,)), 0).tolist() == [[1, 3], [2, 2]]


def test_ctc_sequence_opens_with_its_markers(tmp_path: Path) -> None:
    movie = discs()
    for folder in ("01", "01_ST/SEG", "01_GT/TRA"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(3):
        grainy = movie.images[number] + np.arange(6400).reshape(80, 80) % 5
        write_array(tmp_path / f"01/t{number:03d}.tif", grainy.astype(np.uint8))
        write_labels(tmp_path / f"01_ST/SEG/man_seg{number:03d}.tif", movie.labels[number])
        write_labels(tmp_path / f"01_GT/TRA/man_track{number:03d}.tif", movie.labels[number])
    opened = open_movie(tmp_path, "01", "ST", frames=range(1, 3))
    assert opened.numbers == (1, 2)
    assert opened.markers is not None
    with pytest.raises(InputError, match="--truth ST"):
        open_movie(tmp_path, "01", "GT")


def test_images_and_labels_of_unequal_shape_or_number(tmp_path: Path) -> None:
    for folder in ("images", "labels", "other"):
        (tmp_path / folder).mkdir()
    write_array(tmp_path / "images/t000.tif", np.zeros((9, 9), np.uint8))
    write_labels(tmp_path / "labels/m000.tif", np.ones((9, 8), np.uint16))
    write_labels(tmp_path / "other/m004.tif", np.ones((9, 9), np.uint16))
    images = open_images(tmp_path / "images")
    with pytest.raises(InputError, match="same shape"):
        pair(images, open_labels(tmp_path / "labels"))
    with pytest.raises(InputError, match="lacks"):
        pair(images, open_labels(tmp_path / "other"))


def test_gold_cells_take_the_place_of_silver_ones() -> None:
    silver = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 2]])
    gold = np.array([[0, 7, 7, 0, 0, 0], [7, 7, 7, 7, 0, 0]])
    merged = GoldOverSilver({4: gold}, {3: silver, 4: silver})
    assert merged[3].tolist() == silver.tolist()
    labels = merged[4]
    assert (labels[gold == 7] == labels[0, 1]).all()
    assert labels[0, 0] == 0  # the silver cell under it is gone
    assert labels[0, 3:].tolist() == [2, 2, 2]  # its neighbour keeps what is left
    assert labels[1, 3:].tolist() == [labels[0, 1], 2, 2]


def test_weights_made_beforehand_are_used() -> None:
    movie = discs(frames=1)
    weights = {0: np.arange(6400, dtype=np.float32).reshape(80, 80)}
    settings = replace(SMALL, variation=NO_VARIATION, tile=80)
    item = TrainingTiles([replace(movie, weights=weights)], settings, Preprocessing(), seed=0, count=1)[0]
    inner = item["weight"].numpy()
    assert sorted(inner[inner > 0].tolist()) == list(range(1, 6400))
    with pytest.raises(InputError, match="preview weights"):
        TrainingTiles([replace(movie, weights={0: np.zeros((3, 3))})], settings, Preprocessing(), seed=0, count=1)
