"""What the page Run can start: commands of ``celltrail``, and where their result will lie.

Every result gets a folder of its own beside the data, so nothing that is there is touched.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from celltrail.dashboard.opening.reading import reading_of
from celltrail.dashboard.opening.registry import Dataset, Movie

SETTINGS = {"tracking.toml": "track", "model.toml": "train"}  # what searches end with: file → command that reads it
TABLE, FILM = "cells.csv", "film.mp4"  # beside the tracks, in the folder of their job
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True)
class Plan:
    """Commands that run one after the other, and what to look at afterwards.

    Attributes
    ----------
    root, name
        The result goes to the folder ``name`` in ``root``.
    result : Path
        The folder of the tracks, the folder of the comparison, or the study (``.sqlite``) of a search.
    """

    title: str
    root: Path
    name: str
    commands: list[list[str]]
    result: Path

    @property
    def command_line(self) -> str:
        """The same work for a terminal."""
        return "\n".join(shlex.join(["celltrail", *command]) for command in self.commands)


def free_name(root: Path, stem: str, taken: Collection[Path] = ()) -> str:
    """``run1``, ``run2`` …: the first that is no folder yet, nor one of ``taken``."""
    names = (f"{stem}{n}" for n in range(1, 10_000))
    return next(name for name in names if not (root / name).exists() and root / name not in taken)


def home_of(dataset: Dataset) -> Path:
    """The folder in which the movies lie, also where only one of their results was opened."""
    return dataset.movies[0].root


def plan_tracks(
    movie: Movie,
    name: str,
    *,
    masks: Path | None,
    model: str | None = None,
    segment: Sequence[str] = (),
    track: Sequence[str] = (),
    evaluate: bool = False,
    voxel: Sequence[float] = (),
    interval: float | None = None,
    products: bool = False,
) -> Plan:
    """Segment with ``model`` (or take ``masks``), track, and measure against the truth.

    Parameters
    ----------
    segment, track
        Further options of these commands.
    voxel
        Size of a pixel in µm, as many numbers as the movie has axes; empty: as the files say.
    interval
        Seconds between frames; ``None``: as the files say.
    products
        Make tables of the cells and tracks, and a film.
    """
    folder = movie.root / name
    out = folder / f"{movie.name}_RES"
    commands = []
    reading = reading_of(movie.id)
    if masks is None:
        masks = folder / f"{movie.name}_MASKS"
        commands.append(
            ["segment", str(movie.images), "--model", str(model), "--out", str(masks), *reading.words, *segment]
        )
    images = [] if movie.images is None else ["--images", str(movie.images), *reading.words_for_track]
    size = ["--voxel", " ".join(f"{side:g}" for side in voxel)] if voxel else []
    commands.append(["track", str(masks), "--out", str(out), *images, *size, *track])
    if evaluate and movie.truth is not None:
        commands.append(["evaluate", str(movie.truth.folder.parent), str(out)])
    if products:
        clock = [] if interval is None else ["--interval", f"{interval:g}"]
        commands.append(["measure", str(out), "--out", str(folder / TABLE), *images, *size, *clock])
        if movie.images is not None:
            film = ["--images", str(movie.images), *reading.words]
            commands.append(["render", str(out), *film, "--out", str(folder / FILM)])
    return Plan(
        title=f"{movie.root.name}, movie {movie.name}: {name}",
        root=movie.root,
        name=name,
        commands=commands,
        result=out,
    )


def plan_training(movie: Movie, name: str, masks: Path, *, minutes: float) -> Plan:
    """Train a model for this movie on the frames that have masks; it stands in the list of models afterwards."""
    model = movie.root / name / "model.safetensors"
    pair = f"{movie.images}={masks}"
    command = ["train", pair, "--minutes", f"{minutes:g}", "--out", str(model), *reading_of(movie.id).words]
    title = f"{movie.root.name}, movie {movie.name}: model {name}"
    return Plan(title=title, root=movie.root, name=name, commands=[command], result=model)


def variants_of(dataset: Dataset) -> dict[str, Path]:
    """Results that can be compared: name → folder with ``NN_RES`` folders, or, with one movie, one result."""
    found: dict[str, Path] = {}
    root = home_of(dataset)
    judged = [movie for movie in dataset.movies if movie.truth is not None]
    for movie in judged:
        for layer in movie.of_kind("result"):
            if layer.folder.name == f"{movie.name}_RES":
                parent = layer.folder.parent
                found[parent.name if parent != root else "first"] = parent
            elif len(judged) == 1:
                found[layer.name.replace("/", "_")] = layer.folder
    return found


def plan_comparison(dataset: Dataset, name: str, variants: Mapping[str, Path], baseline: str) -> Plan:
    """Compare results on every movie that all of them have, with intervals."""
    root = home_of(dataset)
    out = root / name
    words = [f"{variant}={folder}" for variant, folder in variants.items()]
    command = ["compare", str(root), *words, "--baseline", baseline, "--out", str(out)]
    return Plan(
        title=f"{root.name}: {' and '.join(variants)} compared", root=root, name=name, commands=[command], result=out
    )


def plan_search(dataset: Dataset, name: str, movies: Sequence[str], *, trials: int, steps: int | None) -> Plan:
    """Search for better settings on movies with truth, and keep every trial.

    With ``steps``, those of a short training: settings of a training, with the best of which a model is
    trained. With ``None``: settings of the tracker. Both write a file of `SETTINGS`.
    """
    root = home_of(dataset)
    folder = root / name
    study = folder / "study.sqlite"
    chosen = [word for movie in movies for word in ("--sequence", movie)]
    common = [str(root), *chosen, "--trials", str(trials), "--study", str(study), "--out"]
    if steps is None:
        command = ["tune", "tracking", *common, str(folder / "tracking.toml")]
    else:
        command = ["tune", "segmentation", *common, str(folder / "model.safetensors"), "--steps", str(steps)]
    return Plan(title=f"{root.name}: search {name}", root=root, name=name, commands=[command], result=study)
