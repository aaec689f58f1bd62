"""The desk of a result: the corrections that everybody sees who looks at it or at what was made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from celltrail.dashboard.correcting.graph import origin_folder
from celltrail.dashboard.correcting.history import Act, Entry, append_history, now, read_history, replay
from celltrail.dashboard.opening.content import Result
from celltrail.data.files.pins import Pin, read_pins

UNSAVED = "corrections_unsaved"


@dataclass(frozen=True)
class Desk:
    """The corrections of a result.

    Attributes
    ----------
    folder : Path
        Where the history lies: of the result that was corrected first.
    entries : list of Entry
        All acts so far.
    saved : bool
        Whether they are on disk; else (the folder is read-only) they are kept while the page is open.
    """

    folder: Path
    entries: list[Entry]
    saved: bool

    @property
    def done(self) -> list[Pin]:
        """The corrections in force."""
        return replay(self.entries).done

    @property
    def undone(self) -> list[Pin]:
        """Those that were taken back, and can be made again."""
        return replay(self.entries).undone

    def add(self, pin: Pin) -> None:
        """One more correction."""
        self._act("added", pin)

    def undo(self, pin: Pin | None = None) -> None:
        """Take a correction back: the last one, or this."""
        if self.done:
            self._act("taken back", pin or self.done[-1])

    def redo(self) -> None:
        """Make the last one that was taken back again."""
        if self.undone:
            self._act("added", self.undone[-1])

    def _act(self, act: Act, pin: Pin) -> None:
        entry = Entry(now(), act, pin)
        try:
            append_history(self.folder, entry)
        except OSError:
            unsaved: dict[Path, list[Entry]] = st.session_state.setdefault(UNSAVED, {})
            unsaved.setdefault(self.folder, []).append(entry)


def log_of(result: Result) -> Desk:
    """The corrections of a result, as they stand on disk."""
    folder = origin_folder(result)
    entries = read_history(folder)
    if not entries and folder != result.layer.folder:  # made before there was a history
        entries = read_history(result.layer.folder)
        for entry in entries:
            Desk(folder, [], True)._act(entry.act, entry.pin)
    unsaved = st.session_state.get(UNSAVED, {}).get(folder, [])
    return Desk(folder, [*entries, *unsaved], saved=not unsaved)


def pins_of(result: Result) -> list[Pin]:
    """The corrections that a result was made with."""
    file = result.layer.folder / "pins.csv"
    return read_pins(file) if file.is_file() else []
