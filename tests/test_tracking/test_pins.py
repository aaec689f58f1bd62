"""Pins: their file, their contradictions, and that tracking obeys them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.hypotheses import hash_of_mask, pack_hypotheses, write_hypotheses
from celltrail.data.files.opening import open_labels
from celltrail.data.files.pins import Pin, read_pins, write_pins
from celltrail.tracking import candidate_graph, solve, track

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
        Pin("division", "forbid", ((2, 7),)),
        Pin("begin", "keep", ((2, 7),)),
        Pin("end", "keep", ((2, 7),)),
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
        ("division,keep,1,1", "needs 2 to 3 cells"),
        ("begin,forbid,1,1", "can only be kept"),
        ("end,keep,1,1,2,2", "needs 1 cell"),
        ("link,keep,2,1,2,2", "later frame"),
        ("link,keep,1,one,2,2", "whole numbers"),
        ("merge,keep,1,1,2,2", "one frame"),
        ("division,keep,1,1,2,2,2,2", "different daughters"),
        ("detection,keep,1,1,2,2", "needs 1 cell"),
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


def test_three_pieces_are_merged_by_two_pins_and_a_pin_may_name_any_of_them(masks):
    masks[2][13:16, 8:18][masks[2][13:16, 8:18] == 1] = 7
    masks[2][16:18, 8:18][masks[2][16:18, 8:18] == 1] = 9
    merges = [Pin("merge", "keep", ((2, 9), (2, 7))), Pin("merge", "keep", ((2, 7), (2, 1)))]
    result = track(masks, pins=[*merges, Pin("link", "forbid", ((1, 1), (2, 9)))])
    assert result.table.label[result.table.frame == 2].tolist() == [1, 2, 3, 4]
    painted = dict(result.masks())
    assert painted[2][9, 10] == painted[2][14, 10] == painted[2][17, 10] != painted[1][9, 10]


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        (
            [Pin("merge", "keep", ((2, 1), (2, 2))), Pin("division", "keep", ((1, 1), (2, 1), (2, 2)))],
            "merge cells that another pin tells apart",
        ),
        (
            [Pin("merge", "keep", ((2, 1), (2, 2))), Pin("detection", "forbid", ((2, 2),))],
            "forbid cell 2 of frame 2, but also keep merge cell 1 of frame 2 and cell 2 of frame 2",
        ),
        (
            [Pin("merge", "keep", ((2, 1), (2, 2))), Pin("merge", "forbid", ((2, 2), (2, 1)))],
            "tells apart .keep merge cell 1 of frame 2 and cell 2 of frame 2; forbid merge",
        ),
        (
            [
                Pin("merge", "keep", ((2, 1), (2, 2))),
                Pin("link", "keep", ((1, 1), (2, 1))),
                Pin("link", "keep", ((1, 2), (2, 2))),
            ],
            "two pinned pasts",
        ),
        (
            [
                Pin("merge", "keep", ((2, 1), (2, 2))),
                Pin("link", "keep", ((1, 1), (2, 2))),
                Pin("link", "forbid", ((1, 1), (2, 1))),
            ],
            "both keep and forbid the same link",
        ),
        (
            [Pin("division", "keep", ((1, 1), (2, k))) for k in (1, 2, 3)],
            "has 3 pinned daughters .keep division cell 1 of frame 1, cell 1 of frame 2; keep division",
        ),
        ([Pin("division", "keep", ((1, 1), (4, 2)))], "no cell is near that could be the other daughter"),
        ([Pin("link", "keep", ((1, 1), (2, 8)))], "cell 8 of frame 2, but the masks have no such cell"),
        ([Pin("merge", "keep", ((1, 1), (1, 8)))], "cell 8 of frame 1, but the masks have no such cell"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "keep", ((1, 1), (2, 2)))], "two pinned futures"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "keep", ((1, 2), (2, 1)))], "two pinned pasts"),
        ([Pin("link", "keep", ((1, 1), (2, 1))), Pin("link", "forbid", ((1, 1), (2, 1)))], "both keep and forbid"),
        ([Pin("detection", "forbid", ((2, 1),)), Pin("link", "keep", ((1, 1), (2, 1)))], "forbid cell 1 of frame 2"),
        ([Pin("detection", "forbid", ((2, 1),)), Pin("begin", "keep", ((2, 1),))], "forbid cell 1 of frame 2"),
        ([Pin("begin", "keep", ((2, 1),)), Pin("link", "keep", ((1, 1), (2, 1)))], "two pinned pasts"),
        ([Pin("end", "keep", ((1, 1),)), Pin("division", "keep", ((1, 1), (2, 1)))], "two pinned futures"),
        ([Pin("link", "forbid", ((1, 1), (2, 1))), Pin("division", "keep", ((1, 1), (2, 1)))], "forbids what another"),
        ([Pin("division", "forbid", ((1, 1),)), Pin("division", "keep", ((1, 1), (2, 1)))], "forbids what another"),
        (
            [
                Pin("division", "keep", ((3, 2), (4, 3))),
                Pin("begin", "keep", ((4, 2),)),
                Pin("begin", "keep", ((4, 1),)),
                Pin("begin", "keep", ((4, 4),)),
            ],
            "cannot all be obeyed",
        ),
    ],
)
def test_contradictions_are_named_before_anything_is_solved(masks, pins, message):
    with pytest.raises(InputError, match=message):
        track(masks, pins=pins)


def dividing(gap: int = 4):
    """One cell that divides in the middle of the image: eight frames, the daughters from frame 4 on."""
    y, x = np.mgrid[:80, :80]
    masks = {}
    for t in range(8):
        d = 0 if t < 4 else gap + 2 * (t - 3)
        radius = 8 if t < 4 else 6
        masks[t] = (np.hypot(y - 40, x - 40 - d) <= radius).astype(np.uint16)
        if d:
            masks[t][np.hypot(y - 40, x - 40 + d) <= radius] = 2
    return masks


def test_what_is_forbidden_is_forbidden_in_every_way():
    masks = dividing()
    assert sorted(rows_of(track(masks))) == [(1, 0, 3, 0), (2, 4, 7, 1), (3, 4, 7, 1)]
    for pin in [
        Pin("link", "forbid", ((3, 1), (4, 2))),
        Pin("division", "forbid", ((3, 1), (4, 2))),
        Pin("division", "forbid", ((3, 1),)),
        Pin("begin", "keep", ((4, 1),)),
    ]:
        result = track(masks, pins=[pin])
        assert not result.tracks.divisions()
        assert result.run["status"] == "optimal"
    assert track(masks, pins=[Pin("end", "keep", ((3, 1),))]).run["appearances"] == 3


def test_a_forbidden_edge_of_the_graph_takes_part_in_no_division():
    graph = candidate_graph(dividing(), max_gap=0)
    ((edge, _),) = [(key[:2], value) for key, value in solve(graph).graph["divisions"].items() if value["chosen"]]
    graph.edges[edge]["fixed"] = "forbid"
    solved = solve(graph)
    assert not solved.edges[edge]["chosen"]
    assert not any(value["chosen"] for value in solved.graph["divisions"].values())


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (Pin("link", "keep", ((2, 1), (1, 1))), "later frame"),
        (Pin("division", "keep", ((2, 1),)), "needs 2 to 3 cells"),
        (Pin("division", "keep", ((2, 1), (3, 1), (3, 1))), "different daughters"),
        (Pin("merge", "keep", ((2, 1), (3, 2))), "one frame"),
        (Pin("what", "keep", ((2, 1),)), "no kind"),
        (Pin("link", "maybe", ((1, 1), (2, 1))), "no action"),
        (Pin("detection", "keep", ()), "needs 1 cell"),
        (Pin("detection", "keep", ((1.5, 1),)), "whole numbers"),
    ],
)
def test_pins_made_in_python_are_held_to_what_a_file_may_say(masks, pin, message):
    with pytest.raises(InputError, match=message):
        track(masks, pins=[pin])


def test_pins_made_in_python_may_hold_any_whole_numbers(masks):
    pin = Pin("link", "keep", [tuple(np.array([1, 1])), [2, 4]])
    assert track(masks, pins=[pin]).run["config"]["pins"] == ["keep link cell 1 of frame 1 to cell 4 of frame 2"]


def test_baselines_refuse_pins(masks):
    with pytest.raises(InputError, match="'lap' knows none"):
        track(masks, method="lap", pins=[Pin("begin", "keep", ((1, 1),))])


def test_two_pins_that_name_one_daughter_each_are_one_division(masks):
    pins = [Pin("division", "keep", ((1, 1), (2, k))) for k in (1, 4)]
    ((mother, daughters),) = track(masks, pins=pins).tracks.divisions().items()
    painted = dict(track(masks, pins=pins).masks())
    assert painted[1][10, 10] == mother
    assert {painted[2][10, 10], painted[2][45, 45]} == set(daughters)


def test_a_merged_cell_is_a_cell_whatever_that_costs(masks):
    masks[1] = masks[1].copy()
    masks[1][30, 30], masks[1][30, 32] = 8, 9  # specks that may be left out
    free = track(masks, allow_drop=True)
    assert not set(free.table.label[free.solution.used]) & {8, 9}
    merged = dict(track(masks, allow_drop=True, pins=[Pin("merge", "keep", ((1, 8), (1, 9)))]).masks())
    assert merged[1][30, 30] == merged[1][30, 32] > 0


def test_a_pin_over_unseen_frames_paints_nothing_where_masks_are_believed(masks):
    pins = [Pin("link", "keep", ((1, 1), (4, 1))), *(Pin("detection", "forbid", ((t, 1),)) for t in (2, 3))]
    painted = track(masks, pins=pins)
    assert [(one["frame"], one["track"]) for one in painted.run["filled_masks"]] == [(2, 1), (3, 1)]
    believed = track(masks, pins=pins, masks_as_given=True)
    assert not believed.run["filled"]
    assert {row[3] for row in rows_of(believed) if row[1] == 4} == {1}  # the same cell under a new number
    assert dict(believed.masks())[2][10, 10] == 0


def test_what_pins_call_two_cells_is_not_joined(masks):
    masks[2] = masks[2].copy()
    masks[2][13:18, 8:18] = 7  # cell 1 is in two pieces
    assert track(masks).run["repairs"]["split"] == 1
    assert track(masks, pins=[Pin("merge", "forbid", ((2, 1), (2, 7)))]).run["repairs"]["split"] == 0
    with pytest.raises(InputError, match="name cell 8 of frame 2"):
        track(masks, pins=[Pin("merge", "forbid", ((2, 1), (2, 8)))])


@pytest.fixture(scope="module")
def crowded():
    """Five cells that move and divide close to each other in five frames; some masks are merged, in pieces, or missing."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:70, :70]
    at = random.uniform(12, 58, (5, 2))
    masks = {}
    for t in range(5):
        masks[t] = np.zeros(y.shape, np.uint16)
        for k, (cy, cx) in enumerate(at + random.normal(0, 3, at.shape), start=1):
            masks[t][np.hypot(y - cy, x - cx) <= 6] = k
            if (k + t) % 3 == 0:
                masks[t][np.hypot(y - cy - 9, x - cx - 5) <= 4] = k + 5
    one, two = np.unique(masks[2])[1:3]
    masks[2][masks[2] == one] = two
    masks[1][(masks[1] == 3) & (x > np.argwhere(masks[1] == 3)[:, 1].mean())] = 40
    masks[3][masks[3] == np.unique(masks[3])[-1]] = 0
    return masks


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """Four regions in five frames that are each one cell or two, with hypotheses beside the masks."""
    random, folder = np.random.default_rng(2), tmp_path_factory.mktemp("doubtful")
    for t in range(5):
        boxes, score, mask = [], [], np.zeros((60, 90), np.int64)
        for y, x in [(5, 5), (5, 45), (35, 5), (35, 45)]:
            y, x = y + int(random.integers(-2, 3)), x + int(random.integers(-2, 3))
            rows = slice(y, y + 14)
            parts = [(rows, slice(x, x + 28)), (rows, slice(x, x + 14)), (rows, slice(x + 14, x + 28))]
            boxes += parts
            score += [whole := float(random.normal(0, 3)), part := float(random.normal(0, 3)), part]
            for box in parts[:1] if whole > part else parts[1:]:
                mask[box] = mask.max() + 1
        shapes = [np.ones((14, box[1].stop - box[1].start), bool) for box in boxes]
        parent = [-1 if k % 3 == 0 else k - k % 3 for k in range(12)]
        found = pack_hypotheses(mask.shape, boxes, shapes, score, parent, [k // 3 for k in range(12)])
        write_hypotheses(folder / f"hyp{t:03d}.npz", replace(found, mask_sha256=hash_of_mask(mask)))
        write_masks(folder, [(t, mask)])
    return folder


@st.composite
def some_pins(draw, cells):
    """Up to five pins of any kind on any cells, plausible or not; half of them speak of a cell of the one before."""
    pins = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["detection", "link", "division", "begin", "end", "merge"]))
        action = "keep" if kind in ("begin", "end") else draw(st.sampled_from(["keep", "forbid"]))
        known = [cell for pin in pins[-1:] for cell in pin.cells]
        first = draw(st.sampled_from(known if known and draw(st.booleans()) else cells))
        later = [cell for cell in cells if 0 < cell[0] - first[0] <= (3 if kind == "link" else 1)]
        beside = [cell for cell in cells if cell[0] == first[0] and cell != first]
        fewest, most = {"link": (1, 1), "division": (int(action == "keep"), 2), "merge": (1, 1)}.get(kind, (0, 0))
        those = beside if kind == "merge" else later
        if len(those) < most:
            continue
        others = draw(st.lists(st.sampled_from(those or cells), min_size=fewest, max_size=most, unique=True))
        pins.append(Pin(kind, action, (first, *others)))
    return pins


def broken(result, pins, masks):
    """The pins that a result breaks, as its tracks and painted masks show it."""
    painted, rows = dict(result.masks()), result.tracks.rows().tolist()
    begin, end, parent = ({row[0]: row[column] for row in rows} for column in (1, 2, 3))
    seen = {}
    for t, label, name in zip(
        result.table.frame.tolist(), result.table.label.tolist(), result.track.tolist(), strict=True
    ):
        seen[t, label] = name

    def name(cell):
        inside = painted[cell[0]][masks[cell[0]] == cell[1]]
        return int(np.bincount(inside).argmax()) if (cell[0], cell[1]) not in seen else seen[cell]

    def follows(one, other):
        """Whether a cell is what the other is next."""
        if not name(one) or not name(other):
            return False
        between = any(t in range(one[0] + 1, other[0]) for (t, _), of in seen.items() if of == name(one))
        if name(one) == name(other):
            return not between
        last = max(t for (t, _), of in seen.items() if of == name(one))
        return parent[name(other)] == name(one) and begin[name(other)] == other[0] and last == one[0]

    for pin in pins:
        cell, *others = pin.cells
        label = name(cell)
        children = [child for child, of in parent.items() if of == label and label]
        last = max((t for (t, _), of in seen.items() if of == label), default=-1)
        if pin.kind == "detection":
            holds = label > 0
        elif pin.kind == "merge":
            one, two = (np.unique(painted[cell[0]][masks[cell[0]] == of[1]]).tolist() for of in pin.cells)
            holds = one == two and len(one) == 1 and one != [0]
        elif pin.kind == "begin":
            holds = label > 0 and begin[label] == cell[0] and not parent[label]
        elif pin.kind == "end":
            holds = label > 0 and end[label] == cell[0] and not children
        elif pin.kind == "link":
            holds = follows(cell, others[0]) and (pin.action == "forbid" or name(cell) == name(others[0]))
        else:
            holds = last == cell[0] and len(children) > 1 and all(follows(cell, other) for other in others)
            holds &= name(cell) not in map(name, others)
        if holds != (pin.action == "keep"):
            yield str(pin)


@pytest.mark.parametrize("movie", ["crowded", "doubtful"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_set_of_pins_is_broken_and_a_refusal_is_true(request, movie, data):
    given_masks = request.getfixturevalue(movie)
    masks = given_masks if movie == "crowded" else dict(open_labels(given_masks))
    pins = data.draw(some_pins([(t, int(label)) for t in masks for label in np.unique(masks[t])[1:]]))
    try:
        result = track(given_masks, pins=pins, max_gap=1)
    except InputError as refused:
        for problem in refused.problems:
            named = [pin for pin in pins if str(pin) in problem or f"forbid cell {pin.cells[0][1]} of" in problem]
            assert named, problem
            merges = [pin for pin in pins if pin.kind == "merge" and pin not in named]
            if "all be obeyed" not in problem:
                with pytest.raises(InputError):
                    track(given_masks, pins=[*named, *merges], max_gap=1)
        if len(pins) == 1 and pins[0].kind != "division":  # it alone can be obeyed
            raise
        return
    assert result.run["status"] == "optimal"
    assert list(broken(result, pins, masks)) == []
