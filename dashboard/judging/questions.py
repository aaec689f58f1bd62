"""The questions of the page Review: which there are, what was answered, and what follows from the answers.

Answers lie beside the result, in ``NN_RES_answers.csv``: the table that ``celltrail review --answers`` reads. They are
written with every answer, so that a reload or a restart loses none.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from io import StringIO
from pathlib import Path

import numpy as np

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.data.errors import InputError
from celltrail.data.files.containment import inside
from celltrail.data.files.pins import Cell, Pin
from celltrail.data.graph.candidates import load_graph
from celltrail.data.graph.confidence import read_confidence
from celltrail.data.types import IntArray
from celltrail.data.writing.output import output_file
from celltrail.tracking.confidence.answers import FUTURES, Answer, pins_from, read_answers
from celltrail.tracking.confidence.places import COLUMNS, Choice, ReviewList, as_row
from celltrail.tracking.confidence.sampling import Certificate, certify, draw_in_order

ANSWER_COLUMNS = (*COLUMNS, "draws", "answer", "correct_frame", "correct_label")
SAMPLE = 100  # draws of a certificate
KINDS = {
    "link": "a cell may follow another one than it does, or none",
    "division": "a cell may divide otherwise, or not at all",
    "begin": "a cell that begins may follow another one",
    "end": "a cell that ends may go on",
    "mask": "what was taken as one cell may be a part of one, several, or none",
}


@dataclass(frozen=True)
class Filter:
    """Which questions are asked: kinds (empty: all), track (0: all), frames, and a box (y0, x0, y1, x1)."""

    kinds: tuple[str, ...] = ()
    track: int = 0
    frames: tuple[int, int] | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(eq=False)
class Review:
    """The questions about a result, and the answers so far: number of the question → answer, in order of answering."""

    questions: ReviewList
    file: Path
    answers: dict[int, Answer] = field(default_factory=dict)
    saved: bool = True
    kind: list[str] = field(init=False)
    asked: IntArray = field(init=False)
    sample: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.kind = self.questions.questions.kind
        self.asked = np.flatnonzero(np.array(self.kind, dtype=object) != "end")  # the others are no errors of their own
        doubt = self.questions.questions.doubt[self.asked]
        self.sample = self.asked[draw_in_order(doubt, SAMPLE)] if len(doubt) else self.asked

    @property
    def seen(self) -> float:
        """The share of all expected errors at the places that were answered."""
        return 1 - self.left / max(float(self.questions.questions.errors.sum()), 1e-12)

    @property
    def left(self) -> float:
        """The errors expected at the places that were not answered."""
        errors = self.questions.questions.errors
        return float(errors.sum() - errors[list(self.answers)].sum())

    @property
    def draws(self) -> dict[int, int]:
        """How often each question was drawn, up to the first draw that was not answered."""
        open_draws = np.flatnonzero(~np.isin(self.sample, list(self.answers)))
        reached = self.sample[: open_draws[0]] if len(open_draws) else self.sample
        numbers, times = np.unique(reached, return_counts=True)
        return dict(zip(numbers.tolist(), times.tolist(), strict=True))

    def certificate(self) -> Certificate | None:
        """What the answers to the random sample say; ``None`` before the first."""
        drawn = self.draws
        if not drawn:
            return None
        given = [self.answers[i].answer for i in drawn]
        return certify(
            self.questions.questions.doubt[self.asked],
            np.searchsorted(self.asked, list(drawn)),
            np.array(list(drawn.values())),
            np.array([answer == "wrong" for answer in given]),
            np.array([answer != "cannot tell" for answer in given]),
        )

    def numbers(self, wanted: Filter, *, sampled: bool = False) -> list[int]:
        """The questions that pass a filter: least certain first, or in the order in which they were drawn."""
        q, d = self.questions, self.questions.candidates.detections
        row = q.questions.row
        kept = q.track[row] > 0
        if wanted.kinds:
            kept &= np.isin(np.array(self.kind, dtype=str), wanted.kinds)
        if wanted.track:
            past = np.where(q.past[row] >= 0, q.track[q.past[row]], 0)
            kept &= (q.track[row] == wanted.track) | (past == wanted.track)
        if wanted.frames is not None:
            kept &= (d.frame[row] >= wanted.frames[0]) & (d.frame[row] <= wanted.frames[1])
        if wanted.box is not None:
            y, x = d.position[row, 1], d.position[row, 2]
            y0, x0, y1, x1 = wanted.box
            kept &= (y >= y0) & (y <= y1) & (x >= x0) & (x <= x1)
        order = list(dict.fromkeys(self.sample.tolist())) if sampled else range(len(q))
        return [i for i in order if kept[i]]

    def answer(self, i: int, text: str, correct: Cell | None = None) -> Answer:
        """An answer to a question, not yet taken."""
        place = self.questions.place(i)
        return Answer((place.frame, place.label), place.kind, text, correct)

    def take(self, i: int, given: Answer) -> None:
        """Take an answer, and write all of them."""
        self.answers.pop(i, None)
        self.answers[i] = given
        self.save()

    def take_back(self) -> tuple[int, list[Pin]] | None:
        """Forget the last answer: its question, and the pins that no other answer asks for."""
        if not self.answers:
            return None
        i, last = self.answers.popitem()
        self.save()
        still = set(self.pins(self.answers.values()))
        return i, [pin for pin in self.pins([last]) if pin not in still]

    def pins(self, answers: Iterable[Answer]) -> list[Pin]:
        """What answers ask of tracking."""
        q = self.questions
        return pins_from(list(answers), q.candidates, q.solution, q.confidence)

    def correct_cell(self, i: int, choice: Choice) -> Cell:
        """How an alternative is written down: the cell that tells it from what was chosen; label 0: none."""
        table, row = self.questions.candidates.detections, int(self.questions.questions.row[i])
        others = [other for other in choice.rows if other not in self.questions.chosen(i).rows] or list(choice.rows)
        if not others:
            return int(table.frame[row]), 0
        return int(table.frame[others[0]]), int(table.label[others[0]])

    def table(self) -> str:
        """The answers as CSV, with the columns of ``celltrail review``."""
        stream, draws = StringIO(), self.draws
        table = csv.DictWriter(stream, ANSWER_COLUMNS, lineterminator="\n")
        table.writeheader()
        for i, given in self.answers.items():
            correct = given.correct or ("", "")
            table.writerow(
                as_row(self.questions.place(i))
                | {"draws": draws.get(i, ""), "answer": given.answer}
                | {"correct_frame": correct[0], "correct_label": correct[1]}
            )
        return stream.getvalue()

    def save(self) -> None:
        """Write the answers beside the result; where nothing can be written there, they last as long as the server."""
        try:
            with output_file(self.file, overwrite=True) as work:
                work.write_text(self.table(), encoding="utf-8", newline="")
            self.saved = True
        except (OSError, InputError):
            self.saved = False


_lock = threading.Lock()


def open_review(result: Result) -> Review | None:
    """The questions about a result, with the answers that lie beside it; ``None`` if it holds no probabilities.

    Everybody who looks at the result shares them.

    Raises
    ------
    InputError
        If the answers beside it are about another result, or cannot be read.
    """
    with _lock:
        return _open_review(result, content.stamp(result.layer.folder))


@lru_cache(maxsize=4)
def _open_review(result: Result, _stamp: str) -> Review | None:
    path = result.layer.folder / "graph.npz"
    if not path.is_file():
        return None
    path = inside(result.layer.root, path)
    candidates, solution, track = load_graph(path)
    confidence = read_confidence(path)
    if solution is None or track is None or confidence is None:
        return None
    folder = result.layer.folder
    review = Review(ReviewList(candidates, solution, confidence, track), folder.with_name(f"{folder.name}_answers.csv"))
    if review.file.is_file():
        review.answers = _known(inside(result.layer.root, review.file), review.questions)
    return review


def _known(file: Path, questions: ReviewList) -> dict[int, Answer]:
    """The answers in a file, by the number of their question."""
    cells = []
    for row in csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()):
        name = [(row.get(column) or "").strip() for column in ("frame", "label")]
        if all(text.isdecimal() for text in name):
            cells.append(((int(name[0]), int(name[1])), row.get("kind") or ""))
    numbers = [i for i in (questions.find(*cell) for cell in cells) if i is not None]
    given = read_answers(file, [questions.place(i) for i in numbers])
    found = ((questions.find(one.cell, one.kind), one) for one in given)
    return {i: one for i, one in found if i is not None}


def is_about_the_future(kind: str) -> bool:
    """Whether a question asks how a cell goes on, not where it comes from."""
    return kind in FUTURES
