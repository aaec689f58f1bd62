"""What was corrected, and when: ``pins.history.csv``, of which the pins in force are what is left.

It lies in the folder of the result that is corrected, so that corrections outlive a reload, a restart and the next
solution; each corrected result keeps a copy beside its ``pins.csv``. A line is one act: ``added`` or ``taken back``.
Whoever looks at the result sees the same list.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from celltrail.data.errors import InputError
from celltrail.data.files.pins import HEADER, Pin, fields_of, parse_fields, read_pins

HISTORY = "pins.history.csv"
COLUMNS = ("time", "act", *HEADER)
Act = Literal["added", "taken back"]


@dataclass
class Log:
    """The corrections in force, with those that were taken back and can be made again."""

    done: list[Pin] = field(default_factory=list)
    undone: list[Pin] = field(default_factory=list)

    def add(self, pin: Pin) -> None:
        """One more correction, or the one again that was taken back last; else what was taken back is forgotten."""
        if pin in self.done:
            return
        if self.undone and self.undone[-1] == pin:
            self.undone.pop()
        else:
            self.undone.clear()
        self.done.append(pin)

    def take_back(self, pin: Pin) -> None:
        """Take a correction back."""
        if pin in self.done:
            self.done.remove(pin)
            self.undone.append(pin)


@dataclass(frozen=True)
class Entry:
    """One line: when (ISO 8601), what was done, and the pin."""

    time: str
    act: Act
    pin: Pin


def now() -> str:
    """The time as the history writes it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def replay(entries: Iterable[Entry]) -> Log:
    """What is in force after these acts."""
    log = Log()
    for entry in entries:
        (log.add if entry.act == "added" else log.take_back)(entry.pin)
    return log


def read_history(folder: Path) -> list[Entry]:
    """The history in a folder; without one, the ``pins.csv`` there, as added when that was written.

    Raises
    ------
    InputError
        With every line that is no act; a last line that is just being written is left out.
    """
    path, pins = folder / HISTORY, folder / "pins.csv"
    if not path.is_file():
        if not pins.is_file():
            return []
        when = datetime.fromtimestamp(pins.stat().st_mtime).astimezone().isoformat(timespec="seconds")
        return [Entry(when, "added", pin) for pin in read_pins(pins)]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read: remove it to begin without corrections.") from None
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.reader(io.StringIO(whole)))
    if rows and tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path} has another header: the first line must be {','.join(COLUMNS)}.")
    entries, problems = [], []
    for number, row in enumerate(rows[1:], start=2):
        found = parse_fields(row[2:]) if len(row) > 2 else "it is too short."
        if isinstance(found, str) or row[1] not in ("added", "taken back"):
            problems.append(f"{path}, line {number}: {found if isinstance(found, str) else f'{row[1]!r} is no act.'}")
        else:
            entries.append(Entry(row[0], "added" if row[1] == "added" else "taken back", found))
    if problems:
        raise InputError(*problems)
    return entries


def format_history(entries: Sequence[Entry]) -> str:
    """The text of a history."""
    return _lines([COLUMNS, *map(_row, entries)])


def _row(entry: Entry) -> list[str]:
    return [entry.time, entry.act, *fields_of(entry.pin)]


def append_history(folder: Path, entry: Entry) -> None:
    """Add an act.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    begun = [COLUMNS, *map(_row, read_history(folder))] if not (folder / HISTORY).exists() else []
    append_line(folder / HISTORY, _row(entry), begun=begun)


def append_line(path: Path, row: Iterable[Any], *, begun: Sequence[Iterable[Any]]) -> None:
    """Add a line to a table, in one piece, so that several people can write at once; a new one begins with ``begun``."""
    if not path.exists():
        _begin(path, _lines(begun))
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, _lines([row]).encode())
    finally:
        os.close(handle)


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _begin(path: Path, text: str) -> None:
    """Make the file, whole or not at all; the folder keeps its time, for nothing that is shown of it has changed."""
    before = path.parent.stat()
    work = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    work.write_text(text, encoding="utf-8", newline="")
    try:
        with suppress(FileExistsError):  # somebody was faster
            os.link(work, path)
    finally:
        work.unlink()
        os.utime(path.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
