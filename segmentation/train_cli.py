"""The command ``train``, and how its options name what is learnt from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.opening import parse_frames
from celltrail.data.running import console
from celltrail.data.running.console import (
    AxesOption,
    ChannelOption,
    FramesOption,
    JsonOption,
    OverwriteOption,
    SeedOption,
    SeriesOption,
    SplitOption,
)
from celltrail.segmentation.net.device import choose_device

if TYPE_CHECKING:
    from celltrail.segmentation.net.model import Model
    from celltrail.segmentation.training.annotated import AnnotatedMovie
    from celltrail.segmentation.training.augment import Variation
    from celltrail.segmentation.training.validation import Score

SHOWN_MEASURES = ("IoU", "SEG", "DET")


def add_train(app: typer.Typer, score: Score | None = None) -> None:
    """Mount ``train``.

    Parameters
    ----------
    score : Score | None
        Measures of masks against truth, shown per epoch and used to choose thresholds.
    """

    @app.command(cls=console.Command)
    def train(
        dataset: Annotated[
            list[Path],
            typer.Argument(
                metavar="DATASET…",
                help="Data sets in CTC layout, folders as IMAGES=MASKS, or one folder (with --labels).",
            ),
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
            str,
            typer.Option(
                "--preset",
                help="fast, nuclei (fast, for images of many kinds), or paper (the U-Net of 2015 as published).",
            ),
        ] = "fast",
        frames: FramesOption = None,
        channel: ChannelOption = None,
        axes: AxesOption = None,
        series: SeriesOption = None,
        split_binary: SplitOption = False,
        validation: Annotated[
            str,
            typer.Option(
                "--validation",
                help="Frames A:B, one of the sequences, 'last' (the last tenth of each, every tenth of stills) or 'none'.",
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
        diameter: Annotated[
            float | None,
            typer.Option("--diameter", min=0, help="Resize every image so that its cells are so many pixels wide."),
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
        from celltrail.data.writing.output import partial_path, refuse_existing

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
            if scale is None and diameter is None:
                diameter = first.info.get("diameter")
        settings = find_preset(
            preset,
            steps=steps,
            epoch=epoch,
            scale=scale,
            diameter=diameter,
            width=width,
            depth=depth,
            rate=rate,
            cells=cells,
            tta=tta or None,
            w0=w0,
            sigma=sigma,
        )
        usual = settings.variation
        variation = replace(
            usual,
            vector=usual.vector if vector is None else vector,
            zoom=usual.zoom if zoom is None else zoom,
            brightness=usual.brightness if brightness is None else brightness,
            contrast=usual.contrast if contrast is None else contrast,
        )
        settings = replace(settings, variation=_variation(variation, elastic, deform=weights is None))
        reading = {"axes": axes, "series": series, "split_binary": split_binary}
        movies = open_movies(dataset, sequence or [], truth, labels, frames, channel, **reading)
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
        with keep_on_stop(state_file), console.show_progress(lines=True) as progress:
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
                device=choose_device(device),
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
        typer.echo(say_how_good(result.model, held_back))
        typer.echo(f"Model: {out}")
        typer.echo(f"Use it:  celltrail segment IMAGES --model {out} --out MASKS")


@contextmanager
def keep_on_stop(state_file: Path) -> Iterator[None]:
    """Say, where the work is stopped, how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if state_file.is_file():
            typer.echo("What has been learnt is kept: the same command with --resume goes on.", err=True)
        raise


def say_how_good(model: Model, held_back: list[AnnotatedMovie]) -> str:
    """A sentence about the frames that a training has not learnt from."""
    from celltrail.segmentation.training.validation import frames_for_validation

    count = len(frames_for_validation(held_back, model.preprocessing.scale))
    measures: Mapping[str, float | None] = model.info.get("validation_measures") or {}
    shown = [f"{name} {value:.3f}" for name, value in measures.items() if value is not None and name in SHOWN_MEASURES]
    if not count or not shown:
        return "How good it is has not been measured: no complete annotations were held back from learning."
    return (
        f"On {count} held-back frame{'s' if count > 1 else ''}: {', '.join(shown)}. It has not learnt from "
        f"{'them' if count > 1 else 'it'}, but its thresholds were chosen there: on other movies expect somewhat less."
    )


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
    **reading: Any,
) -> list[AnnotatedMovie]:
    """The annotated movies that the options of a command name; ``reading``: see `open_annotations`."""
    from celltrail.segmentation.training.annotated import open_movie
    from celltrail.segmentation.training.annotations import open_annotations

    chosen = parse_frames(frames)
    if labels is not None:
        if len(datasets) != 1:
            raise InputError("--labels goes with one folder of images; give several as IMAGES=MASKS.")
        return [open_annotations(datasets[0], labels, chosen, channel=channel, **reading)]
    in_layout = [folder for folder in datasets if "=" not in str(folder)]
    if in_layout and not sequences:
        raise InputError(
            "Name what to learn from: --sequence 01, or --labels FOLDER (or IMAGES=MASKS) for images outside the CTC layout."
        )
    pairs = [str(text).partition("=")[::2] for text in datasets if "=" in str(text)]
    return [
        open_movie(folder, name, truth, frames=chosen, channel=channel, **reading)
        for folder in in_layout
        for name in sequences
    ] + [open_annotations(Path(images), Path(masks), chosen, channel=channel, **reading) for images, masks in pairs]


def open_also(pairs: list[str], channel: int | None) -> list[AnnotatedMovie]:
    """The movies of ``--also IMAGES=MASKS``, named by the last two folders of their images.

    Raises
    ------
    InputError
        If a text has another form, a folder is missing, or images and masks do not fit.
    """
    from celltrail.segmentation.training.annotations import open_annotations

    wrong = [text for text in pairs if not all(text.partition("="))]
    if wrong:
        raise InputError(
            f"--also {', --also '.join(wrong)}: write the folder of images, '=', and the folder of their masks."
        )
    folders = [text.partition("=")[::2] for text in pairs]
    return [open_annotations(Path(images), Path(masks), channel=channel) for images, masks in folders]


def hold_back(movies: list[AnnotatedMovie], validation: str) -> tuple[list[AnnotatedMovie], list[AnnotatedMovie]]:
    """Movies to learn from, and movies to validate with, by the text of ``--validation``."""
    from celltrail.segmentation.training.annotated import split_off

    if validation == "none":
        return movies, []
    if validation == "last":
        pairs = [split_off(movie) for movie in movies]
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
