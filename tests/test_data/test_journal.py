"""The log of a command: beside its result, and on the screen when it is asked for."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.files.ctc import write_masks
from celltrail.data.progress import silent
from celltrail.data.running import console, log_file


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    (tmp_path / "masks").mkdir()
    write_masks(tmp_path / "masks", [(t, np.diag([1, 2, 3])) for t in range(3)])
    return tmp_path / "masks"


def run(*words: object) -> int:
    return console.run(celltrail.cli.app, [str(word) for word in words])


@pytest.mark.parametrize("flag", [(), ("-v",), ("--verbose",)])
def test_a_log_lies_beside_the_result(
    flag: tuple[str, ...], masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("track", masks, "--out", tmp_path / "RES", "--solver", "pulp:HiGHS", *flag) == 0
    log = (tmp_path / "RES" / "run.log").read_text(encoding="utf-8").splitlines()
    assert f"INFO celltrail {celltrail_version()}: track {masks} --out {tmp_path / 'RES'} --solver" in log[0]
    told = [line.split(" INFO ")[1] for line in log[1:]]
    assert [line.split(":")[0] for line in told if ": begins" in line] == [
        "measure",
        "costs",
        "solve",
        "explain",
        "write",
    ]
    assert any(line.startswith("solve: 12 of 12 after ") and "gap 0 nats" in line for line in told)
    shown = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[1] for line in shown] == (told if flag else [])


def celltrail_version() -> str:
    from importlib.metadata import version

    return version("celltrail")


def test_a_long_stage_tells_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0, 4)
    monkeypatch.setattr("celltrail.data.running.log_file.time.monotonic", lambda: float(next(seconds)))
    log_file.begin(["track"])
    report = log_file.logged(silent)
    for done in range(9):
        report("solve", done, 8, "gap 3 nats")
    told = [line.split(" INFO ")[1] for line in log_file._lines[1:]]
    log_file.end()
    assert told == [
        "solve: begins, 8 in all",
        "solve: 3 of 8 after 12.0 s, gap 3 nats",
        "solve: 6 of 8 after 24.0 s, gap 3 nats",
        "solve: 8 of 8 after 32.0 s, gap 3 nats",
    ]


def test_a_warning_is_shown_without_being_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def work(**_: object) -> None:
        log_file.logger.info("nothing of interest")
        log_file.logger.warning("no worker yet")

    assert console.run(work, []) == 0
    assert capsys.readouterr().err == "no worker yet\n"
    log_file.logger.info("after the end nothing is kept")
    assert log_file._lines == []


def test_a_run_that_fails_leaves_its_log_and_nothing_else(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "RES"
    with monkeypatch.context() as broken:
        broken.setattr("celltrail.tracking.pipeline.save_graph", lambda *_, **__: 1 / 0)
        assert run("track", masks, "--out", out) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "The work failed: ZeroDivisionError: division by zero"
    assert said[-1] == f"What was done until then is told in {log_file.failed_log(out)}."
    log = log_file.failed_log(out).read_text(encoding="utf-8")
    assert "INFO write: begins" in log
    assert log.rstrip().endswith("ZeroDivisionError: division by zero")
    assert [path.name for path in out.parent.iterdir()] == ["RES.failed.log"]
    assert run("track", masks, "--out", out) == 0
    assert [path.name for path in out.parent.iterdir()] == ["RES"]  # the failure is forgotten


def test_where_no_file_can_be_written_no_log_is_promised(tmp_path: Path) -> None:
    log_file.begin(["track"])
    assert log_file.write_failure(ValueError()) is None  # no result was announced
    (tmp_path / "file").touch()
    log_file.announce(tmp_path / "file" / "RES")
    assert log_file.write_failure(ValueError()) is None
    log_file.end()


def test_a_bad_input_leaves_no_log(masks: Path, tmp_path: Path) -> None:
    assert run("track", masks, "--out", tmp_path / "RES", "--solver", "none") == 2
    assert not log_file.failed_log(tmp_path / "RES").exists()
