"""What the tests in a real browser share: the server, waiting, and clicking a cell."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from celltrail.dashboard.opening.content import measure_cells
from celltrail.data import load_graph

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 240_000  # ms for anything that is waited for; a loaded machine is slow, not wrong
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
VIEWER = "[...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.viewer')).find(Boolean)"


def settle(page: Any) -> None:
    """Wait until the page script has run to its end and nothing more comes of it, over half a second."""
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate("window.settledSince = undefined")
    page.wait_for_function("""() => {
      const app = document.querySelector('[data-testid="stApp"]');
      const still = app?.dataset.testScriptState === 'notRunning' && app.dataset.testConnectionState === 'CONNECTED'
        && !document.querySelector('[data-testid="stStatusWidget"], [data-testid="stSkeleton"], [data-stale="true"]');
      window.settledSince = still ? window.settledSince ?? performance.now() : undefined;
      return still && performance.now() - window.settledSince > 500;
    }""")


@contextmanager
def served(root: Path, folder: Path, place: Path, before: Sequence[str] = ()) -> Iterator[str]:
    """The dashboard on a folder, with a command before its own; its log and its jobs lie in ``place``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (place / "log.txt").open("w+")
    (place / "jobs").mkdir()
    command = [sys.executable, "-m", "streamlit", "run", str(root / "dashboard" / "app.py"), "--server.port", str(port)]
    server = subprocess.Popen(
        [*before, *command, "--", "--data", str(folder)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(place / "jobs")},
    )
    try:
        while not answers(port):
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def answers(port: int) -> bool:
    """Whether a server listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def show_frame(page: Any, number: int) -> None:
    page.wait_for_selector(f'.viewer[data-frame="{number}"]')


def click_cell(page: Any, labels: Any, frame: int, label: int, **options: Any) -> None:
    """Click the centre of a cell in the first pane of the viewer."""
    canvas = page.get_by_role("application").first
    height, width = labels.shape
    box = canvas.bounding_box()
    zoom = min(box["width"] / width, box["height"] / height)
    y, x = np.argwhere(labels[frame] == label).mean(axis=0) + 0.5
    canvas.click(
        position={"x": box["width"] / 2 + (x - width / 2) * zoom, "y": box["height"] / 2 + (y - height / 2) * zoom},
        **options,
    )


def central_cell(labels: Any, frame: int) -> int:
    """The label of the cell nearest to the centre of the image."""
    cells = measure_cells(frame, labels[frame])
    height, width = labels.shape
    return int(cells.loc[((cells["y"] - height / 2) ** 2 + (cells["x"] - width / 2) ** 2).idxmin(), "track"])


def acts(history: Path) -> list[str]:
    """What was done so far: act, kind and action of each line."""
    if not history.exists():
        return []
    return [" ".join(line.split(",")[1:4]) for line in history.read_text().splitlines()[1:]]


def input_label(shown: Path, frame: int, track: int) -> int:
    """The label that a track has in the masks that were tracked."""
    candidates, _, tracks = load_graph(shown / "01_RES" / "graph.npz")
    assert tracks is not None
    here = (candidates.detections.frame == frame) & (tracks == track)
    return int(candidates.detections.label[here][0])
