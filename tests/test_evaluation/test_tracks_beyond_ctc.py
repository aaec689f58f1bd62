"""HOTA, IDF1, MOTA, ADE, JACT: against py-ctcmetrics, against literal versions, and by hand."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_movies import Movie, random_pair, write_sequence
from scipy.optimize import linear_sum_assignment

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation import evaluate_sequence
from celltrail.evaluation.measures.assignment import best_pairs
from celltrail.evaluation.measures.contingency import tabulate
from celltrail.evaluation.measures.mot import ALPHAS, hota_over_thresholds, trajectory_of
from celltrail.evaluation.measures.trajectories import measure_trajectories

Write = Callable[..., tuple[Path, Path]]


def test_equal_to_py_ctcmetrics_where_no_mask_covers_two_cells(tmp_path: Path) -> None:
    """py-ctcmetrics pairs several cells with one mask, and counts such a mask twice in MOTA."""
    ctc_metrics = pytest.importorskip("ctc_metrics")
    compared = 0
    for seed in range(60):
        gt, res = write_sequence(tmp_path / str(seed), *random_pair(seed))
        ours = evaluate_sequence(gt, res)
        if ours.counts["NS"]:
            continue
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            theirs = ctc_metrics.evaluate_sequence(str(res), str(gt), metrics=["HOTA", "IDF1", "MOTA"], threads=1)
        for name, other in (
            ("HOTA_CTC", "HOTA"),
            ("IDF1", "IDF1"),
            ("IDP", "IDP"),
            ("IDR", "IDR"),
            ("MOTA", "MOTA"),
            ("ID_switches", "IDSW"),
        ):
            assert ours.measures[name] == pytest.approx(theirs[other], abs=1e-9), (seed, name)
        compared += 1
    assert compared >= 10


def literal_hota(truth: Movie, result: Movie) -> float:
    """HOTA as its paper writes it, with dense tables."""
    assert truth.tracks is not None
    assert result.tracks is not None
    table = tabulate(truth.masks, result.masks)
    mine, theirs = trajectory_of(table.truth, truth.tracks), trajectory_of(table.result, result.tracks)
    a_names, a_of = np.unique(mine, return_inverse=True)
    b_names, b_of = np.unique(theirs, return_inverse=True)
    possible = np.zeros((len(a_names), len(b_names)))
    frames = []
    for frame in table.frames:
        rows, columns = np.flatnonzero(table.truth.frame == frame), np.flatnonzero(table.result.frame == frame)
        iou = np.zeros((len(rows), len(columns)))
        for k in range(len(table.gt)):
            if table.truth.frame[table.gt[k]] == frame:
                iou[np.searchsorted(rows, table.gt[k]), np.searchsorted(columns, table.res[k])] = table.iou[k]
        either = iou.sum(0)[None, :] + iou.sum(1)[:, None] - iou
        possible[np.ix_(a_of[rows], b_of[columns])] += np.divide(iou, either, out=np.zeros_like(iou), where=either > 0)
        frames.append((a_of[rows], b_of[columns], iou))
    lengths = np.bincount(a_of)[:, None] + np.bincount(b_of)[None, :]
    alignment = possible / (lengths - possible)
    values = []
    for alpha in ALPHAS:
        hits, paired = np.zeros_like(possible), 0
        for a, b, iou in frames:
            for i, j in zip(*linear_sum_assignment(alignment[np.ix_(a, b)] * iou, maximize=True), strict=True):
                if iou[i, j] > 0 and iou[i, j] >= alpha - 1e-12:
                    hits[a[i], b[j]] += 1
                    paired += 1
        total = len(mine) + len(theirs) - paired
        values.append(np.sqrt((hits * hits / np.maximum(lengths - hits, 1)).sum() / total))
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(12))
def test_hota_as_in_its_paper(seed: int) -> None:
    truth, result = random_pair(seed)
    assert truth.tracks is not None
    assert result.tracks is not None
    table = tabulate(truth.masks, result.masks)
    mine, theirs = trajectory_of(table.truth, truth.tracks), trajectory_of(table.result, result.tracks)
    assert hota_over_thresholds(table, mine, theirs)["HOTA"] == pytest.approx(literal_hota(truth, result), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_best_pairs_by_trying_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random((4, 4)) < 0.5, rng.random((4, 4)), 0)
    a, b = np.nonzero(rng.random((4, 4)) < 0.8)
    rows = best_pairs(a, b, gain[a, b])
    allowed = np.zeros((4, 4))
    allowed[a, b] = gain[a, b]
    best = max(sum(allowed[i, p[i]] for i in range(4)) for p in permutations(range(4)))
    assert gain[a, b][rows].sum() == pytest.approx(best)
    assert len(set(a[rows].tolist())) == len(set(b[rows].tolist())) == len(rows)


def test_an_identity_switch(sequence: Write, two_tracks: Movie) -> None:
    """Two cells swap their identities after three of six frames."""
    swap = np.array([0, 2, 1], dtype=np.uint16)
    masks = {frame: swap[m] if frame > 2 else m for frame, m in two_tracks.masks.items()}
    measures = evaluate_sequence(*sequence(two_tracks, Movie(masks, two_tracks.tracks))).measures
    assert measures["ID_switches"] == 2
    assert measures["MOTA"] == pytest.approx(1 - 2 / 12)
    assert measures["IDF1"] == pytest.approx(0.5)
    assert measures["JACT_id"] == pytest.approx(6 / 18)
    assert [measures["HOTA"], measures["HOTA_CTC"]] == pytest.approx([np.sqrt(3 / 9)] * 2)
    assert (measures["DetA"], measures["AssA"]) == pytest.approx((1.0, 1 / 3))
    assert measures["track_purity"] == measures["target_effectiveness"] == pytest.approx(0.5)
    assert measures["matched_fraction"] == pytest.approx(0.5)


def test_distances_of_shifted_masks(sequence: Write, two_tracks: Movie) -> None:
    """Everything lies one pixel lower; one cell is missed in the last frame."""
    masks = {frame: np.roll(m, 1, axis=0) for frame, m in two_tracks.masks.items()}
    masks[5] = np.where(masks[5] == 2, 0, masks[5]).astype(np.uint16)
    result = Movie(masks, Tracks.from_rows([(1, 0, 5, 0), (2, 0, 4, 0)]))
    evaluation = evaluate_sequence(*sequence(two_tracks, result), voxel=(1.0, 0.5, 0.5))
    found = evaluation.measures
    assert [found[name] for name in ("ADE", "ADE_track", "FDE", "ADE_um")] == pytest.approx([1, 1, 1, 0.5])
    assert found["matched_fraction"] == pytest.approx(11 / 12)
    assert found["JACT"] == 1.0
    assert found["SPT_alpha"] == pytest.approx((11 * 4) / (12 * 5))  # 11 frames cost 1 of 5, the last one 5
    assert found["SPT_beta"] == found["SPT_alpha"]


def test_paired_missed_and_invented_tracks(sequence: Write, two_tracks: Movie) -> None:
    masks = {frame: np.where(m == 2, 0, m).astype(np.uint16) for frame, m in two_tracks.masks.items()}
    for frame in range(6):
        masks[frame][10:12, 17:20] = 3  # far from both cells
    measures = evaluate_sequence(
        *sequence(two_tracks, Movie(masks, Tracks.from_rows([(1, 0, 5, 0), (3, 0, 5, 0)])))
    ).measures
    assert measures["JACT"] == pytest.approx(1 / 3)
    assert measures["SPT_alpha"] == pytest.approx(0.5)
    assert measures["SPT_beta"] == pytest.approx(6 * 5 / (12 * 5 + 6 * 5))
    assert measures["ADE"] == 0.0


def test_continuations_are_one_trajectory() -> None:
    table = tabulate(
        {0: np.array([[1, 2]]), 1: np.array([[3, 4]])}, {0: np.zeros((1, 2), int), 1: np.zeros((1, 2), int)}
    )
    tracks = Tracks.from_rows([(1, 0, 0, 0), (2, 0, 0, 0), (3, 1, 1, 1), (4, 1, 1, 2)])
    assert trajectory_of(table.truth, tracks).tolist() == [1, 2, 1, 2]
    found = measure_trajectories(table, tracks, Tracks.from_rows([]))
    assert found["ADE"] is None
    assert found["matched_fraction"] == found["JACT"] == found["JACT_id"] == 0.0


def test_markers_have_no_hota_over_iou(sequence: Write, two_tracks: Movie) -> None:
    """The truth marks a dot in each cell; SEG holds the full mask."""
    dots = {}
    for frame, labels in two_tracks.masks.items():
        dots[frame] = np.zeros_like(labels)
        for label in (1, 2):
            y, x = np.argwhere(labels == label).mean(axis=0).astype(int)
            dots[frame][y, x] = label
    measures = evaluate_sequence(*sequence(Movie(dots, two_tracks.tracks), two_tracks, seg=two_tracks.masks))
    assert measures.measures["HOTA"] is None
    assert "markers" in measures.reasons["HOTA"]
    assert measures.measures["HOTA_CTC"] == 1.0
