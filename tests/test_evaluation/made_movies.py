"""Small movies with a truth and a result: written by hand, or drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from celltrail.data.files.ctc import write_track_file
from celltrail.data.files.tracks import Tracks

Masks = dict[int, NDArray[np.integer]]


@dataclass
class Movie:
    """Label images by frame, and their tracks."""

    masks: Masks
    tracks: Tracks | None = None


def draw(rows: Mapping[int, str]) -> Masks:
    """Label images from text: one line per row of pixels, ``.`` is background, digits and letters are labels."""
    return {
        frame: np.array([[0 if c == "." else int(c, 36) for c in line] for line in text.split()], dtype=np.uint16)
        for frame, text in rows.items()
    }


def write_sequence(
    folder: Path, truth: Movie, result: Movie, *, seg: Masks | None = None, name: str = "01"
) -> tuple[Path, Path]:
    """Write ``NN_GT`` (markers, and full masks: the same, unless given) and ``NN_RES``; returns both folders."""
    gt, res = folder / f"{name}_GT", folder / f"{name}_RES"
    for part in (gt / "TRA", gt / "SEG", res):
        part.mkdir(parents=True, exist_ok=True)
    for frame, labels in truth.masks.items():
        tifffile.imwrite(gt / "TRA" / f"man_track{frame:03d}.tif", labels, photometric="minisblack")
    for frame, labels in (truth.masks if seg is None else seg).items():
        tifffile.imwrite(gt / "SEG" / f"man_seg{frame:03d}.tif", labels, photometric="minisblack")
    for frame, labels in result.masks.items():
        tifffile.imwrite(res / f"mask{frame:03d}.tif", labels, photometric="minisblack")
    if truth.tracks is not None:
        write_track_file(gt / "TRA" / "man_track.txt", truth.tracks)
    if result.tracks is not None:
        write_track_file(res / "res_track.txt", result.tracks)
    return gt, res


@dataclass
class _Graph:
    """Detections (frame, box) and for each the detection it comes from."""

    detections: list[tuple[int, tuple[int, int, int, int]]] = field(default_factory=list)
    source: dict[int, int] = field(default_factory=dict)

    def movie(self, shape: tuple[int, int], frames: int, rng: np.random.Generator, keep: float) -> Movie:
        """Draw it; a single successor in the next frame keeps the label with probability ``keep``."""
        masks = {frame: np.zeros(shape, dtype=np.int64) for frame in range(frames)}
        for number, (frame, (y, x, h, w)) in enumerate(self.detections):
            masks[frame][y : y + h, x : x + w] = number + 1
        visible = {int(n) - 1 for labels in masks.values() for n in np.unique(labels) if n}
        followers: dict[int, list[int]] = {}
        for target, source in self.source.items():
            if target in visible and source in visible:
                followers.setdefault(source, []).append(target)
        label: dict[int, int] = {}
        rows: dict[int, list[int]] = {}
        names = iter(rng.permutation(np.arange(1, 3 * len(self.detections) + 2)).tolist())
        for number in sorted(visible, key=lambda n: (self.detections[n][0], n)):
            frame = self.detections[number][0]
            source = self.source.get(number)
            source = source if source in visible else None
            if (
                source is not None
                and len(followers[source]) == 1
                and frame == self.detections[source][0] + 1
                and rng.random() < keep
            ):
                label[number] = label[source]
                rows[label[number]][2] = frame
                continue
            label[number] = next(names)
            rows[label[number]] = [label[number], frame, frame, 0 if source is None else label[source]]
        lookup = np.zeros(len(self.detections) + 1, dtype=np.uint16)
        for number, name in label.items():
            lookup[number + 1] = name
        return Movie({frame: lookup[labels] for frame, labels in masks.items()}, Tracks.from_rows(rows.values()))


def random_pair(seed: int) -> tuple[Movie, Movie]:
    """A truth and a result of it that is wrong in every way: masks missing, merged, shifted and invented, links lost,
    swapped and invented, tracks cut, divisions too early, too late, with too many children.
    """
    rng = np.random.default_rng(seed)
    frames, grid, step = int(rng.integers(3, 9)), (int(rng.integers(2, 4)), int(rng.integers(2, 5))), 9
    shape = (grid[0] * step + 4, grid[1] * step + 4)
    sites = [(i, j) for i in range(grid[0]) for j in range(grid[1])]
    truth, result = _Graph(), _Graph()
    at: dict[tuple[int, tuple[int, int]], int] = {}
    fill = rng.uniform(0.4, 0.95)

    def near(frame: int, site: tuple[int, int], table: dict[tuple[int, tuple[int, int]], int]) -> list[int]:
        around = [(site[0] + a, site[1] + b) for a, b in ((0, 0), (0, 1), (1, 0), (-1, 0), (0, -1))]
        back = 1 if rng.random() < 0.9 else 2
        return [table[frame - back, s] for s in around if (frame - back, s) in table]

    for frame in range(frames):
        for site in sites:
            if rng.random() < fill or site == sites[0]:
                box = (
                    site[0] * step + 2 + int(rng.integers(0, 2)),
                    site[1] * step + 2 + int(rng.integers(0, 2)),
                    int(rng.integers(3, 7)),
                    int(rng.integers(3, 7)),
                )
                sources = near(frame, site, at)
                at[frame, site] = len(truth.detections)
                truth.detections.append((frame, box))
                if sources and rng.random() < 0.9:
                    truth.source[at[frame, site]] = sources[0] if rng.random() < 0.7 else int(rng.choice(sources))
    copy: dict[int, int] = {}
    where: dict[tuple[int, tuple[int, int]], int] = {}
    wrong = rng.uniform(0, 0.3)
    swallowed: set[tuple[int, tuple[int, int]]] = set()
    for (frame, site), number in at.items():
        if (frame, site) in swallowed or (rng.random() < wrong and site != sites[0]):
            continue
        _, (y, x, h, w) = truth.detections[number]
        if rng.random() < wrong:
            y, x = y + int(rng.integers(-1, 3)), x + int(rng.integers(-1, 3))
        if rng.random() < wrong:
            h, w = h + 2, w + step * int(rng.integers(1, 3))  # one mask over two or three cells
            swallowed |= {(frame, (site[0], site[1] + 1)), (frame, (site[0], site[1] + 2))}
        copy[number] = where[frame, site] = len(result.detections)
        result.detections.append((frame, (max(y, 0), max(x, 0), h, w)))
        source = copy.get(truth.source.get(number, -1))
        if source is not None and rng.random() > wrong:
            result.source[copy[number]] = source
        elif rng.random() < 0.5:
            sources = near(frame, site, where)
            if sources:
                result.source[copy[number]] = int(rng.choice(sources))
    keep = float(rng.choice([1.0, 0.9]))
    return truth.movie(shape, frames, rng, 0.97), result.movie(shape, frames, rng, keep)
