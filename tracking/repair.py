"""Masks that are wrong for a few frames: two cells in one mask, one cell in several; what else they may be.

A mask is taken for a **merger** where at least two cells before, moved by the drift, fall into it, and at least two
come out of it again a few frames later. It may be split as these cells say, each pixel going to the nearest of them;
within a longer run the parts of one frame split the next one, from either end to the middle. Some masks are taken
for **pieces** of one where they come out of one cell and fall into one again a few frames later; they may be joined.

Neither is decided here. Masks and what they may be instead exclude each other in the programme, which must take one
or the other as a whole, and the links to the frames around speak for either. A division is no merger, as one cell
precedes it, and its daughters are no pieces, as they do not become one again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.columns import row_of_cell
from celltrail.data.files.movie import DerivedFrames
from celltrail.data.progress import Progress, silent
from celltrail.data.types import BoolArray, FloatArray, IntArray, Masks
from celltrail.tracking.exporting.masks import relabel
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.solving.programme import MUST

Shape = tuple[tuple[slice, ...], BoolArray]  # a box, and a mask within it

LONGEST = 5  # frames that such an error lasts at most
LARGER = 1.2  # a whole is at least that many times as large as the largest of its parts …
ALIKE = 1.5  # … and as large as all of them together, up to this factor
SMALLEST = 0.25  # a part is at least that share of the cell that it is taken for
RARE = 100.0  # one mask in so many is such an error


@dataclass(frozen=True)
class Repair:
    """What some masks of one frame may be instead.

    Attributes
    ----------
    labels : tuple[int, ...]
        Of the masks: one for a merger, several for pieces.
    parts : tuple[Shape, ...]
        The other reading, several for a merger, one for pieces; their labels are ``first``, ``first + 1`` …, which
        no mask of the frame has.
    """

    kind: Literal["merged", "split"]
    frame: int
    labels: tuple[int, ...]
    parts: tuple[Shape, ...]
    first: int

    @property
    def new(self) -> range:
        """The labels of the parts."""
        return range(self.first, self.first + len(self.parts))


class RepairableMovie(DerivedFrames, LayeredMovie):
    """Masks, with what some of them may be instead in a second layer. Frame number → layers (1 or 2, …)."""

    def __init__(self, masks: Masks, repairs: Sequence[Repair]) -> None:
        super().__init__(masks)
        self.repairs = tuple(repairs)

    def __getitem__(self, number: int) -> NDArray[Any]:
        labels = np.asarray(self.masks[number]).astype(np.int64, copy=False)
        here = [repair for repair in self.repairs if repair.frame == number]
        if not here:
            return labels[np.newaxis]
        other = np.zeros(labels.shape, dtype=np.int64)
        for repair in here:
            for label, (box, mask) in zip(repair.new, repair.parts, strict=True):
                other[box][mask] = label
        return np.stack([labels.astype(np.int64), other])

    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen masks and parts: ``labels`` become ``new`` (0: left out)."""
        return np.asarray(np.max([relabel(layer, labels, new) for layer in self[number]], axis=0))

    def evidence(self, frame: IntArray, label: IntArray, progress: Progress = silent) -> Evidence:
        """One mask in `RARE` is wrong; all else is said by the links.

        Several parts or pieces together count for one typical cell: they must not win by having more links.
        """
        row_of = row_of_cell(frame, label)
        reward, share, hypothesis = np.zeros(len(frame)), np.ones(len(frame)), np.full(len(frame), -1)
        pairs: list[tuple[int, int]] = []
        odds = np.log(RARE - 1)
        for repair in self.repairs:
            old = [row_of[repair.frame, one] for one in repair.labels]
            new = [row_of[repair.frame, one] for one in repair.new]
            atoms = max(len(old), len(new))
            reward[old] = MUST * atoms / len(old)
            reward[new] = (MUST * atoms - odds) / len(new)
            share[old], share[new] = 1 / len(old), 1 / len(new)
            hypothesis[new] = np.arange(len(new)) + repair.first - 1
            pairs += [(a, b) for a in old for b in new]
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return Evidence(
            reward=reward,
            share=share,
            hypothesis=hypothesis,
            clique_id=np.repeat(np.arange(len(rows)), 2),
            clique_row=rows.ravel(),
        )


def find_repairs(masks: Masks, table: DetectionTable) -> list[Repair]:
    """Mergers and pieces of a movie of plain masks, ordered by frame; no mask is in two of them.

    Parameters
    ----------
    table : DetectionTable
        The detections of ``masks``, with the overlaps between adjacent frames.
    """
    into, out_of = _heirs(table)
    runs = [*_merged_runs(table, into, out_of), *_split_runs(table, into, out_of)]
    top = np.zeros(int(table.frame.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(top, table.frame, table.label)
    free = top + 1
    read = lru_cache(maxsize=LONGEST + 2)(lambda number: np.asarray(masks[number]).astype(np.int64, copy=False))
    shape_of = _Shapes(table, read)
    taken: set[int] = set()
    found: list[Repair] = []
    for kind, frames in sorted(runs, key=lambda run: (int(table.frame[run[1].rows[0][0]]), run[1].rows)):
        if taken & {row for rows in frames.rows for row in rows}:
            continue
        shapes = shape_of.split(frames) if kind == "merged" else shape_of.joined(frames)
        if shapes is None:
            continue
        for rows, parts in zip(frames.rows, shapes, strict=True):
            number = int(table.frame[rows[0]])
            labels = tuple(sorted(table.label[list(rows)].tolist()))
            found.append(Repair(kind=kind, frame=number, labels=labels, parts=tuple(parts), first=int(free[number])))
            free[number] += len(parts)
            taken |= set(rows)
    return sorted(found, key=lambda repair: (repair.frame, repair.labels))


@dataclass(frozen=True)
class Run:
    """An error that lasts: the rows of each frame, and the rows of the cells before and after (none: the movie ends)."""

    rows: tuple[tuple[int, ...], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


Found = tuple[Literal["merged", "split"], Run]


def _heirs(table: DetectionTable) -> tuple[IntArray, IntArray]:
    """For each detection the one of the next frame that it falls into by more than half, and the one of the frame
    before out of which more than half of it comes; −1: none."""
    rank = np.searchsorted(table.frames_with_cells(), table.frame)
    source, target, count = table.overlap_source, table.overlap_target, table.overlap_count
    near = rank[target] - rank[source] == 1
    source, target, count = source[near], target[near], count[near]
    into, out_of = np.full(len(table), -1), np.full(len(table), -1)
    most = 2 * count > table.area[source]
    into[source[most]] = target[most]
    most = 2 * count > table.area[target]
    out_of[target[most]] = source[most]
    return into, out_of


def _members(of: IntArray) -> dict[int, tuple[int, ...]]:
    """The rows that share a value of ``of``, by that value."""
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(of >= 0).tolist():
        members.setdefault(int(of[row]), []).append(row)
    return {value: tuple(rows) for value, rows in members.items()}


def _is_whole(table: DetectionTable, row: int, parts: Sequence[int]) -> bool:
    """Whether a detection is large enough to hold others, but not larger than they together explain."""
    area, areas = table.area[row], table.area[list(parts)]
    return bool(area >= LARGER * areas.max() and areas.sum() / ALIKE <= area <= areas.sum() * ALIKE)


def _merged_runs(table: DetectionTable, into: IntArray, out_of: IntArray) -> Iterator[Found]:
    """Masks that several cells fall into, up to the one that several come out of, or that is in the last frame."""
    before, after = _members(into), _members(out_of)
    last = int(table.frame.max(initial=0))
    for first, cells in before.items():
        if len(cells) < 2 or not _is_whole(table, first, cells):
            continue
        chain = [first]
        while len(chain) <= LONGEST:
            end = chain[-1]
            heirs = after.get(end, ())
            if (len(heirs) > 1 and _is_whole(table, end, heirs)) or table.frame[end] == last:
                yield "merged", Run(tuple((row,) for row in chain), cells, heirs if len(heirs) > 1 else ())
                break
            if into[end] < 0 or not _is_whole(table, int(into[end]), cells):
                break
            chain.append(int(into[end]))


def _split_runs(table: DetectionTable, into: IntArray, out_of: IntArray) -> Iterator[Found]:
    """Masks that come out of one cell, up to those that fall into one."""
    for mother, rows in _members(out_of).items():
        chain = [rows]
        while len(chain) <= LONGEST and len(chain[-1]) > 1:
            heirs = {int(into[row]) for row in chain[-1]}
            if -1 in heirs or not _is_whole(table, mother, chain[-1]):
                break
            if len(heirs) == 1:
                if _is_whole(table, heirs.pop(), chain[-1]):
                    yield "split", Run(tuple(chain), (mother,), ())
                break
            chain.append(tuple(sorted(heirs)))


class _Shapes:
    """The pixels of the cells of a movie."""

    def __init__(self, table: DetectionTable, read: Any) -> None:
        self.table, self.read = table, read

    def of(self, row: int) -> Shape:
        """The box of a detection and its mask."""
        table = self.table
        corners = table.box[row].tolist()
        box = tuple(slice(corners[axis], corners[axis + 3]) for axis in range(3 - table.ndim, 3))
        return box, self.read(int(table.frame[row]))[box] == table.label[row]

    def joined(self, run: Run) -> list[list[Shape]]:
        """The union of the pieces of each frame."""
        return [[union([self.of(row) for row in rows])] for rows in run.rows]

    def split(self, run: Run) -> list[list[Shape]] | None:
        """The parts of the mask of each frame; ``None`` where one of them would be much too small."""
        scale = self.table.scale[3 - self.table.ndim :]
        wholes = [self.of(rows[0]) for rows in run.rows]
        forwards = (len(wholes) + 1) // 2 if run.after else len(wholes)
        parts: list[list[Shape]] = [[] for _ in wholes]
        cells = [self.of(row) for row in run.before]
        for i in range(forwards):
            cells = parts[i] = split_by(wholes[i], cells, scale)
        cells = [self.of(row) for row in run.after]
        for i in range(len(wholes) - 1, forwards - 1, -1):
            cells = parts[i] = split_by(wholes[i], cells, scale)
        return None if any(len(frame) < 2 for frame in parts) else parts


def split_by(whole: Shape, cells: Sequence[Shape], scale: FloatArray) -> list[Shape]:
    """Split a mask by the cells of a frame beside it: each pixel goes to the nearest of them.

    The cells are moved together, so that their common centre is that of the mask; then each is moved to the centre of
    its part, and the pixels are shared out again.

    Parameters
    ----------
    scale : FloatArray
        float64 (ndim,), size of a voxel.

    Returns
    -------
    The parts, disjoint and together the mask; none if one is less than `SMALLEST` of its cell.
    """
    inside = points(whole)
    given = [points(cell) for cell in cells]
    move = inside.mean(axis=0) - np.concatenate(given).mean(axis=0)
    owner = _nearest(inside, [np.rint(cell + move) for cell in given], scale)
    if len(np.unique(owner)) == len(given):
        moves = [inside[owner == k].mean(axis=0) - cell.mean(axis=0) for k, cell in enumerate(given)]
        owner = _nearest(inside, [np.rint(cell + move) for cell, move in zip(given, moves, strict=True)], scale)
    sizes = np.bincount(owner, minlength=len(given))
    if any(size < SMALLEST * len(cell) for size, cell in zip(sizes.tolist(), given, strict=True)):
        return []
    return [_shape(inside[owner == k]) for k in range(len(given))]


def _nearest(inside: FloatArray, cells: Sequence[FloatArray], scale: FloatArray) -> IntArray:
    """Which of the cells is nearest to each point."""
    low = np.minimum(inside.min(axis=0), np.min([cell.min(axis=0) for cell in cells], axis=0)).astype(np.int64)
    high = np.maximum(inside.max(axis=0), np.max([cell.max(axis=0) for cell in cells], axis=0)).astype(np.int64)
    distance = np.full((len(cells), *(high - low + 1)), np.inf)
    for k, cell in enumerate(cells):
        ground = np.ones(distance.shape[1:], dtype=np.bool_)
        ground[tuple((cell.astype(np.int64) - low).T)] = False
        distance[k] = ndimage.distance_transform_edt(ground, sampling=scale)
        # within a cell, the deeper the nearer: where two overlap, the pixel goes to the one that it lies deeper in
        distance[k] -= ndimage.distance_transform_edt(~ground, sampling=scale)
    at = tuple((inside.astype(np.int64) - low).T)
    return np.asarray(distance[(slice(None), *at)].argmin(axis=0))


def points(shape: Shape) -> FloatArray:
    """The voxels of a mask, float64 (n, ndim)."""
    box, mask = shape
    return np.asarray(np.argwhere(mask) + np.array([float(side.start) for side in box]))


def _shape(where: FloatArray) -> Shape:
    """The mask of some voxels."""
    low, high = where.min(axis=0).astype(np.int64), where.max(axis=0).astype(np.int64) + 1
    mask = np.zeros(high - low, dtype=np.bool_)
    mask[tuple((where.astype(np.int64) - low).T)] = True
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), mask


def union(shapes: Sequence[Shape]) -> Shape:
    """All voxels of some masks as one."""
    return _shape(np.concatenate([points(shape) for shape in shapes]))


def list_repairs(masks: Masks, table: DetectionTable, track: IntArray) -> dict[str, Any]:
    """What ``run.json`` says of the repairs of a movie.

    Parameters
    ----------
    track : IntArray
        int64 (n,), the track of each detection; 0: not used.

    Returns
    -------
    dict
        ``considered``: how many there were to choose from; ``merged``, ``split``: how many masks were split, and how
        often pieces were joined; ``list``: those, each with ``kind``, ``frame``, ``masks`` (labels of the masks) and
        ``tracks`` (labels in the result).
    """
    repairs = masks.repairs if isinstance(masks, RepairableMovie) else ()
    track_of = dict(zip(zip(table.frame.tolist(), table.label.tolist(), strict=True), track.tolist(), strict=True))
    done = [
        {"kind": repair.kind, "frame": repair.frame, "masks": list(repair.labels), "tracks": tracks}
        for repair in repairs
        if any(tracks := [track_of[repair.frame, label] for label in repair.new])
    ]
    count = {kind: sum(repair["kind"] == kind for repair in done) for kind in ("merged", "split")}
    return {"considered": len(repairs), **count, "list": done}
