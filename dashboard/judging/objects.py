"""How well each true cell is segmented: its IoU with the mask that fits best, the worst first."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.data.labels.overlap import count_overlap

COLUMNS = ("frame", "true cell", "mask", "IoU", "area", "y", "x")


def object_scores(truth: Result, result: Result) -> pd.DataFrame:
    """One row per true cell of every annotated frame; ``mask`` 0 where none overlaps."""
    return _object_scores(truth, result, content.stamp(truth.layer.folder), content.stamp(result.layer.folder))


@lru_cache(maxsize=8)
def _object_scores(truth: Result, result: Result, _truth_stamp: str, _stamp: str) -> pd.DataFrame:
    parts = []
    for frame in sorted(set(truth.labels) & set(result.labels)):
        labels = truth.labels[frame]
        table = count_overlap(labels, result.labels[frame])
        union = table.areas_a[table.a] + table.areas_b[table.b] - table.count
        pairs = pd.DataFrame({"a": table.a, "mask": table.labels_b[table.b], "IoU": table.count / union})
        best = pairs.sort_values("IoU", kind="stable").drop_duplicates("a", keep="last").set_index("a")
        cells = content.measure_cells(frame, labels)  # in the order of the labels, like the table
        rows = np.arange(len(cells))
        parts.append(
            pd.DataFrame(
                {
                    "frame": frame,
                    "true cell": cells["track"],
                    "mask": best["mask"].reindex(rows, fill_value=0),
                    "IoU": best["IoU"].reindex(rows, fill_value=0.0),
                    "area": cells["area"],
                    "y": cells["y"],
                    "x": cells["x"],
                }
            )
        )
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts).sort_values(["IoU", "frame", "true cell"], ignore_index=True)
