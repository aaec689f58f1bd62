"""What a microscope makes of simulated cells: fluorescence, or differential interference contrast (DIC)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.data.simulation.cells import FloatArray, IntArray, Looks, Snapshot

Modality = Literal["fluo", "dic"]


@dataclass(frozen=True)
class Optics:
    """How a scene is seen.

    Attributes
    ----------
    size : tuple[int, ...]
        (Y, X) or (Z, Y, X).
    aspect : float
        Size of a voxel along z, in pixels of the plane.
    noise : float
        Strength of the noise, 0 for none.
    blur : float
        Standard deviation in pixels of the plane.
    """

    size: tuple[int, ...]
    aspect: float
    modality: Modality
    seed: int
    noise: float
    blur: float


@dataclass(frozen=True)
class CoveredPixels:
    """The pixels that cells cover in one frame.

    Attributes
    ----------
    flat : IntArray
        int64 (n,), index into the flattened frame.
    row : IntArray
        int64 (n,), row of the snapshot.
    level : FloatArray
        float64 (n,), 0 in the centre of the cell, 1 on its outline.
    place : FloatArray
        float64 (3, n), where the pixel lies in the cell's own axes, in radii.
    """

    flat: IntArray
    row: IntArray
    level: FloatArray
    place: FloatArray


def paint(optics: Optics, frame: int, now: Snapshot, looks: Looks, points: CoveredPixels) -> NDArray[Any]:
    """The grey image of one frame: uint16 (fluo) or uint8 (dic), of the shape ``optics.size``."""
    draw = {"fluo": _paint_fluo, "dic": _paint_dic}[optics.modality]
    return draw(optics, frame, now, looks, points)


def _light(optics: Optics, strength: float) -> FloatArray:
    """Uneven light over the plane: a vignette off the centre, and a slope; about 1."""
    rng = np.random.default_rng([optics.seed, 1])
    height, width = optics.size[-2:]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    cy, cx, sy, sx = rng.uniform(-0.3, 0.3, 4)
    light: FloatArray = 1 - strength * (0.5 * ((y - cy) ** 2 + (x - cx) ** 2) + sy * y + sx * x - 0.3)
    return light


def _blurred(optics: Optics, picture: FloatArray, sigma: float) -> FloatArray:
    if sigma <= 0:
        return picture
    # Along z a microscope blurs about three times as much.
    widths = (sigma,) * 2 if len(optics.size) == 2 else (3 * sigma / optics.aspect, sigma, sigma)
    result: FloatArray = ndimage.gaussian_filter(picture, widths)
    return result


@cache
def _grain() -> FloatArray:
    """A block of smooth noise that repeats without seams; mean 0, standard deviation 1."""
    noise = np.random.default_rng(0).normal(size=(64, 64, 64))
    block = np.sum([k * ndimage.gaussian_filter(noise, 1.2 * k, mode="wrap") for k in (1, 2, 3)], axis=0)
    result: FloatArray = (block - block.mean()) / block.std()
    return result


def _texture(now: Snapshot, looks: Looks, points: CoveredPixels, scale: float) -> FloatArray:
    """Grain that moves and turns with the cell: the block of noise, at ``scale`` steps per radius."""
    index = np.rint(points.place * scale + looks.grain[now.cell[points.row]].T).astype(np.int64) % 64
    result: FloatArray = _grain()[tuple(index)]
    return result


def _paint_fluo(optics: Optics, frame: int, now: Snapshot, looks: Looks, points: CoveredPixels) -> NDArray[Any]:
    row, level = points.row, points.level
    cell = now.cell[row]
    thickness = 0.4 + 0.6 * np.sqrt(1 - level**2)
    calm = 1 - 0.7 * now.mitosis[row]
    grain = 1 + 0.16 * calm * _texture(now, looks, points, 12)
    for k in range(2):
        grain -= 0.45 * calm * np.exp(-np.sum((points.place - looks.spot[cell, k].T) ** 2, axis=0) / 0.03)
    bright = looks.brightness[cell] * (1 + 0.9 * now.mitosis[row]) * (1 + 0.6 * now.death[row])
    picture = np.zeros(int(np.prod(optics.size)))
    picture[points.flat] = bright * thickness * grain
    picture = _blurred(optics, picture.reshape(optics.size), optics.blur)
    # Light from cells out of focus lies as haze between them.
    picture = picture + 0.12 * _blurred(optics, picture, 8 * max(optics.blur, 0.5)) + 0.12
    photons = 120 * 0.998**frame * picture * _light(optics, 0.35)
    rng = np.random.default_rng([optics.seed, 2, frame])
    noise = rng.standard_normal(optics.size, dtype=np.float32)
    # Shot noise (variance equal to the mean, as a normal variable) and the camera's own.
    counts = 100 + 8 * (photons + optics.noise * np.sqrt(photons + 9) * noise)
    return np.clip(np.rint(counts), 0, 65_535).astype(np.uint16)


def _paint_dic(optics: Optics, frame: int, now: Snapshot, looks: Looks, points: CoveredPixels) -> NDArray[Any]:
    row, level = points.row, points.level
    flatness = 1 - now.mitosis[row]
    # Spread cells are flat with a faint rim; round ones are steep.
    height = flatness * (1 - level**3) + 1.7 * now.mitosis[row] * np.sqrt(1 - level**2)
    height += 0.16 * flatness * _texture(now, looks, points, 24) * (1 - level**2)
    for k in range(2):
        spot = np.sum((points.place - looks.spot[now.cell[row], k].T) ** 2, axis=0)
        height += 0.25 * flatness * np.exp(-spot / 0.04)
    bump = np.zeros(int(np.prod(optics.size)))
    bump[points.flat] = height * now.radius[row] * looks.brightness[now.cell[row]] ** 0.5
    bump = _blurred(optics, bump.reshape(optics.size), optics.blur)
    # Differential interference shows the slope of the phase along the shear, here down to the right.
    slope = (np.gradient(bump, axis=-1) + np.gradient(bump, axis=-2)) / np.sqrt(2)
    rng = np.random.default_rng([optics.seed, 2, frame])
    noise = rng.standard_normal(optics.size, dtype=np.float32)
    grey = 125 * _light(optics, 0.25) + 16 * slope + 5 * optics.noise * noise
    result: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return result
