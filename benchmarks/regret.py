"""What the defaults of ``track`` lose against the best option that one could have picked by hand, movie by movie.

    python benchmarks/regret.py DATA --cache DIR [--json FILE] [--movies WORD …] [--inputs plain merged …] [--cells 2500]

The development movies, a run of frames of each (about ``--cells`` cells, so that this takes minutes), as they are;
with 3 % of the masks merged, 3 % split, or 5 % dropped; and every 2nd, 4th and 8th frame of the whole movie. Each is
tracked with the defaults and with every single option that might help. The loss is the best OP_CLB less that of the
default, by input too. Costs are learned without the kind of movie that is judged, and kept in DIR.

A run that was broken off goes on from FILE, whose movies are not tracked again.
Where an option cannot change anything (no gap and no repair was even considered) the default's result stands for it.
Links: wrong and missing ones of 1,000 true ones, and division F1, both pooled over all movies and inputs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from corruption import Rates, corrupted
from measure import markdown_table, measured, parser, read_rows, write_rows
from movies import SEQUENCES, find_movies, shuffled
from shipped_costs import simulated_examples

from celltrail.data import Sequence, open_images, open_labels
from celltrail.data.files.ctc import track_file, write_masks, write_track_file
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.evaluation.sequence import evaluate_sequence
from celltrail.tracking import track, write_result
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants

WITH_IMAGES = {"Fluo-N2DH-SIM+-01_GT-only": "Fluo-N2DH-SIM+"}
JUDGED = (*((WITH_IMAGES.get(name, name), number) for name, number in SEQUENCES), ("PhC-C2DL-PSC", "02"))
DAMAGES = {"merged": Rates(0, 0.03, 0, 0), "split": Rates(0, 0, 0.03, 0), "dropped": Rates(0.05, 0, 0, 0)}
THINNED = {"every 2nd": 2, "every 4th": 4, "every 8th": 8}
INPUTS = ("plain", *DAMAGES, *THINNED)
LASTING = 2  # frames that a merger or a split lasts
GAPS = {f"--max-gap {n}": {"max_gap": n} for n in (0, 1, 2)}
MASKS = {"--no-repair": {"repair": False}, "--masks-as-given": {"masks_as_given": True}}
OTHERS = {"--allow-drop": {"allow_drop": True}, "--costs calibrated": {"costs": "calibrated"}}
DEFAULT = "default"
APART = "testing_dataset"  # whose truth joins cells for a frame


@dataclass(frozen=True)
class Case:
    """A movie as it is tracked, with its truth."""

    name: str
    masks: Mapping[int, Any]
    images: Mapping[int, Any] | None
    markers: Mapping[int, Any]
    tracks: Tracks

    def write_truth(self, folder: Path) -> Path:
        """Its truth in a new folder NN_GT."""
        folder = folder / "01_GT"
        (folder / "TRA").mkdir(parents=True)
        write_masks(folder / "TRA", self.markers.items(), prefix="man_track")
        write_track_file(folder / "TRA" / "man_track.txt", self.tracks)
        return folder


def cases(sequence: Sequence, inputs: list[str], cells: int) -> Iterator[Case]:
    """A movie in all inputs."""
    assert sequence.gt_tra is not None
    table_file = track_file(sequence.gt_tra)
    assert table_file is not None
    tracks, markers = read_tracks(table_file), dict(open_labels(sequence.gt_tra))
    masks = dict(open_labels(sequence.st_seg)) if sequence.st_seg else markers
    images = dict(open_images(sequence.images)) if sequence.images else None
    sizes = np.cumsum([len(np.unique(labels)) - 1 for labels in masks.values()])
    first = max(int(np.searchsorted(sizes, cells)), 10)
    for kind in inputs:
        step = THINNED.get(kind, 1)
        last = first * step if step > 1 else first
        name = f"{sequence.dataset.name} {sequence.name}, {kind}"
        frames = sorted(masks)[:last:step]
        if len(frames) < 5:
            continue
        new = {number: k for k, number in enumerate(frames)}
        part = {new[number]: masks[number] for number in frames}
        if kind in DAMAGES:
            part = corrupted(part, DAMAGES[kind], lasting=1 if kind == "dropped" or sequence.st_seg else LASTING)[0]
        yield Case(
            name,
            shuffled(part),
            None if images is None else {new[number]: images[number] for number in frames},
            {new[number]: markers[number] for number in frames},
            thinned(tracks, frames),
        )


def thinned(tracks: Tracks, frames: list[int]) -> Tracks:
    """The tracks as some of the frames show them, numbered from 0; a parent that none shows gives way to her own."""
    begin, end = np.searchsorted(frames, tracks.begin), np.searchsorted(frames, tracks.end, side="right") - 1
    shown = dict(zip(tracks.label.tolist(), (begin <= end).tolist(), strict=True))
    parent_of = dict(zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True))
    rows = []
    for label, b, e in zip(tracks.label.tolist(), begin.tolist(), end.tolist(), strict=True):
        if shown[label]:
            parent = parent_of[label]
            while parent and not shown[parent]:
                parent = parent_of[parent]
            rows.append((label, b, e, parent))
    return Tracks.from_rows(rows)


def judged_movies(about: str | None) -> tuple[argparse.Namespace, list[Sequence], dict[str, Path]]:
    """The options of a benchmark over the movies of `JUDGED`, these, and costs for each that were learned without it."""
    options = parser(about)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where learned costs are kept")
    options.add_argument("--cells", type=int, default=2500, help="of a movie, at most about")
    given = options.parse_args()
    movies = [Sequence(given.data / name, number) for name, number in JUDGED]
    return given, movies, costs_without(movies, given.data, given.cache)


def costs_without(movies: list[Sequence], data: Path, cache: Path) -> dict[str, Path]:
    """For each data set a cost file learned on the others."""
    cache.mkdir(parents=True, exist_ok=True)
    file_of = {movie.dataset.name: cache / f"costs without {movie.dataset.name}.json" for movie in movies}
    if not all(file.is_file() for file in file_of.values()):
        examples = {movie.sequence.dataset.name: read_example(movie.sequence) for movie in find_movies(data)}
        simulated = simulated_examples()
        for name, file in file_of.items():
            taught = [one for other, one in examples.items() if other.split("-01_GT")[0] != name]
            model = fit_costs(taught + simulated)
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
    return file_of


def judge(case: Case, truth: Path, folder: Path, costs: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Track with some options, and measure the result."""
    with measured() as usage:
        result = track(case.masks, images=case.images, **{"costs": str(costs), **options})
    write_result(result, folder / "RES", overwrite=True, graph=False)
    found = evaluate_sequence(truth, folder / "RES", groups=("ctc",))
    value, count = found.measures, found.counts
    return {
        "OP_CLB": value["LNK"] if value["OP_CLB"] is None else value["OP_CLB"],
        "LNK": value["LNK"],
        "BIO": value["BIO"],
        "wrong_links": count["ED"] + count["EC"],
        "missing_links": count["EA"],
        "true_links": count["truth_links"],
        "divisions": [count["divisions_found(0)"], count["result_divisions"], count["truth_divisions"]],
        "filled": result.run["filled"],
        "repaired": sum(result.run.get("repairs", {}).get(kind, 0) for kind in ("merged", "split")),
        "may_repair": bool(result.run.get("repairs", {}).get("considered", 0)),
        "may_fill": result.run["scale"]["max_gap"] > 0,
        **asdict(usage),
    }


def regret(case: Case, costs: Path) -> list[dict[str, Any]]:
    """The default and every option on one movie."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = case.write_truth(folder)
        default = judge(case, truth, folder, costs, {})
        rows = [{"method": DEFAULT, **default}]
        for option, given in {**GAPS, **MASKS, **OTHERS}.items():
            asked = given.get("max_gap", 0) > 0  # whoever asks for gaps gets them where the default sees none
            touched = {"max_gap": default["may_fill"] or asked, "repair": default["may_repair"]}
            touched["masks_as_given"] = any(touched.values())
            same = not all(touched.get(key, True) for key in given)
            rows.append({"method": option, **(default if same else judge(case, truth, folder, costs, given))})
    return [{"case": case.name, **row} for row in rows]


def pooled(rows: list[dict[str, Any]]) -> list[Any]:
    """Mean OP_CLB, wrong and missing links of 1,000, division F1, CPU seconds."""
    links = sum(row["true_links"] for row in rows) / 1000
    found, result, truth = np.sum([row["divisions"] for row in rows], axis=0).tolist()
    return [
        float(np.mean([row["OP_CLB"] for row in rows])),
        sum(row["wrong_links"] for row in rows) / links,
        sum(row["missing_links"] for row in rows) / links,
        2 * found / max(result + truth, 1),
        sum(row["cpu_s"] for row in rows),
    ]


def report(rows: list[dict[str, Any]]) -> str:
    """Three tables in Markdown: movies, inputs, options."""
    names = list(dict.fromkeys(row["case"] for row in rows))
    by = {(row["case"], row["method"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    table, loss = [], {}
    for name in names:
        values = {method: by[name, method]["OP_CLB"] for method in methods}
        best = max(values, key=lambda method: values[method])
        loss[name], own = values[best] - values[DEFAULT], by[name, DEFAULT]
        option = best if loss[name] > 0 else "–"
        table.append([name, values[DEFAULT], option, values[best], loss[name], own["repaired"], own["filled"]])
    inputs = []
    for kind in (*INPUTS, ""):
        for text, within in (("all", names), (f"but for {APART}", [name for name in names if APART not in name])):
            mine = [name for name in within if name.endswith(kind)]
            if mine:
                losses = [loss[name] for name in mine]
                judged = pooled([by[name, DEFAULT] for name in mine])[:-1]
                inputs.append([kind or "all inputs", text, float(np.mean(losses)), max(losses), *judged])
    links = ["OP_CLB", "wrong links of 1,000", "missing links of 1,000", "division F1"]
    return "\n\n".join(
        [
            markdown_table(["movie", DEFAULT, "best option", "with it", "loss", "repaired", "filled"], table),
            markdown_table(["input", "movies", "mean loss", "largest loss", *links], inputs),
            markdown_table(
                ["option", *links, "CPU s"], [[m, *pooled([by[name, m] for name in names])] for m in methods]
            ),
        ]
    )


def main() -> None:
    """Run the benchmark and print its tables."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where learned costs are kept")
    options.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=INPUTS)
    options.add_argument("--movies", nargs="+", default=[""], metavar="WORD", help="only movies with these words")
    options.add_argument("--cells", type=int, default=2500, help="of a movie, at most about")
    given = options.parse_args()
    movies = [Sequence(given.data / name, number) for name, number in JUDGED]
    movies = [movie for movie in movies if movie.gt_tra]
    costs = costs_without(movies, given.data, given.cache)
    rows = read_rows(given.json)
    known = {row["case"] for row in rows}
    for movie in movies:
        if not any(word in movie.dataset.name for word in given.movies):
            continue
        for case in cases(movie, given.inputs, given.cells):
            if case.name in known:
                continue
            rows += regret(case, costs[movie.dataset.name])
            write_rows(given.json, rows)
            of = {row["method"]: row["OP_CLB"] for row in rows if row["case"] == case.name}
            print(f"{case.name:45s}", " ".join(f"{value:.4f}" for value in of.values()), flush=True)
    print(report(rows))


if __name__ == "__main__":
    main()
