"""Random variation of training tiles: one transform of coordinates for image and labels together.

A tile is read from the frame through a map of coordinates (shift, rotation, flips, zoom, elastic
deformation), so that nothing is resampled twice and the tile sees the frame's real surroundings.
Labels are read with the nearest neighbour: anything smoother would invent labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Elastic = Literal["none", "grid", "field"]


@dataclass(frozen=True)
class Variation:
    """How strongly training tiles vary. Lengths in pixels of the image that the net sees.

    Attributes
    ----------
    elastic : Elastic
        "grid" is the paper's: random vectors on a 3×3 grid, in between bicubic; "field" is Simard's (2003): a
        random vector per pixel, smoothed.
    vector : float
        Standard deviation of the grid's vectors (the paper: 10 pixels).
    span : float
        Side of the square that the 3×3 grid spans (the paper: 512 pixels).
    alpha, sigma : float
        Strength and smoothness of the dense field.
    rotation : bool
        Any angle (``True``), or only multiples of 90°.
    zoom : float
        Largest relative change of size, 0.2 is ± 20 %.
    brightness, contrast : float
        Standard deviations of an offset, and of the logarithm of a factor, on grey values scaled to about 0 … 1.
    gamma : float
        Likewise of the logarithm of an exponent.
    noise : float
        Largest standard deviation of added Gaussian noise.
    blur : float
        Largest σ of a Gaussian blur.
    shade : float
        Largest change of brightness from side to side of a tile, as a factor and as an offset: uneven light.
    specks : int
        Largest number of specks: hot pixels, and debris much smaller than a cell, which is background.
    saturation : float
        How often a tile is so bright that its cells are cut off at the limit, as one cell in a large empty frame is.
    copies : int
        Largest number of copies of cells that are put beside others, so that they touch.
    uneven : float
        Largest standard deviation of the logarithm of the brightness of cells, and of the texture within them.
    """

    elastic: Elastic = "grid"
    vector: float = 10.0
    span: float = 512.0
    alpha: float = 100.0
    sigma: float = 10.0
    rotation: bool = True
    flips: bool = True
    zoom: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.1
    gamma: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    shade: float = 0.0
    specks: int = 0
    saturation: float = 0.0
    copies: int = 0
    uneven: float = 0.0


HALO = 2  # pixels around a cell that are copied with it
TOUCH = 0.04  # of a copy that may lie under the cell that it is put beside
GREY_RANGE = (-1.0, 5.0)  # grey values are cut to this before the net sees them
NO_VARIATION = Variation("none", rotation=False, flips=False, brightness=0, contrast=0)


def sample_coordinates(
    size: int, center: tuple[float, float], variation: Variation, random: np.random.Generator
) -> Tensor:
    """Where each pixel of a tile is read in the frame.

    Parameters
    ----------
    size : int
        Side of the tile.
    center : tuple[float, float]
        (y, x) of its middle in the frame.

    Returns
    -------
    float32 (2, size, size): y and x in pixels of the frame, possibly outside of it.
    """
    line = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    plane = torch.stack(torch.meshgrid(line, line, indexing="ij"))
    y, x = plane + displacement(size, variation, random)
    angle = random.uniform(0, 2 * np.pi) if variation.rotation else 0.0
    flip = -1.0 if variation.flips and random.random() < 0.5 else 1.0
    if variation.flips and not variation.rotation:
        angle = np.pi / 2 * int(random.integers(4))
    zoom = float(np.exp(random.uniform(-1, 1) * np.log1p(variation.zoom)))
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    return torch.stack([center[0] + cos * y - sin * x * flip, center[1] + sin * y + cos * x * flip])


def displacement(size: int, variation: Variation, random: np.random.Generator) -> Tensor:
    """The elastic deformation of a tile: float32 (2, size, size), pixels."""
    if variation.elastic == "none":
        return torch.zeros(2, size, size)
    if variation.elastic == "field":
        noise = random.uniform(-1, 1, (2, size, size)).astype(np.float32)
        smooth = [ndimage.gaussian_filter(part, variation.sigma) * variation.alpha for part in noise]
        return torch.from_numpy(np.stack(smooth))
    nodes = torch.from_numpy(random.normal(0, variation.vector, (1, 2, 3, 3)).astype(np.float32))
    span = max(variation.span, size)
    corner = random.uniform(0, span - size, 2) if span > size else np.zeros(2)
    at = [(torch.arange(size, dtype=torch.float32) + float(c)) / (span - 1) * 2 - 1 for c in corner]
    rows, columns = torch.meshgrid(at[0], at[1], indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)[None]
    return torch.nn.functional.grid_sample(nodes, grid, mode="bicubic", padding_mode="border", align_corners=True)[0]


def read_tile(frame: Tensor, coordinates: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    """Read a float frame (Y, X) at ``coordinates``; outside of the frame it is mirrored."""
    height, width = frame.shape
    y = coordinates[0] / max(height - 1, 1) * 2 - 1
    x = coordinates[1] / max(width - 1, 1) * 2 - 1
    grid = torch.stack([x, y], dim=-1)[None]
    return torch.nn.functional.grid_sample(
        frame[None, None], grid, mode=mode, padding_mode="reflection", align_corners=True
    )[0, 0]


def inside(coordinates: Tensor, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of the tile lie in the frame, not in its mirror image."""
    y, x = coordinates
    within: NDArray[np.bool_] = ((y >= -0.5) & (y <= shape[0] - 0.5) & (x >= -0.5) & (x <= shape[1] - 0.5)).numpy()
    return within


def vary_grey(tile: Tensor, variation: Variation, random: np.random.Generator) -> Tensor:
    """Change the grey values of a tile (scaled to about 0 … 1)."""
    if variation.gamma:
        tile = tile.clamp(0, None) ** float(np.exp(random.normal(0, variation.gamma)))
    if variation.blur:
        amount = random.uniform(0, variation.blur)
        tile = torch.from_numpy(ndimage.gaussian_filter(tile.numpy(), amount))
    if variation.shade:
        tile = shade(tile, variation.shade, random)
    if variation.specks:
        tile = add_specks(tile, int(random.integers(variation.specks + 1)) if random.random() < 0.5 else 0, random)
    if variation.contrast or variation.brightness:
        factor, offset = np.exp(random.normal(0, variation.contrast)), random.normal(0, variation.brightness)
        tile = (tile - 0.5) * float(factor) + 0.5 + float(offset)
    if variation.noise:
        strength = random.uniform(0, variation.noise)
        tile = tile + torch.from_numpy(random.normal(0, strength, tuple(tile.shape)).astype(np.float32))
    if variation.saturation and random.random() < variation.saturation:
        tile = tile * float(np.exp(random.uniform(0, np.log(8))))
    return tile.clamp(*GREY_RANGE) if variation.saturation else tile


def shade(tile: Tensor, strength: float, random: np.random.Generator) -> Tensor:
    """Uneven light: a slope across the tile that multiplies the grey values, and one that is added."""
    line = np.linspace(-0.5, 0.5, tile.shape[0], dtype=np.float32)

    def slope() -> NDArray[np.float32]:
        angle, steepness = random.uniform(0, 2 * np.pi), random.uniform(0, strength)
        plane: NDArray[np.float32] = steepness * (np.cos(angle) * line[:, None] + np.sin(angle) * line)
        return plane.astype(np.float32)

    return tile * torch.from_numpy(1 + slope()) + torch.from_numpy(slope() / 2)


def add_specks(tile: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Bright points on a tile: hot pixels and small blurred ones."""
    if count == 0:
        return tile
    points = np.zeros(tuple(tile.shape), dtype=np.float32)
    points[tuple(random.integers(0, tile.shape[0], (2, count)))] = random.uniform(0.3, 2, count)
    width = random.uniform(0.5, 1.5) if random.random() < 0.5 else 0.0
    if width:
        points = ndimage.gaussian_filter(points, width) * (2 * np.pi * width**2)
    return tile + torch.from_numpy(points)


def vary_cells(
    tile: Tensor, labels: NDArray[np.int32], variation: Variation, random: np.random.Generator
) -> tuple[Tensor, NDArray[np.int32]]:
    """Change the cells of half of the tiles: copies that touch others, other brightness, texture; image and labels."""
    if variation.copies and random.random() < 0.5:
        tile, labels = add_copies(tile, labels, int(random.integers(1, variation.copies + 1)), random)
    if variation.uneven and random.random() < 0.5:
        tile = make_uneven(tile, labels, random.uniform(0, variation.uneven), random)
    return tile, labels


def add_copies(
    tile: Tensor, labels: NDArray[np.int32], count: int, random: np.random.Generator
) -> tuple[Tensor, NDArray[np.int32]]:
    """Copies of cells of a tile, turned, beside others that they just touch; where light overlaps, the brighter is seen."""
    image, labels = tile.numpy().copy(), labels.copy()
    boxes = {label: box for label, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}
    whole = [
        label
        for label, box in boxes.items()
        if all(side.start >= HALO and side.stop <= n - HALO for side, n in zip(box, labels.shape, strict=True))
    ]
    fresh = len(boxes) and max(boxes) + 1
    for _ in range(count if whole else 0):
        chosen, beside = int(random.choice(whole)), int(random.choice(list(boxes)))
        cut = tuple(slice(side.start - HALO, side.stop + HALO) for side in boxes[chosen])
        turns = int(random.integers(4))
        around = labels[cut]
        mask, free, light = (np.rot90(part, turns) for part in (around == chosen, around == 0, image[cut]))
        if random.random() < 0.5:
            mask, free, light = (part[:, ::-1] for part in (mask, free, light))
        halo = mask | (free & ndimage.binary_dilation(mask, iterations=HALO))
        middle = [(side.start + side.stop) / 2 for side in boxes[beside]]
        angle = random.uniform(0, 2 * np.pi)
        for distance in range(3, 2 * max(*mask.shape, *labels[boxes[beside]].shape)):
            corner = [
                round(m + distance * turn - n / 2)
                for m, turn, n in zip(middle, (np.sin(angle), np.cos(angle)), mask.shape, strict=True)
            ]
            if any(c < 0 or c + n > length for c, n, length in zip(corner, mask.shape, labels.shape, strict=True)):
                break  # it would leave the tile
            place = tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))
            under = labels[place][mask]
            if np.count_nonzero(under == beside) > TOUCH * len(under):
                continue
            if np.count_nonzero(under) <= 2 * TOUCH * len(under):
                image[place] = np.where(halo, np.maximum(image[place], light), image[place])
                labels[place] = np.where(mask & (labels[place] == 0), fresh, labels[place])
                boxes[fresh] = place
                fresh += 1
            break
    return torch.from_numpy(image), labels


def make_uneven(tile: Tensor, labels: NDArray[np.int32], strength: float, random: np.random.Generator) -> Tensor:
    """Cells brighter and dimmer than they are, and of another texture; ``strength`` as in `Variation`."""
    background = tile[torch.from_numpy(labels == 0)]
    floor = float(background.median()) if len(background) else 0.0
    factor = np.exp(np.clip(random.normal(0, strength, int(labels.max()) + 1), -1, 1)).astype(np.float32)
    texture = ndimage.gaussian_filter(random.normal(0, 1, labels.shape).astype(np.float32), random.uniform(1, 4))
    texture = np.clip(1 + random.uniform(0, strength) * texture / texture.std(), 0.2, 2)
    light = ndimage.gaussian_filter(np.where(labels > 0, factor[labels] * texture, 1).astype(np.float32), 1)
    return floor + (tile - floor) * torch.from_numpy(light)
