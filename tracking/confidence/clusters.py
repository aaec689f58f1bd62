"""Clusters: rows that short loops tie together, summed exactly as one factor.

Two cells that might have swapped are a loop of four rows, and in it message passing is far too sure of the better
choice; where a mask may be one cell or two for several frames, it can settle on either reading, with certainty. All covers of the
rows of a cluster are summed instead (:mod:`celltrail.tracking.confidence.covers`). Up to :data:`LARGEST` rows are tied together
by the likeliest columns first; then clusters that two columns or a clique tie together become one, as long as the covers of
both together are few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray
from celltrail.tracking.confidence.covers import MOST_STEPS, Cliques, Room, find_covers, make_room
from celltrail.tracking.confidence.messages import Net

LARGEST = 14
WEAK = 1e-3  # columns less probable than this tie nothing together
LOOPED = 1e-3  # of the second of two columns between clusters, from which they should be one
WIDEST = 3000
TIMES = 3  # that clusters are made of clusters


class Clusters(NamedTuple):
    """Which rows are summed together; compiled functions take it as it is.

    Attributes
    ----------
    of_row, place : IntArray
        int64 (rows,), the cluster of each row (−1: none) and its place there.
    first, members : IntArray
        The rows of each cluster, in the order of time.
    inner_first, inner : IntArray
        The columns with two rows or more in it.
    step_first, step : IntArray
        Its covers: int64 (steps, 3), from which state, to which, by which inner column (or −1 − place of a row: alone).
    states, end : IntArray
        How many states it has (and 1), and the one in which all is covered (−1: none).
    clique_inside : BoolArray
        bool (cliques,), those that a cluster obeys.
    """

    of_row: IntArray
    place: IntArray
    first: IntArray
    members: IntArray
    inner_first: IntArray
    inner: IntArray
    step_first: IntArray
    step: IntArray
    states: IntArray
    end: IntArray
    clique_inside: BoolArray


def no_clusters(rows: int, cliques: int) -> Clusters:
    """Every row by itself."""
    one, zero = np.zeros(1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    none = np.zeros(cliques, dtype=np.bool_)
    return Clusters(zero - 1, zero, one, one, one, one, one, np.zeros((0, 3), dtype=np.int64), one, one, none)


def find_clusters(net: Net, belief: FloatArray, time: IntArray, group: IntArray) -> Clusters:
    """Tie rows together by the likeliest columns first, then clusters that loops still join; trees are given up again.

    Parameters
    ----------
    net : Net
    belief : FloatArray
        float64 (columns,), probability of each column so far.
    time : IntArray
        int64 (rows,), the order in which the rows of a cluster are covered.
    group : IntArray
        int64 (rows,), the independent problem of each row: a small one is a cluster as a whole.
    """
    rows, count = net.rows, len(time)
    cliques = _cliques(net, count)
    size = np.bincount(group, minlength=1)[group] if len(group) else group
    wide = np.flatnonzero(rows[:, 1] >= 0)
    small = size[rows[wide, 0]] <= LARGEST
    strong = wide[(belief[wide] > WEAK) | small]
    strong = strong[np.argsort(-belief[strong], kind="stable")]
    name, room = _tie(rows, strong, count, cliques), make_room(count)
    for _ in range(TIMES):
        pairs = _loops(name, rows[strong], belief[strong], cliques)
        if not len(pairs) or not _join(net, cliques, name, time, pairs, room):
            break
    ties, members = np.zeros(count, dtype=np.int64), np.bincount(name, minlength=count)
    _count_ties(rows, wide, name, ties)
    inside = _inside_of_one(name, cliques)
    ties[name[cliques.row[cliques.first[:-1][inside]]]] += count
    looped = ties > members - 1  # otherwise a tree, on which messages are exact
    kept = np.flatnonzero(looped[name])
    kept = kept[np.lexsort((kept, time[kept], name[kept]))]
    names, first = np.unique(name[kept], return_index=True)
    of_row = np.full(count, -1)
    of_row[kept] = np.searchsorted(names, name[kept])
    first = np.append(first, len(kept)).astype(np.int64)
    place = np.zeros(count, dtype=np.int64)
    place[kept] = np.arange(len(kept)) - first[of_row[kept]]
    return Clusters(of_row, place, first, kept, *_all_covers(net, cliques, first, kept, room), inside)


def _cliques(net: Net, count: int) -> Cliques:
    """The cliques by members, and by rows."""
    first, row = net.clique_first, net.rows[net.clique_column, 0].astype(np.int64)
    clique = np.repeat(np.arange(len(first) - 1), np.diff(first))
    order = np.argsort(row, kind="stable")
    of_first = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))]).astype(np.int64)
    return Cliques(first, row, of_first, clique[order])


def _inside_of_one(name: IntArray, cliques: Cliques) -> BoolArray:
    """Which cliques lie in one set of rows; bool (cliques,)."""
    if not len(cliques.row):
        return np.zeros(0, dtype=np.bool_)
    mine = name[cliques.row]
    least, greatest = (f.reduceat(mine, cliques.first[:-1]) for f in (np.minimum, np.maximum))
    return np.asarray(least == greatest)


def _loops(name: IntArray, rows: RowArray, belief: FloatArray, cliques: Cliques) -> IntArray:
    """Pairs of sets that a clique, or two columns or more, tie together, the strongest first; int64 (pairs, 2)."""
    sizes = np.diff(cliques.first)
    split = np.repeat(~_inside_of_one(name, cliques), sizes)
    first_of_clique = np.repeat(cliques.row[cliques.first[:-1]], sizes)[split]
    of_cliques = np.stack([first_of_clique, cliques.row[split]], axis=1)
    of_columns = np.concatenate([rows[:, slots] for slots in ([0, 1], [0, 2], [1, 2])])
    there = (of_columns >= 0).all(axis=1)
    # a clique counts as two columns that are certain
    ties = np.concatenate([of_columns[there], of_cliques, of_cliques])
    strength = np.concatenate([np.tile(belief, 3)[there], np.full(2 * len(of_cliques), 2.0)])
    sets = np.sort(name[ties], axis=1)
    apart = sets[:, 0] != sets[:, 1]
    sets, strength = sets[apart], strength[apart]
    order = np.lexsort((-strength, sets[:, 1], sets[:, 0]))
    sets, strength = sets[order], strength[order]
    again = np.append(False, (sets[1:] == sets[:-1]).all(axis=1))[: len(sets)]
    second = np.flatnonzero(again & ~np.append(False, again[:-1])[: len(sets)] & (strength > LOOPED))
    return np.asarray(sets[second[np.argsort(-strength[second], kind="stable")]], dtype=np.int64)


@compiled
def _join(net: Net, cliques: Cliques, name: IntArray, time: IntArray, pairs: IntArray, room: Room) -> bool:
    """Make one of each pair of sets whose covers together are few; returns whether any became one."""
    count = len(name)
    following, last = (
        np.full(count, -1),
        np.arange(count),
    )  # the rows of a set as a chain, from the one it is named after
    for r in range(count):
        if name[r] != r:
            following[last[name[r]]] = r
            last[name[r]] = r
    parent, any_joined = np.arange(count), False
    for k in range(len(pairs)):
        a, b = _set_of(parent, pairs[k, 0]), _set_of(parent, pairs[k, 1])
        if a == b:
            continue
        size = 0
        for r in (a, b):
            while r >= 0:
                size += 1
                r = following[r]
        members, i = np.empty(size, dtype=np.int64), 0
        for r in (a, b):
            while r >= 0:
                members[i] = r
                i += 1
                r = following[r]
        members = members[np.argsort(time[members] * count + members)]
        if find_covers(net, cliques, members, WIDEST, room).states > 0:
            parent[b] = a
            following[last[a]] = b
            last[a] = last[b]
            any_joined = True
    for r in range(count):
        name[r] = _set_of(parent, name[r])
    return any_joined


def _all_covers(
    net: Net, cliques: Cliques, first: IntArray, members: IntArray, room: Room
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """The inner columns and the covers of every cluster, as in `Clusters`."""
    count = len(first) - 1
    inner_first, step_first = np.zeros(count + 1, dtype=np.int64), np.zeros(count + 1, dtype=np.int64)
    states, end = np.ones(count + 1, dtype=np.int64), np.zeros(count, dtype=np.int64)
    inner, step = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3), dtype=np.int64)]
    for q in range(count):
        found = find_covers(net, cliques, members[first[q] : first[q + 1]], MOST_STEPS, room)
        inner_first[q + 1], step_first[q + 1] = found.inner, found.steps
        states[q], end[q] = found.states, found.end
        inner.append(room.inner[: found.inner].copy())
        step.append(room.step[: found.steps].copy())
    return np.cumsum(inner_first), np.concatenate(inner), np.cumsum(step_first), np.concatenate(step), states, end


@compiled
def _tie(rows: RowArray, order: IntArray, count: int, cliques: Cliques) -> IntArray:
    """The set of each row, named after its first; the members of a clique come first."""
    parent, size = np.arange(count), np.ones(count, dtype=np.int64)
    for k in range(len(cliques.first) - 1):
        its = cliques.row[cliques.first[k] : cliques.first[k + 1]]
        _unite(parent, size, np.concatenate((its, its + count // 2)), 1)
    for k in order:
        _unite(parent, size, rows[k].astype(np.int64), 0)
    name = np.empty(count, dtype=np.int64)
    for r in range(count):
        name[r] = _set_of(parent, r)
    return name


@compiled
def _set_of(parent: IntArray, row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@compiled
def _unite(parent: IntArray, size: IntArray, some: IntArray, extra: int) -> bool:
    """Unite the sets of some rows, and ``extra`` bits, if that stays small enough."""
    total, least = extra, -1
    for i in range(len(some)):
        if some[i] >= 0:
            mine, new = _set_of(parent, some[i]), True
            for before in range(i):
                new &= _set_of(parent, some[before]) != mine
            if new:
                total += size[mine]
                least = mine if least < 0 else min(least, mine)
    if total > LARGEST:
        return False
    for row in some:
        if row >= 0:
            parent[_set_of(parent, row)] = least
    size[least] = total
    return True


@compiled
def _count_ties(rows: RowArray, wide: IntArray, name: IntArray, ties: IntArray) -> None:
    """Rows that the columns inside of each set cover, less one a column: a tree has one fewer than it has rows."""
    for k in wide:
        for slot in range(1, 3):
            if rows[k, slot] >= 0:
                seen = False
                for before in range(slot):
                    seen |= name[rows[k, before]] == name[rows[k, slot]]
                if seen:
                    ties[name[rows[k, slot]]] += 1
