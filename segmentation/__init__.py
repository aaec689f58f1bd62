"""Images → instance masks, or hypotheses with scores.

Importing this package is cheap; PyTorch is loaded when a function that needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celltrail.data.errors import import_extra

_ROOM_OF = {
    "InstanceSettings": "net.instance_settings",
    "Model": "net.model",
    "AnnotatedMovie": "training.examples",
    "Prediction": "prediction.tiles",
    "Settings": "training.settings",
    "Training": "training.loop",
    "UNet": "net.unet",
    "find_hypotheses": "prediction.hypotheses",
    "find_instances": "prediction.instances",
    "label_cells": "prediction.hypotheses",
    "list_models": "net.checkpoint",
    "load_model": "net.checkpoint",
    "open_movie": "training.examples",
    "predict": "prediction.tiles",
    "preset": "training.settings",
    "save_model": "net.checkpoint",
    "search_settings": "training.tuning",
    "segment_movie": "prediction.movie",
    "split_in_time": "training.examples",
    "train": "training.loop",
}
__all__ = sorted(_ROOM_OF)


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'celltrail.segmentation' has no attribute '{name}'")
    import_extra("torch", "segmentation")
    return getattr(import_module(f"celltrail.segmentation.{_ROOM_OF[name]}"), name)
