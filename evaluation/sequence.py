"""One result against its truth: read both, count, and give every measure a value or a reason why it has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.ctc import find_sequences, track_file
from celltrail.data.files.movie import Frames, LazyFrames
from celltrail.data.files.opening import as_frames
from celltrail.data.files.tracks import Tracks, clip_tracks
from celltrail.data.labels.instances import sample_frames
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.evaluation.measures import technical
from celltrail.evaluation.measures.contingency import Contingency, shorten, tabulate, tabulate_many
from celltrail.evaluation.measures.per_frame import Score, score_shapes
from celltrail.evaluation.measures.segmentation import pixel_measures
from celltrail.evaluation.record import DatasetEvaluation, Evaluation
from celltrail.evaluation.scoring import GROUPS, score
from celltrail.evaluation.truth import (
    FEW_NUMBERS,
    OpenedResult,
    SegTruth,
    Truth,
    TruthKind,
    compare_frames,
    disagreements,
    instance_problems,
    open_result,
    open_truth,
)


def evaluate_sequence(
    gt: Path,
    res: Path,
    *,
    frames: range | tuple[int, int] | None = None,
    truth: TruthKind = "GT",
    only_masks: bool = False,
    groups: Collection[str] = GROUPS,
    voxel: tuple[float, float, float] | None = None,
    sparse: bool = False,
    mapper: Mapper = map,
    progress: Progress = silent,
) -> Evaluation:
    """Compare a result with its ground truth.

    Parameters
    ----------
    gt : Path
        Folder of the truth (``NN_GT`` with ``TRA`` and ``SEG``).
    res : Path
        Folder of the result (``maskTTT.tif``, ``res_track.txt``). Without ``res_track.txt`` only the measures of
        masks and detections have values.
    frames : range | tuple[int, int] | None
        Compare only these frame numbers, a range or (first, last) with both included; tracks are clipped to them.
    truth : TruthKind
        ``"ST"`` takes the full masks from the silver truth ``NN_ST/SEG`` beside ``gt``.
    only_masks : bool
        Compare full masks only; the truth needs no ``TRA``.
    groups : Collection[str]
        What to measure beside SEG, DET, TRA and LNK: "regions" (IoU, Rand …), "shapes" (warping error, V_rand),
        "tracks" (HOTA, IDF1, ADE …, the ceiling, suspect truth).
    voxel : tuple[float, float, float] | None
        Size (z, y, x) in µm, for distances; otherwise from the metadata of the masks.
    sparse : bool
        The truth shows some lineages only: masks, tracks and divisions beyond them do not count.
    mapper : Mapper
        Where frames are compared (`celltrail.data.running.workers.open_workers`); the result does not depend on it.

    Raises
    ------
    InputError
        With every problem of both folders.
    """
    results = {"": res}
    return evaluate_many(
        gt,
        results,
        frames=frames,
        truth=truth,
        only_masks=only_masks,
        groups=groups,
        voxel=voxel,
        sparse=sparse,
        mapper=mapper,
        progress=progress,
    )[""]


def evaluate_many(
    gt: Path,
    results: Mapping[str, Path],
    *,
    frames: range | tuple[int, int] | None = None,
    truth: TruthKind = "GT",
    only_masks: bool = False,
    groups: Collection[str] = GROUPS,
    voxel: tuple[float, float, float] | None = None,
    sparse: bool = False,
    mapper: Mapper = map,
    progress: Progress = silent,
) -> dict[str, Evaluation]:
    """Compare several results with one truth, which is read once; see `evaluate_sequence`."""
    frames = as_frames(frames)
    opened, problems = open_truth(gt, frames=frames, truth=truth, only_masks=only_masks)
    candidates: dict[str, OpenedResult] = {}
    for name, path in results.items():
        result, found = open_result(path, frames=frames)
        problems += found
        if result is not None:
            candidates[name] = result
    if opened is None or (opened.markers is None and opened.seg is None) or not candidates:
        raise InputError(*shorten(problems))
    shapes: list[dict[int, list[Score]]] = [{} for _ in candidates]
    wanted = shapes if "shapes" in groups else None
    tables = _read_tables(opened, list(candidates.values()), problems, wanted, mapper, progress)
    clipped = None if opened.tracks is None else clip_tracks(opened.tracks, frames)
    evaluations = {}
    for (name, result), (markers, seg), shape in zip(candidates.items(), tables, shapes, strict=True):
        evaluations[name] = score(
            opened, clipped, result, markers, seg, shape, frames=frames, groups=groups, voxel=voxel, sparse=sparse
        )
    return evaluations


def _read_tables(
    truth: Truth,
    results: Sequence[OpenedResult],
    problems: list[str],
    shapes: Sequence[dict[int, list[Score]]] | None,
    mapper: Mapper,
    progress: Progress,
) -> list[tuple[Contingency | None, Contingency | None]]:
    """The tables (markers, full masks) of every result; raises with ``problems`` and all that is found on the way."""
    for result in results:
        if truth.markers is not None:
            problems += compare_frames(truth.markers, truth.markers.path, result.masks, result.path)
        if truth.seg is not None:
            absent = sorted(set(truth.seg) - set(result.masks))
            if absent and (truth.markers is None or set(absent) - set(truth.markers)):
                problems.append(
                    f"{result.path} lacks frames of {truth.seg.path} (the first is {absent[0]}): add them, "
                    "or choose --frames that both have."
                )
    common = set.intersection(*(set(result.masks) for result in results))
    markers = None if truth.markers is None else _Part(truth.markers, common)
    seg = None if truth.seg is None else _Part(truth.seg, common)
    truths = [masks for masks in (markers, seg) if masks is not None]

    of_shapes = {(len(truths) - 1, column): scores for column, scores in enumerate(shapes or ()) if seg is not None}
    tables = tabulate_many(
        truths,
        [result.masks for result in results],
        problems=problems,
        look=score_shapes,
        looks=of_shapes,
        mapper=mapper,
        progress=progress,
    )
    rows = iter(tables)
    of_markers = next(rows) if markers is not None else [None] * len(results)
    of_seg = next(rows) if seg is not None else [None] * len(results)
    for part, table in ((markers, of_markers[0]), (seg, of_seg[0])):
        if part is not None and table is not None and len(np.unique(table.truth.label)) <= FEW_NUMBERS:
            problems += instance_problems(part.path, part.some_pictures())
    for result, table in zip(results, of_markers, strict=True):
        if table is None or truth.markers is None:
            continue
        if truth.tracks is not None:
            path = track_file(truth.markers.path)
            problems += disagreements(path or truth.markers.path, truth.tracks, table.truth, table.frames)
        if result.tracks is not None:
            path = track_file(result.path)
            problems += disagreements(path or result.path, result.tracks, table.result, table.frames)
    raise_if(shorten(problems))
    return list(zip(of_markers, of_seg, strict=True))


class _Part(LazyFrames):
    """The frames of a truth that can be compared."""

    def __init__(self, masks: Frames | SegTruth, frames: Collection[int]) -> None:
        super().__init__(frame for frame in masks if frame in frames)
        self.masks, self.path = masks, masks.path

    def between(self, frames: range) -> _Part:
        """The same truth, only the frames whose number is in ``frames``."""
        return _Part(self.masks.between(frames), [frame for frame in frames if frame in self])

    def __getitem__(self, frame: int) -> NDArray[Any]:
        return self.masks[frame]

    def some_pictures(self) -> list[NDArray[Any]]:
        """The label images, or annotated slices, of a few frames."""
        numbers = sample_frames(self)
        return [image for number in numbers for _, image in self.slices(number) or [(None, self[number])]]

    def slices(self, frame: int) -> list[tuple[int | None, NDArray[Any]]] | None:
        return self.masks.slices(frame) if isinstance(self.masks, SegTruth) else None


def segmentation_scores(truth: Masks, masks: Masks) -> dict[str, float]:
    """``IoU``, ``SEG`` and ``DET`` of masks against full truth masks, frame by frame; 0 where not defined.

    Parameters
    ----------
    truth, masks : Masks
        Frame number → label image. Every frame of ``truth`` must be in ``masks``.

    Raises
    ------
    InputError
        If a frame is missing, or the images cannot be compared.
    """
    absent = sorted(set(truth) - set(masks))
    if absent:
        raise InputError(
            f"There are no masks for frame {absent[0]} of the truth ({counted(len(absent), 'frame is', 'frames are')} missing)."
        )
    table = tabulate(truth, masks)
    operations = technical.count_operations(table, Tracks.from_rows([]), None)
    values = {"IoU": pixel_measures(table)["IoU"], "SEG": technical.seg(table), "DET": technical.det(operations)}
    return {name: 0.0 if value is None else value for name, value in values.items()}


def evaluate_dataset(
    dataset: Path,
    *,
    frames: range | tuple[int, int] | None = None,
    truth: TruthKind = "GT",
    groups: Collection[str] = GROUPS,
    voxel: tuple[float, float, float] | None = None,
    sparse: bool = False,
    mapper: Mapper = map,
    progress: Progress = silent,
) -> DatasetEvaluation:
    """Evaluate every sequence of a data set that has both ``NN_GT`` and ``NN_RES``.

    Raises
    ------
    InputError
        If there is none, or with the problems of all of them.
    """
    pairs = [(s.gt, s.result) for s in find_sequences(dataset) if s.gt is not None and s.result is not None]
    if not pairs:
        raise InputError(f"{dataset} holds no sequence with both NN_GT and NN_RES: track first, or give both folders.")
    evaluations: list[Evaluation] = []
    problems: list[str] = []
    for gt, res in pairs:
        try:
            evaluations.append(
                evaluate_sequence(
                    gt,
                    res,
                    frames=frames,
                    truth=truth,
                    groups=groups,
                    voxel=voxel,
                    sparse=sparse,
                    mapper=mapper,
                    progress=progress,
                )
            )
        except InputError as error:
            problems += error.problems
    raise_if(problems)
    return DatasetEvaluation(evaluations)
