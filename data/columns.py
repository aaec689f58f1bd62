"""Tables as structures of arrays: dataclasses whose fields hold one element (or a dict of such arrays) per row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from celltrail.data.types import IntArray, RowArray

Table = TypeVar("Table")


def take(table: Table, rows: NDArray[Any] | slice) -> Table:
    """Some rows of every column: indices, a boolean mask, or a slice."""

    def of(column: Any) -> Any:
        return {name: of(part) for name, part in column.items()} if isinstance(column, dict) else column[rows]

    return type(table)(**{name: of(column) for name, column in vars(table).items()})


def concatenate(tables: Iterable[Table]) -> Table:
    """One table from one or more of a kind; the pieces of a column are given up as soon as it is joined."""
    pieces: dict[str, list[Any]] = {}
    for table in tables:
        kind = type(table)
        for name, column in vars(table).items():
            pieces.setdefault(name, []).append(column)

    def join(columns: list[Any]) -> Any:
        if isinstance(columns[0], dict):
            return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
        return np.concatenate(columns)

    return kind(**{name: join(pieces.pop(name)) for name in list(pieces)})


def row_of_cell(frame: IntArray, label: IntArray) -> dict[tuple[int, int], int]:
    """(frame, label) → row."""
    return {cell: row for row, cell in enumerate(zip(frame.tolist(), label.tolist(), strict=True))}


def ranges(start: RowArray, length: RowArray) -> tuple[IntArray, IntArray]:
    """The numbers ``start[i]`` to ``start[i] + length[i] − 1`` for every i, one range after the other.

    Returns
    -------
    owner, number : int64 (Σ length,)
        The i of each number, and the number.
    """
    owner = np.repeat(np.arange(len(length)), length)
    return owner, start[owner] + np.arange(len(owner)) - (np.cumsum(length) - length)[owner]
