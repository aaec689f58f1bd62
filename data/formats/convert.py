"""One format of results into another: CTC folder ↔ GEFF ↔ CSV ↔ TrackMate's XML, and btrack's HDF5 in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.ctc import TRACK_FILES, digits_for, track_file, write_masks, write_track_file
from celltrail.data.files.movie import ComputedFrames
from celltrail.data.files.opening import open_labels
from celltrail.data.formats.btrack_hdf5 import read_btrack
from celltrail.data.formats.certainty import keep_certain, read_certainty
from celltrail.data.formats.geff import LABELS, is_geff, read_geff, write_geff
from celltrail.data.formats.link_values import read_link_values
from celltrail.data.formats.points import Points, radii_of, read_result, read_tracked_labels
from celltrail.data.formats.tables import DIALECTS, read_table, write_table
from celltrail.data.formats.trackmate.reading import read_trackmate
from celltrail.data.formats.trackmate.tables import edges_file
from celltrail.data.formats.trackmate.writing import write_trackmate
from celltrail.data.progress import Progress, silent
from celltrail.data.words import counted
from celltrail.data.writing.output import output_file, output_folder, refuse_existing

NEAR = 5.0  # pixels that a point may lie beside its mask
LOSES_MASKS = "GEFF holds no masks: write NAME.zarr instead of NAME.geff to keep them beside the graph."
LOSES_SCALE = (
    "A CTC folder holds no pixel size and no time between frames: repeat --voxel and --interval where you use it."
)
LOSES_SHAPES = "TrackMate's XML holds a radius of every cell, and neither masks nor labels."
DREW_DISCS = "The source has no masks: every cell is a disc. Give the masks it was made from with --masks."


def read_points(
    path: Path,
    *,
    voxel: tuple[float, float, float] | None = None,
    interval: float | None = None,
    progress: Progress = silent,
) -> Points:
    """Read a result in any of the formats: a CTC folder, tracked label images, GEFF, CSV, TrackMate's XML, or btrack's HDF5.

    ``voxel`` (z, y, x in µm) and ``interval`` (seconds) fill in what the format cannot tell.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} does not exist: give a result folder, a .geff, a .csv, a TrackMate .xml, or a .h5.")
    if path.is_dir() and is_geff(path):
        return read_geff(path, voxel=voxel, interval=interval)
    if is_labels(path) or (path.is_dir() and (track_file(path) is not None or suffix not in (".geff", ".zarr"))):
        points = (read_tracked_labels if is_labels(path) else read_result)(path, progress=progress)
        return replace(points, voxel=voxel or points.voxel, interval=interval or points.interval)
    if suffix in (".csv", ".tsv", ".txt"):
        return read_table(path, voxel=voxel, interval=interval)
    if suffix == ".xml":
        return read_trackmate(path, voxel=voxel, interval=interval)
    if suffix in (".h5", ".hdf5", ".hdf"):
        return read_btrack(path, voxel=voxel, interval=interval)
    raise InputError(f"{path} has no format that is read here: give a result folder, .geff, .csv, .xml or .h5.")


def is_labels(path: Path) -> bool:
    """Whether a source is label images alone: a TIFF, or a folder of images without a track file."""
    if path.suffix.lower() in (".tif", ".tiff"):
        return path.is_file()
    tracked = any((path / name).exists() for name in TRACK_FILES)
    return path.is_dir() and not tracked and any(path.glob("*.tif*"))


def convert_movie(
    source: Path,
    target: Path,
    *,
    dialect: str = "intracktive",
    masks: Path | None = None,
    radius: float | None = None,
    voxel: tuple[float, float, float] | None = None,
    interval: float | None = None,
    certain: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[str]:
    """Convert a result; the format of ``target`` is seen from its name (.csv, .geff, .zarr, .xml, else a CTC folder).

    Parameters
    ----------
    dialect : str
        Which program's columns a CSV has: intracktive, napari, btrack, trackmate.
    masks : Path | None
        Label images on which the points lie; the masks of a CTC folder to be written are taken from them. Without
        them, and where the source has none, discs are drawn.
    radius : float | None
        Of these discs, in pixels; otherwise from the areas of the points.
    certain : float | None
        Only links whose probability is at least this are kept; tracks are cut at the others.

    Returns
    -------
    list of str
        Sentences on what was left out of the source, assumed about it or cut, and on what the target cannot hold; empty
        when nothing is lost.
    """
    suffix = target.suffix.lower()
    if suffix not in ("", ".csv", ".geff", ".zarr", ".xml"):
        raise InputError(
            f"{target} has the ending {suffix}, which is not written here: use .csv, .geff, .zarr, .xml, "
            "or a name without ending for a CTC folder."
        )
    if dialect not in DIALECTS:
        raise InputError(f"The table format '{dialect}' is not known: choose one of {', '.join(DIALECTS)}.")
    refuse_existing(target, overwrite=overwrite, inputs=[source, *([masks] if masks else [])])
    points = read_points(source, voxel=voxel, interval=interval, progress=progress)
    own = open_labels(source) if source.is_dir() and track_file(source) is not None else None
    certainty = read_certainty(source / "graph.npz") if own is not None else None
    notes = list(points.notes)
    if certain is not None:
        if certainty is None:
            raise InputError(
                f"{source} holds no probabilities, which --certain needs: run 'celltrail track' on its masks."
            )
        points, share = keep_certain(points, certainty, certain)
        notes.append(
            f"{100 * share:.1f} % of the links are certain enough ({certain:g}) and kept; tracks are cut at the others."
        )
        masks = masks or source  # where tracks are cut, labels change
        certainty = None
    if masks is None and is_labels(source):
        masks = source
    if masks is None and is_geff(source) and (source / LABELS).is_dir():
        masks = source / LABELS  # what this program wrote beside the graph
    if suffix == ".csv":
        with ExitStack() as stack:
            work = stack.enter_context(output_file(target, overwrite=overwrite))
            edges = None
            if dialect == "trackmate":
                edges = stack.enter_context(output_file(edges_file(target), overwrite=overwrite))
            write_table(points, work, dialect, edges=edges)
        return [*notes, DIALECTS[dialect].loses]
    if suffix == ".xml":
        with output_file(target, overwrite=overwrite) as work:
            write_trackmate(points, work, shape=None if own is None else own.shape)
        return [*notes, LOSES_SHAPES]
    given: Mapping[int, NDArray[Any]] | None = own
    if masks is not None:
        given = _relabelled(points, open_labels(masks), masks)
    with output_folder(target, overwrite=overwrite) as work:
        if suffix:
            # The name of the folder tells the writer whether masks go with the graph.
            inner = work / f"graph{suffix}"
            of_links: dict[str, Any] = {} if own is None else dict(read_link_values(source))
            if certainty is not None:
                of_links["probability"] = certainty.past
            write_geff(points, inner, given if suffix == ".zarr" else None, of_links=of_links, progress=progress)
            for item in inner.iterdir():
                item.rename(work / item.name)
            inner.rmdir()
            return notes if suffix == ".zarr" or given is None else [*notes, LOSES_MASKS]
        pictures = given if given is not None else draw_discs(points, radius)
        digits = digits_for([*points.frame.tolist(), *pictures])
        write_masks(work, _counted(pictures, progress), digits=digits)
        write_track_file(work / "res_track.txt", points.tracks)
    has_scale = points.voxel is not None or points.interval is not None
    return notes + [DREW_DISCS] * (given is None) + [LOSES_SCALE] * has_scale


def _counted(masks: Mapping[int, NDArray[Any]], progress: Progress) -> Iterator[tuple[int, NDArray[Any]]]:
    for done, number in enumerate(sorted(masks), start=1):
        yield number, masks[number]
        progress("write", done, len(masks))


def _relabelled(points: Points, masks: Mapping[int, NDArray[Any]], path: Path) -> ComputedFrames:
    """The masks on which the points lie, with the labels of the points; masks without a point are left out."""
    missing = sorted(set(points.frame.tolist()) - set(masks))
    if missing:
        raise InputError(f"{path} has no frame {missing[0]}, but the source has cells in it: give all masks.")

    def relabel(frame: int) -> NDArray[Any]:
        mask = masks[frame]
        problems: list[str] = []
        owner: dict[int, int] = {}
        for row in np.flatnonzero(points.frame == frame).tolist():
            label = int(points.label[row])
            found = label_at(mask, points.position[row])
            if found == 0:
                problems.append(
                    f"{path} has no mask at cell {label} of frame {frame} (within {NEAR:.0f} pixels): "
                    "use the masks that were tracked."
                )
            elif found in owner:
                problems.append(
                    f"{path}: cells {owner[found]} and {label} lie on one mask in frame {frame}: "
                    "use the masks that were tracked."
                )
            owner.setdefault(found, label)
        raise_if(problems[:20])
        known = np.array([-1, *sorted(owner)], dtype=np.int64)
        labels = np.array([0, *(owner[value] for value in sorted(owner))], dtype=np.int64)
        place = np.searchsorted(known, mask).clip(0, len(known) - 1)
        new: NDArray[Any] = np.where(known[place] == mask, labels[place], 0)
        return new

    return ComputedFrames(masks, relabel)


def label_at(mask: NDArray[Any], position: NDArray[np.float64]) -> int:
    """The label under a point (z, y, x), or the nearest one within `NEAR` pixels; 0: none."""
    centre = position[3 - mask.ndim :]
    pixel = np.rint(centre).astype(int)
    if ((pixel >= 0) & (pixel < mask.shape)).all() and mask[tuple(pixel)]:
        return int(mask[tuple(pixel)])
    reach = int(NEAR)
    low = np.maximum(pixel - reach, 0)
    box = tuple(slice(int(a), int(max(a, b))) for a, b in zip(low, pixel + reach + 1, strict=True))
    inside = np.argwhere(mask[box])
    if len(inside) == 0:
        return 0
    distance = np.linalg.norm(inside + low - centre, axis=1)
    nearest = int(np.argmin(distance))
    return int(mask[tuple(inside[nearest] + low)]) if distance[nearest] <= NEAR else 0


def draw_discs(points: Points, radius: float | None = None) -> ComputedFrames:
    """Label images with a disc (2D) or ball (3D) at every point, for results that have no masks.

    Parameters
    ----------
    radius : float | None
        In pixels; otherwise that of the points' areas, 5 where these are not known.

    Returns
    -------
    ComputedFrames
        frame → int64, just large enough for all discs. Where discs overlap the nearer centre
        wins, and the pixel under a centre is always its own.

    Raises
    ------
    InputError
        If two points lie on one pixel, or outside of any image (negative).
    """
    if len(points) == 0:
        raise InputError("The source has no cells: there is nothing to draw.")
    radii = radii_of(points) if radius is None else np.full(len(points), radius)
    if not (radii > 0).all() or radii.max() > 10_000:
        raise InputError("The discs would have no or an enormous radius: give --radius in pixels.")
    ndim = points.ndim
    centres = points.position[:, 3 - ndim :]
    pixels = np.rint(centres).astype(np.int64)
    keys = np.column_stack([points.frame, pixels])
    _, counts = np.unique(keys, axis=0, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"{counted(int((counts > 1).sum()), 'pixel holds', 'pixels hold')} two cells at once: give the masks with --masks."
        )
    if pixels.min() < 0:
        raise InputError(
            f"The source has a cell at {centres.min():.1f}, outside the image: "
            "shift the positions so that none is negative."
        )
    shape = tuple((pixels.max(axis=0) + np.ceil(radii.max()) + 2).astype(int).tolist())
    if float(np.prod([float(n) for n in shape])) >= 2**27:
        raise InputError(
            f"The discs would need images of {' x '.join(map(str, shape))} pixels: are the positions in "
            "pixels? Otherwise give --voxel."
        )

    def draw(frame: int) -> NDArray[Any]:
        labels = np.zeros(shape, dtype=np.int64)
        nearest = np.full(shape, np.inf)
        rows = np.flatnonzero(points.frame == frame)
        for row in rows.tolist():
            low = np.maximum(np.floor(centres[row] - radii[row]).astype(int), 0)
            high = np.minimum(np.ceil(centres[row] + radii[row]).astype(int) + 1, shape)
            box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            steps = np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij")
            square = sum((step - c) ** 2 for step, c in zip(steps, centres[row], strict=True))
            wins = (square <= radii[row] ** 2) & (square < nearest[box])
            labels[box][wins] = points.label[row]
            nearest[box][wins] = square[wins]
        labels[tuple(pixels[rows].T)] = points.label[rows]
        return labels

    return ComputedFrames(points.frame.tolist(), draw)
