"""The documentation is true: it builds, its links lead somewhere, its commands and code run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MADE = [page for page in PAGES if "<!-- made: " in page.read_text(encoding="utf-8")]  # in part, from the code
RUN_ELSEWHERE = ("formats.md",)  # its commands need other folders: tests/test_data/test_formats_page.py
FILES = re.compile(r"^Save (?:this|your pins) as `([^`]+)`.*?^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def pages_in(nav: list[Any]) -> list[str]:
    """The file names in the navigation of mkdocs.yml."""
    found = []
    for entry in nav:
        for target in entry.values():
            found += pages_in(target) if isinstance(target, list) else [target]
    return found


def anchors_of(text: str) -> set[str]:
    """What a link may point to within a page."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def test_every_page_is_in_the_navigation(root: Path) -> None:
    text = (root / "mkdocs.yml").read_text(encoding="utf-8")
    assert sorted(pages_in(yaml.safe_load(text)["nav"])) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_inside_the_documentation_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = DOCS / name if name else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors_of(file.read_text(encoding="utf-8")), target


def test_every_option_of_track_is_explained() -> None:
    import typer.main

    import celltrail.cli

    command = typer.main.get_command(celltrail.cli.app).commands["track"]  # type: ignore[attr-defined]
    text = (DOCS / "track.md").read_text(encoding="utf-8")
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_every_key_of_run_json_is_explained() -> None:
    import numpy as np

    from celltrail.tracking import track

    masks = {frame: np.diag([1, 2, 3]) for frame in range(3)}
    text = (DOCS / "track.md").read_text(encoding="utf-8")
    assert {key for key in track(masks).run if f"`{key}`" not in text} == {"schema", "solver"}


def test_every_page_of_the_dashboard_is_explained(root: Path) -> None:
    script = (root / "dashboard" / "ui.py").read_text(encoding="utf-8")
    titles = re.findall(r'st\.Page\(.*?title="([^"]+)"', script)
    shown = re.findall(r"^\| (\w+) \|", (DOCS / "look.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(titles) > 3
    assert set(titles) == set(shown) - {"page"}


@pytest.fixture(scope="module")
def made_pages() -> ModuleType:
    """The script that writes parts of the pages from the code."""
    specification = importlib.util.spec_from_file_location("made_pages", DOCS / "made_pages.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", MADE, ids=lambda page: page.stem)
def test_what_is_made_from_the_code_is_as_the_code_is(page: Path, made_pages: ModuleType) -> None:
    text = page.read_text(encoding="utf-8")
    marks = re.findall(r"<!-- made: (\w+) -->", text)
    assert len(marks) == len(re.findall(r"<!-- end: \w+ -->", text)) > 0
    assert made_pages.renewed(text) == text, f"{page.name} is behind the code: python docs/made_pages.py --write"
    emptied = re.sub(r"(<!-- made: (\w+) -->\n).*?(?=<!-- end: \2 -->)", r"\1", text, flags=re.DOTALL)
    assert len(emptied) < len(text) - 100
    assert made_pages.renewed(emptied) == text


def test_every_part_that_the_code_makes_has_its_page(made_pages: ModuleType) -> None:
    marks = [mark for page in PAGES for mark in re.findall(r"<!-- made: (\w+) -->", page.read_text(encoding="utf-8"))]
    assert sorted(marks) == sorted(made_pages.MADE)


@pytest.mark.slow
def test_it_builds_without_a_warning(root: Path, tmp_path: Path) -> None:
    build = ["build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, "-m", "mkdocs", *build], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    measures = (tmp_path / "site" / "measures" / "index.html").read_text(encoding="utf-8")
    costs = (tmp_path / "site" / "costs" / "index.html").read_text(encoding="utf-8")
    commands = (tmp_path / "site" / "commands" / "index.html").read_text(encoding="utf-8")
    licences = (tmp_path / "site" / "licences" / "index.html").read_text(encoding="utf-8")
    python = (tmp_path / "site" / "python" / "index.html").read_text(encoding="utf-8")
    assert "split_merge_error" in measures
    assert "appearing or disappearing inside the image costs" in costs
    assert "--max-gap" in commands
    assert re.search(r"<td>highspy</td>\s*<td>core</td>\s*<td>MIT</td>", licences)
    copyleft = re.findall(r"<td>([\w.-]+)</td>\s*<td>[^<]*</td>\s*<td>[^<]*GPL[^<]*</td>", licences)
    assert copyleft == ["pylibCZIrw"]  # the LGPL, in an extra of its own that "all" leaves out
    assert "Track labelled cells through a movie" in python
    assert re.search(r"<code>max_gap</code></td>\s*<td><code>int or None</code>", python)
    assert ":func:" not in python


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in RUN_ELSEWHERE], ids=lambda page: page.stem)
def test_what_a_page_shows_runs(
    page: Path,
    own_data: Path,
    read_page: Callable[[Path], Any],
    run_step: Callable[[list[str], Path], None],
) -> None:
    shown = read_page(page)
    for name, _, content in FILES.findall(shown.text):
        (own_data / name).write_text(content, encoding="utf-8")
    for step in shown.steps():
        run_step(step, own_data)
