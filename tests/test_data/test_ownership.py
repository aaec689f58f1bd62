"""One writer at a time: the second is told who is at work, and nothing of the first is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from celltrail.data.errors import InputError
from celltrail.data.writing.output import output_file, output_folder
from celltrail.data.writing.ownership import lock_path, owned

HOLD = """
import sys
from pathlib import Path
from celltrail.data.writing.output import output_folder
with output_folder(Path(sys.argv[1]), overwrite=True) as work:
    (work / "a.txt").write_text("first")
    print("holding", flush=True)
    sys.stdin.readline()
"""


def hold(out: Path) -> subprocess.Popen[str]:
    """Another process that is writing ``out`` until it reads a line."""
    command = [sys.executable, "-c", HOLD, str(out)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_process_is_told_who_is_at_work_since_when(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = hold(out)
    for overwrite in (False, True):
        said = rf"out is being written by another run \(process {first.pid} on .*, since \d\d:\d\d on .*\): wait"
        with pytest.raises(InputError, match=said), output_folder(out, overwrite=overwrite) as work:
            (work / "a.txt").write_text("second")
    first.communicate("go on\n")
    assert (out / "a.txt").read_text() == "first"
    assert names(tmp_path) == ["out"]
    with output_folder(out, overwrite=True) as work:
        (work / "a.txt").write_text("third")
    assert (out / "a.txt").read_text() == "third"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_the_lock_of_a_dead_owner_is_taken_over(tmp_path: Path) -> None:
    first = hold(tmp_path / "out")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert lock_path(tmp_path / "out").exists()
    with output_folder(tmp_path / "out") as work:
        assert names(work) == []
    assert names(tmp_path) == ["out"]
    first.communicate()


def test_threads_of_one_process_exclude_each_other_and_nested_writers_do_not(tmp_path: Path) -> None:
    refused: list[InputError] = []

    def write() -> None:
        try:
            with output_file(tmp_path / "pins.csv") as file:
                file.write_text("second")
        except InputError as error:
            refused.append(error)

    with owned(tmp_path / "pins.csv"):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        with output_file(tmp_path / "pins.csv") as file:
            file.write_text("first")
        assert lock_path(tmp_path / "pins.csv").exists()
    assert len(refused) == 1
    assert (tmp_path / "pins.csv").read_text() == "first"
    assert names(tmp_path) == ["pins.csv"]


def test_a_lock_file_that_does_not_tell_its_owner(tmp_path: Path) -> None:
    first = hold(tmp_path / "out")
    for text in ("", "{", "[1]", json.dumps({"since": "noon"})):
        lock_path(tmp_path / "out").write_text(text)
        with pytest.raises(InputError, match="written by another run: wait"), owned(tmp_path / "out"):
            pass
    first.communicate("\n")


def test_a_failure_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"), owned(tmp_path / "deep" / "er" / "out"):
        raise InputError("nothing to write")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="cannot be written"), owned(tmp_path / "file" / "out"):
        pass


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "/"])
def test_a_place_is_no_name_for_a_result(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is a place and no name for a result"), owned(Path(name)):
        pass
    assert names(tmp_path) == []


def test_many_writers_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    out, outcomes = tmp_path / "out", []

    def write(number: int) -> None:
        try:
            with output_folder(out, overwrite=True) as work:
                for name in range(20):
                    (work / f"{name}.txt").write_text(str(number))
            outcomes.append(number)
        except InputError as error:
            assert "being written" in str(error)  # noqa: PT017

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes
    assert {path.read_text() for path in out.iterdir()} <= {str(number) for number in outcomes}
    assert len({path.read_text() for path in out.iterdir()}) == 1
    assert names(tmp_path) == ["out"]
