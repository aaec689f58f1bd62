"""What columns cost a region: the prices at which they are offered, and the regions as programmes of their own.

A region is a set of rows that is closed under the chosen columns. Columns that lie inside keep their cost. A column
that leaves the region is offered for the duals of its rows inside plus an equal share, per row, of its reduced cost:
whatever the whole solution is, its columns pay every region its share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csc_array, vstack

from celltrail.data.columns import ranges
from celltrail.data.types import BoolArray, IntArray, RowArray
from celltrail.tracking.solving.blocks import Task
from celltrail.tracking.solving.first_solution import reduced_cost
from celltrail.tracking.solving.programme import Programme
from celltrail.tracking.solving.row_sets import columns_of_rows

TIE_BREAK = 1 / 256  # of a unit: among equals, stay inside


@dataclass(frozen=True)
class SideRow:
    """A row beside past and future: ``lower ≤ Σ coefficient · column ≤ upper``; its columns share a region."""

    columns: IntArray
    coefficients: IntArray
    lower: int
    upper: int


@dataclass(frozen=True)
class Cliques:
    """Side rows that hold at a price from the start, and become rows of a region where the price does not do.

    Attributes
    ----------
    rows : list[SideRow]
        Of "left out" columns.
    price : IntArray
        int64 (cliques,), what each is worth in duals; its columns are that much cheaper.
    """

    rows: list[SideRow]
    price: IntArray

    @cached_property
    def worth(self) -> IntArray:
        """What each row pays for at its price, int64 (cliques,)."""
        return np.array([row.lower for row in self.rows], dtype=np.int64) * self.price

    @cached_property
    def members(self) -> IntArray:
        """The columns of all rows, one row after the other."""
        return np.concatenate([row.columns for row in self.rows]) if self.rows else np.zeros(0, dtype=np.int64)

    @cached_property
    def member_of(self) -> IntArray:
        """The row of each of the ``members``."""
        return np.repeat(np.arange(len(self.rows)), [len(row.columns) for row in self.rows])

    def used(self, holder: IntArray, first_drop: int) -> IntArray:
        """How many members of each clique a choice uses, int64 (cliques,)."""
        used = holder[self.members - first_drop] != self.members
        return np.bincount(self.member_of[used], minlength=len(self.rows))


def discounted(cost: IntArray, cliques: Cliques, price: IntArray) -> IntArray:
    """The costs of all columns, less the prices of the cliques that they are members of."""
    if not cliques.rows:
        return cost
    cost = cost.copy()
    np.subtract.at(cost, cliques.members, price[cliques.member_of])
    return cost


@dataclass(frozen=True)
class Offers:
    """One row per region and column that touches it: the price, and whether the column leaves the region."""

    group: IntArray
    column: IntArray
    cost: IntArray
    leaves: BoolArray


@dataclass(frozen=True)
class Block:
    """The regions ``begin`` to ``end`` of a round as one task: its part of the offers, its rows and side rows."""

    begin: int
    end: int
    part: slice
    rows: IntArray
    side: IntArray
    task: Task


@dataclass(frozen=True)
class Pricing:
    """The columns, the duals that price them, and the side rows that tie some together. Never changed, only replaced.

    Attributes
    ----------
    programme : Programme
        With costs less the prices of the cliques that are no side rows.
    dual : IntArray
        int64 (2n,), every reduced cost ≥ 0.
    start, columns : IntArray, RowArray
        Row → the allowed columns that cover it, in compressed form.
    cliques : Cliques
        All of them.
    adopted : BoolArray
        bool (cliques,), which are side rows by now.
    side : list[SideRow]
        Side rows, of cliques and of penalties.
    side_row : IntArray
        int64 (side rows,), one row of the programme that each of them ties.
    """

    programme: Programme
    dual: IntArray
    start: IntArray
    columns: RowArray
    cliques: Cliques
    adopted: BoolArray
    side: list[SideRow]
    side_row: IntArray

    @classmethod
    def of(cls, programme: Programme, dual: IntArray, cliques: Cliques) -> Pricing:
        """Prices without any side row."""
        start, columns = columns_of_rows(programme.rows, np.flatnonzero(programme.allowed), 2 * programme.detections)
        return cls(
            programme=replace(programme, cost=discounted(programme.cost, cliques, cliques.price)),
            dual=dual,
            start=start,
            columns=columns,
            cliques=cliques,
            adopted=np.zeros(len(cliques.rows), dtype=np.bool_),
            side=[],
            side_row=np.zeros(0, dtype=np.int64),
        )

    def with_side_rows(self, side: list[SideRow], programme: Programme) -> Pricing:
        """With more side rows; ``programme`` may have new columns (penalties) at its end."""
        tied = [programme.rows[row.columns[0], 0] for row in side]
        side_row = np.append(self.side_row, tied).astype(np.int64)
        return replace(self, programme=programme, side=self.side + side, side_row=side_row)

    def with_adopted(self, cliques: IntArray) -> Pricing:
        """With some cliques as side rows instead of at their price."""
        adopted, cost = self.adopted.copy(), self.programme.cost.copy()
        adopted[cliques] = True
        rows = [self.cliques.rows[k] for k in cliques.tolist()]
        for k, row in zip(cliques.tolist(), rows, strict=True):
            cost[row.columns] += self.cliques.price[k]
        return replace(self, adopted=adopted).with_side_rows(rows, replace(self.programme, cost=cost))

    def reduced(self, columns: RowArray) -> IntArray:
        """The reduced cost of some columns."""
        return reduced_cost(self.programme, self.dual, columns)

    def touching(self, rows: RowArray) -> tuple[IntArray, RowArray]:
        """Every (row, column) of some rows, as indices into ``rows`` and columns."""
        index, place = ranges(self.start[rows], self.start[rows + 1] - self.start[rows])
        return index, self.columns[place]

    def tight(self, rows: RowArray) -> RowArray:
        """The columns without reduced cost that touch some rows (−1: none)."""
        _, columns = self.touching(np.unique(rows[rows >= 0]))
        return np.asarray(columns[self.reduced(columns) == 0])

    def offers(self, rows: IntArray, group: IntArray) -> Offers:
        """The columns of each region at the price that the region pays, ordered by (region, column)."""
        programme, dual = self.programme, np.append(self.dual, 0)
        member = np.full(2 * programme.detections + 1, -1, dtype=np.int64)
        member[rows] = group
        index, columns = self.touching(rows)
        total = len(programme.rows)
        keys = np.unique(group[index] * total + columns)
        paid = [(row.columns[0], row.columns[-1]) for row in self.side if row.coefficients[-1] < 0]
        first, penalty = np.array(paid, dtype=np.int64).reshape(-1, 2).T
        place = member[programme.rows[first, 0]]
        keys = np.sort(np.concatenate([keys, (place * total + penalty)[place >= 0]]))
        owner, columns = keys // total, keys % total
        covered = programme.rows[columns]
        inside = (member[covered] == owner[:, None]) & (covered >= 0)
        width, within = (covered >= 0).sum(axis=1), inside.sum(axis=1)
        leaves = within < width
        share = (dual[covered] * inside).sum(axis=1)
        share += self.reduced(columns) * within // np.maximum(width, 1)
        cost = np.where(leaves, share, programme.cost[columns])
        # of the columns that leave from one single row only the cheapest can matter
        lone = np.flatnonzero(leaves & (within == 1))
        row = covered[lone][inside[lone]]
        order = np.lexsort((columns[lone], cost[lone], row))
        again = np.flatnonzero(np.diff(row[order]) == 0) + 1
        kept = np.ones(len(columns), dtype=np.bool_)
        kept[lone[order[again]]] = False
        return Offers(group=owner[kept], column=columns[kept], cost=cost[kept], leaves=leaves[kept])

    def block(self, rows: IntArray, group: IntArray, offers: Offers, holder: IntArray, begin: int, end: int) -> Block:
        """The regions ``begin`` to ``end`` as one block-diagonal programme; ``holder`` is the present choice."""
        programme, total = self.programme, len(self.programme.rows)
        row_part = slice(*np.searchsorted(group, [begin, end]))
        part = slice(*np.searchsorted(offers.group, [begin, end]))
        rows, row_group = rows[row_part], group[row_part]
        columns, owner = offers.column[part], offers.group[part]
        place = np.full(2 * programme.detections + 1, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        covered = programme.rows[columns]
        inside = (covered >= 0) & (place[covered] >= 0)
        inside[inside] = row_group[place[covered[inside]]] == np.broadcast_to(owner[:, None], inside.shape)[inside]
        ends = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
        matrix = csc_array((np.ones(ends[-1]), place[covered[inside]], ends), shape=(len(rows), len(columns)))
        lower, upper = np.ones(len(rows), dtype=np.int64), np.ones(len(rows), dtype=np.int64)
        incumbent = ~offers.leaves[part] & (holder[covered[:, 0]] == columns) & (covered[:, 0] >= 0)
        owners, keys = [row_group], owner * total + columns
        side = np.flatnonzero(place[self.side_row] >= 0).tolist()
        if side:
            entries: list[IntArray] = []
            for i, k in enumerate(side):
                row = self.side[k]
                g = int(row_group[place[programme.rows[row.columns[0], 0]]])
                at = np.searchsorted(keys, g * total + row.columns)
                entries.append(np.stack([np.full(len(at), i), at, row.coefficients]))
                owners.append(np.array([g]))
                if row.coefficients[-1] < 0:  # a penalty is paid where the incumbent needs it
                    incumbent[at[-1]] = incumbent[at[:-1]].sum() > row.upper
            i, at, value = np.concatenate(entries, axis=1)
            extra = coo_array((value.astype(np.float64), (i, at)), shape=(len(side), len(columns)))
            matrix = vstack([matrix, extra], format="csc")
            lower = np.append(lower, [self.side[k].lower for k in side])
            upper = np.append(upper, [self.side[k].upper for k in side])
        groups = np.concatenate([*owners, owner]) - begin
        tie_break = np.where(offers.leaves[part], TIE_BREAK, 0.0)
        task = Task(
            cost=offers.cost[part],
            tie_break=tie_break,
            matrix=csc_array(matrix),
            lower=lower,
            upper=upper,
            group=groups,
            groups=end - begin,
            incumbent=incumbent,
        )
        return Block(begin=begin, end=end, part=part, rows=rows, side=np.array(side, dtype=np.int64), task=task)
