"""Overlapping hypotheses as the detections of a movie: segmentation and tracking decided together.

A frame of hypotheses is a stack of label images, its layers: hypotheses that overlap lie in
different layers. A hypothesis that equals a mask beside it has its label, the others have labels above the largest of
the frame (`celltrail.data.files.hypotheses.labels_of`). Those that could never be the better choice are not among them.
Where the mask is another one than that which the hypotheses were made with, because somebody has edited it, the frame's
hypotheses are ignored, aloud: its masks are all there is to choose from.
"""

from __future__ import annotations

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
from celltrail.data.progress import Progress, silent
from celltrail.data.running.log_file import logger
from celltrail.data.types import IntArray
from celltrail.tracking.measuring.hypothesis_weights import weigh
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie

BELIEVED = 5.0  # log-odds of a mask that somebody has drawn


class HypothesisMovie(LayeredMovie):
    """The hypotheses that lie beside the masks of a folder, frame number → layers (L, Y, X) or (L, Z, Y, X).

    Raises
    ------
    InputError
        If a frame has no hypotheses, or they have another shape than the masks.
    """

    def __init__(self, masks: Frames) -> None:
        folder = masks.path
        self.path, self.voxel, self.shape, self.given = folder, masks.voxel, masks.shape, masks
        known = {
            int(path.stem.removeprefix("hyp")): path for path in folder.glob("hyp*.npz") if path.stem[3:].isdigit()
        }
        missing = [number for number in masks if number not in known]
        if missing:
            raise InputError(
                f"{folder} has no hypotheses for {len(missing)} frames (first: frame {missing[0]}): "
                "run 'celltrail segment --hypotheses'."
            )
        self.file_of: dict[int, Path] = {number: known[number] for number in masks}
        self.files = list(self.file_of.values())
        super().__init__(self.file_of)
        self._keep_what_is_read()
        self._say_edited()

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
        forgotten = dict.fromkeys(("read", "weighed", "labels"))
        return {**self.__dict__, "file_of": files, "files": list(files.values()), **forgotten}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._keep_what_is_read()

    def _keep_what_is_read(self) -> None:
        self.read = lru_cache(maxsize=4)(self._read)
        self.weighed = lru_cache(maxsize=4)(lambda number: weigh(self.read(number)))
        self.labels = lru_cache(maxsize=4)(lambda number: labels_of(self.read(number), self.given[number]))

    def _say_edited(self) -> None:
        edited = [number for number, path in self.file_of.items() if not self._fits(read_mask_hash(path), number)]
        if edited:
            logger.warning(
                "The masks of %d frames (first: frame %d) are not those that their hypotheses were made with: they have "
                "been edited, so these hypotheses are ignored and the masks believed.",
                len(edited),
                edited[0],
            )

    def _fits(self, sha256: str, number: int) -> bool:
        return not sha256 or sha256 == hash_of_mask(self.given[number])

    def _read(self, number: int) -> Hypotheses:
        found = read_hypotheses(self.file_of[number])
        if found.shape != self.shape:
            raise InputError(
                f"{self.file_of[number]} has the shape {found.shape}, its mask has {self.shape}: "
                "run 'celltrail segment --hypotheses' again."
            )
        if not self._fits(found.mask_sha256, number):
            return from_labels(np.asarray(self.given[number]).astype(np.int64), BELIEVED)
        return found

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        found, (rows, _, _), labels = self.read(number), self.weighed(number), self.labels(number)
        layers = [np.zeros(self.shape, dtype=np.int64)]
        for row in rows.tolist():
            box, mask = found.box(row), found.mask(row)
            free = next((layer for layer in layers if not (layer[box][mask]).any()), None)
            if free is None:
                free = np.zeros(self.shape, dtype=np.int64)
                layers.append(free)
            free[box][mask] = labels[row]
        return np.stack(layers)

    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen hypotheses: ``labels`` become ``new`` (0: left out); a shared pixel goes to the first."""
        used = np.flatnonzero(new)
        row_of = {label: row for row, label in enumerate(self.labels(number).tolist())}
        painted = paint(self.read(number), [row_of[label] for label in labels[used].tolist()])
        return np.concatenate([[0], new[used]]).astype(np.int64)[painted]

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
            rows, share[here], reward[here] = self.weighed(number)
            for clique in find_cliques(self.read(number), rows):
                name = ids[-1] + 1 if ids else 0
                ids += [name] * len(clique)
                members += here[np.searchsorted(rows, clique)].tolist()
        progress("hypotheses", len(self), len(self))
        return Evidence(
            reward=reward,
            share=share,
            hypothesis=hypothesis,
            clique_id=np.array(ids, dtype=np.int64),
            clique_row=np.array(members, dtype=np.int64),
        )
