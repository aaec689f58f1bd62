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
JOBS = Option("Number of processes; the result does not depend on it.", minimum=1, kept=False)
DASK = Option("Work on a Dask cluster (extra 'cluster').", metavar="ADDRESS|local", shown=False, kept=False)
