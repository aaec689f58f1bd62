"""Sets of rows that grow together (union-find), and the columns that cover a row."""

from __future__ import annotations

import numpy as np

from celltrail.data.graph.candidates import BoolArray, IntArray, RowArray
from celltrail.data.running.machine_code import compiled


@compiled
def _root(parent: IntArray, row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@compiled
def join(parent: IntArray, one: RowArray, other: RowArray) -> None:
    """Unite the sets of rows ``one[i]`` and ``other[i]``; a set is named after its smallest row."""
    for i in range(len(one)):
        a, b = _root(parent, one[i]), _root(parent, other[i])
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@compiled
def join_columns(parent: IntArray, place: IntArray, rows: RowArray, allowed: BoolArray) -> None:
    """Unite the sets ``place[row]`` of the rows that each allowed column covers."""
    for k in range(len(rows)):
        if allowed[k]:
            for i in range(1, 3):
                if rows[k, i] >= 0:
                    a, b = _root(parent, place[rows[k, 0]]), _root(parent, place[rows[k, i]])
                    parent[max(a, b)] = min(a, b)


@compiled
def roots(parent: IntArray, rows: RowArray) -> IntArray:
    """The name of the set of each row."""
    found = np.empty(len(rows), dtype=np.int64)
    for i in range(len(rows)):
        found[i] = _root(parent, rows[i])
    return found


@compiled
def columns_of_rows(rows: RowArray, columns: IntArray, count: int) -> tuple[IntArray, RowArray]:
    """Row → columns as (start, columns), in compressed form."""
    start = np.zeros(count + 1, dtype=np.int64)
    for k in range(len(columns)):
        for i in range(3):
            if rows[columns[k], i] >= 0:
                start[rows[columns[k], i] + 1] += 1
    start = np.cumsum(start)
    place = start[:-1].copy()
    found = np.empty(start[-1], dtype=np.int32)
    for k in range(len(columns)):
        for i in range(3):
            row = rows[columns[k], i]
            if row >= 0:
                found[place[row]] = columns[k]
                place[row] += 1
    return start, found
