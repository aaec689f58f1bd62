"""A movie is priced part by part: the same candidates and costs as all at once, and the same excerpt asked for both."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

import celltrail.tracking.candidates.parts
import celltrail.tracking.preparing.preparation
from celltrail.data.simulation.scene import simulate_scene
from celltrail.tracking.candidates.links import find_links
from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.costs.learned import load_costs
from celltrail.tracking.costs.pricing import Constants, price, with_terms
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing.preparation import excerpt, prepare
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates


@pytest.fixture(scope="module")
def masks():
    """Twelve frames of some forty cells; frame 5 is empty, and the cells of frame 8 lack every sixth."""
    scene = simulate_scene(frames=12, cells=40, size=(160, 160), cycle=8.0, seed=4)
    masks = {t: scene.mask(t) for t in range(12)}
    masks[5] = np.zeros_like(masks[5])
    masks[8] = np.where(masks[8] % 6 == 0, 0, masks[8])
    return masks


@pytest.fixture(scope="module")
def table(masks):
    return measure_movie(masks, spans=3)


def with_cliques(table):
    """The same cells as hypotheses: neighbours in the table exclude each other."""
    rows = np.flatnonzero(table.frame[:-1] == table.frame[1:])[::3]
    member = np.stack([rows, rows + 1], axis=1).ravel()
    return replace(table, clique_id=np.repeat(np.arange(len(rows)), 2), clique_row=member, joint=True)


def spread_by_mail(function, items):
    """Like ``map``, but everything travels as it would to another process."""
    return (pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item))))) for item in items)


@pytest.mark.parametrize("max_gap", [0, 2])
@pytest.mark.parametrize("joint", [False, True])
def test_parts_are_priced_like_the_whole(table, max_gap, joint, monkeypatch):
    table = with_cliques(table) if joint else table
    whole = price(find_candidates(table, max_gap=max_gap), load_costs(), Constants())
    monkeypatch.setattr(celltrail.tracking.candidates.parts, "PART", 400)
    monkeypatch.setattr(celltrail.tracking.candidates.parts, "FEW", 90)
    problem = find_candidates(table, max_gap=max_gap, mapper=spread_by_mail)
    parts = list(problem.parts())
    assert len(parts) >= 4
    assert sum(len(part.links) for part in parts) == len(problem.links)
    assert max(len(part.table) for part in parts) < len(table)
    apart = price(problem, load_costs(), Constants(), explained=False, mapper=spread_by_mail)
    assert set(apart.links.terms) == {"sister_outside", "unlikely"}
    assert not apart.divisions.terms
    apart = with_terms(apart, problem, load_costs(), Constants(), mapper=spread_by_mail)
    for one, other in (
        (whole.detections, apart.detections),
        (whole.links, apart.links),
        (whole.divisions, apart.divisions),
    ):
        for name, values in vars(one).items():
            if name == "terms":
                assert {k: v.tolist() for k, v in values.items()} == {k: v.tolist() for k, v in other.terms.items()}
            else:
                assert np.array_equal(values, getattr(other, name)), name


def test_links_are_what_a_search_of_every_pair_finds(table):
    """Every overlap and every nearest neighbour, frame by frame, from distances of all pairs."""
    links = find_links(table, max_gap=1)
    found = set(zip(links.source.tolist(), links.target.tolist(), strict=True))
    frames = table.frames_with_cells().tolist()
    radius = 4 * np.median(table.diameter)
    wanted = set()
    for i, a in enumerate(frames):
        for b in [frame for frame in frames[i + 1 :] if frame - a <= 2]:
            span = b - a
            one, other = np.flatnonzero(table.frame == a), np.flatnonzero(table.frame == b)
            expected = table.position[one] + table.shift[span][one]
            distance = np.linalg.norm(expected[:, None] - table.position[other], axis=2)
            distance[distance > radius] = np.inf
            ahead = np.argsort(np.argsort(distance, axis=1), axis=1) < 7
            back = np.argsort(np.argsort(distance, axis=0), axis=0) < 3
            u, v = np.nonzero((ahead | back) & np.isfinite(distance))
            wanted |= set(zip(one[u].tolist(), other[v].tolist(), strict=True))
    near = table.frame[table.overlap_target] - table.frame[table.overlap_source] <= 2
    wanted |= set(zip(table.overlap_source[near].tolist(), table.overlap_target[near].tolist(), strict=True))
    assert found == wanted
    assert np.all(np.diff(links.source * len(table) + links.target) > 0)
    shared = {
        pair: count
        for *pair, count in zip(
            table.overlap_source.tolist(), table.overlap_target.tolist(), table.overlap_count, strict=True
        )
        for pair in [tuple(pair)]
    }
    assert links.shared.tolist() == [
        shared.get(pair, 0) for pair in zip(links.source.tolist(), links.target.tolist(), strict=True)
    ]


def test_terms_add_up_to_the_cost(table):
    links = price(find_candidates(table), load_costs(), Constants()).links
    total = np.sum([term.astype(np.float64) for term in links.terms.values()], axis=0)
    assert total == pytest.approx(links.cost / 1e6, abs=0.05)


def test_explaining_tells_how_far_it_is(table, monkeypatch):
    monkeypatch.setattr("celltrail.tracking.candidates.parts.PART", 40)
    problem, told = find_candidates(table), []
    with_terms(
        price(problem, load_costs(), Constants()),
        problem,
        load_costs(),
        Constants(),
        progress=lambda *line: told.append(line),
    )
    assert [line[0] for line in told] == ["explain"] * len(told)
    assert told[0][1:] == (0, len(problem.links))
    assert told[-1][1:] == (len(problem.links), len(problem.links))
    assert len(told) > 3


def test_an_excerpt_is_whole_frames_from_the_middle(table, monkeypatch):
    assert excerpt(table) is table
    monkeypatch.setattr(celltrail.tracking.preparing.preparation, "EXCERPT", 300)
    monkeypatch.setattr(celltrail.tracking.preparing.preparation, "FEWEST_FRAMES", 2)
    part = excerpt(table)
    frames = part.frames_with_cells()
    assert 150 < len(part) <= 300
    assert table.frame[len(table) // 2] in frames
    assert len(part) == np.isin(table.frame, frames).sum()
    assert np.array_equal(part.label, table.label[np.isin(table.frame, frames)])


@pytest.mark.parametrize("costs", ["learned", "calibrated", "mixed"])
def test_a_long_movie_gets_its_costs_from_an_excerpt(table, masks, costs, monkeypatch):
    monkeypatch.setattr(celltrail.tracking.preparing.preparation, "EXCERPT", 250)
    monkeypatch.setattr(celltrail.tracking.preparing.preparation, "FEWEST_FRAMES", 2)
    prepared = prepare(table, solve_candidates, TrackSettings(costs=costs), masks=masks)
    assert len(prepared.candidates.detections) == len(table)
    assert prepared.gap_rate > 0
    assert prepared.problem.links.span.max() > 1
    again = price(prepared.problem, prepared.model, Constants(gap=prepared.constants["gap"]))
    assert np.array_equal(again.links.cost, prepared.candidates.links.cost)
