"""The README is true: its commands run, its links lead somewhere, its table is complete."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.simulate import simulate_movie, write_movie

SHORTER = {"train": ["--minutes", "0.2"]}  # the README trains for longer than a test may


def blocks(root: Path, language: str) -> list[str]:
    """The fenced blocks of one language in the README."""
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(root: Path, start: str) -> list[list[str]]:
    """Every shell line of the README that begins with ``start``, split into words."""
    lines = [line for block in blocks(root, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(start)]


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the README's examples name it."""
    folder = tmp_path_factory.mktemp("readme")
    my = folder / "my"
    for sequence, seed in (("01", 1), ("02", 2)):
        write_movie(simulate_movie(frames=6, cells=10, size=(200, 200), seed=seed), my, sequence)
    shutil.copytree(my / "01_GT" / "SEG", my / "masks")
    shutil.copytree(my / "01", my / "images")
    shutil.copytree(my / "masks", folder / "masks")
    return folder


@pytest.mark.slow
def test_every_command_of_the_readme_runs(root: Path, own_data: Path) -> None:
    shown = [words for words in commands(root, "celltrail ") if words[1] != "dashboard"]
    assert {words[1] for words in shown} >= {"check", "track", "segment", "evaluate", "train"}
    for words in shown:
        if words[1] == "segment" and "sim-fluo" in words:
            shutil.rmtree(own_data / "my" / "masks")  # the README says: if there are no masks yet
        command = [sys.executable, "-m", "celltrail", *words[1:], *SHORTER.get(words[1], [])]
        done = subprocess.run(command, capture_output=True, text=True, cwd=own_data)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"


@pytest.mark.slow
def test_the_python_of_the_readme_runs(root: Path, own_data: Path) -> None:
    for block in blocks(root, "python"):
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=own_data)
        assert done.returncode == 0, done.stderr


def test_the_plain_commands_are_those_of_the_makefile(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8").replace("'", "")
    for words in commands(root, ".venv/bin/pip"):
        target = words[-1]
        assert f"--constraint constraints.txt --editable {target}" in makefile
    assert any("constraints.txt" in words for words in commands(root, ".venv/bin/pip"))
    for words in commands(root, "make "):
        assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words


def test_every_path_in_the_readme_exists(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert (root / target).exists(), target


def test_the_table_of_results_is_filled_in(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for case in ("DIC-C2DH-HeLa 01", "Fluo-N2DL-HeLa 01"):
        (row,) = re.findall(rf"^\| {case}[^|]*(\|.*)$", text, flags=re.MULTILINE)
        assert len(re.findall(r"\d\.\d{3}", row)) >= 4
