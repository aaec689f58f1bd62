"""What is measured in hand-drawn cells is what was drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.measurements import measure_cells, measure_tracks, read_margins
from celltrail.data.formats.points import Points, points_between, read_result
from celltrail.data.running import console

# A 4 x 8 cell (1) moves right by 2 and down by 1 each frame and divides into 2 and 3 (3 leaves at the border),
# cell 4 appears in frame 1, is lost in frame 2 (5 continues it), cell 6 divides in 7 and 8, 7 divides in 9 and 10.
TRACKS = Tracks.from_rows([(1, 0, 1, 0), (2, 2, 4, 1), (3, 2, 3, 1), (4, 1, 1, 0), (5, 3, 4, 4)])
BOXES = {
    0: {1: (10, 14, 10, 18)},
    1: {1: (11, 15, 12, 20), 4: (30, 34, 30, 34)},
    2: {2: (4, 8, 12, 16), 3: (16, 20, 12, 16)},
    3: {2: (4, 8, 12, 16), 3: (36, 40, 12, 16), 5: (30, 34, 36, 40)},
    4: {2: (4, 8, 13, 17), 5: (30, 34, 37, 41)},
}


def masks() -> dict[int, np.ndarray]:
    movie = {frame: np.zeros((40, 60), np.uint16) for frame in BOXES}
    for frame, boxes in BOXES.items():
        for label, (top, bottom, left, right) in boxes.items():
            movie[frame][top:bottom, left:right] = label
    return movie


@pytest.fixture
def result(tmp_path: Path) -> Path:
    folder = tmp_path / "01_RES"
    folder.mkdir()
    write_masks(folder, masks().items())
    write_track_file(folder / "res_track.txt", TRACKS)
    return folder


@pytest.fixture
def points(result: Path) -> Points:
    return read_result(result)


def row(table: pd.DataFrame, **where: int) -> pd.Series:
    (index,) = table.index[np.all([table[name] == value for name, value in where.items()], axis=0)]
    return table.loc[index]


def test_position_size_and_shape(points: Points) -> None:
    cells = measure_cells(points, masks())
    cell = row(cells, frame=0, label=1)
    assert (cell["x_px"], cell["y_px"], cell["area_px"], cell["solidity"]) == (13.5, 11.5, 32, 1.0)
    # An ellipse with the second moments of a box of side s has the axis 4·sqrt((s² − 1) / 12).
    assert cell["major_px"] == pytest.approx(4 * np.sqrt(63 / 12))
    assert cell["minor_px"] == pytest.approx(4 * np.sqrt(15 / 12))
    assert not cell["at_border"]
    assert row(cells, frame=3, label=3)["at_border"]
    assert "x_um" not in cells
    assert "minutes" not in cells


def test_speed_follows_tracks_across_gaps_and_knows_units(points: Points) -> None:
    cells = measure_cells(replace(points, voxel=(1.0, 0.5, 0.25), interval=30.0), masks())
    assert np.isnan(row(cells, frame=0, label=1)["speed_px"])
    cell = row(cells, frame=1, label=1)
    assert cell["speed_px"] == pytest.approx(np.hypot(2, 1))
    assert cell["speed_um_per_min"] == pytest.approx(np.hypot(2 * 0.25, 1 * 0.5) / 0.5)
    # 5 continues 4 after a missed frame: 6 pixels in two frames. A daughter starts anew.
    assert row(cells, frame=3, label=5)["speed_px"] == 3
    assert row(cells, frame=3, label=5)["track"] == 4
    assert np.isnan(row(cells, frame=2, label=2)["speed_px"])
    assert (cell["minutes"], cell["x_um"], cell["area_um2"]) == (0.5, 15.5 * 0.25, 32 * 0.125)


def test_neighbours_are_counted_by_centres(points: Points) -> None:
    cells = measure_cells(points, masks())
    # The median area is 16, so neighbours are closer than 3 · 2.26 = 6.8 pixels: here there are none.
    assert cells["neighbours"].sum() == 0
    close = {frame: np.repeat(mask, 1, axis=0) for frame, mask in masks().items()}
    moved = replace(points, position=points.position * [1, 0.5, 1])
    assert row(measure_cells(moved, close), frame=2, label=2)["neighbours"] == 1


def test_grey_values_of_several_channels(points: Points) -> None:
    ramp = {frame: np.tile(np.arange(60.0), (40, 1)) for frame in range(5)}
    flat = {0: np.full((40, 60), 7, np.uint8)}
    cells = measure_cells(points, masks(), {"ch0": ramp, "ch1": flat})
    cell = row(cells, frame=0, label=1)
    assert (cell["mean_ch0"], cell["mean_ch1"], cell["sd_ch1"]) == (13.5, 7, 0)
    assert cell["sd_ch0"] == pytest.approx(np.arange(8).std())
    assert np.isnan(row(cells, frame=1, label=1)["mean_ch1"])
    with pytest.raises(InputError, match="use the images that the masks were made from"):
        measure_cells(points, masks(), {"": {0: np.zeros((4, 4))}})


def test_tracks_know_birth_fate_and_generation(points: Points) -> None:
    tracks = measure_tracks(points, measure_cells(points, masks())).set_index("track")
    assert sorted(tracks.index) == [1, 2, 3, 4]
    assert tracks["birth"].to_dict() == {1: "start of the movie", 2: "division", 3: "division", 4: "appears"}
    assert tracks["fate"].to_dict() == {1: "division", 2: "end of the movie", 3: "border", 4: "end of the movie"}
    assert tracks["generation"].to_dict() == {1: 0, 2: 1, 3: 1, 4: 0}
    assert (tracks.loc[1, "daughters"], tracks.loc[2, "mother"], tracks.loc[4, "frames"]) == ("2 3", 1, 3)
    assert tracks["cycle_frames"].isna().all()
    assert tracks.loc[1, "path_px"] == pytest.approx(np.hypot(2, 1))
    assert (tracks.loc[3, "net_px"], tracks.loc[3, "mean_speed_px"]) == (20, 20)


def test_a_cycle_runs_from_division_to_division() -> None:
    rows = [(1, 0, 0, 0), (2, 1, 3, 1), (3, 1, 4, 1), (4, 4, 4, 2), (5, 4, 4, 2)]
    frame = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 4])
    label = np.array([1, 2, 3, 2, 3, 2, 3, 3, 4, 5])
    movie = {f: np.zeros((9, 60), np.uint8) for f in range(5)}
    for f, name in zip(frame, label, strict=True):
        movie[f][3:6, 8 * name : 8 * name + 3] = name
    position = np.stack([0 * label, 4 + 0 * label, 8 * label + 1], axis=1).astype(float)
    points = Points(frame, label, position, np.full(10, 9.0), Tracks.from_rows(rows), 2, None, 120.0)
    tracks = measure_tracks(points, measure_cells(points, movie)).set_index("track")
    assert tracks["cycle_frames"].dropna().to_dict() == {2: 3}
    assert tracks["cycle_minutes"].dropna().to_dict() == {2: 6.0}
    assert tracks["generation"].to_dict() == {1: 0, 2: 1, 3: 1, 4: 2, 5: 2}


def test_volumes_in_3d(tmp_path: Path) -> None:
    stack = np.zeros((6, 12, 12), np.uint16)
    stack[2:4, 3:6, 3:7] = 900
    write_masks(tmp_path, [(0, stack)])
    write_track_file(tmp_path / "res_track.txt", Tracks.from_rows([(900, 0, 0, 0)]))
    points = replace(read_result(tmp_path), voxel=(2.0, 1.0, 0.5))
    cell = row(measure_cells(points, {0: stack}), frame=0, label=900)
    assert (cell["volume_px"], cell["volume_um3"], cell["z_px"], cell["z_um"]) == (24, 24, 2.5, 5)
    assert "major_px" not in cell


def test_the_command_writes_both_tables_with_margins(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from celltrail.cli import app

    images = tmp_path / "01"
    images.mkdir()
    for frame, mask in masks().items():
        write_array(images / f"t{frame:03d}.tif", mask * 100)
    tracked = tmp_path / "tracked"
    assert console.run(app, ["track", str(result), "--out", str(tracked)]) == 0
    out = tmp_path / "cells.csv"
    words = ["measure", str(tracked), "--images", str(images), "--out", str(out), "--voxel", "0.5", "0.5"]
    assert console.run(app, words) == 0
    cells, tracks = pd.read_csv(out), pd.read_csv(tmp_path / "cells-tracks.csv")
    assert len(cells) == len(read_result(tracked))
    assert set(tracks["track"]) == set(cells["track"])
    linked = cells.dropna(subset=["margin"])
    assert (linked["margin"] >= 0).all()
    margins = read_margins(tracked / "graph.npz")
    assert len(linked) == sum(not np.isnan(value) for value in margins.values()) > 0
    capsys.readouterr()
    assert console.run(app, words) == 2
    assert "exists already" in capsys.readouterr().err
    assert console.run(app, ["measure", str(tracked), "--out", str(tmp_path / "cells.xlsx")]) == 2


def test_frames_are_measured_as_a_movie_of_their_own() -> None:
    points = Points(
        np.arange(6),
        np.array([1, 1, 1, 2, 2, 2]),
        np.stack([np.zeros(6), np.full(6, 5.0), np.arange(6) * 3.0], axis=1),
        np.full(6, 4.0),
        Tracks.from_rows([(1, 0, 2, 0), (2, 3, 5, 1)]),
        2,
    )
    part = points_between(points, range(1, 4))
    assert part.frame.tolist() == [1, 2, 3]
    assert part.tracks.rows().tolist() == [[1, 1, 2, 0], [2, 3, 3, 1]]
    assert points_between(points, range(4, 9)).tracks.rows().tolist() == [[2, 4, 5, 0]]
    assert points_between(points, None) is points
    with pytest.raises(InputError, match="No cell is in the frames 7:8"):
        points_between(points, range(7, 9))
