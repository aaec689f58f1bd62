"""Do the probabilities hold? Expected against counted errors, and how early a review list finds them.

    python benchmarks/confidence.py DATA --cache DIR [--json FILE] [--write tracking/costs/learned.json]

Each movie is tracked with costs learned without its kind, and judged with a temperature learned without its kind
(`confidence_movies`). A decision is the past of a cell whose true past is known. The tables: expected and counted
errors of each movie with the 90 % interval; the same pooled; bins of equal expected errors; the slope of a logistic
recalibration (1: neither too sure nor too timid); log-likelihood in nats against that of a constant, and of margins
through a logistic function that is fitted to these very answers; and the share of the wrong decisions in the first
per cent of the list. ``--write`` puts the temperature learned from all movies into a cost file. What was measured and
tracked is kept in DIR; with it the benchmark takes minutes.
"""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from confidence_movies import Tracked, tracked_movies
from measure import markdown_table, parser, write_rows
from numpy.typing import NDArray

from celltrail.tracking.confidence.curve import SHARES, found_by, margin_doubt
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.confidence.summary import WIDER, compare_with_seen, interval_of
from celltrail.tracking.confidence.temperature import (
    Calibration,
    Decisions,
    appearance_of,
    fit_spread,
    judge,
    log_likelihood,
    share_of_evidence,
)
from celltrail.tracking.solving.solver import solve_candidates

TEMPERATURES = (1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0)
BINS = 6
Numbers = NDArray[np.float64]


class Judged:
    """A movie with its decisions at every temperature."""

    def __init__(self, movie: Tracked) -> None:
        self.name, self.kind, self.version = movie.name, movie.kind, movie.version
        start = time.process_time()
        self.at = {
            t: judge(
                movie.candidates, movie.solution, compute_confidence(movie.candidates, t), movie.cell, movie.tracks
            )
            for t in TEMPERATURES
        }
        self.cpu_s = (time.process_time() - start) / len(TEMPERATURES)
        start = time.process_time()
        solve_candidates(movie.candidates)
        self.solver_cpu_s = time.process_time() - start
        rows = self.at[TEMPERATURES[0]].row
        self.margin = margin_doubt(movie.candidates, movie.solution)[rows]
        past = np.zeros(len(movie.solution.used), dtype="<U8")
        past[movie.solution.appears] = "begin"
        past[movie.candidates.links.target[movie.solution.link_chosen]] = "link"
        for daughter in (movie.candidates.divisions.first, movie.candidates.divisions.second):
            past[daughter[movie.solution.division_chosen]] = "division"
        self.decided = past[rows]
        self.look = appearance_of(movie.candidates, movie.solution)

    @property
    def real(self) -> bool:
        """Simulated movies teach costs, but not how sure of them one may be."""
        return not self.kind.startswith("simulated")


def judged_movies(data: Path, cache: Path) -> list[Judged]:
    """All movies with their decisions, kept in ``cache``."""
    file = cache / "judged.pickle"
    if not file.is_file():
        file.write_bytes(pickle.dumps([Judged(movie) for movie in tracked_movies(data, cache)]))
    found: list[Judged] = pickle.loads(file.read_bytes())
    return found


def learn(movies: list[Judged]) -> Calibration:
    """As `celltrail.tracking.confidence.temperature.calibrate`, from decisions that are there already."""
    best = max(TEMPERATURES, key=lambda t: sum(share_of_evidence(movie.at[t]) for movie in movies))
    expected = np.array([movie.at[best].doubt.sum() for movie in movies])
    counted = np.array([float(movie.at[best].wrong.sum()) for movie in movies])
    seen = {
        name: (min(movie.look[name] for movie in movies), max(movie.look[name] for movie in movies))
        for name in movies[0].look
    }
    return Calibration(best, fit_spread(expected, counted), seen, len(movies))


def logistic_slope(doubt: Numbers, wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and log-likelihood of ``P(wrong) = σ(a + b · logit doubt)``, by Newton's method."""
    logit = np.log(np.clip(doubt, 1e-7, 1 - 1e-7)) - np.log1p(-np.clip(doubt, 1e-7, 1 - 1e-7))
    x = np.stack([np.ones(len(logit)), logit], axis=1)
    beta = np.array([0.0, 1.0]) if doubt.max() <= 1 else np.zeros(2)
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -40, 40)))
        weight = p * (1 - p)
        step = np.linalg.solve(x.T @ (x * weight[:, None]) + 1e-6 * np.eye(2), x.T @ (wrong - p))
        beta += np.clip(step, -1, 1)
    p = 1 / (1 + np.exp(-np.clip(x @ beta, -40, 40)))
    return float(beta[1]), float(np.log(np.where(wrong, p, 1 - p)).sum())


def describe(movies: list[Judged], calibrations: dict[str, Calibration]) -> dict[str, Any]:
    """The pooled row of some movies."""
    parts = [movie.at[calibrations[movie.kind].temperature] for movie in movies]
    doubt, wrong = (np.concatenate([getattr(part, name) for part in parts]) for name in ("doubt", "wrong"))
    margin = np.concatenate([movie.margin for movie in movies])
    order = np.argsort(-doubt, kind="stable")
    edge = np.searchsorted(np.cumsum(doubt[order]), doubt.sum() * np.arange(1, BINS) / BINS)
    bins = [
        [float(doubt[part].max(initial=0)), float(doubt[part].sum()), int(wrong[part].sum())]
        for part in np.split(order, edge)
    ]
    rate = wrong.mean()
    constant = float(wrong.sum() * np.log(rate) + (~wrong).sum() * np.log1p(-rate)) if 0 < rate < 1 else 0.0
    by_margin = logistic_slope(1 / (2 + np.exp(np.clip(np.where(np.isinf(margin), 20, -margin), 0, 30))), wrong)[1]
    kinds = np.concatenate([movie.decided for movie in movies])
    slope = logistic_slope(doubt, wrong)[0]
    return {
        "decisions": len(doubt),
        "expected": float(doubt.sum()),
        "counted": int(wrong.sum()),
        "ratio": float(doubt.sum() / max(wrong.sum(), 1)),
        "slope": slope,
        "log_likelihood": log_likelihood(Decisions(order, wrong, doubt)),
        "of_a_constant": constant,
        "of_margins": by_margin,
        "found": found_by(doubt, wrong),
        "found_by_margin": found_by(margin, wrong),
        "found_in_twice_as_many": float(wrong[order[: 2 * int(wrong.sum())]].sum() / max(wrong.sum(), 1)),
        "bins": bins,
        "by_kind": {
            kind: [float(doubt[kinds == kind].sum()), int(wrong[kinds == kind].sum())]
            for kind in ("link", "division", "begin")
        },
    }


def main() -> None:
    """Run the benchmark and print its tables."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where what was measured is kept")
    options.add_argument(
        "--write", type=Path, metavar="FILE", help="put what was learned from all movies into a cost file"
    )
    given = options.parse_args()
    movies = judged_movies(given.data, given.cache)
    real = [movie for movie in movies if movie.real]
    calibrations = {
        kind: learn([movie for movie in real if movie.kind != kind]) for kind in {movie.kind for movie in movies}
    }
    rows = []
    for movie in movies:
        own = calibrations[movie.kind]
        part = movie.at[own.temperature]
        expected, counted = float(part.doubt.sum()), int(part.wrong.sum())
        unlike = compare_with_seen(movie.look, own)
        low, high = interval_of(expected, own.spread * (WIDER if unlike else 1), len(part.row))
        rows.append(
            {
                "case": f"{movie.name}, {movie.version}",
                "method": "celltrail",
                "cpu_s": movie.cpu_s,
                "temperature": own.temperature,
                "decisions": len(part.row),
                "expected": expected,
                "counted": counted,
                "low": low,
                "high": high,
                "held": low <= counted <= high,
                "unlike": len(unlike),
            }
        )
    names = ["case", "temperature", "decisions", "expected", "counted", "low", "high", "held", "unlike"]
    print(markdown_table(names, [[row[name] for name in names] for row in rows]), "\n")
    pooled = []
    groups: dict[str, list[Judged]] = {}
    for movie in real:
        groups.setdefault(movie.version, []).append(movie)
    groups["as it is, without testing_dataset 04"] = [m for m in groups["as it is"] if m.kind != "testing"]
    groups["all real"] = real
    groups["simulated"] = [movie for movie in movies if not movie.real]
    for name, some in groups.items():
        pooled.append(
            {"case": name, "method": "celltrail", "cpu_s": sum(m.cpu_s for m in some), **describe(some, calibrations)}
        )
    names = [
        "case",
        "decisions",
        "expected",
        "counted",
        "ratio",
        "slope",
        "log_likelihood",
        "of_a_constant",
        "of_margins",
    ]
    print(markdown_table(names, [[row[name] for name in names] for row in pooled]), "\n")
    header = ["found in the first", "order", *(f"{100 * share:g} %" for share in SHARES), "twice the errors"]
    table = []
    for row in pooled:
        table.append([row["case"], "probability", *row["found"], row["found_in_twice_as_many"]])
        table.append([row["case"], "margin", *row["found_by_margin"], None])
    print(markdown_table(header, table), "\n")
    table = [
        [
            row["case"],
            *(f"{b[1]:.0f}/{b[2]}" for b in row["bins"]),
            *(f"{e:.0f}/{c}" for e, c in row["by_kind"].values()),
        ]
        for row in pooled
    ]
    print(
        markdown_table(
            ["expected / counted", *(f"bin {k + 1}" for k in range(BINS)), "links", "divisions", "begins"], table
        ),
        "\n",
    )
    everything = learn(real)
    held = [row for row in rows if not row["case"].startswith("simulated")]
    some = [row["held"] for row in held]
    wide = [row["high"] / max(row["low"], 1) for row in held]
    print(
        f"From all {len(real)}: temperature {everything.temperature:g}, spread {everything.spread:g}, seen {everything.seen}."
    )
    print(
        f"The interval holds the count in {sum(some)} of {len(some)} movies; its ends are a factor {np.median(wide):.1f} apart (median)."
    )
    seconds, beside = (sum(getattr(movie, name) for movie in real) for name in ("cpu_s", "solver_cpu_s"))
    print(f"Probabilities took {seconds:.1f} CPU seconds, the solver alone {beside:.1f}: {seconds / beside:.2f} of it.")
    if given.write is not None:
        content = json.loads(given.write.read_text(encoding="utf-8"))
        content["confidence"] = everything.as_json()
        given.write.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_rows(given.json, rows + pooled)


if __name__ == "__main__":
    main()
