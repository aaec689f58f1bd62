"""The errors that segmentations make, put into good masks with a seed: cells dropped, merged, split, and false blobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

Kind = Literal["dropped", "merged", "split", "false"]


@dataclass(frozen=True)
class Rates:
    """Shares of all masks of the movie that suffer each error; false blobs are counted as a share of the masks too."""

    dropped: float = 0.05
    merged: float = 0.03
    split: float = 0.03
    false: float = 0.02


@dataclass(frozen=True)
class Error:
    """One error: ``labels`` are those of the good masks, ``drawn`` the labels that stand there now.

    dropped: one label, nothing drawn. merged: two labels, drawn as the second. split: one label, drawn
    as itself and a new one. false: no label, drawn as a new one.
    """

    kind: Kind
    frame: int
    labels: tuple[int, ...]
    drawn: tuple[int, ...]


def corrupted(
    masks: Mapping[int, Any], rates: Rates | None = None, *, lasting: int = 1, seed: int = 0
) -> tuple[dict[int, Any], list[Error]]:
    """Masks with errors at the given rates, and the list of these errors.

    No mask suffers two errors. Only cells that lie within half a typical radius of each other are merged, and the
    slit between them is closed; where a movie has too few such pairs, all are merged. A split goes across
    the longest axis, within a fifth of the length from the middle. A false blob is a disk of half the
    typical area, on background.

    Parameters
    ----------
    masks : Mapping[int, Any]
        Frame number → label image, 2D or 3D. A cell has the same label in all frames if ``lasting`` > 1.
    lasting : int
        Frames in a row in which the same cells suffer the same error (but for false blobs).
    """
    rates = rates or Rates()
    random = np.random.default_rng(seed)
    good = {frame: np.asarray(labels).astype(np.int64) for frame, labels in masks.items()}
    boxes = {frame: ndimage.find_objects(labels) for frame, labels in good.items()}
    present = {frame: [k for k, box in enumerate(found, 1) if box] for frame, found in boxes.items()}
    cells = [(frame, label) for frame, labels in present.items() for label in labels]
    ndim = next(iter(good.values())).ndim
    area = float(np.median(np.concatenate([np.bincount(m.ravel())[present[f]] for f, m in good.items()])))
    reach = max(1, round(_radius(area, ndim) / 2))
    free = {frame: len(found) + 1 for frame, found in boxes.items()}
    result = {frame: labels.copy() for frame, labels in good.items()}
    spoiled: set[tuple[int, int]] = set()
    errors: list[Error] = []

    def spoil(kind: Kind, wanted: float, choices: list[tuple[int, tuple[int, ...]]]) -> None:
        """Give this error to randomly chosen groups of cells, ``lasting`` frames each, until it is frequent enough."""
        before = len(errors)
        for choice in random.permutation(len(choices)):
            begin, group = choices[choice]
            for frame in range(begin, begin + lasting):
                if len(errors) - before >= round(wanted * len(cells)):
                    return
                here = [(frame, label) for label in group]
                if any(cell in spoiled or not _is_in(good, boxes, *cell) for cell in here):
                    break
                spoiled.update(here)
                errors.append(apply(kind, frame, group))

    def apply(kind: Kind, frame: int, group: tuple[int, ...]) -> Error:
        labels, box = result[frame], boxes[frame]
        if kind == "dropped":
            view = labels[box[group[0] - 1]]
            view[view == group[0]] = 0
            return Error(kind, frame, group, ())
        if kind == "merged":
            _merge(labels, _grown(_hull([box[k - 1] for k in group]), reach, labels.shape), group, reach)
            return Error(kind, frame, group, (group[1],))
        new = free[frame]
        free[frame] += 1
        view = labels[box[group[0] - 1]]
        view[_far_side(view == group[0], random)] = new
        return Error(kind, frame, group, (group[0], new))

    pairs = [(frame, pair) for frame, labels in good.items() for pair in _near_pairs(labels, reach)]
    singles = [(frame, (label,)) for frame, label in cells]
    spoil("merged", rates.merged, pairs)
    spoil("dropped", rates.dropped, singles)
    spoil("split", rates.split, [(f, k) for f, k in singles if (good[f][boxes[f][k[0] - 1]] == k[0]).sum() >= 4])
    frames = list(good)
    for frame in random.choice(len(frames), round(rates.false * len(cells))):
        labels = result[frames[frame]]
        blob = _disk(random.uniform(0, labels.shape), _radius(area / 2, ndim), labels.shape)
        blob &= (labels == 0) & (good[frames[frame]] == 0)
        if blob.any():
            errors.append(Error("false", frames[frame], (), (free[frames[frame]],)))
            labels[blob] = free[frames[frame]]
            free[frames[frame]] += 1
    return result, sorted(errors, key=lambda error: (error.frame, error.labels, error.drawn))


def _is_in(good: Mapping[int, Any], boxes: Mapping[int, list[Any]], frame: int, label: int) -> bool:
    return frame in good and label <= len(boxes[frame]) and boxes[frame][label - 1] is not None


def _radius(area: float, ndim: int) -> float:
    """Radius of the disk of this area, or of the ball of this volume."""
    return float(np.sqrt(area / np.pi)) if ndim == 2 else float(np.cbrt(area * 3 / (4 * np.pi)))


def _disk(centre: Any, radius: float, shape: tuple[int, ...]) -> Any:
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2


def _near_pairs(labels: Any, reach: int) -> list[tuple[int, int]]:
    """Pairs of labels with at most ``reach`` pixels of background between them: those that meet when grown by half of it."""
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    grown = np.where(distance <= reach / 2, labels[tuple(nearest)], 0)
    pairs = set()
    for axis in range(grown.ndim):
        a, b = np.moveaxis(grown, axis, 0)[:-1], np.moveaxis(grown, axis, 0)[1:]
        meet = (a != b) & (a > 0) & (b > 0)
        pairs |= set(zip(np.minimum(a, b)[meet].tolist(), np.maximum(a, b)[meet].tolist(), strict=True))
    return sorted(pairs)


def _hull(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box around boxes."""
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _grown(box: tuple[slice, ...], by: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(max(0, s.start - by), min(n, s.stop + by)) for s, n in zip(box, shape, strict=True))


def _merge(labels: Any, box: tuple[slice, ...], pair: tuple[int, ...], reach: int) -> None:
    """Draw both cells, and the background in the slit between them, with the second label."""
    view = labels[box]
    to_one, to_other = (ndimage.distance_transform_edt(view != label) for label in pair)
    slit = (to_one + to_other <= reach + 2) & (view == 0)
    view[slit | np.isin(view, pair)] = pair[1]


def _far_side(cell: Any, random: np.random.Generator) -> Any:
    """The pixels of a cell beyond a cut across its longest axis, at the middle give or take a fifth of its length."""
    where = np.argwhere(cell)
    axis = np.linalg.eigh(np.cov(where.T))[1][:, -1]
    along = where @ axis
    middle, length = (along.max() + along.min()) / 2, along.max() - along.min()
    side = np.zeros_like(cell)
    side[tuple(where[along > middle + random.uniform(-0.2, 0.2) * length].T)] = True
    return side
