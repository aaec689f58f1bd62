"""Simulated movies with exact truth: cells that move, crowd, divide, die, enter and leave.

Two steps. ``simulate_scene`` lets the cells live and keeps one row per cell and frame;
a :class:`Scene` then renders any frame from these rows, on its own, so that a long movie
never has to fit into memory. ``simulate_movie`` renders all frames.

A cell is the set of points where its level function, 0 in the centre and 1 on the outline,
is below 1; where cells meet, the lower level wins, so masks never overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from celltrail.data.columns import take
from celltrail.data.errors import raise_if
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import digits_for, write_masks, write_track_file
from celltrail.data.files.movie import ComputedFrames
from celltrail.data.files.tracks import Tracks
from celltrail.data.progress import Progress, silent
from celltrail.data.simulation.cells import Colony, Habits, Looks, Outlines, Snapshot
from celltrail.data.simulation.optics import CoveredPixels, Modality, Optics, paint
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted

SHOWN, KEPT_SHOWN = 0.6, 0.9  # level at the nearest image point below which a cell appears, stays
CHUNK = 50_000  # points evaluated at once while drawing: few enough to stay in the cache of the processor


@dataclass(frozen=True)
class SimulatedMovie:
    """A movie with its truth.

    Attributes
    ----------
    images : Mapping[int, NDArray[Any]]
        Frame → uint16 (fluo) or uint8 (dic).
    masks : Mapping[int, NDArray[Any]]
        Frame → the label of each cell, uint16.
    tracks : Tracks
        Tracks, exactly those of the masks. Shapes are (Y, X) or (Z, Y, X).
    """

    images: Mapping[int, NDArray[Any]]
    masks: Mapping[int, NDArray[Any]]
    tracks: Tracks


@dataclass(frozen=True)
class Scene:
    """A simulated movie before it is drawn.

    Attributes
    ----------
    optics : Optics
        How it is seen.
    looks : Looks
        One row per cell that ever lived.
    snapshots : list[Snapshot]
        The cells shown in each frame.
    tracks : Tracks
        The truth, known without drawing.
    """

    optics: Optics
    looks: Looks
    snapshots: list[Snapshot]
    tracks: Tracks

    def draw(self, frame: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The grey image of one frame, uint16 (fluo) or uint8 (dic), and its label image."""
        points = self._cover(frame)
        now = self.snapshots[frame]
        return paint(self.optics, frame, now, self.looks, points), self._label_image(now, points)

    def mask(self, frame: int) -> NDArray[Any]:
        """The label image of one frame alone: uint16, or uint32 where there are more than 65,535 tracks."""
        return self._label_image(self.snapshots[frame], self._cover(frame))

    def _label_image(self, now: Snapshot, points: CoveredPixels) -> NDArray[Any]:
        labels = np.zeros(int(np.prod(self.optics.size)), dtype=np.uint16 if len(self.tracks) < 2**16 else np.uint32)
        labels[points.flat] = now.label[points.row]
        return labels.reshape(self.optics.size)

    def movie(self) -> SimulatedMovie:
        """The movie with frames drawn one at a time, whenever they are asked for; the last one is kept."""
        kept: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}

        def image(frame: int) -> NDArray[Any]:
            if frame not in kept:
                drawn = self.draw(frame)
                kept.clear()
                kept[frame] = drawn
            return kept[frame][0]

        def mask(frame: int) -> NDArray[Any]:
            return kept[frame][1] if frame in kept else self.mask(frame)

        numbers = range(len(self.snapshots))
        return SimulatedMovie(ComputedFrames(numbers, image), ComputedFrames(numbers, mask), self.tracks)

    def _cover(self, frame: int) -> CoveredPixels:
        """The pixels that belong to cells in one frame, each to one cell."""
        now = self.snapshots[frame]
        shape = (1, *self.optics.size)[-3:]
        scale = np.array([self.optics.aspect, 1.0, 1.0])
        reach = np.ceil(1.35 * now.radius.max(initial=1) * now.stretch.max(initial=1) / scale).astype(int)
        if len(self.optics.size) == 2:
            reach[0] = 0
        middle = np.rint(now.position / scale).astype(np.int64)
        reach_of = 1.35 * now.radius * now.stretch
        outlines = Outlines.of(now, self.looks, frame)
        parts: list[tuple[IntArray, IntArray, FloatArray, FloatArray]] = []
        for rows in np.array_split(np.arange(len(now)), max(1, len(now) * int(np.prod(2 * reach + 1)) // CHUNK)):
            # Along each axis the offsets of a cell's box; squared distances add up by broadcasting.
            ticks = [middle[rows, k, None] + np.arange(-reach[k], reach[k] + 1) for k in range(3)]
            steps = [ticks[k] * scale[k] - now.position[rows, k, None] for k in range(3)]
            square = [np.where((ticks[k] >= 0) & (ticks[k] < shape[k]), steps[k] ** 2, np.inf) for k in range(3)]
            near = square[0][:, :, None, None] + square[1][:, None, :, None] + square[2][:, None, None, :]
            cell, z, y, x = np.nonzero(near < reach_of[rows, None, None, None] ** 2)
            row = rows[cell]
            offset = np.stack([steps[0][cell, z], steps[1][cell, y], steps[2][cell, x]])
            level, place = outlines.level(offset, row)
            inside = level < 1
            flat = (ticks[0][cell, z] * shape[1] + ticks[1][cell, y]) * shape[2] + ticks[2][cell, x]
            parts.append((flat[inside], row[inside], level[inside], place[:, inside]))
        flat, row, level, place = (np.concatenate(column, axis=-1) for column in zip(*parts, strict=True))

        # The lowest level wins a pixel. Where several cells want it, the lowest is assigned last, and stays.
        owner = np.full(int(np.prod(shape)), -1, dtype=np.int64)
        owner[flat] = row
        contested = np.flatnonzero(np.bincount(flat, minlength=len(owner))[flat] > 1)
        order = contested[np.argsort(-level[contested], kind="stable")]
        owner[flat[order]] = row[order]
        # What a neighbour has cut off from the rest of a cell is left to the background.
        pieces = _equal_components((owner + 1).reshape(shape)).ravel()
        anchor = pieces[np.ravel_multi_index(tuple(np.clip(middle, 0, np.array(shape) - 1).T), shape)]
        won = (owner[flat] == row) & (pieces[flat] == anchor[row])
        return CoveredPixels(flat[won], row[won], level[won], place[:, won])


def simulate_scene(
    *,
    frames: int = 30,
    cells: int = 30,
    size: tuple[int, ...] = (256, 256),
    modality: Modality = "fluo",
    seed: int = 0,
    crowding: float | None = None,
    speed: float = 0.12,
    drift: float = 0.03,
    cycle: float = 40.0,
    death_rate: float = 0.002,
    aspect: float = 2.0,
    noise: float = 1.0,
    blur: float = 1.2,
) -> Scene:
    """Let cells live for a number of frames, without drawing them.

    Parameters
    ----------
    frames : int
        Number of frames.
    cells : int
        Number of cells whose centre lies in the image in the first frame; more wait outside.
    size : tuple[int, ...]
        (Y, X) or (Z, Y, X), in pixels.
    modality : Modality
        "fluo" (bright nuclei on a dark background) or "dic" (shaded relief, low contrast).
    seed : int
        Same seed and arguments, same movie.
    crowding : float | None
        Share of the image that cells cover at first; it sets their radius (default 0.25 for fluo, 0.4 for dic).
    speed : float
        Typical step of a cell between frames, in radii; half of it persists.
    drift : float
        Step of the whole field between frames, in radii.
    cycle : float
        Mean number of frames between two divisions.
    death_rate : float
        Probability that a cell begins to die, per frame.
    aspect : float
        Size of a voxel along z, in pixels of the plane (3D only).
    noise : float
        Strength of the noise; 0 for none.
    blur : float
        Standard deviation of the blur, in pixels.

    Raises
    ------
    InputError
        If an argument makes no movie: no frame, no cell, cells too small to draw …
    """
    crowding = crowding if crowding is not None else {"fluo": 0.25, "dic": 0.4}.get(modality, 0.25)
    ndim = len(size)
    physical = np.array([size[0] * aspect if ndim == 3 else 1.0, *size[-2:]], dtype=np.float64)
    ball = np.pi if ndim == 2 else 4 / 3 * np.pi
    volume = float(np.prod(physical[-ndim:]))
    radius = (crowding * volume / (ball * max(cells, 1))) ** (1 / ndim) if volume > 0 else 0.0
    radius = min(radius, float(physical[-ndim:].min(initial=1e9)) / 3)
    raise_if(_wrong_arguments(frames, cells, size, modality, radius, seed))
    optics = Optics(size=tuple(size), aspect=aspect, modality=modality, seed=seed, noise=noise, blur=blur)
    rng = np.random.default_rng([seed, 0])
    colony = Colony(rng, physical, ndim, cells, radius, Habits(speed, drift, cycle, death_rate))
    shown: list[Snapshot] = []
    before = np.zeros(0, dtype=np.int64)
    for frame in range(frames):
        if frame:
            colony.step()
        now = colony.snapshot()
        visible = _visible(now, colony.looks, frame, physical, (1, *size)[-3:], np.isin(now.cell, before))
        shown.append(take(now, visible))
        before = now.cell[visible]
    snapshots, tracks = _number_tracks(shown, colony.mother)
    return Scene(optics, colony.looks, snapshots, tracks)


def simulate_movie(*, progress: Progress = silent, **options: Any) -> SimulatedMovie:
    """Simulate a movie and draw all of it; see `simulate_scene` for the options.

    Returns
    -------
    Movie
        With plain dicts of arrays: masks in which no two cells overlap and every labelled cell is
        one connected piece, and the tracks of exactly these masks.
    """
    scene = simulate_scene(**options)
    images, masks = {}, {}
    for frame in range(len(scene.snapshots)):
        images[frame], masks[frame] = scene.draw(frame)
        progress("simulate", frame + 1, len(scene.snapshots))
    return SimulatedMovie(images, masks, scene.tracks)


def write_movie(movie: SimulatedMovie, dataset: Path, sequence: str = "01", *, progress: Progress = silent) -> None:
    """Write a movie in the layout of the CTC: images in ``NN``, full masks in ``NN_GT/SEG`` and ``NN_GT/TRA``.

    ``dataset`` is created where it is missing; call it inside
    `celltrail.data.writing.output.output_folder` so that a data set appears whole or not at all.
    """
    digits = digits_for(movie.masks)
    images, seg, tra = (dataset / sequence, dataset / f"{sequence}_GT" / "SEG", dataset / f"{sequence}_GT" / "TRA")
    for folder in (images, seg, tra):
        folder.mkdir(parents=True, exist_ok=True)
    for done, frame in enumerate(movie.masks, start=1):
        write_array(images / f"t{frame:0{digits}d}.tif", movie.images[frame])
        labels = movie.masks[frame]
        write_masks(seg, [(frame, labels)], digits=digits, prefix="man_seg")
        write_masks(tra, [(frame, labels)], digits=digits, prefix="man_track")
        progress("write", done, len(movie.masks))
    write_track_file(tra / "man_track.txt", movie.tracks)


def _wrong_arguments(
    frames: int, cells: int, size: tuple[int, ...], modality: str, radius: float, seed: int
) -> list[str]:
    problems = []
    if frames < 1:
        problems.append(f"{counted(frames, 'frame')} cannot be simulated: ask for 1 or more.")
    if cells < 1:
        problems.append(f"{counted(cells, 'cell')} cannot be simulated: ask for 1 or more.")
    if len(size) not in (2, 3) or min(size, default=0) < 1:
        problems.append(f"The size {' '.join(map(str, size))} is no image: give Y X, or Z Y X.")
    elif radius < 3.5 and cells > 0:
        problems.append(
            f"{counted(cells, 'cell')} in {' x '.join(map(str, size))} pixels would have a radius of {radius:.1f}: "
            "ask for fewer cells or a larger image."
        )
    if modality not in ("fluo", "dic"):
        problems.append(f"The modality '{modality}' is not known: choose fluo or dic.")
    if seed < 0:
        problems.append(f"The seed {seed} is negative: choose 0 or more.")
    return problems


def _equal_components(labels: IntArray) -> IntArray:
    """Number the connected pieces (by faces) of equal value."""
    from skimage.measure import label

    pieces: IntArray = label(labels, connectivity=1)
    return pieces


def _visible(
    now: Snapshot, looks: Looks, frame: int, physical: FloatArray, shape: tuple[int, ...], before: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which cells are shown: those that own the image point nearest to their centre, deep enough."""
    scale = np.array([physical[0] / shape[0] if physical[0] > 1 else 1.0, 1.0, 1.0])
    probe = np.clip(np.rint(now.position / scale), 0, np.array(shape) - 1) * scale
    outlines = Outlines.of(now, looks, frame)
    level = outlines.level((probe - now.position).T, np.arange(len(now)))[0]
    visible: NDArray[np.bool_] = level < np.where(before, KEPT_SHOWN, SHOWN)
    if len(now) > 1:
        pairs = cKDTree(now.position).query_pairs(3 * float(now.radius.max()), output_type="ndarray")
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        other = outlines.level((probe[pairs[:, 0]] - now.position[pairs[:, 1]]).T, pairs[:, 1])[0]
        visible[pairs[other <= level[pairs[:, 0]], 0]] = False
    return visible


def _number_tracks(shown: list[Snapshot], mother: IntArray) -> tuple[list[Snapshot], Tracks]:
    """Give labels by (first frame, position); a cell that left and came back is a new track."""
    rows: list[list[int]] = []  # label, begin, end, parent
    current: dict[int, int] = {}
    seen: set[int] = set()
    numbered = []
    for frame, now in enumerate(shown):
        alive: dict[int, int] = {}
        for index in np.lexsort((now.position[:, 2], now.position[:, 1], now.position[:, 0])).tolist():
            cell = int(now.cell[index])
            if cell in current:
                alive[cell] = current[cell]
                rows[current[cell] - 1][2] = frame
                continue
            # A daughter continues its mother only where both are in the image, frame after frame.
            parent = 0 if cell in seen else current.get(int(mother[cell]), 0)
            alive[cell] = len(rows) + 1
            rows.append([alive[cell], frame, frame, parent])
            seen.add(cell)
        current = alive
        numbered.append(replace(now, label=np.array([alive[int(cell)] for cell in now.cell], dtype=np.int64)))
    return numbered, Tracks.from_rows(rows)
