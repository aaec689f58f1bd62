"""Measuring a result from Python: the two tables in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.measurements import measure_cells, measure_tracks, read_margins
from celltrail.data.formats.points import points_of_masks, read_result
from celltrail.data.progress import Progress, silent
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd


class Tracked(Protocol):
    """A result in memory, such as that of `celltrail.tracking.pipeline.track`."""

    tracks: Tracks

    def masks(self) -> Iterable[tuple[int, NDArray[Any]]]:
        """Frame number and label image of every frame, with the labels of the tracks."""


@dataclass(frozen=True)
class Measurements:
    """Numbers of every cell in every frame, and of every track; see `celltrail.data.formats.measurements`."""

    cells: pd.DataFrame
    tracks: pd.DataFrame

    def __repr__(self) -> str:
        return f"Measurements({counted(len(self.cells), 'cell')}, {counted(len(self.tracks), 'track')})"


def measure(
    result: Path | str | Tracked,
    images: Path | str | Mapping[int, NDArray[Any]] | Mapping[str, Mapping[int, NDArray[Any]]] | None = None,
    *,
    voxel: tuple[float, float, float] | None = None,
    interval: float | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Measure every cell in every frame, and every track.

    Parameters
    ----------
    result : Path | str | Tracked
        A result folder, or what `celltrail.tracking.pipeline.track` returned.
    images : Path | str | Mapping[int, NDArray[Any]] | Mapping[str, Mapping[int, NDArray[Any]]] | None
        Images whose grey values are measured; several channels as name → images.
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm; otherwise from the files.
    interval : float | None
        Seconds between frames; otherwise from the files.

    Returns
    -------
    Measurements
        ``cells`` and ``tracks``, the tables that the command ``measure`` writes.

    Raises
    ------
    InputError
        If the result contradicts itself, or the images do not fit the masks.
    """
    movies: Any = open_images(Path(images)) if isinstance(images, (str, Path)) else images or {}
    if not movies or not isinstance(next(iter(movies)), str):
        movies = {"": movies} if movies else {}
    masks: Mapping[int, NDArray[Any]]
    margins = None
    if isinstance(result, (str, Path)):
        points, masks = read_result(Path(result), progress=progress), open_labels(Path(result))
        graph = Path(result) / "graph.npz"
        margins = read_margins(graph) if graph.is_file() else None
    else:
        masks = dict(result.masks())
        points = points_of_masks(masks, result.tracks, progress=progress)
        candidates = getattr(result, "candidates", None)
        points = replace(points, voxel=getattr(candidates, "voxel", None))
    known = next(iter(movies.values()), None)
    points = replace(
        points,
        voxel=voxel or points.voxel or getattr(known, "voxel", None),
        interval=interval or points.interval or getattr(known, "interval", None),
    )
    cells = measure_cells(points, masks, movies, margins=margins, progress=progress)
    return Measurements(cells, measure_tracks(points, cells))
