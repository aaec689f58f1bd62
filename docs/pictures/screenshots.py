"""Make the pictures of the documentation from a demo folder:  python docs/pictures/screenshots.py demo

With a second folder, every page of the dashboard is written there instead, 1440 and 800 pixels wide, as far down as it
goes:  python docs/pictures/screenshots.py DATA OUT. Needs the extras ``dashboard`` and ``test``, and Chromium.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from celltrail.data import read_tracks

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 760}
PAGES = ["", "browse", "lineage", "review", "errors", "compare", "segmentation", "measure", "export", "run"]
COLOURS = 255  # of a picture, so that it stays small


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The dashboard on a folder; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["dashboard", str(folder), "--port", str(port), "--no-browser"]
    process = subprocess.Popen([sys.executable, "-m", "celltrail", *command], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def open_page(browser: Any, address: str, scheme: str, size: dict[str, int]) -> Any:
    """One page, once it shows everything."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.set_default_timeout(120_000)
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_function("""() => document.querySelector('[data-testid="stApp"]').dataset.testScriptState === 'notRunning'
      && !document.querySelector('[data-testid="stSkeleton"], [data-testid="stStatusWidget"], [data-stale="true"]')
      && [...document.querySelectorAll('.viewer')].every((one) => one.dataset.frame)""")
    page.wait_for_timeout(500)
    return page


def take(browser: Any, address: str, scheme: str, name: str) -> None:
    """One page as a PNG of few colours."""
    page = open_page(browser, address, scheme, SIZE)
    page.wait_for_selector(".viewer[data-frame]")
    picture = Image.open(BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)
    page.close()


def take_all(browser: Any, address: str, out: Path) -> None:
    """Every page on a large and on a small screen, whole."""
    out.mkdir(parents=True, exist_ok=True)
    for width, scheme in ((1440, "light"), (800, "dark")):
        for name in PAGES:
            page = open_page(browser, f"{address}/{name}", scheme, {"width": width, "height": 900})
            height = page.evaluate("""document.querySelector('[data-testid="stMain"]').scrollHeight""")
            page.set_viewport_size({"width": width, "height": max(900, min(height, 4000))})
            page.wait_for_timeout(500)
            page.screenshot(path=out / f"{name or 'overview'}-{width}.png", animations="disabled")
            page.close()


def main() -> None:
    """Browse, with a mother that has divided, and Errors; or every page."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    if len(sys.argv) > 2:
        with serve(demo) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            take_all(browser, address, Path(sys.argv[2]))
            browser.close()
        return
    tracks = read_tracks(demo / "01_RES" / "res_track.txt")
    mother = max(tracks.divisions(), key=lambda label: int(tracks.end[tracks.row_of(label)]))
    frame = int(tracks.end[tracks.row_of(mother)])
    with serve(demo) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take(browser, f"{address}/browse?track={mother}&t={frame}", "dark", "browse")
        take(browser, f"{address}/errors", "light", "errors")
        browser.close()


if __name__ == "__main__":
    main()
