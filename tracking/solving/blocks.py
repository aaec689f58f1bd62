"""Some independent problems, written as one linear programme and solved in one call.

The relaxation first: the optimum of a block-diagonal programme is the optimum of each block. Where a block is
fractional, or its duals do not prove it, that block alone is solved as an integer programme.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from celltrail.data.graph.candidates import BoolArray, FloatArray, IntArray
from celltrail.tracking.solving.backends import Answer, LinearProgramme, backend
from celltrail.tracking.solving.certificate import SIDELESS, dual_bound

SCALE = 1000.0  # the solver sees costs in 10⁻³ nat, well above its tolerances


@dataclass(frozen=True)
class Task:
    """Minimise ``cost · x``, ``lower ≤ matrix x ≤ upper``, ``x`` binary, in ``groups`` independent blocks.

    Attributes
    ----------
    cost : IntArray
        int64 (columns,) units.
    nudge : FloatArray
        float64 (columns,), below one unit: which column to take among equals.
    group : IntArray
        int64 (rows + columns,) — the block of each row, then of each column.
    incumbent : BoolArray
        bool (columns,) — a known choice that keeps every row; it stays where nothing better is found.
    """

    cost: IntArray
    nudge: FloatArray
    matrix: csc_array
    lower: IntArray
    upper: IntArray
    group: IntArray
    groups: int
    incumbent: BoolArray


@dataclass(frozen=True)
class BlockSolutions:
    """The answer to a `Task`.

    Attributes
    ----------
    chosen : BoolArray
        bool (columns,) — feasible, never dearer than the incumbent; in a block whose relaxation takes nudged
        columns and is fractional, only those.
    bound : IntArray
        int64 (groups,), of each optimum.
    proven : BoolArray
        bool (groups,).
    dual : FloatArray
        float64 (rows,) in units, NaN in the blocks whose relaxation proves nothing.
    """

    chosen: BoolArray
    bound: IntArray
    proven: BoolArray
    dual: FloatArray


@dataclass(frozen=True)
class Relaxation:
    """The answer to the relaxation: x float64 (columns,), dual float64 (rows,) in units; ``None`` if time ran out."""

    x: FloatArray | None
    dual: FloatArray | None


def relax_task(task: Task, solver: str, deadline: float | None) -> Relaxation:
    """Solve the relaxation to ``0 ≤ x ≤ 1`` only."""
    answer = backend(solver)(
        _problem(task, np.arange(len(task.lower)), np.arange(len(task.cost))), False, _left(deadline)
    )
    return Relaxation(answer.x, None if answer.dual is None else answer.dual * SCALE)


def solve_task(task: Task, solver: str, deadline: float | None) -> BlockSolutions:
    """Solve every block to proven optimality, or as far as the time goes.

    Parameters
    ----------
    deadline : float | None
        On the clock of ``time.time`` (workers may be on other machines); after it the best known choice stays, with
        its bound.
    """
    run = backend(solver)
    rows = len(task.lower)
    row_group, column_group = task.group[:rows], task.group[rows:]
    relaxed = run(_problem(task, np.arange(rows), np.arange(len(task.cost))), False, _left(deadline))
    dual = np.full(rows, np.nan) if relaxed.dual is None else relaxed.dual * SCALE
    bound = dual_bound(task.cost, task.matrix, task.lower, task.upper, np.nan_to_num(dual), task.group, task.groups)
    if relaxed.x is None:
        chosen, fractional = task.incumbent.copy(), np.ones(task.groups, dtype=np.bool_)
    else:
        chosen, fractional = relaxed.x > 0.5, np.zeros(task.groups, dtype=np.bool_)
        fractional[column_group[np.abs(relaxed.x - chosen) > 1e-6]] = True
    objective = _sums(task, chosen)
    if relaxed.dual is None:
        # a solver without duals: its word for the relaxation is the bound of an integral block
        bound = np.where(fractional, bound, objective)
    proven = ~fractional & (bound == objective)
    dual[~proven[row_group]] = np.nan
    known = _sums(task, task.incumbent)
    undecided = ~proven
    if relaxed.x is not None:
        # no need for the integer optimum of a region that must grow anyway
        leaving = (task.nudge > 0) & (relaxed.x > 1e-6)
        grows = np.zeros(task.groups, dtype=np.bool_)
        grows[column_group[leaving]] = True
        grows &= fractional
        chosen = np.where(grows[column_group], leaving, chosen)
        undecided &= ~grows
    for block in np.flatnonzero(undecided).tolist():
        inside, covered = np.flatnonzero(column_group == block), np.flatnonzero(row_group == block)
        answer = run(_problem(task, covered, inside), True, _left(deadline))
        candidate = task.incumbent[inside] if answer.x is None else answer.x > 0.5
        best = int(task.cost[inside][candidate].sum())
        if answer.optimal:
            bound[block] = best
        else:
            bound[block] = max(_integer_bound(answer), int(bound[block]))
            if known[block] < best:
                candidate, best = task.incumbent[inside], int(known[block])
        chosen[inside] = candidate
        proven[block] = bound[block] == best
    return BlockSolutions(chosen, bound, proven, dual)


def _sums(task: Task, chosen: BoolArray) -> IntArray:
    """Cost of a choice in each block, int64 (groups,)."""
    total = np.zeros(task.groups, dtype=np.int64)
    np.add.at(total, task.group[len(task.lower) :][chosen], task.cost[chosen])
    return total


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.time(), 0.0)


def _integer_bound(answer: Answer) -> int:
    """The bound of an integer programme as an integer number of units, rounded to the safe side."""
    if not np.isfinite(answer.bound):
        return -(1 << 60)
    value = answer.bound * SCALE
    return int(np.floor(value - 1e-9 * abs(value)))


def _problem(task: Task, rows: IntArray, columns: IntArray) -> LinearProgramme:
    part: Any = task.matrix.tocsr()[rows]
    lower, upper = task.lower[rows].astype(np.float64), task.upper[rows].astype(np.float64)
    lower[lower <= -SIDELESS], upper[upper >= SIDELESS] = -np.inf, np.inf
    return LinearProgramme(
        (task.cost[columns] + task.nudge[columns]) / SCALE, csc_array(part[:, columns]), lower, upper
    )
