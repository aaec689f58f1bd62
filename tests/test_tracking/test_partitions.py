"""Every way to divide a region has the same stake, and hopeless hypotheses are not asked about."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.files.hypotheses import find_conflicts, pack_hypotheses
from celltrail.tracking.measuring import hypothesis_weights
from celltrail.tracking.measuring.hypothesis_weights import CERTAINTY, HOPELESS, STAKE, weigh

SIZE = (8, 32)


def strip(spans, scores, parents):
    """Hypotheses that are spans of columns of a strip 4 pixels high."""
    boxes = [(slice(2, 6), slice(a, b)) for a, b in spans]
    masks = [np.ones((4, b - a), bool) for a, b in spans]
    return pack_hypotheses(SIZE, boxes, masks, scores, parents, [0] * len(spans))


def test_a_whole_and_its_halves_have_the_same_stake():
    found = strip([(0, 16), (0, 8), (8, 16)], [1.0, 0.8, 0.8], [-1, 0, 0])
    rows, share, reward = weigh(found)
    assert rows.tolist() == [0, 1, 2]
    assert share.tolist() == [1.0, 0.5, 0.5]
    assert reward == pytest.approx([STAKE + CERTAINTY, *[(STAKE + 0.8 * CERTAINTY) / 2] * 2])


def test_where_the_halves_are_better_the_whole_counts_for_two():
    found = strip([(0, 16), (0, 4), (4, 16)], [0.8, 1.0, 1.0], [-1, 0, 0])
    _, share, _ = weigh(found)
    assert share.tolist() == [2.0, 0.5, 1.5]


def test_a_part_of_a_part_divides_what_the_part_has():
    found = strip([(0, 16), (0, 8), (8, 16), (0, 4), (4, 8)], [1.0, 0.9, 0.9, 0.8, 0.8], [-1, 0, 0, 1, 1])
    assert weigh(found)[1].tolist() == [1.0, 0.5, 0.5, 0.25, 0.25]


def test_the_best_outline_stands_for_an_object():
    found = strip([(0, 16), (0, 8), (1, 8), (8, 16)], [1.0, 0.5, 0.9, 0.9], [-1, 0, 0, 0])
    assert weigh(found)[0].tolist() == [0, 2, 3]


def test_hopeless_ones_are_left_out():
    far = HOPELESS / CERTAINTY + 0.01
    assert weigh(strip([(0, 16), (0, 8), (8, 16)], [1.0, 1.0 - far, 1.0 - far], [-1, 0, 0]))[0].tolist() == [0]
    assert weigh(strip([(0, 16)], [-STAKE / CERTAINTY - far], [-1]))[0].tolist() == []


def test_without_hypotheses():
    rows, share, reward = weigh(pack_hypotheses(SIZE, [], [], [], [], []))
    assert len(rows) == len(share) == len(reward) == 0


@st.composite
def trees(draw):
    """Spans cut again and again, each with a score."""
    spans, parents = [(0, 16), (20, 30)], [-1, -1]
    for _ in range(draw(st.integers(0, 4))):
        leaves = [k for k in range(len(spans)) if k not in parents and spans[k][1] - spans[k][0] > 1]
        if not leaves:
            break
        k = draw(st.sampled_from(leaves))
        cut = draw(st.integers(spans[k][0] + 1, spans[k][1] - 1))
        spans += [(spans[k][0], cut), (cut, spans[k][1])]
        parents += [k, k]
    scores = draw(st.lists(st.floats(-8, 8, width=32), min_size=len(spans), max_size=len(spans)))
    return strip(spans, scores, parents)


def choices(found):
    """All sets of rows that exclude no other."""
    rivals = {tuple(pair) for pair in find_conflicts(found).tolist()}
    for size in range(len(found) + 1):
        for chosen in combinations(range(len(found)), size):
            if not any(pair in rivals for pair in combinations(chosen, 2)):
                yield chosen


@settings(max_examples=60, deadline=None)
@given(trees())
def test_partitions_share_equally_and_losses_equal_brute_force(found):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hypothesis_weights, "HOPELESS", np.inf)
        rows, share, reward = weigh(found)
    assert rows.tolist() == list(range(len(found)))
    areas, every = found.areas(), list(choices(found))
    full = [sum(share[list(chosen)]) for chosen in every if areas[list(chosen)].sum() == 26 * 4]
    assert full == pytest.approx([full[0]] * len(full))
    best = max(sum(reward[list(chosen)]) for chosen in every)
    loss = np.array([best - max(sum(reward[list(chosen)]) for chosen in every if row in chosen) for row in rows])
    assert (
        set(np.flatnonzero(loss < HOPELESS - 1e-6))
        <= set(weigh(found)[0])
        <= set(np.flatnonzero(loss < HOPELESS + 1e-6))
    )
