"""Training several nets that answer as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.progress import Progress, silent
from segmentation.committee import Committee
from segmentation.frames import Movie
from segmentation.model import Model
from segmentation.settings import Settings
from segmentation.training import Score, Training, calibrate, train


def train_committee(
    training: list[Movie], validation: list[Movie], settings: Settings, *, members: int, minutes: float | None = None,
    seed: int = 0, score: Score | None = None, state_file: Path | None = None, progress: Progress = silent, **options: Any,
) -> Training:  # fmt: skip
    """Train ``members`` nets, one after the other, and join them.

    Parameters
    ----------
    members : how many nets; they differ in their seeds ``seed``, ``seed`` + 1, … alone. One is the same as :func:`train`.
    minutes : computing time of all together; without it each takes ``settings.steps`` steps.
    state_file : the states are kept beside it, one of each member.
    Others as in :func:`~segmentation.training.train`, which is called for each member.

    Returns
    -------
    Training
        Thresholds are chosen for the members together; the history has theirs one after the other.
    """
    if members == 1:
        return train(training, validation, settings, minutes=minutes, seed=seed, score=score, state_file=state_file,
                     progress=progress, **options)  # fmt: skip
    results: list[Training] = []
    history: list[dict[str, float]] = []
    for member in range(members):

        def part(stage: str, done: int, total: int, note: str = "", *, before: int = member) -> None:
            progress(stage, before * total + done, members * total, note)

        file = None if state_file is None else state_file.with_name(f"{state_file.stem}-{member}{state_file.suffix}")
        result = train(training, validation, settings, minutes=None if minutes is None else minutes / members,
                       seed=seed + member, score=score, state_file=file, progress=part, **options)  # fmt: skip
        steps, spent = (history[-1]["step"], history[-1]["minutes"]) if history else (0, 0)
        history += [row | {"step": row["step"] + steps, "minutes": row["minutes"] + spent} for row in result.history]
        results.append(result)
    model, last = join([result.model for result in results]), join([result.last for result in results])
    if validation and score is not None:
        model.instances, model.info["validation_measures"] = calibrate(model, validation, score, progress)
        last.instances = model.instances
    return Training(model, last, history)


def join(models: list[Model]) -> Model:
    """One model of the nets of several models, which see and read images as the first does."""
    first = models[0]
    info = {**first.info, "members": len(models), "steps": sum(model.info["steps"] for model in models)}
    return Model(Committee([model.net for model in models]).eval(), first.preprocessing, first.instances, info)
