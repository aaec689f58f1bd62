"""Pins: their file, their contradictions, and that tracking obeys them."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.pins import Pin, read_pins, write_pins
from celltrail.tracking import track

HEADER = "kind,action,frame,label,frame2,label2,frame3,label3\n"


@pytest.fixture
def masks():
    """Four still cells in five frames; labels 1…4, the same in each frame."""
    labels = np.zeros((64, 64), np.uint16)
    for k, (y, x) in enumerate([(8, 8), (8, 40), (40, 8), (40, 40)], start=1):
        labels[y : y + 10, x : x + 10] = k
    return {t: labels.copy() for t in range(5)}


def rows_of(result):
    return [tuple(row) for row in result.tracks.rows().tolist()]


def test_a_file_is_read_as_it_was_written(tmp_path):
    pins = [
        Pin("detection", "forbid", ((2, 7),)),
        Pin("link", "keep", ((2, 7), (3, 5))),
        Pin("division", "keep", ((2, 7), (3, 5), (3, 6))),
        Pin("division", "forbid", ((2, 7), (3, 5))),
        Pin("merge", "keep", ((4, 1), (4, 2))),
    ]
    write_pins(tmp_path / "pins.csv", pins)
    assert (tmp_path / "pins.csv").read_text().startswith(HEADER + "detection,forbid,2,7,,,,\n")
    assert read_pins(tmp_path / "pins.csv") == pins


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cell,keep,1,1", "no kind"),
        ("link,maybe,1,1,2,2", "no action"),
        ("link,keep,1,1", "needs 2 cells"),
        ("link,keep,2,1,2,2", "later frame"),
        ("link,keep,1,one,2,2", "whole numbers"),
        ("merge,keep,1,1,2,2", "one frame"),
        ("division,keep,1,1,2,2,2,2", "different daughters"),
        ("detection,keep,1,1,2,2", "needs 1 cells"),
    ],
)
def test_every_wrong_line_is_named(tmp_path, line, message):
    (tmp_path / "pins.csv").write_text(f"{HEADER}detection,keep,0,1,,,,\n\n{line}\n")
    with pytest.raises(InputError, match=f"line 4: .*{message}"):
        read_pins(tmp_path / "pins.csv")


def test_another_table_is_refused(tmp_path):
    (tmp_path / "pins.csv").write_text("frame,label\n1,2\n")
    with pytest.raises(InputError, match="another header"):
        read_pins(tmp_path / "pins.csv")
    with pytest.raises(InputError, match="does not exist"):
        read_pins(tmp_path / "none.csv")


def test_a_kept_link_is_made_even_if_it_was_no_candidate(masks):
    result = track(masks, pins=[Pin("link", "keep", ((1, 1), (2, 4)))])
    painted = dict(result.masks())
    assert painted[1][10, 10] == painted[2][45, 45]
    assert result.run["status"] == "optimal"
    assert result.run["config"]["pins"] == ["keep link cell 1 of frame 1 to cell 4 of frame 2"]


def test_a_forbidden_link_is_not_made(masks):
    free, pinned = track(masks), track(masks, pins=[Pin("link", "forbid", ((1, 1), (2, 1)))])
    assert len(free.tracks) == 4
    assert rows_of(pinned).count((1, 0, 1, 0)) == 1
    assert pinned.solution.objective > free.solution.objective


def test_a_forbidden_detection_is_left_out(masks):
    result = track(masks, pins=[Pin("detection", "forbid", ((2, 3),))], max_gap=0)
    assert dict(result.masks())[2][45, 10] == 0
    assert result.run["used"] == 19


def test_a_kept_division_with_both_or_one_daughter(masks):
    both = track(masks, pins=[Pin("division", "keep", ((1, 1), (2, 2), (2, 1)))])
    ((mother, daughters),) = both.tracks.divisions().items()
    painted = dict(both.masks())
    assert painted[1][10, 10] == mother
    assert {painted[2][10, 10], painted[2][10, 45]} == set(daughters)
    masks[2][10:18, 20:26] = masks[3][10:18, 20:26] = masks[4][10:18, 20:26] = 9
    one = track(masks, pins=[Pin("division", "keep", ((1, 1), (2, 9)))])
    ((mother, daughters),) = one.tracks.divisions().items()
    assert dict(one.masks())[1][10, 10] == mother
    assert dict(one.masks())[2][12, 22] in daughters


def test_a_merge_makes_one_cell_of_two_pieces(masks):
    masks[2][13:18, 8:18][masks[2][13:18, 8:18] == 1] = 7
    result = track(masks, pins=[Pin("merge", "keep", ((2, 1), (2, 7)))])
    assert rows_of(result) == [(k, 0, 4, 0) for k in range(1, 5)]
    painted = dict(result.masks())
    assert painted[2][9, 10] == painted[2][16, 10] == painted[1][9, 10]


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ([Pin("link", "keep", ((1, 1), (2, 8)))], "cell 8 of frame 2, but the masks have no such cell"),
        ([Pin("merge", "keep", ((1, 1), (1, 8)))], "cell 8 of frame 1, but the masks have no such cell"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "keep", ((1, 1), (2, 2)))], "two pinned futures"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "keep", ((1, 2), (2, 1)))], "two pinned pasts"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "forbid", ((1, 1), (2, 1)))], "both keep and forbid"),
        ([Pin("detection", "forbid", ((2, 1),)), Pin("link", "keep", ((1, 1), (2, 1)))], "forbid cell 1 of frame 2"),
    ],
)
def test_contradictions_are_named_before_anything_is_solved(masks, pins, message):
    with pytest.raises(InputError, match=message):
        track(masks, pins=pins)
