"""Measure the cells of some consecutive frames, in one pass over their pixels.

Frames are read one at a time. The pass also counts how much every cell overlaps the cells of the
next frames once it has been moved by the drift of its surroundings, so that nothing later needs
the pixels again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.progress import Progress, silent
from celltrail.data.types import FloatArray, IntArray, Masks
from celltrail.data.words import counted
from celltrail.tracking.measuring.drift import predict_shift
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.pixels import index_labels, measure_layers, shared_voxels

LARGEST_LABEL = 2**62 + 1  # with room above it for other readings of masks
SCATTERED = 30  # the box of a label is that many times its area: grey values, not a cell


@dataclass(frozen=True)
class Chunk:
    """Some frames of a movie, by ascending ``numbers``; the first ``own`` are to be measured, the rest follow them.

    Attributes
    ----------
    scale : FloatArray
        float64 (3,), size of a voxel (z, y, x) in units of its x.
    spans : int
        Overlaps and drift are measured from the own frames to frames up to this many steps later.
    step : int
        By how much the number of a frame is larger than that of the frame before.
    """

    masks: Masks
    images: Masks | None
    numbers: tuple[int, ...]
    own: int
    scale: FloatArray
    spans: int
    step: int = 1


@dataclass(frozen=True)
class Measured:
    """What was measured of a chunk.

    Attributes
    ----------
    columns : list[tuple[NDArray[Any], ...]]
        Of each own frame the columns of the table, ordered by position.
    shifts : dict[int, list[FloatArray]]
        Span → of each own frame with cells the predicted shifts, float64 (n, 3); 0 where no cells were seen then.
    overlaps : list[IntArray]
        int64 (3, k): source, target, shared voxels; rows are counted from the first cell of the chunk, over the
        frames that follow as well.
    first, shape
        Number and shape of the first frame.
    single, pieces
        The labels seen where every frame holds one only (else more than one), and the pieces it comes in.
    """

    columns: list[tuple[NDArray[Any], ...]]
    shifts: dict[int, list[FloatArray]]
    overlaps: list[IntArray]
    first: int
    shape: tuple[int, ...]
    single: set[int]
    pieces: int


@dataclass(frozen=True)
class _Seen:
    """A frame with cells, kept for those that follow; ``place``: among the own frames with cells."""

    number: int
    own: bool
    index: NDArray[np.int32]
    centre: FloatArray
    first: int
    rank: IntArray
    place: int


def measure_chunk(chunk: Chunk, progress: Progress = silent) -> Measured:
    """Measure the own frames of a chunk; `InputError` for the first frame that is no mask."""
    scale, images, spans = chunk.scale, chunk.images, chunk.spans
    shape: tuple[int, ...] = ()
    columns: list[tuple[NDArray[Any], ...]] = []
    shifts: dict[int, list[FloatArray]] = {span: [] for span in range(1, spans + 1)}
    overlaps: list[IntArray] = []
    window: deque[_Seen] = deque()
    total = 0
    single: set[int] = set()
    pieces = 0
    for done, number in enumerate(chunk.numbers):
        own = done < chunk.own
        while window and number - window[0].number > spans * chunk.step:
            window.popleft()
        if not own and not any(seen.own for seen in window):
            break
        progress("measure", done, len(chunk.numbers))
        layers = _layers_of(chunk.masks, number)
        labels = layers[0]
        if not shape:
            shape = labels.shape
            if labels.ndim not in (2, 3):
                raise InputError(f"Frame {number} has the shape {shape}: a mask must be (Y, X) or (Z, Y, X).")
        _check_frame(number, labels, shape)
        present, index = index_labels(layers)
        index = index.reshape(len(layers), *(1,) * (3 - len(shape)), *shape)
        image = np.zeros((1, 1, 1), np.float32) if images is None else _image_of(images, number, shape)
        sums, box = measure_layers(index, image, len(present), images is not None)
        box, depth = box[:, :6], box[:, 6]
        area = sums[:, 0].astype(np.int64)
        if problem := _complain(number, area, box):
            raise InputError(problem)
        centre = sums[:, 1:4] / sums[:, :1]
        order = np.lexsort((present, centre[:, 2], centre[:, 1], centre[:, 0]))
        rank = np.argsort(order)
        if own:
            single |= {int(present[0])} if len(present) == 1 else {0, 1} if len(present) else set()
            if len(present) == 1 and len(single) == 1:
                pieces = max(pieces, _pieces(index))
            look = shape_numbers(sums, scale, len(shape))
            mean = sums[:, 10] / sums[:, 0]
            deviation = np.sqrt(np.maximum(sums[:, 11] / sums[:, 0] - mean**2, 0))
            mean = mean - _background(image, index) if images is not None else np.full(len(mean), np.nan)
            deviation = deviation if images is not None else mean
            rows = (np.full(len(present), number), present, centre, area, box, depth, *look, mean, deviation)
            columns.append(tuple(np.asarray(column)[order] for column in rows))
        if not len(present):
            continue
        for seen in reversed(window):
            if not seen.own:
                continue
            shift = predict_shift(seen.centre * scale, centre[order] * scale) / scale
            shifts[(number - seen.number) // chunk.step][seen.place] = shift
            whole = np.rint(shift[seen.rank]).astype(np.int64)
            for a, b in product(seen.index, index):
                source, target, count = shared_voxels(a, b, whole, len(present))
                overlaps.append(np.stack([seen.rank[source] + seen.first, rank[target] + total, count]))
        window.append(_Seen(number, own, index, centre[order], total, rank, len(shifts[1])))
        if own:
            for shift_of in shifts.values():
                shift_of.append(np.zeros((len(present), 3)))
        total += len(present)
    return Measured(
        columns=columns,
        shifts=shifts,
        overlaps=overlaps,
        first=chunk.numbers[0],
        shape=shape,
        single=single,
        pieces=pieces,
    )


def shape_numbers(sums: FloatArray, scale: FloatArray, ndim: int) -> tuple[FloatArray, FloatArray]:
    """Compactness and elongation from sums over voxels (`celltrail.tracking.measuring.pixels.measure_layers`); a voxel
    itself has variance 1/12."""
    area, first = sums[:, 0], sums[:, 1:4] / sums[:, :1]
    cov = np.zeros((len(sums), 3, 3))
    for column, (i, j) in zip(range(4, 10), ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), strict=True):
        value = sums[:, column] / area - first[:, i] * first[:, j] + (i == j) / 12
        cov[:, i, j] = cov[:, j, i] = value * scale[i] * scale[j]
    cov = cov[:, 3 - ndim :, 3 - ndim :]
    trace = np.trace(cov, axis1=1, axis2=2)
    size = area * np.prod(scale[3 - ndim :])
    ideal = 2 * np.pi * trace if ndim == 2 else 4 / 3 * np.pi * (5 * trace / 3) ** 1.5
    axes = np.linalg.eigvalsh(cov) if len(sums) else np.ones((0, ndim))
    return size / ideal, np.sqrt(axes[:, -1] / axes[:, -2])


def moments(points: NDArray[Any]) -> FloatArray:
    """The sums that `shape_numbers` takes, of the voxels (n, 3) of one object: float64 (10,)."""
    far = points.astype(np.float64)
    products = [far[:, i] @ far[:, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    return np.array([len(far), *far.sum(axis=0), *products])


def _complain(number: int, area: IntArray, box: IntArray) -> str | None:
    """Why a frame cannot be a mask, or ``None``."""
    volume = np.prod((box[:, 3:] - box[:, :3]).astype(np.float64), axis=1)
    scattered = area[volume > SCATTERED * area].sum() > area.sum() / 2
    crumbs = len(area) >= 500 and np.median(area) <= 2
    if (len(area) >= 10 and scattered) or crumbs:
        return (
            f"Frame {number} holds {counted(len(area), 'label')} whose pixels are scattered over the image: "
            "these are grey values, not masks; segment the images first."
        )
    return None


def _pieces(index: NDArray[np.int32]) -> int:
    from scipy.ndimage import label

    return int(label((index > 0).any(axis=0))[1])


def _layers_of(masks: Masks, number: int) -> NDArray[Any]:
    """The label images of a frame, stacked: one for plain masks."""
    labels = np.asarray(masks[number])
    return labels if isinstance(masks, LayeredMovie) else labels[np.newaxis]


def _check_frame(number: int, labels: NDArray[Any], shape: tuple[int, ...]) -> None:
    if labels.shape != shape:
        raise odd_shape(number, labels.shape, shape)
    if labels.dtype.kind not in "uib":
        raise InputError(
            f"Frame {number} holds {labels.dtype} values, but a mask holds whole numbers "
            "(0 for background, one number per cell): save it as integer labels."
        )
    if labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
        raise InputError(f"Frame {number} holds the label {int(labels.min())}: labels must not be negative.")
    if labels.dtype.itemsize == 8 and int(labels.max(initial=0)) >= LARGEST_LABEL:
        raise InputError(f"Frame {number} holds the label {int(labels.max())}: number the cells up to 2⁶².")


def _image_of(images: Masks, number: int, shape: tuple[int, ...]) -> NDArray[Any]:
    image = np.asarray(images[number])
    if image.shape != shape:
        raise InputError(
            f"Image {number} has the shape {image.shape}, its mask has {shape}: give the images "
            "that belong to the masks."
        )
    return image.reshape((1,) * (3 - len(shape)) + shape).astype(np.float32)


def _background(image: NDArray[Any], index: NDArray[np.int32]) -> float:
    """The grey value of the background: the median outside all masks (every 4th voxel will do)."""
    outside = image[..., ::4][(index[..., ::4] == 0).all(axis=0)]
    return float(np.median(outside) if outside.size else np.percentile(image[..., ::4], 1))


def odd_shape(number: int, shape: tuple[int, ...], first: tuple[int, ...]) -> InputError:
    """What is wrong with a frame of another shape than the first one."""
    return InputError(f"Frame {number} has the shape {shape}, the first frame has {first}: crop or remove it.")
