"""Whether anything stands out in an image that is far narrower, or far wider, than its cells: by openings, as in granulometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.types import Float32Array
from celltrail.segmentation.prediction.contrast import slow_light
from celltrail.segmentation.prediction.grey import noise_of
from celltrail.segmentation.prediction.ladder import WIDEST, window_around

APART = 2.2  # times as wide or narrow are cells of another size: up to that, one look finds both
NARROWEST = 6.0  # pixels; what is narrower has hardly a shape
SQUARE = 2**-0.5  # side of the square inside a disc, over its diameter
VISIBLE = 0.3, 0.2  # of the contrast of the other cells, for narrow things and for wide ones
CLEAR = 6.0  # standard deviations of the noise, likewise
NOISE_SEEN = 256  # side of the middle of an image that tells the noise
TEXTURE = 0.15  # width of the texture of wide cells that is smoothed, over the diameter of the others
COARSE = 12.0  # pixels that the usual cells keep where wide things are sought
EVEN = 0.6  # of its brightness that something wide keeps where narrow cells would be cut off: haze does not


def strangers(plane: Float32Array, diameter: float) -> list[NDArray[np.float64]]:
    """Bright things that are much narrower, and much wider, than the cells of an image.

    Parameters
    ----------
    plane : Float32Array
        Grey values (Y, X), cells from 0 to about 1.
    diameter : float
        Of the cells, in pixels.

    Returns
    -------
    list of two float64 (n, 3)
        Of the narrower ones (only those that touch no cell), and the wider ones: y, x, diameter.
    """
    smooth = ndimage.gaussian_filter(plane, 1)
    smooth -= slow_light(smooth, np.ones(smooth.shape, dtype=bool))
    noise = noise_of(smooth[window_around(smooth.shape, (smooth.shape[0] // 2, smooth.shape[1] // 2), NOISE_SEEN)])
    left, middle = _opened(smooth, 0.8 * diameter)
    least = max(VISIBLE[0] * (float(np.percentile(left, 99.8)) - middle), CLEAR * noise)
    cells = left > middle + least
    narrow = _things(ndimage.binary_dilation((smooth - left > least) | cells), cells)
    narrow[:, 2] -= 2  # they were dilated
    narrow = narrow[(narrow[:, 2] >= NARROWEST) & (narrow[:, 2] <= diameter / APART)]
    if 0.9 * APART * SQUARE * diameter > min(plane.shape) / 2:
        return [narrow, np.zeros((0, 3))]
    step = max(1, int(diameter / COARSE))
    smooth = ndimage.gaussian_filter(smooth[::step, ::step], TEXTURE * diameter / step)
    left, middle = _opened(smooth, 0.9 * APART * diameter / step)
    least = max(VISIBLE[1] * (float(np.percentile(smooth, 99.8)) - middle), CLEAR * noise)
    wide = step * _things((left > middle + least) & (left - middle > EVEN * (smooth - middle)))
    return [narrow, wide[(wide[:, 2] >= APART * diameter) & (wide[:, 2] <= WIDEST * max(plane.shape))]]


def _opened(plane: Float32Array, width: float) -> tuple[Float32Array, float]:
    """What of an image is left where it holds the square in a disc of some width; and the usual grey value there."""
    side = max(round(SQUARE * width), 3)
    left: Float32Array = ndimage.grey_opening(plane, (side, side))
    return left, float(np.median(left))


def _things(bright: NDArray[np.bool_], without: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Middle and diameter (n, 3) of each connected part, unless it holds something of ``without``."""
    labels, count = ndimage.label(bright)
    kept = np.ones(count + 1, dtype=bool)
    kept[0] = False
    if without is not None:
        kept[labels[without]] = False
    y, x = np.nonzero(kept[labels])
    which = labels[y, x]
    sums = [np.bincount(which, weights, minlength=count + 1)[kept] for weights in (np.ones(len(y)), y, x)]
    return np.column_stack([sums[1] / sums[0], sums[2] / sums[0], 2 * np.sqrt(sums[0] / np.pi)])
