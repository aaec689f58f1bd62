"""Overlap-tile prediction: a frame of any size → maps of the same size.

The image is scaled by its own percentiles and mirrored at its edges once, as a whole; then valid
convolutions run over tiles whose stride is a multiple of 2^depth, so that every tile meets the same
pooling grid. Tiled and whole-image prediction are therefore equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.net.unet import UNet, valid_size

FloatArray = NDArray[np.float32]
PERCENTILE_PIXELS = 4_000_000  # more pixels than these do not make a percentile better
USEFUL = 12  # margins that the useful part of a tile should be wide: measured, and flat around it
BYTES_PER_CHANNEL = 40  # peak memory of a forward pass, per pixel of the tile and channel of the first level


@dataclass(frozen=True)
class Prediction:
    """Maps of one frame, float32 with the shape of the image.

    Attributes
    ----------
    probability : FloatArray
        Of being cell, 0 … 1.
    distance : FloatArray | None
        To the edge of the cell relative to the cell's largest, 0 … 1; ``None`` for a net without that output.
    """

    probability: FloatArray
    distance: FloatArray | None


def grey_limits(image: NDArray[Any], low: float, high: float) -> tuple[float, float]:
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


def normalise(image: NDArray[Any], limits: tuple[float, float]) -> FloatArray:
    """Grey values scaled so that the two limits become 0 and 1, float32, cut to −1 … 5.

    Equal limits (an image of one grey value) make all values 0.
    """
    bottom, top = limits
    if top <= bottom:
        return np.zeros(image.shape, dtype=np.float32)
    scaled = (image.astype(np.float32) - np.float32(bottom)) / np.float32(top - bottom)
    return np.clip(scaled, -1, 5, out=scaled)


def reduce_image(image: FloatArray, scale: int) -> FloatArray:
    """Means of blocks of scale × scale pixels; the last block is filled up with the edge."""
    if scale == 1:
        return image
    padded = np.pad(image, [(0, -n % scale) for n in image.shape], mode="edge")
    rows, columns = padded.shape[0] // scale, padded.shape[1] // scale
    return padded.reshape(rows, scale, columns, scale).mean(axis=(1, 3), dtype=np.float32)


def enlarge_map(reduced: FloatArray, scale: int, shape: tuple[int, int]) -> FloatArray:
    """Undo `reduce_image` for a map (…, y, x): bilinear, cut to ``shape``."""
    if scale == 1:
        return reduced
    tensor = torch.from_numpy(reduced)
    flat = tensor.reshape(1, -1, *tensor.shape[-2:])
    large = torch.nn.functional.interpolate(flat, scale_factor=scale, mode="bilinear", align_corners=False)
    return large.reshape(*tensor.shape[:-2], *large.shape[-2:])[..., : shape[0], : shape[1]].numpy()


def choose_tile(shape: tuple[int, int], net: UNet, memory_mb: float) -> tuple[int, int]:
    """Input sides (y, x) of the tiles: the image in equal parts, as many as speed and memory ask for.

    A small tile computes much that its margins throw away, a large one no longer fits the processor's
    cache: parts of about `USEFUL` margins are the fastest. Where their tiles take more than
    ``memory_mb``, they are smaller, down to two steps of the pooling grid.
    """
    border, step = 2 * net.margin, 2**net.depth
    pixels = memory_mb * 2**20 / (BYTES_PER_CHANNEL * net.architecture["width"])
    smallest = valid_size(border + 2 * step, net.depth)

    def side(length: int, parts: int) -> int:
        stride = -(-length // (parts * step)) * step
        return min(valid_size(max(stride, 2 * step) + border, net.depth), valid_size(length + border, net.depth))

    parts = [max(1, round(length / (USEFUL * net.margin))) for length in shape]
    while True:
        tile = side(shape[0], parts[0]), side(shape[1], parts[1])
        if tile[0] * tile[1] <= pixels or max(tile) <= smallest:
            return tile
        parts[tile[1] > tile[0]] += 1


@torch.no_grad()
def run_tiles(net: UNet, plane: FloatArray, tile: tuple[int, int], device: torch.device | str = "cpu") -> FloatArray:
    """Output of the net for a whole plane, tile by tile.

    Parameters
    ----------
    plane : FloatArray
        float32 (Y, X), scaled grey values.
    tile : tuple[int, int]
        Valid input sides (y, x).

    Returns
    -------
    float32 (outputs, Y, X): logits of the classes, then the distance head if there is one.
    """
    net.eval()
    margin, step = net.margin, 2**net.depth
    useful = [side - 2 * margin for side in tile]
    stride = [n // step * step for n in useful]
    if min(stride) < step:
        raise ValueError(f"tiles of {tile} are too small for a U-Net of depth {net.depth}")
    starts = [range(0, max(n - u, 0) + s, s) for n, u, s in zip(plane.shape, useful, stride, strict=True)]
    after = [s[-1] + side - margin - n for s, side, n in zip(starts, tile, plane.shape, strict=True)]
    padded = torch.from_numpy(np.pad(plane, [(margin, max(a, 0)) for a in after], mode="reflect"))
    result = np.empty((net.head.out_channels, *plane.shape), dtype=np.float32)
    for top in starts[0]:
        for left in starts[1]:
            piece = padded[None, None, top : top + tile[0], left : left + tile[1]].to(device)
            target = result[:, top : top + useful[0], left : left + useful[1]]
            target[...] = net(piece)[0, :, : target.shape[1], : target.shape[2]].cpu().numpy()
    return result


def eightfold(net: UNet, plane: FloatArray, memory_mb: float, device: torch.device | str = "cpu") -> FloatArray:
    """Mean of the maps over the eight rotations and reflections of the plane (maps, not logits)."""
    total: FloatArray | None = None
    for turns in range(4):
        for flip in (False, True):
            turned = np.rot90(plane, turns)
            turned = np.ascontiguousarray(turned[:, ::-1] if flip else turned)
            maps = to_maps(net, run_tiles(net, turned, choose_tile(turned.shape, net, memory_mb), device))
            maps = np.rot90(maps[..., ::-1] if flip else maps, -turns, axes=(1, 2))
            total = maps.copy() if total is None else total + maps
    assert total is not None
    return total / np.float32(8)


def to_maps(net: UNet, output: FloatArray) -> FloatArray:
    """Logits → probability of the foreground (1 − background), then the distance limited to 0 … 1."""
    logits = output[: net.classes]
    exponent = np.exp(logits - logits.max(axis=0))
    probability = 1 - exponent[0] / exponent.sum(axis=0)
    return np.stack([probability, *np.clip(output[net.classes :], 0, 1)])


def predict(
    model: Model,
    image: NDArray[Any],
    *,
    tta: bool | None = None,
    memory_mb: float = 1024,
    device: torch.device | str = "cpu",
    limits: tuple[float, float] | None = None,
) -> Prediction:
    """Maps of one frame.

    Parameters
    ----------
    image : NDArray[Any]
        Grey values (Y, X), or (Z, Y, X), which is predicted slice by slice.
    tta : bool | None
        Average over the eight rotations and reflections (eight times slower, a little better); ``None``: as the
        model says.
    memory_mb : float
        What one forward pass may take; a smaller number means smaller tiles, not other results.
    limits : tuple[float, float] | None
        Grey values that become 0 and 1, where ``image`` is only a part; ``None``: its percentiles.

    Raises
    ------
    InputError
        If the image is not 2D or 3D, smaller than the net can see, or holds NaN.
    """
    prepared = model.preprocessing
    if image.ndim not in (2, 3):
        raise InputError(f"An image has {image.ndim} dimensions: one frame must be (Y, X) or (Z, Y, X).")
    smallest = prepared.scale * 2**model.net.depth
    if min(image.shape[-2:]) < smallest:
        raise InputError(
            f"An image of {image.shape[-2]} × {image.shape[-1]} pixels is too small for this model: "
            f"it needs at least {smallest} × {smallest}."
        )
    scaled = normalise(image, limits or grey_limits(image, prepared.low, prepared.high))
    maps = []
    for plane in scaled.reshape(-1, *image.shape[-2:]):
        small = reduce_image(plane, prepared.scale)
        if tta if tta is not None else prepared.tta:
            part = eightfold(model.net, small, memory_mb, device)
        else:
            tile = choose_tile(small.shape, model.net, memory_mb)
            part = to_maps(model.net, run_tiles(model.net, small, tile, device))
        maps.append(enlarge_map(part, prepared.scale, plane.shape))
    stacked = np.stack(maps, axis=1).reshape(-1, *image.shape)
    return Prediction(stacked[0], stacked[1] if model.net.distance else None)
