"""Comparing variants: sums over lineages give the measures, draws are paired, and everything is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_movies import Movie, draw, random_pair, write_sequence

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.movie import Frames
from celltrail.data.files.tracks import Tracks
from celltrail.data.running import console
from celltrail.evaluation import evaluate_sequence
from celltrail.evaluation.comparing.bootstrap import (
    correct_for_many,
    draw_lineages,
    interval,
    measures_of_draws,
    two_sided,
)
from celltrail.evaluation.comparing.comparison import compare_variants, only_first, to_plain
from celltrail.evaluation.comparing.lineages import measures_of_sums, sum_by_lineage
from celltrail.evaluation.errors import Error
from celltrail.evaluation.reports.comparison_report import format_html, verdict

DRAWS = 300


def run(*arguments: object) -> int:
    return console.run(celltrail.cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences with their truth, and three variants: perfect, good and bad."""
    folder = tmp_path_factory.mktemp("compare")
    for name, seed in (("01", 9), ("02", 14)):
        truth, bad = random_pair(seed)
        gt, _ = write_sequence(folder / "set", truth, truth, name=name)
        for variant, result in (("perfect", truth), ("good", missing_one(truth)), ("bad", bad)):
            write_sequence(folder / variant, truth, result, name=name)
        assert gt.is_dir()
    for name in ("01", "02"):
        for path in sorted((folder / "set" / f"{name}_RES").iterdir()):
            path.unlink()
        (folder / "set" / f"{name}_RES").rmdir()
    (folder / "good" / "01_RES" / "run.json").write_text(
        json.dumps(
            {"status": "gap", "objective": -3.0, "bound": -3.5, "gap": 0.5, "seconds": {"solve": 1.5, "read": 0.5}}
        )
    )
    return folder


def missing_one(movie: Movie) -> Movie:
    """The same, without the last cell of its longest track."""
    assert movie.tracks is not None
    rows = movie.tracks.rows().copy()
    childless = ~np.isin(rows[:, 0], rows[:, 3])
    row = int(np.argmax(np.where(childless, rows[:, 2] - rows[:, 1], -1)))
    label, end = int(rows[row, 0]), int(rows[row, 2])
    masks = {f: np.where((m == label) & (f == end), 0, m).astype(m.dtype) for f, m in movie.masks.items()}
    rows[row, 2] -= 1
    return Movie(masks, Tracks.from_rows(rows.tolist()))


def variants(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ("perfect", "good", "bad")}


@pytest.mark.parametrize("seed", range(25))
def test_sums_over_lineages_give_the_measures(tmp_path: Path, seed: int) -> None:
    evaluation = evaluate_sequence(*write_sequence(tmp_path, *random_pair(seed)))
    assert evaluation.detail is not None
    sums = sum_by_lineage(evaluation.detail)
    assert sums is not None
    found = measures_of_sums({name: np.array([parts.sum()]) for name, parts in sums.items()})
    assert len(found) >= 22
    for name, value in found.items():
        expected = evaluation.measures[name]
        assert float(value[0]) == pytest.approx(np.nan if expected is None else expected, abs=1e-9, nan_ok=True), name


def test_a_lineage_drawn_twice_counts_twice() -> None:
    sums = {"cells": np.array([1.0, 2.0, 4.0])}
    weights = draw_lineages(3, draws=50, seed=1)
    assert weights.shape == (50, 3)
    assert np.all(weights.sum(axis=1) == 3)
    assert np.array_equal(weights, draw_lineages(3, draws=50, seed=1))
    assert not np.array_equal(weights, draw_lineages(3, draws=50, seed=2))
    assert (weights @ sums["cells"]).min() >= 3


def test_intervals() -> None:
    draws = np.arange(1001) / 1000
    found = interval(0.5, draws)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))
    assert found.excludes_zero
    assert interval(0.5, np.where(draws < 0.6, np.nan, draws)).low is None
    assert not interval(0.0, draws - 0.5).excludes_zero
    assert two_sided(draws - 0.5) == pytest.approx(1.0, abs=0.01)
    assert two_sided(draws + 1) == pytest.approx(1 / 1001)
    assert two_sided(np.full(10, np.nan)) is None
    assert correct_for_many({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_values_differences_and_the_best(dataset: Path) -> None:
    found = compare_variants(dataset / "set", variants(dataset), baseline="good", draws=DRAWS)
    assert list(found.evaluations) == ["01", "02"]
    for name in ("TRA", "SEG", "LNK"):
        values = {variant: found.value("mean", variant, name) or 0 for variant in found.variants}
        assert values["perfect"] == pytest.approx(1.0)
        assert values["perfect"] > values["good"] > values["bad"]
        apart = found.differences["mean"]["bad"][name]
        assert apart.value == pytest.approx(values["bad"] - values["good"])
        assert apart.low is not None
        assert apart.high is not None
        assert apart.low <= apart.value <= apart.high < 0
    assert found.differences["01"]["perfect"]["DET"].value > 0
    assert found.p_values["mean"]["bad"]["TRA"] < 0.1
    assert set(found.differences["mean"]) == {"perfect", "bad"}
    same = compare_variants(dataset / "set", {"a": dataset / "bad", "b": dataset / "bad"}, draws=DRAWS)
    for name, apart in same.differences["mean"]["b"].items():
        assert (apart.value, apart.low, apart.high) == (0.0, 0.0, 0.0) or apart.low is None, name
    assert same.best("mean", "TRA") is None
    assert to_plain(found) == to_plain(
        compare_variants(dataset / "set", variants(dataset), baseline="good", draws=DRAWS)
    )


def test_draws_are_the_same_for_every_variant(dataset: Path) -> None:
    """A variant equal to another but for one lineage differs from it only where that lineage is drawn."""
    found = compare_variants(dataset / "set", {n: dataset / n for n in ("perfect", "good")}, draws=DRAWS)
    details = [found.evaluations["01"][n].detail for n in ("perfect", "good")]
    sums = [sum_by_lineage(detail) for detail in details if detail is not None]
    assert sums[0] is not None
    assert sums[1] is not None
    touched = np.flatnonzero(sums[0]["FN"] != sums[1]["FN"])
    assert len(touched) == 1
    weights = draw_lineages(found.lineages["01"], draws=DRAWS)
    apart = measures_of_draws(sums[0], weights)["DET"] - measures_of_draws(sums[1], weights)["DET"]
    assert np.array_equal(apart > 0, weights[:, touched[0]] > 0)


def test_the_truth_is_read_once(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: dict[str, int] = {}
    original = Frames.__getitem__

    def counted(self: Frames, number: int) -> object:
        key = f"{self.path}/{number}"
        reads[key] = reads.get(key, 0) + 1
        return original(self, number)

    monkeypatch.setattr(Frames, "__getitem__", counted)
    compare_variants(dataset / "set", variants(dataset), draws=DRAWS)
    assert max(reads.values()) == 1
    assert any("01_GT/TRA" in path for path in reads)


def test_errors_that_only_one_makes() -> None:
    missed = Error("01", "FN", 3, 5.0, 5.0, None, gt_label=2, cost=10.0)
    cut = Error("01", "EA", 3, 5.0, 5.0, None, gt_label=2, frame2=4, gt_label2=2, cost=1.5)
    dust, near = (Error("01", "FP", 3, y, 9.0, None, res_label=7, cost=1.0) for y in (9.0, 12.0))
    odd = Error("01", "suspect_gt", 3, 5.0, 5.0, None, gt_label=9)
    assert only_first([missed, cut, dust, odd], [missed, near]) == [cut]
    assert only_first([missed, cut, dust], []) == [missed, cut, dust]
    assert only_first([dust], [near._replace(frame=4)]) == [dust]


def test_the_command_writes_everything(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "comparison"
    named = [f"{name}={folder}" for name, folder in variants(dataset).items()]
    assert run("compare", dataset / "set", *named, "--baseline", "good", "--out", out, "--draws", DRAWS) == 0
    printed = capsys.readouterr().out
    assert (out / "report.md").read_text() in printed
    document = json.loads((out / "results.json").read_text())
    assert document["schema"] == "celltrail.comparison/1"
    assert document["baseline"] == "good"
    assert document["runs"]["01"]["good"] == {
        "status": "gap",
        "objective": -3.0,
        "bound": -3.5,
        "gap": 0.5,
        "seconds": 2.0,
    }
    assert len(document["sha256"]) == 8
    assert document["mean"]["perfect"]["TRA"] == 1.0
    with (out / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    (row,) = [r for r in rows if (r["sequence"], r["variant"], r["measure"]) == ("mean", "bad", "TRA")]
    assert float(row["difference"]) == pytest.approx(document["differences"]["mean"]["bad"]["TRA"]["value"])
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    with (out / "only_bad_not_perfect.csv").open(newline="") as stream:
        only = list(csv.DictReader(stream))
    total = sum(document["sequences"][s]["bad"]["counts"]["AOGM"] for s in ("01", "02"))
    assert sum(float(r["cost"]) for r in only) == pytest.approx(total)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert page.count("data:image/png;base64,") > 4
    assert "bad minus good" in page
    assert "prefers-color-scheme: dark" in page
    assert run("compare", dataset / "set", *named, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_single_results_and_another_format(tmp_path: Path) -> None:
    """A result may be one folder, or a GEFF, whose cells are drawn as discs."""
    pytest.importorskip("geff")
    from celltrail.data.formats.convert import convert_movie

    truth = Movie(
        draw(dict.fromkeys(range(3), "........ .111.... .111.222 .111.222 .....222")),
        Tracks.from_rows([(1, 0, 2, 0), (2, 0, 2, 0)]),
    )
    gt, res = write_sequence(tmp_path / "set", truth, truth)
    res = res.rename(tmp_path / "mine")
    convert_movie(res, tmp_path / "theirs.geff")
    found = compare_variants(tmp_path / "set", {"mine": res, "theirs": tmp_path / "theirs.geff"}, draws=DRAWS)
    assert found.value("01", "mine", "TRA") == found.value("01", "theirs", "TRA") == 1.0
    assert any("disc" in note for note in found.notes)
    assert gt.is_dir()


def test_traccuracy_stands_beside_ours(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("traccuracy")
    out = tmp_path / "comparison"
    named = [f"{name}={folder}" for name, folder in list(variants(dataset).items())[:2]]
    assert run("compare", dataset / "set", *named, "--out", out, "--draws", DRAWS, "--with", "traccuracy") == 0
    document = json.loads((out / "results.json").read_text())
    opinion = document["second_opinion"]["01"]["perfect"]
    assert opinion["values"]["TRA"] == 1.0
    assert json.loads((out / "traccuracy_01_perfect.json").read_text()) == opinion["results"]
    for text in ((out / "report.md").read_text(), (out / "report.html").read_text()):
        assert "Known differences" in text
        assert f"traccuracy {opinion['version']}" in text
    some = compare_variants(dataset / "set", variants(dataset), frames=range(3), draws=100, second_opinion=True)
    assert some.opinions["01"]["perfect"].values["TRA"] == 1.0


def test_bad_input(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as caught:
        compare_variants(dataset / "set", {"a": dataset / "none", "b": dataset / "set", "c": dataset / "bad"})
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="two variants"):
        compare_variants(dataset / "set", {"a": dataset / "bad"})
    with pytest.raises(InputError, match="--baseline"):
        compare_variants(dataset / "set", variants(dataset), baseline="other")
    out = tmp_path / "out"
    assert (
        run("compare", dataset / "set", "a", "b=", f"c={dataset / 'bad'}", f"c={dataset / 'good'}", "--out", out) == 2
    )
    said = capsys.readouterr().err
    assert said.count("NAME=FOLDER") == 2
    assert "given twice" in said
    assert not out.exists()


def test_the_report_begins_with_who_is_ahead_and_shows_pictures_before_tables(dataset: Path) -> None:
    found = compare_variants(dataset / "set", variants(dataset), baseline="good", draws=DRAWS)
    sentence = verdict(found)
    assert sentence.startswith("perfect is ahead in LNK, with 1.0000 against ")
    page = format_html(found)
    assert page.index("is ahead in LNK") < page.index("Where they differ") < page.index("<th")
    same = compare_variants(dataset / "set", {"a": dataset / "bad", "b": dataset / "bad"}, draws=DRAWS)
    assert verdict(same).startswith("No variant is ahead")
