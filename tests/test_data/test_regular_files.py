"""Pipes and devices are refused at once where something is read, and never replaced where something is written."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_labels
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.pins import read_pins
from celltrail.data.files.tracks import read_tracks
from celltrail.data.formats.csv_file import read_csv
from celltrail.data.graph.candidates import load_graph
from celltrail.data.regular import read_json, read_text, read_toml
from celltrail.data.running import console
from celltrail.data.writing.output import output_file, output_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def a_pipe(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder / name


def a_socket(folder: Path, name: str) -> Path:
    place = Path(tempfile.mkdtemp()) / name  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))
    (folder / name).symlink_to(place)
    return folder / name


def a_device(folder: Path, name: str) -> Path:
    (folder / name).symlink_to("/dev/zero")
    return folder / name


MAKERS = [a_pipe, a_socket, a_device]
READERS: list[Callable[[Path], object]] = [
    *(read_text, read_json, read_toml, read_pins, read_tracks, read_csv, load_graph, open_images, open_labels)
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("read", READERS)
def test_what_is_no_regular_file_is_refused_at_once(
    read: Callable[[Path], object], make: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"x\.tif"):
        read(make(tmp_path, "x.tif"))


@pytest.mark.parametrize("make", MAKERS)
def test_a_frame_that_is_no_file_is_not_passed_over(make: Callable[[Path, str], Path], tmp_path: Path) -> None:
    for number in (0, 1, 3):
        write_labels(tmp_path / f"mask{number:03d}.tif", np.ones((4, 4), np.uint16))
    make(tmp_path, "mask002.tif")
    with pytest.raises(InputError, match=r"mask002\.tif is a (pipe|socket|device)"):
        open_labels(tmp_path)


@pytest.mark.parametrize("option", ["--pins", "--images", "--config", "--from", "--costs"])
@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "/dev/tty"])
def test_track_waits_for_nothing(option: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if path == "pipe":
        path = str(a_pipe(tmp_path, "pipe"))
    write_labels(tmp_path / "mask000.tif", np.repeat(np.arange(9, dtype=np.uint16) // 3, 9).reshape(9, 9))
    words = ["track", str(tmp_path), "--out", str(tmp_path / "RES"), option, path]
    assert console.run(celltrail.cli.app, words) == 2
    said = capsys.readouterr().err
    assert path in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "RES").exists()


def test_text_that_is_nested_too_deeply_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {
        "a.toml": "x = " + "[" * 50_000,
        "b.toml": "a." * 50_000 + "b = 1",
        "c.json": "[" * 50_000,
    }.items():
        (tmp_path / name).write_text(text)
        assert console.run(celltrail.cli.app, ["track", "m", "--out", "o", "--config", str(tmp_path / name)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
        with pytest.raises(ValueError):
            read_json(tmp_path / name)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e999]"])
def test_numbers_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="no number"):
        read_json(tmp_path / "x.json")


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = a_pipe(tmp_path, "pipe")
    with pytest.raises(InputError, match="takes nothing"), output_file(pipe, overwrite=True) as work:
        work.write_text("nobody reads")
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    handle = os.open(pipe, os.O_WRONLY)  # the reader is there
    with output_file(pipe) as work:
        work.write_text("for the reader")
    os.close(handle)
    assert reader.communicate()[0] == "for the reader"
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    with pytest.raises(InputError, match="is a pipe, but"), output_folder(pipe, overwrite=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


WRITE = """
import sys
import tempfile
from pathlib import Path
from celltrail.data.writing.output import output_file
print("first", flush=True)
with output_file(Path(sys.argv[1]), overwrite=True) as work:
    work.write_text("second")
"""


def test_the_standard_output_is_written_to(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE, "/dev/stdout"]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "first\nsecond"
    with (tmp_path / "file").open("w") as stream:
        subprocess.run(command, stdout=stream, check=True)
    assert (tmp_path / "file").read_text() == "first\nsecond"
    subprocess.run([*command[:-1], "/dev/null"], stdout=subprocess.PIPE, check=True)
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file link").symlink_to("old")
    (tmp_path / "folder link").symlink_to("folder")
    with output_file(tmp_path / "file link", overwrite=True) as work:
        work.write_text("new")
    with output_folder(tmp_path / "folder link") as work:
        (work / "x").write_text("x")
    assert (tmp_path / "old").read_text() == "new"
    assert (tmp_path / "folder" / "x").read_text() == "x"
    assert (tmp_path / "file link").is_symlink()
    assert (tmp_path / "folder link").is_symlink()
