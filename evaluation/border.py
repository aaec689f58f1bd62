"""False positives in the border field, which the CTC leaves out of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.opening import open_labels
from celltrail.data.words import counted
from celltrail.evaluation.record import Evaluation

# Width of the border field (E) of the CTC's data sets, from its "Naming and file content conventions"; the
# same widths stand in `foi_correction` of the challenge's software of KIT-GE, and in EmbedTrack. All others: 0.
FIELDS = {
    50: (
        "DIC-C2DH-HeLa",
        "Fluo-C2DL-Huh7",
        "Fluo-C2DL-MSC",
        "Fluo-C3DH-H157",
        "Fluo-N2DH-GOWT1",
        "Fluo-N3DH-CE",
        "Fluo-N3DH-CHO",
        "PhC-C2DH-U373",
    ),
    25: ("BF-C2DL-HSC", "BF-C2DL-MuSC", "Fluo-C3DL-MDA231", "Fluo-N2DL-HeLa", "PhC-C2DL-PSC"),
}


def count_in_border(evaluation: Evaluation, widths: tuple[int, ...], masks: Mapping[int, Any]) -> dict[int, int]:
    """How many false positives lie wholly within so many pixels of the sides (y and x) of the image.

    Parameters
    ----------
    masks : Mapping[int, Any]
        The label images of the result.
    """
    invented: dict[int, set[int]] = {}
    for error in evaluation.errors:
        if error.type == "FP" and error.res_label is not None:
            invented.setdefault(error.frame, set()).add(error.res_label)
    counts = dict.fromkeys(widths, 0)
    for frame, labels in invented.items():
        mask: NDArray[Any] = masks[frame]
        for width in widths:
            inner = mask[..., width : mask.shape[-2] - width, width : mask.shape[-1] - width]
            counts[width] += len(labels - set(np.unique(inner).tolist()))
    return counts


def describe_border(evaluation: Evaluation) -> str:
    """How many false positives the CTC would not count, in a sentence; empty where none lie in a border field."""
    name = Path(evaluation.gt).resolve().parent.name
    known = [width for width, names in FIELDS.items() if name in names]
    total = int(evaluation.counts.get("FP", 0))
    if not total:
        return ""
    counts = count_in_border(evaluation, tuple(known or sorted(FIELDS)), open_labels(Path(evaluation.res)))
    if not any(counts.values()):
        return ""
    if known:
        return (
            f"{counts[known[0]]} of {total} FP lie within {counted(known[0], 'pixel')} of the side, which the CTC leaves out of "
            f"{name}: track with --foi {known[0]}."
        )
    fields = ", ".join(f"{count} within {counted(width, 'pixel')}" for width, count in counts.items())
    sets = "; ".join(f"--foi {width} for {', '.join(names)}" for width, names in sorted(FIELDS.items()))
    return f"Of {total} FP lie near the side of the image: {fields}. The CTC leaves such a field out ({sets})."
