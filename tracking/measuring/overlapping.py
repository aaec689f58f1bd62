"""Movies whose frames are stacks of label images, because some of their objects exclude each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.movie import LazyFrames
from celltrail.data.progress import Progress, silent
from celltrail.data.types import BoolArray, FloatArray, IntArray

Shape = tuple[tuple[slice, ...], BoolArray]  # a box, and a mask within it


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of ``n`` objects of a layered movie, and which exclude each other.

    Attributes
    ----------
    reward : FloatArray
        float64 (n,), nats gained by using an object.
    share : FloatArray
        float64 (n,), for how many typical cells it counts.
    hypothesis : IntArray
        int64 (n,), its number among the hypotheses of its frame; −1 for a plain mask. Hypotheses, and masks in a
        clique, may be left out.
    event : IntArray
        int64 (n,), twice the number of the error that a mask may be part of, one more for what it may be instead; −1: none.
        All frames of an error are read the same way.
    clique_id, clique_row : IntArray
        int64 (k,), sets of objects of which at most one may be used.
    """

    reward: FloatArray
    share: FloatArray
    hypothesis: IntArray
    event: IntArray
    clique_id: IntArray
    clique_row: IntArray


class LayeredMovie(LazyFrames):
    """Frame number → label images (L, Y, X) or (L, Z, Y, X); a label is unique within its frame.

    Attributes
    ----------
    path, voxel
        Of the files that it was made from.
    """

    path: Path | None
    voxel: tuple[float, float, float] | None

    @property
    @abstractmethod
    def doubtful(self) -> Collection[int]:
        """The frames in which there is something to choose."""

    @property
    @abstractmethod
    def considered(self) -> int:
        """How many choices there are beside the masks."""

    @abstractmethod
    def mask(self, number: int) -> NDArray[Any]:
        """The masks of a frame, to which its other objects are alternatives."""

    @abstractmethod
    def shapes(self, number: int) -> Mapping[int, Shape]:
        """Label → box and voxels within it, of the objects of a frame; not of those that are masks as they are."""

    @abstractmethod
    def draw(self, number: int, labels: IntArray, new: IntArray) -> NDArray[np.int64]:
        """Label image of chosen objects: ``labels`` become ``new`` (0: left out)."""

    @abstractmethod
    def evidence(self, frame: IntArray, label: IntArray, progress: Progress = silent) -> Evidence:
        """What speaks for the objects of all frames, given by frame and label."""
