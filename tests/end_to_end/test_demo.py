"""The demo, run as a user runs it: a simulated movie goes the whole way, from images to a report."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from celltrail.data import open_labels, read_tracks
from celltrail.data.files.check import find_problems


def demo(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celltrail", "demo", "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo, and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "sample"
    done = demo(out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_demo_leaves_every_stage_on_disk(made: tuple[Path, str]) -> None:
    out, _ = made
    expected = {"01", "01_GT", "01_MASKS", "01_RES", "evaluation.json", "report.html", "demo.json"}
    assert {path.name for path in out.iterdir()} == expected
    frames = open_labels(out / "01_RES").numbers
    assert frames == open_labels(out / "01_MASKS").numbers == open_labels(out / "01_GT" / "TRA").numbers
    assert read_tracks(out / "01_RES" / "res_track.txt").problems() == []
    assert find_problems(out / "01_RES") == []


def test_the_demo_is_proven_optimal_and_good(made: tuple[Path, str]) -> None:
    out, _ = made
    run = json.loads((out / "01_RES" / "run.json").read_text())
    assert run["status"] == "optimal"
    assert run["bound"] <= run["objective"]
    measures = json.loads((out / "evaluation.json").read_text())["sequences"][0]["measures"]
    assert measures["SEG"] >= 0.80
    assert measures["TRA"] >= 0.90


def test_the_report_needs_no_network(made: tuple[Path, str]) -> None:
    out, _ = made
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    measures = json.loads((out / "evaluation.json").read_text())["sequences"][0]["measures"]
    for name in ("SEG", "DET", "TRA", "LNK"):
        assert name in page
        assert f"{measures[name]:.3f}" in page


def test_the_demo_ends_with_the_line_that_opens_the_dashboard(made: tuple[Path, str]) -> None:
    out, printed = made
    assert printed.strip().splitlines()[-1].strip() == f"celltrail dashboard {out}"


def test_a_second_demo_replaces_only_what_a_demo_made(made: tuple[Path, str], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = demo(mine, "--overwrite")
    assert done.returncode == 2
    assert str(mine) in done.stderr
    assert (mine / "thesis.txt").read_text() == "years of work"
    out, _ = made
    before = (out / "01_RES" / "res_track.txt").read_bytes()
    assert demo(out).returncode == 2
    assert demo(out, "--overwrite").returncode == 0
    assert (out / "01_RES" / "res_track.txt").read_bytes() == before
