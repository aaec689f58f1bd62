"""Who reads a result while it is replaced sees the old or the new one, or is told; the files are not blamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.errors import InputError, Replaced
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tiff import write_labels
from celltrail.data.running import console
from celltrail.data.writing.output import output_folder


def write(folder: Path, value: int, frames: int = 3) -> None:
    with output_folder(folder, overwrite=True) as work:
        for number in range(frames):
            write_labels(
                work / f"mask{number:03d}.tif", np.repeat([0, value, value + 1], 12).reshape(6, 6).astype("u2")
            )


def test_frames_of_two_results_are_never_mixed(tmp_path: Path) -> None:
    write(tmp_path / "res", 1)
    masks = open_labels(tmp_path / "res")
    assert masks[0].max() == 2
    write(tmp_path / "res", 5, frames=2)  # its third frame is gone, which is no fault of the files
    for number in range(3):
        with pytest.raises(Replaced, match="was replaced by a new result"):
            masks[number]
    assert open_labels(tmp_path / "res")[0].max() == 6


def test_a_command_does_not_blame_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "res", 1)

    def replaced_meanwhile(source: Path, *_: object, **__: object) -> None:
        write(source, 5)
        raise InputError(f"{source} lacks a frame: copy it again.")

    monkeypatch.setattr("celltrail.data.formats.convert.convert_movie", replaced_meanwhile)
    assert console.run(celltrail.cli.app, ["convert", str(tmp_path / "res"), str(tmp_path / "o.csv")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'res'} was replaced by a new result")
    assert not (tmp_path / "o.csv").exists()
