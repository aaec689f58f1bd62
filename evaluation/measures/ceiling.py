"""How good tracking could be with the detections at hand: every true link given to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.measures import biology, technical
from celltrail.evaluation.measures.contingency import Contingency, Objects

IntArray = NDArray[np.int64]
NAMES = ("DET", "TRA", "LNK", "CT", "TF", "BC")


def link_truly(table: Contingency, truth: Tracks) -> tuple[Contingency, Tracks]:
    """The same detections, linked as the truth links the cells that they alone match.

    A cell that is missed, or shares its mask, breaks its track. Masks that match no cell alone are
    left as single detections.
    """
    partner = np.full(len(table.result), -1, dtype=np.int64)
    found = np.flatnonzero(table.unique_match >= 0)
    partner[table.unique_match[found]] = found
    edges = technical.graph_edges(table.truth, truth, table.frames)
    mask_of = table.unique_match
    kept = (mask_of[edges.source] >= 0) & (mask_of[edges.target] >= 0)
    source, target, parent = mask_of[edges.source[kept]], mask_of[edges.target[kept]], edges.parent[kept]
    before = dict(zip(target.tolist(), zip(source.tolist(), parent.tolist(), strict=True), strict=True))
    label = np.zeros(len(table.result), dtype=np.int64)
    rows: list[list[int]] = []
    for row, frame in enumerate(table.result.frame.tolist()):
        origin, divides = before.get(row, (-1, True))
        if origin >= 0 and not divides:
            label[row] = label[origin]
            rows[label[row] - 1][2] = frame
        else:
            rows.append([len(rows) + 1, frame, frame, int(label[origin]) if origin >= 0 else 0])
            label[row] = len(rows)
    objects = Objects(table.result.frame, label, table.result.area, table.result.center)
    return replace(table, result=objects), Tracks.from_rows(rows)


def measure_ceiling(table: Contingency, truth: Tracks) -> dict[str, float | None]:
    """DET, TRA, LNK, CT, TF and BC (i = 0) that perfect linking of these detections would reach.

    Masks that match no cell alone do not count as tracks in CT.
    """
    ideal, tracks = link_truly(table, truth)
    operations = technical.count_operations(ideal, truth, tracks)
    matching = np.unique(ideal.result.label[ideal.unique_match[ideal.unique_match >= 0]])
    real = Tracks.from_rows(tracks.rows()[np.isin(tracks.label, matching)].tolist())
    return {
        "DET": technical.det(operations),
        "TRA": technical.tra(operations),
        "LNK": technical.lnk(operations),
        "CT": biology.complete_tracks(ideal, truth, real),
        "TF": biology.track_fractions(ideal, truth),
        "BC": biology.branching(biology.division_counts(ideal, truth, real, 0)),
    }
