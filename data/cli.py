"""The commands of ``data``: simulate, check, convert, render."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from celltrail.data.errors import InputError
from celltrail.data.running import console
from celltrail.data.settings import parse_numbers, parse_voxel
from celltrail.data.words import counted

LONGEST_SIDE = 2**16  # pixels of a simulated image


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""
    app.command(cls=console.Command)(simulate)
    app.command(cls=console.Command)(check)
    app.command("convert", cls=console.Command)(convert_result)
    app.command(cls=console.Command)(render)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder of the data set to make.")],
    sequence: Annotated[str, typer.Option("--sequence", help="Name of the sequence: 01, 02 …")] = "01",
    frames: Annotated[int, typer.Option("--frames", metavar="N", min=1, max=10**6, help="Number of frames.")] = 30,
    cells: Annotated[
        int, typer.Option("--cells", metavar="N", min=0, max=10**6, help="Number of cells in the first frame.")
    ] = 30,
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
    from celltrail.data.simulation.scene import simulate_scene, write_movie
    from celltrail.data.writing.output import output_folder, refuse_existing

    extent = tuple(int(number) for number in parse_numbers(size, "--size"))
    if max(extent) > LONGEST_SIDE:
        raise InputError(f"--size {size}: a side may have up to {LONGEST_SIDE} pixels.")
    if not (sequence.isdigit() and len(sequence) > 1):
        raise InputError(f"--sequence {sequence}: write two digits or more, for example 01.")
    refuse_existing(out, overwrite=overwrite)
    with console.show_progress() as progress:
        # Frames are drawn while they are written: memory does not grow with the length of the movie.
        movie = simulate_scene(frames=frames, cells=cells, size=extent, modality=modality, seed=seed).movie()
        with output_folder(out, overwrite=overwrite) as work:
            write_movie(movie, work, sequence, progress=progress)
    console.say(
        f"{out}: {counted(frames, 'frame')}, {counted(len(movie.tracks), 'track')}, "
        f"{counted(len(movie.tracks.divisions()), 'division')} (sequence {sequence})."
    )


def check(
    path: Annotated[Path, typer.Argument(help="A data set, a result folder, or a movie (folder or stack).")],
    frames: console.FramesOption = None,
    channel: console.ChannelOption = None,
    axes: console.AxesOption = None,
    series: console.SeriesOption = None,
    split_binary: console.SplitOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """List every problem of a data set, a result, or a movie at once.

    Exit code 0: no problem, 2: there are some.

    Example:  celltrail check my_dataset/01_GT/TRA
    """
    from celltrail.data.files.check import Section, find_problems
    from celltrail.data.files.opening import parse_frames

    part = Section(parse_frames(frames), channel, axes, series, split_binary)
    with console.show_progress() as progress:
        problems = find_problems(path, part, progress=progress)
    if as_json:
        console.print_json({"path": path, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            console.say(str(problem))
        console.say(f"{path}: {counted(len(problems), 'problem')} found.")
    if problems:
        raise typer.Exit(2)


def convert_result(
    source: Annotated[
        Path,
        typer.Argument(
            help="A result folder, tracked label images, a .geff or .zarr, a .csv, TrackMate's .xml, btrack's .h5."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="NAME.csv, NAME.geff, NAME.zarr, NAME.xml, or a name for a CTC folder.")
    ],
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
    voxel: console.VoxelOption = None,
    interval: console.IntervalOption = None,
    certain: Annotated[
        float | None,
        typer.Option(
            "--certain",
            min=0.0,
            max=1.0,
            metavar="P",
            help="Only links with at least this probability; tracks are cut at others.",
            show_default=False,
        ),
    ] = None,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Convert a result from one format to another.

    Example:  celltrail convert 01_RES tracks.geff
    """
    from celltrail.data.formats.convert import convert_movie

    size = parse_voxel(voxel)
    with console.show_progress() as progress:
        notes = convert_movie(
            source,
            target,
            dialect=columns,
            masks=masks,
            radius=radius,
            voxel=size,
            interval=interval or None,
            certain=certain,
            overwrite=overwrite,
            progress=progress,
        )
    console.say(f"{target} written.")
    for note in notes:
        console.say(note)


def render(
    result: Annotated[Path, typer.Argument(help="A result folder: masks with their track file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="NAME.mp4, NAME.gif, a folder for PNG files; NAME.svg or NAME.png for the lineage tree."
        ),
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="The images, shown under the outlines.", show_default=False)
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Another result, shown beside the first.", show_default=False)
    ] = None,
    frames: console.FramesOption = None,
    channel: console.ChannelOption = None,
    axes: console.AxesOption = None,
    series: console.SeriesOption = None,
    fps: Annotated[float, typer.Option("--fps", min=0.1, max=100, help="Frames per second of the film.")] = 6.0,
    tail: Annotated[int, typer.Option("--tail", min=0, help="Frames of the past drawn as a line.")] = 10,
    ids: Annotated[bool, typer.Option("--ids/--no-ids", help="Write the label into each cell.")] = True,
    zoom: Annotated[int, typer.Option("--zoom", min=0, max=16, help="Enlargement; 0: as small images need.")] = 0,
    voxel: console.VoxelOption = None,
    interval: console.IntervalOption = None,
    divided: Annotated[bool, typer.Option("--divided", help="In a tree, only lineages that divide.")] = False,
    colour: Annotated[
        Literal["track", "certainty"],
        typer.Option("--colour", help="Each track its own colour, or how sure the past of each cell is."),
    ] = "track",
    overwrite: console.OverwriteOption = False,
) -> None:
    """Make a film of a result (outlines, ids, tails and divisions on the images), or a picture of its lineages.

    Example:  celltrail render 01_RES --images 01 --out film.mp4
    """
    from celltrail.data.files.opening import open_images, open_labels, parse_frames
    from celltrail.data.formats.certainty import read_certainty
    from celltrail.data.formats.points import read_result
    from celltrail.data.pictures.colours import colour_of_tracks, neighbours_in
    from celltrail.data.pictures.film import Scenes, Style, draw_film, write_gif, write_mp4, write_pngs
    from celltrail.data.pictures.lineage_tree import write_tree
    from celltrail.data.writing.output import output_file, output_folder, refuse_existing

    suffix = out.suffix.lower()
    if suffix not in ("", ".mp4", ".gif", ".svg", ".png"):
        raise InputError(
            f"{out} has the ending {suffix}, which is not written here: use .mp4, .gif, .svg, .png, "
            "or a name without ending for a folder of PNG files."
        )
    given = [path for path in (result, images, truth) if path is not None]
    refuse_existing(out, overwrite=overwrite, inputs=given)
    wanted = parse_frames(frames)
    right = None
    if colour == "certainty":
        certainty = read_certainty(result / "graph.npz")
        if certainty is None:
            raise InputError(
                f"{result} holds no probabilities: run 'celltrail track' on its masks, or leave out --colour."
            )
        right = certainty.right
    if suffix in (".svg", ".png"):
        tracks = read_result(result).tracks
        with output_file(out, overwrite=overwrite) as file:
            colours = colour_of_tracks(tracks, neighbours_in(open_labels(result)))
            write_tree(tracks, file, colours, interval=interval or None, only_divided=divided, right=right)
        console.say(f"{out}: {counted(len(tracks), 'track')}.")
        return
    movie = None if images is None else open_images(images, frames=wanted, channel=channel, axes=axes, series=series)
    style = Style(
        tail=tail,
        ids=ids,
        zoom=zoom,
        voxel=parse_voxel(voxel) or (movie.voxel if movie else None),
        interval=interval or (movie.interval if movie else None),
    )
    with console.show_progress() as progress:
        scenes = []
        for path, title in ((result, "result" if truth else ""), (truth, "truth")):
            if path is not None:
                masks = open_labels(path, frames=wanted)
                sure = right if path == result else None
                scenes.append(Scenes(read_result(path, progress=progress), masks, movie, style, title, sure))
        numbers = sorted(set(movie or ()) | set().union(*(set(scene.masks) for scene in scenes)))
        pictures = draw_film(scenes, numbers, progress=progress)
        if suffix:
            with output_file(out, overwrite=overwrite) as file:
                (write_mp4 if suffix == ".mp4" else write_gif)(pictures, file, fps=fps)
        else:
            with output_folder(out, overwrite=overwrite) as folder:
                write_pngs(pictures, folder)
    console.say(f"{out}: {counted(len(numbers), 'frame')}.")
