"""Pins: what a person knows about a movie, as a table that tracking obeys.

``pins.csv`` has the header ``kind,action,frame,label,frame2,label2,frame3,label3``. Labels are those of
the input masks. ``detection`` names one cell; ``link`` two, the second follows the first (forbidden: in no way, as a
daughter neither); ``division`` a mother and two daughters, or a mother and one daughter (the other is free), or,
forbidden, a mother alone (she does not divide); ``begin`` and ``end`` one cell that has no past or no future; ``merge``
two labels of one frame that are one cell. The action is ``keep`` or ``forbid``; ``begin`` and ``end`` are only kept.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal, cast

from celltrail.data.errors import InputError, raise_if
from celltrail.data.regular import read_text
from celltrail.data.words import counted
from celltrail.data.writing.output import output_file

HEADER = ("kind", "action", "frame", "label", "frame2", "label2", "frame3", "label3")
# fewest and most cells of a kind
CELLS = {"detection": (1, 1), "link": (2, 2), "division": (1, 3), "merge": (2, 2), "begin": (1, 1), "end": (1, 1)}

Kind = Literal["detection", "link", "division", "merge", "begin", "end"]
Action = Literal["keep", "forbid"]
Cell = tuple[int, int]


@dataclass(frozen=True)
class Pin:
    """One line of the table; ``cells`` are (frame, label)."""

    kind: Kind
    action: Action
    cells: tuple[Cell, ...]

    @property
    def merges(self) -> bool:
        """Whether it makes one cell of two masks."""
        return self.kind == "merge" and self.action == "keep"

    def __str__(self) -> str:
        names = [f"cell {label} of frame {frame}" for frame, label in self.cells]
        joined = {"link": " to ", "merge": " and "}.get(self.kind, ", ").join(names)
        return f"{self.action} {self.kind} {joined}"


def read_pins(path: Path) -> list[Pin]:
    """Read ``pins.csv``.

    Raises
    ------
    InputError
        If the file is missing, is not text, has another header, or with every line that is wrong.
    """
    path = Path(path)
    try:
        text = read_text(path, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: pins are a table with the columns {','.join(HEADER)}.") from None
    except (UnicodeDecodeError, OSError):
        raise InputError(f"{path} is not a text file: pins are a table with the columns {','.join(HEADER)}.") from None
    rows = list(csv.reader(text.splitlines()))
    if not rows or tuple(name.strip() for name in rows[0]) != HEADER:
        raise InputError(f"{path} has another header: the first line must be {','.join(HEADER)}.")
    pins, problems = [], []
    for number, row in enumerate(rows[1:], start=2):
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        found = parse_fields(fields)
        if isinstance(found, str):
            problems.append(f"{path}, line {number}: {found}")
        else:
            pins.append(found)
    raise_if(problems)
    return pins


def parse_fields(fields: list[str]) -> Pin | str:
    """The pin of a line, or what is wrong with it."""
    fields = fields + [""] * (len(HEADER) - len(fields))
    kind, action, numbers = fields[0], fields[1], fields[2:]
    if kind not in CELLS:
        return f"'{kind}' is no kind: write detection, link, division, begin, end or merge."
    if action not in ("keep", "forbid"):
        return f"'{action}' is no action: write keep or forbid."
    if len(fields) > len(HEADER):
        return f"{counted(len(fields), 'column')}, expected {len(HEADER)}."
    while numbers and not numbers[-1]:
        numbers.pop()
    try:
        values = [int(number) for number in numbers]
    except ValueError:
        return "frames and labels must be whole numbers."
    if kind in ("begin", "end") and action == "forbid":
        return f"'{kind}' can only be kept: to say how the cell goes on, keep a link or a division."
    fewest, most = CELLS[kind]
    fewest += kind == "division" and action == "keep"  # a mother alone: she does not divide
    if len(values) % 2 or not fewest <= len(values) // 2 <= most:
        count = str(fewest) if fewest == most else f"{fewest} to {most}"
        return f"'{kind} {action}' needs {count} {'cell' if most == 1 else 'cells, each'} with frame and label."
    cells = tuple(zip(values[::2], values[1::2], strict=True))
    first = cells[0][0]
    if kind in ("link", "division") and any(frame <= first for frame, _ in cells[1:]):
        return f"the second cell of a {kind} must lie in a later frame than the first."
    if kind == "merge" and (cells[1][0] != first or cells[1] == cells[0]):
        return "a merge needs two different labels of one frame."
    if kind == "division" and len(set(cells)) < len(cells):
        return "a division needs two different daughters."
    return Pin(cast(Kind, kind), cast(Action, action), cells)


def checked_pins(pins: Iterable[Pin]) -> list[Pin]:
    """Pins that were made in Python, as a file would hold them.

    Raises
    ------
    InputError
        With every pin that no file could hold.
    """
    found = [(pin, parse_fields(fields_of(pin))) for pin in pins]
    raise_if(f"The pin '{pin}' is none: {problem}" for pin, problem in found if isinstance(problem, str))
    return [pin for _, pin in found if isinstance(pin, Pin)]


def fields_of(pin: Pin) -> list[str]:
    """The line of the table that a pin is."""
    numbers = [str(number) for cell in pin.cells for number in cell]
    return [pin.kind, pin.action, *numbers, *[""] * (6 - len(numbers))]


def parse_pin(text: str) -> Pin:
    """The pin that a sentence of ``run.json`` stands for: what ``str(pin)`` has written.

    Raises
    ------
    InputError
        If it is no such sentence.
    """
    action, _, rest = text.partition(" ")
    cells = re.findall(r"cell (\d+) of frame (\d+)", rest)
    found = parse_fields(
        [rest.partition(" ")[0], action, *(number for label, frame in cells for number in (frame, label))]
    )
    if isinstance(found, str) or str(found) != text:
        raise InputError(f"'{text}' is no pin as run.json names them: track the masks again with a pins.csv.")
    return found


def write_pins(path: Path, pins: Iterable[Pin], *, overwrite: bool = False) -> None:
    """Write ``pins.csv``, whole or not at all."""
    with output_file(path, overwrite=overwrite) as work:
        work.write_text(format_pins(pins), encoding="utf-8", newline="")


def format_pins(pins: Iterable[Pin]) -> str:
    """The text of ``pins.csv``."""
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerows([HEADER, *map(fields_of, pins)])
    return stream.getvalue()
