"""Pictures of results: grey images with the outlines of cells in the colours of their tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.pictures.colours import PLAIN, Colour

Picture = NDArray[np.uint8]


def grey_limits(image: NDArray[Any], low: float = 0.5, high: float = 99.8) -> tuple[float, float]:
    """The grey values that are shown as black and white: percentiles of the image, never equal."""
    dark, bright = np.percentile(image, [low, high])
    return float(dark), float(bright) if bright > dark else float(dark) + 1.0


def grey_picture(image: NDArray[Any], limits: tuple[float, float] | None = None) -> Picture:
    """An image as 8-bit grey values, from its own percentiles or between the given limits."""
    dark, bright = limits or grey_limits(image)
    scaled = (image.astype(np.float32) - np.float32(dark)) * np.float32(255 / (bright - dark))
    grey: Picture = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


def flatten_stack(array: NDArray[Any], *, labels: bool = False) -> NDArray[Any]:
    """A 3D frame (Z, Y, X) as seen from above; a 2D frame as it is.

    Images: the brightest value along z. Labels: the first cell met along z.
    """
    if array.ndim == 2:
        return array
    if not labels:
        result: NDArray[Any] = array.max(axis=0)
        return result
    first = np.argmax(array > 0, axis=0)
    seen: NDArray[Any] = np.take_along_axis(array, first[None], axis=0)[0]
    return seen


def outline_pixels(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """The pixels of every object that touch another object or the background (by an edge); bool (Y, X).

    Objects cut by the image border are open there.
    """
    edge = np.zeros(labels.shape, dtype=bool)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)


def outline_image(
    image: NDArray[Any],
    labels: NDArray[Any],
    colours: Mapping[int, Colour] | None = None,
    *,
    limits: tuple[float, float] | None = None,
) -> Picture:
    """A grey image with the 1-pixel outlines of its cells in colour.

    Parameters
    ----------
    image : NDArray[Any]
        (Y, X) or (Z, Y, X); a stack is shown from above, see `flatten_stack`.
    labels : NDArray[Any]
        Integers of the same shape.
    colours : Mapping[int, Colour] | None
        Label → (red, green, blue), see `celltrail.data.pictures.colours.colour_of_tracks`; labels that are not in
        it are white.
    limits : tuple[float, float] | None
        Grey values shown as black and white; otherwise percentiles of this image.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if image.shape != labels.shape:
        raise ValueError(f"image of shape {image.shape} and labels of shape {labels.shape} do not fit")
    image, labels = flatten_stack(image), flatten_stack(labels, labels=True)
    picture = np.repeat(grey_picture(image, limits)[..., None], 3, axis=2)
    where = np.nonzero(outline_pixels(labels))
    values, index = np.unique(labels[where], return_inverse=True)
    table = np.array([(colours or {}).get(int(value), PLAIN) for value in values], dtype=np.uint8).reshape(-1, 3)
    picture[where] = table[index]
    return picture
