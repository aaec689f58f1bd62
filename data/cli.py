"""The commands of ``data``: simulate, check, convert."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from data import console
from data.errors import InputError


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""
    app.command(cls=console.Command)(simulate)
    app.command(cls=console.Command)(check)
    app.command("convert", cls=console.Command)(convert_result)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder of the data set to make.")],
    sequence: Annotated[str, typer.Option("--sequence", help="Name of the sequence: 01, 02 …")] = "01",
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Number of frames.")] = 30,
    cells: Annotated[int, typer.Option("--cells", metavar="N", help="Number of cells in the first frame.")] = 30,
    size: Annotated[str, typer.Option("--size", metavar="[Z] Y X", help="Size of the images in pixels.")] = "256 256",
    modality: Annotated[
        Literal["fluo", "dic"], typer.Option("--modality", help="Bright nuclei, or shaded relief.")
    ] = "fluo",
    seed: console.SeedOption = 0,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Simulate a movie with exact truth, in the layout of the Cell Tracking Challenge.

    Example:  celltrail simulate sample --frames 40 --cells 50 --size 512 512
    """
    from data.output import output_folder, refuse_existing
    from data.simulate import simulate_movie, write_movie

    extent = tuple(int(number) for number in console.parse_numbers(size, "--size"))
    if not (sequence.isdigit() and len(sequence) > 1):
        raise InputError(f"--sequence {sequence}: write two digits or more, for example 01.")
    refuse_existing(out, overwrite=overwrite)
    with console.show_progress() as progress:
        movie = simulate_movie(frames=frames, cells=cells, size=extent, modality=modality, seed=seed, progress=progress)
        with output_folder(out, overwrite=overwrite) as work:
            write_movie(movie, work, sequence, progress=progress)
    typer.echo(
        f"{out}: {frames} frames, {len(movie.tracks)} tracks, {len(movie.tracks.divisions())} divisions (sequence {sequence})."
    )


def check(
    path: Annotated[Path, typer.Argument(help="A data set, a result folder, or a movie (folder or stack).")],
    as_json: console.JsonOption = False,
) -> None:
    """List every problem of a data set, a result, or a movie at once.

    Exit code 0: no problem, 2: there are some.

    Example:  celltrail check my_dataset/01_GT/TRA
    """
    from data.check import find_problems

    with console.show_progress() as progress:
        problems = find_problems(path, progress=progress)
    if as_json:
        console.print_json({"path": path, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo(f"{path}: {len(problems)} problem{'' if len(problems) == 1 else 's'} found.")
    if problems:
        raise typer.Exit(2)


def convert_result(
    source: Annotated[Path, typer.Argument(help="A result folder, a .geff or .zarr, a .csv, or a TrackMate .xml.")],
    target: Annotated[Path, typer.Argument(help="NAME.csv, NAME.geff, NAME.zarr, or a name for a CTC folder.")],
    columns: Annotated[
        Literal["intracktive", "napari", "btrack", "trackmate"],
        typer.Option("--columns", help="Which program's columns a CSV gets."),
    ] = "intracktive",
    masks: Annotated[
        Path | None,
        typer.Option("--masks", help="The masks that were tracked, where the source has none.", show_default=False),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option("--radius", min=0.5, help="Radius in pixels of discs for missing masks.", show_default=False),
    ] = None,
    voxel: Annotated[
        str | None,
        typer.Option("--voxel", metavar="[Z] Y X", help="Size of a pixel in µm.", show_default=False),
    ] = None,
    interval: Annotated[
        float | None, typer.Option("--interval", min=0.0, help="Seconds between frames.", show_default=False)
    ] = None,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Convert a result from one format to another.

    Example:  celltrail convert 01_RES tracks.geff
    """
    from data.convert import convert_movie

    numbers = console.parse_numbers(voxel, "--voxel") if voxel else None
    size = None if numbers is None else (numbers[-3] if len(numbers) == 3 else 1.0, numbers[-2], numbers[-1])
    with console.show_progress() as progress:
        notes = convert_movie(
            source, target, dialect=columns, masks=masks, radius=radius, voxel=size, interval=interval or None,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    typer.echo(f"{target} written.")
    for note in notes:
        typer.echo(note)
