"""The search over settings of ``track``: what a trial tracks, what the search keeps, and what it tells of movies left out."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data import open_labels
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import find_sequences, write_masks
from celltrail.data.files.tracks import read_tracks
from celltrail.data.running import console
from celltrail.data.settings import to_toml
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track

optuna = pytest.importorskip("optuna")

from celltrail.tracking import tuning  # noqa: E402
from celltrail.tracking.settings import TrackSettings  # noqa: E402
from celltrail.tracking.tuning import DEFAULT, open_tunable, run_settings, search_settings, searched  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune") / "my"
    for name, seed in (("01", 3), ("02", 4)):
        write_movie(simulate_movie(frames=6, cells=6, size=(96, 96), seed=seed), folder, name)
    return folder


def opened(dataset: Path) -> list[tuning.Tunable]:
    return [open_tunable(s.name, open_labels(s.gt_tra), None, s.gt) for s in find_sequences(dataset)]


def test_a_trial_tracks_as_the_command_would(dataset: Path, tmp_path: Path) -> None:
    truth, folder = opened(dataset)[0], tmp_path / "masks"
    folder.mkdir()
    unseen = {2: 1, 3: 2}  # each of these frames lacks one cell
    write_masks(folder, ((n, np.where(m == unseen.get(n, -1), 0, m)) for n, m in truth.masks.items()))
    movie = open_tunable("holes", open_labels(folder), None, truth.truth)
    seen = []

    def score(truth: Path, result: Path) -> dict[str, float]:
        assert truth == movie.truth
        seen.append((read_tracks(result / "res_track.txt"), dict(open_labels(result))))
        return {"TRA": 1.0}

    for settings in (TrackSettings(max_gap=0), TrackSettings(max_gap=2, gap_cost=0.5, late=1.0, allow_drop=True)):
        run_settings(movie, settings, score)
        whole = track(movie.masks, settings)
        tracks, masks = seen[-1]
        assert np.array_equal(tracks.label, whole.tracks.label)
        assert np.array_equal(tracks.parent, whole.tracks.parent)
        for number, labels in whole.masks():
            assert np.array_equal(masks[number], labels)
    assert len(seen) == 2, "the two settings lead to different tracks"
    run_settings(movie, TrackSettings(max_gap=0, appear=7.25), score)
    assert len(seen) == 2, "the same tracks are not judged again"


def fake_run(movie: tuning.Tunable, settings: TrackSettings, score: object) -> dict[str, float]:
    """A value that depends on one setting alone: sequence 01 wants it high, 02 low, 01 twice as much."""
    share = settings.appear / 12
    return {"OP_CLB": share if movie.name == "01" else 1 - share / 2}


def test_search_is_kept_and_tells_what_it_is_worth_elsewhere(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "run_settings", fake_run)
    movies, study = opened(dataset), tmp_path / "study.sqlite"
    first = search_settings(movies, score=lambda a, b: {}, study_file=study, trials=2)
    assert first.default == {"01": pytest.approx(7 / 12), "02": pytest.approx(1 - 7 / 24)}, (
        "the first trial is the default"
    )
    found = search_settings(movies, score=lambda a, b: {}, study_file=study, trials=6)
    assert found.trials[:2] == first.trials
    assert len(found.trials) == 8
    appear = [row["appear"] for row in found.trials]
    assert found.best.appear == max(appear), "the mean grows with it"
    assert found.left_out == {"01": pytest.approx(min(appear) / 12), "02": pytest.approx(1 - max(appear) / 24)}
    assert (
        search_settings(movies[:1], score=lambda a, b: {}, study_file=tmp_path / "b.sqlite", trials=1).left_out is None
    )
    with pytest.raises(InputError, match="search with other measure"):
        search_settings(movies, score=lambda a, b: {}, study_file=study, measure="TRA")
    with pytest.raises(InputError, match="01 has no LNK"):
        search_settings(movies, score=lambda a, b: {}, study_file=tmp_path / "c.sqlite", measure="LNK")


def test_the_command_ends_with_a_file_that_track_reads(dataset: Path, tmp_path: Path, capsys) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        status = console.run(celltrail.cli.app, [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    out = tmp_path / "tracking.toml"
    search = ["tune", "tracking", dataset, "--measure", "LNK", "--trials", "2", "--costs", "learned", "--out", out]
    status, said, problems = run(*search)
    assert status == 0, problems
    assert "LNK on sequences left out of the search" in said
    settings = tomllib.loads(out.read_text(encoding="utf-8"))
    assert set(settings) >= {"costs", "appear", "border", "late", "allow-drop"}
    assert out.with_suffix(".sqlite").is_file()
    masks = dataset / "01_GT" / "TRA"
    assert run("track", masks, "--out", tmp_path / "RES", "--config", out)[0] == 0
    assert run(*search) == (2, "", f"{out} exists already: choose another name, or add --overwrite to replace it.\n")
    assert run("tune", "tracking", dataset, "--out", tmp_path / "x.json")[0] == 2
    assert run("tune", "tracking", dataset, "--sequence", "07", "--out", tmp_path / "y.toml")[0] == 2
    assert run("track", masks, "--out", tmp_path / "RES2", "--appear", "-1")[0] == 2


def test_settings_survive_the_file() -> None:
    settings = replace(DEFAULT, costs='my "costs".json', max_gap=3, allow_drop=True, appear=2.25)
    assert tomllib.loads(to_toml(searched(settings))) == {
        "costs": 'my "costs".json',
        "max-gap": 3,
        "allow-drop": True,
        "appear": 2.25,
        "border": 3.0,
        "late": 6.0,
    }
    assert "max-gap" not in tomllib.loads(to_toml(searched(DEFAULT)))


def test_a_constant_that_is_no_cost_is_refused() -> None:
    masks = {0: np.ones((8, 8), np.uint8), 1: np.ones((8, 8), np.uint8)}
    with pytest.raises(InputError, match="'appear' is -1 nats"):
        track(masks, appear=-1)
    with pytest.raises(InputError, match="'late' is nan nats"):
        track(masks, late=float("nan"))
