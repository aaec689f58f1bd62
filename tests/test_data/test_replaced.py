"""Who reads a result while it is replaced sees the old or the new one, whole; the files are not blamed."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.errors import InputError, Replaced
from celltrail.data.files.arrays.tiff import write_labels
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import read_tracks
from celltrail.data.held import TRIES, Held, check_held, read_whole
from celltrail.data.running import console
from celltrail.data.writing.output import output_folder


def write(folder: Path, value: int, frames: int = 3) -> None:
    with output_folder(folder, overwrite=True) as work:
        for number in range(frames):
            labels = np.repeat([0, value, value + 1], 12).reshape(6, 6).astype("u2")
            write_labels(work / f"mask{number:03d}.tif", labels)
        rows = [f"{label} 0 {frames - 1} 0\n" for label in (value, value + 1)]
        (work / "res_track.txt").write_text("".join(rows))


def test_frames_of_two_results_are_never_mixed(tmp_path: Path) -> None:
    write(tmp_path / "res", 1)
    masks = open_labels(tmp_path / "res")
    assert masks[0].max() == 2
    write(tmp_path / "res", 5, frames=2)  # its third frame is gone, which is no fault of the files
    for number in range(3):
        with pytest.raises(Replaced, match="was replaced by a new result"):
            masks[number]
    assert open_labels(tmp_path / "res")[0].max() == 6


@pytest.mark.parametrize("judged", [False, True])
def test_what_reads_several_files_begins_again(judged: bool, tmp_path: Path) -> None:
    write(tmp_path / "res", 1)
    notes: list[str] = []

    def read() -> tuple[list[int], int]:
        tracks = read_tracks(tmp_path / "res" / "res_track.txt")
        if not notes:
            write(tmp_path / "res", 5)
            if judged:
                raise InputError("The masks hold labels that no track has: mend the files.")
        return tracks.label.tolist(), int(open_labels(tmp_path / "res")[0].max())

    assert read_whole(read, [tmp_path / "res"], notes.append) == ([5, 6], 6)
    assert notes == [f"{tmp_path / 'res'} was replaced by a new result while it was read: beginning again with that."]


def test_a_fault_of_the_files_is_told_at_once(tmp_path: Path) -> None:
    calls = []

    def read() -> None:
        calls.append(open_labels(tmp_path))

    with pytest.raises(InputError, match="holds no numbered"):
        read_whole(read, [tmp_path])
    assert calls == []


def test_what_was_read_may_change_later(tmp_path: Path) -> None:
    """Whoever saves a file again, hours after it was read, does not make a run begin anew."""
    write(tmp_path / "res", 1)

    def work() -> list[int]:
        label = read_tracks(tmp_path / "res" / "res_track.txt").label.tolist()
        write(tmp_path / "res", 5)
        return label

    assert read_whole(work, [tmp_path / "res"]) == [1, 2]
    check_held()  # outside of it nothing is held


def test_what_is_temporary_may_go(tmp_path: Path) -> None:
    calls = []

    def work() -> None:
        calls.append(write(tmp_path / "own", 1))
        read_tracks(tmp_path / "own" / "res_track.txt")
        shutil.rmtree(tmp_path / "own")
        raise InputError("The work has another fault: mend it.")

    with pytest.raises(InputError, match="another fault"):
        read_whole(work)
    assert len(calls) == 1


def test_another_folder_never_has_the_number_of_the_one_that_was_read(tmp_path: Path) -> None:
    write(tmp_path / "res", 1)
    gc.collect()
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    held = Held(tmp_path / "res")
    for value in range(2, 30):  # many file systems give the number of what was removed to what is made next
        write(tmp_path / "res", value)
        with pytest.raises(Replaced):
            held.check()
    del held
    gc.collect()
    assert not handles or len(os.listdir("/proc/self/fd")) <= handles


def test_a_command_reads_the_new_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from celltrail.data.formats import convert

    write(tmp_path / "res", 1)
    whole, calls = convert.convert_movie, []

    def replaced_meanwhile(source: Path, *arguments: object, **options: object) -> object:
        calls.append(source)
        if len(calls) < TRIES:
            write(source, 4 + len(calls))
            raise InputError(f"{source} lacks a frame: copy it again.")
        return whole(source, *arguments, **options)

    monkeypatch.setattr(convert, "convert_movie", replaced_meanwhile)
    words = ["convert", str(tmp_path / "res"), str(tmp_path / "o.csv")]
    assert console.run(celltrail.cli.app, words) == 0
    assert len(calls) == TRIES
    assert "7," in (tmp_path / "o.csv").read_text()
    told = capsys.readouterr().err.splitlines()
    assert (
        told == [f"{tmp_path / 'res'} was replaced by a new result while it was read: beginning again with that."] * 3
    )


def test_a_command_that_meets_a_new_result_time_and_again_does_not_blame_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "res", 1)

    def replaced_meanwhile(source: Path, *_: object, **__: object) -> None:
        write(source, 5)
        raise InputError(f"{source} lacks a frame: copy it again.")

    monkeypatch.setattr("celltrail.data.formats.convert.convert_movie", replaced_meanwhile)
    assert console.run(celltrail.cli.app, ["convert", str(tmp_path / "res"), str(tmp_path / "o.csv")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert (
        last
        == f"{tmp_path / 'res'} was replaced by a new result while it was read: run the command again to read that."
    )
    assert not (tmp_path / "o.csv").exists()
