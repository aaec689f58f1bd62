"""Masks that were mended by hand: kept as strokes, saved as new masks beside the old, and tracked again.

The strokes lie in ``mends.csv`` in the folder of the result, one line an act, as corrections do. The new result begins
with everything that was said by then: its corrections hold for all cells whose masks are as they were.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.correcting.corrections import InputMasks, free_folder
from celltrail.dashboard.correcting.edits import TOOLS, Edit, Labels, apply_edit, cell_under
from celltrail.dashboard.correcting.graph import origin_of
from celltrail.dashboard.correcting.history import append_line, now
from celltrail.dashboard.correcting.rerun import track_again
from celltrail.dashboard.opening import registry
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError, open_labels
from celltrail.data.files.ctc import digits_for, write_masks
from celltrail.data.files.movie import LazyFrames
from celltrail.data.files.pins import Pin, write_pins
from celltrail.tracking.pipeline import write_into

MENDS = "mends.csv"
COLUMNS = ("time", "act", "tool", "frame", "points")


def read_edits(folder: Path) -> list[Edit]:
    """The edits in force.

    Raises
    ------
    InputError
        If the file is none of these.
    """
    path = folder / MENDS
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    edits: list[Edit] = []
    for number, row in enumerate(list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))[1:], start=2):
        try:
            _, act, tool, frame, points = row
            places = [place.split() for place in points.split(";")]  # "y x", or "z y x" on a plane of a volume
            if tool not in TOOLS or act not in ("added", "taken back"):
                raise ValueError
            plane = int(places[0][0]) if len(places[0]) == 3 else None
            edit = Edit(tool, int(frame), tuple((float(y), float(x)) for *_, y, x in places), plane)
        except ValueError:
            raise InputError(f"{path}, line {number} is no edit of a mask: remove the line.") from None
        if act == "added":
            edits.append(edit)
        elif edit in edits:
            edits.remove(edit)
    return edits


def write_edit(folder: Path, act: str, edit: Edit) -> None:
    """Add an act to the strokes of a result."""
    depth = "" if edit.plane is None else f"{edit.plane} "
    points = ";".join(f"{depth}{y:.1f} {x:.1f}" for y, x in edit.points)
    append_line(folder / MENDS, [now(), act, edit.tool, edit.frame, points], begun=[COLUMNS])


class MendedMasks(LazyFrames):
    """The masks that a result was made from, with edits applied, each in its frame and in order."""

    def __init__(self, masks: InputMasks, edits: Sequence[Edit]) -> None:
        super().__init__(masks)
        self.masks, self.edits = masks, edits
        self.voxel = masks.voxel

    def __getitem__(self, frame: int) -> NDArray[Any]:
        labels: NDArray[Any] = np.asarray(self.masks[frame])
        for edit in self.edits:
            if edit.frame == frame:
                labels = apply_edit(labels, edit)
        return labels


def masks_of(result: Result, edits: Sequence[Edit]) -> MendedMasks:
    """The masks behind a result, mended."""
    origin, problem = origin_of(result)
    return MendedMasks(InputMasks(origin, problem), edits)


def through_frames(result: Result, edit: Edit, count: int) -> list[Edit]:
    """The same edit in this frame and in the next ones; it moves with the cell that it lies on."""
    labels = result.labels
    track = cell_under(labels[edit.frame], edit)
    numbers = [number for number in labels.numbers if edit.frame <= number][: count + 1]
    if not track:
        return [replace(edit, frame=number) for number in numbers]
    edits = []
    begun = _centre(labels[edit.frame], track)
    for number in numbers:
        here = _centre(labels[number], track)
        if begun is None or here is None:
            break
        edits.append(edit.moved(number, tuple((here - begun).tolist())))
    return edits


def _centre(labels: NDArray[Any], track: int) -> NDArray[np.float64] | None:
    places = np.argwhere(labels == track)
    return None if not len(places) else places.mean(axis=0)


def save_and_track(result: Result, edits: Sequence[Edit], pins: Sequence[Pin]) -> Path:
    """Write the mended masks beside the old ones, and track them as the result was, with what was confirmed.

    Returns
    -------
    Path
        The new result; its masks lie beside it.

    Raises
    ------
    InputError
        If an edit cannot be made, or the movie cannot be tracked as before.
    """
    origin, _ = origin_of(result)
    old, mended = masks_of(result, []), masks_of(result, edits)
    kept = [pin for pin in pins if pin.kind != "merge" and all(_same(old, mended, *cell) for cell in pin.cells)]
    movie = registry.movie_of(origin.layer)
    folder = origin.layer.folder
    stem = folder.name.partition("_RES")[0]
    with ExitStack() as whole:
        place, work = whole.enter_context(free_folder(folder.with_name(f"{folder.name}_mended")))
        with free_folder(folder.with_name(f"{stem}_MASKS_mended")) as (masks, inside):
            write_masks(inside, ((n, _fitting(mended[n])) for n in mended), digits=digits_for(mended))
        try:
            found = track_again(origin, open_labels(masks), kept, None if movie is None else movie.images)
            write_into(found, work)
            write_pins(work / "pins.csv", kept)
        except BaseException:
            shutil.rmtree(masks, ignore_errors=True)
            raise
    return place


def _fitting(labels: NDArray[Any]) -> Labels:
    return np.asarray(labels, dtype=np.int64)


def _same(old: MendedMasks, new: MendedMasks, frame: int, label: int) -> bool:
    """Whether a cell has the same mask before and after."""
    if not any(edit.frame == frame for edit in new.edits):
        return True
    return bool(np.array_equal(old[frame] == label, new[frame] == label))
