"""PNG, BMP, JPEG and NumPy arrays; palettes, and files whose minimum is white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from celltrail.data.errors import InputError
from celltrail.data.files.opening import open_images, open_labels

CELLS = np.zeros((40, 50), np.uint8)
CELLS[3:12, 4:14], CELLS[20:30, 6:18], CELLS[8:30, 30:44] = 1, 2, 7
GREY = np.random.default_rng(2).integers(0, 256, (3, 40, 50), dtype=np.uint8)
COLOURS = np.random.default_rng(3).integers(0, 256, (256, 3), dtype=np.uint8)


def with_palette(labels: np.ndarray, colours: np.ndarray = COLOURS) -> Image.Image:
    picture = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    picture.putpalette(colours.tobytes())
    return picture


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_the_numbers_of_a_palette_are_the_labels(tmp_path: Path, suffix: str) -> None:
    for number in range(2):
        with_palette(CELLS).save(tmp_path / f"t{number:03d}.{suffix}")
    movie = open_labels(tmp_path)
    assert movie.shape == CELLS.shape
    np.testing.assert_array_equal(movie[1], CELLS)


def test_an_image_with_a_palette_is_its_colours(tmp_path: Path) -> None:
    with_palette(GREY[0]).save(tmp_path / "t000.png")
    with pytest.raises(InputError, match="colour image"):
        open_images(tmp_path)
    np.testing.assert_array_equal(open_images(tmp_path, channel=1)[0], COLOURS[GREY[0], 1])
    ramp = np.arange(255, -1, -1, dtype=np.uint8)[:, None].repeat(3, axis=1)
    with_palette(GREY[0], ramp).save(tmp_path / "t000.png")
    np.testing.assert_array_equal(open_images(tmp_path)[0], 255 - GREY[0])


def test_jpeg_images_are_read_and_jpeg_masks_refused(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    for number in range(2):
        Image.fromarray(smooth + number).save(tmp_path / f"t{number}.{'jpg' if number else 'JPEG'}", quality=95)
    movie = open_images(tmp_path)
    assert np.abs(movie[1].astype(int) - smooth - 1).max() <= 3
    with pytest.raises(InputError, match="JPEG, which blurs the numbers of labels"):
        open_labels(tmp_path)


def test_numpy_arrays_are_images_or_stacks(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", GREY)
    movie = open_images(tmp_path / "stack.npy")
    assert movie.numbers == (0, 1, 2)
    np.testing.assert_array_equal(movie[2], GREY[2])
    assert open_images(tmp_path / "stack.npy", axes="ZYX").shape == GREY.shape
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(GREY):
        np.save(folder / f"t{number:03d}.npy", frame)
    np.testing.assert_array_equal(open_images(folder)[1], GREY[1])


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "t000_seg.npy", np.array({"masks": CELLS}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="could run code"):
        open_labels(tmp_path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_where_the_minimum_is_white_the_picture_is_turned_over(tmp_path: Path, dtype: str) -> None:
    grey = GREY.astype(dtype) if dtype != "bool" else GREY > 127
    stored = ~grey if dtype == "bool" else -grey if dtype == "float32" else np.iinfo(dtype).max - grey
    tifffile.imwrite(tmp_path / "stack.tif", stored, photometric="miniswhite", metadata={"axes": "TYX"})
    for number, frame in open_images(tmp_path / "stack.tif").items():
        np.testing.assert_array_equal(frame, grey[number])


@pytest.mark.parametrize("turned", [False, True])
def test_labels_keep_0_for_the_background_where_the_minimum_is_white(tmp_path: Path, turned: bool) -> None:
    tifffile.imwrite(tmp_path / "mask000.tif", 255 - CELLS if turned else CELLS, photometric="miniswhite")
    np.testing.assert_array_equal(open_labels(tmp_path)[0], CELLS)


@pytest.mark.parametrize("planar", [False, True])
def test_colour_movies_ask_for_the_channel_and_obey(tmp_path: Path, planar: bool) -> None:
    colour = np.random.default_rng(5).integers(0, 256, (4, 40, 50, 3), dtype=np.uint8)
    stored = np.moveaxis(colour, -1, 1) if planar else colour
    tifffile.imwrite(tmp_path / "movie.tif", stored, photometric="rgb", planarconfig="separate" if planar else "contig")
    with pytest.raises(InputError, match=r"colour image .*--channel 0 … 2"):
        open_images(tmp_path / "movie.tif")
    movie = open_images(tmp_path / "movie.tif", channel=2)
    assert len(movie) == 4
    np.testing.assert_array_equal(movie[3], colour[3, :, :, 2])


def test_what_is_not_read_says_what_to_do(tmp_path: Path) -> None:
    for name in ("movie.vsi", "movie.ims", "movie.h5"):
        (tmp_path / name).write_bytes(b"x" * 99)
        with pytest.raises(InputError, match="not read here: export it as OME-TIFF"):
            open_images(tmp_path / name)
    with pytest.raises(InputError, match="not read here"):
        open_images(tmp_path)
