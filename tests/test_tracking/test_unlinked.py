"""What track says of places that it did not link: gaps that may be chance, gaps beyond the limit, frames without cells."""

from __future__ import annotations

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.files.check import find_problems
from celltrail.data.files.ctc import write_masks
from celltrail.data.running import console
from celltrail.tracking import track
from celltrail.tracking.settings import USUAL_GAP

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]


def still(frames, empty=()):
    """Sixteen cells on a grid that hardly move; label k + 1 is the k-th."""
    random = np.random.default_rng(0)
    masks = {}
    for t in range(frames):
        masks[t] = np.zeros((SIDE, SIDE), np.uint16)
        for k in range(16):
            y, x = np.array([14 + 22 * (k // 4), 14 + 22 * (k % 4)]) + random.normal(0, 0.5, 2)
            masks[t][np.hypot(Y - y, X - x) <= 6] = 0 if t in empty else k + 1
    return masks


def hide(masks, label, frames):
    for t in frames:
        masks[t][masks[t] == label] = 0
    return masks


def test_gaps_that_may_be_chance_are_said_with_what_fills_them():
    """One place shows a cell for three frames, at any time; only twice does it so again within five."""
    visits = [2, 14, 26, 38, 50, 62, 74, 86, 98, 102, 106]
    masks = hide(still(110), 6, set(range(110)) - {t + k for t in visits for k in range(3)})
    result = track(masks)
    assert result.run["filled"] == 0
    (note,) = result.run["notes"]
    assert "2 places look like a cell that went unseen for up to 4 frames: in 1,657 links" in note
    assert "--max-gap 4 links such cells" in note
    assert track(masks, max_gap=4).run["filled"] == 2


def test_a_movie_without_such_places_is_told_nothing():
    assert track(still(12)).run["notes"] == []
    assert track(hide(still(12), 6, [3, 4])).run["notes"] == []  # filled


@pytest.mark.parametrize("options", [{}, {"max_gap": 4}])
def test_gaps_beyond_the_limit_are_said_with_the_limit_that_links_them(options):
    masks = hide(hide(still(20), 6, range(4, 10)), 11, range(8, 14))
    result = track(masks, **options)
    assert result.run["filled"] == 0
    (note,) = result.run["notes"]
    assert "2 places look like a cell that went unseen for 5 to 8 frames, longer than the limit of 4" in note
    assert "--max-gap 8 links" in note
    longer = track(masks, max_gap=8)
    assert (longer.run["filled"], longer.run["notes"]) == (12, [])


@pytest.mark.parametrize("absent", [False, True])
def test_frames_without_cells_that_cut_the_movie_are_said_with_what_joins_it(absent):
    masks = still(14, empty=range(4, 9))
    if absent:
        masks = {t: labels for t, labels in masks.items() if labels.any()}
    result = track(masks)
    assert result.run["tracks"] == 32
    (note,) = result.run["notes"]
    assert "Frames 4 to 8 are empty or missing: all cells before end" in note
    assert "--max-gap 5 links" in note
    joined = track(masks, max_gap=5)
    assert (joined.run["tracks"], joined.run["notes"]) == (16, [])


def test_every_run_of_frames_is_named_in_steps_and_what_no_limit_joins():
    numbers = [0, 1, 7, 8, 17, 18, 60, 61]
    masks = {10 * t: labels for t, labels in zip(numbers, still(8).values(), strict=True)}
    joinable, hopeless = track(masks).run["notes"]
    assert "Frames 20 to 60, 90 to 160 are empty or missing" in joinable
    assert "--max-gap 8 links" in joinable
    assert "Frames 190 to 590 are" in hopeless
    assert "--max-gap" not in hopeless
    assert track(masks, max_gap=8).run["notes"] == [hopeless]
    assert track(masks, max_gap=41).run["tracks"] == 32  # indeed


@pytest.mark.parametrize(("options", "remedy"), [({"method": "lap"}, "'ilp'"), ({"masks_as_given": True}, "Without")])
def test_where_no_gap_is_linked_one_frame_cuts(options, remedy):
    (note,) = track(still(8, empty=[4]), **options).run["notes"]
    assert note.startswith("Frame 4 is empty or missing")
    assert remedy in note


def test_check_knows_the_limit(tmp_path):
    write_masks(tmp_path, ((t, labels) for t, labels in still(10).items() if not 4 <= t <= 7), digits=3)
    (problem,) = find_problems(tmp_path)
    assert "lacks frames 4" in str(problem)
    assert f"over at most {USUAL_GAP} such frames in a row" in str(problem)


def test_the_command_says_it(tmp_path, capsys):
    (tmp_path / "masks").mkdir()
    write_masks(tmp_path / "masks", still(14, empty=range(4, 9)).items(), digits=3)
    assert console.run(celltrail.cli.app, ["track", str(tmp_path / "masks"), "--out", str(tmp_path / "01_RES")]) == 0
    assert "Frames 4 to 8 are empty or missing" in capsys.readouterr().err
