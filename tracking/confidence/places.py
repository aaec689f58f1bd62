"""The review list: the doubtful decisions of a result, least certain first, with what may be true instead.

A row is a place. Where a cell comes from and how its mother goes on are one question, and so are the pasts of two
daughters. Where a cell ends is a question of its own only where no single other row asks it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import NOTHING, Confidence, Pairs, chosen_past, pairs_of, past_probability
from celltrail.data.types import FloatArray, IntArray

HALF = 0.5  # of the doubt about an end, from which on another row asks the same


@dataclass(frozen=True)
class Place:
    """A row of ``review.csv``; ``label`` is that of the input masks, ``track`` that of the result."""

    rank: int
    frame: int
    y: float
    x: float
    z: float | None
    kind: str
    track: int
    label: int
    decision: str
    probability_wrong: float
    alternative: str
    probability_alternative: float
    share_of_expected_errors: float


COLUMNS = tuple(Place.__dataclass_fields__)


@dataclass(frozen=True, eq=False)
class Questions:
    """The places before they have words.

    Attributes
    ----------
    row : IntArray
        int64 (k,), the detection that is asked about; of a division the mother.
    kind : list of str
        ``link``, ``division``, ``begin`` or ``end``.
    doubt : FloatArray
        float64 (k,), the probability that the decision is wrong.
    errors : FloatArray
        float64 (k,), the errors expected there: of a division those of both daughters, of an end none (its errors are
        those of other rows).
    """

    row: IntArray
    kind: list[str]
    doubt: FloatArray
    errors: FloatArray


def find_questions(candidates: Candidates, solution: Solution, confidence: Confidence) -> Questions:
    """Every decision of a solution, as one question a place, least certain first."""
    past, n = chosen_past(candidates, solution), len(solution.used)
    doubt = 1 - past_probability(candidates, solution, confidence)
    divisions = candidates.divisions
    chosen = np.flatnonzero(solution.division_chosen)
    daughter = np.zeros(n, dtype=bool)
    daughter[divisions.first[chosen]] = daughter[divisions.second[chosen]] = True
    alone = np.flatnonzero(np.isfinite(doubt) & ~daughter)
    ends = _unasked_ends(candidates, solution, confidence)
    wrong_division = 1 - confidence.division[chosen].astype(np.float64)
    both = doubt[divisions.first[chosen]] + doubt[divisions.second[chosen]]
    row = np.concatenate([alone, divisions.mother[chosen], ends])
    kind = ["begin" if past[v] == NOTHING else "link" for v in alone.tolist()]
    kind += ["division"] * len(chosen) + ["end"] * len(ends)
    unsure = np.concatenate([doubt[alone], wrong_division, 1 - confidence.disappear[ends].astype(np.float64)])
    errors = np.concatenate([doubt[alone], both, np.zeros(len(ends))])
    order = np.lexsort((row, -np.round(unsure, 6)))
    return Questions(row[order], [kind[i] for i in order.tolist()], np.clip(unsure[order], 0, 1), errors[order])


def _unasked_ends(candidates: Candidates, solution: Solution, confidence: Confidence) -> IntArray:
    """The cells that end before the movie does, where no single other cell may be their future."""
    pairs, frame = pairs_of(candidates, confidence), candidates.detections.frame
    likeliest = np.zeros(len(frame))
    np.maximum.at(likeliest, pairs.source, pairs.probability)
    doubt = 1 - confidence.disappear.astype(np.float64)
    ends = solution.disappears & solution.used & (frame < frame.max(initial=0))
    return np.flatnonzero(ends & (likeliest < HALF * doubt))


def list_places(
    candidates: Candidates, solution: Solution, confidence: Confidence, track: IntArray, *, most: int | None = None
) -> list[Place]:
    """The review list of a result.

    Parameters
    ----------
    candidates : Candidates
    solution : Solution
    confidence : Confidence
    track : IntArray
        int64 (n,), the label of each detection in the result.
    most : int | None
        Only so many rows, the least certain ones.
    """
    questions = find_questions(candidates, solution, confidence)
    share = np.cumsum(questions.errors) / max(float(questions.errors.sum()), 1e-12)
    pairs, words = pairs_of(candidates, confidence), _Words(candidates, solution, confidence, track)
    found = []
    for i in range(len(questions.row) if most is None else min(most, len(questions.row))):
        row, kind = int(questions.row[i]), questions.kind[i]
        alternative, probability = words.alternative(row, kind, pairs)
        z, y, x = np.round(candidates.detections.position[row], 1).tolist()
        found.append(
            Place(
                i + 1,
                int(candidates.detections.frame[row]),
                y,
                x,
                z if candidates.ndim == 3 else None,
                kind,
                int(track[row]),
                int(candidates.detections.label[row]),
                words.decision(row, kind),
                round(float(questions.doubt[i]), 6),
                alternative,
                round(probability, 6),
                round(float(share[i]), 6),
            )
        )
    return found


class _Words:
    """Decisions and their alternatives in words."""

    def __init__(self, candidates: Candidates, solution: Solution, confidence: Confidence, track: IntArray) -> None:
        self.candidates, self.solution, self.confidence, self.track = candidates, solution, confidence, track
        self.past = chosen_past(candidates, solution)
        chosen = np.flatnonzero(solution.division_chosen)
        self.division_of = dict(zip(candidates.divisions.mother[chosen].tolist(), chosen.tolist(), strict=True))
        self.by_mother = np.argsort(candidates.divisions.mother, kind="stable")
        self.sorted_mother = candidates.divisions.mother[self.by_mother]
        self.by_source = np.argsort(candidates.links.source, kind="stable")
        self.sorted_source = candidates.links.source[self.by_source]

    def name(self, row: int) -> str:
        d = self.candidates.detections
        return f"cell {int(d.label[row])} of frame {int(d.frame[row])} (track {int(self.track[row])})"

    def decision(self, row: int, kind: str) -> str:
        if kind == "begin":
            return "begins here"
        if kind == "end":
            return "ends here"
        if kind == "link":
            return f"follows {self.name(int(self.past[row]))}"
        return self._divides(self.division_of[row])

    def alternative(self, row: int, kind: str, pairs: Pairs) -> tuple[str, float]:
        """The likeliest other answer, and its probability."""
        if kind in ("link", "begin"):
            here = slice(*np.searchsorted(pairs.target, (row, row + 1)))
            source, value = pairs.source[here], pairs.probability[here]
            others = source != self.past[row]
            best = ("", 0.0)
            if others.any():
                likeliest = int(np.argmax(np.where(others, value, -1.0)))
                best = (f"follows {self.name(int(source[likeliest]))}", float(value[likeliest]))
            begins = float(self.confidence.appear[row])
            return ("begins here", begins) if kind == "link" and begins > best[1] else best
        links = self.candidates.links
        here = slice(*np.searchsorted(self.sorted_mother, (row, row + 1)))
        others = self.by_mother[here]
        others = others[others != self.division_of.get(row, -1)]
        choices = [("ends here", float(self.confidence.disappear[row]))] if kind == "division" else []
        if len(others):
            z = int(others[np.argmax(self.confidence.division[others])])
            choices.append((self._divides(z), float(self.confidence.division[z])))
        out = self.by_source[slice(*np.searchsorted(self.sorted_source, (row, row + 1)))]
        if len(out):
            y = int(out[np.argmax(self.confidence.link[out])])
            choices.append((f"is followed by {self.name(int(links.target[y]))}", float(self.confidence.link[y])))
        return max(choices, key=lambda choice: choice[1], default=("", 0.0))

    def _divides(self, z: int) -> str:
        divisions = self.candidates.divisions
        return f"divides into {self.name(int(divisions.first[z]))} and {self.name(int(divisions.second[z]))}"


def as_row(place: Place) -> dict[str, str]:
    """A place as text for a table; what is not known stays empty."""
    return {name: "" if value is None else str(value) for name, value in asdict(place).items()}
