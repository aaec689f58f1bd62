"""Places where the truth itself looks wrong: a division or a continuation that nobody annotated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.errors import Error
from celltrail.evaluation.measures.contingency import Objects
from celltrail.evaluation.measures.technical import ends_of_tracks

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
SAME_PLACE = 0.5  # of the usual distance between neighbours


def neighbour_distance(objects: Objects) -> float:
    """Median distance of a cell's centre to the nearest other centre in its frame, in pixels; infinite without any."""
    distances: list[FloatArray] = []
    for points in np.split(objects.center, np.flatnonzero(np.diff(objects.frame)) + 1):
        if len(points) > 1:
            distances.append(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1])
    return float(np.median(np.concatenate(distances))) if distances else float("inf")


def find_suspects(
    objects: Objects, tracks: Tracks, frames: IntArray, *, sequence: str = "", ndim: int = 2
) -> list[Error]:
    """Tracks of the truth that end without children while others begin beside their end without a parent.

    Two that begin within the usual distance between neighbours: a division that is not annotated.
    One that begins within half of it: a track cut in two. Only the very next frame is looked at, and a
    track that begins belongs to the nearest end.
    """
    reach = neighbour_distance(objects)
    if not np.isfinite(reach):
        return []
    first_of, last_of = ends_of_tracks(objects)
    mothers = set(tracks.parent.tolist())
    following = dict(zip(frames[:-1].tolist(), frames[1:].tolist(), strict=True))
    ended: dict[int, list[int]] = {}
    orphans: dict[int, list[int]] = {}
    for label, parent in zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True):
        if label not in last_of:
            continue
        if label not in mothers:
            ended.setdefault(following.get(int(objects.frame[last_of[label]]), -1), []).append(label)
        if parent == 0:
            orphans.setdefault(int(objects.frame[first_of[label]]), []).append(label)
    suspects = []
    for frame in sorted(ended.keys() & orphans.keys()):
        old, young = ended[frame], orphans[frame]
        ends, begins = (
            objects.center[[of[label] for label in group]] for of, group in ((last_of, old), (first_of, young))
        )
        away = np.linalg.norm(begins[:, None] - ends[None], axis=2)
        nearest, distance = away.argmin(axis=1), away.min(axis=1)
        for number, label in enumerate(old):
            mine = np.flatnonzero((nearest == number) & (distance <= reach))
            near = [young[n] for n in mine[np.argsort(distance[mine], kind="stable")].tolist()]
            if len(near) > 1:
                note = (
                    f"track {label} ends and tracks {near[0]} and {near[1]} begin beside it in the next frame "
                    "without a parent: a division?"
                )
            elif near and float(distance[mine].min()) <= SAME_PLACE * reach:
                note = (
                    f"track {label} ends and track {near[0]} begins in its place in the next frame without a "
                    "parent: the same cell?"
                )
            else:
                continue
            row = last_of[label]
            z, y, x = (round(value, 2) for value in objects.center[row].tolist())
            suspects.append(
                Error(
                    sequence,
                    "suspect_gt",
                    int(objects.frame[row]),
                    y,
                    x,
                    z if ndim == 3 else None,
                    label,
                    None,
                    label,
                    None,
                    frame,
                    near[0],
                    None,
                    0.0,
                    "",
                    note,
                )
            )
    return suspects
