"""Runs of masks that look wrong, told from areas and overlaps: bars of some length on a line, one row of pixels high."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.repairing.runs import find_runs

LENGTH = 300


def runs_of(*frames):
    """The runs of a movie of bars, given as (begin, end) by frame: their kind, and the bars of each frame, before and after."""
    movie = {}
    for number, bars in enumerate(frames):
        movie[number] = np.zeros((1, LENGTH), np.uint16)
        for label, (begin, end) in enumerate(bars, 1):
            movie[number][0, begin:end] = label
    table = measure_movie(movie)
    bar = [(int(box[2]), int(box[5])) for box in table.box]
    return [
        (
            kind,
            [sorted(bar[row] for row in rows) for rows in run.rows],
            sorted(bar[row] for row in run.before),
            sorted(bar[row] for row in run.after),
        )
        for kind, run in find_runs(table)
    ]


WHOLE, HALVES = (0, 200), [(0, 110), (110, 200)]
ELSEWHERE = (220, 260)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "frames",
    [
        [[WHOLE], HALVES, [WHOLE]],
        [[WHOLE], HALVES, HALVES, [WHOLE]],
        [[WHOLE], [(0, 140), (140, 200)], [(0, 60), (60, 200)], [WHOLE]],  # cut at another place in each frame
        [[WHOLE], [(0, 80), (80, 140), (140, 200)], HALVES, [WHOLE]],
        [[WHOLE], HALVES, [(40, 165)]],  # the cell shrinks, as before a division
        [[WHOLE], HALVES, [(0, 135)]],  # most of one piece lies in nothing afterwards
    ],
)
def test_pieces_are_followed_until_they_are_one_again(frames, turned):
    frames = [[*bars, ELSEWHERE] for bars in (frames[::-1] if turned else frames)]
    inner = [[bar for bar in bars if bar != ELSEWHERE] for bars in frames]
    # that two cells are one from here to the end of the movie is another explanation
    assert [run for run in runs_of(*frames) if run[0] == "split"] == [("split", inner[1:-1], inner[0], inner[-1])]


@pytest.mark.parametrize(
    "frames",
    [
        [[WHOLE], HALVES, HALVES],  # a division
        [[WHOLE], HALVES, [(0, 110)]],  # one daughter goes
        [[WHOLE], [(0, 190), (190, 200)], [WHOLE]],  # a speck beside a cell
        [HALVES, HALVES, [WHOLE]],
        [[WHOLE], HALVES, [(0, 60)]],
        [[(0, 80)], HALVES, [(0, 80)]],  # a neighbour that is seen for a frame
    ],
)
def test_daughters_specks_and_neighbours_are_no_pieces(frames):
    assert not [run for run in runs_of(*frames) if run[0] == "split"]


PAIR = [(0, 100), (100, 200)]


@pytest.mark.parametrize(
    ("before", "masks", "after"),
    [
        (PAIR, [[WHOLE]], PAIR),
        (PAIR, [[WHOLE], [(0, 190)]], PAIR),
        ([(0, 65), (130, 195)], [[(0, 200)]], [(0, 70), (130, 200)]),  # with what lies between them
        (PAIR, [[(0, 215)]], [(0, 66), (150, 216)]),  # they shrink
        ([(0, 70), (70, 140), (140, 210)], [[(0, 210)]], [(0, 70), (70, 140), (140, 210)]),
    ],
)
def test_a_merger_has_as_many_cells_before_as_after(before, masks, after):
    assert runs_of(before, *masks, after) == [("merged", masks, before, after)]


def test_a_neighbour_that_touches_a_merger_is_not_in_it():
    neighbour = (205, 265)
    assert runs_of([*PAIR, neighbour], [(0, 225)], PAIR) == [("merged", [[(0, 225)]], PAIR, PAIR)]
    assert runs_of(PAIR, [(0, 225)], [*PAIR, neighbour]) == [("merged", [[(0, 225)]], PAIR, PAIR)]


def test_a_mask_of_everything_is_no_merger_and_costs_nothing():
    many = [(10 * k, 10 * k + 8) for k in range(28)]
    assert [run[1] for run in runs_of(many, [(0, 282)], many)] == [[[(0, 282)]]]
    assert not runs_of(many, [(0, 282)], many[:1])
    assert not runs_of(many[:3], [(0, 282)], many)


bars = st.lists(st.integers(0, 12), min_size=2, max_size=8, unique=True).map(
    lambda cuts: [(20 * a, 20 * b - 2) for a, b in zip(sorted(cuts)[:-1], sorted(cuts)[1:], strict=True)]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(bars, min_size=2, max_size=6))
def test_runs_lead_from_some_cells_to_as_many(frames):
    for kind, rows, before, after in runs_of(*frames):
        if kind == "split":
            assert (len(before), len(after)) == (1, 1)
            assert all(len(pieces) > 1 for pieces in rows)
        else:
            assert len(before) > 1
            assert len(after) in (0, len(before))
            assert all(len(mask) == 1 for mask in rows)
        starts = range(len(frames) - len(rows) + 1)
        assert any(all(set(group) <= set(frames[k + i]) for i, group in enumerate(rows)) for k in starts)
