"""Movies that the tests of this folder share; the functions that make them are in ``made_movies.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from celltrail.data.files.tracks import Tracks

sys.path.insert(0, str(Path(__file__).parent))
from made_movies import Movie, write_sequence


@pytest.fixture
def two_tracks() -> Movie:
    """Two cells of 3 × 3 pixels, six frames, no division."""
    masks = {}
    for frame in range(6):
        labels = np.zeros((12, 20), dtype=np.uint16)
        labels[2:5, 2 + frame : 5 + frame] = 1
        labels[7:10, 4 + frame : 7 + frame] = 2
        masks[frame] = labels
    return Movie(masks, Tracks.from_rows([(1, 0, 5, 0), (2, 0, 5, 0)]))


@pytest.fixture
def sequence(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a sequence into the test's own folder; see `write_sequence`."""

    def write(truth: Movie, result: Movie, **options: object) -> tuple[Path, Path]:
        return write_sequence(tmp_path, truth, result, **options)  # type: ignore[arg-type]

    return write
