"""Overlapping hypotheses as the detections of a movie: segmentation and tracking decided together.

A frame of hypotheses is a stack of label images, its layers: hypotheses that overlap lie in
different layers. A hypothesis that equals a mask beside it has its label, the others have labels above the largest of
the frame (`celltrail.data.files.hypotheses.labels_of`). Those that could never be the better choice are not among them.
Where the mask is another one than that which the hypotheses were made with, because somebody has edited it, the frame's
hypotheses are ignored, aloud: its masks are all there is to choose from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.hypotheses import (
    Hypotheses,
    find_cliques,
    from_labels,
    hash_of_mask,
    labels_of,
    paint,
    read_hypotheses,
    read_mask_hash,
)
from celltrail.data.files.movie import Frames, LazyFrames
from celltrail.data.labels.outlines import close_gaps
from celltrail.data.progress import Progress, silent
from celltrail.data.running.log_file import logger
from celltrail.data.types import FloatArray, IntArray, Masks
from celltrail.data.words import counted
from celltrail.tracking.measuring.hypothesis_weights import weigh
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie, Shape
from celltrail.tracking.measuring.pixels import LOOKUP_LIMIT, relabel

BELIEVED = 5.0  # log-odds of a mask that somebody has drawn


def files_of(folder: Path) -> dict[int, Path]:
    """The hypotheses in a folder, by the number of their frame."""
    return {int(path.stem.removeprefix("hyp")): path for path in folder.glob("hyp*.npz") if path.stem[3:].isdigit()}


def have_hypotheses(masks: Masks) -> bool:
    """Whether there are hypotheses for all frames beside these masks; those for a part of them are none, said aloud."""
    if not isinstance(masks, Frames) or not masks.path.is_dir():
        return False
    known = set(masks) & set(files_of(masks.path))
    if known and len(known) < len(masks):
        logger.warning(
            "%d of %s have no hypotheses beside their masks (first: frame %d), so none are used: run 'celltrail segment' "
            "again.",
            len(masks) - len(known),
            counted(len(masks), "frame"),
            min(set(masks) - known),
        )
    return bool(known) and len(known) == len(masks)


class HypothesisMovie(LayeredMovie):
    """The hypotheses that lie beside the masks of a folder, frame number → layers (L, Y, X) or (L, Z, Y, X).

    Parameters
    ----------
    given : Frames
        The masks, frame number → int (Y, X) or (Z, Y, X).
    drawn : Mapping[int, NDArray[Any]]
        Frame number → masks, int (Y, X) or (Z, Y, X), that are believed instead of those in the folder and of their
        hypotheses.

    Raises
    ------
    InputError
        If a frame has no hypotheses, or they have another shape than the masks.
    """

    def __init__(self, given: Frames, drawn: Mapping[int, NDArray[Any]] | None = None) -> None:
        folder = given.path
        self.path, self.voxel, self.shape, self.given, self.drawn = folder, given.voxel, given.shape, given, drawn or {}
        known = files_of(folder)
        missing = [number for number in given if number not in known]
        if missing:
            raise InputError(
                f"{folder} has no hypotheses for {counted(len(missing), 'frame')} (first: frame {missing[0]}): "
                "run 'celltrail segment'."
            )
        self.file_of: dict[int, Path] = {number: known[number] for number in given}
        self.files = list(self.file_of.values())
        super().__init__(self.file_of)
        self._keep_what_is_read()
        self.edited = [
            number
            for number, path in self.file_of.items()
            if number not in self.drawn and not self.fits(number, read_mask_hash(path))
        ]

    def between(self, frames: range) -> HypothesisMovie:
        """The same movie, only the frames whose number is in ``frames``."""
        part = copy(self)
        part.file_of = {number: path for number, path in self.file_of.items() if number in frames}
        part.files = list(part.file_of.values())
        LazyFrames.__init__(part, part.file_of)
        return part

    def __getstate__(self) -> dict[str, Any]:
        """A movie that travels to another process names its files from the root, and leaves what it has read."""
        files = {number: path.absolute() for number, path in self.file_of.items()}
        forgotten = dict.fromkeys(("read", "fits", "weighed", "labels"))
        return {**self.__dict__, "file_of": files, "files": list(files.values()), **forgotten}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._keep_what_is_read()

    def _keep_what_is_read(self) -> None:
        self.read = lru_cache(maxsize=4)(self._read)
        # These are small, and asked for again and again.
        self.fits = lru_cache(maxsize=None)(self._fits)
        self.weighed = lru_cache(maxsize=None)(self._weighed)
        self.labels = lru_cache(maxsize=None)(lambda number: labels_of(self.read(number), self.mask(number)))

    @property
    def doubtful(self) -> Collection[int]:
        return self

    @property
    def considered(self) -> int:
        names = ((self.labels(number)[self.weighed(number)[0]], self.mask(number)) for number in self)
        return sum(int((labels > mask.max(initial=0)).sum()) for labels, mask in names)

    def shapes(self, number: int) -> dict[int, Shape]:
        found, (rows, *_), labels = self.read(number), self.weighed(number), self.labels(number)
        return {int(labels[row]): (found.box(row), found.mask(row)) for row in rows.tolist()}

    def mask(self, number: int) -> NDArray[Any]:
        return np.asarray(self.drawn[number] if number in self.drawn else self.given[number])

    def not_among(self, cells: Iterable[tuple[int, int]]) -> set[int]:
        """The frames of those cells, masks by frame and label, that are none of the hypotheses to choose from."""
        there = [(number, label) for number, label in cells if number in self]
        return {
            number
            for number, label in there
            if label not in self.labels(number)[self.weighed(number)[0]] and (self.mask(number) == label).any()
        }

    def say_edited(self) -> None:
        """Tell which frames have other masks than those that their hypotheses were made with."""
        if self.drawn:
            logger.warning(
                "Pins speak of masks in %s (first: frame %d): there the masks are believed, and their hypotheses ignored.",
                counted(len(self.drawn), "frame"),
                min(self.drawn),
            )
        if self.edited:
            logger.warning(
                "The masks of %s (first: frame %d) are not those that their hypotheses were made with: they have "
                "been edited, so these hypotheses are ignored and the masks believed.",
                counted(len(self.edited), "frame"),
                self.edited[0],
            )

    def _fits(self, number: int, sha256: str) -> bool:
        return number not in self.drawn and (not sha256 or sha256 == hash_of_mask(self.given[number]))

    def _read(self, number: int) -> Hypotheses:
        found = read_hypotheses(self.file_of[number])
        if found.shape != self.shape:
            raise InputError(
                f"{self.file_of[number]} has the shape {found.shape}, its mask has {self.shape}: "
                "run 'celltrail segment' again."
            )
        if not self.fits(number, found.mask_sha256):
            return from_labels(self.mask(number).astype(np.int64), BELIEVED)
        return found

    def _weighed(self, number: int) -> tuple[IntArray, FloatArray, FloatArray, list[IntArray]]:
        """`weigh`, and the sets of hypotheses that exclude each other among those that may be cells."""
        found = self.read(number)
        rows, share, reward = weigh(found)
        return rows, share, reward, find_cliques(found, rows)

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        layers = [np.zeros(self.shape, dtype=np.int64)]
        for label, (box, mask) in self.shapes(number).items():
            free = next((layer for layer in layers if not (layer[box][mask]).any()), None)
            if free is None:
                free = np.zeros(self.shape, dtype=np.int64)
                layers.append(free)
            free[box][mask] = label
        return np.stack(layers)

    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen hypotheses: ``labels`` become ``new`` (0: left out); a shared pixel goes to the first.

        The masks that `celltrail segment` has written are such an image: only what was chosen otherwise is drawn anew.
        """
        found, names, mask = self.read(number), self.labels(number), self.mask(number)
        row_of = {label: row for row, label in enumerate(names.tolist())}
        chosen = np.array([row_of[label] for label in labels[new > 0].tolist()], dtype=np.int64)
        value = np.zeros(len(found), dtype=np.int64)
        value[chosen] = new[new > 0]
        top = int(mask.max(initial=0))
        as_mask = np.flatnonzero(names <= top)
        is_image = (
            found.mask_sha256 and top < LOOKUP_LIMIT and np.count_nonzero(np.bincount(mask.ravel())[1:]) == len(as_mask)
        )
        if not is_image:
            return np.append(0, value[chosen])[paint(found, chosen.tolist())]
        drawn = relabel(mask, names[as_mask], value[as_mask])
        for row in np.setxor1d(as_mask, chosen).tolist():
            _draw_around(drawn, found, row, chosen, value)
        return drawn

    def evidence(self, frame: IntArray, label: IntArray, progress: Progress = silent) -> Evidence:
        """What speaks for each hypothesis (see `celltrail.tracking.measuring.hypothesis_weights.weigh`), and which exclude each other."""
        reward, share, hypothesis = np.zeros(len(frame)), np.ones(len(frame)), np.zeros(len(frame), dtype=np.int64)
        ids: list[int] = []
        members: list[int] = []
        for done, number in enumerate(self):
            progress("hypotheses", done, len(self))
            here = np.flatnonzero(frame == number)
            row_of = {name: row for row, name in enumerate(self.labels(number).tolist())}
            hypothesis[here] = [row_of[name] for name in label[here].tolist()]
            here = here[np.argsort(hypothesis[here])]
            rows, share[here], reward[here], cliques = self.weighed(number)
            for clique in cliques:
                name = ids[-1] + 1 if ids else 0
                ids += [name] * len(clique)
                members += here[np.searchsorted(rows, clique)].tolist()
        progress("hypotheses", len(self), len(self))
        return Evidence(
            reward=reward,
            share=share,
            hypothesis=hypothesis,
            event=np.full(len(frame), -1),
            clique_id=np.array(ids, dtype=np.int64),
            clique_row=np.array(members, dtype=np.int64),
        )


def _draw_around(drawn: NDArray[np.int64], found: Hypotheses, row: int, chosen: IntArray, value: IntArray) -> None:
    """Draw chosen hypotheses anew around one that was added or taken: as far as gaps to it are closed."""
    ndim = len(found.shape)

    def around(reach: int) -> tuple[IntArray, IntArray]:
        return np.maximum(found.bbox[row, :ndim] - reach, 0), np.minimum(found.bbox[row, ndim:] + reach, found.shape)

    first, last = around(4 * found.gap)  # what may be the nearest cell to a pixel of a gap
    part = np.zeros(last - first, dtype=np.int64)
    for one in chosen[((found.bbox[chosen, :ndim] < last) & (found.bbox[chosen, ndim:] > first)).all(axis=1)].tolist():
        low, high = found.bbox[one, :ndim], found.bbox[one, ndim:]
        start, stop = np.maximum(low, first), np.minimum(high, last)
        mine = found.mask(one)[_box(start - low, stop - low)]
        there = part[_box(start - first, stop - first)]
        there[mine & (there == 0)] = value[one]
    low, high = around(found.gap)
    drawn[_box(low, high)] = close_gaps(part, found.gap)[_box(low - first, high - first)]


def _box(low: IntArray, high: IntArray) -> tuple[slice, ...]:
    return tuple(map(slice, low.tolist(), high.tolist()))
