"""What repairing masks is worth: merged and split cells in good masks, tracked with repairs and with ``--no-repair``.

    python benchmarks/repairs.py DATA [--json FILE] [--inputs plain merged split corrupted] [--movies WORD …]

The development movies with full masks, labels shuffled in each frame. ``merged``: 3 % of the masks hold two cells;
``split``: 3 % of the cells are in two pieces; ``corrupted``: both, 5 % of the cells dropped, and 2 % false blobs.
Costs are learned on the other movies only.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corruption import Rates, corrupted
from measure import markdown_table, measured, parser, write_rows
from movies import find_movies, shuffled
from peers import judge

from celltrail.tracking import track, write_result
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.preparing.preparation import DEFAULT_COSTS

INPUTS = {"plain": None, "merged": Rates(0, 0.03, 0, 0), "split": Rates(0, 0, 0.03, 0), "corrupted": Rates()}
MEASURES = ("SEG", "TRA", "LNK", "BIO", "OP_CLB")


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=list(INPUTS))
    options.add_argument("--movies", nargs="+", default=[""], metavar="WORD", help="only movies with these words")
    given = options.parse_args()
    movies = find_movies(given.data)
    examples = {movie.name: read_example(movie.sequence) for movie in movies}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for movie in movies:
            if not any(word in movie.name for word in given.movies):
                continue
            file = Path(folder) / "costs.json"
            model = fit_costs([example for name, example in examples.items() if name != movie.name])
            file.write_text(costs_as_json(model, asdict(Constants()), Constants().in_words(), "leave-one-out"))
            costs = {"learned": str(file), "mixed": f"mixed:{file}"}.get(DEFAULT_COSTS, DEFAULT_COSTS)
            for kind in given.inputs:
                rates = INPUTS[kind]
                masks = shuffled(movie.silver() if rates is None else corrupted(movie.silver(), rates)[0])
                for repair in (False, True):
                    with measured() as usage:
                        result = track(masks, images=movie.images, costs=costs, repair=repair)
                    out = Path(folder) / "RES"
                    write_result(result, out, overwrite=True, graph=False)
                    found = judge(movie.truth, out)
                    done = result.run.get("repairs", {})
                    rows.append(
                        {
                            "case": f"{movie.name}, {kind}",
                            "method": "celltrail" if repair else "celltrail --no-repair",
                            **{name: found.get(name) for name in MEASURES},
                            "considered": done.get("considered", 0),
                            "repaired": done.get("merged", 0) + done.get("split", 0),
                            **asdict(usage),
                        }
                    )
                    write_rows(given.json, rows)
    header = ["case", "method", *MEASURES, "considered", "repaired", "cpu_s"]
    print(markdown_table(header, [[row[name] for name in header] for row in rows]))


if __name__ == "__main__":
    main()
