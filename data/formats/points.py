"""``Points``: a result as one row per cell and frame, the common ground of all formats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.steps import find_step
from celltrail.data.files.tracks import Tracks, clip_tracks, read_tracks
from celltrail.data.labels.overlap import count_overlap
from celltrail.data.progress import Progress, silent

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


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
    """

    frame: IntArray
    label: IntArray
    position: FloatArray
    area: FloatArray
    tracks: Tracks
    ndim: int
    voxel: tuple[float, float, float] | None = None
    interval: float | None = None

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
    frames, labels, positions, areas = [], [], [], []
    for done, number in enumerate(masks, start=1):
        mask = masks[number]
        table = count_overlap(mask, mask)
        frames.append(np.full(len(table.labels_a), number, dtype=np.int64))
        labels.append(table.labels_a)
        positions.append(np.pad(table.centers_a, ((0, 0), (3 - mask.ndim, 0))))
        areas.append(table.areas_a)
        progress("read", done, len(masks))
    frame, label = np.concatenate(frames), np.concatenate(labels)
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
    return Points(
        frame,
        label,
        np.concatenate(positions),
        np.concatenate(areas).astype(np.float64),
        tracks,
        len(masks.shape),
        masks.voxel,
        masks.interval,
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
    row_of = {key: row for row, key in enumerate(zip(points.label.tolist(), points.frame.tolist(), strict=True))}
    ends = {label: end for label, _, end, _ in points.tracks.rows().tolist()}
    frames_of: dict[int, list[int]] = {}
    for label, frame in sorted(row_of):
        frames_of.setdefault(label, []).append(frame)
    links = []
    for label, begin, end, parent in points.tracks.rows().tolist():
        if parent:
            links.append((row_of[parent, ends[parent]], row_of[label, begin]))
        seen = [frame for frame in frames_of.get(label, ()) if begin <= frame <= end]
        links += [(row_of[label, before], row_of[label, after]) for before, after in pairwise(seen)]
    return np.array(sorted(links, key=lambda link: link[1]), dtype=np.int64).reshape(-1, 2)


def joined_tracks(tracks: Tracks) -> dict[int, int]:
    """For each label the track it is part of when only children (continuations) are joined to their parents."""
    children = tracks.children()
    joined: dict[int, int] = {}
    order = np.argsort(tracks.begin, kind="stable")
    for label, parent in zip(tracks.label[order].tolist(), tracks.parent[order].tolist(), strict=True):
        only = parent != 0 and len(children[parent]) == 1
        joined[label] = joined[parent] if only else label
    return joined


def points_from_links(
    frame: NDArray[Any],
    position: NDArray[Any],
    links: NDArray[Any],
    *,
    area: NDArray[Any] | None = None,
    label: NDArray[Any] | None = None,
    ndim: int,
    voxel: tuple[float, float, float] | None = None,
    interval: float | None = None,
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
    label : NDArray[Any] | None
        (n,) labels to keep; a chain ends where they change. 0: none. Otherwise tracks are numbered by first frame
        and position.
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
    hint = np.zeros(len(frame), dtype=np.int64) if label is None else np.asarray(label, dtype=np.int64)
    links = np.unique(np.where((frame[links[:, 0]] > frame[links[:, 1]])[:, None], links[:, ::-1], links), axis=0)
    problems = []
    flat = links[frame[links[:, 0]] == frame[links[:, 1]]]
    if len(flat):
        problems.append(f"{source} links two cells of frame {frame[flat[0, 0]]} ({len(flat)} such links): remove them.")
    targets, counts = np.unique(links[:, 1], return_counts=True)
    if (counts > 1).any():
        problems.append(
            f"{source} lets cells merge, first in frame {frame[targets[counts > 1]].min()} "
            f"({int((counts > 1).sum())} times), which a lineage cannot hold: remove one link of each."
        )
    if (frame < 0).any():
        problems.append(f"{source} has the frame {frame.min()}: frame numbers start at 0.")
    if problems:
        raise InputError(*problems)

    leaving = np.bincount(links[:, 0], minlength=len(frame))
    before = np.full(len(frame), -1)
    before[links[:, 1]] = links[:, 0]
    order = np.lexsort((position[:, 2], position[:, 1], position[:, 0], frame))
    chain = np.full(len(frame), -1)
    heads: list[int] = []
    for row in order.tolist():
        earlier = before[row]
        if earlier >= 0 and leaving[earlier] == 1 and frame[row] == frame[earlier] + 1 and hint[row] == hint[earlier]:
            chain[row] = chain[earlier]
        else:
            chain[row] = len(heads)
            heads.append(row)
    names = _name_chains(hint[heads])
    last = np.zeros(len(heads), dtype=np.int64)
    last[chain[order]] = frame[order]
    parents = [int(names[chain[before[row]]]) if before[row] >= 0 else 0 for row in heads]
    tracks = Tracks.from_rows(zip(names.tolist(), frame[heads].tolist(), last.tolist(), parents, strict=True))
    tracks = Tracks.from_rows(tracks.rows()[np.argsort(tracks.label)])
    labels = names[chain] if len(frame) else hint
    rows = np.lexsort((labels, frame))
    sizes = np.full(len(frame), np.nan) if area is None else np.asarray(area, dtype=np.float64)
    return Points(frame[rows], labels[rows], position[rows], sizes[rows], tracks, ndim, voxel, interval)


def _name_chains(wanted: IntArray) -> IntArray:
    """Labels of the chains: the wanted one for the first chain that wants it, else a new one."""
    names = np.zeros(len(wanted), dtype=np.int64)
    taken: set[int] = set()
    for index, label in enumerate(wanted.tolist()):
        if label > 0 and label not in taken:
            taken.add(label)
            names[index] = label
    free = np.flatnonzero(names == 0)
    names[free] = max(taken, default=0) + 1 + np.arange(len(free))
    return names
