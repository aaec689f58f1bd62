"""Pins: their file, their contradictions, and that tracking obeys them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
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
        ("end,keep,1,1,2,2", "needs 1 cells"),
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


def test_baselines_refuse_pins(masks):
    with pytest.raises(InputError, match="'lap' knows none"):
        track(masks, method="lap", pins=[Pin("begin", "keep", ((1, 1),))])


@pytest.fixture(scope="module")
def crowded():
    """Five cells that move and divide, close to each other, in four frames; and what they are priced at."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:70, :70]
    at = random.uniform(15, 55, (5, 2))
    masks = {}
    for t in range(4):
        masks[t] = np.zeros(y.shape, np.uint16)
        for k, (cy, cx) in enumerate(at + random.normal(0, 3, at.shape), start=1):
            masks[t][np.hypot(y - cy, x - cx) <= 6] = k
            if (k + t) % 3 == 0:
                masks[t][np.hypot(y - cy - 9, x - cx - 5) <= 4] = k + 5
    return masks


@st.composite
def some_pins(draw, cells):
    """Up to four pins of any kind on any cells, plausible or not."""
    pins = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["detection", "link", "division", "begin", "end"]))
        action = "keep" if kind in ("begin", "end") else draw(st.sampled_from(["keep", "forbid"]))
        first = draw(st.sampled_from(cells))
        later = [cell for cell in cells if cell[0] == first[0] + 1]
        fewest, most = {"link": (1, 1), "division": (int(action == "keep"), 2)}.get(kind, (0, 0))
        if most and not later:
            continue
        others = draw(st.lists(st.sampled_from(later or cells), min_size=fewest, max_size=most, unique=True))
        pins.append(Pin(kind, action, (first, *others)))
    return pins


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_pin_is_ever_broken(crowded, data):
    cells = [(t, int(label)) for t in crowded for label in np.unique(crowded[t])[1:]]
    pins = data.draw(some_pins(cells))
    try:
        result = track(crowded, pins=pins, max_gap=1)
    except InputError:
        if len(pins) == 1 and pins[0].kind != "division":  # it alone can be obeyed
            raise
        return
    assert result.run["status"] == "optimal"
    tracks, painted = result.tracks, dict(result.masks())
    parent = {int(label): int(of) for label, _, _, of in tracks.rows()}
    last = {int(label): int(end) for label, _, end, _ in tracks.rows()}
    row = {
        (int(t), int(label)): k for k, (t, label) in enumerate(zip(result.table.frame, result.table.label, strict=True))
    }

    def name(cell):
        return int(result.track[row[cell]])

    def follows(one, other):
        return name(one) > 0 and name(other) in (name(one), *(k for k, of in parent.items() if of == name(one)))

    for pin in pins:
        cell, *others = pin.cells
        label = name(cell)
        children = [k for k, of in parent.items() if of == label and label]
        ends = label > 0 and last[label] == cell[0]
        if pin.kind == "detection":
            assert (label > 0) == (pin.action == "keep") == bool((painted[cell[0]] == label).any() and label > 0)
        elif pin.kind == "link":
            assert (pin.action == "keep") == follows(cell, others[0])
        elif pin.kind == "begin":
            assert label and not parent[label] and not (painted[cell[0] - 1] == label).any() if cell[0] else label
        elif pin.kind == "end":
            assert (ends, children) == (True, [])
        else:
            divides = ends and len(children) == 2 and all(name(other) in children for other in others)
            assert (pin.action == "keep") == divides
