"""What a lineage may hold beside pairs of daughters, and what a number may stand for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.pins import Pin
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import FORBIDDEN, KEPT
from celltrail.data.labels.instances import parts_apart
from celltrail.tracking import track
from celltrail.tracking.explain import explain_cell
from celltrail.tracking.exporting.lineage import build_lineage
from celltrail.tracking.exporting.sisters import third_daughters
from celltrail.tracking.solving.solver import solve_candidates


def disk(labels, y, x, radius, label):
    yy, xx = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = label


def births(turn=90.0, sizes=(6, 6, 6)):
    """A mother who has three daughters in frame 4, around her place, and a neighbour who does nothing."""
    movie = {}
    for number in range(8):
        labels = np.zeros((120, 160), np.uint16)
        disk(labels, 20, 140, 9, 9)
        if number < 4:
            disk(labels, 60, 60, 11, 1)
        else:
            for k, radius in enumerate(sizes):
                angle, away = np.radians(turn + 120 * k), 5 + number
                disk(labels, 60 + away * np.sin(angle), 60 + away * np.cos(angle), radius, 2 + k)
        movie[number] = labels
    return movie


def parents(result):
    """For each cell of frame 4 the label that she has in the masks → the frame in which her parent ends, −1: none."""
    rows = {row[0]: row for row in result.tracks.rows().tolist()}
    d = result.candidates.detections
    found = {}
    for row in np.flatnonzero(d.frame == 4).tolist():
        parent = rows[int(result.track[row])][3]
        found[int(d.label[row])] = rows[parent][2] if parent else -1
    return found


@pytest.mark.parametrize("turn", [0.0, 40.0, 90.0])
def test_a_third_daughter_is_a_daughter(turn):
    result = track(births(turn))
    assert parents(result) == {9: -1, 2: 3, 3: 3, 4: 3}
    assert result.run["status"] == "optimal"
    assert [len(division["daughters"]) for division in result.run["division_list"]["chosen"]] == [3]
    third = next(iter(third_daughters(result.candidates, result.solution)))
    label = int(result.candidates.detections.label[third])
    past = explain_cell(result.candidates, result.solution, result.track, 4, label)["past"][0]
    assert (past["kind"], len(past["cells"]), past["chosen"]) == ("division", 1, True)


def test_a_crumb_beside_a_division_is_no_daughter():
    assert sorted(parents(track(births(sizes=(6, 6, 3)))).values()) == [-1, -1, 3, 3]


def test_pins_on_a_third_daughter_are_obeyed():
    result = track(births())
    third = next(iter(third_daughters(result.candidates, result.solution)))
    label = int(result.candidates.detections.label[third])
    others = [k for k in (2, 3, 4) if k != label]
    for pin in (Pin("link", "forbid", ((3, 1), (4, label))), Pin("begin", "keep", ((4, label),))):
        pinned = track(births(), pins=[pin])
        assert parents(pinned)[label] == -1
        assert all(parents(pinned)[k] == 3 for k in others)
    two = Pin("division", "keep", ((3, 1), (4, others[0]), (4, others[1])))
    assert sorted(parents(track(births(), pins=[two])).values()) == [-1, -1, 3, 3]


PAIR_OF_FRAMES = track({n: births()[n] for n in (3, 4)}, repair=False, max_gap=0).candidates


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_optimum_with_third_daughters_costs_what_it_costs_without(data):
    """Against brute force over two frames with a column more for every division and third cell, which costs what it
    costs to appear: the solver, which knows no such column, proves the same objective."""
    nats = st.integers(-(10**7), 10**7)
    d = PAIR_OF_FRAMES.detections
    given_links, given_divisions = PAIR_OF_FRAMES.links, PAIR_OF_FRAMES.divisions
    links = replace(given_links, cost=np.array([data.draw(nats) for _ in given_links.cost]), terms={})
    divisions = replace(given_divisions, cost=np.array([data.draw(nats) for _ in given_divisions.cost]), terms={})
    solution = solve_candidates(replace(PAIR_OF_FRAMES, links=links, divisions=divisions))
    cells = set(np.flatnonzero(d.frame == 4).tolist())
    futures = []  # of each cell of the first frame: what it costs, who follows
    for mother in np.flatnonzero(d.frame == 3).tolist():
        ways = [(int(d.disappear[mother]), set())]
        ways += [(int(links.cost[k]), {int(links.target[k])}) for k in np.flatnonzero(links.source == mother)]
        for k in np.flatnonzero(divisions.mother == mother):
            pair = {int(divisions.first[k]), int(divisions.second[k])}
            ways.append((int(divisions.cost[k]), pair))
            ways += [(int(divisions.cost[k] + d.appear[third]), pair | {third}) for third in cells - pair]
        futures.append(ways)
    best = min(
        sum(cost for cost, _ in chosen) + sum(int(d.appear[cell]) for cell in cells.difference(*(c for _, c in chosen)))
        for chosen in product(*futures)
        if sum(len(followers) for _, followers in chosen) == len(set().union(*(c for _, c in chosen)))
    )
    start = sum(int(d.appear[row]) for row in np.flatnonzero(d.frame == 3)) + sum(int(d.disappear[c]) for c in cells)
    assert solution.objective == best + start + int(d.cost.sum())


TRIPLE = track(births())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([FORBIDDEN, KEPT, -1]), min_size=64, max_size=64), st.integers(0, 2**12))
def test_no_pin_is_broken_by_a_third_daughter(fixed, seed):
    rng = np.random.default_rng(seed)
    candidates, solution = TRIPLE.candidates, TRIPLE.solution
    links = replace(candidates.links, fixed=rng.choice(np.array(fixed, np.int8), len(candidates.links)))
    divisions = replace(candidates.divisions, fixed=rng.choice(np.array(fixed, np.int8), len(candidates.divisions)))
    pinned = replace(candidates, links=links, divisions=divisions)
    found = third_daughters(pinned, solution)
    assert len(set(found.values())) == len(found)
    for row, division in found.items():
        mother = divisions.mother[division]
        assert solution.appears[row]
        assert divisions.fixed[division] == -1
        assert (links.fixed[(links.source == mother) & (links.target == row)] == -1).all()
        said = (divisions.mother == mother) & ((divisions.first == row) | (divisions.second == row))
        assert (divisions.fixed[said] != FORBIDDEN).all()
    tracks = build_lineage(pinned, solution).tracks
    assert isinstance(tracks, Tracks)
    assert not tracks.problems()


def doubled(gap=60):
    """Three cells in eight frames; from frame 4 on two of them have the same number."""
    movie = {}
    for number in range(8):
        labels = np.zeros((100, 260), np.uint16)
        disk(labels, 50, 60 + number, 9, 5)
        disk(labels, 50, 60 + gap + number, 9, 5 if number > 3 else 6)
        disk(labels, 20, 220, 9, 7)
        movie[number] = labels
    return movie


@pytest.mark.parametrize("gap", [45, 120])
def test_one_number_on_two_distant_cells_is_two_detections(gap, caplog):
    movie = doubled(gap)
    result = track(movie)
    assert result.tracks.rows()[:, 1:].tolist() == [[0, 7, 0]] * 3
    assert "label 5 in frame 4" in caplog.text
    drawn = dict(result.masks())[6]
    assert len(np.unique(drawn)) == 4
    assert np.array_equal(drawn > 0, movie[6] > 0)
    labels = result.candidates.detections.label[result.candidates.detections.frame == 6]
    assert sorted(labels.tolist()) == [5, 7, 8]


def test_pieces_that_lie_beside_each_other_stay_one_cell():
    movie = doubled(22)
    assert track(movie, repair=False).candidates.detections.frame.tolist().count(6) == 2


def test_cells_that_a_pin_merged_stay_one():
    """Neither as one number on two distant cells, nor as a mask that holds two cells for a frame."""
    for gap in (60, 22):
        movie = {n: labels for n, labels in doubled(gap).items() if n < 4}
        merged = track(movie, pins=[Pin("merge", "keep", ((2, 5), (2, 6)))])
        assert merged.candidates.detections.frame.tolist().count(2) == 2


def test_a_map_of_classes_is_still_refused():
    labels = np.zeros((100, 200), np.uint16)
    for k in range(6):
        disk(labels, 30 + 40 * (k % 2), 20 + 30 * k, 8, 1 + k % 2)
    with pytest.raises(InputError, match="map of classes"):
        track(dict.fromkeys(range(5), labels))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16))
def test_parts_apart_are_whole_connected_parts(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 120), np.uint16)
    for _ in range(4):
        disk(labels, *rng.uniform((8, 8), (52, 112)), rng.uniform(1, 8), 1)
    part = parts_apart(labels > 0)
    from skimage.measure import label as connect

    for own in range(1, connect(labels, connectivity=2).max() + 1):
        assert len(np.unique(part[connect(labels, connectivity=2) == own])) == 1
    assert not part[labels == 0].any()
