"""Frame numbers in the names that microscopes and people give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import number_of, open_images, open_labels

Name = Callable[[int], str]
SIZE = (6, 7)

PLAIN: dict[str, tuple[Name, Callable[[int], int]]] = {
    "Micro-Manager 1.4": (lambda t: f"img_{t:09d}_Default_000.tif", lambda t: t),
    "Micro-Manager 2": (lambda t: f"img_channel000_position000_time{t:09d}_z000.tif", lambda t: t),
    "Incucyte": (lambda t: f"VID1_A1_1_00d{t:02d}h00m.tif", lambda t: 60 * t),
    "Incucyte over days": (lambda t: f"VID1_A1_1_{t // 4:02d}d{6 * (t % 4):02d}h30m.tif", lambda t: 360 * t + 30),
    "ImageXpress, one channel": (lambda t: f"exp_t{t}_w1.tif", lambda t: t),
    "MetaMorph": (lambda t: f"plate_w1DAPI_s1_t{t + 1}.TIF", lambda t: t + 1),
    "Zen": (lambda t: f"exp_s1t{t:02d}c1_ORG.tif", lambda t: t),
    "Leica": (lambda t: f"Project_Series001_t{t:02d}_z00_ch00.tif", lambda t: t),
    "magnification": (lambda t: f"t{t:03d}_20x.tif", lambda t: t),
    "browser's copies": (lambda t: f"cell movie ({t + 1}).tif", lambda t: t + 1),
    "without zeros": (lambda t: f"img_{t + 7}.png", lambda t: t + 7),
    "mixed endings": (lambda t: f"img_{t}.{'TIF' if t % 2 else 'tif'}", lambda t: t),
    "Cellpose": (lambda t: f"img_{t:03d}_cp_masks.tif", lambda t: t),
    "minutes": (lambda t: f"img_t{5 * t:03d}.tif", lambda t: 5 * t),
    "clock within the hour": (
        lambda t: f"2021-03-04_10-{15 + 3 * t:02d}.tif",
        lambda t: (62 * 24 + 10) * 60 + 15 + 3 * t,
    ),
    "clock across the hour": (
        lambda t: f"2021-03-04_{10 + t * 15 // 60:02d}-{t * 15 % 60:02d}.tif",
        lambda t: (62 * 24 + 10) * 60 + 15 * t,
    ),
    "hours and minutes in words": (lambda t: f"exp_{t // 2}h{30 * (t % 2):02d}min.tif", lambda t: 30 * t),
    "OME": (lambda t: f"cells_t{t:03d}.ome.tif", lambda t: t),
    "a 3 in the text": (lambda t: f"H3B_mcherry2_{t:04d}_10min.tif", lambda t: t),
}


def write(folder: Path, name: str, value: int) -> None:
    frame = np.full(SIZE, value, np.uint8)
    if name.endswith("png"):
        from PIL import Image

        Image.fromarray(frame).save(folder / name)
    else:
        write_array(folder / name, frame)


@pytest.mark.parametrize("kind", PLAIN)
def test_the_number_that_varies_is_the_frame(tmp_path: Path, kind: str) -> None:
    name, number = PLAIN[kind]
    for t in range(10):
        write(tmp_path, name(t), t + 1)
    movie = open_labels(tmp_path)
    assert movie.numbers == tuple(number(t) for t in range(10))
    assert [int(movie[n].max()) for n in movie] == list(range(1, 11))


def test_where_channels_vary_one_is_chosen_by_the_names(tmp_path: Path) -> None:
    for t in range(1, 4):
        for w, dye in ((1, "DAPI"), (2, "GFP")):
            write(tmp_path, f"plate_w{w}{dye}_t{t}.TIF", 10 * t + w)
    with pytest.raises(InputError, match=r"2 channels: choose one with --channel 0 \(w1 DAPI\), 1 \(w2 GFP\)"):
        open_images(tmp_path)
    movie = open_images(tmp_path, channel=1)
    assert [int(movie[n].max()) for n in movie] == [12, 22, 32]
    with pytest.raises(InputError, match="no --channel 2"):
        open_images(tmp_path, channel=2)


def test_micro_managers_channels_have_names(tmp_path: Path) -> None:
    for t in range(3):
        for dye, value in (("Cy5", 1), ("DAPI", 2)):
            write(tmp_path, f"img_{t:09d}_{dye}_000.tif", 10 * t + value)
    with pytest.raises(InputError, match=r"--channel 0 \(Cy5\), 1 \(DAPI\)"):
        open_images(tmp_path)
    assert [int(frame.max()) for frame in open_images(tmp_path, channel=1).values()] == [2, 12, 22]


def test_where_positions_vary_one_is_chosen_as_series(tmp_path: Path) -> None:
    for position in (0, 3):
        for t in range(3):
            write(tmp_path, f"img_channel000_position{position:03d}_time{t:09d}_z000.tif", 10 * position + t)
    with pytest.raises(InputError, match=r"--series 0 \(position0\), 1 \(position3\)"):
        open_images(tmp_path)
    assert [int(frame.max()) for frame in open_images(tmp_path, series=1).values()] == [30, 31, 32]


def test_days_with_frames_are_parts(tmp_path: Path) -> None:
    for day in (1, 2):
        for t in range(5):
            write(tmp_path, f"Day{day}_frame{t}.tif", 10 * day + t)
    with pytest.raises(InputError, match=r"--series 0 \(Day1\), 1 \(Day2\)"):
        open_images(tmp_path)
    assert open_images(tmp_path, series=1).numbers == tuple(range(5))


def test_slices_are_stacked(tmp_path: Path) -> None:
    for t in range(2):
        for z in range(3):
            write(tmp_path, f"img_channel000_position000_time{t:09d}_z{z:03d}.tif", 10 * t + z)
    movie = open_images(tmp_path)
    assert (movie.numbers, movie.shape) == ((0, 1), (3, *SIZE))
    assert movie[1][:, 0, 0].tolist() == [10, 11, 12]
    assert len(movie.files) == 6
    (tmp_path / "img_channel000_position000_time000000001_z002.tif").unlink()
    with pytest.raises(InputError, match="frame 1 lacks the slice 2"):
        open_images(tmp_path)


def test_one_point_of_time_with_slices_is_one_volume(tmp_path: Path) -> None:
    for z in range(4):
        write(tmp_path, f"cells_t007_z{z}.tif", z)
    movie = open_images(tmp_path)
    assert (movie.numbers, movie.shape) == ((7,), (4, *SIZE))


def test_numbers_of_which_none_is_the_frame_are_named(tmp_path: Path) -> None:
    for x in range(2):
        for y in range(2):
            write(tmp_path, f"left{x}_top{y}.tif", 1)
    with pytest.raises(InputError, match=r"Several numbers vary .* left0 to 1, top0 to 1"):
        open_images(tmp_path)


@pytest.mark.parametrize("other", ["m001.tif", "cells1.png", "mask001_old.tif", "mask1.tif"])
def test_two_files_for_one_frame_are_refused(tmp_path: Path, other: str) -> None:
    for name in ("mask000.tif", "mask001.tif", other):
        write(tmp_path, name, 1)
    with pytest.raises(InputError, match="the same frame number 1"):
        open_labels(tmp_path)


@pytest.mark.parametrize("form", ["%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%d_%H%M%S", "%Y-%m-%d_%H-%M-%S"])
def test_clocks_without_marks_are_seconds(tmp_path: Path, form: str) -> None:
    """Hours and minutes are no decimal digits: from 09:55 to 10:00 it is five minutes, not 45."""
    begin = datetime(2021, 3, 4, 9, 45)
    for t in range(6):
        write(tmp_path, f"cells {begin + timedelta(minutes=5 * t):{form}}.tif", t + 1)
    numbers = open_labels(tmp_path).numbers
    assert set(np.diff(numbers)) == {300}


def test_a_date_before_a_running_number_is_no_clock(tmp_path: Path) -> None:
    for t in range(70):
        write(tmp_path, f"20210304_{t:06d}.tif", t + 1)
    assert open_labels(tmp_path).numbers == tuple(range(70))


def test_a_file_without_a_number_is_left_out_aloud(tmp_path: Path) -> None:
    for name in ("t0.tif", "t1.tif", "max_projection.tif"):
        write(tmp_path, name, 1)
    movie = open_images(tmp_path)
    assert movie.numbers == (0, 1)
    assert "without a number are left out (max_projection.tif)" in movie.notes[0]
    assert "max_projection.tif" in str(find_problems(tmp_path))


def test_two_movies_in_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("ctrl_1.tif", "ctrl_2.tif", "drug_1.tif", "drug_2.tif"):
        write(tmp_path, name, 1)
    with pytest.raises(InputError, match="mixes files of several kinds"):
        open_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "number"),
    [("mask012.tif", 12), ("t003_20x.tif", 3), ("exp_t3_w1.tif", 3), ("man_seg_005.tif", 5), ("plain.tif", None)],
)
def test_the_number_of_a_single_name(name: str, number: int | None) -> None:
    assert number_of(Path(name)) == number
