"""From maps to single cells: seeds, watershed, removal of small objects, growing back the carved border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from celltrail.data.pictures.outlines import close_gaps

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.int32]

# Log-odds of being a cell, whole and alone: a constant, then a weight for each of `candidates.features`, so that an
# isolated cell of the usual size stands at about 6. ROUND was chosen by hand; FLAT, for large flat cells with faint
# common edges, by cross-validation on DIC-C2DH-HeLa 01 (each half of the movie chose for the other) and rounded.
ROUND = (-3.0, 4.0, 4.0, 3.0, -0.5)
FLAT = (-5.0, 4.0, 3.0, 6.0, -1.3)
SCORES = {"round": ROUND, "flat": FLAT}


@dataclass(frozen=True)
class InstanceSettings:
    """How cells are read from the maps.

    method : "tree" (the best choice among nested candidates, see ``candidates``), "watershed" from
        seeds, or "components" (connected components of the foreground).
    threshold : a pixel is cell where its probability is at least this.
    seed : a seed is a connected region where the map of seeds (the distance if the net has it, else the
        probability) is at least this.
    min_size : smaller objects are removed, pixels. 0 keeps all.
    min_seed : smaller seeds do not count, pixels.
    grow : a gap between two cells is closed up to this many pixels from either side: the border that was
        carved for training is given back.
    score : weights by which "tree" chooses: :data:`ROUND`, :data:`FLAT`, or others.
    """

    method: str = "tree"
    threshold: float = 0.5
    seed: float = 0.5
    min_size: int = 20
    min_seed: int = 4
    grow: int = 1
    score: tuple[float, ...] = ROUND


def find_instances(
    probability: FloatArray, distance: FloatArray | None = None, settings: InstanceSettings | None = None
) -> LabelArray:
    """Label image of the cells in a map, by seeded watershed or connected components.

    Parameters
    ----------
    probability : float32 (Y, X) or (Z, Y, X). In 3D, slices are joined because regions are connected
        through them.
    distance : float32 of the same shape: relative distance to the edge, or ``None``.

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
