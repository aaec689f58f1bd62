"""Images → instance masks, or hypotheses with scores.

Importing this package is cheap; PyTorch is loaded when a function that needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celltrail.data.errors import import_extra

_ROOM_OF = {
    "InstanceSettings": "instances",
    "Model": "model",
    "Movie": "frames",
    "Prediction": "prediction",
    "Settings": "settings",
    "Training": "training",
    "UNet": "unet",
    "find_hypotheses": "candidates",
    "find_instances": "instances",
    "label_cells": "candidates",
    "list_models": "checkpoint",
    "load_model": "checkpoint",
    "open_movie": "frames",
    "predict": "prediction",
    "preset": "settings",
    "save_model": "checkpoint",
    "search_settings": "tuning",
    "segment_movie": "movie",
    "split_in_time": "frames",
    "train": "training",
}
__all__ = sorted(_ROOM_OF)


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'segmentation' has no attribute '{name}'")
    import_extra("torch", "segmentation")
    return getattr(import_module(f"segmentation.{_ROOM_OF[name]}"), name)
