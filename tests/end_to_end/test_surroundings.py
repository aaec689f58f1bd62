"""Where a command is run matters to nobody: no temporary folder, no home, a folder that is gone, a full standard output."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import celltrail.cli
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders in use cannot be removed there")


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set."""
    folder = tmp_path_factory.mktemp("movie")
    write_movie(simulate_movie(frames=4, cells=4, size=(64, 64), seed=1), folder)
    return folder


def no_temporary_folder(patch: pytest.MonkeyPatch, place: Path) -> None:
    patch.setenv("TMPDIR", "/nowhere")
    patch.setattr(tempfile, "tempdir", None)


def no_home(patch: pytest.MonkeyPatch, place: Path) -> None:
    for name in ("HOME", "USER", "LOGNAME"):
        patch.delenv(name, raising=False)


def home_nowhere(patch: pytest.MonkeyPatch, place: Path) -> None:
    patch.setenv("HOME", "/nowhere/at/all")


def a_folder_that_is_gone(patch: pytest.MonkeyPatch, place: Path) -> None:
    (place / "gone").mkdir()
    patch.chdir(place / "gone")
    (place / "gone").rmdir()


def no_columns(patch: pytest.MonkeyPatch, place: Path) -> None:
    patch.setenv("COLUMNS", "0")


def a_plain_language(patch: pytest.MonkeyPatch, place: Path) -> None:
    patch.setenv("LC_ALL", "C")


@pytest.mark.parametrize(
    "surroundings",
    [no_temporary_folder, no_home, home_nowhere, a_folder_that_is_gone, no_columns, a_plain_language],
)
@pytest.mark.parametrize("command", ["track", "evaluate", "measure"])
def test_it_works_all_the_same_or_says_why_not(
    command: str,
    surroundings: Callable[[pytest.MonkeyPatch, Path], None],
    movie: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, out = movie / "01_GT" / "TRA", tmp_path / "out.csv"
    if command == "measure":
        assert console.run(celltrail.cli.app, ["track", str(truth), "--out", str(tmp_path / "RES")]) == 0
    words = {
        "track": ["track", truth, "--out", out],
        "evaluate": ["evaluate", movie / "01_GT", truth],
        "measure": ["measure", tmp_path / "RES", "--out", out],
    }[command]
    surroundings(monkeypatch, tmp_path)
    code = console.run(celltrail.cli.app, [str(word) for word in words])
    said = capsys.readouterr()
    assert code in (0, 2), said
    assert "Traceback" not in said.err
    assert code == 0 or len(said.err) > 20
    assert out.exists() == (code == 0 and command != "evaluate")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("result", "end", "codes"),
    [
        ("01_GT/TRA", ">&-", (0, 1)),
        ("01_GT/TRA", "> /dev/full", (1,)),
        ("01_GT/TRA", "| true", (0, 1)),
        ("01_GT/TRA", "2>&-", (0,)),
        ("nowhere", "2>&-", (2,)),
    ],
)
def test_an_output_that_takes_nothing(result: str, end: str, codes: tuple[int, ...], movie: Path) -> None:
    line = f'{{ "{sys.executable}" -m celltrail evaluate 01_GT {result}; echo "code $?" >&9; }} 9>code {end}'
    done = subprocess.run(["sh", "-c", line], cwd=movie, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (movie / "code").read_text() in [f"code {code}\n" for code in codes]
