"""The simulated movie is exact: masks, tracks and files agree, always."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as components

from celltrail.data.errors import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.tracks import frames_of_labels, read_tracks
from celltrail.data.running import console
from celltrail.data.simulation.scene import SimulatedMovie, simulate_movie, simulate_scene, write_movie


def labels_in(movie: SimulatedMovie) -> dict[int, np.ndarray]:
    return {frame: np.setdiff1d(np.unique(mask), 0).astype(np.int64) for frame, mask in movie.masks.items()}


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cells=st.integers(1, 20),
    size=st.sampled_from([(96, 80), (64, 64), (12, 48, 40)]),
    modality=st.sampled_from(["fluo", "dic"]),
    crowding=st.sampled_from([0.2, 0.5, 0.8]),
)
def test_masks_and_tracks_agree(seed: int, cells: int, size: tuple[int, ...], modality: str, crowding: float) -> None:
    movie = simulate_movie(
        frames=8, cells=cells, size=size, modality=modality, seed=seed, crowding=crowding, cycle=9, death_rate=0.03
    )
    assert movie.tracks.problems() == []
    present = frames_of_labels(labels_in(movie))
    assert sorted(present) == sorted(movie.tracks.label.tolist())
    for label, begin, end, _ in movie.tracks.rows().tolist():
        assert present[label].tolist() == list(range(begin, end + 1))
    # Every label is one connected piece.
    for mask in movie.masks.values():
        assert mask.shape == size
        assert components(mask, connectivity=1).max() == len(np.unique(mask)) - (0 in mask)


def test_labels_are_numbered_by_first_frame_and_a_mother_ends_right_before_her_daughters() -> None:
    movie = simulate_movie(frames=30, cells=12, size=(128, 128), cycle=14, seed=3)
    tracks = movie.tracks
    assert tracks.label.tolist() == list(range(1, len(tracks) + 1))
    assert (np.diff(tracks.begin) >= 0).all()
    divisions = tracks.divisions()
    assert len(divisions) > 3
    for mother, daughters in divisions.items():
        assert len(daughters) == 2
        for daughter in daughters:
            assert tracks.begin[tracks.row_of(daughter)] == tracks.end[tracks.row_of(mother)] + 1


def test_a_dividing_cell_is_round_and_bright_before_and_halves_after() -> None:
    movie = simulate_movie(frames=30, cells=6, size=(128, 128), cycle=20, seed=1, noise=0, death_rate=0)
    brightening, halving = [], []
    for mother, daughters in movie.tracks.divisions().items():
        row = movie.tracks.row_of(mother)
        begin, end = int(movie.tracks.begin[row]), int(movie.tracks.end[row])
        if end - begin < 6:
            continue
        last, early = movie.masks[end] == mother, movie.masks[end - 5] == mother
        brightening.append(movie.images[end][last].mean() / movie.images[end - 5][early].mean())
        halving += [(movie.masks[end + 1] == d).sum() / early.sum() for d in daughters]
    assert len(brightening) >= 2
    assert min(brightening) > 1.3
    assert np.median(halving) == pytest.approx(0.5, abs=0.15)


def test_cells_enter_and_leave_and_die() -> None:
    moving = simulate_scene(frames=40, cells=15, size=(128, 128), drift=0.3, cycle=10_000, death_rate=0).tracks
    assert (moving.begin > 0).sum() > 3
    assert (moving.end < 39).sum() > 3
    dying = simulate_scene(frames=40, cells=15, size=(128, 128), drift=0, speed=0, cycle=10_000, death_rate=0.05).tracks
    assert (dying.end < 39).sum() > 3


def test_the_asked_number_of_cells_is_in_the_first_frame() -> None:
    for cells in (1, 7, 30):
        scene = simulate_scene(frames=1, cells=cells, size=(200, 200), seed=cells)
        inside = ((scene.snapshots[0].position[:, 1:] >= 0) & (scene.snapshots[0].position[:, 1:] <= 199)).all(axis=1)
        assert inside.sum() == cells


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_movie(simulate_movie(frames=3, cells=5, size=(48, 48), seed=seed), tmp_path / name)
    files = {n: [p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in "abc"}
    assert files["a"] == files["b"]
    assert files["a"] != files["c"]


def test_a_frame_can_be_drawn_alone() -> None:
    options = {"frames": 5, "cells": 6, "size": (64, 64), "seed": 2}
    movie, lazy = simulate_movie(**options), simulate_scene(**options).movie()
    assert list(lazy.masks) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(lazy.masks[3], movie.masks[3])
    np.testing.assert_array_equal(lazy.images[3], movie.images[3])
    with pytest.raises(KeyError):
        lazy.masks[5]


def test_the_cells_stand_out_but_not_too_much() -> None:
    for modality, dtype in (("fluo", np.uint16), ("dic", np.uint8)):
        movie = simulate_movie(frames=1, cells=20, size=(160, 160), modality=modality)
        image, cells = movie.images[0].astype(float), movie.masks[0] > 0
        assert movie.images[0].dtype == dtype
        if modality == "fluo":
            assert image[cells].mean() > 3 * image[~cells].std() + image[~cells].mean()
        else:  # Relief: as bright as the background on average, but rougher.
            assert abs(image[cells].mean() - image[~cells].mean()) < 0.5 * image[cells].std()
            assert image[cells].std() > 1.2 * image[~cells].std()


def test_what_is_written_has_no_problem_and_is_read_back(tmp_path: Path) -> None:
    movie = simulate_movie(frames=6, cells=8, size=(10, 48, 48), seed=4)
    write_movie(movie, tmp_path / "set", "02")
    assert find_problems(tmp_path / "set") == []
    images, masks = open_images(tmp_path / "set" / "02"), open_labels(tmp_path / "set" / "02_GT" / "TRA")
    for frame in movie.masks:
        np.testing.assert_array_equal(images[frame], movie.images[frame])
        np.testing.assert_array_equal(masks[frame], movie.masks[frame])
    assert read_tracks(tmp_path / "set" / "02_GT" / "TRA" / "man_track.txt") == movie.tracks
    assert sorted(p.name for p in (tmp_path / "set" / "02_GT" / "SEG").iterdir())[0] == "man_seg000.tif"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "0 frames cannot be simulated"),
        ({"cells": 0}, "0 cells cannot be simulated"),
        ({"size": (64,)}, "is no image"),
        ({"size": (64, 64), "cells": 500}, "fewer cells or a larger image"),
        ({"modality": "xray"}, "choose fluo or dic"),
        ({"seed": -1}, "is negative"),
    ],
)
def test_what_cannot_be_simulated(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_scene(**options)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    import celltrail.data.cli

    app = typer.Typer()
    celltrail.data.cli.add_commands(app)
    out = str(tmp_path / "set")
    arguments = ["simulate", out, "--frames", "3", "--cells", "4", "--size", "48", "56", "--modality", "dic"]
    assert console.run(app, arguments) == 0
    assert "3 frames" in capsys.readouterr().out
    assert open_images(tmp_path / "set" / "01").shape == (48, 56)
    assert console.run(app, arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert console.run(app, ["simulate", out + "2", "--size", "0", "5"]) == 2
    assert not (tmp_path / "set2").exists()
    assert console.run(app, ["check", out]) == 0
    (tmp_path / "set" / "01" / "t001.tif").unlink()
    capsys.readouterr()
    assert console.run(app, ["check", out]) == 2
    assert "has not (1)" in capsys.readouterr().out
