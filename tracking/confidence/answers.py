"""What a person answered to the rows of a review list, and the pins that follow from it.

An answers file is the list with the columns ``answer`` (``right``, ``wrong``, ``cannot tell``), and, where it is known,
``correct_frame`` and ``correct_label``: the cell (frame, and label in the input masks) that is its past in truth; of a
division and of an end, the cell that it becomes; of a mask, the one of the same frame that is a cell instead. The label 0 stands
for none: it begins here, it ends here, it is no cell.
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
from celltrail.data.graph.confidence import Confidence, chosen_past
from celltrail.data.regular import read_text
from celltrail.tracking.confidence.places import Place

ANSWERS = ("right", "wrong", "cannot tell")
NEEDED = ("frame", "label", "kind", "decision", "answer")
FUTURES = ("division", "end")  # questions about how a cell goes on,
PASTS = ("link", "begin")  # and about where it comes from


@dataclass(frozen=True)
class Answer:
    """One answered row.

    Attributes
    ----------
    cell : Cell
        Frame and label in the input masks.
    kind, answer : str
    correct : Cell | None
        Its true past (of a division or an end: its true future, of a mask: what is there instead), if it was given; label 0:
        there is none.
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
        elif correct is not None and correct[1] and row["kind"] in FUTURES and correct[0] <= cell[0]:
            problems.append(f"{path}, line {number}: what the cell becomes must lie in a later frame than the cell.")
        elif correct is not None and correct[1] and row["kind"] == "mask" and correct[0] != cell[0]:
            problems.append(f"{path}, line {number}: what is there instead of a mask must lie in the same frame.")
        elif correct is not None and correct[1] and row["kind"] in PASTS and correct[0] >= cell[0]:
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
    """What tracking must obey from now on: right decisions are kept, wrong ones forbidden, correct ones kept.

    Raises
    ------
    InputError
        If a correct cell is named that the input masks do not have.
    """
    d, past = candidates.detections, chosen_past(candidates, solution)
    row_of = {cell: row for row, cell in enumerate(zip(d.frame.tolist(), d.label.tolist(), strict=True))}
    links, divisions, pins = candidates.links, candidates.divisions, []

    def pin(kind: Kind, action: Action, *rows: int) -> None:
        pins.append(Pin(kind, action, tuple((int(d.frame[row]), int(d.label[row])) for row in rows)))

    for answer in answers:
        row, right = row_of[answer.cell], answer.answer == "right"
        if answer.answer == "cannot tell":
            continue
        if answer.kind == "mask":
            pin("detection", "keep" if right == bool(solution.used[row]) else "forbid", row)
        elif answer.kind == "division":
            z = int(np.flatnonzero(solution.division_chosen & (divisions.mother == row))[0])
            pin("division", "keep" if right else "forbid", row, int(divisions.first[z]), int(divisions.second[z]))
        elif answer.kind == "link":
            pin("link", "keep" if right else "forbid", int(past[row]), row)
        elif right:
            pin("begin" if answer.kind == "begin" else "end", "keep", row)
        if answer.correct is None:
            continue
        future = answer.kind in FUTURES
        if not answer.correct[1]:
            if answer.kind == "mask":
                continue
            pin("end" if future else "begin", "keep", row)
            continue
        if answer.correct not in row_of:
            raise InputError(
                f"The answers name cell {answer.correct[1]} of frame {answer.correct[0]}, but the input masks have "
                "no such cell."
            )
        other = row_of[answer.correct]
        if answer.kind == "mask":
            pin("detection", "keep", other)
            continue
        earlier, later = (row, other) if future else (other, row)
        link = (links.source == earlier) & (links.target == later)
        born = (divisions.mother == earlier) & ((divisions.first == later) | (divisions.second == later))
        as_daughter = confidence.division[born].sum() > confidence.link[link].sum()
        pin("division" if as_daughter else "link", "keep", earlier, later)
    return join_daughters(pins)


def join_daughters(pins: Sequence[Pin]) -> list[Pin]:
    """The same pins, each once, but where two cells are to be kept as what one cell becomes, she divides into them.

    Answers are given one at a time: that a cell follows another one is not contradicted by a second cell that does, too.
    """
    becomes: dict[Cell, dict[Cell, None]] = {}
    for pin in pins:
        if pin.action == "keep" and pin.kind in ("link", "division") and len(pin.cells) > 1:
            becomes.setdefault(pin.cells[0], {}).update(dict.fromkeys(pin.cells[1:]))

    def joined(pin: Pin) -> Pin:
        cells = becomes.get(pin.cells[0], {}) if pin.action == "keep" and pin.kind in ("link", "division") else {}
        return (
            Pin("division", "keep", (pin.cells[0], *sorted(cells))) if len(cells) == 2 and len(pin.cells) > 1 else pin
        )

    return list(dict.fromkeys(map(joined, pins)))
