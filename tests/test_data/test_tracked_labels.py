"""Label images that somebody has tracked, without a track file, become a CTC folder."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import read_tracks
from celltrail.data.formats.convert import convert_movie


def frames(*labels, step=1, start=0):
    """A frame for each set of labels, each a square of its own: label k lies in column k."""
    movie = []
    for number, present in enumerate(labels):
        mask = np.zeros((8, 60), np.uint16)
        for label in present:
            mask[2:6, 6 * label : 6 * label + 4] = label
        movie.append((start + number * step, mask))
    return movie


@pytest.mark.parametrize(("step", "start"), [(1, 0), (5, 10)])
def test_labels_become_tracks_and_holes_cut_them(tmp_path, step, start):
    """Cell 1 in all frames; 2 is missing in the third and the fifth; 3 comes late.

    1 1 1 1 1 1
    2 2 . 2 . 2
    . . . 3 3 3
    """
    (tmp_path / "labels").mkdir()
    write_masks(tmp_path / "labels", frames({1, 2}, {1, 2}, {1}, {1, 2, 3}, {1, 3}, {1, 2, 3}, step=step, start=start))
    notes = convert_movie(tmp_path / "labels", tmp_path / "RES")
    assert "2 times a cell is missing" in notes[0]
    at = [start + k * step for k in range(6)]
    rows = read_tracks(tmp_path / "RES" / "res_track.txt").rows().tolist()
    assert sorted(rows) == [
        [1, at[0], at[5], 0],
        [2, at[0], at[1], 0],
        [3, at[3], at[5], 0],
        [4, at[3], at[3], 2],
        [5, at[5], at[5], 4],
    ]
    masks = open_labels(tmp_path / "RES")
    assert [masks[number][3, 13] for number in at] == [2, 2, 0, 4, 0, 5]
    assert all(masks[number][3, 7] == 1 for number in at)


def test_masks_that_nobody_has_tracked_are_refused(tmp_path):
    (tmp_path / "labels").mkdir()
    write_masks(tmp_path / "labels", frames({1, 2}, {3, 4}, {5}))
    with pytest.raises(InputError, match="run 'celltrail track'"):
        convert_movie(tmp_path / "labels", tmp_path / "RES")
    assert not (tmp_path / "RES").exists()
