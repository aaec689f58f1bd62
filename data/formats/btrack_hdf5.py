"""Reading the HDF5 files of btrack: objects, and the tracks that refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from celltrail.data.errors import InputError, import_extra
from celltrail.data.formats.points import INVENTED, Points, points_from_links
from celltrail.data.formats.tables import first_points, links_to_mothers
from celltrail.data.words import counted

TABLES = ("LBEPR", "LBEPRG")  # track, begin, end, parent (itself: none), root, (generation)


def read_btrack(
    path: Path, *, voxel: tuple[float, float, float] | None = None, interval: float | None = None
) -> Points:
    """Read the tracks of an HDF5 file that btrack wrote; a note counts the points that it invented in gaps.

    Objects that no track holds are left out, and counted as well.

    Raises
    ------
    InputError
        If the file is no HDF5, holds no tracks, holds tracks of several types of objects, or contradicts itself.
    """
    h5py = import_extra("h5py", "interop")
    try:
        with h5py.File(path, "r") as file:
            kinds = sorted(file["tracks"]) if "tracks" in file else []
            if len(kinds) != 1 or f"objects/{kinds[0]}" not in file:
                found = f"tracks of {', '.join(kinds)}" if kinds else "no tracks"
                raise InputError(
                    f"{path} holds {found}: write the objects and the tracks of one type with btrack's write_tracks."
                )
            return _read(path, file[f"objects/{kinds[0]}"], file[f"tracks/{kinds[0]}"], voxel, interval)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        text = " ".join(str(error).split())[:100]
        raise InputError(f"{path} is no HDF5 file of btrack ({text}): write it again.") from None


def _read(
    path: Path,
    objects: Mapping[str, Any],
    tracks: Mapping[str, Any],
    voxel: tuple[float, float, float] | None,
    interval: float | None,
) -> Points:
    coordinates = np.asarray(objects["coords"][:], dtype=np.float64)  # t, x, y, z, type
    references = np.asarray(tracks["tracks"][:], dtype=np.int64)  # negative: invented
    spans = np.asarray(tracks["map"][:], dtype=np.int64)
    name = next(name for name in TABLES if name in tracks)
    family = np.asarray(tracks[name][:], dtype=np.int64)
    if len(family) != len(spans) or references.max(initial=-1) >= len(coordinates):
        raise InputError(f"{path} contradicts itself: its tracks do not fit its objects; write it again.")
    lengths = spans[:, 1] - spans[:, 0]
    if (lengths < 0).any() or lengths.sum() != len(references):
        raise InputError(f"{path} contradicts itself: its tracks do not fit their list of objects; write it again.")
    owner = np.repeat(family[:, 0], lengths)
    seen = references >= 0
    rows = references[seen]
    if len(np.unique(rows)) < len(rows):
        raise InputError(f"{path} has an object in two tracks: a lineage cannot hold cells that merge.")
    frame = coordinates[rows, 0]
    if not np.array_equal(frame, np.rint(frame)):
        raise InputError(f"{path} gives times that are not whole numbers of frames: use the frame as the time.")
    track, whole = owner[seen], frame.astype(np.int64)
    order = np.lexsort((whole, track))
    if ((np.diff(track[order]) == 0) & (np.diff(whole[order]) == 0)).any():
        raise InputError(f"{path} has a track with two objects in one frame: write it again.")
    within = np.diff(track[order]) == 0
    links = np.stack([order[:-1][within], order[1:][within]], axis=1)
    born = (family[:, 3] != family[:, 0]) & (family[:, 3] > 0) & np.isin(family[:, 0], track)
    between, notes = links_to_mothers(path, whole, track, order, family[born][:, [0, 3]])
    notes += _counts(path, int((~seen).sum()), len(coordinates) - len(rows))
    area = _area(objects)
    return points_from_links(
        whole,
        coordinates[rows][:, [3, 2, 1]],
        np.concatenate([links, between]),
        area=None if area is None else area[rows],
        begins=first_points(whole, track),
        names=[track],
        ndim=3 if (coordinates[rows, 3] != 0).any() else 2,
        voxel=voxel,
        interval=interval,
        notes=notes,
        source=str(path),
    )


def _area(objects: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if "properties" not in objects or "area" not in objects["properties"]:
        return None
    return np.asarray(objects["properties"]["area"][:], dtype=np.float64).reshape(len(objects["coords"]), -1)[:, 0]


def _counts(path: Path, invented: int, alone: int) -> list[str]:
    notes = []
    if invented:
        notes.append(f"{path}: {counted(invented, *INVENTED)}.")
    if alone:
        notes.append(
            f"{path}: {counted(alone, 'object that no track holds is', 'objects that no track holds are')} left out."
        )
    return notes
