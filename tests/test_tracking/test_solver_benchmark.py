"""The benchmark of the solver runs, and its methods agree on what the optimum is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_all_methods_reach_the_same_objective(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "solver.json"
    command = [sys.executable, str(root / "benchmarks" / "solver.py"), "--detections", "300", "--json", str(out)]
    command += ["--regime", "trusted", "uncertain", "hypotheses", "--limit", "100"]
    command += ["--methods", "highs-mip", "highs-components"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    cases: dict[str, set[int]] = {}
    for row in rows:
        assert row["status"] == "optimal"
        assert row["cpu_s"] > 0
        cases.setdefault(row["case"], set()).add(row["objective"])
    assert len(cases) == 3
    assert {row["method"] for row in rows} == {"celltrail", "highs-mip", "highs-components"}
    assert all(len(objectives) == 1 for objectives in cases.values())


@pytest.mark.slow
def test_a_peer_that_is_not_installed_is_skipped_with_the_reason(root: Path) -> None:
    command = [
        sys.executable,
        str(root / "benchmarks" / "solver.py"),
        "--detections",
        "300",
        "--methods",
        "motile-scip",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    last = done.stdout.splitlines()[-1]
    assert "motile-scip" in last
    assert "skipped: ModuleNotFoundError" in last or "optimal" in last
