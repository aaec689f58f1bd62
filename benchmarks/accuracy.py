"""How well movies are tracked whose kind was never learned from: leave one movie out.

    python benchmarks/accuracy.py DATA [--json FILE] [--costs learned calibrated mixed] [--inputs silver complete]

For each development movie in DATA (Cell Tracking Challenge layout) the costs ``learned`` and ``mixed``
are fitted on the other movies and on simulated ones only; labels are shuffled in every frame; everything else is default.
``silver``: the full masks as they are. ``complete``: silver masks plus a disk for every marker
that has none. Measures are those of ``celltrail evaluate``.

A second table forecasts what sequences will give that nobody here has seen: the mean of the rows of the same
data set, or of all silver rows for a kind of movie that is not among these.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import celltrail, markdown_table, measured, parser, write_rows
from movies import Movie, find_movies, shuffled
from shipped_costs import simulated_examples

from celltrail.tracking import track, write_result
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants

MEASURES = ("SEG", "DET", "TRA", "LNK", "CT", "TF", "BC", "CCA", "BIO", "OP_CLB")

HELD_BACK = (  # sequence, kind, measure, the data set whose rows forecast it (None: all)
    ("Fluo-N2DL-HeLa 02", "silver", "OP_CLB", "Fluo-N2DL-HeLa"),
    ("Fluo-N2DL-HeLa 02", "complete", "OP_CLB", "Fluo-N2DL-HeLa"),
    ("DIC-C2DH-HeLa 02", "silver", "OP_CLB", "DIC-C2DH-HeLa"),
    ("DIC-C2DH-HeLa 02", "complete", "OP_CLB", "DIC-C2DH-HeLa"),
    ("PhC-C2DL-PSC 01, 02", "silver", "OP_CLB", None),
    ("ipsc-02 01, ipsc-07 01", "silver", "LNK", "ipsc-02"),
)


def forecast(rows: list[dict[str, Any]], costs: str) -> list[list[Any]]:
    """What held-back sequences should give with these costs: sequence, kind, costs, measure, forecast, from how many rows."""
    table = []
    for name, kind, measure, dataset in HELD_BACK:
        alike = [
            row[measure]
            for row in rows
            if row["costs"] == costs and row["case"].endswith(f", {kind}") and row["case"].startswith(dataset or "")
        ]
        if alike:
            table.append([name, kind, costs, measure, sum(alike) / len(alike), len(alike)])
    return table


def judge(movie: Movie, masks: dict[int, Any], costs: str, work: Path, method: str = "ilp") -> dict[str, Any]:
    """Track, write, evaluate; one row of the table."""
    with measured() as usage:
        result = track(masks, images=movie.images, costs=costs, method=method)
        write_result(result, work / "RES", overwrite=True, graph=False)
    measures = celltrail("evaluate", movie.truth, work / "RES")[1]["sequences"][0]["measures"]
    return {
        **{name: measures.get(name) for name in MEASURES},
        "status": result.run["status"],
        "divisions": result.run["divisions"],
        "filled": result.run["filled"],
        "cpu_s": usage.cpu_s,
        "wall_s": usage.wall_s,
        "peak_mb": usage.peak_mb,
    }


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--costs", nargs="+", default=["learned", "calibrated", "mixed"])
    options.add_argument("--inputs", nargs="+", default=["silver", "complete"], choices=["silver", "complete"])
    given = options.parse_args()
    movies = find_movies(given.data)
    examples = {movie.name: read_example(movie.sequence) for movie in movies}
    simulated = simulated_examples()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for movie in movies:
            model = fit_costs([example for name, example in examples.items() if name != movie.name] + simulated)
            file = work / "costs.json"
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
            names = {"learned": str(file), "mixed": f"mixed:{file}"}
            for kind in given.inputs:
                if kind == "complete" and movie.sequence.st_seg is None:
                    continue  # full markers are complete already
                masks = shuffled(movie.silver() if kind == "silver" else movie.complete())
                for costs in given.costs:
                    row = judge(movie, masks, names.get(costs, costs), work)
                    rows.append({"case": f"{movie.name}, {kind}", "method": "celltrail", "costs": costs, **row})
                    print(
                        f"{movie.name:28s} {kind:9s} {costs:10s} "
                        + " ".join(f"{name} {row[name]:.4f}" for name in MEASURES if row[name] is not None),
                        flush=True,
                    )
    header = ["case", "costs", *MEASURES]
    print(markdown_table(header, [[row[name] for name in header] for row in rows]))
    names = ["held back", "kind", "costs", "measure", "forecast", "rows"]
    expected = [row for costs in given.costs for row in forecast(rows, costs)]
    print(markdown_table(names, expected))
    rows += [
        {
            "case": f"{row[0]}, {row[1]}",
            "method": "celltrail",
            **dict(zip(names, row, strict=True)),
            "status": "forecast",
            "cpu_s": sum(done["cpu_s"] for done in rows),
        }
        for row in expected
    ]
    write_rows(given.json, rows)


if __name__ == "__main__":
    main()
