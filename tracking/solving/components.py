"""Split the programme into independent problems.

Rows and columns form a graph: a column joins the rows that it covers, a clique joins the rows of its
detections. Its connected components can be solved one by one. While every detection is used and no
column skips a frame, a component never spans more than one pair of frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from celltrail.data.graph.candidates import IntArray
from celltrail.tracking.solving.programme import Programme
from celltrail.tracking.solving.row_sets import join, join_columns, roots


def split(programme: Programme, joined: list[NDArray[np.int64]]) -> tuple[IntArray, int]:
    """Component of each row, int64 (2n,), and their number.

    Parameters
    ----------
    joined : list[NDArray[np.int64]]
        Sets of columns that an extra row ties together; columns beyond the model are penalties, and ignored.

    Components are numbered by their first row in the order past(0), future(0), past(1), …, so that the
    numbers depend on nothing but the problem.
    """
    n = programme.detections
    # rows in the order past(0), future(0), past(1), …; a set is named after its first row
    place = np.concatenate([2 * np.arange(n), 2 * np.arange(n) + 1, [-1]])
    parent = np.arange(2 * n)
    join_columns(parent, place, programme.rows, programme.allowed)
    for columns in joined:
        first = place[programme.rows[columns[columns < len(programme.rows)], 0]]
        join(parent, first[:-1], first[1:])
    name = roots(parent, np.arange(2 * n))
    number = np.cumsum(name == np.arange(2 * n)) - 1
    group = number[name]
    return group[place[: 2 * n]], int(number[-1]) + 1 if n else 0


def batches(size: IntArray, limit: int) -> list[tuple[int, int]]:
    """Group consecutive components until a group has ``limit`` columns; half-open ranges of components."""
    ends = np.cumsum(size)
    ranges, start = [], 0
    while start < len(size):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + limit, side="right")), start + 1)
        ranges.append((start, stop))
        start = stop
    return ranges
