"""The commands of ``segmentation``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from celltrail.data.errors import import_extra
from celltrail.data.files.opening import refuse_masks
from celltrail.data.running import console, log_file
from celltrail.data.running.console import (
    JsonOption,
    OverwriteOption,
)
from celltrail.data.settings_cli import takes_settings
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.segmentation.net.device import choose_device
from celltrail.segmentation.preview_cli import preview_app
from celltrail.segmentation.segment_settings import DEFAULT_MODEL, SegmentSettings
from celltrail.segmentation.train_cli import add_train

Score = Callable[[Masks, Masks], dict[str, float]]


def add_commands(app: typer.Typer, score: Score | None = None) -> None:
    """Mount the commands of this package.

    Parameters
    ----------
    score : measures of masks against truth (frame → labels), for example IoU, SEG and DET; ``train``
        shows them and chooses thresholds by them.
    """

    add_train(app, score)

    @app.command(cls=console.Command)
    @takes_settings(SegmentSettings)
    def segment(
        images: Annotated[Path, typer.Argument(help="Folder of frames, a stack, or one image.")],
        out: Annotated[Path, typer.Option("--out", help="Folder for the masks (maskTTT.tif).")],
        model: Annotated[
            str, typer.Option("--model", help="Model file, or a name that 'celltrail models' lists.")
        ] = DEFAULT_MODEL,
        *,
        settings: SegmentSettings,
        resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run has ended.")] = False,
        repeat: Annotated[
            Path | None,
            typer.Option(
                "--from",
                metavar="run.json",
                help="Repeat an earlier run; other options given here win.",
                callback=_options_from_run,
                is_eager=True,
                show_default=False,
            ),
        ] = None,
        overwrite: OverwriteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Find the cells in images: one label image per frame.

        The size of the cells is found on a few frames, and whether the model knows such images is said.

        Example:  celltrail segment movie/01 --out masks
        """
        from celltrail.data.run_file import RUN_FILE, changed_inputs, read_run
        from celltrail.data.running.json_text import to_json
        from celltrail.data.running.workers import open_workers
        from celltrail.data.writing.output import output_folder, refuse_existing
        from celltrail.segmentation.stills import open_images_or_stills

        import_extra("torch", "segmentation")
        from celltrail.segmentation.net.checkpoint import find_model
        from celltrail.segmentation.prediction.movie import Output, segment_into
        from celltrail.segmentation.run import COMMAND, describe_run, in_words

        refuse_existing(out, overwrite=overwrite, inputs=[images])
        threads = settings.threads
        if threads is None and settings.jobs > 1:
            threads = max(1, (os.cpu_count() or 1) // settings.jobs)
        find_model(model)
        movie = open_images_or_stills(
            images, frames=settings.frames, channel=settings.channel, axes=settings.axes, series=settings.series
        )
        refuse_masks(movie)
        console.tell(movie.notes)
        log_file.announce(out)
        with (
            console.show_progress(quiet=as_json, lines=True) as progress,
            open_workers(settings.jobs, settings.dask) as mapper,
            output_folder(out, overwrite=overwrite, resume=resume, keep=True) as work,
        ):
            found = segment_into(
                work,
                movie,
                model,
                output=Output(settings.hypotheses, settings.binary, settings.probability),
                diameter=settings.diameter,
                tta=settings.tta,
                memory_mb=settings.memory,
                resume=resume,
                device=choose_device(settings.device),
                mapper=mapper,
                threads=threads,
                progress=progress,
            )
            run = describe_run(movie, model, settings, found)
            (work / RUN_FILE).write_text(to_json(run) + "\n", encoding="utf-8")
            told = in_words(run)
            for line in told:
                log_file.logger.info("%s", line)
            log_file.write_log(work)
        if repeat is not None:
            for change in changed_inputs(read_run(repeat, COMMAND), run):
                console.say(change, err=True)
        if as_json:
            console.print_json({"masks": out, "cells": found.counts, "run": run})
            return
        for line in told:
            console.say(line, err=line.startswith("WARNING"))
        console.say(f"{counted(len(found.counts), 'frame')}, {counted(run['cells'], 'cell')}: {out}")
        choose = "" if settings.channel is None else f" --channel {settings.channel}"
        console.say(f"Next:  celltrail track {console.quoted(out)} --images {console.quoted(images)}{choose} --out RES")

    app.add_typer(
        preview_app, name="preview", help="Pictures of what training sees and what a model makes of an image."
    )

    @app.command(cls=console.Command)
    def models(as_json: JsonOption = False) -> None:
        """List the models that come with Celltrail, with the diameter of the cells that each was trained with.

        Example:  celltrail models
        """
        from celltrail.segmentation.net.checkpoint import list_models, load_model

        rows = []
        for name, path in list_models().items():
            model = load_model(path)
            pixels = None if model.diameter is None else round(model.diameter * model.preprocessing.scale)
            rows.append({"name": name, "file": path, "diameter": pixels, "about": _first_line(path.with_suffix(".md"))})
        if as_json:
            console.print_json(rows)
        else:
            for row in rows:
                default = "  (the default of segment)" if row["name"] == DEFAULT_MODEL else ""
                size = f"{row['diameter']} px" if row["diameter"] else ""
                console.say(f"{row['name']:<14} {size:>7}  {row['about']}{default}")


def _options_from_run(context: typer.Context, path: Path | None) -> Path | None:
    """Take options from an earlier run; those on the command line win."""
    if path is not None:
        from celltrail.data.run_file import read_run

        import_extra("torch", "segmentation")
        from celltrail.segmentation.run import COMMAND, options_of_run

        options = options_of_run(read_run(path, COMMAND))
        context.default_map = {**(context.default_map or {}), **options}
    return path


def _first_line(card: Path) -> str:
    """The first sentence of a model card, below its title."""
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
