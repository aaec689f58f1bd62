"""Corrections become pins; solving again honours them, proves the rest, and keeps the old result."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from celltrail.dashboard.correcting import corrections, history, panel
from celltrail.dashboard.correcting.graph import open_graph
from celltrail.dashboard.correcting.history import Entry, Log
from celltrail.dashboard.correcting.words import in_words, namer
from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError, load_graph, open_labels, read_tracks
from celltrail.data.files.check import find_problems
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.pins import Cell, Pin, parse_pin, read_pins
from celltrail.data.regular import read_json
from celltrail.tracking import became, track, write_result
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

A = Pin("link", "forbid", ((0, 1), (1, 1)))
B = Pin("detection", "forbid", ((3, 2),))


def result_of(folder: Path, name: str = "01_RES") -> Result:
    layers = {layer.name: layer for layer in registry.open_dataset(folder).movies[0].layers}
    return content.open_result(layers[name])


def a_link(result: Result) -> Pin:
    """Forbid a link that the solution has chosen, in the middle of the movie."""
    graph = open_graph(result)
    table, links = graph.candidates.detections, graph.candidates.links
    row = next(i for i in np.flatnonzero(graph.solution.link_chosen) if table.frame[links.source[i]] == 5)
    return Pin("link", "forbid", (graph.cell(int(links.source[row])), graph.cell(int(links.target[row]))))


def test_undo_and_redo() -> None:
    log = Log()
    log.add(A)
    log.add(B)
    log.add(B)
    assert log.done == [A, B]
    log.take_back(B)
    assert (log.done, log.undone) == ([A], [B])
    log.add(B)
    assert (log.done, log.undone) == ([A, B], [])
    log.take_back(B)
    log.take_back(A)
    log.take_back(A)
    log.add(B)
    assert (log.done, log.undone) == ([B], [])


def test_the_history_is_kept_line_by_line_by_many_at_once(tmp_path: Path) -> None:
    entries = [Entry(history.now(), "added", Pin("detection", "forbid", ((3, label),))) for label in range(1, 41)]
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda entry: history.append_history(tmp_path, entry), entries))
    assert {entry.pin for entry in history.read_history(tmp_path)} == {entry.pin for entry in entries}
    assert [path.name for path in tmp_path.iterdir()] == [history.HISTORY]
    history.append_history(tmp_path, Entry(history.now(), "taken back", entries[0].pin))
    assert entries[0].pin not in history.replay(history.read_history(tmp_path)).done
    with (tmp_path / history.HISTORY).open("a") as stream:
        stream.write("2026-01-01T00:00:00,added,detection,for")  # somebody is just writing this
    assert len(history.read_history(tmp_path)) == 41
    with (tmp_path / history.HISTORY).open("a") as stream:
        stream.write("\n")
    with pytest.raises(InputError, match="line 43"):
        history.read_history(tmp_path)


def test_contradictions_are_named_before_solving(dataset: Path) -> None:
    result = result_of(dataset)
    cut = a_link(result)
    with pytest.raises(InputError, match="both keep and forbid the same link"):
        corrections.solve_again(result, [cut, Pin("link", "keep", cut.cells)])
    with pytest.raises(InputError, match="cell 999 of frame 0"):
        corrections.solve_again(result, [Pin("detection", "forbid", ((0, 999),))])
    gone = Pin("detection", "forbid", (cut.cells[0],))
    with pytest.raises(InputError, match="forbid cell"):
        corrections.solve_again(result, [gone, Pin("link", "keep", cut.cells)])
    assert not list(dataset.glob("01_RES_corrected*"))


def test_two_people_who_press_at_once_lose_nothing(copy_of: Path) -> None:
    result = result_of(copy_of)
    wishes = [a_link(result), Pin("detection", "forbid", (a_link(result).cells[0],))]
    with ThreadPoolExecutor(2) as people:
        outcomes = list(people.map(lambda pin: corrections.solve_again(result, [pin]), wishes))
    assert {outcome.out.name for outcome in outcomes} == {"01_RES_corrected", "01_RES_corrected2"}
    for pin, outcome in zip(wishes, outcomes, strict=True):
        assert read_pins(outcome.out / "pins.csv") == [pin]
        assert find_problems(outcome.out) == []
    assert not list(copy_of.glob(".*"))


def test_a_cut_link_is_gone_and_costs(copy_of: Path) -> None:
    result = result_of(copy_of)
    pin = a_link(result)
    before = (copy_of / "01_RES" / "res_track.txt").read_bytes()
    outcome = corrections.solve_again(result, [pin])
    assert outcome.status == "optimal"
    assert outcome.after > outcome.before
    (first, label), (second, _) = pin.cells
    old = open_graph(result)
    track = int(old.track[old.row((first, label))])
    sentences = [change.what for change in outcome.changes]
    assert f"Track {track} ends in frame {first}" in sentences
    new = max(read_tracks(outcome.out / "res_track.txt").label)
    assert f"What was track {track} from frame {second} on becomes a track of its own, track {new}" in sentences
    assert outcome.out == copy_of / "01_RES_corrected"
    assert (copy_of / "01_RES" / "res_track.txt").read_bytes() == before

    corrected = result_of(copy_of, "01_RES_corrected")
    assert corrected.run is not None
    assert corrected.run["objective"] == pytest.approx(outcome.after)
    assert corrected.run["corrections"]["base"] == "01_RES"
    _, solution, _ = load_graph(outcome.out / "graph.npz")
    assert solution is not None
    pinned = apply_pins(load_graph(copy_of / "01_RES" / "graph.npz")[0], [pin])
    assert solution.objective == solve_candidates(pinned, solver="pulp:CBC").objective
    assert [problem for problem in find_problems(outcome.out) if problem] == []
    # Every pixel keeps its cell: only the names of the tracks change.
    old, new = open_labels(copy_of / "01_RES"), open_labels(outcome.out)
    for frame in old:
        np.testing.assert_array_equal(old[frame] > 0, new[frame] > 0)


def test_taking_a_correction_back_gives_the_first_result_again(copy_of: Path) -> None:
    pin, gone = (
        a_link(result_of(copy_of)),
        Pin("detection", "forbid", ((2, int(open_labels(copy_of / "01_RES")[2].max())),)),
    )
    corrections.solve_again(result_of(copy_of), [pin, gone])
    again = corrections.solve_again(result_of(copy_of, "01_RES_corrected"), [pin])
    only = corrections.solve_again(result_of(copy_of), [pin])
    assert again.out.name == "01_RES_corrected2"
    assert again.after == only.after
    assert read_pins(again.out / "pins.csv") == [pin]


def test_a_deleted_cell_is_gone(copy_of: Path) -> None:
    graph = open_graph(result_of(copy_of))
    row = int(np.flatnonzero(graph.candidates.detections.frame == 6)[0])
    frame, label = graph.cell(row)
    outcome = corrections.solve_again(result_of(copy_of), [Pin("detection", "forbid", ((frame, label),))])
    old, new = open_labels(copy_of / "01_RES")[frame], open_labels(outcome.out)[frame]
    assert not new[old == graph.track[row]].any()
    assert len(np.unique(new)) == len(np.unique(old)) - 1


def test_a_pair_that_is_no_candidate_can_be_connected(copy_of: Path) -> None:
    graph = open_graph(result_of(copy_of))
    table, links = graph.candidates.detections, graph.candidates.links
    known = set(zip(links.source.tolist(), links.target.tolist(), strict=True))
    here, there = np.flatnonzero(table.frame == 3), np.flatnonzero(table.frame == 4)
    source, target = next((int(a), int(b)) for a in here for b in there if (int(a), int(b)) not in known)
    outcome = corrections.solve_again(
        result_of(copy_of), [Pin("link", "keep", (graph.cell(source), graph.cell(target)))]
    )
    _, solution, track = load_graph(outcome.out / "graph.npz")
    assert solution is not None
    assert track is not None
    assert track[source] == track[target] > 0


def test_a_division_can_be_marked(copy_of: Path) -> None:
    graph = open_graph(result_of(copy_of))
    divisions = graph.candidates.divisions
    row = int(np.flatnonzero(~graph.solution.division_chosen)[0])
    cells = tuple(graph.cell(int(column[row])) for column in (divisions.mother, divisions.first, divisions.second))
    outcome = corrections.solve_again(result_of(copy_of), [Pin("division", "keep", cells)])
    _, _, track = load_graph(outcome.out / "graph.npz")
    assert track is not None
    tracks = read_tracks(outcome.out / "res_track.txt")
    mother, first, second = (
        int(track[int(column[row])]) for column in (divisions.mother, divisions.first, divisions.second)
    )
    assert sorted(tracks.divisions()[mother]) == sorted([first, second])


def test_a_result_without_graph_cannot_be_corrected(copy_of: Path) -> None:
    (copy_of / "01_RES" / "graph.npz").unlink()
    with pytest.raises(InputError, match=r"graph.npz does not exist"):
        corrections.solve_again(result_of(copy_of), [A])


def test_two_cells_of_one_frame_can_be_merged(copy_of: Path) -> None:
    graph = open_graph(result_of(copy_of))
    table = graph.candidates.detections
    rows = np.flatnonzero(table.frame == 6)[:2]
    cells = tuple(graph.cell(int(row)) for row in rows)
    outcome = corrections.solve_again(result_of(copy_of), [Pin("merge", "keep", cells)])
    old, new = open_labels(copy_of / "01_RES")[6], open_labels(outcome.out)[6]
    assert outcome.measured_anew
    assert len(np.unique(new[np.isin(old, graph.track[rows])])) == 1
    frames = load_graph(outcome.out / "graph.npz")[0].detections.frame
    assert (frames == 6).sum() == (table.frame == 6).sum() - 1


def test_input_masks_have_their_own_labels_again(copy_of: Path) -> None:
    result = result_of(copy_of)
    masks = corrections.InputMasks(result, open_graph(result))
    truth = open_labels(copy_of / "01_GT" / "TRA")  # the result was made from these
    assert list(masks) == list(truth)
    for frame in masks:
        np.testing.assert_array_equal(masks[frame], truth[frame])


def test_corrections_read_as_the_screen_names_cells(dataset: Path) -> None:
    graph = open_graph(result_of(dataset))
    row = int(np.flatnonzero(graph.solution.link_chosen)[0])
    source, target = int(graph.candidates.links.source[row]), int(graph.candidates.links.target[row])
    other = next(i for i in range(len(graph.track)) if graph.track[i] not in (0, graph.track[source]))
    me, next_one, stranger = map(graph.cell, (source, target, other))
    track, third = graph.track[source], graph.track[other]
    name = namer(graph)
    frame = me[0]
    for kind, action, cells, sentence in [
        ("link", "forbid", (me, next_one), f"Track {track} is cut after frame {frame}"),
        ("link", "keep", (me, next_one), f"Track {track} goes on from frame {frame} to {frame + 1}"),
        ("link", "keep", (me, stranger), f"Track {track} goes on after frame {frame} as track {third}"),
        (
            "division",
            "keep",
            (me, stranger),
            f"Track {track} divides after frame {frame} into track {third} and another cell",
        ),
        ("division", "forbid", (me,), f"Track {track} does not divide after frame {frame}"),
        ("detection", "forbid", (me,), f"Track {track} is no cell in frame {frame}"),
        ("end", "keep", (me,), f"Track {track} ends in frame {frame}"),
        ("merge", "forbid", (me, stranger), f"Track {track} and track {third} are two cells in frame {frame}"),
    ]:
        assert in_words(Pin(kind, action, cells), name) == sentence


def test_every_kind_of_pin_is_offered(dataset: Path) -> None:
    graph = open_graph(result_of(dataset))
    table, divisions = graph.candidates.detections, graph.candidates.divisions
    born = int(np.flatnonzero(graph.solution.division_chosen)[0])
    mother, first, second = (int(c[born]) for c in (divisions.mother, divisions.first, divisions.second))
    beside = next(i for i in np.flatnonzero(table.frame == table.frame[mother]).tolist() if i != mother)
    offered: set[tuple[str, str, int]] = set()
    for others in ([], [first], [first, second], [beside]):
        for wish in [wish for group in panel.wishes(graph, mother, others) for wish in group]:
            for pin in wish.pins:
                offered.add((pin.kind, pin.action, len(pin.cells)))
                assert parse_pin(str(pin)) == pin
    assert offered == {
        ("detection", "keep", 1),
        ("detection", "forbid", 1),
        ("link", "keep", 2),
        ("link", "forbid", 2),
        ("division", "keep", 2),
        ("division", "keep", 3),
        ("division", "forbid", 1),
        ("division", "forbid", 2),
        ("division", "forbid", 3),
        ("begin", "keep", 1),
        ("end", "keep", 1),
        ("merge", "keep", 2),
        ("merge", "forbid", 2),
    }


SETTINGS = {"appear": 2.0, "border": 1.0, "late": 2.0, "foi": 8, "allow_drop": True, "time_limit": 60.0}


def neighbours(result: Result) -> tuple[Cell, ...]:
    """Two cells of frame 6, as a merge names them."""
    graph = open_graph(result)
    rows = np.flatnonzero((graph.candidates.detections.frame == 6) & (graph.track > 0))[:2]
    return tuple(graph.cell(int(row)) for row in rows)


def tracked_with_settings(folder: Path, **more: Any) -> Result:
    """The result of a run with images and other settings than the defaults."""
    found = track(folder / "01_GT" / "TRA", images=folder / "01", **SETTINGS, **more)
    write_result(found, folder / "01_RES_set")
    return result_of(folder, "01_RES_set")


@pytest.mark.parametrize("repair", [False, True])
def test_a_merge_keeps_every_setting_of_the_run(copy_of: Path, repair: bool) -> None:
    result = tracked_with_settings(copy_of, pins=[A], repair=repair)
    outcome = corrections.solve_again(result, [Pin("merge", "keep", neighbours(result))])
    assert result.run is not None
    again = result_of(copy_of, outcome.out.name).run
    assert again is not None
    before, after = result.run["config"], again["config"]
    assert {**after, "pins": None} == {**before, "pins": None, "repair": False}  # the masks are repaired already
    assert before.items() >= SETTINGS.items()
    assert after["images"] is True
    assert after["pins"] == [str(A), str(Pin("merge", "keep", neighbours(result)))]
    assert again["inputs"]["images"] == result.run["inputs"]["images"]


@pytest.mark.parametrize("lost", ["costs", "images"])
def test_a_merge_needs_the_images_and_the_costs_of_the_run(copy_of: Path, root: Path, lost: str) -> None:
    costs = Path(shutil.copy(root / "tracking" / "costs" / "learned.json", copy_of / "mine.json"))
    result = tracked_with_settings(copy_of, costs=str(costs))
    changed = costs if lost == "costs" else next(iter(sorted((copy_of / "01").iterdir())))
    changed.write_bytes(changed.read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"The {lost} that 01_RES_set was made with .* have changed"):
        corrections.solve_again(result, [Pin("merge", "keep", neighbours(result))])
    assert not list(copy_of.glob("01_RES_set_corrected*"))


def test_a_data_set_that_was_moved_is_still_tracked_again(copy_of: Path, root: Path) -> None:
    costs = Path(shutil.copy(root / "tracking" / "costs" / "learned.json", copy_of / "mine.json"))
    tracked_with_settings(copy_of, costs=str(costs))
    moved = copy_of.rename(copy_of.with_name("elsewhere"))
    result = result_of(moved, "01_RES_set")
    outcome = corrections.solve_again(result, [Pin("merge", "keep", neighbours(result))])
    again = result_of(moved, outcome.out.name).run
    assert again is not None
    assert result.run is not None
    for name in ("images", "costs"):
        assert again["inputs"][name]["sha256"] == result.run["inputs"][name]["sha256"]


def test_a_correction_leaves_the_field_of_interest_as_it_was(copy_of: Path) -> None:
    result = tracked_with_settings(copy_of)
    graph = open_graph(result)
    left_out = graph.solution.used & (graph.track == 0)
    assert left_out.any()
    table, links = graph.candidates.detections, graph.candidates.links
    inside = graph.solution.link_chosen & (graph.track[links.source] > 0) & (graph.track[links.target] > 0)
    row = int(np.flatnonzero(inside & (table.frame[links.source] == 5))[0])
    cells = (graph.cell(int(links.source[row])), graph.cell(int(links.target[row])))
    outcome = corrections.solve_again(result, [Pin("link", "forbid", cells)])
    _, _, track = load_graph(outcome.out / "graph.npz")
    assert track is not None
    np.testing.assert_array_equal(track > 0, graph.track > 0)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A result of masks in which two touching cells are one in frame 3, and another is in pieces in frame 5."""
    random, (y, x) = np.random.default_rng(3), np.mgrid[:64, :80]
    centres = [(10, 10), (10, 20.5), *((row, column) for row in (28, 44) for column in (10, 28, 46, 64)), (10, 46)]
    masks = {}
    for t in range(8):
        masks[t] = np.zeros(y.shape, np.uint16)
        for label, (cy, cx) in enumerate(np.array(centres) + random.normal(0, 0.3, (len(centres), 2)), start=1):
            masks[t][(np.hypot(y - cy, x - cx) <= 5.6) & (masks[t] == 0)] = label
    masks[3][masks[3] == 2] = 1
    masks[5][(masks[5] == 5) & (x > 46)] = 40
    (tmp_path / "01").mkdir()
    write_masks(tmp_path / "01", ((t, (mask > 0) * np.int64(100)) for t, mask in masks.items()), prefix="t")
    write_result(track(masks), tmp_path / "01_RES")
    return tmp_path


def test_what_became_of_masks_is_shown_and_follows_what_is_corrected(damaged: Path, open_page: Any) -> None:
    result = result_of(damaged)
    assert result.run is not None
    kinds = {entry["kind"]: entry for entry in result.run["repairs"]["list"]}
    split, joined = kinds["merged"], kinds["split"]
    assert (split["frame"], joined["frame"]) == (3, 5)
    test = open_page(damaged, "browse", track=str(joined["tracks"][0]), t="5")
    sentence = became.mask_of_cell(result.run, 5, joined["tracks"][0])
    assert sentence.startswith("Mask ")
    assert "was joined with 40 into cell" in sentence
    assert sentence in [caption.value for caption in test.caption]
    assert any(f"({len(became.changed_masks(result.run))})" in expander.label for expander in test.expander)
    graph = open_graph(result)
    half, whole = graph.row_of(3, split["tracks"][0]), graph.row_of(5, joined["tracks"][0])
    assert half is not None
    assert whole is not None
    pins = [Pin("detection", "forbid", (graph.cell(row),)) for row in (half, whole)]
    outcome = corrections.solve_again(result, pins)
    run = read_json(outcome.out / "run.json")
    assert "read as in the result that was corrected" in run["bound_of"]
    (left,) = run["repairs"]["list"]
    assert (left["kind"], left["masks"], len(left["tracks"])) == ("merged", split["masks"], 1)
    assert {(one["frame"], one["label"]) for one in run["left_out_masks"]} == {(5, mask) for mask in joined["masks"]}
    halves = tuple(graph.cell(row) for name in split["tracks"] if (row := graph.row_of(3, name)) is not None)
    again = corrections.solve_again(result, [Pin("merge", "keep", halves)])
    told = read_json(again.out / "run.json")["repairs"]
    assert (told["considered"], told["split"]) == (result.run["repairs"]["considered"], 1)


def test_two_cells_stay_two_whatever_else_is_corrected(damaged: Path) -> None:
    """That two masks are two cells holds in the problem that is solved again, too: no reading joins them."""
    result = result_of(damaged)
    assert result.run is not None
    pieces = next(entry for entry in result.run["repairs"]["list"] if entry["kind"] == "split")
    candidates, _, _ = load_graph(damaged / "01_RES" / "graph.npz")
    cells = tuple((pieces["frame"], label) for label in pieces["masks"])
    pinned = apply_pins(candidates, [Pin("merge", "forbid", cells)])
    solution, d = solve_candidates(pinned), candidates.detections
    used = {(int(t), int(label)) for t, label in zip(d.frame[solution.used], d.label[solution.used], strict=True)}
    assert used.issuperset(cells)
    with pytest.raises(InputError, match="tells apart"):
        corrections.solve_again(result, [Pin("merge", "keep", cells), Pin("merge", "forbid", cells)])
