"""GEFF, the graph exchange file format (version 1): points and links as a Zarr group.

A path NAME.geff is the graph alone. In NAME.zarr the graph lies in ``tracks`` and the label
images beside it in ``segmentation``, and the graph's metadata name them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.omezarr import LENGTH_IN_UM, TIME_IN_S, refuse_unsafe_codecs
from celltrail.data.formats.points import FloatArray, IntArray, Points, joined_tracks, links_of, points_from_links
from celltrail.data.formats.tables import rows_of_ids
from celltrail.data.progress import Progress, silent

GRAPH, LABELS = "tracks", "segmentation"


def is_geff(path: Path) -> bool:
    """Whether a folder is a GEFF group, or a Zarr group with one in ``tracks``."""
    return _graph_folder(path) is not None


def _graph_folder(path: Path) -> Path | None:
    for folder in (path, path / GRAPH):
        if (folder / "nodes" / "ids").is_dir():
            return folder
    return None


def write_geff(
    points: Points, path: Path, masks: Mapping[int, NDArray[Any]] | None = None, *, progress: Progress = silent
) -> None:
    """Write points and links as GEFF; ``path`` must not exist.

    Nodes carry t, (z,) y, x in frames and pixels (the axes hold the scale to seconds and µm where
    it is known), area, seg_id (the label in the masks), track_id (a chain of links without a
    branching) and lineage_id.

    Parameters
    ----------
    masks : Mapping[int, NDArray[Any]] | None
        Label images with the labels of ``points``; only for a path that ends in ".zarr".
    """
    geff = import_extra("geff", "interop")
    import_extra("zarr", "interop")
    from geff.core_io import write_arrays
    from geff_spec import Axis, RelatedObject

    bundle = path.suffix == ".zarr"
    links = links_of(points)
    axes = [Axis(name="t", type="time", **_scaled("frame", points.interval, "second"))]
    names = ("z", "y", "x")[3 - points.ndim :]
    for axis, name in enumerate(names, start=3 - points.ndim):
        length = points.voxel[axis] if points.voxel else None
        axes.append(Axis(name=name, type="space", **_scaled("pixel", length, "micrometer")))
    with warnings.catch_warnings():
        # "frame" is GEFF's own example of a unit of time, though not one of OME's; and label_prop
        # is how readers of GEFF before 1.2 know node_prop.
        warnings.simplefilter("ignore")
        labels = RelatedObject(type="labels", path=f"../{LABELS}", node_prop="seg_id", label_prop="seg_id")
        metadata = geff.GeffMetadata(
            directed=True,
            axes=axes,
            node_props_metadata={},
            edge_props_metadata={},
            track_node_props={"tracklet": "track_id", "lineage": "lineage_id"},
            related_objects=[labels] if bundle and masks else None,
        )
    joined, roots = joined_tracks(points.tracks), points.tracks.roots()
    columns: dict[str, NDArray[Any]] = {
        "t": points.frame,
        **dict(zip(names, points.position.T[3 - points.ndim :], strict=True)),
        "seg_id": points.label,
        "track_id": np.array([joined[label] for label in points.label.tolist()], dtype=np.int64),
        "lineage_id": np.array([roots[label] for label in points.label.tolist()], dtype=np.int64),
    }
    unknown = np.isnan(points.area)
    props = {name: {"values": column, "missing": None} for name, column in columns.items()}
    if not unknown.all():
        area = np.nan_to_num(points.area)
        props["area"] = {"values": area, "missing": unknown if unknown.any() else None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if bundle and masks:
            _write_labels(path, masks, progress)
        write_arrays(
            str(path / GRAPH if bundle else path),
            np.arange(len(points), dtype=np.uint64),
            props,
            links.astype(np.uint64),
            {},
            metadata,
        )


def _scaled(unit: str, scale: float | None, scaled_unit: str) -> dict[str, Any]:
    return {"unit": unit} if scale is None else {"unit": unit, "scale": scale, "scaled_unit": scaled_unit}


def _write_labels(path: Path, masks: Mapping[int, NDArray[Any]], progress: Progress) -> None:
    """Label images as one Zarr array (t, (z,) y, x); frame numbers that are missing are empty."""
    zarr = import_extra("zarr", "interop")
    numbers = sorted(masks)
    first = masks[numbers[0]]
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    dtype = first.dtype if first.dtype.kind == "u" else np.uint32
    array = group.create_array(
        LABELS, shape=(numbers[-1] + 1, *first.shape), chunks=(1, *first.shape), dtype=dtype, fill_value=0
    )
    for done, number in enumerate(numbers, start=1):
        array[number] = masks[number]
        progress("write", done, len(numbers))


def read_geff(path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None) -> Points:
    """Read points and links from GEFF.

    The axes of type time and space are used, or where a graph names no axes (laptrack) its properties of the usual
    names; where a position is in µm it is brought back to pixels by the axis' scale, or by ``voxel``.

    Raises
    ------
    InputError
        If it is not a valid GEFF, is undirected, or has neither axes nor properties named like axes.
    """
    import_extra("geff", "interop")
    from geff.core_io import read_to_memory

    folder = _graph_folder(path)
    if folder is None:
        raise InputError(f"{path} is not a GEFF (it has no nodes/ids): give the folder of the graph.")
    refuse_unsafe_codecs(folder, deep=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = read_to_memory(str(folder))
    except Exception as error:
        text = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(f"{path} is not a valid GEFF ({text}): write it again.") from None
    metadata = graph["metadata"]
    if not metadata.directed:
        raise InputError(f"{path} is an undirected graph: write it with directed links, from earlier to later.")
    axes = {axis.name: axis for axis in metadata.axes or _usual_axes(graph["node_props"])}
    time = [name for name, axis in axes.items() if axis.type == "time"]
    space = [name for name, axis in axes.items() if axis.type == "space"]
    if len(time) != 1 or len(space) not in (2, 3):
        raise InputError(
            f"{path} needs one axis of time and two or three of space; it has {sorted(axes)}: "
            "name them in its metadata."
        )
    columns = {
        name: np.asarray(prop["values"])
        for name, prop in graph["node_props"].items()
        if np.asarray(prop["values"]).ndim == 1
    }
    frame, seconds = _frames(path, columns[time[0]], axes[time[0]])
    position = np.zeros((len(frame), 3))
    lengths = list(voxel or (1.0, 1.0, 1.0))
    known = voxel is not None
    for index, name in enumerate(space, start=3 - len(space)):
        values, length = _pixels(columns[name], axes[name], lengths[index] if voxel else None)
        position[:, index] = values
        if length is not None:
            lengths[index], known = length, True
    ids = np.asarray(graph["node_ids"]).astype(np.int64)
    links = rows_of_ids(np.asarray(graph["edge_ids"]).astype(np.int64).reshape(-1, 2), ids, str(path))
    tracklet = (metadata.track_node_props or {}).get("tracklet")
    label = columns.get("seg_id", columns.get(tracklet or ""))
    if label is None or label.dtype.kind not in "ui":
        label = None
    area = graph["node_props"].get("area")
    return points_from_links(
        frame,
        position,
        links,
        label=label,
        ndim=len(space),
        source=str(path),
        area=None if area is None else _with_gaps(area),
        voxel=(lengths[0], lengths[1], lengths[2]) if known else None,
        interval=interval or seconds,
    )


def _usual_axes(names: Iterable[str]) -> list[Any]:
    """Axes by the names of node properties: t, time or frame; z, y and x."""
    from geff_spec import Axis

    here = set(names)
    time = [name for name in ("t", "time", "frame") if name in here][:1]
    return [Axis(name=name, type="time") for name in time] + [
        Axis(name=name, type="space") for name in ("z", "y", "x") if name in here
    ]


def _with_gaps(prop: Any) -> FloatArray:
    values = np.asarray(prop["values"], dtype=np.float64).copy()
    if prop["missing"] is not None:
        values[np.asarray(prop["missing"], dtype=bool)] = np.nan
    return values


def _frames(path: Path, values: NDArray[Any], axis: Any) -> tuple[IntArray, float | None]:
    """Frame numbers from the axis of time, and the seconds between frames where it tells them."""
    interval = None
    if axis.scale is not None and axis.scaled_unit in TIME_IN_S:
        interval = float(axis.scale) * TIME_IN_S[axis.scaled_unit]
    frame = np.rint(values.astype(np.float64))
    if not np.allclose(frame, values) or not np.isfinite(frame).all():
        raise InputError(f"{path} gives times that are not whole numbers of frames: store the frame number as time.")
    return frame.astype(np.int64), interval


def _pixels(values: NDArray[Any], axis: Any, length: float | None) -> tuple[FloatArray, float | None]:
    """Positions along an axis in pixels, and the length of a pixel in µm where it is known."""
    values = values.astype(np.float64)
    if axis.unit in LENGTH_IN_UM and length is not None:
        return values * LENGTH_IN_UM[axis.unit] / length, length
    if axis.scale is not None and axis.scaled_unit in LENGTH_IN_UM:
        return values, float(axis.scale) * LENGTH_IN_UM[axis.scaled_unit]
    return values, length
