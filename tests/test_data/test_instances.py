"""Instance masks, masks that are none, and pictures: told apart by the pixels of a few frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images, open_instances, open_labels, refuse_masks
from celltrail.data.labels.instances import find_parts, judge_masks, looks_like_mask, split_parts

Masks = dict[int, NDArray[np.uint16]]


def draw_cells(frames: int = 6, cells: int = 9, side: int = 120) -> Masks:
    """Round cells of radius 8 on a grid, which wander a little and keep their labels."""
    rng = np.random.default_rng(5)
    y, x = np.indices((side, side))
    movie = {}
    for number in range(frames):
        frame = np.zeros((side, side), np.uint16)
        for label in range(1, cells + 1):
            row, column = divmod(label - 1, 3)
            cy, cx = 20 + 38 * row + rng.integers(-4, 5), 20 + 38 * column + rng.integers(-4, 5)
            frame[(y - cy) ** 2 + (x - cx) ** 2 <= 64] = label
        movie[number] = frame
    return movie


CELLS = draw_cells()
inner = {n: ndimage.binary_erosion(m > 0, iterations=2) for n, m in CELLS.items()}
NO_INSTANCES: dict[str, Masks] = {
    **{
        f"0/{value}": {n: ((m > 0) * value).astype(np.uint16) for n, m in CELLS.items()} for value in (1, 2, 200, 65535)
    },
    "two classes": {n: np.where(m > 0, 1 + m % 2, 0).astype(np.uint16) for n, m in CELLS.items()},
    "inside 1, border 2": {n: np.where(inner[n], 1, np.where(m > 0, 2, 0)).astype(np.uint16) for n, m in CELLS.items()},
    "inside 2, border 1": {n: np.where(inner[n], 2, np.where(m > 0, 1, 0)).astype(np.uint16) for n, m in CELLS.items()},
    "probabilities 0 … 255": {
        n: (255 * ndimage.gaussian_filter((m > 0).astype(float), 2)).astype(np.uint16) for n, m in CELLS.items()
    },
}


def write(folder: Path, movie: Masks, name: str = "mask{:03d}.tif") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in movie.items():
        write_array(folder / name.format(number), frame)
    return folder


@pytest.mark.parametrize("kind", NO_INSTANCES)
def test_masks_without_a_number_for_every_cell_are_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "masks", NO_INSTANCES[kind])
    what, remedy = r"masks: the masks hold .* separate pieces .*", "--split-binary"
    if "probabilities" in kind:
        what, remedy = "grey values or probabilities, not masks.*", "segment the images first"
    with pytest.raises(InputError, match=what + remedy):
        open_instances(folder)
    problems = [problem for problem in find_problems(folder) if remedy in problem.remedy]
    assert len(problems) == 1


@pytest.mark.parametrize("kind", [kind for kind in NO_INSTANCES if "probab" not in kind])
def test_split_parts_are_the_cells(tmp_path: Path, kind: str) -> None:
    movie = open_instances(write(tmp_path, NO_INSTANCES[kind]), split_binary=True)
    assert movie.between(range(2))[1].max() == 9
    for number, truth in CELLS.items():
        pairs = np.unique(np.stack([truth, movie[number]]).reshape(2, -1), axis=1)
        assert pairs.shape[1] == 10  # each cell has one number, and each number one cell


def test_instance_masks_pass_without_a_word() -> None:
    assert judge_masks(CELLS) == ()
    touching = np.repeat(np.arange(1, 13, dtype=np.uint16), 10).reshape(1, -1).repeat(60, axis=0)
    assert judge_masks({0: touching, 1: touching}) == ()
    crumbs = CELLS[0].copy()
    crumbs[0, :9:2] = 1  # pixels far off, with the number of a cell
    assert judge_masks({0: crumbs, 1: crumbs}) == ()
    assert judge_masks({0: np.zeros((9, 9), np.uint8)}) == ()
    volume = np.stack([CELLS[0]] * 4)
    assert judge_masks({0: volume, 1: volume}) == ()


def test_one_cell_passes_with_a_warning(tmp_path: Path) -> None:
    alone = {n: np.where(m == 5, 7, 0).astype(np.uint16) for n, m in CELLS.items()}
    movie = open_instances(write(tmp_path, alone))
    assert movie.notes == (f"{tmp_path}: the masks hold one label only (7), in one piece in every frame: "
                           "check that there is one cell only.",)  # fmt: skip
    assert [p.remedy for p in find_problems(tmp_path)] == ["check that there is one cell only."]


@pytest.mark.parametrize("background", [1, 255])
def test_a_cell_that_fills_the_frame_is_called_background(tmp_path: Path, background: int) -> None:
    shifted = {n: np.where(m == 0, background, m + 1).astype(np.uint16) for n, m in CELLS.items()}
    with pytest.raises(
        InputError, match=rf"label {background} covers 8\d % of the frame .* give the background the number 0"
    ):
        open_instances(write(tmp_path, shifted))
    assert any("it is the background" in problem.what for problem in find_problems(tmp_path))


def test_a_label_on_two_distant_cells_is_named_by_check(tmp_path: Path) -> None:
    double = {n: np.where(m == 9, 1, m).astype(np.uint16) if n in (2, 3) else m for n, m in CELLS.items()}
    open_instances(write(tmp_path, double))
    found = [(p.frame, p.label) for p in find_problems(tmp_path) if "far apart" in p.what]
    assert found == [(2, 1)]
    halves = CELLS[0].copy()
    halves[:, 18:21] = 0  # a line through the cells of the first column
    assert find_parts(halves).doubles == []


GREY = ndimage.gaussian_filter((CELLS[0] > 0).astype(float), 3) * 200 + np.random.default_rng(1).normal(
    20, 4, (120, 120)
)
PICTURES: dict[str, NDArray[np.uint8]] = {
    "plain": GREY.astype(np.uint8),
    "saturated cells": np.clip(GREY * 6 - 150, 0, 255).astype(np.uint8),
    "saturated, dark ground": np.clip(GREY * 20 - 900, 0, 255).astype(np.uint8),
    "eight levels": (GREY // 28).astype(np.uint8),
    "four levels": (ndimage.gaussian_filter(GREY, 1) // 60).astype(np.uint8),
    "sixteen smooth levels": (ndimage.gaussian_filter(GREY, 2) // 14).astype(np.uint8),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_few_levels_are_no_masks(tmp_path: Path, kind: str) -> None:
    assert looks_like_mask(PICTURES[kind]) is False
    movie = {0: np.full((120, 120), 255, np.uint8), 1: PICTURES[kind], 2: PICTURES[kind][::-1]}
    refuse_masks(movie)
    write(tmp_path, movie, "t{:03d}.tif")  # type: ignore[arg-type]
    assert not any("masks, not images" in str(problem) for problem in find_problems(tmp_path))


@pytest.mark.parametrize("kind", ["instances", "0/1", "0/65535", "two classes", "inside 1, border 2"])
def test_masks_are_no_images(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "01", CELLS if kind == "instances" else NO_INSTANCES[kind], "t{:03d}.tif")
    with pytest.raises(InputError, match="holds masks, not images"):
        refuse_masks(open_images(folder))


def test_a_flat_first_frame_says_nothing(tmp_path: Path) -> None:
    movie = {0: np.zeros((120, 120), np.uint8), 1: np.full((120, 120), 9, np.uint8)}
    refuse_masks(movie)
    with pytest.raises(InputError, match="masks, not images"):
        refuse_masks({**movie, 2: CELLS[2]})


def test_whole_floats_are_labels_and_others_are_not(tmp_path: Path) -> None:
    for number, frame in CELLS.items():
        tifffile.imwrite(tmp_path / f"mask{number:03d}.tif", frame.astype(np.float32))
    movie = open_instances(tmp_path)
    np.testing.assert_array_equal(movie[3], CELLS[3])
    assert movie[3].dtype.kind == "i"
    assert find_problems(tmp_path) == []
    for wrong in (0.5, np.nan, np.inf):
        tifffile.imwrite(tmp_path / "mask003.tif", np.where(CELLS[3] > 0, wrong, 0).astype(np.float32))
        with pytest.raises(InputError, match="no whole numbers"):
            open_labels(tmp_path)[3]


def test_two_classes_that_touch_stay_two_cells() -> None:
    row = np.array([[1, 2, 0, 1, 2, 2]], np.uint8).repeat(8, axis=1).repeat(9, axis=0)
    assert split_parts(np.pad(row, 5)).max() == 4
