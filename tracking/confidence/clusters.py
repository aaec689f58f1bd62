"""Clusters: up to :data:`LARGEST` rows that short loops tie together, summed exactly as one factor.

Two cells that might have swapped are a loop of four rows, and in it message passing is far too sure of the better
choice. All covers of the rows of a cluster are summed instead, row by row: ``forward[S]`` is the weight of all ways to
cover the rows ``S``, always covering the first uncovered one next, ``backward[S]`` that of all ways to go on from
there. Columns that only one row of the cluster shares with the rest of the world are summed up before. A clique whose
detections all lie in the cluster is one more bit of ``S``, set by the first of them that is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray
from celltrail.tracking.confidence.messages import FEWEST, Net, heard, tell

LARGEST = 14
WEAK = 1e-3  # columns less probable than this tie nothing together


class Clusters(NamedTuple):
    """Which rows are summed together; compiled functions take it as it is.

    Attributes
    ----------
    of_row, place : IntArray
        int64 (rows,), the cluster of each row (−1: none) and its bit there.
    first, members : IntArray
        The rows of each cluster, in the order of time.
    inner_first, inner : IntArray
        The columns with two rows or more in it.
    cliques : IntArray
        int64 (clusters,), the cliques that lie in it;
    taken : IntArray
        int64 (rows,), the bits of those that a past takes when it is used;
    clique_inside : BoolArray
        bool (cliques,).
    """

    of_row: IntArray
    place: IntArray
    first: IntArray
    members: IntArray
    inner_first: IntArray
    inner: IntArray
    cliques: IntArray
    taken: IntArray
    clique_inside: BoolArray


def no_clusters(rows: int, cliques: int) -> Clusters:
    """Every row by itself."""
    one, zero = np.zeros(1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    return Clusters(zero - 1, zero, one, one, one, one, one, zero, np.zeros(cliques, dtype=np.bool_))


def find_clusters(
    belief: FloatArray, rows: RowArray, time: IntArray, group: IntArray, clique_first: IntArray, clique_row: IntArray
) -> Clusters:
    """Tie rows together by the likeliest columns first, as long as a cluster stays small; trees are given up again.

    Parameters
    ----------
    belief : FloatArray
        float64 (columns,), probability of each column so far.
    rows : RowArray
        int32 (columns, 3).
    time : IntArray
        int64 (rows,), the order in which the rows of a cluster are covered.
    group : IntArray
        int64 (rows,), the independent problem of each row: a small one is a cluster as a whole.
    clique_first, clique_row : IntArray
        The past rows of the detections of each clique.
    """
    size = np.bincount(group, minlength=1)[group] if len(group) else group
    wide = np.flatnonzero(rows[:, 1] >= 0)
    small = size[rows[wide, 0]] <= LARGEST
    strong = wide[(belief[wide] > WEAK) | small]
    strong = strong[np.argsort(-belief[strong], kind="stable")]
    name, clique_inside = _tie(rows, strong, len(time), clique_first, clique_row)
    ties, members = np.zeros(len(time), dtype=np.int64), np.bincount(name, minlength=len(time))
    _count_ties(rows, wide, name, ties)
    inside = np.flatnonzero(clique_inside)
    ties[name[clique_row[clique_first[inside]]]] += len(time)
    looped = ties > members - 1  # otherwise a tree, on which messages are exact
    kept = np.flatnonzero(looped[name])
    kept = kept[np.lexsort((kept, time[kept], name[kept]))]
    names, first = np.unique(name[kept], return_index=True)
    of_row = np.full(len(time), -1)
    of_row[kept] = np.searchsorted(names, name[kept])
    first = np.append(first, len(kept)).astype(np.int64)
    place = np.zeros(len(time), dtype=np.int64)
    place[kept] = np.arange(len(kept)) - first[of_row[kept]]
    inner_first, inner = _inner_columns(rows, wide, of_row, len(names))
    cliques, taken = np.zeros(max(len(names), 1), dtype=np.int64), np.zeros(len(time), dtype=np.int64)
    for k in inside.tolist():
        its = clique_row[clique_first[k] : clique_first[k + 1]]
        q = of_row[its[0]]
        taken[its] |= 1 << (first[q + 1] - first[q] + cliques[q])
        cliques[q] += 1
    return Clusters(of_row, place, first, kept, inner_first, inner, cliques, taken, clique_inside)


@compiled
def _tie(
    rows: RowArray, order: IntArray, count: int, clique_first: IntArray, clique_row: IntArray
) -> tuple[IntArray, BoolArray]:
    """The set of each row, named after one of them, and which cliques lie in one set: they come first."""
    parent, size = np.arange(count), np.ones(count, dtype=np.int64)
    inside = np.zeros(len(clique_first) - 1, dtype=np.bool_)
    for k in range(len(inside)):
        its = clique_row[clique_first[k] : clique_first[k + 1]]
        both = np.concatenate((its, its + count // 2))
        inside[k] = _unite(parent, size, both, 1)
    for k in order:
        _unite(parent, size, rows[k].astype(np.int64), 0)
    name = np.empty(count, dtype=np.int64)
    for r in range(count):
        name[r] = _set_of(parent, r)
    return name, inside


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


@compiled
def _inner_columns(rows: RowArray, wide: IntArray, of_row: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The columns of which a cluster holds two rows or more (a division may be shared by one cluster only)."""
    owner = np.full(len(wide), -1)
    first = np.zeros(count + 1, dtype=np.int64)
    for i in range(len(wide)):
        a, b, c = rows[wide[i], 0], rows[wide[i], 1], rows[wide[i], 2]
        one, two = of_row[a], of_row[b]
        three = of_row[c] if c >= 0 else -1
        if one >= 0 and one in (two, three):
            owner[i] = one
        elif two >= 0 and two == three:
            owner[i] = two
        if owner[i] >= 0:
            first[owner[i] + 1] += 1
    first = np.cumsum(first)
    place, inner = first[:-1].copy(), np.empty(first[-1], dtype=np.int64)
    for i in range(len(wide)):
        if owner[i] >= 0:
            inner[place[owner[i]]] = wide[i]
            place[owner[i]] += 1
    return first, inner


@compiled
def sum_cluster(
    net: Net,
    clusters: Clusters,
    q: int,
    news: BoolArray,
    forward: FloatArray,
    backward: FloatArray,
    belief: FloatArray,
    damped: bool,
    asked: bool,
) -> float:
    """One cluster tells all columns that it shares with other rows; returns the largest change.

    Parameters
    ----------
    net : Net
        Its messages are renewed.
    clusters : Clusters
    q : int
        Which cluster.
    news : BoolArray
        The rows that have something to tell; renewed here.
    forward, backward : FloatArray
        Room for two to the power of `LARGEST` sums.
    belief : FloatArray
        The probability of each column is written to its entries.
    damped : bool
        Messages go only half of the way.
    asked : bool
        Write ``belief`` and tell nothing.
    """
    of_row, place, members, inner, taken = (
        clusters.of_row,
        clusters.place,
        clusters.members,
        clusters.inner,
        clusters.taken,
    )
    first, column_of, rows, entry, weight, message = (
        net.first,
        net.column_of,
        net.rows,
        net.entry,
        net.weight,
        net.message,
    )
    first_inner = clusters.inner_first[q]
    begin, size = clusters.first[q], clusters.first[q + 1] - clusters.first[q]
    n_inner, full = clusters.inner_first[q + 1] - first_inner, (1 << size) - 1
    states = 1 << (size + clusters.cliques[q])
    outside, top, best = np.zeros(size), np.full(size, -1), np.zeros(size)
    for b in range(size):
        row = members[begin + b]
        for e in range(first[row], first[row + 1]):
            if not _inside(column_of[e], q, of_row, rows):
                value = heard(net, column_of[e], e)
                outside[b] += value
                if value > best[b]:
                    best[b], top[b] = value, e
    mask, inner_weight = np.zeros(n_inner, dtype=np.int64), np.zeros(n_inner)
    head, after = np.full(size, -1), np.full(n_inner, -1)
    scale = np.ones(size)  # of each row, so that no sum over covers leaves the range of numbers
    for j in range(n_inner):
        c = inner[first_inner + j]
        value, lowest = weight[c], size
        left_out = rows[c, 0] < len(of_row) // 2  # the only columns of several rows that begin with a past
        for slot in range(3):
            r = rows[c, slot]
            if r >= 0:
                if of_row[r] == q:
                    mask[j] |= 1 << place[r]
                    if not left_out:
                        mask[j] |= taken[r]
                    lowest = min(lowest, place[r])
                else:
                    value *= message[entry[c, slot]]
        inner_weight[j] = max(value, FEWEST)
        after[j] = head[lowest]
        head[lowest] = j
    for b in range(size):
        largest = max(outside[b], FEWEST)
        for j in range(n_inner):
            if mask[j] >> b & 1:
                largest = max(largest, np.sqrt(inner_weight[j]))
        scale[b] = 1.0 / largest
    scaled = inner_weight.copy()
    for j in range(n_inner):
        for b in range(size):
            if mask[j] >> b & 1:
                scaled[j] *= scale[b]
    forward[:states] = 0.0
    forward[0] = 1.0
    for state in range(states):
        if forward[state] == 0.0 or state & full == full:
            continue
        b = 0
        while state >> b & 1:
            b += 1
        bits = 1 << b | taken[members[begin + b]]
        if not state & bits:
            forward[state | bits] += forward[state] * outside[b] * scale[b]
        j = head[b]
        while j >= 0:
            if not state & mask[j]:
                forward[state | mask[j]] += forward[state] * scaled[j]
            j = after[j]
    backward[:states] = 0.0
    share_outside, share_inner = np.zeros(size), np.zeros(n_inner)
    for state in range(states - 1, -1, -1):
        if state & full == full:
            backward[state] = 1.0
        if forward[state] == 0.0 or state & full == full:
            continue
        b = 0
        while state >> b & 1:
            b += 1
        bits, total = 1 << b | taken[members[begin + b]], 0.0
        if not state & bits:
            total = outside[b] * scale[b] * backward[state | bits]
            share_outside[b] += forward[state] * total
        j = head[b]
        while j >= 0:
            if not state & mask[j]:
                part = scaled[j] * backward[state | mask[j]]
                share_inner[j] += forward[state] * part
                total += part
            j = after[j]
        backward[state] = total
    whole = max(backward[0], 1e-300)
    change = 1.0
    for b in range(size):
        row, covered = members[begin + b], 0.0
        for j in range(n_inner):
            if mask[j] >> b & 1:
                covered += share_inner[j]
        for e in range(first[row], first[row + 1]):
            if _inside(column_of[e], q, of_row, rows):
                continue
            value = heard(net, column_of[e], e)
            rate = share_outside[b] / max(outside[b], FEWEST)
            if asked:
                belief[e] = rate * value / whole
                continue
            if entry[column_of[e], 1] < 0:
                continue  # appears or disappears: nobody else listens
            others = 0.0
            if e == top[b]:
                for other in range(first[row], first[row + 1]):
                    if other != e and not _inside(column_of[other], q, of_row, rows):
                        others += heard(net, column_of[other], other)
            else:
                others = outside[b] - value
            odds = rate / max(covered + rate * others, 1e-300)
            change = max(change, tell(net, e, odds, damped, news))
    for j in range(n_inner):
        c = inner[first_inner + j]
        told = False
        for slot in range(3):
            r = rows[c, slot]
            if r < 0 or of_row[r] != q:
                continue
            if asked:
                belief[entry[c, slot]] = share_inner[j] / whole
            elif told:
                message[entry[c, slot]] = 1.0  # the first of its rows speaks for both
            else:
                told = True
                b, others = place[r], share_outside[place[r]]
                for i in range(n_inner):
                    if i != j and mask[i] >> b & 1:
                        others += share_inner[i]
                odds = share_inner[j] / inner_weight[j] / max(others, 1e-300)
                change = max(change, tell(net, entry[c, slot], odds, damped, news))
    return change


@compiled
def _inside(column: int, q: int, of_row: IntArray, rows: RowArray) -> bool:
    """Whether a cluster holds at least two rows of a column."""
    count = 0
    for slot in range(3):
        if rows[column, slot] >= 0 and of_row[rows[column, slot]] == q:
            count += 1
    return count > 1
