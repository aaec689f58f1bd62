"""The same rules for the same input in ``check``, ``segment``, ``track``, ``train`` and ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import celltrail.cli
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.opening import open_labels
from celltrail.data.running import console

FRAMES = 5
Y, X = np.indices((64, 64))
MASKS = np.zeros((FRAMES, 64, 64), np.uint16)
for t in range(FRAMES):
    for label, (y, x) in enumerate([(14, 14), (14, 46), (46, 30)], start=1):
        MASKS[t][np.hypot(Y - y, X - x - t) < 7] = label
IMAGES = (40 + 150 * (MASKS > 0) + np.random.default_rng(0).integers(0, 30, MASKS.shape)).astype(np.uint8)
WHITE = ((MASKS > 0) * 255).astype(np.uint8)


def run(*words: Any) -> int:
    return console.run(celltrail.cli.app, [str(word) for word in words])


def write(folder: Path, frames: np.ndarray, name: str = "t{:03d}.tif") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        write_array(folder / name.format(number), frame)
    return folder


def test_black_and_white_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = write(tmp_path / "masks", WHITE)
    write(tmp_path / "set" / "01", IMAGES)
    write(tmp_path / "set" / "01_GT" / "SEG", WHITE, "man_seg{:03d}.tif")
    write(tmp_path / "set" / "01_RES", MASKS, "mask{:03d}.tif")
    commands: list[tuple[Any, ...]] = [
        ("check", masks),
        ("check", tmp_path / "set"),
        ("track", masks, "--out", tmp_path / "RES"),
        ("evaluate", tmp_path / "set" / "01_GT", tmp_path / "set" / "01_RES", "--only-masks"),
        ("evaluate", tmp_path / "set" / "01_GT", masks, "--only-masks"),
    ]
    if pytest.importorskip("torch"):
        images = tmp_path / "set" / "01"
        commands += [
            ("train", images, "--labels", masks, "--out", tmp_path / "m.safetensors"),
            ("train", tmp_path / "set", "--sequence", "01", "--out", tmp_path / "m.safetensors"),
        ]
    for command in commands:
        assert run(*command) == 2, command
        said = capsys.readouterr()
        assert "--split-binary" in said.out + said.err, command
    assert not (tmp_path / "RES").exists()
    assert run("check", masks, "--split-binary") == 0
    assert run("track", masks, "--split-binary", "--out", tmp_path / "RES") == 0
    assert (tmp_path / "RES" / "res_track.txt").read_text() == "".join(f"{n} 0 {FRAMES - 1} 0\n" for n in (1, 2, 3))
    assert json.loads((tmp_path / "RES" / "run.json").read_text())["config"]["split_binary"] is True


def test_time_stored_as_slices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, stack in (("masks", MASKS), ("movie", IMAGES)):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    masks, movie = tmp_path / "masks.tif", tmp_path / "movie.tif"
    commands: list[tuple[tuple[Any, ...], int]] = [
        (("check", masks), 2),
        (("check", movie), 2),
        (("track", masks, "--out", tmp_path / "RES"), 2),
    ]
    if pytest.importorskip("torch"):
        commands.append((("segment", movie, "--model", "sim-fluo", "--out", tmp_path / "S"), 0))
    for command, status in commands:
        assert run(*command) == status, command
        said = capsys.readouterr()
        assert "one frame of 5 slices: if this is time, give --axes TYX" in said.out + said.err, command
    assert (
        run("track", masks, "--axes", "TYX", "--images", movie, "--image-axes", "TYX", "--out", tmp_path / "RES") == 0
    )
    assert len(open_labels(tmp_path / "RES")) == FRAMES
    assert capsys.readouterr().err == ""


def test_one_of_several_positions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tifffile.TiffWriter(tmp_path / "masks.ome.tif", ome=True) as writer:
        for name, stack in (("left", MASKS[:, :, ::-1] * (MASKS[:, :, ::-1] == 1)), ("right", MASKS)):
            writer.write(stack, metadata={"axes": "TYX", "Name": name}, photometric="minisblack")
    for command in (("check",), ("track", "--out", tmp_path / "RES")):
        assert run(command[0], tmp_path / "masks.ome.tif", *command[1:]) == 2
        said = capsys.readouterr()
        assert "--series 0 (left), 1 (right)" in said.out + said.err
    assert run("check", tmp_path / "masks.ome.tif", "--series", 1) == 0
    assert run("track", tmp_path / "masks.ome.tif", "--series", 1, "--out", tmp_path / "RES") == 0
    assert len((tmp_path / "RES" / "res_track.txt").read_text().splitlines()) == 3


def test_two_files_for_one_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "masks", MASKS, "mask{:03d}.tif")
    write_array(folder / "m001.tif", MASKS[2])
    for command in (("check", folder), ("track", folder, "--out", tmp_path / "RES")):
        assert run(*command) == 2
        said = capsys.readouterr()
        assert "the same frame number 1" in said.out + said.err


def test_positions_of_images_are_chosen_wherever_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with tifffile.TiffWriter(tmp_path / "images" / "exp.ome.tif", ome=True) as writer:
        for name, frames in (("left", IMAGES), ("right", IMAGES // 2)):
            writer.write(frames, metadata={"axes": "TYX", "Name": name}, photometric="minisblack")
    write(tmp_path / "01_GT" / "TRA", MASKS, "man_track{:03d}.tif")
    write(tmp_path / "RES", MASKS, "mask{:03d}.tif")
    for file in ("01_GT/TRA/man_track.txt", "RES/res_track.txt"):
        (tmp_path / file).write_text("".join(f"{label} 0 {FRAMES - 1} 0\n" for label in (1, 2, 3)))
    res, images = tmp_path / "RES", ("--images", tmp_path / "images")
    commands: list[tuple[Any, ...]] = [
        ("measure", res, *images, "--out", tmp_path / "cells.csv"),
        ("render", res, *images, "--out", tmp_path / "pictures"),
        ("evaluate", tmp_path / "01_GT", res, *images, "--report", tmp_path / "report.html"),
        ("track", res, *images, "--out", tmp_path / "AGAIN"),
        ("check", tmp_path / "images"),
    ]
    for command in commands:
        assert run(*command) == 2, command
        assert run(*command, "--series", 1) == 0, command
    cells = pd.read_csv(tmp_path / "cells.csv")
    first = MASKS[0] == 1
    assert cells["mean"][0] == pytest.approx((IMAGES[0] // 2)[first].mean(), rel=1e-5)
