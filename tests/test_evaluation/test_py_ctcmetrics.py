"""Equal to py-ctcmetrics on generated sequences; where it is known to be wrong, the value derived by hand."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_movies import Movie, draw, random_pair, write_sequence

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation import Evaluation, evaluate_sequence

Write = Callable[..., tuple[Path, Path]]
NAMES = [
    "SEG",
    "DET",
    "TRA",
    "LNK",
    "CT",
    "TF",
    "CCA",
    "OP_CSB",
    "OP_CTB",
    *(f"{name}({i})" for name in ("BC", "BIO", "OP_CLB") for i in range(4)),
]
SEQUENCES, CHUNK = 200, 25


def ask_py_ctcmetrics(gt: Path, res: Path) -> dict[str, float | None]:
    ctc_metrics = pytest.importorskip("ctc_metrics")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        found: dict[str, float | None] = ctc_metrics.evaluate_sequence(str(res), str(gt), threads=1)
    return found


@pytest.mark.parametrize("first", range(0, SEQUENCES, CHUNK))
def test_equal_on_generated_sequences(tmp_path: Path, first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        gt, res = write_sequence(tmp_path / str(seed), *random_pair(seed))
        ours, theirs = evaluate_sequence(gt, res), ask_py_ctcmetrics(gt, res)
        for name in NAMES:
            assert ours.measures[name] == pytest.approx(theirs[name], abs=1e-9), (seed, name)
        for name in ("NS", "FN", "FP", "ED", "EA", "EC"):
            assert ours.counts[name] == theirs[f"AOGM_{name}"], (seed, name)
            seen[name] += int(ours.counts[name])
        seen["division"] += int(ours.counts["divisions_found(0)"])
    assert min(seen.values()) > 0  # the sequences are wrong in every way
    assert len(seen) == 7


@pytest.mark.parametrize("seed", range(20, 26))
def test_the_names_of_labels_do_not_matter(tmp_path: Path, seed: int) -> None:
    """Except for TF, where the CTC's software takes the labels of the result in ascending order."""
    truth, result = random_pair(seed)
    assert result.tracks is not None
    top = int(result.tracks.label.max()) + 1
    rename = np.append(0, np.random.default_rng(seed).permutation(np.arange(1, 3 * top))).astype(np.uint16)
    rows = result.tracks.rows()
    rows[:, 0], rows[:, 3] = rename[rows[:, 0]], rename[rows[:, 3]]
    renamed = Movie({frame: rename[m] for frame, m in result.masks.items()}, Tracks.from_rows(rows.tolist()))
    first = evaluate_sequence(*write_sequence(tmp_path / "a", truth, result)).measures
    second = evaluate_sequence(*write_sequence(tmp_path / "b", truth, renamed)).measures
    for name, value in first.items():
        if not name.startswith(("TF", "BIO", "OP_CLB")):
            assert second[name] == pytest.approx(value, abs=1e-9), name


def score(write: Write, truth: Movie, result: Movie) -> Evaluation:
    return evaluate_sequence(*write(truth, result))


def test_large_16_bit_labels(sequence: Write, two_tracks: Movie) -> None:
    """py-ctcmetrics adds the labels in 16 bits: identical data with labels near 40,000 score TRA 0.456 there."""
    masks = {frame: labels * np.uint16(20_000) for frame, labels in two_tracks.masks.items()}
    movie = Movie(masks, Tracks.from_rows([(20_000, 0, 5, 0), (40_000, 0, 5, 0)]))
    found = score(sequence, movie, movie).measures
    assert [found[name] for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF")] == [1.0] * 6


def test_frames_that_are_empty_in_both(sequence: Write, two_tracks: Movie) -> None:
    """py-ctcmetrics fails on them; traccuracy pairs the wrong frames when they come first."""
    masks = {frame + 2: labels for frame, labels in two_tracks.masks.items()}
    masks |= {frame: np.zeros((12, 20), dtype=np.uint16) for frame in (0, 1, 8)}
    truth = Movie(masks, Tracks.from_rows([(1, 2, 7, 0), (2, 2, 7, 0)]))
    found = score(sequence, truth, truth).measures
    assert [found[name] for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF")] == [1.0] * 6


def test_an_empty_result_scores_zero(sequence: Write, two_tracks: Movie) -> None:
    nothing = Movie({frame: np.zeros((12, 20), dtype=np.uint16) for frame in range(6)}, Tracks.from_rows([]))
    evaluation = score(sequence, two_tracks, nothing)
    assert [evaluation.measures[n] for n in ("SEG", "DET", "TRA", "LNK", "CT", "TF", "IoU")] == [0.0] * 7
    assert evaluation.counts["FN"] == 12
    assert evaluation.counts["EA"] == 10


def test_a_frame_without_background(sequence: Write) -> None:
    """py-ctcmetrics takes the smallest label for background there."""
    movie = Movie(draw({0: "1122 1122", 1: "1122 1122"}), Tracks.from_rows([(1, 0, 1, 0), (2, 0, 1, 0)]))
    found = score(sequence, movie, movie).measures
    assert [found[name] for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF", "IoU")] == [1.0] * 7


def test_one_mask_over_three_cells(sequence: Write) -> None:
    """NS counts m − 1 = 2 in each of 3 frames, not 1: AOGM = 6·5 + 6·1.5 = 39 of 9·10 + 6·1.5 = 99."""
    truth = Movie(
        draw(dict.fromkeys(range(3), "....... .1.2.3. .......")),
        Tracks.from_rows([(1, 0, 2, 0), (2, 0, 2, 0), (3, 0, 2, 0)]),
    )
    blob = Movie(draw(dict.fromkeys(range(3), "....... .77777. .......")), Tracks.from_rows([(7, 0, 2, 0)]))
    evaluation = score(sequence, truth, blob)
    assert evaluation.counts["NS"] == 6
    assert evaluation.counts["AOGM"] == 39
    assert evaluation.measures["TRA"] == pytest.approx(1 - 39 / 99, abs=1e-12)
    assert evaluation.measures["LNK"] == 0.0


def test_a_track_cut_in_two(sequence: Write, two_tracks: Movie) -> None:
    """One wrong semantics: AOGM 1 of 12·10 + 10·1.5 = 135; two of five tracks' worth of CT, halves of TF."""
    masks = {frame: labels.copy() for frame, labels in two_tracks.masks.items()}
    for frame in (3, 4, 5):
        masks[frame][masks[frame] == 1] = 3
    cut = Movie(masks, Tracks.from_rows([(1, 0, 2, 0), (2, 0, 5, 0), (3, 3, 5, 1)]))
    evaluation = score(sequence, two_tracks, cut)
    counts = {name: evaluation.counts[name] for name in ("NS", "FN", "FP", "ED", "EA", "EC")}
    assert counts == {"NS": 0, "FN": 0, "FP": 0, "ED": 0, "EA": 0, "EC": 1}
    assert evaluation.measures["TRA"] == pytest.approx(1 - 1 / 135, abs=1e-12)
    assert evaluation.measures["LNK"] == pytest.approx(1 - 1 / 15, abs=1e-12)
    assert evaluation.measures["CT"] == pytest.approx(2 / 5, abs=1e-12)
    assert evaluation.measures["TF"] == pytest.approx(0.75, abs=1e-12)
    assert evaluation.measures["BC(0)"] is None
    assert evaluation.reasons["BC(0)"] == "the truth holds no division"
    assert evaluation.terms["BIO(0)"] == ["CT", "TF"]


def test_a_cell_in_pieces_is_one_object(sequence: Write) -> None:
    movie = Movie(draw({0: "1..1 .... 1..1", 1: "1..1 .... 1..1"}), Tracks.from_rows([(1, 0, 1, 0)]))
    assert score(sequence, movie, movie).measures["TRA"] == 1.0


def test_tracks_that_bridge_a_gap(sequence: Write) -> None:
    """A parent link over a missing frame is one link, in truth and result."""
    masks = draw({0: "1. ..", 1: ".. ..", 2: "2. .."})
    movie = Movie(masks, Tracks.from_rows([(1, 0, 0, 0), (2, 2, 2, 1)]))
    assert score(sequence, movie, movie).measures["TRA"] == 1.0
    lost = Movie(masks, Tracks.from_rows([(1, 0, 0, 0), (2, 2, 2, 0)]))
    evaluation = score(sequence, movie, lost)
    assert evaluation.counts["EA"] == 1
    assert evaluation.measures["TRA"] == pytest.approx(1 - 1.5 / 21.5, abs=1e-12)


def test_slices_of_volumes_are_judged_one_by_one(tmp_path: Path) -> None:
    """As in the organisers' software: SEG over ``man_seg_TTT_ZZZ`` is the mean over the objects of every slice."""
    volume = np.zeros((3, 4, 6), dtype=np.uint16)
    volume[0, :2, :2] = 1
    volume[1, :2, :4] = 1
    volume[2, 2:, :3] = 2
    movie = Movie({0: volume, 1: volume}, Tracks.from_rows([(1, 0, 1, 0), (2, 0, 1, 0)]))
    result = {frame: volume.copy() for frame in (0, 1)}
    result[1][1, 0, :4] = 0  # half of the cell in this slice: no match there
    gt, res = write_sequence(tmp_path, movie, Movie(result, movie.tracks), seg={})
    for frame, plane in ((0, 2), (1, 0), (1, 1)):
        tifffile.imwrite(gt / "SEG" / f"man_seg_{frame:03d}_{plane:03d}.tif", volume[plane], photometric="minisblack")
    evaluation = evaluate_sequence(gt, res)
    assert evaluation.measures["SEG"] == pytest.approx(2 / 3, abs=1e-12)
    assert evaluation.measures["IoU"] is None
    assert "slices" in evaluation.reasons["IoU"]
    assert evaluation.measures["DET"] == 1.0


def test_whole_volumes_equal_py_ctcmetrics(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truth, result = (
        {t: rng.integers(0, 4, (3, 8, 9)).repeat(2, axis=2).astype(np.uint16) for t in range(3)} for _ in "ab"
    )
    rows = [(label, 0, 2, 0) for label in (1, 2, 3)]
    result = {t: np.where(rng.random(truth[t].shape) < 0.8, truth[t], result[t]) for t in truth}
    gt, res = write_sequence(tmp_path, Movie(truth, Tracks.from_rows(rows)), Movie(result, Tracks.from_rows(rows)))
    ours, theirs = evaluate_sequence(gt, res), ask_py_ctcmetrics(gt, res)
    for name in ("SEG", "DET", "TRA", "LNK"):
        assert ours.measures[name] == pytest.approx(theirs[name], abs=1e-9)
