"""The CTC layout: which folders there are, and what is written into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import (
    digits_for,
    find_sequence,
    find_sequences,
    track_file,
    write_masks,
    write_track_file,
)
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import Tracks, read_tracks


def test_sequences_and_their_folders(tmp_path: Path) -> None:
    for folder in ("01", "01_GT/SEG", "01_GT/TRA", "02_ST/SEG", "02_RES", "notes", "3", "01_old"):
        (tmp_path / folder).mkdir(parents=True)
    first, second = find_sequences(tmp_path)
    assert (first.name, second.name) == ("01", "02")
    assert (first.images, first.gt_tra) == (tmp_path / "01", tmp_path / "01_GT" / "TRA")
    assert (first.gt, first.gt_seg, first.st_seg, first.result) == (
        tmp_path / "01_GT",
        tmp_path / "01_GT" / "SEG",
        None,
        None,
    )
    assert (second.images, second.st_seg, second.result) == (None, tmp_path / "02_ST" / "SEG", tmp_path / "02_RES")
    assert find_sequence(tmp_path, "02") == second


def test_what_is_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_sequences(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no sequence"):
        find_sequences(tmp_path)
    (tmp_path / "01").mkdir()
    with pytest.raises(InputError, match="has no sequence 04: it has 01"):
        find_sequence(tmp_path, "04")


@pytest.mark.parametrize(("numbers", "digits"), [([], 3), ([0, 7], 3), ([999], 3), ([1000], 4), ([123456], 6)])
def test_digits(numbers: list[int], digits: int) -> None:
    assert digits_for(numbers) == digits


def test_masks_are_written_under_the_names_of_the_ctc_and_read_back(tmp_path: Path) -> None:
    masks = {n: np.full((4, 5), n, np.int64) for n in (0, 2, 1000)}
    assert write_masks(tmp_path, masks.items(), digits=4) == [0, 2, 1000]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mask0000.tif", "mask0002.tif", "mask1000.tif"]
    with tifffile.TiffFile(tmp_path / "mask0002.tif") as tiff:
        assert tiff.pages.first.compression.name == "ADOBE_DEFLATE"
        assert tiff.pages.first.dtype == np.uint16
    opened = open_labels(tmp_path)
    assert {n: opened[n].max() for n in opened} == {0: 0, 2: 2, 1000: 1000}


def test_the_track_file_is_found_and_written(tmp_path: Path) -> None:
    assert track_file(tmp_path) is None
    tracks = Tracks.from_rows([(1, 0, 3, 0), (2, 4, 5, 1)])
    write_track_file(tmp_path / "man_track.txt", tracks)
    assert track_file(tmp_path) == tmp_path / "man_track.txt"
    write_track_file(tmp_path / "res_track.txt", tracks)
    assert track_file(tmp_path) == tmp_path / "res_track.txt"
    assert (tmp_path / "res_track.txt").read_bytes() == b"1 0 3 0\n2 4 5 1\n"
    assert read_tracks(tmp_path / "res_track.txt") == tracks


@pytest.mark.parametrize(
    ("rows", "message"),
    [([(1, 5, 3, 0)], "ends in frame 3, before"), ([(70_000, 0, 1, 0)], "does not fit into the 16 bits")],
)
def test_a_wrong_table_is_not_written(tmp_path: Path, rows: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_track_file(tmp_path / "res_track.txt", Tracks.from_rows(rows))
    assert not list(tmp_path.iterdir())


def test_legal_but_awkward_tables_are_read(real_data: Path) -> None:
    tracks = read_tracks(real_data / "ctc-format-edge-cases" / "TRA" / "tracks.txt")
    assert tracks.problems() == []
    assert tracks.divisions() == {20: [30, 31]}
    assert tracks.end[tracks.row_of(20)] == 0
