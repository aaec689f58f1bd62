"""The pages in a real browser (headless Chromium): what no other test can see."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pandas as pd
import pytest
from in_browser import PATIENCE, VIEWER, acts, central_cell, click_cell, input_label, served, settle, show_frame

from celltrail.dashboard.judging.lineage_layout import arrange
from celltrail.dashboard.opening import registry
from celltrail.data import open_labels, read_tracks
from celltrail.data.files.pins import Pin, read_pins
from celltrail.data.formats.convert import convert_movie
from celltrail.evaluation import evaluate_sequence

FRAME_TOLD = b'"frame":'  # stands in a message to the server once the viewer has told it where it came to rest
RECORD_FRAMES = f"""() => {{
  const viewer = {VIEWER};
  window.seen = [];
  new MutationObserver(() => window.seen.push(Number(viewer.dataset.frame)))
    .observe(viewer, {{attributes: true, attributeFilter: ['data-frame']}});
}}"""


def test_a_click_on_a_cell_selects_its_track_and_keys_step(page: Any, address: str, dataset: Path) -> None:
    page.goto(f"{address}/browse")
    show_frame(page, 0)
    assert len(page.get_by_role("application").screenshot()) > 5_000  # a picture with cells, not a black square
    labels = open_labels(dataset / "01_RES")
    label = central_cell(labels, 0)
    click_cell(page, labels, 0, label)
    page.get_by_role("heading", name=f"Track {label}").wait_for()
    page.wait_for_url(lambda url: f"track={label}" in url)
    page.get_by_role("application").press("ArrowRight")
    show_frame(page, 1)
    page.get_by_role("application").press("End")
    show_frame(page, 11)
    page.wait_for_url(lambda url: "t=11" in url)  # the page script hears of it once the clock rests
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_address_opens_the_same_view_and_playing_leaves_the_server_alone(page: Any, address: str) -> None:
    sent: list[bytes] = []
    page.on("websocket", lambda websocket: websocket.on("framesent", lambda frame: sent.append(bytes(frame))))
    page.goto(f"{address}/browse?t=4&track=2")
    show_frame(page, 4)
    page.wait_for_selector('.viewer[data-track="2"]')
    page.get_by_role("heading", name="Track 2").wait_for()
    settle(page)
    page.evaluate(RECORD_FRAMES)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("window.seen.length >= 14")  # on to the end, and from the beginning again
    assert not any(FRAME_TOLD in message for message in sent)
    seen = page.evaluate("window.seen")
    assert all((after - before) % 12 == 1 for before, after in pairwise(seen))
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("application").press("End")
    page.wait_for_url(lambda url: "t=11" in url)
    assert any(FRAME_TOLD in message for message in sent)  # at rest, the viewer tells where it stands


def test_a_correction_is_made_and_solved(page: Any, address: str, shown: Path) -> None:
    labels = open_labels(shown / "01_RES")
    label = central_cell(labels, 5)
    page.goto(f"{address}/browse?t=5&track={label}")
    show_frame(page, 5)
    page.get_by_role("heading", name=f"Track {label}").wait_for()
    page.get_by_role("button", name="No cell").click()
    page.get_by_role("button", name="Solve again").click()
    page.get_by_text("Solved again").wait_for()
    page.get_by_text("New result: 01_RES_corrected, optimal").wait_for()
    page.get_by_role("application").press("Home")
    page.wait_for_url(lambda url: "t=0" in url)
    settle(page)
    assert page.get_by_text("New result: 01_RES_corrected, optimal").is_visible()  # stays while one looks at it
    corrected = open_labels(shown / "01_RES_corrected")
    assert not corrected[5][labels[5] == label].any()
    assert corrected[4][labels[4] == label].all()


@pytest.mark.slow
def test_every_key_of_the_panel(page: Any, address: str, shown: Path, desk: Path) -> None:
    labels, tracks = open_labels(shown / "01_RES"), read_tracks(shown / "01_RES" / "res_track.txt")
    label = central_cell(labels, 5)
    others = [int(one) for one in np.unique(labels[6]) if one not in (0, label)][:2]
    beside = next(int(one) for one in np.unique(labels[5]) if one not in (0, label))
    assert tracks.end[tracks.row_of(label)] > 5
    first = registry.opaque_id(shown / "01_RES")

    def begin() -> None:
        page.goto(f"{address}/browse?run={first}&t=5&track={label}")
        show_frame(page, 5)
        page.get_by_role("heading", name=f"Track {label}").wait_for()
        settle(page)

    def also(frame: int, one: int) -> None:
        click_cell(page, labels, frame, one, modifiers=["Shift"])
        settle(page)

    def press(key: str, act: str) -> None:
        """The key does this, U takes it back, and the panel is there all the time."""
        page.keyboard.press(key)
        settle(page)
        assert acts(desk)[-1] == f"added {act}"
        assert page.get_by_role("button", name="Undo").is_visible()
        page.keyboard.press("u")
        settle(page)
        assert acts(desk)[-1] == f"taken back {act}"

    begin()
    page.keyboard.press("ArrowRight")  # nobody has clicked into the picture
    show_frame(page, 6)
    page.keyboard.press("ArrowLeft")
    show_frame(page, 5)
    settle(page)
    for key, act in [("e", "end keep"), ("b", "begin keep"), ("n", "detection forbid")]:
        press(key, act)
    page.keyboard.press("x")
    page.get_by_text("Cut: what would change").wait_for()
    before = acts(desk)
    page.keyboard.press("Escape")
    page.get_by_text("Cut: what would change").wait_for(state="detached")
    settle(page)
    assert acts(desk) == before
    page.keyboard.press("x")
    page.get_by_text("Cut: what would change").wait_for()
    settle(page)
    press("Enter", "link forbid")
    also(5, beside)
    press("m", "merge keep")
    page.keyboard.press("ArrowRight")
    show_frame(page, 6)
    settle(page)
    page.keyboard.press("y")  # what was taken back is made again
    settle(page)
    assert acts(desk)[-1] == "added merge keep"
    page.keyboard.press("u")
    begin()
    page.keyboard.press("ArrowRight")
    show_frame(page, 6)
    settle(page)
    also(6, others[0])  # the selected track was chosen in frame 5
    press("s", "link keep")
    also(6, others[0])
    also(6, others[1])
    press("d", "division keep")
    page.keyboard.press("ArrowLeft")
    show_frame(page, 5)
    settle(page)
    page.keyboard.press("e")
    settle(page)
    page.keyboard.press("a")
    page.get_by_text("Solved again").wait_for()
    settle(page)
    assert page.get_by_role("heading", name=f"Track {label}").is_visible()  # its number and the selection stay


@pytest.mark.slow
def test_two_people_correct_at_once_and_lose_nothing(browser: Any, address: str, shown: Path, desk: Path) -> None:
    labels = open_labels(shown / "01_RES")
    cells = [int(one) for one in np.unique(labels[4]) if one][:2]
    first = registry.opaque_id(shown / "01_RES")
    people = []
    for label in cells:
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/browse?run={first}&t=4&track={label}")
        show_frame(page, 4)
        settle(page)
        people.append(page)
    for page in people:
        page.keyboard.press("n")
        settle(page)
    assert acts(desk) == ["added detection forbid"] * 2
    already = set(shown.glob("01_RES_corrected*"))
    for page in people:
        page.get_by_role("button", name="Solve again").click(no_wait_after=True)
    for page in people:
        settle(page)
    told = [page.get_by_text("Somebody else has corrected meanwhile").count() for page in people]
    told += [page.get_by_text("Not solved; your corrections are kept").count() for page in people]
    made = sorted(set(shown.glob("01_RES_corrected*")) - already)
    assert made
    assert sum(told) + len(made) == 2  # who got no result was told
    assert not list(shown.glob(".*"))
    for page in people:
        page.reload()
        settle(page)
    pins = [(folder / "pins.csv").read_text() for folder in made]
    for label in cells:
        assert any(f"detection,forbid,4,{row}," in text for text in pins for row in [input_label(shown, 4, label)])
    for page in people:
        page.context.close()


def test_one_step_back_leads_to_the_page_before(page: Any, address: str) -> None:
    page.goto(address)
    settle(page)
    for name in ("Browse", "Lineage", "Export"):
        page.get_by_role("link", name=name).click()
        page.get_by_role("heading", level=1, name=name).wait_for()
        settle(page)
    for name in ("Lineage", "Browse", "Overview"):
        page.go_back()
        page.get_by_role("heading", level=1, name=name).wait_for()
        settle(page)
    page.go_forward()
    page.get_by_role("heading", level=1, name="Browse").wait_for()
    settle(page)


def test_errors_are_stepped_through_with_a_key(page: Any, address: str, shown: Path) -> None:
    worse = next(layer.id for layer in registry.open_dataset(shown).movies[0].layers if layer.name == "worse/01_RES")
    errors = evaluate_sequence(shown / "01_GT", shown / "worse" / "01_RES").errors
    page.goto(f"{address}/errors?run={worse}")
    page.get_by_text(f"1 of {len(errors)}").wait_for()
    show_frame(page, errors[0].frame)
    settle(page)
    page.get_by_role("heading", name="Errors").click()
    page.keyboard.press("j")
    page.get_by_text(f"{2 if len(errors) > 1 else 1} of {len(errors)}").wait_for()
    settle(page)
    assert page.get_by_role("application").count() == 6


def test_a_job_survives_a_reload_and_its_result_appears(page: Any, address: str, shown: Path) -> None:
    page.goto(f"{address}/run")
    settle(page)
    page.get_by_label("Name of the result", exact=True).fill("again")
    page.get_by_label("Name of the result", exact=True).press("Enter")
    page.get_by_text(f"--out {shown}/again/01_RES").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("movie 01: again").wait_for()
    page.wait_for_load_state("networkidle")
    page.reload()
    page.get_by_text("movie 01: again").wait_for()
    page.get_by_role("button", name="Show this result").click()  # appears when the job is done
    page.get_by_role("heading", name="Overview").wait_for()
    page.wait_for_url(lambda url: f"run={registry.opaque_id(shown / 'again' / '01_RES')}" in url)
    assert read_tracks(shown / "again" / "01_RES" / "res_track.txt") == read_tracks(shown / "01_RES" / "res_track.txt")


def test_no_page_asks_anybody_else(browser: Any, root: Path, shown: Path, tmp_path: Path) -> None:
    """Values of files that are addresses, in a browser that may go anywhere: it goes to its own server alone."""
    with socket.create_server(("127.0.0.1", 0)) as outside:
        elsewhere = f"http://127.0.0.1:{outside.getsockname()[1]}"
        evil = f"![x]({elsewhere}/x.png) <img src='{elsewhere}/y.png'>"
        folder = Path(shutil.copytree(shown, tmp_path / "movie"))
        run = json.loads((folder / "01_RES" / "run.json").read_text())
        (folder / "01_RES" / "run.json").write_text(json.dumps({key: evil for key in run} | {"schema": run["schema"]}))
        shutil.move(folder / "worse" / "01_RES", folder / f"01_RES ![x]({elsewhere.replace('/', '_')})")
        with served(root, folder, tmp_path) as address:
            context = browser.new_context(viewport={"width": 1280, "height": 720})
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("websocket", lambda websocket: asked.append(websocket.url))
            for name in ("", "browse", "run"):
                page.goto(f"{address}/{name}")
                settle(page)
                if not name:
                    page.get_by_text("What the solver proves").click()
                    page.get_by_text(evil, exact=True).locator("visible=true").first.wait_for()  # letter by letter
            own = (address, address.replace("http", "ws"), "data:", "blob:")
            assert [url for url in asked if not url.startswith(own)] == []
            blocked = page.evaluate(
                "(url) => fetch(url, {mode: 'no-cors'}).then(() => 'asked', () => 'kept')", f"{elsewhere}/z"
            )
            assert blocked == "kept"
            context.close()
        outside.settimeout(0.5)
        with pytest.raises(TimeoutError):
            outside.accept()


PICTURES = f"""() => [...{VIEWER}.querySelectorAll('.pane')].map((pane) => pane.querySelector('canvas').toDataURL())"""


@pytest.mark.slow
def test_two_results_share_one_clock(page: Any, address: str, shown: Path) -> None:
    page.goto(f"{address}/compare")
    page.get_by_text("1 of ").wait_for()
    page.get_by_role("application").nth(1).wait_for()
    settle(page)
    first = page.get_by_role("application").first
    first.press("Home")
    show_frame(page, 0)
    before = page.evaluate(PICTURES)
    first.press("ArrowRight")
    show_frame(page, 1)
    after = page.evaluate(PICTURES)
    assert len(before) == len(after) == 2
    assert all(new != old for old, new in zip(before, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "start"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_the_camera_of_a_plot_saves_it(page: Any, address: str, tmp_path: Path, kind: str, start: bytes) -> None:
    page.goto(f"{address}/")
    page.get_by_test_id("stSidebar").get_by_role("radio", name=kind).click()
    page.wait_for_function(
        "(kind) => document.querySelector('.js-plotly-plot')?._context?.toImageButtonOptions?.format === kind",
        arg=kind.lower(),
    )  # the plots are drawn again after the choice
    settle(page)
    plot = page.locator(".js-plotly-plot").first
    plot.hover()
    with page.expect_download() as download:
        plot.locator(".modebar-btn").first.click()
    download.value.save_as(tmp_path / "plot")
    assert (tmp_path / "plot").read_bytes().startswith(start)
    assert download.value.suggested_filename == f"celltrail.{kind.lower()}"


@pytest.mark.slow
def test_every_download_can_be_opened(page: Any, address: str, shown: Path, tmp_path: Path) -> None:
    page.goto(f"{address}/export?run={registry.opaque_id(shown / '01_RES')}")
    for title in ("CTC folder", "CSV", "GEFF", "Report"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {title}").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    tracks = read_tracks(shown / "01_RES" / "res_track.txt")
    with zipfile.ZipFile(tmp_path / "movie-01_RES.zip") as archive:
        archive.extractall(tmp_path)
    assert read_tracks(tmp_path / "01_RES" / "res_track.txt") == tracks
    cells = pd.read_csv(tmp_path / "movie-01_RES.csv")
    assert len(cells) == int((tracks.end - tracks.begin + 1).sum())
    with zipfile.ZipFile(tmp_path / "movie-01_RES.geff.zip") as archive:
        archive.extractall(tmp_path / "geff")
    convert_movie(next((tmp_path / "geff").iterdir()), tmp_path / "back.csv")
    assert pd.read_csv(tmp_path / "back.csv")["track_id"].nunique() == len(tracks)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    settle(page)
    page.goto((tmp_path / "movie-01_RES.html").as_uri())
    page.get_by_text("TRA", exact=True).first.wait_for()
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)  # self-contained
    page.goto(f"{address}/export?run={registry.opaque_id(shown / '01_RES')}")
    page.get_by_role("button", name="Draw the film").click()
    page.get_by_text(f"done, written to {shown / '01_RES.mp4'}").wait_for()
    frames = imageio_ffmpeg.count_frames_and_secs(str(shown / "01_RES.mp4"))[0]
    assert frames == 12


LOST = """async () => {
  const { FrameStore } = await import('/api/viewer/frames.js');
  const real = window.fetch;
  const decode = async (answer) => ({ value: await answer.text(), bytes: 1 });
  const patience = { pauses: [1, 1], patience: 50 };
  const attempt = async (...answers) => {
    let asked = 0;
    window.fetch = (address, { signal }) => {
      const answer = answers[Math.min(asked++, answers.length - 1)];
      if (answer === 'lost') return Promise.reject(new TypeError('connection lost'));
      if (answer === 'silent') return new Promise((_, fail) => { signal.onabort = () => fail(new Error('no answer in time')); });
      return Promise.resolve(new Response(JSON.stringify({ problems: ['no such frame'] }), { status: answer }));
    };
    const store = new FrameStore(100, patience);
    const said = await store.load('/frame', decode).then(() => 'shown', (error) => error.message);
    return [said, asked, store.coming.size];
  };
  const found = {
    lost: await attempt('lost', 'lost', 200), silent: await attempt('silent', 200), busy: await attempt(503, 200),
    away: await attempt('lost'), refused: await attempt(404),
  };
  window.fetch = real;
  return found;
}"""


def test_a_lost_request_is_made_again(page: Any, address: str) -> None:
    page.goto(f"{address}/_stcore/health")  # any page of the server; the scripts alone are tested
    found = page.evaluate(LOST)
    assert found["lost"] == ["shown", 3, 0]
    assert found["silent"] == ["shown", 2, 0]
    assert found["busy"] == ["shown", 2, 0]
    assert found["away"] == ["The server does not answer. connection lost", 3, 0]
    assert found["refused"] == ["no such frame", 1, 0]  # what the server refuses is not asked again


def test_the_viewer_shows_a_frame_whose_first_request_failed(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    failed: list[str] = []

    def fail_once(route: Any) -> None:
        path = route.request.url.partition("?")[0]
        if path in failed:
            route.continue_()
        else:
            failed.append(path)
            route.abort()

    for part in ("viewer/viewer.js", "layers/*/frames/0", "layers/*/tracks"):
        page.route(f"**/api/{part}*", fail_once)
    page.goto(f"{address}/browse")
    show_frame(page, 0)
    page.wait_for_function(f"() => {VIEWER}.querySelector('.note').hidden")
    assert len(failed) == 3
    context.close()


def test_questions_are_answered_by_one_key_each(page: Any, address: str, shown: Path, desk: Path) -> None:
    answers = shown / "01_RES_answers.csv"
    page.goto(f"{address}/review?run={registry.opaque_id(shown / '01_RES')}")
    page.get_by_text("1 of ").first.wait_for()
    page.wait_for_selector(".viewer[data-frame]")
    settle(page)
    assert page.get_by_role("application").count() >= 3

    def press(key: str) -> list[str]:
        page.get_by_role("heading", name="Review").click()
        page.keyboard.press(key)
        settle(page)
        return pd.read_csv(answers)["answer"].tolist() if answers.is_file() else []

    assert press("j") == []
    page.get_by_text("2 of ").first.wait_for()
    assert press("k") == []
    page.get_by_text("1 of ").first.wait_for()
    assert press("y") == ["right"]
    page.get_by_text("2 of ").first.wait_for()
    assert press("n") == ["right", "wrong"]
    assert press("u") == ["right", "wrong", "cannot tell"]
    assert press("z") == ["right", "wrong"]
    while page.get_by_role("button", name="Instead").is_disabled():
        press("j")
    assert press("a") == ["right", "wrong", "wrong"]
    assert pd.read_csv(answers)["correct_label"].notna().tolist() == [False, False, True]
    page.reload()
    page.get_by_text("3 answers").wait_for()  # nothing is lost
    answers.unlink()


def test_tree_and_image_show_each_other(page: Any, address: str, shown: Path) -> None:
    tracks = read_tracks(shown / "01_RES" / "res_track.txt")
    page.goto(f"{address}/lineage?run={registry.opaque_id(shown / '01_RES')}")
    page.wait_for_selector(".tree[data-drawn]")
    show_frame(page, 0)
    settle(page)
    assert page.locator(".tree").get_attribute("data-drawn") == str(len(tracks))
    mother, (daughter, _) = min(tracks.divisions().items())
    row = dict(zip(tracks.label.tolist(), arrange(tracks).row.tolist(), strict=True))[daughter]
    begin, end = (int(value[tracks.row_of(daughter)]) for value in (tracks.begin, tracks.end))
    middle = (begin + end) // 2
    box = page.locator(".tree .scroll").bounding_box()
    first, last = int(tracks.begin.min()), int(tracks.end.max())
    pitch = float(page.locator(".tree").get_attribute("data-pitch"))
    x = box["x"] + 1 + 10 + (middle - first) / (last - first) * (box["width"] - 2 - 24)
    y = box["y"] + 1 + (row + 0.4 + 0.5) * pitch  # 0.4 rows are free above the first
    page.mouse.move(x, y)
    page.wait_for_selector(f'.tree[data-hover="{daughter}"]')
    show_frame(page, middle)  # the image shows what the pointer is on
    page.mouse.move(box["x"] + 5, box["y"] - 60)
    show_frame(page, 0)  # and comes back
    page.mouse.click(x, y)  # anywhere on a branch
    page.wait_for_url(lambda url: f"track={daughter}" in url and f"t={middle}" in url)
    page.wait_for_selector(f'.viewer[data-frame="{middle}"][data-track="{daughter}"]')
    page.get_by_role("application").first.press("ArrowRight")
    page.wait_for_selector(f'.tree[data-frame="{middle + 1}"]')  # the frame in view is a line through the tree
    page.get_by_role("application").first.press("[")
    page.wait_for_selector(f'.tree[data-track="{mother}"]')


OVERLAY = f"{VIEWER}.querySelectorAll('canvas')[1].toDataURL()"  # outlines, tails and numbers


@pytest.mark.slow
@pytest.mark.parametrize(("name", "plot"), [("browse", "tracks_plot"), ("measure", "measure_scatter")])
def test_a_box_drawn_in_a_plot_chooses_tracks_in_the_viewer(
    page: Any, address: str, shown: Path, name: str, plot: str
) -> None:
    count = len(read_tracks(shown / "01_RES" / "res_track.txt"))
    first = registry.opaque_id(shown / "01_RES")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{address}/browse?run={first}&t=5")
    show_frame(page, 5)
    settle(page)
    if name != "browse":
        page.get_by_role("link", name=name.capitalize()).click()
    settle(page)
    told = page.get_by_text(re.compile(r"\d+( tracks)? chosen")).first
    for _ in range(5):  # while the page still moves, the box may miss the plot
        area = page.locator(f".st-key-{plot} .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=8)
        page.mouse.up()
        page.wait_for_timeout(2000)
        settle(page)
        if told.count():
            break
    (chosen,) = re.findall(r"(\d+)(?: tracks)? chosen", told.inner_text())
    assert 1 < int(chosen) < count
    if name != "browse":
        page.get_by_role("link", name="Browse").click()
    show_frame(page, 5)
    settle(page)
    few = page.evaluate(f"() => {OVERLAY}")
    page.get_by_role("button", name="Colour all again").click()
    page.wait_for_function(f"(few) => {OVERLAY} !== few", arg=few)  # the others were grey


# Root may write everywhere, unless it gives that right away.
RIGHTS = "-dac_override,-dac_read_search"
WITHOUT_RIGHTS = ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}"] if os.getuid() == 0 else []


@pytest.mark.slow
@pytest.mark.skipif(WITHOUT_RIGHTS != [] and shutil.which("setpriv") is None, reason="root cannot give rights away")
def test_corrections_in_a_folder_that_cannot_be_written(
    page: Any, root: Path, shown: Path, desk: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shown, tmp_path / "movie"))
    place = tmp_path / "place"
    place.mkdir()
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o555 if one.is_dir() else 0o444)
    listing = sorted(folder.rglob("*"))
    label = central_cell(open_labels(folder / "01_RES"), 5)
    with served(root, folder, place, before=WITHOUT_RIGHTS) as address:
        page.goto(f"{address}/browse?run={registry.opaque_id(folder / '01_RES')}&t=5&track={label}")
        show_frame(page, 5)
        settle(page)
        page.keyboard.press("n")
        page.get_by_text(f"Track {label} is no cell in frame 5 (new)").wait_for()
        page.get_by_text("This folder is read-only").wait_for()
        page.get_by_role("button", name="Solve again").click()
        page.get_by_text("Not solved; your corrections are kept").wait_for()
        page.get_by_text(f"Track {label} is no cell in frame 5 (new)").wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download pins.csv").click()
        download.value.save_as(tmp_path / "pins.csv")
        page.keyboard.press("u")
        page.get_by_text(f"Track {label} is no cell in frame 5 (new)").wait_for(state="detached")
        page.goto(f"{address}/review?run={registry.opaque_id(folder / '01_RES')}")
        settle(page)
        page.keyboard.press("y")
        page.get_by_text("Nothing can be written beside this result").wait_for()
        page.goto("about:blank")  # before the server ends, which an open page would ask for
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o755 if one.is_dir() else 0o644)
    assert sorted(folder.rglob("*")) == listing
    assert read_pins(tmp_path / "pins.csv") == [Pin("detection", "forbid", ((5, input_label(folder, 5, label)),))]


@pytest.mark.slow
def test_every_key_of_the_viewer(page: Any, address: str, shown: Path) -> None:
    tracks = read_tracks(shown / "01_RES" / "res_track.txt")
    mother, (daughter, *_) = min(tracks.divisions().items())
    at = int(tracks.end[tracks.row_of(mother)])
    page.goto(f"{address}/browse?run={registry.opaque_id(shown / '01_RES')}&t={at}&track={mother}")
    show_frame(page, at)
    settle(page)

    def picture() -> str:
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return str(page.evaluate(f"() => {OVERLAY}"))

    for key in "oti+":  # each changes what is drawn; 0 shows the whole frame again
        before = picture()
        page.keyboard.press(key)
        page.wait_for_function(f"(before) => {OVERLAY} !== before", arg=before)
    before = picture()
    page.keyboard.press("-")
    assert picture() != before
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("]")
    page.wait_for_selector(f'.viewer[data-track="{daughter}"]')
    show_frame(page, int(tracks.begin[tracks.row_of(daughter)]))
    page.keyboard.press("[")
    page.wait_for_selector(f'.viewer[data-track="{mother}"]')
    for key, frame in [("Home", 0), ("Shift+ArrowRight", 10), ("ArrowRight", 11), ("ArrowRight", 11), ("End", 11)]:
        page.keyboard.press(key)
        show_frame(page, frame)
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()


@pytest.mark.slow
def test_keys_in_a_field_are_letters(page: Any, address: str, shown: Path, desk: Path) -> None:
    label = central_cell(open_labels(shown / "01_RES"), 5)
    page.goto(f"{address}/browse?run={registry.opaque_id(shown / '01_RES')}&t=5&track={label}")
    show_frame(page, 5)
    settle(page)
    field = page.get_by_role("textbox", name="Open folder")
    field.click()
    page.keyboard.type("nebx ou", delay=30)
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert acts(desk) == []
    assert field.input_value() == "nebx ou"
    show_frame(page, 5)
    assert page.get_by_role("button", name="Play").is_visible()
