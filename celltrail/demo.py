"""The command ``celltrail demo``: the whole way on a simulated movie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.dashboard import cli as dashboard_cli
from celltrail.data.errors import InputError
from celltrail.data.running import console

DEMO_FILE = "demo.json"  # marks a folder as made by the demo, which another demo may replace
DEMO_MOVIE: dict[str, Any] = {"frames": 30, "cells": 25, "size": (256, 256), "modality": "fluo", "seed": 7}
DEMO_MODEL = "sim-fluo"


def run_demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's movie and results.")] = Path("demo"),
    serve: Annotated[bool, typer.Option("--serve", help="Open the dashboard on the result.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
) -> None:
    """Run the whole way on a simulated movie: images, masks, tracks, measures, report.

    Example:  celltrail demo --out demo --serve
    """
    from celltrail.data.writing.output import output_folder, refuse_existing

    refuse_existing(out, overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / DEMO_FILE).is_file():
        raise InputError(f"{out} was not made by a demo and is left alone: choose another folder with --out.")
    with console.show_progress() as progress, output_folder(out, overwrite=overwrite) as work:
        evaluation = _fill(work, progress)
    console.say(evaluation)
    console.say(f"Read {out / 'report.html'}, or look at every cell and track:")
    console.say(f"celltrail dashboard {console.quoted(out)}")
    if serve:
        dashboard_cli.serve(out)


def _fill(folder: Path, progress: Any) -> str:
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
