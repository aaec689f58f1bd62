"""The commands ``celltrail preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.opening import open_images, parse_frames
from celltrail.data.running import console
from celltrail.data.running.console import (
    AxesOption,
    ChannelOption,
    FramesOption,
    OverwriteOption,
    SeedOption,
    SeriesOption,
)

preview_app = typer.Typer(no_args_is_help=True)

DatasetArgument = Annotated[Path, typer.Argument(help="Data set in CTC layout.")]
SequenceOption = Annotated[str, typer.Option("--sequence", help="Name of the sequence.")]
TruthOption = Annotated[str, typer.Option("--truth", help="ST, GT or mixed.")]
PresetOption = Annotated[str, typer.Option("--preset", help="fast or paper.")]
FrameOption = Annotated[int | None, typer.Option("--frame", help="Frame to show; otherwise the first annotated one.")]
PictureOption = Annotated[Path, typer.Option("--out", help="Picture to write (.png).")]


@preview_app.command(cls=console.Command)
def weights(
    dataset: DatasetArgument,
    sequence: SequenceOption = "01",
    truth: TruthOption = "ST",
    preset: PresetOption = "paper",
    frame: FrameOption = None,
    channel: ChannelOption = None,
    axes: AxesOption = None,
    series: SeriesOption = None,
    out: PictureOption = Path("weights.png"),
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the weights of all frames into this folder instead.")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="Files that --write makes: tif or npy.")] = "tif",
    frames: FramesOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Show the weights of the loss, or write them for 'train --weights'.

    Example:  celltrail preview weights DIC-C2DH-HeLa --sequence 01 --out weights.png
    """
    import_extra("torch", "segmentation")
    from celltrail.data.files.ctc import digits_for
    from celltrail.data.writing.output import output_folder
    from celltrail.segmentation.preview import save_panels, show_weights, weight_maps
    from celltrail.segmentation.training.annotated import open_movie
    from celltrail.segmentation.training.settings import preset as find_preset
    from celltrail.segmentation.training.weight_files import FORMATS, write_weights

    if kind not in FORMATS:
        raise InputError(f"--format {kind}: choose {' or '.join(FORMATS)}.")
    movie = open_movie(dataset, sequence, truth, frames=parse_frames(frames), channel=channel, axes=axes, series=series)
    settings = find_preset(preset)
    if write is not None:
        with console.show_progress() as progress, output_folder(write, overwrite=overwrite) as work:
            for done, (number, weight) in enumerate(weight_maps(movie, settings), start=1):
                write_weights(work, number, weight, kind, digits_for(movie.numbers))
                progress("weights", done, len(movie.numbers), f"frame {number}")
        console.say(
            f"Use them:  celltrail train {console.quoted(dataset)} --sequence {sequence} --weights {console.quoted(write)} --out model.safetensors"
        )
        return
    save_panels(out, show_weights(movie, _frame_of(movie.numbers, frame), settings), overwrite=overwrite)
    console.say(str(out))


@preview_app.command(cls=console.Command)
def augmentation(
    dataset: DatasetArgument,
    sequence: SequenceOption = "01",
    truth: TruthOption = "ST",
    preset: PresetOption = "fast",
    frame: FrameOption = None,
    channel: ChannelOption = None,
    axes: AxesOption = None,
    series: SeriesOption = None,
    out: PictureOption = Path("augmentation.png"),
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Show how training varies a frame.

    Example:  celltrail preview augmentation DIC-C2DH-HeLa --sequence 01 --out augmentation.png
    """
    import_extra("torch", "segmentation")
    from celltrail.segmentation.preview import save_panels, show_augmentation
    from celltrail.segmentation.training.annotated import open_movie
    from celltrail.segmentation.training.settings import preset as find_preset

    movie = open_movie(dataset, sequence, truth, channel=channel, axes=axes, series=series)
    panels = show_augmentation(movie, _frame_of(movie.numbers, frame), find_preset(preset), seed=seed)
    save_panels(out, panels, overwrite=overwrite)
    console.say(str(out))


@preview_app.command(cls=console.Command)
def prediction(
    images: Annotated[Path, typer.Argument(help="Folder of frames, a stack, or one image.")],
    model: Annotated[str, typer.Option("--model", help="Model file, or a name that 'celltrail models' lists.")],
    frame: Annotated[int | None, typer.Option("--frame", help="Frame to show; otherwise the first.")] = None,
    channel: ChannelOption = None,
    axes: AxesOption = None,
    series: SeriesOption = None,
    out: PictureOption = Path("prediction.png"),
    overwrite: OverwriteOption = False,
) -> None:
    """Show what a model makes of a frame: scaled image, maps, cells.

    Example:  celltrail preview prediction movie/01 --model sim-fluo --out prediction.png
    """
    import_extra("torch", "segmentation")
    from celltrail.segmentation.net.checkpoint import load_model
    from celltrail.segmentation.preview import save_panels, show_prediction

    movie = open_images(images, channel=channel, axes=axes, series=series)
    save_panels(out, show_prediction(movie[_frame_of(movie.numbers, frame)], load_model(model)), overwrite=overwrite)
    console.say(str(out))


def _frame_of(numbers: tuple[int, ...], frame: int | None) -> int:
    if frame is None:
        return numbers[0]
    if frame not in numbers:
        raise InputError(
            f"--frame {frame}: there are the frames {numbers[0]} to {numbers[-1]} with annotations or images."
        )
    return frame
