"""Evaluations as JSON (``celltrail.evaluation/1``) and as a table that a person reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.regular import read_json
from celltrail.data.running.json_text import to_json
from celltrail.data.writing.output import output_file
from celltrail.evaluation.errors import MEANING
from celltrail.evaluation.measures.catalogue import definition
from celltrail.evaluation.record import DatasetEvaluation, Evaluation

SCHEMA = "celltrail.evaluation/1"
QUOTED = (
    "SEG",
    "DET",
    "TRA",
    "OP_CTB",
    "LNK",
    "BIO",
    "OP_CLB",
    "BC",
    "CT",
    "HOTA",
    "CHOTA",
    "IDF1",
    "division_F1",
)  # what people quote; the rest is in the JSON, and in the table with --all
EXPLAINED = ("ADE", "JACT", "warping_error", "V_rand")  # measures that others define otherwise, or not at all
PACKAGES = ("celltrail", "numpy", "scipy", "numba", "tifffile")


def versions() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def to_document(evaluations: Sequence[Evaluation], *, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of an evaluation JSON: sequences, their mean, definitions, versions, settings."""
    mean = DatasetEvaluation(list(evaluations)).mean
    return {
        "schema": SCHEMA,
        "sequences": [evaluation.to_dict() for evaluation in evaluations],
        "mean": mean,
        "definitions": {name: definition(name) for name in mean},
        "versions": versions(),
        "settings": dict(settings or {}),
    }


def write_document(path: Path, document: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write an evaluation JSON, whole or not at all."""
    with output_file(path, overwrite=overwrite) as work:
        work.write_text(to_json(dict(document)) + "\n", encoding="utf-8")


def read_document(path: Path) -> dict[str, Any]:
    """Read an evaluation JSON; `InputError` if it is none."""
    try:
        document = read_json(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run 'celltrail evaluate … --json {path}'.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a JSON file ({type(error).__name__}): run 'celltrail evaluate' again."
        ) from None
    schema = document.get("schema", "none") if isinstance(document, dict) else "none"
    if schema != SCHEMA:
        raise InputError(f"{path} has the schema {schema}, expected {SCHEMA}: run 'celltrail evaluate' again.")
    return dict(document)


def read_run(res: Path) -> dict[str, Any] | None:
    """The ``run.json`` of a result; ``None`` where another tool made it."""
    try:
        run = read_json(Path(res) / "run.json")
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) else None


def format_value(value: float | None) -> str:
    """Six digits, or a dash."""
    return "–" if value is None else f"{value:.6f}"


def format_table(evaluations: Sequence[Evaluation], *, everything: bool = False) -> str:
    """The measures that people quote, or all, of all sequences side by side with their mean; and the errors.

    Measures without a value are told in one line for each reason.
    """
    mean = DatasetEvaluation(list(evaluations)).mean
    shown = list(mean) if everything else [name for name in QUOTED if name in mean]
    valued = [name for name in shown if any(e.measures.get(name) is not None for e in evaluations)]
    titles = [evaluation.name for evaluation in evaluations]
    columns: list[Mapping[str, float | None]] = [evaluation.measures for evaluation in evaluations]
    if len(evaluations) > 1:
        titles.append("mean")
        columns.append(mean)
    width = max(10, *(len(title) for title in titles)) + 2
    name_width = max((len(name) for name in shown), default=0) + 2
    lines = [_describe(evaluation) for evaluation in evaluations]
    lines += ["", " " * name_width + "".join(title.rjust(width) for title in titles)]
    for name in valued:
        values = "".join(format_value(column.get(name)).rjust(width) for column in columns)
        ceilings = [e.ceiling.get(name) for e in evaluations]
        note = ""
        if any(name in e.ceiling for e in evaluations):
            note = f"   (at most {', '.join(format_value(value) for value in ceilings)} with these detections)"
        lines.append(name.ljust(name_width) + values + note)
    missing = list(_without_value(evaluations, shown))
    lines += ["", *missing] if missing else []
    explained = [name for name in EXPLAINED if name in valued]
    lines += ["", *(f"{name}: {definition(name)}" for name in explained)] if explained else []
    for evaluation in evaluations:
        lines += ["", *_describe_errors(evaluation)]
    return "\n".join(lines)


def _without_value(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Iterator[str]:
    """One line for each reason why measures have no value, with their names and, where it is not all, the sequences."""
    groups: dict[str, dict[str, list[str]]] = {}
    for evaluation in evaluations:
        for name in names:
            if evaluation.measures.get(name) is None and name in evaluation.measures:
                row = groups.setdefault(evaluation.reasons.get(name) or "not measured", {})
                row.setdefault(evaluation.name, []).append(name)
    for reason, row in groups.items():
        where = "" if len(row) == len(evaluations) else f" ({', '.join(row)})"
        without = dict.fromkeys(name for names_ in row.values() for name in names_)
        yield f"– {', '.join(without)}{where}: {reason}"


def _describe(evaluation: Evaluation) -> str:
    frames = evaluation.frames
    span = f"frames {frames[0]} to {frames[-1]}" if frames else "no frames"
    kind = "silver truth (computer-made) for the masks" if evaluation.truth == "ST" else "gold truth"
    return f"{evaluation.res} against {evaluation.gt}: {span}, {kind}, {len(evaluation.seg_frames)} with full masks"


def _describe_errors(evaluation: Evaluation) -> list[str]:
    counts = evaluation.counts
    total = f", AOGM {counts['AOGM']:g}" if "AOGM" in counts else ""
    lines = [f"Errors of {evaluation.name}{total}:"]
    lines += [f"  {name} {counts[name]:6.0f}  {MEANING[name]}" for name in MEANING if name in counts]
    terms = evaluation.terms.get("BIO(0)")
    return [*lines, f"  BIO(0) is the mean of {', '.join(terms)}."] if terms else lines
