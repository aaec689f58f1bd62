"""Images and labels at the size that a model knows: resized so that its cells have the diameter it was trained with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST_FACTOR = 4.0  # an image is not enlarged more than this: it would hold no more detail, only more pixels
SMALLEST_SIDE = 16  # nor reduced to fewer pixels


def median_diameter(labels: NDArray[np.integer[Any]]) -> float:
    """Median diameter of the cells of a label image, of circles of equal area, in pixels; 0 where there are none."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(2 * np.sqrt(np.median(areas) / np.pi)) if len(areas) else 0.0


def resize_factor(shape: tuple[int, ...], found: float, wanted: float) -> float:
    """The factor that brings cells of diameter ``found`` to ``wanted``, kept between what makes sense for an image.

    Parameters
    ----------
    shape : tuple[int, ...]
        Of the image; the last two are (Y, X).
    found : float
        Diameter in pixels; 0 (no cells) gives 1.
    """
    if found <= 0 or wanted <= 0:
        return 1.0
    smallest = min(1.0, SMALLEST_SIDE / min(shape[-2:]))
    return float(np.clip(wanted / found, smallest, LARGEST_FACTOR))


def resized_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    """Sides of an image (Y, X) after resizing."""
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resize_plane(plane: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A plane (Y, X) with other sides: bilinear, with the mean over what becomes one pixel where it shrinks."""
    if plane.shape == shape:
        return plane
    tensor = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
    resized: NDArray[np.float32] = torch.nn.functional.interpolate(tensor, shape, mode="bilinear", antialias=True)[
        0, 0
    ].numpy()
    return resized


def resize_labels(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Labels (Y, X) with other sides: the label in the middle of each new pixel."""
    if labels.shape == shape:
        return labels
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    resized: NDArray[Any] = labels[rows[:, None], columns]
    return resized
