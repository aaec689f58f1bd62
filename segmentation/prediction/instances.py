"""From maps to single cells: seeds, watershed, removal of small objects, growing back the carved border."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from celltrail.data.labels.outlines import close_gaps
from celltrail.segmentation.net.instance_settings import InstanceSettings

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.int32]


def find_instances(
    probability: FloatArray, distance: FloatArray | None = None, settings: InstanceSettings | None = None
) -> LabelArray:
    """Label image of the cells in a map, by seeded watershed or connected components.

    Parameters
    ----------
    probability : FloatArray
        float32 (Y, X) or (Z, Y, X). In 3D, slices are joined because regions are connected through them.
    distance : FloatArray | None
        float32 of the same shape: relative distance to the edge, or ``None``.

    Returns
    -------
    int32, shape of the maps; labels 1 … n without holes, 0 is background.
    """
    chosen = settings or InstanceSettings(method="watershed")
    foreground = probability >= chosen.threshold
    if chosen.method not in ("watershed", "components"):
        raise ValueError(f"the method {chosen.method} needs more than maps: use candidates.label_cells")
    if chosen.method == "components":
        labels = ndimage.label(foreground)[0]
    else:
        height = probability if distance is None else distance
        seeds = remove_small(ndimage.label(foreground & (height >= chosen.seed))[0], chosen.min_seed)
        labels = watershed(-height, markers=seeds, mask=foreground)
    labels = remove_small(labels, chosen.min_size)
    return close_gaps(labels, chosen.grow).astype(np.int32)


def remove_small(labels: NDArray[np.integer[Any]], min_size: int) -> NDArray[np.integer[Any]]:
    """Remove objects of fewer than ``min_size`` pixels; the others are numbered 1 … n in their order."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(min_size, 1)
    keep[0] = False
    table = np.where(keep, np.cumsum(keep), 0).astype(labels.dtype)
    return table[labels]
