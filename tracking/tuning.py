"""A search over the settings of ``track`` on movies with a known lineage, with Optuna.

Movies are measured and their candidates found once. A trial only prices and solves them, and a solution that has been
judged before is not judged again. Which settings would have been taken without a sequence, and how they
do on it, tells what the search is worth on movies it has not seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.ctc import digits_for, write_masks, write_track_file
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import Masks
from celltrail.tracking.candidates.parts import UnpricedCandidates, find_candidates
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.exporting.lineage import build_lineage
from celltrail.tracking.exporting.masks import paint_masks
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates

Score = Callable[[Path, Path], Mapping[str, float | None]]
LONGEST_GAP = 3


DEFAULT = TrackSettings(appear=Constants.appear, border=Constants.border, late=Constants.late)
SEARCHED = ("costs", "max_gap", "allow_drop", "appear", "border", "gap_cost", "late")


def searched(settings: TrackSettings) -> dict[str, Any]:
    """The settings that are searched, by name; ``None`` leaves one to the movie."""
    return {name: getattr(settings, name) for name in SEARCHED}


@dataclass
class Tunable:
    """A movie to judge settings by: its masks, measured once, and the folder of its truth (``NN_GT``)."""

    name: str
    masks: Masks
    truth: Path
    table: DetectionTable
    finder: Callable[..., UnpricedCandidates]
    judged: dict[tuple[bytes, ...], Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    best : TrackSettings
        The settings with the best mean over the sequences.
    trials : list[dict[str, Any]]
        One row per trial: its settings, the mean, and the value of each sequence.
    left_out : dict[str, float] | None
        Sequence → value there of the settings that are best on the others (``None`` with one sequence).
    default : dict[str, float]
        Sequence → value of the default settings.
    """

    best: TrackSettings
    trials: list[dict[str, Any]]
    left_out: dict[str, float] | None
    default: dict[str, float]


def open_tunable(name: str, masks: Path | Masks, images: Path | Masks | None, truth: Path) -> Tunable:
    """Measure a movie and keep what the trials need."""
    movie, table = measure(open_movie(masks, images))
    known = cache(lambda: find_candidates(table))

    def finder(asked: DetectionTable, *, mapper: Mapper = map) -> UnpricedCandidates:
        return known() if asked is table else find_candidates(asked, mapper=mapper)

    return Tunable(name=name, masks=movie.masks, truth=truth, table=table, finder=finder)


def suggest(trial: Any, costs: Sequence[str]) -> TrackSettings:
    """The settings of one trial."""
    gap = trial.suggest_categorical("max_gap", ["auto", *range(LONGEST_GAP + 1)])
    gap_cost = trial.suggest_categorical("gap_cost", ["auto", 1.0, 2.0, 3.0, 4.0, 5.0])
    return TrackSettings(
        costs=trial.suggest_categorical("costs", list(costs)),
        max_gap=None if gap == "auto" else gap,
        allow_drop=trial.suggest_categorical("allow_drop", [False, True]),
        appear=trial.suggest_float("appear", 2.0, 12.0, step=0.25),
        border=trial.suggest_float("border", 0.0, 8.0, step=0.25),
        gap_cost=None if gap_cost == "auto" else gap_cost,
        late=trial.suggest_float("late", 1.0, 10.0, step=0.25),
    )


def run_settings(movie: Tunable, settings: TrackSettings, score: Score) -> Mapping[str, float | None]:
    """Track a measured movie with some settings; its measures."""
    solve: Callable[[Candidates], Solution] = partial(solve_candidates, solver=settings.solver)
    candidates = prepare(movie.table, solve, settings, finder=movie.finder, masks=movie.masks).candidates
    lineage = build_lineage(candidates, solve(candidates))
    tracks = np.stack([lineage.tracks.label, lineage.tracks.begin, lineage.tracks.end, lineage.tracks.parent])
    key = (lineage.track.tobytes(), lineage.fills.tobytes(), tracks.tobytes())
    if key not in movie.judged:
        with tempfile.TemporaryDirectory(prefix="celltrail-") as folder:
            out = Path(folder)
            numbers = range(movie.table.numbers[0], movie.table.numbers[-1] + 1, movie.table.step)
            write_track_file(out / "res_track.txt", lineage.tracks)
            write_masks(out, paint_masks(movie.masks, movie.table, lineage), digits=digits_for(numbers))
            movie.judged[key] = score(movie.truth, out)
    return movie.judged[key]


def search_settings(
    movies: Sequence[Tunable],
    *,
    score: Score,
    study_file: Path,
    costs: Sequence[str] = (DEFAULT.costs,),
    trials: int = 30,
    measure: str = "OP_CLB",
    seed: int = 0,
    progress: Progress = silent,
) -> Search:
    """Search for settings with a high mean of a measure over some movies. The first trial are the defaults.

    Parameters
    ----------
    score : Score
        Measures of a result folder against its truth folder.
    study_file : Path
        SQLite file that keeps the study; an existing one is continued, if it is about the same sequences, costs and
        measure.
    costs : Sequence[str]
        Cost models to choose among.

    Raises
    ------
    InputError
        If the measure is not defined on a movie, or the study is another one.
    MissingExtra
        If Optuna is not installed.
    """
    optuna = import_extra("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a trial that fails ends the search, and is told
    study = optuna.create_study(
        study_name="tracking",
        storage=f"sqlite:///{study_file}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    about = {"measure": measure, "sequences": [movie.name for movie in movies], "costs": list(costs)}
    for name, value in about.items():
        if study.user_attrs.get(name, value) != value:
            raise InputError(f"{study_file} keeps a search with other {name}: choose another file with --study.")
        study.set_user_attr(name, value)
    default = replace(DEFAULT, costs=DEFAULT.costs if DEFAULT.costs in costs else costs[0])
    if not study.trials:
        study.enqueue_trial({**searched(default), "max_gap": "auto", "gap_cost": "auto"})
    before, total = len(study.trials), len(movies) * trials

    def objective(trial: Any) -> float:
        settings = suggest(trial, costs)
        values = []
        for row, movie in enumerate(movies):
            progress("tune", (trial.number - before) * len(movies) + row, total, movie.name)
            value = run_settings(movie, settings, score).get(measure)
            if value is None:
                raise InputError(f"{movie.name} has no {measure}: choose another --measure, such as TRA.")
            values.append(value)
            trial.set_user_attr(movie.name, value)
        return float(np.mean(values))

    study.optimize(objective, n_trials=trials)
    progress("tune", total, total)
    done = [trial for trial in study.trials if trial.value is not None]
    values = np.array([[trial.user_attrs[movie.name] for movie in movies] for trial in done])
    rows = [{"trial": trial.number, measure: trial.value, **trial.params, **trial.user_attrs} for trial in done]
    best = done[int(values.mean(axis=1).argmax())]
    left_out = None
    if len(movies) > 1:
        others = (values.sum(axis=1, keepdims=True) - values).argmax(axis=0)
        left_out = {movie.name: float(values[others[i], i]) for i, movie in enumerate(movies)}
    found = suggest(optuna.trial.FixedTrial(best.params), costs)
    return Search(found, rows, left_out, {movie.name: float(values[0, i]) for i, movie in enumerate(movies)})
