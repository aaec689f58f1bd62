"""What the tests of the README and of the documentation share: reading their snippets, and running them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from celltrail.data.simulation.scene import simulate_movie, write_movie

SHORTER = {"train": ["--minutes", "0.2"]}  # the pages train for longer than a test may
SERVERS = ("dashboard",)  # these run until they are stopped
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page of Markdown and its fenced blocks."""

    text: str

    def blocks(self, language: str) -> list[str]:
        """The blocks of one language."""
        return [block for kind, block in FENCE.findall(self.text) if kind == language]

    def commands(self, start: str) -> list[list[str]]:
        """Every shell line that begins with ``start``, split into words."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines()]
        return [shlex.split(line, comments=True) for line in lines if line.startswith(start)]

    def steps(self) -> list[list[str]]:
        """What a reader runs from top to bottom, as words for the Python interpreter."""
        found = []
        for language, block in FENCE.findall(self.text):
            if language == "python":
                found.append(["-c", block])
            elif language == "sh":
                shown = Page(f"```sh\n{block}```").commands("celltrail ")
                found += [as_step(words) for words in shown if words[1] not in SERVERS]
        return found


def as_step(words: list[str]) -> list[str]:
    """A command of a page, shortened where it would take long, as words for the Python interpreter."""
    return ["-m", "celltrail", *words[1:], *SHORTER.get(words[1], [])]


@pytest.fixture
def read_page() -> Callable[[Path], Page]:
    """Read a page of Markdown."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def run_step() -> Callable[[list[str], Path], None]:
    """Run words with this Python in a folder; a failure shows the command and what it said."""

    def run(step: list[str], folder: Path) -> None:
        done = subprocess.run([sys.executable, *step], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, f"{' '.join(step)}\n{done.stdout}\n{done.stderr}"

    return run


@pytest.fixture(scope="session")
def own_data_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the examples name it; nobody writes here."""
    folder = tmp_path_factory.mktemp("own_data")
    my = folder / "my"
    for sequence, seed in (("01", 1), ("02", 2)):
        write_movie(simulate_movie(frames=6, cells=10, size=(200, 200), seed=seed), my, sequence)
    shutil.copytree(my / "01_GT" / "SEG", my / "masks")
    shutil.copytree(my / "01", my / "images")
    shutil.copytree(my / "masks", folder / "masks")
    return folder


@pytest.fixture
def own_data(own_data_master: Path, tmp_path: Path) -> Path:
    """A copy of that folder for one test."""
    return Path(shutil.copytree(own_data_master, tmp_path / "work"))
