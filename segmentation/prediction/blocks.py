"""Very large images, block by block, so that memory does not grow with the maps of the whole image.

Blocks overlap by more than a cell. Each block is predicted with the grey limits of the whole image and
on its pooling grid, so its maps are those of the whole image; a cell belongs to the block in whose
core its middle lies.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from celltrail.segmentation.net.instance_settings import scaled_settings
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.tiles import limits_at
from celltrail.segmentation.prediction.two_sizes import Size, label_part

BLOCK = 2048  # pixels of the core of a block along each side
OVERLAP = 256  # pixels beyond the core in which cells are still seen whole
OVERLAP_SEEN = 64  # at least so many pixels of the net: three cells


def label_in_blocks(
    model: Model,
    image: NDArray[Any],
    *,
    tta: bool | None = None,
    memory_mb: float = 1024,
    device: torch.device | str = "cpu",
    block: int = BLOCK,
    overlap: int = OVERLAP,
    limits: tuple[float, float] | None = None,
    factor: float = 1.0,
    sizes: tuple[Size, ...] = (),
    stand_out: bool = False,
) -> NDArray[np.int32]:
    """Label image of a large 2D image; like predicting and labelling it as a whole, in bounded memory.

    Cells larger than twice the overlap may be cut. Labels are 1 … n. An enlarged image has smaller blocks; blocks of a
    reduced one are not larger, since its maps have its own size again.
    With another ``factor`` than 1 blocks no longer share one pooling grid, so maps are nearly those of the whole image.
    """
    if limits is None:
        limits = limits_at(model, image, factor)
    factors = [size.factor for size in sizes] or [factor]
    smallest = min(scaled_settings(model.instances, one).min_size for one in factors)
    block, overlap = (max(1, round(length / max(*factors, 1))) for length in (block, overlap))
    factor_of_grid = min(factors)
    overlap = max(overlap, round(OVERLAP_SEEN / factor_of_grid) if factor_of_grid < 1 else 0)
    grid = max(1, round(model.preprocessing.scale * 2**model.net.depth / factor_of_grid))
    # Near the edge of a cut-out the net sees its mirror image; that rim is thrown away.
    rim = -(-round(model.net.margin * model.preprocessing.scale / factor_of_grid) // grid) * grid
    step = -(-block // grid) * grid
    result = np.zeros(image.shape, dtype=np.int32)
    count = 0
    for top, left in product(range(0, image.shape[0], step), range(0, image.shape[1], step)):
        seen = [
            slice(max(start - overlap, 0) // grid * grid, min(start + step + overlap, side))
            for start, side in zip((top, left), image.shape, strict=True)
        ]
        cut = [slice(max(s.start - rim, 0), min(s.stop + rim, side)) for s, side in zip(seen, image.shape, strict=True)]
        inner = tuple(slice(s.start - c.start, s.stop - c.start) for s, c in zip(seen, cut, strict=True))
        labels = label_part(
            model,
            image[tuple(cut)],
            tta=tta,
            memory_mb=memory_mb,
            device=device,
            limits=limits,
            factor=factor,
            sizes=sizes,
            inner=inner,
            stand_out=stand_out,
        )
        own = _cells_of_core(labels, (top - seen[0].start, left - seen[1].start), step)
        target = result[tuple(seen)]
        free = (own > 0) & (target == 0)
        target[free] = own[free] + count
        count += int(own.max(initial=0))
    _remove_small_rows(result, count, max(smallest, 1), step)
    return result


def _remove_small_rows(labels: NDArray[np.int32], count: int, min_size: int, rows: int) -> None:
    """As `celltrail.segmentation.prediction.instances.remove_small`, in place and some rows at a time: without a second whole image."""
    strips = [labels[start : start + rows] for start in range(0, len(labels), rows)]
    areas = np.zeros(count + 1, dtype=np.int64)
    for strip in strips:
        areas += np.bincount(strip.ravel(), minlength=count + 1)
    keep = areas >= min_size
    keep[0] = False
    table = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    for strip in strips:
        strip[...] = table[strip]


def _cells_of_core(labels: NDArray[np.int32], corner: tuple[int, int], step: int) -> NDArray[np.int32]:
    """Only the cells whose middle lies in the core of the block, numbered 1 … n."""
    count = int(labels.max(initial=0))
    if count == 0:
        return labels
    middle = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, count + 1))) - corner
    inside = np.all((middle >= 0) & (middle < step), axis=1)
    table = np.concatenate([[0], np.where(inside, np.cumsum(inside), 0)]).astype(np.int32)
    return table[labels]
