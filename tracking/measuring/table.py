"""The table of detections: one row per cell and frame, measured in one pass over the pixels (:mod:`celltrail.tracking.measuring.chunks`).

The pixels are read here or by several workers, a chunk of the movie each; the table is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.movie import part_of
from celltrail.data.files.steps import find_step
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import FloatArray, IntArray, Masks
from celltrail.data.words import counted
from celltrail.tracking.measuring.chunks import Chunk, Measured, measure_chunk, odd_shape
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie

PER_ROW = (
    "frame",
    "label",
    "position",
    "area",
    "box",
    "depth",
    "compactness",
    "elongation",
    "brightness",
    "texture",
    "reward",
    "share",
    "hypothesis",
    "event",
)
FARTHEST = 3.0  # spreads from the median beyond which texture says no more
CHUNK = 24  # frames that one worker measures at a time


@dataclass
class DetectionTable:
    """What was seen in a movie, ordered by (frame, position).

    Attributes
    ----------
    frame, label : IntArray
        int64 (n,).
    position : FloatArray
        float64 (n, 3), centroid z, y, x in voxels.
    area : IntArray
        int64 (n,), voxels.
    box : IntArray
        int64 (n, 6), z0 y0 x0 z1 y1 x1, half-open.
    depth : IntArray
        int64 (n,), how many voxels its innermost voxel lies from the nearest side in y and x.
    compactness : FloatArray
        float64 (n,), 1 for a disk or ball, smaller the further voxels lie from the centre.
    elongation : FloatArray
        float64 (n,), long over short axis of the ellipse with the same second moments.
    brightness, texture : FloatArray
        float64 (n,), mean intensity above the background of the frame and standard deviation inside the mask, both
        in units of their spread over the movie; NaN without images. Texture is the difference from the median, at most
        `FARTHEST`: two nuclei that lie on each other are rougher than any mother.
    shift : dict[int, FloatArray]
        Span → float64 (n, 3), the displacement in voxels that the surroundings predict until ``span`` steps later; 0
        where there are no cells then.
    overlap_source, overlap_target, overlap_count : IntArray
        int64 (k,), rows of the table and shared voxels of the source, moved by its shift, with the target.
    reward : FloatArray
        float64 (n,), nats gained by using a detection; 0 for plain masks, which are always used.
    share : FloatArray
        float64 (n,), for how many typical cells a hypothesis counts by its area; 1 for plain masks.
    hypothesis : IntArray
        int64 (n,), number among the hypotheses of its frame; −1 for plain masks.
    event : IntArray
        int64 (n,), twice the number of the error that a mask may be part of; one more for another reading, which puts it
        right; −1: none.
    clique_id, clique_row : IntArray
        int64 (k,), sets of overlapping hypotheses of which at most one may be used.
    numbers : tuple[int, ...]
        Every frame number of the movie, empty frames included.
    shape : tuple[int, ...]
        Of a frame.
    scale : FloatArray
        Size of a voxel (z, y, x) in units of its x.
    joint : bool
        Whether hypotheses compete anywhere in the movie that this is, or was taken from.
    step : int
        By how much the number of a frame is larger than that of the frame before.
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
    hypothesis: IntArray
    event: IntArray
    clique_id: IntArray
    clique_row: IntArray
    numbers: tuple[int, ...]
    shape: tuple[int, ...]
    scale: FloatArray
    joint: bool = False
    step: int = 1

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def time(self) -> IntArray:
        """When each detection was seen, in steps since the first frame of the movie, int64 (n,)."""
        return np.asarray((self.frame - self.numbers[0]) // self.step)

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

    @property
    def alternatives(self) -> NDArray[np.bool_]:
        """Which may be left out: hypotheses, and masks that exclude some."""
        open_to_choice: NDArray[np.bool_] = self.hypothesis >= 0
        open_to_choice[self.clique_row] = True
        return open_to_choice

    @property
    def beside(self) -> NDArray[np.bool_]:
        """Which are other readings of plain masks; what is usual in a movie is told without them."""
        return np.asarray((self.event >= 0) & (self.event % 2 == 1))

    @property
    def read_otherwise(self) -> bool:
        """Whether plain masks, not hypotheses, have other readings."""
        return bool(self.beside.any() and (self.hypothesis < 0).any())

    @property
    def typical_area(self) -> float:
        """Median area of the cells of a movie in voxels (1 without cells)."""
        return float(np.median(self.area[~self.beside])) if len(self) else 1.0

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

    def frame_starts(self) -> IntArray:
        """The first row of every frame that holds a detection, and the number of rows."""
        return np.append(np.flatnonzero(np.diff(self.frame, prepend=self.frame[:1] - 1)), len(self))

    def between(self, begin: int, end: int) -> DetectionTable:
        """The rows ``begin`` to ``end`` (not included) as a table of their own, which shares their memory."""
        seen = slice(*np.searchsorted(self.overlap_source, [begin, end]))
        inside = self.overlap_target[seen] < end
        member = (self.clique_row >= begin) & (self.clique_row < end)
        return replace(
            self,
            **{name: getattr(self, name)[begin:end] for name in PER_ROW},
            shift={span: shift[begin:end] for span, shift in self.shift.items()},
            overlap_source=self.overlap_source[seen][inside] - begin,
            overlap_target=self.overlap_target[seen][inside] - begin,
            overlap_count=self.overlap_count[seen][inside],
            clique_id=self.clique_id[member],
            clique_row=self.clique_row[member] - begin,
        )


def dimensions_of(movie: Masks) -> int:
    """2 or 3: how many axes a frame has (2 for a movie without frames)."""
    return np.ndim(movie[min(movie)]) if movie else 2


def check_voxel(voxel: tuple[float, ...] | None, ndim: int) -> tuple[float, float, float] | None:
    """A voxel size as (z, y, x), z = 1 in 2D; `InputError` where it does not fit or is not positive."""
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
    spans: int = 1,
    step: int | None = None,
    mapper: Mapper | None = None,
    progress: Progress = silent,
) -> DetectionTable:
    """Measure every labelled object of a movie.

    Parameters
    ----------
    masks : Masks
        Frame number → integer labels (Y, X) or (Z, Y, X); 0 is background. A label in several pieces counts as one
        object. Or overlapping hypotheses.
    images : Masks | None
        Frame number → grey values of the same shape, for every frame of ``masks``.
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm; ``None``: voxels are cubes.
    spans : int
        Overlaps and drift are kept for frames up to this many steps apart.
    step : int | None
        By how much the numbers of consecutive frames differ; ``None``: what is common to them.
    mapper : Mapper | None
        Where the chunks of the movie are measured (`celltrail.data.running.workers.open_workers`); ``None``:
        here, as one.

    Returns
    -------
    DetectionTable

    Raises
    ------
    InputError
        If the step does not fit, if frames differ in shape, hold other than non-negative whole numbers, or grey values or
        binary masks instead of labels; if an image is missing or of another shape.
    """
    numbers = tuple(sorted(masks))
    if not numbers:
        raise InputError("The movie has no frames: give at least one mask.")
    if images is not None and (missing := [number for number in numbers if number not in images]):
        raise InputError(
            f"{counted(len(missing), 'frame has', 'frames have')} a mask but no image (first: frame {missing[0]}): "
            "give images for every mask, or none."
        )
    step = find_step(numbers, step)
    size = check_voxel(voxel, 2)
    scale = np.ones(3) if size is None else np.array(size) / size[2]
    if mapper is None:
        whole = Chunk(
            masks=masks, images=images, numbers=numbers, own=len(numbers), scale=scale, spans=spans, step=step
        )
        parts = [measure_chunk(whole, progress)]
    else:
        parts = _measure_apart(masks, images, numbers, scale, spans, step, mapper, progress)
    progress("measure", len(numbers), len(numbers))
    if odd := [part for part in parts if part.shape != parts[0].shape]:
        raise odd_shape(odd[0].first, odd[0].shape, parts[0].shape)
    single = {label for part in parts for label in part.single}
    pieces = max(part.pieces for part in parts)
    if len(single) == 1 and pieces > 1:
        raise InputError(
            f"Every frame holds one label only ({single.pop()}), in up to {pieces} separate pieces: these are "
            "binary masks; give every cell a number of its own (connected components) first."
        )
    rows = (np.concatenate(column) for column in zip(*(frame for part in parts for frame in part.columns), strict=True))
    frame, label, position, area, box, depth, compactness, elongation, mean, deviation = rows
    total = len(frame)
    shift_of = {}
    for span in range(1, spans + 1):
        shift_of[span] = np.concatenate([np.zeros((0, 3)), *(shift for part in parts for shift in part.shifts[span])])
    overlap = _join_overlaps(parts)
    none = np.zeros(0, dtype=np.int64)
    no = np.full(total, -1)
    evidence = Evidence(
        reward=np.zeros(total), share=np.ones(total), hypothesis=no, event=no, clique_id=none, clique_row=none
    )
    if isinstance(masks, LayeredMovie):
        evidence = masks.evidence(frame, label, progress)
    return DetectionTable(
        frame=frame.astype(np.int64),
        label=label,
        position=position,
        area=area,
        box=box,
        depth=depth,
        compactness=compactness,
        elongation=elongation,
        brightness=_standardised(mean, centred=False),
        texture=_standardised(np.log(np.maximum(deviation, 1e-6)), centred=True),
        shift=shift_of,
        overlap_source=overlap[0],
        overlap_target=overlap[1],
        overlap_count=overlap[2],
        reward=evidence.reward,
        share=evidence.share,
        hypothesis=evidence.hypothesis,
        event=evidence.event,
        clique_id=evidence.clique_id,
        clique_row=evidence.clique_row,
        numbers=numbers,
        shape=parts[0].shape,
        scale=scale,
        joint=len(evidence.clique_id) > 0,
        step=step,
    )


def _measure_apart(
    masks: Masks,
    images: Masks | None,
    numbers: tuple[int, ...],
    scale: FloatArray,
    spans: int,
    step: int,
    mapper: Mapper,
    progress: Progress,
) -> list[Measured]:
    """Measure a movie in chunks of `CHUNK` frames, each of them wherever ``mapper`` sends it."""

    def chunk(begin: int) -> Chunk:
        seen = numbers[begin : begin + CHUNK + spans]
        frames = range(seen[0], seen[-1] + 1)
        grey = None if images is None else part_of(images, frames)
        return Chunk(
            masks=part_of(masks, frames),
            images=grey,
            numbers=seen,
            own=min(CHUNK, len(seen)),
            scale=scale,
            spans=spans,
            step=step,
        )

    parts = []
    begins = range(0, len(numbers), CHUNK)
    progress("measure", 0, len(numbers))
    for begin, part in zip(begins, mapper(measure_chunk, (chunk(begin) for begin in begins)), strict=True):
        parts.append(part)
        progress("measure", min(begin + CHUNK, len(numbers)), len(numbers))
    return parts


def _join_overlaps(parts: list[Measured]) -> IntArray:
    """The overlaps of all chunks with rows of the whole table, ordered by source and target, int64 (3, k)."""
    first, found = 0, [np.zeros((3, 0), np.int64)]
    for part in parts:
        found += [overlap + np.array([[first], [first], [0]]) for overlap in part.overlaps]
        first += sum(len(rows[0]) for rows in part.columns)
    joined = np.concatenate(found, axis=1)
    return joined[:, np.lexsort((joined[1], joined[0]))]


def _standardised(values: FloatArray, *, centred: bool) -> FloatArray:
    """Values in units of their spread over the movie (half the 16-84 % range); ``centred``: around its median, and at most
    `FARTHEST` from it."""
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    low, middle, high = np.percentile(known, [16, 50, 84])
    spread = (high - low) / 2 or 1.0
    return np.clip((values - middle) / spread, -FARTHEST, FARTHEST) if centred else values / spread
