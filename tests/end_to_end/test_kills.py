"""Commands that are killed: never a half-written result under its final name."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data import open_labels, read_tracks
from data.simulate import simulate_movie, write_movie

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("movie")
    write_movie(simulate_movie(frames=40, cells=30, size=(320, 320), seed=5), folder, "01")
    return folder


def test_a_killed_track_leaves_the_old_result_or_the_new_one(movie: Path, tmp_path: Path) -> None:
    out = tmp_path / "RES"
    command = [
        sys.executable,
        "-m",
        "celltrail",
        "track",
        str(movie / "01_GT" / "SEG"),
        "--out",
        str(out),
        "--overwrite",
    ]
    start = time.perf_counter()
    assert subprocess.run(command, capture_output=True).returncode == 0
    whole = time.perf_counter() - start
    reference = (out / "res_track.txt").read_bytes()
    moments = random.Random(1)
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * moments.uniform(0.3, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (out / "res_track.txt").read_bytes() == reference
        assert len(open_labels(out)) == 40
    # What the killed runs left behind does not hinder the next one.
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert read_tracks(out / "res_track.txt").problems() == []
    assert [path.name for path in tmp_path.iterdir()] == ["RES"]
