"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

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
