"""The net looks at an image at several sizes: what it finds there, and how well neighbouring sizes agree.

The search begins at a rough guess, and goes on while the votes (`scale`) are few or point beyond what was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from celltrail.segmentation.net.model import Model
from celltrail.segmentation.net.resize import resize_labels
from celltrail.segmentation.prediction.contrast import contrasts, darkness, highest
from celltrail.segmentation.prediction.grey import normalise
from celltrail.segmentation.prediction.instances import find_instances
from celltrail.segmentation.prediction.scale import FAINT, GRID, Sightings, density, join
from celltrail.segmentation.prediction.tiles import USUAL_DIAMETER, as_seen, limits_at, rough_as_seen, run_net

FACTORS = tuple(2.0 ** (k / 2) for k in range(-5, 5))  # cells of 0.25 to 5.7 times the trained size
WINDOW = 192  # side, in pixels of the net, of what is looked at: holds some 50 cells, and bounds the work of a step
LARGEST = 2048  # side, in pixels of the image, of what is looked at
ENOUGH_VOTES = 2.0  # about as many cells end the search
WIDEST = 0.6  # of the longer side of the image: what is wider is light and shade, not a cell


@dataclass(frozen=True)
class Step:
    """One step of the ladder: the window that was looked at, and what was found in it."""

    factor: float
    window: tuple[slice, slice]
    labels: NDArray[np.int32]
    diameter: NDArray[np.float64]
    contrast: NDArray[np.float64]
    clearness: NDArray[np.float64]
    sureness: NDArray[np.float64]
    darkness: float


def look(
    model: Model, image: NDArray[Any], factors: Sequence[float], *, device: torch.device | str = "cpu"
) -> Sightings:
    """What the net finds in an image (Y, X) at some factors; finite grey values, see `mend`."""
    see = _viewer(model, image, device)
    return _together([see(factor) for factor in factors])


def search(
    model: Model,
    image: NDArray[Any],
    *,
    begin: float | None = None,
    faint: float = FAINT,
    device: torch.device | str = "cpu",
) -> Sightings:
    """What the net finds in an image (Y, X) at the steps of the ladder around the size of its cells.

    Parameters
    ----------
    begin : float | None
        Diameter in pixels of the image at which the search begins; ``None``: `rough_diameter`.
    faint : float
        See `celltrail.segmentation.prediction.scale.density`.
    """
    see = _viewer(model, image, device)
    trained = (model.diameter or USUAL_DIAMETER) * model.preprocessing.scale

    def place(diameter: float) -> float:
        return float(np.interp(np.log(trained / diameter), np.log(FACTORS), range(len(FACTORS))))

    middle, last = round(place(begin or rough_diameter(image))), len(FACTORS) - 1
    first, end = max(middle - 1, 0), min(middle + 1, last)
    steps: dict[int, Step] = {}
    while True:
        for index in range(first, end + 1):
            if index not in steps:
                steps[index] = see(FACTORS[index])
        found = _together([steps[index] for index in range(first, end + 1)])
        votes = density(found, trained, faint)
        at, few = place(float(np.exp(GRID[votes.argmax()]))), votes.max() < ENOUGH_VOTES
        wider = max(first - (few or at < first + 0.5), 0), min(end + (few or at > end - 0.5), last)
        if wider == (first, end):
            return found
        first, end = wider


def rough_diameter(image: NDArray[Any]) -> float:
    """A first guess at the diameter of what is bright in an image (Y, X), in pixels: right for separate discs."""
    step = max(1, round(min(image.shape) / 512))
    small = image[::step, ::step].astype(np.float32)
    small = ndimage.gaussian_filter(np.clip(small, *np.percentile(small, [1, 99.8])), 1)
    if small.max() <= small.min():
        return USUAL_DIAMETER
    bright = small > threshold_otsu(small)
    # The mean distance to the edge of a disc is a sixth of its diameter.
    inner: NDArray[np.float64] = ndimage.distance_transform_edt(bright)
    return float(max(6 * step * inner[bright].mean(), 1.0))


def _viewer(model: Model, image: NDArray[Any], device: torch.device | str) -> Callable[[float], Step]:
    """Looks at the busiest part of an image at one factor."""
    image = image[window_around(image.shape, busiest(image), LARGEST)]
    centre = busiest(image)
    planes: dict[float, NDArray[np.float32]] = {}

    def see(factor: float) -> Step:
        reduced = min(factor, 1.0)
        if reduced not in planes:
            planes[reduced] = normalise(image, limits_at(model, image, reduced))
        side = round(WINDOW * model.preprocessing.scale / factor)
        return _step(model, planes[reduced], factor, window_around(image.shape, centre, side), device)

    return see


def _together(steps: list[Step]) -> Sightings:
    """The sightings of neighbouring steps."""
    return join([_sightings(step, steps[max(i - 1, 0) : i] + steps[i + 1 : i + 2]) for i, step in enumerate(steps)])


def busiest(image: NDArray[Any]) -> tuple[int, int]:
    """The place of an image (Y, X) whose surroundings vary most; broken pixels and single bright ones do not count."""
    step = max(1, round(min(image.shape) / 512))
    small = image[::step, ::step].astype(np.float64)
    small = np.clip(small, *np.percentile(small, [1, 99.8]))
    width = max(1, min(64, *small.shape))
    mean = ndimage.uniform_filter(small, width)
    place = np.argmax(ndimage.uniform_filter((small - small.mean()) ** 2, width) - (mean - small.mean()) ** 2)
    row, column = divmod(int(place), small.shape[1])
    return row * step, column * step


def window_around(shape: tuple[int, ...], centre: tuple[int, int], side: int) -> tuple[slice, slice]:
    """The window of a side around a place, moved to lie inside the image; smaller ones lie inside larger ones."""
    starts = [
        min(max(middle - side // 2, 0), max(length - side, 0)) for middle, length in zip(centre, shape, strict=True)
    ]
    top, left = starts
    return slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))


def _step(
    model: Model,
    plane: NDArray[np.float32],
    factor: float,
    window: tuple[slice, slice],
    device: torch.device | str,
) -> Step:
    """Find the objects in a window at one factor; those cut by the window, but not by the image, are left out."""
    trained = model.diameter or USUAL_DIAMETER
    seen = as_seen(model, plane[window], factor)
    maps = run_net(model, seen, tta=False, device=device)
    settings = replace(model.instances, method="watershed", min_size=round(0.06 * trained**2), min_seed=2, grow=0)
    labels = find_instances(maps[0], maps[1] if len(maps) > 1 else None, settings)
    sides = [(labels[0], window[0].start > 0), (labels[-1], window[0].stop < plane.shape[0])]
    sides += [(labels[:, 0], window[1].start > 0), (labels[:, -1], window[1].stop < plane.shape[1])]
    cut = np.unique(np.concatenate([[0], *(edge for edge, inner in sides if inner)]))
    areas = np.bincount(labels.ravel())[1:].astype(np.float64)
    pixel = (plane[window].size / seen.size) ** 0.5
    areas[cut[cut > 0] - 1] = np.nan  # such objects may be partners, but have no diameter of their own
    areas[areas > (WIDEST * max(plane.shape) / pixel) ** 2] = np.nan
    rough = rough_as_seen(model, plane[window], seen.shape)
    contrast, clearness = contrasts(seen, labels, trained, rough)
    sureness = highest(maps[1], labels)[1:] if len(maps) > 1 else np.full(len(areas), np.nan)
    diameter = 2 * np.sqrt(areas / np.pi) * pixel
    return Step(factor, window, labels, diameter, contrast, clearness, sureness, darkness(seen, labels, rough))


def _sightings(step: Step, neighbours: Sequence[Step]) -> Sightings:
    """The objects of a step, with their agreement with the neighbouring steps."""
    agreement = np.full((len(neighbours), len(step.diameter)), np.nan)
    for row, other in enumerate(neighbours):
        common = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(step.window, other.window, strict=True)
        )
        mine = _part(step, common)
        seen = np.bincount(mine.ravel(), minlength=len(step.diameter) + 1)[1:]
        whole = seen >= 0.98 * np.bincount(step.labels.ravel(), minlength=len(step.diameter) + 1)[1:]
        theirs = resize_labels(_part(other, common), (mine.shape[0], mine.shape[1]))
        agreement[row] = np.where(whole, best_overlap(mine, theirs, len(step.diameter)), np.nan)
    known = np.any(~np.isnan(agreement), axis=0) & ~np.isnan(step.diameter)
    mean = np.array([np.nanmean(column) for column in agreement.T[known]])
    factor, dark = np.full(len(mean), step.factor), np.full(len(mean), step.darkness)
    own = (step.contrast[known], step.clearness[known], step.sureness[known])
    return Sightings(factor, step.diameter[known], mean, *own, dark)


def _part(step: Step, window: tuple[slice, ...]) -> NDArray[np.int32]:
    """The labels of a step inside a window of the image."""
    cut = []
    for wanted, own, length in zip(window, step.window, step.labels.shape, strict=True):
        scale = length / (own.stop - own.start)
        start = min(round((wanted.start - own.start) * scale), length - 1)
        cut.append(slice(start, max(round((wanted.stop - own.start) * scale), start + 1)))
    return step.labels[tuple(cut)]


def best_overlap(mine: NDArray[np.integer[Any]], theirs: NDArray[np.integer[Any]], count: int) -> NDArray[np.float64]:
    """Highest intersection over union of each label 1 … ``count`` of ``mine`` with a label of ``theirs`` (same shape)."""
    best = np.zeros(count)
    width = int(theirs.max(initial=0)) + 1
    pairs, shared = np.unique(mine.ravel().astype(np.int64) * width + theirs.ravel(), return_counts=True)
    a, b = np.divmod(pairs, width)
    areas = np.bincount(mine.ravel(), minlength=count + 1), np.bincount(theirs.ravel(), minlength=width)
    both = (a > 0) & (b > 0)
    a, b, shared = a[both], b[both], shared[both]
    np.maximum.at(best, a - 1, shared / (areas[0][a] + areas[1][b] - shared))
    return best
