"""Close what a first solution leaves open, each place within a small region of its own.

A region is a set of rows that is closed under the chosen columns. Columns that lie inside keep their cost. A column
that leaves the region is offered for the duals of its rows inside plus an equal share, per row, of its reduced cost:
whatever the whole solution is, its columns pay every region its share, so

    Σ (duals of rows outside all regions) + Σ (optimum of each region)

is a lower bound of the whole programme, for disjoint regions and in any order. If the optimum of a region uses no column
that leaves, it is a piece of a global solution, and proven; else the region grows by the rows of that column.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, vstack

from celltrail.data.graph.candidates import BoolArray, FloatArray, IntArray, RowArray
from celltrail.tracking.solving.blocks import BlockSolutions, Relaxation, Task
from celltrail.tracking.solving.components import batches
from celltrail.tracking.solving.first_solution import DualState, keep_cliques, reduced_cost
from celltrail.tracking.solving.programme import Programme
from celltrail.tracking.solving.row_sets import columns_of_rows, join, roots

BATCH = 4000  # columns of small problems that are given to the solver together
LIMIT = 60_000  # rows at which a region stops growing
PATIENCE = 2  # rounds after which a region that must grow takes a whole ring of rows
NUDGE = 1 / 256  # of a unit: among equals, stay inside

Run = Callable[[Iterable[Task]], Iterator[BlockSolutions]]


@dataclass(frozen=True)
class SideRow:
    """A row beside past and future: ``lower ≤ Σ coefficient · column ≤ upper``; its columns share a region."""

    columns: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    lower: int
    upper: int


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


class Regions:
    """Disjoint regions over the rows of a model, each with its proven lower bound."""

    def __init__(
        self, programme: Programme, state: DualState, cliques: list[SideRow], price: IntArray | None = None
    ) -> None:
        """``price``: what each clique row is worth in duals, int64 (cliques,); its columns are that much cheaper."""
        self.cliques = cliques
        self.price = np.zeros(len(cliques), dtype=np.int64) if price is None else price
        self.needed = np.array([row.lower for row in cliques], dtype=np.int64)
        self.inside = np.zeros(len(cliques), dtype=np.bool_)
        self.members = np.concatenate([row.columns for row in cliques]) if cliques else np.zeros(0, dtype=np.int64)
        self.member_of = np.repeat(np.arange(len(cliques)), [len(row.columns) for row in cliques])
        cost = programme.cost.copy() if cliques else programme.cost
        np.subtract.at(cost, self.members, self.price[self.member_of])
        self.programme, self.state = replace(programme, cost=cost), state
        self.dual = state.dual.astype(np.float64)
        self.side_dual: FloatArray = np.zeros(0)
        self.parent = np.arange(2 * programme.detections)
        self.active = np.zeros(2 * programme.detections, dtype=np.bool_)
        self.safe = state.holder.copy()  # a whole choice, also while the next one is being written
        self.bound: dict[int, int] = {}
        self.proven: set[int] = set()
        self.side: list[SideRow] = []
        self.side_row = np.zeros(0, dtype=np.int64)  # one row of the programme that each of them ties
        self.dirty: set[int] = set()
        self.start, self.columns = columns_of_rows(
            programme.rows, np.flatnonzero(programme.allowed), 2 * programme.detections
        )

    def open_everywhere(self) -> None:
        """A region around every chosen column that has a positive reduced cost, with the columns that compete for it."""
        held = np.flatnonzero(self.state.chosen(len(self.programme.rows)))
        wrong = held[reduced_cost(self.programme, self.state.dual, held) > 0]
        rows = self.programme.rows[wrong]
        self._grow(rows)
        rows = np.unique(rows[rows >= 0])
        _, columns = self._touching(rows)
        triplets = columns[(columns >= self.programme.links) & (columns < self.programme.first_appear)]
        self._grow(self.programme.rows[triplets[reduced_cost(self.programme, self.state.dual, triplets) == 0]])

    def cover(self, row_group: IntArray) -> None:
        """Make every connected component one region; ``row_group`` is the component of each row, int64 (2n,)."""
        _, first, group = np.unique(row_group, return_index=True, return_inverse=True)
        self._grow(np.stack([first[group], np.arange(len(group))], axis=1))

    def add_side_rows(self, side: list[SideRow], programme: Programme) -> None:
        """Tie columns together by extra rows; ``programme`` may have new columns (penalties) at its end."""
        self.programme = programme
        self.side += side
        self.side_dual = np.append(self.side_dual, np.zeros(len(side)))
        self.side_row = np.append(self.side_row, [programme.rows[row.columns[0], 0] for row in side]).astype(np.int64)
        if side:
            columns = np.concatenate([row.columns for row in side])
            first = np.repeat([row.columns[0] for row in side], [len(row.columns) for row in side])
            self._grow(np.concatenate([self.programme.rows[first, :1], self.programme.rows[columns]], axis=1))

    def adopt(self, cliques: IntArray) -> None:
        """Take some cliques as rows of the regions that their members then share, instead of at their price."""
        self.inside[cliques] = True
        for k in cliques.tolist():
            self.programme.cost[self.cliques[k].columns] += self.price[k]
        self.add_side_rows([self.cliques[k] for k in cliques.tolist()], self.programme)

    def wrong_cliques(self) -> IntArray:
        """Cliques outside the regions that the present choice breaks, or whose price it does not pay in full."""
        used = self._used_members()
        return np.flatnonzero(((used > 1) | ((used == 0) & (self.price > 0))) & ~self.inside)

    def kept(self) -> BoolArray:
        """The present choice, bool (columns,), with all but one used member left out of each clique that it breaks."""
        holder = self.state.holder.copy()
        broken = np.flatnonzero(self._used_members() > 1)
        keep_cliques(self.programme, holder, [self.cliques[k].columns for k in broken.tolist()])
        return replace(self.state, holder=holder).chosen(len(self.programme.rows))

    def _used_members(self) -> IntArray:
        """How many members of each clique the present choice uses, int64 (cliques,)."""
        used = self.state.holder[self.members - self.programme.first_drop] != self.members
        return np.bincount(self.member_of[used], minlength=len(self.cliques))

    def _grow(self, rows: RowArray) -> None:
        """Unite the rows of each line (−1: none), with all rows of the columns that hold them."""
        if not len(rows):
            return
        first, rest = np.repeat(rows[:, 0], rows.shape[1] - 1), rows[:, 1:].ravel()
        both = rest >= 0
        held = self.programme.rows[self.state.holder[np.unique(rows[rows >= 0])]]
        anchor, partner = np.repeat(held[:, 0], 2), held[:, 1:].ravel()
        linked = partner >= 0
        one, other = np.concatenate([first[both], anchor[linked]]), np.concatenate([rest[both], partner[linked]])
        seen = np.unique(np.concatenate([rows[rows >= 0], held[held >= 0]]))
        before = roots(self.parent, seen)
        for root in np.unique(before).tolist():
            self.bound.pop(root, None)
            self.proven.discard(root)
            self.dirty.discard(root)
        join(self.parent, one, other)
        self.active[seen] = True
        self.dirty.update(np.unique(roots(self.parent, seen)).tolist())

    def _touching(self, rows: RowArray) -> tuple[IntArray, RowArray]:
        """Every (row, column) of some rows, as indices into ``rows`` and columns."""
        length = self.start[rows + 1] - self.start[rows]
        index = np.repeat(np.arange(len(rows)), length)
        offset = np.arange(len(index)) - np.repeat(np.cumsum(length) - length, length)
        return index, self.columns[self.start[rows][index] + offset]

    def close(self, run: Run, deadline: float | None, report: Callable[[int, int], None]) -> None:
        """Solve and grow regions until each is closed, too large, or out of time."""
        turn = 0
        while deadline is None or time.time() < deadline:
            self.adopt(self.wrong_cliques())
            if not self.dirty:
                return
            rows = np.flatnonzero(self.active)
            root = roots(self.parent, rows)
            names, size = np.unique(root, return_counts=True)
            wanted = np.isin(names, sorted(self.dirty))
            self.dirty.clear()
            chosen = np.isin(root, names[wanted])
            grown = self._solve(names[wanted], rows[chosen], root[chosen], run, size[wanted] > LIMIT)
            self.safe = self.state.holder.copy()
            self._grow(self.programme.rows[grown])
            turn += 1
            if turn > PATIENCE:
                self._grow(self._neighbours(self.programme.rows[grown]))
            report(len(names) - len(self.dirty), len(names))

    def _blocks(self, names: IntArray, rows: IntArray, root: IntArray) -> tuple[Offers, list[Block]]:
        """Some regions as tasks: ``rows`` of regions ``root`` (each one of the ascending ``names``)."""
        group = np.searchsorted(names, root)
        order = np.argsort(group, kind="stable")
        rows, group = rows[order], group[order]
        offers = self._offers(rows, group)
        ranges = batches(np.bincount(offers.group, minlength=len(names)), BATCH)
        return offers, [self._block(rows, group, offers, begin, end) for begin, end in ranges]

    def _neighbours(self, rows: RowArray) -> RowArray:
        """The columns without reduced cost around some rows, as lines of rows."""
        rows = np.unique(rows[rows >= 0])
        _, columns = self._touching(rows)
        tight: RowArray = columns[reduced_cost(self.programme, self.state.dual, columns) == 0]
        return np.asarray(self.programme.rows[tight])

    def _solve(self, names: IntArray, rows: IntArray, root: IntArray, run: Run, last: BoolArray) -> IntArray:
        """Solve each region once; returns the columns by which regions must grow (never those that are ``last``)."""
        offers, blocks = self._blocks(names, rows, root)
        least = self._least(names, rows, root)
        grown = []
        for block, result in zip(blocks, run(block.task for block in blocks), strict=True):
            begin, end = block.begin, block.end
            owner, columns = offers.group[block.part] - begin, offers.column[block.part]
            out = offers.leaves[block.part] & result.chosen
            stays = np.ones(end - begin, dtype=np.bool_)
            stays[owner[out]] = False
            proven = stays & result.proven
            bounds = np.maximum(result.bound, least[begin:end])
            for name, bound, sure in zip(names[begin:end].tolist(), bounds.tolist(), proven.tolist(), strict=True):
                self.bound[name] = bound
                if sure:
                    self.proven.add(name)
            grown.append(columns[out & ~last[begin:end][owner]])
            taken = columns[result.chosen & stays[owner]]
            for place in self.programme.rows[taken].T:
                self.state.holder[place[place >= 0]] = taken[place >= 0]
            self.dual[block.rows] = result.dual[: len(block.rows)]
            self.side_dual[block.side] = result.dual[len(block.rows) :]
        return np.concatenate(grown)

    def relax(self, run: Callable[[Iterable[Task]], Iterator[Relaxation]]) -> tuple[IntArray, IntArray, IntArray]:
        """The relaxation of every region: its inner columns above one half, and new duals.

        Returns columns, duals of all rows, int64 (2n,), and prices of all cliques, int64 (cliques,).
        """
        rows = np.flatnonzero(self.active)
        root = roots(self.parent, rows)
        offers, blocks = self._blocks(np.unique(root), rows, root)
        dual, side_dual = self.state.dual.copy(), self.price.copy()
        chosen = np.zeros(len(offers.column), dtype=np.bool_)
        for block, result in zip(blocks, run(block.task for block in blocks), strict=True):
            if result.x is not None and result.dual is not None:
                chosen[block.part] = result.x > 0.5
                exact = np.rint(result.dual).astype(np.int64)
                dual[block.rows] = exact[: len(block.rows)]
                side_dual[block.side] = np.maximum(exact[len(block.rows) :], 0)
        return offers.column[chosen & ~offers.leaves], dual, side_dual

    def _offers(self, rows: IntArray, group: IntArray) -> Offers:
        """The columns of each region at the price that the region pays, ordered by (region, column)."""
        programme, dual = self.programme, np.append(self.state.dual, 0)
        member = np.full(2 * programme.detections + 1, -1, dtype=np.int64)
        member[rows] = group
        index, columns = self._touching(rows)
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
        share += reduced_cost(programme, self.state.dual, columns) * within // np.maximum(width, 1)
        cost = np.where(leaves, share, programme.cost[columns])
        # of the columns that leave from one single row only the cheapest can matter
        lone = np.flatnonzero(leaves & (within == 1))
        row = covered[lone][inside[lone]]
        order = np.lexsort((columns[lone], cost[lone], row))
        again = np.flatnonzero(np.diff(row[order]) == 0) + 1
        kept = np.ones(len(columns), dtype=np.bool_)
        kept[lone[order[again]]] = False
        return Offers(owner[kept], columns[kept], cost[kept], leaves[kept])

    def _block(self, rows: IntArray, group: IntArray, offers: Offers, begin: int, end: int) -> Block:
        """The regions ``begin`` to ``end`` as one block-diagonal programme."""
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
        incumbent = ~offers.leaves[part] & (self.state.holder[covered[:, 0]] == columns) & (covered[:, 0] >= 0)
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
        nudge = np.where(offers.leaves[part], NUDGE, 0.0)
        task = Task(offers.cost[part], nudge, csc_array(matrix), lower, upper, groups, end - begin, incumbent)
        return Block(begin, end, part, rows, np.array(side, dtype=np.int64), task)

    def _least(self, names: IntArray, rows: IntArray, root: IntArray) -> IntArray:
        """What the present duals alone prove of each region, int64 (len(names),); ``rows`` of regions ``root``."""
        total = np.zeros(len(names), dtype=np.int64)
        np.add.at(total, np.searchsorted(names, root), self.state.dual[rows])
        inside = np.flatnonzero(self.inside)
        member = self.members[np.searchsorted(self.member_of, inside)]
        owner = roots(self.parent, self.programme.rows[member, 0])
        here = np.isin(owner, names)
        np.add.at(total, np.searchsorted(names, owner[here]), (self.needed * self.price)[inside[here]])
        return total

    def total_bound(self) -> int:
        """Lower bound of the whole programme (without its constant); regions not yet solved count their duals."""
        rows = np.flatnonzero(self.active)
        root = roots(self.parent, rows)
        names = np.array(sorted(self.bound), dtype=np.int64)
        solved = np.isin(root, names)
        least = self._least(names, rows[solved], root[solved])
        duals = int(self.state.dual.sum()) + int((self.needed * self.price).sum())
        return duals - int(least.sum()) + sum(self.bound.values())

    def unproven_rows(self) -> IntArray:
        """The rows of the regions whose optimum is not proven."""
        rows = np.flatnonzero(self.active)
        return rows[~np.isin(roots(self.parent, rows), list(self.proven))]

    def final_duals(self) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Duals of all rows, the slack of each row's region, and the rows whose duals are not optimal.

        The slack is what the optimum of a region exceeds its duals by, where no relaxation proved it; beyond
        any cost where the region is not proven at all.
        """
        weak = np.isnan(self.dual)
        weak[self.unproven_rows()] = True
        slack = np.zeros(len(self.dual))
        rows = np.flatnonzero(weak)
        names, index = np.unique(roots(self.parent, rows), return_inverse=True)
        below = np.zeros(len(names), dtype=np.int64)
        np.add.at(below, index, self.state.dual[rows])
        above = [float(self.bound[name]) if name in self.proven else 1e30 for name in names.tolist()]
        slack[rows] = (np.array(above) - below)[index]
        return np.where(weak, self.state.dual, self.dual), slack, weak

    def side_share(self) -> FloatArray:
        """What the duals of the side rows take off the cost of each column, float64 (columns,)."""
        share = np.zeros(len(self.programme.rows))
        for row, dual in zip(self.side, np.nan_to_num(self.side_dual).tolist(), strict=True):
            share[row.columns] += dual * row.coefficients
        return share

    def region_of_rows(self) -> IntArray:
        """The name of the region of each row (its own number where it is in none), int64 (2n,)."""
        return roots(self.parent, np.arange(len(self.parent)))
