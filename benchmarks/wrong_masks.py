"""Learn how unlikely it is that masks are wrong for a few frames: masks of movies with a truth, damaged on purpose.

    python benchmarks/wrong_masks.py DATA --cache DIR [--cells 900] [--write tracking/repairing/prices.json]

The development movies as they are (four times the cells), every 2nd and 4th frame of them, with 3 % of the masks merged or split for
one or three frames, and with one in two hundred for one; and the masks that nets make of some of their frames, which `OWN` names (a few minutes the
first time). Every event that `celltrail.tracking.repairing.finding.find_repairs` considers is one example: the other
reading is true if it has as many cells as markers lie in these masks more than in any other. What the links say of it is how much
cheaper the solution becomes with it (``gain``, with costs that were learned without this kind of movie). A logistic
model of how the event looks, in which a nat of gain has a fixed weight, is brought into a price: the gain at which both
readings are equally likely.

The table leaves every data set out once: wrong decisions with no price, with one for all (1 : 100 a mask), and learned;
how many of them are repairs of masks that nobody has damaged, and how many of nets' masks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from corruption import Rates, corrupted
from measure import celltrail, markdown_table, measured, parser, write_rows
from regret import JUDGED, costs_without
from scipy.optimize import minimize

from celltrail.data import Sequence, open_images, open_labels
from celltrail.data.graph.candidates import FORBIDDEN, KEPT, NAT
from celltrail.tracking.costs.logistic import Linear
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.repairing.movie import RepairableMovie
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates

BY_HAND = float(np.log(99))  # nats a mask
DAMAGES = {  # rates, how many frames an error lasts, how many times the cells
    f"{kind}, {share:.1%}, {n} frames": (Rates(0, share * (kind == "merged"), share * (kind == "split"), 0), n, more)
    for share, n, more in ((0.03, 1, 1), (0.03, 3, 1), (0.005, 1, 4))
    for kind in ("merged", "split")
}
CLEAN = {"plain": 1, "every 2nd": 2, "every 4th": 4}
WEIGHT = 0.25  # log-odds for each nat that the links gain: less than 1, as they know of each other
MOST = 30.0  # nats from which a gain says no more
RIDGE = 0.3
NAMES = {"merged": ("often", "open"), "split": ("frames", "rounder", "often", "size")}  # what the price is told from
NETS = "masks of"  # how a version is called that is a net's
OWN = {  # data set: nets, and the frames that they make masks of; some have learned from some of these, some have not
    "DIC-C2DH-HeLa": (("dic-hela-self", "40:83"), ("dic-hela", "0:39")),
    "Fluo-N2DL-HeLa": (("nuclei", "50:91"), ("fluo-hela", "50:91")),
    "Fluo-N2DH-SIM+": (("nuclei", "30:64"),),
    "PhC-C2DL-PSC": (("nuclei", "0:14"),),
}
NO_TEACHER = (
    "testing_dataset",
)  # its truth itself holds mergers and pieces: half of its tracks have three frames or fewer


@dataclass(frozen=True)
class Event:
    """An example; frames: how many it lasts, gain: in nats without any price."""

    movie: str
    version: str
    kind: str
    look: dict[str, float]
    frames: int
    gain: float
    true: bool


def movies(sequence: Sequence, cells: int, cache: Path) -> Iterator[tuple[str, dict[int, Any], Any, dict[int, Any]]]:
    """Name, masks, images and markers of a movie in all versions."""
    assert sequence.gt_tra is not None
    markers = dict(open_labels(sequence.gt_tra))
    masks = dict(open_labels(sequence.st_seg)) if sequence.st_seg else markers
    sizes = np.cumsum([len(np.unique(labels)) - 1 for labels in masks.values()])
    frames = sorted(masks)[: max(int(np.searchsorted(sizes, cells)), 12)]
    images = open_images(sequence.images) if sequence.images else None

    def part(of: Any, numbers: list[int]) -> Any:
        return None if of is None else {k: of[number] for k, number in enumerate(numbers)}

    for version, step in CLEAN.items():
        some = sorted(masks)[: 4 * step * len(frames) : step]
        if len(some) >= 5:
            yield version, part(masks, some), part(images, some), part(markers, some)
    for version, (rates, lasting, more) in DAMAGES.items():
        some = sorted(masks)[: more * len(frames)]
        spoiled = corrupted(part(masks, some), rates, lasting=lasting, seed=lasting)[0]
        yield version, spoiled, part(images, some), part(markers, some)
    for model, shown in OWN.get(sequence.dataset.name, ()):
        folder = cache / f"{NETS} {model} for {sequence.dataset.name}"
        if not folder.is_dir():
            options = ("--model", model, "--frames", shown, "--no-hypotheses")
            celltrail("segment", sequence.images, *options, "--out", folder)
        own = dict(open_labels(folder))
        yield f"{NETS} {model}", part(own, sorted(own)), part(images, sorted(own)), part(markers, sorted(own))


def events(
    name: str, version: str, masks: dict[int, Any], images: Any, markers: dict[int, Any], costs: Path
) -> Iterator[Event]:
    """The examples of a movie."""
    settings = TrackSettings(costs=str(costs), max_gap=0)
    movie, table = measure(open_movie(masks, images, settings), settings)
    if not isinstance(movie.masks, RepairableMovie):
        return
    table = replace(table, reward=np.zeros(len(table)))
    candidates = prepare(table, solve_candidates, settings, explained=False).candidates
    readings, masked = np.flatnonzero(table.beside), np.unique(table.clique_row)
    masked = np.setdiff1d(masked, readings)
    rows: dict[int, list[int]] = {}
    row_of = {pair: row for row, pair in enumerate(zip(table.frame.tolist(), table.label.tolist(), strict=True))}
    for repair in movie.masks.repairs:
        rows.setdefault(repair.event, []).extend(row_of[repair.frame, label] for label in repair.new)
    fixed = candidates.detections.fixed
    fixed[masked], fixed[readings] = KEPT, FORBIDDEN
    given = solve_candidates(candidates).objective
    for event, new in rows.items():
        here = [repair for repair in movie.masks.repairs if repair.event == event]
        old = [row_of[repair.frame, label] for repair in here for label in repair.labels]
        fixed[old], fixed[new] = FORBIDDEN, KEPT
        gain = (given - solve_candidates(candidates).objective) / NAT
        fixed[old], fixed[new] = KEPT, FORBIDDEN
        counted = [cells_in(repair.labels, masks[repair.frame], markers[repair.frame]) for repair in here]
        one, other = [len(repair.labels) for repair in here], [len(repair.parts) for repair in here]
        if counted in (one, other):
            yield Event(name, version, here[0].kind, dict(here[0].look), len(here), gain, counted == other)


def cells_in(labels: list[int] | tuple[int, ...], masks: Any, markers: Any) -> int:
    """How many markers lie in some masks: a quarter of each at least, and more of it than in any other mask."""
    shared = np.zeros((int(markers.max(initial=0)) + 1, int(masks.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(shared, (markers.ravel(), masks.ravel()), 1)
    whole, shared[:, 0] = shared.sum(axis=1), 0
    inside = shared[:, list(labels)].sum(axis=1)
    shared[:, list(labels)] = 0
    return int(((4 * inside >= whole) & (inside > shared.max(axis=1)))[1:].sum())


def learn(examples: list[Event]) -> Linear:
    """The price of one kind of event, in nats, as a sum over its look: a logistic model in which the gain has its weight."""
    examples = [event for event in examples if event.movie not in NO_TEACHER]
    names = NAMES[examples[0].kind]
    look = np.array([[1.0, *(event.look[name] for name in names)] for event in examples])
    spread = np.append(1.0, look[:, 1:].std(axis=0) + 1e-9)
    gain = WEIGHT * np.clip([event.gain for event in examples], -MOST, MOST)
    sign = np.where([event.true for event in examples], 1.0, -1.0)

    def loss(beta: Any) -> float:
        return float(np.logaddexp(0, -sign * (look / spread @ beta + gain)).sum() + RIDGE / 2 * (beta[1:] ** 2).sum())

    beta = -minimize(loss, np.zeros(look.shape[1])).x / spread / WEIGHT
    return Linear(float(beta[0]), dict(zip(names, beta[1:].tolist(), strict=True)))


def price(linear: Linear, event: Event) -> float:
    """What an event costs."""
    return max(linear.intercept + sum(value * event.look[name] for name, value in linear.coefficients.items()), 0.0)


def main() -> None:
    """Learn, judge, and write the prices."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where learned costs and examples are kept")
    options.add_argument("--cells", type=int, default=900, help="of a movie, at most about")
    options.add_argument("--write", type=Path, metavar="FILE", help="put the prices learned from all movies there")
    given = options.parse_args()
    sequences = [Sequence(given.data / name, number) for name, number in JUDGED]
    costs = costs_without(sequences, given.data, given.cache)
    file = given.cache / "events.json"
    if not file.is_file():
        found = []
        for sequence in sequences:
            for version, *movie in movies(sequence, given.cells, given.cache):
                name = sequence.dataset.name
                found += list(events(name, version, *movie, costs[name]))
                print(f"{name:24s} {version:12s} {len(found)} events", flush=True)
        file.write_text(json.dumps([asdict(event) for event in found]))
    examples = [Event(**event) for event in json.loads(file.read_text())]
    rows, written = [], {}
    for kind in ("merged", "split"):
        of_kind = [event for event in examples if event.kind == kind]
        written[kind] = asdict(learn(of_kind))
        for name in sorted({event.movie for event in of_kind}):
            own = [event for event in of_kind if event.movie == name]
            with measured() as usage:
                prices = learn([event for event in of_kind if event.movie != name])
            rows.append({"case": f"{name}, {kind}", "method": "celltrail", "events": len(own), **asdict(usage)})
            rows[-1]["true"] = sum(event.true for event in own)
            for column, cost in (
                ("no price", lambda event: 0.0),
                ("by hand", lambda event: BY_HAND * event.frames),
                ("learned", lambda event, prices=prices: price(prices, event)),
            ):
                rows[-1][column] = sum((event.gain > cost(event)) != event.true for event in own)
                clean = [event for event in own if event.version in CLEAN and not event.true]
                rows[-1][f"clean, {column}"] = sum(event.gain > cost(event) for event in clean)
                of_nets = [event for event in own if event.version.startswith(NETS)]
                rows[-1][f"nets, {column}"] = sum((event.gain > cost(event)) != event.true for event in of_nets)
    columns = ["no price", "by hand", "learned"]
    header = [
        "case",
        "events",
        "true",
        *(f"{part}{column}" for part in ("", "clean, ", "nets, ") for column in columns),
    ]
    print(markdown_table(header, [[row[name] for name in header] for row in rows]))
    print(json.dumps(written, indent=2))
    write_rows(given.json, rows)
    if given.write:
        given.write.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
