"""Close what a first solution leaves open, each place within a small region of its own.

Regions are disjoint sets of rows (`RowSets`). What a column costs a region says `Pricing`; with its prices

    Σ (duals of rows outside all regions) + Σ (optimum of each region)

is a lower bound of the whole programme, in any order (`Proof`). If the optimum of a region uses no column that leaves,
it is a piece of a global solution, and proven; else the region grows by the rows of that column.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray
from celltrail.tracking.solving.blocks import BlockSolutions, Relaxation, Task
from celltrail.tracking.solving.components import batches
from celltrail.tracking.solving.first_solution import DualState, keep_cliques
from celltrail.tracking.solving.pricing import Block, Cliques, Offers, Pricing, SideRow
from celltrail.tracking.solving.programme import Programme
from celltrail.tracking.solving.proof import Proof
from celltrail.tracking.solving.row_sets import RowSets

BATCH = 4000  # columns of small problems that are given to the solver together
LIMIT = 60_000  # rows at which a region stops growing
PATIENCE = 2  # rounds after which a region that must grow takes a whole ring of rows

Run = Callable[[Iterable[Task]], Iterator[BlockSolutions]]


class Regions:
    """Disjoint regions over the rows of a programme, their prices, what is proven of them, and the present choice.

    Prices make tasks, tasks solutions, solutions the choice and the proof; what is not proven makes the regions grow.
    """

    def __init__(self, programme: Programme, first: DualState, cliques: Cliques) -> None:
        self.sets = RowSets(2 * programme.detections)
        self.pricing = Pricing.of(programme, first.dual, cliques)
        self.proof = Proof(first.dual)
        self.holder = first.holder
        self.safe = first.holder.copy()  # a whole choice, also while the next one is being written

    @property
    def programme(self) -> Programme:
        """All columns, penalties included, at the present prices of the cliques."""
        return self.pricing.programme

    @property
    def chosen(self) -> BoolArray:
        """The present choice, bool (columns,)."""
        return DualState(self.holder, self.pricing.dual).chosen(len(self.programme.rows))

    def open_everywhere(self) -> None:
        """A region around every chosen column that has a positive reduced cost, with the columns that compete for it."""
        held = np.flatnonzero(self.chosen)
        rows = self.programme.rows[held[self.pricing.reduced(held) > 0]]
        self._grow(rows)
        columns = self.pricing.tight(rows)
        triplets = (columns >= self.programme.links) & (columns < self.programme.first_appear)
        self._grow(self.programme.rows[columns[triplets]])

    def cover(self, row_group: IntArray) -> None:
        """Make every connected component one region; ``row_group`` is that of each row, int64 (2n,), −1: in none."""
        rows = np.flatnonzero(row_group >= 0)
        _, first, group = np.unique(row_group[rows], return_index=True, return_inverse=True)
        self._grow(np.stack([rows[first[group]], rows], axis=1))

    def rejoin(self) -> None:
        """Unite regions that share a chosen column: settling ties may have taken one that reaches across their borders."""
        held = self.programme.rows[np.unique(self.holder[self.sets.members()[0]])]
        names = np.append(self.sets.names(), -1)[held]
        self._grow(held[((names != names[:, :1]) & (held >= 0)).any(axis=1)])

    def add_side_rows(self, side: list[SideRow], programme: Programme) -> None:
        """Tie columns together by extra rows; ``programme`` may have new columns (penalties) at its end."""
        self._take(self.pricing.with_side_rows(side, programme))

    def adopt(self, cliques: IntArray) -> None:
        """Take some cliques as rows of the regions that their members then share, instead of at their price."""
        self._take(self.pricing.with_adopted(cliques))

    def _take(self, pricing: Pricing) -> None:
        side = pricing.side[len(self.pricing.side) :]
        self.pricing = pricing
        self.proof.side_dual = np.append(self.proof.side_dual, np.zeros(len(side)))
        if side:
            columns = np.concatenate([row.columns for row in side])
            first = np.repeat([row.columns[0] for row in side], [len(row.columns) for row in side])
            self._grow(np.concatenate([self.programme.rows[first, :1], self.programme.rows[columns]], axis=1))

    def _wrong_cliques(self) -> IntArray:
        """Cliques outside the regions that the present choice breaks, or whose price it does not pay in full."""
        cliques = self.pricing.cliques
        used = cliques.used(self.holder, self.programme.first_drop)
        return np.flatnonzero(((used > 1) | ((used == 0) & (cliques.price > 0))) & ~self.pricing.adopted)

    def kept(self) -> BoolArray:
        """The present choice, bool (columns,), with all but one used member left out of each clique that it breaks."""
        holder, cliques = self.holder.copy(), self.pricing.cliques
        broken = np.flatnonzero(cliques.used(holder, self.programme.first_drop) > 1)
        keep_cliques(self.programme, holder, [cliques.rows[k].columns for k in broken.tolist()])
        return DualState(holder, self.pricing.dual).chosen(len(self.programme.rows))

    def _grow(self, lines: RowArray) -> None:
        """Unite the rows of each line (−1: none), with all rows of the columns that hold them."""
        if not len(lines):
            return
        held = self.programme.rows[self.holder[np.unique(lines[lines >= 0])]]
        seen = np.unique(np.concatenate([lines[lines >= 0], held[held >= 0]]))
        self.proof.forget(np.unique(self.sets.names(seen)).tolist())
        self.sets.unite(lines)
        self.sets.unite(held)

    def close(self, run: Run, deadline: float | None, report: Callable[[int, int], None]) -> None:
        """Solve and grow regions until each is closed, too large, or out of time."""
        turn = 0
        while deadline is None or time.time() < deadline:
            if len(wrong := self._wrong_cliques()):
                self.adopt(wrong)
            rows, name = self.sets.members()
            names, size = np.unique(name, return_counts=True)
            wanted = self._open(names)
            if not wanted.any():
                return
            chosen = np.isin(name, names[wanted])
            grown = self._solve(names[wanted], rows[chosen], name[chosen], run, size[wanted] > LIMIT)
            self.safe = self.holder.copy()
            self._grow(self.programme.rows[grown])
            turn += 1
            if turn > PATIENCE:
                self._grow(self.programme.rows[self.pricing.tight(self.programme.rows[grown])])
            report(len(names) - int(self._open(np.unique(self.sets.members()[1])).sum()), len(names))

    def _open(self, names: IntArray) -> BoolArray:
        """Which regions have not been solved since they have grown."""
        return ~np.isin(names, list(self.proof.bound))

    def _blocks(self, names: IntArray, rows: IntArray, name: IntArray) -> tuple[Offers, list[Block]]:
        """Some regions as tasks: ``rows`` of regions ``name`` (each one of the ascending ``names``)."""
        group = np.searchsorted(names, name)
        order = np.argsort(group, kind="stable")
        rows, group = rows[order], group[order]
        offers = self.pricing.offers(rows, group)
        parts = batches(np.bincount(offers.group, minlength=len(names)), BATCH)
        return offers, [self.pricing.block(rows, group, offers, self.holder, begin, end) for begin, end in parts]

    def _solve(self, names: IntArray, rows: IntArray, name: IntArray, run: Run, last: BoolArray) -> IntArray:
        """Solve each region once; returns the columns by which regions must grow (never those that are ``last``)."""
        offers, blocks = self._blocks(names, rows, name)
        least = self._least(names, rows, name)
        grown = []
        for block, result in zip(blocks, run(block.task for block in blocks), strict=True):
            here = slice(block.begin, block.end)
            owner, columns = offers.group[block.part] - block.begin, offers.column[block.part]
            out = offers.leaves[block.part] & result.chosen
            stays = np.ones(block.end - block.begin, dtype=np.bool_)
            stays[owner[out]] = False
            self.proof.record(names[here], np.maximum(result.bound, least[here]), stays & result.proven)
            grown.append(columns[out & ~last[here][owner]])
            taken = columns[result.chosen & stays[owner]]
            for place in self.programme.rows[taken].T:
                self.holder[place[place >= 0]] = taken[place >= 0]
            self.proof.dual[block.rows] = result.dual[: len(block.rows)]
            self.proof.side_dual[block.side] = result.dual[len(block.rows) :]
        return np.concatenate(grown)

    def relax(self, run: Callable[[Iterable[Task]], Iterator[Relaxation]]) -> tuple[IntArray, IntArray, IntArray]:
        """The relaxation of every region: its inner columns above one half, and new duals.

        Returns columns, duals of all rows, int64 (2n,), and prices of all cliques, int64 (cliques,).
        """
        rows, name = self.sets.members()
        offers, blocks = self._blocks(np.unique(name), rows, name)
        dual, side_dual = self.pricing.dual.copy(), self.pricing.cliques.price.copy()
        chosen = np.zeros(len(offers.column), dtype=np.bool_)
        for block, result in zip(blocks, run(block.task for block in blocks), strict=True):
            if result.x is not None and result.dual is not None:
                chosen[block.part] = result.x > 0.5
                exact = np.rint(result.dual).astype(np.int64)
                dual[block.rows] = exact[: len(block.rows)]
                side_dual[block.side] = np.maximum(exact[len(block.rows) :], 0)
        return offers.column[chosen & ~offers.leaves], dual, side_dual

    def _least(self, names: IntArray, rows: IntArray, name: IntArray) -> IntArray:
        """What the first duals alone prove of each region, int64 (len(names),); ``rows`` of regions ``name``."""
        total = np.zeros(len(names), dtype=np.int64)
        np.add.at(total, np.searchsorted(names, name), self.pricing.dual[rows])
        cliques, adopted = self.pricing.cliques, np.flatnonzero(self.pricing.adopted)
        member = cliques.members[np.searchsorted(cliques.member_of, adopted)]
        owner = self.sets.names(self.programme.rows[member, 0])
        here = np.isin(owner, names)
        np.add.at(total, np.searchsorted(names, owner[here]), cliques.worth[adopted[here]])
        return total

    def total_bound(self) -> int:
        """Lower bound of the whole programme (without its constant); regions not yet solved count their duals."""
        rows, name = self.sets.members()
        names = np.array(sorted(self.proof.bound), dtype=np.int64)
        solved = np.isin(name, names)
        least = self._least(names, rows[solved], name[solved])
        duals = int(self.pricing.dual.sum()) + int(self.pricing.cliques.worth.sum())
        return duals - int(least.sum()) + sum(self.proof.bound.values())

    def side_share(self) -> FloatArray:
        """What the duals of the side rows take off the cost of each column, float64 (columns,)."""
        share = np.zeros(len(self.programme.rows))
        for row, dual in zip(self.pricing.side, np.nan_to_num(self.proof.side_dual).tolist(), strict=True):
            share[row.columns] += dual * row.coefficients
        return share
