"""Annotations as people have them: which mask belongs to which image, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from celltrail.data.errors import InputError  # noqa: E402
from celltrail.data.files.arrays.tiff import write_array  # noqa: E402
from celltrail.segmentation.training.annotated import split_off  # noqa: E402
from celltrail.segmentation.training.annotations import open_annotations  # noqa: E402


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    else:
        write_array(path, array)


def picture(value: int, shape: tuple[int, int] = (12, 14)) -> np.ndarray:
    return (value + np.arange(shape[0] * shape[1]).reshape(shape) % 7).astype(np.uint8)


def cell(label: int, shape: tuple[int, int] = (12, 14)) -> np.ndarray:
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:6, 3:8] = label
    return labels


NAMES = {
    "equal names": (["a.tif", "b.tif"], ["a.png", "b.tif"]),
    "numbers": (["t001.tif", "t002.tif"], ["man_seg001.tif", "man_seg002.tif"]),
    "numbers of other widths": (["t1.png", "t2.png"], ["mask0001.tif", "mask0002.tif"]),
    "Cellpose, PNG": (["well A.tif", "well B.tif"], ["well A_masks.png", "well B_masks.png"]),
    "Cellpose, TIFF": (["x_1.tif", "y_1.tif"], ["x_1_cp_masks.tif", "y_1_cp_masks.tif"]),
}


CASES = [(name, together) for name in NAMES for together in (False, True) if not together or "Cellpose" in name]


@pytest.mark.parametrize(("names", "together"), CASES)
def test_every_mask_finds_its_image(tmp_path: Path, names: str, together: bool) -> None:
    images, masks = NAMES[names]
    folders = tmp_path / "images", tmp_path / ("images" if together else "masks")
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        shape = (12 + index, 14)
        write(folders[0] / image, picture(100 * index, shape))
        write(folders[1] / mask, cell(index + 5, shape))
    movie = open_annotations(*folders)
    assert len(movie.numbers) == 2
    for index, number in enumerate(movie.numbers):
        assert int(np.min(movie.images[number])) == 100 * index
        assert int(np.max(movie.labels[number])) == index + 5


def test_frames_keep_their_numbers_and_images_without_masks_are_left_out(tmp_path: Path) -> None:
    for number in (3, 8, 9):
        write(tmp_path / f"images/t{number:03d}.tif", picture(number))
    for number in (3, 9):
        write(tmp_path / f"masks/m{number}.tif", cell(number))
    assert open_annotations(tmp_path / "images", tmp_path / "masks").numbers == (3, 9)
    assert open_annotations(tmp_path / "images", tmp_path / "masks", range(5, 20)).numbers == (9,)


def test_names_with_equal_numbers_are_counted_in_their_order(tmp_path: Path) -> None:
    for name in ("b 7", "a 7"):
        write(tmp_path / f"images/{name}.tif", picture(1))
        write(tmp_path / f"masks/{name}.tif", cell(1))
    movie = open_annotations(tmp_path / "images", tmp_path / "masks")
    assert [source.path.name for source in movie.images.sources.values()] == ["a 7.tif", "b 7.tif"]


def test_other_files_of_cellpose_are_not_masks(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", picture(1))
    write(tmp_path / "masks/a_masks.png", cell(1))
    write(tmp_path / "masks/a_outlines.png", picture(1))
    assert len(open_annotations(tmp_path / "images", tmp_path / "masks").numbers) == 1


def test_other_files_of_celltrail_are_not_masks(tmp_path: Path) -> None:
    write(tmp_path / "images/t000.tif", picture(1))
    write(tmp_path / "masks/mask000.tif", cell(3))
    write(tmp_path / "masks/binary000.png", picture(1))
    movie = open_annotations(tmp_path / "images", tmp_path / "masks")
    assert int(np.max(movie.labels[0])) == 3


def test_what_cannot_be_matched_is_named(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", picture(1))
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="holds no masks"):
        open_annotations(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks/a_seg.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="Save masks as PNG"):
        open_annotations(tmp_path / "images", tmp_path / "masks")
    write(tmp_path / "masks/c.tif", cell(1))
    with pytest.raises(InputError, match=r"no image for 1 mask .*c\.tif"):
        open_annotations(tmp_path / "images", tmp_path / "masks")
    write(tmp_path / "other/a.tif", cell(1, (12, 15)))
    with pytest.raises(InputError, match="same shape"):
        open_annotations(tmp_path / "images", tmp_path / "other")
    write(tmp_path / "twice/a.tif", cell(1))
    write(tmp_path / "twice/a.png", cell(1))
    with pytest.raises(InputError, match=r"several masks for a\.tif"):
        open_annotations(tmp_path / "images", tmp_path / "twice")


def test_of_stills_every_tenth_is_held_back_of_a_movie_the_end(tmp_path: Path) -> None:
    for number in range(20):
        shape = (12, 14 + number // 10)
        write(tmp_path / f"images/{number}.tif", picture(number, shape))
        write(tmp_path / f"masks/{number}.tif", cell(1, shape))
    first, last = split_off(open_annotations(tmp_path / "images", tmp_path / "masks"))
    assert last.numbers == (9, 19)
    assert sorted(first.numbers + last.numbers) == list(range(20))
    first, last = split_off(open_annotations(tmp_path / "images", tmp_path / "masks", range(10)))
    assert (first.numbers, last.numbers) == (tuple(range(8)), (9,))


def test_far_frames_leave_no_gap_before_the_one_held_back(tmp_path: Path) -> None:
    for number in (0, 20, 40):
        write(tmp_path / f"images/{number}.tif", picture(number))
        write(tmp_path / f"masks/{number}.tif", cell(1))
    first, last = split_off(open_annotations(tmp_path / "images", tmp_path / "masks"))
    assert (first.numbers, last.numbers) == ((0, 20), (40,))
