"""The commands ``celltrail tune``: a search over settings, judged by the measures of ``celltrail evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.data.errors import InputError
from celltrail.data.running import console
from celltrail.data.settings import changed
from celltrail.data.settings_cli import option_of
from celltrail.scores import score_masks, score_tracks
from celltrail.segmentation.train_settings import TrainSettings

app = typer.Typer(no_args_is_help=True, help="Search for better settings (optional: the defaults need no tuning).")


@app.command("segmentation", cls=console.Command)
def tune_segmentation(
    dataset: Annotated[list[Path], typer.Argument(help="Data sets in CTC layout.")],
    out: Annotated[Path, typer.Option("--out", help="Where the model with the best settings goes (.safetensors).")],
    sequence: Annotated[list[str], typer.Option("--sequence", help="Sequence to learn from; may be repeated.")],
    truth: Annotated[str, option_of(TrainSettings, "truth")] = TrainSettings.truth,
    frames: console.FramesOption = None,
    channel: console.ChannelOption = None,
    validation: Annotated[str, option_of(TrainSettings, "validation")] = TrainSettings.validation,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Number of short trainings.")] = 20,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of a short training.")] = 200,
    final_steps: Annotated[
        int | None, typer.Option("--final-steps", min=1, help="Steps of the last training; otherwise the preset's.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option("--study", help="SQLite file that keeps the search; an existing one is continued.")
    ] = None,
    seed: console.SeedOption = 0,
    overwrite: console.OverwriteOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Search over rate, width, border weights and augmentation, then train a model with the best of them.

    Beside the model stand the best settings (.toml), which 'train --config' reads.

    Example:  celltrail tune segmentation DIC-C2DH-HeLa --sequence 01 --trials 20 --out tuned.safetensors
    """
    from dataclasses import replace

    from celltrail.data.writing.output import output_file, refuse_existing
    from celltrail.segmentation import preset, save_model, train
    from celltrail.segmentation.train_cli import hold_back, open_movies
    from celltrail.segmentation.training.curve import write_curve
    from celltrail.segmentation.training.tuning import as_toml, search_settings

    if out.suffix != ".safetensors":
        raise InputError(f"{out}: models are .safetensors files, for example --out {out.stem}.safetensors.")
    file = out.with_suffix(".toml")
    for path in (out, file):
        refuse_existing(path, overwrite=overwrite)
    settings = preset("fast", steps=steps)
    reading = changed(TrainSettings(), {"truth": truth, "frames": frames, "channel": channel})
    training, held_back = hold_back(open_movies(dataset, sequence, reading), validation)
    if not held_back:
        raise InputError("A search needs frames to judge by: choose --validation other than 'none'.")
    study = study or out.with_suffix(".sqlite")
    with _new_study(study), console.show_progress() as progress:
        best, rows = search_settings(
            training,
            held_back,
            settings,
            score=score_masks,
            study_file=study,
            trials=trials,
            seed=seed,
            progress=progress,
        )
        best = replace(best, steps=final_steps or preset("fast").steps)
        with output_file(file, overwrite=overwrite) as work:
            work.write_text(as_toml(best, "fast"), encoding="utf-8")
        trained = train(training, held_back, best, score=score_masks, seed=seed, progress=progress)
    write_curve(out, trained.history)
    save_model(out, trained.model, half=True, overwrite=overwrite)
    measures = trained.model.info.get("validation_measures")
    if as_json:
        console.print_json({"model": out, "config": file, "study": study, "trials": rows, "validation": measures})
        return
    _show_trials(rows)
    console.say(f"Model with the best settings: {out} (the search is kept in {study})")
    console.say(f"Train with them again:  celltrail train … --config {console.quoted(file)}")


@contextmanager
def _new_study(file: Path) -> Iterator[None]:
    """A search that is refused leaves no file; one that goes on in an older file leaves that."""
    is_new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except InputError:
        if is_new:
            file.unlink(missing_ok=True)
        raise


def _show_trials(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        console.say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


@app.command("tracking", cls=console.Command)
def tune_tracking(
    dataset: Annotated[list[Path], typer.Argument(help="Data sets in CTC layout, with known lineages (NN_GT/TRA).")],
    out: Annotated[Path, typer.Option("--out", help="Where the best settings go (.toml), for 'track --config'.")],
    sequence: Annotated[
        list[str] | None, typer.Option("--sequence", help="Only this sequence; may be repeated.", show_default=False)
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="NN_…",
            help="Folder of the masks beside each movie, such as NN_MASKS; else silver truth or markers.",
        ),
    ] = None,
    costs: Annotated[
        list[str] | None, typer.Option(help="Cost models to choose among; may be repeated. Otherwise all three.")
    ] = None,
    measure: Annotated[str, typer.Option("--measure", help="What to search for: OP_CLB, LNK, BIO, TRA …")] = "OP_CLB",
    trials: Annotated[int, typer.Option("--trials", min=1, help="How many settings to try.")] = 30,
    study: Annotated[
        Path | None, typer.Option("--study", help="SQLite file that keeps the search; an existing one is continued.")
    ] = None,
    seed: console.SeedOption = 0,
    overwrite: console.OverwriteOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Search for settings of 'track' on movies with a known lineage; tells what they gain on movies left out.

    Example:  celltrail tune tracking my --trials 30 --out tracking.toml
    """
    from celltrail.data.files.ctc import find_sequences
    from celltrail.data.settings import to_toml
    from celltrail.data.writing.output import output_file, refuse_existing
    from celltrail.tracking.tuning import open_tunable, search_settings, searched

    if out.suffix != ".toml":
        raise InputError(f"{out}: settings are .toml files, for example --out {out.stem}.toml.")
    refuse_existing(out, overwrite=overwrite)
    known = [s for folder in dataset for s in find_sequences(folder) if not sequence or s.name in sequence]
    found = [(s, gt, s.st_seg or tra) for s in known if (gt := s.gt) and (tra := s.gt_tra)]
    if not found:
        raise InputError(
            f"{dataset[0]} holds no sequence with a known lineage (NN_GT/TRA) to judge settings by: give a data set in CTC layout."
        )
    study = study or out.with_suffix(".sqlite")
    with _new_study(study), console.show_progress(quiet=as_json) as progress:
        movies = []
        for done, (s, gt, usual) in enumerate(found):
            progress("measure", done, len(found), f"{s.dataset.name} {s.name}")
            source = s.dataset / masks.replace("NN", s.name) if masks else usual
            movies.append(open_tunable(f"{s.dataset.name} {s.name}", source, s.images, gt))
        progress("measure", len(found), len(found))
        search = search_settings(
            movies,
            score=score_tracks,
            study_file=study,
            costs=costs or ["learned", "calibrated", "mixed"],
            trials=trials,
            measure=measure,
            seed=seed,
            progress=progress,
        )
    verdict, best = _verdict(search, measure), searched(search.best)
    with output_file(out, overwrite=overwrite) as work:
        work.write_text(f"# {verdict}\n{to_toml(best)}", encoding="utf-8")
    if as_json:
        console.print_json(
            {
                "config": out,
                "study": study,
                "measure": measure,
                "best": best,
                "left_out": search.left_out,
                "default": search.default,
                "trials": search.trials,
            }
        )
        return
    _show_trials(search.trials)
    console.say(verdict)
    console.say(f"Settings: {out} (the search is kept in {study})")
    console.say(f"Use them:  celltrail track MASKS --out RES --config {console.quoted(out)}")


def _verdict(search: Any, measure: str) -> str:
    """Whether the search was worth it, in a sentence."""
    default = sum(search.default.values()) / len(search.default)
    if search.left_out is None:
        return f"One sequence cannot tell whether these settings hold elsewhere (the defaults have {measure} {default:.4f} here)."
    tuned = sum(search.left_out.values()) / len(search.left_out)
    advice = (
        "settings chosen without a sequence do better on it"
        if tuned > default
        else "the defaults do as well or better: keep them"
    )
    return f"{measure} on sequences left out of the search: {tuned:.4f}, with the defaults {default:.4f}: {advice}."
