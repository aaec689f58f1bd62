"""Evaluating whole sequences and data sets: frames, truths, files, and the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_movies import Movie, draw, random_pair, write_sequence

import celltrail.cli
from celltrail.data.files.tracks import Tracks, clip_tracks
from celltrail.data.running import console
from celltrail.evaluation import evaluate_dataset, evaluate_many, evaluate_sequence, segmentation_scores
from celltrail.evaluation.errors import Error
from celltrail.evaluation.summary import read_document

Write = Callable[..., tuple[Path, Path]]


def run(*arguments: object) -> int:
    return console.run(celltrail.cli.app, [str(argument) for argument in arguments])


def test_clipping_tracks() -> None:
    tracks = Tracks.from_rows([(1, 0, 4, 0), (2, 5, 9, 1), (3, 5, 6, 1), (4, 10, 12, 2), (5, 0, 2, 0), (6, 3, 12, 5)])
    clipped = clip_tracks(tracks, range(4, 10))
    assert clipped.rows().tolist() == [[1, 4, 4, 0], [2, 5, 9, 1], [3, 5, 6, 1], [6, 4, 9, 0]]
    assert clip_tracks(tracks, range(5, 10)).rows().tolist() == [[2, 5, 9, 0], [3, 5, 6, 0], [6, 5, 9, 0]]
    assert clip_tracks(tracks, None) is tracks


def test_frames_clip_truth_and_result(sequence: Write) -> None:
    """A whole movie clipped to frames equals a movie that only has these frames."""
    masks = draw({0: "1...", 1: "2..3", 2: "2..3", 3: "2..."})
    movie = Movie(masks, Tracks.from_rows([(1, 0, 0, 0), (2, 1, 3, 1), (3, 1, 2, 1)]))
    gt, res = sequence(movie, movie)
    evaluation = evaluate_sequence(gt, res, frames=range(1, 3))
    assert evaluation.frames == [1, 2]
    assert evaluation.measures["TRA"] == 1.0
    assert evaluation.counts["truth_cells"] == 4
    assert evaluation.counts["truth_links"] == 2
    assert evaluation.measures["BC"] is None
    only = {frame: masks[frame] for frame in (1, 2)}
    (res / "mask000.tif").unlink()
    (res / "mask003.tif").unlink()
    (res / "res_track.txt").write_text("2 1 2 0\n3 1 2 0\n")
    assert evaluate_sequence(gt, res, frames=range(1, 3)).measures == evaluation.measures
    assert set(only) == set(evaluation.frames)


def test_masks_without_tracks_are_evaluated_as_far_as_they_go(sequence: Write, two_tracks: Movie) -> None:
    evaluation = evaluate_sequence(*sequence(two_tracks, Movie(two_tracks.masks, None)))
    assert [evaluation.measures[name] for name in ("SEG", "DET", "IoU", "RI")] == [1.0] * 4
    for name in ("TRA", "LNK", "CT", "BIO", "OP_CTB"):
        assert evaluation.measures[name] is None
        assert "res_track.txt" in evaluation.reasons[name]
    assert evaluation.errors == []


def test_silver_truth(sequence: Write, two_tracks: Movie) -> None:
    half = {frame: np.where(labels == 1, labels, 0) for frame, labels in two_tracks.masks.items()}
    gt, res = sequence(two_tracks, two_tracks, seg={2: half[2]})
    silver = gt.parent / "01_ST" / "SEG"
    (gt / "SEG").rename(gt.parent / "kept")
    silver.parent.mkdir()
    write_sequence(gt.parent / "other", two_tracks, two_tracks)
    (gt.parent / "other" / "01_GT" / "SEG").rename(silver)
    (gt.parent / "kept").rename(gt / "SEG")
    gold, dense = evaluate_sequence(gt, res), evaluate_sequence(gt, res, truth="ST")
    assert (gold.seg_frames, gold.measures["SEG"]) == ([2], 1.0)
    assert gold.measures["IoU"] is None
    assert "annotated in part" in gold.reasons["IoU"]
    assert (dense.seg_frames, dense.measures["IoU"]) == ([0, 1, 2, 3, 4, 5], 1.0)
    assert dense.to_dict()["truth"] == "ST"
    late = evaluate_sequence(gt, res, frames=range(3, 6))
    assert late.measures["SEG"] is None
    assert "no full masks" in late.reasons["SEG"]
    assert late.measures["TRA"] == 1.0


def test_seg_is_pooled_over_objects_and_pixel_iou_over_pixels() -> None:
    truth = draw({0: "1111 ....", 1: "2222 3333"})
    masks = draw({0: "1111 ....", 1: "222. 3..."})
    scores = segmentation_scores(truth, masks)
    assert scores == {
        "IoU": pytest.approx(8 / 12),
        "SEG": pytest.approx((1 + 3 / 4 + 0) / 3),
        "DET": pytest.approx(1 - (10 + 1) / 30),  # one cell missed, one mask that covers too little of it
    }


def test_identical_movies_score_one(sequence: Write) -> None:
    truth, _ = random_pair(11)
    evaluation = evaluate_sequence(*sequence(truth, truth))
    for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF", "BC", "BIO", "OP_CLB", "IoU", "RI", "AP", "PQ"):
        assert evaluation.measures[name] == pytest.approx(1.0), name
    for name in ("RE", "ARE", "VI", "pixel_error"):
        assert evaluation.measures[name] == pytest.approx(0.0, abs=1e-12), name
    assert all(error.type == "suspect_gt" and error.cost == 0 for error in evaluation.errors)


@pytest.mark.parametrize("seed", range(8))
def test_costs_of_the_errors_sum_to_aogm(tmp_path: Path, seed: int) -> None:
    evaluation = evaluate_sequence(*write_sequence(tmp_path, *random_pair(seed)))
    assert sum(error.cost for error in evaluation.errors) == evaluation.counts["AOGM"]
    for error in evaluation.errors:
        assert error.gt_label is not None or error.res_label is not None


def test_where_an_error_is(sequence: Write, two_tracks: Movie) -> None:
    masks = {frame: labels.copy() for frame, labels in two_tracks.masks.items()}
    masks[4][masks[4] == 2] = 0
    result = Movie(masks, Tracks.from_rows([(1, 0, 5, 0), (2, 0, 3, 0), (3, 5, 5, 2)]))
    result.masks[5] = np.where(masks[5] == 2, 3, masks[5]).astype(np.uint16)
    evaluation = evaluate_sequence(*sequence(two_tracks, result))
    missed, *links = sorted(evaluation.errors, key=lambda error: -error.cost)
    assert missed == Error("01", "FN", 4, 8.0, 9.0, None, gt_label=2, gt_track=2, cost=10.0)
    assert [(e.type, e.frame, e.frame2, e.cost) for e in links] == [
        ("EA", 3, 4, 1.5),
        ("EA", 4, 5, 1.5),
        ("ED", 3, 5, 1.0),
    ]


def test_the_mean_over_sequences_leaves_out_what_is_not_defined(tmp_path: Path) -> None:
    whole, cut = random_pair(3)
    write_sequence(tmp_path, whole, whole, name="01")
    write_sequence(tmp_path, whole, cut, name="02")
    flat = Movie(draw({0: "1.", 1: "1."}), Tracks.from_rows([(1, 0, 1, 0)]))
    write_sequence(tmp_path, flat, flat, name="03")
    (tmp_path / "04_GT").mkdir()
    dataset = evaluate_dataset(tmp_path)
    assert [evaluation.name for evaluation in dataset.sequences] == ["01", "02", "03"]
    first, second, third = (evaluation.measures for evaluation in dataset.sequences)
    assert third["BC"] is None
    assert dataset.mean["BC"] == pytest.approx(((first["BC"] or 0) + (second["BC"] or 0)) / 2)
    assert dataset.mean["TRA"] == pytest.approx((1 + (second["TRA"] or 0) + 1) / 3)


def test_several_results_read_the_truth_once(tmp_path: Path) -> None:
    truth, result = random_pair(4)
    gt, res = write_sequence(tmp_path, truth, result)
    together = evaluate_many(gt, {"a": res, "b": gt / "TRA"})
    assert together["a"].to_dict() == evaluate_sequence(gt, res).to_dict()
    assert together["b"].measures["TRA"] == 1.0


def test_the_command_writes_json_and_errors(
    sequence: Write, two_tracks: Movie, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, res = sequence(*random_pair(9))
    files = tmp_path / "evaluation.json", tmp_path / "errors.csv"
    assert run("evaluate", gt, res, "--json", files[0], "--errors", files[1]) == 0
    table = capsys.readouterr().out
    document = read_document(files[0])
    measures = document["sequences"][0]["measures"]
    assert f"{measures['TRA']:.6f}" in table
    assert document["mean"] == measures
    assert document["definitions"]["TRA"]
    assert set(document["versions"]) >= {"python", "numpy", "celltrail"}
    with files[1].open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(float(row["cost"]) for row in rows) == document["sequences"][0]["counts"]["AOGM"]
    assert list(rows[0]) == list(Error._fields)
    assert run("evaluate", gt, res, "--json", files[0]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("evaluate", gt, res, "--json", files[0], "--overwrite") == 0


def test_the_command_prints_json_and_takes_a_data_set(
    sequence: Write, two_tracks: Movie, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    assert run("evaluate", gt, res, "--frames", "1:3", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sequences"][0]["frames"] == [1, 2, 3]
    assert document["sequences"][0]["measures"]["BC"] is None
    assert document["sequences"][0]["reasons"]["BC"]
    assert run("evaluate", "--json", "--truth", "GT", gt.parent) == 0
    assert json.loads(capsys.readouterr().out)["mean"]["TRA"] == 1.0
    assert run("evaluate", gt.parent) == 0
    assert "TRA" in capsys.readouterr().out


def test_voxel_sizes_give_distances_in_micrometres(
    sequence: Write, two_tracks: Movie, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Movie({frame: np.roll(m, 1, axis=1) for frame, m in two_tracks.masks.items()}, two_tracks.tracks)
    gt, res = sequence(two_tracks, moved)
    assert run("evaluate", gt, res, "--voxel", "0.5 0.25", "--json") == 0
    measures = json.loads(capsys.readouterr().out)["sequences"][0]["measures"]
    assert (measures["ADE"], measures["ADE_um"]) == (1.0, 0.25)
    assert run("evaluate", gt, res, "--voxel", "0.5") == 2
    assert "give two numbers (Y X) or three (Z Y X), each above 0" in capsys.readouterr().err


def test_a_sparse_truth(sequence: Write, two_tracks: Movie) -> None:
    """Only one of two cells is annotated; what the result has beside it does not count."""
    masks = {frame: np.where(m == 1, m, 0).astype(np.uint16) for frame, m in two_tracks.masks.items()}
    found = {frame: m.copy() for frame, m in two_tracks.masks.items()}
    for frame in (4, 5):
        found[frame][found[frame] == 2] = 3
        found[frame][11, 18] = 4
    result = Movie(found, Tracks.from_rows([(1, 0, 5, 0), (2, 0, 3, 0), (3, 4, 5, 2), (4, 4, 5, 2)]))
    gt, res = sequence(Movie(masks, Tracks.from_rows([(1, 0, 5, 0)])), result)
    strict, sparse = evaluate_sequence(gt, res), evaluate_sequence(gt, res, sparse=True)
    assert strict.counts["FP"] == 8
    assert sparse.counts["FP"] == 0
    assert sparse.errors == []
    for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF", "IDF1", "MOTA", "HOTA", "HOTA_CTC", "JACT", "track_purity"):
        assert sparse.measures[name] == 1.0, name
        assert (strict.measures[name] or 0) <= 1.0
    assert strict.measures["CT"] == pytest.approx(2 / 5)
    assert sparse.measures["IoU"] is None
    assert sparse.counts["result_divisions"] == 0


def test_traccuracy_beside_ours(sequence: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("traccuracy")
    truth = Movie(
        draw(dict.fromkeys(range(3), "....... .1.2.3. .......")),
        Tracks.from_rows([(1, 0, 2, 0), (2, 0, 2, 0), (3, 0, 2, 0)]),
    )
    blob = Movie(draw(dict.fromkeys(range(3), "....... .77777. .......")), Tracks.from_rows([(7, 0, 2, 0)]))
    gt, res = sequence(truth, blob)
    out = tmp_path / "evaluation.json"
    assert run("evaluate", gt, res, "--with", "traccuracy", "--json", out) == 0
    said = capsys.readouterr().out
    (opinion,) = read_document(out)["second_opinion"]
    assert opinion["values"]["NS"] == 3  # one for each mask; the CTC counts 6
    assert read_document(out)["sequences"][0]["counts"]["NS"] == 6
    assert opinion["results"][0]["metric"]["name"] == "CTCMetrics"
    assert all(text in said for text in opinion["known_differences"])


def test_the_report_holds_everything(sequence: Write, tmp_path: Path) -> None:
    gt, res = sequence(*random_pair(9))
    (res / "run.json").write_text(
        '{"status": "optimal", "objective": -12.5, "bound": -12.5, "gap": 0.0, "solver": "<i>"}'
    )
    out = tmp_path / "report.html"
    assert run("evaluate", gt, res, "--report", out) == 0
    page = out.read_text(encoding="utf-8")
    evaluation = evaluate_sequence(gt, res)
    for name in ("SEG", "TRA", "LNK"):
        assert f"{evaluation.measures[name]:.3f}" in page
    assert "proven optimal" in page
    assert "&lt;i&gt;" in page
    assert page.count("<svg") == 2
    assert page.count("data:image/png;base64,") >= 4
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page
    assert f"{sum(error.cost > 0 for error in evaluation.errors)} errors" in page


def test_the_report_begins_with_the_verdict_and_pictures(sequence: Write, tmp_path: Path) -> None:
    from celltrail.evaluation.reports.sequence_report import write_report

    gt, res = sequence(random_pair(9)[0], random_pair(9)[0])
    write_report(tmp_path / "report.html", gt, res)
    page = (tmp_path / "report.html").read_text()
    order = ['class="verdict"', "Cells of the result", "over time", "Lineages of the result", "<h2>Measures", "<th>"]
    places = [page.index(part) for part in order]
    assert places == sorted(places)


def test_the_report_shows_the_images_beside_the_truth(tmp_path: Path) -> None:
    from celltrail.data.files.arrays.tiff import write_array
    from celltrail.evaluation.reports.sequence_report import images_beside, write_report

    gt, res = write_sequence(tmp_path, *random_pair(9))
    assert images_beside(gt) is None
    assert images_beside(res) is None
    write_report(tmp_path / "dark.html", gt, res)
    (tmp_path / "01").mkdir()
    for frame, labels in random_pair(9)[0].masks.items():
        noise = np.random.default_rng(frame).integers(0, 250, labels.shape)
        write_array(tmp_path / "01" / f"t{frame:03d}.tif", noise.astype(np.uint8))
    assert images_beside(gt) is not None
    write_report(tmp_path / "bright.html", gt, res)
    assert (tmp_path / "bright.html").stat().st_size > (tmp_path / "dark.html").stat().st_size


def test_nothing_in_the_truth_or_in_the_result(tmp_path: Path) -> None:
    """No number where nothing is defined, 0 where all is missed; report and comparison can be written."""
    from celltrail.evaluation.comparing.comparison import compare_variants
    from celltrail.evaluation.reports.comparison_report import write_comparison
    from celltrail.evaluation.reports.sequence_report import write_report

    cells = Movie(draw(dict.fromkeys(range(3), "11. 11. ..2")), Tracks.from_rows([(1, 0, 2, 0), (2, 0, 2, 0)]))
    nothing = Movie({t: np.zeros((3, 3), dtype=np.uint16) for t in range(3)}, Tracks.from_rows([]))
    for name, truth, result, tra in (
        ("a", nothing, nothing, None),
        ("b", nothing, cells, None),
        ("c", cells, nothing, 0.0),
    ):
        gt, res = write_sequence(tmp_path / name, truth, result)
        evaluation = evaluate_sequence(gt, res)
        for measure in ("DET", "TRA", "LNK", "IDF1", "JACT", "HOTA_CTC"):
            assert evaluation.measures[measure] == tra, (name, measure)
            assert (measure in evaluation.reasons) == (tra is None)
        assert evaluation.measures["IoU"] == (None if name == "a" else 0.0)
        assert evaluation.measures["RI"] is not None
        write_report(tmp_path / f"{name}.html", gt, res, evaluation=evaluation)
        comparison = compare_variants(tmp_path / name, {"x": res, "y": gt / "TRA"}, draws=100)
        (tmp_path / f"{name}_out").mkdir()
        write_comparison(comparison, tmp_path / f"{name}_out")
