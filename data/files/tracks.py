"""``Tracks``: the table of a lineage, one row per track, as in the CTC's ``res_track.txt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.regular import read_text
from celltrail.data.types import IntArray
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 100  # faults of one kind that are told one by one


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of one movie, in the order in which they were made or read.

    Attributes
    ----------
    label, begin, end, parent : int64, shape (n,)
        Label in the masks (> 0), first and last frame (both inclusive), and the label of the parent
        track (0: none). A parent with two children or more has divided; a parent with one child is
        a continuation (a track cut by a gap).
    """

    label: IntArray
    begin: IntArray
    end: IntArray
    parent: IntArray

    def __post_init__(self) -> None:
        columns = [np.asarray(c, dtype=np.int64) for c in (self.label, self.begin, self.end, self.parent)]
        if len({c.shape for c in columns}) != 1 or columns[0].ndim != 1:
            raise ValueError("label, begin, end and parent must be one-dimensional and of equal length")
        for name, column in zip(("label", "begin", "end", "parent"), columns, strict=True):
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.label)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tracks) and np.array_equal(self.rows(), other.rows())

    __hash__ = None  # type: ignore[assignment]

    def rows(self) -> IntArray:
        """The table as int64 array of shape (n, 4): label, begin, end, parent."""
        return np.stack([self.label, self.begin, self.end, self.parent], axis=1)

    @classmethod
    def from_rows(cls, rows: Iterable[Iterable[int]]) -> Tracks:
        """Tracks from rows of (label, begin, end, parent)."""
        table = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 4)
        label, begin, end, parent = table.T.copy()
        return cls(label=label, begin=begin, end=end, parent=parent)

    def __repr__(self) -> str:
        span = f"frames {self.begin.min()} to {self.end.max()}" if len(self) else "no frames"
        return f"Tracks({counted(len(self), 'track')}, {counted(len(self.divisions()), 'division')}, {span})"

    def to_pandas(self) -> pd.DataFrame:
        """The table as a DataFrame: ``label``, ``begin``, ``end``, ``parent`` (0: none)."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in ("label", "begin", "end", "parent")})

    def row_of(self, label: int) -> int:
        """Index of the row with this label; ``KeyError`` if there is none."""
        found = np.flatnonzero(self.label == label)
        if len(found) == 0:
            raise KeyError(f"no track has the label {label}")
        return int(found[0])

    def children(self) -> dict[int, list[int]]:
        """Labels of the children of every track that has any, in table order."""
        result: dict[int, list[int]] = {}
        for label, parent in zip(self.label.tolist(), self.parent.tolist(), strict=True):
            if parent:
                result.setdefault(parent, []).append(label)
        return result

    def divisions(self) -> dict[int, list[int]]:
        """Tracks with two children or more, each with its children."""
        return {parent: kids for parent, kids in self.children().items() if len(kids) > 1}

    def roots(self) -> dict[int, int]:
        """For every label, the label of the first ancestor of its lineage (itself if it has no parent)."""
        parent: dict[int, int] = dict(zip(self.label.tolist(), self.parent.tolist(), strict=True))
        root: dict[int, int] = {}
        for label in parent:
            path: list[int] = []
            current: int = label
            passed: set[int] = set()
            while current not in root and parent.get(current, 0) and current not in passed:
                path.append(current)
                passed.add(current)
                current = parent[current]
            top = root.get(current, current)
            for member in (*path, label):
                root[member] = top
        return root

    def problems(self) -> list[str]:
        """Every broken invariant as one sentence; empty when the table is valid."""
        return [text for _, _, text in self.faults()]

    def faults(self) -> list[tuple[int, int | None, str]]:
        """Every broken invariant as (label, frame or ``None``, sentence).

        Labels are positive and unique, a track does not end before it begins, frames are not
        negative, a parent exists and ends before its child begins, and no track descends from itself. Of each kind the
        first 100 are told, and the others counted.
        """
        found: list[tuple[int, int | None, str]] = []
        labels, counts = np.unique(self.label, return_counts=True)
        index = np.searchsorted(labels, self.parent).clip(0, max(len(labels) - 1, 0))
        known = labels[index] == self.parent if len(labels) else np.zeros(0, dtype=bool)
        order = np.argsort(self.label, kind="stable")
        last = self.end[order][np.searchsorted(self.label[order], labels, "right") - 1]
        ends = np.where(known, last[index], 0) if len(labels) else self.end
        child, own = self.parent != 0, self.parent == self.label
        twice = dict(zip(labels[counts > 1][:SHOWN].tolist(), counts[counts > 1][:SHOWN].tolist(), strict=True))
        found += [
            (name, None, f"Track {name} is listed {n} times: give each track its own label.")
            for name, n in twice.items()
        ]
        kinds = [
            (self.label <= 0, None, "Track {0} has a label that is not positive: labels start at 1."),
            (self.begin < 0, 1, "Track {0} begins in frame {1}: frame numbers start at 0."),
            (self.end < self.begin, 1, "Track {0} ends in frame {2}, before it begins in frame {1}: swap the two."),
            (child & own, None, "Track {0} is its own parent: write 0 if it has none."),
            (
                child & ~own & ~known,
                1,
                "Track {0} names parent {3}, which is not in the table: add it, or write 0.",
            ),
            (
                child & ~own & known & (ends >= self.begin),
                1,
                "Track {0} begins in frame {1}, but its parent {3} ends in frame {4}: "
                "a parent must end before its child begins (where a mother lives on, as in budding, end her there and let "
                "her go on under a label of her own, as another daughter).",
            ),
        ]
        table = np.column_stack([self.rows(), ends])
        more = int((counts > 1).sum()) - len(twice)
        for wrong, column, text in kinds:
            rows = np.flatnonzero(wrong)
            more += max(len(rows) - SHOWN, 0)
            for row in table[rows[:SHOWN]].tolist():
                found.append((row[0], None if column is None else row[column], text.format(*row)))
        cycles = self._cycles()
        more += max(len(cycles) - SHOWN, 0)
        for cycle in cycles[:SHOWN]:
            names = " → ".join(str(label) for label in (*cycle, cycle[0])[:SHOWN])
            found.append((cycle[0], None, f"Tracks {names} descend from each other: cut this cycle."))
        if more:
            found.append((0, None, f"{counted(more, 'more track is', 'more tracks are')} wrong in the same ways."))
        return found

    def _cycles(self) -> list[list[int]]:
        """Chains of two parents or more that return to their start, each from its smallest label."""
        parent: dict[int, int] = dict(zip(self.label.tolist(), self.parent.tolist(), strict=True))
        state: dict[int, int] = {}  # label → the walk in which it was first met
        cycles = []
        for walk, start in enumerate(sorted(parent)):
            path: list[int] = []
            label = start
            while label in parent and label not in state:
                state[label] = walk
                path.append(label)
                label = parent[label]
            if state.get(label) == walk and label in path:
                cycle = path[path.index(label) :]
                if len(cycle) > 1:
                    first = cycle.index(min(cycle))
                    cycles.append(cycle[first:] + cycle[:first])
        return cycles


def read_tracks(path: Path) -> Tracks:
    """Read a track file of the CTC (``res_track.txt``, ``man_track.txt``).

    One track a line, four integers: label, begin, end, parent. Any white space separates them;
    empty lines, a byte-order mark and Windows line ends are accepted.

    Raises
    ------
    InputError
        If the file is missing, is not text, or has lines that are not four integers (all of them
        are listed). The invariants of `Tracks.problems` are not checked here.
    """
    path = Path(path)
    try:
        text = read_text(path, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: a track file lists 'label begin end parent'.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file: write lines of 'label begin end parent'.") from None
    rows: list[list[int]] = []
    wrong: list[int] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        fields = line.split()
        if not fields:
            continue
        try:
            values = [int(field) for field in fields]
        except ValueError:
            values = []
        if len(values) != 4 or any(abs(value) > 2**62 for value in values):
            wrong.append(number)
        else:
            rows.append(values)
    if wrong:
        shown = [_fault_of_line(path, number + 1, lines[number]) for number in wrong[:20]]
        if len(wrong) > len(shown):
            shown.append(
                f"{path}: {counted(len(wrong) - len(shown), 'more line is', 'more lines are')} wrong in the same way."
            )
        raise InputError(*shown)
    return Tracks.from_rows(rows)


def _fault_of_line(path: Path, number: int, line: str) -> str:
    fields = line.split()
    try:
        values = [int(field) for field in fields]
    except ValueError:
        return f"{path}, line {number}, '{line.strip()[:60]}', is not four integers: write label begin end parent."
    if len(values) != 4:
        return f"{path}, line {number}, has {counted(len(values), 'column')}, expected 4: write label begin end parent."
    return f"{path}, line {number}, has a number too large for a label or a frame: correct it."


def format_tracks(tracks: Tracks) -> str:
    """The text of a CTC track file: single spaces, one line per track, trailing newline."""
    return "".join(f"{label} {begin} {end} {parent}\n" for label, begin, end, parent in tracks.rows().tolist())


def frames_of_labels(labels_per_frame: Mapping[int, IntArray]) -> dict[int, IntArray]:
    """The sorted frames in which each label is present.

    Parameters
    ----------
    labels_per_frame : Mapping[int, IntArray]
        Frame number → int64 array of the labels in it.
    """
    frames: dict[int, list[int]] = {}
    for frame in sorted(labels_per_frame):
        for label in labels_per_frame[frame].tolist():
            frames.setdefault(label, []).append(frame)
    return {label: np.array(present, dtype=np.int64) for label, present in frames.items()}


def clip_tracks(tracks: Tracks, frames: range | None) -> Tracks:
    """The part of a lineage within ``frames``.

    Tracks outside are dropped, begin and end are clipped, and a parent is kept only if it is still there.
    """
    if frames is None:
        return tracks
    first, last = frames.start, frames.stop - 1
    inside = (tracks.end >= first) & (tracks.begin <= last)
    kept = set(tracks.label[inside].tolist())
    rows = [
        (label, max(begin, first), min(end, last), parent if parent in kept else 0)
        for label, begin, end, parent in tracks.rows()[inside].tolist()
    ]
    end_of = {label: end for label, _, end, _ in rows}
    return Tracks.from_rows((b, s, e, p if p and end_of[p] < s else 0) for b, s, e, p in rows)


def split_at_holes(tracks: Tracks, present: Mapping[int, IntArray]) -> tuple[Tracks, dict[tuple[int, int], int]]:
    """Cut every track that is absent for some frames into pieces joined by parent links.

    The CTC wants a label in every frame between its begin and its end. A track seen in frames
    2-4 and 7-9 becomes two tracks, the second with the first as its parent; children of the track
    become children of its last piece.

    Parameters
    ----------
    tracks : Tracks
        Tracks present : label → sorted int64 frames in which the track has a mask. Begin and end are taken from
        here.

    Returns
    -------
    Tracks
        With new labels (after the largest one) for the later pieces.
    dict
        (old label, first frame of the piece) → new label, for the pieces that were renamed.
    """
    next_label = int(tracks.label.max(initial=0)) + 1
    rows: list[tuple[int, int, int, int]] = []
    last_piece: dict[int, int] = {}
    renamed: dict[tuple[int, int], int] = {}
    for label, begin, end, parent in tracks.rows().tolist():
        frames = present.get(label, np.arange(begin, end + 1))
        pieces = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
        piece_label, piece_parent = label, parent
        for index, piece in enumerate(pieces):
            if index:
                piece_label, piece_parent = next_label, piece_label
                renamed[label, int(piece[0])] = piece_label
                next_label += 1
            rows.append((piece_label, int(piece[0]), int(piece[-1]), piece_parent))
        last_piece[label] = piece_label
    renamed_labels = set(renamed.values())
    fixed = [
        (label, begin, end, parent if label in renamed_labels else last_piece.get(parent, parent))
        for label, begin, end, parent in rows
    ]
    return Tracks.from_rows(fixed), renamed
