"""Why each mask that was missing has been painted: nothing is painted that cannot be argued."""

from __future__ import annotations

from typing import Any

import numpy as np

from celltrail.data.graph.candidates import KEPT, Candidates
from celltrail.tracking.candidates.links import LinkTable
from celltrail.tracking.exporting.lineage import Lineage


def list_fills(lineage: Lineage, links: LinkTable | None, candidates: Candidates) -> list[dict[str, Any]]:
    """The masks that are painted, with their reasons, as ``run.json`` lists them.

    Parameters
    ----------
    lineage : Lineage
        The tracks.
    links : LinkTable or None
        The candidate links, with what spoke against each gap; ``None``: that is not known any more.
    candidates : Candidates
        The problem that was solved, with its pins.

    Returns
    -------
    list of dict
        ``track``, ``frame``, ``before`` and ``after`` (the frames in which the cell was seen), ``covered`` (the
        share of its place that others cover, in the worst frame in between; ``None`` where it was not asked), ``reason``.
    """
    frame, kept = candidates.detections.frame, candidates.links.fixed == KEPT
    ends = zip(candidates.links.source[kept].tolist(), candidates.links.target[kept].tolist(), strict=True)
    pinned = set(ends)
    listed = []
    for track, number, before, after in lineage.fills.tolist():
        row: dict[str, Any] = {"track": track, "frame": number, "before": int(frame[before])}
        if before == after:
            row |= {"after": None, "covered": None}
            row["reason"] = "a mother that was not seen in the frame before her daughters, painted where she was"
        else:
            covered = _covered(links, before, after)
            row |= {"after": int(frame[after]), "covered": covered}
            span = f"between frames {row['before']} and {row['after']}"
            if (before, after) in pinned:
                row["reason"] = f"not seen {span}: a pin says that both are one cell"
            else:
                row["reason"] = f"not seen {span}: one cell ends and one begins there that nothing else explains"
                if covered is not None:
                    row["reason"] += f", and {covered:.0%} of the place in between is covered by others"
        listed.append(row)
    return listed


def _covered(links: LinkTable | None, before: int, after: int) -> float | None:
    if links is None:
        return None
    at = np.flatnonzero((links.source == before) & (links.target == after))
    return round(float(min(links.doubt[at[0]], 1.0)), 4) if len(at) else None
