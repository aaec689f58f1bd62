"""Weights of the loss on disk: one file per frame, as ``preview weights --write`` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.movie import LazyFrames
from celltrail.data.files.opening import number_of, open_images
from celltrail.data.writing.output import output_file

FORMATS = ("tif", "npy")


def write_weights(folder: Path, number: int, weight: NDArray[np.float32], kind: str, digits: int = 3) -> None:
    """Write the weights of one frame: ``weightTTT.tif`` or ``weightTTT.npy``, float32."""
    path = folder / f"weight{number:0{digits}d}.{kind}"
    if kind == "npy":
        with output_file(path) as work, work.open("wb") as stream:
            np.save(stream, weight)
    else:
        write_array(path, weight)


def open_weights(folder: Path) -> Mapping[int, NDArray[Any]]:
    """The weights in a folder (.npy, else TIFF) by frame number, read one at a time.

    Raises
    ------
    InputError
        If the folder is missing or holds no weights; later, if a file cannot be read or holds no finite numbers.
    """
    folder = Path(folder)
    arrays = sorted(folder.glob("*.npy")) if folder.is_dir() else []
    by_number = {number: path for path in arrays if (number := number_of(path)) is not None}
    return WeightFiles(by_number) if by_number else open_images(folder)


class WeightFiles(LazyFrames):
    """Weights in .npy files as a mapping from frame number to array; lazy."""

    def __init__(self, paths: Mapping[int, Path]) -> None:
        super().__init__(sorted(paths))
        self.paths = paths

    def __getitem__(self, number: int) -> NDArray[Any]:
        path = self.paths[number]
        try:
            weight: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise InputError(
                f"{path} is not a readable NumPy array: write it again with 'celltrail preview weights --write'."
            ) from None
        if weight.dtype.kind not in "fiu" or not np.isfinite(weight).all():
            raise InputError(f"{path} holds values that are no finite numbers: replace them.")
        return weight
