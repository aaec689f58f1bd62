"""GEFF, the graph exchange file format (version 1): points and links as a Zarr group.

A path NAME.geff is the graph alone. In NAME.zarr the graph lies in ``tracks`` and the label
images beside it in ``segmentation``, and the graph's metadata name them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.arrays.omezarr import refuse_unsafe_codecs
from celltrail.data.formats.geff_axes import find_axes, frames_of, funtracks_scale, positions_of, trackmate_scale
from celltrail.data.formats.points import (
    LONE_SPOT,
    UNCHOSEN,
    Points,
    joined_tracks,
    links_of,
    points_from_links,
    rows_of_ids,
)
from celltrail.data.progress import Progress, silent
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted

GRAPH, LABELS = "tracks", "segmentation"
PARENT_LINK = "parent_link"  # of links: whether another track begins there, as a daughter or after a gap


def is_geff(path: Path) -> bool:
    """Whether a folder is a GEFF group, or a Zarr group with one in ``tracks``, or with one alone."""
    return _graph_folder(path) is not None


def _graph_folder(path: Path) -> Path | None:
    for folder in (path, path / GRAPH):
        if (folder / "nodes" / "ids").is_dir():
            return folder
    inside = [ids.parent.parent for ids in path.glob("*/nodes/ids")]  # funtracks writes NAME/tracks.geff
    return inside[0] if len(inside) == 1 else None


def write_geff(
    points: Points,
    path: Path,
    masks: Mapping[int, NDArray[Any]] | None = None,
    *,
    of_links: Mapping[str, Mapping[tuple[int, int], float]] | None = None,
    progress: Progress = silent,
) -> None:
    """Write points and links as GEFF; ``path`` must not exist.

    Nodes carry t, (z,) y, x in frames and pixels (the axes hold the scale to seconds and µm where
    it is known), area, seg_id (the label in the masks), track_id (a chain of links without a
    branching) and lineage_id.

    Parameters
    ----------
    masks : Mapping[int, NDArray[Any]] | None
        Label images with the labels of ``points``; only for a path that ends in ".zarr".
    of_links : Mapping[str, Mapping[tuple[int, int], float]] | None
        Further properties of the links, such as their cost: name → (frame, label) of the cell to which the link leads → value;
        a link without a value lacks the property.
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
            _link_properties(points, links, of_links or {}),
            metadata,
        )


def _link_properties(
    points: Points, links: IntArray, of_links: Mapping[str, Mapping[tuple[int, int], float]]
) -> dict[str, Any]:
    keys = list(zip(points.frame[links[:, 1]].tolist(), points.label[links[:, 1]].tolist(), strict=True))
    parted = points.label[links[:, 0]] != points.label[links[:, 1]]
    found: dict[str, Any] = {PARENT_LINK: {"values": parted, "missing": None}} if len(links) else {}
    for name, values in of_links.items():
        column = np.array([values.get(key, np.nan) for key in keys], dtype=np.float64)
        missing = ~np.isfinite(column)
        if not missing.all():
            found[name] = {"values": np.where(missing, 0.0, column), "missing": missing if missing.any() else None}
    return found


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

    The axes of type time and space are used, by their names and whatever their order, or where a graph names no axes
    (laptrack) its properties of the usual names. Positions in µm are brought to pixels, and times to frames, by the
    scale in the file (also that which GEFF's converter keeps of a TrackMate file), by a property that gives the frame,
    or by ``voxel`` and ``interval``.

    Raises
    ------
    InputError
        If it is not a valid GEFF, is undirected, has neither axes nor properties named like axes, or gives times that
        cannot be brought to frames.
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
    graph, unchosen = _only_solution(graph)
    metadata = graph["metadata"]
    if not metadata.directed:
        raise InputError(f"{path} is an undirected graph: write it with directed links, from earlier to later.")
    properties = graph["node_props"]
    columns = {
        name: np.asarray(prop["values"]) for name, prop in properties.items() if np.asarray(prop["values"]).ndim == 1
    }
    whole = [name for name, prop in properties.items() if name in columns and not _any_missing(prop)]
    time, space, notes = find_axes(path, metadata.axes or (), whole)
    of_trackmate = trackmate_scale(metadata)
    frame, seconds = frames_of(path, columns, time, interval or (of_trackmate[1] if of_trackmate else None), whole)
    of_funtracks = funtracks_scale(metadata, space)
    columns |= {space[letter].name: columns[space[letter].name] / of_funtracks[letter] for letter in of_funtracks}
    position, size, more = positions_of(
        path, columns, space, voxel or (of_trackmate[0] if of_trackmate else None), len(frame)
    )
    if of_funtracks:
        scale = " × ".join(f"{length:g}" for length in of_funtracks.values())
        notes.append(f"{path}: its positions are brought to pixels by the scale that funtracks kept, {scale}.")
    ids = np.asarray(graph["node_ids"]).astype(np.int64)
    links = rows_of_ids(np.asarray(graph["edge_ids"]).astype(np.int64).reshape(-1, 2), ids, str(path))
    ndim = 3 if "z" in space and (position[:, 0] != 0).any() else 2
    if unchosen:
        notes.append(f"{path}: {counted(unchosen, *UNCHOSEN)}.")
    if of_trackmate:
        alone = len(ids) - len(np.unique(links))
        notes += [f"{path}: {counted(alone, *LONE_SPOT)}."] * bool(alone)
    area = _areas(properties, ndim, size)
    if area is not None and of_funtracks:
        area = area / np.prod([of_funtracks[letter] for letter in "zyx"[3 - ndim :]])
    begins = np.zeros(len(ids), dtype=bool)
    if PARENT_LINK in graph["edge_props"]:
        parted = np.asarray(graph["edge_props"][PARENT_LINK]["values"]).astype(bool)
        begins[links[parted, 1]] = True
    return points_from_links(
        frame,
        position,
        links,
        begins=begins,
        names=[
            columns[name] for name in _names_of_tracks(metadata) if name in whole and columns[name].dtype.kind in "ui"
        ],
        ndim=ndim,
        source=str(path),
        area=area,
        voxel=size,
        interval=interval or seconds,
        notes=[*notes, *more],
    )


def _only_solution(graph: Any) -> tuple[Any, int]:
    """A graph of candidates (tracksdata, motile) without what its property ``solution`` denies, and how much that is."""

    def chosen(kind: str) -> NDArray[np.bool_]:
        prop = graph[f"{kind}_props"].get("solution")
        values = np.ones(len(graph[f"{kind}_ids"]), dtype=bool) if prop is None else np.asarray(prop["values"])
        return values if values.dtype == bool else np.ones(len(values), dtype=bool)

    nodes, edges = chosen("node"), chosen("edge")
    denied = int((~nodes).sum() + (~edges).sum())
    if not denied:
        return graph, 0
    edges = edges & np.isin(graph["edge_ids"], graph["node_ids"][nodes]).all(axis=1)
    kept: dict[str, Any] = {"metadata": graph["metadata"]}
    for kind, rows in (("node", nodes), ("edge", edges)):
        kept[f"{kind}_ids"] = graph[f"{kind}_ids"][rows]
        kept[f"{kind}_props"] = {
            name: {part: column if column is None or part == "data" else column[rows] for part, column in prop.items()}
            for name, prop in graph[f"{kind}_props"].items()
        }
    return kept, denied


def _names_of_tracks(metadata: Any) -> list[str]:
    """Properties that may name tracks, the best first: the label in the masks, the declared tracklet, usual names."""
    declared = metadata.track_node_props or {}
    masks = [related.node_prop for related in metadata.related_objects or () if related.type == "labels"]
    usual = ["seg_id", declared.get("tracklet"), "track_id", "tracklet_id", "label"]
    return list(dict.fromkeys(name for name in [*masks, *usual] if name))


def _any_missing(prop: Any) -> bool:
    return prop["missing"] is not None and bool(np.asarray(prop["missing"]).any())


def _areas(properties: Mapping[str, Any], ndim: int, size: tuple[float, float, float] | None) -> FloatArray | None:
    """Areas in pixels: the property ``area``, or discs (balls) of TrackMate's radius; ``None`` where there is neither."""
    if "area" in properties:
        return _with_gaps(properties["area"])
    if "RADIUS" not in properties:
        return None
    radius = _with_gaps(properties["RADIUS"]) / (size or (1.0, 1.0, 1.0))[2]
    area: FloatArray = (np.pi if ndim == 2 else 4 / 3 * np.pi) * radius**ndim
    return np.where(area > 0, area, np.nan)


def _with_gaps(prop: Any) -> FloatArray:
    values = np.asarray(prop["values"], dtype=np.float64).copy()
    if prop["missing"] is not None:
        values[np.asarray(prop["missing"], dtype=bool)] = np.nan
    return values
