"""What a certificate is worth: samples of decisions of movies with truth, drawn by doubt, against uniform ones of twice the size.

    python benchmarks/certificates.py DATA --cache DIR [--answers 100] [--json FILE]

The movies and their probabilities are those of `confidence.py`, each at the temperature learned without its kind. For every movie
with ten errors or more: how many there are, the mean of 300 estimates, how many of the 95 % intervals hold the truth, how wide they
are (median), and how wide the interval of a uniform sample with twice as many answers is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from confidence import Judged, judged_movies, learn
from measure import markdown_table, measured, parser, write_rows
from numpy.typing import NDArray

from celltrail.tracking.confidence.sampling import QUANTILE, certify, draw

SAMPLES = 300
FEWEST = 10  # errors


def sample(doubt: NDArray[np.float64], wrong: NDArray[np.bool_], answers: int) -> dict[str, float]:
    """What many samples of one movie say."""
    found = []
    for seed in range(SAMPLES):
        drawn, times = draw(doubt, answers, seed)
        found.append(certify(doubt, drawn, times, wrong[drawn], np.ones(len(drawn), dtype=bool)))
    true, rate = int(wrong.sum()), wrong.mean()
    low, high = np.array([one.interval for one in found]).T
    return {
        "errors": true,
        "estimate": float(np.mean([one.wrong for one in found])),
        "held": float(np.mean((low <= true) & (true <= high))),
        "width": float(np.median(high - low)),
        "uniform_of_twice": float(2 * QUANTILE * len(doubt) * np.sqrt(rate * (1 - rate) / (2 * answers))),
    }


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where what was measured is kept")
    options.add_argument("--answers", type=int, default=100)
    given = options.parse_args()
    movies: list[Judged] = [movie for movie in judged_movies(given.data, given.cache) if movie.real]
    rows = []
    for movie in movies:
        part = movie.at[learn([other for other in movies if other.kind != movie.kind]).temperature]
        if part.wrong.sum() < FEWEST:
            continue
        with measured() as usage:
            found = sample(part.doubt, part.wrong, given.answers)
        rows.append({"case": f"{movie.name}, {movie.version}", "method": "celltrail", "cpu_s": usage.cpu_s, **found})
    names = ["case", "errors", "estimate", "held", "width", "uniform_of_twice"]
    print(markdown_table(names, [[row[name] for name in names] for row in rows]), "\n")
    ratio = [row["width"] / row["uniform_of_twice"] for row in rows]
    print(f"Width against a uniform sample of twice as many answers: {np.median(ratio):.2f} (median of {len(rows)}).")
    write_rows(given.json, rows)


if __name__ == "__main__":
    main()
