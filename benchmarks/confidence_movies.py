"""The movies on which confidence is calibrated and judged: every kind left out once, as it is, thinned, damaged, and at half the rate.

Each movie is tracked as ``track`` does it by default, with costs that were learned without its kind (:data:`KINDS`), so
what is said about it is what would be said about cells that nobody here has seen. What was tracked is kept in a folder.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from corruption import Rates, corrupted
from numpy.typing import NDArray
from shipped_costs import SIMULATED

from celltrail.data import Sequence, open_images, open_labels
from celltrail.data.files.ctc import track_file
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking import TrackResult, track
from celltrail.tracking.candidates.links import typical_diameter
from celltrail.tracking.costs.examples import SPANS, Example, thin_out, true_cells
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.measuring.overlapping import LayeredMovie
from celltrail.tracking.measuring.table import measure_movie

# data set, sequence → kind of movie; what is left out is a kind
KINDS = {
    ("Fluo-N2DL-HeLa", "01"): "hela",
    ("DIC-C2DH-HeLa", "01"): "dic",
    ("Fluo-N2DH-SIM+", "01"): "sim",
    ("ctc-eval-oracle/ipsc-02", "02"): "ipsc",
    ("ctc-eval-oracle/ipsc-02", "03"): "ipsc",
    ("ctc-eval-oracle/ipsc-07", "02"): "ipsc",
    ("ctc-eval-oracle/testing_dataset", "04"): "testing",
    ("PhC-C2DL-PSC", "02"): "psc",
}
TAUGHT = ("Fluo-N2DL-HeLa 01", "DIC-C2DH-HeLa 01", "Fluo-N2DH-SIM+ 01", "ipsc-02 02", "testing_dataset 04")
VERSIONS = ("as it is", "thinned", "damaged", "half the rate")
DAMAGE = Rates(dropped=0.02, merged=0.01, split=0.01, false=0.01)


@dataclass(frozen=True, eq=False)
class Tracked:
    """A movie that was tracked without having been learned from. cell, tracks : its truth (`celltrail.tracking.costs.examples.Example`)."""

    name: str
    kind: str
    version: str
    candidates: Candidates
    solution: Solution
    cell: NDArray[np.int64]
    tracks: Tracks
    diameter: float


def tracked_movies(data: Path, cache: Path) -> list[Tracked]:
    """All movies in all versions; made where they are not kept in ``cache`` already."""
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / "tracked.pickle"
    if not file.is_file():
        file.write_bytes(pickle.dumps(list(_track(data, cache))))
    found: list[Tracked] = pickle.loads(file.read_bytes())
    return found


@dataclass(frozen=True, eq=False)
class _Version:
    """A movie in one of its versions."""

    name: str
    kind: str
    version: str
    masks: dict[int, Any]
    markers: dict[int, Any]
    images: dict[int, Any] | None
    tracks: Tracks


def _versions(data: Path) -> Iterator[_Version]:
    """All movies in all versions."""
    for (dataset, number), kind in KINDS.items():
        sequence = Sequence(data / dataset, number)
        if not sequence.gt_tra:
            continue
        markers = dict(open_labels(sequence.gt_tra))
        masks = dict(open_labels(sequence.st_seg)) if sequence.st_seg else markers
        images = dict(open_images(sequence.images)) if sequence.images else None
        table_file = track_file(sequence.gt_tra)
        assert table_file is not None
        name = f"{sequence.dataset.name} {number}"
        yield from _versions_of(name, kind, masks, markers, images, read_tracks(table_file))
    for name, options in SIMULATED.items():
        movie = simulate_movie(**options)
        yield from _versions_of(name, name, movie.masks, movie.masks, movie.images, movie.tracks)


def _versions_of(name: str, kind: str, masks: Any, markers: Any, images: Any, tracks: Tracks) -> Iterator[_Version]:
    yield _Version(name, kind, "as it is", masks, markers, images, tracks)
    example = _example(_Version(name, kind, "", masks, markers, images, tracks))
    yield _Version(name, kind, "thinned", _without(masks, example), markers, images, tracks)
    damaged = corrupted(masks, DAMAGE, lasting=2, seed=1)[0]
    yield _Version(name, kind, "damaged", damaged, markers, images, tracks)
    half = (None if one is None else _every_second(one) for one in (masks, markers, images))
    yield _Version(name, kind, "half the rate", *half, tracks)  # type: ignore[arg-type]


def _example(movie: _Version) -> Example:
    table = measure_movie(movie.masks, movie.images, spans=SPANS)
    cells = true_cells(table, movie.masks, movie.markers)
    return Example(movie.name, table, cells, movie.tracks, {"masks": len(movie.masks)})


def _without(masks: dict[int, Any], example: Example) -> dict[int, Any]:
    """The masks that are left when some are taken away at random."""
    left = thin_out(example, np.random.default_rng(1)).table
    return {
        number: np.where(np.isin(labels, left.label[left.frame == number]), labels, 0)
        for number, labels in masks.items()
    }


def _every_second(movie: dict[int, Any]) -> dict[int, Any]:
    return {k: movie[number] for k, number in enumerate(sorted(movie)[::2])}


def _costs_without(kinds: list[str], data: Path, cache: Path) -> dict[str, Path]:
    """For each kind a cost file learned from the others."""
    file_of = {kind: cache / f"costs without {kind}.json" for kind in kinds}
    if not all(file.is_file() for file in file_of.values()):
        taught = [
            (movie.kind, _example(movie))
            for movie in _versions(data)
            if movie.version == "as it is" and (movie.name in TAUGHT or movie.kind == movie.name)
        ]
        for kind, file in file_of.items():
            model = fit_costs([one for of, one in taught if of != kind])
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
    return file_of


def _track(data: Path, cache: Path) -> Iterator[Tracked]:
    """Each movie, tracked by default with costs learned from the other kinds."""
    costs = _costs_without([*dict.fromkeys(KINDS.values()), *SIMULATED], data, cache)
    for movie in _versions(data):
        result = track(movie.masks, images=movie.images, costs=str(costs[movie.kind]))
        print(f"{movie.name:24s} {movie.version:14s} {len(result.table):6d} cells", flush=True)
        yield Tracked(
            movie.name,
            movie.kind,
            movie.version,
            result.candidates,
            result.solution,
            _true_cells(result, movie.markers),
            movie.tracks,
            typical_diameter(result.table),
        )


def _true_cells(result: TrackResult, markers: dict[int, Any]) -> NDArray[np.int64]:
    """The true track of each detection that is used, as it is read: a mask that was split is two cells; 0: none."""
    table, used = result.table, result.solution.used
    if not isinstance(result.source, LayeredMovie):
        return true_cells(table, result.source, markers)
    drawn = {}
    for number in result.source:
        labels = table.label[used & (table.frame == number)]
        drawn[number] = result.source.draw(number, labels, labels)
    return np.where(used, true_cells(table, drawn, markers), 0)
