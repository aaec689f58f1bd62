"""A first solution and exact duals for the whole programme, at the speed of a matching.

The matching gives the optimum without divisions, and duals. A division whose reduced cost is negative then lowers
the dual of its mother's future until no column has a negative reduced cost: the duals are a bound of the whole
programme again. Where the mother already holds one of the daughters and the other one appears, choosing the
division restores optimality at once; all other places stay open: a chosen column with a positive reduced cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from celltrail.data.graph.candidates import BoolArray, IntArray, RowArray
from celltrail.data.running.machine_code import compiled
from celltrail.tracking.solving.matching import match
from celltrail.tracking.solving.programme import Programme


@dataclass
class DualState:
    """A feasible choice (cliques and second births aside) and feasible duals.

    Attributes
    ----------
    holder : IntArray
        int64 (2n,) — the chosen column of each row.
    dual : IntArray
        int64 (2n,), every reduced cost ≥ 0.
    """

    holder: IntArray
    dual: IntArray

    def chosen(self, columns: int) -> BoolArray:
        """Whether each of ``columns`` columns is chosen."""
        flags = np.zeros(columns, dtype=np.bool_)
        flags[self.holder] = True
        return flags


def reduced_cost(programme: Programme, dual: IntArray, columns: RowArray) -> IntArray:
    """``c_j − Σ dual`` over the rows of some columns, int64."""
    extended = np.append(dual, 0)
    rows = programme.rows[columns]
    reduced: IntArray = programme.cost[columns] - extended[rows[:, 0]] - extended[rows[:, 1]] - extended[rows[:, 2]]
    return reduced


def start(programme: Programme) -> DualState:
    """Matching first, then the divisions that are plainly better."""
    n = programme.detections
    # links are many: in 32 bits, and let go of as soon as they are in order
    pairs = np.flatnonzero(programme.allowed[: programme.links]).astype(np.int32)
    drops = np.flatnonzero(programme.allowed[programme.first_drop : programme.first_drop + n]).astype(np.int32)
    drops += np.int32(programme.first_drop)
    columns = np.concatenate([pairs, drops])
    past = np.concatenate([programme.rows[pairs, 1], drops - np.int32(programme.first_drop)])
    future = np.concatenate([programme.rows[pairs, 0] - np.int32(n), drops - np.int32(programme.first_drop)])
    del pairs, drops
    order = np.argsort(past, kind="stable")
    columns = columns[order]
    past = past[order]
    future = future[order]
    del order
    appear, disappear = programme.first_appear + np.arange(n), programme.first_disappear + np.arange(n)
    # a row without its own singleton is held by its only column, decided already
    never = np.int64(1) << 50
    alone_past = np.where(programme.allowed[appear], programme.cost[appear], never)
    alone_future = np.where(programme.allowed[disappear], programme.cost[disappear], never)
    first = np.searchsorted(past, np.arange(n + 1))
    # pasts are inserted, so their duals are the smallest of all optimal ones: a division has two of them
    edge, past_dual, future_dual = match(first, future, programme.cost[columns], alone_past, alone_future)

    holder, dual = np.concatenate([appear, disappear]), np.concatenate([past_dual, future_dual])
    matched = np.flatnonzero(edge >= 0)
    holder[matched] = columns[edge[matched]]
    holder[n + future[edge[matched]]] = columns[edge[matched]]
    _hold_forced(programme, holder, dual)
    triplets = programme.links + np.flatnonzero(programme.allowed[programme.links : programme.first_appear])
    if len(triplets):
        _take_divisions(
            triplets,
            np.ascontiguousarray(programme.rows[triplets]),
            programme.cost,
            holder,
            dual,
            n,
            programme.links,
            programme.first_appear,
        )
    return DualState(holder, dual)


def start_alone(programme: Programme) -> DualState:
    """Everything only appears and disappears (members of cliques are left out), with simple duals."""
    n = programme.detections
    appear, disappear = programme.first_appear + np.arange(n), programme.first_disappear + np.arange(n)
    holder = np.concatenate([appear, disappear])
    _hold_forced(programme, holder, np.zeros(2 * n, dtype=np.int64))
    rivals = np.unique(programme.clique_detection)
    holder[rivals] = holder[n + rivals] = programme.first_drop + rivals
    return DualState(holder, complete_duals(programme, programme.cost, np.zeros(n, dtype=np.int64)))


def complete_duals(programme: Programme, cost: IntArray, past: IntArray) -> IntArray:
    """The best feasible duals for given duals of the pasts, int64 (2n,).

    Every column but an appearance covers exactly one future, so what the columns of a future cost at least, beyond
    their pasts, is the largest dual that the future can have.
    """
    n = programme.detections
    appear = slice(programme.first_appear, programme.first_disappear)
    dual = np.zeros(2 * n + 1, dtype=np.int64)
    dual[:n] = np.where(programme.allowed[appear], np.minimum(cost[appear], past), past)
    columns = np.flatnonzero(programme.allowed)
    columns = columns[(columns < programme.first_appear) | (columns >= programme.first_disappear)]
    rows = programme.rows[columns]
    future = rows.max(axis=1)
    pasts = np.where(rows < n, rows, -1)
    least = np.full(2 * n, np.iinfo(np.int64).max)
    np.minimum.at(least, future, cost[columns] - dual[pasts].sum(axis=1))
    dual[n : 2 * n] = least[n:]
    return dual[: 2 * n]


def keep_cliques(programme: Programme, holder: IntArray, cliques: list[IntArray]) -> None:
    """Leave out all but one used member of each clique that ``holder`` breaks; what they held stays alone.

    Parameters
    ----------
    cliques : list[IntArray]
        The "left out" columns of each clique.
    """
    n = programme.detections
    for columns in cliques:
        members = columns - programme.first_drop
        used = members[holder[members] != columns]
        if len(used) < 2:
            continue
        worth = programme.cost[programme.first_drop + used]
        for v in used[np.arange(len(used)) != int(np.argmax(worth))].tolist():
            for column in (int(holder[v]), int(holder[n + v])):
                rows = programme.rows[column][programme.rows[column] >= 0]
                holder[rows] = np.where(rows < n, programme.first_appear + rows, programme.first_disappear + rows - n)
            holder[v] = holder[n + v] = programme.first_drop + v


def _hold_forced(programme: Programme, holder: IntArray, dual: IntArray) -> None:
    """Give the rows that have lost their singleton (pins, forbidden detections) to their only column."""
    bare = ~programme.allowed[programme.first_appear : programme.first_drop]
    if not bare.any():
        return
    touched = np.append(bare, False)[programme.rows].any(axis=1)
    for column in np.flatnonzero(programme.allowed & touched).tolist():
        rows = programme.rows[column][programme.rows[column] >= 0]
        if bare[rows].all():
            holder[rows], dual[rows] = column, 0
            dual[rows[0]] = programme.cost[column]
    assert programme.allowed[holder].all(), "a row has no column left"


@compiled
def _take_divisions(
    triplets: IntArray,
    rows: RowArray,
    cost: IntArray,
    holder: IntArray,
    dual: IntArray,
    n: int,
    links: int,
    singles: int,
) -> None:
    """Lower the mothers' duals to where every division has a reduced cost ≥ 0; take what is optimal then."""
    count = len(triplets)
    for k in range(count):
        slack = cost[triplets[k]] - dual[rows[k, 0]] - dual[rows[k, 1]] - dual[rows[k, 2]]
        if slack < 0:
            dual[rows[k, 0]] += slack
    for k in range(count):
        u, v, w = rows[k, 0], rows[k, 1], rows[k, 2]
        column = triplets[k]
        if cost[column] != dual[u] + dual[v] + dual[w] or holder[u] == column:
            continue
        # the rows that would be set free must all be rows of the division itself
        first, second = holder[v], holder[w]
        alone_first, alone_second = singles <= first < singles + n, singles <= second < singles + n
        mine = holder[u]
        alone = singles + n <= mine < singles + 2 * n
        if alone:
            fits = alone_first and alone_second
        elif mine < links:
            fits = (first == mine and alone_second) or (second == mine and alone_first)
        else:
            fits = False
        if fits:
            holder[u], holder[v], holder[w] = column, column, column
