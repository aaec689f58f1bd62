"""Tracks and truth → measures, errors, reports."""

from evaluation.record import DatasetEvaluation, Evaluation
from evaluation.sequence import evaluate_dataset, evaluate_many, evaluate_sequence, segmentation_scores

__all__ = [
    "DatasetEvaluation",
    "Evaluation",
    "evaluate_dataset",
    "evaluate_many",
    "evaluate_sequence",
    "segmentation_scores",
]
