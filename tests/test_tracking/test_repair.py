"""Masks that hold two cells for a few frames, and cells in pieces, are put right; real divisions and neighbours are not."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import Sequence, write_masks, write_track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.pins import Pin
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.measurements import measure_cells, read_repaired
from celltrail.data.formats.points import read_result
from celltrail.data.graph.candidates import load_graph
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking import track, write_result
from celltrail.tracking.became import cells_of_mask, changed_masks, mask_of_cell
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.logistic import Linear
from celltrail.tracking.explain import explain_cell
from celltrail.tracking.measuring.beside import add_readings
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.repairing.finding import find_repairs
from celltrail.tracking.repairing.movie import RepairableMovie, readings_of
from celltrail.tracking.repairing.prices import Prices
from celltrail.tracking.repairing.shapes import split_by
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates

FRAMES = 8


def disk(labels, centre, radius, label):
    """Draw a disk, or a ball, on what is background."""
    grid = np.indices(labels.shape)
    inside = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2
    labels[inside & (labels == 0)] = label


def crowd(ndim=2):
    """Twelve cells in rows that jitter; cells 1 and 2 touch. All have the same label in every frame."""
    rng = np.random.default_rng(3)
    shape = (64, 80) if ndim == 2 else (12, 64, 80)
    base = [(10, 10), (10, 20.5), *((y, x) for y in (28, 44) for x in (10, 28, 46, 64)), (10, 46), (10, 64)]
    movie = {}
    for number in range(FRAMES):
        labels = np.zeros(shape, np.uint16)
        for label, place in enumerate(base, 1):
            centre = np.array(place) + rng.normal(0, 0.3, 2)
            disk(labels, centre if ndim == 2 else (6, *centre), 5.6, label)
        movie[number] = labels
    return movie


def merge(movie, frames, one=1, two=2):
    """In some frames the second cell is drawn with the label of the first."""
    return {n: np.where((labels == two) & (n in frames), one, labels) for n, labels in movie.items()}


def cut(movie, frames, label=5):
    """In some frames the right half of a cell is drawn with a label of its own."""
    result = {}
    for n, labels in movie.items():
        result[n] = labels.copy()
        if n in frames:
            where = np.argwhere(labels == label)
            right = where[where[:, -1] > where[:, -1].mean()]
            result[n][tuple(right.T)] = 40
    return result


def same_cells(result, truth):
    """Every cell of the truth is one track of the result, with the same pixels but for a few."""
    names = {}
    for number, labels in result.masks():
        for label in np.unique(truth[number][truth[number] > 0]).tolist():
            inside = truth[number] == label
            name = int(np.bincount(labels[inside]).argmax())
            assert name > 0
            assert (labels == name)[inside].mean() > 0.9, (number, label)
            assert inside[labels == name].mean() > 0.9, (number, label)
            assert names.setdefault(label, name) == name
    assert len(set(names.values())) == len(names)
    assert len(result.tracks) == len(names)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("frames", [(3,), (3, 4), (2, 3, 4)])
def test_a_merger_is_split(ndim, frames):
    good = crowd(ndim)
    bad = merge(good, frames)
    result = track(bad, repair=True)
    same_cells(result, good)
    assert result.run["status"] == "optimal"
    repairs = result.run["repairs"]
    assert (repairs["merged"], repairs["split"]) == (len(frames), 0)
    tracks = [int(dict(result.masks())[0][good[0] == label][0]) for label in (1, 2)]
    assert [(r["kind"], r["frame"], r["masks"]) for r in repairs["list"]] == [("merged", n, [1]) for n in frames]
    assert all(sorted(r["tracks"]) == sorted(tracks) for r in repairs["list"])
    plain = track(bad, repair=False)
    assert "repairs" not in plain.run
    with pytest.raises(AssertionError):
        same_cells(plain, good)


def test_a_merger_that_lasts_to_the_end_is_split():
    good = crowd()
    same_cells(track(merge(good, (6, 7)), repair=True), good)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("frames", [(3,), (3, 4)])
def test_pieces_are_joined(ndim, frames):
    good = crowd(ndim)
    result = track(cut(good, frames), repair=True)
    same_cells(result, good)
    assert result.run["repairs"]["split"] == len(frames)
    assert [(r["frame"], r["masks"]) for r in result.run["repairs"]["list"]] == [(n, [5, 40]) for n in frames]
    assert all(len(r["tracks"]) == 1 for r in result.run["repairs"]["list"])


def test_both_errors_in_one_movie():
    good = crowd()
    same_cells(track(cut(merge(good, (2,)), (2, 5)), repair=True), good)


def division(frames=FRAMES):
    """A cell that divides after frame 3 into two that touch, first hardly larger than she."""
    movie = crowd()
    for number in range(4, frames):
        labels = movie[number]
        y, x = np.argwhere(labels == 5).mean(axis=0)
        labels[labels == 5] = 0
        disk(labels, (y, x - 3.5), 4.2, 5)
        disk(labels, (y, x + 3.5), 4.2, 30)
    return movie


def test_a_division_is_left_alone():
    movie = division()
    assert find_repairs(movie, measure_movie(movie)) == []
    assert track(movie, repair=True).run["divisions"] == 1


@pytest.mark.parametrize("last", [4, 5, 6])
def test_daughters_at_the_end_of_a_movie_are_no_pieces(last):
    movie = {n: labels for n, labels in division().items() if n <= last}
    assert find_repairs(movie, measure_movie(movie)) == []


def test_a_division_at_the_start_is_no_merger():
    movie = {n: labels for n, labels in division().items() if n >= 3}
    assert find_repairs(movie, measure_movie(movie)) == []


def test_neighbours_that_touch_are_two_cells():
    movie = crowd()
    touching = np.zeros(movie[0].shape, bool)
    touching[:, 1:] = (movie[0][:, 1:] == 2) & (movie[0][:, :-1] == 1)
    assert touching.any()
    assert find_repairs(movie, measure_movie(movie)) == []


def content(folder):
    """The bytes of a result, but for times, memory, paths, and whether there was something to repair."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".tif", ".txt")}
    run = json.loads((folder / "run.json").read_text())
    for name in ("seconds", "peak_memory_mb", "repairs"):
        run.pop(name, None)
    run["config"].pop("repair")
    with np.load(folder / "graph.npz") as graph:
        arrays = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in graph.items()}
    return found, run, arrays


def test_nothing_to_repair_gives_the_same_bytes(tmp_path):
    for name, repair in (("plain", False), ("repair", True)):
        write_result(track(division(), repair=repair), tmp_path / name)
    assert content(tmp_path / "plain") == content(tmp_path / "repair")
    assert json.loads((tmp_path / "repair" / "run.json").read_text())["repairs"] == {
        "considered": 0,
        "merged": 0,
        "split": 0,
        "list": [],
    }


def test_the_result_can_be_read_and_explained(tmp_path):
    good = crowd()
    result = track(merge(good, (3,)), repair=True)
    write_result(result, tmp_path / "RES")
    same = {n: labels.copy() for n, labels in open_labels(tmp_path / "RES").items()}
    assert all(np.array_equal(same[n], labels) for n, labels in result.masks())
    candidates, solution, names = load_graph(tmp_path / "RES" / "graph.npz")
    name = result.run["repairs"]["list"][0]["tracks"][0]
    told = explain_cell(candidates, solution, names, 3, name, by_track=True)
    assert told["used"]
    assert [choice["kind"] for choice in told["past"] if choice["chosen"]] == ["link"]
    blob = explain_cell(candidates, solution, names, 3, 1)
    assert not blob["used"]


def test_a_mask_that_is_pinned_stays():
    good = crowd()
    pins = [Pin("detection", "keep", ((3, 1),))]
    result = track(merge(good, (3,)), repair=True, pins=pins)
    assert result.run["repairs"] == {"considered": 1, "merged": 0, "split": 0, "list": []}


def test_every_mask_is_used_in_one_reading_or_the_other():
    result = track(cut(merge(crowd(), (2,)), (5,)), repair=True)
    used, cliques = result.solution.used, result.candidates
    pairs = cliques.clique_detection.reshape(-1, 2)
    assert (used[pairs].sum(axis=1) == 1).all()
    outside = np.setdiff1d(np.arange(len(used)), cliques.clique_detection)
    assert used[outside].all()


def test_a_repairable_movie_travels(monkeypatch):
    monkeypatch.setattr("celltrail.tracking.measuring.table.CHUNK", 2)
    bad = cut(merge(crowd(), (3, 4)), (4,))
    movie = RepairableMovie(bad, find_repairs(bad, measure_movie(bad)))
    assert {repair.kind for repair in movie.repairs} == {"merged", "split"}
    whole, sent = measure_movie(movie), measure_movie(pickle.loads(pickle.dumps(movie)), mapper=map)
    assert np.array_equal(whole.label, sent.label)
    assert np.array_equal(whole.overlap_count, sent.overlap_count)
    assert np.array_equal(whole.clique_row, sent.clique_row)


def test_parts_are_the_mask_and_disjoint():
    r"""A bar of 20 pixels; the cells beside it in time were 12 and 8 long, and lay elsewhere.

    aaaaaaaaaaaabbbbbbbb
    """
    whole = (slice(5, 9), slice(10, 30)), np.ones((4, 20), bool)
    cells = [
        ((slice(2, 6), slice(40, 52)), np.ones((4, 12), bool)),
        ((slice(2, 6), slice(52, 60)), np.ones((4, 8), bool)),
    ]
    (first, a), (second, b) = split_by(whole, cells, np.ones(2))
    assert (first, second) == ((slice(5, 9), slice(10, 22)), (slice(5, 9), slice(22, 30)))
    assert a.all()
    assert b.all()
    far = ((slice(2, 6), slice(140, 152)), np.ones((4, 12), bool))
    assert split_by(whole, [cells[0], cells[1], far], np.ones(2)) == []
    assert split_by(whole, [], np.ones(2)) == []


@pytest.mark.parametrize("seed", range(4))
def test_masks_that_are_wrong_in_any_way_are_tracked(seed):
    """Cells take the labels of their neighbours, or lose half of themselves, for one to four frames in a row."""
    rng = np.random.default_rng(seed)
    movie = simulate_movie(frames=12, cells=25, size=(150, 150), crowding=0.5, seed=seed).masks
    for _ in range(25):
        number, lasting = int(rng.integers(1, 11)), int(rng.integers(1, 5))
        labels = np.unique(movie[number])[1:]
        one = int(rng.choice(labels))
        centre = np.argwhere(movie[number] == one).mean(axis=0)
        near = min(
            (int(k) for k in labels if k != one),
            key=lambda k: np.abs(np.argwhere(movie[number] == k).mean(axis=0) - centre).sum(),
        )
        for later in range(number, min(number + lasting, 12)):
            mask = movie[later] == one
            if rng.random() < 0.3:
                mask[: round(centre[0])] = False
            movie[later] = np.where(mask, near, movie[later])
    result = track(movie)
    assert result.solution.objective == result.solution.bound


def test_masks_are_put_right_by_default_and_believed_where_that_is_said():
    good = crowd()
    bad = merge(good, (3,))
    assert track(bad).run["repairs"]["merged"] == 1
    assert track(bad).solution.objective == track(bad, repair=True).solution.objective
    given = track(bad, masks_as_given=True)
    assert "repairs" not in given.run
    assert given.run["detections"] == sum(len(np.unique(mask)) - 1 for mask in bad.values())
    hole = {t: np.where((mask == 1) & (t == 3), 0, mask) for t, mask in good.items()}
    assert track(hole).run["filled"] == 1
    assert track(hole, masks_as_given=True).run["filled"] == 0
    for method in ("lap", "greedy"):  # they take masks as they are given
        assert "repairs" not in track(bad, method=method).run
    with pytest.raises(InputError, match="leave out --masks-as-given"):
        track(good, masks_as_given=True, max_gap=2)


def test_where_no_other_reading_wins_nothing_changes():
    """A price that no links pay leaves costs, choices and what is usual as they are without any alternative."""
    bad = merge(crowd(), (3,))
    dear = Prices(Linear(1000.0, {}), Linear(1000.0, {}))
    table = measure_movie(bad)
    repairs = find_repairs(bad, table, dear)
    movie = RepairableMovie(bad, repairs)
    whole = add_readings(table, readings_of(repairs, table), movie)
    assert len(whole) == len(table) + 2
    prepared = prepare(whole, solve_candidates, TrackSettings(max_gap=0))
    solution, masks = solve_candidates(prepared.candidates), np.flatnonzero(~whole.beside)
    assert solution.used.tolist() == (~whole.beside).tolist()
    links = prepared.candidates.links
    plain = np.isin(links.source, masks) & np.isin(links.target, masks)
    row_of = np.cumsum(~whole.beside) - 1
    alone = prepare(table, solve_candidates, TrackSettings(max_gap=0)).candidates.links
    assert np.array_equal(row_of[links.source[plain]], alone.source)
    assert np.array_equal(row_of[links.target[plain]], alone.target)
    assert np.array_equal(links.cost[plain], alone.cost)


def test_readings_are_measured_as_masks_are():
    """What is told of a reading beside the masks is what a pass over its pixels tells."""
    bad = merge(crowd(), (3, 4))
    table = measure_movie(bad)
    repairs = find_repairs(bad, table)
    beside = add_readings(table, readings_of(repairs, table), RepairableMovie(bad, repairs))
    drawn = {n: RepairableMovie(bad, repairs)[n] for n in bad}
    drawn = {n: np.where(layers[-1] > 0, layers[-1], layers[0]) for n, layers in drawn.items()}
    known = measure_movie(drawn)
    row_of = {key: k for k, key in enumerate(zip(known.frame.tolist(), known.label.tolist(), strict=True))}
    for row in np.flatnonzero(beside.beside).tolist():
        twin = row_of[int(beside.frame[row]), int(beside.label[row])]
        for name in ("position", "area", "box", "depth", "compactness", "elongation"):
            assert np.allclose(getattr(beside, name)[row], getattr(known, name)[twin]), name


def test_tables_mark_what_was_split_and_what_was_left_out(tmp_path):
    good = crowd()
    result = track(merge(good, (3,)))
    write_result(result, tmp_path / "RES")
    repaired = read_repaired(tmp_path / "RES" / "run.json")
    assert sorted(set(repaired.values())) == ["merged"]
    cells = measure_cells(read_result(tmp_path / "RES"), dict(result.masks()), repaired=repaired)
    assert (cells["repaired"] == "merged").sum() == 2
    assert set(cells["frame"][cells["repaired"] != ""]) == {3}
    assert result.run["left_out_masks"] == []
    out = track(good, pins=[Pin("detection", "forbid", ((2, 5),))])
    assert out.run["left_out_masks"] == [{"frame": 2, "label": 5}]
    assert read_repaired(tmp_path / "none.json") is None


def test_costs_are_learned_from_masks_as_they_are(tmp_path):
    """A truth in which something looks like a wrong mask can be learned from, and is not repaired."""
    masks, folder = merge(crowd(), (3,)), tmp_path / "01_GT" / "TRA"
    folder.mkdir(parents=True)
    write_masks(folder, masks.items(), prefix="man_track")
    tracks = Tracks.from_rows([*((k, 0, FRAMES - 1, 0) for k in range(1, 13) if k != 2), (2, 0, 2, 0), (13, 4, 7, 0)])
    masks = {n: np.where((m == 2) & (n > 3), 13, m) for n, m in masks.items()}
    write_masks(folder, masks.items(), prefix="man_track")
    write_track_file(folder / "man_track.txt", tracks)
    example = read_example(Sequence(tmp_path, "01"))
    assert len(example.table) == sum(len(np.unique(mask)) - 1 for mask in masks.values())
    assert (example.cell == example.table.label).all()


def test_what_became_of_each_mask_is_told_in_python_and_by_the_command(tmp_path, capsys):
    """One mask is split, two are joined, two merged by a pin, one is left out by a pin, and one is painted."""
    bad = cut(merge(crowd(), (3,)), (5,))
    right = np.argwhere(bad[6] == 9)
    bad[6][tuple(right[right[:, 1] > right[:, 1].mean()].T)] = 77
    bad[4] = np.where(bad[4] == 4, 0, bad[4])
    pins = [Pin("merge", "keep", ((6, 9), (6, 77))), Pin("detection", "forbid", ((1, 12),))]
    result = track(bad, pins=pins, max_gap=2)
    write_result(result, tmp_path / "RES")

    def told(frame, label):
        answer = explain_cell(result.candidates, result.solution, result.track, frame, label, run=result.run)
        assert console.run(celltrail.cli.app, ["why", f"{tmp_path}/RES", f"{frame}", f"{label}", "--input-label"]) == 0
        assert capsys.readouterr().out.startswith(answer["became"])
        return answer["became"], sorted(one["cell"]["track"] for one in answer["cells"] or [answer])

    painted = dict(result.masks())
    one, two = sorted(int(painted[0][crowd()[0] == label][0]) for label in (1, 2))
    five, nine = (int(painted[0][crowd()[0] == label][0]) for label in (5, 9))
    assert told(3, 1) == (f"Mask 1 of frame 3 was split into the cells {one} and {two} of the result.", [one, two])
    assert told(5, 5) == (f"Mask 5 of frame 5 was joined with 40 into cell {five} of the result.", [five])
    assert told(5, 40) == (f"Mask 40 of frame 5 was joined with 5 into cell {five} of the result.", [five])
    assert told(6, 77) == told(6, 9) == ("Pins say that the masks 9 and 77 of frame 6 are one cell.", [nine])
    assert told(1, 12) == ("Mask 12 of frame 1 was left out, because a pin says that it is no cell.", [0])
    assert told(2, 3)[0] == ""
    hidden = int(painted[0][crowd()[0] == 4][0])
    about = explain_cell(result.candidates, result.solution, result.track, 4, hidden, by_track=True, run=result.run)
    assert about["became"].startswith(f"Cell {hidden} has no mask in frame 4 and was painted there: not seen between")
    half = explain_cell(result.candidates, result.solution, result.track, 3, one, by_track=True, run=result.run)
    assert half["became"] == told(3, 1)[0]
    assert [one["frame"] for one in changed_masks(result.run)] == [1, 3, 4, 5]
    capsys.readouterr()
    command = ["measure", str(tmp_path / "RES"), "--out", str(tmp_path / "cells.csv")]
    assert console.run(celltrail.cli.app, command) == 0
    assert "cells-masks.csv: 4 masks that are not in the result as given." in capsys.readouterr().out
    listed = pd.read_csv(tmp_path / "cells-masks.csv", keep_default_na=False)
    rows = zip(listed["frame"], listed["kind"], listed["masks"], listed["tracks"].astype(str), strict=True)
    changes = [(1, "left out", "12", ""), (3, "merged", "1", f"{one} {two}"), (4, "painted", "", f"{hidden}")]
    assert list(rows) == [*changes, (5, "split", "5 40", f"{five}")]
    assert listed["sentence"].tolist()[1] == told(3, 1)[0]
    assert console.run(celltrail.cli.app, [*command, "--overwrite", "--frames", "6:7"]) == 0
    assert pd.read_csv(tmp_path / "cells-masks.csv").empty
    with pytest.raises(InputError, match="Frame 6 has no cell 99"):
        explain_cell(result.candidates, result.solution, result.track, 6, 99, run=result.run)


@pytest.mark.parametrize(
    "run",
    [
        {"repairs": 3},
        {"repairs": {"list": [7]}},
        {"filled_masks": [{"frame": 1}]},
        {"redrawn_masks": "no"},
        {"config": []},
    ],
)
def test_a_run_of_another_program_tells_nothing(run):
    assert changed_masks(run) == []
    assert mask_of_cell(run, 1, 1) == ""
    result = track(crowd())
    assert cells_of_mask(result.candidates, result.solution, result.track, run, 1, 2) == ([15], "")


def test_masks_with_numbers_of_any_size_are_put_right():
    """What has become of masks is told by their own labels, however large."""
    far = {
        n: np.where(labels > 0, labels.astype(np.int64) * 10**12 + 70_000, 0)
        for n, labels in merge(crowd(), (3,)).items()
    }
    result = track(far)
    assert [(one["frame"], one["masks"]) for one in result.run["repairs"]["list"]] == [(3, [10**12 + 70_000])]
    assert result.solution.objective == track(merge(crowd(), (3,))).solution.objective


@pytest.mark.parametrize("top", [2**62 + 1, 2**63 - 1, 2**64 - 1])
def test_numbers_that_leave_no_room_for_others_are_refused(top):
    movie = {n: np.where(labels == 1, np.uint64(top), labels.astype(np.uint64)) for n, labels in crowd().items()}
    with pytest.raises(InputError, match=f"the label {top}: number the cells up to"):
        track(movie)
