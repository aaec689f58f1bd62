"""The command ``celltrail``: mounts the commands of every package, and wires the few that cross them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.dashboard import cli as dashboard_cli
from celltrail.data import cli as data_cli
from celltrail.data.errors import InputError
from celltrail.data.running import console
from celltrail.evaluation import cli as evaluation_cli
from celltrail.segmentation import cli as segmentation_cli
from celltrail.tracking import cli as tracking_cli

app = typer.Typer(
    name="celltrail",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="From time-lapse microscopy to cell lineages, with proven optima.",
)
DEMO_FILE = "demo.json"  # marks a folder as made by the demo, which another demo may replace
DEMO_MOVIE: dict[str, Any] = {"frames": 30, "cells": 25, "size": (256, 256), "modality": "fluo", "seed": 7}
DEMO_MODEL = "sim-fluo"


def _score(truth: Any, masks: Any) -> dict[str, float]:
    from celltrail.evaluation import segmentation_scores

    return segmentation_scores(truth, masks)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"celltrail {version('celltrail')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From time-lapse microscopy to cell lineages, with proven optima."""


@app.command(cls=console.Command)
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's movie and results.")] = Path("demo"),
    serve: Annotated[bool, typer.Option("--serve", help="Open the dashboard on the result.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
) -> None:
    """Run the whole way on a simulated movie: images, masks, tracks, measures, report.

    Example:  celltrail demo --out demo --serve
    """
    from celltrail.data.files.output import output_folder, refuse_existing

    refuse_existing(out, overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / DEMO_FILE).is_file():
        raise InputError(f"{out} was not made by a demo and is left alone: choose another folder with --out.")
    with console.show_progress() as progress, output_folder(out, overwrite=overwrite) as work:
        evaluation = _run_demo(work, progress)
    typer.echo(evaluation)
    typer.echo(f"Read {out / 'report.html'}, or look at every cell and track:")
    typer.echo(f"celltrail dashboard {out}")
    if serve:
        dashboard_cli.serve(out)


def _run_demo(folder: Path, progress: Any) -> str:
    """Fill ``folder`` with a movie, its masks, tracks, measures and report; returns the table of measures."""
    from dataclasses import replace

    from celltrail.data import open_images
    from celltrail.data.files.ctc import write_masks
    from celltrail.data.running.json_text import to_json
    from celltrail.data.simulation.scene import simulate_movie, write_movie
    from celltrail.evaluation import evaluate_sequence
    from celltrail.evaluation.reports.sequence_report import write_report
    from celltrail.evaluation.summary import format_table, to_document, write_document
    from celltrail.segmentation import segment_movie
    from celltrail.tracking import track, write_result

    write_movie(simulate_movie(**DEMO_MOVIE, progress=progress), folder, "01", progress=progress)
    images, masks, result, truth = (folder / name for name in ("01", "01_MASKS", "01_RES", "01_GT"))
    masks.mkdir()
    write_masks(masks, segment_movie(open_images(images), DEMO_MODEL, progress=progress))
    tracked = track(masks, images=images, progress=progress)
    for name, path in (("masks", masks), ("images", images)):  # the folder is renamed when it is whole
        tracked.run["inputs"][name]["path"] = path.name
    write_result(tracked, result, progress=progress)
    evaluation = replace(evaluate_sequence(truth, result, progress=progress), gt=truth.name, res=result.name)
    write_document(folder / "evaluation.json", to_document([evaluation]))
    write_report(folder / "report.html", truth, result, images=images, evaluation=evaluation)
    (folder / DEMO_FILE).write_text(to_json({"movie": DEMO_MOVIE, "model": DEMO_MODEL}) + "\n")
    return format_table([evaluation])


@app.command(cls=console.Command)
def doctor(as_json: console.JsonOption = False) -> None:
    """Show what Celltrail finds on this machine: versions, solvers, processors, GPU, free disk.

    Example:  celltrail doctor
    """
    import os
    import platform
    import shutil
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    import pulp

    packages: dict[str, str | None] = {}
    for name in ("celltrail", "numpy", "highspy", "pulp", "torch", "streamlit", "traccuracy", "optuna", "distributed"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    gpu = None
    if find_spec("torch"):
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: PyTorch computes on the processor"
    found = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "gpu": gpu,
        "free disk (GB)": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "solvers": ["highs", *(f"pulp:{name}" for name in pulp.listSolvers(onlyAvailable=True))],
        "packages": packages,
    }
    if as_json:
        console.print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            for package, number in value.items():
                typer.echo(f"{package:<16}{number or 'not installed'}")
        else:
            typer.echo(f"{name:<16}{', '.join(value) if isinstance(value, list) else value}")


@app.command("ctc-package", cls=console.Command)
def package_for_ctc(
    dataset: Annotated[Path, typer.Argument(help="Data set in CTC layout; its folder has the name the CTC gave it.")],
    model: Annotated[str, typer.Option("--model", help="Model file, or a name that 'celltrail models' lists.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the scripts, to be put beside the data set.")],
    sequence: Annotated[
        list[str] | None, typer.Option("--sequence", help="Sequence; may be repeated. Otherwise all with images.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option("--costs", help="Cost model of 'celltrail fit'.", show_default=False)
    ] = None,
    hypotheses: Annotated[
        bool, typer.Option("--hypotheses", help="Let tracking choose among overlapping candidates.")
    ] = False,
    tta: Annotated[bool, typer.Option("--tta", help="Average over 8 rotations and reflections.")] = False,
    foi: Annotated[int, typer.Option("--foi", min=0, metavar="E", help="Field of interest of this data set.")] = 0,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Write what the Cell Tracking Challenge wants for a submission: a script per sequence that needs no arguments.

    Example:  celltrail ctc-package Fluo-N2DL-HeLa --model fluo-hela --foi 25 --out SW
    """
    from celltrail.data.errors import import_extra, raise_if
    from celltrail.data.files.ctc import find_sequence, find_sequences
    from celltrail.data.files.output import refuse_existing
    from celltrail.tracking.costs.learned import load_costs

    import_extra("torch", "segmentation")
    from celltrail.segmentation.package import write_package

    refuse_existing(out, overwrite=overwrite, inputs=[dataset])
    found = [find_sequence(dataset, name) for name in sequence] if sequence else find_sequences(dataset)
    raise_if(
        f"{dataset} has no images of sequence {one.name}: choose others with --sequence."
        for one in found
        if sequence and one.images is None
    )
    names = [one.name for one in found if one.images is not None]
    if not names:
        raise InputError(f"{dataset} holds no folder of images (01, 02 …): give a data set in the layout of the CTC.")
    if costs is not None:
        load_costs(costs)
    scripts = write_package(
        out,
        dataset.resolve().name,
        names,
        model,
        costs=costs,
        hypotheses=hypotheses,
        tta=tta,
        foi=foi,
        overwrite=overwrite,
    )
    typer.echo(
        f"{out}: {', '.join(scripts)}. Put the folder beside {dataset.resolve().name}; README.txt says how to install."
    )


tune_app = typer.Typer(no_args_is_help=True, help="Search for better settings (optional: the defaults need no tuning).")
app.add_typer(tune_app, name="tune")


@tune_app.command("segmentation", cls=console.Command)
def tune_segmentation(
    dataset: Annotated[list[Path], typer.Argument(help="Data sets in CTC layout.")],
    out: Annotated[Path, typer.Option("--out", help="Where the model with the best settings goes (.safetensors).")],
    sequence: Annotated[list[str], typer.Option("--sequence", help="Sequence to learn from; may be repeated.")],
    truth: Annotated[str, typer.Option("--truth", help="ST, GT, mixed, or auto.")] = "auto",
    frames: console.FramesOption = None,
    channel: console.ChannelOption = None,
    validation: Annotated[
        str, typer.Option("--validation", help="Frames A:B, another sequence, or 'last' (the last tenth).")
    ] = "last",
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

    from celltrail.data.files.output import output_file, refuse_existing
    from celltrail.segmentation import preset, save_model, train
    from celltrail.segmentation.cli import hold_back, open_movies
    from celltrail.segmentation.training.curve import write_curve
    from celltrail.segmentation.training.tuning import as_toml, search_settings

    if out.suffix != ".safetensors":
        raise InputError(f"{out}: models are .safetensors files, for example --out {out.stem}.safetensors.")
    file = out.with_suffix(".toml")
    for path in (out, file):
        refuse_existing(path, overwrite=overwrite)
    settings = preset("fast", steps=steps)
    training, held_back = hold_back(open_movies(dataset, sequence, truth, None, frames, channel), validation)
    if not held_back:
        raise InputError("A search needs frames to judge by: choose --validation other than 'none'.")
    study = study or out.with_suffix(".sqlite")
    study.parent.mkdir(parents=True, exist_ok=True)
    with console.show_progress() as progress:
        best, rows = search_settings(
            training, held_back, settings, score=_score, study_file=study, trials=trials, seed=seed, progress=progress
        )
        best = replace(best, steps=final_steps or preset("fast").steps)
        with output_file(file, overwrite=overwrite) as work:
            work.write_text(as_toml(best, "fast"), encoding="utf-8")
        trained = train(training, held_back, best, score=_score, seed=seed, progress=progress)
    write_curve(out, trained.history)
    save_model(out, trained.model, half=True, overwrite=overwrite)
    measures = trained.model.info.get("validation_measures")
    if as_json:
        console.print_json({"model": out, "config": file, "study": study, "trials": rows, "validation": measures})
        return
    _show_trials(rows)
    typer.echo(f"Model with the best settings: {out} (the search is kept in {study})")
    typer.echo(f"Train with them again:  celltrail train … --config {file}")


def _show_trials(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        typer.echo("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


@tune_app.command("tracking", cls=console.Command)
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
    from dataclasses import asdict

    from celltrail.data.files.ctc import find_sequences
    from celltrail.data.files.opening import open_images, open_labels
    from celltrail.data.files.output import output_file, refuse_existing
    from celltrail.tracking.tuning import open_tunable, search_settings

    if out.suffix != ".toml":
        raise InputError(f"{out}: settings are .toml files, for example --out {out.stem}.toml.")
    refuse_existing(out, overwrite=overwrite)
    found = [s for folder in dataset for s in find_sequences(folder) if s.gt_tra and s.gt]
    found = [s for s in found if not sequence or s.name in sequence]
    if not found:
        raise InputError(f"{dataset[0]} holds no sequence with a known lineage (NN_GT/TRA) to judge settings by.")
    study = study or out.with_suffix(".sqlite")
    study.parent.mkdir(parents=True, exist_ok=True)
    with console.show_progress(quiet=as_json) as progress:
        movies = []
        for done, s in enumerate(found):
            progress("measure", done, len(found), f"{s.dataset.name} {s.name}")
            source = s.dataset / masks.replace("NN", s.name) if masks else s.st_seg or s.gt_tra
            images = None if s.images is None else open_images(s.images)
            movies.append(open_tunable(f"{s.dataset.name} {s.name}", open_labels(source), images, s.gt))
        progress("measure", len(found), len(found))
        search = search_settings(
            movies,
            score=_score_tracks,
            study_file=study,
            costs=costs or ["learned", "calibrated", "mixed"],
            trials=trials,
            measure=measure,
            seed=seed,
            progress=progress,
        )
    verdict = _verdict(search, measure)
    with output_file(out, overwrite=overwrite) as work:
        work.write_text(f"# {verdict}\n{search.best.as_toml()}", encoding="utf-8")
    if as_json:
        console.print_json(
            {
                "config": out,
                "study": study,
                "measure": measure,
                "best": asdict(search.best),
                "left_out": search.left_out,
                "default": search.default,
                "trials": search.trials,
            }
        )
        return
    _show_trials(search.trials)
    typer.echo(verdict)
    typer.echo(f"Settings: {out} (the search is kept in {study})")
    typer.echo(f"Use them:  celltrail track MASKS --out RES --config {out}")


def _score_tracks(truth: Path, result: Path) -> dict[str, float | None]:
    from celltrail.evaluation import evaluate_sequence

    return evaluate_sequence(truth, result, groups=("ctc",)).measures


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


data_cli.add_commands(app)
segmentation_cli.add_commands(app, score=_score)
tracking_cli.add_commands(app)
evaluation_cli.add_commands(app)
dashboard_cli.add_commands(app)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(console.run(app))
