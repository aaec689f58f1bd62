"""What a comparison or a search has found, read from its files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from celltrail.dashboard.opening import content
from celltrail.data import InputError
from celltrail.data.errors import import_extra
from celltrail.data.files.containment import inside

COMPARISON, STUDY = "results.json", ".sqlite"
MEASURES = ("OP_CTB", "OP_CLB", "SEG", "DET", "TRA", "LNK", "BIO", "CT", "TF", "CCA", "division_F1", "HOTA", "IDF1")


@dataclass(frozen=True)
class Compared:
    """A stored comparison: its folder, the baseline, the places ("mean" or a movie), and what ``results.json`` says."""

    folder: Path
    baseline: str
    places: list[str]
    found: dict[str, Any]


def is_comparison(folder: Path) -> bool:
    """Whether ``celltrail compare`` has written this folder."""
    return (folder / COMPARISON).is_file()


def list_comparisons(root: Path) -> list[Path]:
    """Folders of comparisons in a data set, the latest first."""
    folders = [
        inside(root, file.parent) for file in root.glob(f"*/{COMPARISON}") if not file.parent.name.startswith(".")
    ]
    return sorted(folders, key=lambda folder: (folder / COMPARISON).stat().st_mtime_ns, reverse=True)


def read_comparison(folder: Path) -> Compared:
    """The comparison in a folder; `InputError` where the file is of another kind."""
    path = folder / COMPARISON
    found = content.read_json(path)
    if found is None or found.get("schema") != "celltrail.comparison/1" or not isinstance(found.get("intervals"), dict):
        raise InputError(f"{path} is no comparison of this version: run 'celltrail compare' again.")
    return Compared(folder, str(found["baseline"]), list(found["intervals"]), found)


def comparison_table(compared: Compared, place: str) -> pd.DataFrame:
    """One row per measure and variant: value with its interval, and the difference to the baseline with its own.

    Columns ``measure, variant, value, low, high, difference, difference_low, difference_high, p``;
    the last four are empty for the baseline.
    """
    found = compared.found
    rows = []
    for variant, measures in found["intervals"][place].items():
        difference = found["differences"].get(place, {}).get(variant, {})
        p = found["p_values"].get(place, {}).get(variant, {})
        for name in [name for name in MEASURES if name in measures]:
            own, other = measures[name], difference.get(name, {})
            rows.append(
                (
                    name,
                    variant,
                    own["value"],
                    own["low"],
                    own["high"],
                    other.get("value"),
                    other.get("low"),
                    other.get("high"),
                    p.get(name),
                )
            )
    columns = ["measure", "variant", "value", "low", "high", "difference", "difference_low", "difference_high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    order = {name: i for i, name in enumerate(MEASURES)}
    return table.sort_values("measure", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def in_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The same for reading: a row per measure, a column per variant, each value with its interval."""
    shown = table.assign(
        text=[
            "–" if value is None or value != value else f"{value:.3f} ({low:.3f} to {high:.3f})"
            for value, low, high in zip(table["value"], table["low"], table["high"], strict=True)
        ]
    )
    wide = shown.pivot(index="measure", columns="variant", values="text")
    return wide.loc[list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["variant"]))].reset_index()


def read_study(path: Path) -> pd.DataFrame:
    """One row per trial of a search: ``trial, state, value``, then its settings; trials that run have no value yet.

    Raises
    ------
    InputError
        If the file holds no study.
    MissingExtra
        If Optuna is not installed.
    """
    status = path.stat()
    return _read_study(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read_study(path: Path, _changed: int, _size: int) -> pd.DataFrame:
    optuna = import_extra("optuna", "tune")
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{path}"
    try:
        names = optuna.get_all_study_names(storage)
        trials = [trial for name in names for trial in optuna.load_study(study_name=name, storage=storage).trials]
    except (SQLAlchemyError, RuntimeError) as error:
        raise InputError(f"{path} holds no search ({type(error).__name__}): run 'celltrail tune' again.") from None
    rows = [{"trial": t.number, "state": t.state.name.lower(), "value": t.value, **t.params} for t in trials]
    table = pd.DataFrame(rows, columns=None if rows else ["trial", "state", "value"])
    return table.astype({"value": float})
