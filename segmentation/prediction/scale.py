"""How wide the cells of an image are, found with the net itself: it looks at a ladder of sizes, and what it finds votes.

A net knows cells of one diameter D. Shown a picture at factor s, it finds cells of diameter D / s well, parts of larger ones,
and clumps of smaller ones. So every object at every step of the ladder votes for its own diameter (in pixels of the image);
the vote counts

* by how near the object is to D in pixels of the net (at the right factor both agree: a fixed point),
* by how well the neighbouring steps find the same object (intersection over union; parts and clumps change with the factor),
* by its contrast, in units of the range of grey values, and hardly at all where it does not stand out from noise.

The sureness of the net is no witness: it is surest where there is nothing. The highest place of the density of votes is the
diameter. The agreement between neighbouring steps near that diameter also tells whether the net knows such cells at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.segmentation.net.model import Model
from celltrail.segmentation.net.resize import resize_labels
from celltrail.segmentation.prediction.contrast import LEAST, contrasts
from celltrail.segmentation.prediction.grey import normalise
from celltrail.segmentation.prediction.instances import find_instances
from celltrail.segmentation.prediction.tiles import USUAL_DIAMETER, as_seen, limits_at, rough_as_seen, run_net

FACTORS = tuple(2.0 ** (k / 2) for k in range(-5, 5))  # cells of 0.25 to 5.7 times the trained size
WINDOW = 192  # side, in pixels of the net, of what is looked at: holds some 50 cells, and bounds the work of a step
LARGEST = 2048  # side, in pixels of the image, of what is looked at
NEAR = 0.4  # width of the first part of a vote, in natural logarithms of the diameter
SMOOTH = 0.2  # width of the kernel of the density, likewise
FULL_CONTRAST = 0.3  # from this part of the range on, more contrast does not count more
FAINT = 0.05  # of the vote of an object that does not stand out: enough where nothing does, and cells differ by texture
LEAST_VOTES = 0.5  # about as many cells must be found, or none are
SAME_OBJECT = 0.6  # agreement from which an object is the same at neighbouring steps
COLUMNS = ("factor", "diameter", "agreement", "contrast", "clearness")
WIDEST = 0.6  # of the longer side of the image: what is wider is light and shade, not a cell
GRID = np.linspace(np.log(3.0), np.log(600.0), 300)  # natural logarithms of the diameters to choose from


@dataclass(frozen=True)
class Sightings:
    """Objects found in an image at all steps of the ladder, a row each.

    Attributes
    ----------
    factor : NDArray[np.float64]
        Of the step.
    diameter : NDArray[np.float64]
        Of a circle of equal area, in pixels of the image.
    agreement : NDArray[np.float64]
        Mean intersection over union with the best partner at the neighbouring steps; NaN where these do not see it.
    contrast : NDArray[np.float64]
        Mean inside minus mean of the ring around, in units of the range of grey values.
    clearness : NDArray[np.float64]
        The same in standard deviations of the background (`contrasts`).
    """

    factor: NDArray[np.float64]
    diameter: NDArray[np.float64]
    agreement: NDArray[np.float64]
    contrast: NDArray[np.float64]
    clearness: NDArray[np.float64]

    def votes(self, trained: float) -> NDArray[np.float64]:
        """What each object's vote counts, for a net that knows cells of ``trained`` pixels of the image at factor 1."""
        fit = np.exp(-0.5 * (np.log(self.diameter * self.factor / trained) / NEAR) ** 2)
        contrast = 0.2 + np.clip(np.nan_to_num(self.contrast) / FULL_CONTRAST, 0, 1)
        clear = np.where(np.nan_to_num(self.clearness) >= LEAST, 1.0, FAINT)
        return fit * np.nan_to_num(self.agreement) ** 2 * contrast * clear


def join(parts: Sequence[Sightings]) -> Sightings:
    """Sightings of several images together."""
    return Sightings(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


@dataclass(frozen=True)
class Step:
    """One step of the ladder: the window that was looked at, and what was found in it."""

    factor: float
    window: tuple[slice, slice]
    labels: NDArray[np.int32]
    diameter: NDArray[np.float64]
    contrast: NDArray[np.float64]
    clearness: NDArray[np.float64]


def look(
    model: Model,
    image: NDArray[Any],
    *,
    factors: Sequence[float] = FACTORS,
    device: torch.device | str = "cpu",
) -> Sightings:
    """What the net finds in an image (Y, X) at every step of the ladder; finite grey values, see `mend`."""
    image = image[window_around(image.shape, busiest(image), LARGEST)]
    centre = busiest(image)
    planes: dict[float, NDArray[np.float32]] = {}
    for factor in factors:
        if min(factor, 1.0) not in planes:
            planes[min(factor, 1.0)] = normalise(image, limits_at(model, image, min(factor, 1.0)))
    steps = []
    for factor in factors:
        plane, side = planes[min(factor, 1.0)], round(WINDOW * model.preprocessing.scale / factor)
        steps.append(_step(model, plane, factor, window_around(image.shape, centre, side), device))
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
    contrast, clearness = contrasts(seen, labels, trained, rough_as_seen(model, plane[window], seen.shape))
    return Step(factor, window, labels, 2 * np.sqrt(areas / np.pi) * pixel, contrast, clearness)


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
    factor = np.full(len(mean), step.factor)
    return Sightings(factor, step.diameter[known], mean, step.contrast[known], step.clearness[known])


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


def density(sightings: Sightings, trained: float) -> NDArray[np.float64]:
    """Density of the votes over `GRID`; about the number of cells where it is highest."""
    distance = np.log(sightings.diameter)[:, None] - GRID
    # A larger object counts a little more: parts are more numerous than the cells that they are parts of.
    votes = sightings.votes(trained) * (sightings.diameter / trained) ** 0.5
    total: NDArray[np.float64] = (votes[:, None] * np.exp(-0.5 * (distance / SMOOTH) ** 2)).sum(axis=0)
    return total


def find_diameter(votes: NDArray[np.float64], sightings: Sightings, trained: float) -> float | None:
    """The diameter of the cells in pixels; ``None`` where hardly anything votes.

    The peak of the density tells at which step cells look as trained; the median of all that is found there is then
    what a person would measure (the votes favour objects of the trained size).

    Parameters
    ----------
    votes : NDArray[np.float64]
        `density` of the sightings.
    """
    best = int(votes.argmax())
    if votes[best] < LEAST_VOTES:
        return None
    peak = float(np.exp(GRID[best]))
    around = near(sightings, trained / peak)
    sure = (np.nan_to_num(around.agreement) > SAME_OBJECT) & (np.abs(np.log(around.diameter / peak)) < np.log(3))
    return float(np.median(around.diameter[sure])) if np.count_nonzero(sure) >= 3 else peak


def near(sightings: Sightings, factor: float) -> Sightings:
    """The objects that the steps around a factor have found."""
    chosen = np.abs(np.log(sightings.factor / factor)) <= np.log(2) / 2 + 1e-9
    return Sightings(*(getattr(sightings, name)[chosen] for name in COLUMNS))
