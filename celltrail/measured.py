"""The command ``measure``: the numbers of ``data``, with intervals of counts from solutions that ``tracking`` draws."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from celltrail.data.errors import InputError
from celltrail.data.progress import Progress, silent
from celltrail.data.run_file import RUN_FILE
from celltrail.data.running import console
from celltrail.data.settings import parse_voxel
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd


def measure(
    result: Annotated[Path, typer.Argument(help="A result folder: masks with their track file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="NAME.csv for the cells; NAME-tracks.csv is written beside it, NAME-masks.csv where masks were changed.",
        ),
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Images whose grey values are measured.", show_default=False)
    ] = None,
    frames: console.FramesOption = None,
    channel: Annotated[
        list[int] | None,
        typer.Option("--channel", min=0, help="Which channel; may be given several times.", show_default=False),
    ] = None,
    axes: console.AxesOption = None,
    series: console.SeriesOption = None,
    voxel: console.VoxelOption = None,
    interval: console.IntervalOption = None,
    certain: Annotated[
        float | None,
        typer.Option(
            "--certain",
            min=0.0,
            max=1.0,
            metavar="P",
            help="Only tracks that are right as a whole with at least this probability.",
            show_default=False,
        ),
    ] = None,
    resample: Annotated[
        int,
        typer.Option(
            "--resample",
            min=0,
            max=10_000,
            metavar="N",
            help="Solve N times with costs as uncertain as they are: NAME-counts.csv has counts with 90 % intervals.",
        ),
    ] = 0,
    seed: console.SeedOption = 0,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Measure every cell in every frame, and every track: position, size, shape, grey values, speed, fate.

    Example:  celltrail measure 01_RES --images 01 --out cells.csv --voxel 0.65 0.65 --interval 300
    """
    from celltrail.data.files.opening import open_images, open_labels, parse_frames
    from celltrail.data.formats.certainty import read_certainty
    from celltrail.data.formats.measurements import (
        measure_cells,
        measure_tracks,
        read_filled,
        read_margins,
        read_repaired,
    )
    from celltrail.data.formats.points import points_between, read_result
    from celltrail.data.writing.output import output_file, refuse_existing

    if out.suffix.lower() != ".csv":
        raise InputError(f"{out} does not end in .csv: the measurements are tables.")
    wanted = parse_frames(frames)
    beside = out.with_name(f"{out.stem}-tracks.csv")
    counts = out.with_name(f"{out.stem}-counts.csv")
    masks = out.with_name(f"{out.stem}-masks.csv")
    if resample and wanted is not None:
        raise InputError("--resample draws whole lineages: leave out --frames.")
    for path in (out, beside, masks, *([counts] if resample else [])):
        refuse_existing(path, overwrite=overwrite, inputs=[result])
    movies = {}
    if images is not None and not channel:
        movies[""] = open_images(images, axes=axes, series=series)
    elif images is not None:
        movies = {f"ch{n}": open_images(images, channel=n, axes=axes, series=series) for n in channel or ()}
    known = next(iter(movies.values()), None)
    with console.show_progress() as progress:
        points = points_between(read_result(result, progress=progress), wanted)
        points = replace(
            points,
            voxel=parse_voxel(voxel) or points.voxel or (known.voxel if known else None),
            interval=interval or points.interval or (known.interval if known else None),
        )
        graph = result / "graph.npz"
        margins, certainty = read_margins(graph) if graph.is_file() else None, read_certainty(graph)
        if certain is not None and certainty is None:
            raise InputError(
                f"{result} holds no probabilities, which --certain needs: run 'celltrail track' on its masks."
            )
        cells = measure_cells(
            points,
            open_labels(result, frames=wanted),
            movies,
            margins=margins,
            filled=read_filled(result / "run.json"),
            repaired=read_repaired(result / "run.json"),
            certainty=certainty,
            progress=progress,
        )
        tracks = measure_tracks(points, cells, certainty)
        drawn = count_with_intervals(graph, resample, seed, progress=progress) if resample else None
    share = ""
    if certain is not None:
        before, tracks = len(tracks), tracks[tracks["probability"] >= certain]
        all_cells, cells = len(cells), cells[cells["track"].isin(tracks["track"])]
        share = (
            f" Right as a whole with a probability of {certain:g} or more: {len(tracks):,} of {counted(before, 'track')}, "
            f"{100 * len(cells) / max(all_cells, 1):.1f} % of the cells."
        )
    changed = tabulate_changed(result / RUN_FILE, wanted)
    tables = [(cells, out), (tracks, beside), *([] if drawn is None else [(drawn, counts)])]
    tables += [(changed, masks)] if len(changed) or masks.exists() else []  # no table of an earlier result stays
    for table, path in tables:
        with output_file(path, overwrite=overwrite) as file:
            table.to_csv(file, index=False, lineterminator="\n", float_format="%.6g")
    console.say(f"{out}: {counted(len(cells), 'cell')}; {beside}: {counted(len(tracks), 'track')}.{share}")
    if len(changed):
        console.say(f"{masks}: {counted(len(changed), 'mask that is', 'masks that are')} not in the result as given.")
    for row in [] if drawn is None else drawn.to_dict("records"):
        console.say(f"{row['quantity']}: {row['value']:.4g} (90 % interval {row['low']:.4g} to {row['high']:.4g})")


def tabulate_changed(run: Path, frames: range | None = None) -> pd.DataFrame:
    """The masks that are not in a result as they were given: those split, joined, redrawn, left out or painted.

    Parameters
    ----------
    run : Path
        ``run.json`` of the result; where there is none, nothing is known.
    frames : range or None
        Only those.

    Returns
    -------
    DataFrame
        The columns of `celltrail.tracking.became.changed_masks`; labels and tracks with spaces in between.
    """
    import pandas as pd

    from celltrail.data.run_file import read_run
    from celltrail.tracking.became import changed_masks

    told = []
    with suppress(InputError):  # the result of another program
        told = [one for one in changed_masks(read_run(run)) if frames is None or one["frame"] in frames]
    joined = [one | {name: " ".join(map(str, one[name])) for name in ("masks", "tracks")} for one in told]
    return pd.DataFrame(joined, columns=["frame", "kind", "masks", "tracks", "sentence"])


def count_with_intervals(graph: Path, draws: int, seed: int = 0, *, progress: Progress = silent) -> pd.DataFrame:
    """Counts of a result, each with the 90 % interval of solutions that are drawn as probable as the costs say.

    Parameters
    ----------
    graph : Path
        ``graph.npz`` of a result, with probabilities.
    draws : int
        How often the programme is solved.
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        ``quantity``, ``value`` (of the result), ``low``, ``high``, ``draws``.

    Raises
    ------
    InputError
        If there is no such file, or none with probabilities.
    """
    import pandas as pd

    from celltrail.data.graph.confidence import load_with_confidence
    from celltrail.tracking.confidence.resampling import count_lineages, draw_solutions, interval_of_draws
    from celltrail.tracking.exporting.lineage import build_lineage

    if not graph.is_file():
        raise InputError(f"{graph} is missing, which --resample needs: run 'celltrail track' on the masks.")
    candidates, solution, _, confidence = load_with_confidence(graph)
    own = count_lineages(build_lineage(candidates, solution).tracks)
    drawn = []
    for done, other in enumerate(draw_solutions(candidates, confidence.temperature, draws, seed), start=1):
        drawn.append(count_lineages(build_lineage(candidates, other).tracks))
        progress("resample", done, draws)
    rows = [
        (name, value, *interval_of_draws([one[name] for one in drawn], value), draws) for name, value in own.items()
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "low", "high", "draws"])
