"""Movies with a known lineage, to learn from: which candidates are true, also where masks are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from celltrail.data.columns import row_of_cell
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import Sequence, track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.labels.overlap import count_overlap, match_objects
from celltrail.data.types import BoolArray, IntArray, Masks
from celltrail.tracking.candidates.parts import Part
from celltrail.tracking.measuring.table import PER_ROW, DetectionTable
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.settings import TrackSettings

SPANS = 2  # links are learned from over one frame in which a cell went unseen at most
LONE_LOSS = 0.03  # share of masks taken away one by one
TRACK_LOSS = 0.3  # share of tracks that lose a run of masks, of 4 frames on average


@dataclass(frozen=True, eq=False)
class Example:
    """A movie with its truth: ``cell`` is int64 (n,), the true track of each detection, 0 where there is none."""

    name: str
    table: DetectionTable
    cell: IntArray
    tracks: Tracks
    source: Mapping[str, Any]


def true_cells(table: DetectionTable, masks: Masks, markers: Masks) -> IntArray:
    """The true track of each detection, by the CTC's match of markers with masks; 0: none or several."""
    cell = np.zeros(len(table), dtype=np.int64)
    row_of = row_of_cell(table.frame, table.label)
    for number in markers:
        if number not in masks:
            continue
        overlap = count_overlap(np.asarray(markers[number]), np.asarray(masks[number]))
        match = match_objects(overlap)
        labels, times = np.unique(match[match >= 0], return_counts=True)
        alone = set(labels[times == 1].tolist())
        for marker, found in zip(overlap.labels_a.tolist(), match.tolist(), strict=True):
            if found in alone:
                cell[row_of[number, int(overlap.labels_b[found])]] = marker
    return cell


def take_rows(table: DetectionTable, keep: BoolArray) -> DetectionTable:
    """The table without some of its detections."""
    new = np.cumsum(keep) - 1
    pairs = keep[table.overlap_source] & keep[table.overlap_target]
    return replace(
        table,
        **{name: getattr(table, name)[keep] for name in PER_ROW},
        shift={span: shift[keep] for span, shift in table.shift.items()},
        overlap_source=new[table.overlap_source[pairs]],
        overlap_target=new[table.overlap_target[pairs]],
        overlap_count=table.overlap_count[pairs],
    )


def thin_out(example: Example, rng: np.random.Generator) -> Example:
    """The movie with some masks taken away: single ones, and runs of one cell."""
    keep = rng.random(len(example.table)) > LONE_LOSS
    for cell in np.unique(example.cell[example.cell > 0]).tolist():
        if rng.random() < TRACK_LOSS:
            rows = np.flatnonzero(example.cell == cell)
            start = int(rng.integers(0, len(rows) + 1))
            keep[rows[start : start + int(rng.geometric(0.25))]] = False
    return replace(example, table=take_rows(example.table, keep), cell=example.cell[keep])


def without_images(example: Example) -> Example:
    """The movie as if there had been masks only."""
    blank = np.full(len(example.table), np.nan)
    return replace(example, table=replace(example.table, brightness=blank, texture=blank))


def true_choices(example: Example, part: Part) -> tuple[BoolArray, BoolArray]:
    """Which candidate links and divisions of a movie are true.

    A mother of whose daughters only one is seen continues as that one.
    """
    rows_of: dict[int, list[int]] = {}
    for row, cell in enumerate(example.cell.tolist()):
        if cell:
            rows_of.setdefault(cell, []).append(row)
    links: set[tuple[int, int]] = set()
    divisions: set[tuple[int, ...]] = set()
    for rows in rows_of.values():
        links.update(pairwise(rows))
    for parent, children in example.tracks.children().items():
        seen = sorted(rows_of[child][0] for child in children if child in rows_of)
        if parent in rows_of and len(seen) == 1:
            links.add((rows_of[parent][-1], seen[0]))
        elif parent in rows_of and len(seen) == 2:
            divisions.add((rows_of[parent][-1], *seen))
    table, first, second = part.links, part.first, part.second
    pairs = zip(table.source.tolist(), table.target.tolist(), strict=True)
    triples = zip(
        table.source[first].tolist(), table.target[first].tolist(), table.target[second].tolist(), strict=True
    )
    return np.array([pair in links for pair in pairs], bool), np.array(
        [triple in divisions for triple in triples], bool
    )


def read_example(sequence: Sequence, *, frames: range | None = None) -> Example:
    """A sequence of the CTC as example: silver masks where there are any, else the markers themselves.

    Parameters
    ----------
    frames : range | None
        Learn from these frame numbers only.

    Raises
    ------
    InputError
        If the sequence has no markers or no track file.
    """
    markers_folder = sequence.gt_tra
    table_file = track_file(markers_folder) if markers_folder else None
    if markers_folder is None or table_file is None:
        raise InputError(
            f"{sequence.dataset} has no {sequence.name}_GT/TRA with man_track.txt: nothing can be learned."
        )
    markers = open_labels(markers_folder, frames=frames)
    settings = TrackSettings(frames=frames, masks_as_given=True)  # the truth is not to be repaired
    movie = open_movie(sequence.st_seg or markers, sequence.images, settings)
    movie, table = measure(movie, settings, spans=SPANS)
    cells = true_cells(table, movie.masks, markers)
    name = f"{sequence.dataset.name} {sequence.name}"
    return Example(
        name=name, table=table, cell=cells, tracks=read_tracks(table_file), source={"masks": len(movie.masks)}
    )
