"""The page on formats is true: its commands run, one after the other, and its columns are written."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie


def test_every_command_runs_and_every_column_is_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("geff", "imageio_ffmpeg"):
        pytest.importorskip(module)
    from celltrail.cli import app

    page = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    write_movie(simulate_movie(frames=5, cells=5, size=(64, 64), cycle=9, seed=2), tmp_path / "movie")
    shutil.copytree(tmp_path / "movie" / "01_GT" / "TRA", tmp_path / "movie" / "01_RES")
    (tmp_path / "movie" / "01_RES" / "man_track.txt").rename(tmp_path / "movie" / "01_RES" / "res_track.txt")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 11
    for line in lines:
        assert console.run(app, shlex.split(line)[1:]) == 0, line
    written = {"tracks.csv": "inTRACKtive", "again.csv": "btrack"}
    for file, row in written.items():
        listed = re.search(rf"^\| {row}'s table \|[^|]*\|([^|]*)\|", page, flags=re.MULTILINE)
        assert listed is not None
        names = set(re.findall(r"`(\w+)`", listed.group(1)))
        assert names <= set((tmp_path / file).read_text().splitlines()[0].split(","))


def test_what_comes_of_inputs_is_as_the_page_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("zarr", "imageio_ffmpeg", "liffile", "pylibCZIrw"):
        pytest.importorskip(module)
    monkeypatch.syspath_prepend(root / "docs")
    spec = importlib.util.spec_from_file_location("inputs", root / "docs" / "inputs.py")
    assert spec is not None
    assert spec.loader is not None
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    assert f"{inputs.BEGIN}\n{inputs.table()}\n{inputs.END}" in inputs.PAGE.read_text(encoding="utf-8")
