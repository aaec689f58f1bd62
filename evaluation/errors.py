"""Every single error with its place: the rows of ``errors.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from celltrail.data.files.output import output_file
from celltrail.evaluation.measures.contingency import Contingency, Objects
from celltrail.evaluation.measures.technical import WEIGHTS, Edges, Operations

MEANING = {
    "NS": "one mask of the result covers several true cells",
    "FN": "a true cell has no mask in the result",
    "FP": "a mask of the result matches no true cell",
    "ED": "the result links two cells that the truth does not link",
    "EA": "the result lacks a link of the truth",
    "EC": "the result calls a division what the truth calls a continuation, or the other way round",
    "suspect_gt": "the truth itself looks wrong here",
}


class Error(NamedTuple):
    """One error. Positions in pixels; ``None`` where a column does not apply. Costs sum to AOGM."""

    sequence: str
    type: str
    frame: int
    y: float
    x: float
    z: float | None
    gt_label: int | None = None
    res_label: int | None = None
    gt_track: int | None = None
    res_track: int | None = None
    frame2: int | None = None
    gt_label2: int | None = None
    res_label2: int | None = None
    cost: float = 0.0
    stage: str = ""
    note: str = ""


def list_errors(table: Contingency, operations: Operations, *, sequence: str = "", ndim: int = 2) -> list[Error]:
    """All operations of AOGM as rows, ordered by frame; the costs sum to ``operations.aogm``."""
    truth, result = table.truth, table.result
    partner = {int(res): gt for gt, res in enumerate(table.unique_match.tolist()) if res >= 0}

    def place(objects: Objects, row: int) -> tuple[float, float, float | None]:
        z, y, x = (round(value, 2) for value in objects.center[row].tolist())
        return y, x, z if ndim == 3 else None

    def vertex(kind: str, gt: int | None, res: int | None) -> Error:
        objects, row = (truth, gt) if gt is not None else (result, res)
        assert row is not None
        gt_label = None if gt is None else int(truth.label[gt])
        res_label = None if res is None else int(result.label[res])
        return Error(
            sequence,
            kind,
            int(objects.frame[row]),
            *place(objects, row),
            gt_label,
            res_label,
            gt_label,
            res_label,
            cost=WEIGHTS[kind],
        )

    def link(kind: str, gt: tuple[int, int] | None, res: tuple[int, int] | None) -> Error:
        objects, rows = (truth, gt) if gt is not None else (result, res)
        assert rows is not None
        gt_labels = (None, None) if gt is None else (int(truth.label[gt[0]]), int(truth.label[gt[1]]))
        res_labels = (None, None) if res is None else (int(result.label[res[0]]), int(result.label[res[1]]))
        return Error(
            sequence,
            kind,
            int(objects.frame[rows[0]]),
            *place(objects, rows[0]),
            gt_labels[0],
            res_labels[0],
            gt_labels[0],
            res_labels[0],
            int(objects.frame[rows[1]]),
            gt_labels[1],
            res_labels[1],
            WEIGHTS[kind],
        )

    def matched(gt: tuple[int, int]) -> tuple[int, int] | None:
        a, b = (int(table.unique_match[row]) for row in gt)
        return (a, b) if a >= 0 and b >= 0 else None

    def ends(edges: Edges, row: int) -> tuple[int, int]:
        return int(edges.source[row]), int(edges.target[row])

    rows = [vertex("NS", gt, int(table.match[gt])) for gt in operations.split.tolist()]
    rows += [vertex("FN", gt, None) for gt in operations.missed.tolist()]
    rows += [vertex("FP", None, res) for res in operations.spurious.tolist()]
    for row in operations.delete.tolist():
        res = ends(operations.result_edges, row)
        rows.append(link("ED", (partner[res[0]], partner[res[1]]), res))
    for row in operations.add.tolist():
        gt = ends(operations.truth_edges, row)
        rows.append(link("EA", gt, matched(gt)))
    for row, twin in zip(operations.wrong.tolist(), operations.wrong_truth.tolist(), strict=True):
        rows.append(link("EC", ends(operations.truth_edges, twin), ends(operations.result_edges, row)))
    return sorted(
        rows, key=lambda error: (error.frame, -error.cost, error.type, error.gt_label or 0, error.res_label or 0)
    )


def write_errors(path: Path, errors: Iterable[Error], *, overwrite: bool = False) -> None:
    """Write ``errors.csv``; columns that do not apply stay empty."""
    with output_file(path, overwrite=overwrite) as work, work.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Error._fields)
        writer.writerows(errors)
