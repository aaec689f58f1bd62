"""``celltrail track --from run.json``: the same bytes again, and a sentence for everything that has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import celltrail.cli
from celltrail.data.files.pins import Pin, write_pins
from celltrail.data.running import console
from celltrail.tracking import track, write_result


@pytest.fixture
def movie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four frames of two cells, with images and pins, in the folder where one works."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    for name in ("masks", "images"):
        Path(name).mkdir()
    for t in range(4):
        labels = np.zeros((40, 40), np.uint16)
        labels[5:11, 4 + t : 10 + t], labels[24:30, 20 - t : 26 - t] = 1, 2
        tifffile.imwrite(f"masks/mask{t:03d}.tif", labels)
        tifffile.imwrite(f"images/t{t:03d}.tif", (labels * 50 + rng.integers(0, 9, labels.shape)).astype(np.uint16))
    write_pins(Path("pins.csv"), [Pin("link", "forbid", ((1, 1), (2, 1)))])
    return tmp_path


def run(*words: object) -> int:
    return console.run(celltrail.cli.app, [str(word) for word in words])


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.log"}
    told = json.loads(found["run.json"])
    return found | {"run.json": {key: told[key] for key in told if key not in ("seconds", "peak_memory_mb")}}


OPTIONS = (
    "--images",
    "images",
    "--pins",
    "pins.csv",
    "--max-gap",
    1,
    "--voxel",
    "0.5 0.5",
    "--frames",
    "0:2",
    "--foi",
    2,
    "--fill",
    "never",
    "--costs",
    "calibrated",
    "--allow-drop",
)


@pytest.mark.parametrize("options", [(), OPTIONS], ids=["plain", "everything"])
def test_a_run_can_be_repeated(movie: Path, options: tuple[object, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("track", "masks", "--out", "first", *options) == 0
    capsys.readouterr()
    assert run("track", "--from", "first/run.json", "--out", "second") == 0
    assert capsys.readouterr().err == ""
    assert content(movie / "first") == content(movie / "second")


def test_options_on_the_command_line_win(movie: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("track", "masks", "--out", "first", *OPTIONS) == 0
    capsys.readouterr()
    assert run("track", "--from", "first/run.json", "--frames", "1:3", "--out", "second") == 0
    told = capsys.readouterr().err
    assert 'The option frames is "1:3" here; the earlier run had "0:2".' in told
    assert "The masks are not those of the earlier run" in told  # of other frames
    assert not (movie / "second" / "mask000.tif").exists()


def test_what_has_changed_is_told(movie: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("track", "masks", "--out", "first", *OPTIONS) == 0
    told = json.loads((movie / "first" / "run.json").read_text(encoding="utf-8"))
    told["versions"]["numpy"] = "1.0"
    (movie / "first" / "run.json").write_text(json.dumps(told), encoding="utf-8")
    labels = tifffile.imread("masks/mask001.tif")
    tifffile.imwrite("masks/mask001.tif", np.roll(labels, 2, axis=0))
    write_pins(Path("pins.csv"), [Pin("link", "forbid", ((0, 2), (1, 2)))], overwrite=True)
    capsys.readouterr()
    assert run("track", "--from", "first/run.json", "--out", "second") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "The masks are not those of the earlier run: their fingerprint has changed.",
        "The pins are not those of the earlier run: their fingerprint has changed.",
    ]
    assert lines[2] == f"numpy is {np.__version__} here; the earlier run had 1.0."
    assert lines[3].startswith("The option pins is ")
    assert lines[4].startswith("The objective is ")
    assert len(lines) == 5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {}, "inputs": 3, "versions": {}}', "\xff"])
def test_what_is_no_run_is_refused(text: str, movie: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.json").write_text(text, encoding="latin-1")
    assert run("track", "--from", "run.json", "--out", "out") == 2
    assert capsys.readouterr().err.startswith("run.json is not the run.json of 'celltrail track'")
    assert run("track", "--from", "none.json", "--out", "out") == 2
    assert capsys.readouterr().err.startswith("none.json does not exist")
    assert not Path("out").exists()


def test_a_run_of_arrays_is_repeated_in_python(movie: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(track({0: np.diag([1, 2, 3])}), Path("arrays"))
    write_result(track("masks", pins=[Pin("link", "forbid", ((1, 1), (2, 1)))]), Path("pinned"))
    for name, what in (("arrays", "masks"), ("pinned", "pins")):
        assert run("track", "--from", f"{name}/run.json", "--out", "out") == 2
        assert capsys.readouterr().err == f"This run took its {what} from Python, not from files: repeat it there.\n"
