"""Probabilities at cells, links, tracks and cell cycles, and what is left when the doubtful is cut."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celltrail.cli import app
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.certainty import (
    Certainty,
    keep_certain,
    link_probabilities,
    read_certainty,
    track_probabilities,
)
from celltrail.data.formats.convert import convert_movie
from celltrail.data.formats.points import Points, joined_tracks, links_of, read_result
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking import track, write_result


@pytest.fixture
def family() -> tuple[Points, Certainty]:
    """Track 1 (frames 0-1) divides into 2 (frames 2-4, which divides into 4 and 5) and 3 (frame 2)."""
    rows = [(1, 0, 1, 0), (2, 2, 4, 1), (3, 2, 2, 1), (4, 5, 5, 2), (5, 5, 5, 2)]
    frame = np.array([0, 1, 2, 2, 3, 4, 5, 5])
    label = np.array([1, 1, 2, 3, 2, 2, 4, 5])
    position = np.stack([0 * label, 10.0 * label, 10.0 * label], axis=1)
    points = Points(frame, label, position, np.full(8, 9.0), Tracks.from_rows(rows), 2)
    past = {(1, 1): 0.9, (2, 2): 0.8, (2, 3): 0.7, (3, 2): 0.95, (4, 2): 0.5, (5, 4): 0.99, (5, 5): 0.99}
    return points, Certainty(past, {}, {1: 0.6, 2: 0.98})


def test_a_track_is_right_if_all_its_links_are(family: tuple[Points, Certainty]) -> None:
    points, certainty = family
    whole, cycle = track_probabilities(points, joined_tracks(points.tracks), certainty)
    assert whole[1] == pytest.approx(0.9)
    assert whole[2] == pytest.approx(0.95 * 0.5)
    assert cycle[2] == pytest.approx(0.8 * 0.95 * 0.5 * 0.98)


def test_links_have_the_probability_of_the_past_they_lead_to(family: tuple[Points, Certainty]) -> None:
    points, certainty = family
    right = link_probabilities(points, certainty)
    assert right.tolist() == [0.9, 0.8, 0.7, 0.95, 0.5, 0.99, 0.99]


def test_tracks_are_cut_at_doubtful_links(family: tuple[Points, Certainty]) -> None:
    points, certainty = family
    parts, share = keep_certain(points, certainty, 0.75)
    assert share == pytest.approx(5 / 7)
    assert len(parts) == len(points)
    assert len(links_of(parts)) == 5
    kept, everything = keep_certain(points, certainty, 0.0)
    assert everything == 1.0
    assert len(links_of(kept)) == 7
    with pytest.raises(InputError, match="from 0 to 1"):
        keep_certain(points, certainty, 1.5)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("certain") / "RES"
    movie = simulate_movie(frames=12, cells=30, size=(160, 160), speed=0.6, crowding=0.3, cycle=10.0, seed=5)
    write_result(track(movie.masks), out)
    return out


def test_measure_tells_and_keeps_what_is_certain(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.run(app, ["measure", str(result), "--out", str(tmp_path / "all.csv")]) == 0
    cells, tracks = pd.read_csv(tmp_path / "all.csv"), pd.read_csv(tmp_path / "all-tracks.csv")
    known = cells["probability"].notna()
    filled = json.loads((result / "run.json").read_text())["filled"]
    assert (~known & (cells["frame"] > 0)).sum() == filled  # masks that were painted have no doubt of their own
    assert cells.loc[known, "probability"].between(0, 1.0001).all()
    assert (tracks["cycle_probability"].notna() <= tracks["cycle_frames"].notna()).all()
    capsys.readouterr()
    words = ["measure", str(result), "--out", str(tmp_path / "some.csv"), "--certain", "0.9"]
    assert console.run(app, words) == 0
    some = pd.read_csv(tmp_path / "some-tracks.csv")
    assert f"{len(some)} of {len(tracks)} tracks" in capsys.readouterr().out
    assert some["track"].tolist() == tracks.loc[tracks["probability"] >= 0.9, "track"].tolist()
    assert set(pd.read_csv(tmp_path / "some.csv")["track"]) == set(some["track"])


def test_convert_keeps_what_is_certain(result: Path, tmp_path: Path) -> None:
    notes = convert_movie(result, tmp_path / "CUT", certain=0.99)
    before, after = read_result(result), read_result(tmp_path / "CUT")
    certainty = read_certainty(result / "graph.npz")
    assert certainty is not None
    doubtful = int((link_probabilities(before, certainty) < 0.99).sum())
    assert doubtful > 0
    assert len(after) == len(before)
    assert len(links_of(after)) == len(links_of(before)) - doubtful
    assert "% of the links are certain enough" in notes[0]


def test_geff_links_carry_their_probability(result: Path, tmp_path: Path) -> None:
    geff = pytest.importorskip("geff.core_io")
    convert_movie(result, tmp_path / "tracks.geff")
    edges = geff.read_to_memory(str(tmp_path / "tracks.geff"))["edge_props"]
    certainty = read_certainty(result / "graph.npz")
    assert certainty is not None
    points = read_result(result)
    expected = link_probabilities(points, certainty)
    assert np.allclose(np.asarray(edges["probability"]["values"]), np.nan_to_num(expected))
    assert np.isfinite(expected).any()


def test_a_result_without_probabilities_cannot_be_cut(tmp_path: Path) -> None:
    mask = np.zeros((12, 12), np.uint16)
    mask[3:6, 3:6] = 1
    write_masks(tmp_path, [(0, mask), (1, mask)])
    write_track_file(tmp_path / "res_track.txt", Tracks.from_rows([(1, 0, 1, 0)]))
    assert read_certainty(tmp_path / "graph.npz") is None
    with pytest.raises(InputError, match="holds no probabilities"):
        convert_movie(tmp_path, tmp_path / "OUT", certain=0.9)
    assert console.run(app, ["measure", str(tmp_path), "--out", str(tmp_path / "c.csv"), "--certain", "0.9"]) == 2


def test_counts_have_an_interval_from_solutions_that_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = simulate_movie(frames=8, cells=12, size=(120, 120), speed=0.6, crowding=0.3, cycle=6.0, seed=5)
    write_result(track(movie.masks), tmp_path / "01_RES")
    out = tmp_path / "cells.csv"
    assert console.run(app, ["measure", str(tmp_path / "01_RES"), "--out", str(out), "--resample", "8"]) == 0
    said = capsys.readouterr().out
    counts = pd.read_csv(tmp_path / "cells-counts.csv").set_index("quantity")
    tracks = pd.read_csv(tmp_path / "cells-tracks.csv")
    assert counts.loc["tracks", "value"] == len(tracks)
    assert counts.loc["divisions", "value"] == tracks["fate"].eq("division").sum()
    assert (counts["low"].dropna() <= counts["high"].dropna()).all()
    assert f"tracks: {len(tracks)} (90 % interval" in said
    (tmp_path / "01_RES" / "graph.npz").unlink()
    again = ["measure", str(tmp_path / "01_RES"), "--out", str(out), "--resample", "8", "--overwrite"]
    assert console.run(app, again) == 2
    assert "--resample needs" in capsys.readouterr().err
