"""Fixtures that all tests share."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path | None:
    """The folder of real data sets: ``$CELLTRAIL_DATA``, else ``../shared/data`` beside the clone."""
    for candidate in (os.environ.get("CELLTRAIL_DATA"), ROOT.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate).resolve()
    return None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real CTC data sets; skips where there is none."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no real data: set CELLTRAIL_DATA to a folder of CTC data sets")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture
def track_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """The words of a command that solves a problem in many parts; its masks lie in ``masks``."""
    from celltrail.data.files.ctc import write_masks

    monkeypatch.setattr("celltrail.tracking.solving.regions.BATCH", 20)
    rng, masks = np.random.default_rng(0), tmp_path / "masks"
    masks.mkdir()
    for t in range(5):
        labels = np.zeros((60, 60), np.uint16)
        for k, (y, x) in enumerate(itertools.product(range(0, 60, 12), repeat=2)):
            dy, dx = rng.integers(0, 5, 2)
            labels[y + dy : y + dy + 7, x + dx : x + dx + 7] = k + 1
        write_masks(masks, [(t, labels)])
    return ("track", masks, "--solver", "pulp:HiGHS", "--max-gap", 0)
