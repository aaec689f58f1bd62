"""A jump of the stage is registered from the constellation of the cells, said, and costs nothing; one too far is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from celltrail.tracking import track
from celltrail.tracking.measuring.drift import find_jump

RADIUS = 4.0
FRAMES = 6


def wide_scene(seed: int) -> np.ndarray:
    """Places of many cells, none within three radii of another, on a field much larger than an image."""
    places = np.random.default_rng(seed).uniform(0, 400, (1200, 2))
    near = np.hypot(*(places[:, None] - places[None]).T) < 3 * RADIUS
    return places[~np.triu(near, 1).any(axis=0)]


def movie(jump: tuple[float, float], at: int = 3, seed: int = 1, fresh: bool = False):
    """Images of 160² of the field, from another place after the jump; cells jitter. Labels are those of the field."""
    places, rng, found = wide_scene(seed), np.random.default_rng(seed), {}
    for number in range(FRAMES):
        if fresh and number == at:
            places = wide_scene(seed + 50)
        corner = np.array([120.0, 120.0]) - (np.array(jump) if number >= at else 0)
        labels = np.zeros((160, 160), np.uint16)
        moved = places + rng.normal(0, 0.4, places.shape) - corner
        distance, nearest = cKDTree(moved).query(np.argwhere(labels == 0))
        labels.flat = np.where(distance <= RADIUS, nearest + 1, 0)
        found[number] = labels
    return found


def wrong_links(result, truth) -> int:
    """Links of the result between two cells of the truth, and cells of the truth that are not linked."""
    table, source, target = result.table, result.candidates.links.source, result.candidates.links.target
    chosen = result.solution.link_chosen
    wrong = int((table.label[source[chosen]] != table.label[target[chosen]]).sum())
    linked = {(int(table.frame[row]), int(table.label[row])) for row in target[chosen]}
    both = [(n, label) for n in range(1, FRAMES) for label in set(np.unique(truth[n])) & set(np.unique(truth[n - 1]))]
    return wrong + sum(label > 0 and (n, int(label)) not in linked for n, label in both)


@pytest.mark.parametrize("diameters", [(2, 0), (-4, 3), (0, -10)])
def test_a_jump_is_registered_and_costs_nothing(diameters, caplog):
    jump = tuple(2 * RADIUS * d for d in diameters)
    masks = movie(jump)
    result = track(masks)
    assert wrong_links(result, masks) == 0
    (said,) = result.run["jumps"]
    assert (said["frame"], said["registered"]) == (3, True)
    assert np.allclose(said["shift"], [0, *jump], atol=1)
    assert "the stage jumped" in caplog.text


def test_a_still_stage_has_no_jumps():
    result = track(movie((0, 0)))
    assert result.run["jumps"] == []


def test_a_jump_too_far_is_said(caplog):
    result = track(movie((0, 0), fresh=True))
    assert [(jump["frame"], jump["registered"], jump["shift"]) for jump in result.run["jumps"]] == [(3, False, None)]
    assert "do not fit each other" in caplog.text


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(8, 60))
def test_chance_is_no_jump(seed, count):
    rng = np.random.default_rng(seed)
    a, b = (np.c_[np.zeros(count), rng.uniform(0, 100, (count, 2))] for _ in range(2))
    assert find_jump(a, b, np.zeros(3)) is None
