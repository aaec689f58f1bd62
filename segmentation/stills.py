"""A folder of images that are no movie: each may have its own size."""

from __future__ import annotations

from pathlib import Path

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.arrays.omezarr import is_zarr
from celltrail.data.files.folder import list_frame_files
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images


def open_images_or_stills(
    path: Path,
    *,
    frames: range | None = None,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
) -> Frames:
    """As `open_images`, but images of a folder may differ in size, and hold gaps (NaN).

    Returns
    -------
    Frames
        Its ``shape`` is that of the first image.

    Raises
    ------
    InputError
        With everything that is wrong with the files but their size.
    """
    path = Path(path)
    try:
        movie = open_images(path, frames=frames, channel=channel, axes=axes, series=series)
    except InputError:
        if not path.is_dir() or is_zarr(path):
            raise
        movie = _open_each(path, frames, channel, axes, series)
        if len({source.shape for source in movie.sources.values()}) < 2:  # something else is wrong
            raise
    movie.gaps = True
    return movie


def _open_each(folder: Path, frames: range | None, channel: int | None, axes: str | None, series: int | None) -> Frames:
    """The images of a folder, each opened alone."""
    sources = {}
    problems: list[str] = []
    image = None
    for number, file in list_frame_files(folder, channel, series).items():
        if frames is not None and number not in frames:
            continue
        try:
            image = open_images(file, channel=channel, axes=axes)
        except InputError as error:
            problems += error.problems
            continue
        if len(image) > 1:
            problems.append(f"{file} holds several frames: give a folder of single images.")
        sources[number] = image.sources[image.numbers[0]]
    raise_if(problems)
    if image is None:
        raise InputError(f"{folder} holds no image in the chosen frames: choose other --frames.")
    return Frames(folder, sources, image.dtype, "image", voxel=image.voxel, interval=image.interval)
