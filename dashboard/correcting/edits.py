"""Strokes that mend a mask: split a cell, join two, draw one, erase one.

Everything is said by a stroke on the image, as points (y, x) in pixels; which cells it means is read from the masks.
In a volume the stroke lies on a plane, or on the volume seen from above, and means whole cells: a split goes through
all planes, and a cell that is drawn is as deep as the others are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line, polygon

from celltrail.data import InputError
from celltrail.data.pictures.render import flatten_stack

Tool = Literal["split", "join", "draw", "erase"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
Labels = NDArray[np.int64]
Point = tuple[float, float]


@dataclass(frozen=True)
class Edit:
    """A stroke in a frame, and what it does; in a volume, on which plane (``None``: seen from above)."""

    tool: Tool
    frame: int
    points: tuple[Point, ...]
    plane: int | None = None

    def moved(self, frame: int, by: tuple[float, ...]) -> Edit:
        """The same stroke in another frame, elsewhere; ``by`` is (y, x) or (z, y, x)."""
        *deeper, down, right = by
        points = tuple((y + down, x + right) for y, x in self.points)
        plane = self.plane if self.plane is None or not deeper else max(0, self.plane + round(deeper[0]))
        return replace(self, frame=frame, points=points, plane=plane)


def apply_edit(labels: NDArray[Any], edit: Edit) -> Labels:
    """The label image of its frame after an edit; cells that are new get labels above the largest.

    Parameters
    ----------
    labels : NDArray[Any]
        Integers (Y, X) or (Z, Y, X).

    Raises
    ------
    InputError
        If the stroke does not say what the tool needs; it says how to draw it.
    """
    result = np.array(labels, dtype=np.int64)
    seen = _seen(result, edit).copy()
    path = stroke_pixels(edit, seen.shape)
    volume = result if result.ndim == 3 else result[np.newaxis]
    {"split": _split, "join": _join, "draw": _draw, "erase": _erase}[edit.tool](volume, seen, edit, path)
    return result


def _seen(labels: NDArray[Any], edit: Edit) -> NDArray[Any]:
    """What the stroke was drawn on, (Y, X)."""
    if labels.ndim == 3 and edit.plane is not None:
        if edit.plane >= len(labels):
            raise _refuse(edit, "the stroke lies below the last plane.")
        return np.asarray(labels[edit.plane])
    return flatten_stack(labels, labels=True)


def cell_under(labels: NDArray[Any], edit: Edit) -> int:
    """The cell that most of a stroke lies on; 0 where it lies on none."""
    seen = _seen(labels, edit)
    under = seen[stroke_pixels(edit, seen.shape)]
    names, counts = np.unique(under[under > 0], return_counts=True)
    return int(names[np.argmax(counts)]) if len(names) else 0


def stroke_pixels(edit: Edit, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of a stroke inside the image, without gaps, in the order in which it was drawn."""
    corners = np.floor(np.array(edit.points, dtype=np.float64)).astype(np.int64).reshape(-1, 2)
    pieces = [np.stack(line(*a, *b), axis=1) for a, b in zip(corners[:-1].tolist(), corners[1:].tolist(), strict=True)]
    found = np.concatenate(pieces) if pieces else corners
    inside = ((found >= 0) & (found < np.array(shape))).all(axis=1)
    return tuple(found[inside].T)


def _refuse(edit: Edit, what: str) -> InputError:
    return InputError(f"Frame {edit.frame}: {what}")


def _split(volume: Labels, seen: Labels, edit: Edit, path: Any) -> None:
    cell = cell_under(seen, edit)
    if not cell:
        raise _refuse(edit, "the stroke crosses no cell: draw it through the cell, from outside to outside.")
    cut = seen == cell
    cut[path] = False
    parts, count = ndimage.label(cut)  # a stroke whose pixels touch at their corners parts what touches at its sides
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if count < 2:
        raise _refuse(edit, "the stroke does not part the cell: begin and end it outside of the cell.")
    first, second = (np.argsort(-sizes, kind="stable")[:2] + 1).tolist()
    seeds = np.isin(parts, (first, second))
    nearest = ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    owner = parts[tuple(nearest)]
    volume[(volume == cell) & (owner == second)] = volume.max() + 1


def _join(volume: Labels, seen: Labels, edit: Edit, path: Any) -> None:
    under = seen[path]
    ends = [int(one) for one in dict.fromkeys(under[under > 0].tolist())]
    if len(ends) < 2:
        raise _refuse(edit, "the stroke touches fewer than two cells: draw it from the one into the other.")
    touched = np.flatnonzero(under > 0)
    between = np.zeros(seen.shape, dtype=np.bool_)
    between[tuple(axis[touched[0] : touched[-1] + 1] for axis in path)] = True
    bridge = ndimage.binary_dilation(between)
    shared = np.all([(volume == end).any(axis=(1, 2)) for end in ends], axis=0)  # planes that hold all of them
    volume[np.isin(volume, ends)] = min(ends)
    volume[shared[:, None, None] & bridge & (volume == 0)] = min(ends)


def _draw(volume: Labels, seen: Labels, edit: Edit, path: Any) -> None:
    rows, columns = polygon(*np.array(edit.points, dtype=np.float64).reshape(-1, 2).T, shape=seen.shape)
    drawn = np.zeros(seen.shape, dtype=np.bool_)
    drawn[rows, columns] = True
    drawn[path] = True
    if len(volume) > 1 and edit.plane is None:
        raise _refuse(edit, "choose the plane of the cell with Depth, then draw around it there.")
    middle, reach = edit.plane or 0, _depth(volume) // 2
    planes = slice(max(0, middle - reach), middle + reach + 1)
    free = drawn & (volume[planes] == 0)
    if free.sum() < 4:
        raise _refuse(edit, "the outline holds no background: draw around the cell where it has no mask.")
    volume[planes][free] = volume.max() + 1


def _depth(volume: Labels) -> int:
    """Through how many planes the cells of a volume go, the median; 1 where there are none."""
    names = np.concatenate([np.unique(plane) for plane in volume])
    planes = np.unique(names[names > 0], return_counts=True)[1]
    return int(np.median(planes)) if len(planes) else 1


def _erase(volume: Labels, seen: Labels, edit: Edit, path: Any) -> None:
    under = np.unique(seen[path])
    if not (under > 0).any():
        raise _refuse(edit, "the stroke touches no cell: draw it over the cell.")
    volume[np.isin(volume, under[under > 0])] = 0
