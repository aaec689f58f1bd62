"""Among solutions of equal cost, the first one in the order of (frame, position).

Which of several optima a solver meets depends on how the problem was cut into parts. So the places where the optimum
may not be unique are searched once more, for the order alone. Every optimum uses only columns whose reduced cost is
within the slack of their region. Those that are not chosen, and the chosen columns that hold their rows, fall apart
into places of few rows, and every optimum is a choice of one optimum in each place.

The order: pasts and futures are covered by ascending (frame, position), each by a link if possible (the first one), else
by a division, else by appearing or disappearing, else by leaving the cell out. Of the exact covers that keep all rules
and cost no more than the known one, the first in this order is taken.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from celltrail.data.graph.candidates import BoolArray, FloatArray, IntArray, RowArray
from celltrail.data.running.machine_code import compiled
from celltrail.tracking.solving.margins import reduced_cost_of
from celltrail.tracking.solving.programme import Programme
from celltrail.tracking.solving.regions import Regions, SideRow
from celltrail.tracking.solving.row_sets import columns_of_rows, join, join_columns, roots

STEPS = 20_000  # columns that are tried in one place; where they do not suffice, the solver's own choice stays
ROUNDING = 1.0  # unit: far more than the duals of a solver are wrong by


def settle_ties(regions: Regions, plain: Programme) -> bool:
    """Replace the optimum that ``regions`` hold by the first one of equal cost; returns whether it has changed.

    Every region must be proven. plain : the model without the prices of cliques.
    """
    programme, holder = regions.programme, regions.state.holder
    dual, slack, weak = regions.final_duals()
    excess = _excess(programme.rows, programme.cost, regions.side_share(), dual, slack, weak, regions.region_of_rows())
    chosen = regions.state.chosen(len(programme.rows))
    open_ = (excess < ROUNDING)[: len(plain.rows)] & plain.allowed & ~chosen[: len(plain.rows)]
    others = np.flatnonzero(open_)
    _drop_vain(programme.rows, holder, open_, *columns_of_rows(programme.rows, others, len(holder)))
    others = others[open_[others]]
    if not len(others):
        return False
    dual = np.append(dual, 0.0)
    cost = np.append(plain.cost, programme.cost[len(plain.rows) :])
    rules = regions.cliques + [row for row in regions.side if row.coefficients[-1] < 0]
    changed = False
    for columns, touched in _places(programme, holder, others, rules):
        columns = _in_order(programme, columns)
        reduced = cost[columns] - dual[programme.rows[columns]].sum(axis=1)
        found = _first_cover(programme, columns, cost, reduced, chosen, [rules[k] for k in touched])
        if found is not None:
            for rows in programme.rows[found].T:
                holder[rows[rows >= 0]] = found[rows >= 0]
            changed = True
    return changed


@compiled
def _excess(
    rows: RowArray,
    cost: IntArray,
    share: FloatArray,
    dual: FloatArray,
    slack: FloatArray,
    weak: BoolArray,
    region: IntArray,
) -> FloatArray:
    """By how much the reduced cost of each column is above the slack of its regions, float64 (columns,).

    0 where it has given it away: such a column may be in any optimum.
    """
    excess = np.full(len(rows), np.inf)
    for k in range(len(rows)):
        if rows[k, 0] < 0:
            continue
        reduced = reduced_cost_of(k, rows, cost, share, dual, weak, region)
        most = 0.0
        for row in rows[k]:
            if row >= 0:
                most = max(most, slack[row])
        excess[k] = 0.0 if reduced == -np.inf else reduced - most
    return excess


@compiled
def _drop_vain(rows: RowArray, holder: IntArray, open_: BoolArray, start: IntArray, columns: RowArray) -> None:
    """Take from ``open_`` what cannot replace anything, until every row of what it would replace is open to another.

    ``columns[start[r]:start[r + 1]]`` are the open columns that cover row ``r``.
    """
    count = np.diff(start)
    waiting = np.empty(len(count), dtype=np.int64)  # rows that nothing but their holder covers
    size = 0
    for row in range(len(count)):
        if count[row] == 0:
            waiting[size] = row
            size += 1
    while size > 0:
        size -= 1
        held = rows[holder[waiting[size]]]
        for i in range(3):
            if held[i] < 0:
                continue
            for k in columns[start[held[i]] : start[held[i] + 1]]:
                if not open_[k]:
                    continue
                open_[k] = False
                for j in range(3):
                    if rows[k, j] >= 0:
                        count[rows[k, j]] -= 1
                        if count[rows[k, j]] == 0:
                            waiting[size] = rows[k, j]
                            size += 1


def _places(
    programme: Programme, holder: IntArray, others: IntArray, rules: list[SideRow]
) -> Iterator[tuple[IntArray, list[int]]]:
    """The columns of each place (some of ``others``, and the chosen ones whose rows they would take), and its rules."""
    rows = programme.rows[others]
    columns = np.concatenate([others, np.unique(holder[rows[rows >= 0]])])
    covered = programme.rows[columns]
    parent = np.arange(2 * programme.detections)
    join_columns(parent, parent.copy(), covered, np.ones(len(columns), dtype=np.bool_))
    inside = np.zeros(len(programme.rows) + len(rules), dtype=np.bool_)  # penalties, behind the model, are in no place
    inside[columns] = True
    first: dict[int, int] = {}  # rule → one row that it is about
    for k, rule in enumerate(rules):
        within = programme.rows[rule.columns[inside[rule.columns]], 0]
        if len(within):
            join(parent, within[:-1], within[1:])
            first[k] = int(within[0])
    rules_of: dict[int, list[int]] = {}
    for k, name in zip(first, roots(parent, np.array([*first.values()], dtype=np.int64)).tolist(), strict=True):
        rules_of.setdefault(name, []).append(k)
    place = roots(parent, np.ascontiguousarray(covered[:, 0]))
    order = np.argsort(place, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        yield columns[part], rules_of.get(int(place[part[0]]), [])


def _in_order(programme: Programme, columns: IntArray) -> IntArray:
    """Columns by the first row that they cover, then by what they are, then by their other rows."""
    ranks = _ranks(programme, columns)
    kind = np.searchsorted([programme.links, programme.first_appear, programme.first_drop], columns, side="right")
    return columns[np.lexsort((columns, ranks[:, 2], ranks[:, 1], kind, ranks[:, 0]))]


def _ranks(programme: Programme, columns: IntArray) -> IntArray:
    """The rows of each column as places in the order past(0), future(0), past(1), …, ascending; 2n for none."""
    n, rows = programme.detections, programme.rows[columns].astype(np.int64)
    return np.sort(np.where(rows < 0, 2 * n, 2 * (rows % n) + (rows >= n)), axis=1)


def _first_cover(
    programme: Programme,
    columns: IntArray,
    cost: IntArray,
    reduced: FloatArray,
    chosen: BoolArray,
    rules: list[SideRow],
) -> IntArray | None:
    """The first exact cover by some ordered ``columns`` that costs what the chosen ones cost and keeps the ``rules``.

    Parameters
    ----------
    reduced : FloatArray
        float64 (len(columns),), costs less any duals of the rows: whatever they are, covers of equal cost are equal
        in them. ``chosen``, bool (all columns,), is changed to it. ``None``: it is the known one, or too many
        covers come before it.
    """
    known = chosen[columns].copy()
    least = _cost(columns, cost, chosen, rules)
    # a row is named after its rank, so that a place is covered by ascending numbers
    covered = [
        [rank for rank in ranks if rank < 2 * programme.detections] for ranks in _ranks(programme, columns).tolist()
    ]
    order = sorted({rank for ranks in covered for rank in ranks})
    options: dict[int, list[int]] = {rank: [] for rank in order}
    for k, ranks in enumerate(covered):
        options[ranks[0]].append(k)
    penalties = least - int(cost[columns[known]].sum()) if least is not None else 0
    above = np.maximum(reduced, 0.0).tolist()
    left = float(reduced[known].sum()) + penalties - float(np.minimum(reduced, 0.0).sum()) + ROUNDING
    taken: list[int] = []
    held: set[int] = set()
    trials = [(0, iter(options[order[0]]))]  # which row of the order is to be covered, and what is left to try for it
    steps = 0
    while trials and steps < STEPS:
        if len(trials) == len(taken):  # come back: the last column leads nowhere
            last = taken.pop()
            held.difference_update(covered[last])
            left += above[last]
        at, trial = trials[-1]
        for k in trial:
            steps += 1
            if above[k] <= left and held.isdisjoint(covered[k]):
                break
        else:
            trials.pop()
            continue
        taken.append(k)
        held.update(covered[k])
        left -= above[k]
        while at < len(order) and order[at] in held:
            at += 1
        if at < len(order):
            trials.append((at, iter(options[order[at]])))
            continue
        chosen[columns] = False
        chosen[columns[taken]] = True
        if _cost(columns, cost, chosen, rules) == least:
            return columns[taken] if (chosen[columns] != known).any() else None
    chosen[columns] = known
    return None


def _cost(columns: IntArray, cost: IntArray, chosen: BoolArray, rules: list[SideRow]) -> int | None:
    """What the chosen of some columns cost, with the penalties that they make due; ``None`` if a clique is broken."""
    total = int(cost[columns[chosen[columns]]].sum())
    for rule in rules:
        if rule.coefficients[-1] < 0:
            total += int(cost[rule.columns[-1]]) * bool(chosen[rule.columns[:-1]].all())
        elif chosen[rule.columns].sum() < rule.lower:
            return None
    return total
