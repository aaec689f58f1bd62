"""Simulated movies with exact truth: cells that move, crowd, divide, die, enter and leave.

Two steps. ``simulate_scene`` lets the cells live and keeps one row per cell and frame;
a :class:`Scene` then renders any frame from these rows, on its own, so that a long movie
never has to fit into memory. ``simulate_movie`` renders all frames.

A cell is the set of points where its level function, 0 in the centre and 1 on the outline,
is below 1; where cells meet, the lower level wins, so masks never overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from data.ctc import digits_for, write_masks, write_track_file
from data.errors import raise_if
from data.progress import Progress, silent
from data.tiff import write_array
from data.tracks import Tracks

Modality = Literal["fluo", "dic"]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MITOSIS_FRAMES = 3  # rounding up before a division, and flattening after it
DEATH_FRAMES = 4  # shrinking before a dead cell is gone
FULL = 0.75  # covered share of the world above which no cell enters mitosis (contact inhibition)
CONTACT = 0.85  # centres are pushed apart to this share of the sum of the radii
SHOWN, KEPT_SHOWN = 0.6, 0.9  # level at the nearest image point below which a cell appears, stays
CHUNK = 2_000_000  # points evaluated at once while drawing


@dataclass(frozen=True)
class Movie:
    """A movie with its truth.

    images : frame → uint16 (fluo) or uint8 (dic). masks : frame → uint16, the label of each cell.
    tracks : Tracks, exactly those of the masks. Shapes are (Y, X) or (Z, Y, X).
    """

    images: Mapping[int, NDArray[Any]]
    masks: Mapping[int, NDArray[np.uint16]]
    tracks: Tracks


@dataclass(frozen=True)
class Looks:
    """What stays the same in a cell through its life; one row per cell.

    brightness (n,); amplitude, phase, turning (n, 3) of the outline's harmonics 2 to 4;
    grain (n, 3): where its texture begins in the block of noise; spot (n, 2, 3): nucleoli, in radii.
    """

    brightness: FloatArray
    amplitude: FloatArray
    phase: FloatArray
    turning: FloatArray
    grain: FloatArray
    spot: FloatArray


@dataclass(frozen=True)
class Snapshot:
    """The cells shown in one frame; one row per cell.

    label, cell (row of :class:`Looks`) : int64 (n,). position : float64 (n, 3), centre z, y, x in
    pixels of the plane (z in units of the plane's pixels). radius, stretch, angle (n,): the outline
    is an ellipse with semi-axes ``radius·stretch`` and ``radius/stretch``. mitosis, death (n,): 0…1.
    """

    label: IntArray
    cell: IntArray
    position: FloatArray
    radius: FloatArray
    stretch: FloatArray
    angle: FloatArray
    mitosis: FloatArray
    death: FloatArray

    def take(self, rows: NDArray[Any]) -> Snapshot:
        """The given rows (indices or a boolean mask)."""
        return Snapshot(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.label)


class Rendered(Mapping[int, NDArray[Any]]):
    """Frames that are drawn whenever they are asked for."""

    def __init__(self, count: int, draw: Callable[[int], NDArray[Any]]) -> None:
        self._count, self._draw = count, draw

    def __getitem__(self, frame: int) -> NDArray[Any]:
        if not 0 <= frame < self._count:
            raise KeyError(frame)
        return self._draw(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True)
class Scene:
    """A simulated movie before it is drawn.

    size : (Y, X) or (Z, Y, X). aspect : size of a voxel along z, in pixels of the plane.
    snapshots : the cells of every frame. tracks : the truth, known without drawing.
    """

    size: tuple[int, ...]
    aspect: float
    modality: Modality
    seed: int
    noise: float
    blur: float
    looks: Looks
    snapshots: list[Snapshot]
    tracks: Tracks

    def draw(self, frame: int) -> tuple[NDArray[Any], NDArray[np.uint16]]:
        """The grey image of one frame, uint16 (fluo) or uint8 (dic), and its label image."""
        labels, *points = self._cover(frame)
        return {"fluo": _paint_fluo, "dic": _paint_dic}[self.modality](self, frame, *points), labels.astype(np.uint16)

    def mask(self, frame: int) -> NDArray[np.uint16]:
        """The label image of one frame alone."""
        return self._cover(frame)[0].astype(np.uint16)

    def movie(self) -> Movie:
        """The movie with frames drawn one at a time, whenever they are asked for."""
        count = len(self.snapshots)
        return Movie(Rendered(count, lambda frame: self.draw(frame)[0]), Rendered(count, self.mask), self.tracks)

    def _cover(self, frame: int) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]:
        """Label image; then per covered pixel its flat index, row in the snapshot, level, place in the cell."""
        now = self.snapshots[frame]
        shape = (1, *self.size)[-3:]
        scale = np.array([self.aspect, 1.0, 1.0])
        reach = np.ceil(1.35 * now.radius.max(initial=1) * now.stretch.max(initial=1) / scale).astype(int)
        if len(self.size) == 2:
            reach[0] = 0
        middle = np.rint(now.position / scale).astype(np.int64)
        reach_of = 1.35 * now.radius * now.stretch
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
            level, place = _level(offset, now.take(row), self.looks, frame)
            inside = level < 1
            flat = (ticks[0][cell, z] * shape[1] + ticks[1][cell, y]) * shape[2] + ticks[2][cell, x]
            parts.append((flat[inside], row[inside], level[inside], place[:, inside]))
        flat, row, level, place = (np.concatenate(column, axis=-1) for column in zip(*parts, strict=True))

        # The lowest level wins a pixel: of repeated indices, numpy keeps the last assignment.
        owner = np.full(int(np.prod(shape)), -1, dtype=np.int64)
        order = np.argsort(-level, kind="stable")
        owner[flat[order]] = row[order]
        # What a neighbour has cut off from the rest of a cell is left to the background.
        pieces = _equal_components((owner + 1).reshape(shape)).ravel()
        anchor = pieces[np.ravel_multi_index(tuple(np.clip(middle, 0, np.array(shape) - 1).T), shape)]
        won = (owner[flat] == row) & (pieces[flat] == anchor[row])
        flat, row, level, place = flat[won], row[won], level[won], place[:, won]
        labels = np.zeros(owner.shape, dtype=np.int64)
        labels[flat] = now.label[row]
        return labels.reshape(self.size), flat, row, level, place


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
    frames : number of frames.
    cells : number of cells whose centre lies in the image in the first frame; more wait outside.
    size : (Y, X) or (Z, Y, X), in pixels.
    modality : "fluo" (bright nuclei on a dark background) or "dic" (shaded relief, low contrast).
    seed : same seed and arguments, same movie.
    crowding : share of the image that cells cover at first; it sets their radius
        (default 0.25 for fluo, 0.4 for dic).
    speed : typical step of a cell between frames, in radii; half of it persists.
    drift : step of the whole field between frames, in radii.
    cycle : mean number of frames between two divisions.
    death_rate : probability that a cell begins to die, per frame.
    aspect : size of a voxel along z, in pixels of the plane (3D only).
    noise : strength of the noise; 0 for none. blur : standard deviation of the blur, in pixels.

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
    rng = np.random.default_rng([seed, 0])
    colony = _Colony(rng, physical, ndim, cells, radius, speed, drift, cycle, death_rate)
    shown: list[Snapshot] = []
    before = np.zeros(0, dtype=np.int64)
    for frame in range(frames):
        if frame:
            colony.step()
        now = colony.snapshot()
        visible = _visible(now, colony.looks, frame, physical, (1, *size)[-3:], np.isin(now.cell, before))
        shown.append(now.take(visible))
        before = now.cell[visible]
    snapshots, tracks = _number_tracks(shown, colony.mother)
    return Scene(tuple(size), aspect, modality, seed, noise, blur, colony.looks, snapshots, tracks)


def simulate_movie(*, progress: Progress = silent, **options: Any) -> Movie:
    """Simulate a movie and draw all of it; see :func:`simulate_scene` for the options.

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
    return Movie(images, masks, scene.tracks)


def write_movie(movie: Movie, dataset: Path, sequence: str = "01", *, progress: Progress = silent) -> None:
    """Write a movie in the layout of the CTC: images in ``NN``, full masks in ``NN_GT/SEG`` and ``NN_GT/TRA``.

    ``dataset`` is created where it is missing; call it inside
    :func:`data.output.output_folder` so that a data set appears whole or not at all.
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
        problems.append(f"{frames} frames cannot be simulated: ask for 1 or more.")
    if cells < 1:
        problems.append(f"{cells} cells cannot be simulated: ask for 1 or more.")
    if len(size) not in (2, 3) or min(size, default=0) < 1:
        problems.append(f"The size {' '.join(map(str, size))} is no image: give Y X, or Z Y X.")
    elif radius < 3.5 and cells > 0:
        problems.append(f"{cells} cells in {' x '.join(map(str, size))} pixels would have a radius of {radius:.1f}: "
                        "ask for fewer cells or a larger image.")  # fmt: skip
    if modality not in ("fluo", "dic"):
        problems.append(f"The modality '{modality}' is not known: choose fluo or dic.")
    if seed < 0:
        problems.append(f"The seed {seed} is negative: choose 0 or more.")
    return problems


def _level(offset: FloatArray, shape: Snapshot, looks: Looks, frame: int) -> tuple[FloatArray, FloatArray]:
    """Level function at points given by their offset (3, n) from the centre, one row of ``shape`` per point.

    Returns the level (n,), and the place (3, n) in the cell's own axes, in radii.
    """
    z, y, x = offset / shape.radius
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    u, v = (cos * x + sin * y) / shape.stretch, (cos * y - sin * x) * shape.stretch
    plane = u**2 + v**2
    distance = np.sqrt(plane + z**2)
    theta = np.arctan2(v, u)
    bumps = np.zeros_like(u)
    for k in range(3):
        phase = looks.phase[shape.cell, k] + looks.turning[shape.cell, k] * frame
        bumps += looks.amplitude[shape.cell, k] * np.cos((k + 2) * theta + phase)
    # In 3D the bumps fade towards the poles, where the angle means nothing.
    bumps *= plane / np.maximum(distance**2, 1e-12) * (1 - shape.mitosis)
    return distance / (1 + bumps), np.stack([z, v, u])


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
    level = _level((probe - now.position).T, now, looks, frame)[0]
    visible: NDArray[np.bool_] = level < np.where(before, KEPT_SHOWN, SHOWN)
    if len(now) > 1:
        pairs = cKDTree(now.position).query_pairs(3 * float(now.radius.max()), output_type="ndarray")
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        other = _level((probe[pairs[:, 0]] - now.position[pairs[:, 1]]).T, now.take(pairs[:, 1]), looks, frame)[0]
        visible[pairs[other <= level[pairs[:, 0]], 0]] = False
    return visible


class _Colony:
    """The living cells, in a world somewhat larger than the image; leaving it means entering at the far side."""

    def __init__(
        self,
        rng: np.random.Generator,
        physical: FloatArray,
        ndim: int,
        cells: int,
        radius: float,
        speed: float,
        drift: float,
        cycle: float,
        death_rate: float,
    ) -> None:
        self.rng, self.ndim, self.radius, self.speed, self.cycle, self.death_rate = (
            rng, ndim, radius, speed * radius, cycle, death_rate,
        )  # fmt: skip
        self.free = np.array([ndim == 3, True, True])
        margin = np.where(self.free, 2.5 * radius, 0.0)
        self.low, self.high = -margin, physical - 1 + margin
        outside = round(cells * float(np.prod((self.high - self.low)[self.free] / physical[self.free]) - 1))
        total = cells + outside
        position = rng.uniform(self.low, self.high, (total * 4 + 100, 3))
        inner = np.all((position >= 0) & (position <= physical - 1), axis=1)
        position = np.concatenate(
            [rng.uniform(0, np.maximum(physical - 1, 0), (cells, 3)), position[~inner][:outside]]
        ) * np.where(self.free, 1, 0)
        self.position = position
        total = len(position)
        self.cell = np.arange(total)
        self.mother = np.full(total, -1)
        self.age = np.full(total, 1000)
        self.phase = rng.uniform(0, 1, total)
        self.rate = self._draw_rates(total)
        self.dying = np.zeros(total)
        self.velocity = self._random_steps(total)
        self.angle = rng.uniform(0, np.pi, total)
        self.stretch = np.exp(rng.uniform(0.0, 0.25, total))
        self.looks = self._draw_looks(total)
        self.drift = self._random_steps(1)[0]
        self.drift *= drift * radius / max(float(np.linalg.norm(self.drift)), 1e-9)
        for _ in range(60):
            self._push_apart()
            self.position[:cells] = np.clip(self.position[:cells], 0, np.maximum(physical - 1, 0))

    def _random_steps(self, n: int) -> FloatArray:
        return self.rng.normal(0, max(self.speed, 1e-9) / np.sqrt(2), (n, 3)) * self.free

    def _draw_rates(self, n: int) -> FloatArray:
        return 1 / np.maximum(self.rng.normal(self.cycle, 0.15 * self.cycle, n), 2 * MITOSIS_FRAMES + 2)

    def _draw_looks(self, n: int) -> Looks:
        rng = self.rng
        return Looks(
            brightness=np.exp(rng.normal(0, 0.3, n)),
            amplitude=np.abs(rng.normal(0, [0.07, 0.05, 0.03], (n, 3))).clip(0, 0.1),
            phase=rng.uniform(0, 2 * np.pi, (n, 3)),
            turning=rng.normal(0, 0.12, (n, 3)),
            grain=rng.uniform(0, 64, (n, 3)),
            spot=rng.uniform(-0.5, 0.5, (n, 2, 3)) * self.free,
        )

    def _add_looks(self, of: IntArray) -> None:
        """New rows for daughters: their own, but nearly as bright as the mother."""
        new = self._draw_looks(len(of))
        bright = self.looks.brightness[of] * np.exp(self.rng.normal(0, 0.08, len(of)))
        columns = {name: np.concatenate([getattr(self.looks, name), getattr(new, name)])
                   for name in self.looks.__dataclass_fields__}  # fmt: skip
        columns["brightness"][-len(of) :] = bright
        self.looks = Looks(**columns)

    @property
    def mitosis(self) -> FloatArray:
        """0 in interphase, 1 in the last frame before the division; falls again after it."""
        left = (1 - self.phase) / self.rate
        before = np.clip(1 - (left - 1) / MITOSIS_FRAMES, 0, 1)
        after = 0.8 * np.clip(1 - (self.age + 1) / MITOSIS_FRAMES, 0, 1)
        return np.maximum(before, after)

    @property
    def radii(self) -> FloatArray:
        """Radii now: twofold growth over the cycle, rounding up in mitosis, shrinking in death."""
        grown = (0.67 + 0.67 * np.clip(self.phase, 0, 1)) ** (1 / self.ndim)
        result: FloatArray = self.radius * grown * (1 - 0.12 * self.mitosis) * (1 - 0.45 * self.dying / DEATH_FRAMES)
        return result

    def snapshot(self) -> Snapshot:
        """The colony as it is now; labels are given later."""
        mitosis = self.mitosis
        stretch = 1 + (self.stretch - 1) * (1 - mitosis)
        return Snapshot(
            np.zeros(len(self.cell), dtype=np.int64), self.cell.copy(), self.position.copy(), self.radii, stretch,
            self.angle.copy(), mitosis, self.dying / DEATH_FRAMES,
        )  # fmt: skip

    def step(self) -> None:
        """One frame later."""
        rng = self.rng
        crowded = self._covered() > FULL
        waiting = crowded & ((1 - self.phase) / self.rate > MITOSIS_FRAMES)
        self.phase = np.where(waiting | (self.dying > 0), self.phase, self.phase + self.rate)
        self.age += 1
        self.dying = np.where(self.dying > 0, self.dying + 1, 0)
        starts = (rng.random(len(self.cell)) < self.death_rate) & (self.mitosis == 0) & (self.dying == 0)
        self.dying[starts] = 1
        self._keep(self.dying <= DEATH_FRAMES)
        self._divide()
        n = len(self.cell)
        persistence = 0.8
        self.velocity = persistence * self.velocity + np.sqrt(1 - persistence**2) * self._random_steps(n)
        self.velocity *= (1 - 0.8 * self.mitosis)[:, None] ** 0.5
        self.angle = self.angle + rng.normal(0, 0.08, n)
        self.stretch = np.exp(np.clip(np.log(self.stretch) + rng.normal(0, 0.03, n), 0, 0.3))
        self.position = self.position + self.velocity + 0.5 * self._random_steps(n) + self.drift
        for _ in range(4):
            self._push_apart()
        extent = np.where(self.free, self.high - self.low, 1.0)
        self.position = np.where(self.free, self.low + (self.position - self.low) % extent, 0.0)

    def _covered(self) -> float:
        ball = np.pi if self.ndim == 2 else 4 / 3 * np.pi
        return float(ball * np.sum(self.radii**self.ndim) / np.prod((self.high - self.low)[self.free]))

    def _keep(self, rows: NDArray[Any]) -> None:
        for name in ("cell", "position", "velocity", "age", "phase", "rate", "dying", "angle", "stretch"):
            setattr(self, name, getattr(self, name)[rows])

    def _divide(self) -> None:
        ready = np.flatnonzero(self.phase >= 1)
        if len(ready) == 0:
            return
        # Each mother's row is taken twice, at the end of the table; then the mothers go.
        pair = np.repeat(ready, 2)
        mothers = self.cell[pair]
        axis = self.rng.uniform(0, 2 * np.pi, len(ready))
        apart = np.stack([np.zeros(len(ready)), np.sin(axis), np.cos(axis)], axis=1)
        radius = self.radius * 0.67 ** (1 / self.ndim)
        side = np.tile([1.0, -1.0], len(ready))[:, None] * np.repeat(apart, 2, axis=0) * 0.8 * radius
        self._keep(np.concatenate([np.flatnonzero(self.phase < 1), pair]))
        new = slice(len(self.cell) - len(pair), None)
        self.cell[new] = len(self.mother) + np.arange(len(pair))
        self.mother = np.concatenate([self.mother, mothers])
        self._add_looks(mothers)
        self.position[new] += side
        self.velocity[new] = 0.3 * side
        self.age[new], self.phase[new], self.rate[new] = 0, 0.0, self._draw_rates(len(pair))
        self.angle[new], self.stretch[new] = np.repeat(axis, 2) + np.pi / 2, 1.15

    def _push_apart(self) -> None:
        """Move cells that lie too close to each other half of their overlap apart."""
        radii = self.radii
        pairs = cKDTree(self.position).query_pairs(2 * float(radii.max(initial=1)), output_type="ndarray")
        if len(pairs) == 0:
            return
        a, b = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].T
        between = self.position[b] - self.position[a]
        distance = np.maximum(np.linalg.norm(between, axis=1), 1e-6)
        missing = np.maximum(CONTACT * (radii[a] + radii[b]) - distance, 0)
        push = between / distance[:, None] * (missing / 2)[:, None]
        np.add.at(self.position, a, -push)
        np.add.at(self.position, b, push)


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
        labels = np.array([alive[int(cell)] for cell in now.cell], dtype=np.int64)
        numbered.append(Snapshot(labels, *(getattr(now, name) for name in list(now.__dataclass_fields__)[1:])))
    return numbered, Tracks.from_rows(rows)


def _light(scene: Scene, strength: float) -> FloatArray:
    """Uneven light over the plane: a vignette off the centre, and a slope; about 1."""
    rng = np.random.default_rng([scene.seed, 1])
    height, width = scene.size[-2:]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    cy, cx, sy, sx = rng.uniform(-0.3, 0.3, 4)
    light: FloatArray = 1 - strength * (0.5 * ((y - cy) ** 2 + (x - cx) ** 2) + sy * y + sx * x - 0.3)
    return light


def _blurred(scene: Scene, picture: FloatArray, sigma: float) -> FloatArray:
    if sigma <= 0:
        return picture
    # Along z a microscope blurs about three times as much.
    widths = (sigma,) * 2 if len(scene.size) == 2 else (3 * sigma / scene.aspect, sigma, sigma)
    result: FloatArray = ndimage.gaussian_filter(picture, widths)
    return result


@cache
def _grain() -> FloatArray:
    """A block of smooth noise that repeats without seams; mean 0, standard deviation 1."""
    noise = np.random.default_rng(0).normal(size=(64, 64, 64))
    block = sum(k * ndimage.gaussian_filter(noise, 1.2 * k, mode="wrap") for k in (1, 2, 3))
    result: FloatArray = (block - block.mean()) / block.std()
    return result


def _texture(scene: Scene, now: Snapshot, row: IntArray, place: FloatArray, scale: float) -> FloatArray:
    """Grain that moves and turns with the cell: the block of noise, at ``scale`` steps per radius."""
    index = np.rint(place * scale + scene.looks.grain[now.cell[row]].T).astype(np.int64) % 64
    result: FloatArray = _grain()[tuple(index)]
    return result


def _paint_fluo(
    scene: Scene, frame: int, flat: IntArray, row: IntArray, level: FloatArray, place: FloatArray
) -> NDArray[np.uint16]:
    now, looks = scene.snapshots[frame], scene.looks
    cell = now.cell[row]
    thickness = 0.4 + 0.6 * np.sqrt(1 - level**2)
    calm = 1 - 0.7 * now.mitosis[row]
    grain = 1 + 0.16 * calm * _texture(scene, now, row, place, 12)
    for k in range(2):
        grain -= 0.45 * calm * np.exp(-np.sum((place - looks.spot[cell, k].T) ** 2, axis=0) / 0.03)
    bright = looks.brightness[cell] * (1 + 0.9 * now.mitosis[row]) * (1 + 0.6 * now.death[row])
    picture = np.zeros(int(np.prod(scene.size)))
    picture[flat] = bright * thickness * grain
    picture = _blurred(scene, picture.reshape(scene.size), scene.blur)
    # Light from cells out of focus lies as haze between them.
    picture = picture + 0.12 * _blurred(scene, picture, 8 * max(scene.blur, 0.5)) + 0.12
    photons = 120 * 0.998**frame * picture * _light(scene, 0.35)
    rng = np.random.default_rng([scene.seed, 2, frame])
    noise = rng.standard_normal(scene.size, dtype=np.float32)
    # Shot noise (variance equal to the mean, as a normal variable) and the camera's own.
    counts = 100 + 8 * (photons + scene.noise * np.sqrt(photons + 9) * noise)
    return np.clip(np.rint(counts), 0, 65_535).astype(np.uint16)


def _paint_dic(
    scene: Scene, frame: int, flat: IntArray, row: IntArray, level: FloatArray, place: FloatArray
) -> NDArray[np.uint8]:
    now, looks = scene.snapshots[frame], scene.looks
    flatness = 1 - now.mitosis[row]
    # Spread cells are flat with a faint rim; round ones are steep.
    height = flatness * (1 - level**3) + 1.7 * now.mitosis[row] * np.sqrt(1 - level**2)
    height += 0.16 * flatness * _texture(scene, now, row, place, 24) * (1 - level**2)
    for k in range(2):
        spot = np.sum((place - looks.spot[now.cell[row], k].T) ** 2, axis=0)
        height += 0.25 * flatness * np.exp(-spot / 0.04)
    bump = np.zeros(int(np.prod(scene.size)))
    bump[flat] = height * now.radius[row] * looks.brightness[now.cell[row]] ** 0.5
    bump = _blurred(scene, bump.reshape(scene.size), scene.blur)
    # Differential interference shows the slope of the phase along the shear, here down to the right.
    slope = (np.gradient(bump, axis=-1) + np.gradient(bump, axis=-2)) / np.sqrt(2)
    rng = np.random.default_rng([scene.seed, 2, frame])
    noise = rng.standard_normal(scene.size, dtype=np.float32)
    grey = 125 * _light(scene, 0.25) + 16 * slope + 5 * scene.noise * noise
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
