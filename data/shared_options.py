"""The options that several commands share, each written once."""

from __future__ import annotations

from celltrail.data.files.opening import parse_frames
from celltrail.data.settings import Option


def frames_as_text(frames: range) -> str:
    """``A:B``, both included: what `celltrail.data.files.opening.parse_frames` reads."""
    return f"{frames.start}:{frames.stop - 1}"


FRAMES = Option(
    "Only frames A to B, both included.", metavar="A:B", shown=False, parse=parse_frames, write=frames_as_text
)
CHANNEL = Option("Which channel, where images have several.", minimum=0, shown=False)
AXES = Option("Axes of a stack: TYX, ZYX, TZYX, TCYX. Otherwise from its metadata.", shown=False)
SERIES = Option("Which position, where a file or the names of the files have several.", minimum=0, shown=False)
SPLIT_BINARY = Option("Each connected part of black-and-white masks, or of a map of classes, is a cell of its own.")
JOBS = Option("Number of processes; the result does not depend on it.", minimum=1, kept=False)
DASK = Option("Work on a Dask cluster (extra 'cluster').", metavar="ADDRESS|local", shown=False, kept=False)
SEED = Option("Same seed, same result.", minimum=0)
