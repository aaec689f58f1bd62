"""A small data set that all tests of the dashboard share: simulated movie, truth, and a tracked result."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result

sys.path.insert(0, str(Path(__file__).parent))
from in_browser import CHROMIUM, PATIENCE, QUIET, served


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with images, truth and result; do not change it."""
    folder = tmp_path_factory.mktemp("dashboard") / "movie"
    movie = simulate_movie(frames=12, cells=10, size=(160, 200), cycle=10.0, seed=5)
    write_movie(movie, folder)
    write_result(track(movie.masks, images=movie.images), folder / "01_RES")
    return folder


@pytest.fixture
def copy_of(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the data set that a test may break."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, root: Path) -> Callable[..., AppTest]:
    """Run the page script on a folder, as ``streamlit run dashboard/app.py -- --data FOLDER`` does."""

    def run(folder: Path | str | None, page: str | None = None, **query: str) -> AppTest:
        arguments = [] if folder is None else ["--data", str(folder)]
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        test = AppTest.from_file(root / "dashboard" / "ui.py", default_timeout=120)
        for key, value in query.items():
            test.query_params[key] = value
        test.run()
        if page is not None:
            test.switch_page(f"views/{page}.py").run()
        return test

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests here."""
    if CHROMIUM is None:
        reason = "no Chromium: install the package 'chromium' (Debian) to test the pages in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET), timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def shown(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the data set with a second, worse result: one daughter has lost her mother."""
    folder = Path(shutil.copytree(dataset, tmp_path_factory.mktemp("browser") / "movie"))
    worse = Path(shutil.copytree(folder / "01_RES", folder / "worse" / "01_RES"))
    rows = [list(map(int, line.split())) for line in (worse / "res_track.txt").read_text().splitlines()]
    next(row for row in rows if row[3])[3] = 0
    (worse / "res_track.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def address(browser: Any, shown: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard, served on a free port."""
    with served(root, shown, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of 1280 × 720; its console must stay free of errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    # Streamlit itself asks for its health under the page's own address first, and gets 404.
    page.on(
        "console", lambda m: errors.append(m.text) if m.type == "error" and "_stcore" not in str(m.location) else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def desk(shown: Path) -> Iterator[Path]:
    """The history of corrections of the result that is shown; empty before and after."""
    history = shown / "01_RES" / "pins.history.csv"
    history.unlink(missing_ok=True)
    yield history
    history.unlink(missing_ok=True)
