"""Tracks and truth → measures, errors, reports."""

from evaluation.sequence import (
    DatasetEvaluation,
    Evaluation,
    evaluate_dataset,
    evaluate_many,
    evaluate_sequence,
    segmentation_scores,
)

__all__ = [
    "DatasetEvaluation",
    "Evaluation",
    "evaluate_dataset",
    "evaluate_many",
    "evaluate_sequence",
    "segmentation_scores",
]
