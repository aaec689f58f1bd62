"""A submission to the Cell Tracking Challenge: its scripts run beside a data set laid out as the CTC does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import celltrail.cli
from celltrail.data.files.check import find_problems
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie

NAME = "Fluo-N2DH-TEST+"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    folder = tmp_path / "a place with spaces" / NAME
    for sequence, seed in (("01", 1), ("02", 2)):
        write_movie(simulate_movie(frames=4, cells=8, size=(128, 128), seed=seed), folder, sequence)
    return folder


@pytest.fixture
def package() -> Callable[..., int]:
    return lambda *words: console.run(celltrail.cli.app, ["ctc-package", *map(str, words)])


def test_what_a_package_holds(dataset: Path, package: Callable[..., int], root: Path) -> None:
    out, costs = dataset.parent / "SW", root / "tracking" / "costs" / "learned.json"
    assert package(dataset, "--model", "sim-fluo", "--costs", costs, "--hypotheses", "--foi", 5, "--out", out) == 0
    scripts = [f"{NAME}-{sequence}{ending}" for sequence in ("01", "02") for ending in (".bat", ".sh")]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*scripts, "README.txt", "costs.json", "model.safetensors"]
    )
    linux, windows = ((out / f"{NAME}-02{ending}").read_bytes().decode() for ending in (".sh", ".bat"))
    assert os.access(out / f"{NAME}-02.sh", os.X_OK)
    assert "\r" not in linux
    assert windows.count("\r\n") == windows.count("\n")
    assert f'"../{NAME}/02_RES" --overwrite --no-graph --hypotheses --costs costs.json --foi 5' in linux
    assert f'"..\\{NAME}\\02_RES" --overwrite --no-graph --hypotheses --costs costs.json --foi 5' in windows
    for text in (linux, windows):  # every option is one that the commands know
        for line in re.findall(r'(?:celltrail|CELLTRAIL%)" ((?:segment|track) .*)', text):
            command, known = line.split()[0], options_of(line.split()[0])
            assert set(re.findall(r"--[\w-]+", line)) <= known, command


def options_of(command: str) -> set[str]:
    import typer.main

    group = typer.main.get_command(celltrail.cli.app)
    return {
        name for parameter in group.commands[command].params for name in (*parameter.opts, *parameter.secondary_opts)
    }  # type: ignore[attr-defined]


def test_bad_packages(dataset: Path, package: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    out, model = dataset.parent / "SW", ["--model", "sim-fluo"]
    other = dataset.parent / "my data; rm"
    shutil.copytree(dataset, other)
    (dataset.parent / "costs.json").write_text("{}")
    (dataset.parent / "no.safetensors").write_text("no model")
    shutil.rmtree(dataset / "02")
    for words, said in (
        ([other, *model], "cannot name the scripts"),
        ([dataset / "01", *model], "holds no sequence"),
        ([dataset.parent / "missing", *model], "does not exist"),
        ([dataset, *model, "--sequence", "02"], "has no images of sequence 02"),
        ([dataset, *model, "--sequence", "03"], "has no sequence 03"),
        ([dataset, *model, "--costs", dataset.parent / "costs.json"], "costs.json"),
        ([dataset, "--model", dataset.parent / "no.safetensors"], "is not a model"),
        ([dataset, "--model", "no-such-model"], "There is no model no-such-model"),
    ):
        assert package(*words, "--out", out) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()
    before = sorted(dataset.parent.iterdir())
    assert package(dataset, *model, "--out", dataset, "--overwrite") == 2
    assert sorted(dataset.parent.iterdir()) == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the script is for Linux")
def test_its_scripts_run_beside_the_data(
    dataset: Path, package: Callable[..., int], tmp_path: Path, root: Path
) -> None:
    out = dataset.parent / "SW"
    assert package(dataset, "--model", "sim-fluo", "--sequence", "02", "--out", out) == 0
    command = out / ".venv" / "bin" / "celltrail"  # as README.txt says, though without installing anything
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m celltrail "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([out / f"{NAME}-02.sh"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    result = dataset / "02_RES"
    assert sorted(path.name for path in result.iterdir()) == [
        "mask000.tif",
        "mask001.tif",
        "mask002.tif",
        "mask003.tif",
        "res_track.txt",
        "run.json",
        "run.log",
    ]
    assert find_problems(result) == []
    assert not (dataset / "01_RES").exists()
    from celltrail.evaluation import evaluate_sequence

    measures = evaluate_sequence(dataset / "02_GT", result).measures
    assert measures["SEG"] > 0.6
    assert measures["TRA"] > 0.9
