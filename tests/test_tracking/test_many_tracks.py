"""More tracks than 16 bits can name: said before the solve where it can be foreseen, and kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import bits_for, write_track_file
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.formats.points import read_result
from celltrail.tracking import track, write_result
from celltrail.tracking.pipeline import _foresee_many


def test_a_result_of_many_tracks_is_kept_in_32_bits(tmp_path, caplog):
    masks = {t: np.zeros((20, 20), np.uint16) for t in range(2)}
    for t in masks:
        masks[t][4:8, 4:8] = 1
    result = track(masks)
    write_result(result, tmp_path / "FEW")
    assert tifffile.imread(tmp_path / "FEW" / "mask000.tif").dtype == np.uint16
    assert "32 bits" not in caplog.text
    # the same, as if it were the last of many
    result.tracks.label[:] = 70_000
    result.lineage.track[:] = 70_000
    write_result(result, tmp_path / "MANY", graph=False)
    assert tifffile.imread(tmp_path / "MANY" / "mask000.tif").max() == 70_000
    assert read_result(tmp_path / "MANY").label.tolist() == [70_000] * 2
    assert "32 bits" in caplog.text


def test_many_cells_in_a_frame_are_foreseen(caplog):
    few, many = (
        SimpleNamespace(frame_starts=lambda n=n: np.array([0, n, n + 5]), joint=False) for n in (65_535, 65_536)
    )
    _foresee_many(few)
    assert not caplog.text
    _foresee_many(many)
    assert "A frame holds 65,536 cells" in caplog.text


def test_bits(tmp_path):
    tracks = Tracks.from_rows([(65_535, 0, 1, 0)])
    assert bits_for(tracks) == 16
    more = Tracks.from_rows([(65_536, 0, 1, 0)])
    assert bits_for(more) == 32
    with pytest.raises(InputError, match="16 bits"):
        write_track_file(tmp_path / "a.txt", more)
    write_track_file(tmp_path / "a.txt", more, bits=32)
    assert read_tracks(tmp_path / "a.txt") == more
