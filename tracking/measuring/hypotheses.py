"""Overlapping hypotheses as the detections of a movie: segmentation and tracking decided together.

A frame of hypotheses is a stack of label images, its layers: hypotheses that overlap lie in
different layers. The label of a hypothesis is its row in ``hypTTT.npz`` plus 1. Those that could never
be the better choice are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.hypotheses import Hypotheses, find_cliques, paint, read_hypotheses
from celltrail.data.files.movie import Frames
from celltrail.data.progress import Progress, silent
from celltrail.tracking.measuring.hypothesis_weights import weigh
from celltrail.tracking.measuring.overlapping import Evidence, LayeredMovie

IntArray = NDArray[np.int64]


class HypothesisMovie(LayeredMovie):
    """The hypotheses that lie beside the masks of a folder, frame number → layers (L, Y, X) or (L, Z, Y, X).

    Raises
    ------
    InputError
        If a frame has no hypotheses, or they have another shape than the masks.
    """

    def __init__(self, masks: Frames) -> None:
        folder = masks.path
        self.path, self.voxel, self.shape = folder, masks.voxel, masks.shape
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
        self._keep_what_is_read()

    def between(self, frames: range) -> HypothesisMovie:
        """The same movie, only the frames whose number is in ``frames``."""
        part = copy(self)
        part.file_of = {number: path for number, path in self.file_of.items() if number in frames}
        part.files = list(part.file_of.values())
        return part

    def __getstate__(self) -> dict[str, Any]:
        """A movie that travels to another process names its files from the root, and leaves what it has read."""
        files = {number: path.absolute() for number, path in self.file_of.items()}
        return {**self.__dict__, "file_of": files, "files": list(files.values()), "read": None, "weighed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._keep_what_is_read()

    def _keep_what_is_read(self) -> None:
        self.read = lru_cache(maxsize=4)(self._read)
        self.weighed = lru_cache(maxsize=4)(lambda number: weigh(self.read(number)))

    def _read(self, number: int) -> Hypotheses:
        found = read_hypotheses(self.file_of[number])
        if found.shape != self.shape:
            raise InputError(
                f"{self.file_of[number]} has the shape {found.shape}, its mask has {self.shape}: "
                "run 'celltrail segment --hypotheses' again."
            )
        return found

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        found, (rows, _, _) = self.read(number), self.weighed(number)
        layers = [np.zeros(self.shape, dtype=np.int64)]
        for row in rows.tolist():
            box, mask = found.box(row), found.mask(row)
            free = next((layer for layer in layers if not (layer[box][mask]).any()), None)
            if free is None:
                free = np.zeros(self.shape, dtype=np.int64)
                layers.append(free)
            free[box][mask] = row + 1
        return np.stack(layers)

    def __contains__(self, number: object) -> bool:
        return number in self.file_of

    def __iter__(self) -> Iterator[int]:
        return iter(self.file_of)

    def __len__(self) -> int:
        return len(self.file_of)

    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen hypotheses: ``labels`` become ``new`` (0: left out); a shared pixel goes to the first."""
        used = np.flatnonzero(new)
        painted = paint(self.read(number), (labels[used] - 1).tolist())
        return np.concatenate([[0], new[used]]).astype(np.int64)[painted]

    def evidence(self, frame: IntArray, label: IntArray, progress: Progress = silent) -> Evidence:
        """What speaks for each hypothesis (see `celltrail.tracking.measuring.hypothesis_weights.weigh`), and which exclude each other."""
        reward, share = np.zeros(len(frame)), np.ones(len(frame))
        ids: list[int] = []
        members: list[int] = []
        for done, number in enumerate(self):
            progress("hypotheses", done, len(self))
            here = np.flatnonzero(frame == number)
            here = here[np.argsort(label[here])]
            rows, share[here], reward[here] = self.weighed(number)
            for clique in find_cliques(self.read(number), rows):
                name = ids[-1] + 1 if ids else 0
                ids += [name] * len(clique)
                members += here[np.searchsorted(rows, clique)].tolist()
        progress("hypotheses", len(self), len(self))
        return Evidence(reward, share, label - 1, np.array(ids, dtype=np.int64), np.array(members, dtype=np.int64))
