"""Tracks and truth → measures, errors, reports."""

from celltrail.evaluation.record import DatasetEvaluation, Evaluation
from celltrail.evaluation.sequence import evaluate_dataset, evaluate_many, evaluate_sequence, segmentation_scores

__all__ = [
    "DatasetEvaluation",
    "Evaluation",
    "evaluate_dataset",
    "evaluate_many",
    "evaluate_sequence",
    "segmentation_scores",
]
