"""The commands of ``tracking``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.data.regular import read_json
from celltrail.data.running import console, log_file
from celltrail.data.running.console import FramesOption, JsonOption, OverwriteOption, SeedOption
from celltrail.data.settings_cli import takes_settings
from celltrail.data.words import counted
from celltrail.tracking.commands.review_cli import review
from celltrail.tracking.commands.solve_cli import ResumeOption, solve
from celltrail.tracking.commands.why_cli import why
from celltrail.tracking.settings import TrackSettings


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""
    app.command(cls=console.Command)(track)
    app.command(cls=console.Command)(fit)
    app.command(cls=console.Command)(solve)
    app.command(cls=console.Command)(why)
    app.command(cls=console.Command)(review)


def _options_from_run(context: typer.Context, path: Path | None) -> Path | None:
    """Take options from an earlier run; those on the command line win."""
    from celltrail.data.run_file import read_run
    from celltrail.tracking.repeat import options_of_run

    if path is not None:
        context.default_map = {**(context.default_map or {}), **options_of_run(read_run(path))}
    return path


@takes_settings(TrackSettings, before={"pins": "foi"})
def track(
    masks: Annotated[
        Path, typer.Argument(help="Folder (or stack) of label images: 0 background, one number per cell.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result, in the layout of the CTC.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="The images of these masks; they sharpen the costs.")
    ] = None,
    pins: Annotated[Path | None, typer.Option(help="Corrections to obey (pins.csv).", show_default=False)] = None,
    *,
    settings: TrackSettings,
    resume: ResumeOption = False,
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
    graph: Annotated[bool, typer.Option("--graph/--no-graph", help="Write graph.npz beside the masks.")] = True,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Link cells through a movie into lineages, to the proven optimum.

    Writes maskTTT.tif, res_track.txt, run.json and graph.npz. Ctrl-C while solving writes the best solution so far.

    Example:  celltrail track 01_MASKS --images 01 --out 01_RES
    """
    from celltrail.data.run_file import read_run
    from celltrail.data.writing.output import refuse_existing
    from celltrail.data.writing.ownership import owned
    from celltrail.tracking.pipeline import track as track_movie
    from celltrail.tracking.pipeline import write_result
    from celltrail.tracking.repeat import changes_since
    from celltrail.tracking.saved import forget, saved_parts

    if resume and out.exists():
        overwrite = overwrite or _is_unfinished(out)
    refuse_existing(out, overwrite=overwrite, inputs=[masks, *([images] if images else [])])
    log_file.announce(out)
    with owned(out), console.show_progress(quiet=as_json) as progress, saved_parts(out, resume=resume) as saved:
        result = track_movie(masks, settings, images=images, pins=pins, saved=saved, progress=progress)
        stopped = result.solution.interrupted or settings.time_limit is not None
        unfinished = result.run["status"] != "optimal" and stopped
        if not unfinished:
            forget(saved)
        console.tell(result.run["notes"])
        run = write_result(result, out, overwrite=overwrite, graph=graph, progress=progress)
    if repeat is not None:
        for change in changes_since(read_run(repeat), run):
            console.say(change, err=True)
    if as_json:
        console.print_json(run)
    else:
        _tell(run, out)
        if unfinished:
            console.say("The same command with --resume goes on from what is solved.")
    if result.solution.interrupted:  # Ctrl-C while solving: the best solution so far is written
        raise typer.Exit(130)


def _is_unfinished(out: Path) -> bool:
    """Whether a result was written before it was proven; `InputError` where it is complete or none of ours."""
    from celltrail.data.errors import InputError

    try:
        status = read_json(out / "run.json")["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if status == "optimal":
        raise InputError(f"{out} is proven optimal already: there is nothing to go on with.")
    return True


def _tell(run: dict[str, Any], out: Path) -> None:
    """What the result is, in two lines."""
    # Not the detections: some of these are other readings of a mask. A gap without masks is a link between two tracks.
    cells = run["links"] + run["tracks"] - run["unfilled_gaps"]
    repairs = run.get("repairs") or {}
    console.say(
        f"{counted(cells, 'cell')} in {counted(run['tracks'], 'track')}: {counted(run['links'], 'link')}, "
        f"{counted(run['divisions'], 'division')}; {counted(run['filled'], 'mask')} filled in, {repairs.get('merged', 0):,} split, {repairs.get('split', 0):,} joined."
    )
    proof = "proven optimal" if run["status"] == "optimal" else f"within {run['gap']:.3g} nats of the optimum"
    if run["config"]["method"] != "ilp":
        proof += f" for {run['bound_of']}"
    console.say(f"Objective {run['objective']:.6f} nats, {proof}; {run['seconds']['total']:.1f} s. Written to {out}.")
    if run["confidence"]:
        sentence = run["confidence"]["sentence"]
        console.say(f"{sentence[:1].upper()}{sentence[1:]}.")
        console.say(f"celltrail review {console.quoted(out)} shows where.")


def fit(
    out: Annotated[Path, typer.Option("--out", help="The cost file to write (.json).")],
    datasets: Annotated[
        list[Path] | None, typer.Argument(help="Data sets in the layout of the CTC (01, 01_GT, 01_ST …).")
    ] = None,
    pins: Annotated[Path | None, typer.Option(help="Corrections to learn from (pins.csv).", show_default=False)] = None,
    masks: Annotated[
        Path | None, typer.Option(help="The masks that the corrections speak of.", show_default=False)
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The images of those masks.", show_default=False)] = None,
    frames: FramesOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn the costs of links and divisions from movies with a known lineage, or from corrections.

    Of every sequence with NN_GT/TRA, the full masks in NN_ST/SEG are used, or those of NN_GT/TRA itself. Corrections
    change the costs learned from the data sets given, or else those that come with Celltrail.

    Example:  celltrail fit Fluo-N2DL-HeLa DIC-C2DH-HeLa --out costs.json
    """
    from dataclasses import asdict, replace
    from importlib.metadata import version

    from celltrail.data.errors import InputError
    from celltrail.data.files.ctc import find_sequences
    from celltrail.data.files.opening import parse_frames
    from celltrail.data.writing.output import output_file, refuse_existing
    from celltrail.tracking.costs.examples import read_example
    from celltrail.tracking.costs.from_pins import read_corrections
    from celltrail.tracking.costs.learned import costs_as_json, fit_costs, load_costs
    from celltrail.tracking.costs.pricing import Constants
    from celltrail.tracking.cross_fitting import calibrate_costs

    if out.suffix != ".json":
        raise InputError(f"{out}: costs are .json files, for example --out {out.stem or 'costs'}.json.")
    refuse_existing(out, overwrite=overwrite)
    if not datasets and pins is None:
        raise InputError("There is nothing to learn from: give data sets with a known lineage, or --pins with --masks.")
    if (pins is None) != (masks is None):
        raise InputError("Corrections and the masks they speak of belong together: give both --pins and --masks.")
    span = parse_frames(frames)
    sequences = [sequence for dataset in datasets or [] for sequence in find_sequences(dataset) if sequence.gt_tra]
    with console.show_progress(quiet=as_json) as progress:
        examples = []
        for done, sequence in enumerate(sequences):
            progress("read", done, len(sequences))
            examples.append(read_example(sequence, frames=span))
        progress("read", len(sequences), len(sequences))
        model = load_costs()
        if datasets:
            model = replace(fit_costs(examples, seed=seed), calibration=calibrate_costs(examples, seed=seed))
        if pins is not None and masks is not None:
            model = read_corrections(model, pins, masks, images, frames=span, progress=progress)
    constants = Constants()
    text = costs_as_json(model, asdict(constants), constants.in_words(), version("celltrail"))
    with output_file(out, overwrite=overwrite) as work:
        work.write_text(text + "\n", encoding="utf-8")
    if as_json:
        console.say(text)
        return
    for movie in model.trained_on:
        console.say(f"{movie['name']}: {counted(movie['links'], 'link')}, {counted(movie['divisions'], 'division')}")
    if model.calibration.movies:
        console.say(
            f"Costs are divided by {model.calibration.temperature:g} for probabilities, by what other data sets teach."
        )
    console.say(f"Written to {out}: use it with  celltrail track … --costs {console.quoted(out)}")
