"""The data sets that the dashboard shows, each under an opaque id.

Addresses and widgets carry ids, never paths. An id is made from the resolved path, so a link opens
the same view after a restart; it can be turned back into a path only by this registry, which knows
nothing but the folders that were opened at start or made by a job.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celltrail.data import InputError, Sequence, find_sequences
from celltrail.data.files.containment import inside
from celltrail.data.files.ctc import TRACK_FILES, track_file
from celltrail.data.files.opening import list_frame_files

Kind = Literal["result", "masks", "truth", "silver", "annotated"]
KIND_NAMES: dict[Kind, str] = {
    "result": "result",
    "masks": "masks without tracks",
    "truth": "ground truth",
    "silver": "silver truth",
    "annotated": "annotated frames",
}


@dataclass(frozen=True)
class Layer:
    """One folder of label images: a result, masks, or a truth. ``root`` is the folder that it must not leave."""

    id: str
    name: str
    kind: Kind
    folder: Path
    root: Path


@dataclass(frozen=True)
class Movie:
    """One sequence: its images and every folder of labels that belongs to it."""

    id: str
    name: str
    root: Path
    images: Path | None
    layers: tuple[Layer, ...]

    def of_kind(self, *kinds: Kind) -> tuple[Layer, ...]:
        """The layers of these kinds, in order."""
        return tuple(layer for layer in self.layers if layer.kind in kinds)

    @property
    def results(self) -> tuple[Layer, ...]:
        """Results with tracks, and masks without."""
        return self.of_kind("result", "masks")

    @property
    def truth(self) -> Layer | None:
        """The tracking truth, or ``None``."""
        return next(iter(self.of_kind("truth")), None)


@dataclass(frozen=True)
class Dataset:
    """A folder that was opened, and the movies in it."""

    root: Path
    movies: tuple[Movie, ...]


_movies: dict[str, Movie] = {}
_layers: dict[str, Layer] = {}
_lock = threading.Lock()


def opaque_id(path: Path) -> str:
    """Twelve hexadecimal digits that stand for a path."""
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]


def open_dataset(path: Path) -> Dataset:
    """Register a data set in CTC layout, a folder made by ``celltrail demo``, one result, or a folder of images.

    Raises
    ------
    InputError
        If the folder is missing, holds nothing that can be shown, or has links that lead out of it.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise InputError(f"{path} is not a folder: give the folder that holds 01, 01_GT, 01_RES …")
    root = path.resolve()
    single = re.fullmatch(r"(\d{2,})_RES.*", root.name)
    if track_file(root) is not None and single:
        movies = [_movie(root.parent, single.group(1), only=root)]
    elif track_file(root) is not None:
        movies = [Movie(opaque_id(root), root.name, root, None, (_layer(root, root, "result"),))]
    elif _has_sequences(root):
        movies = [_movie(root, sequence.name) for sequence in find_sequences(root)]
    else:
        list_frame_files(root)
        movies = [Movie(opaque_id(root), root.name, root, root, ())]
    register(*movies)
    return Dataset(root, tuple(movies))


def models_in(dataset: Dataset) -> list[Path]:
    """Models that were trained beside the data (``.safetensors``), in order of their names."""
    found = [*dataset.root.glob("*.safetensors"), *dataset.root.glob("*/*.safetensors")]
    return sorted(inside(dataset.root, path) for path in found if not path.parent.name.startswith("."))


def register(*movies: Movie) -> None:
    """Make movies and their layers known to `movie` and `layer`."""
    with _lock:
        for movie in movies:
            _movies[movie.id] = movie
            _layers.update({layer.id: layer for layer in movie.layers})


def movie(key: str) -> Movie:
    """The movie with this id; ``KeyError`` if there is none."""
    return _movies[key]


def layer(key: str) -> Layer:
    """The folder of labels with this id; ``KeyError`` if there is none."""
    return _layers[key]


def movie_of(layer: Layer) -> Movie | None:
    """The movie that a folder of labels belongs to; ``None`` where none is open that does."""
    return next((movie for movie in _movies.values() if layer.id in {one.id for one in movie.layers}), None)


def _has_sequences(root: Path) -> bool:
    return any(child.is_dir() and re.fullmatch(r"\d{2,}(_GT|_ST|_RES)?", child.name) for child in root.iterdir())


def _layer(root: Path, folder: Path, kind: Kind, name: str | None = None) -> Layer:
    real = inside(root, folder)
    return Layer(opaque_id(real), name or folder.name, kind, real, root.resolve())


def _movie(root: Path, name: str, only: Path | None = None) -> Movie:
    sequence = Sequence(root, name)
    layers = [_layer(root, folder, kind, label) for folder, kind, label in _label_folders(root, sequence, only)]
    images = inside(root, sequence.images) if sequence.images else None
    return Movie(opaque_id(root / name), name, root, images, tuple(layers))


def _label_folders(root: Path, sequence: Sequence, only: Path | None) -> list[tuple[Path, Kind, str]]:
    """Folders of labels of a sequence: results first (also those of variants in subfolders), then truths."""
    name = sequence.name
    candidates = sorted(root.glob(f"{name}_RES*")) + sorted(root.glob(f"{name}_MASKS*"))
    candidates += sorted(child for child in root.glob(f"*/{name}_RES*") if not child.parent.name.startswith("."))
    found: list[tuple[Path, Kind, str]] = []
    for folder in candidates:
        if not folder.is_dir() or (only is not None and folder.resolve() != only):
            continue
        kind: Kind = "result" if any((folder / file).is_file() for file in TRACK_FILES) else "masks"
        found.append((folder, kind, folder.relative_to(root).as_posix()))
    truths: list[tuple[Path | None, Kind]] = [
        (sequence.gt_tra, "truth"),
        (sequence.gt_seg, "annotated"),
        (sequence.st_seg, "silver"),
    ]
    found += [(folder, kind, folder.relative_to(root).as_posix()) for folder, kind in truths if folder is not None]
    return found
