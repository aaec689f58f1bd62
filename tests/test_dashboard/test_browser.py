"""The pages in a real browser (headless Chromium): what no other test can see."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard.content import measure_cells
from data import open_labels

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")


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
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(browser: Any, dataset: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard, served on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log.txt").open("w+")
    command = [sys.executable, "-m", "streamlit", "run", str(root / "dashboard" / "app.py"), "--server.port", str(port)]
    server = subprocess.Popen([*command, "--", "--data", str(dataset)], stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of 1280 × 720; its console must stay free of errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(90_000)
    errors: list[str] = []
    # Streamlit itself asks for its health under the page's own address first, and gets 404.
    page.on(
        "console", lambda m: errors.append(m.text) if m.type == "error" and "_stcore" not in str(m.location) else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def show_frame(page: Any, number: int) -> None:
    page.wait_for_selector(f'.viewer[data-frame="{number}"]')


def test_a_click_on_a_cell_selects_its_track_and_keys_step(page: Any, address: str, dataset: Path) -> None:
    page.goto(f"{address}/browse")
    show_frame(page, 0)
    labels = open_labels(dataset / "01_RES")
    canvas = page.get_by_role("application")

    picture = np.frombuffer(canvas.screenshot(), dtype=np.uint8)
    assert len(picture) > 5_000  # a picture with cells, not a black square

    height, width = labels.shape
    box = canvas.bounding_box()
    zoom = min(box["width"] / width, box["height"] / height)
    cells = measure_cells(0, labels[0])
    cell = cells.iloc[int(((cells["y"] - height / 2) ** 2 + (cells["x"] - width / 2) ** 2).argmin())]
    x = box["width"] / 2 + (cell["x"] + 0.5 - width / 2) * zoom
    y = box["height"] / 2 + (cell["y"] + 0.5 - height / 2) * zoom
    canvas.click(position={"x": x, "y": y})
    label = int(cell["track"])
    page.get_by_role("heading", name=f"Track {label}").wait_for()
    page.wait_for_url(lambda url: f"track={label}" in url)

    page.keyboard.press("ArrowRight")
    show_frame(page, 1)
    page.keyboard.press("End")
    show_frame(page, 11)
    page.wait_for_url(lambda url: "t=11" in url)  # Python hears of it once the clock rests


def test_an_address_opens_the_same_view_and_it_plays(page: Any, address: str) -> None:
    page.goto(f"{address}/browse?t=4&track=2")
    show_frame(page, 4)
    page.wait_for_selector('.viewer[data-track="2"]')
    page.get_by_role("button", name="Play").click()
    for number in (6, 9):
        show_frame(page, number)
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
