"""The command ``train``, and how its options name what is learnt from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.opening import parse_frames
from celltrail.data.running import console
from celltrail.data.running.console import JsonOption, OverwriteOption
from celltrail.data.settings_cli import takes_settings
from celltrail.data.words import counted
from celltrail.segmentation.net.device import choose_device
from celltrail.segmentation.train_settings import TrainSettings

if TYPE_CHECKING:
    from celltrail.segmentation.net.model import Model
    from celltrail.segmentation.training.annotated import AnnotatedMovie
    from celltrail.segmentation.training.settings import Settings
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
    @takes_settings(TrainSettings)
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
        start: Annotated[
            str | None,
            typer.Option(
                "--start",
                help="Begin with the weights of this model (file, or shipped name), not with random ones; "
                "with a larger --width the net grows, and begins as the same function.",
            ),
        ] = None,
        *,
        settings: TrainSettings,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
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
        from celltrail.segmentation.training.weight_files import open_weights

        if out.suffix != ".safetensors":
            raise InputError(f"{out}: models are .safetensors files, for example --out {out.stem}.safetensors.")
        refuse_existing(out, overwrite=overwrite)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        first = None if start is None else load_model(start)
        movies = open_movies(dataset, sequence or [], settings, labels)
        plan = plan_of(settings, first, movies, deform=weights is None)
        if weights is not None:
            movies = [replace(movie, weights=open_weights(weights)) for movie in movies]
        training, held_back = hold_back(movies, settings.validation)
        less_sure = open_also(also or [], settings.channel)
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
                plan,
                minutes=settings.minutes,
                seed=settings.seed,
                also=less_sure,
                start=first,
                score=score,
                patience=settings.patience,
                state_file=state_file,
                resume=resume,
                device=choose_device(settings.device),
                progress=progress,
            )
        save_model(out.with_suffix(".last.safetensors"), result.last, half=settings.half, overwrite=True)
        write_curve(out, result.history)
        save_model(out, result.model, half=settings.half, overwrite=overwrite)
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
            console.say(describe(row))
        console.say(say_how_good(result.model, held_back))
        console.say(f"Model: {out}")
        console.say(f"Use it:  celltrail segment IMAGES --model {console.quoted(out)} --out MASKS")


@contextmanager
def keep_on_stop(state_file: Path) -> Iterator[None]:
    """Say, where the work is stopped, how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if state_file.is_file():
            console.say("What has been learnt is kept: the same command with --resume goes on.", err=True)
        raise


def say_how_good(model: Model, held_back: list[AnnotatedMovie]) -> str:
    """A sentence about the frames that a training has not learnt from."""
    from celltrail.segmentation.training.validation import frames_for_validation

    count = len(frames_for_validation(held_back, model.preprocessing.scale))
    measures: Mapping[str, float | None] = model.info.get("validation_measures") or {}
    shown = [f"{name} {value:.3f}" for name, value in measures.items() if value is not None and name in SHOWN_MEASURES]
    if not count or not shown:
        return "How good it is has not been measured: no frame with annotated cells was held back."
    return (
        f"On {counted(count, 'held-back frame')}: {', '.join(shown)}. It has not learnt from "
        f"{'them' if count > 1 else 'it'}, but its thresholds were chosen there: on other movies expect somewhat less."
    )


def plan_of(
    settings: TrainSettings,
    start: Model | None = None,
    movies: Sequence[AnnotatedMovie] = (),
    *,
    deform: bool = True,
) -> Settings:
    """What a training does, by the preset and what is asked for beside it.

    Parameters
    ----------
    settings : TrainSettings
        What is asked for.
    start : Model | None
        The model to begin with: its net and the diameter of its cells are taken, unless others are asked for.
    movies : Sequence[AnnotatedMovie]
        What is learnt from: cells of one kind that are larger than those of ``start`` stay larger, up to `CELL_SIZE`.
    deform : bool
        Whether tiles are deformed at all; weights that were computed beforehand do not follow a deformation.
    """
    from celltrail.segmentation.training.annotated import CELL_SIZE, is_one_kind, typical_diameter
    from celltrail.segmentation.training.augment import Variation
    from celltrail.segmentation.training.settings import NUCLEI, Settings, preset

    known = {one.name for kind in (Settings, Variation) for one in fields(kind)}
    asked = {name: value for name, value in vars(settings).items() if name in known and value is not None}
    if start is not None:
        asked = {"width": start.net.architecture["width"], "depth": start.net.depth} | asked
        if start.net.neighbour:
            asked["neighbours"] = NUCLEI.neighbours
        if not asked.keys() & {"scale", "diameter"}:
            own = start.info.get("diameter")
            if own and is_one_kind(movies):
                own = max(own, min(typical_diameter(movies), CELL_SIZE))
            asked["diameter"] = own
    if not deform:
        asked |= {"elastic": "none", "rotation": False, "zoom": 0.0}
    return preset(settings.preset, **asked)


def open_movies(
    datasets: list[Path], sequences: list[str], settings: TrainSettings, labels: Path | None = None
) -> list[AnnotatedMovie]:
    """The annotated movies that the options of a command name."""
    from celltrail.segmentation.training.annotated import open_movie
    from celltrail.segmentation.training.annotations import open_annotations

    names = ("frames", "channel", "axes", "series", "split_binary")
    reading: dict[str, Any] = {name: getattr(settings, name) for name in names}
    if labels is not None:
        if len(datasets) != 1:
            raise InputError("--labels goes with one folder of images; give several as IMAGES=MASKS.")
        return [open_annotations(datasets[0], labels, **reading)]
    in_layout = [folder for folder in datasets if "=" not in str(folder)]
    if in_layout and not sequences:
        raise InputError(
            "Name what to learn from: --sequence 01, or --labels FOLDER (or IMAGES=MASKS) for images outside the CTC layout."
        )
    pairs = [str(text).partition("=")[::2] for text in datasets if "=" in str(text)]
    return [open_movie(folder, name, settings.truth, **reading) for folder in in_layout for name in sequences] + [
        open_annotations(Path(images), Path(masks), **reading) for images, masks in pairs
    ]


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
