"""Where masks look wrong for a few frames: runs of masks that several cells fall into, and of pieces of one cell.

A run is told from areas and from what lies upon what in the next frame alone, without a pixel. The areas of cells change
from frame to frame, most of all before they divide; so what comes before a run and what comes after it are compared with it in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.measuring.table import DetectionTable

TWICE = 2  # how many times as long one explanation is as another, from where the shorter one is believed
LONGEST = 10  # frames that such an error lasts at most
SHARED = 0.3  # of a cell, at least, lies in the mask that it falls into
LARGER = 1.2  # a whole is at least that many times as large as the largest of its parts …
ALIKE = 1.5  # … and as large as all of them together, up to this factor


Kind = Literal["merged", "split"]


@dataclass(frozen=True)
class Run:
    """An error that lasts: the rows of each frame, and the rows of the cells before and after (none: the movie ends)."""

    rows: tuple[tuple[int, ...], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


Found = tuple[Kind, Run]


def find_runs(table: DetectionTable) -> list[Found]:
    """Mergers and pieces of a movie of plain masks, in the order of their first rows; a mask may be in several.

    Parameters
    ----------
    table : DetectionTable
        With the overlaps between adjacent frames.
    """
    into, out_of = _falls(table)
    runs = _without_longer([*_merged_runs(table, into, out_of), *_split_runs(table, into, out_of)])
    return sorted(runs, key=lambda run: (int(table.frame[run[1].rows[0][0]]), run[1].rows))


def _without_longer(runs: list[Found]) -> list[Found]:
    """The runs without those that one beside them explains which is less than half as long.

    A cell that is in pieces twice looks like a merger in between, and two cells that are merged twice like pieces.
    """
    lasts: dict[tuple[Kind, int], int] = {}
    for kind, run in runs:
        for row in chain.from_iterable(run.rows):
            lasts[kind, row] = min(len(run.rows), lasts.get((kind, row), LONGEST))
    other: dict[Kind, Kind] = {"merged": "split", "split": "merged"}
    return [
        (kind, run)
        for kind, run in runs
        if all(TWICE * lasts.get((other[kind], row), LONGEST) >= len(run.rows) for row in (*run.before, *run.after))
    ]


@dataclass(frozen=True)
class _Fall:
    """What each detection mostly lies in, in the frame beside its own: the row (−1: in none), and the share of it that does."""

    row: IntArray
    share: FloatArray

    def members(self) -> dict[int, tuple[int, ...]]:
        """Those that lie in the same one, several at least, largest share first, by its row."""
        members: dict[int, list[int]] = {}
        times = np.bincount(self.row[self.row >= 0], minlength=1)
        inside = np.flatnonzero((self.row >= 0) & (times[self.row] > 1))
        for row in inside[np.argsort(-self.share[inside], kind="stable")].tolist():
            members.setdefault(int(self.row[row]), []).append(row)
        return {row: tuple(rows) for row, rows in members.items()}

    def all_in(self, rows: Sequence[int]) -> set[int]:
        """Those that lie in some others."""
        order, sorted_rows = self._ordered
        begin, end = (np.searchsorted(sorted_rows, rows, side=side) for side in ("left", "right"))
        return {row for a, b in zip(begin, end, strict=True) for row in order[a:b].tolist()}

    @cached_property
    def _ordered(self) -> tuple[IntArray, IntArray]:
        """All of them by what they lie in, and that."""
        order = np.argsort(self.row, kind="stable")
        return order, self.row[order]


def _falls(table: DetectionTable) -> tuple[_Fall, _Fall]:
    """What each detection falls into in the next frame, and what it comes out of; −1: nothing takes `SHARED` of it."""
    rank = np.searchsorted(table.frames_with_cells(), table.frame)
    source, target, count = table.overlap_source, table.overlap_target, table.overlap_count
    near = rank[target] - rank[source] == 1
    order = np.flatnonzero(near)[np.argsort(count[near], kind="stable")]  # the largest share is written last
    found = []
    for one, other in ((source[order], target[order]), (target[order], source[order])):
        share = count[order] / table.area[one]
        enough = share > SHARED
        fall = _Fall(np.full(len(table), -1), np.zeros(len(table)))
        fall.row[one[enough]], fall.share[one[enough]] = other[enough], share[enough]
        found.append(fall)
    return found[0], found[1]


def _holds(whole: float, parts: FloatArray) -> bool:
    """Whether an area is large enough to hold others, but not larger than they together explain."""
    return bool(LARGER * parts.max() <= whole and parts.sum() / ALIKE <= whole <= parts.sum() * ALIKE)


def _may_hide(whole: float, parts: FloatArray) -> bool:
    """Whether others may lie in a mask, one behind another: it is not much smaller than the largest of them."""
    return bool(parts.max() / ALIKE <= whole <= parts.sum() * ALIKE)


def _merged_runs(table: DetectionTable, into: _Fall, out_of: _Fall) -> Iterator[Found]:
    """Masks that several cells fall into, up to the one that several come out of, or that holds them in the last frame.

    In between, one may be hidden behind another.
    """
    after, next_of, area = out_of.members(), into.row, table.area.astype(np.float64)
    last = int(table.frame.max(initial=0))
    for first, cells in into.members().items():
        masks = [first]
        while len(masks) <= LONGEST:
            end = masks[-1]
            if run := _as_many(area, masks, cells, after.get(end, ()), ends=table.frame[end] == last):
                yield "merged", run
                break
            if next_of[end] < 0 or not _may_hide(area[next_of[end]], area[list(cells)]):
                break
            masks.append(int(next_of[end]))


def _as_many(
    area: FloatArray, masks: Sequence[int], before: tuple[int, ...], after: tuple[int, ...], *, ends: bool
) -> Run | None:
    """A run of masks with as many of the cells before as of those after, the more the better; ``None``: none fit.

    A neighbour may touch the masks, too: of more cells those are taken that lie in the mask most.
    ``ends``: the movie ends with the masks, and nothing need come out of them.
    """
    first, last = area[masks[0]], area[masks[-1]]
    for n in range(min(len(before), len(after)) if after or not ends else len(before), 1, -1):
        held, heirs = sorted(before[:n]), sorted(after[:n])
        parts, later = area[held], area[heirs or held]
        total = np.sqrt(parts.sum() * later.sum())
        if max(first, last) > total * ALIKE:
            return None  # fewer explain even less
        large = first >= LARGER * parts.max() and last >= LARGER * later.max()
        if large and total / ALIKE <= min(first, last):
            return Run(tuple((row,) for row in masks), tuple(held), tuple(heirs))
    return None


def _split_runs(table: DetectionTable, into: _Fall, out_of: _Fall) -> Iterator[Found]:
    """Masks that come out of one cell, up to those that fall into one; looked for from either end."""
    area = table.area.astype(np.float64)
    found: set[Run] = set()
    for ahead, back, turned in ((into, out_of, False), (out_of, into, True)):
        for cell, pieces in back.members().items():
            run = _until_one(area, cell, tuple(sorted(pieces)), ahead.row, back)
            if run is not None:
                found.add(Run(run.rows[::-1], run.after, run.before) if turned else run)
    within: dict[int, int] = {}
    for run in found:
        for row in chain.from_iterable(run.rows):
            within[row] = max(len(run.rows), within.get(row, 0))
    # what lasts longer as pieces is no whole for some of its own
    yield from (
        ("split", run) for run in found if all(within.get(end, 0) <= len(run.rows) for end in (*run.before, *run.after))
    )


def _until_one(area: FloatArray, cell: int, pieces: tuple[int, ...], ahead: IntArray, back: _Fall) -> Run | None:
    """The pieces of a cell, followed until they are one again; ``None``: they are not.

    Parameters
    ----------
    ahead : IntArray
        int64 (n,), what each falls into.
    back : _Fall
        What comes out of each; pieces of one frame need not be those of the next.
    """
    groups = [pieces]
    while len(groups) <= LONGEST and _holds(area[cell], area[list(groups[-1])]):
        now = list(groups[-1])
        fall_into = set(ahead[now].tolist()) - {-1}
        then = tuple(sorted(fall_into | back.all_in(now)))
        if len(then) > 1 and _holds(area[cell], area[list(then)]):
            groups.append(then)
            continue
        if len(fall_into) != 1:
            return None
        one = fall_into.pop()
        # where a piece is lost, the others alone must make the whole: a daughter does not when her sister leaves
        mean = float(np.sqrt(area[cell] * area[one])) if (ahead[now] >= 0).all() else float(area[one])
        fits = area[one] >= area[now].max() and all(_holds(mean, area[list(group)]) for group in groups)
        return Run(tuple(groups), (cell,), (one,)) if fits else None
    return None
