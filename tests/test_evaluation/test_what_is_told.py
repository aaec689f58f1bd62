"""What evaluate and compare tell: the measures people quote, reasons once, the border field; and any order of names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_movies import Movie, random_pair, write_sequence

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.running import console
from celltrail.evaluation import evaluate_sequence
from celltrail.evaluation.border import count_in_border, describe_border
from celltrail.evaluation.comparing.comparison import compare_variants
from celltrail.evaluation.comparing.second_opinion import ask_traccuracy
from celltrail.evaluation.summary import QUOTED, format_table


def run(*arguments: object) -> int:
    return console.run(celltrail.cli.app, [str(argument) for argument in arguments])


def test_quoted_measures_and_one_line_for_each_reason(
    tmp_path: Path, two_tracks: Movie, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, res = write_sequence(tmp_path, two_tracks, two_tracks)
    table = format_table([evaluate_sequence(gt, res)]).splitlines()
    words = [line.split()[0] for line in table if line and line.split()[0] in QUOTED]
    assert words == ["SEG", "DET", "TRA", "OP_CTB", "LNK", "BIO", "OP_CLB", "CT", "HOTA", "CHOTA", "IDF1"]
    assert [line for line in table if line.startswith("–")] == ["– BC, division_F1: the truth holds no division"]
    assert run("evaluate", gt, res, "--all") == 0
    everything = capsys.readouterr().out
    assert "SPT_beta" in everything
    assert "SPT_beta" not in "\n".join(table)
    reasons = [line.split(": ")[1] for line in everything.splitlines() if line.startswith("–")]
    assert len(set(reasons)) == len(reasons)


def test_chota_by_hand(tmp_path: Path) -> None:
    """A cell that becomes another after frame 1 of 4: each half has the line of half its cells, shared with no other."""
    masks = {t: np.pad(np.ones((3, 3), np.uint16), ((2, 5), (2, 5))) for t in range(4)}
    truth = Movie(masks, Tracks.from_rows([(1, 0, 3, 0)]))
    halves = {t: np.where(mask > 0, 1 + (t > 1), 0).astype(np.uint16) for t, mask in masks.items()}
    cut = Movie(halves, Tracks.from_rows([(1, 0, 1, 0), (2, 2, 3, 0)]))
    found = evaluate_sequence(*write_sequence(tmp_path / "a", truth, cut))
    assert found.measures["CHOTA"] == pytest.approx(np.sqrt(0.5), abs=1e-12)
    joined = Movie(halves, Tracks.from_rows([(1, 0, 1, 0), (2, 2, 3, 1)]))
    assert evaluate_sequence(*write_sequence(tmp_path / "b", truth, joined)).measures["CHOTA"] == 1.0


@pytest.mark.parametrize("seed", [3, 9, 14])
def test_chota_and_the_others_are_traccuracys_on_any_frames(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("traccuracy")
    gt, res = write_sequence(tmp_path, *random_pair(seed))
    last = evaluate_sequence(gt, res).frames[-1]
    for frames in (None, range(1, last)):
        ours, theirs = evaluate_sequence(gt, res, frames=frames), ask_traccuracy(gt, res, frames=frames)
        assert ours.measures["CHOTA"] == pytest.approx(theirs.values["CHOTA"], abs=1e-9)
        for name in ("FN", "FP"):
            assert ours.counts[name] == theirs.values[name], name


@pytest.mark.parametrize(
    ("dataset", "words"), [("Fluo-N2DL-HeLa", "--foi 25."), ("mine", "within 25 pixels, 3 within 50")]
)
def test_false_positives_in_the_border_field(tmp_path: Path, dataset: str, words: str) -> None:
    truth, result = {}, {}
    for t in range(2):
        truth[t] = np.zeros((160, 200), np.uint16)
        truth[t][80:90, 80:90] = 1
        result[t] = truth[t].copy()
    result[0][20:28, 100:110] = 2  # reaches into the inner field of 25, not of 50
    result[1][0:20, 100:110] = 3  # in the field
    result[1][150:155, 185:195] = 4  # in the field
    result[1][20:60, 20:60] = 5  # inside
    rows = [(1, 0, 1, 0), (2, 0, 0, 0), (3, 1, 1, 0), (4, 1, 1, 0), (5, 1, 1, 0)]
    gt, res = write_sequence(
        tmp_path / dataset, Movie(truth, Tracks.from_rows(rows[:1])), Movie(result, Tracks.from_rows(rows))
    )
    evaluation = evaluate_sequence(gt, res)
    assert evaluation.counts["FP"] == 4
    assert count_in_border(evaluation, (0, 25, 50), result) == {0: 0, 25: 2, 50: 3}
    assert words in describe_border(evaluation)


def test_a_million_wrong_rows_are_counted_not_told(tmp_path: Path, two_tracks: Movie) -> None:
    many = 1_000_000
    label = np.arange(1, many + 1)
    wrong = Tracks(label, np.full(many, 4), np.full(many, 2), np.full(many, 2 * many))
    problems = wrong.problems()
    assert len(problems) == 201
    assert problems[-1] == f"{2 * (many - 100):,} more tracks are wrong in the same ways."
    gt, res = write_sequence(tmp_path, two_tracks, two_tracks)
    absent = "".join(f"{n} 0 0 0\n" for n in range(3, 50_000))
    (res / "res_track.txt").write_text("1 0 5 0\n2 0 5 0\n" + absent)
    with pytest.raises(InputError) as caught:
        evaluate_sequence(gt, res)
    assert len(caught.value.problems) < 150
    assert "track 3 should be in frames 0 to 0" in caught.value.problems[0]
    (res / "res_track.txt").write_text("a b c\n" * 100_000)
    with pytest.raises(InputError, match="99,980 more lines are wrong in the same way"):
        read_tracks(res / "res_track.txt")


@pytest.fixture
def two_sequences(tmp_path: Path) -> Path:
    for name, seed in (("01", 9), ("02", 14)):
        write_sequence(tmp_path / "set", *random_pair(seed), name=name)
        write_sequence(tmp_path / "set" / "other", random_pair(seed)[0], random_pair(seed)[0], name=name)
    return tmp_path / "set"


def test_a_single_result_is_compared_with_its_sequence(two_sequences: Path, tmp_path: Path) -> None:
    names = {"a": two_sequences / "02_RES", "b": two_sequences / "other" / "02_RES"}
    for dataset in (two_sequences, two_sequences / "02_GT"):
        comparison = compare_variants(dataset, names, draws=100, groups=())
        assert list(comparison.evaluations) == ["02"]
        assert comparison.evaluations["02"]["b"].measures["TRA"] == 1.0
    (two_sequences / "other" / "02_RES").rename(tmp_path / "mine")
    with pytest.raises(InputError, match="call it NN_RES"):
        compare_variants(two_sequences, {**names, "b": tmp_path / "mine"}, draws=100)


def test_the_same_bytes_whatever_the_seed_of_hashes(two_sequences: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from celltrail.evaluation.comparing.comparison import *; "
        "from celltrail.data.running.json_text import to_json; p = Path(sys.argv[1]); "
        "print(to_json(to_plain(compare_variants(p, {'a': p, 'b': p / 'other', 'c': p}, draws=100))))"
    )
    texts = []
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(two_sequences)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        texts.append(done.stdout)
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["intervals"]["mean"]
