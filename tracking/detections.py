"""The table of detections: one row per cell and frame, measured in one pass over the pixels.

Frames are read one at a time. The pass also counts how much every cell overlaps the cells of the
next frames once it has been moved by the drift of its surroundings, so that nothing later needs
the pixels again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.progress import Progress, silent
from tracking.drift import predict_shift
from tracking.hypotheses import HypothesisMovie
from tracking.pixels import index_labels, measure_layers, shared_voxels

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Masks = Mapping[int, NDArray[Any]]

SCATTERED = 30  # the box of a label is that many times its area: grey values, not a cell


@dataclass
class DetectionTable:
    """What was seen in a movie, ordered by (frame, position).

    frame, label : int64 (n,). position : float64 (n, 3), centroid z, y, x in voxels.
    area : int64 (n,), voxels. box : int64 (n, 6), z0 y0 x0 z1 y1 x1, half-open.
    depth : int64 (n,), how many voxels its innermost voxel lies from the nearest side in y and x.
    compactness : float64 (n,), 1 for a disk or ball, smaller the further voxels lie from the centre.
    elongation : float64 (n,), long over short axis of the ellipse with the same second moments.
    brightness, texture : float64 (n,), mean intensity above the background of the frame and standard
        deviation inside the mask, both in units of their spread over the movie; NaN without images.
    shift : span → float64 (n, 3), the displacement in voxels that the surroundings predict until
        ``span`` non-empty frames later.
    overlap_source, overlap_target, overlap_count : int64 (k,), rows of the table and shared voxels
        of the source, moved by its shift, with the target.
    reward : float64 (n,), nats gained by using a detection; 0 for plain masks, which are always used.
    share : float64 (n,), for how many typical cells a hypothesis counts by its area; 1 for plain masks.
    clique_id, clique_row : int64 (k,), sets of overlapping hypotheses of which at most one may be used.
    numbers : every frame number of the movie, empty frames included. shape : of a frame.
    scale : size of a voxel (z, y, x) in units of its x.
    """

    frame: IntArray
    label: IntArray
    position: FloatArray
    area: IntArray
    box: IntArray
    depth: IntArray
    compactness: FloatArray
    elongation: FloatArray
    brightness: FloatArray
    texture: FloatArray
    shift: dict[int, FloatArray]
    overlap_source: IntArray
    overlap_target: IntArray
    overlap_count: IntArray
    reward: FloatArray
    share: FloatArray
    clique_id: IntArray
    clique_row: IntArray
    numbers: tuple[int, ...]
    shape: tuple[int, ...]
    scale: FloatArray

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def place(self) -> FloatArray:
        """Centroids in units of the voxel's x, so that distances are physical."""
        return self.position * self.scale

    @property
    def diameter(self) -> FloatArray:
        """Diameter of the disk or ball of equal size, in units of the voxel's x."""
        size = self.area * np.prod(self.scale[3 - self.ndim :])
        return 2 * np.sqrt(size / np.pi) if self.ndim == 2 else np.cbrt(6 * size / np.pi)

    @property
    def border(self) -> FloatArray:
        """Distance from the mask to the nearest side of the image, in units of the voxel's x."""
        depth = (1,) * (3 - self.ndim) + self.shape
        axes = range(3 - self.ndim, 3)
        near = [self.box[:, axis] * self.scale[axis] for axis in axes]
        far = [(depth[axis] - self.box[:, axis + 3]) * self.scale[axis] for axis in axes]
        return np.min([*near, *far], axis=0) if len(self) else np.zeros(0)

    def exclude_each_other(self, a: IntArray, b: IntArray) -> NDArray[np.bool_]:
        """Whether pairs of rows are hypotheses of which at most one may be used."""
        if not len(self.clique_id):
            return np.zeros(len(a), dtype=bool)
        order = np.argsort(self.clique_id, kind="stable")
        sets = np.split(self.clique_row[order], np.flatnonzero(np.diff(self.clique_id[order])) + 1)
        keys = np.concatenate([(one[:, None] * len(self) + one).ravel() for one in sets])
        return np.isin(a * len(self) + b, keys)

    def frames_with_cells(self) -> IntArray:
        """The frames that hold a detection, ascending."""
        return np.unique(self.frame)


def _shape_numbers(sums: FloatArray, scale: FloatArray, ndim: int) -> tuple[FloatArray, FloatArray]:
    """Compactness and elongation from second moments; a voxel itself has variance 1/12."""
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


def _complain(number: int, area: IntArray, box: IntArray) -> str | None:
    """Why a frame cannot be a mask, or ``None``."""
    volume = np.prod((box[:, 3:] - box[:, :3]).astype(np.float64), axis=1)
    scattered = area[volume > SCATTERED * area].sum() > area.sum() / 2
    crumbs = len(area) >= 500 and np.median(area) <= 2
    if (len(area) >= 10 and scattered) or crumbs:
        return (f"Frame {number} holds {len(area)} labels whose pixels are scattered over the image: "
                "these are grey values, not masks; segment the images first.")  # fmt: skip
    return None


def _pieces(index: NDArray[np.int32]) -> int:
    from scipy.ndimage import label

    return int(label((index > 0).any(axis=0))[1])


def dimensions_of(movie: Masks) -> int:
    """2 or 3: how many axes a frame has (2 for a movie without frames)."""
    return np.ndim(movie[min(movie)]) if movie else 2


def check_voxel(voxel: tuple[float, ...] | None, ndim: int) -> tuple[float, float, float] | None:
    """A voxel size as (z, y, x), z = 1 in 2D; :class:`InputError` where it does not fit or is not positive."""
    if voxel is None:
        return None
    size = tuple(float(side) for side in voxel)
    if len(size) not in (2, 3) or (len(size) == 2 and ndim == 3):
        raise InputError(f"The voxel size {size} does not fit a {ndim}D movie: give Z Y X (or Y X in 2D).")
    if not all(np.isfinite(side) and side > 0 for side in size):
        raise InputError(f"The voxel size {size} must be positive in every direction: give it in µm, like 0.5 0.5.")
    return (size[0], size[1], size[2]) if len(size) == 3 else (1.0, size[0], size[1])


def measure_movie(
    masks: Masks,
    images: Masks | None = None,
    *,
    voxel: tuple[float, float, float] | None = None,
    spans: int = 2,
    progress: Progress = silent,
) -> DetectionTable:
    """Measure every labelled object of a movie.

    Parameters
    ----------
    masks : frame number → integer labels (Y, X) or (Z, Y, X); 0 is background. A label in several
        pieces counts as one object. Or overlapping hypotheses.
    images : frame number → grey values of the same shape, for every frame of ``masks``.
    voxel : size (z, y, x) in µm; ``None``: voxels are cubes.
    spans : overlaps and drift are kept for frames up to this many non-empty frames apart.

    Returns
    -------
    DetectionTable

    Raises
    ------
    InputError
        If frames differ in shape, hold other than non-negative whole numbers, or grey values or
        binary masks instead of labels; if an image is missing or of another shape.
    """
    numbers = tuple(sorted(masks))
    if not numbers:
        raise InputError("The movie has no frames: give at least one mask.")
    if images is not None and (missing := [number for number in numbers if number not in images]):
        raise InputError(f"{len(missing)} frames have a mask but no image (first: frame {missing[0]}): "
                         "give images for every mask, or none.")  # fmt: skip
    shape: tuple[int, ...] = ()
    scale = np.ones(3)
    columns: list[tuple[Any, ...]] = []
    shifts: dict[int, list[FloatArray]] = {span: [] for span in range(1, spans + 1)}
    overlaps: list[IntArray] = []
    window: deque[tuple[NDArray[np.int32], FloatArray, int, IntArray]] = deque(maxlen=spans)
    total, single, pieces = 0, set(), 0
    for done, number in enumerate(numbers):
        progress("measure", done, len(numbers))
        layers = _layers_of(masks, number)
        labels = layers[0]
        if not shape:
            shape = labels.shape
            if labels.ndim not in (2, 3):
                raise InputError(f"Frame {number} has the shape {shape}: a mask must be (Y, X) or (Z, Y, X).")
            if (size := check_voxel(voxel, labels.ndim)) is not None:
                scale = np.array(size) / size[2]
        _check_frame(number, labels, shape)
        present, index = index_labels(layers)
        index = index.reshape(len(layers), *(1,) * (3 - len(shape)), *shape)
        image = np.zeros((1, 1, 1), np.float32) if images is None else _image_of(images, number, shape)
        sums, box = measure_layers(index, image, len(present), images is not None)
        box, depth = box[:, :6], box[:, 6]
        area = sums[:, 0].astype(np.int64)
        if problem := _complain(number, area, box):
            raise InputError(problem)
        single |= {int(present[0])} if len(present) == 1 else {0, 1} if len(present) else set()
        if len(present) == 1 and len(single) == 1:
            pieces = max(pieces, _pieces(index))
        centre = sums[:, 1:4] / sums[:, :1]
        order = np.lexsort((present, centre[:, 2], centre[:, 1], centre[:, 0]))
        rank = np.argsort(order)
        shape_numbers = _shape_numbers(sums, scale, len(shape))
        mean = sums[:, 10] / sums[:, 0]
        spread = np.sqrt(np.maximum(sums[:, 11] / sums[:, 0] - mean**2, 0))
        mean = mean - _background(image, index) if images is not None else np.full(len(mean), np.nan)
        spread = spread if images is not None else mean
        rows = (np.full(len(present), number), present, centre, area, box, depth, *shape_numbers, mean, spread)
        columns.append(tuple(np.asarray(column)[order] for column in rows))
        if not len(present):
            continue
        for span, (index_a, centre_a, first_a, rank_a) in enumerate(reversed(window), start=1):
            shift = predict_shift(centre_a * scale, centre[order] * scale) / scale
            shifts[span].append(shift)
            whole = np.rint(shift[rank_a]).astype(np.int64)
            for a, b in product(index_a, index):
                source, target, count = shared_voxels(a, b, whole, len(present))
                overlaps.append(np.stack([rank_a[source] + first_a, rank[target] + total, count]))
        window.append((index, centre[order], total, rank))
        total += len(present)
    progress("measure", len(numbers), len(numbers))
    if len(single) == 1 and pieces > 1:
        raise InputError(f"Every frame holds one label only ({single.pop()}), in up to {pieces} separate pieces: these are "
                         "binary masks; give every cell a number of its own (connected components) first.")  # fmt: skip
    frame, label, position, area, box, depth, compactness, elongation, mean, spread = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    shift_of = {}
    for span, parts in shifts.items():
        known = np.concatenate(parts) if parts else np.zeros((0, 3))
        shift_of[span] = np.concatenate([known, np.zeros((total - len(known), 3))])
    overlap = np.concatenate(overlaps, axis=1) if overlaps else np.zeros((3, 0), np.int64)
    overlap = overlap[:, np.lexsort((overlap[1], overlap[0]))]
    reward, share = np.zeros(total), np.ones(total)
    clique_id, clique_row = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if isinstance(masks, HypothesisMovie):
        reward, share, clique_id, clique_row = masks.evidence(frame, label, progress)
    return DetectionTable(
        frame.astype(np.int64), label, position, area, box, depth, compactness, elongation, _standardised(mean, centred=False),
        _standardised(np.log(np.maximum(spread, 1e-6)), centred=True), shift_of, overlap[0], overlap[1], overlap[2], reward, share, clique_id, clique_row, numbers, shape, scale,
    )  # fmt: skip


def _layers_of(masks: Masks, number: int) -> NDArray[Any]:
    """The label images of a frame, stacked: one for plain masks."""
    labels = np.asarray(masks[number])
    return labels if isinstance(masks, HypothesisMovie) else labels[np.newaxis]


def _check_frame(number: int, labels: NDArray[Any], shape: tuple[int, ...]) -> None:
    if labels.shape != shape:
        raise InputError(
            f"Frame {number} has the shape {labels.shape}, the first frame has {shape}: crop or remove it."
        )
    if labels.dtype.kind not in "uib":
        raise InputError(f"Frame {number} holds {labels.dtype} values, but a mask holds whole numbers "
                         "(0 for background, one number per cell): save it as integer labels.")  # fmt: skip
    if labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
        raise InputError(f"Frame {number} holds the label {int(labels.min())}: labels must not be negative.")


def _image_of(images: Masks, number: int, shape: tuple[int, ...]) -> NDArray[Any]:
    image = np.asarray(images[number])
    if image.shape != shape:
        raise InputError(f"Image {number} has the shape {image.shape}, its mask has {shape}: give the images "
                         "that belong to the masks.")  # fmt: skip
    return image.reshape((1,) * (3 - len(shape)) + shape).astype(np.float32)


def _background(image: NDArray[Any], index: NDArray[np.int32]) -> float:
    """The grey value of the background: the median outside all masks (every 4th voxel will do)."""
    outside = image[..., ::4][(index[..., ::4] == 0).all(axis=0)]
    return float(np.median(outside) if outside.size else np.percentile(image[..., ::4], 1))


def _standardised(values: FloatArray, *, centred: bool) -> FloatArray:
    """Values in units of their spread over the movie (half the 16-84 % range)."""
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    low, middle, high = np.percentile(known, [16, 50, 84])
    spread = (high - low) / 2 or 1.0
    return (values - (middle if centred else 0.0)) / spread
