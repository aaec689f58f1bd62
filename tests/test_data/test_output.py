"""Results appear whole or not at all, and never in the place of something dear."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celltrail.data.errors import InputError
from celltrail.data.writing import output
from celltrail.data.writing.exchange import exchange_names
from celltrail.data.writing.output import output_file, output_folder, partial_path


class Crash(Exception):
    """Something goes wrong half way."""


def write_half(folder: Path, name: str = "half.txt") -> None:
    (folder / name).write_text("half")
    raise Crash


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with output_folder(tmp_path / "deep" / "out") as work:
        (work / "a.txt").write_text("a")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep" / "out") == ["a.txt"]


def test_after_a_failure_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(Crash), output_folder(tmp_path / "out") as work:
        write_half(work)
    with pytest.raises(Crash), output_file(tmp_path / "out.csv") as file:
        write_half(tmp_path, file.name)
    assert names(tmp_path) == []


def test_an_old_result_stays_after_a_failure_and_goes_after_a_success(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(Crash), output_folder(out, overwrite=True) as work:
        write_half(work)
    assert names(out) == ["old.txt"]
    with output_folder(out, overwrite=True) as work:
        (work / "new.txt").write_text("new")
    assert names(out) == ["new.txt"]
    assert names(tmp_path) == ["out"]


def test_nothing_is_replaced_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(InputError, match="exists already"), output_folder(tmp_path / "out"):
        pass
    with pytest.raises(InputError, match="exists already"), output_file(tmp_path / "old.csv"):
        pass
    with output_file(tmp_path / "old.csv", overwrite=True) as file:
        file.write_text("new")
    assert (tmp_path / "old.csv").read_text() == "new"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as work:
        (work / "a.txt").write_text("a")
    assert names(tmp_path / "out") == ["a.txt"]


def test_an_interrupted_run_is_resumed_or_forgotten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(Crash), output_folder(out, resume=True) as work:
        write_half(work)
    assert names(partial_path(out)) == ["half.txt"]
    with output_folder(out, resume=True) as work:
        assert names(work) == ["half.txt"]
        (work / "rest.txt").write_text("rest")
    assert names(out) == ["half.txt", "rest.txt"]
    with pytest.raises(Crash), output_folder(tmp_path / "other", resume=True) as work:
        write_half(work)
    with output_folder(tmp_path / "other") as work:
        assert names(work) == []


def test_overwriting_never_replaces_the_place_one_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "project" / "analysis"
    here.mkdir(parents=True)
    (here / "notes.txt").write_text("dear")
    monkeypatch.chdir(here)
    for out in (here, here.parent, Path("../../project"), Path.home()):
        with pytest.raises(InputError, match="must not be replaced"), output_folder(out, overwrite=True):
            pass
    with pytest.raises(InputError, match="no name for a result"), output_folder(Path(".."), overwrite=True):
        pass


def test_a_file_does_not_replace_a_folder_nor_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    with (
        pytest.raises(InputError, match="is a folder, but the result is a file"),
        output_file(tmp_path / "folder", overwrite=True),
    ):
        pass
    with (
        pytest.raises(InputError, match="is a file, but the result is a folder"),
        output_folder(tmp_path / "file", overwrite=True),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for inside in ("out", "deep/out"):
        with pytest.raises(InputError, match="file is no folder"), output_folder(tmp_path / "file" / inside):
            pass
    with pytest.raises(InputError, match="file is no folder"), output_file(tmp_path / "file" / "out.csv"):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has such a folder")
def test_a_place_in_which_nothing_can_be_made_is_not_said_to_be_busy() -> None:
    for out in (Path("/proc/x"), Path("/proc/self/x")):
        with pytest.raises(InputError, match=r"cannot be written \(.+\): choose a folder"), output_folder(out):
            pass
    with pytest.raises(InputError, match=r"cannot be written \(.+\): choose a folder"), output_file(Path("/proc/x")):
        pass


def test_a_file_system_that_is_read_only_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("celltrail.data.writing.ownership.FileLock.acquire", refuse)
    with pytest.raises(InputError, match=r"out cannot be written \(Read-only"), output_folder(tmp_path / "new/out"):
        pass
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    """Stands for SIGKILL: from here on the program does nothing any more."""


def replace_with_kill(out: Path, monkeypatch: pytest.MonkeyPatch, moment: int, *, atomic: bool) -> None:
    """Replace the result ``out`` and die before the ``moment``-th change of names or removal."""
    steps = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps >= moment:
                raise Killed
            return function(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(
            output, "exchange_names", counted(output.exchange_names) if atomic else lambda first, second: False
        )
        patch.setattr(output.os, "replace", counted(os.replace))
        patch.setattr(output.shutil, "rmtree", counted(shutil.rmtree))
        with output_folder(out, overwrite=True) as work:
            (work / "text.txt").write_text("new")


@pytest.mark.parametrize("moment", range(1, 6))
def test_at_every_moment_a_kill_leaves_the_old_result_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "text.txt").write_text("old")
    try:
        replace_with_kill(out, monkeypatch, moment, atomic=True)
    except Killed:
        assert (out / "text.txt").read_text() in ("old", "new")
    with output_folder(out, overwrite=True) as work:
        assert names(work) == []
        (work / "text.txt").write_text("newer")
    assert (out / "text.txt").read_text() == "newer"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("moment", range(1, 6))
def test_without_an_exchange_the_next_run_brings_the_result_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "text.txt").write_text("old")
    try:
        replace_with_kill(out, monkeypatch, moment, atomic=False)
    except Killed:
        with pytest.raises(InputError, match="exists already"), output_folder(out):
            pass
    assert (out / "text.txt").read_text() in ("old", "new")
    with output_folder(out, overwrite=True) as work:
        (work / "text.txt").write_text("newer")
    assert names(tmp_path) == ["out"]


def test_two_folders_change_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text(name)
    swapped = exchange_names(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "text.txt").read_text() == ("b" if swapped else "a")
    assert names(tmp_path) == ["a", "b"]
    if swapped:
        with pytest.raises(FileNotFoundError):
            exchange_names(tmp_path / "a", tmp_path / "none")
