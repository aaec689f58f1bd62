"""The cells of a simulated movie: how they move, push, grow, divide and die."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MITOSIS_FRAMES = 3  # rounding up before a division, and flattening after it
DEATH_FRAMES = 4  # shrinking before a dead cell is gone
FULL = 0.75  # covered share of the world above which no cell enters mitosis (contact inhibition)
CONTACT = 0.85  # centres are pushed apart to this share of the sum of the radii
PERSISTENCE = 0.8  # share of the velocity kept from frame to frame


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

    label, cell (row of `Looks`) : int64 (n,). position : float64 (n, 3), centre z, y, x in
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


@dataclass(frozen=True)
class Habits:
    """How cells behave.

    Attributes
    ----------
    speed : float
        Typical step between frames, drift : step of the whole field, both in radii.
    cycle : float
        Mean frames between divisions.
    death_rate : float
        Probability to begin to die, per frame.
    """

    speed: float
    drift: float
    cycle: float
    death_rate: float


@dataclass(frozen=True)
class Outlines:
    """The shapes of the cells of one frame, ready to be evaluated at many points; one row per cell.

    Attributes
    ----------
    axes : FloatArray
        float64 (n, 5) — factors of an offset: z/radius, and the rows (u from x, u from y, v from x, v from y) of
        its place in the cell's own axes.
    bumps : NDArray[np.complex128]
        Complex (n, 3) — amplitude and phase of the outline's harmonics 2 to 4.
    """

    axes: FloatArray
    bumps: NDArray[np.complex128]

    @classmethod
    def of(cls, now: Snapshot, looks: Looks, frame: int) -> Outlines:
        """The outlines of a snapshot; the harmonics turn with time and vanish in mitosis."""
        cos, sin = np.cos(now.angle), np.sin(now.angle)
        wide, high = 1 / (now.radius * now.stretch), now.stretch / now.radius
        axes = np.stack([1 / now.radius, cos * wide, sin * wide, -sin * high, cos * high], axis=1)
        phase = looks.phase[now.cell] + looks.turning[now.cell] * frame
        return cls(axes, looks.amplitude[now.cell] * np.exp(1j * phase) * (1 - now.mitosis)[:, None])

    def level(self, offset: FloatArray, row: IntArray) -> tuple[FloatArray, FloatArray]:
        """Level function at points given by their offset (3, n) from the centre of the cell in ``row``.

        Returns the level (n,), 0 in the centre and 1 on the outline, and the place (3, n) in the
        cell's own axes z, v, u, in radii.
        """
        z, y, x = offset
        depth, u_x, u_y, v_x, v_y = self.axes[row].T
        place = np.stack([z * depth, v_x * x + v_y * y, u_x * x + u_y * y])
        plane = place[1] ** 2 + place[2] ** 2
        whole = plane + place[0] ** 2
        # cos(k·θ + φ) is the real part of a power of the direction; k = 2, 3, 4.
        direction = (place[2] + 1j * place[1]) / np.sqrt(np.maximum(plane, 1e-12))
        second, third, fourth = self.bumps[row].T
        bumps = (direction**2 * (second + direction * (third + direction * fourth))).real
        # In 3D the bumps fade towards the poles, where the angle means nothing.
        return np.sqrt(whole) / (1 + bumps * plane / np.maximum(whole, 1e-12)), place


class Colony:
    """The living cells, in a world somewhat larger than the image; leaving it means entering at the far side."""

    def __init__(
        self, rng: np.random.Generator, physical: FloatArray, ndim: int, cells: int, radius: float, habits: Habits
    ) -> None:
        self.rng, self.ndim, self.radius, self.habits = rng, ndim, radius, habits
        self.step_length = habits.speed * radius
        self.free = np.array([ndim == 3, True, True])
        margin = np.where(self.free, 2.5 * radius, 0.0)
        self.low, self.high = -margin, physical - 1 + margin
        outside = round(cells * float(np.prod((self.high - self.low)[self.free] / physical[self.free]) - 1))
        total = cells + outside
        position = rng.uniform(self.low, self.high, (total * 4 + 100, 3))
        inner = np.all((position >= 0) & (position <= physical - 1), axis=1)
        inside = rng.uniform(0, np.maximum(physical - 1, 0), (cells, 3))
        self.position = np.concatenate([inside, position[~inner][:outside]]) * self.free
        total = len(self.position)
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
        self.drift *= habits.drift * radius / max(float(np.linalg.norm(self.drift)), 1e-9)
        for _ in range(60):
            self._push_apart()
            self.position[:cells] = np.clip(self.position[:cells], 0, np.maximum(physical - 1, 0))

    def _random_steps(self, n: int) -> FloatArray:
        steps: FloatArray = self.rng.normal(0, max(self.step_length, 1e-9) / np.sqrt(2), (n, 3)) * self.free
        return steps

    def _draw_rates(self, n: int) -> FloatArray:
        rates: FloatArray = 1 / np.maximum(
            self.rng.normal(self.habits.cycle, 0.15 * self.habits.cycle, n), 2 * MITOSIS_FRAMES + 2
        )
        return rates

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
        columns = {
            name: np.concatenate([getattr(self.looks, name), getattr(new, name)])
            for name in self.looks.__dataclass_fields__
        }
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
            np.zeros(len(self.cell), dtype=np.int64),
            self.cell.copy(),
            self.position.copy(),
            self.radii,
            stretch,
            self.angle.copy(),
            mitosis,
            self.dying / DEATH_FRAMES,
        )

    def step(self) -> None:
        """One frame later."""
        rng = self.rng
        crowded = self._covered() > FULL
        waiting = crowded & ((1 - self.phase) / self.rate > MITOSIS_FRAMES)
        self.phase = np.where(waiting | (self.dying > 0), self.phase, self.phase + self.rate)
        self.age += 1
        self.dying = np.where(self.dying > 0, self.dying + 1, 0)
        starts = (rng.random(len(self.cell)) < self.habits.death_rate) & (self.mitosis == 0) & (self.dying == 0)
        self.dying[starts] = 1
        self._keep(self.dying <= DEATH_FRAMES)
        self._divide()
        n = len(self.cell)
        self.velocity = PERSISTENCE * self.velocity + np.sqrt(1 - PERSISTENCE**2) * self._random_steps(n)
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
        direction = np.stack([np.zeros(len(ready)), np.sin(axis), np.cos(axis)], axis=1)
        radius = self.radius * 0.67 ** (1 / self.ndim)
        side = np.tile([1.0, -1.0], len(ready))[:, None] * np.repeat(direction, 2, axis=0) * 0.8 * radius
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
