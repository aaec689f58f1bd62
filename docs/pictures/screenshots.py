"""Make the pages' pictures of the dashboard from a demo folder:  python docs/pictures/screenshots.py demo

Needs the extras ``dashboard`` and ``test``, and Chromium.
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


def take(browser: Any, address: str, scheme: str, name: str) -> None:
    """One page, once it shows everything, as a PNG of few colours."""
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector(".viewer[data-frame]")
    page.wait_for_function("() => !document.querySelector('[data-testid=\"stSkeleton\"]')")
    page.wait_for_load_state("networkidle")
    picture = Image.open(BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)
    page.close()


def main() -> None:
    """Browse, with a mother that has divided, and Errors."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
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
