"""How fast the dashboard steps: its viewer against the same pictures as a Plotly figure, in one run and one browser.

    python benchmarks/dashboard.py --json dashboard.json

A simulated movie (60 frames of 1024 × 1024 pixels, 300 cells) is shown twice. ``celltrail``: the page
Browse, outlines, fills and tails drawn in the browser. ``plotly``: a Streamlit page whose figure holds
each frame as JPEG with outlines already painted in, which was the fastest of the Plotly variants. A
step is the time from the key press (the click on "Next") until the next picture has been painted; both
step in turn, so that a busy machine slows both. Needs Chromium and Playwright.

With ``--scale`` it opens two results of 1,500 frames and 700,000 detections instead, and prints the seconds
from the first visit, or the click, until the page shows its content, with the server's CPU and peak memory: every page, then a
click on a cell, steps, and pointing at and clicking a branch of the tree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

FRAMES, CELLS, SIZE = 60, 300, (1024, 1024)
SIDE, PITCH, LIFE = 22, 24, 60  # of the large movie: cells in a row, pixels between them, frames that they live
PLOTLY_PAGE = """
import base64, sys
from pathlib import Path
import imagecodecs
import plotly.graph_objects as go
import streamlit as st
from celltrail.data import open_images, open_labels, read_tracks
from celltrail.data.pictures.colours import colour_of_tracks
from celltrail.data.pictures.render import outline_image

folder = Path(sys.argv[1])
st.session_state.setdefault("t", 0)

@st.cache_resource
def movie():
    tracks = read_tracks(folder / "01_RES" / "res_track.txt")
    return open_images(folder / "01"), open_labels(folder / "01_RES"), colour_of_tracks(tracks)

images, labels, colours = movie()
st.button("Next", on_click=lambda: st.session_state.update(t=(st.session_state.t + 1) % len(labels)))
t = st.session_state.t
picture = imagecodecs.jpeg8_encode(outline_image(images[t], labels[t], colours), level=90)
height, width = labels.shape
figure = go.Figure()
figure.add_layout_image(source="data:image/jpeg;base64," + base64.b64encode(picture).decode(), xref="x", yref="y",
                        x=0, y=0, sizex=width, sizey=height, layer="below")
figure.update_xaxes(range=[0, width], visible=False)
figure.update_yaxes(range=[height, 0], visible=False, scaleanchor="x")
figure.update_layout(title=f"frame {t}", height=700, margin=dict(l=0, r=0, b=0, t=30), uirevision="keep")
st.plotly_chart(figure, key="figure")
"""
# Milliseconds from the act until a frame other than the one before has been painted. Plotly takes its title
# away and writes it anew: while there is none, there is no new frame either.
STEP = """(shown, act) => new Promise((done, fail) => {
  setTimeout(() => fail(`no new picture after 60 s: ${shown()}`), 60000);
  const before = shown();
  const start = performance.now();
  act();
  const look = () => ![before, undefined].includes(shown())
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)))
    : requestAnimationFrame(look);
  look();
})"""
VIEWER = """[...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.viewer')).find(Boolean)"""
VIEWER_STEP = f"""() => {{
  const viewer = {VIEWER};
  const press = new KeyboardEvent('keydown', {{key: 'ArrowRight', bubbles: true}});
  return ({STEP})(() => viewer.dataset.frame, () => viewer.querySelector('canvas[role]').dispatchEvent(press));
}}"""
PLOTLY_STEP = f"""() => ({STEP})(
  () => document.querySelector('.gtitle')?.textContent,
  () => [...document.querySelectorAll('button')].find((b) => b.textContent.includes('Next')).click(),
)"""


def make_movie(folder: Path, frames: int) -> None:
    """The simulated movie; its own truth serves as the result."""
    from celltrail.data.files.ctc import write_masks, write_track_file
    from celltrail.data.simulation.scene import simulate_movie, write_movie

    movie = simulate_movie(frames=frames, cells=CELLS, size=SIZE, seed=1)
    write_movie(movie, folder)
    (folder / "01_RES").mkdir()
    write_masks(folder / "01_RES", movie.masks.items())
    write_track_file(folder / "01_RES" / "res_track.txt", movie.tracks)


def make_large(folder: Path, frames: int = 1500, side: int = SIDE) -> None:
    """Two results with ``side``² cells in each frame: cells on a grid that wobble, each replaced after a while."""
    import numpy as np

    from celltrail.data.files.arrays.tiff import write_array

    pitch, radius = PITCH, 9
    grid = np.stack(np.mgrid[:side, :side], axis=-1).reshape(-1, 2) * pitch + pitch // 2
    rng = np.random.default_rng(0)
    centres = grid + rng.integers(-2, 3, (frames, *grid.shape))
    disc = np.argwhere(np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius) - radius
    pixels = (centres[:, :, None] + disc).reshape(frames, -1, 2)
    (folder / "01").mkdir(parents=True)
    for frame, (y, x) in enumerate(pixels.transpose(0, 2, 1)):
        image = np.zeros((side * pitch,) * 2, dtype=np.uint8)
        image[y, x] = 160
        write_array(folder / "01" / f"t{frame:04d}.tif", image)
    for name, life in (("01_RES", LIFE), ("other/01_RES", 50)):
        write_large(folder / name, centres, pixels, side * pitch, life)


def write_large(result: Path, centres, pixels, size: int, life: int) -> None:
    """A result whose cells live ``life`` frames: masks, tracks, run and graph."""
    import numpy as np

    from celltrail.data import Candidates, Solution, Tracks, save_graph
    from celltrail.data.files.ctc import write_masks, write_track_file
    from celltrail.data.graph.candidates import Detections, Divisions, Links
    from celltrail.data.graph.confidence import Confidence

    frames, count = centres.shape[:2]
    area = pixels.shape[1] // count
    result.mkdir(parents=True)
    labels = 1 + np.arange(count) + count * (np.arange(frames)[:, None] // life)
    for frame, (y, x) in enumerate(pixels.transpose(0, 2, 1)):
        mask = np.zeros((size, size), dtype=np.uint16)
        mask[y, x] = np.repeat(labels[frame], area)
        write_masks(result, [(frame, mask)], digits=4)
    begin = np.repeat(np.arange(0, frames, life), count)
    end = np.minimum(begin + life, frames) - 1
    write_track_file(result / "res_track.txt", Tracks(1 + np.arange(len(begin)), begin, end, np.zeros(len(begin))))
    run = {"status": "optimal", "config": {}, "inputs": {"masks": {"sha256": "the same for both"}}}
    (result / "run.json").write_text(json.dumps(run))
    track = labels.ravel()
    n = len(track)
    zeros, empty = np.zeros(n, dtype=np.int64), np.zeros(0, dtype=np.int64)
    position = np.pad(centres.reshape(-1, 2), ((0, 0), (1, 0))).astype(float)
    detections = Detections(
        np.repeat(np.arange(frames), count),
        np.tile(1 + np.arange(count), frames),
        position,
        zeros + area,
        zeros + 20.0,
        zeros,
        zeros,
        zeros,
        zeros > 0,
        zeros - 1,
        zeros - 1,
    )
    source = np.flatnonzero(track[:-count] == track[count:])
    links = Links(source, source + count, source * 0 - 1_000_000, source * 0 - 1)
    divisions = Divisions(empty, empty, empty, empty, empty)
    cost = -len(source) * 1_000_000
    solution = Solution(
        zeros == 0,
        zeros > 0,
        zeros > 0,
        source >= 0,
        np.zeros(0, dtype=bool),
        cost,
        cost,
        0,
        np.arange(n),
        source * 0 + 9.0,
        np.zeros(0),
        solver="none",
    )
    rng = np.random.default_rng(1)
    link = 1 - rng.beta(0.05, 2, len(source)).astype(np.float32)  # most are sure, some are not
    past = np.bincount(source + count, weights=link, minlength=n)
    future = np.bincount(source, weights=link, minlength=n)
    confidence = Confidence(
        link=link,
        division=np.zeros(0, dtype=np.float32),
        appear=(1 - past).astype(np.float32),
        disappear=(1 - future).astype(np.float32),
        used=np.ones(n, dtype=np.float32),
        temperature=1.0,
    )
    graph = Candidates(detections, links, divisions)
    save_graph(result / "graph.npz", graph, solution, track=track, confidence=confidence.arrays())


def measure_scale(folder: Path) -> list[dict[str, object]]:
    """Open a large result: first visits with an empty browser, then a click on each page."""
    from playwright.sync_api import sync_playwright

    launcher = Path(__file__).resolve().parents[1] / "dashboard" / "app.py"
    plot, viewer, tree = ".js-plotly-plot .main-svg", ".viewer[data-frame]", ".tree[data-drawn]"
    visits = {
        "": plot,
        "browse?track=10000&t=1210": f'{viewer}[data-track="10000"]',
        "lineage?track=10000": f'{tree}[data-track="10000"]',
    }
    clicks = {
        "Browse": viewer,
        "Lineage": tree,
        "Review": viewer,
        "Errors": f'{viewer} [data-part="panes"] > :nth-child(3)',
        "Compare": f'{viewer} [data-part="panes"] > :nth-child(2):last-child',
        "Segmentation": 'text="How a model was trained"',
        "Export": 'text="Film"',
        "Run": 'text="Jobs"',
        "Overview": plot,
    }
    rows: list[dict[str, object]] = []
    with serve(launcher, "--data", str(folder)) as (address, server), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )

        def measure_one(case: str, act: Callable[[], object], sign: str) -> None:
            cpu, start = cpu_seconds(server), time.perf_counter()
            act()
            page.wait_for_selector(sign, state="attached")
            rows.append(
                {
                    "case": case,
                    "method": "celltrail",
                    "wall_s": round(time.perf_counter() - start, 2),
                    "cpu_s": round(cpu_seconds(server) - cpu, 2),
                    "peak_mb": round(peak_megabytes(server), 1),
                }
            )
            show(rows[-1])

        time.sleep(5)  # nobody clicks while the server starts
        for name, sign in visits.items():
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            measure_one(f"first visit: /{name}", partial(page.goto, f"{address}/{name}"), sign)
            page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector(plot)
        for name, sign in clicks.items():
            measure_one(f"click on {name}", page.get_by_role("link", name=name).click, sign)
            page.wait_for_load_state("networkidle")
        page.goto(f"{address}/browse?t=700")
        page.wait_for_selector(f'{viewer}[data-frame="700"]')
        page.wait_for_load_state("networkidle")
        for number in range(3):
            label = 1 + number + SIDE**2 * (700 // LIFE)
            measure_one("Browse: click on a cell", partial(click_cell, page, number), f"text='Track {label}'")
            page.wait_for_load_state("networkidle")
        steps = [float(page.evaluate(VIEWER_STEP)) for _ in range(11)]
        rows.append(
            {"case": "Browse: a step, median of 11", "method": "celltrail", "wall_s": statistics.median(steps) / 1000}
        )
        show(rows[-1])
        page.goto(f"{address}/lineage?t=700")
        page.wait_for_selector(f"{tree}")
        page.wait_for_load_state("networkidle")
        box = page.locator(".tree .scroll").bounding_box()
        pitch = float(page.locator(".tree").get_attribute("data-pitch"))
        x, y = box["x"] + 20, box["y"] + 20 * pitch  # the twentieth branch, which begins in the first frame
        measure_one("Lineage: point at a branch", partial(page.mouse.move, x, y), '.tree:not([data-hover=""])')
        measure_one("Lineage: click there", partial(page.mouse.click, x, y), "text=/^Track .* selected, frame/")
        browser.close()
    return rows


def show(row: dict[str, object]) -> None:
    """Print a row as soon as it is measured."""
    print(
        f"{row['case']:45} {row['wall_s']:6.2f} s   server CPU {row.get('cpu_s', 0):6.2f} s   "
        f"peak {row.get('peak_mb', 0):6.0f} MB",
        flush=True,
    )


def click_cell(page, number: int) -> None:
    """Click a cell of the first row of the large movie, in the viewer."""
    canvas = page.get_by_role("application").first
    box, size = canvas.bounding_box(), SIDE * PITCH
    zoom = min(box["width"], box["height"]) / size
    x, y = PITCH * (number + 0.5), PITCH / 2
    canvas.click(
        position={"x": box["width"] / 2 + (x - size / 2) * zoom, "y": box["height"] / 2 + (y - size / 2) * zoom}
    )


@contextmanager
def serve(script: Path, *arguments: str):
    """Serve a Streamlit script; gives its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.address", "127.0.0.1", "--", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Largest resident memory of a process so far (Linux)."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(folder: Path, steps: int, frames: int) -> list[dict[str, object]]:
    """Step through both pages in turn."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("This benchmark needs Chromium: install the package 'chromium'.")
    page_file = folder / "plotly_page.py"
    page_file.write_text(PLOTLY_PAGE)
    launcher = Path(__file__).resolve().parents[1] / "dashboard" / "app.py"
    times: dict[str, list[float]] = {"celltrail": [], "plotly": []}
    with (
        serve(launcher, "--data", str(folder)) as (ours, our_server),
        serve(page_file, str(folder)) as (theirs, their_server),
        sync_playwright() as playwright,
    ):
        # One browser each: a tab in the background would not be painted.
        browsers = {
            name: playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for name in times
        }
        pages = {name: browser.new_page(viewport={"width": 1280, "height": 900}) for name, browser in browsers.items()}
        for page in pages.values():
            page.set_default_timeout(120_000)
        sent: list[object] = []
        pages["celltrail"].on("websocket", lambda ws: ws.on("framesent", lambda payload: sent.append(payload)))
        pages["celltrail"].goto(f"{ours}/browse")
        pages["celltrail"].wait_for_selector('.viewer[data-frame="0"]')
        pages["plotly"].goto(theirs)
        pages["plotly"].wait_for_selector(".gtitle")
        time.sleep(3)
        servers = {"celltrail": our_server, "plotly": their_server}
        before = {name: cpu_seconds(server) for name, server in servers.items()}
        for _ in range(steps):
            for name, script in (("celltrail", VIEWER_STEP), ("plotly", PLOTLY_STEP)):
                times[name].append(float(pages[name].evaluate(script)))
        spent = {name: cpu_seconds(server) - before[name] for name, server in servers.items()}
        peak = {name: peak_megabytes(server) for name, server in servers.items()}

        page = pages["celltrail"]
        time.sleep(1)
        sent.clear()
        frames_per_second = play(page)
        messages = len(sent)
        for browser in browsers.values():
            browser.close()
    rows = []
    for name, values in times.items():
        median = statistics.median(values)
        rows.append(
            {
                "case": f"step, {frames} frames of {SIZE[0]} x {SIZE[1]}, {CELLS} cells",
                "method": name,
                "n": len(values),
                "step_ms": round(median, 1),
                "worst_ms": round(max(values), 1),
                "wall_s": round(sum(values) / 1000, 3),
                "cpu_s": round(spent[name], 3),
                "peak_mb": round(peak[name], 1),
                "ratio": round(median / statistics.median(times["celltrail"]), 2),
            }
        )
    rows[0] |= {"play_fps": round(frames_per_second, 1), "messages_while_playing": messages}
    return rows


def play(page) -> float:
    """Frames per second that the viewer shows while playing."""
    button = page.get_by_role("button", name="Play")
    button.click()
    script = f"""() => new Promise((done) => {{
      const viewer = {VIEWER};
      let seen = 0, last = viewer.dataset.frame; const start = performance.now();
      const look = () => {{ if (viewer.dataset.frame !== last) {{ seen++; last = viewer.dataset.frame; }}
        performance.now() - start > 4000 ? done(seen / 4) : requestAnimationFrame(look); }};
      look(); }})"""
    return float(page.evaluate(script))


def main() -> None:
    """Run, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--scale", action="store_true")
    arguments = parser.parse_args()
    if arguments.scale:
        with tempfile.TemporaryDirectory() as temporary:
            make_large(Path(temporary) / "movie")
            rows = measure_scale(Path(temporary) / "movie")
        save(arguments.json, rows)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "movie"
        make_movie(folder, arguments.frames)
        rows = measure(folder, arguments.steps, arguments.frames)
    for row in rows:
        print(
            f"{row['method']:10} median {row['step_ms']:8.1f} ms   worst {row['worst_ms']:8.1f} ms   "
            f"{row['ratio']:6.1f} x   server CPU {row['cpu_s']:6.2f} s   peak {row['peak_mb']:6.0f} MB"
        )
    print(
        f"playing: {rows[0]['play_fps']} frames per second, {rows[0]['messages_while_playing']} messages to the server"
    )
    save(arguments.json, rows)


def save(path: Path | None, rows: list[dict[str, object]]) -> None:
    """Write the rows with machine and versions, if a path is given."""
    if path is not None:
        machine = {"system": platform.platform(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
        versions = {name: version(name) for name in ("streamlit", "plotly", "playwright", "numpy")}
        path.write_text(json.dumps({"machine": machine, "versions": versions, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
