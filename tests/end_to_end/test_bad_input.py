"""Bad input: one sentence that names the file and the remedy, exit code 2, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.files.ctc import write_masks


def celltrail(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a process of its own."""
    command = [sys.executable, "-m", "celltrail", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def two_cells(frame: int) -> np.ndarray:
    labels = np.zeros((48, 64), np.uint16)
    labels[8:18, 5 + frame : 15 + frame] = 1
    labels[28:38, 40 - frame : 50 - frame] = 2
    return labels


def good_masks(folder: Path, frames: int = 3) -> Path:
    folder.mkdir(parents=True)
    write_masks(folder, ((frame, two_cells(frame)) for frame in range(frames)))
    return folder


def grey(frame: int) -> np.ndarray:
    noise = np.random.default_rng(frame).normal(200, 30, (48, 64))
    return (noise + 400 * (two_cells(frame) > 0)).clip(0, 60_000).astype(np.uint16)


def missing_folder(folder: Path) -> Path:
    return folder


def image_folder(folder: Path) -> Path:
    folder.mkdir()
    for frame in range(3):
        tifffile.imwrite(folder / f"t{frame:03}.tif", grey(frame))
    return folder


def rgb(folder: Path) -> Path:
    folder.mkdir()
    for frame in range(3):
        tifffile.imwrite(folder / f"t{frame:03}.tif", np.zeros((48, 64, 3), np.uint8), photometric="rgb")
    return folder


def floating(folder: Path) -> Path:
    folder.mkdir()
    for frame in range(3):
        tifffile.imwrite(folder / f"mask{frame:03}.tif", 0.9 * two_cells(frame).astype(np.float32))
    return folder


def one_other_shape(folder: Path) -> Path:
    good_masks(folder)
    tifffile.imwrite(folder / "mask003.tif", np.zeros((50, 64), np.uint16))
    return folder


def text_as_tiff(folder: Path) -> Path:
    good_masks(folder)
    (folder / "mask003.tif").write_text("frame 3 is missing")
    return folder


def empty_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def all_frames_empty(folder: Path) -> Path:
    folder.mkdir()
    write_masks(folder, ((frame, np.zeros((48, 64), np.uint16)) for frame in range(3)))
    return folder


BAD_MASKS: list[tuple[Callable[[Path], Path], str]] = [
    (missing_folder, "does not exist"),
    (image_folder, "image"),
    (rgb, "colour"),
    (floating, "float32"),
    (one_other_shape, "(50, 64)"),
    (text_as_tiff, "mask003.tif"),
    (empty_folder, "no numbered"),
]
BAD_IMAGES: list[tuple[Callable[[Path], Path], str]] = [
    (missing_folder, "does not exist"),
    (good_masks, "mask"),
    (rgb, "colour"),
    (one_other_shape, "holds masks"),
    (text_as_tiff, "mask003.tif"),
    (empty_folder, "no numbered"),
]


def assert_refused(done: subprocess.CompletedProcess[str], folder: Path, said: str, left: set[str]) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert str(folder) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert {path.name for path in folder.parent.iterdir()} == left


@pytest.mark.parametrize(("make", "said"), BAD_MASKS, ids=lambda value: getattr(value, "__name__", ""))
def test_track_refuses(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    masks = make(tmp_path / "masks")
    before = {path.name for path in tmp_path.iterdir()}
    assert_refused(celltrail("track", masks, "--out", tmp_path / "RES"), masks, said, before)


@pytest.mark.parametrize(("make", "said"), BAD_IMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_segment_refuses(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    images = make(tmp_path / "images")
    before = {path.name for path in tmp_path.iterdir()}
    done = celltrail("segment", images, "--model", "sim-fluo", "--out", tmp_path / "MASKS")
    assert_refused(done, images, said, before)


def test_a_movie_without_cells_gives_an_empty_result(tmp_path: Path) -> None:
    masks = all_frames_empty(tmp_path / "masks")
    done = celltrail("track", masks, "--out", tmp_path / "RES")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "RES" / "res_track.txt").read_text() == ""
    assert len(list((tmp_path / "RES").glob("mask*.tif"))) == 3


def ground_truth(folder: Path) -> Path:
    for part in ("SEG", "TRA"):
        (folder / part).mkdir(parents=True)
    for frame in range(3):
        tifffile.imwrite(folder / "SEG" / f"man_seg{frame:03}.tif", two_cells(frame))
        tifffile.imwrite(folder / "TRA" / f"man_track{frame:03}.tif", two_cells(frame))
    (folder / "TRA" / "man_track.txt").write_text("1 0 2 0\n2 0 2 0\n")
    return folder


def test_evaluate_refuses_a_track_file_with_five_columns(tmp_path: Path) -> None:
    truth, result = ground_truth(tmp_path / "01_GT"), good_masks(tmp_path / "01_RES")
    (result / "res_track.txt").write_text("1 0 2 0 7\n2 0 2 0 7\n")
    done = celltrail("evaluate", truth, result, "--json")
    assert done.returncode == 2
    assert "res_track.txt" in done.stderr
    assert "5 columns" in done.stderr
    assert done.stdout == ""


def test_evaluate_refuses_what_is_not_there(tmp_path: Path) -> None:
    truth = ground_truth(tmp_path / "01_GT")
    done = celltrail("evaluate", truth, tmp_path / "01_RES")
    assert done.returncode == 2
    assert str(tmp_path / "01_RES") in done.stderr


def test_an_existing_result_is_kept_without_overwrite(tmp_path: Path) -> None:
    masks = good_masks(tmp_path / "masks")
    (tmp_path / "RES").mkdir()
    (tmp_path / "RES" / "precious.txt").write_text("mine")
    done = celltrail("track", masks, "--out", tmp_path / "RES")
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert [path.name for path in (tmp_path / "RES").iterdir()] == ["precious.txt"]


def test_unknown_keys_of_a_configuration_are_named(tmp_path: Path) -> None:
    masks = good_masks(tmp_path / "masks")
    (tmp_path / "track.toml").write_text('max_gapp = 2\nsolver = "highs"\n')
    done = celltrail("track", masks, "--out", tmp_path / "RES", "--config", tmp_path / "track.toml")
    assert done.returncode == 2
    assert "max_gapp" in done.stderr
    assert "max_gap" in done.stderr.replace("max_gapp", "")
    assert not (tmp_path / "RES").exists()
