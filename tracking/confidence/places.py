"""The review list: the doubtful decisions of a result, least certain first, with what may be true instead.

A row is a place. Where a cell comes from and how its mother goes on are one question, and so are the pasts of two
daughters. Where a cell ends is a question of its own only where no single other row asks it. Whether a mask is a cell, a part of
one or several, is one too, once for all frames in which it is in doubt; questions about links take the masks as they were read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import LEAST_USE, NOTHING, Confidence, chosen_past, pairs_of, past_given_used
from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.confidence.readings import doubtful_masks, other_reading

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
        ``link``, ``division``, ``begin``, ``end`` or ``mask``.
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
    doubt = 1 - past_given_used(candidates, solution, confidence)
    divisions = candidates.divisions
    chosen = np.flatnonzero(solution.division_chosen)
    daughter = np.zeros(n, dtype=bool)
    daughter[divisions.first[chosen]] = daughter[divisions.second[chosen]] = True
    alone = np.flatnonzero(np.isfinite(doubt) & ~daughter)
    ends = _unasked_ends(candidates, solution, confidence)
    mask, misread = doubtful_masks(candidates, solution, confidence)
    used = np.maximum(confidence.used.astype(np.float64), LEAST_USE)
    wrong_division = 1 - confidence.division[chosen] / used[divisions.mother[chosen]]
    both = doubt[divisions.first[chosen]] + doubt[divisions.second[chosen]]
    row = np.concatenate([alone, divisions.mother[chosen], ends, mask])
    kind = ["begin" if past[v] == NOTHING else "link" for v in alone.tolist()]
    kind += ["division"] * len(chosen) + ["end"] * len(ends) + ["mask"] * len(mask)
    unsure = np.concatenate([doubt[alone], wrong_division, 1 - confidence.disappear[ends] / used[ends], misread])
    errors = np.concatenate([doubt[alone], both, np.zeros(len(ends)), misread])
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


@dataclass(frozen=True)
class Choice:
    """One answer to where a cell comes from, or how it goes on.

    Attributes
    ----------
    what : str
        ``follows``, ``begins``, ``ends``, ``continues`` or ``divides``, of a mask what it is; empty where nothing is likely.
    rows : tuple[int, ...]
        The past, the future, the two daughters, or what is in the place of a mask; rows of the detections.
    probability : float
    """

    what: str
    rows: tuple[int, ...] = ()
    probability: float = 0.0


class ReviewList:
    """The questions about a result, least certain first, put into words one at a time.

    Attributes
    ----------
    questions : Questions
    share : FloatArray
        float64 (k,), the share of all expected errors in the list up to each question.
    """

    def __init__(self, candidates: Candidates, solution: Solution, confidence: Confidence, track: IntArray) -> None:
        self.candidates, self.solution, self.confidence, self.track = candidates, solution, confidence, track
        self.questions = find_questions(candidates, solution, confidence)
        self.share = np.cumsum(self.questions.errors) / max(float(self.questions.errors.sum()), 1e-12)
        self.pairs, self.past = pairs_of(candidates, confidence), chosen_past(candidates, solution)
        self._used = np.maximum(confidence.used.astype(np.float64), LEAST_USE)
        chosen = np.flatnonzero(solution.division_chosen)
        self._division_of = dict(zip(candidates.divisions.mother[chosen].tolist(), chosen.tolist(), strict=True))
        self._by_mother = np.argsort(candidates.divisions.mother, kind="stable")
        self._sorted_mother = candidates.divisions.mother[self._by_mother]
        self._by_source = np.argsort(candidates.links.source, kind="stable")
        self._sorted_source = candidates.links.source[self._by_source]

    def __len__(self) -> int:
        return len(self.questions.row)

    def find(self, cell: tuple[int, int], kind: str) -> int | None:
        """The number of the question of this kind about a cell (frame, label in the input masks); ``None`` for none."""
        d = self.candidates.detections
        rows = np.flatnonzero((d.frame == cell[0]) & (d.label == cell[1]))
        found = np.flatnonzero(np.isin(self.questions.row, rows))
        return next((i for i in found.tolist() if self.questions.kind[i] == kind), None)

    def place(self, i: int) -> Place:
        """The question with this number, from 0, as a row of the table."""
        row, kind = int(self.questions.row[i]), self.questions.kind[i]
        alternative = self.alternative(i)
        z, y, x = np.round(self.candidates.detections.position[row], 1).tolist()
        return Place(
            i + 1,
            int(self.candidates.detections.frame[row]),
            y,
            x,
            z if self.candidates.ndim == 3 else None,
            kind,
            int(self.track[row]),
            int(self.candidates.detections.label[row]),
            self.in_words(self.chosen(i)),
            round(float(self.questions.doubt[i]), 6),
            self.in_words(alternative),
            round(alternative.probability, 6),
            round(float(self.share[i]), 6),
        )

    def chosen(self, i: int) -> Choice:
        """What was decided."""
        row, kind = int(self.questions.row[i]), self.questions.kind[i]
        right = 1 - float(self.questions.doubt[i])
        if kind == "division":
            return self._divides(self._division_of[row], right)
        if kind == "link":
            return Choice("follows", (int(self.past[row]),), right)
        if kind == "mask":
            return Choice("is a cell" if self.solution.used[row] else "is no cell", (), right)
        return Choice("begins" if kind == "begin" else "ends", (), right)

    def alternative(self, i: int) -> Choice:
        """The likeliest other answer."""
        row, kind = int(self.questions.row[i]), self.questions.kind[i]
        if kind == "mask":
            return Choice(*other_reading(self.candidates, self.solution, self.confidence, row))
        choices = self._other_pasts(row) if kind in ("link", "begin") else self._other_futures(row)
        begins, ends = (float(p[row] / self._used[row]) for p in (self.confidence.appear, self.confidence.disappear))
        if kind == "link":
            choices.append(Choice("begins", (), begins))
        if kind == "division":
            choices.append(Choice("ends", (), ends))
        best = max(choices, key=lambda choice: choice.probability, default=Choice(""))
        return best if best.probability > 0 else Choice("")

    def _other_pasts(self, row: int) -> list[Choice]:
        here = slice(*np.searchsorted(self.pairs.target, (row, row + 1)))
        source, value = self.pairs.source[here], self.pairs.probability[here]
        others = source != self.past[row]
        if not others.any():
            return []
        likeliest = int(np.argmax(np.where(others, value, -1.0)))
        return [Choice("follows", (int(source[likeliest]),), float(value[likeliest] / self._used[row]))]

    def _other_futures(self, row: int) -> list[Choice]:
        choices, links = [], self.candidates.links
        others = self._by_mother[slice(*np.searchsorted(self._sorted_mother, (row, row + 1)))]
        others = others[others != self._division_of.get(row, -1)]
        if len(others):
            z = int(others[np.argmax(self.confidence.division[others])])
            choices.append(self._divides(z, float(self.confidence.division[z] / self._used[row])))
        out = self._by_source[slice(*np.searchsorted(self._sorted_source, (row, row + 1)))]
        if len(out):
            y = int(out[np.argmax(self.confidence.link[out])])
            choices.append(
                Choice("continues", (int(links.target[y]),), float(self.confidence.link[y] / self._used[row]))
            )
        return choices

    def _divides(self, z: int, probability: float) -> Choice:
        divisions = self.candidates.divisions
        return Choice("divides", (int(divisions.first[z]), int(divisions.second[z])), probability)

    def in_words(self, choice: Choice) -> str:
        """A choice for people; empty for none."""
        words = {"follows": "follows", "continues": "is followed by", "divides": "divides into", "": ""}
        if choice.what in ("begins", "ends"):
            return f"{choice.what} here"
        if choice.what not in words:
            return choice.what
        return f"{words[choice.what]} {' and '.join(map(self.name, choice.rows))}".strip()

    def name(self, row: int) -> str:
        """A cell in words, by its label in the input masks and its track."""
        d = self.candidates.detections
        track = int(self.track[row])
        where = f"track {track}" if track else "in no track"
        return f"cell {int(d.label[row])} of frame {int(d.frame[row])} ({where})"


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
    found = ReviewList(candidates, solution, confidence, track)
    return [found.place(i) for i in range(len(found) if most is None else min(most, len(found)))]


def as_row(place: Place) -> dict[str, str]:
    """A place as text for a table; what is not known stays empty."""
    return {name: "" if value is None else str(value) for name, value in asdict(place).items()}
