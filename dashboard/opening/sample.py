"""The sample that is shown when no data is given: a simulated movie, tracked and evaluated at run time."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from celltrail.data import InputError
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.data.writing.output import output_folder
from celltrail.data.writing.ownership import lock_path, owned

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
    out = home / version("celltrail")
    while not _is_whole(out):
        try:
            with owned(out):
                if not _is_whole(out):
                    with output_folder(out, overwrite=True) as work:
                        _make(work)
        except InputError:
            if not lock_path(out).exists() and not _is_whole(out):
                raise
            time.sleep(0.2)  # another dashboard is making it
    return out


def _is_whole(folder: Path) -> bool:
    """Whether every part of the sample is there: it lies where systems throw old files away."""
    counts = {"01": FRAMES, "01_GT/TRA": FRAMES + 1, "01_RES": FRAMES + 3}
    return all(len(list((folder / name).glob("*"))) >= count for name, count in counts.items())


def _make(folder: Path) -> None:
    from celltrail.tracking import track, write_result

    movie = simulate_movie(frames=FRAMES, cells=CELLS, size=SIZE, seed=SEED)
    write_movie(movie, folder)
    write_result(track(movie.masks, images=movie.images), folder / "01_RES")
