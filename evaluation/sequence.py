"""One result against its truth: read both, count, and give every measure a value or a reason why it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.ctc import find_sequences, track_file
from data.errors import InputError, raise_if
from data.frames import Frames
from data.progress import Progress, silent
from data.tracks import Tracks
from evaluation import biology, ctc
from evaluation.contingency import Contingency, Masks, shorten, tabulate, tabulate_many
from evaluation.errors import Error, list_errors
from evaluation.measures import in_order
from evaluation.regions import measure_regions, pixel_measures
from evaluation.truth import (
    Result,
    SegTruth,
    Truth,
    TruthKind,
    clip_tracks,
    compare_frames,
    disagreements,
    open_result,
    open_truth,
)

TOLERANCES = (0, 1, 2, 3)
NO_TRACKS = "the result has no res_track.txt"
NO_TRUTH_TRACKS = "the truth has no tracks (only the masks were compared)"


@dataclass
class Evaluation:
    """The measures of one result on one sequence.

    measures : name → value; ``None`` where the data do not define it, with the reason in ``reasons``.
    counts : the six counts of AOGM, ``AOGM``, vertices, edges, divisions and so on.
    errors : every operation of AOGM, with its place. frames : those that were compared.
    truth : "GT", or "ST" where the full masks are computer-made. terms : which measures entered BIO(i).
    seg_frames : the frames with full masks. per_frame : for each of ``frames`` the cells of truth and
    result, and the mothers that divide after it.
    """

    gt: str
    res: str
    truth: str
    frames: list[int]
    measures: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    terms: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Error] = field(default_factory=list)
    seg_frames: list[int] = field(default_factory=list)
    per_frame: dict[str, list[int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the sequence: "01" for ``01_GT``."""
        return Path(self.gt).name.removesuffix("_GT")

    def put(self, values: Mapping[str, float | None], reason: str = "") -> None:
        """Add measures; ``reason`` for those that are ``None``."""
        for name, value in values.items():
            self.measures[name] = value
            self.reasons.pop(name, None)
            if value is None:
                self.reasons[name] = reason

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the evaluation JSON."""
        return {
            "gt": self.gt, "res": self.res, "truth": self.truth,
            "frames": self.frames, "seg_frames": self.seg_frames,
            "measures": self.measures, "reasons": self.reasons, "counts": self.counts, "terms": self.terms,
            "per_frame": self.per_frame,
        }  # fmt: skip


def evaluate_sequence(
    gt: Path,
    res: Path,
    *,
    frames: range | None = None,
    truth: TruthKind = "GT",
    only_masks: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Compare a result with its ground truth.

    Parameters
    ----------
    gt : folder of the truth (``NN_GT`` with ``TRA`` and ``SEG``).
    res : folder of the result (``maskTTT.tif``, ``res_track.txt``). Without ``res_track.txt`` only
        the measures of masks and detections have values.
    frames : compare only these frame numbers; tracks are clipped to them.
    truth : ``"ST"`` takes the full masks from the silver truth ``NN_ST/SEG`` beside ``gt``.
    only_masks : compare full masks only; the truth needs no ``TRA``.

    Raises
    ------
    InputError
        With every problem of both folders.
    """
    return evaluate_many(gt, {"": res}, frames=frames, truth=truth, only_masks=only_masks, progress=progress)[""]


def evaluate_many(
    gt: Path,
    results: Mapping[str, Path],
    *,
    frames: range | None = None,
    truth: TruthKind = "GT",
    only_masks: bool = False,
    progress: Progress = silent,
) -> dict[str, Evaluation]:
    """Compare several results with one truth, which is read once; see :func:`evaluate_sequence`."""
    opened, problems = open_truth(gt, frames=frames, truth=truth, only_masks=only_masks)
    candidates: dict[str, Result] = {}
    for name, path in results.items():
        result, found = open_result(path, frames=frames)
        problems += found
        if result is not None:
            candidates[name] = result
    if opened is None or (opened.markers is None and opened.seg is None) or not candidates:
        raise InputError(*shorten(problems))
    tables = _read_tables(opened, list(candidates.values()), problems, progress)
    clipped = None if opened.tracks is None else clip_tracks(opened.tracks, frames)
    evaluations = {}
    for (name, result), (markers, seg) in zip(candidates.items(), tables, strict=True):
        evaluations[name] = _measure(opened, clipped, result, markers, seg, frames)
    return evaluations


def _read_tables(
    truth: Truth, results: Sequence[Result], problems: list[str], progress: Progress
) -> list[tuple[Contingency | None, Contingency | None]]:
    """The tables (markers, full masks) of every result; raises with ``problems`` and all that is found on the way."""
    seg: Masks | None = truth.seg
    for result in results:
        if truth.markers is not None:
            problems += compare_frames(truth.markers, truth.markers.path, result.masks, result.path)
        if truth.seg is not None:
            absent = sorted(set(truth.seg) - set(result.masks))
            if absent and (truth.markers is None or set(absent) - set(truth.markers)):
                problems.append(f"{result.path} lacks frames of {truth.seg.path} (the first is {absent[0]}): add them, "
                                "or choose --frames that both have.")  # fmt: skip
    common = set.intersection(*(set(result.masks) for result in results))
    markers = None if truth.markers is None else _Part(truth.markers, common)
    seg = None if truth.seg is None else _Part(truth.seg, common)
    truths = [masks for masks in (markers, seg) if masks is not None]
    tables = tabulate_many(truths, [result.masks for result in results], progress=progress, problems=problems)
    rows = iter(tables)
    of_markers = next(rows) if markers is not None else [None] * len(results)
    of_seg = next(rows) if seg is not None else [None] * len(results)
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


class _Part(Mapping[int, NDArray[Any]]):
    """The frames of a truth that can be compared."""

    def __init__(self, masks: Frames | SegTruth, frames: set[int]) -> None:
        self.masks = masks
        self.frames = [frame for frame in masks if frame in frames]

    def __getitem__(self, frame: int) -> NDArray[Any]:
        return self.masks[frame]

    def __iter__(self) -> Any:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self.frames

    def slices(self, frame: int) -> list[tuple[int | None, NDArray[Any]]] | None:
        return self.masks.slices(frame) if isinstance(self.masks, SegTruth) else None


def _measure(
    truth: Truth,
    truth_tracks: Tracks | None,
    result: Result,
    markers: Contingency | None,
    seg: Contingency | None,
    frames: range | None,
) -> Evaluation:
    compared = markers if markers is not None else seg
    assert compared is not None
    evaluation = Evaluation(str(truth.path), str(result.path), truth.kind, compared.frames.tolist())
    tracks = None if result.tracks is None else clip_tracks(result.tracks, frames)
    ndim = len(result.masks.shape)
    _measure_seg(evaluation, truth, seg, markers)
    _measure_tracking(evaluation, markers, truth_tracks, tracks, ndim)
    value = evaluation.measures
    for name, parts in (("OP_CSB", ("SEG", "DET")), ("OP_CTB", ("SEG", "TRA"))):
        missing = [part for part in parts if value[part] is None]
        reason = f"{missing[0]} has no value: {evaluation.reasons[missing[0]]}" if missing else ""
        evaluation.put({name: None if missing else sum(value[part] or 0.0 for part in parts) / 2}, reason)
    evaluation.measures = {name: value[name] for name in in_order(value)}
    return evaluation


def _measure_seg(evaluation: Evaluation, truth: Truth, seg: Contingency | None, markers: Contingency | None) -> None:
    names = list(measure_regions(_empty_table()))
    if seg is None:
        reason = "the truth has no full masks (SEG) in these frames"
        evaluation.put(dict.fromkeys(["SEG", *names]), reason)
        return
    evaluation.seg_frames = seg.frames.tolist()
    evaluation.put({"SEG": ctc.seg(seg)}, "the full masks of the truth hold no object")
    whole, reason = _whole_frames(truth, seg, markers)
    evaluation.counts["region_frames"] = len(whole)
    if reason:
        evaluation.put(dict.fromkeys(names), reason)
    else:
        evaluation.put(measure_regions(seg.only(whole)), "there is nothing to compare in these frames")


def _whole_frames(truth: Truth, seg: Contingency, markers: Contingency | None) -> tuple[NDArray[np.int64], str]:
    """The frames whose full masks show every cell, or the reason why there is none."""
    if truth.seg is not None and truth.seg.single:
        return np.zeros(0, np.int64), "only single slices are annotated; SEG alone is defined on them"
    if markers is None or truth.kind == "ST":
        return seg.frames, ""
    cells = {frame: int(np.sum(seg.truth.frame == frame)) for frame in seg.frames.tolist()}
    marked = {frame: int(np.sum(markers.truth.frame == frame)) for frame in seg.frames.tolist()}
    whole = [frame for frame in cells if cells[frame] >= marked[frame]]
    if not whole:
        return np.zeros(0, np.int64), ("every frame of SEG is annotated in part (fewer cells than markers in TRA); "
                                       "use --truth ST if there is a silver truth")  # fmt: skip
    return np.array(whole, dtype=np.int64), ""


def _empty_table() -> Contingency:
    return tabulate({}, {})


def _measure_tracking(
    evaluation: Evaluation,
    table: Contingency | None,
    truth: Tracks | None,
    result: Tracks | None,
    ndim: int,
) -> None:
    names = ["DET", "TRA", "LNK", "CT", "TF", "BC", *(f"BC({i})" for i in TOLERANCES), "CCA", "BIO",
             *(f"BIO({i})" for i in TOLERANCES), "OP_CLB", *(f"OP_CLB({i})" for i in TOLERANCES)]  # fmt: skip
    evaluation.put(dict.fromkeys(names), NO_TRUTH_TRACKS)
    if table is None or truth is None:
        return
    for name, objects, tracks in (("truth", table.truth, truth), ("result", table.result, result)):
        step = np.searchsorted(table.frames, objects.frame)
        evaluation.per_frame[f"{name}_cells"] = np.bincount(step, minlength=len(table.frames)).tolist()
        if tracks is not None:
            ends = tracks.end[np.isin(tracks.label, list(tracks.divisions()))]
            step = np.searchsorted(table.frames, ends)
            evaluation.per_frame[f"{name}_divisions"] = np.bincount(step, minlength=len(table.frames)).tolist()
    operations = ctc.count_operations(table, truth, result)
    evaluation.put({"DET": ctc.det(operations)}, "the truth holds no object")
    evaluation.counts |= {"truth_cells": len(table.truth), "result_cells": len(table.result),
                          "truth_tracks": len(truth), "truth_divisions": len(truth.divisions())}  # fmt: skip
    if result is None:
        evaluation.put(dict.fromkeys(names[1:]), NO_TRACKS)
        vertices = ("NS", "FN", "FP")
        evaluation.counts |= {name: count for name, count in operations.counts.items() if name in vertices}
        errors = list_errors(table, operations, sequence=evaluation.name, ndim=ndim)
        evaluation.errors = [error for error in errors if error.type in vertices]
        return
    evaluation.errors = list_errors(table, operations, sequence=evaluation.name, ndim=ndim)
    evaluation.counts |= {**operations.counts, "AOGM": operations.aogm, "truth_links": operations.edges,
                          "result_tracks": len(result), "result_divisions": len(result.divisions())}  # fmt: skip
    evaluation.put({"TRA": ctc.tra(operations)}, "the truth holds no object")
    evaluation.put({"LNK": ctc.lnk(operations)}, "the truth holds no link")
    _measure_biology(evaluation, table, truth, result)


def _measure_biology(evaluation: Evaluation, table: Contingency, truth: Tracks, result: Tracks) -> None:
    ct, tf = biology.complete_tracks(table, truth, result), biology.track_fractions(table, truth)
    cca = biology.cell_cycle_accuracy(truth, result)
    evaluation.put({"CT": ct, "TF": tf}, "there are no tracks")
    evaluation.put({"CCA": cca}, "the truth holds no whole cell cycle (a track from division to division)")
    lnk = evaluation.measures["LNK"]
    for i in TOLERANCES:
        counts = biology.division_counts(table, truth, result, i)
        evaluation.counts[f"divisions_found({i})"] = counts[0]
        parts = {"CT": ct, "TF": tf, f"BC({i})": biology.branching(counts), "CCA": cca}
        bio = biology.mean_of_defined(*parts.values())
        clb = None if lnk is None or bio is None else (lnk + bio) / 2
        evaluation.terms[f"BIO({i})"] = [name for name, value in parts.items() if value is not None]
        for name, value, reason in (
            ("BC", parts[f"BC({i})"], "the truth holds no division"),
            ("BIO", bio, "none of CT, TF, BC and CCA is defined"),
            ("OP_CLB", clb, "LNK or BIO is not defined"),
        ):
            evaluation.put({f"{name}({i})": value}, reason)
            if i == 0:
                evaluation.put({name: value}, reason)


def segmentation_scores(truth: Masks, masks: Masks) -> dict[str, float]:
    """``IoU``, ``SEG`` and ``DET`` of masks against full truth masks, frame by frame; 0 where not defined.

    Parameters
    ----------
    truth, masks : frame number → label image. Every frame of ``truth`` must be in ``masks``.

    Raises
    ------
    InputError
        If a frame is missing, or the images cannot be compared.
    """
    absent = sorted(set(truth) - set(masks))
    if absent:
        raise InputError(f"There are no masks for frame {absent[0]} of the truth ({len(absent)} frames are missing).")
    table = tabulate(truth, masks)
    operations = ctc.count_operations(table, Tracks.from_rows([]), None)
    values = {"IoU": pixel_measures(table)["IoU"], "SEG": ctc.seg(table), "DET": ctc.det(operations)}
    return {name: 0.0 if value is None else value for name, value in values.items()}


@dataclass
class DatasetEvaluation:
    """The evaluations of all sequences of a data set, and the mean of each measure.

    A measure enters the mean of the sequences where it has a value.
    """

    sequences: list[Evaluation]

    @property
    def mean(self) -> dict[str, float | None]:
        """Mean over the sequences, as the CTC does; ``None`` where no sequence has a value."""
        names = dict.fromkeys(name for evaluation in self.sequences for name in evaluation.measures)
        return {
            name: biology.mean_of_defined(*(evaluation.measures.get(name) for evaluation in self.sequences))
            for name in names
        }


def evaluate_dataset(
    dataset: Path, *, frames: range | None = None, truth: TruthKind = "GT", progress: Progress = silent
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
            evaluations.append(evaluate_sequence(gt, res, frames=frames, truth=truth, progress=progress))
        except InputError as error:
            problems += error.problems
    raise_if(problems)
    return DatasetEvaluation(evaluations)
