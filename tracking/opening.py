"""Opening and measuring a movie: the same for tracking, for its graph of candidates, for learning and for searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.movie import ComputedFrames, Frames
from celltrail.data.files.opening import open_images, open_instances
from celltrail.data.files.pins import Pin, checked_pins, read_pins
from celltrail.data.files.steps import find_step
from celltrail.data.labels.instances import judge_masks, split_parts
from celltrail.data.progress import Progress, silent
from celltrail.data.running.log_file import logger
from celltrail.data.running.workers import Mapper
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.tracking.measuring.beside import add_readings
from celltrail.tracking.measuring.hypotheses import HypothesisMovie, have_hypotheses
from celltrail.tracking.measuring.merged import MergedMasks
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.separated import SeparatedMasks, find_doubles
from celltrail.tracking.measuring.table import DetectionTable, check_voxel, dimensions_of, measure_movie
from celltrail.tracking.repairing.finding import find_repairs
from celltrail.tracking.repairing.movie import RepairableMovie, readings_of
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.pinned import contradictions, merged_names


@dataclass(frozen=True)
class OpenedMovie:
    """A movie that is ready to be measured.

    Attributes
    ----------
    masks : mapping
        Frame number → labels as they are tracked: merged as pins say, repairable, or overlapping hypotheses.
    given : mapping
        The masks as they were given.
    images : mapping or None
        Frame number → grey values of the same frames.
    voxel : tuple of float or None
        Size (z, y, x) in µm: that of the settings, or else of the masks, or else of the images.
    pins : list of Pin
        The corrections to obey.
    """

    masks: Masks
    given: Masks
    images: Masks | None
    voxel: tuple[float, float, float] | None
    pins: list[Pin]


def open_movie(
    masks: Path | str | Masks,
    images: Path | str | Masks | None = None,
    settings: TrackSettings | None = None,
    pins: Path | str | Sequence[Pin] | None = None,
) -> OpenedMovie:
    """Open masks and images as the settings say: frames, axes, channel, voxel, hypotheses.

    Parameters
    ----------
    masks, images, pins
        As for `celltrail.tracking.pipeline.track`.
    settings : TrackSettings or None
        ``None``: the defaults.

    Raises
    ------
    InputError
        If a file cannot be used, hypotheses are missing, or a pin merges cells that are not there.
    """
    settings = settings or TrackSettings()
    given = open_masks(masks, settings)
    labels: Masks = given
    ndim = dimensions_of(given)
    wanted = read_pins(Path(pins)) if isinstance(pins, (str, Path)) else checked_pins(pins or ())
    if settings.hypotheses and not isinstance(given, Frames):
        raise InputError("Hypotheses need a folder made by 'celltrail segment'.")
    merged = MergedMasks(given, wanted)
    raise_if([*merged.missing(), *contradictions(wanted)])
    if merged.names:
        labels = merged
    unasked = settings.hypotheses is None and settings.may_repair and have_hypotheses(given)
    if isinstance(given, Frames) and (settings.hypotheses or unasked):
        movie = HypothesisMovie(given, {number: labels[number] for number in _merged_frames(wanted) & set(given)})
        if lost := movie.not_among({cell for pin in wanted for cell in pin.cells}):
            movie = HypothesisMovie(given, {**movie.drawn, **{number: labels[number] for number in lost}})
        if unasked and 2 * len(movie.edited) > len(movie):
            logger.warning("The hypotheses beside the masks belong to other masks: they are not used.")
        else:
            movie.say_edited()
            labels = movie
    grey = open_images_of(labels, images, settings)
    size = check_voxel(settings.voxel, ndim) or getattr(labels, "voxel", None) or getattr(grey, "voxel", None)
    return OpenedMovie(masks=labels, given=given, images=grey, voxel=size, pins=wanted)


def _merged_frames(pins: Sequence[Pin]) -> set[int]:
    """The frames in which pins say of two masks that they are one cell, or two."""
    return {pin.cells[0][0] for pin in pins if pin.kind == "merge"}


def open_masks(masks: Path | str | Masks, settings: TrackSettings) -> Masks:
    """Instance masks, from files or as they are given; `InputError` where they are none, or are one frame of slices."""
    if isinstance(masks, Mapping):
        given = masks
        if settings.split_binary:
            given = ComputedFrames(masks, partial(_split, masks))
        judge_masks(given)
        return given
    opened = open_instances(
        Path(masks),
        frames=settings.frames,
        axes=settings.axes,
        series=settings.series,
        split_binary=settings.split_binary,
    )
    if len(opened) == 1 and (slices := [note for note in opened.notes if "slices" in note]):
        raise InputError(*slices)
    return opened


def _split(masks: Masks, frame: int) -> NDArray[Any]:
    return split_parts(masks[frame])


def open_images_of(masks: Masks, images: Path | str | Masks | None, settings: TrackSettings) -> Masks | None:
    """The images of the frames that have masks; `InputError` if they cannot be used."""
    if images is None or isinstance(images, Mapping):
        return images
    numbers = sorted(masks)
    try:
        opened = open_images(
            Path(images),
            channel=settings.channel,
            axes=settings.image_axes,
            series=settings.series,
            frames=range(numbers[0], numbers[-1] + 1),
        )
    except InputError as error:
        raise InputError(*map(_of_images, error.problems)) from None
    opened.notes = tuple(map(_of_images, opened.notes))
    return opened


def _of_images(text: str) -> str:
    """A sentence on how images are read, which names the option of ``track`` for them: ``--axes`` is that of its masks."""
    return text.replace("--axes", "--image-axes")


def measure(
    movie: OpenedMovie,
    settings: TrackSettings | None = None,
    *,
    spans: int = 1,
    mapper: Mapper | None = None,
    progress: Progress = silent,
) -> tuple[OpenedMovie, DetectionTable]:
    """Measure an opened movie, and what some masks may be instead, where they may be repaired.

    Parameters
    ----------
    movie : OpenedMovie
        What to measure.
    settings : TrackSettings or None
        ``None``: the defaults.
    spans : int
        How many steps apart overlaps are kept.
    mapper : callable or None
        Where the chunks of the movie are measured (`celltrail.data.running.workers.open_workers`); ``None``: here, as one.

    Returns
    -------
    OpenedMovie
        The movie with the masks that were measured, and with other readings where some can be repaired.
    DetectionTable
        What was seen.

    Raises
    ------
    InputError
        If masks or images cannot be used; the sentence names their folder.
    """
    settings = settings or TrackSettings()

    def seen(masks: Masks) -> DetectionTable:
        return measure_movie(
            masks, movie.images, voxel=movie.voxel, spans=spans, step=step, mapper=mapper, progress=progress
        )

    with _naming(movie.masks):
        step = _say_step(movie.masks, settings.step)
        table = seen(movie.masks)
        merged = {(frame, name) for (frame, _), name in merged_names(movie.pins).items()}
        believed = merged | {cell for pin in movie.pins if pin.kind == "merge" for cell in pin.cells}
        if doubles := _doubles_of(movie, table, merged):
            movie = replace(movie, masks=SeparatedMasks(movie.masks, doubles))
            table = seen(movie.masks)
        repairable = settings.may_repair and not isinstance(movie.masks, LayeredMovie)
        if repairable and (repairs := find_repairs(movie.masks, table, believed=believed)):
            masks = RepairableMovie(movie.masks, repairs)
            movie, table = replace(movie, masks=masks), add_readings(table, readings_of(repairs, table), masks)
    return movie, table


def _doubles_of(movie: OpenedMovie, table: DetectionTable, merged: set[tuple[int, int]]) -> dict[int, list[int]]:
    """The labels that lie on several cells of a frame, said aloud; not those that pins have merged."""
    if isinstance(movie.masks, LayeredMovie):
        return {}
    doubles = find_doubles(movie.masks, table, merged)
    for number, labels in list(doubles.items())[:1]:
        logger.warning(
            "%s on cells that are far apart (first: label %d in frame %d): each of these cells is tracked as one "
            "of its own. 'celltrail check' lists them.",
            counted(sum(map(len, doubles.values())), "label lies", "labels lie"),
            labels[0],
            number,
        )
    return doubles


def _say_step(masks: Masks, step: int | None) -> int:
    """The step of the frame numbers; said aloud where it was not given and is not 1."""
    found = find_step(sorted(masks), step)
    if step is None and found > 1:
        logger.warning(
            "The frame numbers lie %d apart: that is taken for one step, and gaps are counted in steps (--step 1 counts "
            "the numbers in between as missing frames).",
            found,
        )
    return found


@contextmanager
def _naming(labels: Masks) -> Iterator[None]:
    """Say of every problem with the masks which folder or file they came from."""
    try:
        yield
    except InputError as error:
        path = getattr(labels, "path", None)
        if path is None:
            raise
        raise InputError(*(text if str(path) in text else f"{path}: {text}" for text in error.problems)) from None
