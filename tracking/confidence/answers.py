"""What a person answered to the rows of a review list, and the pins that follow from it.

An answers file is the list with the columns ``answer`` (``right``, ``wrong``, ``cannot tell``), and, where it is known,
``correct_frame`` and ``correct_label``: the cell (frame, and label in the input masks) that is its past in truth.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.pins import Action, Cell, Kind, Pin
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import Confidence, chosen_past, pairs_of
from celltrail.data.regular import read_text
from celltrail.tracking.confidence.places import Place

ANSWERS = ("right", "wrong", "cannot tell")
NEEDED = ("frame", "label", "kind", "decision", "answer")
PLAUSIBLE = 1e-3  # pasts less probable than this need not be forbidden to a cell that begins


@dataclass(frozen=True)
class Answer:
    """One answered row.

    Attributes
    ----------
    cell : Cell
        Frame and label in the input masks.
    kind, answer : str
    correct : Cell | None
        Its true past, if it was given.
    times : int
        How often it was drawn.
    drawn : bool
        Whether the row is one of a random sample.
    """

    cell: Cell
    kind: str
    answer: str
    correct: Cell | None
    times: int = 1
    drawn: bool = False


def read_answers(path: Path, places: Sequence[Place]) -> list[Answer]:
    """The answered rows of a file; rows without an answer are passed over.

    Parameters
    ----------
    path : Path
        A file that `celltrail review` wrote, with answers.
    places : Sequence[Place]
        All places of the result that it is about.

    Raises
    ------
    InputError
        With every line that cannot be used, and if the file is about another result.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(Path(path), encoding="utf-8-sig"), newline="")))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: write one with 'celltrail review RES --sample N --out FILE'."
        ) from None
    except (UnicodeDecodeError, OSError, csv.Error):
        raise InputError(f"{path} is not a table of text: give the CSV of 'celltrail review', with answers.") from None
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]}: give the CSV of 'celltrail review', with answers.")
    known = {(place.frame, place.label, place.kind): place.decision for place in places}
    found, problems, strange = [], [], 0
    for number, row in enumerate(rows, start=2):
        text = (row["answer"] or "").strip().lower()
        if not text:
            continue
        if text not in ANSWERS:
            problems.append(f"{path}, line {number}: '{text}' is no answer: write {', '.join(ANSWERS)}.")
            continue
        try:
            cell = int(row["frame"]), int(row["label"])
            given = [(row.get(name) or "").strip() for name in ("correct_frame", "correct_label")]
            correct = (int(given[0]), int(given[1])) if all(given) else None
            draws = (row.get("draws") or "").strip()
            times = int(draws or 1)
        except (TypeError, ValueError):
            problems.append(f"{path}, line {number}: frames and labels must be whole numbers.")
            continue
        if any(given) and not all(given):
            problems.append(f"{path}, line {number}: a correct cell needs both correct_frame and correct_label.")
        elif correct is not None and correct[0] >= cell[0]:
            problems.append(f"{path}, line {number}: the correct past must lie in an earlier frame than the cell.")
        elif known.get((*cell, row["kind"])) != row["decision"]:
            strange += 1
        else:
            found.append(Answer(cell, row["kind"], text, correct, times, bool(draws)))
    if strange:
        problems.append(
            f"{path}: {strange} of its answers are about decisions that this result does not have: give the answers "
            "to a list of this very result."
        )
    raise_if(problems)
    return found


def pins_from(
    answers: Sequence[Answer], candidates: Candidates, solution: Solution, confidence: Confidence
) -> list[Pin]:
    """What tracking must obey from now on: right decisions are kept, wrong ones forbidden, correct pasts kept."""
    d, past, pairs = candidates.detections, chosen_past(candidates, solution), pairs_of(candidates, confidence)
    row_of = {cell: row for row, cell in enumerate(zip(d.frame.tolist(), d.label.tolist(), strict=True))}
    divisions, pins = candidates.divisions, []

    def name(row: int) -> Cell:
        return int(d.frame[row]), int(d.label[row])

    def pin(kind: Kind, action: Action, *rows: int) -> None:
        pins.append(Pin(kind, action, tuple(name(row) for row in rows)))

    def forbid(mother: int, daughter: int) -> None:
        """Neither as the same cell, nor as her daughter."""
        pin("link", "forbid", mother, daughter)
        if ((divisions.mother == mother) & ((divisions.first == daughter) | (divisions.second == daughter))).any():
            pin("division", "forbid", mother, daughter)

    for answer in answers:
        row = row_of[answer.cell]
        chosen = np.flatnonzero(solution.division_chosen & (divisions.mother == row))
        right = answer.answer == "right"
        if answer.answer == "cannot tell":
            continue
        if answer.kind == "division":
            daughters = int(divisions.first[chosen[0]]), int(divisions.second[chosen[0]])
            pin("division", "keep" if right else "forbid", row, *daughters)
        elif answer.kind == "link" and right:
            pin("link", "keep", int(past[row]), row)
        elif answer.kind == "link":
            forbid(int(past[row]), row)
        elif answer.kind == "begin" and right:
            here = slice(*np.searchsorted(pairs.target, (row, row + 1)))
            for source in pairs.source[here][pairs.probability[here] > PLAUSIBLE].tolist():
                forbid(source, row)
        if answer.correct is not None and answer.kind in ("link", "begin"):
            if answer.correct not in row_of:
                raise InputError(
                    f"The answers name cell {answer.correct[1]} of frame {answer.correct[0]}, but the input masks have "
                    "no such cell."
                )
            mother = row_of[answer.correct]
            link = (candidates.links.source == mother) & (candidates.links.target == row)
            born = (divisions.mother == mother) & ((divisions.first == row) | (divisions.second == row))
            as_daughter = confidence.division[born].sum() > confidence.link[link].sum()
            pin("division" if as_daughter else "link", "keep", mother, row)
    return list(dict.fromkeys(pins))
