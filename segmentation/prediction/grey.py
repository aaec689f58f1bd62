"""Grey values for the net: which two of them become 0 and 1, and what is no picture at all (noise, hot pixels, gaps).

The limits are percentiles, as they were in training. Three things make percentiles fail, and are cared for here: a frame
that holds nothing but noise (the limits stay `NOISE_RANGE` times the noise apart, so that noise is not stretched into
cells), a few cells in a large empty frame (the upper limit comes from the cells), and single pixels that are broken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.errors import InputError
from celltrail.data.types import Float32Array

Limits = tuple[float, float]

PERCENTILE_PIXELS = 4_000_000  # more pixels than these do not make a percentile better
NOISE_RANGE = 14.0  # standard deviations of the noise that the limits are apart at least: nets see no cells in it
SIGNAL = 8.0  # standard deviations above the background from which pixels are no noise
FEW = 12  # pixels of signal that are worth a look
HOT = 2.0  # ranges beyond a limit from which a lone pixel is broken
PATCH = 512  # side of the patches by which the noise of a large image is estimated


def grey_limits(image: NDArray[Any], low: float, high: float) -> Limits:
    """The percentiles ``low`` and ``high`` of an image (of a regular sample of the pixels of a very large one).

    Raises
    ------
    InputError
        If the image holds NaN or infinity.
    """
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("An image holds values that are not finite (NaN or infinity): replace them.")
    step = max(1, round((image.size / PERCENTILE_PIXELS) ** 0.5))
    bottom, top = np.percentile(image[..., ::step, ::step], [low, high])
    return float(bottom), float(top)


def safe_limits(image: NDArray[Any], low: float, high: float) -> Limits:
    """As `grey_limits`, but never closer than noise, and right for a few cells in a large empty image.

    Parameters
    ----------
    image : NDArray[Any]
        (Y, X) or (Z, Y, X), finite, as large as the net sees it.
    """
    bottom, top = grey_limits(image, low, high)
    noise = noise_of(image)
    if top - bottom >= NOISE_RANGE * noise and top > bottom:
        return bottom, top
    middle = float(np.median(image))
    smooth = ndimage.median_filter(image, size=(*(1,) * (image.ndim - 2), 3, 3))
    signal = smooth[smooth > middle + max(SIGNAL * noise, 1e-6 * abs(middle))]
    if len(signal) >= FEW:
        top = max(top, float(np.median(signal)))
    return bottom, max(top, bottom + NOISE_RANGE * noise)


def noise_of(image: NDArray[Any]) -> float:
    """Standard deviation of the noise in the darker half of an image; 0 where neighbours there are all equal.

    Mixed second differences over two pixels see neither slopes nor the blur of a pixel, and the smaller four fifths of
    them see no cells. Pixels that equal their neighbours (a background cut off at zero) say nothing about noise.
    """
    plane = image[len(image) // 2] if image.ndim == 3 else image
    patch = _patches(plane)
    if min(patch.shape) < 5:
        return 0.0
    difference = np.abs(patch[2:, 2:] - patch[2:, :-2] - patch[:-2, 2:] + patch[:-2, :-2]) / 2
    level = ndimage.uniform_filter(patch, 5)[1:-1, 1:-1]
    found = difference[(level <= np.median(level)) & (difference > 0)]
    if len(found) < 50:
        return 0.0
    small = found[found <= np.quantile(found, 0.8)]
    return float(small.mean()) / 0.5587  # the mean of |x| below its quantile 0.8, for a normal x of deviation 1


def _patches(plane: NDArray[Any]) -> NDArray[np.float64]:
    """A plane, or nine patches of a large one side by side."""
    if plane.size <= 9 * PATCH**2:
        return plane.astype(np.float64)
    corners = [np.linspace(0, max(n - PATCH, 0), 3).astype(int) for n in plane.shape]
    rows = [np.hstack([plane[y : y + PATCH, x : x + PATCH] for x in corners[1]]) for y in corners[0]]
    return np.vstack(rows).astype(np.float64)


def mend(image: NDArray[Any]) -> NDArray[Any]:
    """The image with lone broken pixels, NaN and infinity replaced by what is around them; usually the very same array.

    Raises
    ------
    InputError
        If no pixel is finite.
    """
    finite = np.isfinite(image) if image.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        if not finite.any():
            raise InputError("An image holds no finite value (only NaN or infinity): remove it.")
        nearest = ndimage.distance_transform_edt(~finite, return_distances=False, return_indices=True)
        image = image[tuple(nearest)]
    bottom, top = map(float, grey_limits(image, 1, 99.8))
    reach = HOT * max(top - bottom, float(np.finfo(np.float32).eps) * abs(top))
    hot = (image > top + reach) | (image < bottom - reach)
    if not hot.any():
        return image
    around = ndimage.median_filter(image, size=(*(1,) * (image.ndim - 2), 3, 3))
    lone = hot & ((around <= top + reach) & (around >= bottom - reach))
    return np.where(lone, around, image)


def normalise(image: NDArray[Any], limits: Limits) -> Float32Array:
    """Grey values scaled so that the two limits become 0 and 1, float32, cut to −1 … 5.

    Equal limits (an image of one grey value) make all values 0.
    """
    bottom, top = limits
    if top <= bottom:
        return np.zeros(image.shape, dtype=np.float32)
    exact: Any = np.float32 if image.dtype.itemsize <= 2 or image.dtype == np.float32 else np.float64
    scaled: Float32Array = ((image.astype(exact) - exact(bottom)) / exact(top - bottom)).astype(np.float32, copy=False)
    np.clip(scaled, -1, 5, out=scaled)
    return scaled
