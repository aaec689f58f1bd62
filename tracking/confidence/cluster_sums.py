"""What a cluster tells the columns that it shares with other rows: sums over all of its covers."""

from __future__ import annotations

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.confidence.clusters import Clusters
from celltrail.tracking.confidence.messages import FEWEST, Net, heard, tell

LEAST = 1e-300  # of what is divided by


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
        Room for a sum of each state.
    belief : FloatArray
        The probability of each column is written to its entries.
    damped : bool
        Messages go only half of the way.
    asked : bool
        Write ``belief`` and tell nothing.
    """
    members = clusters.members[clusters.first[q] : clusters.first[q + 1]]
    inner = clusters.inner[clusters.inner_first[q] : clusters.inner_first[q + 1]]
    outside, top = _weigh_outside(net, clusters.of_row, q, members)
    inner_weight = _weigh_inner(net, clusters.of_row, q, inner)
    alone, together = _share_covers(net, clusters, q, outside, inner_weight, forward, backward)
    whole, change = max(backward[0], LEAST), 1.0
    covered = np.zeros(len(members))  # of each row, by columns of the inside
    for j in range(len(inner)):
        for slot in range(3):
            row = net.rows[inner[j], slot]
            if row >= 0 and clusters.of_row[row] == q:
                covered[clusters.place[row]] += together[j]
    for b in range(len(members)):
        begin, end = net.first[members[b]], net.first[members[b] + 1]
        rate = alone[b] / max(outside[b], FEWEST)
        for e in range(begin, end):
            c = net.column_of[e]
            if _inside(net, clusters.of_row, q, c):
                continue
            value = heard(net, c, e)
            if asked:
                belief[e] = rate * value / whole
            elif net.entry[c, 1] >= 0:  # else it appears or disappears: nobody else listens
                others = outside[b] - value
                if e == top[b]:
                    others = _without(net, clusters.of_row, q, begin, end, e)
                odds = rate / max(covered[b] + rate * others, LEAST)
                change = max(change, tell(net, e, odds, damped, news))
    for j in range(len(inner)):
        told = False
        for slot in range(3):
            row, e = net.rows[inner[j], slot], net.entry[inner[j], slot]
            if row < 0 or clusters.of_row[row] != q:
                continue
            if asked:
                belief[e] = together[j] / whole
            elif told:
                net.message[e] = 1.0  # the first of its rows speaks for all
            else:
                told = True
                b = clusters.place[row]
                others = alone[b] + covered[b] - together[j]
                if together[j] > 0.5 * covered[b]:  # a difference would be lost in rounding
                    others = alone[b]
                    for i in range(len(inner)):
                        if i != j and (net.rows[inner[i]] == row).any():
                            others += together[i]
                odds = together[j] / inner_weight[j] / max(others, LEAST)
                change = max(change, tell(net, e, odds, damped, news))
    return change


@compiled
def _inside(net: Net, of_row: IntArray, q: int, column: int) -> bool:
    """Whether a cluster holds at least two rows of a column."""
    count = 0
    for slot in range(3):
        if net.rows[column, slot] >= 0 and of_row[net.rows[column, slot]] == q:
            count += 1
    return count > 1


@compiled
def _weigh_outside(net: Net, of_row: IntArray, q: int, members: IntArray) -> tuple[FloatArray, IntArray]:
    """What the columns weigh together that cover one row of the cluster alone, and the entry of the heaviest."""
    outside, top, best = np.zeros(len(members)), np.full(len(members), -1), np.zeros(len(members))
    for b in range(len(members)):
        for e in range(net.first[members[b]], net.first[members[b] + 1]):
            if not _inside(net, of_row, q, net.column_of[e]):
                value = heard(net, net.column_of[e], e)
                outside[b] += value
                if value > best[b]:
                    best[b], top[b] = value, e
    return outside, top


@compiled
def _without(net: Net, of_row: IntArray, q: int, begin: int, end: int, without: int) -> float:
    """What the others of these weigh; summed, since a difference would be lost in rounding."""
    total = 0.0
    for e in range(begin, end):
        if e != without and not _inside(net, of_row, q, net.column_of[e]):
            total += heard(net, net.column_of[e], e)
    return total


@compiled
def _weigh_inner(net: Net, of_row: IntArray, q: int, inner: IntArray) -> FloatArray:
    """The weight of each inner column times what its rows outside of the cluster say."""
    weight = np.empty(len(inner))
    for j in range(len(inner)):
        weight[j] = net.weight[inner[j]]
        for slot in range(3):
            row = net.rows[inner[j], slot]
            if row >= 0 and of_row[row] != q:
                weight[j] *= net.message[net.entry[inner[j], slot]]
        weight[j] = max(weight[j], FEWEST)
    return weight


@compiled
def _share_covers(
    net: Net,
    clusters: Clusters,
    q: int,
    outside: FloatArray,
    inner_weight: FloatArray,
    forward: FloatArray,
    backward: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The sums of all covers (``backward[0]`` in all): those that cover each row alone, and those with each inner column."""
    first, count = clusters.inner_first[q], len(inner_weight)
    step = clusters.step[clusters.step_first[q] : clusters.step_first[q + 1]]
    scale = np.maximum(outside, FEWEST)  # of each row, so that no sum over covers leaves the range of numbers
    scaled = inner_weight.copy()
    for turn in range(2):
        for j in range(count):
            for slot in range(3):
                row = net.rows[clusters.inner[first + j], slot]
                if row >= 0 and clusters.of_row[row] == q:
                    b = clusters.place[row]
                    if turn == 0:
                        scale[b] = max(scale[b], np.sqrt(inner_weight[j]))
                    else:
                        scaled[j] /= scale[b]
    single = outside / scale
    forward[: clusters.states[q]] = 0.0
    backward[: clusters.states[q]] = 0.0
    forward[0] = 1.0
    if clusters.end[q] >= 0:
        backward[clusters.end[q]] = 1.0
    for i in range(len(step)):
        j = step[i, 2]
        forward[step[i, 1]] += forward[step[i, 0]] * (scaled[j] if j >= 0 else single[-1 - j])
    alone, together = np.zeros(len(outside)), np.zeros(count)
    for i in range(len(step) - 1, -1, -1):
        j = step[i, 2]
        part = backward[step[i, 1]] * (scaled[j] if j >= 0 else single[-1 - j])
        backward[step[i, 0]] += part
        if j >= 0:
            together[j] += forward[step[i, 0]] * part
        else:
            alone[-1 - j] += forward[step[i, 0]] * part
    return alone, together
