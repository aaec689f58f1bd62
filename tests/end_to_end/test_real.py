"""The whole way on real movies, as the first table of docs/results.md shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_real_movies_reach_what_the_readme_says(real_data: Path, root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/real.py", real_data, "--out", tmp_path / "real", "--json", tmp_path / "rows"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    dic, fluo = json.loads((tmp_path / "rows").read_text())["rows"]
    assert dic["IoU"] >= 0.80
    assert dic["SEG"] >= 0.65
    assert dic["status"] == fluo["status"] == "optimal"
    assert fluo["LNK"] >= 0.985
