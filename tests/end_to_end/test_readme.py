"""The front door is true: the README's commands run, its links lead somewhere, and the results behind it are complete."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Reader = Callable[[Path], Any]
Runner = Callable[[list[str], Path], None]


@pytest.fixture
def readme(root: Path, read_page: Reader) -> Any:
    """The README and its fenced blocks."""
    return read_page(root / "README.md")


@pytest.mark.slow
def test_everything_the_readme_shows_runs(readme: Any, own_data: Path, run_step: Runner) -> None:
    steps = readme.steps()
    assert {step[2] for step in steps if step[0] == "-m"} >= {"check", "track", "segment", "evaluate", "compare"}
    assert any(step[0] == "-c" for step in steps)
    for step in steps:
        if step[2:3] == ["segment"] and "my/masks" in step:
            shutil.rmtree(own_data / "my" / "masks")  # the README says: if there are no masks yet
        run_step(step, own_data)


def test_the_plain_commands_are_those_of_the_makefile(root: Path, readme: Any) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8").replace("'", "")
    for words in readme.commands(".venv/bin/pip"):
        target = words[-1]
        assert f"--constraint constraints.txt --editable {target}" in makefile
    assert any("constraints.txt" in words for words in readme.commands(".venv/bin/pip"))
    for words in readme.commands("make "):
        assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words


def test_every_path_in_the_readme_exists(root: Path, readme: Any) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", readme.text):
        if not target.startswith("http"):
            assert (root / target).exists(), target


def test_it_stays_short_and_shows_a_picture(root: Path, readme: Any) -> None:
    assert len(readme.text.splitlines()) <= 120
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme.text)
    assert (root / picture).stat().st_size < 500_000


def test_it_names_every_shipped_model(root: Path, readme: Any) -> None:
    models = {path.stem for path in (root / "segmentation" / "models").glob("*.safetensors")}
    assert models
    assert {name for name in models if f"`{name}`" not in readme.text} == set()


def test_every_result_has_the_command_that_makes_it(root: Path, read_page: Reader) -> None:
    page = read_page(root / "docs" / "results.md")
    for case in ("DIC-C2DH-HeLa 01, frames 60-83, from images", "Fluo-N2DL-HeLa 01, from masks"):
        (row,) = re.findall(rf"^\| {case}[^|]*(\|.*)$", page.text, flags=re.MULTILINE)
        assert len(re.findall(r"\d\.\d{3}", row)) >= 4
    scripts = set(re.findall(r"benchmarks/\w+\.py", page.text))
    assert len(scripts) > 5
    assert {name for name in scripts if not (root / name).is_file()} == set()
    tables = [section for section in page.text.split("\n## ")[1:] if re.search(r"^\| ---", section, flags=re.MULTILINE)]
    assert len(tables) > 3
    assert [section.splitlines()[0] for section in tables if not re.search(r"make real|benchmarks/", section)] == []
