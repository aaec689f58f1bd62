"""A small data set that all tests of the dashboard share: simulated movie, truth, and a tracked result."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result


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
