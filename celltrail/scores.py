"""The judges that cross the packages: what training and searches are told by ``celltrail.evaluation``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def score_masks(truth: Any, masks: Any) -> dict[str, float]:
    """Measures of a segmentation: frame number → labels, of the truth and of what is judged."""
    from celltrail.evaluation import segmentation_scores

    return segmentation_scores(truth, masks)


def score_tracks(truth: Path, result: Path) -> dict[str, float | None]:
    """The measures of the Cell Tracking Challenge of a result folder against its truth folder."""
    from celltrail.evaluation import evaluate_sequence

    return evaluate_sequence(truth, result, groups=("ctc",)).measures
