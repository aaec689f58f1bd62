"""Message passing over the rows of the programme: how often each column is part of a solution.

Every row (the past or the future of a detection) is covered by exactly one column, and a column is weighted with
``w = exp(−cost / T)``. A row tells each of its columns the odds that nothing else covers it, ``1 / Σ`` of the others; a
column passes on its weight times what its other rows say. On a tree this is exact (sum-product); elsewhere it is the
Bethe approximation, known to be good for matchings. Rows that are tied by short loops, where it is too sure of itself,
are a *cluster* (:mod:`tracking.confidence.clusters`): together they are one factor, summed exactly.

Rows are visited forward and backward in time, each with the newest messages of the others; one that hears nothing
new is passed over. Messages are odds, kept between 10⁻¹⁰⁰ and 10¹⁰⁰.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray

FEWEST, MOST = 1e-100, 1e100  # odds
TOLERANCE = 2e-3  # relative change of odds at which a message counts as settled


class Net(NamedTuple):
    """The columns that matter, their rows, and the messages between them; compiled functions take it as it is.

    Attributes
    ----------
    columns : IntArray
        Of the model.
    rows, entry : RowArray
        int32 (c, 3), −1 where a column has fewer.
    first : IntArray
        Where the entries of each row begin.
    column_of : RowArray
        The column of each entry.
    weight : FloatArray
        Of each column, times what the cliques say.
    message : FloatArray
        Of each entry: the odds that its row says.
    clique_first : IntArray
        Where the members of each clique begin.
    clique_column : RowArray
        The columns "left out" of the members.
    said : FloatArray
        The message of each member of a clique, ``1 + Σ`` of the odds that another member is used.
    """

    columns: IntArray
    rows: RowArray
    entry: RowArray
    first: IntArray
    column_of: RowArray
    weight: FloatArray
    message: FloatArray
    clique_first: IntArray
    clique_column: RowArray
    said: FloatArray


@compiled
def heard(net: Net, column: int, without: int) -> float:
    """The weight of a column times what its rows say, without that of the entry ``without``."""
    value = net.weight[column]
    for slot in range(3):
        e = net.entry[column, slot]
        if e >= 0 and e != without:
            value *= net.message[e]
    return float(max(value, FEWEST))


@compiled
def tell(net: Net, e: int, value: float, damped: bool, news: BoolArray) -> float:
    """Set the message of an entry, wake the other rows of its column if it has changed; returns the change (≥ 1)."""
    value = min(max(value, FEWEST), MOST)
    old = net.message[e]
    if damped:
        value = np.sqrt(value * old)
    net.message[e] = value
    change = max(value / old, old / value)
    if change > 1.0 + TOLERANCE:
        c = net.column_of[e]
        for slot in range(3):
            if net.entry[c, slot] >= 0 and net.entry[c, slot] != e:
                news[net.rows[c, slot]] = True
    return float(change)


@compiled
def update_row(net: Net, row: int, news: BoolArray, damped: bool) -> float:
    """One row tells all its columns; returns the largest change."""
    begin, end = net.first[row], net.first[row + 1]
    top, best, rest = -1, 0.0, 0.0
    for e in range(begin, end):
        value = heard(net, net.column_of[e], e)
        if value > best:
            rest += best
            top, best = e, value
        else:
            rest += value
    change = 1.0
    for e in range(begin, end):
        if e == top:
            others = rest
        else:
            others = best + (rest - heard(net, net.column_of[e], e))
        change = max(change, tell(net, e, 1.0 / max(others, FEWEST), damped, news))
    return float(change)


@compiled
def beliefs_of_row(net: Net, row: int, belief: FloatArray) -> None:
    """Probability of each column of a row, written to its entries."""
    total = 0.0
    for e in range(net.first[row], net.first[row + 1]):
        belief[e] = heard(net, net.column_of[e], e)
        total += belief[e]
    for e in range(net.first[row], net.first[row + 1]):
        belief[e] /= max(total, FEWEST)


@compiled
def update_cliques(net: Net, inside: BoolArray, news: BoolArray) -> float:
    """At most one detection of a clique is used: what each clique says to the columns "left out" renews their weight.

    Parameters
    ----------
    net : Net
    inside : BoolArray
        Cliques that a cluster sums up, which say nothing.
    news : BoolArray
        The rows that have something to tell; renewed here.
    """
    change = 1.0
    for k in range(len(net.clique_first) - 1):
        if inside[k]:
            continue
        total = 0.0
        for i in range(net.clique_first[k], net.clique_first[k + 1]):
            total += net.said[i] / heard(net, net.clique_column[i], -1)
        for i in range(net.clique_first[k], net.clique_first[k + 1]):
            c = net.clique_column[i]
            others = total - net.said[i] / heard(net, c, -1)
            value = min(1.0 + max(others, 0.0), MOST)
            ratio = value / net.said[i]
            if max(ratio, 1.0 / ratio) > 1.0 + TOLERANCE:
                value = np.sqrt(value * net.said[i])
                ratio = value / net.said[i]
                change = max(change, max(ratio, 1.0 / ratio))
                net.weight[c] *= ratio
                net.said[i] = value
                for slot in range(3):
                    if net.entry[c, slot] >= 0:
                        news[net.rows[c, slot]] = True
    return float(change)
