"""What is found must differ from its surroundings by more than these differ among themselves.

A net may see cells in noise whatever its contrast, above all where it was enlarged. Regions are therefore compared with the
ring around them, in units of how the background varies within the size of a cell, and of the noise of the pixels there: of
pixels that have nothing to do with each other, the mean over a wide region varies less than that over a narrow one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyvander
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.types import Float32Array

LEAST = (
    4.0  # standard deviations; what nets see in noise, white or blurred, stays below (up to 3.9 in 300 × 300 pixels)
)
NOISE_WIDTH = 5.0  # contrast × width of a region, in deviations of the noise × pixels, that makes one unit of clearness
WHITE = 0.25  # of the variation of the background that is left where all of it is white noise
LAG = 3  # pixels between those that are compared for the noise: beyond the blur of a pixel
FEW = 20  # pixels of a ring that tell the noise there
REST = 0.2  # of the darkness that slow light may leave unexplained; phase contrast leaves more
LITTLE = 0.06  # darkness that it may leave, likewise
ORDER = 3  # of the surface by which light changes over an image
FITTED = 10_000  # pixels of background, about, that tell how light changes over an image
ENOUGH = 500  # pixels of background that say how it varies


def roughness(plane: Float32Array, lag: int = LAG) -> Float32Array:
    """Absolute mixed differences of an image (Y, X), of its shape: noise everywhere, and the edges of things in places.

    Neither slopes nor uneven light are seen in it. For normal noise of deviation 1 the median is 0.6745.
    """
    padded = np.pad(plane, [(0, min(lag, n - 1)) for n in plane.shape], mode="reflect")
    y, x = (min(lag, n - 1) for n in plane.shape)
    rows, columns = plane.shape
    mixed = padded[y:, x:] - padded[y:, :columns] - padded[:rows, x:] + padded[:rows, :columns]
    half: Float32Array = np.abs(mixed, out=mixed) / np.float32(2)
    return half


def contrasts(
    plane: Float32Array, labels: NDArray[np.integer[Any]], diameter: float, rough: Float32Array | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much brighter each region is than the ring around it: in grey values, and in deviations of the background.

    Parameters
    ----------
    plane : Float32Array
        Grey values (Y, X).
    labels : NDArray[np.integer[Any]]
        Regions 1 … n.
    diameter : float
        Of a cell, in pixels of the plane: rings are 0.3 of it wide.
    rough : Float32Array | None
        `roughness` of the image, in the pixels of the plane, times how much the image was enlarged.

    Returns
    -------
    contrast : float64 (n)
        Mean inside minus mean of the ring; NaN for a region without surroundings.
    clearness : float64 (n)
        The same in standard deviations of the background, or in those of the noise where that gives less; NaN also
        where neither is known.
    """
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros(0), np.zeros(0)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    ring = np.where((distance > 1) & (distance <= max(0.3 * diameter, 3)), labels[tuple(nearest)], 0)
    band = plane - ndimage.gaussian_filter(plane, 0.3 * diameter)
    far = distance > max(0.3 * diameter, 3)
    where = far if np.count_nonzero(far) >= ENOUGH else distance > 1
    pixels = [np.bincount(part.ravel(), minlength=count + 1)[1:] for part in (labels, ring)]
    sums = [np.bincount(part.ravel(), plane.ravel(), minlength=count + 1)[1:] for part in (labels, ring)]
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = sums[0] / pixels[0] - sums[1] / pixels[1]  # 0 / 0: a region without surroundings
    clearness = np.full(count, np.nan)
    if np.count_nonzero(where) >= ENOUGH:
        outside = band[where]
        spread = 1.4826 * float(np.median(np.abs(outside - np.median(outside))))
        # Pixels that have nothing to do with each other are judged by the width of a region, below: not here.
        white = float(np.median(roughness(plane, lag=1)[where])) / 0.6745
        clearness = contrast / max(np.sqrt(max(spread**2 - white**2, (WHITE * spread) ** 2)), 1e-6)
    if rough is not None:
        beside = ring > 0
        around = np.zeros(count)
        if beside.any():
            around = np.array(ndimage.median(rough[beside], ring[beside], np.arange(1, count + 1)))
        noise = np.where(pixels[1] >= FEW, around, np.median(rough[where] if where.any() else rough)) / 0.6745
        width = 2 * highest(ndimage.distance_transform_edt(labels > 0), labels)[1:]
        with np.errstate(invalid="ignore"):
            clearness = np.fmin(clearness, contrast * width / np.maximum(NOISE_WIDTH * noise, 1e-6))
    return contrast, clearness


def highest(values: NDArray[Any], labels: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Highest value of each label, from 0 on, at least 0 (many times faster than by sorting)."""
    found: NDArray[Any] = np.zeros(int(labels.max(initial=0)) + 1, dtype=values.dtype)
    np.maximum.at(found, labels.ravel(), values.ravel())
    return found


def darkness(plane: Float32Array, labels: NDArray[np.integer[Any]], rough: Float32Array | None = None) -> float:
    """How far the darkest surroundings of cells lie below the others, in units of how far bright cells lie above.

    In fluorescence what is no cell is dark, and hardly anything is darker (0 to .08); in transmitted light the
    background lies between the dark and the bright parts of cells (.2 and more); cells darker than it give 1.

    Parameters
    ----------
    plane : Float32Array
        Grey values (Y, X).
    labels : NDArray[np.integer[Any]]
        The cells; where there are none, the brightest pixels stand for them.
    rough : Float32Array | None
        As for `contrasts`; noise is then no darkness.

    Returns
    -------
    float
        0 … 1; NaN where there are too few pixels of either kind.
    """
    smooth = ndimage.gaussian_filter(plane, 1)
    cells = labels > 0 if labels.any() else smooth >= np.percentile(smooth, 99)
    outside = ~ndimage.binary_dilation(cells)
    if min(np.count_nonzero(cells), np.count_nonzero(outside)) < FEW:
        return float("nan")
    noise = 0.0 if rough is None else float(np.median(rough[outside])) / 0.6745

    def below(image: Float32Array) -> float:
        lowest, middle = np.percentile(image[outside], [1, 50])
        bright = float(np.percentile(image[cells], 95)) - middle
        return float(min(max(middle - lowest - noise, 0.0) / bright, 1.0)) if bright > 0 else 1.0

    whole, rest = below(smooth), below(smooth - slow_light(smooth, outside))
    return rest if rest <= min(REST * whole, LITTLE) else whole


def slow_light(plane: Float32Array, where: NDArray[np.bool_]) -> Float32Array:
    """The surface of third order that lies nearest to an image (Y, X) in some pixels; 0 where these are few."""
    y, x = np.nonzero(where)
    if len(y) < ENOUGH:
        return np.zeros_like(plane)
    every = slice(None, None, max(1, len(y) // FITTED))
    rows, columns = (polyvander(np.linspace(-1, 1, length), ORDER).astype(np.float32) for length in plane.shape)
    terms = [(i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
    seen = np.stack([rows[y[every], i] * columns[x[every], j] for i, j in terms], axis=1)
    weights: Float32Array = np.zeros((ORDER + 1, ORDER + 1), dtype=np.float32)
    weights[tuple(zip(*terms, strict=True))] = np.linalg.lstsq(seen, plane[y[every], x[every]], rcond=None)[0]
    surface: Float32Array = (rows @ weights @ columns.T).astype(np.float32, copy=False)
    return surface


def drop_faint(
    plane: Float32Array, rough: Float32Array, probability: Float32Array, threshold: float, diameter: float
) -> Float32Array:
    """The map of probabilities without the regions that do not stand out by `LEAST`; usually the very same array.

    Parameters
    ----------
    plane : Float32Array
        What the net saw (Y, X).
    rough : Float32Array
        As for `contrasts`.
    probability : Float32Array
        What it said, of the same shape.
    threshold : float
        From which probability pixels belong to a region.
    diameter : float
        Of a cell, in these pixels.
    """
    labels, count = ndimage.label(probability >= threshold)
    if count == 0:
        return probability
    faint = np.concatenate([[False], np.nan_to_num(contrasts(plane, labels, diameter, rough)[1], nan=np.inf) < LEAST])
    if not faint.any():
        return probability
    around = ndimage.maximum_filter(faint[labels], 3)  # the slope outside the threshold as well
    return np.where(around & (faint[labels] | (labels == 0)), np.float32(0), probability)
