"""The development movies with a known lineage: masks, images and truth, in the inputs that trackers are judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from celltrail.data import Sequence, open_images, open_labels

SEQUENCES = (
    ("Fluo-N2DL-HeLa", "01"),
    ("DIC-C2DH-HeLa", "01"),
    ("Fluo-N2DH-SIM+-01_GT-only", "01"),
    ("ctc-eval-oracle/ipsc-02", "02"),
    ("ctc-eval-oracle/testing_dataset", "04"),
)


@dataclass(frozen=True)
class Movie:
    """A sequence with full masks: silver truth where there is some, else the markers, which are full."""

    sequence: Sequence

    @property
    def name(self) -> str:
        """Data set and sequence."""
        return f"{self.sequence.dataset.name} {self.sequence.name}"

    @property
    def truth(self) -> Path:
        """The folder NN_GT."""
        return self.sequence.dataset / f"{self.sequence.name}_GT"

    @property
    def images(self) -> dict[int, Any] | None:
        """The images of all frames, or ``None``."""
        return None if self.sequence.images is None else dict(open_images(self.sequence.images))

    def silver(self) -> dict[int, Any]:
        """The masks as they are."""
        return dict(open_labels(self.sequence.st_seg or self.sequence.gt_tra))

    def complete(self) -> dict[int, Any]:
        """The masks, plus a disk of the median cell radius, on background only, for every marker without a mask."""
        masks = self.silver()
        areas = np.concatenate([np.bincount(labels.ravel())[1:] for labels in masks.values()])
        radius = np.sqrt(np.median(areas[areas > 0]) / np.pi)
        for number, markers in open_labels(self.sequence.gt_tra).items():
            labels = masks[number].astype(np.int64)
            free = int(labels.max(initial=0)) + 1
            for marker in np.unique(markers[markers > 0]):
                inside = markers == marker
                if np.bincount(labels[inside])[1:].max(initial=0) * 2 > inside.sum():
                    continue
                centre = np.argwhere(inside).mean(axis=0)
                grid = np.ogrid[tuple(slice(0, n) for n in labels.shape)]
                disk = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2
                labels[(disk | inside) & (labels == 0)] = free
                free += 1
            masks[number] = labels
        return masks


def find_movies(data: Path) -> list[Movie]:
    """Those of the development movies that lie in the folder."""
    found = [Sequence(data / dataset, name) for dataset, name in SEQUENCES]
    return [Movie(sequence) for sequence in found if sequence.gt_tra]


def shuffled(masks: Mapping[int, Any], seed: int = 0) -> dict[int, Any]:
    """Labels permuted in every frame, so that they say nothing about identity."""
    random = np.random.default_rng(seed)
    result = {}
    for number, labels in masks.items():
        present = np.unique(labels[labels > 0])
        lookup = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
        lookup[present] = random.permutation(np.arange(1, len(present) + 1))
        result[number] = lookup[labels]
    return result
