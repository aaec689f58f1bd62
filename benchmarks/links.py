"""Links between clean masks: how many are wrong or missing, and how often a link is true that was chosen at some cost.

    python benchmarks/links.py DATA --cache DIR [--cells 2500] [--json FILE]

The development movies (about ``--cells`` cells of each), and every 2nd, 4th and 8th frame of them, with masks as they are: no gap, no
repair, nothing painted. Costs are learned without the kind of movie that is judged, and kept in DIR. ``as log-odds``: what a
link costs is minus its log-odds; ``steep``: the default, unlikely links cost more (`Constants.unlikely`); ``ends for 5 nats``: as
log-odds, but ends and beginnings cost 5 nats instead of 7. A link counts if the truth knows both of its cells. Wrong and missing ones of 1,000 true ones, and division F1; pooled but for testing_dataset.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from measure import markdown_table, write_rows
from regret import APART, THINNED, cases, judged_movies

from celltrail.tracking.candidates.parts import UnpricedCandidates, find_candidates
from celltrail.tracking.costs.examples import Example, true_cells
from celltrail.tracking.costs.learned import LearnedCosts, load_costs
from celltrail.tracking.costs.pricing import Constants, price
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates

AS_ODDS = replace(Constants(), steep=0.0)
PRICES = {"as log-odds": AS_ODDS, "steep": Constants(), "ends for 5 nats": replace(AS_ODDS, appear=5.0)}
COSTS = (-np.inf, 0, 2, 4, np.inf)


def true_links(example: Example) -> tuple[set[tuple[int, int]], set[tuple[int, int, int]]]:
    """Links of adjacent frames, those to daughters among them, and divisions, as rows of the table."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(example.cell).tolist():
        rows[int(example.cell[row])].append(row)
    links = {pair for of in rows.values() for pair in pairwise(of)}
    divisions = set()
    for mother, children in example.tracks.children().items():
        born = sorted(rows[child][0] for child in children if rows.get(child))
        if rows.get(mother):
            links |= {(rows[mother][-1], row) for row in born}
            divisions |= {(rows[mother][-1], *born)} if len(born) == 2 else set()
    time = example.table.time
    return {(u, v) for u, v in links if time[v] - time[u] == 1}, divisions


def judge(example: Example, problem: UnpricedCandidates, model: LearnedCosts, constants: Constants) -> dict[str, Any]:
    """Solve with some constants, and count."""
    candidates = price(problem, model, constants, explained=False)
    solution = solve_candidates(candidates)
    links, triplets = candidates.links, candidates.divisions
    known = (example.cell > 0).tolist()
    plain = solution.link_chosen
    alone = list(zip(links.source[plain].tolist(), links.target[plain].tolist(), strict=True))
    columns = (triplets.mother, triplets.first, triplets.second)
    found = {(u, *sorted(of)) for u, *of in np.stack(columns, axis=1)[solution.division_chosen].tolist()}
    chosen = set(alone) | {(u, v) for u, *of in found for v in of}
    truth, divisions = true_links(example)
    bins = np.zeros((2, len(COSTS) - 1), dtype=int)
    for (u, v), cost in zip(alone, (links.cost[plain] / 1e6).tolist(), strict=True):
        if known[u] and known[v]:
            bins[int((u, v) in truth), np.searchsorted(COSTS, cost, side="right") - 1] += 1
    return {
        "links": len(truth),
        "wrong": sum(known[u] and known[v] for u, v in chosen - truth),
        "missing": len(truth - chosen),
        "divisions": [
            len(found & divisions),
            sum(all(known[row] for row in rows) for rows in found),
            len(divisions),
        ],
        "chosen_false_true": bins.tolist(),
    }


def pooled(rows: list[dict[str, Any]]) -> list[Any]:
    """Wrong and missing of 1,000, division F1, and true of all chosen links by their cost."""
    links = sum(row["links"] for row in rows) / 1000
    found, result, truth = np.sum([row["divisions"] for row in rows], axis=0).tolist()
    bins = np.sum([row["chosen_false_true"] for row in rows], axis=0)
    shares = [f"{true} of {true + false}" for false, true in bins.T.tolist()]
    kinds = [sum(row[name] for row in rows) / links for name in ("wrong", "missing")]
    return [*kinds, 2 * found / max(result + truth, 1), *shares]


def main() -> None:
    """Run the benchmark and print its table."""
    given, movies, costs = judged_movies(__doc__)
    as_given = TrackSettings(masks_as_given=True, max_gap=0)
    rows: list[dict[str, Any]] = []
    for movie in movies:
        model = load_costs(costs[movie.dataset.name])
        for case in cases(movie, ["plain", *THINNED], given.cells):
            opened, table = measure(open_movie(case.masks, case.images, as_given, None), as_given)
            example = Example(case.name, table, true_cells(table, opened.masks, case.markers), case.tracks, {})
            problem = find_candidates(table)
            for method, constants in PRICES.items():
                rows.append({"case": case.name, "method": method, **judge(example, problem, model, constants)})
            write_rows(given.json, rows)
    names = [(movie.dataset.name, lambda case, of=movie.dataset.name: case.startswith(of)) for movie in movies]
    kinds = [(kind, lambda case, of=kind: case.endswith(of) and APART not in case) for kind in ("plain", *THINNED)]
    table_rows = []
    for name, within in [*names, *kinds, ("all", lambda case: APART not in case)]:
        for method in PRICES:
            mine = [row for row in rows if row["method"] == method and within(row["case"])]
            table_rows.append([name, method, *pooled(mine)])
    header = [
        "movies",
        "cost of a link",
        "wrong",
        "missing",
        "division F1",
        "true: below 0",
        "0-2",
        "2-4",
        "4 and more",
    ]
    print(markdown_table(header, table_rows))


if __name__ == "__main__":
    main()
