"""A result folder in napari: image, labels, and tracks with the graph of their divisions.

napari finds this module through its manifest, ``napari.yaml`` (npe2). Only a folder with masks and a
track file is taken; other readers keep everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.ctc import track_file
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.formats.points import Points, joined_tracks, read_result
from celltrail.data.regular import read_json

Layer = tuple[Any, dict[str, Any], str]  # napari's: data, options of the layer, kind of the layer


def find_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """The reader of a path if it is a result folder, otherwise ``None``: what napari asks for."""
    paths = [path] if isinstance(path, str) else path
    return read_layers if all(Path(one).is_dir() and track_file(Path(one)) for one in paths) else None


def read_layers(path: str | list[str]) -> list[Layer]:
    """The layers of one result folder, or of several.

    Returns
    -------
    list of (data, options, kind)
        For each folder an image (where it is known from ``run.json`` or lies beside the result as
        ``01`` beside ``01_RES``), labels, and tracks. Pixels are read when napari shows a frame.

    Raises
    ------
    InputError
        If masks and track file contradict each other.
    """
    return [layer for one in ([path] if isinstance(path, str) else path) for layer in _layers_of(Path(one))]


def _layers_of(folder: Path) -> list[Layer]:
    points, masks = read_result(folder), open_labels(folder)
    images = _images_of(folder)
    size = points.voxel or (images.voxel if images is not None else None) or _voxel_of(folder) or (1.0, 1.0, 1.0)
    scale = (1.0, *size[3 - points.ndim :])
    layers: list[Layer] = []
    if images is not None:
        layers.append((_stack(images), _place(images, "image", scale), "image"))
    layers.append((_stack(masks), _place(masks, folder.name, scale), "labels"))
    if len(points):
        rows, options = tracks_layer(points)
        layers.append((rows, {**options, "name": f"{folder.name} tracks", "scale": scale}, "tracks"))
    return layers


def tracks_layer(points: Points) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """The rows and options of a tracks layer of napari.

    Returns
    -------
    rows : float64 (n, 2 + ndim): track, frame, (z,) y, x in pixels, by track and frame. A track that was lost
        for some frames is one track.
    options : ``graph`` (daughter → [mother]) and ``properties`` (label in the masks, root of the lineage, area).
    """
    joined, roots = joined_tracks(points.tracks), points.tracks.roots()
    track = np.array([joined[label] for label in points.label.tolist()], dtype=np.int64)
    rows = np.column_stack([track, points.frame, points.position[:, 3 - points.ndim :]])
    order = np.lexsort((points.frame, track))
    graph = {
        joined[label]: [joined[parent]]
        for label, _, _, parent in points.tracks.rows().tolist()
        if parent and joined[label] != joined[parent]
    }
    root = np.array([roots[label] for label in points.label.tolist()], dtype=np.int64)
    properties = {"label": points.label[order], "lineage": root[order], "area": points.area[order]}
    return rows[order], {"graph": graph, "properties": properties}


def _images_of(folder: Path) -> Frames | None:
    """The images of a result: those it was made with, or the sequence beside it; ``None`` where there are none."""
    run = _read_run(folder)
    given = _entry(run, "inputs", "images", "path")
    found = [Path(given)] if isinstance(given, str) else []
    if sequence := re.fullmatch(r"(\d{2,})_(RES.*|GT|ST)", folder.resolve().name):
        found.append(folder.resolve().parent / sequence.group(1))
    for path in found:
        if path.exists():
            try:
                return open_images(path, channel=_entry(run, "config", "channel"), axes=_entry(run, "config", "axes"))
            except InputError:
                continue  # several channels and no word which, or no images: the result can be seen without
    return None


def _voxel_of(folder: Path) -> tuple[float, float, float] | None:
    """The size (z, y, x) in µm with which a result was tracked, or ``None``."""
    voxel = _entry(_read_run(folder), "scale", "voxel")
    if isinstance(voxel, list) and len(voxel) == 3 and all(isinstance(size, float) and size > 0 for size in voxel):
        return voxel[0], voxel[1], voxel[2]
    return None


def _read_run(folder: Path) -> Any:
    """What ``run.json`` holds; ``None`` where there is none that can be read: masks and tracks do not need it."""
    try:
        return read_json(folder / "run.json")
    except (OSError, ValueError):
        return None


def _entry(value: Any, *keys: str) -> Any:
    """An entry of nested JSON objects, or ``None``."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _stack(movie: Frames) -> Any:
    """The movie as a lazy array of dask, (frame, …); a missing frame is empty."""
    dask = import_extra("dask", "napari")
    array = import_extra("dask.array", "napari")
    dtype = np.dtype(np.uint8) if movie.dtype.kind == "b" else movie.dtype
    frames = []
    for number in range(movie.numbers[0], movie.numbers[-1] + 1):
        if number in movie:
            frames.append(array.from_delayed(dask.delayed(movie.__getitem__)(number), movie.shape, dtype))
        else:
            frames.append(array.zeros(movie.shape, dtype=dtype, chunks=movie.shape))
    return array.stack(frames)


def _place(movie: Frames, name: str, scale: tuple[float, ...]) -> dict[str, Any]:
    """Options that put a stack where its frame numbers are."""
    return {"name": name, "scale": scale, "translate": (float(movie.numbers[0]), *(0.0,) * (len(scale) - 1))}
