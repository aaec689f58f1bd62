"""Too little address space: one sentence at the very start, and one while working."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from celltrail.data.simulation.scene import simulate_movie, write_movie

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")


def limited(megabytes: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command with so much address space."""
    command = [sys.executable, "-m", "celltrail", *map(str, words)]
    line = ["sh", "-c", f'ulimit -v {megabytes << 10}; exec "$@"', "sh", *command]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("megabytes", [60, 150, 400, 590])
def test_too_little_to_load_anything_is_one_sentence(megabytes: int) -> None:
    done = limited(megabytes, "--version")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "address space" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [600, 800, 1500])
@pytest.mark.parametrize("command", ["track", "segment"])
def test_too_little_to_work_is_told(megabytes: int, command: str, tmp_path: Path) -> None:
    write_movie(simulate_movie(frames=4, cells=6, size=(900, 900), seed=0), tmp_path)
    source = tmp_path / ("01_GT/TRA" if command == "track" else "01")
    done = limited(megabytes, command, source, "--out", tmp_path / "out")
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out").is_dir() == (done.returncode == 0)
    if done.returncode:
        assert "memory" in done.stderr or "address space" in done.stderr
        assert "--debug" not in done.stderr
