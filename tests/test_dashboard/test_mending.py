"""Masks mended by strokes: each tool on drawn masks, and the way to a new result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from celltrail.dashboard.correcting import mending
from celltrail.dashboard.correcting.edits import Edit, apply_edit, cell_under
from celltrail.dashboard.correcting.graph import open_graph
from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError, open_labels, read_tracks
from celltrail.data.files.check import find_problems
from celltrail.data.files.pins import Pin, read_pins


def two_cells() -> np.ndarray:
    """Cell 3 on the left, cell 7 on the right, background between them."""
    labels = np.zeros((20, 40), dtype=np.uint16)
    labels[5:15, 4:14] = 3
    labels[5:15, 22:32] = 7
    return labels


def test_a_stroke_splits_a_cell_and_keeps_every_pixel() -> None:
    labels = two_cells()
    after = apply_edit(labels, Edit("split", 0, ((2.5, 6.5), (17.5, 6.5))))
    assert np.unique(after).tolist() == [0, 3, 7, 8]
    np.testing.assert_array_equal(after > 0, labels > 0)
    assert (after == 3).sum() > (after == 8).sum() >= 20  # the larger part keeps the label
    slanted = apply_edit(labels, Edit("split", 0, ((2.0, 2.0), (17.0, 15.0))))
    assert set(np.unique(slanted)) == {0, 3, 7, 8}
    for points in [((8.0, 6.0), (10.0, 6.0)), ((1.0, 1.0), (1.0, 30.0))]:  # within the cell; beside all cells
        with pytest.raises(InputError, match="Frame 4: the stroke"):
            apply_edit(labels, Edit("split", 4, points))


def test_a_stroke_joins_two_cells_with_what_lies_between() -> None:
    after = apply_edit(two_cells(), Edit("join", 0, ((10.0, 8.0), (10.0, 28.0))))
    assert np.unique(after).tolist() == [0, 3]
    assert (after[10, 4:32] == 3).all()
    assert (after > 0).sum() > (two_cells() > 0).sum()
    with pytest.raises(InputError, match="fewer than two cells"):
        apply_edit(two_cells(), Edit("join", 0, ((10.0, 8.0), (10.0, 12.0))))


def test_an_outline_draws_a_cell_on_background_only() -> None:
    outline = ((1.0, 10.0), (1.0, 26.0), (18.0, 26.0), (18.0, 10.0), (1.0, 10.0))
    labels = two_cells()
    after = apply_edit(labels, Edit("draw", 0, outline))
    assert (after == 8).sum() > 50
    np.testing.assert_array_equal(after[labels > 0], labels[labels > 0])
    with pytest.raises(InputError, match="no background"):
        apply_edit(labels, Edit("draw", 0, ((6.0, 6.0), (6.0, 10.0), (10.0, 10.0))))


def test_a_stroke_erases_a_cell() -> None:
    edit = Edit("erase", 0, ((10.0, 25.0), (11.0, 25.0)))
    assert cell_under(two_cells(), edit) == 7
    assert np.unique(apply_edit(two_cells(), edit)).tolist() == [0, 3]
    with pytest.raises(InputError, match="touches no cell"):
        apply_edit(two_cells(), Edit("erase", 0, ((1.0, 1.0),)))


def two_deep_cells() -> np.ndarray:
    """Seven planes: cell 3 on the left in planes 1 to 5, cell 7 on the right in planes 2 to 4."""
    volume = np.zeros((7, 20, 40), dtype=np.uint16)
    for plane in range(1, 6):
        volume[plane][two_cells() == 3] = 3
    for plane in range(2, 5):
        volume[plane][two_cells() == 7] = 7
    return volume


@pytest.mark.parametrize("plane", [None, 1, 3])
def test_in_a_volume_a_stroke_means_whole_cells(plane: int | None) -> None:
    volume = two_deep_cells()
    split = apply_edit(volume, Edit("split", 0, ((2.5, 6.5), (17.5, 6.5)), plane))
    flat = apply_edit(two_cells(), Edit("split", 0, ((2.5, 6.5), (17.5, 6.5))))
    for depth in range(7):
        expected = np.where(np.isin(flat, (3, 8)) & (1 <= depth <= 5), flat, 0) + np.where(volume[depth] == 7, 7, 0)
        np.testing.assert_array_equal(split[depth], expected)
    erased = apply_edit(volume, Edit("erase", 0, ((10.0, 8.0),), plane))
    np.testing.assert_array_equal(erased, np.where(volume == 3, 0, volume))


def test_cells_of_a_volume_are_joined_where_a_plane_holds_both() -> None:
    volume = two_deep_cells()
    stroke = ((10.0, 8.0), (10.0, 28.0))
    for plane in (None, 3):
        after = apply_edit(volume, Edit("join", 0, stroke, plane))
        assert np.unique(after).tolist() == [0, 3]
        assert [bool((after[depth, 10, 14:22] == 3).all()) for depth in range(7)] == [2 <= d <= 4 for d in range(7)]
        assert (after[volume > 0] == 3).all()
    with pytest.raises(InputError, match="fewer than two cells"):
        apply_edit(volume, Edit("join", 0, stroke, 1))  # plane 1 holds one of them


def test_a_cell_of_a_volume_is_drawn_on_its_plane_as_deep_as_the_others() -> None:
    outline = ((2.0, 15.0), (2.0, 20.0), (17.0, 20.0), (17.0, 15.0), (2.0, 15.0))
    volume = two_deep_cells()
    after = apply_edit(volume, Edit("draw", 0, outline, 2))
    assert np.flatnonzero((after == 8).any(axis=(1, 2))).tolist() == [0, 1, 2, 3, 4]  # 5 and 3 planes: 4, two each way
    np.testing.assert_array_equal(after[volume > 0], volume[volume > 0])
    with pytest.raises(InputError, match="choose the plane"):
        apply_edit(volume, Edit("draw", 0, outline))
    with pytest.raises(InputError, match="below the last plane"):
        apply_edit(volume, Edit("draw", 0, outline, 7))


def test_strokes_are_kept_on_disk_and_taken_back(tmp_path: Path) -> None:
    first, second = Edit("split", 2, ((1.0, 2.5), (3.0, 4.0))), Edit("erase", 3, ((5.0, 6.0),))
    for act, edit in [("added", first), ("added", second), ("taken back", first)]:
        mending.write_edit(tmp_path, act, edit)
    assert mending.read_edits(tmp_path) == [second]
    deep = Edit("draw", 3, ((5.0, 6.0), (7.5, 8.0)), plane=4)
    mending.write_edit(tmp_path, "added", deep)
    assert mending.read_edits(tmp_path) == [second, deep]
    assert deep.moved(5, (-1.2, 2.0, 3.0)) == Edit("draw", 5, ((7.0, 9.0), (9.5, 11.0)), plane=3)
    with (tmp_path / mending.MENDS).open("a") as stream:
        stream.write("now,added,melt,3,1 2\n")
    with pytest.raises(InputError, match="line 6 is no edit"):
        mending.read_edits(tmp_path)


def test_mended_masks_are_saved_and_tracked_with_what_was_confirmed(copy_of: Path) -> None:
    result = content.open_result(registry.open_dataset(copy_of).movies[0].results[0])
    graph, labels = open_graph(result), open_labels(copy_of / "01_RES")
    tracks = result.tracks
    track = next(label for label, begin, end, _ in tracks.rows().tolist() if begin == 0 and end >= 6)
    places = np.argwhere(labels[3] == track)
    erase = Edit("erase", 3, (tuple(places.mean(axis=0).tolist()),))  # type: ignore[arg-type]
    edits = mending.through_frames(result, erase, 2)
    assert [edit.frame for edit in edits] == [3, 4, 5]
    cell = {frame: graph.cell(graph.row_of(frame, track)) for frame in (1, 2, 3)}  # type: ignore[arg-type]
    other = next(one for one in np.unique(labels[8]) if one not in (0, track))
    stays = Pin("detection", "forbid", (graph.cell(graph.row_of(8, int(other))),))  # type: ignore[arg-type]
    pins = [Pin("link", "keep", (cell[1], cell[2])), Pin("link", "keep", (cell[2], cell[3])), stays]
    out = mending.save_and_track(result, edits, pins)
    assert out == copy_of / "01_RES_mended"
    assert find_problems(out) == []
    assert read_pins(out / "pins.csv") == [pins[0], stays]  # the other names a mask that is gone
    masks = open_labels(copy_of / "01_MASKS_mended")
    old = mending.masks_of(result, [])
    for frame in old:
        gone = old[frame] == cell[3][1] if frame == 3 else np.zeros(labels.shape, dtype=bool)
        if frame not in (4, 5):
            np.testing.assert_array_equal(masks[frame], np.where(gone, 0, old[frame]))
    assert len(np.unique(masks[4])) == len(np.unique(old[4])) - 1
    movie = registry.open_dataset(copy_of).movies[0]
    assert {"01_RES_mended", "01_MASKS_mended"} <= {layer.name for layer in movie.layers}
    assert len(read_tracks(out / "res_track.txt")) > 0
    assert not list(copy_of.glob(".*"))
    shutil.rmtree(out)
