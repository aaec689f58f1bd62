"""From tables to measures: every value, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks, clip_tracks
from celltrail.evaluation.errors import list_errors
from celltrail.evaluation.measures import biology, technical
from celltrail.evaluation.measures.catalogue import in_order
from celltrail.evaluation.measures.ceiling import measure_ceiling
from celltrail.evaluation.measures.contingency import Contingency, tabulate
from celltrail.evaluation.measures.mot import hota_over_thresholds, measure_identity, trajectory_of
from celltrail.evaluation.measures.per_frame import NAMES as SHAPE_NAMES
from celltrail.evaluation.measures.per_frame import Score, mean_scores
from celltrail.evaluation.measures.segmentation import measure_regions, threshold_curves
from celltrail.evaluation.measures.trajectories import NAMES as TRAJECTORY_NAMES
from celltrail.evaluation.measures.trajectories import measure_trajectories
from celltrail.evaluation.record import Detail, Evaluation
from celltrail.evaluation.stages import name_stages, open_stages
from celltrail.evaluation.suspects import find_suspects
from celltrail.evaluation.truth import OpenedResult, Truth

GROUPS = ("ctc", "regions", "shapes", "tracks")
TOLERANCES = (0, 1, 2, 3)
FULL_MARKER = 0.8  # of the area of full masks
NO_TRACKS = "the result has no res_track.txt"
NO_TRUTH_TRACKS = "the truth has no tracks (only the masks were compared)"


def score(
    truth: Truth,
    truth_tracks: Tracks | None,
    result: OpenedResult,
    markers: Contingency | None,
    seg: Contingency | None,
    shapes: Mapping[int, list[Score]],
    *,
    frames: range | None = None,
    groups: Collection[str] = GROUPS,
    voxel: tuple[float, float, float] | None = None,
    sparse: bool = False,
) -> Evaluation:
    """All measures of one result.

    Parameters
    ----------
    truth_tracks : Tracks | None
        The true tracks, clipped to ``frames``.
    markers, seg : Contingency | None
        Tables against the markers and the full masks.
    shapes : Mapping[int, list[Score]]
        Scores of the frames with full masks, by frame.
    groups : Collection[str]
        Of `GROUPS`.
    sparse : bool
        The truth shows some lineages only; what the result has beyond them does not count.
    """
    compared = markers if markers is not None else seg
    assert compared is not None
    evaluation = Evaluation(str(truth.path), str(result.path), truth.kind, compared.frames.tolist())
    tracks = None if result.tracks is None else clip_tracks(result.tracks, frames)
    if sparse and tracks is not None and markers is not None:
        tracks = _followed_tracks(markers, tracks)
    detail = Detail(markers, seg, truth_tracks, tracks, len(result.masks.shape), voxel or result.masks.voxel)
    evaluation.detail = detail
    _measure_seg(evaluation, truth, seg, markers, shapes, groups, sparse)
    _measure_tracking(evaluation, detail, result, groups, sparse)
    value = evaluation.measures
    for name, parts in (("OP_CSB", ("SEG", "DET")), ("OP_CTB", ("SEG", "TRA"))):
        missing = [part for part in parts if value[part] is None]
        reason = f"{missing[0]} has no value: {evaluation.reasons[missing[0]]}" if missing else ""
        evaluation.put({name: None if missing else sum(value[part] or 0.0 for part in parts) / 2}, reason)
    evaluation.measures = {name: value[name] for name in in_order(value)}
    return evaluation


def _measure_seg(
    evaluation: Evaluation,
    truth: Truth,
    seg: Contingency | None,
    markers: Contingency | None,
    shapes: Mapping[int, list[Score]],
    groups: Collection[str],
    sparse: bool,
) -> None:
    names = [
        *(measure_regions(tabulate({}, {})) if "regions" in groups else ()),
        *(SHAPE_NAMES if "shapes" in groups else ()),
    ]
    if seg is None:
        reason = "the truth has no full masks (SEG) in these frames"
        evaluation.put(dict.fromkeys(["SEG", *names]), reason)
        return
    evaluation.seg_frames = seg.frames.tolist()
    evaluation.put({"SEG": technical.seg(seg)}, "the full masks of the truth hold no object")
    whole, reason = _whole_frames(truth, seg, markers)
    if sparse:
        whole, reason = whole[:0], "the truth shows some cells only"
    evaluation.counts["region_frames"] = len(whole)
    if reason:
        evaluation.put(dict.fromkeys(names), reason)
        return
    nothing = "there is nothing to compare in these frames"
    if "regions" in groups:
        evaluation.put(measure_regions(seg.only(whole)), nothing)
        evaluation.curves = threshold_curves(seg.only(whole))
    if "shapes" in groups:
        evaluation.put(mean_scores(shapes, whole.tolist()), nothing)


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
        return np.zeros(0, np.int64), (
            "every frame of SEG is annotated in part (fewer cells than markers in TRA); "
            "use --truth ST if there is a silver truth"
        )
    return np.array(whole, dtype=np.int64), ""


def _tracking_names(groups: Collection[str]) -> list[str]:
    names = ["DET", "TRA", "LNK", "CT", "TF", "CCA"]
    names += [f"{name}{i}" for name in ("BC", "BIO", "OP_CLB") for i in ("", *(f"({i})" for i in TOLERANCES))]
    if "tracks" in groups:
        names += [
            "HOTA",
            "DetA",
            "AssA",
            "HOTA_CTC",
            "IDF1",
            "IDP",
            "IDR",
            "MOTA",
            "ID_switches",
            "track_purity",
            "target_effectiveness",
            *TRAJECTORY_NAMES,
        ]
        names += [
            f"division_{name}{i}"
            for name in ("F1", "precision", "recall")
            for i in ("", *(f"({i})" for i in TOLERANCES))
        ]
    return names


def _followed_tracks(table: Contingency, tracks: Tracks) -> Tracks:
    """The tracks of a result that match a true cell in some frame."""
    kept = np.unique(table.result.label[table.taken > 0])
    rows = tracks.rows()[np.isin(tracks.label, kept)]
    rows[~np.isin(rows[:, 3], kept), 3] = 0
    return Tracks.from_rows(rows.tolist())


def _measure_tracking(
    evaluation: Evaluation, detail: Detail, result: OpenedResult, groups: Collection[str], sparse: bool
) -> None:
    names = _tracking_names(groups)
    evaluation.put(dict.fromkeys(names), NO_TRUTH_TRACKS)
    table, truth, tracks = detail.markers, detail.truth, detail.result
    if table is None or truth is None:
        return
    _count_per_frame(evaluation, table, truth, tracks)
    operations = technical.count_operations(table, truth, tracks)
    if sparse:
        operations = replace(operations, spurious=operations.spurious[:0])
    detail.operations = operations
    evaluation.counts |= {
        "truth_cells": len(table.truth),
        "result_cells": len(table.result),
        "truth_tracks": len(truth),
        "truth_divisions": len(truth.divisions()),
    }
    errors = list_errors(table, operations, sequence=evaluation.name, ndim=detail.ndim)
    suspects = []
    if "tracks" in groups:
        suspects = find_suspects(table.truth, truth, table.frames, sequence=evaluation.name, ndim=detail.ndim)
        evaluation.counts["suspect_gt"] = len(suspects)
    counts = operations.counts
    if tracks is None:
        evaluation.put(dict.fromkeys(names), NO_TRACKS)
        counts = {name: counts[name] for name in ("NS", "FN", "FP")}
        errors = [error for error in errors if error.type in counts]
    evaluation.put({"DET": technical.det(operations)}, "the truth holds no object")
    evaluation.counts |= counts
    evaluation.errors = [*errors, *suspects]
    if tracks is None:
        return
    finder = open_stages(result.path, table, detail.ndim)
    if finder is not None:
        mothers = truth.divisions()
        spans = zip(truth.label.tolist(), truth.end.tolist(), strict=True)
        dividing = {(end, label) for label, end in spans if label in mothers}
        evaluation.errors = name_stages(evaluation.errors, finder, dividing)
    evaluation.counts |= {
        "AOGM": operations.aogm,
        "truth_links": operations.edges,
        "result_tracks": len(tracks),
        "result_divisions": len(tracks.divisions()),
    }
    evaluation.put({"TRA": technical.tra(operations)}, "the truth holds no object")
    evaluation.put({"LNK": technical.lnk(operations)}, "the truth holds no link")
    _measure_biology(evaluation, table, truth, tracks, groups)
    if "tracks" in groups:
        evaluation.ceiling = measure_ceiling(table.only_results(table.taken > 0) if sparse else table, truth)
        seen = table.only_results(table.taken > 0) if sparse else table
        _measure_tracks(evaluation, detail, seen, truth, tracks)


def _count_per_frame(evaluation: Evaluation, table: Contingency, truth: Tracks, result: Tracks | None) -> None:
    for name, objects, tracks in (("truth", table.truth, truth), ("result", table.result, result)):
        step = np.searchsorted(table.frames, objects.frame)
        evaluation.per_frame[f"{name}_cells"] = np.bincount(step, minlength=len(table.frames)).tolist()
        if tracks is not None:
            ends = tracks.end[np.isin(tracks.label, list(tracks.divisions()))]
            step = np.searchsorted(table.frames, ends)
            evaluation.per_frame[f"{name}_divisions"] = np.bincount(step, minlength=len(table.frames)).tolist()


def _measure_tracks(evaluation: Evaluation, detail: Detail, table: Contingency, truth: Tracks, tracks: Tracks) -> None:
    evaluation.put(measure_identity(table, truth, tracks), "the truth or the result holds no object")
    evaluation.put(measure_trajectories(table, truth, tracks, voxel=detail.voxel), "no cell of the truth is followed")
    full, reason = _full_markers(table, detail.seg)
    found: dict[str, float | None] = dict.fromkeys(("HOTA", "DetA", "AssA"))
    if full and len(table.truth):
        found |= hota_over_thresholds(table, trajectory_of(table.truth, truth), trajectory_of(table.result, tracks))
    evaluation.put(found, reason or "the truth holds no object")


def _full_markers(markers: Contingency, seg: Contingency | None) -> tuple[bool, str]:
    """Whether the markers are full masks, as large as those of SEG; else the reason why IoU means nothing on them."""
    here = markers.truth.area[np.isin(markers.truth.frame, [] if seg is None else seg.frames)]
    sizes = None
    if seg is not None and len(seg.truth) and len(here):
        sizes = float(np.median(here)) / float(np.median(seg.truth.area))
    if sizes is not None and sizes >= FULL_MARKER:
        return True, ""
    if sizes is None:
        return False, "no full masks tell whether TRA holds full masks; HOTA_CTC uses the CTC's match instead"
    return False, ("TRA holds markers, not full masks, so that IoU says nothing; HOTA_CTC uses the CTC's match instead")


def _put_divisions(evaluation: Evaluation, counts: tuple[int, int, int], tolerance: int) -> None:
    found, invented, missed = counts
    values = {
        "division_F1": 2 * found / (2 * found + invented + missed) if found + missed else None,
        "division_precision": found / (found + invented) if found + invented else None,
        "division_recall": found / (found + missed) if found + missed else None,
    }
    for name, value in values.items():
        reason = "the result holds no division" if name.endswith("precision") else "the truth holds no division"
        evaluation.put({f"{name}({tolerance})": value}, reason)
        if tolerance == 0:
            evaluation.put({name: value}, reason)


def _measure_biology(
    evaluation: Evaluation, table: Contingency, truth: Tracks, result: Tracks, groups: Collection[str]
) -> None:
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
        if "tracks" in groups:
            _put_divisions(evaluation, counts, i)
