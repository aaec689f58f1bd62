"""The commands of ``evaluation``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer

from celltrail.data.errors import InputError
from celltrail.data.running import console
from celltrail.data.settings import parse_voxel


class TruthOption(StrEnum):
    """Which full masks are the truth."""

    GT = "GT"
    ST = "ST"


class SecondOpinion(StrEnum):
    """Other software whose measures stand beside ours."""

    traccuracy = "traccuracy"


class _JsonToFileOrScreen(console.Command):
    """``--json FILE`` writes a file; ``--json`` alone prints."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        filled: list[str] = []
        for argument, following in zip(args, [*args[1:], "--"], strict=True):
            filled += [argument, "-"] if argument == "--json" and following.startswith("--") else [argument]
        return super().parse_args(ctx, filled)


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""
    app.command(cls=_JsonToFileOrScreen)(evaluate)
    app.command(cls=console.Command)(compare)


def evaluate(
    gt: Annotated[Path, typer.Argument(help="Folder of the truth (NN_GT), or a data set with NN_GT and NN_RES.")],
    res: Annotated[
        Path | None, typer.Argument(help="Folder of the result (maskTTT.tif, res_track.txt).", show_default=False)
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="[FILE]", help="Write the measures here, or print them.", show_default=False),
    ] = None,
    errors: Annotated[
        Path | None, typer.Option("--errors", help="Write every single error here (CSV).", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a report here (HTML; one sequence).", show_default=False)
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Images for the report's pictures.", show_default=False)
    ] = None,
    frames: console.FramesOption = None,
    channel: console.ChannelOption = None,
    axes: console.AxesOption = None,
    series: console.SeriesOption = None,
    voxel: Annotated[
        str | None,
        typer.Option("--voxel", metavar="'[Z] Y X'", help="Size of a voxel in µm, for distances.", show_default=False),
    ] = None,
    truth: Annotated[
        TruthOption, typer.Option(help="Full masks of the gold truth, or of the silver truth NN_ST beside NN_GT.")
    ] = TruthOption.GT,
    only_masks: Annotated[bool, typer.Option("--only-masks", help="Compare full masks only, no tracks.")] = False,
    sparse: Annotated[
        bool, typer.Option("--sparse-truth", help="The truth shows some lineages only; nothing else counts.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show every measure, not only those people quote.")] = False,
    second: Annotated[
        SecondOpinion | None, typer.Option("--with", help="Show its measures beside ours.", show_default=False)
    ] = None,
    jobs: console.JobsOption = 1,
    dask: console.DaskOption = None,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Compare a result with its ground truth: every measure, and every single error.

    Example:  celltrail evaluate 01_GT 01_RES --json evaluation.json --errors errors.csv
    """
    from celltrail.data.files.ctc import find_sequences
    from celltrail.data.files.opening import open_images, parse_frames
    from celltrail.data.running.workers import open_workers
    from celltrail.data.writing.output import refuse_existing
    from celltrail.evaluation.border import describe_border
    from celltrail.evaluation.comparing.second_opinion import ask_traccuracy, format_opinion
    from celltrail.evaluation.errors import write_errors
    from celltrail.evaluation.reports.sequence_report import write_report
    from celltrail.evaluation.sequence import evaluate_dataset, evaluate_sequence
    from celltrail.evaluation.summary import format_table, to_document, write_document

    screen = json == Path("-")
    for out in (None if screen else json, errors, report):
        if out is not None:
            refuse_existing(out, overwrite=overwrite)
    if report is not None and res is None:
        raise InputError("--report shows one sequence: name the folders of the truth and of the result.")
    wanted, size = parse_frames(frames), parse_voxel(voxel)
    movie = None if images is None else open_images(images, channel=channel, axes=axes, series=series)
    with console.show_progress() as progress, open_workers(jobs, dask) as mapper:
        if res is not None:
            evaluations = [
                evaluate_sequence(
                    gt,
                    res,
                    frames=wanted,
                    truth=truth.value,
                    only_masks=only_masks,
                    voxel=size,
                    sparse=sparse,
                    mapper=mapper,
                    progress=progress,
                )
            ]
        elif gt.is_dir() and ((gt / "TRA").is_dir() or (gt / "SEG").is_dir()):
            raise InputError(f"{gt} is one ground truth: name the folder of the result as well.")
        else:
            found = find_sequences(gt)
            skipped = [s.name for s in found if s.gt is None or s.result is None]
            evaluations = evaluate_dataset(
                gt, frames=wanted, truth=truth.value, voxel=size, sparse=sparse, mapper=mapper, progress=progress
            ).sequences
            for name in skipped:
                console.say(f"Sequence {name} has no truth or no result: left out.", err=True)
    document = to_document(
        evaluations, settings={"frames": frames, "truth": truth.value, "only_masks": only_masks, "sparse": sparse}
    )
    text = format_table(evaluations, everything=everything)
    if not screen:
        text = "\n".join([text, *filter(None, map(describe_border, evaluations))])
    if second is not None:
        opinions = [ask_traccuracy(Path(e.gt), Path(e.res), frames=wanted) for e in evaluations]
        document["second_opinion"] = [opinion.to_dict() for opinion in opinions]
        text += "\n\n" + "\n\n".join(
            format_opinion(opinion, {**e.measures, **e.counts})
            for opinion, e in zip(opinions, evaluations, strict=True)
        )
    if screen:
        console.print_json(document)
    else:
        console.say(text)
    if json is not None and not screen:
        write_document(json, document, overwrite=overwrite)
    if errors is not None:
        write_errors(errors, [error for e in evaluations for error in e.errors], overwrite=overwrite)
    if report is not None and res is not None:
        write_report(report, gt, res, images=movie, evaluation=evaluations[0], overwrite=overwrite)


def compare(
    dataset: Annotated[Path, typer.Argument(help="Data set with the truth of its sequences (NN_GT), or one NN_GT.")],
    variants: Annotated[
        list[str], typer.Argument(metavar="NAME=DIR...", help="Results: folders with NN_RES, or a single NN_RES.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the comparison.")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="Compare the others with this one.", show_default="the first")
    ] = None,
    frames: console.FramesOption = None,
    truth: Annotated[
        TruthOption, typer.Option(help="Full masks of the gold truth, or of the silver truth NN_ST beside NN_GT.")
    ] = TruthOption.GT,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="NN_…",
            help="Folder of the masks that were tracked, such as NN_MASKS, for results that are mere points.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=100, help="Draws of lineages for the intervals.")] = 5000,
    seed: console.SeedOption = 0,
    second: Annotated[
        SecondOpinion | None, typer.Option("--with", help="Show its measures beside ours.", show_default=False)
    ] = None,
    as_json: console.JsonOption = False,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Compare several results with one truth: which is better, and does the difference mean anything?

    Example:  celltrail compare Fluo-N2DL-HeLa ours=results/ilp lap=results/lap --out comparison
    """
    from celltrail.data.files.opening import parse_frames
    from celltrail.data.writing.output import output_folder, refuse_existing
    from celltrail.evaluation.comparing.comparison import compare_variants, to_plain
    from celltrail.evaluation.reports.comparison_report import format_markdown, write_comparison

    named: dict[str, Path] = {}
    problems = []
    for text in variants:
        name, equals, folder = text.partition("=")
        if not equals or not name or not folder:
            problems.append(f"'{text}': write each variant as NAME=FOLDER.")
        elif name in named:
            problems.append(f"The variant {name} is given twice: give each its own name.")
        named[name] = Path(folder)
    if problems:
        raise InputError(*problems)
    refuse_existing(out, overwrite=overwrite, inputs=named.values())
    with console.show_progress() as progress:
        comparison = compare_variants(
            dataset,
            named,
            baseline=baseline,
            frames=parse_frames(frames),
            truth=truth.value,
            draws=draws,
            seed=seed,
            second_opinion=second is not None,
            masks=masks,
            progress=progress,
        )
    with output_folder(out, overwrite=overwrite) as work:
        write_comparison(comparison, work)
    if as_json:
        console.print_json(to_plain(comparison))
    else:
        console.say(format_markdown(comparison))
        console.say(f"Read {out / 'report.html'}.")
