"""Overlap-tile prediction: a frame of any size → maps of the same size.

The image is brought to the size that the model knows, its grey values are scaled, and it is mirrored at its edges once,
as a whole; then valid convolutions run over tiles whose stride is a multiple of 2^depth, so that every tile meets the same
pooling grid. Tiled and whole-image prediction are therefore equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.types import Float32Array
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.net.resize import resize_labels, resize_plane, resized_shape
from celltrail.segmentation.net.unet import UNet, valid_size
from celltrail.segmentation.prediction.contrast import drop_faint, roughness
from celltrail.segmentation.prediction.grey import PERCENTILE_PIXELS, mend, normalise, safe_limits

USEFUL = 12  # margins that the useful part of a tile should be wide: measured, and flat around it
USUAL_DIAMETER = 20.0  # of a cell as the net sees it, for a model that does not say
BYTES_PER_CHANNEL = 40  # peak memory of a forward pass, per pixel of the tile and channel of the first level


@dataclass(frozen=True)
class Prediction:
    """Maps of one frame, float32 with the shape of the image.

    Attributes
    ----------
    probability : Float32Array
        Of being cell, 0 … 1.
    distance : Float32Array | None
        To the edge of the cell relative to the cell's largest, 0 … 1; ``None`` for a net without that output.
    """

    probability: Float32Array
    distance: Float32Array | None


def reduce_image(image: Float32Array, scale: int) -> Float32Array:
    """Means of blocks of scale × scale pixels; the last block is filled up with the edge."""
    if scale == 1:
        return image
    padded = np.pad(image, [(0, -n % scale) for n in image.shape], mode="edge")
    rows, columns = padded.shape[0] // scale, padded.shape[1] // scale
    means: Float32Array = padded.reshape(rows, scale, columns, scale).mean(axis=(1, 3), dtype=np.float32)
    return means


def enlarge_map(reduced: Float32Array, scale: int, shape: tuple[int, int]) -> Float32Array:
    """Undo `reduce_image` for a map (…, y, x): bilinear, cut to ``shape``."""
    if scale == 1:
        return reduced
    tensor = torch.from_numpy(reduced)
    flat = tensor.reshape(1, -1, *tensor.shape[-2:])
    large = torch.nn.functional.interpolate(flat, scale_factor=scale, mode="bilinear", align_corners=False)
    cut: Float32Array = large.reshape(*tensor.shape[:-2], *large.shape[-2:])[..., : shape[0], : shape[1]].numpy()
    return cut


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
def run_tiles(
    net: UNet, plane: Float32Array, tile: tuple[int, int], device: torch.device | str = "cpu"
) -> Float32Array:
    """Output of the net for a whole plane, tile by tile.

    Parameters
    ----------
    plane : Float32Array
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


def eightfold(net: UNet, plane: Float32Array, memory_mb: float, device: torch.device | str = "cpu") -> Float32Array:
    """Mean of the maps over the eight rotations and reflections of the plane (maps, not logits)."""
    total: Float32Array | None = None
    for turns in range(4):
        for flip in (False, True):
            turned = np.rot90(plane, turns)
            turned = np.ascontiguousarray(turned[:, ::-1] if flip else turned)
            maps = to_maps(net, run_tiles(net, turned, choose_tile(turned.shape, net, memory_mb), device))
            maps = np.rot90(maps[..., ::-1] if flip else maps, -turns, axes=(1, 2))
            total = maps.copy() if total is None else total + maps
    assert total is not None
    return total / np.float32(8)


def to_maps(net: UNet, output: Float32Array) -> Float32Array:
    """Logits → probability of the foreground (1 − background), then the distance, 0 … 1, lower near other cells."""
    logits = output[: net.classes]
    exponent = np.exp(logits - logits.max(axis=0))
    probability = 1 - exponent[0] / exponent.sum(axis=0)
    distance = np.clip(output[net.classes : net.classes + net.distance], 0, 1)
    if net.neighbour:
        distance = distance / (1 + np.exp(output[net.classes + 1]))
    return np.stack([probability, *distance])


def limits_at(model: Model, image: NDArray[Any], factor: float) -> tuple[float, float]:
    """Grey values of an image that become 0 and 1, when it is reduced by ``factor`` before (enlarging adds no noise)."""
    if factor < 1 and image.size <= PERCENTILE_PIXELS:
        planes = image.reshape(-1, *image.shape[-2:])
        shape = resized_shape(planes.shape[1:], factor)
        image = np.stack([resize_plane(plane.astype(np.float32), shape) for plane in planes])
    return safe_limits(image, model.preprocessing.low, model.preprocessing.high)


def as_seen(model: Model, plane: Float32Array, factor: float) -> Float32Array:
    """A plane (Y, X) of scaled grey values in the pixels of the net."""
    if factor == 1:
        return reduce_image(plane, model.preprocessing.scale)
    return resize_plane(plane, resized_shape((plane.shape[0], plane.shape[1]), factor / model.preprocessing.scale))


def rough_as_seen(model: Model, plane: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """The `roughness` of a plane in the pixels of the net, as `contrasts` wants it."""
    enlarged = (shape[0] * shape[1] / plane.size) ** 0.5
    return resize_labels(roughness(plane), (shape[0], shape[1])) * np.float32(enlarged)


def run_net(
    model: Model,
    seen: Float32Array,
    *,
    tta: bool | None = None,
    memory_mb: float = 1024,
    device: torch.device | str = "cpu",
) -> Float32Array:
    """Maps (outputs, Y, X) of a plane in the pixels of the net, also of one smaller than its pooling grid."""
    shape, least = seen.shape, 2**model.net.depth
    if min(shape) < least:
        seen = np.pad(seen, [(0, max(least - side, 0)) for side in shape], mode="symmetric")
    if tta if tta is not None else model.preprocessing.tta:
        maps = eightfold(model.net, seen, memory_mb, device)
    else:
        maps = to_maps(model.net, run_tiles(model.net, seen, choose_tile(seen.shape, model.net, memory_mb), device))
    return maps[:, : shape[0], : shape[1]]


def predict(
    model: Model,
    image: NDArray[Any],
    *,
    tta: bool | None = None,
    memory_mb: float = 1024,
    device: torch.device | str = "cpu",
    limits: tuple[float, float] | None = None,
    factor: float = 1.0,
    stand_out: bool = False,
) -> Prediction:
    """Maps of one frame.

    Parameters
    ----------
    image : NDArray[Any]
        Grey values (Y, X), or (Z, Y, X), which is predicted slice by slice. Lone broken pixels and NaN are taken
        for what is around them.
    tta : bool | None
        Average over the eight rotations and reflections (eight times slower, a little better); ``None``: as the
        model says.
    memory_mb : float
        What one forward pass may take; a smaller number means smaller tiles, not other results.
    limits : tuple[float, float] | None
        Grey values that become 0 and 1; ``None``: those of the image (`safe_limits`).
    factor : float
        By which the image is enlarged before the model's own reduction, so that cells have the size that it knows.
    stand_out : bool
        Drop regions that hardly differ from their surroundings (`drop_faint`).

    Raises
    ------
    InputError
        If the image is not 2D or 3D, or holds no finite value.
    """
    if image.ndim not in (2, 3):
        raise InputError(f"An image has {image.ndim} dimensions: one frame must be (Y, X) or (Z, Y, X).")
    whole = mend(image)
    prepared = model.preprocessing
    if limits is None:
        limits = limits_at(model, whole, factor)
    maps = []
    for plane in normalise(whole, limits).reshape(-1, *image.shape[-2:]):
        seen = as_seen(model, plane, factor)
        part = run_net(model, seen, tta=tta, memory_mb=memory_mb, device=device)
        if stand_out:
            rough = rough_as_seen(model, plane, seen.shape)
            part[0] = drop_faint(seen, rough, part[0], model.instances.threshold, model.diameter or USUAL_DIAMETER)
        if factor == 1:
            maps.append(enlarge_map(part, prepared.scale, (plane.shape[0], plane.shape[1])))
        else:
            maps.append(np.stack([resize_plane(one, (plane.shape[0], plane.shape[1])) for one in part]))
    stacked = np.stack(maps, axis=1).reshape(-1, *image.shape)
    return Prediction(stacked[0], stacked[1] if model.net.distance else None)
