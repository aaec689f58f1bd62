"""Every page with data, without data, with broken data: each test asserts a value on the page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, events
from celltrail.dashboard.opening import content, registry, sample
from celltrail.dashboard.working import jobs
from celltrail.data import open_labels, read_tracks
from celltrail.data.files.arrays.tiff import write_labels
from celltrail.data.files.ctc import write_track_file
from celltrail.data.files.tracks import clip_tracks
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.data.writing.output import output_folder
from celltrail.evaluation import evaluate_sequence
from celltrail.segmentation.segment_settings import DEFAULT_MODEL
from celltrail.tracking import track, write_result

OpenPage = Callable[..., AppTest]


def keep_part(result: Path, frames: range) -> None:
    """Remove the other frames of a result, as if it had been made of a part of the movie."""
    tracks = read_tracks(result / "res_track.txt")
    for number in set(range(int(tracks.begin.min()), int(tracks.end.max()) + 1)) - set(frames):
        (result / f"mask{number:03d}.tif").unlink()
    write_track_file(result / "res_track.txt", clip_tracks(tracks, frames))
    (result / "graph.npz").unlink()


def metrics_of(test: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def texts_of(test: AppTest) -> str:
    parts = [*test.text, *test.subheader, *test.caption, *test.markdown, *test.code, *test.info]
    return "\n".join(part.value for part in parts)


def test_overview_shows_the_measures_of_the_result(open_page: OpenPage, dataset: Path) -> None:
    test = open_page(dataset)
    assert not test.exception
    shown = metrics_of(test)
    expected = evaluate_sequence(dataset / "01_GT", dataset / "01_RES").measures
    for name, label in [
        ("SEG", "SEG"),
        ("DET", "DET"),
        ("TRA", "TRA"),
        ("LNK", "LNK"),
        ("IoU", "IoU"),
        ("RI", "Rand index"),
        ("RE", "Rand error"),
    ]:
        assert shown[label] == f"{expected[name]:.3f}"
    definitions = {metric.label: metric.help for metric in test.metric}
    assert "intersection over union" in definitions["SEG"]


@pytest.mark.parametrize("page", ["overview", "compare", "run", "segmentation"])
def test_values_of_files_are_text_and_never_markdown(open_page: OpenPage, copy_of: Path, page: str) -> None:
    """A status that is an image would make the browser fetch an address."""
    evil = "![x](http://outside.example/x.png) <img src='http://outside.example/y'> :red[z] $w$"
    named = "01_RES_![x](a.png) :red[z]"
    result = Path(shutil.move(copy_of / "01_RES", copy_of / named))
    run = json.loads((result / "run.json").read_text())
    (result / "run.json").write_text(json.dumps({key: evil for key in run} | {"schema": run["schema"]}))
    test = open_page(copy_of, page)
    assert not test.exception
    told = [*test.metric, *test.markdown, *test.caption, *test.subheader, *test.info, *test.warning, *test.success]
    values = [getattr(one, name, None) or "" for one in told for name in ("value", "label", "help", "delta", "body")]
    read = [re.sub(r"\\.", "", str(value)) for value in values]  # what Markdown does not take as it stands
    assert [value for value in read if re.search(r"!\[|\]\(|<img|:red\[|\$w", value)] == []
    if page == "overview":
        assert re.sub(r"\\(.)", r"\1", metrics_of(test)["Status"]) == evil


def test_overview_shows_the_data_and_the_certificate(open_page: OpenPage, dataset: Path) -> None:
    shown = metrics_of(open_page(dataset))
    run = json.loads((dataset / "01_RES" / "run.json").read_text())
    assert shown["Frames"] == "12"
    assert shown["Size"] == "160 × 200"
    assert shown["Tracks"] == str(len(read_tracks(dataset / "01_RES" / "res_track.txt")))
    assert shown["Status"] == run["status"] == "optimal"
    assert shown["Objective"] == f"{run['objective']:,.3f}"
    assert shown["Lower bound"] == f"{run['bound']:,.3f}"
    assert "Proven: no other lineages" in texts_of(open_page(dataset))


def test_overview_shows_what_the_run_says_of_the_movie(open_page: OpenPage, copy_of: Path) -> None:
    run = json.loads((copy_of / "01_RES" / "run.json").read_text())
    note = "Frames 4 to 8 are empty or missing: *all* cells before end."
    assert run["bound_of"] == "the whole problem"
    (copy_of / "01_RES" / "run.json").write_text(json.dumps(run | {"notes": [note], "bound_of": "a part"}))
    texts = [text.value for text in open_page(copy_of).text]
    assert f"Note: {note}" in texts
    assert "Bound and gap are of a part." in texts


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (0.00004, "4e-05"),
        (0.0006, "0.001"),
        (-1e-7, "-1e-07"),
        (1234, "1,234"),
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
    ],
)
def test_numbers_are_rounded_but_never_to_nothing(value: object, shown: str) -> None:
    assert parts.figure(value) == shown


def test_overview_checks_the_files_on_request(open_page: OpenPage, copy_of: Path) -> None:
    with (copy_of / "01_RES" / "res_track.txt").open("a") as stream:
        stream.write("900 0 3 0\n")
    test = open_page(copy_of)
    next(button for button in test.button if button.label == "Check every file").click().run()
    assert 900 in test.dataframe[-1].value["label"].tolist()


def test_browse_shows_the_selected_track_and_its_kin(open_page: OpenPage, dataset: Path) -> None:
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    mother, daughters = next(iter(tracks.divisions().items()))
    test = open_page(dataset, "browse", track=str(mother), t="3")
    assert not test.exception
    assert f"Track {mother}" in [part.value for part in test.subheader]
    buttons = {button.label: button for button in test.button}
    assert {f"Daughter {daughter}" for daughter in daughters} <= set(buttons)
    buttons[f"Daughter {daughters[0]}"].click().run()
    assert f"Track {daughters[0]}" in [part.value for part in test.subheader]
    assert test.query_params["track"] == [str(daughters[0])] or test.query_params["track"] == str(daughters[0])
    assert test.session_state.t == int(tracks.begin[tracks.row_of(daughters[0])])


def test_browse_lists_every_track(open_page: OpenPage, dataset: Path) -> None:
    test = open_page(dataset, "browse")
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    assert test.dataframe[0].value["track"].tolist() == tracks.label.tolist()
    assert "No track selected" in texts_of(test)


def test_lineage_counts_and_one_lineage(open_page: OpenPage, dataset: Path) -> None:
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    roots = set(tracks.roots().values())
    test = open_page(dataset, "lineage")
    assert f"{len(tracks)} tracks in {len(roots)} lineages, {len(tracks.divisions())} divisions" in texts_of(test)


def test_an_address_opens_its_view(open_page: OpenPage, dataset: Path) -> None:
    label = int(read_tracks(dataset / "01_RES" / "res_track.txt").label[2])
    first = open_page(dataset, "browse", track=str(label), t="5")
    query = {key: value if isinstance(value, str) else value[0] for key, value in first.query_params.items()}
    again = open_page(dataset, "browse", **query)
    assert (again.session_state.t, again.session_state.track) == (5, label)


@pytest.mark.parametrize("value", ["-1", "1e9", "../../etc", "999999999999999999999", "<b>"])
def test_a_wrong_address_is_ignored(open_page: OpenPage, dataset: Path, value: str) -> None:
    test = open_page(dataset, "browse", track=value, t=value, movie=value, run=value)
    assert not test.exception
    assert "No track selected" in texts_of(test)


@pytest.mark.parametrize("page", ["overview", "browse", "lineage", "review", "errors", "compare", "measure", "export"])
def test_a_movie_without_result_says_what_to_do(open_page: OpenPage, copy_of: Path, page: str) -> None:
    for folder in ("01_RES", "01_GT"):
        shutil.rmtree(copy_of / folder)
    test = open_page(copy_of, page)
    assert not test.exception
    shown = "\n".join(code.value for code in test.code)
    if page == "compare":
        assert "celltrail track" in shown
    else:  # commands that can be run as they stand
        out = copy_of / "run1" / "01_MASKS"
        assert f"celltrail segment {copy_of / '01'} --model nuclei --out {out}\ncelltrail track {out} --out " in shown


def test_the_page_run_offers_the_usual_model_first(open_page: OpenPage, copy_of: Path) -> None:
    for folder in ("01_RES", "01_GT"):
        shutil.rmtree(copy_of / folder)
    test = open_page(copy_of, "run")
    assert test.selectbox(key="run_model").value == DEFAULT_MODEL


def test_masks_without_tracks_are_shown(open_page: OpenPage, copy_of: Path) -> None:
    (copy_of / "01_RES" / "res_track.txt").unlink()
    test = open_page(copy_of, "browse")
    assert not test.exception
    assert "Masks without tracks" in texts_of(test)
    assert len(open_labels(copy_of / "01_RES")) == 12


@pytest.mark.parametrize("page", ["overview", "browse", "lineage", "review", "errors", "compare", "measure", "export"])
def test_a_broken_track_file_becomes_one_card(open_page: OpenPage, copy_of: Path, page: str) -> None:
    (copy_of / "01_RES" / "res_track.txt").write_text("1 0 3\nx\n")
    test = open_page(copy_of, page)
    assert not test.exception
    assert "res_track.txt, line 1, has 3 columns, expected 4" in texts_of(test)
    assert "This data cannot be shown" in texts_of(test)


def test_a_broken_mask_becomes_one_card(open_page: OpenPage, copy_of: Path) -> None:
    (copy_of / "01_RES" / "mask003.tif").write_bytes(b"not an image")
    assert "mask003.tif is not a TIFF image" in texts_of(open_page(copy_of, "browse"))


@pytest.mark.parametrize("name", ["missing", "<script>alert(1)</script>"])
def test_a_missing_folder_becomes_one_card(open_page: OpenPage, tmp_path: Path, name: str) -> None:
    test = open_page(tmp_path / name)
    assert not test.exception
    assert "does not exist" in texts_of(test)
    assert name.split("/")[0] in "\n".join(text.value for text in test.text)  # shown as text, never as markup


def test_an_empty_folder_becomes_one_card(open_page: OpenPage, tmp_path: Path) -> None:
    assert "holds no numbered TIFF" in texts_of(open_page(tmp_path))


def test_data_without_folder_is_explained(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    import sys

    monkeypatch.setattr(sys, "argv", ["app.py", "--data"])
    test = AppTest.from_file(root / "dashboard" / "ui.py", default_timeout=60).run()
    assert "--data needs a folder" in texts_of(test)


def test_without_data_the_sample_is_shown(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path
) -> None:
    monkeypatch.setattr(sample, "sample_folder", lambda: dataset)
    test = open_page(None)
    assert "Sample data" in test.info[0].value
    assert "celltrail dashboard FOLDER" in test.info[0].value
    assert metrics_of(test)["Frames"] == "12"


def test_the_sample_is_made_whole_once_and_tracked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sample, "FRAMES", 4)
    monkeypatch.setattr(sample, "CELLS", 4)
    folder = sample.sample_folder()
    assert json.loads((folder / "01_RES" / "run.json").read_text())["status"] == "optimal"
    assert len(read_tracks(folder / "01_RES" / "res_track.txt")) >= 4
    made = (folder / "01_RES").stat().st_mtime_ns
    assert sample.sample_folder() == folder
    assert (folder / "01_RES").stat().st_mtime_ns == made
    assert folder.parent.stat().st_mode & 0o077 == 0


def test_the_sample_heals_and_two_starts_at_once_share_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sample.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sample, "FRAMES", 4)
    monkeypatch.setattr(sample, "CELLS", 4)
    with ThreadPoolExecutor(2) as starts:
        first, second = starts.map(lambda _: sample.sample_folder(), range(2))
    assert first == second
    shutil.rmtree(first / "01")  # a system that throws old files away
    assert len(list((sample.sample_folder() / "01").glob("*.tif"))) == 4
    assert not list(first.parent.glob(".*"))


def worsen(folder: Path) -> None:
    """Cut the first mother-daughter link of the result."""
    file = folder / "res_track.txt"
    rows = [list(map(int, line.split())) for line in file.read_text().splitlines()]
    child = next(row for row in rows if row[3])
    child[3] = 0
    file.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


def test_errors_are_stepped_through(open_page: OpenPage, copy_of: Path) -> None:
    worsen(copy_of / "01_RES")
    expected = evaluate_sequence(copy_of / "01_GT", copy_of / "01_RES").errors
    test = open_page(copy_of, "errors")
    assert not test.exception
    assert any(f"1 of {len(expected)}" in part.value for part in test.markdown)
    assert test.session_state.t == expected[0].frame
    next(button for button in test.button if button.label == "Next").click().run()
    assert any(f"2 of {len(expected)}" in part.value for part in test.markdown)
    assert test.session_state.t == expected[1].frame
    assert test.dataframe[0].value["kind"].tolist() == [events.NAMES[error.type] for error in expected]


def test_without_truth_the_rules_are_used(open_page: OpenPage, copy_of: Path) -> None:
    worsen(copy_of / "01_RES")
    shutil.rmtree(copy_of / "01_GT")
    test = open_page(copy_of, "errors")
    assert not test.exception
    assert "one daughter" in set(test.dataframe[0].value["kind"])


def test_a_perfect_result_has_no_errors(open_page: OpenPage, copy_of: Path) -> None:
    shutil.rmtree(copy_of / "01_RES")
    shutil.copytree(copy_of / "01_GT" / "TRA", copy_of / "01_RES")
    (copy_of / "01_RES" / "man_track.txt").rename(copy_of / "01_RES" / "res_track.txt")
    for file in (copy_of / "01_RES").glob("man_track*.tif"):
        file.rename(file.with_name(file.name.replace("man_track", "mask")))
    assert "No error" in open_page(copy_of, "errors").success[0].value


def test_two_results_are_compared(open_page: OpenPage, copy_of: Path) -> None:
    shutil.copytree(copy_of / "01_RES", copy_of / "<b>worse" / "01_RES")
    worsen(copy_of / "<b>worse" / "01_RES")
    test = open_page(copy_of, "compare")
    assert not test.exception
    assert "<b>worse/01_RES" in test.selectbox(key="compare_B").options  # text, not markup
    assert set(test.dataframe[-1].value["kind"]) == {"link only in A"}


def test_a_result_of_a_part_says_so(open_page: OpenPage, copy_of: Path) -> None:
    keep_part(copy_of / "01_RES", range(2, 10))
    told = "This result covers frames 2 to 9 of the movie: it is compared with the truth on this part only."
    overview = open_page(copy_of)
    assert told in texts_of(overview)
    assert "Frames 2 to 9 of 12 frames" in texts_of(overview)
    assert told in texts_of(open_page(copy_of, "errors"))
    compare = open_page(copy_of, "compare")
    assert "Both results cover frames 2 to 9: they are compared on these." in texts_of(compare)
    assert set(compare.dataframe[-1].value["frame"]) <= set(range(2, 10)) if len(compare.dataframe) else True
    assert not any("2 to 9" in text for text in texts_of(open_page(copy_of, "lineage")).splitlines())


@pytest.mark.parametrize("page", ["overview", "browse", "lineage", "review", "errors", "measure", "export"])
def test_a_movie_of_one_frame_has_every_page(open_page: OpenPage, tmp_path: Path, page: str) -> None:
    movie = simulate_movie(frames=1, cells=4, size=(60, 80), seed=1)
    write_movie(movie, tmp_path)
    write_result(track(movie.masks, images=movie.images), tmp_path / "01_RES")
    test = open_page(tmp_path, None if page == "overview" else page)
    assert not test.exception
    told = {"overview": "1 frame with", "review": "it has a single frame", "lineage": "0 divisions"}
    assert told.get(page, "") in texts_of(test)


def test_measures_are_those_of_the_result_that_is_shown(open_page: OpenPage, copy_of: Path) -> None:
    """An ``evaluation.json`` beside two results of one name says nothing about the second."""
    shutil.copytree(copy_of / "01_RES", copy_of / "worse" / "01_RES")
    worsen(copy_of / "worse" / "01_RES")
    entry = {"gt": "01_GT", "res": "01_RES", "measures": {"LNK": 0.125}}
    document = {"schema": "celltrail.evaluation/1", "sequences": [entry]}
    (copy_of / "evaluation.json").write_text(json.dumps(document))
    test = open_page(copy_of)
    shown = [metrics_of(test)["LNK"]]
    test.selectbox(key="run").select_index(1).run()
    shown.append(metrics_of(test)["LNK"])
    results = [copy_of / "01_RES", copy_of / "worse" / "01_RES"]
    assert shown == [f"{evaluate_sequence(copy_of / '01_GT', one).measures['LNK']:.3f}" for one in results]


def test_comparing_needs_two_results(open_page: OpenPage, copy_of: Path) -> None:
    shutil.rmtree(copy_of / "01_GT")
    test = open_page(copy_of, "compare")
    assert "Nothing to compare" in texts_of(test)


def button_of(test: AppTest, label: str):  # type: ignore[no-untyped-def]
    return next(button for button in test.button if button.label == label)


@pytest.mark.parametrize("page", ["browse", "errors"])
def test_a_correction_is_made_undone_and_solved(open_page: OpenPage, copy_of: Path, page: str) -> None:
    worsen(copy_of / "01_RES")
    label = int(open_labels(copy_of / "01_RES")[4].max())
    test = open_page(copy_of, page, track=str(label), t="4")
    test.session_state.t, test.session_state.track = 4, label
    test.run()
    assert button_of(test, "Same cell").disabled
    button_of(test, "No cell").click().run()
    assert f"Track {label} is no cell in frame 4" in texts_of(test)
    button_of(test, "Undo").click().run()
    assert f"Track {label} is no cell in frame 4" not in texts_of(test)
    button_of(test, "Redo").click().run()
    button_of(test, "Solve again").click().run()
    assert not test.exception
    assert "New result: 01_RES_corrected, optimal" in texts_of(test)
    assert "the corrections cost" in texts_of(test)
    assert "01_RES_corrected (result)" in test.selectbox(key="run").options
    assert label not in open_labels(copy_of / "01_RES_corrected")[4] or len(
        read_tracks(copy_of / "01_RES_corrected" / "res_track.txt")
    )


def test_contradictory_corrections_are_named(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "browse", track="1", t="0")
    button_of(test, "Ends here").click().run()
    button_of(test, "No cell").click().run()
    assert "This correction cannot be made" in texts_of(test)
    assert "Track 1 ends in frame 0 (new)" in texts_of(test)
    assert "Track 1 is no cell in frame 0" not in texts_of(test)
    assert not list(copy_of.glob("01_RES_corrected*"))


def test_a_cut_shows_what_changes_before_it_is_taken(open_page: OpenPage, copy_of: Path) -> None:
    tracks = read_tracks(copy_of / "01_RES" / "res_track.txt")
    label = next(label for label, begin, end, _ in tracks.rows().tolist() if begin <= 4 and end >= 8)
    test = open_page(copy_of, "browse", track=str(label), t="5")
    button_of(test, "Cut").click().run()
    assert f"Track {label} is cut after frame 5" not in texts_of(test)
    assert "Cut: what would change" in texts_of(test)
    assert f"What was track {label} from frame 6 on becomes a track of its own." in texts_of(test)
    button_of(test, "Leave").click().run()
    assert "Cut: what would change" not in texts_of(test)
    button_of(test, "Cut").click().run()
    next(button for button in test.button if button.key == "cut_take").click().run()
    assert f"Track {label} is cut after frame 5 (new)" in texts_of(test)
    button_of(test, "Solve again").click().run()
    corrected = read_tracks(copy_of / "01_RES_corrected" / "res_track.txt")
    assert set(tracks.label.tolist()) < set(corrected.label.tolist())  # every number stays, and one is new
    assert int(corrected.end[corrected.row_of(label)]) == 5
    assert test.session_state.track == label


def test_corrections_outlive_the_session_and_undo_reaches_across_solutions(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "browse", track="1", t="0")
    button_of(test, "Ends here").click().run()
    again = open_page(copy_of, "browse")
    assert "Track 1 ends in frame 0 (new)" in texts_of(again)
    button_of(again, "Solve again").click().run()
    history = (copy_of / "01_RES_corrected" / "pins.history.csv").read_text().splitlines()
    assert history[0].startswith("time,act,kind")
    assert history[1].partition(",")[2].startswith("added,end,keep,0,")
    later = open_page(copy_of, "browse", run=again.session_state.run)
    assert "Track 1 ends in frame 0" in texts_of(later)
    button_of(later, "Undo").click().run()
    button_of(later, "Solve again").click().run()
    assert not later.exception
    before, after = (read_tracks(copy_of / name / "res_track.txt") for name in ("01_RES", "01_RES_corrected2"))
    assert sorted(before.rows()[:, 1:].tolist()) == sorted(after.rows()[:, 1:].tolist())


def test_segmentation_lists_the_worst_cells_first(open_page: OpenPage, copy_of: Path) -> None:
    labels = open_labels(copy_of / "01_RES")[3]
    lost, halved = (int(label) for label in np.unique(labels)[1:3])
    changed = labels.copy()
    changed[labels == lost] = 0
    rows = np.argwhere(labels == halved)
    changed[tuple(rows[: len(rows) // 2].T)] = 0
    write_labels(copy_of / "01_RES" / "mask003.tif", changed)
    test = open_page(copy_of, "segmentation")
    assert not test.exception
    table = test.dataframe[0].value
    assert table["frame"].tolist()[:2] == [3, 3]
    assert table["IoU"].tolist()[0] == 0.0
    assert table["IoU"].tolist()[1] == pytest.approx(1 - (len(rows) // 2) / len(rows))
    shown = metrics_of(test)
    assert shown["Missed"] == "1"
    assert shown["True cells"] == f"{len(table):,}"
    assert test.session_state.t == 3


def test_export_offers_every_file(open_page: OpenPage, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "list_jobs", list)
    test = open_page(dataset, "export")
    assert not test.exception
    assert {"CTC folder", "CSV", "GEFF", "Report"} <= {part.value.strip("*") for part in test.markdown}
    assert test.code[0].value == f"celltrail render {dataset}/01_RES --images {dataset}/01 --out {dataset}/01_RES.mp4"


def test_plots_of_one_track_have_one_axis_of_time() -> None:
    cells = pd.DataFrame({"frame": [3, 4, 5], "area": [7.0, 8.0, 9.0], "speed": [np.nan, 1.0, 2.0]})
    ranges = {
        charts.draw_feature(cells, name, "pixels", t=4, colour="#000").layout.xaxis.range for name in ("area", "speed")
    }
    ((low, high),) = ranges
    assert 2 < low < 3
    assert 5 < high < 6


def test_a_page_is_drawn_again_where_the_result_was_replaced_meanwhile(
    copy_of: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = open_labels(copy_of / "01_RES", frames=(0, 5))
    write_result(track(few), copy_of.parent / "few")
    original, asked = content.read_json, []

    def replaced_meanwhile(path: Path) -> dict[str, Any] | None:
        if not asked:
            with output_folder(copy_of / "01_RES", overwrite=True) as work:
                shutil.copytree(copy_of.parent / "few", work, dirs_exist_ok=True)
        asked.append(path)
        return original(path)

    monkeypatch.setattr(content, "read_json", replaced_meanwhile)
    page = open_page(copy_of)
    assert not page.exception
    assert len(asked) > 1
    shown = content.open_result(registry.open_dataset(copy_of).movies[0].results[0])
    assert len(shown.labels) == 6
    assert shown.run is not None
    assert shown.tracks.end.max() == 5
