"""Tracking chooses among overlapping hypotheses: neighbours in time decide what one frame leaves open."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.hypotheses import (
    from_labels,
    hash_of_mask,
    labels_of,
    pack_hypotheses,
    paint,
    read_hypotheses,
    with_parts,
    write_hypotheses,
)
from celltrail.data.files.opening import open_labels
from celltrail.data.files.pins import Pin
from celltrail.data.running import console
from celltrail.tracking import track, write_result
from celltrail.tracking.became import changed_masks
from celltrail.tracking.explain import explain_cell
from celltrail.tracking.exporting.changed import find_changed
from celltrail.tracking.measuring.hypotheses import HypothesisMovie

SIZE = (48, 64)
LEFT = (slice(10, 22), slice(8, 20))
RIGHT = (slice(10, 22), slice(20, 32))
WHOLE = (slice(10, 22), slice(8, 32))
FAR = (slice(30, 42), slice(44, 56))


def frame(whole, left, right):
    """One region that is one cell or two, and one cell beyond doubt; the numbers are scores."""
    boxes = [WHOLE, LEFT, RIGHT, FAR]
    masks = [np.ones((b.stop - b.start, c.stop - c.start), bool) for b, c in boxes]
    return pack_hypotheses(SIZE, boxes, masks, [whole, left, right, 5.0], [-1, 0, 0, -1], [0, 0, 0, 1])


def write(folder, frames):
    folder.mkdir()
    for number, found in enumerate(frames):
        write_hypotheses(folder / f"hyp{number:03d}.npz", found)
        labels = np.zeros(SIZE, np.int64)
        labels[WHOLE], labels[FAR] = 1, 2
        write_masks(folder, [(number, labels)])
    return folder


@pytest.fixture
def two_cells(tmp_path):
    """Two cells side by side; in frame 2 they look like one."""
    return write(tmp_path / "masks", [frame(-1.0, 3.0, 3.0) if t != 2 else frame(1.5, 1.0, 1.0) for t in range(5)])


def test_evidence_of_a_doubtful_frame_and_of_a_clear_one(two_cells):
    movie = HypothesisMovie(open_labels(two_cells))
    row_of = {1: 0, 4: 1, 5: 2, 2: 3}  # two equal masks and have their labels, the others lie above
    shown = [(t, label) for t in range(5) for label in ((2, 1, 4, 5) if t == 2 else (4, 5, 2))]
    found = movie.evidence(*np.array(shown).T)
    assert found.share.tolist() == [1.0] * 6 + [1.0, 1.0, 0.5, 0.5] + [1.0] * 6
    assert found.hypothesis.tolist() == [row_of[label] for _, label in shown]
    assert found.reward[2] > found.reward[0] == found.reward[1] > found.reward[7] > 2 * found.reward[8]
    assert list(zip(found.clique_id.tolist(), found.clique_row.tolist(), strict=True)) == [
        (0, 7),
        (0, 8),
        (1, 7),
        (1, 9),
    ]


def test_layers_hold_the_hypotheses_that_may_be_cells(two_cells):
    movie = HypothesisMovie(open_labels(two_cells))
    assert movie[2].shape == (2, *SIZE)
    assert [int((movie[2] == k).any(axis=0).sum()) for k in (1, 4, 5, 2)] == [288, 144, 144, 144]
    assert movie[0].shape == (1, *SIZE)
    assert [int((movie[0] == k).any(axis=0).sum()) for k in (1, 4, 5, 2)] == [0, 144, 144, 144]


def test_the_frames_around_decide(two_cells, tmp_path):
    result = track(two_cells, hypotheses=True)
    assert [tuple(row) for row in result.tracks.rows().tolist()] == [(1, 0, 4, 0), (2, 0, 4, 0), (3, 0, 4, 0)]
    assert result.run["status"] == "optimal"
    painted = dict(result.masks())
    assert len({painted[2][15, 12], painted[2][15, 28], painted[2][35, 50]}) == 3
    pair = sorted({int(painted[2][15, 12]), int(painted[2][15, 28])})
    split = [{"kind": "merged", "frame": t, "masks": [1], "tracks": pair} for t in range(5)]
    assert result.run["repairs"]["list"] == split
    assert result.run["left_out_masks"] == []
    by_default = track(two_cells)  # for they are there
    assert by_default.tracks == result.tracks
    assert by_default.run["repairs"] == result.run["repairs"]
    for believed in ({"hypotheses": False, "repair": False}, {"masks_as_given": True}, {"repair": False}):
        assert not np.diff(dict(track(two_cells, **believed).masks())[2][15, [12, 28]])
    alone = track(two_cells, hypotheses=False)
    assert dict(alone.masks())[2][15, 12] == dict(alone.masks())[2][15, 28]
    write_result(result, tmp_path / "RES")
    assert open_labels(tmp_path / "RES")[2].max() == 3


def test_a_hypothesis_without_a_pixel_is_told_beside_the_masks(two_cells):
    movie = HypothesisMovie(open_labels(two_cells))
    result = track(two_cells)
    found, _ = movie.read(2), movie.labels(2)
    nothing = replace(found, bits=np.zeros_like(found.bits))  # as a file from elsewhere may hold
    movie.read = lambda number: nothing if number == 2 else read_hypotheses(two_cells / f"hyp{number:03d}.npz")
    movie.shapes = lambda number: {
        int(label): (nothing.box(row), nothing.mask(row) if number == 2 else found.mask(row))
        for row, label in enumerate(movie.labels(number).tolist())
    }
    changed = find_changed(movie, result.table, np.ones(len(result.table), dtype=bool))
    assert 2 not in {one.frame for one in changed if one.what in ("merged", "split")}
    assert {one.frame for one in changed if one.what == "left out"} <= {2}


def test_one_cell_stays_one_cell(tmp_path):
    folder = write(tmp_path / "masks", [frame(4.0, 1.0, 1.0) if t != 3 else frame(1.0, 1.5, 1.5) for t in range(6)])
    assert len(track(folder, hypotheses=True).tracks) == 2


def test_hypotheses_of_other_masks_are_not_used_by_default(two_cells, caplog):
    for t in (0, 1, 3):
        found = read_hypotheses(two_cells / f"hyp{t:03d}.npz")
        write_hypotheses(two_cells / f"hyp{t:03d}.npz", replace(found, mask_sha256="of another mask"))
    by_default, alone = track(two_cells), track(two_cells, hypotheses=False)
    assert "belong to other masks" in caplog.text
    assert by_default.run["repairs"] == alone.run["repairs"]
    assert by_default.tracks == alone.tracks


def test_hypotheses_must_be_there_and_fit(two_cells, caplog):
    (two_cells / "hyp003.npz").unlink()
    assert track(two_cells).tracks == track(two_cells, hypotheses=False).tracks
    assert "1 of 5 frames have no hypotheses beside their masks (first: frame 3)" in caplog.text
    with pytest.raises(InputError, match="no hypotheses for 1 frame"):
        track(two_cells, hypotheses=True)
    with pytest.raises(InputError, match="'greedy' takes masks as they are"):
        track(two_cells, hypotheses=True, method="greedy")
    small = pack_hypotheses((8, 8), [(slice(0, 4), slice(0, 4))], [np.ones((4, 4), bool)], [1.0], [-1], [0])
    write_hypotheses(two_cells / "hyp003.npz", small)
    with pytest.raises(InputError, match="shape"):
        track(two_cells, hypotheses=True)
    (two_cells / "hyp003.npz").write_bytes(b"")  # a disk that was full
    with pytest.raises(InputError, match=r"hyp003\.npz is not a hypotheses file"):
        track(two_cells)


def test_an_edited_mask_is_believed_and_its_hypotheses_are_not(tmp_path, caplog):
    folder = write(tmp_path / "masks", [frame(-1.0, 3.0, 3.0)] * 5)
    for number in range(5):  # as 'segment' writes them
        found, mask = read_hypotheses(folder / f"hyp{number:03d}.npz"), open_labels(folder)[number]
        write_hypotheses(folder / f"hyp{number:03d}.npz", replace(found, mask_sha256=hash_of_mask(mask)))
    assert len(track(folder, hypotheses=True).tracks) == 3
    assert "edited" not in caplog.text
    labels = np.zeros(SIZE, np.int64)
    labels[WHOLE] = 7
    write_masks(folder, [(2, labels)])
    result = track(folder, hypotheses=True)
    assert "masks of 1 frame (first: frame 2)" in caplog.text
    assert result.table.label[result.table.frame == 2].tolist() == [7]
    assert result.solution.used[result.table.frame == 2].all()


def test_pins_speak_of_masks_and_of_hypotheses(two_cells):
    """The whole is mask 1 of frame 2; a pin that keeps it wins over what the frames around say. Its left half is 4."""
    assert (track(two_cells, hypotheses=True).table.frame == 2).sum() == 4
    pins = [Pin("detection", "keep", ((2, 1),))]
    kept = dict(track(two_cells, hypotheses=True, pins=pins).masks())[2]
    assert kept[15, 12] == kept[15, 28] > 0
    pins = [Pin("detection", "forbid", ((2, 4),))]
    result = track(two_cells, hypotheses=True, pins=pins)
    here = (result.table.frame == 2) & (result.table.label == 4)
    assert not result.solution.used[here].any()


@pytest.mark.parametrize("options", [{}, {"hypotheses": True}])
def test_where_a_pin_merges_masks_these_are_believed_and_elsewhere_the_hypotheses_stay(two_cells, options, caplog):
    pins = [Pin("merge", "keep", ((2, 1), (2, 2)))]
    result = track(two_cells, pins=pins, **options)
    assert "in 1 frame (first: frame 2)" in caplog.text
    painted = dict(result.masks())
    assert painted[2][15, 12] == painted[2][15, 28] == painted[2][35, 50] > 0
    for frame in (0, 1, 3, 4):
        assert len({painted[frame][15, 12], painted[frame][15, 28], painted[frame][35, 50]} - {0}) == 3
    assert {one["frame"] for one in result.run["repairs"]["list"]} == {0, 1, 3, 4}


def test_a_pin_may_name_a_mask_that_is_no_hypothesis_worth_asking_about(tmp_path, caplog):
    """The whole is the mask, but so unlikely that it is none of the choices: where a pin names it, the masks are believed."""
    folder = write(tmp_path / "masks", [frame(-30.0, 5.0, 5.0)] * 5)
    assert 1 not in track(folder).table.label
    result = track(folder, pins=[Pin("link", "keep", ((1, 1), (2, 1)))])
    assert "in 2 frames (first: frame 1)" in caplog.text
    painted = dict(result.masks())
    assert painted[1][15, 12] == painted[1][15, 28] == painted[2][15, 12] == painted[2][15, 28] > 0
    assert len({painted[3][15, 12], painted[3][15, 28]}) == 2


def test_what_became_of_a_mask_is_told(two_cells, tmp_path, capsys):
    result = track(two_cells)
    answer = explain_cell(result.candidates, result.solution, result.track, 2, 1, run=result.run)
    assert answer["became"] == "Mask 1 of frame 2 was split into the cells 1 and 2 of the result."
    assert [one["cell"]["track"] for one in answer["cells"]] == [1, 2]
    alone = explain_cell(result.candidates, result.solution, result.track, 2, 1)  # without run.json, from the cliques
    assert alone["became"] == answer["became"]
    assert explain_cell(result.candidates, result.solution, result.track, 2, 2, run=result.run)["became"] == ""
    write_result(result, tmp_path / "RES")
    assert console.run(celltrail.cli.app, ["why", str(tmp_path / "RES"), "2", "1", "--input-label"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(answer["became"])
    assert text.count("Past:") == 2


@pytest.mark.parametrize("shape", [(40, 60), (9, 26, 40)])
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_chosen_otherwise_is_drawn_into_the_masks(shape, two_cells, data):
    """Masks as 'segment' writes them, and any other choice: the same pixels as if everything were drawn anew."""
    movie, draw = HypothesisMovie(open_labels(two_cells)), data.draw
    boxes, masks, corner = [], [], [draw(st.lists(st.integers(0, n - 7), min_size=8, max_size=8)) for n in shape]
    for place in zip(*corner, strict=True):
        boxes.append(tuple(slice(a, a + draw(st.integers(3, 7))) for a in place))
        masks.append(np.random.default_rng(len(boxes)).random([side.stop - side.start for side in boxes[-1]]) < 0.8)
    found = pack_hypotheses(shape, boxes, masks, [0.0] * 8, [-1] * 8, range(8), gap=draw(st.integers(0, 3)))
    best = draw(st.lists(st.integers(0, 7), unique=True))
    mask = paint(found, best)
    movie.read = lambda number: replace(found, mask_sha256=hash_of_mask(mask))
    movie.mask, movie.labels = (lambda number: mask), (lambda number: labels_of(found, mask))
    chosen = sorted(draw(st.lists(st.integers(0, 7), unique=True)), key=lambda row: movie.labels(0)[row])
    names = np.array(draw(st.permutations(range(1, 9))))[: len(chosen)]
    drawn = movie.draw(0, movie.labels(0)[chosen], names)
    np.testing.assert_array_equal(drawn, np.append(0, names)[paint(found, chosen)])


def crowd(frames, *, merged=(), cut=()):
    """Masks of twelve squares that jitter, of which the first two touch; in some frames these are one mask, or the third is two."""
    rng = np.random.default_rng(4)
    places = [(6, 6), (6, 16), *((y, x) for y in (24, 42) for x in (6, 24, 42, 60)), (6, 42), (6, 60)]
    movie = {}
    for t in range(frames):
        labels = np.zeros((60, 80), np.int64)
        for label, place in enumerate(places, 1):
            y, x = np.array(place) + rng.integers(0, 2, 2)
            part = labels[y : y + 10, x : x + 10]
            part[part == 0] = label
        if t in merged:
            labels[labels == 2] = 1
        if t in cut:
            third = np.argwhere(labels == 3)
            labels[tuple(third[third[:, 1] > third[:, 1].mean()].T)] = 20
        movie[t] = labels
    return movie


def write_as_found(folder, movie, more=()):
    """The masks with themselves as hypotheses, and in some frames with ``more`` parts of the first: frame → boxes that are full."""
    folder.mkdir()
    write_masks(folder, movie.items())
    for t, labels in movie.items():
        found = from_labels(labels, 1.0)
        boxes = dict(more).get(t, ())
        whole = [np.ones([side.stop - side.start for side in box], bool) for box in boxes]
        found = replace(with_parts(found, list(boxes), whole), mask_sha256=hash_of_mask(labels))
        found.parent[len(found) - len(boxes) :], found.score[len(found) - len(boxes) :] = 0, -0.5
        write_hypotheses(folder / f"hyp{t:03d}.npz", found)
    return folder


@pytest.mark.parametrize(
    ("errors", "kind", "masks"), [({"merged": (3, 4)}, "merged", [1]), ({"cut": (3,)}, "split", [3, 20])]
)
def test_masks_that_look_wrong_are_read_otherwise_where_no_hypothesis_says_so(errors, kind, masks, tmp_path):
    folder = write_as_found(tmp_path / "masks", crowd(8, **errors))
    result = track(folder)
    assert isinstance(result.source, HypothesisMovie)
    assert len(result.tracks) == 12
    assert not len(result.tracks.divisions())
    frames = [t for of in errors.values() for t in of]
    assert [(one["kind"], one["frame"], one["masks"]) for one in result.run["repairs"]["list"]] == [
        (kind, t, masks) for t in frames
    ]
    for t, labels in result.masks():
        truth = crowd(8)[t]
        for label in range(1, 13):
            inside = labels[truth == label]
            assert (inside == np.bincount(inside).argmax()).mean() > 0.7
    as_masks = track(dict(open_labels(folder)))  # and without any hypothesis
    assert result.tracks == as_masks.tracks
    believed = track(folder, hypotheses=True, repair=False)
    assert len(believed.tracks) > 12 or believed.run["divisions"]


def test_masks_that_look_right_are_the_same_with_and_without_repair(tmp_path):
    folder = write_as_found(tmp_path / "masks", crowd(8))
    one, other = track(folder), track(folder, hypotheses=True, repair=False)
    assert one.tracks == other.tracks
    assert one.solution.objective == other.solution.objective


def test_what_a_hypothesis_says_already_is_not_asked_twice(tmp_path):
    movie = crowd(8, merged=(2, 4, 6))
    halves = [
        tuple(slice(int(side.min()), int(side.max()) + 1) for side in np.nonzero(crowd(8)[4] == label))
        for label in (1, 2)
    ]
    folder = write_as_found(tmp_path / "masks", movie, [(4, halves)])
    result = track(folder)
    assert len(result.source.read(4)) == 13 == (result.table.frame == 4).sum()
    assert len(result.source.read(2)) == 13  # where nothing says so, the halves are added
    assert len(result.tracks) == 12
    alone = track(folder, hypotheses=True, repair=False)  # without what the frames around say for the halves
    ours, theirs = (of.table.reward[(of.table.frame == 4) & (of.table.share < 1)] for of in (result, alone))
    assert len(ours) == len(theirs) == 2
    assert (ours > theirs).all()


def test_a_part_can_be_pinned_and_travels(tmp_path, monkeypatch):
    folder = write_as_found(tmp_path / "masks", crowd(8, merged=(3,)))
    result = track(folder)
    parts = np.sort(result.table.label[(result.table.frame == 3) & (result.table.label > 12)]).tolist()
    assert len(parts) == 2
    monkeypatch.chdir(folder.parent)
    there = pickle.loads(pickle.dumps(result.source))
    assert np.array_equal(there[3], result.source[3])
    forbidden = track(folder, pins=[Pin("detection", "forbid", ((3, parts[0]),))])
    assert not forbidden.solution.used[(forbidden.table.frame == 3) & (forbidden.table.label == parts[0])].any()
    kept = track(folder, pins=[Pin("detection", "keep", ((3, 1),))])
    assert kept.solution.used[(kept.table.frame == 3) & (kept.table.label == 1)].all()


@given(st.integers(0, 6), st.integers(0, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_hypotheses_with_parts_are_both(own, more, seed):
    rng = np.random.default_rng(seed)

    def shapes(n):
        boxes = [
            tuple(slice(a, a + b) for a, b in zip(rng.integers(0, 20, 2), rng.integers(1, 9, 2), strict=True))
            for _ in range(n)
        ]
        return boxes, [rng.random([side.stop - side.start for side in box]) < 0.7 for box in boxes]

    boxes, masks = shapes(own)
    found = pack_hypotheses((30, 30), boxes, masks, rng.random(own), [-1] * own, range(own))
    added, patterns = shapes(more)
    both = with_parts(found, added, patterns)
    assert len(both) == own + more
    for row, (box, mask) in enumerate(zip([*boxes, *added], [*masks, *patterns], strict=True)):
        assert both.box(row) == tuple(slice(int(s.start), int(s.stop)) for s in box)
        assert np.array_equal(both.mask(row), mask)


def test_a_cell_that_only_a_hypothesis_shows_is_listed(tmp_path):
    movie = crowd(8)
    y, x = (int(side.min()) for side in np.nonzero(movie[4] == 12))
    lost = (slice(y, y + 10), slice(x, x + 10))
    movie[4][movie[4] == 12] = 0
    folder = write_as_found(tmp_path / "masks", movie, [(4, [lost])])
    found = read_hypotheses(folder / "hyp004.npz")
    found.parent[-1], found.score[-1] = -1, 0.5  # it is no part of the first mask
    write_hypotheses(folder / "hyp004.npz", found)
    result = track(folder)
    assert len(result.tracks) == 12
    assert result.run["filled"] == 0
    track_of = int(dict(result.masks())[3][y + 5, x + 5])
    assert result.run["added_masks"] == [{"frame": 4, "track": track_of}]
    assert result.run["repairs"]["list"] == result.run["redrawn_masks"] == result.run["left_out_masks"] == []
    (one,) = changed_masks(result.run)
    assert (one["kind"], one["masks"], one["tracks"]) == ("added", [], [track_of])
    assert one["sentence"].startswith(f"Cell {track_of} has no mask in frame 4")
