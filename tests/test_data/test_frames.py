"""Movies on disk: folders with any names, stacks, colours, and what is wrong with them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.movie import ComputedFrames, PartOfMovie
from celltrail.data.files.opening import (
    list_frame_files,
    number_of,
    open_frames,
    open_images,
    open_labels,
    parse_frames,
)


def write_frames(folder: Path, names: list[str], shape: tuple[int, ...] = (5, 6), dtype: type = np.uint16) -> Path:
    """One frame per name; frame i is filled with i + 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        write_array(folder / name, np.full(shape, index + 1, dtype=dtype))
    return folder


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["mask000.tif", "mask001.tif"], (0, 1)),
        (["t0009.tif", "t0010.tif", "t0011.tif"], (9, 10, 11)),
        (["my cells 2024 f000123.tif", "my cells 2024 f000124.tif"], (123, 124)),
        (["t2.tif", "t10.tif", "t1.tiff"], (1, 2, 10)),
        (["007.tif", "009.tif"], (7, 9)),
    ],
)
def test_frames_are_found_by_the_number_in_the_name(tmp_path: Path, names: list[str], numbers: tuple[int, ...]) -> None:
    movie = open_labels(write_frames(tmp_path / "movie", names))
    assert movie.numbers == numbers == tuple(movie)
    for index, name in enumerate(names):
        assert (movie[number_of(Path(name)) or 0] == index + 1).all()
    assert (len(movie), movie.shape, movie.dtype) == (len(names), (5, 6), np.uint16)


def test_frames_are_read_when_asked_for(tmp_path: Path) -> None:
    folder = write_frames(tmp_path, ["t000.tif", "t001.tif"])
    movie = open_images(folder)
    (folder / "t001.tif").unlink()
    assert movie[0].shape == (5, 6)
    with pytest.raises(InputError, match="has disappeared"):
        movie[1]
    write_array(folder / "t001.tif", np.ones((9, 9), np.uint16))
    with pytest.raises(InputError, match="has changed since the movie was opened"):
        movie[1]


def test_notes_and_what_segment_writes_beside_its_masks_do_not_matter(tmp_path: Path) -> None:
    folder = write_frames(tmp_path, ["mask000.tif", "mask001.tif"])
    write_frames(folder, ["probability000.tif", "probability001.tif", "overview.tif"])
    (folder / "res_track.txt").write_text("1 0 1 0\n")
    assert open_labels(folder)[1].max() == 2


def test_two_files_for_one_frame_are_refused_whatever_their_names(tmp_path: Path) -> None:
    write_frames(tmp_path, ["mask000.tif", "mask001.tif", "m001.tif"])
    with pytest.raises(InputError, match=r"m001\.tif and mask001\.tif have the same frame number 1"):
        open_labels(tmp_path)


def test_pictures_are_read_too(tmp_path: Path) -> None:
    from PIL import Image

    for number in range(2):
        Image.fromarray(np.full((4, 5), number + 1, np.uint8)).save(tmp_path / f"f{number}.png")
    movie = open_labels(tmp_path)
    assert movie.shape == (4, 5)
    assert movie[1].max() == 2


def test_labels_may_be_of_any_integer_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "mask000.tif", np.full((3, 3), 3_000_000_000, np.uint32))
    assert open_labels(tmp_path)[0].max() == 3_000_000_000


def test_binary_masks_are_one_label(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "mask000.tif", np.eye(3, dtype=bool), photometric="minisblack")
    labels = open_labels(tmp_path)[0]
    assert labels.dtype.kind == "u"
    assert labels.sum() == 3


STACK = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)


def test_the_first_axis_of_a_plain_stack_is_time(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", STACK[0], photometric="minisblack")
    movie = open_images(tmp_path / "stack.tif")
    assert (movie.numbers, movie.shape) == ((0, 1, 2), (4, 5))
    np.testing.assert_array_equal(movie[2], STACK[0, 2])


def test_axes_say_what_a_stack_means(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", STACK, photometric="minisblack")
    movie = open_images(tmp_path / "stack.tif", axes="TZYX")
    assert (movie.numbers, movie.shape) == ((0, 1), (3, 4, 5))
    np.testing.assert_array_equal(movie[1], STACK[1])
    movie = open_images(tmp_path / "stack.tif", axes="TCYX", channel=2)
    np.testing.assert_array_equal(movie[1], STACK[1, 2])
    movie = open_images(tmp_path / "stack.tif", axes="CTYX", channel=1)
    np.testing.assert_array_equal(movie[2], STACK[1, 2])
    tifffile.imwrite(tmp_path / "one.tif", STACK[0], photometric="minisblack")
    assert open_images(tmp_path / "one.tif", axes="ZYX").shape == (3, 4, 5)


@pytest.mark.parametrize("axes", ["TYX", "TTYX", "TZYQ", "ABCD"])
def test_axes_that_do_not_fit_are_refused(tmp_path: Path, axes: str) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", STACK, photometric="minisblack")
    with pytest.raises(InputError, match="does not fit"):
        open_images(tmp_path / "stack.tif", axes=axes)


def test_ome_tiff_brings_axes_scale_and_channels(tmp_path: Path) -> None:
    movie = np.arange(2 * 3 * 2 * 4 * 5, dtype=np.uint16).reshape(2, 3, 2, 4, 5)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        movie,
        metadata={
            "axes": "TZCYX",
            "PhysicalSizeX": 0.4,
            "PhysicalSizeY": 0.5,
            "PhysicalSizeZ": 2.0,
            "TimeIncrement": 30,
        },
    )
    opened = open_images(tmp_path / "a.ome.tif", channel=1)
    assert (opened.shape, opened.voxel, opened.interval) == ((3, 4, 5), (2.0, 0.5, 0.4), 30.0)
    np.testing.assert_array_equal(opened[1], movie[1, :, 1])
    with pytest.raises(InputError, match="2 channels: choose one with --channel 0 … 1"):
        open_images(tmp_path / "a.ome.tif")
    with pytest.raises(InputError, match="there is no channel 2"):
        open_images(tmp_path / "a.ome.tif", channel=2)


def test_a_folder_of_stacks_is_a_3d_movie(tmp_path: Path) -> None:
    movie = open_labels(write_frames(tmp_path, ["mask000.tif", "mask001.tif"], shape=(3, 5, 6)))
    assert movie.shape == (3, 5, 6)
    assert movie[1].shape == (3, 5, 6)


def test_a_channel_of_files_with_an_empty_axis(tmp_path: Path) -> None:
    frame = np.arange(1 * 3 * 4 * 5, dtype=np.uint8).reshape(1, 3, 4, 5)
    tifffile.imwrite(tmp_path / "t0.ome.tif", frame, metadata={"axes": "ZCYX"})
    movie = open_images(tmp_path, channel=2)
    np.testing.assert_array_equal(movie[0], frame[0, 2])


def test_colour_images_want_a_channel(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "t000.tif", colour, photometric="rgb")
    with pytest.raises(InputError, match=r"t000\.tif is a colour image"):
        open_images(tmp_path)
    np.testing.assert_array_equal(open_images(tmp_path, channel=1)[0], colour[..., 1])


@pytest.mark.parametrize(
    ("shape", "read_as"), [((3, 20, 24), ("ZYX", "TYX")), ((4, 20, 24), ("ZYX", "TYX")), ((5, 3, 20, 24), ("TZYX",))]
)
def test_planes_that_tifffile_calls_colours_want_axes(
    tmp_path: Path, shape: tuple[int, ...], read_as: tuple[str, ...]
) -> None:
    planes = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile warns of its own default
        tifffile.imwrite(tmp_path / "movie.tif", planes)
    for opened in (open_images, open_labels):
        with pytest.raises(InputError) as caught:
            opened(tmp_path / "movie.tif")
        assert re.findall(r"--axes (\w+)", str(caught.value)) == list(read_as)
        assert ("--channel" in str(caught.value)) == (opened is open_images)
        for axes in read_as:
            read = opened(tmp_path / "movie.tif", axes=axes)
            np.testing.assert_array_equal(read[0], planes if axes == "ZYX" else planes[0])


def test_files_of_two_unknown_axes_want_them_named(tmp_path: Path) -> None:
    for t in range(2):
        tifffile.imwrite(tmp_path / f"t{t:03d}.tif", np.full((2, 6, 20, 24), t, np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match=r"2 time stacks.*if their first axis is not time.*--axes, for example CZYX"):
        open_images(tmp_path)
    assert open_images(tmp_path, axes="CZYX", channel=1).shape == (6, 20, 24)


def test_a_mask_of_several_channels_is_not_asked_for_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "mask000.tif", np.ones((6, 7, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match=r"a mask holds one number for each cell: save it so\.$"):
        open_labels(tmp_path)


def test_every_bad_file_is_named_at_once(tmp_path: Path) -> None:
    write_frames(tmp_path, ["mask000.tif", "mask001.tif", "mask002.tif"])
    write_array(tmp_path / "mask003.tif", np.ones((9, 9), np.uint16))
    write_array(tmp_path / "mask004.tif", np.ones((5, 6), np.complex64))
    (tmp_path / "mask005.tif").write_text("not an image")
    with pytest.raises(InputError) as caught:
        open_labels(tmp_path)
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "mask003.tif has the shape (9, 9), the other frames have (5, 6)" in text
    assert "mask004.tif holds complex64 values" in text
    assert "mask005.tif is not a TIFF image" in text


def test_a_file_outside_the_chosen_frames_does_not_matter(tmp_path: Path) -> None:
    write_frames(tmp_path, ["mask000.tif", "mask001.tif"])
    (tmp_path / "mask002.tif").write_text("not an image")
    assert open_labels(tmp_path, frames=range(2)).numbers == (0, 1)


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, ["t01.tif", "t001.tif"])
    with pytest.raises(InputError, match="have the same frame number 1"):
        list_frame_files(tmp_path)


def test_a_link_to_nothing_is_no_missing_frame(tmp_path: Path) -> None:
    write_frames(tmp_path, ["t01.tif", "t03.tif"])
    (tmp_path / "t02.tif").symlink_to(tmp_path / "gone.tif")
    with pytest.raises(InputError, match=r"t02\.tif is a link to a file that is not there"):
        list_frame_files(tmp_path)


def test_an_empty_folder_a_missing_one_and_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no numbered TIFF"):
        open_images(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_images(tmp_path / "nowhere")
    (tmp_path / "01").mkdir()
    with pytest.raises(InputError, match=r"give one of its folders \(01\)"):
        open_images(tmp_path)


def test_a_date_is_no_frame_number(tmp_path: Path) -> None:
    write_frames(tmp_path, ["cells 20241331120000.tif", "cells 20241331120500.tif"])  # nor a clock: no 13th month
    with pytest.raises(InputError, match="looks like a date: number the frames 0, 1, 2"):
        open_images(tmp_path)


def test_movies_mixed_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, ["left1.tif", "right1.tif"])
    with pytest.raises(InputError, match="mixes files of several kinds"):
        open_images(tmp_path)


def test_negative_labels_and_infinite_grey_values_are_refused(tmp_path: Path) -> None:
    write_array(tmp_path / "t000.tif", np.full((3, 3), -1, np.int16))
    with pytest.raises(InputError, match="holds the label -1"):
        open_labels(tmp_path)[0]
    write_array(tmp_path / "t000.tif", np.full((3, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="not finite"):
        open_images(tmp_path)[0]


@pytest.mark.parametrize(
    ("text", "frames"),
    [("0:49", range(50)), ("3:3", range(3, 4)), (":2", range(3)), ("7:", range(7, 2**31)), (None, None)],
)
def test_frame_ranges_include_both_ends(text: str | None, frames: range | None) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["5", "a:b", "9:3", "-1:3", "1:2:3", ""])
def test_other_frame_ranges_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--frames"):
        parse_frames(text)


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    write_frames(tmp_path, ["t000.tif", "t001.tif"])
    assert open_images(tmp_path, frames=range(1, 5)).numbers == (1,)
    with pytest.raises(InputError, match=r"has no frame in 7:9 \(it has frames 0 to 1\)"):
        open_images(tmp_path, frames=range(7, 10))


def test_a_stack_that_does_not_name_its_axes_is_time_then_depth(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 3, 20, 30), np.uint16), photometric="minisblack")
    movie = open_labels(tmp_path / "stack.tif")
    assert (movie.numbers, movie.shape) == ((0, 1, 2, 3), (3, 20, 30))


def test_axes_of_the_files_of_a_folder_are_checked_and_may_be_small_letters(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "t000.tif", np.zeros((2, 20, 30), np.uint16), photometric="minisblack")
    assert open_images(tmp_path, axes="cyx", channel=1).shape == (20, 30)
    for wrong in ("QQQ", "YX", "CCX"):
        with pytest.raises(InputError, match="does not fit"):
            open_images(tmp_path, axes=wrong)


def test_a_single_image_may_be_named_after_a_day(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "scan_20231104.tif", np.zeros((20, 30), np.uint16))
    assert open_images(tmp_path / "scan_20231104.tif").numbers == (0,)


def test_asking_for_a_frame_reads_nothing(tmp_path: Path) -> None:
    for number in range(2):
        write_array(tmp_path / f"t{number:03d}.tif", np.ones((8, 8), np.uint16))
    movie = open_images(tmp_path)
    part = PartOfMovie({0: np.ones((8, 8)), 1: np.ones((8, 8))}, range(1, 3))
    for path in tmp_path.iterdir():
        path.unlink()
    assert [number in movie for number in range(3)] == [True, True, False]
    assert [number in part for number in range(3)] == [False, True, False]

    def refuse(number: int) -> NDArray[Any]:
        raise AssertionError(number)

    assert 1 in ComputedFrames([1], refuse)


def test_opening_reads_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path / "frames", [f"t{number:03d}.tif" for number in range(4)])
    stack = np.zeros((3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True, metadata={"axes": "TYX"})
    np.save(tmp_path / "stack.npy", stack)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pixel was read")

    for name in ("TiffPage.asarray", "TiffFrame.asarray", "TiffPageSeries.asarray"):
        monkeypatch.setattr(f"tifffile.tifffile.{name}", refuse)
    monkeypatch.setattr("celltrail.data.files.arrays.tiff.imagecodecs.deflate_decode", refuse)
    for path in ("frames", "stack.tif", "stack.npy"):
        assert len(open_images(tmp_path / path)) in (3, 4)
    with pytest.raises((AssertionError, InputError)):
        open_images(tmp_path / "frames")[0]


def test_a_folder_named_like_a_frame_is_no_missing_frame(tmp_path: Path) -> None:
    write_frames(tmp_path, ["mask000.tif", "mask001.tif"])
    (tmp_path / "mask002.tif").mkdir()
    for kind in ("image", "labels"):
        with pytest.raises(InputError, match=r"mask002.tif is a folder, but is named like an image: .* move"):
            open_frames(tmp_path, kind)


def test_a_frame_without_any_value_is_told_from_one_with_gaps(tmp_path: Path) -> None:
    image = np.ones((5, 6), np.float32)
    tifffile.imwrite(tmp_path / "t000.tif", image)
    tifffile.imwrite(tmp_path / "t001.tif", np.full_like(image, np.nan))
    movie = open_images(tmp_path)
    with pytest.raises(InputError, match=r"t001.tif holds values that are not finite"):
        movie[1]
    movie.gaps = True
    with pytest.raises(InputError, match=r"t001.tif holds no finite value .* remove this frame"):
        movie[1]
