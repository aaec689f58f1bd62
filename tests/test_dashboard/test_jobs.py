"""Jobs run commands in processes of their own; what they did can be read by anybody who comes later."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from celltrail.dashboard.working import jobs


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def wait_for(key: str) -> jobs.Job:
    while (job := jobs.read_job(key)).state == "running":
        time.sleep(0.1)
    return job


def test_a_job_runs_its_commands_in_order(tmp_path: Path) -> None:
    out = tmp_path / "made"
    simulate = ["simulate", str(out), "--frames", "3", "--cells", "3", "--size", "64 64"]
    key = jobs.start_job("simulate <b>", [simulate, ["check", str(out)]])
    job = wait_for(key)
    assert job.state == "done", job.log
    assert len(list((out / "01").glob("t*.tif"))) == 3
    assert job.command_line.splitlines()[0].startswith(f"celltrail simulate {out} --frames 3")
    assert job.share == 1.0
    assert job.stage
    assert [one.id for one in jobs.list_jobs()] == [key]
    assert (jobs.home().stat().st_mode & 0o077) == 0


def test_a_job_that_fails_says_why_and_stops(tmp_path: Path) -> None:
    job = wait_for(jobs.start_job("bad", [["check", str(tmp_path / "none")], ["simulate", str(tmp_path / "never")]]))
    assert job.state == "failed"
    assert "none does not exist" in " ".join(job.log.split())
    assert not (tmp_path / "never").exists()


def test_a_job_can_be_cancelled(tmp_path: Path) -> None:
    key = jobs.start_job("long", [["simulate", str(tmp_path / "big"), "--frames", "5000", "--cells", "50"]])
    while not jobs.read_job(key).log:
        time.sleep(0.05)
    jobs.cancel_job(key)
    job = jobs.read_job(key)
    assert job.state == "cancelled"
    jobs.cancel_job(key)  # a second time does nothing
    assert not (tmp_path / "big").exists()


def test_a_job_whose_process_is_gone_has_failed(tmp_path: Path) -> None:
    folder = jobs.home() / "20200101-000000-aaaa"
    folder.mkdir()
    (folder / "job.json").write_text('{"title": "old", "commands": [["check", "x"]], "started": 0, "pid": 1}')
    assert jobs.read_job(folder.name).state == "failed"


def test_only_known_jobs_can_be_read() -> None:
    for key in ("../..", "", "nothing"):
        with pytest.raises(KeyError):
            jobs.read_job(key)
