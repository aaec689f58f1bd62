"""Cells that went unseen: what counts as evidence, what it costs, that limits are obeyed, and that frames are counted in steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.pins import Pin
from celltrail.data.files.steps import find_step
from celltrail.data.formats.measurements import measure_cells, measure_tracks, read_filled
from celltrail.data.formats.points import links_of, read_result
from celltrail.tracking import track, write_result
from celltrail.tracking.candidates.links import LinkTable, join_links
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing import preparation
from celltrail.tracking.preparing.unseen import look_for_gaps

Y, X = np.mgrid[:96, :96]


def disk(labels, y, x, radius, label):
    labels[np.hypot(Y - y, X - x) <= radius] = label


def still(frames=8, cells=16, seed=0):
    """Cells on a grid that hardly move; labels 1, 2, …"""
    random = np.random.default_rng(seed)
    masks = {}
    for t in range(frames):
        masks[t] = np.zeros(Y.shape, np.uint16)
        for k in range(cells):
            y, x = np.array([14 + 22 * (k // 4), 14 + 22 * (k % 4)]) + random.normal(0, 0.5, 2)
            disk(masks[t], y, x, 6, k + 1)
    return masks


def hide(masks, label, *frames):
    for t in frames:
        masks[t] = np.where(masks[t] == label, 0, masks[t]).astype(masks[t].dtype)
    return masks


def rows_of(result):
    return sorted(tuple(row) for row in result.tracks.rows().tolist())


def test_an_empty_place_speaks_for_a_gap_and_a_covered_one_against():
    masks = hide(still(), 6, 3)
    bridged = track(masks)
    assert rows_of(bridged) == [(k, 0, 7, 0) for k in range(1, 17)]
    disk(masks[3], 36, 36, 9, 40)  # something else lies there in that frame
    disk(masks[2], 36, 24, 4, 41)  # and has come from beside it
    disk(masks[4], 36, 48, 4, 41)
    covered = track(masks)
    assert not any(row["covered"] > 0.5 for row in covered.run["filled_masks"])


def test_the_price_of_a_gap_never_rests_on_gaps_that_were_allowed():
    """Cells that come and go as specks, where nothing is missing: none of them is painted."""
    masks = still(frames=10)
    for t in (2, 5, 8):
        disk(masks[t], 47, 47, 2, 50)
    result = track(masks)
    assert result.run["filled"] == 0
    assert result.run["scale"]["gap_rate"] == 0


def test_one_that_is_unseen_mostly_stays_so_for_a_while():
    """The first frame costs what gaps cost in this movie, each further one as much as one that shows no cell at all."""
    price = {}
    for lost in (1, 2, 3):
        result = track(hide(still(frames=12), 6, *range(4, 4 + lost)))
        links, frame = result.candidates.links, result.candidates.detections.frame
        over = result.solution.link_chosen & (frame[links.target] - frame[links.source] == 1 + lost)
        (price[lost],) = links.terms["unseen"][over].tolist()
        assert price[lost] == pytest.approx(result.run["constants"]["gap"] + lost - 1, abs=0.01)


@pytest.mark.parametrize("price", [0, 0.1, 1])
def test_cheap_gaps_are_not_fewer_and_cells_do_not_end_for_nothing(price):
    masks = hide(hide(still(frames=20), 6, 8, 9), 11, 12)
    default, cheap = track(masks), track(masks, gap_cost=price)
    assert cheap.run["filled"] == default.run["filled"] == 3
    middle = cheap.candidates.detections.appear[cheap.candidates.detections.frame == 9]
    assert (middle > 2 * 10**6).all()
    assert track(still(frames=20), gap_cost=price).run["filled"] == 0


def test_where_cells_go_unseen_the_movie_is_looked_at_twice_at_one_price(monkeypatch):
    """What the first solution took for a link may be loose in the second; the price rests on the first alone."""
    looks = []

    def look(*args, **options):
        looks.append(look_for_gaps(*args, **options))
        return looks[-1]

    monkeypatch.setattr(preparation, "look_for_gaps", look)
    track(still())
    assert [one.believed for one in looks] == [False]
    looks.clear()
    result = track(hide(still(), 6, 3))
    assert [one.believed for one in looks] == [True, True]
    assert looks[0].constants == looks[1].constants
    assert result.run["scale"]["gap_rate"] == looks[0].rate > 0


def test_of_links_in_two_tables_the_less_doubtful_stays():
    one = links_over_a_frame([0, 0, 1], [2, 3, 3], [2, 0.3, 2])
    other = links_over_a_frame([0, 1], [2, 2], [0.1, 0])
    joined = join_links([one, other])
    assert list(zip(joined.source.tolist(), joined.target.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert joined.doubt.tolist() == pytest.approx([0.1, 0.3, 0, 2])


def links_over_a_frame(source, target, doubt):
    n = len(source)
    return LinkTable(
        source=np.array(source),
        target=np.array(target),
        span=np.full(n, 2, np.int8),
        distance=np.zeros(n),
        shared=np.zeros(n, np.int32),
        blank=np.zeros(n, np.int8),
        doubt=np.array(doubt, np.float32),
    )


def passing(width):
    """A cell slides to the right, is not seen in two frames, and comes back a little lower; the others hardly move."""
    y, x = np.mgrid[:96, :width]
    masks = {}
    for t, place in enumerate([82, 84, 86, 88, 91, None, None, 91, 88, 86, 84, 82]):
        labels = still(frames=12)[t]
        masks[t] = np.pad(np.where(labels == 4, 0, labels), ((0, 0), (0, width - 96)))
        if place:
            masks[t][np.hypot(y - 14 - 5 * (t > 6), x - place) <= 6] = 4
    return masks


def test_one_that_leaves_at_the_side_and_comes_back_is_no_gap():
    at_the_side, inside = track(passing(96)), track(passing(136))
    assert at_the_side.run["filled"] == at_the_side.run["scale"]["gap_rate"] == 0
    assert inside.run["filled"] == 2


@pytest.mark.parametrize("lost", [1, 3])
def test_the_limit_is_in_frames_and_obeyed(lost):
    masks = hide(still(frames=12), 6, *range(4, 4 + lost))
    assert track(masks, max_gap=lost).run["filled"] == lost
    assert track(masks, max_gap=lost - 1).run["filled"] == 0


def test_empty_frames_are_frames():
    masks = still(frames=10)
    for t in (4, 5):
        masks[t] = np.zeros_like(masks[t])
    assert track(masks, max_gap=0).run["filled"] == 0
    assert track(masks, max_gap=1).run["filled"] == 0
    assert track(masks).run["filled"] == 2 * 16
    long = {t: masks[0] if t < 3 or t > 302 else np.zeros_like(masks[0]) for t in range(306)}
    assert track(long, max_gap=100).run["filled"] == 0


def test_a_cell_does_not_survive_many_empty_frames_for_nothing():
    masks = {t: np.zeros(Y.shape, np.uint16) for t in range(40)}
    for t in (*range(4), *range(36, 40)):
        disk(masks[t], 48, 48, 6, 1)
    assert track(masks, max_gap=100).run["filled"] == 0


@pytest.mark.parametrize(("value", "message"), [(-1, "0 to 100"), (101, "0 to 100"), (10**9, "0 to 100")])
def test_a_limit_that_makes_no_sense_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        track(still(2), max_gap=value)


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0])
def test_a_time_limit_is_a_number(limit):
    with pytest.raises(InputError, match="time_limit"):
        track(still(2), time_limit=limit)


def test_every_painted_mask_is_listed_and_flagged(tmp_path):
    masks = hide(still(), 6, 3)
    result = track(masks, pins=[Pin("link", "keep", ((2, 6), (4, 6)))])
    assert "pin" in result.run["filled_masks"][0]["reason"]
    result = track(masks)
    write_result(result, tmp_path / "RES")
    listed = json.loads((tmp_path / "RES" / "run.json").read_text())["filled_masks"]
    assert [(row["frame"], row["track"], row["covered"]) for row in listed] == [(3, 8, 0.0)]
    assert "nothing else explains" in listed[0]["reason"]
    filled = read_filled(tmp_path / "RES" / "run.json")
    points = read_result(tmp_path / "RES")
    cells = measure_cells(points, dict(result.masks()), filled=filled)
    assert cells.loc[cells["filled"], ["frame", "label"]].to_numpy().tolist() == [[3, 8]]
    assert measure_tracks(points, cells).set_index("track")["filled"].to_dict() == {
        k: int(k == 8) for k in range(1, 17)
    }
    assert read_filled(tmp_path / "none.json") is None


@pytest.mark.parametrize("step", [5, 600])
def test_minutes_are_steps(tmp_path: Path, step: int, caplog):
    masks = hide(still(frames=6), 6, 3)
    apart = {step * t: labels for t, labels in masks.items()}
    one, other = track(masks), track(apart)
    assert other.solution.objective == one.solution.objective
    assert rows_of(other) == [(label, step * begin, step * end, parent) for label, begin, end, parent in rows_of(one)]
    assert other.run["scale"]["step"] == step
    assert f"lie {step} apart" in caplog.text
    assert [row["frame"] for row in other.run["filled_masks"]] == [3 * step]
    run = write_result(other, tmp_path / "RES")
    assert run["filled"] == 1
    assert len(list((tmp_path / "RES").glob("mask*.tif"))) == 6
    assert not find_problems(tmp_path / "RES")
    assert len(links_of(read_result(tmp_path / "RES"))) == 16 * 5


def test_a_step_may_be_said():
    masks = {2 * t: labels for t, labels in still(frames=5).items()}
    assert track(masks).run["filled"] == 0
    counted = track(masks, step=1)
    assert counted.run["scale"]["step"] == 1
    assert counted.run["filled"] == 4 * 16  # every second frame is missing
    with pytest.raises(InputError, match="A step of 3 does not fit"):
        track(masks, step=3)


def test_a_movie_of_absent_frames_is_refused_before_it_is_made(tmp_path):
    masks = still(frames=3)
    masks[9_999_999] = masks.pop(2)
    with pytest.raises(InputError, match="from 0 to 9,999,999, but there are only 3 frames"):
        track(masks)
    (tmp_path / "m").mkdir()
    write_masks(tmp_path / "m", masks.items(), digits=7)
    assert any("9,999,999" in str(problem) for problem in find_problems(tmp_path / "m"))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8, unique=True), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_step_is_the_largest_that_fits(numbers, factor):
    numbers = sorted(factor * number for number in numbers)
    step = find_step(numbers)
    differences = [b - a for a in numbers for b in numbers if b > a]
    assert all(difference % step == 0 for difference in differences)
    if differences:
        assert step % factor == 0
        assert not any(all(d % more == 0 for d in differences) for more in range(step + 1, max(differences) + 1))


def test_glimpses_count_pixels():
    masks = {0: np.zeros((8, 8), np.uint8), 1: np.zeros((8, 8), np.uint8)}
    masks[0][2:4, 2:4] = 7
    masks[1][3:5, 3:5], masks[1][0:2, 0:2] = 9, 3
    table = measure_movie(masks)
    row = {(f, label): k for k, (f, label) in enumerate(zip(table.frame.tolist(), table.label.tolist(), strict=True))}
    used = np.ones(3, bool)
    seen = Glimpses(masks, table, used)
    zero, along = np.zeros(3), np.array([0.0, 1.0, 1.0])
    assert seen.shared(row[0, 7], zero, 1) == {row[1, 9]: 1}
    assert seen.shared(row[0, 7], along, 1) == {row[1, 9]: 4}
    assert seen.covered(row[0, 7], zero, 1) == 0.25
    assert seen.covered(row[0, 7], zero, 5) == 0  # a frame that is not there covers nothing
    assert seen.covered(row[0, 7], np.array([0.0, 50.0, 0.0]), 1) == 1  # outside
    used[row[1, 9]] = False
    assert seen.covered(row[0, 7], along, 1) == 0
