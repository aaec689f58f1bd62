"""Every single error with its place: the rows of ``errors.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from celltrail.data.writing.output import output_file
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


def describe_error(error: Error) -> str:
    """An error in words."""
    who = [
        f"true cell {error.gt_label}" if error.gt_label is not None else "",
        f"cell {error.res_label} of the result" if error.res_label is not None else "",
    ]
    words = f"{MEANING[error.type]} ({', '.join(part for part in who if part)}"
    if error.frame2 is not None:
        follower = error.gt_label2 if error.gt_label2 is not None else error.res_label2
        words += f"; to {follower} in frame {error.frame2}"
    lost = {
        "detection": "lost by the detection",
        "candidate": "not offered to the solver",
        "solver": "the solver chose otherwise",
        "export": "lost in writing",
    }
    return words + ")" + (f": {lost[error.stage]}" if error.stage in lost else "")


def list_errors(table: Contingency, operations: Operations, *, sequence: str = "", ndim: int = 2) -> list[Error]:
    """All operations of AOGM as rows, ordered by frame; the costs sum to ``operations.aogm``."""
    truth, result = table.truth, table.result
    partner = {int(res): gt for gt, res in enumerate(table.unique_match.tolist()) if res >= 0}

    def error(kind: str, objects: Objects, row: int, gt: int | None, res: int | None) -> Error:
        z, y, x = (round(value, 2) for value in objects.center[row].tolist())
        return Error(
            sequence=sequence,
            type=kind,
            frame=int(objects.frame[row]),
            y=y,
            x=x,
            z=z if ndim == 3 else None,
            gt_label=gt,
            res_label=res,
            gt_track=gt,
            res_track=res,
            cost=WEIGHTS[kind],
        )

    def vertex(kind: str, gt: int | None, res: int | None) -> Error:
        objects, row = (truth, gt) if gt is not None else (result, res)
        assert row is not None
        gt_label = None if gt is None else int(truth.label[gt])
        res_label = None if res is None else int(result.label[res])
        return error(kind, objects, row, gt_label, res_label)

    def link(kind: str, gt: tuple[int, int] | None, res: tuple[int, int] | None) -> Error:
        objects, rows = (truth, gt) if gt is not None else (result, res)
        assert rows is not None
        gt_labels = (None, None) if gt is None else (int(truth.label[gt[0]]), int(truth.label[gt[1]]))
        res_labels = (None, None) if res is None else (int(result.label[res[0]]), int(result.label[res[1]]))
        first = error(kind, objects, rows[0], gt_labels[0], res_labels[0])
        return first._replace(frame2=int(objects.frame[rows[1]]), gt_label2=gt_labels[1], res_label2=res_labels[1])

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
