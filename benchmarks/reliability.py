"""Are the odds honest? Predicted against observed probability of links and divisions, leave one movie out.

    python benchmarks/reliability.py DATA [--json FILE] [--png FILE] [--costs learned calibrated mixed]

For each development movie in DATA the log-odds of all candidate links and divisions are turned into
probabilities, with costs ``learned`` and ``mixed`` fitted on the other movies only. Candidates are
gathered in bins of equal width; a bin's mean prediction should be the share of its candidates that are
true. Each movie counts the same. ``error`` is the expected calibration error: the mean distance of the
two over all candidates; candidates with a predicted probability below 1 % are shown but left out of it,
since nearly all pairs of cells are such.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown_table, measured, parser, write_rows
from movies import find_movies
from numpy.typing import NDArray
from shipped_costs import simulated_examples

from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.costs.choice import choose_model
from celltrail.tracking.costs.examples import Example, read_example, true_choices
from celltrail.tracking.costs.learned import costs_as_json, fit_costs
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.solving.solver import solve_candidates

BINS = 10
LEAST = 0.01


def predict(example: Example, costs: str) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Predicted probability and truth of each candidate of a movie: kind → float64 (k,), bool (k,)."""
    problem = find_candidates(example.table)
    part = problem.whole
    model = choose_model(costs, lambda: problem, solve_candidates, Constants())
    links, divisions = true_choices(example, part)
    answers = {
        "links": (model.link(part.link_features, len(links))[0], links),
        "divisions": (model.division(part.division_features, len(divisions))[0], divisions),
    }
    return {kind: (1 / (1 + np.exp(-np.clip(logit, -50, 50))), true) for kind, (logit, true) in answers.items()}


def bins_of(movies: list[tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, Any]:
    """Mean prediction, observed share and weight of each bin that holds anything; each movie weighs 1."""
    predicted = np.concatenate([p for p, _ in movies])
    true = np.concatenate([t for _, t in movies])
    weight = np.concatenate([np.full(len(p), 1 / max((p >= LEAST).sum(), 1)) for p, _ in movies])
    number = np.minimum((predicted * BINS).astype(int), BINS - 1)
    number[predicted < LEAST] = -1
    rows = []
    for k in range(-1, BINS):
        here = number == k
        if here.any():
            share = [float(np.average(x[here], weights=weight[here])) for x in (predicted, true)]
            rows.append(
                {
                    "bin": k,
                    "predicted": share[0],
                    "observed": share[1],
                    "candidates": int(here.sum()),
                    "weight": float(weight[here].sum()),
                }
            )
    counted = [row for row in rows if row["bin"] >= 0]
    total = sum(row["weight"] for row in counted)
    error = sum(row["weight"] * abs(row["predicted"] - row["observed"]) for row in counted) / total if total else None
    return {"bins": rows, "error": error}


def draw(path: Path, found: dict[tuple[str, str], dict[str, Any]]) -> None:
    """One panel for links and one for divisions, one line for each cost model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 4.5), sharey=True)
    for panel, kind in zip(panels, ("links", "divisions"), strict=True):
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for (costs, of), result in found.items():
            if of == kind:
                points = [(row["predicted"], row["observed"]) for row in result["bins"]]
                panel.plot(*zip(*points, strict=True), marker="o", label=f"{costs} (error {result['error']:.3f})")
        panel.set(xlabel=f"predicted probability of {kind}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.legend(loc="best", frameon=False)
    panels[0].set_ylabel("share that is true")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--png", type=Path, metavar="FILE", help="draw the reliability diagram")
    options.add_argument("--costs", nargs="+", default=["learned", "calibrated", "mixed"])
    given = options.parse_args()
    examples = [read_example(movie.sequence) for movie in find_movies(given.data)]
    simulated = simulated_examples()
    answers: dict[tuple[str, str], list[Any]] = {}
    seconds: dict[str, float] = dict.fromkeys(given.costs, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "costs.json"
        names = {"learned": str(file), "mixed": f"mixed:{file}"}
        for example in examples:
            others = fit_costs([other for other in examples if other is not example] + simulated)
            file.write_text(costs_as_json(others, asdict(Constants()), Constants().in_words(), "leave-one-out"))
            for costs in given.costs:
                with measured() as usage:
                    for kind, answer in predict(example, names.get(costs, costs)).items():
                        answers.setdefault((costs, kind), []).append(answer)
                seconds[costs] += usage.cpu_s
    found = {key: bins_of(movies) for key, movies in answers.items()}
    rows = [
        {"case": kind, "method": "celltrail", "costs": costs, "cpu_s": seconds[costs], **result}
        for (costs, kind), result in found.items()
    ]
    table = [
        [row["case"], row["costs"], one["predicted"], one["observed"], one["candidates"]]
        for row in rows
        for one in row["bins"]
    ]
    print(markdown_table(["candidates", "costs", "predicted", "observed", "number"], table))
    print(markdown_table(["candidates", "costs", "error"], [[row["case"], row["costs"], row["error"]] for row in rows]))
    if given.png is not None:
        draw(given.png, found)
    write_rows(given.json, rows)


if __name__ == "__main__":
    main()
