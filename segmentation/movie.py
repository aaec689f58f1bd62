"""From a movie to masks, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.progress import Progress, silent
from segmentation.candidates import label_cells
from segmentation.checkpoint import load_model
from segmentation.model import Model
from segmentation.prediction import predict

SAME_AS_NEIGHBOUR = 0.8  # share of foreground pixels; real 8-bit images stay below 0.4


def refuse_masks(images: Mapping[int, NDArray[Any]], where: object) -> None:
    """Raise :class:`InputError` if the first frame is a label image or a binary mask, not a picture of cells.

    In a mask nearly every pixel of an object equals its neighbour; in a picture hardly any does.
    """
    frame = np.asarray(images[min(images)])
    right = frame[..., 1:][frame[..., 1:] > 0]
    left = frame[..., :-1][frame[..., 1:] > 0]
    if frame.dtype.kind in "uib" and len(right) and np.mean(left == right) > SAME_AS_NEIGHBOUR:
        raise InputError(
            f"{where} holds masks, not images: give the folder with the grey images (or track these masks)."
        )


def segment_movie(
    images: Mapping[int, NDArray[Any]], model: Model | str, *, tta: bool = False, memory_mb: float = 1024,
    device: str = "cpu", progress: Progress = silent,
) -> Iterator[tuple[int, NDArray[np.int32]]]:  # fmt: skip
    """Label images of a movie, lazily: yields (frame number, int32 labels of the shape of the frame).

    Parameters
    ----------
    images : frame number → grey values (Y, X) or (Z, Y, X).
    model : a :class:`Model`, a file, or the name of a shipped model.
    tta, memory_mb : see :func:`~segmentation.prediction.predict`.

    Raises
    ------
    InputError
        If the model cannot be read, or a frame cannot be segmented (too small, NaN).
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    loaded.net.to(device)
    for done, number in enumerate(sorted(images), start=1):
        maps = predict(loaded, np.asarray(images[number]), tta=tta, memory_mb=memory_mb, device=device)
        yield number, label_cells(maps, loaded.instances)
        progress("segment", done, len(images), f"frame {number}")
