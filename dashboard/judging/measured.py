"""The numbers of every cell and every track, as ``celltrail measure`` writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.opening.registry import Movie
from celltrail.data.files.containment import inside
from celltrail.data.formats.certainty import read_certainty
from celltrail.data.formats.measurements import measure_cells, measure_tracks, read_filled, read_margins, read_repaired
from celltrail.data.formats.points import joined_tracks, read_result
from celltrail.data.progress import Progress, silent


@dataclass(frozen=True)
class Units:
    """Side of a pixel in µm and seconds between frames; ``None``: as the metadata say, else unknown."""

    pixel: float | None = None
    interval: float | None = None


@dataclass(frozen=True, eq=False)
class CellNumbers:
    """``cells``: a row per cell and frame; ``tracks``: a row per track. ``joined``: label → the track it is part of."""

    cells: pd.DataFrame
    tracks: pd.DataFrame
    joined: dict[int, int]


_kept: dict[tuple[str, str, Units], CellNumbers] = {}


def count_cells(result: Result) -> int:
    """How many cells there are to measure."""
    return int((result.tracks.end - result.tracks.begin + 1).sum())


def known(movie: Movie, result: Result, units: Units) -> CellNumbers | None:
    """What has been measured already in these units."""
    return _kept.get(_key(movie, result, units))


def measure(movie: Movie, result: Result, units: Units, progress: Progress = silent) -> CellNumbers:
    """Measure all cells; the last few results are kept.

    Raises
    ------
    InputError
        If masks, tracks or images do not fit together.
    """
    found = known(movie, result, units)
    if found is None:
        found = _measure(movie, result, units, progress)
        _kept[_key(movie, result, units)] = found
        while len(_kept) > 4:
            del _kept[next(iter(_kept))]
    return found


def _key(movie: Movie, result: Result, units: Units) -> tuple[str, str, Units]:
    images = "" if movie.images is None else content.images_stamp(movie)
    return result.layer.id, content.stamp(result.layer.folder) + images, units


def _measure(movie: Movie, result: Result, units: Units, progress: Progress) -> CellNumbers:
    images = content.open_movie(movie)
    points = read_result(result.layer.folder, progress=progress)
    voxel = None if units.pixel is None else (1.0, units.pixel, units.pixel)
    points = replace(
        points,
        voxel=voxel or points.voxel or (images.voxel if images is not None else None),
        interval=units.interval or points.interval or (images.interval if images is not None else None),
    )
    graph = result.layer.folder / "graph.npz"
    real = inside(result.layer.root, graph) if graph.is_file() else None
    margins, certainty = (None, None) if real is None else (read_margins(real), read_certainty(real))
    cells = measure_cells(
        points,
        result.labels,
        {} if images is None else {"": images},
        margins=margins,
        certainty=certainty,
        filled=read_filled(inside(result.layer.root, result.layer.folder / "run.json")),
        repaired=read_repaired(inside(result.layer.root, result.layer.folder / "run.json")),
        progress=progress,
    )
    return CellNumbers(cells, measure_tracks(points, cells, certainty), joined_tracks(points.tracks))
