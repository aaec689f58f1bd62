"""The search for settings, run as a user runs it: short trainings, a kept study, a model at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from celltrail.data.simulation.scene import simulate_movie, write_movie

pytest.importorskip("torch")

from celltrail.segmentation import load_model


@pytest.mark.slow
def test_tune_segmentation_keeps_its_study_and_writes_a_model(tmp_path: Path) -> None:
    write_movie(simulate_movie(frames=10, cells=8, size=(160, 160), seed=2), tmp_path / "movie", "01")
    out = tmp_path / "tuned.safetensors"

    def tune(*more: str) -> dict[str, object]:
        command = [
            sys.executable,
            "-m",
            "celltrail",
            "tune",
            "segmentation",
            str(tmp_path / "movie"),
            "--sequence",
            "01",
            "--steps",
            "12",
            "--final-steps",
            "12",
            "--out",
            str(out),
            "--json",
            *more,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first = tune("--trials", "2")
    assert len(first["trials"]) == 2
    assert out.is_file()
    assert set(first["validation"]) >= {"IoU", "SEG", "DET"}
    again = tune("--trials", "1", "--overwrite")
    assert len(again["trials"]) == 3, "the study goes on"
    assert again["trials"][:2] == first["trials"]

    same = tmp_path / "same.safetensors"
    command = [sys.executable, "-m", "celltrail", "train", str(tmp_path / "movie"), "--sequence", "01"]
    command += ["--config", str(out.with_suffix(".toml")), "--out", str(same)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    weights, other = (load_model(str(path)).net.state_dict() for path in (out, same))
    assert all(bool((weights[name] == other[name]).all()) for name in weights), (
        "the file holds all that the search chose"
    )
