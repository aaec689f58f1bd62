"""From time-lapse microscopy to cell lineages, with proven optima.

``import celltrail as ct`` is cheap: a name is looked up in its room when it is first used, so that PyTorch, say, is
loaded only by those who segment.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

_PLACE_OF = {
    "Candidates": "data",
    "Frames": "data",
    "InputError": "data",
    "MissingExtra": "data",
    "Sequence": "data",
    "Solution": "data",
    "Tracks": "data",
    "find_sequence": "data",
    "find_sequences": "data",
    "load_graph": "data",
    "open_frames": "data",
    "open_images": "data",
    "open_labels": "data",
    "read_tracks": "data",
    "save_graph": "data",
    "TrackResult": "tracking",
    "TrackSettings": "tracking",
    "candidate_graph": "tracking",
    "solve": "tracking",
    "track": "tracking",
    "write_result": "tracking",
    "DatasetEvaluation": "evaluation",
    "Evaluation": "evaluation",
    "evaluate_dataset": "evaluation",
    "evaluate_many": "evaluation",
    "evaluate_sequence": "evaluation",
    "segmentation_scores": "evaluation",
    "find_hypotheses": "segmentation",
    "find_instances": "segmentation",
    "list_models": "segmentation",
    "load_model": "segmentation",
    "predict": "segmentation",
    "save_model": "segmentation",
    "segment_movie": "segmentation",
    "train": "segmentation",
}
__all__ = sorted(_PLACE_OF)

# In a checkout the five packages stand beside this folder; in a wheel they lie inside it.
_checkout = Path(__file__).resolve().parents[1]
if (_checkout / "pyproject.toml").is_file() and (_checkout / "tracking" / "__init__.py").is_file():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'celltrail' has no attribute '{name}'")
    return getattr(import_module(f"celltrail.{_PLACE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACE_OF])
