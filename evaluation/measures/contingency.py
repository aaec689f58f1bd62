"""The one table that every measure comes from: which object of the truth shares pixels with which of the result.

Pixels are read once, frame by frame; after that only these small tables are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.columns import row_of_cell
from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.movie import part_of
from celltrail.data.labels.overlap import Overlap, count_overlap
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import FloatArray, IntArray, Masks
from celltrail.data.words import counted

SHOWN = 20  # problems listed one by one; the rest is counted


@dataclass(frozen=True)
class Objects:
    """The objects of a movie, ordered by (frame, label).

    Attributes
    ----------
    frame, label, area : IntArray
        int64 (n,).
    center : FloatArray
        float64 (n, 3) — centroid z, y, x in pixels (z = 0 in 2D).
    """

    frame: IntArray
    label: IntArray
    area: IntArray
    center: FloatArray

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def index(self) -> dict[tuple[int, int], int]:
        """(frame, label) → row."""
        return row_of_cell(self.frame, self.label)


@dataclass(frozen=True)
class Contingency:
    """Overlaps of all objects of a truth with all objects of a result.

    Attributes
    ----------
    truth, result : Objects
        Their objects.
    gt, res : IntArray
        int64 (k,) — rows of the pairs that share pixels, ordered by (gt, res).
    shared : IntArray
        int64 (k,) — shared pixels.
    frames : IntArray
        int64 (f,) — the frames that were compared, ascending.
    pixels : IntArray
        int64 (f,) — pixels of each frame (annotated slices only).
    """

    truth: Objects
    result: Objects
    gt: IntArray
    res: IntArray
    shared: IntArray
    frames: IntArray
    pixels: IntArray

    @cached_property
    def iou(self) -> FloatArray:
        """Intersection over union of every pair, float64 (k,)."""
        union = self.truth.area[self.gt] + self.result.area[self.res] - self.shared
        return self.shared / union

    @cached_property
    def match(self) -> IntArray:
        """The CTC's match: the result object covering more than half of each truth object, −1 if none."""
        match = np.full(len(self.truth), -1, dtype=np.int64)
        covered = 2 * self.shared > self.truth.area[self.gt]
        match[self.gt[covered]] = self.res[covered]
        return match

    @cached_property
    def taken(self) -> IntArray:
        """How many truth objects each result object is matched with, int64 (len(result),)."""
        return np.bincount(self.match[self.match >= 0], minlength=len(self.result)).astype(np.int64)

    @cached_property
    def unique_match(self) -> IntArray:
        """The match where the result object takes this truth object only; −1 elsewhere."""
        match = self.match.copy()
        found = np.flatnonzero(match >= 0)
        match[found[self.taken[match[found]] > 1]] = -1
        return match

    def only(self, keep: IntArray) -> Contingency:
        """The same table, only for these frames."""
        truth_rows = np.isin(self.truth.frame, keep)
        result_rows = np.isin(self.result.frame, keep)
        pair_rows = truth_rows[self.gt]
        frame_rows = np.isin(self.frames, keep)
        new_gt, new_res = np.cumsum(truth_rows) - 1, np.cumsum(result_rows) - 1
        return Contingency(
            truth=_rows(self.truth, truth_rows),
            result=_rows(self.result, result_rows),
            gt=new_gt[self.gt[pair_rows]],
            res=new_res[self.res[pair_rows]],
            shared=self.shared[pair_rows],
            frames=self.frames[frame_rows],
            pixels=self.pixels[frame_rows],
        )

    def only_results(self, rows: NDArray[np.bool_]) -> Contingency:
        """The same table, only with these objects of the result; bool (len(result),)."""
        pairs = rows[self.res]
        new_res = np.cumsum(rows) - 1
        return replace(
            self,
            result=_rows(self.result, rows),
            gt=self.gt[pairs],
            res=new_res[self.res[pairs]],
            shared=self.shared[pairs],
        )


def _rows(objects: Objects, rows: NDArray[np.bool_]) -> Objects:
    return Objects(objects.frame[rows], objects.label[rows], objects.area[rows], objects.center[rows])


@dataclass
class _Collector:
    """Gathers the overlaps of one truth and one result, frame by frame."""

    parts: list[tuple[int, Overlap]] = field(default_factory=list)

    def table(self) -> Contingency:
        truth, result = _objects(self.parts, "a"), _objects(self.parts, "b")
        starts_a = np.cumsum([0, *(len(overlap.labels_a) for _, overlap in self.parts)])
        starts_b = np.cumsum([0, *(len(overlap.labels_b) for _, overlap in self.parts)])
        gt = [overlap.a + start for (_, overlap), start in zip(self.parts, starts_a, strict=False)]
        res = [overlap.b + start for (_, overlap), start in zip(self.parts, starts_b, strict=False)]
        pixels: dict[int, int] = {}
        for frame, overlap in self.parts:
            pixels[frame] = pixels.get(frame, 0) + overlap.pixels
        return Contingency(
            truth=truth,
            result=result,
            gt=_join(gt),
            res=_join(res),
            shared=_join([overlap.count for _, overlap in self.parts]),
            frames=np.array(list(pixels), dtype=np.int64),
            pixels=np.array(list(pixels.values()), dtype=np.int64),
        )


def _join(arrays: Sequence[NDArray[Any]]) -> IntArray:
    return np.concatenate([np.zeros(0, dtype=np.int64), *arrays]).astype(np.int64)


def _objects(parts: Sequence[tuple[int, Overlap]], side: str) -> Objects:
    labels = [getattr(overlap, f"labels_{side}") for _, overlap in parts]
    centers = [getattr(overlap, f"centers_{side}") for _, overlap in parts]
    padded = [np.pad(points, ((0, 0), (3 - points.shape[1], 0))) for points in centers]
    return Objects(
        _join([np.full(len(found), frame) for (frame, _), found in zip(parts, labels, strict=True)]),
        _join(labels),
        _join([getattr(overlap, f"areas_{side}") for _, overlap in parts]),
        np.concatenate([np.zeros((0, 3)), *padded]),
    )


def tabulate(truth: Masks, result: Masks, *, progress: Progress = silent) -> Contingency:
    """Contingency table of two label movies; see `tabulate_many`."""
    return tabulate_many([truth], [result], progress=progress)[0][0]


def tabulate_many(
    truths: Sequence[Masks],
    results: Sequence[Masks],
    *,
    problems: list[str] | None = None,
    look: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
    looks: dict[tuple[int, int], dict[int, Any]] | None = None,
    mapper: Mapper = map,
    progress: Progress = silent,
) -> list[list[Contingency]]:
    """Contingency tables of several truths with several results, each mask read once.

    Parameters
    ----------
    truths : Sequence[Masks]
        Label movies. A truth may annotate some of the frames only; a mapping with a method ``slices(frame)`` (see
        `celltrail.evaluation.truth`) annotates some slices of 3D frames.
    results : Sequence[Masks]
        Label movies; each must have every frame that a truth has.
    problems : list[str] | None
        What is wrong is added to this list, and the frame left out; ``None``: it is raised.
    look : Callable[[NDArray[Any], NDArray[Any]], Any] | None
        Called with (truth mask, result mask) of every whole frame of the truths and results ``(i, j)`` in
        ``looks``, where its answers are put, by frame.
    mapper : Mapper
        Where frames are compared (`celltrail.data.running.workers.open_workers`).

    Returns
    -------
    list of list of Contingency
        ``tables[i][j]`` for truth i and result j.

    Raises
    ------
    InputError
        With every frame whose masks cannot be compared: another shape, negative labels, no integers.
    """
    collectors = [[_Collector() for _ in results] for _ in truths]
    frames = sorted({frame for truth in truths for frame in truth})
    found = problems if problems is not None else []
    answers = looks or {}
    progress("compare", 0, len(frames))
    work = partial(_compare_frame, look, frozenset(answers))
    for done, compared in enumerate(mapper(work, (_parcel(truths, results, frame) for frame in frames)), start=1):
        for row, column, overlap in compared.overlaps:
            collectors[row][column].parts.append((compared.frame, overlap))
        for pair, answer in compared.answers.items():
            answers[pair][compared.frame] = answer
        found += compared.problems
        progress("compare", done, len(frames))
    if problems is None:
        raise_if(shorten(found))
    return [[collector.table() for collector in row] for row in collectors]


Parcel = tuple[int, list[Masks], list[Masks]]


@dataclass
class _Compared:
    """What one frame gave: overlaps of truth i and result j, answers of ``look`` by (i, j), and what is wrong."""

    frame: int
    overlaps: list[tuple[int, int, Overlap]] = field(default_factory=list)
    answers: dict[tuple[int, int], Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _parcel(truths: Sequence[Masks], results: Sequence[Masks], frame: int) -> Parcel:
    """All that is needed to compare one frame, wherever that happens."""
    only = range(frame, frame + 1)
    annotated = [part_of(truth, only) if frame in truth else {} for truth in truths]
    return frame, annotated, [part_of(result, only) for result in results]


def _compare_frame(
    look: Callable[[NDArray[Any], NDArray[Any]], Any] | None, wanted: frozenset[tuple[int, int]], parcel: Parcel
) -> _Compared:
    frame, truths, results = parcel
    compared = _Compared(frame)
    annotated: list[tuple[int, list[tuple[int | None, NDArray[Any]]]]] = []
    try:
        for row, truth in enumerate(truths):
            if frame in truth:
                slices = getattr(truth, "slices", None)
                planes = slices(frame) if slices is not None else None
                annotated.append((row, planes if planes is not None else [(None, truth[frame])]))
    except InputError as error:
        compared.problems += error.problems
        return compared
    for column, result in enumerate(results):
        try:
            mask = result[frame]
        except InputError as error:
            compared.problems += error.problems
            continue
        for row, planes in annotated:
            for plane, labels in planes:
                name = f"Frame {frame}" if plane is None else f"Frame {frame}, slice {plane}"
                try:
                    part = mask if plane is None else _plane(mask, plane)
                    compared.overlaps.append((row, column, count_overlap(labels, part)))
                    if look is not None and plane is None and (row, column) in wanted:
                        compared.answers[row, column] = look(labels, part)
                except ValueError as error:
                    compared.problems.append(f"{name}: {error}.")
    return compared


def _plane(mask: NDArray[Any], plane: int) -> NDArray[Any]:
    if mask.ndim != 3:
        raise ValueError(f"the truth annotates a slice of a volume, but the result has the shape {mask.shape}")
    if plane >= mask.shape[0]:
        raise ValueError(f"the truth annotates this slice, but the result has only {counted(mask.shape[0], 'slice')}")
    part: NDArray[Any] = mask[plane]
    return part


def shorten(problems: Sequence[str]) -> list[str]:
    """The first problems, and how many more there are."""
    shown = list(dict.fromkeys(problems))
    more = len(shown) - SHOWN
    return [*shown[:SHOWN], f"… and {counted(more, 'more problem')}."] if more > 0 else shown
