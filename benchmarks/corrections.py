"""What answers are worth: a person, played by the truth, answers the review list; errors left after 10, 50, 100, 400 answers.

    python benchmarks/corrections.py DATA --cache DIR [--json FILE] [--movies "Fluo-N2DL-HeLa 01"] [--version "as it is"]

The movies are those of `confidence_movies`, tracked with costs learned without their kind. After each batch the answers become
pins, the movie is solved again, and what is left is ranked again: by probability, by margin, or at random. A decision
whose truth is not known is answered "cannot tell", and so is a mask that is no single cell where none of its alternatives is one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from confidence_movies import Tracked, tracked_movies
from measure import markdown_table, parser, write_rows

from celltrail.data.errors import InputError
from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import Confidence, chosen_past
from celltrail.tracking.confidence.answers import Answer, join_daughters, pins_from
from celltrail.tracking.confidence.curve import margin_doubt
from celltrail.tracking.confidence.marginals import compute_confidence
from celltrail.tracking.confidence.places import Questions, find_questions
from celltrail.tracking.confidence.temperature import UNKNOWN, judge, true_past
from celltrail.tracking.costs.learned import load_costs
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

AFTER = (10, 50, 100, 400)
TEMPERATURE = load_costs().calibration.temperature


def ranked(order: str, questions: Questions, candidates: Candidates, solution: Solution, seed: int) -> list[int]:
    """The questions in the order in which they are answered; ends are left out, as they ask what pasts ask."""
    asked = np.flatnonzero([kind != "end" for kind in questions.kind])
    if order == "probability":
        return asked.tolist()
    if order == "random":
        return np.random.default_rng(seed).permutation(asked).tolist()
    of_past = margin_doubt(candidates, solution)
    of_division = np.full(len(solution.used), -np.inf)
    chosen = solution.division_chosen
    of_division[candidates.divisions.mother[chosen]] = -solution.division_margin[chosen]
    doubt = np.where(np.array(questions.kind) == "division", of_division[questions.row], of_past[questions.row])
    return asked[np.argsort(-doubt[asked], kind="stable")].tolist()


def about_mask(row: int, candidates: Candidates, solution: Solution, cell: Any) -> Answer:
    """What a person who knows the true cell of each mask says about one of them."""
    d, clique = candidates.detections, candidates.clique_id
    name = int(d.frame[row]), int(d.label[row])
    if (cell[row] > 0) or not solution.used[row]:
        return Answer(name, "mask", "right" if (cell[row] > 0) == bool(solution.used[row]) else "wrong", None)
    mates = candidates.clique_detection[np.isin(clique, clique[candidates.clique_detection == row])]
    better = mates[cell[mates] > 0]
    if not len(better):
        return Answer(name, "mask", "cannot tell", None)
    return Answer(name, "mask", "wrong", (int(d.frame[better[0]]), int(d.label[better[0]])))


def answer(i: int, questions: Questions, candidates: Candidates, solution: Solution, truth: Any, cell: Any) -> Answer:
    """What a person who knows the truth says."""
    d, row, kind = candidates.detections, int(questions.row[i]), questions.kind[i]
    name = int(d.frame[row]), int(d.label[row])
    if kind == "mask":
        return about_mask(row, candidates, solution, cell)
    if kind == "division":
        z = int(np.flatnonzero(solution.division_chosen & (candidates.divisions.mother == row))[0])
        true = truth[[candidates.divisions.first[z], candidates.divisions.second[z]]]
        told = "cannot tell" if (true == UNKNOWN).any() else "right" if (true == row).all() else "wrong"
        return Answer(name, kind, told, None)
    past, true = int(chosen_past(candidates, solution)[row]), int(truth[row])
    told = "cannot tell" if true == UNKNOWN else "right" if true == past else "wrong"
    past_in_truth = (int(d.frame[true]), int(d.label[true])) if true >= 0 else (name[0], 0)
    correct = past_in_truth if told == "wrong" else None
    return Answer(name, kind, told, correct)


def play(movie: Tracked, order: str) -> list[int]:
    """The errors left before the first answer, and after each batch."""
    truth = true_past(movie.cell, movie.tracks, movie.candidates.detections.frame)
    candidates, solution = movie.candidates, movie.solution
    pins: list[Pin] = []
    seen: set[tuple[str, int]] = set()
    asked = np.zeros(0, dtype=np.int64)
    left = []
    for turn, count in enumerate((*AFTER, 0)):
        confidence: Confidence = compute_confidence(candidates, TEMPERATURE)
        judged = judge(candidates, solution, confidence, movie.cell, movie.tracks)
        asked = judged.row if turn == 0 else asked  # pins may bring links over more frames, and so decisions to judge
        left.append(int(judged.wrong[np.isin(judged.row, asked)].sum()))
        if not count:
            break
        questions = find_questions(candidates, solution, confidence)
        for i in ranked(order, questions, candidates, solution, turn):
            key = questions.kind[i], int(questions.row[i])
            if len(seen) >= count:
                break
            if key in seen:
                continue
            seen.add(key)
            said = answer(i, questions, candidates, solution, truth, movie.cell)
            for pin in pins_from([said], candidates, solution, confidence):
                more = join_daughters([*pins, pin])
                try:
                    apply_pins(movie.candidates, more)
                except InputError:  # two answers that no single lineage can obey
                    continue
                pins = more
        candidates = apply_pins(movie.candidates, pins)
        solution = solve_candidates(candidates)
    return left


def main() -> None:
    """Run the benchmark and print its table."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--cache", type=Path, required=True, help="where what was measured is kept")
    options.add_argument("--movies", nargs="+", metavar="NAME", help="only these")
    options.add_argument("--version", default="as it is")
    given = options.parse_args()
    rows = []
    for movie in tracked_movies(given.data, given.cache):
        if movie.version != given.version or (given.movies and movie.name not in given.movies):
            continue
        for order in ("probability", "margin", "random"):
            start = time.process_time()
            left = play(movie, order)
            row = {"case": f"{movie.name}, {movie.version}", "method": "celltrail", "order": order, "errors": left[0]}
            row |= {f"after {count}": value for count, value in zip(AFTER, left[1:], strict=True)}
            rows.append({**row, "cpu_s": time.process_time() - start})
            print(rows[-1], flush=True)
    names = ["case", "order", "errors", *(f"after {count}" for count in AFTER)]
    print(markdown_table(names, [[row[name] for name in names] for row in rows]))
    write_rows(given.json, rows)


if __name__ == "__main__":
    main()
