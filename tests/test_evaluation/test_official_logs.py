"""The CTC's own software wrote logs for three results: the same values, and the same errors one by one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from celltrail.evaluation import evaluate_sequence
from celltrail.evaluation.errors import Error

SECTIONS = {
    "Splitting": "NS",
    "False Negative": "FN",
    "False Positive": "FP",
    "Redundant": "ED",
    "To Be Added": "EA",
    "Wrong Semantics": "EC",
}


def read_log(path: Path) -> tuple[Counter[tuple[int | str, ...]], float]:
    """The errors in an official log as (type, frame, label[, frame, label]), and the value."""
    kind, found, value = "", Counter[tuple[int | str, ...]](), float("nan")
    for line in path.read_text().splitlines():
        if line.startswith("---"):
            kind = next(name for title, name in SECTIONS.items() if title in line)
        elif "measure:" in line:
            value = float(line.split(":")[1])
        elif line and not line.startswith("="):
            found[kind, *map(int, re.findall(r"=(\d+)", line))] += 1
    return found, value


def as_logged(error: Error) -> tuple[int | str, ...]:
    of_result = error.type in ("NS", "FP", "ED", "EC")
    first = error.res_label if of_result else error.gt_label
    second = error.res_label2 if of_result else error.gt_label2
    assert first is not None
    if error.frame2 is None:
        return error.type, error.frame, first
    assert second is not None
    return error.type, error.frame, first, error.frame2, second


@pytest.mark.parametrize(
    ("sequence", "det", "tra"),
    [
        ("testing_dataset/03", 0.688000, 0.622980),
        ("testing_dataset/04", 0.867801, 0.865242),
        ("ipsc-02/02", 0.936992, 0.932231),
    ],
)
def test_values_and_errors_are_those_of_the_official_software(
    real_data: Path, sequence: str, det: float, tra: float
) -> None:
    folder = real_data / "ctc-eval-oracle"
    gt, res = folder / f"{sequence}_GT", folder / f"{sequence}_RES"
    evaluation = evaluate_sequence(gt, res)
    logged, value = read_log(res / "TRA_log.txt")
    assert value == tra
    assert round(evaluation.measures["TRA"] or 0, 6) == tra
    mistakes = [error for error in evaluation.errors if error.type != "suspect_gt"]
    assert Counter(map(as_logged, mistakes)) == logged
    logged, value = read_log(res / "DET_log.txt")
    assert value == det
    assert round(evaluation.measures["DET"] or 0, 6) == det
    vertices = (error for error in evaluation.errors if error.type in ("NS", "FN", "FP"))
    assert Counter(map(as_logged, vertices)) == logged
    assert sum(error.cost for error in evaluation.errors) == evaluation.counts["AOGM"]
