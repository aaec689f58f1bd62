"""The commands of ``segmentation``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.opening import open_images, open_labels, parse_frames, refuse_masks
from celltrail.data.running import console, log_file
from celltrail.data.running.console import (
    ChannelOption,
    FramesOption,
    JsonOption,
    OverwriteOption,
    SeedOption,
)
from celltrail.data.settings_cli import takes_settings
from celltrail.segmentation.preview_cli import preview_app
from celltrail.segmentation.segment_settings import SegmentSettings

if TYPE_CHECKING:
    from celltrail.segmentation.training.augment import Variation
    from celltrail.segmentation.training.examples import AnnotatedMovie

Score = Callable[[Mapping[int, NDArray[Any]], Mapping[int, NDArray[Any]]], Mapping[str, float | None]]


def add_commands(app: typer.Typer, score: Score | None = None) -> None:
    """Mount the commands of this package.

    Parameters
    ----------
    score : measures of masks against truth (frame → labels), for example IoU, SEG and DET; ``train``
        shows them and chooses thresholds by them.
    """

    @app.command(cls=console.Command)
    def train(
        dataset: Annotated[
            list[Path], typer.Argument(help="Data sets in CTC layout, or one folder of images (with --labels).")
        ],
        out: Annotated[Path, typer.Option("--out", help="Where the model goes (.safetensors).")],
        sequence: Annotated[
            list[str] | None, typer.Option("--sequence", help="Sequence to learn from; may be repeated.")
        ] = None,
        truth: Annotated[
            str, typer.Option("--truth", help="ST (silver truth), GT (gold), mixed, or auto (silver if there is any).")
        ] = "auto",
        labels: Annotated[
            Path | None, typer.Option("--labels", help="Folder of label images, for images outside the CTC layout.")
        ] = None,
        also: Annotated[
            list[str] | None,
            typer.Option(
                "--also",
                metavar="IMAGES=MASKS",
                help="More images, with masks that are less sure, as a result of 'track': half of what is learnt; "
                "may be repeated.",
            ),
        ] = None,
        weights: Annotated[
            Path | None,
            typer.Option("--weights", help="Folder of weights (TIFF or .npy); tiles are then not deformed."),
        ] = None,
        elastic: Annotated[
            str | None, typer.Option("--elastic", help="Deformation of tiles: grid (the paper's), field or none.")
        ] = None,
        preset: Annotated[
            str, typer.Option("--preset", help="fast, or paper (the U-Net of 2015 as published).")
        ] = "fast",
        frames: FramesOption = None,
        channel: ChannelOption = None,
        validation: Annotated[
            str,
            typer.Option(
                "--validation",
                help="Frames A:B, one of the sequences, 'last' (the last tenth of each) or 'none'.",
            ),
        ] = "last",
        start: Annotated[
            str | None,
            typer.Option(
                "--start", help="Begin with the weights of this model (file, or shipped name), not with random ones."
            ),
        ] = None,
        minutes: Annotated[
            float | None,
            typer.Option("--minutes", min=0.01, help="Computing time of one core; otherwise the preset's steps."),
        ] = None,
        steps: Annotated[
            int | None, typer.Option("--steps", min=1, help="Number of steps, if not by --minutes.")
        ] = None,
        epoch: Annotated[
            int | None,
            typer.Option(
                "--epoch", min=1, help="Steps between two validations, each of which keeps the state for --resume."
            ),
        ] = None,
        scale: Annotated[
            int | None,
            typer.Option("--scale", min=1, help="Reduce images by this factor; otherwise from the size of the cells."),
        ] = None,
        width: Annotated[int | None, typer.Option("--width", min=1, help="Channels of the first level.")] = None,
        depth: Annotated[
            int | None, typer.Option("--depth", min=1, max=6, help="Number of levels below the first.")
        ] = None,
        rate: Annotated[float | None, typer.Option("--rate", min=0, help="Learning rate.")] = None,
        w0: Annotated[float | None, typer.Option("--w0", min=0, help="Strength of the border weights.")] = None,
        sigma: Annotated[float | None, typer.Option("--sigma", min=0.01, help="Their reach, in pixels.")] = None,
        vector: Annotated[
            float | None, typer.Option("--vector", min=0, help="Deformation of tiles by the grid, in pixels.")
        ] = None,
        zoom: Annotated[
            float | None, typer.Option("--zoom", min=0, help="Variation of size: 0.2 is up to 20 %.")
        ] = None,
        brightness: Annotated[
            float | None, typer.Option("--brightness", min=0, help="Variation of brightness.")
        ] = None,
        contrast: Annotated[float | None, typer.Option("--contrast", min=0, help="Variation of contrast.")] = None,
        cells: Annotated[
            str, typer.Option("--cells", help="round, or flat (large flat cells with faint common edges).")
        ] = "round",
        tta: Annotated[
            bool,
            typer.Option("--tta", help="The model averages over 8 rotations and reflections: slower, a little better."),
        ] = False,
        threads: Annotated[
            int | None, typer.Option("--threads", min=1, help="Processor threads; otherwise PyTorch's choice.")
        ] = None,
        device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
        half: Annotated[bool, typer.Option("--half/--full", help="Store weights with 16 bits.")] = True,
        patience: Annotated[
            int, typer.Option("--patience", min=0, help="Stop after so many epochs without a lower loss; 0: never.")
        ] = 0,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
        seed: SeedOption = 0,
        overwrite: OverwriteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Train a model on annotated images.

        Beside the model stand the learning curve (.csv, .png) and the weights of the last step (.last.safetensors).

        Example:  celltrail train DIC-C2DH-HeLa --sequence 01 --minutes 4 --out model.safetensors
        """
        from celltrail.data.files.output import partial_path, refuse_existing

        torch = import_extra("torch", "segmentation")
        from celltrail.segmentation.net.checkpoint import load_model, save_model
        from celltrail.segmentation.training.curve import write_curve
        from celltrail.segmentation.training.loop import describe
        from celltrail.segmentation.training.loop import train as run_training
        from celltrail.segmentation.training.settings import preset as find_preset
        from celltrail.segmentation.training.weight_files import open_weights

        if out.suffix != ".safetensors":
            raise InputError(f"{out}: models are .safetensors files, for example --out {out.stem}.safetensors.")
        refuse_existing(out, overwrite=overwrite)
        if threads:
            torch.set_num_threads(threads)
        first = None if start is None else load_model(start)
        if first is not None:  # its net, unless another is asked for
            width, depth = width or first.net.architecture["width"], depth or first.net.depth
        settings = find_preset(
            preset,
            steps=steps,
            epoch=epoch,
            scale=scale,
            width=width,
            depth=depth,
            rate=rate,
            cells=cells,
            tta=tta or None,
            w0=w0,
            sigma=sigma,
        )
        changes = {"vector": vector, "zoom": zoom, "brightness": brightness, "contrast": contrast}
        variation = replace(settings.variation, **{name: value for name, value in changes.items() if value is not None})
        settings = replace(settings, variation=_variation(variation, elastic, deform=weights is None))
        movies = open_movies(dataset, sequence or [], truth, labels, frames, channel)
        if weights is not None:
            movies = [replace(movie, weights=open_weights(weights)) for movie in movies]
        training, held_back = hold_back(movies, validation)
        less_sure = open_also(also or [], channel)
        work = partial_path(out)
        state_file = work / "state.safetensors"
        if resume and not state_file.is_file():
            raise InputError(f"There is no stopped training for {out}: start it without --resume.")
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        with console.show_progress() as progress:
            result = run_training(
                training,
                held_back,
                settings,
                minutes=minutes,
                seed=seed,
                also=less_sure,
                start=first,
                score=score,
                patience=patience,
                state_file=state_file,
                resume=resume,
                device=_device(device),
                progress=progress,
            )
        save_model(out.with_suffix(".last.safetensors"), result.last, half=half, overwrite=True)
        write_curve(out, result.history)
        save_model(out, result.model, half=half, overwrite=overwrite)
        shutil.rmtree(work, ignore_errors=True)
        if as_json:
            console.print_json(
                {
                    "model": out,
                    "instances": vars(result.model.instances),
                    "history": result.history,
                    "validation": result.model.info.get("validation_measures"),
                }
            )
            return
        for row in result.history:
            typer.echo(describe(row))
        typer.echo(f"Model: {out}")
        typer.echo(f"Use it:  celltrail segment IMAGES --model {out} --out MASKS")

    @app.command(cls=console.Command)
    @takes_settings(SegmentSettings)
    def segment(
        images: Annotated[Path, typer.Argument(help="Folder of frames, a stack, or one image.")],
        model: Annotated[str, typer.Option("--model", help="Model file, or a name that 'celltrail models' lists.")],
        out: Annotated[Path, typer.Option("--out", help="Folder for the masks (maskTTT.tif).")],
        settings: SegmentSettings,
        resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run has ended.")] = False,
        overwrite: OverwriteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Find the cells in images: one label image per frame.

        Example:  celltrail segment movie/01 --model sim-fluo --out masks
        """
        from celltrail.data.files.output import output_folder, refuse_existing
        from celltrail.data.running.workers import open_workers

        import_extra("torch", "segmentation")
        from celltrail.segmentation.net.checkpoint import find_model
        from celltrail.segmentation.prediction.movie import Output, segment_into

        refuse_existing(out, overwrite=overwrite, inputs=[images])
        threads = settings.threads
        if threads is None and settings.jobs > 1:
            threads = max(1, (os.cpu_count() or 1) // settings.jobs)
        find_model(model)
        movie = open_images(images, frames=settings.frames, channel=settings.channel, axes=settings.axes)
        refuse_masks(movie)
        log_file.announce(out)
        with (
            console.show_progress() as progress,
            open_workers(settings.jobs, settings.dask) as mapper,
            output_folder(out, overwrite=overwrite, resume=resume, keep=True) as work,
        ):
            counts = segment_into(
                work,
                movie,
                model,
                output=Output(settings.hypotheses, settings.binary, settings.probability),
                tta=settings.tta,
                memory_mb=settings.memory,
                resume=resume,
                device=_device(settings.device),
                mapper=mapper,
                threads=threads,
                progress=progress,
            )
            log_file.write_log(work)
        if as_json:
            console.print_json({"masks": out, "cells": counts})
        else:
            typer.echo(f"{len(counts)} frames, {sum(counts.values())} cells: {out}")
            choose = " --hypotheses" if settings.hypotheses else ""
            typer.echo(f"Next:  celltrail track {out} --images {images}{choose} --out RES")

    app.add_typer(
        preview_app, name="preview", help="Pictures of what training sees and what a model makes of an image."
    )

    @app.command(cls=console.Command)
    def models(as_json: JsonOption = False) -> None:
        """List the models that come with Celltrail.

        Example:  celltrail models
        """
        from celltrail.segmentation.net.checkpoint import list_models

        rows = [
            {"name": name, "file": path, "about": _first_line(path.with_suffix(".md"))}
            for name, path in list_models().items()
        ]
        if as_json:
            console.print_json(rows)
        else:
            for row in rows:
                typer.echo(f"{row['name']:<14} {row['about']}")


def _first_line(card: Path) -> str:
    """The first sentence of a model card, below its title."""
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def _device(name: str) -> str:
    torch = import_extra("torch", "segmentation")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"--device {name}: not available here; choose auto or cpu.")
    return name


def _variation(variation: Variation, elastic: str | None, *, deform: bool) -> Variation:
    if elastic not in (None, "grid", "field", "none"):
        raise InputError(f"--elastic {elastic}: choose grid, field or none.")
    if not deform:
        return replace(variation, elastic="none", rotation=False, zoom=0.0)
    return replace(variation, elastic=elastic) if elastic else variation  # type: ignore[arg-type]


def open_movies(
    datasets: list[Path],
    sequences: list[str],
    truth: str,
    labels: Path | None,
    frames: str | None,
    channel: int | None,
) -> list[AnnotatedMovie]:
    """The annotated movies that the options of a command name."""
    from celltrail.segmentation.training.examples import open_movie, pair

    chosen = parse_frames(frames)
    if labels is not None:
        if len(datasets) != 1:
            raise InputError("--labels goes with one folder of images.")
        return [pair(open_images(datasets[0], channel=channel), open_labels(labels), chosen)]
    if not sequences:
        raise InputError(
            "Name what to learn from: --sequence 01, or --labels FOLDER for images outside the CTC layout."
        )
    return [
        open_movie(folder, name, truth, frames=chosen, channel=channel) for folder in datasets for name in sequences
    ]


def open_also(pairs: list[str], channel: int | None) -> list[AnnotatedMovie]:
    """The movies of ``--also IMAGES=MASKS``, named by the last two folders of their images.

    Raises
    ------
    InputError
        If a text has another form, a folder is missing, or images and masks do not fit.
    """
    from celltrail.segmentation.training.examples import pair

    wrong = [text for text in pairs if not all(text.partition("="))]
    if wrong:
        raise InputError(
            f"--also {', --also '.join(wrong)}: write the folder of images, '=', and the folder of their masks."
        )
    movies = []
    for text in pairs:
        images, _, masks = text.partition("=")
        movie = pair(open_images(Path(images), channel=channel), open_labels(Path(masks)))
        movies.append(replace(movie, name="/".join(Path(images).resolve().parts[-2:])))
    return movies


def hold_back(movies: list[AnnotatedMovie], validation: str) -> tuple[list[AnnotatedMovie], list[AnnotatedMovie]]:
    """Movies to learn from, and movies to validate with, by the text of ``--validation``."""
    from celltrail.segmentation.training.examples import split_in_time

    if validation == "none":
        return movies, []
    if validation == "last":
        pairs = [split_in_time(movie) for movie in movies]
        return [first for first, _ in pairs], [last for _, last in pairs]
    if ":" not in validation:
        held_back = [movie for movie in movies if movie.name.split(" ")[0].endswith(f"/{validation}")]
        if not held_back or len(held_back) == len(movies):
            raise InputError(
                f"--validation {validation}: name frames A:B, or one of several sequences that are given "
                "with --sequence; it is then only validated with."
            )
        return [movie for movie in movies if movie not in held_back], held_back
    wanted = parse_frames(validation)
    assert wanted is not None
    training, held_back = [], []
    for movie in movies:
        inside = tuple(number for number in movie.labels if number in wanted)
        rest = tuple(number for number in movie.numbers if number not in wanted)
        if not inside or not rest:
            raise InputError(f"--validation {validation}: {movie.name} has no annotated frames there, or no others.")
        held_back.append(replace(movie, numbers=inside))
        training.append(replace(movie, numbers=rest))
    return training, held_back
