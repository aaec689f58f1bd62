"""Strokes that mend a mask: split a cell, join two, draw one, erase one.

Everything is said by a stroke on the image, as points (y, x) in pixels; which cells it means is read from the masks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line, polygon

from celltrail.data import InputError

Tool = Literal["split", "join", "draw", "erase"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
Labels = NDArray[np.int64]
Point = tuple[float, float]


@dataclass(frozen=True)
class Edit:
    """A stroke in a frame, and what it does."""

    tool: Tool
    frame: int
    points: tuple[Point, ...]

    def moved(self, frame: int, by: tuple[float, float]) -> Edit:
        """The same stroke in another frame, elsewhere."""
        points = tuple((y + by[0], x + by[1]) for y, x in self.points)
        return replace(self, frame=frame, points=points)


def apply_edit(labels: NDArray[Any], edit: Edit) -> Labels:
    """The label image of its frame after an edit; cells that are new get labels above the largest.

    Parameters
    ----------
    labels : NDArray[Any]
        Integers (Y, X).

    Raises
    ------
    InputError
        If the stroke does not say what the tool needs; it says how to draw it.
    """
    result = np.array(labels, dtype=np.int64)
    path = stroke_pixels(edit, result.shape)
    {"split": _split, "join": _join, "draw": _draw, "erase": _erase}[edit.tool](result, edit, path)
    return result


def cell_under(labels: NDArray[Any], edit: Edit) -> int:
    """The cell that most of a stroke lies on; 0 where it lies on none."""
    under = labels[stroke_pixels(edit, labels.shape)]
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


def _split(labels: Labels, edit: Edit, path: Any) -> None:
    cell = cell_under(labels, edit)
    if not cell:
        raise _refuse(edit, "the stroke crosses no cell: draw it through the cell, from outside to outside.")
    mask = labels == cell
    cut = mask.copy()
    cut[path] = False
    parts, count = ndimage.label(cut)  # a stroke whose pixels touch at their corners parts what touches at its sides
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if count < 2:
        raise _refuse(edit, "the stroke does not part the cell: begin and end it outside of the cell.")
    first, second = (np.argsort(-sizes, kind="stable")[:2] + 1).tolist()
    seeds = np.isin(parts, (first, second))
    nearest = ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    owner = parts[tuple(nearest)]
    labels[mask & (owner == second)] = labels.max() + 1


def _join(labels: Labels, edit: Edit, path: Any) -> None:
    under = labels[path]
    ends = [int(one) for one in dict.fromkeys(under[under > 0].tolist())]
    if len(ends) < 2:
        raise _refuse(edit, "the stroke touches fewer than two cells: draw it from the one into the other.")
    kept = min(ends)
    labels[np.isin(labels, ends)] = kept
    bridge = np.zeros(labels.shape, dtype=np.bool_)
    bridge[path] = True
    touched = np.flatnonzero(under > 0)
    between = np.zeros(labels.shape, dtype=np.bool_)
    between[tuple(axis[touched[0] : touched[-1] + 1] for axis in path)] = True
    labels[ndimage.binary_dilation(bridge & between) & (labels == 0)] = kept


def _draw(labels: Labels, edit: Edit, path: Any) -> None:
    rows, columns = polygon(*np.array(edit.points, dtype=np.float64).reshape(-1, 2).T, shape=labels.shape)
    drawn = np.zeros(labels.shape, dtype=np.bool_)
    drawn[rows, columns] = True
    drawn[path] = True
    free = drawn & (labels == 0)
    if free.sum() < 4:
        raise _refuse(edit, "the outline holds no background: draw around the cell where it has no mask.")
    labels[free] = labels.max() + 1


def _erase(labels: Labels, edit: Edit, path: Any) -> None:
    under = np.unique(labels[path])
    if not (under > 0).any():
        raise _refuse(edit, "the stroke touches no cell: draw it over the cell.")
    labels[np.isin(labels, under[under > 0])] = 0
