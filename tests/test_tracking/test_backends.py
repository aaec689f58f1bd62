"""A solver's word is checked: what is no answer never looks like one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from celltrail.tracking.solving.backends import LinearProgramme, SolverFailed, backend
from celltrail.tracking.solving.blocks import Task, solve_task
from celltrail.tracking.solving.certificate import SIDELESS, dual_bound

SOLVERS = ["highs", "pulp:CBC", "pulp:HiGHS"]


def triangle(cost: list[float]) -> LinearProgramme:
    """Three rows, each covered once by columns that cover two of them, or one alone: fractional at (½, ½, ½)."""
    matrix = np.array([[1, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 0, 1]], dtype=float)
    return LinearProgramme(np.array(cost, dtype=float), csc_array(matrix), np.ones(3), np.ones(3))


ODD = [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_relaxation_and_integer_programme_differ(solver: str) -> None:
    relaxed = backend(solver)(triangle(ODD), False, None)
    assert relaxed.x is not None
    assert relaxed.x[:3] == pytest.approx([0.5, 0.5, 0.5])
    assert relaxed.bound == pytest.approx(-1.5)
    whole = backend(solver)(triangle(ODD), True, None)
    assert whole.x is not None
    assert whole.optimal
    assert whole.bound == pytest.approx(-1.0)
    assert np.dot(ODD, whole.x) == pytest.approx(-1.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_infeasible_programme_is_an_error(solver: str) -> None:
    problem = LinearProgramme(np.zeros(1), csc_array(np.ones((1, 1))), np.array([2.0]), np.array([2.0]))
    with pytest.raises(SolverFailed, match=r"(?i)infeasible"):
        backend(solver)(problem, True, None)


def test_no_time_is_no_answer() -> None:
    rng = np.random.default_rng(0)
    matrix = csc_array((rng.random((60, 600)) < 0.1).astype(float))
    problem = LinearProgramme(-rng.random(600), matrix, np.full(60, -np.inf), np.ones(60))
    relaxed = backend("highs")(problem, False, 0.0)
    assert relaxed.x is None
    assert not relaxed.optimal
    whole = backend("highs")(problem, True, 0.0)
    assert not whole.optimal
    best = backend("highs")(problem, True, None)
    assert best.optimal
    assert whole.bound <= best.bound


def odd_task() -> Task:
    problem = triangle(ODD)
    one = np.ones(3, dtype=np.int64)
    incumbent = np.array([False, False, False, True, True, True])
    cost = (problem.cost * 1_000_000).astype(np.int64)
    return Task(cost, np.zeros(6), problem.matrix, one, one, np.zeros(9, dtype=np.int64), 1, incumbent)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fractional_block_is_solved_as_an_integer_programme(solver: str) -> None:
    result = solve_task(odd_task(), solver, None)
    assert result.chosen[:3].sum() == 1
    assert result.bound.tolist() == [-1_000_000]
    assert result.proven.tolist() == [True]


def test_without_time_the_incumbent_stays() -> None:
    task = odd_task()
    result = solve_task(task, "highs", 0.0)
    assert result.bound[0] <= -1_000_000
    if not result.proven[0]:
        assert np.array_equal(result.chosen, task.incumbent)


def test_any_duals_give_a_lower_bound() -> None:
    """The optimum is −1; the bound of wrong, even absurd duals stays below, that of the best ones is −1.5 rounded up."""
    problem = triangle(ODD)
    cost, one, group = (problem.cost * 2).astype(np.int64), np.ones(3, dtype=np.int64), np.zeros(9, dtype=np.int64)
    rng = np.random.default_rng(1)
    for dual in rng.normal(0, 3, (200, 3)):
        assert dual_bound(cost, problem.matrix, one, one, dual, group, 1)[0] <= -2
    best = dual_bound(cost, problem.matrix, one, one, np.full(3, -1.0), group, 1)
    assert best.tolist() == [-3]


def test_a_dual_of_the_wrong_sign_is_not_used() -> None:
    """One row ``x₁ + x₂ ≥ 1``: a negative dual would need an upper side that is not there."""
    matrix, low = csc_array(np.ones((1, 2))), np.ones(1, dtype=np.int64)
    cost, group = np.array([3, 5]), np.zeros(3, dtype=np.int64)
    bounds = [dual_bound(cost, matrix, low, low * SIDELESS, np.array([d]), group, 1)[0] for d in (-4.0, 2.0, 3.0, 9.0)]
    assert bounds[:3] == [0, 2, 3]
    assert bounds[3] <= 3
