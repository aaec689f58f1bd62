"""The sample that is shown when no data is given: a simulated movie, tracked and evaluated at run time."""

from __future__ import annotations

import getpass
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from celltrail.data import InputError
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.data.writing.output import output_folder

FRAMES, CELLS, SIZE, SEED = 40, 24, (384, 384), 7


def sample_folder() -> Path:
    """The sample's data set, in a temporary folder of this user; made on the first call (a few seconds).

    Raises
    ------
    InputError
        If the place in the temporary folder belongs to somebody else.
    """
    home = Path(tempfile.gettempdir()) / f"celltrail-sample-{getpass.getuser()}"
    home.mkdir(mode=0o700, exist_ok=True)
    if home.is_symlink() or (hasattr(os, "getuid") and home.stat().st_uid != os.getuid()):
        raise InputError(f"{home} belongs to another user: set TMPDIR to a folder of your own.")
    out = home / f"{version('celltrail')}"
    if not out.is_dir():
        with output_folder(out) as work:
            _make(work)
    return out


def _make(folder: Path) -> None:
    from celltrail.tracking import track, write_result

    movie = simulate_movie(frames=FRAMES, cells=CELLS, size=SIZE, seed=SEED)
    write_movie(movie, folder)
    write_result(track(movie.masks, images=movie.images), folder / "01_RES")
