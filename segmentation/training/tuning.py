"""A search over the settings of a training, with Optuna: short trainings, and the hopeless ones end early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from celltrail.data.errors import import_extra
from celltrail.data.progress import Progress, silent
from celltrail.data.settings import to_toml
from celltrail.segmentation.training.annotated import AnnotatedMovie
from celltrail.segmentation.training.loop import train
from celltrail.segmentation.training.settings import Settings
from celltrail.segmentation.training.validation import Score


def suggest(trial: Any, settings: Settings) -> Settings:
    """Settings of one trial: rate, width, border weights, elastic deformation, variation of size and grey values."""
    variation = replace(
        settings.variation,
        vector=settings.variation.vector * trial.suggest_float("elastic", 0.0, 3.0),
        zoom=trial.suggest_float("zoom", 0.0, 0.4),
        brightness=trial.suggest_float("brightness", 0.0, 0.3),
        contrast=trial.suggest_float("contrast", 0.0, 0.4),
    )
    return replace(
        settings,
        rate=settings.rate * trial.suggest_float("rate", 0.2, 5.0, log=True),
        width=trial.suggest_categorical("width", [8, 16, 24, 32]),
        w0=trial.suggest_float("w0", 0.0, 15.0),
        sigma=settings.sigma * trial.suggest_float("sigma", 0.5, 2.0, log=True),
        variation=variation,
    )


def search_settings(
    training: list[AnnotatedMovie],
    validation: list[AnnotatedMovie],
    settings: Settings,
    *,
    score: Score,
    study_file: Path,
    trials: int = 20,
    measure: str = "SEG",
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Settings, list[dict[str, Any]]]:
    """Search for settings with a high measure on the validation frames.

    Every trial takes ``settings.steps`` steps. After each epoch a trial below the median of the
    others at that step is given up. The first trial of a study is ``settings`` itself.

    Parameters
    ----------
    study_file : Path
        SQLite file that keeps the study; an existing one is continued.
    measure : str
        A name that ``score`` returns.

    Returns
    -------
    The best settings, and one row per trial: number, state, value, and the suggested factors.

    Raises
    ------
    MissingExtra
        If Optuna is not installed.
    """
    optuna = import_extra("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a trial that fails ends the search, and is told
    study = optuna.create_study(
        study_name="segmentation",
        storage=f"sqlite:///{study_file}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    if not study.trials:
        study.enqueue_trial(
            {
                "elastic": 1.0,
                "zoom": settings.variation.zoom,
                "brightness": settings.variation.brightness,
                "contrast": settings.variation.contrast,
                "rate": 1.0,
                "width": settings.width,
                "w0": settings.w0,
                "sigma": 1.0,
            }
        )

    def objective(trial: Any) -> float:
        def watch(row: Mapping[str, float]) -> None:
            trial.report(row[measure], int(row["step"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        result = train(training, validation, suggest(trial, settings), score=score, seed=seed, watch=watch)
        progress("tune", trial.number + 1, trials, f"{measure} {result.history[-1][measure]:.3f}")
        return float(max(row[measure] for row in result.history))

    study.optimize(objective, n_trials=trials)
    rows = [{"trial": t.number, "state": t.state.name.lower(), measure: t.value, **t.params} for t in study.trials]
    return suggest(optuna.trial.FixedTrial(study.best_params), settings), rows


def as_toml(settings: Settings, preset: str) -> str:
    """The lines of a file with which ``train --config`` trains a model with these settings, found from this preset."""
    found = {name: getattr(settings, name) for name in ("steps", "rate", "width", "w0", "sigma")}
    found |= {name: getattr(settings.variation, name) for name in ("vector", "zoom", "brightness", "contrast")}
    return to_toml({"preset": preset, **found})
