"""Probabilities of choices against the sum over all solutions, and what is said of a movie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from celltrail.data.files.pins import Pin
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    KEPT,
    NAT,
    UNLIKELY,
    Candidates,
    Detections,
    Divisions,
    Links,
    all_free,
    to_units,
)
from celltrail.data.graph.confidence import NOTHING, chosen_past, pairs_of, past_given_used, past_probability
from celltrail.tracking.confidence.answers import Answer, pins_from
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.confidence.places import ReviewList
from celltrail.tracking.confidence.readings import doubtful_masks
from celltrail.tracking.confidence.resampling import count_lineages, draw_solutions, interval_of_draws
from celltrail.tracking.confidence.summary import interval_of, summarise
from celltrail.tracking.confidence.temperature import (
    UNKNOWN,
    Calibration,
    Known,
    calibrate,
    read_calibration,
    true_past,
)
from celltrail.tracking.solving.programme import pinned_model
from celltrail.tracking.solving.second_births import find_second_births
from celltrail.tracking.solving.solver import solve_candidates

STAKE = 24.0  # nats for explaining a mask, or a part of it, at all


def made_problem(
    seed: int,
    frames: int,
    cells: int,
    *,
    optional: float = 0.0,
    cliques: int = 0,
    gaps: bool = False,
    sharp: float = 1.0,
) -> Candidates:
    """Random links, divisions and costs between ``frames`` frames of ``cells`` cells each."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(frames), cells)
    n = len(frame)
    links = np.array(
        [
            (u, v)
            for u in range(n)
            for v in range(n)
            if (frame[v] - frame[u] == 1 and rng.random() < 0.6)
            or (gaps and frame[v] - frame[u] == 2 and rng.random() < 0.3)
        ],
        dtype=np.int64,
    ).reshape(-1, 2)
    triples = set()
    for u in rng.integers(0, n - cells, 4).tolist() if n > cells > 1 else []:
        triples.add((u, *sorted(rng.choice(np.flatnonzero(frame == frame[u] + 1), 2, replace=False).tolist())))
    divisions = np.array(sorted(triples), dtype=np.int64).reshape(-1, 3)
    left_out = rng.random(n) < optional
    rivals = [rng.choice(np.flatnonzero(frame == rng.integers(frames)), 2, replace=False) for _ in range(cliques)]
    for pair in rivals:
        left_out[pair] = True

    def costs(count: int, low: float, high: float) -> np.ndarray:
        return to_units(rng.uniform(low, high, count) * sharp)

    return Candidates(
        Detections(
            frame,
            np.arange(n) + 1,
            np.zeros((n, 3)),
            np.ones(n, np.int64),
            np.ones(n),
            np.where(left_out, costs(n, -3, 1), 0),
            costs(n, 0, 4),
            costs(n, 0, 4),
            left_out,
            all_free(n),
            np.full(n, -1),
        ),
        Links(links[:, 0], links[:, 1], costs(len(links), -4, 4), all_free(len(links))),
        Divisions(*divisions.T, costs(len(divisions), -4, 4), all_free(len(divisions))),
        np.repeat(np.arange(cliques), 2),
        np.concatenate([*rivals, np.zeros(0, np.int64)]).astype(np.int64),
    )


def sum_over_solutions(candidates: Candidates, temperature: float) -> np.ndarray:
    """The marginal of every column of the programme, by listing all its solutions."""
    model = pinned_model(candidates)
    columns = np.flatnonzero(model.allowed)
    covers = [sum(1 << int(row) for row in model.rows[c] if row >= 0) for c in columns]
    by_row: dict[int, list[int]] = {}
    for i, cover in enumerate(covers):
        by_row.setdefault((cover & -cover).bit_length() - 1, []).append(i)
    members: dict[int, list[int]] = {}
    for clique, detection in zip(model.clique_id.tolist(), model.clique_detection.tolist(), strict=True):
        members.setdefault(clique, []).append(detection)
    full, found = (1 << 2 * model.detections) - 1, np.zeros(len(model.rows))
    total, best = 0.0, np.inf

    def price(chosen: list[int]) -> float:
        taken = columns[chosen]
        dropped = set((taken[taken >= model.first_drop] - model.first_drop).tolist())
        if any(sum(v not in dropped for v in its) > 1 for its in members.values()):
            return np.inf
        mask = np.zeros(len(model.rows), dtype=bool)
        mask[taken] = True
        births = find_second_births(candidates, mask[: model.links], mask[model.links : model.first_appear])
        return float(model.cost[taken].sum() + len(births) * candidates.rebirth_cost) / NAT

    def go_on(state: int, chosen: list[int]) -> None:
        nonlocal total, best
        if state == full:
            cost = price(chosen)
            if cost == np.inf:
                return
            if cost < best:  # weights are relative to the best so far
                shrink = np.exp((cost - best) / temperature)
                total, best = total * shrink, cost
                found[:] *= shrink
            weight = np.exp((best - cost) / temperature)
            total += weight
            found[columns[chosen]] += weight
            return
        row = (~state & state + 1).bit_length() - 1
        for i in by_row.get(row, []):
            if not state & covers[i]:
                go_on(state | covers[i], [*chosen, i])

    go_on(0, [])
    return found / total


def error(candidates: Candidates, temperature: float = 1.5) -> float:
    """The largest difference of a probability from the sum over all solutions."""
    got = compute_confidence(candidates, temperature)
    columns = [got.link, got.division, got.appear, got.disappear, 1 - got.used]
    return float(np.abs(np.concatenate(columns) - sum_over_solutions(candidates, temperature)).max())


def whole_or_parts(longest: int) -> tuple[Candidates, np.ndarray]:
    """What must be explained has a large reward for each part: it decides nothing between whole and parts.

    Frames 0 and last: one cell. Between them a mask that is one cell, or two, of which the second begins and ends.
    Returns the problem, and the rows of the wholes.
    """
    frame = np.array([0, *(f for f in range(1, longest + 1) for _ in range(3)), longest + 1])
    n, wholes = len(frame), np.arange(1, 3 * longest, 3)
    reward = np.zeros(n)
    reward[wholes], reward[wholes + 1], reward[wholes + 2] = 2 * STAKE, STAKE - 1, STAKE - 1
    steps = [(u, v) for u in range(n) for v in range(n) if frame[v] - frame[u] == 1]
    links = np.array(steps, dtype=np.int64)
    optional = reward > 0
    return Candidates(
        Detections(
            frame,
            np.arange(n) + 1,
            np.zeros((n, 3)),
            np.ones(n, np.int64),
            np.ones(n),
            to_units(-reward),
            to_units(np.full(n, 3.0)),
            to_units(np.full(n, 3.0)),
            optional,
            all_free(n),
            np.full(n, -1),
        ),
        Links(*links.T, to_units(np.linspace(-2, 1, len(links))), all_free(len(links))),
        Divisions(*np.zeros((3, 0), np.int64), to_units(np.zeros(0)), all_free(0)),
        np.repeat(np.arange(2 * longest), 2),
        np.stack([np.repeat(wholes, 2), np.stack([wholes + 1, wholes + 2], axis=1).ravel()], axis=1).ravel(),
    ), wholes


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_a_mask_or_its_parts_are_weighed_as_they_cost(longest: int) -> None:
    assert error(whole_or_parts(longest)[0]) < 1e-5


def test_what_a_mask_is_is_one_question_for_all_of_its_frames() -> None:
    """In six frames, and what follows of the answers; questions about links take the masks as they were read."""
    candidates, wholes = whole_or_parts(6)
    solution, confidence = solve_candidates(candidates), compute_confidence(candidates, 1.5)
    assert solution.used[wholes].all()
    row, doubt = doubtful_masks(candidates, solution, confidence)
    assert len(row) == 1
    assert row[0] in wholes
    assert doubt[0] == pytest.approx(1 - confidence.used[wholes].min())
    listed = ReviewList(candidates, solution, confidence, np.where(solution.used, 1, 0))
    i = listed.questions.kind.index("mask")
    place, parts = listed.place(i), listed.alternative(i).rows
    assert (place.decision, place.alternative) == ("is a cell", "is several cells")
    assert parts == (row[0] + 1, row[0] + 2)
    cell = place.frame, place.label
    for text, correct, expected in (
        ("right", None, [Pin("detection", "keep", (cell,))]),
        ("wrong", None, [Pin("detection", "forbid", (cell,))]),
        (
            "wrong",
            (cell[0], cell[1] + 1),
            [Pin("detection", action, (one,)) for action, one in (("forbid", cell), ("keep", (cell[0], cell[1] + 1)))],
        ),
        ("cannot tell", None, []),
    ):
        assert pins_from([Answer(cell, "mask", text, correct)], candidates, solution, confidence) == expected
    joint, given = (f(candidates, solution, confidence)[wholes[1:]] for f in (past_probability, past_given_used))
    assert np.allclose(joint, given * confidence.used[wholes[1:]], atol=1e-6)
    assert (given > joint + 0.01).any()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "kind",
    [
        {"frames": 2, "cells": 5},
        {"frames": 3, "cells": 2, "gaps": True},
        {"frames": 3, "cells": 2, "optional": 0.5},
        {"frames": 3, "cells": 2, "cliques": 2},
        {"frames": 2, "cells": 3, "cliques": 2, "optional": 0.5},
    ],
)
def test_small_problems_are_summed_exactly(seed: int, kind: dict) -> None:
    assert error(made_problem(seed, **kind)) < 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_larger_problems_are_nearly_exact(seed: int) -> None:
    assert error(made_problem(seed, 3, 4, gaps=True, sharp=3.0)) < 0.002
    assert error(made_problem(seed, 3, 3, optional=0.5)) < 1e-5


def test_two_cells_that_may_have_swapped() -> None:
    """The better of two matchings, by 1 nat at temperature 2: odds of e^0.5, however dear it is to end."""
    frame = np.array([0, 0, 1, 1])
    ends = to_units(np.full(4, 40.0))
    candidates = Candidates(
        Detections(
            frame,
            np.arange(4) + 1,
            np.zeros((4, 3)),
            np.ones(4, np.int64),
            np.ones(4),
            ends * 0,
            ends,
            ends,
            np.zeros(4, bool),
            all_free(4),
            np.full(4, -1),
        ),
        Links(np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3]), to_units(np.array([-1.0, 0.0, 0.0, 0.0])), all_free(4)),
        Divisions(*np.zeros((3, 0), np.int64), np.zeros(0, np.int64), all_free(0)),
    )
    right = 1 / (1 + np.exp(-0.5))
    found = compute_confidence(candidates, 2.0)
    assert np.allclose(found.link, [right, 1 - right, 1 - right, right], atol=1e-6)
    assert np.allclose(past_probability(candidates, solve_candidates(candidates), found)[2:], right, atol=1e-6)


def test_a_long_chain_of_gap_links_is_exact() -> None:
    """A tree of many rows: cells of which each may be left out, in a row of frames."""
    n = 9
    rng = np.random.default_rng(4)
    frame, zero = np.arange(n), np.zeros(n, np.int64)
    candidates = Candidates(
        Detections(
            frame,
            frame + 1,
            np.zeros((n, 3)),
            zero + 1,
            np.ones(n),
            zero,
            to_units(rng.uniform(0, 2, n)),
            to_units(rng.uniform(0, 2, n)),
            np.zeros(n, bool),
            all_free(n),
            zero - 1,
        ),
        Links(frame[:-1], frame[1:], to_units(rng.uniform(-2, 4, n - 1)), all_free(n - 1)),
        Divisions(*np.zeros((3, 0), np.int64), np.zeros(0, np.int64), all_free(0)),
    )
    assert error(candidates) < 1e-5


def test_pins_are_certain() -> None:
    candidates = made_problem(3, 3, 3)
    for value, probability in ((KEPT, 1.0), (FORBIDDEN, 0.0)):
        fixed = candidates.links.fixed.copy()
        fixed[2] = value
        pinned = replace(candidates, links=replace(candidates.links, fixed=fixed))
        assert compute_confidence(pinned).link[2] == pytest.approx(probability, abs=1e-6)
        assert error(pinned) < 2e-3


def test_a_second_birth_too_soon_is_less_likely() -> None:
    """Two divisions in a row, each certain as such: the penalty decides, and its mean is right on a tree."""
    frame = np.array([0, 1, 1, 2, 2])
    ends = to_units(np.full(5, 3.0))
    candidates = Candidates(
        Detections(
            frame,
            np.arange(5) + 1,
            np.zeros((5, 3)),
            np.ones(5, np.int64),
            np.ones(5),
            ends * 0,
            ends,
            ends,
            np.zeros(5, bool),
            all_free(5),
            np.full(5, -1),
        ),
        Links(np.array([0, 1]), np.array([1, 3]), to_units(np.array([0.0, 0.0])), all_free(2)),
        Divisions(np.array([0, 1]), np.array([1, 3]), np.array([2, 4]), to_units(np.array([-1.0, -1.0])), all_free(2)),
        rebirth_frames=4,
        rebirth_cost=int(to_units(6.0)),
    )
    assert error(candidates, 2.0) < 0.02
    assert error(replace(candidates, rebirth_cost=0), 2.0) < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_the_pasts_of_a_detection_sum_to_its_use(seed: int) -> None:
    candidates = made_problem(seed, 3, 6, optional=0.3, gaps=True)
    found = compute_confidence(candidates, 2.0)
    pairs = pairs_of(candidates, found)
    total = np.bincount(pairs.target, weights=pairs.probability, minlength=len(found.used)) + found.appear
    assert np.allclose(total, found.used, atol=5e-3)


def test_the_past_of_a_daughter_is_that_of_the_link_and_of_all_divisions() -> None:
    candidates = made_problem(5, 3, 3)
    solution, found = solve_candidates(candidates), compute_confidence(candidates, 1.5)
    past, right = chosen_past(candidates, solution), past_probability(candidates, solution, found)
    links, divisions = candidates.links, candidates.divisions
    for v in range(3, 9):
        u = int(past[v])
        link = found.link[(links.source == u) & (links.target == v)].sum()
        born = found.division[(divisions.mother == u) & ((divisions.first == v) | (divisions.second == v))].sum()
        assert right[v] == pytest.approx(found.appear[v] if u == NOTHING else link + born, abs=1e-6)
    assert np.isnan(right[:3]).all()


def test_the_order_of_the_columns_does_not_matter() -> None:
    candidates = made_problem(7, 4, 6, gaps=True)
    links = candidates.links
    turned = np.random.default_rng(0).permutation(len(links))
    other = replace(
        candidates, links=Links(links.source[turned], links.target[turned], links.cost[turned], links.fixed[turned])
    )
    assert np.allclose(compute_confidence(other).link, compute_confidence(candidates).link[turned], atol=1e-2)
    assert np.array_equal(compute_confidence(candidates).link, compute_confidence(candidates).link)


def test_the_interval_widens_with_the_spread_and_holds_the_expected() -> None:
    low, high = interval_of(97.0, 0.35, 25_000)
    assert low < 97 < high
    assert 2 < high / low < 4
    wider = interval_of(97.0, 0.7, 25_000)
    assert wider[0] < low
    assert wider[1] > high
    assert interval_of(0.0, 0.5, 10) == (0, 0)
    assert interval_of(9.0, 0.5, 10)[1] <= 10


def test_what_is_said_of_a_movie_is_the_sum_over_its_decisions() -> None:
    candidates = made_problem(2, 4, 5)
    solution, found = solve_candidates(candidates), compute_confidence(candidates, 1.5)
    said = summarise(candidates, solution, found, Calibration(1.5, 0.4, {"step": (100.0, 200.0)}, 3))
    doubt = 1 - past_probability(candidates, solution, found)
    assert said["decisions"] == 15
    assert said["expected_wrong"] == pytest.approx(doubt[5:].sum(), abs=1e-3)
    assert said["interval"][0] <= said["expected_wrong"] <= said["interval"][1]
    assert said["unlike"]
    assert "less is known" in said["sentence"]
    assert "masks are taken as given" in said["sentence"]
    seen = Calibration(1.5, 0.4, {}, 3)
    plain, guessed = (summarise(candidates, solution, found, seen, guessed=here) for here in (False, True))
    assert "does not know such images" not in plain["sentence"]
    assert "does not know such images" in guessed["sentence"]
    assert guessed["interval"][1] >= plain["interval"][1]


def test_what_an_unlikely_link_costs_beyond_its_odds_says_nothing_of_how_sure_one_is() -> None:
    candidates = made_problem(2, 4, 5)
    beyond = np.linspace(0, 3, len(candidates.links)).astype(np.float32)
    dearer = candidates.links.cost + np.round(NAT * beyond.astype(np.float64)).astype(np.int64)
    links = replace(candidates.links, cost=dearer, terms={UNLIKELY: beyond})
    asked = replace(candidates, links=links)
    assert np.array_equal(asked.links.evidence, candidates.links.cost)
    by_hand = replace(links, terms={UNLIKELY: np.full(len(links), np.nan)})  # rows that no model has priced
    assert np.array_equal(by_hand.evidence, dearer)
    assert np.array_equal(compute_confidence(asked).link, compute_confidence(candidates).link)
    assert not np.array_equal(
        compute_confidence(replace(asked, links=replace(links, terms={}))).link, compute_confidence(asked).link
    )


def test_true_pasts_follow_cells_and_mothers() -> None:
    """Track 1 (rows 0, 2) divides into 2 and 3 (rows 4, 5); row 3 is nobody's, row 1 begins, row 6 comes late."""
    cell = np.array([1, 4, 1, 0, 2, 3, 4])
    frame = np.array([0, 0, 1, 1, 2, 2, 3])
    tracks = Tracks(np.array([1, 2, 3, 4]), np.array([0, 2, 2, 0]), np.array([1, 2, 2, 3]), np.array([0, 1, 1, 0]))
    assert true_past(cell, tracks, frame).tolist() == [NOTHING, NOTHING, 0, UNKNOWN, 2, 2, 1]


def test_the_temperature_that_made_the_errors_is_found() -> None:
    """Truths drawn from the programme at temperature 3, by pairs of matchings: that temperature is learned back."""
    rng = np.random.default_rng(0)
    pairs = 400
    gain = rng.exponential(3.0, pairs)
    n = 4 * pairs
    frame = np.repeat([0, 1], 2 * pairs)
    a = 2 * np.arange(pairs)
    source, target = (
        np.repeat(np.stack([a, a + 1], 1).ravel(), 2),
        2 * pairs + np.tile(np.stack([a, a + 1], 1), 2).ravel(),
    )
    cost = np.stack([-gain, gain * 0, gain * 0, gain * 0], 1).ravel()
    ends = to_units(np.full(n, 40.0))
    candidates = Candidates(
        Detections(
            frame,
            np.tile(np.arange(2 * pairs), 2) + 1,
            np.zeros((n, 3)),
            np.ones(n, np.int64),
            np.ones(n),
            ends * 0,
            ends,
            ends,
            np.zeros(n, bool),
            all_free(n),
            np.full(n, -1),
        ),
        Links(source, target, to_units(cost), all_free(4 * pairs)),
        Divisions(*np.zeros((3, 0), np.int64), np.zeros(0, np.int64), all_free(0)),
    )
    swapped = rng.random(pairs) > 1 / (1 + np.exp(-gain / 3.0))
    cell = np.tile(np.arange(2 * pairs), 2) + 1
    second = 2 * pairs + a[swapped]
    cell[second], cell[second + 1] = cell[second + 1].copy(), cell[second].copy()
    labels = np.arange(2 * pairs) + 1
    tracks = Tracks(labels, labels * 0, labels * 0 + 1, labels * 0)
    learned = calibrate([Known(candidates, solve_candidates(candidates), cell, tracks)])
    assert learned.temperature == pytest.approx(3.0, rel=0.25)
    assert learned.movies == 1
    entry = learned.as_json()
    assert read_calibration(entry) == learned
    assert read_calibration({**entry, "version": 99}) == read_calibration(None) == Calibration()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [{"frames": 4, "cells": 5}, {"frames": 4, "cells": 4, "gaps": True}, {"frames": 4, "cells": 4, "optional": 0.5}],
    ids=str,
)
def test_solutions_under_perturbed_costs_agree_with_the_probabilities(kind: dict[str, Any]) -> None:
    """Another way to the same numbers: no messages, but the solver. It is an approximation of its own."""
    candidates = made_problem(1, **kind)
    found = [
        np.concatenate([one.link_chosen, one.division_chosen, one.appears, one.disappears])
        for one in draw_solutions(candidates, 1.5, 100, seed=1)
    ]
    said = compute_confidence(candidates, 1.5)
    difference = np.abs(
        np.mean(found, axis=0) - np.concatenate([said.link, said.division, said.appear, said.disappear])
    )
    assert difference.mean() < 0.06
    assert difference.max() < 0.3


def test_what_is_counted_in_lineages() -> None:
    #  1 ─┬─ 2 ─┬─ 4 ── 6 (4 continues as 6)      7 ──
    #     │     └─ 5
    #     └─ 3
    tracks = Tracks.from_rows(
        [(1, 0, 1, 0), (2, 2, 4, 1), (3, 2, 9, 1), (4, 5, 6, 2), (5, 5, 9, 2), (6, 8, 9, 4), (7, 3, 4, 0)]
    )
    assert count_lineages(tracks) == {
        "tracks": 6,
        "lineages": 2,
        "divisions": 2,
        "cycles": 1,
        "mean_cycle_frames": 3,
        "last_generation": pytest.approx((1 + 2 + 2) / 3),
    }
    assert interval_of_draws([1.0, 2.0, 3.0, float("nan")], 5.0) == pytest.approx((4.1, 5.9))
    assert np.isnan(interval_of_draws([1.0, float("nan"), float("nan")], 1.0)).all()


def test_the_draws_are_as_probable_as_the_costs_say() -> None:
    """Two cells in two frames that are the same cell with odds e^(2/T): drawn as often."""
    candidates = made_problem(0, 2, 1)
    one = to_units(np.array([-2.0]))
    candidates = replace(
        candidates,
        detections=replace(candidates.detections, appear=to_units(np.zeros(2)), disappear=to_units(np.zeros(2))),
        links=Links(np.array([0]), np.array([1]), one, all_free(1)),
    )
    share = np.mean([solution.link_chosen[0] for solution in draw_solutions(candidates, 2.0, 300, seed=0)])
    assert share == pytest.approx(1 / (1 + np.exp(-1)), abs=0.08)
    assert compute_confidence(candidates, 2.0).link[0] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-3)
