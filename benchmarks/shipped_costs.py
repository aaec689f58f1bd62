"""Learn the costs that Celltrail ships, from the development movies and from simulated ones of other kinds.

    python benchmarks/shipped_costs.py DATA --out tracking/costs/learned.json

The simulated movies are made anew each time, always the same: many small cells that divide soon, few large ones that
touch each other, and a volume. They widen what the costs have seen; how well the costs do is judged on real movies only.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import parser
from movies import find_movies

from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking.costs.examples import Example, read_example, true_cells
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.measuring.table import measure_movie

SIMULATED: dict[str, dict[str, Any]] = {
    "simulated small": {
        "frames": 40,
        "cells": 150,
        "size": (350, 350),
        "crowding": 0.13,
        "speed": 0.25,
        "cycle": 35.0,
        "death_rate": 0.001,
        "seed": 11,
    },
    "simulated large": {
        "frames": 80,
        "cells": 12,
        "size": (384, 384),
        "modality": "dic",
        "crowding": 0.5,
        "speed": 0.3,
        "cycle": 40.0,
        "seed": 12,
    },
    "simulated 3D": {
        "frames": 25,
        "cells": 40,
        "size": (16, 96, 96),
        "crowding": 0.15,
        "speed": 0.25,
        "cycle": 25.0,
        "seed": 13,
    },
}


def simulated_examples() -> list[Example]:
    """The simulated movies, with their exact lineage."""
    examples = []
    for name, options in SIMULATED.items():
        movie = simulate_movie(**options)
        table = measure_movie(movie.masks, movie.images)
        cell = true_cells(table, movie.masks, movie.masks)
        examples.append(Example(name, table, cell, movie.tracks, {"masks": len(movie.masks)}))
    return examples


def main() -> None:
    """Learn and write the cost file."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    examples = [read_example(movie.sequence) for movie in find_movies(given.data)] + simulated_examples()
    model, constants = fit_costs(examples), Constants()
    text = costs_as_json(model, asdict(constants), constants.in_words(), version("celltrail"))
    given.out.write_text(text + "\n", encoding="utf-8")
    for movie in model.trained_on:
        print(f"{movie['name']}: {movie['links']:,} links, {movie['divisions']:,} divisions")


if __name__ == "__main__":
    main()
