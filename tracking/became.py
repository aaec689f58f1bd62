"""What has become of the masks, as ``run.json`` tells it: split, joined, merged by pins, drawn otherwise, or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from celltrail.data.files.pins import Cell, parse_pin
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.types import IntArray
from celltrail.tracking.exporting.changed import as_repairs
from celltrail.tracking.solving.pinned import merged_names

Run = Mapping[str, Any]


def cells_of_mask(
    candidates: Candidates, solution: Solution, track: IntArray, run: Run, frame: int, label: int
) -> tuple[list[int], str]:
    """The cells that a mask has become.

    Parameters
    ----------
    track : IntArray
        int64 (n,), the track of each detection.
    run : mapping
        What ``run.json`` holds; may be empty.
    frame, label : int
        The mask.

    Returns
    -------
    list of int
        Rows of the detections; of a mask that was left out its own, if it could have been a cell.
    str
        What has happened to the mask, as a sentence; "" where it is the cell as it was, or is not known at all.
    """
    d = candidates.detections
    names = merged_names([parse_pin(text) for text in _pins(run) if " merge " in text])
    name = names.get((frame, label), label)
    own = np.flatnonzero((d.frame == frame) & (d.label == name)).tolist()
    if own and (frame, label) in names:
        whole = sorted(other for (number, other), one in names.items() if (number, one) == (frame, name))
        return own, f"Pins say that the masks {_listed(whole)} of frame {frame} are one cell."
    if own and solution.used[own[0]]:
        return own, ""
    for one in _told(run, frame):
        if label in one.masks and one.tracks:
            return np.flatnonzero((d.frame == frame) & np.isin(track, one.tracks)).tolist(), one.sentence(label)
    mine = np.isin(candidates.clique_id, candidates.clique_id[np.isin(candidates.clique_detection, own)])
    chosen = [row for row in np.unique(candidates.clique_detection[mine]).tolist() if solution.used[row]]
    if chosen:
        kind = "redrawn" if len(chosen) == 1 else "merged"
        return chosen, _Told(kind, frame, [label], track[chosen].tolist()).sentence(label)
    if own and f"forbid detection cell {label} of frame {frame}" in _pins(run):
        return own, f"Mask {label} of frame {frame} was left out, because a pin says that it is no cell."
    if own:
        return own, f"Mask {label} of frame {frame} was left out, because no lineage through it is worth its cost."
    if any(label in one.masks for one in _told(run, frame)):
        return [], f"Mask {label} of frame {frame} was left out, because nothing that looks like it is likely a cell."
    return [], ""


def mask_of_cell(run: Run, frame: int, track: int) -> str:
    """What has happened to the masks of a cell, as a sentence; "" where it is a mask as it was."""
    return " ".join(one.sentence() for one in _told(run, frame) if track in one.tracks)


def changed_masks(run: Run) -> list[dict[str, Any]]:
    """Every mask that is not in the result as it was given, ordered by frame.

    Parameters
    ----------
    run : mapping
        What ``run.json`` holds.

    Returns
    -------
    list of dict
        ``frame``; ``kind`` ("merged": one mask of several cells, which was split; "split": several masks of one, which were
        joined; "redrawn", "left out", "painted", "added"); ``masks``, labels as they were given; ``tracks``, those in the
        result; and a ``sentence``.
    """
    found = sorted(_told(run), key=lambda one: (one.frame, one.sentence()))
    return [
        {
            "frame": one.frame,
            "kind": one.kind,
            "masks": sorted(one.masks),
            "tracks": sorted(one.tracks),
            "sentence": one.sentence(),
        }
        for one in found
    ]


def told_again(run: Run, candidates: Candidates, before: IntArray, after: Mapping[Cell, int]) -> dict[str, Any]:
    """The lists of changed masks once cells are in other tracks, or left out.

    Parameters
    ----------
    candidates : Candidates
        The problem of ``run``.
    before : IntArray
        int64 (n,), the track of each of its detections.
    after : mapping
        (frame, label) of detections → track now; those in none need not be there.
    """
    d = candidates.detections
    cells = list(zip(d.frame.tolist(), d.label.tolist(), strict=True))
    cell_of = {(cell[0], name): cell for cell, name in zip(cells, before.tolist(), strict=True) if name}
    gone = {cell for cell in cell_of.values() if not after.get(cell)}
    told: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("repaired", "redrawn", "left out", "added")}
    for one in _told(run):
        here = {cell_of[one.frame, name] for name in one.tracks if (one.frame, name) in cell_of}
        gone -= here
        tracks = sorted({name for cell in here if (name := after.get(cell))})
        if one.kind in ("merged", "split") and tracks:
            told["repaired"].append({"kind": one.kind, "frame": one.frame, "masks": one.masks, "tracks": tracks})
        elif one.kind == "redrawn" and tracks:
            told["redrawn"].append({"frame": one.frame, "label": one.masks[0], "tracks": tracks})
        elif one.kind == "added":
            told["added"] += [{"frame": one.frame, "track": name} for name in tracks]
        else:
            gone |= {(one.frame, label) for label in one.masks}
    told["left out"] = [{"frame": frame, "label": label} for frame, label in sorted(gone)]
    lists: dict[str, Any] = {f"{kind.replace(' ', '_')}_masks": told[kind] for kind in ("redrawn", "left out", "added")}
    if isinstance(known := run.get("repairs"), dict):
        lists["repairs"] = as_repairs(known.get("considered", 0), told["repaired"])
    return lists


def _pins(run: Run) -> Sequence[str]:
    return (run.get("config") or {}).get("pins") or ()


@dataclass(frozen=True)
class _Told:
    """What has happened to masks, or to a cell without one ("painted", "added"), and the tracks that they became."""

    kind: str
    frame: int
    masks: Sequence[int]
    tracks: Sequence[int]
    reason: str = ""

    def sentence(self, label: int = 0) -> str:
        """In words; of the mask with this label, or else of the first."""
        label = label or next(iter(self.masks), 0)
        mask, cells = f"Mask {label} of frame {self.frame}", _listed(self.tracks)
        others = _listed([other for other in self.masks if other != label])
        return {
            "merged": f"{mask} was split into the cell{'s' * (len(self.tracks) > 1)} {cells} of the result.",
            "split": f"{mask} was joined with {others} into cell {cells} of the result.",
            "redrawn": f"{mask} was drawn otherwise, as cell {cells} of the result.",
            "left out": f"{mask} was left out.",
            "added": f"Cell {cells} has no mask in frame {self.frame}: a hypothesis beside the masks was taken for it.",
            "painted": f"Cell {cells} has no mask in frame {self.frame} and was painted there: {self.reason}.",
        }[self.kind]


def _told(run: Run, frame: int | None = None) -> list[_Told]:
    """Everything that was changed in a frame, or in all; nothing where another program has written the run."""
    try:
        repairs = (run.get("repairs") or {}).get("list") or ()
        found = [_Told(one["kind"], one["frame"], one["masks"], one["tracks"]) for one in repairs]
        found += [
            _Told("redrawn", one["frame"], [one["label"]], one["tracks"]) for one in run.get("redrawn_masks") or ()
        ]
        found += [_Told("left out", one["frame"], [one["label"]], []) for one in run.get("left_out_masks") or ()]
        found += [_Told("added", one["frame"], [], [one["track"]]) for one in run.get("added_masks") or ()]
        found += [
            _Told("painted", one["frame"], [], [one["track"]], one["reason"]) for one in run.get("filled_masks") or ()
        ]
        for one in found:
            one.sentence()
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    return [one for one in found if frame in (None, one.frame)]


def _listed(numbers: Sequence[int]) -> str:
    """``"4, 7 and 9"``."""
    names = [str(number) for number in sorted(numbers)]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
