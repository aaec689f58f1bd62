"""A result in Python: tables, files, measures and a picture of it, each in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import celltrail as ct
from celltrail.data.errors import InputError


@pytest.fixture
def movie() -> dict[int, np.ndarray]:
    """A cell that moves to the right, and one that divides after frame 2."""
    frames = {}
    for t in range(6):
        mask = np.zeros((60, 80), dtype=np.int64)
        mask[5:13, 5 + 3 * t : 13 + 3 * t] = 1
        if t < 3:
            mask[35:47, 35:47] = 2
        else:
            mask[30 - 2 * (t - 3) : 39 - 2 * (t - 3), 36:46] = 2
            mask[43 + 2 * (t - 3) : 52 + 2 * (t - 3), 36:46] = 3
        frames[t] = mask
    return frames


def test_tables_files_and_one_line(movie: dict[int, np.ndarray], tmp_path: Path) -> None:
    result = ct.track(movie)
    table = result.tracks.to_pandas()
    assert list(table.columns) == ["label", "begin", "end", "parent"]
    assert table.to_numpy().tolist() == result.tracks.rows().tolist()
    assert len(result.tracks.divisions()) == 1
    run = result.write(tmp_path / "RES")
    assert run["status"] == "optimal"
    assert ct.read_tracks(tmp_path / "RES" / "res_track.txt") == result.tracks
    for thing in (result, result.tracks, result.candidates, result.solution, ct.candidate_graph(movie)):
        assert len(str(thing).splitlines()) == 1
    assert repr(result.tracks) == "Tracks(4 tracks, 1 division, frames 0 to 5)"
    with pytest.raises(InputError, match="exists"):
        result.write(tmp_path / "RES")


def test_measured_in_memory_as_on_disk(movie: dict[int, np.ndarray], tmp_path: Path) -> None:
    images = {t: np.where(mask > 0, 50.0 + t, 10.0) for t, mask in movie.items()}
    result = ct.track(movie)
    result.write(tmp_path / "RES")
    here = ct.measure(result, images, voxel=(1.0, 0.5, 0.5), interval=120.0)
    there = ct.measure(tmp_path / "RES", {"": images}, voxel=(1.0, 0.5, 0.5), interval=120.0)
    assert here.cells.equals(there.cells.drop(columns="margin"))
    assert here.tracks.equals(there.tracks)
    first = here.cells.iloc[0]
    assert (first["integrated"], first["background"]) == (50.0 * 64, 10.0)
    assert (first["corrected_mean"], first["corrected_integrated"]) == (40.0, 40.0 * 64)
    tracks = here.tracks.set_index("track")
    daughters = tracks[tracks["mother"] > 0]
    assert len(daughters) == 2
    assert (daughters["lineage"] == daughters["mother"]).all()
    assert (daughters["generation"] == 1).all()
    assert (daughters["begin_minutes"] == 6.0).all()
    mover = tracks[tracks["net_px"] == 15.0].iloc[0]
    assert (mover["net_um"], mover["mean_speed_um_per_min"], mover["mean_area_um2"]) == (7.5, 0.75, 16.0)
    cells = here.cells[here.cells["track"].isin(daughters.index)]
    assert set(cells["generation"]) == {1}
    assert set(cells["mother"]) == set(daughters["mother"])


def test_frames_are_first_and_last(movie: dict[int, np.ndarray], tmp_path: Path) -> None:
    ct.track(movie).write(tmp_path / "RES")
    for frames in ((1, 4), "1:4", range(1, 5)):
        result = ct.track(tmp_path / "RES", frames=frames)
        assert (result.tracks.begin.min(), result.tracks.end.max()) == (1, 4)
        assert result.run["config"]["frames"] == "1:4"
    assert list(ct.open_labels(tmp_path / "RES", frames=(2, 3))) == [2, 3]
    for wrong in ((4, 1), (1, 2, 3), 5):
        with pytest.raises(InputError, match=r"give \(first, last\)"):
            ct.track(tmp_path / "RES", frames=wrong)


def test_an_edited_graph_becomes_a_result(movie: dict[int, np.ndarray], tmp_path: Path) -> None:
    graph = ct.candidate_graph(movie)
    assert ct.track_graph(graph, movie).tracks == ct.track(movie).tracks
    graph.graph["divisions"].clear()
    result = ct.track_graph(graph, movie)
    assert result.tracks.divisions() == {}
    assert "0 divisions" in repr(result)
    result.write(tmp_path / "RES")
    measured = ct.measure(tmp_path / "RES")
    assert measured.tracks["daughters"].eq("").all()
    for frame, mask in ct.open_labels(tmp_path / "RES").items():
        assert ((mask > 0) == (movie[frame] > 0)).all()
    with pytest.raises(InputError, match="The masks have no frame 5"):
        ct.track_graph(graph, {t: mask for t, mask in movie.items() if t < 5})


def test_lineages_are_drawn(movie: dict[int, np.ndarray]) -> None:
    tracks = ct.track(movie).tracks
    (axes,) = ct.plot_lineages(tracks, interval=3600.0).axes
    (lines,) = axes.collections
    assert len(lines.get_segments()) == len(tracks) + 2  # and one for each daughter from her mother
    assert axes.get_ylabel() == "hours"
