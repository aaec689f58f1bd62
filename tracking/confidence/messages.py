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

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray

FEWEST, MOST = 1e-100, 1e100  # odds


@compiled
def heard(column: int, without: int, weight: FloatArray, entry: RowArray, message: FloatArray) -> float:
    """The weight of a column times what its rows say, without that of the entry ``without``."""
    value = weight[column]
    for slot in range(3):
        e = entry[column, slot]
        if e >= 0 and e != without:
            value *= message[e]
    return float(max(value, FEWEST))


@compiled
def tell(
    e: int,
    value: float,
    damped: bool,
    tolerance: float,
    message: FloatArray,
    column_of: RowArray,
    rows: RowArray,
    entry: RowArray,
    news: BoolArray,
) -> float:
    """Set the message of an entry, wake the other rows of its column if it has changed; returns the change (≥ 1)."""
    value = min(max(value, FEWEST), MOST)
    old = message[e]
    if damped:
        value = np.sqrt(value * old)
    message[e] = value
    change = max(value / old, old / value)
    if change > 1.0 + tolerance:
        c = column_of[e]
        for slot in range(3):
            if entry[c, slot] >= 0 and entry[c, slot] != e:
                news[rows[c, slot]] = True
    return float(change)


@compiled
def update_row(
    row: int,
    first: IntArray,
    column_of: RowArray,
    rows: RowArray,
    entry: RowArray,
    weight: FloatArray,
    message: FloatArray,
    news: BoolArray,
    damped: bool,
    tolerance: float,
) -> float:
    """One row tells all its columns; returns the largest change."""
    begin, end = first[row], first[row + 1]
    top, best, rest = -1, 0.0, 0.0
    for e in range(begin, end):
        value = heard(column_of[e], e, weight, entry, message)
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
            others = best + (rest - heard(column_of[e], e, weight, entry, message))
        change = max(
            change, tell(e, 1.0 / max(others, FEWEST), damped, tolerance, message, column_of, rows, entry, news)
        )
    return float(change)


@compiled
def beliefs_of_row(
    row: int,
    first: IntArray,
    column_of: RowArray,
    entry: RowArray,
    weight: FloatArray,
    message: FloatArray,
    belief: FloatArray,
) -> None:
    """Probability of each column of a row, written to its entries."""
    total = 0.0
    for e in range(first[row], first[row + 1]):
        belief[e] = heard(column_of[e], e, weight, entry, message)
        total += belief[e]
    for e in range(first[row], first[row + 1]):
        belief[e] /= max(total, FEWEST)


@compiled
def update_cliques(
    clique_first: IntArray,
    clique_column: RowArray,
    inside: BoolArray,
    weight: FloatArray,
    entry: RowArray,
    message: FloatArray,
    said: FloatArray,
    rows: RowArray,
    news: BoolArray,
    tolerance: float,
) -> float:
    """At most one detection of a clique is used: what each clique says to the columns "left out".

    Parameters
    ----------
    weight : FloatArray
        Renewed here.
    said : FloatArray
        The message of each entry of a clique, ``1 + Σ`` of the odds that another member is used.
    inside : BoolArray
        Cliques that a cluster sums up, which say nothing.
    """
    change = 1.0
    for k in range(len(clique_first) - 1):
        if inside[k]:
            continue
        total = 0.0
        for i in range(clique_first[k], clique_first[k + 1]):
            total += said[i] / heard(clique_column[i], -1, weight, entry, message)
        for i in range(clique_first[k], clique_first[k + 1]):
            c = clique_column[i]
            others = total - said[i] / heard(c, -1, weight, entry, message)
            value = min(1.0 + max(others, 0.0), MOST)
            ratio = value / said[i]
            if max(ratio, 1.0 / ratio) > 1.0 + tolerance:
                value = np.sqrt(value * said[i])
                ratio = value / said[i]
                change = max(change, max(ratio, 1.0 / ratio))
                weight[c] *= ratio
                said[i] = value
                for slot in range(3):
                    if entry[c, slot] >= 0:
                        news[rows[c, slot]] = True
    return float(change)
