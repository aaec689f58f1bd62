"""Models and how they were trained: the header of the checkpoint, and the curve that is written beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

import celltrail.segmentation
from celltrail.dashboard.opening import registry
from celltrail.dashboard.opening.registry import Dataset
from celltrail.data import InputError
from celltrail.data.regular import open_regular, parse_json
from celltrail.segmentation.segment_settings import DEFAULT_MODEL

LONGEST_HEADER = 4 * 2**20  # bytes
LOSSES, MEASURES = ("train_loss", "loss"), ("IoU", "SEG", "DET")


def list_models(dataset: Dataset) -> dict[str, Path]:
    """Models that lie beside the data, then those that come with Celltrail, the usual one first: name → file."""
    files = (Path(celltrail.segmentation.__file__).parent / "models").glob("*.safetensors")
    shipped = {path.stem: path for path in sorted(files, key=lambda file: (file.stem != DEFAULT_MODEL, file.stem))}
    beside = {path.relative_to(dataset.root.resolve()).as_posix(): path for path in registry.models_in(dataset)}
    return beside | shipped


def training_facts(model: Path) -> dict[str, Any]:
    """What the header of a checkpoint says about its training; the weights are not read.

    A safetensors file begins with the length of its header (8 bytes, little-endian), then the header as JSON.

    Raises
    ------
    InputError
        If the file is no model of Celltrail.
    """
    try:
        with open_regular(model) as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = parse_json(stream.read(length).decode("utf-8")) if length <= LONGEST_HEADER else {}
        info = parse_json(header["__metadata__"]["celltrail"])["info"]
    except (OSError, ValueError, KeyError, TypeError):
        info = None
    if not isinstance(info, dict):
        raise InputError(f"{model} is not a model of Celltrail: give a .safetensors file made by 'celltrail train'.")
    return info


def training_curve(model: Path) -> pd.DataFrame | None:
    """The rows of the training from ``NAME.csv`` beside the model: ``step``, losses, measures; ``None`` without it.

    Raises
    ------
    InputError
        If the table has no steps, or no numbers.
    """
    path = model.with_suffix(".csv")
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path).astype(float)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} is not a learning curve ({type(error).__name__}): train the model again.") from None
    if "step" not in table:
        raise InputError(f"{path} is not a learning curve (it has no column 'step'): train the model again.")
    return table
