"""The commands of ``segmentation``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from celltrail.data.errors import import_extra
from celltrail.data.files.opening import open_images, refuse_masks
from celltrail.data.running import console, log_file
from celltrail.data.running.console import (
    JsonOption,
    OverwriteOption,
)
from celltrail.data.settings_cli import takes_settings
from celltrail.segmentation.net.device import choose_device
from celltrail.segmentation.preview_cli import preview_app
from celltrail.segmentation.segment_settings import SegmentSettings
from celltrail.segmentation.train_cli import add_train

Score = Callable[[Mapping[int, NDArray[Any]], Mapping[int, NDArray[Any]]], Mapping[str, float | None]]


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
                device=choose_device(settings.device),
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
