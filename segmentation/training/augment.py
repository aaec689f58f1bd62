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
    return ((y >= -0.5) & (y <= shape[0] - 0.5) & (x >= -0.5) & (x <= shape[1] - 0.5)).numpy()


def vary_grey(tile: Tensor, variation: Variation, random: np.random.Generator) -> Tensor:
    """Change the grey values of a tile (scaled to about 0 … 1)."""
    if variation.gamma:
        tile = tile.clamp(0, None) ** float(np.exp(random.normal(0, variation.gamma)))
    if variation.blur:
        amount = random.uniform(0, variation.blur)
        tile = torch.from_numpy(ndimage.gaussian_filter(tile.numpy(), amount))
    if variation.contrast or variation.brightness:
        factor, offset = np.exp(random.normal(0, variation.contrast)), random.normal(0, variation.brightness)
        tile = (tile - 0.5) * float(factor) + 0.5 + float(offset)
    if variation.noise:
        strength = random.uniform(0, variation.noise)
        tile = tile + torch.from_numpy(random.normal(0, strength, tuple(tile.shape)).astype(np.float32))
    return tile
