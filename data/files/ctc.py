"""The layout of the Cell Tracking Challenge: sequences of a data set, and result folders.

A data set holds, for each sequence ``NN``: images in ``NN``, gold truth in ``NN_GT/SEG`` (some frames,
full masks) and ``NN_GT/TRA`` (all frames, markers, ``man_track.txt``), computer-made silver truth in
``NN_ST/SEG``, and results in ``NN_RES`` (``maskTTT.tif``, ``res_track.txt``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_labels
from celltrail.data.files.tracks import Tracks, format_tracks
from celltrail.data.words import counted

TRACK_FILES = ("res_track.txt", "man_track.txt")


@dataclass(frozen=True)
class Sequence:
    """One sequence of a data set in CTC layout; each folder is ``None`` where it is absent."""

    dataset: Path
    name: str

    def _folder(self, *parts: str) -> Path | None:
        path = self.dataset.joinpath(*parts)
        return path if path.is_dir() else None

    @property
    def images(self) -> Path | None:
        return self._folder(self.name)

    @property
    def gt(self) -> Path | None:
        return self._folder(f"{self.name}_GT")

    @property
    def gt_seg(self) -> Path | None:
        return self._folder(f"{self.name}_GT", "SEG")

    @property
    def gt_tra(self) -> Path | None:
        return self._folder(f"{self.name}_GT", "TRA")

    @property
    def st_seg(self) -> Path | None:
        return self._folder(f"{self.name}_ST", "SEG")

    @property
    def result(self) -> Path | None:
        return self._folder(f"{self.name}_RES")


def find_sequences(dataset: Path) -> list[Sequence]:
    """The sequences of a data set, by name: every ``NN``, ``NN_GT``, ``NN_ST`` or ``NN_RES`` folder counts.

    Raises
    ------
    InputError
        If the folder is missing or holds no sequence.
    """
    dataset = Path(dataset)
    if not dataset.is_dir():
        raise InputError(f"{dataset} does not exist: give a folder in the layout of the CTC (01, 01_GT, 01_RES …).")
    found = (re.fullmatch(r"(\d{2,})(_GT|_ST|_RES)?", path.name) for path in dataset.iterdir() if path.is_dir())
    names = sorted({match.group(1) for match in found if match})
    if not names:
        raise InputError(f"{dataset} holds no sequence: expected folders named 01, 01_GT, 01_ST or 01_RES.")
    return [Sequence(dataset, name) for name in names]


def find_sequence(dataset: Path, name: str) -> Sequence:
    """The sequence of that name; `InputError` names those that there are."""
    sequences = {sequence.name: sequence for sequence in find_sequences(dataset)}
    if name not in sequences:
        raise InputError(f"{dataset} has no sequence {name}: it has {', '.join(sequences)}.")
    return sequences[name]


def track_file(folder: Path) -> Path | None:
    """The track file of a result or truth folder, or ``None``."""
    return next((folder / name for name in TRACK_FILES if (folder / name).is_file()), None)


def digits_for(numbers: Iterable[int]) -> int:
    """How many digits the CTC uses for these frame numbers: 3, or more where 3 are too few."""
    return max(3, len(str(max(numbers, default=0))))


def write_masks(
    folder: Path,
    masks: Iterable[tuple[int, NDArray[np.integer[Any]]]],
    *,
    digits: int = 3,
    prefix: str = "mask",
    bits: Literal[16, 32] = 16,
) -> list[int]:
    """Write label images as ``maskTTT.tif``; returns the frame numbers that were written.

    Call it inside `celltrail.data.writing.output.output_folder`, so that a folder appears whole or not at all.
    """
    written = []
    for number, labels in masks:
        write_labels(folder / f"{prefix}{number:0{digits}d}.tif", labels, bits=bits)
        written.append(number)
    return written


def bits_for(tracks: Tracks) -> Literal[16, 32]:
    """How many bits the labels of some tracks need in a mask."""
    return 16 if int(tracks.label.max(initial=0)) < 2**16 else 32


def write_track_file(path: Path, tracks: Tracks, *, bits: Literal[16, 32] = 16) -> None:
    """Write ``res_track.txt`` or ``man_track.txt``; ``bits``: of the masks that go with it.

    Raises
    ------
    InputError
        If the table breaks an invariant, or has a label that does not fit into the bits.
    """
    problems = tracks.problems()
    if int(tracks.label.max(initial=0)) >= 2**bits:
        problems.append(
            f"{counted(len(tracks), 'track does', 'tracks do')} not fit into the {bits} bits of CTC masks: split the movie, or write another format."
        )
    if problems:
        raise InputError(*problems)
    path.write_text(format_tracks(tracks), encoding="ascii", newline="\n")
