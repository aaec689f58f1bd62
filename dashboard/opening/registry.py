"""The data sets that the dashboard shows, each under an opaque id.

Addresses and widgets carry ids, never paths. An id is made from the resolved path, so a link opens
the same view after a restart; it can be turned back into a path only by this registry, which knows
nothing but the folders that were opened at start or made by a job.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from celltrail.dashboard.opening.finding import Found, Kind, find_movies, kind_of
from celltrail.dashboard.opening.reading import AS_THE_FILES_SAY, Reading, choose_reading, reading_of
from celltrail.data import InputError
from celltrail.data.files.arrays.omezarr import is_zarr
from celltrail.data.files.containment import inside
from celltrail.data.words import counted

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
    """One sequence: its images and every folder of labels that belongs to it.

    ``elsewhere`` : where its images are, if the command line names no folder that holds them.
    """

    id: str
    name: str
    root: Path
    images: Path | None
    layers: tuple[Layer, ...]
    elsewhere: Path | None = None

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


@dataclass(frozen=True)
class Given:
    """What the command line names: the folder or file to open, and images, masks and a channel for it."""

    data: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    channel: int | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """What may be opened."""
        return tuple(path for path in (self.data, self.images, self.masks) if path is not None)


def open_dataset(path: Path, given: Given | None = None) -> Dataset:
    """Register a data set in CTC layout, a result, masks, images, a movie in one file, or a folder that holds any of these.

    Parameters
    ----------
    path : Path
        What to open.
    given : Given or None
        What the command line names; ``None``: ``path`` alone.

    Raises
    ------
    InputError
        If the folder is missing, holds nothing that can be shown, or has links that lead out of it.
    """
    path = Path(path).expanduser()
    given = given or Given(path)
    for one in (path, *given.folders):
        if not one.exists():
            raise InputError(f"{one} does not exist: give the folder that holds 01, 01_GT, 01_RES …")
    root = path.resolve()
    name_folders(*given.folders)
    found = find_movies(root, may_open)
    if given.images is not None or given.masks is not None:
        if len(found) > 1:
            raise InputError(
                f"{path} holds {counted(len(found), 'movie')}: open one of them with --images and --masks."
            )
        found[0].images = given.images or found[0].images
        if given.masks is not None:
            kind = kind_of(given.masks)
            found[0].labels.insert(0, (given.masks, "result" if kind == "result" else "masks", given.masks.name))
    movies = [_movie(one) for one in found]
    register(*movies)
    if given.channel is not None:
        for opened in movies:
            if reading_of(opened.id) == AS_THE_FILES_SAY:
                choose_reading(opened.id, Reading(channel=given.channel))
    return Dataset(root if root.is_dir() and not is_zarr(root) else root.parent, tuple(movies))


_named: tuple[Path, ...] = ()


def name_folders(*folders: Path) -> None:
    """Folders and files that the command line names: paths in files may lead there."""
    global _named
    _named = tuple(folder.resolve() for folder in folders)


def within(root: Path, path: Path) -> Path:
    """``path`` without links, if it lies inside ``root``, or inside what the command line names.

    Raises
    ------
    InputError
        If it does not.
    """
    real = path.resolve()
    return inside(next((folder for folder in _named if real.is_relative_to(folder)), root), path)


def may_open(path: Path) -> bool:
    """Whether a path lies inside what the command line names."""
    real = path.resolve()
    return any(real.is_relative_to(folder) for folder in _named)


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


def _layer(root: Path, folder: Path, kind: Kind, name: str) -> Layer:
    real = within(root, folder)
    return Layer(id=opaque_id(real), name=name, kind=kind, folder=real, root=root.resolve())


def _movie(found: Found) -> Movie:
    root = found.root
    layers = {layer.id: layer for layer in (_layer(root, *label) for label in found.labels)}
    images = None if found.images is None else within(root, found.images)
    return Movie(
        id=opaque_id(found.place),
        name=found.name,
        root=root,
        images=images,
        layers=tuple(layers.values()),
        elsewhere=None if images is not None else found.elsewhere,
    )
