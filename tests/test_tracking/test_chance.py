"""What a movie itself says about gaps: how its own links look over some frames, and how many of them chance brings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.tracking import track
from celltrail.tracking.candidates.gaps import as_if_unseen
from celltrail.tracking.candidates.loose import Loose
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing.chance import UsualLink, count_by_chance, first_cells

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]


def disks(places, radius=5.0):
    """Frame → [(y, x, label), …] as label images."""
    masks = {}
    for t, cells in places.items():
        masks[t] = np.zeros((SIDE, SIDE), np.uint16)
        for y, x, label in cells:
            masks[t][np.hypot(Y - y, X - x) <= radius] = label
    return masks


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), max_gap=st.integers(1, 4))
def test_chance_is_counted_pair_by_pair(seed: int, max_gap: int) -> None:
    """Against a loop over all pairs of an end and a beginning, and over all spans."""
    rng = np.random.default_rng(seed)
    frames, places = 9, {}
    for t in range(frames):
        corner = rng.permutation(16)[: rng.integers(1, 5)].tolist()
        places[t] = [(12 + 22 * (k // 4), 12 + 22 * (k % 4), k + 1) for k in corner]
    table = measure_movie(disks(places))
    n = len(table)
    future, past = (rng.choice([-7.0, -3.0, 2.0, np.inf], n) for _ in range(2))
    solution = SimpleNamespace(disappears=rng.random(n) < 0.7, appears=rng.random(n) < 0.7)
    objects = rng.integers(0, 4, n)
    usual = {span: UsualLink(np.sort(rng.normal(3, 4, 6)), float(rng.uniform(1, 60))) for span in range(2, max_gap + 2)}
    expected = 0.0
    for span, link in usual.items():
        joined = sum(1 for a in range(frames) for b in range(frames) if 1 <= b - a <= max_gap + 1)
        for u in np.flatnonzero(solution.disappears & (future < 0)):
            for w in np.flatnonzero(solution.appears & (past < 0)):
                lacking = 14 + future[u] + past[w]
                share = np.mean(link.logit > (lacking if lacking > 0 else min(np.quantile(link.logit, 0.05), 0)))
                lag = int(table.frame[w] - table.frame[u])
                near = np.hypot(*(table.position[w] - table.position[u])[1:]) <= link.reach
                if near and not 1 <= lag <= max_gap + 1 and objects[u] != objects[w]:
                    expected += share * (frames - span) / (frames**2 - joined)
                expected += share * min(np.pi * link.reach**2 / SIDE**2, 1) * (frames - span) / frames**2
    loose = Loose(future, past, np.zeros(n, bool))
    assert table.time.max() == frames - 1
    found = count_by_chance(table, loose, solution, objects, usual, 14.0, max_gap)
    assert found == pytest.approx(expected)


def test_tracks_are_told_by_their_first_cells():
    assert first_cells(np.array([2, 3, -1, 4, 5, -1, -1])).tolist() == [0, 1, 0, 1, 1, 1, 6]


def test_a_cell_that_was_seen_is_shown_as_if_it_had_not_been():
    """Three cells that move 3 voxels a frame: over three steps each is found again, beside its rivals."""
    masks = disks({t: [(20, 20 + 3 * t, 1), (50, 20 + 3 * t, 2), (80, 20 + 3 * t, 3)] for t in range(6)})
    table = measure_movie(masks)
    followed = np.where(table.frame < 5, np.arange(len(table)) + 3, -1)
    shifted, links = as_if_unseen(table, followed, Glimpses(masks, table, np.ones(len(table), bool)), 3)
    own = links.doubt == 0
    assert (table.label[links.source[own]] == table.label[links.target[own]]).all()
    assert (links.span == 3).all()
    assert sorted(set(table.frame[links.source].tolist())) == [0, 1, 2]
    assert own.sum() == 9
    assert (table.label[links.source[~own]] != table.label[links.target[~own]]).all()
    assert shifted.shift[3].shape == (len(table), 3)


def moving(seed, *, frames=12, cells=70, speed=5.0, side=240, radius=7.0, lost=0):
    """Disks that each go their way and push each other aside, all of them and with some lost for a frame."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)
    at = 24.0 + 24 * rng.permutation(grid)[:cells] + rng.uniform(-4, 4, (cells, 2))
    move = rng.normal(0, 1, (cells, 2))
    size = radius * np.exp(rng.normal(0, 0.1, cells))
    y, x = np.mgrid[:side, :side]
    full = {t: np.zeros((side, side), np.uint16) for t in range(frames)}
    for labels in full.values():
        for k, (cy, cx) in enumerate(at):
            labels[(np.hypot(y - cy, x - cx) <= size[k]) & (labels == 0)] = k + 1
        move += rng.normal(0, 0.1 * speed, (cells, 2))
        move *= speed / np.hypot(*move.T)[:, np.newaxis]
        at = at + move
        for _ in range(8):
            away = at[:, np.newaxis] - at
            far = np.hypot(*away.T).T + 1e9 * np.eye(cells)
            at = at + (away / far[..., np.newaxis] * np.maximum(1.9 * radius - far, 0)[..., np.newaxis] / 2).sum(axis=1)
        move = np.where(at < radius, abs(move), np.where(at > side - radius, -abs(move), move))
        at = at.clip(radius, side - radius)
    masks = {t: labels.copy() for t, labels in full.items()}
    gone = [(int(rng.integers(2, frames - 2)), int(k) + 1) for k in rng.permutation(cells)[:lost]]
    for t, label in gone:
        masks[t][masks[t] == label] = 0
    return masks, full, gone


@pytest.mark.parametrize("seed", [1, 2])
def test_small_and_fast_movies_show_their_gaps(seed):
    masks, full, gone = moving(seed, lost=6)
    result = track(masks)
    filled = dict(result.masks())
    right = 0
    for row in result.run["filled_masks"]:
        met = full[row["frame"]][filled[row["frame"]] == row["track"]]
        right += (row["frame"], int(np.bincount(met).argmax())) in gone
    assert right == result.run["filled"] >= 5
    assert track(moving(seed)[0]).run["filled"] == 0


def test_what_comes_and_goes_at_one_place_is_chance_where_it_does_so_at_any_time():
    """A place is visited ten times; two visits follow the one before soon. Alone, these would be two gaps."""
    rest = {t: [(12 + 22 * (k // 4), 12 + 22 * (k % 4), k + 1) for k in range(8) if k != 5] for t in range(80)}
    soon = [(60, 62), (64, 66), (68, 70)]
    visits = [(2, 4), (10, 12), (18, 20), (26, 28), (34, 36), (42, 44), (50, 52), *soon]

    def movie(visits):
        here = {t for begin, end in visits for t in range(begin, end + 1)}
        return disks({t: cells + [(34, 34, 6)] * (t in here) for t, cells in rest.items()})

    assert track(movie(soon)).run["filled"] == 2
    assert track(movie(visits)).run["filled"] == 0
