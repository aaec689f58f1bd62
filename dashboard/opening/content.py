"""What lies behind a registered id: images, labels, tracks, the run's certificate, the table of cells.

Everything is opened lazily and remembered until the files change; no movie is ever loaded whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from celltrail.dashboard.opening.reading import Reading, reading_of
from celltrail.dashboard.opening.registry import Layer, Movie, within
from celltrail.data import Frames, InputError, Tracks, load_graph, open_images, open_labels, read_tracks
from celltrail.data.files.containment import inside
from celltrail.data.files.ctc import track_file
from celltrail.data.files.opening import open_instances
from celltrail.data.graph.candidates import Detections
from celltrail.data.graph.confidence import past_probability, read_confidence
from celltrail.data.held import hold
from celltrail.data.pictures.colours import (
    CERTAINTY_UNIT,
    SURE,
    certainty_colour,
    colour_of_tracks,
    css,
    neighbours_in,
)
from celltrail.data.pictures.colours import PALETTE as RGB
from celltrail.data.regular import read_json as read_json_file

PALETTE = tuple(css(colour) for colour in RGB)
NO_TRACKS = Tracks.from_rows([])


@dataclass(frozen=True, eq=False)
class Result:
    """A folder of labels that was opened: its frames (lazy), its tracks (empty for plain masks), its certificate."""

    layer: Layer
    labels: Frames
    tracks: Tracks
    run: dict[str, Any] | None


def stamp(folder: Path) -> str:
    """A short text that changes when the folder or its track file changes."""
    hold(folder)  # what is read of it from now on is of this one
    status = folder.stat()
    parts = [str(status.st_mtime_ns), str(status.st_ino)]
    file = track_file(folder)
    if file is not None:
        parts.append(str(file.stat().st_mtime_ns))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:10]


def open_result(layer: Layer) -> Result:
    """Open a folder of labels; `InputError` names what is wrong with it."""
    return _open_result(layer, stamp(layer.folder))


@lru_cache(maxsize=16)
def _open_result(layer: Layer, _stamp: str) -> Result:
    file = track_file(layer.folder)
    # what a tracker has made is shown as it is; plain masks must have a number for every cell
    labels = open_labels(layer.folder) if file is not None else open_instances(layer.folder)
    _stay_inside(layer.root, labels)
    tracks = NO_TRACKS if file is None else read_tracks(inside(layer.root, file))
    problems = tracks.problems()
    if problems:
        raise InputError(*(f"{file}: {problem}" for problem in problems[:20]))
    return Result(layer, labels, tracks, read_json(layer.folder / "run.json"))


def open_movie(movie: Movie) -> Frames | None:
    """The images of a movie, or ``None`` where it has none."""
    return None if movie.images is None else _open_movie(movie, images_stamp(movie), reading_of(movie.id))


def images_stamp(movie: Movie) -> str:
    """A short text that changes when the images change, or are read in another way."""
    assert movie.images is not None
    return stamp(movie.images) + reading_of(movie.id).mark


@lru_cache(maxsize=16)
def _open_movie(movie: Movie, _stamp: str, reading: Reading) -> Frames:
    assert movie.images is not None
    images = open_images(movie.images, channel=reading.channel, axes=reading.axes, series=reading.series)
    _stay_inside(movie.root, images)
    return images


def _stay_inside(root: Path, frames: Frames) -> None:
    for file in frames.files:
        if file.is_symlink():
            within(root, file)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; ``None`` where there is no file."""
    if not path.is_file():
        return None
    try:
        value = read_json_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable as JSON ({type(error).__name__}): run the command again.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object: run the command again.")
    return value


def grey_range(movie: Movie) -> tuple[float, float]:
    """Black and white point of a movie, the same for all its frames, so that playing does not flicker."""
    assert movie.images is not None
    return _grey_range(movie, images_stamp(movie))


@lru_cache(maxsize=64)
def _grey_range(movie: Movie, _stamp: str) -> tuple[float, float]:
    images = open_movie(movie)
    assert images is not None
    picked = sorted({images.numbers[i] for i in np.linspace(0, len(images) - 1, 3).astype(int)})
    samples = np.concatenate([images[number].ravel()[:: max(1, images[number].size // 50_000)] for number in picked])
    low, high = np.percentile(samples.astype(np.float64), [0.3, 99.8])
    return float(low), float(max(high, low + 1e-9))


def track_colours(result: Result) -> dict[int, str]:
    """The colour of every track as ``#rrggbb``; neighbours and sisters differ."""
    return _track_colours(result, stamp(result.layer.folder))


@lru_cache(maxsize=16)
def _track_colours(result: Result, _stamp: str) -> dict[int, str]:
    colours = colour_of_tracks(result.tracks, neighbours_in(result.labels))
    return {label: css(colour) for label, colour in colours.items()}


def cell_table(result: Result) -> pd.DataFrame:
    """One row per cell and frame: ``track, frame, z, y, x, area``, ordered by track and frame.

    Read from ``graph.npz`` where the result has one that covers all its tracks, else measured in the masks.
    """
    return _cell_table(result, stamp(result.layer.folder))


@lru_cache(maxsize=4)
def _cell_table(result: Result, _stamp: str) -> pd.DataFrame:
    table = _cells_of_graph(result)
    if table is None:
        rows = [measure_cells(number, result.labels[number]) for number in result.labels]
        table = pd.concat(rows, ignore_index=True)
    return table.sort_values(["track", "frame"], ignore_index=True)


def _detections_of_graph(result: Result) -> tuple[Detections, NDArray[np.int64]] | None:
    """The detections in ``graph.npz`` with their tracks (0: none); ``None`` where they are not all cells of the result."""
    path = result.layer.folder / "graph.npz"
    if not path.is_file():
        return None
    candidates, _, track = load_graph(inside(result.layer.root, path))
    if track is None or int((track > 0).sum()) != int((result.tracks.end - result.tracks.begin + 1).sum()):
        return None  # some masks were painted or removed after solving: the masks know better
    return candidates.detections, track


@dataclass(frozen=True)
class CellsByMask:
    """Which mask each cell of a result was: hash of the masks, and a table with ``frame, label, track``."""

    masks: str
    cells: pd.DataFrame


def cells_by_mask(result: Result) -> CellsByMask | None:
    """The masks that became the cells of a result; ``None`` where ``run.json`` and ``graph.npz`` do not tell.

    Nor do they where the cells were chosen among hypotheses, or pins merged some.
    """
    inputs, config = ((result.run or {}).get(key) for key in ("inputs", "config"))
    masks = inputs.get("masks") if isinstance(inputs, dict) else None
    name = masks.get("sha256") if isinstance(masks, dict) else None
    if not name or not isinstance(config, dict) or config.get("pins"):
        return None
    found = _detections_of_graph(result)
    if found is None or (found[0].hypothesis >= 0).any():
        return None
    table, track = found
    used = track > 0
    cells = pd.DataFrame({"frame": table.frame[used], "label": table.label[used], "track": track[used]})
    return CellsByMask(str(name), cells)


def _cells_of_graph(result: Result) -> pd.DataFrame | None:
    found = _detections_of_graph(result)
    if found is None:
        return None
    table, track = found
    used = track > 0
    z, y, x = table.position[used].T
    return pd.DataFrame(
        {"track": track[used], "frame": table.frame[used], "z": z, "y": y, "x": x, "area": table.area[used]}
    )


def measure_cells(frame: int, labels: NDArray[np.integer[Any]]) -> pd.DataFrame:
    """Label, centroid and area of every object of a label image (Y, X) or (Z, Y, X)."""
    flat = np.flatnonzero(labels)
    names, index = np.unique(labels.ravel()[flat], return_inverse=True)
    area = np.bincount(index, minlength=len(names))
    where = np.unravel_index(flat, labels.shape)
    centres = [np.bincount(index, weights=axis, minlength=len(names)) / np.maximum(area, 1) for axis in where]
    if labels.ndim == 2:
        centres.insert(0, np.zeros(len(names)))
    return pd.DataFrame(
        {
            "track": names.astype(np.int64),
            "frame": np.full(len(names), frame, dtype=np.int64),
            "z": centres[0],
            "y": centres[1],
            "x": centres[2],
            "area": area.astype(np.int64),
        }
    )


FEATURES = {
    "track": "each track its own colour",
    "certainty": CERTAINTY_UNIT,
    "length": "frames from first to last",
    "generation": "divisions before this track",
    "area": "mean area in pixels",
    "speed": "mean distance per frame in pixels",
}
QUIET = "#77828d"  # of what has no value
SURE_COLOUR = css(certainty_colour(1.0))


def certainty_table(result: Result) -> pd.DataFrame | None:
    """``track, frame, probability`` that its past is right, a row per cell that has one; ``None`` for no probabilities."""
    return _certainty_table(result, stamp(result.layer.folder))


@lru_cache(maxsize=4)
def _certainty_table(result: Result, _stamp: str) -> pd.DataFrame | None:
    path = result.layer.folder / "graph.npz"
    if not path.is_file():
        return None
    candidates, solution, track = load_graph(inside(result.layer.root, path))
    confidence = read_confidence(path)
    if solution is None or track is None or confidence is None:
        return None
    right = past_probability(candidates, solution, confidence)
    asked = np.isfinite(right) & (track > 0)
    return pd.DataFrame(
        {"track": track[asked], "frame": candidates.detections.frame[asked], "probability": right[asked]}
    )


def features_of(result: Result) -> list[str]:
    """What tracks can be coloured by."""
    return [name for name in FEATURES if name != "certainty" or certainty_table(result) is not None]


def track_feature(result: Result, name: str) -> dict[int, float]:
    """A number for every track: see `FEATURES`. Tracks without a value are left out.

    The certainty of a track is the probability that all its pasts are right (a product, on the safe side where one
    error makes another).
    """
    return _track_feature(result, name, stamp(result.layer.folder))


@lru_cache(maxsize=16)
def _track_feature(result: Result, name: str, _stamp: str) -> dict[int, float]:
    tracks = result.tracks
    labels = tracks.label.tolist()
    if name == "certainty":
        table = certainty_table(result)
        if table is None:
            return {}
        logs = np.log(np.maximum(table["probability"].to_numpy(), 1e-12))
        whole = pd.Series(logs).groupby(table["track"].to_numpy()).sum()
        return dict.fromkeys(labels, 1.0) | dict(
            zip(whole.index.tolist(), np.exp(whole.to_numpy()).tolist(), strict=True)
        )
    if name == "length":
        return dict(zip(labels, (tracks.end - tracks.begin + 1).astype(float).tolist(), strict=True))
    if name == "generation":
        divided = set(tracks.divisions())
        generation: dict[int, float] = {}
        for row in np.argsort(tracks.begin, kind="stable").tolist():
            label, parent = int(tracks.label[row]), int(tracks.parent[row])
            generation[label] = generation.get(parent, 0.0) + (parent in divided)
        return generation
    cells = cell_table(result)
    if name == "speed":
        cells = cells.assign(speed=speed_of(cells))
    means = cells.groupby("track")[name].mean().dropna()
    return dict(zip(means.index.tolist(), means.astype(float).tolist(), strict=True))


def feature_colours(result: Result, name: str) -> tuple[dict[int, str], tuple[float, float]]:
    """Colours of tracks by a feature, from dark blue (low) to yellow (high), and the range of its values.

    Certainty has its own colours, the same for every result.
    """
    values = track_feature(result, name)
    if name == "certainty":
        return {label: css(certainty_colour(value)) for label, value in values.items()}, (0.0, 1.0)
    low, high = (min(values.values()), max(values.values())) if values else (0.0, 0.0)
    span = (high - low) or 1.0
    shades = feature_shades()
    last = len(shades) - 1
    return {label: shades[round(last * (value - low) / span)] for label, value in values.items()}, (low, high)


def feature_shades() -> list[str]:
    """The colours of a feature, from low to high."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](0.15 + 0.85 * i / 31)) for i in range(32)]


def colours_by(result: Result, name: str) -> dict[int, str]:
    """Colours of tracks by a feature, or each its own (``"track"``, and where the feature is not known)."""
    return track_colours(result) if name not in features_of(result)[1:] else feature_colours(result, name)[0]


def uncertain_cells(result: Result) -> list[tuple[int, int, str]]:
    """(frame, track, colour) of the cells whose past is not sure."""
    table = certainty_table(result)
    if table is None:
        return []
    table = table[table["probability"] < SURE]
    colours = [css(certainty_colour(value)) for value in table["probability"].tolist()]
    return list(zip(table["frame"].tolist(), table["track"].tolist(), colours, strict=True))


def speed_of(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Distance per frame that each cell moved since its row before; NaN where a track begins.

    ``cells`` is ordered by track and frame, as `cell_table` gives it.
    """
    steps = cells[["z", "y", "x"]].diff().to_numpy()
    frames = np.where(cells["track"].diff() == 0, cells["frame"].diff(), np.nan)
    distance: NDArray[np.float64] = np.sqrt(np.square(steps).sum(axis=1))
    return distance / frames
