"""Whole movies, small enough to draw by hand: what must be linked, divided, filled, and cut."""

from __future__ import annotations

import json

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import read_tracks
from celltrail.tracking import track, write_result
from celltrail.tracking.costs.pricing import Constants, end_costs, unlikely_cost
from celltrail.tracking.exporting.masks import paint_missing
from celltrail.tracking.measuring.table import measure_movie

SIZE = (64, 64)


def draw(*cells, shape=SIZE):
    """A frame with disks (y, x, radius), labelled in a scrambled order."""
    labels = np.zeros(shape, np.uint16)
    grid = np.indices(shape)
    for k, (y, x, radius) in enumerate(cells):
        labels[(grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= radius**2] = 50 - 3 * k
    return labels


def rows_of(result):
    return [tuple(row) for row in result.tracks.rows().tolist()]


@pytest.fixture
def crowd():
    """Sixteen cells that jitter: enough sure links to learn from. Frame → list of disks."""
    rng = np.random.default_rng(5)
    base = [(8.0 + 16 * (k // 4), 8.0 + 16 * (k % 4), 4.0) for k in range(16)]
    return {t: [(y + rng.normal(0, 0.5), x + rng.normal(0, 0.5), r) for y, x, r in base] for t in range(8)}


def test_still_cells_stay_themselves(crowd):
    result = track({t: draw(*cells) for t, cells in crowd.items()})
    assert rows_of(result) == [(k, 0, 7, 0) for k in range(1, 17)]
    assert result.run["status"] == "optimal"
    assert result.gap == 0
    first = dict(result.masks())[0]
    centres = [tuple(np.argwhere(first == label).mean(axis=0)) for label in range(1, 17)]
    assert centres == sorted(centres)


def test_labels_do_not_matter(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    rng = np.random.default_rng(1)
    shuffled = {t: np.concatenate([[0], rng.permutation(60) + 1])[labels] for t, labels in masks.items()}
    one, two = track(masks), track(shuffled)
    assert one.tracks == two.tracks
    assert one.solution.objective == two.solution.objective
    for (_, a), (_, b) in zip(one.masks(), two.masks(), strict=True):
        assert np.array_equal(a, b)


def test_two_cells_pass_each_other(crowd):
    """Two cells swap sides, at arm's length: each is always nearest to itself.

    a →        → a
         ...
    ← b        b ←
    """
    for t in crowd:
        crowd[t] = [c for c in crowd[t] if c[0] > 30] + [(6.0, 8 + 6.0 * t, 4.0), (18.0, 56 - 6.0 * t, 4.0)]
    result = track({t: draw(*cells) for t, cells in crowd.items()})
    assert len(result.tracks) == 10
    first, last = dict(result.masks())[0], dict(result.masks())[7]
    assert first[6, 8] == last[6, 50]
    assert first[18, 56] == last[18, 14]


def test_a_division_makes_two_daughters(crowd):
    for t in range(4, 8):
        y, x, _ = crowd[t][5]
        crowd[t][5] = (y, x - 3.5, 3.0)
        crowd[t].append((y, x + 3.5, 3.0))
    result = track({t: draw(*cells) for t, cells in crowd.items()})
    assert result.run["divisions"] == 1
    ((mother, daughters),) = result.tracks.divisions().items()
    assert rows_of(result)[mother - 1] == (mother, 0, 3, 0)
    assert [row for row in rows_of(result) if row[3]] == [(label, 4, 7, mother) for label in daughters]
    masks = dict(result.masks())
    y, x, _ = crowd[4][5]
    assert masks[3][round(y), round(x)] == mother
    assert {masks[4][round(y), round(x - 1)], masks[4][round(y), round(x + 7)]} == set(daughters)


def test_a_daughter_may_be_seen_a_frame_late(crowd):
    for t in range(4, 8):
        y, x, _ = crowd[t][5]
        crowd[t][5] = (y, x - 3.5, 3.0)
        if t > 4:
            crowd[t].append((y, x + 3.5, 3.0))
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    result = track(masks, max_gap=1)
    ((mother, daughters),) = result.tracks.divisions().items()
    rows = {row[0]: row for row in rows_of(result)}
    assert rows[mother] == (mother, 0, 3, 0)
    assert [rows[label] for label in daughters] == [(daughters[0], 4, 7, mother), (daughters[1], 5, 7, mother)]
    assert result.tracks.problems() == []


def test_a_mother_may_go_unseen_before_she_divides(crowd):
    missing = crowd[4].pop(5)
    for t in range(5, 8):
        y, x, _ = crowd[t][5]
        crowd[t][5] = (y, x - 3.5, 3.0)
        crowd[t].append((y, x + 3.5, 3.0))
    result = track({t: draw(*cells) for t, cells in crowd.items()}, max_gap=1)
    ((mother, daughters),) = result.tracks.divisions().items()
    rows = {row[0]: row for row in rows_of(result)}
    assert rows[mother] == (mother, 0, 4, 0)
    assert [rows[label][1:] for label in daughters] == [(5, 7, mother)] * 2
    (filled,) = result.run["filled_masks"]
    assert (filled["track"], filled["frame"], filled["before"], filled["after"]) == (mother, 4, 3, None)
    assert "mother" in filled["reason"]
    painted = dict(result.masks())[4] == mother
    assert painted[round(missing[0]), round(missing[1])]
    assert result.tracks.problems() == []
    unfilled = track({t: draw(*cells) for t, cells in crowd.items()}, max_gap=1, fill="never")
    assert {row[0]: row for row in rows_of(unfilled)}[mother] == (mother, 0, 3, 0)


def test_a_speck_may_be_left_out(crowd):
    crowd[3].append((16.0, 16.0, 1.0))
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    result = track(masks, allow_drop=True)
    assert len(result.tracks) == 16
    assert result.run["used"] == result.run["detections"] - 1
    assert dict(result.masks())[3][16, 16] == 0
    assert len(track(masks).tracks) == 17


def test_a_missing_mask_is_bridged_and_filled(crowd):
    hidden = crowd[4].pop(9)
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    result = track(masks, max_gap=1)
    assert rows_of(result) == [(k, 0, 7, 0) for k in range(1, 17)]
    assert result.run["gap_links"] == 1
    (filled,) = result.run["filled_masks"]
    assert (filled["track"], filled["frame"], filled["before"], filled["after"]) == (10, 4, 3, 5)
    assert filled["covered"] == 0
    assert filled["reason"].startswith("not seen between frames 3 and 5: one cell ends and one begins")
    painted = dict(result.masks())[4]
    assert painted[round(hidden[0]), round(hidden[1])] == 10
    assert ((painted > 0) >= (masks[4] > 0)).all()
    plain = track(masks, max_gap=1, fill="never")
    assert (10, 0, 3, 0) in rows_of(plain)
    assert (17, 5, 7, 10) in rows_of(plain)
    assert plain.run["unfilled_gaps"] == 1


def test_a_filled_mask_has_a_pixel_even_where_all_is_covered(crowd):
    crowd[4].pop(9)
    result = track({t: draw(*cells) for t, cells in crowd.items()}, max_gap=1)
    ((name, number, before, after),) = result.lineage.fills.tolist()
    covered = np.ones(SIZE, np.int64)
    covered[60, 60] = 0
    paint_missing(covered, result.source, result.table, name, number, before, after)
    assert np.argwhere(covered == name).tolist() == [[60, 60]]
    paint_missing(covered, result.source, result.table, 99, number, before, after)
    assert (covered == 99).sum() == 1


def test_gaps_are_switched_on_by_the_movie(crowd):
    whole = track({t: draw(*cells) for t, cells in crowd.items()})
    assert whole.run["scale"]["max_gap"] == 0
    for t, k in ((2, 3), (3, 9), (5, 11)):
        crowd[t].pop(k)
    holed = track({t: draw(*cells) for t, cells in crowd.items()})
    assert holed.run["scale"]["max_gap"] == 1
    assert len(holed.tracks) == 16
    assert holed.run["gap_links"] == 3
    # the price of a gap is the rate in a solution without any, with half a gap in 50 links believed before
    links = holed.run["links"] - 3
    assert holed.run["constants"]["gap"] == pytest.approx(-np.log((3 + 0.5) / (links + 50)))
    assert holed.run["scale"]["gap_rate"] == pytest.approx(3 / (links + 3))
    assert whole.run["scale"]["gap_rate"] == 0
    assert whole.run["constants"]["gap"] == Constants.gap  # one cell in a hundred, as the prior of the rate


def test_one_cell_ends_where_an_unlike_one_begins_beside_it(crowd):
    for t in range(8):
        if t >= 4:
            crowd[t][5] = (24.0, 44.0, 1.5)  # two and a half cells away, and much smaller
        crowd[t].pop(6)
    rows = rows_of(track({t: draw(*cells) for t, cells in crowd.items()}))
    assert sorted((begin, end) for _, begin, end, _ in rows) == [(0, 3), *[(0, 7)] * 14, (4, 7)]
    assert {parent for *_, parent in rows} == {0}


def test_a_link_is_the_dearer_the_less_likely_it_is():
    constants, logit = Constants(), np.linspace(6, -12, 400)
    cost = unlikely_cost(logit, constants) - logit
    assert (np.diff(cost) > 0).all()
    assert np.array_equal(cost[logit >= -constants.unlikely], -logit[logit >= -constants.unlikely])
    assert cost[-1] == pytest.approx(12 + constants.steep * (12 - constants.unlikely))


def test_beginning_in_the_second_frame_costs_no_more_than_one_unseen_frame(crowd):
    table = measure_movie({t: draw(*cells) for t, cells in crowd.items()})
    appear, disappear = end_costs(table, Constants(margin=0.0, border=7.0))
    assert [appear[table.frame == t].max() for t in range(4)] == [0, 4.6, 7, 7]
    assert [disappear[table.frame == t].max() for t in range(4, 8)] == [7, 7, 4.6, 0]


def test_a_missing_frame_is_a_gap_not_an_end(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items() if t != 3}
    result = track(masks)
    assert rows_of(result) == [(k, 0, 7, 0) for k in range(1, 17)]
    painted = dict(result.masks())
    assert sorted(painted) == list(range(8))
    assert len(np.unique(painted[3])) == 17
    masks[3] = np.zeros(SIZE, np.uint16)
    assert track(masks).tracks == result.tracks
    cut = track(masks, fill="never")
    assert len(cut.tracks) == 32
    assert not cut.tracks.problems()


def test_cells_leave_and_enter_at_the_side(crowd):
    for t in crowd:
        inner = [c for c in crowd[t] if c[0] > 14]
        crowd[t] = [
            *inner,
            *([(6.0 - 3 * t, 20.0, 4.0)] if t < 4 else []),
            *([(6.0 - 3 * (7 - t), 52.0, 4.0)] if t > 4 else []),
        ]
    result = track({t: draw(*cells) for t, cells in crowd.items()})
    assert sorted((row[1], row[2]) for row in rows_of(result)) == [(0, 3)] + [(0, 7)] * 12 + [(5, 7)]
    assert result.run["divisions"] == 0


def test_field_of_interest_drops_what_lies_in_the_rim(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    result = track(masks, foi=14)
    assert len(result.tracks) == 4
    kept = dict(result.masks())[0]
    assert {tuple(np.round(np.argwhere(kept == k).mean(axis=0) / 16 - 0.5)) for k in range(1, 5)} == {
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    }


@pytest.mark.parametrize("method", ["lap", "greedy"])
def test_baselines_track_what_is_easy(crowd, method):
    for t in range(4, 8):
        y, x, _ = crowd[t][5]
        crowd[t][5] = (y, x - 3.5, 3.0)
        crowd[t].append((y, x + 3.5, 3.0))
    result = track({t: draw(*cells) for t, cells in crowd.items()}, method=method)
    best = track({t: draw(*cells) for t, cells in crowd.items()})
    assert result.tracks == best.tracks
    assert result.run["objective"] == pytest.approx(best.run["objective"])
    assert result.run["bound"] <= best.run["objective"] + 1e-6


def test_three_dimensions():
    shape = (12, 40, 40)
    grid = np.indices(shape)
    masks = {}
    for t in range(5):
        labels = np.zeros(shape, np.uint16)
        for k, (z, y, x) in enumerate([(3, 10, 10), (8, 10, 12), (5, 30, 30), (6, 28, 10), (6, 12, 30), (3, 22, 20)]):
            labels[((grid[0] - z) * 2) ** 2 + (grid[1] - y - t) ** 2 + (grid[2] - x) ** 2 <= 16] = 9 - (k + t) % 7
        masks[t] = labels
    result = track(masks, voxel=(2.0, 1.0, 1.0))
    assert rows_of(result) == [(k, 0, 4, 0) for k in range(1, 7)]


@pytest.mark.parametrize(
    "masks", [{0: draw((20, 20, 5))}, {0: draw(), 1: draw()}, {3: draw(), 4: draw((20, 20, 5)), 9: draw()}]
)
def test_movies_with_next_to_nothing(masks, tmp_path):
    result = track(masks)
    assert result.run["status"] == "optimal"
    assert len(result.tracks) == sum(bool(frame.any()) for frame in masks.values())
    write_result(result, tmp_path / "res")
    assert (tmp_path / "res" / "res_track.txt").exists()


def test_what_is_written_can_be_read(crowd, tmp_path):
    result = track({t: draw(*cells) for t, cells in crowd.items()})
    run = write_result(result, tmp_path / "RES")
    assert read_tracks(track_file(tmp_path / "RES")) == result.tracks
    stored = json.loads((tmp_path / "RES" / "run.json").read_text(encoding="utf-8"))
    assert stored == run
    assert stored["schema"] == "celltrail.run/1"
    assert stored["objective"] == stored["bound"]
    assert {"measure", "costs", "solve", "lineage", "write", "total"} <= set(stored["seconds"])
    for number, labels in open_labels(tmp_path / "RES").items():
        assert labels.dtype == np.uint16
        alive = result.tracks.label[(result.tracks.begin <= number) & (result.tracks.end >= number)]
        assert np.array_equal(np.unique(labels)[1:], alive)
    again = track(tmp_path / "RES")
    assert again.tracks == result.tracks
    with pytest.raises(InputError, match="exists already"):
        write_result(result, tmp_path / "RES")


def test_settings_that_make_no_sense(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    for wrong in ({"method": "magic"}, {"costs": "free"}, {"fill": "maybe"}, {"max_gap": -1}, {"foi": -3}):
        with pytest.raises(InputError):
            track(masks, **wrong)


def test_twenty_thousand_cells_in_a_frame():
    cell = np.pad(np.ones((3, 3), np.int32), 1)
    frame = np.kron(np.arange(1, 20_001, dtype=np.int32).reshape(100, 200), cell)
    result = track({0: frame, 1: np.roll(frame, 1, axis=1)})
    assert result.gap == 0
    assert len(result.tracks.rows()) == 20_000
    assert (result.tracks.rows()[:, 1:3] == (0, 1)).all()


def test_numbers_of_frames_do_not_matter(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    first, later = track(masks), track({t + 1200: labels for t, labels in masks.items()})
    assert later.run["objective"] == first.run["objective"]
    assert later.run["constants"]["rebirth_frames"] == first.run["constants"]["rebirth_frames"]


def test_a_voxel_of_a_flat_movie_has_two_sides(crowd):
    masks = {t: draw(*cells) for t, cells in crowd.items()}
    assert track(masks, voxel=(0.5, 0.25)).candidates.voxel == (1.0, 0.5, 0.25)
    with pytest.raises(InputError, match="does not fit a 3D movie"):
        track({t: np.stack([labels, labels]) for t, labels in masks.items()}, voxel=(0.5, 0.25))
