"""What it costs to set a cell free from its neighbours in time: never less than solving again says, and exact where it is simple."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.graph.candidates import NAT, Candidates, Detections, Divisions, Links, all_free
from celltrail.tracking.candidates.loose import find_loose
from celltrail.tracking.solving.solver import solve_candidates


def problem(frame, pairs, link_cost, triplets=(), division_cost=(), *, appear=7.0, disappear=7.0) -> Candidates:
    """Cells of equal size inside the image; costs in nats."""
    n = len(frame)
    source, target = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    mother, first, second = np.array(triplets, dtype=np.int64).reshape(-1, 3).T
    units = [np.rint(np.asarray(cost, dtype=np.float64) * NAT).astype(np.int64) for cost in (link_cost, division_cost)]
    ends = [np.full(n, round(cost * NAT)) for cost in (appear, disappear)]
    return Candidates(
        Detections(
            frame=np.array(frame),
            label=np.arange(n) + 1,
            position=np.zeros((n, 3)),
            area=np.full(n, 100),
            border=np.full(n, 50.0),
            cost=np.zeros(n, dtype=np.int64),
            appear=ends[0],
            disappear=ends[1],
            optional=np.zeros(n, dtype=np.bool_),
            fixed=all_free(n),
            hypothesis=np.full(n, -1),
        ),
        Links(source, target, units[0], all_free(len(source))),
        Divisions(mother, first, second, units[1], all_free(len(mother))),
    )


def loose(c: Candidates):
    return find_loose(c, solve_candidates(c), c.detections.area, 100.0)


def solved_again(c: Candidates, cell: int, *, future: bool) -> float:
    """By how many nats the optimum becomes dearer if a cell has no future (past), and that is for nothing."""
    d, side = c.detections, (c.links.source if future else c.links.target)
    kept = side != cell
    z = c.divisions
    whole = z.mother != cell if future else (z.first != cell) & (z.second != cell)
    ends = {name: getattr(d, name).copy() for name in ("appear", "disappear")}
    ends["disappear" if future else "appear"][cell] = 0
    freed = Candidates(
        replace(d, **ends),
        Links(c.links.source[kept], c.links.target[kept], c.links.cost[kept], all_free(int(kept.sum()))),
        Divisions(z.mother[whole], z.first[whole], z.second[whole], z.cost[whole], all_free(int(whole.sum()))),
    )
    return (solve_candidates(freed).objective - solve_candidates(c).objective) / NAT


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4), m=st.integers(1, 4), divide=st.booleans())
def test_never_less_than_solving_again_says(seed: int, n: int, m: int, divide: bool) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(u, n + v) for u in range(n) for v in range(m)]
    triplets = [(u, v, w) for u in range(n) for v in range(n, n + m) for w in range(v + 1, n + m)] if divide else []
    c = problem([0] * n + [1] * m, pairs, rng.uniform(-8, 8, len(pairs)), triplets, rng.uniform(-8, 8, len(triplets)))
    found = loose(c)
    for cell in range(n + m):
        future = cell < n
        bound = (found.future if future else found.past)[cell]
        exact = solved_again(c, cell, future=future)
        assert exact <= bound + 1e-5
        if n == m == 1 or (min(n, m) == 1 and not divide):  # one exchange is all there is
            assert exact == pytest.approx(bound, abs=1e-5)


def test_a_neighbour_that_took_the_place_gives_it_back() -> None:
    """Cells 0, 1 in frame 0; only 2 in frame 1. Cell 1 went on as 2; cell 0, which ends, could have: 0.5 nats more."""
    found = loose(problem([0, 0, 1], [(0, 2), (1, 2)], [-3.5, -4.0]))
    assert found.future.tolist() == pytest.approx([-7.0, -3.5 + 4.0 - 7.0, -7.0])
    assert found.past.tolist() == pytest.approx([-7.0, -7.0, 7.0 + 4.0])  # cell 2 would leave cell 1 behind


def test_a_daughter_is_free_if_her_mother_goes_on_as_the_sister() -> None:
    found = loose(problem([0, 1, 1], [(0, 1), (0, 2)], [-2.0, -1.0], [(0, 1, 2)], [-3.0]))
    assert found.past.tolist() == pytest.approx([-7.0, -1.0 + 3.0, -2.0 + 3.0])
    assert found.future[0] == np.inf
