"""The movies on which confidence is calibrated and judged: every kind left out once, as it is, thinned, damaged, and at half the rate.

Each movie is tracked with costs that were learned without its kind (:data:`KINDS`), so what is said about it is what
would be said about cells that nobody here has seen. What was measured is kept in a folder, for the next time.
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
from celltrail.tracking.costs.examples import Example, thin_out, true_cells
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing.preparation import AUTO_GAP, prepare
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates

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
        examples = list(_examples(data, cache))
        file.write_bytes(pickle.dumps(list(_track(examples, cache))))
    found: list[Tracked] = pickle.loads(file.read_bytes())
    return found


def _examples(data: Path, cache: Path) -> Iterator[tuple[str, str, Example]]:
    """Kind, version and measured movie."""
    for (dataset, number), kind in KINDS.items():
        sequence = Sequence(data / dataset, number)
        name = f"{sequence.dataset.name} {number}"
        file = cache / f"{name}.pickle"
        if not file.is_file() and sequence.gt_tra:
            markers = dict(open_labels(sequence.gt_tra))
            masks = dict(open_labels(sequence.st_seg)) if sequence.st_seg else markers
            images = dict(open_images(sequence.images)) if sequence.images else None
            table_file = track_file(sequence.gt_tra)
            assert table_file is not None
            made = list(_versions(name, masks, markers, images, read_tracks(table_file)))
            file.write_bytes(pickle.dumps(made))
        if file.is_file():
            yield from ((kind, *one) for one in pickle.loads(file.read_bytes()))
    for name, options in SIMULATED.items():
        file = cache / f"{name}.pickle"
        if not file.is_file():
            movie = simulate_movie(**options)
            file.write_bytes(pickle.dumps(list(_versions(name, movie.masks, movie.masks, movie.images, movie.tracks))))
        yield from ((name, *one) for one in pickle.loads(file.read_bytes()))


def _versions(name: str, masks: Any, markers: Any, images: Any, tracks: Tracks) -> Iterator[tuple[str, Example]]:
    def example(version: str, masks: Any, markers: Any, images: Any) -> tuple[str, Example]:
        table = measure_movie(masks, images, spans=AUTO_GAP + 1)
        return version, Example(name, table, true_cells(table, masks, markers), tracks, {"masks": len(masks)})

    first = example("as it is", masks, markers, images)
    yield first
    yield "thinned", thin_out(first[1], np.random.default_rng(1))
    yield example("damaged", corrupted(masks, DAMAGE, lasting=2, seed=1)[0], markers, images)
    yield example("half the rate", *(None if one is None else _every_second(one) for one in (masks, markers, images)))


def _every_second(movie: dict[int, Any]) -> dict[int, Any]:
    return {k: movie[number] for k, number in enumerate(sorted(movie)[::2])}


def _track(examples: list[tuple[str, str, Example]], cache: Path) -> Iterator[Tracked]:
    """Each movie, tracked with costs learned from the other kinds."""
    taught = [
        (kind, one)
        for kind, version, one in examples
        if version == "as it is" and (one.name in TAUGHT or kind == one.name)
    ]
    for kind in dict.fromkeys(kind for kind, _, _ in examples):
        file = cache / f"costs without {kind}.json"
        if not file.is_file():
            model = fit_costs([one for of, one in taught if of != kind])
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
        for of, version, one in examples:
            if of == kind:
                prepared = prepare(one.table, solve_candidates, TrackSettings(costs=str(file)), explained=False)
                solution = solve_candidates(prepared.candidates)
                print(f"{one.name:24s} {version:14s} {len(one.table):6d} cells", flush=True)
                yield Tracked(
                    one.name,
                    kind,
                    version,
                    prepared.candidates,
                    solution,
                    one.cell,
                    one.tracks,
                    prepared.problem.usual.diameter,
                )
