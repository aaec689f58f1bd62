"""``Points``: a result as one row per cell and frame, the common ground of all formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.opening import open_instances, open_labels
from celltrail.data.files.steps import find_step
from celltrail.data.files.tracks import Tracks, clip_tracks, read_tracks, split_at_holes
from celltrail.data.labels.overlap import count_overlap
from celltrail.data.progress import Progress, silent
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted

INVENTED = (
    "point that btrack invented in gaps is left out",
    "points that btrack invented in gaps are left out",
)
UNCHOSEN = (
    "cell or link that its solution does not hold is left out",
    "cells and links that its solution does not hold are left out",
)
LONE_SPOT = ("spot without a link is a track of one frame", "spots without a link are tracks of one frame")


@dataclass(frozen=True)
class Points:
    """Where every cell is in every frame, and how the tracks descend from each other.

    Attributes
    ----------
    frame, label : IntArray
        int64 (n,), ordered by (frame, label); each label is in ``tracks``.
    position : FloatArray
        float64 (n, 3), centre z, y, x in pixels (z = 0 in 2D).
    area : FloatArray
        float64 (n,), pixels; NaN where it is not known.
    tracks : Tracks
        Tracks, as in the CTC: a track has a point in each of its frames.
    ndim : int
        2 or 3.
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm, or ``None``.
    interval : float | None
        Seconds between frames, or ``None``.
    notes : tuple[str, ...]
        Sentences on what was left out, or had to be taken for something, when the points were read.
    """

    frame: IntArray
    label: IntArray
    position: FloatArray
    area: FloatArray
    tracks: Tracks
    ndim: int
    voxel: tuple[float, float, float] | None = None
    interval: float | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


def read_result(folder: Path, *, progress: Progress = silent) -> Points:
    """The points of a result or truth folder of the CTC: masks with their track file.

    Raises
    ------
    InputError
        If there is no track file, or it does not agree with the masks.
    """
    file = track_file(folder)
    if file is None:
        raise InputError(f"{folder} holds no track file (res_track.txt or man_track.txt): give a result folder.")
    tracks = read_tracks(file)
    problems = [f"{file}: {text}" for text in tracks.problems()]
    masks = open_labels(folder)
    points = points_of_masks(masks, tracks, progress=progress)
    frame, label = points.frame, points.label
    found = set(zip(label.tolist(), frame.tolist(), strict=True))
    # A table may claim any frames; one outside the movie is enough to be found missing.
    step = find_step(masks.numbers)
    first, last = masks.numbers[0] - step, masks.numbers[-1] + step
    listed = {
        (label, frame)
        for label, begin, end, _ in tracks.rows().tolist()
        for frame in range(min(max(begin, first), last), min(end, last) + 1, step)
    }
    for what, odd in (("is missing from the masks", listed - found), ("has no track", found - listed)):
        if odd:
            example = min(odd)
            problems.append(
                f"{folder}: label {example[0]} {what} in frame {example[1]} (and {len(odd) - 1} more): "
                "run 'celltrail check' on it."
            )
    if problems:
        raise InputError(*problems[:20])
    return replace(points, voxel=masks.voxel, interval=masks.interval)


def read_tracked_labels(path: Path, *, progress: Progress = silent) -> Points:
    """The points of label images without a track file, in which a cell has the same label in all frames.

    A label that is missing for some frames becomes several tracks, each the parent of the next, as the CTC wants it.

    Raises
    ------
    InputError
        If the label images cannot be read, are no instance masks, hold no cell, or no label is in two frames.
    """
    masks = open_instances(path)
    step = find_step(masks.numbers)
    none = Tracks.from_rows([])
    found = points_of_masks(masks, none, progress=progress)
    order = np.lexsort((found.frame, found.label))
    labels, first = np.unique(found.label[order], return_index=True)
    frames = dict(zip(labels.tolist(), np.split(found.frame[order], first[1:]), strict=True))
    if len(masks.numbers) > 1 and all(len(present) == 1 for present in frames.values()):
        raise InputError(
            f"{path} holds no track file, and no label is in two of its frames: these are masks that nobody has tracked "
            "yet; run 'celltrail track' on them."
        )
    start = masks.numbers[0]
    counted = {label: (present - start) // step for label, present in frames.items()}
    whole = Tracks.from_rows((label, int(k[0]), int(k[-1]), 0) for label, k in counted.items())
    tracks, renamed = split_at_holes(whole, counted)
    new = found.label.copy()
    for (label, begin), name in sorted(renamed.items()):  # later pieces come later
        new[(found.label == label) & (found.frame >= begin * step + start)] = name
    rows = tracks.rows()
    rows[:, 1:3] = rows[:, 1:3] * step + start
    by_label = np.lexsort((new, found.frame))
    note = f"{path} has no track file: every label was taken for one cell through all frames, and no cell for a mother"
    if renamed:
        note += f"; {len(renamed)} times a cell is missing for some frames, and goes on under a new label"
    return replace(
        found,
        frame=found.frame[by_label],
        label=new[by_label],
        position=found.position[by_label],
        area=found.area[by_label],
        tracks=Tracks.from_rows(rows.tolist()),
        voxel=masks.voxel,
        interval=masks.interval,
        notes=(f"{note}.",),
    )


def points_of_masks(masks: Mapping[int, NDArray[Any]], tracks: Tracks, *, progress: Progress = silent) -> Points:
    """The points of label images whose labels are those of ``tracks``, without a scale.

    Parameters
    ----------
    masks : Mapping[int, NDArray[Any]]
        Frame number → label image, at least one.

    Raises
    ------
    InputError
        If a label is negative or beyond 63 bits.
    """
    frames, labels, positions, areas = [], [], [], []
    for done, number in enumerate(masks, start=1):
        mask = masks[number]
        try:
            table = count_overlap(mask, mask)
        except ValueError as error:
            raise InputError(f"{getattr(masks, 'path', 'the masks')}, frame {number}: {error}.") from None
        frames.append(np.full(len(table.labels_a), number, dtype=np.int64))
        labels.append(table.labels_a)
        positions.append(np.pad(table.centers_a, ((0, 0), (3 - mask.ndim, 0))))
        areas.append(table.areas_a)
        progress("read", done, len(masks))
    ndim = masks[next(iter(masks))].ndim
    return Points(
        np.concatenate(frames),
        np.concatenate(labels),
        np.concatenate(positions),
        np.concatenate(areas).astype(np.float64),
        tracks,
        ndim,
    )


def points_between(points: Points, frames: range | None) -> Points:
    """The points of the frames in ``frames``, as if the movie consisted of these alone (``None``: all).

    Raises
    ------
    InputError
        If no cell is in these frames.
    """
    if frames is None:
        return points
    rows = np.flatnonzero((points.frame >= frames.start) & (points.frame < frames.stop))
    if len(rows) == 0:
        raise InputError(f"No cell is in the frames {frames.start}:{frames.stop - 1}: choose other --frames.")
    return replace(
        points,
        frame=points.frame[rows],
        label=points.label[rows],
        position=points.position[rows],
        area=points.area[rows],
        tracks=clip_tracks(points.tracks, frames),
    )


def links_of(points: Points) -> IntArray:
    """The links between points as rows (source, target), int64 (k, 2), ordered by target.

    Within a track from frame to frame, and from the last point of a parent to the first of each child.
    """
    order = np.lexsort((points.frame, points.label))
    ordered = points.label[order]
    same = ordered[1:] == ordered[:-1]
    first = np.concatenate([[True], ~same])[: len(order)]
    last = np.concatenate([~same, [True]])[: len(order)]
    names, rows_first, rows_last = ordered[first], order[first], order[last]
    born = points.tracks.parent > 0
    child, parent = (np.searchsorted(names, column[born]) for column in (points.tracks.label, points.tracks.parent))
    source = np.concatenate([order[:-1][same], rows_last[parent]])
    target = np.concatenate([order[1:][same], rows_first[child]])
    by_target = np.argsort(target, kind="stable")
    return np.stack([source[by_target], target[by_target]], axis=1).astype(np.int64)


def joined_tracks(tracks: Tracks, *, gaps_only: bool = False) -> dict[int, int]:
    """For each label the track it is part of when only children (continuations) are joined to their parents.

    With ``gaps_only`` those that follow their parent at once stay apart: their parent may have divided, with the other
    daughter outside the image.
    """
    children = tracks.children()
    ends = dict(zip(tracks.label.tolist(), tracks.end.tolist(), strict=True))
    joined: dict[int, int] = {}
    rows: list[list[int]] = tracks.rows()[np.argsort(tracks.begin, kind="stable")].tolist()
    for label, begin, _, parent in rows:
        only = parent != 0 and len(children[parent]) == 1 and (not gaps_only or begin > ends[parent] + 1)
        joined[label] = joined[parent] if only else label
    return joined


def points_from_links(
    frame: NDArray[Any],
    position: NDArray[Any],
    links: NDArray[Any],
    *,
    area: NDArray[Any] | None = None,
    begins: NDArray[np.bool_] | None = None,
    names: Sequence[NDArray[Any]] = (),
    ndim: int,
    voxel: tuple[float, float, float] | None = None,
    interval: float | None = None,
    notes: Sequence[str] = (),
    source: str = "The graph",
) -> Points:
    """Points and tracks from a graph of links.

    A chain of links from frame to frame is a track; it ends where a link skips a frame or where
    two links leave. What follows has it as its parent.

    Parameters
    ----------
    frame : NDArray[Any]
        (n,) whole numbers.
    position : NDArray[Any]
        (n, 3), z, y, x in pixels.
    area : NDArray[Any] | None
        (n,) pixels.
    links : NDArray[Any]
        (k, 2) rows of the points; the earlier one is the source, in whatever order they come.
    begins : NDArray[np.bool_] | None
        (n,) where a track begins in any case: a division whose other daughter is outside has a link like any other.
    names : Sequence[NDArray[Any]]
        Columns (n,) of labels, the best first. Tracks are named by the first column that is positive and the same along
        every chain: one that changes along links names masks, not tracks. Where there is none, tracks are numbered by
        first frame and position.
    notes : Sequence[str]
        Sentences for ``Points.notes``.
    source : str
        What to call the input in messages.

    Raises
    ------
    InputError
        If a link joins points of one frame, a point has two predecessors (cells that merge), or
        two points of a frame have one label.
    """
    frame = np.asarray(frame, dtype=np.int64)
    position = np.asarray(position, dtype=np.float64).reshape(-1, 3)
    links = np.asarray(links, dtype=np.int64).reshape(-1, 2)
    backwards = frame[links[:, 0]] > frame[links[:, 1]]
    if backwards.any():
        links = np.where(backwards[:, None], links[:, ::-1], links)
    problems = []
    flat = links[frame[links[:, 0]] == frame[links[:, 1]]]
    if len(flat):
        problems.append(
            f"{source} links two cells of frame {frame[flat[0, 0]]} ({counted(len(flat), 'such link')}): remove them."
        )
    merged = np.bincount(links[:, 1], minlength=len(frame)) > 1
    if merged.any():  # or the same link is there twice
        links = unique_pairs(links)
        merged = np.bincount(links[:, 1], minlength=len(frame)) > 1
    if merged.any():
        problems.append(
            f"{source} lets cells merge, first in frame {frame[merged].min()} "
            f"({counted(int(merged.sum()), 'time')}), which a lineage cannot hold: remove one link of each."
        )
    if (frame < 0).any():
        problems.append(f"{source} has the frame {frame.min()}: frame numbers start at 0.")
    if problems:
        raise InputError(*problems)

    leaving = np.bincount(links[:, 0], minlength=len(frame))
    here = np.arange(len(frame))
    before = np.full(len(frame), -1)
    before[links[:, 1]] = links[:, 0]
    numbers = np.unique(frame)
    step = max(1, int(np.gcd.reduce(np.diff(numbers))))  # frames may be minutes, or every second one
    told = _what_is_odd(source, numbers, step, len(links))
    continues = (before >= 0) & (leaving[before] == 1) & (frame == frame[before] + step)
    if begins is not None:
        continues &= ~begins
    root = np.where(continues, before, here)
    while not np.array_equal(further := root[root], root):  # twice as far back in each step
        root = further
    heads = np.flatnonzero(~continues)
    heads = heads[np.lexsort((*position[heads].T[::-1], frame[heads]))]
    number = np.empty(len(frame), dtype=np.int64)
    number[heads] = np.arange(len(heads))
    chain = number[root]
    named = _name_chains(heads, root, names)
    ends = np.ones(len(frame), dtype=bool)
    ends[before[continues]] = False
    last = np.zeros(len(heads), dtype=np.int64)
    last[chain[ends]] = frame[ends]
    parents = np.where(before[heads] >= 0, named[chain[before[heads]]], 0)
    by_name = np.argsort(named)
    tracks = Tracks(named[by_name], frame[heads][by_name], last[by_name], parents[by_name])
    labels = named[chain]
    rows = order_by(frame, labels)
    notes = (*notes, *told)
    sizes = np.full(len(frame), np.nan) if area is None else np.asarray(area, dtype=np.float64)
    return Points(frame[rows], labels[rows], position[rows], sizes[rows], tracks, ndim, voxel, interval, notes)


def _what_is_odd(source: str, numbers: IntArray, step: int, links: int) -> list[str]:
    """Sentences on frames that are not numbered one by one, and on cells of which none is linked to another."""
    told = []
    if step > 1:
        shown = ", ".join(map(str, numbers[:3].tolist()))
        told.append(f"{source}: its times {shown} … are taken as the numbers of frames, {step} apart.")
    if len(numbers) > 1 and not links:
        told.append(f"{source}: no cell is linked to another, so every track is one frame long.")
    return told


def _name_chains(heads: IntArray, root: IntArray, names: Sequence[NDArray[Any]]) -> IntArray:
    """Labels of the chains: that of the first chain which has it in the first column that fits, else a new one."""
    wanted = np.zeros(len(heads), dtype=np.int64)
    for column in names:
        values = np.asarray(column, dtype=np.int64)
        if (values > 0).all() and np.array_equal(values[root], values):
            wanted = values[heads]
            break
    first = np.zeros(len(heads), dtype=bool)
    first[np.unique(wanted, return_index=True)[1]] = True
    named: IntArray = np.where(first & (wanted > 0), wanted, 0)
    free = np.flatnonzero(named == 0)
    named[free] = named.max(initial=0) + 1 + np.arange(len(free))
    return named


def order_by(first: IntArray, second: IntArray) -> IntArray:
    """Rows by the first column, then by the second; `numpy.lexsort` several times as fast. Equal rows in any order."""
    if not len(first):
        return np.zeros(0, dtype=np.int64)
    low, width = int(second.min()), int(second.max()) - int(second.min()) + 1
    if max(abs(int(first.min())), abs(int(first.max()))) + 1 >= 2**62 // width:
        return np.lexsort((second, first))
    key = first * width + (second - low)
    return np.arange(len(key)) if (key[1:] >= key[:-1]).all() else np.argsort(key)


def unique_pairs(pairs: IntArray) -> IntArray:
    """The different rows of an int64 (k, 2), in order; as `numpy.unique` of rows, many times as fast."""

    def without_repeats(given: IntArray) -> IntArray:
        new = np.ones(len(given), dtype=bool)
        new[1:] = (given[1:] != given[:-1]).any(axis=1)
        kept: IntArray = given[new]
        return kept

    pairs = without_repeats(pairs)  # often most of them, and quicker than to sort them
    return without_repeats(pairs[order_by(pairs[:, 0], pairs[:, 1])])


def rows_of_ids(pairs: IntArray, ids: IntArray, source: str) -> IntArray:
    """Pairs of ids → pairs of rows; `InputError` where an id is not there or is there twice."""
    low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)
    if high - low < 4 * len(ids):  # a table of all ids is small, and found faster than by search
        place = np.full(high - low + 2, -1, dtype=np.int64)
        place[ids - low] = np.arange(len(ids))
        twice = bool((place[ids - low] != np.arange(len(ids))).any())
        known = (pairs >= low) & (pairs <= high)
        rows = place[pairs - low] if known.all() else place[np.where(known, pairs - low, -1)]
    else:
        order = np.argsort(ids, kind="stable")
        twice = bool((np.diff(ids[order]) == 0).any())
        found = order[np.searchsorted(ids, pairs, sorter=order).clip(0, len(ids) - 1)]
        rows = np.where(ids[found] == pairs, found, -1)
    if twice:
        raise InputError(f"{source}: two cells have the same id: give each its own.")
    if (rows < 0).any():
        raise InputError(f"{source} links the cell {pairs[rows < 0][0]}, which is not listed: export both together.")
    return rows


def radii_of(points: Points) -> FloatArray:
    """The radius of a disc (2D) or ball (3D) of each point's area, in pixels; 5 where it is not known."""
    ball = np.pi if points.ndim == 2 else 4 / 3 * np.pi
    radius: FloatArray = np.where(np.isnan(points.area), 5.0, (np.nan_to_num(points.area) / ball) ** (1 / points.ndim))
    return radius
